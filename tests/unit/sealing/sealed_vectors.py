"""The shared vectors of sealed requests, and how a message is read whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from quote_generator.sealing import binary_http, chunked_ohttp, hpke, keyset
from vectors import make

VECTORS: Any = json.loads((Path(make.__file__).parent / "sealed.json").read_text())
EXCHANGES: Any = {case["name"]: case for case in VECTORS["exchanges"]}


def config_of(case: Any) -> keyset.KeyConfig:
    config = keyset.parse_key_config(bytes.fromhex(case["key_config"]))
    assert config is not None
    return config


def private_key(case: Any, name: str = "key") -> hpke.PrivateKey:
    return hpke.PrivateKey.from_bytes(config_of(case).kem, bytes.fromhex(case[name]["raw"]))


def sealer(case: Any) -> chunked_ohttp.RequestSealer:
    return chunked_ohttp.RequestSealer(
        config_of(case), aead=hpke.Aead(case["aead"]), ephemeral=private_key(case, "ephemeral")
    )


def request_opener(case: Any) -> chunked_ohttp.RequestOpener:
    return chunked_ohttp.RequestOpener({config_of(case).key_id: private_key(case)})


def opener(case: Any, direction: str) -> Any:
    """What reads one direction of an exchange, from its beginning."""
    return request_opener(case) if direction == "request" else sealer(case).response()


def read_whole(reader: Any, wire: bytes, *, step: int | None = None) -> bytes:
    """The text of a message that comes in pieces of `step` bytes, its final chunk included."""
    size = step or max(1, len(wire))
    texts = [text for at in range(0, len(wire), size) for text in reader.feed(wire[at : at + size])]
    return b"".join([*texts, reader.end()])


def decode(kind: str, message: bytes, *, step: int | None = None) -> tuple[Any, bytes]:
    """Head and content of a binary HTTP message that comes in pieces of `step` bytes."""
    decoder = binary_http.RequestDecoder() if kind == "request" else binary_http.ResponseDecoder()
    size = step or max(1, len(message))
    events: list[Any] = []
    for at in range(0, len(message), size):
        events += decoder.feed(message[at : at + size])
    events += decoder.end()
    return events[0], b"".join(events[1:])
