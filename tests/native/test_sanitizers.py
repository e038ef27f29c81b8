"""The C core under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import eventually
from seccomp_filter import deny_close_range

from emulator import Emulator
from emulator.qgs import Qgs
from quote_generator.native import _tdx, build_native

HERE = Path(__file__).resolve().parent
NATIVE = Path(build_native.__file__).parent
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wno-sign-conversion", "-Werror"]
SANITIZERS = {
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "thread": ["-fsanitize=thread"],
}
ENVIRON = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1", "TSAN_OPTIONS": "halt_on_error=1"}


def compile_c(arguments: list[str]) -> None:
    compiler = shutil.which("cc")
    assert compiler, "a C compiler is needed: apt-get install gcc libc6-dev"
    done = subprocess.run(
        [compiler, "-std=gnu11", "-pthread", *WARNINGS, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.fixture(scope="module", params=SANITIZERS)
def driver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("driver") / request.param
    sources = [str(NATIVE / name) for name in build_native.SOURCES]
    flags = ["-g", "-O1", f"-I{NATIVE}", *SANITIZERS[request.param]]
    compile_c([*flags, *sources, str(HERE / "driver.c"), "-o", str(output)])
    return output


def run(driver: Path, *arguments: object, **environ: str) -> None:
    # The thread sanitizer takes one descriptor number in two threads for one file, and does not
    # know of descriptor tables that threads have of their own: there it runs without them.
    done = subprocess.run(
        [driver, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**ENVIRON, **environ},
        preexec_fn=deny_close_range if driver.name == "thread" else None,
    )
    assert (done.stderr, done.returncode) == ("", 0), done.stdout


def test_the_sources_compile_without_a_warning(tmp_path: Path) -> None:
    for name in build_native.SOURCES:
        compile_c(["-O2", "-fanalyzer", "-c", str(NATIVE / name), "-o", str(tmp_path / "object")])


@pytest.mark.parametrize("fault", ["none", "random", "slow:1"])
def test_configfs(emulator: Emulator, driver: Path, fault: str) -> None:
    emulator.set_fault(fault)
    directory = f"{emulator.root}/sys/kernel/config/tsm/report"
    timeout = 200 if fault == "slow:1" else 30000
    rounds = 15 if fault != "slow:1" else 40
    run(driver, "quotes", _tdx.lib.TDX_QUOTE_CONFIGFS, directory, "-", 8, rounds, timeout)
    emulator.set_fault("none")
    assert eventually(lambda: emulator.state()["entries"] == [])


@pytest.mark.parametrize("fault", ["none", "hang-up-in-quote", "error", "silent", "id-absurd"])
def test_qgs(emulator: Emulator, driver: Path, tmp_path: Path, fault: str) -> None:
    with Qgs(tmp_path) as qgs:
        qgs.fault, qgs.count = fault, 10
        device = f"{emulator.root}/dev/tdx_guest"
        run(driver, "quotes", _tdx.lib.TDX_QUOTE_QGS, device, qgs.path, 8, 15, 1000)


def test_reports(emulator: Emulator, driver: Path) -> None:
    emulator.set_fault("report-busy:20")
    run(driver, "quotes", _tdx.lib.TDX_REPORT, f"{emulator.root}/dev/tdx_guest", "-", 8, 20, 30000)


@pytest.mark.parametrize("fault", ["none", "quote-error:5", "quote-too-long:5"])
def test_legacy(driver: Path, fault: str) -> None:
    with Emulator(device="legacy", fault=fault) as emulator:
        device = f"{emulator.root}/dev/tdx_guest"
        run(driver, "quotes", _tdx.lib.TDX_QUOTE_LEGACY, device, "-", 4, 15, 10000)


def test_legacy_in_flight(driver: Path, tmp_path: Path) -> None:
    """A buffer that the host may still write to is lost on purpose."""
    suppressed = tmp_path / "suppressed"
    suppressed.write_text("leak:quote_by_legacy_ioctl\n")
    with Emulator(device="legacy", fault="quote-in-flight:3") as emulator:
        device = f"{emulator.root}/dev/tdx_guest"
        run(driver, "quotes", _tdx.lib.TDX_QUOTE_LEGACY, device, "-", 4, 15, 1000,
            LSAN_OPTIONS=f"suppressions={suppressed}:print_suppressions=0")  # fmt: skip


def test_decoders(driver: Path) -> None:
    run(driver, "decode", 1, 200_000)
