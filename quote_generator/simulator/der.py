"""Just enough DER (ITU-T X.690) to write Intel's SGX certificate extension."""

from __future__ import annotations


def sequence(*items: bytes) -> bytes:
    """SEQUENCE of already encoded items."""
    return _tagged(0x30, b"".join(items))


def octets(value: bytes) -> bytes:
    """OCTET STRING."""
    return _tagged(0x04, value)


def integer(value: int) -> bytes:
    """INTEGER, not negative; a leading zero keeps values >= 0x80 positive."""
    return _tagged(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def enumerated(value: int) -> bytes:
    """ENUMERATED below 128."""
    return _tagged(0x0A, bytes([value]))


def oid(dotted: str) -> bytes:
    """OBJECT IDENTIFIER from its dotted text."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return _tagged(0x06, b"".join(_base128(arc) for arc in (40 * first + second, *rest)))


def _base128(arc: int) -> bytes:
    digits = [arc & 0x7F]
    while arc := arc >> 7:
        digits.append(arc & 0x7F | 0x80)
    return bytes(reversed(digits))


def _tagged(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content
