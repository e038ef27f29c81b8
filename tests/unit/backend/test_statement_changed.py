"""A request or socket that was meant for another statement: refused before the app sees it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier import sealed
from cczoo_verifier.appraisal import Trust
from cczoo_verifier.policy import policy_of
from cczoo_verifier.verification import Verifier
from host_double import (
    ADA,
    EVE,
    Accounts,
    Source,
    a_statement,
    client_of,
    routes_of,
)
from sealed_double import (
    SealedClient,
    a_keyring,
    around,
    sealed_client,
    serving,
    wait_until,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from test_sealed_socket import Socket, ticket

from cczoo_backend.sealed.sockets import STATEMENT_CHANGED
from cczoo_backend.workload.statement import NothingStated
from error_document import assert_error
from quote_generator.evidence import document_hash, encode_base64url
from quote_generator.sealing import frames
from quote_generator.simulator import Simulator

QUOTE, STATEMENT = "/api/v1/tee/quote", "/api/v1/tee/statement"
NONCE = encode_base64url(b"n" * 32)
OUTSIDE = {"openai.enable": True, "openai.api_base_urls": ["https://api.example.com/v1"]}


class Place:
    """A server, what its open-webui is set to, and what its app was asked."""

    def __init__(self) -> None:
        self.source = Source()
        self.statement = a_statement(self.source)
        self.asked: list[str] = []
        self.heard: list[Any] = []

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/chat", self.chat, methods=["GET", "POST"]),
                Route("/connect", self.connect, methods=["POST"]),
                WebSocketRoute("/ws", self.socket),
            ]
        )

    async def chat(self, request: Request) -> Response:
        self.asked.append(request.method)
        return JSONResponse({"names": [name for name, _ in request.headers.items()]})

    async def connect(self, _request: Request) -> Response:
        """What an administrator does: the connection is there before the answer is."""
        self.source.change(settings=OUTSIDE)
        return JSONResponse({})

    async def socket(self, socket: WebSocket) -> None:
        await socket.accept()
        while (message := await socket.receive())["type"] == "websocket.receive":
            await socket.send_text(message["text"])
        self.heard.append(message["code"])


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def client(place: Place, simulating: dict[str, str]) -> Iterator[SealedClient]:
    with sealed_client(place.app(), statement=place.statement, environ=simulating) as made:
        yield made


@pytest.fixture
def simulating(tmp_path: Any) -> dict[str, str]:
    folder = str(tmp_path / "simulator")
    return {"QUOTE_GENERATOR_SIMULATE": "1", "QUOTE_GENERATOR_SIMULATOR_DIR": folder}


def evidence(client: SealedClient, headers: Any = ()) -> dict[str, Any]:
    fields = [(name.lower().encode(), value.encode()) for name, value in dict(headers).items()]
    answer = client.ask("GET", f"{QUOTE}?nonce={NONCE}", b"", fields)
    assert answer.status == 200, answer.content
    document: dict[str, Any] = json.loads(answer.content)
    return document


def judged(client: SealedClient) -> list[tuple[bytes, bytes]]:
    """The field of a client that judged what the server says now."""
    return [(b"tee-statement", document_hash(evidence(client)["statement"]).encode())]


def assert_changed(answer: Any) -> None:
    assert answer.status == 409
    document = json.loads(answer.content)
    assert (document["status"], document["code"]) == (False, "statement-changed")
    assert answer.header("tee-statement") == "changed"


# Requests


def test_the_request_after_an_administrators_is_refused(place: Place, client: SealedClient) -> None:
    field = judged(client)
    answer = client.ask("POST", "/chat", b"words", field)
    assert answer.status == 200
    assert "tee-statement" not in json.loads(answer.content)["names"]
    assert client.ask("POST", "/connect", b"", field).status == 200
    assert_changed(client.ask("POST", "/chat", b"words" * 100_000, field))
    assert place.asked == ["POST"]
    assert client.ask("POST", "/chat", b"words", judged(client)).status == 200


def test_who_judged_nothing_is_let_pass(place: Place, client: SealedClient) -> None:
    assert client.ask("POST", "/connect", b"").status == 200
    assert client.ask("GET", "/chat").status == 200


@pytest.mark.parametrize("value", [b"", b"\xff", b"x" * 4000, b"{}"])
def test_what_is_no_hash_is_another_statement(client: SealedClient, value: bytes) -> None:
    assert_changed(client.ask("GET", "/chat", b"", [(b"tee-statement", value)]))


def test_two_hashes_are_none(client: SealedClient) -> None:
    (field,) = judged(client)
    assert_changed(client.ask("GET", "/chat", b"", [field, field]))


def test_what_serves_to_attest_anew_is_answered_whatever_was_judged(client: SealedClient) -> None:
    other = [(b"tee-statement", b"other")]
    for path in (f"{QUOTE}?nonce={NONCE}", "/api/v1/tee/keys", "/api/v1/tee/sealed"):
        assert client.ask("GET", path, b"", other).status == 200, path
    assert_changed(client.ask("POST", "/api/v1/tee/ws", b'{"path": "/ws"}', other))


def test_a_statement_that_fails_lets_nobody_pass(
    place: Place, client: SealedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    field = judged(client)
    monkeypatch.setattr(place.statement, "_look", lambda: asyncio.sleep(0, 1 / 0))
    place.source.change()
    assert client.ask("GET", "/chat", b"", field).status == 500
    assert place.asked == []


def test_the_clients_of_python_judge_anew(place: Place, simulating: dict[str, str]) -> None:
    keys = a_keyring()
    app = around(place.app(), keys, statement=place.statement, environ=simulating)
    simulator = Simulator.open(Path(simulating["QUOTE_GENERATOR_SIMULATOR_DIR"]))
    policy = policy_of({"v": 1, "workload": {"require": ["no-model-outside"]}})
    verifier = Verifier(
        timeout=60, policy=policy, source=lambda: Trust(simulator.root_der, simulator.collateral())
    )
    options = {"verifier": verifier, "accept_warnings": True, "api_key": "ada-token"}
    place.source.change(models={})
    with serving(app) as url, sealed.connect(url, **options) as client:
        assert client.post("/chat", content=b"words").status_code == 200
        place.source.change(settings=OUTSIDE)
        assert client.post("/chat", content=b"words" * 100_000).status_code == 200
        place.source.change(models=None)  # nobody knows any more which models there are
        with pytest.raises(sealed.NotVerified, match="not all models are known"):
            client.post("/chat", content=b"words")
    assert place.asked == ["POST", "POST"]


# Sockets


def test_a_socket_ends_before_the_app_hears_more(place: Place, client: SealedClient) -> None:
    socket = Socket(client, ticket(client, "/ws", fields=judged(client)))
    socket.send(frames.Text("one"))
    assert isinstance(socket.next(), frames.Open)
    assert socket.next() == frames.Text("one")
    place.source.change(settings=OUTSIDE)
    socket.send(frames.Text("two"), frames.Text("three"))
    assert socket.next() == frames.Close(STATEMENT_CHANGED, "statement-changed")
    socket.outer.close()
    wait_until(lambda: place.heard == [STATEMENT_CHANGED])


def test_a_ticket_of_before_opens_no_ear(place: Place, client: SealedClient) -> None:
    given = ticket(client, "/ws", fields=judged(client))
    place.source.change(settings=OUTSIDE)
    socket = Socket(client, given)
    socket.send(frames.Text("one"))
    assert isinstance(socket.next(), frames.Open)
    assert socket.next() == frames.Close(STATEMENT_CHANGED, "statement-changed")


def test_a_socket_of_who_judged_nothing_goes_on(place: Place, client: SealedClient) -> None:
    socket = Socket(client, ticket(client, "/ws"))
    place.source.change(settings=OUTSIDE)
    socket.send(frames.Text("one"))
    assert isinstance(socket.next(), frames.Open)
    assert socket.next() == frames.Text("one")


# Evidence


def test_evidence_binds_the_statement_and_users_see_its_sections(
    place: Place, client: SealedClient
) -> None:
    before = evidence(client)
    place.source.change(settings=OUTSIDE)
    own = evidence(client, ADA)
    digests = own["statement"]["sections"]
    assert digests != before["statement"]["sections"]
    sections = own["statement_sections"]
    assert digests == {name: document_hash(part) for name, part in sections.items()}
    assert "api.example.com:443" in json.dumps(sections["connections"])


def test_who_has_no_account_sees_digests_alone(client: SealedClient) -> None:
    evidence(client, ADA)  # of the same second
    for headers in ({}, EVE, {"Authorization": "Bearer made-up"}):
        document = evidence(client, headers)
        assert "statement_sections" not in document
        assert document["statement"]["sections"]


def test_plain_evidence_is_told_as_sealed_evidence_is(
    place: Place, simulating: dict[str, str]
) -> None:
    routes = routes_of(simulating, keys=a_keyring(), statement=place.statement)
    client = client_of(routes)
    assert "statement_sections" in client.get(QUOTE, headers=ADA).json()
    assert "statement_sections" not in client.get(QUOTE).json()


def test_a_database_of_accounts_that_fails_keeps_nobody_from_evidence(
    place: Place, simulating: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    host = Accounts(failure=ConnectionError("away"))
    routes = routes_of(simulating, keys=a_keyring(), statement=place.statement, host=host)
    answer = client_of(routes).get(QUOTE, headers=ADA)
    assert answer.status_code == 200
    assert "statement_sections" not in answer.json()
    assert "who asks cannot be found out" in caplog.text


def test_users_are_told_without_a_quote(place: Place, simulating: dict[str, str]) -> None:
    client = client_of(routes_of(simulating, keys=a_keyring(), statement=place.statement))
    quoted = client.get(QUOTE, headers=ADA).json()
    told = client.get(STATEMENT, headers=ADA).json()
    assert told["statement"] == quoted["statement"]
    assert told["sections"] == quoted["statement_sections"]
    assert_error(client.get(STATEMENT), 403, "not-allowed")
    assert_error(client.get(STATEMENT, headers=EVE), 401, "not-allowed")


def test_without_sealing_nothing_is_stated(place: Place, simulating: dict[str, str]) -> None:
    unsealed = client_of(routes_of(simulating, statement=place.statement))
    assert_error(unsealed.get(STATEMENT, headers=ADA), 404, "not-found")
    answer = client_of(routes_of(simulating, statement=place.statement)).get(QUOTE, headers=ADA)
    assert "statement" not in answer.json()
    assert place.source.reads == 0


def test_where_it_is_not_turned_on_nothing_is_stated_and_nobody_looked_up(
    simulating: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    nothing, host = NothingStated(), Accounts(failure=ConnectionError("away"))
    keys = a_keyring()
    client = client_of(routes_of(simulating, keys=keys, statement=nothing, host=host))
    document = client.get(QUOTE, headers=ADA).json()
    assert document["statement"] == {"v": 1}
    assert "who asks" not in caplog.text
    assert "statement_sections" not in document
    assert asyncio.run(nothing.holds(document_hash({"v": 1})))
    assert not asyncio.run(nothing.holds(document_hash({"v": 2})))
    client = client_of(routes_of(simulating, keys=keys, statement=nothing))
    assert_error(client.get(STATEMENT, headers=ADA), 404, "not-found")
