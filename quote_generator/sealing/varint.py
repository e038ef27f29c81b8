"""Integers of variable length, in their shortest form only (RFC 9000, section 16)."""

from __future__ import annotations

from .errors import Malformed

_ONE_BYTE = tuple(bytes((value,)) for value in range(0x40))
_LIMITS = ((1 << 14, 2, 0x40), (1 << 30, 4, 0x80), (1 << 62, 8, 0xC0))


def varint_bytes(value: int) -> bytes:
    """`value`, of 0 to 2^62 - 1, in 1, 2, 4 or 8 bytes."""
    if 0 <= value < 0x40:  # the most of them
        return _ONE_BYTE[value]
    for limit, size, mark in _LIMITS:
        if 0 <= value < limit:
            return (value | mark << 8 * (size - 1)).to_bytes(size, "big")
    raise Malformed("a length is beyond what can be written")


def read_varint(data: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """The integer at `at`, and where it ends; None where its bytes are not all there yet.

    Raises Malformed for one that has a shorter form: one value, one spelling.
    """
    if at >= len(data):
        return None
    first = data[at]
    if first < 0x40:  # the most of them
        return first, at + 1
    size = 1 << (first >> 6)
    end = at + size
    if end > len(data):
        return None
    value = int.from_bytes(data[at:end], "big") & ((1 << 8 * size - 2) - 1)
    if value < 1 << (8 * (size >> 1) - 2):
        raise Malformed("a length is not written in its shortest form")
    return value, end
