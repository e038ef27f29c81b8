"""--merge: local edits in files that get hooks, put together with them by git."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cczoo_installer import source
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
    make_patch_set,
    snapshot,
    without_ours,
)

Run = Callable[..., Ran]


def edit(path: Path, text: str = "mine") -> None:
    """An edit at the end of a file, far from the hooks."""
    path.write_bytes(path.read_bytes() + f"// {text}\n".encode())


@pytest.fixture
def committed(small_tree: Path) -> Path:
    """A checkout of the version."""
    git(small_tree, "init", "-q")
    git(small_tree, "add", "-A")
    git(small_tree, "commit", "-q", "-m", "Release")
    git(small_tree, "tag", f"v{VERSION}")
    return small_tree


def test_an_edit_is_kept_beside_the_hook(
    committed: Path, cczoo: Run, fake_tools: FakeTools
) -> None:
    edit(committed / HOOKED_LAST)
    mine = without_ours(snapshot(committed))
    refused = cczoo(committed, "--no-build")
    assert refused.code == 4
    assert "Add --merge" in refused.err
    assert without_ours(snapshot(committed)) == mine

    assert cczoo(committed, "--merge", "--dry-run").code == 0
    assert without_ours(snapshot(committed)) == mine
    assert cczoo(committed, "--merge").code == 0
    text = (committed / HOOKED_LAST).read_text()
    assert "HOOK = 'probe'" in text
    assert text.endswith("// mine\n")
    assert "// mine" in (committed / "build/_app/app.js").read_text()
    status = cczoo(committed, "--status", "--json").json
    assert (status["state"], status["current"]) == ("installed", True)
    for options in ([], ["--merge"]):
        assert cczoo(committed, *options, "--json").json["changed"] is False

    assert cczoo(committed, "--revert").code == 0
    assert without_ours(snapshot(committed)) == mine


def test_an_edit_that_was_merged_is_merged_into_the_next_kit(
    committed: Path, cczoo: Run, pristine: Path, tmp_path: Path
) -> None:
    edit(committed / HOOKED_LAST)
    mine = without_ours(snapshot(committed))
    cczoo(committed, "--merge", "--no-build")
    newer = make_patch_set(tmp_path / "newer", pristine, "newer")
    assert cczoo(committed, "--no-build", with_patches=newer).code == 0
    text = (committed / HOOKED_LAST).read_text()
    assert "HOOK = 'newer'" in text
    assert "probe" not in text
    assert text.endswith("// mine\n")
    assert cczoo(committed, "--revert", with_patches=newer).code == 0
    assert without_ours(snapshot(committed)) == mine


def test_a_conflict_stops_it_before_anything_changes(committed: Path, cczoo: Run) -> None:
    edit(committed / HOOKED_LAST)
    lines = (committed / HOOKED_TOO).read_text().splitlines(keepends=True)
    lines[4:6] = ["<!-- mine, where the hook goes -->\n"]
    (committed / HOOKED_TOO).write_text("".join(lines))
    before = snapshot(committed)
    refused = cczoo(committed, "--merge", "--no-build")
    assert refused.code == 4
    assert f"at the same place of {HOOKED_TOO}." in refused.err
    assert snapshot(committed) == before


@pytest.mark.parametrize("content", [b"", b"\x00\xff binary \x00", b"no line of it is upstream's"])
def test_what_cannot_be_merged_is_refused(committed: Path, cczoo: Run, content: bytes) -> None:
    (committed / HOOKED_LAST).write_bytes(content)
    before = snapshot(committed)
    assert cczoo(committed, "--merge", "--no-build").code == 4
    assert snapshot(committed) == before


def test_a_huge_file_is_not_read(committed: Path, cczoo: Run) -> None:
    with (committed / HOOKED_LAST).open("r+b") as stream:
        stream.truncate(1 << 40)
    refused = cczoo(committed, "--merge", "--no-build")
    assert refused.code == 4
    assert HOOKED_LAST in refused.err


def test_a_file_that_is_gone_is_no_edit_to_merge(committed: Path, cczoo: Run) -> None:
    (committed / HOOKED_LAST).unlink()
    refused = cczoo(committed, "--merge", "--no-build")
    assert refused.code == 4
    assert HOOKED_LAST in refused.err


def test_upstreams_file_is_taken_by_its_hash_whatever_a_tag_says(
    committed: Path, cczoo: Run
) -> None:
    """A tag that was moved: HEAD has the file, or nobody does."""
    upstream = (committed / HOOKED_LAST).read_bytes()
    edit(committed / HOOKED_LAST, "evil")
    git(committed, "commit", "-q", "-a", "-m", "Other")
    git(committed, "tag", "-f", f"v{VERSION}")
    (committed / HOOKED_LAST).write_bytes(upstream)
    git(committed, "commit", "-q", "-a", "-m", "As it was")
    edit(committed / HOOKED_LAST)
    assert cczoo(committed, "--merge", "--no-build").code == 0
    assert "evil" not in (committed / HOOKED_LAST).read_text()
    assert "// mine" in (committed / HOOKED_LAST).read_text()


def test_without_a_repository_the_source_archive_has_upstreams_file(
    small_tree: Path, cczoo: Run, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(small_tree / HOOKED_LAST)
    monkeypatch.setattr(source, "fetch", lambda *_arguments, **_options: archive)
    assert cczoo(small_tree, "--merge", "--no-build").code == 0
    assert "HOOK = 'probe'" in (small_tree / HOOKED_LAST).read_text()
    assert "// mine" in (small_tree / HOOKED_LAST).read_text()


def test_file_of_an_archive(archive: Path, pristine: Path) -> None:
    assert source.file_of(archive, HOOKED) == (pristine / HOOKED).read_bytes()
    assert source.file_of(archive, "no/such/file") is None
    assert source.file_of(archive, "src") is None


def test_a_trustee_has_no_archive(trustee: Case, cczoo: Run) -> None:
    edit(trustee.root / trustee.file)
    before = snapshot(trustee.root)
    refused = cczoo(trustee, "--merge")
    assert refused.code == 4
    assert "git fetch --tags" in refused.err
    assert snapshot(trustee.root) == before


def test_a_trustee_in_a_checkout(trustee: Case, cczoo: Run) -> None:
    git(trustee.root, "init", "-q")
    git(trustee.root, "add", "-A")
    git(trustee.root, "commit", "-q", "-m", "Release")
    edit(trustee.root / trustee.file)
    mine = without_ours(snapshot(trustee.root))
    assert cczoo(trustee, "--merge").code == 0
    assert (trustee.root / trustee.file).read_text().endswith("// mine\n")
    assert cczoo(trustee, "--revert").code == 0
    assert without_ours(snapshot(trustee.root)) == mine


def test_a_package_has_nothing_to_merge(environment: Environment, cczoo: Run) -> None:
    assert cczoo(environment.package, "--merge").code == 2


def test_without_git(
    committed: Path, cczoo: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    edit(committed / HOOKED_LAST)
    monkeypatch.setenv("PATH", str(tmp_path))
    before = snapshot(committed)
    refused = cczoo(committed, "--merge", "--no-build")
    assert refused.code == 6
    assert "git is not installed" in refused.err
    assert snapshot(committed) == before
