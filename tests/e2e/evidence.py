"""Checks evidence against the nonce it must answer, from the definitions and by other code.

Deliberately none of the kit's own code: a mistake in it must not hide itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from typing import Any

BODY = {4: 48, 5: 54}  # where the TD report begins, by the quote's version
# Fields of the TD report: offset in it, size.
FIELDS = {
    "mr_seam": (16, 48),
    "seam_attributes": (112, 8),
    "td_attributes": (120, 8),
    "xfam": (128, 8),
    "mr_td": (136, 48),
    "rtmr_0": (328, 48),
    "rtmr_1": (376, 48),
    "rtmr_2": (424, 48),
    "rtmr_3": (472, 48),
    "report_data": (520, 64),
}


def new_nonce() -> str:
    """Return a fresh nonce as a client sends it."""
    return encode(secrets.token_bytes(32))


def encode(data: bytes) -> str:
    """Return unpadded base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return the bytes of unpadded base64url."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def quote_of(document: dict[str, Any]) -> bytes:
    """Return the quote's bytes."""
    return bytes.fromhex(document["quote"])


def field_of(document: dict[str, Any], name: str) -> bytes:
    """Return a field of the TD report that the hardware signed."""
    quote = quote_of(document)
    offset, size = FIELDS[name]
    start = BODY[int.from_bytes(quote[:2], "little")] + offset
    return quote[start : start + size]


def report_data_of(document: dict[str, Any]) -> bytes:
    """Return the 64 bytes of report data."""
    return field_of(document, "report_data")


def root_over(nonce: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """Return the Merkle root that ``path`` leads to (RFC 9162), by recursion over the tree."""
    if size == 1:
        assert path == []
        return hashlib.sha256(b"\0" + nonce).digest()
    split = 1 << ((size - 1).bit_length() - 1)
    *rest, sibling = path
    if index < split:
        left, right = root_over(nonce, index, split, rest), sibling
    else:
        left, right = sibling, root_over(nonce, index - split, size - split, rest)
    return hashlib.sha256(b"\1" + left + right).digest()


def verify_nonce(document: dict[str, Any], nonce: str) -> None:
    """Assert that the quote in ``document`` answers ``nonce``."""
    proof = document["nonce_proof"]
    path = [decode(item) for item in proof["path"]]
    root = root_over(decode(nonce), proof["leaf_index"], proof["tree_size"], path)
    runtime_data = decode(document["runtime_data"])
    assert runtime_data == _runtime_data(document, encode(root))
    expected = hashlib.sha384(runtime_data).digest() + bytes(16)
    assert report_data_of(document) == expected


def _runtime_data(document: dict[str, Any], root: str) -> bytes:
    """Return the exact bytes that have to be bound: with sealing, two more hashes."""
    if "keyset" not in document:
        return b'{"nonce_root":"%s","v":1}' % root.encode()
    keys, statement = (_digest(document[name]) for name in ("keyset", "statement"))
    text = f'{{"keys":"{keys}","nonce_root":"{root}","statement":"{statement}","v":2}}'
    return text.encode()


def _digest(value: object) -> str:
    """Return the hash of a value's canonical JSON; all names and texts here are ASCII."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return encode(hashlib.sha256(text.encode()).digest())
