"""Walks through open-webui past somebody who records all that passes, and finds nothing.

A walk is a test that does what a person does, and *plants* what must stay between the browser and
the server: texts that are nowhere else. When it has ended, none of them may be in what was
recorded, and nothing may have gone plain that is not on the list of what may (docs/sealed.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, BrowserContext, Page

from cczoo_backend.stock import OUTSIDE_FILES, OUTSIDE_FOLDERS
from doubles import oidc, pccs
from doubles.serving import serving
from doubles.spellings import PART, RANDOM, new_canary
from doubles.wire import DOWN, UP, Message, Wire, recorded
from e2e.browser import OBSERVER, ChatPage, front_end_of, signed_in_context
from e2e.editions import this_edition
from e2e.stack import Backend, Installation, ask, wait_until
from emulator.harness import Emulator

MODELS = ("stub", "other")
KIT = "/api/v1/tee/"
FRONT_END = ("GET /_app/", "GET /static/", "GET /pyodide/", "GET /wasm/")
ASK = """async ([method, path, body]) => {
    const headers = {
        authorization: `Bearer ${localStorage.token}`, 'content-type': 'application/json'
    };
    const sent = body === null ? undefined : JSON.stringify(body);
    const answer = await fetch(path, {method, headers, body: sent});
    return [answer.status, await answer.json()];
}"""
READ = """async (path) => {
    const answer = await fetch(path, {headers: {authorization: `Bearer ${localStorage.token}`}});
    return answer.text();
}"""
# What open-webui asks a model for by itself, in the words of every version.
TITLE, TAGS = "summarizing the chat history", "broad tags"
FOLLOW_UPS = "might naturally send next"
AS_EVER: dict[str, Any] = {"answer": None, "answers": {}, "fault": None, "delay": 0.01}
"""What models are told before each walk."""
SETTINGS = {
    "ENABLE_TITLE_GENERATION": "true",
    "ENABLE_TAGS_GENERATION": "true",
    "ENABLE_FOLLOW_UP_GENERATION": "true",
    "RAG_EMBEDDING_ENGINE": "openai",
    "AUDIO_STT_ENGINE": "openai",
    "AUDIO_TTS_ENGINE": "openai",
    "BYPASS_MODEL_ACCESS_CONTROL": "true",
    "ENABLE_CHANNELS": "true",
    "ENABLE_OAUTH_SIGNUP": "true",
    "OAUTH_CLIENT_ID": "open-webui",
    "OAUTH_PROVIDER_NAME": "Double",
    "DEFAULT_USER_ROLE": "user",
    "TEE_DEFAULT_PROVIDER": "dcap",
    "TEE_QUOTE_TIMEOUT": "10",
}


@dataclass
class Site:
    """An open-webui in a TD that pages verify by themselves, its models, and who reads along."""

    backend: Backend
    model: str
    wire: Wire
    accounts: oidc.Provider
    way: str = "websocket"
    """How the app's own events come: or else by "polling"."""

    def models(self, **orders: Any) -> None:
        """Tell the models what to answer."""
        ask("POST", f"{self.model}/control", json=orders).raise_for_status()

    def asked(self) -> list[Any]:
        """What the models were asked for so far."""
        return list(ask("GET", f"{self.model}/requests").json())


@dataclass
class Passage:
    """What passes between browsers and a site from now on, and what of it nobody may see."""

    site: Site
    planted: dict[str, str] = field(default_factory=dict, kw_only=True)
    plain: set[str] = field(default_factory=set, kw_only=True)
    """Requests that go plain here, and may: the test says why."""
    whole: bool = field(default=False, kw_only=True)
    """Whether only the whole of what was planted is looked for: much passes in this walk."""
    begun: int = field(default=0, kw_only=True)
    """How many messages had passed before."""

    def __post_init__(self) -> None:
        self.begun = len(self.site.wire.messages)

    @property
    def url(self) -> str:
        """Where a browser finds the server: behind the one who reads along."""
        return self.site.wire.url

    def plant(self, name: str) -> str:
        """A text that nobody on the way may see."""
        return self.hide(name, new_canary(name))

    def hide(self, name: str, text: str) -> str:
        """Nobody on the way may see this either."""
        self.planted[name] = text
        return text

    def passed(self) -> list[Message]:
        """What passed so far, requests and answers."""
        return self.site.wire.messages[self.begun :]

    def asked(self) -> list[str]:
        """What the browser asked for, in order: method (WS for a socket's message) and path."""
        return [each.what for each in self.passed() if each.way == UP]

    def by_socket(self) -> bool:
        """Whether anything came or went by a WebSocket."""
        return any(what.startswith(f"WS {KIT}ws/") for what in self.asked())

    def seen(self) -> dict[str, list[str]]:
        """Of all that was planted, where it passed."""
        passed = [each for each in self.passed() if not is_front_end(each)]
        part = RANDOM if self.whole else PART
        found = {
            name: self.site.wire.find(text, passed, part=part)
            for name, text in self.planted.items()
        }
        return {name: places for name, places in found.items() if places}

    def gone_plain(self) -> set[str]:
        """Requests that went plain, and are not on the list of what may."""
        return {what for what in self.asked() if not may_be_plain(what)}

    def expect_sealed(self) -> None:
        """Nothing planted has passed, and what has passed was recorded."""
        assert self.planted, "a walk without anything to find shows nothing"
        assert f"POST {KIT}ohttp" in self.asked()
        seen = self.seen()
        assert seen == {}, seen
        unlisted = self.gone_plain() - self.plain
        assert unlisted == set(), unlisted
        assert self.site.way == "websocket" or not self.by_socket()
        self._expect_that_it_would_be_found()

    def _expect_that_it_would_be_found(self) -> None:
        """What was planted is found where it does pass."""
        for name, text in self.planted.items():
            before = len(self.site.wire.messages)
            ask("GET", f"{self.url}/health", params={"words": text})
            passed = self.site.wire.messages[before:]
            assert self.site.wire.find(text, passed), f"{name} would never be found"


@dataclass
class Walk(Passage):
    """One walk: where, and by whose browser."""

    context: BrowserContext
    chats: list[ChatPage] = field(default_factory=list)

    def tab(self) -> Page:
        """Another tab of this browser."""
        return self.chat().page

    def chat(self) -> ChatPage:
        """Another tab of this browser, not yet anywhere."""
        self.chats.append(ChatPage(self.context.new_page(), self.url))
        return self.chats[-1]

    def open(self, path: str = "/") -> ChatPage:
        """Another tab of this browser, at a page where one can type."""
        return self.chat().open(path)

    def ask(self, page: Page, method: str, path: str, body: object = None) -> Any:
        """Ask the server for something as the app's own code does, and return its JSON."""
        status, answer = page.evaluate(ASK, [method, path, body])
        assert status == 200, answer
        return answer

    def wait_until_kept(self, page: Page, path: str, words: str) -> None:
        """Wait until what the server has at a path has these words in it.

        Playwright's own wait does not do for that: to it, the promise of a function is true.
        """
        wait_until(
            lambda: words in page.evaluate(READ, path),
            f"the words at {path}",
            seconds=30,
            interval=0.5,
        )


def is_front_end(message: Message) -> bool:
    """Whether this is a file of the front end: many, and older than anything that was planted."""
    return message.way == DOWN and message.what.startswith(FRONT_END)


def may_be_plain(what: str) -> bool:
    """Whether this is one of the kit's own requests, or on the list of what anybody may see."""
    method, _, address = what.partition(" ")
    path, _, query = address.partition("?")
    if path.startswith(KIT):
        return True
    listed = path in OUTSIDE_FILES or path.startswith(OUTSIDE_FOLDERS)
    # A page's address without anything of the person's in it: what loads the loader.
    return method in ("GET", "HEAD") and not query and (listed or path == "/")


either_way = pytest.mark.parametrize("way", ["websocket", "polling"])
"""A walk where the app's own events come by WebSocket, and one where they cannot."""


# Fixtures; conftest.py hands them on.


@pytest.fixture(scope="session")
def accounts() -> Iterator[oidc.Provider]:
    """An OpenID provider of whose accounts open-webui knows."""
    provider = oidc.Provider(secret=new_canary("secret"))

    def make_app(url: str) -> FastAPI:
        provider.url = url
        return oidc.create_app(provider)

    with serving(make_app):
        yield provider


@pytest.fixture(scope="session")
def programs(home: Path) -> str:
    """The PATH of a site, with an ffprobe where this version takes no recording without one.

    It asks whether a recording has to be converted; this one knows nothing of any.
    """
    path = os.environ["PATH"]
    if front_end_of(this_edition().version).hears:
        return path
    folder = home / "programs"
    folder.mkdir()
    prober = folder / "ffprobe"
    prober.write_text("#!/bin/sh\n")
    prober.chmod(0o755)
    return f"{folder}{os.pathsep}{path}"


@pytest.fixture(scope="session")
def start_site(
    start_model: Callable[..., str],
    start_backend: Callable[..., Backend],
    kernel: Emulator,
    collateral_service: pccs.State,
    own_root_installation: Installation,
    accounts: oidc.Provider,
    programs: str,
) -> Iterator[Callable[..., Site]]:
    """Start an open-webui with models of its own behind one who reads along."""
    with ExitStack() as stack:

        def start(name: str, *, states: bool = False, **env: str) -> Site:
            model = start_model(f"{name}-model", MODELS, "--delay", "0.01")
            addresses = {
                "OPENAI_API_BASE_URL": f"{model}/v1",
                "RAG_OPENAI_API_BASE_URL": f"{model}/v1",
                "AUDIO_STT_OPENAI_API_BASE_URL": f"{model}/v1",
                "AUDIO_TTS_OPENAI_API_BASE_URL": f"{model}/v1",
                "OPENID_PROVIDER_URL": f"{accounts.url}/.well-known/openid-configuration",
                "OAUTH_CLIENT_SECRET": accounts.secret,
                "TEE_PCCS_URL": collateral_service.url,
                "PATH": programs,
            }
            backend = start_backend(
                name,
                {**SETTINGS, **addresses, **env},
                tuple(kernel.inside([])),
                of=own_root_installation,
                states=states,
            )
            wire = stack.enter_context(recorded(backend.url))
            return Site(backend, model, wire, accounts)

        yield start


@pytest.fixture(scope="session")
def site(start_site: Callable[..., Site]) -> Site:
    """Where most walks are."""
    return start_site("walked", states=True)


@pytest.fixture(scope="session")
def polled_site(start_site: Callable[..., Site]) -> Site:
    """The same, where the app's own events come without WebSockets."""
    return replace(start_site("polled", ENABLE_WEBSOCKET_SUPPORT="false"), way="polling")


@pytest.fixture
def way() -> str:
    """How the app's own events come to the browser, where a test does not say (`either_way`)."""
    return "websocket"


@pytest.fixture
def where(request: pytest.FixtureRequest, way: str) -> Site:
    """The site where they come in that way: it starts with the first walk there."""
    site: Site = request.getfixturevalue("polled_site" if way == "polling" else "site")
    return site


@pytest.fixture(scope="session")
def open_profile(browser: Browser) -> Iterator[Callable[[Site], BrowserContext]]:
    """The one browser profile of each site's administrator, for all walks: they are quick so."""
    profiles: dict[str, BrowserContext] = {}

    def open_one(site: Site) -> BrowserContext:
        url = site.wire.url
        if url not in profiles:
            profiles[url] = signed_in_context(browser, url, site.backend.token, None)
            profiles[url].set_default_timeout(30_000)
        return profiles[url]

    yield open_one
    for profile in profiles.values():
        profile.close()


@pytest.fixture
def walk(where: Site, open_profile: Callable[[Site], BrowserContext]) -> Iterator[Walk]:
    """A walk of somebody who is signed in."""
    walk = Walk(where, open_profile(where))
    walk.hide("token", where.backend.token)
    yield from walking(walk)


@pytest.fixture
def stranger(where: Site, browser: Browser) -> Iterator[Walk]:
    """A walk in a browser profile of somebody who was never here."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    context.add_init_script(OBSERVER)
    context.set_default_timeout(30_000)
    yield from walking(Walk(where, context))
    context.close()


def walking(walk: Walk) -> Iterator[Walk]:
    """Let a test walk, whatever the models were told before, and look at what was seen then."""
    walk.site.models(**AS_EVER)
    yield walk
    for chat in walk.chats:
        chat.page.close()
    walk.expect_sealed()
