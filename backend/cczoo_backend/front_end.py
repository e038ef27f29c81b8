"""What the kit changes in two files of open-webui's front end, as they are served."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.responses import Response
from starlette.types import Scope

from .content import HTML, JAVASCRIPT, RewrittenFile
from .stock import LOADER

# Asked for anew each time: no copy without the loader may outlive the kit's coming, and none with
# it the kit's going.
_NOT_KEPT = {"Cache-Control": "no-store"}


class IndexPage:
    """The front end's index.html with the loader's script as the first thing in its head.

    First and blocking, so that it runs before anything of open-webui's.
    """

    def __init__(self, file: Path, loader_url: str) -> None:
        self._page = RewrittenFile(file, lambda page: _with_script(page, loader_url), HTML)

    def response(self, scope: Scope) -> Response | None:
        """Return the page, or None where it has to be served as it is."""
        return _response(self._page, scope)


class StockLoader:
    """open-webui's own hook file, which each of its pages loads: /static/loader.js.

    A browser may still hold a page from before the kit was installed, and takes it from its cache
    without asking. Such a page runs this file, and is loaded anew.
    """

    PATH = LOADER

    def __init__(self, file: Path) -> None:
        self._script = RewrittenFile(file, lambda script: _RENEWAL + script, JAVASCRIPT)

    def response(self, scope: Scope) -> Response | None:
        """Return the script, or None where it has to be served as it is."""
        return _response(self._script, scope)


def _response(file: RewrittenFile, scope: Scope) -> Response | None:
    content = file.content()
    return content.response(scope, _NOT_KEPT) if content else None


def _with_script(page: bytes, url: str) -> bytes:
    head = re.search(rb"<head(\s[^>]*)?>", page, re.IGNORECASE)
    if head is None:
        raise ValueError("it has no <head>")
    return page[: head.end()] + f'<script src="{url}"></script>'.encode() + page[head.end() :]


# `window.cczooTrustBadge` is there where the kit's loader ran (web/src/loader.ts). Where it did
# not, the page is asked for past the cache, once; where that did not help, the server is told.
_RENEWAL = b"""(() => {
	const mark = 'cczoo-page-renewed';
	const nothing = () => {};
	try {
		if (window.cczooTrustBadge) return sessionStorage.removeItem(mark);
		if (sessionStorage.getItem(mark) === null) {
			sessionStorage.setItem(mark, '1');
			fetch(location.href, { cache: 'reload' }).then(() => location.reload(), nothing);
			return;
		}
	} catch {
		return; // without storage there is no telling the second time
	}
	console.warn('This page lacks the loader of the trust badge, also after a reload.');
	fetch('/api/v1/tee/report', {
		method: 'POST',
		headers: { 'content-type': 'application/json' },
		body: JSON.stringify({ v: 1, missing: ['badge'] }),
		credentials: 'omit'
	}).catch(nothing);
})();
"""
