"""Evidence that this server runs inside a trust domain, for the browser's trust badge.

``GET /quote`` hands out quotes, ``GET /collateral`` what it takes to verify one, ``GET /config``
the administrator's suggestions, and ``POST /relay/<provider>`` carries a browser's request to an
attestation service that sends no CORS headers. Nothing here decides anything about trust: the
browser checks all of it by itself.
"""

import asyncio
import base64
import json
import logging
import os
import secrets
import time
from collections.abc import Callable
from functools import lru_cache, partial
from types import ModuleType
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from open_webui.utils.auth import decode_token, get_verified_user
from open_webui.utils.tee import (
    HEADERS,
    SERVICES,
    EvidenceQueue,
    Limiter,
    Settings,
    TeeError,
    TeeRoute,
    address_key,
)
from open_webui.utils.tee_collateral import (
    Collateral,
    CollateralCache,
    Platform,
    fetch_collateral,
    parse_platform,
    root_point,
    simulator_collateral,
)
from open_webui.utils.tee_http import Unreachable, exchange
from starlette.requests import ClientDisconnect

log = logging.getLogger(__name__)

RELAY_REQUEST_BYTES = 256 * 1024
RELAY_ANSWER_BYTES = 1024 * 1024
SERVER_NONCE_BYTES = 32
# Requests to the collateral service for everybody together: callers choose the platform.
PCCS_LIMIT = "30/minute"

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


@lru_cache(maxsize=1)
def _simulates(_minute: int) -> bool:
    """Return whether quotes are simulated here, decided once a minute: it may cost a quote."""
    from quote_generator.attester import simulates

    return simulates(timeout=settings().quote_timeout)


def simulator() -> Any:
    """Return the simulator that makes this machine's quotes, or None. Blocks."""
    from quote_generator.attester import simulator_directory
    from quote_generator.simulator import Simulator

    if not _simulates(int(time.monotonic() // 60)):
        return None
    return Simulator.open(simulator_directory(os.environ), patience=settings().quote_timeout)


def simulated_root() -> str | None:
    """Return the root of simulated quotes, or None. Blocks: a dependency, as above."""
    try:
        from quote_generator.errors import QuoteGeneratorError
    except ImportError:  # whoever asks for a quote is told
        return None
    try:
        used = simulator()
    except QuoteGeneratorError as error:
        log.warning("no root of the simulator: %s", error)
        return None
    return root_point(used.root_der) if used else None


def simulated_collateral(platform: Platform) -> dict | None:
    """Return collateral for the simulator's platform, where it makes the quotes. Blocks."""
    from quote_generator.errors import QuoteGeneratorError
    from quote_generator.simulator.pki import FMSPC

    if platform != (FMSPC.hex().upper(), "platform"):
        return None
    try:
        used = simulator()
        return simulator_collateral(used, time.time()) if used else None
    except QuoteGeneratorError as error:
        raise TeeError(503, error.code, str(error)) from None


queue = EvidenceQueue(build_evidence)
collateral_cache = CollateralCache()

VerifiedUser = Annotated[Any, Depends(get_verified_user)]
Environment = Annotated[Settings, Depends(settings)]
Attester = Annotated[ModuleType, Depends(evidence_module)]


# Who may ask


# The environment of a process does not change: the choice is made once, and FastAPI documents it.
# A wrong setting is told at each request instead of keeping open-webui from starting.
def _public() -> bool:
    try:
        return settings().public
    except TeeError as error:
        log.error("%s", error.detail)
        return False


def admission(what: str) -> Any:
    """Return the dependency that lets in who may ask for ``what``, and counts it by itself."""

    def count_anyone(request: Request, environment: Environment, _: Attester) -> None:
        scheme, _space, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            token = request.cookies.get("token", "")
        claims = decode_token(token.strip()) or {}
        if "id" in claims:
            limiter.hit(environment.user_limit, what, "user", str(claims["id"]))
            return
        host = request.client.host if request.client else None
        limiter.hit(environment.address_limit, what, "address", address_key(host))
        limiter.hit(environment.public_limit, what, "public")

    def count_user(user: VerifiedUser, environment: Environment, _: Attester) -> None:
        limiter.hit(environment.user_limit, what, "user", user.id)

    return Depends(count_anyone if _public() else count_user)


# Routes


@router.get("/quote", dependencies=[admission("quote")])
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


@router.get("/collateral", dependencies=[admission("collateral")])
async def get_collateral(environment: Environment, fmspc: str | None = None, ca: str | None = None):
    """Return the collateral of a platform: ``fmspc`` in hex, ``ca`` is platform or processor."""
    platform = parse_platform(fmspc, ca)
    document = await run_in_threadpool(simulated_collateral, platform)
    if document is None:
        fetch = partial(_fetch_collateral, platform, environment)
        found, stale = await collateral_cache.get(platform, fetch, environment.collateral_refresh)
        document = found.document(source="pccs", stale=stale)
    return JSONResponse(document, headers=HEADERS)


async def _fetch_collateral(platform: Platform, environment: Settings) -> Collateral:
    limiter.hit(PCCS_LIMIT, "pccs")
    return await fetch_collateral(platform, environment.pccs_url, environment.collateral_timeout)


@router.get("/config", dependencies=[Depends(get_verified_user)])
async def get_config(
    environment: Environment, root: Annotated[str | None, Depends(simulated_root)]
):
    """Return which provider the administrator suggests, and which services are relayed."""
    return JSONResponse(environment.document(root), headers=HEADERS)


@router.post("/relay/{provider}")
async def relay(
    provider: str, request: Request, user: VerifiedUser, environment: Environment, _: Attester
):
    """Forward a JSON object to the configured attestation service; return its answer as text."""
    url = environment.relay_url(provider) if provider in SERVICES else None
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
    """Send ``body`` and return the service's status and answer."""
    try:
        answer = await exchange(
            "POST", url, seconds=seconds, limit=RELAY_ANSWER_BYTES, json_body=body
        )
    except TimeoutError:
        detail = "The attestation service did not answer in time."
        raise TeeError(504, "relay-timed-out", detail) from None
    except Unreachable as error:
        raise TeeError(502, "relay-failed", f"The attestation service {error}.") from None
    if 300 <= answer.status < 400:
        raise TeeError(502, "relay-failed", "The attestation service redirects elsewhere.")
    return answer.status, answer.body


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
