"""Every way by which a page can ask its server for something, whether the app uses it or not.

The walks do what a person does; here a page does what any code could have it do. What it says is
not on the wire, whichever way it goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from doubles.spellings import new_canary
from e2e.browser import signed_in_context
from e2e.stack import wait_until
from e2e.walks import Site, Walk, walking

# The page is the same in both ways in: one of them is enough.
pytestmark = pytest.mark.way("plugin")

# /api/v1/nowhere is a path without an answer: what matters is the way there.
BY_CODE = {
    "fetch": "words => fetch(`/api/v1/nowhere?${words}`)",
    "fetch of a Request": """words => fetch(new Request(`/api/v1/nowhere/${words}`, {
        method: 'POST', body: words, referrer: location.href, referrerPolicy: 'unsafe-url'
    }))""",
    "fetch of a frame's": """words => {
        const frame = document.body.appendChild(document.createElement('iframe'));
        return frame.contentWindow.fetch(`/api/v1/nowhere?${words}`, {method: 'POST', body: words});
    }""",
    "form of a frame's": """words => {
        const frame = document.body.appendChild(document.createElement('iframe'));
        const inner = frame.contentDocument;
        const form = inner.body.appendChild(inner.createElement('form'));
        Object.assign(form, {method: 'post', action: `/api/v1/nowhere?${words}`});
        form.submit();
    }""",
    "beacon of a frame's": """words => {
        const frame = document.body.appendChild(document.createElement('iframe'));
        frame.contentWindow.navigator.sendBeacon(`/api/v1/nowhere?${words}`, words);
    }""",
    "a query after what may go plain": "words => fetch(`/static/favicon.png?${words}`)",
    "a body to what may go plain": """words => fetch('/static/favicon.png', {
        method: 'POST', body: words
    })""",
    "an escape after what may go plain": "words => fetch(`/static/%2e%2e/${words}`)",
    **{
        f"XMLHttpRequest, {method}": """words => new Promise((resolve) => {
            const request = new XMLHttpRequest();
            request.open('METHOD', `/api/v1/nowhere?${words}`);
            request.setRequestHeader('x-words', words);
            request.onloadend = resolve;
            request.send(words);
        })""".replace("METHOD", method)
        for method in ("GET", "HEAD", "PUT")
    },
    "EventSource": """words => new Promise((resolve) => {
        const init = {withCredentials: true};
        const source = new EventSource(`/api/v1/nowhere?${words}`, init);
        source.onerror = () => { source.close(); resolve(); };
    })""",
    "WebSocket": """words => new Promise((resolve) => {
        const address = `${location.origin.replace('http', 'ws')}/ws/nowhere?${words}`;
        const socket = new WebSocket(address);
        socket.onclose = resolve;
        socket.onopen = () => { socket.send(words); socket.close(); };
    })""",
    "WebSocket with a protocol": """words => new Promise((resolve) => {
        const address = `${location.origin.replace('http', 'ws')}/ws/nowhere?${words}`;
        const socket = new WebSocket(address, [words]);
        socket.onclose = resolve;
    })""",
    "WebSocket of a frame's": """words => new Promise((resolve) => {
        const frame = document.body.appendChild(document.createElement('iframe'));
        const address = `${location.origin.replace('http', 'ws')}/ws/nowhere?${words}`;
        const socket = new frame.contentWindow.WebSocket(address);
        socket.onclose = resolve;
    })""",
    "beacon": "words => { navigator.sendBeacon(`/api/v1/nowhere?${words}`, words); }",
    "beacon with a file": """words => {
        const form = new FormData();
        form.append('file', new File([words], `${words}.txt`));
        navigator.sendBeacon('/api/v1/nowhere', form);
    }""",
    "link for download": """words => {
        const link = document.body.appendChild(document.createElement('a'));
        Object.assign(link, {href: `/api/v1/nowhere/${words}`, download: words});
        link.click();
    }""",
}
"""What the page's own code asks for: its functions are the kit's."""

FORMS = {
    f"{encoding}, {call}": f"""words => {{
        const form = document.body.appendChild(document.createElement('form'));
        Object.assign(form, {{method: 'post', enctype: '{encoding}', action: '/api/v1/nowhere'}});
        const field = form.appendChild(document.createElement('input'));
        Object.assign(field, {{name: 'words', value: words}});
        const file = form.appendChild(document.createElement('input'));
        Object.assign(file, {{type: 'file', name: 'file'}});
        const files = new DataTransfer();
        files.items.add(new File([words], `${{words}}.txt`));
        file.files = files.files;
        form.{call}();
    }}"""
    for encoding in ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")
    for call in ("submit", "requestSubmit")
}

BY_THE_BROWSER = {
    **{
        name: f"""words => new Promise((resolve) => {{
            const element = document.createElement('{name}');
            element.onload = element.onerror = element.onloadedmetadata = resolve;
            element.{address} = `/api/v1/nowhere/${{words}}?${{words}}`;
            document.body.append(element);
        }})"""
        for name, address in (
            ("img", "src"),
            ("script", "src"),
            ("iframe", "src"),
            ("video", "src"),
            ("audio", "src"),
        )
    },
    **{
        f"link to a {kind}": f"""words => new Promise((resolve) => {{
            const link = document.createElement('link');
            link.onload = link.onerror = resolve;
            Object.assign(link, {{rel: '{rel}', as: '{kind}'}});
            link.href = `/api/v1/nowhere/${{words}}`;
            document.head.append(link);
        }})"""
        for rel, kind in (
            ("stylesheet", "style"),
            ("preload", "fetch"),
            ("modulepreload", "script"),
        )
    },
    "font": "words => new FontFace('words', `url(/api/v1/nowhere/${words})`).load().catch(() => 0)",
    "background": """words => {
        document.body.style.backgroundImage = `url(/api/v1/nowhere/${words})`;
    }""",
    "module": "words => import(`/api/v1/nowhere/${words}`).catch(() => 0)",
    "form that asks": """words => {
        const frame = document.body.appendChild(document.createElement('iframe'));
        const form = document.body.appendChild(document.createElement('form'));
        Object.assign(form, {action: '/api/v1/nowhere', target: frame.name = 'asked'});
        Object.assign(form.appendChild(document.createElement('input')), {
            name: 'words', value: words
        });
        form.submit();
    }""",
    **{
        f"worker's {way}": """words => new Promise((resolve) => {
            const address = `${location.origin}/api/v1/nowhere?${words}`;
            const text = `ASK.finally(() => postMessage(0)).catch(() => 0)`;
            const script = text.replaceAll('ADDRESS', JSON.stringify(address));
            const worker = new Worker(URL.createObjectURL(new Blob([script])));
            worker.onmessage = worker.onerror = resolve;
        })""".replace("ASK", ask)
        for way, ask in {
            "fetch": "fetch(ADDRESS, {method: 'POST', body: ADDRESS})",
            "script": "new Promise((end) => end(importScripts(ADDRESS)))",
            "XMLHttpRequest": "new Promise((end) => { const request = new XMLHttpRequest();"
            " request.open('GET', ADDRESS, false); end(request.send()); })",
        }.items()
    },
}
"""What the browser itself loads, or code that has functions of its own: the worker's."""


@pytest.fixture
def page(walk: Walk) -> Page:
    """A page of the app under its worker."""
    page = walk.open().page
    page.wait_for_function("navigator.serviceWorker.controller !== null")
    return page


@pytest.fixture(scope="module")
def without_workers(browser: Browser, site: Site) -> Iterator[BrowserContext]:
    """A browser that has no workers: they would catch what the page's own functions let go."""
    context = signed_in_context(browser, site.wire.url, site.backend.token, None)
    context.add_init_script("delete Navigator.prototype.serviceWorker")
    yield context
    context.close()


@pytest.fixture
def lone_walk(site: Site, without_workers: BrowserContext) -> Iterator[Walk]:
    """A walk there."""
    for walk in walking(Walk(site, without_workers)):
        yield walk
        # The app's own pictures go plain there (docs/sealed.md).
        walk.plain |= {what for what in walk.gone_plain() if "/profile/image" in what}


def planted(walk: Walk, name: str) -> str:
    """Words to look for, which may stand wherever a name may."""
    return walk.hide(name, new_canary(re.sub(r"\W+", "-", name).lower()))


def ask(walk: Walk, page: Page, name: str, code: str) -> None:
    """Have the page ask, and something pass by that."""
    before = len(walk.asked())
    page.evaluate(f"words => {{ void ({code})(words); }}", planted(walk, name))
    wait_until(lambda: len(walk.asked()) > before, f"what was asked by {name}", seconds=30)
    page.evaluate("fetch('/api/version').then((answer) => answer.text())")


@pytest.mark.parametrize("name", BY_CODE)
def test_what_code_asks_for_goes_sealed(lone_walk: Walk, name: str) -> None:
    ask(lone_walk, lone_walk.open().page, name, BY_CODE[name])


@pytest.mark.parametrize("name", FORMS)
def test_a_form_with_a_file_goes_sealed(lone_walk: Walk, name: str) -> None:
    ask(lone_walk, lone_walk.open().page, name, FORMS[name])


@pytest.mark.parametrize("name", BY_THE_BROWSER)
def test_what_the_browser_loads_goes_sealed(walk: Walk, page: Page, name: str) -> None:
    ask(walk, page, name, BY_THE_BROWSER[name])
