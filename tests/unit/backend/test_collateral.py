"""Collateral from a PCCS double over real HTTP: what is asked, read, refused and kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote as percent_encode

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from host_double import BOUND, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cczoo_backend import collateral
from cczoo_backend.errors import TeeError
from cczoo_backend.settings_table import INTEL_PCS
from doubles import pccs
from doubles.serving import serving
from e2e.dcap import verify
from quote_generator.simulator import Simulator, pki

HOUR = 3600.0
REFRESH = 600.0
PLATFORM = collateral.Platform(pccs.PLATFORM, "platform")
NAMES = ("TCB info", "QE identity", "PCK revocation list", "root revocation list")
PATHS = (pccs.TCB, pccs.IDENTITY, pccs.PCK_CRL, pccs.ROOT_CRL)
PARTS = {
    *("tcb_info_json", "qe_identity_json", "pck_crl_der_b64", "root_crl_der_b64"),
    *("tcb_info_issuer_chain_pem", "qe_identity_issuer_chain_pem", "pck_crl_issuer_chain_pem"),
}

pytestmark = pytest.mark.usefixtures("direct")


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


class Holder:
    """Holds requests to the service up, from ``hold`` to ``let_go``."""

    def __init__(self) -> None:
        self._gate = asyncio.Event()
        self._gate.set()
        self._under_way = asyncio.Semaphore(0)

    def hold(self) -> None:
        self._gate.clear()

    def let_go(self) -> None:
        self._gate.set()

    async def under_way(self, requests: int = 1) -> None:
        """Wait until so many more requests are on their way."""
        for _ in range(requests):
            await self._under_way.acquire()

    async def passed(self) -> None:
        self._under_way.release()
        await self._gate.wait()


class Cached:
    """A cache, its clock and the service that it asks."""

    def __init__(self, url: str, **bounds: int):
        self.clock = Clock()
        self.url = url
        self.cache = collateral.CollateralCache(self.clock, **bounds)
        self.requests = Holder()

    async def get(self, platform: Any = PLATFORM, *, seconds: float = 5) -> tuple[Any, bool]:
        async def fetch() -> collateral.Collateral:
            await self.requests.passed()
            return await collateral.fetch_collateral(platform, self.url, seconds, self.clock)

        return await self.cache.get(platform, fetch, REFRESH)

    async def code(self, platform: Any = PLATFORM, *, seconds: float = 5) -> tuple[int, str]:
        """How it fails."""
        with pytest.raises(TeeError) as failure:
            await self.get(platform, seconds=seconds)
        return failure.value.status, failure.value.code


@pytest.fixture
def cached(service: str, state: pccs.State) -> Cached:
    """A cache with the usual bounds."""
    return Cached(service)


def free_port() -> int:
    """A port of 127.0.0.1 where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def fetch(url: str, seconds: float = 5, platform: Any = PLATFORM, update: str | None = None) -> Any:
    found = []

    async def once() -> None:
        found.append(await collateral.fetch_collateral(platform, url, seconds, update=update))

    run(once)
    return found[0]


def failure(url: str, seconds: float = 5) -> Any:
    with pytest.raises(TeeError) as caught:
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


@pytest.mark.parametrize("update", [None, "early", "standard"])
def test_an_edition_is_asked_for_where_the_documents_are(
    service: str, state: pccs.State, update: str | None
) -> None:
    fetch(service, update=update)
    edition = f"update={update}" if update else None
    asked = {path: query for path, _, query in (one.partition("?") for one, _ in state.seen)}
    assert asked[pccs.IDENTITY] == (edition or "")
    assert (edition in asked[pccs.TCB].split("&")) if edition else "update" not in asked[pccs.TCB]
    assert not any("update" in asked[path] for path in (pccs.PCK_CRL, pccs.ROOT_CRL))


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
    assert collateral._requests(platform, INTEL_PCS) == {
        "TCB info": (INTEL_PCS + "/tdx/certification/v4/tcb", {"fmspc": "00806F050000"}),
        "QE identity": (INTEL_PCS + "/tdx/certification/v4/qe/identity", {}),
        "PCK revocation list": (
            INTEL_PCS + "/sgx/certification/v4/pckcrl",
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
    with pytest.raises(TeeError) as refused:
        collateral.parse_platform(fmspc, ca)
    assert (refused.value.status, refused.value.code) == (400, "bad-platform")


def test_the_two_spellings_of_a_platform_are_one() -> None:
    platform = collateral.Platform("00806F050000", "platform")
    assert collateral.parse_platform("00806f050000", "platform") == platform


@pytest.mark.parametrize("mode", [*pccs.UNREACHABLE, *pccs.UNUSABLE])
def test_what_is_no_collateral_has_a_code_and_is_not_kept(
    cached: Cached, state: pccs.State, mode: str
) -> None:
    async def scenario() -> None:
        state.mode = mode
        code = "unreachable" if mode in pccs.UNREACHABLE else "unusable"
        assert await cached.code() == (502, f"collateral-{code}")
        state.mode = pccs.GOOD
        found, stale = await cached.get()
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
    state.mode = mode  # for longer than `run` waits
    error = failure(service, seconds=0.5)
    assert (error.status, error.code) == (504, "collateral-timed-out")


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

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(BOUND)
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        error = failure(f"http://127.0.0.1:{listener.getsockname()[1]}", seconds=0.5)
    assert error.status in (502, 504)
    assert error.code in ("collateral-unreachable", "collateral-timed-out")


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


def test_a_copy_serves_until_it_is_due(cached: Cached, state: pccs.State) -> None:
    async def scenario() -> None:
        first, _ = await cached.get()
        cached.clock.now += REFRESH - 1
        for _ in range(3):
            assert await cached.get() == (first, False)
        assert set(state.count.values()) == {1}
        cached.clock.now += 1
        renewed, stale = await cached.get()
        assert renewed.fetched == cached.clock.now > first.fetched
        assert not stale
        assert set(state.count.values()) == {2}

    run(scenario)


def test_a_good_copy_is_served_while_the_service_is_down(cached: Cached, state: pccs.State) -> None:
    async def scenario() -> None:
        first, _ = await cached.get()
        state.mode = "down"
        cached.clock.now += REFRESH
        assert await cached.get() == (first, True)
        asked = state.count[pccs.TCB]
        assert asked == 2
        # The service is left alone for a while, so that nobody waits for it each time.
        cached.clock.now += collateral.RETRY_SECONDS - 1
        assert await cached.get() == (first, True)
        assert state.count[pccs.TCB] == asked
        cached.clock.now += 1
        assert await cached.get() == (first, True)
        assert state.count[pccs.TCB] == asked + 1
        state.mode = pccs.GOOD
        cached.clock.now += collateral.RETRY_SECONDS
        renewed, stale = await cached.get()
        assert not stale
        assert renewed.fetched == cached.clock.now

    run(scenario)


@pytest.mark.parametrize("mode", ["html", "past-date", pccs.SLOW, "endless"])
def test_a_good_copy_outlives_every_kind_of_failure(
    cached: Cached, state: pccs.State, mode: str
) -> None:
    async def scenario() -> None:
        first, _ = await cached.get()
        state.mode = mode
        cached.clock.now += REFRESH
        assert await cached.get(seconds=0.5) == (first, True)

    run(scenario)


def test_nothing_is_served_after_its_end(cached: Cached, state: pccs.State) -> None:
    async def scenario() -> None:
        first, _ = await cached.get()
        state.mode = "down"
        cached.clock.now = first.expires - 1
        assert await cached.get() == (first, True)
        cached.clock.now = first.expires
        assert await cached.code() == (502, "collateral-unusable")
        cached.clock.now -= 1  # gone, not only hidden
        assert await cached.code() == (502, "collateral-unusable")

    run(scenario)


def test_what_ends_during_a_slow_renewal_is_not_served(cached: Cached, state: pccs.State) -> None:
    async def scenario() -> None:
        first, _ = await cached.get()
        state.mode = "down"
        cached.clock.now = first.expires - 1
        cached.requests.hold()
        waiting = asyncio.create_task(cached.code())
        await cached.requests.under_way(2)
        cached.clock.now = first.expires
        cached.requests.let_go()
        assert await waiting == (502, "collateral-unusable")

    run(scenario)


def test_a_clock_that_was_set_back_makes_no_copy_last_longer(
    cached: Cached, state: pccs.State
) -> None:
    async def scenario() -> None:
        await cached.get()
        cached.clock.now -= HOUR
        await cached.get()
        assert state.count[pccs.TCB] == 2

    run(scenario)


def test_clients_share_one_request(cached: Cached, state: pccs.State) -> None:
    async def scenario() -> None:
        found = await asyncio.gather(*(cached.get() for _ in range(50)))
        assert {id(item) for item, _ in found} == {id(found[0][0])}
        assert state.count == dict.fromkeys(PATHS, 1)
        processor = collateral.Platform(pccs.PLATFORM, "processor")
        assert await cached.code(processor) == (502, "collateral-unusable")
        assert state.count[pccs.PCK_CRL] == 2

    run(scenario)


def test_clients_share_one_failure(cached: Cached, state: pccs.State) -> None:
    async def scenario() -> None:
        state.mode = "not-found"
        codes = await asyncio.gather(*(cached.code() for _ in range(20)))
        assert set(codes) == {(502, "collateral-unusable")}
        assert state.count[pccs.TCB] == 1

    run(scenario)


def test_a_client_that_goes_away_takes_nothing_with_it(cached: Cached, state: pccs.State) -> None:
    async def scenario() -> None:
        cached.requests.hold()
        gone, stays = (asyncio.create_task(cached.get()) for _ in range(2))
        await cached.requests.under_way()
        gone.cancel()
        cached.requests.let_go()
        assert (await stays)[0].parts.keys() == PARTS
        assert gone.cancelled()
        assert state.count[pccs.TCB] == 1

    run(scenario)


def test_what_nobody_waits_for_any_more_is_kept(cached: Cached, state: pccs.State) -> None:
    async def scenario() -> None:
        cached.requests.hold()
        gone = asyncio.create_task(cached.get())
        await cached.requests.under_way()
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        cached.requests.let_go()
        await cached.get()
        await cached.get()
        assert state.count[pccs.TCB] == 1

    run(scenario)


def many(count: int) -> list[Any]:
    return [collateral.Platform(f"{number:012X}", "platform") for number in range(count)]


def test_the_copy_unused_for_longest_goes(service: str, state: pccs.State) -> None:
    cached = Cached(service, size=3)
    first, second, third, fourth = many(4)
    state.also = frozenset(platform.fmspc for platform in many(4))

    async def scenario() -> None:
        for platform in (first, second, third, first, fourth):
            await cached.get(platform)
        assert len(cached.cache._copies) == 3
        assert state.count[pccs.TCB] == 4
        await cached.get(first)  # used since, so still there
        assert state.count[pccs.TCB] == 4
        await cached.get(second)
        assert state.count[pccs.TCB] == 5

    run(scenario)


def test_somebody_who_asks_for_every_platform_fills_nothing(
    service: str, state: pccs.State
) -> None:
    cached = Cached(service, size=2)

    async def scenario() -> None:
        kept, _ = await cached.get()
        for platform in many(10):
            assert await cached.code(platform) == (502, "collateral-unusable")
        assert list(cached.cache._copies) == [PLATFORM]
        assert not cached.cache._fetching
        assert await cached.get() == (kept, False)

    run(scenario)


def test_requests_at_once_are_bounded(service: str, state: pccs.State) -> None:
    cached = Cached(service, at_once=2)
    first, second, third = many(3)
    state.also = frozenset(platform.fmspc for platform in many(3))

    async def scenario() -> None:
        kept, _ = await cached.get(third)
        cached.requests.hold()
        waiting = [asyncio.create_task(cached.get(platform)) for platform in (first, second)]
        await cached.requests.under_way(3)
        assert await cached.code() == (429, "too-many-waiting")
        cached.clock.now += REFRESH
        assert await cached.get(third) == (kept, True)
        cached.requests.let_go()
        await asyncio.gather(*waiting)
        found, stale = await cached.get(third)
        assert found is not kept
        assert not stale

    run(scenario)
