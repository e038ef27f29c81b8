"""Trees, patch sets, tool doubles and runners for the installer's tests.

The trees are the real open-webui source: fetched once into the kit's cache, checked by hash.
Most tests use `small_tree`, the part of it that the installer ever looks at, and a patch set of
three hooks, so that they are quick and independent of the kit's own patches.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustee_kit
from cczoo_installer import __main__ as command_line
from cczoo_installer import install, patchset, source
from cczoo_installer.report import Reporter
from installer_kit import (
    BACKEND,
    CHILD,
    FAKE_NPM,
    HOOKED,
    HOOKED_LAST,
    HOOKED_TOO,
    OPEN_WEBUI,
    PLUGIN_VERSION,
    VERSION,
    Case,
    Environment,
    FakeTools,
    Ran,
    make_patch_set,
    say_version,
    write_files,
)


@pytest.fixture(scope="session")
def archive_of() -> Callable[[str], Path]:
    """Return a version's source archive, from the kit's cache or the package index."""

    def fetch(version: str) -> Path:
        sha256 = patchset.load(patchset.default_root(), version).sdist_sha256
        return source.fetch(version, sha256, install.cache_root(), reporter=Reporter(sys.stderr))

    return fetch


@pytest.fixture(scope="session")
def archive(archive_of: Callable[[str], Path]) -> Path:
    """The source archive of the version that most tests take."""
    return archive_of(VERSION)


@pytest.fixture(scope="session")
def pristine_of(
    archive_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Path]]:
    """Return a version's whole source tree, unpacked once. Only to be read and copied."""
    top = tmp_path_factory.mktemp("pristine")

    def unpack(version: str) -> Path:
        folder = top / f"open-webui-{version}"
        if not folder.exists():
            source.unpack(archive_of(version), folder)
        return folder

    yield unpack
    shutil.rmtree(top)


@pytest.fixture(scope="session")
def pristine(pristine_of: Callable[[str], Path]) -> Path:
    """The whole source tree of the version that most tests take."""
    return pristine_of(VERSION)


@pytest.fixture
def full_tree(pristine: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the whole source tree; bulky files that nobody edits are hard links."""

    def copy(origin: str, target: str) -> object:
        if "/static/" in origin:
            return os.link(origin, target)
        return shutil.copy2(origin, target)

    folder = tmp_path / "open-webui"
    shutil.copytree(pristine, folder, copy_function=copy)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def small_tree(pristine: Path, tmp_path: Path) -> Path:
    """The real files that the installer looks at, without most of src and static."""
    folder = tmp_path / "open-webui"
    for name in (
        *(path.name for path in pristine.iterdir() if path.is_file() and path.suffix != ".gif"),
        HOOKED,
        HOOKED_TOO,
        "backend/open_webui/routers/utils.py",
        HOOKED_LAST,
        "src/lib/index.ts",
        "static/robots.txt",
        "scripts/prepare-pyodide.js",
    ):
        if (pristine / name).exists():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(pristine / name, target)
    (folder / HOOKED).chmod(0o640)  # so that a lost mode shows
    return folder


@pytest.fixture
def trustee(tmp_path: Path) -> Case:
    """A Trustee of the touched lines: of the oldest version, whose patches touch the most files."""
    return trustee_kit.make_case(tmp_path, trustee_kit.VERSIONS[0])


@pytest.fixture
def patches(pristine: Path, tmp_path: Path) -> Path:
    """A small patch set: three hooks."""
    return make_patch_set(tmp_path / "patches", pristine)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """A real virtual environment with a small open_webui and a small kit in it."""
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python3*/site-packages")
    write_files(site / "open_webui", OPEN_WEBUI)
    write_files(site / "cczoo_backend", BACKEND)
    say_version(site, PLUGIN_VERSION)
    return Environment(folder / "bin" / "python", site)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of its own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("CCZOO_CACHE", str(folder))
    return folder


def as_case(where: Path | Case, patches: Path | None) -> Case:
    """A case as it is; a bare folder is an open-webui, to get `patches` (None: the kit's own)."""
    if isinstance(where, Case):
        return where
    return Case(where, where, patches or patchset.default_root(), HOOKED)


@pytest.fixture
def cczoo(patches: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run the command line in this process, by default with the small patch set."""

    def run(where: Path | Case, *options: str, with_patches: Path | None = patches) -> Ran:
        case = as_case(where, with_patches)
        capsys.readouterr()
        code = command_line.run(case.argv(*options), patches=case.patches)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def child_command(patches: Path, cache: Path) -> Callable[..., list[str]]:
    """The command line as a child process that can be stopped at a named step."""

    def command(where: Path | Case, *options: str, at: str = "", do: str = "kill") -> list[str]:
        case = as_case(where, patches)
        return [sys.executable, str(CHILD), str(case.patches), at, do, *case.argv(*options)]

    return command


@pytest.fixture
def fake_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTools:
    """Put doubles of node and npm on PATH; FAKE_NPM_DOES chooses how npm fares."""
    folder = tmp_path / "bin"
    folder.mkdir()
    tools = FakeTools(folder, tmp_path / "npm.log")
    (folder / "node").write_text("#!/bin/sh\necho ${FAKE_NODE_VERSION:-v20.19.5}\n")
    (folder / "npm").write_text(textwrap.dedent(FAKE_NPM))
    for name in ("node", "npm"):
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_NPM_LOG", str(tools.log))
    return tools
