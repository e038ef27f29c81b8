"""The documents for frames of the page: one asks a service, one shows an outside image."""

from __future__ import annotations

import base64
import hashlib
import re

import httpx
import pytest
from host_double import client_of, routes_of

from error_document import assert_error

COURIER, IMAGE = "/api/v1/tee/courier", "/api/v1/tee/image"
CSP = "content-security-policy"


def get(path: str, environ: dict[str, str] | None = None, **query: str) -> httpx.Response:
    return client_of(routes_of(environ)).get(path, params=query)


def test_the_courier_may_connect_to_the_one_origin_and_holds_nothing() -> None:
    answer = get(COURIER, origin="https://as.example:8443")
    assert answer.status_code == 200
    assert answer.headers.get_list(CSP) == [
        "default-src 'none'; connect-src https://as.example:8443"
    ]
    assert not re.search("script|body|as.example", answer.text)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_the_administrators_policy_holds_for_the_frames_as_well() -> None:
    environ = {"CONTENT_SECURITY_POLICY": "connect-src 'self'"}
    for answer in (get(COURIER, environ, origin="https://as.example"), get(IMAGE, environ)):
        assert answer.headers.get_list(CSP)[1:] == ["connect-src 'self'"]


@pytest.mark.parametrize("policy", ["", " ", "img-src 'self'\r\nset-cookie: a=b", "img-src ä"])
def test_a_policy_that_is_no_header_is_left_out(policy: str) -> None:
    answer = get(COURIER, {"CONTENT_SECURITY_POLICY": policy}, origin="https://as.example")
    assert len(answer.headers.get_list(CSP)) == 1
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "*",
        "https:",
        "http://as.example",
        "https://as.example/",
        "https://as.example; script-src *",
        "https://as.example\r\nset-cookie: a=b",
        "https://as.example https://evil.example",
        "https://*.example.com",
        "'unsafe-inline'",
        "https://" + "a" * 10_000,
    ],
    ids=range(12),
)
def test_no_other_courier_is_sent(origin: str | None) -> None:
    answer = get(COURIER) if origin is None else get(COURIER, origin=origin)
    assert_error(answer, 400, "bad-origin")
    # Nor is the error a document that could connect anywhere.
    assert answer.headers[CSP] == "default-src 'none'"


def test_the_image_frame_is_one_constant_document_that_can_show_an_image_and_no_more() -> None:
    answer = get(IMAGE)
    assert answer.content == get(IMAGE, address="https://evil.example/?q=words").content
    (policy,) = answer.headers.get_list(CSP)
    assert policy.startswith("sandbox allow-scripts; default-src 'none'; img-src https:; ")
    for tag in ("script", "style"):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-embedder-policy"] == "credentialless"


@pytest.mark.parametrize("path", [COURIER, IMAGE])
def test_frames_are_fetched_only(path: str) -> None:
    assert_error(client_of(routes_of()).post(path), 405, "method-not-allowed")
