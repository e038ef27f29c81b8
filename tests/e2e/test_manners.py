"""How the badge behaves: what opens and closes its panel, what that covers, what it tells.

And where it is; at the width of a desktop and of a phone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Route, ViewportSize, expect

from e2e.browser import SEND, ChatPage, signed_in_context, tee_settings
from e2e.stack import Backend

OpenChat = Callable[..., ChatPage]
DESKTOP = ViewportSize(width=1280, height=800)
PHONE = ViewportSize(width=360, height=740)
LYING_PHONE = ViewportSize(width=740, height=360)
REST_MS = 300  # as in web/src/ui/badge.ts
LEAVE_MS = 600
BADGE = "cczoo-trust-badge"
SIDES = ("x", "y", "width", "height")


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def chat(request: pytest.FixtureRequest, bare: Backend, open_chat: OpenChat) -> ChatPage:
    """A new chat whose badge is red."""
    chat = open_chat(bare, viewport=request.param)
    chat.expect_state("red")
    return chat


def edges(locator: Locator) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of what is visible."""
    box = locator.bounding_box()
    assert box is not None
    x, y, width, height = (box[side] for side in SIDES)  # type: ignore[literal-required]
    return x, y, x + width, y + height


def message_box(chat: ChatPage) -> Locator:
    return chat.page.locator("form:has(#chat-input)")


def expect_beside_the_box(chat: ChatPage) -> None:
    """Assert that the panel is in the window and hides nothing of the message box."""
    left, top, right, bottom = edges(chat.panel)
    _, box_top, _, box_bottom = edges(message_box(chat))
    view = chat.page.viewport_size
    assert view is not None
    assert left >= 0
    assert right <= view["width"]
    assert top >= 0
    assert bottom <= view["height"]
    assert bottom <= box_top or top >= box_bottom


def rest(chat: ChatPage) -> None:
    """Move the pointer onto the badge and leave it there."""
    chat.page.mouse.move(2, 2)
    chat.badge.hover()


def what_is_seen(locator: Locator) -> set[str]:
    """Return the names of the elements of the page that are on top all over this one."""
    names = locator.evaluate(
        """element => {
            const { left, top, right, bottom } = element.getBoundingClientRect();
            const at = (part, from, to) => from + (part * (to - from)) / 10;
            const parts = [1, 3, 5, 7, 9];
            return parts.flatMap((x) => parts.map((y) =>
                document.elementFromPoint(at(x, left, right), at(y, top, bottom)).localName));
        }"""
    )
    return set(names)


# What opens it


@pytest.mark.once("plugin")
def test_a_pointer_that_rests_opens_the_panel_beside_the_message_box(chat: ChatPage) -> None:
    for _ in ("a new chat", "a chat with a message"):
        rest(chat)
        expect(chat.panel).to_be_visible()
        expect_beside_the_box(chat)
        # Not behind what the app proposes in a new chat.
        assert what_is_seen(chat.panel) == {BADGE}
        # From there it gets to the panel, and stays.
        left, top, right, bottom = edges(chat.panel)
        chat.page.mouse.move((left + right) / 2, (top + bottom) / 2, steps=10)
        chat.page.wait_for_timeout(2 * LEAVE_MS)
        expect(chat.panel).to_be_visible()
        chat.page.mouse.move(2, 2)
        expect(chat.panel).to_be_hidden()
        if "/c/" not in chat.page.url:
            chat.send("Hello.")
            chat.expect_reply("Hello.")
    assert chat.errors == []


@pytest.mark.once("plugin")
def test_a_question_stands_over_an_open_panel(
    hardware: Backend, service: str, browser: Browser
) -> None:
    settings = tee_settings("trustee", trustee=service)
    with signed_in_context(browser, hardware.url, hardware.token, settings) as context:
        chat = ChatPage(context.new_page(), hardware.url, confirms=False).open()
        chat.expect_state("green")
        chat.open_panel()
        context.route("**/api/v1/tee/quote*", lambda route: route.fulfill(body="{}"))
        chat.panel.get_by_test_id("tee-recheck").click()
        chat.expect_state("red")
        chat.page.evaluate("void fetch('/api/v1/chats/')")
        question = chat.page.get_by_test_id("tee-question")
        expect(question).to_be_visible()
        expect(chat.panel).to_be_visible()
        assert what_is_seen(question) == {"div"}


@pytest.mark.once("plugin")
def test_a_pointer_on_its_way_to_send_opens_nothing(chat: ChatPage) -> None:
    chat.input.click()
    chat.page.keyboard.insert_text("Some words.")
    left, top, right, bottom = edges(chat.badge)
    end = edges(chat.page.locator(SEND))
    chat.page.evaluate(
        """() => {
            window.__opened = false;
            const root = window.__badge().getRootNode();
            new MutationObserver(() => {
                window.__opened ||= root.querySelector('.panel') !== null;
            }).observe(root, {subtree: true, childList: true});
        }"""
    )
    # As a hand does it: never still, and over the badge for longer than the pause.
    chat.page.mouse.move(left + 1, top + 1)
    for step in range(12):
        part = step / 12
        chat.page.mouse.move(left + part * (right - left), top + part * (bottom - top))
        chat.page.wait_for_timeout(REST_MS / 8)
    chat.page.mouse.move((end[0] + end[2]) / 2, (end[1] + end[3]) / 2, steps=5)
    chat.page.locator(SEND).click()
    chat.expect_reply("Some words.")
    assert not chat.page.evaluate("window.__opened")


@pytest.mark.once("plugin")
def test_it_closes_while_something_is_typed(chat: ChatPage) -> None:
    chat.input.click()
    rest(chat)
    expect(chat.panel).to_be_visible()
    chat.page.keyboard.type("A")
    expect(chat.panel).to_be_hidden()
    chat.page.wait_for_timeout(2 * REST_MS)  # the pointer is still there
    expect(chat.panel).to_be_hidden()
    expect(chat.input).to_contain_text("A")


@pytest.mark.once("plugin")
def test_on_a_phone_that_lies_it_scrolls_beside_the_box(bare: Backend, open_chat: OpenChat) -> None:
    chat = open_chat(bare, viewport=LYING_PHONE, has_touch=True)
    chat.expect_state("red")
    chat.send("Hello.")
    chat.expect_reply("Hello.")
    chat.badge.tap()
    expect(chat.panel).to_be_visible()
    expect_beside_the_box(chat)
    assert chat.panel.evaluate("panel => panel.scrollHeight > panel.clientHeight")
    chat.badge.tap()
    expect(chat.panel).to_be_hidden()


@pytest.mark.smoke
def test_the_panel_opens_by_keyboard_and_closes_where_that_moves_on(chat: ChatPage) -> None:
    press = chat.page.keyboard.press
    # The app takes the focus as it comes up, and after an answer.
    chat.send("Hello.")
    chat.expect_reply("Hello.")
    chat.page.wait_for_timeout(1000)
    chat.badge.focus()
    expect(chat.panel).to_be_hidden()
    for key in ("Enter", "Space"):
        press(key)
        expect(chat.panel).to_be_visible()
        expect_beside_the_box(chat)
        press("Tab")
        expect(chat.page.get_by_test_id("tee-recheck")).to_be_focused()
        press("Shift+Tab")
        expect(chat.badge).to_be_focused()
        expect(chat.panel).to_be_visible()
        press("Shift+Tab")
        expect(chat.panel).to_be_hidden()
        press("Tab")
        expect(chat.badge).to_be_focused()
        expect(chat.panel).to_be_hidden()


# What closes it


@pytest.mark.once("plugin")
def test_a_click_elsewhere_closes_it(chat: ChatPage) -> None:
    chat.open_panel()
    chat.input.click()
    expect(chat.panel).to_be_hidden()


@pytest.mark.once("plugin")
@pytest.mark.usefixtures("slow_model")
def test_escape_closes_it_and_the_answer_goes_on(chat: ChatPage) -> None:
    words = [f"word{number}" for number in range(24)]
    asking = " ".join(words)
    for closes_panel in (True, False):
        chat.send(asking)
        streaming = re.compile(r"You said: word0 word1\b")
        expect(chat.replies.last).to_contain_text(streaming)
        chat.input.focus()
        if closes_panel:
            rest(chat)
            expect(chat.panel).to_be_visible()
        chat.page.keyboard.press("Escape")
        expect(chat.panel).to_be_hidden()
        if closes_panel:
            expect(chat.input).to_be_focused()
            chat.expect_reply(words[-1])
            chat.page.mouse.move(2, 2)
    # The app's own Escape: it stops the answer.
    chat.page.wait_for_timeout(3000)
    assert words[-1] not in chat.replies.last.inner_text()


# How it looks


# The contrast (WCAG 2.2) of the badge's sign with what it stands on.
CONTRAST = """(button) => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
    const layers = [];
    for (let element = button; element; element = element.parentElement
            ?? element.getRootNode().host ?? null) {
        layers.unshift(getComputedStyle(element).backgroundColor);
    }
    const paint = (colours) => {
        for (const colour of colours) {
            canvas.fillStyle = colour;
            canvas.fillRect(0, 0, 1, 1);
        }
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((byte) => {
            const part = byte / 255;
            return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = paint(['white', ...layers]);
    const sign = paint([getComputedStyle(button.querySelector('svg')).stroke]);
    return (Math.max(ground, sign) + 0.05) / (Math.min(ground, sign) + 0.05);
}"""


def check_for_long(chat: ChatPage) -> ChatPage:
    """Have the badge check for as long as the test lasts."""
    chat.expect_state("red")
    held: list[Route] = []
    chat.page.context.route("**/api/v1/tee/quote*", lambda route: held.append(route))
    chat.open_panel().get_by_test_id("tee-recheck").click()
    chat.page.keyboard.press("Escape")
    expect(chat.badge).to_have_attribute("data-kind", "checking")
    return chat


@pytest.mark.once("plugin")
@pytest.mark.parametrize("theme", ["light", "dark", "oled-dark"])
def test_its_sign_is_seen_on_the_app_s_own_ground(
    bare: Backend, simulated: Backend, open_chat: OpenChat, theme: str
) -> None:
    off = tee_settings(enabled=False)
    pages = {
        "failed": open_chat(bare, theme=theme),
        "off": open_chat(bare, off, theme=theme),
        "checking": check_for_long(open_chat(bare, theme=theme)),
        "warning": open_chat(simulated, tee_settings("dcap"), theme=theme),
    }
    for kind, chat in pages.items():
        expect(chat.badge).to_have_attribute("data-kind", kind)
        for pointed in (False, True):
            if pointed:
                chat.badge.hover()
            assert chat.badge.evaluate(CONTRAST) >= 3, (kind, pointed)
    assert len({chat.badge.locator("path").get_attribute("d") for chat in pages.values()}) == 4


@pytest.mark.once("plugin")
@pytest.mark.parametrize(("motion", "name"), [("reduce", "none"), ("no-preference", "pulse")])
def test_it_moves_only_for_who_likes_that(
    bare: Backend, open_chat: OpenChat, motion: str, name: str
) -> None:
    chat = check_for_long(open_chat(bare, reduced_motion=motion))
    expect(chat.badge).to_have_css("animation-name", name)


@pytest.mark.once("plugin")
def test_with_the_system_s_own_colours_it_is_a_button_with_a_shape(
    bare: Backend, open_chat: OpenChat
) -> None:
    chat = open_chat(bare, forced_colors="active")
    chat.expect_state("red")
    expect(chat.badge).to_have_css("border-top-style", "solid")
    assert chat.badge.evaluate(CONTRAST) >= 7
    chat.open_panel()
    expect(chat.panel).to_have_css("border-top-style", "solid")


@pytest.mark.once("plugin")
@pytest.mark.parametrize("view", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_in_a_chat_from_right_to_left_its_words_run_as_their_language_does(
    bare: Backend, open_chat: OpenChat, view: ViewportSize
) -> None:
    chat = open_chat(bare, viewport=view)
    chat.expect_state("red")
    chat.page.evaluate("document.documentElement.dir = 'rtl'")
    expect(message_box(chat)).to_have_css("direction", "rtl")
    chat.open_panel()
    expect_beside_the_box(chat)
    expect(chat.panel.locator("xpath=ancestor::*[@lang][1]")).to_have_attribute("lang", "en")
    expect(chat.panel).to_have_css("direction", "ltr")


# What it tells


@pytest.mark.once("plugin")
def test_a_verdict_for_the_worse_is_told_and_seen(
    simulated: Backend, simulator_service: str, open_chat: OpenChat
) -> None:
    settings = tee_settings("trustee", trustee=simulator_service)
    chat = open_chat(simulated, settings, viewport=PHONE)
    chat.expect_state("amber")
    notice, said = (chat.page.get_by_test_id(f"tee-{name}") for name in ("notice", "said"))
    expect(notice).to_have_count(0)
    expect(said).to_have_text("")

    chat.page.context.set_offline(True)
    expect(chat.badge).to_have_attribute("data-kind", "unavailable")
    expect(notice).to_contain_text("Could not be checked now")
    expect(notice).to_have_attribute("role", "alert")
    left, _, right, bottom = edges(notice)
    assert left >= 0
    assert right <= PHONE["width"]
    assert bottom < edges(message_box(chat))[1]
    notice.get_by_role("button", name="Close").click()
    expect(notice).to_have_count(0)

    chat.page.context.set_offline(False)
    chat.expect_state("amber")
    expect(said).to_contain_text("Simulated TD")
    expect(notice).to_have_count(0)


# Where it is


@pytest.fixture
def talkative(bare: Backend) -> Iterator[Backend]:
    """The same server with channels."""
    config = bare.call("GET", "/api/v1/auths/admin/config").json()
    bare.call("POST", "/api/v1/auths/admin/config", json={**config, "ENABLE_CHANNELS": True})
    yield bare
    bare.call("POST", "/api/v1/auths/admin/config", json=config)


@pytest.mark.parametrize("view", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_channel_has_one_in_its_message_box(
    talkative: Backend, open_chat: OpenChat, view: ViewportSize
) -> None:
    channel = talkative.call("POST", "/api/v1/channels/create", json={"name": "talk"}).json()
    chat = open_chat(talkative, viewport=view)
    chat.page.goto(f"{talkative.url}/channels/{channel['id']}")
    box = chat.page.locator("#channel-container form")
    expect(box).to_be_visible(timeout=45_000)
    badge = box.get_by_test_id("tee-badge")
    expect(badge).to_have_attribute("data-state", "red", timeout=30_000)
    badge.click()
    expect(chat.panel).to_be_visible()
    assert edges(chat.panel)[3] <= edges(box)[1]
    assert chat.requests_to("/api/v1/tee/report") == []


def show_voices(context: BrowserContext) -> None:
    """Tell the page that this server hears: the call then begins."""

    def hears(route: Route) -> None:
        response = route.fetch()
        config: dict[str, Any] = response.json()
        config.get("audio", {}).get("stt", {})["engine"] = "openai"
        route.fulfill(response=response, json=config)

    context.route("**/api/config", hears)
    context.grant_permissions(["microphone"])


@pytest.mark.parametrize("view", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_voice_call_has_one(bare: Backend, open_chat: OpenChat, view: ViewportSize) -> None:
    chat = open_chat(bare, viewport=view, prepare=show_voices)
    chat.expect_state("red")
    chat.page.locator("button[aria-label='Voice mode'], button[aria-label='Call']").click()
    call = chat.page.locator("[class*='max-h-[100dvh]'].max-w-lg")
    badge = call.get_by_test_id("tee-badge")
    expect(badge).to_have_attribute("data-state", "red", timeout=30_000)
    badge.click()
    expect(chat.panel).to_be_visible()
    left, top, right, bottom = edges(chat.panel)
    assert left >= 0
    assert top >= 0
    assert right <= view["width"]
    assert bottom <= view["height"]
    # Nothing of the app lies over it, or cuts it off.
    for x in (left + 16, right - 16):
        inside = chat.page.evaluate(
            "([x, y]) => document.elementFromPoint(x, y)?.localName", [x, (top + bottom) / 2]
        )
        assert inside == "cczoo-trust-badge"


BUTTONS_UNDER = """([left, top, right, bottom]) => {
    const isUnder = (button) => {
        const box = button.getBoundingClientRect();
        return box.width > 0 && box.left < right && box.right > left
            && box.top < bottom && box.bottom > top;
    };
    return [...document.querySelectorAll('button')].filter(isUnder).length;
}"""


@pytest.mark.way("plugin")  # the older version has none
@pytest.mark.parametrize("view", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_note_has_one_in_the_corner(
    bare: Backend, open_chat: OpenChat, view: ViewportSize
) -> None:
    empty = {"title": "A note", "data": {"content": {"json": None, "html": "", "md": ""}}}
    note = bare.call("POST", "/api/v1/notes/create", json=empty).json()
    if "id" not in note:
        pytest.skip("this version has no notes")
    chat = open_chat(bare, viewport=view)
    chat.page.goto(f"{bare.url}/notes/{note['id']}")
    expect(chat.page.locator(".ProseMirror").first).to_be_visible(timeout=45_000)
    expect(chat.badge).to_have_attribute("data-state", "red", timeout=30_000)
    left, top, right, bottom = edges(chat.badge)
    assert view["width"] - right < 40
    assert view["height"] - bottom < 100
    # It hides no button of the app's own.
    assert chat.page.evaluate(BUTTONS_UNDER, [left, top, right, bottom]) == 0
    chat.badge.click()
    expect(chat.panel).to_be_visible()
    chat.page.keyboard.press("Escape")
    expect(chat.panel).to_be_hidden()
    assert chat.requests_to("/api/v1/tee/report") == []
