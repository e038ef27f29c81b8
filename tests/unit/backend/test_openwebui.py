"""How open-webui finds out who asks, and how the layer is put around its application.

A small package stands in for open-webui; the browser's tests have the real ones.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fake_open_webui import write_package
from fastapi import FastAPI
from host_double import LOADER, a_bundle, client_of

import cczoo_backend
from cczoo_backend import openwebui
from cczoo_backend.bundle import BundleError
from cczoo_backend.workload.measuring import Measurer
from error_document import assert_error

CONFIG = "/api/v1/tee/config"


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The stand-in's ``open_webui.main``, loaded without the kit; users alone may ask."""
    monkeypatch.setenv("TEE_SEALED", "off")
    write_package(tmp_path, {"__init__.py": ""})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(openwebui, "find_bundle", a_bundle)
    # What is measured takes a second, and has tests of its own.
    monkeypatch.setattr(openwebui, "Measurer", partial(Measurer, measure=lambda places: ()))
    yield import_module("open_webui.main")
    for name in [name for name in sys.modules if name.split(".")[0] == "open_webui"]:
        del sys.modules[name]


@pytest.fixture
def app(main: Any) -> FastAPI:
    """Its application, with the kit."""
    cczoo_backend.install(main.app)
    found: FastAPI = main.app
    return found


def ask(app: FastAPI, path: str = CONFIG, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client_of(app).get(path, headers={"accept-encoding": "identity", **named})


# The layer


def test_the_page_has_a_policy_with_what_the_administrator_allows(
    main: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEE_PAGE_SOURCES", "https://a.example")
    cczoo_backend.install(main.app)
    (policy,) = ask(main.app, "/").headers.get_list("content-security-policy")
    assert "connect-src 'self' data: blob: https://a.example;" in policy


def test_the_application_has_the_routes_and_its_page_the_loader(app: FastAPI) -> None:
    assert_error(ask(app), 403, "not-allowed", "Not authenticated")
    tag = f'<head><script src="/api/v1/tee/page/{LOADER}"></script></head>'
    for path in ("/", "/index.html"):
        assert ask(app, path).text == f"<!doctype html>{tag}\n"
    assert "cczooTrustBadge" in ask(app, "/static/loader.js").text
    assert ask(app, f"/api/v1/tee/page/{LOADER}").status_code == 200


def test_a_second_time_changes_nothing(app: FastAPI) -> None:
    build = app.build_middleware_stack
    cczoo_backend.install(app)
    assert app.build_middleware_stack is build
    assert ask(app, "/").text.count("<script") == 1


def test_what_is_loaded_is_spared_the_garbage_collector(app: FastAPI) -> None:
    """Else each full collection, which requests bring about, stops everybody for a while."""
    gc.unfreeze()
    try:
        ask(app)
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()


def test_what_is_mounted_after_the_hook_is_found_all_the_same(main: Any) -> None:
    late = main.app.router.routes.pop()
    cczoo_backend.install(main.app)
    main.app.router.routes.append(late)
    assert LOADER in ask(main.app, "/").text


def test_without_a_bundle_the_page_is_stock_and_the_log_says_what_to_do(
    main: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing() -> None:
        raise BundleError("there is no bundle: do this")

    monkeypatch.setattr(openwebui, "find_bundle", missing)
    cczoo_backend.install(main.app)
    assert ask(main.app, "/").text == "<!doctype html><head></head>\n"
    assert ask(main.app, "/static/loader.js").text == ""
    assert_error(ask(main.app), 403, "not-allowed")
    assert "do this" in caplog.text


def test_an_application_that_the_kit_cannot_be_added_to_runs_as_ever(
    main: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unknown(session) -> None: ...  # type: ignore[no-untyped-def]

    monkeypatch.setattr(import_module("open_webui.utils.auth"), "get_verified_user", unknown)
    with_kit = dict(vars(main.app))
    cczoo_backend.install(main.app)
    assert vars(main.app) == with_kit
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("The trust badge is not active: cczoo_backend is broken (Unknown")
    assert ask(main.app, "/").text == "<!doctype html><head></head>\n"


def test_an_application_that_runs_already_is_left_alone(
    main: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(main.app, "/").status_code == 200
    cczoo_backend.install(main.app)
    assert "runs already" in capsys.readouterr().err
    assert ask(main.app).status_code == 404


def test_a_front_end_that_takes_no_loader_keeps_nothing_from_starting(
    main: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(openwebui, "add_loader", lambda *_: 1 / 0)
    cczoo_backend.install(main.app)
    assert ask(main.app, "/").text == "<!doctype html><head></head>\n"
    assert_error(ask(main.app), 403, "not-allowed")
    assert "pages have no trust badge" in caplog.text


# Who asks


def test_verified_users_are_open_webuis(app: FastAPI) -> None:
    assert ask(app, authorization="Bearer ada-token").status_code == 200
    assert ask(app, cookie="token=ada-token").status_code == 200
    assert_error(ask(app, authorization="Bearer new-token"), 401, "not-allowed", "not approved")
    assert_error(ask(app, authorization="Bearer forged"), 401, "not-allowed", "no such user")
    assert_error(ask(app, authorization="Basic ada-token"), 403, "not-allowed")


ADMIN = "/api/v1/tee/admin/settings"


def test_administrators_are_open_webuis(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    bearer = {"authorization": "Bearer ada-token"}
    assert ask(app, ADMIN, **bearer).status_code == 200
    for alone in ({"cookie": "token=ada-token"}, {"x_api_key": "ada-token"}):
        assert_error(ask(app, ADMIN, **alone), 403, "not-allowed", "Not authenticated")
    other = {"cookie": "token=ada-token", "authorization": "Basic ada-token"}
    assert_error(ask(app, ADMIN, **other), 403, "not-allowed", "Not authenticated")
    assert_error(ask(app, ADMIN), 403, "not-allowed", "Not authenticated")
    users = import_module("open_webui.utils.auth").USERS
    monkeypatch.setitem(users, "ada-token", ("ada", "user"))
    assert_error(ask(app, ADMIN, **bearer), 401, "not-allowed", "administrators")


def stored(folder: Path, text: str) -> None:
    (folder / "cczoo").mkdir()
    (folder / "cczoo" / "settings.json").write_text(text)


@pytest.mark.parametrize(
    ("text", "status", "source"),
    [
        ('"sealed": "required"', 403, ""),
        ('"page_sources": "https://a.example"', 404, "https://a.example"),
    ],
)
def test_what_is_stored_in_open_webuis_data_holds_from_the_start(
    main: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, status: int, source: str
) -> None:
    monkeypatch.delenv("TEE_SEALED")
    monkeypatch.setattr(import_module("open_webui.env"), "DATA_DIR", tmp_path)
    stored(tmp_path, f'{{"v": 1, "values": {{{text}}}}}')
    cczoo_backend.install(main.app)
    assert ask(main.app, "/api/v1/chats").status_code == status
    assert source in ask(main.app, "/").headers.get("content-security-policy", "")


@pytest.mark.parametrize("text", ['{"v": 1, "values": {"sealed": "required"}}', "{"])
def test_a_broken_kit_does_not_start_where_the_file_requires_sealing(
    main: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    """Or is not to be read: then it may."""
    monkeypatch.delenv("TEE_SEALED")
    monkeypatch.setattr(import_module("open_webui.env"), "DATA_DIR", tmp_path)
    stored(tmp_path, text)
    monkeypatch.setattr(openwebui, "Routes", lambda *_, **__: 1 / 0)
    with pytest.raises(SystemExit, match="requires sealed requests"):
        cczoo_backend.install(main.app)


def test_a_user_is_looked_up_anew_each_time(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    users = import_module("open_webui.utils.auth").USERS
    bearer = {"authorization": "Bearer ada-token"}
    assert ask(app, **bearer).status_code == 200
    monkeypatch.setitem(users, "ada-token", ("ada", "pending"))
    assert_error(ask(app, **bearer), 401, "not-allowed", "not approved")
    monkeypatch.setitem(users, "ada-token", ("ada", "user"))
    assert ask(app, **bearer).status_code == 200
    monkeypatch.delitem(users, "ada-token")
    assert_error(ask(app, **bearer), 401, "not-allowed", "no such user")


def test_claims_are_those_of_open_webuis_own_tokens(app: FastAPI) -> None:
    host = openwebui.OpenWebUI(app)
    assert host.claims_of("ada-token") == {"id": "ada"}
    assert host.claims_of("forged") is None
    assert host.version == "0.0.0"


KEY_IN = [{"authorization": "Bearer sk-ada"}, {"cookie": "token=sk-ada"}, {"x_api_key": "sk-ada"}]


@pytest.mark.parametrize("headers", KEY_IN, ids=["header", "cookie", "own-header"])
@pytest.mark.parametrize(
    ("asked", "setting"),
    [("enable_api_key", "ENABLE_API_KEY"), ("enable_api_keys", "ENABLE_API_KEYS")],
    ids=["0.5.20", "0.6.43"],
)
def test_api_keys_are_let_in_where_the_administrator_allows_them(
    app: FastAPI, headers: dict[str, str], asked: str, setting: str
) -> None:
    app.state.key_permission = asked
    assert_error(ask(app, **headers), 403, "not-allowed", "API keys are not allowed")
    for value in (False, True):
        app.state.config = SimpleNamespace(**{setting: value})
        assert (ask(app, **headers).status_code == 200) is value


class Strict:
    """Settings as 0.5.20 has them: KeyError for what it does not know."""

    def __getattr__(self, name: str) -> object:
        raise KeyError(name)


def test_without_the_setting_api_keys_are_refused(app: FastAPI) -> None:
    app.state.config = Strict()
    assert_error(ask(app, authorization="Bearer sk-ada"), 403, "not-allowed")
    del app.state.config
    assert_error(ask(app, authorization="Bearer sk-ada"), 403, "not-allowed")
    assert ask(app, authorization="Bearer ada-token").status_code == 200


@pytest.mark.parametrize("headers", KEY_IN, ids=["header", "cookie", "own-header"])
@pytest.mark.parametrize(
    ("allowed", "status"),
    [
        ("/api/v1/tee", 200),
        ("/api/models, /api/v1/tee/config ", 200),
        ("/api/models", 403),
        ("/api/v1/te", 403),
        (" ,", 403),
        ("", 403),
        (None, 403),
    ],
)
def test_restrictions_of_api_keys_hold(
    app: FastAPI, headers: dict[str, str], allowed: str | None, status: int
) -> None:
    app.state.config = SimpleNamespace(
        ENABLE_API_KEY=True,
        ENABLE_API_KEYS_ENDPOINT_RESTRICTIONS=True,
        API_KEYS_ALLOWED_ENDPOINTS=allowed,
    )
    assert ask(app, **headers).status_code == status
    assert ask(app, authorization="Bearer ada-token").status_code == 200
