"""What the extension module is made of: C sources here, and nothing at run time but libc.

What holds for the one that is built here holds for the wheel's, which another compiler makes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from preparation.content import cache_directory
from preparation.editions import REPO
from preparation.environments import the_wheel
from quote_generator.native import build_native

FOLDER = Path(build_native.__file__).parent
BUILD = """
from setuptools import setup
setup(
    name="core",
    script_args=["--quiet", "build_ext", "--inplace"],
    cffi_modules=["quote_generator/native/build_native.py:ffibuilder"],
)
"""


def build(checkout: Path, python: str | Path = sys.executable, **env: str) -> Path:
    """Build the module in a checkout of its own, as pip does; return its file."""
    sources = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(FOLDER, checkout / "quote_generator" / "native", ignore=sources)
    done = subprocess.run(
        [python, "-c", BUILD],
        cwd=checkout,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (module,) = (checkout / "quote_generator" / "native").glob("*.so")
    return module


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("checkout") / "one")


@pytest.fixture(scope="module", params=["built here", "in the wheel"])
def core(
    request: pytest.FixtureRequest, built: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    if request.param == "built here":
        return built
    return core_of(the_wheel(), tmp_path_factory.mktemp("wheel"))


def core_of(wheel: Path, folder: Path) -> Path:
    """Take the module out of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract("quote_generator/native/_tdx.abi3.so", folder))


def readelf(option: str, module: Path) -> str:
    command = ["readelf", option, "--wide", str(module)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_nothing_is_linked_but_libc(core: Path) -> None:
    needed = set(re.findall(r"\(NEEDED\).*\[(.+)\]", readelf("--dynamic", core)))
    assert "libc.so.6" in needed
    # libpthread is a part of libc; before glibc 2.34 it was a file of its own.
    assert needed <= {"libc.so.6", "libpthread.so.0"}


def test_it_is_hardened(core: Path) -> None:
    dynamic, headers = readelf("--dynamic", core), readelf("--program-headers", core)
    symbols = readelf("--dyn-syms", core)
    assert "BIND_NOW" in dynamic
    assert "NOW" in re.findall(r"\(FLAGS_1\) +Flags: (.*)", dynamic)[0]
    assert "GNU_RELRO" in headers
    assert re.search(r"GNU_STACK .* RW ", headers)
    assert "__stack_chk_fail" in symbols
    assert "__strcpy_chk" in symbols  # for one: what is fortified differs with the compiler


def test_no_folder_is_looked_into_for_libraries(core: Path) -> None:
    assert not re.search(r"\((RPATH|RUNPATH)\)", readelf("--dynamic", core))


def test_no_folder_of_the_build_machine_is_in_it(core: Path) -> None:
    content = core.read_bytes()
    for folder in (core.parents[2], REPO, cache_directory(), Path(sys.base_prefix), Path.home()):
        assert str(folder).encode() not in content


def test_it_is_stripped(core: Path) -> None:
    assert ".symtab" not in readelf("--sections", core)
    assert ".debug" not in readelf("--sections", core)


def test_two_checkouts_give_the_same_bytes(built: Path, tmp_path: Path) -> None:
    assert build(tmp_path / "another" / "checkout").read_bytes() == built.read_bytes()


@pytest.mark.parametrize(
    ("shared", "compiler", "wanted"),
    [
        ("", "", "gcc -shared"),
        ("", "clang -m64", "clang -m64 -shared"),
        ("cc -shared -L/x -Wl,-rpath,/x -Wl,-O1", "clang", "cc -shared -Wl,-O1"),
    ],
)
def test_the_interpreters_own_library_folders_are_forgotten(
    monkeypatch: pytest.MonkeyPatch, shared: str, compiler: str, wanted: str
) -> None:
    ours = {"LDSHARED": "gcc -shared -L/opt/lib -Wl,-rpath,/opt/lib", "CC": "gcc"}
    monkeypatch.setattr(build_native.sysconfig, "get_config_var", ours.get)
    for name, value in (("LDSHARED", shared), ("CC", compiler)):
        monkeypatch.setenv(name, value)
    build_native.forget_library_folders()
    assert build_native.os.environ["LDSHARED"] == wanted


def test_every_source_is_built_and_every_header_is_watched() -> None:
    sources = {file.name for file in FOLDER.glob("*.c")} - {"_tdx.c"}
    assert sources == set(build_native.SOURCES)
    assert {file.name for file in FOLDER.glob("*.h")} == set(build_native.HEADERS)
