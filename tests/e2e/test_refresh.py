"""A result is renewed, whatever comes between: one failed request turns no valid green red."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Request, Route, expect

from e2e.browser import ChatPage, tee_settings
from e2e.stack import Backend
from emulator.harness import Emulator

pytestmark = pytest.mark.once("source")

OpenChat = Callable[..., ChatPage]

QUOTE_PATH = "/api/v1/tee/quote"
CONFIG_PATH = "/api/v1/tee/config"
SERVICE_PATH = "/attestation"

Answer = Callable[[Route], None]

# Seconds for which a result counts here: the keys that the server shows end by its own clock, which
# no test winds on, an hour after they were made.
AGE = 1800


@pytest.fixture(scope="module")
def server(start_backend: Callable[..., Backend], kernel: Emulator) -> Backend:
    """open-webui in a TD like ``hardware``'s, just started, and so with fresh keys."""
    return start_backend("refreshed", {"TEE_QUOTE_TIMEOUT": "3"}, tuple(kernel.inside([])))


def settings(alibaba: str) -> dict[str, Any]:
    """Return what has this service asked for results of that age."""
    policy = json.dumps({"v": 1, "max_age": AGE})
    return tee_settings("alibaba", alibaba=alibaba, policy=policy)


def abort(route: Route) -> None:
    """Answer as a network that breaks."""
    route.abort()


def busy(route: Route) -> None:
    """Answer as a server whose quote service has others to serve."""
    detail = "The quote service is busy: try again in a few seconds."
    route.fulfill(
        status=503,
        headers={"Retry-After": "2"},
        json={"status": False, "code": "busy", "detail": detail},
    )


class Fault:
    """Answers the next ``count`` requests in the place of who should; then all is well."""

    def __init__(self, answer: Answer, count: int = 1) -> None:
        self.answer, self.count = answer, count

    def __call__(self, route: Route) -> None:
        if self.count == 0:
            route.continue_()
            return
        self.count -= 1
        self.answer(route)


# Writes down what the panel says of a renewal, also where it says so for a moment only.
RECORDER = """
(() => {
	window.__said = [];
	const attach = Element.prototype.attachShadow;
	Element.prototype.attachShadow = function (options) {
		const root = attach.call(this, options);
		new MutationObserver(() => {
			const said = root.querySelector('[data-testid=tee-renewal]')?.textContent;
			if (said) window.__said.push(said.replace(/\\s+/g, ' ').trim());
		}).observe(root, { subtree: true, childList: true, characterData: true });
		return root;
	};
})();
"""


def own_clock(context: BrowserContext) -> None:
    """Let the test wind the page's clocks on, and hear what its panel says."""
    context.clock.install()
    context.add_init_script(RECORDER)


def wind(chat: ChatPage, milliseconds: float) -> None:
    """Let this time pass in the page: whatever is due rings once."""
    chat.page.clock.fast_forward(int(milliseconds))


def said(chat: ChatPage) -> str:
    """Return the first thing that the panel says of a renewal, once it does."""
    chat.page.wait_for_function("window.__said.length > 0")
    return str(chat.page.evaluate("window.__said[0]"))


def quotes(chat: ChatPage) -> list[Request]:
    return chat.requests_to(QUOTE_PATH)


def nonces(chat: ChatPage) -> list[str]:
    return [re.findall(r"nonce=([\w-]+)$", request.url)[0] for request in quotes(chat)]


def life(chat: ChatPage) -> int:
    """Return how many milliseconds the result on show still has."""
    exp = int(re.findall(r"\d{10}", chat.fields()["exp"])[0])
    left = float(exp - chat.page.evaluate("Date.now() / 1000"))
    return int(min(left, AGE) * 1000)


def renewal(chat: ChatPage) -> Any:
    """Return where the panel says that the result could not be renewed."""
    return chat.open_panel().get_by_test_id("tee-renewal")


def expect_renewed(chat: ChatPage) -> None:
    """Wait until a new result is on show."""
    expect(renewal(chat)).to_have_count(0)
    chat.expect_state("green")


@pytest.mark.parametrize("answer", [abort, busy])
@pytest.mark.parametrize("path", [QUOTE_PATH, CONFIG_PATH, SERVICE_PATH])
def test_one_failed_request_of_a_refresh(
    server: Backend, alibaba: str, open_chat: OpenChat, path: str, answer: Answer
) -> None:
    """The badge stays green and says so, and the next try renews it."""
    chat = open_chat(server, settings(alibaba), prepare=own_clock)
    chat.expect_state("green")
    left = life(chat)
    chat.page.context.route(f"**{path}*", Fault(answer))
    wind(chat, left * 0.8)
    assert re.match(
        r"The result could not be renewed\. .* Trying again at \u2068\d.* holds until \u2068\d",
        said(chat),
    )
    assert chat.results() == ["green"]
    expect_renewed(chat)
    # With a whole life: what was left of the old one is over now.
    wind(chat, left * 0.3)
    chat.page.wait_for_timeout(500)
    chat.expect_state("green")
    assert chat.results() == ["green"]


def test_a_restart_of_the_server(server: Backend, alibaba: str, open_chat: OpenChat) -> None:
    """While it is down the result holds, and once it is up again it is renewed."""
    chat = open_chat(server, settings(alibaba), prepare=own_clock)
    chat.expect_state("green")
    chat.open_panel()
    left = life(chat)
    server.crash()
    try:
        wind(chat, left * 0.8)
        expect(renewal(chat)).to_contain_text("This server did not answer")
        for _ in range(3):
            wind(chat, 60_000)
            chat.expect_state("green")
    finally:
        server.start_again()
    for _ in range(12):
        chat.expect_state("green")
        wind(chat, 10_000)  # a longer leap would end a check that is under way
    expect_renewed(chat)
    # Its keys have gone with it: what is asked for since may have it attested anew before that.
    assert set(chat.results()) == {"green"}


def test_green_that_cannot_be_renewed_ends_and_comes_back_by_itself(
    server: Backend, alibaba: str, open_chat: OpenChat
) -> None:
    chat = open_chat(server, settings(alibaba), prepare=own_clock)
    chat.expect_state("green")
    left = life(chat)
    fault = Fault(abort, count=1000)
    chat.page.context.route(f"**{QUOTE_PATH}*", fault)
    wind(chat, left * 0.8)
    expect(renewal(chat)).to_contain_text("holds until")
    wind(chat, left * 0.2)
    chat.expect_state("red")
    assert "This server did not answer" in chat.reason()
    expect(renewal(chat)).to_contain_text("Trying again")

    fault.count = 0
    wind(chat, 121_000)
    expect_renewed(chat)


def test_a_clock_set_back_keeps_no_result(
    server: Backend, alibaba: str, open_chat: OpenChat
) -> None:
    chat = open_chat(server, settings(alibaba), prepare=own_clock)
    chat.expect_state("green")
    left = life(chat)
    chat.page.context.route(f"**{QUOTE_PATH}*", abort)
    chat.page.clock.set_system_time(chat.page.evaluate("Date.now() / 1000 - 86_400"))
    wind(chat, left)
    chat.expect_state("red")


def test_the_first_attestation_of_a_page_is_tried_again(
    hardware: Backend, service: str, open_chat: OpenChat
) -> None:
    chat = open_chat(
        hardware,
        tee_settings("trustee", trustee=service),
        prepare=lambda context: context.route(f"**{QUOTE_PATH}*", Fault(busy)),
    )
    chat.expect_state("green")
    assert set(chat.results()) <= {"red", "green"}  # the app may come after the first
    assert len(set(nonces(chat))) == 2


# New Chat


def ways_to_a_new_chat(chat: ChatPage) -> list[Callable[[], None]]:
    """Return what a person can do for a new chat: click on anything that leads to one, or type."""
    links = chat.page.locator(LINKS)
    visible = [links.nth(n) for n in range(links.count()) if links.nth(n).is_visible()]
    assert visible
    return [*(item.click for item in visible), lambda: chat.page.keyboard.press("Control+Shift+O")]


LINKS = ":is(a[href='/'], #new-chat-button, #sidebar-new-chat-button):not([inert] *)"


@pytest.mark.smoke
def test_new_chat_from_an_unused_chat_attests_each_time(
    hardware: Backend, service: str, open_chat: OpenChat
) -> None:
    """In the bar above the chat and in the side bar, also where the address stays as it is."""
    chat = open_chat(hardware, tee_settings("trustee", trustee=service))
    chat.expect_state("green")
    tried = 0
    for side_bar in ("as it is", "the other way"):
        if side_bar == "the other way":
            chat.page.keyboard.press("Control+Shift+S")
            chat.page.wait_for_timeout(500)  # it slides
        for begin in ways_to_a_new_chat(chat):
            asked = len(quotes(chat))
            begin()
            expect_more_quotes(chat, asked)
            chat.expect_state("green")
            tried += 1
    assert tried >= 4
    assert len(set(nonces(chat))) == len(quotes(chat))


def expect_more_quotes(chat: ChatPage, asked: int) -> None:
    """Wait until the page has asked for more quotes than before."""
    for _ in range(400):
        if len(quotes(chat)) > asked:
            return
        chat.page.wait_for_timeout(50)
    pytest.fail("New Chat asked for no quote")
