"""One verification of one evidence document, every check with its outcome.

Pure: the document, the nonce, the trust and the time come in as arguments.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quote_generator import evidence as contract
from quote_generator.errors import BadInput
from quote_generator.quote import (
    INTEL_QE_VENDOR_ID,
    Quote,
    parse_quote,
)

from . import strictjson
from .appraisal import Rejected, Trust, Verdict, appraise
from .checks import FAIL, PASS, SKIPPED, WARN, Check, complete, derive_result
from .eventlogs import explained_registers
from .tokens import AFFIRMING, CONTRAINDICATED, WARNING, ear_status

ReferenceValues = Mapping[str, Sequence[str]]
"""Body field name -> the values (hex) of which the quote's must be one."""

_STOPPED = ("collateral", "quote-signature", "tcb-status", "td-attributes")
"""The order in which dcap-qvl looks: where it stops, everything before has passed."""

_TIERS = {AFFIRMING: PASS, WARNING: WARN, CONTRAINDICATED: FAIL}
"""What the tier that a token would give to a TCB status means for the check."""

_FIELD_SIZES = {
    **dict.fromkeys(("tee_tcb_svn", "tee_tcb_svn2"), 16),
    **dict.fromkeys(("seam_attributes", "td_attributes", "xfam"), 8),
    **dict.fromkeys(("mr_seam", "mrsigner_seam", "mr_td", "mr_servicetd"), 48),
    **dict.fromkeys(("mr_config_id", "mr_owner", "mr_owner_config"), 48),
    **dict.fromkeys(("rtmr_0", "rtmr_1", "rtmr_2", "rtmr_3"), 48),
}
"""Body fields that reference values may name, and their size in bytes."""

_DEBUG, _SEPT_VE = 1 << 0, 1 << 28
_DEFINED_ATTRIBUTES = _DEBUG | _SEPT_VE | 1 << 30 | 1 << 31 | 1 << 63


@dataclass(frozen=True)
class Report:
    """The result of a verification: `result` is pass, warn or fail."""

    checks: tuple[Check, ...]
    quote: Quote | None = None
    verdict: Verdict | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def result(self) -> str:
        """The overall outcome."""
        return derive_result(self.checks)

    def to_dict(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            "verified": self.result == PASS,
            "result": self.result,
            **self.notes,
            "checks": [check.to_dict() for check in self.checks],
            "root": self.verdict.root_name if self.verdict else None,
            "simulated": self.verdict.simulated if self.verdict else None,
            "tcb_status": self.verdict.tcb_status if self.verdict else None,
            "advisory_ids": list(self.verdict.advisory_ids) if self.verdict else [],
            "body": self.quote.body.to_dict() if self.quote else None,
        }


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
    references: ReferenceValues | None = None,
) -> Report:
    """Verify an evidence document (parsed JSON) as of `now`, seconds since 1970.

    `nonce` is the one that the relying party drew, None where it is not known. `trust` gives
    root and collateral for the quote, and may raise what its source raises. Never raises for
    anything that is wrong with the evidence.
    """
    try:
        evidence = _read(document)
    except BadInput as error:
        return Report(complete([Check("evidence-format", FAIL, str(error), error.code)]))
    try:
        verdict, found = _verify_quote(evidence.quote, trust(evidence.quote), now)
    except Rejected as error:  # the trust source itself may reject the quote
        verdict, found = None, [_failed(error)]
    quote = evidence.quote
    checks = [
        Check("evidence-format", PASS, f"a TDX quote, version {quote.header.version}"),
        _nonce_binding(evidence, nonce),
        *found,
        _event_log(evidence),
        _reference_values(quote, references or {}),
        _not_simulated(evidence, verdict),
    ]
    return Report(complete(checks), quote, verdict)


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
        runtime_data=contract.decode_base64url(_text(document, "runtime_data"), "runtime_data"),
        leaf_index=_number(proof, "leaf_index"),
        tree_size=_number(proof, "tree_size"),
        path=tuple(contract.decode_base64url(_string(item, "path"), "path") for item in path),
        ccel=_log(document),
        aael=None if document.get("aa_eventlog") is None else _text(document, "aa_eventlog"),
        says_simulated=document.get("simulated") is not False,
    )


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
        if not isinstance(runtime, dict) or runtime.get("v") != contract.RUNTIME_DATA_VERSION:
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


def _verify_quote(quote: Quote, trust: Trust, now: float) -> tuple[Verdict | None, list[Check]]:
    try:
        verdict = appraise(quote.raw, trust, now)
    except Rejected as error:
        if error.check not in _STOPPED:
            return None, [_failed(error)]
        passed = _STOPPED[: _STOPPED.index(error.check)]
        before = [Check(name, PASS, "passed before the failure") for name in passed]
        if error.check == "td-attributes":
            before.pop()  # dcap-qvl does not tell the status of a TD that it refuses
        return None, [*before, _failed(error)]
    return verdict, [
        Check("quote-signature", PASS, f"signed under {verdict.root_name}"),
        Check("collateral", PASS, "signed, in date, nothing revoked"),
        _tcb_status(verdict),
        _td_attributes(quote),
    ]


def _failed(error: Rejected) -> Check:
    return Check(error.check, FAIL, str(error), error.code)


def _tcb_status(verdict: Verdict) -> Check:
    status = verdict.tcb_status
    advisories = f" ({', '.join(verdict.advisory_ids)})" if verdict.advisory_ids else ""
    outcome = _TIERS[ear_status(status)]
    code = "" if outcome == PASS else "tcb-not-up-to-date"
    return Check("tcb-status", outcome, f"{status}{advisories}", code)


def _td_attributes(quote: Quote) -> Check:
    """Debug and reserved bits again, independently of the library that looked at them first."""
    bits = int.from_bytes(quote.body.td_attributes, "little")
    if bits & _DEBUG or bits & ~_DEFINED_ATTRIBUTES or not bits & _SEPT_VE:
        return Check("td-attributes", FAIL, quote.body.td_attributes.hex(), "attributes-refused")
    return Check("td-attributes", PASS, f"not in debug mode ({quote.body.td_attributes.hex()})")


def _event_log(evidence: _Evidence) -> Check:
    name = "event-log"
    if evidence.ccel is None and evidence.aael is None:
        return Check(name, SKIPPED, "the server sent no event log")
    try:
        explained = explained_registers(evidence.quote, evidence.ccel, evidence.aael)
    except Rejected as error:
        return _failed(error)
    return Check(name, PASS, f"leads to {', '.join(explained)}")


def _reference_values(quote: Quote, references: ReferenceValues) -> Check:
    name = "reference-values"
    if not references:
        return Check(name, SKIPPED, "none given: what runs in the TD is not compared with anything")
    body = quote.body.to_dict()
    differing = [field for field, values in references.items() if body.get(field) not in values]
    if differing:
        detail = "; ".join(f"{field} is {body.get(field)}" for field in differing)
        return Check(name, FAIL, detail, "value-differs")
    return Check(name, PASS, f"{', '.join(references)} as expected")


def _not_simulated(evidence: _Evidence, verdict: Verdict | None) -> Check:
    name = "not-simulated"
    if verdict is not None and verdict.simulated:
        return Check(name, WARN, f"a simulator's root vouches for it: {verdict.root_name}", "root")
    if evidence.says_simulated:
        return Check(name, WARN, "the server says that the evidence is simulated", "server")
    return Check(name, PASS, "nothing says that it is simulated")


def read_references(text: str) -> dict[str, list[str]]:
    """Reference values from JSON: {"mr_td": "<hex>" or ["<hex>", ...], ...}. Raises BadInput."""
    try:
        value = strictjson.loads(text)
    except ValueError as error:
        raise BadInput(f"reference values: {error}") from error
    if not isinstance(value, dict) or not value:
        raise BadInput("reference values: expected a JSON object with field names and hex values")
    return {name: _reference(name, item) for name, item in value.items()}


def _reference(name: str, value: object) -> list[str]:
    values = [value] if isinstance(value, str) else value
    if name not in _FIELD_SIZES or not isinstance(values, list) or not values:
        raise BadInput(f"reference values: {json.dumps(name)} is not a field with hex values")
    for item in values:
        if not isinstance(item, str) or not _is_hex(item, _FIELD_SIZES[name]):
            raise BadInput(f"reference values: {name} has {_FIELD_SIZES[name]} bytes in hex")
    return [item.lower() for item in values]
