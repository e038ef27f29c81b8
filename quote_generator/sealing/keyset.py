"""The keyset: which keys requests are sealed to, and until when; evidence binds its hash.

    {"v": 1, "not_after": "2026-11-29T10:00:00Z", "sign": [],
     "seal": [{"id": "<base64url>", "key_config": "<base64url>"}, ...]}

A `key_config` is one key configuration of RFC 9458, section 3.1; an id is the first 8 bytes of the
SHA-256 of the public key. The times are rules about numbers: the clock is the caller's.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import BadInput
from ..evidence import canonical_json, decode_base64url, document_hash, encode_base64url
from .errors import KeysetExpired, KeysetLife, KeysetMalformed, KeysetUnusable
from .hpke import ENC_BYTES, HKDF_SHA256, KEY_BYTES, Aead, Kem, PrivateKey

VERSION = 1

STATEMENT: Mapping[str, object] = {"v": 1}
"""The statement of a TD that says nothing about what it runs; others have `sections`."""

LIFE_SECONDS = 3600
"""How long keys count at most, from the moment they were made."""

TAKE_OVER_SECONDS = 300
"""How long before its end a keyset makes way for the next; it is served until its end."""

CLOCK_TOLERANCE_SECONDS = 120
"""How far the clocks of two machines may differ."""

ENTRIES_MAX = 16
BYTES_MAX = 8192
"""Bytes of a keyset's canonical JSON."""

_ID_BYTES = 8
_SUITE_BYTES = 4
_PREFERENCE = (Kem.X25519, Kem.P256)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_MOMENT_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class KeyConfig:
    """One public key, and what may be used with it (RFC 9458, section 3.1).

    `suites` are pairs of the numbers of a KDF and an AEAD, also of unknown ones.
    """

    key_id: int
    kem: Kem
    public_key: bytes
    suites: tuple[tuple[int, int], ...]

    @property
    def id(self) -> str:
        """The key's name in a keyset and in the header `tee-key`: 11 characters of base64url."""
        return encode_base64url(hashlib.sha256(self.public_key).digest()[:_ID_BYTES])

    @property
    def aeads(self) -> tuple[Aead, ...]:
        """The ciphers in it that are known here, in its order."""
        return tuple(
            Aead(aead) for kdf, aead in self.suites if kdf == HKDF_SHA256 and aead in KEY_BYTES
        )

    def encode(self) -> bytes:
        """The configuration's bytes."""
        suites = b"".join(number.to_bytes(2, "big") for suite in self.suites for number in suite)
        return b"".join(
            (
                self.key_id.to_bytes(1, "big"),
                self.kem.to_bytes(2, "big"),
                self.public_key,
                len(suites).to_bytes(2, "big"),
                suites,
            )
        )


@dataclass(frozen=True)
class Keyset:
    """A keyset as a client uses it: `not_after` in seconds since 1970, keys of known kinds only."""

    not_after: int
    configs: tuple[KeyConfig, ...]
    hash: str

    @property
    def preferred(self) -> KeyConfig:
        """The key to seal to: X25519 before P-256, which costs some browsers milliseconds."""
        return min(self.configs, key=lambda config: _PREFERENCE.index(config.kem))


def make_key_config(key_id: int, key: PrivateKey) -> KeyConfig:
    """The configuration of a key of this server, for both ciphers."""
    suites = tuple((HKDF_SHA256, int(aead)) for aead in Aead)
    return KeyConfig(key_id, key.kem, key.public_key, suites)


def parse_key_config(data: bytes) -> KeyConfig | None:
    """The configuration in `data`; None for a mechanism, or suites, that are unknown here.

    Raises KeysetMalformed.
    """
    if len(data) < 3:
        raise KeysetMalformed("a key configuration is too short for a key id and a mechanism")
    number = int.from_bytes(data[1:3], "big")
    if number not in ENC_BYTES:
        return None  # how long its public key is, nobody here knows
    kem = Kem(number)
    end = 3 + ENC_BYTES[kem]
    public_key, length, suites = data[3:end], data[end : end + 2], data[end + 2 :]
    if len(length) < 2 or int.from_bytes(length, "big") != len(suites):
        raise KeysetMalformed("a key configuration's lengths do not lead to its end")
    if not suites or len(suites) % _SUITE_BYTES:
        raise KeysetMalformed("a key configuration's suites are not pairs of numbers")
    if kem is Kem.P256 and public_key[0] != 4:
        raise KeysetMalformed("a key configuration's point is not in the uncompressed form")
    config = KeyConfig(data[0], kem, public_key, _pairs(suites))
    return config if config.aeads else None


def make_keyset(configs: Sequence[KeyConfig], not_after: float) -> dict[str, object]:
    """The document that evidence carries; `not_after` in seconds since 1970, rounded down."""
    moment = datetime.datetime.fromtimestamp(int(not_after), datetime.UTC)
    return {
        "v": VERSION,
        "not_after": moment.replace(tzinfo=None).isoformat() + "Z",
        "seal": [
            {"id": config.id, "key_config": encode_base64url(config.encode())} for config in configs
        ],
        "sign": [],
    }


def keyset_hash(document: Mapping[str, object]) -> str:
    """SHA-256 of the keyset's canonical JSON, in base64url: `keys` in the runtime data."""
    return document_hash(document)


def parse_keyset(document: object) -> Keyset:
    """The keyset in a document from outside.

    Members and kinds of key that are unknown are passed over; they count in the hash all the same.
    Raises KeysetMalformed, and KeysetUnusable where no key of a known kind is left.
    """
    if not isinstance(document, dict):
        raise KeysetMalformed("the keyset is not an object")
    try:
        canonical = canonical_json(document)
    except BadInput as error:
        raise KeysetMalformed("the keyset has no canonical JSON") from error
    if len(canonical) > BYTES_MAX:
        raise KeysetMalformed(f"the keyset has more than {BYTES_MAX} bytes")
    version = document.get("v")
    if isinstance(version, bool) or version != VERSION:
        raise KeysetMalformed(f"the keyset is not of version {VERSION}")
    _entries(document, "sign")
    not_after = _moment(document.get("not_after"))
    read = [_config(entry) for entry in _entries(document, "seal")]
    configs = tuple(config for config in read if config)
    if len({config.id for config in configs}) < len(configs):
        raise KeysetMalformed("the keyset names a key twice")
    if len({config.key_id for config in configs}) < len(configs):
        raise KeysetMalformed("two keys of the keyset have one key id")
    if not configs:
        raise KeysetUnusable("the keyset has no key of a known kind")
    digest = encode_base64url(hashlib.sha256(canonical).digest())
    return Keyset(not_after, configs, digest)


def check_life(not_after: float, now: float) -> None:
    """Hold a keyset's end against a relying party's clock, both in seconds since 1970.

    Raises KeysetExpired, and KeysetLife for an end that is further away than keys may live.
    """
    if not_after < now - CLOCK_TOLERANCE_SECONDS:
        raise KeysetExpired("the keyset's time is over: fetch fresh evidence")
    if not_after > now + LIFE_SECONDS + CLOCK_TOLERANCE_SECONDS:
        raise KeysetLife("the keyset would count for longer than keys may")


def is_served(not_after: float, now: float) -> bool:
    """Whether a server still opens what is sealed to these keys."""
    return now < not_after


def takes_over_at(not_after: float) -> float:
    """When the next keyset takes its place in evidence."""
    return not_after - TAKE_OVER_SECONDS


def _entries(document: Mapping[str, object], name: str) -> list[object]:
    entries = document.get(name)
    if not isinstance(entries, list) or len(entries) > ENTRIES_MAX:
        raise KeysetMalformed(f"the keyset's `{name}` is not a list of at most {ENTRIES_MAX}")
    return entries


def _moment(text: object) -> int:
    if not isinstance(text, str) or not _MOMENT.fullmatch(text):
        raise KeysetMalformed("the keyset's `not_after` is not a time in whole seconds and UTC")
    try:
        moment = datetime.datetime.strptime(text, _MOMENT_FORMAT)
    except ValueError as error:
        raise KeysetMalformed("the keyset's `not_after` is no time") from error
    return int(moment.replace(tzinfo=datetime.UTC).timestamp())


def _config(entry: object) -> KeyConfig | None:
    if not isinstance(entry, dict):
        raise KeysetMalformed("an entry of the keyset is not an object")
    name, encoded = entry.get("id"), entry.get("key_config")
    if not isinstance(name, str) or not isinstance(encoded, str):
        raise KeysetMalformed("an entry of the keyset lacks its id or its key configuration")
    try:
        config = parse_key_config(decode_base64url(encoded, "key_config"))
    except BadInput as error:
        raise KeysetMalformed("a key configuration is not base64url") from error
    if config and config.id != name:
        raise KeysetMalformed("an entry's id is not that of its key")
    return config


def _pairs(suites: bytes) -> tuple[tuple[int, int], ...]:
    numbers = [int.from_bytes(suites[at : at + 2], "big") for at in range(0, len(suites), 2)]
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))
