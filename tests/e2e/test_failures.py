"""Failures as people meet them: each made for real, and told by its own reason and next step."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from doubles import pccs
from doubles.serving import serving
from e2e.browser import ChatPage, tee_settings
from e2e.stack import Backend
from emulator.harness import Emulator

OpenChat = Callable[..., ChatPage]
ANYBODY = Middleware(CORSMiddleware, allow_origins=["*"], allow_headers=["*"])


def answering(answer: Callable[[], Response], *middleware: Middleware) -> Starlette:
    """Return a server that has one answer to whatever it is asked."""

    async def reply(_: Request) -> Response:
        return answer()

    route = Route("/{path:path}", reply, methods=["GET", "POST"])
    return Starlette(routes=[route], middleware=middleware)


def web_page() -> Response:
    return HTMLResponse("<!doctype html><title>An app</title>")


def other_api() -> Response:
    return JSONResponse({"models": []})


# What stands at the address of the attestation service, and by which reason and advice it is told.
AT_THE_ADDRESS: dict[str, tuple[Starlette, str, str]] = {
    "an app's page": (answering(web_page, ANYBODY), "service-kind", "Compare the address"),
    "another API": (answering(other_api, ANYBODY), "service-kind", "Compare the address"),
    "what lets no page ask": (answering(other_api), "service-silent", "(CORS)"),
}


def told(chat: ChatPage) -> set[str]:
    """Return the codes of what failed."""
    return set(chat.faults().values())


@pytest.mark.parametrize("name", AT_THE_ADDRESS)
def test_what_is_no_attestation_service(hardware: Backend, open_chat: OpenChat, name: str) -> None:
    app, code, advice = AT_THE_ADDRESS[name]
    with serving(lambda _: app) as url:
        chat = open_chat(hardware, tee_settings("trustee", trustee=url))
        chat.expect_state("red")
        assert told(chat) == {code}
        expect(chat.panel).to_contain_text(advice)


def test_a_wrong_path_at_the_service(hardware: Backend, service: str, open_chat: OpenChat) -> None:
    chat = open_chat(hardware, tee_settings("trustee", trustee=f"{service}/elsewhere"))
    chat.expect_state("red")
    assert told(chat) == {"service-address"}
    expect(chat.panel).to_contain_text("Compare the address")


@pytest.fixture(scope="module")
def unsealed(
    start_backend: Callable[..., Backend],
    kernel: Emulator,
    collateral_service: pccs.State,
) -> Backend:
    """Hardware that gives evidence to nobody but who is signed in."""
    env = {"TEE_SEALED": "off", "TEE_PCCS_URL": collateral_service.url}
    return start_backend("unsealed-failures", env, tuple(kernel.inside([])))


def test_who_is_not_signed_in_any_more(
    unsealed: Backend, service: str, open_chat: OpenChat
) -> None:
    chat = open_chat(unsealed, tee_settings("trustee", trustee=service))
    chat.expect_state("green")
    chat.page.evaluate("localStorage.token = 'ended'")
    assert chat.recheck() == "red"
    assert told(chat) == {"signed-out"}
    expect(chat.panel).to_contain_text("Sign in and check again")
