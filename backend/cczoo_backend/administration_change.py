"""An administrator's request to change settings."""

from __future__ import annotations

import asyncio
import logging

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .administration import ADMINISTRATION_VERSION, Administration, WrongValues
from .errors import HEADERS, TeeError
from .host import User
from .json_body import read_json_object
from .settings_file import BYTES_MAX
from .settings_table import TABLE

log = logging.getLogger(__name__)

REQUEST_SECONDS = 30.0


async def change_settings(administration: Administration, request: Request, user: User) -> Response:
    """Store ``{"v": 1, "values": {name: text or null}}``; return the settings as they are then.

    Settings that are not named stay. ``If-Match`` says which version the change was made for.
    Raise TeeError (400 to 428, 503) where nothing is stored.
    """
    version = _version(request)
    document = await read_json_object(request, limit=BYTES_MAX, seconds=REQUEST_SECONDS)
    changes = document.get("values")
    if document.keys() != {"v", "values"} or document["v"] != ADMINISTRATION_VERSION:
        changes = None
    if not isinstance(changes, dict) or len(changes) > len(TABLE):
        detail = 'Send {"v": 1, "values": {name: text, or null for the first value}}.'
        raise TeeError(400, "bad-request", detail)
    try:
        await asyncio.to_thread(administration.change, changes, version)
    except WrongValues as wrong:
        return _refusal(wrong)
    log.warning("administrator %r changed the settings %s", user.id, ", ".join(sorted(changes)))
    return JSONResponse(await asyncio.to_thread(administration.document), headers=HEADERS)


def _version(request: Request) -> str:
    """Return the one version that the request is for (RFC 9110, section 13.1.1)."""
    given = request.headers.get("if-match", "").strip().removeprefix("W/")
    if len(given) < 3 or given[0] != '"' or given[-1] != '"' or '"' in given[1:-1]:
        detail = 'Say which version you saw: the header If-Match with "<version>", in quotes.'
        raise TeeError(428, "if-match-required", detail)
    return given[1:-1]


def _refusal(wrong: WrongValues) -> Response:
    detail = "Nothing is changed: some of the values are wrong."
    error = {"status": False, "code": "settings-wrong", "detail": detail, "errors": wrong.errors}
    return JSONResponse(error, 400, HEADERS)
