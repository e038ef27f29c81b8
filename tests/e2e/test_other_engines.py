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
from e2e.test_sealed_files import KEEP_BLOBS, SHOW_PICTURE, SIDE, UPLOAD, picture
from e2e.walks import AS_EVER, TAGS, TITLE, Passage, Site

pytestmark = pytest.mark.once("plugin")

SECONDS = 45
ASK = """(async ([path, sent]) => {
    const headers = {
        authorization: `Bearer ${localStorage.token}`, 'content-type': 'application/json'
    };
    const body = sent && {method: 'POST', body: JSON.stringify(sent)};
    return (await fetch(path, {headers, ...body})).text();
})"""
# Chooses a file for the message, as the button for that does.
ATTACH = """(([selector, name, text]) => {
    const files = new DataTransfer();
    files.items.add(new File([text], name, {type: 'text/plain'}));
    const input = document.querySelector(selector);
    input.files = files.files;
    input.dispatchEvent(new Event('change', {bubbles: true}));
})"""
SAVE = """(([path, name]) => {
    const link = document.body.appendChild(document.createElement('a'));
    Object.assign(link, {href: path, download: name});
    link.click();
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
# Of an element in view: else nothing.
MIDDLE = """(({x, y, width, height}) => {
    const [left, top] = [x + width / 2, y + height / 2];
    const inside = left >= 0 && top >= 0 && left < innerWidth && top < innerHeight;
    return inside ? [left, top] : null;
})(element.getBoundingClientRect())"""
BADGE = "[data-testid=tee-badge]"
PANEL = "[data-testid=tee-panel]"
BLOCK = "[data-testid=tee-settings]"
SWITCH = "[data-testid=tee-enabled]"
REVIEW = "[data-testid=tee-review]"
CONFIRM = "[data-testid=tee-confirm]"
QUESTION = "[data-testid=tee-question]"
USER_MENU = "[aria-label='User Menu'], [aria-label='Open User Profile Menu']"
MENU_ITEM = "button, [role=menuitem]"


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
        """Click in the middle of the first that matches, when it is in view and rests there."""
        x, y = wait_until(lambda: self.resting(selector), f"{selector} in view", seconds=SECONDS)
        click(self.engine, x, y)

    def resting(self, selector: str) -> list[float] | None:
        """Return where the middle of the first is; None while it moves, as dialogs do at first."""
        self.all(selector, "element.scrollIntoView({block: 'center', behavior: 'instant'})")
        before, now = self.all(selector, MIDDLE), self.all(selector, MIDDLE)
        return now[0] if now and now == before else None

    def click_on(self, words: str, among: str = "button") -> None:
        """Click on the button that says this."""
        is_it = f"element.innerText.trim() === {json.dumps(words)}"
        self.wait(among, is_it, True)
        self.all(among, f"element.toggleAttribute('data-wanted', {is_it})")
        self.click("[data-wanted]")

    def fill_in(self, kind: str, text: str) -> None:
        """Fill the field of this kind."""
        self.click(f"input[type={kind}]")
        write(self.engine, text)

    def chat(self, text: str) -> None:
        """Say something, and wait for the reply."""
        self.say(text)
        self.expect_reply(text)

    def say(self, text: str) -> None:
        """Write a message and send it."""
        self.click("#chat-input")
        write(self.engine, text)
        self.click(SEND)

    def expect_reply(self, text: str) -> None:
        """Wait for the reply to this."""
        self.expect_text(".chat-assistant", f"You said: {text}")

    def expect_text(self, selector: str, text: str) -> None:
        """Wait until one that matches shows this."""
        self.wait(selector, f"element.innerText.includes({json.dumps(text)})", True)

    def reload(self) -> None:
        """Load the page anew."""
        self.engine.open(self.engine.evaluate("location.href"))

    def ask(self, path: str, sent: object = None) -> str:
        """Return what the server answers to the page's own code."""
        return str(self.result(f"{ASK}({json.dumps([path, sent])})"))

    def file_named(self, name: str) -> dict[str, Any] | None:
        """Return the server's entry of a file of this person's, if it is there."""
        listed = json.loads(self.ask("/api/v1/files/"))
        files = listed["items"] if isinstance(listed, dict) else listed
        return next((each for each in files if each["filename"] == name), None)

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
    assert sorted(checks) == sorted(CHECKS)
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
@pytest.mark.parametrize(
    ("visit", "way"),
    [(firefox, "websocket"), (webkit, "polling")],
    indirect=["visit"],
    ids=["firefox", "webkit"],
)
def test_somebody_signs_up_chats_and_comes_back(where: Site, visit: Visit, tmp_path: Path) -> None:
    where.models(**AS_EVER)
    let_sign_up(where.backend)
    passage = Passage(where)
    passage.plain.add("GET /auth")  # a first visit
    account = {
        "email": f"{passage.plant('mail')}@example.com",
        "password": passage.plant("password"),
    }
    # WebKit without a language claims one that its own dates do not know.
    visit.engine.open(f"{passage.url}/static/favicon.png")
    visit.engine.evaluate("[Object.assign(localStorage, {locale: 'en-US', sidebar: 'true'})]")
    visit.engine.open(f"{passage.url}/auth")
    visit.click_on("Sign up")
    for kind, text in {"text": passage.plant("Eve"), **account}.items():
        visit.fill_in(kind, text)
    visit.click("button[type=submit]")
    visit.expect_state("green")
    write(visit.engine, ESCAPE)  # what open-webui tells everybody who comes for the first time
    passage.hide("first token", visit.engine.evaluate("localStorage.token"))

    chat_and_find_it_again(visit, passage)
    hear_it(visit, passage)
    send_a_file(visit, passage)
    see_a_picture(visit, passage)
    keep_a_setting(visit, passage)
    go_and_come_back(visit, passage, account)
    # Last, as browsers tell of it where one would type next.
    save_the_file(visit, passage, tmp_path)
    assert passage.by_socket() == (where.way == "websocket")
    passage.expect_sealed()


def chat_and_find_it_again(visit: Visit, passage: Passage) -> None:
    """A chat has a title and a tag, in the list of chats too, and is there after a reload."""
    prompt, title, tag = (passage.plant(each) for each in ("prompt", "title", "tag"))
    named = {TITLE: json.dumps({"title": f"About {title}"}), TAGS: json.dumps({"tags": [tag]})}
    passage.site.models(answers=named)
    visit.chat(f"Say {prompt}.")
    visit.expect_text("#sidebar", f"About {title}")
    chat = passage.hide("chat", visit.engine.evaluate("location.pathname").rpartition("/")[2])
    visit.reload()
    visit.expect_reply(f"Say {prompt}.")
    visit.expect_text("#sidebar", f"About {title}")
    visit.expect_state("green")
    wait_until(lambda: tag in visit.ask(f"/api/v1/chats/{chat}/tags"), "a tag", seconds=SECONDS)


def hear_it(visit: Visit, passage: Passage) -> None:
    """What is read aloud comes to the page."""
    visit.engine.evaluate(f"[({KEEP_BLOBS})()]")
    visit.click("[id^='speak-button-']")
    heard = f"window.__blobs.includes({json.dumps(passage.planted['prompt'])})"
    wait_until(lambda: visit.engine.evaluate(heard), "a voice", seconds=SECONDS)


def send_a_file(visit: Visit, passage: Passage) -> None:
    """A file goes up into a chat."""
    file, words, prompt = (passage.plant(each) for each in ("file", "words", "question"))
    name = f"{file}.txt"
    visit.engine.evaluate(f"[{ATTACH}({json.dumps([UPLOAD, name, words])})]")
    visit.expect_text("form", file)
    wait_until(lambda: visit.file_named(name), "a file", seconds=SECONDS)
    visit.wait_gone("form [class^=spinner_]")
    visit.say(f"Say {prompt}.")
    visit.expect_text(".chat-assistant", prompt)  # among what was found in the file
    assert any(words in str(asked) for asked in passage.site.asked())


def save_the_file(visit: Visit, passage: Passage, folder: Path) -> None:
    """It comes down to the disk."""
    name, words = f"{passage.planted['file']}.txt", passage.planted["words"]
    entry = visit.file_named(name)
    assert entry is not None
    path = f"/api/v1/files/{passage.hide('file id', entry['id'])}/content"
    visit.engine.evaluate(f"[{SAVE}({json.dumps([path, name])})]")
    wait_until(
        lambda: [each.read_text() for each in folder.rglob(name)] == [words],
        "a saved file",
        seconds=SECONDS,
    )


def see_a_picture(visit: Visit, passage: Passage) -> None:
    """A picture is shown by its address alone."""
    name, words = passage.plant("image"), passage.plant("picture")
    upload = front_end_of(this_edition().version).upload
    shown = [upload, f"{name}.png", base64.b64encode(picture(words)).decode()]
    assert visit.result(f"{SHOW_PICTURE}({json.dumps(shown)})") == SIDE


def keep_a_setting(visit: Visit, passage: Passage) -> None:
    """What the app sets for somebody is there afterwards."""
    words = passage.plant("system")
    settings = "/api/v1/users/user/settings"
    visit.ask(f"{settings}/update", {"ui": {"system": words}})
    visit.reload()
    visit.expect_state("green")
    assert words in visit.ask(settings)


def go_and_come_back(visit: Visit, passage: Passage, account: dict[str, str]) -> None:
    """Somebody signs out, signs in, and finds the chat."""
    visit.engine.evaluate("[window.__signed_in = true]")
    visit.click(USER_MENU)
    visit.click_on("Sign Out", MENU_ITEM)
    wait_until(
        lambda: not visit.engine.evaluate("window.__signed_in ?? false"), "a load", seconds=SECONDS
    )
    visit.wait("input[type=password]")
    assert visit.engine.evaluate("localStorage.token ?? null") is None
    # As the form does: WebKit's driver often loses keys and clicks there.
    signed_in = json.loads(visit.ask("/api/v1/auths/signin", account))
    token = passage.hide("second token", signed_in["token"])
    visit.engine.evaluate(f"[localStorage.token = {json.dumps(token)}]")
    visit.engine.open(passage.url)
    visit.expect_state("green")
    visit.expect_text("#sidebar", f"About {passage.planted['title']}")
