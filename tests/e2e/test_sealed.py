"""What a person types, and what comes back, is not on the wire: a proxy records all that passes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from doubles.spellings import new_canary
from doubles.wire import Wire, recorded
from e2e.browser import OBSERVER, ChatPage
from e2e.stack import Backend


@dataclass
class Person:
    """Somebody with an account whose password is nowhere else."""

    email: str
    password: str


@pytest.fixture
def wire(own_root: Backend) -> Iterator[Wire]:
    """A recording proxy before a TD that the page verifies by itself."""
    with recorded(own_root.url) as wire:
        yield wire


@pytest.fixture
def person(own_root: Backend) -> Person:
    """Somebody who may use that server, and its models."""
    person = Person(f"{new_canary('mail')}@example.com", new_canary("password"))
    account = {"name": "Eve", "email": person.email, "password": person.password, "role": "admin"}
    own_root.call("POST", "/api/v1/auths/add", json=account).raise_for_status()
    return person


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser profile of somebody who was never here."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.add_init_script(OBSERVER)
    context.set_default_timeout(30_000)
    yield context
    context.close()


def sign_in(chat: ChatPage, person: Person) -> None:
    """Sign in by the app's own form."""
    page = chat.page
    page.goto(f"{chat.url}/auth")
    page.locator("input[type=email]").fill(person.email)
    page.locator("input[type=password]").fill(person.password)
    page.locator("button[type=submit]").click()
    expect(chat.input).to_be_visible(timeout=45_000)


@pytest.mark.smoke
def test_nothing_of_a_chat_is_on_the_wire(
    wire: Wire, person: Person, context: BrowserContext, model: str
) -> None:
    chat = ChatPage(context.new_page(), wire.url)
    sign_in(chat, person)
    chat.page.keyboard.press("Escape")
    chat.expect_state("green")
    token = chat.page.evaluate("localStorage.token")

    prompt, answer = new_canary("prompt"), new_canary("answer")
    httpx.post(f"{model}/control", json={"answer": f"It is {answer}, {answer}."}, trust_env=False)
    try:
        chat.send(f"Say {prompt}.")
        chat.expect_reply(answer)
    finally:
        httpx.post(f"{model}/control", json={"answer": None}, trust_env=False)
    chat.reload()
    expect(chat.replies.last).to_contain_text(answer)
    chat.expect_state("green")
    assert chat.errors == []

    for words in (prompt, answer, person.password, person.email.partition("@")[0], token):
        assert wire.find(words) == []
    # They went some way, and that was recorded.
    asked = [each.what for each in wire.messages if each.way == "up"]
    assert "POST /api/v1/tee/ohttp" in asked
    assert any(what.startswith("WS /api/v1/tee/ws/") for what in asked)
    chat_id = chat.page.url.rpartition("/")[2]
    assert wire.find(chat_id) == []
