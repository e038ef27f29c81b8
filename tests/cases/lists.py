"""Check 3: revocation lists, and the forms in which their bytes may come."""

from __future__ import annotations

import base64
import copy
import functools
import itertools
from collections.abc import Callable

from quote_generator.simulator import der

from . import encoding as x
from .catalogue import (
    COLLATERAL,
    SIGNATURE,
    Change,
    Entry,
    bad,
    certificate,
    good,
    revocations,
    world,
)
from .profile import LONG_TYPES, LONGEST_TYPE, typed
from .world import BEGIN, CRL_NUMBER, DAY, KEY_CERT_SIGN, NOW, PLATFORM_NAME, ROOT_NAME, World

REASON = "2.5.29.21"


def _lists(name: str, fault: str, reason: str | None = None, **fields: object) -> Entry:
    change = revocations(name, **fields)
    return bad(f"crl/{name}/{fault}", 3, COLLATERAL, change, reason=reason)


def _revoked(name: str, whom: str, *serials: int) -> Entry:
    return _lists(name, f"revokes {whom}", "revoked", revoked=list(serials))


def _replaced(**lists: bytes) -> Change:
    return world(lists=lambda old: old | lists)


def _retagged(name: str) -> Change:
    """Bytes whose hex does not begin as that of a list."""
    return world(lists=lambda old: old | {name: b"\x31" + old[name][1:]})


def _bit_left_over(world: World) -> None:
    """A signature whose last bit, a zero, is said not to count: the same bytes in another form."""
    number = next(n for n in itertools.count(1) if not _numbered(world, n)[-1] & 1)
    encoded = bytearray(_numbered(world, number))
    at = encoded.rindex(b"\0\x30")  # what the BIT STRING says of it, and the signature
    encoded[at] = 1
    world.lists = lambda lists: lists | {"pck_crl": bytes(encoded)}


def _numbered(world: World, number: int) -> bytes:
    world.pck_list.number = der.integer(number)
    return world.pck_list.encode()


def _swapped(lists: dict[str, bytes]) -> dict[str, bytes]:
    return {"root_crl": lists["pck_crl"], "pck_crl": lists["root_crl"]}


def _of_its_own(world: World, role: str, chain: str) -> None:
    """A certificate of the same name and key as another, in one chain only; its list revokes it."""
    other = copy.copy(world.certificates[role])
    other.serial = 90
    world.certificates["other"] = other
    world.chains[chain] = tuple("other" if each == role else each for each in world.chains[chain])
    world.root_list.revoked = [90]


def _changed_entry(world: World) -> None:
    """The revoked serial is overwritten after signing."""
    world.pck_list.revoked = [3]
    old, new = der.integer(3) + b"\x17", der.integer(7) + b"\x17"
    world.lists = lambda lists: lists | {"pck_crl": lists["pck_crl"].replace(old, new)}


def _entry(serial: bytes, *extensions: bytes, time: bytes = x.time(NOW - DAY)) -> bytes:
    """An entry of a list; `serial` is what is in the INTEGER."""
    more = [x.sequence(*extensions)] if extensions else []
    return x.sequence(x.tlv(0x02, serial), time, *more)


def _why(reason: int, critical: bool = False) -> bytes:
    return x.extension(REASON, x.tlv(0x0A, bytes([reason])), critical=critical)


GOOD_ENTRIES = {
    **{f"for reason {number}": _entry(b"\x09", _why(number)) for number in (0, 1, 6, 8, 10)},
    "at a time in the form for later years": _entry(b"\x09", time=x.tlv(0x18, b"20260101000000Z")),
    "of a long serial number": _entry(b"\x01" * 50),
}
ODD_ENTRIES = {
    "of a negative serial number": _entry(b"\xff\x03"),
    "of a serial number with a zero too many": _entry(b"\x00\x03"),
    **{f"for reason {number}": _entry(b"\x09", _why(number)) for number in (7, 11, 0x80)},
    "with a critical reason": _entry(b"\x09", _why(1, critical=True)),
    "with a reason that is none": _entry(b"\x09", x.extension(REASON, b"\xff")),
    "with a reason of another type": _entry(b"\x09", x.extension(REASON, der.integer(1))),
    "with two reasons": _entry(b"\x09", _why(1), _why(1)),
    "with an unknown extension": _entry(b"\x09", x.extension("1.2.3.4", b"\5\0")),
    "with an unknown critical extension": _entry(
        b"\x09", x.extension("1.2.3.4", b"\5\0", critical=True)
    ),
    "with the date of its loss": _entry(
        b"\x09", x.extension("2.5.29.24", x.tlv(0x18, b"20260101000000Z"))
    ),
    "at a time before 1970": _entry(b"\x09", time=x.tlv(0x17, b"670101000000Z")),
    "at a time of year 0": _entry(b"\x09", time=x.tlv(0x18, b"00000101000000Z")),
    "at a time that is none": _entry(b"\x09", time=x.tlv(0x17, b"260230000000Z")),
    "at a time with an offset": _entry(b"\x09", time=x.tlv(0x17, b"260101000000+0000")),
    "with a number behind its time": x.sequence(der.integer(9), x.time(NOW - DAY), der.integer(1)),
}

LISTS = [
    entry
    for name, signer, issuer in (
        ("root_list", "root", ROOT_NAME),
        ("pck_list", "platform", PLATFORM_NAME),
    )
    for entry in (
        _lists(name, "wrong signature", flip=True),
        _lists(name, "signed by a stranger", signer="stranger"),
        _lists(name, "expired", "crl-expired", end=NOW - 1),
        _lists(name, "ends now", "crl-expired", end=NOW),
        _lists(name, "not yet valid", "collateral-early", start=NOW + 1),
        _lists(name, "without an end", end=None),
        _lists(name, "another issuer", issuer="TEST Somebody Else"),
        _lists(name, "another algorithm inside", inner=x.ECDSA_SHA384),
        _lists(name, "another algorithm outside", outer=x.ECDSA_SHA384),
        _lists(name, "SHA-384", inner=x.ECDSA_SHA384, outer=x.ECDSA_SHA384),
        _lists(name, "critical extension", critical=True),
        _lists(name, "version 1", version=1),
        _lists(name, "without a version", unversioned=True),
        _lists(name, "without extensions", extended=False),
        _lists(name, "without a number", numbered=False),
        _lists(name, "without its issuer's key", authority=False),
        _lists(name, "negative number", number=bytes.fromhex("0201ff")),
        _lists(name, "number with a zero too many", number=bytes.fromhex("02020001")),
        _lists(name, "number that is none", number=der.octets(b"\1")),
        _lists(name, "number that is empty", number=b""),
        _lists(name, "number twice", more=[x.extension(CRL_NUMBER, der.integer(1))]),
        _lists(name, "number of 21 bytes", number=der.integer(1 << 160)),
        _lists(name, "an end before 2050 in the form for later ones", late_form=True),
        *(
            _lists(name, f"extension of a {what}", more=[typed(kind)])
            for what, kind in LONG_TYPES.items()
        ),
        good(
            f"crl/{name}/extension of a type of 39 bytes", 3, revocations(name, more=[LONGEST_TYPE])
        ),
        *(
            _lists(name, f"{what}, not critical", more=[x.extension(oid, value)])
            for what, oid, value in (
                ("of changes", "2.5.29.27", der.integer(1)),
                ("of one distribution point", "2.5.29.28", x.sequence()),
            )
        ),
        _lists(name, "issuer's key cut short", identifier=b"\x30\x03\x80"),
        _lists(name, "issuer's key of another type", identifier=der.octets(bytes(20))),
        good(f"crl/{name}/number 0", 3, revocations(name, number=der.integer(0))),
        good(f"crl/{name}/number of 20 bytes", 3, revocations(name, number=der.integer(3**100))),
        _lists(name, "trailing byte", forms={"whole": x.TRAILING}),
        _lists(name, "length with a byte too many", forms={"whole": x.LONG}),
        _lists(name, "indefinite length", forms={"whole": x.INDEFINITE}),
        _lists(name, "huge length", forms={"whole": x.HUGE}),
        _lists(name, "length that is one too many", forms={"whole": x.OVER}),
        _lists(name, "signed part with a byte too many in its length", forms={"content": x.LONG}),
        _lists(name, "time with a byte too many in its length", forms={"time": x.LONG}),
        good(f"crl/{name}/begins now", 3, revocations(name, start=NOW)),
        good(f"crl/{name}/revokes others", 3, revocations(name, revoked=[77, 1 << 150])),
        *(
            good(f"crl/{name}/entry {what}", 3, revocations(name, entries=[encoded]))
            for what, encoded in GOOD_ENTRIES.items()
        ),
        *(
            _lists(name, f"entry {what}", entries=[encoded])
            for what, encoded in ODD_ENTRIES.items()
        ),
    )
] + [
    bad("crl/root_crl/missing", 3, COLLATERAL, _replaced(root_crl=b"")),
    bad("crl/pck_crl/missing", 3, COLLATERAL, _replaced(pck_crl=b"")),
    bad("crl/pck_crl/garbage", 3, COLLATERAL, _replaced(pck_crl=b"\x30\x03\x02\x01\x00")),
    *(
        bad(f"crl/{name}/a set instead of a sequence", 3, COLLATERAL, _retagged(name))
        for name in ("root_crl", "pck_crl")
    ),
    bad("crl/pck_crl/a bit of its signature left over", 3, COLLATERAL, _bit_left_over),
    bad("crl/swapped", 3, COLLATERAL, world(lists=_swapped)),
    bad(
        "crl/pck_crl/the root's",
        3,
        COLLATERAL,
        world(lists=lambda o: o | {"pck_crl": o["root_crl"]}),
    ),
    _revoked("root_list", "the CA", 2),
    _revoked("root_list", "the TCB signer", 4),
    _revoked("root_list", "the root", 1),
    *(
        bad(
            f"crl/root_list/revokes the {role} of {chain}",
            3,
            COLLATERAL,
            functools.partial(_of_its_own, role=role, chain=chain),
            reason="revoked",
        )
        for role, chain in (
            ("tcb", "tcb_info_issuer"),
            ("tcb", "qe_identity_issuer"),
            ("root", "pck"),
            ("root", "tcb_info_issuer"),
            ("root", "qe_identity_issuer"),
        )
    ),
    _revoked("pck_list", "the leaf", 3),
    _revoked("pck_list", "many", *range(9, 500), 3),
    bad("crl/pck_list/revoked serial overwritten", 3, COLLATERAL, _changed_entry),
    bad(
        "crl/pck_list/by the CA's key under the root's name",
        3,
        COLLATERAL,
        revocations("pck_list", issuer=ROOT_NAME),
    ),
    bad(
        "crl/pck_list/by the root's key under the CA's name",
        3,
        COLLATERAL,
        revocations("pck_list", signer="root"),
    ),
    bad(
        "crl/root_list/the root may not sign lists",
        3,
        COLLATERAL,
        certificate("root", usage=(KEY_CERT_SIGN,)),
        reason="signer-chain",
    ),
    bad(
        "crl/pck_list/the CA may not sign lists",
        3,
        SIGNATURE,
        certificate("platform", usage=(KEY_CERT_SIGN,)),
    ),
    bad("time/a day before everything", 3, COLLATERAL, world(now=BEGIN - 1), reason="signer-chain"),
    bad("time/before the lists", 3, COLLATERAL, world(now=BEGIN), reason="collateral-early"),
    bad("time/a month after", 3, COLLATERAL, world(now=NOW + 31 * DAY), reason="crl-expired"),
    good("time/half a second later", 3, world(now=NOW + 0.5)),
]

# --- lists as text -------------------------------------------------------------------------------


def _pem(der_b64: str, label: str = "X509 CRL", end: str = "\n") -> str:
    lines = (der_b64[at : at + 64] for at in range(0, len(der_b64), 64))
    return end.join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def _hex(der_b64: str) -> str:
    return base64.b64decode(der_b64).hex()


def _wrapped(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


FORMS: dict[str, Callable[[str], str]] = {
    "PEM": _pem,
    "PEM with CR LF": lambda text: _pem(text, end="\r\n"),
    "PEM with blanks around": lambda text: f" \t\r\n{_pem(text)}\n ",
    "PEM on one line": lambda text: f"-----BEGIN X509 CRL-----\n{text}\n-----END X509 CRL-----",
    "hex": _hex,
    "hex in capitals": lambda text: _hex(text).upper(),
    "PEM in base64": lambda text: _wrapped(_pem(text)),
    "hex in base64": lambda text: _wrapped(_hex(text)),
}
ODD_FORMS: dict[str, Callable[[str], str]] = {
    "two in PEM": lambda text: _pem(text) * 2,
    "PEM with text before": lambda text: f"x{_pem(text)}",
    "PEM with text after": lambda text: f"{_pem(text)}x",
    "PEM with a NUL after": lambda text: f"{_pem(text)}\0",
    "PEM with NBSP after": lambda text: f"{_pem(text)}\xa0",
    "PEM without an end": lambda text: _pem(text)[:-10],
    "PEM without a line end": lambda text: _pem(text).replace("CRL-----\n", "CRL-----", 1),
    "PEM of another kind": lambda text: _pem(text, "CERTIFICATE"),
    "PEM of nothing": lambda text: _pem(""),
    "PEM twice in base64": lambda text: _wrapped(_wrapped(_pem(text))),
    "hex with a digit short": lambda text: _hex(text)[:-1],
    "hex with a line end": lambda text: f"{_hex(text)}\n",
    "hex with blanks": lambda text: f" {_hex(text)}",
    "base64 with a line end": lambda text: f"{text}\n",
    "base64 with a blank inside": lambda text: f"{text[:64]} {text[64:]}",
    "base64 without padding": lambda text: text.rstrip("=") if text.endswith("=") else text[:-1],
    "base64 for addresses": lambda text: text.replace("+", "-").replace("/", "_"),
    "no text": lambda text: "",
}


ODD_REASONS = dict.fromkeys(
    # Some base64, of something that is no list.
    ("PEM of nothing", "PEM twice in base64", "no text"),
    "crl-invalid",
)


def _respelled(name: str, spell: Callable[[str], str]) -> Change:
    member = f"{name}_crl_der_b64"
    return world(collateral=lambda old: old | {member: spell(old[member])})


TEXTS = [
    *(
        good(f"crl/{name}_crl as {form}", 3, _respelled(name, spell))
        for name in ("root", "pck")
        for form, spell in FORMS.items()
    ),
    *(
        bad(
            f"crl/{name}_crl as {form}",
            3,
            COLLATERAL,
            _respelled(name, spell),
            reason=ODD_REASONS.get(form, "collateral-malformed"),
        )
        for name in ("root", "pck")
        for form, spell in ODD_FORMS.items()
    ),
]

ENTRIES = [*LISTS, *TEXTS]
