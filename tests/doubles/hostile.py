"""An attestation service that misbehaves in one chosen way and is impeccable otherwise.

    python -m doubles.hostile --mode MODE [--protocol trustee|alibaba] [--cors-origin ORIGIN]

It believes every quote without a look at it. `--mode good` gives the token that the other
modes spoil. `GET /seen` lists the requests that arrived, as ["METHOD /path", ...].
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cczoo_verifier import protocol, tokens
from cczoo_verifier.appraisal import Verdict
from cczoo_verifier.certificates import INTEL_ROOT_KEY
from cczoo_verifier.evaluations import Evaluation
from cczoo_verifier.grounds import Grounds
from cczoo_verifier.tcb import Dates, Judgement, State
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from quote_generator.quote import Quote, parse_quote

from . import jose
from .alibaba import discovery_document
from .serving import command_line, run_double, share

TRUSTEE, ALIBABA = "trustee", "alibaba"
ALGORITHMS = {TRUSTEE: "ES256", ALIBABA: "RS256"}
PATHS = {TRUSTEE: "/attestation", ALIBABA: "/v1/attestation"}
KEYS = {TRUSTEE: "/.well-known/jwks.json", ALIBABA: "/jwks.json"}

MARKUP = '<img src=x onerror="window.__pwned=1"><script>window.__pwned=1</script>'
"""What comes alive only where a claim is treated as HTML; it then sets `window.__pwned`."""

HANG_SECONDS = 300
HOUR = 3600


@dataclass
class Forger:
    """Makes tokens for one protocol, and spoils them as its mode says."""

    mode: str
    form: str
    issuer: str
    seen: list[str] = field(default_factory=list)
    kid: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __post_init__(self) -> None:
        self.alg = ALGORITHMS[self.form]

    @cached_property
    def key(self) -> jose.PrivateKey:
        """The key that is published."""
        return jose.make_key(self.alg)

    @cached_property
    def other_key(self) -> jose.PrivateKey:
        """A key that is not."""
        return jose.make_key(self.alg)

    @property
    def key_set(self) -> dict[str, Any]:
        """The published keys."""
        return {"keys": [jose.jwk(self.key, self.alg, self.kid)]}

    def token(self, data: bytes) -> str:
        """The token for a request body."""
        body = protocol.parse_body(data)
        quote = parse_quote(body.requests[0].raw_quote)
        claims = self.claims(QUOTE_LIES.get(self.mode, _same)(quote), body.form)
        CLAIM_LIES.get(self.mode, _keep)(claims)
        header: dict[str, Any] = {"alg": self.alg, "kid": self.kid, "typ": "JWT"}
        return TOKEN_LIES.get(self.mode, _honest)(self, header, claims)

    def claims(self, quote: Quote, body_form: str) -> dict[str, Any]:
        """Claims that praise the quote."""
        now, token_id = time.time(), str(uuid.uuid4())
        date = datetime.datetime.fromtimestamp(int(now), datetime.UTC)
        state = State("UpToDate", (), date)
        verdict = Verdict(
            quote=quote,
            judgement=Judgement(state, None, Dates(date, None, date), state.status),
            grounds=Grounds(Evaluation("00" * 6, 17, 17, INTEL_ROOT_KEY), now + HOUR),
            root_name="TEST Root CA",
        )
        if self.form == ALIBABA:
            return tokens.simple_claims(
                verdict, issuer=self.issuer, now=now, ttl=HOUR, token_id=token_id
            )
        name = "cpu" if body_form == protocol.FLAT else "cpu0"
        submods = {name: (verdict, None)}
        return tokens.ear_claims(submods, now=now, ttl=HOUR, build="double", token_id=token_id)


# --- lies about the quote: the token is genuine, but about another one ---------------------------


def _same(quote: Quote) -> Quote:
    return quote


def _with_body(**fields: bytes) -> Callable[[Quote], Quote]:
    return lambda quote: dataclasses.replace(quote, body=dataclasses.replace(quote.body, **fields))


QUOTE_LIES: dict[str, Callable[[Quote], Quote]] = {
    "other-nonce": _with_body(report_data=b"\xee" * 48 + bytes(16)),
    "wrong-measurements": _with_body(mr_td=b"\xee" * 48),
}


# --- lies in the claims: the signature holds -----------------------------------------------------


def _keep(claims: dict[str, Any]) -> None:
    pass


def _shift(seconds: int) -> Callable[[dict[str, Any]], None]:
    def shift(claims: dict[str, Any]) -> None:
        for name in ("iat", "nbf", "exp"):
            claims[name] += seconds

    return shift


def _submod(claims: dict[str, Any]) -> dict[str, Any]:
    submods: dict[str, dict[str, Any]] = claims["submods"]
    return next(iter(submods.values()))


def _wrong_tee(claims: dict[str, Any]) -> None:
    if "submods" in claims:
        evidence = _submod(claims)["ear.veraison.annotated-evidence"]
        evidence["snp"] = evidence.pop("tdx")
    else:
        claims["tee"] = "snp"


def _markup(claims: dict[str, Any]) -> None:
    """Markup wherever a relying party may show text without judging it."""
    claims["jti"] = MARKUP
    if "submods" in claims:
        claims["ear.verifier-id"] = {"build": MARKUP, "developer": MARKUP}
        submod = _submod(claims)
        submod["ear.appraisal-policy-id"] = MARKUP
        submod["ear.veraison.annotated-evidence"]["cczoo"]["root"] = MARKUP
    else:
        claims["evaluation-reports"] = [{"policy-hash": None, "policy-id": MARKUP}]


def _markup_verdict(claims: dict[str, Any]) -> None:
    """Markup where text is judged, so that it shows up in the reason."""
    if "submods" in claims:
        _submod(claims)["ear.status"] = MARKUP
    else:
        claims["tee"] = MARKUP


def _set_status(status: str) -> Callable[[dict[str, Any]], None]:
    def set_status(claims: dict[str, Any]) -> None:
        if "submods" in claims:
            _submod(claims)["ear.status"] = status
        else:
            claims["evaluation-reports"] = []

    return set_status


def _wrong_issuer(claims: dict[str, Any]) -> None:
    claims["iss"] = claims["aud"] = "https://attestation.example"


def _without(name: str) -> Callable[[dict[str, Any]], None]:
    def remove(claims: dict[str, Any]) -> None:
        claims.pop(name, None)

    return remove


CLAIM_LIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "expired": _shift(-2 * HOUR),
    "not-yet-valid": _shift(2 * HOUR),
    "no-expiry": _without("exp"),
    "wrong-tee": _wrong_tee,
    "wrong-issuer": _wrong_issuer,
    "html": _markup,
    "html-verdict": _markup_verdict,
    "contraindicated": _set_status("contraindicated"),
    "no-verdict": _set_status("none"),
}


# --- lies of the signature -----------------------------------------------------------------------

Lie = Callable[[Forger, dict[str, Any], dict[str, Any]], str]


def _honest(forger: Forger, header: dict[str, Any], claims: dict[str, Any]) -> str:
    return jose.compact(header, claims, jose.signer(forger.key, forger.alg))


def _other_key(forger: Forger, header: dict[str, Any], claims: dict[str, Any]) -> str:
    return jose.compact(header, claims, jose.signer(forger.other_key, forger.alg))


def _embedded_key(forger: Forger, header: dict[str, Any], claims: dict[str, Any]) -> str:
    header["jwk"] = jose.jwk(forger.other_key, forger.alg, forger.kid)
    return _other_key(forger, header, claims)


def _embedded_chain(forger: Forger, header: dict[str, Any], claims: dict[str, Any]) -> str:
    header["x5c"] = [jose.self_signed(forger.other_key)]
    return _other_key(forger, header, claims)


def _nested(forger: Forger, header: dict[str, Any], claims: dict[str, Any]) -> str:
    inner = _honest(forger, header, claims).encode()
    return jose.compact(header | {"cty": "JWT"}, inner, jose.signer(forger.key, forger.alg))


def _key_by_address(forger: Forger, header: dict[str, Any], claims: dict[str, Any]) -> str:
    header["jku"] = f"{forger.issuer}/other-keys.json"
    return _other_key(forger, header, claims)


def _unknown_kid(forger: Forger, header: dict[str, Any], claims: dict[str, Any]) -> str:
    return _honest(forger, header | {"kid": str(uuid.uuid4())}, claims)


def _alg_none(forger: Forger, header: dict[str, Any], claims: dict[str, Any]) -> str:
    return jose.compact(header | {"alg": "none"}, claims, lambda _: b"")


def _hs256(forger: Forger, header: dict[str, Any], claims: dict[str, Any]) -> str:
    return jose.compact(header | {"alg": "HS256"}, claims, jose.hmac_signer(forger.key))


def _critical(forger: Forger, header: dict[str, Any], claims: dict[str, Any]) -> str:
    return _honest(forger, header | {"crit": ["exp"], "exp": 0}, claims)


def _repeated_claim(forger: Forger, header: dict[str, Any], claims: dict[str, Any]) -> str:
    text = json.dumps(claims)
    payload = f'{text[:-1]},"exp":{claims["exp"] + HOUR}}}'.encode()
    return jose.compact(header, payload, jose.signer(forger.key, forger.alg))


def _stripped(forger: Forger, header: dict[str, Any], claims: dict[str, Any]) -> str:
    return _honest(forger, header, claims).rsplit(".", 1)[0] + "."


TOKEN_LIES: dict[str, Lie] = {
    "other-key": _other_key,
    "embedded-key": _embedded_key,
    "embedded-chain": _embedded_chain,
    "nested": _nested,
    "key-by-address": _key_by_address,
    "unknown-kid": _unknown_kid,
    "alg-none": _alg_none,
    "hs256": _hs256,
    "critical-header": _critical,
    "repeated-claim": _repeated_claim,
    "no-signature": _stripped,
}


# --- misbehaviour before there is a token --------------------------------------------------------

Answer = Callable[[Forger], Response]


def _reject_500(forger: Forger) -> Response:
    causes = "0: attestation report evaluate\n1: Verifier evaluate failed: TDX Verifier"
    return PlainTextResponse(f"An internal error occured: \n{causes}: quote is bad", 500)


def _reject_400(forger: Forger) -> Response:
    return JSONResponse({"code": "InvalidParameter", "message": "bad evidence"}, 400)


def _reject_with_markup(forger: Forger) -> Response:
    return Response(MARKUP, 500, media_type="text/html")


def _garbage(forger: Forger) -> Response:
    return Response(bytes(range(256)) * 8, media_type="text/plain")


def _empty(forger: Forger) -> Response:
    return PlainTextResponse("")


def _page(forger: Forger) -> Response:
    return Response(f"<!doctype html><p>Welcome {MARKUP}</p>", media_type="text/html")


def _endless(forger: Forger) -> Response:
    async def letters() -> AsyncIterator[bytes]:
        while True:
            yield b"A" * 65536
            await asyncio.sleep(0)

    return StreamingResponse(letters(), media_type="text/plain")


def _trickle(forger: Forger) -> Response:
    async def letters() -> AsyncIterator[bytes]:
        for _ in range(HANG_SECONDS):
            yield b"A"
            await asyncio.sleep(1)

    return StreamingResponse(letters(), media_type="text/plain")


def _redirect(forger: Forger) -> Response:
    """To another origin, where a good token would be waiting."""
    elsewhere = forger.issuer.replace("127.0.0.1", "localhost") + PATHS[forger.form] + "/elsewhere"
    return Response(status_code=307, headers={"Location": elsewhere})


ANSWERS: dict[str, Answer] = {
    "reject": _reject_500,
    "reject-400": _reject_400,
    "reject-html": _reject_with_markup,
    "garbage": _garbage,
    "empty": _empty,
    "page": _page,
    "endless": _endless,
    "trickle": _trickle,
    "redirect": _redirect,
}

KEY_ANSWERS: dict[str, Answer] = {
    "keys-missing": lambda _: PlainTextResponse("Not Found", 404),
    "keys-garbage": _garbage,
    "keys-endless": _endless,
    "keys-empty": lambda _: JSONResponse({"keys": []}),
}


def _discovers(**changes: Callable[[str], object]) -> Answer:
    def answer(forger: Forger) -> Response:
        lies = {name: lie(forger.issuer) for name, lie in changes.items()}
        return JSONResponse(discovery_document(forger.issuer) | lies)

    return answer


def _elsewhere(issuer: str) -> str:
    """The same service under another origin."""
    return issuer.replace("127.0.0.1", "localhost")


# What only Alibaba Cloud's protocol has: where the keys are is discovered.
DISCOVERY_ANSWERS: dict[str, Answer] = {
    "discovery-missing": lambda _: PlainTextResponse("Not Found", 404),
    "discovery-garbage": _garbage,
    "discovery-endless": _endless,
    "discovery-redirect": lambda forger: Response(
        status_code=307,
        headers={"Location": f"{_elsewhere(forger.issuer)}/discovery-elsewhere"},
    ),
    "discovery-other-issuer": _discovers(issuer=_elsewhere),
    "discovery-other-origin": _discovers(
        jwks_uri=lambda issuer: f"{_elsewhere(issuer)}/other-keys.json"
    ),
}

HANG, KEYS_HANG, GOOD = "hang", "keys-hang", "good"

MODES = (
    GOOD,
    HANG,
    KEYS_HANG,
    *ANSWERS,
    *KEY_ANSWERS,
    *DISCOVERY_ANSWERS,
    *QUOTE_LIES,
    *CLAIM_LIES,
    *TOKEN_LIES,
)


def create_app(forger: Forger, origins: list[str]) -> FastAPI:
    """The service as an ASGI application."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    path, keys_path = PATHS[forger.form], KEYS[forger.form]

    @app.post(path)
    async def attestation(request: Request) -> Response:
        if forger.mode == HANG:
            await asyncio.sleep(HANG_SECONDS)
        if forger.mode in ANSWERS:
            return ANSWERS[forger.mode](forger)
        return await token(request)

    @app.post(f"{path}/elsewhere")
    async def token(request: Request) -> Response:
        try:
            return PlainTextResponse(forger.token(await request.body()))
        except protocol.Malformed as error:
            return PlainTextResponse(f"Json deserialize error: {error}", 400)

    @app.get(keys_path)
    async def keys() -> Response:
        if forger.mode == KEYS_HANG:
            await asyncio.sleep(HANG_SECONDS)
        if forger.mode in KEY_ANSWERS:
            return KEY_ANSWERS[forger.mode](forger)
        return JSONResponse(forger.key_set)

    @app.get("/other-keys.json")
    async def other_keys() -> Response:
        return JSONResponse({"keys": [jose.jwk(forger.other_key, forger.alg, forger.kid)]})

    @app.get("/seen")
    async def seen() -> Response:
        return JSONResponse(forger.seen)

    if forger.form == ALIBABA:

        @app.get("/.well-known/openid-configuration")
        async def discovery() -> Response:
            if forger.mode in DISCOVERY_ANSWERS:
                return DISCOVERY_ANSWERS[forger.mode](forger)
            return await discovery_elsewhere()

        @app.get("/discovery-elsewhere")
        async def discovery_elsewhere() -> Response:
            return JSONResponse(discovery_document(forger.issuer))

    app.add_middleware(Witness, seen=forger.seen)
    share(app, origins)
    return app


class Witness:
    """Notes every request that gets past the cross-origin checks."""

    def __init__(self, app: ASGIApp, *, seen: list[str]) -> None:
        self._app = app
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != "/seen":
            self._seen.append(f"{scope['method']} {scope['path']}")
        await self._app(scope, receive, send)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service."""
    parser = command_line(__doc__)
    parser.add_argument("--mode", choices=MODES, required=True)
    parser.add_argument("--protocol", choices=sorted(PATHS), default=TRUSTEE)
    options = parser.parse_args(argv)

    def make_app(url: str) -> FastAPI:
        return create_app(Forger(options.mode, options.protocol, url), options.cors_origin)

    return run_double(make_app, options)


if __name__ == "__main__":
    sys.exit(main())
