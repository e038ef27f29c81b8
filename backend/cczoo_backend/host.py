"""What the kit needs of the application that it is added to; tests bring their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request


class User(Protocol):
    """Somebody who is signed in and approved."""

    @property
    def id(self) -> str: ...


@dataclass(frozen=True)
class Readings:
    """What the application is set to, and offers, at one moment; None for what cannot be read.

    Settings and constants are named as in ``workload.setting_names``. ``models`` are by id;
    ``functions`` and ``tools`` are rows of the application's tables.
    """

    settings: Mapping[str, object] | None = None
    constants: Mapping[str, object] | None = None
    models: Mapping[str, Mapping[str, object]] | None = None
    functions: Sequence[Mapping[str, object]] | None = None
    tools: Sequence[Mapping[str, object]] | None = None


class Workload(Protocol):
    """What the statement is made of."""

    def mark(self) -> object:
        """Return an object that is another one as soon as this process has changed something.

        Costs a microsecond, so that each request can ask. What others change (another process,
        a database's console) does not show in it.
        """

    async def read(self) -> Readings:
        """Return what there is now, in bounded time and off the event loop."""

    def storage_settings(self) -> Mapping[str, object]:
        """Return what ``workload.storage`` asks for: secrets are among it."""


class Host(Protocol):
    """An application with accounts: open-webui (see ``openwebui``)."""

    @property
    def version(self) -> str:
        """The application's version, for the log."""

    async def verified_user(self, request: Request) -> User:
        """Return who asks, checked anew each time; raise HTTPException (401, 403) for others."""

    async def administrator(self, request: Request) -> User:
        """Return who asks, an administrator; raise HTTPException (401, 403) for others."""

    def claims_of(self, token: str) -> Mapping[str, object] | None:
        """Return what a token of the application's own says, or None for any other text.

        The token may have been revoked: good enough to count by, not to let anybody in.
        """
