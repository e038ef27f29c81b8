"""How strict pages are: `block` sends nothing before a good verdict, and nobody takes it back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from doubles import pccs
from doubles.model import MODEL
from doubles.ollama import CLOUD
from doubles.spellings import new_canary
from doubles.wire import DOWN, UP, Wire, recorded
from e2e.browser import SEND, signed_in_context, tee_settings
from e2e.gates import (
    QUOTE,
    SECONDS,
    TEE,
    WRONG,
    Tab,
    assert_nothing_left,
    count,
    edited,
    heard,
    in_the_clear,
)
from e2e.stack import Backend, Installation
from emulator import Emulator

pytestmark = pytest.mark.way("plugin")

CONFIG = TEE + "config"
FAR, FAR_ADDRESS = "far", "models.elsewhere.example:443"
IN_CLOUD = "gpt-oss:20b-cloud"
ELSEWHERE = {FAR: FAR_ADDRESS, IN_CLOUD: CLOUD.removeprefix("https://")}
"""Models that do not run here, and where they do."""


@pytest.fixture(scope="module")
def models(start_model: Callable[..., str]) -> str:
    """The address of an Ollama with one model inside, and one that its cloud answers for."""
    return start_model("blocking-model", [MODEL], "--cloud", IN_CLOUD)


@pytest.fixture(scope="module")
def server(
    start_backend: Callable[..., Backend],
    kernel: Emulator,
    collateral_service: pccs.State,
    own_root_installation: Installation,
    models: str,
) -> Backend:
    """Hardware that the page takes for Intel's, whose administrator has pages send nothing else."""
    env = {
        "TEE_ENFORCEMENT": "block",
        "TEE_DEFAULT_PROVIDER": "dcap",
        "TEE_PCCS_URL": collateral_service.url,
        "ENABLE_OLLAMA_API": "true",
        "OLLAMA_BASE_URL": models,
        "OPENAI_API_BASE_URL": f"{models}/v1",
    }
    wrapper = tuple(kernel.inside([]))
    backend = start_backend("blocking", env, wrapper, of=own_root_installation, states=True)
    connect(backend, models, [FAR])
    return backend


def connect(backend: Backend, models: str, far: list[str]) -> None:
    """Have the administrator set the connections: to the models inside, and to those outside."""
    form = {
        "ENABLE_OPENAI_API": True,
        "OPENAI_API_BASE_URLS": [f"{models}/v1", f"https://{FAR_ADDRESS.partition(':')[0]}/v1"],
        "OPENAI_API_KEYS": ["a-key"] * 2,
        "OPENAI_API_CONFIGS": {"1": {"enable": True, "model_ids": far}},
    }
    assert backend.call("POST", "/openai/config/update", json=form).status_code == 200
    assert backend.call("GET", "/api/models").status_code == 200


@pytest.fixture
def wire(server: Backend) -> Iterator[Wire]:
    """A recording proxy before it."""
    with recorded(server.url) as wire:
        yield wire


Open = Callable[..., BrowserContext]


@pytest.fixture
def profile(browser: Browser, server: Backend, wire: Wire) -> Iterator[Open]:
    """Make profiles of somebody who was never here, with settings or without."""
    made: list[BrowserContext] = []

    def make(**settings: Any) -> BrowserContext:
        stored = tee_settings("dcap", **settings) if settings else None
        made.append(signed_in_context(browser, wire.url, server.token, stored))
        return made[-1]

    yield make
    for context in made:
        context.close()


def asks_for(wire: Wire, enforcement: str) -> None:
    """Have somebody on the way say that the server asks for this."""
    wire.changes = {CONFIG: edited(lambda _: {"enforcement": enforcement})}


def assert_blocked(tab: Tab, wire: Wire, server: Backend, words: str, reason: str) -> None:
    """Assert that nothing leaves, that the page says why, and that nothing can be confirmed."""
    tab.expect_question("Nothing was sent", reason)
    tab.page.wait_for_timeout(2_000)
    assert_nothing_left(wire, server.token)
    assert wire.find(words) == []
    expect(tab.page.get_by_test_id("tee-confirm")).to_have_count(0)


def test_nothing_leaves_before_a_good_verdict(profile: Open, wire: Wire, models: str) -> None:
    tab = Tab(profile(), wire).go().expect_app()
    passed = [(each.way, each.what.split("?")[0]) for each in list(wire.messages)]
    quoted = next(at for at, (way, what) in enumerate(passed) if way == DOWN and QUOTE in what)
    assert (UP, f"POST {TEE}ohttp") not in passed[:quoted]

    words = new_canary("link")
    tab.go(f"/?models={MODEL}&q={words}")  # by now there is a worker, which keeps links inside
    expect(tab.page.get_by_text(words).first).to_be_visible(timeout=SECONDS)
    if not tab.front_end.sends_links:
        tab.page.locator(SEND).click()
    tab.expect_reply(words, seconds=SECONDS / 1000)
    assert heard(models, words)
    assert in_the_clear(wire) == []
    assert wire.find(words) == []


def test_nothing_leaves_after_a_failed_verdict(
    profile: Open, wire: Wire, server: Backend, models: str
) -> None:
    words = new_canary("link")
    tab = Tab(profile(policy=WRONG), wire).go()
    tab.expect_question("Nothing was sent")
    tab.go(f"/?q={words}")
    assert_blocked(tab, wire, server, words, "the check of this server failed")
    assert not heard(models, words)
    # The person gets at the settings, although the app has none to show.
    expect(tab.open_panel().get_by_test_id("tee-open-settings")).to_be_visible()


def test_a_person_may_be_stricter(profile: Open, wire: Wire, server: Backend) -> None:
    asks_for(wire, "off")
    words = new_canary("link")
    tab = Tab(profile(policy=WRONG, enforcement="block"), wire).go()
    tab.expect_question("Nothing was sent")
    tab.go(f"/?q={words}")
    assert_blocked(tab, wire, server, words, "the check of this server failed")


def test_what_is_asked_for_less_does_not_loosen_what_nobody_confirmed(
    profile: Open, wire: Wire
) -> None:
    asks_for(wire, "off")
    tab = Tab(profile(policy=WRONG), wire).go()
    tab.expect_question("was not verified", "Expected measurements:")  # as with `warn`


@pytest.mark.parametrize("chosen", ELSEWHERE)
def test_a_model_elsewhere_hears_nothing_and_nothing_typed_is_lost(
    profile: Open, wire: Wire, models: str, chosen: str
) -> None:
    tab = Tab(profile(), wire).go(f"/?models={chosen}").expect_app()
    tab.expect_state("green")
    words = new_canary("prompt")
    tab.send(f"Say {words}.")
    expect(
        tab.page.get_by_text("Nothing was sent. The model in use runs outside").first
    ).to_be_visible()
    expect(tab.page.get_by_text(ELSEWHERE[chosen]).first).to_be_visible()
    expect(tab.page.get_by_text(f"Say {words}.").first).to_be_visible()
    tab.expect_state("amber")
    assert not heard(models, words)
    assert wire.find(words) == []
    assert in_the_clear(wire) == [f"GET /?models={chosen}"]  # no worker was there yet


def test_what_is_typed_after_the_verdict_has_turned_stays(
    profile: Open, wire: Wire, models: str
) -> None:
    tab = Tab(profile(), wire).go().expect_app()
    tab.expect_state("green")
    wire.changes = {QUOTE: edited(lambda _: {"simulated": True})}
    tab.open_panel().get_by_test_id("tee-recheck").click()
    tab.expect_question("Nothing was sent", "verified with warnings only")
    words = new_canary("prompt")
    tab.input.fill(words)
    tab.page.keyboard.press("Enter")
    # As a message that was not sent, which the app offers to send again.
    expect(tab.last_message).to_contain_text("Nothing was sent: this server was verified with")
    expect(tab.page.get_by_text(words).first).to_be_visible()
    assert not heard(models, words)
    wire.changes = {}
    tab.open_panel().get_by_test_id("tee-recheck").dispatch_event("click")
    tab.expect_state("green")
    expect(tab.question).to_have_count(0)
    expect(tab.page.get_by_text(words).first).to_be_visible()
    assert wire.find(words) == []


def test_what_was_asked_for_holds_until_the_person_says_otherwise(
    profile: Open, wire: Wire, models: str
) -> None:
    context = profile()
    Tab(context, wire).go().expect_app().expect_state("green")
    asks_for(wire, "warn")
    tab = Tab(context, wire).go(f"/?models={IN_CLOUD}").expect_app()
    tab.expect_state("green")
    words = new_canary("prompt")
    tab.send(f"Say {words}.")
    expect(tab.page.get_by_text("Nothing was sent.").first).to_be_visible()
    expect(tab.page.get_by_test_id("tee-model-question")).to_have_count(0)
    panel = tab.open_panel()
    expect(panel.get_by_test_id("tee-stricter")).to_contain_text("send nothing")
    panel.get_by_test_id("tee-relax").click()
    expect(panel.get_by_test_id("tee-stricter")).to_have_count(0)
    tab.page.keyboard.press("Escape")
    tab.new_chat()
    tab.send(f"Again {words}.")
    question = tab.page.get_by_test_id("tee-model-question")
    expect(question).to_contain_text(ELSEWHERE[IN_CLOUD], timeout=SECONDS)
    assert not heard(models, words)
    tab.page.get_by_test_id("tee-model-confirm").click()
    tab.expect_reply(words, seconds=SECONDS / 1000)
    # Asked once.
    tab.send(f"And more {words}.")
    tab.expect_reply("And more", seconds=SECONDS / 1000)
    assert wire.find(words) == []


MARKUP = "<img src=x onerror=window.pwned=1><script>window.pwned=1</script>"
HOSTILE = [MARKUP, "two\nlines", "\u202egnp.live\u202c", "\u200bnothing", "x" * 5_000]
"""Names that would do something, look like something else, or never end."""
FUNCTION = "class Filter:\n    def inlet(self, body: dict) -> dict:\n        return body\n"


def test_hostile_names_are_inert_and_bounded(
    profile: Open, wire: Wire, server: Backend, models: str
) -> None:
    form = {"id": "reader", "name": MARKUP, "content": FUNCTION, "meta": {"description": MARKUP}}
    assert server.call("POST", "/api/v1/functions/create", json=form).status_code == 200
    assert server.call("POST", "/api/v1/functions/id/reader/toggle").status_code == 200
    connect(server, models, [*HOSTILE, *(f"{MARKUP}{number}" for number in range(10_000))])
    try:
        tab = Tab(profile(), wire).go()
        tab.expect_question("Nothing was sent", "verified with warnings only")
        assert in_the_clear(wire) == []
        assert count(wire, "WS ") == count(wire, "OPEN ") == 0
        panel = tab.open_panel()
        notes = panel.get_by_test_id("tee-note")
        expect(panel.locator("[data-code=function-active]")).to_contain_text("reader")
        text = panel.inner_text()
        assert "\u202e" not in text
        assert len(text) < 100_000
        assert notes.count() <= 60
        assert panel.locator("img, script").count() == 0
        assert tab.page.evaluate("window.pwned") is None
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 1280
        assert json.dumps(tab.errors) == "[]"
    finally:
        connect(server, models, [FAR])
        server.call("DELETE", "/api/v1/functions/id/reader/delete")
