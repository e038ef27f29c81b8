"""Everything under /api/v1/tee.

``GET quote`` hands out evidence that this server runs inside a trust domain, ``GET collateral``
what it takes to verify it, ``GET config`` the administrator's suggestions, ``GET keys`` what
requests are sealed to, ``GET sealed`` says whether this very request came sealed, and ``GET
statement`` what the server states about itself; ``GET`` and ``PUT admin/settings`` are for
administrators; ``POST relay/<provider>`` carries a page's request to an attestation service; ``GET
page/<name>`` is a file of the page's part of the kit, ``GET worker`` its service worker, ``GET
courier`` and ``GET image`` are documents for its frames, and with ``POST report`` a page says what
it lacks. ``POST cookies`` ends those that a browser had got before it talked sealed. ``GET /tee``,
beside all that, is the page for auditors.
Nothing here decides anything about trust: the browser checks all of it by itself. (``POST ohttp``
and the sockets are the business of ``sealed``, which stands around this.)
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from limits import RateLimitItem, parse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from quote_generator.errors import QuoteGeneratorError
from quote_generator.evidence import encode_base64url, parse_nonce
from quote_generator.simulator import pki

from . import SEALED_REQUIRED, sealing_mode
from .administration import Administration
from .administration_change import change_settings
from .admission import Admission
from .auditors import auditors_page
from .bundle import Bundle
from .collateral import (
    Collateral,
    CollateralCache,
    Platform,
    fetch_collateral,
    parse_platform,
    root_point,
    simulator_collateral,
)
from .cookies import end_cookies, refuse_other_origins
from .errors import HEADERS, TeeError
from .evidence_queue import EvidenceQueue
from .evidence_source import Evidence, EvidenceSource
from .frames import courier, image_frame
from .host import Host
from .keys import Keyring
from .rate_limits import RateLimiter
from .relay import relay
from .report import Reports
from .scopes import AUDITORS, ROOT, is_sealed, route_path
from .sealed.plain import refusal
from .settings_table import SERVICES
from .workload.statement import Stating

log = logging.getLogger(__name__)

PAGE_ROOT = f"{ROOT}/page"

SERVER_NONCE_BYTES = 32
SEALED_VERSION = 1
# Requests to the collateral service for everybody together: callers choose the platform.
PCCS_LIMIT = parse("30/minute")
SIMULATED_PLATFORM = Platform(pki.FMSPC.hex().upper(), "platform")

# The names of the page's files change with their content.
_IMMUTABLE = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Vary": "Accept-Encoding",
    "Cross-Origin-Resource-Policy": "same-origin",
}

# The worker's address stays the same, or browsers would take each version for another worker. It is
# for every page of the origin, and asks nobody but this server.
_WORKER = {
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'",
    "Service-Worker-Allowed": "/",
}

READING: tuple[str, ...] = ("GET", "HEAD")

Endpoint = Callable[[Request], Awaitable[Response]]
NamedEndpoint = Callable[[str, Request], Awaitable[Response]]


class Routes:
    """The ASGI application of everything under ``ROOT``, and of the page for auditors.

    Settings are ``administration``'s, read when a request needs them: a wrong one is told to
    whoever asks, and keeps nothing from starting. ``bundle`` is None where it is missing;
    ``root`` and ``now`` are as in ``EvidenceSource``. ``keys`` are bound by quotes, with the
    statement; None where nothing is sealed.
    """

    def __init__(
        self,
        host: Host,
        bundle: Bundle | None,
        *,
        environ: Mapping[str, str],
        administration: Administration,
        statement: Stating,
        keys: Keyring | None = None,
        root: str = "",
        now: Callable[[], float] = time.time,
        pccs_limit: RateLimitItem = PCCS_LIMIT,
    ) -> None:
        self._host = host
        self._bundle = bundle
        self._keys = keys
        self._statement = statement
        self._administration = administration
        self._settings = administration.settings
        self._is_required = sealing_mode(administration.environ) == SEALED_REQUIRED
        self._now = now
        self._limiter = RateLimiter()
        self._pccs_limit = pccs_limit
        self._admission = Admission(host, self._settings, self._limiter)
        self._source = EvidenceSource(environ, root=root, now=now)
        self._queue = EvidenceQueue(self._build_evidence)
        self._collateral_cache = CollateralCache(now)
        self._reports = Reports(host.version)
        self._environ = environ
        self._endpoints: dict[str, tuple[tuple[str, ...], Endpoint]] = {
            "quote": (("GET",), self._quote),
            "collateral": (("GET",), self._collateral),
            "config": (("GET",), self._config),
            "keys": (("GET",), self._public_keys),
            "sealed": (("GET",), self._sealed),
            "statement": (("GET",), self._stated),
            "cookies": (("POST",), self._cookies),
            "report": (("POST",), self._report),
            "courier": (("GET",), self._courier),
            "image": (("GET",), self._image),
            "worker": (("GET", "HEAD"), self._worker),
        }
        self._named_endpoints: dict[str, tuple[tuple[str, ...], NamedEndpoint]] = {
            "admin": (("GET", "PUT"), self._admin),
            "relay": (("POST",), self._relay),
            "page": (("GET", "HEAD"), self._page),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (a scope of type ``http``); no failure is anything but JSON."""
        request = Request(scope, receive)
        try:
            response = await self._endpoint(request)(request)
        except TeeError as error:
            response = error.response()
        except HTTPException as error:  # from open-webui's authentication
            response = TeeError.from_http_exception(error).response()
        except Exception:
            log.exception("%s %r failed", request.method, route_path(scope))
            response = TeeError.unexpected().response()
        await response(scope, receive, send)

    def _endpoint(self, request: Request) -> Endpoint:
        endpoint: Endpoint
        path = route_path(request.scope)
        what, slash, name = path.removeprefix(f"{ROOT}/").partition("/")
        if path == AUDITORS:
            methods, endpoint = READING, self._auditors
        elif slash and what in self._named_endpoints:
            methods, named = self._named_endpoints[what]
            endpoint = partial(named, name)
        elif not slash and what in self._endpoints:
            methods, endpoint = self._endpoints[what]
        else:
            raise _not_found("There is nothing here: see docs/backend.md for what there is.")
        if request.method not in methods:
            allowed = ", ".join(methods)
            detail = f"This address takes {allowed} only."
            raise TeeError(405, "method-not-allowed", detail, headers={"Allow": allowed})
        return endpoint

    # Evidence

    async def _quote(self, request: Request) -> Response:
        """Answer with a quote whose report data is bound to ``nonce``.

        Without a nonce the server draws one, and the answer says that it is not fresh: a quote
        like that can be a replay, and must not make anybody trust anything. Who has an account
        gets the sections of the statement with it.
        """
        await self._admission.asker(request, "quote")
        given = request.query_params.get("nonce")
        nonce = secrets.token_bytes(SERVER_NONCE_BYTES) if given is None else _parsed_nonce(given)
        with_sections = False
        if self._keys is not None:
            stated = await self._statement.current()  # at the earliest what the quote will bind
            has_sections = stated.sections_json is not None
            with_sections = has_sections and await self._admission.has_account(request)
        # One quote may be under way before the one that answers this nonce.
        evidence = await self._queue.evidence(nonce, 2 * self._settings().quote_timeout + 1)
        if given is None:
            more = {"fresh": False, "nonce": encode_base64url(nonce)}
        else:
            more = {"fresh": True}
        document = evidence.document(with_sections=with_sections, **more)
        return Response(document, headers=HEADERS, media_type="application/json")

    def _build_evidence(self, nonces: list[bytes]) -> list[Evidence]:
        timeout = self._settings().quote_timeout
        if self._keys is None:
            return self._source.build(nonces, timeout)
        return self._source.build(
            nonces,
            timeout,
            keyset=self._keys.current().document,
            statement=self._statement.for_quote,
        )

    async def _public_keys(self, request: Request) -> Response:
        """Answer with the keyset of the next quote, or null: for whoever goes on without one."""
        keyset = None if self._keys is None else self._keys.current().document
        return JSONResponse({"v": SEALED_VERSION, "keyset": keyset}, headers=HEADERS)

    async def _sealed(self, request: Request) -> Response:
        """Answer whether this came sealed: an answer that then opens is of the key's holder."""
        document = {"v": SEALED_VERSION, "sealed": is_sealed(request.scope)}
        return JSONResponse(document, headers=HEADERS)

    async def _stated(self, request: Request) -> Response:
        """Answer with what quotes bind now, section by section: for users, and without a quote."""
        if self._keys is None:
            raise _not_found("Nothing is sealed here, so no quote binds a statement.")
        await self._admission.user(request)
        stated = await self._statement.current()
        if stated.sections_json is None:
            raise _not_found("This server states nothing: its administrator has not turned it on.")
        document = json.dumps(stated.document, separators=(",", ":"))
        body = f'{{"v":{SEALED_VERSION},"statement":{document},"sections":{stated.sections_json}}}'
        return Response(body, media_type="application/json", headers=HEADERS)

    async def _cookies(self, request: Request) -> Response:
        """End open-webui's cookies that came along: they were set before this browser sealed."""
        if self._keys is None:
            raise _not_found("Nothing is sealed here, so cookies are the browser's own.")
        refuse_other_origins(request)
        response = Response(status_code=204, headers=HEADERS)
        end_cookies(request, response)
        return response

    # Collateral

    async def _collateral(self, request: Request) -> Response:
        """Answer with a platform's: ``fmspc`` in hex, ``ca`` is platform or processor."""
        await self._admission.asker(request, "collateral")
        platform = parse_platform(request.query_params.get("fmspc"), request.query_params.get("ca"))
        document = await self._simulated_collateral(platform)
        if document is None:
            found, stale = await self._collateral_cache.get(
                platform, partial(self._fetch, platform), self._settings().collateral_refresh
            )
            document = found.document(source="pccs", stale=stale)
        return JSONResponse(document, headers=HEADERS)

    async def _fetch(self, platform: Platform) -> Collateral:
        self._limiter.count(self._pccs_limit, "pccs")
        settings = self._settings()
        return await fetch_collateral(
            platform,
            settings.pccs_url,
            settings.collateral_timeout,
            self._now,
            update=settings.pccs_update,
        )

    async def _simulated_collateral(self, platform: Platform) -> dict[str, object] | None:
        """Return what the simulator has, where it makes the quotes and this is its platform."""
        if not self._source.may_be_simulated or platform != SIMULATED_PLATFORM:
            return None

        def look() -> dict[str, object] | None:
            simulator = self._source.simulator(self._settings().quote_timeout)
            return simulator_collateral(simulator, self._now()) if simulator else None

        try:
            return await asyncio.to_thread(look)
        except QuoteGeneratorError as error:
            raise TeeError(503, error.code, str(error)) from None

    # Configuration

    async def _config(self, request: Request) -> Response:
        """Answer with what the administrator suggests, and which services are relayed.

        Where the settings are wrong, what the page enforces is told to everybody all the same.
        """
        try:
            settings = self._settings()
        except TeeError as error:
            document = self._administration.config_in_trouble(error)
            return JSONResponse(document, headers=HEADERS)
        await self._admission.page(request, "config")
        return JSONResponse(settings.document(await self._simulated_root()), headers=HEADERS)

    async def _simulated_root(self) -> str | None:
        """Return the root of simulated quotes, or None."""
        if not self._source.may_be_simulated:
            return None

        def look() -> str | None:
            simulator = self._source.simulator(self._settings().quote_timeout)
            return root_point(simulator.root_der) if simulator else None

        try:
            return await asyncio.to_thread(look)
        except QuoteGeneratorError as error:
            log.warning("no root of the simulator: %s", error)
            return None

    async def _relay(self, name: str, request: Request) -> Response:
        """Carry a JSON object to the service ``name``, where the administrator set it up."""
        await self._admission.page(request, "relay")
        settings = self._settings()
        url = settings.relay_url(name) if name in SERVICES else None
        if url is None:
            detail = "This server does not relay to that service: it must be listed in TEE_RELAY"
            raise TeeError(404, "relay-not-configured", f"{detail} and have an address.")
        return await relay(request, url, settings.relay_timeout)

    # Administration

    async def _admin(self, name: str, request: Request) -> Response:
        """Answer an administrator with the settings, or change them."""
        if name != "settings":
            raise _not_found("There is nothing here: see docs/backend.md for what there is.")
        if self._is_required and not is_sealed(request.scope):
            raise refusal()
        refuse_other_origins(request)
        user = await self._admission.administrator(request)
        if request.method == "GET":
            return JSONResponse(
                await asyncio.to_thread(self._administration.document), headers=HEADERS
            )
        return await change_settings(self._administration, request, user)

    # The page

    async def _page(self, name: str, request: Request) -> Response:
        """Answer with one of the page's files."""
        file = self._bundle and self._bundle.files.get(name)
        if not file:
            raise _not_found("The page has no such file: load the page again.")
        return file.response(request.scope, _IMMUTABLE)

    async def _worker(self, request: Request) -> Response:
        """Answer with the script of the page's service worker."""
        bundle = self._bundle
        if bundle is None or bundle.worker is None:
            raise _not_found("The page has no service worker here.")
        return bundle.files[bundle.worker].response(request.scope, _WORKER)

    async def _auditors(self, request: Request) -> Response:
        """Answer with the page for auditors, which is for everybody: it holds nothing by itself."""
        bundle = self._bundle
        if bundle is None or bundle.auditors is None:
            raise _not_found("The page for auditors is not in this kit.")
        scripts = f"{PAGE_ROOT}/{bundle.loader}", f"{PAGE_ROOT}/{bundle.auditors}"
        return auditors_page(request.scope, *scripts, self._environ)

    async def _report(self, request: Request) -> Response:
        """Note what a page lacks; anybody may tell, as a page may before sign-in."""
        self._admission.count_address(request, "report")
        await self._reports.take(request)
        return Response(status_code=204, headers=HEADERS)

    async def _courier(self, request: Request) -> Response:
        """Answer with the document by which the page asks the service at ``origin``."""
        return courier(request.query_params.get("origin"), self._environ)

    async def _image(self, request: Request) -> Response:
        """Answer with the document that shows an outside image, once a person asks for it."""
        return image_frame(self._environ)


def _parsed_nonce(text: str) -> bytes:
    try:
        return parse_nonce(text)
    except ValueError as error:
        raise TeeError(400, "bad-nonce", str(error)) from None


def _not_found(detail: str) -> TeeError:
    return TeeError(404, "not-found", detail)
