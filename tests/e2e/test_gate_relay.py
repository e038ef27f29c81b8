"""A machine without TDX that passes a genuine TD's evidence off as its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier.__main__ import main
from playwright.sync_api import Browser

from doubles.spellings import new_canary
from doubles.wire import Wire, recorded
from e2e.gates import QUOTE, SECONDS, TEE, Tab, edited, in_the_clear, profile
from e2e.stack import Backend, Installation, ask

# The page is the same in both ways in: one of them is enough.
pytestmark = pytest.mark.way("source")

VERIFIED_SIMULATED = 3
"""Of `cczoo-verify`, where all passed but that the root is not Intel's."""
# What a relay that wants to read along keeps for itself: what is sealed.
OWN = (TEE + "ohttp", TEE + "ws/")


@dataclass
class Relay:
    """The wrong machine, what it hears, and the proxy before both machines."""

    wrong: Backend
    heard: Wire
    proxy: Wire


@pytest.fixture(scope="module")
def wrong(start_backend: Callable[..., Backend], own_root_installation: Installation) -> Backend:
    """The same open-webui on a machine without TDX."""
    return start_backend("no-tdx", {"TEE_DEFAULT_PROVIDER": "dcap"}, of=own_root_installation)


@pytest.fixture
def relay(own_root: Backend, wrong: Backend) -> Iterator[Relay]:
    """A proxy that has the wrong machine answer all but what is about attestation."""
    with recorded(wrong.url) as heard, recorded(heard.url) as proxy:
        proxy.servers = {TEE: own_root.url}
        yield Relay(wrong, heard, proxy)


@pytest.fixture
def tab(browser: Browser, own_root: Backend, relay: Relay) -> Iterator[Tab]:
    """Somebody who has an account with the genuine one."""
    context = profile(browser, relay.proxy, own_root.token)
    yield Tab(context, relay.proxy)
    context.close()


def audited(url: str, pki: Path) -> int:
    """The exit code of `cczoo-verify` for whoever trusts the TEST root."""
    return main([url, "--root", f"{pki}/root.pem", "--collateral", f"{pki}/collateral.json"])


def keys_of(server: Backend) -> Mapping[str, Any]:
    """The keyset that a server says it has."""
    answer = server.call("GET", TEE + "keys", token=None)
    return {"keyset": answer.json()["keyset"]}


@pytest.mark.parametrize("keys", ["of the genuine machine", "of its own"])
def test_the_wrong_machine_gets_nothing_and_is_found_out(
    relay: Relay, own_root: Backend, test_pki: Path, tab: Tab, keys: str
) -> None:
    heard, proxy, prompt = relay.heard, relay.proxy, new_canary("prompt")
    proxy.servers = dict.fromkeys(OWN, heard.url) | {TEE: own_root.url}
    if keys == "of its own":
        proxy.changes = {QUOTE: edited(lambda _: keys_of(relay.wrong))}
    tab.go()
    tab.expect_question("Nothing was sent:")
    tab.expect_state("red")
    code = "key-mismatch" if keys == "of its own" else "key-silent"
    assert tab.faults()["key-binding"] == code
    tab.page.evaluate(
        "words => fetch('/api/chat/completions', {method: 'POST', body: words}).catch(() => 0)",
        prompt,
    )
    assert audited(proxy.url, test_pki) == 1
    for wire in (heard, proxy):
        assert in_the_clear(wire) == []
        assert wire.find(prompt) == []
        assert wire.find(own_root.token) == []


def test_where_all_that_is_sealed_goes_to_the_genuine_machine_the_wrong_one_hears_nothing(
    relay: Relay, own_root: Backend, model: str, test_pki: Path, tab: Tab
) -> None:
    prompt, answer = new_canary("prompt"), new_canary("answer")
    tab.go().expect_app()
    tab.expect_state("green")
    ask("POST", f"{model}/control", json={"answer": f"It is {answer}."})
    try:
        tab.send(f"Say {prompt}.")
        tab.expect_reply(answer, seconds=SECONDS / 1000)
    finally:
        ask("POST", f"{model}/control", json={"answer": None})
    assert audited(relay.proxy.url, test_pki) == VERIFIED_SIMULATED
    for wire in (relay.heard, relay.proxy):
        assert in_the_clear(wire) == []
        for words in (prompt, answer, own_root.token):
            assert wire.find(words) == []
    assert relay.heard.messages  # the files of the page came from there
