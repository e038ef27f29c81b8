"""The httpx transports: what travels, what comes back, and what everybody in between can do."""

from __future__ import annotations

import email.utils
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from asked import Ask, Asked, client_of, keyset_of
from cczoo_verifier import sealed
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse

from doubles.chat import Chat, a_keyring
from quote_generator.sealing import padding
from quote_generator.sealing.keyset import Keyset

SEALED_TYPE = "message/ohttp-chunked-res"
CANARY = b"a question that nobody else may read"


# --- what travels --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 200, 65535, 65536, 65537, 1_000_000])
def test_bodies_go_there_and_back(chat: Chat, ask: Ask, size: int) -> None:
    body = os.urandom(size)
    answer = ask("POST", "/echo", content=body)
    assert (answer.status_code, answer.content) == (200, body)
    assert answer.headers["content-length"] == str(size)
    assert "content-encoding" not in answer.headers
    assert padding.LENGTH_FIELD not in answer.headers
    assert chat.asked[-1][3] == body


def test_a_body_in_parts(chat: Chat, ask: Ask) -> None:
    parts = [b"", b"first", b"x" * 200_000, b"", b"last"]
    assert ask("PUT", "/echo", content=iter(parts)).content == b"".join(parts)
    assert chat.asked[-1][3] == b"".join(parts)


def test_everything_of_a_request_is_inside(chat: Chat, url: str, ask: Ask) -> None:
    answer = ask(
        "POST",
        "/a%20b/c?q=%C3%BC&r=1",
        content=CANARY,
        headers={"Authorization": "Bearer sk-secret", "Cookie": "token=crumbs", "X-Own": "yes"},
    )
    assert answer.headers["set-cookie"].startswith("chat=crumbs")
    method, address, headers, body = chat.asked[-1]
    assert (method, body) == ("POST", CANARY)
    assert address == "/a%20b/c?q=%C3%BC&r=1"
    assert headers["authorization"] == "Bearer sk-secret"
    assert (headers["cookie"], headers["x-own"]) == ("token=crumbs", "yes")
    assert headers["content-length"] == str(len(CANARY))
    assert headers["host"] == httpx.URL(url).netloc.decode()
    assert "accept-encoding" not in headers
    (outer,) = chat.outer
    assert set(outer) <= {
        "host",
        "accept",
        "accept-encoding",
        "cache-control",
        "content-type",
        "content-length",
        "tee-key",
    }
    assert outer["accept-encoding"] == "identity"
    assert outer["tee-key"] == keyset_of(chat).preferred.id


def test_fields_about_the_connection_stay_outside(chat: Chat, ask: Ask) -> None:
    ask(
        "GET",
        "/echo",
        headers={
            "Date": "Thu, 01 Jan 1970 00:00:00 GMT",
            "Host": "elsewhere.example",
            "Connection": "x-own",
            "Proxy-Authorization": "Basic secret",
            "TE": "trailers",
            "Expect": "100-continue",
        },
    )
    headers = chat.asked[-1][2]
    assert not {"connection", "proxy-authorization", "te", "expect"} & set(headers)
    assert headers["host"] != "elsewhere.example"
    assert abs(email.utils.parsedate_to_datetime(headers["date"]).timestamp() - time.time()) < 60


@pytest.mark.parametrize("length", [0, 5, 100, 300, 5000, 40_000])
def test_lengths_are_buckets(chat: Chat, ask: Ask, length: int) -> None:
    """Of two bodies in one bucket nobody can tell which is the longer."""
    sizes = []
    for size in (length, length + 1):
        ask("POST", "/echo", content=bytes(size))
        sizes.append(chat.outer[-1]["content-length"])
    assert sizes[0] == sizes[1]


def test_no_request_is_like_another(chat: Chat, url: str) -> None:
    carrier = Carrier(httpx.HTTPTransport())
    with client_of(url, keyset_of(chat), outer=carrier) as client:
        for _ in range(2):
            client.post("/echo", content=CANARY)
    first, second = carrier.sent
    assert first[7:39] != second[7:39]  # enc
    assert CANARY not in first + second
    assert b"/echo" not in first + second


class Carrier(httpx.BaseTransport):
    """Passes requests on, and keeps what they were."""

    def __init__(self, inside: httpx.BaseTransport) -> None:
        self.inside, self.sent = inside, list[bytes]()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request.read())
        return self.inside.handle_request(request)


def test_an_answer_comes_in_parts(chat: Chat, url: str) -> None:
    with client_of(url, keyset_of(chat)) as client, client.stream("GET", "/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        parts = list(answer.iter_raw())
    assert b"".join(parts) == b"".join(b"data: word %d\n\n" % number for number in range(5))
    assert len(parts) > 1


def test_an_endless_answer_can_be_left(chat: Chat, url: str) -> None:
    with client_of(url, keyset_of(chat)) as client:
        for _ in range(2):
            with client.stream("GET", "/endless") as answer:
                assert len(next(answer.iter_raw())) > 0
        assert client.get("/echo").status_code == 200


def test_a_head_without_a_body(ask: Ask) -> None:
    answer = ask("HEAD", "/echo")
    assert (answer.status_code, answer.content) == (200, b"")


# --- whom it is for ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "https://elsewhere.example/",
        "http://127.0.0.1:1/",
        "https://127.0.0.1:{port}/",
        "http://localhost:{port}/",
    ],
)
def test_nobody_else_gets_anything(chat: Chat, url: str, ask: Ask, address: str) -> None:
    target = address.format(port=httpx.URL(url).port)
    with pytest.raises(sealed.Elsewhere, match="nothing was sent"):
        ask("POST", target, content=CANARY)
    assert chat.outer == []


def test_redirects_lead_nowhere_else(chat: Chat, ask: Ask) -> None:
    assert ask("GET", "/redirect").status_code == 307
    with pytest.raises(sealed.Elsewhere):
        ask("GET", "/redirect", follow_redirects=True)


def test_what_stands_before_the_paths_stays_there(
    chat: Chat, url: str, asked: Callable[..., Asked]
) -> None:
    """A proxy takes it away for plain requests, so it is not inside sealed ones."""
    carriers = {"sync": httpx.HTTPTransport(), "async": httpx.AsyncHTTPTransport()}
    seen: list[str] = []

    class Proxy(httpx.BaseTransport, httpx.AsyncBaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return carriers["sync"].handle_request(self._passed(request))

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return await carriers["async"].handle_async_request(self._passed(request))

        def _passed(self, request: httpx.Request) -> httpx.Request:
            seen.append(request.url.path)
            request.url = request.url.copy_with(path=request.url.path.removeprefix("/chat"))
            return request

    ask = asked(address=f"{url}/chat/", outer=Proxy())
    assert ask("GET", "/echo?x=1").status_code == 200
    assert chat.asked[-1][1] == "/echo?x=1"
    assert seen == ["/chat/api/v1/tee/ohttp"]
    with pytest.raises(sealed.Elsewhere):
        ask("GET", f"{url}/chatter")


# --- answers that are none -----------------------------------------------------------------------


def endless() -> Iterator[bytes]:
    while True:
        yield b"{" * 65536


INSTEAD: dict[str, tuple[Any, type[Exception]]] = {
    "404": (JSONResponse({"code": "not-found"}, 404), sealed.NotSealed),
    "plain": (PlainTextResponse("an answer that no TD gave"), sealed.NotSealed),
    "sealed by name": (PlainTextResponse("hello", 200, None, SEALED_TYPE), sealed.Broken),
    "empty": (PlainTextResponse("", 200, None, SEALED_TYPE), sealed.Broken),
    "another status": (PlainTextResponse("", 201, None, SEALED_TYPE), sealed.NotSealed),
    "compressed": (
        PlainTextResponse("", 200, {"Content-Encoding": "gzip"}, SEALED_TYPE),
        sealed.NotSealed,
    ),
    "a redirect": (PlainTextResponse("", 302, {"Location": "/else"}), sealed.NotSealed),
    "401": (JSONResponse({"detail": "who are you?"}, 401), sealed.NotSealed),
    "endless": (StreamingResponse(endless(), 404), sealed.NotSealed),
    "endless zeros": (StreamingResponse(iter(lambda: bytes(65536), b""), 200), sealed.NotSealed),
    "no key": (JSONResponse({"code": "key-unknown"}, 422), sealed.KeyUnknown),
    "422 of an app": (JSONResponse({"detail": []}, 422), sealed.NotSealed),
    "busy": (JSONResponse({"code": "sealed-busy"}, 503, {"Retry-After": "9"}), sealed.Busy),
    "503 of a proxy": (PlainTextResponse("down", 503), sealed.NotSealed),
    "too many": (JSONResponse({}, 429), sealed.Busy),
    "nested": (PlainTextResponse("[" * 60_000, 503), sealed.NotSealed),
}


@pytest.mark.parametrize("name", INSTEAD)
def test_an_unsealed_answer_is_an_error_and_not_shown(chat: Chat, ask: Ask, name: str) -> None:
    instead, error = INSTEAD[name]

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await instead(scope, receive, send)

    chat.instead = answer
    with pytest.raises(error) as caught:
        ask("POST", "/echo", content=CANARY)
    assert isinstance(caught.value, httpx.TransportError)
    assert "no TD gave" not in str(caught.value)
    if isinstance(caught.value, sealed.Busy):
        assert caught.value.wait == (9 if name == "busy" else 0)


def flipped(body: bytes, at: int) -> bytes:
    return body[:at] + bytes([body[at] ^ 0x80]) + body[at + 1 :]


def test_each_changed_byte_is_noticed(chat: Chat, url: str) -> None:
    whole: list[bytes] = []
    chat.change = lambda body: whole.append(body) or body  # type: ignore[func-returns-value]
    with client_of(url, keyset_of(chat)) as client:
        assert client.post("/echo", content=CANARY).content == CANARY
        for at in range(len(whole[0])):
            chat.change = lambda body, at=at: flipped(body, at)  # type: ignore[misc]
            with pytest.raises(sealed.Broken):
                client.post("/echo", content=CANARY)


@pytest.mark.parametrize("size", [10, 70_000])
def test_an_answer_that_is_cut_anywhere_is_noticed(chat: Chat, url: str, size: int) -> None:
    """Also between two chunks, where everything that came was genuine."""
    whole: list[bytes] = []
    chat.change = lambda body: whole.append(body) or body  # type: ignore[func-returns-value]
    with client_of(url, keyset_of(chat)) as client:
        client.post("/echo", content=bytes(size))
        last = len(whole[0])
        for end in {
            0,
            1,
            15,
            16,
            17,
            18,
            19,
            20,
            *range(21, last, last // 50),
            last - 17,
            last - 1,
        }:
            chat.change = lambda body, end=end: body[:end]  # type: ignore[misc]
            with pytest.raises(sealed.Broken):
                client.post("/echo", content=bytes(size))


SPLICES: dict[str, Callable[[bytes, bytes], bytes]] = {
    "of another request": lambda _, other: other,
    "its beginning": lambda body, other: other[:16] + body[16:],
    "its end": lambda body, other: body[:-40] + other[-40:],
    "both": lambda body, other: body + other,
    "twice": lambda body, _: body + body,
    "a byte more": lambda body, _: body + b"\0",
    "a byte before": lambda body, _: b"\0" + body,
}


@pytest.mark.parametrize("name", SPLICES)
def test_answers_cannot_be_spliced(chat: Chat, ask: Ask, name: str) -> None:
    other: list[bytes] = []
    chat.change = lambda body: other.append(body) or body  # type: ignore[func-returns-value]
    ask("POST", "/echo", content=CANARY)
    chat.change = lambda body: SPLICES[name](body, other[0])
    with pytest.raises(sealed.Broken):
        ask("POST", "/echo", content=CANARY)


def test_chunks_cannot_change_places(chat: Chat, url: str) -> None:
    """Each of an answer's records is genuine; in another order they are none."""
    chat.change = swapped
    with client_of(url, keyset_of(chat)) as client, pytest.raises(sealed.Broken):
        client.post("/echo", content=os.urandom(200_000))


def swapped(body: bytes) -> bytes:
    start, *chunks = _chunks(body)
    assert len(chunks) > 3
    chunks[1], chunks[2] = chunks[2], chunks[1]
    return start + b"".join(chunks)


def _chunks(body: bytes) -> list[bytes]:
    from quote_generator.sealing.varint import read_varint

    pieces, at = [body[:16]], 16
    while at < len(body):
        length = read_varint(body, at)
        assert length
        size, begin = length
        end = begin + size if size else len(body)
        pieces.append(body[at:end])
        at = end
    return pieces


def test_an_app_that_fails_on_its_way_is_an_error(ask: Ask) -> None:
    with pytest.raises(httpx.TransportError):
        ask("GET", "/broken")


def test_what_came_before_the_cut_is_not_taken_for_the_whole(chat: Chat, url: str) -> None:
    chat.change = lambda body: body[:-17]
    with client_of(url, keyset_of(chat)) as client, client.stream("GET", "/stream") as answer:
        with pytest.raises(sealed.Broken):
            answer.read()
        with pytest.raises(httpx.ResponseNotRead):
            _ = answer.content


def test_the_holder_of_another_key_gets_nothing_that_it_can_read(
    chat: Chat, asked: Callable[..., Asked]
) -> None:
    other = keyset_of(Chat(chat.td, keys=a_keyring()))
    with pytest.raises(sealed.KeyUnknown):
        asked(other)("POST", "/echo", content=CANARY)
    assert chat.asked == []


def test_a_server_that_is_gone(chat: Chat, asked: Callable[..., Asked]) -> None:
    with pytest.raises(httpx.ConnectError):
        asked(address="http://127.0.0.1:1")("GET", "/echo")


# --- keys that change ----------------------------------------------------------------------------


class Renewing:
    """Keys that are verified anew when nobody knew them."""

    def __init__(self, first: Keyset, then: Callable[[], Keyset]) -> None:
        self.holder, self.then, self.renewals = sealed.Holder(first), then, 0

    def current(self) -> sealed.Holder:
        return self.holder

    def renewed(self, refused: sealed.Holder) -> sealed.Holder:
        assert refused is self.holder
        self.renewals += 1
        self.holder = sealed.Holder(self.then())
        return self.holder


def test_after_a_restart_it_goes_on_under_new_keys(chat: Chat, asked: Callable[..., Asked]) -> None:
    keys = Renewing(keyset_of(Chat(chat.td)), lambda: keyset_of(chat))
    assert asked(keys)("POST", "/echo", content=CANARY).content == CANARY
    assert keys.renewals == 1
    first, second = chat.outer
    assert first["tee-key"] != second["tee-key"]
    assert [body for *_, body in chat.asked] == [CANARY]  # it came once


def test_keys_that_nobody_knows_either_are_an_error(
    chat: Chat, asked: Callable[..., Asked]
) -> None:
    keys = Renewing(keyset_of(Chat(chat.td)), lambda: keyset_of(Chat(chat.td)))
    with pytest.raises(sealed.KeyUnknown, match="tee-key"):
        asked(keys)("POST", "/echo", content=CANARY)
    assert (keys.renewals, len(chat.outer)) == (1, 2)


def test_a_server_that_is_not_verified_again_gets_nothing(
    chat: Chat, asked: Callable[..., Asked]
) -> None:
    def refuse() -> Keyset:
        raise sealed.NoVerdict("evidence-unreachable", "gone")

    keys = Renewing(keyset_of(Chat(chat.td)), refuse)
    with pytest.raises(sealed.NoVerdict):
        asked(keys)("POST", "/echo", content=CANARY)
    assert len(chat.outer) == 1


def test_a_body_that_can_be_read_once_is_not_sent_in_part(
    chat: Chat, asked: Callable[..., Asked]
) -> None:
    keys = Renewing(keyset_of(Chat(chat.td)), lambda: keyset_of(chat))
    ask = asked(keys)
    with pytest.raises(sealed.NotRepeatable):
        ask("POST", "/echo", content=iter([CANARY, CANARY]))
    assert chat.asked == []
    assert ask("POST", "/echo", content=iter([CANARY])).content == CANARY


def test_keys_end(chat: Chat, asked: Callable[..., Asked]) -> None:
    keyset = keyset_of(chat)
    ended = sealed.FixedKeys(keyset, clock=lambda: keyset.not_after + 1)
    with pytest.raises(sealed.NoVerdict, match="ended"):
        asked(ended)("POST", "/echo", content=CANARY)
    assert chat.outer == []


# --- clocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [-86_400, -200, 200, 86_400])
def test_a_clock_that_differs_is_put_right_once(chat: Chat, url: str, offset: int) -> None:
    with client_of(url, keyset_of(chat), clock=lambda: time.time() + offset) as client:
        for _ in range(3):
            assert client.post("/echo", content=CANARY).content == CANARY
    assert len(chat.outer) == 4  # the first was sent again
    assert [body for *_, body in chat.asked] == [CANARY] * 3


def test_async_clients_put_their_clock_right_as_well(
    chat: Chat, asked: Callable[..., Asked]
) -> None:
    keys = sealed.FixedKeys(keyset_of(chat))
    assert asked(keys, clock=lambda: 0.0)("POST", "/echo", content=CANARY).content == CANARY
    assert len(chat.outer) == 2


def test_a_clock_that_cannot_be_put_right_is_told_as_it_is(chat: Chat, url: str) -> None:
    """The sealed answer of the second try is given to the caller, and nothing loops."""
    clock = iter(range(0, 10**9, 10**6))
    keys = sealed.FixedKeys(keyset_of(chat))
    with client_of(url, keys, clock=lambda: float(next(clock))) as client:
        answer = client.post("/echo", content=CANARY)
    assert (answer.status_code, chat.asked) == (400, [])
    assert json.loads(answer.content)["type"].endswith("#date")
    assert len(chat.outer) == 2


def test_a_body_that_can_be_read_once_and_a_clock(chat: Chat, asked: Callable[..., Asked]) -> None:
    ask = asked(sealed.FixedKeys(keyset_of(chat)), clock=lambda: 0.0)
    with pytest.raises(sealed.NotRepeatable):
        ask("POST", "/echo", content=iter([CANARY]))
    assert chat.asked == []
