"""Yesterday's visitors: a browser that holds the page of another installation shows today's.

Stock open-webui sends its page with a date and, before some version, without Cache-Control:
browsers then keep a page that is a month old for days without asking, and its server answers 304 by
the date alone. So all pages here are a month old, each browser keeps its profile, and all servers
have the same address.

A page that a browser takes from its cache is renewed by /static/loader.js, which open-webui writes
as it starts. Where the stock server had been running for long, a browser may keep that too, and
nothing of ours runs: then it is the reload that brings the badge.

Where requests went sealed and the kit is gone, a browser says so, and nothing goes to the server
until its person has said to go on without.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, expect

from e2e.browser import CHROMIUM, CHROMIUM_FLAGS, confirm_questions
from e2e.editions import Edition, edition_before, python_of
from e2e.environments import KIT, Environment
from e2e.stack import Backend, Installation

pytestmark = pytest.mark.once("plugin")

MONTH = 30 * 24 * 3600
StartBackend = Callable[..., Backend]
OwnEnvironment = Callable[[str], Environment]


class Visitor:
    """One person's browser: its profile stays, and so does a tab in which the app is open."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.tab = context.pages[0]
        confirm_questions(self.tab)

    def comes_back(self, backend: Backend, how: str) -> Page:
        """Open the app, or reload it where it is open, as somebody who is signed in."""
        self.goes_to(backend, how)
        return self.sees_the_app()

    def comes_back_after_the_kit(self, backend: Backend, how: str) -> Page:
        """The same, where requests were sealed before: the person decides to go on without that."""
        self.goes_to(backend, how)
        forget = self.tab.get_by_role("button", name="go on without it")
        expect(forget).to_be_visible(timeout=45_000)
        assert self.tab.title() == "The sealed connection is gone"
        forget.click()
        return self.sees_the_app()

    def goes_to(self, backend: Backend, how: str) -> None:
        if how == "open":
            self.tab.goto("about:blank")
            self.context.add_init_script(f"localStorage.token = '{backend.token}'")
            self.tab.goto(backend.url)
        else:
            self.tab.reload()

    def sees_the_app(self) -> Page:
        expect(self.tab.locator("#chat-input")).to_be_visible(timeout=45_000)
        return self.tab


@pytest.fixture
def visitor(playwright: Playwright, tmp_path: Path) -> Iterator[Callable[[str], Visitor]]:
    """Let somebody come who was never here before."""
    with ExitStack() as stack:

        def come(name: str) -> Visitor:
            context = playwright.chromium.launch_persistent_context(
                tmp_path / name, executable_path=CHROMIUM, args=CHROMIUM_FLAGS
            )
            stack.callback(context.close)
            return Visitor(context)

        yield come


@pytest.fixture
def visitors(visitor: Callable[[str], Visitor]) -> dict[str, Visitor]:
    """One who opens the app anew each time, and one who reloads it."""
    return {how: visitor(how) for how in ("open", "reload")}


@pytest.fixture
def serve(start_backend: StartBackend) -> Iterator[Callable[..., Backend]]:
    """Start one installation after the other, at one address and with the same data."""
    last: list[Backend] = []

    def start(name: str, installation: Installation, **env: str) -> Backend:
        for backend in last:
            backend.stop()
        grow_old(installation.front_end / "index.html")
        after = last[0] if last else None
        last[:] = [start_backend(f"visitors-{name}", env, of=installation, after=after)]
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


@pytest.fixture(scope="module")
def with_kit(
    own_environment: OwnEnvironment, kit_in: Callable[[Environment], Installation]
) -> Installation:
    """This edition with the kit, which no other module ages."""
    return kit_in(own_environment("visitors-with"))


@pytest.fixture(scope="module")
def stock(
    edition: Edition, own_environment: OwnEnvironment, with_kit: Installation
) -> Installation:
    """The same without the kit."""
    without = own_environment("visitors-without")
    if edition.way == "plugin":
        return without.plugin()
    # The same built page, by the app's own hands: what a stock server says about it.
    without.uninstall(KIT)
    return without.tree(with_kit.directory.parent)


@pytest.mark.smoke
def test_after_install_and_after_revert_the_right_page_is_shown_at_the_next_load(
    stock: Installation,
    with_kit: Installation,
    serve: Callable[..., Backend],
    visitors: dict[str, Visitor],
) -> None:
    backend = serve("before", stock)
    expect_none(visitors["open"].comes_back(backend, "open"))
    grow_old(*(stock.package / "static").iterdir())  # as where the server runs for a month
    expect_none(visitors["reload"].comes_back(backend, "open"))

    backend = serve("installed", with_kit)
    for how, visitor in visitors.items():
        expect_badge(visitor.comes_back(backend, how))

    backend = serve("reverted", stock)
    for how, visitor in visitors.items():
        expect_none(visitor.comes_back_after_the_kit(backend, how))
        expect_none(visitor.comes_back(backend, how))


def test_who_holds_page_and_loader_js_as_fresh_sees_the_badge_after_one_reload_at_most(
    stock: Installation,
    with_kit: Installation,
    serve: Callable[..., Backend],
    visitor: Callable[[str], Visitor],
) -> None:
    """What docs/backend.md admits: such a browser asks the server for neither of the two.

    Where stock has said of its page that it must be asked for, nobody holds it as fresh.
    """
    backend = serve("long-before", stock)
    asks = "no-cache" in backend.call("GET", "/").headers.get("cache-control", "")
    grow_old(*(stock.package / "static").iterdir())
    somebody = visitor("kept")
    expect_none(somebody.comes_back(backend, "open"))

    backend = serve("long-after", with_kit)
    (expect_badge if asks else expect_none)(somebody.comes_back(backend, "open"))
    expect_badge(somebody.comes_back(backend, "reload"))
    expect_badge(somebody.comes_back(backend, "open"))


@pytest.mark.way("source")
def test_a_kept_page_of_kit_0_1_0_is_renewed(
    stock: Installation,
    with_kit: Installation,
    serve: Callable[..., Backend],
    visitors: dict[str, Visitor],
    tmp_path: Path,
) -> None:
    """Its badge was built into the page: no loader, no `cczooTrustBadge`, and a date like stock."""
    older = replace(stock, front_end=marked_front_end(stock.front_end, tmp_path / "build"))
    backend = serve("kit-0-1-0", older, FRONTEND_BUILD_DIR=str(older.front_end))
    for visitor in visitors.values():
        assert is_older(visitor.comes_back(backend, "open"))
        expect_none(visitor.tab)

    backend = serve("kit-now", with_kit)
    for how, visitor in visitors.items():
        expect_badge(visitor.comes_back(backend, how))
        assert not is_older(visitor.tab)


OLDER = "window.olderKit = true;"


def is_older(page: Page) -> bool:
    """Whether this page is the one that was there before."""
    return page.evaluate("window.olderKit") is True


def marked_front_end(front_end: Path, copy: Path) -> Path:
    """Return a copy of a front end whose page says what it is."""
    shutil.copytree(front_end, copy, copy_function=os.link)
    page = (front_end / "index.html").read_text()
    (copy / "index.html").unlink()  # the other's too
    (copy / "index.html").write_text(page.replace("<head>", f"<head><script>{OLDER}</script>", 1))
    return copy


def become_an_older_kit(environment: Environment) -> None:
    """Give the kit of an environment another loader, with another name."""
    page = environment.packages / "cczoo_backend" / "page"
    manifest = json.loads((page / "manifest.json").read_bytes())
    name, older = manifest["loader"], "loader-older.js"
    script = (page / name).read_bytes() + OLDER.encode()
    (page / name).unlink()
    (page / older).write_bytes(script)
    del manifest["files"][name]
    manifest["files"][older] = hashlib.sha256(script).hexdigest()
    (page / "manifest.json").write_text(json.dumps({**manifest, "loader": older}))


def test_after_an_upgrade_of_the_kit_the_newer_page_is_shown_at_the_next_load(
    own_environment: OwnEnvironment,
    kit_in: Callable[[Environment], Installation],
    with_kit: Installation,
    serve: Callable[..., Backend],
    visitors: dict[str, Visitor],
) -> None:
    environment = own_environment("older-kit")
    become_an_older_kit(environment)
    backend = serve("older-kit", kit_in(environment))
    for visitor in visitors.values():
        expect_badge(visitor.comes_back(backend, "open"))
        assert is_older(visitor.tab)

    backend = serve("newer-kit", with_kit)
    for how, visitor in visitors.items():
        expect_badge(visitor.comes_back(backend, how))
        assert not is_older(visitor.tab)


@pytest.mark.way("plugin")
def test_after_an_upgrade_of_open_webui_the_hook_is_kept_and_its_page_shown(
    edition: Edition,
    webui_python: Path,
    home: Path,
    own_environment: OwnEnvironment,
    serve: Callable[..., Backend],
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
