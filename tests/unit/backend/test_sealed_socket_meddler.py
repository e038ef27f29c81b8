"""What somebody on the way can do to a socket's frames: either end hears the truth, or an end.

The proxy is a real one, between a client that tells all it hears and the layer on a real server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import websocket
from sealed_double import SealedClient, a_keyring, around, serving
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from test_sealed_socket import Socket, ticket

from doubles import meddler
from doubles.meddler import Change, Kind, Meddler, meddling
from quote_generator.sealing import frames
from quote_generator.sealing.errors import SealingError

SAID = ["one", "two", "three", "four"]
heard: list[list[str]] = []
"""What the server heard in each conversation: a late word of one is none of the next."""


async def parrot(socket: WebSocket) -> None:
    """Notes and repeats what it hears."""
    await socket.accept()
    mine = heard[int(socket.scope["query_string"])]
    try:
        while True:
            mine.append(await socket.receive_text())
            await socket.send_text(mine[-1])
    except WebSocketDisconnect:
        pass


@pytest.fixture(scope="module")
def standing() -> Iterator[tuple[Meddler, SealedClient]]:
    """A proxy, and a client that finds the server behind it."""
    keys = a_keyring()
    app = Starlette(routes=[WebSocketRoute("/ws/socket.io/", parrot)])
    with serving(around(app, keys)) as url, meddling(url) as proxy:
        client = SealedClient(proxy.url, keys)
        yield proxy, client
        client.close()


@pytest.fixture
def proxy(standing: tuple[Meddler, SealedClient]) -> Iterator[Meddler]:
    """Who stands in between: honest at first."""
    vars(standing[0]).update(vars(Meddler(standing[0].target, standing[0].url)))
    yield standing[0]
    assert standing[0].changed, "nothing was changed, and so nothing is shown"


@pytest.fixture
def talk(standing: tuple[Meddler, SealedClient], proxy: Meddler) -> Callable[[], list[str]]:
    """Say everything, one after the other, and give what came back before the socket broke."""
    return lambda: talking(standing[1])


def a_conversation(client: SealedClient) -> Socket:
    heard.append([])
    return Socket(client, ticket(client, f"/ws/socket.io/?{len(heard) - 1}"))


def talking(client: SealedClient) -> list[str]:
    socket, came = a_conversation(client), list[str]()
    try:
        assert socket.next() == frames.Open("")
        for text in SAID:
            socket.send(frames.Text(text))
            answer = socket.next()
            assert isinstance(answer, frames.Text)
            came.append(answer.text)
    except (SealingError, OSError, websocket.WebSocketException, AssertionError):
        with pytest.raises(SealingError):  # however it ended, it was not said under seal
            socket.opener.end()
    finally:
        socket.outer.shutdown()
    return came


def assert_a_beginning(proxy: Meddler, came: list[str]) -> None:
    """Both ends heard a beginning of what was said, and not all of it."""
    assert proxy.changed
    assert came == SAID[: len(came)]
    assert heard[-1] == SAID[: len(heard[-1])]
    assert len(came) < len(SAID)


@pytest.mark.parametrize("kind", ["up", "down"])
def test_each_byte_flipped(proxy: Meddler, talk: Callable[[], list[str]], kind: Kind) -> None:
    for at in range(256):
        proxy.changed = 0
        proxy.changes = {kind: meddler.the(1, meddler.flipped(at))}
        came = talk()
        assert_a_beginning(proxy, came)
        assert len(came) <= 1, at


CHANGES: dict[str, Callable[[], Change]] = {
    "repeated": lambda: meddler.the(1, meddler.repeated),
    "cut": lambda: meddler.the(1, meddler.cut(-1)),
    "cut to nothing": lambda: meddler.the(1, meddler.cut(0)),
    "cut off": lambda: meddler.the(1, meddler.cut_off(100)),
    "longer": lambda: meddler.the(1, lambda frame: (frame + bytes(256),)),
    "in two": lambda: meddler.the(1, lambda frame: (frame[:128], frame[128:])),
    "made up": lambda: meddler.the(1, meddler.replaced(bytes(256))),
    "said to be the last": lambda: meddler.the(1, lambda frame: (b"\1" + frame[1:],)),
}


@pytest.mark.parametrize("kind", ["up", "down"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_frame_is_changed(
    proxy: Meddler, talk: Callable[[], list[str]], kind: Kind, name: str
) -> None:
    proxy.changes = {kind: CHANGES[name]()}
    assert_a_beginning(proxy, talk())


@pytest.mark.parametrize("kind", ["up", "down"])
@pytest.mark.parametrize("of", ["up", "down"])
def test_a_frame_of_another_socket(
    proxy: Meddler, talk: Callable[[], list[str]], kind: Kind, of: Kind
) -> None:
    proxy.changes = {kind: lambda frame: (frame,)}
    assert talk() == SAID
    proxy.changes = {kind: meddler.the(1, meddler.replaced(proxy.came[of][1]))}
    assert_a_beginning(proxy, talk())


LONG = [text * 6000 for text in SAID]
"""Texts that wait for no others, and so have a frame each."""


@pytest.mark.parametrize("kind", ["up", "down"])
@pytest.mark.parametrize("name", ["change places", "is missing"])
def test_frames_change_places_or_are_missing(
    standing: tuple[Meddler, SealedClient], proxy: Meddler, kind: Kind, name: str
) -> None:
    """All are under way at once: those that follow are there."""
    change = meddler.swapped(1) if name == "change places" else meddler.the(1, meddler.dropped)
    proxy.changes = {kind: change}
    socket, came = a_conversation(standing[1]), list[str]()
    with pytest.raises((SealingError, OSError, websocket.WebSocketException, AssertionError)):
        say_all_at_once(socket, came)
    socket.outer.shutdown()
    assert came == LONG[: len(came)]
    assert heard[-1] == LONG[: len(heard[-1])]
    assert len(came) < len(LONG)


def say_all_at_once(socket: Socket, came: list[str]) -> None:
    socket.next()
    for text in LONG:
        socket.send(frames.Text(text))
    while True:
        message = socket.next()
        assert isinstance(message, frames.Text)
        came.append(message.text)
