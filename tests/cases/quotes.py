"""Checks 1, 6, 7, 9 and 13: the quote itself."""

from __future__ import annotations

import struct
from collections.abc import Callable

from .catalogue import (
    ATTRIBUTES,
    FORMAT,
    SIGNATURE,
    Change,
    Entry,
    bad,
    body,
    both,
    good,
    qe,
    world,
)
from .world import KINDS

ALL = tuple(KINDS)
V5, NAMING = ALL[1:], ALL[2:]
"""Kinds of version 5, and those that name the service TD."""

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def _signature_at(quote: bytes) -> int:
    """Where the signature data begins, after its length."""
    start = 48
    if quote[0] == 5:
        start += 6 + struct.unpack_from("<I", quote, 50)[0]
        return start + 4
    return start + 584 + 4


def _quote(change: Callable[[bytearray, int], object]) -> Change:
    """Change the signed quote; `change` gets its bytes and where the signature data begins."""

    def rewrite(quote: bytes) -> bytes:
        changed = bytearray(quote)
        returned = change(changed, _signature_at(quote))
        return bytes(returned) if isinstance(returned, bytes | bytearray) else bytes(changed)

    return world(quote=rewrite)


def _flip(offset: int, from_signature: bool = False) -> Change:
    def change(quote: bytearray, signature: int) -> None:
        quote[offset + (signature if from_signature else 0)] ^= 1

    return _quote(change)


def _put(offset: int, fmt: str, value: int, from_signature: bool = False) -> Change:
    def change(quote: bytearray, signature: int) -> None:
        struct.pack_into(fmt, quote, offset + (signature if from_signature else 0), value)

    return _quote(change)


def _format(fault: str, change: Change, *kinds: str, reason: str | None = None) -> Entry:
    return bad(f"quote/{fault}", 1, FORMAT, change, *(kinds or ALL), reason=reason)


FORMATS = [
    _format("empty", world(quote=lambda quote: b"")),
    _format("header alone", world(quote=lambda quote: quote[:48])),
    _format("half", world(quote=lambda quote: quote[: len(quote) // 2])),
    _format("a byte short", world(quote=lambda quote: quote[:-1])),
    _format("a byte more", world(quote=lambda quote: quote + b"\0")),
    _format("100 bytes more", world(quote=lambda quote: quote + bytes(100))),
    _format("version 3", world(header={"version": 3})),
    _format("version 6", world(header={"version": 6})),
    _format("P-384 key type", world(header={"att_key_type": 3})),
    _format("SGX", world(header={"tee_type": 0})),
    _format("another vendor", world(header={"vendor_id": b"\x93" * 16}), reason="vendor-unknown"),
    _format(
        "another vendor, cut short",
        both(world(header={"vendor_id": bytes(16)}), world(quote=lambda quote: quote[:600])),
        reason="vendor-unknown",
    ),
    _format("another vendor and version", world(header={"version": 6, "vendor_id": bytes(16)})),
    _format(
        "another vendor and key type", world(header={"att_key_type": 3, "vendor_id": bytes(16)})
    ),
    _format("another vendor of SGX", world(header={"tee_type": 0, "vendor_id": bytes(16)})),
    _format("signature data too long", _put(-4, "<I", 0xFFFFFFFF, True)),
    _format("signature data a byte shorter", _quote(lambda q, at: _grown(q, at, -1))),
    _format("signature data a byte longer", _quote(lambda q, at: _grown(q, at, 1))),
    _format("other certification data", _put(128, "<H", 5, True)),
    _format("certification data too long", _put(130, "<I", 0x7FFFFFFF, True)),
    _format("certification data a byte short", _quote(lambda q, at: _shrunk(q, at + 130))),
    _format("auth data too long", _put(134 + 448, "<H", 0xFFFF, True)),
    _format("PCK data of another type", _put(134 + 448 + 34, "<H", 6, True)),
    _format("PCK data too long", _put(134 + 448 + 36, "<I", 0x7FFFFFFF, True)),
    _format("body type 1", _put(48, "<H", 1), *V5),
    _format("body type 4", _put(48, "<H", 4), "v5-td10", "v5-td15"),
    _format("body type 5", _put(48, "<H", 5), *V5),
    _format("the other body type", _put(48, "<H", 3), "v5-td10", "v5-td15ex"),
    _format("the other body size", _put(50, "<I", 584), "v5-td15", "v5-td15ex"),
    _format("body size of TDX 1.5", _put(50, "<I", 648), "v5-td15ex"),
    _format("body size a byte short", _put(50, "<I", 884), "v5-td15ex"),
    _format("body size a byte more", _put(50, "<I", 886), "v5-td15ex"),
    _format("huge body size", _put(50, "<I", 0xFFFFFFF0), "v5-td15", "v5-td15ex"),
    _format("version 4 that says 5", _put(0, "<H", 5), "v4"),
    _format("version 5 that says 4", _put(0, "<H", 4), *V5),
    *(good(f"quote/good {kind}", 1, lambda world: None, "UpToDate", kind) for kind in ALL),
    good(
        "quote/user data and QE SVNs",
        1,
        world(header={"user_data": b"u" * 20, "reserved": b"s" * 4}),
        "UpToDate",
        *ALL,
    ),
]


def _grown(quote: bytearray, at: int, by: int) -> None:
    size = struct.unpack_from("<I", quote, at - 4)[0]
    struct.pack_into("<I", quote, at - 4, size + by)


def _shrunk(quote: bytearray, at: int) -> None:
    size = struct.unpack_from("<I", quote, at)[0]
    struct.pack_into("<I", quote, at, size - 1)


HEADER = {"reserved": 8, "user data": 28}
BODY = {
    "tee_tcb_svn": 0,
    "mr_seam": 16,
    "mrsigner_seam": 64,
    "seam_attributes": 112,
    "td_attributes": 120,
    "xfam": 128,
    "mr_td": 136,
    "mr_config_id": 184,
    "mr_owner": 232,
    "mr_owner_config": 280,
    "rtmr_0": 328,
    "rtmr_1": 376,
    "rtmr_2": 424,
    "rtmr_3": 472,
    "report_data": 520,
    "tee_tcb_svn2": 584,
    "mr_servicetd": 600,
    "vmid": 648,
    "td_id": 649,
    "devinfo": 681,
    "init_server_td_hash": 729,
    "init_server_td_attr": 777,
    "init_cpu_svn": 785,
    "init_tee_tcb_svn": 801,
    "init_tee_fmspc": 817,
    "curr_server_td_hash": 829,
    "curr_server_td_attr": 877,
}
BODY_SIZES = {"v4": 584, "v5-td10": 584, "v5-td15": 648, "v5-td15ex": 885}


def _changed(field: str, kind: str) -> Entry:
    offset = BODY[field] + (48 if kind == "v4" else 54)
    within = 0 if field == "vmid" else 5
    return bad(f"quote/{field} changed/{kind}", 9, SIGNATURE, _flip(offset + within), kind)


CHANGED = [
    *(bad(f"quote/{n} changed", 9, SIGNATURE, _flip(at), *ALL) for n, at in HEADER.items()),
    *(
        _changed(field, kind)
        for kind in ALL
        for field, offset in BODY.items()
        if offset < BODY_SIZES[kind]
    ),
]


def _high_s(quote: bytearray, at: int) -> None:
    """(r, n - s) is the same signature: who signed is the same, so nothing is wrong with it."""
    s = int.from_bytes(quote[at + 32 : at + 64], "big")
    quote[at + 32 : at + 64] = (P256_ORDER - s).to_bytes(32, "big")


def _zeros(offset: int, size: int) -> Change:
    def change(quote: bytearray, at: int) -> None:
        quote[at + offset : at + offset + size] = bytes(size)

    return _quote(change)


def _swap_signatures(quote: bytearray, at: int) -> None:
    first, second = slice(at, at + 64), slice(at + 134 + 384, at + 134 + 448)
    quote[first], quote[second] = quote[second], quote[first]


SIGNATURES = [
    bad("quote/signature changed", 9, SIGNATURE, _flip(40, True), *ALL),
    bad("quote/signature of zeros", 9, SIGNATURE, _zeros(0, 64), *ALL),
    bad("quote/signature with r of zero", 9, SIGNATURE, _zeros(0, 32)),
    bad("quote/signature with s of zero", 9, SIGNATURE, _zeros(32, 32)),
    bad("quote/signed by a stranger", 9, SIGNATURE, world(quote_signer="stranger"), *ALL),
    bad("quote/signed by the PCK", 9, SIGNATURE, world(quote_signer="pck")),
    good("quote/signature with n - s", 9, _quote(_high_s)),
    bad("quote/attestation key changed", 7, SIGNATURE, _flip(70, True), *ALL),
    bad("quote/attestation key of zeros", 7, SIGNATURE, _zeros(64, 64)),
    bad("quote/signatures changed over", 6, SIGNATURE, _quote(_swap_signatures)),
    bad("qe report/signature changed", 6, SIGNATURE, _flip(134 + 384 + 40, True), *ALL),
    bad("qe report/signature of zeros", 6, SIGNATURE, _zeros(134 + 384, 64)),
    bad("qe report/signed by a stranger", 6, SIGNATURE, world(qe_report_signer="stranger"), *ALL),
    bad("qe report/signed by the platform CA", 6, SIGNATURE, world(qe_report_signer="platform")),
    bad("qe report/changed", 6, SIGNATURE, _flip(134 + 100, True), *ALL),
    bad("qe report/ISVSVN changed", 6, SIGNATURE, _put(134 + 258, "<H", 9, True)),
    bad("qe report/of another key", 7, SIGNATURE, qe(binding=lambda digest: b"\1" * 32), *ALL),
    bad("qe report/of no key", 7, SIGNATURE, qe(binding=lambda digest: bytes(32))),
    bad("qe report/more after the digest", 7, SIGNATURE, qe(padding=bytes(31) + b"\1"), *ALL),
    bad("quote/auth data changed", 7, SIGNATURE, _flip(134 + 448 + 2, True), *ALL),
    good("quote/auth data empty", 7, world(auth_data=b"")),
    good("quote/auth data of 100 bytes", 7, world(auth_data=bytes(100))),
]


def _attributes(value: int) -> Change:
    return body(td_attributes=value.to_bytes(8, "little"))


SEPT_VE = 1 << 28
NEWER = {"icssd": 16, "servtd_ext": 17, "lass": 27, "migratable": 29, "tpa": 62}
"""Attributes of newer TDX modules."""


def _td(fault: str, reason: str, value: int, *kinds: str) -> Entry:
    change = _attributes(value)
    return bad(f"td attributes/{fault}", 13, ATTRIBUTES, change, *(kinds or ("v4",)), reason=reason)


def _ruled(name: str, reason: str, field: str, size: int, *kinds: str) -> Entry:
    """A field that must be zero, and is in its last bit only."""
    change = body(**{field: bytes(size - 1) + b"\x80"})
    return bad(name, 13, ATTRIBUTES, change, *(kinds or ("v5-td15ex",)), reason=reason)


XFAM = 0x6DBE7
"""All that a TD may have of the extended features."""


def _xfam(value: int) -> Change:
    return body(xfam=value.to_bytes(8, "little"))


TD = [
    _td("debug", "debug", SEPT_VE | 1, *ALL),
    _td("no SEPT_VE_DISABLE", "sept-ve", 0, *ALL),
    *(_td(f"bit {bit}", "reserved", SEPT_VE | 1 << bit) for bit in (1, 4, 7, 8, 32, 61)),
    *(
        _td(f"{name} that no policy allows", "attributes-refused", SEPT_VE | 1 << bit)
        for name, bit in NEWER.items()
    ),
    *(
        good(f"td attributes/{name}", 13, _attributes(SEPT_VE | 1 << bit))
        for name, bit in (("protection keys", 30), ("key locker", 31), ("perfmon", 63))
    ),
    *(
        bad(f"xfam/{fault}", 13, ATTRIBUTES, _xfam(value), *kinds, reason="xfam")
        for fault, value, *kinds in (
            ("zero", 0, *ALL),
            ("without x87", 0x6DBE6),
            ("without SSE", 0x6DBE5),
            *((f"bit {bit}", 1 << bit | 3) for bit in range(64) if not 1 << bit & XFAM),
        )
    ),
    *(good(f"xfam/bit {bit}", 13, _xfam(1 << bit | 3)) for bit in range(64) if 1 << bit & XFAM),
    good("xfam/everything", 13, _xfam(XFAM)),
    _ruled("service td/bound", "service-td", "mr_servicetd", 48, *NAMING),
]


def _facts(**fields: bytes) -> Entry:
    """What an extended body says and no policy is needed for."""
    name = " and ".join(fields)
    return good(f"body/{name} of other values", 13, body(**fields), "UpToDate", "v5-td15ex")


EXTENDED = [
    _ruled("body/a nested guest", "nested-guest", "vmid", 1, "v5-td15ex"),
    *(
        _ruled(f"body/{side} of a service TD's {what}", reason, f"{side}_server_td_{part}", size)
        for side in ("init", "curr")
        for what, reason, part, size in (
            ("attributes", "service-td-attributes", "attr", 8),
            ("hash", "service-td", "hash", 48),
        )
    ),
    _facts(td_id=b"\1" * 32, devinfo=bytes(48)),
    _facts(init_cpu_svn=bytes(16), init_tee_tcb_svn=b"\xff" * 16, init_tee_fmspc=bytes(12)),
    bad(
        "body/a nested guest, and a service TD",
        13,
        ATTRIBUTES,
        body(vmid=b"\2", mr_servicetd=b"\1" * 48, init_server_td_attr=b"\1" * 8),
        "v5-td15ex",
        reason="nested-guest",
    ),
    bad(
        "body/attributes of a service TD, and a service TD",
        13,
        ATTRIBUTES,
        body(mr_servicetd=b"\1" * 48, curr_server_td_attr=b"\1" * 8),
        "v5-td15ex",
        reason="service-td-attributes",
    ),
]

ENTRIES = [*FORMATS, *CHANGED, *SIGNATURES, *TD, *EXTENDED]
