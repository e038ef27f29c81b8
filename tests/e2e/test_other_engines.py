"""A look at the page in Firefox and in WebKit, Safari's engine: badge, panel, settings, a chat."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from doubles.spellings import new_canary
from doubles.wire import Wire, recorded
from e2e.browser import CHECKS, SEND, SETTINGS_KEY, tee_settings
from e2e.engines import CONTROL, ESCAPE, Engine, chord, click, firefox, webkit, write
from e2e.gates import count, in_the_clear
from e2e.stack import Backend, wait_until

SECONDS = 45
# Everything that matches, also inside the shadow roots of our elements.
ALL = """(selector => {
    const roots = [document];
    for (const root of roots) {  // and in those that turn up in them
        const hosts = 'cczoo-trust-badge, cczoo-trust-settings, html > :not(head, body)';
        for (const host of root.querySelectorAll(hosts)) {
            if (host.shadowRoot) roots.push(host.shadowRoot);
        }
    }
    const found = roots.flatMap((root) => [...root.querySelectorAll(selector)]);
    return found.filter((element) => element.getClientRects().length > 0);
})"""
BADGE = "[data-testid=tee-badge]"
PANEL = "[data-testid=tee-panel]"
BLOCK = "[data-testid=tee-settings]"
SWITCH = "[data-testid=tee-enabled]"
REVIEW = "[data-testid=tee-review]"
CONFIRM = "[data-testid=tee-confirm]"
QUESTION = "[data-testid=tee-question]"


class Visit:
    """What a person does and sees, in a browser that is driven by hand."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def all(self, selector: str, what: str) -> Any:
        """Return ``what`` of each visible ``element`` that matches."""
        return self.engine.evaluate(f"{ALL}({json.dumps(selector)}).map((element) => {what})")

    def wait(self, selector: str, what: str = "1", value: object = 1) -> None:
        """Wait for one that matches, or for what it says."""
        wait_until(
            lambda: value in self.all(selector, what), f"{selector} {value}", seconds=SECONDS
        )

    def wait_gone(self, selector: str) -> None:
        """Wait until none that matches is left."""
        wait_until(lambda: not self.all(selector, "1"), f"no {selector}", seconds=SECONDS)

    def click(self, selector: str) -> None:
        """Click in the middle of one that matches."""
        self.wait(selector)
        self.all(selector, "element.scrollIntoView({block: 'center'})")
        ((x, y, width, height),) = self.all(
            selector,
            "(({x, y, width, height}) => [x, y, width, height])(element.getBoundingClientRect())",
        )
        click(self.engine, x + width / 2, y + height / 2)

    def expect_state(self, state: str) -> None:
        """Wait until the badge is in this state."""
        self.wait(BADGE, "element.dataset.state", state)


@pytest.fixture(params=[firefox, webkit], ids=["firefox", "webkit"])
def visit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Visit]:
    """A fresh browser of another maker."""
    start: Callable[[Path], AbstractContextManager[Engine]] = request.param
    with start(tmp_path) as engine:
        yield Visit(engine)


@pytest.fixture
def wire(hardware: Backend, ports: dict[str, int]) -> Iterator[Wire]:
    """A recording proxy before that server, whose origin the service lets in."""
    with recorded(hardware.url, port=ports["recorded"]) as wire:
        yield wire


def test_badge_panel_settings_and_a_chat(
    hardware: Backend, wire: Wire, service: str, visit: Visit
) -> None:
    engine = visit.engine
    engine.open(f"{wire.url}/static/favicon.png")
    stored = {
        "token": hardware.token,
        "locale": "en-US",
        SETTINGS_KEY: json.dumps(tee_settings("trustee", trustee=service)),
    }
    engine.evaluate(f"Object.assign(localStorage, {json.dumps(stored)}) && 1")
    engine.open(wire.url)
    visit.click(f"{QUESTION} {CONFIRM}")
    visit.wait_gone(QUESTION)
    # What a script stored bears no mark of the kit's form, before the person confirms it there.
    visit.expect_state("amber")

    visit.click(BADGE)
    visit.wait(PANEL)
    visit.click(REVIEW)
    visit.click(CONFIRM)
    visit.expect_state("green")
    engine.open(wire.url)
    visit.expect_state("green")

    visit.click(BADGE)
    visit.wait(PANEL)
    checks = visit.all(f"{PANEL} [data-testid=tee-check]", "element.dataset.check")
    assert checks == CHECKS
    write(engine, ESCAPE)
    visit.wait_gone(PANEL)

    prompt = new_canary("prompt")
    visit.click("#chat-input")
    write(engine, f"Hello {prompt}.")
    visit.click(SEND)
    visit.wait(".chat-assistant", f"element.innerText.includes('You said: Hello {prompt}.')", True)
    visit.expect_state("green")

    chord(engine, CONTROL, ".")
    visit.wait(BLOCK)
    assert len(visit.all(BLOCK, "1")) == 1
    visit.click(SWITCH)
    visit.wait(SWITCH, "element.getAttribute('aria-checked')", "false")
    visit.expect_state("off")
    visit.click(SWITCH)
    visit.expect_state("green")
    write(engine, ESCAPE)
    visit.wait_gone(BLOCK)

    for words in (prompt, hardware.token):
        assert wire.find(words) == []
    assert in_the_clear(wire) == []
    assert count(wire, "POST /api/v1/tee/ohttp") > 0
    assert count(wire, "WS /api/v1/tee/ws/") > 0
