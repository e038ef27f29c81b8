"""The screen and the JSON: 80 columns, nothing that steers a terminal, exit codes by the worst."""

from __future__ import annotations

import json

import pytest
from cczoo_installer.doctor.findings import EXIT_CODES, Finding, Group, State, ok, worst
from cczoo_installer.doctor.render import as_json, as_screen
from hypothesis import given
from hypothesis import strategies as st

HOSTILE = "\x1b]0;owned\x07\x1b[2J\n\r<script>alert(1)</script>\u202e" + "x" * 5000
STATES = [Group("one", (Finding(str(state), state, f"is {state}", "do it"),)) for state in State]


@pytest.mark.parametrize("colours", [False, True])
def test_nothing_from_outside_steers_the_terminal_or_is_wider(colours: bool) -> None:
    groups = [Group("server", (Finding("a", State.FAILURE, HOSTILE, HOSTILE, {"b": HOSTILE}),))]
    screen = as_screen(HOSTILE, groups, colours=colours)
    plain = screen.replace("\x1b[1;31m", "").replace("\x1b[0m", "")
    assert max(map(len, plain.split("\n"))) == 80
    assert all(char.isprintable() or char == "\n" for char in plain)
    assert len(plain) < 5000  # of fifteen thousand
    assert ("\x1b" in screen) == colours


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_fits(text: str, cure: str) -> None:
    screen = as_screen("title", [Group("host", (Finding("a", State.NOTE, text, cure),))])
    assert max(map(len, screen.split("\n"))) <= 80
    assert all(char.isprintable() or char == "\n" for char in screen)


def test_the_word_for_a_state_is_there_without_colours() -> None:
    screen = as_screen("title", STATES)
    for state in State:
        assert f"{state:<8}is {state}" in screen


def test_json_holds_every_member_and_is_plain_ascii() -> None:
    finding = Finding("a", State.WARNING, HOSTILE, "mend it", {"n": 1})
    text = as_json({"url": "http://127.0.0.1"}, [Group("server", (finding,))])
    assert text.isascii()
    assert "\x1b" not in text
    document = json.loads(text)
    assert document["findings"] == [
        {
            "group": "server",
            "id": "a",
            "state": "warning",
            "text": HOSTILE,
            "cure": "mend it",
            "detail": {"n": 1},
        }
    ]
    assert (document["v"], document["ok"], document["state"]) == (1, False, "warning")
    assert document["url"] == "http://127.0.0.1"


def test_the_worst_counts() -> None:
    for number, state in enumerate(State):
        assert worst(STATES[: number + 1]) is state
        assert worst([Group("a", (ok("x", "y"),)), STATES[number]]) is state
    assert worst([]) is State.OK


def test_exit_codes_grow_with_what_is_wrong() -> None:
    codes = [EXIT_CODES[state] for state in State]
    assert codes == [0, 0, 10, 11, 12]  # documented, and none of the installer's own
