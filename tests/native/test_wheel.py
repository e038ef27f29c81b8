"""The C core as users get it: from the wheel, on any Python; or left out, and then said so."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from test_build import build, core_of

from emulator import Emulator
from preparation import environments, uv
from preparation.content import source_files
from preparation.editions import REPO
from preparation.environments import the_wheel

PYTHONS = ("3.11", "3.12", "3.13")
NEWEST_LIBC = 28  # manylinux_2_28, which some packages that the kit needs ask for anyway
SECONDS = 300
COMMAND = ("-m", "quote_generator")
NO_COMPILER = {"CC": "/no/compiler", "PATH": "/no/commands"}
INCLUDE = "import sysconfig; print(sysconfig.get_path('include'))"
FREE_THREADED = """
import sysconfig
real = sysconfig.get_config_var
sysconfig.get_config_var = lambda name: 1 if name == "Py_GIL_DISABLED" else real(name)
"""


def run(
    *command: str | Path, cwd: Path, stdin: str = "", **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a command outside the checkout, which would else be what Python imports."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "QUOTE_"))}
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        input=stdin,
        env=inherited | env,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def python_of(version: str) -> str:
    """An interpreter of this version that really starts (a pyenv shim may not)."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    named = shutil.which(f"python{version}")
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    for candidate in (sys.executable, named, *sorted(pyenv.glob(f"{version}.*/bin/python"))):
        if candidate and run(candidate, "-c", code, cwd=Path("/")).stdout.strip() == version:
            return str(candidate)
    pytest.skip(f"there is no Python {version} on this machine")


def fresh_environment(folder: Path, python: str) -> Path:
    """An environment with nothing in it; returns its interpreter."""
    uv.uv("venv", "--no-project", "--python", python, folder)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kit's sources in a folder of their own, as building leaves things among them."""
    folder = tmp_path_factory.mktemp("source")
    for file in source_files(environments.KIT_SOURCES):
        copy = folder / file.relative_to(REPO)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    return folder


def build_wheel(source: Path, into: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Build from source as everybody does, without the page."""
    command = (Path(sys.executable).with_name("uv"), "build", "--wheel", "--out-dir", into)
    command += ("--python", sys.executable, "--build-constraints", uv.DEV_LOCK, source)
    settings = {**uv._uv_environment(), "CCZOO_WHEEL_WITHOUT_PAGE": "1"}
    return run(*command, cwd=into, **(settings | env))


# --- The wheel ----------------------------------------------------------------------------------


def test_one_wheel_is_for_every_python_on_the_systems_that_auditwheel_names(
    tmp_path: Path,
) -> None:
    tags = the_wheel().stem.split("-", 2)[2]
    named = re.fullmatch(rf"cp311-abi3-(manylinux_2_(\d+)_{platform.machine()})", tags)
    assert named is not None, tags
    assert int(named[2]) <= NEWEST_LIBC
    auditwheel = environments.wheel_tools_part().folder / "bin" / "auditwheel"
    told = " ".join(run(auditwheel, "show", the_wheel(), cwd=tmp_path).stdout.split())
    assert f'is consistent with the following platform tag: "{named[1]}".' in told


@pytest.mark.parametrize("version", PYTHONS)
def test_another_python_builds_the_same_core(tmp_path: Path, version: str) -> None:
    """As on another machine: another interpreter, with headers and options of its own."""
    interpreter = python_of(version)
    headers = Path(run(interpreter, "-c", INCLUDE, cwd=tmp_path).stdout.strip())
    if not (headers / "Python.h").is_file():
        pytest.skip(f"{interpreter} has no headers")
    python = fresh_environment(tmp_path / "venv", interpreter)
    uv.install(python, "--constraints", uv.DEV_LOCK, "cffi", "setuptools")
    compiler = environments.wheel_compiler(environments.wheel_tools_part().folder)
    core = build(tmp_path / "checkout", python, **compiler)
    assert core.read_bytes() == core_of(the_wheel(), tmp_path).read_bytes()


@pytest.mark.parametrize("version", PYTHONS)
def test_a_quote_where_there_is_no_compiler(
    emulator: Emulator, tmp_path: Path, version: str
) -> None:
    python = fresh_environment(tmp_path / "venv", python_of(version))
    uv.install(python, "--constraints", uv.DEV_LOCK, the_wheel(), **NO_COMPILER)
    made = run(*emulator.inside([str(python), *COMMAND]), cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["transport"] == "configfs-tsm"


def test_a_free_threaded_python_gets_a_wheel_of_its_own(source: Path, tmp_path: Path) -> None:
    """As far as another Python can play one: there is no stable ABI for it."""
    (tmp_path / "sitecustomize.py").write_text(FREE_THREADED)
    built = build_wheel(source, tmp_path, PYTHONPATH=str(tmp_path), CCZOO_WITH_CORE="1")
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    own = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert f"-{own}-{own}-linux_" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        (core,) = (name for name in archive.namelist() if name.endswith(".so"))
    assert core == f"quote_generator/native/_tdx{EXTENSION_SUFFIXES[0]}"


# --- A core that is not there -------------------------------------------------------------------


@pytest.fixture(scope="module")
def auditors(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of somebody who installed from source, and has no compiler."""
    folder = tmp_path_factory.mktemp("auditor")
    built = build_wheel(source, folder, **NO_COMPILER)
    assert built.returncode == 0, built.stderr
    assert "THE C CORE WAS NOT BUILT" in built.stderr
    python = fresh_environment(folder / "venv", sys.executable)
    uv.install(python, "--no-deps", "--no-cache", *folder.glob("*.whl"))
    needed = uv.site_packages(Path(sys.prefix))
    (uv.site_packages(folder / "venv") / "needed.pth").write_text(f"{needed}\n")
    return python


def test_a_core_that_must_be_there_is_not_left_out(source: Path, tmp_path: Path) -> None:
    built = build_wheel(source, tmp_path, **NO_COMPILER, CCZOO_WITH_CORE="1")
    assert built.returncode != 0
    assert "/no/compiler" in built.stderr
    assert not list(tmp_path.glob("*.whl"))


def test_who_has_no_compiler_verifies_installs_and_simulates(
    auditors: Path, tmp_path: Path
) -> None:
    for command in ("cczoo-verify", "cczoo-install"):
        done = run(auditors.with_name(command), "--help", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
    simulated = {
        "QUOTE_GENERATOR_SIMULATE": "1",
        "QUOTE_GENERATOR_SIMULATOR_DIR": str(tmp_path / "td"),
    }
    made = run(auditors, *COMMAND, "--format", "hex", cwd=tmp_path, **simulated)
    parsed = run(auditors, *COMMAND, "parse", cwd=tmp_path, stdin=made.stdout)
    assert json.loads(parsed.stdout)["body"]["report_data"] == bytes(64).hex()


def test_without_the_core_a_quote_is_refused_with_what_to_do(
    auditors: Path, tmp_path: Path
) -> None:
    check_that_the_core_is_missed(auditors, tmp_path, "has no C core")
    code = "import quote_generator; print(quote_generator.CoreMissing.code)"
    assert run(auditors, "-c", code, cwd=tmp_path).stdout == "core-missing\n"


@pytest.mark.parametrize(
    ("found", "put"),
    [(b"\x3e\x00\x01", b"\xb7\x00\x01"), (b"libc.so.6", b"libc.so.9")],
    ids=["AArch64 on x86-64", "another C library"],
)
def test_a_core_for_another_machine_is_told_apart(tmp_path: Path, found: bytes, put: bytes) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPO / "quote_generator", tmp_path / "quote_generator", ignore=ignored)
    core = tmp_path / "quote_generator" / "native" / "_tdx.abi3.so"
    assert found in core.read_bytes()
    core.write_bytes(core.read_bytes().replace(found, put, 1))
    check_that_the_core_is_missed(sys.executable, tmp_path, "cannot be loaded here")


def check_that_the_core_is_missed(python: str | Path, cwd: Path, what: str) -> None:
    """Check that asking for a quote is one sentence with a cure, and looking around no failure."""
    asked = run(python, *COMMAND, cwd=cwd)
    assert (asked.returncode, asked.stdout) == (11, "")
    assert asked.stderr.count("\n") == 1
    assert what in asked.stderr
    assert "gcc" in asked.stderr
    looked = run(python, *COMMAND, "transports", cwd=cwd)
    assert (looked.returncode, looked.stderr) == (0, "")
    *real, simulator = json.loads(looked.stdout)
    assert all(what in one["reason"] and not one["usable"] for one in real)
    assert simulator["name"] == "simulator"
