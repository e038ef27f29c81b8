"""Base64 with one spelling for each value, as the page reads it (web/src/base/encoding.ts)."""

from __future__ import annotations

import base64


def strict_base64(text: str) -> bytes:
    """The bytes of standard base64 (RFC 4648, section 4).

    Raises ValueError for white space, missing or extra padding, and bits after the end.
    """
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode("ascii") != text:
        raise ValueError("base64 in another spelling than the usual one")
    return data
