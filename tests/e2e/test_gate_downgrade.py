"""No way back: where a browser talked sealed, nothing goes plain but by the person's own word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from doubles.wire import Wire, recorded
from e2e.gates import (
    QUOTE,
    SECONDS,
    TEE,
    Change,
    Tab,
    count,
    edited,
    in_the_clear,
    missing,
    profile,
    quoted_anew,
    without_loader,
)
from e2e.stack import Backend
from quote_generator.simulator import Simulator

# The page is the same in both ways in: one of them is enough.
pytestmark = pytest.mark.way("source")

GONE = "The sealed connection is gone"
NO_WAY_BACK = "this browser talked to this server by a sealed connection before"


@pytest.fixture
def wire(sealed: Backend) -> Iterator[Wire]:
    """Who stands before a simulated TD, and so far is honest."""
    with recorded(sealed.url) as wire:
        yield wire


@pytest.fixture
def tab(browser: Browser, sealed: Backend, wire: Wire) -> Iterator[Tab]:
    """Somebody who talked sealed to this server."""
    context = profile(browser, wire, sealed.token)
    tab = Tab(context, wire).go()
    tab.expect_question("verified with warnings")
    tab.confirm().expect_app()
    tab.chat("Sealed, so far.")
    assert in_the_clear(wire) == []
    yield tab
    context.close()


def without_keys(home: Path) -> Mapping[str, Change]:
    """Evidence that binds no key, by a server that names none."""
    machine = Simulator.open(home / "simulator")
    return {
        QUOTE: quoted_anew(machine, None),
        TEE + "keys": edited(lambda _: {"keyset": None}),
        TEE + "ohttp": missing,
    }


def without_kit() -> Mapping[str, Change]:
    """An open-webui from which the kit was taken."""
    return {"/": without_loader, TEE: missing}


def works_as_stock(tab: Tab, wire: Wire) -> None:
    """Assert that the app works without the kit, in the clear."""
    tab.expect_app()
    tab.chat("Plain, and I said so.")
    assert any(path.startswith("POST /api/") for path in in_the_clear(wire))


def test_where_the_server_names_no_key_any_more_only_the_person_can_go_on(
    tab: Tab, wire: Wire, home: Path
) -> None:
    wire.changes = without_keys(home)
    tab.page.reload(wait_until="commit")
    tab.expect_question(NO_WAY_BACK)
    expect(tab.page.get_by_test_id("tee-confirm")).to_have_count(0)
    assert in_the_clear(wire) == []

    # A script's word is not the person's.
    tab.page.evaluate("localStorage.clear(); sessionStorage.clear()")
    tab.page.reload(wait_until="commit")
    tab.expect_question(NO_WAY_BACK)
    assert in_the_clear(wire) == []


def test_the_person_forgets_an_origin_that_names_no_key_any_more(
    tab: Tab, wire: Wire, home: Path
) -> None:
    wire.changes = without_keys(home)
    tab.page.reload(wait_until="commit")
    tab.expect_question(NO_WAY_BACK)
    path = urlsplit(tab.page.url).path
    tab.forget()
    tab.expect_question("Key of the sealed connection:")
    # As at any first visit; the app shows an error page of its own where its requests came first.
    assert in_the_clear(wire) in ([f"GET {path}"], ["GET /error"])
    tab.confirm()
    works_as_stock(tab, wire)


def test_where_the_kit_is_gone_only_the_person_can_go_on(tab: Tab, wire: Wire) -> None:
    wire.changes = without_kit()
    for path in ("/", "/auth", "/?q=alabaster"):
        tab.go(path)
        expect(tab.page.get_by_role("heading", name=GONE)).to_be_visible(timeout=SECONDS)
    assert in_the_clear(wire) == []
    assert wire.find("alabaster") == []

    tab.page.evaluate("localStorage.removeItem('tee.sealed'); sessionStorage.clear()")
    tab.go()
    expect(tab.page.get_by_role("heading", name=GONE)).to_be_visible(timeout=SECONDS)
    assert in_the_clear(wire) == []

    tab.page.get_by_role("button", name="Forget").click()
    works_as_stock(tab, wire)
    assert count(wire, "OPEN /ws/socket.io/") > 0


def test_a_page_that_is_open_is_told_when_the_kit_goes(tab: Tab, wire: Wire) -> None:
    wire.changes = without_kit()
    tab.page.evaluate("fetch('/api/v1/chats/?words=alabaster').catch(() => undefined)")
    tab.expect_question(NO_WAY_BACK)
    assert in_the_clear(wire) == []
    assert wire.find("alabaster") == []
