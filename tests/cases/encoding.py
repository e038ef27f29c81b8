"""X.509 written by hand, so that every byte of it can be wrong.

Layouts: RFC 5280, sections 4.1 and 5.1; DER: X.690. What is written is right unless a Form or a
field says otherwise, and is signed as it stands: only the fault itself can give it away.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quote_generator.simulator import der

DER, LONG, INDEFINITE, HUGE, OVER, TRAILING = (
    "der",
    "long",
    "indefinite",
    "huge",
    "over",
    "trailing",
)
"""How a value's length is written: as it must be, with a byte too many, open-ended, as 2^31, as
one more than there is, or rightly, with a byte after the value."""

Forms = Mapping[str, str]
"""Which part is written in which form; parts that are not named are DER."""

HASHES = {
    "1.2.840.10045.4.3.2": hashes.SHA256(),
    "1.2.840.10045.4.3.3": hashes.SHA384(),
    "1.2.840.10045.4.3.4": hashes.SHA512(),
}
ECDSA_SHA256, ECDSA_SHA384, ECDSA_SHA512 = HASHES
RSA_SHA256 = "1.2.840.113549.1.1.11"

CURVES: Mapping[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "secp256k1": ec.SECP256K1(),
}


def tlv(tag: int, content: bytes, form: str = DER) -> bytes:
    """One value; `form` is how its length is written."""
    size = len(content)
    if form == INDEFINITE:
        return bytes([tag, 0x80]) + content + b"\0\0"
    if form == HUGE:
        return bytes([tag, 0x84, 0x7F, 0xFF, 0xFF, 0xFF]) + content
    if form == OVER:
        return tlv(tag, content + b"\0")[:-1]
    minimal = der.octets(content)[1 : -size or None]
    if form == LONG:
        digits = minimal[1:] if size >= 0x80 else minimal
        return bytes([tag, 0x81 + len(digits), 0]) + digits + content
    return bytes([tag]) + minimal + content + (b"\0" if form == TRAILING else b"")


def sequence(*items: bytes, form: str = DER) -> bytes:
    """SEQUENCE of already encoded items."""
    return tlv(0x30, b"".join(items), form)


def bits(content: bytes, unused: int = 0, form: str = DER) -> bytes:
    """BIT STRING."""
    return tlv(0x03, bytes([unused]) + content, form)


def boolean(value: bool) -> bytes:
    """BOOLEAN."""
    return tlv(0x01, b"\xff" if value else b"\0")


def algorithm(oid: str) -> bytes:
    """AlgorithmIdentifier: ECDSA ones have no parameters."""
    return sequence(der.oid(oid))


def name(common_name: str | bytes) -> bytes:
    """A distinguished name of one common name; one that is encoded already is left as it is."""
    if isinstance(common_name, bytes):
        return common_name
    attribute = sequence(der.oid("2.5.4.3"), tlv(0x0C, common_name.encode()))
    return sequence(tlv(0x31, attribute))


def time(seconds: int, late_form: bool = False) -> bytes:
    """UTCTime; GeneralizedTime from 2050, or where that form is asked for."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    if moment.year < 2050 and not late_form:
        return tlv(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())
    return tlv(0x18, moment.strftime("%Y%m%d%H%M%SZ").encode())


def public_key(key: ec.EllipticCurvePrivateKey, compressed: bool = False) -> bytes:
    """SubjectPublicKeyInfo."""
    if not compressed:
        return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    curve = der.oid("1.2.840.10045.3.1.7")
    return sequence(sequence(der.oid("1.2.840.10045.2.1"), curve), bits(point))


def off_the_curve(public_key: bytes) -> bytes:
    """A public key whose point is moved by one, and so on no curve."""
    return public_key[:-1] + bytes([public_key[-1] ^ 1])


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public key, uncompressed."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def extension(oid: str, value: bytes, critical: bool = False, form: str = DER) -> bytes:
    """Extension."""
    flag = boolean(True) if critical else b""
    return sequence(der.oid(oid), flag, tlv(0x04, value), form=form)


def key_usage(usage: Sequence[int]) -> bytes:
    """KeyUsage from the numbers of its bits (0 to 7)."""
    byte = sum(0x80 >> bit for bit in usage)
    unused = (byte & -byte).bit_length() - 1 if byte else 0
    return bits(bytes([byte]), unused) if byte else bits(b"")


def basic_constraints(ca: bool, path: int | None) -> bytes:
    """BasicConstraints."""
    length = b"" if path is None else der.integer(path)
    return sequence(boolean(True) if ca else b"", length)


def distribution_point(address: str) -> bytes:
    """CRLDistributionPoints of one point with one address."""
    full_name = tlv(0xA0, tlv(0x86, address.encode()))
    return sequence(sequence(tlv(0xA0, full_name)))


def signed(
    content: bytes, outer: str, key: ec.EllipticCurvePrivateKey, forms: Forms, flip: bool
) -> bytes:
    """`content` with algorithm `outer` and a signature by `key`; with `flip` one bit is wrong."""
    digest = HASHES.get(outer, hashes.SHA256())
    signature = key.sign(content, ec.ECDSA(digest, deterministic_signing=True))
    if flip:
        signature = signature[:-1] + bytes([signature[-1] ^ 1])
    end = bits(signature, form=forms.get("signature", DER))
    return sequence(content, algorithm(outer), end, form=forms.get("whole", DER))
