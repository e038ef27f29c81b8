"""From evidence received to a verdict, in Chromium, against a likeness of Trustee v0.21.

The page checks what it got, sends it once, and judges the token that comes back. The baseline is
the service alone: the same body, posted by the same page.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Page, Request

from bench.new_chat import NEW_CHAT, PATIENCE_MS, AppInBrowser, app_in_browser
from bench.open_webui import edition
from bench.rows import detail, row
from doubles.trustee.service import ATTESTATION
from e2e.browser import tee_settings
from e2e.stack import REPO, announcing_server
from e2e.trustees import setup

ROUNDS, WARM_UP = 30, 3

# [selectors of New Chat, best first] -> [milliseconds, state], counted from the evidence's last
# byte; a `setTimeout` step is 4 ms.
VERDICT = """async ([selectors, patience]) => {
	const button = selectors.map((selector) => document.querySelector(selector)).find(Boolean);
	const result = () => {
		const pending = window.__states.indexOf('pending');
		return pending < 0 ? undefined : window.__states[pending + 1];
	};
	window.__states = [];
	performance.clearResourceTimings();
	const began = performance.now();
	button.click();
	while (!result()) {
		if (performance.now() - began > patience) throw new Error('no new result of the badge');
		await new Promise((resolve) => setTimeout(resolve, 1));
	}
	const ended = performance.now();
	const loaded = performance.getEntriesByType('resource');
	const quotes = loaded.filter(({ name }) => name.includes('/api/v1/tee/quote'));
	if (quotes.length !== 1) throw new Error(`${quotes.length} quotes for one result`);
	return [ended - quotes[0].responseEnd, result()];
}"""

# [address, body, patience] -> milliseconds, from the request to the token's last byte. Asked by the
# frame that the page has for it: its own policy lets it ask no service.
POST = """async ([address, body, patience]) => {
	const courier = document.querySelector("iframe[src*='/tee/courier?']").contentWindow;
	const signal = courier.AbortSignal.timeout(patience);
	const headers = { 'Content-Type': 'application/json' };
	const began = performance.now();
	const answer = await courier.fetch(address, { method: 'POST', headers, body, signal });
	await answer.text();
	if (!answer.ok) throw new Error(`evidence was answered with ${answer.status}`);
	return performance.now() - began;
}"""


def time_evidence_to_verdict() -> None:
    """A verdict after evidence came, against the service's answer to the same evidence."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        app_in_browser(Path(scratch)) as app,
        _trustee(Path(scratch), app) as service,
    ):
        verdicts, answers, posts = _times(
            app.open(tee_settings("trustee", trustee=service)), service
        )
        name = f"{edition()}: evidence to verdict, Trustee 0.21"
        row(name, verdicts, "the service alone", answers, "ms")
        detail("evidence sent, for each verdict", posts, "x")


@contextmanager
def _trustee(scratch: Path, app: AppInBrowser) -> Iterator[str]:
    """The address of a service that knows the machine and lets its pages in."""
    pki, known = scratch / "pki", scratch / "reference-values.json"
    quote = bytes.fromhex(app.backend.quote().json()["quote"])
    known.write_text(json.dumps(setup(pki, quote).references))
    command = [sys.executable, "-m", "doubles.trustee", "--version", "0.21", "--port", "0"]
    command += ["--root", str(pki / "root.pem"), "--collateral", str(pki / "collateral.json")]
    command += ["--reference-values", str(known)]
    command += ["--patched", "--allowed-origin", app.backend.url]
    python = {"PYTHONPATH": str(REPO / "tests")}
    with announcing_server(command, log=scratch / "trustee.log", env=python) as server:
        yield str(server["url"])


def _times(page: Page, service: str) -> tuple[float, float, float]:
    """Median milliseconds of a verdict and of an answer, and how often evidence leaves for one."""
    bodies: list[str] = []

    def keep(request: Request) -> None:
        if request.method == "POST" and request.url == service + ATTESTATION:
            bodies.append(request.post_data or "")

    page.on("request", keep)
    before = _posts(service)
    verdicts, answers = [], []
    for _ in range(WARM_UP + ROUNDS):
        taken, state = page.evaluate(VERDICT, [NEW_CHAT, PATIENCE_MS])
        if state != "green":
            raise ValueError(f"the badge ended {state}, not green")
        verdicts.append(taken)
        answers.append(page.evaluate(POST, [service + ATTESTATION, bodies[-1], PATIENCE_MS]))
    posts = (_posts(service) - before) / len(verdicts) - 1  # without ours
    return statistics.median(verdicts[WARM_UP:]), statistics.median(answers[WARM_UP:]), posts


def _posts(service: str) -> int:
    """How often it was sent evidence so far."""
    seen: list[str] = httpx.get(f"{service}/seen", trust_env=False).json()
    return seen.count(f"POST {ATTESTATION}")
