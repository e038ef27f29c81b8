"""The digest of open-webui's package where it runs out of its sources, as it is measured there.

From an sdist it is that of code which nobody changed; of a checkout, with whatever was changed in
it, such as by the kit's patches.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from quote_generator.workload.environment import is_counted
from quote_generator.workload.files import (
    Kind,
    NotMeasurable,
    hash_files,
    list_tree,
    tree_digest,
)

from .problems import FileError
from .reference_wheels import ENTRIES_MAX, SIZE_MAX

PACKAGE = "backend/open_webui"
"""Where the package lies in a checkout, and below the one folder of an sdist."""

_AT_ONCE = 1 << 20


def checkout_digest(folder: Path) -> str:
    """Return the digest of a checkout's package. Raises FileError (source-unreadable)."""
    package = folder / PACKAGE
    try:
        found = list_tree(package)
        counted = {
            path: kind
            for path, kind in found.items()
            if kind is Kind.LINK or is_counted(b"open_webui/" + path)
        }
        return tree_digest(hash_files(package, counted))
    except NotMeasurable as error:
        raise FileError("source-unreadable", f"{folder}: {error}") from error


def sdist_digest(sdist: Path) -> str:
    """Return the digest of an sdist's package. Raises FileError (source-unreadable)."""
    try:
        with tarfile.open(sdist, "r|gz") as archive:
            hashes = dict(_package(sdist, archive))
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise _unreadable(sdist, f"cannot be read as an sdist ({error}); get it anew") from error
    if not hashes:
        raise _unreadable(sdist, f"has no {PACKAGE}; give the sdist of open-webui")
    return tree_digest(hashes)


def _package(sdist: Path, archive: tarfile.TarFile) -> Iterator[tuple[bytes, str]]:
    """Yield path and SHA-256 of the package's files that count."""
    entries, size, seen = 0, 0, set()
    for entry in archive:
        entries, size = entries + 1, size + entry.size
        if entries > ENTRIES_MAX or size > SIZE_MAX:
            raise _unreadable(sdist, f"has more than {ENTRIES_MAX} entries or {SIZE_MAX} bytes")
        path = _inside(entry.name)
        if path is None or entry.isdir():
            continue
        file = archive.extractfile(entry) if entry.isreg() else None
        if file is None or path in seen or {b"", b".", b".."} & {*path.split(b"/")}:
            raise _unreadable(sdist, f"has {path!a}, which is no file or there twice")
        seen.add(path)
        digest = _sha256(file)
        if is_counted(b"open_webui/" + path):
            yield path, digest


def _inside(name: str) -> bytes | None:
    """Return an entry's path in the package; None for what is not in it."""
    _top, _, path = os.fsencode(name).partition(b"/")
    start = PACKAGE.encode() + b"/"
    return path.removeprefix(start) if path.startswith(start) else None


def _sha256(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while part := file.read(_AT_ONCE):
        digest.update(part)
    return digest.hexdigest()


def _unreadable(sdist: Path, why: str) -> FileError:
    return FileError("source-unreadable", f"{os.fspath(sdist)!a} {why}.")
