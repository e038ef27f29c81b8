"""The badge in a real browser, on a real open-webui: green only for what was verified."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Request, Route, expect

from e2e.browser import CHECKS, ChatPage, signed_in_context, tee_settings
from e2e.evidence import decode, field_of, quote_of, report_data_of, verify_nonce
from e2e.stack import Backend, ask
from e2e.trustees import OTHER_HOST
from e2e.walks import Passage

pytestmark = pytest.mark.once("source")

OpenChat = Callable[..., ChatPage]

REQUIRED = {
    "secure-context",
    "evidence-format",
    "nonce-binding",
    "key-binding",
    "token-signature",
    "token-claims",
    "td-attributes",
    "appraisal",
    "settings",
    "not-simulated",
}
SHOWN = {"mr_seam", "seam_attributes", "td_attributes", "xfam", "mr_td"} | {
    f"rtmr_{number}" for number in range(4)
}
QUOTE_PATH = "/api/v1/tee/quote"


def nonce_of(request: Request) -> str:
    match = re.search(r"[?&]nonce=([A-Za-z0-9_-]+)$", request.url)
    assert match is not None, request.url
    return match.group(1)


def quotes(chat: ChatPage) -> list[Request]:
    return chat.requests_to(QUOTE_PATH)


def attestations(chat: ChatPage) -> list[Request]:
    return [r for r in chat.requests_to("/attestation") if r.method == "POST"]


class Served:
    """Keeps the evidence that the server sends, on its way to the page, unchanged."""

    def __init__(self) -> None:
        self.documents: list[dict[str, Any]] = []

    def __call__(self, context: BrowserContext) -> None:
        context.route(f"**{QUOTE_PATH}*", self._pass_on)

    def _pass_on(self, route: Route) -> None:
        response = route.fetch()
        self.documents.append(response.json())
        route.fulfill(response=response)


# a. A TD that looks like hardware


@pytest.mark.smoke
def test_green_shows_the_measurements_of_the_quote_that_this_page_asked_for(
    hardware: Backend, service: str, open_chat: OpenChat
) -> None:
    served = Served()
    chat = open_chat(hardware, tee_settings("trustee", trustee=service), prepare=served)
    chat.expect_state("green")
    # The app waits for the verdict, so that the badge may be there after it.
    assert set(chat.states()) <= {"pending", "green"}

    (asked,) = quotes(chat)
    (document,) = served.documents
    nonce = nonce_of(asked)
    assert len(decode(nonce)) >= 32
    verify_nonce(document, nonce)

    (sent,) = attestations(chat)
    body = sent.post_data_json
    request = body["verification_requests"][0] if "verification_requests" in body else body
    evidence = json.loads(decode(request["evidence"]))
    quote = quote_of(document)
    assert base64.b64decode(evidence["quote"]) == quote
    assert decode(request["runtime_data"]["raw"]) == report_data_of(document)

    fields = chat.fields()
    assert {name: fields[name] for name in SHOWN} == {
        name: field_of(document, name).hex() for name in SHOWN
    }
    assert len({fields[name] for name in ("mr_td", "rtmr_0", "rtmr_1", "mr_seam")}) == 4
    assert fields["tee"] == "tdx"
    assert re.search(r"\d{10}", fields["iat"])
    assert re.search(r"\d{10}", fields["exp"])

    outcomes = chat.checks()
    assert outcomes.keys() == set(CHECKS)
    assert {check for check, outcome in outcomes.items() if outcome == "pass"} >= REQUIRED
    assert set(outcomes.values()) <= {"pass", "skipped"}
    expect(chat.page.get_by_test_id("tee-reason")).to_have_count(0)
    assert chat.errors == []


def test_each_page_draws_its_own_nonce(
    hardware: Backend, service: str, open_chat: OpenChat
) -> None:
    nonces = set()
    for _ in range(2):
        chat = open_chat(hardware, tee_settings("trustee", trustee=service))
        chat.expect_state("green")
        nonces |= {nonce_of(r) for r in quotes(chat)}
    chat.reload().expect_state("green")
    assert chat.recheck() == "green"
    nonces |= {nonce_of(r) for r in quotes(chat)}
    assert len(nonces) == 4


def expect_more(
    chat: ChatPage, which: Callable[[ChatPage], list[Request]], count: int, seconds: int = 20
) -> None:
    """Wait until the page has sent at least ``count`` of these requests."""
    for _ in range(seconds * 20):
        if len(which(chat)) >= count:
            return
        chat.page.wait_for_timeout(50)
    pytest.fail(f"{len(which(chat))} requests, expected {count}")


def test_green_with_the_default_provider(
    hardware: Backend, alibaba: str, open_chat: OpenChat
) -> None:
    served = Served()
    chat = open_chat(hardware, tee_settings("alibaba", alibaba=alibaba), prepare=served)
    chat.expect_state("green")
    (sent,) = attestations(chat)
    assert sent.url == f"{alibaba}/v1/attestation"
    assert sent.post_data_json["tee"] == "tdx"
    assert set(chat.checks().values()) <= {"pass", "skipped"}
    (document,) = served.documents
    fields = chat.fields()
    assert fields["mr_td"] == field_of(document, "mr_td").hex()
    assert fields["jti"]


@pytest.mark.smoke
def test_an_existing_chat_shows_the_badge_and_attests_again(
    hardware: Backend, passage: Passage, service: str, open_chat: OpenChat
) -> None:
    words = passage.plant("words")
    chat = open_chat(hardware, tee_settings("trustee", trustee=service), past=passage)
    chat.expect_state("green")
    chat.send(f"Remember {words}.")
    chat.expect_reply(words)
    chat.expect_state("green")
    # The chat only got its name with the first message: that is no reason to ask again.
    assert len(quotes(chat)) == 1
    assert "/c/" in chat.page.url

    chat.reload()
    expect(chat.replies.last).to_contain_text(words)
    chat.expect_state("green")
    assert len(quotes(chat)) == 2

    chat.new_chat()
    expect_more(chat, quotes, 3)
    chat.expect_state("green")


def test_the_service_that_only_this_server_named_never_gives_green(
    hardware: Backend, service: str, open_chat: OpenChat
) -> None:
    chat = open_chat(hardware)
    chat.expect_state("amber")
    assert attestations(chat)[0].url.startswith(service)
    outcomes = chat.checks()
    assert outcomes["token-signature"] == "warn"
    assert {check for check, outcome in outcomes.items() if outcome == "warn"} == {
        "token-signature"
    }
    assert "Settings" in chat.reason()
    assert "green" not in chat.states()
    assert chat.recheck() == "amber"
    assert "green" not in chat.states()

    chat.page.keyboard.press("Escape")
    chat.open_settings().get_by_test_id("tee-address").fill(service)
    chat.close_settings()
    chat.expect_state("green")


@pytest.mark.smoke
def test_another_chat_right_after_the_first_message_attests_again(
    hardware: Backend, passage: Passage, service: str, open_chat: OpenChat
) -> None:
    """In 0.5.20 this button leaves the page's address as it is, the old chat's."""
    first, second = passage.plant("first"), passage.plant("second")
    chat = open_chat(hardware, tee_settings("trustee", trustee=service), past=passage)
    chat.expect_state("green")
    chat.send(f"Say {first}.")
    chat.expect_reply(first)
    chat.new_chat()
    expect_more(chat, quotes, 2)
    chat.expect_state("green")
    chat.send(f"Say {second}.")
    chat.expect_reply(second)
    chat.expect_state("green")
    assert len(quotes(chat)) == 2


# A result ends


def test_green_is_renewed_before_it_ends_and_leaves_when_it_can_not_be(
    hardware: Backend, service: str, open_chat: OpenChat
) -> None:
    chat = open_chat(
        hardware,
        tee_settings("trustee", trustee=service),
        prepare=lambda context: context.clock.install(),
    )
    chat.expect_state("green")
    exp = int(re.search(r"\d{10}", chat.fields()["exp"])[0])  # type: ignore[index]
    life = exp - chat.page.evaluate("Date.now() / 1000")
    assert 0 < life <= 3600

    chat.page.clock.fast_forward(int(life * 0.8) * 1000)
    expect_more(chat, quotes, 2)
    chat.page.clock.run_for(1000)
    chat.expect_state("green")
    assert "red" not in chat.states()

    chat.page.context.route(f"**{QUOTE_PATH}*", lambda route: route.abort())
    chat.page.clock.fast_forward(2 * 3600 * 1000)
    chat.page.clock.run_for(1000)
    chat.expect_state("red")


# b. Simulator


def test_going_offline_leaves_green_and_coming_back_attests_again(
    hardware: Backend, service: str, open_chat: OpenChat
) -> None:
    chat = open_chat(hardware, tee_settings("trustee", trustee=service))
    chat.expect_state("green")
    chat.page.context.set_offline(True)
    chat.expect_state("red")
    assert "offline" in chat.reason()
    chat.page.context.set_offline(False)
    chat.expect_state("green")


def test_a_simulated_td_is_amber_and_never_green(
    simulated: Backend, simulator_service: str, open_chat: OpenChat
) -> None:
    chat = open_chat(simulated, tee_settings("trustee", trustee=simulator_service))
    chat.expect_state("amber")
    outcomes = chat.checks()
    assert outcomes.keys() == set(CHECKS)
    assert {c: o for c, o in outcomes.items() if o not in ("pass", "skipped")} == {
        "key-binding": "warn",
        "not-simulated": "warn",
    }
    expect(chat.panel).to_contain_text("Simulated TD")
    expect(chat.badge).to_have_attribute("aria-label", re.compile("Simulated TD"))
    # The app may come after the verdict, and the badge with it.
    assert set(chat.states()) <= {"pending", "amber"}
    for _ in range(2):
        assert chat.recheck() == "amber"
        assert chat.states() == ["pending", "amber"]
    chat.reload().expect_state("amber")
    assert set(chat.states()) <= {"pending", "amber"}


def test_simulated_evidence_does_not_become_green_by_a_servers_lie(
    simulated: Backend, simulator_service: str, open_chat: OpenChat
) -> None:
    """The server hides that it simulates; the token and the quote's own certificates tell."""

    def lie(route: Route) -> None:
        response = route.fetch()
        document = response.json() | {"simulated": False, "provider": "tdx_guest"}
        route.fulfill(response=response, json=document)

    chat = open_chat(
        simulated,
        tee_settings("trustee", trustee=simulator_service),
        prepare=lambda context: context.route(f"**{QUOTE_PATH}*", lie),
    )
    chat.expect_state("amber")
    assert chat.checks()["not-simulated"] == "warn"
    assert "green" not in chat.states()


def test_a_service_that_does_not_know_the_simulator_refuses_it(
    simulated: Backend, service: str, open_chat: OpenChat
) -> None:
    chat = open_chat(simulated, tee_settings("trustee", trustee=service))
    chat.expect_state("red")
    assert chat.checks()["token-signature"] == "fail"
    assert "green" not in chat.states()


def test_a_service_without_cors_is_reached_by_the_relay(
    simulated: Backend, closed_service: str, open_chat: OpenChat
) -> None:
    """The relay carries the evidence; the keys are never taken from it."""
    keys = ask("GET", f"{closed_service}/.well-known/jwks.json").text
    settings = tee_settings("trustee", trustee=closed_service, trustee_keys=keys)
    chat = open_chat(simulated, settings)
    chat.expect_state("amber")
    warnings = {c for c, o in chat.checks().items() if o == "warn"}
    assert warnings == {"key-binding", "not-simulated"}
    # Where nothing is sealed, the relay is for users: asked without a token first, it refuses.
    first, second = chat.requests_to("/api/v1/tee/relay/trustee")
    assert "authorization" not in first.all_headers()
    assert second.all_headers()["authorization"] == f"Bearer {simulated.token}"

    chat = open_chat(simulated, tee_settings("trustee", trustee=closed_service))
    chat.expect_state("red")
    assert chat.checks()["token-signature"] == "fail"
    assert "pin them" in chat.reason()
    assert chat.requests_to("/api/v1/tee/relay/trustee", "/attestation") == []


# c. No TDX


def test_without_tdx_the_badge_is_red_and_the_chat_works(
    bare: Backend, service: str, open_chat: OpenChat
) -> None:
    chat = open_chat(bare, tee_settings("trustee", trustee=service))
    chat.expect_state("red")
    assert "This server does not run in an Intel TDX trust domain" in chat.reason()
    assert chat.checks()["evidence-format"] == "fail"
    assert attestations(chat) == []
    chat.page.keyboard.press("Escape")
    chat.send("Still there?")
    chat.expect_reply("Still there?")
    chat.expect_state("red")
    assert set(chat.states()) <= {"pending", "red"}


# d. What a person, or a little time, can cure


def test_a_server_that_is_asked_too_often_is_asked_again_by_itself(
    hardware: Backend, service: str, open_chat: OpenChat
) -> None:
    refusals = [1]

    def refuse(route: Route) -> None:
        if not refusals:
            route.continue_()
            return
        detail = {"status": False, "code": "too-many-requests", "detail": "Ask again later."}
        route.fulfill(status=429, headers={"Retry-After": "1"}, json=detail)

    chat = open_chat(hardware, tee_settings("trustee", trustee=service))
    chat.expect_state("green")
    chat.page.context.route(f"**{QUOTE_PATH}*", refuse)
    chat.open_panel().get_by_test_id("tee-recheck").click()
    renewal = chat.panel.get_by_test_id("tee-renewal")
    expect(renewal).to_contain_text("asked too often")
    expect(renewal).to_contain_text("holds until")
    refusals.clear()
    expect(renewal).to_have_count(0)
    chat.expect_state("green")
    assert "red" not in chat.states()


def test_a_page_that_came_without_https_says_that_nothing_can_be_checked(
    browser: Browser, bare: Backend
) -> None:
    """Of another host than this one: browsers trust their own."""
    url = bare.url.replace("127.0.0.1", OTHER_HOST)
    context = signed_in_context(browser, url, bare.token, None)
    chat = ChatPage(context.new_page(), url).open()
    assert not chat.page.evaluate("isSecureContext")
    chat.expect_state("red")
    assert chat.faults() == {"secure-context": "insecure"}
    assert "Without HTTPS" in chat.reason()
    expect(chat.panel).to_contain_text("begins with https://")
    expect(chat.panel).to_contain_text("python -m cczoo_backend --https")
    assert chat.requests_to(QUOTE_PATH) == []
    context.close()


# e. Settings


def questions(chat: ChatPage, service: str) -> list[Request]:
    """Return what was asked of server or service about trust.

    Sealing asks for keys only, and how strict the server wants pages to be is asked for always.
    """
    return chat.requests_to(QUOTE_PATH, "/api/v1/tee/relay", "/attestation", "jwks", service)


def test_switched_off_nothing_is_asked(
    hardware: Backend, passage: Passage, service: str, open_chat: OpenChat
) -> None:
    words = passage.plant("words")
    settings = tee_settings("trustee", enabled=False, trustee=service)
    chat = open_chat(hardware, settings, past=passage)
    chat.expect_state("off")
    chat.send(f"Say {words}.")
    chat.expect_reply(words)
    chat.reload().expect_state("off")
    chat.open_panel()
    assert chat.states() == ["off"]
    assert questions(chat, service) == []

    chat.page.keyboard.press("Escape")
    switch = chat.open_settings().get_by_test_id("tee-enabled")
    expect(switch).to_have_attribute("aria-checked", "false")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
    chat.close_settings()
    chat.expect_state("green")

    asked = len(questions(chat, service))
    chat.open_settings().get_by_test_id("tee-enabled").click()
    chat.expect_state("off")
    chat.close_settings()
    chat.reload().expect_state("off")
    assert len(questions(chat, service)) == asked


def test_both_addresses_survive_going_back_and_forth(
    hardware: Backend, service: str, alibaba: str, open_chat: OpenChat
) -> None:
    chat = open_chat(hardware, tee_settings("alibaba", alibaba=alibaba))
    chat.expect_state("green")
    block = chat.open_settings()
    provider, address = block.get_by_test_id("tee-provider"), block.get_by_test_id("tee-address")
    expect(address).to_have_value(alibaba)

    provider.select_option("trustee")
    expect(address).to_have_value("")
    address.fill(service)
    address.press("Tab")
    provider.select_option("alibaba")
    expect(address).to_have_value(alibaba)
    provider.select_option("trustee")
    expect(address).to_have_value(service)
    chat.close_settings()
    chat.expect_state("green")
    assert attestations(chat)[-1].url == f"{service}/attestation"

    chat.reload().expect_state("green")
    assert attestations(chat)[-1].url == f"{service}/attestation"
    assert chat.stored_settings()["addresses"] == {
        "alibaba": alibaba,
        "trustee": service,
        "dcap": "",
    }
    block = chat.open_settings()
    expect(provider).to_have_value("trustee")
    expect(address).to_have_value(service)
    provider.select_option("alibaba")
    expect(address).to_have_value(alibaba)
    chat.close_settings()
    chat.expect_state("green")
    assert attestations(chat)[-1].url == f"{alibaba}/v1/attestation"


@pytest.mark.parametrize("address", ["ftp://as.example", "http://as.example", "not an address"])
def test_a_bad_address_is_refused_and_nothing_is_lost(
    bare: Backend, service: str, open_chat: OpenChat, address: str
) -> None:
    chat = open_chat(bare, tee_settings("trustee", trustee=service))
    block = chat.open_settings()
    block.get_by_test_id("tee-address").fill(address)
    block.get_by_test_id("tee-address").press("Tab")
    expect(chat.page.get_by_test_id("tee-settings-error")).to_contain_text("https://")
    assert chat.stored_settings()["addresses"]["trustee"] == service


def test_pinned_keys_decide(hardware: Backend, service: str, open_chat: OpenChat) -> None:
    keys = ask("GET", f"{service}/.well-known/jwks.json").text
    chat = open_chat(hardware, tee_settings("trustee", trustee=service, trustee_keys=keys))
    chat.expect_state("green")
    assert chat.requests_to("jwks") == []

    other = json.loads(keys)
    x = bytearray(decode(other["keys"][0]["x"]))
    x[0] ^= 1
    other["keys"][0]["x"] = base64.urlsafe_b64encode(x).rstrip(b"=").decode()
    settings = tee_settings("trustee", trustee=service, trustee_keys=json.dumps(other))
    chat = open_chat(hardware, settings)
    chat.expect_state("red")
    assert chat.checks()["token-signature"] == "fail"


# A server that lies


def test_another_nonces_evidence_is_refused_before_any_service_is_asked(
    hardware: Backend, service: str, open_chat: OpenChat
) -> None:
    """A proxy replays evidence that answers somebody else's nonce."""
    stale = hardware.quote().json() | {"fresh": True}

    def replay(context: BrowserContext) -> None:
        context.route(f"**{QUOTE_PATH}*", lambda route: route.fulfill(json=stale))

    chat = open_chat(hardware, tee_settings("trustee", trustee=service), prepare=replay)
    chat.expect_state("red")
    assert chat.checks()["nonce-binding"] == "fail"
    assert attestations(chat) == []
