"""What sealing costs a running open-webui: answers a second over many connections."""

from __future__ import annotations

import email.utils
from dataclasses import replace

import httpx
from cczoo_verifier.sealed.exchange import Exchange

from bench.http_load import GRACE_SECONDS, Client, Load, client
from bench.open_webui import with_the_newest
from bench.routes import CONNECTIONS, ROUND_SECONDS, ROUNDS, SIGNED_IN, VERSION, trust_domain
from bench.rows import Limit, row
from bench.timing import in_turns
from e2e.stack import Backend
from quote_generator.sealing.binary_http import RequestHead
from quote_generator.sealing.keyset import KeyConfig, parse_keyset

KEYS, OHTTP = "/api/v1/tee/keys", "/api/v1/tee/ohttp"
OF_PLAIN = Limit(0.8, at_least=True, of_baseline=True)
MOST_A_SECOND = 5_000  # answers of an open-webui, on a machine faster than most


def time_sealed_routes() -> None:
    """Sealed answers a second, of requests that were sealed before, against the plain route's."""
    for name in with_the_newest():
        with trust_domain(name) as backend, client() as asker:
            _time_route(f"{name}: sealed answers to anyone", asker, _plain(backend, VERSION, ""))
            as_user = _plain(backend, SIGNED_IN, backend.token)
            _time_route(f"{name}: sealed answers to a user", asker, as_user)


def _plain(backend: Backend, path: str, token: str) -> Load:
    return Load(backend.spec.port, path, ROUND_SECONDS, CONNECTIONS, token=token)


def _time_route(name: str, asker: Client, plain: Load) -> None:
    sealed, baseline = in_turns(
        ROUNDS, lambda: asker.ask(_sealed(plain)).rate, lambda: asker.ask(plain).rate
    )
    title = f"{name}, {CONNECTIONS} at once"
    row(title, sealed, plain.path, baseline, "/s", limit=OF_PLAIN)


def _sealed(plain: Load) -> Load:
    """The same load, each request of it sealed by now: their dates hold for two minutes."""
    url = f"http://127.0.0.1:{plain.port}{KEYS}"
    answer = httpx.get(url, trust_env=False, timeout=GRACE_SECONDS).raise_for_status()
    config = parse_keyset(answer.json()["keyset"]).preferred
    requests = [_request(config, plain) for _ in range(int(MOST_A_SECOND * plain.seconds))]
    bodies = tuple(request.end() for request in requests)
    headers = tuple(requests[0].headers.items())
    return replace(plain, path=OHTTP, token="", bodies=bodies, headers=headers)


def _request(config: KeyConfig, plain: Load) -> Exchange:
    fields = {"date": email.utils.formatdate(usegmt=True), "accept-encoding": "tee-padded"}
    if plain.token:
        fields["authorization"] = f"Bearer {plain.token}"
    encoded = tuple((name.encode(), value.encode()) for name, value in fields.items())
    head = RequestHead("GET", "http", f"127.0.0.1:{plain.port}", plain.path, encoded)
    return Exchange(config, head)
