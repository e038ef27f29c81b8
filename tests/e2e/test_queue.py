"""The queue of nonces and the settings of the backend router, without open-webui around them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from e2e.overlay import overlay

BOUND = 10  # seconds; only a broken test ever waits that long

tee = overlay("utils.tee")


class Attester:
    """Stands in for the quote: waits for ``gate``, remembers which nonces came together."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.started = threading.Event()
        self.batches: list[list[bytes]] = []
        self.threads: set[str] = set()
        self.failure: Exception | None = None

    def __call__(self, nonces: list[bytes]) -> list[dict[str, bytes]]:
        self.batches.append(nonces)
        self.threads.add(threading.current_thread().name)
        self.started.set()
        assert self.gate.wait(BOUND)
        if self.failure is not None:
            raise self.failure
        return [{"nonce": nonce} for nonce in nonces]

    async def under_way(self) -> None:
        assert await asyncio.to_thread(self.started.wait, BOUND)


def run(test: Callable[[Attester], Awaitable[None]]) -> Attester:
    attester = Attester()

    async def bounded() -> None:
        await asyncio.wait_for(test(attester), BOUND)

    try:
        # In a thread of its own: Playwright keeps an event loop in this one.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: asyncio.run(bounded())).result()
    finally:
        attester.gate.set()
    return attester


def ask(queue: object, *nonces: bytes, timeout: float = BOUND) -> list[asyncio.Task[dict]]:
    return [asyncio.ensure_future(queue.evidence(n, timeout)) for n in nonces]  # type: ignore[attr-defined]


def test_nonces_that_wait_are_answered_together_by_the_next_quote() -> None:
    async def scenario(attester: Attester) -> None:
        queue = tee.EvidenceQueue(attester)
        first = ask(queue, b"a")
        await attester.under_way()
        rest = ask(queue, b"b", b"c", b"d")
        await asyncio.sleep(0)  # lets them take their places
        attester.gate.set()
        answers = await asyncio.gather(*first, *rest)
        assert [a["nonce"] for a in answers] == [b"a", b"b", b"c", b"d"]

    attester = run(scenario)
    assert attester.batches == [[b"a"], [b"b", b"c", b"d"]]
    assert len(attester.threads) == 1


def test_the_event_loop_runs_on_while_a_quote_is_under_way() -> None:
    async def scenario(attester: Attester) -> None:
        queue = tee.EvidenceQueue(attester)
        (waiting,) = ask(queue, b"a")
        await attester.under_way()
        for _ in range(100):
            await asyncio.sleep(0)
        assert not waiting.done()
        attester.gate.set()
        assert (await waiting)["nonce"] == b"a"

    run(scenario)


def test_a_client_that_gives_up_takes_nothing_with_it() -> None:
    async def scenario(attester: Attester) -> None:
        queue = tee.EvidenceQueue(attester, limit=2)
        (first,) = ask(queue, b"a")
        await attester.under_way()
        gone, stays = ask(queue, b"b", b"c")
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        (late,) = ask(queue, b"d")  # the place in the queue is free again
        await asyncio.sleep(0)
        attester.gate.set()
        answers = await asyncio.gather(first, stays, late)
        assert [a["nonce"] for a in answers] == [b"a", b"c", b"d"]

    attester = run(scenario)
    assert attester.batches == [[b"a"], [b"c", b"d"]]


def test_a_client_that_gives_up_during_its_quote_does_not_hurt_the_others() -> None:
    async def scenario(attester: Attester) -> None:
        queue = tee.EvidenceQueue(attester)
        (gone,) = ask(queue, b"a")
        await attester.under_way()
        gone.cancel()
        (next_one,) = ask(queue, b"b")
        await asyncio.sleep(0)
        attester.gate.set()
        assert (await next_one)["nonce"] == b"b"
        assert gone.cancelled()

    run(scenario)


def test_a_full_queue_refuses_with_429() -> None:
    async def scenario(attester: Attester) -> None:
        queue = tee.EvidenceQueue(attester, limit=1)
        waiting = ask(queue, b"a")
        await attester.under_way()
        waiting += ask(queue, b"b")
        await asyncio.sleep(0)
        with pytest.raises(tee.TeeError) as refused:
            await queue.evidence(b"c", BOUND)
        assert (refused.value.status, refused.value.code) == (429, "too-many-waiting")
        attester.gate.set()
        assert len(await asyncio.gather(*waiting)) == 2

    run(scenario)


def test_waiting_is_bounded_with_504() -> None:
    async def scenario(attester: Attester) -> None:
        queue = tee.EvidenceQueue(attester)
        with pytest.raises(tee.TeeError) as refused:
            await queue.evidence(b"a", 0.01)
        assert (refused.value.status, refused.value.code) == (504, "timed-out")
        (later,) = ask(queue, b"b")
        attester.gate.set()
        assert (await later)["nonce"] == b"b"

    run(scenario)


def test_a_failed_quote_fails_its_own_nonces_only() -> None:
    async def scenario(attester: Attester) -> None:
        queue = tee.EvidenceQueue(attester)
        attester.gate.set()
        attester.failure = tee.TeeError(503, "busy", "try again")
        for task in ask(queue, b"a", b"b"):
            with pytest.raises(tee.TeeError, match="try again"):
                await task
        attester.failure = None
        (good,) = ask(queue, b"c")
        assert (await good)["nonce"] == b"c"

    run(scenario)


def test_too_few_documents_are_an_error_not_a_wrong_answer() -> None:
    async def scenario(_: Attester) -> None:
        queue = tee.EvidenceQueue(lambda nonces: [])
        (task,) = ask(queue, b"a")
        with pytest.raises(ValueError, match="shorter"):
            await task

    run(scenario)


# Settings and limits


def test_defaults_suggest_alibaba_and_relay_nothing() -> None:
    settings = tee.Settings.from_environment({})
    nothing = {"url": None, "relay": False}
    assert settings.document(None) == {
        "v": 1,
        "default_provider": "alibaba",
        "providers": {"alibaba": nothing, "trustee": nothing, "dcap": {**nothing, "root": None}},
    }
    assert not settings.public
    assert settings.relay_url("alibaba") is None


def test_the_relay_goes_to_the_configured_address_and_the_providers_path() -> None:
    settings = tee.Settings.from_environment(
        {"TEE_RELAY": "trustee, alibaba", "TEE_TRUSTEE_URL": "http://as.internal:8080/base/"}
    )
    assert settings.relay_url("trustee") == "http://as.internal:8080/base/attestation"
    assert settings.relay_url("alibaba") == (
        "https://attest.cn-beijing.aliyuncs.com/v1/attestation"
    )
    assert settings.document(None)["providers"]["alibaba"] == {"url": None, "relay": True}


def test_a_relay_without_an_address_is_not_offered() -> None:
    settings = tee.Settings.from_environment({"TEE_RELAY": "trustee"})
    assert settings.relay_url("trustee") is None
    assert settings.document(None)["providers"]["trustee"]["relay"] is False


def test_verification_in_the_browser_can_be_suggested_and_has_no_address() -> None:
    settings = tee.Settings.from_environment(
        {"TEE_DEFAULT_PROVIDER": "dcap", "TEE_DCAP_URL": "https://as.example"}
    )
    document = settings.document("a root")
    assert document["default_provider"] == "dcap"
    assert document["providers"]["dcap"] == {"url": None, "relay": False, "root": "a root"}


def test_collateral_comes_from_intel_or_from_the_configured_address() -> None:
    settings = tee.Settings.from_environment({})
    assert settings.pccs_url == "https://api.trustedservices.intel.com"
    assert (settings.collateral_timeout, settings.collateral_refresh) == (10, 3600)
    settings = tee.Settings.from_environment(
        {"TEE_PCCS_URL": "https://pccs.internal:8081/base/", "TEE_COLLATERAL_REFRESH": "604800"}
    )
    assert (settings.pccs_url, settings.collateral_refresh) == (
        "https://pccs.internal:8081/base",
        604800,
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TEE_DEFAULT_PROVIDER", "nobody"),
        ("TEE_RELAY", "alibaba,nobody"),
        ("TEE_RELAY", "dcap"),
        ("TEE_QUOTE_TIMEOUT", "soon"),
        ("TEE_QUOTE_TIMEOUT", "0"),
        ("TEE_QUOTE_TIMEOUT", "nan"),
        ("TEE_RELAY_TIMEOUT", "-1"),
        ("TEE_TRUSTEE_URL", "file:///etc/passwd"),
        ("TEE_TRUSTEE_URL", "https://user:word@as.example"),
        ("TEE_TRUSTEE_URL", "https://as.example/?q=1"),
        ("TEE_TRUSTEE_URL", "https://as.example:port"),
        ("TEE_ALIBABA_URL", "https://[::1"),
        ("TEE_ALIBABA_URL", "as.example"),
        ("TEE_PCCS_URL", "pccs.example"),
        ("TEE_PCCS_URL", "https://pccs.example/?fmspc=00"),
        ("TEE_COLLATERAL_TIMEOUT", "121"),
        ("TEE_COLLATERAL_REFRESH", "0"),
        ("TEE_COLLATERAL_REFRESH", "604801"),
        ("TEE_COLLATERAL_REFRESH", "nan"),
    ],
)
def test_a_wrong_setting_is_named(variable: str, value: str) -> None:
    with pytest.raises(tee.TeeError, match=variable) as refused:
        tee.Settings.from_environment({variable: value})
    assert (refused.value.status, refused.value.code) == (503, "misconfigured")


def test_limits_count_each_identifier_by_itself() -> None:
    limiter = tee.Limiter()
    for _ in range(2):
        limiter.hit("2/hour", "user", "a")
    with pytest.raises(tee.TeeError) as refused:
        limiter.hit("2/hour", "user", "a")
    assert (refused.value.status, refused.value.retry_after) == (429, 3600)
    limiter.hit("2/hour", "user", "b")


def test_a_limit_that_does_not_parse_is_a_wrong_setting() -> None:
    with pytest.raises(tee.TeeError, match="TEE_QUOTE_LIMIT"):
        tee.Limiter().hit("many", "user")


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("testclient", "unknown"),
        (None, "unknown"),
    ],
)
def test_addresses_are_counted_by_what_one_client_can_not_change(
    host: str | None, key: str
) -> None:
    assert tee.address_key(host) == key
