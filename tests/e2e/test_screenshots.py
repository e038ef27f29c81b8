"""Pictures of the badge in each state, for the README and docs/users.md: real pages.

Written to the folder that CCZOO_SCREENSHOTS names (default: out/e2e/screenshots).
To renew those: CCZOO_SCREENSHOTS=docs/images make e2e
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.browser import ChatPage, tee_settings
from e2e.stack import REPO, Backend

pytestmark = pytest.mark.once("plugin")

OpenChat = Callable[..., ChatPage]
LIMIT = 250_000  # bytes of a picture
QUESTION = "What does my lab report mean?"
VIEW = {"viewport": {"width": 900, "height": 640}, "device_scale_factor": 1.5}


@pytest.fixture
def folder() -> Path:
    path = REPO / os.environ.get("CCZOO_SCREENSHOTS", "out/e2e/screenshots")
    path.mkdir(parents=True, exist_ok=True)
    return path


def in_a_chat(chat: ChatPage) -> ChatPage:
    """Have a short conversation, so that the message box is at the bottom."""
    chat.send(QUESTION)
    chat.expect_reply(QUESTION)
    return chat


def picture(chat: ChatPage, file: Path) -> None:
    """Save the whole page with the panel open: what the panel covers, and what it leaves."""
    chat.open_panel()
    save(chat, file)


def save(chat: ChatPage, file: Path) -> None:
    chat.page.screenshot(path=file, animations="disabled")
    assert 5_000 < file.stat().st_size < LIMIT


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_green(
    hardware: Backend, service: str, open_chat: OpenChat, folder: Path, theme: str
) -> None:
    chat = open_chat(hardware, tee_settings("trustee", trustee=service), **VIEW, theme=theme)
    in_a_chat(chat).expect_state("green")
    dark = chat.page.evaluate("document.documentElement.classList.contains('dark')")
    assert dark is (theme == "dark")
    picture(chat, folder / ("green.png" if theme == "light" else "green-dark.png"))


def test_amber(
    simulated: Backend, simulator_service: str, open_chat: OpenChat, folder: Path
) -> None:
    settings = tee_settings("trustee", trustee=simulator_service)
    chat = open_chat(simulated, settings, **VIEW)
    in_a_chat(chat).expect_state("amber")
    picture(chat, folder / "amber.png")


def test_red(bare: Backend, service: str, open_chat: OpenChat, folder: Path) -> None:
    chat = open_chat(bare, tee_settings("trustee", trustee=service), **VIEW)
    in_a_chat(chat).expect_state("red")
    picture(chat, folder / "red.png")


def test_checking(bare: Backend, open_chat: OpenChat, folder: Path) -> None:
    chat = open_chat(bare, tee_settings("trustee"), **VIEW)
    in_a_chat(chat).settle()
    # Who comes for the first time sees the app after the verdict, and never this.
    chat.page.route("**/api/v1/tee/quote*", lambda route: None)
    chat.reload().expect_state("pending")
    picture(chat, folder / "checking.png")


def test_off(bare: Backend, open_chat: OpenChat, folder: Path) -> None:
    chat = open_chat(bare, tee_settings(enabled=False), **VIEW)
    in_a_chat(chat).expect_state("off")
    picture(chat, folder / "off.png")


def test_settings(bare: Backend, service: str, open_chat: OpenChat, folder: Path) -> None:
    chat = open_chat(bare, tee_settings("trustee", trustee=service), **VIEW)
    chat.settle()
    chat.open_settings()
    save(chat, folder / "settings.png")
