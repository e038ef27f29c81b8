"""A model server that speaks the OpenAI protocol and says what it heard, or what it shall.

python -m doubles.model [--port N] [--delay SECONDS]

GET  /v1/models             one model, "stub"
POST /v1/chat/completions   "You said: <the last message>", streamed word by word or at once
GET  /requests              every completion request's body so far
POST /control               {"delay": seconds between words, "clear": forget the requests,
                             "answer": the reply from now on, null to repeat what it is told}
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
CREATED = 1_800_000_000


@dataclass
class State:
    """What the server was told, how slow it is, and what it says instead of repeating."""

    delay: float = 0.05
    answer: str | None = None
    requests: list[Any] = field(default_factory=list)


def create_app(state: State) -> FastAPI:
    """The model server as an ASGI application."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/v1/models")
    async def models() -> Response:
        entry = {"id": MODEL, "object": "model", "created": CREATED, "owned_by": "doubles"}
        return JSONResponse({"object": "list", "data": [entry]})

    @app.post("/v1/chat/completions")
    async def completions(request: Request) -> Response:
        body = await request.json()
        state.requests.append(body)
        text = state.answer if state.answer is not None else reply_to(body["messages"])
        if body.get("stream"):
            return StreamingResponse(_stream(text, state), media_type="text/event-stream")
        message = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": 1, "completion_tokens": len(text.split()), "total_tokens": 1}
        return JSONResponse(_completion("chat.completion", {"message": message}) | {"usage": usage})

    @app.get("/requests")
    async def requests() -> Response:
        return JSONResponse(state.requests)

    @app.post("/control")
    async def control(request: Request) -> Response:
        orders = await request.json()
        state.delay = float(orders.get("delay", state.delay))
        if orders.get("clear"):
            state.requests.clear()
        if "answer" in orders:
            state.answer = orders["answer"]
        return JSONResponse({"delay": state.delay})

    return app


def reply_to(messages: Sequence[dict[str, Any]]) -> str:
    """The reply: the last message's text, repeated."""
    content = messages[-1]["content"]
    if isinstance(content, list):  # parts: text beside pictures
        content = " ".join(part.get("text", "") for part in content)
    return f"You said: {content}"


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
    options = parser.parse_args(argv)
    state = State(delay=options.delay)
    return run_double(lambda _: create_app(state), options)


if __name__ == "__main__":
    sys.exit(main())
