"""The check `settings`: what this browser keeps about trust, and who put it there.

A script in the page stands for whatever is not the kit's form: an extension, a tool of the user's,
another part of the app, a model's answer that got through.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from e2e.browser import SETTINGS_KEY, ChatPage, tee_settings
from e2e.stack import Backend

pytestmark = pytest.mark.once("source")

OpenChat = Callable[..., ChatPage]

MEMORY_KEY = "tee.memory"
# What the TD in these tests does not have.
STRICT = json.dumps({"v": 1, "reference_values": {"mr_td": ["00" * 48]}})
# Runs before the page: a browser that gives no second storage, as some private windows do.
WITHOUT_MARKS = "Object.defineProperty(window, 'indexedDB', {get() { throw new DOMException(); }});"
# From now on no mark is written: as on a page that ends before its browser came to it.
STALLED = "IDBFactory.prototype.open = () => ({})"
# The names of what the tab noted meanwhile.
BEGUN = "JSON.parse(sessionStorage.getItem('tee.marks') ?? '[]').map(({ name }) => name)"


def write(page: Page, key: str, value: str | None) -> None:
    """Change this browser's storage as any script can."""
    code = "([key, value]) => value === null ? localStorage.removeItem(key)"
    page.evaluate(f"{code} : localStorage.setItem(key, value)", [key, value])


def read(page: Page, key: str) -> str | None:
    """Return what this browser stores under a name."""
    value: str | None = page.evaluate("(key) => localStorage.getItem(key)", key)
    return value


def reason(chat: ChatPage) -> str:
    """Return what the panel says at the check, and not only in its headline."""
    return chat.row("settings").inner_text()


def confirm(chat: ChatPage) -> None:
    """Look at what is stored, and confirm it."""
    chat.open_panel().get_by_test_id("tee-review").click()
    chat.page.get_by_test_id("tee-confirm").click()


def restore(chat: ChatPage) -> None:
    """Look at what was confirmed last, and put it back."""
    chat.open_panel().get_by_test_id("tee-review").click()
    expect(chat.page.get_by_test_id("tee-confirmed")).to_be_visible()
    chat.page.get_by_test_id("tee-restore").click()


@pytest.fixture
def strict(service: str) -> dict[str, Any]:
    """Settings under which the TD of these tests is red."""
    return {**tee_settings("trustee", trustee=service), "policy": STRICT}


def test_a_page_that_ends_before_its_marks_are_written_leaves_nothing_to_confirm(
    hardware: Backend, service: str, alibaba: str, open_chat: OpenChat
) -> None:
    chat = open_chat(hardware, tee_settings("trustee", trustee=service, alibaba=alibaba))
    chat.expect_state("green")
    chat.page.evaluate(STALLED)
    chat.open_settings().get_by_test_id("tee-provider").select_option("alibaba")
    assert chat.stored_settings()["provider"] == "alibaba"
    assert chat.page.evaluate(BEGUN)[0].startswith("tee.settings")

    for _ in range(2):  # the second time, by what was marked
        chat.reload().expect_state("green")
        chat.page.wait_for_function(f"{BEGUN}.length === 0")
        assert chat.stored_settings()["provider"] == "alibaba"


def test_settings_that_a_script_changed_are_amber_until_confirmed(
    hardware: Backend, service: str, strict: dict[str, Any], open_chat: OpenChat
) -> None:
    chat = open_chat(hardware, strict)
    chat.expect_state("red")
    assert chat.checks()["settings"] == "pass"
    lax = json.dumps(tee_settings("trustee", trustee=service))
    write(chat.page, SETTINGS_KEY, lax)

    for _ in range(2):  # to look at it is no confirmation
        chat.reload().expect_state("amber")
        assert set(chat.states()) <= {"pending", "amber"}
        assert {c for c, o in chat.checks().items() if o == "warn"} == {"settings"}
        assert "Something other than this page" in chat.reason()
        assert SETTINGS_KEY in reason(chat)

    chat.open_panel().get_by_test_id("tee-review").click()
    shown = chat.page.get_by_test_id("tee-stored").input_value()
    assert json.loads(shown) == json.loads(lax)
    chat.page.get_by_test_id("tee-confirm").click()
    chat.expect_state("green")
    chat.reload().expect_state("green")
    assert set(chat.states()) <= {"pending", "green"}
    assert chat.errors == []


def test_a_page_that_is_open_notices_it_at_its_next_look(
    hardware: Backend, service: str, open_chat: OpenChat
) -> None:
    chat = open_chat(hardware, tee_settings("trustee", trustee=service))
    chat.expect_state("green")
    write(chat.page, SETTINGS_KEY, json.dumps(tee_settings("trustee", trustee="https://evil.test")))
    assert chat.recheck() == "amber"
    # What was confirmed is still in force here, and comes back at a click.
    assert "evil" not in " ".join(request.url for request in chat.requests)
    restore(chat)
    chat.expect_state("green")
    assert chat.stored_settings()["addresses"]["trustee"] == service
    chat.reload().expect_state("green")


def test_a_change_in_the_form_does_not_confirm_what_a_script_changed(
    hardware: Backend, service: str, strict: dict[str, Any], open_chat: OpenChat
) -> None:
    chat = open_chat(hardware, strict)
    chat.expect_state("red")
    write(chat.page, SETTINGS_KEY, json.dumps(tee_settings(None, trustee=service)))
    chat.reload().expect_state("amber")
    chat.open_settings().get_by_test_id("tee-provider").select_option("trustee")
    chat.close_settings()
    chat.settle()
    assert chat.recheck() == "amber"
    assert chat.checks()["settings"] == "warn"


def test_settings_of_an_older_kit_are_confirmed_once(
    hardware: Backend, service: str, open_chat: OpenChat
) -> None:
    chat = open_chat(hardware, tee_settings("trustee", trustee=service), marked=False)
    chat.expect_state("amber")
    assert "An older version" in chat.reason()
    confirm(chat)
    chat.expect_state("green")
    chat.reload().expect_state("green")


def test_a_memory_that_a_script_changed_is_amber_until_confirmed(
    hardware: Backend, service: str, open_chat: OpenChat
) -> None:
    chat = open_chat(hardware, tee_settings("trustee", trustee=service))
    chat.expect_state("green")
    chat.reload().expect_state("green")
    memory = json.loads(read(chat.page, MEMORY_KEY) or "")
    mine = memory["values"]["mr_td"]

    memory["values"]["mr_td"] = "77" * 48
    write(chat.page, MEMORY_KEY, json.dumps(memory))
    chat.reload().expect_state("amber")
    faults = chat.faults()
    # Other servers of these tests write into this TD's log: that looks like another workload.
    assert faults.pop("workload", "workload-changed") == "workload-changed"
    assert set(faults) == {"settings", "reference-values"}
    assert MEMORY_KEY in reason(chat)
    restore(chat)
    chat.expect_state("green")
    assert mine in (read(chat.page, MEMORY_KEY) or "")

    write(chat.page, MEMORY_KEY, None)
    for _ in range(2):  # and it is no first time
        chat.reload().expect_state("amber")
        assert chat.checks()["settings"] == "warn"
        assert read(chat.page, MEMORY_KEY) is None
    confirm(chat)
    chat.expect_state("green")
    assert mine in (read(chat.page, MEMORY_KEY) or "")
    chat.reload().expect_state("green")


def test_a_script_that_switches_the_check_off_does_not_get_off(
    hardware: Backend, service: str, open_chat: OpenChat
) -> None:
    chat = open_chat(hardware, tee_settings("trustee", trustee=service))
    chat.expect_state("green")
    asked = tee_settings("trustee", enabled=False, trustee=service)
    write(chat.page, SETTINGS_KEY, json.dumps(asked))
    chat.requests.clear()
    chat.reload().expect_state("red")
    assert "switched the check off" in chat.reason()
    assert chat.requests_to("/api/v1/tee/quote", "/attestation") == []
    confirm(chat)
    chat.expect_state("off")
    chat.reload().expect_state("off")


# Settings that cannot be read

LOST: dict[str, Callable[[dict[str, Any]], str | None]] = {
    "truncated": lambda stored: json.dumps(stored)[:-20],
    "version-2": lambda stored: json.dumps({**stored, "v": 2}),
    "policy-object": lambda stored: json.dumps({**stored, "policy": json.loads(STRICT)}),
    "unknown-provider": lambda stored: json.dumps({**stored, "provider": "itta"}),
    "bad-address": lambda stored: json.dumps({**stored, "addresses": {"trustee": "http://x"}}),
    "long-policy": lambda stored: json.dumps({**stored, "policy": STRICT + " " * 70_000}),
    "bad-key": lambda stored: json.dumps({**stored, "keys": {"trustee": "{"}}),
    "gone": lambda stored: None,
}


@pytest.mark.parametrize("name", LOST)
def test_settings_that_are_lost_are_red_and_nobody_is_asked(
    hardware: Backend, strict: dict[str, Any], open_chat: OpenChat, name: str
) -> None:
    chat = open_chat(hardware, strict)
    chat.expect_state("red")
    assert chat.checks()["settings"] == "pass"
    broken = LOST[name](strict)
    write(chat.page, SETTINGS_KEY, broken)
    chat.requests.clear()
    chat.reload().expect_state("red")
    assert set(chat.states()) <= {"pending", "red"}
    assert chat.checks()["settings"] == "fail"
    assert "switch, service, address, keys, policy" in chat.reason()
    assert chat.requests_to("/api/v1/tee/quote", "/attestation") == []
    assert read(chat.page, SETTINGS_KEY) == broken

    restore(chat)
    expect(chat.page.get_by_test_id("tee-restore")).to_have_count(0)
    chat.settle()
    assert chat.checks()["settings"] == "pass"
    assert chat.checks()["reference-values"] == "fail"
    assert chat.stored_settings()["policy"] == STRICT


def test_who_starts_anew_begins_with_the_defaults(
    hardware: Backend, service: str, strict: dict[str, Any], open_chat: OpenChat
) -> None:
    chat = open_chat(hardware, strict)
    chat.expect_state("red")
    broken = json.dumps(strict)[:-20]
    write(chat.page, SETTINGS_KEY, broken)
    chat.reload().expect_state("red")
    expect(chat.open_panel().get_by_test_id("tee-anew")).to_have_text("Start anew")
    chat.panel.get_by_test_id("tee-review").click()
    assert chat.page.get_by_test_id("tee-stored").input_value() == broken
    chat.page.get_by_test_id("tee-anew").click()
    chat.expect_state("amber")  # the service that only this server named
    assert {c for c, o in chat.checks().items() if o == "warn"} == {"token-signature"}
    assert chat.stored_settings()["policy"] == ""
    chat.page.get_by_test_id("tee-address").fill(service)
    chat.page.get_by_test_id("tee-address").press("Tab")
    chat.expect_state("green")


def test_an_emptied_storage_is_no_first_visit(
    hardware: Backend, strict: dict[str, Any], open_chat: OpenChat
) -> None:
    chat = open_chat(hardware, strict)
    chat.expect_state("red")
    token = read(chat.page, "token")
    chat.page.evaluate("localStorage.clear()")
    write(chat.page, "token", token)
    chat.reload().expect_state("red")
    assert "are gone" in chat.reason()


# Other windows


def test_what_one_tab_changes_by_the_form_is_not_foreign_in_another(
    hardware: Backend, service: str, open_chat: OpenChat
) -> None:
    chat = open_chat(hardware, tee_settings(None, trustee=service))
    chat.expect_state("amber")  # the provider that only this server named
    other = ChatPage(chat.page.context.new_page(), hardware.url).open()
    other.expect_state("amber")
    assert other.checks()["settings"] == "pass"

    chat.open_settings().get_by_test_id("tee-provider").select_option("trustee")
    chat.close_settings()
    chat.expect_state("green")
    other.expect_state("green")
    assert other.checks()["settings"] == "pass"
    other.reload().expect_state("green")

    # And what a script in one tab changes is told in both.
    write(
        chat.page,
        SETTINGS_KEY,
        json.dumps(tee_settings("trustee", trustee=service) | {"policy": '{"v":1}'}),
    )
    other.expect_state("amber")
    assert chat.recheck() == "amber"
    confirm(chat)
    chat.expect_state("green")
    other.expect_state("green")


def test_a_window_that_keeps_no_marks_warns_and_says_why(
    hardware: Backend, service: str, open_chat: OpenChat
) -> None:
    chat = open_chat(
        hardware,
        tee_settings("trustee", trustee=service),
        marked=False,
        prepare=lambda context: context.add_init_script(WITHOUT_MARKS),
    )
    chat.expect_state("amber")
    assert {c for c, o in chat.checks().items() if o == "warn"} == {"settings"}
    assert "keeps no marks" in chat.reason()
    assert "green" not in chat.states()


# The form


def test_what_is_wrong_is_said_at_its_field_and_the_app_does_not_say_that_it_was_saved(
    bare: Backend, open_chat: OpenChat, tmp_path: Path
) -> None:
    chat = open_chat(bare)
    chat.expect_state("red")
    block = chat.open_settings()
    address = block.get_by_test_id("tee-address")
    address.fill("http://a.example")
    save = chat.page.locator(".modal").get_by_role("button", name="Save", exact=True)
    save.click()
    expect(address).to_have_attribute("aria-invalid", "true")
    expect(address).to_have_accessible_description(re.compile("https://"))
    save.click()
    expect(address).to_be_focused()
    expect(chat.page.get_by_text("Settings saved successfully!")).to_have_count(0)

    address.fill("")
    address.press("Tab")
    policy = tmp_path / "policy.json"
    policy.write_text('{"v":1,"max_age":60}')
    block.get_by_test_id("tee-policy-file").set_input_files(policy)
    expect(block.get_by_test_id("tee-policy")).to_have_value('{"v":1,"max_age":60}')
    expect(block.get_by_test_id("tee-settings-error")).to_have_count(0)
    block.get_by_test_id("tee-demands").locator("summary").click()
    expect(block.get_by_test_id("tee-demands").get_by_text("max_age")).to_contain_text("60")
    save.click()
    expect(chat.page.get_by_text("Settings saved successfully!").first).to_be_visible()
    assert chat.stored_settings()["policy"] == '{"v":1,"max_age":60}'


@pytest.mark.smoke
def test_the_chats_controls_and_the_apps_search_lead_to_the_settings(
    bare: Backend, open_chat: OpenChat
) -> None:
    chat = open_chat(bare)
    chat.expect_state("red")
    page = chat.page
    page.get_by_label("Controls", exact=True).locator("visible=true").first.click()
    page.get_by_test_id("tee-to-settings").click()
    expect(page.locator(".modal").get_by_test_id("tee-settings")).to_be_visible()
    chat.close_settings()

    page.keyboard.press("Control+.")
    modal = page.locator(".modal")
    modal.get_by_text("Interface", exact=True).first.click()
    modal.get_by_placeholder("Search").first.press_sequentially("attestation")
    modal.get_by_test_id("tee-found").click()
    expect(modal.get_by_test_id("tee-settings")).to_be_visible()
    assert chat.errors == []


def test_what_is_remembered_is_listed_and_forgotten_and_one_can_start_anew(
    hardware: Backend, service: str, open_chat: OpenChat
) -> None:
    chat = open_chat(hardware, tee_settings("trustee", trustee=service))
    chat.expect_state("green")
    assert read(chat.page, MEMORY_KEY) is not None
    block = chat.open_settings()
    block.get_by_test_id("tee-remembered").locator("summary").click()
    machine = block.get_by_test_id("tee-remembered-machine")
    expect(machine).to_contain_text("mr_td")
    machine.get_by_test_id("tee-forget-machine").click()
    machine.get_by_test_id("tee-forget-yes").click()
    chat.close_settings()
    chat.expect_state("green")
    assert chat.row("reference-values").get_attribute("data-code") == "first-use"

    block = chat.open_settings()
    block.get_by_test_id("tee-forget-everything").click()
    with chat.page.expect_navigation():
        block.get_by_test_id("tee-forget-yes").click()
    chat.expect_state("amber")  # the service that only this server named
    assert chat.checks()["settings"] == "pass"
    assert read(chat.page, SETTINGS_KEY) is None


# Several people, one browser


@pytest.fixture
def somebody_else(hardware: Backend) -> str:
    """Return the token of another account, which has closed what the app tells newcomers."""
    name = secrets.token_hex(4)
    account = {"name": name, "email": f"{name}@example.com", "password": "x", "role": "user"}
    token = str(hardware.call("POST", "/api/v1/auths/add", json=account).json()["token"])
    version = hardware.call("GET", "/api/version").json()["version"]
    settings = {"ui": {"version": version}}
    hardware.call("POST", "/api/v1/users/user/settings/update", json=settings, token=token)
    return token


def test_what_one_account_set_does_not_count_for_another(
    hardware: Backend, service: str, somebody_else: str, open_chat: OpenChat
) -> None:
    chat = open_chat(hardware, tee_settings("trustee", enabled=False, trustee=service))
    chat.expect_state("off")
    page = chat.page
    mine = read(page, SETTINGS_KEY)

    with page.expect_navigation():  # as when the app has signed somebody else in
        write(page, "token", somebody_else)
    chat.expect_state("amber")  # the service that only this server named
    assert chat.checks()["settings"] == "pass"
    block = chat.open_settings()
    expect(block.get_by_test_id("tee-whose")).to_contain_text("Another account")
    expect(block.get_by_test_id("tee-enabled")).to_be_checked()
    block.get_by_test_id("tee-trust").click()
    chat.close_settings()
    chat.expect_state("green")
    assert read(page, SETTINGS_KEY) == mine

    with page.expect_navigation():
        write(page, "token", hardware.token)
    chat.expect_state("off")
    with page.expect_navigation():
        write(page, "token", somebody_else)
    chat.expect_state("green")
    assert chat.errors == []


def test_who_is_not_signed_in_goes_by_nobodys_settings_unasked(
    hardware: Backend, service: str, open_chat: OpenChat
) -> None:
    chat = open_chat(hardware, tee_settings("trustee", trustee=service))
    chat.expect_state("green")
    page = ChatPage(chat.page.context.new_page(), hardware.url, confirms=False).page
    write(chat.page, "token", None)
    chat.page.close()
    page.goto(f"{hardware.url}/auth")
    question = page.get_by_test_id("tee-question")
    expect(question).to_contain_text("was set by somebody who was")
    question.get_by_test_id("tee-confirm").click()
    expect(page.locator("input[type=password]")).to_be_visible(timeout=45_000)
    page.reload()
    expect(question).to_contain_text("was set by somebody who was")
