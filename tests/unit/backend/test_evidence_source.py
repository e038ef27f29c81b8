"""Evidence as the routes hand it out: one quote's answers, its logs, and what simulates here."""

from __future__ import annotations

import base64
import fcntl
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cczoo_verifier import fetching
from cczoo_verifier.audit import audit
from cczoo_verifier.checks import FAIL, PASS, SKIPPED, WARN, Check
from cczoo_verifier.policy import DEFAULT, Policy, policy_of
from cczoo_verifier.trust import from_simulator

from cczoo_backend import evidence_source
from cczoo_backend.errors import TeeError
from cczoo_backend.evidence_source import EvidenceSource
from quote_generator import attester
from quote_generator.attester import Attestation, System, attest, simulates
from quote_generator.errors import QuoteGeneratorError, ServiceFailed, TimedOut
from quote_generator.evidence import ANSWER_MAX, LOGS_MAX
from quote_generator.measure import LOG_SIZE_MAX, record_event
from quote_generator.quote import MAX_QUOTE_SIZE, parse_quote
from quote_generator.simulator import Simulator
from vectors import logs

ROOT = Path(__file__).resolve().parents[3]
NONCES = [bytes([number]) * 32 for number in range(5)]
CCEL = "sys/firmware/acpi/tables/data/CCEL"
AAEL = "run/attestation-agent/eventlog"


@pytest.fixture
def hardware(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that makes quotes."""

    def quote(report_data: bytes, **_: object) -> Attestation:
        made = simulator.quote(report_data)
        return Attestation(made, "configfs-tsm", "tdx_guest", simulated=False)

    monkeypatch.setattr(evidence_source, "attest", quote)


def write(root: Path, name: str, data: bytes) -> None:
    (root / name).parent.mkdir(parents=True)
    (root / name).write_bytes(data)


@pytest.mark.usefixtures("hardware")
def test_the_documents_of_one_quote_differ_in_id_and_proof_alone(tmp_path: Path) -> None:
    source = EvidenceSource({}, root=str(tmp_path), now=lambda: 0.0)
    documents = [json.loads(made.document(fresh=True)) for made in source.build(NONCES, 10)]
    assert [d.pop("nonce_proof")["leaf_index"] for d in documents] == [0, 1, 2, 3, 4]
    assert len({document.pop("id") for document in documents}) == 5
    assert documents == [documents[0]] * 5
    assert documents[0]["timestamp"] == "1970-01-01T00:00:00Z"


@pytest.mark.usefixtures("hardware")
@pytest.mark.parametrize("count", [1, 2])
def test_what_a_route_adds_stands_beside_the_rest(count: int) -> None:
    for made in EvidenceSource({}, root="/nonexistent").build(NONCES[:count], 10):
        document = json.loads(made.document(fresh=False, nonce="text"))
        assert (document["fresh"], document["nonce"], document["status"]) == (False, "text", True)
        assert document["nonce_proof"]["tree_size"] == count


@pytest.mark.usefixtures("hardware")
def test_the_machines_logs_come_along(tmp_path: Path) -> None:
    write(tmp_path, CCEL, b"a log")
    write(tmp_path, AAEL, b"INIT sha384/00\n")
    (made,) = EvidenceSource({}, root=str(tmp_path)).build(NONCES[:1], 10)
    document = json.loads(made.document(fresh=True))
    assert (document["cc_eventlog"], document["aa_eventlog"]) == ("YSBsb2c=", "INIT sha384/00\n")


@pytest.mark.usefixtures("hardware")
@pytest.mark.parametrize("ccel", [None, logs.ccel() + b"\xff" * 1000])
def test_the_applications_log_of_the_newer_form_comes_along(
    tmp_path: Path, ccel: bytes | None
) -> None:
    """As the CoCo agent hands it out: in the firmware's log, or after a header of its own."""
    entries = b"".join(map(logs.event, logs.application("coco.example start container-1")))
    write(tmp_path, AAEL, entries + entries[:20])  # and what a crash has cut
    if ccel is not None:
        write(tmp_path, CCEL, ccel)
    (made,) = EvidenceSource({}, root=str(tmp_path)).build(NONCES[:1], 10)
    document = json.loads(made.document(fresh=True))
    before = logs.AGENTS_HEADERS["of two algorithms"] if ccel is None else logs.ccel()
    assert base64.b64decode(document["cc_eventlog"]) == before + entries + b"\xff" * 8
    assert document["aa_eventlog"] is None


@pytest.mark.usefixtures("hardware")
def test_a_quote_is_good_without_a_log_that_cannot_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, AAEL, b"\xff")
    (tmp_path / CCEL).mkdir(parents=True)
    (made,) = EvidenceSource({}, root=str(tmp_path)).build(NONCES[:1], 10)
    document = json.loads(made.document(fresh=True))
    assert document["cc_eventlog"] is document["aa_eventlog"] is None
    assert caplog.text.count("no event log") == 2


def document_of(root: Path) -> tuple[dict[str, object], int]:
    """Return the evidence of the machine below ``root``, and its size as it is handed out."""
    (made,) = EvidenceSource({}, root=str(root)).build(NONCES[:1], 10)
    data = made.document(fresh=True)
    return json.loads(data), len(data)


def test_evidence_has_at_most_what_relying_parties_read() -> None:
    page = (ROOT / "web/src/base/http.ts").read_text()
    assert "const SIZE_LIMIT = 4 << 20;" in page
    assert fetching.MAX_ANSWER == ANSWER_MAX == 4 << 20


@pytest.mark.usefixtures("hardware")
@pytest.mark.parametrize("form", ["text", "escaped", "tcg2"])
def test_a_log_as_large_as_this_kit_writes_it_comes_along(tmp_path: Path, form: str) -> None:
    """Beside a large log of the firmware's, in each form, also where JSON spells it longest."""
    firmware = padded(logs.ccel(), 256 << 10)
    log = {
        "text": b"x" * LOG_SIZE_MAX,
        "escaped": "é".encode() * (LOG_SIZE_MAX // 2),
        "tcg2": padded(b"", LOG_SIZE_MAX),
    }[form]
    write(tmp_path, CCEL, firmware)
    write(tmp_path, AAEL, log)
    document, size = document_of(tmp_path)
    joined = log + b"\xff" * 8 if form == "tcg2" else b""
    assert base64.b64decode(str(document["cc_eventlog"])) == firmware + joined
    assert document["aa_eventlog"] == (None if joined else log.decode())
    # As if the quote were the largest that verifiers read.
    assert size + 2 * MAX_QUOTE_SIZE <= ANSWER_MAX


def padded(log: bytes, size: int) -> bytes:
    """Return a log of events, continued by one to a size."""
    empty = logs.event(logs.Event(4, logs.TAG, b""))
    return log + logs.event(logs.Event(4, logs.TAG, bytes(size - len(log) - len(empty))))


@pytest.mark.usefixtures("hardware")
@pytest.mark.parametrize("form", ["text", "tcg2"])
@pytest.mark.parametrize("more", [0, 1])
def test_an_applications_log_that_is_too_large_is_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, form: str, more: int
) -> None:
    """The largest that still fits, and one byte more: the answer never outgrows its readers."""
    firmware, end = logs.ccel(), b"\xff" * 8
    if form == "text":
        log = b"x" * (LOGS_MAX - len(base64.b64encode(firmware)) - len('""') + more)
    else:
        most = (LOGS_MAX - len("null")) // 4 * 3
        log = padded(b"", most - len(firmware + end) + more)
    write(tmp_path, CCEL, firmware)
    write(tmp_path, AAEL, log)
    document, size = document_of(tmp_path)
    shown = base64.b64decode(str(document["cc_eventlog"]))
    assert size + 2 * MAX_QUOTE_SIZE <= ANSWER_MAX
    if more:
        assert (shown, document["aa_eventlog"]) == (firmware, None)
        assert "application's event log is too large and left out" in caplog.text
    elif form == "text":
        assert (shown, document["aa_eventlog"]) == (firmware, log.decode())
    else:
        assert (shown, document["aa_eventlog"]) == (firmware + log + end, None)
    assert ("left out" in caplog.text) is bool(more)


@pytest.mark.usefixtures("hardware")
def test_a_firmwares_log_that_is_too_large_does_not_hide_the_applications(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, CCEL, padded(logs.ccel(), LOGS_MAX))
    write(tmp_path, AAEL, b"INIT sha384/00\n")
    document, _ = document_of(tmp_path)
    assert (document["cc_eventlog"], document["aa_eventlog"]) == (None, "INIT sha384/00\n")
    assert "firmware's event log is too large and left out" in caplog.text
    assert "application's" not in caplog.text


@pytest.mark.usefixtures("hardware")
def test_evidence_goes_without_both_logs_where_each_is_too_large(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, CCEL, padded(logs.ccel(), LOGS_MAX))
    write(tmp_path, AAEL, b"x" * LOGS_MAX)
    document, _ = document_of(tmp_path)
    assert document["cc_eventlog"] is document["aa_eventlog"] is None
    assert caplog.text.count("left out of the evidence") == 2


def simulating(root: Path) -> dict[str, str]:
    """Return the environment of a machine that may simulate, in a folder below ``root``."""
    return {
        "QUOTE_GENERATOR_SIMULATE": "1",
        "QUOTE_GENERATOR_SIMULATOR_DIR": str(root / "simulator"),
    }


def simulated_document(root: Path) -> dict[str, object]:
    (made,) = EvidenceSource(simulating(root), root=str(root)).build(NONCES[:1], 10)
    document: dict[str, object] = json.loads(made.document(fresh=True))
    assert document["simulated"] is True
    return document


def test_this_machines_logs_say_nothing_about_the_simulators_registers(tmp_path: Path) -> None:
    write(tmp_path, AAEL, b"INIT sha384/00\n")
    write(tmp_path, CCEL, logs.ccel())
    document = simulated_document(tmp_path)
    assert document["aa_eventlog"] is document["cc_eventlog"] is None


def test_a_simulated_tds_own_log_comes_along_and_leads_to_its_register(tmp_path: Path) -> None:
    """As one of a real machine without a firmware's log: after the agent's header."""
    write(tmp_path, AAEL, b"INIT sha384/00\n")
    lines = ("cczoo start x", "cczoo page y")
    system = System.under(str(tmp_path), environ=simulating(tmp_path))
    for line in lines:
        record_event(*line.split(), system=system)
    document = simulated_document(tmp_path)
    entries = b"".join(map(logs.event, logs.application(*lines)))
    log = logs.AGENTS_HEADERS["of two algorithms"] + entries + b"\xff" * 8
    assert base64.b64decode(str(document["cc_eventlog"])) == log
    assert document["aa_eventlog"] is None
    policy = policy_of({"v": 1, "explained_registers": ["rtmr_3"]})
    checks, events = audited(tmp_path, document, policy)
    assert checks["event-log"] == Check("event-log", PASS, "leads to rtmr_3")
    assert checks["not-simulated"].outcome == WARN
    assert [event for event in events if event] == list(lines)
    # Held back it is told, and fails a policy that asks for it.
    without = {**document, "cc_eventlog": None}
    assert audited(tmp_path, without, DEFAULT)[0]["event-log"].outcome == SKIPPED
    assert audited(tmp_path, without, policy)[0]["event-log"].outcome == FAIL


def audited(
    root: Path, document: dict[str, object], policy: Policy
) -> tuple[dict[str, Check], list[str]]:
    """Return the checks of a simulated TD's evidence, and the events that it proves."""
    trust = from_simulator(root / "simulator")()
    report = audit(document, nonce=NONCES[0], trust=lambda _: trust, now=time.time(), policy=policy)
    rows = report.logs.events if report.logs else ()
    return {check.id: check for check in report.checks}, [row.fact for row in rows]


@pytest.mark.parametrize("simulated", [True, False])
def test_logs_are_left_out_where_another_td_made_the_quote_than_was_thought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: Simulator, simulated: bool
) -> None:
    """As within the minute after a quote service began or ceased to answer."""
    write(tmp_path, AAEL, b"INIT sha384/00\n")
    write(tmp_path, CCEL, logs.ccel())
    record_event("a", "b", "c", system=System.under("/none", environ=simulating(tmp_path)))

    def quote(report_data: bytes, **_: object) -> Attestation:
        return Attestation(simulator.quote(report_data), "any", "any", simulated=simulated)

    monkeypatch.setattr(evidence_source, "attest", quote)
    monkeypatch.setattr(evidence_source, "simulates", lambda **_: not simulated)
    (made,) = EvidenceSource(simulating(tmp_path), root=str(tmp_path)).build(NONCES[:1], 10)
    document = json.loads(made.document(fresh=True))
    assert document["simulated"] is simulated
    assert document["aa_eventlog"] is document["cc_eventlog"] is None


@pytest.mark.usefixtures("hardware")
def test_an_event_that_is_being_recorded_is_waited_for(tmp_path: Path) -> None:
    """Its entry is there, and the register not extended yet: no quote may come beside it now."""
    half, whole = b"INIT sha384/00\na b", b"INIT sha384/00\na b c\n"
    write(tmp_path, AAEL, half)
    path = tmp_path / AAEL
    locked, done = threading.Event(), threading.Event()

    def record() -> None:
        with path.with_name("eventlog.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            locked.set()
            done.wait(0.2)
            path.write_bytes(whole)

    thread = threading.Thread(target=record)
    thread.start()
    assert locked.wait(30)
    assert document_of(tmp_path)[0]["aa_eventlog"] == whole.decode()
    thread.join()


@pytest.mark.usefixtures("hardware")
def test_a_lock_that_nobody_lets_go_does_not_keep_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, AAEL, b"INIT sha384/00\n")
    monkeypatch.setattr(evidence_source, "LOG_PATIENCE", 0.1)
    with (tmp_path / AAEL).with_name("eventlog.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert document_of(tmp_path)[0]["aa_eventlog"] == "INIT sha384/00\n"


@pytest.mark.parametrize(
    ("failure", "status"), [(TimedOut("too slow"), 504), (ServiceFailed("no answer"), 503)]
)
def test_the_attesters_failure_keeps_its_code(
    monkeypatch: pytest.MonkeyPatch, failure: QuoteGeneratorError, status: int
) -> None:
    def fail(*_: object, **__: object) -> Attestation:
        raise failure

    monkeypatch.setattr(evidence_source, "attest", fail)
    with pytest.raises(TeeError, match=str(failure)) as told:
        EvidenceSource({}, root="/nonexistent").build(NONCES, 10)
    assert (told.value.status, told.value.code) == (status, failure.code)


@pytest.mark.parametrize("fits", [True, False])
@pytest.mark.parametrize("auth_size", [2, 4, 5, 6])
def test_a_damaged_quote_is_answered_and_logged_without_anything_of_it(
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    auth_size: int,
    fits: bool,
) -> None:
    """Its host can have the kernel put memory of this machine where the quote's lengths stand."""
    made = simulator.quote(bytes(64))
    size_at = made.index(parse_quote(made).signature.qe_auth_data) - 2
    kept = made[:size_at] + auth_size.to_bytes(2, "little")

    def answered(memory: bytes) -> tuple[int, str, str, str]:
        quote = kept + (memory * len(made))[: len(made) - len(kept)]
        if not fits:
            monkeypatch.setattr(attester, "_HOST_BUFFER", len(kept))

        def attest_damaged(report_data: bytes, deadline: float, system: System) -> Attestation:
            attester._check_quote("configfs-tsm", quote, report_data, "/path")
            pytest.fail("a damaged quote was handed out")

        monkeypatch.setitem(attester._ATTEST_BY, "configfs-tsm", attest_damaged)
        caplog.clear()
        source = EvidenceSource({"QUOTE_GENERATOR_TRANSPORTS": "configfs-tsm"}, root="/nonexistent")
        with pytest.raises(TeeError) as told:
            source.build(NONCES, 10)
        return told.value.status, told.value.code, str(told.value), caplog.text

    monkeypatch.setattr(attester, "_native", lambda: None)
    first = answered(b"S3CRETpw")
    assert first == answered(b"\x17\x29\x3b") == answered(b"\0")
    assert first[:2] == (503, "corrupt-answer")


def test_the_time_allowed_is_the_attesters(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed: list[float] = []

    def note(report_data: bytes, *, timeout: float, system: System) -> Attestation:
        allowed.append(timeout)
        raise TimedOut("noted")

    monkeypatch.setattr(evidence_source, "attest", note)
    with pytest.raises(TeeError):
        EvidenceSource({}).build(NONCES, 2.5)
    assert allowed == [pytest.approx(2.5, abs=0.5)]
    assert allowed[0] <= 2.5


# Simulation


def test_whether_quotes_are_simulated_is_decided_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds, asked = [0.0], []
    monkeypatch.setattr(
        evidence_source, "simulates", lambda **options: bool(asked.append(options)) or True
    )
    environ = {"QUOTE_GENERATOR_SIMULATOR_DIR": str(tmp_path / "simulator")}
    source = EvidenceSource(environ, monotonic=lambda: seconds[0])
    for moment in (0, 30, 59, 60, 119):
        seconds[0] = moment
        assert source.simulator(10) is not None
    assert len(asked) == 2


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("0", False), (None, False)])
def test_the_simulator_may_stand_in_only_where_it_was_asked_to(
    value: str | None, expected: bool, tmp_path: Path
) -> None:
    environ = {"QUOTE_GENERATOR_SIMULATOR_DIR": str(tmp_path / "simulator")}
    if value is not None:
        environ["QUOTE_GENERATOR_SIMULATE"] = value
    source = EvidenceSource(environ, root="/nonexistent")
    assert source.may_be_simulated is expected
    assert (source.simulator(10) is not None) is expected


def nothing(root: Path) -> None:
    pass


def a_file_that_is_no_device(root: Path) -> None:
    (root / "dev").mkdir()
    (root / "dev" / "tdx_guest").touch()


def a_device_that_fails(root: Path) -> None:
    (root / "dev" / "tdx_guest").mkdir(parents=True)


def a_folder_without_a_kernel_behind(root: Path) -> None:
    (root / "sys/kernel/config/tsm/report").mkdir(parents=True)


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (nothing, True),
        (a_file_that_is_no_device, True),
        (a_device_that_fails, False),
        (a_folder_without_a_kernel_behind, False),
    ],
)
def test_simulation_is_decided_as_quotes_are(
    tmp_path: Path, machine: Callable[[Path], None], expected: bool
) -> None:
    machine(tmp_path)
    check_simulation(tmp_path, expected)


def check_simulation(root: Path, expected: bool) -> None:
    """Check that quotes are simulated on the machine below ``root`` exactly if expected."""
    environ = {
        "QUOTE_GENERATOR_SIMULATE": "1",
        "QUOTE_GENERATOR_SIMULATOR_DIR": str(root / "simulator"),
    }
    system = System.under(str(root), environ=environ)
    assert simulates(system=system) is expected
    if expected:
        assert attest(bytes(64), system=system).simulated
    else:
        with pytest.raises(QuoteGeneratorError):
            attest(bytes(64), system=system)
    assert not simulates(system=replace(system, environ={"QUOTE_GENERATOR_SIMULATE": "0"}))


@pytest.mark.parametrize(("machine", "expected"), [(nothing, True), (a_device_that_fails, False)])
def test_without_its_c_core_a_machine_that_looks_like_a_td_does_not_simulate(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    machine: Callable[[Path], None],
    expected: bool,
) -> None:
    monkeypatch.setitem(sys.modules, "quote_generator.native._tdx", None)
    attester._native.cache_clear()
    machine(tmp_path)
    check_simulation(tmp_path, expected)
