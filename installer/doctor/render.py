"""The doctor's findings as a screen of 80 columns, or as JSON for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from cczoo_installer.doctor.findings import Finding, Group, State, worst
from cczoo_installer.files import printable

COLUMNS = 80
VERSION = 1

_GROUP_WIDTH = 9
_STATE_WIDTH = 8
_INDENT = _GROUP_WIDTH + _STATE_WIDTH
_LONGEST = 1000  # characters of one text: a screen is no place for somebody's megabyte

# ECMA-48, "select graphic rendition".
_COLOURS = {
    State.OK: "32",
    State.NOTE: "36",
    State.UNKNOWN: "35",
    State.WARNING: "33",
    State.FAILURE: "1;31",
}

_SUMS = {
    State.OK: "All is well.",
    State.NOTE: "All is well; see the notes.",
    State.UNKNOWN: "Something could not be made out.",
    State.WARNING: "It works, and not as it should.",
    State.FAILURE: "There is no green badge with that.",
}


def as_screen(title: str, groups: Sequence[Group], *, colours: bool = False) -> str:
    """Return the whole screen; the word for a state is always there, colour only adds to it."""
    lines = [*textwrap.wrap(_shown(title), COLUMNS, break_on_hyphens=False), ""]
    for group in groups:
        name = group.name
        for finding in group.findings:
            lines += _lines(name, finding, colours)
            name = ""
    counted = [
        f"{count} {state}" for state in reversed(State) if (count := _count(groups, state)) > 0
    ]
    lines += ["", *textwrap.wrap(f"{_SUMS[worst(groups)]} {', '.join(counted)}.", COLUMNS)]
    return "\n".join(lines)


def _lines(group: str, finding: Finding, colours: bool) -> Iterator[str]:
    word = f"{finding.state:<{_STATE_WIDTH}}"
    if colours:
        word = f"\x1b[{_COLOURS[finding.state]}m{word}\x1b[0m"
    first, *more = _wrapped(finding.text)
    yield f"{group:<{_GROUP_WIDTH}}{word}{first}"
    yield from (f"{'':{_INDENT}}{line}" for line in more)
    if finding.cure:
        first, *more = _wrapped(finding.cure, 3)
        yield f"{'':{_INDENT}}-> {first}"
        yield from (f"{'':{_INDENT}}   {line}" for line in more)


def _wrapped(text: str, indent: int = 0) -> list[str]:
    """Break a text where it has blanks, and a word that is too long anywhere."""
    return textwrap.wrap(_shown(text), COLUMNS - _INDENT - indent, break_on_hyphens=False) or [""]


def _shown(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."


def _count(groups: Sequence[Group], state: State) -> int:
    return sum(finding.state is state for group in groups for finding in group.findings)


def as_json(subject: dict[str, object], groups: Sequence[Group]) -> str:
    """Return one JSON document: ASCII, so that nothing in it can steer a terminal."""
    state = worst(groups)
    document = {
        "v": VERSION,
        "ok": state in {State.OK, State.NOTE},
        "state": state,
        **subject,
        "findings": [
            {"group": group.name, **asdict(finding)}
            for group in groups
            for finding in group.findings
        ],
    }
    return json.dumps(document, indent=2)
