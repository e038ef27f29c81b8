"""The simulator's certificates and revocation lists, shaped like Intel's provisioning PKI.

Shapes: "Intel SGX PCK Certificate and Certificate Revocation List Profile Specification" 1.5.
Four certificates: root -> platform CA -> PCK leaf, and root -> TCB signing.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Mapping

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from . import der

Rng = Callable[[int], bytes]
Keys = Mapping[str, ec.EllipticCurvePrivateKey]
Certificates = Mapping[str, x509.Certificate]

KEY_NAMES = ("root", "platform", "pck", "tcb", "attestation")
"""Everything that signs. `attestation` is the quoting enclave's key and has no certificate."""

FMSPC = b"SIM\0\0\0"
"""Family-model-stepping-platform code: ASCII, so that a person sees what it is."""

PCE_ID = bytes(2)
PCE_SVN = 13
CPU_SVN = bytes([4, 4, 2, 2, 4, 1, 0, 5]) + bytes(8)
"""SVNs of the 16 SGX TCB components that the PCK certificate states."""

_SGX_EXTENSION = "1.2.840.113741.1.13.1"
_DAY = datetime.timedelta(days=1)
_ROOT_LIFE = 30 * 365 * _DAY
_LIFE = 365 * _DAY
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def make_keys(rng: Rng) -> dict[str, ec.EllipticCurvePrivateKey]:
    """A P-256 key for each of KEY_NAMES."""
    # 16 bytes more than the order has make the bias of the reduction negligible.
    return {
        name: ec.derive_private_key(
            int.from_bytes(rng(48), "big") % (_P256_ORDER - 1) + 1, ec.SECP256R1()
        )
        for name in KEY_NAMES
    }


def make_certificates(
    keys: Keys, name: str, now: float, root: x509.Certificate | None = None
) -> dict[str, x509.Certificate]:
    """Certificates for `keys`, whose common names begin with `name`.

    `root` is kept where given, so that a relying party's copy of it stays byte for byte.
    """
    names = {
        "root": f"{name} Root CA",
        "platform": f"{name} Intel SGX PCK Platform CA",
        "pck": f"{name} Intel SGX PCK Certificate",
        "tcb": f"{name} Intel SGX TCB Signing",
    }

    def issue(subject: str, issuer: str, life: datetime.timedelta, path: int | None) -> _Builder:
        return _certificate(
            keys[subject].public_key(),
            names[subject],
            keys[issuer].public_key(),
            names[issuer],
            _time(now),
            life,
            path,
        )

    pck = issue("pck", "platform", _LIFE, None).add_extension(
        x509.UnrecognizedExtension(x509.ObjectIdentifier(_SGX_EXTENSION), _sgx_extension(keys)),
        critical=False,
    )
    return {
        "root": root or _sign(issue("root", "root", _ROOT_LIFE, 1), keys["root"]),
        "platform": _sign(issue("platform", "root", _LIFE, 0), keys["root"]),
        "pck": _sign(pck, keys["platform"]),
        "tcb": _sign(issue("tcb", "root", _LIFE, None), keys["root"]),
    }


def is_valid(certificate: x509.Certificate, now: float) -> bool:
    """Whether `now` lies in the certificate's life."""
    return certificate.not_valid_before_utc <= _time(now) <= certificate.not_valid_after_utc


def needs_renewal(certificate: x509.Certificate, now: float) -> bool:
    """Whether less than a third of its life is left, or the clock stands before it began."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return not start <= _time(now) <= end - (end - start) / 3


def make_crl(
    key: ec.EllipticCurvePrivateKey, issuer: x509.Certificate, now: float, life: float
) -> bytes:
    """An empty revocation list in DER, by `issuer`, for `life` seconds from `now`."""
    start = _time(now)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(start - _DAY / 24)
        .next_update(start + datetime.timedelta(seconds=life))
        .add_extension(x509.CRLNumber(int(now)), critical=False)
        .add_extension(_authority(key.public_key()), critical=False)
    )
    crl = builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    return crl.public_bytes(serialization.Encoding.DER)


def sign_raw(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """ECDSA-P256-SHA256 as raw r || s, 64 bytes, deterministic (RFC 6979)."""
    signature = key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    r, s = decode_dss_signature(signature)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def public_raw(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public key as raw x || y, 64 bytes."""
    encoded = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    return encoded[1:]


def chain_pem(*certificates: x509.Certificate) -> str:
    """Certificates as one PEM text, in the order given."""
    return "".join(
        certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
        for certificate in certificates
    )


_Builder = x509.CertificateBuilder


def _certificate(
    public_key: ec.EllipticCurvePublicKey,
    name: str,
    issuer_key: ec.EllipticCurvePublicKey,
    issuer_name: str,
    now: datetime.datetime,
    life: datetime.timedelta,
    path_length: int | None,
) -> _Builder:
    """An unsigned certificate; a CA where `path_length` is given."""
    is_ca = path_length is not None
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer_name))
        .public_key(public_key)
        .serial_number(_serial(public_key, now))
        .not_valid_before(now - _DAY)
        .not_valid_after(now + life)
        .add_extension(x509.BasicConstraints(is_ca, path_length), critical=True)
        .add_extension(_key_usage(is_ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(_authority(issuer_key), critical=False)
    )


def _sign(builder: _Builder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)


def _serial(public_key: ec.EllipticCurvePublicKey, now: datetime.datetime) -> int:
    """A serial number that no other certificate of this PKI has: key and moment make it."""
    spki = public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    digest = hashlib.sha256(spki + now.isoformat().encode()).digest()
    return int.from_bytes(digest[:19], "big") | 1 << 151


def _key_usage(is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=not is_ca,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )


def _authority(issuer_key: ec.EllipticCurvePublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Confidential Computing Zoo"),
        ]
    )


def _time(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC)


def _sgx_extension(keys: Keys) -> bytes:
    """Platform identity inside the PCK certificate (profile specification, section 1.3.5)."""
    platform = hashlib.sha256(public_raw(keys["pck"])).digest()

    def entry(arcs: str, value: bytes) -> bytes:
        return der.sequence(der.oid(f"{_SGX_EXTENSION}.{arcs}"), value)

    components = [entry(f"2.{i}", der.integer(svn)) for i, svn in enumerate(CPU_SVN, start=1)]
    tcb = [
        *components,
        entry("2.17", der.integer(PCE_SVN)),
        entry("2.18", der.octets(CPU_SVN)),
    ]
    true = b"\x01\x01\xff"
    configuration = [entry(f"7.{i}", true) for i in (1, 2, 3)]
    return der.sequence(
        entry("1", der.octets(platform[:16])),
        entry("2", der.sequence(*tcb)),
        entry("3", der.octets(PCE_ID)),
        entry("4", der.octets(FMSPC)),
        entry("5", der.enumerated(1)),  # SGX type 1: scalable, as on every TDX platform
        entry("6", der.octets(platform[16:])),
        entry("7", der.sequence(*configuration)),
    )
