"""What a service's token says, whatever its format, and what of it must be so.

The rules are the page's (web/src/providers/claims.ts).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from quote_generator.evidence import encode_base64url
from quote_generator.quote import LATER_FIELDS, Quote

from .. import strictjson
from ..checks import FAIL, PASS, Check
from ..jws import Token
from ..tcb_rules import FLAGS, PlatformState
from .members import (
    APPRAISAL,
    ASKED_POLICY,
    CLAIM,
    GENERATIONS,
    IN_DATE,
    PLATFORM,
    Told,
    first_fault,
    generation_of,
    moment,
    read_platform,
)
from .verdicts import appraise

SKEW = 60
"""Seconds that the clocks may differ."""

_SHOWN = 300
"""Characters of a service's own words that anyone needs to see."""


def tcb_of(told: Told) -> PlatformState:
    """The platform's TCB by a service's word, as far as it is told."""
    values = told.values
    ids = values.get("advisory_ids")
    return PlatformState(
        status=values.get("tcb_status"),
        advisory_ids=None if ids is None else tuple(_short(item) for item in ids),
        date=moment(values.get("tcb_date")),
        evaluation=values.get("tcb_eval_num"),
        flags={name: values[member] for name, member in FLAGS.items() if member in values},
    )


@dataclass(frozen=True)
class Claims:
    """What a token says, whatever its format.

    `fault` names the member that makes it no token of one kind, empty where there is none; `body`
    holds the quote's fields as the service reports them; `nonces` are those that it says it was
    asked with; `appraise` gives the service's verdict as a check; `told` is about the platform and
    the collateral, where the service tells.
    """

    tee: object
    body: Mapping[str, Any]
    appraise: Callable[[], Check]
    fault: str = ""
    nonces: tuple[object, ...] = ()
    told: Told = field(default_factory=Told)
    simulated: bool = False


# --- what a token must say -----------------------------------------------------------------------


def check_claims(
    token: Token, claims: Claims, quote: Quote, issuer: str | None, now: float
) -> Check:
    """The token is the service's, of now, and about this quote and nothing else."""
    payload = token.payload
    # An id is shown as it is, so it may be nothing but an id.
    jti = "" if payload.get("jti") is None else payload["jti"]
    if not isinstance(jti, str) or not re.fullmatch(r"[A-Za-z0-9_.:-]*", jti):
        return _claim("token-claim", "jti is not an id")
    # An audience is whom a token is for (RFC 7519, section 4.1.3): where we are none, others.
    for name in ("iss", "aud") if issuer else ("aud",):
        if (name in payload) != bool(issuer) or payload.get(name) != issuer:
            return _claim("token-claim", f"{name} is not {issuer or 'ours'}")
    for name, side in (("exp", 1), ("iat", -1), ("nbf", -1)):
        if name == "nbf" and name not in payload:
            continue
        if not (seconds(payload.get(name)) - now) * side > -SKEW:
            return _claim("token-time", f"{name} is {_short(payload.get(name))}: not valid now")
    if claims.fault:
        return _claim(CLAIM, f"{claims.fault} is not what it is in tokens of its kind")
    if any(nonce not in _nonces(quote) for nonce in claims.nonces):
        return _claim(CLAIM, "eat_nonce is not the report data of the quote")
    if claims.tee != "tdx":
        return _claim("token-claim", f"tee is {_short(claims.tee)}")
    differing = list(_differing(claims.body, quote))
    if differing:
        return _claim("token-claim", f"{', '.join(differing)}: not as in the quote")
    return Check("token-claims", PASS, "of now, and about this quote")


def _nonces(quote: Quote) -> tuple[object, ...]:
    """What `eat_nonce` may be (RFC 9711, section 4.1): the report data, as it was sent."""
    sent = encode_base64url(quote.body.report_data)
    return sent, [sent]


def check_collateral(told: Told, now: float) -> Check | None:
    """What the service says of the collateral that it judged by; None where it says nothing."""
    status = told.values.get("collateral_expiration_status", IN_DATE)
    end = collateral_end(told)
    for name in told.wrong_for("collateral"):
        return _expired(PLATFORM[name].other, f"tells {name} in no form that counts")
    if status != IN_DATE:
        return _expired("collateral-expired", f"says that it has expired ({_short(status)})")
    if end <= now:
        ended = told.values["earliest_expiration_date"]
        return _expired("collateral-expired", f"says that it ended on {ended}")
    if "collateral_expiration_status" in told.values or end < math.inf:
        return Check("collateral", PASS, "in date, by the service's word")
    return None


def collateral_end(told: Told) -> float:
    """When the first part of the collateral ends, in seconds since 1970; if told."""
    end = moment(told.values.get("earliest_expiration_date"))
    return math.inf if end is None else end.timestamp()


def _expired(code: str, reason: str) -> Check:
    return Check("collateral", FAIL, f"the service {reason}", code)


def seconds(value: object) -> float:
    """Seconds since 1970, or what is never in time (RFC 7519, section 2, NumericDate)."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        return float(value) if number and math.isfinite(value) else math.nan  # type: ignore[arg-type]
    except OverflowError:
        return math.nan


def _differing(claimed: Mapping[str, Any], quote: Quote) -> Iterable[str]:
    for name, value in quote.body.to_dict().items():
        name = "tcb_svn" if name == "tee_tcb_svn" else name  # the services' name for it
        # Not every service repeats the fields of newer quotes; where it does, they must be equal.
        if name in LATER_FIELDS and name not in claimed:
            continue
        told = claimed.get(name)
        if not isinstance(told, str) or told.lower() != value:
            yield name


def _claim(code: str, reason: str) -> Check:
    return Check("token-claims", FAIL, f"the token's {reason}", code)


# --- EAR and Simple tokens -----------------------------------------------------------------------


def ear_claims(payload: Mapping[str, Any]) -> Claims:
    """EAR (draft-ietf-rats-ear), as CoCo Trustee gives it, under the names of either generation."""
    submods = payload["submods"]
    parts: list[Any] = list(submods.values()) if isinstance(submods, dict) else []
    generation = generation_of(payload, parts)
    evidence, words = (
        [_member(part, generation.named(role)) for part in parts] for role in ("evidence", "words")
    )
    # Exactly one submodule may speak for the TD: with two, they could disagree.
    speaking = [
        (tdx, [tdx, own.get("cczoo"), said, said.get("cczoo"), said.get("tdx")])
        for own, said in zip(evidence, words, strict=True)
        for tdx in _tdx_in(own)
    ]
    tdx, places = speaking[0] if len(speaking) == 1 else (None, [])
    told = read_platform(places, generation)
    return Claims(
        tee=None if tdx is None else "tdx",
        body=_member(_member(tdx, "quote"), "body"),
        appraise=lambda: appraise(parts, generation),
        fault=first_fault(payload, parts, generation) or told.differing,
        nonces=tuple(
            each["eat_nonce"]
            for each in (payload, *parts)
            if isinstance(each, dict) and "eat_nonce" in each
        ),
        told=told,
        simulated=any(
            _member(each, "cczoo").get("simulated") is True for each in (*evidence, *words)
        ),
    )


def _tdx_in(evidence: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What evidence says of a TD, under its TEE's name or, as newer services have it, beside it."""
    named = [evidence["tdx"]] if isinstance(evidence.get("tdx"), dict) else []
    beside = [evidence["claims"]] if evidence.get("tee") == "tdx" else []
    return named + [each for each in beside if isinstance(each, dict)]


def simple_claims(payload: Mapping[str, Any], any_policy: bool = False) -> Claims:
    """Trustee's older token, which Alibaba Cloud's service has too: `tcb-status` is a JSON text
    with flat keys. `any_policy`: what the service calls its own is not known."""
    try:
        flat = strictjson.loads(str(payload.get("tcb-status")))
    except ValueError:
        flat = None  # token-claims then misses every measurement
    flat = flat if isinstance(flat, dict) else {}
    generation = GENERATIONS["simple"]

    def below(prefix: str) -> Mapping[str, Any]:
        return {
            name.removeprefix(prefix): value
            for name, value in flat.items()
            if name.startswith(prefix)
        }

    return Claims(
        tee=payload.get("tee"),
        body=below("tdx.quote.body."),
        appraise=lambda: _appraise_simple(payload.get("evaluation-reports"), any_policy),
        fault=first_fault(payload, [], generation),
        nonces=(payload["eat_nonce"],) if "eat_nonce" in payload else (),
        told=read_platform([below("tdx.")], generation),
    )


def _appraise_simple(reports: object, any_policy: bool) -> Check:
    each = reports if isinstance(reports, list) else []
    if not each or not all(_is_good(report, any_policy) for report in each):
        return Check("appraisal", FAIL, "the token has no good evaluation report", APPRAISAL)
    return Check("appraisal", PASS, "the service's policies hold")


def _is_good(report: object, any_policy: bool) -> bool:
    """Trustee's first versions repeat the policy's verdict; later ones give no token without it."""
    allowed = _member(report, "evaluation-result").get("allow")
    policy = _get(report, "policy-id")
    named = isinstance(policy, str) if any_policy else policy == ASKED_POLICY
    return named and (allowed is None or allowed is True)


def _member(value: object, name: str) -> Mapping[str, Any]:
    """An object's member that is an object itself, else nothing."""
    member = _get(value, name)
    return member if isinstance(member, dict) else {}


def _get(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _short(value: object) -> str:
    return str(value)[:_SHOWN]
