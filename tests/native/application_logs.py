"""The application's log in both of its forms, written and replayed straight from its definition."""

from __future__ import annotations

import hashlib
import struct

ZEROS = bytes(48)
FORMS = ("text", "tcg2")


def sha384(data: bytes) -> bytes:
    return hashlib.sha384(data).digest()


def extended(value: bytes, digest: bytes) -> bytes:
    return sha384(value + digest)


def tcg2_entry(line: str) -> bytes:
    """Return an event as the CoCo agent writes it since mid-2025."""
    data = struct.pack("<II", 0x4141454C, len(line.encode())) + line.encode()
    head = struct.pack("<IIIH48s", 4, 6, 1, 0x0C, sha384(data))
    return head + struct.pack("<I", len(data)) + data


def entry(form: str, line: str) -> bytes:
    return tcg2_entry(line) if form == "tcg2" else f"{line}\n".encode()


def digest_of(form: str, line: str) -> bytes:
    """Return what a register is extended with for an event."""
    return sha384(tcg2_entry(line)[66:] if form == "tcg2" else line.encode())


def lines_of(log: bytes) -> list[str]:
    """Return the lines of a log, the first one included; nothing but whole entries is a log."""
    if log.startswith(b"INIT"):
        assert log.endswith(b"\n")
        return log.decode().split("\n")[:-1]
    lines = []
    while log:
        size = int.from_bytes(log[70:74], "little")
        lines.append(log[74 : 74 + size].decode())
        assert log.startswith(tcg2_entry(lines[-1]))
        log = log[74 + size :]
    return lines


def replayed(log: bytes) -> bytes:
    """Return where a log leads, from the value that its first entry names."""
    form = "text" if log.startswith(b"INIT") else "tcg2"
    lines = lines_of(log)
    says = lines[0].startswith(("INIT sha384/", "cczoo begin sha384/"))
    value = bytes.fromhex(lines[0].partition("/")[2]) if says else ZEROS
    for line in lines:
        value = extended(value, digest_of(form, line))
    return value
