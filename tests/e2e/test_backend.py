"""The backend's routes, asked the way an auditor's script would: quotes, collateral, relay."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cczoo_verifier.sealed import SealedTransport

from doubles import pccs
from e2e.dcap import verify
from e2e.evidence import decode, new_nonce, report_data_of, verify_nonce
from e2e.relay_target import RelayTarget
from e2e.stack import Backend, Installation, assert_stock, wait_until
from emulator.harness import Emulator
from error_document import assert_error
from quote_generator.sealing.keyset import parse_keyset
from vectors import logs

pytestmark = pytest.mark.once("source")

CLIENTS = 50


@pytest.fixture
def fault(kernel: Emulator) -> Iterator[Any]:
    """Make the emulated kernel misbehave until the test ends."""
    yield kernel.set_fault
    kernel.set_fault("none")


# Evidence


def test_evidence_answers_the_clients_nonce(hardware: Backend) -> None:
    nonce = new_nonce()
    answer = hardware.quote(nonce)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    document = answer.json()
    verify_nonce(document, nonce)
    assert document.keys() == {
        *("quote", "quote_parse", "timestamp", "id", "status", "tee", "provider", "simulated"),
        *("runtime_data", "nonce_proof", "keyset", "statement", "statement_sections"),
        *("cc_eventlog", "aa_eventlog", "fresh"),
    }
    assert document["status"] is True
    assert document["fresh"] is True
    assert (document["tee"], document["provider"]) == ("tdx", "tdx_guest")
    assert document["simulated"] is False
    assert uuid.UUID(document["id"]).version == 4
    assert datetime.fromisoformat(document["timestamp"]).utcoffset() is not None
    assert document["quote_parse"]["body"]["report_data"] == report_data_of(document).hex()


def test_without_a_nonce_the_server_draws_one_and_says_so(hardware: Backend) -> None:
    first, second = hardware.quote().json(), hardware.quote().json()
    assert first["fresh"] is False
    assert first["nonce"] != second["nonce"]
    verify_nonce(first, first["nonce"])


def test_the_simulator_says_what_it_is(simulated: Backend) -> None:
    nonce = new_nonce()
    document = simulated.quote(nonce).json()
    verify_nonce(document, nonce)
    assert document["simulated"] is True
    assert document["provider"] == "simulator"


@pytest.mark.parametrize(
    "nonce",
    [
        "",
        "A" * 21,  # 15 bytes and a bit
        "A" * 87,  # 65 bytes
        "A" * 5000,
        "A" * 43 + "=",
        "+" * 43,
        "A" * 42 + "B",  # not canonical
        "A" * 20 + "\u0000" + "A" * 22,
        "\u00e9" * 43,
    ],
    ids=range(9),
)
def test_a_bad_nonce_is_refused(hardware: Backend, nonce: str) -> None:
    assert_error(hardware.quote(nonce), 400, "bad-nonce", "nonce")


@pytest.fixture
def application_log(kernel: Emulator) -> Iterator[Callable[[bytes], None]]:
    """Write the application's event log where the TD has it, in the TD's namespace only."""

    def inside(script: str, data: bytes = b"") -> None:
        command = kernel.inside(["sh", "-ec", script])
        subprocess.run(command, input=data, check=True, timeout=30)

    inside("mount -t tmpfs tmpfs /run && mkdir /run/attestation-agent")
    yield lambda data: inside("cat > /run/attestation-agent/eventlog", data)
    inside("umount /run")


def test_the_application_log_comes_with_the_quote(
    hardware: Backend, application_log: Callable[[bytes], None]
) -> None:
    assert hardware.quote(new_nonce()).json()["aa_eventlog"] is None
    application_log(b"INIT sha384/00\n")
    assert hardware.quote(new_nonce()).json()["aa_eventlog"] == "INIT sha384/00\n"
    entry = logs.event(*logs.application("coco.example start container-1"))
    application_log(entry)
    document = hardware.quote(new_nonce()).json()
    assert base64.b64decode(document["cc_eventlog"]).endswith(entry + b"\xff" * 8)
    assert document["aa_eventlog"] is None
    application_log(b"\xff")
    nonce = new_nonce()
    document = hardware.quote(nonce).json()
    verify_nonce(document, nonce)
    assert document["aa_eventlog"] is None


# Who may ask: where nothing is sealed, users only; ``bare`` is such a server


def config_of(backend: Backend, token: str | None) -> httpx.Response:
    return backend.call("GET", "/api/v1/tee/config", token=token)


def test_anybody_may_ask_where_requests_are_sealed(hardware: Backend) -> None:
    """A page attests before it sends anybody's password, or token."""
    nonce = new_nonce()
    verify_nonce(hardware.quote(nonce, token=None).json(), nonce)
    assert config_of(hardware, None).json() == config_of(hardware, hardware.token).json()
    answer = hardware.call("GET", "/api/v1/tee/sealed", token=None)
    assert answer.json() == {"v": 1, "sealed": False}  # this one was not


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "quote"), ("GET", "collateral"), ("GET", "config"), ("POST", "relay/trustee")],
)
@pytest.mark.parametrize("token", [None, "forged"])
def test_only_signed_in_users_may_ask(
    bare: Backend, method: str, path: str, token: str | None
) -> None:
    answer = bare.call(method, f"/api/v1/tee/{path}", token=token)
    assert_error(answer, refusal_of(bare, token), "not-allowed")


def refusal_of(backend: Backend, token: str | None) -> int:
    """Return the status with which open-webui itself refuses a token; its versions differ."""
    answer = backend.call("GET", "/api/v1/users/user/settings", token=token)
    assert answer.status_code in (401, 403)
    return answer.status_code


def test_users_whom_nobody_has_approved_may_not_ask(bare: Backend) -> None:
    account = {"name": "Ida", "email": "ida@example.com", "password": "x", "role": "pending"}
    token = bare.call("POST", "/api/v1/auths/add", json=account).json()["token"]
    assert_error(bare.quote(new_nonce(), token=token), 401, "not-allowed")
    assert_error(config_of(bare, token), 401, "not-allowed")


def set_role(backend: Backend, account: dict[str, str], role: str) -> None:
    """Let the administrator change what a user may do; 0.5.20 has a route of its own for it."""
    old = backend.call(
        "POST", "/api/v1/users/update/role", json={"id": account["id"], "role": role}
    )
    if old.is_success:
        return
    form = {key: account[key] for key in ("name", "email", "profile_image_url")} | {"role": role}
    answer = backend.call("POST", f"/api/v1/users/{account['id']}/update", json=form)
    assert answer.is_success, answer.text


def new_account(backend: Backend, name: str) -> Any:
    """Let the administrator make an account; return what open-webui says of it."""
    form = {"name": name, "email": f"{name}@example.com", "password": "x", "role": "user"}
    return backend.call("POST", "/api/v1/auths/add", json=form).json()


@pytest.mark.smoke
def test_a_token_that_was_good_is_looked_at_each_time(bare: Backend) -> None:
    account = new_account(bare, "bob")

    def status() -> int:
        return config_of(bare, account["token"]).status_code

    assert status() == 200
    set_role(bare, account, "pending")
    assert status() == 401
    set_role(bare, account, "user")
    assert status() == 200
    assert bare.call("DELETE", f"/api/v1/users/{account['id']}").is_success
    refused = refusal_of(bare, account["token"])
    assert_error(config_of(bare, account["token"]), refused, "not-allowed")


def sign_out(backend: Backend, token: str) -> None:
    """End this session; only with Redis, which there is none of here, is its token revoked."""
    backend.call("GET", "/api/v1/auths/signout", token=token)
    backend.call("POST", "/api/v1/auths/signout", token=token)


def change_password(backend: Backend, token: str) -> None:
    """Have another password; from some version on that ends all sessions."""
    form = {"password": "x", "new_password": "y"}
    answer = backend.call("POST", "/api/v1/auths/update/password", json=form, token=token)
    assert answer.is_success, answer.text


@pytest.mark.smoke
@pytest.mark.parametrize("end", [sign_out, change_password])
def test_a_session_ends_here_where_open_webui_ends_it(
    bare: Backend, installation: Installation, end: Callable[[Backend, str], None]
) -> None:
    token = new_account(bare, end.__name__)["token"]
    assert config_of(bare, token).status_code == 200
    end(bare, token)
    own = bare.call("GET", "/api/v1/users/user/settings", token=token).status_code
    assert config_of(bare, token).status_code == own
    knows_sessions = "session_stamp" in (installation.package / "utils" / "auth.py").read_text()
    assert (own != 200) == (knows_sessions and end is change_password)


def test_public_quotes_are_limited_per_address_and_config_stays_private(
    simulated: Backend,
) -> None:
    answers = [simulated.quote(new_nonce(), token=None) for _ in range(6)]
    assert [a.status_code for a in answers] == [200] * 5 + [429]
    assert_error(answers[-1], 429, "too-many-requests")
    assert int(answers[-1].headers["retry-after"]) > 0
    # A forged token does not buy the limit of a signed-in user, a real one does.
    assert_error(simulated.quote(token="forged"), 429, "too-many-requests")
    assert simulated.quote(new_nonce()).status_code == 200
    answer = simulated.call("GET", "/api/v1/tee/config", token=None)
    assert_error(answer, refusal_of(simulated, None), "not-allowed")


# Sealed requests, by the client for Python; docs/sealed.md


@pytest.mark.smoke
def test_open_webui_answers_sealed_requests_as_it_does_plain_ones(hardware: Backend) -> None:
    keyset = parse_keyset(hardware.quote(new_nonce()).json()["keyset"])
    headers = {"Authorization": f"Bearer {hardware.token}"}
    transport = SealedTransport(hardware.url, keyset)
    with httpx.Client(transport=transport, base_url=hardware.url, headers=headers) as client:
        assert client.get("/api/v1/tee/sealed").json() == {"v": 1, "sealed": True}
        for path in ("/api/config", "/api/v1/auths/", "/api/models", "/api/v1/chats/", "/nothing"):
            sealed, plain = client.get(path), hardware.call("GET", path)
            assert (sealed.status_code, sealed.text) == (plain.status_code, plain.text)
        question = {"model": "stub", "messages": [{"role": "user", "content": "hello"}]}
        (model, *_) = client.get("/api/models").json()["data"]
        answer = client.post("/api/chat/completions", json=question | {"model": model["id"]})
        assert answer.is_success, answer.text
        assert answer.json()["choices"][0]["message"]["content"]
        upload = client.post("/api/v1/files/", files={"file": ("words.txt", b"some words")})
        assert upload.is_success, upload.text
        content = client.get(f"/api/v1/files/{upload.json()['id']}/content")
        assert content.content == b"some words"
        assert client.post("/api/v1/auths/signin", json={"email": "nobody"}).status_code == 422


# A machine that can not


def test_without_tdx_the_error_says_what_to_do(bare: Backend) -> None:
    answer = bare.quote(new_nonce())
    assert_error(answer, 503, "tdx-not-available", "TDX")
    assert bare.call("GET", "/health").status_code == 200


def test_with_a_broken_wheel_open_webui_starts_as_ever_and_says_so(
    start_backend: Callable[..., Backend], tmp_path: Path
) -> None:
    (tmp_path / "quote_generator.py").write_text("raise ImportError('not installed')")
    backend = start_backend("broken-wheel", {"PYTHONPATH": str(tmp_path)})
    assert_stock(backend)
    assert "trust badge" in backend.log()
    assert "not installed" in backend.log()


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("permission", 503, "not-permitted"),
        ("empty", 503, "quote-service-failed"),
        ("timed-out", 504, "timed-out"),
        ("wrong-report-data", 503, "corrupt-answer"),
    ],
)
def test_a_failing_kernel_is_told_apart_and_passes(
    hardware: Backend, kernel: Emulator, fault: Any, name: str, status: int, code: str
) -> None:
    fault(name)
    assert_error(hardware.quote(new_nonce()), status, code)
    fault("none")
    nonce = new_nonce()
    verify_nonce(hardware.quote(nonce).json(), nonce)
    assert kernel.state()["entries"] == []


# Many at once


def test_many_clients_at_once_share_quotes_and_each_gets_its_own_proof(
    hardware: Backend, kernel: Emulator, fault: Any
) -> None:
    before = kernel.state()["quote"]
    fault("slow")
    nonces = [new_nonce() for _ in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(hardware.quote, nonces))
    documents = [answer.json() for answer in answers]
    for nonce, document in zip(nonces, documents, strict=True):
        verify_nonce(document, nonce)
    quotes = {document["quote"] for document in documents}
    assert len(quotes) == kernel.state()["quote"] - before < CLIENTS / 2
    assert max(document["nonce_proof"]["tree_size"] for document in documents) > 1
    assert len({document["id"] for document in documents}) == CLIENTS
    assert kernel.state()["entries"] == []


def test_a_slow_quote_does_not_stop_the_server(hardware: Backend, fault: Any) -> None:
    fault("slow")
    with ThreadPoolExecutor(1) as pool:
        quote: Future[httpx.Response] = pool.submit(hardware.quote, new_nonce())
        served = 0
        while not quote.done():
            assert hardware.call("GET", "/api/v1/tee/config").status_code == 200
            served += 1
        assert quote.result().status_code == 200
    # One answer can come before or after the quote was under way; many only during it.
    assert served > 5


def test_a_client_that_goes_away_does_not_break_the_others(
    hardware: Backend, kernel: Emulator, fault: Any
) -> None:
    fault("slow:2")

    def gives_up() -> None:
        with pytest.raises(httpx.TimeoutException):
            hardware.quote(new_nonce(), timeout=0.2)

    nonces = [new_nonce() for _ in range(3)]
    with ThreadPoolExecutor(6) as pool:
        gone = [pool.submit(gives_up) for _ in range(3)]
        answers = list(pool.map(hardware.quote, nonces))
        for result in gone:
            result.result()
    for nonce, answer in zip(nonces, answers, strict=True):
        verify_nonce(answer.json(), nonce)
    wait_until(lambda: kernel.state()["entries"] == [], "removal of entries", seconds=10)


def test_a_killed_backend_comes_back_and_leaves_no_entry(
    hardware: Backend, kernel: Emulator, fault: Any
) -> None:
    fault("held:1")  # the kernel keeps the backend's worker, with its entry in place
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(hardware.quote, new_nonce())
        kernel.wait_until_held()
        hardware.crash_and_restart()
        with pytest.raises(httpx.HTTPError):
            lost.result(timeout=60)
    assert kernel.state()["entries"] != []
    fault("none")
    nonce = new_nonce()
    verify_nonce(hardware.quote(nonce).json(), nonce)
    assert kernel.state()["entries"] == []


# Collateral; test_collateral.py has the cache and what a service can do wrong


def ask(backend: Backend, fmspc: str = pccs.PLATFORM, **options: Any) -> httpx.Response:
    params = {"fmspc": fmspc, "ca": "platform"}
    return backend.call("GET", "/api/v1/tee/collateral", params=params, **options)


def test_collateral_from_the_service_verifies_the_quote_and_is_kept(
    hardware: Backend, collateral_service: pccs.State, test_pki: Path
) -> None:
    answer = ask(hardware)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    document = answer.json()
    assert (document["source"], document["stale"]) == ("pccs", False)
    quote = bytes.fromhex(hardware.quote(new_nonce()).json()["quote"])
    root = ssl.PEM_cert_to_DER_cert((test_pki / "root.pem").read_text())
    assert verify(document, quote, root) == "UpToDate"
    asked = len(collateral_service.seen)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(hardware), range(20)))
    assert [answer.json() for answer in answers] == [document] * 20
    assert len(collateral_service.seen) == asked
    for _address, headers in collateral_service.seen:
        assert headers.keys() == {"host", "accept", "accept-encoding", "user-agent"}


def test_collateral_that_is_not_to_be_had_is_told(
    hardware: Backend, bare: Backend, collateral_service: pccs.State
) -> None:
    assert_error(ask(bare), 502, "collateral-unreachable", "TEE_PCCS_URL")
    assert_error(ask(bare, "../../etc/pas"), 400, "bad-platform", "12 hex digits")
    assert_error(ask(hardware, "00806F050000"), 502, "collateral-unusable", "HTTP 404")
    collateral_service.mode = pccs.SLOW
    try:
        assert_error(ask(hardware, "00906ED50000"), 504, "collateral-timed-out")
        assert ask(hardware).status_code == 200
    finally:
        collateral_service.mode = pccs.GOOD


def test_the_simulators_collateral_needs_no_service(simulated: Backend, home: Path) -> None:
    document = ask(simulated).json()
    assert (document["source"], document["stale"]) == ("simulator", False)
    quote = bytes.fromhex(simulated.quote(new_nonce()).json()["quote"])
    root = ssl.PEM_cert_to_DER_cert((home / "simulator" / "root.pem").read_text())
    assert verify(document, quote, root) == "UpToDate"
    config = simulated.call("GET", "/api/v1/tee/config").json()
    point = decode(config["providers"]["dcap"]["root"])
    assert len(point) == 65
    assert point in root


def test_collateral_is_public_where_quotes_are_and_limited_alike(simulated: Backend) -> None:
    answers = [ask(simulated, token=None) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert_error(answers[-1], 429, "too-many-requests")
    assert ask(simulated).status_code == 200


# Configuration and relay


def test_the_configuration_is_the_administrators(
    hardware: Backend, simulated: Backend, bare: Backend, service: str, relayed: RelayTarget
) -> None:
    def config(backend: Backend) -> Any:
        return backend.call("GET", "/api/v1/tee/config").json()

    nothing = {"url": None, "relay": None}
    unpinned = {**nothing, "keys": None}
    assert config(bare) == {
        "v": 1,
        "enforcement": "warn",
        "policy": None,
        "default_provider": "alibaba",
        "offered": ["alibaba", "trustee", "dcap"],
        "providers": {"alibaba": unpinned, "trustee": unpinned, "dcap": {**nothing, "root": None}},
    }
    assert config(hardware)["default_provider"] == "trustee"
    assert config(hardware)["providers"]["trustee"] == {**unpinned, "url": service}
    assert config(hardware)["providers"]["dcap"] == {**nothing, "root": None}
    relays = {"url": relayed.url, "relay": relayed.url, "keys": None}
    assert config(simulated)["providers"]["alibaba"] == relays


@pytest.fixture
def target(relayed: RelayTarget) -> Iterator[RelayTarget]:
    """The relay's service, well-behaved at first."""
    relayed.seen.clear()
    yield relayed
    relayed.mode = "token"


def relay(backend: Backend, **options: Any) -> httpx.Response:
    options.setdefault("json", {"tee": "tdx", "evidence": "AA"})
    return backend.call("POST", "/api/v1/tee/relay/alibaba", **options)


# All modes and bodies: tests/unit/backend/test_relay.py.


def test_the_relay_carries_the_body_and_nothing_of_the_user(
    simulated: Backend, target: RelayTarget
) -> None:
    headers = {"Cookie": "token=x", "X-Forwarded-For": "192.0.2.1", "Referer": "http://chat"}
    answer = relay(simulated, headers=headers)
    assert (answer.status_code, answer.text) == (200, "<b>token</b>")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in answer.headers
    (seen,) = target.seen
    assert seen.path == "/v1/attestation"
    assert json.loads(seen.body) == {"tee": "tdx", "evidence": "AA"}
    assert seen.headers.keys() == {
        *("host", "accept", "accept-encoding", "content-type", "user-agent", "content-length")
    }
    assert simulated.token not in str(seen.headers)


def test_the_relay_is_bounded(simulated: Backend, target: RelayTarget) -> None:
    target.mode = "hang"
    assert_error(relay(simulated), 504, "relay-timed-out")
    assert [seen.path for seen in target.seen] == ["/v1/attestation"]


def test_the_relay_refuses_what_a_form_on_another_site_could_send(
    simulated: Backend, target: RelayTarget
) -> None:
    headers = {"Content-Type": "text/plain"}
    answer = relay(simulated, json=None, content=b"{}", headers=headers)
    assert_error(answer, 415, "not-json")
    assert target.seen == []


@pytest.mark.parametrize("provider", ["trustee", "dcap", "nobody", "..%2Fquote"])
def test_the_relay_reaches_configured_services_only(bare: Backend, provider: str) -> None:
    answer = bare.call("POST", f"/api/v1/tee/relay/{provider}", json={})
    assert answer.status_code in (404, 405)
    if provider != "..%2Fquote":
        assert_error(answer, 404, "relay-not-configured")


def test_the_relay_says_when_the_service_is_not_there(hardware: Backend) -> None:
    answer = hardware.call("POST", "/api/v1/tee/relay/trustee", json={})
    assert_error(answer, 404, "relay-not-configured", "TEE_RELAY")
