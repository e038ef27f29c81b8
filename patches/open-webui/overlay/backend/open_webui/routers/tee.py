"""Evidence that this server runs inside a trust domain, for the browser's trust badge.

``GET /quote`` hands out quotes, ``GET /config`` the administrator's suggestions, and
``POST /relay/<provider>`` carries a browser's request to an attestation service that sends no
CORS headers. Nothing here decides anything about trust: the browser checks all of it by itself.
"""

import asyncio
import base64
import json
import logging
import os
import secrets
import time
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Annotated, Any

import aiohttp
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from open_webui.utils.auth import decode_token, get_verified_user
from open_webui.utils.tee import (
    HEADERS,
    PROVIDERS,
    EvidenceQueue,
    Limiter,
    Settings,
    TeeError,
    TeeRoute,
    address_key,
)
from starlette.requests import ClientDisconnect

log = logging.getLogger(__name__)

RELAY_REQUEST_BYTES = 256 * 1024
RELAY_ANSWER_BYTES = 1024 * 1024
SERVER_NONCE_BYTES = 32

router = APIRouter(route_class=TeeRoute)
limiter = Limiter()


def settings() -> Settings:
    """Return the administrator's settings."""
    return Settings.from_environment(os.environ)


def evidence_module() -> ModuleType:
    """Return ``quote_generator.evidence``; a dependency, so that a thread does the import."""
    try:
        import limits  # noqa: F401  (comes with the same wheel)

        from quote_generator import evidence
    except ImportError as error:
        detail = (
            f"This server can not make quotes ({error}). Its administrator has to install the "
            "cczoo-trust-badge wheel into open-webui's Python environment and restart it."
        )
        raise TeeError(503, "attester-missing", detail) from None
    return evidence


def build_evidence(nonces: list[bytes]) -> list[dict]:
    """Return one evidence document for each nonce, all from one quote. Blocks."""
    from quote_generator import eventlog
    from quote_generator.attester import attest
    from quote_generator.errors import QuoteGeneratorError
    from quote_generator.evidence import build_evidence

    try:
        documents = build_evidence(
            nonces,
            attest=partial(attest, timeout=settings().quote_timeout),
            now=time.time(),
            cc_eventlog=_event_log(eventlog.read_ccel),
            aa_eventlog=_event_log(eventlog.read_aael),
        )
    except QuoteGeneratorError as error:
        log.error("no quote (%s): %s", error.code, error)
        status = 504 if error.code == "timed-out" else 503
        raise TeeError(status, error.code, str(error)) from None
    if documents[0]["simulated"]:
        # This machine's logs say nothing about the simulator's registers.
        documents = [
            document | {"cc_eventlog": None, "aa_eventlog": None} for document in documents
        ]
    return documents


def _event_log(read: Callable[[], Any]) -> Any:
    """Return an event log, or None where it can not be read: a quote is good without it."""
    from quote_generator.errors import QuoteGeneratorError

    try:
        return read()
    except (QuoteGeneratorError, OSError) as error:
        log.warning("no event log: %s", error)
        return None


queue = EvidenceQueue(build_evidence)

VerifiedUser = Annotated[Any, Depends(get_verified_user)]
Environment = Annotated[Settings, Depends(settings)]
Attester = Annotated[ModuleType, Depends(evidence_module)]


# Who may ask


def count_anyone(request: Request, environment: Environment, _: Attester) -> None:
    """Count a request for public evidence: by user if signed in, else by client address."""
    scheme, _space, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        token = request.cookies.get("token", "")
    claims = decode_token(token.strip()) or {}
    if "id" in claims:
        limiter.hit(environment.user_limit, "user", str(claims["id"]))
        return
    host = request.client.host if request.client else None
    limiter.hit(environment.address_limit, "address", address_key(host))
    limiter.hit(environment.public_limit, "public")


def count_user(user: VerifiedUser, environment: Environment, _: Attester) -> None:
    """Let a verified user in and count the request."""
    limiter.hit(environment.user_limit, "user", user.id)


# The environment of a process does not change: the choice is made once, and FastAPI documents it.
# A wrong setting is told at each request instead of keeping open-webui from starting.
def _public() -> bool:
    try:
        return settings().public
    except TeeError as error:
        log.error("%s", error.detail)
        return False


# Routes


@router.get("/quote", dependencies=[Depends(count_anyone if _public() else count_user)])
async def get_quote(environment: Environment, evidence: Attester, nonce: str | None = None):
    """Return a quote whose report data is bound to ``nonce`` (unpadded base64url, 16-64 bytes).

    Without a nonce the server draws one, and the answer says that it is not fresh: a quote like
    that can be a replay, and must not make anybody trust anything.
    """
    fresh = nonce is not None
    if nonce is None:
        nonce = _base64url(secrets.token_bytes(SERVER_NONCE_BYTES))
    try:
        raw = evidence.parse_nonce(nonce)
    except ValueError as error:
        raise TeeError(400, "bad-nonce", str(error)) from None
    # One quote may be under way before the one that answers this nonce.
    document = await queue.evidence(raw, timeout=2 * environment.quote_timeout + 1)
    document["fresh"] = fresh
    if not fresh:
        document["nonce"] = nonce
    return JSONResponse(document, headers=HEADERS)


@router.get("/config", dependencies=[Depends(get_verified_user)])
async def get_config(environment: Environment):
    """Return which attestation service the administrator suggests, and which ones are relayed."""
    return JSONResponse(environment.document(), headers=HEADERS)


@router.post("/relay/{provider}")
async def relay(
    provider: str, request: Request, user: VerifiedUser, environment: Environment, _: Attester
):
    """Forward a JSON object to the configured attestation service; return its answer as text."""
    url = environment.relay_url(provider) if provider in PROVIDERS else None
    if url is None:
        detail = "This server does not relay to that service: it must be listed in TEE_RELAY"
        raise TeeError(404, "relay-not-configured", f"{detail} and have an address.")
    limiter.hit(environment.user_limit, "relay", user.id)
    body = _json_object(request, await _read_request(request, environment.relay_timeout))
    status, answer = await _forward(url, body, environment.relay_timeout)
    # The service's words are shown to nobody as markup: text, and no guessing.
    return Response(answer, status_code=status, media_type="text/plain", headers=HEADERS)


# Relay


def _json_object(request: Request, body: bytes) -> bytes:
    """Return ``body`` in the form it was checked in: one JSON object."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise TeeError(415, "not-json", "Send the request as application/json.")
    try:
        value = json.loads(body)
        if not isinstance(value, dict):
            raise ValueError
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        raise TeeError(400, "bad-request", "The request must be one JSON object.") from None


async def _read_request(request: Request, seconds: float) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > RELAY_REQUEST_BYTES:
                    detail = f"The request must not be larger than {RELAY_REQUEST_BYTES} bytes."
                    raise TeeError(413, "too-large", detail)
    except (TimeoutError, ClientDisconnect):
        raise TeeError(408, "timed-out", "The request did not arrive whole in time.") from None
    return bytes(body)


async def _forward(url: str, body: bytes, seconds: float) -> tuple[int, bytes]:
    """Send ``body`` and return the service's status and answer.

    Only the body travels: no header, cookie or address of the user. Compression is neither asked
    for nor undone, so an answer can not grow in memory beyond what was counted.
    """
    headers = {
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "User-Agent": "cczoo-trust-badge",
    }
    try:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=True,
            ) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            if 300 <= answer.status < 400:
                raise TeeError(502, "relay-failed", "The attestation service redirects elsewhere.")
            return answer.status, await _read_answer(answer)
    except TimeoutError:
        detail = "The attestation service did not answer in time."
        raise TeeError(504, "relay-timed-out", detail) from None
    except aiohttp.ClientError as error:
        log.error("relay to %s failed: %r", url, error)
        detail = "The attestation service could not be reached or broke off."
        raise TeeError(502, "relay-failed", detail) from None


async def _read_answer(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > RELAY_ANSWER_BYTES:
            detail = f"The attestation service sent more than {RELAY_ANSWER_BYTES} bytes."
            raise TeeError(502, "relay-failed", detail)
    return bytes(body)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
