"""Hybrid public key encryption in base mode, for the suites that a keyset may name (RFC 9180).

The curves, ciphers and the key schedule are `pyhpke`'s and `cryptography`'s; nothing else of the
package names the former.
"""

from __future__ import annotations

import hashlib
import hmac
from enum import IntEnum
from functools import cache
from typing import cast

import pyhpke
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pyhpke.kem_key import KEMKeyPair

from .errors import KeyUnknown, NotAuthentic


class Kem(IntEnum):
    """Key encapsulation mechanisms (RFC 9180, section 7.1)."""

    P256 = 0x0010
    X25519 = 0x0020


class Aead(IntEnum):
    """Ciphers (RFC 9180, section 7.3)."""

    AES_128_GCM = 0x0001
    AES_256_GCM = 0x0002


HKDF_SHA256 = 0x0001
"""The one key derivation function in use (RFC 9180, section 7.2)."""

ENC_BYTES = {Kem.X25519: 32, Kem.P256: 65}
"""Length of `enc`, and of a public key, by mechanism (Nenc and Npk in RFC 9180, section 7.1)."""

KEY_BYTES = {Aead.AES_128_GCM: 16, Aead.AES_256_GCM: 32}
"""Length of a cipher's key (Nk in RFC 9180, section 7.3)."""

NONCE_BYTES = 12
"""Length of each cipher's nonce (Nn in RFC 9180, section 7.3)."""

TAG_BYTES = 16
"""What sealing adds to a text (Nt in RFC 9180, section 7.3)."""

Buffer = bytes | bytearray | memoryview

_PRIVATE_KEY_BYTES = 32


class PrivateKey:
    """A key pair of one mechanism, held in memory and written nowhere."""

    __slots__ = ("kem", "pair", "public_key")

    def __init__(self, key: X25519PrivateKey | EllipticCurvePrivateKey) -> None:
        public = key.public_key()
        if isinstance(key, X25519PrivateKey):
            self.kem = Kem.X25519
            form = (Encoding.Raw, PublicFormat.Raw)
        else:
            self.kem = Kem.P256
            form = (Encoding.X962, PublicFormat.UncompressedPoint)
        self.public_key: bytes = public.public_bytes(*form)
        wrap = pyhpke.KEMKey.from_pyca_cryptography_key
        self.pair = KEMKeyPair(wrap(key), wrap(public))

    @classmethod
    def generate(cls, kem: Kem) -> PrivateKey:
        """A new key, by the operating system's randomness."""
        if kem is Kem.X25519:
            return cls(X25519PrivateKey.generate())
        return cls(generate_private_key(SECP256R1()))

    @classmethod
    def from_bytes(cls, kem: Kem, raw: bytes) -> PrivateKey:
        """The key in 32 bytes (SerializePrivateKey in RFC 9180, section 7.1.2).

        Raises ValueError where they are none.
        """
        if len(raw) != _PRIVATE_KEY_BYTES:
            raise ValueError(f"a private key has {_PRIVATE_KEY_BYTES} bytes")
        if kem is Kem.X25519:
            return cls(X25519PrivateKey.from_private_bytes(raw))
        try:
            return cls(derive_private_key(int.from_bytes(raw, "big"), SECP256R1()))
        except ValueError as error:
            raise ValueError("this private key is out of its curve's range") from error


class Sender:
    """The end that has a public key: seals in order, and exports what only both ends know."""

    __slots__ = ("_context", "enc")

    def __init__(
        self,
        kem: Kem,
        aead: Aead,
        public_key: bytes,
        info: bytes,
        *,
        ephemeral: PrivateKey | None = None,
    ) -> None:
        """SetupBaseS (RFC 9180, section 5.1.1); `ephemeral` is drawn anew where none is given.

        Raises KeyUnknown for a public key that is none, or of which every secret is the same.
        """
        suite = _suite(kem, aead)
        own = (ephemeral or PrivateKey.generate(kem)).pair
        try:
            other = suite.kem.deserialize_public_key(public_key)
            self.enc, self._context = suite.create_sender_context(other, info, eks=own)
        except (ValueError, pyhpke.PyHPKEError) as error:
            raise KeyUnknown from error

    def seal(self, text: Buffer, aad: bytes = b"") -> bytes:
        """The next text, sealed."""
        return self._context.seal(cast(bytes, text), aad)

    def export(self, context: bytes, length: int) -> bytes:
        """A secret of `length` bytes (RFC 9180, section 5.3)."""
        return self._context.export(context, length)


class Recipient:
    """The end that has the private key: opens in order, and exports the same secrets."""

    __slots__ = ("_context", "enc")

    def __init__(self, key: PrivateKey, aead: Aead, enc: bytes, info: bytes) -> None:
        """SetupBaseR (RFC 9180, section 5.1.1). Raises KeyUnknown for an `enc` that is none."""
        self.enc = enc
        try:
            self._context = _suite(key.kem, aead).create_recipient_context(
                enc, key.pair.private_key, info
            )
        except (ValueError, pyhpke.PyHPKEError) as error:
            raise KeyUnknown from error

    def open(self, sealed: Buffer, aad: bytes = b"") -> bytes:
        """The next text. Raises NotAuthentic."""
        try:
            return self._context.open(cast(bytes, sealed), aad)
        except pyhpke.OpenError as error:
            raise NotAuthentic("a chunk does not open") from error

    def export(self, context: bytes, length: int) -> bytes:
        """A secret of `length` bytes (RFC 9180, section 5.3)."""
        return self._context.export(context, length)


class Chain:
    """AES-GCM under one key, each nonce the base nonce XOR a counter: one direction of one answer.

    The counter cannot come round: it would take 2^96 chunks.
    """

    __slots__ = ("_cipher", "_nonce", "_number")

    def __init__(self, key: bytes, base_nonce: bytes) -> None:
        self._cipher = AESGCM(key)
        self._nonce = int.from_bytes(base_nonce, "big")
        self._number = 0

    def seal(self, text: Buffer, aad: bytes = b"") -> bytes:
        """The next text, sealed."""
        return self._cipher.encrypt(self._next_nonce(), text, aad)

    def open(self, sealed: Buffer, aad: bytes = b"") -> bytes:
        """The next text. Raises NotAuthentic."""
        try:
            return self._cipher.decrypt(self._next_nonce(), sealed, aad)
        except InvalidTag as error:
            raise NotAuthentic("a chunk does not open") from error

    def _next_nonce(self) -> bytes:
        nonce = self._nonce ^ self._number
        self._number += 1
        return nonce.to_bytes(NONCE_BYTES, "big")


def extract(salt: bytes, secret: bytes) -> bytes:
    """HKDF-Extract with SHA-256 (RFC 5869, section 2.2)."""
    return hmac.digest(salt, secret, "sha256")


def expand(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand with SHA-256, for at most one block of output (RFC 5869, section 2.3)."""
    if length > hashlib.sha256().digest_size:
        raise ValueError("one block of HKDF-SHA256 has 32 bytes")
    return hmac.digest(key, info + b"\x01", "sha256")[:length]


@cache
def _suite(kem: Kem, aead: Aead) -> pyhpke.CipherSuite:
    return pyhpke.CipherSuite.new(
        pyhpke.KEMId(int(kem)), pyhpke.KDFId(HKDF_SHA256), pyhpke.AEADId(int(aead))
    )
