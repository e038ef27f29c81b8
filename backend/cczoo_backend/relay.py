"""Carries a page's request to an attestation service that sends no CORS headers."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import Response

from .errors import HEADERS, TeeError
from .http_exchange import Answer, Unreachable, exchange
from .json_body import read_json_object

REQUEST_BYTES = 256 * 1024
ANSWER_BYTES = 1024 * 1024


async def relay(request: Request, url: str, seconds: float) -> Response:
    """Forward the request's JSON object to ``url``; return the service's answer as text.

    Nothing but the object travels. Reading the request and the exchange may take ``seconds`` each.
    Raise TeeError (400 to 415 for the request, 502 and 504 for the service).
    """
    document = await read_json_object(request, limit=REQUEST_BYTES, seconds=seconds)
    try:
        body = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError):  # a number beyond what JSON's readers agree on
        raise TeeError(400, "bad-request", "The request must be one JSON object.") from None
    answer = await _forward(url, body, seconds)
    # The service's words are shown to nobody as markup: text, and no guessing.
    return Response(answer.body, answer.status, HEADERS, media_type="text/plain")


async def _forward(url: str, body: bytes, seconds: float) -> Answer:
    try:
        answer = await exchange("POST", url, seconds=seconds, limit=ANSWER_BYTES, json_body=body)
    except TimeoutError:
        detail = "The attestation service did not answer in time."
        raise TeeError(504, "relay-timed-out", detail) from None
    except Unreachable as error:
        raise TeeError(502, "relay-failed", f"The attestation service {error}.") from None
    if 300 <= answer.status < 400:
        raise TeeError(502, "relay-redirected", "The attestation service redirects elsewhere.")
    return answer
