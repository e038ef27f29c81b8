"""httpx transports that talk to nobody but the holder of a key: sync and async.

    client = httpx.Client(transport=SealedTransport("https://chat.example", keyset))

A request is sent again at most once because nobody knew the key, and once because the server states
something else than what was judged, each time to a holder that was verified anew; and once because
the clocks differ (RFC 9458, section 6.5.2). What does not come sealed is an error, and so is an
answer that ends before its end.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field

import anyio.to_thread
import httpx

from quote_generator.sealing.binary_http import ResponseHead
from quote_generator.sealing.chunked_ohttp import MEDIA_RESPONSE
from quote_generator.sealing.errors import SealingError
from quote_generator.sealing.keyset import Keyset

from ..waiting import asked_wait
from .errors import (
    Broken,
    Busy,
    KeyUnknown,
    NotRepeatable,
    NotSealed,
    SealedError,
    StatementChanged,
)
from .exchange import PATH, TOLD_MAX, Answer, Event, Exchange
from .inner import (
    Site,
    is_about_the_clock,
    may_be_about_the_statement,
    says_statement_changed,
    server_time,
)
from .keys import FixedKeys, Holder, Keys

_PIECE = 64 * 1024
"""Bytes of a body that are sealed at a time."""


class _Core:
    """What both transports have in common: everything but reading and writing."""

    def __init__(self, url: str, keys: Keys | Keyset, clock: Callable[[], float]) -> None:
        self._site = Site(url)
        self._keys = FixedKeys(keys) if isinstance(keys, Keyset) else keys
        self._clock, self._offset = clock, 0.0
        self._address = httpx.URL(self._site.base + PATH)

    def _exchange(self, request: httpx.Request, holder: Holder) -> Exchange:
        head = self._site.head(request, self._clock() + self._offset, holder.statement)
        try:
            return Exchange(holder.keyset.preferred, head)
        except SealingError as error:
            raise SealedError(error.code, f"the request cannot be sealed: {error}") from error

    def _outer(
        self, exchange: Exchange, request: httpx.Request, content: httpx._types.RequestContent
    ) -> httpx.Request:
        timeouts = {name: it for name, it in request.extensions.items() if name == "timeout"}
        return httpx.Request(
            "POST", self._address, headers=exchange.headers, content=content, extensions=timeouts
        )

    def _is_answer(self, head: ResponseHead, body: bytes, tries: _Tries) -> bool:
        """Whether an answer of which `may_not_count` holds is the app's own all the same.

        Raises StatementChanged where the server states something else than what was judged.
        """
        if may_be_about_the_statement(head):
            if tries.holder.statement is not None and says_statement_changed(body):
                raise StatementChanged(
                    "statement-changed",
                    "what the server states about itself is not what was judged: verify it again",
                )
            return True
        return not self._corrects(head, body)

    def _corrects(self, head: ResponseHead, body: bytes) -> bool:
        """Whether an answer said what time it is there; the clock is put right then."""
        there = server_time(head, body)
        if there is None:
            return False
        self._offset = there - self._clock()
        return True


_CLOCK = "clock"


@dataclass
class _Tries:
    """Whom a request is sealed to, and what it was sent again for: each thing counts once."""

    holder: Holder
    body: httpx.SyncByteStream | httpx.AsyncByteStream
    taken: set[str] = field(default_factory=set)

    def may_not_count(self, head: ResponseHead) -> bool:
        """Whether an answer may only say why the app was not asked."""
        is_late = _CLOCK not in self.taken and is_about_the_clock(head)
        return is_late or may_be_about_the_statement(head)

    def again(self, why: str, holder: Holder | None = None) -> None:
        """Take one try. Raises NotRepeatable where the body cannot be read once more."""
        self.taken.add(why)
        self.holder = holder or self.holder
        if not isinstance(self.body, httpx.ByteStream):
            raise NotRepeatable(
                "not-repeatable",
                "the server could not take the request, for a reason that is gone now; its body "
                "can be read only once: send it again",
            )


class SealedTransport(_Core, httpx.BaseTransport):
    """A transport for `httpx.Client` whose requests go sealed to the holder of a key, at `url`.

    `keys` are a keyset that was verified, or what gives its holder (`keys.Keys`). `outer` carries
    what is sealed; `clock` gives seconds since 1970. Raises SealedError, and what `outer` raises.
    """

    def __init__(
        self,
        url: str,
        keys: Keys | Keyset,
        *,
        outer: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(url, keys, clock)
        self._carrier = outer or httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request, sealed, and open its answer."""
        assert isinstance(request.stream, httpx.SyncByteStream)  # noqa: S101 - httpx's own contract
        self._site.head(request, 0.0)  # whose request it is comes before any key
        tries = _Tries(self._keys.current(), request.stream)
        while True:
            try:
                answer = self._send(request, tries)
            except (KeyUnknown, StatementChanged) as refusal:
                is_new = refusal.code not in tries.taken
                other = self._keys.renewed(tries.holder) if is_new else None
                if other is None:
                    raise
                tries.again(refusal.code, other)
                continue
            if answer is not None:
                return answer
            tries.again(_CLOCK)

    def close(self) -> None:
        """Close what carries the requests."""
        self._carrier.close()

    def _send(self, request: httpx.Request, tries: _Tries) -> httpx.Response | None:
        """The answer; None where all that it says is that the clocks differ."""
        exchange = self._exchange(request, tries.holder)
        assert isinstance(request.stream, httpx.SyncByteStream)  # noqa: S101 - as above
        content = _whole(exchange, request.stream)
        sent = content if content is not None else _sealed(exchange, request.stream)
        outer = self._carrier.handle_request(self._outer(exchange, request, sent))
        body: Iterator[bytes] = iter(outer.stream)  # type: ignore[arg-type]
        try:
            if not _is_sealed(outer):
                raise _why_not(outer, _told(body))
            events = _opened(exchange.answer(), body)
            head = _head(next(events, None))
            if not tries.may_not_count(head):
                return _response(head, _Body(events, outer))
            told = _collected(events)
            outer.close()
        except BaseException:
            outer.close()
            raise
        is_answer = self._is_answer(head, told, tries)
        return _response(head, httpx.ByteStream(told)) if is_answer else None


class AsyncSealedTransport(_Core, httpx.AsyncBaseTransport):
    """The same for `httpx.AsyncClient`. Verification runs in a thread of its own."""

    def __init__(
        self,
        url: str,
        keys: Keys | Keyset,
        *,
        outer: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(url, keys, clock)
        self._carrier = outer or httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request, sealed, and open its answer."""
        assert isinstance(request.stream, httpx.AsyncByteStream)  # noqa: S101 - httpx's own contract
        self._site.head(request, 0.0)
        holder = await anyio.to_thread.run_sync(self._keys.current)
        tries = _Tries(holder, request.stream)
        while True:
            try:
                answer = await self._send(request, tries)
            except (KeyUnknown, StatementChanged) as refusal:
                is_new = refusal.code not in tries.taken
                renewed = self._keys.renewed
                other = await anyio.to_thread.run_sync(renewed, tries.holder) if is_new else None
                if other is None:
                    raise
                tries.again(refusal.code, other)
                continue
            if answer is not None:
                return answer
            tries.again(_CLOCK)

    async def aclose(self) -> None:
        """Close what carries the requests."""
        await self._carrier.aclose()

    async def _send(self, request: httpx.Request, tries: _Tries) -> httpx.Response | None:
        """The answer; None where all that it says is that the clocks differ."""
        exchange = self._exchange(request, tries.holder)
        assert isinstance(request.stream, httpx.AsyncByteStream)  # noqa: S101 - as above
        content = _whole(exchange, request.stream)
        sent = content if content is not None else _async_sealed(exchange, request.stream)
        outer = await self._carrier.handle_async_request(self._outer(exchange, request, sent))
        body: AsyncIterator[bytes] = aiter(outer.stream)  # type: ignore[arg-type]
        try:
            if not _is_sealed(outer):
                raise _why_not(outer, await _async_told(body))
            events = _async_opened(exchange.answer(), body)
            head = _head(await anext(events, None))
            if not tries.may_not_count(head):
                return _response(head, _AsyncBody(events, outer))
            told = await _async_collected(events)
            await outer.aclose()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await outer.aclose()
            raise
        is_answer = self._is_answer(head, told, tries)
        return _response(head, httpx.ByteStream(told)) if is_answer else None


# --- requests ------------------------------------------------------------------------------------


def _whole(exchange: Exchange, stream: object) -> bytes | None:
    """The whole request, where its body is in memory and small."""
    if not isinstance(stream, httpx.ByteStream):
        return None
    body = b"".join(stream)
    return exchange.end(body) if len(body) <= _PIECE else None


def _sealed(exchange: Exchange, parts: Iterable[bytes]) -> Iterator[bytes]:
    for part in parts:
        for at in range(0, len(part), _PIECE):
            yield exchange.part(part[at : at + _PIECE])
    yield exchange.end()


async def _async_sealed(exchange: Exchange, parts: httpx.AsyncByteStream) -> AsyncIterator[bytes]:
    async for part in parts:
        for at in range(0, len(part), _PIECE):
            yield exchange.part(part[at : at + _PIECE])
    yield exchange.end()


# --- answers -------------------------------------------------------------------------------------


def _is_sealed(outer: httpx.Response) -> bool:
    kind = outer.headers.get("content-type", "").partition(";")[0].strip().lower()
    coding = outer.headers.get("content-encoding", "identity").lower()
    return bool(outer.status_code == 200 and kind == MEDIA_RESPONSE and coding == "identity")


def _why_not(outer: httpx.Response, told: bytes) -> KeyUnknown | Busy | NotSealed:
    """What an answer that is not sealed comes to; nothing of it is shown."""
    status, code = outer.status_code, _code(told)
    if status == 422 and code == "key-unknown":
        return KeyUnknown(
            "key-unknown",
            "nobody there knows the key: the server was started anew, or there are several behind "
            "one address (route by the header tee-key)",
        )
    if status == 429 or (status == 503 and code == "sealed-busy"):
        headers = {name.lower(): value for name, value in outer.headers.items()}
        return Busy(f"the server asks to wait: HTTP {status}", asked_wait(headers, time.time()))
    return NotSealed("not-sealed", f"the answer did not come sealed: HTTP {status}")


def _code(told: bytes) -> object:
    try:
        value = json.loads(told)
    except (ValueError, RecursionError):
        return None
    return value.get("code") if isinstance(value, dict) else None


def _told(body: Iterator[bytes]) -> bytes:
    told = b""
    while len(told) <= TOLD_MAX and (part := next(body, b"")):
        told += part
    return told[:TOLD_MAX]


async def _async_told(body: AsyncIterator[bytes]) -> bytes:
    told = b""
    while len(told) <= TOLD_MAX and (part := await anext(body, b"")):
        told += part
    return told[:TOLD_MAX]


def _opened(answer: Answer, body: Iterator[bytes]) -> Iterator[Event]:
    try:
        for data in body:
            yield from answer.feed(data)
        yield from answer.end()
    except SealingError as error:
        raise _broken(error) from error


async def _async_opened(answer: Answer, body: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    try:
        async for data in body:
            for event in answer.feed(data):
                yield event
        for event in answer.end():
            yield event
    except SealingError as error:
        raise _broken(error) from error


def _broken(error: SealingError) -> Broken:
    return Broken("sealed-broken", f"the answer was changed or cut on its way: {error}")


def _head(event: Event | None) -> ResponseHead:
    if not isinstance(event, ResponseHead):
        raise Broken("sealed-broken", "the answer has no head")
    return event


def _collected(events: Iterator[Event]) -> bytes:
    """The rest of an answer that should be short. Raises Broken for one that is not."""
    told = b""
    for event in events:
        told += _piece(event)
        _check_size(told)
    return told


async def _async_collected(events: AsyncIterator[Event]) -> bytes:
    told = b""
    async for event in events:
        told += _piece(event)
        _check_size(told)
    return told


def _check_size(told: bytes) -> None:
    if len(told) > TOLD_MAX:
        raise Broken("sealed-broken", f"an error of more than {TOLD_MAX} bytes")


def _piece(event: Event) -> bytes:
    assert isinstance(event, bytes)  # noqa: S101 - there is one head, which came first
    return event


def _response(
    head: ResponseHead, stream: httpx.SyncByteStream | httpx.AsyncByteStream
) -> httpx.Response:
    return httpx.Response(head.status, headers=list(head.fields), stream=stream)


class _Body(httpx.SyncByteStream):
    def __init__(self, events: Iterator[Event], outer: httpx.Response) -> None:
        self._events, self._outer = events, outer

    def __iter__(self) -> Iterator[bytes]:
        return map(_piece, self._events)

    def close(self) -> None:
        self._outer.close()


class _AsyncBody(httpx.AsyncByteStream):
    def __init__(self, events: AsyncIterator[Event], outer: httpx.Response) -> None:
        self._events, self._outer = events, outer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for event in self._events:
            yield _piece(event)

    async def aclose(self) -> None:
        await self._outer.aclose()
