"""What both command lines do: fetch evidence from a server, verify it, keep what was used."""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from quote_generator.evidence import encode_base64url
from quote_generator.quote import Quote
from quote_generator.sealing.keyset import Keyset
from quote_generator.tls_certificate import fingerprint, is_self_signed

from . import strictjson
from .appraisal import Trust
from .audit import ReferenceValues, Report, audit
from .bindings import Ask
from .checks import FAIL, NOT_RUN, WARN, Check
from .evaluations import HighestSeen
from .evidence_file import Record
from .policy import DEFAULT, Policy
from .problems import Unreachable
from .release_source import Releases
from .times import rfc3339, seconds_of
from .trust import TrustSource
from .waiting import asked_wait
from .workload_changes import Memory

if TYPE_CHECKING:
    # These bring an HTTP client along.
    from .pccs import CollateralSource
    from .services.relying import Opinion, Service

NONCE_BYTES = 32
QUOTE_PATH = "/api/v1/tee/quote"

DCAP = "dcap"
"""The provider that needs no service: the quote is verified here."""

AskForSections = Callable[[Keyset, object], Any]
"""Brings the sections of a statement, sealed to a keyset. Raises Unreachable."""

UNSEALED_OPTION = "--send-token-unsealed"
PIN_OPTION = "--certificate-fingerprint"

TOKEN_VARIABLE = "CCZOO_VERIFY_TOKEN"  # noqa: S105 - the variable's name


def fetch_evidence(
    url: str, token: str | None = None, *, timeout: float, pin: str | None = None
) -> Record:
    """Fresh evidence from a server.

    `token` is an API key of that server: whoever answers there gets it, where they ask for one.
    Nothing is known of them then. `pin` is the fingerprint of the one TLS certificate that is
    accepted. Raises Unreachable (evidence-unreachable) where there is none.
    """
    from .fetching import NotAccepted

    try:
        return _ask_for_evidence(url, None, timeout, pin)
    except _WhoAreYou:
        if token is None:
            raise
        return _ask_for_evidence(url, token, timeout, pin)
    except NotAccepted as error:
        raise Unreachable(error.code, f"{error}. {_pinning(error.certificate, pin)}") from error


def _pinning(certificate: bytes, pin: str | None) -> str:
    """What to do about a certificate that is not accepted."""
    shown = fingerprint(certificate)
    if pin is not None:
        return (
            f"You pinned {pin}: the server has another certificate by now, which its log tells, "
            "or somebody is in between"
        )
    return (
        "If the server's own log tells this very fingerprint, accept that certificate and no "
        f"other: {PIN_OPTION} {shown}; if you cannot compare them, somebody may be in between"
    )


class _WhoAreYou(Unreachable):
    """_WhoAreYou: the server gives evidence to those whom it knows only."""


def shown_certificate(certificate: bytes, *, pinned: bool) -> dict[str, Any]:
    """What a report tells of the certificate (DER) that the server showed."""
    return {
        "sha256": fingerprint(certificate),
        "self_signed": is_self_signed(certificate),
        "pinned": pinned,
    }


def _ask_for_evidence(url: str, token: str | None, timeout: float, pin: str | None) -> Record:
    from .fetching import get

    code = "evidence-unreachable"
    nonce = encode_base64url(secrets.token_bytes(NONCE_BYTES))
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    address = url.rstrip("/") + QUOTE_PATH
    params = {"nonce": nonce}
    answer = get(address, code, timeout=timeout, params=params, headers=headers, pin=pin)
    wait = asked_wait(answer.headers, time.time())
    try:
        document = strictjson.loads(answer.body)
    except ValueError as error:
        reason = f"{address} answered HTTP {answer.status} without JSON"
        raise Unreachable(code, reason, wait=wait) from error
    if answer.status != 200:
        kind = _WhoAreYou if answer.status in _WHO_ARE_YOU else Unreachable
        why = _why(answer.status, document, token)
        raise kind(code, f"{address} gave no evidence: {why}", wait=wait)
    fetched = rfc3339(time.time())
    return Record(document, nonce, url, fetched, certificate=answer.certificate)


_WHO_ARE_YOU = (401, 403)


def _why(status: int, document: object, token: str | None) -> str:
    detail = document.get("detail") if isinstance(document, dict) else None
    advice = ""
    if status in _WHO_ARE_YOU and not token:
        advice = (
            " (it does not offer sealed requests, or it is not your server, and wants your API "
            f"key; to hand it over all the same, give it in {TOKEN_VARIABLE} or --token-file, with "
            f"{UNSEALED_OPTION})"
        )
    return f"HTTP {status}, {str(detail or 'no reason given')[:300]}{advice}"


@dataclass
class Verifier:
    """A way to verify: by an attestation service, or here with root and collateral.

    `source` gives both; without it they are `root_der` (None for Intel's) and what the
    collateral service `pccs` has, fetched anew after `keep` seconds. With `prefer_kept`,
    collateral that lies beside the evidence comes first. From that service `update` (early or
    standard) asks for an edition of Intel's documents. With `seen` an older edition than one that
    was used before is a warning. With `releases` the policy is what these make of it.
    """

    timeout: float
    policy: Policy = DEFAULT
    references: ReferenceValues = field(default_factory=dict)
    provider: str = DCAP
    service: Service | None = None
    source: TrustSource | None = None
    root_der: bytes | None = None
    pccs: str = ""
    keep: float = 0
    prefer_kept: bool = False
    update: str = ""
    seen: HighestSeen | None = None
    releases: Releases | None = None
    clock: Callable[[], float] = time.time

    def verify(
        self,
        record: Record,
        nonce: bytes | None,
        *,
        at: float | None = None,
        ask: Ask | None = None,
        ask_sections: AskForSections | None = None,
        before: Memory | None = None,
        model: str | None = None,
    ) -> Report:
        """Verify the evidence as of `at`, or of now; the record keeps what was used for it.

        `ask` asks the holder of the key in it, None where the evidence does not come from a server
        that is at hand, and `ask_sections` for the sections of its statement; `before` and `model`
        are as in `audit`. Raises Unreachable and TrustError where any of that cannot be had, and
        FileError for a release that does not count.
        """
        if self.releases:
            self.policy = self.releases.policy()

        def sections(keyset: Keyset) -> object:
            assert ask_sections is not None  # noqa: S101 - only then this is asked
            found = ask_sections(keyset, record.evidence.get("statement"))
            record.evidence["statement_sections"] = found
            return found

        asking = {"ask": ask, "ask_sections": sections if ask_sections else None}
        asked = {**asking, "nonce": nonce, "before": before, "model": model}
        report = self._audit(record, at, asked)
        own = self.keep and not self.source and not self.service
        if report.quote and own and _wants_newer_collateral(report):
            # It may have ended, or been replaced, since it was fetched.
            self.fetched.forget(report.quote)
            report = self._audit(record, at, asked)
        return self._remembered(report)

    def _audit(self, record: Record, at: float | None, asked: Mapping[str, Any]) -> Report:
        now = self.clock() if at is None else at
        kept = record.collateral if self.prefer_kept and self.source is None else None
        report = audit(
            record.evidence,
            trust=lambda quote: self._trust(quote, record, kept),
            now=now,
            policy=self.policy,
            references=self.references,
            fetched=seconds_of(record.fetched),
            service=self._opinion(record, at) if self.service else None,
            **asked,
        )
        report.notes.update(
            fetched=record.fetched,
            verified_at=rfc3339(now),
            expires=self._end(report, now),
            provider=self.provider,
            service=self.service.address if self.service else None,
        )
        used = kept is not None and self.service is None
        return remarked(report, {"collateral": "collateral from the file"} if used else {})

    def _remembered(self, report: Report) -> Report:
        """The report, with a warning where its documents are older than some seen before."""
        older = report.evaluation and self.seen and self.seen.older(report.evaluation)
        if not older:
            return report

        def warned(check: Check) -> Check:
            if check.id != "collateral":
                return check
            # A grace stays told, with its date.
            before = f"{check.detail}; " if check.outcome == WARN else ""
            detail = f"{before}{older}: who supplies them chose"
            return Check(check.id, WARN, detail, "collateral-older", until=check.until)

        return dataclasses.replace(report, checks=tuple(map(warned, report.checks)))

    def _trust(self, quote: Quote, record: Record, kept: Mapping[str, Any] | None) -> Trust:
        if self.source:
            chosen = self.source()
        else:
            collateral = self.fetched.collateral(quote) if kept is None else kept
            chosen = Trust(self.root_der, collateral)
        record.collateral = dict(chosen.collateral)
        return chosen

    @cached_property
    def fetched(self) -> CollateralSource:
        """Collateral from the service."""
        from .pccs import CollateralSource

        return CollateralSource(self.pccs, timeout=self.timeout, keep=self.keep, update=self.update)

    def _opinion(self, record: Record, at: float | None) -> Callable[[Quote], Opinion]:
        """Asks the service, or checks the token that it gave for this evidence before."""
        service, kept = self.service, record.token if record.provider == self.provider else None
        assert service is not None  # noqa: S101 - the caller looked

        def opinion(quote: Quote) -> Opinion:
            now = self.clock if at is None else lambda: at
            given = service.opinion(quote, record.evidence, now=now, token=kept)
            record.provider, record.token = self.provider, given.token
            return given

        return opinion

    def _end(self, report: Report, now: float) -> str | None:
        """When the result ends: by the policy, with token, collateral or keys, or with a grace."""
        told = report.verdict or report.opinion
        if told is None or report.result == FAIL:
            return None
        ends = (check.until for check in report.checks)
        return rfc3339(min(told.expires, now + self.policy.lifetime, *ends))


def remarked(report: Report, remarks: Mapping[str, str]) -> Report:
    """The report with remarks (check id -> text) on where a check's input came from."""

    def remark(check: Check) -> Check:
        if check.id not in remarks or check.code == NOT_RUN:
            return check
        return dataclasses.replace(check, detail=f"{check.detail} ({remarks[check.id]})")

    return dataclasses.replace(report, checks=tuple(remark(check) for check in report.checks))


def _wants_newer_collateral(report: Report) -> bool:
    """Whether what was used was refused, or counts by the policy's grace only."""
    (check,) = (check for check in report.checks if check.id == "collateral")
    return check.outcome in (FAIL, WARN) and check.code != NOT_RUN
