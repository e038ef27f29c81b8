"""Attestation services that misbehave: red each time, with the check named, and nothing rendered.

One page stays open for each protocol; the service behind it changes its ways, and the page is
asked to check again. In its good mode the same service gives green, so red is never for free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect

from doubles import hostile
from doubles.hostile import GOOD, TRUSTEE, Forger
from e2e.browser import ChatPage, signed_in_context, tee_settings
from e2e.stack import Backend

pytestmark = pytest.mark.once("source")

OpenChat = Callable[..., ChatPage]

SIGNATURE, CLAIMS, APPRAISAL = "token-signature", "token-claims", "appraisal"
# Each mode, and the checks of which one must be named.
FAILS = {
    **dict.fromkeys(hostile.ANSWERS, (SIGNATURE,)),
    **dict.fromkeys(hostile.KEY_ANSWERS, (SIGNATURE,)),
    **dict.fromkeys(hostile.DISCOVERY_ANSWERS, (SIGNATURE,)),
    **dict.fromkeys(hostile.QUOTE_LIES, (CLAIMS,)),
    **dict.fromkeys(hostile.TOKEN_LIES, (SIGNATURE,)),
    "repeated-claim": (SIGNATURE, CLAIMS),
    "expired": (CLAIMS,),
    "html": (CLAIMS,),
    "not-yet-valid": (CLAIMS,),
    "no-expiry": (CLAIMS,),
    "wrong-tee": (CLAIMS,),
    "wrong-issuer": (CLAIMS,),
    "html-verdict": (CLAIMS, APPRAISAL),
    "contraindicated": (APPRAISAL,),
    "no-verdict": (APPRAISAL,),
}
SLOW = {hostile.HANG, hostile.KEYS_HANG, "trickle"}  # see the test with a clock below
HARMLESS = {GOOD}
# Trustee's keys are not discovered, so these lies are none there.
NOT_A_LIE = {(TRUSTEE, mode) for mode in hostile.DISCOVERY_ANSWERS}


@pytest.fixture(scope="module")
def page(hardware: Backend, browser: Browser, forger: Forger) -> Iterator[ChatPage]:
    """A page that asks this service, and got green from it once."""
    forger.mode = GOOD
    settings = tee_settings(forger.form, **{forger.form: forger.issuer})
    view = {"width": 1280, "height": 1200}
    context = signed_in_context(browser, hardware.url, hardware.token, settings, viewport=view)
    chat = ChatPage(context.new_page(), hardware.url).open()
    chat.expect_state("green")
    yield chat
    context.close()


def assert_nothing_rendered(chat: ChatPage) -> None:
    assert chat.page.evaluate("window.__pwned") is None
    assert chat.dialogs == []
    badge = chat.page.locator("cczoo-trust-badge")
    # But for what the panel itself leads to.
    foreign = "img, script, iframe, object, embed, a[href]:not([data-testid=tee-page]), [onerror]"
    expect(badge.locator(foreign)).to_have_count(0)


def says_nothing(mode: str) -> bool:
    """Whether this says nothing about the machine, so that an older result holds meanwhile."""
    others = {"endless", "garbage", "page", "redirect", "reject-html"}
    return mode in others or mode.startswith(("keys-", "discovery-"))


def test_every_mode_of_the_double_is_tested() -> None:
    assert set(hostile.MODES) == set(FAILS) | SLOW | HARMLESS


@pytest.mark.parametrize("mode", sorted(set(FAILS) - SLOW))
def test_a_hostile_service_gives_red_and_the_reason_names_the_check(
    page: ChatPage, forger: Forger, mode: str
) -> None:
    if (forger.form, mode) in NOT_A_LIE:
        forger.mode = mode
        assert page.recheck() == "green"
        return
    forger.mode = mode
    arrived = len(forger.seen)
    if says_nothing(mode):
        page.reload()
        page.open_panel()
        assert page.settle() == "red"
    else:
        assert page.recheck() == "red"
    assert set(page.results()) == {"red"}
    assert len(forger.seen) > arrived

    outcomes = page.checks()
    failed = page.panel.get_by_test_id("tee-reason").get_attribute("data-check")
    assert failed in FAILS[mode]
    assert outcomes[failed] == "fail"
    row = page.panel.locator(f"[data-testid=tee-check][data-check={failed}]").inner_text()
    name = page.reason().split(":")[0]
    assert name
    assert name in row
    assert_nothing_rendered(page)
    if mode in ("redirect", "discovery-redirect"):
        assert not any("elsewhere" in request for request in forger.seen[arrived:])
    if mode in ("key-by-address", "discovery-other-origin"):
        assert "GET /other-keys.json" not in forger.seen[arrived:]

    forger.mode = GOOD
    assert page.recheck() == "green"


@pytest.mark.parametrize("forger", [TRUSTEE], indirect=True)
@pytest.mark.parametrize("mode", sorted(SLOW))
def test_a_service_that_does_not_end_gives_red_in_bounded_time(
    hardware: Backend, forger: Forger, open_chat: OpenChat, mode: str
) -> None:
    forger.mode = GOOD
    chat = open_chat(
        hardware,
        tee_settings(forger.form, **{forger.form: forger.issuer}),
        prepare=lambda context: context.clock.install(),
    )
    chat.expect_state("green")
    # What was found before lets the app in, and the badge with it, while this is waited for.
    forger.mode = mode
    arrived = len(forger.seen)
    chat.reload()
    for _ in range(100):
        if len(forger.seen) >= arrived + 2:  # the token and the keys
            break
        chat.page.clock.run_for(100)
        chat.page.wait_for_timeout(50)
    assert chat.state() == "pending"
    chat.page.clock.fast_forward(60_000)
    chat.expect_state("red")
    assert chat.checks()[SIGNATURE] == "fail"
    assert set(chat.results()) == {"red"}
