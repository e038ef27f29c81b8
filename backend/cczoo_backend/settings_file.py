"""The administrators' settings on disk: one private file, replaced as a whole, under a lock.

It holds texts, as the environment would: ``{"v": 1, "values": {"enforcement": "block"}}``. A file
that is not just that, with names that this version knows, counts as unreadable as a whole: what is
not known was somebody's decision all the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from quote_generator.atomic_file import remove_leftovers, sync_folder, write_atomic

from .settings_table import BY_NAME

VERSION = 1
NAME = "settings.json"
BYTES_MAX = 1 << 20
# Whoever holds the lock does so for milliseconds.
LOCK_SECONDS = 5.0

_LOCK = "settings.lock"
_FILE_MODE = 0o600
_FOLDER_MODE = 0o700


@dataclass(frozen=True)
class Stored:
    """What the file holds: texts by the settings' names.

    ``version`` differs for each content, and serves to notice that somebody else has written.
    ``problem`` says why the file cannot be read; None where it can, or where there is none.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    version: str = "none"
    problem: str | None = None


class Changed(Exception):  # noqa: N818 - named for the state
    """The file is not the one that the change was made for."""


class Busy(OSError):  # noqa: N818 - named for the state
    """Somebody else holds the lock for too long."""


class SettingsFile:
    """The file in ``folder``, which is made with the first change."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._folder = folder

    def mark(self) -> object:
        """Return what is another value once the file is another one. Opens nothing."""
        try:
            found = os.lstat(self.path)
        except OSError as error:
            return error.errno
        return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def read(self) -> Stored:
        """Return what is stored. Never raises: what cannot be read is told as ``problem``."""
        try:
            content = _content(self.path)
        except FileNotFoundError:
            return Stored()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            return Stored(version="unreadable", problem=why or "it cannot be read")
        version = hashlib.sha256(content).hexdigest()[:32]
        try:
            return Stored(_values(content), version)
        except ValueError as error:
            return Stored(version=version, problem=str(error))

    def replace(
        self, version: str, change: Callable[[Mapping[str, str]], Mapping[str, str]]
    ) -> None:
        """Store what ``change`` makes of the values, if the file still has this ``version``.

        Raise Changed where it has not, and OSError where nothing could be stored. Either way, and
        wherever the process is killed, the file is the old one or the new one.
        """
        with self._locked():
            remove_leftovers(self._folder)
            stored = self.read()
            if stored.version != version:
                raise Changed
            write_atomic(self.path, _content_of(change(stored.values)), mode=_FILE_MODE)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if not self._folder.is_dir():
            self._folder.mkdir(_FOLDER_MODE, exist_ok=True)
            sync_folder(self._folder.parent)
        try:
            with FileLock(self._folder / _LOCK, timeout=LOCK_SECONDS, mode=_FILE_MODE):
                yield
        except Timeout:
            raise Busy("somebody else is changing the settings") from None


def _content(path: Path) -> bytes:
    """Return a plain file's bytes; raise OSError or ValueError for anything else."""
    # Waits for nobody at the other end of a pipe, and follows no link to somewhere else.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no plain file")
        content = file.read(BYTES_MAX + 1)
    if len(content) > BYTES_MAX:
        raise ValueError(f"it is larger than {BYTES_MAX} bytes")
    return content


def _values(content: bytes) -> dict[str, str]:
    try:
        document = json.loads(content.decode("utf-8"), object_pairs_hook=_members)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON, or not whole") from None
    if not isinstance(document, dict) or document.keys() != {"v", "values"}:
        raise ValueError("it holds something else than settings")
    if document["v"] != VERSION or isinstance(document["v"], bool):
        raise ValueError("it was written by another version of the kit")
    values = document["values"]
    if not isinstance(values, dict) or not all(isinstance(one, str) for one in values.values()):
        raise ValueError("it holds something else than settings")
    if not values.keys() <= BY_NAME.keys():
        raise ValueError("it has settings that this version of the kit does not know")
    return values


def _members(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    if len(members := dict(pairs)) != len(pairs):
        raise ValueError("a repeated name")
    return members


def _content_of(values: Mapping[str, str]) -> bytes:
    document = {"v": VERSION, "values": dict(sorted(values.items()))}
    return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode("utf-8")
