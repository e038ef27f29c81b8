"""Routes and manners of the HTTP library under the service (actix-web 4, actix-cors 0.7)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

BODY_LIMIT = 2 << 20
"""Bytes of a JSON body; actix-web's default, which no version changes."""

_DRAIN_LIMIT = 64 << 20

Handler = Callable[[Request], Awaitable[Response]]
Routes = Mapping[str, Mapping[str, Handler]]
"""Path, then method."""

_VARY = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


class Gone(Exception):  # noqa: N818 - named for what a client sees
    """Gone: the handler panicked; the connection ends without an answer."""


class Unread(Exception):  # noqa: N818 - named for what happened
    """Unread: the body was not taken; `answer` says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.answer = Response(message, status, media_type="text/plain")


@dataclass(frozen=True)
class Cors:
    """Which origins' pages may read answers, and of which paths (None: of all that there are)."""

    origins: Sequence[str]
    paths: Sequence[str] | None = None
    methods: Sequence[str] = ("POST", "GET", "OPTIONS")
    headers: Sequence[str] = ("content-type", "authorization")

    def covers(self, path: str) -> bool:
        """Whether it says anything about a path."""
        return self.paths is None or path in self.paths

    def preflight(self, request: Request) -> Response | None:
        """The answer to a preflight request; None where it is another one."""
        asked = request.headers.get("access-control-request-method")
        if request.method != "OPTIONS" or not asked:
            return None
        origin = request.headers.get("origin")
        wanted = request.headers.get("access-control-request-headers", "")
        names = {name.strip().lower() for name in wanted.split(",") if name.strip()}
        if complaint := self._complaint(origin, asked, names):
            return Response(complaint, 400)
        return Response(
            headers={
                "access-control-allow-origin": origin or "",
                "access-control-allow-methods": ", ".join(self.methods),
                "access-control-allow-headers": ", ".join(self.headers),
                "access-control-max-age": "86400",
                "vary": _VARY,
            }
        )

    def _complaint(self, origin: str | None, method: str, names: set[str]) -> str:
        if origin is None:
            return "Request header `Origin` is required but was not provided"
        if origin not in self.origins:
            return "Origin is not allowed to make this request"
        if method not in self.methods:
            return "Requested method is not allowed"
        return "" if names <= set(self.headers) else "One or more request headers are not allowed"

    def mark(self, request: Request, answer: Response) -> None:
        """Let the page read the answer, if it is one of those that may."""
        origin = request.headers.get("origin")
        if origin in self.origins:
            answer.headers["access-control-allow-origin"] = str(origin)
        answer.headers["vary"] = _VARY


class App:
    """The service as an ASGI application; `seen` lists what it was asked, at `GET /seen` too."""

    def __init__(self, routes: Routes, cors: Cors | None, seen: list[str]) -> None:
        self._routes = routes
        self._cors = cors
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except Gone:
            await _hang_up(receive, send)
        else:
            await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        if path == "/seen":
            return JSONResponse(self._seen)
        self._seen.append(f"{request.method} {path}")
        cors = self._cors if self._cors and self._cors.covers(path) else None
        if cors and (preflight := cors.preflight(request)):
            return preflight
        answer = await self._handled(request)
        if cors:
            cors.mark(request, answer)
        return answer

    async def _handled(self, request: Request) -> Response:
        methods = self._routes.get(request.url.path)
        if methods is None:
            return Response(status_code=404)
        handler = methods.get(request.method)
        if handler is None:
            return Response(status_code=405, headers={"allow": ", ".join(methods)})
        try:
            return await handler(request)
        except Unread as error:
            return error.answer


async def read_body(request: Request) -> bytes:
    """The bytes of a JSON body. Raises Unread."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise Unread(400, "Content type error")
    length = int(request.headers.get("content-length", 0))
    body = await _collect(request)
    if length > BODY_LIMIT:
        message = (
            f"JSON payload ({length} bytes) is larger than allowed (limit: {BODY_LIMIT} bytes)."
        )
        raise Unread(413, message)
    if len(body) > BODY_LIMIT:
        raise Unread(413, f"JSON payload has exceeded limit ({BODY_LIMIT} bytes).")
    return body


async def _collect(request: Request) -> bytes:
    """The body, of which what is too much is dropped: clients read no answer before they sent."""
    body, size = bytearray(), 0
    async for part in request.stream():
        size += len(part)
        if size > _DRAIN_LIMIT:
            raise Gone
        if len(body) <= BODY_LIMIT:
            body += part
    return bytes(body)


async def _hang_up(receive: Receive, send: Send) -> None:
    """Close the connection without an answer, for which ASGI has no word but uvicorn a handle."""
    send.__self__.transport.close()  # type: ignore[attr-defined]
    while (await receive())["type"] != "http.disconnect":
        pass
