"""The sealed socket's frames: messages in records, AES-256-GCM, one key a direction.

    frame  = flag (0 data, 1 final) || ciphertext;  nonce = 0^4 || counter;  AAD = counter || flag
    text   = records: type (1) length (4) data, then zeros up to a bucket

The counter has 8 bytes and counts a direction's frames. A frame is a bucket whole, and what is said
in it together shows as one length. A direction ends with a final frame, whose last record closes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .errors import Finished, Malformed, NotAuthentic, TooLarge, Truncated
from .hpke import TAG_BYTES, Buffer
from .padding import filling

SECRET_BYTES = 64
TICKET_BYTES = 16
FRAME_MAX = 1 << 20
"""Bytes of a frame that is read here."""
MESSAGE_MAX = 64 << 20
"""Bytes of a message, all its parts together."""
REASON_MAX = 123
"""Bytes of a reason for closing (RFC 6455, section 5.5)."""
PROTOCOL_MAX = 256

_KEY_BYTES = 32
_FLAG_BYTES = 1
_RECORD_HEAD = 5
_OVERHEAD = _FLAG_BYTES + TAG_BYTES
_RECORDS_MAX = 65_536 - _OVERHEAD  # of a frame that is written here

_PADDING, _TEXT, _BINARY, _CLOSE, _OPEN, _TEXT_PART, _BINARY_PART = range(7)
_DATA, _FINAL = b"\x00", b"\x01"


@dataclass(frozen=True, slots=True)
class Open:
    """The server has accepted: the subprotocol that it chose, or nothing. Its first message."""

    protocol: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A message of text."""

    text: str


@dataclass(frozen=True, slots=True)
class Binary:
    """A message of bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The end of a direction, with a code of RFC 6455, section 7.4."""

    code: int = 1000
    reason: str = ""


Message = Open | Text | Binary | Close


def client_keys(secret: bytes) -> tuple[bytes, bytes]:
    """The keys that a client sends and receives with. Raises Malformed for another length."""
    if len(secret) != SECRET_BYTES:
        raise Malformed(f"a socket's secret has {SECRET_BYTES} bytes")
    return secret[:_KEY_BYTES], secret[_KEY_BYTES:]


def server_keys(secret: bytes) -> tuple[bytes, bytes]:
    """The keys that a server sends and receives with. Raises Malformed for another length."""
    receive, send = client_keys(secret)
    return send, receive


class FrameSealer:
    """One direction of a socket, at its sending end."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._number = 0
        self._finished = False

    def seal(self, messages: Sequence[Message]) -> list[bytes]:
        """The frames that say these messages, in as few as they fit into.

        A Close is the last of all, and ends the direction. No message at all is one frame of
        padding. Raises Malformed for what cannot be said, TooLarge, and Finished after a Close; the
        direction is as before then.
        """
        if self._finished:
            raise Finished("this direction of the socket is closed")
        if any(isinstance(message, Close) for message in messages[:-1]):
            raise Malformed("a close is the last message")
        texts = _packed([record for message in messages for record in _records(message)])
        self._finished = bool(messages) and isinstance(messages[-1], Close)
        flags = [_DATA] * len(texts)
        if self._finished:
            flags[-1] = _FINAL
        return [self._frame(flag, text) for flag, text in zip(flags, texts, strict=True)]

    def _frame(self, flag: bytes, text: bytes) -> bytes:
        counter = self._number.to_bytes(8, "big")
        self._number += 1
        padded = text + bytes(filling(len(text) + _OVERHEAD))
        return flag + self._cipher.encrypt(bytes(4) + counter, padded, counter + flag)


class FrameOpener:
    """One direction of a socket, at its receiving end. Whatever it refuses ends the socket."""

    def __init__(self, key: bytes, *, expects_open: bool, message_max: int = MESSAGE_MAX) -> None:
        """`expects_open` at the client: the server's first message is an Open, and only that."""
        self._cipher = AESGCM(key)
        self._number = 0
        self._expects_open = expects_open
        self._message_max = message_max
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._parts_type = 0
        self._over = False
        self.finished = False
        """Whether the other end has closed this direction."""

    def open(self, frame: Buffer) -> list[Message]:
        """The messages that are whole with this frame, in order.

        Raises NotAuthentic, Malformed or TooLarge; Finished for any frame after that, or after the
        final one.
        """
        if self._over:
            raise Finished("a frame came after the socket's last one")
        try:
            messages = self._messages(frame)
        except BaseException:
            self._over = True
            self._parts = []
            raise
        self._over = self.finished
        return messages

    def end(self) -> None:
        """The outer socket has ended. Raises Truncated where this direction was not closed."""
        self._over = True
        if not self.finished:
            raise Truncated("the socket ended without its final frame")

    def _messages(self, frame: Buffer) -> list[Message]:
        if len(frame) > FRAME_MAX:
            raise TooLarge(f"a frame has at most {FRAME_MAX} bytes")
        whole = memoryview(frame)
        flag = bytes(whole[:_FLAG_BYTES])
        if flag not in (_DATA, _FINAL):
            raise Malformed("a frame is neither data nor final")
        counter = self._number.to_bytes(8, "big")
        self._number += 1
        try:
            text = self._cipher.decrypt(bytes(4) + counter, whole[_FLAG_BYTES:], counter + flag)
        except InvalidTag as error:
            raise NotAuthentic("a frame does not open") from error
        return self._read(text, final=flag == _FINAL)

    def _read(self, text: bytes, *, final: bool) -> list[Message]:
        messages: list[Message] = []
        for kind, data in _split(text):
            if self.finished:
                raise Malformed("something follows a close")
            if self._expects_open != (kind == _OPEN):
                raise Malformed("a socket opens first, and once")
            self._expects_open = False
            message = self._message(kind, data)
            if isinstance(message, Close):
                self.finished = True
            if message:
                messages.append(message)
        if final != self.finished:
            raise Malformed("a close stands in the final frame, and nowhere else")
        return messages

    def _message(self, kind: int, data: bytes) -> Message | None:
        if kind in (_TEXT, _BINARY, _TEXT_PART, _BINARY_PART):
            return self._content(kind, data)
        if self._parts:
            raise Malformed("a message is not whole")
        if kind == _OPEN:
            if len(data) > PROTOCOL_MAX:
                raise TooLarge("a subprotocol is too long")
            return Open(_utf8(data))
        if kind == _CLOSE:
            return _close(data)
        raise Malformed("a record is of no known type")

    def _content(self, kind: int, data: bytes) -> Message | None:
        is_part = kind in (_TEXT_PART, _BINARY_PART)
        whole_type = kind - _TEXT_PART + _TEXT if is_part else kind
        if self._parts and whole_type != self._parts_type:
            raise Malformed("the parts of two messages are mixed")
        self._parts_type = whole_type
        self._parts_bytes += len(data)
        if self._parts_bytes > self._message_max:
            raise TooLarge(f"a message has at most {self._message_max} bytes")
        if is_part and not data:
            raise Malformed("a part of a message is empty")
        self._parts.append(data)
        if is_part:
            return None
        whole = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        self._parts_bytes = 0
        return Text(_utf8(whole)) if whole_type == _TEXT else Binary(whole)


def _records(message: Message) -> Iterator[bytes]:
    """The records of a message, none longer than a frame takes."""
    if isinstance(message, Open):
        yield _record(_OPEN, _protocol(message.protocol))
    elif isinstance(message, Close):
        yield _record(_CLOSE, _closing(message))
    elif isinstance(message, Text):
        yield from _split_content(_TEXT, _encoded(message.text))
    else:
        yield from _split_content(_BINARY, message.data)


def _split_content(kind: int, data: bytes) -> Iterator[bytes]:
    if len(data) > MESSAGE_MAX:
        raise TooLarge(f"a message has at most {MESSAGE_MAX} bytes")
    most = _RECORDS_MAX - _RECORD_HEAD
    last = max(0, len(data) - 1) // most * most
    for at in range(0, last, most):
        yield _record(kind - _TEXT + _TEXT_PART, data[at : at + most])
    yield _record(kind, data[last:])


def _record(kind: int, data: bytes) -> bytes:
    return b"".join((bytes([kind]), len(data).to_bytes(4, "big"), data))


def _packed(records: list[bytes]) -> list[bytes]:
    """The records in as few texts as they fit into, in order; one, of nothing, for none."""
    texts: list[list[bytes]] = [[]]
    size = 0
    for record in records:
        if size + len(record) > _RECORDS_MAX:
            texts.append([])
            size = 0
        texts[-1].append(record)
        size += len(record)
    return [b"".join(text) for text in texts]


def _split(text: bytes) -> Iterator[tuple[int, bytes]]:
    """Types and data of a frame's records. Raises Malformed."""
    at = 0
    while at < len(text):
        kind = text[at]
        if kind == _PADDING:
            if text[at:].strip(b"\0"):
                raise Malformed("a frame's padding is not zeros")
            return
        begin = at + _RECORD_HEAD
        end = begin + int.from_bytes(text[at + 1 : begin], "big")
        if begin > len(text) or end > len(text):
            raise Malformed("a record goes beyond its frame")
        yield kind, text[begin:end]
        at = end


def _protocol(protocol: str) -> bytes:
    data = _encoded(protocol)
    if len(data) > PROTOCOL_MAX:
        raise TooLarge("a subprotocol is too long")
    return data


def _closing(message: Close) -> bytes:
    reason = _encoded(message.reason)
    if not 1000 <= message.code <= 4999 or len(reason) > REASON_MAX:
        raise Malformed("a close has a code of 1000 to 4999 and a short reason")
    return message.code.to_bytes(2, "big") + reason


def _close(data: bytes) -> Close:
    code = int.from_bytes(data[:2], "big")
    if not 1000 <= code <= 4999 or len(data) > 2 + REASON_MAX:
        raise Malformed("a close has a code of 1000 to 4999 and a short reason")
    return Close(code, _utf8(data[2:]))


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Malformed("a text has half a character") from error


def _utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("a text is not UTF-8") from error
