"""Whether this process shares its server with others: keys and replay memory are one process's.

A second worker would not know the keys of the first one, nor the requests that it has taken.
Workers of one server have the socket in common that they got from their parent to listen on;
servers that only happen to have the same parent have one each. So what counts is looked up in
``/proc``, not what options and variables say: those may be of another server, or be overruled.

uvicorn also hands its own settings to the workers that it starts. They count too: it replaces a
worker that refused to start, and one that starts in between finds nobody beside it.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from multiprocessing import current_process
from pathlib import Path

import uvicorn

PROC = Path("/proc")


def others() -> int:
    """Return how many processes serve beside this one, or are about to."""
    return max(len(siblings()), _by_uvicorn() - 1)


def siblings(proc: Path = PROC) -> list[int]:
    """Return the processes that serve beside this one, none where it serves alone.

    Children of the same parent that hold a socket which this process can take connections from.
    Where ``/proc`` cannot be read, there is nobody to be seen.
    """
    me = os.getpid()
    parent, mine = _parent(proc, me), _servers(proc)
    if parent is None or not mine:
        return []
    return [
        pid
        for pid in _processes(proc)
        if pid != me and _parent(proc, pid) == parent and mine & set(_sockets(proc, pid))
    ]


def _by_uvicorn() -> int:
    """Return how many workers uvicorn keeps, 1 where it did not start this process as one."""
    config = getattr(current_process(), "_kwargs", {}).get("config")
    if isinstance(config, uvicorn.Config) and not config.should_reload:
        return config.workers
    return 1


def _servers(proc: Path) -> set[int]:
    """Return the inodes of this process's sockets that listen, or are bound and soon will.

    uvicorn's parent only binds what it hands to its workers.
    """
    found = set()
    for inode, descriptor in _sockets(proc, os.getpid()).items():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as one:
            if one.type == socket.SOCK_STREAM and _is_bound(one) and not _is_connected(one):
                found.add(inode)
    return found


def _is_bound(one: socket.socket) -> bool:
    name = one.getsockname()
    return bool(name[1] if one.family in (socket.AF_INET, socket.AF_INET6) else name)


def _is_connected(one: socket.socket) -> bool:
    try:
        one.getpeername()
    except OSError:
        return False
    return True


def _processes(proc: Path) -> Iterator[int]:
    with contextlib.suppress(OSError):
        yield from (int(entry.name) for entry in os.scandir(proc) if entry.name.isdigit())


def _parent(proc: Path, pid: int) -> int | None:
    """Return the process's parent: the second field behind its name, which may hold anything."""
    try:
        status = (proc / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = status.rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 else None


def _sockets(proc: Path, pid: int) -> dict[int, int]:
    """Return descriptors of the process's sockets by inode; none where it is gone or another's."""
    found = {}
    with contextlib.suppress(OSError):
        for entry in os.scandir(proc / str(pid) / "fd"):
            with contextlib.suppress(OSError):  # closed meanwhile
                target = os.readlink(entry.path)
                if target.startswith("socket:["):
                    found[int(target[8:-1])] = int(entry.name)
    return found
