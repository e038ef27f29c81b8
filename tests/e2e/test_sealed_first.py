"""What the app asks for first is not on the wire, though no worker has the page yet.

The loader is the first script of a page and wraps what the others ask by; the worker comes later,
also after a hard reload. The gate stays shut until it is there: what the first answers have the
browser itself load is the worker's.
"""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import FastAPI, Response
from playwright.sync_api import Page

from doubles.serving import serving
from doubles.wire import Answer
from e2e.stack import ask, wait_until
from e2e.walks import KIT, Walk

# The page is the same in both ways in: one of them is enough.
pytestmark = pytest.mark.way("plugin")

SECONDS = 30
WORKER = f"{KIT}worker"
FIRST = """<script>
    window.first = {
        controller: navigator.serviceWorker?.controller?.scriptURL ?? null,
        ends: Promise.all([
            fetch('/api/v1/nowhere?FETCH', {method: 'POST', body: 'FETCH'}),
            new Promise((resolve) => {
                const request = new XMLHttpRequest();
                request.open('POST', '/api/v1/nowhere?XHR');
                request.onloadend = resolve;
                request.send('XHR');
            }),
            new Promise((resolve) => {
                const source = new EventSource('/api/v1/nowhere?EVENTS');
                source.onerror = () => { source.close(); resolve(); };
            }),
            new Promise((resolve) => {
                const address = `${location.origin.replace('http', 'ws')}/ws/nowhere?SOCKET`;
                new WebSocket(address).onclose = resolve;
            })
        ]).then(async () => {
            await FOLLOWED;
            return (await navigator.serviceWorker?.getRegistrations())?.length;
        })
    };
    navigator.sendBeacon('/api/v1/nowhere?BEACON', 'BEACON');
</script>"""
"""Asks in every way at once; `ends` tells how many workers the app sees when it has its answers."""
PICTURE = """new Promise((resolve) => {
    const image = new Image();
    image.onload = image.onerror = resolve;
    image.src = '/api/v1/nowhere/PICTURE';
})"""
"""What the app's own code has the browser load when the first answers are there."""
TRIPS = """async () => {
    for (let trip = 0; trip < 50; trip += 1) await fetch('/api/v1/tee/settings');
}"""
"""Goes to the server and back, often, by what need not wait: whatever does not wait has, too."""


@dataclass
class Keeper:
    """Keeps the worker's script back until it is let go."""

    server: str
    asked: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)

    def app(self, _url: str) -> FastAPI:
        app = FastAPI()
        app.get(WORKER)(self.answer)
        return app

    def answer(self) -> Response:
        self.asked.set()
        self.let_go.wait(SECONDS)
        answer = ask("GET", self.server + WORKER)
        names = ("content-type", "service-worker-allowed")
        return Response(answer.content, headers={name: answer.headers[name] for name in names})


@pytest.fixture
def keeper(stranger: Walk) -> Iterator[Keeper]:
    """Who keeps the worker's script back for a while."""
    keeper = Keeper(stranger.site.backend.url)
    with serving(keeper.app) as url:
        stranger.site.wire.servers = {WORKER: url}
        yield keeper
        keeper.let_go.set()
    stranger.site.wire.servers = {}


@pytest.fixture
def begin(stranger: Walk) -> Iterator[Page]:
    """A tab of somebody who was never here; the app's first script in it asks in every way."""
    stranger.context.add_init_script(f"localStorage.token = '{stranger.site.backend.token}'")
    stranger.hide("token", stranger.site.backend.token)
    yield stranger.tab()
    stranger.site.wire.changes = {}


def ask_first(walk: Walk, followed: str = PICTURE) -> None:
    """From the next load on, have the app's first script ask for something nobody may see."""
    script = FIRST.replace("FOLLOWED", followed)
    for name in ("FETCH", "XHR", "EVENTS", "SOCKET", "BEACON", "PICTURE"):
        script = script.replace(name, walk.plant(name.lower()))

    def change(answer: Answer) -> Answer:
        loader = rb"<script[^>]*/loader-[^>]*></script>"
        body, found = re.subn(loader, lambda it: it[0] + script.encode(), answer.body)
        assert found == 1
        return dataclasses.replace(answer, body=body)

    walk.site.wire.changes = {"/": change}


def first(page: Page, name: str) -> Any:
    """What the first script found."""
    return page.evaluate(f"window.first.{name}")


def test_at_a_first_visit_it_waits_for_the_worker(
    stranger: Walk, begin: Page, keeper: Keeper
) -> None:
    ask_first(stranger)
    begin.goto(stranger.url, wait_until="commit")
    wait_until(keeper.asked.is_set, "the page's wish for a worker", seconds=SECONDS)
    assert first(begin, "controller") is None
    begin.evaluate(TRIPS)
    assert stranger.seen() == {}
    keeper.let_go.set()
    assert first(begin, "ends") == 0
    assert begin.evaluate("navigator.serviceWorker.controller.scriptURL").endswith(WORKER)


def test_after_a_hard_reload_it_waits_for_the_worker_that_the_app_does_not_see(
    stranger: Walk, begin: Page
) -> None:
    begin.goto(stranger.url)
    begin.wait_for_function("navigator.serviceWorker.controller !== null")
    ask_first(stranger)
    devtools = stranger.context.new_cdp_session(begin)
    devtools.send("Page.reload", {"ignoreCache": True})
    begin.wait_for_function("window.first !== undefined")
    assert first(begin, "controller") is None
    assert first(begin, "ends") == 0
    assert begin.evaluate("navigator.serviceWorker.controller.scriptURL").endswith(WORKER)


def test_without_workers_it_goes_sealed_all_the_same(stranger: Walk, begin: Page) -> None:
    stranger.context.add_init_script("delete Navigator.prototype.serviceWorker")
    ask_first(stranger, followed="null")  # pictures go plain there (docs/sealed.md)
    begin.goto(stranger.url)
    assert begin.evaluate("navigator.serviceWorker") is None
    first(begin, "ends")
