"""What the machine has to bring: Python, Node.js, rights, and the system's packages.

Uses nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from preparation.steps import BootstrapError, answer_of, run, say

# What the kit needs at least (pyproject.toml), and those that open-webui and its locks are for.
OLDEST_PYTHON = (3, 11)
WEBUI_PYTHONS = ((3, 11), (3, 12))


# --- Python -------------------------------------------------------------------------------------


@functools.cache
def find_python() -> str:
    """An interpreter for the kit: the one that runs this, if it is new enough."""
    found = _first_python(lambda version: version >= OLDEST_PYTHON)
    return found or _no_python("Python 3.11 or newer is needed")


@functools.cache
def find_webui_python() -> str:
    """An interpreter for open-webui, which takes no later one than the kit does."""
    found = _first_python(lambda version: version in WEBUI_PYTHONS)
    return found or _no_python("open-webui needs Python 3.11 or 3.12")


def _first_python(fits: Callable[[tuple[int, ...]], bool]) -> str | None:
    candidates = [sys.executable, *(f"python{major}.{minor}" for major, minor in WEBUI_PYTHONS)]
    versions = ((candidate, _series_of(candidate)) for candidate in candidates)
    return next((name for name, series in versions if series and fits(series)), None)


def _series_of(python: str) -> tuple[int, ...]:
    """Such as (3, 11); empty for one that does not really start (a pyenv shim may not)."""
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        major, minor = version_of(python).removeprefix("Python ").split(".")[:2]
        return int(major), int(minor)
    return ()


def _no_python(what: str) -> NoReturn:
    raise BootstrapError(
        f"{what}; this is {platform.python_version()}. Install one (Debian 12: `apt-get install "
        "python3 python3-venv python3-dev`), or name it: `make PYTHON=/path/to/python3.11 ...`."
    )


@functools.cache
def version_of(python: str) -> str:
    """Such as "Python 3.11.7"; environments are for one version."""
    return answer_of([python, "-V"])


# --- Node.js and rights -------------------------------------------------------------------------


def check_node() -> None:
    """Say at once what would otherwise show after the large downloads."""
    node, npm = shutil.which("node"), shutil.which("npm")
    found = "none was found on PATH"
    if node and npm:
        version = ""
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            version = answer_of([node, "-p", "process.versions.node"])
        found = f"this is {version or 'one that does not start'}"
        parts = version.split(".")
        if len(parts) == 3 and all(part.isdecimal() for part in parts):
            major_minor = (int(parts[0]), int(parts[1]))
            if (20, 19) <= major_minor < (21, 0) or (22, 13) <= major_minor < (23, 0):
                return
    raise BootstrapError(
        f"Node.js 20 (from 20.19) or 22 (from 22.13) with npm is needed; {found}. Install it from "
        "the Node.js project's builds (distributions often have an older one), then try again."
    )


def check_privileges() -> None:
    """The tests emulate the kernel's interface by FUSE, in a mount namespace of their own."""
    if os.geteuid() != 0 or not Path("/dev/fuse").exists():
        raise BootstrapError(
            "the tests need root and /dev/fuse, to emulate the kernel's TDX interface at its real "
            "paths in a mount namespace of their own: run `sudo make test` on a machine, or in a "
            "container with --device /dev/fuse and CAP_SYS_ADMIN. `make unit web` needs neither."
        )


# --- The system's packages ----------------------------------------------------------------------


def _has_command(*names: str) -> bool:
    return any(shutil.which(name) for name in names)


def _has_library(soname: str) -> bool:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return soname in answer_of([shutil.which("ldconfig") or "/sbin/ldconfig", "-p"])
    return False


def _has_font(file: str) -> bool:
    return any(Path("/usr/share/fonts").rglob(file))


def _has_python_headers() -> bool:
    code = (
        "import sysconfig, os, ensurepip; p = sysconfig.get_path('include'); "
        "raise SystemExit(not os.path.exists(os.path.join(p, 'Python.h')))"
    )
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        answer_of([find_python(), "-c", code])
        return True
    return False


def _has_libfuzzer() -> bool:
    name = f"libclang_rt.fuzzer-{platform.machine()}.a"
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return Path(answer_of(["clang", f"-print-file-name={name}"])).is_absolute()
    return False


# What is looked for, and the Debian or Ubuntu packages that bring it: the first known one is taken.
SYSTEM_NEEDS: dict[str, tuple[Callable[[], bool], tuple[str, ...]]] = {
    "compiler": (lambda: _has_command("cc", "gcc"), ("gcc",)),
    "libc headers": (lambda: Path("/usr/include/stdlib.h").exists(), ("libc6-dev",)),
    "git": (lambda: _has_command("git"), ("git",)),
    "python": (_has_python_headers, ("python3-dev",)),
    "python venv": (_has_python_headers, ("python3-venv",)),
    "clang": (lambda: _has_command("clang"), ("clang",)),
    # Where no package has it by itself, it comes with clang (Ubuntu 22.04).
    "libfuzzer": (_has_libfuzzer, ("libclang-rt-dev", "clang")),
    "unshare": (lambda: _has_command("unshare"), ("util-linux",)),
    "libfuse2": (lambda: _has_library("libfuse.so.2"), ("libfuse2t64", "libfuse2")),
    "chromium": (lambda: Path("/usr/bin/chromium").exists(), ("chromium",)),
    "firefox": (lambda: _has_command("firefox-esr"), ("firefox-esr",)),
    "webkit": (lambda: _has_command("WebKitWebDriver"), ("webkit2gtk-driver",)),
    "xvfb": (lambda: _has_command("Xvfb"), ("xvfb",)),
    "chinese letters": (lambda: _has_font("wqy-microhei.ttc"), ("fonts-wqy-microhei",)),
    "nginx": (lambda: _has_command("nginx", "/usr/sbin/nginx"), ("nginx-light", "nginx")),
    "caddy": (lambda: _has_command("caddy"), ("caddy",)),
    "systemd": (lambda: _has_command("systemd-analyze"), ("systemd",)),
    "curl": (lambda: _has_command("curl"), ("curl",)),
    "openssl": (lambda: _has_command("openssl"), ("openssl",)),
    "ip": (lambda: _has_command("ip", "/sbin/ip"), ("iproute2",)),
    "qemu": (lambda: _has_command("qemu-system-x86_64"), ("qemu-system-x86",)),
    "busybox": (lambda: _has_command("busybox"), ("busybox-static",)),
    "cpio": (lambda: _has_command("cpio"), ("cpio",)),
    "make": (lambda: _has_command("make"), ("make",)),
    "xz": (lambda: _has_command("xz"), ("xz-utils",)),
    "mke2fs": (lambda: _has_command("mke2fs", "/sbin/mke2fs"), ("e2fsprogs",)),
}
BROWSERS = ("chromium", "firefox", "webkit", "xvfb")
FOR_BUILDING = ("compiler", "libc headers", "git", "python", "python venv")
FOR_FUZZING = (*FOR_BUILDING, "clang", "libfuzzer")
FOR_UNIT_TESTS = (*FOR_BUILDING, "nginx", "caddy", "systemd")
FOR_PAGES = ("nginx", "caddy", "systemd", "curl", "openssl", "ip")  # what docs/deploy.md has
FOR_TESTING = (*FOR_FUZZING, "unshare", "libfuse2", *FOR_PAGES, *BROWSERS)
FOR_PICTURES = (*FOR_TESTING, "chinese letters")
FOR_KERNEL = (*FOR_BUILDING, "qemu", "busybox", "cpio", "make", "xz", "mke2fs")


def missing_needs(needs: Sequence[str]) -> list[str]:
    """Those of the needs that are not met; none are known elsewhere than on Linux."""
    if not sys.platform.startswith("linux"):
        return []
    return [need for need in needs if not SYSTEM_NEEDS[need][0]()]


def system(needs: Sequence[str]) -> None:
    """Install missing system packages when root, else name the exact command."""
    missing = missing_needs(needs)
    if not missing:
        return
    if not shutil.which("apt-get"):
        names = " ".join(SYSTEM_NEEDS[need][1][-1] for need in missing)
        raise BootstrapError(f"missing: {names} (Debian's names). Install them, then try again.")
    if os.geteuid() != 0:
        names = " ".join(_known_package(SYSTEM_NEEDS[need][1]) for need in missing)
        raise BootstrapError(
            f"missing system packages. Run this, then try again:\n"
            f"    sudo apt-get update && sudo apt-get install -y --no-install-recommends {names}"
        )
    quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    say("reading the system's package lists")
    run(["apt-get", "-qq", "update"], env=quietly)
    packages = [_known_package(SYSTEM_NEEDS[need][1]) for need in missing]
    say("installing system packages: " + " ".join(packages))
    run(
        ["apt-get", "-qq", "-y", "--no-install-recommends", "install", *packages],
        env=quietly,
    )
    still = missing_needs(missing)
    if still:
        raise BootstrapError(
            f"still missing after installing {' '.join(packages)}: {', '.join(still)}."
        )


def _known_package(names: Sequence[str]) -> str:
    """The first of ``names`` that this system's package lists can install."""
    for name in names:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            answer = answer_of(["apt-cache", "policy", name])
            if "Candidate:" in answer and "Candidate: (none)" not in answer:
                return name
    return names[-1]
