"""Requests whose answers are trusted with nothing: huge, endless, hung, cut, redirected, packed."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from cczoo_installer.doctor.asking import (
    Answer,
    NoAnswerError,
    Question,
    Reply,
    ask,
    shown_address,
)
from chat_double import Says, chat


def the(reply: Reply) -> Answer:
    assert isinstance(reply, Answer), reply
    return reply


def trouble(reply: Reply) -> NoAnswerError:
    assert isinstance(reply, NoAnswerError), reply
    return reply


@contextlib.contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does with each connection what it is told, whatever HTTP says."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)

        def run() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(60)
                    connection.recv(65536)
                    serve(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    thread.join(60)


def test_an_answer_is_read_as_far_as_allowed() -> None:
    with chat({"/": Says(b"x" * 100_000)}) as server:
        whole, cut = ask(Question(server.url), Question(server.url, limit=1000))
    assert (the(whole).is_whole, len(the(whole).body)) == (True, 100_000)
    assert (the(cut).is_whole, len(the(cut).body)) == (False, 1000)


def test_cut_json_is_none() -> None:
    with chat({"/": Says({"a": "b" * 5000})}) as server:
        [cut] = ask(Question(server.url, limit=1000))
    assert the(cut).members() == {}


@pytest.mark.parametrize("body", [b"", b"[1]", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_object_has_no_members(body: bytes) -> None:
    with chat({"/": Says(body)}) as server:
        [found] = ask(Question(server.url))
    assert the(found).members() == {}


def test_an_endless_answer_is_left() -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with raw_server(serve) as url:
        [found] = ask(Question(url))
    assert not the(found).is_whole


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
def test_a_server_that_hangs_is_left(first: bytes) -> None:
    done = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.sendall(first)
        done.wait(60)

    with raw_server(serve) as url:
        [found] = ask(Question(url, seconds=0.3))
        done.set()
    assert trouble(found).code == "timed-out"


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut",
    ],
)
def test_what_is_no_http_is_told(answer: bytes) -> None:
    with raw_server(lambda connection: connection.sendall(answer)) as url:
        [found] = ask(Question(url))
    assert trouble(found).code in {"bad-answer", "unreachable"}


def test_nobody_there_is_told_in_words() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        [found] = ask(Question(f"http://127.0.0.1:{unused.getsockname()[1]}"))
    assert (trouble(found).code, str(found)) == ("unreachable", "Connection refused")


def test_an_address_that_is_none_is_told() -> None:
    found = ask(Question("http://:0/"), Question("nonsense"), Question("http://[::bad"))
    assert {trouble(one).code for one in found} <= {"bad-answer", "unreachable"}


@pytest.mark.parametrize("address", ["http://me:{0}@host:port/", "http://me:{0}@[::bad", "{0}"])
def test_a_password_in_an_address_is_not_repeated(address: str) -> None:
    [found] = ask(Question(address.format("hunter2")))
    assert "hunter2" not in str(found)


def test_redirects_are_not_followed() -> None:
    answers = {"/": Says(b"", 302, {"Location": "/other"}), "/other": Says(b"here")}
    with chat(answers) as server:
        [found] = ask(Question(server.url))
        asked = [*server.asked]
    assert (the(found).status, asked) == (302, ["GET /"])


def test_nothing_is_unpacked() -> None:
    packed = gzip.compress(bytes(50_000_000))
    with chat({"/": Says(packed, headers={"Content-Encoding": "gzip"})}) as server:
        [found] = ask(Question(server.url))
    assert the(found).body == packed


@pytest.mark.parametrize("date", ["", "nonsense", "Mon, 99 Foo 2026 99:99:99 GMT", "9" * 400])
def test_a_date_that_is_none_is_none(date: str) -> None:
    assert Answer(200, {"date": date}, b"", True).date() is None


def test_a_date_is_read() -> None:
    assert Answer(200, {"date": "Thu, 01 Jan 1970 00:01:00 GMT"}, b"", True).date() == 60


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:secret@host.example:8443/path?key=secret#x", "https://host.example:8443"),
        ("http://[2001:db8::1]:8080/", "http://[2001:db8::1]:8080"),
        ("http://[bad", "an address that cannot be read"),
        ("http://host:port/", "an address that cannot be read"),
        ("nonsense", "an address without a host"),
    ],
)
def test_addresses_are_shown_without_secrets(address: str, shown: str) -> None:
    assert shown_address(address) == shown
