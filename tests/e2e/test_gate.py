"""Before the verdict, and against it, nothing leaves the page: a proxy sees what does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from doubles.chat import a_keyring
from doubles.wire import Wire, recorded
from e2e.gates import (
    QUOTE,
    SECONDS,
    WRONG,
    Change,
    Tab,
    assert_nothing_left,
    count,
    edited,
    in_the_clear,
    profile,
    quoted_anew,
)
from e2e.stack import Backend
from quote_generator.simulator import Simulator

# The page is the same in both ways in: one of them is enough.
pytestmark = pytest.mark.way("source")

NewProfile = Callable[..., BrowserContext]


@pytest.fixture
def wire(sealed: Backend) -> Iterator[Wire]:
    """A recording proxy before a simulated TD."""
    with recorded(sealed.url) as wire:
        yield wire


@pytest.fixture
def new_profile(browser: Browser, sealed: Backend, wire: Wire) -> Iterator[NewProfile]:
    """Make browser profiles of somebody who was never here."""
    made: list[BrowserContext] = []

    def make(policy: str = "") -> BrowserContext:
        made.append(profile(browser, wire, sealed.token, policy))
        return made[-1]

    yield make
    for context in made:
        context.close()


def test_warnings_are_named_and_nothing_leaves_before_they_are_confirmed(
    wire: Wire, sealed: Backend, new_profile: NewProfile
) -> None:
    context = new_profile()
    tab = Tab(context, wire).go()
    tab.expect_question("verified with warnings", "Real hardware:")
    tab.page.wait_for_timeout(3_000)  # whatever does not wait would have gone by now
    assert_nothing_left(wire, sealed.token)

    tab.confirm().expect_app()
    tab.chat("Amber, and I said yes.")
    tab.expect_state("amber")
    assert count(wire, "OPEN /api/v1/tee/ws/") > 0

    other = Tab(context, wire).go().expect_app()
    other.chat("Not asked again.")
    assert in_the_clear(wire) == []
    assert wire.find(sealed.token) == []


def test_a_failure_is_confirmed_in_each_chat_and_tab(
    wire: Wire, sealed: Backend, new_profile: NewProfile
) -> None:
    context = new_profile(WRONG)
    tab = Tab(context, wire).go()
    tab.expect_question("was not verified", "Expected measurements:")
    assert_nothing_left(wire, sealed.token)
    tab.confirm().expect_app()
    tab.chat("Red, and I said yes.")
    tab.expect_state("red")

    tab.page.reload()
    tab.expect_app()
    tab.new_chat()
    tab.page.evaluate("void fetch('/api/v1/chats/')")  # whatever is asked for next
    tab.expect_question("was not verified", "Expected measurements:")
    tab.confirm().expect_app()
    tab.chat("Still red, and I said yes once more.")

    other = Tab(context, wire).go()
    other.expect_question("was not verified", "Expected measurements:")
    other.confirm().expect_app()
    assert in_the_clear(wire) == []


# A key that is not the quote's, or has no holder here


def another_keyset(*, made: float = 0.0) -> dict[str, Any]:
    """A keyset whose keys this server does not have, made so many seconds ago."""
    return dict(a_keyring(now=lambda: time.time() - made).current().document)


# What somebody in between makes of the evidence, and by which code it is found out.
KEYS: dict[str, tuple[str, Callable[[Simulator], Change]]] = {
    "a keyset that is not in the quote": (
        "key-mismatch",
        lambda machine: edited(lambda _: {"keyset": another_keyset()}),
    ),
    "a statement that is not in the quote": (
        "key-mismatch",
        lambda machine: edited(lambda _: {"statement": {"v": 1, "owner": "somebody else"}}),
    ),
    "an expired keyset": (
        "keyset-expired",
        lambda machine: quoted_anew(machine, another_keyset(made=7_200)),
    ),
    "a keyset that lives too long": (
        "keyset-life",
        lambda machine: quoted_anew(machine, another_keyset(made=-3_600)),
    ),
    "keys whose holder does not answer": (
        "key-silent",
        lambda machine: quoted_anew(machine, another_keyset()),
    ),
}
CONTENT = """async (words) => {
    const tries = [
        fetch('/api/chat/completions', { method: 'POST', body: words }),
        new Promise((resolve, reject) => {
            const request = new XMLHttpRequest();
            request.open('POST', '/api/v1/chats/new');
            request.onload = resolve;
            request.onerror = () => reject(new TypeError('refused'));
            request.send(words);
        }),
        new Promise((resolve, reject) => {
            const socket = new WebSocket(`/ws/socket.io/?words=${words}`);
            socket.onopen = resolve;
            socket.onerror = () => reject(new TypeError('refused'));
        })
    ];
    navigator.sendBeacon('/api/v1/chats/new', words);
    new Image().src = `/api/v1/files/${words}`;
    const ends = await Promise.allSettled(tries);
    return ends.map(({ reason }) => reason instanceof TypeError);
}"""
"""Sends words in every way there is; whether each that tells was refused."""


def assert_refused(tab: Tab, wire: Wire, sealed: Backend, code: str) -> None:
    """Assert that nothing goes, that the page says so and why, and that no button goes on."""
    tab.expect_question("Nothing was sent:", "not the one that its hardware vouches for")
    tab.expect_state("red")
    assert tab.faults()["key-binding"] == code
    for way_on in ("tee-confirm", "tee-forget-sealed"):
        expect(tab.question.get_by_test_id(way_on)).to_have_count(0)
    assert tab.page.evaluate(CONTENT, "alabaster") == [True, True, True]
    tab.page.wait_for_timeout(2_000)
    assert wire.find("alabaster") == []
    assert_nothing_left(wire, sealed.token)


def assert_red_in_an_open_page(tab: Tab, attack: Callable[[], None], code: str) -> None:
    """Assert that a page of the app is closed by it, with the code at its badge."""
    tab.page.reload()
    tab.expect_question("verified with warnings")
    tab.confirm().expect_app()
    tab.expect_state("amber")
    panel = tab.open_panel()
    attack()
    panel.get_by_test_id("tee-recheck").dispatch_event("click")
    tab.expect_question("Nothing was sent:")
    tab.expect_state("red", seconds=SECONDS / 1000)
    assert tab.faults()["key-binding"] == code


@pytest.mark.parametrize("name", KEYS)
def test_a_key_that_is_not_the_quotes_gets_nothing(
    wire: Wire, sealed: Backend, new_profile: NewProfile, home: Path, name: str
) -> None:
    code, change = KEYS[name]
    attacked = {QUOTE: change(Simulator.open(home / "simulator"))}
    wire.changes = attacked
    tab = Tab(new_profile(), wire).go()
    assert_refused(tab, wire, sealed, code)

    wire.changes = {}  # and it is found again, where the machine is honest

    def attack() -> None:
        wire.changes = attacked

    assert_red_in_an_open_page(tab, attack, code)


def test_the_quote_of_another_server_gets_nothing_to_this_one(
    wire: Wire, sealed: Backend, hardware: Backend, new_profile: NewProfile
) -> None:
    wire.servers = {QUOTE: hardware.url}
    tab = Tab(new_profile(), wire).go()
    assert_refused(tab, wire, sealed, "key-silent")
