"""A look at the page in Firefox and in WebKit, Safari's engine: badge, panel, settings, a chat.

And a walk past one who reads along, shorter than those in Chromium (test_sealed*).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from doubles.spellings import new_canary
from doubles.wire import Wire
from e2e.browser import CHECKS, SEND, SETTINGS_KEY, front_end_of, tee_settings
from e2e.editions import this_edition
from e2e.engines import CONTROL, ESCAPE, Engine, chord, click, firefox, webkit, write
from e2e.gates import count, in_the_clear
from e2e.stack import Backend, wait_until
from e2e.test_sealed_accounts import let_sign_up
from e2e.test_sealed_files import SIDE, picture
from e2e.walks import AS_EVER, Passage, Site

SECONDS = 45
# Uploads a picture, and shows it by its address alone: what the worker is for.
SHOW_PICTURE = """(async ([path, name, base64]) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const form = new FormData();
    form.append('file', new File([bytes], name, {type: 'image/png'}));
    const headers = {authorization: `Bearer ${localStorage.token}`};
    const answer = await fetch(path, {method: 'POST', headers, body: form});
    const image = new Image();
    image.src = `/api/v1/files/${(await answer.json()).id}/content`;
    await image.decode();
    return image.naturalWidth;
})"""
# Everything that matches, also inside the shadow roots of our elements.
ALL = """(selector => {
    const roots = [document];
    for (const root of roots) {  // and in those that turn up in them
        const hosts = 'cczoo-trust-badge, cczoo-trust-settings, html > :not(head, body)';
        for (const host of root.querySelectorAll(hosts)) {
            if (host.shadowRoot) roots.push(host.shadowRoot);
        }
    }
    const found = roots.flatMap((root) => [...root.querySelectorAll(selector)]);
    return found.filter((element) => element.getClientRects().length > 0);
})"""
BADGE = "[data-testid=tee-badge]"
PANEL = "[data-testid=tee-panel]"
BLOCK = "[data-testid=tee-settings]"
SWITCH = "[data-testid=tee-enabled]"
REVIEW = "[data-testid=tee-review]"
CONFIRM = "[data-testid=tee-confirm]"
QUESTION = "[data-testid=tee-question]"


class Visit:
    """What a person does and sees, in a browser that is driven by hand."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def all(self, selector: str, what: str) -> Any:
        """Return ``what`` of each visible ``element`` that matches."""
        return self.engine.evaluate(f"{ALL}({json.dumps(selector)}).map((element) => {what})")

    def wait(self, selector: str, what: str = "1", value: object = 1) -> None:
        """Wait for one that matches, or for what it says."""
        wait_until(
            lambda: value in self.all(selector, what), f"{selector} {value}", seconds=SECONDS
        )

    def wait_gone(self, selector: str) -> None:
        """Wait until none that matches is left."""
        wait_until(lambda: not self.all(selector, "1"), f"no {selector}", seconds=SECONDS)

    def click(self, selector: str) -> None:
        """Click in the middle of one that matches."""
        self.wait(selector)
        self.all(selector, "element.scrollIntoView({block: 'center'})")
        ((x, y, width, height),) = self.all(
            selector,
            "(({x, y, width, height}) => [x, y, width, height])(element.getBoundingClientRect())",
        )
        click(self.engine, x + width / 2, y + height / 2)

    def click_on(self, words: str) -> None:
        """Click on the button that says this."""
        is_it = f"element.innerText.trim() === {json.dumps(words)}"
        self.wait("button", is_it, True)
        self.all("button", f"{is_it} && (element.dataset.wanted = 1)")
        self.click("[data-wanted]")

    def fill_in(self, kind: str, text: str) -> None:
        """Fill the field of this kind."""
        self.click(f"input[type={kind}]")
        write(self.engine, text)

    def chat(self, text: str) -> None:
        """Say something, and wait for the reply."""
        self.click("#chat-input")
        write(self.engine, text)
        self.click(SEND)
        self.expect_reply(text)

    def expect_reply(self, text: str) -> None:
        """Wait for the reply to this."""
        said = json.dumps(f"You said: {text}")
        self.wait(".chat-assistant", f"element.innerText.includes({said})", True)

    def result(self, expression: str) -> Any:
        """Return what a promise comes to."""
        kept = "window.__result = [value]"
        self.engine.evaluate(
            f"[window.__result = null, {expression}.then((value) => {{ {kept}; }},"
            " (error) => { window.__result = [String(error)]; })].length"
        )
        (value,) = wait_until(
            lambda: self.engine.evaluate("window.__result"), "an answer", seconds=SECONDS
        )
        return value

    def expect_state(self, state: str) -> None:
        """Wait until the badge is in this state."""
        self.wait(BADGE, "element.dataset.state", state)


@pytest.fixture(params=[firefox, webkit], ids=["firefox", "webkit"])
def visit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Visit]:
    """A fresh browser of another maker."""
    start: Callable[[Path], AbstractContextManager[Engine]] = request.param
    with start(tmp_path) as engine:
        yield Visit(engine)


def test_badge_panel_settings_and_a_chat(
    hardware: Backend, wire: Wire, service: str, visit: Visit
) -> None:
    engine = visit.engine
    engine.open(f"{wire.url}/static/favicon.png")
    stored = {
        "token": hardware.token,
        "locale": "en-US",
        SETTINGS_KEY: json.dumps(tee_settings("trustee", trustee=service)),
    }
    engine.evaluate(f"Object.assign(localStorage, {json.dumps(stored)}) && 1")
    engine.open(wire.url)
    visit.click(f"{QUESTION} {CONFIRM}")
    visit.wait_gone(QUESTION)
    # What a script stored bears no mark of the kit's form, before the person confirms it there.
    visit.expect_state("amber")

    visit.click(BADGE)
    visit.wait(PANEL)
    visit.click(REVIEW)
    visit.click(CONFIRM)
    visit.expect_state("green")
    engine.open(wire.url)
    visit.expect_state("green")

    visit.click(BADGE)
    visit.wait(PANEL)
    checks = visit.all(f"{PANEL} [data-testid=tee-check]", "element.dataset.check")
    assert checks == CHECKS
    write(engine, ESCAPE)
    visit.wait_gone(PANEL)

    prompt = new_canary("prompt")
    visit.chat(f"Hello {prompt}.")
    visit.expect_state("green")

    chord(engine, CONTROL, ".")
    visit.wait(BLOCK)
    assert len(visit.all(BLOCK, "1")) == 1
    visit.click(SWITCH)
    visit.wait(SWITCH, "element.getAttribute('aria-checked')", "false")
    visit.expect_state("off")
    visit.click(SWITCH)
    visit.expect_state("green")
    write(engine, ESCAPE)
    visit.wait_gone(BLOCK)

    for words in (prompt, hardware.token):
        assert wire.find(words) == []
    assert in_the_clear(wire) == []
    assert count(wire, "POST /api/v1/tee/ohttp") > 0
    assert count(wire, "WS /api/v1/tee/ws/") > 0


@pytest.mark.timeout(900)
def test_somebody_signs_up_chats_and_comes_back(site: Site, visit: Visit) -> None:
    site.models(**AS_EVER)
    let_sign_up(site.backend)
    passage, engine = Passage(site), visit.engine
    passage.plain.add("GET /auth")  # a first visit
    name, password, prompt = (passage.plant(each) for each in ("Eve", "password", "prompt"))
    # WebKit without a language claims one that its own dates do not know.
    engine.open(f"{passage.url}/static/favicon.png")
    engine.evaluate("[(localStorage.locale = 'en-US')]")
    engine.open(f"{passage.url}/auth")
    visit.click_on("Sign up")
    visit.fill_in("text", name)
    visit.fill_in("email", f"{passage.plant('mail')}@example.com")
    visit.fill_in("password", password)
    visit.click("button[type=submit]")
    visit.expect_state("green")
    write(engine, ESCAPE)  # what open-webui tells everybody who comes for the first time
    passage.hide("token", engine.evaluate("localStorage.token"))
    visit.chat(f"Say {prompt}.")

    passage.hide("chat", engine.evaluate("location.pathname").rpartition("/")[2])
    engine.open(engine.evaluate("location.href"))
    visit.expect_reply(f"Say {prompt}.")
    visit.expect_state("green")

    file, words = passage.plant("file"), passage.plant("picture")
    upload = front_end_of(this_edition().version).upload
    shown = [upload, f"{file}.png", base64.b64encode(picture(words)).decode()]
    assert visit.result(f"{SHOW_PICTURE}({json.dumps(shown)})") == SIDE
    assert any(what.startswith("WS /api/v1/tee/ws/") for what in passage.asked())
    passage.expect_sealed()
