"""What browsers are told about open-webui's answers: the Content-Security-Policy, and its kin.

The first wall keeps what a model says from running in the page. This is the second one: what the
page shows may ask this server, whatever is in it, and nobody else. Where a word of the policy
stands, it stands here.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Awaitable, Mapping, Sequence

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import Message, Scope, Send

from .errors import TeeError
from .settings import page_sources
from .settings_table import PAGE_SOURCES

log = logging.getLogger(__name__)

# What a page may load from where (CSP level 3), besides what the administrator allows. Frames
# without an address of their own, such as artifacts, inherit it, and "'self'" with it. "data:" and
# "blob:" are made where they are used: nobody is asked for them. Inline scripts and eval carry
# nothing out by themselves, and neither open-webui nor artifacts run without them.
SOURCES: Mapping[str, str] = {
    "default-src": "'self'",  # fonts' prefetching, manifests, and whatever comes to be
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval' blob:",
    "style-src": "'self' 'unsafe-inline' blob:",
    "img-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "font-src": "'self' data: blob:",
    "connect-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "frame-src": "'self' blob:",
    "form-action": "'self'",
}
FIXED = "base-uri 'self'; object-src 'none'"
# Of a document that is not open-webui's page, such as an uploaded file: an origin of its own.
SANDBOX = "sandbox allow-scripts allow-forms allow-modals allow-downloads"

# Media types of which no browser makes a document with scripts in it; PDFs have a viewer of their
# own, which a sandbox would keep from starting. SVG is a document, as is whatever ends with +xml.
_INERT = frozenset(
    {
        *("text/plain", "text/css", "text/event-stream", "application/json", "application/pdf"),
        *("application/octet-stream", "application/wasm", "application/x-ndjson"),
        "application/zip",
    }
)
_MEDIA = re.compile(r"(?:image(?!/svg)|audio|video|font)/[a-z0-9.+-]+(?<!\+xml)")
_SCRIPTS = frozenset({"text/javascript", "application/javascript", "application/x-javascript"})

# A model server whose answer open-webui passes on could empty this origin's storage with it, by an
# image's address: the user's policy and pinned keys would be gone. open-webui itself sends none.
_REMOVED = b"clear-site-data"

# How the index page is known when its answer comes out of open-webui's middleware: a header with a
# value that nobody outside this process can send.
_MARK = "x-cczoo-page"
_MARK_VALUE = secrets.token_hex(16)


def mark_as_page(response: Response) -> Response:
    """Note that this answer, about to pass open-webui's middleware, is the app's own page."""
    response.headers[_MARK] = _MARK_VALUE
    return response


def policy_text(allowed: Sequence[str]) -> str:
    """Return the page's policy, with the sources that the administrator allows."""
    more = "".join(f" {source}" for source in allowed)
    return "; ".join([*(f"{name} {own}{more}" for name, own in SOURCES.items()), FIXED])


class AnswerHeaders:
    """Adds headers to the answers of open-webui that a browser may take for a document or worker.

    None of its answers empties the browser's storage: that header is taken from all of them.
    A policy of open-webui's own (CONTENT_SECURITY_POLICY) stays, and holds beside ours.

    ``allowed`` are sources that the administrator allows beside this server. None turns the
    policy of sources off; the sandbox of foreign documents stays.
    """

    def __init__(self, allowed: Sequence[str] | None) -> None:
        policy = None if allowed is None else policy_text(allowed)
        self._page = policy
        self._worker = policy
        self._document = SANDBOX if policy is None else f"{SANDBOX}; {policy}"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> AnswerHeaders:
        """Read what the administrator allows; a wrong value is told, and allows nothing."""
        allowed: tuple[str, ...] | None = ()
        try:
            allowed = page_sources(environ)
        except TeeError as error:
            log.error("%s: %s It allows nothing until then.", error.code, error.detail)
        if allowed is None:
            log.warning(
                "%s=off: what a model answers can carry words out of the page, by an image's "
                "address for example.",
                PAGE_SOURCES,
            )
        return cls(allowed)

    def on(self, scope: Scope, send: Send) -> Send:
        """Return what sends an answer to this request; its body's pieces just pass."""

        def sending(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                named = ((name.lower(), value) for name, value in message.get("headers", ()))
                headers = [(name, value) for name, value in named if name != _REMOVED]
                message = {**message, "headers": headers}
                self._describe(scope, message)
            return send(message)

        return sending

    def _describe(self, scope: Scope, message: Message) -> None:
        headers = MutableHeaders(raw=message["headers"])
        # A file in a tab of its own has the browser load an icon, and would tell it its address.
        headers["Referrer-Policy"] = "no-referrer"
        if headers.get(_MARK) == _MARK_VALUE:
            del headers[_MARK]
            headers["X-DNS-Prefetch-Control"] = "off"
            _add_policy(headers, self._page)
            return
        if 300 <= message["status"] < 400:  # the browser goes on, or has what this is about
            return
        kind = _media_type(headers)
        if kind in _SCRIPTS:
            # A worker has no policy but its own script's; plain scripts need none.
            if _destination(scope) != b"script":
                _add_policy(headers, self._worker)
        elif not _is_inert(kind):
            headers["X-Content-Type-Options"] = "nosniff"
            _add_policy(headers, self._document)


def _add_policy(headers: MutableHeaders, policy: str | None) -> None:
    """Add a header of its own: of several policies, each has to be met."""
    if policy is not None:
        headers.append("Content-Security-Policy", policy)


def _media_type(headers: MutableHeaders) -> str:
    """Return the media type on which all readers agree, or "".

    Of several, in one header or more, browsers take the last that is valid (Fetch, section 2.2.2).
    """
    found = headers.getlist("content-type")
    if len(found) != 1 or "," in found[0]:
        return ""
    return found[0].partition(";")[0].strip(" \t").lower()


def _is_inert(kind: str) -> bool:
    """Whether a document of this media type runs no scripts; an unknown type might."""
    return kind in _INERT or _MEDIA.fullmatch(kind) is not None


def _destination(scope: Scope) -> bytes | None:
    """Return what the browser wants the answer for (Fetch, section 3.6.1), if it says so."""
    return next((value for name, value in scope["headers"] if name == b"sec-fetch-dest"), None)
