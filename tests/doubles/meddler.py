"""A reverse proxy that does to sealed requests, answers and frames what it is told to.

What it changes is the bodies of ``/api/v1/tee/ohttp``, both ways, and the frames of
``/api/v1/tee/ws/...``; all else passes. A change gets one message and gives what goes on in its
place: nothing, the same twice, pieces of others; ``HANG_UP`` among them ends the connection there.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
from aiohttp import web
from yarl import URL

from .forwarding import SESSION, forwarding, listening

OHTTP = "/api/v1/tee/ohttp"
SOCKETS = "/api/v1/tee/ws/"
HANG_UP = None

Kind = Literal["request", "answer", "up", "down"]
KINDS: tuple[Kind, ...] = ("request", "answer", "up", "down")
"""Bodies of requests and answers; frames to the server and from it."""

Change = Callable[[bytes], Sequence[bytes | None]]

_Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse
_NOT_PASSED = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
    | {"content-length", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"}
    | {"sec-websocket-protocol"}
)


@dataclass
class Meddler:
    """What it does to each kind of message, what came, and how often it did not pass that on."""

    target: str
    url: str = ""
    changes: dict[Kind, Change] = field(default_factory=dict)
    came: dict[Kind, list[bytes]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    changed: int = 0

    def be_honest(self) -> None:
        """Pass on everything from now on."""
        self.changes = {}

    def passes(self, kind: Kind, data: bytes) -> Sequence[bytes | None]:
        """Return what goes on in the place of what came."""
        self.came[kind].append(data)
        change = self.changes.get(kind)
        passed = [data] if change is None else change(data)
        self.changed += list(passed) != [data]
        return passed


@contextlib.contextmanager
def meddling(target: str) -> Iterator[Meddler]:
    """Run the proxy before the server at ``target``, on a free port; it is honest at first."""
    meddler = Meddler(target)
    application = forwarding(
        functools.partial(_request, meddler),
        functools.partial(_socket, meddler),
        largest=1 << 30,
        gone=aiohttp.ClientConnectionError,
    )
    with listening(application) as meddler.url:
        yield meddler


# --- requests ------------------------------------------------------------------------------------


async def _request(meddler: Meddler, request: web.Request) -> web.StreamResponse:
    body = await request.read()
    is_sealed = request.path == OHTTP
    bodies = meddler.passes("request", body) if is_sealed else [body]
    if not bodies or HANG_UP in bodies:
        return _hung_up(request)
    for other in bodies[:-1]:
        async with _asking(meddler, request, other or b"") as unheard:
            await unheard.read()
    async with _asking(meddler, request, bodies[-1] or b"") as answer:
        is_changed = is_sealed and "answer" in meddler.changes
        return await (_changed if is_changed else _streamed)(meddler, request, answer)


def _asking(
    meddler: Meddler, request: web.Request, body: bytes
) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
    return request.app[SESSION].request(
        request.method,
        URL(meddler.target + request.raw_path, encoded=True),
        headers=_passed(request.headers.items()),
        data=body or None,
        allow_redirects=False,
    )


async def _streamed(
    meddler: Meddler, request: web.Request, answer: aiohttp.ClientResponse
) -> web.StreamResponse:
    """Pass an answer on as it comes."""
    response, whole = _same_head(answer), bytearray()
    await response.prepare(request)
    async for piece in answer.content.iter_any():
        whole += piece
        await response.write(piece)
    if request.path == OHTTP:  # before whoever asked knows that it is whole
        meddler.came["answer"].append(bytes(whole))
    await response.write_eof()
    return response


async def _changed(
    meddler: Meddler, request: web.Request, answer: aiohttp.ClientResponse
) -> web.StreamResponse:
    """Pass on what is left of an answer, with an end as if all were well."""
    pieces = meddler.passes("answer", await answer.read())
    if not pieces:
        return _hung_up(request)
    response = _same_head(answer)
    await response.prepare(request)
    for piece in pieces:
        if piece is HANG_UP:
            return _hung_up(request, response)
        await response.write(piece)
    await response.write_eof()
    return response


def _same_head(answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, reason=answer.reason)
    for name, value in _passed(answer.headers.items()):
        response.headers.add(name, value)
    return response


def _hung_up(
    request: web.Request, response: web.StreamResponse | None = None
) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.close()
    return response or web.Response()


# --- sockets -------------------------------------------------------------------------------------


async def _socket(meddler: Meddler, request: web.Request) -> web.StreamResponse:
    is_sealed = request.path.startswith(SOCKETS)
    opening = request.app[SESSION].ws_connect(
        URL(meddler.target + request.raw_path, encoded=True),
        headers=_passed(request.headers.items()),
        max_msg_size=0,
    )
    try:
        server = await opening
    except aiohttp.WSServerHandshakeError as error:
        return web.Response(status=error.status)
    async with server:
        client = web.WebSocketResponse(max_msg_size=0, compress=False)
        await client.prepare(request)
        ways: tuple[tuple[Kind, _Socket, _Socket], ...] = (
            ("up", client, server),
            ("down", server, client),
        )
        pumps = [
            asyncio.ensure_future(_pump(meddler, kind if is_sealed else None, source, sink))
            for kind, source, sink in ways
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        await server.close(code=_code(client))
        await client.close(code=_code(server))
    return client


async def _pump(meddler: Meddler, kind: Kind | None, source: _Socket, sink: _Socket) -> None:
    async for message in source:
        if message.type is aiohttp.WSMsgType.TEXT:
            await sink.send_str(message.data)
            continue
        for frame in meddler.passes(kind, message.data) if kind else [message.data]:
            if frame is HANG_UP:
                return
            await sink.send_bytes(frame)


def _code(ended: _Socket) -> int:
    """Return the code that this end was closed with, as far as another may be."""
    code = ended.close_code
    return code if code and (1000 <= code <= 1003 or code >= 1007) else aiohttp.WSCloseCode.OK


def _passed(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() not in _NOT_PASSED]


# --- what can be done to a message ---------------------------------------------------------------


def dropped(_: bytes) -> Sequence[bytes]:
    """Nothing goes on."""
    return ()


def repeated(data: bytes) -> Sequence[bytes]:
    """The same twice."""
    return data, data


def flipped(at: int) -> Change:
    """One bit is another; ``at`` is the byte, from the end where it is negative."""

    def change(data: bytes) -> Sequence[bytes]:
        place = at % len(data)
        return (data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :],)

    return change


def cut(at: int) -> Change:
    """The rest is missing from ``at`` on, with an end as if that were all."""
    return lambda data: (data[:at],)


def cut_off(at: int) -> Change:
    """The rest is missing, and so is the connection."""
    return lambda data: (data[:at], HANG_UP)


def replaced(other: bytes) -> Change:
    """Another message goes on in its place."""
    return lambda _: (other,)


def from_the(number: int, change: Change) -> Change:
    """The first ones pass (``number`` of them), the others are changed."""
    return _counted(lambda count: count >= number, change)


def the(number: int, change: Change) -> Change:
    """One message is changed, by its number from 0; the others pass."""
    return _counted(lambda count: count == number, change)


def swapped(number: int) -> Change:
    """One message comes after the next one."""
    kept: list[bytes] = []
    count = 0

    def change(data: bytes) -> Sequence[bytes]:
        nonlocal count
        count += 1
        if count == number + 1:
            kept.append(data)
            return ()
        return (data, kept.pop()) if kept else (data,)

    return change


def _counted(is_meant: Callable[[int], bool], change: Change) -> Change:
    count = -1

    def counting(data: bytes) -> Sequence[bytes | None]:
        nonlocal count
        count += 1
        return change(data) if is_meant(count) else (data,)

    return counting
