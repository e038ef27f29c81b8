"""Quotes through configfs-tsm: every fault, through the compiled C."""

from __future__ import annotations

import errno
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import Emulate, eventually

from emulator import Emulator
from emulator.kernel import FAULTS, PASSING, RANDOM_RATES
from quote_generator import errors
from quote_generator.attester import Attestation, System, attest

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
    "empty": (errors.ServiceFailed, None, "outblob"),
    "gone": (errors.NotAvailable, errno.ENXIO, "outblob"),
    "interrupted": (errors.TimedOut, errno.EINTR, "outblob"),
    "io-error": (errors.ServiceFailed, errno.EIO, "outblob"),
    "no-provider": (errors.NotAvailable, errno.ENXIO, ""),
    "old-quote": (errors.CorruptAnswer, None, "outblob"),
    "other-provider": (errors.NotAvailable, None, "provider"),
    "other-tee": (errors.CorruptAnswer, None, "outblob"),
    "other-version": (errors.CorruptAnswer, None, "outblob"),
    "overwritten": (errors.CorruptAnswer, None, "generation"),
    "permission": (errors.NotPermitted, errno.EACCES, ""),
    "slow": (errors.TimedOut, None, ""),
    "stale": (errors.CorruptAnswer, None, "generation"),
    "timed-out": (errors.TimedOut, errno.ETIMEDOUT, "outblob"),
    "too-big": (errors.CorruptAnswer, errno.EFBIG, "outblob"),
    "trailing": (errors.CorruptAnswer, None, "outblob"),
    "truncated": (errors.CorruptAnswer, None, "outblob"),
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


def test_the_caller_leaves_a_kernel_that_hangs(emulator: Emulator, system: System) -> None:
    """The worker stays behind, and cleans up when the kernel lets it go."""
    descriptors = open_descriptors()
    emulator.set_fault("slow:1")
    with pytest.raises(errors.TimedOut, match="has not answered"):
        ask(system, timeout=0.2)
    assert emulator.state()["quote"] > 0  # waits for the kernel, as all others do
    assert eventually(lambda: emulator.state()["entries"] == [])
    assert eventually(lambda: len(os.listdir("/proc/self/task")) == threading.active_count())
    assert open_descriptors() == descriptors


def test_hung_requests_do_not_pile_up(emulator: Emulator, system: System) -> None:
    emulator.set_fault("slow:1")
    with ThreadPoolExecutor(16) as pool:
        hung = [pool.submit(ask, system, REPORT_DATA, 0.2) for _ in range(16)]
    assert {type(job.exception()) for job in hung} == {errors.TimedOut}
    with pytest.raises(errors.Busy, match="earlier ones") as caught:
        ask(system)
    assert caught.value.errno == errno.EBUSY
    assert eventually(lambda: emulator.state()["entries"] == [])
    assert eventually(lambda: len(os.listdir("/proc/self/task")) == threading.active_count())
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
