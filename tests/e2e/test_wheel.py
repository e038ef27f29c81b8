"""The kit as users install it: from its wheel, which carries the page and the patches along."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from cczoo_installer import patchset, source
from cczoo_installer.install import cache_root
from cczoo_installer.report import Reporter

from e2e.editions import Edition
from e2e.stack import REPO

# The wheel is the same for every edition: once a run of the suites is enough.
pytestmark = pytest.mark.way("source")

UV = Path(sys.executable).with_name("uv")
RUN_SECONDS = 300
# `bootstrap.py wheel` made it with open-webui's environments.
WHEELS = REPO / "out" / "wheel"


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    """What a command prints; it must succeed. The checkout is not on its path."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=inherited | env,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def wheel() -> Path:
    (found,) = WHEELS.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run a command where there is this wheel, what it asks for, git, and nothing else."""
    folder = tmp_path_factory.mktemp("fresh")
    run(UV, "venv", "--quiet", "--python", sys.executable, folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    pins = REPO / "tools" / "locks" / "dev.txt"
    run(UV, "pip", "install", "--quiet", "--python", python, "-c", pins, wheel, cwd=folder)
    (python.parent / "git").symlink_to(str(shutil.which("git")))
    assert shutil.which("node", path=python.parent) is None
    return partial(run, cwd=folder, PATH=str(python.parent))


def test_the_wheel_has_every_package_and_the_page_that_was_built(wheel: Path) -> None:
    built = REPO / "web" / "dist"
    manifest = json.loads((built / "manifest.json").read_bytes())
    with zipfile.ZipFile(wheel) as archive:
        page = {
            name.rpartition("/")[2]: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if name.startswith("cczoo_backend/page/") and not name.endswith("/")
        }
        packages = {str(Path(n).parent) for n in archive.namelist() if n.endswith("__init__.py")}
    assert page.pop("manifest.json")
    assert page.pop("LICENSES.txt")
    assert page == manifest["files"]
    settings = tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["setuptools"]
    rooms = (REPO / settings["package-dir"][name] for name in ("quote_generator", "cczoo_backend"))
    folders = {
        room.name + str(path.parent)[len(str(room)) :]
        for room in rooms
        for path in room.rglob("__init__.py")
    }
    assert folders <= {name.replace(".", "/") for name in settings["packages"]} == packages


def test_the_backend_finds_its_page_in_the_wheel(fresh: Callable[..., str]) -> None:
    code = "from cczoo_backend.bundle import find_bundle; print(find_bundle().loader)"
    manifest = json.loads((REPO / "web" / "dist" / "manifest.json").read_bytes())
    assert fresh("python", "-c", code) == manifest["loader"]


def test_its_commands_run_where_there_is_no_node(fresh: Callable[..., str]) -> None:
    version = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["version"]
    assert "--openwebui-dir" in fresh("cczoo-install", "--help")
    assert fresh("cczoo-install", "--version").endswith(version)


def test_the_wheel_carries_this_very_patch_set_and_takes_it_back(
    fresh: Callable[..., str], tmp_path: Path, edition: Edition
) -> None:
    patches = patchset.load(patchset.default_root(), edition.version)
    with open(os.devnull, "w") as silence:
        archive = source.fetch(
            edition.version, patches.sdist_sha256, cache_root(), reporter=Reporter(silence)
        )
    tree = tmp_path / "open-webui"
    source.unpack(archive, tree)
    before = {p.relative_to(tree): p.read_bytes() for p in tree.rglob("*") if p.is_file()}

    command = ("cczoo-install", "--openwebui-dir", tree, "--json")
    fresh(*command, "--no-build")
    assert "cczoo_backend" in (tree / "backend/open_webui/main.py").read_text()
    status = json.loads(fresh(*command, "--status"))
    assert (status["state"], status["patch_set"]) == ("installed", patches.digest)

    fresh(*command, "--revert")
    after = {p.relative_to(tree): p.read_bytes() for p in tree.rglob("*") if p.is_file()}
    assert after == before


def test_two_checkouts_make_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    listing = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=REPO)
    built = [str(path.relative_to(REPO)) for path in (REPO / "web" / "dist").iterdir()]
    for name in (*listing.rstrip("\0").split("\0"), *built):
        if (REPO / name).is_file():
            copy = tmp_path / "another place" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((REPO / name).read_bytes())
            copy.chmod(0o600)
    run(sys.executable, "tools/bootstrap.py", "wheel", cwd=tmp_path / "another place")
    (again,) = (tmp_path / "another place" / "out" / "wheel").glob("*.whl")
    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()


def test_without_the_page_no_wheel_is_made(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copyfile(REPO / name, tmp_path / name)
    for name in ("quote_generator", "backend", "installer", "patches", "verifier"):
        ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.o")
        shutil.copytree(REPO / name, tmp_path / name, ignore=ignored)
    pins = REPO / "tools" / "locks" / "dev.txt"
    command = (UV, "build", "--wheel", "--python", sys.executable, "-b", pins, tmp_path)
    with pytest.raises(AssertionError, match="make wheel"):
        run(*command, cwd=tmp_path)
    run(*command, cwd=tmp_path, CCZOO_WHEEL_WITHOUT_PAGE="1")
    (made,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(made) as archive:
        assert not [name for name in archive.namelist() if "/page/" in name]
