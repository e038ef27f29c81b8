"""Checks 2 and 3: certificates and revocation lists."""

from __future__ import annotations

import dataclasses
import re
import string

from quote_generator.simulator import der

from . import encoding as x
from .catalogue import (
    COLLATERAL,
    SIGNATURE,
    Change,
    Entry,
    bad,
    both,
    certificate,
    good,
    revocations,
    world,
)
from .world import (
    CRL_SIGN,
    DAY,
    DIGITAL_SIGNATURE,
    HOUR,
    KEY_CERT_SIGN,
    NOW,
    PLATFORM_NAME,
    ROOT_NAME,
    SGX,
    Certificate,
    Sgx,
    World,
)

WHERE = {"root": COLLATERAL, "platform": SIGNATURE, "pck": SIGNATURE, "tcb": COLLATERAL}
"""Which check answers for a certificate. The root is in every chain: collateral comes first."""

ISSUERS = {"root": "root", "platform": "root", "pck": "platform", "tcb": "root"}
NUMBERS = {"root": 2, "platform": 2, "pck": 2, "tcb": 4}


def _each(fault: str, names: tuple[str, ...] = tuple(WHERE), **fields: object) -> list[Entry]:
    """The same fault in several certificates."""
    return [
        bad(f"certificate/{name}/{fault}", NUMBERS[name], WHERE[name], certificate(name, **fields))
        for name in names
    ]


CAS, LEAVES = ("root", "platform"), ("pck", "tcb")


def _cross_signed(name: str) -> Change:
    """Signed by another key under the right name."""
    return certificate(name, signer="stranger")


def _another_key_on_the_leaf(world: World) -> None:
    """A leaf that anyone could make: right names, right signature, wrong CA."""
    world.certificates["evil"] = dataclasses.replace(
        world.certificates["platform"], key="evil", signer="evil"
    )
    world.certificates["pck"].signer = "evil"
    world.chains["pck"] = ("pck", "evil", "root")


def _another_root(world: World) -> None:
    """Root and everything below it are another's; the pinned one is ours."""
    _set_pinned_key(world, "ours")


def _set_pinned_key(world: World, key: str) -> None:
    world.certificates["pinned"].key = world.certificates["pinned"].signer = key


def _another_root_in(*chains: str) -> Change:
    def change(world: World) -> None:
        world.certificates["other"] = dataclasses.replace(
            world.certificates["root"], key="other", signer="other"
        )
        for chain in chains:
            world.chains[chain] = (*world.chains[chain][:-1], "other")

    return change


def _a_pki_of_ones_own(world: World) -> None:
    """A PCK chain that is right in itself, with every name of the real one, under another root."""
    real = world.certificates
    real["forged root"] = dataclasses.replace(real["root"], key="other", signer="other")
    real["forged CA"] = dataclasses.replace(real["platform"], key="forged", signer="other")
    real["pck"].signer = world.pck_list.signer = "forged"
    world.chains["pck"] = ("pck", "forged CA", "forged root")


def _a_signer_of_ones_own(document: str) -> Change:
    """The same for the signer of a document."""

    def change(world: World) -> None:
        real = world.certificates
        real["forged root"] = dataclasses.replace(real["root"], key="other", signer="other")
        real["forged signer"] = dataclasses.replace(real["tcb"], key="forged", signer="other")
        getattr(world, document).signer = "forged"
        world.chains[f"{document}_issuer"] = ("forged signer", "forged root")

    return change


def _four_certificates(world: World) -> None:
    """A CA below the CA: the one above allows none."""
    usage = (KEY_CERT_SIGN, CRL_SIGN)
    world.certificates["between"] = Certificate(
        "TEST Between", PLATFORM_NAME, "between", "platform", 9, True, 0, usage
    )
    world.certificates["pck"].issuer = "TEST Between"
    world.certificates["pck"].signer = "between"
    world.chains["pck"] = ("pck", "between", "platform", "root")


def _pck_under_tcb(world: World) -> None:
    """The TCB signer, no CA, issues a PCK certificate."""
    world.certificates["pck"].issuer = world.certificates["tcb"].subject
    world.certificates["pck"].signer = "tcb"
    world.pck_list.issuer, world.pck_list.signer = world.certificates["tcb"].subject, "tcb"
    world.chains["pck"] = ("pck", "tcb", "root")


def _pck_signs_documents(world: World) -> None:
    """A PCK certificate, which has a good chain, signs TCB info."""
    world.tcb_info.signer = "pck"
    world.chains["tcb_info_issuer"] = ("pck", "platform", "root")


def _chain(name: str, *items: str) -> Change:
    return lambda world: world.chains.update({name: items})


def _pem(chain: str, old: str, new: str, count: int = 1) -> Change:
    def rewrite(name: str, text: str) -> str:
        return text.replace(old, new, count) if name == chain else text

    return world(pem=rewrite)


def _appended(chain: str, text: str) -> Change:
    return world(pem=lambda name, old: old + text if name == chain else old)


def _changed_pem(fault: str, old: str, new: str) -> list[Entry]:
    """A change of PEM, which nobody signs, in the quote's chain and in a document's."""
    return [
        bad(f"chain/pck/{fault}", 2, SIGNATURE, _pem("pck", old, new), reason="chain"),
        bad(
            f"chain/tcb info/{fault}",
            4,
            COLLATERAL,
            _pem("tcb_info_issuer", old, new),
            reason="signer-chain",
        ),
    ]


_DIGITS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"


def _more_bits(chain: str, text: str) -> str:
    """The last digit before some padding says more than the bytes have: another spelling."""

    def change(found: re.Match[str]) -> str:
        return _DIGITS[_DIGITS.index(found[1]) | 1] + found[2]

    changed, count = re.subn(r"(.)(=+\n-----END)", change, text, count=1)
    assert count == 1, f"no certificate of {chain} ends in padding"
    return changed


def _respelled(chain: str) -> Change:
    return world(pem=lambda name, text: _more_bits(name, text) if name == chain else text)


CERTIFICATES = [
    *_each("wrong signature", flip=True),
    *_each("expired", end=NOW - 1),
    *_each("not yet valid", start=NOW + 1),
    *_each("no key usage", usage=None),
    *_each("no basic constraints", constrained=False),
    *_each("unknown critical extension", more=[x.extension("1.3.6.1.4.1.99999.1", b"\5\0", True)]),
    *_each("repeated extension", more=[x.extension("2.5.29.15", x.key_usage((0, 5, 6)), True)]),
    *_each("version 1", version=1, extended=False),
    *_each("version 1 with extensions", version=1),
    *_each("version 2 with extensions", version=2),
    *_each("another algorithm inside", inner=x.ECDSA_SHA384),
    *_each("another algorithm outside", outer=x.ECDSA_SHA384),
    *_each("RSA inside and ECDSA outside", inner=x.RSA_SHA256),
    *_each("SHA-384", inner=x.ECDSA_SHA384, outer=x.ECDSA_SHA384),
    *_each("SHA-512", ("platform", "tcb"), inner=x.ECDSA_SHA512, outer=x.ECDSA_SHA512),
    *_each("trailing byte", forms={"whole": x.TRAILING}),
    *_each("length with a byte too many", forms={"whole": x.LONG}),
    *_each("indefinite length", forms={"whole": x.INDEFINITE}),
    *_each("huge length", forms={"whole": x.HUGE}),
    *_each("length that is one too many", forms={"whole": x.OVER}),
    *_each("signed part with an indefinite length", LEAVES, forms={"content": x.INDEFINITE}),
    *_each("signed part with a byte too many in its length", LEAVES, forms={"content": x.LONG}),
    *_each("validity with a byte too many in its length", LEAVES, forms={"validity": x.LONG}),
    *_each("serial with a byte too many in its length", LEAVES, forms={"serial": x.LONG}),
    *_each("extensions with a trailing byte", LEAVES, forms={"extensions": x.TRAILING}),
    *_each("signature with a byte too many in its length", LEAVES, forms={"signature": x.LONG}),
    *_each("not a CA", CAS, ca=False, path=None),
    *_each("cannot sign certificates", CAS, usage=(DIGITAL_SIGNATURE,)),
    *_each("is a CA", LEAVES, ca=True, path=0),
    *_each("cannot sign data", LEAVES, usage=(KEY_CERT_SIGN,)),
    *_each("compressed key", LEAVES, compressed=True),
    *_each("key on P-384", LEAVES, curve="P-384"),
    *_each("key on secp256k1", LEAVES, curve="secp256k1"),
    *_each("another issuer's name", ("platform", "pck", "tcb"), issuer="TEST Somebody Else"),
    bad("certificate/root/another issuer's name", 2, COLLATERAL, certificate("root", issuer="X")),
    bad("certificate/root/allows no CA below", 2, SIGNATURE, certificate("root", path=0)),
    bad("certificate/platform/signed by a stranger", 2, SIGNATURE, _cross_signed("platform")),
    bad("certificate/pck/signed by a stranger", 2, SIGNATURE, _cross_signed("pck")),
    bad("certificate/tcb/signed by a stranger", 4, COLLATERAL, _cross_signed("tcb")),
    bad("certificate/root/signed by a stranger", 2, COLLATERAL, _cross_signed("root")),
    bad(
        "certificate/platform/key on P-384",
        2,
        SIGNATURE,
        both(
            certificate("platform", curve="P-384"),
            certificate("pck", signer_curve="P-384"),
        ),
    ),
    bad("chain/pck/by a CA of one's own", 2, SIGNATURE, _another_key_on_the_leaf),
    bad("chain/pck/of a PKI of one's own", 2, SIGNATURE, _a_pki_of_ones_own),
    bad("chain/tcb info/of a PKI of one's own", 4, COLLATERAL, _a_signer_of_ones_own("tcb_info")),
    bad(
        "chain/qe identity/of a PKI of one's own",
        5,
        COLLATERAL,
        _a_signer_of_ones_own("qe_identity"),
    ),
    bad("chain/pck/a CA below the CA", 2, SIGNATURE, _four_certificates),
    bad("chain/pck/under the TCB signer", 2, SIGNATURE, _pck_under_tcb),
    bad("chain/tcb info/signed by the PCK", 4, COLLATERAL, _pck_signs_documents),
    bad("chain/all/another root is pinned", 2, COLLATERAL, _another_root),
    bad("chain/pck/another root", 2, SIGNATURE, _another_root_in("pck")),
    bad("chain/tcb info/another root", 4, COLLATERAL, _another_root_in("tcb_info_issuer")),
    bad("chain/qe identity/another root", 5, COLLATERAL, _another_root_in("qe_identity_issuer")),
    bad("chain/pck/leaf alone", 2, SIGNATURE, _chain("pck", "pck")),
    bad("chain/pck/without the CA", 2, SIGNATURE, _chain("pck", "pck", "root")),
    bad("chain/pck/without the root", 2, SIGNATURE, _chain("pck", "pck", "platform")),
    bad("chain/pck/root first", 2, SIGNATURE, _chain("pck", "root", "platform", "pck")),
    bad("chain/pck/CA twice", 2, SIGNATURE, _chain("pck", "pck", "platform", "platform", "root")),
    bad("chain/pck/empty", 2, SIGNATURE, _chain("pck")),
    bad("chain/tcb info/empty", 4, COLLATERAL, _chain("tcb_info_issuer")),
    bad("chain/tcb info/without the root", 4, COLLATERAL, _chain("tcb_info_issuer", "tcb")),
    bad("chain/tcb info/root alone", 4, COLLATERAL, _chain("tcb_info_issuer", "root")),
    bad("chain/qe identity/empty", 5, COLLATERAL, _chain("qe_identity_issuer")),
    bad("chain/qe identity/root first", 5, COLLATERAL, _chain("qe_identity_issuer", "root", "tcb")),
    bad(
        "chain/pck/text in between", 2, SIGNATURE, _pem("pck", "-----\n-----B", "-----\nx\n-----B")
    ),
    bad("chain/pck/no base64", 2, SIGNATURE, _pem("pck", "MII", "M!I")),
    bad("chain/pck/another kind of PEM", 2, SIGNATURE, _pem("pck", "CERTIFICATE", "PUBLIC KEY", 2)),
    bad("chain/tcb info/text at the end", 4, COLLATERAL, _appended("tcb_info_issuer", "x")),
    good("chain/pck/with a NUL at the end", 2, _appended("pck", "\0")),
    bad("chain/pck/two NULs at the end", 2, SIGNATURE, _appended("pck", "\0\0"), reason="chain"),
    bad("chain/pck/a line after the NUL", 2, SIGNATURE, _appended("pck", "\0\n"), reason="chain"),
    bad("chain/pck/a byte after the end", 2, SIGNATURE, _appended("pck", "\xff"), reason="chain"),
    bad("chain/pck/NBSP after the end", 2, SIGNATURE, _appended("pck", "\xa0"), reason="chain"),
    bad(
        "chain/tcb info/a NUL at the end",
        4,
        COLLATERAL,
        _appended("tcb_info_issuer", "\0"),
        reason="signer-chain",
    ),
    bad(
        "chain/qe identity/NBSP at the end",
        5,
        COLLATERAL,
        _appended("qe_identity_issuer", "\xa0"),
        reason="signer-chain",
    ),
    bad("chain/pck/bits after the end of base64", 2, SIGNATURE, _respelled("pck"), reason="chain"),
    *_changed_pem("no line after BEGIN", "CERTIFICATE-----\n", "CERTIFICATE-----"),
    *_changed_pem("NBSP after BEGIN", "CERTIFICATE-----\n", "CERTIFICATE-----\xa0"),
    *_changed_pem("NBSP inside", "MII", "MI\xa0I"),
    *_changed_pem("a vertical tab inside", "MII", "MI\vI"),
    *_changed_pem("a form feed between", "-----\n-----B", "-----\f-----B"),
    good("chain/pck/with blank lines", 2, _appended("pck", "\n\n")),
    good("certificate/pck/ends now", 2, certificate("pck", end=NOW)),
    good("certificate/pck/begins now", 2, certificate("pck", start=NOW)),
    good("certificate/platform/without a path length", 2, certificate("platform", path=None)),
]


def _sgx(**fields: object) -> Change:
    return certificate("pck", sgx=Sgx(**fields))  # type: ignore[arg-type]


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
    good("sgx extension/SVN of 200", 10, _sgx(components=[200, *Sgx().components[1:]])),
    good("sgx extension/PCESVN of 40000", 10, _sgx(pce_svn=der.integer(40000))),
]


def _lists(name: str, fault: str, reason: str | None = None, **fields: object) -> Entry:
    change = revocations(name, **fields)
    return bad(f"crl/{name}/{fault}", 3, COLLATERAL, change, reason=reason)


def _replaced(**lists: bytes) -> Change:
    return world(lists=lambda old: old | lists)


def _swapped(lists: dict[str, bytes]) -> dict[str, bytes]:
    return {"root_crl": lists["pck_crl"], "pck_crl": lists["root_crl"]}


def _changed_entry(world: World) -> None:
    """The revoked serial is overwritten after signing."""
    world.pck_list.revoked = [3]
    old, new = der.integer(3) + b"\x17", der.integer(7) + b"\x17"
    world.lists = lambda lists: lists | {"pck_crl": lists["pck_crl"].replace(old, new)}


LISTS = [
    entry
    for name, signer, issuer in (
        ("root_list", "root", ROOT_NAME),
        ("pck_list", "platform", PLATFORM_NAME),
    )
    for entry in (
        _lists(name, "wrong signature", flip=True),
        _lists(name, "signed by a stranger", signer="stranger"),
        _lists(name, "expired", end=NOW - 1),
        _lists(name, "ends now", end=NOW),
        _lists(name, "not yet valid", start=NOW + 1),
        _lists(name, "without an end", end=None),
        _lists(name, "another issuer", issuer="TEST Somebody Else"),
        _lists(name, "another algorithm inside", inner=x.ECDSA_SHA384),
        _lists(name, "another algorithm outside", outer=x.ECDSA_SHA384),
        _lists(name, "SHA-384", inner=x.ECDSA_SHA384, outer=x.ECDSA_SHA384),
        _lists(name, "critical extension", critical=True),
        _lists(name, "version 1", version=1),
        _lists(name, "without extensions", "crl-invalid", extended=False),
        _lists(name, "without a number", "crl-invalid", numbered=False),
        _lists(name, "without its issuer's key", "crl-invalid", authority=False),
        _lists(name, "trailing byte", forms={"whole": x.TRAILING}),
        _lists(name, "length with a byte too many", forms={"whole": x.LONG}),
        _lists(name, "indefinite length", forms={"whole": x.INDEFINITE}),
        _lists(name, "huge length", forms={"whole": x.HUGE}),
        _lists(name, "length that is one too many", forms={"whole": x.OVER}),
        _lists(name, "signed part with a byte too many in its length", forms={"content": x.LONG}),
        _lists(name, "time with a byte too many in its length", forms={"time": x.LONG}),
        good(f"crl/{name}/begins now", 3, revocations(name, start=NOW)),
        good(f"crl/{name}/revokes others", 3, revocations(name, revoked=[77, 1 << 150])),
    )
] + [
    bad("crl/root_crl/missing", 3, COLLATERAL, _replaced(root_crl=b"")),
    bad("crl/pck_crl/missing", 3, COLLATERAL, _replaced(pck_crl=b"")),
    bad("crl/pck_crl/garbage", 3, COLLATERAL, _replaced(pck_crl=b"\x30\x03\x02\x01\x00")),
    bad("crl/swapped", 3, COLLATERAL, world(lists=_swapped)),
    bad(
        "crl/pck_crl/the root's",
        3,
        COLLATERAL,
        world(lists=lambda o: o | {"pck_crl": o["root_crl"]}),
    ),
    bad("crl/root_list/revokes the CA", 3, COLLATERAL, revocations("root_list", revoked=[2])),
    bad(
        "crl/root_list/revokes the TCB signer", 3, COLLATERAL, revocations("root_list", revoked=[4])
    ),
    bad("crl/root_list/revokes the root", 3, COLLATERAL, revocations("root_list", revoked=[1])),
    bad("crl/pck_list/revokes the leaf", 3, COLLATERAL, revocations("pck_list", revoked=[3])),
    bad(
        "crl/pck_list/revokes many",
        3,
        COLLATERAL,
        revocations("pck_list", revoked=[*range(9, 500), 3]),
    ),
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
    ),
    bad(
        "crl/pck_list/the CA may not sign lists",
        3,
        SIGNATURE,
        certificate("platform", usage=(KEY_CERT_SIGN,)),
    ),
    bad("time/a day before everything", 3, COLLATERAL, world(now=NOW - DAY - HOUR)),
    bad("time/a month after", 3, COLLATERAL, world(now=NOW + 31 * DAY)),
    good("time/half a second later", 3, world(now=NOW + 0.5)),
]

ENTRIES = [*CERTIFICATES, *SGX_EXTENSIONS, *LISTS]
