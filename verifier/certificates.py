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
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import CRLEntryExtensionOID, ExtensionOID, NameOID, SignatureAlgorithmOID

from .encoding import strict_base64

INTEL_ROOT_KEY = bytes.fromhex(
    "040ba9c4c0c0c86193a3fe23d6b02cda10a8bbd4e88e48b4458561a36e705525f5"
    "67918e2edc88e40d860bd0cc4ee26aacc988e505a953558c453f6b0904ae7394"
)
"""Public key of the Intel SGX Root CA: P-256, uncompressed point."""

PCK_CHAIN = ("SGX PCK Certificate", "CA", "SGX Root CA")
SIGNER_CHAIN = ("SGX TCB Signing", "SGX Root CA")
"""What the common name of each certificate in a chain says, leaf first."""

REMEMBERED = 64
"""How many certificates are kept with what follows from their bytes alone.

A verification asks a dozen times about four certificates, and so does the next one. Whether one is
in date, signed or revoked is asked anew each time, and of what is wrong nothing is kept.
"""

_COMMON_NAME, _COUNTRY, _LOCALITY, _STATE, _ORGANIZATION = (
    bytes([0x06, 3, 0x55, 4, arc]) for arc in (3, 6, 7, 8, 10)
)
_NAMED = (_COMMON_NAME, _COUNTRY, _LOCALITY, _STATE, _ORGANIZATION)
"""What a name says: these object identifiers, all right under 2.5.4, in DER."""

_NAME_PARTS = 16
"""Parts of a name; Intel's have five."""

_TEXTS = (0x0C, 0x13)
"""UTF8String and PrintableString, as which a name may be written."""

_TEXT = re.compile(rb"[ -~]{1,127}")

_GENERALIZED_TIME, _LONG_TAG = 0x18, 0x1F
_VERSION_2 = bytes([0x02, 1, 1])
_VERSION_3 = bytes([0xA0, 3, 0x02, 1, 2])
_ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
_EXTENSIONS_OF_CERTIFICATES, _EXTENSIONS_OF_LISTS = 0xA3, 0xA0

_ALGORITHM, _ISSUER, _VALIDITY, _SUBJECT, _KEY = 2, 3, 4, 5, 6
"""Where these stand in what is signed of a certificate."""

_LIST_ISSUER = 2
"""The same in a list."""

_TYPE = re.compile(rb"[\x00-\x7f](?:[\x80-\xff]{0,3}[\x00-\x7f])*", re.DOTALL)
_LONGEST_TYPE = 39
"""How object identifiers are written that every reader has room for, dcap-qvl too."""

_FOREIGN = ("2.5.29.", "1.3.6.1.5.5.7.", "1.3.6.1.4.1.11129.", "1.3.6.1.4.1.311.", "1.3.36.")
"""Where extensions have a meaning that others define, and that no certificate of Intel's has."""

_OF_LISTS = (x509.CRLNumber.oid, x509.AuthorityKeyIdentifier.oid)
_OF_CERTIFICATES = (
    x509.AuthorityKeyIdentifier.oid,
    x509.SubjectKeyIdentifier.oid,
    x509.CRLDistributionPoints.oid,
    x509.KeyUsage.oid,
    x509.BasicConstraints.oid,
)
"""The extensions that every list and every certificate of the profile has."""

_LONGEST = 0x7F
"""CAs below one that says how many there may be; Intel's say 0 and 1."""

_NUMBERS = 1 << (8 * 20 - 1)
"""Numbers of lists have at most 20 octets (RFC 5280, section 5.2.3)."""

_SERIALS = 1 << (8 * 20)
"""Serial numbers too (section 4.1.2.2), but Intel's may need one more for a zero in front."""

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


class Early(ValueError):  # noqa: N818 - named for the state
    """Early: not valid yet."""


class Late(ValueError):  # noqa: N818
    """Late: not valid any more."""


class Revoked(ValueError):  # noqa: N818
    """Revoked: a list names the certificate."""


# --- chains --------------------------------------------------------------------------------------


def read_chain(pem: str, roles: Sequence[str]) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM text, which must be those of the roles and all that is in it."""
    ders = read_pem(pem)
    if len(ders) != len(roles):
        raise ValueError(f"the chain holds {len(ders)} certificates: expected {len(roles)}")
    chain = tuple(map(load, ders))
    for certificate, role in zip(chain, roles, strict=True):
        _check_role(certificate, role)
    return chain


def read_pem(text: str) -> list[bytes]:
    """The DER of the certificates in a PEM text (RFC 7468), which must hold nothing else."""
    pieces = _PEM.split(text)  # what is between the certificates, and their base64, in turns
    if not _BLANK.fullmatch("".join(pieces[::2])):
        raise ValueError("the text holds what is no certificate")
    return [strict_base64("".join(block.split())) for block in pieces[1::2]]


@lru_cache(maxsize=REMEMBERED)
def load(der: bytes) -> x509.Certificate:
    """The certificate in DER; the same one for the same bytes, so that its parts are read once."""
    return x509.load_der_x509_certificate(der)


@lru_cache(maxsize=REMEMBERED)
def root_key(root_der: bytes | None) -> bytes:
    """The public key (an uncompressed point) of a root certificate; Intel's for None.

    A root counts by its key alone, whatever else it says; but all of it must be as both verifiers
    read it, so that neither takes a root that the other cannot.
    """
    if root_der is None:
        return INTEL_ROOT_KEY
    root = load(root_der)
    parts = _check_form(root)
    _check_texts(parts[_ISSUER])
    _check_texts(parts[_SUBJECT])
    return point(root)


@lru_cache(maxsize=REMEMBERED)
def _parts(certificate: x509.Certificate) -> Sequence[bytes]:
    """The elements of what is signed of a certificate."""
    return _elements(certificate.tbs_certificate_bytes)


def _check_form(certificate: x509.Certificate) -> Sequence[bytes]:
    """Check what `cryptography` leaves open in a certificate; the elements of what is signed."""
    parts = _parts(certificate)
    if parts[0] != _VERSION_3:
        raise ValueError("a certificate is not of version 3")
    if parts[_ALGORITHM] != _ECDSA_SHA256:
        raise ValueError("a certificate names another algorithm inside than ECDSA with SHA-256")
    if any(part[0] != _EXTENSIONS_OF_CERTIFICATES for part in parts[_KEY + 1 :]):
        raise ValueError("a certificate has more than extensions after its key")
    _check_algorithm(certificate)
    _check_times(_elements(parts[_VALIDITY]))
    _check_types(parts[-1])
    return parts


def _check_times(parts: Iterable[bytes]) -> None:
    """Check that moments up to 2049 are in the form for them (RFC 5280, section 4.1.2.5)."""
    if any(part[0] == _GENERALIZED_TIME and _content(part) < b"2050" for part in parts):
        raise ValueError("a moment before 2050 is in the form for later ones")


def _check_types(last: bytes) -> None:
    """Check the types of the extensions, if there are any in this last part of what is signed."""
    if last[0] not in (_EXTENSIONS_OF_CERTIFICATES, _EXTENSIONS_OF_LISTS):
        return
    for extension in _elements(_elements(last)[0]):
        _check_type(_elements(extension)[0])


def _check_type(identifier: bytes) -> None:
    content = _content(identifier)
    if len(content) > _LONGEST_TYPE or not _TYPE.fullmatch(content):
        raise ValueError("an object identifier is longer than any of Intel's")


def _check_texts(name: bytes) -> None:
    """Check that a name has one text in each part, whatever it says and is about."""
    for part in _elements(name):
        [attribute] = _elements(part)
        kind, text = _elements(attribute)
        _check_type(kind)
        if text[0] not in _TEXTS:
            raise ValueError("a name has a part that is no text")


def check_path(
    chain: Sequence[x509.Certificate],
    root_key: bytes,
    now: float,
    grace: float = 0,
    known_root: x509.Certificate | None = None,
) -> float:
    """Check a chain, leaf first, up to the root whose public key is `root_key`.

    Its certificates may have ended up to `grace` seconds ago. `known_root` ended another chain
    up to the same key that holds: it has proved already that it signed itself. Returns when the
    first certificate ends.
    """
    for below, certificate in enumerate(chain, start=-1):
        _check_profile(certificate, below)
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        _check_time(certificate.subject, start, end, now, grace)
    root = chain[-1]
    if point(root) != root_key:
        raise ValueError("the chain does not end in the pinned root")
    unproved = chain[:-1] if root == known_root else chain
    for certificate, issuer in zip(unproved, (*chain[1:], root), strict=False):
        if _parts(certificate)[_ISSUER] != _parts(issuer)[_SUBJECT]:
            raise _fault(certificate, "has another issuer")
        try:
            certificate.verify_directly_issued_by(issuer)  # names, algorithms and signature
        except (InvalidSignature, TypeError) as error:
            raise _fault(certificate, "has a wrong signature") from error
    return min(certificate.not_valid_after_utc.timestamp() for certificate in chain)


@lru_cache(maxsize=REMEMBERED)
def point(certificate: x509.Certificate) -> bytes:
    """The certificate's P-256 key as an uncompressed point, 65 bytes."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise ValueError(f"{_name(certificate.subject)} has no P-256 key")
    # Written out again it must be what is there: no compressed point, no explicit curve.
    if key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) not in _parts(certificate):
        raise ValueError(f"{_name(certificate.subject)} spells its key in another way")
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@lru_cache(maxsize=REMEMBERED)
def public_key(encoded: bytes) -> ec.EllipticCurvePublicKey:
    """The P-256 key that is an uncompressed point. Raises ValueError where there is no such one."""
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), encoded)


def _check_role(certificate: x509.Certificate, role: str) -> None:
    """Check that a certificate is called what one in this place of a chain is called.

    A name has few parts, each one attribute, as Intel's have, in printable ASCII.
    """
    parts = _elements(certificate.subject.public_bytes())
    if len(parts) > _NAME_PARTS:
        raise ValueError("the holder's name has more parts than any name of Intel's")
    texts = list(map(_named, parts))
    names = [text for kind, text in texts if kind == _COMMON_NAME]
    if len(names) != 1 or role not in names[0]:
        raise _fault(certificate, f"is not named as {role}")


def _named(part: bytes) -> tuple[bytes, str]:
    """What a part of a name says: an object identifier in DER, and its text."""
    attribute, *more = _elements(part)
    kind, value = _elements(attribute)
    text = _content(value)
    if more or kind not in _NAMED or value[0] not in _TEXTS or not _TEXT.fullmatch(text):
        raise ValueError("the holder's name has parts or texts that no name of Intel's has")
    if kind == _COUNTRY and len(text) != 2:
        raise ValueError("the holder's name has a country that is no code of one")
    return kind, text.decode("ascii")


def _content(element: bytes) -> bytes:
    """What is in an element of DER."""
    return element[_head(element) :]


def _head(element: bytes) -> int:
    """How many bytes say what the element is, and how long."""
    return 2 + (element[1] & 0x7F if element[1] & 0x80 else 0)


def _elements(element: bytes) -> list[bytes]:
    """The elements in one that `cryptography` has read, so that their lengths hold."""
    found, rest = [], _content(element)
    while rest:
        if rest[0] & _LONG_TAG == _LONG_TAG:
            raise ValueError("a tag of several bytes")
        head = _head(rest)
        size = int.from_bytes(rest[2:head], "big") if head > 2 else rest[1]
        found.append(rest[: head + size])
        rest = rest[head + size :]
    return found


@lru_cache(maxsize=REMEMBERED)
def _check_profile(certificate: x509.Certificate, below: int) -> None:
    """Check one certificate that has `below` CAs between itself and the leaf; -1 is the leaf."""
    _check_form(certificate)
    if not 0 < certificate.serial_number < _SERIALS:
        raise _fault(certificate, "has a serial number out of bounds")
    point(certificate)
    extensions = _extensions(certificate, _OF_CERTIFICATES)
    for oid in _OF_CERTIFICATES:
        if oid not in extensions:
            raise _fault(certificate, f"lacks the extension {oid.dotted_string}")
    _check_authority(extensions)
    points = extensions[x509.CRLDistributionPoints.oid]
    if not len(points) or not all(map(_is_address, points)):
        raise _fault(certificate, "says where its list lies in another form than Intel's")
    constraints = extensions[x509.BasicConstraints.oid]
    usage = extensions[x509.KeyUsage.oid]
    if usage.key_agreement and (usage.encipher_only or usage.decipher_only):
        raise _fault(certificate, "is for agreements on keys")
    if below < 0:
        if constraints.ca or not usage.digital_signature:
            raise _fault(certificate, "is not a certificate for signing")
    elif not constraints.ca or not usage.key_cert_sign or not usage.crl_sign:
        raise _fault(certificate, "is not a CA")
    elif constraints.path_length is not None and not below <= constraints.path_length <= _LONGEST:
        raise _fault(certificate, "does not allow a path of this length")


def _check_algorithm(signed: x509.Certificate | x509.CertificateRevocationList) -> None:
    if signed.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA256:
        raise ValueError("a signature is not ECDSA with SHA-256")
    # `cryptography` drops the octet that says how many bits do not count.
    if signed.public_bytes(Encoding.DER)[-len(signed.signature) - 1] != 0:
        raise ValueError("a signature has bits left over")


def _extensions(
    signed: x509.Certificate | x509.CertificateRevocationList,
    known: Sequence[x509.ObjectIdentifier],
) -> dict[x509.ObjectIdentifier, Any]:
    """The extensions; others than the known ones may be there, if nobody defines what they mean."""
    values = {}
    for extension in signed.extensions:
        oid = extension.oid
        if extension.critical and oid not in _CRITICAL:
            raise ValueError(f"the critical extension {oid.dotted_string} is unknown")
        if oid not in known and oid.dotted_string.startswith(_FOREIGN):
            raise ValueError(f"the extension {oid.dotted_string} is none of Intel's")
        values[oid] = extension.value
    return values


def _check_authority(extensions: Mapping[x509.ObjectIdentifier, Any]) -> None:
    """Check that the authority's key is named by its id, and by nothing else."""
    found = extensions[x509.AuthorityKeyIdentifier.oid]
    if found.key_identifier is None or found.authority_cert_issuer is not None:
        raise ValueError("an authority's key is not named by its id alone")


def _is_address(place: x509.DistributionPoint) -> bool:
    """Whether a distribution point has addresses, and nothing else."""
    if place.full_name is None or place.reasons is not None or place.crl_issuer is not None:
        return False
    return all(isinstance(each, x509.UniformResourceIdentifier) for each in place.full_name)


def _check_time(
    subject: x509.Name, start: datetime.datetime, end: datetime.datetime, now: float, grace: float
) -> None:
    if start.timestamp() < 0:
        raise ValueError(f"{_name(subject)}: begins before 1970")
    if now < start.timestamp():
        raise Early(f"{_name(subject)}: not valid before {start:%Y-%m-%dT%H:%M:%SZ}")
    if now > end.timestamp() + grace:
        raise Late(f"{_name(subject)}: not valid after {end:%Y-%m-%dT%H:%M:%SZ}")


def _fault(certificate: x509.Certificate, what: str) -> ValueError:
    return ValueError(f"{_name(certificate.subject)} {what}")


def _name(name: x509.Name) -> str:
    """What to call the holder of a name."""
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[0].value) if common else name.rfc4514_string() or "a nameless certificate"


# --- revocation lists ----------------------------------------------------------------------------


def read_list(data: bytes, issuer_key: bytes) -> x509.CertificateRevocationList:
    """The revocation list in `data` (DER), which the key (an uncompressed point) signed."""
    crl = x509.load_der_x509_crl(data)
    # `cryptography` takes lists with extensions that do not say of which version they are.
    parts = _parts_of_list(crl)
    if parts[0] != _VERSION_2:
        raise ValueError(f"the list by {_name(crl.issuer)} is not of version 2")
    _check_algorithm(crl)
    _check_times(parts)
    _check_types(parts[-1])
    extensions = _extensions(crl, _OF_LISTS)
    if not all(oid in extensions for oid in _OF_LISTS):
        raise ValueError(f"the list by {_name(crl.issuer)} lacks its number or its issuer's key")
    _check_authority(extensions)
    if not 0 <= extensions[x509.CRLNumber.oid].crl_number < _NUMBERS:
        raise ValueError(f"the list by {_name(crl.issuer)} has a number out of bounds")
    if not crl.is_signature_valid(public_key(issuer_key)):
        raise ValueError(f"the signature of the list by {_name(crl.issuer)} is wrong")
    _check_entries(crl)
    return crl


def _parts_of_list(crl: x509.CertificateRevocationList) -> list[bytes]:
    """The elements of what is signed of a list."""
    return _elements(crl.tbs_certlist_bytes)


def _check_entries(crl: x509.CertificateRevocationList) -> None:
    """Check that entries say whom they revoke, and perhaps why, as Intel's do.

    One with more to say could be about another issuer's certificate.
    """
    for entry in crl:
        if entry.serial_number < 0:
            raise ValueError("the list names a serial number that is negative")
        if entry.revocation_date_utc.timestamp() < 0:
            raise ValueError("the list revokes something before 1970")
        for extension in entry.extensions:
            if extension.critical or extension.oid != CRLEntryExtensionOID.CRL_REASON:
                raise ValueError("an entry of the list says what no entry of Intel's says")


def list_number(crl: x509.CertificateRevocationList) -> int:
    """The number of a list that was read (RFC 5280, section 5.2.3)."""
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def check_list(
    crl: x509.CertificateRevocationList, issuer: x509.Certificate, now: float, grace: float = 0
) -> float:
    """Check that the list is by `issuer`, and in date but for `grace` seconds.

    Returns the moment of the next list, which is no longer this one's.
    """
    if _parts_of_list(crl)[_LIST_ISSUER] != _parts(issuer)[_SUBJECT]:
        raise ValueError(f"the list is by {_name(crl.issuer)}, not {_name(issuer.subject)}")
    end = crl.next_update_utc
    if end is None:
        raise ValueError(f"the list by {_name(crl.issuer)} does not say when it ends")
    _check_time(crl.issuer, crl.last_update_utc, end, now, grace - 1)
    return end.timestamp()


def check_not_revoked(
    crl: x509.CertificateRevocationList, certificates: Iterable[x509.Certificate]
) -> None:
    """Raise Revoked where the list, by the issuer of all of `certificates`, names one."""
    for certificate in certificates:
        if crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None:
            raise Revoked(f"{_name(certificate.subject)} is revoked")
