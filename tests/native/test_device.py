"""TDREPORT, quotes by the QGS, and quotes by the ioctl of older kernels, through the compiled C."""

from __future__ import annotations

import contextlib
import errno
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from guest import QGS_PORT
from test_configfs import REPORT_DATA, open_descriptors, report_data_of

from conftest import ON_REAL_KERNEL, Emulate, eventually
from emulator import Emulator, signers
from emulator.device import QUOTE_NUMBERS
from emulator.kernel import DEVICE_FAULTS
from emulator.kernel import SPOILERS as QUOTE_SPOILERS
from emulator.qgs import SPOILERS, Qgs
from quote_generator import attester, errors
from quote_generator.attester import (
    Attestation,
    System,
    Transport,
    attest,
    available_transports,
    get_tdreport,
    qgs_port,
)
from quote_generator.tdreport import parse_tdreport

# --- TDREPORT ---


def test_a_tdreport_carries_the_report_data(system: System) -> None:
    report = parse_tdreport(get_tdreport(REPORT_DATA, system=system))
    assert report.report_data == REPORT_DATA
    for number, value in enumerate((report.rtmr_0, report.rtmr_1, report.rtmr_2, report.rtmr_3)):
        assert value == Path(system.measurements, f"rtmr{number}:sha384").read_bytes()
    assert report.to_dict()["mr_td"] == "7d" * 48


def test_the_other_name_of_the_device(system: System) -> None:
    other = replace(system, guest_devices=("/no/such/device", *system.guest_devices))
    assert len(get_tdreport(system=other)) == 1024


@pytest.mark.parametrize("fault", ["report-busy", "report-interrupted", "report-error"])
def test_a_report_fault_that_passes(emulator: Emulator, system: System, fault: str) -> None:
    emulator.set_fault(f"{fault}:2")
    assert parse_tdreport(get_tdreport(REPORT_DATA, system=system)).report_data == REPORT_DATA


REPORT_FAULTS = {
    "report-busy": (errors.Busy, errno.EBUSY),
    "report-error": (errors.ServiceFailed, errno.EIO),
    "report-interrupted": (errors.TimedOut, errno.EINTR),
    "report-no-type": (errors.CorruptAnswer, None),
    "report-slow": (errors.TimedOut, None),
    "report-wrong-data": (errors.CorruptAnswer, None),
}


@pytest.mark.parametrize("fault", REPORT_FAULTS)
def test_a_report_fault_that_stays(emulator: Emulator, system: System, fault: str) -> None:
    emulator.set_fault(fault)
    kind, number = REPORT_FAULTS[fault]
    with pytest.raises(errors.QuoteGeneratorError) as caught:
        get_tdreport(REPORT_DATA, timeout=0.3, system=system)
    assert (type(caught.value), caught.value.errno) == (kind, number)
    assert (caught.value.path, caught.value.attribute) == (system.guest_devices[0], None)


def test_no_device(tmp_path: Path) -> None:
    with pytest.raises(errors.NotAvailable, match="tdx_guest") as caught:
        get_tdreport(system=System.under(str(tmp_path)))
    assert caught.value.errno == errno.ENOENT


def test_a_device_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "device").touch()
    with pytest.raises(errors.NotAvailable) as caught:
        get_tdreport(system=System(guest_devices=(str(tmp_path / "device"),)))
    assert caught.value.errno == errno.ENOTTY


def test_tdreports_that_are_none() -> None:
    for data in (b"", bytes(1023), bytes(1025), bytes(1024)):
        with pytest.raises(errors.BadInput):
            parse_tdreport(data)


# --- QGS ---


@pytest.fixture
def with_qgs(system: System, qgs: Qgs, tmp_path: Path) -> System:
    config = tmp_path / "tdx-attest.conf"
    config.write_text("# the QGS\nport=4050\n")
    return replace(system, qgs_config=str(config), qgs_socket=qgs.socket)


def ask_qgs(system: System, data: bytes = REPORT_DATA, timeout: float = 20.0) -> Attestation:
    return attest(data, transport="qgs-vsock", timeout=timeout, system=system)


@pytest.mark.parametrize("fault", ["none", "byte-by-byte", "other-minor", "with-an-id"])
def test_a_quote_by_qgs(qgs: Qgs, with_qgs: System, fault: str) -> None:
    qgs.fault = fault
    made = ask_qgs(with_qgs)
    assert report_data_of(made.quote) == REPORT_DATA
    assert (made.transport, made.provider, made.simulated) == ("qgs-vsock", "tdx_guest", False)
    header = "0000041801000100000000001804000000000000" + "0004000000000000"
    assert qgs.requests[0][:28].hex() == header
    assert len(qgs.requests[0]) == 1052


BAD_ANSWERS = set(SPOILERS) - {"none", "other-minor", "with-an-id"}


@pytest.mark.parametrize("fault", sorted(BAD_ANSWERS))
def test_a_bad_answer_once_is_outlived(qgs: Qgs, with_qgs: System, fault: str) -> None:
    qgs.fault, qgs.count = fault, 2
    assert report_data_of(ask_qgs(with_qgs).quote) == REPORT_DATA
    assert len(qgs.requests) == 3


@pytest.mark.parametrize("fault", sorted(BAD_ANSWERS))
def test_a_bad_answer_for_ever_is_an_error(qgs: Qgs, with_qgs: System, fault: str) -> None:
    qgs.fault = fault
    with pytest.raises(errors.QuoteGeneratorError) as caught:
        ask_qgs(with_qgs)
    failed = ("hang-up", "error", "empty-quote")
    kind = errors.ServiceFailed if fault.startswith(failed) else errors.CorruptAnswer
    assert type(caught.value) is kind
    assert caught.value.path == qgs.path
    status = {"error": "0x12001", "error-only": "0x12002"}.get(fault, "QGS")
    assert status in str(caught.value)


@pytest.mark.parametrize("spoiler", ["unsigned", "foreign-chain", "no-chain", "p384", "dice"])
def test_a_quote_that_does_not_hold_together_is_refused(
    with_qgs: System, tmp_path: Path, spoiler: str
) -> None:
    (tmp_path / "bad").mkdir()
    sign, spoil = signers.fixed(), QUOTE_SPOILERS[spoiler]
    port = QGS_PORT + 1 if with_qgs.qgs_socket is None else None
    with Qgs(tmp_path / "bad", lambda data: spoil(sign(data)), vsock_port=port) as qgs:
        Path(with_qgs.qgs_config).write_text(f"port={QGS_PORT + 1}\n")
        with pytest.raises(errors.QuoteGeneratorError) as caught:
            ask_qgs(replace(with_qgs, qgs_socket=qgs.socket))
    kinds = {"no-chain": errors.ServiceFailed, "p384": errors.NotSupported}
    kinds["dice"] = errors.NotSupported
    assert type(caught.value) is kinds.get(spoiler, errors.CorruptAnswer)


def test_a_silent_qgs_is_waited_for_no_longer_than_allowed(qgs: Qgs, with_qgs: System) -> None:
    qgs.fault = "silent"
    with pytest.raises(errors.TimedOut, match="no answer from the QGS") as caught:
        ask_qgs(with_qgs, timeout=0.3)
    assert caught.value.errno == errno.ETIMEDOUT
    assert len(qgs.requests) == 1


@pytest.mark.parametrize("kind", ["absent", "refusing", "full"])
def test_a_qgs_that_takes_no_connection(with_qgs: System, tmp_path: Path, kind: str) -> None:
    path = str(tmp_path / "other.socket")
    held = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    if kind != "absent":
        held[0].bind(path)
    if kind == "full":
        held[0].listen(0)
        held[1].connect(path)
    expected = errors.Busy if kind == "full" else errors.ServiceFailed
    with pytest.raises(expected) as caught:
        ask_qgs(replace(with_qgs, qgs_socket=path), timeout=0.5)
    numbers = {"absent": errno.ENOENT, "refusing": errno.ECONNREFUSED, "full": errno.EAGAIN}
    assert caught.value.errno == numbers[kind]
    for one in held:
        one.close()


def test_threads_each_get_their_own_quote_by_qgs(qgs: Qgs, with_qgs: System) -> None:
    wanted = [random.Random(n).randbytes(64) for n in range(100)]
    descriptors = open_descriptors()
    with ThreadPoolExecutor(12) as pool:
        made = list(pool.map(lambda data: ask_qgs(with_qgs, data, 60), wanted))
    assert [report_data_of(one.quote) for one in made] == wanted
    assert eventually(lambda: open_descriptors() == descriptors)


def test_vsock_that_is_not_there_is_an_error(system: System, tmp_path: Path) -> None:
    """By vsock for real: no QGS listens on the test machine, whatever kernel it has."""
    config = tmp_path / "tdx-attest.conf"
    config.write_text("port=4050\n")
    with pytest.raises((errors.NotAvailable, errors.ServiceFailed, errors.TimedOut)) as caught:
        ask_qgs(replace(system, qgs_config=str(config)), timeout=0.5)
    assert "vsock:2:4050" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("port=4050", 4050),
        ("# comment\n\n  port = 4051  # of the host\nother=1\n", 4051),
        ("", None),
        ("port=", None),
        ("port=0", None),
        ("port=4294967295", None),
        ("port=99999999999", None),
        ("#port=4050", None),
        ("export=4050", None),
        ("port=40x0", None),
        ("\xff\xfe", None),
    ],
)
def test_the_port_in_the_configuration(tmp_path: Path, text: str, port: int | None) -> None:
    path = tmp_path / "tdx-attest.conf"
    path.write_bytes(text.encode("latin-1"))
    system = System(qgs_config=str(path))
    if port is not None:
        assert qgs_port(system) == port
    else:
        with pytest.raises(errors.NotAvailable, match="port=4050"):
            qgs_port(system)


# --- GET_QUOTE of older kernels ---

LEGACY = sorted(name for name, number in QUOTE_NUMBERS.items() if number)


def ask_legacy(system: System, data: bytes = REPORT_DATA, timeout: float = 20.0) -> Attestation:
    return attest(data, transport="legacy-ioctl", timeout=timeout, system=system)


@pytest.fixture(scope="module")
def legacy_emulator(emulate: Emulate) -> Iterator[Emulator]:
    with emulate(device="legacy", slow=0.5) as emulator:
        yield emulator


@pytest.fixture
def legacy(legacy_emulator: Emulator) -> Iterator[System]:
    legacy_emulator.set_fault("none")
    yield System.under(legacy_emulator.root, environ={})
    legacy_emulator.set_fault("none")


@pytest.mark.parametrize("device", LEGACY)
def test_every_drivers_request_is_found(emulate: Emulate, device: str) -> None:
    with emulate(device=device) as emulator:
        system = System.under(emulator.root, environ={})
        made = ask_legacy(system)
        usable = {found.name: found.usable for found in available_transports(system)}
    assert report_data_of(made.quote) == REPORT_DATA
    assert (made.transport, made.provider) == ("legacy-ioctl", "tdx_guest")
    assert usable["legacy-ioctl"]


def test_upstream_kernels_offer_no_quotes(system: System) -> None:
    with pytest.raises(errors.NotAvailable, match="use configfs-tsm") as caught:
        ask_legacy(system)
    assert caught.value.errno == errno.ENOTTY


LEGACY_FAULTS = {
    **REPORT_FAULTS,
    "quote-bad-message": (errors.CorruptAnswer, "add up"),
    "quote-empty": (errors.ServiceFailed, "empty"),
    "quote-error": (errors.ServiceFailed, "0x8000000000000000"),
    "quote-in-flight": (errors.TimedOut, "in flight"),
    "quote-qgs-error": (errors.ServiceFailed, "0x12001"),
    "quote-spoiled": (errors.CorruptAnswer, "report data"),
    "quote-too-long": (errors.CorruptAnswer, "longer than its buffer"),
    "quote-unsigned": (errors.CorruptAnswer, "QE report's signature is wrong"),
    "quote-unavailable": (errors.ServiceFailed, "0x8000000000000001"),
}


def test_the_table_names_every_fault_of_the_device() -> None:
    assert set(LEGACY_FAULTS) == {f for f in DEVICE_FAULTS if not f.startswith("extend-")}


@pytest.mark.parametrize("fault", [f for f in LEGACY_FAULTS if f.startswith("quote-")])
def test_a_legacy_fault_that_stays(legacy_emulator: Emulator, legacy: System, fault: str) -> None:
    legacy_emulator.set_fault(fault)
    kind, text = LEGACY_FAULTS[fault]
    with pytest.raises(errors.QuoteGeneratorError) as caught:
        ask_legacy(legacy, timeout=0.5)
    assert type(caught.value) is kind
    # On a busy machine the caller may be back before the core could say where it stood.
    late = kind is errors.TimedOut and "not answered in the time allowed" in str(caught.value)
    assert late or str(text) in str(caught.value)
    assert caught.value.path == legacy.guest_devices[0]


PASSING_LEGACY_FAULTS = sorted(set(LEGACY_FAULTS) - {"quote-in-flight", "quote-unsigned"})


@pytest.mark.parametrize("fault", PASSING_LEGACY_FAULTS)
def test_a_legacy_fault_that_passes(legacy_emulator: Emulator, legacy: System, fault: str) -> None:
    legacy_emulator.set_fault(f"{fault}:1")
    assert report_data_of(ask_legacy(legacy).quote) == REPORT_DATA


# Leaves quotes in flight, as often as it may; then lifts the fault, and has a child ask first. That
# has no buffer that the host would write to; meanwhile the host is done with the parent's.
LOSE_BUFFERS = """
import os, sys
from quote_generator import errors
from quote_generator.attester import System, attest
system = System.under(sys.argv[1], environ={})
def ask(timeout):
    quote = attest(bytes(64), transport="legacy-ioctl", timeout=timeout, system=system).quote
    return quote[568:632] == bytes(64)
for lost in range(100):
    try:
        ask(0.1)  # enough, on a busy machine as well, for the request to be in flight
    except errors.TimedOut as error:
        assert "in flight" in str(error), error
    except errors.Busy as error:
        assert "too many earlier quotes are still in flight" in str(error), error
        break
print(lost, flush=True)
sys.stdin.readline()
child = os.fork()
if child == 0:
    os._exit(0 if ask(20) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert ask(20)
"""


@pytest.mark.emulated("its host writes to no buffer later")
def test_buffers_of_quotes_in_flight_are_kept_and_freed_when_the_host_is_done(
    emulate: Emulate,
) -> None:
    with emulate(device="legacy", fault="quote-in-flight") as emulator:
        program = subprocess.Popen(
            [sys.executable, "-c", LOSE_BUFFERS, emulator.root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert program.stdout is not None
        assert int(program.stdout.readline()) == 16
        emulator.set_fault("none")
        program.communicate(b"go on\n")
        assert program.returncode == 0


def test_threads_each_get_their_own_legacy_quote(legacy: System) -> None:
    wanted = [random.Random(n).randbytes(64) for n in range(60)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda data: ask_legacy(legacy, data, 60), wanted))
    assert [report_data_of(one.quote) for one in made] == wanted


# --- which one is used ---


def ordered(system: System, order: str) -> System:
    return replace(system, environ={"QUOTE_GENERATOR_TRANSPORTS": order})


CONFIGFS_FIRST = "configfs-tsm, qgs-vsock"


def test_the_quote_service_comes_first_where_a_port_is_named(
    emulator: Emulator, with_qgs: System, system: System, qgs: Qgs
) -> None:
    """The driver looks once a second, the service answers at once."""
    before = emulator.state()["mkdir"]
    assert attest(REPORT_DATA, system=with_qgs).transport == "qgs-vsock"
    assert emulator.state()["mkdir"] == before
    assert attest(REPORT_DATA, system=system).transport == "configfs-tsm"
    assert len(qgs.requests) == 1


def test_the_order_is_a_setting(with_qgs: System, qgs: Qgs) -> None:
    made = attest(REPORT_DATA, system=ordered(with_qgs, CONFIGFS_FIRST))
    assert made.transport == "configfs-tsm"
    assert qgs.requests == []
    found = available_transports(ordered(with_qgs, CONFIGFS_FIRST))
    names = ["configfs-tsm", "qgs-vsock", "legacy-ioctl", "simulator"]
    assert [one.name for one in found] == names
    assert (found[2].usable, "leaves it out" in found[2].reason) == (False, True)
    with pytest.raises(errors.NotAvailable, match="does not offer quotes"):
        attest(REPORT_DATA, system=ordered(with_qgs, "legacy-ioctl"))
    for order in ("vsock", "simulator", "qgs-vsock;configfs-tsm"):
        with pytest.raises(errors.BadInput, match="QUOTE_GENERATOR_TRANSPORTS"):
            attest(REPORT_DATA, system=ordered(with_qgs, order))


@pytest.mark.parametrize("fault", ["silent", "error", "hang-up", "other-major"])
def test_a_quote_service_that_fails_leaves_time_for_configfs(
    with_qgs: System, qgs: Qgs, fault: str
) -> None:
    qgs.fault = fault
    made = attest(REPORT_DATA, timeout=4, system=with_qgs)
    assert (made.transport, report_data_of(made.quote)) == ("configfs-tsm", REPORT_DATA)


def test_a_quote_service_has_all_the_time_where_there_is_nothing_else(
    with_qgs: System, qgs: Qgs, tmp_path: Path
) -> None:
    """The first request, which is hurried, has no answer; the second one has."""
    qgs.fault, qgs.count = "silent", 1
    made = attest(REPORT_DATA, timeout=4, system=replace(with_qgs, configfs=str(tmp_path / "none")))
    assert (made.transport, len(qgs.requests)) == ("qgs-vsock", 2)


@pytest.mark.emulated("there all takes longer")
def test_a_silent_quote_service_leaves_time_for_a_driver_that_takes_a_second(
    emulate: Emulate, with_qgs: System, qgs: Qgs
) -> None:
    """A quarter of 2.5 s, then a second: with more than a half, nothing would come of it.

    The second quote does not pay again: the service is not asked.
    """
    qgs.fault = "silent"
    with emulate(slow=1.0) as slow:
        there = System.under(slow.root, environ={})
        system = replace(there, qgs_config=with_qgs.qgs_config, qgs_socket=with_qgs.qgs_socket)
        for timeout in (2.5, 10):
            slow.set_fault("slow:1")
            made = attest(REPORT_DATA, timeout=timeout, system=system)
            assert (made.transport, report_data_of(made.quote)) == ("configfs-tsm", REPORT_DATA)
    assert len(qgs.requests) == 1


class Watch:
    """Watch notes which transport is tried, when, and until when, by a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.tried: list[tuple[str, float, float]] = []
        self.works: set[str] = set()
        self.missing: set[str] = set()
        monkeypatch.setattr(attester, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(attester, "_silent_until", {})
        monkeypatch.setattr(
            attester, "_ATTEST_BY", {name: partial(self._try, name) for name in attester.TRANSPORTS}
        )

    def _try(self, name: str, report_data: bytes, until: float, system: System) -> Attestation:
        self.tried.append((name, self.now - self._began, until - self._began))
        if name in self.missing:
            raise errors.NotAvailable(name)
        if name not in self.works:
            self.now = until
            raise errors.TimedOut(name)
        if name == "qgs-vsock":
            attester._note_answer(system)
        return Attestation(b"", name, "", simulated=False)

    def ask(self, timeout: float, order: str = "") -> list[tuple[str, float, float]]:
        """Return the tries: name, and when it begins and has to end, in seconds from now."""
        self._began = self.now
        self.tried = []
        with contextlib.suppress(errors.QuoteGeneratorError):
            attest(REPORT_DATA, timeout=timeout, system=ordered(System(), order))
        return self.tried


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


@pytest.mark.parametrize(
    ("timeout", "budget"), [(600, 2), (10, 2), (8, 2), (4, 1), (2, 0.5), (1, 0.25), (0, 0)]
)
def test_the_quote_service_is_hurried_where_others_follow(
    watch: Watch, timeout: float, budget: float
) -> None:
    """A quarter of the time, two seconds at most; then the driver has all the rest."""
    watch.works = {"configfs-tsm"}
    assert watch.ask(timeout) == [
        ("qgs-vsock", 0, budget),
        ("configfs-tsm", budget, timeout),
    ]


def test_the_quote_service_is_not_hurried_where_it_is_the_last(watch: Watch) -> None:
    for order in ("qgs-vsock", "legacy-ioctl, qgs-vsock"):
        watch.missing = {"legacy-ioctl"}
        for _ in range(2):  # and what it did before does not matter
            assert watch.ask(10, order)[-1] == ("qgs-vsock", 0, 10)


@pytest.mark.parametrize("order", ["qgs-vsock", "legacy-ioctl, qgs-vsock"])
def test_the_last_one_is_asked_however_silent_it_was(watch: Watch, order: str) -> None:
    watch.works = {"configfs-tsm"}
    assert watch.ask(10)[0] == ("qgs-vsock", 0, 2)
    assert watch.ask(10) == [("configfs-tsm", 0, 10)]  # it is remembered
    watch.missing = {"legacy-ioctl"}
    assert watch.ask(10, order)[-1] == ("qgs-vsock", 0, 10)


def test_the_quote_service_has_the_rest_where_the_others_are_not_there(watch: Watch) -> None:
    watch.missing = {"configfs-tsm", "legacy-ioctl"}
    others = [("configfs-tsm", 2, 10), ("legacy-ioctl", 2, 10)]
    assert watch.ask(10) == [("qgs-vsock", 0, 2), *others, ("qgs-vsock", 2, 10)]
    # It is remembered as silent: now it has its turn behind the others, with all the time.
    others = [("configfs-tsm", 0, 10), ("legacy-ioctl", 0, 10)]
    assert watch.ask(10) == [*others, ("qgs-vsock", 0, 10)]
    watch.works = {"qgs-vsock"}
    assert watch.ask(10) == [*others, ("qgs-vsock", 0, 10)]
    # And has answered.
    assert watch.ask(10) == [("qgs-vsock", 0, 2)]


def test_a_silent_quote_service_is_not_hurried_again_for_a_minute(watch: Watch) -> None:
    watch.works = {"configfs-tsm"}
    both = [("qgs-vsock", 0, 2), ("configfs-tsm", 2, 10)]
    assert watch.ask(10) == both
    for seconds in (0, 30, 29):
        watch.now += seconds
        assert watch.ask(10) == [("configfs-tsm", 0, 10)]
    watch.now += 1.5
    assert watch.ask(10) == both


def test_a_quote_service_that_had_hardly_any_time_is_not_called_silent(watch: Watch) -> None:
    watch.works = {"configfs-tsm"}
    for _ in range(2):
        assert watch.ask(1.9)[0][0] == "qgs-vsock"


def test_a_quote_service_that_refuses_is_asked_again(
    emulator: Emulator, with_qgs: System, qgs: Qgs
) -> None:
    """A refusal comes at once, and costs no quote its time."""
    qgs.fault = "error"
    attest(REPORT_DATA, system=with_qgs)
    qgs.fault = "none"
    assert attest(REPORT_DATA, system=with_qgs).transport == "qgs-vsock"


def test_who_asks_for_the_quote_service_alone_gets_it(with_qgs: System, qgs: Qgs) -> None:
    qgs.fault, qgs.count = "silent", 1
    assert attest(REPORT_DATA, timeout=4, system=with_qgs).transport == "configfs-tsm"
    assert ask_qgs(with_qgs).transport == "qgs-vsock"
    assert attest(REPORT_DATA, system=with_qgs).transport == "qgs-vsock"  # it has answered


@pytest.mark.parametrize("fault", ["empty", "no-provider", "permission", "dice", "p384"])
def test_the_next_one_is_used_where_the_first_fails(
    emulator: Emulator, with_qgs: System, fault: str
) -> None:
    emulator.set_fault(fault)
    made = attest(REPORT_DATA, system=ordered(with_qgs, CONFIGFS_FIRST))
    assert (made.transport, report_data_of(made.quote)) == ("qgs-vsock", REPORT_DATA)


def test_a_time_out_is_not_doubled_by_trying_the_next(
    emulator: Emulator, with_qgs: System, qgs: Qgs
) -> None:
    emulator.set_fault("timed-out")
    with pytest.raises(errors.TimedOut, match="configfs-tsm"):
        attest(REPORT_DATA, timeout=0.3, system=ordered(with_qgs, CONFIGFS_FIRST))
    assert qgs.requests == []


@pytest.mark.emulated("root is permitted everything there")
def test_the_most_telling_failure_is_raised(emulator: Emulator, system: System) -> None:
    emulator.set_fault("permission")
    with pytest.raises(errors.NotPermitted, match="run as root"):
        attest(REPORT_DATA, system=system)


def test_the_sum_of_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(errors.NotAvailable) as caught:
        attest(REPORT_DATA, system=System.under(str(tmp_path), environ={}))
    text = str(caught.value)
    for name in ("tsm/report", "dev/tdx_guest", "dev/tdx-guest"):
        assert f"{tmp_path}/" in text
        assert name in text
    assert "Azure" not in text


def test_what_is_available(with_qgs: System, tmp_path: Path) -> None:
    found = {one.name: one for one in available_transports(with_qgs)}
    assert list(found) == ["qgs-vsock", "configfs-tsm", "legacy-ioctl", "simulator"]
    assert [one.usable for one in found.values()] == [True, True, False, False]
    assert "4050" in found["qgs-vsock"].reason
    nothing = available_transports(System.under(str(tmp_path), environ={}))
    assert not any(one.usable for one in nothing)
    assert all(one.reason for one in nothing)
    asked = replace(with_qgs, environ={"QUOTE_GENERATOR_SIMULATE": "1"})
    assert available_transports(asked)[-1].usable


def test_looking_leaves_no_trace(emulator: Emulator, with_qgs: System) -> None:
    before, descriptors = emulator.state(), open_descriptors()
    available_transports(with_qgs)
    assert (emulator.state(), open_descriptors()) == (before, descriptors)


def lookers() -> list[str]:
    return sorted(t.name for t in threading.enumerate() if t.name.startswith("look for "))


class Hanging:
    """Hanging stands for a kernel that does not answer before it is released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[System] = []
        self.released = threading.Event()
        for name in attester.TRANSPORTS:
            monkeypatch.setitem(attester._CHECKS, name, self._check)

    def _check(self, system: System) -> str:
        self.calls.append(system)
        assert self.released.wait(60)
        return f"found at {system.configfs}"


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    kernel = Hanging(monkeypatch)
    yield kernel
    kernel.released.set()
    assert eventually(lambda: lookers() == [])


ONE_LOOKER_EACH = sorted(f"look for {name}" for name in attester.TRANSPORTS)


def test_a_kernel_that_hangs_has_one_looker_for_each_transport(hanging: Hanging) -> None:
    system = System(environ={})
    for _ in range(40):
        found = available_transports(system, timeout=0.01)
        assert not any(one.usable for one in found)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: available_transports(system, timeout=0.01), range(40)))
    assert (lookers(), len(hanging.calls)) == (ONE_LOOKER_EACH, 3)
    assert "not answered to an earlier look" in found[0].reason
    hanging.released.set()
    assert eventually(lambda: lookers() == [])
    assert all(one.usable for one in available_transports(system)[:3])


def test_a_look_is_shared_with_who_asks_about_the_same_machine_only(hanging: Hanging) -> None:
    here, there = System(environ={}), System(environ={}, configfs="/there")
    available_transports(here, timeout=0.01)  # leaves who looks at it
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(available_transports, s, timeout=60) for s in (here, here, there)]
        time.sleep(0.2)  # for all to wait for those
        assert hanging.calls == [here] * 3
        hanging.released.set()
        reasons = [{one.reason for one in asking.result()[:3]} for asking in asked]
    assert reasons == [{f"found at {system.configfs}"} for system in (here, here, there)]


CHILD_LOOKS = """
import os, threading
from quote_generator import attester
released = threading.Event()
system = attester.System(environ={})
def check(system):
    assert released.wait(60)
    return "found"
for name in attester.TRANSPORTS:
    attester._CHECKS[name] = check
attester.available_transports(system, timeout=0.1)
assert len(attester._looks) == 3
child = os.fork()
if child == 0:
    try:
        attester._CHECKS.update(dict.fromkeys(attester.TRANSPORTS, lambda system: "found"))
        found = attester.available_transports(system, timeout=20)
        os._exit(0 if all(one.usable for one in found[:3]) else 1)
    finally:
        os._exit(2)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def test_a_child_looks_for_itself() -> None:
    """Those who look in its parent are not in it."""
    command = [sys.executable, "-c", CHILD_LOOKS]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert (done.stderr, done.returncode) == (b"", 0)


def test_threads_that_cannot_be_started_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for _ in range(2):
        found = available_transports(System(environ={}))
        assert all("it cannot be looked for now" in one.reason for one in found)
        assert attester._looks == {}


# --- what the machine is ---


@pytest.mark.parametrize(
    ("kernel", "warned"),
    [
        ("6.6.99", False),  # has no quotes by configfs
        ("6.7.0", True),
        ("6.8.0-1020-gcp", True),
        ("6.12.79+deb13-cloud-amd64", True),
        ("6.12.80", False),
        ("6.16.12", True),
        ("6.18.20-1", True),
        ("6.18.44-fc", False),
        ("6.19.10", True),
        ("6.19.11", False),
        ("7.0.0", False),
        ("7.2", False),
        ("5.10.134-18.al8.x86_64", False),
        ("unheard-of", False),
    ],
)
def test_kernels_that_believe_the_host_are_named(system: System, kernel: str, warned: bool) -> None:
    found = {one.name: one for one in available_transports(replace(system, kernel=kernel))}
    assert found["configfs-tsm"].usable
    reason = found["configfs-tsm"].reason
    assert (f"Linux {kernel} believes the host" in reason) == warned
    assert ("6.12.80, 6.18.21, 6.19.11 and 7.0" in reason) == warned


def test_another_technologys_reports_are_seen_where_that_costs_nothing(
    system: System, emulator: Emulator, tmp_path: Path
) -> None:
    """By an entry that somebody has, else by the other technology's device; never by its own."""
    nothing = replace(system, guest_devices=("/no/such/device",))
    sev = tmp_path / "sev-guest"
    sev.touch()

    def configfs(system: System) -> Transport:
        return next(one for one in available_transports(system) if one.name == "configfs-tsm")

    before = emulator.state()["mkdir"]
    assert configfs(nothing).usable
    seen = configfs(replace(nothing, sev_guest=str(sev)))
    assert (seen.usable, "is sev_guest's" in seen.reason) == (False, True)
    assert configfs(replace(system, sev_guest=str(sev))).usable
    assert emulator.state()["mkdir"] == before
    entry = Path(system.configfs, "somebody-elses")
    entry.mkdir()
    assert configfs(replace(nothing, sev_guest=str(sev))).usable
    if not ON_REAL_KERNEL:  # where a provider's name changes with the provider
        emulator.set_fault("other-provider")
        assert "is sev_guest's" in configfs(nothing).reason
    entry.rmdir()


@pytest.mark.parametrize("tag", ["7783-7084-3265-9085-8269-3286-77", "No Asset Tag"])
def test_azure_is_recognised_and_named(tmp_path: Path, tag: str) -> None:
    """Its TDX machines have a paravisor and a vTPM in TDX's place."""
    machine = System.under(str(tmp_path), environ={})
    Path(machine.asset_tag).parent.mkdir(parents=True)
    Path(machine.asset_tag).write_text(f"{tag}\n")
    Path(machine.tpms[0]).parent.mkdir()

    def texts() -> list[str]:
        with pytest.raises(errors.NotAvailable) as caught:
            attest(REPORT_DATA, system=machine)
        found = {one.name: one.reason for one in available_transports(machine)}
        return [str(caught.value), found["configfs-tsm"]]

    assert not any("Azure" in text for text in texts())
    Path(machine.tpms[0]).touch()
    is_azure = tag.startswith("7783")
    assert all(("Azure" in text and "paravisor" in text) == is_azure for text in texts())


@pytest.mark.parametrize("tag", ["7783-7084-3265-9085-8269-3286-77", "No Asset Tag"])
@pytest.mark.parametrize("shown", ["nothing", "device", "entry", "other"])
def test_a_report_directory_on_azure_needs_something_of_tdxs_beside_it(
    tmp_path: Path, tag: str, shown: str
) -> None:
    """There configfs-tsm is part of the kernel as anywhere, and no provider stands behind it."""
    machine = System.under(str(tmp_path), environ={}, kernel="7.0.0")
    for path in (machine.asset_tag, machine.tpms[0], machine.guest_devices[0]):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(machine.asset_tag).write_text(f"{tag}\n")
    Path(machine.tpms[0]).touch()
    Path(machine.configfs).mkdir(parents=True)
    if shown == "device":
        Path(machine.guest_devices[0]).touch()
    if shown in ("entry", "other"):
        Path(machine.configfs, "somebodys").mkdir()
        name = "tdx_guest" if shown == "entry" else "sev_guest"
        Path(machine.configfs, "somebodys/provider").write_text(f"{name}\n")
    found = {one.name: one for one in available_transports(machine)}["configfs-tsm"]
    is_azure = tag.startswith("7783")
    assert found.usable is (shown in ("device", "entry") or (shown == "nothing" and not is_azure))
    if shown == "nothing" and is_azure:
        assert "paravisor" in found.reason
        assert "nothing of TDX's" in found.reason
