"""A client of sealed requests that says exactly what it is told, and servers to ask."""

from __future__ import annotations

import contextlib
import email.utils
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from cczoo_verifier.server import listen
from host_double import a_bundle, a_statement, routes_of

from cczoo_backend.keys import Keyring
from cczoo_backend.layer import Layer
from cczoo_backend.routes import PAGE_ROOT
from cczoo_backend.sealed.layer import SealedLayer
from doubles.serving import in_a_thread
from quote_generator.sealing import binary_http, chunked_ohttp, keyset, padding
from quote_generator.sealing.keyset import KeyConfig

SECONDS = 60
OHTTP = "/api/v1/tee/ohttp"
TEE_PADDED = (b"accept-encoding", padding.CODING.encode())

Fields = Sequence[tuple[bytes, bytes]]


def a_keyring(**clocks: Any) -> Keyring:
    """A keyring that starts no timer."""
    return Keyring(later=lambda _seconds, _function: None, **clocks)


def around(app: Any, keys: Keyring | None = None, **options: Any) -> SealedLayer:
    """The layers around ``app``, as in an open-webui with the kit."""
    keys = keys or a_keyring()
    environ = options.pop("environ", {})
    options = {"others": lambda: 0, "loader_url": f"{PAGE_ROOT}/{a_bundle().loader}", **options}
    statement = options.pop("statement", None) or a_statement()
    bundle = options.pop("bundle", a_bundle())
    routes = routes_of(environ, keys=keys, statement=statement, bundle=bundle)
    options["statement_holds"] = statement.holds
    return SealedLayer(Layer(app, routes, None), keys, environ=environ, **options)


@contextlib.contextmanager
def serving(app: Any, **options: Any) -> Iterator[str]:
    """``app`` on a real server; gives its address."""
    config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1, **options)
    with listen("127.0.0.1", 0) as listener, in_a_thread(config, listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def wait_until(holds: Callable[[], object]) -> None:
    """Wait, in bounded time, for something that happens elsewhere."""
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, "it has not happened"
        time.sleep(0.01)


def now_as_date(offset: float = 0) -> bytes:
    return email.utils.formatdate(time.time() + offset, usegmt=True).encode()


@dataclass
class Answer:
    """What was inside an answer; ``pieces`` are its records or contents as they came."""

    status: int
    fields: dict[str, str]
    content: bytes
    size: int = 0

    def header(self, name: str) -> str | None:
        return self.fields.get(name)


@dataclass
class Asked:
    """One sealed request: its outer body, and what opens the answer."""

    sealer: chunked_ohttp.RequestSealer
    body: bytes
    key: KeyConfig
    headers: dict[str, str] = field(default_factory=dict)

    def opened(self, answer: bytes) -> Answer:
        """The answer, which must be whole."""
        opener, decoder = self.sealer.response(), binary_http.ResponseDecoder()
        parts = [part for piece in opener.feed(answer) for part in decoder.feed(piece)]
        parts += decoder.feed(opener.end())
        decoder.end()
        head, *bodies = parts
        assert isinstance(head, binary_http.ResponseHead)
        content = b"".join(part for part in bodies if isinstance(part, bytes))
        fields = {name.decode(): value.decode() for name, value in head.fields}
        if fields.get("content-encoding", "").endswith(padding.CODING):
            unpadding = padding.PaddedDecoder()
            content = unpadding.feed(content)
            unpadding.end()
        return Answer(head.status, fields, content, len(answer))


def seal(
    config: KeyConfig,
    method: str,
    path: str,
    body: bytes = b"",
    fields: Fields = (),
    *,
    date: bytes | None = None,
    authority: str = "chat.example",
    scheme: str = "https",
    padded: bool = True,
    chunks: int = 1,
) -> Asked:
    """Seal a request as the page does; ``chunks`` is how many its body comes in."""
    sealer = chunked_ohttp.RequestSealer(config)
    own = [(b"date", date if date is not None else now_as_date())]
    own += [TEE_PADDED] if padded else []
    if body:
        own.append((b"content-length", str(len(body)).encode()))
    head = binary_http.RequestHead(method, scheme, authority, path, (*own, *fields))
    start = binary_http.encode_request_head(head)
    size = -(-len(body) // chunks) or 1
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    inner = [start, *map(binary_http.encode_content, pieces)]
    length = len(b"".join(inner)) + len(binary_http.END)
    last = binary_http.END + bytes(padding.filling(length))
    if chunks == 1:
        sealed = _all_in_one(sealer, b"".join(inner) + last)
    else:
        sealed = b"".join(map(sealer.chunks, inner)) + sealer.final(last)
    return Asked(sealer, sealer.start + sealed, config, outer_headers(config))


def _all_in_one(sealer: chunked_ohttp.RequestSealer, plain: bytes) -> bytes:
    cut = max(0, len(plain) - 1) // chunked_ohttp.CHUNK_MAX * chunked_ohttp.CHUNK_MAX
    return sealer.chunks(plain[:cut]) + sealer.final(plain[cut:])


def outer_headers(config: KeyConfig) -> dict[str, str]:
    return {"content-type": chunked_ohttp.MEDIA_REQUEST, "tee-key": config.id}


class SealedClient:
    """Asks a server by sealed requests under ``keys``' current keyset."""

    def __init__(self, url: str, keys: Keyring) -> None:
        self.http = httpx.Client(base_url=url, timeout=SECONDS, trust_env=False)
        self.config = keyset.parse_keyset(dict(keys.current().document)).preferred

    def seal(self, method: str, path: str, *rest: Any, **options: Any) -> Asked:
        return seal(self.config, method, path, *rest, **options)

    def post(self, asked: Asked, body: bytes | None = None, **headers: str) -> httpx.Response:
        """The outer answer to a sealed request, or to something in its place."""
        content = asked.body if body is None else body
        return self.http.post(OHTTP, content=content, headers={**asked.headers, **headers})

    def ask(self, method: str, path: str, *rest: Any, **options: Any) -> Answer:
        asked = self.seal(method, path, *rest, **options)
        answer = self.post(asked)
        assert answer.status_code == 200, answer.text
        return asked.opened(answer.content)

    def close(self) -> None:
        self.http.close()


@contextlib.contextmanager
def sealed_client(app: Any, keys: Keyring | None = None, **options: Any) -> Iterator[SealedClient]:
    """A client of ``app`` behind the layers, on a real server."""
    keys = keys or a_keyring()
    with (
        serving(around(app, keys, **options)) as url,
        contextlib.closing(SealedClient(url, keys)) as client,
    ):
        yield client
