"""Check `workload`: what a TD states of its present, and what a policy wants of that.

The page has the same rules, held to the same vectors (docs/verification.md, "Workload"). Whatever
is not known violates what asks about it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from quote_generator.errors import BadInput
from quote_generator.evidence import RUNTIME_DATA_WITH_KEYS
from quote_generator.workload.events import Fact, Present, present_facts
from quote_generator.workload.files import lines_digest

from .checks import FAIL, PASS, SKIPPED, WARN, Check
from .policy import ReleaseRules, WorkloadRules
from .statement import (
    EXPORTS,
    INSIDE,
    NOT_KNOWN,
    OFF,
    OUTSIDE,
    READS,
    SECRET,
    Code,
    Sections,
    has_sections,
    read_sections,
    read_statement,
)
from .workload_changes import (
    Difference,
    Memory,
    differences,
    logged_differences,
    remember,
    remember_logged,
)
from .workload_notes import AMBER, OK, Note, notes_of, quoted

NAME = "workload"
UNLISTED = "unlisted-function"

TASK_MODELS = ("task-model", "task-model-for-others", "summary-model")
"""Ways that lead to models which get a chat's words beside the chosen one."""

NO_BYTECODE = lines_digest(())
"""The digest of no compiled module: nothing runs but what the sources say."""

_NAMED = 8
"""How many violations and differences a check names; the report has all of them."""

_FACTS = {
    "kit": "kit",
    "open_webui": "open-webui",
    "front_end": "front-end",
    "page": "page",
    "environment": "environment",
}
"""Policy member -> kind of fact; the rest of the digests have rules of their own."""


@dataclass(frozen=True)
class Given:
    """What is there to judge.

    `statement` and `sections` as they came, None for none, `lines` those of an application log that
    leads to RTMR3. `is_covered` is whether reference values vouch for the TD's image. `now` is in
    seconds since 1970; where nobody says it, whatever ends has ended.
    """

    version: int
    statement: Any = None
    sections: Any = None
    lines: Sequence[str] | None = None
    is_covered: bool = False
    now: float = math.inf

    @property
    def is_stated(self) -> bool:
        """Whether the TD states anything."""
        return self.version == RUNTIME_DATA_WITH_KEYS and has_sections(self.statement)

    @property
    def are_withheld(self) -> bool:
        """Whether there are sections that did not come along."""
        return self.is_stated and self.sections is None


@dataclass(frozen=True)
class Violation:
    """What a policy does not accept: its member, of what, and what was found, in words."""

    member: str
    subject: str
    found: str

    def __str__(self) -> str:
        return f"{self.member}: {f'{quoted(self.subject)} ' if self.subject else ''}{self.found}"


@dataclass(frozen=True)
class Workload:
    """What the check came to.

    `sections` are None where none count, `stated` are the same as they came, and `memory` is what
    to hold against the next ones.
    `reads_keys` says that code runs which nobody listed, and could read the keys.
    """

    check: Check
    sections: Sections | None = None
    present: Present | None = None
    violations: tuple[Violation, ...] = ()
    differences: tuple[Difference, ...] = ()
    memory: Memory | None = None
    reads_keys: bool = False
    stated: Any = None

    @property
    def notes(self) -> list[Note]:
        """What to tell people of it."""
        return notes_of(self.sections, self.present) if self.sections else []

    @property
    def facts(self) -> list[Fact]:
        """What was measured: by a proven log, else by the statement's word."""
        if self.present is not None:
            return list(self.present.facts)
        return list(self.sections.facts) if self.sections else []

    def to_dict(self, model: Chosen | None) -> dict[str, Any]:
        """What is known, for programs; names in it are anybody's words."""
        return {
            "measured": [[fact.kind, dict(fact.content)] for fact in self.facts],
            "statement": self.stated,
            "notes": [note.to_dict() for note in self.notes],
            "violations": [vars(violation) for violation in self.violations],
            "differences": [difference.to_dict() for difference in self.differences],
            "model": model and model.to_dict(),
        }


def judge_workload(
    given: Given, rules: WorkloadRules | None, before: Memory | None = None
) -> Workload:
    """The check of what is given; `before` is what was found when this service was last seen."""
    if not given.is_stated:
        outcome = SKIPPED if rules is None else FAIL
        return Workload(_check(outcome, "not-stated", "the TD does not state what runs in it"))
    present = None if given.lines is None else present_facts(given.lines)
    try:
        digests = read_statement(given.statement)
        if given.sections is None:
            return _judge_by_log(present, rules, before)
        sections = read_sections(digests, given.sections)
    except BadInput as error:
        return Workload(_check(FAIL, "statement-mismatch", str(error)))
    unlisted = _unlisted(sections, rules)
    found = Workload(
        check=_check(PASS, "", ""),
        sections=sections,
        stated=given.sections,
        present=present,
        violations=tuple(_violations(sections, rules or WorkloadRules())),
        differences=tuple(differences(before, sections)),
        memory=remember(before, sections),
        reads_keys=bool(unlisted) or not sections.all_codes,
    )
    check = _first_check(found, sections, unlisted, rules, given)
    return replace(found, check=replace(check, until=_end(rules)))


def _check(outcome: str, code: str, detail: str) -> Check:
    return Check(NAME, outcome, detail, code)


def _withheld(rules: WorkloadRules | None) -> Check:
    is_needed = rules is not None and rules.ask_for_anything
    detail = (
        "the TD tells those with an account only what runs in it; give an API key that it takes"
    )
    return _check(FAIL if is_needed else SKIPPED, "statement-withheld", detail)


def _judge_by_log(
    present: Present | None, rules: WorkloadRules | None, before: Memory | None
) -> Workload:
    """What a proven log comes to for somebody who may not see the sections."""
    check = _withheld(rules)
    if present is None:
        return Workload(check)
    changed = tuple(logged_differences(before, present.facts))
    if changed and check.outcome != FAIL:
        check = _check(WARN, "workload-changed", _named(changed))
    memory = remember_logged(before, present.facts)
    return Workload(check, present=present, differences=changed, memory=memory)


def _first_check(
    found: Workload,
    sections: Sections,
    unlisted: Sequence[Code],
    rules: WorkloadRules | None,
    given: Given,
) -> Check:
    """The first outcome that applies."""
    if sections.is_logged and found.present and sections.facts != found.present.facts:
        detail = "the event log tells of other measurements than the statement"
        return _check(FAIL, "measured-mismatch", detail)
    if rules and rules.release and (check := _values_gone(rules.release, given.now)):
        return check
    if found.violations:
        return _check(FAIL, "workload-policy", _named(found.violations))
    if sections.is_logged and found.present is None:
        return _check(WARN, "log-withheld", "no log proves what the TD says that it measured")
    if found.reads_keys:
        return _check(WARN, UNLISTED, _reading(unlisted))
    if found.differences:
        return _check(WARN, "workload-changed", _named(found.differences))
    if not given.is_covered:
        detail = "no reference values for mr_td, rtmr_0, rtmr_1 and rtmr_2: the TD's own word"
        return _check(SKIPPED if rules is None else WARN, "own-word", detail)
    asked = "" if rules is None else ", as the policy asks"
    return _check(PASS, "", f"measured and stated{asked}")


def _values_gone(release: ReleaseRules, now: float) -> Check | None:
    """The failure of a policy whose values are to come from a release, and are not there now."""
    end = release.not_after
    if end is None:
        detail = "the policy takes what may run from a signed release, and none was given"
        return _check(FAIL, "release-missing", detail)
    if now >= end.timestamp():
        detail = (
            f"the release ended by which the policy knows what may run: {end:%Y-%m-%dT%H:%M:%SZ}"
        )
        return _check(FAIL, "release-expired", detail)
    return None


def _end(rules: WorkloadRules | None) -> float:
    """When the policy's values end, in seconds since 1970."""
    end = rules.release.not_after if rules and rules.release else None
    return math.inf if end is None else end.timestamp()


def _named(items: Sequence[Violation] | Sequence[Difference]) -> str:
    shown = [str(item) for item in items[:_NAMED]]
    more = len(items) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


# --- what a policy asks for -----------------------------------------------------------------------


def _violations(sections: Sections, rules: WorkloadRules) -> Iterator[Violation]:
    for member, kind in _FACTS.items():
        yield from _digest(member, sections.fact(kind).get("digest"), rules)
    yield from _digest("python", sections.fact("environment").get("python"), rules)
    yield from _models(sections, rules)
    for member in ("open_webui", "kit"):
        yield from _version(member, sections.fact(_FACTS[member]).get("version"), rules)
    for name in rules.required:
        yield from dict.fromkeys(_REQUIRED[name](sections, rules))


def _digest(member: str, found: str | None, rules: WorkloadRules) -> Iterator[Violation]:
    accepted = rules.digests.get(member)
    if accepted is not None and found not in accepted:
        yield Violation(member, "", found or "not measured")


def _version(member: str, found: str | None, rules: WorkloadRules) -> Iterator[Violation]:
    accepted = rules.versions.get(member)
    if accepted is not None and found not in accepted:
        yield Violation(f"versions/{member}", "", quoted(found) if found else "not measured")


def _models(sections: Sections, rules: WorkloadRules) -> Iterator[Violation]:
    """Models outside are another rule's matter."""
    accepted = rules.digests.get("models")
    if accepted is None:
        return
    for model in sections.models:
        if model.where == OUTSIDE:
            continue
        if model.where != INSIDE:
            yield Violation("models", model.id, "where it runs is not known")
        elif model.is_being_measured:
            yield Violation("models", model.id, "is being measured")
        elif model.digest not in accepted:
            yield Violation("models", model.id, f"is {quoted(model.digest or '')}")
    if not sections.all_models:
        yield Violation("models", "", "not all models are known")


def _no_model_outside(sections: Sections, rules: WorkloadRules) -> Iterator[Violation]:
    name = "no-model-outside"
    for model in sections.models:
        if model.where != INSIDE:
            yield Violation(name, model.id, _is_at(model.where, model.address))
    for way in sections.ways:
        if way.kind in TASK_MODELS and way.where not in (INSIDE, OFF):
            yield Violation(name, way.kind, _is_at(way.where, way.address))
    if not (sections.all_models and sections.all_ways):
        yield Violation(name, "", "not all models are known")


def _is_at(where: str, address: str) -> str:
    place = "may be outside" if where == NOT_KNOWN else "is outside"
    return f"{place}, at {quoted(address)}" if address else place


def _no_unlisted_function(sections: Sections, rules: WorkloadRules) -> Iterator[Violation]:
    name = "no-unlisted-function"
    for code in _unlisted(sections, rules):
        yield Violation(name, code.id, f"is {code.digest or 'of no known digest'}")
    if not sections.all_codes:
        yield Violation(name, "", "not all functions are known")


def _unlisted(sections: Sections, rules: WorkloadRules | None) -> list[Code]:
    listed = rules.digests.get("functions", frozenset()) if rules else frozenset()
    return [code for code in sections.active if code.digest not in listed]


def _reading(code: Sequence[Code]) -> str:
    """Why what is sealed may not stay so."""
    if not code:
        return "not all functions are known: one could read the keys"
    names = ", ".join(f"{quoted(each.type)} {quoted(each.id)}" for each in code[:_NAMED])
    more = f" and {len(code) - _NAMED} more" if len(code) > _NAMED else ""
    return (
        f"code that nobody listed runs beside open-webui's and could read the keys: {names}{more}"
    )


def _storage_encrypted(sections: Sections, rules: WorkloadRules) -> Iterator[Violation]:
    for name in SECRET:
        stored = sections.storage.get(name)
        if stored is None:
            yield Violation("storage-encrypted", name, "not known where")
        elif not stored.is_kept:
            yield Violation("storage-encrypted", name, f"{quoted(stored.kind)}, not secret there")


def _no_administrator_reads(sections: Sections, rules: WorkloadRules) -> Iterator[Violation]:
    for name in (READS, EXPORTS):
        found = sections.people.get(name, NOT_KNOWN)
        if found is not False:
            answer = "yes" if found is True else "not known"
            yield Violation("no-administrator-reads", name, answer)


def _environment_without_unlisted(sections: Sections, rules: WorkloadRules) -> Iterator[Violation]:
    name, environment = "environment-without-unlisted", sections.fact("environment")
    count = environment.get("unlisted_files")
    if count != 0:
        found = "not measured" if count is None else f"{count} files that no distribution names"
        yield Violation(name, "", found)
    elif environment.get("bytecode") != NO_BYTECODE:
        yield Violation(name, "", "compiled modules that may not be what their sources say")


_REQUIRED = {
    "no-model-outside": _no_model_outside,
    "no-unlisted-function": _no_unlisted_function,
    "storage-encrypted": _storage_encrypted,
    "no-administrator-reads": _no_administrator_reads,
    "environment-without-unlisted": _environment_without_unlisted,
}


# --- the chosen model -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Chosen:
    """Where a chat's words go: `what` is the kind of model that counts, the chosen one or another.

    `code` is model-inside, model-being-measured, model-not-known or model-outside.
    """

    code: str
    address: str = ""
    what: str = "model"

    @property
    def is_ok(self) -> bool:
        return self.code == "model-inside"

    def to_dict(self) -> dict[str, str]:
        """The same as JSON members."""
        level = OK if self.is_ok else AMBER
        return {"level": level, **vars(self)}

    def __str__(self) -> str:
        at = f" at {quoted(self.address)}" if self.address else ""
        return f"the {self.what} {_CHOSEN[self.code]}{at}"


_CHOSEN = {
    "model-inside": "runs inside",
    "model-being-measured": "runs inside, and its weights are still being measured,",
    "model-not-known": "may run outside: where it does is not known,",
    "model-outside": "runs outside of this TD,",
}
"""Code -> words, in the order from good to bad."""

_ORDER = tuple(_CHOSEN)


def choose(sections: Sections | None, model: str) -> Chosen:
    """Where a chat with the model goes, at worst: others may get its words for titles and tags."""
    places = list(_places(sections or Sections(), model))
    return max(places, key=lambda place: _ORDER.index(place.code))


def _places(sections: Sections, model: str) -> Iterator[Chosen]:
    offered = [each for each in sections.models if each.id == model]
    if not offered:
        yield Chosen("model-not-known")
    for each in offered:
        code = "model-being-measured" if each.is_being_measured else _code_of(each.where)
        yield Chosen(code, each.address)
    for way in sections.ways:
        if way.kind in TASK_MODELS and way.where != OFF:
            yield Chosen(_code_of(way.where), way.address, way.kind)
    if not sections.all_ways:
        yield Chosen("model-not-known", "", TASK_MODELS[0])


def _code_of(where: str) -> str:
    return f"model-{where if where in (INSIDE, OUTSIDE) else NOT_KNOWN}"


def with_model(check: Check, chosen: Chosen | None) -> Check:
    """The check of somebody who chats with a model: a warning where that is not inside."""
    if chosen is None or chosen.is_ok or check.outcome in (FAIL, WARN):
        return check
    return Check(check.id, WARN, str(chosen), chosen.code, check.until)


def warned_keys(check: Check, workload: Workload) -> Check:
    """Check key-binding, with a warning where something that runs could read the keys."""
    if not workload.reads_keys or check.outcome == FAIL:
        return check
    detail = f"{check.detail}; code that nobody listed runs in there and could read the keys"
    return Check(check.id, WARN, detail, UNLISTED, check.until)
