"""The simulated TD's registers and log: kept in step by the code that does it on a real machine."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from doubles.forking import killed_at
from quote_generator import atomic_file, errors
from quote_generator.attester import System, attest
from quote_generator.eventlog import (
    application_line,
    compare,
    read_application_log,
    read_entry,
)
from quote_generator.measure import (
    check_log,
    extend_rtmr,
    finish_event,
    read_log,
    read_rtmr,
    record_event,
)
from quote_generator.quote import parse_quote
from quote_generator.simulator import Simulator, SimulatorError, state
from vectors import logs

ZEROS = bytes(48)
DIGEST = b"\5" * 48
NOBODY = 65534


def machine_of(root: Path) -> System:
    """A machine without TDX whose simulator lives in ``td`` below its root."""
    environ = {
        "QUOTE_GENERATOR_SIMULATE": "1",
        "QUOTE_GENERATOR_SIMULATOR_DIR": str(root / "td"),
    }
    return System.under(str(root), environ=environ)


@pytest.fixture
def machine(tmp_path: Path) -> System:
    return machine_of(tmp_path)


def log_of(root: Path) -> Path:
    return state.log_path(root / "td")


def log_bytes(root: Path) -> bytes:
    return read_application_log(log_of(root)) or b""


def entries(*lines: str) -> bytes:
    """Return a log of lines, straight from its definition."""
    return b"".join(map(logs.event, logs.application(*lines)))


def quoted(machine: System) -> bytes:
    """Return RTMR3 as a quote of the machine has it."""
    return parse_quote(attest(bytes(64), system=machine).quote).body.rtmr_3


def assert_explained(root: Path, machine: System) -> None:
    """The log leads from zeros to what a quote has in RTMR3, for whoever reads both."""
    body = parse_quote(attest(bytes(64), system=machine).quote).body
    values = {name: getattr(body, name) for name in ("rtmr_0", "rtmr_1", "rtmr_2", "rtmr_3")}
    checks = compare(values, aael=read_log(log_of(root)))
    assert [check.outcome for check in checks] == ["no-log", "no-log", "no-log", "match"]
    assert check_log(system=machine) == "consistent"


def test_a_log_is_begun_and_continued(tmp_path: Path, machine: System) -> None:
    assert (check_log(system=machine), quoted(machine)) == ("none", ZEROS)
    assert record_event("app", "start", "with words", system=machine).line == "app start with words"
    record_event("app", "load", "sha256:aa", system=machine)
    assert log_bytes(tmp_path) == entries("app start with words", "app load sha256:aa")
    assert read_rtmr(3, system=machine) == quoted(machine)
    assert_explained(tmp_path, machine)
    assert not Path(machine.aael).exists()  # the machine's own


def test_registers_are_those_of_the_quotes(tmp_path: Path, machine: System) -> None:
    td = Simulator.open(tmp_path / "td")
    for index in (2, 3):
        before = read_rtmr(index, system=machine)
        extend_rtmr(index, DIGEST, system=machine)
        assert read_rtmr(index, system=machine) == logs.sha384(before + DIGEST)
    body = parse_quote(td.quote(bytes(64))).body
    values = [body.rtmr_0, body.rtmr_1, body.rtmr_2, body.rtmr_3]
    assert [read_rtmr(index, system=machine) for index in range(4)] == values
    with pytest.raises(errors.BadInput, match="RTMR1"):
        extend_rtmr(1, DIGEST, system=machine)


def test_whoever_does_not_ask_for_the_simulator_does_not_get_it(tmp_path: Path) -> None:
    machine = System.under(str(tmp_path), environ={})
    calls: list[Callable[[], object]] = [
        lambda: record_event("a", "b", "c", system=machine),
        lambda: extend_rtmr(3, DIGEST, system=machine),
        lambda: read_rtmr(3, system=machine),
    ]
    began = time.monotonic()
    for call in calls:
        with pytest.raises(errors.NotAvailable):
            call()
    assert time.monotonic() - began < 2
    assert not (tmp_path / "td").exists()


def test_a_restart_of_the_td_is_the_removal_of_its_boot(tmp_path: Path, machine: System) -> None:
    root = Simulator.open(tmp_path / "td").root_der
    record_event("app", "start", "x", system=machine)
    shutil.rmtree(tmp_path / "td" / "boot")
    assert (check_log(system=machine), quoted(machine)) == ("none", ZEROS)
    record_event("app", "start", "y", system=machine)
    assert log_bytes(tmp_path) == entries("app start y")
    assert_explained(tmp_path, machine)
    assert Simulator.open(tmp_path / "td").root_der == root


def test_a_register_extended_without_the_log_is_found(tmp_path: Path, machine: System) -> None:
    record_event("a", "b", "c", system=machine)
    Simulator.open(tmp_path / "td").extend_rtmr(3, DIGEST)
    assert check_log(system=machine) == "diverged"
    for call in (
        lambda: record_event("x", "y", "z", system=machine),
        lambda: finish_event(system=machine),
    ):
        with pytest.raises(errors.LogMismatch, match="without the log"):
            call()


def test_an_unfinished_entry_is_found_and_finished(tmp_path: Path, machine: System) -> None:
    record_event("a", "b", "c", system=machine)
    log_of(tmp_path).write_bytes(entries("a b c", "d e f"))
    assert check_log(system=machine) == "unfinished"
    finish_event(system=machine)
    assert_explained(tmp_path, machine)
    log_of(tmp_path).write_bytes(entries("a b c", "d e f", "g h i")[:-1])
    finish_event(system=machine)
    assert log_bytes(tmp_path) == entries("a b c", "d e f")
    assert_explained(tmp_path, machine)


@pytest.mark.parametrize("mode", [None, 0o755, 0o775])
def test_the_folder_is_as_private_as_it_was(tmp_path: Path, mode: int | None) -> None:
    """Whoever made it; and what is read as root lies where nobody else may write."""
    if mode is not None:
        (tmp_path / "td").mkdir()
        (tmp_path / "td").chmod(mode)
    machine = machine_of(tmp_path)
    record_event("a", "b", "c", system=machine)
    assert stat.S_IMODE((tmp_path / "td").stat().st_mode) == (mode or 0o700)
    boot = tmp_path / "td" / "boot"
    assert not stat.S_IMODE(boot.stat().st_mode) & 0o022
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in boot.iterdir()}
    assert modes == {"eventlog": 0o644, "eventlog.lock": 0o600, "registers.json": 0o600}
    assert_explained(tmp_path, machine)


# --- crashes, and others ------------------------------------------------------------------------

IMPORTS = """\
import os
from quote_generator.attester import System
from quote_generator.measure import record_event
from quote_generator.simulator import Simulator, registers
from quote_generator.simulator.state import FileLock
def record(path):
    environ = {"QUOTE_GENERATOR_SIMULATE": "1", "QUOTE_GENERATOR_SIMULATOR_DIR": path + "/td"}
    for number in range(2):
        record_event("app", "step", str(number), system=System.under(path, environ=environ))
"""
# What precedes each change of a file, and each look at one.
OPERATIONS = (
    "open",
    "os.rename",
    "os.remove",
    "os.chmod",
    "os.mkdir",
    "os.truncate",
    "fcntl.flock",
)


def test_kill_at_any_point_leaves_what_can_be_explained(tmp_path: Path) -> None:
    """kill -9 at each file operation of two events, the first of which begins the log."""
    seen = set()
    with killed_at(IMPORTS, "record(path)", OPERATIONS) as run:
        for point in range(1, 200):
            root = tmp_path / str(point)
            root.mkdir()
            if run(point, root) != -signal.SIGKILL:
                break
            machine = machine_of(root)
            found = check_log(system=machine)
            seen.add((found, len(log_bytes(root)) // len(entries("app step 0"))))
            assert found in ("none", "consistent", "unfinished")
            finish_event(system=machine)
            record_event("app", "again", "x", system=machine)
            assert_explained(root, machine)
            assert not list((root / "td" / "boot").glob(".new-*"))
    assert log_bytes(root) == entries("app step 0", "app step 1")
    assert seen == {
        ("none", 0),
        ("unfinished", 1),
        ("consistent", 1),
        ("unfinished", 2),
        ("consistent", 2),
    }


RECORD_TEN = """\
import sys
from pathlib import Path
from quote_generator.attester import System
from quote_generator.measure import record_event
environ = {"QUOTE_GENERATOR_SIMULATE": "1", "QUOTE_GENERATOR_SIMULATOR_DIR": sys.argv[1] + "/td"}
system = System.under(sys.argv[1], environ=environ)
for n in range(10):
    record_event("p" + sys.argv[2], "step", str(n), timeout=60, system=system)
"""


def lines_of(log: str | bytes | None) -> list[str]:
    """Return the lines of a log of TCG2 events."""
    lines = []
    at = 0
    while isinstance(log, bytes) and at < len(log):
        event, at = read_entry(log, at)
        lines.append(application_line(event) or "")
    return lines


def test_two_processes_keep_log_and_register_in_step(tmp_path: Path, machine: System) -> None:
    """And what reads the log before a quote never reads an event that the quote has not."""
    commands = [[sys.executable, "-c", RECORD_TEN, str(tmp_path), name] for name in "ab"]
    writers = [subprocess.Popen(command) for command in commands]
    pairs = []
    try:
        while any(writer.poll() is None for writer in writers):
            pairs.append((len(lines_of(read_log(log_of(tmp_path), timeout=120))), quoted(machine)))
    finally:
        assert [writer.wait() for writer in writers] == [0, 0]
    lines = lines_of(log_bytes(tmp_path))
    for name in "ab":
        mine = [line for line in lines if line.startswith(f"p{name} ")]
        assert mine == [f"p{name} step {n}" for n in range(10)]
    assert len(lines) == 20
    way = [ZEROS]
    for event in logs.application(*lines):
        way.append(logs.sha384(way[-1] + event.digest))
    assert all(way.index(value) >= count for count, value in pairs)
    assert_explained(tmp_path, machine)


def test_threads_keep_log_and_register_in_step(tmp_path: Path, machine: System) -> None:
    with ThreadPoolExecutor(4) as pool:
        calls = [
            pool.submit(record_event, "t", "n", str(n), timeout=60, system=machine)
            for n in range(12)
        ]
    assert [call.exception() for call in calls] == [None] * 12
    assert sorted(int(line.split()[2]) for line in lines_of(log_bytes(tmp_path))) == [*range(12)]
    assert_explained(tmp_path, machine)


@pytest.mark.parametrize("held", ["log", "state"])
def test_a_lock_that_is_held_is_waited_for_no_longer_than_allowed(
    tmp_path: Path, machine: System, held: str
) -> None:
    record_event("a", "b", "c", system=machine)
    before = log_bytes(tmp_path), read_rtmr(3, system=machine)
    names = {"log": "boot/eventlog.lock", "state": "lock"}
    with (tmp_path / "td" / names[held]).open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        began = time.monotonic()
        with pytest.raises((errors.Busy, SimulatorError), match="another process"):
            record_event("d", "e", "f", timeout=0.2, system=machine)
        assert time.monotonic() - began < 2
        # Who reads the log for evidence goes on without it.
        assert read_log(log_of(tmp_path), timeout=0.1) == before[0]
    assert (log_bytes(tmp_path), read_rtmr(3, system=machine)) == before
    assert_explained(tmp_path, machine)


# --- disks --------------------------------------------------------------------------------------


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("first", [True, False])
def test_an_event_that_the_register_has_no_room_for_is_taken_back(
    tmp_path: Path, machine: System, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    if not first:
        record_event("a", "b", "c", system=machine)
    before = log_bytes(tmp_path), read_rtmr(3, system=machine)
    monkeypatch.setattr(atomic_file.tempfile, "mkstemp", full)
    with pytest.raises(SimulatorError, match="No space left") as caught:
        record_event("d", "e", "f", system=machine)
    assert caught.value.errno == errno.ENOSPC
    assert (log_bytes(tmp_path), read_rtmr(3, system=machine)) == before
    monkeypatch.undo()
    assert check_log(system=machine) == ("none" if first else "consistent")
    record_event("d", "e", "f", system=machine)
    assert_explained(tmp_path, machine)


def test_what_fails_once_the_register_is_extended_takes_nothing_back(
    tmp_path: Path, machine: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log would be an entry short of a register that everybody sees already."""
    Simulator.open(tmp_path / "td")

    def replaced_and_failed(path: Path, data: bytes, *, mode: int) -> None:
        write(path, data, mode=mode)
        full()

    write = state.write_atomic
    monkeypatch.setattr(state, "write_atomic", replaced_and_failed)
    record_event("a", "b", "c", system=machine)
    monkeypatch.undo()
    assert log_bytes(tmp_path) == entries("a b c")
    assert_explained(tmp_path, machine)


FULL_LOG = """\
import resource, signal, sys
from quote_generator import errors
from quote_generator.attester import System
from quote_generator.measure import record_event
environ = {"QUOTE_GENERATOR_SIMULATE": "1", "QUOTE_GENERATOR_SIMULATOR_DIR": sys.argv[1] + "/td"}
size = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    record_event("d", "e", "f" * 100, system=System.under(sys.argv[1], environ=environ))
except errors.Busy as error:
    print(error.errno)
"""


def test_a_full_disk_changes_nothing(tmp_path: Path, machine: System) -> None:
    record_event("a", "b", "c", system=machine)
    before = log_bytes(tmp_path), read_rtmr(3, system=machine)
    for room in (0, 5, 70):  # nothing is written, or a part of the entry
        arguments = [str(tmp_path), str(len(before[0]) + room)]
        done = subprocess.run([sys.executable, "-c", FULL_LOG, *arguments], stdout=subprocess.PIPE)
        assert int(done.stdout) in (errno.EFBIG, errno.ENOSPC)
        assert (log_bytes(tmp_path), read_rtmr(3, system=machine)) == before
        assert_explained(tmp_path, machine)


@pytest.fixture
def machine_for_all() -> Iterator[Path]:
    """A folder that everybody may look into, and nobody but root writes to."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def as_nobody(work: Callable[[], object]) -> str:
    """Return the code of the error that work ends with in a process without rights, or "none"."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            work()
            os.write(writes, b"none")
        except errors.QuoteGeneratorError as error:
            os.write(writes, error.code.encode())
        finally:
            os._exit(0)
    os.close(writes)
    with open(reads) as pipe:
        found = pipe.read()
    os.waitpid(child, 0)
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody without rights")
@pytest.mark.parametrize("what", ["td", "td/boot", "nothing"])
def test_a_folder_that_may_not_be_written(machine_for_all: Path, what: str) -> None:
    root = machine_for_all
    machine = machine_of(root)
    if what != "nothing":
        record_event("a", "b", "c", system=machine)
        for path in (root / "td", *(root / "td").rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        (root / what).chmod(0o555)
    before = log_of(root).read_bytes() if what != "nothing" else b""
    began = time.monotonic()
    found = as_nobody(lambda: record_event("d", "e", "f", timeout=5, system=machine))
    assert time.monotonic() - began < 4
    # In `td` there is nothing to be written while its lock is there.
    expected = {"td": "none", "td/boot": "simulator-state", "nothing": "simulator-state"}
    assert found == expected[what]
    if what == "nothing":
        assert not (root / "td").exists()
        return
    for path in (root / "td", *(root / "td").rglob("*")):
        os.chown(path, 0, 0)
    assert (log_bytes(root) == before) is (found != "none")
    assert_explained(root, machine)
