"""The relying party of an attestation service: evidence out, a token in, and what it is worth.

The rules are the page's (src/lib/tee/providers): a token counts only under keys of the service,
for this quote, and now. A new service is one more entry of PROVIDERS.
"""

from __future__ import annotations

import base64
import datetime
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quote_generator.evidence import encode_base64url
from quote_generator.quote import Quote
from quote_generator.service_address import WELL_KNOWN

from . import strictjson
from .appraisal import Rejected
from .checks import FAIL, PASS, WARN, Check
from .fetching import Answer, get, post
from .jws import Keys, Token, parse_token, read_keys, verify_token
from .problems import Unreachable

SKEW = 60
"""Seconds that the clocks may differ."""

_SERVICE, _KEYS, _ADDRESS = "service-unreachable", "keys-unreachable", "service-address"

_ADVICE = {_SERVICE: "", _ADDRESS: ": there is no attestation service at this address"}

_OPTIONAL = ("tee_tcb_svn2", "mr_servicetd")
"""Fields of newer quotes that not every service repeats; where it does, they must be equal."""

_SHOWN = 300
"""Characters of a service's own words that anyone needs to see."""

Body = Mapping[str, Any]


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


@dataclass(frozen=True)
class Provider:
    """One kind of attestation service.

    `address` is the built-in one, empty where each has its own; `keys_path` is where the key
    set lies, or the document that says where (`discovery`); `bodies` are the request bodies that
    it may take, newest first; `issuer` says whether its tokens name its address as issuer and
    audience: if not, they may name no audience.
    """

    address: str
    path: str
    keys_path: str
    algorithms: tuple[str, ...]
    issuer: bool
    discovery: bool
    bodies: tuple[Callable[[Body], Body], ...]
    claims: Callable[[Mapping[str, Any]], Claims]


@dataclass
class Service:
    """A service that a user chose; `keys` are None where it publishes them itself."""

    provider: Provider
    address: str
    keys: Keys | None
    timeout: float
    _form: int = 0

    def opinion(
        self, quote: Quote, logs: Body, *, now: Callable[[], float], token: str | None = None
    ) -> Opinion:
        """What the service says of a quote and the event logs beside it in the evidence.

        `token` is one that it gave earlier, instead of asking now; `now` is read once the answer
        is there. Raises Unreachable where there is no answer, or no keys.
        """
        text = token
        try:
            text = self._ask(quote, logs) if text is None else text
            parsed = parse_token(text)
            keys = self.keys or self._published()
            moment = now()
            signer = verify_token(parsed, keys, self.provider.algorithms, moment)
        except Rejected as error:
            return Opinion(text, (Check(error.check, FAIL, str(error), error.code),))
        signed = Check("token-signature", PASS, f"signed with {signer}")
        claims = self.provider.claims(parsed.payload)
        issuer = self.address if self.provider.issuer else None
        return Opinion(
            text,
            (signed, check_claims(parsed, claims, quote, issuer, moment), claims.appraise()),
            claims.tcb,
            claims.simulated,
            _seconds(parsed.payload.get("exp")),
        )

    def _ask(self, quote: Quote, logs: Body) -> str:
        """The token's text. Raises Rejected with what the service said, or Unreachable."""
        request = _request(quote, logs)
        bodies = self.provider.bodies
        url = self.address + self.provider.path
        for form in sorted(range(len(bodies)), key=lambda form: form != self._form):
            answer = post(url, _SERVICE, bodies[form](request), timeout=self.timeout)
            if not _misunderstood(answer):
                self._form = form
                break
        if elsewhere := _why_no_word(answer):
            raise Unreachable(elsewhere, f"{url} answered HTTP {answer.status}{_ADVICE[elsewhere]}")
        text = answer.body.decode("utf-8", "replace").strip()
        if answer.status != 200:
            reason = f"the service refused: HTTP {answer.status} {text[:_SHOWN]}"
            raise Rejected("token-signature", "service-rejected", reason)
        return text

    def _published(self) -> Keys:
        """The keys that the service publishes now."""
        url = self.address + self.provider.keys_path
        try:
            if self.provider.discovery:
                url = _discovered(self._get(url), self.address)
            return read_keys(self._get(url), pinned=False)
        except ValueError as error:
            raise Unreachable(_KEYS, f"{url} is of no use: {error}") from error

    def _get(self, url: str) -> bytes:
        answer = get(url, _KEYS, timeout=self.timeout)
        if answer.status != 200:
            raise Unreachable(_KEYS, f"{url} answered HTTP {answer.status}")
        return answer.body


@dataclass(frozen=True)
class Opinion:
    """A service's word: its token, if it gave one, and the checks of it.

    The rest is in the token, where its signature holds: `simulated` says that a simulator's root
    vouches for the quote, and the token ends at `expires` (seconds since 1970).
    """

    token: str | None
    checks: tuple[Check, ...]
    tcb: Tcb = field(default_factory=Tcb)
    simulated: bool = False
    expires: float = math.inf


_NO_SERVICE = frozenset({*range(300, 400), 404, 405})
"""Answers of a server that has no service there, or has it elsewhere."""

_NO_APPRAISAL = frozenset({401, 403, 429, 502, 503, 504})
"""Answers of what stands before a service."""


def _why_no_word(answer: Answer) -> str | None:
    """Why an answer is not a word about the evidence, or None where it is one."""
    if answer.status in _NO_SERVICE:
        return _ADDRESS
    if answer.status in _NO_APPRAISAL:
        return _SERVICE
    # A page for people: no service has tokens or refusals like that.
    if not answer.body.lstrip().startswith(b"<"):
        return None
    return _ADDRESS if answer.status < 500 else _SERVICE


def _misunderstood(answer: Answer) -> bool:
    """Did the service not understand the body (rather than refuse the evidence)?"""
    if answer.status >= 500:
        words = answer.body.decode("utf-8", "replace")
        return bool(re.search("deseriali[sz]|missing field|unknown field", words, re.I))
    return answer.status in (400, 422)


def _discovered(document: bytes, address: str) -> str:
    """The key set's address, by OpenID Connect Discovery 1.0 (sections 4.2 and 4.3).

    The document must be this very issuer's, and the keys lie at its own origin. Raises
    ValueError.
    """
    value = strictjson.loads(document)
    issuer, keys = _get(value, "issuer"), _get(value, "jwks_uri")
    if issuer != address:
        raise ValueError(f"issuer is not {address}")
    scheme, _, rest = address.partition("://")
    origin = f"{scheme}://{rest.partition('/')[0]}/"
    if not isinstance(keys, str) or not keys.startswith(origin):
        raise ValueError("jwks_uri is at another origin")
    return keys


# --- what is sent --------------------------------------------------------------------------------


def _request(quote: Quote, logs: Body) -> Body:
    inner = {
        "quote": base64.b64encode(quote.raw).decode(),
        "cc_eventlog": logs.get("cc_eventlog"),
        "aa_eventlog": logs.get("aa_eventlog"),
    }
    return {
        "tee": "tdx",
        "evidence": encode_base64url(json.dumps(inner).encode()),
        # Raw data is compared with the report data as it is; services hash structured data only.
        "runtime_data": {"raw": encode_base64url(quote.body.report_data)},
    }


def _alibaba_body(request: Body) -> Body:
    return {**request, "policy_ids": []}


def _listed_body(request: Body) -> Body:
    """Trustee from v0.14."""
    request = {**request, "runtime_data_hash_algorithm": "sha384"}
    return {"verification_requests": [request], "policy_ids": []}


def _flat_body(request: Body) -> Body:
    """Trustee up to v0.13."""
    return {**request, "runtime_data_hash_algorithm": "sha384", "policy_ids": []}


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
        if not (_seconds(payload.get(name)) - now) * side > -SKEW:
            return _claim("token-time", f"{name} is {_short(payload.get(name))}: not valid now")
    if claims.tee != "tdx":
        return _claim("token-claim", f"tee is {_short(claims.tee)}")
    differing = list(_differing(claims.body, quote))
    if differing:
        return _claim("token-claim", f"{', '.join(differing)}: not as in the quote")
    return Check("token-claims", PASS, "of now, and about this quote")


def _seconds(value: object) -> float:
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


def _ear_claims(payload: Mapping[str, Any]) -> Claims:
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


def _simple_claims(payload: Mapping[str, Any]) -> Claims:
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


PROVIDERS = {
    "alibaba": Provider(
        address="https://attest.cn-beijing.aliyuncs.com",
        path=WELL_KNOWN["alibaba"],
        keys_path="/.well-known/openid-configuration",
        algorithms=("RS256",),
        issuer=True,
        discovery=True,
        bodies=(_alibaba_body,),
        claims=_simple_claims,
    ),
    "trustee": Provider(
        address="",
        path=WELL_KNOWN["trustee"],
        keys_path="/.well-known/jwks.json",
        algorithms=("ES256", "RS384"),
        issuer=False,
        discovery=False,
        bodies=(_listed_body, _flat_body),
        claims=lambda payload: (_ear_claims if "submods" in payload else _simple_claims)(payload),
    ),
}
