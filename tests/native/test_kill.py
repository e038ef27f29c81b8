"""kill -9 at random moments: the next start works, and log and register agree or say why not.

The moments are drawn with a fixed seed; what the kernel and the machine make of them is not.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from application_logs import FORMS, digest_of, entry, lines_of, replayed
from test_configfs import REPORT_DATA, ask, report_data_of

from conftest import ON_REAL_KERNEL
from emulator import Emulator
from quote_generator import attester, errors
from quote_generator.attester import System
from quote_generator.measure import (
    check_log,
    extend_rtmr,
    finish_event,
    read_rtmr,
    record_event,
)

ROUNDS = 20 if ON_REAL_KERNEL else 60
SPAN = 8  # requests or events, within which the kill comes


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long SPAN times a work take here."""
    began = time.monotonic()
    for _ in range(SPAN):
        work()
    return time.monotonic() - began


def killed_after(seconds: float, work: Callable[[int], object]) -> int:
    """Run work(0), work(1) ... in a child, kill it after a while, and return how many were done."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, b"r")
            for number in range(1_000_000):
                work(number)
                os.write(writer, b".")
        finally:
            os._exit(1)
    os.close(writer)
    assert os.read(reader, 1) == b"r"
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    with open(reader, "rb") as pipe:
        return len(pipe.read())


def in_a_new_process(work: Callable[[], None]) -> None:
    """Run work in a child, as the next start of a service would; it must not fail."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("fault", ["none", "random"])
def test_generate(
    emulator: Emulator, system: System, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = random.Random(fault)
    left = 0
    # On a slow processor it takes longer than the request, which is to be killed.
    monkeypatch.setattr(attester, "_check_quote", lambda *_: None)
    longest = seconds_of(lambda: ask(system))

    def next_start() -> None:
        assert report_data_of(ask(system).quote) == REPORT_DATA

    for _ in range(ROUNDS):
        emulator.set_fault(fault)
        killed_after(generator.uniform(0, longest), lambda _: ask(system))
        emulator.set_fault("none")
        left += len(emulator.state()["entries"])
        in_a_new_process(next_start)
        assert emulator.state()["entries"] == []
    assert left > 0  # else no kill came within a request


@pytest.fixture
def machine(system: System, tmp_path: Path) -> System:
    return replace(system, aael=str(tmp_path / "attestation-agent" / "eventlog"))


@pytest.mark.parametrize("form", FORMS)
def test_extend(emulator: Emulator, machine: System, form: str) -> None:
    generator = random.Random(3)
    if form == "text":  # begun by an older agent; one of TCG2 events begins by itself
        first = f"INIT sha384/{read_rtmr(3, system=machine).hex()}"
        Path(machine.aael).parent.mkdir()
        Path(machine.aael).write_bytes(entry(form, first))
        extend_rtmr(3, digest_of(form, first), system=machine)
    states = {"consistent": 0, "unfinished": 0}
    longest = seconds_of(lambda: record_event("app", "first", "x", system=machine))

    def record(number: int) -> None:
        record_event("app", "step", str(number), timeout=60, system=machine)

    def next_start() -> None:
        if check_log(system=machine) == "unfinished":
            with pytest.raises(errors.LogMismatch, match=r"never measured.*finish_event"):
                record(0)
            finish_event(system=machine)
        record_event("app", "start", "again", system=machine)
        assert check_log(system=machine) == "consistent"

    for _ in range(ROUNDS):
        events_before = number_of_events(machine)
        done = killed_after(generator.uniform(0, longest), record)
        states[check_log(system=machine)] += 1  # a KeyError would be "diverged"
        # What was reported as done is there, and at most the one under way besides.
        assert 0 <= number_of_events(machine) - events_before - done <= 1
        in_a_new_process(next_start)
        assert replayed(Path(machine.aael).read_bytes()) == read_rtmr(3, system=machine)
    assert states["consistent"] > 0
    # Else no kill came between the entry and its extension. With a slow processor and a log in
    # memory, as the guest has them, that takes luck.
    assert states["unfinished"] > 0 or ON_REAL_KERNEL


def number_of_events(machine: System) -> int:
    """Count the entries after the first one."""
    return len(lines_of(Path(machine.aael).read_bytes())) - 1
