"""The two files of the front end that are served with something added."""

from __future__ import annotations

import email.utils
import gzip
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from host_double import a_bundle, client_of, routes_of
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse
from starlette.testclient import TestClient

from cczoo_backend import content
from cczoo_backend.content_policy import SANDBOX, AnswerHeaders, policy_text
from cczoo_backend.layer import Layer
from cczoo_backend.openwebui import add_loader

PAGE = (
    b"""<!doctype html>
<html lang="en">
	<head>
		<meta charset="utf-8" />
		<script src="/static/loader.js" defer></script>
	</head>
	<body><header>chat</header></body>
</html>
"""
    + b"<!-- more -->\n" * 50
)
TAG = b'<script src="/api/v1/tee/page/loader-1A2b.js"></script>'
FUTURE = email.utils.formatdate(time.time() + 1e6, usegmt=True)


class SinglePage(StaticFiles):
    """Serves the front end as open-webui does: what is not there is the index page."""

    async def get_response(self, path: str, scope: Any) -> Any:
        try:
            return await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code == 404 and not path.endswith(".js"):
                return await super().get_response("index.html", scope)
            raise


class Site:
    """open-webui's mounts over files of our own."""

    def __init__(self, root: Path, page: bytes = PAGE):
        self.front_end, self.static = root / "build", root / "static"
        for folder in (self.front_end, self.static):
            folder.mkdir()
        (self.front_end / "icon.png").write_bytes(b"an icon")
        (self.front_end / "index.html").write_bytes(page)
        (self.static / "loader.js").write_bytes(b"stock();\n")
        (root / "upload.html").write_bytes(page)
        self.app = FastAPI(openapi_url=None)
        self.app.add_api_route("/api/v1/files/{id}", lambda: FileResponse(root / "upload.html"))
        self.app.mount("/static", StaticFiles(directory=self.static))
        self.app.mount("/cache", StaticFiles(directory=root))
        self.app.mount("/", SinglePage(directory=self.front_end, html=True))
        self.stock_loader = add_loader(self.app, a_bundle())

    @property
    def client(self) -> TestClient:
        return client_of(self.app)

    def get(self, path: str = "/", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.get(path, headers={"accept-encoding": "identity", **named})


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site whose pages begin with the loader."""
    return Site(tmp_path)


def assert_page(answer: httpx.Response) -> None:
    """Assert that an answer is the whole page with the loader first in its head."""
    assert answer.status_code == 200
    assert answer.content == PAGE.replace(b"<head>", b"<head>" + TAG)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert not {"etag", "last-modified", "accept-ranges", "content-range"} & set(answer.headers)


@pytest.mark.parametrize(
    "path", ["/", "/index.html", "/c/abc", "/auth?redirect=/", "/a/b.png", "/api/v1/nothing", "/x/"]
)
def test_every_path_that_falls_back_to_the_page_has_the_loader(site: Site, path: str) -> None:
    answer = site.get(path)
    assert_page(answer)
    assert int(answer.headers["content-length"]) == len(answer.content)


@pytest.mark.parametrize(
    "headers",
    [
        {"if_modified_since": FUTURE},
        {"if_none_match": "*"},
        {"if_none_match": '"x"', "if_modified_since": FUTURE},
        {"range": "bytes=0-9"},
        {"range": "bytes=999999-"},
        {"range": "bytes=0-9", "if_range": FUTURE},
        {"if_match": '"x"'},
        {"if_unmodified_since": "Thu, 01 Jan 1970 00:00:00 GMT"},
    ],
    ids=range(8),
)
def test_a_browser_that_holds_another_page_gets_this_one_whole(
    site: Site, headers: dict[str, str]
) -> None:
    assert_page(site.get("/", **headers))


def test_head_says_what_get_would(site: Site) -> None:
    for encoding in ("identity", "gzip"):
        get = site.client.get("/c/abc", headers={"accept-encoding": encoding})
        head = site.client.head("/c/abc", headers={"accept-encoding": encoding})
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers == get.headers


def test_the_page_is_compressed_here(site: Site) -> None:
    answer = site.client.get("/", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) == len(gzip.compress(answer.content, mtime=0))
    assert answer.content == site.get().content


def test_the_servers_short_cuts_for_files_are_not_taken(site: Site) -> None:
    """With pathsend a server reads the file itself, past everything that adds to it."""

    async def offering(scope: Any, receive: Any, send: Any) -> None:
        await site.app({**scope, "extensions": {"http.response.pathsend": {}}}, receive, send)

    assert_page(client_of(offering).get("/", headers={"accept-encoding": "identity"}))


@pytest.mark.parametrize("path", ["/api/v1/files/7", "/cache/upload.html"])
def test_the_same_page_from_elsewhere_is_left_alone(site: Site, path: str) -> None:
    answer = site.get(path)
    assert answer.content == PAGE
    assert {"etag", "last-modified"} <= set(answer.headers)


def test_other_files_keep_their_caching(site: Site) -> None:
    answer = site.get("/icon.png")
    assert answer.content == b"an icon"
    assert site.get("/icon.png", if_none_match=answer.headers["etag"]).status_code == 304
    assert site.get("/icon.png", range="bytes=0-1").status_code == 206
    assert site.get("/_app/missing.js").status_code == 404


def test_a_page_that_changes_is_served_as_it_is_then(site: Site) -> None:
    assert_page(site.get())
    (site.front_end / "index.html").write_bytes(b"<HEAD class='x'>another")
    assert site.get().content == b"<HEAD class='x'>" + TAG + b"another"


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (b"<!doctype html><header>no head</header>", "it has no <head>"),
        (b"<head>" + b"x" * content.FILE_BYTES, "it is larger than"),
        (b"", "it has no <head>"),
    ],
    ids=["no-head", "huge", "empty"],
)
def test_a_page_that_takes_no_loader_stays_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, page: bytes, why: str
) -> None:
    site = Site(tmp_path, page)
    for path in ("/", "/c/abc", "/"):
        answer = site.get(path)
        assert answer.content == page
        assert "etag" in answer.headers
    assert [why in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize("page", [PAGE, b"no head"], ids=["with-loader", "as-it-is"])
def test_the_page_and_nothing_else_has_the_pages_policy(tmp_path: Path, page: bytes) -> None:
    site = Site(tmp_path, page)
    client = client_of(Layer(site.app, routes_of(), site.stock_loader, AnswerHeaders(())))

    def policies(path: str) -> list[str]:
        headers = client.get(path).headers
        assert not [name for name in headers if name.startswith("x-cczoo")]
        return headers.get_list("content-security-policy")

    for path in ("/", "/c/abc", "/index.html", "/api/v1/nothing"):
        assert policies(path) == [policy_text(())]
    for path in ("/cache/upload.html", "/api/v1/files/7"):
        assert policies(path) == [f"{SANDBOX}; {policy_text(())}"]
    assert policies("/icon.png") == []


def test_an_application_without_a_front_end_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    assert add_loader(FastAPI(), a_bundle()) is None
    assert "open-webui serves no front end here" in caplog.text


# open-webui's own loader.js


def script(site: Site) -> str:
    assert site.stock_loader is not None
    found = site.stock_loader.response({"type": "http", "method": "GET", "headers": []})
    assert found is not None
    assert found.headers["content-type"] == "text/javascript; charset=utf-8"
    assert found.headers["cache-control"] == "no-store"
    assert not {"etag", "last-modified"} & set(found.headers)
    return bytes(found.body).decode()


def test_the_stock_loader_renews_pages_first_and_then_does_its_own(site: Site) -> None:
    text = script(site)
    assert "window.cczooTrustBadge" in text
    assert text.endswith("stock();\n")


def test_a_stock_loader_that_is_not_there_or_changes_is_no_matter(site: Site) -> None:
    (site.static / "loader.js").unlink()
    renewal = script(site)
    assert renewal.endswith("})();\n")
    (site.static / "loader.js").write_bytes(b"another();")
    assert script(site) == renewal + "another();"


def test_a_huge_stock_loader_stays_as_it_is(site: Site) -> None:
    (site.static / "loader.js").write_bytes(b" " * (content.FILE_BYTES + 1))
    assert site.stock_loader is not None
    assert site.stock_loader.response({"type": "http", "method": "GET", "headers": []}) is None
