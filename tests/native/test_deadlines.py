"""Every wait is bounded: one deadline over each whole call, whatever hangs and at which step."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from application_logs import FORMS, ZEROS, entry
from test_configfs import REPORT_DATA

from conftest import Emulate, another_reader, eventually
from emulator import Emulator
from emulator.qgs import Qgs
from quote_generator import applog, errors, eventlog
from quote_generator.attester import System, attest, available_transports, get_tdreport
from quote_generator.logfile import MAX_LOG_SIZE
from quote_generator.measure import check_log, extend_rtmr, finish_event, record_event

ALLOWED = 0.3
# What hangs here hangs for two seconds and more.
LATEST = 1.3


@contextmanager
def ends_in_time(kind: type[errors.QuoteGeneratorError]) -> Iterator[None]:
    """Expect an error of exactly that kind, soon after the time allowed, and not before."""
    began = time.monotonic()
    with pytest.raises(errors.QuoteGeneratorError) as caught:
        yield
    elapsed = time.monotonic() - began
    assert type(caught.value) is kind
    assert ALLOWED * 0.5 < elapsed < LATEST


@pytest.fixture
def machine(system: System, qgs: Qgs, tmp_path: Path) -> System:
    config = tmp_path / "tdx-attest.conf"
    config.write_text("port=4050\n")
    log = tmp_path / "attestation-agent" / "eventlog"
    return replace(system, qgs_config=str(config), qgs_socket=qgs.socket, aael=str(log))


@pytest.mark.parametrize("fault", ["busy", "slow", "timed-out"])
def test_configfs(emulator: Emulator, machine: System, fault: str) -> None:
    emulator.set_fault(fault)
    with ends_in_time(errors.Busy if fault == "busy" else errors.TimedOut):
        attest(REPORT_DATA, transport="configfs-tsm", timeout=ALLOWED, system=machine)
    emulator.set_fault("none")


@pytest.mark.parametrize("fault", ["silent", "drip"])
def test_qgs(qgs: Qgs, machine: System, fault: str) -> None:
    """With "drip" every single step is quick."""
    qgs.fault = fault
    with ends_in_time(errors.TimedOut):
        attest(REPORT_DATA, transport="qgs-vsock", timeout=ALLOWED, system=machine)


def test_legacy_ioctl(emulate: Emulate) -> None:
    with emulate(device="legacy", fault="quote-in-flight") as emulator:
        system = System.under(emulator.root, environ={})
        with ends_in_time(errors.TimedOut):
            attest(REPORT_DATA, transport="legacy-ioctl", timeout=ALLOWED, system=system)


def test_all_transports_together(emulator: Emulator, machine: System, qgs: Qgs) -> None:
    """The second one gets what the first has left, and the first what the second leaves."""
    qgs.fault = "silent"
    for fault, kind in (("busy", errors.Busy), ("no-provider", errors.TimedOut)):
        emulator.set_fault(fault)
        with ends_in_time(kind):
            attest(REPORT_DATA, timeout=ALLOWED, system=machine)


@pytest.mark.parametrize("fault", ["report-busy", "report-slow"])
def test_tdreport(emulator: Emulator, machine: System, fault: str) -> None:
    emulator.set_fault(fault)
    with ends_in_time(errors.Busy if fault == "report-busy" else errors.TimedOut):
        get_tdreport(REPORT_DATA, timeout=ALLOWED, system=machine)
    emulator.set_fault("none")


Call = Callable[[System], object]
LOG_CALLS: dict[str, Call] = {
    "check_log": lambda machine: check_log(timeout=ALLOWED, system=machine),
    "finish_event": lambda machine: finish_event(timeout=ALLOWED, system=machine),
    "record_event": lambda machine: record_event("d", "e", "f", timeout=ALLOWED, system=machine),
}


@pytest.mark.parametrize("call", LOG_CALLS.values(), ids=LOG_CALLS)
def test_the_log_while_the_kernel_hangs(emulator: Emulator, machine: System, call: Call) -> None:
    record_event("a", "b", "c", system=machine)
    emulator.set_fault("report-slow:1")
    with ends_in_time(errors.TimedOut):
        call(machine)


@pytest.mark.parametrize("call", LOG_CALLS.values(), ids=LOG_CALLS)
def test_the_log_while_another_process_has_it(machine: System, call: Call) -> None:
    record_event("a", "b", "c", system=machine)
    fd = os.open(machine.aael + ".lock", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with ends_in_time(errors.Busy):
        call(machine)
    os.close(fd)


ENTRIES = {form: entry(form, "a b c") for form in FORMS}
BEGIN = {"text": entry("text", f"INIT sha384/{ZEROS.hex()}"), "tcg2": b""}


def write_log(machine: System, log: bytes) -> None:
    path = Path(machine.aael)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(log)


def longest_log(form: str) -> bytes:
    """Return a log of short entries, of the size that is read at most."""
    begin, event = BEGIN[form], ENTRIES[form]
    return begin + event * ((MAX_LOG_SIZE - len(begin)) // len(event))


@pytest.mark.emulated("the kernel has no part in it")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("call", LOG_CALLS.values(), ids=LOG_CALLS)
def test_a_log_that_is_too_long_for_the_time(machine: System, call: Call, form: str) -> None:
    """Others than this package's writer may make it so long."""
    log = longest_log(form)
    write_log(machine, log)
    with ends_in_time(errors.TimedOut):
        call(machine)
    assert Path(machine.aael).read_bytes() == log


@pytest.mark.emulated("the kernel has no part in it")
def test_a_line_without_end_that_is_no_text(machine: System) -> None:
    """Between two looks at the clock comes a whole line, however long. Replacing what is no text in
    this one took half a second.
    """
    write_log(machine, BEGIN["text"] + (b"a b " + b"\xff" * MAX_LOG_SIZE)[: MAX_LOG_SIZE - 200])
    began = time.process_time()
    check_log(system=machine)
    assert time.process_time() - began < ALLOWED


def bytes_replayed_in_no_time(machine: System) -> int | None:
    """Return how far a call came in the log that has no time for it; None where it was done."""
    try:
        check_log(timeout=0, system=machine)
    except errors.TimedOut as error:  # of the log, or then of the register
        said = re.match(r"(\d+) of the", str(error))
        return int(said[1]) if said else None
    return None


@pytest.mark.parametrize("form", FORMS)
def test_each_call_goes_on_with_a_long_log_where_the_last_one_stopped(
    machine: System, form: str
) -> None:
    write_log(machine, BEGIN[form] + ENTRIES[form] * 5000)
    done = [0]
    while (replayed := bytes_replayed_in_no_time(machine)) is not None:
        assert replayed > done[-1]  # else it would never come to its end
        done.append(replayed)
    assert len(done) >= 5
    assert check_log(system=machine) == "diverged"


@pytest.mark.parametrize(
    ("form", "ending"),
    [
        *(("text", b"two words\n"), ("text", b"wo"), ("text", b"a b c")),
        *(("tcg2", bytes(100)), ("tcg2", ENTRIES["tcg2"][:-1])),
    ],
    ids=["text-wrong", "text-cut", "text-open", "tcg2-wrong", "tcg2-cut"],
)
def test_of_a_log_with_a_bad_end_the_good_part_is_remembered(
    machine: System, form: str, ending: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = BEGIN[form] + ENTRIES[form] * 3000
    write_log(machine, log + ending)
    first = check_log(system=machine)
    stepped = []
    kind = type(applog.form_of(log))
    step = kind.step

    def counted(self: applog.Form, log: bytes, at: int, value: bytes | None) -> applog.Step:
        stepped.append(at)
        return step(self, log, at, value)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "step", counted)
    assert check_log(system=machine) == first
    assert set(stepped) == {len(log)}


def test_an_extension_that_hangs(emulator: Emulator, machine: System) -> None:
    emulator.set_fault("extend-slow:1")
    with ends_in_time(errors.TimedOut):
        extend_rtmr(3, b"\5" * 48, timeout=ALLOWED, system=machine)


def test_an_event_whose_extension_hangs_is_told_of_at_the_next_start(
    emulator: Emulator, machine: System
) -> None:
    record_event("a", "b", "c", system=machine)
    emulator.set_fault("extend-slow:1")
    with ends_in_time(errors.TimedOut):
        record_event("d", "e", "f", timeout=ALLOWED, system=machine)
    assert eventually(lambda: check_log(system=machine) == "consistent")  # it was extended at last


@pytest.mark.emulated("the kernel's lock is not in the way of looking")
def test_looking_for_transports(emulator: Emulator, machine: System) -> None:
    """While one quote is slow, the emulator answers nobody, as a kernel may that holds a lock."""
    with another_reader(emulator, Path(machine.configfs, "slow")):
        began = time.monotonic()
        found = {one.name: one for one in available_transports(machine, timeout=ALLOWED)}
        assert time.monotonic() - began < LATEST
    assert "not answered" in found["configfs-tsm"].reason
    assert not found["configfs-tsm"].usable
    emulator.set_fault("none")
    assert all(one.usable for one in available_transports(machine)[:2])


@pytest.mark.emulated("it has nothing to do with the kernel")
def test_the_simulator(tmp_path: Path) -> None:
    environ = {
        "QUOTE_GENERATOR_SIMULATE": "1",
        "QUOTE_GENERATOR_SIMULATE_FAULT": "slow",
        "QUOTE_GENERATOR_SIMULATOR_DIR": str(tmp_path / "state"),
    }
    with ends_in_time(errors.TimedOut):
        attest(REPORT_DATA, transport="simulator", timeout=ALLOWED, system=System(environ=environ))


def test_a_pipe_in_a_logs_place_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / eventlog.AAEL_PATH
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    with pytest.raises(errors.BadInput, match="regular") as caught:
        eventlog.read_aael(tmp_path)
    assert caught.value.path == str(path)


@pytest.mark.parametrize(
    "timeout", [-1, float("nan"), float("inf"), 601, 10**400, "10", None, True, [1], 1j, Decimal(1)]
)
def test_a_time_out_must_be_one(machine: System, timeout: Any) -> None:
    calls: list[Call] = [
        lambda system: attest(REPORT_DATA, timeout=timeout, system=system),
        lambda system: check_log(timeout=timeout, system=system),
        lambda system: finish_event(timeout=timeout, system=system),
        lambda system: record_event("a", "b", "c", timeout=timeout, system=system),
        lambda system: extend_rtmr(3, b"\5" * 48, timeout=timeout, system=system),
        lambda system: get_tdreport(timeout=timeout, system=system),
        lambda system: available_transports(system, timeout=timeout),
    ]
    for call in calls:
        with pytest.raises(errors.BadInput, match="timeout"):
            call(machine)
    assert not Path(machine.aael).exists()
