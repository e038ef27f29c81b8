"""What a page lets out, as a proxy before the server sees it, and what the page says of it."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, expect

from doubles.wire import UP, Answer, Wire
from e2e.browser import ChatPage, signed_in_context, tee_settings
from e2e.stack import REPO, ask
from quote_generator import evidence
from quote_generator.simulator import Simulator

OUTSIDE = json.loads((REPO / "web/src/transport/outside.json").read_text("utf-8"))
TEE = "/api/v1/tee/"
QUOTE = TEE + "quote"
SECONDS = 60_000  # in milliseconds: for a page that loads, verifies and shows what it found
WRONG = json.dumps({"v": 1, "reference_values": {"mr_td": ["00" * 48]}})
"""A policy under which no machine passes."""

Change = Callable[[Answer], Answer]
Document = dict[str, Any]


class Tab(ChatPage):
    """A page whose person is asked, and does not go on by itself."""

    def __init__(self, context: BrowserContext, wire: Wire) -> None:
        super().__init__(context.new_page(), wire.url, confirms=False)

    def go(self, path: str = "/") -> Tab:
        """Begin to load a page of the app."""
        self.page.goto(self.url + path, wait_until="commit")
        return self

    @property
    def question(self) -> Locator:
        return self.page.get_by_test_id("tee-question")

    def expect_question(self, *words: str) -> None:
        """Wait until something is asked, or refused, in these words."""
        expect(self.question).to_be_visible(timeout=SECONDS)
        for text in words:
            expect(self.question).to_contain_text(text)

    def confirm(self) -> Tab:
        """Go on, with one click."""
        self.page.get_by_test_id("tee-confirm").click()
        return self

    def open_panel(self) -> Locator:
        """Pin the panel open by a click, although a refusal stands over the page."""
        if not self.panel.is_visible():
            self.badge.dispatch_event("click")
        expect(self.panel).to_be_visible()
        return self.panel

    def forget(self) -> None:
        """Forget that this origin was sealed, with one click."""
        self.page.get_by_test_id("tee-forget-sealed").click()

    def expect_app(self) -> Tab:
        """Wait until one could type a message, with nothing in the way."""
        expect(self.input).to_be_visible(timeout=SECONDS)
        expect(self.question).to_have_count(0)
        return self

    def chat(self, text: str) -> None:
        """Send a message, and wait for its answer, which repeats it."""
        self.send(text)
        self.expect_reply(text, seconds=SECONDS / 1000)


def in_the_clear(wire: Wire) -> list[str]:
    """What was asked of the app in the clear, but for what anybody may see, and "/" itself."""
    asked = [each.what.split(" ", 1) for each in list(wire.messages) if each.way == UP]
    return [f"{method} {path}" for method, path in asked if not _is_outside(method, path)]


def _is_outside(method: str, path: str) -> bool:
    if path.startswith(TEE):
        return True
    if method not in OUTSIDE["methods"]:
        return False
    return path in ("/", *OUTSIDE["files"]) or path.startswith(tuple(OUTSIDE["folders"]))


def heard(models: str, words: str) -> bool:
    """Whether the model server at this address was told these words."""
    return words in ask("GET", f"{models}/requests").text


def count(wire: Wire, what: str) -> int:
    """How many requests, or sockets' messages, began so."""
    return sum(each.way == UP and each.what.startswith(what) for each in list(wire.messages))


def assert_nothing_left(wire: Wire, token: str) -> None:
    """Assert that nothing but attestation was asked: under a key, one question for each quote."""
    assert in_the_clear(wire) == []
    assert wire.find(token) == []
    assert count(wire, f"POST {TEE}ohttp") <= count(wire, f"GET {QUOTE}")
    assert count(wire, "WS ") == count(wire, "OPEN ") == 0


def profile(browser: Browser, wire: Wire, token: str, policy: str = "") -> BrowserContext:
    """A browser profile of somebody with an account, who verifies in the page under a policy."""
    settings = tee_settings("dcap", policy=policy) if policy else None
    return signed_in_context(browser, wire.url, token, settings)


# What somebody in between does to answers


def edited(edit: Callable[[Document], Mapping[str, Any]]) -> Change:
    """Put other members into an answer of JSON."""

    def change(answer: Answer) -> Answer:
        if answer.status != 200:
            return answer
        document = json.loads(answer.body)
        body = json.dumps(document | edit(document)).encode()
        return dataclasses.replace(answer, body=body)

    return change


def quoted_anew(machine: Simulator, keyset: Document | None) -> Change:
    """Have the machine's hardware vouch for another keyset, or for none, under the same nonces."""

    def edit(document: Document) -> Mapping[str, Any]:
        old = json.loads(evidence.decode_base64url(document["runtime_data"], "runtime_data"))
        root = evidence.decode_base64url(old["nonce_root"], "nonce_root")
        statement = document["statement"] if keyset else None
        runtime = evidence.runtime_data(root, keyset, statement)
        return {
            "quote": machine.quote(evidence.report_data(runtime)).hex(),
            "runtime_data": evidence.encode_base64url(runtime),
            "keyset": keyset,
            "statement": statement,
        }

    return edited(edit)


def missing(answer: Answer) -> Answer:
    """Say that there is nothing."""
    return Answer(404, "application/json", b'{"detail":"Not Found"}')


def without_loader(answer: Answer) -> Answer:
    """The app's page without the kit."""
    body, removed = re.subn(rb"<script[^>]*/loader-[^>]*></script>", b"", answer.body)
    assert removed == 1
    return dataclasses.replace(answer, body=body)
