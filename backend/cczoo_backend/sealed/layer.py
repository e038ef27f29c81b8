"""The outermost layer: what comes sealed goes through everything inside as if it came plain."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from .. import SEALED, SEALED_REQUIRED, sealing_mode
from ..errors import TeeError
from ..keys import Keyring
from ..scopes import ROOT, TICKETS, is_sealed, is_the_kits, route_path
from . import plain, workers
from .exchange import Exchanges
from .inner_scope import InnerScopes
from .replays import Replays
from .sockets import SOCKETS, Sockets

log = logging.getLogger(__name__)

OHTTP = f"{ROOT}/ohttp"


async def _none_holds(_hash: str) -> bool:
    """Where nothing is stated, nobody can have judged it."""
    return False


class SealedLayer:
    """Stands around ``app``, which is the kit's own layer with everything in it.

    ``loader_url`` is what brings sealing to a page; None where the page's files are missing.
    ``statement_holds`` tells whether the hash of a statement is that of the current one.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: Keyring,
        *,
        environ: Mapping[str, str],
        loader_url: str | None,
        statement_holds: Callable[[str], Awaitable[bool]] = _none_holds,
        now: Callable[[], float] = time.time,
        replays: Replays | None = None,
        others: Callable[[], int] = workers.others,
    ) -> None:
        self._app = app
        self._is_required = sealing_mode(environ) == SEALED_REQUIRED
        self._loader_url = loader_url
        scopes = InnerScopes(environ)
        self._exchanges = Exchanges(
            self, keys, scopes, statement_holds=statement_holds, now=now, replays=replays
        )
        self._sockets = Sockets(app, scopes, statement_holds=statement_holds)
        self._refusal = _refusal(others())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, or one request that came inside another."""
        if self._refusal is not None:
            await _refuse(self._refusal, scope, receive, send)
        else:
            await self._handler(scope)(scope, receive, send)

    def _handler(self, scope: Scope) -> ASGIApp:
        if scope["type"] not in ("http", "websocket"):
            return self._app
        path = route_path(scope)
        if is_the_kits(path):
            return self._of_the_kit(path, scope)
        if self._is_required and not is_sealed(scope):
            return self._in_place_of_app(path, scope)
        return self._app

    def _of_the_kit(self, path: str, scope: Scope) -> ASGIApp:
        if scope["type"] == "websocket":
            return self._sockets.socket if path.startswith(SOCKETS) else WebSocketClose()
        if path == OHTTP and not is_sealed(scope):  # inside another, it leads nowhere
            return self._exchanges
        return self._sockets.ticket if path == TICKETS else self._app

    def _in_place_of_app(self, path: str, scope: Scope) -> ASGIApp:
        if scope["type"] == "websocket":
            return WebSocketClose()
        if plain.is_outside(path, scope):
            return self._app
        return plain.answer_in_place(scope, self._loader_url)


def _refusal(others: int) -> str | None:
    if not others:
        return None
    return (
        f"This server has {others + 1} workers: each would have keys of its own, and requests "
        f"sealed to one would reach another. Set its workers to 1, or {SEALED}=off."
    )


async def _refuse(why: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Keep the server from starting (ASGI, lifespan); one without a lifespan serves nobody."""
    if scope["type"] == "lifespan":
        await receive()
        log.error(why)
        await send({"type": "lifespan.startup.failed", "message": why})
    elif scope["type"] == "websocket":
        await WebSocketClose()(scope, receive, send)
    else:
        await TeeError(503, "misconfigured", why).response()(scope, receive, send)
