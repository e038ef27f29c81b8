"""From nonces to evidence: one quote that answers every client that was waiting.

    nonces -> Merkle tree hash -> runtime data -> report data -> quote -> one document a nonce

Sources: RFC 9162 section 2.1 (Merkle tree), RFC 8785 (canonical JSON), RFC 4648 section 5
(base64url). The documents are described in docs/evidence.md.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import rfc8785

from .errors import BadInput
from .eventlog import join_logs
from .quote import parse_quote

if TYPE_CHECKING:
    from .attester import Attestation

NONCE_MIN_BYTES = 16
NONCE_MAX_BYTES = 64

ANSWER_MAX = 4 << 20
"""Bytes of an answer that every relying party reads: the page and the command line read no more."""

LOGS_MAX = ANSWER_MAX - (256 << 10)
"""Bytes of both event logs in it, as JSON.

The rest is for the quote, of at most 64 KiB and so 128 KiB in hex, and for the other members, of
some 10 KiB.
"""

RUNTIME_DATA_VERSION = 1
"""`v` of runtime data that binds a nonce and no key."""

RUNTIME_DATA_WITH_KEYS = 2
"""`v` of runtime data that binds a keyset and a statement as well."""

log = logging.getLogger(__name__)

_LEAF, _NODE = b"\0", b"\1"


def parse_nonce(text: str) -> bytes:
    """The nonce in `text`: base64url without padding, of 16 to 64 bytes.

    Raises BadInput for anything else, also for a spelling that decodes to the same bytes but
    is not the one that encoding gives.
    """
    nonce = decode_base64url(text, "nonce")
    _check_nonce(nonce)
    return nonce


def encode_base64url(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_base64url(text: str, field: str) -> bytes:
    """The bytes of canonical, unpadded base64url. Raises BadInput, naming `field`."""
    try:
        data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise BadInput(f"{field} is not base64url without padding") from error
    if encode_base64url(data) != text:
        raise BadInput(f"{field} is not canonical base64url without padding")
    return data


def merkle_tree_hash(entries: Sequence[bytes]) -> bytes:
    """MTH of the entries, SHA-256 (RFC 9162, section 2.1.1)."""
    return _tree(entries)[0] if entries else hashlib.sha256().digest()


def inclusion_proof(index: int, entries: Sequence[bytes]) -> list[bytes]:
    """PATH of the entry at `index`, leaf to root (RFC 9162, section 2.1.3.1)."""
    if not 0 <= index < len(entries):
        raise BadInput(f"there is no entry {index} in a tree of {len(entries)}")
    return _tree(entries)[1][index]


def verify_inclusion(
    entry: bytes, index: int, tree_size: int, path: Sequence[bytes], root: bytes
) -> bool:
    """Whether `path` proves that `entry` is at `index` of the tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < tree_size:
        return False
    position, last = index, tree_size - 1
    hashed = hashlib.sha256(_LEAF + entry).digest()
    for sibling in path:
        if last == 0 or len(sibling) != hashlib.sha256().digest_size:
            return False
        if position & 1 or position == last:
            hashed = _node(sibling, hashed)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            hashed = _node(hashed, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and hashed == root


def canonical_json(value: object) -> bytes:
    """`value` in the one spelling of RFC 8785. Raises BadInput where it has none."""
    try:
        return bytes(rfc8785.dumps(value))  # type: ignore[arg-type]
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise BadInput(f"no canonical JSON for this value: {error}") from error


def runtime_data(
    nonce_root: bytes,
    keyset: Mapping[str, object] | None = None,
    statement: Mapping[str, object] | None = None,
) -> bytes:
    """The bytes whose hash goes into the quote: version 2 with a keyset, version 1 without.

    A keyset and a statement come together; each is there by the hash of its one spelling. Raises
    BadInput where one comes alone, or has no such spelling.
    """
    root = encode_base64url(nonce_root)
    if keyset is None and statement is None:
        return canonical_json({"nonce_root": root, "v": RUNTIME_DATA_VERSION})
    if keyset is None or statement is None:
        raise BadInput("a keyset and a statement are bound together or not at all")
    return canonical_json(
        {
            "keys": document_hash(keyset),
            "nonce_root": root,
            "statement": document_hash(statement),
            "v": RUNTIME_DATA_WITH_KEYS,
        }
    )


def document_hash(document: Mapping[str, object]) -> str:
    """SHA-256 of a document's canonical JSON, as runtime data of version 2 holds it: base64url.

    Raises BadInput for a document that has no canonical JSON.
    """
    return encode_base64url(hashlib.sha256(canonical_json(document)).digest())


def report_data(runtime_data: bytes) -> bytes:
    """SHA-384 of the runtime data, zero-padded to the 64 bytes of a TD report."""
    return hashlib.sha384(runtime_data).digest().ljust(64, b"\0")


def build_evidence(
    nonces: Sequence[bytes],
    *,
    attest: Callable[[bytes], Attestation],
    now: float,
    cc_eventlog: bytes | None = None,
    aa_eventlog: str | bytes | None = None,
    keyset: Mapping[str, object] | None = None,
    statement: Mapping[str, object] | None = None,
    new_id: Callable[[], uuid.UUID] = uuid.uuid4,
) -> list[dict[str, object]]:
    """One evidence document for each nonce, in order, all from one quote.

    `attest` makes the quote over 64 bytes of report data and is called once; what it raises
    comes through. `now` is in seconds since 1970. `keyset` (quote_generator.sealing.keyset) and
    `statement` are bound by the quote and stand in the documents; without them the runtime data is
    of version 1. `cc_eventlog` is the firmware's log as bytes, `aa_eventlog` the application log as
    text, or as TCG2 events, which are joined to the firmware's. A log that would make the documents
    larger than relying parties read (LOGS_MAX) is left out, with a warning: without it less is
    proven, and nothing is judged better. Raises BadInput for no nonce, a nonce of the wrong size,
    or a keyset or statement without the other.
    """
    if not nonces:
        raise BadInput("evidence needs at least one nonce")
    for nonce in nonces:
        _check_nonce(nonce)
    root, paths = _tree(nonces)
    bound = runtime_data(root, keyset, statement)
    attestation = attest(report_data(bound))
    shared = _shared_part(attestation, bound, now, *_logs_that_fit(cc_eventlog, aa_eventlog))
    if keyset is not None:
        shared |= {"keyset": keyset, "statement": statement}
    return [
        {**shared, "id": str(new_id()), "nonce_proof": _nonce_proof(index, path, len(nonces))}
        for index, path in enumerate(paths)
    ]


def _logs_that_fit(ccel: bytes | None, aael: str | bytes | None) -> tuple[bytes | None, str | None]:
    """Return the logs as evidence holds them, as many as it has room for."""
    for firmware, application in ((ccel, aael), (ccel, None), (None, aael), (None, None)):
        if _is_too_large(application):
            continue  # joining walks through it, for each quote
        joined = join_logs(firmware, application)
        if _size(*joined) <= LOGS_MAX:
            break
    for name, given, kept in (
        ("firmware's", ccel, firmware),
        ("application's", aael, application),
    ):
        if kept is not given:
            log.warning(
                "the %s event log is too large and left out of the evidence: nobody reads an "
                "answer of more than %d bytes; no log accounts for its registers meanwhile",
                name,
                ANSWER_MAX,
            )
    return joined


def _is_too_large(application: str | bytes | None) -> bool:
    """Say whether an application's log of either form is too large by itself, as it lies there."""
    if isinstance(application, bytes):
        return _size(application, None) > LOGS_MAX
    return len(application or "") > LOGS_MAX


def _size(cc_eventlog: bytes | None, aa_eventlog: str | None) -> int:
    """Return the size of both logs in JSON, whose text is longest where it is ASCII alone."""
    return -(-len(cc_eventlog or b"") // 3) * 4 + len(json.dumps(aa_eventlog))


def _shared_part(
    attestation: Attestation,
    bound: bytes,
    now: float,
    cc_eventlog: bytes | None,
    aa_eventlog: str | None,
) -> dict[str, object]:
    """What the documents of one quote have in common."""
    parsed = parse_quote(attestation.quote).to_dict()
    del parsed["signature"]  # the quote itself is beside it; people read the measurements
    moment = datetime.datetime.fromtimestamp(int(now), datetime.UTC)
    return {
        "quote": attestation.quote.hex(),
        "quote_parse": parsed,
        "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "id": "",
        "status": True,
        "tee": "tdx",
        "provider": attestation.provider,
        "simulated": attestation.simulated,
        "runtime_data": encode_base64url(bound),
        "nonce_proof": {},
        "cc_eventlog": base64.b64encode(cc_eventlog).decode() if cc_eventlog else None,
        "aa_eventlog": aa_eventlog,
    }


def _nonce_proof(index: int, path: Sequence[bytes], tree_size: int) -> dict[str, object]:
    return {
        "leaf_index": index,
        "tree_size": tree_size,
        "path": [encode_base64url(item) for item in path],
    }


def _check_nonce(nonce: bytes) -> None:
    if not NONCE_MIN_BYTES <= len(nonce) <= NONCE_MAX_BYTES:
        raise BadInput(
            f"nonce has {len(nonce)} bytes: expected {NONCE_MIN_BYTES} to {NONCE_MAX_BYTES}"
        )


def _tree(entries: Sequence[bytes]) -> tuple[bytes, list[list[bytes]]]:
    """The hash of a tree of at least one entry, and every entry's path, in one pass."""
    if len(entries) == 1:
        return hashlib.sha256(_LEAF + entries[0]).digest(), [[]]
    split = 1 << ((len(entries) - 1).bit_length() - 1)  # the largest power of two below
    left, left_paths = _tree(entries[:split])
    right, right_paths = _tree(entries[split:])
    paths = [[*path, right] for path in left_paths] + [[*path, left] for path in right_paths]
    return _node(left, right), paths


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()
