"""cczoo_verifier.protocol and strictjson: hostile bodies are refused, good ones understood."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cczoo_verifier import protocol, strictjson
from cczoo_verifier.appraisal import Rejected
from cczoo_verifier.protocol import FLAT, LISTED, Malformed, parse_body
from hypothesis import given
from hypothesis import strategies as st

from doubles.evidence import bound_quote, encode, flat_body, listed_body
from quote_generator.evidence import canonical_json, encode_base64url, report_data
from quote_generator.quote import parse_quote
from quote_generator.simulator import Simulator


def parse(body: Any, forms: tuple[str, ...] = (FLAT, LISTED)) -> protocol.Body:
    return parse_body(json.dumps(body).encode(), forms)


def binds(body: Any, quote: bytes) -> bool:
    [request] = parse(body).requests
    try:
        protocol.check_bindings(request, parse_quote(quote))
    except Rejected:
        return False
    return True


def test_both_forms_say_the_same(simulator: Simulator) -> None:
    flat, listed = parse(flat_body(simulator)), parse(listed_body(simulator))
    assert (flat.form, listed.form) == (FLAT, LISTED)
    assert len(flat.requests) == len(listed.requests) == 1
    assert flat.requests[0].expected_report_data == listed.requests[0].expected_report_data


def test_a_service_may_take_one_form_only(simulator: Simulator) -> None:
    with pytest.raises(Malformed, match="missing field `tee`"):
        parse({"verification_requests": []} | {"policy_ids": []}, (FLAT,))
    with pytest.raises(Malformed, match="missing field `verification_requests`"):
        parse(flat_body(simulator), (LISTED,))


def test_runtime_data_is_taken_in_every_way_that_clients_send_it(simulator: Simulator) -> None:
    bound, quote = bound_quote(simulator)
    structured = json.loads(bound)
    body = {"tee": "tdx", "evidence": encode(quote), "policy_ids": []}
    for runtime in (
        {"raw": encode_base64url(report_data(bound))},
        {"raw": encode_base64url(report_data(bound)[:48])},
        {"raw": encode_base64url(bound)},
        {"structured": structured},
    ):
        assert binds(body | {"runtime_data": runtime}, quote), runtime
    assert binds(body, quote)
    assert binds(body | {"runtime_data": None}, quote)


def test_raw_data_is_hashed_only_where_that_is_asked_for(simulator: Simulator) -> None:
    """As read in Trustee: raw data is the report data itself, zero-padded or cut to 64 bytes."""
    bound, quote = bound_quote(simulator)
    body = {"tee": "tdx", "evidence": encode(quote), "policy_ids": []}
    for raw, holds in (
        (bound, False),
        (report_data(bound), True),
        (report_data(bound)[:48], True),
        (report_data(bound) + b"cut off", True),
        (report_data(bound)[:47], False),
    ):
        text = json.dumps(body | {"runtime_data": {"raw": encode_base64url(raw)}}).encode()
        [request] = parse_body(text, accept_hashed_raw=False).requests
        assert (parse_quote(quote).body.report_data in request.expected_report_data) is holds


def test_other_runtime_data_is_refused(simulator: Simulator) -> None:
    bound, quote = bound_quote(simulator)
    body = {"tee": "tdx", "evidence": encode(quote), "policy_ids": []}
    for runtime in (
        {"raw": encode_base64url(bound + b" ")},
        {"raw": ""},
        {"raw": encode_base64url(report_data(bound)[:47])},
        {"structured": {}},
        {"structured": json.loads(bound) | {"more": 1}},
    ):
        assert not binds(body | {"runtime_data": runtime}, quote), runtime
    other = body | {
        "runtime_data": {"structured": json.loads(bound)},
        "runtime_data_hash_algorithm": "sha256",
    }
    assert not binds(other, quote)


def test_structured_data_may_come_in_any_order(simulator: Simulator) -> None:
    value = {"b": 1, "a": {"d": "x", "c": [True, None]}}
    quote = simulator.quote(report_data(canonical_json(value)))
    [request] = parse(
        {
            "tee": "tdx",
            "evidence": encode(quote),
            "policy_ids": [],
            "runtime_data": {"structured": value},
        }
    ).requests
    protocol.check_bindings(request, parse_quote(quote))
    assert request.runtime_claims == value


def test_init_data_must_be_the_quotes_config_id(simulator: Simulator) -> None:
    _, quote = bound_quote(simulator)
    body = {"tee": "tdx", "evidence": encode(quote), "policy_ids": []}
    good = encode_base64url(b"\xc1" * 48)
    assert binds(body | {"init_data": {"raw": good}}, quote)
    assert binds(body | {"init_data": {"init_data_digest": good}}, quote)
    assert not binds(body | {"init_data": {"raw": encode_base64url(b"\xc1" * 47)}}, quote)
    assert not binds(body | {"init_data": {"structured": {}}}, quote)
    for init in ({"init_data_toml": "x"}, {}, {"raw": encode_base64url(bytes(49))}, {"raw": "!"}):
        with pytest.raises(Rejected, match="init_data"):
            parse(body | {"init_data": init})


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"1",
        b'"x"',
        b"\xff\xfe",
        b'{"tee":"tdx","tee":"tdx"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"tee": NaN}',
        b'{"policy_ids": [], "tee": ' + b"1" * 10_000 + b"}",
        b'{"policy_ids": "default"}',
        b'{"policy_ids": [1]}',
        b'{"policy_ids": [], "tee": 1}',
        b'{"policy_ids": [], "tee": "tdx"}',
        b'{"policy_ids": [], "tee": "tdx", "evidence": {}}',
        b'{"policy_ids": [], "verification_requests": {}}',
        b'{"policy_ids": [], "verification_requests": [1]}',
        b'{"policy_ids": [], "tee": "tdx", "evidence": "e30", "runtime_data": []}',
        b'{"policy_ids": [], "tee": "tdx", "evidence": "e30", "runtime_data": {}}',
        b'{"policy_ids": [], "tee": "tdx", "evidence": "e30", "runtime_data": {"x": 1}}',
        b'{"policy_ids": [], "tee": "tdx", "evidence": "e30", "runtime_data": {"raw": 1}}',
    ],
)
def test_what_is_no_request_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_body(text)


def _inner(value: Any) -> str:
    return encode_base64url(json.dumps(value).encode())


@pytest.mark.parametrize(
    "evidence",
    [
        "",
        "e30=",
        "e3 0",
        "%%%%",
        _inner([]),
        _inner({}),
        _inner({"quote": None}),
        _inner({"quote": 1}),
        _inner({"quote": "not base64!"}),
        _inner({"quote": "QQ"}),
        _inner({"quote": "", "cc_eventlog": 1}),
        _inner({"quote": "", "cc_eventlog": "!"}),
        _inner({"quote": "", "aa_eventlog": {"a": 1}}),
        encode_base64url(b'{"quote":"","quote":""}'),
        encode_base64url(b"[" * 100_000),
    ],
)
def test_what_is_no_evidence_is_rejected(evidence: str) -> None:
    with pytest.raises(Rejected) as caught:
        parse({"tee": "tdx", "evidence": evidence, "policy_ids": []})
    assert (caught.value.check, caught.value.code) == ("evidence-format", "evidence-malformed")


@pytest.mark.parametrize("count", [0, 9])
def test_the_number_of_requests_is_bounded(simulator: Simulator, count: int) -> None:
    body = listed_body(simulator)
    with pytest.raises(Rejected, match=f"{count} verification requests"):
        parse(body | {"verification_requests": body["verification_requests"] * count})


def test_an_unknown_hash_is_rejected(simulator: Simulator) -> None:
    with pytest.raises(Rejected, match="unknown hash"):
        parse(flat_body(simulator) | {"runtime_data_hash_algorithm": "md5"})


def test_event_logs_come_through() -> None:
    log = base64.b64encode(b"\0\1").decode()
    [request] = parse(
        {"tee": "tdx", "evidence": encode(b"q", log, "INIT x\n"), "policy_ids": []}
    ).requests
    assert (request.cc_eventlog, request.aa_eventlog) == (b"\0\1", "INIT x\n")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "tee": json_values,
            "evidence": json_values | st.just("e30"),
            "policy_ids": json_values | st.just([]),
            "runtime_data": json_values
            | st.fixed_dictionaries({}, optional={"raw": json_values, "structured": json_values}),
            "init_data": json_values
            | st.fixed_dictionaries({}, optional={"raw": json_values, "structured": json_values}),
            "verification_requests": json_values,
            "runtime_data_hash_algorithm": json_values,
        },
    )
)
def test_any_json_is_a_request_or_an_error(body: Any) -> None:
    try:
        parse(body)
    except (Malformed, Rejected):
        return
    assert body["tee"]


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}, 2**60])
def test_what_has_no_canonical_form_is_rejected(value: Any) -> None:
    body = b'{"tee":"tdx","evidence":"e30","policy_ids":[],"%s":{"structured":%s}}'
    text = json.dumps(value).encode()
    for name in (b"runtime_data", b"init_data"):
        with pytest.raises(Rejected, match=r"(canonical|evidence)"):
            parse_body(body % (name, text))


def test_a_number_that_only_json_can_write_is_no_request() -> None:
    body = b'{"tee":"tdx","evidence":"e30","policy_ids":[],"runtime_data":{"structured":1e400}}'
    with pytest.raises(Malformed, match="too large"):
        parse_body(body)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_an_error(data: bytes) -> None:
    with pytest.raises((Malformed, Rejected)):
        parse_body(data)


@given(json_values)
def test_strict_json_reads_what_json_writes(value: Any) -> None:
    assert strictjson.loads(json.dumps(value)) == value
