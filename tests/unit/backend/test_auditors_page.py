"""The page for auditors: a shell for everybody that brings the kit's scripts and holds nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace

import httpx
import pytest
from host_double import ADA, LOADER, a_bundle, answer_to, client_of, plain, routes_of, scope_of
from sealed_double import around

from cczoo_backend.bundle import Bundle
from cczoo_backend.layer import Layer
from error_document import assert_error

PIECE = "auditors-5E.js"
BUNDLE = replace(a_bundle(**{"auditors-5E": b"export {};"}), auditors=PIECE)
CSP = "content-security-policy"


def layer(environ: dict[str, str] | None = None, bundle: Bundle | None = BUNDLE) -> Layer:
    return Layer(plain, routes_of(environ, bundle=bundle), None)


def get(path: str = "/tee", environ: dict[str, str] | None = None) -> httpx.Response:
    return client_of(layer(environ)).get(path)


def test_everybody_gets_the_shell_with_the_kits_scripts_alone() -> None:
    answer = get()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    scripts = re.findall("<script([^>]*)>(.*?)</script>", answer.text, re.DOTALL)
    assert scripts == [
        (f' src="/api/v1/tee/page/{LOADER}"', ""),
        (f' type="module" src="/api/v1/tee/page/{PIECE}"', ""),
    ]
    assert answer.text.partition("<head>")[2].startswith("<script")  # before all else
    assert "<noscript>" in answer.text
    assert not re.search(r"\son\w+=|javascript:|_app", answer.text)


def test_it_is_the_same_for_whoever_asks() -> None:
    client = client_of(layer())
    assert client.get("/tee", headers=ADA).content == client.get("/tee?x=<b>").content


FINGERPRINT = ":".join(["AB"] * 32)


def test_it_has_the_fingerprint_of_the_certificate_that_the_command_serves_by() -> None:
    told = get(environ={"CCZOO_HTTPS_FINGERPRINT": FINGERPRINT}).text
    assert f'<main data-certificate="{FINGERPRINT}">' in told
    assert "<main>" in get().text


@pytest.mark.parametrize("text", ["", "AB", '"><script>', FINGERPRINT + '"', FINGERPRINT + "\n"])
def test_what_is_no_fingerprint_is_not_shown(text: str) -> None:
    assert "<main>" in get(environ={"CCZOO_HTTPS_FINGERPRINT": text}).text


def test_its_policy_lets_it_ask_this_server_and_nobody_else() -> None:
    answer = get()
    (policy,) = answer.headers.get_list(CSP)
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    (style,) = re.findall("<style>(.*?)</style>", answer.text)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert directives.pop("style-src") == f"'sha256-{digest}'"
    own = {
        directives.pop(f"{name}-src") for name in ("script", "connect", "frame", "worker", "img")
    }
    assert own == {"'self'"}
    assert set(directives) == {"default-src", "base-uri", "form-action", "frame-ancestors"}
    assert set(directives.values()) == {"'none'"}


def test_nothing_keeps_it_and_its_address_goes_nowhere() -> None:
    headers = get().headers
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_the_administrators_policy_holds_as_well() -> None:
    answer = get(environ={"CONTENT_SECURITY_POLICY": "img-src 'none'"})
    assert answer.headers.get_list(CSP)[1:] == ["img-src 'none'"]


def test_a_head_request_gets_the_headers() -> None:
    client = client_of(layer())
    head, whole = client.head("/tee"), client.get("/tee")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == whole.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
def test_it_is_for_readers_alone(method: str) -> None:
    answer = client_of(layer()).request(method, "/tee")
    assert_error(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("bundle", [None, a_bundle()], ids=["no bundle", "no page in it"])
def test_where_the_bundle_has_no_such_page_it_is_missing(bundle: Bundle | None) -> None:
    assert_error(client_of(layer(bundle=bundle)).get("/tee"), 404, "not-found")


@pytest.mark.parametrize(
    "path", ["/teeth", "/tee/x", "/Tee", "//tee", "/x/tee", "/tee/", "/tee//", "/tee.html"]
)
def test_other_addresses_are_the_applications(path: str) -> None:
    assert answer_to(layer(), scope_of(path)).text == path


def test_below_another_path_it_is_found_there() -> None:
    scope = {**scope_of("/chat/tee"), "root_path": "/chat"}
    assert LOADER in answer_to(layer(), scope).text


def test_where_requests_must_come_sealed_it_is_there_all_the_same() -> None:
    required = client_of(around(plain, environ={"TEE_SEALED": "required"}, bundle=BUNDLE))
    for headers in ({}, {"sec-fetch-mode": "navigate", "accept": "text/html"}):
        answer = required.get("/tee", headers=headers)
        assert PIECE in answer.text
        assert "Sealed connection" not in answer.text
