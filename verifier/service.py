"""The embedded attestation service: the Trustee REST protocol over our own appraisal.

POST /attestation            evidence in, EAR token out
GET  /.well-known/jwks.json  the key that signs the tokens
GET  /healthz                200 while the service runs
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from . import protocol, tokens
from .appraisal import Rejected, Verdict, appraise, read_quote
from .eventlogs import replay_logs
from .signing import Signer
from .trust import TrustError, TrustSource

MAX_BODY = 512 * 1024
"""Bytes; a quote, a firmware log of 64 KiB and two layers of base64 need a third of it."""

BODY_TIMEOUT = 10.0
"""Seconds for a client to send its body."""

ATTESTATION_PATH = "/attestation"
JWKS_PATH = "/.well-known/jwks.json"

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What a service is made of.

    `forms` are the request body forms that it takes; `accept_hashed_raw` as in `parse_body`. `ear`
    is the form of its tokens, one of `tokens.EAR_FORMS`.
    """

    trust: TrustSource
    signer: Signer
    token_ttl: int = 300
    cors_origins: tuple[str, ...] = ()
    forms: tuple[str, ...] = (protocol.FLAT, protocol.LISTED)
    accept_hashed_raw: bool = True
    ear: str = tokens.TRUSTEE
    build: str = "cczoo-verify"
    clock: Callable[[], float] = time.time
    new_id: Callable[[], uuid.UUID] = field(default=uuid.uuid4)


class BodyError(Exception):
    """BodyError: the request's body did not arrive as it should; `status` says how."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def create_app(settings: Settings) -> FastAPI:
    """The service as an ASGI application."""
    # No generated documentation: those pages load scripts from elsewhere.
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.post(ATTESTATION_PATH)
    async def attestation(request: Request) -> Response:
        try:
            body = await read_body(request)
            token = await run_in_threadpool(attest, settings, body)
        except BodyError as error:
            # The rest of the body is not read: without this the server would discard it for ever.
            return _text(str(error), error.status, Connection="close")
        except protocol.Malformed as error:
            return _text(f"Json deserialize error: {error}", 400)
        except Rejected as error:
            return _refused(error.check, error.code, str(error))
        except TrustError as error:
            _log.error("cannot appraise: %s", error)
            return _refused("collateral", "not-configured", "root or collateral is unreadable here")
        except Exception:
            _log.exception("appraisal failed unexpectedly")
            return _refused("quote-signature", "internal", "the service failed; see its log")
        return _text(token, 200)

    @app.get(JWKS_PATH)
    async def keys() -> Response:
        return JSONResponse({"keys": [settings.signer.jwk]})

    @app.get("/healthz")
    async def health() -> Response:
        return PlainTextResponse("ok")

    app.add_middleware(CorsOn, paths=(ATTESTATION_PATH, JWKS_PATH), origins=settings.cors_origins)
    return app


def attest(settings: Settings, data: bytes) -> str:
    """The token for a request body. Raises Malformed, Rejected or TrustError."""
    body = protocol.parse_body(data, settings.forms, accept_hashed_raw=settings.accept_hashed_raw)
    if set(body.policy_ids) - {"default"}:
        raise Rejected("appraisal", "policy-unknown", "the only policy here is `default`")
    now = settings.clock()
    submods: dict[str, tuple[Verdict, Any]] = {}
    for index, request in enumerate(body.requests):
        verdict = appraise_request(request, settings.trust, now)
        name = "cpu" if body.form == protocol.FLAT else f"cpu{index}"
        submods[name] = (verdict, request.runtime_claims)
    claims = tokens.ear_claims(
        submods,
        now=now,
        ttl=settings.token_ttl,
        build=settings.build,
        token_id=str(settings.new_id()),
        form=settings.ear,
    )
    return settings.signer.sign(claims)


def appraise_request(request: protocol.Request, trust: TrustSource, now: float) -> Verdict:
    """The verdict on one piece of evidence. Raises Rejected or TrustError."""
    if request.tee != "tdx":
        raise Rejected("evidence-format", "tee-unknown", "the only tee supported here is `tdx`")
    # What was made for another question costs no more than this: no signature and no log is read.
    protocol.check_bindings(request, read_quote(request.raw_quote))
    verdict = appraise(request.raw_quote, trust(), now)
    replay_logs(verdict.quote, request.cc_eventlog, request.aa_eventlog)
    return verdict


async def read_body(
    request: Request, *, limit: int = MAX_BODY, timeout: float = BODY_TIMEOUT
) -> bytes:
    """The request's body, bounded in size and time. Raises BodyError."""
    try:
        async with asyncio.timeout(timeout):
            return await _collect(request, limit)
    except TimeoutError as error:
        raise BodyError(408, f"the body did not arrive within {timeout:g} seconds") from error


async def _collect(request: Request, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:  # counted while it streams in: Content-Length may lie or be absent
            raise BodyError(413, f"the body is larger than {limit} bytes")
        parts.append(part)
    return b"".join(parts)


def _refused(check: str, code: str, message: str) -> Response:
    """A refusal in the shape of Trustee's: status 500, a chain of causes as text."""
    return _text(
        "An internal error occured: \n"
        "0: attestation report evaluate\n"
        f"1: {check}/{code}: {message}",
        500,
    )


def _text(content: str, status: int, **headers: str) -> Response:
    """An answer that no browser keeps, or takes for a page."""
    return PlainTextResponse(content, status, {**_HEADERS, **headers})


class CorsOn:
    """Cross-origin access for some paths and origins; everything else gets no CORS headers."""

    def __init__(self, app: ASGIApp, *, paths: Iterable[str], origins: Iterable[str]) -> None:
        self._paths = frozenset(paths)
        self._plain = app
        self._shared = CORSMiddleware(
            app,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type"],
            max_age=600,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shared = scope["type"] == "http" and scope["path"] in self._paths
        await (self._shared if shared else self._plain)(scope, receive, send)
