"""The state of a platform, held against the policy: check 12 (tcb-status).

The same rules whoever tells the state: our own verification, or an attestation service, which may
tell a part of it only. The page has them in web/src/policy/policy.ts.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

from .checks import FAIL, PASS, WARN, Check
from .policy import DEFAULT, FORBID, Policy
from .tcb import RELAUNCH, RELAUNCH_CONFIGURATION

_NAME = "tcb-status"

_GRACED = ("OutOfDate", "OutOfDateConfigurationNeeded")
"""The statuses that a policy can bear for a time after a recovery of Intel's TCB."""

_LAST = datetime.datetime.max.replace(tzinfo=datetime.UTC, microsecond=0).timestamp()
"""The last second that a calendar has, for an end that is told."""

_RESTART = "started under old firmware; the host is updated: restart the TD"

FLAGS = {
    "dynamic_platform": "is_dynamic_platform",
    "cached_keys": "is_cached_keys",
    "smt": "is_smt_enabled",
}
"""What a PCK certificate says of its machine, and how attestation services call that."""


@dataclass(frozen=True)
class PlatformState:
    """The platform's state, as far as it is known; None is what nobody tells.

    `flags` has names of FLAGS. `short` is what is not up to date, part by part, as far as known.
    """

    status: str | None = None
    advisory_ids: tuple[str, ...] | None = None
    date: datetime.datetime | None = None
    evaluation: int | None = None
    flags: dict[str, bool] | None = None
    short: tuple[str, ...] = ()


def untold(told: PlatformState, policy: Policy) -> list[str]:
    """What the policy asks for and nobody tells, by Trustee's names."""
    asked = {
        "tcb_status": (True, told.status),
        "advisory_ids": (
            policy.advisories is not None or policy.refused_advisories,
            told.advisory_ids,
        ),
        "tcb_date": (policy.min_date is not None, told.date),
        "tcb_eval_num": (policy.min_evaluation is not None, told.evaluation),
        **{FLAGS[name]: (True, (told.flags or {}).get(name)) for name in _forbidden(policy)},
    }
    return [name for name, (wanted, value) in asked.items() if wanted and value is None]


def asks_for_more(policy: Policy) -> bool:
    """Whether the policy asks for another state than the usual one does."""
    members = (
        "passing",
        "warning",
        "advisories",
        "refused_advisories",
        "min_date",
        "min_evaluation",
        "tcb_grace",
        "platform",
    )
    return any(getattr(policy, name) != getattr(DEFAULT, name) for name in members)


def judge(told: PlatformState, policy: Policy, now: float) -> Check:
    """Judge a state of which all is told that the policy asks for, as of `now`."""
    flags = told.flags or {}
    refused = [name for name in _forbidden(policy) if flags.get(name) is not False]
    if refused:
        return Check(_NAME, FAIL, f"the policy forbids {', '.join(refused)}", "platform-refused")
    found = _status(told, policy, now)
    if found.outcome == FAIL:
        return found
    problem = next(_problems(told, policy, found.detail), None)
    return problem or found


def _forbidden(policy: Policy) -> list[str]:
    return [name for name in FLAGS if policy.platform.get(name) == FORBID]


def _status(told: PlatformState, policy: Policy, now: float) -> Check:
    status, ids = told.status or "", told.advisory_ids or ()
    shown = f"{status} ({', '.join(ids)})" if ids else status
    code = "tcb-status"
    if status in (RELAUNCH, RELAUNCH_CONFIGURATION):
        code, shown = "tcb-relaunch", f"{shown}: {_RESTART}"
    if told.short:
        shown = f"{shown}; not up to date, as has < needs: {', '.join(told.short)}"
    if status in policy.passing:
        return Check(_NAME, PASS, shown)
    if status in policy.warning:
        return Check(_NAME, WARN, shown, code)
    until = _grace_end(told, policy)
    if until is None or now > until:
        return Check(_NAME, FAIL, shown, code)
    end = datetime.datetime.fromtimestamp(min(until, _LAST), datetime.UTC)
    return Check(
        _NAME, WARN, f"{shown}: borne until {end:%Y-%m-%dT%H:%M:%SZ}", "tcb-grace", until=until
    )


def _grace_end(told: PlatformState, policy: Policy) -> float | None:
    """Up to when the policy bears this state, in seconds since 1970; None where it does not."""
    if policy.tcb_grace is None or told.status not in _GRACED or told.date is None:
        return None
    return told.date.timestamp() + policy.tcb_grace


def _problems(told: PlatformState, policy: Policy, shown: str) -> Iterator[Check]:
    ids = set(told.advisory_ids or ())
    others = set() if policy.advisories is None else ids - policy.advisories
    if intolerable := others | (ids & policy.refused_advisories):
        detail = f"{shown}: the policy does not tolerate {', '.join(sorted(intolerable))}"
        yield Check(_NAME, FAIL, detail, "tcb-advisory")
    date, floor = told.date, policy.min_date
    if floor is not None and (date is None or date < floor):
        detail = f"{told.status}, of {date:%Y-%m-%d}: too old for the policy" if date else shown
        yield Check(_NAME, FAIL, detail, "tcb-old")
    number, least = told.evaluation, policy.min_evaluation
    if least is not None and (number is None or number < least):
        detail = f"{told.status} by evaluation {number}: the policy asks for {least}"
        yield Check(_NAME, FAIL, detail, "tcb-evaluation")
