"""Plain requests where requests must come sealed: a short list passes, the rest is refused."""

from __future__ import annotations

from starlette.responses import HTMLResponse, Response
from starlette.types import Scope

from ..errors import TeeError
from ..stock import OUTSIDE_FILES, OUTSIDE_FOLDERS

READING = ("GET", "HEAD")


def is_outside(path: str, scope: Scope) -> bool:
    """Whether a request for ``path`` may travel in the clear: nothing of it or its answer is said.

    A query could hold a person's words, so there is none; what is below the kit's own root is
    not asked here.
    """
    if scope["method"] not in READING or scope["query_string"]:
        return False
    if ".." in path.split("/"):
        return False
    return path in OUTSIDE_FILES or path.startswith(OUTSIDE_FOLDERS)


def refusal() -> TeeError:
    """Return the error for a request that came in the clear."""
    detail = "This server takes sealed requests only: load its page anew, or use a sealed client."
    return TeeError(403, "sealed-required", detail)


def answer_in_place(scope: Scope, loader_url: str | None) -> Response:
    """Return what a plain request gets instead of the app's answer.

    A navigation gets a page with the loader, which installs what seals and comes back; without
    a loader there is no way, and it is refused like all else.
    """
    if loader_url is None or not _is_navigation(scope):
        return refusal().response()
    return HTMLResponse(_page(loader_url), headers=_PAGE_HEADERS)


def _is_navigation(scope: Scope) -> bool:
    if scope["method"] != "GET":
        return False
    headers = dict(scope["headers"])
    # The kit's worker asks for a document in place of the one that somebody went to.
    is_for_a_page = b"text/html" in headers.get(b"accept", b"")
    return is_for_a_page or headers.get(b"sec-fetch-mode") == b"navigate"


_PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
}
# Comes back by itself once something it asks for goes sealed: that waits for the verdict, and for
# the person where there is something to confirm. No more than three times a minute, as the worker
# that brings the app's page may be gone again.
_COMING_BACK = """
(() => {
	const mark = 'cczoo-sealed-again';
	const tell = () => {
		document.getElementById('waiting').hidden = true;
		document.getElementById('failed').hidden = false;
	};
	const again = () => {
		const [times, since] = JSON.parse(sessionStorage.getItem(mark) ?? '[0, 0]');
		const recent = Date.now() - since < 60000;
		if (recent && times >= 3) return tell();
		const noted = recent ? [times + 1, since] : [1, Date.now()];
		sessionStorage.setItem(mark, JSON.stringify(noted));
		location.reload();
	};
	addEventListener('DOMContentLoaded', () => {
		if (!navigator.serviceWorker) return tell();
		fetch('/api/version').then(again, tell);
	});
})();
"""


def _page(loader_url: str) -> str:
    return (
        '<!doctype html><html lang="en"><head>'
        f'<script src="{loader_url}"></script>'
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<title>Sealed connection</title>"
        f"<script>{_COMING_BACK}</script></head><body>"
        '<p id="waiting">Setting up a sealed connection to this server&hellip;</p>'
        '<p id="failed" hidden>This server takes sealed requests only, and this browser could not '
        "set them up: it needs HTTPS, which <code>python -m cczoo_backend --https</code> serves, "
        "and service workers, which some private windows lack, and pages whose certificate the "
        "browser does not trust.</p>"
        "<noscript><p>This server takes sealed requests only: allow scripts.</p></noscript>"
        "</body></html>"
    )
