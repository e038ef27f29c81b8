"""The simulator's certificates and revocation lists, shaped like Intel's provisioning PKI.

Shapes: "Intel SGX PCK Certificate and Certificate Revocation List Profile Specification" 1.5.
Four certificates: root -> platform CA -> PCK leaf, and root -> TCB signing. Their common names
are Intel's to the letter, as tools look for them; the organisation says who really made them.
Nobody may tell this root from Intel's by a name: only the keys do that.
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

COMMON_NAMES = {
    "root": "Intel SGX Root CA",
    "platform": "Intel SGX PCK Platform CA",
    "pck": "Intel SGX PCK Certificate",
    "tcb": "Intel SGX TCB Signing",
}
"""Of each certificate, as in Intel's PKI."""

ROOT_CRL_URL = "https://simulator.invalid/sgx/certification/v4/rootcacrl"
PCK_CRL_URL = "https://simulator.invalid/sgx/certification/v4/pckcrl?ca=platform&encoding=der"
"""Where revocation lists are said to be: the paths are a PCCS's, the host can never be there
(RFC 2606, section 2). Tools want an address in every certificate; the lists are in the collateral.
"""

KEY_NAMES = ("root", "platform", "pck", "tcb", "attestation")
"""Everything that signs. `attestation` is the quoting enclave's key and has no certificate."""

FMSPC = b"STAGED"
"""Family-model-stepping-platform code: ASCII, so that a person sees what it is.

Its hex has no letters: go-tdx-guest compares what the certificate and the TCB info say as texts,
one in lower case and one as it stands.
"""

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
    """Certificates for `keys`, whose organisation ends in `name`.

    `root` is kept where given, so that a relying party's copy of it stays byte for byte.
    """

    def issue(subject: str, issuer: str, life: datetime.timedelta, path: int | None) -> _Builder:
        return (
            x509.CertificateBuilder()
            .subject_name(_subject(subject, name))
            .issuer_name(_subject(issuer, name))
            .public_key(keys[subject].public_key())
            .serial_number(_serial(keys[subject].public_key(), now))
            .not_valid_before(_time(now) - _DAY)
            .not_valid_after(_time(now) + life)
            .add_extension(_authority(keys[issuer].public_key()), critical=False)
            .add_extension(_distribution_point(issuer), critical=False)
            .add_extension(_key_id(keys[subject].public_key()), critical=False)
            .add_extension(_key_usage(is_ca=path is not None), critical=True)
            .add_extension(x509.BasicConstraints(path is not None, path), critical=True)
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


def _sign(builder: _Builder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)


def _serial(public_key: ec.EllipticCurvePublicKey, now: float) -> int:
    """A serial number that no other certificate of this PKI has: key and moment make it.

    Positive, and 20 octets in DER: the most that there may be (RFC 5280, section 4.1.2.2).
    """
    spki = public_key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    digest = hashlib.sha256(spki + _time(now).isoformat().encode()).digest()
    return int.from_bytes(digest[:19], "big") | 1 << 151


def _distribution_point(issuer: str) -> x509.CRLDistributionPoints:
    """Where the revocation list of `issuer`, "root" or "platform", is said to be."""
    url = ROOT_CRL_URL if issuer == "root" else PCK_CRL_URL
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
    return x509.CRLDistributionPoints([point])


def _key_usage(*, is_ca: bool) -> x509.KeyUsage:
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


def _key_id(public_key: ec.EllipticCurvePublicKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(public_key)


def _subject(certificate: str, name: str) -> x509.Name:
    """The distinguished name of a certificate of COMMON_NAMES in the PKI called `name`."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, COMMON_NAMES[certificate]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"Confidential Computing Zoo {name}"),
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
