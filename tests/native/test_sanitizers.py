"""The C core under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from seccomp_filter import deny_close_range

from conftest import eventually
from emulator import Emulator
from emulator.device import QUOTE_NUMBERS
from emulator.kernel import DEVICE_FAULTS, FAULTS, RANDOM_RATES
from emulator.qgs import SPOILERS, Qgs
from quote_generator.native import _tdx, build_native

lib = _tdx.lib
OPERATIONS = [name for name in dir(lib) if re.match(r"TDX_(QUOTE_|EXTEND_|READ_|REPORT$)", name)]

HERE = Path(__file__).resolve().parent
NATIVE = Path(build_native.__file__).parent
WARNINGS = [
    *("-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wno-sign-conversion", "-Werror"),
    "-Wstrict-aliasing=1",  # the level that tells most
]
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


def build(sanitizer: str, folder: Path) -> Path:
    """Compile the driver and the C core; return the program."""
    sources = [str(NATIVE / name) for name in build_native.SOURCES]
    flags = ["-g", "-O1", f"-I{NATIVE}", *SANITIZERS[sanitizer]]
    compile_c([*flags, *sources, str(HERE / "driver.c"), "-o", str(folder / sanitizer)])
    return folder / sanitizer


@pytest.fixture(scope="module", params=SANITIZERS)
def driver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(request.param, tmp_path_factory.mktemp("driver"))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver under the address sanitizer alone, for what is no matter of threads."""
    return build("address", tmp_path_factory.mktemp("driver"))


@pytest.fixture(scope="module")
def legacy() -> Iterator[Emulator]:
    with Emulator(device="legacy", slow=0.5) as emulator:
        yield emulator


def run(driver: Path, *arguments: object, **environ: str) -> int:
    """Run the driver; return how many answers were good. All others said why they were not."""
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
    counted = re.match(r"good (\d+) ", done.stdout)
    return int(counted[1]) if counted else 0


def report_directory(emulator: Emulator) -> Path:
    return Path(emulator.root, "sys/kernel/config/tsm/report")


def device_of(emulator: Emulator) -> str:
    return f"{emulator.root}/dev/tdx_guest"


def register_of(emulator: Emulator) -> str:
    return f"{emulator.root}/sys/devices/virtual/misc/tdx_guest/measurements/rtmr2:sha384"


def test_the_sources_compile_without_a_warning(tmp_path: Path) -> None:
    for name in build_native.SOURCES:
        compile_c(["-O2", "-fanalyzer", "-c", str(NATIVE / name), "-o", str(tmp_path / "object")])


# --- every operation, under both sanitizers ------------------------------------------------------


@pytest.mark.parametrize("fault", ["none", "random", "slow:1"])
def test_configfs(emulator: Emulator, driver: Path, fault: str) -> None:
    emulator.set_fault(fault)
    timeout = 200 if fault == "slow:1" else 30000
    rounds = 15 if fault != "slow:1" else 40
    path = report_directory(emulator)
    assert run(driver, "quotes", lib.TDX_QUOTE_CONFIGFS, path, "-", 8, rounds, timeout)
    emulator.set_fault("none")
    assert eventually(lambda: emulator.state()["entries"] == [])


def test_forks_meanwhile(emulator: Emulator, address: Path) -> None:
    path = report_directory(emulator)
    assert run(address, "forking", lib.TDX_QUOTE_CONFIGFS, path, "-", 4, 10, 30000)


@pytest.mark.parametrize("fault", ["none", "hang-up-in-quote", "error", "silent", "id-absurd"])
def test_qgs(emulator: Emulator, driver: Path, qgs: Qgs, fault: str) -> None:
    qgs.fault, qgs.count = fault, 10
    path = device_of(emulator)
    assert run(driver, "quotes", lib.TDX_QUOTE_QGS, path, qgs.path, 8, 15, 1000)


def test_reports(emulator: Emulator, driver: Path) -> None:
    emulator.set_fault("report-busy:20")
    assert run(driver, "quotes", lib.TDX_REPORT, device_of(emulator), "-", 8, 20, 30000)


@pytest.mark.parametrize("fault", ["none", "quote-error:5", "quote-too-long:5"])
def test_legacy(legacy: Emulator, driver: Path, fault: str) -> None:
    legacy.set_fault(fault)
    assert run(driver, "quotes", lib.TDX_QUOTE_LEGACY, device_of(legacy), "-", 4, 15, 10000)


@pytest.mark.parametrize("fault", ["quote-in-flight:3", "quote-timed-out:3"])
def test_legacy_in_flight(legacy: Emulator, driver: Path, fault: str) -> None:
    """A buffer that the host may still write to is kept, and freed once it may not."""
    legacy.set_fault(fault)
    assert run(driver, "quotes", lib.TDX_QUOTE_LEGACY, device_of(legacy), "-", 4, 15, 1000)


@pytest.mark.parametrize("fault", ["none", "extend-error:5", "extend-busy:5"])
def test_extending(emulator: Emulator, legacy: Emulator, driver: Path, fault: str) -> None:
    emulator.set_fault(fault)
    assert run(driver, "quotes", lib.TDX_EXTEND_FILE, register_of(emulator), "-", 4, 15, 10000)
    legacy.set_fault(fault)
    assert run(driver, "quotes", lib.TDX_EXTEND_IOCTL, device_of(legacy), "-", 4, 15, 10000)


def test_reading_a_register(emulator: Emulator, driver: Path) -> None:
    path = register_of(emulator)
    assert run(driver, "quotes", lib.TDX_READ_FILE, path, "-", 4, 15, 10000)


def test_decoders(driver: Path) -> None:
    run(driver, "decode", 1, 200_000)


# --- every fault: a few times each, so that those after them come through ------------------------

# A held caller comes back when it is killed, or after a minute: test_kill.py does the first.
CONFIGFS_FAULTS = sorted(set(FAULTS) - {"held", "slow", *RANDOM_RATES})
QGS_FAULTS = sorted({*SPOILERS, "byte-by-byte", "drip", "silent"})
REPORT_FAULTS = sorted(fault for fault in DEVICE_FAULTS if fault.startswith("report-"))
EXTEND_FAULTS = sorted(fault for fault in DEVICE_FAULTS if fault.startswith("extend-"))
LEGACY_FAULTS = sorted({*DEVICE_FAULTS} - {*REPORT_FAULTS, *EXTEND_FAULTS, "quote-in-flight"})
LEGACY_DEVICES = sorted(name for name in QUOTE_NUMBERS if name.startswith("legacy"))


@pytest.mark.parametrize("fault", CONFIGFS_FAULTS)
def test_every_fault_of_configfs(emulator: Emulator, address: Path, fault: str) -> None:
    emulator.set_fault(f"{fault}:10")
    path = report_directory(emulator)
    assert run(address, "quotes", lib.TDX_QUOTE_CONFIGFS, path, "-", 2, 15, 10000)


@pytest.mark.parametrize("fault", QGS_FAULTS)
def test_every_fault_of_the_qgs(emulator: Emulator, address: Path, qgs: Qgs, fault: str) -> None:
    qgs.fault, qgs.count = fault, 3
    path = device_of(emulator)
    assert run(address, "quotes", lib.TDX_QUOTE_QGS, path, qgs.path, 2, 15, 300)


@pytest.mark.parametrize("fault", REPORT_FAULTS)
def test_every_fault_of_a_report(legacy: Emulator, address: Path, fault: str) -> None:
    legacy.set_fault(f"{fault}:2")
    assert run(address, "quotes", lib.TDX_REPORT, device_of(legacy), "-", 2, 15, 300)


@pytest.mark.parametrize("fault", LEGACY_FAULTS)
def test_every_fault_of_get_quote(legacy: Emulator, address: Path, fault: str) -> None:
    legacy.set_fault(f"{fault}:10")
    assert run(address, "quotes", lib.TDX_QUOTE_LEGACY, device_of(legacy), "-", 2, 15, 10000)


@pytest.mark.parametrize("fault", EXTEND_FAULTS)
def test_every_fault_of_extending(legacy: Emulator, address: Path, fault: str) -> None:
    legacy.set_fault(f"{fault}:2")
    assert run(address, "quotes", lib.TDX_EXTEND_IOCTL, device_of(legacy), "-", 2, 15, 300)


@pytest.mark.parametrize("device", LEGACY_DEVICES)
def test_every_driver_that_gives_quotes(address: Path, device: str) -> None:
    with Emulator(device=device) as emulator:
        path = device_of(emulator)
        assert run(address, "quotes", lib.TDX_QUOTE_LEGACY, path, "-", 2, 5, 10000)
        assert run(address, "quotes", lib.TDX_EXTEND_IOCTL, path, "-", 2, 5, 10000)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_where_there_is_nothing(address: Path, tmp_path: Path, operation: str) -> None:
    for path in (tmp_path / "nothing", "/" + "x" * 600, os.devnull):
        if operation == "TDX_EXTEND_FILE" and path == os.devnull:
            continue  # takes whatever is written
        number = getattr(lib, operation)
        assert run(address, "quotes", number, path, tmp_path / "none", 2, 5, 300) == 0


def test_where_there_is_something_else(emulator: Emulator, address: Path, tmp_path: Path) -> None:
    """A folder that is no configfs; a driver without quotes; an operation that is none."""
    assert run(address, "quotes", lib.TDX_QUOTE_CONFIGFS, tmp_path, "-", 2, 5, 300) == 0
    assert list(tmp_path.iterdir()) == []
    path = device_of(emulator)
    assert run(address, "quotes", lib.TDX_QUOTE_LEGACY, path, "-", 2, 5, 300) == 0
    assert run(address, "quotes", 99, path, "-", 2, 5, 300) == 0


@pytest.mark.parametrize("address_of_qgs", ["vsock:1:9", "/nowhere/qgs", "/" + "x" * 200])
def test_a_qgs_that_is_not_there(emulator: Emulator, address: Path, address_of_qgs: str) -> None:
    path = device_of(emulator)
    assert run(address, "quotes", lib.TDX_QUOTE_QGS, path, address_of_qgs, 2, 3, 200) == 0


def test_entries_of_the_dead_are_removed(emulator: Emulator, address: Path) -> None:
    here = os.stat("/proc/self/ns/pid").st_ino
    dead = subprocess.Popen(["true"])
    dead.wait()
    our_time = os.stat("/proc/self/ns/time").st_ino
    for number in range(20):
        owner = f"{here}.{our_time}.{dead.pid}.1.{int(time.monotonic())}"
        entry = f"cczoo-quote.{owner}.{number:016x}"
        (report_directory(emulator) / entry).mkdir()
    path = report_directory(emulator)
    assert run(address, "quotes", lib.TDX_QUOTE_CONFIGFS, path, "-", 4, 15, 10000)
    assert emulator.state()["entries"] == []
