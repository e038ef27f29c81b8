"""The simulator: quotes that dcap-qvl accepts under its root, and a state that survives."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dcap_qvl
import pytest
from cryptography import x509

from doubles.forking import killed_at, race
from quote_generator import atomic_file, errors
from quote_generator.attester import Attestation, System, attest
from quote_generator.errors import BadInput
from quote_generator.quote import parse_quote
from quote_generator.simulator import Simulator, SimulatorError, state
from quote_generator.simulator.machine import FAULTS, SLOW_SECONDS

NOW = 1_800_000_000
DAY = 24 * 3600
REPORT_DATA = bytes(range(64))


def verify(td: Simulator, quote: bytes, now: float, **collateral: Any) -> Any:
    """dcap-qvl's verdict under the simulator's root."""
    text = json.dumps(td.collateral(**collateral))
    parsed = dcap_qvl.QuoteCollateralV3.from_json(text)
    return dcap_qvl.verify_with_root_ca(quote, parsed, td.root_der, int(now))


@pytest.mark.parametrize(("version", "body_type"), [(4, 2), (5, 2), (5, 3), (5, 4)])
def test_dcap_qvl_accepts_its_quotes(simulator: Simulator, version: int, body_type: int) -> None:
    report_data = os.urandom(64)
    quote = simulator.quote(report_data, version=version, body_type=body_type)
    verdict = verify(simulator, quote, time.time())
    assert (verdict.status, verdict.advisory_ids) == ("UpToDate", [])
    assert parse_quote(quote).body.report_data == report_data


def test_nobody_else_accepts_its_quotes(simulator: Simulator, tmp_path: Path) -> None:
    quote = simulator.quote(bytes(64))
    parsed = dcap_qvl.QuoteCollateralV3.from_json(json.dumps(simulator.collateral()))
    with pytest.raises(ValueError, match=r".+"):
        dcap_qvl.verify(quote, parsed, int(time.time()))
    other = Simulator.open(tmp_path / "other")
    with pytest.raises(ValueError, match=r".+"):
        dcap_qvl.verify_with_root_ca(quote, parsed, other.root_der, int(time.time()))


@pytest.mark.parametrize(
    "status",
    ["SWHardeningNeeded", "ConfigurationNeeded", "OutOfDate", "OutOfDateConfigurationNeeded"],
)
def test_collateral_can_state_another_status(simulator: Simulator, status: str) -> None:
    quote = simulator.quote(bytes(64))
    verdict = verify(
        simulator, quote, time.time(), tcb_status=status, advisory_ids=["INTEL-SA-00001"]
    )
    assert (verdict.status, verdict.advisory_ids) == (status, ["INTEL-SA-00001"])


def test_another_name_leaves_no_trace_of_the_simulators(tmp_path: Path) -> None:
    td = Simulator.open(tmp_path / "td", name="TEST")
    root = x509.load_der_x509_certificate(td.root_der)
    assert root.subject.rfc4514_string() == "O=Confidential Computing Zoo TEST,CN=Intel SGX Root CA"
    assert "SIMULATION" not in td.quote(bytes(64)).decode("latin-1")
    with pytest.raises(BadInput, match="named 'TEST'"):
        Simulator.open(tmp_path / "td")


def test_measurements_can_be_set(tmp_path: Path) -> None:
    td = Simulator.open(tmp_path / "td", measurements={"mr_td": b"\x11" * 48})
    quote = td.quote(bytes(64), version=5, measurements={"rtmr_3": b"\x22" * 48})
    body = parse_quote(quote).body
    assert (body.mr_td, body.rtmr_3) == (b"\x11" * 48, b"\x22" * 48)
    assert body.rtmr_2 == b"\xa2" * 48
    assert verify(td, quote, time.time()).status == "UpToDate"


@pytest.mark.parametrize("bad", [{"mr_td": bytes(47)}, {"nonsense": b"1"}, {"pack": b"1"}])
def test_wrong_measurements_are_refused(tmp_path: Path, bad: dict[str, bytes]) -> None:
    with pytest.raises(BadInput, match=next(iter(bad))):
        Simulator.open(tmp_path / "td", measurements=bad)
    assert not (tmp_path / "td").exists()


@pytest.mark.parametrize("arguments", [{"version": 3}, {"version": 4, "body_type": 3}])
def test_there_are_no_other_quotes(simulator: Simulator, arguments: dict[str, int]) -> None:
    with pytest.raises(BadInput, match="there is no version"):
        simulator.quote(bytes(64), **arguments)


@pytest.mark.parametrize("size", [0, 32, 63, 65])
def test_report_data_has_64_bytes(simulator: Simulator, size: int) -> None:
    with pytest.raises(BadInput, match=f"{size} bytes"):
        simulator.quote(bytes(size))


def test_debug_is_refused_by_verifiers(simulator: Simulator) -> None:
    quote = simulator.quote(
        bytes(64), measurements={"td_attributes": bytes.fromhex("0100001000000000")}
    )
    with pytest.raises(ValueError, match="Debug mode"):
        verify(simulator, quote, time.time())


# --- registers ---------------------------------------------------------------------------------


AT_BOOT = [b"\xa0" * 48, b"\xa1" * 48, b"\xa2" * 48, bytes(48)]


def rtmrs(td: Simulator, **quote: Any) -> list[bytes]:
    body = parse_quote(td.quote(bytes(64), **quote)).body
    return [body.rtmr_0, body.rtmr_1, body.rtmr_2, body.rtmr_3]


@pytest.mark.parametrize("index", range(4))
def test_registers_can_be_extended(tmp_path: Path, index: int) -> None:
    td = Simulator.open(tmp_path / "td")
    expected = rtmrs(td)
    for digest in (b"\1" * 48, b"\2" * 48):
        expected[index] = hashlib.sha384(expected[index] + digest).digest()
        assert td.extend_rtmr(index, digest) == expected[index]
    for version in (4, 5):
        assert rtmrs(td, version=version) == expected
    quote = td.quote(bytes(64))
    assert verify(td, quote, time.time()).status == "UpToDate"
    assert rtmrs(Simulator.open(tmp_path / "td")) == expected  # as after a process's restart
    shutil.rmtree(tmp_path / "td" / "boot")
    assert rtmrs(td)[index] == AT_BOOT[index]  # as after the TD's


def test_an_extension_is_seen_by_whoever_has_the_folder_open(tmp_path: Path) -> None:
    one, other = Simulator.open(tmp_path / "td"), Simulator.open(tmp_path / "td")
    one.extend_rtmr(3, bytes(48))
    value = other.extend_rtmr(3, b"\1" * 48)
    assert rtmrs(one)[3] == rtmrs(other)[3] == value


def test_no_extension_is_lost_among_threads(tmp_path: Path) -> None:
    tds = [Simulator.open(tmp_path / "td") for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda n: tds[n % 4].extend_rtmr(2, bytes(48)), range(40)))
    assert len(set(values)) == 40
    expected = b"\xa2" * 48
    for _ in range(40):
        expected = hashlib.sha384(expected + bytes(48)).digest()
    assert rtmrs(tds[0])[2] == expected


def test_a_register_that_was_set_is_extended_for_its_object_alone(tmp_path: Path) -> None:
    td = Simulator.open(tmp_path / "td", measurements={"rtmr_3": b"\2" * 48})
    value = td.extend_rtmr(3, b"\1" * 48)
    assert value == rtmrs(td)[3] == hashlib.sha384(b"\2" * 48 + b"\1" * 48).digest()
    assert rtmrs(Simulator.open(tmp_path / "td")) == AT_BOOT
    assert not (tmp_path / "td" / "boot").exists()


@pytest.mark.parametrize(
    ("index", "digest"), [(4, bytes(48)), (-1, bytes(48)), (3, bytes(47)), (3, b"")]
)
def test_bad_extensions_are_refused(simulator: Simulator, index: int, digest: bytes) -> None:
    with pytest.raises(BadInput):
        simulator.extend_rtmr(index, digest)


@pytest.mark.parametrize(
    "content", ["", "[]", "null", '{"rtmr_3": "00"}', '{"mr_td": 1}', '{"rtmr_9": ""}', '"\xe4"']
)
def test_damaged_registers_are_not_taken_for_others(tmp_path: Path, content: str) -> None:
    td = Simulator.open(tmp_path / "td")
    path = td.directory / "boot" / "registers.json"
    path.parent.mkdir()
    path.write_text(content, "latin-1")
    for call in (lambda: td.quote(bytes(64)), lambda: td.extend_rtmr(3, bytes(48))):
        with pytest.raises(SimulatorError, match=r"registers\.json is not"):
            call()
    assert path.read_text("latin-1") == content


# --- faults --------------------------------------------------------------------------------------


def ask(directory: Path, fault: str, timeout: float = 10.0) -> Attestation:
    environ = {
        "QUOTE_GENERATOR_SIMULATE": "1",
        "QUOTE_GENERATOR_SIMULATE_FAULT": fault,
        "QUOTE_GENERATOR_SIMULATOR_DIR": str(directory),
    }
    return attest(
        REPORT_DATA, transport="simulator", timeout=timeout, system=System(environ=environ)
    )


FAILURES = {
    "busy": (errors.Busy, errno.EBUSY),
    "empty": (errors.ServiceFailed, None),
    "slow": (errors.TimedOut, None),
    "stale": (errors.CorruptAnswer, None),
    "truncated": (errors.CorruptAnswer, None),
}


def test_the_table_names_every_fault() -> None:
    assert set(FAILURES) == set(FAULTS)


@pytest.mark.parametrize("fault", FAILURES)
def test_a_fault_is_an_error_and_never_a_wrong_quote(tmp_path: Path, fault: str) -> None:
    kind, number = FAILURES[fault]
    with pytest.raises(errors.QuoteGeneratorError) as caught:
        ask(tmp_path, fault, timeout=0.1)
    assert (type(caught.value), caught.value.errno) == (kind, number)
    for none in ("", "none"):
        assert parse_quote(ask(tmp_path, none).quote).body.report_data == REPORT_DATA


def test_an_unknown_fault_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"'lazy'.* busy, empty, slow, stale, truncated"):
        ask(tmp_path, "lazy")
    with pytest.raises(BadInput, match="lazy"):
        Simulator.open(tmp_path, fault="lazy")


def test_a_simulators_fault_can_be_set_and_lifted(tmp_path: Path) -> None:
    slept: list[float] = []
    td = Simulator.open(tmp_path, fault="slow", sleep=slept.append)
    quote = td.quote(REPORT_DATA)
    assert slept == [SLOW_SECONDS]
    td.fault = "empty"
    assert td.quote(REPORT_DATA) == b""
    td.fault = "truncated"
    assert td.quote(REPORT_DATA) == quote[: len(quote) // 2]
    td.fault = "stale"
    assert parse_quote(td.quote(REPORT_DATA)).body.report_data != REPORT_DATA
    td.fault = "none"
    assert td.quote(REPORT_DATA) == quote


def test_a_lock_is_waited_for_no_longer_than_the_call_allows(tmp_path: Path) -> None:
    with state.locked(tmp_path / "td"):
        began = time.monotonic()
        with pytest.raises(SimulatorError, match="held by another process"):
            ask(tmp_path / "td", "none", timeout=0.1)
        assert time.monotonic() - began < 2


# --- the state on disk -------------------------------------------------------------------------


def test_it_is_the_same_td_after_a_restart(tmp_path: Path) -> None:
    first = Simulator.open(tmp_path / "td", clock=lambda: NOW)
    again = Simulator.open(tmp_path / "td", clock=lambda: NOW + DAY)
    assert again.root_der == first.root_der
    assert again.collateral() == first.collateral()
    assert verify(first, again.quote(bytes(64)), NOW + DAY).status == "UpToDate"


def test_files_are_as_private_as_they_must_be(tmp_path: Path) -> None:
    td = Simulator.open(tmp_path / "td")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in td.directory.iterdir()}
    assert modes == {
        "state.json": 0o600,
        "lock": 0o600,
        "root.pem": 0o644,
        "collateral.json": 0o644,
    }
    assert stat.S_IMODE(td.directory.stat().st_mode) == 0o700
    assert "PRIVATE" not in (td.directory / "collateral.json").read_text()
    assert (td.directory / "root.pem").read_text() == td.root_pem
    assert json.loads((td.directory / "collateral.json").read_text()) == td.collateral()


def test_published_files_are_repaired(tmp_path: Path) -> None:
    td = Simulator.open(tmp_path / "td")
    (td.directory / "root.pem").unlink()
    (td.directory / "collateral.json").write_text("{")
    again = Simulator.open(tmp_path / "td")
    assert (td.directory / "root.pem").read_text() == td.root_pem
    assert json.loads((td.directory / "collateral.json").read_text()) == again.collateral()


def test_certificates_and_collateral_are_renewed_in_time(tmp_path: Path) -> None:
    """Ten years, month by month: every quote is good, under the root of the first day."""
    now = [float(NOW)]
    td = Simulator.open(tmp_path / "td", clock=lambda: now[0])
    root, first = td.root_der, td.collateral()
    for month in range(120):
        now[0] = NOW + month * 30.4 * DAY
        quote = td.quote(bytes(64))
        parsed = dcap_qvl.QuoteCollateralV3.from_json(json.dumps(td.collateral()))
        assert dcap_qvl.verify_with_root_ca(quote, parsed, root, int(now[0])).status == "UpToDate"
    assert td.collateral() != first
    assert td.root_der == root
    assert json.loads((td.directory / "collateral.json").read_text()) == td.collateral()


def test_a_clock_that_was_set_back_is_survived(tmp_path: Path) -> None:
    now = [float(NOW)]
    td = Simulator.open(tmp_path / "td", clock=lambda: now[0])
    now[0] = NOW - 400 * DAY
    assert verify(td, td.quote(bytes(64)), now[0]).status == "UpToDate"


def test_another_process_renewal_is_taken_over(tmp_path: Path) -> None:
    now = [float(NOW)]
    one = Simulator.open(tmp_path / "td", clock=lambda: now[0])
    other = Simulator.open(tmp_path / "td", clock=lambda: now[0])
    now[0] += 25 * DAY
    assert one.collateral() == other.collateral()
    assert one.quote(bytes(64)) == other.quote(bytes(64))


def test_processes_race_to_one_pki(tmp_path: Path) -> None:
    directory = tmp_path / "td"
    made = f"(td := Simulator.open({str(directory)!r})).root_der"
    told = "td.collateral()['tcb_info_signature'], td.quote(bytes(64))"
    seen = race("from quote_generator.simulator import Simulator, machine", f"({made}, {told})", 4)
    assert len(seen) == 4
    assert len(set(seen)) == 1


def test_threads_share_one_simulator_through_a_renewal(tmp_path: Path) -> None:
    now = [float(NOW)]
    td = Simulator.open(tmp_path / "td", clock=lambda: now[0])
    now[0] += 25 * DAY
    with ThreadPoolExecutor(8) as pool:
        quotes = list(pool.map(lambda i: td.quote(bytes([i]) * 64), range(64)))
    for i, quote in enumerate(quotes):
        assert parse_quote(quote).body.report_data == bytes([i]) * 64
        assert verify(td, quote, now[0]).status == "UpToDate"


def test_a_full_disk_leaves_nothing_half_made(tmp_path: Path, monkeypatch: Any) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic_file.os, "fsync", full)
    with pytest.raises(SimulatorError, match="No space left") as caught:
        Simulator.open(tmp_path / "td")
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.code == "simulator-state"
    assert [path.name for path in (tmp_path / "td").iterdir()] == ["lock"]
    monkeypatch.undo()
    assert Simulator.open(tmp_path / "td").quote(bytes(64))


def test_a_full_disk_at_renewal_matters_only_at_the_end(tmp_path: Path, monkeypatch: Any) -> None:
    now = [float(NOW)]
    td = Simulator.open(tmp_path / "td", clock=lambda: now[0])
    before = (td.directory / "state.json").read_bytes()

    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic_file.tempfile, "mkstemp", lambda **_: full())
    now[0] = NOW + 25 * DAY
    assert verify(td, td.quote(bytes(64)), now[0]).status == "UpToDate"
    now[0] = NOW + 31 * DAY
    with pytest.raises(SimulatorError, match="No space left"):
        td.quote(bytes(64))
    assert (td.directory / "state.json").read_bytes() == before


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"format":1,"keys":[]}', '{"format":2,"keys":[]}']
)
def test_a_damaged_state_is_not_silently_replaced(tmp_path: Path, content: str) -> None:
    td = Simulator.open(tmp_path / "td")
    path = td.directory / "state.json"
    path.write_text(content)
    with pytest.raises(SimulatorError, match="remove its folder"):
        Simulator.open(tmp_path / "td")
    assert path.read_text() == content


def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "td").write_text("in the way")
    with pytest.raises(SimulatorError, match="cannot use") as caught:
        Simulator.open(tmp_path / "td")
    assert caught.value.path == str(tmp_path / "td")


def test_a_lock_that_is_never_released_is_reported(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(state, "LOCK_TIMEOUT", 0.05)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with state.locked(tmp_path / "td"):
            held.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(30)
    try:
        with pytest.raises(SimulatorError, match="held by another process"):
            Simulator.open(tmp_path / "td")
    finally:
        done.set()
        holder.join()


def test_a_killed_writer_does_no_harm(tmp_path: Path) -> None:
    """kill -9 at many points of the first start: the next start has one whole PKI."""
    imports = "from quote_generator.simulator import Simulator, machine"
    operations = ("open", "os.rename", "os.remove", "os.chmod", "os.mkdir")
    killed = 0
    with killed_at(imports, "Simulator.open(path)", operations) as run:
        for point in range(1, 13):
            directory = tmp_path / f"td-{point}"
            killed += run(point, directory) == -signal.SIGKILL
            td = Simulator.open(directory)
            assert verify(td, td.quote(bytes(64)), time.time()).status == "UpToDate"
            names = {path.name for path in directory.iterdir()}
            assert {"state.json", "root.pem", "collateral.json"} <= names
    assert killed >= 5


def test_importing_the_package_needs_no_cryptography() -> None:
    program = (
        "import sys, quote_generator.simulator, quote_generator.quote\n"
        "sys.exit('cryptography' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
