"""Callers that leave a kernel which holds their request: nothing of theirs goes on holding others.

What holds here lasts a minute; who is not let go by its caller stays for as long.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import guest
import pytest
from test_configfs import REPORT_DATA, ask, only_our_threads, report_data_of

from conftest import ON_REAL_KERNEL, Emulate, eventually
from emulator import Emulator
from quote_generator import errors
from quote_generator.attester import System, available_transports
from quote_generator.measure import read_rtmr

HOLD = 60.0  # the fault "held", on the emulator and on the real kernel
SOON = 30.0 if ON_REAL_KERNEL else 5.0  # the guest's processor is slow
OTHERS = 4


def test_others_have_their_quotes_long_before_the_hold_is_over(
    emulator: Emulator, system: System
) -> None:
    """Those that queued while the first one was held, and those that come after it left."""
    emulator.set_fault("held:1")
    wanted = [bytes([n]) * 64 for n in range(2 * OTHERS)]
    with ThreadPoolExecutor(2 * OTHERS + 1) as pool:
        first = pool.submit(ask, system, REPORT_DATA, 1.0)
        emulator.wait_until_held()
        asked = [pool.submit(ask, system, data, HOLD) for data in wanted[:OTHERS]]
        assert type(first.exception()) is errors.TimedOut
        left = time.monotonic()
        asked += [pool.submit(ask, system, data, HOLD) for data in wanted[OTHERS:]]
        assert [report_data_of(other.result().quote) for other in asked] == wanted
    assert time.monotonic() - left < SOON


@pytest.mark.emulated("the one host there would be at it for a minute, for all tests that follow")
def test_nobody_waits_in_the_kernel_for_a_host_that_nobody_waits_for(emulate: Emulate) -> None:
    """The driver's one buffer is the host's for a minute: others are told so, and at once."""
    with emulate(slow=HOLD, fault="slow:1") as emulator:
        system = System.under(emulator.root, environ={})
        with pytest.raises(errors.TimedOut):
            ask(system, timeout=0.3)
        left = time.monotonic()
        entry = Path(system.configfs, "somebody-elses")
        entry.mkdir()
        entry.rmdir()
        assert {one.name: one.usable for one in available_transports(system)}["configfs-tsm"]
        with pytest.raises(errors.Busy):
            ask(system, timeout=0.3)
        assert time.monotonic() - left < SOON
        assert emulator.state()["in_flight"]


@pytest.mark.emulated("with the kernel's own code it takes a rival or a chance")
def test_a_worker_that_queued_starts_no_quote_for_a_caller_that_left(
    emulator: Emulator, system: System
) -> None:
    """The kernel's lock is in its way after its entry was made, and it comes back when all is over.

    A quote that nobody waits for would hold up all others, for a second at least.
    """
    emulator.set_fault("held-generation:1")
    before = emulator.state()
    with pytest.raises(errors.TimedOut):
        ask(system, timeout=0.3)
    assert eventually(only_our_threads)
    after = emulator.state()
    assert after["mkdir"] == before["mkdir"] + 1
    assert after["quote"] == before["quote"]
    assert after["entries"] == []


def test_a_call_that_the_kernel_would_begin_again_ends_too(tmp_path: Path) -> None:
    """Opening a named pipe waits for its other end; with SA_RESTART a signal ends no such wait."""
    os.mkfifo(tmp_path / "rtmr3:sha384")
    system = System(guest_devices=("/no/such/device",), measurements=str(tmp_path), environ={})
    with pytest.raises(errors.TimedOut):
        read_rtmr(3, timeout=0.2, system=system)
    assert eventually(only_our_threads)


@pytest.mark.skipif(not ON_REAL_KERNEL, reason="the emulator's driver does not look once a second")
def test_a_driver_that_looks_once_a_second() -> None:
    """As the real one does. All other tests have it look more often, for they would take long."""
    with guest.RealKernel(slow=2.5, poll=1.0, fault="slow:1") as kernel:
        system = System.under(kernel.root, environ={})
        began = time.monotonic()
        assert report_data_of(ask(system, timeout=20).quote) == REPORT_DATA
        assert time.monotonic() - began > 2.9  # it looks after one, two, three seconds
        kernel.set_fault("slow:1")
        began = time.monotonic()
        with pytest.raises(errors.TimedOut):
            ask(system, timeout=0.3)  # in the middle of its first second
        assert time.monotonic() - began < 0.9
        assert kernel.state()["entries"] == []
        assert report_data_of(ask(system, timeout=20).quote) == REPORT_DATA
