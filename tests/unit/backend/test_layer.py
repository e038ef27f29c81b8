"""The layer: what is the kit's it answers, and everything else goes through it untouched."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from host_double import answer_to, client_of, plain, routes_of, scope_of
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from cczoo_backend.content_policy import AnswerHeaders
from cczoo_backend.front_end import StockLoader
from cczoo_backend.layer import Layer
from error_document import assert_error


def around(app: Any, stock_loader: StockLoader | None = None) -> Layer:
    return Layer(app, routes_of(), stock_loader)


class Recorder:
    """An application that notes what it was called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    async def __call__(self, *call: Any) -> None:
        self.calls.append(call)


@pytest.mark.parametrize(
    "scope",
    [
        scope_of("/"),
        scope_of("/api/v1/teeth"),
        scope_of("/api/v1"),
        scope_of("/x/api/v1/tee/quote"),
        scope_of("/API/v1/tee/quote"),
        scope_of("/static/loader.js"),
        scope_of("/api/chat", "POST", content_type="application/json"),
        {"type": "websocket", "path": "/ws/socket.io/", "headers": []},
        {"type": "lifespan", "state": {}},
    ],
    ids=range(9),
)
def test_what_is_not_the_kits_is_passed_on_as_it_came(scope: dict[str, Any]) -> None:
    app = Recorder()
    receive, send = Recorder(), Recorder()
    coroutine = around(app)(scope, receive, send)
    with pytest.raises(StopIteration):  # it waits for nothing
        coroutine.send(None)
    assert app.calls == [(scope, receive, send)]
    assert app.calls[0][0] is scope
    assert receive.calls == send.calls == []


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/api/v1/tee", "/api/v1/tee/", "/api/v1/tee/x/../../y"])
def test_nothing_below_the_kits_root_reaches_the_application(path: str, method: str) -> None:
    app = Recorder()
    assert_error(answer_to(around(app), scope_of(path, method)), 404, "not-found")
    assert app.calls == []


def test_with_headers_only_the_way_out_of_http_answers_is_another() -> None:
    app, receive, send = Recorder(), Recorder(), Recorder()
    layer = Layer(app, routes_of(), None, AnswerHeaders(()))
    for scope in (scope_of("/"), {"type": "websocket", "path": "/ws", "headers": []}):
        coroutine = layer(scope, receive, send)
        with pytest.raises(StopIteration):
            coroutine.send(None)
    (http, websocket) = app.calls
    assert http[0]["type"] == "http"
    assert http[1] is receive
    assert http[2] is not send
    assert websocket[2] is send


def test_an_application_below_another_is_found_there() -> None:
    scope = {**scope_of("/chat/api/v1/tee/quotes"), "root_path": "/chat"}
    assert_error(answer_to(around(plain), scope), 404, "not-found")


class Spoiler:
    """Middleware that no answer gets past."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("open-webui's middleware ran")


def test_the_applications_middleware_does_not_see_the_kits_requests() -> None:
    app = Starlette(middleware=[Middleware(Spoiler)])
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: around(build())  # type: ignore[method-assign]
    client = client_of(app)
    assert_error(client.get("/api/v1/tee/config"), 403, "not-allowed")
    assert client.get("/").status_code == 500  # its own error page


def test_the_applications_failures_stay_its_own() -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        TestClient(around(fails)).get("/")


def test_answers_stream_through_piece_by_piece() -> None:
    sent: list[bytes] = []

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"a", b"b", b"c"):
            yield piece
            assert sent[-1] == piece  # nobody held it back

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def noting(message: Any) -> None:
            await send(message)
            if message.get("body"):
                sent.append(message["body"])

        await StreamingResponse(pieces())(scope, receive, noting)

    assert client_of(around(app)).get("/").content == b"abc"
    assert sent == [b"a", b"b", b"c"]


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    await socket.close()


def test_sockets_and_the_lifespan_reach_the_application() -> None:
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        events.append("start")
        yield
        events.append("end")

    app = Starlette(routes=[WebSocketRoute("/ws", echo)], lifespan=lifespan)
    with TestClient(around(app)) as client, client.websocket_connect("/ws") as socket:
        socket.send_text("hello")
        assert socket.receive_text() == "hello"
    assert events == ["start", "end"]


def test_there_are_no_sockets_below_the_kits_root() -> None:
    client = TestClient(around(plain))
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/api/v1/tee/quote"):
        pass


# open-webui's own loader.js


def test_the_stock_loader_is_answered_for_readers_alone(tmp_path: Any) -> None:
    (tmp_path / "loader.js").write_bytes(b"stock();\n")
    app = Starlette(
        routes=[Route("/static/loader.js", lambda _: PlainTextResponse("app"), methods=["POST"])]
    )
    client = client_of(around(app, StockLoader(tmp_path / "loader.js")))
    get, head = client.get("/static/loader.js"), client.head("/static/loader.js")
    assert get.text.endswith("stock();\n")
    assert get.headers["cache-control"] == "no-store"
    assert (head.content, head.headers) == (b"", get.headers)
    assert client.post("/static/loader.js").text == "app"


def test_a_stock_loader_that_cannot_be_added_to_is_the_applications(tmp_path: Any) -> None:
    (tmp_path / "loader.js").mkdir()
    layer = around(plain, StockLoader(tmp_path / "loader.js"))
    assert client_of(layer).get("/static/loader.js").text == "/static/loader.js"
