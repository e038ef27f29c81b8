"""A file that holds the old content or the new one, whatever stops its writer."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

_TEMPORARY = ".new-"


def write_atomic(path: Path, data: bytes, *, mode: int) -> None:
    """Make `path` hold `data`, or leave it as it was. Raises OSError.

    The new content is on the disk before it takes the name, so a crash at any point leaves
    the old file or the new one, and at worst a temporary beside it.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=_TEMPORARY, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Have the names in a folder on the disk. Raises OSError."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove_leftovers(directory: Path) -> None:
    """Drop the temporaries of killed writers; call it with a lock that all writers hold."""
    for path in directory.glob(f"{_TEMPORARY}*"):
        with contextlib.suppress(OSError):
            path.unlink()
