"""The root that is trusted: one certificate that can be read, which then counts by its key alone.

One that cannot be is refused before anything is judged by it: such a case is none.
"""

from __future__ import annotations

from collections.abc import Callable

from quote_generator.simulator import der

from . import encoding as x
from .catalogue import Entry, certificate, good, malformed
from .profile import LONG_TYPES, LONGEST_TYPE, typed
from .world import ROOT_NAME, World, pem

CN = der.oid("2.5.4.3")
UTF8, PRINTABLE = 0x0C, 0x13


def _unreadable(fault: str, **fields: object) -> Entry:
    return malformed(f"root/{fault}", change=certificate("pinned", **fields))


def _spelled(fault: str, spell: Callable[[str], object]) -> Entry:
    """The root's text is another, or something else than text."""
    return malformed(
        f"root/{fault}", lambda case: case | {"root_ca_pem": spell(case["root_ca_pem"])}
    )


def _good(name: str, **fields: object) -> Entry:
    return good(f"root/{name}", 2, certificate("pinned", **fields))


def _attribute(value: bytes, kind: bytes = CN) -> bytes:
    return x.sequence(kind, value)


def _named(*attributes: bytes) -> bytes:
    """A name of one part with these attributes."""
    return x.sequence(x.tlv(0x31, b"".join(attributes)))


def _other_root() -> str:
    return pem(World().certificates["platform"].encode())


TEXT = x.tlv(UTF8, ROOT_NAME.encode())
EXPLICIT_FALSE = x.sequence(der.oid("1.2.3"), x.boolean(False), x.tlv(0x04, b""))

NAMES = {
    **{
        f"that is a {kind}": _named(_attribute(x.tlv(tag, text)))
        for kind, tag, text in (
            ("TeletexString", 0x14, b"TEST"),
            ("IA5String", 0x16, b"TEST"),
            ("UniversalString", 0x1C, b"\0\0\0T"),
            ("BMPString", 0x1E, b"\0T"),
            ("BMPString of half a letter", 0x1E, b"T"),
            ("PrintableString of other letters", PRINTABLE, b"T*"),
            ("NULL", 0x05, b""),
            ("SEQUENCE", 0x30, b""),
            ("tag of another class", 0x40, b"TEST"),
            ("text in pieces", 0x2C, TEXT),
        )
    },
    # What is behind it looks like half an element to who takes this tag for one of a byte.
    "that is a tag of two bytes": _named(_attribute(bytes([0x1F, 0x1F, 0x1F]) + bytes(31))),
    "with two attributes in one place": _named(_attribute(x.tlv(UTF8, b"A")), _attribute(TEXT)),
    "with nothing in one place": _named(),
    "with no text": _named(_attribute(b"")),
    "with two texts": _named(_attribute(TEXT + TEXT)),
    "whose place is no set": x.sequence(x.sequence(_attribute(TEXT))),
    **{f"of a {what}": _named(_attribute(TEXT, x.tlv(6, k))) for what, k in LONG_TYPES.items()},
}

CERTIFICATES = [
    *(_unreadable(f"version {number}", version=number) for number in (1, 2, 4, 5, 256)),
    _unreadable("version 1 without extensions", version=1, extended=False),
    _unreadable("another algorithm inside", inner=x.ECDSA_SHA384),
    _unreadable("another algorithm outside", outer=x.ECDSA_SHA384),
    _unreadable("SHA-384", inner=x.ECDSA_SHA384, outer=x.ECDSA_SHA384),
    _unreadable("RSA inside and outside", inner=x.RSA_SHA256, outer=x.RSA_SHA256),
    _unreadable("serial number that is empty", serial=b""),
    _unreadable("serial number with a zero too many", serial=b"\0\1"),
    _unreadable("a time before 2050 in the form for later ones", late_form=True),
    _unreadable("unique id of its issuer", unique_id=x.tlv(0x81, b"\0\1")),
    _unreadable("unique id of its holder", unique_id=x.tlv(0x82, b"\0\1")),
    _unreadable("more after its extensions", rewritten=lambda old: x.sequence(old[4:] + b"\5\0")),
    _unreadable("extension that says FALSE", more=[EXPLICIT_FALSE]),
    _unreadable("extension without a value", more=[x.sequence(der.oid("1.2.3"))]),
    *(_unreadable(f"extension of a {what}", more=[typed(k)]) for what, k in LONG_TYPES.items()),
    _unreadable("key on P-384", curve="P-384", signer_curve="P-384"),
    _unreadable("compressed key", compressed=True),
    _unreadable("key that is no point of the curve", off_curve=True),
    *(_unreadable(f"a name {fault}", subject=name) for fault, name in NAMES.items()),
    *(_unreadable(f"an issuer {fault}", issuer=name) for fault, name in NAMES.items()),
    _unreadable("trailing byte", forms={"whole": x.TRAILING}),
    _unreadable("length with a byte too many", forms={"whole": x.LONG}),
    _unreadable("indefinite length", forms={"whole": x.INDEFINITE}),
    _unreadable("huge length", forms={"whole": x.HUGE}),
    _unreadable("length that is one too many", forms={"whole": x.OVER}),
    _unreadable("signature with a byte too many in its length", forms={"signature": x.LONG}),
]

TEXTS = [
    _spelled("empty", lambda text: ""),
    _spelled("white space", lambda text: " \n"),
    _spelled("as a number", lambda text: 7),
    _spelled("in a list", lambda text: [text]),
    _spelled("as an object", lambda text: {"pem": text}),
    _spelled("huge and no PEM", lambda text: "A" * (1 << 17)),
    _spelled("base64 without PEM", lambda text: "".join(text.split("\n")[1:-2])),
    _spelled("PEM without a certificate", lambda text: pem(b"")),
    _spelled("PEM of a certificate in PEM", lambda text: pem(text.encode())),
    _spelled("the same twice", lambda text: text * 2),
    _spelled("a second certificate", lambda text: text + _other_root()),
    _spelled("a certificate before it", lambda text: _other_root() + text),
    _spelled("under an older label", lambda text: text.replace("CERT", "X509 CERT")),
    _spelled("under another label", lambda text: text.replace("CERT", "TRUSTED CERT")),
    _spelled("words before it", lambda text: f"subject=TEST\n{text}"),
    _spelled("words after it", lambda text: f"{text}TEST\n"),
    _spelled("without its end", lambda text: text.replace("-----END CERTIFICATE-----", "")),
    _spelled("without a line after BEGIN", lambda text: text.replace("-----\n", "-----", 1)),
    *(
        _spelled(f"{what} {where}", lambda text, put=put, blank=blank: put(text, blank))
        for what, blank in (
            ("a byte order mark", "\ufeff"),
            ("a vertical tab", "\v"),
            ("a form feed", "\f"),
            ("NBSP", "\xa0"),
            ("a NUL", "\0"),
            ("a line separator", "\u2028"),
            ("a unit separator", "\x1f"),
        )
        for where, put in (
            ("before it", lambda text, blank: blank + text),
            ("in it", lambda text, blank: text.replace("MII", f"MI{blank}I", 1)),
            ("after it", lambda text, blank: text + blank),
        )
    ),
]

READABLE = [
    _good("without extensions", extended=False),
    _good("without names", subject=x.sequence(), issuer=x.sequence()),
    _good("a serial number of 30 bytes", serial=b"\1" * 30),
    _good("a negative serial number", serial=b"\xff"),
    _good("an extension of a type of 39 bytes", more=[LONGEST_TYPE]),
    _good("unknown critical extension", more=[x.extension("1.2.3", b"", critical=True)]),
    _good("an extension twice", twice=("2.5.29.15",)),
    _good("100,000 bytes", more=[x.extension("1.2.3", bytes(100_000))]),
    _good("is not valid yet", start=World().now + 1),
    _good("a wrong signature", flip=True),
]

ENTRIES = [*CERTIFICATES, *TEXTS, *READABLE]
