"""The model that a chat is with: green inside, asked about elsewhere, judged anew on a change."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect

from doubles import pccs
from doubles.spellings import new_canary
from doubles.wire import Wire, recorded
from e2e.gates import QUOTE, SECONDS, Tab, count, heard, in_the_clear, profile
from e2e.stack import Backend, Installation, wait_until
from emulator import Emulator

# An older version's answer goes by the socket that was there when it was begun, which ends then.
pytestmark = pytest.mark.way("plugin")

ELSEWHERE = "models.elsewhere.example:443"


@pytest.fixture(scope="module")
def server(
    start_backend: Callable[..., Backend],
    kernel: Emulator,
    collateral_service: pccs.State,
    own_root_installation: Installation,
) -> Backend:
    """Hardware that the page takes for Intel's, with connections that these tests change."""
    env = {
        "TEE_DEFAULT_PROVIDER": "dcap",
        "TEE_PCCS_URL": collateral_service.url,
    }
    wrapper = tuple(kernel.inside([]))
    return start_backend("chosen", env, wrapper, of=own_root_installation, states=True)


@pytest.fixture
def wire(server: Backend) -> Iterator[Wire]:
    """A recording proxy before it."""
    with recorded(server.url) as wire:
        yield wire


@pytest.fixture
def tab(browser: Browser, server: Backend, wire: Wire) -> Iterator[Tab]:
    """A page of the app, green."""
    context = profile(browser, wire, server.token)
    tab = Tab(context, wire).go().expect_app()
    tab.expect_state("green")
    yield tab
    context.close()


def connect(server: Backend, *more: str) -> None:
    """Have the administrator set the connections: the model's own, and more."""
    urls = [f"{server.spec.model_url}/v1", *more]
    form = {
        "ENABLE_OPENAI_API": True,
        "OPENAI_API_BASE_URLS": urls,
        "OPENAI_API_KEYS": ["a-key"] * len(urls),
        "OPENAI_API_CONFIGS": {},
    }
    assert server.call("POST", "/openai/config/update", json=form).status_code == 200
    assert server.call("GET", "/api/models").status_code == 200


@pytest.fixture
def elsewhere(server: Backend) -> Iterator[Callable[[], None]]:
    """Add a connection to a server outside, which may list any model as its own at any moment."""
    yield lambda: connect(server, f"https://{ELSEWHERE.removesuffix(':443')}/v1")
    connect(server)


def test_a_model_inside_leaves_the_badge_green(tab: Tab) -> None:
    tab.chat("Is this between us?")
    tab.expect_state("green")
    expect(tab.open_panel()).to_contain_text("The model in use runs inside")


@pytest.mark.parametrize("answer", ["confirm", "decline"])
def test_a_connection_that_is_added_is_asked_about_before_the_next_word(
    tab: Tab, server: Backend, wire: Wire, elsewhere: Callable[[], None], answer: str
) -> None:
    tab.chat("Before it was added.")
    quotes, words = count(wire, f"GET {QUOTE}"), new_canary("prompt")
    elsewhere()
    tab.send(f"Say {words}.")
    tab.expect_question("What runs on this server is not what it was")
    tab.confirm()
    question = tab.page.get_by_test_id("tee-model-question")
    expect(question).to_be_visible(timeout=SECONDS)
    expect(question).to_contain_text(ELSEWHERE)
    assert count(wire, f"GET {QUOTE}") > quotes  # judged anew, by itself
    assert not heard(server.spec.model_url, words)
    tab.page.get_by_test_id(f"tee-model-{answer}").click()
    expect(question).to_have_count(0)  # what is declined is refused by then
    if answer == "confirm":
        wait_until(lambda: heard(server.spec.model_url, words), "the words", seconds=60)
        # With its next socket a newer version loads the chat anew, before the answer or after it.
        tab.page.reload()
        tab.expect_reply(words, seconds=SECONDS / 1000)
    assert heard(server.spec.model_url, words) == (answer == "confirm")
    tab.expect_state("amber")
    expect(tab.open_panel()).to_contain_text(ELSEWHERE)
    assert in_the_clear(wire) == []
    assert wire.find(words) == []
