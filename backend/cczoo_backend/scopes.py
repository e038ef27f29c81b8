"""What an ASGI scope says of a request: where it leads, and whether it came sealed."""

from __future__ import annotations

from starlette.types import Scope

ROOT = "/api/v1/tee"
"""Everything of the kit's is below this path."""

_BELOW_ROOT = f"{ROOT}/"

TICKETS = f"{ROOT}/ws"
"""Where a sealed request asks for a socket; the sockets are below it."""

AUDITORS = "/tee"
"""Where the page for auditors is: the one thing of the kit's beside its root."""

SEALED_STATE = "tee_sealed"
"""Member of a scope's state: true where the request came sealed. Other layers may look at it."""


def route_path(scope: Scope) -> str:
    """Return the request's path below the one that the application is mounted at."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def is_the_kits(path: str) -> bool:
    """Whether a path is ``ROOT`` or below it."""
    return path == ROOT or path.startswith(_BELOW_ROOT)


def is_sealed(scope: Scope) -> bool:
    """Whether the request came sealed: said by this process alone, where no message reaches."""
    return bool(scope.get("state", {}).get(SEALED_STATE))
