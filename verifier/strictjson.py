"""JSON as a verifier wants it: one meaning, or none."""

from __future__ import annotations

import json
import math
from typing import Any


def loads(text: str | bytes, *, whole_numbers: bool = False) -> Any:
    """Read JSON. Raises ValueError for anything but RFC 8259 JSON, and for repeated keys.

    With `whole_numbers` a number with a sign, a fraction or an exponent, or one that not every
    reader can hold, is refused too: 1.0 and 1, or -0 and 0, are the same to some readers only.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")  # left to itself, json takes UTF-16 and half surrogates too
    try:
        return (_WHOLE_NUMBERS if whole_numbers else _ANY_NUMBERS).decode(text)
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
_EXACT_DIGITS = len(str(_EXACT))
"""Up to here every reader has the same whole numbers (RFC 8259, section 6)."""


def _exact(text: str) -> int:
    if text[0] == "-" or len(text) > _EXACT_DIGITS or int(text) > _EXACT:
        raise ValueError(f"{text[:40]} is no whole number from 0 to {_EXACT}")
    return int(text)


def _refuse_fraction(text: str) -> Any:
    raise ValueError(f"{text[:40]} is not written as a whole number")


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def depth(value: object) -> int:
    """How deep lists and objects lie in one another; 0 for anything else."""
    deepest, level = 0, _nesting([value])
    while level:
        deepest += 1
        level = [inner for each in level for inner in _nesting(each)]
    return deepest


def _nesting(items: dict[str, Any] | list[Any]) -> list[dict[str, Any] | list[Any]]:
    """The lists and objects right inside one."""
    inside = items.values() if isinstance(items, dict) else items
    return [each for each in inside if isinstance(each, (dict, list))]


_ANY_NUMBERS = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_refuse, parse_float=_finite, parse_int=int
)
_WHOLE_NUMBERS = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_constant=_refuse,
    parse_float=_refuse_fraction,
    parse_int=_exact,
)
