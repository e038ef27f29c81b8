"""The service's signing key: made once, kept private, named by its thumbprint."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

MAX_KEY_FILE = 16 * 1024


class KeyFileError(Exception):
    """KeyFileError: the key file cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Signer:
    """Signs tokens with ES256."""

    key: ec.EllipticCurvePrivateKey

    @classmethod
    def ephemeral(cls) -> Signer:
        """A signer whose key ends with the process."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_file(cls, path: Path) -> Signer:
        """The signer whose key is in `path` (PEM), made there (0600) when missing.

        Any number of processes may do so at once, and be killed at any point: all that
        succeed have the same key. Raises KeyFileError.
        """
        try:
            data = read_key_file(path)
            if data is None:
                _create(path, _to_pem(ec.generate_private_key(ec.SECP256R1())))
                data = read_key_file(path)
        except OSError as error:
            raise KeyFileError(
                f"{path} cannot be used: {error.strerror or error}; give another --key"
            ) from error
        return cls(_from_pem(path, data or b""))

    @property
    def kid(self) -> str:
        """The key's RFC 7638 thumbprint."""
        members = {name: self._bare_jwk[name] for name in ("crv", "kty", "x", "y")}
        canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
        return _base64url(hashlib.sha256(canonical).digest())

    @property
    def jwk(self) -> dict[str, str]:
        """The public key as a JWK (RFC 7517)."""
        return {**self._bare_jwk, "alg": "ES256", "use": "sig", "kid": self.kid}

    @property
    def _bare_jwk(self) -> dict[str, str]:
        numbers = self.key.public_key().public_numbers()
        x, y = (_base64url(value.to_bytes(32, "big")) for value in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y}

    def sign(self, claims: dict[str, Any]) -> str:
        """The claims as a JWT; like Trustee's, its header repeats the public key."""
        headers = {"kid": self.kid, "jwk": self.jwk}
        return jwt.encode(claims, self.key, algorithm="ES256", headers=headers)


def read_key_file(path: Path) -> bytes | None:
    """The content of a file that nobody else can read, None where there is none.

    Raises KeyFileError and OSError.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_IMODE(status.st_mode) & 0o077:
                raise KeyFileError(f"others can read {path}; run: chmod 600 '{path}'")
            return file.read(MAX_KEY_FILE)
    except FileNotFoundError:
        return None


def _create(path: Path, data: bytes) -> None:
    """Make the file whole or not at all; a file that another process made meanwhile stays."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        os.unlink(temporary)


def _from_pem(path: Path, data: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise KeyFileError(f"{path} is not an unencrypted PEM private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise KeyFileError(f"{path} is not a P-256 key; ES256 tokens need one")
    return key


def _to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
