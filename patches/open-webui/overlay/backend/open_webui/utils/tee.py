"""What the TEE router is made of: settings, errors, limits, and the queue of nonces.

Nothing here imports the kit's wheel (``quote_generator``, ``limits``) when the module is loaded,
so that open-webui starts, and says what is missing, on a machine where it is not installed.
"""

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

log = logging.getLogger(__name__)

CONFIG_VERSION = 1

# Answers are about one nonce at one moment: no cache may keep them, no browser may guess a type.
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class TeeError(Exception):
    """A failure that the caller is told about: HTTP status, stable code, and what to do."""

    def __init__(self, status: int, code: str, detail: str, retry_after: int | None = None):
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after = retry_after

    def response(self) -> JSONResponse:
        """Return the error document of the evidence contract."""
        headers = dict(HEADERS)
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        document = {"status": False, "code": self.code, "detail": self.detail}
        return JSONResponse(document, status_code=self.status, headers=headers)


class TeeRoute(APIRoute):
    """A route whose every failure is JSON with ``status``, ``code`` and ``detail``."""

    def get_route_handler(self) -> Callable:
        handle = super().get_route_handler()

        async def handle_with_errors(request: Request):
            try:
                return await handle(request)
            except TeeError as error:
                return error.response()
            except HTTPException as error:  # from open-webui's authentication
                code = "not-allowed" if error.status_code in (401, 403) else "bad-request"
                return TeeError(error.status_code, code, str(error.detail)).response()
            except Exception:
                log.exception("%s %s failed", request.method, request.url.path)
                detail = "The server failed in a way it did not expect; its log has the details."
                return TeeError(500, "internal-error", detail).response()

        return handle_with_errors


# Settings


@dataclass(frozen=True)
class Service:
    """An attestation service's REST interface, as far as the relay needs to know it."""

    attestation_path: str
    default_url: str | None


SERVICES = {
    "alibaba": Service("/v1/attestation", "https://attest.cn-beijing.aliyuncs.com"),
    "trustee": Service("/attestation", None),
}
# Verifies by itself, with collateral from here: it has no address, and nothing to relay.
DCAP = "dcap"
PROVIDERS = (*SERVICES, DCAP)

INTEL_PCS = "https://api.trustedservices.intel.com"
WEEK = 7 * 24 * 3600


@dataclass(frozen=True)
class Settings:
    """What the administrator set in the environment; time-outs are in seconds.

    Limits are in the notation of the ``limits`` package, such as ``60/minute``.
    """

    default_provider: str
    urls: Mapping[str, str | None]
    relayed: frozenset[str]
    public: bool
    quote_timeout: float
    relay_timeout: float
    pccs_url: str
    collateral_timeout: float
    collateral_refresh: float
    user_limit: str
    address_limit: str
    public_limit: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the ``TEE_*`` variables; raise TeeError that names the one that is wrong."""
        return cls(
            default_provider=_provider("TEE_DEFAULT_PROVIDER", environment, "alibaba"),
            urls={name: _url(f"TEE_{name.upper()}_URL", environment) for name in SERVICES},
            relayed=_service_set("TEE_RELAY", environment),
            public=environment.get("TEE_QUOTE_PUBLIC", "").strip().lower() == "true",
            quote_timeout=_seconds("TEE_QUOTE_TIMEOUT", environment, 10.0),
            relay_timeout=_seconds("TEE_RELAY_TIMEOUT", environment, 30.0),
            pccs_url=_url("TEE_PCCS_URL", environment) or INTEL_PCS,
            collateral_timeout=_seconds("TEE_COLLATERAL_TIMEOUT", environment, 10.0),
            collateral_refresh=_seconds("TEE_COLLATERAL_REFRESH", environment, 3600.0, WEEK),
            user_limit=environment.get("TEE_QUOTE_LIMIT_USER", "120/minute"),
            address_limit=environment.get("TEE_QUOTE_LIMIT_ADDRESS", "12/minute"),
            public_limit=environment.get("TEE_QUOTE_LIMIT_PUBLIC", "240/minute"),
        )

    def relay_url(self, provider: str) -> str | None:
        """Return where the relay forwards this provider's requests, or None if it does not."""
        if provider not in self.relayed:
            return None
        known = SERVICES[provider]
        base = self.urls[provider] or known.default_url
        return base + known.attestation_path if base else None

    def document(self, root: str | None) -> dict:
        """Return the answer of ``GET /config``; ``root`` is the simulator's, where it is used."""
        services = {
            name: {"url": self.urls[name], "relay": self.relay_url(name) is not None}
            for name in SERVICES
        }
        return {
            "v": CONFIG_VERSION,
            "default_provider": self.default_provider,
            "providers": {**services, DCAP: {"url": None, "relay": False, "root": root}},
        }


def _misconfigured(variable: str, problem: str) -> TeeError:
    detail = f"The server's environment variable {variable} {problem}."
    return TeeError(503, "misconfigured", detail + " Its administrator has to correct it.")


def _provider(variable: str, environment: Mapping[str, str], default: str) -> str:
    name = environment.get(variable, "").strip() or default
    if name not in PROVIDERS:
        raise _misconfigured(variable, f"must be one of {', '.join(PROVIDERS)}")
    return name


def _service_set(variable: str, environment: Mapping[str, str]) -> frozenset[str]:
    names = {name.strip() for name in environment.get(variable, "").split(",")} - {""}
    if not names <= SERVICES.keys():
        raise _misconfigured(variable, f"must be a comma list of {', '.join(SERVICES)}")
    return frozenset(names)


def _seconds(
    variable: str, environment: Mapping[str, str], default: float, most: float = 120
) -> float:
    text = environment.get(variable, "").strip()
    try:
        seconds = float(text) if text else default
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= most:  # also refuses NaN
        raise _misconfigured(variable, f"must be a number of seconds between 0 and {most:g}")
    return seconds


def _url(variable: str, environment: Mapping[str, str]) -> str | None:
    text = environment.get(variable, "").strip().rstrip("/")
    if not text:
        return None
    try:
        url = urlsplit(text)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable or url.username is not None or url.query or url.fragment:
        raise _misconfigured(variable, "must be an http(s) address without user, query or fragment")
    return text


# Limits


class Limiter:
    """Counts requests in this process's memory; ``limits`` is imported at first use."""

    def __init__(self):
        self._strategy = None

    def hit(self, limit: str, *identifiers: str) -> None:
        """Count one request of ``identifiers``; raise TeeError (429) when there were too many."""
        from limits import parse
        from limits.storage import MemoryStorage
        from limits.strategies import MovingWindowRateLimiter

        try:
            rate = parse(limit)
        except ValueError:
            raise _misconfigured("TEE_QUOTE_LIMIT_*", "must read like 60/minute") from None
        if self._strategy is None:
            self._strategy = MovingWindowRateLimiter(MemoryStorage())
        if not self._strategy.hit(rate, *identifiers):
            detail = f"Too many requests (at most {rate}): wait a little, then try again."
            raise TeeError(429, "too-many-requests", detail, retry_after=rate.get_expiry())


def address_key(host: str | None) -> str:
    """Return what a client address is counted under: IPv4 whole, IPv6 by its /64 network.

    Anyone with an IPv6 connection has 2^64 addresses. Behind a proxy the address is what the
    proxy (or a liar, when uvicorn trusts every proxy) says: hence the second limit, over all.
    """
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return "unknown"
    if address.version == 4:
        return str(address)
    mapped = address.ipv4_mapped
    return str(mapped or ipaddress.ip_network((int(address), 64), strict=False))


# Quotes


class EvidenceQueue:
    """Answers every nonce that waits with the next quote, one quote at a time.

    A quote costs the platform tens of milliseconds and a kernel-wide lock, and can answer many
    nonces (they share a Merkle tree). So clients never queue for a quote each: the ones that come
    while a quote is under way are answered together by the next.

    ``build`` is called with a list of nonces in one dedicated thread, never on the event loop,
    and returns one evidence document for each, in the same order.
    """

    def __init__(self, build: Callable[[list[bytes]], list[dict]], limit: int = 256):
        self._build = build
        self._limit = limit
        self._waiting: list[tuple[bytes, asyncio.Future]] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tee-quote")
        self._task: asyncio.Task | None = None

    async def evidence(self, nonce: bytes, timeout: float) -> dict:
        """Return the evidence for ``nonce``; wait at most ``timeout`` seconds.

        Raise TeeError when too many wait already (429) or time is up (504), and whatever
        ``build`` raised for the quote that this nonce was part of.
        """
        if len(self._waiting) >= self._limit:
            detail = "Too many clients wait for a quote: try again in a few seconds."
            raise TeeError(429, "too-many-waiting", detail, retry_after=5)
        loop = asyncio.get_running_loop()
        entry = (nonce, loop.create_future())
        self._waiting.append(entry)
        if self._task is None:
            self._task = loop.create_task(self._work())
        try:
            return await asyncio.wait_for(entry[1], timeout)
        except TimeoutError:
            detail = f"No quote within {timeout:g} seconds: the quote service is slow or busy."
            raise TeeError(504, "timed-out", detail) from None
        finally:
            # Whoever gave up (time-out, cancelled) must not keep a place in the queue.
            if entry in self._waiting:
                self._waiting.remove(entry)

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._answer(batch)
        finally:
            self._task = None

    async def _answer(self, batch: list[tuple[bytes, asyncio.Future]]) -> None:
        nonces = [nonce for nonce, _ in batch]
        loop = asyncio.get_running_loop()
        try:
            documents = await loop.run_in_executor(self._thread, self._build, nonces)
            outcomes = list(zip(batch, documents, strict=True))
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), document in outcomes:
            if not future.done():  # done: its client gave up
                future.set_result(document)
