"""The policy's words, which answers get it, and what of the administrator's becomes part of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from host_double import client_of, routes_of, scope_of
from starlette.responses import HTMLResponse, Response, StreamingResponse

from cczoo_backend.content_policy import (
    SANDBOX,
    SOURCES,
    AnswerHeaders,
    mark_as_page,
    policy_text,
)
from cczoo_backend.errors import TeeError
from cczoo_backend.layer import Layer
from cczoo_backend.setting_kinds import PAGE_SOURCES_MAX, is_service_origin
from cczoo_backend.settings import page_sources

ROOT = Path(__file__).resolve().parents[3]
CSP = "content-security-policy"
OWN = "media-src 'none'"


def directives(policy: str) -> dict[str, set[str]]:
    words = (one.split() for one in policy.split("; "))
    return {name: set(sources) for name, *sources in words}


def sources(text: str) -> tuple[str, ...] | None:
    return page_sources({"TEE_PAGE_SOURCES": text})


def answer(
    response: Response, headers: AnswerHeaders | None = None, **request: str
) -> httpx.Response:
    """What a browser gets where the application answers so."""
    layer = Layer(response, routes_of(), None, headers or AnswerHeaders(()))
    return client_of(layer).get("/", headers={n.replace("_", "-"): v for n, v in request.items()})


# The policy


def test_nothing_but_this_origin_is_asked() -> None:
    found = directives(policy_text(()))
    local = {"'self'", "'unsafe-inline'", "'unsafe-eval'", "data:", "blob:", "'none'"}
    assert set().union(*found.values()) <= local
    assert found["default-src"] == found["form-action"] == found["base-uri"] == {"'self'"}
    assert found["object-src"] == {"'none'"}
    for name in ("connect-src", "img-src"):
        assert found[name] == {"'self'", "data:", "blob:"}
    assert found["frame-src"] == {"'self'", "blob:"}
    # A portal may have the app in a frame, as its administrator sees to.
    assert "frame-ancestors" not in found


def test_what_is_allowed_is_allowed_in_each_directive_that_can_ask() -> None:
    found = directives(policy_text(("https://a.example", "wss://b.example:1")))
    for name in SOURCES:
        assert {"https://a.example", "wss://b.example:1"} <= found[name]
    assert found["object-src"] == {"'none'"}
    assert found["base-uri"] == {"'self'"}


# The setting


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ()),
        (" \n ", ()),
        ("https://a.example", ("https://a.example",)),
        (
            "https://a.example, http://10.0.0.1:8080  wss://*.b.example\nhttps://a.example",
            ("https://a.example", "http://10.0.0.1:8080", "wss://*.b.example"),
        ),
        ("HTTPS://A.Example:443", ("https://a.example:443",)),
        ("https://a_b.example", ("https://a_b.example",)),
        ("Off", None),
    ],
)
def test_origins_are_read(text: str, found: tuple[str, ...] | None) -> None:
    assert sources(text) == found
    assert page_sources({}) == ()


HOSTILE = [
    "*",
    "https:",
    "https://*",
    "https://*.example",  # everybody's
    "https://a.*.example",
    "https://a.example/path",
    "https://a.example?x",
    "https://user@a.example",
    "https://a.example:0",
    "https://a.example:65536",
    "https://a.example:99999999999999999999",
    "https://[::1]",
    "https://a..example",
    "https://a.example.",
    "https://ä.example",
    "ftp://a.example",
    "data:",
    "javascript:alert(1)",
    "'unsafe-inline'",
    "'self'",
    "a.example",
    "https://a.example;script-src",
    "https://a.example; report-uri https://evil.example",
    "https://a.example\r\nset-cookie:a=b",
    "https://a.example\0",
    "https://a.example\x0bx",
    f"https://{'a' * 64}.example",
    f"https://{'a.' * 200}example",
    "https://" + "a" * 1_000_000,
    "off https://a.example",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_wrong_origin_is_told_and_allows_nothing(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(TeeError, match="TEE_PAGE_SOURCES") as refused:
        sources(f"https://good.example {text}")
    assert (refused.value.status, refused.value.code) == (503, "misconfigured")
    environ = {"TEE_PAGE_SOURCES": f"https://good.example {text}"}
    page = answer(mark_as_page(HTMLResponse()), AnswerHeaders.from_environment(environ))
    assert page.headers[CSP] == policy_text(())
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith("misconfigured: ")
    assert "TEE_PAGE_SOURCES" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_there_is_an_end_of_what_is_allowed() -> None:
    many = [f"https://h{number}.example" for number in range(PAGE_SOURCES_MAX + 1)]
    assert len(sources(" ".join(many[1:])) or ()) == PAGE_SOURCES_MAX
    for far_too_many in (many, many * 1000 + [f"https://x{n}.example" for n in range(5000)]):
        with pytest.raises(TeeError):
            sources(" ".join(far_too_many))


def test_the_policy_is_off_by_an_explicit_word_which_the_log_tells(
    caplog: pytest.LogCaptureFixture,
) -> None:
    headers = AnswerHeaders.from_environment({"TEE_PAGE_SOURCES": "off"})
    assert CSP not in answer(mark_as_page(HTMLResponse()), headers).headers
    # Somebody's file still does not get the page's origin.
    assert answer(HTMLResponse(), headers).headers[CSP] == SANDBOX
    (record,) = caplog.records
    assert (record.levelname, "TEE_PAGE_SOURCES=off" in record.getMessage()) == ("WARNING", True)


@pytest.mark.parametrize(
    "text",
    [
        "https://as.example",
        "https://as.example:8443",
        "https://10.1.2.3",
        "http://localhost:8080",
        "http://127.0.0.1:8080",
        "https://xn--bcher-kva.example",
    ],
)
def test_a_services_origin(text: str) -> None:
    assert is_service_origin(text)
    for hostile in (f"{text}/", f" {text}", f"{text}\n", f"{text};", f"{text} *", text.upper()):
        assert not is_service_origin(hostile)


def test_every_host_that_an_address_may_have_can_be_asked() -> None:
    vectors = json.loads((ROOT / "tests/vectors/addresses.json").read_text())
    urls = [urlsplit(one["address"]) for one in vectors["read"] if one["private"]]
    origins = {f"{url.scheme}://{url.netloc}" for url in urls if "[" not in url.netloc}
    assert "https://as_1.example" in origins
    assert [origin for origin in origins if not is_service_origin(origin)] == []


@pytest.mark.parametrize("text", ["", "http://as.example", "https://*.as.example", *HOSTILE])
def test_no_services_origin(text: str) -> None:
    assert not is_service_origin(text)


# Who gets it


def test_the_page_gets_the_policy_and_keeps_the_administrators_own() -> None:
    response = mark_as_page(HTMLResponse("page", headers={CSP: OWN, "referrer-policy": "origin"}))
    found = answer(response).headers
    assert found.get_list(CSP) == [OWN, policy_text(())]
    assert found.get_list("referrer-policy") == ["no-referrer"]
    assert found["x-dns-prefetch-control"] == "off"
    assert not [name for name in found if name.startswith("x-cczoo")]


@pytest.mark.parametrize("kind", ["text/plain", "image/png", "application/json", "text/html"])
def test_no_answer_has_the_browser_tell_its_address_to_what_it_loads(kind: str) -> None:
    """What is shown in a tab of its own loads an icon, in the clear."""
    told = Response(b"words", media_type=kind, headers={"referrer-policy": "unsafe-url"})
    assert answer(told).headers.get_list("referrer-policy") == ["no-referrer"]


@pytest.mark.parametrize("value", ["1", "", "0" * 32])
def test_nobody_else_can_say_that_an_answer_is_the_page(value: str) -> None:
    found = answer(HTMLResponse("evil", headers={"x-cczoo-page": value})).headers
    assert found[CSP].startswith(f"{SANDBOX}; ")


DOCUMENTS = [
    "text/html; charset=utf-8",
    "TEXT/HTML",
    "image/svg+xml",
    "Image/SVG+XML;x=y",
    "application/xhtml+xml",
    "text/xml",
    "application/xml",
    "application/atom+xml",
    "application/vnd.mozilla.xul+xml",
    "multipart/x-mixed-replace; boundary=x",
    "text/xsl",
    "something/else",
    "nothing",
    "",
]


@pytest.mark.parametrize("kind", DOCUMENTS, ids=range(len(DOCUMENTS)))
@pytest.mark.parametrize("destination", ["iframe", "image", "empty", ""])
def test_a_document_of_others_gets_an_origin_of_its_own(kind: str, destination: str) -> None:
    """Whatever it is wanted for now: a browser keeps it, and may show it as a document later."""
    response = Response(b"<script>", headers={CSP: OWN})
    response.headers["content-type"] = kind
    found = answer(response, sec_fetch_dest=destination).headers
    assert found.get_list(CSP) == [OWN, f"{SANDBOX}; {policy_text(())}"]
    assert found["x-content-type-options"] == "nosniff"
    assert "allow-same-origin" not in SANDBOX
    assert "allow-top-navigation" not in SANDBOX
    assert "allow-popups" not in SANDBOX


# Of several types browsers take the last that is valid; what is none says nothing.
DISGUISED = [
    ["text/event-stream, text/html"],
    ["image/png, text/html"],
    ["text/plain, text/html"],
    ["text/plain;charset=x, text/html"],
    ['image/png;x=", text/html'],
    ["application/json,text/html"],
    ["text/javascript, text/html"],
    ["image/png,"],
    ["image/png", "text/html"],
    ["image/png", "image/png"],
    ["text/javascript", "text/html"],
    ["image/"],
    ["image/png text/html"],
    ["image/png\x0b"],
    ["image/x+xml"],
    ["video/x+xml; charset=utf-8"],
    ["image/svg"],
    ["text/plainer"],
    ["text/css+html"],
    ["json"],
    ["imagery/png"],
]


@pytest.mark.parametrize("kinds", DISGUISED, ids=range(len(DISGUISED)))
@pytest.mark.parametrize("name", [b"content-type", b"Content-Type"])
def test_a_document_is_none_the_less_one_for_its_disguise(kinds: list[str], name: bytes) -> None:
    response = Response(b"<script>")
    response.raw_headers.extend((name, kind.encode()) for kind in kinds)
    found = answer(response, sec_fetch_dest="script").headers
    assert found.get_list(CSP) == [f"{SANDBOX}; {policy_text(())}"]
    assert found["x-content-type-options"] == "nosniff"


def test_an_answer_without_a_type_is_no_page_of_anybody() -> None:
    found = answer(Response(b"<script>alert(1)</script>")).headers
    assert "content-type" not in found
    assert found[CSP].startswith(SANDBOX)
    assert found["x-content-type-options"] == "nosniff"


INERT = [
    "application/json",
    "text/event-stream; charset=utf-8",
    "text/plain",
    "text/css",
    "image/png",
    "font/woff2",
    "audio/mpeg",
    "application/pdf",  # a sandbox would keep the browser's viewer from starting
    "application/octet-stream",
    "application/wasm",
    "application/x-ndjson",
    "application/zip",
    "IMAGE/PNG ; x=y",
    "image/vnd.microsoft.icon",
    "image/x-icon",
]


@pytest.mark.parametrize("kind", INERT)
def test_what_runs_no_scripts_stays_as_it_is(kind: str) -> None:
    own = Response(b"x", media_type=kind).headers
    found = answer(Response(b"x", media_type=kind)).headers
    assert found.get(CSP) is None
    assert found == {**own, "referrer-policy": "no-referrer"}


@pytest.mark.parametrize("name", [b"clear-site-data", b"Clear-Site-Data"])
@pytest.mark.parametrize("status", [200, 204, 302, 304, 404, 500])
@pytest.mark.parametrize("kind", ["text/html", "image/png", "text/javascript", None])
@pytest.mark.parametrize("allowed", [(), None])
def test_no_answer_empties_the_browsers_storage(
    name: bytes, status: int, kind: str | None, allowed: tuple[str, ...] | None
) -> None:
    """Such as one of a model server, which open-webui passes on with its headers."""
    for response in (
        Response(status_code=status, media_type=kind),
        mark_as_page(Response(status_code=status, media_type=kind)),
    ):
        response.raw_headers += [(name, b'"storage"'), (b"x-other", b"1"), (name, b'"*"')]
        found = answer(response, AnswerHeaders(allowed)).headers
        assert "clear-site-data" not in found
        assert found["x-other"] == "1"


@pytest.mark.parametrize("status", [301, 302, 304, 307])
def test_an_answer_without_a_document_stays_as_it_is(status: int) -> None:
    # What a browser has kept gets the headers of a 304: a script would become a document.
    assert CSP not in answer(Response(status_code=status)).headers


@pytest.mark.parametrize("kind", ["text/javascript; charset=utf-8", "application/javascript"])
def test_a_worker_gets_the_policy_with_its_script(kind: str) -> None:
    def found(**request: str) -> Any:
        return answer(Response(b"1", media_type=kind), **request).headers.get(CSP)

    for destination in ("worker", "sharedworker", "serviceworker", "empty"):
        assert found(sec_fetch_dest=destination) == policy_text(())
    assert found() == policy_text(())  # a browser that does not say
    assert found(sec_fetch_dest="script") is None


# On the hot path


def test_of_an_answer_only_the_beginning_is_looked_at() -> None:
    sent: list[Mapping[str, Any]] = []
    body: Mapping[str, Any] = {"type": "http.response.body", "body": b"x", "more_body": True}
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"a/b")]}

    async def send(message: Any) -> None:
        sent.append(message)

    sending = AnswerHeaders(()).on(scope_of("/"), send)
    for message in (start, body):
        coroutine: Any = sending(message)
        with pytest.raises(StopIteration):  # it waits for nothing
            coroutine.send(None)
    assert sent[1] is body
    assert start["headers"] == [(b"content-type", b"a/b")]  # the application's own stay its own
    assert len(sent[0]["headers"]) == 4


def test_streams_have_the_policy_before_they_end() -> None:
    response = StreamingResponse(iter([b"<p>", b"</p>"]), media_type="text/html")
    found = answer(response)
    assert (found.content, found.headers[CSP][:7]) == (b"<p></p>", "sandbox")
