"""Sealed requests, as both ends read and write them: keysets, messages, bodies, frames.

The first exchange is the example of draft-ietf-ohai-chunked-ohttp (appendix A); everything else is
made here, and in sealed_formats, from fixed keys.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from quote_generator.evidence import encode_base64url
from quote_generator.sealing import binary_http, chunked_ohttp, hpke, keyset, padding
from quote_generator.sealing.binary_http import RequestHead, ResponseHead
from quote_generator.sealing.hpke import Aead, Kem, PrivateKey
from quote_generator.sealing.varint import varint_bytes
from vectors.sealed_formats import (
    Random,
    binary_http_vectors,
    counted,
    flipped,
    frame_vectors,
    padding_vectors,
)

DRAFT_KEY = "1c190d72acdbe4dbc69e680503bb781a932c70a12c8f3754434c67d8640d8698"
DRAFT_CONFIG = (
    "010020668eb21aace159803974a4c67f08b4152d29bed10735fd08f98ccdd6fe09570800080001000100010003"
)
DRAFT_EPHEMERAL = "b26d565f3f875ed480d1abced3d665159650c99174fd0b124ac4bda0c64ae324"
DRAFT_TEXT = "00034745540568747470730b6578616d706c652e636f6d012f"
DRAFT_REQUEST = (
    "010020000100018811eb457e100811c40a0aa71340a1b81d804bb986f736f2f566a7199761a032"
    "1c2ad24942d4d692563012f2980c8fef437a336b9b2fc938ef77a5834f"
    "1d2e33d8fd25577afe31bd1c79d094f76b6250ae6549b473ecd950501311"
    "001c6c1395d0ef7c1022297966307b8a7f"
)
DRAFT_NONCE = "bcce7f4cb921309ba5d62edf1769ef09"
DRAFT_RESPONSE = (
    DRAFT_NONCE + "1179bf1cc87fa0e2c02de4546945aa3d1e48"
    "12b348b5bd4c594c16b6170b07b475845d1f32"
    "00ed9d8a796617a5b27265f4d73247f639"
)


def sealed(rng: Random, now: int) -> object:
    """All of sealed.json; `now` in seconds since 1970."""
    exchanges = [_draft_exchange(), *_exchanges(rng)]
    return {
        "source": "RFC 9180, 9458, 9292; draft-ietf-ohai-chunked-ohttp-08; docs/sealed.md",
        "now": now,
        "keysets": _keysets(rng, now),
        "exchanges": exchanges,
        "hostile": _hostile({exchange["name"]: exchange for exchange in exchanges}),
        "binary_http": binary_http_vectors(),
        "padding": padding_vectors(rng),
        "frames": frame_vectors(rng),
    }


# --- keys and keysets -----------------------------------------------------------------------------


def private_key(kem: Kem, rng: Random) -> tuple[PrivateKey, dict[str, str]]:
    """A key of a fixed seed, and what the vectors say of it."""
    raw = b"\x01" + rng(31)
    key = PrivateKey.from_bytes(kem, raw)
    return key, _key_members(kem, raw)


def _key_members(kem: Kem, raw: bytes) -> dict[str, str]:
    key: Any = (
        X25519PrivateKey.from_private_bytes(raw)
        if kem is Kem.X25519
        else ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1())
    )
    pkcs8 = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return {
        "raw": raw.hex(),
        "pkcs8": pkcs8.hex(),
        "public": PrivateKey.from_bytes(kem, raw).public_key.hex(),
    }


def _keysets(rng: Random, now: int) -> object:
    x25519, p256 = (
        keyset.make_key_config(key_id, private_key(kem, rng)[0])
        for key_id, kem in ((0x2A, Kem.X25519), (0xD1, Kem.P256))
    )
    plain = keyset.make_keyset([x25519, p256], now + keyset.LIFE_SECONDS)
    return {
        "statement": {
            "document": dict(keyset.STATEMENT),
            "hash": keyset.keyset_hash(keyset.STATEMENT),
        },
        "good": [
            _good_keyset(name, document) for name, document in _good_keysets(plain, x25519, p256)
        ],
        "bad": [
            {"name": name, "document": document, "code": code}
            for name, document, code in _bad_keysets(plain, x25519, p256)
        ],
        "life": _life(now),
    }


def _good_keyset(name: str, document: dict[str, object]) -> object:
    read = keyset.parse_keyset(document)
    return {
        "name": name,
        "document": document,
        "hash": read.hash,
        "not_after": read.not_after,
        "preferred": read.preferred.id,
        "configs": [
            {
                "id": config.id,
                "key_id": config.key_id,
                "kem": int(config.kem),
                "public_key": config.public_key.hex(),
                "aeads": [int(aead) for aead in config.aeads],
                "key_config": config.encode().hex(),
            }
            for config in read.configs
        ],
    }


def _good_keysets(
    plain: dict[str, object], x25519: keyset.KeyConfig, p256: keyset.KeyConfig
) -> Iterator[tuple[str, dict[str, object]]]:
    end = 1_800_000_000
    unknown = _entry("AAAAAAAAAAA", bytes.fromhex("07 0021") + bytes(56) + bytes(2))
    yield "both keys", plain
    yield "P-256 first", keyset.make_keyset([p256, x25519], end)
    yield "P-256 alone", keyset.make_keyset([p256], end)
    yield "unknown members count in the hash", {**plain, "later": {"a": [1, "ä"]}}
    yield "a key of an unknown mechanism", _with_entries(plain, unknown)
    yield "signing keys of any form", {**plain, "sign": [{"id": "x"}, 7]}
    other = dataclasses.replace(p256, suites=((3, 1), (1, 3)))
    yield "a key with unknown suites only", keyset.make_keyset([x25519, other], end)
    mixed = dataclasses.replace(x25519, suites=((2, 1), (1, 3), (1, 2)))
    yield "one known suite among unknown ones", keyset.make_keyset([mixed], end)
    yield "an end of long ago", {**plain, "not_after": "0001-01-01T00:00:00Z"}


def _bad_keysets(
    plain: dict[str, Any], x25519: keyset.KeyConfig, p256: keyset.KeyConfig
) -> Iterator[tuple[str, object, str]]:
    malformed, unusable = "keyset-malformed", "keyset-unusable"
    for name, document in (("a list", []), ("a text", "keys"), ("null", None)):
        yield name, document, malformed
    for version in (0, 2, "1", True, None):
        yield f"version {version!r}", {**plain, "v": version}, malformed
    for moment in (
        "2027-01-15T09:00:00",
        "2027-01-15T09:00:00+00:00",
        "2027-01-15T09:00:00.000Z",
        "2027-01-15t09:00:00z",
        "2027-02-30T09:00:00Z",
        "2027-01-15T24:00:00Z",
        "0000-01-15T09:00:00Z",
        "٢٠٢٧-01-15T09:00:00Z",
        "2027-01-15T09:00:00Z\n",
        1_800_003_600,
        None,
    ):
        yield f"not_after {moment!r}", {**plain, "not_after": moment}, malformed
    for member in ("v", "not_after", "seal", "sign"):
        less = {name: value for name, value in plain.items() if name != member}
        yield f"without {member}", less, malformed
    yield "seal is an object", {**plain, "seal": {}}, malformed
    yield "no key at all", {**plain, "seal": []}, unusable
    for name in ("seal", "sign"):
        unknown = _entry("AAAAAAAAAAA", bytes.fromhex("07 0021"))
        many = [*plain["seal"], *[unknown] * 15] if name == "seal" else [0] * 17
        yield f"17 entries in {name}", {**plain, name: many}, malformed
    yield "more than 8 KiB", {**plain, "later": "x" * 8192}, malformed
    yield "a key twice", _with_entries(plain, plain["seal"][0]), malformed
    same = dataclasses.replace(p256, key_id=x25519.key_id)
    yield "one key id twice", keyset.make_keyset([x25519, same], 1_800_000_000), malformed
    only_unknown = dataclasses.replace(x25519, suites=((1, 3),))
    yield "no known suite", keyset.make_keyset([only_unknown], 1_800_000_000), unusable
    yield from _bad_entries(plain, x25519, p256)


def _bad_entries(
    plain: dict[str, object], x25519: keyset.KeyConfig, p256: keyset.KeyConfig
) -> Iterator[tuple[str, object, str]]:
    good = x25519.encode()
    point = dataclasses.replace(p256, public_key=b"\x02" + p256.public_key[1:])
    entries = {
        "an entry is a text": "key",
        "an entry without id": {"key_config": encode_base64url(good)},
        "an entry without key_config": {"id": x25519.id},
        "the id of another key": _entry(p256.id, good),
        "an id in another spelling": _entry(x25519.id + "=", good),
        "key_config with padding": {"id": x25519.id, "key_config": encode_base64url(good) + "="},
        "key_config in hex": {"id": x25519.id, "key_config": "!" + good.hex()},
        "key_config of two bytes": _entry(x25519.id, good[:2]),
        "a public key cut short": _entry(x25519.id, good[:20]),
        "suites cut short": _entry(x25519.id, good[:-1]),
        "suites too long": _entry(x25519.id, good + b"\0"),
        "suites of no whole pair": _entry(x25519.id, good[:35] + b"\0\x06" + good[37:43]),
        "no suite": _entry(x25519.id, good[:35] + b"\0\0"),
        "a compressed point": _entry(point.id, point.encode()),
    }
    for name, entry in entries.items():
        document = copy.deepcopy(plain)
        document["seal"] = [entry]
        yield name, document, "keyset-malformed"


def _entry(name: str, key_config: bytes) -> dict[str, str]:
    return {"id": name, "key_config": encode_base64url(key_config)}


def _with_entries(document: dict[str, Any], *entries: object) -> dict[str, object]:
    return {**document, "seal": [*document["seal"], *entries]}


def _life(now: int) -> object:
    ends = {
        now: None,
        now - keyset.CLOCK_TOLERANCE_SECONDS: None,
        now - keyset.CLOCK_TOLERANCE_SECONDS - 1: "keyset-expired",
        now + keyset.LIFE_SECONDS: None,
        now + keyset.LIFE_SECONDS + keyset.CLOCK_TOLERANCE_SECONDS: None,
        now + keyset.LIFE_SECONDS + keyset.CLOCK_TOLERANCE_SECONDS + 1: "keyset-life",
    }
    return [{"not_after": end, "now": now, "code": code} for end, code in ends.items()]


# --- requests and answers -------------------------------------------------------------------------


def _draft_exchange() -> dict[str, Any]:
    text = bytes.fromhex(DRAFT_TEXT)
    config = keyset.parse_key_config(bytes.fromhex(DRAFT_CONFIG))
    assert config is not None
    return _exchange(
        "the draft's example",
        config,
        Aead.AES_128_GCM,
        key=bytes.fromhex(DRAFT_KEY),
        ephemeral=bytes.fromhex(DRAFT_EPHEMERAL),
        nonce=bytes.fromhex(DRAFT_NONCE),
        request=(text[:12], text[12:], b""),
        response=(b"\x01", b"\x40\xc8", b""),
    )


def _exchanges(rng: Random) -> Iterator[dict[str, Any]]:
    for kem in (Kem.X25519, Kem.P256):
        for aead in Aead:
            raw = b"\x01" + rng(31)
            config = keyset.make_key_config(rng(1)[0], PrivateKey.from_bytes(kem, raw))
            yield _exchange(
                f"{kem.name}, {aead.name}",
                config,
                aead,
                key=raw,
                ephemeral=b"\x01" + rng(31),
                nonce=rng(max(12, hpke.KEY_BYTES[aead])),
                request=(*_request_texts(), b""),
                response=_response_texts(),
            )


def _request_texts() -> tuple[bytes, ...]:
    head = binary_http.encode_request_head(
        RequestHead(
            "POST",
            "https",
            "chat.example",
            "/api/chat/completions?stream=1",
            ((b"content-type", b"application/json"), (b"authorization", b"Bearer canary")),
        )
    )
    body = binary_http.encode_content('{"prompt":"你好"}'.encode()) + binary_http.END
    whole = len(head) + len(body)
    return head, body + bytes(padding.filling(whole))


def _response_texts() -> tuple[bytes, ...]:
    head = binary_http.encode_response_head(
        ResponseHead(200, ((b"content-encoding", padding.CODING.encode()),))
    )
    first = padding.encode_first_record(b"data: {}\n\n", len(head))
    second = padding.encode_record(b"data: [DONE]\n\n")
    return (
        head + binary_http.encode_content(first),
        binary_http.encode_content(second),
        binary_http.END,
    )


def _exchange(
    name: str,
    config: keyset.KeyConfig,
    aead: Aead,
    *,
    key: bytes,
    ephemeral: bytes,
    nonce: bytes,
    request: tuple[bytes, ...],
    response: tuple[bytes, ...],
) -> dict[str, Any]:
    """An exchange in which the last text of each direction stands in the final chunk."""
    sealer = chunked_ohttp.RequestSealer(
        config, aead=aead, ephemeral=PrivateKey.from_bytes(config.kem, ephemeral)
    )
    opener = chunked_ohttp.RequestOpener({config.key_id: PrivateKey.from_bytes(config.kem, key)})
    wire = _written(sealer, request)
    opener.feed(wire)
    opener.end()
    return {
        "name": name,
        "key_config": config.encode().hex(),
        "id": config.id,
        "aead": int(aead),
        "key": _key_members(config.kem, key),
        "ephemeral": _key_members(config.kem, ephemeral),
        "enc": sealer.enc.hex(),
        "request": {"texts": [text.hex() for text in request], "wire": wire.hex()},
        "response": {
            "nonce": nonce.hex(),
            "texts": [text.hex() for text in response],
            "wire": _written(opener.response(lambda _: nonce), response).hex(),
        },
    }


def _written(writer: Any, texts: Sequence[bytes]) -> bytes:
    chunks = [writer.chunk(text) for text in texts[:-1]]
    return b"".join([writer.start, *chunks, writer.final(texts[-1])])


def _hostile(exchanges: dict[str, Any]) -> list[object]:
    """Messages that are no more what was sent: each names the exchange that it was part of."""
    first, other = exchanges["X25519, AES_128_GCM"], exchanges["X25519, AES_256_GCM"]
    return [
        {
            "name": name,
            "direction": direction,
            "exchange": first["name"],
            "wire": wire.hex(),
            "code": code,
        }
        for direction in ("request", "response")
        for name, wire, code in _spoiled(first, other, direction)
    ]


def split_wire(wire: bytes, start: int) -> tuple[bytes, list[bytes]]:
    """What stands first, and the chunks with their lengths; the last one is the final chunk."""
    chunks: list[bytes] = []
    at = start
    while wire[at]:
        size = 1 << (wire[at] >> 6)
        length = int.from_bytes(wire[at : at + size], "big") & ((1 << 8 * size - 2) - 1)
        chunks.append(wire[at : at + size + length])
        at += size + length
    return wire[:start], [*chunks, wire[at:]]


def _spoiled(
    first: dict[str, Any], other: dict[str, Any], direction: str
) -> Iterator[tuple[str, bytes, str]]:
    start_bytes = 39 if direction == "request" else 16
    wire = bytes.fromhex(first[direction]["wire"])
    start, (one, two, last) = split_wire(wire, start_bytes)
    other_start = 39 if direction == "request" else 32
    _, foreign = split_wire(bytes.fromhex(other[direction]["wire"]), other_start)
    at_first = "key-unknown" if direction == "request" else "sealed-not-authentic"
    later, cut = "sealed-not-authentic", "sealed-truncated"
    yield "nothing at all", b"", cut
    yield "what stands first, and no chunk", start, cut
    yield "without the final chunk", start + one + two, cut
    yield "cut within a chunk", start + one + two[:-1], cut
    yield "the final chunk cut short", wire[:-1], later
    yield "the final chunk without text or tag", start + one + two + last[:1], later
    yield "two chunks changed places", start + two + one + last, at_first
    yield "a chunk left out", start + one + last, later
    yield "a chunk twice", start + one + one + two + last, later
    yield "the final chunk twice", wire + last, later
    yield "a chunk of another message", start + one + foreign[1] + last, later
    yield "another message's chunks", start + b"".join(foreign), at_first
    yield "a chunk said to be the final one", start + b"\0" + _sealed(one), at_first
    yield "the final chunk said to be none", start + one + two + counted(_sealed(last)), later
    zero = b"\x40\0" + _sealed(last)
    yield "the length of zero in a longer form", start + one + two + zero, "sealed-malformed"
    longer = b"\xc0" + len(_sealed(one)).to_bytes(7, "big") + _sealed(one)
    yield "a chunk's length in a longer form", start + longer + two + last, "sealed-malformed"
    huge = varint_bytes(chunked_ohttp.SEALED_CHUNK_MAX + 1)
    yield "a chunk beyond the bound", start + one + huge, "sealed-too-large"
    yield "a bit of the first chunk", flipped(wire, start_bytes + 5), at_first
    yield "a bit of the last chunk", flipped(wire, len(wire) - 1), later
    if direction == "request":
        for name, at in (("key id", 0), ("mechanism", 2), ("KDF", 4), ("AEAD", 6), ("enc", 10)):
            yield f"a bit of the {name}", flipped(wire, at), "key-unknown"
    else:
        yield "a bit of the nonce", flipped(wire, 3), later


def _sealed(chunk: bytes) -> bytes:
    return chunk[1 << (chunk[0] >> 6) :]
