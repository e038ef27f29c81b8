"""TEE_SEALED=required: the server takes nothing plain, and a browser that comes anew gets in."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from doubles.spellings import new_canary
from doubles.wire import Wire, recorded
from e2e.conftest import sealed_simulator
from e2e.environments import Environment
from e2e.gates import SECONDS, Tab, in_the_clear
from e2e.stack import Backend, Installation, StackError

EMAIL, PASSWORD = "ada@example.com", "only-for-tests"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture(scope="module")
def required(start_backend: Callable[..., Backend], home: Path) -> Backend:
    """A server that takes sealed requests only, and has an account from before it did."""
    backend = start_backend("required", sealed_simulator(home))
    backend.stop()
    env = {**backend.spec.env, "TEE_SEALED": "required"}
    backend.spec = dataclasses.replace(backend.spec, env=env)
    backend.start_again()
    return backend


@pytest.fixture
def wire(required: Backend) -> Iterator[Wire]:
    """A recording proxy before that server."""
    with recorded(required.url) as wire:
        yield wire


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/config"), ("POST", "/api/v1/auths/signin"), ("GET", "/cache/files/x")],
)
def test_a_plain_request_is_refused(required: Backend, method: str, path: str) -> None:
    answer = required.call(method, path)
    assert (answer.status_code, answer.json()["code"]) == (403, "sealed-required")


def test_a_plain_socket_is_refused(required: Backend) -> None:
    path = "/ws/socket.io/?EIO=4&transport=websocket"
    assert httpx.get(required.url + path, headers=UPGRADE, trust_env=False).status_code == 403


def test_a_browser_that_was_never_here_gets_in_and_signs_in(wire: Wire, browser: Browser) -> None:
    context = browser.new_context()
    tab = Tab(context, wire).go("/auth")
    tab.expect_question("verified with warnings")
    assert in_the_clear(wire) == ["GET /auth"]
    tab.confirm()
    tab.page.locator("input[type=email]").fill(EMAIL, timeout=SECONDS)
    tab.page.locator("input[type=password]").fill(PASSWORD)
    tab.page.locator("button[type=submit]").click()
    expect(tab.input).to_be_visible(timeout=SECONDS)
    prompt = new_canary("prompt")
    tab.page.keyboard.press("Escape")
    tab.chat(f"Say {prompt}.")
    tab.page.reload()
    expect(tab.replies.last).to_contain_text(prompt, timeout=SECONDS)
    assert in_the_clear(wire) == ["GET /auth"]
    for words in (PASSWORD, EMAIL, prompt, tab.page.evaluate("localStorage.token")):
        # Parts of such words are in the app's own files, and in the kit's.
        found = [what for what in wire.find(words) if not re.search("/_app/|/tee/page/", what)]
        assert found == []
    context.close()


@pytest.mark.way("plugin")
def test_with_a_broken_package_open_webui_does_not_start(
    own_environment: Callable[[str], Environment],
    kit_in: Callable[[Environment], Installation],
    start_backend: Callable[..., Backend],
) -> None:
    environment = own_environment("broken-and-required")
    installation = kit_in(environment)
    routes = environment.packages / "cczoo_backend" / "routes.py"
    routes.write_text("from cczoo_backend import nothing_of_the_kind\n")
    with pytest.raises(StackError, match="requires sealed requests"):
        start_backend("broken", {"TEE_SEALED": "required"}, of=installation)
