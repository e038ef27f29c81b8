"""Certificate chains that tokens bring along, for users who pinned a certificate (x5c).

The page's rules (web/src/token/chain.ts): X.509 v3, ECDSA P-256 with SHA-256 and nothing else, in
order, leaf first. What a chain has above the pinned certificate is nobody's concern, and not even
read; nor is who signed the pinned one, and how.
"""

from __future__ import annotations

import base64
import datetime
import itertools
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID

from quote_generator.evidence import encode_base64url

from .certificates import point

MAX_CHAIN = 8

_KNOWN = (ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE)
_UNREADABLE = (
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)
"""What cryptography raises for odd certificates, besides ValueError."""


def key_of_chain(encoded: object, pinned: Sequence[x509.Certificate], now: float) -> dict[str, str]:
    """The public key (JWK) of a chain's leaf, if the chain leads to a pinned certificate.

    `encoded` is an `x5c` member: base64 (RFC 7515, section 4.1.6), or base64url as Trustee
    writes it up to v0.20. Raises ValueError that says what is wrong.
    """
    if not isinstance(encoded, list) or not 1 <= len(encoded) <= MAX_CHAIN:
        raise ValueError(f"it brings no chain of 1 to {MAX_CHAIN} certificates")
    try:
        leaf = _vouched(encoded, pinned, now)
    except _UNREADABLE as error:
        raise ValueError(f"a certificate cannot be read: {error}") from error
    x, y = (encode_base64url(leaf[at : at + 32]) for at in (1, 33))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def check_pinned(certificate: x509.Certificate) -> None:
    """Raise ValueError for a certificate of a kind that no chain can lead to here."""
    try:
        if certificate.version is not x509.Version.v3:
            raise ValueError("a pinned certificate is not of version 3")
        point(certificate)
        _path_length(certificate)
    except _UNREADABLE as error:
        raise ValueError(f"a pinned certificate cannot be read: {error}") from error


def _vouched(chain: Sequence[object], pinned: Sequence[x509.Certificate], now: float) -> bytes:
    """The leaf's key (uncompressed point), if one of the pinned certificates is behind it."""
    problem = ValueError("nothing is pinned")
    for anchor in pinned:
        try:
            path = [*_below(chain, anchor), anchor]
            if len(path) > MAX_CHAIN:
                raise ValueError(f"its chain has more than {MAX_CHAIN} certificates")
            _check(path, now)
        except ValueError as error:
            problem = error
        else:
            return point(path[0])
    raise problem


def _below(chain: Sequence[object], anchor: x509.Certificate) -> list[x509.Certificate]:
    """The chain's certificates up to the pinned one, or all where that is left out."""
    pinned = anchor.public_bytes(Encoding.DER)
    ders = itertools.takewhile(lambda der: der != pinned, map(_der, chain))
    return [x509.load_der_x509_certificate(der) for der in ders]


def _der(item: object) -> bytes:
    if not isinstance(item, str):
        raise ValueError("its chain holds what is no text")
    text = item.replace("-", "+").replace("_", "/")
    padded = text + "=" * (-len(text) % 4)
    der = base64.b64decode(padded, validate=True)
    if base64.b64encode(der).decode() != padded:
        raise ValueError("its chain spells a certificate in another way")
    return der


def _check(path: Sequence[x509.Certificate], now: float) -> None:
    """Check a path, leaf first, whose last certificate is pinned (RFC 5280, section 6)."""
    moment = datetime.datetime.fromtimestamp(int(now), datetime.UTC)
    for at, certificate in enumerate(path):
        if certificate.version is not x509.Version.v3:
            raise ValueError("a certificate is not of version 3")
        point(certificate)
        if not len(certificate.extensions):
            raise ValueError("a certificate has no extensions")
        if not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
            raise ValueError("a certificate is not valid now")
        longest = _path_length(certificate)
        # A CA is no leaf, and a leaf is no CA: without this every signer could issue others.
        if (longest < at - 1) if at > 0 else (len(path) > 1 and _is_ca(certificate)):
            raise ValueError("a certificate may not be where it is in the chain")
    if not _may_sign_data(path[0]):
        raise ValueError("the first certificate is not for signing")
    for certificate, issuer in itertools.pairwise(path):
        if certificate.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA256:
            raise ValueError("a certificate is not signed with ECDSA and SHA-256")
        try:
            certificate.verify_directly_issued_by(issuer)  # names, algorithms and signature
        except (InvalidSignature, TypeError) as error:
            raise ValueError("a certificate's signature is wrong") from error


def _path_length(certificate: x509.Certificate) -> int:
    """How many CAs may follow below this one; negative where it may issue nothing."""
    extensions = {extension.oid: extension for extension in certificate.extensions}
    if any(item.critical and oid not in _KNOWN for oid, item in extensions.items()):
        raise ValueError("a certificate has a critical extension that is not known here")
    constraints, usage = (getattr(extensions.get(oid), "value", None) for oid in _KNOWN)
    if not constraints or not constraints.ca or not usage or not usage.key_cert_sign:
        return -1
    return MAX_CHAIN if constraints.path_length is None else constraints.path_length


def _is_ca(certificate: x509.Certificate) -> bool:
    """Whether it has the CA bit, whatever it may do with it."""
    found = {extension.oid: extension.value for extension in certificate.extensions}
    constraints = found.get(ExtensionOID.BASIC_CONSTRAINTS)
    return isinstance(constraints, x509.BasicConstraints) and constraints.ca


def _may_sign_data(certificate: x509.Certificate) -> bool:
    """Whether a key may sign tokens: where a certificate does not say (RFC 5280, 4.2.1.3), yes."""
    found = {extension.oid: extension.value for extension in certificate.extensions}
    usage = found.get(ExtensionOID.KEY_USAGE)
    return usage is None or (isinstance(usage, x509.KeyUsage) and usage.digital_signature)
