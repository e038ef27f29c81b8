"""uv, which installs all packages: several times as fast as pip, and from a cache of its own.

Uses nothing but the standard library.
"""

from __future__ import annotations

import ast
import functools
import os
import re
import shutil
import threading
from pathlib import Path

from preparation.content import cache_directory, digest, keyed
from preparation.editions import REPO
from preparation.machine import find_python, version_of
from preparation.steps import Part, answer_of, run

DEV_LOCK = REPO / "tools" / "locks" / "dev.txt"


def _uv_pin() -> str:
    return next(line for line in DEV_LOCK.read_text().splitlines() if line.startswith("uv=="))


def _uv_folder() -> Path:
    return cache_directory() / "venv" / f"uv-{digest(version_of(find_python()), _uv_pin())}"


def uv_part() -> Part:
    """uv, which installs all the other packages: several times as fast as pip, and from a cache."""
    folder = _uv_folder()

    def make() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        run([find_python(), "-m", "venv", folder])
        python = folder / "bin" / "python"
        run([python, "-m", "pip", "--disable-pip-version-check", "install", "-q", _uv_pin()])

    return keyed(
        "uv", "the installer of packages", folder, lambda: "1", make, download=25, disk=110
    )


@functools.cache
def _uv_environment() -> dict[str, str]:
    """Keep uv's downloads in our cache, and let it use the package index that pip was told of.

    uv reads no pip configuration, and many machines reach their index only through one.
    """
    env = {"UV_CACHE_DIR": str(cache_directory() / "uv"), "UV_PYTHON_DOWNLOADS": "never"}
    listing = answer_of([_uv_folder() / "bin" / "python", "-m", "pip", "config", "list"])
    for pip_name, uv_name in {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE"}.items():
        for value in re.findall(rf"(?m)^\S*\.{pip_name}=('.*')$", listing):
            env[uv_name] = ast.literal_eval(value)
    return {**env, **os.environ}


_uv_environment_lock = threading.Lock()


def uv(*arguments: str | Path, **more: str) -> None:
    """Run uv quietly; ``more`` are environment variables."""
    with _uv_environment_lock:
        env = _uv_environment()
    command = [_uv_folder() / "bin" / "uv", "--quiet", "--no-progress", *arguments]
    run(command, cwd=REPO, env={**env, **more})


def make_venv(folder: Path, base: str) -> Path:
    """A fresh virtual environment of the interpreter ``base``; returns its own."""
    shutil.rmtree(folder, ignore_errors=True)
    uv("venv", "--no-project", "--python", base, folder)
    return folder / "bin" / "python"


def install(python: Path, *arguments: str | Path, **more: str) -> None:
    """Install packages into the environment of ``python``; ``more`` are environment variables."""
    uv("pip", "install", "--python", python, *arguments, **more)


def install_pinned(folder: Path, requirements: str, *options: str) -> None:
    """Install these very packages and no others into the environment in ``folder``."""
    file = folder / "requirements.txt"
    file.write_text(requirements)
    install(folder / "bin" / "python", "--no-deps", *options, "-r", file)


def site_packages(folder: Path) -> Path:
    """Where an environment keeps its packages."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(answer_of([folder / "bin" / "python", "-c", code]))
