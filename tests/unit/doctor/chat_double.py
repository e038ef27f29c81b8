"""A chat that answers what it is told, in a thread or as the open-webui of an environment.

As a program it reads its answers from the JSON file that CHAT_DOUBLE names, and prints its port.
"""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOADER = "loader-AbCd1234.js"
PAGE = f'<html><head><script src="/api/v1/tee/page/{LOADER}"></script></head></html>'
KEYSET = {"v": 1, "not_after": "2100-01-01T00:00:00Z", "seal": [{"id": "k1"}], "sign": []}
CONFIG = {
    "v": 1,
    "enforcement": "warn",
    "offered": [],
    "providers": {},
}


@dataclass
class Says:
    """One answer; ``headers`` come beside those that describe the body."""

    body: bytes | str | object = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


def with_the_kit(**changes: Says) -> dict[str, Says]:
    """The answers of a server with the kit; ``changes`` are named page, keys, config, ..."""
    named = {
        "page": ("/", Says(PAGE)),
        "loader": (f"/api/v1/tee/page/{LOADER}", Says("window.cczooTrustBadge = {};")),
        "config": ("/api/v1/tee/config", Says(CONFIG)),
        "keys": ("/api/v1/tee/keys", Says({"v": 1, "keyset": KEYSET})),
        "app": ("/api/config", Says({"name": "Open WebUI"})),
        "auditors": ("/tee", Says("<html></html>")),
        "worker": ("/api/v1/tee/worker", Says("")),
        "ohttp": (
            "/api/v1/tee/ohttp",
            Says({"status": False, "code": "sealed-malformed", "detail": "x"}, 400),
        ),
        "quote": (
            "/api/v1/tee/quote",
            Says({"tee": "tdx", "provider": "tdx_guest", "simulated": False}),
        ),
    }
    return {path: changes.get(name, says) for name, (path, says) in named.items()}


Answers = Mapping[str, Says] | Callable[[str], Says | None]


def _handler(answers: Answers, asked: list[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "uvicorn", ""

        def version_string(self) -> str:
            return "uvicorn"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            path = self.path.partition("?")[0]
            asked.append(f"{self.command} {path}")
            found = answers(path) if callable(answers) else answers.get(path)
            says = found or Says({"detail": "Not Found"}, 404)
            content = says.content()
            self.send_response_only(says.status)
            headers = {"Server": "uvicorn", "Date": self.date_time_string(), **says.headers}
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):  # who has read enough
                self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 (http.server's name)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@dataclass
class Chat:
    """Where it is, and what it was asked: method and path."""

    url: str
    asked: list[str]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


@contextlib.contextmanager
def chat(answers: Answers, tls: ssl.SSLContext | None = None) -> Iterator[Chat]:
    """A chat on a free port of 127.0.0.1 until the end of the block."""
    asked: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(answers, asked)) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        scheme = "https" if tls is not None else "http"
        host = "localhost" if tls is not None else "127.0.0.1"
        try:
            yield Chat(f"{scheme}://{host}:{server.server_port}", asked)
        finally:
            server.shutdown()
            thread.join(60)


def main() -> None:
    with open(os.environ["CHAT_DOUBLE"], encoding="utf-8") as file:
        answers = {path: Says(body) for path, body in json.load(file).items()}
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(answers, [])) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
