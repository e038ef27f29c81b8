"""Sealed requests and answers as they stream: both ways, slowly, broken off, large, many."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from host_double import run
from sealed_double import (
    OHTTP,
    Asked,
    SealedClient,
    a_keyring,
    now_as_date,
    outer_headers,
    seal,
    sealed_client,
    wait_until,
)
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from cczoo_backend.sealed.answer import SealedAnswer
from cczoo_backend.sealed.arrival import Arrival, Gone
from cczoo_backend.sealed.grouping import WINDOW, Grouping
from quote_generator.sealing import binary_http, chunked_ohttp, keyset
from quote_generator.sealing.errors import KeyUnknown
from quote_generator.sealing.keyset import KeyConfig

LARGE = 100 << 20
SLACK = 48 << 20
"""Bytes by which a process that streams LARGE ones may grow, garbage included."""


class Told:
    """What the app tells the test, and the other way round."""

    def __init__(self) -> None:
        self.given = 0
        self.cancelled = 0
        self.ended = 0
        self.go_on = threading.Event()


told = Told()


class NotedAnswer(StreamingResponse):
    """Notes how it ended, wherever that finds it.

    Its generator could not: what is cancelled while a piece is being sent leaves the generator
    to the garbage collector.
    """

    async def stream_response(self, send: Any) -> None:
        try:
            await super().stream_response(send)
        except asyncio.CancelledError:
            told.cancelled += 1
            raise
        finally:
            told.ended += 1


async def endless(_: Request) -> Response:
    """Gives pieces until it is cancelled; notes how many, and how it ended."""

    async def pieces() -> AsyncIterator[bytes]:
        while True:
            told.given += 1
            yield bytes(1 << 16)
            await asyncio.sleep(0.001)

    return NotedAnswer(pieces())


async def waiting(_: Request) -> Response:
    """Gives one piece, and the next one when the test says so."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        while not told.go_on.is_set():
            await asyncio.sleep(0.01)
        yield b"second"

    return NotedAnswer(pieces())


class Parrot:
    """Says each piece as it comes; the only one who reads (a StreamingResponse reads as well)."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more and (message := await receive())["type"] == "http.request":
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})


async def large(_: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(LARGE >> 16):
            yield bytes(1 << 16)

    return StreamingResponse(pieces(), headers={"content-length": str(LARGE)})


async def count(request: Request) -> Response:
    size = 0
    async for piece in request.stream():
        size += len(piece)
    return JSONResponse({"size": size, "length": request.headers.get("content-length")})


async def by_length(request: Request) -> Response:
    """Reads as engine.io does: as many bytes as ``content-length`` says, in one go."""
    length = int(request.headers["content-length"])
    body = await request.body()
    return JSONResponse({"same": len(body) == length})


async def pass_on(request: Request, call_next: Any) -> Response:
    response: Response = await call_next(request)
    response.headers["x-seen"] = "1"
    return response


def an_app(*middleware: Middleware) -> Starlette:
    return Starlette(
        routes=[
            Route("/endless", endless),
            Route("/waiting", waiting),
            Route("/parrot", Parrot(), methods=["POST"]),
            Route("/large", large),
            Route("/count", count, methods=["POST"]),
            Route("/length", by_length, methods=["POST"]),
        ],
        middleware=middleware,
    )


@pytest.fixture(scope="module", params=["app", "middleware"])
def client(request: pytest.FixtureRequest) -> Iterator[SealedClient]:
    """With and without the middleware that reads requests and answers by tasks of its own."""
    middleware = [Middleware(BaseHTTPMiddleware, dispatch=pass_on)]
    with sealed_client(an_app(*(middleware if request.param == "middleware" else []))) as made:
        yield made


@pytest.fixture(autouse=True)
def afresh() -> Iterator[None]:
    vars(told).update(vars(Told()))
    yield
    told.go_on.set()


class Outer:
    """The outer exchange by hand: what is sent and read when, and how it ends."""

    def __init__(self, client: SealedClient, asked: Asked, length: int | None = None) -> None:
        url = client.http.base_url
        self.opener = asked.sealer.response()
        self.socket = socket.create_connection((url.host, url.port or 80), timeout=60)
        size = len(asked.body) if length is None else length
        headers = {**asked.headers, "host": "x", "content-length": str(size)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.socket.sendall(f"POST {OHTTP} HTTP/1.1\r\n{lines}\r\n".encode())
        self.answer = self.socket.makefile("rb")
        self.head: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def next(self) -> bytes:
        """The next chunk of the transfer coding; empty at the answer's end."""
        if not self.head:
            while (line := self.answer.readline()) not in (b"\r\n", b""):
                self.head.append(line)
            assert self.head[0].startswith(b"HTTP/1.1 200")
        size = int(self.answer.readline() or b"0", 16)
        data = self.answer.read(size)
        self.answer.readline()
        return data

    def close(self) -> None:
        self.answer.close()
        self.socket.close()


@contextlib.contextmanager
def outer(client: SealedClient, asked: Asked, length: int | None = None) -> Iterator[Outer]:
    one = Outer(client, asked, length)
    try:
        yield one
    finally:
        one.close()


def test_an_answer_arrives_as_it_is_said(client: SealedClient) -> None:
    asked = client.seal("GET", "/waiting")
    with outer(client, asked) as exchange:
        exchange.send(asked.body)
        got = b""
        while b"first" not in got:  # nothing of the second: it waits for this
            got += b"".join(exchange.opener.feed(exchange.next()))
        assert b"second" not in got
        told.go_on.set()
        while piece := exchange.next():
            got += b"".join(exchange.opener.feed(piece))
        assert b"second" in got + exchange.opener.end()


def test_pieces_go_both_ways_while_both_are_open(client: SealedClient) -> None:
    sealer = chunked_ohttp.RequestSealer(client.config)
    head = binary_http.RequestHead("POST", "http", "x", "/parrot", ((b"date", now_as_date()),))
    pieces = [f"piece {number}".encode() for number in range(20)]
    sealed = [sealer.start + sealer.chunk(binary_http.encode_request_head(head))]
    sealed += [sealer.chunk(binary_http.encode_content(piece)) for piece in pieces]
    sealed.append(sealer.final(binary_http.END))
    asked = Asked(sealer, b"".join(sealed), client.config, outer_headers(client.config))
    decoder = binary_http.ResponseDecoder()
    with outer(client, asked) as exchange:
        exchange.send(sealed[0])
        for piece, data in zip(pieces, sealed[1:-1], strict=True):
            exchange.send(data)
            heard = b""
            while heard != piece:
                for opened in exchange.opener.feed(exchange.next()):
                    heard += b"".join(p for p in decoder.feed(opened) if isinstance(p, bytes))
        exchange.send(sealed[-1])
        while exchange.next():
            pass


@pytest.mark.parametrize("path", ["/endless", "/waiting"])
def test_a_client_that_leaves_cancels_the_apps_work_once(client: SealedClient, path: str) -> None:
    asked = client.seal("GET", path)
    with outer(client, asked) as exchange:
        exchange.send(asked.body)
        exchange.next()
    wait_until(lambda: told.ended)
    assert (told.cancelled, told.ended) == (1, 1)


def test_a_client_that_does_not_read_is_waited_for(client: SealedClient) -> None:
    asked = client.seal("GET", "/endless")
    with outer(client, asked) as exchange:
        exchange.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        exchange.send(asked.body)
        seen = [-1]

        def stands_still() -> bool:
            seen.append(told.given)
            threading.Event().wait(0.3)
            return told.given == seen[-1] > 0

        wait_until(stands_still)
        assert told.given << 16 < 32 << 20  # buffers of kernel and server
    wait_until(lambda: told.ended)


def test_an_upload_that_breaks_off_is_none(client: SealedClient) -> None:
    asked = client.seal("POST", "/count", bytes(100_000), chunks=5)
    with outer(client, asked) as exchange:
        exchange.send(asked.body[:50_000])
        exchange.socket.shutdown(socket.SHUT_WR)
        rest = exchange.answer.read()
    assert b'"size"' not in rest
    assert client.ask("POST", "/count", b"x").status == 200  # and the server goes on


def resident() -> int:
    """Bytes that this process, the server's as well, has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_a_large_download_takes_no_memory(client: SealedClient) -> None:
    asked, size = client.seal("GET", "/large"), 0
    opener, decoder = asked.sealer.response(), binary_http.ResponseDecoder()
    before, most = resident(), 0
    with client.http.stream("POST", OHTTP, content=asked.body, headers=asked.headers) as answer:
        for piece in answer.iter_raw():
            for opened in opener.feed(piece):
                size += sum(len(p) for p in decoder.feed(opened) if isinstance(p, bytes))
            most = max(most, resident())
        decoder.feed(opener.end())
    assert size >= LARGE
    assert most - before < SLACK


def test_a_large_upload_takes_no_memory(client: SealedClient) -> None:
    sealer = chunked_ohttp.RequestSealer(client.config)
    fields = ((b"date", now_as_date()), (b"content-length", str(LARGE).encode()))
    head = binary_http.RequestHead("POST", "http", "x", "/count", fields)
    asked = Asked(sealer, b"", client.config, outer_headers(client.config))
    before, most = resident(), [0]

    def sealed() -> Iterator[bytes]:
        yield sealer.start + sealer.chunk(binary_http.encode_request_head(head))
        for _ in range(LARGE >> 15):
            yield sealer.chunk(binary_http.encode_content(bytes(1 << 15)))
            most[0] = max(most[0], resident())
        yield sealer.final(binary_http.END)

    answer = client.http.post(OHTTP, content=sealed(), headers=asked.headers)
    assert json.loads(asked.opened(answer.content).content) == {"size": LARGE, "length": str(LARGE)}
    assert most[0] - before < SLACK


@pytest.mark.parametrize("size", [1, 1000, 70_000, 1 << 20])
def test_a_body_is_as_long_as_its_header_says(client: SealedClient, size: int) -> None:
    answer = client.ask("POST", "/length", bytes(size), chunks=3)
    assert json.loads(answer.content) == {"same": True}


def test_several_clients_at_once_each_get_their_own(client: SealedClient) -> None:
    wrong: list[object] = []

    def many(number: int) -> None:
        for turn in range(10):
            body = f"{number} {turn} ".encode() * 3000
            answer = client.ask("POST", "/parrot", body)
            if answer.content != body:
                wrong.append((number, turn))

    threads = [threading.Thread(target=many, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert wrong == []


# In this process: what waits, and for how long


def config() -> KeyConfig:
    return keyset.parse_keyset(dict(a_keyring().current().document)).preferred


async def silent() -> Any:
    await asyncio.Event().wait()


def test_a_request_without_a_head_is_not_waited_for_without_end() -> None:
    async def scenario() -> None:
        opener = chunked_ohttp.RequestOpener({})
        arrival = Arrival(silent, opener, lambda _: True, head_seconds=0.01)
        with pytest.raises(Gone):
            await arrival.head()

    run(scenario)


def arriving(asked: Asked, keys: Any, pieces: list[bytes], **options: Any) -> Arrival:
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]

    async def receive() -> Any:
        return messages.pop(0) if messages else await silent()

    live = {number: key.private for number, key in keys.live().items()}
    return Arrival(receive, chunked_ohttp.RequestOpener(live), lambda _: True, **options)


def test_a_body_that_stops_counts_as_broken_off() -> None:
    keys = a_keyring()
    own = keyset.parse_keyset(dict(keys.current().document)).preferred
    asked = seal(own, "POST", "/", bytes(1000), chunks=4)

    async def scenario() -> None:
        arrival = arriving(asked, keys, [asked.body[:900]], piece_seconds=0.05)
        assert (await arrival.head()).method == "POST"
        seen = [await arrival.receive()]
        while seen[-1]["type"] == "http.request":
            assert seen[-1]["more_body"]
            seen.append(await arrival.receive())
        assert seen[-1] == {"type": "http.disconnect"}
        assert arrival.failure is not None

    run(scenario)


def test_no_more_is_read_than_the_app_asks_for() -> None:
    keys = a_keyring()
    own = keyset.parse_keyset(dict(keys.current().document)).preferred
    asked = seal(own, "POST", "/", bytes(100_000), chunks=50)
    read: list[int] = []
    pieces = [asked.body[at : at + 2500] for at in range(0, len(asked.body), 2500)]

    async def scenario() -> None:
        async def receive() -> Any:
            read.append(1)
            return {"type": "http.request", "body": pieces[len(read) - 1], "more_body": True}

        live = {number: key.private for number, key in keys.live().items()}
        arrival = Arrival(receive, chunked_ohttp.RequestOpener(live), lambda _: True)
        await arrival.head()
        assert len(read) <= 2
        await arrival.receive()
        assert len(read) <= 4

    run(scenario)


def test_what_is_not_new_is_found_before_anything_of_it_is_used() -> None:
    keys = a_keyring()
    own = keyset.parse_keyset(dict(keys.current().document)).preferred
    asked = seal(own, "POST", "/", b"words")
    live = {number: key.private for number, key in keys.live().items()}

    async def scenario() -> None:
        async def receive() -> Any:
            return {"type": "http.request", "body": asked.body, "more_body": False}

        arrival = Arrival(receive, chunked_ohttp.RequestOpener(live), lambda _: False)
        with pytest.raises(KeyUnknown):
            await arrival.head()

    run(scenario)


def sealed_answer(sent: list[Any]) -> tuple[SealedAnswer, chunked_ohttp.ResponseOpener]:
    keys = a_keyring()
    own = keyset.parse_keyset(dict(keys.current().document)).preferred
    asked = seal(own, "GET", "/")
    opener = chunked_ohttp.RequestOpener({n: key.private for n, key in keys.live().items()})
    opener.feed(asked.body)
    opener.end()

    async def send(message: Any) -> None:
        sent.append(message)

    return SealedAnswer(send, opener.response(os.urandom), is_padded=True), asked.sealer.response()


def a_piece(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"x/y")]}


def test_pieces_of_a_moment_go_together_with_the_head() -> None:
    async def scenario() -> None:
        sent: list[Any] = []
        answer, opener = sealed_answer(sent)
        for message in (START, a_piece(b"a"), a_piece(b"ab"), a_piece(b"abc")):
            await answer.send(message)
        assert sent == []
        while len(sent) < 2:
            await asyncio.sleep(0.001)
        assert [message["type"] for message in sent] == [START["type"], "http.response.body"]
        (opened,) = opener.feed(sent[1]["body"])
        assert b"aababc" in opened
        await answer.send(a_piece(b"", more=False))
        await answer.close()
        assert len(sent) == 3

    run(scenario)


def test_an_answer_that_has_begun_is_told_though_nothing_follows() -> None:
    async def scenario() -> None:
        sent: list[Any] = []
        answer, opener = sealed_answer(sent)
        await answer.send(START)
        while len(sent) < 2:
            await asyncio.sleep(0.001)
        (opened,) = opener.feed(sent[1]["body"])
        (head, *_) = binary_http.ResponseDecoder().feed(opened)
        assert isinstance(head, binary_http.ResponseHead)
        await answer.close()

    run(scenario)


def test_an_answer_that_says_its_length_begins_with_its_body() -> None:
    """As files do, and the app's JSON: their bodies are at hand, and no clock has to be set."""

    async def scenario() -> None:
        sent: list[Any] = []
        answer, _ = sealed_answer(sent)
        await answer.send({**START, "headers": [(b"Content-Length", b"3")]})
        await asyncio.sleep(3 * WINDOW)
        assert sent == []
        await answer.send(a_piece(b"a"))
        while len(sent) < 2:
            await asyncio.sleep(0.001)
        await answer.send(a_piece(b"ll", more=False))
        await answer.close()
        assert len(sent) == 3

    run(scenario)


def test_a_whole_answer_and_a_full_bucket_wait_for_nothing() -> None:
    async def scenario() -> None:
        sent: list[Any] = []
        answer, _ = sealed_answer(sent)
        await answer.send(START)
        await answer.send(a_piece(b"all", more=False))
        assert len(sent) == 2
        assert sent[1]["more_body"] is False
        sent.clear()
        answer, _ = sealed_answer(sent)
        await answer.send(START)
        await answer.send(a_piece(bytes(16_384)))
        assert len(sent) == 2
        await answer.close()

    run(scenario)


def test_a_group_that_could_not_be_sent_is_told_the_next_time() -> None:
    async def scenario() -> None:
        tried = asyncio.Event()

        async def fails() -> None:
            tried.set()
            raise OSError("gone")

        grouping = Grouping(fails)
        grouping.arm()
        await tried.wait()
        await grouping.end()
        with pytest.raises(OSError, match="gone"):
            grouping.check()

    run(scenario)


def test_nothing_is_flushed_after_the_end() -> None:
    async def scenario() -> None:
        flushed: list[int] = []

        async def flush() -> None:
            flushed.append(1)

        grouping = Grouping(flush, window=0.0)
        grouping.arm()
        await grouping.end()
        await asyncio.sleep(0.02)
        assert flushed == []

    run(scenario)
