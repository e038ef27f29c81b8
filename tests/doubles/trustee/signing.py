"""Who signs a service's tokens: a configured key with its certificates, or one of its own."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .. import jose

EAR_ALGORITHM, SIMPLE_ALGORITHM = "ES256", "RS384"

_MEMBERS = {"EC": ("alg", "x5c", "kty", "crv", "x", "y"), "RSA": ("alg", "e", "kty", "n", "x5c")}
"""Members of a key, in the order of the service."""


@dataclass(frozen=True)
class Signer:
    """A key, and the certificates that the service shows with it (DER, the key's own first)."""

    key: jose.PrivateKey
    chain: tuple[bytes, ...] = ()

    @classmethod
    def ephemeral(cls, algorithm: str) -> Signer:
        """The key that a service without a configured one makes at each start."""
        while True:
            key = jose.make_key(algorithm)
            # v0.13 drops leading zeros of coordinates, which one key in 128 has. A test that is
            # about that takes a key of its own.
            if not has_leading_zero(key):
                return cls(key)

    @classmethod
    def from_files(cls, key: Path, chain: Path | None) -> Signer:
        """As `signer` in the configuration: `key_path` and `cert_path`, both PEM."""
        loaded: Any = serialization.load_pem_private_key(key.read_bytes(), None)
        certificates = x509.load_pem_x509_certificates(chain.read_bytes()) if chain else []
        return cls(loaded, tuple(_der(item) for item in certificates))

    def jwk(self, algorithm: str, encode: Callable[[bytes], str] | None = None) -> dict[str, Any]:
        """The public key (RFC 7517), without a name; `encode` is for certificates."""
        members: dict[str, Any] = dict(jose.jwk(self.key, algorithm, ""))
        if self.chain and encode:
            members["x5c"] = [encode(certificate) for certificate in self.chain]
        return {name: members[name] for name in _MEMBERS[members["kty"]] if name in members}

    def sign(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        """The token."""
        return jose.compact(header, claims, jose.signer(self.key, header["alg"]))

    def save(self, folder: Path) -> tuple[Path, Path | None]:
        """Files for a real service: its key and, where there are some, its certificates, in PEM."""
        key, chain = folder / "signer.pem", folder / "chain.pem"
        # A real v0.13.0 reads its key by a function for its kind: the older form has that.
        key.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        if not self.chain:
            return key, None
        loaded = (x509.load_der_x509_certificate(item) for item in self.chain)
        pems = (item.public_bytes(serialization.Encoding.PEM) for item in loaded)
        chain.write_bytes(b"".join(pems))
        return key, chain


def has_leading_zero(key: jose.PrivateKey) -> bool:
    """Whether a coordinate of an elliptic key begins with a zero byte."""
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return False
    numbers = key.public_key().public_numbers()
    return min(numbers.x, numbers.y) < 1 << 248


def certified(algorithm: str, authority: str = "Attestation CA") -> tuple[Signer, bytes]:
    """A signer that an authority vouches for, and the authority's certificate (DER).

    Like the one that was recorded, it shows its own certificate only.
    """
    ca_key, key = jose.make_key("ES256"), jose.make_key(algorithm)
    ca = _certificate(ca_key, authority, ca_key, authority, is_ca=True)
    leaf = _certificate(key, "Attestation service", ca_key, authority, is_ca=False)
    return Signer(key, (_der(leaf),)), _der(ca)


def _certificate(
    key: jose.PrivateKey, name: str, issuer_key: jose.PrivateKey, issuer: str, *, is_ca: bool
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.BasicConstraints(is_ca, 0 if is_ca else None), critical=True)
        .add_extension(_usage(is_ca=is_ca), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )


def _usage(*, is_ca: bool) -> x509.KeyUsage:
    """An authority signs certificates, which has to be said of it; a leaf signs data."""
    return x509.KeyUsage(
        digital_signature=not is_ca,
        key_cert_sign=is_ca,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)
