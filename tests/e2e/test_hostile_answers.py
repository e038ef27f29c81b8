"""What a model says, or a file holds, does not run in the page's origin, and is shown all the same.

docs/threat-model.md, "What a model says", lists the ways.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, FrameLocator, Route, expect

from e2e.browser import ChatPage, front_end_of, tee_settings
from e2e.editions import Edition
from e2e.hostile_answers import ACCOUNT, ANSWERS, ORDINARY, PAGE, fenced, seizing
from e2e.stack import Backend, ask

pytestmark = pytest.mark.once("source")

OpenChat = Callable[..., ChatPage]
Say = Callable[[str], None]

MEMORY = '{"v":1,"of":"the tests"}'
SETTINGS = tee_settings(enabled=False)


@pytest.fixture
def say(model: str) -> Iterator[Say]:
    """Tell the model what it shall answer."""

    def order(answer: str | None) -> None:
        delay = 0.05 if answer is None else 0
        ask("POST", f"{model}/control", json={"answer": answer, "delay": delay})

    yield order
    order(None)


either_server = pytest.mark.parametrize(
    "server", ["bare", "hardware"], ids=["plain", "sealed"], indirect=True
)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Backend:
    """open-webui, asked sealed, to keys nobody checked as no verdict is wanted; or in plain."""
    backend: Backend = request.getfixturevalue(getattr(request, "param", "hardware"))
    return backend


@pytest.fixture
def chat(server: Backend, open_chat: OpenChat) -> ChatPage:
    """A chat whose browser keeps something about trust."""
    opened = open_chat(server, SETTINGS)
    opened.page.evaluate("memory => localStorage.setItem('tee.memory', memory)", MEMORY)
    # What a script would try has an effect where it is allowed.
    account = f"fetch('{ACCOUNT}', {{ credentials: 'include' }}).then(({{ ok }}) => ok)"
    assert opened.page.evaluate(account)
    return opened


def assert_untouched(chat: ChatPage) -> None:
    """Assert that nothing ran in the page, and nothing about trust was changed."""
    assert chat.page.evaluate("window.seized ?? []") == []
    assert chat.stored_settings() == SETTINGS
    assert chat.page.evaluate("localStorage.getItem('tee.memory')") == MEMORY
    assert "seized" not in chat.page.url


def assert_reaches_nothing(frame: FrameLocator) -> None:
    """Assert that a page in a frame is shown, and that its script ran and reached nothing."""
    expect(frame.get_by_role("heading", name="Your chart")).to_be_visible()
    expect(frame.get_by_text("It reached")).to_contain_text("It reached nothing.")


def seeded(backend: Backend, content: str, **answer: Any) -> str:
    """Return the path of a chat with this answer, as one gets it by import."""
    question = {"id": "q", "parentId": None, "childrenIds": ["a"], "role": "user", "content": "?"}
    reply = {"id": "a", "parentId": "q", "childrenIds": [], "role": "assistant", "model": "stub"}
    reply |= {"content": content, "done": True, **answer}
    messages = [{**message, "timestamp": 1_800_000_000} for message in (question, reply)]
    history = {"messages": {str(m["id"]): m for m in messages}, "currentId": "a"}
    chat = {"title": "Seeded", "models": ["stub"], "messages": messages, "history": history}
    made = backend.call("POST", "/api/v1/chats/new", json={"chat": chat})
    return f"/c/{made.json()['id']}"


# What an answer had loaded has come, or failed, when this one has failed that was asked for later.
CONTROL = """() => new Promise((resolve) => {
    const image = new Image();
    image.onerror = resolve;
    image.src = `/x${Math.random()}.png`;
})"""


def touch(chat: ChatPage, way: str) -> None:
    """Click on what an answer shows, and wait for whatever it had loaded."""
    reply = chat.replies.last
    if way.startswith("diagram"):
        expect(reply.locator("svg[id^='mermaid']")).to_be_visible()
    if way.startswith("drawing") and "markup" not in way:
        expect(
            chat.page.locator("svg text", has_text=re.compile("Your drawing|click"))
        ).to_be_visible()
    for target in chat.page.locator(":is(.chat-assistant, svg) a", has_text="click").all():
        target.dispatch_event("click")
        target.evaluate("link => link.removeAttribute('target')")
        target.dispatch_event("click")
    chat.page.wait_for_function("[...document.images].every(({ complete }) => complete)")
    chat.page.evaluate(CONTROL)


@pytest.mark.smoke
@either_server
def test_no_answer_runs_in_the_page(chat: ChatPage, say: Say) -> None:
    for way, answer in ANSWERS.items():
        say(f"{answer}\n\nThat was {way}.")
        chat.send(way)
        chat.expect_reply(f"That was {way}.")
        touch(chat, way)
    assert_untouched(chat)
    assert chat.dialogs == []


@pytest.mark.smoke
@either_server
def test_an_artifact_is_shown_and_reaches_nothing(
    chat: ChatPage, say: Say, edition: Edition
) -> None:
    say(f"Here it is:\n\n{fenced('html', PAGE)}\n")
    chat.send("Draw me a chart.")
    assert_reaches_nothing(chat.page.frame_locator("iframe[title='Content']"))
    chat.expect_reply("Here it is")
    assert_untouched(chat)
    # In a source tree a patch has taken that from the frame.
    asked = edition.way == "plugin" and chat.front_end.frames_ask_for_origin
    assert is_told(chat) == asked


# Two texts for a frame, one after the other; whether the second is shown in the end.
TWO_TEXTS = """async (pause) => {
    const frame = document.createElement('iframe');
    frame.setAttribute('sandbox', 'allow-scripts');
    frame.setAttribute('srcdoc', '<style>p { color: red }</style><p>First</p>');
    const shown = new Promise((resolve) => {
        const settle = ({ source }) => source === frame.contentWindow && resolve(true);
        addEventListener('message', settle);
        setTimeout(resolve, 5000, false);
    });
    document.body.append(frame);
    await new Promise((resolve) => setTimeout(resolve, pause));
    frame.setAttribute('srcdoc', '<p>Second</p><script>parent.postMessage(1, "*")</script>');
    const outcome = await shown;
    frame.remove();
    return outcome;
}"""


def test_a_frame_ends_with_the_newest_text_however_fast_they_come(chat: ChatPage) -> None:
    pauses = list(range(30)) * 3
    assert [pause for pause in pauses if not chat.page.evaluate(TWO_TEXTS, pause)] == []


def is_told(chat: ChatPage) -> bool:
    """Whether the page says that a right was taken: in the panel, and in the console."""
    told = chat.open_panel().get_by_test_id("tee-rights").count() == 1
    assert told == any("took that right" in line for line in chat.console)
    return told


@pytest.fixture
def same_origin_allowed(server: Backend, edition: Edition) -> Iterator[None]:
    """The person has switched on what gives artifacts the page's origin."""
    if front_end_of(edition.version).frames_ask_for_origin:
        pytest.skip(f"{edition.version} has no such setting")

    def set_to(allowed: bool) -> None:
        settings = server.call("GET", "/api/v1/users/user/settings").json()
        settings["ui"]["iframeSandboxAllowSameOrigin"] = allowed
        assert server.call("POST", "/api/v1/users/user/settings/update", json=settings).is_success

    set_to(True)
    yield
    set_to(False)


@pytest.mark.usefixtures("same_origin_allowed")
def test_the_setting_that_allows_the_origin_is_told_and_does_not(chat: ChatPage, say: Say) -> None:
    say(f"Here it is:\n\n{fenced('html', PAGE)}\n")
    chat.send("Draw me a chart.")
    assert_reaches_nothing(chat.page.frame_locator("iframe[title='Content']"))
    chat.expect_reply("Here it is")
    assert_untouched(chat)
    assert is_told(chat)


def test_a_cited_page_reaches_nothing(server: Backend, chat: ChatPage) -> None:
    source = {
        "source": {"name": "A cited page"},
        "document": [PAGE],
        "metadata": [{"source": "x", "html": True}],
    }
    chat.open(seeded(server, "As it says [1].", sources=[source]))
    if chat.page.get_by_text("1 Source", exact=True).count():
        chat.page.get_by_text("1 Source", exact=True).click()
    chat.page.locator("button[id^='source-']").first.click()
    assert_reaches_nothing(chat.page.locator(".modal").frame_locator("iframe"))
    assert_untouched(chat)


def test_an_embed_of_a_tool_reaches_nothing(
    server: Backend, chat: ChatPage, edition: Edition
) -> None:
    if not chat.front_end.embeds:
        pytest.skip(f"{edition.version} has no embeds")
    chat.open(seeded(server, "Look.", embeds=[PAGE]))
    assert_reaches_nothing(chat.page.locator("[id$='-embeds-0']").frame_locator("iframe"))
    assert_untouched(chat)


def test_a_file_in_an_answer_reaches_nothing(server: Backend, chat: ChatPage) -> None:
    upload = {"file": ("page.html", PAGE.encode(), "text/html")}
    file = server.call("POST", chat.front_end.upload, files=upload).json()["id"]
    chat.open(seeded(server, chat.front_end.file_in_answer.format(id=file)))
    assert_reaches_nothing(chat.replies.last.frame_locator("iframe"))
    assert_untouched(chat)


def test_a_models_description_does_not_run(server: Backend, chat: ChatPage) -> None:
    way = seizing("description")
    description = f"[click](javascript:{way.replace('(', '%28').replace(')', '%29')})"
    form = {
        "id": "hostile",
        "base_model_id": "stub",
        "name": f"<img src=x onerror={seizing('name')}>",
        "meta": {"description": f"{description} <img src=x onerror={way}>"},
        "params": {},
    }
    assert server.call("POST", "/api/v1/models/create", json=form).is_success
    try:
        chat.open("/?models=hostile")
        shown = chat.page.get_by_text("click", exact=True).first
        expect(shown).to_be_visible()
        shown.hover()
        shown.click()
        chat.page.evaluate(CONTROL)
        assert_untouched(chat)
    finally:
        for method, where in (("DELETE", "?id=hostile"), ("POST", "")):
            server.call(method, f"/api/v1/models/model/delete{where}", json={"id": "hostile"})


def look(chat: ChatPage) -> str:
    """Return an answer's nodes, without what is drawn anew each time."""
    reply = chat.replies.last
    expect(reply.locator("svg[id^='mermaid']")).to_contain_text("Start")
    expect(reply.locator(".katex")).to_have_count(2)
    expect(reply.locator("table")).to_be_visible()
    expect(reply.get_by_text("def").first).to_be_visible()
    nodes: str = reply.locator("[id^=response-content], .markdown-prose").first.inner_html()
    uuid = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    return re.sub(rf"{uuid}|\bcm-[\w-]+|ͼ\w+|(bits-)?c?\d{{4,}}", "", nodes)


def test_an_ordinary_answer_looks_as_it_does_without_the_loader(
    server: Backend, open_chat: OpenChat
) -> None:
    path = seeded(server, ORDINARY)

    def without_loader(context: BrowserContext) -> None:
        def abort(route: Route) -> None:
            route.abort()

        context.route("**/api/v1/tee/page/**", abort)

    with_loader = open_chat(server, SETTINGS, path=path)
    stock = open_chat(server, SETTINGS, path=path, prepare=without_loader)
    assert stock.page.evaluate("window.cczooTrustBadge") is None
    assert with_loader.page.evaluate("window.cczooTrustBadge") is not None
    assert look(with_loader) == look(stock)
    assert with_loader.errors == []
