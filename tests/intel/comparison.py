"""Holds what Intel's library says of a case against what ours say, and the table of differences."""

from __future__ import annotations

import datetime
import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .accepted_differences import ACCEPTS, FAILS, REFUSES, REPORTS, Difference
from .oracle import Answer, Judged, NoAnswerError

VERIFIED = ("evidence-format", "collateral", "quote-signature")
"""The checks that Intel's library makes as well; all others hold a result against a policy."""

UNFIT = ("tcb-unknown", "tdx-module", "tcb-revoked")
"""The reasons of `tcb-status` that are no policy's: no status of a kind that could be accepted."""


@dataclass(frozen=True)
class Deviation:
    """One case of which Intel's library says something else: what it does, and both in words."""

    case: str
    does: str
    words: str


@dataclass
class Comparison:
    """All that differs, sorted by the table: what each line covers, what none does, what is stale.

    `stale` are patterns of the table without a case that differs in the way that their line says.
    """

    accepted: dict[Difference, list[Deviation]] = field(default_factory=dict)
    others: list[Deviation] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)


def compare(deviations: Sequence[Deviation], table: Iterable[Difference]) -> Comparison:
    """Sort deviations by the lines of the table."""
    found = Comparison()
    covered: set[Deviation] = set()
    for line in table:
        of_kind = [item for item in deviations if item.does == line.does]
        mine = []
        for pattern in line.cases:
            matching = [item for item in of_kind if fnmatch.fnmatchcase(item.case, pattern)]
            if not matching:
                found.stale.append(f"{line.does}: {pattern}")
            mine += [item for item in matching if item not in mine]
        found.accepted[line] = mine
        covered.update(mine)
    found.others = [item for item in deviations if item not in covered]
    return found


def deviation(
    case: str, intel: Answer | NoAnswerError, ours: Mapping[str, Any]
) -> Deviation | None:
    """What Intel's library says otherwise than our adapter's answer, or None."""
    if isinstance(intel, NoAnswerError):
        return Deviation(case, FAILS, str(intel))
    refusal = refused(ours)
    if intel.accepted and refusal:
        return Deviation(case, ACCEPTS, f"{intel.status}; ours refuse: {refusal}")
    if not intel.accepted and not refusal:
        return Deviation(case, REFUSES, f"{intel.code}; ours say {ours['status']}")
    told = _told(intel, ours) if intel.accepted else []
    return Deviation(case, REPORTS, "; ".join(told)) if told else None


def refused(ours: Mapping[str, Any]) -> str | None:
    """Why ours refuse the evidence, whatever a policy says; None where they do not."""
    for check in ours["checks"]:
        fails = check["outcome"] == "fail"
        if fails and (check["id"] in VERIFIED or check["reason"] in UNFIT):
            return f"{check['id']} {check['reason']}"
    return None


def _told(intel: Answer, ours: Mapping[str, Any]) -> list[str]:
    """What is told otherwise of evidence that both accept.

    The library calls its launch status by the relaunch, ours only the status as a whole.
    """
    numbers = ours["evaluation"]
    pairs = [
        ("status", intel.status, ours["status"]),
        ("evaluation", intel.evaluation, min(numbers["tcb_info"], numbers["qe_identity"])),
        *_parts("launch", intel.launch, ours["launch"])[1:],
    ]
    if intel.current and ours["current"]:
        pairs += _parts("current", intel.current, ours["current"])
    return [f"{name} {theirs}; ours say {mine}" for name, theirs, mine in pairs if theirs != mine]


def _parts(name: str, intel: Judged | None, ours: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    assert intel is not None
    return [
        (f"{name} status", intel.status, ours["status"]),
        (f"{name} date", _date(intel.date), ours["date"]),
        (f"{name} advisories", sorted(intel.advisories), sorted(ours["advisories"])),
    ]


def _date(seconds: int) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
