"""How a page is for those who use a keyboard, or hear it: what the tests of that look with."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from e2e.stack import REPO

AXE = REPO / "web" / "node_modules" / "axe-core" / "axe.min.js"
TABS = 60
"""No page of these tests has more places for the focus between two that are ours."""

# Our parts are the shadow roots with our names in them; which of them are there changes.
FINDINGS = """
async () => {
	const ours = [...document.querySelectorAll('*')].filter(
		(host) => host.shadowRoot?.querySelector('[data-testid^=tee-]')
	);
	if (ours.length === 0) return ['nothing of ours is there'];
	const { violations } = await axe.run(ours);
	return violations.flatMap(({ id, nodes }) =>
		nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${failureSummary}`)
	);
}
"""
# The element that has the focus, however deep in shadow roots, by the name that tests know it by.
FOCUSED = """
() => {
	let element = document.activeElement;
	while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
	const { outlineStyle } = getComputedStyle(element);
	const name = element.dataset.testid ?? element.closest('[data-testid]')?.dataset.testid ?? '';
	return [name, element.localName, outlineStyle !== 'none'];
}
"""


# What gets the focus, and when; whether nothing has for so many seconds.
NOTE_FOCUS = """
() => {
	window.__focusedAt = performance.now();
	document.addEventListener('focusin', () => { window.__focusedAt = performance.now(); }, true);
}
"""
STILL = "seconds => performance.now() - window.__focusedAt > seconds * 1000"


def wait_until_the_app_leaves_the_focus(page: Page, seconds: float = 3) -> None:
    """Wait until the app, which has just started, has stopped giving its message box the focus.

    A panel that was opened before goes on standing open, and closes at the next Tab: that is
    then a step from one place of the app to another.
    """
    page.evaluate(NOTE_FOCUS)
    page.wait_for_function(STILL, arg=seconds)


def findings(page: Page) -> list[str]:
    """What axe finds in our parts of the page, in the light theme and in the dark one."""
    page.evaluate(AXE.read_text("utf-8"))
    found = []
    for theme in ("light", "dark"):
        page.evaluate(
            "dark => document.documentElement.classList.toggle('dark', dark)", theme == "dark"
        )
        found += [f"{theme}: {finding}" for finding in page.evaluate(FINDINGS)]
    return found


def focused(page: Page) -> tuple[str, str]:
    """Return our name of what has the focus, which is seen to have it, and its tag."""
    name, tag, is_seen = page.evaluate(FOCUSED)
    assert is_seen or not name.startswith("tee-"), f"nobody sees that {name} has the focus"
    return name, tag


def tab_to(page: Page, name: str, tag: str = "", key: str = "Tab") -> list[str]:
    """Press a key until something of this name has the focus; return the names on the way."""
    passed: list[str] = []
    for _ in range(TABS):
        page.keyboard.press(key)
        now = focused(page)
        passed.append(now[0])
        if now[0] == name and tag in ("", now[1]):
            return passed
    raise AssertionError(f"{name} is not reached: {passed}")


def accessibility_tree(page: Page, name: str) -> Any:
    """Return what a screen reader has of the part with this name, as text."""
    return page.get_by_test_id(name).aria_snapshot()
