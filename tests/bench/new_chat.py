"""From a click on New Chat to a final badge, in Chromium.

With a local attestation service, and verified in the page itself; on emulated hardware under a TEST
root that service and page take for Intel's, so that the badge ends green.
"""

from __future__ import annotations

import functools
import logging
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from bench.attester import REAL_LATENCY_SECONDS
from bench.open_webui import copied_environment, edition, running
from bench.rows import Limit, row
from doubles import pccs
from doubles.serving import serving
from e2e.browser import CHROMIUM, CHROMIUM_FLAGS, ChatPage, signed_in_context, tee_settings
from e2e.stack import REPO, Backend, announcing_server
from emulator import Emulator
from quote_generator.simulator import Simulator

PKI = "TEST"
ROUNDS, WARM_UP = 40, 4
LIMIT = Limit(200)  # ms
PATIENCE_MS = 20_000

# [selectors of New Chat, best first] -> [milliseconds, state]; a `setTimeout` step is 4 ms.
CLICK = """async ([selectors, patience]) => {
	const button = selectors.map((selector) => document.querySelector(selector)).find(Boolean);
	const result = () => {
		const pending = window.__states.indexOf('pending');
		return pending < 0 ? undefined : window.__states[pending + 1];
	};
	window.__states = [];
	const began = performance.now();
	button.click();
	while (!result()) {
		if (performance.now() - began > patience) throw new Error('no new result of the badge');
		await new Promise((resolve) => setTimeout(resolve, 1));
	}
	return [performance.now() - began, result()];
}"""
NEW_CHAT = ["#sidebar-new-chat-button", "#new-chat-button"]

# Milliseconds for one quote, from the request to the last byte.
FETCH = """async (patience) => {
	const nonce = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32))))
		.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
	const headers = { Authorization: `Bearer ${localStorage.token}` };
	const signal = AbortSignal.timeout(patience);
	const began = performance.now();
	const answer = await fetch(`/api/v1/tee/quote?nonce=${nonce}`, { headers, signal });
	await answer.arrayBuffer();
	if (!answer.ok) throw new Error(`a quote request was answered with ${answer.status}`);
	return performance.now() - began;
}"""


def time_new_chat() -> None:
    """A final badge in a new chat, against one quote fetched by the same page."""
    with tempfile.TemporaryDirectory() as scratch, app_in_browser(Path(scratch)) as app:
        for provider, settings in app.providers.items():
            badge, quote = _times(app.open(settings))
            name = f"{edition()}: New Chat to green, {provider}"
            row(name, badge, "one quote by fetch", quote, "ms", limit=LIMIT)


@dataclass
class AppInBrowser:
    """A running open-webui and a browser; ``providers`` are settings of the badge, by name."""

    backend: Backend
    browser: Browser
    providers: dict[str, dict[str, Any]]
    beside: Callable[..., AbstractContextManager[Backend]]
    """A second server like it, with these environment variables more."""

    def open(self, settings: dict[str, Any]) -> Page:
        """A page of the app whose badge has come to its first result."""
        context = signed_in_context(self.browser, self.backend.url, self.backend.token, settings)
        chat = ChatPage(context.new_page(), self.backend.url).open()
        chat.expect_state("green")
        return chat.page


@contextmanager
def app_in_browser(scratch: Path) -> Iterator[AppInBrowser]:
    """All that a chat with a green badge takes."""
    platform = Simulator.open(scratch / "pki", name=PKI)
    plugin = copied_environment(scratch / "environment")
    plugin.pin_root(platform.root_der)
    plugin.install()
    python = {"PYTHONPATH": str(REPO / "tests")}
    with ExitStack() as stack:
        ready = stack.enter_context
        model = [sys.executable, "-m", "doubles.model"]
        models = ready(announcing_server(model, log=scratch / "model.log", env=python))
        collateral = ready(serving(lambda _: pccs.create_app(platform)))
        # It runs in this process, and would tell of its end.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        kernel = ready(
            Emulator(state=platform.directory, prefix=PKI, fault="slow", slow=REAL_LATENCY_SECONDS)
        )
        beside = functools.partial(
            running, plugin, kernel, model=models["url"], TEE_PCCS_URL=collateral
        )
        backend = ready(beside())
        root = str(platform.directory / "root.pem")
        serve = [sys.executable, "-m", "doubles.genuine", root, "serve", "--port", "0"]
        serve += ["--root", root]
        serve += ["--collateral", str(platform.directory / "collateral.json")]
        serve += ["--cors-origin", backend.url]
        service = ready(announcing_server(serve, log=scratch / "service.log", env=python))
        playwright = ready(sync_playwright())
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        stack.callback(browser.close)
        yield AppInBrowser(
            backend,
            browser,
            {
                "local service": tee_settings("trustee", trustee=service["url"]),
                "in the page": tee_settings("dcap"),
            },
            beside,
        )


def _times(page: Page) -> list[float]:
    """Median milliseconds from New Chat to the badge, and of a quote; they take turns."""
    badges, quotes = [], []
    for _ in range(WARM_UP + ROUNDS):
        taken, state = page.evaluate(CLICK, [NEW_CHAT, PATIENCE_MS])
        if state != "green":
            raise ValueError(f"the badge ended {state}, not green")
        badges.append(taken)
        quotes.append(page.evaluate(FETCH, PATIENCE_MS))
    page.context.close()
    return [statistics.median(times[WARM_UP:]) for times in (badges, quotes)]
