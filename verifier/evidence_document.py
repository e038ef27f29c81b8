"""The parts of an evidence document (docs/evidence.md), held to its form."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quote_generator import evidence as contract
from quote_generator.errors import BadInput
from quote_generator.quote import INTEL_QE_VENDOR_ID, Quote, parse_quote

_MAX_RUNTIME_DATA = 8192
"""Characters of runtime data in base64url: they are a few hashes."""


@dataclass(frozen=True)
class Evidence:
    """What a well-formed document holds.

    `keyset`, `statement` and the statement's `sections` are as they came, None for none.
    """

    quote: Quote
    runtime_data: bytes
    leaf_index: int
    tree_size: int
    path: tuple[bytes, ...]
    keyset: Any
    statement: Any
    sections: Any
    ccel: bytes | None
    aael: str | None
    says_simulated: bool


def read_evidence(document: object) -> Evidence:
    """The parts of an evidence document (parsed JSON). Raises BadInput."""
    if not isinstance(document, dict):
        raise BadInput("the evidence is not a JSON object")
    if document.get("status") is not True or document.get("tee") != "tdx":
        raise BadInput("the answer does not say that it is TDX evidence (status, tee)")
    quote = parse_quote(_hex(document, "quote"))
    if quote.header.vendor_id != INTEL_QE_VENDOR_ID:
        raise BadInput("vendor_id of the quote is not that of Intel's quoting enclave")
    proof = document.get("nonce_proof")
    if not isinstance(proof, dict):
        raise BadInput("nonce_proof is not an object")
    path = proof.get("path")
    if not isinstance(path, list) or len(path) > 64:
        raise BadInput("nonce_proof.path is not a list of at most 64 hashes")
    return Evidence(
        quote=quote,
        runtime_data=_runtime_data(document),
        leaf_index=_number(proof, "leaf_index"),
        tree_size=_number(proof, "tree_size"),
        path=tuple(contract.decode_base64url(_string(item, "path"), "path") for item in path),
        keyset=document.get("keyset"),
        statement=document.get("statement"),
        sections=document.get("statement_sections"),
        ccel=_log(document),
        aael=None if document.get("aa_eventlog") is None else _text(document, "aa_eventlog"),
        says_simulated=document.get("simulated") is not False
        or document.get("provider") == "simulator",
    )


def _runtime_data(document: Mapping[str, Any]) -> bytes:
    text = _text(document, "runtime_data")
    if len(text) > _MAX_RUNTIME_DATA:
        raise BadInput(f"runtime_data has more than {_MAX_RUNTIME_DATA} characters")
    return contract.decode_base64url(text, "runtime_data")


def _hex(document: Mapping[str, Any], name: str) -> bytes:
    text = _text(document, name)
    if not _is_hex(text, len(text) // 2):
        raise BadInput(f"{name} is not hex")
    return bytes.fromhex(text)


def _is_hex(text: str, size: int) -> bool:
    """Whether `text` is `size` bytes in hex, and nothing else: fromhex skips white space."""
    return len(text) == 2 * size and re.fullmatch("[0-9a-fA-F]*", text) is not None


def _log(document: Mapping[str, Any]) -> bytes | None:
    if document.get("cc_eventlog") is None:
        return None
    try:
        return base64.b64decode(_text(document, "cc_eventlog"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadInput("cc_eventlog is not base64") from error


def _text(document: Mapping[str, Any], name: str) -> str:
    return _string(document.get(name), name)


def _string(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise BadInput(f"{name} is not a string")
    return value


def _number(document: Mapping[str, Any], name: str) -> int:
    value = document.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 53:
        raise BadInput(f"{name} is not a number")
    return value
