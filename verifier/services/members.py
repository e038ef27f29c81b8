"""Which members a service's token has, and what each has to be: `claims.json`.

The page reads the same table (web/src/providers/members.ts). A *generation* is a set of names:
`trustee` is EAR as Trustee up to v0.21 spells it, `04` that of draft-ietf-rats-ear-04, `simple`
Trustee's older token, which Alibaba Cloud's service has too. A rule's `missing` and `other` are the
codes that follow where a member is not there, or is of another type; without a code nothing
follows. What a service tells of the platform is never required here: policies ask for it.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

Object = Mapping[str, Any]

CLAIM, APPRAISAL = "token-claim", "appraisal"


@dataclass(frozen=True)
class Rule:
    """What one member has to be; `check` is the one that it counts for."""

    type: str
    role: str = ""
    check: str = ""
    missing: str = ""
    other: str = ""

    def verdict(self, holder: Object, name: str) -> str:
        """The code that follows from the member as it is; empty where it is in order."""
        if name not in holder:
            return self.missing
        return "" if self.fits(holder[name]) else self.other

    def fits(self, value: object) -> bool:
        """Whether a value is of the type."""
        return _TYPES[self.type](value)


Rules = Mapping[str, Rule]


@dataclass(frozen=True)
class Generation:
    """The names of one kind of token, in its payload and in each of its submodules."""

    profiles: frozenset[str]
    old_statuses: bool
    payload: Rules
    submodule: Rules

    def named(self, role: str) -> str:
        """The submodules' member with this role; empty where there is none."""
        return next((name for name, rule in self.submodule.items() if rule.role == role), "")


def _read() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("claims.json").read_text("utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


def _rules(table: Mapping[str, Mapping[str, str]]) -> Rules:
    return {name: Rule(**rule) for name, rule in table.items()}


_TABLE = _read()

GENERATIONS = {
    name: Generation(
        frozenset(each["profiles"]),
        each["old_statuses"],
        _rules(each["payload"]),
        _rules(each["submodule"]),
    )
    for name, each in _TABLE["generations"].items()
}

_NAMES = frozenset(
    name for each in GENERATIONS.values() for name in (*each.payload, *each.submodule)
)
"""Every name that belongs to one kind of token, and to no other."""

PLATFORM = _rules(_TABLE["platform"])
"""What a service may tell of the platform and of the collateral."""

IN_DATE: str = _TABLE["in_date"]
"""`collateral_expiration_status` where all of it is in date."""

ASKED_POLICY: str = _TABLE["policy"]
"""The policy that a service applies where it is asked for none, as it is here. Another one was
chosen by whoever passed the request on."""

TIERS: tuple[str, ...] = tuple(_TABLE["tiers"])

_OLD_STATUSES: Mapping[str, str] = _TABLE["old_statuses"]
"""Trustee's own names for TCB statuses, up to v0.14, and Intel's."""


# --- types ---------------------------------------------------------------------------------------


def whole(value: object) -> int | None:
    """A whole number, also one that is written 1.0; JavaScript knows no difference."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 1 << 53:
        return None
    return value


def moment(value: object) -> datetime.datetime | None:
    """A date with a time in UTC (RFC 3339), or None. Parts of seconds do not count."""
    shape = r"([1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2})"
    text = value if isinstance(value, str) else ""
    found = re.fullmatch(shape + r"(\.[0-9]{1,9})?(Z|\+00:00)", text)
    try:
        return found and datetime.datetime.fromisoformat(f"{found[1]}+00:00")
    except ValueError:
        return None


def _is_text(value: object) -> Any:
    return isinstance(value, str)


def _is_vector(value: object) -> bool:
    """A trustworthiness vector (draft-ietf-rats-ar4si, section 2.3): claims from -128 to 127."""
    return isinstance(value, dict) and all(
        re.fullmatch("[a-z][a-z-]{0,31}", name)
        and (number := whole(claim)) is not None
        and -128 <= number <= 127
        for name, claim in value.items()
    )


_TYPES: Mapping[str, Callable[[object], bool]] = {
    "any": lambda _: True,
    "boolean": lambda value: isinstance(value, bool),
    "count": lambda value: (number := whole(value)) is not None and number >= 0,
    "list": lambda value: isinstance(value, list),
    "moment": lambda value: moment(value) is not None,
    "object": lambda value: isinstance(value, dict),
    "policies": lambda value: (
        isinstance(value, list) and value != [] and all(each == ASKED_POLICY for each in value)
    ),
    "policy": lambda value: value == ASKED_POLICY,
    "text": _is_text,
    "texts": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "tier": lambda value: _is_text(value) and value in TIERS,
    "vector": _is_vector,
}


# --- one kind of token ---------------------------------------------------------------------------


def generation_of(payload: Object, submods: Sequence[object]) -> Generation:
    """The names that a token has to keep to; the newer ones where it has both."""
    if "submods" not in payload:
        return GENERATIONS["simple"]
    new, profile = GENERATIONS["04"], payload.get("eat_profile")
    names = {*payload, *(name for part in submods if isinstance(part, dict) for name in part)}
    is_new = isinstance(profile, str) and profile in new.profiles
    return new if is_new or names & {*new.payload, *new.submodule} else GENERATIONS["trustee"]


def first_fault(payload: Object, submods: Sequence[object], generation: Generation) -> str:
    """The first member that makes this no token of one kind; empty where there is none.

    Names of two generations, a verdict outside of the submodules or inside one of them: of two
    readers each could find another status.
    """
    own = {*generation.payload, *generation.submodule}
    faults = [
        _fault(payload, generation.payload, _NAMES - {*generation.payload}),
        *(
            _fault(part, generation.submodule, {*_NAMES - own, "submods"})
            for part in submods
            if isinstance(part, dict)
        ),
    ]
    return next(filter(None, faults), "")


def _fault(holder: Object, rules: Rules, refused: Set[str]) -> str:
    """The first name that may not be in an object, or that is not what it must be."""
    foreign = [name for name in holder if name in refused]
    wrong = [name for name, rule in rules.items() if rule.verdict(holder, name) == CLAIM]
    return next(iter(foreign + wrong), "")


# --- what a service tells ------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """What a service tells of platform and collateral (the names are Trustee's).

    `values` are those of the type that counts, `wrong` the names of judged ones of another type,
    `differing` is one that is told twice, and differently.
    """

    values: Object = field(default_factory=dict)
    wrong: tuple[str, ...] = ()
    differing: str = ""

    def wrong_for(self, check: str) -> list[str]:
        """The names among `wrong` that this check is about."""
        return [name for name in self.wrong if PLATFORM[name].check == check]


def read_platform(places: Sequence[object], generation: Generation) -> Told:
    """What is told in any of these objects."""
    holders = [place for place in places if isinstance(place, dict)]
    values: dict[str, Any] = {}
    wrong = []
    differing = ""
    for name, rule in PLATFORM.items():
        told = [holder[name] for holder in holders if name in holder]
        if not told:
            continue
        if any(_form(each) != _form(told[0]) for each in told):
            differing = differing or name
        elif rule.fits(told[0]):
            values[name] = whole(told[0]) if rule.type == "count" else told[0]
        elif rule.other:
            wrong.append(name)
    if generation.old_statuses and "tcb_status" in values:
        values["tcb_status"] = _OLD_STATUSES.get(values["tcb_status"], values["tcb_status"])
    return Told(values, tuple(wrong), differing)


def _form(value: object) -> str:
    """A value's text, by which two of them are compared."""
    number = whole(value)
    return json.dumps(value if number is None else number)
