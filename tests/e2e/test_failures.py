"""Failures as people meet them: each made for real, and told by its own reason and next step."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import expect
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from doubles.serving import serving
from e2e.browser import ChatPage, tee_settings
from e2e.stack import Backend
from emulator.harness import Emulator

# The page is the same in both ways in: one of them is enough.
pytestmark = pytest.mark.way("plugin")

OpenChat = Callable[..., ChatPage]
ALL = ["*"]
ANYBODY = Middleware(CORSMiddleware, allow_origins=ALL, allow_methods=ALL, allow_headers=ALL)


# Somebody's, who signs nothing here.
KEYS = json.dumps({"keys": [{"kty": "RSA", "n": "AQAB" * 86, "e": "AQAB"}]})


def answering(answer: Callable[[], Response], *middleware: Middleware) -> Starlette:
    """Return a server that has one answer to whatever it is asked."""

    async def reply(_: Request) -> Response:
        return answer()

    route = Route("/{path:path}", reply, methods=["GET", "POST"])
    return Starlette(routes=[route], middleware=middleware)


def web_page() -> Response:
    return HTMLResponse("<!doctype html><title>An app</title>")


def not_found() -> Response:
    return Response(status_code=404)


def other_api() -> Response:
    return JSONResponse({"models": []})


# What stands at the address of the attestation service.
AT_THE_ADDRESS: dict[str, Starlette] = {
    "an app's page": answering(web_page, ANYBODY),
    "another API": answering(other_api, ANYBODY),
    "what lets no page ask": answering(other_api),
    "nothing": answering(not_found, ANYBODY),
}
# By which reason and advice that is told: where its keys are fetched first, and where pinned.
UNPINNED = {
    "an app's page": ("service-kind", "Compare the address"),
    "another API": ("service-kind", "Compare the address"),
    "what lets no page ask": ("keys-silent", "(CORS)"),
    "nothing": ("keys-needed", "pin them"),
}
PINNED = {
    "an app's page": ("service-kind", "Compare the address"),
    "another API": ("token-malformed", "Send nothing confidential"),
    "what lets no page ask": ("service-silent", "(CORS)"),
    "nothing": ("service-address", "Compare the address"),
}
CASES = [
    pytest.param(name, keys, *told, id=f"{name}-{'pinned' if keys else 'unpinned'}")
    for keys, cases in (("", UNPINNED), (KEYS, PINNED))
    for name, told in cases.items()
]


def told(chat: ChatPage) -> set[str]:
    """Return the codes of what failed."""
    return set(chat.faults().values())


@pytest.mark.parametrize(("name", "keys", "code", "advice"), CASES)
def test_what_is_no_attestation_service(
    hardware: Backend, open_chat: OpenChat, name: str, keys: str, code: str, advice: str
) -> None:
    with serving(lambda _: AT_THE_ADDRESS[name]) as url:
        settings = tee_settings("trustee", trustee=url)
        chat = open_chat(hardware, {**settings, "keys": {"trustee": keys}})
        chat.expect_state("red")
        assert told(chat) == {code}
        expect(chat.panel).to_contain_text(advice)


@pytest.fixture(scope="module")
def unsealed(start_backend: Callable[..., Backend], kernel: Emulator) -> Backend:
    """Hardware that gives evidence to nobody but who is signed in."""
    return start_backend("unsealed-failures", {"TEE_SEALED": "off"}, tuple(kernel.inside([])))


def test_who_is_not_signed_in_any_more(unsealed: Backend, open_chat: OpenChat) -> None:
    chat = open_chat(unsealed, tee_settings("dcap"))
    chat.expect_state("red")  # its hardware is nobody's
    assert "signed-out" not in told(chat)
    chat.page.evaluate("localStorage.token = 'ended'")
    assert chat.recheck() == "red"
    assert "signed-out" in told(chat)
    expect(chat.panel).to_contain_text("Sign in and check again")
