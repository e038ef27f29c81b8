"""One verification of one evidence document, every check with its outcome.

Pure: the document, the nonce, the trust and the time come in as arguments.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography import x509

from quote_generator.errors import BadInput
from quote_generator.quote import Body, Quote, parse_quote
from quote_generator.sealing.keyset import Keyset

from .appraisal import Rejected, Trust, Verdict, verify
from .bindings import UNBOUND, Ask, age, bound_keys, describe_key, held_key, nonce_binding
from .certificates import UNREADABLE
from .checks import (
    ASKED_LIVE,
    FAIL,
    NOT_RUN,
    PASS,
    REQUIRED,
    REQUIRED_OF_SERVICE,
    SKIPPED,
    WARN,
    Check,
    complete,
    derive_result,
)
from .evaluations import Evaluation
from .eventlogs import Replayed, judge_logs, replay_logs
from .evidence_document import Evidence, read_evidence
from .grounds import Grounds
from .policy import DEFAULT, Policy, read_references
from .problems import Unreachable
from .tcb import State
from .tcb_rules import PlatformState, asks_for_more, judge, untold
from .td import check_attributes, check_td
from .times import rfc3339
from .workload import Chosen, Given, Workload, choose, judge_workload, warned_keys, with_model
from .workload_changes import Memory

if TYPE_CHECKING:
    # These bring an HTTP client along.
    from .services.relying import Opinion

__all__ = [
    "ReferenceValues",
    "Report",
    "audit",
    "check_quote",
    "check_references",
    "describe",
    "read_references",
]

ReferenceValues = Mapping[str, Collection[str]]
"""Body field name -> the values (lower-case hex) of which the quote's must be one."""

AskSections = Callable[[Keyset], Any]
"""Brings the sections of the statement, sealed to a keyset whose holder answered.

Raises Unreachable where they are not to be had.
"""

_COVERING = frozenset({"mr_td", "rtmr_0", "rtmr_1", "rtmr_2"})
"""Fields whose reference values vouch for firmware, kernel and root file system."""

_STOPPED = ("collateral", "quote-signature", "tcb-status")
"""The order in which a verification looks: where it stops, everything before has passed."""

_WITHOUT_LISTS = ("chain", "pck-malformed")
"""Reasons to stop before the PCK list was looked at: not all of the collateral has passed then."""

_SIMULATION = "SIMULATION"
"""What the organisation of a simulator's certificates ends with."""

_UNREAD_LOG = Check("event-log", SKIPPED, "an earlier check failed", NOT_RUN)


@dataclass(frozen=True)
class Report:
    """The result of a verification: `result` is pass, warn or fail.

    `keys` are those that the quote binds, where their holder answered, and `statement` is the hash
    of what the TD states beside them. `workload` is what runs in the TD, where the quote binds what
    it states, and `model` where a chat with the chosen one goes.
    """

    checks: tuple[Check, ...]
    quote: Quote | None = None
    verdict: Verdict | None = None
    opinion: Opinion | None = None
    grounds: Grounds | None = None
    logs: Replayed | None = None
    keys: Keyset | None = None
    statement: str | None = None
    workload: Workload | None = None
    model: Chosen | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def evaluation(self) -> Evaluation | None:
        """The edition of Intel's documents that was used, where they held."""
        return self.grounds.evaluation if self.grounds else None

    @property
    def result(self) -> str:
        """The overall outcome."""
        return derive_result(self.checks)

    @property
    def simulated(self) -> bool | None:
        """Whether anything says that no hardware made the evidence; None where none was read."""
        found = {check.id: check.outcome for check in self.checks}
        return found["not-simulated"] == WARN if self.quote else None

    def to_dict(self) -> dict[str, Any]:
        """The report for programs."""
        verdict = self.verdict
        told = self.opinion.tcb if self.opinion else None
        status = verdict.tcb_status if verdict else told.status if told else None
        advisory_ids = verdict.advisory_ids if verdict else told.advisory_ids if told else None
        return {
            "verified": self.result == PASS,
            "result": self.result,
            **self.notes,
            "checks": [check.to_dict() for check in self.checks],
            "root": self.verdict.root_name if self.verdict else None,
            "simulated": self.simulated,
            "tcb_status": status,
            "advisory_ids": list(advisory_ids or ()),
            "tcb": describe(verdict) if verdict else None,
            "tcb_evaluation": self._edition(),
            "told": self.told,
            "keys": self._keys(),
            "body": self.quote.body.to_dict() if self.quote else None,
            "events": self._events(),
            "workload": self._runs(),
        }

    def _runs(self) -> dict[str, Any] | None:
        """What runs in the TD, with the model that was chosen."""
        workload = self.told_workload
        return workload.to_dict(self.model) if workload else None

    @property
    def told_workload(self) -> Workload | None:
        """What is known of the workload: nothing counts where another check failed."""
        others = [check for check in self.checks if check.id != "workload"]
        return self.workload if derive_result(others) != FAIL else None

    def _edition(self) -> dict[str, str | int] | None:
        """The edition of Intel's documents: a service tells one number of it, or none."""
        if self.evaluation:
            return self.evaluation.to_dict()
        told = self.opinion.tcb.evaluation if self.opinion else None
        return None if told is None else {"lowest": told}

    def _keys(self) -> dict[str, str] | None:
        """The key to which requests can be sealed: nobody vouches for it where a check failed."""
        return describe_key(self.keys) if self.keys and self.result != FAIL else None

    @property
    def told(self) -> dict[str, Any]:
        """What a service tells of platform and collateral, by Trustee's names."""
        return dict(self.opinion.told.values) if self.opinion else {}

    def _events(self) -> list[dict[str, Any]]:
        """What the event logs tell: nothing is proven where a check failed."""
        if self.logs is None or self.result == FAIL:
            return []
        return [dataclasses.asdict(row) for row in self.logs.events]


def describe(verdict: Verdict) -> dict[str, Any]:
    """What Intel says of platform, TDX module and quoting enclave, and what that rests on."""
    judgement = verdict.judgement
    dates = judgement.dates
    return {
        "status": judgement.status,
        "launch": _state(judgement.launch),
        "current": _state(judgement.current) if judgement.current else None,
        "dates": {
            "platform": _date(dates.platform),
            "module": _date(dates.module) if dates.module else None,
            "qe": _date(dates.qe),
        },
        "short": list(judgement.short),
        "platform": dataclasses.asdict(verdict.grounds.flags) if verdict.grounds.flags else None,
        "crl_numbers": {
            "root": _digits(verdict.grounds.root_crl_number),
            "pck": _digits(verdict.grounds.pck_crl_number),
        },
        "earliest_expiry": rfc3339(verdict.expires),
        "second_opinion": verdict.not_asked or "dcap-qvl agrees",
    }


def _state(state: State) -> dict[str, Any]:
    return {
        "status": state.status,
        "advisories": list(state.advisory_ids),
        "date": _date(state.date),
    }


def _digits(number: int | None) -> str | None:
    """A number of any size, as text: not every reader of JSON could hold it."""
    return None if number is None else str(number)


def _date(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def audit(
    document: object,
    *,
    nonce: bytes | None,
    trust: Callable[[Quote], Trust],
    now: float,
    policy: Policy = DEFAULT,
    references: ReferenceValues | None = None,
    fetched: float | None = None,
    service: Callable[[Quote], Opinion] | None = None,
    ask: Ask | None = None,
    ask_sections: AskSections | None = None,
    before: Memory | None = None,
    model: str | None = None,
) -> Report:
    """Verify an evidence document (parsed JSON) as of `now`, seconds since 1970.

    `nonce` is the one that the relying party drew, None where it is not known. `trust` gives
    root and collateral for the quote, and may raise what its source raises. `references` go
    before the policy's own, field by field. `fetched` is when the evidence came, None where that
    is not known: it matters where the policy sets a maximum age. With `service` that
    one verifies the quote instead; it is asked only where the quote answers the nonce. `ask` asks
    the holder of the key that the quote binds, None for evidence whose server is not at hand, and
    `ask_sections` asks it for what the evidence only names: once everything else held, for it may
    send an API key. `before` is what was found of the workload the last time, `model` the id of the
    one with which somebody wants to chat. Never raises for what is wrong with the evidence.
    """
    required = REQUIRED if service is None else REQUIRED_OF_SERVICE
    required = required if ask is None else required | ASKED_LIVE
    try:
        evidence = read_evidence(document)
    except BadInput as error:
        return Report(complete([Check("evidence-format", FAIL, str(error), error.code)], required))
    given = {name: frozenset(values) for name, values in (references or {}).items()}
    expected = {**policy.reference_values, **given}
    policy = dataclasses.replace(policy, reference_values=expected)
    quote, (binding, runtime) = evidence.quote, nonce_binding(evidence, nonce)
    is_foreign = binding.code not in ("", "nonce-unknown")
    if binding.outcome == PASS and policy.max_age is not None:
        binding = age(binding, fetched, now, policy.max_age)
    live = ask is not None
    keys = bound_keys(evidence, runtime, policy, now, live=live) if runtime else None
    # Before anybody else is asked: services refuse honest TDs over logs that are told here.
    event_log, logs = (_UNREAD_LOG, None) if is_foreign else _event_log(evidence, policy)
    verdict, opinion, grounds = None, None, None
    found: list[Check] = []
    # Its holder has time to answer until everything else is known.
    wait = ask(keys) if ask and isinstance(keys, Keyset) else None
    if is_foreign:
        # Whatever was not made for this nonce costs nothing more: no log is read, nobody is asked.
        found = [_td_attributes(quote, policy, check_td if service is None else check_attributes)]
    elif service is None:
        try:
            verdict, grounds, found = check_quote(quote.raw, trust(quote), now, policy)
        except Rejected as error:  # the trust source itself may reject the quote
            found = [_failed(error)]
    else:
        found = [_td_attributes(quote, policy, check_attributes)]
        if binding.outcome == PASS:
            opinion = service(quote)
            found += [*opinion.checks, told_status(opinion, policy, now)]
    checks = [
        Check("evidence-format", PASS, f"a TDX quote, version {quote.header.version}"),
        binding,
        *found,
        event_log,
        check_references(quote, expected),
        _not_simulated(evidence, verdict, opinion),
    ]
    key = _key_binding(keys, wait, derive_result(checks))
    held = keys if isinstance(keys, Keyset) and key and key.outcome == PASS else None
    workload, chosen = None, None
    if runtime and not is_foreign and not (key and key.code == UNBOUND):
        stated = Given(
            version=runtime.version,
            statement=evidence.statement,
            sections=evidence.sections,
            lines=logs.lines if logs else None,
            is_covered=expected.keys() >= _COVERING,
            now=now,
        )
        if held and ask_sections and stated.are_withheld and _is_trusted([*checks, key], required):
            stated = dataclasses.replace(stated, sections=ask_sections(held))
        workload = judge_workload(stated, policy.workload, before)
        chosen = None if model is None else choose(workload.sections, model)
        checks.append(with_model(workload.check, chosen))
        key = key and warned_keys(key, workload)
    checks += [key] if key else []
    return Report(
        complete(checks, required),
        quote,
        verdict,
        opinion,
        grounds,
        logs,
        keys=held,
        statement=runtime.statement if held and runtime else None,
        workload=workload,
        model=chosen,
    )


# --- the checks ----------------------------------------------------------------------------------


def _is_trusted(checks: Iterable[Check | None], required: Collection[str]) -> bool:
    """Whether nothing failed, and nothing is left out that had to run."""
    found = complete((check for check in checks if check), required)
    return derive_result(found) != FAIL


def _key_binding(
    keys: Keyset | Check | None, wait: Callable[[], None] | None, otherwise: str
) -> Check | None:
    """The check of the keys; None where nobody knows, and the evidence failed `otherwise`."""
    if not isinstance(keys, Keyset) or wait is None:
        return keys if isinstance(keys, Check) else None
    try:
        return held_key(keys, wait)
    except Rejected as error:
        return _failed(error)
    except Unreachable:
        if otherwise != FAIL:
            raise
        return None


def check_quote(
    raw_quote: bytes, trust: Trust, now: float, policy: Policy
) -> tuple[Verdict | None, Grounds | None, list[Check]]:
    """The checks of a quote by itself; those that did not run after a failure are not in it.

    The grounds are there where all that is signed held, whatever it says of the platform.
    """
    try:
        verdict = verify(raw_quote, trust, now, policy)
    except Rejected as error:
        if error.check not in _STOPPED:
            return None, None, [_failed(error)]
        passed = _STOPPED[: _STOPPED.index(error.check)]
        if error.code in _WITHOUT_LISTS:
            passed = ()
        found = [Check(name, PASS, "passed before the failure") for name in passed]
        if error.grounds:  # what has ended, and counts by a grace only, stays told
            found = [_collateral(error.grounds), *found[1:]]
        if error.check == "tcb-status":  # the quote is genuine: what it says of the TD counts
            found.append(_td_attributes(parse_quote(raw_quote), policy))
        return None, error.grounds, [*found, _failed(error)]
    found = [
        Check("quote-signature", PASS, f"signed under {verdict.root_name}"),
        _collateral(verdict.grounds),
        judge(_told(verdict), policy, math.floor(now)),  # as all that is signed
        _td_attributes(verdict.quote, policy),
    ]
    return verdict, verdict.grounds, found


def _failed(error: Rejected) -> Check:
    return Check(error.check, FAIL, str(error), error.code)


def _collateral(grounds: Grounds) -> Check:
    """Collateral that holds; what has ended, and counts by the policy's grace only, is told."""
    if not grounds.ended:
        detail = f"{grounds.evaluation}: signed, in date, nothing revoked"
        return Check("collateral", PASS, detail)
    over = ", ".join(f"{each.what} {rfc3339(each.end)}" for each in grounds.ended)
    detail = (
        f"{grounds.evaluation}: signed, nothing revoked, but ended ({over}); borne until "
        f"{rfc3339(grounds.expires)}"
    )
    return Check("collateral", WARN, detail, "collateral-grace", until=grounds.expires)


def _told(verdict: Verdict) -> PlatformState:
    return PlatformState(
        status=verdict.tcb_status,
        advisory_ids=verdict.advisory_ids,
        date=verdict.tcb_date,
        evaluation=verdict.evaluation.lowest,
        flags=dataclasses.asdict(verdict.grounds.flags) if verdict.grounds.flags else None,
        short=verdict.judgement.short,
    )


def told_status(opinion: Opinion, policy: Policy, now: float) -> Check:
    """The TCB status by the service's word, where it gives one, as of `now`."""
    tcb = opinion.tcb
    missing = opinion.told.wrong_for("tcb-status")
    if not missing and (tcb.status is not None or asks_for_more(policy)):
        missing = untold(tcb, policy)
    if missing:
        detail = f"the service does not tell, in a form that counts: {', '.join(missing)}"
        return Check("tcb-status", FAIL, detail, "not-told")
    if tcb.status is None:
        return Check("tcb-status", SKIPPED, "the service's policy sees to it")
    return judge(tcb, policy, now)


def _td_attributes(
    quote: Quote, policy: Policy, check: Callable[[Body, Policy], None] = check_td
) -> Check:
    try:
        check(quote.body, policy)
    except Rejected as error:
        return _failed(error)
    detail = f"not in debug mode ({quote.body.td_attributes.hex()})"
    if quote.body.mr_servicetd is None:
        # The host chose this kind of quote, and nothing in it says why.
        detail += "; a quote of this kind does not tell whether a service TD is bound"
        return Check("td-attributes", PASS, detail, "service-td-unknown")
    return Check("td-attributes", PASS, detail)


def _event_log(evidence: Evidence, policy: Policy) -> tuple[Check, Replayed | None]:
    """The check of the event logs, and what they tell where it did not fail."""
    logs: Replayed | None = None
    try:
        if evidence.ccel is not None or evidence.aael is not None:
            logs = replay_logs(evidence.quote, evidence.ccel, evidence.aael)
    except Rejected as error:
        return _failed(error), None
    check = judge_logs(logs, policy.explained_registers)
    return check, None if check.outcome == FAIL else logs


def check_references(quote: Quote, references: ReferenceValues) -> Check:
    """Whether the quote has the values that somebody expects."""
    name = "reference-values"
    if not references:
        return Check(name, SKIPPED, "none given: what runs in the TD is not compared with anything")
    body = quote.body.to_dict()
    differing = [field for field, values in references.items() if body.get(field) not in values]
    if differing:
        detail = "; ".join(f"{field} is {body.get(field)}" for field in differing)
        return Check(name, FAIL, detail, "reference-values")
    return Check(name, PASS, f"{', '.join(references)} as expected")


def _not_simulated(evidence: Evidence, verdict: Verdict | None, opinion: Opinion | None) -> Check:
    name = "not-simulated"
    if verdict is not None and verdict.simulated:
        detail = f"another root than Intel's vouches for it: {verdict.root_name}"
        return Check(name, WARN, detail, "root")
    if (opinion is not None and opinion.simulated) or names_simulator(evidence.quote):
        return Check(name, WARN, "a simulator's root vouches for it", "root")
    if evidence.says_simulated:
        return Check(name, WARN, "the server says that the evidence is simulated", "server")
    return Check(name, PASS, "nothing says that it is simulated")


def names_simulator(quote: Quote) -> bool:
    """Whether a certificate beside the quote carries a simulator's name; Intel's never do.

    Where a service judges, or nothing holds, nobody here knows a root. The name is a hint then,
    which adds a warning and takes none away: anybody can leave it out.
    """
    try:
        chain = x509.load_pem_x509_certificates(quote.signature.pck_chain_pem.encode())
        return any(_SIMULATION in item.issuer.rfc4514_string() for item in chain)
    except UNREADABLE:  # nobody will vouch for this chain anyway
        return False
