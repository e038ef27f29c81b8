"""What a service's token says, whatever its format, and what of it must be so.

The rules are the page's (web/src/providers/claims.ts).
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quote_generator.quote import Quote

from .. import strictjson
from ..checks import FAIL, PASS, WARN, Check
from ..jws import Token

SKEW = 60
"""Seconds that the clocks may differ."""

_OPTIONAL = ("tee_tcb_svn2", "mr_servicetd")
"""Fields of newer quotes that not every service repeats; where it does, they must be equal."""

_SHOWN = 300
"""Characters of a service's own words that anyone needs to see."""


@dataclass(frozen=True)
class Tcb:
    """The platform's TCB by a service's word; None is what it does not tell."""

    status: str | None = None
    advisory_ids: tuple[str, ...] | None = None
    date: datetime.datetime | None = None
    evaluation: int | None = None


@dataclass(frozen=True)
class Claims:
    """What a token says, whatever its format.

    `body` holds the quote's fields as the service reports them; `appraise` gives the service's
    verdict as a check; `tcb` is about the platform's TCB, where the service tells.
    """

    tee: object
    body: Mapping[str, Any]
    appraise: Callable[[], Check]
    tcb: Tcb = field(default_factory=lambda: Tcb())
    simulated: bool = False


# --- what a token must say -----------------------------------------------------------------------


def check_claims(
    token: Token, claims: Claims, quote: Quote, issuer: str | None, now: float
) -> Check:
    """The token is the service's, of now, and about this quote and nothing else."""
    payload = token.payload
    # An id is shown as it is, so it may be nothing but an id.
    if not re.fullmatch(r"[A-Za-z0-9_.:-]*", str(payload.get("jti") or "")):
        return _claim("token-claim", "jti is not an id")
    # An audience is whom a token is for (RFC 7519, section 4.1.3): where we are none, others.
    for name in ("iss", "aud") if issuer else ("aud",):
        if payload.get(name) != issuer:
            return _claim("token-claim", f"{name} is not {issuer or 'ours'}")
    for name, side in (("exp", 1), ("iat", -1), ("nbf", -1)):
        if name == "nbf" and name not in payload:
            continue
        if not (seconds(payload.get(name)) - now) * side > -SKEW:
            return _claim("token-time", f"{name} is {_short(payload.get(name))}: not valid now")
    if claims.tee != "tdx":
        return _claim("token-claim", f"tee is {_short(claims.tee)}")
    differing = list(_differing(claims.body, quote))
    if differing:
        return _claim("token-claim", f"{', '.join(differing)}: not as in the quote")
    return Check("token-claims", PASS, "of now, and about this quote")


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
        if name in _OPTIONAL and name not in claimed:
            continue
        told = claimed.get(name)
        if not isinstance(told, str) or told.lower() != value:
            yield name


def _claim(code: str, reason: str) -> Check:
    return Check("token-claims", FAIL, f"the token's {reason}", code)


# --- EAR and Simple tokens -----------------------------------------------------------------------


def ear_claims(payload: Mapping[str, Any]) -> Claims:
    """EAR (draft-ietf-rats-ear), as CoCo Trustee gives it."""
    submods = payload["submods"]
    parts: list[Any] = list(submods.values()) if isinstance(submods, dict) else []
    evidence = [_member(part, "ear.veraison.annotated-evidence") for part in parts]
    # Exactly one submodule may speak for the TD: with two, they could disagree.
    about_tdx = [part for part in evidence if isinstance(_get(part, "tdx"), dict)]
    annotated = about_tdx[0] if len(about_tdx) == 1 else None
    tdx = _member(annotated, "tdx")
    return Claims(
        tee=None if annotated is None else "tdx",
        body=_member(_member(tdx, "quote"), "body"),
        appraise=lambda: _appraise_ear(parts),
        tcb=_tcb({**tdx, **_told(_member(annotated, "cczoo"))}),
        simulated=any(_member(part, "cczoo").get("simulated") is True for part in evidence),
    )


def _told(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Without those that are null: what somebody does not tell hides nothing."""
    return {name: value for name, value in claims.items() if value is not None}


def _appraise_ear(submods: Sequence[object]) -> Check:
    """The verdict of every submodule counts, the worst one wins."""
    statuses = [
        submod.get("ear.status", "missing") if isinstance(submod, dict) else "missing"
        for submod in submods
    ]
    bad = [status for status in statuses if status not in ("affirming", "warning")]
    if bad or not statuses:
        verdict = _short(bad[0]) if bad else "missing"
        return Check("appraisal", FAIL, f"the service's verdict is {verdict}", "appraisal")
    if "warning" in statuses:
        return Check("appraisal", WARN, "the service's verdict is warning", "appraisal")
    return Check("appraisal", PASS, "the service's verdict is affirming")


def simple_claims(payload: Mapping[str, Any]) -> Claims:
    """Trustee's older token, which Alibaba Cloud's service has too: `tcb-status` is a JSON text
    with flat keys."""
    try:
        flat = strictjson.loads(str(payload.get("tcb-status")))
    except ValueError:
        flat = None  # token-claims then misses every measurement
    flat = flat if isinstance(flat, dict) else {}

    def below(prefix: str) -> Mapping[str, Any]:
        return {
            name.removeprefix(prefix): value
            for name, value in flat.items()
            if name.startswith(prefix)
        }

    return Claims(
        tee=payload.get("tee"),
        body=below("tdx.quote.body."),
        appraise=lambda: _appraise_simple(payload.get("evaluation-reports")),
        tcb=_tcb(below("tdx.")),
    )


def _appraise_simple(reports: object) -> Check:
    if not isinstance(reports, list) or not reports or not all(map(_is_good, reports)):
        return Check("appraisal", FAIL, "the token has no good evaluation report", "appraisal")
    return Check("appraisal", PASS, "the service's policies hold")


def _is_good(report: object) -> bool:
    """Trustee's first versions repeat the policy's verdict; later ones give no token without it."""
    allowed = _member(report, "evaluation-result").get("allow")
    return isinstance(_get(report, "policy-id"), str) and allowed in (None, True)


def _tcb(claims: Mapping[str, Any]) -> Tcb:
    if "tcb_status" not in claims:
        return Tcb()
    status, ids, date = (claims.get(name) for name in ("tcb_status", "advisory_ids", "tcb_date"))
    number = claims.get("tcb_eval_num")
    # Trustee up to v0.13 has names of its own.
    name = re.sub("^OK$", "UpToDate", _short(status)).replace("Software", "SW", 1)
    name = re.sub("^Td", "TD", name)
    return Tcb(
        name,
        tuple(_short(item) for item in ids) if isinstance(ids, list) else None,
        _date(date),
        number if isinstance(number, int) and not isinstance(number, bool) else None,
    )


def _date(text: object) -> datetime.datetime | None:
    try:
        moment = datetime.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _member(value: object, name: str) -> Mapping[str, Any]:
    """An object's member that is an object itself, else nothing."""
    member = _get(value, name)
    return member if isinstance(member, dict) else {}


def _get(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _short(value: object) -> str:
    return str(value)[:_SHOWN]
