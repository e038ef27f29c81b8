"""Sealed sockets: tickets, frames in both directions, and every way in which one ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
import websocket
from host_double import run
from sealed_double import SealedClient, a_keyring, around, sealed_client, wait_until
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from cczoo_backend.sealed.socket import SealedSocket
from cczoo_backend.sealed.tickets import PENDING_MAX, SECONDS, Tickets
from quote_generator.evidence import decode_base64url
from quote_generator.sealing import frames
from quote_generator.sealing.errors import SealingError

TICKETS = "/api/v1/tee/ws"
SECRET = bytes(range(64))

ended: list[int] = []
"""How the app was told that a socket ended."""


async def echo(socket: WebSocket) -> None:
    """Says back what it hears; "bye" ends it, and "fail" breaks it."""
    await socket.accept(subprotocol=next(iter(socket.scope["subprotocols"]), None))
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                ended.append(message["code"])
                return
            if message.get("text") == "bye":
                await socket.send_text("good bye")
                await socket.close(4321, "as asked")
                return
            if message.get("text") == "fail":
                raise RuntimeError("the app's own failure")
            await socket.send({**message, "type": "websocket.send"})
    except WebSocketDisconnect as error:
        ended.append(error.code)


async def shape(socket: WebSocket) -> None:
    """Says what the app sees of the socket."""
    await socket.accept()
    state = {key: value for key, value in socket.scope["state"].items() if key.startswith("tee")}
    await socket.send_json(
        {
            "path": socket.scope["path"],
            "query": socket.scope["query_string"].decode(),
            "scheme": socket.scope["scheme"],
            "headers": socket.headers.items(),
            "state": state,
            "client": socket.client and socket.client.host,
        }
    )
    await socket.close()


async def refuses(socket: WebSocket) -> None:
    await socket.close()


def an_app() -> Starlette:
    return Starlette(
        routes=[
            WebSocketRoute("/ws/socket.io/", echo),
            WebSocketRoute("/shape", shape),
            WebSocketRoute("/refuses", refuses),
        ]
    )


@pytest.fixture(scope="module")
def client() -> Iterator[SealedClient]:
    environ = {"WEBUI_AUTH_TRUSTED_EMAIL_HEADER": "X-User-Email"}
    with sealed_client(an_app(), environ=environ) as made:
        yield made


def ask_ticket(client: SealedClient, document: object, fields: Any = ()) -> Any:
    own = [(b"content-type", b"application/json"), *fields]
    return client.ask("POST", TICKETS, json.dumps(document).encode(), own)


def ticket(client: SealedClient, path: str, protocols: Any = (), fields: Any = ()) -> Any:
    answer = ask_ticket(client, {"path": path, "protocols": list(protocols)}, fields)
    assert answer.status == 200, answer.content
    return json.loads(answer.content)


class Socket:
    """The page's end of a sealed socket."""

    def __init__(self, client: SealedClient, given: dict[str, Any]) -> None:
        send, receive = frames.client_keys(decode_base64url(given["secret"], "secret"))
        self.sealer = frames.FrameSealer(send)
        self.opener = frames.FrameOpener(receive, expects_open=True)
        address = str(client.http.base_url).replace("http", "ws", 1)
        self.outer = websocket.create_connection(
            f"{address}{TICKETS}/{given['ticket']}", timeout=60
        )
        self.sizes: list[int] = []
        self.arrived: list[frames.Message] = []

    def send(self, *messages: frames.Message) -> None:
        for frame in self.sealer.seal(messages):
            self.outer.send_binary(frame)

    def next(self) -> frames.Message:
        while not self.arrived:
            kind, frame = self.outer.recv_data()
            assert kind == websocket.ABNF.OPCODE_BINARY, (kind, frame)
            self.sizes.append(len(frame))
            self.arrived += self.opener.open(frame)
        return self.arrived.pop(0)

    def outer_close(self) -> int:
        kind, data = self.outer.recv_data()
        assert kind == websocket.ABNF.OPCODE_CLOSE
        return int.from_bytes(data[:2], "big")


@contextlib.contextmanager
def opened(client: SealedClient, path: str, **options: Any) -> Iterator[Socket]:
    socket = Socket(client, ticket(client, path, **options))
    try:
        yield socket
    finally:
        socket.outer.close()


# Tickets


def test_a_ticket_says_how_long_it_lasts(client: SealedClient) -> None:
    given = ticket(client, "/ws/socket.io/?EIO=4&transport=websocket")
    assert given.keys() == {"ticket", "secret", "expires_in"}
    assert len(decode_base64url(given["ticket"], "ticket")) == 16
    assert len(decode_base64url(given["secret"], "secret")) == 64
    assert given["expires_in"] == 30


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"path": 1},
        {"path": ""},
        {"path": "ws/socket.io/"},
        {"path": "//x y"},
        {"path": "/\u00e9"},
        {"path": "/#x"},
        {"path": "/api/v1/tee"},
        {"path": "/api/v1/tee/ws/AAAA"},
        {"path": "/api/v1/%74ee/ws/AAAA"},
        {"path": "/", "protocols": "a"},
        {"path": "/", "protocols": [1]},
        {"path": "/", "protocols": ["a b"]},
        {"path": "/", "protocols": ["a\r\nx: y"]},
        {"path": "/", "protocols": ["a"] * 17},
        [],
    ],
)
def test_another_request_for_a_ticket_gets_none(client: SealedClient, document: object) -> None:
    answer = ask_ticket(client, document)
    assert (answer.status, json.loads(answer.content)["code"]) == (400, "bad-request")


def test_tickets_are_given_under_seal_alone(client: SealedClient) -> None:
    answer = client.http.post(TICKETS, json={"path": "/ws/socket.io/"})
    assert answer.status_code == 403
    assert answer.json()["code"] == "sealed-required"
    assert client.ask("GET", TICKETS).status == 405


def test_a_ticket_opens_one_socket_once() -> None:
    clock = [0.0]
    tickets = Tickets(lambda: clock[0])
    name, secret = tickets.new({"type": "websocket"})
    taken = tickets.take(name)
    assert taken is not None
    assert taken.secret == secret
    assert tickets.take(name) is None
    late, _ = tickets.new({})
    clock[0] += SECONDS
    assert tickets.take(late) is None
    assert tickets.take("") is None


def test_no_more_tickets_than_can_be_remembered() -> None:
    clock = [0.0]
    tickets = Tickets(lambda: clock[0])
    for _ in range(PENDING_MAX):
        assert not tickets.are_full()
        tickets.new({})
    assert tickets.are_full()
    clock[0] += SECONDS
    assert not tickets.are_full()


@pytest.mark.parametrize("name", ["", "AAAAAAAAAAAAAAAAAAAAAA", "x/y"])
def test_without_a_ticket_no_socket_opens(client: SealedClient, name: str) -> None:
    address = str(client.http.base_url).replace("http", "ws", 1)
    with pytest.raises(websocket.WebSocketBadStatusException):
        websocket.create_connection(f"{address}{TICKETS}/{name}", timeout=60)


def test_the_second_socket_of_a_ticket_is_refused(client: SealedClient) -> None:
    given = ticket(client, "/ws/socket.io/")
    first = Socket(client, given)
    assert first.next() == frames.Open("")
    with pytest.raises(websocket.WebSocketBadStatusException):
        Socket(client, given)
    first.outer.close()


# What the app sees


def test_the_app_sees_a_socket_of_its_own(client: SealedClient) -> None:
    fields = [
        (b"cookie", b"token=x"),
        (b"authorization", b"Bearer x"),
        (b"user-agent", b"tests"),
        (b"accept-language", b"de"),
        (b"origin", b"https://chat.example"),
        (b"x-user-email", b"eve@example"),
        (b"x-forwarded-for", b"192.0.2.1"),
        (b"sec-websocket-protocol", b"other"),
    ]
    with opened(client, "/shape?a=%20b", protocols=["one", "two"], fields=fields) as socket:
        assert socket.next() == frames.Open("")
        text = socket.next()
        assert isinstance(text, frames.Text)
        assert isinstance(socket.next(), frames.Close)
    seen = json.loads(text.text)
    headers = dict(map(tuple, seen.pop("headers")))
    assert len(headers.pop("sec-websocket-key")) == 24
    assert headers == {
        "host": "chat.example",
        "cookie": "token=x",
        "authorization": "Bearer x",
        "user-agent": "tests",
        "accept-language": "de",
        "origin": "https://chat.example",
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-protocol": "one, two",
    }
    state = {"tee_sealed": True, "tee_keys": client.config.id}
    assert seen == {
        **{"path": "/shape", "query": "a=%20b", "scheme": "wss"},
        **{"state": state, "client": "127.0.0.1"},
    }


def test_messages_of_every_kind_go_both_ways(client: SealedClient) -> None:
    sent: list[frames.Message] = [
        frames.Text("hello"),
        frames.Text(""),
        frames.Binary(b""),
        frames.Binary(bytes(range(256))),
        frames.Text("\u20ac" * 400_000),
        frames.Binary(bytes(3 << 20)),
    ]
    with opened(client, "/ws/socket.io/", protocols=["chat"]) as socket:
        assert socket.next() == frames.Open("chat")
        for message in sent:
            socket.send(message)
            assert socket.next() == message
        socket.send(*sent[:4])
        assert [socket.next() for _ in range(4)] == sent[:4]


def test_frames_tell_no_lengths(client: SealedClient) -> None:
    with opened(client, "/ws/socket.io/") as socket:
        socket.next()
        for length in range(0, 200, 7):
            socket.send(frames.Text("x" * length))
            socket.next()
    assert set(socket.sizes) == {256}


# How it ends


def test_the_apps_close_is_said_under_seal(client: SealedClient) -> None:
    with opened(client, "/ws/socket.io/") as socket:
        socket.next()
        socket.send(frames.Text("bye"))
        assert socket.next() == frames.Text("good bye")
        assert socket.next() == frames.Close(4321, "as asked")
        assert socket.opener.finished
        assert socket.outer_close() == 1000


def test_the_clients_close_is_told_the_app_with_its_code(client: SealedClient) -> None:
    ended.clear()
    with opened(client, "/ws/socket.io/") as socket:
        socket.next()
        socket.send(frames.Text("last words"), frames.Close(4444, "done"))
        assert socket.next() == frames.Text("last words")
        assert socket.next() == frames.Close(4444, "")
        assert socket.outer_close() == 1000
    wait_until(lambda: ended)
    assert ended == [4444]


def test_a_client_that_is_gone_has_not_closed(client: SealedClient) -> None:
    ended.clear()
    with opened(client, "/ws/socket.io/") as socket:
        socket.next()
        socket.outer.close(1000)  # said outside, where anybody could
    wait_until(lambda: ended)
    assert ended == [1006]


def test_an_app_that_refuses_is_refused_outside(client: SealedClient) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException):
        Socket(client, ticket(client, "/refuses"))


def test_an_app_that_fails_leaves_a_socket_without_an_end(client: SealedClient) -> None:
    with opened(client, "/ws/socket.io/") as socket:
        socket.next()
        socket.send(frames.Text("fail"))
        assert socket.outer_close() in (1006, 1011)
        with pytest.raises(SealingError):
            socket.opener.end()


def tampered(kind: str, first: bytes, second: bytes) -> bytes:
    return {
        "changed": first[:-1] + bytes([first[-1] ^ 1]),
        "flag": b"\1" + first[1:],
        "cut": first[:-1],
        "empty": b"",
        "huge": bytes((1 << 20) + 1),
        "skipped": second,
        "repeated": first,
    }[kind]


KINDS = ("changed", "flag", "cut", "empty", "huge", "skipped", "repeated", "text", "reflected")


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_that_does_not_open_ends_the_socket(client: SealedClient, kind: str) -> None:
    ended.clear()
    with opened(client, "/ws/socket.io/") as socket:
        if kind == "reflected":
            _, frame = socket.outer.recv_data()
            socket.outer.send_binary(frame)
        elif kind == "text":
            socket.next()
            socket.outer.send("hello")
        else:
            socket.next()
            frames_sent = socket.sealer.seal([frames.Text("a")]), socket.sealer.seal([])
            if kind == "repeated":
                socket.outer.send_binary(frames_sent[0][0])
                assert socket.next() == frames.Text("a")
            socket.outer.send_binary(tampered(kind, frames_sent[0][0], frames_sent[1][0]))
        assert socket.outer_close() == 1008
    wait_until(lambda: ended)
    assert ended == [1006]


def test_each_byte_of_a_frame_counts() -> None:
    send, _ = frames.client_keys(SECRET)
    frame = frames.FrameSealer(send).seal([frames.Text("hello")])[0]

    async def app_hears(changed: bytes) -> tuple[Any, list[Any]]:
        arriving = [{"type": "websocket.connect"}, {"type": "websocket.receive", "bytes": changed}]
        sent: list[Any] = []

        async def receive() -> Any:
            return arriving.pop(0)

        async def outer_send(message: Any) -> None:
            sent.append(message)

        socket = SealedSocket(SECRET, receive, outer_send)
        await socket.receive()
        await socket.send({"type": "websocket.accept"})
        return await socket.receive(), sent

    async def scenario() -> None:
        heard, _ = await app_hears(frame)
        assert heard == {"type": "websocket.receive", "text": "hello"}
        for at in range(len(frame)):
            changed = frame[:at] + bytes([frame[at] ^ (1 << at % 8)]) + frame[at + 1 :]
            heard, sent = await app_hears(changed)
            assert heard["type"] == "websocket.disconnect"
            assert heard["code"] == 1006
            assert sent[-1] == {"type": "websocket.close", "code": 1008}

    run(scenario)


def test_messages_of_a_moment_go_together() -> None:
    _, receive_key = frames.client_keys(SECRET)
    opener = frames.FrameOpener(receive_key, expects_open=True)

    async def scenario() -> None:
        sent: list[Any] = []
        arrived = asyncio.Event()

        async def outer_send(message: Any) -> None:
            sent.append(message)
            if message["type"] == "websocket.send" and len(sent) > 2:
                arrived.set()

        socket = SealedSocket(SECRET, asyncio.Event().wait, outer_send)  # type: ignore[arg-type]
        await socket.send({"type": "websocket.accept"})
        for text in ("a", "ab", "abc"):
            await socket.send({"type": "websocket.send", "text": text})
        assert len(sent) == 2  # accepted, and opened
        await arrived.wait()
        together = [frame["bytes"] for frame in sent[1:]]
        assert len(together) == 2
        assert opener.open(together[0]) == [frames.Open("")]
        assert opener.open(together[1]) == [frames.Text("a"), frames.Text("ab"), frames.Text("abc")]
        await socket.send({"type": "websocket.send", "bytes": bytes(16_384)})
        assert len(sent) == 4  # a full bucket waits for nothing
        await socket.send({"type": "websocket.close", "code": 1000})
        with pytest.raises(OSError, match="closed"):
            await socket.send({"type": "websocket.send", "text": "late"})
        assert [message["type"] for message in sent[4:]] == ["websocket.send", "websocket.close"]

    run(scenario)


def test_other_sockets_of_the_app_are_its_own() -> None:
    layer = around(an_app(), a_keyring())
    with TestClient(layer).websocket_connect("/ws/socket.io/") as socket:
        socket.send_text("plain")
        assert socket.receive_text() == "plain"
    for path in ("/api/v1/tee/quote", TICKETS, "/api/v1/tee"):
        with pytest.raises(WebSocketDisconnect), TestClient(layer).websocket_connect(path):
            pass
