"""The digest of a tree of files, such as anybody can compute with find, sort and sha256sum.

It is the SHA-256 of the lines that GNU sha256sum prints for the tree's files, which are named
relative to the tree and sorted by the bytes of their names. In the tree's folder:

    find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum -- | sha256sum

A symbolic link that leads to a regular file of the same tree has that file's digest, as sha256sum
has it. Any other link (out of the tree, to a folder, to nothing) has a line with the digest of
where it says that it leads, ``readlink -n NAME | sha256sum``: it is never followed, for what is
there lies in no tree that is measured. All is opened step by step from the tree's folder, without
following links: so nothing outside is read, even if something is swapped in meanwhile.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from itertools import groupby

from ..errors import QuoteGeneratorError

FILES_MAX = 2_000_000
"""Entries of a tree that are looked at."""

DEPTH_MAX = 64
"""Folders that lie in one another."""

_AT_ONCE = 1 << 20
"""Bytes that a thread holds of a file."""

_PER_TASK = 16
"""Files of one folder that a thread takes: many enough for small ones, few enough for large."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A named pipe is not waited for; what was swapped in is seen once it is open.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class NotMeasurable(QuoteGeneratorError):  # noqa: N818 - named for the state, as the others
    """NotMeasurable: a tree of files has no digest, and ``code`` says why.

    special-file: a device, a socket or a pipe is where a file should be. file-changed: it was
    changed while it was read. file-unreadable: the system refused it. too-many-files, too-deep,
    file-too-large: more than is looked at.
    """

    code = "not-measurable"

    def __init__(
        self, code: str, message: str, *, errno: int | None = None, path: str | None = None
    ) -> None:
        super().__init__(message, errno=errno, path=path)
        self.code = code


class Kind(Enum):
    """Kind says what a name in a tree stands for; folders are not named."""

    FILE = "file"
    LINK = "link"
    SPECIAL = "special"


@dataclass(frozen=True)
class Tree:
    """Tree is a measured tree: its digest ("sha256:..."), and how many files and links that is.

    ``links`` are those that lead out of the tree, or to no file: what is there is not measured.
    """

    digest: str
    files: int
    links: tuple[bytes, ...] = ()


def measure_tree(
    root: str | os.PathLike[str], *, skips: Callable[[bytes], bool] = lambda path: False
) -> Tree:
    """Return the digest of all files of a folder but those whose path ``skips``.

    A folder that it skips is not entered. Raises NotMeasurable.
    """
    found = list_tree(root, enters=lambda folder: not skips(folder))
    wanted = {path: kind for path, kind in found.items() if not skips(path)}
    hashes = hash_files(root, wanted)
    links = [path for path, kind in wanted.items() if kind is Kind.LINK]
    leading_out = tuple(sorted(path for path in links if file_behind(root, path) is None))
    return Tree(tree_digest(hashes), len(hashes), leading_out)


def tree_digest(hashes: Mapping[bytes, str]) -> str:
    """Return the digest of a tree from the SHA-256 (hex) of each of its files."""
    return lines_digest(sha256sum_line(hashes[path], path) for path in sorted(hashes))


def lines_digest(lines: Iterable[bytes]) -> str:
    """Return the digest of lines in the order given."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line)
    return f"sha256:{digest.hexdigest()}"


def sha256sum_line(hexadecimal: str, path: bytes) -> bytes:
    """Return the line of GNU sha256sum (coreutils 9) for a file.

    A backslash before it says that the name has escapes.
    """
    escaped = path.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    mark = b"\\" if escaped != path else b""
    return mark + hexadecimal.encode() + b"  " + escaped + b"\n"


# --- looking --------------------------------------------------------------------------------------


def list_tree(
    root: str | os.PathLike[str], *, enters: Callable[[bytes], bool] = lambda folder: True
) -> dict[bytes, Kind]:
    """Return what is in a folder and in those below it that it ``enters``, by relative path.

    Nothing is opened but folders. Raises NotMeasurable.
    """
    found: dict[bytes, Kind] = {}
    with _opened_root(root) as folder:
        for path, kind in _walk(folder, b"", 1, enters):
            found[path] = kind
            if len(found) > FILES_MAX:
                raise NotMeasurable(
                    "too-many-files", f"{_shown(root)} has more than {FILES_MAX} files"
                )
    return found


def _walk(
    folder: int, prefix: bytes, depth: int, enters: Callable[[bytes], bool]
) -> Iterator[tuple[bytes, Kind]]:
    if depth > DEPTH_MAX:
        raise NotMeasurable("too-deep", f"{_shown(prefix)} lies more than {DEPTH_MAX} folders deep")
    with _explained(prefix), os.scandir(folder) as entries:
        here = list(entries)
    for entry in here:
        path = prefix + os.fsencode(entry.name)
        with _explained(path):
            is_folder = entry.is_dir(follow_symlinks=False)
        if not is_folder:
            yield path, _kind(entry)
        elif enters(path):
            with _opened(path, entry.name, _FOLDER, folder) as inner:
                yield from _walk(inner, path + b"/", depth + 1, enters)


def _kind(entry: os.DirEntry[str]) -> Kind:
    if entry.is_symlink():
        return Kind.LINK
    return Kind.FILE if entry.is_file(follow_symlinks=False) else Kind.SPECIAL


def file_behind(root: str | os.PathLike[str], path: bytes) -> bytes | None:
    """Return which regular file of the same tree a link leads to; None for any other link."""
    top = os.fsencode(os.path.realpath(root))
    try:
        behind = os.path.realpath(os.path.join(top, path), strict=True)
        is_file = stat.S_ISREG(os.lstat(behind).st_mode)
    except OSError:
        return None
    inside = top.rstrip(b"/") + b"/"
    return behind.removeprefix(inside) if is_file and behind.startswith(inside) else None


# --- reading --------------------------------------------------------------------------------------


def hash_files(root: str | os.PathLike[str], found: Mapping[bytes, Kind]) -> dict[bytes, str]:
    """Return the SHA-256 (hex) of each of these files of a folder, as ``list_tree`` found them.

    Several threads read: hashing lets the others run. Raises NotMeasurable.
    """
    for path, kind in found.items():
        if kind is Kind.SPECIAL:
            raise _special(path)
    files = sorted(path for path, kind in found.items() if kind is Kind.FILE)
    links = sorted(path for path, kind in found.items() if kind is Kind.LINK)
    with _opened_root(root) as top, ThreadPoolExecutor(_threads()) as threads:
        hashed = threads.map(lambda paths: _hash_together(top, paths), _tasks(files))
        hashes = {path: digest for together in hashed for path, digest in together}
        return hashes | {path: _hash_link(root, top, path) for path in links}


def read_file(root: str | os.PathLike[str], path: bytes, most: int) -> bytes:
    """Return the bytes of a regular file of a folder, ``most`` of them. Raises NotMeasurable."""
    parts = []
    with _opened_root(root) as top, _opened_folder(top, os.path.dirname(path)) as folder:
        for part in _read(folder, path, most):
            parts.append(part)
    return b"".join(parts)


def _threads() -> int:
    return min(8, len(os.sched_getaffinity(0)))


def _tasks(files: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Yield a few files of the same folder at a time."""
    for _, group in groupby(files, os.path.dirname):
        together = list(group)
        for at in range(0, len(together), _PER_TASK):
            yield together[at : at + _PER_TASK]


def _hash_together(top: int, paths: Sequence[bytes]) -> list[tuple[bytes, str]]:
    with _opened_folder(top, os.path.dirname(paths[0])) as folder:
        return [(path, _hash_file(folder, path)) for path in paths]


def _hash_file(folder: int, path: bytes) -> str:
    digest = hashlib.sha256()
    for part in _read(folder, path, None):
        digest.update(part)
    return digest.hexdigest()


def _hash_link(root: str | os.PathLike[str], top: int, path: bytes) -> str:
    behind = file_behind(root, path)
    name = path if behind is None else behind
    with _opened_folder(top, os.path.dirname(name)) as folder:
        if behind is not None:
            return _hash_file(folder, behind)
        with _explained(path):
            return hashlib.sha256(os.readlink(os.path.basename(path), dir_fd=folder)).hexdigest()


def _read(folder: int, path: bytes, most: int | None) -> Iterator[bytes]:
    """Yield a regular file's bytes: as many as it said to have, so that it comes to an end."""
    with _opened(path, os.path.basename(path), _FILE, folder) as fd, _explained(path):
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            raise _special(path)
        if most is not None and about.st_size > most:
            raise NotMeasurable(
                "file-too-large", f"{_shown(path)} has more than {most} bytes", path=_shown(path)
            )
        left = about.st_size
        while part := os.read(fd, _AT_ONCE):
            left -= len(part)
            if left < 0:
                break
            yield part
        if left != 0:
            raise NotMeasurable(
                "file-changed",
                f"{_shown(path)} was changed while it was read; measure again.",
                path=_shown(path),
            )


# --- opening --------------------------------------------------------------------------------------


@contextmanager
def _opened_root(root: str | os.PathLike[str]) -> Iterator[int]:
    """Open the folder of a tree; itself it may stand behind links."""
    real = os.path.realpath(root)
    with _opened(os.fsencode(root), real, _FOLDER, None) as folder:
        yield folder


@contextmanager
def _opened_folder(top: int, path: bytes) -> Iterator[int]:
    """Open a folder of the tree step by step, so that no link is followed on the way."""
    folder = os.dup(top)
    try:
        for name in filter(None, path.split(b"/")):
            with _explained(path):
                inner = os.open(name, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


@contextmanager
def _opened(path: bytes, name: str | bytes, flags: int, folder: int | None) -> Iterator[int]:
    with _explained(path):
        fd = os.open(name, flags, dir_fd=folder)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _explained(path: bytes) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # A link where there was a file or folder: without following it, that is ELOOP or ENOTDIR.
        changed = error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR)
        raise NotMeasurable(
            "file-changed" if changed else "file-unreadable",
            f"{_shown(path)} cannot be read ({error.strerror}); measure again, or see to it that "
            "this process may read it.",
            errno=error.errno,
            path=_shown(path),
        ) from error


def _special(path: bytes) -> NotMeasurable:
    return NotMeasurable(
        "special-file",
        f"{_shown(path)} is a device, a socket or a pipe, and no file; remove it.",
        path=_shown(path),
    )


def _shown(path: bytes | str | os.PathLike[str]) -> str:
    """Return a path as ASCII on one line; another could hide or reorder what is beside it."""
    text = os.fsdecode(path) or "."
    return ascii(text)[1:-1]
