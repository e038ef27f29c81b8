"""Mutations of a whole case: quote, collateral, root, policy and time, for the differential fuzz.

Nearly all act on a `World` before it is signed, so that what is wrong reaches the step that it is
about; a few change bytes and text afterwards. A mutant is made from a number, always the same one.
"""

from __future__ import annotations

import base64
import contextlib
import json
import random
import re
from collections.abc import Callable
from typing import Any

from structure import changed

from cases import encoding as x
from cases import lists
from cases.world import (
    AUTHORITY_KEY,
    BASIC_CONSTRAINTS,
    BEGIN,
    DAY,
    END,
    KEY_USAGE,
    KINDS,
    NOW,
    POINTS,
    SGX,
    SUBJECT_KEY,
    Certificate,
    Document,
    RevocationList,
    Sgx,
    World,
    date,
    level,
    platform_tcb,
)
from quote_generator.simulator import der

Random = random.Random
Mutation = Callable[[Random, World], None]
Case = dict[str, Any]

STATUSES = (
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
    "Revoked",
)
ADVISORIES = ("INTEL-SA-00001", "INTEL-SA-00002", "INTEL-SA-00003", "INTEL-DOC-1", "", "é")
MOMENTS = (NOW - 1, NOW, NOW + 1, BEGIN, END, NOW - DAY - 3600, NOW - 400 * DAY, NOW + 3650 * DAY)
BLANKS = (" ", "\n", "\t", "\r\n", "\xa0", "\f", "\v", "\0", "\ufeff", "\u2028", "\x85", "\x1f")

NUMBERS = (-1, 0, 1, 2, 3, 4, 5, 6, 13, 17, 127, 128, 255, 256, 65535, 65536, 2**31, 2**32 - 1)
HUGE = (2**32, 2**53 - 1, 2**53, -(2**53), 2**64, 10**30)
TEXTS = ("", "0", "TDX", "TD_QE", "tdx_01", "TDX_01", "TDX_00", "00", "\0", "ÿ", "\ud800", "😀")
ODD: tuple[Any, ...] = (
    *NUMBERS, *HUGE, *TEXTS, None, True, False, 1.5, 1e300, [], {}, [[]], {"a": 1}, "00" * 8,
    "FF" * 8, "00" * 48, "00" * 16, date(NOW), "2027-02-30T00:00:00Z", "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z", "2027-01-15T08:00:00z", "2027-01-15 08:00:00Z", "2027-01-15T24:00:00Z",
    "2027-01-15T23:59:60Z", "10000-01-01T00:00:00Z", "2027-01-15T08:00:00+00:00",
)  # fmt: skip


def flipped(rng: Random, data: bytes) -> bytes:
    """One to three bytes changed, put in, taken out or cut off."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(6):
            case 0:
                changed[at:at] = rng.randbytes(rng.choice((1, 2, 8)))
            case 1:
                del changed[at : at + rng.choice((1, 2, 8))]
            case 2 if rng.random() < 0.2:
                del changed[at:]
            case 3 if at < len(changed):
                changed[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
            case _ if at < len(changed):
                changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed)


def respelled(rng: Random, text: str) -> str:
    """A change of text: a character, a blank, letters' case, a piece taken out or repeated."""
    at = rng.randrange(len(text) + 1)
    match rng.randrange(7):
        case 0:
            return text[:at] + rng.choice(BLANKS) + text[at:]
        case 1:
            return text[:at] + text[at + rng.choice((1, 1, 4)) :]
        case 2:
            return text[:at] + text[at : at + 8].swapcase() + text[at + 8 :]
        case 3:
            return (
                text[:at]
                + chr(rng.choice((0, 10, 34, 48, 65, 92, 123, 125, 233, 0x1F600)))
                + text[at + 1 :]
            )
        case 4:
            return text + rng.choice((*BLANKS, "x", "\n\n", text[-60:]))
        case 5:
            return rng.choice((*BLANKS, "x", "[")) + text
        case _:
            return text.replace(
                "\n", rng.choice(("\r\n", "", "\n\n", " ", "\v")), rng.choice((1, -1))
            )


# --- certificates --------------------------------------------------------------------------------

EXTENSIONS = (AUTHORITY_KEY, SUBJECT_KEY, POINTS, KEY_USAGE, BASIC_CONSTRAINTS, SGX)
FORMS = (x.LONG, x.INDEFINITE, x.HUGE, x.OVER, x.TRAILING)
ALGORITHMS = (x.ECDSA_SHA256, x.ECDSA_SHA384, x.ECDSA_SHA512, x.RSA_SHA256)
SERIALS = (0, 1, 2, 3, 4, 127, 128, 255, 2**63, 2**159 - 1, 2**159, 2**160 - 1)
VALUES = (
    b"", b"\5\0", b"\x30\0", b"\x04\0", b"\x30\3\1\1\0", b"\x30\3\1\1\1", b"\x30\3\1\1\xff",
    b"\x30\6\1\1\xff\2\1\0", b"\x30\6\1\1\xff\2\1\x80", b"\x30\6\1\1\0\2\1\0", b"\3\2\7\x80",
    b"\3\2\0\x80", b"\3\2\1\6", b"\3\1\0", b"\3\3\7\6\x80", b"\3\2\x08\x80", b"\x30\2\x80\0",
    b"\x30\4\x80\1\0\x80", b"\x30\2\xa1\0", b"\x30\3\x82\1\0", b"\x30\2\x30\0", b"\4\1\0",
    b"\x30\4\x30\2\xa0\0", b"\x24\2\4\0", b"\2\1\0", b"\2\1\x80", b"\2\2\0\x80", b"\2\2\0\1",
    b"\x30\4\x82\2\0\1", b"\x30\7\x80\1\0\xa1\0\x82\0", b"\x30\6\x82\1\0\x80\1\0",
)  # fmt: skip


def _certificate(rng: Random, world: World) -> Certificate:
    return world.certificates[rng.choice(("root", "platform", "pck", "pck", "tcb"))]


def _field(rng: Random, target: Certificate | RevocationList, fields: dict[str, Any]) -> None:
    name = rng.choice(list(fields))
    setattr(target, name, rng.choice(fields[name]))


def certificate_field(rng: Random, world: World) -> None:
    """A field of a certificate has another value."""
    _field(
        rng,
        _certificate(rng, world),
        {
            "start": (*MOMENTS, 0, -1, 2524608000, 253402300799),
            "end": (*MOMENTS, 0, 2524607999, 2524608000, 253402300799),
            "usage": [tuple(b for b in range(8) if rng.random() < 0.5) for _ in range(4)] + [None],
            "ca": (True, False),
            "path": (None, 0, 1, 2, 127, 128, 65535, 65536),
            "version": (1, 2, 3, 4),
            "inner": ALGORITHMS,
            "outer": ALGORITHMS,
            "flip": (True,),
            "compressed": (True,),
            "extended": (False,),
            "constrained": (False,),
            "serial": SERIALS,
            "signer": ("root", "platform", "pck", "tcb", "stranger"),
            "key": ("root", "platform", "pck", "tcb", "stranger"),
            "subject": (*TEXTS[:-2], *(c.subject for c in world.certificates.values())),
            "issuer": (*TEXTS[:-2], *(c.subject for c in world.certificates.values())),
        },
    )


def certificate_extension(rng: Random, world: World) -> None:
    """An extension is missing, there twice, unknown, or has another value."""
    target = _certificate(rng, world)
    oid = rng.choice(EXTENSIONS)
    match rng.randrange(5):
        case 0:
            target.values = {**target.values, oid: None}
        case 1 if oid != SGX or target.sgx is not None:
            target.twice = (oid,) if target.values.get(oid, b"") is not None else ()
        case 2:
            other = rng.choice((oid, "1.2.3", "2.5.29.30", "2.5.29.36", "2.5.29.32", "0.0"))
            value = rng.choice((*VALUES, rng.randbytes(5)))
            form = rng.choice((x.DER, x.DER, *FORMS))
            target.more = [x.extension(other, value, rng.random() < 0.3, form)]
        case 3:
            target.values = {**target.values, oid: rng.choice(VALUES)}
        case _:
            value = target.values.get(oid) or x.key_usage((0,))
            target.values = {**target.values, oid: flipped(rng, value)}


def certificate_form(rng: Random, world: World) -> None:
    """A part of it is written in another form than DER."""
    part = rng.choice(("whole", "content", "serial", "validity", "extensions", "signature"))
    _certificate(rng, world).forms = {part: rng.choice(FORMS)}


def certificate_name(rng: Random, world: World) -> None:
    """Another name, for all who have it as their issuer's as well."""
    target = _certificate(rng, world)
    old, text = target.subject, str(target.subject)
    attribute = x.sequence(
        der.oid(rng.choice(("2.5.4.3", "2.5.4.3", "2.5.4.10", "2.5.4.6"))),
        x.tlv(rng.choice((0x0C, 0x13, 0x14, 0x16, 0x1E, 0x04)), text.encode()),
    )
    other = x.sequence(der.oid("2.5.4.10"), x.tlv(0x0C, b"TEST"))
    name: str | bytes = rng.choice(
        (
            text.lower(),
            f"x{text}",
            f"{text} ",
            text.replace("SGX", "SGX "),
            x.sequence(x.tlv(0x31, attribute)),
            x.sequence(x.tlv(0x31, attribute), x.tlv(0x31, other)),
            x.sequence(x.tlv(0x31, attribute), x.tlv(0x31, attribute)),
            x.sequence(x.tlv(0x31, attribute + other)),
            x.sequence(x.tlv(0x31, b"")),
            x.sequence(x.tlv(0x30, attribute)),
            x.sequence(attribute),
            b"\x30\0",
        )
    )
    if rng.random() < 0.2:
        name = flipped(rng, x.name(name))
    target.subject = name
    made = [item for name, item in world.certificates.items() if name != "pinned"]
    for item in (*made, world.root_list, world.pck_list):
        if item.issuer == old:
            item.issuer = name


def sgx_extension(rng: Random, world: World) -> None:
    """The PCK's own extension: entries, their sizes and types, SVNs around a level's."""
    sgx = world.certificates["pck"].sgx
    if sgx is None:
        return
    value = rng.choice(
        (
            *VALUES, *(der.octets(bytes(n)) for n in (0, 2, 6, 15, 16, 17)), der.integer(0),
            der.integer(255), der.integer(256), der.integer(65535), der.integer(65536),
            der.enumerated(0), der.enumerated(1), b"\x0a\2\0\xff", b"\x0a\2\1\0", x.boolean(True),
            b"",
        )
    )  # fmt: skip
    match rng.randrange(9):
        case 0:
            sgx.top = {**sgx.top, rng.choice("1234567"): value}
        case 1:
            sgx.tcb = {**sgx.tcb, f"2.{rng.randrange(1, 20)}": value}
        case 2:
            sgx.components[rng.randrange(16)] = rng.choice((0, 1, 4, 5, 127, 128, 255))
        case 3:
            sgx.pce_svn = rng.choice((value, der.integer(12), der.integer(14), der.integer(40000)))
        case 4:
            sgx.repeated = (rng.choice("1234567"),)
        case 5:
            entry = x.sequence(der.oid(rng.choice((f"{SGX}.8", f"{SGX}.4", SGX, "1.2.3"))), value)
            sgx.more = rng.choice((entry, value, b"\x30\0"))
        case 6:
            sgx.form = rng.choice((x.DER, *FORMS))
            sgx.entry_form = rng.choice((x.DER, *FORMS))
        case 7:
            booleans = [
                rng.choice((x.boolean(True), x.boolean(False), value))
                for _ in range(rng.choice((2, 3, 3, 3, 4)))
            ]
            sgx.top = {
                **sgx.top,
                "7": x.sequence(
                    *(x.sequence(der.oid(f"{SGX}.7.{n}"), v) for n, v in enumerate(booleans, 1))
                ),
            }
        case _:
            sgx.top = {**sgx.top, **dict.fromkeys(rng.choice((("6", "7"), ("6",), ("7",))), b"")}


def chain(rng: Random, world: World) -> None:
    """Other certificates in a chain, in another order, or their text spelled otherwise."""
    name = rng.choice(list(world.chains))
    items = list(world.chains[name])
    match rng.randrange(4):
        case 0:
            rng.shuffle(items)
        case 1:
            items.insert(rng.randrange(len(items) + 1), rng.choice(list(world.certificates)))
        case 2:
            items.pop(rng.randrange(len(items)))
        case _:
            state = rng.getrandbits(32)
            world.pem = lambda which, text: (
                respelled(Random(state), text).encode("latin-1", "replace").decode("latin-1")
                if which == name
                else text
            )
    world.chains[name] = tuple(items)


def root(rng: Random, world: World) -> None:
    """The root that is trusted: the right key under another name, another key, other times."""
    target = world.certificates["pinned"]
    match rng.randrange(4):
        case 0:
            target.subject = rng.choice(("TEST Somebody Else", "Intel SGX Root CA", "x"))
        case 1:
            target.subject = target.issuer = "TEST Another SGX Root CA"
        case 2:
            target.key = target.signer = rng.choice(("stranger", "pck", "root"))
        case _:
            _field(
                rng,
                target,
                {
                    "start": MOMENTS,
                    "end": MOMENTS,
                    "flip": (True,),
                    "serial": SERIALS[1:10],
                    "signer": ("stranger",),
                    "values": ({AUTHORITY_KEY: None}, {POINTS: None}, {SUBJECT_KEY: b""}),
                },
            )


# --- lists ---------------------------------------------------------------------------------------


def list_field(rng: Random, world: World) -> None:
    """A field of a revocation list has another value."""
    target = rng.choice((world.root_list, world.pck_list))
    _field(
        rng,
        target,
        {
            "start": (*MOMENTS, 0, 2524608000),
            "end": (*MOMENTS, None, 2524608000),
            "revoked": [
                *([n] for n in (1, 2, 3, 4, 5, 128)),
                [9, 9],
                [9, 3, 4],
                list(range(9, 40)),
                [2**159],
            ],
            "version": (1, 2, 3),
            "inner": ALGORITHMS,
            "outer": ALGORITHMS,
            "flip": (True,),
            "critical": (True,),
            "numbered": (False,),
            "authority": (False,),
            "extended": (False,),
            "number": (*VALUES, *(der.integer(n) for n in (0, 127, 128, 2**64, 2**159, 2**200))),
            "identifier": VALUES[1:],
            "issuer": ("TEST", *(c.subject for c in world.certificates.values())),
            "signer": ("root", "platform", "tcb", "pck", "stranger"),
            "more": [
                [x.extension(oid, value, critical)]
                for oid in ("1.2.3", "2.5.29.20", "2.5.29.27", "2.5.29.28")
                for value in (b"", b"\2\1\1", b"\x30\0")
                for critical in (True, False)
            ],
            "forms": [
                {part: form} for part in ("whole", "content", "time", "signature") for form in FORMS
            ],
        },
    )


def list_text(rng: Random, world: World) -> None:
    """A list as text of another kind."""
    spell = rng.choice([*lists.FORMS.values(), *lists.ODD_FORMS.values()])
    member = rng.choice(("root_crl_der_b64", "pck_crl_der_b64"))
    world.collateral = lambda old: old | {member: spell(old[member])}


def list_bytes(rng: Random, world: World) -> None:
    """Bytes of a list that nobody signs again."""
    name, state = rng.choice(("root_crl", "pck_crl")), rng.getrandbits(32)
    world.lists = lambda old: old | {name: flipped(Random(state), old[name])}


def structure(rng: Random, world: World) -> None:
    """A certificate or list whose elements were changed before it was signed."""
    target = rng.choice((*world.certificates.values(), *[world.root_list, world.pck_list] * 2))
    state, rate = rng.getrandbits(32), rng.choice((0.01, 0.02, 0.05))
    target.rewritten = lambda content: changed(Random(state), content, rate)


# --- documents -----------------------------------------------------------------------------------


def _document(rng: Random, world: World) -> Document:
    return rng.choice((world.tcb_info, world.tcb_info, world.qe_identity))


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every member and item inside a value: what holds it, and its name or place there."""
    keys = (
        list(value)
        if isinstance(value, dict)
        else range(len(value))
        if isinstance(value, list)
        else ()
    )
    return [place for key in keys for place in ((value, key), *_places(value[key]))]


def document_member(rng: Random, world: World) -> None:
    """A member has an odd value, is missing, is there under another name, or one is more."""
    value = _document(rng, world).value
    holder, key = rng.choice(_places(value))
    match rng.randrange(6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[rng.choice((key.upper(), key.lower(), f"{key} ", "__proto__", "é"))] = (
                holder.pop(key)
            )
        case 2 if isinstance(holder, dict):
            holder[rng.choice(("later", "__proto__", "constructor", "tcbStatus"))] = rng.choice(ODD)
        case 3 if isinstance(holder[key], str):
            holder[key] = respelled(rng, holder[key])
        case _:
            holder[key] = rng.choice(ODD)


def _svns(rng: Random, base: list[int]) -> list[int]:
    changed = list(base)
    if rng.random() < 0.7:
        at = rng.choice((0, 1, 2, 2, 15))
        changed[at] = max(0, changed[at] + rng.choice((-1, 1, 1, 3)))
    return changed


def platform_levels(rng: Random, world: World) -> None:
    """Levels around what the platform has, in any order, with any status, advisories and dates."""

    def one() -> dict[str, Any]:
        tcb = platform_tcb(
            _svns(rng, Sgx().components),
            rng.choice((12, 13, 13, 14)),
            _svns(rng, [rng.choice((0, 5)), rng.choice((0, 1)), 2] + [0] * 13),
        )
        return _level(rng, STATUSES, tcb)

    levels = [one() for _ in range(rng.randrange(1, 5))]
    if rng.random() < 0.7:
        levels.insert(rng.randrange(len(levels) + 1), _level(rng, STATUSES, platform_tcb()))
    world.tcb_info.value["tcbLevels"] = levels


def _level(rng: Random, statuses: tuple[str, ...], tcb: dict[str, Any]) -> dict[str, Any]:
    ids = rng.sample(ADVISORIES, rng.choice((0, 0, 1, 2)))
    return level(rng.choice(statuses), *ids, at=rng.choice((BEGIN, NOW - 400 * DAY, NOW)), **tcb)


def _own_levels(rng: Random, around: int) -> list[dict[str, Any]]:
    statuses = ("UpToDate", "UpToDate", "OutOfDate", "Revoked", *rng.sample(STATUSES, 1))
    steps = rng.sample((-3, -2, -1, 0, 1, 2), rng.randrange(1, 5))
    return [_level(rng, statuses, {"isvsvn": max(0, around + step)}) for step in steps]


def module_levels(rng: Random, world: World) -> None:
    """Identities of TDX modules: which there are, and their levels."""
    identities = world.tcb_info.value["tdxModuleIdentities"]
    first = identities[0]
    world.tcb_info.value["tdxModuleIdentities"] = [
        first
        | {"id": name, "tcbLevels": _own_levels(rng, 5)}
        | rng.choice(({}, {}, {}, {"attributes": "01" + "00" * 7}, {"mrsigner": "01" * 48}))
        for name in rng.choice(
            (("TDX_01",), ("tdx_01",), ("TDX_01", "TDX_03"), ("TDX_03",), ("TDX_01", "TDX_01"))
        )
    ]


def enclave_levels(rng: Random, world: World) -> None:
    """Levels of the quoting enclave."""
    world.qe_identity.value["tcbLevels"] = _own_levels(rng, 4)


def module_svns(rng: Random, world: World) -> None:
    """TEE_TCB_SVN of the start and of now."""
    for name in ("tee_tcb_svn", "tee_tcb_svn2"):
        if rng.random() < 0.7:
            svns = (
                rng.choice((3, 4, 5, 6, 7)),
                rng.choice((0, 1, 1, 1, 3, 9, 0x10)),
                rng.choice((1, 2, 3)),
            )
            world.body[name] = bytes(svns) + bytes(13)


def document_date(rng: Random, world: World) -> None:
    """It is not valid yet, or not any more, to the second."""
    document = _document(rng, world)
    document.value[rng.choice(("issueDate", "nextUpdate"))] = date(rng.choice(MOMENTS))


def _escape(text: str, at: int) -> str:
    return f"{text[:at]}\\u{ord(text[at]) & 0xFFFF:04x}{text[at + 1 :]}"


def _reserialised(text: str, **form: Any) -> str:
    """Read and written anew, if it is JSON by now."""
    try:
        return json.dumps(json.loads(text), **form)
    except ValueError:
        return text


def _spell(rng: Random, text: str) -> str:
    """The same JSON in another spelling, or nearly JSON."""
    found = [match.start() for match in re.finditer(r"[A-Za-z]", text)]
    digits = list(re.finditer(r"(?<=[:\[])\d+(?=[,}\]])", text))
    match rng.randrange(8):
        case 0:
            return _reserialised(text, indent=rng.choice((None, 1, "\t")))
        case 1:
            return _reserialised(text, sort_keys=True, separators=(",", ":"))
        case 2 if found:
            return _escape(text, rng.choice(found))
        case 3 if digits:
            number = rng.choice(digits)
            form = rng.choice(
                ("{}.0", "{}e0", "-{}", "0{}", "+{}", "{}E+0", "-0", "1e400", "{}.", "NaN")
            )
            return text[: number.start()] + form.format(number[0]) + text[number.end() :]
        case 4:
            blank = rng.choice(BLANKS)
            place = rng.choice((",", ":", "{", "}", "[", "]"))
            return text.replace(
                place, rng.choice((place + blank, blank + place)), rng.choice((1, 1, -1))
            )
        case 5:
            depth = rng.choice((1, 30, 31, 32, 33, 2000))
            return f'{text[:-1]},"later":{"[" * depth}{"]" * depth}}}'
        case 6:
            member = rng.choice(
                ('"version":3', '"id":"TDX"', '"tcbType":0', '"a":"\\ud800"', '"a":"\\x"')
            )
            return f"{text[0]}{member},{text[1:]}"
        case _:
            return respelled(rng, text)


def document_text(rng: Random, world: World) -> None:
    """How it is spelled: before it is signed, on its way, or in the body around it."""
    document = _document(rng, world)
    state = rng.getrandbits(32)
    where = rng.choice(("spell", "spell", "text", "text", "body", "signature"))
    change = respelled if where in ("body", "signature") else _spell
    setattr(document, where, lambda text: change(Random(state), text))


def document_signer(rng: Random, world: World) -> None:
    """Somebody else signs it, or the signature is respelled."""
    document = _document(rng, world)
    if rng.random() < 0.5:
        document.signer = rng.choice(("root", "pck", "platform", "stranger"))
    else:
        document.signature = rng.choice(
            (
                str.upper,
                lambda text: text[64:] + text[:64],
                lambda text: "00" * 64,
                lambda text: text + "00",
            )
        )


# --- quote ---------------------------------------------------------------------------------------


def quote_header(rng: Random, world: World) -> None:
    """A field of the header, signed."""
    name, values = rng.choice(
        (
            ("version", (3, 4, 5, 6)),
            ("att_key_type", (0, 2, 3)),
            ("tee_type", (0, 0x81, 0x82)),
            ("vendor_id", (bytes(16), b"\x93" * 16)),
            ("user_data", (b"u" * 20,)),
            ("reserved", (b"r" * 4,)),
        )
    )
    world.header[name] = rng.choice(values)


def quote_body(rng: Random, world: World) -> None:
    """A field of the body, signed."""
    name = rng.choice(list(world.body))
    value = world.body[name]
    bits = 1 << rng.randrange(8 * len(value))
    number = int.from_bytes(value, "little") ^ bits
    world.body[name] = rng.choice(
        (bytes(len(value)), b"\xff" * len(value), number.to_bytes(len(value), "little"))
    )


def td_attributes(rng: Random, world: World) -> None:
    """Bits of TD_ATTRIBUTES and XFAM that a policy may rule on, or not."""
    bits = (0, 1, 4, 7, 8, 16, 17, 27, 29, 30, 31, 62, 63, 32, 61)
    value = (1 << 28 if rng.random() < 0.8 else 0) | sum(1 << b for b in rng.sample(bits, 1))
    world.body["td_attributes"] = value.to_bytes(8, "little")
    if rng.random() < 0.4:
        world.body["xfam"] = rng.choice((3, 7, 0, 0x6DBE7, 0x6DBEF, 1 << 63 | 3)).to_bytes(
            8, "little"
        )


def enclave(rng: Random, world: World) -> None:
    """The quoting enclave's report, or what its identity asks for."""
    report, identity = world.qe_report, world.qe_identity.value
    match rng.randrange(9):
        case 0:
            report.misc_select = rng.choice((1, 0x80000000))
        case 1:
            report.attributes = flipped(rng, report.attributes).ljust(16, b"\0")[:16]
        case 2:
            report.mr_signer = bytes(32)
        case 3:
            report.isv_prod_id = rng.choice((0, 1, 3, 0x102))
        case 4:
            report.isv_svn = rng.choice((0, 1, 3, 4, 5, 0x104, 65535))
        case 5:
            report.padding = bytes(31) + b"\1"
        case 6:
            report.binding = rng.choice((lambda digest: bytes(32), lambda digest: digest[::-1]))
        case 7:
            name = rng.choice(("miscselectMask", "attributesMask"))
            identity[name] = rng.choice(("00", "FF", "0F")) * (len(identity[name]) // 2)
        case _:
            name = rng.choice(("miscselect", "attributes"))
            identity[name] = rng.choice(("00", "11", "FF", "15")) * (len(identity[name]) // 2)


def signers(rng: Random, world: World) -> None:
    """Who signs the QE report and the quote, and what stands beside the key."""
    match rng.randrange(3):
        case 0:
            world.qe_report_signer = rng.choice(("platform", "stranger", "attestation"))
        case 1:
            world.quote_signer = rng.choice(("pck", "stranger"))
        case _:
            world.auth_data = bytes(rng.choice((0, 1, 31, 33, 100, 4000)))


def quote_bytes(rng: Random, world: World) -> None:
    """Bytes of a signed quote."""
    state, early = rng.getrandbits(32), rng.random() < 0.4

    def change(quote: bytes) -> bytes:
        again = Random(state)
        cut = again.choice((60, 760, 1400)) if early else len(quote)
        return flipped(again, quote[:cut]) + quote[cut:]

    world.quote = change


# --- policy and time -----------------------------------------------------------------------------


def _some(rng: Random, members: dict[str, tuple[Any, ...]]) -> dict[str, Any]:
    chosen = rng.sample(list(members), rng.randrange(1, min(4, len(members) + 1)))
    return {name: rng.choice(members[name]) for name in chosen}


def policy(rng: Random, world: World) -> None:
    """A policy, most often a valid one."""
    relaunch = ("TDRelaunchAdvised", "TDRelaunchAdvisedConfigurationNeeded")
    names = [*STATUSES[:-1], *relaunch]
    statuses = tuple(rng.sample(names, rng.randrange(0, 6)) for _ in range(3))
    ids = tuple(rng.sample(ADVISORIES[:4], n) for n in (0, 1, 2))
    moments = (date(NOW), date(BEGIN), date(BEGIN + 1), date(NOW - 400 * DAY))
    graces = (0, 1, DAY - 1, DAY, DAY + 1, 400 * DAY, 365 * DAY)
    tcb = {
        "pass": statuses,
        "warn": statuses,
        "advisories": ids,
        "refused_advisories": ids,
        "grace": graces,
        "min_date": moments,
        "min_evaluation": (0, 16, 17, 18, 2**32 - 1),
    }
    rules = ("require", "allow", "forbid")
    bits = (
        "sept_ve_disable",
        "pks",
        "key_locker",
        "perfmon",
        "icssd",
        "servtd_ext",
        "lass",
        "migratable",
        "tpa",
    )
    hexes = tuple(
        number.to_bytes(8, "little").hex() for number in (0, 3, 1 << 28, 0x6DBE7, 2**64 - 1)
    )
    field = rng.choice(list(world.body))
    size = len(world.body[field])
    value: dict[str, Any] = {"v": 1} | _some(
        rng,
        {
            "tcb": (_some(rng, tcb), _some(rng, tcb)),
            "td_attributes": (_some(rng, dict.fromkeys(bits, rules)),),
            "platform": (
                _some(rng, dict.fromkeys(("dynamic_platform", "cached_keys", "smt"), rules)),
            ),
            "collateral": ({"grace": rng.choice(graces)},),
            "masked_values": (
                {
                    rng.choice(("td_attributes", "xfam")): {
                        "mask": rng.choice(hexes),
                        "value": rng.choice(hexes),
                    }
                },
            ),
            "reference_values": (
                {field: [world.body[field].hex()]},
                {field: ["12" * size]},
                {field: ["00" * size]},
            ),
            "min_quote_version": (4, 5),
            "max_age": (60, 3600),
        },
    )
    if rng.random() < 0.15:
        holder, key = rng.choice(_places(value))
        holder[key] = rng.choice([item for item in ODD if not isinstance(item, float)])
    world.policy = value


def now(rng: Random, world: World) -> None:
    """Another moment: the ends of something, and times that nobody lives in."""
    world.now = rng.choice(
        (*MOMENTS, NOW + 0.5, END - 1, END + 1, END + DAY, 0, 1, 2**31, 2**40, 2**53, -1, 1e18)
    )


def grace(rng: Random, world: World) -> None:
    """Something ends around now, and the policy has a grace."""
    ago = rng.choice((0, 1, 9, 10, 11))
    seconds = rng.choice((0, 9, 10, 11, 12, DAY))
    match rng.randrange(6):
        case 0:
            world.root_list.end = NOW - ago
        case 1:
            world.pck_list.end = NOW - ago
        case 2:
            _document(rng, world).value["nextUpdate"] = date(NOW - ago)
        case 3:
            world.certificates[rng.choice(("tcb", "root", "pck", "platform"))].end = NOW - ago
        case 4:
            world.now = END + ago
        case _:
            status = rng.choice(STATUSES[4:6])
            world.tcb_info.value["tcbLevels"] = [level(status, at=NOW - ago, **platform_tcb())]
    world.policy = {"v": 1, "collateral": {"grace": seconds}, "tcb": {"grace": seconds}}


WEIGHTS: dict[Mutation, int] = {
    certificate_field: 6,
    certificate_extension: 6,
    certificate_form: 2,
    certificate_name: 3,
    sgx_extension: 6,
    chain: 3,
    root: 3,
    list_field: 5,
    list_text: 2,
    list_bytes: 2,
    structure: 8,
    document_member: 8,
    platform_levels: 6,
    module_levels: 5,
    enclave_levels: 3,
    module_svns: 6,
    document_date: 2,
    document_text: 6,
    document_signer: 1,
    quote_header: 2,
    quote_body: 3,
    td_attributes: 3,
    enclave: 4,
    signers: 2,
    quote_bytes: 4,
    policy: 8,
    now: 3,
    grace: 4,
}
"""Every mutation, and how often it comes among a hundred or so."""


# --- mutants -------------------------------------------------------------------------------------

Plan = tuple[tuple[str, int], ...]
"""The mutations of a mutant, by name, and the number from which each draws."""

BY_NAME = {mutation.__name__: mutation for mutation in WEIGHTS}


def plan_of(number: int) -> tuple[str, Plan]:
    """Which quote the mutant of this number begins with, and what is done to it."""
    rng = Random(number)
    kind = rng.choice(list(KINDS))
    count = rng.choice((1, 1, 1, 2, 2, 3))
    chosen = rng.choices(list(WEIGHTS), list(WEIGHTS.values()), k=count)
    return kind, tuple((mutation.__name__, rng.getrandbits(32)) for mutation in chosen)


def made(kind: str, plan: Plan, number: int) -> Case:
    """The case of a plan. One in twelve has its text changed as well, or something left out."""
    world = World(kind)
    for name, state in plan:
        # An earlier one may have left nothing of the kind that this one changes.
        with contextlib.suppress(KeyError, IndexError, TypeError, AttributeError):
            BY_NAME[name](Random(state), world)
    case = world.case()
    rng = Random(number)
    return _afterwards(rng, case) if rng.random() < 1 / 12 else case


def _afterwards(rng: Random, case: Case) -> Case:
    members = case["collateral"]
    name = rng.choice(list(members))
    match rng.randrange(6):
        case 0:
            return case | {"collateral": {key: members[key] for key in members if key != name}}
        case 1:
            return case | {"collateral": members | {name: rng.choice(ODD)}}
        case 2 | 3:
            return case | {"collateral": members | {name: respelled(rng, members[name])}}
        case 4:
            other = World().case()["collateral"]["tcb_info_issuer_chain_pem"]
            return case | {"root_ca_pem": rng.choice((None, "", "x", 7, case["quote_b64"], other))}
        case _:
            quote = base64.b64decode(case["quote_b64"])
            return case | {
                "quote_b64": base64.b64encode(quote[: rng.randrange(len(quote))]).decode()
            }
