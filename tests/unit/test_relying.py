"""Attestation services as cczoo-verify uses them: tokens, keys, and services that lie."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import gzip
import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cczoo_verifier import protocol, tokens
from cczoo_verifier.__main__ import main
from cczoo_verifier.appraisal import Rejected, Trust, verify
from cczoo_verifier.audit import names_simulator
from cczoo_verifier.chains import key_of_chain
from cczoo_verifier.evidence_file import Record
from cczoo_verifier.fetching import get, is_private_enough
from cczoo_verifier.jws import Keys, parse_token, read_keys, verify_token
from cczoo_verifier.policy import Policy
from cczoo_verifier.problems import Unreachable
from cczoo_verifier.service import Settings, create_app
from cczoo_verifier.services.relying import PROVIDERS, Opinion, Service
from cczoo_verifier.signing import Signer
from cczoo_verifier.trust import TrustSource, from_files
from cczoo_verifier.verification import Verifier
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from doubles import alibaba, hostile, jose
from doubles.chat import NONCE, Chat
from doubles.chat import make_evidence as make
from doubles.serving import serving
from quote_generator.errors import BadInput
from quote_generator.evidence import decode_base64url, report_data
from quote_generator.quote import Quote, parse_quote
from quote_generator.sealing.hpke import Kem, PrivateKey
from quote_generator.sealing.keyset import make_key_config, make_keyset
from quote_generator.service_address import base_address
from quote_generator.simulator import Simulator

VECTORS = json.loads(
    (Path(__file__).resolve().parents[1] / "vectors" / "tokens.json").read_text("utf-8")
)
ADDRESSES = json.loads(
    (Path(__file__).resolve().parents[1] / "vectors" / "addresses.json").read_text("utf-8")
)
LOGS: dict[str, Any] = {"cc_eventlog": None, "aa_eventlog": None}


@pytest.fixture(scope="module")
def trust(td: Simulator) -> TrustSource:
    return from_files(str(td.directory / "root.pem"), td.directory / "collateral.json")


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer.ephemeral()


@pytest.fixture(scope="module")
def trustee(trust: TrustSource, signer: Signer) -> Iterator[str]:
    with serving(lambda _: create_app(Settings(trust=trust, signer=signer))) as address:
        yield address


@pytest.fixture(scope="module")
def chat(td: Simulator) -> Chat:
    return Chat(td)


@pytest.fixture(scope="module")
def url(chat: Chat) -> Iterator[str]:
    with serving(chat.app) as address:
        yield address


@pytest.fixture(scope="module")
def quote(td: Simulator) -> Quote:
    return parse_quote(td.quote(report_data(b"signed"), version=5))


def service(name: str, address: str, keys: Keys | None = None, timeout: float = 5.0) -> Service:
    return Service(PROVIDERS[name], address, keys, timeout)


def ask(asked: Service, quote: Quote, **options: Any) -> Opinion:
    return asked.opinion(quote, LOGS, now=time.time, **options)


def failures(opinion: Opinion) -> list[tuple[str, str]]:
    return [(check.id, check.code) for check in opinion.checks if check.outcome == "fail"]


# --- good services -------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [protocol.FLAT, protocol.LISTED])
def test_trustee_takes_either_body(
    trust: TrustSource, signer: Signer, quote: Quote, form: str
) -> None:
    """The one that fits is asked for first from then on."""
    seen: list[str] = []
    settings = Settings(trust=trust, signer=signer, forms=(form,), accept_hashed_raw=False)
    with serving(lambda _: hostile.Witness(create_app(settings), seen=seen)) as address:
        asked = service("trustee", address)
        for _ in range(2):
            opinion = ask(asked, quote)
            assert failures(opinion) == []
            assert {check.outcome for check in opinion.checks} == {"pass"}
    posts = seen.count("POST /attestation")
    assert posts == (3 if form == protocol.FLAT else 2)
    assert opinion.tcb.status == "UpToDate"
    assert opinion.tcb.advisory_ids == ()
    assert opinion.expires > time.time()


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("name", "forms"), [("alibaba", 1), ("trustee", 2)])
def test_a_service_gets_the_quotes_report_data(
    td: Simulator, signer: Signer, name: str, forms: int, version: int
) -> None:
    """And nothing of what it binds, in each form of body that the service may take."""
    config = make_key_config(7, PrivateKey.generate(Kem.X25519))
    keyset = make_keyset([config], time.time() + 3600) if version == 2 else None
    document = make(td, keyset=keyset)
    bound = decode_base64url(document["runtime_data"], "runtime_data")
    assert json.loads(bound)["v"] == version
    quote = parse_quote(bytes.fromhex(document["quote"]))
    keys = read_keys(json.dumps({"keys": [signer.jwk]}), pinned=True)
    bodies: list[Any] = []
    app = FastAPI()

    @app.post(PROVIDERS[name].path)
    async def misunderstand(request: Request) -> Response:
        bodies.append(await request.json())
        return PlainTextResponse("missing field `tee`", status_code=400)

    with serving(lambda _: app) as address, pytest.raises(Unreachable):
        ask(service(name, address, keys), quote)
    sent = [one.get("verification_requests", [one])[0]["runtime_data"] for one in bodies]
    assert len(sent) == forms
    for runtime in sent:
        assert list(runtime) == ["raw"]
        raw = decode_base64url(runtime["raw"], "raw")
        assert (len(raw), raw) == (64, quote.body.report_data)
        assert raw == report_data(bound)


def test_a_server_is_verified_by_trustee(url: str, trustee: str, capsys: Any) -> None:
    assert main([url, "--provider", "trustee", "--service", trustee, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    outcomes = {check["id"]: check["outcome"] for check in report["checks"]}
    assert outcomes == {
        "evidence-format": "pass",
        "nonce-binding": "pass",
        "key-binding": "pass",
        "token-signature": "pass",
        "token-claims": "pass",
        "quote-signature": "skipped",
        "collateral": "pass",
        "tcb-status": "pass",
        "td-attributes": "pass",
        "event-log": "skipped",
        "workload": "skipped",
        "reference-values": "skipped",
        "appraisal": "pass",
        "not-simulated": "pass",
    }
    assert (report["provider"], report["service"]) == ("trustee", trustee)
    assert report["tcb_status"] == "UpToDate"


def test_a_server_is_verified_by_alibaba(url: str, trust: TrustSource, capsys: Any) -> None:
    double = alibaba.Service(trust)
    with serving(lambda address: alibaba.create_app(double, address)) as address:
        assert main([url, "--provider", "alibaba", "--service", f"{address}/"]) == 0
    out = capsys.readouterr().out
    assert "pass     token-claims" in out
    assert "skipped  tcb-status        the service's policy sees to it" in out


def test_a_simulator_stays_one(simulator: Simulator, signer: Signer, capsys: Any) -> None:
    settings = Settings(
        trust=lambda: Trust(simulator.root_der, simulator.collateral()), signer=signer
    )
    with (
        serving(lambda _: create_app(settings)) as address,
        serving(Chat(simulator).app) as simulated,
    ):
        assert main([simulated, "--provider", "trustee", "--service", address]) == 3
    assert capsys.readouterr().out.startswith("SIMULATED TD")


def test_what_nobody_vouches_for_is_not_asked_about(chat: Chat, url: str, capsys: Any) -> None:
    forger = hostile.Forger("good", hostile.TRUSTEE, "")
    chat.mode = "replay"
    try:
        with serving(lambda _: hostile.create_app(forger, [])) as address:
            assert main([url, "--provider", "trustee", "--service", address]) == 1
    finally:
        chat.mode = "good"
    assert forger.seen == []
    assert "did not run" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_a_chain_that_cannot_be_read_names_no_simulator(simulator: Simulator) -> None:
    """And is no reason to give up: whoever vouches for the quote has to read it too."""
    quote = simulator.quote(bytes(64))
    assert names_simulator(parse_quote(quote))
    pem = parse_quote(quote).signature.pck_chain_pem.encode()
    for at in range(0, pem.index(b"-----END"), 7):
        spoilt = pem[:at] + bytes([pem[at] ^ 1]) + pem[at + 1 :]
        assert names_simulator(parse_quote(quote.replace(pem, spoilt))) in (True, False)


# --- services that misbehave ---------------------------------------------------------------------


@pytest.fixture(scope="module", params=[hostile.TRUSTEE, hostile.ALIBABA])
def forger(request: pytest.FixtureRequest) -> Iterator[hostile.Forger]:
    """One server for all modes; its issuer is its address."""
    made: list[hostile.Forger] = []

    def app(address: str) -> FastAPI:
        made.append(hostile.Forger("good", request.param, address))
        return hostile.create_app(made[0], [])

    with serving(app):
        yield made[0]


_FORGED = ("token-signature", "token-forged")
_MALFORMED = ("token-signature", "token-malformed")
_REJECTED = ("token-signature", "service-rejected")
_CLAIM = ("token-claims", "token-claim")
_TIME = ("token-claims", "token-time")

EXPECTED: dict[str, Any] = {
    "good": None,
    "hang": "service-unreachable",
    "trickle": "service-unreachable",
    "endless": "service-unreachable",
    "redirect": "service-address",
    "keys-hang": "keys-unreachable",
    "reject": _REJECTED,
    "reject-400": _REJECTED,
    "reject-html": "service-unreachable",
    "page": "service-address",
    "expired": _TIME,
    "not-yet-valid": _TIME,
    "no-expiry": _TIME,
    "contraindicated": ("appraisal", "appraisal"),
    "no-verdict": ("appraisal", "appraisal"),
    **dict.fromkeys(hostile.KEY_ANSWERS, "keys-unreachable"),
    "keys-missing": "keys-needed",
    **dict.fromkeys(hostile.QUOTE_LIES, _CLAIM),
    **dict.fromkeys(("wrong-tee", "html"), _CLAIM),
    "garbage": "service-broken",
    "empty": _MALFORMED,
    **dict.fromkeys(hostile.TOKEN_LIES, _FORGED),
    **dict.fromkeys(
        ("alg-none", "hs256", "critical-header", "repeated-claim", "nested"), _MALFORMED
    ),
}
BY_PROTOCOL: dict[str, dict[str, Any]] = {
    hostile.TRUSTEE: {
        **dict.fromkeys(hostile.DISCOVERY_ANSWERS),  # nothing is discovered
        "wrong-issuer": _CLAIM,
        "html-verdict": ("appraisal", "appraisal"),
    },
    hostile.ALIBABA: {
        **dict.fromkeys(hostile.DISCOVERY_ANSWERS, "keys-unreachable"),
        "discovery-missing": "keys-needed",
        "wrong-issuer": _CLAIM,
        "html-verdict": _CLAIM,
    },
}


@pytest.mark.parametrize("mode", hostile.MODES)
def test_a_lying_service_is_not_believed(forger: hostile.Forger, quote: Quote, mode: str) -> None:
    forger.mode = mode
    endless = mode in ("hang", "trickle", "keys-hang")
    # What comes before that must have its time also on a busy machine: no key is asked for.
    keys = (
        read_keys(json.dumps(forger.key_set), pinned=True) if mode in ("hang", "trickle") else None
    )
    asked = service(forger.form, forger.issuer, keys, timeout=0.15 if endless else 10.0)
    expected = {**EXPECTED, **BY_PROTOCOL[forger.form]}[mode]
    if isinstance(expected, str):
        with pytest.raises(Unreachable) as caught:
            ask(asked, quote)
        assert caught.value.code == expected
        return
    opinion = ask(asked, quote)
    assert failures(opinion)[:1] == ([expected] if expected else [])
    if mode not in hostile.ANSWERS:
        assert opinion.token


def test_keys_from_elsewhere_are_not_fetched(forger: hostile.Forger, quote: Quote) -> None:
    for mode in ("key-by-address", "embedded-key", "embedded-chain"):
        forger.mode = mode
        forger.seen.clear()
        assert failures(ask(service(forger.form, forger.issuer), quote)) == [_FORGED]
        assert "GET /other-keys.json" not in forger.seen


def test_pinned_keys_are_the_only_ones(forger: hostile.Forger, quote: Quote) -> None:
    """Nothing is fetched then, and another key of the service's is no key."""
    forger.mode = "good"
    mine = json.dumps(forger.key_set)
    bare = {name: value for name, value in forger.key_set["keys"][0].items() if name != "kid"}
    other = json.dumps(jose.jwk(forger.other_key, forger.alg, forger.kid))
    for text, expected in ((mine, []), (json.dumps(bare), []), (other, [_FORGED])):
        forger.seen.clear()
        keys = read_keys(text, pinned=True)
        assert failures(ask(service(forger.form, forger.issuer, keys), quote)) == expected
        assert [line for line in forger.seen if line.startswith("GET")] == []


def test_a_name_may_be_missing_on_one_side_of_pinned_keys_only(forger: hostile.Forger) -> None:
    good = jose.compact({"alg": forger.alg}, {}, jose.signer(forger.key, forger.alg))
    token = parse_token(good)
    text = json.dumps(forger.key_set)
    verify_token(token, read_keys(text, pinned=True), [forger.alg], 0)
    with pytest.raises(Rejected):
        verify_token(token, read_keys(text, pinned=False), [forger.alg], 0)


def test_what_stands_before_a_service_is_not_its_word(quote: Quote) -> None:
    app = FastAPI()

    @app.post("/{status}/attestation")
    async def attestation(status: int) -> Response:
        return PlainTextResponse("no", status)

    with serving(lambda _: app) as address:
        for status in (301, 302, 307, 404, 401, 503):
            asked = service("trustee", f"{address}/{status}", pin(jose.make_key("ES256")))
            with pytest.raises(Unreachable, match=f"HTTP {status}") as caught:
                ask(asked, quote)
            elsewhere = status in (301, 302, 307, 404)
            expected = "service-address" if elsewhere else "service-unreachable"
            assert caught.value.code == expected


@pytest.mark.parametrize(
    "case", ADDRESSES["read"], ids=lambda case: f"{case['provider']} {case['text'].strip()}"
)
def test_an_address_is_read_as_the_page_reads_it(case: Any) -> None:
    provider = PROVIDERS[case["provider"]]
    assert base_address(case["text"], provider.path) == case["address"]
    assert is_private_enough(case["address"]) == case["private"]


@pytest.mark.parametrize("text", ADDRESSES["refused"], ids=lambda text: repr(text)[:40])
def test_other_addresses_are_refused(text: str, capsys: Any) -> None:
    with pytest.raises(BadInput):
        base_address(text)
    command = ["https://chat.example", "--json"]
    for options in (["--provider", "trustee", f"--service={text}"], [f"--pccs={text}"]):
        assert main([*command, *options]) == 2
        assert json.loads(capsys.readouterr().out)["error"]["code"] == "bad-address"


@pytest.mark.parametrize("below", ["", "/", "/attestation", "/attestation/", "//attestation"])
def test_a_service_is_found_with_its_path_and_without(
    url: str, trustee: str, capsys: Any, below: str
) -> None:
    command = [url, "--provider", "trustee", "--service", trustee + below, "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["service"] == trustee


def test_a_service_is_found_behind_a_proxys_path(url: str, trust: TrustSource) -> None:
    outer = FastAPI()
    outer.mount("/kbs/as", create_app(Settings(trust=trust, signer=Signer.ephemeral())))
    with serving(lambda _: outer) as address:
        for below in ("/kbs/as", "/kbs/as/attestation"):
            command = [url, "--provider", "trustee", "--service", address + below]
            assert main(command) == 0
        assert main([url, "--provider", "trustee", "--service", f"{address}/kbs"]) == 4


def test_a_service_that_is_not_there(url: str, capsys: Any) -> None:
    with serving(lambda _: FastAPI()) as gone:
        pass
    assert main([url, "--provider", "trustee", "--service", gone]) == 4
    assert "no connection [keys-unreachable]" in capsys.readouterr().err


# --- claims --------------------------------------------------------------------------------------


def answering(make_token: Callable[[], str], keys: Any) -> FastAPI:
    """A Trustee with one answer."""
    app = FastAPI()

    @app.post("/attestation")
    async def attestation(_: Request) -> Response:
        return PlainTextResponse(make_token() + "\n")

    @app.get("/.well-known/jwks.json")
    async def jwks() -> Response:
        return JSONResponse(keys)

    return app


@pytest.fixture(scope="module")
def key() -> jose.PrivateKey:
    return jose.make_key("ES256")


def simple(td: Simulator, quote: Quote, **changes: Any) -> dict[str, Any]:
    verdict = verify(quote.raw, Trust(td.root_der, td.collateral()), time.time())
    claims = tokens.simple_claims(verdict, issuer="x", now=time.time(), ttl=60, token_id="a")
    del claims["iss"], claims["aud"]
    return {**claims, **changes}


def opinion_on(claims: dict[str, Any], key: Any, quote: Quote) -> Opinion:
    """What is made of these claims, well signed."""
    return ask(service("trustee", "", pin(key)), quote, token=signed(claims, key))


def signed(claims: dict[str, Any], key: Any) -> str:
    return jose.compact({"alg": "ES256", "kid": "k"}, claims, jose.signer(key, "ES256"))


def pin(key: Any) -> Keys:
    return read_keys(json.dumps(jose.jwk(key, "ES256", "k")), pinned=True)


def test_simple_tokens_of_trustee(td: Simulator, quote: Quote) -> None:
    claims, rsa = simple(td, quote), jose.make_key("RS384")

    def token() -> str:
        return jose.compact({"alg": "RS384", "kid": "k"}, claims, jose.signer(rsa, "RS384"))

    keys = {"keys": [jose.jwk(rsa, "RS384", "k")]}
    with serving(lambda _: answering(token, keys)) as address:
        assert failures(ask(service("trustee", address), quote)) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"jti": None}, []),
        ({"jti": "<b>"}, [_CLAIM]),
        ({"jti": ["a"]}, [_CLAIM]),
        ({"aud": "https://chat.example"}, [_CLAIM]),
        ({"tee": "snp"}, [_CLAIM]),
        ({"tee": None}, [_CLAIM]),
        ({"exp": 1}, [_TIME]),
        ({"exp": "9999999999"}, [_TIME]),
        ({"exp": True}, [_TIME]),
        ({"exp": None}, [_TIME]),
        ({"exp": 10**400}, [_TIME]),
        ({"iat": 9e9}, [_TIME]),
        ({"iat": None}, [_TIME]),
        ({"nbf": 9e9}, [_TIME]),
        ({"nbf": None}, [_TIME]),
        ({"tcb-status": None}, [_CLAIM]),
        ({"tcb-status": "{}"}, [_CLAIM]),
        ({"tcb-status": '{"a":1,"a":1}'}, [_CLAIM]),
        ({"tcb-status": "["}, [_CLAIM]),
        ({"evaluation-reports": []}, [("appraisal", "appraisal")]),
        ({"evaluation-reports": None}, [("appraisal", "appraisal")]),
        ({"evaluation-reports": [1]}, [("appraisal", "appraisal")]),
        ({"evaluation-reports": [{"policy-id": 1}]}, [("appraisal", "appraisal")]),
        (
            {"evaluation-reports": [{"policy-id": "a", "evaluation-result": {"allow": False}}]},
            [("appraisal", "appraisal")],
        ),
    ],
)
def test_claims_must_be_in_order(
    td: Simulator, quote: Quote, key: Any, changes: dict[str, Any], expected: Any
) -> None:
    assert failures(opinion_on(simple(td, quote, **changes), key, quote)) == expected


def test_clocks_may_differ_by_a_minute(td: Simulator, quote: Quote, key: Any) -> None:
    now = time.time()
    for late, expected in ((55, []), (65, [_TIME])):
        assert failures(opinion_on(simple(td, quote, exp=now - late), key, quote)) == expected
        assert failures(opinion_on(simple(td, quote, iat=now + late), key, quote)) == expected


def test_every_measurement_counts(td: Simulator, quote: Quote, key: Any) -> None:
    claims = simple(td, quote)
    whole = json.loads(claims["tcb-status"])

    def outcome(status: dict[str, Any]) -> Any:
        told = {**claims, "tcb-status": json.dumps(status)}
        return failures(opinion_on(told, key, quote))

    names = [name for name in whole if name.startswith("tdx.quote.body.")]
    assert len(names) == len(quote.body.to_dict()) >= 17
    for name in names:
        for value in ("00" * (len(whole[name]) // 2 - 1) + "ff", 0, None):
            assert outcome({**whole, name: value}) == [_CLAIM], name
        left = {other: value for other, value in whole.items() if other != name}
        expected = [] if name.endswith(("tee_tcb_svn2", "mr_servicetd")) else [_CLAIM]
        assert outcome(left) == expected, name


RELAUNCH = frozenset({"TDRelaunchAdvised"})


@pytest.mark.parametrize(
    ("policy", "told", "outcome"),
    [
        ({}, {}, "skipped"),
        ({}, {"tcb_status": "OutOfDate"}, "fail"),
        ({}, {"tcb_status": None}, "fail"),
        ({}, {"tcb_status": "OK"}, "pass"),
        ({}, {"tcb_status": "SoftwareHardeningNeeded"}, "warn"),
        ({"passing": frozenset({"OutOfDate"})}, {"tcb_status": "OutOfDate"}, "pass"),
        ({"passing": frozenset({"OutOfDate"})}, {}, "fail"),
        ({}, {"tcb_status": "TDRelaunchAdvised"}, "fail"),
        ({"warning": RELAUNCH}, {"tcb_status": "TDRelaunchAdvised"}, "warn"),
        ({"warning": RELAUNCH}, {"tcb_status": "TdRelaunchAdvised"}, "warn"),
        ({"warning": RELAUNCH}, {"tcb_status": "TDRelaunchAdvisedConfigurationNeeded"}, "fail"),
        ({"min_evaluation": 17}, {"tcb_status": "UpToDate"}, "fail"),
        ({"min_evaluation": 17}, {"tcb_status": "UpToDate", "tcb_eval_num": "17"}, "fail"),
        ({"min_evaluation": 17}, {"tcb_status": "UpToDate", "tcb_eval_num": True}, "fail"),
        ({"min_evaluation": 17}, {"tcb_status": "UpToDate", "tcb_eval_num": 16}, "fail"),
        ({"min_evaluation": 17}, {"tcb_status": "UpToDate", "tcb_eval_num": 17}, "pass"),
        ({"advisories": frozenset()}, {"tcb_status": "UpToDate"}, "fail"),
        ({"advisories": frozenset()}, {"tcb_status": "UpToDate", "advisory_ids": []}, "pass"),
        ({"advisories": frozenset()}, {"tcb_status": "UpToDate", "advisory_ids": ["A"]}, "fail"),
        ({"min_date": 1}, {"tcb_status": "UpToDate"}, "fail"),
        ({"min_date": 1}, {"tcb_status": "UpToDate", "tcb_date": "2024-01-01T00:00:00Z"}, "fail"),
        ({"min_date": 1}, {"tcb_status": "UpToDate", "tcb_date": "2025-03-01T00:00:00Z"}, "pass"),
        ({"min_date": 1}, {"tcb_status": "UpToDate", "tcb_date": "2025-03-01"}, "fail"),
    ],
)
def test_the_policy_judges_what_a_service_tells(
    td: Simulator, key: Any, policy: dict[str, Any], told: dict[str, Any], outcome: str
) -> None:
    """What the policy asks for and the service does not tell is a failure, not a pass."""
    if "min_date" in policy:
        policy = {"min_date": datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)}
    document = make(td)
    quote = parse_quote(bytes.fromhex(document["quote"]))
    claims = simple(td, quote)
    status = {**json.loads(claims["tcb-status"]), **{f"tdx.{k}": v for k, v in told.items()}}
    claims["tcb-status"] = json.dumps(status)
    verifier = Verifier(
        timeout=1,
        provider="trustee",
        service=service("trustee", "", pin(key)),
        policy=dataclasses.replace(Policy(), **policy),
    )
    report = verifier.verify(Record(document, provider="trustee", token=signed(claims, key)), NONCE)
    assert {check.id: check.outcome for check in report.checks}["tcb-status"] == outcome


@pytest.mark.parametrize(("told", "shown"), [(18, {"lowest": 18}), ("18", None), (None, None)])
def test_the_edition_that_a_service_tells_is_shown(
    td: Simulator, key: Any, told: object, shown: object
) -> None:
    document = make(td)
    claims = simple(td, parse_quote(bytes.fromhex(document["quote"])))
    status = {"tdx.tcb_status": "UpToDate", "tdx.tcb_eval_num": told}
    claims["tcb-status"] = json.dumps({**json.loads(claims["tcb-status"]), **status})
    trusted = service("trustee", "", pin(key))
    record = Record(document, provider="trustee", token=signed(claims, key))
    report = Verifier(timeout=1, provider="trustee", service=trusted).verify(record, NONCE)
    assert report.to_dict()["tcb_evaluation"] == shown


def test_a_relaunch_is_told_in_words(td: Simulator, key: Any) -> None:
    document = make(td)
    claims = simple(td, parse_quote(bytes.fromhex(document["quote"])))
    status = {**json.loads(claims["tcb-status"]), "tdx.tcb_status": "TDRelaunchAdvised"}
    claims["tcb-status"] = json.dumps(status)
    trusted = service("trustee", "", pin(key))
    record = Record(document, provider="trustee", token=signed(claims, key))
    report = Verifier(timeout=1, provider="trustee", service=trusted).verify(record, NONCE)
    (told,) = (check for check in report.checks if check.id == "tcb-status")
    assert told.code == "tcb-relaunch"
    assert "started under old firmware; the host is updated: restart the TD" in told.detail


def ear(**submods: Any) -> Any:
    return PROVIDERS["trustee"].claims({"submods": submods})


def test_ear_verdicts() -> None:
    def verdict(*statuses: Any) -> str:
        parts = {f"cpu{n}": {"ear.status": status} for n, status in enumerate(statuses)}
        return str(ear(**parts).appraise().outcome)

    assert verdict("affirming") == "pass"
    assert verdict("affirming", "warning") == "warn"
    for bad in ("none", "contraindicated", None, 2, "Affirming", ["affirming"], {}):
        assert verdict("affirming", bad) == "fail"
    assert verdict() == "fail"
    for odd in (None, [], "x", {"cpu0": None}, {"cpu0": []}):
        assert PROVIDERS["trustee"].claims({"submods": odd}).appraise().outcome == "fail"


def test_only_one_submodule_may_speak_for_the_td() -> None:
    part = {"ear.veraison.annotated-evidence": {"tdx": {"quote": {"body": {"mr_td": "00"}}}}}
    assert (ear(cpu0=part).tee, ear(cpu0=part).body) == ("tdx", {"mr_td": "00"})
    assert (ear(cpu0=part, cpu1=part).tee, ear(cpu0=part, cpu1=part).body) == (None, {})
    sim = {"ear.veraison.annotated-evidence": {"cczoo": {"simulated": True}}}
    assert ear(cpu0=part, gpu0=sim).simulated


def test_what_is_told_as_nothing_hides_nothing() -> None:
    told = {"tdx": {"tcb_status": "OutOfDate"}, "cczoo": {"tcb_status": None}}
    submodule = {"ear.appraisal-policy-id": "default", "ear.veraison.annotated-evidence": told}
    assert ear(cpu0=submodule).fault == "tcb_status"
    assert math.isinf(Opinion(None, ()).expires)


# --- tokens and keys (the vectors are in test_token_vectors.py) -----------------------------------


def read(token: str, keys: Keys) -> Any:
    parsed = parse_token(token)
    verify_token(parsed, keys, VECTORS["algorithms"], VECTORS["now"])
    return parsed.payload


PUBLISHED = read_keys(json.dumps(VECTORS["keys"]), pinned=False)


def test_every_byte_of_what_is_signed_counts() -> None:
    token = VECTORS["valid"][0]["token"]
    for at in range(token.rindex(".")):
        changed = token[:at] + chr(ord(token[at]) ^ 1) + token[at + 1 :]
        with pytest.raises(Rejected):
            read(changed, PUBLISHED)


def test_a_token_of_any_size_is_soon_refused() -> None:
    for text in ("a" * (1 << 22), "." * (1 << 22), "a.b." + "c" * (1 << 20)):
        with pytest.raises(Rejected, match="bearable size"):
            parse_token(text)
    with pytest.raises(Rejected, match="kid"):
        parse_token(jose.compact({"alg": "ES256", "kid": 1}, {}, lambda _: b""))


CHAINS = VECTORS["chains"]
BY_CHAIN = ["ES256", "RS384"]


def test_a_chain_counts_while_its_certificates_do() -> None:
    case = CHAINS["valid"][0]
    keys, token = read_keys(case["pin"], pinned=True), parse_token(case["token"])
    for moment in (1767225600, 2082758400):  # 2026-01-01 and 2036-01-01
        verify_token(token, keys, BY_CHAIN, moment)
    for moment in (1767225599, 2082758401):
        with pytest.raises(Rejected, match="not valid now"):
            verify_token(token, keys, BY_CHAIN, moment)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_every_bit_of_a_chain_counts() -> None:
    pins = read_keys(CHAINS["root"], pinned=True).authorities
    wanted = key_of_chain(CHAINS["x5c"], pins, CHAINS["now"])
    assert (wanted["x"], wanted["y"]) == (CHAINS["signer"]["x"], CHAINS["signer"]["y"])
    good = [base64.urlsafe_b64decode(text + "==") for text in CHAINS["x5c"]]
    for which, der in enumerate(good):
        for at in range(0, len(der), 3):
            changed = [bytearray(item) for item in good]
            changed[which][at] ^= 1 << at % 8
            texts = [base64.b64encode(item).decode() for item in changed]
            with pytest.raises(ValueError, match=r"\w"):
                key_of_chain(texts, pins, CHAINS["now"])


def test_a_trustee_with_a_certificate(td: Simulator, url: str, tmp_path: Path, capsys: Any) -> None:
    """Its signer's chain is in the token; no key is fetched."""
    key = jwt.PyJWK({**CHAINS["signer"]}, "ES256").key
    jwk = {**jose.jwk(key, "ES256", "x"), "x5c": CHAINS["x5c"]}
    seen: list[Any] = []

    app = FastAPI()

    @app.post("/attestation")
    async def attestation(request: Request) -> Response:
        seen.append("token")
        [asked] = protocol.parse_body(await request.body()).requests
        verdict = verify(asked.raw_quote, Trust(td.root_der, td.collateral()), time.time())
        claims = tokens.ear_claims(
            {"cpu0": (verdict, None)}, now=time.time(), ttl=60, build="x", token_id="x"
        )
        del claims["iss"]
        header = {"alg": "ES256", "typ": "JWT", "jwk": jwk}
        return PlainTextResponse(jose.compact(header, claims, jose.signer(key, "ES256")))

    pin = tmp_path / "ca.pem"
    with serving(lambda _: app) as address:
        command = [url, "--provider", "trustee", "--service", address, "--service-keys", str(pin)]
        pin.write_text(CHAINS["root"])
        assert main(command) == 0
        assert "signed with a certificate of the pinned authority" in capsys.readouterr().out
        pin.write_text(CHAINS["another_root"])
        assert main(command) == 1
        assert "token-forged" in capsys.readouterr().out
    assert seen == ["token"] * 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "null",
        "{}",
        '{"keys":[]}',
        '{"keys":{}}',
        '{"keys":[1]}',
        '{"kty":"EC","d":"x"}',
        '{"kty":"oct","k":"x"}',
        '{"keys":[{"kty":"EC"},{"kty":"oct","k":"x"}]}',
        '{"kty":"EC","kty":"EC"}',
        json.dumps({"keys": [{"kty": "EC"}] * 65}),
        json.dumps({"kty": "EC", "x": "x" * (1 << 16)}),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        CHAINS["root"] + "and more",
        "\ufeff{}",
    ],
)
def test_keys_that_are_none(text: str) -> None:
    with pytest.raises(BadInput, match="service keys"):
        read_keys(text, pinned=True)
    with pytest.raises(BadInput):
        read_keys(b"\xff" + text.encode(), pinned=True)
    with pytest.raises(BadInput):
        read_keys(CHAINS["root"], pinned=False)  # a service does not bring its own authority


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "RSA"},
        {"crv": "P-384"},
        {"alg": "ES384"},
        {"use": "enc"},
        {"key_ops": ["sign"]},
        {"key_ops": "verify"},
        {"x": None},
        {"x": "AA"},
        {"y": "A" * 43},
    ],
)
def test_a_key_must_suit_the_algorithm(change: dict[str, Any]) -> None:
    [key, *_] = VECTORS["keys"]["keys"]
    keys = read_keys(json.dumps({**key, **change}), pinned=True)
    with pytest.raises(Rejected, match="not the service's"):
        read(VECTORS["valid"][0]["token"], keys)


# --- kept tokens ---------------------------------------------------------------------------------


def test_a_kept_token_is_checked_again(
    url: str, trustee: str, signer: Signer, tmp_path: Path, capsys: Any
) -> None:
    saved, pin = tmp_path / "saved.json", tmp_path / "keys.json"
    assert main([url, "--provider", "trustee", "--service", trustee, "--save", str(saved)]) == 0
    kept = json.loads(saved.read_text())
    assert kept["provider"] == "trustee"
    assert kept["token"].count(".") == 2

    command = ["--evidence", str(saved), "--provider", "trustee", "--service-keys", str(pin)]
    pin.write_text(json.dumps(signer.jwk))
    assert main(command) == 0  # no service is asked: the pinned key is enough
    assert main([*command, "--at", str(int(time.time()) + 400)]) == 1
    assert "token-time" in capsys.readouterr().out
    assert main([*command, "--at", kept["fetched"]]) == 0
    pin.write_text(json.dumps(Signer.ephemeral().jwk))
    assert main(command) == 1
    assert "[key-changed]" in capsys.readouterr().out

    pin.write_text(json.dumps(signer.jwk))
    kept["token"] = None
    saved.write_text(json.dumps(kept))
    assert main(command) == 2
    assert "holds no token" in capsys.readouterr().err
    assert main([*command, "--service", trustee]) == 0  # then it is asked
    assert json.loads(saved.read_text())["token"] is None


def test_a_token_of_other_evidence_is_not_taken(
    url: str, trustee: str, tmp_path: Path, capsys: Any
) -> None:
    command = ["--provider", "trustee", "--service", trustee]
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    for path in (first, second):
        assert main([url, *command, "--save", str(path)]) == 0
    mixed = {**json.loads(first.read_text()), "token": json.loads(second.read_text())["token"]}
    first.write_text(json.dumps(mixed))
    assert main(["--evidence", str(first), *command]) == 1
    assert "report_data: not as in the quote [token-claim]" in capsys.readouterr().out


def test_the_token_of_one_service_is_none_of_another(
    url: str, trustee: str, trust: TrustSource, tmp_path: Path
) -> None:
    saved = tmp_path / "saved.json"
    assert main([url, "--provider", "trustee", "--service", trustee, "--save", str(saved)]) == 0
    double = alibaba.Service(trust)
    with serving(lambda address: alibaba.create_app(double, address)) as address:
        command = ["--evidence", str(saved), "--provider", "alibaba", "--service", address]
        assert main([*command, "--save", str(saved)]) == 0
    assert json.loads(saved.read_text())["provider"] == "alibaba"


# --- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["--provider", "trustee"],
        ["--send-logs"],
        ["--service", "https://as.example"],
        ["--service-keys", "x"],
        ["--provider", "alibaba", "--root", "x"],
        ["--provider", "alibaba", "--simulator", "x"],
        ["--provider", "alibaba", "--collateral", "x"],
        ["--provider", "alibaba", "--pccs", "https://x.example"],
    ],
)
def test_options_that_do_not_go_together(arguments: list[str], capsys: Any) -> None:
    assert main(["https://chat.example", *arguments, "--json"]) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["code"] == "usage"
    assert captured.err.startswith("cczoo-verify: ")


def test_service_keys_that_cannot_be_used(tmp_path: Path, capsys: Any) -> None:
    pin = tmp_path / "keys"
    command = ["https://chat.example", "--provider", "alibaba", "--service-keys", str(pin)]
    assert main(command) == 2
    assert "[file-unreadable]" in capsys.readouterr().err
    pin.write_text("{}")
    assert main(command) == 2
    assert "[keys-malformed]" in capsys.readouterr().err
    pin.write_text(CHAINS["root"])
    assert main(command) == 2
    assert "only trustee signs under certificates" in capsys.readouterr().err


# --- HTTP ----------------------------------------------------------------------------------------


def test_nothing_of_ours_waits_for_a_server_that_trickles(td: Simulator) -> None:
    """A thread and its sockets end with the time-out, not with the server's last byte."""
    before, files = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    with serving(Chat(td, mode="trickle").app) as address:
        for _ in range(5):
            with pytest.raises(Unreachable, match=r"within 0\.1 seconds"):
                get(f"{address}/api/v1/tee/quote", "x", timeout=0.1, params={"nonce": "AA"})
        end = time.monotonic() + 10
        while threading.active_count() > before + 1 and time.monotonic() < end:
            time.sleep(0.01)
        assert threading.active_count() <= before + 1  # the server's
    assert len(list(Path("/proc/self/fd").iterdir())) <= files + 2


def test_what_is_compressed_unasked_is_not_unpacked(quote: Quote) -> None:
    seen: list[str] = []
    app = FastAPI()

    @app.post("/attestation")
    async def attestation(request: Request) -> Response:
        seen.append(request.headers["accept-encoding"])
        return Response(gzip.compress(bytes(8 << 20)), headers={"Content-Encoding": "gzip"})

    with (
        serving(lambda _: app) as address,
        pytest.raises(Unreachable, match="compressed form that was not asked for"),
    ):
        ask(service("trustee", address, pin(jose.make_key("ES256"))), quote)
    assert seen == ["identity"]
