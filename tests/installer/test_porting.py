"""Carrying patches to another version: real files of a release, changed as a new version might.

And the rules that hold of what comes out: hooks where they belong, anchors that are there.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cczoo_installer import patchset, release
from cczoo_installer.files import locked, sha256_file
from installer_kit import VERSION, snapshot

import check_patches
import port
from porting import anchors, hooks
from porting.merge import files_of

NEW = "0.5.99"
MAIN = "backend/open_webui/main.py"
INPUT = "src/lib/components/chat/MessageInput.svelte"
GENERAL = "src/lib/components/chat/Settings/General.svelte"
CITATIONS = "src/lib/components/chat/Messages/CitationsModal.svelte"
BUILD = "svelte.config.js"
ROW = '<div class="self-end flex space-x-1 mr-1 shrink-0">'
NEW_ROW = f"{ROW}\n\t\t\t\t\t\t\t\t\t\t<Tools on:click={{() => {{ count += 1; }}}} />"
PLACE = '<div data-tee-place="badge"></div>'


def write_archive(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write a source archive of these files."""
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"open_webui/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@dataclass
class NewVersion:
    """A new version's tree and archive, made of files; and a port of our patches to it."""

    folder: Path
    files: dict[str, bytes]
    options: list[str] = field(default_factory=list)

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    @property
    def patches(self) -> Path:
        return self.folder / "patches"

    @property
    def written(self) -> Path:
        return self.patches / f"v{NEW}"

    def merged(self, name: str) -> Path:
        return self.folder / "work/files" / name

    def edit(self, name: str, old: str, new: str) -> None:
        text = self.files[name].decode()
        assert old in text
        self.files[name] = text.replace(old, new).encode()

    def release(self) -> None:
        """Write tree and archive."""
        shutil.rmtree(self.tree, ignore_errors=True)
        package = {"name": "open-webui", "version": NEW}
        files = {**self.files, "package.json": json.dumps(package).encode()}
        for name, content in files.items():
            path = self.tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        write_archive(self.folder / "new.tar.gz", files)

    def port(self, *more: str) -> int:
        """Run the tool, as somebody does; the tree has to stay as it is."""
        before = snapshot(self.tree)
        options = ["--from", VERSION, "--tree", str(self.tree), "--patches", str(self.patches)]
        options += ["--sdist", str(self.folder / "new.tar.gz"), "--work", str(self.folder / "work")]
        code = port.main([*options, *self.options, *more])
        assert snapshot(self.tree) == before
        return code


@pytest.fixture(scope="module")
def stock(archive: Path) -> Mapping[str, bytes]:
    """The files that our patches edit, as upstream has them."""
    return files_of(archive, patchset.load(patchset.default_root(), VERSION).edited)


@pytest.fixture
def old_archive(cache: Path, stock: Mapping[str, bytes]) -> Path:
    """A small archive of the old version, where the tool looks for one."""
    (cache / "sdist").mkdir(parents=True)
    return write_archive(cache / f"sdist/open_webui-{VERSION}.tar.gz", stock)


@pytest.fixture
def new(tmp_path: Path, stock: Mapping[str, bytes], old_archive: Path) -> NewVersion:
    """A version that is like the old one, until it is edited and released."""
    shutil.copytree(patchset.default_root(), tmp_path / "patches")
    pins = tmp_path / f"patches/v{VERSION}/upstream.json"
    facts = json.loads(pins.read_text())
    pins.write_text(json.dumps(facts | {"sdist_sha256": sha256_file(old_archive)}))
    return NewVersion(tmp_path, dict(stock))


def test_the_same_files_give_the_same_patches(new: NewVersion) -> None:
    new.release()
    assert new.port() == port.DONE
    old = patchset.default_root() / f"v{VERSION}"
    for path in old.glob("*.patch"):
        assert (new.written / path.name).read_bytes() == path.read_bytes()
    assert (new.written / "series").read_bytes() == (old / "series").read_bytes()
    facts = json.loads((new.written / "upstream.json").read_text())
    assert facts["version"] == NEW
    assert facts["sdist_sha256"] == sha256_file(new.folder / "new.tar.gz")
    assert release.read(new.written / release.LIST).keys() == {*new.files, "package.json"}


def test_hooks_follow_their_places(new: NewVersion) -> None:
    new.files[MAIN] = b"# one line more\n" * 40 + new.files[MAIN]
    new.release()
    assert new.port() == port.DONE
    patches = patchset.read(new.written, NEW)
    patched = patches.patched(new.files)
    assert patched[MAIN].startswith(b"# one line more\n")
    assert b"cczoo_backend" in patched[MAIN]
    # A second run has nothing to merge, and gives the same; it leaves nothing of a stopped one.
    before = snapshot(new.written)
    (new.written / "0000-stopped.patch").write_text("half of i")
    assert new.port() == port.DONE
    assert snapshot(new.written) == before


def test_a_conflict_is_named_and_goes_on_from_where_it_was_left(
    new: NewVersion, capsys: pytest.CaptureFixture[str]
) -> None:
    new.edit(INPUT, ROW, NEW_ROW)
    new.release()
    assert new.port() == port.TO_DO
    said = capsys.readouterr().out
    assert f"{INPUT}: conflict" in said
    assert f"put the hook where it belongs in {new.merged(INPUT)}" in said
    assert f"{MAIN}: the same file" in said
    assert not new.written.exists()
    text = new.merged(INPUT).read_text()
    # Half of it done is not done.
    new.merged(INPUT).write_text(text.replace("<<<<<<<", "").replace(">>>>>>>", ""))
    assert new.port() == port.TO_DO
    assert "=======" in new.merged(INPUT).read_text()
    solved = new.files[INPUT].decode().replace(ROW, f"{ROW}\n{PLACE}")
    new.merged(INPUT).write_text(solved)
    assert new.port() == port.DONE
    assert patchset.read(new.written, NEW).patched(new.files)[INPUT] == solved.encode()


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (NEW_ROW + PLACE, "the first of its row"),
        (NEW_ROW.replace("count += 1;", f"html = `{PLACE}`;"), "is no element of the page"),
        (f"{PLACE}{NEW_ROW}", "in the row of buttons"),
        (f"{ROW}{{#if x}}{PLACE}{{/if}}<Tools />", "in the row of buttons"),
        (f"{ROW}{PLACE}{PLACE}", "has it 2 times"),
        (f"<!-- {PLACE} -->{ROW}", "is no element of the page"),
        (f"{ROW}<!-- no place -->", "has it 0 times"),
    ],
)
def test_a_hook_elsewhere_is_not_written(
    new: NewVersion, capsys: pytest.CaptureFixture[str], wrong: str, complaint: str
) -> None:
    """Whatever git or a person made of it."""
    new.edit(INPUT, ROW, NEW_ROW)
    new.release()
    assert new.port() == port.TO_DO
    new.merged(INPUT).write_text(new.files[INPUT].decode().replace(NEW_ROW, wrong))
    capsys.readouterr()
    assert new.port() == port.TO_DO
    assert complaint in capsys.readouterr().out
    assert not new.written.exists()


def test_what_merges_and_is_wrong_all_the_same(
    new: NewVersion, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in 0.12.4: it has a setting of that name itself, far from where ours goes."""
    new.edit(BUILD, "\t\tadapter: adapter({", "\t\tversion: { name: x },\n\t\tadapter: adapter({")
    new.release()
    assert new.port() == port.TO_DO
    assert "names the build by itself" in capsys.readouterr().out
    assert not new.written.exists()
    assert new.port("--drop", BUILD) == port.DONE
    assert BUILD not in patchset.read(new.written, NEW).edited
    assert not (new.written / "0004-build-name.patch").exists()


def test_a_file_that_moved(new: NewVersion, capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = "src/lib/components/chat/Messages/Citations/CitationsModal.svelte"
    new.files[elsewhere] = new.files.pop(CITATIONS)
    new.release()
    assert new.port() == port.TO_DO
    said = capsys.readouterr().out
    assert f"there is {elsewhere}" in said
    assert f"--moved {CITATIONS}=FILE" in said
    assert new.port("--moved", f"{CITATIONS}={elsewhere}") == port.DONE
    edited = patchset.read(new.written, NEW).edited
    assert elsewhere in edited
    assert CITATIONS not in edited


def test_a_new_hole_gets_a_hook_of_its_own(
    new: NewVersion, capsys: pytest.CaptureFixture[str]
) -> None:
    hole = "src/lib/components/chat/Frame.svelte"
    new.files[hole] = b'<iframe sandbox="allow-scripts allow-same-origin"></iframe>\n'
    new.release()
    assert new.port() == port.TO_DO
    assert f"{hole}: a frame has the page's origin" in capsys.readouterr().out
    assign = ("--assign", f"{hole}=0005-frames.patch")
    assert new.port(*assign) == port.TO_DO
    assert f"put one into {new.merged(hole)}" in capsys.readouterr().out
    new.merged(hole).write_text('<iframe sandbox="allow-scripts"></iframe>\n')
    assert new.port(*assign) == port.DONE
    assert hole in (new.written / "0005-frames.patch").read_text()


def test_a_merged_file_that_is_no_text(new: NewVersion, capsys: pytest.CaptureFixture[str]) -> None:
    new.edit(INPUT, ROW, NEW_ROW)
    new.release()
    assert new.port() == port.TO_DO
    solved = new.files[INPUT].replace(ROW.encode(), f"{ROW}\n{PLACE}".encode())
    new.merged(INPUT).write_bytes(solved + b"\xff\n")
    capsys.readouterr()
    assert new.port() == port.TO_DO
    assert f"{new.merged(INPUT)} is not UTF-8" in capsys.readouterr().out
    assert not new.written.exists()


def test_what_upstream_does_by_itself_now(
    new: NewVersion, capsys: pytest.CaptureFixture[str], stock: Mapping[str, bytes]
) -> None:
    ours = patchset.load(patchset.default_root(), VERSION)
    new.files[CITATIONS] = ours.patched(stock)[CITATIONS]
    new.release()
    assert new.port() == port.TO_DO
    assert f"add --drop {CITATIONS}" in capsys.readouterr().out
    assert new.port("--drop", CITATIONS) == port.DONE


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--moved", f"{CITATIONS}=../../outside"], 4),
        (["--moved", f"{CITATIONS}={MAIN}"], 2),
        (["--moved", "no-such-file=x"], 2),
        (["--moved", "x"], 2),
        (["--drop", "evil\x1b[31m"], 2),
        (["--assign", "src/x.svelte=0009-none.patch"], 2),
        (["--from", "0.4.0"], 3),
        (["--from", "../.."], 2),
        (["--sdist", "/no/such/archive"], 2),
    ],
)
def test_what_cannot_be(
    new: NewVersion, capsys: pytest.CaptureFixture[str], options: list[str], code: int
) -> None:
    new.release()
    before = snapshot(new.patches)
    assert new.port(*options) == code
    assert "\x1b" not in capsys.readouterr().err
    assert snapshot(new.patches) == before
    assert not (new.folder / "work").exists()


def test_one_run_at_a_time(new: NewVersion) -> None:
    new.release()
    (new.folder / "work").mkdir()
    with locked(new.folder / "work", busy="never"):
        assert new.port() == 7
    assert not (new.folder / "work/files").exists()
    assert new.port() == port.DONE


def test_a_run_that_was_killed(new: NewVersion) -> None:
    """What it left half-written has another name; what it merged counts."""
    new.release()
    for path in (new.folder / "work/stock.json.new", new.merged(f"{MAIN}.new")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half of i")
    assert new.port() == port.DONE
    assert b"half of i" not in new.merged(MAIN).read_bytes()


@pytest.mark.parametrize("stamp", ["", "[]", "{", "[" * 100_000, "\udcff"])
def test_a_work_folder_that_cannot_be_read(
    new: NewVersion, capsys: pytest.CaptureFixture[str], stamp: str
) -> None:
    new.release()
    (new.folder / "work").mkdir()
    (new.folder / "work/stock.json").write_bytes(stamp.encode(errors="surrogateescape"))
    assert new.port() == 2
    assert "Move that folder away" in capsys.readouterr().err
    assert not new.written.exists()


def test_trees_that_are_not_stock(new: NewVersion) -> None:
    new.release()
    (new.tree / MAIN).write_text("edited\n")  # not what the archive has
    assert new.port() == 2
    new.release()
    (new.tree / "src/more.ts").write_text("added\n")  # and no file that gets a hook
    assert new.port() == 2
    new.release()
    assert new.port() == port.DONE
    new.edit(MAIN, "import os\n", "import os\nimport this\n")
    new.release()
    assert new.port() == 2  # the work was begun with another file
    (new.tree / ".cczoo-install").mkdir()
    assert new.port() == 2
    (new.tree / "package.json").unlink()
    assert new.port() == 3


@pytest.mark.parametrize("content", [b"", b"\0\1\2" * 100, b"\xff\xfe" * 50])
def test_files_that_are_no_text(new: NewVersion, content: bytes) -> None:
    new.files[GENERAL] = content
    new.release()
    assert new.port() in (port.TO_DO, 6)
    assert not new.written.exists()


def test_a_folder_in_the_place_of_a_file(new: NewVersion) -> None:
    del new.files[GENERAL]
    new.release()
    (new.tree / GENERAL).mkdir(parents=True)
    assert new.port() == 3


# --- The rules ----------------------------------------------------------------------------------


def test_all_that_ships_is_as_it_should_be(archive_of: Callable[[str], Path]) -> None:
    patches = patchset.load(patchset.default_root(), VERSION)
    assert check_patches.problems(patches, archive_of(VERSION)) == []


def test_a_patch_set_of_another_release(new: NewVersion, old_archive: Path) -> None:
    new.edit(MAIN, "import os\n", "import os\nimport this\n")
    new.release()
    assert new.port() == port.DONE
    patches = patchset.read(new.written, NEW)
    listing, hashes = check_patches.problems(patches, old_archive)
    assert "release.sha256" in listing
    assert MAIN in hashes


BACKEND_HOOK = 'try: __import__("cczoo_backend").install(app)\nexcept Exception: raise\n'
ROUTER, MOUNT = "app.include_router(x)\n", "if y:\n    app.mount('/', z)\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (ROUTER + BACKEND_HOOK + MOUNT, None),
        (BACKEND_HOOK + ROUTER + MOUNT, "after the last"),
        (ROUTER + MOUNT + BACKEND_HOOK, "before the page"),
        (ROUTER + MOUNT, "once"),
        (ROUTER + BACKEND_HOOK + BACKEND_HOOK + MOUNT, "once"),
        (ROUTER + "def f():\n  " + BACKEND_HOOK.replace("\n", "\n  ") + "\n" + MOUNT, "once"),
        ("try:\n", "no Python"),
        (BACKEND_HOOK + MOUNT, "after the last"),
        (ROUTER + BACKEND_HOOK, "before the page"),
    ],
)
def test_where_the_backends_hook_belongs(text: str, complaint: str | None) -> None:
    found = [line for line in hooks.problems({MAIN: text}) if line.startswith(MAIN)]
    assert found == [] if complaint is None else any(complaint in line for line in found)


SETTINGS = '<div data-tee-place="settings"></div>'
ADMINS = "{#if $user?.role === 'admin'}<p />{/if}"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"<div><hr>{SETTINGS}{ADMINS}</div>", None),
        (f"<script>const x = '<div>';</script><div>{SETTINGS}{ADMINS}</div>", None),
        (f"<div title=\"{{x ? '>' : `}}`}}\">{SETTINGS}{ADMINS}</div>", None),
        (f"<div>{ADMINS}{SETTINGS}</div>", "before the block for administrators"),
        (f"{{#if a}}<div>{SETTINGS}{ADMINS}</div>{{/if}}", "outside of every condition"),
        (f"<script>`{SETTINGS}`</script>{ADMINS}", "no element"),
    ],
)
def test_where_the_settings_belong(text: str, complaint: str | None) -> None:
    found = [line for line in hooks.problems({GENERAL: text}) if "place settings" in line]
    assert found == [] if complaint is None else any(complaint in line for line in found)


def test_an_outline_comes_to_an_end_whatever_it_is_given() -> None:
    for text in (
        "<",
        "{",
        "<a",
        "<a {",
        "{`${",
        "<!--",
        "</x>",
        "{#if",
        "<script>",
        "{'\\",
        "<a b='",
    ):
        hooks.outline(text * 3)


ANCHORS_JSON = json.loads((patchset.default_root() / "anchors.json").read_text())
CODE = check_patches.CODE.read_text()


def test_the_anchors_that_ship_agree_with_the_page() -> None:
    versions = check_patches.editions.versions()
    assert anchors.problems(ANCHORS_JSON, CODE, versions, {}) == []


def anchor(**more: Any) -> dict[str, Any]:
    return {
        "selector": '#chat .row.gap-0\\.5[class*="wide"]',
        "position": "before",
        "markup": "the row",
        "versions": ["1.0"],
    } | more


FRONT_END = 'e("chat"),c("row gap-0.5"),k("wide"),"the row"'


@pytest.mark.parametrize(
    ("entry", "front_end", "complaint"),
    [
        (anchor(), FRONT_END, None),
        (anchor(position="beside"), FRONT_END, "no position 'beside'"),
        (anchor(versions=["1.0", "2.0"]), FRONT_END, "2.0, which is not on the list"),
        (anchor(versions=[]), FRONT_END, "no anchor is for 1.0"),
        (anchor(more=1), FRONT_END, "not what such an entry has"),
        (anchor(markup="another row"), FRONT_END, "'another row' is not in the front end"),
        (anchor(), FRONT_END.replace("gap-0.5", "gap-1"), "'gap-0.5' is not in the front end"),
        (anchor(), FRONT_END.replace("wide", "slim"), "'wide' is not in the front end"),
        (anchor(), FRONT_END.replace("chat", "talk"), "'chat' is not in the front end"),
    ],
)
def test_the_anchors_checks(
    tmp_path: Path, entry: dict[str, Any], front_end: str, complaint: str | None
) -> None:
    (tmp_path / "deep.js").mkdir()
    (tmp_path / "deep.js" / "app.js").write_text(front_end)
    document = {"places": {"badge": {"anchors": [entry]}}}
    code = "export type PlaceName = 'badge';\n\tposition: 'before' | 'after';\n"
    found = anchors.problems(document, code, ["1.0"], {"1.0": tmp_path})
    assert found == [] if complaint is None else any(complaint in line for line in found)


def test_a_place_that_only_one_of_page_and_list_knows() -> None:
    code = "export type PlaceName = 'badge' | 'moon';\n\tposition: 'before' | 'after';\n"
    found = anchors.problems({"places": {"badge": {"anchors": [anchor()]}}}, code, ["1.0"], {})
    assert any(line.startswith("moon:") for line in found)
