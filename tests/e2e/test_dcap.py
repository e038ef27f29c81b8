"""Provider `dcap`: the browser verifies the quote itself, and remembers what it saw.

"Green" needs Intel's root. So these tests serve a copy of the very same bundle in which one
constant, the pinned key, is the TEST root's.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier.collateral import to_members
from playwright.sync_api import Browser, BrowserContext, Route, expect

from doubles.wire import recorded
from e2e.browser import CHECKS, ChatPage, signed_in_context, tee_settings
from e2e.changed import Changed
from e2e.gates import Tab, assert_nothing_left
from e2e.stack import Backend
from quote_generator.evidence import encode_base64url
from quote_generator.simulator import Simulator
from quote_generator.simulator.pki import PCE_SVN
from vectors import logs

# Providers are the same in every open-webui: one way in is enough for these.
pytestmark = pytest.mark.way("source")

OpenChat = Callable[..., ChatPage]

QUOTE_PATH = "/api/v1/tee/quote"
COLLATERAL_PATH = "/api/v1/tee/collateral"
REQUIRED = {
    "secure-context",
    "evidence-format",
    "nonce-binding",
    "key-binding",
    "quote-signature",
    "collateral",
    "tcb-status",
    "td-attributes",
    "settings",
    "not-simulated",
}


def nothing_but_this_server(chat: ChatPage) -> None:
    outside = [r.url for r in chat.requests_to("") if not r.url.startswith(chat.url)]
    assert [url for url in outside if url.startswith("http")] == []


def settings(**more: Any) -> dict[str, Any]:
    """The page's settings with provider `dcap`."""
    return {**tee_settings("dcap"), **more}


# Green, amber, red


def test_green_without_any_service(own_root: Backend, open_chat: OpenChat) -> None:
    chat = open_chat(own_root, settings())
    chat.expect_state("green")
    assert chat.results() == ["green"]
    outcomes = chat.checks()
    assert outcomes.keys() == set(CHECKS)
    assert {check for check, outcome in outcomes.items() if outcome == "pass"} >= REQUIRED
    assert set(outcomes.values()) <= {"pass", "skipped"}
    assert len(chat.requests_to(QUOTE_PATH)) == 1
    assert len(chat.requests_to(COLLATERAL_PATH)) == 1
    nothing_but_this_server(chat)
    assert chat.errors == []


def test_the_servers_default_is_verified_here_and_green(
    own_root: Backend, open_chat: OpenChat
) -> None:
    """Who verifies by himself trusts nobody that the server could have chosen."""
    chat = open_chat(own_root)
    chat.expect_state("green")
    assert chat.fields()["tcb_status"] == "UpToDate"


def test_the_same_hardware_is_red_where_intels_root_is_pinned(
    hardware: Backend, open_chat: OpenChat
) -> None:
    """What the project ships accepts no root but Intel's."""
    chat = open_chat(hardware, settings())
    chat.expect_state("red")
    assert "green" not in chat.states()
    assert chat.checks()["quote-signature"] == "fail"


def test_another_root_by_the_users_own_word_is_never_green(
    hardware: Backend, test_pki: Path, open_chat: OpenChat
) -> None:
    stored = settings()
    stored["keys"]["dcap"] = Simulator.open(test_pki, name="TEST").root_pem
    chat = open_chat(hardware, stored)
    chat.expect_state("amber")
    warnings = {c for c, o in chat.checks().items() if o == "warn"}
    assert warnings == {"not-simulated"}
    assert chat.results() == ["amber"]


def test_the_simulator_is_amber_with_every_check_run(
    simulated: Backend, open_chat: OpenChat
) -> None:
    chat = open_chat(simulated, settings())
    chat.expect_state("amber")
    outcomes = chat.checks()
    warnings = {"key-binding": "warn", "not-simulated": "warn"}  # nothing is sealed there
    assert {c: o for c, o in outcomes.items() if o not in ("pass", "skipped")} == warnings
    assert {check for check, outcome in outcomes.items() if outcome == "pass"} >= (
        REQUIRED - warnings.keys()
    )
    expect(chat.badge).to_have_attribute("aria-label", re.compile("Simulated TD"))
    nothing_but_this_server(chat)
    assert chat.recheck() == "amber"


# Measurements: what is expected, and what is remembered


def test_changed_measurements_are_amber_with_the_diff_until_accepted(
    own_root: Backend, changed: Changed, open_chat: OpenChat
) -> None:
    chat = open_chat(own_root, settings(), prepare=changed)
    chat.expect_state("green")
    assert chat.checks()["reference-values"] == "skipped"  # the first time: remembered
    chat.reload().expect_state("green")
    assert chat.checks()["reference-values"] == "pass"

    changed.measurements = {"rtmr_2": b"\x77" * 48, "mr_td": b"\x99" * 48}
    chat.reload().expect_state("amber")
    assert "green" not in chat.states()
    assert {c for c, o in chat.checks().items() if o == "warn"} == {"reference-values"}
    rows = chat.panel.get_by_test_id("tee-change")
    told = {row.get_attribute("data-field"): row.inner_text() for row in rows.all()}
    assert told.keys() == {"rtmr_2", "mr_td"}
    assert "77" * 48 in told["rtmr_2"]
    assert "a2" * 48 in told["rtmr_2"]

    chat.reload().expect_state("amber")  # looking at it is no acceptance
    chat.accept()
    chat.expect_state("green")
    chat.reload().expect_state("green")
    assert chat.checks()["reference-values"] == "pass"
    assert chat.errors == []


class Supplied:
    """Intel's documents of one edition or another, all signed and in date."""

    def __init__(self, machine: Simulator) -> None:
        self.machine = machine
        self.edition: dict[str, Any] = {}

    def __call__(self, context: BrowserContext) -> None:
        context.route(f"**{COLLATERAL_PATH}*", self._answer)

    def _answer(self, route: Route) -> None:
        route.fulfill(json=to_members(self.machine.collateral(**self.edition)))


def test_an_older_edition_of_intels_data_than_one_seen_before_warns(
    own_root: Backend, test_pki: Path, open_chat: OpenChat
) -> None:
    supplied = Supplied(Simulator.open(test_pki, name="TEST"))
    chat = open_chat(own_root, settings(), prepare=supplied)
    chat.expect_state("green")
    shown = chat.open_panel().locator('[data-testid="tee-field"][data-field="tcb_evaluation"]')
    expect(shown).to_have_text("17")

    supplied.edition = {"evaluation": 18, "tcb_status": "OutOfDate"}
    assert chat.recheck() == "red"
    supplied.edition = {}
    assert chat.recheck() == "amber"
    chat.reload().expect_state("amber")  # it is remembered, and looking at it changes nothing
    assert {c for c, o in chat.checks().items() if o == "warn"} == {"collateral"}
    expect(chat.open_panel().get_by_test_id("tee-reason")).to_contain_text("older edition")
    assert chat.errors == []


def test_a_platform_that_needs_an_update_says_which_part_is_short(
    own_root: Backend, test_pki: Path, open_chat: OpenChat
) -> None:
    """As after a recovery of Intel's TCB: what it has and what it needs, and whom to tell."""
    supplied = Supplied(Simulator.open(test_pki, name="TEST"))
    supplied.edition = {"tcb_status": "OutOfDate", "advisory_ids": ["INTEL-SA-00001"]}
    chat = open_chat(own_root, settings(), prepare=supplied)
    chat.expect_state("red")
    assert chat.faults() == {"tcb-status": "tcb-status"}
    short = f"OutOfDate (PCE {PCE_SVN} < {PCE_SVN + 1}) INTEL-SA-00001"
    assert short in chat.row("tcb-status").inner_text()
    expect(chat.panel).to_contain_text("Tell the administrator of this server")


def test_a_wrong_clock_is_told_as_that(own_root: Backend, browser: Browser) -> None:
    """By a day: all that has its time is over, or yet to come, and nothing is sent."""
    with recorded(own_root.url) as wire:
        context = signed_in_context(browser, wire.url, own_root.token, settings())
        context.clock.install(time=time.time() + 86_400)
        tab = Tab(context, wire).go()
        tab.expect_question("Compare yours with a clock that you trust")
        tab.expect_state("red")
        assert set(tab.faults().values()) == {"clock-differs"}
        expect(tab.panel).to_contain_text("date and time with a clock that you trust")
        assert_nothing_left(wire, own_root.token)
        context.close()


def test_event_logs_say_what_is_proven_and_what_is_not(
    own_root: Backend, changed: Changed, open_chat: OpenChat
) -> None:
    """GRUB's command line and the CoCo agent's newer log; then an RTMR2 that IMA went on with."""
    line = b"root=/dev/vda1 quiet"
    grub = logs.Event(3, logs.IPL, b"kernel_cmdline: " + line + b"\0", line)
    events = logs.application("coco.example start container-1")
    registers = logs.replay([*logs.EVENTS[:5], grub, *events], ())
    changed.event_logs = {
        "cc_eventlog": logs.ccel([*logs.EVENTS[:5], grub]),
        "aa_eventlog": b"".join(map(logs.event, events)),
    }
    changed.measurements = {f"rtmr_{n}": value for n, value in enumerate(registers)}
    chat = open_chat(own_root, settings(), prepare=changed)
    chat.expect_state("green")
    assert chat.checks()["event-log"] == "pass"
    assert shown_events(chat)[-2:] == [
        ("rtmr_2 IPL kernel_cmdline:", line.decode()),
        ("rtmr_3 EVENT_TAG", "coco.example start container-1"),
    ]

    changed.measurements["rtmr_2"] = logs.sha384(registers[2] + b"\5" * 48)
    assert chat.recheck() == "amber"  # the measurements changed, and nothing else is wrong
    assert chat.checks()["event-log"] == "pass"
    row = chat.panel.locator('[data-testid="tee-check"][data-check="event-log"]')
    expect(row).to_contain_text("rtmr_2")
    assert shown_events(chat)[-2] == (f"rtmr_2 IPL kernel_cmdline: {line.decode()}", "")


def shown_events(chat: ChatPage) -> list[tuple[str, str]]:
    """The rows of the event logs: without what is proven, and that."""
    box = chat.open_panel().get_by_test_id("tee-events")
    if box.get_attribute("open") is None:
        box.locator("summary").click()
    rows = []
    for row in box.get_by_test_id("tee-event").all():
        facts = row.get_by_test_id("tee-fact")
        fact = facts.inner_text() if facts.count() else ""
        rows.append((" ".join(row.inner_text().partition("✓")[0].split()), fact))
    return rows


def test_reference_values_of_a_policy_decide_before_memory(
    own_root: Backend, changed: Changed, open_chat: OpenChat
) -> None:
    policy = {"v": 1, "reference_values": {"rtmr_2": ["A2" * 48, "77" * 48]}}
    chat = open_chat(own_root, settings(policy=json.dumps(policy)), prepare=changed)
    chat.expect_state("green")
    assert chat.checks()["reference-values"] == "pass"
    changed.measurements = {"rtmr_2": b"\x77" * 48}
    assert chat.recheck() == "green"
    changed.measurements = {"rtmr_2": b"\x78" * 48}
    assert chat.recheck() == "red"
    assert chat.checks()["reference-values"] == "fail"


def test_a_policy_is_loaded_in_settings_and_a_bad_one_is_refused(
    own_root: Backend, open_chat: OpenChat
) -> None:
    chat = open_chat(own_root, settings())
    chat.expect_state("green")
    field = chat.open_settings().get_by_test_id("tee-policy")
    error = chat.page.get_by_test_id("tee-settings-error")

    field.fill('{"v": 1, "reference_valeus": {}}')
    field.press("Tab")
    expect(error).to_contain_text("/reference_valeus")
    assert chat.stored_settings().get("policy", "") == ""

    good = json.dumps({"v": 1, "reference_values": {"mr_td": ["00" * 48]}})
    field.fill(good)
    field.press("Tab")
    expect(error).to_have_count(0)
    assert chat.stored_settings()["policy"] == good
    chat.close_settings()
    chat.expect_state("red")
    assert "reference-values" in chat.reason()


def test_debug_and_other_unsafe_attributes_are_red(
    own_root: Backend, changed: Changed, open_chat: OpenChat
) -> None:
    changed.measurements = {"td_attributes": bytes.fromhex("0100001000000000")}
    chat = open_chat(own_root, settings(), prepare=changed)
    chat.expect_state("red")
    assert chat.checks()["td-attributes"] == "fail"
    assert chat.results() == ["red"]


# A result ends


def test_a_result_ends_with_the_policys_age_while_the_page_is_open(
    own_root: Backend, open_chat: OpenChat
) -> None:
    policy = json.dumps({"v": 1, "max_age": 300})
    chat = open_chat(
        own_root, settings(policy=policy), prepare=lambda context: context.clock.install()
    )
    chat.expect_state("green")
    with chat.page.expect_request(f"**{QUOTE_PATH}*"):  # renewed before it ends
        chat.page.clock.fast_forward(240_000)
        chat.page.clock.run_for(1000)
    chat.expect_state("green")
    assert len(chat.requests_to(QUOTE_PATH)) == 2

    chat.page.context.route(f"**{QUOTE_PATH}*", lambda route: route.abort())
    # On a busy machine the renewal before ends only after some of these.
    for _ in range(30):
        chat.page.clock.fast_forward(240_000)
        chat.page.clock.run_for(1000)
        if "red" in chat.states():
            break
        time.sleep(1)
    chat.expect_state("red")
    # A renewal that failed leaves green at once, and not for another look at its end; whoever waits
    # to send something then has the machine checked again.
    assert chat.results()[0] == "green"
    assert set(chat.results()[1:]) == {"red"}


# A proxy between page and backend that tampers


class Tamper:
    """Lets the first answer through, keeps it, and changes the later ones."""

    def __init__(self, path: str, change: Callable[[dict[str, Any], dict[str, Any]], Any]) -> None:
        self.path, self.change = path, change
        self.first: dict[str, Any] | None = None

    def __call__(self, context: BrowserContext) -> None:
        context.route(f"**{self.path}*", self._pass_on)

    def _pass_on(self, route: Route) -> None:
        response = route.fetch()
        document = response.json()
        if self.first is None:
            self.first = document
            route.fulfill(response=response)
        else:
            route.fulfill(response=response, json=self.change(self.first, document))


def other_runtime_data(_: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    root = encode_base64url(bytes(32))
    data = json.dumps({"nonce_root": root, "v": 1}, separators=(",", ":")).encode()
    return now | {"runtime_data": encode_base64url(data)}


def other_body(_: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    quote = bytearray.fromhex(now["quote"])
    quote[54 + 136] ^= 1  # the first byte of MRTD
    return now | {"quote": quote.hex()}


TAMPERED = {
    "replayed-evidence": (QUOTE_PATH, lambda first, now: first, "nonce-binding"),
    "replayed-quote": (
        QUOTE_PATH,
        lambda first, now: now | {"quote": first["quote"]},
        "nonce-binding",
    ),
    "swapped-runtime-data": (QUOTE_PATH, other_runtime_data, "nonce-binding"),
    "another-nonces-proof": (
        QUOTE_PATH,
        lambda first, now: now | {"nonce_proof": {"leaf_index": 0, "tree_size": 2, "path": []}},
        "nonce-binding",
    ),
    "another-measurement": (QUOTE_PATH, other_body, "quote-signature"),
    "forged-list": (
        COLLATERAL_PATH,
        lambda first, now: now | {"pck_crl_der_b64": now["root_crl_der_b64"]},
        "collateral",
    ),
    "no-collateral": (COLLATERAL_PATH, lambda first, now: {"v": 1}, "collateral"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_tampering_proxy_makes_it_red(own_root: Backend, open_chat: OpenChat, name: str) -> None:
    path, change, check = TAMPERED[name]
    chat = open_chat(own_root, settings(), prepare=Tamper(path, change))
    chat.expect_state("green")
    assert chat.recheck() == "red"
    assert chat.states() == ["pending", "red"]
    assert chat.checks()[check] == "fail"
    assert check in chat.reason()


def test_without_collateral_it_is_red_and_says_so(own_root: Backend, open_chat: OpenChat) -> None:
    answer = {"status": False, "code": "collateral-unreachable", "detail": "<b>down</b>"}

    def refuse(context: BrowserContext) -> None:
        context.route(f"**{COLLATERAL_PATH}*", lambda route: route.fulfill(status=502, json=answer))

    chat = open_chat(own_root, settings(), prepare=refuse)
    chat.expect_state("red")
    assert "collateral" in chat.reason()
    expect(chat.panel.locator("b", has_text="down")).to_have_count(0)
