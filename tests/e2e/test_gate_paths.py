"""Ways by which words and files leave a page, where `block` holds them: nothing goes.

One page for each way, and two gates: one that waits, as there is no verdict yet, and one that is
closed, as the verdict is not good. A proxy before the server sees what passes: no byte before the
verdict. What waited then goes by itself, and what was refused is still there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, expect

from doubles.spellings import new_canary
from doubles.wire import Answer, Wire
from e2e.browser import FrontEnd, signed_in_context, tee_settings
from e2e.gates import QUOTE, SECONDS, TEE, Tab, count, edited, in_the_clear
from e2e.stack import wait_until
from e2e.walks import TITLE, Site

# The page is the same in both ways in: one of them is enough.
pytestmark = pytest.mark.way("plugin")

UPLOAD = "input[type=file][multiple]"
FILES = "/api/v1/files/"
NOT_GOOD = edited(lambda _: {"simulated": True})
ANEW = """() => {
    const bell = new BroadcastChannel('tee-sealed');
    bell.postMessage('stale');
    bell.close();
}"""
"""What another tab says whose keys answer no more: all that was found so far is void."""


def press(button: Locator) -> None:
    """Press a button, wherever a refusal stands on the page."""
    button.dispatch_event("click")


def busy(answer: Answer) -> Answer:
    """As a server that gives no quote now."""
    detail = b'{"status":false,"code":"busy","detail":"Try again in a moment."}'
    return Answer(503, "application/json", detail)


@dataclass
class Stage:
    """A page of the app under `block`, and the gate that it is behind."""

    tab: Tab
    site: Site
    begun: int = 0

    @property
    def wire(self) -> Wire:
        return self.site.wire

    @property
    def page(self) -> Any:
        return self.tab.page

    def judge_anew(self, change: Callable[[Answer], Answer] | None) -> None:
        """Have the server checked once more, and its evidence changed on its way."""
        self.wire.changes = {QUOTE: change} if change else {}
        self.page.evaluate(ANEW)

    def wait_for_a_verdict(self) -> None:
        """Have nothing known of the server, and nobody who says more; the page says so."""
        self.judge_anew(busy)
        expect(self.banner).to_contain_text("waits until this server is verified", timeout=SECONDS)
        expect(self.banner).to_contain_text("This server gave no quote")
        self.begun = len(self.wire.messages)

    def close(self) -> None:
        """Have the verdict be none that is good enough."""
        self.judge_anew(NOT_GOOD)
        self.tab.expect_question("Nothing was sent", "verified with warnings only")
        self.begun = len(self.wire.messages)

    def open(self) -> None:
        """Have a good verdict."""
        self.judge_anew(None)
        self.tab.expect_state("green", seconds=SECONDS / 1000)
        expect(self.tab.question).to_have_count(0)
        expect(self.banner).to_have_count(0)

    @property
    def banner(self) -> Locator:
        return self.page.get_by_test_id("tee-banner")

    @property
    def since(self) -> Wire:
        """What has passed since the gate closed."""
        return Wire(self.wire.target, messages=self.wire.messages[self.begun :])

    def passed(self, what: str) -> int:
        return count(self.since, what)

    def expect_nothing_left(self, words: str) -> None:
        """Nothing but questions for evidence, with one sealed one to the key's holder for each."""
        self.page.wait_for_timeout(1_500)  # whatever does not wait would have gone by now
        assert self.passed(f"POST {TEE}ohttp") <= self.passed(f"GET {QUOTE}")
        assert self.passed("WS ") == self.passed("OPEN ") == 0
        assert in_the_clear(self.since) == []
        assert self.wire.find(words) == []
        assert not self.heard(words)

    def heard(self, words: str) -> bool:
        """Whether a model was told these words."""
        return any(words in str(asked) for asked in self.site.asked())

    def expect_heard(self, words: str) -> None:
        wait_until(lambda: self.heard(words), "what waited", seconds=SECONDS / 1000)


class Way:
    """A way by which words leave: by what a person does, or by what the app's own code does."""

    path = "/"

    def exists(self, front_end: FrontEnd) -> bool:
        """Whether this version has it."""
        return True

    def prepare(self, stage: Stage) -> None:
        """Come so far that one act more has words leave."""

    def act(self, stage: Stage, words: str) -> None:
        """Have these words leave."""
        raise NotImplementedError

    def expect_kept(self, stage: Stage, words: str) -> None:
        """They are still there, for the person to send them again."""
        expect(stage.page.get_by_text(words).first).to_be_visible()

    def expect_arrived(self, stage: Stage, words: str) -> None:
        """What waited has gone."""
        stage.expect_heard(words)


class Send(Way):
    """A message in a new chat."""

    def act(self, stage: Stage, words: str) -> None:
        stage.tab.send(f"Say {words}.")


class InAChat(Way):
    """What is done about a message that has its answer."""

    def prepare(self, stage: Stage) -> None:
        stage.tab.chat("Hello.")


class Edit(InAChat):
    """A message that is written anew."""

    def act(self, stage: Stage, words: str) -> None:
        press(stage.page.locator(".edit-user-message-button").last)
        stage.page.locator(".user-message textarea").fill(f"Say {words}.")
        press(stage.page.locator("#confirm-edit-message-button"))


class Again(InAChat):
    """An answer that is made anew, or gone on with: the words went before, by a good verdict."""

    def act(self, stage: Stage, words: str) -> None:
        self.before = len(stage.site.asked())
        self.ask(stage)

    def ask(self, stage: Stage) -> None:
        raise NotImplementedError

    def expect_kept(self, stage: Stage, words: str) -> None:
        expect(stage.page.locator(".user-message")).to_contain_text("Hello.")
        assert len(stage.site.asked()) == self.before

    def expect_arrived(self, stage: Stage, words: str) -> None:
        wait_until(
            lambda: len(stage.site.asked()) > self.before, "what waited", seconds=SECONDS / 1000
        )


class Continue(Again):
    """An answer that goes on."""

    def ask(self, stage: Stage) -> None:
        press(stage.page.locator("#continue-response-button").last)


class Regenerate(Again):
    """An answer that is made anew."""

    def ask(self, stage: Stage) -> None:
        for selector in stage.tab.front_end.regenerate:
            press(stage.page.locator(selector).last)


class Merge(Again):
    """Two answers that become one."""

    path = "/?models=stub,other"

    def prepare(self, stage: Stage) -> None:
        stage.tab.send("Hello.")
        for number in range(2):
            expect(stage.tab.replies.nth(number)).to_contain_text("Hello.")

    def ask(self, stage: Stage) -> None:
        press(stage.page.get_by_role("button", name="Merge Responses").last)


class Suggestion(Way):
    """A prompt that the app proposes, and that goes by one click."""

    words = new_canary("suggestion")

    def prepare(self, stage: Stage) -> None:
        proposed = {"content": f"Say {self.words}.", "title": [self.words, "now"]}
        form = {"suggestions": [proposed]}
        answer = stage.site.backend.call("POST", "/api/v1/configs/suggestions", json=form)
        assert answer.status_code == 200
        stage.tab.go().expect_app()

    def act(self, stage: Stage, words: str) -> None:
        press(stage.page.get_by_text(self.words).first)

    def expect_kept(self, stage: Stage, words: str) -> None:
        super().expect_kept(stage, self.words)
        assert not stage.heard(self.words)

    def expect_arrived(self, stage: Stage, words: str) -> None:
        stage.expect_heard(self.words)


class Tasks(Way):
    """What the app asks of a model by itself, as its own code does it."""

    names = ("title", "tags", "follow_up", "queries", "auto", "emoji")

    def act(self, stage: Stage, words: str) -> None:
        stage.page.evaluate(
            """([names, words]) => {
                window.__refused = [];
                const headers = {
                    authorization: `Bearer ${localStorage.token}`,
                    'content-type': 'application/json'
                };
                for (const name of names) {
                    const prompt = `${name} of ${words}`;
                    const messages = [{role: 'user', content: prompt}];
                    const asked = {model: 'stub', messages, prompt, type: 'search query'};
                    const body = JSON.stringify({...asked, stream: false});
                    const path = `/api/v1/tasks/${name}/completions`;
                    fetch(path, {method: 'POST', headers, body}).catch(({detail}) => {
                        if (detail.startsWith('Nothing was sent')) window.__refused.push(name);
                    });
                }
            }""",
            [self.names, words],
        )

    def expect_kept(self, stage: Stage, words: str) -> None:
        count = len(self.names)
        stage.page.wait_for_function("(count) => window.__refused.length === count", arg=count)

    def expect_arrived(self, stage: Stage, words: str) -> None:
        for name in self.names:
            stage.expect_heard(f"{name} of {words}")


class Voice(Way):
    """What a microphone hears, which the browser imitates; the app writes down what it was."""

    spoken = new_canary("spoken")

    def act(self, stage: Stage, words: str) -> None:
        stage.site.models(spoken=self.spoken)
        press(stage.page.locator("#voice-input-button"))
        stage.page.wait_for_timeout(1_500)  # of a recording
        press(stage.page.locator(stage.tab.front_end.end_recording))

    def expect_kept(self, stage: Stage, words: str) -> None:
        expect(stage.page.get_by_text("Nothing was sent").first).to_be_visible()

    def expect_arrived(self, stage: Stage, words: str) -> None:
        expect(stage.tab.input).to_contain_text(self.spoken)


class Files(Way):
    """A file that is chosen, and one that is dropped on the page."""

    def act(self, stage: Stage, words: str) -> None:
        content = f"The word is {words}.".encode()
        sent = {"name": f"chosen-{words}.txt", "mimeType": "text/plain", "buffer": content}
        stage.page.locator(UPLOAD).first.set_input_files(sent)
        stage.tab.input.evaluate(
            """(input, words) => {
                const carried = (name) => {
                    const data = new DataTransfer();
                    data.items.add(new File([`The word is ${words}.`], name, {type: 'text/plain'}));
                    return data;
                };
                const way = {bubbles: true, cancelable: true};
                const dropped = {...way, dataTransfer: carried(`dropped-${words}.txt`)};
                input.dispatchEvent(new DragEvent('dragover', dropped));
                input.dispatchEvent(new DragEvent('drop', dropped));
            }""",
            words,
        )

    def expect_kept(self, stage: Stage, words: str) -> None:
        """The file is the person's own, and the page says that it was not sent."""
        expect(stage.page.get_by_text("Nothing was sent").first).to_be_visible()

    def expect_arrived(self, stage: Stage, words: str) -> None:
        for act in ("chosen", "dropped"):
            wait_until(
                lambda name=f"{act}-{words}": name in stage.site.backend.call("GET", FILES).text,
                f"the file that was {act}",
                seconds=SECONDS / 1000,
            )


class Link(Way):
    """A link that brings a prompt along."""

    def act(self, stage: Stage, words: str) -> None:
        stage.tab.go(f"/?q=Say+{words}")

    def expect_kept(self, stage: Stage, words: str) -> None:
        """Here, or a step back from the page that an app without answers leads to."""
        if stage.page.url.endswith("/error"):
            stage.page.go_back(wait_until="commit")
        assert words in stage.page.url

    def expect_arrived(self, stage: Stage, words: str) -> None:
        expect(stage.page.get_by_text(f"Say {words}").first).to_be_visible(timeout=SECONDS)


class Channel(Way):
    """A message to other people."""

    def prepare(self, stage: Stage) -> None:
        form = {"name": new_canary("channel").lower()}
        made = stage.site.backend.call("POST", "/api/v1/channels/create", json=form).json()
        self.channel = made["id"]
        stage.tab.go(f"/channels/{self.channel}")
        expect(stage.page.locator(".ProseMirror").last).to_be_visible(timeout=SECONDS)

    def act(self, stage: Stage, words: str) -> None:
        stage.page.locator(".ProseMirror").last.click()
        stage.page.keyboard.insert_text(f"Hello {words}.")
        stage.page.keyboard.press("Enter")

    def expect_arrived(self, stage: Stage, words: str) -> None:
        path = f"/api/v1/channels/{self.channel}/messages"
        wait_until(
            lambda: words in stage.site.backend.call("GET", path).text,
            "the message",
            seconds=SECONDS / 1000,
        )


class Note(Way):
    """A note, which the app stores while somebody writes."""

    def exists(self, front_end: FrontEnd) -> bool:
        return front_end.notes

    def prepare(self, stage: Stage) -> None:
        empty = {"title": "A note", "data": {"content": {"json": None, "html": "", "md": ""}}}
        made = stage.site.backend.call("POST", "/api/v1/notes/create", json=empty).json()
        self.path_of_it = f"/api/v1/notes/{made['id']}"
        stage.tab.go(f"/notes/{made['id']}")
        expect(stage.page.locator(".ProseMirror").last).to_be_visible(timeout=SECONDS)

    def act(self, stage: Stage, words: str) -> None:
        stage.page.locator(".ProseMirror").last.click()
        stage.page.keyboard.insert_text(f"Remember {words}.")

    def expect_arrived(self, stage: Stage, words: str) -> None:
        # What was written while there was no socket the app stores with the next letter.
        wait_until(lambda: stage.passed("OPEN ") > 0, "a socket", seconds=SECONDS / 1000)
        stage.page.wait_for_timeout(2_000)  # until it has said who it is
        stage.page.keyboard.insert_text(" ")
        wait_until(
            lambda: words in stage.site.backend.call("GET", self.path_of_it).text,
            "the note",
            seconds=SECONDS / 1000,
        )


class Queued(Way):
    """A message that is written while the answer to another one still comes."""

    def exists(self, front_end: FrontEnd) -> bool:
        return front_end.queues

    def prepare(self, stage: Stage) -> None:
        stage.site.models(answer="word " * 100, delay=0.2)
        stage.tab.send("Hello.")
        expect(stage.tab.replies.last).to_contain_text("word", timeout=SECONDS)

    def act(self, stage: Stage, words: str) -> None:
        stage.tab.input.click()
        stage.page.keyboard.insert_text(f"Say {words}.")
        stage.page.keyboard.press("Enter")


WAYS: dict[str, type[Way]] = {
    "send": Send,
    "edit": Edit,
    "continue": Continue,
    "regenerate": Regenerate,
    "merge": Merge,
    "a suggestion": Suggestion,
    "the app's own questions": Tasks,
    "voice": Voice,
    "files": Files,
    "a link": Link,
    "a channel": Channel,
    "a note": Note,
    "a queue": Queued,
}


@pytest.fixture(scope="module")
def blocking(start_site: Callable[..., Site]) -> Site:
    """A site whose administrator has pages send nothing before a good verdict."""
    settings = {"TEE_ENFORCEMENT": "block", "ENABLE_AUTOCOMPLETE_GENERATION": "true"}
    return start_site("blocked-paths", states=True, **settings)


@pytest.fixture(scope="module")
def context(browser: Browser, blocking: Site) -> Iterator[BrowserContext]:
    """One browser profile for all: loads are quick where a verdict still holds."""
    settings = tee_settings("dcap")
    opened = signed_in_context(browser, blocking.wire.url, blocking.backend.token, settings)
    opened.grant_permissions(["microphone"], origin=blocking.wire.url)
    yield opened
    opened.close()


@pytest.fixture
def stage(blocking: Site, context: BrowserContext) -> Iterator[Stage]:
    """A page there, with a good verdict."""
    blocking.wire.changes = {}
    blocking.models(answer=None, answers={TITLE: '{"title": "A chat"}'}, fault=None, delay=0.01)
    stage = Stage(Tab(context, blocking.wire), blocking)
    yield stage
    blocking.wire.changes = {}
    stage.page.close()


@pytest.mark.parametrize("name", WAYS)
def test_nothing_leaves_before_a_good_verdict(stage: Stage, name: str) -> None:
    way = WAYS[name]()
    if not way.exists(stage.tab.front_end):
        pytest.skip("this version has no such way")
    stage.tab.go(way.path).expect_app()
    stage.tab.expect_state("green")
    way.prepare(stage)

    refused = new_canary("refused")
    stage.close()
    way.act(stage, refused)
    stage.expect_nothing_left(refused)
    way.expect_kept(stage, refused)

    waiting = new_canary("waiting")
    stage.wire.changes = {}
    stage.tab.go(way.path).expect_app()
    stage.tab.expect_state("green")
    way.prepare(stage)
    stage.wait_for_a_verdict()
    way.act(stage, waiting)
    stage.expect_nothing_left(waiting)
    stage.open()
    way.expect_arrived(stage, waiting)
    assert stage.wire.find(waiting) == []
