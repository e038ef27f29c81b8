"""An attestation service for the relay's tests: remembers each request, misbehaves on demand."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Seen:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class RelayTarget:
    """What the next answer is, and what arrived so far."""

    url: str = ""
    mode: str = "token"
    seen: list[Seen] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)


def _answer(handler: BaseHTTPRequestHandler, target: RelayTarget) -> None:
    status, headers, body = 200, {"Content-Type": "text/html", "Set-Cookie": "a=b"}, b"<b>token</b>"
    if target.mode == "refuse":
        status, body = 500, b"Verifier error"
    elif target.mode == "redirect":
        status, headers = 307, {"Location": target.url + "/elsewhere"}
    elif target.mode == "hang":
        target.closing.wait(60)
    elif target.mode == "huge":
        body = bytes(1024 * 1024 + 1)
    elif target.mode == "compressed":
        headers["Content-Encoding"] = "gzip"
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextlib.contextmanager
def relay_target() -> Iterator[RelayTarget]:
    """Run the service on a free port of 127.0.0.1."""
    target = RelayTarget()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            target.seen.append(Seen(self.path, headers, body))
            with contextlib.suppress(ConnectionError):
                _answer(self, target)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    target.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield target
    finally:
        target.closing.set()
        server.shutdown()
        server.server_close()
