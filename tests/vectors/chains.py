"""Tokens that bring a certificate chain along, for relying parties who pinned a certificate.

Trustee's attestation service puts the chain of its configured signer (leaf first) into the token
header's `jwk`, member `x5c`: unpadded base64url up to v0.20, standard base64 from v0.21, which is
also what RFC 7517 section 4.7 says. RFC 7515 section 4.1.6 has `x5c` in the header itself.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import functools
from collections.abc import Callable, Iterator
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from doubles import jose
from quote_generator.evidence import encode_base64url
from quote_generator.simulator.pki import chain_pem, sign_raw

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
MakeKey = Callable[..., Key]

START, END = (datetime.datetime(year, 1, 1, tzinfo=datetime.UTC) for year in (2026, 2036))


@dataclasses.dataclass(frozen=True)
class Holder:
    """A name with its key and, once issued, its certificate."""

    name: str
    key: Key
    certificate: x509.Certificate | None = None

    @property
    def issued(self) -> x509.Certificate:
        """The certificate of one who has one."""
        assert self.certificate is not None
        return self.certificate

    @property
    def der(self) -> bytes:
        """The certificate's bytes."""
        return self.issued.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> str:
        """The certificate as PEM text."""
        return chain_pem(self.issued)


def issue(
    holder: Holder,
    issuer: Holder | None = None,
    *,
    ca: bool = False,
    path_length: int | None = None,
    start: datetime.datetime = START,
    end: datetime.datetime = END,
    signs: bool | None = None,
    signs_data: bool | None = None,
    issuer_name: str | None = None,
    digest: hashes.HashAlgorithm | None = None,
) -> Holder:
    """A certificate for `holder` by `issuer` (None: by itself).

    `signs` sets the key usage keyCertSign apart from the CA bit, `signs_data` the usage
    digitalSignature; `issuer_name` names somebody else than the one whose key signs; `digest` is
    what is signed in place of SHA-256.
    """
    by = issuer or holder
    may_sign = ca if signs is None else signs
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(holder.name))
        .issuer_name(_name(issuer_name or by.name))
        .public_key(holder.key.public_key())
        .serial_number(int.from_bytes(f"{holder.name}/{by.name}"[:18].encode(), "big") | 1 << 150)
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca, path_length), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not ca if signs_data is None else signs_data,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=may_sign,
                crl_sign=may_sign,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(holder.key.public_key()), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()), critical=False
        )
        .sign(
            by.key,
            digest or hashes.SHA256(),
            ecdsa_deterministic=isinstance(by.key, ec.EllipticCurvePrivateKey) or None,
        )
    )
    return dataclasses.replace(holder, certificate=certificate)


def url_safe(*holders: Holder) -> list[str]:
    """A chain as Trustee spells it up to v0.20."""
    return [encode_base64url(holder.der) for holder in holders]


def standard(*holders: Holder) -> list[str]:
    """A chain as RFC 7515 spells it, and Trustee from v0.21."""
    return [base64.b64encode(holder.der).decode() for holder in holders]


def chains(claims: dict[str, object], ec_key: MakeKey, rsa_key: MakeKey, now: int) -> object:
    """Cases `{name or fault, pin, token}` and what signs the good ones."""
    signer = ec_key("token signer")

    def token(key: Key = signer, **header: object) -> str:
        alg, sign = "RS384", jose.signer(key, "RS384")
        if isinstance(key, ec.EllipticCurvePrivateKey):
            alg, sign = "ES256", functools.partial(sign_raw, key)
        return jose.compact({"alg": alg, "typ": "JWT", **header}, claims, sign)

    def in_jwk(chain: object, key: Key = signer, **more: object) -> str:
        alg = "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "RS384"
        jwk: dict[str, Any] = jose.jwk(key, alg, "")
        del jwk["kid"], jwk["use"]  # Trustee's has neither
        return token(key, jwk={**jwk, "x5c": chain}, **more)

    root = issue(Holder("Root", ec_key("root")), ca=True)
    rsa_root = issue(Holder("RSA root", rsa_key("root")), ca=True)
    crossed = issue(Holder("Root", root.key), rsa_root, ca=True)
    middle = issue(Holder("Middle", ec_key("middle")), root, ca=True, path_length=0)
    leaf = issue(Holder("Signer", signer), middle)
    direct = issue(Holder("Signer", signer), root)
    alone = issue(Holder("Signer", signer))
    stranger = issue(Holder("Root", ec_key("another root")), ca=True)

    good = [
        ("Trustee up to v0.20", root, in_jwk(url_safe(leaf, middle))),
        ("Trustee from v0.21", root, in_jwk(standard(leaf, middle))),
        ("chain with its root", root, in_jwk(url_safe(leaf, middle, root))),
        ("leaf under the root", root, in_jwk(url_safe(direct))),
        ("chain in the header itself", root, token(x5c=standard(leaf, middle))),
        ("intermediate CA pinned", middle, in_jwk(url_safe(leaf, middle))),
        ("intermediate CA pinned and left out", middle, in_jwk(url_safe(leaf))),
        ("the leaf pinned", leaf, in_jwk(url_safe(leaf, middle))),
        ("self-signed leaf pinned", alone, in_jwk(standard(alone))),
        ("a kid besides", root, in_jwk(url_safe(direct), kid="whatever")),
        # What is above the pin is not even read.
        ("RSA above the pin", root, in_jwk(url_safe(leaf, middle, root, rsa_root))),
        ("pin signed with RSA", crossed, in_jwk(url_safe(leaf, middle, crossed, rsa_root))),
        ("pin signed with RSA and left out", crossed, in_jwk(url_safe(leaf, middle))),
        ("no certificate above the pin", root, in_jwk([*url_safe(leaf, middle, root), "AAAA"])),
        ("nothing readable above the pin", root, in_jwk([*url_safe(leaf, middle, root), "!", 1])),
        ("eight in all", root, in_jwk(url_safe(leaf, middle, *[root] * 6))),
    ]
    return {
        "now": now,
        "signer": {**jose.jwk(signer, "ES256", "signer"), "d": _private(signer)},
        "x5c": url_safe(leaf, middle),
        "root": root.pem,
        "another_root": stranger.pem,
        "valid": [
            *({"name": name, "pin": pin.pem, "token": text} for name, pin, text in good),
            {
                "name": "two certificates pinned",
                "pin": stranger.pem + root.pem,
                "token": in_jwk(url_safe(leaf, middle)),
            },
        ],
        "invalid": [
            {"fault": fault, "why": why, "pin": pin.pem, "token": text}
            for fault, why, pin, text in _bad(
                root, middle, leaf, direct, stranger, ec_key, rsa_key, token, in_jwk
            )
        ],
    }


def _bad(
    root: Holder,
    middle: Holder,
    leaf: Holder,
    direct: Holder,
    stranger: Holder,
    ec_key: MakeKey,
    rsa_key: MakeKey,
    token: Callable[..., str],
    in_jwk: Callable[..., str],
) -> Iterator[tuple[str, str, Holder, str]]:
    """Fault, what the page says is wrong (nothing: the token's own signature), pin, token."""
    signer, other = Holder("Signer", leaf.key), ec_key("token forger")
    forger = Holder("Forger", other)
    whole = url_safe(leaf, middle)

    yield "no chain", "none", root, token()
    yield "only a key", "none", root, token(jwk=jose.jwk(leaf.key, "ES256", "x"))
    yield "chain to another CA of the same name", "signature", stranger, in_jwk(whole)
    yield "chain with another root", "signature", stranger, in_jwk([*whole, *url_safe(root)])
    yield "another leaf pinned", "issuer", direct, in_jwk(whole)
    yield "intermediate left out", "issuer", root, in_jwk(url_safe(leaf))
    yield "order reversed", "issuer", root, in_jwk(whole[::-1])
    yield "a stranger in between", "issuer", root, in_jwk(url_safe(leaf, stranger, middle))
    yield "signed by somebody else", "", root, in_jwk(whole, other)
    yield "signed by the intermediate CA", "", root, in_jwk(whole, middle.key)
    yield "signed by the root", "", root, in_jwk([*whole, *url_safe(root)], root.key)

    wrong = "basicConstraints"
    false = issue(forger, direct)
    yield "leaf used as CA", wrong, root, in_jwk(url_safe(false, direct), other)
    yield "leaf under a pinned leaf", wrong, direct, in_jwk(url_safe(false), other)
    grown = issue(signer, root, signs=True)
    false = issue(forger, grown)
    yield "keyCertSign without the CA bit", wrong, root, in_jwk(url_safe(false, grown), other)
    barred = issue(Holder("Middle", middle.key), root, ca=True, signs=False)
    false = issue(signer, barred)
    yield "CA bit without keyCertSign", "keyUsage", root, in_jwk(url_safe(false, barred))
    deeper = issue(Holder("Deeper", ec_key("deeper")), middle, ca=True)
    false = issue(signer, deeper)
    grown = issue(signer, root, ca=True, signs=False, signs_data=True)
    yield "leaf with the CA bit", wrong, root, in_jwk(url_safe(grown))
    yield "path longer than the CA allows", wrong, root, in_jwk(url_safe(false, deeper, middle))
    short = issue(Holder("Root", root.key), ca=True, path_length=0)
    yield "path longer than the pinned CA allows", wrong, short, in_jwk(whole)

    past: dict[str, Any] = {"start": START - datetime.timedelta(days=90), "end": START}
    future = END - datetime.timedelta(days=1)
    yield "leaf expired", "expired", root, in_jwk(url_safe(issue(signer, root, **past)))
    early = url_safe(issue(signer, root, start=future))
    yield "leaf not valid yet", "not valid yet", root, in_jwk(early)
    old = issue(Holder("Middle", middle.key), root, ca=True, **past)
    yield "intermediate CA expired", "expired", root, in_jwk(url_safe(leaf, old))
    old = issue(Holder("Root", root.key), ca=True, **past)
    yield "pinned CA expired", "expired", old, in_jwk(url_safe(direct))
    old = issue(signer, **past)
    yield "pinned leaf expired", "expired", old, in_jwk(url_safe(old))

    false = issue(signer, middle, issuer_name="Somebody")
    yield "issuer's name differs", "issuer", root, in_jwk(url_safe(false, middle))
    damaged = bytearray(leaf.der)
    damaged[-1] ^= 1
    spoilt = [encode_base64url(bytes(damaged)), whole[1]]
    yield "leaf's signature damaged", "signature", root, in_jwk(spoilt)
    spoilt = [encode_base64url(leaf.der + b"\0"), whole[1]]
    yield "bytes after a certificate", "DER", root, in_jwk(spoilt)

    spoilt = [_spelled_otherwise(direct.der)]
    yield "a certificate spelled in another way", "base64", root, in_jwk(spoilt)

    # ECDSA P-256 with SHA-256 only.
    longer = issue(signer, middle, digest=hashes.SHA384())
    yield "a longer digest signed", "algorithm", root, in_jwk(url_safe(longer, middle))
    rsa_middle = issue(Holder("Middle", rsa_key("middle")), root, ca=True)
    below_rsa = issue(signer, rsa_middle)
    yield "RSA in between", "algorithm", root, in_jwk(url_safe(below_rsa, rsa_middle))
    above = [*url_safe(leaf, middle, rsa_middle)]
    yield "RSA above what is not pinned", "key", root, in_jwk(above)
    yield "nine in all", "length", root, in_jwk(url_safe(leaf, middle, *[root] * 7))
    deep = [root]
    for at in range(7):
        deep.insert(0, issue(Holder(f"CA {at}", ec_key(f"CA {at}")), deep[0], ca=True))
    nine = url_safe(issue(signer, deep[0]), *deep[:-1])
    yield "nine with the pinned one, which is left out", "length", root, in_jwk(nine)
    unfit = issue(signer, root, signs_data=False)
    yield "leaf that signs no data", "keyUsage", root, in_jwk(url_safe(unfit))
    rsa_leaf = issue(Holder("Signer", rsa_key("token signer")), root)
    yield "RSA leaf", "key", root, in_jwk(url_safe(rsa_leaf), rsa_leaf.key)
    rsa_root = issue(Holder("Root", rsa_key("root")), ca=True)
    yield "RSA CA", "key", rsa_root, in_jwk(url_safe(issue(signer, rsa_root)))

    yield "empty chain", "none", root, in_jwk([])
    yield "null for a chain", "none", root, in_jwk(None)
    yield "a text for a chain", "none", root, in_jwk(whole[0])
    yield "a number in the chain", "encoding", root, in_jwk([whole[0], 1])
    yield "a list in the chain", "encoding", root, in_jwk([[whole[0]], whole[1]])
    yield "no base64", "encoding", root, in_jwk(["!", *whole])
    yield "PEM in the chain", "encoding", root, in_jwk([leaf.pem, middle.pem])
    spaced = f"{whole[0][:8]} {whole[0][8:]}"
    yield "white space in the chain", "encoding", root, in_jwk([spaced, whole[1]])
    yield "no certificate", "DER", root, in_jwk([encode_base64url(b"no certificate"), *whole])
    yield "certificates without end", "length", root, in_jwk(url_safe(*[middle] * 9))


def _spelled_otherwise(der: bytes) -> str:
    """Base64url of the same bytes, but with a bit after their end."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    text = encode_base64url(der)
    assert len(der) % 3, "nothing is left of the last character"
    return text[:-1] + alphabet[alphabet.index(text[-1]) + 1]


def _private(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return encode_base64url(key.private_numbers().private_value.to_bytes(32, "big"))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
