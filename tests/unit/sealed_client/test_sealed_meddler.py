"""What somebody on the way can do to requests and answers: the client gets an error, or the truth.

The proxy is a real one, between the real clients and the layer on a real server.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence

import httpx
import pytest
from asked import Ask, Asked, keyset_of
from cczoo_verifier import sealed

from doubles import meddler
from doubles.chat import Chat
from doubles.meddler import HANG_UP, Change, Kind, Meddler, meddling
from quote_generator.sealing.chunked_ohttp import CHUNK_MAX
from quote_generator.sealing.varint import read_varint

WORDS = b"a question that nobody may change"
LONG = os.urandom(3 * CHUNK_MAX)
START: dict[Kind, int] = {"request": 39, "answer": 16}
"""Bytes before the first chunk: header and encapsulated key, or nonce."""


@pytest.fixture(scope="module")
def proxy(server: tuple[Chat, str]) -> Iterator[Meddler]:
    """Who stands in between."""
    with meddling(server[1]) as made:
        yield made


@pytest.fixture
def meddling_proxy(proxy: Meddler, chat: Chat) -> Iterator[Meddler]:
    """The same, honest at first and without a past."""
    vars(proxy).update(vars(Meddler(proxy.target, proxy.url)))
    yield proxy
    assert proxy.changed, "nothing was changed, and so nothing is shown"


@pytest.fixture
def ask_past(meddling_proxy: Meddler, asked: Callable[..., Asked]) -> Ask:
    """Asks the server, by way of the proxy."""
    return asked(address=meddling_proxy.url)


def assert_an_error(ask: Callable[[], object]) -> None:
    """Nothing is shown, and what is raised is what httpx says of a connection that broke."""
    with pytest.raises(httpx.TransportError):
        ask()


# --- each byte -----------------------------------------------------------------------------------


@pytest.mark.parametrize("client", ["sync", "async"])
@pytest.mark.parametrize("kind", ["request", "answer"])
def test_each_byte_flipped(chat: Chat, meddling_proxy: Meddler, kind: Kind, client: str) -> None:
    length = length_of(chat, meddling_proxy, kind)
    changes = [meddler.flipped(at) for at in range(length)]
    for at, error in enumerate(asked_with(chat, meddling_proxy, kind, changes, client)):
        assert isinstance(error, sealed.SealedError), (at, error)
    assert meddling_proxy.changed == length
    # Of the requests that were changed, none has come to the app.
    assert len(chat.asked) == (1 if kind == "request" else 1 + length)


@pytest.mark.parametrize("kind", ["request", "answer"])
@pytest.mark.parametrize(("way", "step"), [(meddler.cut, 1), (meddler.cut_off, 7)])
def test_cut_anywhere(
    chat: Chat, meddling_proxy: Meddler, kind: Kind, way: Callable[[int], Change], step: int
) -> None:
    places = range(0, length_of(chat, meddling_proxy, kind), step)
    found = asked_with(chat, meddling_proxy, kind, [way(at) for at in places], "async")
    for at, error in zip(places, found, strict=True):
        assert isinstance(error, httpx.TransportError), (at, error)
    assert len(chat.asked) == (1 if kind == "request" else 1 + len(places))


def length_of(chat: Chat, proxy: Meddler, kind: Kind) -> int:
    """How long the message is, which passes once."""
    answer = asked_with(chat, proxy, kind, [meddler.cut(1 << 20)], "sync")[0]
    assert isinstance(answer, httpx.Response)
    assert answer.content == WORDS
    return len(proxy.came[kind][0])


def asked_with(
    chat: Chat, proxy: Meddler, kind: Kind, changes: Sequence[Change], client: str
) -> list[object]:
    """What a client gets for the same request with each of these changes: answers and errors."""
    keys = keyset_of(chat)
    found: list[object] = []

    def asked() -> None:
        transport = sealed.SealedTransport(proxy.url, keys)
        with httpx.Client(base_url=proxy.url, transport=transport, timeout=60) as one:
            for change in changes:
                proxy.changes = {kind: change}
                try:
                    found.append(one.post("/echo", content=WORDS))
                except httpx.HTTPError as error:
                    found.append(error)

    async def asked_async() -> None:
        transport = sealed.AsyncSealedTransport(proxy.url, keys)
        async with httpx.AsyncClient(base_url=proxy.url, transport=transport, timeout=60) as one:
            for change in changes:
                proxy.changes = {kind: change}
                try:
                    found.append(await one.post("/echo", content=WORDS))
                except httpx.HTTPError as error:
                    found.append(error)

    if client == "sync":
        asked()
    else:
        asyncio.run(asked_async())
    return found


# --- whole messages, and chunks ------------------------------------------------------------------


def in_chunks(body: bytes, start: int) -> list[bytes]:
    """What stands before the chunks, and each chunk with its length."""
    pieces, at = [body[:start]], start
    while at < len(body):
        length = read_varint(body, at)
        assert length
        end = length[1] + length[0] if length[0] else len(body)
        pieces.append(body[at:end])
        at = end
    return pieces


REORDERED: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a chunk is missing": lambda them: [*them[:2], *them[3:]],
    "the first chunk is missing": lambda them: [them[0], *them[2:]],
    "the last chunk is missing": lambda them: them[:-1],
    "all chunks but the last are missing": lambda them: [them[0], them[-1]],
    "a chunk comes twice": lambda them: [*them[:3], them[2], *them[3:]],
    "the last chunk comes twice": lambda them: [*them, them[-1]],
    "chunks change places": lambda them: [*them[:1], them[2], them[1], *them[3:]],
    "the last chunk comes early": lambda them: [*them[:-2], them[-1], them[-2]],
    "the start comes twice": lambda them: [them[0], *them],
    "it comes twice in one": lambda them: [*them, *them],
    "a chunk is cut": lambda them: [*them[:2], them[2][:-1], *them[3:]],
    "a chunk is longer": lambda them: [*them[:2], them[2] + b"\0", *them[3:]],
    "a byte before it": lambda them: [b"\0", *them],
    "a byte after it": lambda them: [*them, b"\0"],
}

SPLICED: dict[str, Callable[[list[bytes], list[bytes]], list[bytes]]] = {
    "another's start": lambda them, others: [others[0], *them[1:]],
    "all but the start is another's": lambda them, others: [them[0], *others[1:]],
    "a chunk of another's": lambda them, others: [*them[:2], others[2], *them[3:]],
    "another's last chunk": lambda them, others: [*them[:-1], others[-1]],
    "another's after it": lambda them, others: [*them, *others],
    "another's before it": lambda them, others: [*others, *them],
}


@pytest.mark.parametrize("kind", ["request", "answer"])
@pytest.mark.parametrize("name", REORDERED)
def test_chunks_are_dropped_repeated_and_moved(
    chat: Chat, meddling_proxy: Meddler, ask_past: Ask, kind: Kind, name: str
) -> None:
    def change(body: bytes) -> Sequence[bytes]:
        return (b"".join(REORDERED[name](in_chunks(body, START[kind]))),)

    meddling_proxy.changes = {kind: change}
    assert_an_error(lambda: ask_past("POST", "/echo", content=iter([LONG[:70_000], LONG])))
    if kind == "request":
        assert chat.asked == []


@pytest.mark.parametrize("kind", ["request", "answer"])
@pytest.mark.parametrize("name", SPLICED)
def test_another_exchange_is_spliced_in(
    chat: Chat, meddling_proxy: Meddler, ask_past: Ask, kind: Kind, name: str
) -> None:
    meddling_proxy.changes = {kind: lambda body: (body,)}
    other = os.urandom(len(LONG))
    ask_past("POST", "/echo", content=other)
    others = in_chunks(meddling_proxy.came[kind][0], START[kind])

    def change(body: bytes) -> Sequence[bytes]:
        return (b"".join(SPLICED[name](in_chunks(body, START[kind]), others)),)

    chat.asked.clear()
    meddling_proxy.changes = {kind: change}
    assert_an_error(lambda: ask_past("POST", "/echo", content=LONG))
    if kind == "request":
        assert chat.asked == []


@pytest.mark.parametrize("kind", ["request", "answer"])
def test_another_whole_message_in_its_place(
    chat: Chat, meddling_proxy: Meddler, ask_past: Ask, kind: Kind
) -> None:
    assert ask_past("POST", "/echo", content=WORDS).content == WORDS
    other = meddling_proxy.came[kind][0]
    meddling_proxy.changes = {kind: meddler.replaced(other)}
    assert_an_error(lambda: ask_past("POST", "/echo", content=WORDS))
    assert len(chat.asked) == (1 if kind == "request" else 2)


@pytest.mark.parametrize("kind", ["request", "answer"])
def test_a_message_that_is_dropped(meddling_proxy: Meddler, ask_past: Ask, kind: Kind) -> None:
    meddling_proxy.changes = {kind: meddler.dropped}
    assert_an_error(lambda: ask_past("POST", "/echo", content=WORDS))


def test_a_request_that_is_repeated_is_asked_once(
    chat: Chat, meddling_proxy: Meddler, ask_past: Ask
) -> None:
    meddling_proxy.changes = {"request": meddler.repeated}
    with pytest.raises(sealed.KeyUnknown):
        ask_past("POST", "/echo", content=WORDS)
    assert [body for *_, body in chat.asked] == [WORDS]


def test_an_answer_that_is_repeated(meddling_proxy: Meddler, ask_past: Ask) -> None:
    meddling_proxy.changes = {"answer": meddler.repeated}
    assert_an_error(lambda: ask_past("POST", "/echo", content=WORDS))


@pytest.mark.parametrize("ending", [(), (HANG_UP,)], ids=["ends", "hangs up"])
def test_a_stream_that_is_cut_is_not_whole_whatever_came(
    chat: Chat, meddling_proxy: Meddler, ending: tuple[None, ...]
) -> None:
    """Between two records, where all that came was genuine."""
    meddling_proxy.changes = {
        "answer": lambda body: (b"".join(in_chunks(body, START["answer"])[:-1]), *ending)
    }
    transport = sealed.SealedTransport(meddling_proxy.url, keyset_of(chat))
    came = bytearray()
    with (
        httpx.Client(base_url=meddling_proxy.url, transport=transport, timeout=60) as client,
        client.stream("GET", "/stream") as answer,
    ):
        with pytest.raises(httpx.TransportError):
            read_into(came, answer)
        with pytest.raises(httpx.ResponseNotRead):
            _ = answer.content
    assert came.startswith(b"data: word 0\n\n")


def read_into(came: bytearray, answer: httpx.Response) -> None:
    for piece in answer.iter_raw():
        came += piece


@pytest.mark.parametrize(
    "heads",
    [
        {"tee-key": "AAAAAAAAAAA"},
        {"tee-key": ""},
        {"content-type": "application/json"},
        {"content-type": "message/ohttp-req"},
    ],
)
def test_what_stands_outside_is_changed(
    chat: Chat, url: str, asked: Callable[..., Asked], heads: dict[str, str]
) -> None:
    class Outside(httpx.BaseTransport, httpx.AsyncBaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            request.headers.update(heads)
            return httpx.HTTPTransport().handle_request(request)

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            request.headers.update(heads)
            return await httpx.AsyncHTTPTransport().handle_async_request(request)

    assert_an_error(lambda: asked(outer=Outside())("POST", "/echo", content=WORDS))
    assert chat.asked == []
