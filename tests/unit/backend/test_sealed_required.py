"""Where requests must come sealed: what else passes, what is answered, and what does not start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_open_webui import write_package
from host_double import LOADER, a_bundle, client_of, plain, run
from sealed_double import a_keyring, around, sealed_client
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

import cczoo_backend
from cczoo_backend import openwebui
from cczoo_backend.bundle import BundleError
from cczoo_backend.sealed import plain as plain_requests
from cczoo_backend.stock import OUTSIDE_FILES, OUTSIDE_FOLDERS
from cczoo_backend.workload.measuring import Measurer
from error_document import assert_error

REQUIRED = {"TEE_SEALED": "required"}
BACKEND = Path(__file__).resolve().parents[3] / "backend"
NAVIGATION = {"sec-fetch-mode": "navigate", "accept": "text/html"}

OUTSIDE = [
    *("/_app/immutable/entry/start.js", "/static/loader.js", "/assets/fonts/x.woff2"),
    "/pyodide/a.wasm",
    *("/themes/rosepine.css", "/wasm/x.wasm", "/audio/notification.mp3", "/health"),
    *("/favicon.png", "/favicon.ico", "/manifest.json", "/opensearch.xml", "/robots.txt"),
]
INSIDE = [
    *("/", "/c/1", "/api/config", "/api/version", "/api/v1/auths/signin", "/auth", "/ws/"),
    "/cache/image/x.png",
    *("/oauth/google/login", "/healthy", "/health/all", "/static", "/_app", "/other.png"),
    *("/static/../api/config", "/_app/../c/1", "/ollama/api/tags", "/x/_app/a.js", "/themes"),
    *("//static/loader.js", "/api/v1/teeth", "/Static/x", "/cache/../static/x", "/s/static/x"),
    "/assets/emojis/1f600.svg",
]


def required(app: Any = plain, **options: Any) -> httpx.Client:
    return client_of(around(app, environ=REQUIRED, **options))


def scope_answer(path: str, method: str = "GET", query: bytes = b"", **headers: str) -> Any:
    """The answer to a path as it stands, which a client would tidy up."""
    sent: list[Any] = []
    named = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    scope = {
        **{"type": "http", "method": method, "path": path, "query_string": query},
        "headers": named,
    }

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def scenario() -> None:
        await around(plain, environ=REQUIRED)(scope, receive, send)

    run(scenario)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def test_the_page_has_the_same_list() -> None:
    listed = json.loads((BACKEND.parent / "web/src/transport/outside.json").read_text("utf-8"))
    assert tuple(listed["folders"]) == OUTSIDE_FOLDERS
    assert set(listed["files"]) == OUTSIDE_FILES
    assert tuple(listed["methods"]) == plain_requests.READING


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_front_ends_own_files_pass(path: str, method: str) -> None:
    assert scope_answer(path, method)[0] == 200


@pytest.mark.parametrize("path", OUTSIDE)
def test_they_pass_for_readers_without_words_alone(path: str) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert scope_answer(path, method)[0] == 403
    assert scope_answer(path, query=b"q=what+I+ask")[0] == 403


@pytest.mark.parametrize("path", INSIDE)
def test_everything_else_has_to_come_sealed(path: str) -> None:
    for method in ("GET", "HEAD", "POST"):
        status, body = scope_answer(path, method)
        assert status == 403
        assert json.loads(body)["code"] == "sealed-required"


def test_the_kits_routes_answer_in_the_clear() -> None:
    client = required()
    assert client.get("/api/v1/tee/config").status_code == 200
    assert client.get("/api/v1/tee/sealed?x=1").json() == {"v": 1, "sealed": False}
    assert client.get(f"/api/v1/tee/page/{LOADER}").status_code == 200


def test_a_navigation_gets_the_page_that_comes_back_sealed() -> None:
    of_the_worker = {"sec-fetch-mode": "same-origin", "accept": "text/html"}
    for headers in (NAVIGATION, {"accept": "text/html,*/*"}, of_the_worker):
        answer = required().get("/c/1?q=words", headers=headers)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        head = answer.text.partition("<head>")[2]
        assert head.startswith(f'<script src="/api/v1/tee/page/{LOADER}"></script>')
        assert "words" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-mode": "cors"},
        {"sec-fetch-mode": "no-cors"},
        {"accept": "application/json"},
        {},
    ],
)
def test_what_is_no_navigation_is_refused(headers: dict[str, str]) -> None:
    assert_error(required().get("/api/config", headers=headers), 403, "sealed-required", "sealed")
    assert_error(required().post("/", headers=NAVIGATION), 403, "sealed-required")


def test_without_a_loader_there_is_no_page_to_give() -> None:
    client = required(loader_url=None)
    assert_error(client.get("/", headers=NAVIGATION), 403, "sealed-required")


async def _socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


def test_plain_sockets_are_refused() -> None:
    app = Starlette(routes=[WebSocketRoute("/ws/socket.io/", _socket)])
    layer = around(app, environ=REQUIRED)
    with pytest.raises(WebSocketDisconnect), TestClient(layer).websocket_connect("/ws/socket.io/"):
        pass


def test_what_comes_sealed_reaches_the_app() -> None:
    app = Starlette(routes=[Route("/c/1", lambda _: PlainTextResponse("inside"))])
    with sealed_client(app, environ=REQUIRED) as client:
        assert client.ask("GET", "/c/1?q=words").content == b"inside"
        assert client.http.get("/c/1").status_code == 403


def test_a_client_cannot_say_that_it_came_sealed() -> None:
    answer = required().get("/c/1", headers={"tee-sealed": "1", "tee_sealed": "true"})
    assert_error(answer, 403, "sealed-required")


def test_where_sealing_is_offered_plain_requests_pass() -> None:
    client = client_of(around(plain))
    assert client.get("/c/1?q=words").text == "/c/1"
    assert client.post("/api/config").text == "/api/config"


# Workers


def lifespan_of(layer: Any) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    run(lambda: layer({"type": "lifespan"}, receive, send))
    return sent


def test_several_workers_do_not_start(caplog: pytest.LogCaptureFixture) -> None:
    layer = around(plain, others=lambda: 2)
    (failed,) = lifespan_of(layer)
    assert failed["type"] == "lifespan.startup.failed"
    for word in ("3 workers", "workers to 1", "TEE_SEALED=off"):
        assert word in failed["message"]
        assert word in caplog.text
    assert_error(client_of(layer).get("/"), 503, "misconfigured", "workers")
    with pytest.raises(WebSocketDisconnect), TestClient(layer).websocket_connect("/ws"):
        pass


# open-webui with the kit


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The stand-in's ``open_webui.main``, loaded without the kit."""
    write_package(tmp_path, {"__init__.py": ""})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(openwebui, "find_bundle", a_bundle)
    monkeypatch.setattr(openwebui, "Keyring", a_keyring)
    monkeypatch.setattr(openwebui, "Measurer", partial(Measurer, measure=lambda places: ()))
    yield import_module("open_webui.main")
    for name in [name for name in sys.modules if name.split(".")[0] == "open_webui"]:
        del sys.modules[name]


def installed(main: Any, monkeypatch: pytest.MonkeyPatch, mode: str | None) -> httpx.Client:
    if mode is None:
        monkeypatch.delenv("TEE_SEALED", raising=False)
    else:
        monkeypatch.setenv("TEE_SEALED", mode)
    cczoo_backend.install(main.app)
    return client_of(main.app)


@pytest.mark.parametrize("mode", [None, "offered"])
def test_sealing_is_offered_by_default(
    main: Any, monkeypatch: pytest.MonkeyPatch, mode: str | None
) -> None:
    client = installed(main, monkeypatch, mode)
    assert LOADER in client.get("/").text
    assert client.get("/api/v1/tee/config").status_code == 200
    assert_error(client.post("/api/v1/tee/ohttp"), 400, "sealed-malformed")


def test_switched_off_there_is_nothing_of_it(main: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = installed(main, monkeypatch, "off")
    assert LOADER in client.get("/").text
    assert_error(client.get("/api/v1/tee/config"), 403, "not-allowed")
    for path in ("/api/v1/tee/ohttp", "/api/v1/tee/ws"):
        assert_error(client.post(path), 404, "not-found")
    assert client.get("/api/v1/tee/sealed").json() == {"v": 1, "sealed": False}


def test_a_wrong_word_requires_and_is_told(
    main: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = installed(main, monkeypatch, "yes")
    assert_error(client.get("/api/config"), 403, "sealed-required")
    assert "TEE_SEALED must be one of off, offered, required" in caplog.text


def test_the_page_that_comes_back_names_the_loader(
    main: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = installed(main, monkeypatch, "required")
    page = client.get("/", headers=NAVIGATION).text
    assert LOADER in page
    assert page != (Path(main.__file__).parent / "frontend/index.html").read_text()


@pytest.mark.parametrize("mode", ["required", "Required", "sealed"])
def test_without_the_pages_files_nothing_starts_that_nobody_could_use(
    main: Any, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    def missing() -> None:
        raise BundleError("there is no bundle: do this")

    monkeypatch.setattr(openwebui, "find_bundle", missing)
    with pytest.raises(SystemExit, match="does not start"):
        installed(main, monkeypatch, mode)
    installed(main, monkeypatch, "offered")  # as ever


# A broken kit: a Python of its own, as what it says is its end


Loads = Callable[..., "subprocess.CompletedProcess[str]"]
BROKEN = {
    "backend": ("openwebui.py", "1 / 0\n"),
    "hook": ("hook.py", "1 / 0\n"),
    "package": ("stock.py", "import there_is_no_such_module\n"),
}
WAYS = {
    "patch": "from cczoo_backend import install\nimport open_webui.main as main\ninstall(main.app)",
    "plug-in": (
        "import sys\nclass Finder:\n    def find_spec(name, path=None, target=None):\n"
        "        if name == 'open_webui.main':\n            from cczoo_backend import hook\n"
        "            return hook.find_spec(name, path, target, path[0])\n"
        "sys.meta_path.insert(0, Finder)\nimport open_webui.main"
    ),
    "asgi": "import cczoo_backend.asgi",
}


@pytest.fixture
def loads(tmp_path: Path) -> Loads:
    """Load open-webui's stand-in in a fresh Python, with a kit that is broken in a way."""
    import shutil

    write_package(tmp_path / "site", {"__init__.py": ""})
    kit = tmp_path / "kit"
    leave_out = shutil.ignore_patterns("__pycache__", "page")
    shutil.copytree(BACKEND / "cczoo_backend", kit / "cczoo_backend", ignore=leave_out)

    def loading(broken: str, way: str, mode: str) -> subprocess.CompletedProcess[str]:
        name, source = BROKEN[broken]
        (kit / "cczoo_backend" / name).write_text(source)
        path = os.pathsep.join(map(str, (tmp_path / "site", kit, BACKEND.parent)))
        return subprocess.run(
            [sys.executable, "-c", WAYS[way] + "\nprint('started')"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": path, "TEE_SEALED": mode},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return loading


@pytest.mark.parametrize(
    ("broken", "way"),
    [("backend", "patch"), ("backend", "plug-in"), ("backend", "asgi"), ("package", "plug-in")],
)
def test_a_broken_kit_starts_nothing_where_all_has_to_come_sealed(
    loads: Loads, broken: str, way: str
) -> None:
    done = loads(broken, way, "required")
    assert done.returncode != 0
    assert "started" not in done.stdout
    if broken == "backend":
        last = done.stderr.splitlines()[-1]
        assert last.startswith("TEE_SEALED requires sealed requests: open-webui does not start.")
    assert "started" in loads("backend", "patch", "offered").stdout
