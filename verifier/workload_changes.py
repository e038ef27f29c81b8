"""What is different from the last time: told by what and name, never by hex alone.

What is gone (a model, a function, a connection) takes nothing from anybody, and is not told;
measurements that are gone are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .statement import EXPORTS, INSIDE, NOT_KNOWN, OFF, READS, Sections, Way
from .workload_notes import quoted

Key = tuple[str, str]
Memory = Mapping[Key, tuple[str, ...]]
"""What and name -> what is known of it: digests, places; empty for what is not known now."""

MEMORY_MAX = 20_000
"""Things that are remembered."""

_FILES = ("kit", "open-webui", "front-end", "page", "environment")
_PARTS = ("python", "unlisted")
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
    found = _things(sections)
    kept = {key: value for key, value in (before or {}).items() if key[0] == "model"}
    for key, (digest, *place) in _of("model", found):
        before_it = kept.pop(key, ("",))
        found[key] = (digest or before_it[0], *place)
    merged = {**kept, **found}
    return dict(list(merged.items())[-MEMORY_MAX:])


def differences(before: Memory | None, sections: Sections) -> Iterator[Difference]:
    """What differs, in the order of the list of things."""
    if before is None:
        return
    now = _things(sections)
    yield from _measured(before, now)
    for key, (digest, *place) in _of("model", now):
        was, *was_at = before.get(key, (digest, *place))
        if was and digest and was != digest:
            yield Difference("other-weights", *key)
        if was_at != place:
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


def _things(sections: Sections) -> dict[Key, tuple[str, ...]]:
    """All that is compared. Storage and people are in it only while they are as one wants them."""
    found: dict[Key, tuple[str, ...]] = {}
    if sections.is_logged:
        found["log", ""] = ()
    for kind in (*_FILES, "settings"):
        digest = sections.fact(kind).get("digest")
        if digest:
            found[kind, ""] = (digest,)
    for part in _PARTS:
        digest = sections.fact("environment").get(part)
        if digest:
            found["environment", part] = (digest,)
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
