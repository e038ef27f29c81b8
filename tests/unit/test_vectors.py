"""The shared vectors: the committed files are what the script makes, and Python agrees."""

from __future__ import annotations

import base64
import json
from dataclasses import astuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dcap_qvl
import jwt
import pytest
from cczoo_verifier.appraisal import Rejected
from cczoo_verifier.eventlogs import judge_logs, replay_logs
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from quote_generator import evidence
from quote_generator.errors import BadInput
from quote_generator.eventlog import parse_aael
from quote_generator.quote import parse_quote
from quote_generator.sealing.keyset import parse_keyset
from vectors import make


def load(name: str) -> Any:
    return json.loads((Path(make.__file__).parent / name).read_text())


def test_committed_vectors_are_what_the_script_makes() -> None:
    assert make.main(["--check"]) == 0


def test_quotes_verify_under_their_root() -> None:
    vectors = load("quotes.json")
    collateral = dcap_qvl.QuoteCollateralV3.from_json(json.dumps(vectors["collateral"]))
    root = x509.load_pem_x509_certificate(vectors["root_pem"].encode()).public_bytes(Encoding.DER)
    for case in vectors["valid"]:
        raw = bytes.fromhex(case["quote"])
        verdict = dcap_qvl.verify_with_root_ca(raw, collateral, root, vectors["now"])
        assert verdict.status == "UpToDate"
        for name, value in case["parsed"]["body"].items():
            assert getattr(parse_quote(raw).body, name).hex() == value


@pytest.mark.parametrize("case", load("quotes.json")["invalid"], ids=lambda case: case["fault"])
def test_other_quotes_are_refused(case: Any) -> None:
    with pytest.raises(BadInput):
        parse_quote(bytes.fromhex(case["quote"]))


def test_evidence_leads_from_each_nonce_to_the_quote() -> None:
    for case in load("evidence.json")["cases"]:
        document = case["evidence"]
        bound = evidence.decode_base64url(document["runtime_data"], "runtime_data")
        root = evidence.decode_base64url(json.loads(bound)["nonce_root"], "nonce_root")
        proof = document["nonce_proof"]
        assert evidence.verify_inclusion(
            evidence.parse_nonce(case["nonce_base64url"]),
            proof["leaf_index"],
            proof["tree_size"],
            [evidence.decode_base64url(item, "path") for item in proof["path"]],
            root,
        )
        report_data = parse_quote(bytes.fromhex(document["quote"])).body.report_data
        assert report_data == evidence.report_data(bound)
        for name, member in (("keys", "keyset"), ("statement", "statement")):
            assert json.loads(bound)[name] == evidence.document_hash(document[member])
        assert parse_keyset(document["keyset"]).not_after == load("evidence.json")["now"] + 3600


def test_evidence_logs_lead_to_the_registers() -> None:
    for case in load("evidence.json")["cases"]:
        body = parse_quote(bytes.fromhex(case["evidence"]["quote"])).body
        assert parse_aael(case["evidence"]["aa_eventlog"]).replay() == body.rtmr_3


@pytest.mark.parametrize("case", load("eventlogs.json")["cases"], ids=lambda case: case["name"])
def test_event_logs_lead_where_they_should(case: Any) -> None:
    registers = {name: bytes.fromhex(value) for name, value in case["registers"].items()}
    quote: Any = SimpleNamespace(body=SimpleNamespace(**registers))
    log = None if case["cc_eventlog"] is None else base64.b64decode(case["cc_eventlog"])
    logs = None
    if case["outcome"] in ("log-malformed", "log-differs"):
        with pytest.raises(Rejected) as caught:
            replay_logs(quote, log, case["aa_eventlog"])
        assert (caught.value.check, caught.value.code) == ("event-log", case["outcome"])
        if case["names"]:
            told = [part.split(":")[0] for part in str(caught.value).split("; ")]
            assert ", ".join(told) == case["names"]
        return
    if (log, case["aa_eventlog"]) != (None, None):
        logs = replay_logs(quote, log, case["aa_eventlog"])
    check = judge_logs(logs, case["demanded"])
    if case["outcome"] == "log-unexplained":
        assert (check.outcome, check.code) == ("fail", "log-unexplained")
        assert case["names"] in check.detail
        return
    assert check.outcome == case["outcome"]
    if case["outcome"] == "pass":
        assert logs is not None
        assert ", ".join(logs.explained) == case["names"]
        assert ", ".join(logs.unexplained) == case["unexplained"]
        assert [list(astuple(row)) for row in logs.events] == case["events"]
        assert check.code == ("log-unexplained" if case["unexplained"] else "")


TOKENS = load("tokens.json")


def decode(token: str) -> dict[str, Any]:
    """The claims, as a relying party reads them with PyJWT: key by `kid`, algorithm by the key."""
    key = jwt.PyJWKSet.from_dict(TOKENS["keys"])[jwt.get_unverified_header(token)["kid"]]
    options = {"verify_exp": False}
    claims: dict[str, Any] = jwt.decode(token, key, [key.algorithm_name], options)
    return claims


@pytest.mark.parametrize("case", TOKENS["valid"], ids=lambda case: case["name"])
def test_valid_tokens_are_valid_for_pyjwt(case: Any) -> None:
    assert decode(case["token"]) == TOKENS["claims"]
    assert jwt.get_unverified_header(case["token"])["alg"] in TOKENS["algorithms"]


@pytest.mark.parametrize(
    "case",
    # PyJWT reads padded base64url; RFC 7515 section 2 does not have it.
    [case for case in TOKENS["invalid"] if case["fault"] != "padding"],
    ids=lambda case: case["fault"],
)
def test_invalid_tokens_are_refused_by_pyjwt(case: Any) -> None:
    with pytest.raises((jwt.InvalidTokenError, jwt.PyJWTError, KeyError)):
        decode(case["token"])
