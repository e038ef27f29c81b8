"""The plug-in way beside a stock open-webui: with its hook and without, broken, removed, alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from e2e.browser import ChatPage, tee_settings
from e2e.editions import Edition
from e2e.environments import HOOK, KIT, RECORD, SERVE, Environment, digests
from e2e.evidence import new_nonce, verify_nonce
from e2e.stack import (
    Backend,
    Installation,
    StackError,
    assert_stock,
    assert_with_kit,
    wait_until,
)

pytestmark = pytest.mark.way("plugin")

OpenChat = Callable[..., ChatPage]
StartBackend = Callable[..., Backend]
OwnEnvironment = Callable[[str], Environment]


@pytest.fixture
def environment(own_environment: OwnEnvironment, request: pytest.FixtureRequest) -> Environment:
    """An environment of this test's own: the kit is there, and not hooked."""
    return own_environment(request.node.originalname)


@contextmanager
def running(start: StartBackend, *arguments: Any, **options: Any) -> Iterator[Backend]:
    """Run a backend for as long as one needs it."""
    backend = start(*arguments, **options)
    try:
        yield backend
    finally:
        backend.stop()


@pytest.mark.smoke
def test_the_hook_is_all_that_is_added_and_its_removal_all_that_is_reverted(
    environment: Environment,
) -> None:
    before = digests(environment.packages)
    environment.install()
    installed = digests(environment.packages)
    assert {name: installed[name] for name in before} == before
    added = {name.partition("/")[0] for name in installed.keys() - before.keys()}
    assert added == {HOOK, RECORD}
    environment.install()
    assert digests(environment.packages) == installed
    environment.revert()
    assert digests(environment.packages) == before


def test_without_a_hook_the_kits_own_command_is_the_same(
    environment: Environment,
    start_backend: StartBackend,
    open_chat: OpenChat,
    home: Path,
) -> None:
    simulator = {
        "QUOTE_GENERATOR_SIMULATE": "1",
        "QUOTE_GENERATOR_SIMULATOR_DIR": str(home / "simulator"),
    }
    command = environment.plugin(("-m", "cczoo_backend", "serve"))
    with running(start_backend, "no-hook", simulator, of=command) as backend:
        assert not environment.hook.exists()
        assert_with_kit(backend)
        chat = open_chat(backend, tee_settings("dcap"))
        chat.expect_state("amber")
        chat.send("Without a hook.")
        chat.expect_reply("Without a hook.")
        chat.expect_state("amber")


def test_without_the_kit_open_webui_is_stock_again_and_silent(
    environment: Environment, start_backend: StartBackend, open_chat: OpenChat
) -> None:
    environment.install()
    environment.uninstall(KIT)
    assert environment.hook.exists()
    with running(start_backend, "kit-removed", {}, of=environment.plugin()) as backend:
        assert_stock(backend)
        chat = open_chat(backend)
        chat.send("Nothing is missing.")
        chat.expect_reply("Nothing is missing.")
        expect(chat.badge).to_have_count(0)
        assert chat.page.evaluate("window.cczooTrustBadge") is None
        # The cache folder, and so a path in the log, has the first half of these names.
        assert "cczoo_backend" not in backend.log()
        assert "cczoo-trust-badge" not in backend.log()
        assert "trust badge" not in backend.log()


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("__init__", "raise RuntimeError('broken on purpose')"),
        ("routes", "from cczoo_backend import nothing_of_the_kind"),
    ],
)
def test_with_a_broken_kit_open_webui_starts_as_ever_and_says_so(
    environment: Environment, start_backend: StartBackend, module: str, text: str
) -> None:
    environment.install()
    (environment.packages / "cczoo_backend" / f"{module}.py").write_text(text)
    stock = environment.plugin()
    with running(start_backend, f"broken-{module}", {}, of=stock) as backend:
        assert_stock(backend)
        log = backend.log()
        assert "trust badge" in log
        assert "broken" in log


def test_an_altered_page_is_not_served(
    environment: Environment, start_backend: StartBackend
) -> None:
    """The page's part is what was built, or it is not there; the routes are all the same."""
    environment.install()
    page = environment.packages / "cczoo_backend" / "page"
    name = json.loads((page / "manifest.json").read_bytes())["loader"]
    (page / name).write_text("alert('altered')")
    stock = environment.plugin()
    with running(start_backend, "altered-page", {}, of=stock) as backend:
        assert backend.call("GET", "/").content == (stock.front_end / "index.html").read_bytes()
        assert backend.call("GET", f"/api/v1/tee/page/{name}").status_code == 404
        assert backend.call("GET", "/api/v1/tee/config").status_code == 200
        assert "pages have no trust badge" in backend.log()


MODULES = "import json, sys; print(json.dumps(sorted(sys.modules)))"


def test_another_python_process_does_not_notice(environment: Environment) -> None:
    before = environment.run("-c", MODULES)
    environment.install()
    after = environment.run("-c", MODULES)
    assert json.loads(after.stdout) == json.loads(before.stdout)
    assert (after.stderr, before.stderr) == ("", "")
    # Not even one that has to do with open-webui, so long as it does not run the application.
    names = json.loads(environment.run("-c", f"import open_webui; {MODULES}").stdout)
    assert [name for name in names if name.startswith("cczoo")] == []


# Several workers


def workers_of(pid: int) -> list[int]:
    """Return the processes that a supervisor has started to serve."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    commands = {int(child): Path(f"/proc/{child}/cmdline").read_text() for child in children}
    return [child for child, command in commands.items() if "spawn_main" in command]


def both_of(pid: int) -> list[int]:
    """Return the two workers of a supervisor; none while there are more or less."""
    try:
        found = workers_of(pid)
    except OSError:  # one has just ended
        return []
    return found if len(found) == 2 else []


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Let these processes stand still."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def skip_without_workers(edition: Edition, environment: Environment) -> None:
    """Of the supported versions the newest alone has them: the others are not tested with any."""
    if "UVICORN_WORKERS" not in (environment.package / "env.py").read_text():
        pytest.skip(f"open-webui {edition.version} serves with one worker")


@pytest.mark.parametrize("way", ["hook", "command"])
def test_each_of_two_workers_has_the_kit(
    edition: Edition, environment: Environment, start_backend: StartBackend, home: Path, way: str
) -> None:
    skip_without_workers(edition, environment)
    if way == "hook":
        environment.install()
    installation = environment.plugin(*[("-m", "cczoo_backend", "serve")] * (way == "command"))
    env = {
        "UVICORN_WORKERS": "2",
        "TEE_SEALED": "off",
        "QUOTE_GENERATOR_SIMULATE": "1",
        "QUOTE_GENERATOR_SIMULATOR_DIR": str(home / "simulator"),
    }
    with running(start_backend, f"workers-{way}", env, of=installation) as backend:
        assert_with_kit(backend)
        nonce = new_nonce()
        verify_nonce(backend.quote(nonce).json(), nonce)
        # A file of the page, for which nobody waits for the database that the other may hold.
        file = re.search(r"/api/v1/tee/page/loader-\w+\.js", backend.call("GET", "/").text)
        assert file is not None
        # On a busy machine one may serve before the other is there, or has been replaced.
        two = wait_until(lambda: both_of(backend.pid), "two workers", seconds=120)
        for still in two:
            # The supervisor as well: it would replace the worker that does not answer it.
            with stopped(backend.pid, still):
                answer = backend.call("GET", file[0], token=None, timeout=180)
                assert answer.status_code == 200


def test_two_workers_that_would_have_keys_of_their_own_do_not_start(
    edition: Edition, environment: Environment, start_backend: StartBackend
) -> None:
    skip_without_workers(edition, environment)
    environment.install()
    env = {"UVICORN_WORKERS": "2"}
    with pytest.raises(StackError, match="Set its workers to 1, or TEE_SEALED=off"):
        start_backend("workers-with-keys", env, of=environment.plugin())


# Other packages in the way


def test_an_open_webui_elsewhere_is_left_alone(
    environment: Environment, start_backend: StartBackend, tmp_path: Path
) -> None:
    """The hook is for the package that it was installed for: not for a copy or a source tree."""
    environment.install()
    package = tmp_path / "open_webui"
    shutil.move(environment.package, package)
    stock = Installation(environment.python, SERVE, tmp_path, package, package / "frontend")
    with running(start_backend, "elsewhere", {"PYTHONPATH": str(tmp_path)}, of=stock) as backend:
        assert_stock(backend)
