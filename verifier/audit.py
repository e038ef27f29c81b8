"""One verification of one evidence document, every check with its outcome.

Pure: the document, the nonce, the trust and the time come in as arguments.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography import x509

from quote_generator import evidence as contract
from quote_generator.errors import BadInput
from quote_generator.quote import (
    INTEL_QE_VENDOR_ID,
    Body,
    Quote,
    parse_quote,
)

from . import strictjson
from .appraisal import Rejected, Trust, Verdict, verify
from .certificates import UNREADABLE
from .checks import (
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
from .grounds import Grounds
from .policy import DEFAULT, Policy, read_references
from .tcb import State
from .tcb_rules import PlatformState, asks_for_more, judge, untold
from .td import check_attributes, check_td

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

_STOPPED = ("collateral", "quote-signature", "tcb-status")
"""The order in which a verification looks: where it stops, everything before has passed."""

_WITHOUT_LISTS = ("chain", "pck-malformed")
"""Reasons to stop before the PCK list was looked at: not all of the collateral has passed then."""

_SIMULATION = "SIMULATION"
"""What the organisation of a simulator's certificates ends with."""

_UNREAD_LOG = Check("event-log", SKIPPED, "an earlier check failed", NOT_RUN)

_MAX_RUNTIME_DATA = 8192
"""Characters of runtime data in base64url: they are a few hashes."""

SKEW = 300
"""Seconds that saved evidence may seem to come from the future, for clocks that differ."""


@dataclass(frozen=True)
class Report:
    """The result of a verification: `result` is pass, warn or fail."""

    checks: tuple[Check, ...]
    quote: Quote | None = None
    verdict: Verdict | None = None
    opinion: Opinion | None = None
    grounds: Grounds | None = None
    logs: Replayed | None = None
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
            "body": self.quote.body.to_dict() if self.quote else None,
            "events": self._events(),
        }

    def _edition(self) -> dict[str, str | int] | None:
        """The edition of Intel's documents: a service tells one number of it, or none."""
        if self.evaluation:
            return self.evaluation.to_dict()
        told = self.opinion.tcb.evaluation if self.opinion else None
        return None if told is None else {"lowest": told}

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
        "platform": dataclasses.asdict(verdict.grounds.flags) if verdict.grounds.flags else None,
        "crl_numbers": {
            "root": _digits(verdict.grounds.root_crl_number),
            "pck": _digits(verdict.grounds.pck_crl_number),
        },
        "earliest_expiry": _rfc3339(verdict.expires),
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


def _rfc3339(seconds: float) -> str:
    return _date(datetime.datetime.fromtimestamp(int(seconds), datetime.UTC))


@dataclass(frozen=True)
class _Evidence:
    """What a well-formed document holds."""

    quote: Quote
    runtime_data: bytes
    leaf_index: int
    tree_size: int
    path: tuple[bytes, ...]
    ccel: bytes | None
    aael: str | None
    says_simulated: bool


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
) -> Report:
    """Verify an evidence document (parsed JSON) as of `now`, seconds since 1970.

    `nonce` is the one that the relying party drew, None where it is not known. `trust` gives
    root and collateral for the quote, and may raise what its source raises. `references` go
    before the policy's own, field by field. `fetched` is when the evidence came, None where that
    is not known: it matters where the policy sets a maximum age. With `service` that
    one verifies the quote instead; it is asked only where the quote answers the nonce. Never
    raises for anything that is wrong with the evidence.
    """
    required = REQUIRED if service is None else REQUIRED_OF_SERVICE
    try:
        evidence = _read(document)
    except BadInput as error:
        return Report(complete([Check("evidence-format", FAIL, str(error), error.code)], required))
    given = {name: frozenset(values) for name, values in (references or {}).items()}
    expected = {**policy.reference_values, **given}
    policy = dataclasses.replace(policy, reference_values=expected)
    quote, binding = evidence.quote, _nonce_binding(evidence, nonce)
    is_foreign = binding.code not in ("", "nonce-unknown")
    if binding.outcome == PASS and policy.max_age is not None:
        binding = _age(binding, fetched, now, policy.max_age)
    # Before anybody else is asked: services refuse honest TDs over logs that are told here.
    event_log, logs = (_UNREAD_LOG, None) if is_foreign else _event_log(evidence, policy)
    verdict, opinion, grounds = None, None, None
    found: list[Check] = []
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
    return Report(complete(checks, required), quote, verdict, opinion, grounds, logs)


# --- reading the document ------------------------------------------------------------------------


def _read(document: object) -> _Evidence:
    """The parts of an evidence document. Raises BadInput."""
    if not isinstance(document, dict):
        raise BadInput("the evidence is not a JSON object")
    if document.get("status") is not True or document.get("tee") != "tdx":
        raise BadInput("the answer does not say that it is TDX evidence (status, tee)")
    quote = parse_quote(_hex(document, "quote"))
    if quote.header.vendor_id != INTEL_QE_VENDOR_ID:
        raise BadInput("vendor_id of the quote is not that of Intel's quoting enclave")
    proof = document.get("nonce_proof")
    if not isinstance(proof, dict):
        raise BadInput("nonce_proof is not an object")
    path = proof.get("path")
    if not isinstance(path, list) or len(path) > 64:
        raise BadInput("nonce_proof.path is not a list of at most 64 hashes")
    return _Evidence(
        quote=quote,
        runtime_data=_runtime_data(document),
        leaf_index=_number(proof, "leaf_index"),
        tree_size=_number(proof, "tree_size"),
        path=tuple(contract.decode_base64url(_string(item, "path"), "path") for item in path),
        ccel=_log(document),
        aael=None if document.get("aa_eventlog") is None else _text(document, "aa_eventlog"),
        says_simulated=document.get("simulated") is not False
        or document.get("provider") == "simulator",
    )


def _runtime_data(document: Mapping[str, Any]) -> bytes:
    text = _text(document, "runtime_data")
    if len(text) > _MAX_RUNTIME_DATA:
        raise BadInput(f"runtime_data has more than {_MAX_RUNTIME_DATA} characters")
    return contract.decode_base64url(text, "runtime_data")


def _hex(document: Mapping[str, Any], name: str) -> bytes:
    text = _text(document, name)
    if not _is_hex(text, len(text) // 2):
        raise BadInput(f"{name} is not hex")
    return bytes.fromhex(text)


def _is_hex(text: str, size: int) -> bool:
    """Whether `text` is `size` bytes in hex, and nothing else: fromhex skips white space."""
    return len(text) == 2 * size and re.fullmatch("[0-9a-fA-F]*", text) is not None


def _log(document: Mapping[str, Any]) -> bytes | None:
    if document.get("cc_eventlog") is None:
        return None
    try:
        return base64.b64decode(_text(document, "cc_eventlog"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadInput("cc_eventlog is not base64") from error


def _text(document: Mapping[str, Any], name: str) -> str:
    return _string(document.get(name), name)


def _string(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise BadInput(f"{name} is not a string")
    return value


def _number(document: Mapping[str, Any], name: str) -> int:
    value = document.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 53:
        raise BadInput(f"{name} is not a number")
    return value


# --- the checks ----------------------------------------------------------------------------------


def _nonce_binding(evidence: _Evidence, nonce: bytes | None) -> Check:
    name = "nonce-binding"
    if contract.report_data(evidence.runtime_data) != evidence.quote.body.report_data:
        return Check(name, FAIL, "the quote is over other runtime data", "report-data-differs")
    if nonce is None:
        return Check(name, FAIL, "no nonce is known: the evidence may be old", "nonce-unknown")
    try:
        runtime = strictjson.loads(evidence.runtime_data)
        if (
            not isinstance(runtime, dict)
            or runtime.get("v") is True
            or runtime.get("v") != contract.RUNTIME_DATA_VERSION
        ):
            return Check(name, FAIL, "runtime_data is of an unknown version", "version-unknown")
        root = contract.decode_base64url(_text(runtime, "nonce_root"), "nonce_root")
    except ValueError as error:
        return Check(name, FAIL, f"runtime_data cannot be read: {error}", "runtime-data-malformed")
    held = contract.verify_inclusion(
        nonce, evidence.leaf_index, evidence.tree_size, evidence.path, root
    )
    if not held:
        return Check(name, FAIL, "the quote does not answer this nonce", "nonce-differs")
    others = evidence.tree_size - 1
    shared = f" and {others} more" if others else ""
    return Check(name, PASS, f"the quote answers this nonce{shared}")


def _age(binding: Check, fetched: float | None, now: float, max_age: int) -> Check:
    """`binding`, unless the evidence is older than the policy allows."""
    if fetched is None:
        return Check(binding.id, FAIL, "nobody knows how old the evidence is", "age-unknown")
    if not -SKEW <= now - fetched <= max_age:
        detail = f"the evidence is {now - fetched:.0f} s old: the policy allows {max_age} s"
        return Check(binding.id, FAIL, detail, "evidence-old")
    return binding


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
    over = ", ".join(f"{each.what} {_rfc3339(each.end)}" for each in grounds.ended)
    detail = (
        f"{grounds.evaluation}: signed, nothing revoked, but ended ({over}); borne until "
        f"{_rfc3339(grounds.expires)}"
    )
    return Check("collateral", WARN, detail, "collateral-grace", until=grounds.expires)


def _told(verdict: Verdict) -> PlatformState:
    return PlatformState(
        status=verdict.tcb_status,
        advisory_ids=verdict.advisory_ids,
        date=verdict.tcb_date,
        evaluation=verdict.evaluation.lowest,
        flags=dataclasses.asdict(verdict.grounds.flags) if verdict.grounds.flags else None,
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


def _event_log(evidence: _Evidence, policy: Policy) -> tuple[Check, Replayed | None]:
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


def _not_simulated(evidence: _Evidence, verdict: Verdict | None, opinion: Opinion | None) -> Check:
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
