"""How a text may look on its way: the encodings that browsers and open-webui use."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from urllib.parse import quote

PART = 8
"""Characters of a canary that are telling: nobody meets them by chance."""

RANDOM = 24
"""Characters of a canary that are random, at its end."""

LETTERS = "ghijklmnopqrstuvwxyz"
"""What they are of: quotes and event logs are so much hex that a part of hex was met by chance."""


def new_canary(name: str) -> str:
    """A text to plant: letters that are nowhere else in this order, with its name in front."""
    return name + "".join(secrets.choice(LETTERS) for _ in range(RANDOM))


def spellings(canary: str, part: int = PART) -> frozenset[bytes]:
    """Every part of the canary's random end, in each encoding, as it would stand among others."""
    random = canary[-RANDOM:]
    parts = (random[at : at + part] for at in range(len(random) - part + 1))
    return frozenset(spelling for text in parts for spelling in _spelled(text))


def _spelled(text: str) -> Iterator[bytes]:
    data = text.encode()
    yield data
    yield data[::-1]
    yield text.upper().encode()
    for escaped in ("".join(f"{mark}{byte:02x}" for byte in data) for mark in ("", "%", "\\x")):
        yield escaped.encode()
        yield escaped.upper().replace("\\X", "\\x").encode()
    yield "".join(f"\\u{byte:04x}" for byte in data).encode()
    yield quote(text).encode()
    yield text.encode("utf-16-le")
    yield text.encode("utf-16-be")
    for shift in range(3):
        yield from _in_base64(data, shift)


def _in_base64(data: bytes, shift: int) -> Iterator[bytes]:
    """What base64 makes of the bytes after `shift` others, without what neighbours have part in."""
    padded = bytes(shift) + data
    whole = len(padded) // 3 * 4
    first = 4 if shift else 0
    yield base64.b64encode(padded)[first:whole]
    yield base64.urlsafe_b64encode(padded)[first:whole]
