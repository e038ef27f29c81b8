"""Admission and limits: who is counted as whom, and what is left when there were too many."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from host_double import Accounts, User, run, scope_of
from limits import parse
from starlette.requests import Request

from cczoo_backend.admission import Admission
from cczoo_backend.errors import TeeError
from cczoo_backend.rate_limits import RateLimiter, address_key
from cczoo_backend.settings import Settings

# No window of a year ends while a test runs.
TWICE = parse("2/year")


def test_each_identifier_is_counted_by_itself() -> None:
    limiter = RateLimiter()
    for _ in range(2):
        limiter.count(TWICE, "user", "a")
    with pytest.raises(TeeError) as refused:
        limiter.count(TWICE, "user", "a")
    assert (refused.value.status, refused.value.code) == (429, "too-many-requests")
    assert int(refused.value.headers["Retry-After"]) == TWICE.get_expiry()
    limiter.count(TWICE, "user", "b")


def test_a_look_at_the_limit_counts_nothing() -> None:
    limiter = RateLimiter()
    for _ in range(5):
        limiter.check(TWICE, "user", "a")
    for _ in range(2):
        limiter.count(TWICE, "user", "a")
    with pytest.raises(TeeError):
        limiter.check(TWICE, "user", "a")


def test_a_host_that_does_not_answer_is_not_waited_for_without_end() -> None:
    class Hanging(Accounts):
        async def verified_user(self, request: Request) -> User:
            await asyncio.Event().wait()
            raise AssertionError

    async def scenario() -> None:
        admission = Admission(Hanging(), lambda: Settings.from_environment({}), patience=0.01)
        with pytest.raises(TeeError, match="who asks") as refused:
            await admission.user(Request(scope_of()))
        assert (refused.value.status, refused.value.code) == (504, "timed-out")

    run(scenario)


def strangers() -> Iterator[Request]:
    for number in range(256):
        yield Request({**scope_of(), "client": (f"192.0.2.{number}", 1)})


def test_what_one_address_is_refused_takes_nothing_from_the_others() -> None:
    environment = {"TEE_QUOTE_LIMIT_ADDRESS": "1/year", "TEE_QUOTE_LIMIT_PUBLIC": "3/year"}
    settings = Settings.from_environment(environment)
    admission = Admission(Accounts(), lambda: settings)
    first, second, third, fourth, *_ = strangers()
    admission.count_address(first, "quote")
    for _ in range(5):
        with pytest.raises(TeeError, match="at most 1 per 1 year"):
            admission.count_address(first, "quote")
    admission.count_address(second, "quote")
    admission.count_address(third, "quote")
    with pytest.raises(TeeError, match="at most 3 per 1 year"):
        admission.count_address(fourth, "quote")
    admission.count_address(fourth, "collateral")


def test_strangers_from_ever_new_addresses_do_not_fill_the_memory() -> None:
    settings = Settings.from_environment({"TEE_QUOTE_LIMIT_PUBLIC": "3/year"})
    limiter = RateLimiter()
    admission = Admission(Accounts(), lambda: settings, limiter)
    for stranger in strangers():
        try:
            admission.count_address(stranger, "quote")
        except TeeError:
            continue
    assert len(limiter._strategy.storage.storage) == 4  # type: ignore[attr-defined]


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
    assert address_key(host) == key
