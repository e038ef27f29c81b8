"""What kit 0.1.0 left in a tree, with its overlay of added files: taken back, and replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from installer_kit import (
    OVERLAY,
    FakeTools,
    Ran,
    install_as_kit_0_1_0,
    snapshot,
    write_files,
)

Run = Callable[..., Ran]


def test_it_is_recognised_and_taken_back(small_tree: Path, patches: Path, cczoo: Run) -> None:
    stock = snapshot(small_tree)
    install_as_kit_0_1_0(small_tree, patches)
    status = cczoo(small_tree, "--status", "--json").json
    assert (status["state"], status["kit"], status["current"]) == ("installed", "0.1.0", False)
    reverted = cczoo(small_tree, "--revert", "--json")
    assert reverted.code == 0
    assert reverted.json["added"] == sorted(OVERLAY)
    assert snapshot(small_tree) == stock


def test_it_is_replaced(small_tree: Path, patches: Path, cczoo: Run, fake_tools: FakeTools) -> None:
    write_files(small_tree / "build", {"index.html": "the user's own"})
    stock = snapshot(small_tree)
    install_as_kit_0_1_0(small_tree, patches, build=True)
    done = cczoo(small_tree)
    assert done.code == 0
    assert "Replaces what kit 0.1.0 had installed." in done.out
    assert not any((small_tree / name).exists() for name in OVERLAY)
    assert not (small_tree / "src/lib/tee").exists()
    built = (small_tree / "build/_app/app.js").read_text()
    assert "export const HOOK = 'probe';" in built
    assert "export const older" not in built
    assert cczoo(small_tree, "--status", "--json").json["current"] is True
    assert cczoo(small_tree, "--revert").code == 0
    assert snapshot(small_tree) == stock


@pytest.mark.parametrize("options", [["--revert"], ["--no-build"]])
def test_an_edit_of_an_added_file_is_not_lost(
    small_tree: Path, patches: Path, cczoo: Run, options: list[str]
) -> None:
    install_as_kit_0_1_0(small_tree, patches)
    ours = small_tree / "src/lib/tee/session.ts"
    ours.write_text("// mine\n")
    before = snapshot(small_tree)
    refused = cczoo(small_tree, *options)
    assert refused.code == 4
    assert "src/lib/tee/session.ts" in refused.err
    assert snapshot(small_tree) == before
    ours.rename(small_tree / "src/lib/tee/mine.ts")
    assert cczoo(small_tree, *options).code == 0
    assert (small_tree / "src/lib/tee/mine.ts").read_text() == "// mine\n"
    assert not (small_tree / "src/lib/tee/dcap").exists()


def test_byte_code_of_added_files_goes_with_them(
    small_tree: Path, patches: Path, cczoo: Run
) -> None:
    stock = snapshot(small_tree)
    install_as_kit_0_1_0(small_tree, patches)
    compiled = small_tree / "backend/open_webui/routers/__pycache__"
    compiled.mkdir()
    (compiled / "tee.cpython-311.pyc").write_bytes(b"compiled")
    (compiled / "utils.cpython-311.pyc").write_bytes(b"theirs")
    assert cczoo(small_tree, "--revert").code == 0
    (compiled / "utils.cpython-311.pyc").unlink()
    compiled.rmdir()
    assert snapshot(small_tree) == stock


def test_byte_code_behind_a_link_is_not_ours(
    small_tree: Path, patches: Path, cczoo: Run, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/tee.cpython-311.pyc").write_bytes(b"theirs")
    (small_tree / "backend/open_webui/routers/__pycache__").symlink_to(tmp_path / "outside")
    stock = snapshot(small_tree)
    install_as_kit_0_1_0(small_tree, patches)
    assert cczoo(small_tree, "--revert").code == 0
    assert snapshot(small_tree) == stock
    assert (tmp_path / "outside/tee.cpython-311.pyc").read_bytes() == b"theirs"
