"""Binary HTTP messages: written in one form, read in all (RFC 9292).

Written are messages of indeterminate length, read those of known length too; zeros may follow
(section 3.8). The bounds hold for both ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from .errors import Finished, Malformed, TooLarge, Truncated
from .hpke import Buffer
from .varint import read_varint, varint_bytes

METHOD_MAX = 32
SCHEME_MAX = 16
AUTHORITY_MAX = 512
PATH_MAX = 65_536
FIELDS_MAX = 256
NAME_MAX = 256
FIELDS_BYTES_MAX = 131_072
"""Bytes of all names and values of a section together."""
INFORMATIONAL_MAX = 8

_SECTION_MAX = FIELDS_BYTES_MAX + 8 * FIELDS_MAX  # each line has two lengths, of 4 bytes at most

END = b"\0\0"
"""Ends the content and the trailers, of which there are none."""

Fields = Sequence[tuple[bytes, bytes]]

# Framing indicators (section 3.3).
_KNOWN_REQUEST, _KNOWN_RESPONSE, _REQUEST, _RESPONSE = range(4)
_REQUEST_START, _RESPONSE_START = varint_bytes(_REQUEST), varint_bytes(_RESPONSE)
_END_OF_FIELDS = varint_bytes(0)

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"[^\0\r\n]*")
_SCHEME = re.compile(rb"[a-z][a-z0-9+.\-]*")
_AUTHORITY = re.compile(rb"[!$%&'()*+,\-.0-9:;=A-Z\[\]_a-z~]*")
_PATH = re.compile(rb"/[!\"$-~]*")  # visible ASCII, and no fragment


class RequestHead(NamedTuple):
    """A request's control data and fields; `path` holds the query too, `scheme` is lower case."""

    method: str
    scheme: str
    authority: str
    path: str
    fields: tuple[tuple[bytes, bytes], ...] = ()


class ResponseHead(NamedTuple):
    """An answer's final status and its fields."""

    status: int
    fields: tuple[tuple[bytes, bytes], ...] = ()


Event = RequestHead | ResponseHead | bytes
"""What reading gives: the head, once, and then pieces of the content."""


def encode_request_head(head: RequestHead) -> bytes:
    """The message up to its content. Raises Malformed for what no reader here would take."""
    control = (
        _checked("method", head.method, _TOKEN, METHOD_MAX),
        _checked("scheme", head.scheme, _SCHEME, SCHEME_MAX),
        _checked("authority", head.authority, _AUTHORITY, AUTHORITY_MAX),
        _checked("path", head.path, _PATH, PATH_MAX),
    )
    return b"".join((_REQUEST_START, *map(_counted, control), *_field_section(head.fields)))


def encode_response_head(head: ResponseHead) -> bytes:
    """The message up to its content. Raises Malformed for what no reader here would take."""
    if not 200 <= head.status <= 599:
        raise Malformed("a final status is from 200 to 599")
    return b"".join((_RESPONSE_START, varint_bytes(head.status), *_field_section(head.fields)))


def encode_content(data: Buffer) -> bytes:
    """A piece of content; nothing for no data, since a length of zero ends the content."""
    return b"".join((varint_bytes(len(data)), data)) if data else b""


class _Short(Exception):  # noqa: N818 - no error: more bytes have to come
    pass


class _Decoder:
    """Reads a message that comes in pieces of any size, each unit once all of it is there.

    Between two sections a message may end: what is missing counts as empty (section 3.8).
    """

    _framings: tuple[int, int]  # of known and of indeterminate length

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0
        self._unit = 0  # where what is being read begins: it is read again, where more has to come
        self._step: Callable[[], None] = self._read_framing
        self._may_end = False
        self._known_length = False
        self._fields: list[tuple[bytes, bytes]] = []
        self._fields_bytes = 0
        self._section_left = 0  # bytes, where the section's length is known
        self._section_done: Callable[[], None] = self._head_done
        self._content_left = 0
        self._events: list[Event] = []
        self._over = False
        self.head_seen = False
        """Whether the head has been given out."""

    def feed(self, data: Buffer) -> list[Event]:
        """The head, once, and then pieces of the content, in order.

        Raises Malformed or TooLarge; Finished after that.
        """
        if self._over:
            raise Finished("the message inside has ended, or failed")
        self._buffer += data
        try:
            self._run()
        except Malformed:
            self._over = True
            self._buffer = b""
            raise
        self._buffer = self._buffer[self._at :]
        self._at = 0
        return self._take_events()

    def end(self) -> list[Event]:
        """What the end brings: the head, where all of the message after its first line is left out.

        Raises Truncated where the message is not whole; Finished after that.
        """
        if self._over:
            raise Finished("the message inside has ended, or failed")
        self._over = True
        if self._buffer or not self._may_end:
            raise Truncated("the message inside ended before its end")
        if not self.head_seen:
            self._head_done()
        # They refer back here: without them it goes at once, not when a collector comes round.
        del self._step, self._section_done
        return self._take_events()

    def _run(self) -> None:
        try:
            while self._at < len(self._buffer):
                self._unit = self._at
                self._step()
        except _Short:
            self._at = self._unit

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _read_framing(self) -> None:
        framing = self._varint()
        if framing not in self._framings:
            raise Malformed("the message inside is not of the kind that belongs here")
        self._known_length = framing == self._framings[0]
        self._step = self._read_control

    def _read_control(self) -> None:
        raise NotImplementedError

    def _head(self) -> Event:
        raise NotImplementedError

    def _expect_fields(self, then: Callable[[], None], *, may_end: bool) -> None:
        self._fields = []
        self._fields_bytes = 0
        self._may_end = may_end
        self._section_done = then
        self._step = self._begin_fields if self._known_length else self._read_fields

    def _begin_fields(self) -> None:
        self._section_left = self._varint()
        if self._section_left > _SECTION_MAX:
            raise TooLarge("a section of fields is too large")
        self._may_end = False
        self._step = self._read_known_fields
        if not self._section_left:
            self._section_done()

    def _read_fields(self) -> None:
        while size := self._varint():
            self._may_end = False
            self._read_field(size)
            self._unit = self._at
        self._section_done()

    def _read_known_fields(self) -> None:
        while self._section_left:
            begin = self._unit = self._at
            size = self._varint()
            if not size:
                raise Malformed("a field has no name")
            self._read_field(size, end=begin + self._section_left)
            self._section_left -= self._at - begin
        self._section_done()

    def _read_field(self, name_bytes: int, *, end: int | None = None) -> None:
        """Read a line after its first length; it is kept once it is whole."""
        if name_bytes > NAME_MAX:
            raise TooLarge("the name of a field is too long")
        name = self._take(name_bytes)
        value_bytes = self._varint()
        size = self._fields_bytes + name_bytes + value_bytes
        if size > FIELDS_BYTES_MAX or len(self._fields) == FIELDS_MAX:
            raise TooLarge("a section of fields is too large")
        if end is not None and self._at + value_bytes > end:
            raise Malformed("a field goes beyond its section")
        value = self._take(value_bytes)
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise _bad_field()
        self._fields.append((name, value))
        self._fields_bytes = size

    def _head_done(self) -> None:
        self._events.append(self._head())
        self.head_seen = True
        self._may_end = True
        self._step = self._begin_content

    def _begin_content(self) -> None:
        self._content_left = self._varint()
        self._may_end = False
        self._step = self._read_content
        if not self._content_left:
            self._content_done()

    def _read_content(self) -> None:
        end = min(self._at + self._content_left, len(self._buffer))
        self._events.append(self._buffer[self._at : end])
        self._content_left -= end - self._at
        self._at = end
        if not self._content_left:
            if self._known_length:
                self._content_done()
            else:
                self._step = self._begin_content

    def _content_done(self) -> None:
        self._expect_fields(self._trailers_done, may_end=True)

    def _trailers_done(self) -> None:
        self._may_end = True
        self._step = self._read_padding

    def _read_padding(self) -> None:
        if self._take(len(self._buffer) - self._at).strip(b"\0"):
            raise Malformed("something other than zeros follows the message inside")

    def _varint(self) -> int:
        at = self._at
        if at < len(self._buffer) and (first := self._buffer[at]) < 0x40:  # the most of them
            self._at = at + 1
            return first
        read = read_varint(self._buffer, at)
        if read is None:
            raise _Short
        value, self._at = read
        return value

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._buffer):
            raise _Short
        taken = self._buffer[self._at : end]
        self._at = end
        return taken

    def _text(self, name: str, form: re.Pattern[bytes], most: int) -> str:
        size = self._varint()
        if size > most:
            raise TooLarge(f"the {name} is too long")
        text = self._take(size)
        if not form.fullmatch(text):
            raise Malformed(f"the {name} is none")
        return text.decode("ascii")


class RequestDecoder(_Decoder):
    """Reads a request; `feed` and `end` give one RequestHead and then bytes."""

    _framings = (_KNOWN_REQUEST, _REQUEST)

    def _read_control(self) -> None:
        self._control = (
            self._text("method", _TOKEN, METHOD_MAX),
            self._text("scheme", _SCHEME, SCHEME_MAX),
            self._text("authority", _AUTHORITY, AUTHORITY_MAX),
            self._text("path", _PATH, PATH_MAX),
        )
        self._expect_fields(self._head_done, may_end=True)

    def _head(self) -> RequestHead:
        return RequestHead(*self._control, tuple(self._fields))


class ResponseDecoder(_Decoder):
    """Reads an answer; `feed` and `end` give one ResponseHead and then bytes.

    Informational answers before the final one are read and dropped.
    """

    _framings = (_KNOWN_RESPONSE, _RESPONSE)

    def __init__(self) -> None:
        super().__init__()
        self._informational = 0
        self._status = 0

    def _read_control(self) -> None:
        self._status = self._varint()
        if not 100 <= self._status <= 599:
            raise Malformed("the status of an answer is none")
        if self._status >= 200:
            return self._expect_fields(self._head_done, may_end=True)
        self._informational += 1
        if self._informational > INFORMATIONAL_MAX:
            raise TooLarge("too many informational answers")
        return self._expect_fields(self._expect_control, may_end=False)

    def _expect_control(self) -> None:
        self._step = self._read_control

    def _head(self) -> ResponseHead:
        return ResponseHead(self._status, tuple(self._fields))


def _checked(name: str, text: str, form: re.Pattern[bytes], most: int) -> bytes:
    if len(text) > most:
        raise TooLarge(f"the {name} is too long")
    if not text.isascii() or not form.fullmatch(data := text.encode("ascii")):
        raise Malformed(f"the {name} is none")
    return data


def _counted(data: bytes) -> bytes:
    return varint_bytes(len(data)) + data


def _field_section(fields: Fields) -> list[bytes]:
    """The pieces of a section of indeterminate length, and what ends it."""
    pieces: list[bytes] = []
    total = 0
    for name, value in fields:
        if not _VALUE.fullmatch(value):
            raise _bad_field()
        total += len(name) + len(value)
        if total > FIELDS_BYTES_MAX:
            raise TooLarge("the fields are too large")
        pieces += (_counted_name(name), varint_bytes(len(value)), value)
    if len(fields) > FIELDS_MAX:
        raise TooLarge("there are too many fields")
    pieces.append(_END_OF_FIELDS)
    return pieces


@lru_cache(maxsize=256)  # most messages have the same ones
def _counted_name(name: bytes) -> bytes:
    """A field's name as it is written: in lower case, after its length."""
    lower = name.lower()
    if not _NAME.fullmatch(lower):
        raise _bad_field()
    if len(lower) > NAME_MAX:
        raise TooLarge("the fields are too large")
    return _counted(lower)


def _bad_field() -> Malformed:
    return Malformed("a field has a name or a value that none may have")
