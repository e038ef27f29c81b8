"""JSON as a verifier wants it: one meaning, or none."""

from __future__ import annotations

import json
import math
from typing import Any


def loads(text: str | bytes, *, whole_numbers: bool = False) -> Any:
    """Read JSON. Raises ValueError for anything but RFC 8259 JSON, and for repeated keys.

    With `whole_numbers` a number with a fraction or an exponent is refused too: 1.0 and 1 are the
    same to some readers, and not to others.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")  # left to itself, json takes UTF-16 and half surrogates too
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse,
            parse_float=_refuse_fraction if whole_numbers else _finite,
        )
    except RecursionError as error:
        raise ValueError("JSON is nested too deeply") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("JSON object with a repeated key")
    return members


def _finite(text: str) -> float:
    """A number; 1e999 is JSON in form, but would become an infinity that JSON cannot say."""
    if math.isinf(number := float(text)):
        raise ValueError("JSON with a number that is too large")
    return number


def _refuse_fraction(text: str) -> Any:
    raise ValueError(f"{text[:40]} is not written as a whole number")


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
