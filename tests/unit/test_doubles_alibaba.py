"""The double of Alibaba Cloud's service has the shapes of the public examples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest
from cczoo_verifier.trust import from_simulator

from doubles import alibaba
from doubles.evidence import bound_quote, encode, flat_body, listed_body
from doubles.serving import serving
from quote_generator.evidence import encode_base64url
from quote_generator.quote import parse_quote
from quote_generator.simulator import Simulator

# The members of the sample token in Alibaba Cloud's documentation.
CLAIMS = {
    "aud", "customized_claims", "eat_profile", "evaluation-reports", "exp", "iat", "iss", "jti",
    "nbf", "tcb-status", "tee",
}  # fmt: skip
BODY = {
    "mr_config_id", "mr_owner", "mr_owner_config", "mr_seam", "mr_servicetd", "mr_td",
    "mrsigner_seam", "report_data", "rtmr_0", "rtmr_1", "rtmr_2", "rtmr_3", "seam_attributes",
    "tcb_svn", "td_attributes", "tee_tcb_svn2", "xfam",
}  # fmt: skip
HEADER = {"att_key_type", "reserved", "tee_type", "user_data", "vendor_id", "version"}
ATTRIBUTES = {"debug", "key_locker", "perfmon", "protection_keys", "septve_disable"}


@pytest.fixture(scope="module")
def url(simulator: Simulator) -> Iterator[str]:
    service = alibaba.Service(from_simulator(simulator.directory))
    with serving(lambda address: alibaba.create_app(service, address)) as address:
        yield address


def test_the_token_is_that_of_the_documentation(url: str, simulator: Simulator) -> None:
    body = flat_body(simulator, version=5)
    answer = httpx.post(f"{url}/v1/attestation", json=body, trust_env=False)
    assert answer.status_code == 200
    discovery = httpx.get(f"{url}/.well-known/openid-configuration", trust_env=False).json()
    assert discovery["issuer"] == url
    assert discovery["id_token_signing_alg_values_supported"] == ["RS256"]
    key_set = httpx.get(discovery["jwks_uri"], trust_env=False).json()
    header = jwt.get_unverified_header(answer.text)
    assert set(header) == {"alg", "kid", "typ"}
    assert header["alg"] == "RS256"
    key = jwt.PyJWKSet.from_dict(key_set)[header["kid"]]
    claims = jwt.decode(answer.text, key.key, algorithms=["RS256"], audience=url, issuer=url)
    assert set(claims) == CLAIMS
    assert claims["exp"] - claims["iat"] == 6 * 3600
    assert claims["tee"] == "tdx"
    assert claims["customized_claims"] == {"init_data": None, "runtime_data": None}
    assert claims["evaluation-reports"] == [{"policy-hash": None, "policy-id": "default"}]

    assert isinstance(claims["tcb-status"], str)
    status = json.loads(claims["tcb-status"])
    assert set(status) == (
        {"init_data", "report_data", "tdx.quote.size", "tdx.quote.type"}
        | {f"tdx.quote.body.{name}" for name in BODY}
        | {f"tdx.quote.header.{name}" for name in HEADER}
        | {f"tdx.td_attributes.{name}" for name in ATTRIBUTES}
    )
    _, quote = bound_quote(simulator, version=5)
    parsed = parse_quote(quote)
    for name, value in parsed.body.to_dict().items():
        service_name = {"tee_tcb_svn": "tcb_svn"}.get(name, name)
        assert status[f"tdx.quote.body.{service_name}"] == value
    for name, value in parsed.header.to_dict().items():
        assert status[f"tdx.quote.header.{name}"] == value
    assert (status["tdx.quote.size"], status["tdx.quote.type"]) == ("88020000", "0300")
    assert status["tdx.td_attributes.septve_disable"] is True
    assert status["tdx.td_attributes.debug"] is False


def test_what_does_not_hold_gets_no_token(url: str, simulator: Simulator, tmp_path: Path) -> None:
    body = flat_body(simulator)
    bound, quote = bound_quote(simulator)
    other = Simulator.open(tmp_path / "other")
    for change in (
        {"evidence": encode(quote[:-1])},
        {"evidence": encode(quote[:200] + bytes([quote[200] ^ 1]) + quote[201:])},
        {"evidence": encode(other.quote(bytes(64)))},
        {"runtime_data": {"raw": encode_base64url(bytes(64))}},
        {"runtime_data": {"raw": encode_base64url(bound)}},  # it hashes nothing
        {"tee": "sgx"},
        {"evidence": 1},
    ):
        answer = httpx.post(f"{url}/v1/attestation", json=body | change, trust_env=False)
        assert answer.status_code == 400
        assert answer.json()["message"]


def test_it_takes_the_flat_body_only(url: str, simulator: Simulator) -> None:
    answer = httpx.post(f"{url}/v1/attestation", json=listed_body(simulator), trust_env=False)
    assert answer.status_code == 400


def test_pages_may_use_it(url: str) -> None:
    headers = {"Origin": "https://chat.example", "Access-Control-Request-Method": "POST"}
    answer = httpx.options(f"{url}/v1/attestation", headers=headers, trust_env=False)
    assert answer.headers["access-control-allow-origin"] in ("*", "https://chat.example")
