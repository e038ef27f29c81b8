"""The badge's panel: how it fits, how it reads, and what it gives to take along."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cczoo_verifier.__main__ import main
from playwright.sync_api import BrowserContext, Request, ViewportSize, expect

from e2e.browser import ChatPage, tee_settings
from e2e.stack import Backend

pytestmark = pytest.mark.once("plugin")

OpenChat = Callable[..., ChatPage]

VERIFIED_SIMULATED = 3
"""Of `cczoo-verify`, where all passed but that the root is not Intel's."""
VIEWS = {
    "narrow": ViewportSize(width=320, height=640),
    "zoomed to 400%": ViewportSize(width=320, height=200),
    "a phone that lies": ViewportSize(width=640, height=320),
}
OVERFLOW = "panel => panel.scrollWidth - panel.clientWidth"


@pytest.mark.parametrize("name", VIEWS)
def test_it_can_be_read_to_its_end_and_closed(
    simulated: Backend, open_chat: OpenChat, name: str
) -> None:
    view = VIEWS[name]
    chat = open_chat(simulated, tee_settings("dcap"), viewport=view)
    chat.expect_state("amber")
    panel = chat.open_panel()
    closed = panel.locator("details:not([open]) > summary")
    while closed.count() > 0:
        closed.first.click()
    assert panel.evaluate(OVERFLOW) <= 0
    for id_ in ("tee-summary", "tee-command", "tee-close"):
        part = panel.get_by_test_id(id_)
        part.scroll_into_view_if_needed()
        box = part.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= view["width"]
        assert 0 <= box["y"] < view["height"]
    panel.get_by_test_id("tee-close").click()
    expect(panel).to_be_hidden()


def test_a_screen_reader_finds_a_heading_a_list_of_steps_and_named_groups(
    bare: Backend, open_chat: OpenChat
) -> None:
    chat = open_chat(bare)
    chat.expect_state("red")
    expect(chat.open_panel()).to_match_aria_snapshot("""
        - region "Remote attestation":
          - heading "Not verified" [level=2]
          - button "Check again"
          - button "Close"
          - list "What was checked":
            - listitem
            - listitem
            - listitem
          - group "Check from your own machine"
          - status
    """)
    steps = chat.panel.get_by_test_id("tee-step").locator("summary")
    expect(steps).to_have_text(
        [
            "This machine is genuine: failed",
            "It runs what you expect: not reached",
            "Only it can read your words: not reached",
        ]
    )


def test_its_evidence_is_what_cczoo_verify_takes(
    own_root: Backend, test_pki: Path, open_chat: OpenChat, tmp_path: Path
) -> None:
    chat = open_chat(own_root, tee_settings("dcap"))
    chat.expect_state("green")
    panel = chat.open_panel()
    panel.locator("summary", has_text="Check from your own machine").click()
    expect(panel.get_by_test_id("tee-command")).to_have_text(f"cczoo-verify {own_root.url}")
    with chat.page.expect_download() as download:
        panel.get_by_test_id("tee-download").click()
    file = tmp_path / "evidence.json"
    download.value.save_as(file)
    trust = ["--root", f"{test_pki}/root.pem", "--collateral", f"{test_pki}/collateral.json"]
    assert main(["--evidence", str(file), *trust]) == VERIFIED_SIMULATED
    assert chat.errors == []


def test_a_measurement_is_copied(own_root: Backend, open_chat: OpenChat) -> None:
    chat = open_chat(own_root, tee_settings("dcap"))
    chat.expect_state("green")
    chat.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    panel = chat.open_panel()
    panel.locator("summary", has_text="Measurements").click()
    panel.get_by_role("button", name="Copy: Firmware that it starts with").click()
    expect(panel.get_by_test_id("tee-copied")).to_contain_text("Copied: Firmware")
    copied = chat.page.evaluate("navigator.clipboard.readText()")
    assert copied == chat.fields()["mr_td"]


def test_developers_see_each_verdict_and_requests_that_end(
    simulated: Backend, open_chat: OpenChat
) -> None:
    answered: list[Request] = []
    failed: list[Request] = []

    def listen(context: BrowserContext) -> None:
        context.on("response", lambda response: answered.append(response.request))
        context.on("requestfailed", lambda request: failed.append(request))

    chat = open_chat(simulated, tee_settings("dcap"), prepare=listen)
    chat.expect_state("amber")
    chat.recheck()
    told = [line for line in chat.console if line.startswith("info: Trust verification")]
    assert len(told) == 2
    # A check that another one overtakes is cut off, and rightly; those on show were not.
    ended = [request.url for request in answered if request not in failed]
    for path in ("config", "quote", "collateral"):
        assert any(f"/api/v1/tee/{path}" in url for url in ended), path
