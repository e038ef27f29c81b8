"""The application log's file: opened where nobody else can point it elsewhere.

A service that runs as root reads this log and shows it to everybody. So its folder and its file
must be root's or this user's own and nobody else's to write, and neither may be a symbolic link:
else whoever owns the folder could have us publish, or write into, any file of the machine.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from .errors import BadInput, Busy, NotAvailable, NotPermitted, QuoteGeneratorError

MAX_LOG_SIZE = 16 << 20
"""Bytes of a log that are read here, whoever wrote it.

Real logs have some ten thousand; their tables are 64 KiB. Evidence holds less
(``evidence.LOGS_MAX``), and ``measure.LOG_SIZE_MAX`` is what this package writes.
"""

_LOCK_PAUSE = 0.01
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def check_regular(fd: int, path: Path) -> None:
    """Raise BadInput unless it is a regular file: others could be without end."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise BadInput(f"the event log {path} is not a regular file", path=str(path))


def read_whole(fd: int, path: Path) -> bytes:
    """Return a log's bytes; BadInput if they are too many."""
    with open(fd, "rb", closefd=False) as file:
        data = file.read(MAX_LOG_SIZE + 1)
    if len(data) > MAX_LOG_SIZE:
        raise BadInput(f"the event log {path} is larger than {MAX_LOG_SIZE} bytes", path=str(path))
    return data


class LogFolder:
    """LogFolder is the open folder of a log, in whose terms all its files are named.

    Raises FileNotFoundError or NotADirectoryError where there is none, NotPermitted where others
    could change what is in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = _open_folder(path.parent)
        try:
            _check_owner(os.fstat(self._fd), path.parent, "folder")
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> LogFolder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._fd)

    def size(self) -> int:
        """Return the log's size in bytes. Raises FileNotFoundError."""
        return os.stat(self.path.name, dir_fd=self._fd, follow_symlinks=False).st_size

    def read(self) -> bytes | None:
        """Return the log's bytes; None where there is no log. Raises NotPermitted, BadInput."""
        try:
            with self._opened(os.O_RDONLY) as fd:
                return read_whole(fd, self.path)
        except FileNotFoundError:
            return None

    def append(self, entry: bytes) -> None:
        """Add an entry, in one write, and sync it. Raises OSError."""
        with self._opened(os.O_RDWR | os.O_CREAT | os.O_APPEND) as fd:
            if os.write(fd, entry) != len(entry):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(fd)
        os.fsync(self._fd)

    def cut(self, size: int | None) -> None:
        """Take the log back to a size, or away where that is None. Raises OSError."""
        if size is None:
            os.unlink(self.path.name, dir_fd=self._fd)
            return
        with self._opened(os.O_RDWR) as fd:
            os.ftruncate(fd, size)

    @contextmanager
    def locked(self, deadline: float) -> Iterator[None]:
        """Hold the log's lock, which every writer of this package takes. Raises Busy, OSError."""
        import fcntl  # which auditors' machines need not have

        lock = self.path.with_name(self.path.name + ".lock")
        fd = self._open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() >= deadline:
                        raise Busy(
                            f"another process holds {lock}; try again, or allow more time.",
                            errno=error.errno,
                            path=str(lock),
                        ) from error
                    time.sleep(_LOCK_PAUSE)
            yield
        finally:
            # Closing is not enough: a child forked meanwhile has a copy of the descriptor.
            fcntl.flock(fd, fcntl.LOCK_UN)
            os.close(fd)

    @contextmanager
    def _opened(self, flags: int) -> Iterator[int]:
        fd = self._open(self.path, flags, 0o644)
        try:
            check_regular(fd, self.path)
            _check_owner(os.fstat(fd), self.path, "file")
            yield fd
        finally:
            os.close(fd)

    def _open(self, path: Path, flags: int, mode: int) -> int:
        # Without O_NONBLOCK, opening a named pipe would wait for its other end.
        flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            return os.open(path.name, flags, mode, dir_fd=self._fd)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise _is_a_link(path) from error


def _open_folder(path: Path) -> int:
    """Open a folder that is no symbolic link itself; links above it, as /var/run, are followed."""
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError as error:  # what O_DIRECTORY makes of a link, not ELOOP
        if not path.is_symlink():
            raise
        raise _is_a_link(path) from error


def _is_a_link(path: Path) -> NotPermitted:
    return NotPermitted(
        f"{path} is a symbolic link, and none is followed here; remove it.",
        errno=errno.ELOOP,
        path=str(path),
    )


def make_folder(path: Path) -> None:
    """Make the folder of a log. Raises NotPermitted, NotAvailable, Busy."""
    with folder_trouble(path):
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)


@contextmanager
def folder_trouble(path: Path) -> Iterator[None]:
    """Tell what goes wrong with the folder of a log as ``trouble`` does."""
    with trouble(
        path,
        denied=f"cannot write to {path.parent}; run as root, or give this process the folder.",
        broken=f"cannot use {path}",
        cure="give the log a folder that can be written.",
    ):
        yield


@contextmanager
def trouble(path: Path, *, denied: str, broken: str, cure: str) -> Iterator[None]:
    """Tell an OSError: as NotPermitted, ``denied``, or else ``broken``, why, and a cure.

    That is Busy where the disk is full, NotPermitted where nobody may write to it, and otherwise
    NotAvailable.
    """
    try:
        yield
    except PermissionError as error:
        raise NotPermitted(denied, errno=error.errno, path=str(path)) from error
    except OSError as error:
        kind = _OF_A_DISK.get(error.errno or 0, NotAvailable)
        said = f"{broken} ({error.strerror}); {cure}"
        raise kind(said, errno=error.errno, path=str(path)) from error


_OF_A_DISK: Mapping[int, type[QuoteGeneratorError]] = {
    errno.ENOSPC: Busy,
    errno.EDQUOT: Busy,
    errno.EROFS: NotPermitted,
}
"""Errors that say nothing of a machine's TDX."""


def _check_owner(found: os.stat_result, path: Path, kind: str) -> None:
    """Raise NotPermitted for a folder or file that others than root and we can change."""
    if found.st_uid in (0, os.geteuid()) and not found.st_mode & _WRITABLE_BY_OTHERS:
        return
    raise NotPermitted(
        f"the application log's {kind} {path} belongs to another user, or others may write to it; "
        f"make it root's or this user's own (chown, chmod go-w).",
        errno=errno.EPERM,
        path=str(path),
    )
