"""Tokens built by hand, so that they can be wrong in every way (RFC 7515, RFC 7519)."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from quote_generator.evidence import encode_base64url

Sign = Callable[[bytes], bytes]
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def make_key(alg: str) -> PrivateKey:
    """A fresh key for ES256, RS256 or RS384."""
    if alg == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, 2048)


def signer(key: PrivateKey, alg: str) -> Sign:
    """What signs with `key` under `alg`."""
    digest = hashes.SHA384() if alg == "RS384" else hashes.SHA256()
    if isinstance(key, rsa.RSAPrivateKey):
        return lambda data: key.sign(data, padding.PKCS1v15(), digest)

    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return sign


def hmac_signer(key: PrivateKey) -> Sign:
    """HS256 whose secret is the *public* key's PEM: the classic confusion of key kinds."""
    secret = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return lambda data: hmac.new(secret, data, hashlib.sha256).digest()


def jwk(key: PrivateKey, alg: str, kid: str) -> dict[str, str]:
    """The public key as a JWK (RFC 7517, RFC 7518 section 6)."""
    common = {"alg": alg, "use": "sig", "kid": kid}
    if isinstance(key, rsa.RSAPrivateKey):
        public = key.public_key().public_numbers()
        return {**common, "kty": "RSA", "n": _number(public.n), "e": _number(public.e)}
    numbers = key.public_key().public_numbers()
    x, y = (encode_base64url(value.to_bytes(32, "big")) for value in (numbers.x, numbers.y))
    return {**common, "kty": "EC", "crv": "P-256", "x": x, "y": y}


def self_signed(key: PrivateKey) -> str:
    """A CA certificate of the key's own, as an `x5c` member holds it (RFC 7515, 4.1.6)."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Nobody")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()


def compact(header: dict[str, Any], payload: dict[str, Any] | bytes, sign: Sign) -> str:
    """The token: JWS compact serialization."""
    body = payload if isinstance(payload, bytes) else _json(payload)
    signed = f"{encode_base64url(_json(header))}.{encode_base64url(body)}"
    return f"{signed}.{encode_base64url(sign(signed.encode()))}"


def _number(value: int) -> str:
    return encode_base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
