"""Who may see and change the settings by ``admin/settings``, and what an answer is."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from host_double import (
    ADA,
    EVE,
    Accounts,
    User,
    a_statement,
    answer_to,
    client_of,
    routes_of,
    scope_of,
)

from cczoo_backend.keys import Keyring
from cczoo_backend.settings_table import TABLE
from error_document import assert_error

PATH = "/api/v1/tee/admin/settings"
CONFIG = "/api/v1/tee/config"


class Site:
    """The kit's routes with a folder for settings, asked by Ada, an administrator."""

    def __init__(self, folder: Path, environ: dict[str, str] | None = None, **options: Any) -> None:
        self.routes = routes_of(environ, folder=folder / "cczoo", **options)
        self.client = client_of(self.routes)

    def get(self, **headers: str) -> httpx.Response:
        return self.client.get(PATH, headers={**ADA, **headers})

    def put(self, document: Any, version: str | None = None, **headers: str) -> httpx.Response:
        match = self.get().json()["version"] if version is None else version
        named = {**ADA, "If-Match": f'"{match}"', **headers}
        return self.client.put(PATH, json=document, headers=named)

    def change(self, **values: object) -> httpx.Response:
        return self.put({"v": 1, "values": values})

    def config(self) -> Any:
        return self.client.get(CONFIG, headers=ADA).json()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_an_administrator_changes_what_the_next_page_is_told(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    before = site.get()
    assert before.status_code == 200
    assert before.headers["cache-control"] == "no-store"
    assert before.json()["settings"]["enforcement"] == {
        "value": "warn",
        "initial": "warn",
        "default": "warn",
        "stored": False,
        "fixed": False,
        "variable": "TEE_ENFORCEMENT",
        "kind": "word",
        "form": "one of off, warn, block",
        "choices": ["off", "warn", "block"],
        "restart": False,
        "pending": False,
    }
    with caplog.at_level(logging.WARNING):
        answer = site.change(enforcement="block", relay="alibaba", quote_limit_user="1/hour")
    assert answer.status_code == 200
    assert answer.json() == site.get().json()
    assert answer.json()["version"] != before.json()["version"]
    config = site.config()
    assert config["enforcement"] == "block"
    assert config["providers"]["alibaba"]["relay"] == "https://attest.cn-beijing.aliyuncs.com"
    assert site.client.get(CONFIG, headers=ADA).status_code == 429  # the limit holds at once
    assert "'ada' changed the settings enforcement, quote_limit_user, relay" in caplog.text


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_nobody_else_may(tmp_path: Path, method: str) -> None:
    accounts = Accounts(users={"ada-token": User("ada"), "bob-token": User("bob")})
    client = client_of(Site(tmp_path, host=accounts).routes)
    bob = {"Authorization": "Bearer bob-token"}
    for headers, status in ((bob, 401), (EVE, 401), ({}, 403)):
        answer = client.request(method, PATH, headers={**headers, "If-Match": '"none"'})
        assert_error(answer, status, "not-allowed")


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "null"}],
)
def test_pages_of_other_origins_may_not(site: Site, headers: dict[str, str]) -> None:
    assert_error(site.get(**headers), 403, "other-origin")
    answer = site.put({"v": 1, "values": {"enforcement": "off"}}, **headers)
    assert_error(answer, 403, "other-origin")


def test_where_requests_must_come_sealed_an_administrators_must(tmp_path: Path) -> None:
    sealing = {"keys": Keyring(), "statement": a_statement()}
    for mode, status in (("required", 403), ("offered", 200)):
        answer = Site(tmp_path, {"TEE_SEALED": mode}, **sealing).get()
        assert answer.status_code == status
    sealed: Any = Site(tmp_path, {"TEE_SEALED": "required"}, **sealing).routes

    async def opened(scope: Any, receive: Any, send: Any) -> None:
        await sealed({**scope, "state": {"tee_sealed": True}}, receive, send)

    assert client_of(opened).get(PATH, headers=ADA).status_code == 200


def test_errors_stand_at_their_fields(site: Site) -> None:
    answer = site.change(enforcement="no", trustee_url="ftp://x", relay="trustee")
    assert (answer.status_code, answer.json()["code"]) == (400, "settings-wrong")
    errors = answer.json()["errors"]
    assert {name: one["code"] for name, one in errors.items()} == {
        "enforcement": "bad-word",
        "trustee_url": "bad-address",
    }
    assert errors["enforcement"]["detail"] == "It must be one of off, warn, block."
    assert site.config()["enforcement"] == "warn"
    hostile = "<img src=x onerror=alert(1)>\n" * 100
    answer = site.change(**{hostile: hostile})
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()["errors"]) == [hostile]


def test_two_administrators_do_not_overwrite_each_other(site: Site) -> None:
    seen = site.get().json()["version"]
    document = {"v": 1, "values": {"enforcement": "block"}}
    assert site.put(document, seen).status_code == 200
    late = site.put({"v": 1, "values": {"enforcement": "off"}}, seen)
    assert_error(late, 412, "settings-changed")
    assert site.config()["enforcement"] == "block"


@pytest.mark.parametrize("match", ["", "none", '"', '""', '"none', '"none", "x"', "*"])
def test_a_change_says_which_version_it_is_for(site: Site, match: str) -> None:
    answer = site.put({"v": 1, "values": {}}, **{"If-Match": match})
    assert_error(answer, 428, "if-match-required")


def test_a_proxy_may_have_made_the_version_a_weak_one(site: Site) -> None:
    answer = site.put({"v": 1, "values": {"enforcement": "off"}}, **{"If-Match": 'W/"none"'})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"v": 1},
        {"values": {}},
        {"v": 2, "values": {}},
        {"v": 1, "values": []},
        {"v": 1, "values": {}, "more": 1},
        {"v": 1, "values": dict.fromkeys(map(str, range(len(TABLE) + 1)))},
    ],
    ids=range(8),
)
def test_other_documents_change_nothing(site: Site, document: Any) -> None:
    assert_error(site.put(document), 400, "bad-request")


def test_nothing_of_a_strangers_body_is_read(site: Site) -> None:
    for more in ({}, {"authorization": "Bearer eve-token"}, {"cookie": "token=ada-token"}):
        headers = {"if_match": '"none"', "content_type": "application/json", **more}
        # The application would fail where it asked for a message: there is none.
        answer = answer_to(site.routes, scope_of(PATH, "PUT", **headers))
        assert answer.status_code in (401, 403)


def test_a_request_is_bounded_and_is_json(site: Site) -> None:
    huge = {"v": 1, "values": {"policy": "x" * (1 << 20)}}
    assert_error(site.put(huge), 413, "too-large")
    assert_error(site.put({}, **{"Content-Type": "text/plain"}), 415, "not-json")


def test_what_cannot_be_stored_is_told(tmp_path: Path) -> None:
    Path(tmp_path, "cczoo").mkdir()
    Path(tmp_path, "cczoo", "settings.lock").mkdir()
    answer = Site(tmp_path).change(enforcement="off")
    assert_error(answer, 503, "settings-not-stored", "Nothing is changed")
    assert str(tmp_path) not in answer.text


def test_a_broken_file_has_pages_hold_everything_back(tmp_path: Path) -> None:
    Path(tmp_path, "cczoo").mkdir()
    Path(tmp_path, "cczoo", "settings.json").write_text('{"v": 1, "val')
    site = Site(tmp_path, keys=Keyring(), environ={"TEE_SETTINGS_FIXED": "sealed"})
    config = site.client.get(CONFIG).json()
    problem = config.pop("problem")
    assert config == {"v": 1, "enforcement": "block"}
    assert problem["code"] == "settings-unreadable"
    assert_error(site.client.get("/api/v1/tee/quote"), 503, "settings-unreadable")
    assert site.get().json()["problem"] == problem
    answer = site.change(enforcement="warn")
    assert answer.json()["errors"]["relay"]["code"] == "missing"


def test_there_is_nothing_else_for_administrators(site: Site) -> None:
    for path in ("admin", "admin/", "admin/settings/", "admin/other"):
        assert_error(site.client.get(f"/api/v1/tee/{path}", headers=ADA), 404, "not-found")
    assert_error(site.client.post(PATH, headers=ADA), 405, "method-not-allowed")


def test_asking_is_limited(site: Site) -> None:
    codes = {site.get().status_code for _ in range(125)}
    assert codes == {200, 429}
