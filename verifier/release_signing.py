"""Signing a release, as `make release` does; who verifies needs nothing of this."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from quote_generator.evidence import canonical_json

from .release import ALGORITHM, checked
from .signing import KeyFileError, read_key_file


def sign(value: Mapping[str, Any], key: Ed25519PrivateKey) -> bytes:
    """The signed release. Raises BadInput for a value that is none."""
    checked(value)
    payload = canonical_json(value)
    return b"%s\n%s%s\n" % (payload, ALGORITHM.encode(), key.sign(payload).hex().encode())


def key_name(key: Ed25519PrivateKey) -> str:
    """The public key, as policies pin it."""
    return f"{ALGORITHM}{key.public_key().public_bytes_raw().hex()}"


def read_signing_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a file that nobody else can read (PEM). Raises KeyFileError."""
    try:
        data = read_key_file(path)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be read: {error.strerror or error}") from error
    make = f"make one with: openssl genpkey -algorithm ed25519 -out '{path}'"
    if data is None:
        raise KeyFileError(f"there is no {path}; {make}")
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise KeyFileError(f"{path} is not an unencrypted PEM private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} is not an Ed25519 key; {make}")
    return key
