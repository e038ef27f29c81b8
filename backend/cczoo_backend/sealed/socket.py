"""One sealed socket: frames outside, the app's messages inside."""

from __future__ import annotations

import asyncio
import collections
import contextlib

from starlette.types import Message, Receive, Send

from quote_generator.sealing import frames
from quote_generator.sealing.errors import SealingError

from .grouping import Grouping

# RFC 6455, section 7.4.1
NORMAL, ABNORMAL, POLICY, INTERNAL = 1000, 1006, 1008, 1011

GROUP_BYTES = 16_384
"""What is pending is sent at once where it fills a bucket of that size."""


class SealedSocket:
    """Both directions of a socket under ``secret``; ``receive`` and ``send`` are the outer one's.

    A frame that does not open ends the socket: the app's side is told that it broke off (1006).
    """

    def __init__(self, secret: bytes, receive: Receive, send: Send) -> None:
        to_client, from_client = frames.server_keys(secret)
        self._sealer = frames.FrameSealer(to_client)
        self._opener = frames.FrameOpener(from_client, expects_open=False)
        self._outer_receive = receive
        self._outer_send = send
        self._arrived: collections.deque[frames.Message] = collections.deque()
        self._disconnect: Message | None = None
        self._pending: list[frames.Message] = []
        self._size = 0  # of what is pending
        self._sending = asyncio.Lock()
        self._grouping = Grouping(self._flush)
        self._is_connected = False
        self._is_accepted = False
        self._is_over = False  # nothing more can be sent

    async def receive(self) -> Message:
        """Return the next of the client's messages; the last one is a ``websocket.disconnect``."""
        if not self._is_connected:
            self._is_connected = True
            return await self._outer_receive()
        while self._disconnect is None:
            if not self._arrived:
                await self._read()
            elif message := await self._next():
                return message
        return self._disconnect

    async def send(self, message: Message) -> None:
        """Take a message of the app's; return when there is room. Raise OSError after the end."""
        kind = message["type"]
        if self._is_over:
            raise OSError("the socket is closed")
        self._grouping.check()
        if kind == "websocket.accept":
            self._is_accepted = True
            await self._outer_send({"type": "websocket.accept"})
            self._put(frames.Open(message.get("subprotocol") or ""))
            await self._flush()
        elif kind == "websocket.close":
            await self._close(message.get("code", NORMAL), message.get("reason") or "")
        elif kind == "websocket.send":
            await self._send(message)

    async def refuse(self, code: int, reason: str) -> Message:
        """Close, and return what the app gets in place of all that would have arrived."""
        await self._close(code, reason)
        self._arrived.clear()
        self._disconnect = _disconnect(code, reason)
        return self._disconnect

    async def end(self) -> None:
        """Close what the app, which has returned, left open."""
        if not self._is_over:
            await self._close(NORMAL, "")
        await self._grouping.end()

    async def drop(self) -> None:
        """Break off: the app has failed."""
        if not self._is_over:
            await self._end_outer(INTERNAL)
        await self._grouping.end()

    async def _read(self) -> None:
        """Take in what arrives next, all of it or nothing."""
        message = await self._outer_receive()
        if message["type"] == "websocket.disconnect":
            # Expected after an end that was said under seal, which is the only one that counts.
            self._disconnect = _disconnect(NORMAL if self._is_over else ABNORMAL)
            self._is_over = True
            return
        try:
            self._arrived += self._opener.open(message.get("bytes") or b"")
        except SealingError:
            self._disconnect = _disconnect(ABNORMAL)
            await self._end_outer(POLICY)

    async def _next(self) -> Message | None:
        """Return the app's form of what arrived first; None for the end, which is answered."""
        one = self._arrived.popleft()
        if isinstance(one, frames.Text):
            return {"type": "websocket.receive", "text": one.text}
        if isinstance(one, frames.Binary):
            return {"type": "websocket.receive", "bytes": one.data}
        if isinstance(one, frames.Close):
            await self._close(one.code, "")
            self._disconnect = _disconnect(one.code, one.reason)
        return None

    async def _send(self, message: Message) -> None:
        text = message.get("text")
        if text is not None:
            self._put(frames.Text(text), len(text))
        else:
            data = message["bytes"]
            self._put(frames.Binary(bytes(data)), len(data))
        if self._size >= GROUP_BYTES:
            await self._flush()
        else:
            self._grouping.arm()

    def _put(self, message: frames.Message, size: int = 0) -> None:
        self._pending.append(message)
        self._size += size

    async def _flush(self) -> None:
        async with self._sending:
            self._grouping.disarm()
            messages, self._pending, self._size = self._pending, [], 0
            if messages and not self._is_over:
                for frame in self._sealer.seal(messages):
                    await self._outer_send({"type": "websocket.send", "bytes": frame})

    async def _close(self, code: int, reason: str) -> None:
        """Say under seal that this is the end, and only then close outside."""
        if self._is_over:
            return
        if self._is_accepted:
            self._put(_closing(code, reason))
            with contextlib.suppress(OSError):
                await self._flush()
        await self._end_outer(NORMAL)

    async def _end_outer(self, code: int) -> None:
        self._is_over = True
        self._grouping.disarm()
        with contextlib.suppress(OSError, RuntimeError):  # it may have ended by itself
            await self._outer_send({"type": "websocket.close", "code": code})


def _closing(code: int, reason: str) -> frames.Close:
    """Return the close with the app's code and reason, as far as a socket can have them."""
    short = reason.encode("utf-8", "replace")[: frames.REASON_MAX].decode("utf-8", "ignore")
    return frames.Close(code if 1000 <= code <= 4999 else NORMAL, short)


def _disconnect(code: int, reason: str = "") -> Message:
    return {"type": "websocket.disconnect", "code": code, "reason": reason}
