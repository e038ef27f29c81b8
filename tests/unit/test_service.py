"""`cczoo-verify serve`: the Trustee protocol, spoken over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
import pytest
from cczoo_verifier import protocol, service, tokens
from cczoo_verifier.__main__ import main
from cczoo_verifier.appraisal import Rejected, Trust, verify
from cczoo_verifier.checks import PASS
from cczoo_verifier.jws import Token
from cczoo_verifier.server import listen
from cczoo_verifier.service import Settings, create_app
from cczoo_verifier.services.claims import check_claims, check_collateral, ear_claims, tcb_of
from cczoo_verifier.services.members import moment
from cczoo_verifier.signing import Signer
from cczoo_verifier.trust import TrustError, from_files, from_simulator
from cryptography import x509
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from doubles.evidence import bound_quote, encode, flat_body, listed_body
from doubles.serving import serving
from quote_generator.eventlog import parse_aael
from quote_generator.evidence import encode_base64url, report_data
from quote_generator.quote import parse_quote
from quote_generator.simulator import Simulator

ORIGIN = "https://chat.example"

ROOT_NAME = "Intel SGX Root CA, Confidential Computing Zoo SIMULATION"


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer.ephemeral()


@pytest.fixture(scope="module")
def app_settings(simulator: Simulator, signer: Signer) -> Settings:
    return Settings(
        trust=from_simulator(simulator.directory), signer=signer, cors_origins=(ORIGIN,)
    )


@pytest.fixture(scope="module")
def url(app_settings: Settings) -> Iterator[str]:
    with serving(lambda _: create_app(app_settings)) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as opened:
        yield opened


def claims_of(client: httpx.Client, body: Any) -> dict[str, Any]:
    """The token's claims, verified as a relying party would: by `kid` in the key set."""
    answer = client.post("/attestation", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["cache-control"] == "no-store"
    keys = jwt.PyJWKSet.from_dict(client.get("/.well-known/jwks.json").json())
    key = keys[jwt.get_unverified_header(answer.text)["kid"]]
    claims: dict[str, Any] = jwt.decode(answer.text, key.key, algorithms=["ES256"])
    return claims


def check_platform(told: dict[str, Any], td: Simulator) -> None:
    """What is told of platform and collateral, by the names and in the forms of Trustee v0.21."""
    collateral = td.collateral()
    for name, field in (("pck_crl_num", "pck_crl"), ("root_ca_crl_num", "root_ca_crl")):
        crl = x509.load_der_x509_crl(bytes.fromhex(collateral[field]))
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        assert told[name] == number
    dated = moment(told["tcb_date"])
    assert dated is not None
    assert 0 <= time.time() - dated.timestamp() < 40 * 24 * 3600
    end = verify(bound_quote(td)[1], Trust(td.root_der, collateral), time.time()).expires
    ends = moment(told["earliest_expiration_date"])
    assert ends is not None
    assert ends.timestamp() == int(end)
    assert told["collateral_expiration_status"] == "0"
    assert (told["tcb_status"], told["advisory_ids"], told["tcb_eval_num"]) == ("UpToDate", [], 17)


@pytest.mark.parametrize(("make", "name"), [(flat_body, "cpu"), (listed_body, "cpu0")])
@pytest.mark.parametrize("version", [4, 5])
def test_a_good_quote_gets_a_token(
    client: httpx.Client, simulator: Simulator, make: Any, name: str, version: int
) -> None:
    claims = claims_of(client, make(simulator, version=version))
    _, quote = bound_quote(simulator, version=version)
    assert claims["exp"] - claims["iat"] == 300
    assert abs(claims["iat"] - time.time()) < 60
    assert uuid.UUID(claims["jti"])
    assert claims["eat_profile"] == "tag:github.com,2024:confidential-containers/Trustee"
    assert set(claims["ear.verifier-id"]) == {"build", "developer"}
    assert list(claims["submods"]) == [name]
    submod = claims["submods"][name]
    assert submod["ear.status"] == "affirming"
    assert submod["ear.trustworthiness-vector"] == {"hardware": 2}
    evidence = submod["ear.veraison.annotated-evidence"]
    assert evidence["cczoo"] == {
        "simulated": True,
        "root": "Intel SGX Root CA, Confidential Computing Zoo SIMULATION",
    }
    check_platform(evidence["tdx"], simulator)
    body = evidence["tdx"]["quote"]["body"]
    parsed = parse_quote(quote).body.to_dict()
    assert body.pop("tcb_svn") == parsed.pop("tee_tcb_svn")
    assert body == parsed
    assert evidence["tdx"]["quote"]["header"]["version"] == f"0{version}00"
    assert evidence["tdx"]["quote"].get("type") == ("0300" if version == 5 else None)
    assert evidence["tdx"]["td_attributes"] == {
        "debug": False,
        "septve_disable": True,
        "protection_keys": False,
        "key_locker": False,
        "perfmon": False,
    }
    assert evidence["report_data"] == parsed["report_data"]
    assert evidence["init_data"] == "c1" * 48


def test_event_logs_must_lead_to_the_registers(client: httpx.Client, simulator: Simulator) -> None:
    log = "INIT sha384/" + "00" * 48 + "\nimage-rs CreateContainer example\n"
    rtmr_3 = parse_aael(log).replay()
    body = flat_body(simulator)
    _, quote = bound_quote(simulator, measurements={"rtmr_3": rtmr_3})
    assert claims_of(client, body | {"evidence": encode(quote, aa_eventlog=log)})
    for wrong, code in (
        (log + "image-rs CreateContainer other\n", "event-log/log-differs"),
        (log.replace("INIT", "BEGIN"), "event-log/log-malformed"),
    ):
        refusal = refused(client, body | {"evidence": encode(quote, aa_eventlog=wrong)})
        assert code in refusal
    for ccel in ("AAAA", "A" * 64):
        assert "event-log/" in refused(client, body | {"evidence": encode(quote, ccel)})


def test_several_pieces_of_evidence_in_one_token(
    client: httpx.Client, simulator: Simulator
) -> None:
    body = listed_body(simulator)
    body["verification_requests"] *= 2
    assert list(claims_of(client, body)["submods"]) == ["cpu0", "cpu1"]
    body["verification_requests"][1] = {"tee": "tdx", "evidence": encode(b"")}
    assert client.post("/attestation", json=body).status_code == 500


def test_structured_runtime_data_is_repeated(client: httpx.Client, simulator: Simulator) -> None:
    bound, _ = bound_quote(simulator)
    body = flat_body(simulator) | {"runtime_data": {"structured": json.loads(bound)}}
    evidence = claims_of(client, body)["submods"]["cpu"]["ear.veraison.annotated-evidence"]
    assert evidence["runtime_data_claims"] == json.loads(bound)


@pytest.mark.parametrize(
    ("tcb_status", "ear_status", "hardware"),
    [
        ("SWHardeningNeeded", "warning", 32),
        ("ConfigurationNeeded", "warning", 32),
        ("ConfigurationAndSWHardeningNeeded", "warning", 32),
        ("OutOfDate", "contraindicated", 96),
        ("OutOfDateConfigurationNeeded", "contraindicated", 96),
    ],
)
def test_the_status_follows_the_tcb(
    simulator: Simulator,
    signer: Signer,
    tmp_path: Path,
    tcb_status: str,
    ear_status: str,
    hardware: int,
) -> None:
    collateral = simulator.collateral(tcb_status=tcb_status, advisory_ids=["INTEL-SA-1"])
    (tmp_path / "collateral.json").write_text(json.dumps(collateral))
    trust = from_files(str(simulator.directory / "root.pem"), tmp_path / "collateral.json")
    body = json.dumps(flat_body(simulator)).encode()
    token = service.attest(Settings(trust=trust, signer=signer), body)
    submod = jwt.decode(token, options={"verify_signature": False})["submods"]["cpu"]
    assert submod["ear.status"] == ear_status
    assert submod["ear.trustworthiness-vector"] == {"hardware": hardware}
    told = submod["ear.veraison.annotated-evidence"]["tdx"]
    assert (told["tcb_status"], told["advisory_ids"]) == (tcb_status, ["INTEL-SA-1"])


# --- the names of draft-ietf-rats-ear-04 ---------------------------------------------------------


def token_04(td: Simulator, signer: Signer, body: Any) -> dict[str, Any]:
    settings = Settings(trust=from_simulator(td.directory), signer=signer, ear=tokens.DRAFT_04)
    token = service.attest(settings, json.dumps(body).encode())
    claims: dict[str, Any] = jwt.decode(
        token, jwt.PyJWK(signer.jwk).key, algorithms=["ES256"], options={"require": ["exp"]}
    )
    return claims


@pytest.mark.parametrize("version", [4, 5])
def test_a_token_of_the_draft(simulator: Simulator, signer: Signer, version: int) -> None:
    """Appendix A of draft-ietf-rats-ear-04: these names, nothing empty, and none of the others."""
    body = listed_body(simulator, version=version)
    quote = parse_quote(bound_quote(simulator, version=version)[1])
    claims = token_04(simulator, signer, body)
    assert claims.pop("eat_profile") == "tag:ietf.org,2026:rats/ear#04"
    assert set(claims.pop("ear_verifier_id")) == {"build", "developer"}
    assert list(claims["submods"]) == ["cpu0"]
    submod = claims.pop("submods")["cpu0"]
    assert set(claims) == {"iss", "iat", "nbf", "exp", "jti"}
    assert submod.pop("ear_status") == "affirming"
    assert submod.pop("ear_trustworthiness_vector") == {"hardware": 2}
    assert submod.pop("ear_appraisal_policy_ids") == ["default"]
    assert submod.pop("eat_nonce") == encode_base64url(quote.body.report_data)
    attester, words = submod.pop("ear_attester_claims"), submod.pop("ear_verifier_claims")
    assert submod == {}
    measured = quote.body.to_dict()
    assert attester["tdx"]["quote"]["body"]["mr_td"] == measured["mr_td"]
    assert attester["report_data"] == measured["report_data"]
    # Each says what it knows: the evidence nothing of its own state, the verifier nothing else.
    assert set(attester["tdx"]) == {"quote", "td_attributes"}
    assert set(words) == {"tdx", "cczoo"}
    check_platform(words["tdx"], simulator)
    assert words["cczoo"] == {
        "simulated": True,
        "root": "Intel SGX Root CA, Confidential Computing Zoo SIMULATION",
    }


def test_both_forms_say_the_same(simulator: Simulator, signer: Signer) -> None:
    """Under other names: a client that changes from one to the other learns nothing else."""
    bound, _ = bound_quote(simulator)
    body = flat_body(simulator) | {"runtime_data": {"structured": json.loads(bound)}}
    settings = Settings(trust=from_simulator(simulator.directory), signer=signer)
    token = service.attest(settings, json.dumps(body).encode())
    old = jwt.decode(token, options={"verify_signature": False})["submods"]["cpu"]
    new = token_04(simulator, signer, body)["submods"]["cpu"]
    attester, words = new["ear_attester_claims"], new["ear_verifier_claims"]
    together = {**attester, "tdx": attester["tdx"] | words["tdx"], "cczoo": words["cczoo"]}
    assert old["ear.veraison.annotated-evidence"] == together
    assert attester["runtime_data_claims"] == json.loads(bound)
    assert old["ear.status"] == new["ear_status"]
    assert old["ear.trustworthiness-vector"] == new["ear_trustworthiness_vector"]
    assert [old["ear.appraisal-policy-id"]] == new["ear_appraisal_policy_ids"]


@pytest.mark.parametrize("form", tokens.EAR_FORMS)
def test_our_own_relying_party_reads_it(simulator: Simulator, signer: Signer, form: str) -> None:
    """With what a policy asks for: status, date and evaluation are told in both forms."""
    trust = from_simulator(simulator.directory)
    body = json.dumps(listed_body(simulator)).encode()
    token = service.attest(Settings(trust=trust, signer=signer, ear=form), body)
    quote = parse_quote(bound_quote(simulator)[1])
    parsed = Token(token, {}, jwt.decode(token, options={"verify_signature": False}))
    claims = ear_claims(parsed.payload)
    assert check_claims(parsed, claims, quote, None, time.time()).outcome == PASS
    assert claims.appraise().outcome == PASS
    assert claims.simulated
    told = tcb_of(claims.told)
    assert (told.status, told.advisory_ids, told.evaluation) == ("UpToDate", (), 17)
    assert told.date is not None
    held = check_collateral(claims.told, time.time())
    assert held is not None
    assert held.outcome == PASS
    later = moment(claims.told.values["earliest_expiration_date"])
    assert later is not None
    ended = check_collateral(claims.told, later.timestamp() + 1)
    assert ended is not None
    assert ended.code == "collateral-expired"


def test_a_number_that_not_everybody_can_read_is_not_told(simulator: Simulator) -> None:
    """CRL numbers may have 20 bytes (RFC 5280, section 5.2.3); JSON's end at 2^53 (RFC 7493)."""
    trust = Trust(simulator.root_der, simulator.collateral())
    verdict = verify(bound_quote(simulator)[1], trust, time.time())
    for number, is_told in (((1 << 53) - 1, True), (1 << 53, False), (None, False)):
        grounds = dataclasses.replace(
            verdict.grounds, pck_crl_number=number, root_crl_number=number
        )
        told = tokens.platform_claims(dataclasses.replace(verdict, grounds=grounds))
        assert ("pck_crl_num" in told, "root_ca_crl_num" in told) == (is_told, is_told)


# --- refusals ----------------------------------------------------------------------------------


def refused(client: httpx.Client, body: Any) -> str:
    answer = client.post("/attestation", json=body)
    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "Traceback" not in answer.text
    assert ".py" not in answer.text
    return answer.text


def test_evidence_that_does_not_hold_gets_no_token(
    client: httpx.Client, simulator: Simulator, tmp_path: Path
) -> None:
    _, quote = bound_quote(simulator)
    forged = quote[:200] + bytes([quote[200] ^ 1]) + quote[201:]
    other, signed = Simulator.open(tmp_path / "other"), parse_quote(quote).body.report_data
    body = flat_body(simulator)
    cases = {
        "quote-signature/quote-forged": {"evidence": encode(forged)},
        "evidence-format/quote-malformed: not a TDX quote (1 trailing": {
            "evidence": encode(quote + b"\0")
        },
        "evidence-format/quote-malformed": {"evidence": encode(b"")},
        "quote-signature/chain": {"evidence": encode(other.quote(signed))},
        "nonce-binding/report-data-differs": {"runtime_data": {"raw": encode_base64url(bytes(64))}},
        "evidence-format/evidence-malformed": {"evidence": "%"},
        "evidence-format/tee-unknown": {"tee": "snp"},
        "appraisal/policy-unknown": {"policy_ids": ["strict"]},
    }
    for code, change in cases.items():
        assert code in refused(client, body | change)


def test_what_was_made_for_another_question_costs_nothing_more(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither root nor collateral is read, no signature verified, and no log replayed."""
    asked: list[str] = []

    def trust() -> Trust:
        asked.append("trust")
        return Trust(simulator.root_der, simulator.collateral())

    monkeypatch.setattr(service, "replay_logs", lambda *_: asked.append("logs"))
    body = flat_body(simulator)
    foreign = body | {"runtime_data": {"raw": encode_base64url(bytes(64))}}
    for given, expected in ((foreign, []), (body, ["trust", "logs"])):
        asked.clear()
        (request,) = protocol.parse_body(json.dumps(given).encode()).requests
        with contextlib.suppress(Rejected):
            service.appraise_request(request, trust, time.time())
        assert asked == expected


@pytest.mark.parametrize("text", [b"", b"{", b"null", b"[]", b'{"tee":1}', b"[" * 100_000, b"\xff"])
def test_what_is_no_request_is_a_client_error(client: httpx.Client, text: bytes) -> None:
    answer = client.post("/attestation", content=text)
    assert answer.status_code == 400
    assert answer.text.startswith("Json deserialize error: ")


def test_an_unexpected_error_is_not_shown(
    client: httpx.Client, simulator: Simulator, monkeypatch: Any
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(service, "appraise", fail)
    assert "secret" not in refused(client, flat_body(simulator))


def test_unreadable_collateral_is_not_the_clients_business(
    simulator: Simulator, signer: Signer, tmp_path: Path
) -> None:
    path = tmp_path / "collateral.json"
    path.write_text("{")
    trust = from_files(str(simulator.directory / "root.pem"), path)
    with serving(lambda _: create_app(Settings(trust=trust, signer=signer))) as address:
        body = flat_body(simulator)
        answer = httpx.post(f"{address}/attestation", json=body, trust_env=False)
        assert answer.status_code == 500
        assert "collateral/not-configured" in answer.text
        assert str(tmp_path) not in answer.text
        # It is read anew for each request, so repairing it is enough.
        path.write_text(json.dumps(simulator.collateral()))
        assert httpx.post(f"{address}/attestation", json=body, trust_env=False).status_code == 200


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc", "/openapi.json", "/policy", "/token"])
def test_there_is_nothing_else(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_health(client: httpx.Client) -> None:
    assert client.get("/healthz").text == "ok"


# --- size, time, load --------------------------------------------------------------------------


def test_a_body_that_is_too_large_is_cut_off(client: httpx.Client) -> None:
    answer = client.post("/attestation", content=b" " * (service.MAX_BODY + 1))
    assert answer.status_code == 413


def test_an_endless_body_is_cut_off(url: str) -> None:
    """Chunked, without a length: the service stops reading soon after the limit."""
    parts = urlsplit(url)
    sent = 0
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(
            b"POST /attestation HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        try:
            while sent < 64 << 20:
                connection.sendall(chunk)
                sent += 0x10000
        except OSError:
            pass
    assert sent < 64 << 20


def test_a_body_that_never_comes_times_out(app_settings: Settings, monkeypatch: Any) -> None:
    read_body = service.read_body
    monkeypatch.setattr(service, "read_body", lambda request: read_body(request, timeout=0.1))
    with serving(lambda _: create_app(app_settings)) as address:
        parts = urlsplit(address)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        connection.putrequest("POST", "/attestation")
        connection.putheader("Content-Length", "100")
        connection.endheaders(b"{")
        answer = connection.getresponse()
        assert answer.status == 408
        assert b"did not arrive" in answer.read()
        connection.close()


_GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("sent", "then"),
    [
        (b"", b""),
        (_GET, b""),
        (_GET + b"\r\n", b"GET"),
        (_GET + b"\r\n" + _GET, b""),
        (_GET + b"Content-Length: 9\r\n\r\n", b"1"),
    ],
    ids=["silent", "half a head", "half a second head", "pipelined", "half a body, unread"],
)
def test_a_client_that_does_not_go_on_is_cut_off(
    app_settings: Settings, sent: bytes, then: bytes
) -> None:
    with serving(lambda _: create_app(app_settings), client_timeout=1) as address:
        parts = urlsplit(address)
        with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
            connection.sendall(sent)
            answer = b""
            if then:
                while not answer.endswith(b"ok"):
                    answer += connection.recv(4096) or pytest.fail("closed before it answered")
                connection.sendall(then)
            while part := connection.recv(4096):
                answer += part
    assert answer.count(b"HTTP/1.1 200 OK") == sent.count(b"\r\n\r\n")


def test_a_request_is_not_cut_off_while_it_is_answered() -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(2)
        return PlainTextResponse("done")

    with serving(lambda _: Starlette(routes=[Route("/", slow)]), client_timeout=1) as address:
        assert httpx.get(address, timeout=30, trust_env=False).text == "done"


def test_many_clients_at_once(url: str, simulator: Simulator) -> None:
    """Each gets a token over its own report data, and the bad ones get none."""

    def ask(index: int) -> bool:
        quote = simulator.quote(bytes([index]) * 64, version=4 + index % 2)
        if index % 5 == 0:
            quote = quote[:-1]
        raw = encode_base64url(bytes([index]) * 64)
        body = {
            "tee": "tdx",
            "evidence": encode(quote),
            "policy_ids": [],
            "runtime_data": {"raw": raw},
        }
        answer = httpx.post(f"{url}/attestation", json=body, timeout=60, trust_env=False)
        if index % 5 == 0:
            return answer.status_code == 500
        claims = jwt.decode(answer.text, options={"verify_signature": False})
        evidence = claims["submods"]["cpu"]["ear.veraison.annotated-evidence"]
        return bool(evidence["report_data"] == (bytes([index]) * 64).hex())

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(64)))


# --- cross-origin access -----------------------------------------------------------------------


def preflight(client: httpx.Client, path: str, origin: str) -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    return client.options(path, headers=headers)


def test_configured_origins_may_use_the_service(client: httpx.Client, simulator: Simulator) -> None:
    answer = preflight(client, "/attestation", ORIGIN)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    for answer in (
        client.post("/attestation", json=flat_body(simulator), headers={"Origin": ORIGIN}),
        client.post("/attestation", content=b"{", headers={"Origin": ORIGIN}),
        client.get("/.well-known/jwks.json", headers={"Origin": ORIGIN}),
    ):
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", f"{ORIGIN}.evil.example", "http://chat.example"]
)
def test_other_origins_may_not(client: httpx.Client, simulator: Simulator, origin: str) -> None:
    assert preflight(client, "/attestation", origin).status_code == 400
    answer = client.post("/attestation", json=flat_body(simulator), headers={"Origin": origin})
    assert "access-control-allow-origin" not in answer.headers


def test_other_paths_are_not_shared(client: httpx.Client) -> None:
    answer = client.get("/healthz", headers={"Origin": ORIGIN})
    assert "access-control-allow-origin" not in answer.headers


# --- the command -------------------------------------------------------------------------------


@pytest.fixture
def start() -> Iterator[Any]:
    """Starts `cczoo-verify serve` and gives the process and its first line."""
    running: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
        command = [sys.executable, "-m", "cczoo_verifier", "serve", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout
        return process, json.loads(process.stdout.readline())

    yield run
    for process in running:
        process.kill()
        process.wait(30)


def test_the_command_serves_a_test_pki(start: Any, tmp_path: Path) -> None:
    td = Simulator.open(tmp_path / "td", name="TEST")
    key = tmp_path / "key.pem"
    arguments = [
        "--root",
        str(td.directory / "root.pem"),
        "--collateral",
        str(td.directory / "collateral.json"),
        "--key",
        str(key),
        "--token-ttl",
        "60",
        "--cors-origin",
        ORIGIN,
    ]
    process, line = start(*arguments)
    assert line["event"] == "listening"
    assert line["kid"] == Signer.from_file(key).kid
    with httpx.Client(base_url=line["url"], timeout=30, trust_env=False) as client:
        claims = claims_of(client, listed_body(td, version=5))
    evidence = claims["submods"]["cpu0"]["ear.veraison.annotated-evidence"]
    # A process of its own, in which no root stands in for Intel's.
    assert evidence["cczoo"] == {"simulated": True, "root": ROOT_NAME.replace("SIMULATION", "TEST")}
    assert claims["exp"] - claims["iat"] == 60
    assert claims["ear.verifier-id"]["build"].startswith("cczoo-verify ")
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    _, again = start(*arguments)
    assert again["kid"] == line["kid"]


def test_the_command_serves_the_simulator_in_one_form(start: Any, simulator: Simulator) -> None:
    process, line = start(
        "--simulator", str(simulator.directory), "--protocol", "trustee-0.13", "--verbose"
    )
    with httpx.Client(base_url=line["url"], timeout=30, trust_env=False) as client:
        assert client.post("/attestation", json=listed_body(simulator)).status_code == 400
        claims = claims_of(client, flat_body(simulator))
        assert "ear.status" in claims["submods"]["cpu"]
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


def test_the_command_writes_the_drafts_tokens(start: Any, simulator: Simulator) -> None:
    _, line = start("--simulator", str(simulator.directory), "--ear", "04")
    with httpx.Client(base_url=line["url"], timeout=30, trust_env=False) as client:
        claims = claims_of(client, listed_body(simulator))
    assert claims["ear_verifier_id"]["build"].startswith("cczoo-verify ")
    assert claims["submods"]["cpu0"]["ear_status"] == "affirming"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["serve"],
        ["serve", "--simulator", "x", "--collateral", "y"],
        ["serve", "--simulator", "x", "--root", "y"],
        ["serve", "--simulator", "x", "--port", "65536"],
        ["serve", "--simulator", "x", "--port", "-1"],
        ["serve", "--simulator", "x", "--token-ttl", "0"],
        ["serve", "--simulator", "x", "--cors-origin", "*"],
        ["serve", "--simulator", "x", "--cors-origin", "https://chat.example/"],
        ["serve", "--simulator", "x", "--cors-origin", "chat.example"],
        ["serve", "--simulator", "x", "--protocol", "other"],
        ["serve", "--simulator", "x", "--ear", "05"],
        ["serve", "--sim", "x"],
    ],
)
def test_usage_errors(arguments: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_what_cannot_work_is_said_at_the_start(
    tmp_path: Path, simulator: Simulator, capsys: Any
) -> None:
    def fails(*arguments: str) -> str:
        assert main(["serve", *arguments]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "Traceback" not in captured.err
        return str(captured.err)

    missing = str(tmp_path / "missing")
    collateral = str(simulator.directory / "collateral.json")
    assert "missing cannot be read" in fails("--collateral", missing)
    assert "not a certificate" in fails("--root", collateral, "--collateral", collateral)
    assert "not JSON" in fails(
        "--collateral", str(simulator.directory / "root.pem"), "--root", "intel"
    )
    (tmp_path / "file").write_text("")
    assert "cannot use" in fails("--simulator", str(tmp_path / "file"))
    assert "cannot be used" in fails(
        "--simulator", str(simulator.directory), "--key", str(tmp_path)
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "in use" in fails("--simulator", str(simulator.directory), "--port", port)


def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(TrustError, match="larger than"):
        from_files("/dev/zero", tmp_path / "unused")()
    assert os.path.exists("/dev/zero")


def test_report_data_may_be_anything_without_runtime_data(
    client: httpx.Client, simulator: Simulator
) -> None:
    body = flat_body(simulator)
    del body["runtime_data"]
    body["evidence"] = encode(simulator.quote(report_data(b"anything")))
    claims = claims_of(client, body)
    evidence = claims["submods"]["cpu"]["ear.veraison.annotated-evidence"]
    assert evidence["report_data"] == report_data(b"anything").hex()


def test_answers_on_a_kept_connection_do_not_wait_for_acknowledgements() -> None:
    with (
        listen("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname(), timeout=10),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
