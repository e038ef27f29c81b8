"""A sealed request as it arrives: opened piece by piece, as the app asks for its body."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable

from starlette.types import Message, Receive

from quote_generator.sealing.binary_http import Event, RequestDecoder, RequestHead
from quote_generator.sealing.chunked_ohttp import RequestOpener
from quote_generator.sealing.errors import KeyUnknown, SealingError, Truncated

HEAD_SECONDS = 30.0
"""How long a request may take until its head is there."""

PIECE_SECONDS = 60.0
"""How long the next piece of its body may take."""


class Gone(Exception):  # noqa: N818 - named for the state
    """Whoever asked has left, or is too slow."""


class Arrival:
    """Reads one request; never more of it than the app has asked for.

    ``is_new`` is asked once about the encapsulated key, when something has opened under it.
    """

    def __init__(
        self,
        receive: Receive,
        opener: RequestOpener,
        is_new: Callable[[bytes], bool],
        *,
        head_seconds: float = HEAD_SECONDS,
        piece_seconds: float = PIECE_SECONDS,
    ) -> None:
        self._receive = receive
        self._opener = opener
        self._is_new = is_new
        self._decoder = RequestDecoder()
        self._head_seconds = head_seconds
        self._piece_seconds = piece_seconds
        self._body: collections.deque[bytes] = collections.deque()
        self._reading = asyncio.Lock()
        self._is_whole = False
        self._is_delivered = False
        self._is_known = False
        self._head: RequestHead | None = None
        self.failure: Exception | None = None

    async def head(self) -> RequestHead:
        """Return the request's head, as soon as it is there.

        Raise Gone, or SealingError: KeyUnknown for a repeated request as for one that nobody here
        can open.
        """
        try:
            async with asyncio.timeout(self._head_seconds):
                while self._head is None:
                    if self._is_whole:
                        raise Truncated("the request ends before its head does")
                    await self._read()
        except TimeoutError:
            raise Gone from None
        return self._head

    async def receive(self) -> Message:
        """Return the app's next message about the request.

        Where it cannot be read on, the client counts as gone: no part is taken for the whole.
        """
        async with self._reading:
            if not self._is_delivered:
                return await self._next()
        while (message := await self._receive())["type"] != "http.disconnect":
            pass
        return message

    async def _next(self) -> Message:
        try:
            while not (self._body or self._is_whole) and self.failure is None:
                async with asyncio.timeout(self._piece_seconds):
                    await self._read()
        except (SealingError, Gone, TimeoutError) as error:
            self.failure = error
        if self.failure is not None:
            return {"type": "http.disconnect"}
        piece = self._body.popleft() if self._body else b""
        self._is_delivered = self._is_whole and not self._body
        return {"type": "http.request", "body": piece, "more_body": not self._is_delivered}

    async def _read(self) -> None:
        """Take in the next piece that arrives."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise Gone
        self._take(self._opener.feed(message.get("body", b"")))
        if not message.get("more_body", False):
            self._take([self._opener.end()])
            self._sort(self._decoder.end())
            self._is_whole = True

    def _take(self, pieces: list[bytes]) -> None:
        if self._opener.opened and not self._is_known:
            self._is_known = True
            if not self._is_new(self._opener.start or b""):
                raise KeyUnknown
        for piece in pieces:
            self._sort(self._decoder.feed(piece))

    def _sort(self, parts: list[Event]) -> None:
        for part in parts:
            if isinstance(part, RequestHead):
                self._head = part
            elif isinstance(part, bytes):
                self._body.append(part)
