"""cczoo_verifier.audit: what each check says of good evidence, and of bad."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier import checks
from cczoo_verifier.appraisal import Rejected, Trust
from cczoo_verifier.audit import Report, audit, read_references
from cczoo_verifier.checks import CHECK_IDS, Check
from cczoo_verifier.evaluations import Evaluation, HighestSeen
from cczoo_verifier.policy import Policy, policy_of, read_policy
from hypothesis import given, settings
from hypothesis import strategies as st

from doubles.chat import NONCE
from doubles.chat import make_evidence as make
from quote_generator import evidence
from quote_generator.errors import BadInput
from quote_generator.eventlog import (
    EVENTS_MAX,
    application_entry,
    extend,
    join_logs,
    parse_aael,
    parse_ccel,
)
from quote_generator.quote import MAX_QUOTE_SIZE, Quote
from quote_generator.simulator import Simulator, pki
from vectors import logs

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
LOG = "INIT sha384/" + "00" * 48 + "\nimage-rs CreateContainer example\n"


def trust_in(td: Simulator, **collateral: Any) -> Callable[[Any], Trust]:
    return lambda _: Trust(td.root_der, td.collateral(**collateral))


def run(td: Simulator, document: Any, nonce: bytes | None = NONCE, **options: Any) -> Report:
    options.setdefault("trust", trust_in(td))
    options.setdefault("now", time.time())
    return audit(document, nonce=nonce, **options)


def outcomes(report: Report) -> dict[str, str]:
    return {check.id: check.outcome for check in report.checks}


def failed(report: Report) -> list[tuple[str, str]]:
    return [(check.id, check.code) for check in report.checks if check.outcome == "fail"]


def reasons(report: Report) -> list[tuple[str, str]]:
    """What failed by itself, and not because it did not run after something else."""
    return [(check, code) for check, code in failed(report) if code != "not-run"]


@pytest.mark.parametrize("version", [4, 5])
def test_good_evidence_passes_every_check(td: Simulator, version: int) -> None:
    report = run(td, make(td, version=version))
    assert report.result == "pass"
    assert outcomes(report) == {
        "evidence-format": "pass",
        "nonce-binding": "pass",
        "key-binding": "skipped",
        "token-signature": "skipped",
        "token-claims": "skipped",
        "quote-signature": "pass",
        "collateral": "pass",
        "tcb-status": "pass",
        "td-attributes": "pass",
        "event-log": "skipped",
        "workload": "skipped",
        "reference-values": "skipped",
        "appraisal": "skipped",
        "not-simulated": "pass",
    }
    assert tuple(outcomes(report)) == CHECK_IDS
    assert report.to_dict()["verified"] is True


def test_a_simulator_is_a_warning(simulator: Simulator) -> None:
    report = run(simulator, make(simulator))
    assert report.result == "warn"
    assert outcomes(report)["not-simulated"] == "warn"


@pytest.mark.parametrize("said", [True, None, "false", 0])
def test_a_server_that_does_not_deny_simulation_is_a_warning(td: Simulator, said: Any) -> None:
    assert outcomes(run(td, make(td) | {"simulated": said}))["not-simulated"] == "warn"


def test_a_server_that_names_the_simulator_is_taken_at_its_word(td: Simulator) -> None:
    said = {"simulated": False, "provider": "simulator"}
    assert outcomes(run(td, make(td) | said))["not-simulated"] == "warn"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("SWHardeningNeeded", "warn"),
        ("ConfigurationNeeded", "warn"),
        ("ConfigurationAndSWHardeningNeeded", "warn"),
        ("OutOfDate", "fail"),
        ("OutOfDateConfigurationNeeded", "fail"),
    ],
)
def test_the_tcb_status_counts(td: Simulator, status: str, outcome: str) -> None:
    trust = trust_in(td, tcb_status=status, advisory_ids=["INTEL-SA-1"])
    report = run(td, make(td), trust=trust)
    assert report.result == outcomes(report)["tcb-status"] == outcome
    [check] = [check for check in report.checks if check.id == "tcb-status"]
    short = f"PCE {pki.PCE_SVN} < {pki.PCE_SVN + 1}"
    assert check.detail == f"{status} (INTEL-SA-1); not up to date, as has < needs: {short}"


def test_the_nonce_must_be_ours(td: Simulator) -> None:
    document = make(td)
    assert reasons(run(td, document, nonce=bytes(32))) == [("nonce-binding", "nonce-differs")]
    assert failed(run(td, document, nonce=None)) == [("nonce-binding", "nonce-unknown")]
    for change in (
        {"leaf_index": 0},
        {"tree_size": 1},
        {"tree_size": 9},
        {"path": []},
        {"path": document["nonce_proof"]["path"][::-1]},
    ):
        changed = document | {"nonce_proof": document["nonce_proof"] | change}
        assert reasons(run(td, changed)) == [("nonce-binding", "nonce-differs")]


def test_runtime_data_must_be_what_was_signed(td: Simulator) -> None:
    document = make(td)
    other = evidence.encode_base64url(evidence.runtime_data(bytes(32)))
    report = run(td, document | {"runtime_data": other})
    assert reasons(report) == [("nonce-binding", "report-data-differs")]


@pytest.mark.parametrize(
    ("bound", "code"),
    [
        (b'{"nonce_root":"AAAA","v":3}', "version-unknown"),
        (b'{"nonce_root":"AAAA","v":"2"}', "version-unknown"),
        (b'{"nonce_root":"AAAA","v":true}', "version-unknown"),
        (b'{"nonce_root":"AAAA"}', "version-unknown"),
        (b'{"nonce_root":"AAAA","v":2}', "nonce-differs"),
        (b'{"v":1}', "runtime-data-malformed"),
        (b"[]", "version-unknown"),
        (b"\xff", "runtime-data-malformed"),
        (b'{"nonce_root":"AAAA","nonce_root":"AAAA","v":1}', "runtime-data-malformed"),
        (b'{"nonce_root":"AAAA","v":1}', "nonce-differs"),
    ],
)
def test_signed_runtime_data_must_make_sense(td: Simulator, bound: bytes, code: str) -> None:
    document = make(td)
    document["quote"] = td.quote(evidence.report_data(bound)).hex()
    document["runtime_data"] = evidence.encode_base64url(bound)
    assert reasons(run(td, document)) == [("nonce-binding", code)]


def test_what_answers_another_nonce_costs_nothing_more(
    td: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No log is parsed or hashed, and nobody is asked: neither for collateral nor for a verdict."""
    hashed, asked = [0], []
    real = hashlib.sha384

    def counting(data: bytes = b"", **options: Any) -> Any:
        hashed[0] += len(data)
        return real(data, **options)

    def ask(what: str) -> Callable[[Quote], Any]:
        def answer(_: Quote) -> Any:
            asked.append(what)
            raise Rejected("collateral", "collateral-malformed", "not to be had")

        return answer

    lines = "a b c\n" * 10_000
    ccel = base64.b64encode(b"\xff" * (1 << 20)).decode()
    document = make(td) | {"aa_eventlog": LOG + lines, "cc_eventlog": ccel}
    other = make(td, bytes(32))
    foreign = {name: other[name] for name in ("quote", "runtime_data")}
    without_proof = {"nonce_proof": document["nonce_proof"] | {"path": []}}
    monkeypatch.setattr(hashlib, "sha384", counting)
    for options in ({"service": ask("service")}, {"trust": ask("collateral")}):
        for changed in (foreign, without_proof):
            hashed[0] = 0
            report = run(td, document | changed, **options)
            assert reasons(report) == [("nonce-binding", "nonce-differs")]
            assert outcomes(report)["event-log"] == "skipped"
            assert hashed[0] < 1000
    assert asked == []
    # With the nonce that it answers, the same document is looked into.
    assert ("event-log", "log-malformed") in reasons(run(td, document))
    run(td, document | {"cc_eventlog": None})
    assert hashed[0] > len(lines)


def test_runtime_data_and_logs_have_bounds(td: Simulator) -> None:
    """The same as the page's."""
    limits = json.loads((VECTORS / "limits.json").read_text())
    assert (limits["quote_bytes"], limits["events"]) == (MAX_QUOTE_SIZE, EVENTS_MAX)
    document, most = make(td), limits["runtime_data_characters"]
    for size, expected in ((most, "nonce-binding"), (most + 4, "evidence-format")):
        report = run(td, document | {"runtime_data": "A" * size})
        assert [check for check, _ in reasons(report)] == [expected]
    init = LOG.splitlines(keepends=True)[0]
    for lines in (EVENTS_MAX, EVENTS_MAX + 1, EVENTS_MAX + 1000):
        log = document | {"aa_eventlog": init + "a b c\n" * (lines - 1)}
        malformed = ("event-log", "log-malformed") in reasons(run(td, log))
        assert malformed == (lines > EVENTS_MAX)
    head, entry = logs.header(), logs.event(logs.Event(1, 6, b""))
    assert len(parse_ccel(head + entry * EVENTS_MAX)) == EVENTS_MAX
    with pytest.raises(BadInput):
        parse_ccel(head + entry * (EVENTS_MAX + 1))


def test_a_forged_quote_fails_where_it_was_forged(td: Simulator) -> None:
    document = make(td)
    raw = bytearray.fromhex(document["quote"])
    raw[200] ^= 1
    report = run(td, document | {"quote": raw.hex()})
    assert failed(report) == [
        ("quote-signature", "quote-forged"),
        ("tcb-status", "not-run"),
        ("td-attributes", "not-run"),
    ]
    assert outcomes(report)["collateral"] == "pass"


def test_a_list_that_was_not_looked_at_has_not_passed(td: Simulator, tmp_path: Path) -> None:
    other = Simulator.open(tmp_path / "other", name="TEST")
    report = run(td, make(other))
    assert failed(report) == [
        ("quote-signature", "chain"),
        ("collateral", "not-run"),
        ("tcb-status", "not-run"),
        ("td-attributes", "not-run"),
    ]


def test_a_check_that_did_not_run_never_passes(td: Simulator) -> None:
    report = run(td, make(td), trust=lambda _: Trust(td.root_der, {}))
    assert failed(report) == [
        ("quote-signature", "not-run"),
        ("collateral", "collateral-malformed"),
        ("tcb-status", "not-run"),
        ("td-attributes", "not-run"),
    ]
    assert checks.derive_result(checks.complete([])) == "fail"
    everything = [Check(name, "pass", "") for name in checks.REQUIRED]
    assert checks.derive_result(checks.complete(everything)) == "pass"
    for index in range(len(everything)):
        assert checks.derive_result(checks.complete(everything[:index])) == "fail"


def test_debug_is_found_by_the_right_check(td: Simulator) -> None:
    attributes = {"td_attributes": bytes.fromhex("0100001000000000")}
    report = run(td, make(td, measurements=attributes))
    assert ("td-attributes", "debug") in failed(report)
    assert report.result == "fail"


def test_time_is_a_parameter(td: Simulator) -> None:
    report = run(td, make(td), now=time.time() + 40 * 24 * 3600)
    assert ("collateral", "crl-expired") in failed(report)


def test_the_edition_of_intels_documents_is_told(td: Simulator) -> None:
    """Also where the platform is not good enough by it: who remembers it must not forget that."""
    for status in ("UpToDate", "OutOfDate", "Revoked"):
        trust = trust_in(td, tcb_status=status, evaluation=20)
        report = run(td, make(td), trust=trust)
        assert report.evaluation is not None
        assert report.to_dict()["tcb_evaluation"] == {
            "fmspc": pki.FMSPC.hex(),
            "tcb_info": 20,
            "qe_identity": 20,
            "lowest": 20,
        }
    good = run(td, make(td), trust=trust_in(td, evaluation=20))
    [detail] = [check.detail for check in good.checks if check.id == "collateral"]
    assert detail.startswith("evaluation 20: ")
    forged = run(td, make(td), trust=lambda _: Trust(None, td.collateral(evaluation=20)))
    assert forged.evaluation is forged.to_dict()["tcb_evaluation"] is None


def test_editions_are_remembered_by_platform_and_root() -> None:
    seen = HighestSeen()

    def edition(tcb_info: int, qe_identity: int, root: bytes = b"root", fmspc: str = "00") -> str:
        return seen.older(Evaluation(fmspc, tcb_info, qe_identity, root)) or ""

    assert edition(20, 19) == ""
    assert edition(20, 20) == ""
    assert edition(19, 21) == (
        "evaluation 19 (TCB info) and 21 (QE identity), where TCB info of 20 was seen before"
    )
    assert "QE identity of 21 was seen before" in edition(20, 20)
    assert edition(1, 1, fmspc="01") == edition(1, 1, root=b"another") == ""
    assert edition(20, 21) == ""


def test_a_quote_that_names_no_service_td_says_so(td: Simulator) -> None:
    remark = [("td-attributes", "pass", "service-td-unknown")]
    newer = policy(min_quote_version=5)
    for version, body_type, unknown in ((4, 2, True), (5, 2, True), (5, 3, False)):
        document = make(td, version=version, body_type=body_type)
        report = run(td, document)
        told = [(c.id, c.outcome, c.code) for c in report.checks if c.code == "service-td-unknown"]
        assert (report.result, told) == ("pass", remark if unknown else [])
        strict = run(td, document, policy=newer)
        assert failed(strict) == ([("td-attributes", "service-td-unknown")] if unknown else [])


def test_event_logs(td: Simulator) -> None:
    document = make(td, log=LOG, measurements={"rtmr_3": parse_aael(LOG).replay()})
    assert outcomes(run(td, document))["event-log"] == "pass"
    wrong = document | {"aa_eventlog": LOG + "a b c\n"}
    assert failed(run(td, wrong)) == [("event-log", "log-differs")]
    broken = document | {"cc_eventlog": base64.b64encode(b"x").decode()}
    assert failed(run(td, broken)) == [("event-log", "log-malformed")]


def joined(ccel: bytes | None, *lines: str) -> dict[str, Any]:
    entries = b"".join(application_entry(line)[0] for line in lines)
    log, text = join_logs(ccel, entries)
    assert log is not None
    return {"cc_eventlog": base64.b64encode(log).decode(), "aa_eventlog": text}


def test_event_logs_of_the_newer_form(td: Simulator) -> None:
    """The CoCo agent's since mid-2025, with and without the firmware's before it."""
    lines = ("coco.example pull example", "cczoo Serve a b")
    for ccel in (None, logs.ccel()):
        registers = logs.replay(logs.EVENTS if ccel else (), ())
        registers[3] = extend(registers[3], (application_entry(line)[1] for line in lines))
        names = range(3 if ccel is None else 0, 4)
        measured = {f"rtmr_{number}": registers[number] for number in names}
        report = run(td, make(td, measurements=measured) | joined(ccel, *lines))
        assert (report.result, outcomes(report)["event-log"]) == ("pass", "pass")
        assert {check.code for check in report.checks if check.id == "event-log"} == {""}
        shown = report.to_dict()["events"][-2:]
        assert [(row["register"], row["word"], row["fact"]) for row in shown] == [
            ("rtmr_3", "", line) for line in lines
        ]


@pytest.mark.parametrize("register", [2, 3])
def test_what_others_extended_after_boot_is_told(td: Simulator, register: int) -> None:
    registers = logs.replay(logs.EVENTS, ())
    registers[register] = extend(registers[register], [b"\5" * 48])
    measured = {f"rtmr_{number}": value for number, value in enumerate(registers)}
    document = make(td, measurements=measured)
    shown = document | {"cc_eventlog": base64.b64encode(logs.ccel()).decode()}
    report, withheld = run(td, shown), run(td, document)
    (check,) = (check for check in report.checks if check.id == "event-log")
    assert (check.outcome, check.code) == ("pass", "log-unexplained")
    assert f"rtmr_{register}: extended by others" in check.detail
    # A log that was held back is no better, and by a policy it is as bad.
    assert (report.result, withheld.result) == ("pass", "pass")
    assert outcomes(withheld)["event-log"] == "skipped"
    policy = policy_of({"v": 1, "explained_registers": [f"rtmr_{register}"]})
    for given_out in (shown, document):
        assert failed(run(td, given_out, policy=policy)) == [("event-log", "log-unexplained")]
    other = policy_of({"v": 1, "explained_registers": ["rtmr_0", "rtmr_1"]})
    assert run(td, shown, policy=other).result == "pass"
    assert failed(run(td, document, policy=other)) == [("event-log", "log-unexplained")]


@pytest.mark.parametrize("register", [0, 1])
def test_what_the_firmware_measured_is_held_strictly(td: Simulator, register: int) -> None:
    registers = logs.replay(logs.EVENTS, ())
    registers[register] = extend(registers[register], [b"\5" * 48])
    measured = {f"rtmr_{number}": value for number, value in enumerate(registers)}
    log = {"cc_eventlog": base64.b64encode(logs.ccel()).decode()}
    report = run(td, make(td, measurements=measured) | log)
    assert failed(report) == [("event-log", "log-differs")]


def test_a_command_line_that_no_digest_covers_is_the_machines_own_word(td: Simulator) -> None:
    measured = b"root=/dev/vda1 quiet"
    good = logs.Event(3, logs.IPL, b"kernel_cmdline: " + measured + b"\0", measured)
    changed = good._replace(data=good.data.replace(b"vda1", b"vdb2"))
    body = {f"rtmr_{n}": value for n, value in enumerate(logs.replay([good], ()))}
    document = make(td, measurements=body)
    told = []
    for event in (good, changed):
        log = {"cc_eventlog": base64.b64encode(logs.ccel([event])).decode()}
        report = run(td, document | log)
        assert report.result == "pass"
        told.append([(row["word"], row["fact"]) for row in report.to_dict()["events"]])
    assert told == [
        [("kernel_cmdline:", "root=/dev/vda1 quiet")],
        [("kernel_cmdline: root=/dev/vdb2 quiet", "")],
    ]
    # Where a check failed, nothing is proven: not even by a log that was read and fits.
    strict = read_policy(json.dumps({"v": 1, "td_attributes": {"perfmon": "require"}}))
    refused = run(td, document | log, policy=strict)
    assert outcomes(refused)["event-log"] == "pass"
    assert (refused.result, refused.to_dict()["events"]) == ("fail", [])


@pytest.mark.parametrize("separator", ["\t", "\u00e9", "\0"])
def test_a_command_line_hides_nothing_behind_a_byte(td: Simulator, separator: str) -> None:
    line = f"/vmlinuz init=/evil{separator}root=/dev/vda1 ro console=ttyS0 quiet splash".encode()
    event = logs.Event(3, logs.IPL, line)
    body = {f"rtmr_{n}": value for n, value in enumerate(logs.replay([event], ()))}
    log = {"cc_eventlog": base64.b64encode(logs.ccel([event])).decode()}
    (row,) = run(td, make(td, measurements=body) | log).to_dict()["events"]
    hidden = "?" * len(separator.encode())
    assert row["fact"] == f"/vmlinuz init=/evil{hidden}root=/dev/vda1 ro console=ttyS0 quiet splash"


def test_reference_values(td: Simulator) -> None:
    good = {"mr_td": ["00" * 48, "7D" * 48], "rtmr_0": "a0" * 48}
    document = make(td)
    report = run(td, document, references=read_references(json.dumps(good)))
    assert outcomes(report)["reference-values"] == "pass"
    for bad in ({"mr_td": "00" * 48}, {**good, "rtmr_1": "00" * 48}, {"mr_servicetd": "00" * 48}):
        report = run(td, document, references=read_references(json.dumps(bad)))
        assert failed(report) == [("reference-values", "reference-values")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"mr_td": []}',
        '{"mr_td": 1}',
        '{"mr_td": "00"}',
        '{"mr_td": "' + "zz" * 48 + '"}',
        '{"mr_td": "' + "0 " * 48 + '"}',
        '{"unknown": "' + "00" * 48 + '"}',
        '{"report_data": "' + "00" * 64 + '"}',
        '{"mr_td": "' + "00" * 48 + '", "mr_td": "' + "00" * 48 + '"}',
    ],
)
def test_bad_reference_values_are_errors_not_passes(text: str) -> None:
    with pytest.raises(BadInput, match="reference values"):
        read_references(text)


# --- the policy ----------------------------------------------------------------------------------


def policy(**members: Any) -> Policy:
    return read_policy(json.dumps({"v": 1, **members}))


@pytest.mark.parametrize(
    ("tcb", "outcome", "code"),
    [
        ({"pass": ["SWHardeningNeeded"]}, "pass", ""),
        ({"warn": ["SWHardeningNeeded"]}, "warn", "tcb-status"),
        ({"warn": []}, "fail", "tcb-status"),
        ({"advisories": ["INTEL-SA-1", "INTEL-SA-2"]}, "warn", "tcb-status"),
        ({"advisories": ["INTEL-SA-2"]}, "fail", "tcb-advisory"),
        ({"min_date": "2020-01-01T00:00:00Z"}, "warn", "tcb-status"),
        ({"min_date": "9999-01-01T00:00:00Z"}, "fail", "tcb-old"),
    ],
)
def test_a_policy_judges_the_tcb(td: Simulator, tcb: Any, outcome: str, code: str) -> None:
    trust = trust_in(td, tcb_status="SWHardeningNeeded", advisory_ids=["INTEL-SA-1"])
    report = run(td, make(td), trust=trust, policy=policy(tcb=tcb))
    [check] = [check for check in report.checks if check.id == "tcb-status"]
    assert (check.outcome, check.code) == (outcome, code)
    assert report.result == outcome


def test_a_policy_judges_the_attributes(td: Simulator) -> None:
    document = make(td, measurements={"td_attributes": bytes.fromhex("0000004000000000")})
    assert failed(run(td, document)) == [("td-attributes", "sept-ve")]
    allowed = {"sept_ve_disable": "allow"}
    assert run(td, document, policy=policy(td_attributes=allowed)).result == "pass"
    forbidden = policy(td_attributes=allowed | {"pks": "forbid"})
    assert failed(run(td, document, policy=forbidden)) == [("td-attributes", "attributes-refused")]
    debug = make(td, measurements={"td_attributes": bytes.fromhex("0100000000000000")})
    assert failed(run(td, debug, policy=policy(td_attributes=allowed))) == [
        ("td-attributes", "debug")
    ]


def test_everything_that_is_wrong_is_told(td: Simulator) -> None:
    """A TD that is refused still has a TCB status, and the other way round."""
    document = make(td, measurements={"td_attributes": bytes(8)})
    report = run(td, document, trust=trust_in(td, tcb_status="OutOfDate"))
    assert failed(report) == [("tcb-status", "tcb-status"), ("td-attributes", "sept-ve")]
    report = run(td, document, trust=trust_in(td, tcb_status="Revoked"))
    assert failed(report) == [("tcb-status", "tcb-revoked"), ("td-attributes", "sept-ve")]


def test_a_service_td_must_be_named(td: Simulator) -> None:
    service = b"\x5e" * 48
    document = make(td, version=5, measurements={"mr_servicetd": service})
    assert failed(run(td, document)) == [("td-attributes", "service-td")]
    named = policy(reference_values={"mr_servicetd": [service.hex()]})
    assert run(td, document, policy=named).result == "pass"
    by_option = read_references(json.dumps({"mr_servicetd": service.hex()}))
    assert run(td, document, references=by_option).result == "pass"
    other = policy(reference_values={"mr_servicetd": ["11" * 48]})
    assert failed(run(td, document, policy=other)) == [("reference-values", "reference-values")]


def test_given_reference_values_go_before_the_policys(td: Simulator) -> None:
    document = make(td)
    wrong = policy(reference_values={"mr_td": ["00" * 48], "rtmr_0": ["a0" * 48]})
    assert failed(run(td, document, policy=wrong)) == [("reference-values", "reference-values")]
    right = read_references(json.dumps({"mr_td": "7d" * 48}))
    assert run(td, document, policy=wrong, references=right).result == "pass"
    both_wrong = policy(reference_values={"rtmr_0": ["00" * 48]})
    report = run(td, document, policy=both_wrong, references=right)
    assert failed(report) == [("reference-values", "reference-values")]


def test_a_policy_limits_the_age(td: Simulator) -> None:
    document, now, limited = make(td), time.time(), policy(max_age=60)
    for age in (0, 60, -10):
        report = run(td, document, now=now, fetched=now - age, policy=limited)
        assert report.result == "pass", age
    for age in (61, 1e6, -1000):
        report = run(td, document, now=now, fetched=now - age, policy=limited)
        assert failed(report) == [("nonce-binding", "evidence-old")], age
    assert failed(run(td, document, policy=limited)) == [("nonce-binding", "age-unknown")]
    assert run(td, document, now=now, fetched=now - 1e6).result == "pass"


def test_a_result_ends_with_the_first_thing_that_it_rests_on(td: Simulator) -> None:
    verdict = run(td, make(td)).verdict
    assert verdict is not None
    assert 29 < (verdict.expires - time.time()) / 86400 <= 30


@pytest.mark.parametrize("document", [None, [], {}, "x", 1, {"status": True}])
def test_what_is_no_evidence_fails(td: Simulator, document: Any) -> None:
    report = run(td, document)
    assert ("evidence-format", "bad-input") in failed(report)
    assert report.result == "fail"


@pytest.mark.parametrize(
    "change",
    [
        {"status": False},
        {"tee": "snp"},
        {"quote": "00"},
        {"quote": None},
        {"quote": "zz"},
        {"runtime_data": "e30="},
        {"nonce_proof": None},
        {"nonce_proof": {"leaf_index": True, "tree_size": 1, "path": []}},
        {"nonce_proof": {"leaf_index": -1, "tree_size": 1, "path": []}},
        {"nonce_proof": {"leaf_index": 0, "tree_size": 1e300, "path": []}},
        {"nonce_proof": {"leaf_index": 0.0, "tree_size": 1, "path": []}},
        {"nonce_proof": {"leaf_index": 0, "tree_size": 1.0, "path": []}},
        {"nonce_proof": {"leaf_index": 0, "tree_size": 1, "path": [1]}},
        {"nonce_proof": {"leaf_index": 0, "tree_size": 1, "path": [""] * 65}},
        {"cc_eventlog": "%"},
        {"cc_eventlog": 1},
        {"aa_eventlog": []},
    ],
)
def test_malformed_evidence_fails_as_such(td: Simulator, change: dict[str, Any]) -> None:
    report = run(td, make(td) | change)
    assert failed(report)[0] == ("evidence-format", "bad-input")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150)
@given(data=st.data())
def test_no_change_of_the_document_is_verified(simulator: Simulator, data: st.DataObject) -> None:
    """Replace any member by anything: never better than before, and never an exception."""
    document = copy.deepcopy(_cached(simulator))
    name = data.draw(st.sampled_from(sorted(document)))
    document[name] = data.draw(json_values)
    report = run(simulator, document)
    if name in ("id", "timestamp", "provider", "quote_parse"):
        assert report.result == "warn"  # shown or ignored, never relied upon
    else:
        assert report.result in ("warn", "fail")


_made: dict[Path, Any] = {}


def _cached(td: Simulator) -> Any:
    return _made.setdefault(td.directory, make(td))
