"""Browsers of other makers, from Debian's packages: driven by what they speak themselves.

Firefox speaks WebDriver BiDi over a socket of its own, so that no geckodriver is needed; WebKitGTK,
Safari's engine, comes with a WebDriver. Playwright drives neither of them as they are packaged.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import httpx
from selenium.webdriver import Remote
from selenium.webdriver.webkitgtk.options import Options as WebKitGTKOptions
from websocket import WebSocket, create_connection

from e2e.stack import Process, ask, free_port

FIREFOX = "/usr/bin/firefox-esr"
WEBKIT_DRIVER = "/usr/bin/WebKitWebDriver"
START_SECONDS = 60
ANSWER_SECONDS = 60
WIDTH, HEIGHT = 1280, 800
CONTROL, ESCAPE = "\ue009", "\ue00c"  # W3C WebDriver, section 17.4.2


class Engine(Protocol):
    """A browser with one page."""

    def open(self, url: str) -> None:
        """Load a page, and wait until it is there."""

    def evaluate(self, expression: str) -> Any:
        """Return what a JavaScript expression gives, as JSON can hold it."""

    def act(self, sources: list[dict[str, Any]]) -> None:
        """Do what a person does with mouse and keyboard (W3C WebDriver, section 17)."""


def click(engine: Engine, x: float, y: float) -> None:
    """Click at a place of the page."""
    move = {"type": "pointerMove", "x": round(x), "y": round(y)}
    press = [{"type": f"pointer{what}", "button": 0} for what in ("Down", "Up")]
    parameters = {"pointerType": "mouse"}
    engine.act(
        [{"type": "pointer", "id": "mouse", "parameters": parameters, "actions": [move, *press]}]
    )


def write(engine: Engine, text: str) -> None:
    """Type a text, key by key."""
    keys = [{"type": f"key{what}", "value": key} for key in text for what in ("Down", "Up")]
    engine.act([{"type": "key", "id": "keyboard", "actions": keys}])


def chord(engine: Engine, held: str, key: str) -> None:
    """Press a key while another one is held."""
    strokes = [("Down", held), ("Down", key), ("Up", key), ("Up", held)]
    keys = [{"type": f"key{what}", "value": value} for what, value in strokes]
    engine.act([{"type": "key", "id": "keyboard", "actions": keys}])


# Firefox


class Firefox:
    """A Firefox by WebDriver BiDi: JSON messages with numbers, over a socket."""

    def __init__(self, connection: WebSocket) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._command("session.new", capabilities={})
        tree = self._command("browsingContext.getTree")
        self._page = tree["contexts"][0]["context"]
        view = {"width": WIDTH, "height": HEIGHT}
        self._command("browsingContext.setViewport", context=self._page, viewport=view)

    def open(self, url: str) -> None:
        """Load a page."""
        self._command("browsingContext.navigate", context=self._page, url=url, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """Return what an expression gives."""
        answer = self._command(
            "script.evaluate",
            expression=f"JSON.stringify({expression})",
            target={"context": self._page},
            awaitPromise=False,
        )
        assert answer["type"] == "success", answer
        return json.loads(answer["result"].get("value", "null"))

    def act(self, sources: list[dict[str, Any]]) -> None:
        """Use mouse and keyboard."""
        self._command("input.performActions", context=self._page, actions=sources)

    def _command(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        self._connection.send(json.dumps(message))
        while True:
            answer = json.loads(self._connection.recv())
            if answer.get("id") == number:
                assert answer["type"] == "success", answer
                return answer["result"]


@contextlib.contextmanager
def firefox(folder: Path) -> Iterator[Engine]:
    """Run a Firefox with a fresh profile in ``folder``."""
    log = folder / "firefox.log"
    command = [FIREFOX, "--headless", "--no-remote", "--profile", str(folder)]
    command += ["--remote-debugging-port", "0", "about:blank"]
    process = Process(command, log=log, env={**os.environ, "HOME": str(folder)})
    try:
        listening = re.compile(r"WebDriver BiDi listening on (ws://127\.0\.0\.1:\d+)")
        found = process.wait_ready(lambda: listening.search(log.read_text()), seconds=START_SECONDS)
        connection = create_connection(
            f"{found[1]}/session", timeout=ANSWER_SECONDS, suppress_origin=True
        )
        with contextlib.closing(connection):
            yield Firefox(connection)
    finally:
        process.stop()


# WebKit


class WebKit:
    """A WebKitGTK by WebDriver."""

    def __init__(self, driver: Remote) -> None:
        self._driver = driver
        driver.set_window_size(WIDTH, HEIGHT)

    def open(self, url: str) -> None:
        """Load a page."""
        self._driver.get(url)

    def evaluate(self, expression: str) -> Any:
        """Return what an expression gives."""
        text = self._driver.execute_script(f"return JSON.stringify({expression})")
        return json.loads(text or "null")

    def act(self, sources: list[dict[str, Any]]) -> None:
        """Use mouse and keyboard."""
        self._driver.execute("actions", {"actions": sources})


@contextlib.contextmanager
def webkit(folder: Path) -> Iterator[Engine]:
    """Run WebKitGTK's little browser on a screen of its own."""
    (browser,) = Path("/usr/lib").glob("*/webkit2gtk-4.1/MiniBrowser")
    with contextlib.ExitStack() as stack:
        screen = _running(
            stack, folder, ["Xvfb", "-displayfd", "1", "-screen", "0", "1600x1200x24"]
        )
        # Above it stands what it says of numbers that other screens have, if any.
        number = screen.wait_ready(
            lambda: re.search(r"^(\d+)\n", screen.log.read_text(), re.MULTILINE),
            seconds=START_SECONDS,
        )
        port = free_port()
        env = {"HOME": str(folder), "DISPLAY": f":{number[1]}"}
        driver = _running(stack, folder, [WEBKIT_DRIVER, f"--port={port}"], **env)
        driver.wait_ready(lambda: _is_ready(port), seconds=START_SECONDS)
        options = WebKitGTKOptions()
        options.binary_location = str(browser)
        options.add_argument("--automation")
        remote = Remote(f"http://127.0.0.1:{port}", options=options)
        stack.callback(remote.quit)
        yield WebKit(remote)


def _is_ready(port: int) -> bool:
    try:
        answer = ask("GET", f"http://127.0.0.1:{port}/status", timeout=5)
    except httpx.HTTPError:
        return False
    return bool(answer.json()["value"]["ready"])


def _running(stack: contextlib.ExitStack, folder: Path, command: list[str], **env: str) -> Process:
    log = folder / f"{Path(command[0]).name}.log"
    process = Process(command, log=log, env={**os.environ, **env})
    stack.callback(process.stop)
    return process
