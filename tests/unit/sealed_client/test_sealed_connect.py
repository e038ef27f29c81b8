"""`sealed.connect`: verified first, verified again in time, and nobody else is talked to."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from typing import Any

import pytest
from cczoo_verifier import sealed
from cczoo_verifier.appraisal import Trust
from cczoo_verifier.policy import policy_of
from cczoo_verifier.sealed import connecting
from cczoo_verifier.sealed import keys as module
from cczoo_verifier.verification import Verifier

from doubles import pccs
from doubles.chat import Chat, a_keyring
from doubles.in_between import InBetween
from doubles.serving import serving
from quote_generator.simulator import Simulator


@pytest.fixture
def verifier(td: Simulator) -> Verifier:
    return Verifier(timeout=30, source=lambda: Trust(td.root_der, td.collateral()))


@pytest.fixture
def keys(url: str, verifier: Verifier) -> sealed.VerifiedKeys:
    return sealed.VerifiedKeys(url, verifier)


def test_a_client_that_verified_first(chat: Chat, url: str, verifier: Verifier) -> None:
    with sealed.connect(url, verifier=verifier, headers={"Authorization": "Bearer sk"}) as client:
        assert len(chat.seen) == 1
        for _ in range(3):
            assert client.post("/echo", content=b"a question").content == b"a question"
        assert client.cookies["chat"] == "crumbs"
        with pytest.raises(sealed.Elsewhere):
            client.get("https://elsewhere.example/")
    assert len(chat.seen) == 1  # once is enough while the result holds
    assert chat.seen == [None]  # the API key went inside
    assert {headers["authorization"] for _, _, headers, _ in chat.asked} == {"Bearer sk"}
    assert not any("authorization" in outer or "cookie" in outer for outer in chat.outer)
    assert chat.asked[-1][2]["cookie"] == "chat=crumbs"


def test_an_async_client_that_verified_first(chat: Chat, url: str, verifier: Verifier) -> None:
    async def talk() -> list[int]:
        async with await sealed.connect_async(url, verifier=verifier) as client:
            answers = await asyncio.gather(*(client.get("/echo") for _ in range(5)))
            return [answer.status_code for answer in answers]

    assert asyncio.run(talk()) == [200] * 5
    assert len(chat.seen) == 1


@pytest.mark.parametrize("option", ["base_url", "transport", "mounts", "proxy", "trust_env"])
def test_no_option_leads_past_it(url: str, verifier: Verifier, option: str) -> None:
    with pytest.raises(TypeError, match=option):
        sealed.connect(url, verifier=verifier, **{option: None})  # type: ignore[arg-type]


def test_a_proxy_in_the_environment_is_not_taken(
    chat: Chat, url: str, verifier: Verifier, monkeypatch: Any
) -> None:
    """It would be handed the requests themselves."""
    with sealed.connect(url, verifier=verifier) as client:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
        assert client.get("/echo").status_code == 200


UNVERIFIED: dict[str, dict[str, Any]] = {
    "an old quote": {"mode": "replay"},
    "no key": {"sealing": False},
    "another's key": {"shown": a_keyring()},
    "an old kernel": {"quote": {"measurements": {"td_attributes": bytes(8)}}},
}


@pytest.mark.parametrize("name", UNVERIFIED)
def test_what_does_not_verify_gets_nothing(
    chat: Chat, url: str, verifier: Verifier, name: str
) -> None:
    vars(chat).update(UNVERIFIED[name])
    with pytest.raises(sealed.NotVerified) as caught:
        sealed.connect(url, verifier=verifier, accept_warnings=True)
    assert caught.value.report.result == "fail"
    assert chat.asked == []


def test_no_evidence_is_no_verdict(chat: Chat, url: str, verifier: Verifier) -> None:
    chat.mode = "busy"
    with pytest.raises(sealed.NoVerdict) as caught:
        sealed.connect(url, verifier=verifier)
    assert (caught.value.code, caught.value.wait) == ("evidence-unreachable", 7)


def test_warnings_are_accepted_only_where_that_is_said(simulator: Simulator) -> None:
    verifier = Verifier(
        timeout=30, source=lambda: Trust(simulator.root_der, simulator.collateral())
    )
    chat = Chat(simulator)
    with serving(chat.app) as url:
        with pytest.raises(sealed.NotVerified, match="not-simulated"):
            sealed.connect(url, verifier=verifier)
        with sealed.connect(url, verifier=verifier, accept_warnings=True) as client:
            assert client.get("/echo").status_code == 200
        chat.sealing = False
        with pytest.raises(sealed.NotVerified, match="key-binding"):
            sealed.connect(url, verifier=verifier, accept_warnings=True)


def test_a_policy_of_ones_own(chat: Chat, url: str, verifier: Verifier) -> None:
    policy = policy_of({"v": 1, "reference_values": {"mr_td": ["00" * 48]}})
    with pytest.raises(sealed.NotVerified, match="reference-values"):
        sealed.connect(url, verifier=dataclasses.replace(verifier, policy=policy))


def test_without_a_verifier_it_is_intels_root_that_counts(
    td: Simulator, chat: Chat, url: str, monkeypatch: Any
) -> None:
    """Here with a collateral service that stands in for Intel's."""
    with serving(lambda _: pccs.create_app(td)) as service:
        monkeypatch.setattr(connecting, "INTEL_PCS", service)
        with pytest.raises(sealed.NotVerified, match=r"quote-signature|collateral"):
            sealed.connect(url)
        with pytest.raises(sealed.NotVerified, match="reference-values"):
            sealed.connect(url, references={"mr_td": ["00" * 48]})
    assert chat.asked == []


def test_a_machine_in_between_gets_nothing(
    td: Simulator, chat: Chat, url: str, verifier: Verifier
) -> None:
    machine = InBetween(url)
    with serving(machine.app) as address, pytest.raises(sealed.NotVerified, match="key-binding"):
        sealed.connect(address, verifier=verifier)
    assert machine.overheard == []


# --- verified again ------------------------------------------------------------------------------


def end_soon(keys: sealed.VerifiedKeys, left: float) -> None:
    """As if the last result had only so much left."""
    keys._left = module.Countdown(left)


def test_it_is_verified_again_before_the_result_ends(chat: Chat, keys: sealed.VerifiedKeys) -> None:
    first = keys.current()
    assert keys.current() is first
    chat.keys = a_keyring()
    end_soon(keys, module.EARLY - 1)
    second = keys.current()
    assert second.keyset.hash != first.keyset.hash
    assert len(chat.seen) == 2


def test_while_it_holds_nobody_needs_an_answer(chat: Chat, keys: sealed.VerifiedKeys) -> None:
    first = keys.current()
    chat.mode = "no-tdx"
    end_soon(keys, 100)
    for _ in range(5):
        assert keys.current() is first
    assert len(chat.seen) == 2  # and not asked with each request
    end_soon(keys, 0)
    with pytest.raises(sealed.NoVerdict):
        keys.current()
    chat.mode = "good"
    assert keys.current().keyset.hash == first.keyset.hash


def test_what_fails_now_ends_the_result_before(chat: Chat, keys: sealed.VerifiedKeys) -> None:
    """However long that would have counted."""
    keys.current()
    chat.mode = "replay"
    end_soon(keys, 100)
    with pytest.raises(sealed.NotVerified):
        keys.current()
    chat.mode = "no-tdx"
    with pytest.raises(sealed.NoVerdict):
        keys.current()
    chat.mode = "good"
    assert keys.current()


def test_keys_that_have_just_ended_are_not_sealed_to(chat: Chat, keys: sealed.VerifiedKeys) -> None:
    """They verify, as clocks may differ, but the result has ended with them."""
    chat.keys = a_keyring(now=lambda: time.time() - 3660)
    with pytest.raises(sealed.NoVerdict, match="has ended"):
        keys.current()


def test_after_a_restart_the_server_is_verified_first(
    chat: Chat, url: str, verifier: Verifier
) -> None:
    with sealed.connect(url, verifier=verifier) as client:
        chat.keys = a_keyring()
        assert client.post("/echo", content=b"again").content == b"again"
        assert len(chat.seen) == 2
        chat.keys, chat.mode = a_keyring(), "replay"
        with pytest.raises(sealed.NotVerified):
            client.post("/echo", content=b"again")
    assert [body for *_, body in chat.asked] == [b"again"]


def test_a_keyset_that_others_renewed_is_not_renewed_again(
    chat: Chat, keys: sealed.VerifiedKeys
) -> None:
    first = keys.current()
    chat.keys = a_keyring()
    second = keys.renewed(first)
    assert keys.renewed(first) is second
    assert len(chat.seen) == 2


def test_many_threads_verify_once(chat: Chat, keys: sealed.VerifiedKeys) -> None:
    found: list[sealed.Holder] = []
    threads = [threading.Thread(target=lambda: found.append(keys.current())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 8
    assert len({id(holder) for holder in found}) == 1
    assert len(chat.seen) == 1


def test_a_result_ends_with_its_keys(chat: Chat, keys: sealed.VerifiedKeys) -> None:
    chat.keys = a_keyring(now=lambda: time.time() - 3500)
    keyset = keys.current().keyset
    assert 0 < keys._left.left() <= 100
    assert keys._early <= 50
    assert keyset.not_after - time.time() <= 100
