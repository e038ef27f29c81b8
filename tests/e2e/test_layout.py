"""Text from outside on the smallest screen: the panel stays in the window, whatever it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from e2e.browser import ChatPage, tee_settings
from e2e.stack import REPO, Backend

pytestmark = pytest.mark.way("plugin")

OpenChat = Callable[..., ChatPage]
SMALL = {"viewport": {"width": 320, "height": 568}}
HOSTILE = json.loads((REPO / "tests/vectors/hostile_texts.json").read_text("utf-8"))

# Gives the badge its own verdict again, with a text in the place of all words from outside, and
# with what only other machines have. The session that it follows is a property of it.
POISON = """
async ([text, own]) => {
	const poisoned = (value, path = []) => {
		if (typeof value === 'string') return own.includes(path.join('.')) ? value : text;
		if (Array.isArray(value)) return value.map((part) => poisoned(part, [...path, '*']));
		if (value === null || typeof value !== 'object') return value;
		return Object.fromEntries(
			Object.entries(value).map(([name, part]) => [name, poisoned(part, [...path, name])])
		);
	};
	const badge = document.querySelector('cczoo-trust-badge');
	const { state } = badge.parts.session;
	const told = poisoned(state.get().verdict);
	state.set({
		kind: 'done',
		verdict: {
			...told,
			status: 'amber',
			checks: told.checks.map((check) => ({ ...check, detail: text })),
			fields: { ...told.fields, [text]: text },
			changes: [['mr_td', text, text], [text, text, text]],
			events: [[text, text, text, text]]
		}
	});
	await badge.updateComplete;
	badge.renderRoot.querySelectorAll('details').forEach((details) => { details.open = true; });
}
"""
# What is wider than the window: the page, the panel, or what is in it; and where the panel is.
MEASURE = """
() => {
	const box = document.querySelector('cczoo-trust-badge')
		.renderRoot.querySelector('[data-testid=tee-panel]');
	const { left, top, right, bottom } = box.getBoundingClientRect();
	return {
		page: document.documentElement.scrollWidth - innerWidth,
		panel: box.scrollWidth - box.clientWidth,
		inside: left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight,
		elements: [...box.querySelectorAll('img, script, iframe, object, embed, [onerror]')].length
	};
}
"""


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """The kinds of text, by their names."""
    return {name: unit * times for name, (unit, times) in HOSTILE["texts"].items()}


def test_the_panel_keeps_its_layout_whatever_it_is_told(
    hardware: Backend, service: str, open_chat: OpenChat, texts: dict[str, str]
) -> None:
    chat = open_chat(hardware, tee_settings("trustee", trustee=service), **SMALL)
    chat.expect_state("green")
    chat.open_panel()
    for name, text in texts.items():
        chat.page.evaluate(POISON, [text, HOSTILE["own_words"]])
        chat.expect_state("amber")
        measured: dict[str, Any] = chat.page.evaluate(MEASURE)
        assert measured == {"page": 0, "panel": 0, "inside": True, "elements": 0}, name
    assert chat.page.evaluate("window.pwned") is None
    assert chat.dialogs == []
