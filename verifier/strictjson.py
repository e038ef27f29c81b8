"""JSON as a verifier wants it: one meaning, or none."""

from __future__ import annotations

import json
from typing import Any


def loads(text: str | bytes) -> Any:
    """Read JSON. Raises ValueError for anything but RFC 8259 JSON, and for repeated keys."""
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("JSON is nested too deeply") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("JSON object with a repeated key")
    return members


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
