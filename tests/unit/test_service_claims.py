"""What services' tokens say and what follows, as the page has it (web/test/providers/claims)."""

from __future__ import annotations

import base64
import copy
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier import tokens
from cczoo_verifier.appraisal import Trust, verify
from cczoo_verifier.audit import told_status
from cczoo_verifier.checks import FAIL, SKIPPED, WARN, Check
from cczoo_verifier.evidence_file import Record
from cczoo_verifier.jws import read_keys
from cczoo_verifier.policy import DEFAULT, policy_of
from cczoo_verifier.services.members import GENERATIONS, PLATFORM, Rule, moment, whole
from cczoo_verifier.services.relying import PROVIDERS, Opinion, Service
from cczoo_verifier.services.verdicts import appraise, tier_of
from cczoo_verifier.table import write_report
from cczoo_verifier.verification import Verifier

from doubles import jose
from quote_generator.evidence import decode_base64url
from quote_generator.quote import Quote, parse_quote
from quote_generator.simulator import Simulator

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = ROOT.parent / "shared" / "data" / "trustee"


def vectors(name: str) -> Any:
    return json.loads((ROOT / "tests/vectors" / f"{name}.json").read_text("utf-8"))


CLAIMS = vectors("service_claims")
QUOTE = parse_quote(
    bytes.fromhex(
        next(q for q in vectors("quotes")["valid"] if q["name"] == CLAIMS["quote"])["quote"]
    )
)
KEY = jose.make_key("ES256")
PIN = read_keys(json.dumps(jose.jwk(KEY, "ES256", "k")), pinned=True)


def edited(payload: Any, edits: Any) -> dict[str, Any]:
    """A token's payload after edits by JSON pointers; `tcb-status` becomes a text."""
    changed: dict[str, Any] = copy.deepcopy(payload)
    for pointer, *value in edits:
        *parents, name = pointer.split("/")[1:]
        holder: Any = changed
        for parent in parents:
            holder = holder[parent]
        if value:
            [holder[name]] = value
        else:
            holder.pop(name, None)
    if isinstance(changed.get("tcb-status"), dict):
        changed["tcb-status"] = json.dumps(changed["tcb-status"])
    return changed


def signed(payload: Mapping[str, Any]) -> str:
    return jose.compact({"alg": "ES256", "kid": "k"}, dict(payload), jose.signer(KEY, "ES256"))


def opinion_on(payload: Mapping[str, Any], now: float, quote: Quote = QUOTE) -> Opinion:
    service = Service(PROVIDERS["trustee"], "", PIN, 1.0)
    return service.opinion(quote, {}, now=lambda: now, token=signed(payload))


def outcome(check: Check | None) -> str:
    """A check as the vectors write it."""
    if check is None or check.outcome == SKIPPED:
        return SKIPPED
    if check.outcome == WARN:
        return f"warn {check.code}"
    return check.code if check.outcome == FAIL else check.outcome


# --- one table -----------------------------------------------------------------------------------


def test_one_table_serves_page_and_command_line() -> None:
    own = ROOT / "verifier/services/claims.json"
    assert (ROOT / "web/src/providers/claims.json").read_bytes() == own.read_bytes()


def test_every_rule_is_one_that_can_be_followed() -> None:
    """A type that nobody knows, or a code without its check, would let its member pass."""
    rules: list[Rule] = [*PLATFORM.values()]
    for each in GENERATIONS.values():
        rules += [*each.payload.values(), *each.submodule.values()]
    codes = {"", "token-claim", "appraisal", "not-told", "collateral-expired"}
    for rule in rules:
        assert rule.fits("x") in (True, False)
        assert {rule.missing, rule.other} <= codes
        assert bool(rule.check) == (rule.other in ("not-told", "collateral-expired"))
    for each in ("trustee", "04"):
        assert all(GENERATIONS[each].named(role) for role in ("status", "vector", "evidence"))


# --- the shared vectors --------------------------------------------------------------------------


@pytest.mark.parametrize("case", CLAIMS["cases"], ids=lambda case: case["name"])
def test_a_token_is_judged_as_the_page_judges_it(case: Any) -> None:
    """Fails where a member's name, type or value counts for something else than in the page."""
    payload = edited(CLAIMS["tokens"][case["token"]], case["edits"])
    opinion = opinion_on(payload, CLAIMS["now"])
    policy = policy_of(case["policy"]) if "policy" in case else DEFAULT
    status = told_status(opinion, policy, CLAIMS["now"])
    checks = {check.id: check for check in (*opinion.checks, status)}
    assert checks["token-signature"].outcome == "pass"
    assert {name: outcome(checks.get(name)) for name in case["checks"]} == case["checks"]
    assert opinion.simulated == case.get("simulated", False)
    if "expires" in case:
        assert opinion.expires == case["expires"]


# --- the verdict in words ------------------------------------------------------------------------


def ear(status: str, vector: Any) -> Check:
    submod = {"ear.status": status, "ear.trustworthiness-vector": vector}
    return appraise([submod], GENERATIONS["trustee"])


@pytest.mark.parametrize(
    ("status", "vector", "words"),
    [
        (
            "contraindicated",
            {"instance-identity": 0, "configuration": 36, "executables": 33, "hardware": 97},
            "contraindicated: configuration 36 (warning: the verifier does not know all of it), "
            "executables 33 (warning: not all that runs is recognised), "
            "hardware 97 (contraindicated: not recognised)",
        ),
        ("warning", {"executables": 40, "hardware": 2}, "warning: executables 40 (warning)"),
        ("none", {"hardware": 0}, "none: hardware 0 (none: nothing is said)"),
        ("none", {"hardware": -1}, "none: hardware -1 (none: the verifier failed)"),
        ("affirming", {"hardware": 99}, "affirming: hardware 99 (contraindicated: a crypt"),
        ("none", {}, "none"),
    ],
)
def test_a_verdict_names_the_claims_that_say_why(status: str, vector: Any, words: str) -> None:
    """Fails where a vector is not told, or its numbers are not in words."""
    assert ear(status, vector).detail.startswith(f"the service's verdict is {words}")


@pytest.mark.parametrize(
    ("tier", "values"),
    [
        ("none", (-1, 0, 1)),
        ("affirming", (2, 31, -2, -32)),
        ("warning", (32, 95, -33, -96)),
        ("contraindicated", (96, 127, -97, -128)),
    ],
)
def test_tiers(tier: str, values: tuple[int, ...]) -> None:
    assert {tier_of(value) for value in values} == {tier}


def test_the_words_are_those_of_the_page() -> None:
    """Fails where one of both has a value that the other has no words for, or other words."""
    words = json.loads((ROOT / "verifier/services/trust_words.json").read_text("utf-8"))
    catalogue = (ROOT / "web/src/i18n/en.ts").read_text("utf-8")
    for claim, values in words.items():
        for value, text in values.items():
            assert f"'trust.{claim}.{value}': '{text}'" in catalogue
    assert catalogue.count("'trust.") == 4 + sum(map(len, words.values()))


# --- types ---------------------------------------------------------------------------------------


def test_numbers_are_whole_as_javascript_has_them() -> None:
    assert [whole(value) for value in (1, 1.0, -0.0, (1 << 53) - 1)] == [1, 1, 0, (1 << 53) - 1]
    assert [whole(value) for value in (1 << 53, 1.5, True, "1", None, [])] == [None] * 6


def test_moments() -> None:
    """Fails where a date without a zone, or a day of no calendar, is taken for one."""
    for text in ("2026-03-01T00:00:00Z", "2026-03-01T00:00:00.5Z", "2026-03-01T00:00:00+00:00"):
        found = moment(text)
        assert found
        assert found.isoformat() == "2026-03-01T00:00:00+00:00"
    for odd in ("2026-02-30T00:00:00Z", "2026-03-01T00:00:00", "2026-03-01T00:00:00Z\n", "٢026", 1):
        assert moment(odd) is None


# --- what people and programs see ----------------------------------------------------------------


def report_on(payload: Mapping[str, Any], document: Any, nonce: bytes) -> Any:
    service = Service(PROVIDERS["trustee"], "https://as.example", PIN, 1.0)
    verifier = Verifier(
        timeout=1.0, provider="trustee", service=service, clock=lambda: float(CLAIMS["now"])
    )
    return verifier.verify(Record(document, provider="trustee", token=signed(payload)), nonce)


@pytest.fixture
def asked() -> tuple[Any, bytes, Any]:
    """Evidence with its nonce, and v0.21's token about it."""
    case = next(c for c in vectors("evidence")["cases"])
    document = case["evidence"]
    body = parse_quote(bytes.fromhex(document["quote"])).body.to_dict()
    body["tcb_svn"] = body.pop("tee_tcb_svn")
    at = "/submods/cpu0/ear.veraison.annotated-evidence/tdx/quote/body"
    payload = edited(CLAIMS["tokens"]["v0.21"], [[at, body]])
    return document, decode_base64url(case["nonce_base64url"], "nonce"), payload


def test_what_is_told_is_shown(asked: Any, capsys: Any) -> None:
    document, nonce, payload = asked
    report = report_on(payload, document, nonce)
    checks = {check.id: check for check in report.checks}
    assert (checks["collateral"].outcome, checks["tcb-status"].outcome) == ("pass", "pass")
    shown = report.to_dict()
    assert shown["told"]["earliest_expiration_date"] == "2027-02-01T00:00:00Z"
    assert (shown["tcb_evaluation"], shown["tcb_status"]) == ({"lowest": 18}, "UpToDate")
    write_report(report, sys.stdout)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    for row in ("tcb_date 2026-03-01T00:00:00Z", "root_ca_crl_num 3", "is_smt_enabled True"):
        assert row.split() in rows


def test_a_result_ends_with_the_collateral(asked: Any) -> None:
    """Sooner than its token: what the service rests on is out of date then."""
    document, nonce, payload = asked
    at = "/submods/cpu0/ear.veraison.annotated-evidence/tdx/earliest_expiration_date"
    payload = edited(payload, [[at, "2027-01-15T08:01:00Z"]])
    report = report_on(payload, document, nonce)
    assert report.notes["expires"] == "2027-01-15T08:01:00Z"


def test_expired_collateral_is_told(asked: Any) -> None:
    """v0.13 approves of it."""
    document, nonce, payload = asked
    at = "/submods/cpu0/ear.veraison.annotated-evidence/tdx/collateral_expiration_status"
    report = report_on(edited(payload, [[at, "1"]]), document, nonce)
    assert report.result == FAIL
    [check] = (check for check in report.checks if check.id == "collateral")
    assert (check.code, check.detail) == (
        "collateral-expired",
        "the service says that it has expired (1)",
    )


def test_expired_collateral_of_a_service_has_nothing_fetched_anew(asked: Any) -> None:
    """`watch` keeps collateral of its own; a service is asked once, whatever it says of its own."""
    document, nonce, payload = asked
    at = "/submods/cpu0/ear.veraison.annotated-evidence/tdx/collateral_expiration_status"
    calls = []

    class Counted(Service):
        def opinion(self, *args: Any, **options: Any) -> Opinion:
            calls.append(args)
            return super().opinion(*args, **options)

    service = Counted(PROVIDERS["trustee"], "https://as.example", PIN, 1.0)
    verifier = Verifier(
        timeout=1.0,
        provider="trustee",
        service=service,
        keep=300.0,
        clock=lambda: float(CLAIMS["now"]),
    )
    token = signed(edited(payload, [[at, "1"]]))
    report = verifier.verify(Record(document, provider="trustee", token=token), nonce)
    assert (report.result, len(calls)) == (FAIL, 1)


@pytest.mark.parametrize("form", tokens.EAR_FORMS)
def test_what_we_serve_is_read(td: Simulator, form: str) -> None:
    """Under the names of both generations, with all that it tells."""
    quote = parse_quote(td.quote(bytes(64), version=5))
    now = time.time()
    verdict = verify(quote.raw, Trust(td.root_der, td.collateral()), now)
    payload = tokens.ear_claims(
        {"cpu0": (verdict, None)}, now=now, ttl=60, build="x", token_id="x", form=form
    )
    opinion = opinion_on(payload, now, quote)
    ids = ["token-signature", "token-claims", "collateral", "appraisal"]
    assert [(check.id, check.outcome) for check in opinion.checks] == [(id_, "pass") for id_ in ids]
    assert opinion.told.values.keys() >= {"tcb_date", "tcb_eval_num", "earliest_expiration_date"}
    assert told_status(opinion, DEFAULT, now).outcome == "pass"


# --- a real Trustee's tokens ---------------------------------------------------------------------

OLD = "tcb-status"
STATUSES = {
    **dict.fromkeys(("OK", "UpToDate"), "pass"),
    **dict.fromkeys(("Min", "ConfigurationNeeded", "SoftwareHardeningNeeded"), f"warn {OLD}"),
    "ConfigurationAndSoftwareHardeningNeeded": f"warn {OLD}",
    **dict.fromkeys(("OutOfDate", "OutOfDateConfigurationNeeded"), OLD),
    **dict.fromkeys(("TDRelaunchAdvised", "TDRelaunchAdvisedConfigurationNeeded"), "tcb-relaunch"),
}
VERDICTS = {"affirming": "pass", "warning": "warn appraisal"}


def recorded_quote(request: Any) -> Quote:
    """The quote in a recorded request of either form."""
    [first, *_] = request.get("verification_requests", [request])
    evidence = json.loads(decode_base64url(first["evidence"], "evidence"))
    return parse_quote(base64.b64decode(evidence["quote"]))


@pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="recordings are not beside the project (../shared/data)"
)
def test_recorded_tokens_of_a_real_trustee() -> None:
    """Of both versions and forms; the page's test has the same rules."""
    count = 0
    for path in sorted(RECORDINGS.glob("v*.json")):
        recording = json.loads(path.read_text("utf-8"))
        if "token" not in recording["answer"]:
            continue
        payload, count = recording["answer"]["token"]["payload"], count + 1
        now = payload["iat"] + 1
        opinion = opinion_on(payload, now, recorded_quote(recording["request"]))
        status = told_status(opinion, DEFAULT, now)
        checks = {check.id: check for check in (*opinion.checks, status)}
        names = ("token-claims", "collateral", "tcb-status", "appraisal")
        outcomes = [outcome(checks.get(name)) for name in names]
        assert outcomes == expected_of(payload), path.stem
    assert count > 20


def expected_of(payload: Any) -> list[str]:
    if "submods" not in payload:
        return ["pass"] * 4
    [first, *more] = payload["submods"].values()
    verdict = VERDICTS.get(first["ear.status"], "appraisal")
    if more:  # nobody knows which of them answered
        return ["token-claim", SKIPPED, SKIPPED, verdict]
    tdx = first["ear.veraison.annotated-evidence"]["tdx"]
    in_date = tdx["collateral_expiration_status"] == "0"
    collateral = "pass" if in_date else "collateral-expired"
    return ["pass", collateral, STATUSES[tdx["tcb_status"]], verdict]
