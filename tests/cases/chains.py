"""Check 2: certificates and chains of them."""

from __future__ import annotations

import dataclasses
import re
import string

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
    world,
)
from .world import (
    CRL_SIGN,
    DIGITAL_SIGNATURE,
    KEY_CERT_SIGN,
    NOW,
    PLATFORM_NAME,
    Certificate,
    World,
)

WHERE = {"root": COLLATERAL, "platform": SIGNATURE, "pck": SIGNATURE, "tcb": COLLATERAL}
"""Which check answers for a certificate. The root is in every chain: collateral comes first."""

ISSUERS = {"root": "root", "platform": "root", "pck": "platform", "tcb": "root"}
NUMBERS = {"root": 2, "platform": 2, "pck": 2, "tcb": 4}
REASONS = {"root": "signer-chain", "platform": "chain", "pck": "chain", "tcb": "signer-chain"}


def each(fault: str, names: tuple[str, ...] = tuple(WHERE), **fields: object) -> list[Entry]:
    """The same fault in several certificates."""
    return [
        bad(
            f"certificate/{name}/{fault}",
            NUMBERS[name],
            WHERE[name],
            certificate(name, **fields),
            reason=REASONS[name],
        )
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


def _another_signer_of_the_root(world: World) -> None:
    """The root of the PCK chain only, with the right key and name; the other chains have ours."""
    world.certificates["other"] = dataclasses.replace(world.certificates["root"], signer="stranger")
    world.chains["pck"] = (*world.chains["pck"][:-1], "other")


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


ENTRIES = [
    *each("wrong signature", flip=True),
    *each("expired", end=NOW - 1),
    *each("not yet valid", start=NOW + 1),
    *each("unknown critical extension", more=[x.extension("1.3.6.1.4.1.99999.1", b"\5\0", True)]),
    *each("repeated extension", more=[x.extension("2.5.29.15", x.key_usage((0, 5, 6)), True)]),
    *each("version 1", version=1, extended=False),
    *each("version 1 with extensions", version=1),
    *each("version 2 with extensions", version=2),
    *each("another algorithm inside", inner=x.ECDSA_SHA384),
    *each("another algorithm outside", outer=x.ECDSA_SHA384),
    *each("RSA inside and ECDSA outside", inner=x.RSA_SHA256),
    *each("SHA-384", inner=x.ECDSA_SHA384, outer=x.ECDSA_SHA384),
    *each("SHA-512", ("platform", "tcb"), inner=x.ECDSA_SHA512, outer=x.ECDSA_SHA512),
    *each("trailing byte", forms={"whole": x.TRAILING}),
    *each("length with a byte too many", forms={"whole": x.LONG}),
    *each("indefinite length", forms={"whole": x.INDEFINITE}),
    *each("huge length", forms={"whole": x.HUGE}),
    *each("length that is one too many", forms={"whole": x.OVER}),
    *each("signed part with an indefinite length", LEAVES, forms={"content": x.INDEFINITE}),
    *each("signed part with a byte too many in its length", LEAVES, forms={"content": x.LONG}),
    *each("validity with a byte too many in its length", LEAVES, forms={"validity": x.LONG}),
    *each("serial with a byte too many in its length", LEAVES, forms={"serial": x.LONG}),
    *each("extensions with a trailing byte", LEAVES, forms={"extensions": x.TRAILING}),
    *each("signature with a byte too many in its length", LEAVES, forms={"signature": x.LONG}),
    *each("not a CA", CAS, ca=False, path=None),
    *each("cannot sign certificates", CAS, usage=(DIGITAL_SIGNATURE,)),
    *each("is a CA", LEAVES, ca=True, path=0),
    *each("cannot sign data", LEAVES, usage=(KEY_CERT_SIGN,)),
    *each("compressed key", LEAVES, compressed=True),
    *each("key on P-384", LEAVES, curve="P-384"),
    *each("key on secp256k1", LEAVES, curve="secp256k1"),
    *each("another issuer's name", ("platform", "pck", "tcb"), issuer="TEST Somebody Else"),
    bad("certificate/root/another issuer's name", 2, COLLATERAL, certificate("root", issuer="X")),
    bad("certificate/root/allows no CA below", 2, SIGNATURE, certificate("root", path=0)),
    bad("certificate/platform/signed by a stranger", 2, SIGNATURE, _cross_signed("platform")),
    bad("certificate/pck/signed by a stranger", 2, SIGNATURE, _cross_signed("pck")),
    bad(
        "certificate/tcb/signed by a stranger",
        4,
        COLLATERAL,
        _cross_signed("tcb"),
        reason="signer-chain",
    ),
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
    bad(
        "chain/tcb info/of a PKI of one's own",
        4,
        COLLATERAL,
        _a_signer_of_ones_own("tcb_info"),
        reason="signer-chain",
    ),
    bad(
        "chain/qe identity/of a PKI of one's own",
        5,
        COLLATERAL,
        _a_signer_of_ones_own("qe_identity"),
        reason="signer-chain",
    ),
    bad("chain/pck/a CA below the CA", 2, SIGNATURE, _four_certificates),
    bad("chain/pck/under the TCB signer", 2, SIGNATURE, _pck_under_tcb),
    bad(
        "chain/tcb info/signed by the PCK",
        4,
        COLLATERAL,
        _pck_signs_documents,
        reason="signer-chain",
    ),
    bad("chain/all/another root is pinned", 2, COLLATERAL, _another_root),
    *(
        good(f"chain/all/the pinned root {differs}", 2, certificate("pinned", **fields))
        for differs, fields in (
            ("has another name", {"subject": "TEST Rool CA"}),
            ("has a name that nothing can read", {"subject": x.name("?").replace(b"?", b"\xff")}),
            ("has another serial number", {"serial": 77}),
            ("has ended", {"end": NOW - 1}),
            ("is signed by a stranger", {"signer": "stranger"}),
        )
    ),
    bad("chain/pck/another root", 2, SIGNATURE, _another_root_in("pck")),
    bad(
        "chain/tcb info/another root",
        4,
        COLLATERAL,
        _another_root_in("tcb_info_issuer"),
        reason="signer-chain",
    ),
    bad(
        "chain/qe identity/another root",
        5,
        COLLATERAL,
        _another_root_in("qe_identity_issuer"),
        reason="signer-chain",
    ),
    bad("chain/pck/leaf alone", 2, SIGNATURE, _chain("pck", "pck")),
    bad("chain/pck/root signed by a stranger", 2, SIGNATURE, _another_signer_of_the_root),
    bad("chain/pck/without the CA", 2, SIGNATURE, _chain("pck", "pck", "root")),
    bad("chain/pck/without the root", 2, SIGNATURE, _chain("pck", "pck", "platform")),
    bad("chain/pck/root first", 2, SIGNATURE, _chain("pck", "root", "platform", "pck")),
    bad("chain/pck/CA twice", 2, SIGNATURE, _chain("pck", "pck", "platform", "platform", "root")),
    bad("chain/pck/empty", 2, SIGNATURE, _chain("pck")),
    bad("chain/tcb info/empty", 4, COLLATERAL, _chain("tcb_info_issuer"), reason="signer-chain"),
    bad(
        "chain/tcb info/without the root",
        4,
        COLLATERAL,
        _chain("tcb_info_issuer", "tcb"),
        reason="signer-chain",
    ),
    bad(
        "chain/tcb info/root alone",
        4,
        COLLATERAL,
        _chain("tcb_info_issuer", "root"),
        reason="signer-chain",
    ),
    bad(
        "chain/qe identity/empty",
        5,
        COLLATERAL,
        _chain("qe_identity_issuer"),
        reason="signer-chain",
    ),
    bad(
        "chain/qe identity/root first",
        5,
        COLLATERAL,
        _chain("qe_identity_issuer", "root", "tcb"),
        reason="signer-chain",
    ),
    bad(
        "chain/pck/text in between", 2, SIGNATURE, _pem("pck", "-----\n-----B", "-----\nx\n-----B")
    ),
    bad("chain/pck/no base64", 2, SIGNATURE, _pem("pck", "MII", "M!I")),
    bad("chain/pck/another kind of PEM", 2, SIGNATURE, _pem("pck", "CERTIFICATE", "PUBLIC KEY", 2)),
    bad(
        "chain/tcb info/text at the end",
        4,
        COLLATERAL,
        _appended("tcb_info_issuer", "x"),
        reason="signer-chain",
    ),
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
