"""A model server that speaks the OpenAI protocol and says what it heard, or what it shall.

python -m doubles.model [--port N] [--delay SECONDS] [--model NAME ...] [--cloud NAME ...]

GET  /v1/models                 one model, "stub", or those of the command line
POST /v1/chat/completions       "You said: <the last message>", streamed word by word or at once
POST /v1/embeddings             the same small vector for every text
POST /v1/audio/transcriptions   what was spoken, whatever was
POST /v1/audio/speech           a file of bytes that hold what is spoken
and Ollama's own routes (doubles.ollama), for the models of its cloud that a local one lists as its
own, and the orders of doubles.replies.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from . import ollama
from .replies import VECTOR, add_orders
from .serving import command_line, run_double

MODEL = "stub"
CREATED = 1_800_000_000


@dataclass
class State(ollama.State):
    """What it says, by either protocol, and the models that it has by OpenAI's."""

    names: Sequence[str] = (MODEL,)


def create_app(state: State) -> FastAPI:
    """The model server as an ASGI application."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/v1/models")
    async def models() -> Response:
        entry = {"object": "model", "created": CREATED, "owned_by": "doubles"}
        data = [{"id": name, **entry} for name in state.names]
        return JSONResponse({"object": "list", "data": data})

    @app.post("/v1/chat/completions")
    async def completions(request: Request) -> Response:
        body = await request.json()
        state.requests.append(body)
        if state.fault is not None:
            return JSONResponse({"error": {"message": state.fault}}, 400)
        if body.get("stream"):
            return StreamingResponse(_stream(body, state), media_type="text/event-stream")
        text = state.reply(body["messages"])
        message = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": 1, "completion_tokens": len(text.split()), "total_tokens": 1}
        return JSONResponse(_completion("chat.completion", {"message": message}) | {"usage": usage})

    @app.post("/v1/embeddings")
    async def embeddings(request: Request) -> Response:
        texts = (await request.json())["input"]
        count = 1 if isinstance(texts, str) else len(texts)
        data = [
            {"object": "embedding", "index": index, "embedding": VECTOR} for index in range(count)
        ]
        return JSONResponse({"object": "list", "data": data})

    @app.post("/v1/audio/transcriptions")
    async def transcriptions() -> Response:
        return JSONResponse({"text": state.spoken})

    @app.post("/v1/audio/speech")
    async def speech(request: Request) -> Response:
        spoken = (await request.json())["input"]
        return Response(spoken.encode() * 100, media_type="audio/mpeg")

    add_orders(app, state)
    ollama.add_routes(app, state)
    return app


async def _stream(body: dict[str, Any], state: State) -> AsyncIterator[str]:
    async for word in state.words(body):
        yield _event(_completion("chat.completion.chunk", {"delta": {"content": word}}, None))
    yield _event(_completion("chat.completion.chunk", {"delta": {}}))
    yield "data: [DONE]\n\n"


def _event(value: object) -> str:
    return f"data: {json.dumps(value)}\n\n"


def _completion(kind: str, choice: dict[str, Any], finish: str | None = "stop") -> dict[str, Any]:
    return {
        "id": "chatcmpl-stub",
        "object": kind,
        "created": CREATED,
        "model": MODEL,
        "choices": [{"index": 0, "finish_reason": finish, **choice}],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server."""
    parser = command_line(__doc__)
    parser.add_argument("--delay", type=float, default=State.delay, help="seconds between words")
    parser.add_argument("--model", action="append", help="repeatable; none: one, stub")
    parser.add_argument("--cloud", action="append", default=[], help="repeatable")
    options = parser.parse_args(argv)
    names = options.model or State.names
    state = State(delay=options.delay, names=names, cloud=options.cloud)
    return run_double(lambda _: create_app(state), options)


if __name__ == "__main__":
    sys.exit(main())
