"""Yesterday's visitors: a browser that holds the page of another installation shows today's.

Stock open-webui sends its page with a date and without Cache-Control: browsers then keep a page
that is a month old for days without asking, and its server answers 304 by the date alone. So all
pages here are a month old, each browser keeps its profile, and all servers have the same address.

A page that a browser takes from its cache is renewed by /static/loader.js, which open-webui writes
as it starts. Where the stock server had been running for long, a browser may keep that too, and
nothing of ours runs: then it is the reload that brings the badge.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, expect

from e2e.browser import CHROMIUM, CHROMIUM_FLAGS
from e2e.editions import Edition, edition_before, python_of
from e2e.environments import KIT, Environment
from e2e.stack import Backend, Installation

MONTH = 30 * 24 * 3600
StartBackend = Callable[..., Backend]
OwnEnvironment = Callable[[str], Environment]


class Visitor:
    """One person's browser: its profile stays, and so does a tab in which the app is open."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.tab = context.pages[0]

    def comes_back(self, backend: Backend, how: str) -> Page:
        """Open the app, or reload it where it is open, as somebody who is signed in."""
        if how == "open":
            self.tab.goto("about:blank")
            self.context.add_init_script(f"localStorage.token = '{backend.token}'")
            self.tab.goto(backend.url)
        else:
            self.tab.reload()
        expect(self.tab.locator("#chat-input")).to_be_visible(timeout=45_000)
        return self.tab


@pytest.fixture
def visitors(playwright: Playwright, tmp_path: Path) -> Iterator[dict[str, Visitor]]:
    """One who opens the app anew each time, one who reloads it, and one who has kept all of it."""
    with ExitStack() as stack:

        def visitor(how: str) -> Visitor:
            context = playwright.chromium.launch_persistent_context(
                tmp_path / how, executable_path=CHROMIUM, args=CHROMIUM_FLAGS
            )
            stack.callback(context.close)
            return Visitor(context)

        yield {name: visitor(name) for name in ("open", "reload", "kept")}


@pytest.fixture
def serve(start_backend: StartBackend) -> Iterator[Callable[[str, Installation], Backend]]:
    """Start one installation after the other, at one address and with the same data."""
    last: list[Backend] = []

    def start(name: str, installation: Installation) -> Backend:
        for backend in last:
            backend.stop()
        grow_old(installation.front_end / "index.html")
        after = last[0] if last else None
        last[:] = [start_backend(f"visitors-{name}", {}, of=installation, after=after)]
        return last[0]

    yield start
    for backend in last:
        backend.stop()


def grow_old(*files: Path) -> None:
    """Let files be a month old."""
    then = time.time() - MONTH
    for file in files:
        os.utime(file, (then, then))


def expect_badge(page: Page) -> None:
    expect(page.get_by_test_id("tee-badge")).to_have_attribute("data-state", "red")


def expect_none(page: Page) -> None:
    assert page.evaluate("window.cczooTrustBadge") is None
    expect(page.get_by_test_id("tee-badge")).to_have_count(0)


@pytest.mark.smoke
def test_after_install_and_after_revert_the_right_page_is_shown_at_the_next_load(
    edition: Edition,
    own_environment: OwnEnvironment,
    kit_in: Callable[[Environment], Installation],
    serve: Callable[[str, Installation], Backend],
    visitors: dict[str, Visitor],
) -> None:
    without, with_kit = own_environment("visitors-without"), own_environment("visitors-with")
    installation = kit_in(with_kit)
    if edition.way == "source":
        # The same built page, by the app's own hands: what a stock server says about it.
        without.uninstall(KIT)
        stock = without.tree(installation.directory.parent)
    else:
        stock = without.plugin()

    backend = serve("before", stock)
    expect_none(visitors["open"].comes_back(backend, "open"))
    grow_old(*(stock.package / "static").iterdir())  # as where the server runs for a month
    kept = visitors.pop("kept")
    expect_none(visitors["reload"].comes_back(backend, "open"))
    expect_none(kept.comes_back(backend, "open"))

    backend = serve("installed", installation)
    for how, visitor in visitors.items():
        expect_badge(visitor.comes_back(backend, how))
    # Where a browser asks for neither page nor loader.js, as with 0.5.20's, it shows the old one.
    kept.comes_back(backend, "open")
    expect_badge(kept.comes_back(backend, "reload"))

    backend = serve("reverted", stock)
    for how, visitor in visitors.items():
        expect_none(visitor.comes_back(backend, how))


@pytest.mark.way("plugin")
def test_after_an_upgrade_of_open_webui_the_hook_is_kept_and_its_page_shown(
    edition: Edition,
    webui_python: Path,
    home: Path,
    own_environment: OwnEnvironment,
    serve: Callable[[str, Installation], Backend],
    visitors: dict[str, Visitor],
) -> None:
    older = edition_before(edition)
    if older is None:
        pytest.skip(f"{edition.version} is the oldest open-webui that is supported")
    python = python_of(older, edition, webui_python)
    environment = Environment.copy_of(python, home / "environments" / "upgrade")
    environment.install()
    backend = serve("older", environment.plugin())
    assert backend.call("GET", "/api/version").json()["version"] == older.version
    for visitor in visitors.values():
        expect_badge(visitor.comes_back(backend, "open"))

    hook = environment.hook.read_bytes()
    environment.upgrade(own_environment("upgrade-to"))
    assert environment.hook.read_bytes() == hook
    backend = serve("newer", environment.plugin())
    assert backend.call("GET", "/api/version").json()["version"] == edition.version
    for how, visitor in visitors.items():
        expect_badge(visitor.comes_back(backend, how))
    environment.revert()
    assert not environment.hook.exists()
