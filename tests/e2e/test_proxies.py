"""The proxies of docs/sealed.md before a real open-webui, with a certificate of their own making.

What passes of sealed requests is in tests/unit/backend/test_behind_nginx.py; here somebody signs
in, sees the badge green, uploads a file and chats.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Playwright, expect

from doubles import gateway as gateways
from e2e.browser import CHROMIUM, CHROMIUM_FLAGS, ChatPage
from e2e.stack import REPO, free_port
from e2e.walks import Site

pytestmark = pytest.mark.once("plugin")

SHOWN = REPO / "docs" / "sealed"
EMAIL, PASSWORD = "ada@example.com", "only-for-tests"
LARGE = 3 << 20
"""Bytes of a file that nginx refuses unless it is told otherwise."""
# Uploads so many bytes as the app's own code does, and says how many the server has.
UPLOAD_LARGE = """async ([size, name]) => {
    const form = new FormData();
    form.append('file', new File([new Uint8Array(size)], `large-${name}`));
    const headers = {authorization: `Bearer ${localStorage.token}`};
    const asked = {method: 'POST', headers, body: form};
    const answer = await fetch('/api/v1/files/?process=false', asked);
    return (await answer.json()).meta.size;
}"""
UPLOAD = "input[type=file][multiple]"
SECONDS = 45_000  # in milliseconds


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def proxied(
    request: pytest.FixtureRequest, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """The proxy's address, and its certificate."""
    folder = tmp_path_factory.mktemp(request.param)
    certificate, key = gateways.make_certificate(folder)
    server, port = site.backend.url.removeprefix("http://"), free_port()
    if request.param == "nginx":
        text = gateways.replaced(
            (SHOWN / "nginx.conf").read_text(),
            ("listen 443 ssl http2;", f"listen 127.0.0.1:{port} ssl http2;"),
            ("/etc/nginx/chat.pem", str(certificate)),
            ("/etc/nginx/chat.key", str(key)),
            ("127.0.0.1:8080", server),
        )
        started = gateways.running(folder, text, port)
    else:
        site = f"https://127.0.0.1:{port} {{\n    bind 127.0.0.1\n    tls {certificate} {key}"
        text = gateways.replaced(
            (SHOWN / "Caddyfile").read_text(),
            ("chat.example.com {", site),
            ("reverse_proxy 127.0.0.1:8080", f"reverse_proxy {server}"),
        )
        started = gateways.running_caddy(folder, text, port)
    with started:
        yield f"https://127.0.0.1:{port}", certificate


@pytest.fixture
def chat(proxied: tuple[str, Path], playwright: Playwright) -> Iterator[ChatPage]:
    """A browser that was never here, of somebody who has told it to trust this certificate."""
    url, certificate = proxied
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    flags = [*CHROMIUM_FLAGS, f"--ignore-certificate-errors-spki-list={pin}"]
    chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
    try:
        page = chromium.new_context(locale="en-US").new_page()
        page.set_default_timeout(SECONDS)
        yield ChatPage(page, url)
    finally:
        chromium.close()


def test_one_signs_in_sees_the_badge_uploads_and_chats(chat: ChatPage) -> None:
    page = chat.page
    page.goto(chat.url)
    page.locator("input[type=email]").fill(EMAIL)
    page.locator("input[type=password]").fill(PASSWORD)
    page.locator("button[type=submit]").click()
    expect(chat.input).to_be_visible(timeout=SECONDS)
    assert page.evaluate("isSecureContext")
    chat.expect_state("green")

    name, prompt = f"notes-{secrets.token_hex(4)}.txt", f"canary-{secrets.token_hex(8)}"
    assert page.evaluate(UPLOAD_LARGE, [LARGE, name]) == LARGE
    sent = {"name": name, "mimeType": "text/plain", "buffer": b"A few words.\n"}
    page.locator(UPLOAD).first.set_input_files(sent)
    expect(page.get_by_text(name.removesuffix(".txt")).first).to_be_visible()
    expect(page.locator("form [class^=spinner_]")).to_have_count(0)
    chat.send(f"Say {prompt}.")
    chat.expect_reply(prompt)
    assert chat.state() == "green"
    assert page.evaluate("navigator.serviceWorker.controller !== null")
