"""What open-webui did before the kit came still works, with the badge beside it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from e2e.browser import ChatPage, tee_settings
from e2e.stack import Backend

OpenChat = Callable[..., ChatPage]

# Notes, as each frame is drawn, how long the reply is, and whether the badge is where one can type.
# An observer of sizes is told after all that is done for a frame and before it is painted.
WATCH_FRAMES = """() => {
    window.__sizes = new Set();
    window.__shown = true;
    const probe = document.body.appendChild(document.createElement('div'));
    probe.style.cssText = 'position: fixed; height: 1px; width: 1px';
    const next = () => requestAnimationFrame(() => {
        probe.style.width = probe.style.width === '1px' ? '2px' : '1px';
    });
    new ResizeObserver(() => {
        const typing = document.querySelector('#chat-input')?.checkVisibility() ?? false;
        if (typing) window.__shown &&= window.__badge()?.checkVisibility() ?? false;
        const reply = document.querySelector('.chat-assistant');
        if (reply) window.__sizes.add(reply.innerText.trim().length);
        next();
    }).observe(probe);
}"""


@pytest.mark.smoke
@pytest.mark.usefixtures("slow_model")
def test_a_reply_streams_while_the_badge_is_shown(bare: Backend, open_chat: OpenChat) -> None:
    chat = open_chat(bare)
    chat.send("Count slowly, please.")
    chat.page.evaluate(WATCH_FRAMES)
    chat.expect_reply("Count slowly, please.")
    # The reply grew: it was shown before it was whole.
    assert len(chat.page.evaluate("[...window.__sizes]")) > 2
    assert chat.page.url.startswith(f"{bare.url}/c/")
    assert chat.page.evaluate("window.__shown"), "the badge went away while the reply streamed"
    expect(chat.badge).to_be_visible()
    assert is_first_beside_the_microphone(chat)
    assert chat.errors == []


@pytest.mark.smoke
def test_the_badge_is_first_beside_the_microphone(bare: Backend, open_chat: OpenChat) -> None:
    assert is_first_beside_the_microphone(open_chat(bare))


def is_first_beside_the_microphone(chat: ChatPage) -> bool:
    """Is the badge's element the first child of the row that holds the microphone's button?"""
    expect(chat.page.locator("#voice-input-button")).to_be_visible()
    expect(chat.badge).to_be_visible()
    return bool(
        chat.page.evaluate(
            """() => {
                const row = document.querySelector('#voice-input-button').closest('.self-end');
                return row.firstElementChild.contains(window.__badge().getRootNode().host);
            }"""
        )
    )


def test_edit_and_regenerate_a_message(bare: Backend, open_chat: OpenChat) -> None:
    chat = open_chat(bare, tee_settings(enabled=False))
    page = chat.page
    chat.send("First words.")
    chat.expect_reply("First words.")

    page.locator(".user-message").last.hover()
    page.locator(".edit-user-message-button").last.click()
    page.locator(".user-message textarea").fill("Other words.")
    page.locator("#confirm-edit-message-button").click()
    chat.expect_reply("Other words.")
    expect(page.locator(".user-message")).to_contain_text("2/2")

    chat.regenerate()
    chat.expect_reply("Other words.")
    expect(page.locator(".chat-assistant").last).to_be_visible()
    expect(chat.last_message).to_contain_text("2/2")
    assert chat.errors == []


def test_settings_save_and_the_seed_goes_back_to_default(
    bare: Backend, open_chat: OpenChat
) -> None:
    chat = open_chat(bare, tee_settings(enabled=False))
    page = chat.page

    def saved() -> dict[str, object]:
        answer = bare.call("GET", "/api/v1/users/user/settings").json()
        return dict(answer["ui"].get("params") or {})

    def save() -> None:
        with page.expect_response("**/api/v1/users/user/settings/update") as answer:
            page.get_by_role("button", name="Save", exact=True).click()
        assert answer.value.ok

    chat.show_parameters()
    chat.seed.click()
    page.get_by_placeholder("Enter Seed").fill("7")
    chat.system_prompt.fill("Be brief.")
    save()
    assert saved()["seed"] == 7

    chat.reload()
    chat.show_parameters()
    expect(page.get_by_placeholder("Enter Seed")).to_have_value("7")
    expect(chat.system_prompt).to_have_value("Be brief.")
    chat.seed.click()
    expect(page.get_by_placeholder("Enter Seed")).to_be_hidden()
    save()
    assert "seed" not in saved()
    assert chat.errors == []
