"""Sealed requests, from the outer body to what the app sees, and back."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import time
import weakref
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from host_double import client_of, run
from sealed_double import (
    OHTTP,
    SealedClient,
    a_keyring,
    around,
    now_as_date,
    outer_headers,
    seal,
    sealed_client,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from cczoo_backend.keys import Keyring
from cczoo_backend.sealed.replays import Replays
from e2e.evidence import decode, new_nonce, verify_nonce
from error_document import assert_error
from quote_generator.evidence import document_hash
from quote_generator.sealing import binary_http, chunked_ohttp, keyset, padding
from quote_generator.sealing.errors import SealingError
from quote_generator.sealing.hpke import Aead, PrivateKey
from quote_generator.sealing.keyset import KeyConfig

TRUSTED = {
    "WEBUI_AUTH_TRUSTED_EMAIL_HEADER": "X-User-Email",
    "WEBUI_AUTH_TRUSTED_NAME_HEADER": "X-User-Name",
    "WEBUI_AUTH_TRUSTED_GROUPS_HEADER": "Remote-Groups",
    "WEBUI_AUTH_TRUSTED_ROLE_HEADER": " X-Role ",
}


async def echo(request: Request) -> Response:
    """What the app sees of a request."""
    body = await request.body()
    return JSONResponse(
        {
            "method": request.method,
            "url": str(request.url),
            "path": request.scope["path"],
            "query": request.scope["query_string"].decode(),
            "headers": request.headers.items(),
            "client": request.client and request.client.host,
            "http_version": request.scope["http_version"],
            "extensions": sorted(request.scope.get("extensions", {})),
            "state": {k: v for k, v in request.scope["state"].items() if k.startswith("tee")},
            "body": body.decode("latin-1"),
        }
    )


async def cookies(_: Request) -> Response:
    response = PlainTextResponse("crumbs")
    response.set_cookie("token", "secret", httponly=True)
    response.set_cookie("other", "1")
    return response


async def zipped(_: Request) -> Response:
    return Response(b"pretended", headers={"content-encoding": "gzip"})


async def nothing(_: Request) -> Response:
    return Response(status_code=204)


async def fails(_: Request) -> Response:
    raise RuntimeError("the app's own failure")


async def breaks(_: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a beginning"
        await asyncio.sleep(0.1)
        raise RuntimeError("half way")

    return StreamingResponse(pieces())


def an_app() -> Starlette:
    every = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return Starlette(
        routes=[
            Route("/echo", echo, methods=every),
            Route("/echo/{rest:path}", echo, methods=every),
            Route("/cookies", cookies),
            Route("/zipped", zipped),
            Route("/nothing", nothing),
            Route("/fails", fails),
            Route("/breaks", breaks),
        ]
    )


@pytest.fixture(scope="module")
def client() -> Iterator[SealedClient]:
    with sealed_client(an_app(), environ=TRUSTED) as made:
        yield made


@pytest.fixture
def keys() -> Keyring:
    return a_keyring()


def config_of(keys: Keyring, number: int = 0) -> KeyConfig:
    return keyset.parse_keyset(dict(keys.current().document)).configs[number]


def said(client: SealedClient, *request: Any, **options: Any) -> dict[str, Any]:
    answer = client.ask(*request, **options)
    assert answer.status == 200
    found: dict[str, Any] = json.loads(answer.content)
    return found


# What the app sees


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_the_app_sees_the_request_that_was_inside(client: SealedClient, method: str) -> None:
    body = b"" if method == "GET" else b'{"prompt":"\xff"}'
    fields = [(b"authorization", b"Bearer x"), (b"cookie", b"a=b"), (b"user-agent", b"tests")]
    seen = said(client, method, "/echo/a%20b?q=%C3%A9&r", body, fields)
    assert seen["method"] == method
    assert (seen["path"], seen["query"]) == ("/echo/a b", "q=%C3%A9&r")
    assert seen["url"].startswith("https://chat.example/echo/a")
    assert seen["body"].encode("latin-1") == body
    assert seen["client"] == "127.0.0.1"
    assert seen["http_version"] == "1.1"
    assert seen["extensions"] == []
    headers = dict(map(tuple, seen["headers"]))
    assert headers.pop("date")
    length = {"content-length": str(len(body))} if body else {}
    assert headers == {
        "host": "chat.example",
        "authorization": "Bearer x",
        "cookie": "a=b",
        "user-agent": "tests",
        **length,
    }


def test_the_app_can_tell_that_it_came_sealed(client: SealedClient) -> None:
    state = said(client, "GET", "/echo")["state"]
    assert state == {"tee_sealed": True, "tee_keys": client.config.id}


def test_the_kit_says_whether_a_request_came_sealed(client: SealedClient) -> None:
    assert said(client, "GET", "/api/v1/tee/sealed") == {"v": 1, "sealed": True}
    assert client.http.get("/api/v1/tee/sealed").json() == {"v": 1, "sealed": False}


def test_without_an_authority_the_outer_host_stands(client: SealedClient) -> None:
    seen = said(client, "GET", "/echo", authority="")
    assert dict(map(tuple, seen["headers"]))["host"] == client.http.base_url.netloc.decode()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_scheme_is_what_was_said_inside(client: SealedClient, scheme: str) -> None:
    assert said(client, "GET", "/echo", scheme=scheme)["url"] == f"{scheme}://chat.example/echo"


def test_any_other_scheme_is_the_outer_one(client: SealedClient) -> None:
    assert said(client, "GET", "/echo", scheme="ftp")["url"] == "http://chat.example/echo"


@pytest.mark.parametrize(
    "name",
    [
        *(value.strip().lower() for value in TRUSTED.values()),
        *("forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"),
        *("x-forwarded-user", "x-real-ip", "tee-key", "connection", "keep-alive", "te"),
        *("trailer", "transfer-encoding", "upgrade", "proxy-authorization", "proxy-connection"),
        *("expect", "accept-encoding"),
    ],
)
def test_no_proxys_word_comes_out_of_a_sealed_request(client: SealedClient, name: str) -> None:
    named = name.encode()
    seen = said(client, "GET", "/echo", b"", [(named, b"eve@example"), (named.title(), b"eve")])
    assert name not in {key for key, _ in seen["headers"]}


def test_what_connection_names_is_dropped_as_well(client: SealedClient) -> None:
    fields = [(b"connection", b"close, X-Other"), (b"x-other", b"1"), (b"x-kept", b"2")]
    headers = dict(map(tuple, said(client, "GET", "/echo", b"", fields)["headers"]))
    assert headers.keys() >= {"x-kept"}
    assert not headers.keys() & {"connection", "x-other"}


def test_nothing_of_the_outer_request_gets_in(client: SealedClient) -> None:
    asked = client.seal("GET", "/echo")
    outer = {"X-User-Email": "eve", "Cookie": "token=eve", "Authorization": "Bearer eve"}
    answer = asked.opened(client.post(asked, **outer).content)
    assert b"eve" not in answer.content


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("aead", list(Aead))
def test_every_suite_of_the_keyset_opens(number: int, aead: Aead, keys: Keyring) -> None:
    config = config_of(keys, number)
    asked = seal(config, "GET", "/echo")
    sealer = chunked_ohttp.RequestSealer(config, aead=aead)
    head = binary_http.RequestHead("GET", "https", "x", "/echo", ((b"date", now_as_date()),))
    text = binary_http.encode_request_head(head) + binary_http.END
    asked.sealer, asked.body = sealer, sealer.start + sealer.final(text)
    status, _, body, whole = posted(around(an_app(), keys), asked.body, asked.headers)
    assert (status, whole) == (200, True)
    assert asked.opened(body).status == 200


def test_standard_clients_send_no_name_of_the_key(client: SealedClient) -> None:
    asked = client.seal("GET", "/echo", padded=False)
    del asked.headers["tee-key"]
    answer = asked.opened(client.post(asked).content)
    assert answer.status == 200
    assert "content-encoding" not in answer.fields
    assert answer.header("content-length") == str(len(answer.content))


# What the client sees


def test_an_answer_says_its_length_beside_the_coding(client: SealedClient) -> None:
    answer = client.ask("GET", "/cookies")
    assert answer.content == b"crumbs"
    assert answer.header("content-encoding") == "tee-padded"
    assert answer.header("tee-content-length") == "6"
    assert answer.header("content-length") is None
    assert answer.header("set-cookie") == "other=1; Path=/; SameSite=lax"


def test_a_coding_of_the_apps_own_stays_below(client: SealedClient) -> None:
    answer = client.ask("GET", "/zipped")
    assert answer.header("content-encoding") == "gzip, tee-padded"
    assert answer.content == b"pretended"


def test_an_answer_without_content_is_one(client: SealedClient) -> None:
    answer = client.ask("GET", "/nothing")
    assert (answer.status, answer.content) == (204, b"")


def test_the_outer_answer_says_nothing_of_the_inner(client: SealedClient) -> None:
    outer = [client.post(client.seal("GET", path)) for path in ("/cookies", "/gone", "/nothing")]
    for answer in outer:
        headers = dict(answer.headers)
        del headers["date"], headers["server"], headers["transfer-encoding"]
        assert answer.status_code == 200
        assert headers == {
            "content-type": "message/ohttp-chunked-res",
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
            "x-accel-buffering": "no",
        }


def test_answers_of_one_bucket_have_one_length(client: SealedClient) -> None:
    sizes = {client.ask("POST", "/echo", bytes(size)).size for size in (0, 1, 5, 17)}
    assert len(sizes) == 1


def test_the_apps_failure_is_an_answer_under_seal(client: SealedClient) -> None:
    asked = client.seal("GET", "/fails")
    # The server ends the connection after it, at a moment when the next request may be on its way.
    answer = asked.opened(client.post(asked, connection="close").content)
    assert answer.status == 500
    assert answer.content == b"Internal Server Error"


def test_an_answer_that_breaks_off_has_no_final_chunk(client: SealedClient) -> None:
    asked = client.seal("GET", "/breaks")
    opener, got = asked.sealer.response(), bytearray()
    with (
        client.http.stream("POST", OHTTP, content=asked.body, headers=asked.headers) as outer,
        contextlib.suppress(httpx.RemoteProtocolError),
    ):
        for piece in outer.iter_raw():
            got += piece
    assert b"a beginning" in b"".join(opener.feed(bytes(got)))
    with pytest.raises(SealingError):
        opener.end()


def test_routes_of_the_kit_work_inside_and_none_leads_back(client: SealedClient) -> None:
    assert client.ask("GET", "/api/v1/tee/config").status == 200
    for method in ("GET", "POST"):
        asked = client.seal("GET", "/echo")
        fields = [(name.encode(), value.encode()) for name, value in asked.headers.items()]
        nested = client.ask(method, OHTTP, asked.body, fields)
        assert (nested.status, json.loads(nested.content)["code"]) == (404, "not-found")


# What is refused. These ask the layer in this process: the app notes that it was asked.


class Untouched:
    """An app that must not be asked, or a count of how often it was."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        await PlainTextResponse(body)(scope, receive, send)


Posted = tuple[int | None, dict[str, str], bytes, bool]


def posted(
    app: Any, body: bytes | list[bytes], headers: Mapping[str, str], *, gone: bool = False
) -> Posted:
    """Status, headers and body of the outer answer, and whether it was completed.

    ``body`` comes in pieces; ``gone``: the client leaves after them.
    """
    pieces = [body] if isinstance(body, bytes) else body
    arriving: list[dict[str, Any]] = [
        {"type": "http.request", "body": piece, "more_body": gone or number < len(pieces) - 1}
        for number, piece in enumerate(pieces)
    ]
    sent: list[Mapping[str, Any]] = []

    async def receive() -> Mapping[str, Any]:
        await asyncio.sleep(0)
        return arriving.pop(0) if arriving else {"type": "http.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        **{"type": "http", "method": "POST", "path": OHTTP, "query_string": b"", "scheme": "http"},
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }

    async def scenario() -> None:
        await app(scope, receive, send)

    run(scenario)
    if not sent:
        return None, {}, b"", False
    start, *bodies = sent
    whole = bool(bodies) and not bodies[-1].get("more_body", False)
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], found, b"".join(one.get("body", b"") for one in bodies), whole


def assert_refused(answer: Posted, status: int, code: str) -> None:
    found, headers, body, whole = answer
    assert (found, whole) == (status, True)
    assert json.loads(body)["code"] == code
    assert headers["cache-control"] == "no-store"


def test_a_cut_request_is_never_asked(keys: Keyring) -> None:
    app = Untouched()
    layer = around(app, keys)
    asked = seal(config_of(keys), "POST", "/echo", b"x" * 20, chunks=3)
    enough = len(asked.body) - 17  # the final chunk's tag alone is missing
    for length in [*range(0, 60), *range(60, enough, 7), *range(enough, len(asked.body))]:
        answer = posted(layer, asked.body[:length], asked.headers)
        assert answer[0] in (400, 422)
        assert answer[2].startswith(b'{"status":false')
        keys_again = around(app, keys)  # the next one is no replay
        layer = keys_again
    assert app.asked <= len(asked.body)  # asked with a head, and told that the client left


def test_each_byte_of_a_small_request_counts(keys: Keyring) -> None:
    app = Untouched()
    asked = seal(config_of(keys), "POST", "/echo", b"hello")
    for at in range(len(asked.body)):
        flipped = bytearray(asked.body)
        flipped[at] ^= 1 << (at % 8)
        answer = posted(around(app, keys), bytes(flipped), asked.headers)
        assert answer[0] in (400, 422), at
    assert app.asked == 0


def test_what_nobody_opens_looks_the_same(keys: Keyring) -> None:
    app = Untouched()
    layer = around(app, keys)
    config, other = config_of(keys), config_of(keys, 1)
    asked = seal(config, "GET", "/echo")
    wrong = bytearray(asked.body)
    wrong[-1] ^= 1
    unknown_id = next(number for number in range(256) if number not in keys.live())
    foreign = a_keyring()
    foreign_asked = seal(config_of(foreign), "GET", "/echo")
    under_its_id = bytes([config.key_id]) + foreign_asked.body[1:]
    answers = [
        posted(layer, bytes(wrong), asked.headers),
        posted(layer, bytes([unknown_id]) + asked.body[1:], asked.headers),
        posted(layer, asked.body, {**asked.headers, "tee-key": "AAAAAAAAAAA"}),
        posted(layer, asked.body, {**asked.headers, "tee-key": other.id}),
        posted(layer, bytes([other.key_id]) + asked.body[1:], asked.headers),
        posted(layer, foreign_asked.body, foreign_asked.headers),
        posted(layer, under_its_id, asked.headers),
    ]
    assert app.asked == 0
    assert posted(layer, asked.body, asked.headers)[0] == 200
    answers.append(posted(layer, asked.body, asked.headers))  # the same again
    assert app.asked == 1
    assert_refused(answers[0], 422, "key-unknown")
    assert all(answer == answers[0] for answer in answers)


def test_a_request_is_not_repeated_in_other_chunks(keys: Keyring) -> None:
    app = Untouched()
    layer = around(app, keys)
    asked = seal(config_of(keys), "POST", "/echo", b"ab", chunks=2)
    assert posted(layer, [asked.body[:70], asked.body[70:]], asked.headers)[0] == 200
    for pieces in ([asked.body], [asked.body[:-1]], [asked.body[:-20]], list(bytes_of(asked.body))):
        assert_refused(posted(layer, pieces, asked.headers), 422, "key-unknown")
    assert app.asked == 1


def bytes_of(data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        yield data[at : at + 1]


def test_a_request_may_come_byte_by_byte(keys: Keyring) -> None:
    asked = seal(config_of(keys), "POST", "/echo", b"ab", chunks=2)
    answer = posted(around(Untouched(), keys), list(bytes_of(asked.body)), asked.headers)
    assert asked.opened(answer[2]).content == b"ab"


def test_an_ended_key_opens_nothing() -> None:
    now = [1_800_000_000.0]
    keys = a_keyring(now=lambda: now[0], monotonic=lambda: 0.0)
    config, app = config_of(keys), Untouched()
    layer = around(app, keys, now=lambda: now[0])
    now[0] += 3599
    asked = seal(config, "GET", "/", date=b"Fri, 15 Jan 2027 08:59:59 GMT")
    assert posted(layer, asked.body, asked.headers)[0] == 200
    now[0] += 1
    asked = seal(config, "GET", "/", date=b"Fri, 15 Jan 2027 09:00:00 GMT")
    assert_refused(posted(layer, asked.body, asked.headers), 422, "key-unknown")
    assert app.asked == 1


def test_an_answer_that_goes_on_keeps_no_key_alive() -> None:
    """Of what an exchange still needs when its key ends, the key is no part."""
    now, seen = [NOW], []
    keys = a_keyring(now=lambda: now[0], monotonic=lambda: 0.0)
    key, private = weakref.ref(keys.current().keys[0]), id(keys.current().keys[0].private)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        now[0] += 3600
        keys.erase()
        gc.collect()
        living = [id(one) for one in gc.get_objects() if isinstance(one, PrivateKey)]
        seen.append((key(), private in living, len(living) > 0))
        await PlainTextResponse("late")(scope, receive, send)

    asked = seal(config_of(keys), "POST", "/", b"x", chunks=3, date=now_as_date(NOW - time.time()))
    answer = posted(around(app, keys, now=lambda: now[0]), asked.body, asked.headers)
    assert asked.opened(answer[2]).content == b"late"
    assert seen == [(None, False, True)]  # decoys live on


NOW = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


@pytest.mark.parametrize(
    ("date", "accepted"),
    [
        (b"Fri, 15 Jan 2027 08:00:00 GMT", True),
        (b"Fri, 15 Jan 2027 07:58:00 GMT", True),
        (b"Fri, 15 Jan 2027 08:02:00 GMT", True),
        (b"Fri, 15 Jan 2027 07:57:59 GMT", False),
        (b"Fri, 15 Jan 2027 08:02:01 GMT", False),
        (b"Thu, 01 Jan 1970 00:00:00 GMT", False),
        (b"Fri, 15 Jan 9999 08:00:00 GMT", False),
        (b"Fri, 32 Jan 2027 08:00:00 GMT", False),
        (b"Fri, 15 Jan 2027 08:00:00 EST", False),
        (b"1800000000", False),
        (b"", False),
        (b"\xff" * 29, False),
    ],
)
def test_a_date_elsewhere_gets_the_servers_date_under_seal(
    keys: Keyring, date: bytes, accepted: bool
) -> None:
    app = Untouched()
    layer = around(app, keys, now=lambda: NOW)
    asked = seal(config_of(keys), "POST", "/", b"words", date=date)
    answer = asked.opened(posted(layer, asked.body, asked.headers)[2])
    assert app.asked == accepted
    assert answer.status == (200 if accepted else 400)
    if not accepted:
        assert answer.header("content-type") == "application/problem+json"
        assert answer.header("date") == "Fri, 15 Jan 2027 08:00:00 GMT"
        problem = {"type": "https://iana.org/assignments/http-problem-types#date"}
        assert json.loads(answer.content) == problem


def test_two_dates_are_none(keys: Keyring) -> None:
    app = Untouched()
    asked = seal(config_of(keys), "GET", "/", b"", [(b"date", now_as_date())])
    answer = asked.opened(posted(around(app, keys), asked.body, asked.headers)[2])
    assert (answer.status, app.asked) == (400, 0)


def test_a_full_memory_refuses_and_forgets_nothing(keys: Keyring) -> None:
    app, clock = Untouched(), [0.0]
    layer = around(app, keys, replays=Replays(lambda: clock[0], entries=2))
    all_asked = [seal(config_of(keys), "GET", "/") for _ in range(3)]
    answers = [posted(layer, asked.body, asked.headers) for asked in all_asked]
    assert [answer[0] for answer in answers] == [200, 200, 503]
    assert_refused(answers[2], 503, "sealed-busy")
    assert answers[2][1]["retry-after"] == "5"
    assert_refused(posted(layer, all_asked[0].body, all_asked[0].headers), 503, "sealed-busy")
    assert app.asked == 2
    clock[0] = 240
    assert posted(layer, all_asked[2].body, all_asked[2].headers)[0] == 200


def test_what_does_not_open_takes_no_memory(keys: Keyring) -> None:
    layer = around(Untouched(), keys, replays=Replays(entries=1))
    asked = seal(config_of(keys), "GET", "/")
    for at in range(40, 60):
        wrong = bytearray(asked.body)
        wrong[at] ^= 1
        assert posted(layer, bytes(wrong), asked.headers)[0] == 422
    assert posted(layer, asked.body, asked.headers)[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "application/json"},
        {"content-type": "message/ohttp-req"},
        {"content-type": "message/ohttp-chunked-req; a=b"},
    ],
)
def test_another_media_type_is_no_sealed_request(keys: Keyring, headers: dict[str, str]) -> None:
    answer = posted(around(Untouched(), keys), b"", headers)
    assert_refused(answer, 400, "sealed-malformed")


def test_other_methods_are_not_allowed(client: SealedClient) -> None:
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        answer = client.http.request(method, OHTTP)
        assert_error(answer, 405, "method-not-allowed")
        assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "body", [b"", b"\0", bytes(7), bytes(39), bytes(100), b"{}", b"\xff" * 999]
)
def test_garbage_is_refused(keys: Keyring, body: bytes) -> None:
    app = Untouched()
    answer = posted(around(app, keys), body, outer_headers(config_of(keys)))
    assert answer[0] in (400, 422)
    assert app.asked == 0


def test_a_chunk_without_end_is_not_waited_for(keys: Keyring) -> None:
    """A chunk of more than 1 MiB is refused when its length is there."""
    config = config_of(keys)
    sealer = chunked_ohttp.RequestSealer(config)
    huge = sealer.start + (0x80000000 | (1 << 20) + 1).to_bytes(4, "big")
    answer = posted(around(Untouched(), keys), [huge, b"x"], outer_headers(config), gone=True)
    assert_refused(answer, 400, "sealed-malformed")


@pytest.mark.parametrize("path", ["", "x", "*", "http://a/", "/a b", "/a#b", "/\xe9"])
def test_a_target_that_is_none_is_malformed(keys: Keyring, path: str) -> None:
    app = Untouched()
    try:
        asked = seal(config_of(keys), "GET", path)
    except (SealingError, UnicodeError):
        return  # our own client does not say it
    assert_refused(posted(around(app, keys), asked.body, asked.headers), 400, "sealed-malformed")
    assert app.asked == 0


# What breaks off


@pytest.mark.parametrize("pieces", range(5))
def test_a_client_that_leaves_is_gone_for_the_app_too(keys: Keyring, pieces: int) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] != "http.disconnect":
            seen.append(message["type"])
            assert message["more_body"]
        seen.append("gone")

    asked = seal(config_of(keys), "POST", "/", b"abcd", chunks=4)
    ends = [40, 250, 290, 310, len(asked.body) - 1]
    answer = posted(around(app, keys), asked.body[: ends[pieces]], asked.headers, gone=True)
    assert not seen or seen[-1] == "gone"
    assert seen.count("gone") <= 1
    assert answer[0] in (None, 400)


def test_a_later_piece_that_does_not_open_ends_the_request(keys: Keyring) -> None:
    app = Untouched()
    asked = seal(config_of(keys), "POST", "/", b"abcd" * 100, chunks=4)
    for at in range(len(asked.body) - 400, len(asked.body), 13):
        flipped = bytearray(asked.body)
        flipped[at] ^= 0x10
        answer = posted(around(app, keys), bytes(flipped), asked.headers)
        assert_refused(answer, 400, "sealed-malformed")


def test_an_app_that_had_begun_is_cut_off(keys: Keyring) -> None:
    """The request fails after the answer began: that has no end, and nothing of the app's after."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 20_000, "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.body", "body": b"the end"})

    asked = seal(config_of(keys), "POST", "/", b"abcd" * 100, chunks=4)
    flipped = asked.body[:-1] + bytes([asked.body[-1] ^ 1])
    pieces = [flipped[:300], flipped[300:]]
    status, _, body, whole = posted(around(app, keys), pieces, asked.headers)
    assert (status, whole) == (200, False)
    opener = asked.sealer.response()
    assert b"the end" not in b"".join(opener.feed(body))
    with pytest.raises(SealingError):
        opener.end()


def test_buckets_are_what_goes_out(keys: Keyring) -> None:
    """Sizes of an answer's pieces, without what sealing adds, are buckets and nothing between."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for size in (1, 20_000, 100_000, 3):
            await send({"type": "http.response.body", "body": b"x" * size, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    asked = seal(config_of(keys), "GET", "/")
    _, _, body, whole = posted(around(app, keys), asked.body, asked.headers)
    assert whole
    opener = asked.sealer.response()
    sizes = [len(piece) for piece in opener.feed(body)] + [len(opener.end())]
    allowed = {256 << power for power in range(6)} | {16_384 * times for times in range(2, 4)}
    for size in sizes:
        assert any(size - extra in allowed for extra in range(0, 8)), sizes
    assert asked.opened(body).content == b"x" * 120_004
    assert padding.bucket(1) == 256


# Evidence that binds the keys


def test_anybody_gets_a_quote_over_keys_that_open_requests(tmp_path: Path) -> None:
    """From a nonce to an answer that only the holder of a key in the quote could give."""
    environ = {
        "QUOTE_GENERATOR_SIMULATE": "1",
        "QUOTE_GENERATOR_SIMULATOR_DIR": str(tmp_path / "simulator"),
    }
    with sealed_client(an_app(), environ=environ) as client:
        nonce = new_nonce()
        document = client.http.get(f"/api/v1/tee/quote?nonce={nonce}").json()
        verify_nonce(document, nonce)
        runtime = json.loads(decode(document["runtime_data"]))
        assert runtime["v"] == 2
        assert runtime["keys"] == document_hash(document["keyset"])
        assert runtime["statement"] == document_hash(document["statement"])
        for config in keyset.parse_keyset(document["keyset"]).configs:
            client.config = config
            answer = client.ask("GET", "/api/v1/tee/sealed")
            assert json.loads(answer.content) == {"v": 1, "sealed": True}


@pytest.mark.parametrize("path", ["quote", "config", "collateral?fmspc=00806f050000&ca=platform"])
def test_without_an_account_the_limits_of_addresses_hold(path: str) -> None:
    environ = {"TEE_QUOTE_LIMIT_ADDRESS": "2/year", "TEE_PCCS_URL": "http://127.0.0.1:1"}
    client = client_of(around(an_app(), environ=environ))
    asked = [client.get(f"/api/v1/tee/{path}").status_code for _ in range(3)]
    assert asked[2] == 429
    assert not {401, 403, 429} & set(asked[:2])


def test_relayed_requests_are_anybodys_and_counted() -> None:
    environ = {
        "TEE_QUOTE_LIMIT_ADDRESS": "1/year",
        "TEE_RELAY": "trustee",
        "TEE_TRUSTEE_URL": "http://127.0.0.1:1",
    }
    client = client_of(around(an_app(), environ=environ))
    first, second = (client.post("/api/v1/tee/relay/trustee", json={}) for _ in range(2))
    assert_error(first, 502, "relay-failed")
    assert_error(second, 429, "too-many-requests")
