"""The page for auditors: without an account, and with a link from somebody else.

What it shows of a verdict is the panel's, which other tests are about.
"""

from __future__ import annotations

import dataclasses
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from doubles.wire import UP, recorded
from e2e.browser import ChatPage, confirm_questions
from e2e.conftest import sealed_simulator
from e2e.gates import TEE
from e2e.stack import Backend

pytestmark = pytest.mark.once("plugin")

SIMULATED = "Simulated TD"
REGISTERS = {"mr_td": "mrtd", "rtmr_0": "rtmr0", "rtmr_1": "rtmr1", "rtmr_2": "rtmr2"}
# Of this page's: its own address, the kit's routes, and the icon that a browser asks for by itself.
OWN = re.compile(rf"/tee/?|{TEE}.*|/favicon\.ico")


class Auditor:
    """A tab of somebody without an account, at the page or on the way to it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.sent: list[str] = []
        self.asked: list[str] = []
        self.troubles: list[str] = []
        page.on("request", lambda it: self.sent.append(f"{it.url} {it.post_data_buffer!r}"))
        page.on("request", lambda it: self.asked.append(urlsplit(it.url).path))
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("dialog", lambda dialog: self.troubles.append(dialog.message))
        page.on("console", self._hear)

    def _hear(self, message: Any) -> None:
        if "Content Security Policy" in message.text:
            self.troubles.append(message.text)

    def go(self, after: str = "") -> Auditor:
        """Open the page, with this after its path."""
        self.page.goto(f"{self.url}/tee{after}")
        return self

    def find(self, name: str) -> Locator:
        return self.page.get_by_test_id(f"tee-{name}")

    def expect_checked(self) -> Auditor:
        """Wait until this browser has checked the server."""
        expect(self.find("panel")).to_contain_text(SIMULATED, timeout=60_000)
        return self

    def outcomes(self, name: str, key: str) -> dict[str, str]:
        """The outcome that each row of these has, by what it is about."""
        read = "(rows, key) => rows.map((row) => [row.dataset[key], row.dataset.outcome])"
        return dict(self.find(name).evaluate_all(read, key))

    def stored(self) -> str:
        """All that this browser's storage has of the page."""
        return str(self.page.evaluate("JSON.stringify([localStorage, sessionStorage])"))


@pytest.fixture
def auditor(browser: Browser) -> Iterator[Callable[..., Auditor]]:
    """Let somebody come who was never here before: ``auditor(url)``, with a context's options."""
    with ExitStack() as stack:
        auditors: list[Auditor] = []

        def come(url: str, stored: dict[str, str] | None = None, **options: Any) -> Auditor:
            items = [{"name": name, "value": value} for name, value in (stored or {}).items()]
            state: Any = {"cookies": [], "origins": [{"origin": url, "localStorage": items}]}
            context = browser.new_context(storage_state=state, **{"locale": "en-US", **options})
            stack.callback(context.close)
            auditors.append(Auditor(context.new_page(), url))
            return auditors[-1]

        yield come
        assert [it.troubles for it in auditors if it.troubles] == []


def share_of(auditor: Auditor) -> str:
    """What the link to share has after the page's address."""
    address = auditor.find("share").get_attribute("href") or ""
    assert address.startswith(f"{auditor.url}/tee#")
    return address.removeprefix(f"{auditor.url}/tee")


def test_who_has_no_account_sees_what_this_browser_found(
    sealed: Backend, auditor: Callable[..., Auditor]
) -> None:
    somebody = auditor(sealed.url).go().expect_checked()
    checks = somebody.outcomes("check", "check")
    for name in ("nonce-binding", "key-binding", "quote-signature", "collateral"):
        assert checks[name] == "pass"
    expect(somebody.find("command")).to_have_text(f"cczoo-verify {sealed.url}")
    assert share_of(somebody).startswith("#v=1&provider=dcap&mrtd=")
    page = somebody.page
    assert page.title() == f"Remote attestation of {urlsplit(sealed.url).netloc}"
    main = page.get_by_role("main")
    expect(main.get_by_role("heading", level=1)).to_contain_text("Remote attestation")
    expect(main.get_by_role("heading", name="Link to share")).to_be_visible()
    assert [path for path in somebody.asked if not OWN.fullmatch(path)] == []
    assert somebody.asked.count(f"{TEE}quote") == 1
    with page.expect_request(lambda it: f"{TEE}quote?" in it.url):
        somebody.find("recheck").click()
    somebody.expect_checked()


def test_a_link_is_compared_with_what_the_one_who_opens_it_measures(
    sealed: Backend, auditor: Callable[..., Auditor]
) -> None:
    link = share_of(auditor(sealed.url).go().expect_checked())
    other = auditor(sealed.url).go(link).expect_checked()
    expect(other.find("link")).to_have_attribute("data-outcome", "same")
    assert other.outcomes("expected", "field") == dict.fromkeys(REGISTERS, "same")


def test_a_link_that_differs_is_told_first_and_changes_nothing(
    sealed: Backend, auditor: Callable[..., Auditor]
) -> None:
    link = share_of(auditor(sealed.url).go().expect_checked())
    planted = secrets.token_hex(48)
    measured = re.findall("rtmr1=([0-9a-f]{96})", link)[0]
    wrong = link.replace(measured, planted).replace("provider=dcap", "provider=trustee")
    other = auditor(sealed.url).go(wrong).expect_checked()
    expect(other.find("link")).to_have_attribute("data-outcome", "differs")
    expect(other.find("link").get_by_role("alert")).to_contain_text("This server differs")
    assert other.outcomes("expected", "field") == {
        **dict.fromkeys(REGISTERS, "same"),
        "rtmr_1": "differs",
    }
    row = other.page.locator("[data-testid=tee-expected][data-field=rtmr_1]")
    expect(row).to_contain_text(planted)
    expect(row).to_contain_text(measured)
    above, panel = (other.find(name).bounding_box() for name in ("link", "panel"))
    assert above
    assert panel
    assert above["y"] < panel["y"]
    assert other.outcomes("check", "check")["quote-signature"] == "pass"  # not the link's service
    assert [what for what in other.sent if planted in what] == []
    assert planted not in other.stored()


@pytest.mark.parametrize(
    "fragment",
    [
        "#<img src=x onerror=window.pwned=1>",
        "#v=1&provider=dcap&enabled=false&enforcement=off",
        f"#v=1&provider=javascript:window.pwned=1&mrtd={'0' * 96}",
        f"#{'a' * 100_000}",
    ],
    ids=range(4),
)
def test_what_is_no_link_is_refused_and_does_nothing(
    sealed: Backend, auditor: Callable[..., Auditor], fragment: str
) -> None:
    somebody = auditor(sealed.url).go(fragment).expect_checked()
    expect(somebody.find("link-refused")).to_be_visible()
    expect(somebody.find("link")).to_have_count(0)
    assert somebody.page.evaluate("window.pwned") is None
    for word in ("tee.settings", "pwned", "aaaa"):
        assert word not in somebody.stored()


def test_the_panel_leads_there_past_the_worker(
    sealed: Backend, open_chat: Callable[..., ChatPage]
) -> None:
    chat = open_chat(sealed)
    chat.settle()
    chat.page.wait_for_function("navigator.serviceWorker.controller !== null")
    with chat.page.context.expect_page() as opened:
        chat.open_panel().get_by_test_id("tee-page").click()
    here = Auditor(opened.value, sealed.url)
    for begin in (here.page.wait_for_load_state, here.page.reload):
        begin()
        here.expect_checked()
        assert urlsplit(here.page.url).path == "/tee"
        assert here.page.evaluate("navigator.serviceWorker.controller !== null")
        expect(here.page.locator("#chat-input")).to_have_count(0)


def test_where_evidence_is_for_users_it_leads_to_sign_in(
    bare: Backend, auditor: Callable[..., Auditor]
) -> None:
    somebody = auditor(bare.url).go()
    expect(somebody.find("reason")).to_contain_text("only to who is signed in")
    confirm_questions(somebody.page)  # as anybody who goes on to the app there
    somebody.find("sign-in").click()
    expect(somebody.page.locator("input[type=email]")).to_be_visible(timeout=45_000)


def test_where_requests_must_come_sealed_it_comes_in_the_clear_and_asks_for_nothing_else(
    start_backend: Callable[..., Backend], home: Path, auditor: Callable[..., Auditor]
) -> None:
    backend = start_backend("auditors", sealed_simulator(home))
    backend.stop()
    backend.spec = dataclasses.replace(
        backend.spec, env={**backend.spec.env, "TEE_SEALED": "required"}
    )
    backend.start_again()
    with recorded(backend.url) as wire:
        somebody = auditor(wire.url).go().expect_checked()
        somebody.page.reload()
        somebody.expect_checked()
        asked = [it.what.split(" ")[1] for it in list(wire.messages) if it.way == UP]
        assert [path for path in asked if not OWN.fullmatch(path)] == []
    backend.stop()


@pytest.mark.parametrize(
    ("stored", "options", "expected"),
    [
        ({}, {"locale": "zh-CN", "color_scheme": "dark"}, ("zh-hans", True, "远程证明")),
        (
            {"locale": "en-US", "theme": "light"},
            {"locale": "zh-CN", "color_scheme": "dark"},
            ("en", False, "Remote attestation"),
        ),
    ],
    ids=["the browser's", "the app's"],
)
def test_it_fits_a_small_screen_in_the_readers_language_and_theme(
    sealed: Backend,
    auditor: Callable[..., Auditor],
    stored: dict[str, str],
    options: dict[str, Any],
    expected: tuple[str, bool, str],
) -> None:
    link = "#v=1&provider=dcap" + "".join(f"&{name}={'0' * 96}" for name in REGISTERS.values())
    somebody = auditor(sealed.url, stored, viewport={"width": 320, "height": 568}, **options)
    somebody.go(link)
    language, is_dark, words = expected
    expect(somebody.find("link")).to_have_attribute("data-outcome", "differs")
    expect(somebody.page.get_by_role("heading", level=1)).to_contain_text(words)
    root = somebody.page.locator("html")
    expect(root).to_have_attribute("lang", language)
    assert root.evaluate("root => root.classList.contains('dark')") is is_dark
    assert root.evaluate("root => root.scrollWidth <= root.clientWidth")
