"""Saved evidence: everything that is needed to verify it again, in one file."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quote_generator.errors import BadInput
from quote_generator.evidence import parse_nonce

from . import strictjson
from .problems import FileError

FORMAT = 1
MAX_FILE = 8 << 20
"""Bytes: an answer of the largest size, collateral and a token."""

_KINDS: dict[str, type] = {"nonce": str, "collateral": dict, "token": str, "provider": str}

_UNSAVED = "certificate"


@dataclass
class Record:
    """Evidence and what was used to verify it.

    `evidence` is the server's answer as it came. `url` and `fetched` are the file's own words:
    nothing signs them. `token` is what the service behind `provider` made of the evidence.
    `certificate` is the one (DER) that the server showed, and in no file: a file could claim any.
    """

    evidence: Any
    nonce: str | None = None
    url: Any = None
    fetched: Any = None
    collateral: Mapping[str, Any] | None = None
    provider: str | None = None
    token: str | None = None
    certificate: bytes | None = None


def read(path: Path, limit: int = MAX_FILE) -> bytes:
    """The file's content. Raises FileError (file-unreadable)."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise FileError(
            "file-unreadable", f"{path} cannot be read: {error.strerror or error}"
        ) from error
    if len(data) > limit:
        raise FileError("file-unreadable", f"{path} is larger than {limit} bytes")
    return data


def load(path: Path) -> Record:
    """Saved evidence, or a bare evidence document. Raises FileError."""
    try:
        value = strictjson.loads(read(path))
    except ValueError as error:
        raise FileError("evidence-malformed", f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise FileError("evidence-malformed", f"{path} does not hold a JSON object")
    if "evidence" not in value:
        return Record(value)
    if value.get("format", FORMAT) != FORMAT:
        raise FileError("evidence-malformed", f"{path} is not of format {FORMAT}")
    for name, kind in _KINDS.items():
        if not isinstance(value.get(name), kind | None):
            raise FileError("evidence-malformed", f"{path}: {name} is not what it must be")
    names = Record.__dataclass_fields__.keys() - {_UNSAVED}
    return Record(**{name: item for name, item in value.items() if name in names})


def nonce_of(text: str) -> bytes:
    """The nonce in base64url. Raises FileError (nonce-malformed)."""
    try:
        return parse_nonce(text)
    except BadInput as error:
        raise FileError("nonce-malformed", f"the nonce cannot be used: {error}") from error


def check_target(path: Path) -> None:
    """Raise FileError where a file could not be saved at this place, before the work is done."""
    folder = _real(path).parent
    if path.exists() and not path.is_file():
        raise FileError("save-failed", f"{path} is not a file to write to")
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise FileError("save-failed", f"{folder} is not a folder to write to")


def save(path: Path, record: Record) -> None:
    """Write the record, whole or not at all; what was there before stays until then.

    Any number of processes may do so at once: the file is that of one of them. Raises FileError.
    """
    saved = {name: item for name, item in vars(record).items() if name != _UNSAVED}
    text = json.dumps({"format": FORMAT, **saved}, indent=1) + "\n"
    target = _real(path)
    temporary = target.with_name(f".{target.name[:200]}-{secrets.token_hex(8)}")
    try:
        try:
            # The user's own umask decides who may read it, as for any file.
            with open(temporary, "x", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise FileError(
            "save-failed", f"{path} was not written: {error.strerror or error}"
        ) from error


def _real(path: Path) -> Path:
    """Where a link leads: replacing it would leave its target as it was."""
    return Path(os.path.realpath(path))
