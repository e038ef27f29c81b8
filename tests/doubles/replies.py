"""What the doubles of model servers say, whatever the protocol, and the orders that they take.

GET  /requests                  every completion request's body so far
GET  /cut                       those whose answers somebody broke off
POST /control                   {"delay": seconds between words, "clear": forget the requests,
                                 "answer": the reply from now on, null to repeat what it is told,
                                 "answers": replies to what holds a text, before all others,
                                 "fault": what is wrong with every request, null for nothing,
                                 "spoken": what it takes every recording for}
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

VECTOR = [0.5] * 4
ORDERS = {"delay", "answer", "answers", "fault", "spoken"}


@dataclass
class Replies:
    """What the server was told, how slow it is, and what it says instead of repeating."""

    delay: float = 0.05
    answer: str | None = None
    answers: dict[str, str] = field(default_factory=dict)
    fault: str | None = None
    spoken: str = ""
    requests: list[Any] = field(default_factory=list)
    cut: list[Any] = field(default_factory=list)

    def reply(self, messages: Sequence[dict[str, Any]]) -> str:
        """What it answers: to what it knows, to anything, or what it is told."""
        told = text_of(messages[-1])
        for part, answer in self.answers.items():
            if part in told:
                return answer
        return reply_to(messages) if self.answer is None else self.answer

    async def words(self, body: dict[str, Any]) -> AsyncIterator[str]:
        """Yield the answer to a request's messages word by word; notes if it is broken off."""
        words = self.reply(body["messages"]).split(" ")
        is_whole = False
        try:
            for index, word in enumerate(words):
                yield word if index == len(words) - 1 else word + " "
                await asyncio.sleep(self.delay)
            is_whole = True
        finally:
            if not is_whole:
                self.cut.append(body)


def reply_to(messages: Sequence[dict[str, Any]]) -> str:
    """The reply: the last message's text, repeated."""
    return f"You said: {text_of(messages[-1])}"


def text_of(message: dict[str, Any]) -> str:
    """The words of a message, beside its pictures."""
    content = message["content"]
    if isinstance(content, list):  # parts: text beside pictures
        content = " ".join(part.get("text", "") for part in content)
    return str(content)


def add_orders(app: FastAPI, state: Replies) -> None:
    """Have a server take orders, and tell what it was asked."""

    @app.get("/requests")
    async def requests() -> Response:
        return JSONResponse(state.requests)

    @app.get("/cut")
    async def cut() -> Response:
        return JSONResponse(state.cut)

    @app.post("/control")
    async def control(request: Request) -> Response:
        orders = await request.json()
        if orders.pop("clear", False):
            state.requests.clear()
            state.cut.clear()
        unknown = orders.keys() - ORDERS
        if unknown:
            return JSONResponse({"error": f"no such order: {', '.join(unknown)}"}, 400)
        for name, value in orders.items():
            setattr(state, name, value)
        return JSONResponse({"delay": state.delay})
