"""Reads request bodies as a Rust service does, and complains in the words of its JSON reader."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

Reader = Callable[[Any, str], Any]
"""Checks one value; the text is what to put behind a complaint."""


class Misread(ValueError):  # noqa: N818 - named for what happened
    """Misread: the body is no request; the message is the service's."""


def read_json(data: bytes) -> Any:
    """The JSON value in a body. Raises Misread."""
    text = data.decode(errors="replace")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise Misread(f"recursion limit exceeded{at(text, len(text))}") from error
    except json.JSONDecodeError as error:
        raise Misread(_complaint(text, error)) from error


def at(text: str, position: int) -> str:
    """Where a complaint is about: the line, and the characters read of it."""
    lines = text[:position].split("\n")
    return f" at line {len(lines)} column {len(lines[-1])}"


def _complaint(text: str, error: json.JSONDecodeError) -> str:
    if error.pos < len(text.rstrip()) and "Unterminated" not in error.msg:
        what = "trailing characters" if error.msg == "Extra data" else "expected value"
        return what + at(text, error.pos + 1)
    return f"EOF while parsing {_innermost(text)}" + at(text, len(text))


def _innermost(text: str) -> str:
    """What a text that ends too early is in the middle of."""
    open_brackets: list[str] = []
    in_string = escaped = False
    for letter in text:
        if in_string:
            in_string = escaped or letter != '"'
            escaped = letter == "\\" and not escaped
        elif letter == '"':
            in_string = True
        elif letter in "{[":
            open_brackets.append(letter)
        elif letter in "}]" and open_brackets:
            open_brackets.pop()
    if in_string:
        return "a string"
    if not open_brackets or text.rstrip()[-1:] == ":":
        return "a value"
    return "an object" if open_brackets[-1] == "{" else "a list"


def items_of(text: str, member: str) -> list[str]:
    """The texts from a body's beginning to the end of each item of the list `member`.

    A complaint about an item is made where that ends.
    """
    start = text.index("[", text.index(f'"{member}"')) + 1
    ends: list[str] = []
    decoder = json.JSONDecoder()
    while (rest := text[start:].lstrip(" \t\r\n,")) and not rest.startswith("]"):
        start = len(text) - len(rest)
        start = decoder.raw_decode(text, start)[1]
        ends.append(text[:start])
    return ends


# --- types ---------------------------------------------------------------------------------------


def struct(value: Any, fields: Mapping[str, Reader], where: str) -> dict[str, Any]:
    """The members of an object that are known; others are ignored. Raises Misread."""
    if not isinstance(value, dict):
        raise Misread(f"invalid type: {_kind(value)}, expected a map{where}")
    found = {name: fields[name](value[name], where) for name in value if name in fields}
    for name, reader in fields.items():
        if name not in found and not getattr(reader, "is_optional", False):
            raise Misread(f"missing field `{name}`{where}")
    return {name: found.get(name) for name in fields}


def text(value: Any, where: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise Misread(f"invalid type: {_kind(value)}, expected a string{where}")
    return value


def texts(value: Any, where: str) -> list[str]:
    """A list of strings."""
    return [text(item, where) for item in sequence(value, where)]


def sequence(value: Any, where: str) -> list[Any]:
    """A list of anything."""
    if not isinstance(value, list):
        raise Misread(f"invalid type: {_kind(value)}, expected a sequence{where}")
    return value


def optional(reader: Reader) -> Reader:
    """What may be missing, or null."""

    def read(value: Any, where: str) -> Any:
        return None if value is None else reader(value, where)

    read.is_optional = True  # type: ignore[attr-defined]
    return read


def variant(**readers: Reader) -> Reader:
    """An object with one member, whose name says of which kind it is: (kind, value)."""
    expected = " or ".join(f"`{name}`" for name in readers)

    def read(value: Any, where: str) -> tuple[str, Any]:
        if not isinstance(value, dict) or len(value) != 1:
            raise Misread(f"expected value{where}")
        [(name, inner)] = value.items()
        if name not in readers:
            raise Misread(f"unknown variant `{name}`, expected {expected}{where}")
        return name, readers[name](inner, where)

    return read


def anything(value: Any, where: str) -> Any:
    """Any JSON value."""
    return value


def _kind(value: Any) -> str:
    """What the JSON reader calls a value."""
    if value is None:
        return "null"
    if isinstance(value, list | dict):
        return "map" if isinstance(value, dict) else "sequence"
    if isinstance(value, str):
        return f"string {json.dumps(value, ensure_ascii=False)}"
    name = {bool: "boolean", int: "integer"}.get(type(value), "floating point")
    return f"{name} `{json.dumps(value)}`"
