"""Seeds of the formats of sealed requests, from the shared vectors."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from quote_generator.sealing.varint import varint_bytes
from vectors.make import NOW, seeded
from vectors.sealed import sealed
from vectors.sealed_formats import record

Seeds = dict[str, bytes]

VECTORS: Any = sealed(seeded("sealed"), NOW)


def _few(cases: list[Any]) -> list[tuple[int, Any]]:
    """Return every fourth case with its number: the unit tests read them all."""
    return list(enumerate(cases))[::4]


def messages() -> Seeds:
    """Binary HTTP, requests and answers."""
    vectors = VECTORS["binary_http"]
    good = [*vectors["written"], *vectors["read"]]
    return {
        **{f"good-{at:02}": bytes.fromhex(case["message"]) for at, case in enumerate(good)},
        **{
            f"bad-{at:03}": bytes.fromhex(case["message"])
            for at, case in _few(vectors["bad"])
            if len(case["message"]) < 2000
        },
    }


def chunks() -> Seeds:
    """Chunks without a cipher: one byte before each text says which is the final one."""
    long = varint_bytes(301) + b"-" + bytes(300)
    return {
        "good-final-alone": b"\0Fall",
        "good-empty": b"\0F",
        "good-chunks": b"\x02-a\x04-bcd" + long + b"\0Fend",
        "bad-cut": b"\x02-a",
        "bad-final-cut": b"\x02-a\0",
        "bad-length": b"\x40\x02-a\0F",
        "bad-too-long": varint_bytes((1 << 20) + 1),
        "bad-nothing-in-it": b"\x01-\0F",
        "bad-final-not-final": b"\0-a",
    }


def padded_bodies() -> Seeds:
    """Bodies in the coding tee-padded."""
    vectors = VECTORS["padding"]
    return {
        **{
            f"good-{at}": bytes.fromhex(case["encoded"])
            for at, case in enumerate(vectors["bodies"])
        },
        **{f"bad-{at}": bytes.fromhex(case["encoded"]) for at, case in _few(vectors["bad"])},
    }


def records() -> Seeds:
    """Texts of first frames; the first byte: 1 final, 2 from a server."""
    close = record(3, b"\x03\xe8bye")
    return {
        "good-nothing": b"\0",
        "good-text": b"\0" + record(1, "你好".encode()) + bytes(9),
        "good-binary": b"\0" + record(2, b"\0\1") + record(2, b""),
        "good-open": b"\2" + record(4, b"v1") + record(1, b"0"),
        "good-parts": b"\0" + record(5, b"\xc3") + record(5, b"\xa4") + record(1, b""),
        "good-close": b"\1" + record(1, b"last") + close,
        "bad-close-not-final": b"\0" + close,
        "bad-final-without-close": b"\1" + record(1, b"a"),
        "bad-no-open": b"\2" + record(1, b"a"),
        "bad-padding": b"\0" + record(1, b"a") + b"\0\1",
        "bad-utf-8": b"\0" + record(1, b"\xff"),
        "bad-mixed-parts": b"\0" + record(5, b"a") + record(2, b"b"),
        "bad-type": b"\0" + record(9, b""),
        "bad-length": b"\0\1\xff\xff\xff\xffabc",
    }


def keysets() -> Seeds:
    """Documents, and after "K" key configurations alone."""
    vectors = VECTORS["keysets"]
    good, bad = vectors["good"], vectors["bad"]
    config = bytes.fromhex(good[0]["configs"][0]["key_config"])
    return {
        **{f"good-{at}": json.dumps(case["document"]).encode() for at, case in enumerate(good)},
        **{
            f"bad-{at:02}": json.dumps(case["document"]).encode()
            for at, case in _few(bad)
            if len(str(case["document"])) < 2000
        },
        "good-early": json.dumps(
            {**good[0]["document"], "not_after": "0272-01-15T09:00:00Z"}
        ).encode(),
        "good-config": b"K" + config,
        "bad-config": b"K" + config[:-1],
    }


MAKERS: dict[str, Callable[[], Seeds]] = {
    "binary_http": messages,
    "frame_records": records,
    "keyset": keysets,
    "ohttp_chunks": chunks,
    "padded_body": padded_bodies,
}
