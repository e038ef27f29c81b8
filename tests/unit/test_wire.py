"""doubles.wire: a proxy that would tell if words passed it in any spelling."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import string
from collections.abc import AsyncIterator, Callable, Iterator
from urllib.parse import quote

import aiohttp
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from doubles.serving import serving
from doubles.spellings import PART, RANDOM, new_canary, spellings
from doubles.wire import DOWN, UP, Wire, recorded

CANARY = new_canary("prompt")


async def echo(request: Request) -> Response:
    return Response(await request.body(), headers={"x-asked": request.url.path})


async def stream(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for character in CANARY:
            yield character.encode()

    return StreamingResponse(pieces())


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    await socket.send_bytes(CANARY.encode())
    await socket.close(4000)


@pytest.fixture
def wire() -> Iterator[Wire]:
    routes = [
        Route("/stream", stream),
        Route("/{path:path}", echo, methods=["GET", "POST"]),
        WebSocketRoute("/talk", talk),
    ]
    with serving(lambda _: Starlette(routes=routes), sockets=True) as url, recorded(url) as wire:
        yield wire


SPELLINGS: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "part": lambda text: text[-9:-1].encode(),
    "upper": lambda text: text.upper().encode(),
    "json": lambda text: json.dumps({"a": f"é{text}"}).encode(),
    "escaped": lambda text: "".join(f"\\u{ord(each):04x}" for each in text).encode(),
    "percent": lambda text: "".join(f"%{ord(each):02X}" for each in text).encode(),
    "hex": lambda text: binascii.hexlify(text.encode()),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64-1": lambda text: base64.b64encode(b"1" + text.encode()),
    "base64-2": lambda text: base64.urlsafe_b64encode(b"12" + text.encode()),
    "utf-16": lambda text: text.encode("utf-16"),
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_words_are_found_in_any_spelling(wire: Wire, spell: Callable[[str], bytes]) -> None:
    httpx.post(f"{wire.url}/other", content=b"nothing", trust_env=False)
    assert wire.find(CANARY) == []
    body = spell(CANARY)
    answer = httpx.post(f"{wire.url}/echo", content=body, trust_env=False)
    assert (answer.content, answer.headers["x-asked"]) == (body, "/echo")
    assert wire.find(CANARY) == [f"{UP} POST /echo", f"{DOWN} POST /echo"]
    assert wire.find(new_canary("prompt")) == []


def test_words_are_not_met_by_chance_in_hex() -> None:
    assert CANARY[-PART:].encode() in spellings(CANARY)
    assert set(CANARY[-RANDOM:]).isdisjoint(string.hexdigits)


def test_words_are_found_in_addresses_and_headers(wire: Wire) -> None:
    httpx.get(f"{wire.url}/a?q={quote(CANARY)}", trust_env=False)
    httpx.get(f"{wire.url}/b", headers={"authorization": f"Bearer {CANARY}"}, trust_env=False)
    assert wire.find(CANARY) == [f"{UP} GET /a?q={CANARY}", f"{UP} GET /b"]


def test_words_are_found_in_streams_however_they_are_cut(wire: Wire) -> None:
    assert httpx.get(f"{wire.url}/stream", trust_env=False).text == CANARY
    assert wire.find(CANARY) == [f"{DOWN} GET /stream"]


def test_words_are_found_in_sockets(wire: Wire) -> None:
    async def talk_to_it() -> list[object]:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{wire.url}/talk") as ws:
            await ws.send_str("hello")
            return [each.data async for each in ws] + [ws.close_code]

    assert asyncio.run(talk_to_it()) == ["hello", CANARY.encode(), 4000]
    assert wire.find(CANARY) == [f"{DOWN} WS /talk"]
    assert (wire.socket_sizes(UP), wire.socket_sizes(DOWN)) == ([5], [5, len(CANARY)])
