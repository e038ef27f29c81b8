"""A quote generation service: speaks the QGS's messages, rightly or wrongly.

On a Unix socket, for a machine without vsock; or on vsock.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from .device import qgs_response
from .signers import Signer, fixed

REQUEST_SIZE = 1052
HOST_CID = 2

# What goes wrong with an answer, by name: the right bytes in, those to send out.
SPOILERS: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda answer: answer,
    "hang-up": lambda answer: b"",
    "hang-up-in-prefix": lambda answer: answer[:3],
    "hang-up-in-header": lambda answer: answer[:10],
    "hang-up-in-quote": lambda answer: answer[:-1],
    "prefix-of-zero": lambda answer: bytes(4) + answer[4:],
    "prefix-too-short": lambda answer: _put(answer, 0, ">I", len(answer) - 5),
    "prefix-of-a-header-only": lambda answer: _put(_put(answer, 0, ">I", 16), 12, "<I", 16),
    "prefix-absurd": lambda answer: b"\xff" * 4 + answer[4:],
    "prefix-little-endian": lambda answer: answer[3::-1] + answer[4:],
    "other-major": lambda answer: _put(answer, 4, "<H", 2),
    "other-minor": lambda answer: _put(answer, 6, "<H", 9),
    "a-request": lambda answer: _put(answer, 8, "<I", 0),
    "other-size": lambda answer: _put(answer, 12, "<I", 7),
    "error": lambda answer: _put(answer, 16, "<I", 0x12001),
    "error-only": lambda answer: (
        (16).to_bytes(4, "big") + _put(_put(answer[4:20], 8, "<I", 16), 12, "<I", 0x12002)
    ),
    "id-absurd": lambda answer: _put(answer, 20, "<I", 0xFFFFFFFF),
    "quote-absurd": lambda answer: _put(answer, 24, "<I", 0xFFFFFFFF),
    "sizes-that-wrap": lambda answer: _put(
        _put(answer, 20, "<I", 0xFFFFFFFF), 24, "<I", len(answer) - 28 + 1
    ),
    "empty-quote": lambda answer: qgs_response(b""),
    "with-an-id": lambda answer: _with_id(answer[28:]),
}


def _put(data: bytes, at: int, form: str, value: int) -> bytes:
    field = struct.pack(form, value)
    return data[:at] + field + data[at + len(field) :]


def _with_id(quote: bytes) -> bytes:
    answer = qgs_response(bytes(16) + quote)
    return _put(_put(answer, 20, "<I", 16), 24, "<I", len(quote))


class Qgs:
    """Qgs serves one connection after another until it is closed.

    ``fault`` is a key of SPOILERS, or "silent" (takes the request and says nothing), or
    "byte-by-byte", or "drip" (a byte every 20 ms, so that each step is quick and the whole never
    ends). ``count`` is how often it strikes. ``socket`` is its path, None on vsock, and ``path``
    what errors call it.
    """

    def __init__(
        self, directory: Path, sign: Signer | None = None, *, vsock_port: int | None = None
    ) -> None:
        self.socket = str(directory / "qgs.socket") if vsock_port is None else None
        self.path = self.socket or f"vsock:{HOST_CID}:{vsock_port}"
        self.fault = "none"
        self.count = 1 << 30
        self.requests: list[bytes] = []
        self._sign = sign or fixed()
        if vsock_port is None:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(self.path)
        else:
            self._listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
            self._listener.bind((socket.VMADDR_CID_ANY, vsock_port))
        self._listener.listen(64)
        self._listener.settimeout(0.02)  # a listener on vsock cannot be shut down
        self._closing = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._silenced: list[socket.socket] = []

    def __enter__(self) -> Qgs:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing = True
        self._thread.join()
        self._listener.close()
        for connection in self._silenced:
            connection.close()

    def _serve(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            with contextlib.suppress(OSError):  # a client that gave up
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        request = b""
        while len(request) < REQUEST_SIZE and (part := connection.recv(REQUEST_SIZE)):
            request += part
        self.requests.append(request)
        fault = self.fault if self.count > 0 else "none"
        self.count -= 1
        if fault == "silent":
            self._silenced.append(connection)
            return
        with connection:
            report_data = request[28 + 128 : 28 + 192]
            answer = qgs_response(self._sign(report_data))
            if fault not in ("byte-by-byte", "drip"):
                connection.sendall(SPOILERS[fault](answer))
                return
            for at in range(len(answer)):
                connection.sendall(answer[at : at + 1])
                if fault == "drip":
                    time.sleep(0.02)
                elif at % 500 == 0:
                    time.sleep(0.001)
