"""An answer of the app on its way out: grouped, padded and sealed."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Send

from quote_generator.sealing import padding
from quote_generator.sealing.binary_http import (
    END,
    ResponseHead,
    encode_content,
    encode_response_head,
)
from quote_generator.sealing.chunked_ohttp import CHUNK_MAX, MEDIA_RESPONSE, ResponseSealer

from .grouping import Grouping

# What is in the body matters to nobody on the way, and is not to be kept or waited for there.
OUTER_HEADERS = [
    (b"content-type", MEDIA_RESPONSE.encode()),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-accel-buffering", b"no"),
]
BUCKET = 16_384
WRITE_MAX = padding.RECORD_DATA_MAX + padding.RECORD_HEAD

# Of one connection, which is another one outside.
_DROPPED = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"upgrade"})
_CODING = padding.CODING.encode()
_LENGTH_FIELD = padding.LENGTH_FIELD.encode()


class SealedAnswer:
    """Seals what the app sends; ``send`` is the outer request's.

    With ``is_padded``, the client asked for the coding ``tee-padded``: what goes out together is
    filled up to a bucket. Without, only the answer's whole length is.
    """

    def __init__(self, send: Send, sealer: ResponseSealer, *, is_padded: bool) -> None:
        self._outer_send = send
        self._sealer = sealer
        self._is_padded = is_padded
        self._head: bytes | None = None
        self._pending = bytearray()
        self._length = 0  # of what was sent, unsealed
        self._sending = asyncio.Lock()
        self._grouping = Grouping(self._flush)
        self.has_begun = False
        self.is_complete = False

    async def send(self, message: Message) -> None:
        """Take a message of the app's; return when there is room for the next one."""
        self._grouping.check()
        if message["type"] == "http.response.start":
            self._head = encode_response_head(self._head_of(message))
            if not _says_its_length(message):
                self._grouping.arm()
        elif message["type"] == "http.response.body":
            self._pending += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish()
            elif self._full_part():
                await self._flush_full()
            elif self._pending:
                self._grouping.arm()

    async def close(self) -> None:
        """Begin nothing more; wait for what is under way."""
        await self._grouping.end()

    def _head_of(self, message: Message) -> ResponseHead:
        """Return the answer's head, which says of the coding ``tee-padded`` that it is on top."""
        fields, codings = [], []
        for written, value in message.get("headers", ()):
            name = written.lower()
            if name in _DROPPED:
                continue
            if self._is_padded and name == b"content-encoding":
                codings.append(value)
            elif self._is_padded and name == b"content-length":
                fields.append((_LENGTH_FIELD, value))
            else:
                fields.append((name, value))
        if self._is_padded:
            fields.append((b"content-encoding", b", ".join([*codings, _CODING])))
        return ResponseHead(message["status"], tuple(fields))

    async def _finish(self) -> None:
        async with self._sending:
            self._grouping.disarm()
            while len(self._pending) > padding.RECORD_DATA_MAX:
                await self._write(self._full_part() or padding.RECORD_DATA_MAX)
            self.is_complete = True
            await self._write(len(self._pending), is_last=True)

    async def _flush(self) -> None:
        """Send what is pending, if only that the answer has begun."""
        async with self._sending:
            while (self._pending or not self.has_begun) and not self.is_complete:
                await self._write(min(len(self._pending), padding.RECORD_DATA_MAX))

    async def _flush_full(self) -> None:
        """Send what fills whole buckets; what is over waits for more, or for the window's end."""
        async with self._sending:
            self._grouping.disarm()
            while size := self._full_part():
                await self._write(size)
            if self._pending:
                self._grouping.arm()

    def _full_part(self) -> int:
        """Return how many pending bytes fill whole buckets, with what stands beside them."""
        beside = padding.RECORD_HEAD + (0 if self.has_begun else len(self._head or b""))
        whole = min(len(self._pending) + beside, WRITE_MAX) // BUCKET * BUCKET
        return max(0, whole - beside)

    async def _write(self, size: int, *, is_last: bool = False) -> None:
        """Send ``size`` pending bytes, and before them the head where that is still to come."""
        data = bytes(memoryview(self._pending)[:size])
        del self._pending[:size]
        begins, self.has_begun = not self.has_begun, True
        plain = self._plain(data, begins=begins, is_last=is_last)
        self._length += len(plain)
        sealed = _seal(self._sealer, plain, is_last)
        if begins:
            start = {"type": "http.response.start", "status": 200, "headers": OUTER_HEADERS}
            await self._outer_send(start)
            sealed = self._sealer.start + sealed
        await self._outer_send(
            {"type": "http.response.body", "body": sealed, "more_body": not is_last}
        )

    def _plain(self, data: bytes, *, begins: bool, is_last: bool) -> bytes:
        head = (self._head or b"") if begins else b""
        if self._is_padded and begins:
            data = padding.encode_first_record(data, len(head))
        elif self._is_padded:
            data = padding.encode_record(data)
        plain = head + encode_content(data)
        if is_last:
            plain += END
            if not self._is_padded:
                plain += bytes(padding.filling(self._length + len(plain)))
        return plain


def _says_its_length(start: Message) -> bool:
    """Whether an answer is no stream: its body is at hand, and the head may go out with it."""
    return any(name.lower() == b"content-length" for name, _value in start.get("headers", ()))


def _seal(sealer: ResponseSealer, plain: bytes, is_last: bool) -> bytes:
    if not is_last:
        return sealer.chunks(plain)
    if len(plain) <= CHUNK_MAX:
        return sealer.final(plain)
    cut = (len(plain) - 1) // CHUNK_MAX * CHUNK_MAX
    return sealer.chunks(plain[:cut]) + sealer.final(plain[cut:])
