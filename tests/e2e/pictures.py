"""Pictures of our parts of the page in all sizes, looks and languages, to be looked at.

`make screenshots` makes them, and nothing else does: this file's name keeps it out of the suites.
out/screenshots/<edition> then has each picture, and for each state a sheet with all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from e2e.browser import ChatPage, signed_in_context
from e2e.editions import Edition
from e2e.stack import REPO, Backend

SIZES = {320: 568, 360: 640, 768: 1024, 1280: 800}
LOOKS = ("light", "dark", "forced")
LANGUAGES = ("en-US", "zh-CN", "ar")
STATES = ("green", "amber", "red", "off", "settings", "question")
SHEET = """
<style>
	body { display: grid; grid-template-columns: repeat(%d, 15rem); gap: 0.5rem }
	figure { margin: 0 }
	img { width: 100%%; border: 1px solid #999 }
</style>
"""
"""Columns of as many pictures as a language has."""


def file_of(folder: Path, *parts: object) -> Path:
    return folder / ("-".join(str(part) for part in parts) + ".png")


@pytest.fixture(scope="module")
def folder(edition: Edition, browser: Browser) -> Iterator[Path]:
    """Where the pictures of this edition go; in the end they are put together."""
    path = REPO / "out" / "screenshots" / str(edition)
    path.mkdir(parents=True, exist_ok=True)
    yield path
    page = browser.new_page(viewport={"width": 3000, "height": 800})
    for state in STATES:
        sheet = path / f"{state}.html"
        sheet.write_text(sheet_of(path, state), encoding="utf-8")
        page.goto(sheet.as_uri())
        page.screenshot(path=path / f"{state}.png", full_page=True)
    page.close()


def sheet_of(folder: Path, state: str) -> str:
    """All pictures of a state on one page: a row for each language."""
    names = [
        file_of(folder, state, language, width, look).name
        for language in LANGUAGES
        for look in LOOKS
        for width in SIZES
    ]
    figures = [f"<figure><img src={name}>{name}</figure>" for name in names]
    return "<!doctype html>" + SHEET % (len(SIZES) * len(LOOKS)) + "\n".join(figures)


def wear(page: Page, look: str) -> None:
    """Give the page a theme, or the colours of the reader's own system (forced colours)."""
    page.emulate_media(forced_colors="active" if look == "forced" else "none")
    is_dark = """dark => {
        localStorage.theme = dark ? 'dark' : 'light';
        document.documentElement.classList.toggle('dark', dark);
    }"""
    page.evaluate(is_dark, look == "dark")


def take_all(page: Page, folder: Path, state: str, language: str, show: Callable[[], None]) -> None:
    """Take a picture of what ``show`` brings into view, in each size and look."""
    for width, height in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(500)  # until the app has moved its parts
        for look in LOOKS:
            wear(page, look)
            show()
            file = file_of(folder, state, language, width, look)
            page.screenshot(path=file, animations="disabled")


@pytest.mark.parametrize("state", ["green", "amber", "red", "off"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_panel(
    hardware: Backend,
    stored: dict[str, Any],
    open_chat: Callable[..., ChatPage],
    folder: Path,
    language: str,
    state: str,
) -> None:
    chat = open_chat(hardware, stored[state], language=language)
    chat.expect_state(state)
    take_all(chat.page, folder, state, language, lambda: chat.open_panel())


@pytest.mark.parametrize("language", LANGUAGES)
def test_settings(
    hardware: Backend,
    stored: dict[str, Any],
    open_chat: Callable[..., ChatPage],
    folder: Path,
    language: str,
) -> None:
    chat = open_chat(hardware, stored["green"], language=language)
    chat.settle()
    block = chat.open_settings()
    take_all(chat.page, folder, "settings", language, block.scroll_into_view_if_needed)


@pytest.mark.parametrize("language", LANGUAGES)
def test_question(
    hardware: Backend,
    stored: dict[str, Any],
    browser: Browser,
    folder: Path,
    language: str,
) -> None:
    context = signed_in_context(
        browser, hardware.url, hardware.token, stored["red"], language=language
    )
    page = context.new_page()
    page.goto(hardware.url)

    def show() -> None:
        page.reload()  # by then the app has begun with its theme
        expect(page.get_by_test_id("tee-question")).to_be_visible(timeout=45_000)

    take_all(page, folder, "question", language, show)
    context.close()
