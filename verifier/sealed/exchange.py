"""One sealed request and its answer: bytes in, bytes out, and no network.

    head, body -> binary HTTP, padded -> sealed chunks
    sealed chunks -> binary HTTP -> head, body without its padding

Sources: RFC 9292 (binary HTTP), draft-ietf-ohai-chunked-ohttp; docs/sealed.md has the rest.
"""

from __future__ import annotations

from collections.abc import Iterable

from quote_generator.sealing import padding
from quote_generator.sealing.binary_http import (
    END,
    RequestHead,
    ResponseDecoder,
    ResponseHead,
    encode_content,
    encode_request_head,
)
from quote_generator.sealing.chunked_ohttp import (
    CHUNK_MAX,
    MEDIA_REQUEST,
    MEDIA_RESPONSE,
    RequestSealer,
)
from quote_generator.sealing.keyset import KeyConfig

PATH = "/api/v1/tee/ohttp"
"""Where sealed requests go, whatever they are."""

TOLD_MAX = 64 * 1024
"""Bytes that are read of an answer that only says why there is no sealed one."""

Event = ResponseHead | bytes


class Exchange:
    """Seals one request, and opens its answer.

    `headers` go with the sealed request. First come any number of `part`, then `end`, once.
    """

    def __init__(self, config: KeyConfig, head: RequestHead) -> None:
        self._sealer = RequestSealer(config)
        self._unsent = encode_request_head(head)
        self._length = 0
        self._started = False
        self.headers = {
            "content-type": MEDIA_REQUEST,
            "accept": MEDIA_RESPONSE,
            "accept-encoding": "identity",
            "cache-control": "no-store",
            "tee-key": config.id,
        }

    def part(self, data: bytes) -> bytes:
        """The next piece of the body, sealed."""
        return self._start() + self._sealer.chunks(self._said(encode_content(data)))

    def end(self, data: bytes = b"") -> bytes:
        """The last piece of the body, sealed, and the end of the request, filled up to a bucket."""
        rest = self._said(encode_content(data) + END)
        rest += bytes(padding.filling(self._length))
        cut = max(0, len(rest) - 1) // CHUNK_MAX * CHUNK_MAX  # the final chunk is full at most
        chunks = self._sealer.chunks(rest[:cut])
        return self._start() + chunks + self._sealer.final(rest[cut:])

    def answer(self) -> Answer:
        """What opens the answer."""
        return Answer(self)

    def _start(self) -> bytes:
        if self._started:
            return b""
        self._started = True
        return self._sealer.start

    def _said(self, data: bytes) -> bytes:
        said, self._unsent = self._unsent + data, b""
        self._length += len(said)
        return said


class Answer:
    """Opens an answer as it comes: its head, then its body in pieces.

    Raises SealingError, at once for what was changed and at the end for what was cut; nothing
    counts as whole before `end`.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._opener = exchange._sealer.response()
        self._decoder = ResponseDecoder()
        self._padded: padding.PaddedDecoder | None = None

    def feed(self, data: bytes) -> list[Event]:
        """What `data` brings: the head, once, and pieces of the body."""
        return self._events(self._opener.feed(data))

    def end(self) -> list[Event]:
        """What the end brings; the answer is whole."""
        events = self._events([self._opener.end()])
        events += self._all_shown(self._decoder.end())
        if self._padded:
            self._padded.end()
        return events

    def _events(self, pieces: Iterable[bytes]) -> list[Event]:
        return [event for piece in pieces for event in self._all_shown(self._decoder.feed(piece))]

    def _all_shown(self, events: Iterable[RequestHead | Event]) -> list[Event]:
        return [shown for event in events if (shown := self._shown(event))]

    def _shown(self, event: RequestHead | Event) -> Event:
        assert not isinstance(event, RequestHead)  # noqa: S101 - a response has none
        if isinstance(event, ResponseHead):
            head = _without_padding(event)
            self._padded = None if head is event else padding.PaddedDecoder()
            return head
        return self._padded.feed(event) if self._padded else event


_OF_PADDED = (b"content-encoding", b"content-length")
"""Fields that speak of the padded body."""


def _without_padding(head: ResponseHead) -> ResponseHead:
    """The head of a padded answer as the app gave it; the same one where nothing is padded."""
    codings = [value for name, value in head.fields if name == b"content-encoding"]
    coded = b", ".join(codings).rpartition(b",")
    if coded[2].strip().lower() != padding.CODING.encode():
        return head
    length = padding.LENGTH_FIELD.encode()
    fields = [item for item in head.fields if item[0] not in _OF_PADDED]
    named = [(b"content-length" if name == length else name, value) for name, value in fields]
    left = [(b"content-encoding", coded[0].strip())] if coded[0].strip() else []
    return head._replace(fields=(*named, *left))
