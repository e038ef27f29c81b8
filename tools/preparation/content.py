"""When a part has to be made anew: keys over the content that it is made from.

Uses nothing but the standard library.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from preparation.editions import REPO
from preparation.steps import Part

# In source folders, but nothing that a bundle or wheel is made from.
OTHER_FOLDERS = ("__pycache__", "node_modules", "build", "dist", "coverage", "test")
OTHER_FILES = ("*.pyc", "*.so", "*.o", "_tdx.*", "_native.*")


def cache_directory() -> Path:
    """The folder shared by all checkouts of this user."""
    explicit = os.environ.get("CCZOO_CACHE")
    if explicit:
        return Path(explicit)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cczoo"


def source_files(names: Sequence[str]) -> list[Path]:
    """The files that these names stand for, a folder for all below it; names not there for none."""
    return [file for name in names for file in _sources(REPO / name)]


def _sources(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        for inside in sorted(path.iterdir()):
            others = OTHER_FOLDERS if inside.is_dir() else OTHER_FILES
            if not any(map(inside.match, others)):
                yield from _sources(inside)


def digest(*texts: str, files: Sequence[Path] = ()) -> str:
    """A short content hash over texts and over files of the checkout (names and bytes)."""
    total = hashlib.sha256()
    for text in texts:
        total.update(text.encode() + b"\0")
    for file in files:
        total.update(str(file.relative_to(REPO)).encode() + b"\0")
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()[:16]


def is_marked(folder: Path, key: str) -> bool:
    """Whether the folder was finished, and from what ``key`` stands for."""
    stamp = folder / ".cczoo-stamp"
    return stamp.is_file() and stamp.read_text() == key


def mark(folder: Path, key: str) -> None:
    """Note that the folder is finished."""
    (folder / ".cczoo-stamp").write_text(key)


def keyed(
    name: str,
    what: str,
    folder: Path,
    key: Callable[[], str],
    make: Callable[[], None],
    needs: tuple[Part, ...] = (),
    download: int = 0,
    disk: int = 0,
    seconds: int = 0,
    check: Callable[[], None] = lambda: None,
    also: Callable[[], bool] = lambda: True,
) -> Part:
    """A part whose folder bears the key of what it was made from; ``also`` must hold as well."""

    def make_and_mark() -> None:
        wanted = key()  # beforehand: what is edited meanwhile was not part of it
        make()
        mark(folder, wanted)

    def is_current() -> bool:
        return is_marked(folder, key()) and also()

    return Part(
        name,
        what,
        folder,
        make_and_mark,
        is_current,
        needs=needs,
        download=download,
        disk=disk,
        seconds=seconds,
        check=check,
    )
