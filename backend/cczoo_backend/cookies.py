"""The end of cookies that a browser got in the clear, before it had a sealed connection."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from .errors import TeeError
from .stock import COOKIES


def refuse_other_origins(request: Request) -> None:
    """Raise TeeError (403) for a page of another origin: it could sign people out."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        is_own = site == "same-origin"
    else:
        # Older browsers. A proxy may have ended TLS, so the scheme is not compared.
        is_own = origin is None or _host_of(origin) == request.headers.get("host", "").lower()
    if not is_own:
        raise TeeError(403, "other-origin", "Only a page of this server may ask for this.")


def end_cookies(request: Request, response: Response) -> None:
    """Have the browser forget those of open-webui's cookies that ``request`` brought.

    A cookie goes by its name, its domain and its path (RFC 6265, section 5.3): open-webui sets all
    of them for this host alone and for "/". Names are ours, never the request's words.
    """
    for name in COOKIES:
        if name in request.cookies:
            response.delete_cookie(name, path="/", httponly=True, samesite="lax")


def _host_of(origin: str) -> str | None:
    """Return an origin's host and port in lower case; None for what is none, such as ``null``."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
