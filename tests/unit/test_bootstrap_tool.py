"""The parts of `tools/bootstrap.py` that decide something; every make target runs the rest."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BOOTSTRAP = Path(__file__).resolve().parents[2] / "tools" / "bootstrap.py"


@pytest.fixture
def bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cczoo_bootstrap", BOOTSTRAP)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_needs_nothing_but_the_standard_library() -> None:
    # -I -S: no site-packages, no user site, as on a machine where nothing was installed.
    command = [sys.executable, "-I", "-S", str(BOOTSTRAP), "--help"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0
    assert "webui" in answer.stdout


def test_a_part_is_made_again_when_its_sources_change(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bootstrap, "REPO", tmp_path)
    source = tmp_path / "kit"
    source.mkdir()
    (source / "a.py").write_text("1")
    before = bootstrap.digest(source)
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "a.pyc").write_text("compiled")
    assert bootstrap.digest(source) == before
    (source / "a.py").write_text("2")
    changed = bootstrap.digest(source)
    assert changed != before
    (source / "a.py").rename(source / "b.py")
    assert bootstrap.digest(source) not in {before, changed}


def test_an_interrupted_installation_is_not_current(bootstrap: ModuleType, tmp_path: Path) -> None:
    assert not bootstrap.is_current(tmp_path, "key")
    bootstrap.mark_current(tmp_path, "key")
    assert bootstrap.is_current(tmp_path, "key")
    assert not bootstrap.is_current(tmp_path, "another key")


@pytest.fixture
def something_missing(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = {"fuse": (lambda: False, ("cczoo-no-such-package", "util-linux"))}
    monkeypatch.setattr(bootstrap, "SYSTEM_NEEDS", needs)


@pytest.mark.usefixtures("something_missing")
def test_without_root_the_exact_command_is_named(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 1000)
    with pytest.raises(bootstrap.BootstrapError) as caught:
        bootstrap.system(["fuse"])
    assert "sudo apt-get install -y --no-install-recommends util-linux" in " ".join(
        str(caught.value).replace("&& ", "\n").splitlines()
    )


@pytest.mark.usefixtures("something_missing")
def test_elsewhere_than_on_debian_the_packages_are_named(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    with pytest.raises(bootstrap.BootstrapError, match="util-linux"):
        bootstrap.system(["fuse"])


def test_a_failing_command_is_named(bootstrap: ModuleType) -> None:
    with pytest.raises(bootstrap.BootstrapError, match="exit code 3"):
        bootstrap.run([sys.executable, "-c", "raise SystemExit(3)"])


def test_without_node_the_version_is_named(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    with pytest.raises(bootstrap.BootstrapError, match=r"Node\.js 20"):
        bootstrap.check_node()


@pytest.mark.parametrize("version", ["18.20.4", "20.18.9", "21.7.0", "22.12.0", "23.0.0", ""])
def test_a_node_of_another_version_is_refused_before_any_download(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str
) -> None:
    put_node(tmp_path, version)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(bootstrap.BootstrapError, match=version or "does not start"):
        bootstrap.check_node()


@pytest.mark.parametrize("version", ["20.19.0", "20.20.2", "22.13.0", "22.99.1"])
def test_a_node_that_builds_is_taken(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str
) -> None:
    put_node(tmp_path, version)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    bootstrap.check_node()


def put_node(folder: Path, version: str) -> None:
    """A `node` that says it has this version, and an `npm`."""
    for name in ("node", "npm"):
        (folder / name).write_text(f"#!/bin/sh\necho {version}\n")
        (folder / name).chmod(0o755)


def test_without_root_the_tests_say_so_first(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 1000)
    with pytest.raises(bootstrap.BootstrapError, match="sudo make test"):
        bootstrap.check_privileges()


def test_a_python_that_does_not_start_is_passed_over(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # A version manager's shim exists but fails when that version is not selected.
    for name in ("python3.11", "python3.12"):
        shim = tmp_path / name
        shim.write_text("#!/bin/sh\nexit 127\n")
        shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(bootstrap.sys, "executable", str(tmp_path / "python3.12"))
    with pytest.raises(bootstrap.BootstrapError, match=r"Python 3\.11 or 3\.12 is needed"):
        bootstrap.find_python()
