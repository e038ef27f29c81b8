"""A reverse proxy that notes all that passes it, as whoever ends TLS before the server can.

What it notes is undone of what HTTP and WebSocket do to it (chunks, masks); it asks the server for
answers that are not compressed, as anybody in its place may. Told to, it asks other servers for
some addresses, or says something else than they do.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import aiohttp
from aiohttp import web
from yarl import URL

from .forwarding import SESSION, forwarding, listening
from .spellings import PART, spellings

UP, DOWN = "up", "down"

_Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse
_Headers = Iterable[tuple[str, str]]

_NOT_PASSED = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"}
    | {"sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"}
    | {"sec-websocket-protocol", "accept-encoding"}
)
_Value = TypeVar("_Value")
_CHUNK = 64 * 1024


@dataclass
class Message:
    """One request, answer or socket message: which way it went, what it is, and all its bytes."""

    way: str
    what: str
    head: bytes = b""
    body: bytearray = field(default_factory=bytearray)


@dataclass
class Answer:
    """An answer as a whole, for whoever changes it; `kind` is its media type."""

    status: int
    kind: str
    body: bytes


@dataclass
class Wire:
    """What passed so far. `url` is the proxy's, `target` the server's behind it.

    `servers` are other ones, and `changes` are made to answers: each for a path, or for all below
    one that ends with a slash. The first that fits counts.
    """

    target: str
    url: str = ""
    messages: list[Message] = field(default_factory=list)
    servers: Mapping[str, str] = field(default_factory=dict)
    changes: Mapping[str, Callable[[Answer], Answer]] = field(default_factory=dict)

    def address(self, raw_path: str) -> URL:
        """Where the server that is asked for this has it."""
        return URL(_fitting(self.servers, raw_path, self.target) + raw_path, encoded=True)

    def change(self, raw_path: str) -> Callable[[Answer], Answer] | None:
        """What is done to the answer, if anything."""
        return _fitting(self.changes, raw_path, None)

    def begin(self, way: str, what: str, head: bytes = b"") -> Message:
        """Note a message whose body is still to come."""
        self.messages.append(Message(way, what, head))
        return self.messages[-1]

    def find(
        self, canary: str, among: Sequence[Message] | None = None, *, part: int = PART
    ) -> list[str]:
        """Where the text, or a telling part of it, passed in any spelling: way and what.

        `among`: these messages, or else all. `part`: how much of it is telling.
        """
        patterns = spellings(canary, part)

        @functools.cache  # the same files pass again and again
        def tells(data: bytes) -> bool:
            return any(pattern in data for pattern in patterns)

        return [
            f"{each.way} {each.what}"
            for each in (list(self.messages) if among is None else among)
            if tells(each.head) or tells(bytes(each.body))
        ]

    def socket_sizes(self, way: str) -> list[int]:
        """Bytes of each socket message in this direction, in order."""
        sent = [each for each in self.messages if each.way == way and each.what.startswith("WS ")]
        return [len(each.body) for each in sent]


def _fitting(table: Mapping[str, _Value], raw_path: str, other: _Value) -> _Value:
    path = raw_path.partition("?")[0]
    return next((value for name, value in table.items() if _fits(name, path)), other)


def _fits(name: str, path: str) -> bool:
    return path == name or (name != "/" and name.endswith("/") and path.startswith(name))


@contextlib.contextmanager
def recorded(target: str, *, port: int = 0) -> Iterator[Wire]:
    """Run the proxy before the server at `target`, on a port of 127.0.0.1 (0: a free one)."""
    wire = Wire(target)
    application = forwarding(
        functools.partial(_pass_request, wire),
        functools.partial(_pass_socket, wire),
        largest=1 << 40,
        gone=aiohttp.ClientConnectorError,
    )
    with listening(application, port) as wire.url:
        yield wire


# --- requests ------------------------------------------------------------------------------------


async def _pass_request(wire: Wire, request: web.Request) -> web.StreamResponse:
    what = f"{request.method} {request.raw_path}"
    sent = wire.begin(UP, what, _head(what, request.headers.items()))

    async def body() -> AsyncIterator[bytes]:
        async for piece in request.content.iter_chunked(_CHUNK):
            sent.body += piece
            yield piece

    asking = request.app[SESSION].request(
        request.method,
        wire.address(request.raw_path),
        headers=[*_passed(request.headers.items()), ("Accept-Encoding", "identity")],
        data=body() if request.can_read_body else None,
        allow_redirects=False,
    )
    async with asking as answer:
        got = wire.begin(DOWN, what, _head(str(answer.status), answer.headers.items()))
        if change := wire.change(request.raw_path):
            return await _changed(change, answer, got)
        response = web.StreamResponse(status=answer.status, reason=answer.reason)
        for name, value in _passed(answer.headers.items()):
            response.headers.add(name, value)
        await response.prepare(request)
        async for piece in answer.content.iter_any():
            got.body += piece
            await response.write(piece)
        await response.write_eof()
        return response


async def _changed(
    change: Callable[[Answer], Answer], answer: aiohttp.ClientResponse, got: Message
) -> web.Response:
    got.body += await answer.read()
    changed = change(Answer(answer.status, answer.content_type, bytes(got.body)))
    kind = {"Content-Type": changed.kind, "Cache-Control": "no-store"}
    return web.Response(status=changed.status, body=changed.body, headers=kind)


# --- sockets -------------------------------------------------------------------------------------


async def _pass_socket(wire: Wire, request: web.Request) -> web.StreamResponse:
    what = f"WS {request.raw_path}"
    wire.begin(UP, f"OPEN {request.raw_path}", _head(what, request.headers.items()))
    asked = request.headers.get("sec-websocket-protocol", "")
    opening = request.app[SESSION].ws_connect(
        wire.address(request.raw_path),
        headers=_passed(request.headers.items()),
        protocols=[name.strip() for name in asked.split(",") if name.strip()],
        max_msg_size=0,
    )
    try:
        server = await opening
    except aiohttp.WSServerHandshakeError as error:
        return web.Response(status=error.status)
    async with server:
        protocols = [server.protocol] if server.protocol else []
        client = web.WebSocketResponse(protocols=protocols, max_msg_size=0, compress=False)
        await client.prepare(request)
        up = asyncio.ensure_future(_pump(wire, UP, what, client, server))
        down = asyncio.ensure_future(_pump(wire, DOWN, what, server, client))
        await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        down.cancel()
        await asyncio.gather(up, down, return_exceptions=True)
        await client.close(code=server.close_code or aiohttp.WSCloseCode.OK)
    return client


async def _pump(wire: Wire, way: str, what: str, source: _Socket, sink: _Socket) -> None:
    async for message in source:
        data = message.data.encode() if message.type is aiohttp.WSMsgType.TEXT else message.data
        wire.begin(way, what).body += data
        if message.type is aiohttp.WSMsgType.TEXT:
            await sink.send_str(message.data)
        else:
            await sink.send_bytes(data)


def _passed(headers: _Headers) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() not in _NOT_PASSED]


def _head(what: str, headers: _Headers) -> bytes:
    lines = [what, *(f"{name}: {value}" for name, value in headers)]
    return "\n".join(lines).encode("utf-8", "surrogateescape")
