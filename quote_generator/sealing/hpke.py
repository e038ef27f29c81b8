"""Hybrid public key encryption in base mode, for the suites that a keyset may name (RFC 9180).

The curves, the cipher and the hash are `cryptography`'s and Python's own. What is between them, KEM
and key schedule (sections 4.1 and 5.1), is written out here: a library's costs a server a quarter
more for each request. `pyhpke` and the RFC's vectors are what the tests hold it against.
"""

from __future__ import annotations

import hmac
from enum import IntEnum
from functools import lru_cache, partial
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

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
_SECRET_BYTES = 32  # of a shared secret, and of what exports are made of (Nsecret and Nh)
_HASH_BYTES = 32  # of SHA-256
_VERSION = b"HPKE-v1"
_BASE_MODE = b"\0"


class PrivateKey:
    """A key pair of one mechanism, held in memory and written nowhere."""

    __slots__ = ("_exchange", "kem", "public_key")

    def __init__(self, key: X25519PrivateKey | EllipticCurvePrivateKey) -> None:
        public = key.public_key()
        if isinstance(key, X25519PrivateKey):
            self.kem = Kem.X25519
            self._exchange = partial(_exchange_x25519, key)
            form = (Encoding.Raw, PublicFormat.Raw)
        else:
            self.kem = Kem.P256
            self._exchange = partial(_exchange_p256, key)
            form = (Encoding.X962, PublicFormat.UncompressedPoint)
        self.public_key: bytes = public.public_bytes(*form)

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

    def agree(self, public_key: bytes) -> bytes:
        """The secret of this key and another's public one (DH in RFC 9180, section 4.1).

        Raises KeyUnknown for one that is none, or of which every secret is the same.
        """
        try:
            return self._exchange(public_key)
        except ValueError as error:
            raise KeyUnknown from error


def _exchange_x25519(key: X25519PrivateKey, public_key: bytes) -> bytes:
    return key.exchange(X25519PublicKey.from_public_bytes(public_key))


def _exchange_p256(key: EllipticCurvePrivateKey, public_key: bytes) -> bytes:
    if len(public_key) != ENC_BYTES[Kem.P256]:
        raise KeyUnknown  # uncompressed points only: one key, one spelling
    return key.exchange(ECDH(), EllipticCurvePublicKey.from_encoded_point(SECP256R1(), public_key))


class Sender:
    """The end that has a public key: seals in order, and exports what only both ends know."""

    __slots__ = ("_schedule", "enc")

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
        own = ephemeral or PrivateKey.generate(kem)
        self.enc = own.public_key
        secret = _shared_secret(kem, own.agree(public_key), self.enc + public_key)
        self._schedule = _key_schedule(kem, aead, secret, info)

    def seal(self, text: Buffer, aad: bytes = b"") -> bytes:
        """The next text, sealed."""
        return self._schedule.chain.seal(text, aad)

    def export(self, context: bytes, length: int) -> bytes:
        """A secret of `length` bytes, 32 at most (RFC 9180, section 5.3)."""
        return self._schedule.export(context, length)


class Recipient:
    """The end that has the private key: opens in order, and exports the same secrets."""

    __slots__ = ("_schedule", "enc")

    def __init__(self, key: PrivateKey, aead: Aead, enc: bytes, info: bytes) -> None:
        """SetupBaseR (RFC 9180, section 5.1.1). Raises KeyUnknown for an `enc` that is none."""
        self.enc = enc
        secret = _shared_secret(key.kem, key.agree(enc), enc + key.public_key)
        self._schedule = _key_schedule(key.kem, aead, secret, info)

    def open(self, sealed: Buffer, aad: bytes = b"") -> bytes:
        """The next text. Raises NotAuthentic."""
        return self._schedule.chain.open(sealed, aad)

    def export(self, context: bytes, length: int) -> bytes:
        """A secret of `length` bytes, 32 at most (RFC 9180, section 5.3)."""
        return self._schedule.export(context, length)


class Chain:
    """AES-GCM under one key, each nonce the base nonce XOR a counter (RFC 9180, section 5.2).

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
    if length > _HASH_BYTES:
        raise ValueError(f"one block of HKDF-SHA256 has {_HASH_BYTES} bytes")
    return hmac.digest(key, info + b"\x01", "sha256")[:length]


class _Schedule(NamedTuple):
    """What the key schedule comes to."""

    suite: bytes
    chain: Chain
    exporter_secret: bytes

    def export(self, context: bytes, length: int) -> bytes:
        return _labeled_expand(self.suite, self.exporter_secret, b"sec", context, length)


def _shared_secret(kem: Kem, agreed: bytes, context: bytes) -> bytes:
    """ExtractAndExpand (RFC 9180, section 4.1)."""
    suite = b"KEM" + kem.to_bytes(2, "big")
    key = _labeled_extract(suite, b"", b"eae_prk", agreed)
    return _labeled_expand(suite, key, b"shared_secret", context, _SECRET_BYTES)


def _key_schedule(kem: Kem, aead: Aead, shared_secret: bytes, info: bytes) -> _Schedule:
    """KeySchedule in base mode: without a pre-shared key (RFC 9180, section 5.1)."""
    inputs = _schedule_inputs(kem, aead, info)
    secret = extract(shared_secret, inputs.secret)
    key = expand(secret, inputs.key, KEY_BYTES[aead])
    base_nonce = expand(secret, inputs.base_nonce, NONCE_BYTES)
    exporter_secret = expand(secret, inputs.exporter_secret, _SECRET_BYTES)
    return _Schedule(inputs.suite, Chain(key, base_nonce), exporter_secret)


class _ScheduleInputs(NamedTuple):
    """The suite's name, and what each step of the key schedule says to HKDF."""

    suite: bytes
    secret: bytes
    key: bytes
    base_nonce: bytes
    exporter_secret: bytes


@lru_cache(maxsize=64)  # requests under one key have these in common, and nothing here is secret
def _schedule_inputs(kem: Kem, aead: Aead, info: bytes) -> _ScheduleInputs:
    suite = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (kem, HKDF_SHA256, aead))
    no_psk = _labeled_extract(suite, b"", b"psk_id_hash", b"")
    context = _BASE_MODE + no_psk + _labeled_extract(suite, b"", b"info_hash", info)
    return _ScheduleInputs(
        suite,
        secret=_labeled_secret(suite, b"secret", b""),
        key=_labeled_info(suite, b"key", context, KEY_BYTES[aead]),
        base_nonce=_labeled_info(suite, b"base_nonce", context, NONCE_BYTES),
        exporter_secret=_labeled_info(suite, b"exp", context, _SECRET_BYTES),
    )


def _labeled_extract(suite: bytes, salt: bytes, label: bytes, secret: bytes) -> bytes:
    return extract(salt, _labeled_secret(suite, label, secret))


def _labeled_expand(suite: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    return expand(key, _labeled_info(suite, label, info, length), length)


def _labeled_secret(suite: bytes, label: bytes, secret: bytes) -> bytes:
    return _VERSION + suite + label + secret


def _labeled_info(suite: bytes, label: bytes, info: bytes, length: int) -> bytes:
    return length.to_bytes(2, "big") + _VERSION + suite + label + info
