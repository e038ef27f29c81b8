"""What proxies in front of a server under test have in common: they listen, ask on, and end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import aiohttp
from aiohttp import web

SECONDS = 30
SESSION = web.AppKey("session", aiohttp.ClientSession)
"""What requests are passed on with: as they are, without cookies of its own."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def forwarding(
    request: Handler, socket: Handler, *, largest: int, gone: type[Exception]
) -> web.Application:
    """Handle each request, or socket, by these; 502 where one raises `gone`.

    A body that is read as a whole has `largest` bytes at most.
    """

    async def open_session(app: web.Application) -> AsyncIterator[None]:
        session = aiohttp.ClientSession(
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=SECONDS),
        )
        async with session:
            app[SESSION] = session
            yield

    async def handle(asked: web.Request) -> web.StreamResponse:
        is_socket = asked.headers.get("upgrade", "").lower() == "websocket"
        try:
            return await (socket if is_socket else request)(asked)
        except gone:
            return web.Response(status=502)

    app = web.Application(client_max_size=largest)
    app.cleanup_ctx.append(open_session)
    app.router.add_route("*", "/{path:.*}", handle)
    return app


@contextlib.contextmanager
def listening(application: web.Application, port: int = 0) -> Iterator[str]:
    """Run it in a thread, on a port of 127.0.0.1 (0: a free one); gives its URL."""
    loop = asyncio.new_event_loop()
    started, end = threading.Event(), asyncio.Event()
    urls: list[str] = []

    async def run() -> None:
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        urls.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        started.set()
        await end.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    try:
        assert started.wait(SECONDS), "the proxy did not start"
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(SECONDS)
        loop.close()
