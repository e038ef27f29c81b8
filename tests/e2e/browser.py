"""What a person does and sees in the page, in the words of the tests."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, Page, Request, expect

from e2e.editions import by_age, this_edition

CHROMIUM = "/usr/bin/chromium"
# Of the address bar, which nobody sees here: two pages for each tab, half of what a tab costs.
UNSEEN = ("WebUIOmniboxPopup", "WebUIOmniboxAimPopup")
# What Playwright switches off: Chromium heeds the last list only, and ours comes after its own.
UNWANTED = (
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    "LensOverlay",
    "MediaRouter",
    "PaintHolding",
    "ThirdPartyStoragePartitioning",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "AimEnabled",
    "PreconnectToSearch",
)
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-features={','.join(UNWANTED + UNSEEN)}",
    # A microphone that beeps.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
SETTINGS_KEY = "tee.settings"
# In the order of web/src/base/checks.ts; verifier/checks.py has the same ids.
CHECKS = [
    "secure-context",
    "evidence-format",
    "nonce-binding",
    "key-binding",
    "event-log",
    "workload",
    "token-signature",
    "token-claims",
    "quote-signature",
    "collateral",
    "tcb-status",
    "td-attributes",
    "reference-values",
    "appraisal",
    "settings",
    "not-simulated",
]
FINAL_STATES = ("green", "amber", "red", "off")

# Runs before any script of the page: writes down every state that the badge is ever in, so that
# a state that lasts one frame can not be missed. The badge is in the shadow roots of our elements,
# a new one of which comes with each row that the app builds.
OBSERVER = """
(() => {
	const roots = [];
	const badges = () => roots
		.filter((root) => root.host.isConnected)
		.map((root) => root.querySelector('[data-testid=tee-badge]'))
		.filter((badge) => badge !== null);
	window.__badge = () => badges()[0] ?? null;
	window.__states = [];
	const note = () => {
		const state = window.__badge()?.dataset.state;
		if (state && window.__states.at(-1) !== state) window.__states.push(state);
	};
	// A badge that begins its life outside the page comes into it without a change of its own.
	new MutationObserver(note).observe(document, { subtree: true, childList: true });
	const attach = Element.prototype.attachShadow;
	Element.prototype.attachShadow = function (options) {
		const root = attach.call(this, options);
		if (this.localName === 'cczoo-trust-badge') {
			roots.push(root);
			new MutationObserver(note).observe(root, {
				subtree: true, childList: true, attributes: true, attributeFilter: ['data-state']
			});
		}
		return root;
	};
})();
"""
# Runs before any script of the page: marks what a profile brings along, as the kit's form would
# have (web/src/session/marks.ts). Only a profile without marks gets any, so that nothing which
# happens later is marked by it. It also runs in the app's frames, some of which have no storage.
MARKS = """
((name) => {
	if (window !== window.top || localStorage.getItem(name) === null) return;
	const opening = indexedDB.open('tee', 1);
	opening.onupgradeneeded = () => {
		opening.result.createObjectStore('marks').put(localStorage.getItem(name), name);
	};
	opening.onsuccess = () => opening.result.close();
})(%s);
"""
REGENERATE_MENU = ("[aria-label='Regenerate']:visible", "text='Try Again'")


@dataclass(frozen=True)
class FrontEnd:
    """Where the versions of open-webui's page differ: selectors, and what an answer may bring.

    ``regenerate`` is clicked one after the other. ``frames_ask_for_origin``: an artifact's frame
    does, always; elsewhere by a setting. ``embeds``: tools can bring pages. ``file_in_answer`` is
    how an answer shows the file ``{id}``, which was sent to ``upload``.
    ``attaches`` files where it is asked to; ``hears`` without a program of the system (ffprobe).
    ``end_recording`` is the button that has it heard.
    ``chats_settings`` is where the settings import and ``export`` chats, and ``command`` how a
    prompt's is written down. ``sends_links``: what an address asks (`?q=`) goes by itself.
    ``notes`` are there, and ``queues`` of messages written while an answer still comes.
    """

    since: str
    system_prompt: str
    regenerate: tuple[str, ...]
    frames_ask_for_origin: bool = False
    embeds: bool = True
    file_in_answer: str = '<file type="html" id="{id}">'
    upload: str = "/api/v1/files/?process=false"
    attaches: bool = True
    hears: bool = True
    end_recording: str = "#confirm-recording-button"
    chats_settings: str = "Data Controls"
    export: str = "Export"
    command: str = "{name}"
    sends_links: bool = True
    notes: bool = True
    queues: bool = True


# Oldest first; what is true of a version stays true until another one differs.
FRONT_ENDS = (
    FrontEnd(
        "0.5.20",
        "textarea[rows='4']",
        (".regenerate-response-button:visible",),
        frames_ask_for_origin=True,
        embeds=False,
        file_in_answer="{{{{HTML_FILE_ID_{id}}}}}",
        upload="/api/v1/files/",
        attaches=False,
        hears=False,
        end_recording="button:has(path[d='m4.5 12.75 6 6 9-13.5']):visible",
        chats_settings="Chats",
        export="Export Chats",
        command="/{name}",
        notes=False,
        queues=False,
    ),
    FrontEnd("0.6.43", "textarea[rows='4']", REGENERATE_MENU, queues=False),
    FrontEnd(
        "0.12.4",
        "textarea[placeholder='Enter system prompt here']",
        REGENERATE_MENU,
        sends_links=False,
    ),
)
# In the bar above the chat, and in the side bar: not every version has both.
NEW_CHAT = (
    ":is(#new-chat-button, #sidebar-new-chat-button, a[aria-label='New Chat']):not([inert] *)"
)
# From 0.6.43 on the button that makes a note of the text has the same id.
SEND = "#send-message-button[type=submit]"


def front_end_of(version: str) -> FrontEnd:
    """Return how the page of a version is operated."""
    return [page for page in FRONT_ENDS if by_age(page.since) <= by_age(version)][-1]


def tee_settings(
    provider: str | None = None,
    *,
    enabled: bool = True,
    alibaba: str = "",
    trustee: str = "",
    trustee_keys: str = "",
    alibaba_keys: str = "",
    **more: Any,
) -> dict[str, Any]:
    """Return what the settings block stores in the browser; ``more`` are further members."""
    return {
        "v": 1,
        "enabled": enabled,
        "provider": provider,
        "addresses": {"alibaba": alibaba, "trustee": trustee},
        "keys": {"alibaba": alibaba_keys, "trustee": trustee_keys},
        **more,
    }


def signed_in_context(
    browser: Browser,
    url: str,
    token: str,
    settings: dict[str, Any] | None,
    *,
    theme: str = "light",
    language: str = "en-US",
    marked: bool = True,
    **options: Any,
) -> BrowserContext:
    """Return a browser profile that is signed in, with these settings of the badge stored.

    ``marked``: as if by the kit's own form.
    """
    stored = {"token": token, "locale": language, "theme": theme}
    if settings is not None:
        stored[SETTINGS_KEY] = json.dumps(settings)
    items = [{"name": name, "value": value} for name, value in stored.items()]
    options.setdefault("viewport", {"width": 1280, "height": 800})
    context = browser.new_context(
        locale=language,
        storage_state={"cookies": [], "origins": [{"origin": url, "localStorage": items}]},
        **options,
    )
    context.add_init_script(OBSERVER)
    if settings is not None and marked:
        context.add_init_script(MARKS % json.dumps(SETTINGS_KEY))
    context.set_default_timeout(20_000)
    context.set_default_navigation_timeout(45_000)
    return context


def confirm_questions(page: Page) -> None:
    """Be somebody who goes on whatever is found."""
    asked = page.get_by_test_id("tee-question").get_by_test_id("tee-confirm")
    # It goes by itself where nothing waits for an answer any more.
    click = "buttons => buttons.forEach((button) => button.click())"
    page.add_locator_handler(asked, lambda it: it.evaluate_all(click))


class ChatPage:
    """One open chat page; ``confirms`` unless a test is about what its person is asked."""

    def __init__(self, page: Page, url: str, *, confirms: bool = True):
        self.page = page
        self.url = url
        self.front_end = front_end_of(this_edition().version)
        self.requests: list[Request] = []
        self.dialogs: list[str] = []
        self.errors: list[str] = []
        self.console: list[str] = []
        page.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))
        page.on("request", lambda request: self.requests.append(request))
        page.on("dialog", self._dialog)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        if confirms:
            confirm_questions(page)

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def console_tail(self, lines: int = 30) -> str:
        """What the page wrote to its console last."""
        return "\n".join(each[:300] for each in self.console[-lines:])

    def open(self, path: str = "/") -> ChatPage:
        """Open a page of the app and wait until one could type a message."""
        self.page.goto(self.url + path)
        expect(self.input).to_be_visible(timeout=45_000)
        return self

    def reload(self) -> ChatPage:
        """Reload the page and wait until one could type a message."""
        self.page.reload()
        expect(self.input).to_be_visible(timeout=45_000)
        return self

    # The badge

    @property
    def badge(self) -> Locator:
        return self.page.get_by_test_id("tee-badge")

    @property
    def panel(self) -> Locator:
        return self.page.get_by_test_id("tee-panel")

    def state(self) -> str | None:
        """Return the badge's state now."""
        return self.badge.get_attribute("data-state")

    def settle(self, *, seconds: float = 30) -> str:
        """Wait until the badge has come to a result and return it."""
        selector = ", ".join(f'[data-testid="tee-badge"][data-state="{s}"]' for s in FINAL_STATES)
        self.page.locator(selector).wait_for(timeout=seconds * 1000)
        return str(self.state())

    def expect_state(self, state: str, *, seconds: float = 30) -> None:
        """Wait until the badge is in this state."""
        expect(self.badge).to_have_attribute("data-state", state, timeout=seconds * 1000)

    def states(self) -> list[str]:
        """Return every state the badge has been in since the page was loaded."""
        return list(self.page.evaluate("window.__states"))

    def results(self) -> list[str]:
        """Return the results among ``states``: the app, and its badge, may come after the first."""
        return [state for state in self.states() if state != "pending"]

    def open_panel(self) -> Locator:
        """Pin the panel open by a click."""
        for _ in range(3):  # answering a question is a click outside, which closes it
            if not self.panel.is_visible():
                self.badge.click()
            with contextlib.suppress(AssertionError):
                expect(self.panel).to_be_visible(timeout=5_000)
                break
        expect(self.panel).to_be_visible()
        return self.panel

    def recheck(self) -> str:
        """Ask for another attestation and return its result; ``states`` begins anew with it."""
        self.open_panel()
        self.page.evaluate("window.__states = []")
        self.panel.get_by_test_id("tee-recheck").click()
        self.page.wait_for_function("window.__states.includes('pending')")
        self.page.evaluate("window.__states.splice(0, window.__states.indexOf('pending'))")
        return self.settle()

    def reason(self) -> str:
        """Return the panel's headline."""
        return self.open_panel().get_by_test_id("tee-reason").inner_text()

    def checks(self) -> dict[str, str]:
        """Return each check's outcome, of every check that the panel lists."""
        rows = self.open_panel().get_by_test_id("tee-check")
        pairs: list[list[str]] = rows.evaluate_all(
            "rows => rows.map(r => [r.dataset.check, r.dataset.outcome])"
        )
        return {row[0]: row[1] for row in pairs}

    def faults(self) -> dict[str, str]:
        """Return the reason's code of each check that warns or failed, but not for another's."""
        rows = self.open_panel().get_by_test_id("tee-check")
        found: list[list[str]] = rows.evaluate_all(
            "rows => rows.map(r => [r.dataset.check, r.dataset.outcome, r.dataset.code])"
        )
        return {
            check: code
            for check, outcome, code in found
            if outcome in ("warn", "fail") and code != "not-run"
        }

    def row(self, check: str) -> Locator:
        """Return the panel's row of a check, with the step open that it belongs to."""
        row = self.open_panel().locator(f"[data-testid=tee-check][data-check={check}]")
        row.evaluate("row => { row.closest('details').open = true; }")
        return row

    def accept(self) -> None:
        """Accept what has changed, and confirm it."""
        self.open_panel().get_by_test_id("tee-accept").click()
        self.panel.get_by_test_id("tee-accept-confirm").click()

    def fields(self) -> dict[str, str]:
        """Return each value that the panel shows."""
        rows = self.open_panel().get_by_test_id("tee-field")
        pairs: list[list[str]] = rows.evaluate_all(
            "rows => rows.map(r => [r.dataset.field, r.textContent.trim()])"
        )
        return {row[0]: row[1] for row in pairs}

    def requests_to(self, *parts: str) -> list[Request]:
        """Return the requests so far whose address contains one of ``parts``."""
        return [r for r in self.requests if any(part in r.url for part in parts)]

    # The chat

    @property
    def input(self) -> Locator:
        return self.page.locator("#chat-input")

    @property
    def replies(self) -> Locator:
        return self.page.locator(".chat-assistant")

    def send(self, text: str) -> None:
        """Write a message and send it."""
        self.input.click()
        self.page.keyboard.insert_text(text)
        self.page.locator(SEND).click()

    def regenerate(self) -> None:
        """Ask for another reply in the place of the last."""
        for selector in self.front_end.regenerate:
            self.page.locator(selector).last.click()

    @property
    def last_message(self) -> Locator:
        return self.page.locator("[id^='message-']:not(#message-input-container)").last

    def new_chat(self) -> None:
        """Begin another chat by the app's own button."""
        self.page.locator(NEW_CHAT).locator("visible=true").first.click()

    def expect_reply(self, text: str, *, seconds: float = 30) -> None:
        """Wait for the last reply to hold ``text`` and to be complete."""
        expect(self.replies.last).to_contain_text(text, timeout=seconds * 1000)
        expect(self.page.locator(".regenerate-response-button").last).to_be_attached(
            timeout=seconds * 1000
        )

    # Settings

    def open_settings(self) -> Locator:
        """Open the General tab of the settings and return the badge's block in it."""
        self.page.keyboard.press("Control+.")
        block = self.page.get_by_test_id("tee-settings")
        expect(block).to_be_visible()
        block.scroll_into_view_if_needed()
        return block

    def show_parameters(self) -> None:
        """Open the General tab of the settings, and the model's parameters in it.

        The tab fills itself in once it has loaded the names of languages, and not before.
        """
        self.open_settings()
        languages = self.page.locator(".modal select option[value='en-US']")
        expect(languages.first).to_be_attached(timeout=45_000)
        self.page.locator(".modal").get_by_text("Show", exact=True).first.click()

    @property
    def seed(self) -> Locator:
        """The button that gives the seed a value of its own, and takes it away."""
        return self.page.get_by_text("Seed", exact=True).locator(
            "xpath=ancestor::div[.//button][1]//button"
        )

    @property
    def system_prompt(self) -> Locator:
        return self.page.locator(".modal").locator(self.front_end.system_prompt)

    def close_settings(self) -> None:
        """Close the settings dialog."""
        self.page.keyboard.press("Escape")
        expect(self.page.get_by_test_id("tee-settings")).to_be_hidden()

    def stored_settings(self) -> dict[str, Any]:
        """Return the settings as they are in the browser's storage."""
        return dict(json.loads(self.page.evaluate(f"localStorage.getItem('{SETTINGS_KEY}')")))


def only_local(requests: Iterable[Request], url: str) -> list[str]:
    """Return the addresses among ``requests`` that are not on the server at ``url``."""
    return [r.url for r in requests if not r.url.startswith((url, "data:", "blob:", "ws:"))]
