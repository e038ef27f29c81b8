"""Requests are meant for the statement that was judged: another one is judged before any word."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from asked import Asked, keyset_of
from cczoo_verifier import sealed
from cczoo_verifier.appraisal import Trust
from cczoo_verifier.policy import policy_of
from cczoo_verifier.verification import Verifier

from doubles.chat import Chat
from quote_generator.evidence import document_hash
from quote_generator.simulator import Simulator
from vectors.workload import SECTIONS, edited

KEY = "sk-of-somebody"
CANARY = b"words for nobody else"
OUTSIDE = [("/models/offered/1/where", "outside"), ("/models/offered/1/address", "a.b:443")]
HARMLESS = [("/people/channels", True)]


@pytest.fixture(autouse=True)
def states(chat: Chat) -> None:
    """The server states the usual workload, but that nothing was written to a log."""
    chat.sections = edited(copy.deepcopy(SECTIONS), [("/measured/log", "not-written")])
    chat.account = KEY


@pytest.fixture
def verifier(td: Simulator) -> Verifier:
    """Somebody who wants no model outside, nor a chat on a server of which that is not known."""
    policy = policy_of({"v": 1, "workload": {"require": ["no-model-outside"]}})
    source = lambda: Trust(td.root_der, td.collateral())  # noqa: E731
    return Verifier(timeout=30, source=source, policy=policy)


def verified(url: str, verifier: Verifier, api_key: str | None = KEY) -> sealed.VerifiedKeys:
    return sealed.VerifiedKeys(url, verifier, accept_warnings=True, api_key=api_key)


@pytest.fixture
def keys(url: str, verifier: Verifier) -> sealed.VerifiedKeys:
    return verified(url, verifier)


def changing(chat: Chat, *edits: Any) -> None:
    """An administrator changes something."""
    chat.sections = edited(chat.sections, edits)


def test_requests_say_what_was_judged(
    chat: Chat, asked: Callable[..., Asked], keys: sealed.VerifiedKeys
) -> None:
    assert keys.current().statement == document_hash(chat.statement())
    answer = asked(keys)("POST", "/echo", content=CANARY, headers={"Tee-Statement": "another"})
    assert answer.content == CANARY
    assert "tee-statement" not in chat.asked[0][2]  # it is for the kit alone


def test_a_change_is_judged_before_the_next_word(
    chat: Chat, asked: Callable[..., Asked], keys: sealed.VerifiedKeys
) -> None:
    ask = asked(keys)
    assert ask("POST", "/echo", content=CANARY).content == CANARY
    changing(chat, *HARMLESS)
    assert ask("POST", "/echo", content=CANARY * 100_000).content == CANARY * 100_000
    assert [len(body) for *_, body in chat.asked] == [len(CANARY), 100_000 * len(CANARY)]
    assert chat.seen.count(None) == 2  # two quotes


def test_what_the_judge_refuses_gets_nothing(
    chat: Chat, asked: Callable[..., Asked], keys: sealed.VerifiedKeys
) -> None:
    ask = asked(keys)
    ask("GET", "/echo")
    changing(chat, *OUTSIDE)
    with pytest.raises(sealed.NotVerified, match=r"no-model-outside.*a\.b:443"):
        ask("POST", "/echo", content=CANARY)
    assert [body for *_, body in chat.asked] == [b""]
    with pytest.raises(sealed.NotVerified):
        ask("GET", "/echo")


def test_a_statement_that_changes_with_each_look_is_an_error(
    chat: Chat, url: str, td: Simulator, asked: Callable[..., Asked]
) -> None:
    def change(document: Any) -> Any:
        changing(chat, ("/people/channels", f"{len(chat.seen)}"))
        return document

    chat.change_evidence = change
    verifier = Verifier(timeout=30, source=lambda: Trust(td.root_der, td.collateral()))
    with pytest.raises(sealed.StatementChanged, match="verify it again"):
        asked(verified(url, verifier, None))("POST", "/echo", content=CANARY)
    assert chat.asked == []
    assert len(chat.seen) == 2  # it was judged anew once


def test_a_body_that_can_be_read_once_is_not_repeated(
    chat: Chat, asked: Callable[..., Asked], keys: sealed.VerifiedKeys
) -> None:
    ask = asked(keys)
    ask("GET", "/echo")
    changing(chat, *HARMLESS)
    with pytest.raises(sealed.NotRepeatable, match="send it again"):
        ask("POST", "/echo", content=iter([CANARY, CANARY]))
    assert ask("POST", "/echo", content=iter([CANARY, CANARY])).content == CANARY * 2
    assert [body for *_, body in chat.asked] == [b"", CANARY * 2]


def test_without_a_judge_the_request_comes_back(chat: Chat, asked: Callable[..., Asked]) -> None:
    judged = document_hash(chat.statement())
    keys = sealed.FixedKeys(keyset_of(chat), statement=judged)
    ask = asked(keys)
    assert ask("GET", "/echo").status_code == 200
    changing(chat, *HARMLESS)
    with pytest.raises(sealed.StatementChanged):
        ask("POST", "/echo", content=CANARY)
    assert len(chat.asked) == 1
    # Who judged no statement says nothing of one.
    assert asked()("POST", "/echo", content=CANARY).content == CANARY


def test_a_new_key_and_another_statement_at_once(
    chat: Chat, asked: Callable[..., Asked], keys: sealed.VerifiedKeys
) -> None:
    ask = asked(keys)
    ask("GET", "/echo")
    chat.keys = Chat(chat.td).keys  # a restart
    changing(chat, *HARMLESS)
    assert ask("POST", "/echo", content=CANARY).content == CANARY
    assert chat.seen.count(None) == 2


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(409, json={"detail": "a chat of that name is there"}),
        httpx.Response(409, json=["statement-changed"]),
        httpx.Response(409, text="statement-changed"),
        httpx.Response(409, json={"code": "statement-changed", "more": "x" * 5000}),
        httpx.Response(400, json={"code": "statement-changed"}),
    ],
    ids=["a conflict", "a list", "text", "long", "another status"],
)
def test_what_the_app_says_is_the_apps_own(
    chat: Chat, asked: Callable[..., Asked], keys: sealed.VerifiedKeys, answer: httpx.Response
) -> None:
    chat.answer = answer
    given = asked(keys)("POST", "/echo", content=CANARY)
    assert (given.status_code, given.content) == (answer.status_code, answer.content)
    assert len(chat.asked) == 1


# --- the API key ---------------------------------------------------------------------------------


def test_a_policy_of_what_runs_there_needs_an_account(url: str, verifier: Verifier) -> None:
    with pytest.raises(sealed.NotVerified, match="give an API key"):
        verified(url, verifier, None).current()


def test_the_api_key_goes_sealed_to_a_td_that_verified(
    chat: Chat, url: str, verifier: Verifier
) -> None:
    with sealed.connect(url, verifier=verifier, accept_warnings=True, api_key=KEY) as client:
        assert client.get("/echo").status_code == 200

    async def talk() -> int:
        options = {"verifier": verifier, "accept_warnings": True, "api_key": KEY}
        async with await sealed.connect_async(url, **options) as client:
            return (await client.get("/echo")).status_code

    assert asyncio.run(talk()) == 200
    assert chat.seen == [None, f"Bearer {KEY}"] * 2
    assert KEY not in repr(chat.outer)
    chat.seen.clear()
    chat.mode = "replay"
    with pytest.raises(sealed.NotVerified):
        sealed.connect(url, verifier=verifier, accept_warnings=True, api_key=KEY)
    assert chat.seen == [None]
