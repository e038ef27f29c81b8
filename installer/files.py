"""Small things done to files: hashing, durable writing, locking, and text that is safe to print."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shlex
import shutil
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

from cczoo_installer.errors import LocalEdits, Locked, MachineTrouble

STOPPING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}

# No file that we change is nearly as large: the largest, a Cargo.lock, has 157 KB.
MAX_CHANGED = 64 << 20

# What flock() answers on filesystems that cannot lock a folder (NFS, some FUSE ones).
_NO_LOCKS_HERE = {errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP}


def printable(text: object) -> str:
    """Return ``text`` with every character that could steer a terminal escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in str(text)
    )


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 of ``data`` as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's content as 64 hex digits; raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_if_file(path: Path) -> str | None:
    """Return the SHA-256 of a regular file that we might change, None when nothing is there.

    Anything else in its place (a folder, a link, a device, a file beyond ``MAX_CHANGED``) has no
    content that could match, so it gets a text that no hash equals, and is not read.
    """
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    ordinary = stat.S_ISREG(found.st_mode) and found.st_size <= MAX_CHANGED
    return sha256_file(path) if ordinary else "not-a-file-of-ours"


def read_small(path: Path, limit: int) -> str:
    """Return the UTF-8 text of a regular file of at most ``limit`` bytes; links are followed.

    Raises ValueError for anything else, without waiting for a pipe or reading what is too large,
    and OSError.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no regular file")
    if found.st_size > limit:
        raise ValueError("it is absurdly large")
    return path.read_text(encoding="utf-8")


def tree_hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below ``folder``, by its relative POSIX path, sorted.

    Links are not followed: one that turns up is named with its target instead of a hash.
    """
    found: dict[str, str] = {}
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        for name in names + links:
            path = Path(parent, name)
            relative = path.relative_to(folder).as_posix()
            found[relative] = (
                f"link to {path.readlink()}" if path.is_symlink() else sha256_file(path)
            )
    return dict(sorted(found.items()))


def is_plain_relative(path: str) -> bool:
    """Tell whether ``path`` is a relative POSIX path in its only form, without ``..``."""
    pure = PurePosixPath(path)
    return bool(
        pure.parts and not pure.is_absolute() and ".." not in pure.parts and str(pure) == path
    )


def inside(root: Path, relative: str) -> Path:
    """Return ``root / relative`` after making sure that it cannot lead out of ``root``.

    A symbolic link on the way (or at the end) is refused: we would change a file that is not
    in the tree, and upstream ships none at the places that we touch.
    """
    if not is_plain_relative(relative):
        raise LocalEdits(f"Refusing the path {printable(relative)}: it leads out of the folder.")
    path = root
    for part in PurePosixPath(relative).parts:
        path = path / part
        if path.is_symlink():
            raise LocalEdits(
                f"{printable(path)} is a symbolic link to {printable(path.readlink())}, and the "
                "installer does not write through links. Put the real file or folder in its "
                "place and run again."
            )
    return path


def mount_of(path: Path) -> int:
    """Return the number of the mount that ``path`` lies on, as this process sees it.

    The number and not the device: a bind mount of one file system into itself has the same device,
    and no rename leads across it either. A link is looked at itself. Where /proc is missing the
    device has to do. Raises OSError.
    """
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        facts = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii")
    except FileNotFoundError:
        return os.fstat(descriptor).st_dev
    finally:
        os.close(descriptor)
    return int(dict(line.split(":", 1) for line in facts.splitlines())["mnt_id"])


def require_changeable(root: Path, names: Iterable[str]) -> None:
    """Raise MachineTrouble or OSError where a path below ``root`` could not be renamed.

    Looks at each path of ``names`` that is there, and at the folders above it. Meant for the
    moment before a change: finding this in the middle of one leaves it half-way.
    """
    mount = mount_of(root)
    _require_writable(root)
    for name in names:
        path = root
        for part in PurePosixPath(name).parts:
            path = path / part
            if not os.path.lexists(path):
                break
            if mount_of(path) != mount:
                raise MachineTrouble(
                    f"{printable(path)} is a mount of its own inside the folder, and no file can "
                    "be renamed across that. Unmount it, or put its content there in its place, "
                    "and run again. Nothing was changed."
                )
            if path.is_dir():
                _require_writable(path)


def _require_writable(folder: Path) -> None:
    """Raise OSError as writing to ``folder`` would, without writing."""
    if os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        return
    read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
    owner, us = folder.stat().st_uid, os.geteuid()
    if not read_only and owner not in {us, folder.parent.stat().st_uid}:
        us_or_owner = folder.parent.stat().st_uid if us == 0 else us
        raise MachineTrouble(
            f"{printable(folder)} belongs to another user than the folder that it is in, as after "
            f"an earlier run as root. Give it back (`sudo chown -R {us_or_owner} "
            f"{printable(shlex.quote(str(folder)))}`) and run again. Nothing was changed."
        )
    number = errno.EROFS if read_only else errno.EACCES
    raise OSError(number, os.strerror(number), str(folder))


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder with modes, times, links and owners, and wait until it is on the disk."""
    shutil.copytree(source, target, symlinks=True)
    for parent, folders, names in os.walk(source):
        for name in (".", *folders, *names):
            origin = Path(parent, name)
            same_owner(target / origin.relative_to(source), origin.lstat())
    os.sync()  # many small files: one sync is far quicker than one for each


def cannot_be_renamed(trouble: OSError) -> bool:
    """Tell whether a rename failed as it does for a folder in a lower layer of an overlayfs.

    That is what a container's image consists of. Files can be renamed there, folders cannot.
    """
    return trouble.errno == errno.EXDEV


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Create or replace ``path`` in place and wait until the bytes are on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fchmod(stream.fileno(), mode)
        os.fsync(stream.fileno())


def same_owner(path: Path, like: os.stat_result) -> None:
    """Give ``path`` the owner of ``like`` where we may; root working for a user needs it."""
    with contextlib.suppress(PermissionError):
        os.chown(path, like.st_uid, like.st_gid, follow_symlinks=False)


def keep_copy(source: Path, target: Path) -> None:
    """Copy ``source`` to ``target`` with mode, times, attributes and owner, durably.

    A copy and not a hard link: an editor that writes in place would change both names.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
    same_owner(target, source.stat())
    target.chmod(source.stat().st_mode & 0o7777)  # chown clears set-id bits
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def date_after(path: Path, other: Path, now: int) -> None:
    """Set the modification time of ``path`` to ``now``, at least to the second after ``other``'s.

    ``now`` is in nanoseconds since 1970. HTTP's dates count whole seconds, and a clock may have
    been set back. Nothing happens where ``path`` is not there or belongs to somebody else.
    """
    second = 1_000_000_000
    not_there = (FileNotFoundError, NotADirectoryError)
    with contextlib.suppress(*not_there):
        now = max(now, (other.lstat().st_mtime_ns // second + 1) * second)
    with contextlib.suppress(*not_there, PermissionError):
        os.utime(path, ns=(now, now), follow_symlinks=False)


def remove_tree(path: Path) -> None:
    """Remove a folder, a file or a link if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and its like back during a moment's work, which then counts as done.

    For the renames that change the tree: they take milliseconds, and finishing them is better
    than stopping half-way and undoing them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        while signal.sigpending() & STOPPING - before:
            signal.sigwait(STOPPING - before)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def locked(
    path: Path,
    *,
    busy: str,
    wait: float = 0.0,
    waiting: Callable[[], None] | None = None,
) -> Iterator[int]:
    """Hold an exclusive flock on ``path``, a folder or a file; yields the descriptor.

    The kernel drops the lock when the last process that holds the descriptor is gone, so no
    stale lock is left behind by a killed run, and a child that inherits the descriptor keeps
    it. Waits for at most ``wait`` seconds (``waiting`` is called once when it has to), then
    raises Locked with the sentence ``busy``.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY if path.is_dir() else os.O_RDWR | os.O_CREAT
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o644)
    try:
        _take(descriptor, busy, wait, waiting)
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, busy: str, wait: float, waiting: Callable[[], None] | None) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Locked(busy) from None
            if waiting is not None:
                waiting()
                waiting = None
            time.sleep(0.2)
        except OSError as trouble:
            if trouble.errno not in _NO_LOCKS_HERE:
                raise
            return
        else:
            return


def is_locked(folder: Path) -> bool:
    """Tell whether somebody holds the lock on ``folder`` right now, without keeping it."""
    try:
        with locked(folder, busy=""):
            return False
    except Locked:
        return True
    except OSError:
        return False
