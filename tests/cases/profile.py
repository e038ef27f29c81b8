"""Checks 2 and 10: what Intel's profile has in each certificate, no more and no less.

"Intel SGX PCK Certificate and CRL Profile" 1.5, sections 1.2 and 1.3.
"""

from __future__ import annotations

from quote_generator.simulator import der

from . import encoding as x
from .catalogue import SIGNATURE, Change, Entry, bad, certificate, good
from .chains import LEAVES, NUMBERS, REASONS, WHERE, each
from .world import (
    AUTHORITY_KEY,
    BASIC_CONSTRAINTS,
    KEY_USAGE,
    POINTS,
    SGX,
    SUBJECT_KEY,
    Certificate,
    Sgx,
    World,
    key,
)

EXTENSIONS = {
    "authority key": AUTHORITY_KEY,
    "subject key": SUBJECT_KEY,
    "distribution points": POINTS,
    "key usage": KEY_USAGE,
    "basic constraints": BASIC_CONSTRAINTS,
}
"""What every certificate has."""

OTHER_TYPES = {
    AUTHORITY_KEY: der.octets(bytes(20)),
    SUBJECT_KEY: x.bits(bytes(20)),
    POINTS: der.octets(bytes(20)),
    KEY_USAGE: der.octets(bytes(1)),
    BASIC_CONSTRAINTS: der.octets(b""),
}
"""Well-formed values that are of another type than the extension's."""

REQUIRED = [
    entry
    for label, oid in EXTENSIONS.items()
    for entry in (
        *each(f"without {label}", values={oid: None}),
        *each(f"{label} twice", twice=(oid,)),
        *each(f"{label} cut short", values={oid: b"\x30\x03\x02"}),
        *each(f"{label} empty", values={oid: b""}),
        *each(f"{label} of another type", values={oid: OTHER_TYPES[oid]}),
    )
]

LONG_TYPES = {
    "type of 40 bytes": bytes([0x2A]) + bytes(39),
    "type with an arc of five bytes": bytes([0x2A, *[0xFF] * 4, 0x7F]),
    "type that begins with two bytes": bytes([0x88, 0x37, 3]),
}
"""Object identifiers that are longer than what some readers have room for."""


def typed(kind: bytes) -> bytes:
    """An extension of that type, whose identifier has these bytes."""
    return x.sequence(x.tlv(0x06, kind), x.tlv(0x04, b""))


LONGEST_TYPE = typed(bytes([0x2A, *[0xFF, 0xFF, 0xFF, 0x7F] * 2, *[3] * 30]))

FORMS = [
    *each("a time before 2050 in the form for later ones", late_form=True),
    *each("unique id of its issuer", unique_id=x.tlv(0x81, b"\0\1")),
    *each("unique id of its holder", unique_id=x.tlv(0x82, b"\0\1")),
    *(
        entry
        for what, kind in LONG_TYPES.items()
        for entry in each(f"extension of a {what}", more=[typed(kind)])
    ),
    *(
        good(f"certificate/{name}/extension of a type of 39 bytes", 2, change)
        for name in WHERE
        for change in (certificate(name, more=[LONGEST_TYPE]),)
    ),
    *(
        entry
        for name in LEAVES
        for entry in each(
            "compressed key, and the same in full elsewhere",
            (name,),
            compressed=True,
            more=[x.extension("1.3.6.1.4.1.99999.1", x.public_key(key(name)))],
        )
    ),
]

ODD_VALUES = [
    *each("serial number of 21 bytes", serial=b"\1" + bytes(20)),
    *(
        good(f"certificate/{name}/serial number of 20 bytes and a zero in front", 2, change)
        for name in WHERE
        for change in (certificate(name, serial=b"\0" + b"\xff" * 20),)
    ),
    *each("no distribution point", values={POINTS: x.sequence()}),
    *each("a path length over 255", ("platform",), path=256),
    *each("negative serial number", serial=1 << 167 | 5),
    *each("begins before 1970", start=-1),
]

UNKNOWN = x.extension("1.3.6.1.4.1.99999.1", b"no DER at all")
OTHERS = [
    good(f"certificate/{name}/unknown extension that is not critical", 2, change)
    for name in WHERE
    for change in (certificate(name, more=[UNKNOWN]),)
] + each("unknown extension twice", more=[UNKNOWN, UNKNOWN])


OFF_CURVE = each("key that is no point of the curve", off_curve=True)


def _called(name: str, subject: str | bytes, *, pinned: bool = True) -> Change:
    """Another name, also where it stands as an issuer's; the pinned root may keep its own."""

    def change(world: World) -> None:
        old = world.certificates[name].subject
        made = [each for key, each in world.certificates.items() if pinned or key != "pinned"]
        for item in (*made, world.root_list, world.pck_list):
            if isinstance(item, Certificate) and item.subject == old:
                item.subject = subject
            if item.issuer == old:
                item.issuer = subject

    return change


NAMES = {
    "root": "TEST Intel SGX Root CA",
    "platform": "TEST Intel SGX PCK Platform CA",
    "pck": "TEST Intel SGX PCK Certificate",
    "tcb": "TEST Intel SGX TCB Signing",
}
UTF8, PRINTABLE, TELETEX, BMP = 0x0C, 0x13, 0x14, 0x1E
CN, ORGANISATION, COUNTRY = "2.5.4.3", "2.5.4.10", "2.5.4.6"


def _attribute(oid: str, text: str, tag: int = UTF8) -> bytes:
    encoded = text.encode("utf-16-be" if tag == BMP else "utf-8")
    return x.sequence(der.oid(oid), x.tlv(tag, encoded))


def _text(oid: str, text: str, tag: int = UTF8) -> bytes:
    """A relative distinguished name of one attribute."""
    return x.tlv(0x31, _attribute(oid, text, tag))


def _bytes_for(text: str) -> bytes:
    """A common name of these words with a byte that is no text."""
    value = x.tlv(UTF8, text.encode() + b"\xff")
    return x.sequence(x.tlv(0x31, x.sequence(der.oid(CN), value)))


def _misnamed(fault: str, name: str, subject: str | bytes) -> Entry:
    # As the pinned root's name some of these would be refused before it comes to that.
    change, reason = _called(name, subject, pinned=False), REASONS[name]
    return bad(f"certificate/{name}/{fault}", NUMBERS[name], WHERE[name], change, reason=reason)


COMMON_NAMES = [
    entry
    for name, text in NAMES.items()
    for entry in (
        _misnamed("without the name of its role", name, "TEST Intel SGX Something"),
        _misnamed("the name of its role in small letters", name, text.lower()),
        _misnamed("without a common name", name, x.sequence(_text(ORGANISATION, text))),
        _misnamed("two common names", name, x.sequence(_text(CN, text), _text(CN, text))),
        _misnamed(
            "two names in one place",
            name,
            x.sequence(x.tlv(0x31, _attribute(CN, text) + _attribute(ORGANISATION, text))),
        ),
        _misnamed(
            "another name in UTF-16",
            name,
            x.sequence(_text(CN, text), _text(ORGANISATION, text, BMP)),
        ),
        _misnamed(
            "another name in an older alphabet, beside the same in UTF-8",
            name,
            x.sequence(
                _text(CN, text), _text(ORGANISATION, "TEST"), _text(ORGANISATION, "TEST", TELETEX)
            ),
        ),
        _misnamed(
            "seventeen parts",
            name,
            x.sequence(_text(CN, text), *[_text(ORGANISATION, "TEST")] * 16),
        ),
        good(
            f"certificate/{name}/sixteen parts of up to 127 letters",
            2,
            _called(name, x.sequence(_text(CN, text), *[_text(ORGANISATION, "T" * 127)] * 15)),
        ),
        _misnamed("common name that is no UTF-8", name, _bytes_for(text)),
        _misnamed("common name in UTF-16", name, x.sequence(_text(CN, text, BMP))),
        good(
            f"certificate/{name}/common name as a PrintableString",
            2,
            _called(name, x.sequence(_text(CN, text, PRINTABLE))),
        ),
        good(
            f"certificate/{name}/common name beside others",
            2,
            _called(
                name,
                x.sequence(
                    _text(COUNTRY, "US", PRINTABLE), _text(CN, text), _text(ORGANISATION, "TEST")
                ),
            ),
        ),
        good(f"certificate/{name}/common name that says more", 2, _called(name, f"{text} 2")),
    )
]


def _sgx(**fields: object) -> Change:
    return certificate("pck", sgx=Sgx(**fields))  # type: ignore[arg-type]


def flags(*values: bool | bytes) -> bytes:
    """The configuration of a platform: booleans, or something else in their place."""
    encoded = (x.boolean(value) if isinstance(value, bool) else value for value in values)
    return x.sequence(
        *(x.sequence(der.oid(f"{SGX}.7.{at}"), item) for at, item in enumerate(encoded, start=1))
    )


def _no_sgx(fault: str, **fields: object) -> Entry:
    return bad(f"sgx extension/{fault}", 10, SIGNATURE, _sgx(**fields))


SGX_EXTENSIONS = [
    bad("sgx extension/missing", 10, SIGNATURE, certificate("pck", sgx=None)),
    _no_sgx("no FMSPC", top={"4": b""}),
    _no_sgx("no PCEID", top={"3": b""}),
    _no_sgx("no TCB", top={"2": b""}),
    _no_sgx("no PCESVN", tcb={"2.17": b""}),
    _no_sgx("no SVN of component 16", tcb={"2.16": b""}),
    _no_sgx("FMSPC too short", top={"4": der.octets(b"TEST\0")}),
    _no_sgx("FMSPC as a number", top={"4": der.integer(0x544553540000)}),
    _no_sgx("PCEID too long", top={"3": der.octets(bytes(3))}),
    _no_sgx("FMSPC twice", repeated=("4",)),
    _no_sgx("negative SVN", tcb={"2.1": bytes.fromhex("0201fc")}),
    _no_sgx("SVN with a zero too many", tcb={"2.1": bytes.fromhex("02020004")}),
    _no_sgx("SVN over 255", tcb={"2.1": der.integer(256)}),
    _no_sgx("empty SVN", tcb={"2.1": bytes.fromhex("0200")}),
    _no_sgx("PCESVN over 65535", pce_svn=der.integer(65536)),
    _no_sgx("field without a value", more=x.sequence(der.oid(f"{SGX}.9"))),
    _no_sgx(
        "field with two values",
        more=x.sequence(der.oid(f"{SGX}.9"), der.integer(1), der.integer(2)),
    ),
    _no_sgx("field that is no sequence", more=der.integer(1)),
    _no_sgx(
        "field that begins with no identifier", more=x.sequence(der.integer(1), der.integer(1))
    ),
    _no_sgx("field of another extension", more=x.sequence(der.oid("1.2.3.9"), der.integer(1))),
    _no_sgx("field that is cut short", more=bytes.fromhex("300a02")),
    _no_sgx("field with half a tag", more=bytes.fromhex("3f")),
    _no_sgx("set instead of a sequence", tag=0x31),
    _no_sgx("field that is a set", more=x.tlv(0x31, der.oid(f"{SGX}.9") + der.integer(1))),
    _no_sgx("length that is one too many", form=x.OVER),
    _no_sgx("trailing byte", form=x.TRAILING),
    _no_sgx("length with a byte too many", form=x.LONG),
    _no_sgx("indefinite length", form=x.INDEFINITE),
    _no_sgx("huge length", form=x.HUGE),
    _no_sgx("field with a trailing byte", entry_form=x.TRAILING),
    _no_sgx("field with a byte too many in its length", entry_form=x.LONG),
    _no_sgx("field with an indefinite length", entry_form=x.INDEFINITE),
    *(_no_sgx(f"no entry {arc}", top={arc: b""}) for arc in ("1", "5", "6", "7")),
    _no_sgx("no entry 5 among five", top={"5": b"", "7": b""}),
    _no_sgx("one entry more", more=x.sequence(der.oid(f"{SGX}.8"), der.integer(1))),
    _no_sgx("entry 4 once more in place of 7", top={"7": b""}, repeated=("4",)),
    _no_sgx("PPID a byte short", top={"1": der.octets(bytes(15))}),
    _no_sgx("PPID as bits", top={"1": x.bits(bytes(16))}),
    _no_sgx("instance id a byte more", top={"6": der.octets(bytes(17))}),
    _no_sgx("SGX type as a number", top={"5": der.integer(1)}),
    _no_sgx("SGX type over 255", top={"5": bytes.fromhex("0a020100")}),
    _no_sgx("negative SGX type", top={"5": bytes.fromhex("0a01ff")}),
    _no_sgx("no CPUSVN", tcb={"2.18": b""}),
    _no_sgx("CPUSVN a byte short", tcb={"2.18": der.octets(bytes(15))}),
    _no_sgx("CPUSVN as a number", tcb={"2.18": der.integer(1)}),
    _no_sgx("one entry more in the TCB", tcb={"2.19": der.integer(1)}),
    _no_sgx("negative PCESVN", pce_svn=bytes.fromhex("0201ff")),
    _no_sgx("no flags", top={"7": flags()}),
    _no_sgx("two flags", top={"7": flags(True, True)}),
    _no_sgx("four flags", top={"7": flags(True, True, True, True)}),
    _no_sgx("flag as a number", top={"7": flags(True, True, der.integer(1))}),
    _no_sgx("flag of 1", top={"7": flags(True, True, bytes.fromhex("010101"))}),
    good("sgx extension/of a processor CA", 10, _sgx(top={"6": b"", "7": b""})),
    good("sgx extension/no flag is set", 10, _sgx(top={"7": flags(False, False, False)})),
    good("sgx extension/CPUSVN of zeros", 10, _sgx(tcb={"2.18": der.octets(bytes(16))})),
    good("sgx extension/SGX type 0", 10, _sgx(top={"5": der.enumerated(0)})),
    good("sgx extension/SGX type 255", 10, _sgx(top={"5": bytes.fromhex("0a0200ff")})),
    good("sgx extension/SVN of 200", 10, _sgx(components=[200, *Sgx().components[1:]])),
    good("sgx extension/PCESVN of 40000", 10, _sgx(pce_svn=der.integer(40000))),
]

ENTRIES = [*REQUIRED, *FORMS, *ODD_VALUES, *OTHERS, *OFF_CURVE, *COMMON_NAMES, *SGX_EXTENSIONS]
