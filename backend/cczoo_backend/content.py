"""Bytes as they are served: plain, or compressed once for everybody who accepts that."""

from __future__ import annotations

import gzip
import logging
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

log = logging.getLogger(__name__)

HTML = "text/html; charset=utf-8"
JAVASCRIPT = "text/javascript; charset=utf-8"

FILE_BYTES = 1024 * 1024


class Content:
    """A body with its media type."""

    def __init__(self, body: bytes, media_type: str) -> None:
        self.body = body
        self._media_type = media_type
        packed = gzip.compress(body, mtime=0)
        self._packed = packed if len(packed) < len(body) else None

    def response(self, scope: Scope, headers: Mapping[str, str]) -> Response:
        """Return the answer to a GET or HEAD request, whatever it asks about parts or versions.

        ``headers`` are added to those that describe the body.
        """
        packed = self._packed if accepts_gzip(scope) else None
        body = self.body if packed is None else packed
        described = {
            "Content-Type": self._media_type,
            "Content-Length": str(len(body)),
            "X-Content-Type-Options": "nosniff",
        }
        if packed is not None:
            described["Content-Encoding"] = "gzip"
        sent = b"" if scope["method"] == "HEAD" else body
        return Response(sent, headers={**described, **headers})


def accepts_gzip(scope: Scope) -> bool:
    """Whether the request's Accept-Encoding names gzip (RFC 9110, section 12.5.3)."""
    for header in Headers(scope=scope).getlist("accept-encoding"):
        for item in header.lower().split(","):
            coding, *weight = (part.strip() for part in item.split(";"))
            if coding == "gzip":
                return not any(re.fullmatch(r"q=0(\.0*)?", part) for part in weight)
    return False


class RewrittenFile:
    """A file with something added, made once for each state of the file.

    ``rewrite`` gets the bytes of the file, none where there is no such file, and returns what to
    serve instead; it raises ValueError where that cannot be done.
    """

    def __init__(self, file: Path, rewrite: Callable[[bytes], bytes], media_type: str) -> None:
        self.file = file
        self._rewrite = rewrite
        self._media_type = media_type
        self._made: tuple[object, Content | None] | None = None

    def content(self) -> Content | None:
        """Return what to serve, or None, told once in the log, where the file must stay as it is.

        Reads the file when it has changed: it is small, and the next readers find it done.
        """
        state = _state(self.file)
        if self._made is None or self._made[0] != state:
            self._made = state, self._make()
        return self._made[1]

    def _make(self) -> Content | None:
        try:
            return Content(self._rewrite(_read(self.file)), self._media_type)
        except (OSError, ValueError) as error:
            log.error("%s is served without the trust badge's loader: %s", self.file, error)
            return None


def _state(file: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            body = opened.read(FILE_BYTES + 1)
    except FileNotFoundError:
        return b""
    if len(body) > FILE_BYTES:
        raise ValueError(f"it is larger than {FILE_BYTES} bytes")
    return body
