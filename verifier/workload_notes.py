"""What people are told of a TD's workload, in lines: each with a level and a stable code.

The page has the same lines in its catalogues. Names and addresses are the machine's, and so
anybody's words: they are shown in quotes, and never obeyed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from quote_generator.workload.events import Present

from .output import printable
from .statement import (
    BESIDE,
    EXPORTS,
    INSIDE,
    NOT_KNOWN,
    OFF,
    OUTSIDE,
    READS,
    SECRET,
    Model,
    Sections,
)

OK, AMBER, INFO = "ok", "amber", "info"

MAX_NOTES = 200
NAMES = 8
"""How many models a line names."""

_SHOWN = 120
"""Characters of a name, as it is shown."""


@dataclass(frozen=True)
class Note:
    """A line: `members` are what it tells of, as it came."""

    level: str
    code: str
    members: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The note as JSON members."""
        return {"level": self.level, "code": self.code, **self.members}

    def __str__(self) -> str:
        shown = {name: _shown(value) for name, value in self.members.items()}
        at = f" at {shown['address']}" if shown.get("address", '""') != '""' else ""
        return _TEXTS[self.code].format_map({**shown, "at": at})


_TEXTS = {
    "log-not-written": "what was measured is in no event log ({why})",
    "log-withheld": "the log of what was measured is not there, or does not lead to RTMR3",
    "unknown-events": "{count} events of the kit's in the log are not understood here",
    "environment-unlisted": "{count} files that Python can import belong to no distribution",
    "runs": "runs {what} {name}, {digest}",
    "models-inside": "{count} models run inside, with weights that were measured",
    "models-being-measured": "{count} models run inside, and are being measured: {names}",
    "models-outside": "{count} models run outside{at}: {names}",
    "models-not-known": "where {count} models run is not known{at}: {names}",
    "models-not-listed": "which models are offered is not known",
    "models-left-out": "{count} models more are offered: where they run is not told",
    "words-stay": "no other way leads out",
    "words-can-leave": "words can leave by {what}: {where}{at}",
    "words-left-out": "{count} ways more lead out, and are not told",
    "words-not-known": "which ways lead out is not known",
    "function-active": "{what} {name} runs beside open-webui's own code, {digest}",
    "no-functions": "no functions or tools that somebody added run",
    "functions-not-known": "which functions and tools run is not known, or not all of it",
    "administrators-read": "of administrators is true: {name}",
    "administrators-not-known": "of administrators is not known: {name}",
    "administrators-do-not-read": "administrators can neither read nor export chats",
    "storage-plain": "{name} can be read by the host: {kind}",
    "storage-not-known": "whether the host can read {name} is not known",
    "storage-kept": "what is stored is secret from the host",
    "more": "{count} lines more are not shown",
}


def quoted(text: str) -> str:
    """Somebody's words in quotes, without what a terminal would obey."""
    cut = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    return printable(json.dumps(printable(cut), ensure_ascii=False))


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(quoted(item) for item in value)
    return quoted(value) if isinstance(value, str) else str(value)


def notes_of(sections: Sections, present: Present | None) -> list[Note]:
    """The lines; `present` is what a proven log says of now, None where there is none."""
    parts = (_log(sections, present), _runs(sections), _models(sections), _words(sections))
    others = (_functions(sections), _people(sections), _storage(sections))
    found = [note for part in (*parts, *others) for note in part]
    more = len(found) - MAX_NOTES
    return found if more <= 0 else [*found[:MAX_NOTES], Note(INFO, "more", {"count": more})]


def _log(sections: Sections, present: Present | None) -> Iterator[Note]:
    if not sections.is_logged:
        yield Note(AMBER, "log-not-written", {"why": sections.why_not_logged})
    elif present is None:
        yield Note(AMBER, "log-withheld")
    if present is not None and present.unknown:
        yield Note(AMBER, "unknown-events", {"count": len(present.unknown)})


def _runs(sections: Sections) -> Iterator[Note]:
    for kind in ("kit", "open-webui"):
        fact = sections.fact(kind)
        if fact:
            members = {"what": kind, "name": fact["version"], "digest": fact["digest"]}
            yield Note(INFO, "runs", members)
    if count := sections.fact("environment").get("unlisted_files"):
        yield Note(AMBER, "environment-unlisted", {"count": count})


def _models(sections: Sections) -> Iterator[Note]:
    inside = [model for model in sections.models if model.where == INSIDE]
    measured = sum(not model.is_being_measured for model in inside)
    if measured:
        yield Note(OK, "models-inside", {"count": measured})
    if waiting := [model for model in inside if model.is_being_measured]:
        yield Note(
            AMBER, "models-being-measured", {"count": len(waiting), "names": _names(waiting)}
        )
    for where in (OUTSIDE, NOT_KNOWN):
        yield from _elsewhere(where, [model for model in sections.models if model.where == where])
    if sections.models_left_out:
        yield Note(AMBER, "models-left-out", {"count": sections.models_left_out})
    elif not sections.all_models:
        yield Note(AMBER, "models-not-listed")


def _elsewhere(where: str, models: Iterable[Model]) -> Iterator[Note]:
    by_address: dict[str, list[Model]] = {}
    for model in models:
        by_address.setdefault(model.address, []).append(model)
    for address, group in by_address.items():
        members = {"count": len(group), "address": address, "names": _names(group)}
        yield Note(AMBER, f"models-{where}", members)


def _names(models: Iterable[Model]) -> list[str]:
    return [model.id for model in islice(models, NAMES)]


def _words(sections: Sections) -> Iterator[Note]:
    """Servers of models are told with their models."""
    leaving = [
        way
        for way in sections.ways
        if way.where not in (INSIDE, OFF) and way.kind not in ("openai", "ollama")
    ]
    for way in leaving:
        members = {"what": way.kind, "where": way.where, "address": way.address}
        yield Note(AMBER, "words-can-leave", members)
    if sections.ways_left_out:
        yield Note(AMBER, "words-left-out", {"count": sections.ways_left_out})
    elif not sections.all_ways:
        yield Note(AMBER, "words-not-known")
    elif not leaving:
        yield Note(OK, "words-stay")


def _functions(sections: Sections) -> Iterator[Note]:
    for code in sections.active:
        members = {"what": code.type, "name": code.id, "digest": code.digest or ""}
        yield Note(AMBER, "function-active", members)
    if not sections.all_codes:
        yield Note(AMBER, "functions-not-known")
    elif not sections.active:
        yield Note(OK, "no-functions")


def _people(sections: Sections) -> Iterator[Note]:
    answers = {name: sections.people.get(name, NOT_KNOWN) for name in (READS, EXPORTS)}
    for name, answer in answers.items():
        if answer is True:
            yield Note(AMBER, "administrators-read", {"name": name})
        elif answer is not False:
            yield Note(AMBER, "administrators-not-known", {"name": name})
    if all(answer is False for answer in answers.values()):
        yield Note(OK, "administrators-do-not-read")


def _storage(sections: Sections) -> Iterator[Note]:
    found = list(_not_secret(sections))
    yield from found or [Note(OK, "storage-kept")]


def _not_secret(sections: Sections) -> Iterator[Note]:
    for name in (*SECRET, *BESIDE):
        stored = sections.storage.get(name)
        if stored is None and name in BESIDE:
            continue
        if stored is None or (stored.secrecy != "not-kept" and not stored.is_kept):
            yield Note(AMBER, "storage-not-known", {"name": name})
        elif not stored.is_kept:
            yield Note(AMBER, "storage-plain", {"name": name, "kind": stored.kind})
