"""What sealing costs a page: a request in three browsers' engines, and the page's warm load."""

from __future__ import annotations

import contextlib
import functools
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, sync_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from bench.new_chat import app_in_browser
from bench.open_webui import edition
from bench.rows import Limit, row
from bench.verifiers import bundle
from cczoo_backend.keys import Keyring
from cczoo_backend.sealed.layer import SealedLayer
from doubles.serving import serving
from e2e import engines
from e2e.browser import CHROMIUM, CHROMIUM_FLAGS, ChatPage, signed_in_context, tee_settings
from e2e.engines import Engine
from e2e.stack import Backend, wait_until

LIMITS = {"Chromium": Limit(3), "Firefox": Limit(4), "WebKit": Limit(4)}  # ms
WARM_LOAD = Limit(50)  # ms
LOADS, WARM_UP = 15, 2
PATIENCE_SECONDS = 120
PAGE = '<!doctype html><meta charset="utf-8"><script type="module" src="/sealed.js"></script>'
OUTCOME = "globalThis.failed ?? globalThis.measured ?? null"

# When there is a place to write, in milliseconds since the navigation began.
READY = """
	const look = () => {
		if (document.querySelector('#chat-input')) window.__ready = performance.now();
		else requestAnimationFrame(look);
	};
	requestAnimationFrame(look);
"""


def time_sealed_requests() -> None:
    """A sealed request against a plain one, sent by the same page."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bundle("sealed.mjs", folder)
        with serving(lambda _: _app(folder)) as url:
            for name, start in _ENGINES.items():
                profile = folder / name
                profile.mkdir()
                with start(profile) as engine:
                    times = _measured(engine, url)
                beyond, plain = times["sealed"] - times["plain"], times["plain"]
                title = f"sealed: a request more than plain, {name}"
                row(title, beyond, "a plain request", plain, "ms", limit=LIMITS[name])


def _app(folder: Path) -> ASGIApp:
    """A server with the layer that opens sealed requests, a page, and what repeats a body."""
    keys = Keyring()

    async def echo(request: Request) -> Response:
        return Response(await request.body(), media_type="application/json")

    async def keyset(_: Request) -> Response:
        return JSONResponse(dict(keys.current().document))

    app = Starlette(
        routes=[
            Route("/", lambda _: HTMLResponse(PAGE)),
            Route("/sealed.js", lambda _: FileResponse(folder / "sealed.js")),
            Route("/keys", keyset),
            Route("/echo", echo, methods=["POST"]),
        ]
    )
    return SealedLayer(app, keys, environ={}, loader_url=None, others=list)


def _measured(engine: Engine, url: str) -> dict[str, float]:
    engine.open(f"{url}/")
    outcome = wait_until(
        functools.partial(engine.evaluate, OUTCOME),
        "the browser's figures",
        seconds=PATIENCE_SECONDS,
        interval=1,
    )
    if not isinstance(outcome, dict):
        raise RuntimeError(outcome)
    return outcome


class _Chromium:
    """What an engine has to have, of playwright's page."""

    def __init__(self, page: Any) -> None:
        self.open, self.evaluate = page.goto, page.evaluate


@contextlib.contextmanager
def _chromium(_profile: Path) -> Iterator[Any]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        try:
            yield _Chromium(browser.new_page())
        finally:
            browser.close()


_ENGINES = {"Chromium": _chromium, "Firefox": engines.firefox, "WebKit": engines.webkit}


# The page's load


def time_warm_load() -> None:
    """A load of a page that this browser has seen before, until there is a place to write."""
    settings = tee_settings("dcap")
    with tempfile.TemporaryDirectory() as scratch, app_in_browser(Path(scratch)) as app:

        def visited(backend: Backend) -> BrowserContext:
            context = signed_in_context(app.browser, backend.url, backend.token, settings)
            context.add_init_script(READY)
            return context

        with app.beside(TEE_SEALED="off") as plain_backend:
            pages = [
                ChatPage(visited(backend).new_page(), backend.url).open()
                for backend in (app.backend, plain_backend)
            ]
            for chat, state in zip(pages, ("green", "amber"), strict=True):
                chat.expect_state(state)
            sealed, plain = _loads(pages)
    title = f"{edition()}: sealed, a warm load takes longer by"
    row(title, sealed - plain, "with nothing sealed", plain, "ms", limit=WARM_LOAD)


def _loads(pages: list[ChatPage]) -> list[float]:
    """The median milliseconds of a load of each page; they take turns."""
    times: list[list[float]] = [[] for _ in pages]
    for _ in range(WARM_UP + LOADS):
        for chat, values in zip(pages, times, strict=True):
            chat.page.reload()
            ready = chat.page.wait_for_function("window.__ready")
            values.append(float(ready.json_value()))
    return [statistics.median(values[WARM_UP:]) for values in times]
