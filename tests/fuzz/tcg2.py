"""Writes crypto-agile event logs (TCG PC Client Platform Firmware Profile, section 10)."""

from __future__ import annotations

import hashlib
import struct

SHA256, SHA384 = 0x0B, 0x0C
NO_ACTION, TAG = 3, 6


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


def application(line: str, register: int = 4) -> bytes:
    """Return an event of an application as the CoCo agent writes it since mid-2025."""
    data = struct.pack("<II", 0x4141454C, len(line.encode())) + line.encode()
    return event(register, TAG, {SHA384: hashlib.sha384(data).digest()}, data)


def agents_header(sizes: dict[int, int]) -> bytes:
    """Return what the agent puts before its events on a TD without CCEL."""
    return header(sizes).replace(b"Spec ID Event03\0" + bytes(4) + b"\0\2\0\2", bytes(24))
