"""`cczoo-verify URL` and `cczoo-verify --evidence FILE`: verify once."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import evidence_file, kit_version, reference_files
from .audit import Report
from .bindings import Ask
from .checks import FAIL, PASS, WARN
from .evidence_file import Record
from .options import (
    ApiKey,
    Parser,
    add_unsealed_option,
    add_verifier_options,
    certificate_fingerprint,
    check_pin,
    make_verifier,
    read_api_key,
    url,
)
from .output import abandon_stdout, complain, error_document, remark
from .problems import EXIT_FAILED, EXIT_VERIFIED, EXIT_WARNED, FileError, Problem, UsageError
from .times import YEAR_10000, seconds_of
from .verification import (
    PIN_OPTION,
    TOKEN_VARIABLE,
    UNSEALED_OPTION,
    AskForSections,
    Verifier,
    fetch_evidence,
    remarked,
    shown_certificate,
)

_EXIT = {PASS: EXIT_VERIFIED, WARN: EXIT_WARNED, FAIL: EXIT_FAILED}


def main(argv: Sequence[str]) -> int:
    """Verify; returns the exit code."""
    options = _options(argv)
    report: Report | None = None
    problem: Problem | None = None
    key = ApiKey()
    try:
        verifier = make_verifier(options)
        if options.save:
            evidence_file.check_target(options.save)
        if options.write_reference_values:
            reference_files.check_target(options.write_reference_values)
        if options.url:
            check_pin(options.url, options.certificate_fingerprint)
            key = _api_key(options)
        record = _record(options, key)
    except Problem as error:
        return _tell(None, error, options)
    try:
        report = _verify(verifier, record, key, options)
    except Problem as error:
        problem = error
    if options.save:  # also without a verdict: the evidence is there, and may not come again
        try:
            evidence_file.save(options.save, record)
        except FileError as error:
            problem = problem or error
    if options.write_reference_values and report:
        try:
            _write_values(report, verifier, options)
        except FileError as error:
            problem = problem or error
    return _tell(report, problem, options)


def _api_key(options: argparse.Namespace) -> ApiKey:
    unsealed = options.send_token_unsealed
    return read_api_key(options.token_file, options.url, unsealed=unsealed)


def _record(options: argparse.Namespace, key: ApiKey) -> Record:
    if options.evidence:
        return evidence_file.load(options.evidence)
    pin = options.certificate_fingerprint
    return fetch_evidence(options.url, key.unsealed, timeout=options.timeout, pin=pin)


def _verify(verifier: Verifier, record: Record, key: ApiKey, options: argparse.Namespace) -> Report:
    if verifier.service and not verifier.service.address and record.token is None:
        raise UsageError("usage", "the file holds no token to check; give --service URL")
    text = record.nonce if options.nonce is None else options.nonce
    nonce = None if text is None else evidence_file.nonce_of(text)
    report = verifier.verify(
        record,
        nonce,
        at=options.at,
        ask=_ask(options),
        ask_sections=_ask_sections(options, key),
        model=options.model,
    )
    report.notes.update(_subject(record, options))
    from_file = options.evidence and options.nonce is None and nonce is not None
    remark = {"nonce-binding": "the nonce in the file: not proof that it is recent"}
    return remarked(report, remark if from_file else {})


def _ask(options: argparse.Namespace) -> Ask | None:
    """How to ask the key's holder; there is none to be asked about a file."""
    if not options.url:
        return None
    from .sealed.asking import asking

    return asking(options.url, timeout=options.timeout, pin=options.certificate_fingerprint)


def _ask_sections(options: argparse.Namespace, key: ApiKey) -> AskForSections | None:
    """How to ask for what the TD states in full; for that one has to have an account."""
    if key.sealed is None:
        return None
    from .sealed.asking import asking_sections

    pin = options.certificate_fingerprint
    return asking_sections(options.url, key.sealed, timeout=options.timeout, pin=pin)


def _write_values(report: Report, verifier: Verifier, options: argparse.Namespace) -> None:
    """Write what was measured, and say what that means; nothing of evidence that failed.

    Raises FileError.
    """
    if report.result == FAIL or report.quote is None:
        # No problem of its own: the verdict is there, and its exit code stays.
        complain(Problem("not-verified", "no reference values were written: see what failed"))
        return
    days = options.reference_values_days or reference_files.DEFAULT_DAYS
    now = datetime.datetime.fromtimestamp(int(time.time()), datetime.UTC)
    ends = now + datetime.timedelta(days=days)
    target = options.write_reference_values
    reference_files.write(target, report.quote.body, ends)
    compared = {*verifier.policy.reference_values, *verifier.references}
    note = reference_files.note(target, report, compared, ends)
    report.notes["reference_values"] = note
    remark(f"reference values until {note['expires']}: {', '.join(note['files'])}")
    for each in note["remarks"]:
        remark(each)


def _subject(record: Record, options: argparse.Namespace) -> dict[str, Any]:
    """What was verified. Nothing signs the address in a file, so it is only a claim."""
    if options.url:
        pinned = options.certificate_fingerprint is not None
        certificate = record.certificate and shown_certificate(record.certificate, pinned=pinned)
        return {"url": options.url, "certificate": certificate}
    return {"evidence_file": str(options.evidence), "claimed_url": record.url}


def _tell(report: Report | None, problem: Problem | None, options: argparse.Namespace) -> int:
    """Print the outcome; returns the exit code."""
    try:
        if options.json:
            document = report and report.to_dict()
            print(error_document(problem, document) if problem else json.dumps(document, indent=1))
            sys.stdout.flush()
        elif report:
            from .table import write_report

            write_report(report, sys.stdout)
    except BrokenPipeError:  # whoever reads has seen enough
        abandon_stdout()
    except OSError as error:
        abandon_stdout()
        reason = error.strerror or error
        problem = problem or Problem("output-failed", f"the report was not written: {reason}")
    if problem:
        complain(problem)
        return problem.exit
    assert report  # noqa: S101 - there is one or the other
    return _EXIT[report.result]


# --- options -------------------------------------------------------------------------------------


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(argv)
    if options.simulator and options.root is not None:
        parser.error("argument --root: not allowed with argument --simulator")
    if options.reference_values_days and not options.write_reference_values:
        parser.error("argument --reference-values-days: only with --write-reference-values")
    if options.evidence and options.certificate_fingerprint:
        parser.error(f"argument {PIN_OPTION}: not allowed with argument --evidence")
    if options.evidence and (options.token_file or options.send_token_unsealed):
        name = "--token-file" if options.token_file else UNSEALED_OPTION
        parser.error(f"argument {name}: not allowed with argument --evidence")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="cczoo-verify",
        description="Verify from this machine the evidence by which an open-webui shows that it "
        "runs inside an Intel TDX trust domain.",
        epilog="`cczoo-verify watch` looks after several servers, `cczoo-verify serve` runs an "
        "attestation service, `cczoo-verify reference` makes a policy of published packages and "
        "models; each has a --help of its own. Exit codes: 0 verified, 1 failed, "
        "2 usage, 3 verified with warnings, 4 nothing to verify could be fetched, 70 a bug here.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {kit_version()}")
    subject = parser.add_mutually_exclusive_group(required=True)
    subject.add_argument(
        "url", nargs="?", type=url, metavar="URL", help="the server, such as https://chat.example"
    )
    subject.add_argument(
        "--evidence", type=Path, metavar="FILE", help="saved evidence instead of a server"
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="holds an API key of the server, which tells its users in full what runs there; "
        f"without it the variable {TOKEN_VARIABLE} (there is no option for the key itself: "
        "everybody on this machine could read it). It goes, sealed, to a TD that was verified, and "
        f"unsealed only with {UNSEALED_OPTION}",
    )
    add_unsealed_option(parser)
    parser.add_argument(
        PIN_OPTION,
        type=certificate_fingerprint,
        metavar="SHA256",
        help="accept the TLS certificate with this fingerprint from the server, whoever signed it, "
        "and no other: for a self-signed one, such as `python -m cczoo_backend --https` makes. "
        "Take it from the server's log",
    )
    parser.add_argument(
        "--nonce", metavar="TEXT", help="the nonce (base64url) of evidence that was saved without"
    )
    parser.add_argument(
        "--at", type=_moment, metavar="TIME", help="judge as of this time: RFC 3339 or unix seconds"
    )
    add_verifier_options(parser)
    parser.add_argument(
        "--model",
        metavar="ID",
        help="judge a chat with this model: a warning where it may run outside of the TD",
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep what was verified")
    parser.add_argument(
        "--write-reference-values",
        type=reference_files.target,
        metavar="FORM[:DIR]",
        help="after a verification that did not fail, write what was measured as reference values "
        f"for CoCo Trustee: {reference_files.RVPS} for v0.13, {reference_files.LOCAL_FS} for "
        "v0.21; into DIR, or a folder with the form's name. Nothing is overwritten. Compare them "
        "with the builder's first: they are those of the TD that answered",
    )
    parser.add_argument(
        "--reference-values-days",
        type=_days,
        metavar="DAYS",
        help=f"until when those count, where Trustee looks ({reference_files.DEFAULT_DAYS})",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    return parser


def _days(text: str) -> int:
    days = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    if not 1 <= days <= reference_files.MAX_DAYS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of days from 1 to {reference_files.MAX_DAYS}"
        )
    return days


def _moment(text: str) -> float:
    seconds = float(text) if text.isascii() and text.isdigit() else seconds_of(text)
    if seconds is None or not 0 <= seconds < YEAR_10000:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time such as 2026-11-22T12:00:00Z, in the years 1970 to 9999"
        )
    return seconds
