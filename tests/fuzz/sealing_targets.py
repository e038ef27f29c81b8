"""The formats of sealed requests as fuzz targets; python_targets.py runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import atheris

with atheris.instrument_imports(include=["quote_generator"]):
    from framing import Chunks

    from quote_generator.sealing import binary_http, errors, frames, keyset, padding
    from quote_generator.sealing.varint import varint_bytes

KEY = bytes(32)


def ohttp_chunks(data: bytes) -> bool:
    """Chunks have one spelling, whatever pieces they come in."""
    read = _read(Chunks(), data, len(data))
    assert read == _read(Chunks(), data, _piece(data))
    if isinstance(read, str):
        return False
    *texts, final = read
    chunks = [varint_bytes(len(text) + 1) + b"-" + text for text in texts]
    assert b"".join([*chunks, b"\0F", final]) == data
    return True


def binary_http_message(data: bytes) -> bool:
    """A message is read or refused alike in all pieces, and what is read can be written again."""
    kinds = (
        (binary_http.RequestDecoder, binary_http.encode_request_head),
        (binary_http.ResponseDecoder, binary_http.encode_response_head),
    )
    results = [_message(decoder, encode, data) for decoder, encode in kinds]
    assert results != [True, True], "a request and an answer at once"
    return any(results)


def _message(decoder: Any, encode: Any, data: bytes) -> bool:
    read = _read(decoder(), data, len(data))
    in_pieces = _read(decoder(), data, _piece(data))
    if isinstance(read, str):
        assert in_pieces == read
        return False
    head, content = read[0], b"".join(read[1:])
    assert in_pieces[0] == head
    assert b"".join(in_pieces[1:]) == content
    again = encode(head) + binary_http.encode_content(content) + binary_http.END
    assert _read(decoder(), again, len(again)) == [head, *[content] * bool(content)]
    return True


def padded_body(data: bytes) -> bool:
    """A body is the same in all pieces, and shorter than its padding."""

    class Decoder(padding.PaddedDecoder):
        def feed(self, data: Any) -> Any:
            return [super().feed(data)]

        def end(self) -> Any:
            super().end()
            return b""

    read, in_pieces = _read(Decoder(), data, len(data)), _read(Decoder(), data, _piece(data))
    if isinstance(read, str):
        assert in_pieces == read
        return False
    assert b"".join(read) == b"".join(in_pieces)
    assert not data or len(b"".join(read)) <= len(data) - padding.RECORD_HEAD
    return True


def _piece(data: bytes) -> int:
    """Return a size of which there are some ten pieces: single bytes are the unit tests' part."""
    return 1 + len(data) // 10


def _read(reader: Any, data: bytes, step: int) -> Any:
    """Return all that a reader gives, or the code of its error."""
    events: list[Any] = []
    try:
        for at in range(0, len(data), max(1, step)):
            events += reader.feed(data[at : at + step])
        end = reader.end()
    except errors.SealingError as error:
        return error.code
    return [*events, *end] if isinstance(end, list) else [*events, end]


def frame_records(data: bytes) -> bool:
    """The text of a first frame, which the first byte says to be final or not, and of whom."""
    final, expects_open = bool(data[:1] and data[0] & 1), bool(data[:1] and data[0] & 2)
    opener = frames.FrameOpener(KEY, expects_open=expects_open)
    try:
        messages = opener.open(_frame(data[1:], final=final))
    except errors.SealingError:
        return False
    assert opener.finished == final
    assert (messages[-1:] != [] and isinstance(messages[-1], frames.Close)) == final
    sealed = frames.FrameSealer(KEY).seal(messages)
    again = frames.FrameOpener(KEY, expects_open=expects_open and bool(messages))
    assert [message for part in sealed for message in again.open(part)] == messages
    return True


def _frame(text: bytes, *, final: bool) -> bytes:
    sealer = frames.FrameSealer(KEY)
    counter, flag = bytes(8), bytes([final])
    return flag + sealer._cipher.encrypt(bytes(4) + counter, text, counter + flag)


def keyset_document(data: bytes) -> bool:
    """A keyset is read or refused; one byte "K" before a key configuration alone."""
    if data[:1] == b"K":
        return _key_config(data[1:])
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return False
    try:
        read = keyset.parse_keyset(document)
    except (errors.KeysetMalformed, errors.KeysetUnusable):
        return False
    assert read.preferred in read.configs
    assert keyset.parse_keyset(keyset.make_keyset(read.configs, read.not_after)).configs == (
        read.configs
    )
    return True


def _key_config(data: bytes) -> bool:
    try:
        config = keyset.parse_key_config(data)
    except errors.KeysetMalformed:
        return False
    assert config is None or config.encode() == data
    return config is not None


TARGETS: dict[str, Callable[[bytes], bool]] = {
    "binary_http": binary_http_message,
    "frame_records": frame_records,
    "keyset": keyset_document,
    "ohttp_chunks": ohttp_chunks,
    "padded_body": padded_body,
}
