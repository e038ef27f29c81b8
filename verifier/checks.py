"""Checks and their outcomes: the same ids and rules as in the page (docs/evidence.md)."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

PASS, WARN, FAIL, SKIPPED = "pass", "warn", "fail", "skipped"

NOT_RUN = "not-run"
"""The code of a check that failed because it had to run and did not."""

CHECK_IDS = (
    "evidence-format",
    "nonce-binding",
    "key-binding",
    "event-log",
    "workload",
    "token-signature",
    "token-claims",
    "quote-signature",
    "collateral",
    "tcb-status",
    "td-attributes",
    "reference-values",
    "appraisal",
    "not-simulated",
)
"""Every check outside the browser, in the order in which they are shown."""

REQUIRED = frozenset(
    {
        "evidence-format",
        "nonce-binding",
        "quote-signature",
        "collateral",
        "tcb-status",
        "td-attributes",
        "not-simulated",
    }
)
"""What must have run for a local verification to count: skipped here is failed."""

REQUIRED_OF_SERVICE = frozenset(
    {
        "evidence-format",
        "nonce-binding",
        "token-signature",
        "token-claims",
        "td-attributes",
        "appraisal",
        "not-simulated",
    }
)
"""The same where an attestation service verifies the quote."""


ASKED_LIVE = frozenset({"key-binding"})
"""What must have run besides where the server itself was asked, and not a file."""


@dataclass(frozen=True)
class Check:
    """One check's outcome: pass, warn, fail or skipped, and why.

    `until` is when such an outcome ends by itself, in seconds since 1970.
    """

    id: str
    outcome: str
    detail: str
    code: str = ""
    until: float = math.inf

    def to_dict(self) -> dict[str, str]:
        """The check as JSON members."""
        return {"id": self.id, "outcome": self.outcome, "detail": self.detail, "code": self.code}


def complete(found: Iterable[Check], required: Collection[str] = REQUIRED) -> tuple[Check, ...]:
    """All checks in order; one that is missing is skipped, and failed where it is required."""
    by_id = {check.id: check for check in found}
    return tuple(
        _settled(by_id.get(name) or Check(name, SKIPPED, _why_not(name, required)), required)
        for name in CHECK_IDS
    )


def derive_result(checks: Iterable[Check]) -> str:
    """The overall outcome: any fail fails, else any warning warns, else it passes."""
    outcomes = {check.outcome for check in checks}
    if FAIL in outcomes:
        return FAIL
    return WARN if WARN in outcomes else PASS


def _settled(check: Check, required: Collection[str]) -> Check:
    if check.outcome == SKIPPED and check.id in required:
        return Check(check.id, FAIL, f"did not run: {check.detail}", NOT_RUN)
    return check


def _why_not(name: str, required: Collection[str]) -> str:
    if name in required:
        return "an earlier check failed"
    if name in REQUIRED_OF_SERVICE:
        return "verified here, without an attestation service"
    return "left to the attestation service" if name in REQUIRED else "an earlier check failed"
