"""What was measured, as events of the application's log: a fact is one event, and back.

An event's line is ``cczoo <kind> <text>``, its text the canonical text of the fact's content. At
each start ``cczoo start {"v":1}`` comes first, and then a fact for each thing that runs. What is so
now is told by the facts after the last start: a later one of the same kind and name takes the
earlier one's place, and one whose digest is null takes it away.

Whoever may extend RTMR3 can add events; nobody can take any back. So what claims to be the kit's
and is not understood here is never dropped: it is handed on, to be told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import BadInput
from ..eventlog import EVENTS_MAX
from .text import INTEGER_MAX, canonical_text, parse_canonical

DOMAIN = "cczoo"
VERSION = 1
"""`v` of every fact."""

NAME_MAX = 512
"""UTF-16 units of an id, a name or a server's address: two fit into a text, however spelled."""

WORD_MAX = 64
"""UTF-16 units of a version or a type."""


@dataclass(frozen=True)
class Fact:
    """Fact is one thing that was measured, or a start.

    ``content`` has the members of its kind, `v` among them. `make_fact` and `parse_fact` make
    facts that are as they must be.
    """

    kind: str
    content: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The content's canonical text: what `measure.record_event` takes as an event's content."""
        return canonical_text(self.content)

    @property
    def line(self) -> str:
        """The event's line."""
        return f"{DOMAIN} {self.kind} {self.text}"

    @property
    def key(self) -> tuple[str, ...]:
        """What a later fact must have in common with this one to take its place."""
        return (self.kind, *(self.content[name] for name in _KINDS[self.kind].names))


@dataclass(frozen=True)
class Unknown:
    """Unknown is an event of the kit's domain that is no fact as they are known here.

    ``reason`` is "kind" (no such kind), "text" (not canonical) or "content" (not what its kind
    has): of a newer kit, or of somebody who is none. ``kind`` and ``text`` are anybody's words.
    """

    kind: str
    text: str
    reason: str


@dataclass(frozen=True)
class Present:
    """Present is what a log says of now.

    ``facts`` stand in the order of their latest events. ``starts`` is how often the log tells of a
    start: without one no fact counts.
    """

    starts: int = 0
    facts: tuple[Fact, ...] = ()
    unknown: tuple[Unknown, ...] = ()


def make_fact(kind: str, /, **members: object) -> Fact:
    """Return a fact of a kind and its members, without `v`. Raises BadInput."""
    content = {**members, "v": VERSION}
    canonical_text(content)
    return _checked(kind, content)


def parse_fact(kind: str, text: str) -> Fact:
    """Return the fact of an event's kind and text. Raises BadInput."""
    return _checked(kind, parse_canonical(text))


def present_facts(lines: Sequence[str]) -> Present:
    """Return what the lines of an application's log say of now, oldest line first.

    Lines of other domains are left aside. What they prove, and whether the register has them, is
    for the caller to know. Raises BadInput for more than EVENTS_MAX lines.
    """
    if len(lines) > EVENTS_MAX:
        raise BadInput(f"the application event log has more than {EVENTS_MAX} lines")
    starts = [at for at, line in enumerate(lines) if line == _START]
    facts: dict[tuple[str, ...], Fact] = {}
    unknown = []
    for line in lines[starts[-1] + 1 :] if starts else ():
        domain, _, rest = line.partition(" ")
        if domain != DOMAIN:
            continue
        kind, _, text = rest.partition(" ")
        found = _understood(kind, text)
        if isinstance(found, Unknown):
            unknown.append(found)
            continue
        facts.pop(found.key, None)
        if found.content["digest"] is not None:
            facts[found.key] = found
    return Present(len(starts), tuple(facts.values()), tuple(unknown))


def _understood(kind: str, text: str) -> Fact | Unknown:
    if kind not in _KINDS:
        return Unknown(kind, text, "kind")
    try:
        content = parse_canonical(text)
    except BadInput:
        return Unknown(kind, text, "text")
    try:
        return _checked(kind, content)
    except BadInput:
        return Unknown(kind, text, "content")


# --- kinds --------------------------------------------------------------------------------------


def _is_version(value: object) -> bool:
    return type(value) is int and value == VERSION


def _is_digest(value: object) -> bool:
    """SHA-256, or null where there is nothing to have one."""
    return value is None or _matches(r"sha256:[0-9a-f]{64}", value)


def _is_model_digest(value: object) -> bool:
    """SHA-256, of the model's layers or of those that the kernel keeps by fs-verity; or null."""
    return _is_digest(value) or _matches(r"fsverity:sha256:[0-9a-f]{64}", value)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= INTEGER_MAX


def _is_word(value: object) -> bool:
    return isinstance(value, str) and 0 < _units(value) <= WORD_MAX


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < _units(value) <= NAME_MAX


def _is_way(value: object) -> bool:
    return value in ("plugin", "source")


def _matches(pattern: str, value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _units(text: str) -> int:
    """Return the length of a text as JavaScript has it."""
    return len(text.encode("utf-16-le")) // 2


Check = Callable[[object], bool]


@dataclass(frozen=True)
class _Kind:
    """_Kind says which members facts of a kind have beside `v`, and which of them are its name."""

    members: Mapping[str, Check] = field(default_factory=dict)
    names: tuple[str, ...] = ()


_DIGEST: Mapping[str, Check] = {"digest": _is_digest}
_CODE = _Kind({**_DIGEST, "id": _is_name, "type": _is_word}, names=("id",))
_KINDS = {
    "start": _Kind(),
    "kit": _Kind({**_DIGEST, "version": _is_word}),
    "open-webui": _Kind({**_DIGEST, "version": _is_word, "way": _is_way}),
    "front-end": _Kind(_DIGEST),
    "page": _Kind(_DIGEST),
    "environment": _Kind(
        {
            **_DIGEST,
            "bytecode": _is_digest,
            "distributions": _is_count,
            "python": _is_digest,
            "python_version": _is_word,
            "unlisted": _is_digest,
            "unlisted_files": _is_count,
        }
    ),
    "function": _CODE,
    "tool": _CODE,
    # Two servers may each have a model of that name, and the one must not hide the other.
    "model": _Kind(
        {"digest": _is_model_digest, "name": _is_name, "server": _is_name},
        names=("server", "name"),
    ),
    "settings": _Kind(_DIGEST),
}
KINDS = tuple(_KINDS)


def _checked(kind: str, content: Mapping[str, Any]) -> Fact:
    if kind not in _KINDS:
        raise BadInput(f"there is no kind {kind!r} of facts")
    members = {"v": _is_version, **_KINDS[kind].members}
    if content.keys() != members.keys():
        raise BadInput(f"a fact of kind {kind} has the members {', '.join(sorted(members))}")
    for name, is_good in members.items():
        if not is_good(content[name]):
            raise BadInput(f"{name} of a fact of kind {kind} is not what it must be")
    return Fact(kind, content)


START = Fact("start", {"v": VERSION})
_START = START.line
