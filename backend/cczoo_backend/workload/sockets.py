"""The sockets that listen for TCP in our network namespace, by the kernel's word.

By sock_diag(7), which looks at listening sockets alone; /proc/net/tcp says the same, but has the
kernel walk its whole table of connections, for 15 ms or more.
"""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from .addresses import IPAddress

log = logging.getLogger(__name__)

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST_DUMP = 0x001 | 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_TCP_LISTEN = 10
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_REQUEST = struct.Struct("=BBBxI48x")  # family, protocol, extensions, states, id of a socket
_MESSAGE = struct.Struct("=B3x2s2x16s16x4x8x12xII")  # family, port, address, uid, inode

_LISTENING = "0A"
_MAX_BYTES = 1 << 22
_SECONDS = 1.0


@dataclass(frozen=True)
class ListeningSocket:
    """A socket that listens, and the user who made it."""

    ip: IPAddress
    port: int
    uid: int
    inode: int

    def answers(self, ip: IPAddress) -> bool:
        """Whether it may get connections to ``ip``.

        A socket on :: takes IPv4 as well, unless it was told not to, which is not looked at.
        """
        if self.ip == ip:
            return True
        return self.ip.is_unspecified and (self.ip.version == ip.version or self.ip.version == 6)


def listening_sockets() -> list[ListeningSocket]:
    """Return the sockets that listen; none where neither way works."""
    try:
        return list(by_netlink())
    except (OSError, ValueError, struct.error) as error:
        log.debug("the kernel has no sock_diag for us (%s): /proc is read", error)
        return list(by_proc())


def by_netlink() -> Iterator[ListeningSocket]:
    """Yield what sock_diag lists; raises OSError where it cannot be asked."""
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(_SECONDS)
        for family in (socket.AF_INET, socket.AF_INET6):
            request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 1 << _TCP_LISTEN)
            size = _HEADER.size + len(request)
            header = _HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST_DUMP, 1, 0)
            kernel.send(header + request)
            for message in _messages(kernel):
                family_of, port, data, uid, inode = _MESSAGE.unpack_from(message)
                ip = IPv4Address(data[:4]) if family_of == socket.AF_INET else _plain(data)
                yield ListeningSocket(ip, int.from_bytes(port, "big"), uid, inode)


def _messages(kernel: socket.socket) -> Iterator[bytes]:
    """Yield the messages of one answer, up to its end."""
    read = 0
    while read <= _MAX_BYTES:
        data = kernel.recv(1 << 16)
        read += len(data)
        while data:
            size, kind, _flags, _sequence, _port = _HEADER.unpack_from(data)
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR or size < _HEADER.size:
                raise OSError("sock_diag answered with an error")
            yield data[_HEADER.size : size]
            data = data[(size + 3) & ~3 :]
    raise OSError("sock_diag answered without end")


def by_proc(root: Path = Path("/proc")) -> Iterator[ListeningSocket]:
    """Yield what /proc/net/tcp and tcp6 list; listening sockets come first in them."""
    for name in ("tcp", "tcp6"):
        try:
            with (root / "self/net" / name).open("rb") as file:
                lines = file.read(_MAX_BYTES).decode("ascii", "replace").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) < 10 or fields[3] != _LISTENING:
                break
            with suppress(ValueError):
                host, _colon, port = fields[1].partition(":")
                yield ListeningSocket(_ip(host), int(port, 16), int(fields[7]), int(fields[9]))


def _ip(text: str) -> IPAddress:
    """Return an address of /proc/net/tcp: words of 32 bits in hexadecimal, in little-endian."""
    words = bytes.fromhex(text)
    data = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
    return IPv4Address(data) if len(data) == 4 else _plain(data)


def _plain(data: bytes) -> IPAddress:
    ip = IPv6Address(data)
    return ip.ipv4_mapped or ip
