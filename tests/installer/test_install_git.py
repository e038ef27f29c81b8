"""Trees that are git checkouts, lie in somebody else's repository, or meet odd git settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from installer_kit import HOOKED, VERSION, Ran, git, snapshot

Run = Callable[..., Ran]


def repository(folder: Path, tag: str | None = None) -> str:
    """Commit everything in `folder`; returns the commit."""
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Everything")
    if tag:
        git(folder, "tag", tag)
    return git(folder, "rev-parse", "HEAD").strip()


def git_state(folder: Path) -> dict[str, bytes]:
    """The files of a repository that a careless tool would touch."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted((folder / ".git").rglob("*"))
        if path.is_file()
    }


def test_checkout(small_tree: Path, cczoo: Run) -> None:
    commit = repository(small_tree, f"v{VERSION}")
    before, state = snapshot(small_tree), git_state(small_tree)

    assert cczoo(small_tree, "--no-build").code == 0
    status = cczoo(small_tree, "--status", "--json").json
    assert (status["commit"], status["tag"]) == (commit, f"v{VERSION}")
    shown = cczoo(small_tree, "--status").out
    assert f"v{VERSION}" in shown
    assert commit[:12] in shown
    assert git_state(small_tree) == state

    # Our own folder does not show in the user's `git status`; what we changed does.
    changes = git(small_tree, "status", "--porcelain", "--untracked-files=all")
    assert f" M {HOOKED}\n" in changes
    assert "??" not in changes
    assert ".cczoo-install" not in changes

    # `git status` refreshes the index's time stamps, so from here on compare the tree only.
    assert cczoo(small_tree, "--revert").code == 0
    assert git(small_tree, "status", "--porcelain", "--untracked-files=all") == ""
    assert {k: v for k, v in snapshot(small_tree).items() if not k.startswith(".git/")} == {
        k: v for k, v in before.items() if not k.startswith(".git/")
    }


def test_checkout_with_an_edit_names_the_git_command(small_tree: Path, cczoo: Run) -> None:
    repository(small_tree)
    (small_tree / HOOKED).write_text("mine\n")
    refused = cczoo(small_tree, "--no-build")
    assert refused.code == 4
    assert f"git checkout v{VERSION} -- FILE" in refused.err


def test_advice_for_a_checkout_with_converted_line_ends_works(small_tree: Path, cczoo: Run) -> None:
    """`git checkout` alone would bring CRLF back."""
    repository(small_tree, f"v{VERSION}")
    before = (small_tree / HOOKED).read_bytes()
    git(small_tree, "config", "core.autocrlf", "true")
    (small_tree / HOOKED).unlink()
    git(small_tree, "checkout", f"v{VERSION}", "--", HOOKED)
    assert b"\r\n" in (small_tree / HOOKED).read_bytes()

    refused = cczoo(small_tree, "--no-build")
    assert refused.code == 4
    assert "Only the line ends differ (CRLF)" in refused.err
    assert (
        f"`git config core.autocrlf false`, then `git checkout v{VERSION} -- FILE`" in refused.err
    )
    git(small_tree, "config", "core.autocrlf", "false")
    git(small_tree, "checkout", f"v{VERSION}", "--", HOOKED)
    assert (small_tree / HOOKED).read_bytes() == before
    assert cczoo(small_tree, "--no-build").code == 0


def test_checkout_undone_by_git_is_installed_again(small_tree: Path, cczoo: Run) -> None:
    repository(small_tree)
    cczoo(small_tree, "--no-build")
    git(small_tree, "checkout", "--", HOOKED)
    assert cczoo(small_tree, "--status", "--json").json["modified"] == [HOOKED]
    assert cczoo(small_tree, "--no-build", "--json").json["changed"] is True
    assert "# probe: hooked" in (small_tree / HOOKED).read_text()
    assert cczoo(small_tree, "--revert").code == 0
    assert git(small_tree, "status", "--porcelain") == ""


@pytest.mark.parametrize("tracked", [False, True])
def test_inside_somebody_elses_repository(
    small_tree: Path, cczoo: Run, tmp_path: Path, tracked: bool
) -> None:
    outer = tmp_path
    (outer / ".gitignore").write_text("" if tracked else "open-webui\npatches\n")
    commit = repository(outer)
    state, before = git_state(outer), snapshot(small_tree)

    assert cczoo(small_tree, "--no-build").code == 0
    assert "# probe: hooked" in (small_tree / HOOKED).read_text()
    status = cczoo(small_tree, "--status", "--json").json
    assert status["state"] == "installed"
    assert status["commit"] is None, "the outer repository's commit says nothing on open-webui"
    assert git_state(outer) == state
    assert cczoo(small_tree, "--revert").code == 0
    assert snapshot(small_tree) == before
    assert git_state(outer) == state
    assert git(outer, "rev-parse", "HEAD").strip() == commit


def test_scratch_folder_inside_a_repository_and_hostile_settings(
    small_tree: Path, cczoo: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run from a git hook has GIT_DIR set; settings may ask to mend white space."""
    outer = tmp_path / "outer"
    (outer / "tmp").mkdir(parents=True)
    (outer / "file").write_text("theirs\n")
    repository(outer)
    state = git_state(outer)
    settings = tmp_path / "gitconfig"
    settings.write_text("[core]\n\tautocrlf = true\n[apply]\n\twhitespace = fix\n")
    monkeypatch.setenv("TMPDIR", str(outer / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("GIT_DIR", str(outer / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(outer))
    monkeypatch.setenv("GIT_INDEX_FILE", str(outer / ".git/index"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))

    assert cczoo(small_tree, "--no-build").code == 0
    content = (small_tree / HOOKED).read_bytes()
    assert b"# probe: hooked\n" in content
    assert b"\r" not in content
    assert git_state(outer) == state
    assert list((outer / "tmp").iterdir()) == []


def test_broken_repository_is_no_obstacle(small_tree: Path, cczoo: Run) -> None:
    (small_tree / ".git").write_text("gitdir: /nowhere/at/all\n")
    assert cczoo(small_tree, "--no-build").code == 0
    status = cczoo(small_tree, "--status", "--json")
    assert (status.code, status.json["commit"]) == (0, None)


def test_without_git(
    small_tree: Path, cczoo: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = snapshot(small_tree)
    monkeypatch.setenv("PATH", str(tmp_path))
    refused = cczoo(small_tree, "--no-build")
    assert refused.code == 6
    assert "git" in refused.err
    assert snapshot(small_tree) == before
