"""JSON as a verifier wants it: one meaning, or none."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any


def loads(text: str | bytes, *, whole_numbers: bool = False) -> Any:
    """Read JSON. Raises ValueError for anything but RFC 8259 JSON, and for repeated keys.

    With `whole_numbers` a number with a sign, a fraction or an exponent, or one that not every
    reader can hold, is refused too: 1.0 and 1, or -0 and 0, are the same to some readers only.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")  # left to itself, json takes UTF-16 and half surrogates too
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse,
            parse_float=_refuse_fraction if whole_numbers else _finite,
            parse_int=_exact if whole_numbers else int,
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


_EXACT = (1 << 53) - 1
"""Up to here every reader has the same whole numbers (RFC 8259, section 6)."""


def _exact(text: str) -> int:
    if text[0] == "-" or len(text) > len(str(_EXACT)) or int(text) > _EXACT:
        raise ValueError(f"{text[:40]} is no whole number from 0 to {_EXACT}")
    return int(text)


def _refuse_fraction(text: str) -> Any:
    raise ValueError(f"{text[:40]} is not written as a whole number")


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def depth(value: object) -> int:
    """How deep lists and objects lie in one another; 0 for anything else."""
    deepest, level = 0, [value]
    while level:
        inside = [item for each in level for item in _items(each)]
        deepest += any(isinstance(each, dict | list) for each in level)
        level = inside
    return deepest


def _items(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
