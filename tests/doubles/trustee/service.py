"""What both versions are made of: how a service is set up, and the way from a body to a token."""

from __future__ import annotations

import abc
import asyncio
import base64
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cczoo_verifier import tokens
from cczoo_verifier.trust import TrustSource
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from quote_generator.errors import BadInput
from quote_generator.eventlog import Event, extend
from quote_generator.evidence import canonical_json, decode_base64url
from quote_generator.quote import Quote

from . import policies, reading
from .library import Chosen, Found
from .policies import References, Vector
from .signing import Signer
from .web import App, Cors, Gone, Routes, read_body

ATTESTATION, POLICY, CHALLENGE = "/attestation", "/policy", "/challenge"
KEYS = "/.well-known/jwks.json"
TOKEN_SECONDS = 300
ISSUER = "CoCo-Attestation-Service"
EAR, SIMPLE = "ear", "simple"


@dataclass
class Setup:
    """How a service is set up, and what is the matter with it.

    `trust` is the root and the collateral that it has; `references` its reference values by name.
    `origins` are those whose pages may use it, as on its command line; `patched` with the kit's
    patch, which opens attestation and keys to them and nothing else. `chosen` is what Intel's
    library is to find instead of what it would. `collateral_down` and `references_down`: the
    service cannot reach what it takes those from. `delay` are seconds before evidence is looked
    at; with `hangs_up` it never is. `policies` are those that were set, and stay over a restart.
    """

    trust: TrustSource
    signer: Signer | None = None
    references: References = field(default_factory=dict)
    origins: tuple[str, ...] = ()
    patched: bool = False
    token: str = EAR
    chosen: Chosen = field(default_factory=Chosen)
    collateral_down: bool = False
    references_down: bool = False
    delay: float = 0
    hangs_up: bool = False
    policies: dict[str, str] = field(default_factory=dict)
    clock: Callable[[], float] = time.time
    seen: list[str] = field(default_factory=list)

    @property
    def evidence_posts(self) -> int:
        """How often somebody sent evidence."""
        return self.seen.count(f"POST {ATTESTATION}")


class Fault(Exception):  # noqa: N818 - named for what it is
    """Fault: the request ends with 500 and this text."""


@dataclass(frozen=True)
class Asked:
    """One piece of evidence, and what it is to be held against.

    `runtime` and `init` are the bytes that the quote's fields are compared with, None where they
    are not; the claims are what the token repeats of them.
    """

    quote: str
    cc_eventlog: str | None
    aa_eventlog: str | None
    runtime: bytes | None
    runtime_claims: Any
    init: bytes | None
    init_claims: Any


class Trustee(abc.ABC):
    """A service of one version."""

    version: str
    shipped_policy_ids: tuple[str, ...]

    def __init__(self, setup: Setup) -> None:
        algorithm = "RS384" if setup.token == SIMPLE else "ES256"
        self.setup = setup
        self.signer = setup.signer or Signer.ephemeral(algorithm)
        self.policies = dict.fromkeys(self.shipped_policy_ids, policies.SHIPPED) | setup.policies

    def app(self, _: str = "") -> App:
        """The service as an ASGI application."""
        return App(self.routes(), self.cors(), self.setup.seen)

    def routes(self) -> Routes:
        """What is asked where."""
        return {
            ATTESTATION: {"POST": self._attestation},
            POLICY: {"POST": self._set_policy, "GET": self._list_policies},
            CHALLENGE: {"POST": self._challenge},
        }

    @abc.abstractmethod
    def cors(self) -> Cors | None:
        """Whose pages may use what."""

    @abc.abstractmethod
    def fault(self, context: str, *causes: str) -> Fault:
        """A fault in the service's words: what it did, and what went wrong, outermost first."""

    @abc.abstractmethod
    def attest(self, data: bytes) -> str:
        """The token for a body. Raises Misread, Fault, Gone."""

    # --- requests --------------------------------------------------------------------------------

    async def _attestation(self, request: Request) -> Response:
        data = await read_body(request)
        if self.setup.hangs_up:
            raise Gone
        await asyncio.sleep(self.setup.delay)
        return await self._answered(lambda: self.attest(data))

    async def _set_policy(self, request: Request) -> Response:
        """Anybody may: that is so in both versions."""
        data = await read_body(request)
        return await self._answered(lambda: self._store_policy(data))

    async def _list_policies(self, request: Request) -> Response:
        return Response(self.policy_list())

    async def _challenge(self, request: Request) -> Response:
        data = await read_body(request)
        return await self._answered(lambda: self._supplemental_challenge(data))

    async def keys(self, request: Request) -> Response:
        """The key set; a route of v0.21."""
        return JSONResponse({"keys": [self.public_key()]})

    async def _answered(self, make: Callable[[], str]) -> Response:
        try:
            return Response(await run_in_threadpool(make))
        except reading.Misread as error:
            message = f"Json deserialize error: {error}"
            return Response(message, 400, media_type="text/plain")
        except Fault as error:
            return Response(str(error), 500)

    # --- policies --------------------------------------------------------------------------------

    @abc.abstractmethod
    def policy_list(self) -> str:
        """What there is, as JSON."""

    def _store_policy(self, data: bytes) -> str:
        text = data.decode(errors="replace")
        fields = {"policy_id": reading.text, "policy": reading.text}
        asked = reading.struct(reading.read_json(data), fields, reading.at(text, len(text)))
        try:
            policy = decode_base64url(asked["policy"], "policy").decode()
        except (BadInput, UnicodeDecodeError) as error:
            raise self.fault("set policy", str(error)) from error
        self.policies[asked["policy_id"]] = self.setup.policies[asked["policy_id"]] = policy
        return ""

    def _supplemental_challenge(self, data: bytes) -> str:
        """Empty for TDX, whose quotes need nothing from the service beforehand."""
        asked = reading.read_json(data)
        if not isinstance(asked, dict) or not isinstance(asked.get("tee"), str):
            raise self.fault("Failed to get inner tee")
        if "tee_params" not in asked:
            raise self.fault("Failed to get inner tee_params")
        self.check_tee(asked["tee"])
        return ""

    # --- evidence --------------------------------------------------------------------------------

    def check_tee(self, tee: str) -> None:
        """Raise Fault for another kind of machine; lower case counts."""
        if tee != "tdx":
            raise self.fault(f"tee `{tee} not supported`")

    def bound(self, kind: str, value: Any, algorithm: str) -> tuple[bytes, Any]:
        """The bytes that runtime or init data stands for, and what the token repeats of it.

        Raises BadInput where it is not in base64url without padding.
        """
        if kind == "structured":
            return hashlib.new(algorithm, canonical_json(value)).digest(), value
        return decode_base64url(value, kind), None

    def hash_name(self, asked: str | None) -> str:
        """The name of a hash algorithm, in any case. Raises Fault."""
        name = (asked or "sha384").lower()
        if name not in ("sha256", "sha384", "sha512"):
            raise self.unknown_hash()
        return name

    @abc.abstractmethod
    def unknown_hash(self) -> Fault:
        """What is said to another name."""

    @abc.abstractmethod
    def refused(self, *reasons: str) -> Fault:
        """The evidence does not hold, for these reasons, outermost first."""

    def quote_in(self, asked: Asked) -> bytes:
        """The quote's bytes. Raises Fault."""
        if not asked.quote:
            raise self.refused("TDX Quote is empty.")
        return self.unpacked(asked.quote)

    def unpacked(self, encoded: str) -> bytes:
        """A quote or a log in base64. Raises Fault."""
        try:
            return base64.b64decode(encoded, validate=True)
        except ValueError as error:  # not base64, or not UTF-8
            raise self.refused("Invalid padding") from error

    def check_bound(self, asked: Asked, quote: Quote) -> None:
        """Raise Fault unless the quote is over the data it is to be over; cut or filled up."""
        body = quote.body
        if asked.runtime is not None and _fit(asked.runtime, 64) != body.report_data:
            raise self.refused("REPORT_DATA is different from that in TDX Quote")
        if asked.init is not None and _fit(asked.init, 48) != body.mr_config_id:
            raise self.refused("MRCONFIGID is different from that in TDX Quote")

    def vector(self, found: Found, evidence: Mapping[str, Any], policy_id: str) -> Vector:
        """The trust vector by the policy that counts."""
        policy = self.policies[policy_id]
        if policy != policies.SHIPPED:
            return policies.vector_of(policy)
        return self.shipped_vector(found, evidence)

    @abc.abstractmethod
    def shipped_vector(self, found: Found, evidence: Mapping[str, Any]) -> Vector:
        """The trust vector by the policy that comes with the version."""

    @abc.abstractmethod
    def public_key(self) -> dict[str, Any]:
        """The key that signs, as tokens show it."""

    def ear(self, submods: Mapping[str, Any], **more: Any) -> str:
        """A signed EAR over these submodules, under the names of Trustee up to v0.21."""
        now = int(self.setup.clock())
        claims = {
            "eat_profile": tokens.EAR_PROFILE,
            "iat": now,
            "ear.verifier-id": {
                "developer": "https://confidentialcontainers.org",
                "build": "attestation-service 0.1.0",
            },
            "submods": submods,
            "exp": now + TOKEN_SECONDS,
            **more,
        }
        return self.signer.sign({"typ": "JWT", "alg": "ES256", "jwk": self.public_key()}, claims)


def caused_by(reasons: Sequence[str]) -> str:
    """A reason and what it came from, as Rust's `anyhow` writes them in full."""
    first, *causes = reasons
    if not causes:
        return first
    if len(causes) == 1:
        return f"{first}\n\nCaused by:\n    {causes[0]}"
    listed = "".join(f"\n    {at}: {cause}" for at, cause in enumerate(causes))
    return f"{first}\n\nCaused by:{listed}"


def replay(events: Iterable[Event], index: int) -> bytes:
    """The register to which a log's events lead; an index of the log."""
    digests = (event.digest for event in events if event.register == index)
    return extend(bytes(48), digests)


def _fit(data: bytes, size: int) -> bytes:
    return data[:size].ljust(size, b"\0")
