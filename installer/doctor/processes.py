"""The open-webui that runs here, by the kernel's word: its Python, settings, sockets and age.

Everything is read from ``/proc``, bounded, and nothing of it is run. What belongs to another user
cannot be read by everybody: then it is None, and whoever asks says so.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

_BYTES = 1 << 20  # of one file: the kernel allows command lines and environments of 6 MiB
_PROCESSES = 1 << 16
# What open-webui's command, an ASGI server with its application, and the kit's own ways are called.
_ARGUMENTS = re.compile(r"open_webui\.main:app|cczoo_backend\.asgi:app")
_MODULES = {("open_webui",), ("cczoo_backend",)}
_COMMAND = "open-webui"
_LISTENS = "0A"  # include/net/tcp_states.h, TCP_LISTEN


@dataclass(frozen=True)
class Listening:
    """An address that a process takes connections at; ``inode`` is the socket's."""

    host: str
    port: int
    inode: int

    @property
    def is_for_everybody(self) -> bool:
        """Whether others than this machine can reach it, as far as the address says."""
        return not self.host.startswith(("127.", "::1"))


@dataclass(frozen=True)
class Process:
    """A process that serves open-webui; ``began`` is in seconds since 1970.

    ``program`` is the kernel's link to the file that runs. ``environ`` and ``sockets`` are None
    where this user may not see them.
    """

    pid: int
    user: int
    command: tuple[str, ...]
    folder: str | None
    program: Path
    began: float | None
    environ: Mapping[str, str] | None
    sockets: frozenset[int] | None

    def python(self) -> Path | None:
        """Return the interpreter as it was called, which is how Python finds its environment.

        That is the first word of its command line: a path, or a name that its PATH leads to. None
        where that does not lead to the very file that runs, as for a process in a container.
        """
        name = self.command[0]
        if "/" in name:
            found = os.path.join(self.folder or "/", name)
        else:
            path = (self.environ or {}).get("PATH")
            found = shutil.which(name, path=path) or "" if path else ""
        with contextlib.suppress(OSError):
            return Path(found) if found and os.path.samefile(found, self.program) else None
        return None


def serving(proc: Path = PROC) -> list[Process]:
    """Return the processes that serve an open-webui, the oldest first.

    Workers that a server started are not among them: their parent is.
    """
    found = [process for pid in _pids(proc) if (process := _read(proc, pid)) is not None]
    return sorted(found, key=lambda one: (one.began or 0.0, one.pid))


def listening(proc: Path = PROC) -> list[Listening]:
    """Return the TCP addresses that somebody takes connections at, in this network namespace."""
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in _text(proc / "net" / name).splitlines()[1:]
    ]
    return [
        Listening(_host(host), int(port, 16), int(fields[9]))
        for fields in lines
        if len(fields) > 9 and fields[3] == _LISTENS and fields[9].isdigit()
        for host, _colon, port in [fields[1].partition(":")]
        if re.fullmatch(r"[0-9A-F]{8}|[0-9A-F]{32}", host) and re.fullmatch(r"[0-9A-F]{4}", port)
    ]


def addresses_of(process: Process, proc: Path = PROC) -> list[Listening]:
    """Return where the process takes connections, none where that cannot be seen."""
    return [one for one in listening(proc) if one.inode in (process.sockets or frozenset())]


def sharing(process: Process, proc: Path = PROC) -> int:
    """Return how many processes hold a socket that this one takes connections from, itself too."""
    mine = {one.inode for one in addresses_of(process, proc)}
    held = (_sockets(proc, pid) or frozenset() for pid in _pids(proc) if pid != process.pid)
    return 1 + sum(1 for sockets in held if mine & sockets)


def _pids(proc: Path) -> Iterator[int]:
    with contextlib.suppress(OSError):
        names = sorted(name for name in os.listdir(proc) if name.isdigit())[:_PROCESSES]
        yield from map(int, names)


def _read(proc: Path, pid: int) -> Process | None:
    folder = proc / str(pid)
    command = tuple(_text(folder / "cmdline").rstrip("\0").split("\0"))
    if not _serves(command):
        return None
    try:
        user = folder.stat().st_uid
    except OSError:  # it has ended
        return None
    return Process(
        pid=pid,
        user=user,
        command=command,
        folder=_link(folder / "cwd"),
        program=folder / "exe",
        began=_began(proc, pid),
        environ=_environ(folder),
        sockets=_sockets(proc, pid),
    )


def _serves(command: tuple[str, ...]) -> bool:
    """Whether a command line is that of a server, and not of a shell that names one."""
    if len(command) < 2 or not os.path.basename(command[0]).startswith("python"):
        return False
    words = command[1:]
    if any(_ARGUMENTS.fullmatch(word) for word in words[1:]):
        return True
    pairs = zip(words, (*words[1:], ""), strict=True)
    if any(os.path.basename(word) == _COMMAND and after == "serve" for word, after in pairs):
        return True
    module = words[words.index("-m") + 1 :] if "-m" in words else ()
    return module[:1] in _MODULES and module[1:2] in {(), ("serve",)}


def _environ(folder: Path) -> dict[str, str] | None:
    try:
        text = _readable(folder / "environ")
    except OSError:
        return None
    pairs = (one.partition("=") for one in text.split("\0"))
    return {name: value for name, equals, value in pairs if equals}


def _sockets(proc: Path, pid: int) -> frozenset[int] | None:
    """Return the inodes of the process's sockets; None where they cannot be seen."""
    found = set()
    try:
        names = os.listdir(proc / str(pid) / "fd")
    except OSError:
        return None
    for name in names:
        target = _link(proc / str(pid) / "fd" / name) or ""
        if match := re.fullmatch(r"socket:\[(\d+)\]", target):
            found.add(int(match[1]))
    return frozenset(found)


def _began(proc: Path, pid: int) -> float | None:
    """Return when a process began: the twenty-second field of its status, from the boot on.

    The second field is its name, which may hold anything (proc_pid_stat(5)).
    """
    fields = _text(proc / str(pid) / "stat").rpartition(")")[2].split()
    boot = re.search(r"^btime (\d+)$", _text(proc / "stat"), re.MULTILINE)
    if len(fields) < 20 or not fields[19].isdigit() or boot is None:
        return None
    return int(boot[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _host(text: str) -> str:
    """Return an address of ``/proc/net/tcp``: words of 32 bits in the machine's byte order."""
    words = [bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def _text(path: Path) -> str:
    try:
        return _readable(path)
    except OSError:
        return ""


def _readable(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_BYTES).decode("utf-8", "replace")


def _link(path: Path) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None
