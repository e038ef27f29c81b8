"""The digests that an environment must have, from what its distributions were published as.

A wheel is unpacked by rules that leave no choice (PEP 427, and the specification "Binary
distribution format"): what lies in its ``.data/purelib`` and ``.data/platlib`` goes where the rest
does, and scripts, headers and data go elsewhere. Where only an sdist was published, give the wheel
that ``pip wheel`` builds of it, or a folder with that wheel's content: builds of compiled modules
differ from machine to machine.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from quote_generator.workload.environment import (
    Distribution,
    environment_digest,
    is_counted,
    name_and_version,
)
from quote_generator.workload.files import NotMeasurable, hash_files, list_tree, tree_digest

from .problems import FileError

ENTRIES_MAX = 500_000
"""Entries of a wheel; the largest that are published have some 20,000."""

SIZE_MAX = 16 << 30
"""Bytes of a wheel's files together, unpacked."""

_AT_ONCE = 1 << 20
_INSTALLED_BESIDE = (b"purelib", b"platlib")


@dataclass(frozen=True)
class Wheel:
    """Wheel is what a wheel is measured as once it is installed, wherever that may be.

    ``files`` are the SHA-256 (hex) of the files that count, by their paths in site-packages.
    """

    distribution: Distribution
    files: Mapping[bytes, str]

    def folder_digest(self, folder: str, suffix: str = "") -> str | None:
        """Return the digest of a folder that is installed with it, or of files in it with a suffix.

        None where there is none.
        """
        start = folder.encode() + b"/"
        found = {
            path.removeprefix(start): digest
            for path, digest in self.files.items()
            if path.startswith(start) and path.endswith(suffix.encode())
        }
        return tree_digest(found) if found else None


def wheels_environment(wheels: Iterable[Path]) -> str:
    """Return the digest of an environment into which just these were installed."""
    return environment_digest(map(wheel_distribution, wheels))


def wheel_distribution(wheel: Path) -> Distribution:
    """Return the distribution that is installed from a wheel. Raises FileError as `read_wheel`."""
    return read_wheel(wheel).distribution


def read_wheel(wheel: Path) -> Wheel:
    """Return what a wheel is measured as.

    ``wheel`` is the file, or a folder with its content. Raises FileError with the code
    wheel-unreadable, or wheel-unusable for one that installers refuse or differ about.
    """
    hashes = _hashes_in_folder(wheel) if wheel.is_dir() else _hashes_in_file(wheel)
    dist_info = _dist_info(wheel, hashes)
    name, version = name_and_version(dist_info) or ("", "")
    installed: dict[bytes, str] = {}
    for path, digest in hashes.items():
        place = _place(path, dist_info)
        if place is None or not is_counted(place):
            continue
        if place in installed:
            raise _unusable(wheel, f"has {place!a} twice")
        installed[place] = digest
    found = Distribution(name, version, tree_digest(installed), len(installed))
    return Wheel(found, installed)


def _place(path: bytes, dist_info: bytes) -> bytes | None:
    """Return where in site-packages a file of a wheel goes; None for elsewhere."""
    top, _, rest = path.partition(b"/")
    if top != dist_info.removesuffix(b".dist-info") + b".data":
        return path
    kind, _, inner = rest.partition(b"/")
    return inner if kind in _INSTALLED_BESIDE else None


def _dist_info(wheel: Path, paths: Iterable[bytes]) -> bytes:
    tops = {path.partition(b"/")[0] for path in paths if b"/" in path}
    found = [top for top in tops if top.endswith(b".dist-info")]
    if len(found) != 1 or name_and_version(found[0]) is None:
        raise _unusable(wheel, "must have just one folder NAME-VERSION.dist-info")
    return found[0]


# --- a folder, a file -----------------------------------------------------------------------------


def _hashes_in_folder(folder: Path) -> dict[bytes, str]:
    try:
        return hash_files(folder, list_tree(folder))
    except NotMeasurable as error:
        raise FileError("wheel-unreadable", f"{folder}: {error}") from error


def _hashes_in_file(wheel: Path) -> dict[bytes, str]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return {path: _sha256(archive, entry) for path, entry in _entries(wheel, archive)}
    # RuntimeError: an entry is encrypted. NotImplementedError: in a way that Python cannot unpack.
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise FileError(
            "wheel-unreadable", f"{wheel} cannot be read as a wheel ({error}); get it anew."
        ) from error


def _entries(wheel: Path, archive: zipfile.ZipFile) -> Iterator[tuple[bytes, zipfile.ZipInfo]]:
    """Yield the files in a wheel; refuse what installers refuse or take in different ways."""
    entries = archive.infolist()
    size = sum(entry.file_size for entry in entries)
    if len(entries) > ENTRIES_MAX or size > SIZE_MAX:
        raise _unusable(wheel, f"has {len(entries)} entries of {size} bytes together: too many")
    seen = set()
    for entry in entries:
        path = entry.filename.encode("utf-8", "surrogateescape")
        parts = path.removesuffix(b"/").split(b"/")
        if {b"", b".", b".."} & {*parts} or b"\\" in path or path in seen:
            raise _unusable(wheel, f"has {path!a}, which names no file or one twice")
        seen.add(path)
        if not entry.is_dir():
            yield path, entry


def _sha256(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    """Hash an entry; zipfile reads no more than the entry says to have, and checks its CRC."""
    digest = hashlib.sha256()
    with archive.open(entry) as file:
        while part := file.read(_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()


def _unusable(wheel: Path, why: str) -> FileError:
    return FileError(
        "wheel-unusable", f"{os.fspath(wheel)!a} {why}; get the wheel from where it was published."
    )
