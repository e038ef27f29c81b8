"""Writes crypto-agile event logs (TCG PC Client Platform Firmware Profile, section 10)."""

from __future__ import annotations

import struct

SHA256, SHA384 = 0x0B, 0x0C
NO_ACTION = 3


def header(sizes: dict[int, int]) -> bytes:
    """Return the first event of a log with digests of these algorithms and sizes."""
    spec = b"Spec ID Event03\0" + bytes(4) + b"\0\2\0\2" + struct.pack("<I", len(sizes))
    spec += b"".join(struct.pack("<HH", *one) for one in sizes.items()) + b"\0"
    return struct.pack("<II20sI", 0, NO_ACTION, bytes(20), len(spec)) + spec


def event(register: int, kind: int, digests: dict[int, bytes], data: bytes) -> bytes:
    """Return an event with its digests by algorithm."""
    head = struct.pack("<III", register, kind, len(digests))
    values = b"".join(struct.pack("<H", one) + value for one, value in digests.items())
    return head + values + struct.pack("<I", len(data)) + data
