"""The administrators' form: in open-webui's own settings, over the kit's file, for nobody else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from doubles import pccs
from e2e.browser import ChatPage, tee_settings
from e2e.stack import Backend
from e2e.test_places import ANCHORS, Somebody, fitting
from emulator.harness import Emulator

pytestmark = pytest.mark.once("plugin")

OpenChat = Callable[..., ChatPage]

SETTINGS = "/api/v1/tee/admin/settings"
GENERAL = "/admin/settings"


@pytest.fixture(scope="module")
def server(
    start_backend: Callable[..., Backend],
    kernel: Emulator,
    collateral_service: pccs.State,
    service: str,
) -> Backend:
    """Hardware whose environment fixes one setting and leaves the others to its administrators."""
    env = {
        "TEE_DEFAULT_PROVIDER": "trustee",
        "TEE_TRUSTEE_URL": service,
        "TEE_PCCS_URL": collateral_service.url,
        "TEE_SETTINGS_FIXED": "TEE_PCCS_URL",
    }
    return start_backend("administered", env, tuple(kernel.inside([])))


@pytest.fixture(autouse=True)
def as_it_was(server: Backend) -> Iterator[None]:
    """Take away what a test stored."""
    yield
    document = server.call("GET", SETTINGS).json()
    stored = {name: None for name, row in document["settings"].items() if row["stored"]}
    headers = {"If-Match": f'"{document["version"]}"'}
    server.call("PUT", SETTINGS, json={"v": 1, "values": stored}, headers=headers)


@pytest.fixture
def chat(server: Backend, service: str, open_chat: OpenChat) -> ChatPage:
    """The chat of an administrator."""
    chat = open_chat(server, tee_settings("trustee", trustee=service))
    chat.expect_state("green")
    return chat


def open_form(page: Page, url: str) -> Locator:
    """Go to the administrators' settings, and return the form."""
    page.goto(url + GENERAL)
    form = page.get_by_test_id("tee-admin")
    expect(form.get_by_test_id("tee-admin-row").first).to_be_visible(timeout=45_000)
    return form


def row(form: Locator, name: str) -> Locator:
    """Return a setting's row."""
    return form.locator(f"[data-testid=tee-admin-row][data-name={name}]")


def field(form: Locator, name: str) -> Locator:
    """Return a setting's field."""
    return row(form, name).locator("input, select, textarea")


def stored(server: Backend, name: str) -> Any:
    """Return the value of a setting by the server's word."""
    return server.call("GET", SETTINGS).json()["settings"][name]["value"]


def save(form: Locator, told: str) -> None:
    """Save, and expect to be told this."""
    form.get_by_test_id("tee-admin-save").click()
    expect(form.get_by_test_id("tee-admin-told")).to_have_attribute("data-kind", told)


def test_it_is_in_open_webuis_settings_and_pages_go_by_it(server: Backend, chat: ChatPage) -> None:
    form = open_form(chat.page, server.url)
    assert fitting(chat.page, "admin") == 0, ANCHORS
    expect(form).to_have_count(1)
    expect(field(form, "enforcement")).to_have_value("warn")
    field(form, "enforcement").select_option("block")
    field(form, "quote_timeout").fill("4")
    expect(row(form, "enforcement")).to_contain_text("Not saved yet.")
    save(form, "saved")
    expect(row(form, "enforcement")).to_contain_text("Set here.")
    assert [stored(server, name) for name in ("enforcement", "quote_timeout")] == ["block", "4"]
    # What bears the administrator's token went sealed, and so did the change.
    assert chat.requests_to(SETTINGS) == []

    chat.open()
    chat.expect_state("green")
    word = chat.page.evaluate("localStorage.getItem('tee.enforcement')")
    assert '"block"' in str(word)

    form = open_form(chat.page, server.url)
    row(form, "enforcement").get_by_test_id("tee-admin-back").click()
    save(form, "saved")
    assert stored(server, "enforcement") == "warn"
    assert chat.errors == []


def test_a_policy_that_it_proposes_counts_once_a_person_takes_it_over(
    server: Backend, chat: ChatPage
) -> None:
    policy = json.dumps({"v": 1, "reference_values": {"mr_td": ["00" * 48]}})
    form = open_form(chat.page, server.url)
    field(form, "policy").fill(policy)
    save(form, "saved")

    chat.open()
    chat.expect_state("green")
    assert "policy" not in chat.stored_settings()
    proposal = chat.open_panel().get_by_test_id("tee-suggestion")
    expect(proposal).to_contain_text("know from elsewhere")
    expect(proposal.get_by_test_id("tee-demands")).to_contain_text("reference_values")
    proposal.get_by_test_id("tee-adopt").click()
    chat.expect_state("red")
    assert chat.checks()["reference-values"] == "fail"
    assert chat.stored_settings()["policy"] == policy
    assert chat.errors == []


def test_what_the_environment_fixes_is_shown_and_cannot_be_changed(
    server: Backend, chat: ChatPage, collateral_service: pccs.State
) -> None:
    form = open_form(chat.page, server.url)
    expect(field(form, "pccs_url")).to_be_disabled()
    expect(field(form, "pccs_url")).to_have_value(collateral_service.url)
    expect(row(form, "pccs_url")).to_contain_text("Fixed by the server")
    expect(row(form, "trustee_url")).to_contain_text("From the environment (TEE_TRUSTEE_URL)")


def test_what_is_wrong_is_told_at_its_field(server: Backend, chat: ChatPage) -> None:
    form = open_form(chat.page, server.url)
    field(form, "quote_limit_user").fill("many")
    field(form, "enforcement").select_option("off")
    save(form, "wrong")
    wrong = field(form, "quote_limit_user")
    expect(wrong).to_have_attribute("aria-invalid", "true")
    expect(wrong).to_have_value("many")
    expect(row(form, "quote_limit_user")).to_contain_text("must read like 60/minute")
    assert stored(server, "enforcement") == "warn"
    wrong.fill("7000/minute")
    save(form, "saved")
    assert stored(server, "quote_limit_user") == "7000/minute"
    assert stored(server, "enforcement") == "off"


def test_two_administrators_at_the_same_time(server: Backend, chat: ChatPage) -> None:
    form = open_form(chat.page, server.url)
    field(form, "relay_timeout").fill("20")
    before = server.call("GET", SETTINGS).json()["version"]
    other = {"v": 1, "values": {"collateral_timeout": "5"}}
    answer = server.call("PUT", SETTINGS, json=other, headers={"If-Match": f'"{before}"'})
    assert answer.is_success
    save(form, "changed")
    expect(field(form, "collateral_timeout")).to_have_value("5")
    expect(field(form, "relay_timeout")).to_have_value("20")
    assert stored(server, "relay_timeout") == "30"
    save(form, "saved")
    assert stored(server, "relay_timeout") == "20"


def test_a_service_is_tried_with_what_stands_in_the_form(
    server: Backend, chat: ChatPage, service: str
) -> None:
    form = open_form(chat.page, server.url)
    trial = form.get_by_test_id("tee-admin-try")
    form.get_by_test_id("tee-try").click()
    verdict = trial.get_by_test_id("tee-trial")
    expect(verdict).to_have_attribute("data-status", "green", timeout=60_000)
    outcomes = dict(
        trial.get_by_test_id("tee-tried").evaluate_all(
            "rows => rows.map(r => [r.dataset.check, r.dataset.outcome])"
        )
    )
    assert outcomes["token-signature"] == "pass"
    assert outcomes["key-binding"] == "pass"

    # With an address that nobody has saved, at which nobody answers.
    field(form, "trustee_url").fill("http://127.0.0.1:1")
    form.get_by_test_id("tee-try").click()
    expect(verdict).to_have_attribute("data-status", "red", timeout=60_000)
    assert stored(server, "trustee_url") == service

    # Nothing of that is in this browser.
    memory = chat.page.evaluate("Object.values(localStorage).join()")
    assert "127.0.0.1:1," not in memory
    chat.open()
    chat.expect_state("green")
    assert chat.errors == []


@pytest.fixture
def plain_user(server: Backend) -> Somebody:
    """Somebody who is no administrator."""
    account = {"name": "Eve", "email": "eve@example.com", "password": "x", "role": "user"}
    token = str(server.call("POST", "/api/v1/auths/add", json=account).json()["token"])
    version = server.call("GET", "/api/version").json()["version"]
    settings = {"ui": {"version": version}}  # what closing the "What's new" dialog does
    server.call("POST", "/api/v1/users/user/settings/update", json=settings, token=token)
    return Somebody(server.url, token)


# A place as the app has one, wherever somebody puts it.
PLACE = """() => {
    const place = document.createElement('div');
    place.setAttribute('data-tee-place', 'admin');
    document.body.append(place);
}"""


def test_who_is_no_administrator_sees_nothing(
    server: Backend, plain_user: Somebody, service: str, open_chat: OpenChat
) -> None:
    chat = open_chat(plain_user, tee_settings("trustee", trustee=service))
    chat.expect_state("green")
    chat.page.evaluate(PLACE)
    element = chat.page.locator("cczoo-trust-admin")
    expect(element).to_have_count(1)
    chat.page.wait_for_function(
        """() => {
            const form = document.querySelector('cczoo-trust-admin');
            const held = form.desk.administration?.state.get();
            return held !== undefined && !held.busy;
        }"""
    )
    expect(chat.page.get_by_test_id("tee-admin")).to_have_count(0)
    assert element.inner_text() == ""
    answer = server.call("GET", SETTINGS, token=plain_user.token)
    assert answer.status_code in (401, 403)
