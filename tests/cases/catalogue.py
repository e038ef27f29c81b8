"""The catalogue of cases: what is wrong in each, and which check has to say so.

A case is one line: a name, the check (numbers of docs/verification.md), what the verdict must be,
and the mutation. Where several checks could tell, the first in this order has to: evidence-format,
collateral, quote-signature, tcb-status, td-attributes, reference-values.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .world import KINDS, World

FORMAT, COLLATERAL, SIGNATURE, STATUS, ATTRIBUTES, REFERENCES = (
    "evidence-format",
    "collateral",
    "quote-signature",
    "tcb-status",
    "td-attributes",
    "reference-values",
)
ACCEPTED, REJECTED, MALFORMED = "accepted", "rejected", "malformed"

REASONS = {
    (FORMAT, 1): "quote-malformed",
    (COLLATERAL, 0): "collateral-malformed",
    (COLLATERAL, 2): "signer-chain",
    (COLLATERAL, 3): "crl-invalid",
    **dict.fromkeys([(COLLATERAL, n) for n in (4, 5, 8, 10, 11, 12)], "collateral-malformed"),
    (SIGNATURE, 2): "chain",
    (SIGNATURE, 3): "chain",
    (SIGNATURE, 6): "qe-report-forged",
    (SIGNATURE, 7): "attestation-key",
    (SIGNATURE, 8): "qe-unknown",
    (SIGNATURE, 9): "quote-forged",
    (SIGNATURE, 10): "pck-malformed",
    (STATUS, 8): "tcb-unknown",
    (STATUS, 10): "tcb-unknown",
    (STATUS, 11): "tdx-module",
    (STATUS, 12): "tcb-status",
    (REFERENCES, 13): "reference-values",
    (REFERENCES, 14): "reference-values",
}
"""What a check says by default in a step of docs/verification.md; other reasons are named."""

Change = Callable[[World], Any]
Facts = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One case. `failing` is the check that must fail first, `status` the TCB status to report.

    `number` is that of the check in docs/verification.md, 0 for the case document itself. `reason`
    is the word that both verifiers have to give for that failure, None where nothing fails. `told`
    are further members of the answer, where the case is about them.
    """

    name: str
    number: int
    kind: str
    expected: str
    failing: str | None
    status: str | None
    case: Any
    reason: str | None = None
    told: Facts | None = None


@dataclass(frozen=True)
class Entry:
    """A line of the catalogue, before the world is made."""

    name: str
    number: int
    expected: str
    failing: str | None
    status: str | None
    change: Change
    kinds: tuple[str, ...]
    rewrite: Callable[[Any], Any] | None = None
    reason: str | None = None
    told: Facts | None = None


def good(
    name: str,
    number: int,
    change: Change,
    status: str = "UpToDate",
    *kinds: str,
    told: Facts | None = None,
) -> Entry:
    """Must be accepted, with `status`."""
    return Entry(name, number, ACCEPTED, None, status, change, kinds or ("v4",), told=told)


def bad(
    name: str,
    number: int,
    failing: str,
    change: Change,
    *kinds: str,
    status: str | None = None,
    reason: str | None = None,
    told: Facts | None = None,
) -> Entry:
    """Must be rejected by `failing`. The status is known once the TCB has been looked at."""
    reason = reason or REASONS[failing, number]
    if failing in (ATTRIBUTES, REFERENCES) and status is None:
        status = "UpToDate"
    kinds = kinds or ("v4",)
    return Entry(name, number, REJECTED, failing, status, change, kinds, None, reason, told)


def malformed(
    name: str,
    rewrite: Callable[[Any], Any] | None = None,
    change: Change = lambda world: None,
) -> Entry:
    """Must be refused as something that is no case; `rewrite` makes it from a good one."""
    return Entry(name, 0, MALFORMED, None, None, change, ("v4",), rewrite)


@functools.cache
def generate() -> tuple[Case, ...]:
    """Every case."""
    cases = tuple(_cases())
    assert len({case.name for case in cases}) == len(cases)
    return cases


def all_with(also: Change) -> Iterator[Case]:
    """Every case again, with one more change that should not matter."""
    return _cases(also)


def _cases(also: Change = lambda world: None) -> Iterator[Case]:
    # They use the words above.
    from . import chains, documents, graces, lists, orders, profile, quotes, roots, settings, tcb

    sections = (chains, profile, roots, lists, documents, tcb, quotes, settings, graces, orders)
    for section in sections:
        for entry in section.ENTRIES:
            for kind in entry.kinds:
                yield _made(entry, kind, also)


def _made(entry: Entry, kind: str, also: Change) -> Case:
    assert kind in KINDS
    world = World(kind)
    entry.change(world)
    also(world)
    case = world.case()
    if entry.rewrite:
        case = entry.rewrite(copy.deepcopy(case))
    name = entry.name if len(entry.kinds) == 1 else f"{entry.name}/{kind}"
    expected, failing, status = entry.expected, entry.failing, entry.status
    return Case(name, entry.number, kind, expected, failing, status, case, entry.reason, entry.told)


# --- words for mutations -------------------------------------------------------------------------


def certificate(name: str, **fields: Any) -> Change:
    """Set fields of a certificate."""
    return lambda world: _set(world.certificates[name], fields)


def revocations(name: str, **fields: Any) -> Change:
    """Set fields of `root_list` or `pck_list`."""
    return lambda world: _set(getattr(world, name), fields)


def document(name: str, **members: Any) -> Change:
    """Set members of `tcb_info` or `qe_identity`; None removes one."""

    def change(world: World) -> None:
        value = getattr(world, name).value
        value.update(members)
        for member in [key for key, item in members.items() if item is None]:
            del value[member]

    return change


def spelled(name: str, **fields: Any) -> Change:
    """Set how a document is written or signed."""
    return lambda world: _set(getattr(world, name), fields)


def world(**fields: Any) -> Change:
    """Set fields of the world itself."""
    return lambda world: _set(world, fields)


def body(**fields: bytes) -> Change:
    """Set body fields before the quote is signed."""
    return lambda world: world.body.update(fields)


def qe(**fields: Any) -> Change:
    """Set fields of the QE report before it is signed."""
    return lambda world: _set(world.qe_report, fields)


def policy(**members: Any) -> Change:
    """A policy with these members."""
    return lambda world: _set(world, {"policy": {"v": 1, **members}})


def both(*changes: Change) -> Change:
    """Several changes that are one fault together."""

    def change(world: World) -> None:
        for item in changes:
            item(world)

    return change


def _set(target: object, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        assert hasattr(target, name), name
        setattr(target, name, value)
