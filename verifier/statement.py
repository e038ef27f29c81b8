"""What a TD states of its workload, held to its form (docs/verification.md, "Workload").

The statement names sections by their digests; who has an account gets the sections as well. What is
not known here, sections and members of them, is let be: it is told, and nothing rests on it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from quote_generator.errors import BadInput
from quote_generator.evidence import canonical_json, document_hash
from quote_generator.workload.events import KINDS, Fact, make_fact

VERSION = 1
MAX_SECTIONS = 64

INSIDE, OUTSIDE, BROWSER, OFF, NOT_KNOWN = "inside", "outside", "browser", "off", "not-known"
_PLACES = frozenset({INSIDE, OUTSIDE, BROWSER, OFF})

_EXACT = (1 << 53) - 1
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_DIGEST = re.compile(r"[A-Za-z0-9_-]{43}")

Raw = Mapping[str, Any]


@dataclass(frozen=True)
class Model:
    """A model that is offered: where it answers, and by what digest its weights are known."""

    id: str
    where: str
    address: str
    digest: str | None
    is_being_measured: bool


@dataclass(frozen=True)
class Way:
    """A way by which words may leave open-webui; `address` is empty where there is none to tell."""

    kind: str
    where: str
    address: str


@dataclass(frozen=True)
class Code:
    """A function or tool that people added to open-webui."""

    id: str
    type: str
    digest: str | None
    is_active: bool


@dataclass(frozen=True)
class Stored:
    """Where something lies; `is_kept` is whether the host cannot read it there."""

    kind: str
    secrecy: str

    @property
    def is_kept(self) -> bool:
        return self.kind == "none" or self.secrecy == "kept"


@dataclass(frozen=True)
class Sections:
    """What the sections say. Empty is what was not said, too: `all_...` tell the two apart.

    `..._left_out` counts what did not fit in.
    """

    models: tuple[Model, ...] = ()
    all_models: bool = False
    models_left_out: int = 0
    ways: tuple[Way, ...] = ()
    all_ways: bool = False
    ways_left_out: int = 0
    codes: tuple[Code, ...] = ()
    all_codes: bool = False
    people: Mapping[str, object] = field(default_factory=dict)
    storage: Mapping[str, Stored] = field(default_factory=dict)
    is_logged: bool = False
    why_not_logged: str = NOT_KNOWN
    facts: tuple[Fact, ...] = ()

    def fact(self, kind: str) -> Mapping[str, Any]:
        """What the one fact of this kind says; nothing where there is none."""
        return next((fact.content for fact in self.facts if fact.kind == kind), {})

    @property
    def active(self) -> list[Code]:
        """The functions and tools that run."""
        return [code for code in self.codes if code.is_active]


def has_sections(statement: object) -> bool:
    """Whether there is a statement with sections, whatever those are."""
    if isinstance(statement, dict):
        return "sections" in statement
    return statement is not None


def read_statement(statement: object) -> dict[str, str]:
    """The sections' digests, by their names. Raises BadInput."""
    stated = _object(statement, "the statement")
    version, digests = stated.get("v"), _object(stated.get("sections"), "sections")
    if version != VERSION or isinstance(version, bool):
        raise BadInput("the statement is of another version")
    if len(digests) > MAX_SECTIONS:
        raise BadInput(f"the statement has more than {MAX_SECTIONS} sections")
    for name, digest in digests.items():
        if not _NAME.fullmatch(name):
            raise BadInput("a section has no usable name")
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise BadInput(f"section {name} has no digest")
    return digests


def read_sections(digests: Mapping[str, str], given: object) -> Sections:
    """The sections that were given, which must be the stated ones. Raises BadInput."""
    sections = _object(given, "the sections")
    if sections.keys() != digests.keys():
        raise BadInput("other sections were given than those that are stated")
    for name, section in sections.items():
        if document_hash(_object(section, f"section {name}")) != digests[name]:
            raise BadInput(f"section {name} is not the stated one")
    # In the canonical form one value has one spelling: 1.0 is 1 there.
    plain = json.loads(canonical_json(sections))
    members: dict[str, Any] = {}
    for name, section in plain.items():
        if name in _READERS:
            members |= _READERS[name](_Members(name, section))
    return Sections(**members)


# --- members --------------------------------------------------------------------------------------


class _Members:
    """An object's members, each held to its type. `of` raises BadInput."""

    def __init__(self, name: str, members: object) -> None:
        self.name = name
        self._members = _object(members, name)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def text(self, name: str, otherwise: str | None = None) -> str:
        """A text; one that is not there is `otherwise`, and must be there where that is None."""
        found = self._of(name, otherwise, lambda value: isinstance(value, str))
        return str(found)

    def text_or_null(self, name: str) -> str | None:
        found: str | None = self._of(
            name, (), lambda value: value is None or isinstance(value, str)
        )
        return found or None

    def flag(self, name: str, otherwise: bool | None = None) -> bool:
        return bool(self._of(name, otherwise, lambda value: isinstance(value, bool)))

    def count(self, name: str) -> int | None:
        """A number of things; None where it is not told."""
        found: int | None = self._of(name, (), _is_count)
        return found if _is_count(found) else None

    def entries(self, name: str) -> list[_Members]:
        items = self._of(name, (), lambda value: isinstance(value, list))
        return [_Members(f"{self.name}/{name}", item) for item in items]

    def pairs(self, name: str) -> list[tuple[str, Raw]]:
        return list(self._of(name, (), _are_pairs))

    def check_texts(self, *names: str) -> None:
        """Hold lists of texts to their form, which say nothing that anything rests on."""
        for name in names:
            self._of(name, (), _are_texts)

    def objects(self, names: Iterable[str]) -> dict[str, _Members]:
        """Those of the named members that are there."""
        return {
            name: _Members(f"{self.name}/{name}", self._members[name])
            for name in names
            if name in self
        }

    def answers(self, *names: str) -> dict[str, object]:
        """Members that are true, false, or a word for neither."""
        return {
            name: self._of(name, NOT_KNOWN, lambda value: isinstance(value, bool | str))
            for name in names
        }

    def _of(self, name: str, otherwise: Any, is_good: Callable[[Any], bool]) -> Any:
        if name not in self._members and otherwise is not None:
            return otherwise
        value = self._members.get(name)
        if not is_good(value):
            raise BadInput(f"{name} of {self.name} is not what it must be")
        return value


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadInput(f"{what}: not an object")
    return value


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= _EXACT


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _are_pairs(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_pair, value))


def _is_pair(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 2:
        return False
    kind, content = value
    return isinstance(kind, str) and isinstance(content, dict)


# --- sections -------------------------------------------------------------------------------------


def _models(section: _Members) -> dict[str, Any]:
    left_out = section.count("left_out")
    is_listed = section.flag("listed", False) and "offered" in section
    return {
        "models": tuple(map(_model, section.entries("offered"))),
        "all_models": is_listed and left_out == 0,
        "models_left_out": left_out or 0,
    }


def _model(entry: _Members) -> Model:
    entry.text("name", "")
    where, digest = _place(entry.text("where")), entry.text_or_null("digest")
    why = entry.text("why", "")
    return Model(
        id=entry.text("id"),
        where=where if where in (INSIDE, OUTSIDE) else NOT_KNOWN,
        address=entry.text_or_null("address") or "",
        digest=digest,
        is_being_measured=where == INSIDE and (digest is None or why == "being-measured"),
    )


def _connections(section: _Members) -> dict[str, Any]:
    left_out = section.count("left_out")
    return {
        "ways": tuple(map(_way, section.entries("ways"))),
        "all_ways": "ways" in section and left_out == 0,
        "ways_left_out": left_out or 0,
    }


def _way(entry: _Members) -> Way:
    entry.text("why", "")
    where, address = _place(entry.text("where")), entry.text_or_null("address")
    return Way(entry.text("kind"), where, address or "")


def _place(where: str) -> str:
    return where if where in _PLACES else NOT_KNOWN


def _functions(section: _Members) -> dict[str, Any]:
    left_out = section.count("left_out")
    section.count("active")
    is_listed = section.flag("listed", False) and "present" in section
    codes = tuple(map(_code, section.entries("present")))
    return {"codes": codes, "all_codes": is_listed and left_out == 0}


def _code(entry: _Members) -> Code:
    return Code(
        id=entry.text("id"),
        type=entry.text("type"),
        digest=entry.text_or_null("digest"),
        is_active=entry.flag("active"),
    )


READS, EXPORTS = "administrators_read_chats", "administrators_export"


def _people(section: _Members) -> dict[str, Any]:
    section.answers("channels")
    return {"people": section.answers(READS, EXPORTS)}


SECRET = ("chats", "uploads", "vectors", "cache", "temporary", "secret_key")
"""What a policy means that asks for encrypted storage."""

BESIDE = ("logs", "audit_log", "swap", "redis", "objects")
"""What else may hold words."""


def _storage(section: _Members) -> dict[str, Any]:
    found = section.objects((*SECRET, *BESIDE))
    return {"storage": {name: _stored(members) for name, members in found.items()}}


def _stored(members: _Members) -> Stored:
    for name in ("integrity", "service"):
        members.text(name, "")
    members.check_texts("addresses", "told")
    return Stored(members.text("kind"), members.text("secrecy", NOT_KNOWN))


def _sealing(section: _Members) -> dict[str, Any]:
    section.text("mode", "")
    section.flag("receipts", False)
    return {}


def _measured(section: _Members) -> dict[str, Any]:
    pairs = section.pairs("facts")
    facts = [_fact(kind, content) for kind, content in pairs if kind in KINDS]
    if len({fact.key for fact in facts}) < len(facts):
        raise BadInput("measured: a fact is there twice")
    return {
        "is_logged": section.text("log", "") == "written",
        "why_not_logged": section.text("why", NOT_KNOWN) or NOT_KNOWN,
        "facts": tuple(facts),
    }


def _fact(kind: str, content: Raw) -> Fact:
    members = {name: value for name, value in content.items() if name != "v"}
    fact = make_fact(kind, **members)
    if type(content.get("v")) is not int or fact.content != content:
        raise BadInput(f"a fact of kind {kind} is of another version")
    if fact.content.get("digest") is None:
        raise BadInput(f"a fact of kind {kind} has no digest")
    return fact


_READERS: Mapping[str, Callable[[_Members], dict[str, Any]]] = {
    "models": _models,
    "connections": _connections,
    "functions": _functions,
    "people": _people,
    "storage": _storage,
    "sealing": _sealing,
    "measured": _measured,
}
