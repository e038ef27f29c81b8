"""A server with the kit's quote route over a simulated TD, and ways to misbehave.

Sealed requests are opened by the kit's own layer, around routes of this server.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cczoo_backend.keys import Keyring
from cczoo_backend.sealed.layer import SealedLayer
from quote_generator import evidence
from quote_generator.simulator import Simulator

NONCE = bytes(range(32))
QUOTE_PATH = "/api/v1/tee/quote"
OHTTP_PATH = "/api/v1/tee/ohttp"
STATEMENT: dict[str, Any] = {"v": 1}


@dataclasses.dataclass(frozen=True)
class Attestation:
    """A quote as the attester gives it, on what it calls hardware."""

    quote: bytes
    transport: str = "configfs-tsm"
    provider: str = "tdx_guest"
    simulated: bool = False


def a_keyring(**clocks: Any) -> Keyring:
    """Keys that no timer erases."""
    return Keyring(later=lambda _seconds, _function: None, **clocks)


def make_evidence(
    td: Simulator,
    nonce: bytes = NONCE,
    log: str | None = None,
    keyset: Any = None,
    statement: Any = None,
    **quote: Any,
) -> Any:
    """An evidence document that answers the nonce and two others, as JSON would bring it.

    It binds keys where a keyset is given.
    """
    others = [bytes([i]) * 16 for i in range(2)]
    documents = evidence.build_evidence(
        [others[0], nonce, others[1]],
        attest=lambda data: Attestation(td.quote(data, **quote)),  # type: ignore[arg-type,return-value]
        now=time.time(),
        aa_eventlog=log,
        keyset=keyset,
        statement=(statement or STATEMENT) if keyset else None,
    )
    return json.loads(json.dumps(documents[1]))


@dataclasses.dataclass
class Chat:
    """The server: its TD, its mode, the API key that it asks for, and what it was sent.

    `keys` open sealed requests, and evidence names those of `shown` (None: the same). Without
    `sealing` there are none. `change` changes each sealed answer, `instead` answers in its place,
    and `change_evidence` changes a document of evidence. What `sections` state is bound by quotes,
    and shown to whoever has the API key `account`; `change_stated` changes what is shown. The app
    gives an `answer`, or what it was sent.
    """

    td: Simulator
    mode: str = "good"
    token: str | None = None
    delay: float = 60.0  # in mode slow
    quote: dict[str, Any] = dataclasses.field(default_factory=dict)
    seen: list[str | None] = dataclasses.field(default_factory=list)
    sealing: bool = True
    keys: Keyring = dataclasses.field(default_factory=a_keyring)
    shown: Keyring | None = None
    change: Callable[[bytes], bytes] | None = None
    change_evidence: Callable[[Any], Any] | None = None
    instead: ASGIApp | None = None
    sections: dict[str, Any] | None = None
    account: str | None = None
    change_stated: Callable[[Any], Any] | None = None
    answer: httpx.Response | None = None
    outer: list[dict[str, str]] = dataclasses.field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str], bytes]] = dataclasses.field(default_factory=list)

    def app(self, url: str) -> ASGIApp:
        """The server as an ASGI application."""
        return _Sealing(self, self._routes(url))

    def statement(self) -> dict[str, Any]:
        """What it states: the digests of its sections."""
        if self.sections is None:
            return STATEMENT
        hashes = {name: evidence.document_hash(one) for name, one in self.sections.items()}
        return {"v": 1, "sections": hashes}

    def _routes(self, url: str) -> FastAPI:
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

        @app.get(QUOTE_PATH)
        async def quote(request: Request, nonce: str) -> Response:
            self.seen.append(request.headers.get("authorization"))
            if self.mode == "slow":
                await asyncio.sleep(self.delay)
            if self.mode == "redirect":
                return RedirectResponse(url.replace("127.0.0.1", "localhost") + "/elsewhere")
            if self.mode == "garbage":
                return Response(b"<html>", media_type="text/html")
            if self.mode == "endless":
                return StreamingResponse(iter(lambda: b" " * 65536, b""))
            if self.mode == "trickle":
                return StreamingResponse(_trickle())
            if self.token and self.seen[-1] != f"Bearer {self.token}":
                return JSONResponse({"status": False, "code": "x", "detail": "who are you?"}, 401)
            if self.mode == "no-tdx":
                detail = "no TDX \x1b[31mhere"
                return JSONResponse({"status": False, "code": "y", "detail": detail}, 503)
            if self.mode == "busy":
                body = {"status": False, "code": "busy", "detail": "later"}
                return JSONResponse(body, 503, {"Retry-After": "7"})
            answered = bytes(32) if self.mode == "replay" else evidence.parse_nonce(nonce)
            keyset = (self.shown or self.keys).current().document if self.sealing else None
            document = make_evidence(
                self.td, answered, keyset=keyset, statement=self.statement(), **self.quote
            )
            if self.account and self.seen[-1] == f"Bearer {self.account}":
                document["statement_sections"] = self.sections
            changed = self.change_evidence(document) if self.change_evidence else document
            return JSONResponse(changed | {"fresh": True})

        @app.get("/api/v1/tee/sealed")
        async def sealed(request: Request) -> Response:
            return JSONResponse({"v": 1, "sealed": request.scope["state"].get("tee_sealed", False)})

        @app.get("/api/v1/tee/statement")
        async def stated(request: Request) -> Response:
            self.seen.append(request.headers.get("authorization"))
            if self.account is None or self.seen[-1] != f"Bearer {self.account}":
                return JSONResponse({"status": False, "code": "x", "detail": "who are you?"}, 401)
            shown = {"v": 1, "statement": self.statement(), "sections": self.sections}
            return JSONResponse(self.change_stated(shown) if self.change_stated else shown)

        @app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "HEAD"])
        async def echo(request: Request, path: str) -> Response:
            body = await request.body()
            headers = dict(request.headers)
            target = b"?".join([request.scope["raw_path"], request.scope["query_string"]])
            self.asked.append((request.method, target.decode(), headers, body))
            if self.answer is not None:
                own = self.answer
                return Response(own.content, own.status_code, dict(own.headers))
            if path == "stream":
                return StreamingResponse(_words(), media_type="text/event-stream")
            if path == "endless":
                return StreamingResponse(_endless())
            if path == "redirect":
                return RedirectResponse("https://elsewhere.example/")
            if path == "broken":
                return StreamingResponse(_broken())
            answer = Response(body, media_type="application/octet-stream")
            answer.set_cookie("chat", "crumbs")
            return answer

        return app


class _Sealing:
    """The layer that opens sealed requests, with who stands in between."""

    def __init__(self, chat: Chat, app: ASGIApp) -> None:
        self._chat, self._app = chat, app
        self._layers: dict[int, tuple[Keyring, SealedLayer]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        chat = self._chat
        if scope["type"] != "http" or not chat.sealing:
            await self._app({"state": {}, **scope}, receive, send)
            return
        if scope["path"] == OHTTP_PATH:
            chat.outer.append({n.decode(): v.decode("latin-1") for n, v in scope["headers"]})
            if chat.instead:
                await chat.instead(scope, receive, send)
                return
            if chat.change:
                send = _changed(send, chat.change)
        await self._layer()({"state": {}, **scope}, receive, send)

    def _layer(self) -> SealedLayer:
        keys = self._chat.keys
        if id(keys) not in self._layers:
            layer = SealedLayer(
                self._app,
                keys,
                environ={},
                loader_url=None,
                others=list,
                statement_holds=self._holds,
            )
            self._layers[id(keys)] = keys, layer
        return self._layers[id(keys)][1]

    async def _holds(self, hash: str) -> bool:  # noqa: A002 - the field's name
        return hash == evidence.document_hash(self._chat.statement())


def _changed(send: Send, change: Callable[[bytes], bytes]) -> Send:
    """Sends an answer as a whole, changed."""
    parts: list[bytes] = []

    async def changed(message: Message) -> None:
        if message["type"] == "http.response.body":
            parts.append(message.get("body", b""))
            if message.get("more_body"):
                return
            message = {**message, "body": change(b"".join(parts))}
        await send(message)

    return changed


async def _words() -> Any:
    for number in range(5):
        yield f"data: word {number}\n\n"
        await asyncio.sleep(0.02)


async def _endless() -> Any:
    while True:
        yield b"x" * 65536
        await asyncio.sleep(0)  # or nobody hears that the client has gone


async def _broken() -> Any:
    yield b"half of it"
    await asyncio.sleep(0.05)
    raise RuntimeError("the app failed on its way")


async def _trickle() -> Any:
    while True:
        yield b" "
        await asyncio.sleep(0.05)
