"""A service's verdict on the TD: the status of every submodule, and its trustworthiness vector.

The rules are the page's (web/src/providers/verdicts.ts).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from ..checks import FAIL, PASS, WARN, Check
from .members import APPRAISAL, Generation, Rule

_SHOWN = 300
"""Characters of a service's own words that anyone needs to see."""

_WORDS: Mapping[str, Mapping[str, str]] = json.loads(
    resources.files(__package__).joinpath("trust_words.json").read_text("utf-8")
)
"""What a claim's value means (draft-ietf-rats-ar4si, section 2.3.4); `*` for all claims."""

_OUTCOMES = {"affirming": PASS, "warning": WARN}
"""Of each tier; of every other one it is a failure."""

_MISSING = "missing"

Vector = Mapping[str, int]


@dataclass(frozen=True)
class _Verdict:
    """One submodule's status, `shown` as it is written, and its vector."""

    status: str
    shown: str
    vector: Vector

    @property
    def outcome(self) -> str:
        """The worst of status and vector: a token may not approve of what it warns of."""
        tiers = (tier_of(value) for value in self.vector.values())
        told = [self.status, *(tier for tier in tiers if tier != "none")]
        return _worst(_OUTCOMES.get(tier, FAIL) for tier in told)


def appraise(submods: Sequence[object], generation: Generation) -> Check:
    """Every submodule's verdict counts, the worst one wins."""
    verdicts = [_verdict(part, generation) for part in submods]
    if not verdicts:
        return Check("appraisal", FAIL, f"the service's verdict is {_MISSING}", APPRAISAL)
    outcome = _worst(verdict.outcome for verdict in verdicts)
    if outcome == PASS:
        return Check("appraisal", PASS, "the service's verdict is affirming")
    worst = next(verdict for verdict in verdicts if verdict.outcome == outcome)
    claims = [claim for verdict in verdicts for claim in _remarkable(verdict)]
    words = ", ".join(dict.fromkeys(_in_words(name, value) for name, value in claims))
    detail = f"the service's verdict is {worst.shown}" + (f": {words}" if words else "")
    return Check("appraisal", outcome, detail, APPRAISAL)


def tier_of(value: int) -> str:
    """The tier of a claim's value (draft-ietf-rats-ar4si, section 2.3.2)."""
    if -1 <= value <= 1:
        return "none"
    if -32 <= value < 32:
        return "affirming"
    return "warning" if -96 <= value < 96 else "contraindicated"


def _verdict(part: object, generation: Generation) -> _Verdict:
    """A submodule's; one with a member that is not what it must be has none."""
    if not isinstance(part, dict):
        return _Verdict(_MISSING, _MISSING, {})
    for name, rule in generation.submodule.items():
        if rule.verdict(part, name) == APPRAISAL:
            return _Verdict(_MISSING, _in_place(part, name, rule), {})
    status = part[generation.named("status")]
    vector = part.get(generation.named("vector"), {})
    return _Verdict(status, status, {name: int(value) for name, value in vector.items()})


def _in_place(part: Mapping[str, object], name: str, rule: Rule) -> str:
    """What stands in the place of a verdict, to be shown."""
    if rule.role != "status":
        return name
    return str(part[name])[:_SHOWN] if name in part else _MISSING


def _worst(outcomes: Iterable[str]) -> str:
    found = set(outcomes)
    return next((outcome for outcome in (FAIL, WARN) if outcome in found), PASS)


def _remarkable(verdict: _Verdict) -> list[tuple[str, int]]:
    """The claims that say why it does not affirm: zeros only where there is nothing else."""
    if verdict.outcome == PASS:
        return []
    claims = [item for item in verdict.vector.items() if tier_of(item[1]) != "affirming"]
    return [item for item in claims if item[1] != 0] or claims


def _in_words(name: str, value: int) -> str:
    meaning = _WORDS.get(name, {}).get(str(value)) or _WORDS["*"].get(str(value))
    return f"{name} {value} ({tier_of(value)}{f': {meaning}' if meaning else ''})"
