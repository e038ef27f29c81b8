"""A model server that speaks the OpenAI protocol and says what it heard, or what it shall.

python -m doubles.model [--port N] [--delay SECONDS] [--model NAME ...] [--cloud NAME ...]

GET  /v1/models                 one model, "stub", or those of the command line
POST /v1/chat/completions       "You said: <the last message>", streamed word by word or at once
POST /v1/embeddings             the same small vector for every text
POST /v1/audio/transcriptions   what was spoken, whatever was
POST /v1/audio/speech           a file of bytes that hold what is spoken
GET  /api/tags, POST /api/show  the models of Ollama's cloud, which a local one lists as its own
POST /api/chat                  the same answer by Ollama's protocol, at once
GET  /requests                  every completion request's body so far
POST /control                   {"delay": seconds between words, "clear": forget the requests,
                                 "answer": the reply from now on, null to repeat what it is told,
                                 "answers": replies to what holds a text, before all others,
                                 "fault": what is wrong with every request, null for nothing,
                                 "spoken": what it takes every recording for}
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from .serving import command_line, run_double

MODEL = "stub"
CLOUD = "https://ollama.com:443"
CREATED = 1_800_000_000
VECTOR = [0.5] * 4
ORDERS = {"delay", "answer", "answers", "fault", "spoken"}


@dataclass
class State:
    """What the server was told, how slow it is, and what it says instead of repeating."""

    delay: float = 0.05
    answer: str | None = None
    answers: dict[str, str] = field(default_factory=dict)
    fault: str | None = None
    spoken: str = ""
    models: Sequence[str] = (MODEL,)
    cloud: Sequence[str] = ()
    requests: list[Any] = field(default_factory=list)

    def reply(self, messages: Sequence[dict[str, Any]]) -> str:
        """What it answers: to what it knows, to anything, or what it is told."""
        told = text_of(messages[-1])
        for part, answer in self.answers.items():
            if part in told:
                return answer
        return reply_to(messages) if self.answer is None else self.answer


def create_app(state: State) -> FastAPI:
    """The model server as an ASGI application."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/v1/models")
    async def models() -> Response:
        entry = {"object": "model", "created": CREATED, "owned_by": "doubles"}
        data = [{"id": name, **entry} for name in state.models]
        return JSONResponse({"object": "list", "data": data})

    @app.post("/v1/chat/completions")
    async def completions(request: Request) -> Response:
        body = await request.json()
        state.requests.append(body)
        if state.fault is not None:
            return JSONResponse({"error": {"message": state.fault}}, 400)
        text = state.reply(body["messages"])
        if body.get("stream"):
            return StreamingResponse(_stream(text, state), media_type="text/event-stream")
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

    @app.get("/api/version")
    async def version() -> Response:
        return JSONResponse({"version": "0.12.0"})

    @app.get("/api/ps")
    async def loaded() -> Response:
        return JSONResponse({"models": []})

    @app.get("/api/tags")
    async def tags() -> Response:
        return JSONResponse({"models": [_cloud_model(name) for name in state.cloud]})

    @app.post("/api/show")
    async def show(request: Request) -> Response:
        return JSONResponse(_cloud_model((await request.json())["model"]))

    @app.post("/api/chat")
    async def chat(request: Request) -> Response:
        body = await request.json()
        state.requests.append(body)
        message = {"role": "assistant", "content": state.reply(body["messages"])}
        answer = {"model": body["model"], "message": message, "done": True, "done_reason": "stop"}
        return Response(json.dumps(answer) + "\n", media_type="application/x-ndjson")

    @app.post("/v1/audio/transcriptions")
    async def transcriptions() -> Response:
        return JSONResponse({"text": state.spoken})

    @app.post("/v1/audio/speech")
    async def speech(request: Request) -> Response:
        spoken = (await request.json())["input"]
        return Response(spoken.encode() * 100, media_type="audio/mpeg")

    @app.get("/requests")
    async def requests() -> Response:
        return JSONResponse(state.requests)

    @app.post("/control")
    async def control(request: Request) -> Response:
        orders = await request.json()
        if orders.pop("clear", False):
            state.requests.clear()
        unknown = orders.keys() - ORDERS
        if unknown:
            return JSONResponse({"error": f"no such order: {', '.join(unknown)}"}, 400)
        for name, value in orders.items():
            setattr(state, name, value)
        return JSONResponse({"delay": state.delay})

    return app


def reply_to(messages: Sequence[dict[str, Any]]) -> str:
    """The reply: the last message's text, repeated."""
    return f"You said: {text_of(messages[-1])}"


def text_of(message: dict[str, Any]) -> str:
    """The words of a message, beside its pictures."""
    content = message["content"]
    if isinstance(content, list):  # parts: text beside pictures
        content = " ".join(part.get("text", "") for part in content)
    return str(content)


def _cloud_model(name: str) -> dict[str, Any]:
    """A model of Ollama's cloud as a local Ollama lists it (api/types.go, 0.12)."""
    return {
        "name": name,
        "model": name,
        "remote_model": name.removesuffix("-cloud"),
        "remote_host": CLOUD,
        "modified_at": "2026-01-01T00:00:00Z",
        "size": 384,
        "digest": "875e8e3a629d" + "0" * 52,
        "details": {"format": "", "family": "gptoss", "families": ["gptoss"]},
        "capabilities": ["completion"],
    }


async def _stream(text: str, state: State) -> AsyncIterator[str]:
    words = text.split(" ")
    for index, word in enumerate(words):
        piece = word if index == len(words) - 1 else word + " "
        yield _event(_completion("chat.completion.chunk", {"delta": {"content": piece}}, None))
        await asyncio.sleep(state.delay)
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
    models = options.model or State.models
    state = State(delay=options.delay, models=models, cloud=options.cloud)
    return run_double(lambda _: create_app(state), options)


if __name__ == "__main__":
    sys.exit(main())
