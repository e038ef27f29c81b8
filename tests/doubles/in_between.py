"""A machine without TDX that passes a genuine TD's answers off as its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import httpx
from fastapi import FastAPI, Request, Response

TEE = "/api/v1/tee"


@dataclasses.dataclass
class InBetween:
    """It forwards what is about attestation to `td`, keeps what people type, and answers it."""

    td: str
    overheard: list[str] = dataclasses.field(default_factory=list)

    def app(self, _: str) -> FastAPI:
        """The machine as an ASGI application."""
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

        @app.get(TEE + "/{path:path}")
        def attestation(request: Request, path: str) -> Response:
            return _forward(f"{self.td}{TEE}/{path}", request.query_params)

        @app.post("/api/chat/completions")
        async def chat(request: Request) -> Response:
            self.overheard.append((await request.body()).decode())
            return Response("an answer that no TD gave")

        return app


def _forward(url: str, query: Mapping[str, str]) -> Response:
    answer = httpx.get(url, params=dict(query), trust_env=False, timeout=30)
    return Response(answer.content, answer.status_code, media_type=answer.headers["content-type"])
