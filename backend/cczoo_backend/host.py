"""What the kit needs of the application that it is added to; tests bring their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from starlette.requests import Request


class User(Protocol):
    """Somebody who is signed in and approved."""

    @property
    def id(self) -> str: ...


class Host(Protocol):
    """An application with accounts: open-webui (see ``openwebui``)."""

    @property
    def version(self) -> str:
        """The application's version, for the log."""

    async def verified_user(self, request: Request) -> User:
        """Return who asks, checked anew each time; raise HTTPException (401, 403) for others."""

    def claims_of(self, token: str) -> Mapping[str, object] | None:
        """Return what a token of the application's own says, or None for any other text.

        The token may have been revoked: good enough to count by, not to let anybody in.
        """
