"""What sealing costs the server: its layer around an application, in this process.

The client's half, which seals and reads, is another machine's and is not counted.
"""

from __future__ import annotations

import asyncio
import email.utils
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cczoo_verifier.sealed.exchange import Exchange
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bench.rows import Limit, detail, row
from bench.timing import in_turns
from cczoo_backend.keys import Keyring
from cczoo_backend.sealed.grouping import WINDOW
from cczoo_backend.sealed.layer import SealedLayer
from quote_generator.sealing.binary_http import RequestHead

OF_A_REQUEST = Limit(200)  # us of a processor
UP, DOWN = Limit(80, at_least=True), Limit(100, at_least=True)  # MB/s
BEYOND_THE_WINDOW = Limit(1)  # ms
IN_MEMORY = Limit(4)  # MB

REQUESTS, ROUNDS = 200, 15
PIECES, BULK_ROUNDS = 1_600, 3
PIECE = bytes(65_536)  # what uvicorn hands on at a time, and 105 MB in all
STREAMED = 60
ANSWER = b'{"status":true,"name":"Open WebUI"}'
TOKEN = "a" * 150  # as long as open-webui's

Body = Callable[[], AsyncIterator[bytes]]


@dataclass
class Call:
    """One request on its way in, as the server gets it."""

    path: str
    headers: dict[str, str]
    body: list[bytes]

    def scope(self) -> Scope:
        """The request's scope."""
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": self.path,
            "raw_path": self.path.encode(),
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "headers": [(name.encode(), value.encode()) for name, value in self.headers.items()],
            "state": {},
        }


class Server:
    """The layer with its keys, around an application."""

    def __init__(self, app: ASGIApp) -> None:
        self._keys = Keyring()
        self.layer = SealedLayer(app, self._keys, environ={}, loader_url=None, others=lambda: [])

    def exchange(self, length: int) -> Exchange:
        """A client's request with a body of so many bytes."""
        fields = {
            "date": email.utils.formatdate(usegmt=True),
            "authorization": f"Bearer {TOKEN}",
            "content-type": "application/json",
            "content-length": str(length),
            "accept": "application/json",
            "accept-encoding": "tee-padded",
            "accept-language": "en-US, en",
            "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        }
        encoded = tuple((name.encode(), value.encode()) for name, value in fields.items())
        head = RequestHead("POST", "http", "127.0.0.1", "/api/version", encoded)
        return Exchange(self._keys.current().keys[0].config, head)

    def sealed(self, body: bytes) -> Call:
        """A sealed request, ready to be sent."""
        exchange = self.exchange(len(body))
        return Call("/api/v1/tee/ohttp", exchange.headers, [exchange.end(body)])


async def _answers(scope: Scope, receive: Receive, send: Send) -> None:
    """The application: it reads its request, and answers at once."""
    while (await receive()).get("more_body", False):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


def time_sealed_layer() -> None:
    """A request through the layer, bodies of 105 MB, and how long a piece of a stream waits."""
    _time_requests()
    _time_bodies()
    _time_stream()


# One request


def _time_requests() -> None:
    server = Server(_answers)
    sealed, plain = in_turns(
        ROUNDS,
        lambda: _processor_us(server.layer, [server.sealed(ANSWER) for _ in range(REQUESTS)]),
        lambda: _processor_us(server.layer, [_plain(ANSWER)] * REQUESTS),
    )
    name = "sealed: a request in the server's layer"
    row(name, sealed - plain, "through it in plain", plain, limit=OF_A_REQUEST)


def _plain(body: bytes) -> Call:
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    return Call("/api/version", headers, [body])


def _processor_us(app: ASGIApp, calls: list[Call]) -> float:
    """Microseconds of the processor for each call, one after the other."""

    async def ask() -> float:
        began = time.process_time()
        for call in calls:
            await _ask(app, call)
        return 1e6 * (time.process_time() - began) / len(calls)

    return asyncio.run(ask())


async def _ask(app: ASGIApp, call: Call) -> None:
    pieces = iter(call.body)
    left = len(call.body)
    status = 0

    async def receive() -> Message:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": next(pieces), "more_body": left > 0}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    await app(call.scope(), receive, send)
    if status != 200:
        raise RuntimeError(f"answered with {status}")


# Bodies


def _time_bodies() -> None:
    up = max(asyncio.run(_upload()) for _ in range(BULK_ROUNDS))
    down = max(asyncio.run(_download()) for _ in range(BULK_ROUNDS))
    plain = _copying()
    row("sealed: 105 MB up through the layer", up, "copying them", plain, "MB", limit=UP)
    row("sealed: 105 MB down through the layer", down, "copying them", plain, "MB", limit=DOWN)
    detail("memory at its most, up", _most_memory(_upload), "MB", limit=IN_MEMORY)
    detail("memory at its most, down", _most_memory(_download), "MB", limit=IN_MEMORY)


def _copying() -> float:
    began = time.perf_counter()
    for _ in range(PIECES):
        bytearray(PIECE)
    return _rate(time.perf_counter() - began)


def _rate(seconds: float) -> float:
    """MB/s of a body in that time."""
    return PIECES * len(PIECE) / 1e6 / seconds


async def _upload() -> float:
    """MB/s that the layer takes in; the client's time is taken off."""
    taken = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal taken
        while True:
            message = await receive()
            taken += len(message.get("body", b""))
            if not message.get("more_body", False):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    server = Server(app)
    exchange = server.exchange(PIECES * len(PIECE))
    others = 0.0

    def pieces() -> Iterator[bytes]:
        for _ in range(PIECES):
            yield exchange.part(PIECE)
        yield exchange.end()

    coming = pieces()
    left = PIECES + 1

    async def receive() -> Message:
        nonlocal others, left
        began = time.perf_counter()
        left -= 1
        message = {"type": "http.request", "body": next(coming), "more_body": left > 0}
        others += time.perf_counter() - began
        return message

    async def send(message: Message) -> None:
        pass

    call = Call("/api/v1/tee/ohttp", exchange.headers, [])
    began = time.perf_counter()
    await server.layer(call.scope(), receive, send)
    passed = time.perf_counter() - began - others
    if taken != PIECES * len(PIECE):
        raise RuntimeError(f"{taken} bytes came through")
    return _rate(passed)


async def _download() -> float:
    """MB/s that the layer gives out."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(PIECES):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    server = Server(app)
    call = server.sealed(b"")
    sent = 0

    async def receive() -> Message:
        return {"type": "http.request", "body": call.body[0], "more_body": False}

    async def send(message: Message) -> None:
        nonlocal sent
        sent += len(message.get("body", b""))

    began = time.perf_counter()
    await server.layer(call.scope(), receive, send)
    passed = time.perf_counter() - began
    if sent < PIECES * len(PIECE):
        raise RuntimeError(f"{sent} bytes came through")
    return _rate(passed)


def _most_memory(work: Callable[[], Awaitable[Any]]) -> float:
    """MB that were in use at once, beyond what was there before."""

    async def run() -> None:
        await work()

    tracemalloc.start()
    try:
        asyncio.run(run())
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


# Streams


def _time_stream() -> None:
    delay, plain = asyncio.run(_delay(sealed=True)), asyncio.run(_delay(sealed=False))
    beyond = delay - 1000 * WINDOW
    name = "sealed: a streamed piece, beyond the window"
    row(name, beyond, "through it in plain", plain, "ms", limit=BEYOND_THE_WINDOW)
    detail("the window", 1000 * WINDOW, "ms", limit=Limit(16))


async def _delay(*, sealed: bool) -> float:
    """The median milliseconds from the application's piece to the one that leaves."""
    given = 0.0
    waits: list[float] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal given
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(STREAMED):
            given = time.perf_counter()
            await send({"type": "http.response.body", "body": ANSWER, "more_body": True})
            await asyncio.sleep(3 * WINDOW)
        await send({"type": "http.response.body", "body": b""})

    server = Server(app)
    call = server.sealed(b"") if sealed else _plain(b"")

    async def receive() -> Message:
        return {"type": "http.request", "body": call.body[0], "more_body": False}

    async def send(message: Message) -> None:
        if message.get("more_body", False):
            waits.append(time.perf_counter() - given)

    await server.layer(call.scope(), receive, send)
    return 1000 * sorted(waits)[len(waits) // 2]
