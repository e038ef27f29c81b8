"""A request's body that must be one JSON object of bounded size, within a bounded time."""

from __future__ import annotations

import asyncio
import json

from starlette.requests import ClientDisconnect, Request

from .errors import TeeError


async def read_json_object(request: Request, *, limit: int, seconds: float) -> dict[str, object]:
    """Return the object; raise TeeError (400, 408, 413, 415) for any other body.

    ``limit`` is in bytes. A form on another site cannot send this media type without asking.
    """
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise TeeError(415, "not-json", "Send the request as application/json.")
    body = await _read(request, limit, seconds)
    try:
        value = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise TeeError(400, "bad-request", "The request must be one JSON object.")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


async def _read(request: Request, limit: int, seconds: float) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    detail = f"The request must not be larger than {limit} bytes."
                    raise TeeError(413, "too-large", detail)
    except (TimeoutError, ClientDisconnect):
        raise TeeError(408, "timed-out", "The request did not arrive whole in time.") from None
    return bytes(body)
