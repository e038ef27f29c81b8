"""Chats with models of an Ollama by its own API: the double's and, where one answers, a real one's.

A real one is at OLLAMA_BASE_URL or on port 11434 of this machine, and has a model.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from doubles.ollama_program import make_program
from e2e.browser import ChatPage
from e2e.conftest import sealed_simulator
from e2e.stack import Backend, ask, wait_until

pytestmark = pytest.mark.way("plugin")

OpenChat = Callable[..., ChatPage]
SECONDS = 120


@dataclass(frozen=True)
class Ollama:
    """An Ollama that answers."""

    url: str
    is_double: bool

    def models(self) -> list[dict[str, Any]]:
        """What it lists."""
        return list(ask("GET", f"{self.url}/api/tags").json()["models"])

    def told(self, what: str) -> list[dict[str, Any]]:
        """What the double was asked: its ``requests``, or those that were ``cut``."""
        return list(ask("GET", f"{self.url}/{what}").json())

    def order(self, **orders: Any) -> None:
        """Tell the double how to answer from now on."""
        assert ask("POST", f"{self.url}/control", json=orders).is_success


@pytest.fixture(scope="module", params=["double", "real"])
def ollama(request: pytest.FixtureRequest, home: Path, start_server: Callable[..., str]) -> Ollama:
    """Each of them; the real one only where it is."""
    if request.param == "double":
        program = make_program(home / "ollama", ["small", "second"])
        command = [program.python, "-m", "doubles.ollama"]
        return Ollama(start_server("ollama", command, env=program.env), is_double=True)
    url = (os.environ.get("OLLAMA_BASE_URL") or "http://127.0.0.1:11434").rstrip("/")
    try:
        models = ask("GET", f"{url}/api/tags", timeout=5).json()["models"]
    except (httpx.HTTPError, ValueError, KeyError):
        pytest.skip(f"no Ollama answers at {url} (OLLAMA_BASE_URL)")
    if not models:
        pytest.skip(f"the Ollama at {url} has no models")
    return Ollama(url, is_double=False)


@pytest.fixture(scope="module")
def server(ollama: Ollama, start_backend: Callable[..., Backend], home: Path) -> Backend:
    """open-webui with the kit and nothing but this Ollama; sealed, with a simulated TD."""
    env = {
        "ENABLE_OLLAMA_API": "true",
        "OLLAMA_BASE_URL": ollama.url,
        "ENABLE_OPENAI_API": "false",
        # No tools, which Ollama refuses for models whose template has no place for them.
        "DEFAULT_MODEL_PARAMS": '{"function_calling": "legacy"}',
    }
    name = "ollama-double" if ollama.is_double else "ollama-real"
    return start_backend(name, env | sealed_simulator(home), states=True)


def stated(server: Backend) -> dict[str, dict[str, Any]]:
    """Return what the statement says of each model."""
    server.call("GET", "/api/models")
    sections = server.call("GET", "/api/v1/tee/statement").json()["sections"]
    return {model["id"]: model for model in sections["models"]["offered"]}


def test_its_models_are_listed_with_their_digests(server: Backend, ollama: Ollama) -> None:
    listed = {
        model["id"]: model["ollama"]["digest"]
        for model in server.call("GET", "/api/models").json()["data"]
    }
    assert listed == {model["name"]: model["digest"] for model in ollama.models()}


def test_each_is_stated_as_inside_by_its_weights(server: Backend, ollama: Ollama) -> None:
    for name in (model["name"] for model in ollama.models()):
        told = stated(server)[name]
        assert told["where"] == "inside", told
        assert told["digest"], told


def test_an_answer_streams(server: Backend, ollama: Ollama, open_chat: OpenChat) -> None:
    chat = open_chat(server, path=f"/?models={ollama.models()[0]['name']}")
    if ollama.is_double:
        ollama.order(clear=True, delay=0.05)
    chat.send("Count to three, please.")
    if ollama.is_double:
        chat.expect_reply("You said: Count to three, please.")
        assert [body["stream"] for body in ollama.told("requests")] == [True]
        assert ollama.told("cut") == []
    else:
        chat.expect_reply("", seconds=SECONDS)
    assert kept_faults(server, chat) == []
    assert chat.state() == "amber"
    assert chat.errors == []


def kept_faults(server: Backend, chat: ChatPage) -> list[Any]:
    """What went wrong with the messages of a chat, as they are kept."""
    kept = server.call("GET", f"/api/v1/chats/{chat.page.url.rpartition('/')[2]}").json()
    messages = kept["chat"]["history"]["messages"].values()
    return [message["error"] for message in messages if message.get("error")]


def test_an_answer_is_broken_off(server: Backend, ollama: Ollama, open_chat: OpenChat) -> None:
    chat = open_chat(server, path=f"/?models={ollama.models()[0]['name']}")
    if ollama.is_double:
        ollama.order(clear=True, delay=0.1, answer="one two three four five " * 2_000)
    chat.send("Count to ten thousand, please, and leave none out.")
    expect(chat.replies.last).to_contain_text(re.compile(r"\S"), timeout=SECONDS * 1000)
    stop = chat.page.locator("[aria-label='Stop'] button, button[aria-label='Stop']").first
    stop.click(timeout=SECONDS * 1000)
    if ollama.is_double:
        (asked,) = wait_until(lambda: ollama.told("cut"), "the end of its answer", seconds=SECONDS)
        assert "ten thousand" in json.dumps(asked["messages"])
        ollama.order(delay=0, answer=None)
    expect(chat.page.locator("[aria-label='Stop']")).to_have_count(0)
    assert chat.state() == "amber"

    chat.send("Once more.")
    expect(chat.page.locator(".user-message")).to_have_count(2)
    chat.expect_reply("You said: Once more." if ollama.is_double else "", seconds=SECONDS)
    assert kept_faults(server, chat) == []
    assert chat.errors == []
