"""The doctor against the kit's own layers on a real server: it knows what they answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cczoo_installer import patchset
from cczoo_installer.doctor import reach, served
from cczoo_installer.doctor.findings import Finding, State
from cczoo_installer.doctor.scene import Options, Scene
from host_double import LOADER, a_bundle, routes_of
from sealed_double import around, serving
from starlette.responses import HTMLResponse

from cczoo_backend.bundle import Bundle
from cczoo_backend.front_end import IndexPage
from cczoo_backend.layer import Layer
from cczoo_backend.routes import PAGE_ROOT


@pytest.fixture
def page(tmp_path: Path) -> Any:
    """open-webui's page, with the loader in it as the kit puts it there."""
    file = tmp_path / "index.html"
    file.write_text("<!doctype html><html><head><title>chat</title></head></html>")
    index = IndexPage(file, f"{PAGE_ROOT}/{LOADER}")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        response = index.response(scope) if scope["path"] == "/" else HTMLResponse("", 404)
        assert response is not None
        await response(scope, receive, send)

    return app


def bundle() -> Bundle:
    """The page's files, with a worker and what the page for auditors begins with."""
    made = a_bundle(worker=b"1", auditors=b"2")
    return Bundle(made.loader, made.files, "worker.js", "auditors.js")


def look(tmp_path: Path, app: Any) -> dict[str, Finding]:
    """What is found of a server, by id."""
    with serving(app) as url:
        options = Options(None, url, None, True, patchset.default_root(), {}, tmp_path)
        found = [*served.look(Scene(options)), *reach.look(Scene(options))]
    assert len({one.id for one in found}) == len(found)
    return {one.id: one for one in found}


def test_sealing_that_is_offered(tmp_path: Path, page: Any) -> None:
    found = look(tmp_path, around(page, bundle=bundle()))
    assert found["sealing"].detail == {"mode": "offered"}
    good = ("loader", "routes", "settings", "sealed-way", "replicas", "proxy")
    assert {id_: found[id_].state for id_ in good} == dict.fromkeys(good, State.OK)
    # This machine makes no quotes, and the kit says why.
    assert found["quote"].state is State.FAILURE
    assert "tdx-not-available" in found["quote"].text


def test_sealing_that_is_required(tmp_path: Path, page: Any) -> None:
    app = around(page, bundle=bundle(), environ={"TEE_SEALED": "required"})
    found = look(tmp_path, app)
    assert found["sealing"].detail == {"mode": "required"}
    assert found["loader"].state is State.OK  # in the page that sets sealing up


def test_sealing_that_is_off(tmp_path: Path, page: Any) -> None:
    found = look(tmp_path, Layer(page, routes_of({"TEE_SEALED": "off"}, bundle=bundle()), None))
    assert found["sealing"].state is State.WARNING
    assert found["settings"].state is State.NOTE  # for those who are signed in
    assert "sealed-way" not in found


def test_settings_that_are_wrong(tmp_path: Path, page: Any) -> None:
    app = around(page, bundle=bundle(), environ={"TEE_PCCS_URL": "nonsense"})
    found = look(tmp_path, app)
    assert found["settings"].state is State.FAILURE
    assert "TEE_PCCS_URL" in found["settings"].text


def test_a_server_without_the_kit(tmp_path: Path, page: Any) -> None:
    async def stock(scope: Any, receive: Any, send: Any) -> None:
        await HTMLResponse("<html><head></head></html>")(scope, receive, send)

    found = look(tmp_path, stock)
    assert {one: found[one].state for one in ("loader", "routes")} == {
        "loader": State.FAILURE,
        "routes": State.FAILURE,
    }
