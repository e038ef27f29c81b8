"""The nginx of docs/trustee.md, started as it stands there: what it passes on, and what not.

Behind it stands a service that is worse than any Trustee: it answers every request, whatever the
address and the method, and lets every page of every origin read the answer.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import jwt
import pytest
from cczoo_verifier.trust import from_simulator
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from doubles import gateway as gateways
from doubles.evidence import flat_body, listed_body
from doubles.serving import serving
from doubles.trustee.service import Setup, Trustee
from doubles.trustee.v013 import TrusteeV013
from doubles.trustee.v021 import TrusteeV021
from quote_generator.evidence import encode_base64url
from quote_generator.simulator import Simulator

DOCS = Path(__file__).resolve().parents[2] / "docs"
CONFIGURATION = DOCS / "trustee" / "nginx.conf"
PAGE = "https://chat.example.com"
RESULTS, KEYS, POLICY = "/attestation", "/.well-known/jwks.json", "/policy"
METHODS = (
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "PROPFIND",
    "POLICY",
)
MEGABYTE = 1 << 20
WAIT_SECONDS = 60


@dataclass
class Willing:
    """A service that answers everything, and keeps what reached it."""

    seen: list[tuple[str, str, int]] = field(default_factory=list)
    origins: list[str | None] = field(default_factory=list)

    def app(self, _: str) -> Starlette:
        """It as an ASGI application."""
        anything = Route("/{path:path}", self.answer, methods=[*METHODS])
        return Starlette(routes=[anything])

    async def answer(self, request: Request) -> Response:
        """200, for whom it may concern."""
        body = await request.body()
        self.seen.append((request.method, request.scope["raw_path"].decode(), len(body)))
        self.origins.append(request.headers.get("origin"))
        return PlainTextResponse(
            "willing",
            headers={
                "Access-Control-Allow-Origin": "*",
                "Access-Control-Allow-Credentials": "true",
                "Access-Control-Expose-Headers": "*",
                "Vary": "Origin, Cookie",
            },
        )


@dataclass
class Answer:
    """What came back; `headers` has every line of a name that came more than once."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def all(self, name: str) -> list[str]:
        """Every value of this header."""
        return self.headers.get_all(name) or []

    @property
    def is_for_other_origins(self) -> bool:
        """Whether any page of another origin may read it."""
        return any(name.lower() == "access-control-allow-origin" for name in self.headers)


@dataclass
class Gateway:
    """A running nginx: its port, and the certificate that it shows."""

    port: int
    certificate: Path

    def ask(
        self,
        method: str,
        path: str,
        origin: str | None = None,
        body: bytes | Iterator[bytes] | None = None,
        **headers: str,
    ) -> Answer:
        """One request whose path is sent as it is spelled here."""
        trust = ssl.create_default_context(cafile=str(self.certificate))
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=trust, timeout=WAIT_SECONDS
        )
        with contextlib.closing(connection):
            sent = {**headers, **({"Origin": origin} if origin else {})}
            connection.request(
                method, path, body, sent, encode_chunked=not isinstance(body, bytes | None)
            )
            answer = connection.getresponse()
            return Answer(answer.status, answer.msg, answer.read())


@pytest.fixture(scope="module")
def willing() -> Iterator[tuple[Willing, str]]:
    service = Willing()
    with serving(service.app) as url:
        yield service, url


@pytest.fixture
def service(willing: tuple[Willing, str]) -> Willing:
    """The service, which nothing has reached yet."""
    willing[0].seen.clear()
    willing[0].origins.clear()
    return willing[0]


@pytest.fixture(scope="module")
def gateway(
    willing: tuple[Willing, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("nginx"), willing[1]) as started:
        yield started


@contextlib.contextmanager
def running(folder: Path, service: str, page: str = PAGE) -> Iterator[Gateway]:
    """The configuration of the docs as a running nginx; only its addresses and files are ours."""
    certificate, key = gateways.make_certificate(folder)
    port = gateways.free_port()
    configuration = gateways.replaced(
        CONFIGURATION.read_text(),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("/etc/nginx/trustee.pem", str(certificate)),
        ("/etc/nginx/trustee.key", str(key)),
        ("http://127.0.0.1:8181", service),
        (PAGE, page),
    )
    with gateways.running(folder, configuration, port):
        yield Gateway(port, certificate)


# --- what passes ---------------------------------------------------------------------------------


def test_results_and_keys_pass(gateway: Gateway, service: Willing) -> None:
    assert gateway.ask("POST", RESULTS, body=b"{}").body == b"willing"
    assert gateway.ask("GET", KEYS).body == b"willing"
    assert service.seen == [("POST", RESULTS, 2), ("GET", KEYS, 0)]


@pytest.mark.parametrize(
    "spelling", ["/policy/../attestation", "//attestation", "/%61ttestation", "/./attestation"]
)
def test_the_service_is_asked_at_one_address_however_it_was_spelled(
    gateway: Gateway, service: Willing, spelling: str
) -> None:
    """Fails where `proxy_pass` names no path: nginx then passes on what it did not look at."""
    gateway.ask("POST", spelling, body=b"{}")
    assert service.seen == [("POST", RESULTS, 2)]


@pytest.mark.parametrize("method", sorted({*METHODS} - {"POST", "OPTIONS", "TRACE"}))
def test_other_methods_get_no_result(gateway: Gateway, service: Willing, method: str) -> None:
    assert (gateway.ask(method, RESULTS).status, service.seen) == (405, [])


@pytest.mark.parametrize("method", sorted({*METHODS} - {"GET", "TRACE"}))
def test_other_methods_get_no_keys(gateway: Gateway, service: Willing, method: str) -> None:
    assert (gateway.ask(method, KEYS).status, service.seen) == (405, [])


def test_a_body_does_not_go_with_a_question_for_keys(gateway: Gateway, service: Willing) -> None:
    gateway.ask("GET", KEYS, body=b"POST /policy HTTP/1.1\r\n\r\n")
    assert service.seen == [("GET", KEYS, 0)]


# --- what does not -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelling",
    [
        "/policy",
        "//policy",
        "/policy/",
        "/policy?attestation",
        "/policy/default",
        "/./policy",
        "/attestation/../policy",
        "/attestation/..%2fpolicy",
        "/attestation/%2e%2e/policy",
        "/attestation/policy",
        "/attestation%2fpolicy",
        "/attestation;/../policy",
        "/.well-known/../policy",
        "/.well-known/jwks.json/../../policy",
        "/.well-known/jwks.json/policy",
        "/.well-known/jwks.json5",
        "/%70olicy",
        "/%2fpolicy",
        "/%2570olicy",
        "/POLICY",
        "/policy%00",
        "/attestation%00/../policy",
        "/policy#/attestation",
        "/\\policy",
        "http://127.0.0.1/policy",
        "https://trustee.example.com/policy",
        "policy",
        "*",
        "/challenge",
        "/",
    ],
)
def test_nothing_else_reaches_the_service(
    gateway: Gateway, service: Willing, spelling: str
) -> None:
    """Fails where a location passes on by prefix, or by what was sent instead of what was meant."""
    for method in METHODS:
        answer = gateway.ask(method, spelling, PAGE)
        assert answer.status in {400, 404, 405}, method
        assert not answer.is_for_other_origins, method
    assert service.seen == []


def test_a_policy_is_not_set_behind_a_result(gateway: Gateway, service: Willing) -> None:
    """Two requests in one, each program counting the body's length in its own way."""
    smuggled = b"0\r\n\r\nPOST /policy HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    both = {"Transfer-Encoding": "chunked", "Content-Length": str(len(smuggled))}
    gateway.ask("POST", RESULTS, body=smuggled, **both)
    assert POLICY not in {path for _, path, _ in service.seen}


@pytest.mark.parametrize("is_counted", [True, False], ids=["counted", "chunked"])
def test_bodies_are_bounded(gateway: Gateway, service: Willing, is_counted: bool) -> None:
    """Two megabytes as Trustee itself; a page is told so, instead of "no connection"."""
    fitting, too_large = b"x" * (2 * MEGABYTE), b"x" * (2 * MEGABYTE + 1)
    answers = [
        gateway.ask("POST", RESULTS, PAGE, body if is_counted else pieces(body))
        for body in (fitting, too_large)
    ]
    assert [answer.status for answer in answers] == [200, 413]
    assert answers[1].all("Access-Control-Allow-Origin") == [PAGE]
    assert service.seen == [("POST", RESULTS, 2 * MEGABYTE)]


def pieces(body: bytes) -> Iterator[bytes]:
    """A body whose length is not told."""
    yield from (body[at : at + 65536] for at in range(0, len(body), 65536))


@pytest.mark.parametrize("kind", [TrusteeV013, TrusteeV021], ids=lambda kind: kind.version)
def test_nobody_turns_red_into_green_through_it(
    kind: type[Trustee], simulator: Simulator, tmp_path: Path
) -> None:
    """Past it anybody does: neither version asks who writes there."""
    service = kind(Setup(from_simulator(simulator.directory)))
    body = flat_body(simulator) if kind is TrusteeV013 else listed_body(simulator)
    policy = encode_base64url(b"hardware := 2 executables := 3 configuration := 2")
    (policy_id,) = service.shipped_policy_ids[:1]
    lenient = json.dumps({"policy_id": policy_id, "policy": policy}).encode()
    as_json = {"Content-Type": "application/json"}

    with serving(service.app) as url, running(tmp_path, url) as gateway:

        def verdict() -> str:
            token = gateway.ask("POST", RESULTS, body=json.dumps(body).encode(), **as_json).body
            (told,) = jwt.decode(token, options={"verify_signature": False})["submods"].values()
            return str(told["ear.status"])

        assert verdict() == "contraindicated"  # it has no reference values
        assert gateway.ask("POST", POLICY, body=lenient, **as_json).status == 404
        assert verdict() == "contraindicated"
        past = httpx.post(url + POLICY, content=lenient, headers=as_json, trust_env=False)
        assert past.status_code == 200
        assert verdict() == "affirming"


# --- pages of other origins ----------------------------------------------------------------------


def test_a_listed_page_may_ask(gateway: Gateway, service: Willing) -> None:
    wanted = {"Access-Control-Request-Method": "POST"}
    preflight = gateway.ask(
        "OPTIONS", RESULTS, PAGE, **wanted, **{"Access-Control-Request-Headers": "content-type"}
    )
    assert preflight.status == 204
    assert preflight.all("Access-Control-Allow-Origin") == [PAGE]
    assert preflight.all("Access-Control-Allow-Methods") == ["POST"]
    assert preflight.all("Access-Control-Allow-Headers") == ["Content-Type"]
    assert service.seen == []


@pytest.mark.parametrize(("method", "path"), [("POST", RESULTS), ("GET", KEYS)])
def test_one_answer_about_origins_whatever_the_service_says(
    gateway: Gateway, service: Willing, method: str, path: str
) -> None:
    """Browsers refuse an answer that names two. Fails without `proxy_hide_header`."""
    answer = gateway.ask(method, path, PAGE)
    assert answer.all("Access-Control-Allow-Origin") == [PAGE]
    assert answer.all("Vary") == ["Origin"]
    assert answer.all("Access-Control-Allow-Credentials") == []
    assert answer.all("Access-Control-Expose-Headers") == []
    assert service.origins == [None]


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "http://chat.example.com",
        "https://chat.example.com:8443",
        "https://chat.example.com.evil.example",
        "https://evil.example",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("OPTIONS", RESULTS), ("POST", RESULTS), ("GET", KEYS)]
)
def test_no_other_page_may(gateway: Gateway, method: str, path: str, origin: str | None) -> None:
    assert not gateway.ask(method, path, origin).is_for_other_origins


def test_a_service_that_is_down_is_told_to_the_page(tmp_path: Path) -> None:
    """Without the header the page sees no 502, only that it could not connect."""
    with running(tmp_path, f"http://127.0.0.1:{gateways.free_port()}") as gateway:
        answer = gateway.ask("POST", RESULTS, PAGE, b"{}")
    assert (answer.status, answer.all("Access-Control-Allow-Origin")) == (502, [PAGE])


def test_a_page_may_have_a_long_name(tmp_path: Path) -> None:
    """nginx does not even start where its tables are too narrow for one."""
    page = f"https://{'.'.join(['a' * 62] * 4)}:65535"
    with running(tmp_path, f"http://127.0.0.1:{gateways.free_port()}", page) as gateway:
        answer = gateway.ask("OPTIONS", RESULTS, page)
    assert answer.all("Access-Control-Allow-Origin") == [page]


# --- the page that shows it ----------------------------------------------------------------------


def test_the_docs_show_this_configuration() -> None:
    blocks = re.findall(r"```nginx\n(.*?)```", (DOCS / "trustee.md").read_text(), re.DOTALL)
    assert blocks == [CONFIGURATION.read_text()]
