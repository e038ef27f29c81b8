"""Certificates and revocation lists as Intel's provisioning PKI has them, and nothing else.

Profile: "Intel SGX PCK Certificate and Certificate Revocation List Profile Specification" 1.5.
dcap-qvl builds paths as a web browser does: it takes other curves, chains in any order, lists
that are not valid yet. Here a chain is exactly what the profile says.

Whatever is wrong is one of UNREADABLE that says what; the classes below are the reasons that a
caller tells apart.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, NameOID, SignatureAlgorithmOID

from .encoding import strict_base64

INTEL_ROOT_KEY = bytes.fromhex(
    "040ba9c4c0c0c86193a3fe23d6b02cda10a8bbd4e88e48b4458561a36e705525f5"
    "67918e2edc88e40d860bd0cc4ee26aacc988e505a953558c453f6b0904ae7394"
)
"""Public key of the Intel SGX Root CA: P-256, uncompressed point."""

PCK_CHAIN, SIGNER_CHAIN = 3, 2
"""Certificates in a chain: leaf, CA and root; or signer and root."""

_SGX_EXTENSION = x509.ObjectIdentifier("1.2.840.113741.1.13.1")
_SGX_ARCS = bytes.fromhex("2a864886f84d010d01")
"""The same in DER: what the identifiers inside the extension begin with."""

_CRITICAL = frozenset({ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE})
_PEM = re.compile(
    r"-----BEGIN CERTIFICATE-----[ \t\r\n]([A-Za-z0-9+/= \t\r\n]+)-----END CERTIFICATE-----"
)
_BLANK = re.compile(r"[ \t\r\n]*")

UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What `cryptography` raises for something that is no certificate or list."""

_INTEGER, _OCTETS, _OID, _SEQUENCE = 0x02, 0x04, 0x06, 0x30


class Early(ValueError):  # noqa: N818 - named for the state
    """Early: not valid yet."""


class Late(ValueError):  # noqa: N818
    """Late: not valid any more."""


class Revoked(ValueError):  # noqa: N818
    """Revoked: a list names the certificate."""


@dataclass(frozen=True)
class Platform:
    """What a PCK certificate says of its platform. `components` are the 16 SGX TCB SVNs."""

    fmspc: bytes
    pce_id: bytes
    pce_svn: int
    components: tuple[int, ...]


# --- chains --------------------------------------------------------------------------------------


def read_chain(pem: str, size: int) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM text, which must be `size` and all that is in it."""
    if not _BLANK.fullmatch(_PEM.sub("", pem)):
        raise ValueError("the chain holds text that is no certificate")
    blocks = _PEM.findall(pem)
    if len(blocks) != size:
        raise ValueError(f"the chain holds {len(blocks)} certificates: expected {size}")
    return tuple(
        x509.load_der_x509_certificate(strict_base64("".join(block.split()))) for block in blocks
    )


def root_key(root_der: bytes | None) -> bytes:
    """The public key (an uncompressed point) of a root certificate; Intel's for None."""
    return INTEL_ROOT_KEY if root_der is None else point(x509.load_der_x509_certificate(root_der))


def check_path(chain: Sequence[x509.Certificate], root_key: bytes, now: float) -> float:
    """Check a chain, leaf first, up to the root whose public key is `root_key`.

    Returns when the first of its certificates ends.
    """
    for below, certificate in enumerate(chain, start=-1):
        _check_profile(certificate, below)
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        _check_time(certificate.subject, start, end, now)
    root = chain[-1]
    if point(root) != root_key:
        raise ValueError("the chain does not end in the pinned root")
    for certificate, issuer in zip(chain, (*chain[1:], root), strict=True):
        try:
            certificate.verify_directly_issued_by(issuer)  # names, algorithms and signature
        except (InvalidSignature, TypeError) as error:
            raise ValueError(f"{_name(certificate.subject)} has a wrong signature") from error
    return min(certificate.not_valid_after_utc.timestamp() for certificate in chain)


def point(certificate: x509.Certificate) -> bytes:
    """The certificate's P-256 key as an uncompressed point, 65 bytes."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise ValueError(f"{_name(certificate.subject)} has no P-256 key")
    # Written out again it must be what is there: no compressed point, no explicit curve.
    if key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) not in (
        certificate.tbs_certificate_bytes
    ):
        raise ValueError(f"{_name(certificate.subject)} spells its key in another way")
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _check_profile(certificate: x509.Certificate, below: int) -> None:
    """Check one certificate that has `below` CAs between itself and the leaf; -1 is the leaf."""
    name = _name(certificate.subject)
    if certificate.version != x509.Version.v3:
        raise ValueError(f"{name} is not of version 3")
    _check_algorithm(certificate)
    point(certificate)
    extensions = _extensions(certificate)
    try:
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound as error:
        raise ValueError(f"{name} does not say what it is for") from error
    if below < 0:
        if constraints.ca or not usage.digital_signature:
            raise ValueError(f"{name} is not a certificate for signing")
    elif not constraints.ca or not usage.key_cert_sign or not usage.crl_sign:
        raise ValueError(f"{name} is not a CA")
    elif constraints.path_length is not None and constraints.path_length < below:
        raise ValueError(f"{name} does not allow a path of this length")


def _check_algorithm(signed: x509.Certificate | x509.CertificateRevocationList) -> None:
    if signed.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA256:
        raise ValueError("a signature is not ECDSA with SHA-256")


def _extensions(signed: x509.Certificate | x509.CertificateRevocationList) -> x509.Extensions:
    extensions = signed.extensions
    for extension in extensions:
        if extension.critical and extension.oid not in _CRITICAL:
            raise ValueError(f"the critical extension {extension.oid.dotted_string} is unknown")
    return extensions


def _check_time(
    subject: x509.Name, start: datetime.datetime, end: datetime.datetime, now: float
) -> None:
    if now < start.timestamp():
        raise Early(f"{_name(subject)}: not valid before {start:%Y-%m-%dT%H:%M:%SZ}")
    if now > end.timestamp():
        raise Late(f"{_name(subject)}: not valid after {end:%Y-%m-%dT%H:%M:%SZ}")


def _name(name: x509.Name) -> str:
    """What to call the holder of a name."""
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[0].value) if common else name.rfc4514_string() or "a nameless certificate"


# --- revocation lists ----------------------------------------------------------------------------


def read_list(data: bytes, issuer_key: bytes) -> x509.CertificateRevocationList:
    """The revocation list in `data` (DER), which the key (an uncompressed point) signed."""
    crl = x509.load_der_x509_crl(data)
    _check_algorithm(crl)
    extensions = _extensions(crl)
    try:
        for needed in (x509.CRLNumber, x509.AuthorityKeyIdentifier):
            extensions.get_extension_for_class(needed)
    except x509.ExtensionNotFound as error:
        detail = f"the list by {_name(crl.issuer)} says neither its number nor its issuer's key"
        raise ValueError(detail) from error
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), issuer_key)
    if not crl.is_signature_valid(key):
        raise ValueError(f"the signature of the list by {_name(crl.issuer)} is wrong")
    return crl


def list_number(crl: x509.CertificateRevocationList) -> int:
    """The number of a list that was read (RFC 5280, section 5.2.3)."""
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def check_list(crl: x509.CertificateRevocationList, issuer: x509.Certificate, now: float) -> float:
    """Check that the list is by `issuer`, and in date. Returns when it ends."""
    if crl.issuer != issuer.subject:
        raise ValueError(f"the list is by {_name(crl.issuer)}, not {_name(issuer.subject)}")
    end = crl.next_update_utc
    if end is None:
        raise ValueError(f"the list by {_name(crl.issuer)} does not say when it ends")
    _check_time(crl.issuer, crl.last_update_utc, end, now)
    if now == end.timestamp():  # dcap-qvl takes this second as past
        raise Late(f"{_name(crl.issuer)}: the list has ended")
    return end.timestamp()


def check_not_revoked(
    crl: x509.CertificateRevocationList, certificates: Iterable[x509.Certificate]
) -> None:
    """Raise Revoked where the list, by the issuer of all of `certificates`, names one."""
    for certificate in certificates:
        if crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
            raise Revoked(f"{_name(certificate.subject)} is revoked")


# --- the SGX extension of a PCK certificate ------------------------------------------------------


def platform_of(leaf: x509.Certificate) -> Platform:
    """The platform that a PCK certificate is for (profile, section 1.3.5)."""
    try:
        extension = leaf.extensions.get_extension_for_oid(_SGX_EXTENSION).value
    except x509.ExtensionNotFound as error:
        raise ValueError("the PCK certificate has no SGX extension") from error
    [content] = _values(extension.public_bytes(), _SEQUENCE)
    fields = _fields(content, _SGX_ARCS)
    tcb = _fields(_field(fields, 2, _SEQUENCE), _SGX_ARCS + b"\2")
    return Platform(
        fmspc=_sized(_field(fields, 4, _OCTETS), 6),
        pce_id=_sized(_field(fields, 3, _OCTETS), 2),
        pce_svn=_number(_field(tcb, 17, _INTEGER), 0xFFFF),
        components=tuple(_number(_field(tcb, arc, _INTEGER), 0xFF) for arc in range(1, 17)),
    )


_Fields = dict[bytes, tuple[int, bytes]]


def _fields(content: bytes, arcs: bytes) -> _Fields:
    """{last arc: (tag, content)} of a SEQUENCE OF {OID under `arcs`, value}."""
    found: _Fields = {}
    for entry in _values(content, _SEQUENCE):
        (tag, oid), value = _pair(entry)
        if tag != _OID or oid[:-1] != arcs or oid[-1:] in found:
            raise ValueError("the SGX extension has an unexpected or repeated field")
        found[oid[-1:]] = value
    return found


def _field(fields: _Fields, arc: int, expected: int) -> bytes:
    tag, content = fields.get(bytes([arc]), (0, b""))
    if tag != expected:
        raise ValueError(f"the SGX extension has no field {arc}, or not of its type")
    return content


def _sized(content: bytes, size: int) -> bytes:
    if len(content) != size:
        raise ValueError(f"the SGX extension has a field of {len(content)} bytes, not {size}")
    return content


def _number(content: bytes, largest: int) -> int:
    """An INTEGER from 0 to `largest`, in its shortest form."""
    value = int.from_bytes(content, "big", signed=True)
    if not 0 <= value <= largest or len(content) != value.bit_length() // 8 + 1:
        raise ValueError("the SGX extension has a number out of its range or form")
    return value


def _pair(content: bytes) -> tuple[tuple[int, bytes], tuple[int, bytes]]:
    items = list(_items(content))
    if len(items) != 2:
        raise ValueError("the SGX extension has a field without one value")
    return items[0], items[1]


def _values(data: bytes, expected: int) -> list[bytes]:
    """The contents of consecutive DER values, all with the same tag."""
    items = list(_items(data))
    if any(tag != expected for tag, _ in items):
        raise ValueError("the SGX extension has a value of another type")
    return [content for _, content in items]


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tags and contents of consecutive DER values: definite, shortest lengths (X.690, 10.1)."""
    at = 0
    while at < len(data):
        tag, size = data[at], data[at + 1] if at + 1 < len(data) else 0xFF
        at += 2
        if size >= 0x80:
            count = size & 0x7F
            size = int.from_bytes(data[at : at + count], "big")
            if not 1 <= count <= 2 or size < max(0x80, 1 << 8 * (count - 1)):
                raise ValueError("the SGX extension has a length that is not DER")
            at += count
        if tag & 0x1F == 0x1F or size > len(data) - at:
            raise ValueError("the SGX extension is cut short")
        yield tag, data[at : at + size]
        at += size
