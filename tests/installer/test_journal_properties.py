"""The journal on trees that nobody has thought of, with trouble at any moment."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cczoo_installer.files import sha256_bytes, tree_hashes
from cczoo_installer.journal import HOME, Journal, NewBuild, NewFile, Plan
from cczoo_installer.patchset import load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from installer_kit import VERSIONS, make_patch, snapshot

REAL = settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))

# Any name that a file can have, line ends and control characters too.
NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=8
).filter(lambda name: name not in {".", "..", HOME, "build"} and len(name.encode()) < 100)
MODES = st.sampled_from([0o644, 0o600, 0o755, 0o444, 0o6755])
FILES = st.tuples(st.binary(max_size=40), MODES)
# One folder deep or two, so that no file's name is another's folder.
TREES = st.dictionaries(st.tuples(st.sampled_from(["a", "b/c", "d"]), NAMES), FILES, max_size=6)
BUILDS = st.none() | st.dictionaries(NAMES, FILES, min_size=1, max_size=4)


def write(folder: Path, files: dict[Any, tuple[bytes, int]]) -> None:
    for name, (content, mode) in files.items():
        path = folder.joinpath(*name) if isinstance(name, tuple) else folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cczoo-properties-") as folder:
        yield Path(folder)


class Breaks:
    """An `on_step` that fails at the step of a number, once."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, _step: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise OSError(5, "Input/output error")


@REAL
@given(
    files=TREES,
    own_build=BUILDS,
    our_build=BUILDS,
    hooked=st.data(),
    breaks=st.integers(0, 40),
    again=st.integers(0, 40),
)
def test_whatever_breaks_when_the_tree_comes_back_byte_for_byte(
    files: dict[Any, tuple[bytes, int]],
    own_build: dict[str, tuple[bytes, int]] | None,
    our_build: dict[str, tuple[bytes, int]] | None,
    hooked: st.DataObject,
    breaks: int,
    again: int,
) -> None:
    with scratch() as top:
        root = top / "tree"
        root.mkdir()
        write(root, files)
        if own_build is not None:
            write(root / "build", own_build)
        names = ["/".join(name) for name in files]
        chosen = hooked.draw(
            st.lists(st.sampled_from(names), unique=True) if names else st.just([])
        )
        contents = {name: hooked.draw(st.binary(max_size=40)) for name in chosen}
        build = None
        if our_build is not None:
            write(top / "ours", our_build)
            build = NewBuild(top / "ours", tree_hashes(top / "ours"), "0" * 64, 20)
        plan = Plan(
            program="open-webui",
            version="1.0",
            kit="0",
            patch_set="0" * 64,
            files={name: NewFile(content, root / name) for name, content in contents.items()},
            build=build,
        )
        before = snapshot(root)

        for number in (breaks, again):
            journal = Journal(root, Breaks(number))
            with contextlib.suppress(OSError):
                journal.stage(plan)
                journal.commit()
            if journal.phase == "applied":
                found = {name: sha256_bytes((root / name).read_bytes()) for name in contents}
                assert found == {name: sha256_bytes(text) for name, text in contents.items()}
            else:
                assert journal.phase is not None or snapshot(root) == before
            with contextlib.suppress(OSError):
                Journal(root, Breaks(again)).take_back()
            whole = Journal(root)
            whole.take_back()
            whole.discard_leftovers()
            whole.clean()
            assert snapshot(root) == before


LINES = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=12),
    min_size=8,
    max_size=30,
)


@settings(REAL, max_examples=10)
@given(
    name=st.sampled_from(
        ["a.py", "src/routes/(app)/c/[id]/+page.svelte", "x/*?.ts", "[a-z]\\q.js"]
    ),
    lines=LINES,
    position=st.integers(0, 30),
    hook=st.text("abc <>{}'", min_size=1, max_size=20),
)
def test_what_a_patch_made_of_any_text_can_be_taken_out_of_it(
    name: str, lines: list[str], position: int, hook: str
) -> None:
    old = "".join(f"{line}\n" for line in lines).encode()
    kept = old.splitlines(keepends=True)
    new = b"".join([*kept[:position], f"{hook}\n".encode(), *kept[position:]])
    version = VERSIONS["versions"][0]["version"]
    with scratch() as root:
        folder = root / f"v{version}"
        folder.mkdir()
        (folder / "0001-a.patch").write_text(make_patch(name, old, new), newline="")
        (folder / "series").write_text("0001-a.patch\n")
        facts = {"version": version, "sdist_sha256": "0" * 64, "files": {name: sha256_bytes(old)}}
        (folder / "upstream.json").write_text(json.dumps(facts))
        (root / "versions.json").write_text(json.dumps(VERSIONS))
        patches = load(root, str(version))
        assert patches.patched({name: old}) == {name: new}
        assert patches.taken_out(name, new) == old
        assert patches.taken_out(name, old) in {None, old}
