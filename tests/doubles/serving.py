"""Runs ASGI applications for tests: in a thread, or as a process of their own."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import uvicorn
from cczoo_verifier.server import CLIENT_TIMEOUT, listen, make_server, run
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

END_SECONDS = 60


@contextlib.contextmanager
def serving(
    make_app: Callable[[str], ASGIApp],
    *,
    port: int = 0,
    client_timeout: int = CLIENT_TIMEOUT,
    sockets: bool = False,
) -> Iterator[str]:
    """`make_app(url)` on a port of 127.0.0.1 (0: a free one), in a thread; gives the URL.

    With `sockets` it takes WebSockets, which `cczoo-verify` itself never does.
    """
    with listen("127.0.0.1", port) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = make_server(make_app(url), client_timeout=client_timeout).config
        config.timeout_graceful_shutdown = 0
        if sockets:
            config.ws = "wsproto"
        with in_a_thread(config, listener):
            yield url


@contextlib.contextmanager
def in_a_thread(config: uvicorn.Config, listener: socket.socket) -> Iterator[None]:
    """Serve what is configured on a socket that listens, and have ended at the end of the block."""
    server = _PromptServer(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.end.set_result(None)
        thread.join(END_SECONDS)


class _PromptServer(uvicorn.Server):
    """Ends at once, where uvicorn's own takes tenths of a second: hundreds of tests start one."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.end = Future[None]()

    async def main_loop(self) -> None:
        ticks = asyncio.ensure_future(super().main_loop())
        await asyncio.wrap_future(self.end)
        ticks.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listening in (*self.servers, *(sockets or ())):
            listening.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if tasks := set(self.server_state.tasks):
            await asyncio.wait(tasks, timeout=self.config.timeout_graceful_shutdown)
        for task in tasks:
            task.cancel()
        await self.lifespan.shutdown()


def command_line(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every double has."""
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument(
        "--cors-origin", action="append", default=[], help="repeatable; none: every origin"
    )
    return parser


def run_double(make_app: Callable[[str], ASGIApp], options: argparse.Namespace) -> int:
    """Serve until a signal; prints the "listening" line."""
    with contextlib.suppress(KeyboardInterrupt):
        run(make_app, options.host, options.port, {})
    return 0


def share(app: Starlette, origins: list[str]) -> None:
    """Let pages of these origins, or of every origin, use the whole application."""
    app.add_middleware(
        CORSMiddleware,
        allow_origins=origins or ["*"],
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
    )
