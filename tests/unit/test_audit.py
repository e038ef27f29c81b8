"""cczoo_verifier.audit: what each check says of good evidence, and of bad."""

from __future__ import annotations

import base64
import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier import checks
from cczoo_verifier.appraisal import Trust
from cczoo_verifier.audit import Report, audit, read_references
from cczoo_verifier.checks import CHECK_IDS, Check
from cczoo_verifier.policy import Policy, read_policy
from hypothesis import given, settings
from hypothesis import strategies as st

from doubles.chat import NONCE
from doubles.chat import make_evidence as make
from quote_generator import evidence
from quote_generator.errors import BadInput
from quote_generator.eventlog import parse_aael
from quote_generator.simulator import Simulator

LOG = "INIT sha384/" + "00" * 48 + "\nimage-rs CreateContainer example\n"


@pytest.fixture(scope="module")
def td(tmp_path_factory: pytest.TempPathFactory) -> Simulator:
    """A TD whose root is neither Intel's nor the simulator's."""
    return Simulator.open(tmp_path_factory.mktemp("td") / "state", name="TEST")


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


@pytest.mark.parametrize("version", [4, 5])
def test_good_evidence_passes_every_check(td: Simulator, version: int) -> None:
    report = run(td, make(td, version=version))
    assert report.result == "pass"
    assert outcomes(report) == {
        "evidence-format": "pass",
        "nonce-binding": "pass",
        "token-signature": "skipped",
        "token-claims": "skipped",
        "quote-signature": "pass",
        "collateral": "pass",
        "tcb-status": "pass",
        "td-attributes": "pass",
        "event-log": "skipped",
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
    assert check.detail == f"{status} (INTEL-SA-1)"


def test_the_nonce_must_be_ours(td: Simulator) -> None:
    document = make(td)
    assert failed(run(td, document, nonce=bytes(32))) == [("nonce-binding", "nonce-differs")]
    assert failed(run(td, document, nonce=None)) == [("nonce-binding", "nonce-unknown")]
    for change in (
        {"leaf_index": 0},
        {"tree_size": 1},
        {"tree_size": 9},
        {"path": []},
        {"path": document["nonce_proof"]["path"][::-1]},
    ):
        changed = document | {"nonce_proof": document["nonce_proof"] | change}
        assert failed(run(td, changed)) == [("nonce-binding", "nonce-differs")]


def test_runtime_data_must_be_what_was_signed(td: Simulator) -> None:
    document = make(td)
    other = evidence.encode_base64url(evidence.runtime_data(bytes(32)))
    report = run(td, document | {"runtime_data": other})
    assert failed(report) == [("nonce-binding", "report-data-differs")]


@pytest.mark.parametrize(
    ("bound", "code"),
    [
        (b'{"nonce_root":"AAAA","v":2}', "version-unknown"),
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
    assert failed(run(td, document)) == [("nonce-binding", code)]


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


def test_event_logs(td: Simulator) -> None:
    document = make(td, log=LOG, measurements={"rtmr_3": parse_aael(LOG).replay()})
    assert outcomes(run(td, document))["event-log"] == "pass"
    wrong = document | {"aa_eventlog": LOG + "a b c\n"}
    assert failed(run(td, wrong)) == [("event-log", "log-differs")]
    broken = document | {"cc_eventlog": base64.b64encode(b"x").decode()}
    assert failed(run(td, broken)) == [("event-log", "log-malformed")]


def test_reference_values(td: Simulator) -> None:
    good = {"mr_td": ["00" * 48, "7D" * 48], "rtmr_0": "a0" * 48}
    document = make(td)
    report = run(td, document, references=read_references(json.dumps(good)))
    assert outcomes(report)["reference-values"] == "pass"
    for bad in ({"mr_td": "00" * 48}, {**good, "rtmr_1": "00" * 48}, {"mr_servicetd": "00" * 48}):
        report = run(td, document, references=read_references(json.dumps(bad)))
        assert failed(report) == [("reference-values", "value-differs")]


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
        ({"warn": ["SWHardeningNeeded"]}, "warn", "tcb-not-up-to-date"),
        ({"warn": []}, "fail", "tcb-not-up-to-date"),
        ({"advisories": ["INTEL-SA-1", "INTEL-SA-2"]}, "warn", "tcb-not-up-to-date"),
        ({"advisories": ["INTEL-SA-2"]}, "fail", "advisory-not-tolerated"),
        ({"min_date": "2020-01-01T00:00:00Z"}, "warn", "tcb-not-up-to-date"),
        ({"min_date": "9999-01-01T00:00:00Z"}, "fail", "tcb-too-old"),
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
    assert failed(report) == [("tcb-status", "tcb-not-up-to-date"), ("td-attributes", "sept-ve")]
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
    assert failed(run(td, document, policy=other)) == [("reference-values", "value-differs")]


def test_given_reference_values_go_before_the_policys(td: Simulator) -> None:
    document = make(td)
    wrong = policy(reference_values={"mr_td": ["00" * 48], "rtmr_0": ["a0" * 48]})
    assert failed(run(td, document, policy=wrong)) == [("reference-values", "value-differs")]
    right = read_references(json.dumps({"mr_td": "7d" * 48}))
    assert run(td, document, policy=wrong, references=right).result == "pass"
    both_wrong = policy(reference_values={"rtmr_0": ["00" * 48]})
    report = run(td, document, policy=both_wrong, references=right)
    assert failed(report) == [("reference-values", "value-differs")]


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
