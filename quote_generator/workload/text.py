"""The canonical text of a fact: one value has one spelling, whoever writes it.

It is a JSON object with its keys sorted, without spaces, in characters from ``!`` to ``~`` alone:
so it is one word of an event's line, and nothing in it can hide or reorder what is beside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import BadInput

TEXT_MAX = 16 << 10
"""Characters of a fact's text."""

NESTING_MAX = 8
"""How deep objects and arrays may lie in one another; a fact by itself is 1."""

INTEGER_MAX = (1 << 53) - 1
"""Up to here, and down to its negative, every reader of JSON has the same integers."""

_KEY = re.compile(r"[!-~]{1,64}")


def canonical_text(value: Mapping[str, object]) -> str:
    """Return the canonical text of a fact.

    Raises BadInput for what has none: floats, keys other than 1 to 64 characters from ``!`` to
    ``~``, halves of surrogate pairs, and more than TEXT_MAX, NESTING_MAX or INTEGER_MAX allow.
    """
    if not isinstance(value, Mapping):
        raise BadInput("a fact is a JSON object")
    text = _written(value, 1)
    if len(text) > TEXT_MAX:
        raise BadInput(f"a fact's text has {len(text)} characters; {TEXT_MAX} are allowed")
    return text


def parse_canonical(text: str) -> dict[str, Any]:
    """Return the fact of a canonical text. Raises BadInput for every other text."""
    if len(text) > TEXT_MAX:
        raise BadInput(f"a fact's text has {len(text)} characters; {TEXT_MAX} are allowed")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"a fact's text is no JSON: {error}") from error
    # What is spelled otherwise (spaces, order, escapes, repeated keys, 1.0, -0) is so told apart.
    if canonical_text(value) != text:
        raise BadInput("a fact's text is not spelled as it must be")
    return dict(value)


def _written(value: object, depth: int) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, str):
        return _string(value)
    if depth > NESTING_MAX:
        raise BadInput(f"a fact is nested more than {NESTING_MAX} deep")
    if isinstance(value, Mapping):
        keys = sorted(map(_checked_key, value))
        members = (f"{_string(key)}:{_written(value[key], depth + 1)}" for key in keys)
        return "{" + ",".join(members) + "}"
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return "[" + ",".join(_written(item, depth + 1) for item in value) + "]"
    raise BadInput(f"a fact holds no {type(value).__name__}")


def _integer(value: int) -> str:
    if abs(value) > INTEGER_MAX:
        raise BadInput(f"a fact's integers go up to {INTEGER_MAX}, and down to its negative")
    return str(value)


def _checked_key(key: object) -> str:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise BadInput("a key of a fact is 1 to 64 characters from ! to ~")
    return key


def _string(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInput("a fact's text holds half of a surrogate pair") from error
    return '"' + "".join(map(_spelled, text)) + '"'


def _spelled(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if "!" <= character <= "~":
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
