"""Checks and their outcomes: the same ids and rules as in the page (docs/evidence.md)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

PASS, WARN, FAIL, SKIPPED = "pass", "warn", "fail", "skipped"

NOT_RUN = "not-run"
"""The code of a check that failed because it had to run and did not."""

CHECK_IDS = (
    "evidence-format",
    "nonce-binding",
    "token-signature",
    "token-claims",
    "quote-signature",
    "collateral",
    "tcb-status",
    "td-attributes",
    "event-log",
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


@dataclass(frozen=True)
class Check:
    """One check's outcome: pass, warn, fail or skipped, and why."""

    id: str
    outcome: str
    detail: str
    code: str = ""

    def to_dict(self) -> dict[str, str]:
        """The check as JSON members."""
        return asdict(self)


def complete(found: Iterable[Check]) -> tuple[Check, ...]:
    """All checks in order; one that is missing is skipped, and failed where it is required."""
    by_id = {check.id: check for check in found}
    return tuple(
        _settled(by_id.get(name) or Check(name, SKIPPED, _why_not(name))) for name in CHECK_IDS
    )


def derive_result(checks: Iterable[Check]) -> str:
    """The overall outcome: any fail fails, else any warning warns, else it passes."""
    outcomes = {check.outcome for check in checks}
    if FAIL in outcomes:
        return FAIL
    return WARN if WARN in outcomes else PASS


def _settled(check: Check) -> Check:
    if check.outcome == SKIPPED and check.id in REQUIRED:
        return Check(check.id, FAIL, f"did not run: {check.detail}", NOT_RUN)
    return check


def _why_not(name: str) -> str:
    if name in ("token-signature", "token-claims", "appraisal"):
        return "verified here, without an attestation service"
    return "an earlier check failed"
