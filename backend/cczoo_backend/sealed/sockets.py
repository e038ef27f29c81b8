"""Sockets under seal: asked for by a sealed request, opened once with the ticket that it got."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from quote_generator.evidence import encode_base64url

from ..errors import HEADERS, TeeError
from ..json_body import read_json_object
from ..scopes import TICKETS, is_sealed, is_the_kits, route_path
from . import plain
from .inner_scope import STATEMENT_STATE, BadInner, InnerScopes
from .socket import SealedSocket
from .tickets import SECONDS, Tickets

SOCKETS = f"{TICKETS}/"

REQUEST_BYTES = 128 * 1024
REQUEST_SECONDS = 30.0
PROTOCOLS_MAX = 16
_PROTOCOL = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")  # RFC 6455, section 4.1

# A code of an application's own (RFC 6455, section 7.4.2); its last digits are HTTP's status.
STATEMENT_CHANGED = 4409


class Sockets:
    """Gives tickets, and opens sockets of ``app`` for them.

    ``statement_holds`` is asked before the app gets what a client says on a socket.
    """

    def __init__(
        self,
        app: ASGIApp,
        scopes: InnerScopes,
        *,
        statement_holds: Callable[[str], Awaitable[bool]],
        tickets: Tickets | None = None,
    ) -> None:
        self._app = app
        self._scopes = scopes
        self._statement_holds = statement_holds
        self._tickets = tickets or Tickets()

    async def ticket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a sealed request ``{"path": ..., "protocols": [...]}`` with a ticket."""
        try:
            response = await self._new_ticket(Request(scope, receive))
        except TeeError as error:
            response = error.response()
        await response(scope, receive, send)

    async def socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Be the socket that a ticket is for; closed before it opens where there is no ticket."""
        ticket = self._tickets.take(route_path(scope).removeprefix(SOCKETS))
        if ticket is None:
            await WebSocketClose()(scope, receive, send)
            return
        inner = {**ticket.scope, **{name: scope[name] for name in _OUTER if name in scope}}
        socket = SealedSocket(ticket.secret, receive, send)
        judged = ticket.scope["state"].get(STATEMENT_STATE)
        try:
            await self._app(inner, partial(self._receive, socket, judged), socket.send)
        except BaseException:
            await socket.drop()
            raise
        await socket.end()

    async def _receive(self, socket: SealedSocket, judged: str | None) -> Message:
        """Return a client's next message, or an end where it was meant for another statement.

        Whoever uses sockets opens another one then, by a request that is answered 409.
        """
        message = await socket.receive()
        is_said = message["type"] == "websocket.receive"
        if judged is None or not is_said or await self._statement_holds(judged):
            return message
        return await socket.refuse(STATEMENT_CHANGED, "statement-changed")

    async def _new_ticket(self, request: Request) -> Response:
        if not is_sealed(request.scope):
            raise plain.refusal()
        if request.method != "POST":
            detail = "This address takes POST only."
            raise TeeError(405, "method-not-allowed", detail, headers={"Allow": "POST"})
        document = await read_json_object(request, limit=REQUEST_BYTES, seconds=REQUEST_SECONDS)
        if self._tickets.are_full():
            detail = "Too many sockets wait to be opened: try again soon."
            raise TeeError(503, "sealed-busy", detail, headers={"Retry-After": "5"})
        name, secret = self._tickets.new(self._scope(request.scope, document))
        answer = {"ticket": name, "secret": encode_base64url(secret), "expires_in": SECONDS}
        return JSONResponse(answer, headers=HEADERS)

    def _scope(self, scope: Scope, document: dict[str, object]) -> dict[str, Any]:
        path, protocols = document.get("path"), document.get("protocols", [])
        if not (isinstance(path, str) and isinstance(protocols, list)):
            raise _bad_request()
        names = [name for name in protocols if isinstance(name, str) and _PROTOCOL.fullmatch(name)]
        if len(names) != len(protocols) or len(names) > PROTOCOLS_MAX:
            raise _bad_request()
        try:
            inner = self._scopes.websocket(scope, path, names)
        except BadInner:
            raise _bad_request() from None
        if is_the_kits(route_path(inner)):
            raise _bad_request()
        return inner


# What is the socket's own, and not of the request that asked for it.
_OUTER = ("asgi", "client", "server")


def _bad_request() -> TeeError:
    detail = 'Send {"path": "/path?query", "protocols": [names]}: a path of the application.'
    return TeeError(400, "bad-request", detail)
