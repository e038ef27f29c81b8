"""What a page tells of itself: what it has no place for, and what its policy kept it from."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

from starlette.requests import Request

from .content_policy import SOURCES
from .errors import TeeError
from .json_body import read_json_object
from .settings_table import PAGE_SOURCES

log = logging.getLogger(__name__)

VERSION = 1
REQUEST_BYTES = 1024
REQUEST_SECONDS = 10.0
# Those that patches/open-webui/anchors.json has signs of.
PLACES = frozenset({"badge", "settings"})
# Origins that are told; whoever sends reports could make up any number of them.
ORIGINS_MAX = 100
_ORIGIN = re.compile(r"(?:https?|wss?)://[A-Za-z0-9._\[\]:-]{1,270}")


class Reports:
    """Puts what pages report into the log, found in this ``version`` of the app."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._blocked: set[str] = set()

    async def take(self, request: Request) -> None:
        """Warn in the log about what a page reports.

        Raise TeeError (400 to 415) for anything but ``{"v": 1, "missing": [ids of places]}`` and
        ``{"v": 1, "blocked": {"directive": ..., "origin": ...}}``.
        """
        document = await read_json_object(request, limit=REQUEST_BYTES, seconds=REQUEST_SECONDS)
        if document.get("v") != VERSION or ("missing" in document) == ("blocked" in document):
            raise _refusal()
        if "missing" in document:
            self._tell_missing(_places_in(document["missing"]))
        else:
            self._tell_blocked(*_violation_in(document["blocked"]))

    def _tell_missing(self, places: list[str]) -> None:
        log.warning(
            "A page of open-webui %s has no place for: %s. A badge without its place is shown in "
            "the window's corner, settings without theirs in the badge's panel. docs/porting.md "
            "says how anchors are mended.",
            self._version,
            ", ".join(places),
        )

    def _tell_blocked(self, directive: str, origin: str) -> None:
        """Tell about an origin once, however many pages report it."""
        if origin in self._blocked or len(self._blocked) >= ORIGINS_MAX:
            return
        self._blocked.add(origin)
        log.warning(
            "The policy of a page of open-webui %s kept it from %s (%s). If it is meant to ask "
            "there, add this to %s: docs/backend.md says how.",
            self._version,
            origin,
            directive,
            PAGE_SOURCES,
        )


def _places_in(missing: object) -> list[str]:
    listed = missing if isinstance(missing, list) else []
    known = [place for place in sorted(PLACES) if place in listed]
    if not known or len(known) != len(listed):
        raise _refusal()
    return known


def _violation_in(blocked: object) -> tuple[str, str]:
    found = blocked if isinstance(blocked, Mapping) else {}
    directive, origin = found.get("directive"), found.get("origin")
    if not (isinstance(directive, str) and isinstance(origin, str)):
        raise _refusal()
    if directive not in SOURCES or not _ORIGIN.fullmatch(origin):
        raise _refusal()
    return directive, origin


def _refusal() -> TeeError:
    detail = 'Send {"v": 1, "missing": [ids of places]} or {"v": 1, "blocked": {...}}.'
    return TeeError(400, "bad-request", detail)
