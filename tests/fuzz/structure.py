"""Elements of DER moved, renamed or changed at random, in what is then signed again.

What a builder of certificates cannot say at all, a parser may still take: so these work on the
bytes, with every length right again afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from cases import encoding as x

TAGS = (
    *(0x02, 0x03, 0x04, 0x05, 0x06, 0x0A, 0x0C, 0x13, 0x14, 0x16, 0x17, 0x18, 0x1E),
    *(0x30, 0x31, 0x80, 0x82, 0xA0, 0xA1, 0x86),
)
CONSTRUCTED = 0x20
INTO = 0.75
"""How often what holds elements has them changed, too."""


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements in `data`, each its tag and content; what is cut off at its end is left out."""
    at = 0
    while at + 1 < len(data):
        tag, length, begin = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, begin = int.from_bytes(data[begin : begin + size], "big"), begin + size
        at = begin + length
        yield tag, data[begin:at]


def changed(rng: random.Random, data: bytes, rate: float) -> bytes:
    """The elements in `data`, each of which was changed with a chance of `rate`."""
    made: list[bytes] = []
    for tag, content in elements(data):
        if tag & CONSTRUCTED and rng.random() < INTO:
            content = changed(rng, content, rate)
        made += _one(rng, tag, content) if rng.random() < rate else [x.tlv(tag, content)]
    return b"".join(made)


def _one(rng: random.Random, tag: int, content: bytes) -> list[bytes]:
    """An element in another way: renamed, left out, twice, empty, longer, or with other bytes."""
    place = rng.randrange(len(content) or 1)
    match rng.randrange(7):
        case 0:
            return [x.tlv(rng.choice((*TAGS, tag ^ CONSTRUCTED)), content)]
        case 1:
            return []
        case 2:
            return [x.tlv(tag, content)] * 2
        case 3:
            return [x.tlv(tag, b"")]
        case 4:
            return [x.tlv(tag, content + rng.randbytes(1))]
        case 5:
            return [x.tlv(tag, content[:place] + rng.randbytes(1) + content[place + 1 :])]
        case _:
            return [x.tlv(tag, content[:place])]
