"""An application with accounts, in the place of open-webui, and ways to ask the kit's routes."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient

from cczoo_backend.administration import Administration
from cczoo_backend.bundle import Bundle
from cczoo_backend.content import JAVASCRIPT, Content
from cczoo_backend.host import Readings
from cczoo_backend.routes import Routes
from cczoo_backend.workload.addresses import HostsFile
from cczoo_backend.workload.listeners import Listeners
from cczoo_backend.workload.machine import Machine
from cczoo_backend.workload.statement import Statement

BOUND = 20  # seconds; only a broken test ever waits that long
LOADER = "loader-1A2b.js"


@dataclass(frozen=True)
class User:
    id: str


@dataclass
class Accounts:
    """Users by their tokens. A token in ``signed`` is of the application's own making."""

    users: dict[str, User] = field(default_factory=lambda: {"ada-token": User("ada")})
    signed: dict[str, dict[str, object]] = field(
        default_factory=lambda: {"ada-token": {"id": "ada"}, "eve-token": {"id": "eve"}}
    )
    administrators: frozenset[str] = frozenset({"ada"})
    version: str = "0.0.0"
    failure: Exception | None = None

    async def verified_user(self, request: Request) -> User:
        if self.failure is not None:
            raise self.failure
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not token:
            raise HTTPException(403, "Not authenticated")
        if token not in self.users:
            raise HTTPException(401, "Your session has expired or the token is invalid.")
        return self.users[token]

    async def administrator(self, request: Request) -> User:
        user = await self.verified_user(request)
        if user.id not in self.administrators:
            raise HTTPException(401, "You do not have permission to access this resource.")
        return user

    def claims_of(self, token: str) -> Mapping[str, object] | None:
        return self.signed.get(token)


@dataclass
class Source:
    """What the application is set to: nothing, until a test says otherwise and calls ``change``."""

    readings: Readings = field(default_factory=lambda: Readings(settings={}, constants={}))
    reads: int = 0
    marked: object = None

    def mark(self) -> object:
        return self.marked

    def change(self, **members: Any) -> None:
        """Say something else from now on, as this process's own doing."""
        self.readings = dataclasses.replace(self.readings, **members)
        self.marked = object()

    async def read(self) -> Readings:
        self.reads += 1
        return self.readings

    def storage_settings(self) -> Mapping[str, object]:
        return {}


def a_statement(source: Source | None = None, **options: Any) -> Statement:
    """The statement of a machine that nobody listens on, and that stores nothing."""
    told: dict[str, Any] = {
        "mode": "offered",
        "machine": lambda: Machine(Listeners(sockets=list), HostsFile({}, is_whole=True)),
        "storage": lambda _settings: {"chats": {"kind": "memory"}},
    }
    return Statement(source or Source(), **{**told, **options})


ADA = {"Authorization": "Bearer ada-token"}
EVE = {"Authorization": "Bearer eve-token"}  # signed once, and nobody's any more


def a_bundle(**files: bytes) -> Bundle:
    """A bundle with a loader and ``files`` (their names without .js)."""
    bodies = {LOADER: b"window.cczooTrustBadge = {};"} | {f"{n}.js": b for n, b in files.items()}
    return Bundle(LOADER, {name: Content(body, JAVASCRIPT) for name, body in bodies.items()})


def client_of(app: Any, address: str = "192.0.2.1") -> TestClient:
    """A client of an ASGI application that sees what a browser would of a failure."""
    return TestClient(app, raise_server_exceptions=False, client=(address, 50000))


def routes_of(environ: Mapping[str, str] | None = None, **options: Any) -> Routes:
    """The routes on a machine without TDX, with an account for Ada; without keys, none seals."""
    options.setdefault("statement", a_statement())
    options = {"host": Accounts(), "bundle": a_bundle(), "root": "/nonexistent", **options}
    off = {} if options.get("keys") else {"TEE_SEALED": "off"}
    environ = {**off, **(environ or {})}
    folder = options.pop("folder", Path("/nonexistent"))
    return Routes(environ=environ, administration=Administration(folder, environ), **options)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario on an event loop, in bounded time."""

    async def bounded() -> None:
        await asyncio.wait_for(scenario(), BOUND)

    asyncio.run(bounded())


def scope_of(path: str = "/", method: str = "GET", **headers: str) -> dict[str, Any]:
    """The ASGI scope of a request."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "headers": raw, "query_string": b""}


def answer_to(app: Any, scope: Mapping[str, Any], *received: Mapping[str, Any]) -> httpx.Response:
    """What an application answers to a scope that no client would send as it stands."""
    sent: list[Mapping[str, Any]] = []
    messages = iter(received)

    async def receive() -> Mapping[str, Any]:
        return next(messages)

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    async def scenario() -> None:
        await app(dict(scope), receive, send)

    run(scenario)
    start, *bodies = sent
    content = b"".join(message.get("body", b"") for message in bodies)
    # As it was sent: nothing is decoded here.
    response = httpx.Response(start["status"], headers=start["headers"])
    response._content = content
    return response


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers everything with its path."""
    await Response(scope["path"], media_type="text/plain")(scope, receive, send)
