"""The proxies of docs/sealed.md, as they stand there: nginx and Caddy before one server, and nginx
before several.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import shlex
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import websocket
from sealed_double import OHTTP, a_keyring, around, now_as_date, outer_headers, seal, serving
from starlette.types import Receive, Scope, Send

from cczoo_backend.keys import Keyring
from doubles import gateway as gateways
from quote_generator.evidence import decode_base64url
from quote_generator.sealing import binary_http, chunked_ohttp, frames, keyset
from quote_generator.sealing.keyset import KeyConfig

SHOWN = Path(__file__).resolve().parents[3] / "docs" / "sealed"
SECONDS = 60
LARGE = 3 << 20
"""Bytes of a body that nginx refuses unless it is told otherwise."""
HOME, AWAY = "127.0.0.1", "127.0.0.2"
NAMES = ("first", "second")


@dataclass
class App:
    """Says each piece of a body as it comes, by sockets what it is told, and else who it is.

    At /whole it says the body when that has ended, and at /drip a second word when it is told to.
    """

    name: str = ""
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or be a socket."""
        if scope["type"] == "websocket":
            await self._echo(receive, send)
            return
        if scope["path"] == "/whole":
            await self._whole(receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/who":
            said = [
                value.decode() for name, value in scope["headers"] if name == b"x-forwarded-for"
            ]
            answer = json.dumps([self.name, *said]).encode()
            await send({"type": "http.response.body", "body": answer})
            return
        if scope["path"] in {"/drip", "/go-on"}:
            await self._drip(scope["path"], send)
            return
        more = True
        while more and (message := await receive())["type"] == "http.request":
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})

    async def _whole(self, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more and (message := await receive())["type"] == "http.request":
            body, more = body + message["body"], message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def _drip(self, path: str, send: Send) -> None:
        if path == "/go-on":
            self.go_on.set()
        else:
            self.go_on.clear()
            await send({"type": "http.response.body", "body": b"first ", "more_body": True})
            await self.go_on.wait()
        await send({"type": "http.response.body", "body": b"second"})

    async def _echo(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})


@dataclass
class Gateway:
    """The proxy, as somebody meets it who comes from `source`."""

    port: int
    trust: ssl.SSLContext
    source: str = HOME

    def connect(self) -> http.client.HTTPSConnection:
        """A connection to it."""
        place = {"timeout": SECONDS, "source_address": (self.source, 0)}
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.trust, **place)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
        """The answer's body, where its status is 200."""
        with contextlib.closing(self.connect()) as connection:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            told = answer.read()
            assert answer.status == 200, (answer.status, told)
            return told

    def ask_sealed(self, config: KeyConfig, method: str, path: str, body: bytes = b"") -> bytes:
        """What is inside the answer to a request under this key."""
        asked = seal(config, method, path, body, [(b"content-type", b"application/json")])
        answer = asked.opened(self.ask("POST", OHTTP, asked.body, **asked.headers))
        assert answer.status == 200
        return answer.content

    def key(self) -> KeyConfig:
        """That of the server which this client gets."""
        told = json.loads(self.ask("GET", "/api/v1/tee/keys"))
        return keyset.parse_keyset(told["keyset"]).preferred


@contextlib.contextmanager
def running(folder: Path, *pairs: tuple[str, str], before: str = "") -> Iterator[Gateway]:
    """The nginx of the docs; only addresses and files are ours, and what `pairs` replace."""
    certificate, key = gateways.make_certificate(folder)
    port = gateways.free_port()
    configuration = gateways.replaced(
        (SHOWN / "nginx.conf").read_text(),
        ("listen 443 ssl http2;", f"listen 127.0.0.1:{port} ssl http2;"),
        ("/etc/nginx/chat.pem", str(certificate)),
        ("/etc/nginx/chat.key", str(key)),
        *pairs,
    )
    with gateways.running(folder, before + configuration, port):
        yield Gateway(port, ssl.create_default_context(cafile=str(certificate)))


@contextlib.contextmanager
def running_caddy(folder: Path, server: str) -> Iterator[Gateway]:
    """The Caddy of the docs; only addresses and files are ours."""
    certificate, key = gateways.make_certificate(folder)
    port = gateways.free_port()
    configuration = gateways.replaced(
        (SHOWN / "Caddyfile").read_text(),
        (
            "chat.example.com {",
            f"https://127.0.0.1:{port} {{\n    bind 127.0.0.1\n    tls {certificate} {key}",
        ),
        ("reverse_proxy 127.0.0.1:8080", f"reverse_proxy {server}"),
    )
    with gateways.running_caddy(folder, configuration, port):
        yield Gateway(port, ssl.create_default_context(cafile=str(certificate)))


def repeated_by_socket(gateway: Gateway, config: KeyConfig, word: str) -> str:
    """What the app says when it is told a word by a sealed socket."""
    asking = json.dumps({"path": "/echo"}).encode()
    given = json.loads(gateway.ask_sealed(config, "POST", "/api/v1/tee/ws", asking))
    send, receive = frames.client_keys(decode_base64url(given["secret"], "secret"))
    sealer, opener = frames.FrameSealer(send), frames.FrameOpener(receive, expects_open=True)
    address = f"wss://127.0.0.1:{gateway.port}/api/v1/tee/ws/{given['ticket']}"
    with contextlib.closing(gateway.connect()) as connection:
        connection.connect()
        outer = websocket.create_connection(address, SECONDS, socket=connection.sock)
        for frame in sealer.seal([frames.Text(word)]):
            outer.send_binary(frame)
        messages: list[frames.Message] = []
        while not any(isinstance(each, frames.Text) for each in messages):
            messages += opener.open(outer.recv_data()[1])
        return "".join(each.text for each in messages if isinstance(each, frames.Text))


# --- one server ----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp(request.param)
    with serving(around(App("only"))) as url:
        server = url.removeprefix("http://")
        if request.param == "caddy":
            proxy = running_caddy(folder, server)
        else:
            proxy = running(folder, ("127.0.0.1:8080", server))
        with proxy as started:
            yield started


def test_a_large_body_passes(gateway: Gateway) -> None:
    """Fails where `client_max_body_size` is nginx's own."""
    body = bytes(LARGE)
    assert gateway.ask_sealed(gateway.key(), "POST", "/whole", body) == body


def test_an_answer_passes_as_it_comes(gateway: Gateway) -> None:
    """Fails with `proxy_buffering on` and what is its like elsewhere: the first word stays away."""
    config = gateway.key()
    asked = seal(config, "GET", "/drip", padded=False)
    opener, decoder = asked.sealer.response(), binary_http.ResponseDecoder()
    with contextlib.closing(gateway.connect()) as connection:
        connection.request("POST", OHTTP, asked.body, asked.headers)
        answer = connection.getresponse()
        heard = b""
        while heard != b"first ":
            piece = answer.read1()
            assert piece
            for opened in opener.feed(piece):
                heard += b"".join(p for p in decoder.feed(opened) if isinstance(p, bytes))
        gateway.ask_sealed(config, "GET", "/go-on")
        opener.feed(answer.read())
        opener.end()


@pytest.mark.parametrize("gateway", ["nginx"], indirect=True)
def test_pieces_pass_as_they_come_both_ways(gateway: Gateway) -> None:
    """Fails with `proxy_request_buffering on`: no answer begins before the request has ended.

    Caddy does this by HTTP/2 alone, as browsers ask it.
    """
    config = gateway.key()
    sealer = chunked_ohttp.RequestSealer(config)
    head = binary_http.RequestHead("POST", "https", "x", "/parrot", ((b"date", now_as_date()),))
    pieces = [f"piece {number}".encode() for number in range(5)]
    sealed = [sealer.start + sealer.chunk(binary_http.encode_request_head(head))]
    sealed += [sealer.chunk(binary_http.encode_content(piece)) for piece in pieces]
    sealed.append(sealer.final(binary_http.END))
    opener, decoder = sealer.response(), binary_http.ResponseDecoder()
    with contextlib.closing(gateway.connect()) as connection:
        connection.putrequest("POST", OHTTP)
        connection.putheader("content-length", str(sum(map(len, sealed))))
        for name, value in outer_headers(config).items():
            connection.putheader(name, value)
        connection.endheaders(sealed[0] + sealed[1])
        answer = connection.getresponse()
        for piece, following in zip(pieces, sealed[2:], strict=True):
            heard = b""
            while heard != piece:
                for opened in opener.feed(answer.read1()):
                    heard += b"".join(p for p in decoder.feed(opened) if isinstance(p, bytes))
            connection.send(following)
        opener.feed(answer.read())
        opener.end()


def test_sockets_pass(gateway: Gateway) -> None:
    """Fails without `Upgrade` and `Connection`."""
    assert repeated_by_socket(gateway, gateway.key(), "a word") == "a word"


def test_browsers_get_http_2(gateway: Gateway) -> None:
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    trust.set_alpn_protocols(["h2", "http/1.1"])
    with contextlib.closing(
        http.client.HTTPSConnection("127.0.0.1", gateway.port, context=trust, timeout=SECONDS)
    ) as connection:
        connection.connect()
        assert connection.sock.selected_alpn_protocol() == "h2"


def test_nobody_chooses_the_address_that_is_counted(gateway: Gateway) -> None:
    told = gateway.ask("GET", "/who", X_Forwarded_For="203.0.113.9")
    assert json.loads(told) == ["only", HOME]


# --- several servers -----------------------------------------------------------------------------


@dataclass
class Replica:
    """A server with keys of its own; `address` is host and port."""

    name: str
    keys: Keyring
    address: str

    @property
    def key(self) -> KeyConfig:
        """What requests to it are sealed to."""
        return keyset.parse_keyset(dict(self.keys.current().document)).preferred


@pytest.fixture(scope="module")
def replicas() -> Iterator[list[Replica]]:
    with contextlib.ExitStack() as stack:
        made = []
        for name in NAMES:
            keys = a_keyring()
            url = stack.enter_context(serving(around(App(name), keys)))
            made.append(Replica(name, keys, url.removeprefix("http://")))
        yield made


def list_keys(folder: Path, addresses: Sequence[str]) -> bool:
    """Run keys.sh as the docs say; whether it has nginx read its list anew."""
    told = folder / "told"
    told.unlink(missing_ok=True)
    words = ["sh", SHOWN / "keys.sh", folder / "tee-keys.map", f"touch {told}", *addresses]
    subprocess.run(words, check=True, timeout=SECONDS)
    return told.exists()


@contextlib.contextmanager
def balancing(
    folder: Path, replicas: Sequence[Replica], *, by_key: bool = False
) -> Iterator[Gateway]:
    """The nginx of the docs before several servers."""
    upstream = gateways.replaced(
        (SHOWN / "replicas.conf").read_text(),
        *((f"10.0.0.{at}:8080", each.address) for at, each in enumerate(replicas, 1)),
    )
    single = re.compile(r"^upstream chat \{.*?^\}$", re.DOTALL | re.MULTILINE)
    one = single.search((SHOWN / "nginx.conf").read_text())
    assert one
    pairs = [(one.group(), upstream)]
    before = ""
    if by_key:
        listed = ("/etc/nginx/tee-keys.map", str(folder / "tee-keys.map"))
        before = gateways.replaced((SHOWN / "by-key.conf").read_text(), listed)
        pairs.append(("proxy_pass http://chat;", "proxy_pass http://$key_holder;"))
    with running(folder, *pairs, before=before) as started:
        yield started


@pytest.fixture
def balanced(tmp_path: Path, replicas: list[Replica]) -> Iterator[Gateway]:
    list_keys(tmp_path, [each.address for each in replicas])
    with balancing(tmp_path, replicas, by_key=True) as started:
        yield started


def who(gateway: Gateway, config: KeyConfig) -> str:
    """Which server answers what is sealed to this key."""
    return str(json.loads(gateway.ask_sealed(config, "GET", "/who"))[0])


def test_whoever_comes_from_one_address_gets_one_server(
    tmp_path: Path, replicas: list[Replica]
) -> None:
    """Fails without `hash`: evidence of one server, and requests to the other."""
    with balancing(tmp_path, replicas) as gateway:
        found = set()
        for number in range(1, 25):  # so many that no server is left out
            client = Gateway(gateway.port, gateway.trust, f"127.0.0.{number}")
            config = client.key()
            found.add(who(client, config))
            assert repeated_by_socket(client, config, "a word") == "a word"
    assert found == set(NAMES)


@pytest.mark.parametrize("at", [0, 1])
def test_a_client_elsewhere_is_led_back_by_its_key(
    balanced: Gateway, replicas: list[Replica], at: int
) -> None:
    """Fails without the map: from one address both keys cannot be right."""
    for source in (HOME, AWAY):
        client = Gateway(balanced.port, balanced.trust, source)
        assert who(client, replicas[at].key) == replicas[at].name


def test_the_list_keeps_old_keys_and_tells_new_ones(tmp_path: Path) -> None:
    keys = a_keyring()
    entries = []
    listed = tmp_path / "tee-keys.map"
    with serving(around(App(), keys)) as url:
        address = url.removeprefix("http://")
        for _ in range(2):
            ids = [key.id for key in keys.current().keys]
            entries = [f'"{each}" {address};' for each in ids] + entries
            assert list_keys(tmp_path, [address, f"127.0.0.1:{gateways.free_port()}"])
            assert listed.read_text().splitlines() == entries
            assert not list_keys(tmp_path, [address])
            keys._keysets.clear()  # they have had their time


def test_a_server_writes_nothing_else_into_the_list(tmp_path: Path) -> None:
    async def lying(scope: Any, receive: Receive, send: Send) -> None:
        ids = ['x" evil.example; #', "AAAAAAAAAAA", "a" * 4096]
        told = json.dumps({"keyset": {"seal": [{"id": each} for each in ids]}}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": told})

    with serving(lying, lifespan="off") as url:
        list_keys(tmp_path, [address := url.removeprefix("http://")])
    assert (tmp_path / "tee-keys.map").read_text() == f'"AAAAAAAAAAA" {address};\n'


def test_the_docs_show_how_to_run_it() -> None:
    usage = (SHOWN / "keys.sh").read_text().splitlines()[2].lstrip("# ")
    name, listed, reload, *addresses = shlex.split(usage)
    assert (name, reload) == ("keys.sh", "nginx -s reload")
    shown = (SHOWN / "replicas.conf").read_text()
    assert listed in (SHOWN / "by-key.conf").read_text()
    assert all(f"server {each};" in shown for each in addresses)
