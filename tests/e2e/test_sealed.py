"""What a person types, and what comes back, is not on the wire: a proxy records all that passes."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from e2e.test_chat import WATCH_FRAMES
from e2e.walks import Walk, either_way


@pytest.mark.smoke
@either_way
def test_a_chat_streams_and_stays(walk: Walk) -> None:
    prompt, answer = walk.plant("prompt"), walk.plant("answer")
    walk.site.models(answer=f"It is {answer}, {'and so on, ' * 20}{answer}.")
    chat = walk.open()
    chat.expect_state("green")
    chat.send(f"Say {prompt}.")
    chat.page.evaluate(WATCH_FRAMES)
    chat.expect_reply(answer)
    # The reply grew: it was shown before it was whole.
    assert len(chat.page.evaluate("[...window.__sizes]")) > 2

    walk.hide("chat", chat.page.url.rpartition("/")[2])
    chat.reload()
    expect(chat.replies.last).to_contain_text(answer)
    expect(chat.page.locator(".user-message")).to_contain_text(prompt)
    chat.expect_state("green")
    assert chat.errors == []
    assert walk.by_socket() == (walk.site.way == "websocket")


@either_way
def test_a_message_is_edited_and_a_reply_made_anew(walk: Walk) -> None:
    first, other, answer = walk.plant("first"), walk.plant("other"), walk.plant("answer")
    chat = walk.open()
    chat.send(f"Say {first}.")
    chat.expect_reply(first)

    page = chat.page
    page.locator(".user-message").last.hover()
    page.locator(".edit-user-message-button").last.click()
    page.locator(".user-message textarea").fill(f"Say {other}.")
    page.locator("#confirm-edit-message-button").click()
    chat.expect_reply(other)
    expect(page.locator(".user-message")).to_contain_text("2/2")

    walk.site.models(answer=f"Rather {answer}.")
    chat.regenerate()
    chat.expect_reply(answer)
    expect(chat.last_message).to_contain_text("2/2")
    assert chat.errors == []


@either_way
def test_a_reply_is_stopped(walk: Walk) -> None:
    begin, end = walk.plant("begin"), walk.plant("end")
    walk.site.models(answer=f"{begin} {'more ' * 200}{end}", delay=0.25)
    chat = walk.open()
    chat.send("Go on for long.")
    expect(chat.replies.last).to_contain_text(begin)
    chat.input.press("Escape")
    chat.expect_reply(begin)
    expect(chat.replies.last).not_to_contain_text(end)
    # And one can go on.
    walk.site.models(answer=end, delay=0.01)
    chat.send("Once more.")
    chat.expect_reply(end)
    assert chat.errors == []


def test_two_models_answer_beside_each_other(walk: Walk) -> None:
    prompt = walk.plant("prompt")
    chat = walk.open("/?models=stub,other")
    walk.plain.add("GET /?models=stub,other")  # no worker was there before the first visit
    chat.send(f"Say {prompt}.")
    for number in range(2):
        expect(chat.replies.nth(number)).to_contain_text(prompt)
    assert {asked["model"] for asked in walk.site.asked() if prompt in str(asked)} == {
        "stub",
        "other",
    }
    assert chat.errors == []


def test_a_temporary_chat(walk: Walk) -> None:
    prompt, answer = walk.plant("prompt"), walk.plant("answer")
    walk.site.models(answer=f"It is {answer}.")
    chat = walk.open("/?temporary-chat=true")
    chat.send(f"Say {prompt}.")
    chat.expect_reply(answer)
    assert "/c/" not in chat.page.url
    assert chat.errors == []


def test_an_error_of_the_model_is_shown(walk: Walk) -> None:
    prompt, fault = walk.plant("prompt"), walk.plant("fault")
    walk.site.models(fault=f"It is broken: {fault}.")
    chat = walk.open()
    chat.send(f"Say {prompt}.")
    expect(chat.page.get_by_text(fault).first).to_be_visible()
    walk.site.models(fault=None)
    chat.new_chat()
    expect(chat.replies).to_have_count(0)
    chat.send(f"Then say {prompt}.")
    chat.expect_reply(prompt)
    assert chat.errors == []
