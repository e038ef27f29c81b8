"""What a page tells of itself: that it found no place in open-webui for some part of the kit."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from starlette.requests import Request

from .errors import TeeError
from .json_body import read_json_object

log = logging.getLogger(__name__)

VERSION = 1
REQUEST_BYTES = 1024
REQUEST_SECONDS = 10.0
# As in patches/open-webui/anchors.json.
PLACES = frozenset({"badge", "settings"})


async def log_missing_places(request: Request, version: str) -> None:
    """Warn in the log about the places that a page names, found in this ``version`` of the app.

    Raise TeeError (400 to 415) for anything but ``{"v": 1, "missing": [ids of places]}``.
    """
    document = await read_json_object(request, limit=REQUEST_BYTES, seconds=REQUEST_SECONDS)
    log.warning(
        "A page of open-webui %s has no place for: %s. Where it was the badge, it stands in the "
        "window's corner now; docs/porting.md says how anchors are mended.",
        version,
        ", ".join(_places_in(document)),
    )


def _places_in(document: Mapping[str, object]) -> list[str]:
    missing = document.get("missing")
    listed = missing if isinstance(missing, list) else []
    known = [place for place in sorted(PLACES) if place in listed]
    if document.get("v") != VERSION or not known or len(known) != len(listed):
        raise TeeError(400, "bad-request", 'Send {"v": 1, "missing": [ids of places]}.')
    return known
