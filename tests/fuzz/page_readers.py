"""The page's readers of what comes sealed, and Python's: both must read the same, or refuse.

    python tests/fuzz/page_readers.py --runs 5000 [--first NUMBER]   (mutants of each format)
    python tests/fuzz/page_readers.py --seconds 300 [--first NUMBER]
    python tests/fuzz/page_readers.py --input FILE                   (one input again)

Seeds are those of the Python targets; web/test/fuzz mutates them, and holds the page's readers by
themselves to more. An input that the two read differently is kept in out/fuzz.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
sys.path[:0] = [str(REPO), *(str(REPO / "tests" / name) for name in ("", "fuzz", "conformance"))]

from cczoo_verifier import strictjson  # noqa: E402
from differential import Adapter  # noqa: E402
from framing import Chunks  # noqa: E402
from fuzzing import OUT, positive_number  # noqa: E402

from quote_generator.evidence import encode_base64url  # noqa: E402
from quote_generator.sealing import binary_http, errors, frames, keyset, padding  # noqa: E402
from quote_generator.sealing.hpke import ENC_BYTES, Kem  # noqa: E402

PAGE = ("node", str(HERE / "page_readers.mjs"))

KEY = bytes(32)
DOCUMENT_DEPTH = 32


# --- Python's readers, which say what they read as the page's do ----------------------------------


def chunks(data: bytes) -> Any:
    reader = Chunks()
    return [text.hex() for text in (*reader.feed(data), reader.end())]


def answer(data: bytes) -> Any:
    reader = binary_http.ResponseDecoder()
    head, *content = (*reader.feed(data), *reader.end())
    assert isinstance(head, binary_http.ResponseHead)
    fields = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in head.fields]
    pieces = [piece for piece in content if isinstance(piece, bytes)]
    return {"status": head.status, "fields": fields, "content": b"".join(pieces).hex()}


def padded_body(data: bytes) -> Any:
    reader = padding.PaddedDecoder()
    body = reader.feed(data)
    reader.end()
    return body.hex()


def frame_records(data: bytes) -> Any:
    mark = data[0] if data else 0
    opener = frames.FrameOpener(KEY, expects_open=bool(mark & 2))
    flag, counter = bytes([mark & 1]), bytes(8)
    sealed = opener._cipher.encrypt(bytes(4) + counter, data[1:], counter + flag)
    return [_message(message) for message in opener.open(flag + sealed)]


def _message(message: frames.Message) -> Any:
    match message:
        case frames.Open(protocol):
            return {"kind": "open", "protocol": protocol}
        case frames.Text(text):
            return {"kind": "text", "text": text}
        case frames.Binary(data):
            return {"kind": "binary", "data": data.hex()}
        case frames.Close(code, reason):
            return {"kind": "close", "code": code, "reason": reason}


def keys(data: bytes) -> Any:
    read = keyset.parse_keyset(_keyset_of(data[1:]) if data[:1] == b"K" else _document(data))
    configs = sorted(read.configs, key=lambda config: keyset._PREFERENCE.index(config.kem))
    return {
        "not_after": read.not_after,
        "keys": [
            {
                "id": config.id,
                "key_id": config.key_id,
                "kem": config.kem,
                "aead": config.aeads[0],
                "public_key": config.public_key.hex(),
            }
            for config in configs
        ],
    }


def _document(data: bytes) -> Any:
    """As signed documents are read: other numbers have more than one meaning."""
    try:
        document = strictjson.loads(data, whole_numbers=True)
    except ValueError as error:
        raise errors.KeysetMalformed("not JSON") from error
    if strictjson.depth(document) > DOCUMENT_DEPTH:
        raise errors.KeysetMalformed("too deep")
    return document


def _keyset_of(config: bytes) -> Any:
    """A keyset of this key configuration alone, under the right id if its mechanism is known."""
    kem = int.from_bytes(config[1:3], "big") if len(config) > 2 else -1
    public_key = config[3 : 3 + ENC_BYTES.get(Kem(kem), 0)] if kem in ENC_BYTES else b""
    name = encode_base64url(hashlib.sha256(public_key).digest()[:8])
    entry = {"id": name, "key_config": encode_base64url(config)}
    return {"v": 1, "not_after": "2027-01-15T09:00:00Z", "seal": [entry], "sign": []}


READERS: dict[str, Callable[[bytes], Any]] = {
    "binary_http": answer,
    "ohttp_chunks": chunks,
    "padded_body": padded_body,
    "frame_records": frame_records,
    "keyset": keys,
}


def read_here(name: str, data: bytes) -> Any:
    """What Python reads, None where it refuses."""
    try:
        return READERS[name](data)
    except errors.SealingError:
        return None


# --- comparing ------------------------------------------------------------------------------------


Asked = dict[str, Any]
"""An input for the page's readers, see page_readers.mjs."""


@dataclass(frozen=True)
class Finding:
    """An input that the two read differently, or on which the page's reader ends."""

    asked: Asked
    page: Any
    python: Any

    def keep(self, folder: Path) -> Path:
        """Write its input down."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.asked) + "\n"
        path = folder / f"page_readers-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
        path.write_text(text)
        return path

    def __str__(self) -> str:
        said = (("the page", self.page), ("Python", self.python))
        lines = [f"    {who} reads {json.dumps(what)[:300]}" for who, what in said]
        return "\n".join([json.dumps(self.asked)[:300], *lines])


def compare(page: Adapter, asked: Asked) -> Finding | None:
    """Have both read an input, or the mutant of a number."""
    page.ask(json.dumps(asked))
    told = page.answer()
    if "data" not in told:
        return Finding(asked, told, None)
    python = read_here(asked["format"], base64.b64decode(told["data"]))
    if told["read"] == python:
        return None
    return Finding({"format": asked["format"], "data": told["data"]}, told["read"], python)


def run(numbers: Iterator[int], *, until: float = float("inf")) -> Iterator[Finding]:
    """What is found on the mutants of these numbers, of each format."""
    page = Adapter(PAGE)
    try:
        for number in numbers:
            for name in READERS:
                finding = compare(page, {"format": name, "number": number})
                if finding:
                    yield finding
            if time.monotonic() > until:
                return
    finally:
        page.close()


def look_again(asked: Asked) -> int:
    """Show how both read one input; the exit code."""
    page = Adapter(PAGE)
    try:
        finding = compare(page, asked)
    finally:
        page.close()
    print(finding or "they read the same")
    return 1 if finding else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 nothing found, 1 they differ, 2 bad arguments."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--runs", type=positive_number, help="how many mutants of each format")
    how.add_argument("--seconds", type=positive_number, help="how long")
    how.add_argument("--input", type=Path, help="the one input to look at again")
    parser.add_argument(
        "--first", type=int, help="the first mutant's number (0; by time, another one each day)"
    )
    options = parser.parse_args(argv)
    if options.input:
        return look_again(json.loads(options.input.read_text()))
    until = time.monotonic() + options.seconds if options.seconds else float("inf")
    usual = int(time.time()) // 86400 * 50_000 if options.seconds else 0
    first = usual if options.first is None else options.first
    found = 0
    for finding in run(islice(count(first), options.runs), until=until):
        found += 1
        again = os.path.relpath(finding.keep(OUT), REPO)
        print(f"{finding}\n    .venv/bin/python tests/fuzz/page_readers.py --input {again}")
    print(f"{found} differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
