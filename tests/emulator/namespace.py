"""Mounts in a private namespace: the few system calls, and how to add names to /sys and /dev."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from pathlib import Path

CLONE_NEWNS = 0x00020000
MS_NOSUID, MS_BIND, MS_REC, MS_PRIVATE = 0x2, 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def enter_private_namespace() -> None:
    """Give this process (it must have one thread) mounts that nobody else sees."""
    _check(_libc.unshare(CLONE_NEWNS), "unshare the mount namespace")
    mount(None, "/", None, MS_REC | MS_PRIVATE)


def mount(
    source: str | None, target: str, kind: str | None, flags: int, data: str | None = None
) -> None:
    arguments = [None if a is None else os.fsencode(a) for a in (source, target, kind, data)]
    result = _libc.mount(*arguments[:3], ctypes.c_ulong(flags), arguments[3])
    _check(result, f"mount on {target}")


def bind(source: str, target: str) -> None:
    mount(source, target, None, MS_BIND | MS_REC)


def unmount(target: str) -> None:
    """Detach what is mounted there, busy or not; nothing mounted is fine."""
    _libc.umount2(os.fsencode(target), MNT_DETACH)


def die_with_parent(parent: int, with_signal: int = signal.SIGKILL) -> None:
    """Have the kernel end this process when its parent does, even by kill -9."""
    _libc.prctl(PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), with_signal)


def make_writable(directory: str) -> None:
    """Lay a tmpfs over a directory of the kernel's, with all it held bound into it.

    sysfs lets nobody make directories, and a file made in devtmpfs would be seen by the whole
    machine; so new names go into a tmpfs that only this namespace has.
    """
    original = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    with os.scandir(directory) as items:
        entries = [(item.name, item.is_symlink(), item.is_dir()) for item in items]
    mount("tmpfs", directory, "tmpfs", MS_NOSUID, "mode=755")
    for name, is_symlink, is_directory in entries:
        source, target = f"/proc/self/fd/{original}/{name}", Path(directory, name)
        if is_symlink:
            target.symlink_to(os.readlink(source))
            continue
        if is_directory:
            target.mkdir()
        else:
            target.touch()
        with contextlib.suppress(OSError):  # an entry that vanished, or cannot be bound
            bind(source, str(target))
    os.close(original)
