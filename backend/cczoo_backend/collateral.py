"""Collateral: what a verifier needs besides a quote, from a PCCS, kept while it is in date.

The interface is Intel's "SGX and TDX Provisioning Certification Service API" version 4, which
caches (PCCS) offer too. Everything in collateral is signed and is checked where it is used, in
the browser or by cczoo-verify: nothing here vouches for any of it. What is checked here keeps an
answer that nobody could use out of the cache, and tells when the copy is out of date.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quote_generator.simulator import Simulator

from .errors import TeeError, too_many_waiting
from .http_exchange import Answer, Unreachable, exchange
from .settings_table import INTEL_PCS

log = logging.getLogger(__name__)

VERSION = 1
INTEL_ROOT_CRL = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"

ANSWER_BYTES = 512 * 1024
CACHED_PLATFORMS = 32
FETCHES_AT_ONCE = 4
# How long a copy is handed out without another try, after one has failed.
RETRY_SECONDS = 60.0


class Unusable(Exception):  # noqa: N818 - named for the state
    """The service's answer is no collateral; the message ends a sentence about the service."""


# What is asked for


class Platform(NamedTuple):
    """A family of processors (FMSPC, 12 upper-case hex digits) and who certified its keys."""

    fmspc: str
    ca: str


def parse_platform(fmspc: str | None, ca: str | None) -> Platform:
    """Return the platform that a caller names; raise TeeError (400) for anything else.

    These characters become part of a URL, so nothing but the expected ones is let through.
    """
    if fmspc and re.fullmatch("[0-9A-Fa-f]{12}", fmspc) and ca in ("platform", "processor"):
        return Platform(fmspc.upper(), ca)
    detail = "Send fmspc, 12 hex digits, and ca, which is platform or processor."
    raise TeeError(400, "bad-platform", detail)


@dataclass(frozen=True)
class Collateral:
    """The seven parts by name, and when they were fetched and end (seconds since 1970)."""

    parts: Mapping[str, str]
    fetched: float
    expires: float

    def document(self, *, source: str, stale: bool) -> dict[str, object]:
        """Return the answer of ``GET /collateral``."""
        fetched = datetime.fromtimestamp(int(self.fetched), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        about = {"v": VERSION, "source": source, "fetched": fetched, "stale": stale}
        return {**self.parts, **about}


# The service


async def fetch_collateral(
    platform: Platform,
    base_url: str,
    seconds: float,
    clock: Callable[[], float] = time.time,
    *,
    update: str | None = None,
) -> Collateral:
    """Return what the service at ``base_url`` has for ``platform``, within ``seconds``.

    ``update`` asks for an edition of Intel's documents, ``early`` or ``standard``; None leaves it
    to the service.

    Raise TeeError (502, 504) where it has nothing that could be of use.
    """
    try:
        async with asyncio.timeout(seconds):
            answers = await _fetch_all(_requests(platform, base_url, update), seconds)
            # Megabytes of JSON and DER: not on the event loop.
            return await asyncio.to_thread(read_collateral, platform, answers, clock())
    except TimeoutError:
        detail = f"The collateral service did not answer within {seconds:g} seconds."
        raise TeeError(504, "collateral-timed-out", detail) from None
    except (Unreachable, Unusable) as error:
        log.error("no collateral of %s from %s: it %s", platform, base_url, error)
        code = "unreachable" if isinstance(error, Unreachable) else "unusable"
        detail = f"The collateral service {error}. Its address is TEE_PCCS_URL on the server."
        raise TeeError(502, f"collateral-{code}", detail) from None


def _requests(
    platform: Platform, base_url: str, update: str | None = None
) -> dict[str, tuple[str, dict[str, str]]]:
    """Return the address and query of each part."""
    sgx, tdx = (f"{base_url}/{tee}/certification/v4" for tee in ("sgx", "tdx"))
    # Intel has this list at another host; caches have it beside the rest.
    root_crl = INTEL_ROOT_CRL if base_url == INTEL_PCS else f"{sgx}/rootcacrl"
    edition = {"update": update} if update else {}
    return {
        "TCB info": (f"{tdx}/tcb", {"fmspc": platform.fmspc, **edition}),
        "QE identity": (f"{tdx}/qe/identity", edition),
        "PCK revocation list": (f"{sgx}/pckcrl", {"ca": platform.ca, "encoding": "der"}),
        "root revocation list": (root_crl, {}),
    }


async def _fetch_all(
    requests: Mapping[str, tuple[str, dict[str, str]]], seconds: float
) -> dict[str, Answer]:
    """Return all answers; the first failure ends the other requests."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = {
                name: group.create_task(
                    exchange("GET", url, seconds=seconds, limit=ANSWER_BYTES, params=params)
                )
                for name, (url, params) in requests.items()
            }
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return {name: task.result() for name, task in tasks.items()}


# Its answers


def read_collateral(platform: Platform, answers: Mapping[str, Answer], now: float) -> Collateral:
    """Return the collateral in the answers; raise Unusable for one that nobody could use."""
    ends: list[float] = []
    tcb_info = _signed(answers, "TCB info", "tcbInfo", {"id": "TDX", "fmspc": platform.fmspc}, ends)
    qe_identity = _signed(answers, "QE identity", "enclaveIdentity", {"id": "TD_QE"}, ends)
    parts = {
        "tcb_info_json": tcb_info,
        "qe_identity_json": qe_identity,
        "pck_crl_der_b64": _list(answers, "PCK revocation list", ends),
        "root_crl_der_b64": _list(answers, "root revocation list", ends),
        "tcb_info_issuer_chain_pem": _chain(
            answers, "TCB info", ("tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain"), ends
        ),
        "qe_identity_issuer_chain_pem": _chain(
            answers, "QE identity", ("sgx-enclave-identity-issuer-chain",), ends
        ),
        "pck_crl_issuer_chain_pem": _chain(
            answers, "PCK revocation list", ("sgx-pck-crl-issuer-chain",), ends
        ),
    }
    if min(ends) <= now:
        raise Unusable("sent collateral that is out of date")
    return Collateral(parts, fetched=now, expires=min(ends))


def _body(answers: Mapping[str, Answer], part: str) -> bytes:
    answer = answers[part]
    if answer.status != 200:
        raise Unusable(f"answered HTTP {answer.status} when asked for the {part}")
    return answer.body


def _signed(
    answers: Mapping[str, Answer],
    part: str,
    member: str,
    expected: Mapping[str, str],
    ends: list[float],
) -> str:
    """Return a signed JSON body exactly as it came; add its ``nextUpdate`` to ``ends``."""
    body = _body(answers, part)
    try:
        text = body.decode("utf-8")
        document = json.loads(text)
        content = document[member]
        good = document.keys() == {member, "signature"} and all(
            content[name].upper() == value for name, value in expected.items()
        )
        if not good or not re.fullmatch("[0-9A-Fa-f]{128}", document["signature"]):
            raise ValueError(member)
        ends.append(_seconds(content["nextUpdate"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Unusable(f"sent no usable {part}") from None
    return text


def _seconds(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()


def _list(answers: Mapping[str, Answer], part: str, ends: list[float]) -> str:
    """Return a revocation list in base64; caches send hex where Intel sends DER."""
    body = _body(answers, part)
    try:
        der = bytes.fromhex(body.decode("ascii"))
    except ValueError:
        der = body
    try:
        end = x509.load_der_x509_crl(der).next_update_utc
    except Exception:  # whatever a parser raises for bytes from outside
        end = None
    if end is None:
        raise Unusable(f"sent no usable {part}")
    ends.append(end.timestamp())
    return base64.b64encode(der).decode()


def _chain(
    answers: Mapping[str, Answer], part: str, names: tuple[str, ...], ends: list[float]
) -> str:
    """Return a certificate chain (PEM) from a header, where it is percent-encoded."""
    headers = answers[part].headers
    found = next((headers[name] for name in names if name in headers), None)
    if found is None:
        raise Unusable(f"sent no {names[0]} header")
    pem = unquote(found)
    try:
        chain = x509.load_pem_x509_certificates(pem.encode("ascii"))
        ends.extend(certificate.not_valid_after_utc.timestamp() for certificate in chain)
    except Exception:  # as in _list
        raise Unusable(f"sent no certificates in the {names[0]} header") from None
    return pem


# The simulator


def simulator_collateral(simulator: Simulator, now: float) -> dict[str, object]:
    """Return the answer of ``GET /collateral`` for a simulated platform. Blocks."""
    have = simulator.collateral()
    parts = {
        "tcb_info_json": _joined(have, "tcb_info", "tcbInfo"),
        "qe_identity_json": _joined(have, "qe_identity", "enclaveIdentity"),
        "pck_crl_der_b64": _base64_of_hex(have["pck_crl"]),
        "root_crl_der_b64": _base64_of_hex(have["root_ca_crl"]),
        "tcb_info_issuer_chain_pem": have["tcb_info_issuer_chain"],
        "qe_identity_issuer_chain_pem": have["qe_identity_issuer_chain"],
        "pck_crl_issuer_chain_pem": have["pck_crl_issuer_chain"],
    }
    return Collateral(parts, now, now).document(source="simulator", stale=False)


def _joined(have: Mapping[str, str], name: str, member: str) -> str:
    return f'{{"{member}":{have[name]},"signature":"{have[name + "_signature"]}"}}'


def _base64_of_hex(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text)).decode()


def root_point(certificate: bytes) -> str:
    """Return the public key of a root (DER): an uncompressed P-256 point in base64url."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return base64.urlsafe_b64encode(point).rstrip(b"=").decode()


# The cache

Fetch = Callable[[], Awaitable[Collateral]]


@dataclass
class _Copy:
    """Collateral, when it was last tried to renew it, and how long that counts."""

    collateral: Collateral
    tried: float
    wait: float
    stale: bool = False

    def is_due(self, now: float) -> bool:
        return not 0 <= now - self.tried < self.wait  # also when the clock was set back


class CollateralCache:
    """Keeps collateral until the first of its parts is out of date.

    A copy is handed out for ``refresh`` seconds; then the service is asked again, and while it
    does not answer, the copy is still good, and marked as stale, until it ends. Whoever asks
    while a request for the same platform is under way shares it, and a client that goes away
    does not take it with it. A failure is never kept.

    Callers choose what they ask for: so the number of copies is bounded (the one that was unused
    for longest goes), and so is the number of requests at once.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        *,
        size: int = CACHED_PLATFORMS,
        at_once: int = FETCHES_AT_ONCE,
    ):
        self._clock = clock
        self._size = size
        self._at_once = at_once
        self._copies: OrderedDict[Platform, _Copy] = OrderedDict()
        self._fetching: dict[Platform, asyncio.Task[Collateral]] = {}

    async def get(
        self, platform: Platform, fetch: Fetch, refresh: float
    ) -> tuple[Collateral, bool]:
        """Return collateral that is in date, and whether it is stale.

        ``fetch`` is called where the service has to be asked, and bounds its own time. Raise the
        TeeError that it raises where there is no copy to hand out instead.
        """
        copy = self._valid(platform)
        if copy is not None and not copy.is_due(self._clock()):
            return copy.collateral, copy.stale
        try:
            task = self._fetching.get(platform) or self._start(platform, fetch, refresh)
            return await asyncio.shield(task), False
        except TeeError:
            copy = self._valid(platform)
            if copy is None:
                raise
            return copy.collateral, True

    def _valid(self, platform: Platform) -> _Copy | None:
        copy = self._copies.get(platform)
        if copy is None:
            return None
        if copy.collateral.expires <= self._clock():
            del self._copies[platform]
            return None
        self._copies.move_to_end(platform)
        return copy

    def _start(self, platform: Platform, fetch: Fetch, refresh: float) -> asyncio.Task[Collateral]:
        if len(self._fetching) >= self._at_once:
            raise too_many_waiting(
                "The server fetches other collateral: try again in a few seconds."
            )
        task = asyncio.create_task(self._renew(platform, fetch, refresh))
        self._fetching[platform] = task
        task.add_done_callback(lambda _: self._fetching.pop(platform))
        return task

    async def _renew(self, platform: Platform, fetch: Fetch, refresh: float) -> Collateral:
        try:
            collateral = await fetch()
        except TeeError:
            if platform in self._copies:
                self._copies[platform] = replace(
                    self._copies[platform],
                    tried=self._clock(),
                    wait=min(RETRY_SECONDS, refresh),
                    stale=True,
                )
            raise
        self._copies[platform] = _Copy(collateral, self._clock(), refresh)
        self._copies.move_to_end(platform)
        if len(self._copies) > self._size:
            self._copies.popitem(last=False)
        return collateral
