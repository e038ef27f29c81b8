"""HTTPS by the kit's own command: a page at an address that no browser trusts by itself.

The person goes on past the browser's warning, as one does who has compared the fingerprint.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cczoo_verifier.__main__ import main
from playwright.sync_api import Browser, expect

from e2e.browser import ChatPage, signed_in_context, tee_settings
from e2e.conftest import sealed_simulator
from e2e.environments import Environment
from e2e.stack import Backend
from e2e.trustees import OTHER_HOST

pytestmark = [pytest.mark.way("plugin"), pytest.mark.once("plugin")]

COMMAND = ("-m", "cczoo_backend", "--https", "--https-name", "chat.example", "serve")


@pytest.fixture(scope="module")
def fingerprint(secured: Backend) -> str:
    """The one that the server's log tells."""
    (found,) = re.findall(r"SHA-256 fingerprint ([0-9A-F:]{95})", secured.log())
    return str(found)


@pytest.fixture(scope="module")
def secured(
    own_environment: Callable[[str], Environment],
    start_backend: Callable[..., Backend],
    home: Path,
) -> Iterator[Backend]:
    """A simulated TD whose open-webui serves HTTPS, in an environment without a hook."""
    installation = own_environment("https").plugin(COMMAND)
    backend = start_backend("https", sealed_simulator(home), of=installation)
    yield backend
    backend.stop()


def address(backend: Backend) -> str:
    """Of another host than this one: browsers trust their own."""
    assert backend.url.startswith("https://")
    return backend.url.replace("127.0.0.1", OTHER_HOST)


def test_the_badge_comes_to_a_verdict_and_one_can_chat(browser: Browser, secured: Backend) -> None:
    url = address(secured)
    settings = tee_settings("dcap")
    context = signed_in_context(browser, url, secured.token, settings, ignore_https_errors=True)
    try:
        chat = ChatPage(context.new_page(), url).open()
        assert chat.page.evaluate("isSecureContext")
        chat.expect_state("amber")  # as verified as a simulated TD can be
        assert set(chat.faults()) == {"not-simulated"}
        chat.send("By a certificate of its own.")
        chat.expect_reply("By a certificate of its own.")
        assert "red" not in chat.states()
    finally:
        context.close()


def test_log_page_and_command_line_tell_the_same_certificate(
    browser: Browser,
    secured: Backend,
    fingerprint: str,
    home: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    context = browser.new_context(ignore_https_errors=True)
    try:
        page = context.new_page()
        page.goto(f"{address(secured)}/tee")
        expect(page.get_by_test_id("tee-certificate")).to_have_text(fingerprint)
    finally:
        context.close()
    trust = ["--simulator", str(home / "simulator")]
    assert main([secured.url, *trust]) == 4
    assert f"--certificate-fingerprint {fingerprint}" in capfd.readouterr().err
    assert main([secured.url, *trust, "--certificate-fingerprint", fingerprint, "--json"]) == 3
    told = json.loads(capfd.readouterr().out)["certificate"]
    assert told == {"sha256": fingerprint, "self_signed": True, "pinned": True}


def test_it_is_the_same_after_a_crash(secured: Backend, fingerprint: str) -> None:
    secured.crash_and_restart()
    assert set(re.findall(r"fingerprint ([0-9A-F:]{95})", secured.log())) == {fingerprint}
    assert secured.log().count("this certificate was made just now") == 1
