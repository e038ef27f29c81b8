"""Lengths that say little: buckets, and the content coding `tee-padded`.

A body in that coding is a row of records, each filled up to a bucket:

    length of the data (3 bytes)  length of the padding (3 bytes)  data  zeros
"""

from __future__ import annotations

from .errors import Finished, Malformed, TooLarge, Truncated
from .hpke import Buffer
from .varint import varint_bytes

CODING = "tee-padded"
LENGTH_FIELD = "tee-content-length"
"""Field of an answer in that coding that says how long its body is without it."""

RECORD_HEAD = 6
RECORD_DATA_MAX = 3 * 16_384 - RECORD_HEAD
"""Bytes of data in a record that is written here: with its frame it stays within one chunk."""

_SMALLEST = 256
_LARGEST_POWER = 16_384
_LENGTH_BYTES = 3


def bucket(length: int) -> int:
    """The smallest bucket for `length` bytes: powers of two to 16,384, then multiples of that."""
    if length <= _SMALLEST:
        return _SMALLEST
    if length <= _LARGEST_POWER:
        return 1 << (length - 1).bit_length()
    return -(-length // _LARGEST_POWER) * _LARGEST_POWER


def filling(length: int) -> int:
    """How many zeros fill `length` bytes up to their bucket."""
    return bucket(length) - length


def encode_record(data: Buffer) -> bytes:
    """One record of at most RECORD_DATA_MAX bytes of data, its size a bucket. Raises TooLarge."""
    return _record(data, filling(RECORD_HEAD + len(data)))


def encode_records(data: Buffer) -> list[bytes]:
    """As many records as the data needs: none for no data."""
    view = memoryview(data)
    return [
        encode_record(view[at : at + RECORD_DATA_MAX])
        for at in range(0, len(view), RECORD_DATA_MAX)
    ]


def encode_first_record(data: Buffer, beside: int) -> bytes:
    """The record that goes into one chunk with `beside` bytes of an answer's head.

    Head, the record's length as a varint (binary_http.encode_content) and the record are a bucket
    together. Raises TooLarge.
    """
    least = RECORD_HEAD + len(data)
    whole = bucket(beside + len(varint_bytes(least)) + least)
    while True:
        for size in (1, 2, 4):
            record = whole - beside - size
            if record >= least and len(varint_bytes(record)) == size:
                return _record(data, record - least)
        whole = bucket(whole + 1)  # where a longer record needs a longer length, no size fits


class PaddedDecoder:
    """Takes the padding off a body that comes in pieces of any size."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._data = 0
        self._padding = 0
        self._failed = False

    def feed(self, data: Buffer) -> bytes:
        """What of the body itself is in these bytes. Raises Malformed for padding with content."""
        if self._failed:
            raise Finished("the padded body has ended, or failed")
        view = bytes(data)
        kept: list[bytes] = []
        at = 0
        while at < len(view):
            if self._data:
                piece = view[at : at + self._data]
                self._data -= len(piece)
                kept.append(piece)
            elif self._padding:
                piece = view[at : at + self._padding]
                self._padding -= len(piece)
                if piece.strip(b"\0"):
                    self._failed = True
                    raise Malformed("a record's padding is not zeros")
            else:
                piece = view[at : at + RECORD_HEAD - len(self._head)]
                self._take_head(piece)
            at += len(piece)
        return kept[0] if len(kept) == 1 else b"".join(kept)

    def end(self) -> None:
        """Raise Truncated where a record is not whole."""
        if self._failed:
            raise Finished("the padded body has ended, or failed")
        self._failed = True
        if self._head or self._data or self._padding:
            raise Truncated("the padded body ended within a record")

    def _take_head(self, piece: bytes) -> None:
        self._head += piece
        if len(self._head) == RECORD_HEAD:
            self._data = int.from_bytes(self._head[:_LENGTH_BYTES], "big")
            self._padding = int.from_bytes(self._head[_LENGTH_BYTES:], "big")
            self._head.clear()


def _record(data: Buffer, padding: int) -> bytes:
    if len(data) > RECORD_DATA_MAX:
        raise TooLarge(f"a record has at most {RECORD_DATA_MAX} bytes of data")
    lengths = (len(data).to_bytes(_LENGTH_BYTES, "big"), padding.to_bytes(_LENGTH_BYTES, "big"))
    return b"".join((*lengths, data, bytes(padding)))
