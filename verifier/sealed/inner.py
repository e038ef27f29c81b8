"""What of an httpx request goes inside a sealed one, and an answer's head back."""

from __future__ import annotations

import email.utils
import json
import re
from urllib.parse import urlsplit

import httpx

from quote_generator.sealing.binary_http import RequestHead, ResponseHead
from quote_generator.sealing.padding import CODING

from .errors import Elsewhere

DATE_PROBLEM = "https://iana.org/assignments/http-problem-types#date"
"""The type of a sealed answer that only says what time it is there (RFC 9458, section 6.5.2)."""

STATEMENT_FIELD = b"tee-statement"
"""The hash of the statement by which a server was judged, as runtime data hold it."""

_CHANGED_MAX = 4096
"""Bytes of an answer that only says that the statement changed."""

_DROPPED = frozenset(
    {
        b"accept-encoding",
        b"connection",
        b"date",
        b"expect",
        b"host",
        b"keep-alive",
        b"te",
        STATEMENT_FIELD,
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields that are about a connection, which a sealed request has none of, or that are ours."""


class Site:
    """The one server that requests may be for: an origin and what stands before its paths."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._origin = _origin(httpx.URL(url))
        self._prefix = httpx.URL(url).raw_path.partition(b"?")[0].rstrip(b"/")
        self._scheme, self._authority = parts.scheme, parts.netloc
        self.base = url.rstrip("/")

    def head(self, request: httpx.Request, now: float, statement: str | None = None) -> RequestHead:
        """The request as the server gets it. Raises Elsewhere for one that is not for it.

        `statement` is the hash of the one by which the server was judged.
        """
        path = request.url.raw_path
        inside = path.removeprefix(self._prefix)
        if _origin(request.url) != self._origin or not path.startswith(self._prefix + b"/"):
            raise Elsewhere("elsewhere", f"{request.url} is not for {self.base}: nothing was sent")
        named = ((name.lower(), value) for name, value in request.headers.raw)
        kept = [item for item in named if item[0] not in _DROPPED and item[0][:6] != b"proxy-"]
        own = [
            (b"accept-encoding", CODING.encode()),
            (b"date", email.utils.formatdate(now, usegmt=True).encode()),
        ]
        judged = [(STATEMENT_FIELD, statement.encode())] if statement is not None else []
        fields = (*kept, *own, *judged)
        return RequestHead(
            request.method, self._scheme, self._authority, inside.decode("ascii"), fields
        )


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host.lower(), url.port or {"http": 80, "https": 443}.get(url.scheme)


def is_about_the_clock(head: ResponseHead) -> bool:
    """Whether a sealed answer may be one about the clock, which its body says."""
    kind = _field(head, b"content-type").partition(b";")[0].strip().lower()
    return head.status == 400 and kind == b"application/problem+json"


def server_time(head: ResponseHead, body: bytes) -> float | None:
    """The server's time where that is what the answer is about, in seconds since 1970."""
    try:
        told = json.loads(body)
        if not isinstance(told, dict) or told.get("type") != DATE_PROBLEM:
            return None
        date = _field(head, b"date").decode("ascii")
        if not re.fullmatch(r"[\w ,:]{20,40}", date):
            return None
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, RecursionError, OverflowError):
        return None


def may_be_about_the_statement(head: ResponseHead) -> bool:
    """Whether a sealed answer may be the kit's about another statement, which its body says.

    One that is long, or that does not say how long it is, is the app's own.
    """
    kind = _field(head, b"content-type").partition(b";")[0].strip().lower()
    length = _field(head, b"content-length")
    is_short = re.fullmatch(rb"[0-9]{1,4}", length) is not None and int(length) <= _CHANGED_MAX
    return head.status == 409 and kind == b"application/json" and is_short


def says_statement_changed(body: bytes) -> bool:
    """Whether that is what the answer is about."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(told, dict) and told.get("code") == "statement-changed"


def _field(head: ResponseHead, name: bytes) -> bytes:
    return next((value for each, value in head.fields if each == name), b"")
