"""`cczoo-verify URL` and `cczoo-verify --evidence FILE`: the auditor's command line."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from quote_generator.errors import BadInput
from quote_generator.evidence import encode_base64url, parse_nonce
from quote_generator.quote import Quote

from . import kit_version, strictjson
from .appraisal import Trust
from .audit import Report, audit, read_references
from .checks import FAIL, NOT_RUN, PASS, WARN, Check
from .fetching import MAX_ANSWER, Unreachable, get, is_private_enough
from .pccs import INTEL_PCS, fetch_collateral
from .trust import INTEL, TrustError, TrustSource, from_files, from_simulator, read_root

EXIT_VERIFIED, EXIT_FAILED, EXIT_USAGE, EXIT_WARNED, EXIT_UNREACHABLE = 0, 1, 2, 3, 4
_EXIT = {PASS: EXIT_VERIFIED, WARN: EXIT_WARNED, FAIL: EXIT_FAILED}

TOKEN_VARIABLE = "CCZOO_VERIFY_TOKEN"  # noqa: S105 - the variable's name
NONCE_BYTES = 32
QUOTE_PATH = "/api/v1/tee/quote"
SAVED_FORMAT = 1

_YEAR_10000 = 253402300800
"""Seconds from 1970 to where Python's dates end."""


class UsageError(Exception):
    """UsageError: the options do not go together, or name something that cannot be used."""


def main(argv: Sequence[str]) -> int:
    """Verify; returns the exit code."""
    options = _options(argv)
    try:
        references = read_references(options.reference.read_text()) if options.reference else None
        saved = _fetch(options) if options.url else _load(options)
        report = _audit(saved, options, references)
        if options.save:
            options.save.write_text(json.dumps(saved, indent=1) + "\n")
    except (UsageError, TrustError, BadInput, OSError, UnicodeDecodeError) as error:
        return _fail(f"{error}", EXIT_USAGE)
    except Unreachable as error:
        return _fail(f"{error}", EXIT_UNREACHABLE)
    print(json.dumps(report.to_dict(), indent=1) if options.json else _table(report))
    return _EXIT[report.result]


def _fail(message: str, code: int) -> int:
    print(f"cczoo-verify: {_printable(message)}", file=sys.stderr)
    return code


# --- where the evidence comes from ---------------------------------------------------------------


def _fetch(options: argparse.Namespace) -> dict[str, Any]:
    """Fresh evidence from a server, in the form in which it is saved."""
    nonce = encode_base64url(secrets.token_bytes(NONCE_BYTES))
    token = os.environ.get(TOKEN_VARIABLE)
    if token and not is_private_enough(options.url):
        raise UsageError(f"{TOKEN_VARIABLE} is not sent over plain http; use https")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = options.url.rstrip("/") + QUOTE_PATH
    answer = get(url, timeout=options.timeout, params={"nonce": nonce}, headers=headers)
    try:
        document = strictjson.loads(answer.body)
    except ValueError as error:
        raise Unreachable(f"{url} answered HTTP {answer.status} without JSON") from error
    if answer.status != 200:
        raise Unreachable(f"{url} gave no evidence: {_why(answer.status, document)}")
    now = datetime.datetime.now(datetime.UTC)
    return {
        "format": SAVED_FORMAT,
        "url": options.url,
        "fetched": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "nonce": nonce,
        "evidence": document,
        "collateral": None,
    }


def _why(status: int, document: object) -> str:
    detail = document.get("detail") if isinstance(document, dict) else None
    advice = {401: f" (set {TOKEN_VARIABLE} to an API key of that server)"}.get(status, "")
    return f"HTTP {status}, {detail or 'no reason given'}{advice}"


def _load(options: argparse.Namespace) -> dict[str, Any]:
    """Saved evidence, or a bare evidence document with the nonce from the command line."""
    with options.evidence.open("rb") as file:
        data = file.read(MAX_ANSWER + 1)
    if len(data) > MAX_ANSWER:
        raise UsageError(f"{options.evidence} is larger than {MAX_ANSWER} bytes")
    try:
        value = strictjson.loads(data)
    except ValueError as error:
        raise UsageError(f"{options.evidence} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UsageError(f"{options.evidence} does not hold a JSON object")
    saved = value if "evidence" in value else {"evidence": value}
    return {"nonce": None, "collateral": None, "url": None, "fetched": None, **saved}


# --- the verification ----------------------------------------------------------------------------


def _audit(
    saved: dict[str, Any], options: argparse.Namespace, references: dict[str, list[str]] | None
) -> Report:
    text = saved["nonce"] if options.nonce is None else options.nonce
    if text is not None and not isinstance(text, str):
        raise UsageError("the saved nonce is not text")
    now = time.time() if options.at is None else options.at
    remarks = _remarks(saved, options)
    report = audit(
        saved["evidence"],
        nonce=None if text is None else parse_nonce(text),
        trust=_trust(saved, options),
        now=now,
        references=references,
    )
    report = dataclasses.replace(
        report, checks=tuple(_remarked(check, remarks) for check in report.checks)
    )
    report.notes.update(
        _subject(saved, options),
        fetched=saved["fetched"],
        verified_at=datetime.datetime.fromtimestamp(int(now), datetime.UTC).isoformat(),
    )
    return report


def _subject(saved: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """What was verified. Nothing signs the address in a file, so it is only a claim."""
    if options.url:
        return {"url": options.url}
    return {"evidence_file": str(options.evidence), "claimed_url": saved["url"]}


def _remarks(saved: dict[str, Any], options: argparse.Namespace) -> dict[str, str]:
    """Check id -> what a reader has to know about where its input came from."""
    remarks = {}
    if options.evidence and options.nonce is None and saved["nonce"] is not None:
        remarks["nonce-binding"] = "the nonce in the file: not proof that it is recent"
    if _kept_collateral(saved, options) is not None:
        remarks["collateral"] = "collateral from the file"
    return remarks


def _remarked(check: Check, remarks: dict[str, str]) -> Check:
    if check.id not in remarks or check.code == NOT_RUN:
        return check
    return dataclasses.replace(check, detail=f"{check.detail} ({remarks[check.id]})")


def _kept_collateral(saved: dict[str, Any], options: argparse.Namespace) -> dict[str, Any] | None:
    """The collateral that was saved with the evidence, unless the options name another source."""
    kept = saved["collateral"]
    named = options.pccs or options.collateral or options.simulator
    return kept if isinstance(kept, dict) and not named else None


def _trust(saved: dict[str, Any], options: argparse.Namespace) -> Callable[[Quote], Trust]:
    """Root and collateral by the options; collateral that had to be fetched is kept in `saved`."""
    root_name = INTEL if options.root is None else options.root
    kept = _kept_collateral(saved, options)
    source: TrustSource | None = None
    if options.simulator:
        source = from_simulator(options.simulator, must_exist=True)
    elif options.collateral:
        source = from_files(root_name, options.collateral)

    def trust(quote: Quote) -> Trust:
        if source is not None:
            chosen = source()
        else:
            root = None if root_name == INTEL else read_root(Path(root_name))
            collateral = kept
            if collateral is None:
                service = options.pccs or INTEL_PCS
                collateral = fetch_collateral(quote, service, timeout=options.timeout)
            chosen = Trust(root, collateral)
        saved["collateral"] = dict(chosen.collateral)
        return chosen

    return trust


# --- what people see -----------------------------------------------------------------------------

_HEADLINES = {PASS: "VERIFIED", WARN: "VERIFIED, WITH WARNINGS", FAIL: "NOT VERIFIED"}
_SHOWN = ("mr_td", "rtmr_0", "rtmr_1", "rtmr_2", "rtmr_3", "mr_seam", "td_attributes", "xfam")


def _table(report: Report) -> str:
    """The report for people: headline, checks, measurements."""
    subject = report.notes.get("url") or report.notes.get("evidence_file") or ""
    lines = [f"{_headline(report)}  {subject}".rstrip(), ""]
    lines += [f"{item.outcome:<8} {item.id:<17} {item.detail}" for item in report.checks]
    if report.quote:
        body = report.quote.body.to_dict()
        lines += ["", *(f"{name:<14} {body[name]}" for name in _SHOWN)]
    return "\n".join(_printable(line) for line in lines)


def _headline(report: Report) -> str:
    if report.result == WARN and report.verdict and report.verdict.simulated:
        return "SIMULATED TD"
    return _HEADLINES[report.result]


def _printable(text: str) -> str:
    """Text without what a terminal would obey: details quote what servers say."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


# --- options -------------------------------------------------------------------------------------


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(argv)
    if options.simulator and options.root is not None:
        parser.error("argument --root: not allowed with argument --simulator")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cczoo-verify",
        description="Verify that an open-webui runs inside an Intel TDX trust domain, from this "
        "machine and without an attestation service.",
        epilog="`cczoo-verify serve` runs an attestation service; see `cczoo-verify serve --help`. "
        "Exit codes: 0 verified, 1 failed, 2 usage, 3 verified with warnings, 4 nothing to verify "
        f"could be fetched. {TOKEN_VARIABLE}: an API key of the server, where it asks for one.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {kit_version()}")
    subject = parser.add_mutually_exclusive_group(required=True)
    subject.add_argument(
        "url", nargs="?", type=_url, metavar="URL", help="the server, such as https://chat.example"
    )
    subject.add_argument(
        "--evidence", type=Path, metavar="FILE", help="saved evidence instead of a server"
    )
    parser.add_argument(
        "--nonce", metavar="TEXT", help="the nonce (base64url) of evidence that was saved without"
    )
    parser.add_argument(
        "--at", type=_moment, metavar="TIME", help="judge as of this time: RFC 3339 or unix seconds"
    )
    parser.add_argument(
        "--root",
        metavar="intel|FILE",
        help=f"root certificate, PEM or DER ({INTEL}); not with --simulator",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--collateral", type=Path, metavar="FILE", help="DCAP collateral as JSON, not fetched"
    )
    source.add_argument(
        "--simulator", type=Path, metavar="DIR", help="trust the simulator whose state is in DIR"
    )
    source.add_argument(
        "--pccs",
        type=_url,
        metavar="URL",
        help=f"fetch collateral from there, also where the file has some ({INTEL_PCS})",
    )
    parser.add_argument(
        "--reference", type=Path, metavar="FILE", help='expected values: {"mr_td": ["<hex>"], ...}'
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep what was verified")
    parser.add_argument("--timeout", type=_seconds, default=30.0, metavar="SECONDS")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    return parser


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise argparse.ArgumentTypeError(f"{text!r} is not an http(s) address")
    return text


def _moment(text: str) -> float:
    value = _parse_moment(text)
    if not 0 <= value < _YEAR_10000:
        raise argparse.ArgumentTypeError(f"{text!r} is not in the years 1970 to 9999")
    return value


def _parse_moment(text: str) -> float:
    try:
        if text.isascii() and text.isdigit():
            return float(text)
        moment = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time") from error
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} has no time zone; end it with Z for UTC")
    return moment.timestamp()


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time from 0 to 600 seconds")
    return value
