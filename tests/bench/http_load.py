"""A client that is no bottleneck: many connections, little code, and a process of its own.

Each connection asks again once it is answered, or so often a second if that is given. Any answer
but 200 is an error, and so is one that does not come.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from e2e.evidence import new_nonce

GRACE_SECONDS = 60.0
"""How long the last answers may take."""

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
END_OF_HEAD = b"\r\n\r\n"
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)
LAST_CHUNK = b"\r\n0\r\n\r\n"


@dataclass(frozen=True)
class Load:
    """What is asked of the server at ``port`` of this machine, and how.

    ``fresh``: each request carries a nonce of its own. ``rate`` is requests a second of all
    connections together, None for as many as are answered. Of every ``keep`` answers one is kept.
    ``bodies``: each is posted once, with ``headers``; the load fails where there are too few.
    """

    port: int
    path: str
    seconds: float
    connections: int = 1
    rate: float | None = None
    token: str = ""
    fresh: bool = False
    keep: int = 0
    bodies: tuple[bytes, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class Answers:
    """What came back: the milliseconds that each answer took, and some of (nonce, body)."""

    seconds: float
    times: list[float] = field(default_factory=list)
    kept: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.times) / self.seconds


class Client:
    """Client puts loads on servers, each from a process of its own."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def begin(self, load: Load) -> Future[Answers]:
        """Start asking; the future's ``result`` waits for the end."""
        return self._pool.submit(_ask, load)

    def ask(self, load: Load) -> Answers:
        """Ask until the load's time is over."""
        return self.begin(load).result(load.seconds + 2 * GRACE_SECONDS)


@contextmanager
def client(processes: int = 1, *, gives_way: bool = False) -> Iterator[Client]:
    """A client that can put so many loads at a time.

    ``gives_way``: it takes the processor when others do not want it, as clients do that are other
    machines: what is measured then is not how they compete with the server.
    """
    context = multiprocessing.get_context("spawn")
    niceness = 19 if gives_way else 0
    with ProcessPoolExecutor(
        processes, mp_context=context, initializer=os.nice, initargs=(niceness,)
    ) as pool:
        yield Client(pool)


def _ask(load: Load) -> Answers:
    return asyncio.run(_Asking(load).run())


class _Asking:
    """One load under way."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.answers = Answers(load.seconds)
        self._open = load.connections
        self._end = 0.0
        self._over: asyncio.Future[None]
        self._bodies = iter(load.bodies)

    async def run(self) -> Answers:
        self._over = asyncio.get_running_loop().create_future()
        connections = [await self._connect() for _ in range(self.load.connections)]
        self._end = time.perf_counter() + self.load.seconds
        for number, connection in enumerate(connections):
            connection.begin(number)
        async with asyncio.timeout(self.load.seconds + GRACE_SECONDS):
            await self._over
        return self.answers

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        made = loop.create_connection(lambda: _Connection(self), "127.0.0.1", self.load.port)
        return (await asyncio.wait_for(made, GRACE_SECONDS))[1]

    def answered(self, connection: _Connection, status: int, body: bytes) -> None:
        """Count an answer, if it came in time, and have the connection ask again."""
        now = time.perf_counter()
        if status != 200:
            self.fail(ValueError(f"{self.load.path} answers {status}: {body[:500]!r}"))
        elif now < self._end:
            self.answers.times.append((now - connection.asked) * 1000)
            if self.load.keep and len(self.answers.times) % self.load.keep == 0:
                self.answers.kept.append((connection.nonce, body))
            connection.again()
        else:
            self._open -= 1
            if self._open == 0 and not self._over.done():
                self._over.set_result(None)

    def next_body(self) -> bytes | None:
        """What is posted next; None where nothing is posted, or nothing is left."""
        return next(self._bodies, None)

    def fail(self, error: Exception) -> None:
        if not self._over.done():
            self._over.set_exception(error)


class _Connection(asyncio.Protocol):
    """One keep-alive connection, with one request under way at most."""

    def __init__(self, asking: _Asking) -> None:
        self._asking = asking
        self._received = bytearray()
        self._head = self._size = 0  # of an answer in chunks the size is -1
        load = asking.load
        headers = [("Host", f"127.0.0.1:{load.port}"), *load.headers]
        if load.token:
            headers.append(("Authorization", f"Bearer {load.token}"))
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
        self._rest = f" HTTP/1.1\r\n{fields}"
        self._pause = load.connections / load.rate if load.rate else None
        self._due = 0.0
        self._transport: asyncio.Transport
        self.asked = 0.0
        self.nonce = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def begin(self, number: int) -> None:
        """Ask for the first time: with a rate, one connection after the other."""
        load = self._asking.load
        self._due = asyncio.get_running_loop().time()
        if load.rate:
            self._due += number / load.rate
        self._ask_when_due()

    def again(self) -> None:
        """Ask once more."""
        if self._pause is None:
            self._ask()
        else:
            self._due += self._pause
            self._ask_when_due()

    def _ask_when_due(self) -> None:
        asyncio.get_running_loop().call_at(self._due, self._ask)

    def _ask(self) -> None:
        path = self._asking.load.path
        if self._asking.load.fresh:
            self.nonce = new_nonce()
            path += f"?nonce={self.nonce}"
        body = self._asking.next_body()
        if body is None and self._asking.load.bodies:
            self._asking.fail(ValueError("there are too few bodies for this load"))
            return
        self.asked = time.perf_counter()
        method, length = (
            ("GET", "") if body is None else ("POST", f"Content-Length: {len(body)}\r\n")
        )
        head = f"{method} {path}{self._rest}{length}\r\n"
        self._transport.write(head.encode() + (body or b""))

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._head:
            self._read_head()
        if self._head and self._is_whole():
            status = int(self._received[9:12])
            body = bytes(self._received[self._head :])
            self._received.clear()
            self._head = 0
            self._asking.answered(self, status, body)

    def _is_whole(self) -> bool:
        if self._size < 0:
            return self._received.endswith(LAST_CHUNK)
        return len(self._received) >= self._head + self._size

    def _read_head(self) -> None:
        end = self._received.find(END_OF_HEAD)
        if end < 0:
            return
        if CHUNKED.search(self._received, 0, end + 2):
            self._head, self._size = end + len(END_OF_HEAD), -1
            return
        length = CONTENT_LENGTH.search(self._received, 0, end + 2)
        if length is None:
            self._asking.fail(ValueError(f"an answer of unknown length: {self._received[:500]!r}"))
            return
        self._head, self._size = end + len(END_OF_HEAD), int(length[1])

    def connection_lost(self, error: Exception | None) -> None:
        self._asking.fail(error or ConnectionError("the server closed a connection"))
