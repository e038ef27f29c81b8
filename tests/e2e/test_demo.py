"""`make demo`, as a newcomer runs it: real model, real service, simulated TD, Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from e2e.browser import CHECKS, ChatPage
from e2e.editions import Edition
from e2e.stack import REPO, Process, ask, free_port, wait_until

BANNER = re.compile(r"trust badge: (\S+)\n  sign in as (\S+) with the password (\S+)")


def processes_in(home: Path) -> list[str]:
    """The command lines of all processes that were started for the demonstration in `home`."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                environment = (folder / "environ").read_bytes()
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if f"DEMO_HOME={home}".encode() in environment.split(b"\0"):
                found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found


TOOL = (sys.executable, str(REPO / "tools" / "demo.py"))
MAKE = ("make", "--no-print-directory", "-C", str(REPO), "demo")
# What another make, the one that runs these tests, tells its children.
NOT_PASSED_ON = (
    *("PLUGIN", "VERSION", "OPENWEBUI_DIR", "OLLAMA_BASE_URL"),
    *("MAKEFLAGS", "MFLAGS", "MAKELEVEL"),
)


def variables(edition: Edition) -> dict[str, str]:
    """What has `make demo` show this edition."""
    return {"VERSION": edition.version, "PLUGIN": "1" if edition.way == "plugin" else ""}


@contextmanager
def demo(
    command: Sequence[str], home: Path, port: int, log: Path, **more: str
) -> Iterator[tuple[Process, tuple[str, str, str]]]:
    """A running demonstration: its process and (URL, e-mail, password) as it printed them."""
    env = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
    env |= {"DEMO_HOME": str(home), "PORT": str(port), **more}
    process = Process(command, log=log, env=env)
    try:
        banner = process.wait_ready(lambda: BANNER.search(log.read_text()), seconds=600)
        yield process, banner.groups()
    finally:
        process.stop()


def go_on(page: Page) -> None:
    """Do what the demonstration's words say, before anything of the app is there."""
    question = page.get_by_test_id("tee-question")
    expect(question).to_contain_text("Real hardware", timeout=60_000)
    expect(page.get_by_placeholder("Enter Your Email")).to_have_count(0)
    question.get_by_role("button", name="Go on", exact=True).click()


def ask_about_a_file(url: str, email: str, password: str) -> None:
    """Upload a file as the page does, ask about it, and see its words put before the question."""
    account = {"email": email, "password": password}
    token = ask("POST", f"{url}/api/v1/auths/signin", json=account).json()["token"]
    signed_in = {"headers": {"Authorization": f"Bearer {token}"}, "timeout": 300}
    words = "The keeper of the lighthouse is Marguerite Oleander. 灯塔看守人。 "
    files = {"file": ("notes.txt", (words * 20).encode())}
    uploaded = ask("POST", f"{url}/api/v1/files/", files=files, **signed_in)
    assert uploaded.is_success, uploaded.text
    file = uploaded.json()["id"]

    def processed() -> str:
        """How it went; empty until it is known. 0.5.20 answers when all is done."""
        data = ask("GET", f"{url}/api/v1/files/{file}", **signed_in).json()["data"]
        state = data.get("status", "completed")
        return "" if state in ("pending", "processing") else str(state)

    ended = wait_until(processed, "the file's processing", seconds=300, interval=0.5)
    assert ended == "completed"
    (model,) = ask("GET", f"{url}/api/models", **signed_in).json()["data"]
    body = {
        "model": model["id"],
        "messages": [{"role": "user", "content": "Who keeps the lighthouse?"}],
        "files": [{"type": "file", "id": file, "name": "notes.txt"}],
        "stream": True,
        "max_tokens": 4,
    }
    answer = ask("POST", f"{url}/api/chat/completions", json=body, **signed_in)
    events = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
    (sources,) = [json.loads(each)["sources"] for each in events if '"sources"' in each]
    assert "Marguerite Oleander" in json.dumps([source["document"] for source in sources])
    assert '"choices"' in answer.text


@pytest.mark.timeout(1200)
def test_demo_from_start_to_ctrl_c(browser: Browser, tmp_path: Path, edition: Edition) -> None:
    home, port, wanted = tmp_path / "demo", free_port(), variables(edition)
    first = demo(MAKE, home, port, tmp_path / "first.log", **wanted)
    with first as (process, (url, email, password)):
        page = browser.new_context().new_page()
        chat = ChatPage(page, url, confirms=False)
        page.goto(url)
        go_on(page)
        assert 'choose "Go on"' in (tmp_path / "first.log").read_text()
        page.get_by_placeholder("Enter Your Email").fill(email)
        page.get_by_placeholder("Enter Your Password").fill(password)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.get_by_role("button", name="Okay, Let's Go!").click(timeout=60_000)
        chat.expect_state("amber")
        assert "Simulated TD" in str(chat.badge.get_attribute("aria-label"))
        assert "simulated" in chat.reason()
        assert chat.checks().keys() == set(CHECKS)
        assert chat.checks()["not-simulated"] == "warn"
        assert "fail" not in chat.checks().values()

        page.keyboard.press("Escape")
        chat.send("Say hello.")
        # Its small model is served by a program whose models nobody can measure.
        question = page.get_by_test_id("tee-model-question")
        expect(question).to_contain_text("not known", timeout=60_000)
        question.get_by_role("button", name="Go on", exact=True).click()
        # The model's words are its own affair; that there are some, and an end of them, is ours.
        expect(page.locator(".regenerate-response-button").last).to_be_attached(timeout=120_000)
        expect(chat.replies.last).to_contain_text(re.compile(r"\S"))
        assert chat.state() == "amber"
        expect(page.get_by_test_id("tee-question")).to_have_count(0)
        page.context.close()
        ask_about_a_file(url, email, password)
        assert len(processes_in(home)) >= 4
        process.signal_group(signal.SIGINT)  # Ctrl-C on a terminal reaches make and its child
        wait_until(lambda: not processes_in(home), "end of all servers", seconds=30)
    assert "Stopped." in (tmp_path / "first.log").read_text()
    assert "Next:" not in (tmp_path / "first.log").read_text()  # that is for who installs
    if edition.way == "plugin":
        return  # what follows is the same there

    started = time.monotonic()
    moved, tree = tmp_path / "moved", home / f"open-webui-{edition.version}"
    tree.rename(moved)
    wanted["OPENWEBUI_DIR"] = str(moved)
    with demo(TOOL, home, port, tmp_path / "second.log", **wanted) as (process, again):
        print(f"second start: {time.monotonic() - started:.1f} s")
        assert again == (url, email, password)
        assert not tree.exists(), "OPENWEBUI_DIR was not used"
        # Even a kill -9 of the demonstration leaves no server behind.
        process.kill_leader()
        wait_until(lambda: not processes_in(home), "end of all servers", seconds=30)


@pytest.mark.way("plugin")
def test_the_shared_environment_is_left_alone(webui_python: Path) -> None:
    packages = webui_python.parents[1] / "lib"
    assert list(packages.rglob("open_webui"))
    assert list(packages.rglob("cczoo_open_webui.pth")) == []


def test_demo_names_a_busy_port(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        env = {**os.environ, "DEMO_HOME": str(tmp_path), "PORT": str(port)}
        command = [sys.executable, str(REPO / "tools" / "demo.py")]
        answer = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=60, check=False
        )
    assert answer.returncode == 1
    assert f"port {port} cannot be used" in answer.stderr
    assert "Traceback" not in answer.stderr
