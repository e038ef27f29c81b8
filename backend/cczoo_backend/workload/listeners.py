"""Who listens on this machine's loopback addresses, by the kernel's word.

The sockets of our own network namespace, and the processes that hold them, out of /proc. Without
root's rights other users' descriptors cannot be read; then the user who owns the socket tells, if
all of that user's processes run one program.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .addresses import IPAddress, readable
from .sockets import ListeningSocket, listening_sockets

# They pass on what they are sent, to wherever they were told.
FORWARDERS = frozenset(
    {
        "autossh",
        "caddy",
        "chisel",
        "cloudflared",
        "conmon",
        "docker-proxy",
        "dockerd",
        "envoy",
        "frpc",
        "gost",
        "haproxy",
        "kubectl",
        "litellm",
        "nc",
        "ncat",
        "netcat",
        "nginx",
        "ngrok",
        "pasta",
        "passt",
        "podman",
        "rinetd",
        "rootlessport",
        "slirp4netns",
        "socat",
        "ssh",
        "sshd",
        "sshd-session",
        "stunnel",
        "stunnel4",
        "systemd",
        "systemd-socket-proxyd",
        "tailscaled",
        "traefik",
        "wstunnel",
    }
)

_MAX_PROCESSES = 1 << 15
_MAX_DESCRIPTORS = 1 << 18
_REMEMBERED = 10.0  # seconds; finding a socket's process takes milliseconds


@dataclass(frozen=True)
class Listener:
    """The programs that listen at an address; ``problem`` says why they do not count."""

    programs: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()
    problem: str | None = None


class Listeners:
    """Looks up who listens, and remembers the processes for some seconds."""

    def __init__(
        self,
        root: Path = Path("/proc"),
        sockets: Callable[[], list[ListeningSocket]] = listening_sockets,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._read_sockets = sockets
        self._clock = clock
        self._sockets: list[ListeningSocket] | None = None
        self._holders: dict[int, Listener] = {}
        self._since = float("-inf")

    def look_again(self) -> None:
        """Read the kernel's table of sockets anew at the next question."""
        self._sockets = None
        if self._clock() - self._since > _REMEMBERED:
            self._holders.clear()

    def on(self, ips: Iterable[IPAddress], port: int) -> Listener:
        """Return who answers on ``port`` of ``ips``; all who may count, as clients try several."""
        if self._sockets is None:
            self._sockets = self._read_sockets()
        wanted = list(ips)
        found = {s for s in self._sockets if s.port == port and any(map(s.answers, wanted))}
        if not found:
            return Listener(problem="no-listener")
        holders = [self._holder(socket) for socket in sorted(found, key=lambda s: s.inode)]
        return _together(holders)

    # Processes

    def _holder(self, socket: ListeningSocket) -> Listener:
        if socket.inode not in self._holders:
            if not self._holders:
                self._since = self._clock()
            self._holders[socket.inode] = self._find_holder(socket)
        return self._holders[socket.inode]

    def _find_holder(self, socket: ListeningSocket) -> Listener:
        processes = self._processes()
        if processes is None:
            return Listener(problem="not-permitted")
        target, holders, closed, budget = f"socket:[{socket.inode}]", [], [], _MAX_DESCRIPTORS
        for pid in processes:
            try:
                with os.scandir(self._root / str(pid) / "fd") as entries:
                    for entry in entries:
                        budget -= 1
                        if budget < 0:
                            return Listener(problem="not-permitted")
                        if _link(entry.path) == target:
                            holders.append(pid)
                            break
            except PermissionError:
                closed.append(pid)
            except OSError:
                continue
        if holders:
            return self._listener(holders)
        return self._by_user(socket.uid, closed)

    def _by_user(self, uid: int, closed: list[int]) -> Listener:
        """Return whose program it is by the socket's user, out of processes that are closed to us.

        A holder in another PID namespace is not among them: then nobody is, and it is not known.
        """
        listener = self._listener([pid for pid in closed if self._user_of(pid) == uid])
        if len(listener.programs) == 1 and uid != 0:
            return listener
        return Listener(problem="not-permitted")

    def _listener(self, pids: list[int]) -> Listener:
        programs = tuple(sorted({self._program(pid) for pid in pids}))
        problem = "forwarder" if FORWARDERS.intersection(programs) else None
        return Listener(programs, tuple(sorted(pids)), problem)

    def _processes(self) -> list[int] | None:
        try:
            pids = [int(name) for name in os.listdir(self._root) if name.isdecimal()]
        except OSError:
            return None
        return sorted(pids) if len(pids) <= _MAX_PROCESSES else None

    def _program(self, pid: int) -> str:
        path = _link(self._root / str(pid) / "exe")
        name = Path(path.removesuffix(" (deleted)")).name if path else ""
        return readable(name or self._text(pid, "comm").rstrip("\n") or "?")

    def _user_of(self, pid: int) -> int | None:
        for line in self._text(pid, "status").splitlines():
            if line.startswith("Uid:"):
                with suppress(ValueError, IndexError):
                    return int(line.split()[1])
        return None

    def _text(self, pid: int, name: str) -> str:
        try:
            with (self._root / str(pid) / name).open("rb") as file:
                return file.read(4096).decode("utf-8", "replace")
        except OSError:
            return ""


def _together(holders: list[Listener]) -> Listener:
    """Return one listener for all of ``holders``: the first problem counts for all."""
    programs = tuple(sorted({program for holder in holders for program in holder.programs}))
    pids = tuple(sorted({pid for holder in holders for pid in holder.pids}))
    problems = sorted(holder.problem for holder in holders if holder.problem)
    return Listener(programs, pids, problems[0] if problems else None)


def _link(path: str | Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
