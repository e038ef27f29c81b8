"""Installing, looking, taking back: on the real open-webui source, without a build."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cczoo_installer import patchset
from installer_kit import (
    HOOKED,
    HOOKED_LAST,
    HOOKED_TOO,
    VERSION,
    Ran,
    make_patch_set,
    snapshot,
)

Run = Callable[..., Ran]


def test_real_patch_set_applies_and_reverts_byte_for_byte(full_tree: Path, cczoo: Run) -> None:
    before = snapshot(full_tree)
    patches = patchset.load(patchset.default_root(), VERSION)

    done = cczoo(full_tree, "--no-build", "--json", with_patches=None)
    assert done.code == 0
    assert done.json["edited"] == list(patches.edited)
    after = snapshot(full_tree)
    changed = {name for name in before if after.get(name) != before[name]}
    assert changed == set(patches.edited)
    assert all(name.startswith(".cczoo-install") for name in after.keys() - before.keys())

    status = cczoo(full_tree, "--status", "--json", with_patches=None).json
    assert (status["state"], status["current"], status["build"]) == ("installed", True, None)

    assert cczoo(full_tree, "--revert", with_patches=None).code == 0
    assert snapshot(full_tree) == before


def test_install_writes_what_the_patches_say_and_keeps_modes(small_tree: Path, cczoo: Run) -> None:
    assert cczoo(small_tree, "--no-build").code == 0
    assert "# probe: hooked\n" in (small_tree / HOOKED).read_text()
    assert "<!-- probe -->" in (small_tree / HOOKED_TOO).read_text()
    assert "HOOK = 'probe'" in (small_tree / HOOKED_LAST).read_text()
    assert (small_tree / HOOKED).stat().st_mode & 0o777 == 0o640


def test_second_run_changes_nothing_and_says_so(small_tree: Path, cczoo: Run) -> None:
    cczoo(small_tree, "--no-build")
    before = snapshot(small_tree)
    inode = (small_tree / HOOKED).stat().st_ino
    again = cczoo(small_tree, "--no-build")
    assert again.code == 0
    assert "already installed; nothing to do" in again.out
    assert snapshot(small_tree) == before
    assert (small_tree / HOOKED).stat().st_ino == inode


def test_revert_twice_and_revert_of_a_stock_tree(small_tree: Path, cczoo: Run) -> None:
    before = snapshot(small_tree)
    cczoo(small_tree, "--no-build")
    assert cczoo(small_tree, "--revert", "--json").json["changed"] is True
    again = cczoo(small_tree, "--revert", "--json")
    assert (again.code, again.json["changed"]) == (0, False)
    assert snapshot(small_tree) == before


@pytest.mark.parametrize("installed", [False, True])
def test_dry_run_changes_nothing(small_tree: Path, cczoo: Run, installed: bool) -> None:
    if installed:
        cczoo(small_tree, "--no-build")
    before = snapshot(small_tree)
    times = {path: path.stat().st_mtime_ns for path in small_tree.rglob("*")}
    if installed:
        told = cczoo(small_tree, "--revert", "--dry-run")
        assert f"would restore {HOOKED}\n" in told.out
    else:
        told = cczoo(small_tree, "--no-build", "--dry-run")
        for name in (HOOKED, HOOKED_TOO, HOOKED_LAST):
            assert f"would change {name}\n" in told.out
    assert told.code == 0
    assert snapshot(small_tree) == before
    assert {path: path.stat().st_mtime_ns for path in small_tree.rglob("*")} == times


def test_status_and_refusals_change_nothing(small_tree: Path, cczoo: Run) -> None:
    before = snapshot(small_tree)
    status = cczoo(small_tree, "--status", "--json").json
    assert status["state"] == "not-installed"
    assert status["version"] == VERSION
    assert status["busy"] is False
    assert snapshot(small_tree) == before


@pytest.mark.parametrize("spoil", ["edit", "delete", "line-ends"])
def test_local_edit_is_refused_with_nothing_changed(
    small_tree: Path, cczoo: Run, spoil: str
) -> None:
    victim = small_tree / HOOKED_TOO
    if spoil == "edit":
        victim.write_text(victim.read_text() + "<!-- mine -->\n")
    elif spoil == "delete":
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes().replace(b"\n", b"\r\n"))
    before = snapshot(small_tree)
    refused = cczoo(small_tree, "--no-build", "--json")
    assert refused.code == 4
    assert refused.json["code"] == "local-edits"
    assert HOOKED_TOO in refused.json["detail"]
    assert HOOKED not in refused.json["detail"]
    assert snapshot(small_tree) == before


@pytest.mark.parametrize("place", [HOOKED, "backend/open_webui", "src/lib"])
def test_links_that_lead_out_of_the_tree_are_refused(
    small_tree: Path, cczoo: Run, tmp_path: Path, place: str
) -> None:
    outside = tmp_path / "outside"
    shutil.move(small_tree / place, outside)
    (small_tree / place).symlink_to(outside)
    before = snapshot(tmp_path)
    refused = cczoo(small_tree, "--no-build")
    assert refused.code == 4
    assert "symbolic link" in refused.err
    after = snapshot(tmp_path)
    assert {name: after[name] for name in before} == before


def test_an_edit_of_an_installed_file_stops_revert_and_is_kept(
    small_tree: Path, cczoo: Run
) -> None:
    stock = snapshot(small_tree)
    cczoo(small_tree, "--no-build")
    ours, mine = small_tree / HOOKED_LAST, small_tree / f"{HOOKED_LAST}.mine"
    ours.write_text("// mine\n")
    before = snapshot(small_tree)
    for options in (["--revert"], ["--revert", "--dry-run"], ["--no-build"]):
        refused = cczoo(small_tree, *options)
        assert refused.code == 4
        assert HOOKED_LAST in refused.err
    assert snapshot(small_tree) == before
    status = cczoo(small_tree, "--status", "--json").json
    assert status["state"] == "modified"
    assert status["modified"] == [HOOKED_LAST]

    # The way out that the message names: move it away.
    ours.rename(mine)
    assert cczoo(small_tree, "--revert").code == 0
    assert mine.read_text() == "// mine\n"
    mine.unlink()
    assert snapshot(small_tree) == stock


def test_removed_files_are_put_back_by_another_run(small_tree: Path, cczoo: Run) -> None:
    stock = snapshot(small_tree)
    cczoo(small_tree, "--no-build")
    installed = snapshot(small_tree)
    (small_tree / HOOKED).unlink()
    (small_tree / HOOKED_LAST).unlink()
    assert cczoo(small_tree, "--status", "--json").json["state"] == "modified"
    assert cczoo(small_tree, "--no-build", "--json").json["changed"] is True
    assert snapshot(small_tree) == installed
    (small_tree / HOOKED).unlink()
    assert cczoo(small_tree, "--revert").code == 0
    assert snapshot(small_tree) == stock


def test_newer_patch_set_replaces_the_older_one(
    small_tree: Path, cczoo: Run, pristine: Path, tmp_path: Path
) -> None:
    stock = snapshot(small_tree)
    cczoo(small_tree, "--no-build")
    newer = make_patch_set(tmp_path / "newer", pristine, "newer", without=(HOOKED_TOO,))

    assert cczoo(small_tree, "--status", "--json", with_patches=newer).json["current"] is False
    done = cczoo(small_tree, "--no-build", with_patches=newer)
    assert done.code == 0
    assert "Replaces what kit" in done.out
    assert "# newer: hooked\n" in (small_tree / HOOKED).read_text()
    assert "probe" not in (small_tree / HOOKED).read_text()
    assert "probe" not in (small_tree / HOOKED_TOO).read_text()

    assert cczoo(small_tree, "--revert", with_patches=newer).code == 0
    assert snapshot(small_tree) == stock


def test_wrong_version(small_tree: Path, cczoo: Run) -> None:
    package = json.loads((small_tree / "package.json").read_text())
    (small_tree / "package.json").write_text(json.dumps(package | {"version": "0.6.5"}))
    before = snapshot(small_tree)
    refused = cczoo(small_tree, "--no-build", "--json")
    assert (refused.code, refused.json["code"]) == (3, "unsupported-version")
    assert VERSION in refused.json["detail"]
    assert "needs patches" in refused.json["detail"]
    assert "--try" in cczoo(small_tree, "--no-build", "--try").err
    assert cczoo(small_tree, "--status", "--json").json["supported"] is False
    assert snapshot(small_tree) == before


def test_another_openwebui_under_the_installation(small_tree: Path, cczoo: Run) -> None:
    cczoo(small_tree, "--no-build")
    package = json.loads((small_tree / "package.json").read_text())
    (small_tree / "package.json").write_text(json.dumps(package | {"version": "0.6.5"}))
    before = snapshot(small_tree)
    refused = cczoo(small_tree, "--revert")
    assert refused.code == 4
    assert VERSION in refused.err
    assert "0.6.5" in refused.err
    assert cczoo(small_tree, "--no-build").code == 3
    assert snapshot(small_tree) == before


@pytest.mark.parametrize(
    "version", ["../../etc", f"{VERSION}/../v{VERSION}", f"{VERSION}\n", "", 5, None]
)
def test_a_version_cannot_choose_a_folder(small_tree: Path, cczoo: Run, version: object) -> None:
    package = json.loads((small_tree / "package.json").read_text())
    (small_tree / "package.json").write_text(json.dumps(package | {"version": version}))
    assert cczoo(small_tree, "--no-build").code == 3


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        json.dumps({"name": "other", "version": VERSION}).encode(),
        b'{"name": "open-webui"}',
        json.dumps({"name": "open-webui", "version": VERSION}).encode(),
        b"[" * 200_000,
        b" " * (2 << 20),
    ],
)
def test_not_openwebui(tmp_path: Path, cczoo: Run, content: bytes | None) -> None:
    folder = tmp_path / "something"
    folder.mkdir()
    (folder / "README").write_text("hello")
    if content is not None:
        (folder / "package.json").write_bytes(content)
    before = snapshot(folder)
    for options in (["--no-build"], ["--status"], ["--revert"], ["--dry-run"]):
        refused = cczoo(folder, *options, "--json")
        assert (refused.code, refused.json["code"]) == (3, "not-open-webui")
    assert snapshot(folder) == before


def test_missing_empty_and_file(tmp_path: Path, cczoo: Run) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for name, word in (("missing", "does not exist"), ("empty", "empty"), ("file", "folder")):
        refused = cczoo(tmp_path / name, "--no-build")
        assert refused.code == 3
        assert word in refused.err
    assert not (tmp_path / "missing").exists()


def test_text_from_the_tree_is_escaped(tmp_path: Path, cczoo: Run) -> None:
    folder = tmp_path / "evil\x1b[2J"
    folder.mkdir()
    (folder / "package.json").write_text(
        json.dumps({"name": "\x1b]0;owned\x07\u202e", "version": VERSION})
    )
    refused = cczoo(folder, "--no-build")
    assert refused.code == 3
    assert not set("\x1b\x07\u202e") & set(refused.err + refused.out)
    assert "\\x1b" in refused.err


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--status", "--revert"],
        ["--status", "--no-build"],
        ["--status", "--try"],
        ["--revert", "--try"],
        ["--revert", "--no-build"],
        ["--rebuild"],
        ["--status", "--merge"],
        ["--revert", "--merge"],
        ["--status", "--rebuild"],
        ["--fetch", "latest"],
        ["--fetch", "../0.5.20"],
        ["--nonsense"],
    ],
)
def test_usage(
    cczoo: Run, small_tree: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    from cczoo_installer.__main__ import main

    before = snapshot(small_tree)
    if not options:
        assert main([]) == 2
        assert "--openwebui-dir" in capsys.readouterr().err
    else:
        assert cczoo(small_tree, *options).code == 2
    assert snapshot(small_tree) == before


def record_of(tree: Path) -> Path:
    return tree / ".cczoo-install/applied/record.json"


@pytest.mark.parametrize("path", ["../../outside", "/etc/hostname", "src/../../outside", "", "."])
def test_a_record_cannot_lead_out_of_the_tree(
    small_tree: Path, cczoo: Run, tmp_path: Path, path: str
) -> None:
    cczoo(small_tree, "--no-build")
    (tmp_path / "outside").write_text("precious")
    record = json.loads(record_of(small_tree).read_text())
    digest = record["files"].pop(HOOKED)["after"]
    record["files"][path] = {"before": None, "after": digest, "mode": 0o644}
    record_of(small_tree).write_text(json.dumps(record))
    before = snapshot(tmp_path)
    assert cczoo(small_tree, "--revert").code == 6
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("text", ["", "{", '{"format": 99}', "[]", '{"format": 1, "files": 3}'])
def test_a_damaged_record_is_named(small_tree: Path, cczoo: Run, text: str) -> None:
    cczoo(small_tree, "--no-build")
    record_of(small_tree).write_text(text)
    before = snapshot(small_tree)
    for options in (["--status"], ["--revert"], ["--no-build"]):
        refused = cczoo(small_tree, *options)
        assert refused.code == 6
        assert "record.json" in refused.err
    assert snapshot(small_tree) == before


def test_a_damaged_original_is_never_put_back(small_tree: Path, cczoo: Run) -> None:
    cczoo(small_tree, "--no-build")
    (small_tree / ".cczoo-install/applied/old" / HOOKED).write_text("rotten")
    before = snapshot(small_tree)
    refused = cczoo(small_tree, "--revert")
    assert refused.code == 6
    assert HOOKED in refused.err
    assert snapshot(small_tree) == before


def test_a_home_that_is_not_ours(small_tree: Path, cczoo: Run, tmp_path: Path) -> None:
    home = small_tree / ".cczoo-install"
    (tmp_path / "elsewhere/applied").mkdir(parents=True)
    (tmp_path / "elsewhere/applied/record.json").write_text("{}")
    home.symlink_to(tmp_path / "elsewhere")
    before = snapshot(tmp_path)
    for options in (["--status"], ["--revert"], ["--no-build"]):
        assert cczoo(small_tree, *options).code == 4
    assert {k: v for k, v in snapshot(tmp_path).items() if k in before} == before
    home.unlink()
    home.write_text("a file")
    assert cczoo(small_tree, "--no-build").code == 6
    home.unlink()
    home.mkdir()
    (home / "applied").symlink_to(tmp_path / "elsewhere/applied")
    assert cczoo(small_tree, "--status", "--json").json["state"] == "not-installed"


def test_help_is_readable_at_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from cczoo_installer.__main__ import main

    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    said = " ".join(" ".join(lines).split())
    for option in ("--merge", "--rebuild", "--revert", "--dry-run", "Exit codes: 0 done"):
        assert option in said
