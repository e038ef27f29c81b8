"""Somebody on the way changes what is sealed: the page shows a lost connection, and nothing wrong.

An app that is connected again goes on with the events that come then (0.12.4 appends them), so an
answer may have a hole while it is still coming, as after any lost connection. It is never taken for
whole with one, and no word of it is another.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, expect

from doubles import meddler
from doubles.meddler import Change, Kind, Meddler, meddling
from e2e.browser import ChatPage, signed_in_context
from e2e.stack import wait_until
from e2e.walks import Site

# The page is the same in both ways in: one of them is enough.
pytestmark = pytest.mark.way("plugin")

SECONDS = 60
WORDS = [f"w{number:02}{'abcdefgh'[number % 8] * (number % 7 + 1)}" for number in range(60)]
ANSWER = " ".join(WORDS)
A_WORD = re.compile(r"w\d\d[a-h]*")


@pytest.fixture(scope="module")
def proxy(site: Site) -> Iterator[Meddler]:
    """Who stands between browser and server."""
    with meddling(site.backend.url) as made:
        yield made


@pytest.fixture(scope="module")
def profile(browser: Browser, site: Site, proxy: Meddler) -> Iterator[BrowserContext]:
    """A browser that finds the server behind the proxy."""
    context = signed_in_context(browser, proxy.url, site.backend.token, None)
    yield context
    context.close()


@pytest.fixture
def chat(profile: BrowserContext, proxy: Meddler, site: Site) -> Iterator[ChatPage]:
    """A page with nothing said yet, behind a proxy that is honest so far."""
    proxy.be_honest()
    proxy.changed = 0
    site.models(answer=ANSWER, delay=0.06)
    page = ChatPage(profile.new_page(), proxy.url).open()
    yield page
    proxy.be_honest()
    site.models(answer=None, delay=0.01)
    page.page.close()


def shown(chat: ChatPage) -> list[str]:
    """The words of the answer, as the page shows them."""
    return A_WORD.findall(" ".join(chat.replies.all_inner_texts()))


def is_shown_as_whole(chat: ChatPage) -> bool:
    return chat.page.locator(".regenerate-response-button").count() > 0


def assert_nothing_wrong(chat: ChatPage) -> None:
    """What is shown was said, in that order, and is taken for the whole only where it is."""
    try:
        is_whole, words = is_shown_as_whole(chat), shown(chat)
    except Error as error:
        if "context was destroyed" not in error.message:
            raise
        return  # a page that loads anew shows nothing
    assert words == [word for word in WORDS if word in words]
    assert not is_whole or words == WORDS


def watch(chat: ChatPage, proxy: Meddler) -> None:
    """Look at the page until something has been changed, and for a while after that."""
    end = time.monotonic() + SECONDS
    while not proxy.changed and time.monotonic() < end:
        assert_nothing_wrong(chat)
        chat.page.wait_for_timeout(50)
    assert proxy.changed, "nothing was changed, and so nothing is shown"
    for _ in range(10):
        assert_nothing_wrong(chat)
        chat.page.wait_for_timeout(100)


def expect_the_whole(chat: ChatPage, site: Site, path: str) -> None:
    """With an honest proxy the chat is there again, as it was said.

    At its own address: an app that could not load it has gone to its first page.
    """
    chat.open(path)
    chat.expect_reply(WORDS[-1], seconds=SECONDS)
    assert shown(chat) == WORDS
    site.models(answer="And on it goes.", delay=0.01)
    chat.send("Go on.")
    chat.expect_reply("And on it goes.", seconds=SECONDS)


FRAMES: dict[str, Callable[[], Change]] = {
    "dropped": lambda: meddler.the(1, meddler.dropped),
    "repeated": lambda: meddler.the(1, meddler.repeated),
    "reordered": lambda: meddler.swapped(1),
    "cut off": lambda: meddler.from_the(1, meddler.cut_off(100)),
    "spliced": lambda: meddler.from_the(1, meddler.replaced(bytes(512))),
    "last byte": lambda: meddler.from_the(1, meddler.flipped(-1)),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_streamed_answer_whose_frames_are_changed(
    chat: ChatPage, proxy: Meddler, site: Site, name: str
) -> None:
    chat.send("Say it.")
    expect(chat.replies.last).to_contain_text(WORDS[3], timeout=SECONDS * 1000)
    proxy.changes = {"down": FRAMES[name]()}
    watch(chat, proxy)
    proxy.be_honest()
    wait_until(lambda: is_saved(chat, site), "the answer is whole at the server", seconds=SECONDS)
    path = path_of(chat)
    expect_the_whole(chat, site, path)


def is_saved(chat: ChatPage, site: Site) -> bool:
    """Whether the server has the whole answer; the chat's address tells which it is."""
    chat_id = chat.page.url.rpartition("/c/")[2].partition("?")[0]
    answer = site.backend.call("GET", f"/api/v1/chats/{chat_id}")
    return bool(answer.is_success and ANSWER in answer.text)


MESSAGES: dict[str, Change] = {
    "dropped": meddler.dropped,
    "repeated": meddler.repeated,
    "cut": meddler.cut(60),
    "cut off": meddler.cut_off(60),
    "first byte": meddler.flipped(0),
    "key or nonce": meddler.flipped(12),
    "first chunk": meddler.flipped(60),
    "last byte": meddler.flipped(-1),
    "end": lambda data: (data[:-17],),
}
# A few of each: tests/unit tries each byte, and each place to cut at.
LOADING: dict[Kind, list[str]] = {
    "request": ["repeated", "cut", "key or nonce"],
    "answer": ["dropped", "cut off", "first byte", "last byte", "end"],
    "up": ["dropped", "first chunk"],
}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in LOADING.items() for name in names]
)
def test_a_chat_that_is_loaded_past_changes(
    chat: ChatPage, proxy: Meddler, site: Site, kind: Kind, name: str
) -> None:
    path = said_before(chat, site)
    proxy.changes = {kind: MESSAGES[name]}
    with contextlib.suppress(Error):
        chat.page.reload(wait_until="commit")
    watch(chat, proxy)
    proxy.be_honest()
    expect_the_whole(chat, site, path)


@pytest.mark.parametrize("kind", ["request", "answer"])
def test_a_chat_that_is_loaded_past_another_exchange(
    chat: ChatPage, proxy: Meddler, site: Site, kind: Kind
) -> None:
    path = said_before(chat, site)
    proxy.changes = {kind: meddler.replaced(max(proxy.came[kind], key=len))}
    with contextlib.suppress(Error):
        chat.page.reload(wait_until="commit")
    watch(chat, proxy)
    proxy.be_honest()
    expect_the_whole(chat, site, path)


def said_before(chat: ChatPage, site: Site) -> str:
    """Have the answer there, and whole; return the chat's path."""
    site.models(answer=ANSWER, delay=0)
    chat.send("Say it.")
    chat.expect_reply(WORDS[-1], seconds=SECONDS)
    wait_until(lambda: is_saved(chat, site), "the answer is whole at the server", seconds=SECONDS)
    return path_of(chat)


def path_of(chat: ChatPage) -> str:
    return chat.page.url.removeprefix(chat.url)
