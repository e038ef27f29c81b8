"""Keys end, servers restart, machines sleep: the page attests anew, and nothing typed is lost."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from doubles.wire import Wire, recorded
from e2e.browser import SEND
from e2e.conftest import sealed_simulator
from e2e.gates import QUOTE, SECONDS, Tab, count, edited, in_the_clear, profile
from e2e.stack import Backend, StackError, free_port, wait_until

# An older version's answer goes by the socket to the server that it was begun with: no replica's.
pytestmark = pytest.mark.way("plugin")

SIMULATOR = "QUOTE_GENERATOR_SIMULATOR_DIR"
AGE = 300  # seconds that a result lasts
POLICY = json.dumps({"v": 1, "max_age": AGE})
PICTURE = "name => { new Image().src = `/api/v1/files/${name}`; }"
KEPT = """() => new Promise((resolve) => {
    const opening = indexedDB.open('tee-sealed');
    opening.onsuccess = () => {
        const asked = opening.result.transaction('state').objectStore('state').getAll();
        asked.onsuccess = () => {
            opening.result.close();
            resolve(JSON.stringify(asked.result));
        };
    };
})"""
"""What pages and worker keep together, cookies included."""
COOKIE = '"name":"token"'


@pytest.fixture(scope="module")
def server(
    start_backend: Callable[..., Backend], tmp_path_factory: pytest.TempPathFactory
) -> Backend:
    """A simulated TD that these tests restart.

    Not the one of other servers, which extend its registers: a replica would differ in them.
    """
    return start_backend("renewed", sealed_simulator(tmp_path_factory.mktemp("renewed")))


@pytest.fixture
def wire(server: Backend) -> Iterator[Wire]:
    """A recording proxy before it."""
    with recorded(server.url) as wire:
        yield wire


@pytest.fixture
def context(browser: Browser, server: Backend, wire: Wire) -> Iterator[BrowserContext]:
    """A browser profile of somebody who takes a verdict for as long as POLICY says."""
    context = profile(browser, wire, server.token, POLICY)
    yield context
    context.close()


@pytest.fixture
def replica(server: Backend, tmp_path: Path) -> Iterator[Backend]:
    """Another TD of the same platform with the same data, and keys and a log of its own."""
    server.call("GET", f"{QUOTE}?nonce={'A' * 43}")  # from when on there is a platform
    platform, other = Path(server.spec.env[SIMULATOR]), tmp_path / "simulator"
    shutil.copytree(platform, other, ignore=shutil.ignore_patterns("boot"))
    env = {**server.spec.env, SIMULATOR: str(other)}
    spec = dataclasses.replace(server.spec, name="replica", port=free_port(), env=env)
    backend = Backend(spec)
    yield backend
    backend.stop()


def entered(context: BrowserContext, wire: Wire) -> Tab:
    """A page of the app, with its warnings confirmed."""
    tab = Tab(context, wire).go()
    tab.expect_question("verified with warnings")
    return tab.confirm().expect_app()


def type_message(tab: Tab, text: str) -> None:
    tab.input.click()
    tab.page.keyboard.insert_text(text)


def wait_for_socket(wire: Wire, before: int) -> None:
    """Wait until the app has another socket: without one, older versions show no answer."""
    wait_until(lambda: count(wire, "OPEN ") > before, "another socket", seconds=60)
    time.sleep(2)  # until it has said who it is


def wait_until_answered(server: Backend, wire: Wire, tab: Tab, text: str) -> None:
    """Wait until the server has the answer to this."""
    chat = f"/api/v1/chats/{tab.page.url.rpartition('/')[2]}"
    said = json.dumps(f"You said: {text}")
    try:
        wait_until(lambda: said in server.call("GET", chat).text, said, seconds=SECONDS / 1000)
    except StackError as error:
        shown = tab.question.all_inner_texts() or tab.state()
        sent = [each.what for each in list(wire.messages)][-20:]
        told = f"{error}; the page shows {shown}; on the wire were last {sent}"
        raise AssertionError(told) from error


def assert_said_once(tab: Tab, *texts: str) -> None:
    """Assert that each message, and its answer, are there once, also after a reload."""
    tab.page.reload()
    for text in texts:
        expect(tab.page.locator(".chat-user").get_by_text(text)).to_have_count(1, timeout=SECONDS)
        answer = tab.replies.get_by_text(f"You said: {text}")
        expect(answer).to_have_count(1, timeout=SECONDS)


def test_after_a_restart_the_page_goes_on_and_nothing_typed_is_lost(
    server: Backend, wire: Wire, context: BrowserContext
) -> None:
    tab = entered(context, wire)
    tab.chat("Before the restart.")
    type_message(tab, "Typed before, sent after.")
    asked, sockets = count(wire, f"GET {QUOTE}"), count(wire, "OPEN ")
    server.crash_and_restart()
    wait_for_socket(wire, sockets)
    expect(tab.input).to_contain_text("Typed before, sent after.")
    tab.page.locator(SEND).click()
    tab.expect_reply("Typed before, sent after.", seconds=SECONDS / 1000)
    assert count(wire, f"GET {QUOTE}") > asked
    assert in_the_clear(wire) == []
    assert_said_once(tab, "Before the restart.", "Typed before, sent after.")


def test_another_replica_is_attested_and_the_chat_goes_on(
    server: Backend, wire: Wire, replica: Backend, context: BrowserContext
) -> None:
    tab = entered(context, wire)
    tab.chat("To the first.")
    type_message(tab, "Begun with the first.")
    asked = count(wire, f"GET {QUOTE}")
    wire.target = replica.url
    tab.page.locator(SEND).click()
    # By the replica. What it says before the app's own socket is there again reaches no page, with
    # or without the kit: that is shown when the chat is loaded anew.
    wait_until_answered(server, wire, tab, "Begun with the first.")
    assert count(wire, f"GET {QUOTE}") > asked
    assert in_the_clear(wire) == []
    assert_said_once(tab, "To the first.", "Begun with the first.")


def test_after_sleep_requests_wait_for_the_next_verdict(
    wire: Wire, context: BrowserContext
) -> None:
    context.clock.install()
    tab = entered(context, wire)
    tab.chat("Before sleep.")
    asked, sockets = count(wire, f"GET {QUOTE}"), count(wire, "OPEN ")
    type_message(tab, "Typed before sleep.")
    tab.page.clock.fast_forward((AGE + 60) * 1000)
    assert tab.page.evaluate("fetch('/api/version').then((answer) => answer.status)") == 200
    assert count(wire, f"GET {QUOTE}") > asked
    wait_for_socket(wire, sockets)
    tab.page.locator(SEND).click()
    tab.expect_reply("Typed before sleep.", seconds=SECONDS / 1000)
    assert in_the_clear(wire) == []


def test_two_tabs_chat_and_a_key_that_turns_out_wrong_in_one_stops_the_worker_of_both(
    wire: Wire, context: BrowserContext
) -> None:
    one = entered(context, wire)
    one.chat("In one tab.")
    other = Tab(context, wire).go().expect_app()
    other.chat("In the other.")
    before = count(wire, "POST /api/v1/tee/ohttp")
    other.page.evaluate(PICTURE, "first")
    wait_until(lambda: count(wire, "POST /api/v1/tee/ohttp") > before, "a picture", seconds=60)

    wire.changes = {QUOTE: edited(lambda _: {"statement": {"v": 1, "owner": "somebody else"}})}
    one.open_panel().get_by_test_id("tee-recheck").dispatch_event("click")
    one.expect_question("Nothing was sent:")
    one.page.wait_for_timeout(2_000)  # what was under way
    before = count(wire, "POST /api/v1/tee/ohttp")
    one.page.evaluate(PICTURE, "second")
    one.page.wait_for_timeout(3_000)
    assert count(wire, "POST /api/v1/tee/ohttp") == before
    assert in_the_clear(wire) == []


def test_signing_out_in_one_tab_empties_the_jar_for_all(
    wire: Wire, context: BrowserContext
) -> None:
    one = entered(context, wire)
    other = Tab(context, wire).go().expect_app()
    one.page.evaluate(
        "fetch('/api/v1/auths/signin', {method: 'POST', headers: {'content-type':"
        " 'application/json'}, body: JSON.stringify({email: 'ada@example.com', password:"
        " 'only-for-tests'})}).then((answer) => answer.text())"
    )
    assert COOKIE in other.page.evaluate(KEPT)
    one.page.evaluate(
        "fetch('/api/v1/auths/signout', {headers: {authorization: `Bearer ${localStorage.token}`}})"
        ".then((answer) => { localStorage.removeItem('token'); return answer.text(); })"
    )
    for tab in (one, other):
        tab.page.reload()
        # What the account confirmed counts for nobody else, and so not for who signs in next.
        tab.expect_question("verified with warnings")
        tab.confirm()
        expect(tab.page.locator("input[type=password]")).to_be_visible(timeout=SECONDS)
        assert COOKIE not in tab.page.evaluate(KEPT)
    assert in_the_clear(wire) == []
