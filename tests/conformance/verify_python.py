"""Our Python verifier as a conformance adapter: a case in, a verdict out.

    verify_python.py [--library] [--batch] < CASE

One case is a JSON object (docs/verification.md, "Conformance"); the answer is one JSON object, and
the exit code 0 accepted, 10 rejected, 30 malformed. With --batch each line of the input is a case,
each line of the output its answer with "exit" in it, and the exit code is 0. With --library
dcap-qvl decides alone, as its own documentation uses it: to compare, not to use.
"""

from __future__ import annotations

import base64
import json
import math
import sys
from dataclasses import asdict, dataclass
from typing import Any

import dcap_qvl
from cczoo_verifier import certificates, strictjson
from cczoo_verifier.appraisal import Rejected, Trust, Verdict
from cczoo_verifier.audit import check_quote, check_references, describe
from cczoo_verifier.checks import FAIL, PASS, SKIPPED, Check
from cczoo_verifier.collateral import from_members
from cczoo_verifier.eventlogs import judge_logs, replay_logs
from cczoo_verifier.grounds import Grounds
from cczoo_verifier.policy import DEFAULT, Policy, policy_of
from cczoo_verifier.tcb_rules import FLAGS
from cryptography import x509

from quote_generator.errors import BadInput
from quote_generator.quote import parse_quote

ACCEPTED, REJECTED, MALFORMED = 0, 10, 30

ORDER = (
    "evidence-format",
    "collateral",
    "quote-signature",
    "tcb-status",
    "td-attributes",
    "reference-values",
)

_OF_THE_TCB = ("status", "launch", "current", "dates", "short")

Answer = dict[str, Any]


@dataclass(frozen=True)
class Logs:
    """The event logs of a case that has such members."""

    ccel: bytes | None
    aael: str | None


@dataclass(frozen=True)
class Input:
    """A case that could be read."""

    quote: bytes
    trust: Trust
    now: float
    policy: Policy
    logs: Logs | None


def read_case(text: str) -> Input:
    """The case in a JSON text. Raises BadInput."""
    try:
        case = strictjson.loads(text)
    except ValueError as error:
        raise BadInput(f"the case is not JSON: {error}") from error
    if not isinstance(case, dict):
        raise BadInput("the case is not a JSON object")
    now = case.get("now")
    if isinstance(now, bool) or not isinstance(now, int | float) or not 0 <= now < math.inf:
        raise BadInput("now is not a number of seconds")
    policy = case.get("policy")
    return Input(
        quote=_bytes(case.get("quote_b64")),
        trust=Trust(_root(case.get("root_ca_pem")), _collateral(case.get("collateral"))),
        now=now,
        policy=DEFAULT if policy is None else policy_of(policy),
        logs=_logs(case) if {"cc_eventlog_b64", "aa_eventlog"} & case.keys() else None,
    )


def _logs(case: dict[str, Any]) -> Logs:
    ccel, aael = case.get("cc_eventlog_b64"), case.get("aa_eventlog")
    if not isinstance(aael, str | None):
        raise BadInput("aa_eventlog is not a text")
    return Logs(None if ccel is None else _bytes(ccel, "cc_eventlog_b64"), aael)


def _bytes(text: object, name: str = "quote_b64") -> bytes:
    try:
        return base64.b64decode(str(text) if isinstance(text, str) else "%", validate=True)
    except ValueError as error:
        raise BadInput(f"{name} is not standard base64") from error


def _collateral(value: object) -> dict[str, str]:
    """Collateral for dcap-qvl; none where a member is missing, which the verifier rejects."""
    if not isinstance(value, dict):
        raise BadInput("collateral is not a JSON object")
    try:
        return from_members(value)
    except BadInput:
        return {}


def _root(pem: object) -> bytes | None:
    if pem is None:
        return None
    try:
        [root] = certificates.read_pem(str(pem))
        certificates.root_key(root)
    except certificates.UNREADABLE as error:
        raise BadInput("root_ca_pem is not one certificate in PEM") from error
    return root


def ours(case: Input) -> tuple[int, Answer]:
    """What our verifier says."""
    verdict, grounds, found = check_quote(case.quote, case.trust, case.now, case.policy)
    by_id = {check.id: check for check in found}
    body = None
    if "evidence-format" not in by_id:
        quote = parse_quote(case.quote)
        by_id["evidence-format"] = Check("evidence-format", PASS, f"version {quote.header.version}")
        by_id["reference-values"] = check_references(quote, case.policy.reference_values)
        body = quote.body.to_dict()
    checks = [by_id.get(name) or Check(name, SKIPPED, "an earlier check failed") for name in ORDER]
    ends = min((check.until for check in found), default=math.inf)
    if case.logs is not None and body is not None:
        checks.append(_event_log(case, case.logs))
    accepted = all(check.outcome != FAIL for check in checks)
    return ACCEPTED if accepted else REJECTED, {
        "accepted": accepted,
        **_told(verdict, grounds, ends),
        "checks": [check.to_dict() | {"reason": _reason(check)} for check in checks],
        "body": body,
    }


def _reason(check: Check) -> str | None:
    return None if check.outcome == SKIPPED else check.code or None


def _told(verdict: Verdict | None, grounds: Grounds | None, ends: float) -> Answer:
    """What is told beside the checks; null where the result does not come to it."""
    described = describe(verdict) if verdict else {}
    told = {name: described.get(name) for name in _OF_THE_TCB}
    if grounds is None:
        return told | dict.fromkeys(("evaluation", "crl_numbers", "platform", "expires"))
    evaluation, flags = grounds.evaluation, grounds.flags
    return told | {
        "evaluation": {
            "fmspc": evaluation.fmspc,
            "tcb_info": evaluation.tcb_info,
            "qe_identity": evaluation.qe_identity,
        },
        "crl_numbers": {
            "root": str(grounds.root_crl_number),
            "pck": str(grounds.pck_crl_number),
        },
        "platform": asdict(flags) if flags else dict.fromkeys(FLAGS),
        "expires": int(min(grounds.expires, ends)),
    }


def _event_log(case: Input, logs: Logs) -> Check:
    """event-log, which a case is asked for where it has logs, if only empty ones."""
    replayed = None
    try:
        if (logs.ccel, logs.aael) != (None, None):
            replayed = replay_logs(parse_quote(case.quote), logs.ccel, logs.aael)
    except Rejected as error:
        return Check(error.check, FAIL, str(error), error.code)
    return judge_logs(replayed, case.policy.explained_registers)


def library(case: Input) -> tuple[int, Answer]:
    """What dcap-qvl says by itself; it has no policy."""
    text = json.dumps(dict(case.trust.collateral))
    refused = {"accepted": False, "status": None, "checks": []}
    try:
        collateral = dcap_qvl.QuoteCollateralV3.from_json(text)
        now, root = int(case.now), case.trust.root_der
        if root is not None and _ends_it(case.quote, root):
            return REJECTED, refused | {"error": "it would end the process"}
        if root is None:
            report = dcap_qvl.verify(case.quote, collateral, now)
        else:
            report = dcap_qvl.verify_with_root_ca(case.quote, collateral, root, now)
    except ValueError as error:
        return REJECTED, refused | {"error": str(error)}
    return ACCEPTED, {"accepted": True, "status": report.status, "checks": []}


def _ends_it(quote: bytes, root: bytes) -> bool:
    """Whether the quote's root has another name than this one: dcap-qvl would end the process."""
    try:
        chain = parse_quote(quote).signature.pck_chain_pem.encode()
        theirs = x509.load_pem_x509_certificates(chain)[-1]
    except certificates.UNREADABLE:
        return False
    return theirs.subject != x509.load_der_x509_certificate(root).subject


def answer(text: str, *, by_library: bool = False) -> tuple[int, Answer]:
    """The exit code and the answer for the text of a case."""
    try:
        case = read_case(text)
    except BadInput as error:
        refused = {"accepted": False, "status": None, "checks": [], "body": None}
        return MALFORMED, refused | {"error": str(error)}
    return library(case) if by_library else ours(case)


def main(arguments: list[str]) -> int:
    """Answer what is on standard input; returns the exit code."""
    by_library, batch = "--library" in arguments, "--batch" in arguments
    if set(arguments) - {"--library", "--batch"}:
        print(__doc__, file=sys.stderr)
        return 2
    if batch:
        for line in sys.stdin:
            code, said = answer(line, by_library=by_library)
            print(json.dumps(said | {"exit": code}), flush=True)
        return 0
    code, said = answer(sys.stdin.read(), by_library=by_library)
    print(json.dumps(said))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
