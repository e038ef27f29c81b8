"""Trees that have the kit and no record of it: copied without dotfiles, cleaned, or committed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cczoo_installer import patchset
from installer_kit import (
    HOOKED,
    HOOKED_LAST,
    HOOKED_TOO,
    VERSION,
    Case,
    Environment,
    FakeTools,
    Ran,
    git,
    snapshot,
    steps_of,
    without_ours,
)

Run = Callable[..., Ran]


def lose_record(tree: Path) -> None:
    shutil.rmtree(tree / ".cczoo-install")


def test_it_is_seen_taken_up_and_taken_back(small_tree: Path, cczoo: Run) -> None:
    stock = snapshot(small_tree)
    cczoo(small_tree, "--no-build")
    installed = without_ours(snapshot(small_tree))
    lose_record(small_tree)

    status = cczoo(small_tree, "--status", "--json").json
    assert (status["state"], status["current"]) == ("unrecorded", True)
    assert "its record is gone" in cczoo(small_tree, "--status").out
    for options in (["--no-build"], ["--revert"]):
        told = cczoo(small_tree, *options, "--dry-run", "--json")
        assert told.json["changed"] is True
        assert "its record is gone" in told.json["notes"][0]
    assert not (small_tree / ".cczoo-install").exists()

    again = cczoo(small_tree, "--no-build")
    assert (again.code, "nothing to do" in again.out) == (0, True)
    assert "its record is gone" in again.err
    assert without_ours(snapshot(small_tree)) == installed
    assert cczoo(small_tree, "--status", "--json").json["state"] == "installed"
    lose_record(small_tree)
    assert cczoo(small_tree, "--revert").code == 0
    assert snapshot(small_tree) == stock


def test_a_front_end_of_ours_is_known_by_its_name(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools
) -> None:
    stock = snapshot(small_tree)
    cczoo(small_tree)
    key = cczoo(small_tree, "--status", "--json").json["build"]
    lose_record(small_tree)
    assert cczoo(small_tree, "--json").json["changed"] is False
    status = cczoo(small_tree, "--status", "--json").json
    assert (status["state"], status["build"]) == ("installed", key)
    lose_record(small_tree)
    assert cczoo(small_tree, "--revert").code == 0
    assert snapshot(small_tree) == stock
    assert fake_tools.builds() == 1


def test_a_front_end_of_ours_from_sources_that_were_edited_since(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools
) -> None:
    cczoo(small_tree)
    lose_record(small_tree)
    (small_tree / "src/lib/index.ts").write_text("// edited\n")
    assert cczoo(small_tree, "--json").json["build"] == "built anew"
    assert "// edited" in (small_tree / "build/_app/app.js").read_text()
    assert cczoo(small_tree, "--revert").code == 0
    assert not (small_tree / "build").exists()


@pytest.mark.parametrize(
    "version", [None, "", "{", "[]", '{"version": "cczoo-"}', '{"version": 5}']
)
def test_a_front_end_of_somebody_else_is_kept(
    small_tree: Path, cczoo: Run, fake_tools: FakeTools, version: str | None
) -> None:
    cczoo(small_tree)
    lose_record(small_tree)
    named = small_tree / "build/_app/version.json"
    named.unlink()
    if version is not None:
        named.write_text(version)
    theirs = snapshot(small_tree / "build")
    assert cczoo(small_tree).code == 0
    assert cczoo(small_tree, "--revert").code == 0
    assert snapshot(small_tree / "build") == theirs


def test_a_clone_of_a_fork_that_has_the_kit_committed(
    small_tree: Path, cczoo: Run, tmp_path: Path
) -> None:
    stock = {name: (small_tree / name).read_bytes() for name in (HOOKED, HOOKED_TOO, HOOKED_LAST)}
    cczoo(small_tree, "--no-build")
    git(small_tree, "init", "-q")
    git(small_tree, "add", "-A")
    git(small_tree, "commit", "-q", "-m", "With the kit")
    git(tmp_path, "clone", "-q", str(small_tree), "fork")
    fork = tmp_path / "fork"
    assert not (fork / ".cczoo-install").exists()
    assert cczoo(fork, "--status", "--json").json["state"] == "unrecorded"
    assert cczoo(fork, "--revert").code == 0
    assert {name: (fork / name).read_bytes() for name in stock} == stock


@pytest.mark.parametrize("content", [None, b"mine\n"])
def test_what_holds_a_part_of_the_patches_is_somebody_elses_work(
    small_tree: Path, cczoo: Run, content: bytes | None
) -> None:
    """One file put back or edited: nothing is taken for ours, and what is to be done is said."""
    stock = {name: (small_tree / name).read_bytes() for name in (HOOKED, HOOKED_TOO, HOOKED_LAST)}
    cczoo(small_tree, "--no-build")
    lose_record(small_tree)
    (small_tree / HOOKED_TOO).write_bytes(stock[HOOKED_TOO] if content is None else content)
    before = snapshot(small_tree)
    refused = cczoo(small_tree, "--no-build")
    assert refused.code == 4
    assert all(name in refused.err for name in (HOOKED, HOOKED_LAST))
    assert (HOOKED_TOO in refused.err) == (content is not None)
    assert cczoo(small_tree, "--revert", "--json").json["changed"] is False
    assert snapshot(small_tree) == before
    for name, text in stock.items():
        (small_tree / name).write_bytes(text)
    assert cczoo(small_tree, "--no-build").code == 0


def test_a_trustee_is_taken_up_too(trustee: Case, cczoo: Run) -> None:
    stock = snapshot(trustee.root)
    cczoo(trustee)
    lose_record(trustee.root)
    assert cczoo(trustee, "--status", "--json").json["state"] == "unrecorded"
    assert cczoo(trustee, "--revert").code == 0
    assert snapshot(trustee.root) == stock


@pytest.mark.parametrize("is_there", [True, False])
def test_a_hook_is_taken_up_too(environment: Environment, cczoo: Run, is_there: bool) -> None:
    stock = snapshot(environment.site)
    cczoo(environment.package)
    installed = without_ours(snapshot(environment.site))
    lose_record(environment.site)
    status = cczoo(environment.package, "--status", "--json").json
    assert status["state"] == "unrecorded"
    for options in ([], ["--revert"]):
        told = cczoo(environment.package, *options, "--dry-run", "--json").json
        assert told["changed"] is True
        assert "its record is gone" in told["notes"][0]
    assert without_ours(snapshot(environment.site)) == installed
    assert cczoo(environment.package, "--json").json["changed"] is False
    lose_record(environment.site)
    package = environment.package.rename(environment.site / "away") if not is_there else None
    assert cczoo(environment.package, "--revert").code == 0
    if package is not None:
        package.rename(environment.package)
    assert snapshot(environment.site) == stock


def test_a_hook_that_says_something_else_is_not_ours(environment: Environment, cczoo: Run) -> None:
    cczoo(environment.package)
    lose_record(environment.site)
    environment.hook.write_text(environment.hook.read_text() + "import thief\n")
    before = snapshot(environment.site)
    refused = cczoo(environment.package)
    assert refused.code == 4
    assert "no record says that it is ours" in refused.err
    assert cczoo(environment.package, "--revert", "--json").json["changed"] is False
    assert snapshot(environment.site) == before


def test_killed_at_every_step_of_taking_it_up(
    small_tree: Path, cczoo: Run, child_command: Callable[..., list[str]], patches: Path
) -> None:
    stock = snapshot(small_tree)
    argv = ["--openwebui-dir", str(small_tree), "--revert"]
    cczoo(small_tree, "--no-build")
    installed = without_ours(snapshot(small_tree))
    lose_record(small_tree)
    steps = steps_of(patches, *argv)
    assert "adopt:end" in steps
    for step in steps[: steps.index("adopt:end") + 2]:
        cczoo(small_tree, "--no-build")
        lose_record(small_tree)
        died = subprocess.run(
            child_command(small_tree, "--revert", at=step), capture_output=True, check=False
        )
        assert died.returncode == -9, step
        assert without_ours(snapshot(small_tree)) == installed
        assert cczoo(small_tree, "--revert").code == 0, step
        assert snapshot(small_tree) == stock, step


def test_every_shipped_patch_can_be_taken_out_of_what_it_made(pristine: Path) -> None:
    patches = patchset.load(patchset.default_root(), VERSION)
    originals = {name: (pristine / name).read_bytes() for name in patches.edited}
    for name, content in patches.patched(originals).items():
        assert patches.taken_out(name, content) == originals[name]
        assert patches.taken_out(name, content + b"mine\n") is None
        assert patches.taken_out(name, originals[name]) is None
        assert patches.taken_out(name, b"") is None
