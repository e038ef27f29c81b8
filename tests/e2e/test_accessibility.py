"""Our parts of the page for those who use a keyboard, a screen reader, or little contrast.

axe looks at them in each state and in both themes, contrast included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from e2e.accessibility import (
    findings,
    focused,
    tab_to,
    wait_until_the_app_leaves_the_focus,
)
from e2e.browser import ChatPage, signed_in_context
from e2e.stack import Backend

pytestmark = pytest.mark.way("plugin")

OpenChat = Callable[..., ChatPage]
PANEL = """
- region "Remote attestation":
  - heading /^Verified/ [level=2]
  - button "Check again"
  - button "Close"
  - paragraph
  - list "What was checked":
    - listitem:
      - group: /This machine is genuine. proved/
    - listitem:
      - group: /It runs what you expect./
    - listitem:
      - group: /Only it can read your words. proved/
  - group "Measurements"
  - group "Event logs"
  - group "Check from your own machine"
  - status
"""


def unfold(chat: ChatPage) -> None:
    """Open all that the panel keeps behind folds."""
    chat.open_panel().locator("details").evaluate_all(
        "all => all.forEach((details) => { details.open = true; })"
    )


@pytest.mark.parametrize("state", ["green", "amber", "red", "off"])
def test_axe_finds_nothing_in_badge_and_panel(
    hardware: Backend, stored: dict[str, Any], open_chat: OpenChat, state: str
) -> None:
    chat = open_chat(hardware, stored[state])
    chat.expect_state(state)
    assert findings(chat.page) == []
    unfold(chat)
    assert findings(chat.page) == []


def test_axe_finds_nothing_in_settings_and_notice(
    hardware: Backend, stored: dict[str, Any], open_chat: OpenChat
) -> None:
    chat = open_chat(hardware, stored["green"])
    chat.expect_state("green")
    chat.open_settings()
    assert findings(chat.page) == []
    chat.close_settings()
    chat.page.context.set_offline(True)
    chat.expect_state("red")
    expect(chat.page.get_by_test_id("tee-notice")).to_be_visible()
    assert findings(chat.page) == []


@pytest.mark.parametrize(
    ("path", "shown"), [("/admin/settings", "tee-admin-row"), ("/tee", "tee-panel")]
)
def test_axe_finds_nothing_in_the_pages_of_administrators_and_auditors(
    hardware: Backend, stored: dict[str, Any], open_chat: OpenChat, path: str, shown: str
) -> None:
    chat = open_chat(hardware, stored["green"])
    chat.page.goto(hardware.url + path)
    expect(chat.page.get_by_test_id(shown).first).to_be_visible(timeout=45_000)
    assert findings(chat.page) == []


def test_the_question_is_asked_of_a_keyboard_too(
    hardware: Backend, stored: dict[str, Any], browser: Browser
) -> None:
    context = signed_in_context(browser, hardware.url, hardware.token, stored["red"])
    page = context.new_page()
    page.goto(hardware.url)
    question = page.get_by_test_id("tee-question")
    expect(question).to_be_visible(timeout=45_000)
    assert findings(page) == []
    tab_to(page, "tee-confirm")
    page.keyboard.press("Enter")
    expect(question).to_have_count(0)
    expect(page.locator("#chat-input")).to_be_visible(timeout=45_000)
    context.close()


def test_a_keyboard_is_enough_for_the_panel(
    hardware: Backend, stored: dict[str, Any], open_chat: OpenChat
) -> None:
    chat = open_chat(hardware, stored["green"])
    page = chat.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    chat.expect_state("green")
    wait_until_the_app_leaves_the_focus(page)
    chat.input.focus()
    tab_to(page, "tee-badge")
    expect(chat.panel).to_have_count(0)  # the focus alone opens nothing
    page.keyboard.press("Enter")
    expect(chat.panel).to_be_visible()

    tab_to(page, "tee-recheck")
    page.evaluate("window.__states = []")
    page.keyboard.press("Enter")
    page.wait_for_function("window.__states.join() === 'pending,green'")
    assert focused(page)[0] == "tee-recheck"

    tab_to(page, "tee-step", "summary")
    page.keyboard.press("Enter")
    expect(chat.panel.get_by_test_id("tee-check").first).to_be_visible()

    tab_to(page, "tee-fields", "summary")
    page.keyboard.press("Enter")
    tab_to(page, "tee-copy")
    page.keyboard.press("Enter")
    expect(chat.panel.get_by_test_id("tee-copied")).to_contain_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied in chat.fields().values()

    page.keyboard.press("Escape")
    expect(chat.panel).to_have_count(0)
    assert focused(page)[0] == "tee-badge"

    page.keyboard.press("Space")
    expect(chat.panel).to_be_visible()
    tab_to(page, "")  # past the panel's end it closes, and the app goes on
    expect(chat.panel).to_have_count(0)


def test_a_keyboard_is_enough_for_the_settings(
    hardware: Backend, stored: dict[str, Any], open_chat: OpenChat
) -> None:
    chat = open_chat(hardware, stored["green"])
    page = chat.page
    chat.expect_state("green")
    wait_until_the_app_leaves_the_focus(page)
    chat.open_settings()
    switch = page.get_by_test_id("tee-enabled")
    tab_to(page, "tee-enabled")
    for checked in ("false", "true"):
        page.keyboard.press("Space")
        expect(switch).to_have_attribute("aria-checked", checked)
    tab_to(page, "tee-provider")
    tab_to(page, "tee-address")
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("tee-settings")).to_be_hidden()
    chat.expect_state("green")


def test_a_screen_reader_has_the_panel_in_order(
    hardware: Backend, stored: dict[str, Any], open_chat: OpenChat
) -> None:
    chat = open_chat(hardware, stored["green"])
    chat.expect_state("green")
    expect(chat.open_panel()).to_match_aria_snapshot(PANEL)
