"""A server with the kit's quote route over a simulated TD, and ways to misbehave."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse

from quote_generator import evidence
from quote_generator.simulator import Simulator

NONCE = bytes(range(32))
QUOTE_PATH = "/api/v1/tee/quote"


@dataclasses.dataclass(frozen=True)
class Attestation:
    """A quote as the attester gives it, on what it calls hardware."""

    quote: bytes
    transport: str = "configfs-tsm"
    provider: str = "tdx_guest"
    simulated: bool = False


def make_evidence(td: Simulator, nonce: bytes = NONCE, log: str | None = None, **quote: Any) -> Any:
    """An evidence document that answers the nonce and two others, as JSON would bring it."""
    others = [bytes([i]) * 16 for i in range(2)]
    documents = evidence.build_evidence(
        [others[0], nonce, others[1]],
        attest=lambda data: Attestation(td.quote(data, **quote)),  # type: ignore[arg-type,return-value]
        now=time.time(),
        aa_eventlog=log,
    )
    return json.loads(json.dumps(documents[1]))


@dataclasses.dataclass
class Chat:
    """The server: its TD, its mode, the API key that it asks for, and what it was sent."""

    td: Simulator
    mode: str = "good"
    token: str | None = None
    delay: float = 60.0  # in mode slow
    quote: dict[str, Any] = dataclasses.field(default_factory=dict)
    seen: list[str | None] = dataclasses.field(default_factory=list)

    def app(self, url: str) -> FastAPI:
        """The server as an ASGI application."""
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
            return JSONResponse(make_evidence(self.td, answered, **self.quote) | {"fresh": True})

        return app


async def _trickle() -> Any:
    while True:
        yield b" "
        await asyncio.sleep(0.05)
