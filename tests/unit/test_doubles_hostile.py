"""The hostile service does what each mode says, and nothing else is wrong with it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import jwt
import pytest
from cryptography import x509
from fastapi.testclient import TestClient
from jwt.utils import base64url_decode

from doubles import hostile
from doubles.evidence import bound_quote, flat_body, listed_body
from doubles.hostile import ALIBABA, MARKUP, TRUSTEE, Forger
from doubles.serving import serving
from quote_generator.quote import parse_quote
from quote_generator.simulator import Simulator

FORMS = (TRUSTEE, ALIBABA)
both = pytest.mark.parametrize("form", FORMS)


ADDRESS = "http://127.0.0.1:1"


@contextmanager
def running(mode: str, form: str) -> Iterator[httpx.Client]:
    """The service inside this process, without a socket."""
    app = hostile.create_app(Forger(mode, form, ADDRESS), [])
    with TestClient(app, base_url=ADDRESS, follow_redirects=False) as client:
        yield client


@contextmanager
def listening(mode: str, form: str) -> Iterator[httpx.Client]:
    """The service on a socket, for what only a real connection shows."""
    with (
        serving(lambda url: hostile.create_app(Forger(mode, form, url), [])) as url,
        httpx.Client(base_url=url, timeout=30, trust_env=False) as client,
    ):
        yield client


def ask(client: httpx.Client, form: str, td: Simulator, make: Any = flat_body) -> httpx.Response:
    return client.post(hostile.PATHS[form], json=make(td))


def key_for(client: httpx.Client, form: str, token: str) -> Any:
    keys = jwt.PyJWKSet.from_dict(client.get(hostile.KEYS[form]).json())
    return keys[jwt.get_unverified_header(token)["kid"]].key


def verify(client: httpx.Client, form: str, token: str) -> dict[str, Any]:
    """The claims under the published key, as a careful relying party reads them."""
    options: dict[str, Any] = {"algorithms": [hostile.ALGORITHMS[form]]}
    if form == ALIBABA:
        options |= {"audience": str(client.base_url).rstrip("/")}
        options |= {"issuer": str(client.base_url).rstrip("/")}
    claims: dict[str, Any] = jwt.decode(token, key_for(client, form, token), **options)
    return claims


def quoted(claims: dict[str, Any], name: str) -> Any:
    """A body field of the quote that the token speaks of."""
    if "submods" in claims:
        [submod] = claims["submods"].values()
        return submod["ear.veraison.annotated-evidence"]["tdx"]["quote"]["body"][name]
    return json.loads(claims["tcb-status"])[f"tdx.quote.body.{name}"]


@both
@pytest.mark.parametrize("make", [flat_body, listed_body])
def test_a_good_token_is_good(form: str, make: Any, simulator: Simulator) -> None:
    with running("good", form) as client:
        claims = verify(client, form, ask(client, form, simulator, make).text)
    body = parse_quote(bound_quote(simulator)[1]).body
    assert quoted(claims, "mr_td") == body.mr_td.hex()
    assert quoted(claims, "report_data") == body.report_data.hex()
    assert claims["iat"] <= time.time() < claims["exp"]


@both
@pytest.mark.parametrize(
    ("mode", "field"), [("other-nonce", "report_data"), ("wrong-measurements", "mr_td")]
)
def test_tokens_about_another_quote(form: str, mode: str, field: str, simulator: Simulator) -> None:
    body = parse_quote(bound_quote(simulator)[1]).body
    with running(mode, form) as client:
        claims = verify(client, form, ask(client, form, simulator).text)
    differing = {
        name
        for name in ("report_data", "mr_td", "rtmr_0")
        if quoted(claims, name) != getattr(body, name).hex()
    }
    assert differing == {field}


@both
@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("other-key", jwt.InvalidSignatureError),
        ("embedded-key", jwt.InvalidSignatureError),
        ("embedded-chain", jwt.InvalidSignatureError),
        ("key-by-address", jwt.InvalidSignatureError),
        ("nested", jwt.DecodeError),
        ("no-signature", jwt.InvalidTokenError),
        ("alg-none", jwt.InvalidAlgorithmError),
        ("hs256", jwt.InvalidAlgorithmError),
        ("unknown-kid", KeyError),
        ("expired", jwt.ExpiredSignatureError),
        ("not-yet-valid", jwt.ImmatureSignatureError),
        ("critical-header", jwt.InvalidTokenError),
    ],
)
def test_tokens_that_a_careful_reader_refuses(
    form: str, mode: str, error: type[Exception], simulator: Simulator
) -> None:
    with running(mode, form) as client:
        token = ask(client, form, simulator).text
        with pytest.raises(error):
            verify(client, form, token)


@both
def test_the_forged_ones_would_hold_for_a_careless_reader(form: str, simulator: Simulator) -> None:
    alg = hostile.ALGORITHMS[form]
    careless: dict[str, Any] = {"options": {"verify_aud": False}}
    with running("embedded-key", form) as client:
        token = ask(client, form, simulator).text
        own = jwt.PyJWK(jwt.get_unverified_header(token)["jwk"]).key
        assert jwt.decode(token, own, algorithms=[alg], **careless)
    with running("embedded-chain", form) as client:
        token = ask(client, form, simulator).text
        [chain] = jwt.get_unverified_header(token)["x5c"]
        certificate = x509.load_der_x509_certificate(base64.b64decode(chain))
        assert jwt.decode(token, certificate.public_key(), algorithms=[alg], **careless)
    with running("nested", form) as client:
        outer, keys = ask(client, form, simulator).text, client.get(hostile.KEYS[form]).json()
        key = jwt.PyJWKSet.from_dict(keys).keys[0].key
        inner = jwt.PyJWS().decode(outer, key, algorithms=[alg]).decode()
        assert jwt.decode(inner, key, algorithms=[alg], **careless)
    with running("key-by-address", form) as client:
        token = ask(client, form, simulator).text
        address = jwt.get_unverified_header(token)["jku"]
        keys = jwt.PyJWKSet.from_dict(client.get(address).json())
        assert jwt.decode(token, keys.keys[0].key, algorithms=[alg], **careless)
    with running("hs256", form) as client:
        token = ask(client, form, simulator).text
        assert jwt.get_unverified_header(token)["alg"] == "HS256"
        key = key_for(client, form, token)
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        secret = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        signed, _, signature = token.rpartition(".")
        digest = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
        assert digest.sign(signed.encode(), secret) == base64url_decode(signature)
    with running("alg-none", form) as client:
        token = ask(client, form, simulator).text
        assert jwt.get_unverified_header(token)["alg"] == "none"
        assert token.endswith(".")


@both
def test_claims_that_lie_under_a_good_signature(form: str, simulator: Simulator) -> None:
    def claims_of(mode: str) -> dict[str, Any]:
        with running(mode, form) as client:
            token = ask(client, form, simulator).text
            key = key_for(client, form, token)
            options = {"verify_aud": False, "verify_iss": False}
            decoded: dict[str, Any] = jwt.decode(
                token, key, algorithms=[hostile.ALGORITHMS[form]], options=options
            )
            return decoded

    assert "exp" not in claims_of("no-expiry")
    assert claims_of("wrong-issuer")["iss"] == "https://attestation.example"
    assert claims_of("html")["jti"] == MARKUP
    assert MARKUP in json.loads(json.dumps(list(_texts(claims_of("html-verdict")))))
    if form == TRUSTEE:
        [submod] = claims_of("wrong-tee")["submods"].values()
        assert "tdx" not in submod["ear.veraison.annotated-evidence"]
        for mode, status in (("contraindicated", "contraindicated"), ("no-verdict", "none")):
            [submod] = claims_of(mode)["submods"].values()
            assert submod["ear.status"] == status
    else:
        assert claims_of("wrong-tee")["tee"] == "snp"
        assert claims_of("no-verdict")["evaluation-reports"] == []


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


@both
def test_a_repeated_claim_is_really_there_twice(form: str, simulator: Simulator) -> None:
    with running("repeated-claim", form) as client:
        token = ask(client, form, simulator).text
        assert verify(client, form, token)
    assert base64url_decode(token.split(".")[1]).count(b'"exp"') == 2


@both
@pytest.mark.parametrize(
    ("mode", "status", "content"),
    [
        ("reject", 500, "An internal error"),
        ("reject-400", 400, "InvalidParameter"),
        ("reject-html", 500, MARKUP),
        ("empty", 200, ""),
        ("page", 200, MARKUP),
    ],
)
def test_answers_that_are_no_token(
    form: str, mode: str, status: int, content: str, simulator: Simulator
) -> None:
    with running(mode, form) as client:
        answer = ask(client, form, simulator)
    assert answer.status_code == status
    assert content in answer.text


@both
def test_garbage_is_no_text(form: str, simulator: Simulator) -> None:
    with running("garbage", form) as client:
        answer = ask(client, form, simulator)
    assert answer.status_code == 200
    with pytest.raises(UnicodeDecodeError):
        answer.content.decode()


@both
@pytest.mark.parametrize("mode", ["endless", "keys-endless"])
def test_endless_answers_have_no_end(form: str, mode: str, simulator: Simulator) -> None:
    method, path = (
        ("POST", hostile.PATHS[form]) if mode == "endless" else ("GET", hostile.KEYS[form])
    )
    size = 0
    with listening(mode, form) as client, client.stream(method, path, json={}) as answer:
        for part in answer.iter_raw():
            size += len(part)
            if size > 4 << 20:
                break
    assert size > 4 << 20


@both
@pytest.mark.parametrize("mode", ["hang", "keys-hang", "trickle"])
def test_hanging_answers_do_not_come(form: str, mode: str, simulator: Simulator) -> None:
    with listening(mode, form) as client:
        request = (
            client.build_request("POST", hostile.PATHS[form], json={}, timeout=0.2)
            if mode != "keys-hang"
            else client.build_request("GET", hostile.KEYS[form], timeout=0.2)
        )
        with pytest.raises(httpx.ReadTimeout):
            client.send(request)


@both
def test_a_redirect_leads_to_another_origin_with_a_good_token(
    form: str, simulator: Simulator
) -> None:
    with running("redirect", form) as client:
        answer = ask(client, form, simulator)
        assert answer.status_code == 307
        assert answer.headers["location"].startswith("http://localhost:")
        assert client.get("/seen").json() == [f"POST {hostile.PATHS[form]}"]
        elsewhere = f"{hostile.PATHS[form]}/elsewhere"
        assert verify(client, form, client.post(elsewhere, json=flat_body(simulator)).text)
        assert f"POST {elsewhere}" in client.get("/seen").json()


@both
@pytest.mark.parametrize(
    ("mode", "status"), [("keys-missing", 404), ("keys-garbage", 200), ("keys-empty", 200)]
)
def test_bad_key_sets(form: str, mode: str, status: int, simulator: Simulator) -> None:
    with running(mode, form) as client:
        answer = client.get(hostile.KEYS[form])
        assert answer.status_code == status
        assert b'"kid"' not in answer.content
        assert ask(client, form, simulator).text.count(".") == 2


@pytest.mark.parametrize(
    ("mode", "status", "issuer", "keys_at"),
    [
        ("discovery-missing", 404, None, None),
        ("discovery-garbage", 200, None, None),
        ("discovery-redirect", 307, None, None),
        ("discovery-other-issuer", 200, "http://localhost:1", ADDRESS),
        ("discovery-other-origin", 200, ADDRESS, "http://localhost:1"),
        ("good", 200, ADDRESS, ADDRESS),
    ],
)
def test_bad_discovery(
    mode: str, status: int, issuer: str | None, keys_at: str | None, simulator: Simulator
) -> None:
    with running(mode, ALIBABA) as client:
        answer = client.get("/.well-known/openid-configuration")
        assert answer.status_code == status
        if issuer:
            assert answer.json()["issuer"] == issuer
            assert answer.json()["jwks_uri"].startswith(f"{keys_at}/")
        elif status == 307:
            assert answer.headers["location"].startswith("http://localhost:1/")
            assert client.get("/discovery-elsewhere").json()["issuer"] == ADDRESS
        else:
            assert b"issuer" not in answer.content
        # Whoever goes on without discovery finds a good token and good keys.
        assert verify(client, ALIBABA, ask(client, ALIBABA, simulator).text)


def test_endless_discovery_has_no_end() -> None:
    size = 0
    with (
        listening("discovery-endless", ALIBABA) as client,
        client.stream("GET", "/.well-known/openid-configuration") as answer,
    ):
        for part in answer.iter_raw():
            size += len(part)
            if size > 4 << 20:
                break
    assert size > 4 << 20


def test_every_mode_is_tested_here() -> None:
    with open(__file__) as source:
        text = source.read()
    assert [mode for mode in hostile.MODES if f'"{mode}"' not in text] == []


def test_the_command_line(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        hostile.main(["--mode", "unknown"])
    assert "invalid choice" in capsys.readouterr().err
