"""What the doctor found: one line of its screen, and how bad it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How a finding is; the worst last."""

    OK = "ok"
    NOTE = "note"  # good to know, and nothing to mend
    UNKNOWN = "unknown"  # could not be made out
    WARNING = "warning"  # works, and not as it should
    FAILURE = "failure"  # no green badge with that


_ORDER = tuple(State)

EXIT_CODES = {
    State.OK: 0,
    State.NOTE: 0,
    State.UNKNOWN: 10,
    State.WARNING: 11,
    State.FAILURE: 12,
}
"""What the process ends with, by the worst finding; the installer's own errors are below 10."""


@dataclass(frozen=True)
class Finding:
    """One line of the screen.

    ``id`` is stable and meant for programs, ``text`` is a sentence without its full stop, ``cure``
    says what to do and is empty where nothing is to be done, as with OK and some notes. ``detail``
    is for programs only. Text from outside may be in all of them: who prints it escapes it.
    """

    id: str
    state: State
    text: str
    cure: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


def ok(id_: str, text: str, **detail: Any) -> Finding:
    """Return a finding with which all is well."""
    return Finding(id_, State.OK, text, "", detail)


def note(id_: str, text: str, cure: str = "", **detail: Any) -> Finding:
    """Return a finding that is good to know."""
    return Finding(id_, State.NOTE, text, cure, detail)


def unknown(id_: str, text: str, cure: str, **detail: Any) -> Finding:
    """Return a finding for what could not be made out."""
    return Finding(id_, State.UNKNOWN, text, cure, detail)


def warning(id_: str, text: str, cure: str, **detail: Any) -> Finding:
    """Return a finding with which things work, and not as they should."""
    return Finding(id_, State.WARNING, text, cure, detail)


def failure(id_: str, text: str, cure: str, **detail: Any) -> Finding:
    """Return a finding with which there is no green badge."""
    return Finding(id_, State.FAILURE, text, cure, detail)


@dataclass(frozen=True)
class Group:
    """Findings about one thing: the machine, the running server, ..."""

    name: str
    findings: tuple[Finding, ...]


def worst(groups: Iterable[Group]) -> State:
    """Return the worst state in all groups; OK where there is nothing."""
    states = [finding.state for group in groups for finding in group.findings]
    return max(states, key=_ORDER.index, default=State.OK)
