"""The source way: a tree of open-webui has the kit by its patches, and by nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cczoo_installer import patchset, source
from cczoo_installer.install import cache_root
from cczoo_installer.report import Reporter
from playwright.sync_api import expect

from e2e.browser import ChatPage
from e2e.editions import Edition
from e2e.environments import KIT, Environment
from e2e.stack import Backend, Installation, assert_stock

pytestmark = pytest.mark.way("source")

OpenChat = Callable[..., ChatPage]


def unpatched(version: str, directory: Path) -> Path:
    """Return a fresh source tree as its makers published it, without a built front end."""
    sha256 = patchset.load(patchset.default_root(), version).sdist_sha256
    with open(os.devnull, "w") as silence:
        archive = source.fetch(version, sha256, cache_root(), reporter=Reporter(silence))
    source.unpack(archive, directory)
    return directory


@pytest.fixture
def stock(
    edition: Edition, own_environment: Callable[[str], Environment], tree: Path, tmp_path: Path
) -> Installation:
    """A tree without patches and the kit in its environment; its front end has places for it."""
    environment = own_environment("unpatched")
    # As `pip install --editable` of the tree notes it: open-webui's own command asks for that.
    metadata = environment.packages / f"open_webui-{edition.version}.dist-info" / "METADATA"
    metadata.parent.mkdir(exist_ok=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: open-webui\nVersion: {edition.version}\n")
    return environment.tree(
        unpatched(edition.version, tmp_path / "open-webui"), front_end=tree / "build"
    )


def test_without_patches_there_is_no_route_no_toggle_and_no_badge(
    stock: Installation, start_backend: Callable[..., Backend], open_chat: OpenChat
) -> None:
    env = {"FRONTEND_BUILD_DIR": str(stock.front_end)}
    backend = start_backend("unpatched", env, of=stock)
    try:
        assert_stock(backend)
        chat = open_chat(backend)
        chat.send("Nothing is added.")
        chat.expect_reply("Nothing is added.")
        expect(chat.badge).to_have_count(0)
        chat.page.keyboard.press("Control+.")
        expect(chat.system_prompt).to_be_visible()
        expect(chat.page.get_by_test_id("tee-settings")).to_have_count(0)
        assert chat.page.evaluate("window.cczooTrustBadge") is None
        # The cache folder, and so a path in the log, has the first half of these names.
        assert "cczoo_backend" not in backend.log()
        assert "cczoo-trust-badge" not in backend.log()
    finally:
        backend.stop()


@pytest.mark.parametrize(
    "command", ["cczoo_backend serve", "uvicorn cczoo_backend.asgi:app"], ids=["command", "asgi"]
)
def test_the_kits_own_commands_add_nothing_to_a_tree_without_patches_and_say_so(
    stock: Installation, start_backend: Callable[..., Backend], command: str
) -> None:
    stock = replace(stock, command=("-m", *command.split()))
    env = {"FRONTEND_BUILD_DIR": str(stock.front_end)}
    backend = start_backend(f"unpatched-by-{stock.command[1]}", env, of=stock)
    try:
        assert_stock(backend)
        top = stock.directory.parent
        told = [line for line in backend.log().splitlines() if "cczoo-install" in line]
        assert len(told) == 1
        assert f"{str(top)!r} is a source tree without the kit's patches" in told[0]
        assert f"cczoo-install --openwebui-dir {top}" in told[0]
    finally:
        backend.stop()


def test_without_the_kit_a_patched_tree_starts_as_ever_and_says_so(
    own_environment: Callable[[str], Environment],
    tree: Path,
    start_backend: Callable[..., Backend],
) -> None:
    environment = own_environment("kit-removed")
    environment.uninstall(KIT)
    backend = start_backend("kit-removed", {}, of=environment.tree(tree))
    try:
        assert_stock(backend)
        assert "The trust badge is not active" in backend.log()
        assert "No module named 'cczoo_backend'" in backend.log()
    finally:
        backend.stop()
