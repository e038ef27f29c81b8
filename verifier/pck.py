"""What a PCK certificate says of its platform: Intel's SGX extension.

Profile: "Intel SGX PCK Certificate and Certificate Revocation List Profile Specification" 1.5,
section 1.3.5. Exactly what it names is read: what is not DER of the profile is not Intel's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509

from .certificates import REMEMBERED

_SGX_EXTENSION = x509.ObjectIdentifier("1.2.840.113741.1.13.1")
_SGX_ARCS = bytes.fromhex("2a864886f84d010d01")
"""The same in DER: what the identifiers inside the extension begin with."""

_BOOLEAN, _INTEGER, _OCTETS, _OID, _ENUMERATED, _SEQUENCE = 0x01, 0x02, 0x04, 0x06, 0x0A, 0x30

_PPID, _TCB, _PCE_ID, _FMSPC, _SGX_TYPE, _INSTANCE_ID, _CONFIGURATION = range(1, 8)
"""Last arcs of the entries; the last two are in certificates of a platform CA only."""

_PCE_SVN, _CPU_SVN = 17, 18
"""Last arcs within the TCB; before them are the 16 components."""


@dataclass(frozen=True)
class Flags:
    """What a platform CA's certificate says of its machine.

    Whether packages can be added to it, whether Intel keeps a copy of its platform keys, and
    whether simultaneous multithreading is on.
    """

    dynamic_platform: bool
    cached_keys: bool
    smt: bool


@dataclass(frozen=True)
class Platform:
    """What a PCK certificate says of its platform.

    `components` are the 16 SGX TCB SVNs, by which levels are judged; `cpu_svn` is the raw value,
    which Intel's library does not compare. `flags` are None in certificates of a processor CA.
    """

    fmspc: bytes
    pce_id: bytes
    pce_svn: int
    components: tuple[int, ...]
    cpu_svn: bytes
    flags: Flags | None


@lru_cache(maxsize=REMEMBERED)
def platform_of(leaf: x509.Certificate) -> Platform:
    """The platform that a PCK certificate is for. Raises ValueError."""
    try:
        extension = leaf.extensions.get_extension_for_oid(_SGX_EXTENSION).value
    except x509.ExtensionNotFound as error:
        raise ValueError("the PCK certificate has no SGX extension") from error
    [content] = _values(extension.public_bytes(), _SEQUENCE)
    fields = _fields(content, _SGX_ARCS)
    if len(fields) not in (_SGX_TYPE, _CONFIGURATION):
        raise ValueError(f"the SGX extension has {len(fields)} entries, not 5 or 7")
    _sized(_field(fields, _PPID, _OCTETS), 16)
    _number(_field(fields, _SGX_TYPE, _ENUMERATED), 0xFF)
    tcb = _fields(_field(fields, _TCB, _SEQUENCE), _SGX_ARCS + bytes([_TCB]))
    if len(tcb) != _CPU_SVN:
        raise ValueError(f"the SGX extension has a TCB of {len(tcb)} entries, not {_CPU_SVN}")
    return Platform(
        fmspc=_sized(_field(fields, _FMSPC, _OCTETS), 6),
        pce_id=_sized(_field(fields, _PCE_ID, _OCTETS), 2),
        pce_svn=_number(_field(tcb, _PCE_SVN, _INTEGER), 0xFFFF),
        components=tuple(_number(_field(tcb, arc, _INTEGER), 0xFF) for arc in range(1, _PCE_SVN)),
        cpu_svn=_sized(_field(tcb, _CPU_SVN, _OCTETS), 16),
        flags=_flags(fields) if len(fields) == _CONFIGURATION else None,
    )


_Fields = dict[int, tuple[int, bytes]]


def _flags(fields: _Fields) -> Flags:
    _sized(_field(fields, _INSTANCE_ID, _OCTETS), 16)
    content = _field(fields, _CONFIGURATION, _SEQUENCE)
    flags = _fields(content, _SGX_ARCS + bytes([_CONFIGURATION]))
    if len(flags) != 3:
        raise ValueError(f"the SGX extension has a configuration of {len(flags)} entries, not 3")
    dynamic, cached, smt = (_truth(_field(flags, arc, _BOOLEAN)) for arc in (1, 2, 3))
    return Flags(dynamic, cached, smt)


def _fields(content: bytes, arcs: bytes) -> _Fields:
    """{last arc: (tag, content)} of a SEQUENCE OF {OID under `arcs`, value}."""
    found: _Fields = {}
    for entry in _values(content, _SEQUENCE):
        (tag, oid), value = _pair(entry)
        if tag != _OID or oid[:-1] != arcs or oid[-1] in found:
            raise ValueError("the SGX extension has an unexpected or repeated field")
        found[oid[-1]] = value
    return found


def _field(fields: _Fields, arc: int, expected: int) -> bytes:
    tag, content = fields.get(arc, (0, b""))
    if tag != expected:
        raise ValueError(f"the SGX extension has no field {arc}, or not of its type")
    return content


def _sized(content: bytes, size: int) -> bytes:
    if len(content) != size:
        raise ValueError(f"the SGX extension has a field of {len(content)} bytes, not {size}")
    return content


def _number(content: bytes, largest: int) -> int:
    """An INTEGER or ENUMERATED from 0 to `largest`, in its shortest form."""
    value = int.from_bytes(content, "big", signed=True)
    if not 0 <= value <= largest or len(content) != value.bit_length() // 8 + 1:
        raise ValueError("the SGX extension has a number out of its range or form")
    return value


def _truth(content: bytes) -> bool:
    if content not in (b"\x00", b"\xff"):
        raise ValueError("the SGX extension has a truth value that is not DER")
    return content == b"\xff"


def _pair(content: bytes) -> tuple[tuple[int, bytes], tuple[int, bytes]]:
    items = _items(content)
    if len(items) != 2:
        raise ValueError("the SGX extension has a field without one value")
    return items[0], items[1]


def _values(data: bytes, expected: int) -> list[bytes]:
    """The contents of consecutive DER values, all with the same tag."""
    items = _items(data)
    if any(tag != expected for tag, _ in items):
        raise ValueError("the SGX extension has a value of another type")
    return [content for _, content in items]


def _items(data: bytes) -> list[tuple[int, bytes]]:
    """Tags and contents of consecutive DER values: definite, shortest lengths (X.690, 10.1)."""
    found, at = [], 0
    while at < len(data):
        tag, size = data[at], data[at + 1] if at + 1 < len(data) else 0xFF
        at += 2
        if size >= 0x80:
            count = size & 0x7F
            size = int.from_bytes(data[at : at + count], "big")
            if not 1 <= count <= 2 or size < max(0x80, 1 << 8 * (count - 1)):
                raise ValueError("the SGX extension has a length that is not DER")
            at += count
        if tag & 0x1F == 0x1F or size > len(data) - at:
            raise ValueError("the SGX extension is cut short")
        found.append((tag, data[at : at + size]))
        at += size
    return found
