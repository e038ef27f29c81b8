"""The backend's collateral from a PCCS double over real HTTP, without open-webui around it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote as percent_encode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from doubles import pccs
from doubles.serving import serving
from e2e.dcap import verify
from e2e.overlay import overlay
from e2e.stack import free_port
from quote_generator.attester import System, attest, simulates
from quote_generator.errors import QuoteGeneratorError
from quote_generator.simulator import Simulator, pki

tee = overlay("utils.tee")
collateral = overlay("utils.tee_collateral")

BOUND = 20  # seconds; only a broken test ever waits that long
HOUR = 3600.0
REFRESH = 600.0
PLATFORM = collateral.Platform(pccs.PLATFORM, "platform")
NAMES = ("TCB info", "QE identity", "PCK revocation list", "root revocation list")
PATHS = (pccs.TCB, pccs.IDENTITY, pccs.PCK_CRL, pccs.ROOT_CRL)
PARTS = {
    *("tcb_info_json", "qe_identity_json", "pck_crl_der_b64", "root_crl_der_b64"),
    *("tcb_info_issuer_chain_pem", "qe_identity_issuer_chain_pem", "pck_crl_issuer_chain_pem"),
}


@pytest.fixture(scope="module")
def td(tmp_path_factory: pytest.TempPathFactory) -> Simulator:
    """A platform under the TEST root."""
    return Simulator.open(tmp_path_factory.mktemp("pki"), name="TEST")


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of this machine stands between the tests and their service."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


STATE = pccs.State()


@pytest.fixture(scope="module")
def service(td: Simulator) -> Iterator[str]:
    """The address of the collateral service whose state is STATE."""
    with serving(lambda _: pccs.create_app(td, state=STATE)) as url:
        yield url


@pytest.fixture
def state(service: str) -> Iterator[pccs.State]:
    """How the service behaves; good at first."""
    STATE.__init__(url=service)  # type: ignore[misc]
    yield STATE
    STATE.mode = pccs.GOOD


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


class World:
    """A cache, its clock and the service that it asks."""

    def __init__(self, url: str, **bounds: int):
        self.clock = Clock()
        self.url = url
        self.cache = collateral.CollateralCache(self.clock, **bounds)

    async def get(self, platform: Any = PLATFORM, *, seconds: float = 5) -> tuple[Any, bool]:
        def fetch() -> Awaitable[Any]:
            return collateral.fetch_collateral(platform, self.url, seconds, self.clock)

        found: tuple[Any, bool] = await self.cache.get(platform, fetch, REFRESH)
        return found

    async def code(self, platform: Any = PLATFORM, *, seconds: float = 5) -> tuple[int, str]:
        """How it fails."""
        with pytest.raises(tee.TeeError) as failure:
            await self.get(platform, seconds=seconds)
        return failure.value.status, failure.value.code


@pytest.fixture
def world(service: str, state: pccs.State) -> World:
    """A cache with the usual bounds."""
    return World(service)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scenario(), BOUND)

    # In a thread of its own: Playwright keeps an event loop in this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(bounded())).result()


def fetch(url: str, seconds: float = 5, platform: Any = PLATFORM) -> Any:
    found = []

    async def once() -> None:
        found.append(await collateral.fetch_collateral(platform, url, seconds))

    run(once)
    return found[0]


def failure(url: str, seconds: float = 5) -> Any:
    with pytest.raises(tee.TeeError) as caught:
        fetch(url, seconds)
    return caught.value


# From the service


@pytest.mark.parametrize("hex_lists", [True, False])
def test_what_comes_back_verifies_a_quote(td: Simulator, hex_lists: bool) -> None:
    with serving(lambda _: pccs.create_app(td, hex_lists=hex_lists)) as url:
        found = fetch(url)
    assert found.parts.keys() == PARTS
    assert verify(found.parts, td.quote(bytes(64)), td.root_der) == "UpToDate"
    assert 0 < found.expires - time.time() <= 30 * 24 * HOUR
    next_update = json.loads(found.parts["tcb_info_json"])["tcbInfo"]["nextUpdate"]
    assert found.document(source="pccs", stale=False).items() >= {"v": 1, "stale": False}.items()
    assert time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(found.expires)) == next_update


def sooner(td: Simulator, part: str, answer: Any, end: int) -> Any:
    """The answer for a part with an earlier end."""
    if part in ("TCB info", "QE identity"):
        document = json.loads(answer.body)
        content = next(iter(document.values()))
        content["nextUpdate"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
        return replace(answer, body=json.dumps(document).encode())
    issuer = "root" if part == "root revocation list" else "platform"
    keys, certificates = td._state.keys, td._state.certificates
    crl = pki.make_crl(keys[issuer], certificates[issuer], end - 60, 60)
    return replace(answer, body=crl)


@pytest.mark.parametrize("part", NAMES)
def test_the_first_end_of_any_part_counts(
    state: pccs.State, service: str, td: Simulator, part: str
) -> None:
    async def scenario() -> None:
        now, end = int(time.time()), int(time.time()) + 60
        answers = await collateral._fetch_all(collateral._requests(PLATFORM, service), 5)
        usual = collateral.read_collateral(PLATFORM, answers, now)
        assert usual.expires > end
        answers[part] = sooner(td, part, answers[part], end)
        assert collateral.read_collateral(PLATFORM, answers, now).expires == end
        with pytest.raises(collateral.Unusable, match="out of date"):
            collateral.read_collateral(PLATFORM, answers, end)

    run(scenario)


def test_the_end_of_a_certificate_counts_too(
    state: pccs.State, service: str, td: Simulator
) -> None:
    year = 365 * 24 * HOUR
    old = pki.make_certificates(td._state.keys, "TEST", time.time() - year + 60)
    chain = percent_encode(pki.chain_pem(old["platform"], old["root"]))

    async def scenario() -> None:
        answers = await collateral._fetch_all(collateral._requests(PLATFORM, service), 5)
        answers["PCK revocation list"].headers["sgx-pck-crl-issuer-chain"] = chain
        found = collateral.read_collateral(PLATFORM, answers, time.time())
        assert found.expires == old["platform"].not_valid_after_utc.timestamp()

    run(scenario)


def test_only_what_must_travels_does(service: str, state: pccs.State) -> None:
    fetch(service)
    assert sorted(address for address, _ in state.seen) == [
        pccs.PCK_CRL + "?ca=platform&encoding=der",
        pccs.ROOT_CRL,
        pccs.IDENTITY,
        f"{pccs.TCB}?fmspc={pccs.PLATFORM}",
    ]
    for _, headers in state.seen:
        assert headers.keys() == {"host", "accept", "accept-encoding", "user-agent"}
        assert headers["accept-encoding"] == "identity"


def test_intels_own_service_has_the_root_list_elsewhere() -> None:
    platform = collateral.Platform("00806F050000", "processor")
    assert collateral._requests(platform, tee.Settings.from_environment({}).pccs_url) == {
        "TCB info": (tee.INTEL_PCS + "/tdx/certification/v4/tcb", {"fmspc": "00806F050000"}),
        "QE identity": (tee.INTEL_PCS + "/tdx/certification/v4/qe/identity", {}),
        "PCK revocation list": (
            tee.INTEL_PCS + "/sgx/certification/v4/pckcrl",
            {"ca": "processor", "encoding": "der"},
        ),
        "root revocation list": (
            "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der",
            {},
        ),
    }


@pytest.mark.parametrize(
    ("fmspc", "ca"),
    [
        (None, "platform"),
        ("53494D000000", None),
        ("", "platform"),
        ("53494D00000", "platform"),
        ("53494D0000000", "platform"),
        ("53494D00000G", "platform"),
        ("53494D000000\n", "platform"),
        ("\uff153494D000000", "platform"),
        ("../../../../", "platform"),
        ("0x494D000000", "platform"),
        ("53494D000000", "Platform"),
        ("53494D000000", "platform&encoding=pem"),
        ("53494D000000", ""),
    ],
)
def test_nothing_but_a_platform_is_asked_for(fmspc: str | None, ca: str | None) -> None:
    with pytest.raises(tee.TeeError) as refused:
        collateral.parse_platform(fmspc, ca)
    assert (refused.value.status, refused.value.code) == (400, "bad-platform")


def test_the_two_spellings_of_a_platform_are_one() -> None:
    assert collateral.parse_platform("53494d000000", "platform") == PLATFORM


@pytest.mark.parametrize("mode", [*pccs.UNREACHABLE, *pccs.UNUSABLE])
def test_what_is_no_collateral_has_a_code_and_is_not_kept(
    world: World, state: pccs.State, mode: str
) -> None:
    async def scenario() -> None:
        state.mode = mode
        code = "unreachable" if mode in pccs.UNREACHABLE else "unusable"
        assert await world.code() == (502, f"collateral-{code}")
        state.mode = pccs.GOOD
        found, stale = await world.get()
        assert found.parts.keys() == PARTS
        assert not stale

    run(scenario)
    assert not [address for address, _ in state.seen if "elsewhere" in address]


@pytest.mark.parametrize("mode", [pccs.UNUSABLE, pccs.UNREACHABLE], ids=["unusable", "unreachable"])
def test_the_services_words_are_not_passed_on(
    service: str, state: pccs.State, mode: dict[str, Any]
) -> None:
    state.mode = "html" if mode is pccs.UNUSABLE else "huge-header"
    error = failure(service)
    assert "TEE_PCCS_URL" in error.detail
    assert "<" not in error.detail
    assert "AAAA" not in error.detail


def test_out_of_date_collateral_is_refused(tmp_path: Path) -> None:
    then = time.time() - pccs.OLD_SECONDS
    old = Simulator.open(tmp_path, name="OLD", clock=lambda: then)
    with serving(lambda _: pccs.create_app(old)) as url:
        error = failure(url)
    assert (error.status, error.code) == (502, "collateral-unusable")
    assert "out of date" in error.detail


@pytest.mark.parametrize("mode", [pccs.SLOW, "trickle"])
def test_the_time_is_bounded(service: str, state: pccs.State, mode: str) -> None:
    state.mode = mode
    started = time.monotonic()
    error = failure(service, seconds=0.5)
    assert (error.status, error.code) == (504, "collateral-timed-out")
    assert time.monotonic() - started < 5


def test_headers_without_end_are_cut_off(state: pccs.State) -> None:
    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _address = listener.accept()
                threading.Thread(target=send, args=(connection,), daemon=True).start()

    def send(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while True:
                connection.sendall(b"X-More: of the same\r\n" * 1000)

    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(BOUND)
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        error = failure(f"http://127.0.0.1:{listener.getsockname()[1]}", seconds=0.5)
    assert error.status in (502, 504)
    assert error.code in ("collateral-unreachable", "collateral-timed-out")
    assert time.monotonic() - started < 5


def test_nobody_there(state: pccs.State) -> None:
    error = failure(f"http://127.0.0.1:{free_port()}")
    assert (error.status, error.code) == (502, "collateral-unreachable")


def test_a_certificate_that_nobody_vouches_for_is_not_accepted(
    td: Simulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """TLS is verified: the server here has a key and a certificate of its own making."""
    pem = tmp_path / "self-signed.pem"
    key = td._state.keys["root"]
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem.write_bytes(private + td.root_pem.encode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    received: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(TimeoutError):
            while True:
                connection, _address = listener.accept()
                with contextlib.suppress(OSError):
                    received.append(context.wrap_socket(connection, server_side=True).recv(1))

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(1)
        served = pool.submit(serve, listener)
        error = failure(f"https://127.0.0.1:{listener.getsockname()[1]}")
        served.result(BOUND)
    assert (error.status, error.code) == (502, "collateral-unreachable")
    assert "CERTIFICATE_VERIFY_FAILED" in caplog.text
    assert b"G" not in received


def test_answers_are_read_beside_the_event_loop(
    service: str, state: pccs.State, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    read = collateral.read_collateral

    def noting(*arguments: Any) -> Any:
        threads.append(threading.current_thread())
        return read(*arguments)

    monkeypatch.setattr(collateral, "read_collateral", noting)

    async def scenario() -> None:
        await collateral.fetch_collateral(PLATFORM, service, 5)
        assert threads[0] is not threading.current_thread()

    run(scenario)


def test_the_machines_proxy_is_used(
    service: str, state: pccs.State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", service)
    monkeypatch.delenv("no_proxy", raising=False)
    failure("http://pccs.invalid")  # the double is no proxy, but it was asked like one
    assert state.seen
    assert all("http://pccs.invalid/" in address for address, _ in state.seen)


GOOD_ANSWERS: dict[str, Any] = {}


@pytest.fixture
def answers(service: str, state: pccs.State) -> dict[str, Any]:
    """The service's good answers."""

    async def once() -> None:
        GOOD_ANSWERS.update(await collateral._fetch_all(collateral._requests(PLATFORM, service), 5))

    if not GOOD_ANSWERS:
        run(once)
    return dict(GOOD_ANSWERS)


def read_or_refuse(answers: dict[str, Any]) -> None:
    """Read the answers; anything but collateral or Unusable comes through."""
    with contextlib.suppress(collateral.Unusable):
        found = collateral.read_collateral(PLATFORM, answers, time.time())
        assert found.parts.keys() == PARTS


ANYTHING = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@ANYTHING
@given(name=st.sampled_from(NAMES), body=st.binary(max_size=400), header=st.text(max_size=100))
def test_any_bytes_are_read_or_refused(
    answers: dict[str, Any], name: str, body: bytes, header: str
) -> None:
    good = answers[name]
    read_or_refuse(answers | {name: replace(good, body=body)})
    read_or_refuse(answers | {name: replace(good, headers=dict.fromkeys(good.headers, header))})


@ANYTHING
@given(name=st.sampled_from(NAMES), place=st.integers(0), byte=st.integers(0, 255))
def test_any_byte_may_be_another_one(
    answers: dict[str, Any], name: str, place: int, byte: int
) -> None:
    body = bytearray(answers[name].body)
    body[place % len(body)] = byte
    read_or_refuse(answers | {name: replace(answers[name], body=bytes(body))})
    read_or_refuse(answers | {name: replace(answers[name], body=bytes(body)[: place % len(body)])})


# The cache


def test_a_copy_serves_until_it_is_due(world: World, state: pccs.State) -> None:
    async def scenario() -> None:
        first, _ = await world.get()
        world.clock.now += REFRESH - 1
        for _ in range(3):
            assert await world.get() == (first, False)
        assert set(state.count.values()) == {1}
        world.clock.now += 1
        renewed, stale = await world.get()
        assert renewed.fetched == world.clock.now > first.fetched
        assert not stale
        assert set(state.count.values()) == {2}

    run(scenario)


def test_a_good_copy_is_served_while_the_service_is_down(world: World, state: pccs.State) -> None:
    async def scenario() -> None:
        first, _ = await world.get()
        state.mode = "down"
        world.clock.now += REFRESH
        assert await world.get() == (first, True)
        asked = state.count[pccs.TCB]
        assert asked == 2
        # The service is left alone for a while, so that nobody waits for it each time.
        world.clock.now += collateral.RETRY_SECONDS - 1
        assert await world.get() == (first, True)
        assert state.count[pccs.TCB] == asked
        world.clock.now += 1
        assert await world.get() == (first, True)
        assert state.count[pccs.TCB] == asked + 1
        state.mode = pccs.GOOD
        world.clock.now += collateral.RETRY_SECONDS
        renewed, stale = await world.get()
        assert not stale
        assert renewed.fetched == world.clock.now

    run(scenario)


@pytest.mark.parametrize("mode", ["html", "past-date", pccs.SLOW, "endless"])
def test_a_good_copy_outlives_every_kind_of_failure(
    world: World, state: pccs.State, mode: str
) -> None:
    async def scenario() -> None:
        first, _ = await world.get()
        state.mode = mode
        world.clock.now += REFRESH
        assert await world.get(seconds=0.5) == (first, True)

    run(scenario)


def test_nothing_is_served_after_its_end(world: World, state: pccs.State) -> None:
    async def scenario() -> None:
        first, _ = await world.get()
        state.mode = "down"
        world.clock.now = first.expires - 1
        assert await world.get() == (first, True)
        world.clock.now = first.expires
        assert await world.code() == (502, "collateral-unusable")
        world.clock.now -= 1  # gone, not only hidden
        assert await world.code() == (502, "collateral-unusable")

    run(scenario)


def test_what_ends_during_a_slow_renewal_is_not_served(world: World, state: pccs.State) -> None:
    async def scenario() -> None:
        first, _ = await world.get()
        state.mode = pccs.SLOW
        world.clock.now = first.expires - 1
        waiting = asyncio.create_task(world.code(seconds=0.5))
        await asyncio.sleep(0.1)
        world.clock.now = first.expires
        assert await waiting == (504, "collateral-timed-out")

    run(scenario)


def test_a_clock_that_was_set_back_makes_no_copy_last_longer(
    world: World, state: pccs.State
) -> None:
    async def scenario() -> None:
        await world.get()
        world.clock.now -= HOUR
        await world.get()
        assert state.count[pccs.TCB] == 2

    run(scenario)


def test_clients_share_one_request(world: World, state: pccs.State) -> None:
    async def scenario() -> None:
        state.mode, state.delay = pccs.SLOW, 0.3
        found = await asyncio.gather(*(world.get() for _ in range(50)))
        assert {id(item) for item, _ in found} == {id(found[0][0])}
        assert state.count == dict.fromkeys(PATHS, 1)
        processor = collateral.Platform(pccs.PLATFORM, "processor")
        assert await world.code(processor) == (502, "collateral-unusable")
        assert state.count[pccs.PCK_CRL] == 2

    run(scenario)


def test_clients_share_one_failure(world: World, state: pccs.State) -> None:
    async def scenario() -> None:
        state.mode = "not-found"
        codes = await asyncio.gather(*(world.code() for _ in range(20)))
        assert set(codes) == {(502, "collateral-unusable")}
        assert state.count[pccs.TCB] == 1

    run(scenario)


def test_a_client_that_goes_away_takes_nothing_with_it(world: World, state: pccs.State) -> None:
    async def scenario() -> None:
        state.mode, state.delay = pccs.SLOW, 0.3
        gone, stays = (asyncio.create_task(world.get()) for _ in range(2))
        await asyncio.sleep(0.1)
        gone.cancel()
        assert (await stays)[0].parts.keys() == PARTS
        assert gone.cancelled()
        assert state.count[pccs.TCB] == 1

    run(scenario)


def test_what_nobody_waits_for_any_more_is_kept(world: World, state: pccs.State) -> None:
    async def scenario() -> None:
        state.mode, state.delay = pccs.SLOW, 0.3
        gone = asyncio.create_task(world.get())
        await asyncio.sleep(0.1)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        await world.get()
        await world.get()
        assert state.count[pccs.TCB] == 1

    run(scenario)


def many(count: int) -> list[Any]:
    return [collateral.Platform(f"{number:012X}", "platform") for number in range(count)]


def test_the_copy_unused_for_longest_goes(service: str, state: pccs.State) -> None:
    world = World(service, size=3)
    first, second, third, fourth = many(4)
    state.also = frozenset(platform.fmspc for platform in many(4))

    async def scenario() -> None:
        for platform in (first, second, third, first, fourth):
            await world.get(platform)
        assert len(world.cache._copies) == 3
        assert state.count[pccs.TCB] == 4
        await world.get(first)  # used since, so still there
        assert state.count[pccs.TCB] == 4
        await world.get(second)
        assert state.count[pccs.TCB] == 5

    run(scenario)


def test_somebody_who_asks_for_every_platform_fills_nothing(
    service: str, state: pccs.State
) -> None:
    world = World(service, size=2)

    async def scenario() -> None:
        kept, _ = await world.get()
        for platform in many(10):
            assert await world.code(platform) == (502, "collateral-unusable")
        assert list(world.cache._copies) == [PLATFORM]
        assert not world.cache._fetching
        assert await world.get() == (kept, False)

    run(scenario)


def test_requests_at_once_are_bounded(service: str, state: pccs.State) -> None:
    world = World(service, at_once=2)
    first, second, third = many(3)
    state.also = frozenset(platform.fmspc for platform in many(3))

    async def scenario() -> None:
        kept, _ = await world.get(third)
        state.mode, state.delay = pccs.SLOW, 0.4
        waiting = [asyncio.create_task(world.get(platform)) for platform in (first, second)]
        await asyncio.sleep(0.1)
        assert await world.code() == (429, "too-many-waiting")
        world.clock.now += REFRESH
        assert await world.get(third) == (kept, True)
        await asyncio.gather(*waiting)
        found, stale = await world.get(third)
        assert found is not kept
        assert not stale

    run(scenario)


# The route, with open-webui's authentication left out


@pytest.fixture(scope="module")
def router() -> ModuleType:
    """The router's module; every caller is one signed-in user."""
    auth = ModuleType("open_webui.utils.auth")
    user = type("User", (), {"id": "ada"})()
    auth.get_verified_user = lambda: user  # type: ignore[attr-defined]
    auth.decode_token = lambda token: None  # type: ignore[attr-defined]
    sys.modules[auth.__name__] = auth
    return overlay("routers.tee")


@pytest.fixture
def route(
    router: ModuleType, service: str, state: pccs.State, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    """The mounted router, with nothing remembered."""
    monkeypatch.setenv("TEE_PCCS_URL", service + "/")
    monkeypatch.delenv("QUOTE_GENERATOR_SIMULATE", raising=False)
    monkeypatch.setattr(router, "collateral_cache", collateral.CollateralCache())
    monkeypatch.setattr(router, "limiter", tee.Limiter())
    router._simulates.cache_clear()
    app = FastAPI()
    app.include_router(router.router, prefix="/tee")
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
    router._simulates.cache_clear()


def ask(client: TestClient, fmspc: str = pccs.PLATFORM, ca: str = "platform") -> Any:
    return client.get("/tee/collateral", params={"fmspc": fmspc, "ca": ca})


def code(answer: Any) -> tuple[int, str]:
    document = answer.json()
    assert document.keys() == {"status", "code", "detail"}
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, document["code"]


def test_the_route_hands_collateral_out(
    route: TestClient, state: pccs.State, td: Simulator
) -> None:
    answer = ask(route)
    document = answer.json()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert document.keys() == PARTS | {"v", "source", "fetched", "stale"}
    assert (document["v"], document["source"], document["stale"]) == (1, "pccs", False)
    age = time.time() - time.mktime(time.strptime(document["fetched"], "%Y-%m-%dT%H:%M:%SZ"))
    assert abs(age + time.timezone) < 60
    assert verify(document, td.quote(bytes(64)), td.root_der) == "UpToDate"
    assert ask(route, pccs.PLATFORM.lower()).json() == document
    assert state.count[pccs.TCB] == 1


def test_the_route_marks_what_is_stale(
    route: TestClient, state: pccs.State, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = ask(route).json()
    monkeypatch.setenv("TEE_COLLATERAL_REFRESH", "0.001")
    router_cache = sys.modules["open_webui.routers.tee"].collateral_cache
    router_cache._copies[PLATFORM].wait = 0
    state.mode = "down"
    assert ask(route).json() == {**fresh, "stale": True}


def test_the_route_tells_errors_apart(
    route: TestClient, state: pccs.State, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert code(route.get("/tee/collateral")) == (400, "bad-platform")
    assert code(ask(route, "%2e%2e/..", "platform")) == (400, "bad-platform")
    state.mode = "html"
    assert code(ask(route)) == (502, "collateral-unusable")
    state.mode = pccs.SLOW
    monkeypatch.setenv("TEE_COLLATERAL_TIMEOUT", "0.2")
    assert code(ask(route)) == (504, "collateral-timed-out")
    monkeypatch.setenv("TEE_PCCS_URL", "file:///etc/passwd")
    assert code(ask(route)) == (503, "misconfigured")
    monkeypatch.setenv("TEE_PCCS_URL", f"http://127.0.0.1:{free_port()}")
    assert code(ask(route)) == (502, "collateral-unreachable")


def test_requests_to_the_service_are_limited_and_a_copy_stays_in_reach(
    route: TestClient, router: ModuleType, state: pccs.State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router, "PCCS_LIMIT", "3/hour")
    assert ask(route).status_code == 200
    for platform in many(2):
        assert code(ask(route, platform.fmspc)) == (502, "collateral-unusable")
    answer = ask(route, "AAAAAAAAAAAA")
    assert code(answer) == (429, "too-many-requests")
    assert int(answer.headers["retry-after"]) > 0
    assert ask(route).status_code == 200
    assert state.count[pccs.TCB] == 3


def test_collateral_is_counted_by_user_and_apart_from_quotes(
    route: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEE_QUOTE_LIMIT_USER", "2/hour")
    assert [ask(route).status_code for _ in range(3)] == [200, 200, 429]
    # This machine can not quote, and says so: the request was let in.
    assert route.get("/tee/quote").status_code == 503


# The simulator


@pytest.fixture
def simulating(route: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """The simulator that the route's machine uses."""
    monkeypatch.setenv("QUOTE_GENERATOR_SIMULATE", "1")
    monkeypatch.setenv("QUOTE_GENERATOR_SIMULATOR_DIR", str(tmp_path / "simulator"))
    return Simulator.open(tmp_path / "simulator")


def test_a_simulated_machine_has_the_simulators_collateral_and_root(
    route: TestClient, simulating: Simulator, state: pccs.State
) -> None:
    document = ask(route).json()
    assert document.keys() == PARTS | {"v", "source", "fetched", "stale"}
    assert (document["source"], document["stale"]) == ("simulator", False)
    quote = bytes.fromhex(route.get("/tee/quote").json()["quote"])
    assert verify(document, quote, simulating.root_der) == "UpToDate"
    assert state.seen == []

    dcap = route.get("/tee/config").json()["providers"]["dcap"]
    key = x509.load_der_x509_certificate(simulating.root_der).public_key()
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert len(point) == 65
    root = base64.urlsafe_b64encode(point).rstrip(b"=").decode()
    assert dcap == {"url": None, "relay": False, "root": root}


def test_both_collaterals_have_one_form(
    route: TestClient, simulating: Simulator, td: Simulator, service: str
) -> None:
    """The simulator's parts are byte for byte what a service would say of it."""
    with serving(lambda _: pccs.create_app(simulating)) as url:
        from_service = fetch(url)
    assert ask(route).json().items() >= dict(from_service.parts).items()


def test_other_platforms_are_asked_for_as_ever(
    route: TestClient, simulating: Simulator, state: pccs.State
) -> None:
    state.also = frozenset({"00806F050000"})
    assert ask(route, "00806F050000").json()["source"] == "pccs"
    assert code(ask(route, ca="processor")) == (502, "collateral-unusable")


def test_without_simulation_there_is_no_root(route: TestClient) -> None:
    dcap = route.get("/tee/config").json()["providers"]["dcap"]
    assert dcap == {"url": None, "relay": False, "root": None}


def test_a_broken_simulator_is_told_and_costs_no_configuration(
    route: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("QUOTE_GENERATOR_SIMULATE", "1")
    monkeypatch.setenv("QUOTE_GENERATOR_SIMULATOR_DIR", str(tmp_path / "file"))
    assert code(ask(route)) == (503, "simulator-state")
    answer = route.get("/tee/config")
    assert answer.status_code == 200
    assert answer.json()["providers"]["dcap"]["root"] is None


def nothing(root: Path) -> None:
    pass


def a_file_that_is_no_device(root: Path) -> None:
    (root / "dev").mkdir()
    (root / "dev" / "tdx_guest").touch()


def a_device_that_fails(root: Path) -> None:
    (root / "dev" / "tdx_guest").mkdir(parents=True)


def a_folder_without_a_kernel_behind(root: Path) -> None:
    (root / "sys/kernel/config/tsm/report").mkdir(parents=True)


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (nothing, True),
        (a_file_that_is_no_device, True),
        (a_device_that_fails, False),
        (a_folder_without_a_kernel_behind, False),
    ],
)
def test_simulation_is_decided_as_quotes_are(
    tmp_path: Path, machine: Callable[[Path], None], expected: bool
) -> None:
    machine(tmp_path)
    environ = {
        "QUOTE_GENERATOR_SIMULATE": "1",
        "QUOTE_GENERATOR_SIMULATOR_DIR": str(tmp_path / "simulator"),
    }
    system = System.under(str(tmp_path), environ=environ)
    assert simulates(system=system) is expected
    if expected:
        assert attest(bytes(64), system=system).simulated
    else:
        with pytest.raises(QuoteGeneratorError):
            attest(bytes(64), system=system)
    assert not simulates(system=replace(system, environ={"QUOTE_GENERATOR_SIMULATE": "0"}))


def test_the_doubles_platform_is_the_simulators() -> None:
    assert pki.FMSPC.hex().upper() == pccs.PLATFORM
