"""Where badge and settings stand: beside hostile content, and where there is no such place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cczoo_installer.package import Package, examine
from playwright.sync_api import BrowserContext, FrameLocator, Locator, Page, Route, expect
from starlette.responses import HTMLResponse

from doubles.serving import serving
from e2e.browser import ChatPage, confirm_questions, tee_settings
from e2e.editions import Edition
from e2e.stack import REPO, Backend, Installation, wait_until

pytestmark = pytest.mark.once("source")

OpenChat = Callable[..., ChatPage]
ANCHORS = REPO / "patches/open-webui/anchors.json"
PLACES = json.loads(ANCHORS.read_bytes())["places"]
PATIENCE_MS = 5000  # as in web/src/places/keeper.ts


# Styles of the app and of others


# Every property of everything inside our elements, but for what follows the room that there is,
# the font, which is the app's, and variables that nothing of ours reads.
LOOK = """() => {
    const room = /^(font-family|width|height|(max-|min-)?(inline|block)-size|max-height)$/;
    const place = /^(--.*|top|right|bottom|left|inset.*|.*-origin)$/;
    const look = [];
    for (const host of document.querySelectorAll('cczoo-trust-badge, cczoo-trust-settings')) {
        for (const element of host.shadowRoot?.querySelectorAll('*') ?? []) {
            const style = getComputedStyle(element);
            const own = (name) => name === 'max-width' && element.style.maxWidth !== '';
            const names = [...style].filter(
                (name) => !room.test(name) && !place.test(name) && !own(name));
            look.push([element.localName, ...names.map((name) =>
                `${name}: ${style.getPropertyValue(name)}`)]);
        }
    }
    return look;
}"""
# Not the root's font size: the app's own setting for larger text is one, and ours follows it.
HOSTILE_STYLE = """
body * { color: #c0ffee !important; background-color: #bada55 !important; opacity: 0.9 !important;
    text-transform: uppercase !important; line-height: 4 !important; font-size: 33px !important;
    font-weight: 900 !important; font-style: italic !important; border: 3px solid lime !important;
    text-align: right !important; word-spacing: 9px !important; letter-spacing: 1em !important;
    visibility: visible !important; cursor: crosshair !important; direction: rtl !important;
    text-shadow: 1px 1px red !important; white-space: pre !important; padding: 5px !important; }
button, input, select, textarea, svg, path, [data-testid], [class] { transform: rotate(9deg); }
.badge, .button, .panel, .frame, .green, .red { background: green !important; }
:root { --text: lime; --ground: lime; --green: lime; --red: lime; --muted: lime; --line: lime; }
"""


def test_no_style_of_the_page_reaches_our_elements(bare: Backend, open_chat: OpenChat) -> None:
    chat = open_chat(bare)
    chat.expect_state("red")
    chat.open_panel()
    expect(chat.panel.get_by_test_id("tee-check").first).to_be_visible()
    assert_no_style_reaches(chat)
    chat.page.keyboard.press("Escape")
    chat.open_settings()
    assert_no_style_reaches(chat)


def assert_no_style_reaches(chat: ChatPage) -> None:
    page = chat.page
    page.mouse.move(1, 1)
    before = page.evaluate(LOOK)
    assert len(before) > 10
    disable = "off => [...document.styleSheets].forEach((sheet) => { sheet.disabled = off; })"
    page.evaluate(disable, True)
    assert page.evaluate(LOOK) == before
    page.evaluate(disable, False)
    style = page.add_style_tag(content=HOSTILE_STYLE)
    assert page.evaluate(LOOK) == before
    style.evaluate("style => style.remove()")


def in_its_row(chat: ChatPage) -> Locator:
    """Return the badge beside the message box."""
    return chat.page.locator("#chat-container form").get_by_test_id("tee-badge")


HIDDEN = """{ display: none !important; visibility: hidden !important; opacity: 0 !important;
    transform: scale(0) !important; clip-path: inset(50%) !important; }"""
SPOKEN = "{ content: 'Verified' !important; }"


def test_no_style_of_the_page_hides_the_badge_or_speaks_for_it(
    bare: Backend, open_chat: OpenChat
) -> None:
    chat = open_chat(bare)
    chat.expect_state("red")
    chat.page.add_style_tag(
        content=f"[data-tee-place], cczoo-trust-badge {HIDDEN}"
        f"cczoo-trust-badge::before, cczoo-trust-badge::after {SPOKEN}"
    )
    expect(chat.badge).to_be_visible()
    spoken = chat.page.locator("cczoo-trust-badge").evaluate(
        "host => ['::before', '::after'].map((part) => getComputedStyle(host, part).content)"
    )
    assert spoken == ["none", "none"]
    chat.open_panel()
    assert reports(chat) == []


def test_a_badge_whose_place_is_hidden_stands_in_the_corner(
    bare: Backend, open_chat: OpenChat
) -> None:
    chat = open_chat(bare)
    chat.expect_state("red")
    # Around the place, where nothing is ours.
    style = chat.page.add_style_tag(content=f":has(> [data-tee-place=badge]):not(body) {HIDDEN}")
    wait_until_told(chat, "badge")
    expect_in_corner(chat)
    style.evaluate("style => style.remove()")
    expect(in_its_row(chat)).to_be_visible()
    expect(chat.badge).to_have_count(1)
    assert reports(chat) == [{"v": 1, "missing": ["badge"]}]


# What a model answers


ANSWERED = (
    '<div class="fake"><div data-tee-place="badge"></div><div data-tee-place="settings"></div>'
    '<cczoo-trust-badge data-state="green">Verified</cczoo-trust-badge>'
    "<cczoo-trust-settings>Off</cczoo-trust-settings>"
    '<form><div class="self-end flex space-x-1 mr-1"></div></form>'
    '<div id="tab-general"><div class="overflow-y-auto"><p>General</p></div></div></div>'
)
# What makes 0.5.20 take an answer's markup for markup.
CARRIER = '<iframe src="/api/v1/files/none"></iframe>'
STYLES = "[data-tee-place], cczoo-trust-badge { outline: 7px solid lime !important; }"


@pytest.mark.smoke
def test_an_answer_gets_no_badge_no_settings_and_changes_none(
    bare: Backend, open_chat: OpenChat
) -> None:
    chat = open_chat(bare)
    chat.send(ANSWERED + CARRIER)
    chat.expect_reply("You said:")
    chat.expect_state("red")
    # And what no version lets through by itself.
    answer = chat.replies.last
    answer.evaluate("(answer, html) => answer.insertAdjacentHTML('beforeend', html)", ANSWERED)
    # What the loader does about new nodes, it has done once the settings are there.
    settings = chat.open_settings()
    expect(settings).to_have_count(1)
    chat.close_settings()

    assert shown_in(answer, "[data-tee-place]") == [""] * places_in(answer)
    assert set(shown_in(answer, "cczoo-trust-badge, cczoo-trust-settings")) == {""}
    assert answer.locator("[data-tee-place] *").count() == 0
    expect(chat.badge).to_have_count(1)
    expect(chat.panel).to_be_hidden()
    assert set(chat.states()) <= {"pending", "red"}
    assert chat.errors == []


@pytest.mark.smoke
def test_an_answer_brings_no_style_for_the_page(bare: Backend, open_chat: OpenChat) -> None:
    chat = open_chat(bare)
    chat.expect_state("red")
    style = f"<style>{STYLES}</style><link rel='stylesheet' href='/api/v1/files/x/content'>"
    for answer in (f"<div>{style}{CARRIER}</div>", f"<div>{style}<video></video></div>"):
        chat.send(answer)
        chat.expect_reply("You said:")
        expect(chat.replies.last.locator("style, link[rel=stylesheet]")).to_have_count(0)
    outlines = chat.page.locator("[data-tee-place], cczoo-trust-badge").evaluate_all(
        "elements => elements.map((element) => getComputedStyle(element).outlineWidth)"
    )
    assert outlines
    assert "7px" not in outlines


def places_in(answer: Locator) -> int:
    """Count the places that an answer brings: those that we put there, and what came alive."""
    count = answer.locator("[data-tee-place]").count()
    assert count >= 2
    return count


def shown_in(answer: Locator, selector: str) -> list[str]:
    """Return what these elements of an answer show of ours."""
    shown: list[str] = answer.locator(selector).evaluate_all(
        "elements => elements.map((e) => e.shadowRoot ? e.shadowRoot.innerHTML.replace("
        "/<!--.*?-->/g, '') : e.querySelector('cczoo-trust-badge')?.shadowRoot?.innerHTML ?? '')"
    )
    return shown


# An open-webui with another layout


class OtherLayout:
    """Serves the front end with other class names where our anchors are, and without our places.

    What has one of the ``ids`` has another one, too.
    """

    def __init__(self, front_end: Path, *ids: str) -> None:
        self.altered: dict[str, str] = {}
        for file in (front_end / "_app").rglob("*.js"):
            text = file.read_text(encoding="utf-8", errors="replace")
            if (altered := with_other_ids(without_anchors(text), *ids)) != text:
                self.altered["/" + file.relative_to(front_end).as_posix()] = altered

    def __call__(self, context: BrowserContext) -> None:
        context.route("**/_app/**/*.js", self._serve)

    def _serve(self, route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path in self.altered:
            route.fulfill(body=self.altered[path], content_type="text/javascript")
        else:
            route.continue_()


def without_anchors(script: str) -> str:
    """Return a script of the front end with other class names at the anchors."""
    for name, classes in (("badge", "self-end"), ("settings", "overflow-y-")):
        if any(anchor["markup"] in script for anchor in PLACES[name]["anchors"]):
            script = script.replace(classes, "other-")
    return script.replace("data-tee-place", "data-other-place")


def with_other_ids(script: str, *ids: str) -> str:
    """Return a script of the front end that gives and looks for other ids."""
    for name in ids:
        script = script.replace(f'"{name}"', f'"other-{name}"').replace(
            f"#{name}", f"#other-{name}"
        )
    return script


def reports(chat: ChatPage) -> list[Any]:
    """Return what the page has told the server that it lacks."""
    return [request.post_data_json for request in chat.requests_to("/api/v1/tee/report")]


def test_where_there_is_no_place_the_badge_is_in_the_corner_and_everybody_is_told(
    bare: Backend, installation: Installation, open_chat: OpenChat
) -> None:
    layout = OtherLayout(installation.front_end, "chat-container")
    chat = open_chat(bare, tee_settings("trustee"), prepare=layout)
    chat.expect_state("red")
    expect_in_corner(chat)
    assert reports(chat) == [{"v": 1, "missing": ["badge"]}]
    assert any(line.startswith("warning: ") and "badge" in line for line in chat.console)
    wait_until(lambda: "has no place for: badge" in bare.log(), "warning", seconds=20)

    chat.send("Still there?")
    chat.expect_reply("Still there?")
    chat.expect_state("red")
    expect(chat.badge).to_be_visible()

    chat.page.keyboard.press("Control+.")
    wait_until_told(chat, "settings")
    wait_until(lambda: "has no place for: settings" in bare.log(), "warning", seconds=20)
    chat.page.keyboard.press("Escape")
    chat.open_panel().get_by_test_id("tee-open-settings").click()
    switch = chat.page.get_by_test_id("tee-settings").get_by_test_id("tee-enabled")
    switch.click()
    chat.expect_state("off")
    assert chat.stored_settings()["enabled"] is False
    inside = chat.panel.bounding_box()
    assert inside is not None
    assert inside["x"] >= 0
    assert inside["y"] >= 0
    assert reports(chat) == [{"v": 1, "missing": [name]} for name in ("badge", "settings")]
    assert chat.errors == []


def expect_in_corner(chat: ChatPage) -> None:
    """Assert that there is one badge, in the corner of the window."""
    badge = chat.badge.locator("visible=true")
    expect(badge).to_have_count(1)
    box, view = badge.bounding_box(), chat.page.viewport_size
    assert box is not None
    assert view is not None
    assert 0 <= view["width"] - (box["x"] + box["width"]) < 40
    assert 0 <= view["height"] - (box["y"] + box["height"]) < 40


def test_where_nothing_has_its_name_the_badge_is_in_the_corner_all_the_same(
    bare: Backend, installation: Installation, open_chat: OpenChat
) -> None:
    chat = open_chat(bare)
    OtherLayout(installation.front_end, "chat-container", "chat-input")(chat.page.context)
    chat.page.reload()
    wait_until_told(chat, "badge")
    chat.expect_state("red")
    expect_in_corner(chat)
    expect(chat.page.locator("#chat-container, #chat-input")).to_have_count(0)
    assert reports(chat) == [{"v": 1, "missing": ["badge"]}]


@pytest.mark.smoke
def test_pages_without_a_chat_report_nothing(bare: Backend, open_chat: OpenChat) -> None:
    chat = open_chat(bare)
    context = chat.page.context
    pages = []
    for path in ("/admin/settings", "/workspace/prompts/create", "/s/none"):
        pages.append(ChatPage(context.new_page(), bare.url))
        pages[-1].page.goto(bare.url + path)
    assert context.browser is not None
    stranger = ChatPage(context.browser.new_page(), bare.url)
    stranger.page.goto(bare.url)
    expect(stranger.page.locator("input[type=password]")).to_be_visible()
    stranger.page.wait_for_timeout(2 * PATIENCE_MS)
    assert [reports(page) for page in (chat, *pages, stranger)] == [[], [], [], [], []]
    stranger.page.close()


def wait_until_told(chat: ChatPage, name: str) -> None:
    """Wait for the page to tell the server that this place is missing."""
    for _ in range(400):
        if {"v": 1, "missing": [name]} in reports(chat):
            return
        chat.page.wait_for_timeout(50)
    pytest.fail(f"the server was not told about {name}: {reports(chat)}")


# In frames


def show_in_frame(chat: ChatPage, url: str) -> FrameLocator:
    """Show the app in a frame of the page that is open."""
    chat.page.evaluate(
        "(src) => document.body.append(Object.assign(document.createElement('iframe'),"
        " { src, id: 'app', width: 1200, height: 700 }))",
        url,
    )
    return chat.page.frame_locator("#app")


def test_a_portal_that_shows_the_app_in_a_frame_shows_its_badge(
    bare: Backend, open_chat: OpenChat
) -> None:
    chat = open_chat(bare)
    # Another origin of the same site: the app itself needs its storage, which frames of other
    # sites do not get in every browser.
    with serving(lambda _url: HTMLResponse("Portal")) as portal:
        chat.page.goto(portal)
        badge = show_in_frame(chat, bare.url).get_by_test_id("tee-badge")
        expect(badge).to_have_attribute("data-state", "red", timeout=30_000)


def test_the_app_shows_no_second_badge_in_a_frame_of_its_own(
    bare: Backend, open_chat: OpenChat
) -> None:
    """What the app shows in a frame has not this origin: the app itself does not run there."""
    chat = open_chat(bare)
    chat.expect_state("red")
    frame = show_in_frame(chat, bare.url)
    chat.page.wait_for_timeout(3000)
    expect(frame.get_by_test_id("tee-badge")).to_have_count(0)
    sandbox = chat.page.locator("#app").get_attribute("sandbox")
    assert sandbox is not None
    assert "allow-same-origin" not in sandbox


# Where the kit's own anchors are


@pytest.mark.smoke
def test_both_places_are_there_once_in_every_kind_of_chat(
    bare: Backend, open_chat: OpenChat
) -> None:
    chat = open_chat(bare)
    badge = in_its_row(chat)
    for path in ("/", "/?temporary-chat=true"):
        chat.open(path)
        expect(badge).to_have_count(1)
        chat.send("Are you there?")
        chat.expect_reply("Are you there?")
        expect(badge).to_have_count(1)
        expect(chat.badge).to_have_count(1)
    block = chat.open_settings()
    expect(block).to_have_count(1)
    # In the part of the dialog that scrolls, with the language above and the system prompt below.
    theme = chat.page.locator('select:has(option[value="oled-dark"])').bounding_box()
    prompt = chat.system_prompt.bounding_box()
    ours = block.bounding_box()
    assert theme is not None
    assert prompt is not None
    assert ours is not None
    assert theme["y"] < ours["y"]
    assert ours["y"] + ours["height"] <= prompt["y"]
    assert reports(chat) == []


# Users of every kind


@dataclass(frozen=True)
class Somebody:
    """What a page needs to know of a backend, for somebody who is signed in there."""

    url: str
    token: str


@pytest.fixture(scope="module")
def plain_user(bare: Backend) -> Iterator[Somebody]:
    """A user who is no administrator, and who may not set the parameters of a chat."""
    address = "/api/v1/users/default/permissions"
    before = bare.call("GET", address).json()
    without = {**before, "chat": {**before["chat"], "controls": False}}
    if "system_prompt" in without["chat"]:
        without["chat"]["system_prompt"] = False
    assert bare.call("POST", address, json=without).is_success
    account = {"name": "Eve", "email": "eve@example.com", "password": "x", "role": "user"}
    token = str(bare.call("POST", "/api/v1/auths/add", json=account).json()["token"])
    version = bare.call("GET", "/api/version").json()["version"]
    settings = {"ui": {"version": version}}  # what closing the "What's new" dialog does
    bare.call("POST", "/api/v1/users/user/settings/update", json=settings, token=token)
    yield Somebody(bare.url, token)
    bare.call("POST", address, json=before)


# The place of the first anchor of a list that is in the page, as Finder does it.
FIRST_THAT_FITS = """selectors => selectors.findIndex((selector) =>
    [...document.querySelectorAll(selector)].some((element) => !element.closest('.prose')))"""


def fitting(page: Page, name: str) -> int:
    """Return the number of the anchor by which this page gets its place."""
    selectors = [anchor["selector"] for anchor in PLACES[name]["anchors"]]
    return int(page.evaluate(FIRST_THAT_FITS, selectors))


@pytest.mark.smoke
def test_every_anchor_of_this_version_is_somebodys(
    bare: Backend, plain_user: Somebody, open_chat: OpenChat, edition: Edition
) -> None:
    found: dict[str, set[int]] = {"badge": set(), "settings": set()}
    for user in (bare, plain_user):
        chat = open_chat(user)
        chat.expect_state("red")
        expect(in_its_row(chat)).to_be_visible()
        found["badge"].add(fitting(chat.page, "badge"))
        expect(chat.open_settings()).to_have_count(1)
        found["settings"].add(fitting(chat.page, "settings"))
        assert reports(chat) == []
    for name, numbers in found.items():
        if not edition.is_listed:
            assert -1 not in numbers  # nothing says which: any of them will do
            continue
        anchors = enumerate(PLACES[name]["anchors"])
        listed = {n for n, anchor in anchors if edition.version in anchor["versions"]}
        assert numbers <= listed
        # A patch makes places where no anchor is needed.
        assert numbers == listed or edition.way == "source"


@pytest.mark.smoke
def test_an_examination_finds_all_in_this_version(
    installation: Installation, tmp_path: Path
) -> None:
    package = Package(installation.package, tmp_path, is_elsewhere=True)
    findings = examine(package, ANCHORS)
    signs = sum("expected" in place for place in PLACES.values())
    assert len(findings) == 3 + len(PLACES) + signs  # of the code, of places, and their signs
    assert [finding.what for finding in findings if not finding.found] == []

    unknown = json.loads(ANCHORS.read_bytes())
    for site in unknown["places"].values():
        for sign in site.get("expected", ()):
            sign["markup"] = "no such text"
    (tmp_path / "anchors.json").write_text(json.dumps(unknown))
    missing = [f.what for f in examine(package, tmp_path / "anchors.json") if not f.found]
    assert missing == ["a sign that badge belongs there", "a sign that settings belongs there"]


# Before the app


@pytest.mark.smoke
def test_the_app_does_nothing_before_the_loader_has_run(bare: Backend, open_chat: OpenChat) -> None:
    page = open_chat(bare).page.context.new_page()
    confirm_questions(page)
    held: list[Route] = []
    asked: list[str] = []
    page.route("**/api/v1/tee/page/loader*", lambda route: held.append(route))
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page.goto(bare.url, wait_until="commit")
    page.wait_for_timeout(1000)
    assert len(held) == 1
    others = [path for path in asked if path.startswith("/api/") and "/tee/page/" not in path]
    assert others == []
    held[0].continue_()
    expect(page.get_by_test_id("tee-badge")).to_have_attribute("data-state", "red")
    assert "/api/config" in asked
