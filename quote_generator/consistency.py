"""Whether a quote's own parts hold together.

    PCK chain -> QE report -> attestation key -> header and body

This is not verification: whose root stands behind the chain, what is out of date or revoked is for
relying parties to judge. It is what an attester owes itself. The host sets the lengths within a
quote, and older kernels believe it how long the whole is; so the memory of this very machine can
stand where signatures and certificates should be, and quotes are published. What the host does not
know it cannot sign. For the same reason errors here are fixed phrases, without a cause: they say
which part does not fit, and nothing of what stands in it.

Source: Intel "TDX DCAP Quoting Library API", appendix A.3.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import re

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import SignatureAlgorithmOID

from .errors import BadInput
from .quote import Quote

MAX_CERTIFICATES = 4
"""Intel's chains have three: PCK certificate, its CA, the root."""

_PEM = re.compile(
    r"-----BEGIN CERTIFICATE-----[ \t\r\n]([A-Za-z0-9+/= \t\r\n]+)-----END CERTIFICATE-----"
)
_REPORT_DATA = slice(320, 384)  # of an SGX enclave report, 384 bytes
_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What `cryptography` raises for something that is no certificate of use here."""


def check_consistency(quote: Quote) -> None:
    """Check a quote's digests, certificates and signatures against each other.

    Takes about half a millisecond for a chain that was not seen before, a quarter for one that
    was. Raises BadInput that says which part does not fit.
    """
    signature = quote.signature
    bound = hashlib.sha256(signature.attestation_key + signature.qe_auth_data).digest()
    if signature.qe_report[_REPORT_DATA] != bound + bytes(32):
        raise BadInput("the QE report is not over the attestation key")
    pck = _leaf_key(signature.pck_chain_pem)
    _verify(pck, signature.qe_report_signature, signature.qe_report, "the QE report's signature")
    _verify(
        _key(signature.attestation_key),
        signature.signature,
        quote.signed_bytes,
        "the quote's signature",
    )


def read_chain(pem: str) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM text that holds nothing else.

    Raises BadInput for other text, and for what is no certificate.
    """
    blocks = _PEM.findall(pem)
    if not 1 <= len(blocks) <= MAX_CERTIFICATES or _PEM.sub("", pem).strip(" \t\r\n"):
        raise BadInput("the PCK certificate chain is not PEM text of certificates alone")
    try:
        return tuple(x509.load_der_x509_certificate(_decoded(block)) for block in blocks)
    except _UNREADABLE:
        raise BadInput("the PCK certificate chain holds what is no certificate") from None


def _decoded(block: str) -> bytes:
    """The bytes of base64 in its one spelling: unused bits are zeros."""
    text = "".join(block.split())
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode("ascii") != text:
        raise ValueError("base64 in another spelling")
    return data


@functools.lru_cache(maxsize=2)  # a machine's chain changes once in months
def _leaf_key(pem: str) -> ec.EllipticCurvePublicKey:
    """The key of a chain's first certificate; each must be issued by the next, the last by itself.

    Raises BadInput.
    """
    chain = read_chain(pem)
    keys = [_certified_key(certificate) for certificate in chain]
    for certificate, issuer in itertools.pairwise((*chain, chain[-1])):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (InvalidSignature, *_UNREADABLE):
            raise BadInput("the PCK certificate chain is broken") from None
    return keys[0]


def _certified_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    """The key of a certificate that has one of P-256, and is signed as Intel's all are.

    Of other kinds there are keys that "verify" any bytes at all (Ed25519 with the identity for a
    point, RSA with the exponent 1), and digests that collide: such an issuer could stand behind
    bytes that nobody knows.
    """
    try:
        key = certificate.public_key()
        is_sha256 = certificate.signature_algorithm_oid == SignatureAlgorithmOID.ECDSA_WITH_SHA256
    except _UNREADABLE:
        raise BadInput("a key of the PCK certificate chain cannot be read") from None
    if (
        not isinstance(key, ec.EllipticCurvePublicKey)
        or not isinstance(key.curve, ec.SECP256R1)
        or not is_sha256
    ):
        raise BadInput("the PCK certificate chain is not one of ECDSA P-256 with SHA-256")
    return key


def _key(raw: bytes) -> ec.EllipticCurvePublicKey:
    """The public key of raw x || y."""
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + raw)
    except ValueError:
        raise BadInput("the attestation key is no point of P-256") from None


def _verify(key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes, name: str) -> None:
    """Verify a raw signature r || s."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise BadInput(f"{name} is wrong") from None
