"""Runs an ASGI application on a socket of its own, and tells when it listens."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Callable, Mapping
from typing import TextIO

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 256

CLIENT_TIMEOUT = 15
"""Seconds that a connection may be open without a complete request head."""


def run(
    make_app: Callable[[str], ASGIApp],
    host: str,
    port: int,
    announcement: Mapping[str, str],
    *,
    verbose: bool = False,
    out: TextIO = sys.stdout,
) -> None:
    """Serve `make_app(url)` until a signal ends it; port 0 takes a free one.

    Prints one line of JSON as soon as connections are accepted: `announcement` with "event"
    and "url". Raises OSError when the address is taken or does not exist.
    """
    with listen(host, port) as listener:
        name = f"[{host}]" if ":" in host else host
        url = f"http://{name}:{listener.getsockname()[1]}"
        app = make_app(url)
        print(json.dumps({"event": "listening", "url": url, **announcement}), file=out, flush=True)
        make_server(app, verbose=verbose).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one. Raises OSError as above."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family)
    # Its connections inherit this. asyncio sets it for sockets that it makes itself only, and
    # without it an answer on a kept connection waits some 40 ms for an acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def make_server(
    app: ASGIApp, *, verbose: bool = False, client_timeout: int = CLIENT_TIMEOUT
) -> uvicorn.Server:
    """A uvicorn server with our limits; `client_timeout` as CLIENT_TIMEOUT."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="info" if verbose else "warning",
            access_log=verbose,
            server_header=False,
            http=_ImpatientProtocol,
            ws="none",
            timeout_keep_alive=client_timeout,
            timeout_graceful_shutdown=5,
            limit_concurrency=MAX_CONNECTIONS,
            lifespan="off",
        )
    )


class _ImpatientProtocol(H11Protocol):
    """Closes connections on which no request is complete in time.

    uvicorn's own time-out runs only between requests and ends with the next byte, so a client
    that sends nothing, or a byte now and then, would hold one of MAX_CONNECTIONS for ever.
    While a request is answered the time is the application's.
    """

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Start the time when it is the client's turn, not anew with each byte."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._waiting is None:
            self._waiting = self.loop.call_later(self.timeout_keep_alive, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
