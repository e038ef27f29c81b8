"""Quotes through configfs-tsm: every fault, through the compiled C."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from conftest import Emulate, another_reader, eventually
from emulator import Emulator
from emulator.kernel import FAULTS, PASSING, RANDOM_RATES
from quote_generator import errors
from quote_generator.attester import Attestation, System, attest
from quote_generator.consistency import check_consistency
from quote_generator.native import _tdx
from quote_generator.quote import parse_quote

REPORT_DATA = bytes(range(64))
OFFSETS = {4: 568, 5: 574}


def report_data_of(quote: bytes) -> bytes:
    offset = OFFSETS[int.from_bytes(quote[:2], "little")]
    return quote[offset : offset + 64]


def ask(system: System, report_data: bytes = REPORT_DATA, timeout: float = 20.0) -> Attestation:
    return attest(report_data, transport="configfs-tsm", timeout=timeout, system=system)


@pytest.mark.parametrize("form", ["v4", "v5", "v5-td15"])
def test_a_quote_carries_the_report_data(emulate: Emulate, form: str) -> None:
    with emulate(form=form) as emulator:
        made = ask(System.under(emulator.root))
    assert report_data_of(made.quote) == REPORT_DATA
    assert (made.transport, made.provider, made.simulated) == ("configfs-tsm", "tdx_guest", False)
    check_consistency(parse_quote(made.quote))


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_is_outlived(emulator: Emulator, system: System, fault: str) -> None:
    ask(system, bytes(64))  # so that there is an older quote to be given again
    emulator.set_fault(f"{fault}:2")
    before = emulator.state()["mkdir"]
    assert report_data_of(ask(system).quote) == REPORT_DATA
    assert emulator.state()["mkdir"] - before == (1 if fault == "busy-mkdir" else 3)


# What a fault that stays becomes: class, errno, and the attribute named.
LASTING = {
    "absurd-length": (errors.CorruptAnswer, None, "outblob"),
    "broken-signature": (errors.CorruptAnswer, None, ""),
    "busy": (errors.Busy, errno.EBUSY, "outblob"),
    "busy-mkdir": (errors.Busy, errno.EBUSY, ""),
    "changed": (errors.Busy, errno.EAGAIN, "outblob"),
    "cut-header": (errors.CorruptAnswer, None, "outblob"),
    "dice": (errors.NotSupported, None, "outblob"),
    "dice-100k": (errors.NotSupported, errno.EFBIG, "outblob"),
    "empty": (errors.ServiceFailed, None, "outblob"),
    "foreign-chain": (errors.CorruptAnswer, None, ""),
    "gone": (errors.NotAvailable, errno.ENXIO, "outblob"),
    "interrupted": (errors.TimedOut, errno.EINTR, "outblob"),
    "io-error": (errors.ServiceFailed, errno.EIO, "outblob"),
    "no-chain": (errors.ServiceFailed, None, ""),
    "no-provider": (errors.NotAvailable, errno.ENXIO, ""),
    "old-quote": (errors.CorruptAnswer, None, "outblob"),
    "other-provider": (errors.NotAvailable, None, "provider"),
    "other-tee": (errors.CorruptAnswer, None, "outblob"),
    "other-version": (errors.CorruptAnswer, None, "outblob"),
    "overwritten": (errors.CorruptAnswer, None, "generation"),
    "p384": (errors.NotSupported, None, "outblob"),
    "permission": (errors.NotPermitted, errno.EACCES, ""),
    "slow": (errors.TimedOut, None, ""),
    "stale": (errors.CorruptAnswer, None, "generation"),
    "timed-out": (errors.TimedOut, errno.ETIMEDOUT, "outblob"),
    "too-big": (errors.NotSupported, errno.EFBIG, "outblob"),
    "trailing": (errors.CorruptAnswer, None, "outblob"),
    "truncated": (errors.CorruptAnswer, None, "outblob"),
    "unsigned": (errors.CorruptAnswer, None, ""),
    "vanished": (errors.CorruptAnswer, errno.ENOENT, "outblob"),
    "write-error": (errors.ServiceFailed, errno.EIO, "inblob"),
    "wrong-report-data": (errors.CorruptAnswer, None, "outblob"),
}


def test_the_table_names_every_fault() -> None:
    assert set(LASTING) == set(FAULTS) - {"held", "padded", *RANDOM_RATES}


@pytest.mark.parametrize("fault", LASTING)
def test_a_fault_that_stays_is_an_error_of_its_kind(
    emulator: Emulator, system: System, fault: str
) -> None:
    ask(system, bytes(64))
    kind, number, attribute = LASTING[fault]
    emulator.set_fault(fault)
    with pytest.raises(errors.QuoteGeneratorError) as caught:
        ask(system, timeout=0.5)
    emulator.set_fault("none")
    error = caught.value
    assert type(error) is kind
    assert (error.code, error.errno) == (kind.code, number)
    assert error.path is not None
    assert error.path.startswith(system.configfs)
    assert error.path.endswith(attribute)
    assert error.attribute == (attribute or None)
    if number is not None:
        assert os.strerror(number) in str(error)
    assert report_data_of(ask(system).quote) == REPORT_DATA  # and it is over with the fault


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("foreign-chain", "its parts do not hold together"),
        ("unsigned", "QE report's signature is wrong"),
        ("no-chain", "no certificate chain"),
        ("dice", "a DICE quote"),
        ("dice-100k", "larger than this kernel hands out"),
        ("p384", "P-384"),
    ],
)
def test_what_is_wrong_with_a_quote_is_said(
    emulator: Emulator, system: System, fault: str, words: str
) -> None:
    emulator.set_fault(fault)
    with pytest.raises(errors.QuoteGeneratorError, match=words):
        ask(system)


@pytest.mark.emulated("its attribute holds 32 KiB, before Linux 7.0")
def test_a_large_quote_is_read_and_recognised() -> None:
    """Linux 7.0: up to 16 MiB, and DICE quotes of about 100 KB."""
    with Emulator(outblob_max=16 << 20, fault="dice-100k") as emulator:
        with pytest.raises(errors.NotSupported, match="a DICE quote") as caught:
            ask(System.under(emulator.root))
        assert caught.value.errno is None
        emulator.set_fault("foreign-chain")
        with pytest.raises(errors.CorruptAnswer, match="its parts do not hold together"):
            ask(System.under(emulator.root))


def test_padding_is_cut_off(emulator: Emulator, system: System) -> None:
    plain = ask(system).quote
    emulator.set_fault("padded")
    assert ask(system).quote == plain


def test_no_report_directory(tmp_path: Path) -> None:
    with pytest.raises(errors.NotAvailable) as caught:
        attest(REPORT_DATA, system=System.under(str(tmp_path), environ={}))
    assert caught.value.errno == errno.ENOENT
    assert f"{tmp_path}/sys/kernel/config/tsm/report" in str(caught.value)
    assert "mount -t configfs" in str(caught.value)


def test_a_path_too_long_is_said_so() -> None:
    with pytest.raises(errors.BadInput):
        ask(System.under("/" + "x" * 600))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"report_data": bytes(63)}, "64 bytes"),
        ({"report_data": bytes(65)}, "64 bytes"),
        ({"report_data": "0" * 64}, "64 bytes"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"transport": "telepathy"}, "telepathy"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], word: str) -> None:
    with pytest.raises(errors.BadInput, match=word):
        attest(**{"report_data": REPORT_DATA, **arguments})  # type: ignore[arg-type]


# --- a kernel that hangs: the caller leaves, and calls its worker back ---


def only_our_threads() -> bool:
    return len(os.listdir("/proc/self/task")) == threading.active_count()


@pytest.mark.parametrize("fault", ["slow", "held"])
def test_the_caller_leaves_a_kernel_that_hangs(
    emulator: Emulator, system: System, fault: str
) -> None:
    """The entry is gone before the call returns, and soon the worker is."""
    descriptors = open_descriptors()
    emulator.set_fault(f"{fault}:1")
    with pytest.raises(errors.TimedOut, match="has not answered"):
        ask(system, timeout=0.2)
    assert emulator.state()["entries"] == []
    assert eventually(only_our_threads)
    assert open_descriptors() == descriptors


def test_others_go_on_at_once_when_the_caller_leaves(emulator: Emulator, system: System) -> None:
    """Were the worker left in the kernel, they would wait behind it for a minute."""
    emulator.set_fault("held:1")
    with pytest.raises(errors.TimedOut):
        ask(system, timeout=0.2)
    assert report_data_of(ask(system, timeout=30).quote) == REPORT_DATA


def test_those_who_queue_behind_the_caller_go_on_when_it_leaves(
    emulator: Emulator, system: System
) -> None:
    """No signal reaches those that wait for the kernel's class lock; the lock comes to them."""
    emulator.set_fault("held:1")
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(ask, system, REPORT_DATA, 1.0)
        emulator.wait_until_held()
        others = [pool.submit(ask, system, bytes([n]) * 64, 30) for n in range(3)]
        assert type(first.exception()) is errors.TimedOut
        made = [report_data_of(other.result().quote) for other in others]
    assert made == [bytes([n]) * 64 for n in range(3)]


def test_the_host_goes_on_with_a_quote_that_nobody_waits_for(
    emulator: Emulator, system: System
) -> None:
    """The driver has one buffer: until the host is done with it, others are told EBUSY."""
    emulator.set_fault("slow:1")
    with pytest.raises(errors.TimedOut):
        ask(system, timeout=0.2)
    assert emulator.state()["in_flight"]
    before = emulator.state()["mkdir"]
    with pytest.raises(errors.Busy) as caught:
        ask(system, timeout=0.2)
    assert caught.value.errno == errno.EBUSY
    assert emulator.state()["mkdir"] > before  # nobody was in the way of that
    assert report_data_of(ask(system, timeout=30).quote) == REPORT_DATA


SIGNALS = """
import signal, sys
from quote_generator import errors
from quote_generator.attester import System, attest
seen = []
if sys.argv[2] == "taken":
    signal.signal(signal.SIGRTMAX, lambda number, frame: seen.append(number))
def leave():
    try:
        attest(bytes(64), transport="configfs-tsm", timeout=0.2, system=System.under(sys.argv[1]))
    except errors.TimedOut as error:
        assert "not answered" in str(error), error
leave()
if sys.argv[2] == "reset":
    for other in range(signal.SIGRTMIN, signal.SIGRTMAX + 1):
        signal.signal(other, signal.SIG_DFL)
leave()
assert seen == []
"""


@pytest.mark.parametrize("signals", ["taken", "reset"])
def test_signals_of_the_program_are_left_alone(emulator: Emulator, signals: str) -> None:
    """One that it handles is not used; and one whose handler is gone would end it, if sent."""
    emulator.set_fault("held")
    command = [sys.executable, "-c", SIGNALS, emulator.root, signals]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert (done.stderr, done.returncode) == (b"", 0)
    assert emulator.state()["entries"] == []


def held_by_another(emulator: Emulator, system: System) -> AbstractContextManager[None]:
    """While it lasts, every request of ours queues for the class lock, whatever signal comes."""
    return another_reader(emulator, Path(system.configfs, "held-by-another"))


def test_so_many_requests_are_with_the_kernel_and_others_wait_for_their_turn(
    emulator: Emulator, system: System
) -> None:
    wanted = [bytes([n]) * 64 for n in range(40)]

    def workers() -> int:
        return len(os.listdir("/proc/self/task")) - threading.active_count()

    with ThreadPoolExecutor(40) as pool:
        with held_by_another(emulator, system):
            asked = [pool.submit(ask, system, data, 60) for data in wanted]
            assert eventually(lambda: threading.active_count() > 40)
            assert eventually(lambda: workers() == _tdx.lib.TDX_MAX_JOBS)
            time.sleep(0.2)  # for any more of them
            assert workers() == _tdx.lib.TDX_MAX_JOBS
        assert [report_data_of(request.result().quote) for request in asked] == wanted
    assert eventually(only_our_threads)


def test_hung_requests_do_not_pile_up(emulator: Emulator, system: System) -> None:
    with held_by_another(emulator, system):
        with ThreadPoolExecutor(16) as pool:
            hung = [pool.submit(ask, system, REPORT_DATA, 0.2) for _ in range(16)]
        assert {type(job.exception()) for job in hung} == {errors.TimedOut}
        with pytest.raises(errors.Busy, match="earlier ones") as caught:
            ask(system, timeout=0.2)
        assert caught.value.errno == errno.EBUSY
    assert eventually(lambda: emulator.state()["entries"] == [])
    assert eventually(only_our_threads)
    assert report_data_of(ask(system).quote) == REPORT_DATA


def test_other_python_threads_run_meanwhile(emulator: Emulator, system: System) -> None:
    emulator.set_fault("slow:1")
    asking = threading.Thread(target=ask, args=(system,))
    asking.start()
    for _ in range(100):  # were the GIL held, each turn would take a slice of 50 ms
        threading.Event().wait(0.001)
    assert asking.is_alive()
    asking.join()


@pytest.mark.parametrize("fault", ["none", "random"])
def test_threads_each_get_their_own_quote(emulator: Emulator, system: System, fault: str) -> None:
    emulator.set_fault(fault)
    wanted = [random.Random(n).randbytes(64) for n in range(160)]
    descriptors = open_descriptors()
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda data: ask(system, data, 60), wanted))
    assert [report_data_of(one.quote) for one in made] == wanted
    assert eventually(lambda: open_descriptors() == descriptors)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
