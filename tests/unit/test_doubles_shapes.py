"""Our stand-ins answer as the real services do, member by member (`doubles.shapes`)."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import jwt
import pytest
from cczoo_verifier import service
from cczoo_verifier.signing import Signer
from cczoo_verifier.trust import from_simulator
from fastapi import FastAPI
from fastapi.testclient import TestClient

from doubles import alibaba, hostile, shapes
from doubles.evidence import flat_body, listed_body
from doubles.hostile import ALIBABA, TRUSTEE, Forger
from doubles.shapes import differences
from quote_generator.simulator import Simulator

ADDRESS = "http://127.0.0.1:1"
VERSIONS = pytest.mark.parametrize("version", [4, 5])

# What `cczoo-verify serve` says beyond Trustee, and where. Trustee names neither its tokens nor
# its keys; we do, so that keys can change.
MORE_CLAIMS = {"jti": shapes.UUID, "nbf": shapes.SECONDS, "iss": shapes.TEXT}
MORE_OF_KEYS = {"kid": shapes.BASE64URL, "use": {"sig"}}
OURS = "cczoo"


@contextmanager
def asking(app: FastAPI) -> Iterator[httpx.Client]:
    with TestClient(app, base_url=ADDRESS, follow_redirects=False) as client:
        yield client


def trustees(td: Simulator) -> dict[str, FastAPI]:
    settings = service.Settings(trust=from_simulator(td.directory), signer=Signer.ephemeral())
    return {
        "cczoo-verify serve": service.create_app(settings),
        "hostile, when good": hostile.create_app(Forger("good", TRUSTEE, ADDRESS), []),
    }


def alibabas(td: Simulator) -> dict[str, FastAPI]:
    double = alibaba.Service(from_simulator(td.directory))
    return {
        "double": alibaba.create_app(double, ADDRESS),
        "hostile, when good": hostile.create_app(Forger("good", ALIBABA, ADDRESS), []),
    }


def take_apart(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims; signatures are the matter of other tests."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return jwt.get_unverified_header(token), claims


def post(client: httpx.Client, path: str, body: Any) -> str:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    return answer.text


@VERSIONS
@pytest.mark.parametrize("which", ["double", "hostile, when good"])
def test_alibaba_cloud(which: str, version: int, simulator: Simulator) -> None:
    with asking(alibabas(simulator)[which]) as client:
        token = post(client, "/v1/attestation", flat_body(simulator, version=version))
        header, claims = take_apart(token)
        discovery = client.get("/.well-known/openid-configuration").json()
        keys = client.get(discovery["jwks_uri"].removeprefix(ADDRESS)).json()["keys"]
    status = json.loads(claims["tcb-status"])
    assert list(differences(header, shapes.ALIBABA_HEADER)) == []
    assert list(differences(claims, shapes.ALIBABA_CLAIMS)) == []
    assert list(differences(status, shapes.alibaba_status(version))) == []
    assert list(differences(discovery, shapes.ALIBABA_DISCOVERY)) == []
    assert discovery["issuer"] == claims["iss"] == claims["aud"] == ADDRESS
    assert header["kid"] in {key["kid"] for key in keys}
    if which == "double":
        assert claims["exp"] - claims["iat"] == shapes.ALIBABA_LIFE
    assert claims["iat"] == claims["nbf"]


@VERSIONS
@pytest.mark.parametrize(("make", "submod"), [(flat_body, "cpu"), (listed_body, "cpu0")])
@pytest.mark.parametrize("which", ["cczoo-verify serve", "hostile, when good"])
def test_trustee(which: str, make: Any, submod: str, version: int, simulator: Simulator) -> None:
    with asking(trustees(simulator)[which]) as client:
        header, claims = take_apart(post(client, "/attestation", make(simulator, version=version)))
        key_set = client.get("/.well-known/jwks.json").json()
    key_shape = {**shapes.TRUSTEE_KEY, **MORE_OF_KEYS}
    header_shape = {
        **shapes.TRUSTEE_HEADER,
        "kid": shapes.BASE64URL,
        "jwk" if which == "cczoo-verify serve" else "jwk?": key_shape,
    }
    if which != "cczoo-verify serve":
        header_shape.pop("jwk")
    claims_shape = shapes.trustee_claims(submod, version)
    evidence = claims_shape["submods"][submod]["ear.veraison.annotated-evidence"]
    evidence[OURS] = shapes.Is("object", lambda value: isinstance(value, dict))
    assert list(differences(header, header_shape)) == []
    assert list(differences(key_set, {"keys": [key_shape]})) == []
    assert list(differences(claims, {**claims_shape, **MORE_CLAIMS})) == []
    if which == "cczoo-verify serve":
        assert claims["exp"] - claims["iat"] == shapes.TRUSTEE_LIFE


@pytest.mark.parametrize("body", [{}, {"tee": "tdx"}, [], {"verification_requests": 1}])
def test_bodies_that_are_none_are_answered_as_trustee_does(body: Any, simulator: Simulator) -> None:
    with asking(trustees(simulator)["cczoo-verify serve"]) as client:
        answer = client.post("/attestation", json=body)
    assert answer.status_code == 400
    assert answer.text.startswith("Json deserialize error")


def test_evidence_that_does_not_hold_is_answered_as_trustee_does(simulator: Simulator) -> None:
    body = flat_body(simulator) | {"evidence": "AAAA"}
    with asking(trustees(simulator)["cczoo-verify serve"]) as client:
        answer = client.post("/attestation", json=body)
    assert answer.status_code == 500
    assert answer.text.startswith("An internal error occured")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda v: v.pop("tee"), "/tee: missing"),
        (lambda v: v.update(tee="sgx"), "/tee: 'sgx' is none of ['tdx']"),
        (lambda v: v.update(exp="1"), "/exp: '1' is no seconds since 1970"),
        (lambda v: v.update(exp=True), "/exp: True is no seconds since 1970"),
        (lambda v: v.update(more=1), "/more: unknown"),
        (lambda v: v.update(customized_claims=[]), "/customized_claims: no object"),
        (lambda v: v["customized_claims"].update(more=1), "/customized_claims/more: unknown"),
        (lambda v: v.update({"evaluation-reports": []}), "/evaluation-reports: no list"),
        (
            lambda v: v["evaluation-reports"][0].pop("policy-id"),
            "/evaluation-reports/0/policy-id: missing",
        ),
        (lambda v: v.update({"tcb-status": {}}), "/tcb-status: {} is no text"),
    ],
)
def test_a_difference_is_seen(change: Any, found: str, simulator: Simulator) -> None:
    with asking(alibabas(simulator)["double"]) as client:
        _, claims = take_apart(post(client, "/v1/attestation", flat_body(simulator)))
    changed = copy.deepcopy(claims)
    change(changed)
    [difference] = differences(changed, shapes.ALIBABA_CLAIMS)
    assert difference.startswith(found)
