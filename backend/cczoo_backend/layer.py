"""The ASGI layer around open-webui: it answers what is the kit's and passes on everything else."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from .content_policy import AnswerHeaders
from .front_end import StockLoader
from .scopes import AUDITORS, is_the_kits, route_path


class Layer:
    """Stands outside of all of the application's middleware.

    What is passed on, is passed on as it came and without a copy: streams, sockets, the lifespan.
    Some answers get ``headers`` as they begin.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: ASGIApp,
        stock_loader: StockLoader | None,
        headers: AnswerHeaders | None = None,
    ) -> None:
        self._app = app
        self._routes = routes
        self._stock_loader = stock_loader
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        handler = self._handler(scope)
        if handler is self._app and self._headers and scope["type"] == "http":
            send = self._headers.on(scope, send)
        await handler(scope, receive, send)

    def _handler(self, scope: Scope) -> ASGIApp:
        if scope["type"] not in ("http", "websocket"):
            return self._app
        path = route_path(scope)
        if is_the_kits(path):
            return self._routes if scope["type"] == "http" else WebSocketClose()
        if path == AUDITORS and scope["type"] == "http":
            return self._routes
        if self._stock_loader and path == StockLoader.PATH and scope.get("method") in _READING:
            return self._stock_loader.response(scope) or self._app
        return self._app


_READING = ("GET", "HEAD")
