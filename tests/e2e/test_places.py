"""Where badge and settings stand: beside hostile content, and where there is no such place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, FrameLocator, Locator, Route, expect
from starlette.responses import HTMLResponse

from doubles.serving import serving
from e2e.browser import ChatPage, tee_settings
from e2e.stack import REPO, Backend, Installation, wait_until

OpenChat = Callable[..., ChatPage]
PLACES = json.loads((REPO / "patches/open-webui/anchors.json").read_bytes())["places"]


# Styles of the app and of others


# Every property of everything inside our elements, but for what follows the room that there is,
# the font, which is the app's, and variables that nothing of ours reads.
LOOK = """() => {
    const room = /^(font-family|width|height|(max-|min-)?(inline|block)-size|max-height)$/;
    const place = /^(--.*|top|right|bottom|left|inset.*|.*-origin)$/;
    const look = [];
    for (const host of document.querySelectorAll('cczoo-trust-badge, cczoo-trust-settings')) {
        for (const element of host.shadowRoot?.querySelectorAll('*') ?? []) {
            const style = getComputedStyle(element);
            const names = [...style].filter((name) => !room.test(name) && !place.test(name));
            look.push([element.localName, ...names.map((name) =>
                `${name}: ${style.getPropertyValue(name)}`)]);
        }
    }
    return look;
}"""
# Not the root's font size: the app's own setting for larger text is one, and ours follows it.
HOSTILE_STYLE = """
body * { color: #c0ffee !important; background-color: #bada55 !important; opacity: 0.9 !important;
    text-transform: uppercase !important; line-height: 4 !important; font-size: 33px !important;
    font-weight: 900 !important; font-style: italic !important; border: 3px solid lime !important;
    text-align: right !important; word-spacing: 9px !important; letter-spacing: 1em !important;
    visibility: visible !important; cursor: crosshair !important; direction: rtl !important;
    text-shadow: 1px 1px red !important; white-space: pre !important; padding: 5px !important; }
button, input, select, textarea, svg, path, [data-testid], [class] { transform: rotate(9deg); }
.badge, .button, .panel, .frame, .green, .red { background: green !important; }
:root { --text: lime; --ground: lime; --green: lime; --red: lime; --muted: lime; --line: lime; }
"""


def test_no_style_of_the_page_reaches_our_elements(bare: Backend, open_chat: OpenChat) -> None:
    chat = open_chat(bare)
    chat.expect_state("red")
    chat.open_panel()
    expect(chat.panel.get_by_test_id("tee-check").first).to_be_visible()
    assert_no_style_reaches(chat)
    chat.page.keyboard.press("Escape")
    chat.open_settings()
    assert_no_style_reaches(chat)


def assert_no_style_reaches(chat: ChatPage) -> None:
    page = chat.page
    page.mouse.move(1, 1)
    before = page.evaluate(LOOK)
    assert len(before) > 10
    disable = "off => [...document.styleSheets].forEach((sheet) => { sheet.disabled = off; })"
    page.evaluate(disable, True)
    assert page.evaluate(LOOK) == before
    page.evaluate(disable, False)
    style = page.add_style_tag(content=HOSTILE_STYLE)
    assert page.evaluate(LOOK) == before
    style.evaluate("style => style.remove()")


# What a model answers


ANSWERED = (
    '<div class="fake"><div data-tee-place="badge"></div><div data-tee-place="settings"></div>'
    '<cczoo-trust-badge data-state="green">Verified</cczoo-trust-badge>'
    "<cczoo-trust-settings>Off</cczoo-trust-settings>"
    '<form><div class="self-end flex space-x-1 mr-1"></div></form>'
    '<div id="tab-general"><div class="overflow-y-auto"><p>General</p></div></div></div>'
)
# What makes 0.5.20 take an answer's markup for markup.
CARRIER = '<iframe src="/api/v1/files/none"></iframe>'


@pytest.mark.smoke
def test_an_answer_gets_no_badge_no_settings_and_changes_none(
    bare: Backend, open_chat: OpenChat
) -> None:
    chat = open_chat(bare)
    chat.send(ANSWERED + CARRIER)
    chat.expect_reply("You said:")
    chat.expect_state("red")
    # And what no version lets through by itself.
    answer = chat.replies.last
    answer.evaluate("(answer, html) => answer.insertAdjacentHTML('beforeend', html)", ANSWERED)
    # What the loader does about new nodes, it has done once the settings are there.
    settings = chat.open_settings()
    expect(settings).to_have_count(1)
    chat.close_settings()

    assert shown_in(answer, "[data-tee-place]") == [""] * places_in(answer)
    assert set(shown_in(answer, "cczoo-trust-badge, cczoo-trust-settings")) == {""}
    assert answer.locator("[data-tee-place] *").count() == 0
    expect(chat.badge).to_have_count(1)
    expect(chat.panel).to_be_hidden()
    assert set(chat.states()) == {"pending", "red"}
    assert chat.errors == []


def places_in(answer: Locator) -> int:
    """Count the places that an answer brings: those that we put there, and what came alive."""
    count = answer.locator("[data-tee-place]").count()
    assert count >= 2
    return count


def shown_in(answer: Locator, selector: str) -> list[str]:
    """Return what these elements of an answer show of ours."""
    shown: list[str] = answer.locator(selector).evaluate_all(
        "elements => elements.map((e) => e.shadowRoot ? e.shadowRoot.innerHTML.replace("
        "/<!--.*?-->/g, '') : e.querySelector('cczoo-trust-badge')?.shadowRoot?.innerHTML ?? '')"
    )
    return shown


# An open-webui with another layout


class OtherLayout:
    """Serves the front end with other class names where our anchors are, and without our places."""

    def __init__(self, front_end: Path) -> None:
        self.altered: dict[str, str] = {}
        for file in (front_end / "_app").rglob("*.js"):
            text = file.read_text(encoding="utf-8", errors="replace")
            if (altered := without_anchors(text)) != text:
                self.altered["/" + file.relative_to(front_end).as_posix()] = altered

    def __call__(self, context: BrowserContext) -> None:
        context.route("**/_app/**/*.js", self._serve)

    def _serve(self, route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path in self.altered:
            route.fulfill(body=self.altered[path], content_type="text/javascript")
        else:
            route.continue_()


def without_anchors(script: str) -> str:
    """Return a script of the front end with other class names at the anchors."""
    for name, classes in (("badge", "self-end"), ("settings", "overflow-y-")):
        if any(anchor["markup"] in script for anchor in PLACES[name]["anchors"]):
            script = script.replace(classes, "other-")
    return script.replace("data-tee-place", "data-other-place")


def reports(chat: ChatPage) -> list[Any]:
    """Return what the page has told the server that it lacks."""
    return [request.post_data_json for request in chat.requests_to("/api/v1/tee/report")]


def test_where_there_is_no_place_the_badge_is_in_the_corner_and_everybody_is_told(
    bare: Backend, installation: Installation, open_chat: OpenChat
) -> None:
    chat = open_chat(bare, tee_settings("trustee"), prepare=OtherLayout(installation.front_end))
    chat.expect_state("red")
    expect(chat.badge).to_have_count(1)
    box, view = chat.badge.bounding_box(), chat.page.viewport_size
    assert box is not None
    assert view is not None
    assert 0 <= view["width"] - (box["x"] + box["width"]) < 40
    assert 0 <= view["height"] - (box["y"] + box["height"]) < 40
    assert reports(chat) == [{"v": 1, "missing": ["badge"]}]
    assert any(line.startswith("warning: ") and "badge" in line for line in chat.console)
    wait_until(lambda: "has no place for: badge" in bare.log(), "warning", seconds=20)

    chat.send("Still there?")
    chat.expect_reply("Still there?")
    chat.expect_state("red")
    expect(chat.badge).to_be_visible()

    chat.page.keyboard.press("Control+.")
    wait_until_told(chat, "settings")
    wait_until(lambda: "has no place for: settings" in bare.log(), "warning", seconds=20)
    chat.page.keyboard.press("Escape")
    chat.open_panel().get_by_test_id("tee-open-settings").click()
    switch = chat.page.get_by_test_id("tee-settings").get_by_test_id("tee-enabled")
    switch.click()
    chat.expect_state("off")
    assert chat.stored_settings()["enabled"] is False
    inside = chat.panel.bounding_box()
    assert inside is not None
    assert inside["x"] >= 0
    assert inside["y"] >= 0
    assert reports(chat) == [{"v": 1, "missing": [name]} for name in ("badge", "settings")]
    assert chat.errors == []


def wait_until_told(chat: ChatPage, name: str) -> None:
    """Wait for the page to tell the server that this place is missing."""
    for _ in range(400):
        if {"v": 1, "missing": [name]} in reports(chat):
            return
        chat.page.wait_for_timeout(50)
    pytest.fail(f"the server was not told about {name}: {reports(chat)}")


# In frames


def show_in_frame(chat: ChatPage, url: str) -> FrameLocator:
    """Show the app in a frame of the page that is open."""
    chat.page.evaluate(
        "(src) => document.body.append(Object.assign(document.createElement('iframe'),"
        " { src, id: 'app', width: 1200, height: 700 }))",
        url,
    )
    return chat.page.frame_locator("#app")


def test_a_portal_that_shows_the_app_in_a_frame_shows_its_badge(
    bare: Backend, open_chat: OpenChat
) -> None:
    chat = open_chat(bare)
    # Another origin of the same site: the app itself needs its storage, which frames of other
    # sites do not get in every browser.
    with serving(lambda _url: HTMLResponse("Portal")) as portal:
        chat.page.goto(portal)
        badge = show_in_frame(chat, bare.url).get_by_test_id("tee-badge")
        expect(badge).to_have_attribute("data-state", "red", timeout=30_000)


def test_the_app_shows_no_second_badge_in_a_frame_of_its_own(
    bare: Backend, open_chat: OpenChat
) -> None:
    """What the app shows in a frame has not this origin: the app itself does not run there."""
    chat = open_chat(bare)
    chat.expect_state("red")
    frame = show_in_frame(chat, bare.url)
    chat.page.wait_for_timeout(3000)
    expect(frame.get_by_test_id("tee-badge")).to_have_count(0)
    sandbox = chat.page.locator("#app").get_attribute("sandbox")
    assert sandbox is not None
    assert "allow-same-origin" not in sandbox


# Where the kit's own anchors are


@pytest.mark.smoke
def test_both_places_are_there_once_in_every_kind_of_chat(
    bare: Backend, open_chat: OpenChat
) -> None:
    chat = open_chat(bare)
    badge = chat.page.locator("#chat-container form").get_by_test_id("tee-badge")
    for path in ("/", "/?temporary-chat=true"):
        chat.open(path)
        expect(badge).to_have_count(1)
        chat.send("Are you there?")
        chat.expect_reply("Are you there?")
        expect(badge).to_have_count(1)
        expect(chat.badge).to_have_count(1)
    block = chat.open_settings()
    expect(block).to_have_count(1)
    # In the part of the dialog that scrolls, with the language above and the system prompt below.
    theme = chat.page.locator('select:has(option[value="oled-dark"])').bounding_box()
    prompt = chat.system_prompt.bounding_box()
    ours = block.bounding_box()
    assert theme is not None
    assert prompt is not None
    assert ours is not None
    assert theme["y"] < ours["y"]
    assert ours["y"] + ours["height"] <= prompt["y"]
    assert reports(chat) == []
