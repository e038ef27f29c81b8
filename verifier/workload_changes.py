"""What is different from the last time: told by what and name, never by hex alone.

What is gone (a model, a function, a connection) takes nothing from anybody, and is not told;
measurements that are gone are. Who may not see a statement's sections has what the log proves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from quote_generator.workload.events import Fact

from .statement import EXPORTS, INSIDE, NOT_KNOWN, OFF, READS, Sections, Way
from .workload_notes import quoted

Key = tuple[str, str]
Memory = Mapping[Key, tuple[str, ...]]
"""What and name -> what is known of it: digests, places; empty for what is not known now."""

MEMORY_MAX = 20_000
"""Things that are remembered."""

_FILES = ("kit", "open-webui", "front-end", "page", "environment")
_PARTS = ("python", "unlisted", "bytecode")
_LOGGED = frozenset({"log", "settings", *_FILES, "model", "function", "tool"})
"""Of what a log tells by itself."""
_MODEL_SERVERS = ("openai", "ollama")

_WORDS = {
    "other-weights": "other weights than before",
    "other-place": "answers elsewhere than before",
    "other-files": "other files than before",
    "other-settings": "other settings than before",
    "other-code": "other code than before",
    "not-measured": "measured before, and not now",
    "new": "new",
    "less-secret": "secret from the host before, and not now",
    "may-read": "could not before, or nobody knows now",
}


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it was; `code` is stable."""

    code: str
    what: str
    name: str

    def __str__(self) -> str:
        return f"{self.what}{f' {quoted(self.name)}' if self.name else ''}: {_WORDS[self.code]}"

    def to_dict(self) -> dict[str, str]:
        """The difference as JSON members."""
        return {"code": self.code, "what": self.what, "name": self.name}


def remember(before: Memory | None, sections: Sections) -> Memory:
    """What to hold against the next ones.

    A model's digest outlasts that it is gone, or measured anew; the rest is as it is now.
    """
    return _merged(before, _things(sections))


def remember_logged(before: Memory | None, facts: Iterable[Fact]) -> Memory:
    """The same where a log's facts are all that is known: the rest is as it was."""
    others = {key: value for key, value in (before or {}).items() if key[0] not in _LOGGED}
    return {**others, **_merged(before, _logged_things(facts))}


def _merged(before: Memory | None, found: dict[Key, tuple[str, ...]]) -> Memory:
    kept = {key: value for key, value in (before or {}).items() if key[0] == "model"}
    for key, (digest, *place) in _of("model", found):
        before_it = kept.pop(key, ("",))
        found[key] = (digest or before_it[0], *place)
    merged = {**kept, **found}
    return dict(list(merged.items())[-MEMORY_MAX:])


def differences(before: Memory | None, sections: Sections) -> Iterator[Difference]:
    """What differs, in the order of the list of things."""
    if before is not None:
        yield from _compared(before, _things(sections))


def logged_differences(before: Memory | None, facts: Iterable[Fact]) -> Iterator[Difference]:
    """The same where a log's facts are all that is known."""
    if before is not None:
        logged = {key: value for key, value in before.items() if key[0] in _LOGGED}
        yield from _compared(logged, _logged_things(facts))


def _compared(before: Memory, now: Memory) -> Iterator[Difference]:
    yield from _measured(before, now)
    for key, (digest, *place) in _of("model", now):
        was, *was_at = before.get(key, (digest, *place))
        if was and digest and was != digest:
            yield Difference("other-weights", *key)
        if was_at != place and was_at and place:  # a log does not tell where
            yield Difference("other-place", *key)
    for what in ("function", "tool"):
        for key, value in _of(what, now):
            if before.get(key) != value:
                yield Difference("other-code" if key in before else "new", *key)
    for key, _ in _of("connection", now):
        if key not in before:
            yield Difference("new", *key)
    for what, code in (("storage", "less-secret"), ("people", "may-read")):
        for key, _ in _of(what, before):
            if key not in now:
                yield Difference(code, *key)


def _measured(before: Memory, now: Memory) -> Iterator[Difference]:
    if ("log", "") in before and ("log", "") not in now:
        yield Difference("not-measured", "log", "")
    for kind in _FILES:
        key = (kind, "")
        if key in before and key not in now:
            yield Difference("not-measured", *key)
            continue
        for name in ("", *_PARTS):
            part = (kind, name)
            if part in before and before[part] != now.get(part):
                yield Difference("other-files", *part)
    key = ("settings", "")
    if key in before and before[key] != now.get(key, before[key]):
        yield Difference("other-settings", *key)


def _is_open(way: Way, sections: Sections) -> bool:
    """Whether a model server is not known only until its models are listed, as after a start."""
    return way.kind in _MODEL_SERVERS and way.where == NOT_KNOWN and not sections.all_models


def _of(what: str, things: Memory) -> list[tuple[Key, tuple[str, ...]]]:
    return [(key, value) for key, value in things.items() if key[0] == what]


def _logged_things(facts: Iterable[Fact]) -> dict[Key, tuple[str, ...]]:
    """What a log tells. Of models with one name on several servers it is all their digests."""
    facts = tuple(facts)
    found: dict[Key, tuple[str, ...]] = {("log", ""): ()}
    found |= _measured_things(Sections(facts=facts))
    models: dict[str, set[str]] = {}
    for fact in facts:
        if fact.kind in ("function", "tool"):
            found[fact.kind, fact.content["id"]] = (fact.content["digest"],)
        elif fact.kind == "model":
            models.setdefault(fact.content["name"], set()).add(fact.content["digest"])
    return found | {("model", name): (" ".join(sorted(of)),) for name, of in models.items()}


def _measured_things(sections: Sections) -> dict[Key, tuple[str, ...]]:
    found: dict[Key, tuple[str, ...]] = {}
    for kind in (*_FILES, "settings"):
        digest = sections.fact(kind).get("digest")
        if digest:
            found[kind, ""] = (digest,)
    for part in _PARTS:
        digest = sections.fact("environment").get(part)
        if digest:
            found["environment", part] = (digest,)
    return found


def _things(sections: Sections) -> dict[Key, tuple[str, ...]]:
    """All that is compared. Storage and people are in it only while they are as one wants them."""
    found: dict[Key, tuple[str, ...]] = {}
    if sections.is_logged:
        found["log", ""] = ()
    found |= _measured_things(sections)
    for model in sections.models:
        address = "" if model.where == INSIDE else model.address
        found["model", model.id] = (model.digest or "", model.where, address)
    for code in sections.active:
        found["tool" if code.type == "tool" else "function", code.id] = (code.digest or "",)
    for way in sections.ways:
        if way.where not in (INSIDE, OFF) and not _is_open(way, sections):
            found["connection", f"{way.kind} {way.address}".rstrip()] = ()
    for name, stored in sections.storage.items():
        if stored.is_kept:
            found["storage", name] = ()
    for name in (READS, EXPORTS):
        if sections.people.get(name) is False:
            found["people", name] = ()
    return found
