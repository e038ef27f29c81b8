"""Holding a source tree against the release that it says it is: every file of it.

The patches pin only the files that they edit. But the front end is built from all the others too,
and whatever somebody has put into one of them would go out to every visitor, under our badge.

``release.sha256`` in a patch set is a list as of ``sha256sum``, of the files in the release's
source archive. A folder of very many files has one line, whose name ends with a slash and whose
hash is that of the lines which its files would have.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cczoo_installer.errors import BrokenPatchSet
from cczoo_installer.files import (
    MAX_CHANGED,
    is_plain_relative,
    printable,
    sha256_bytes,
    sha256_file,
)

LIST = "release.sha256"
_MANY = 1000  # files of one folder that get one line

# Where a file that no release has can do something: it is built in, or Python imports it.
_LOOKED_THROUGH = ("backend", "scripts", "src", "static")
# What working with a tree leaves there, and no build and no import reads.
_BY_PRODUCTS = {"__pycache__", "node_modules", ".cczoo-install", ".webui_secret_key"}
_FILLED = ("backend/data", "static/pyodide")  # by the server, and by open-webui's own build


@dataclass(frozen=True)
class Difference:
    """One file that is not as released: ``how`` is changed, line ends, missing or added."""

    name: str
    how: str


def listing(tree: Path) -> str:
    """Return the list of a release from its unpacked source archive."""
    folders: dict[str, list[str]] = {}
    for parent, subfolders, names in os.walk(tree):
        subfolders.sort()
        relative = Path(parent).relative_to(tree).as_posix()
        folders[relative] = sorted(names)
    lines = []
    for folder, names in folders.items():
        hashes = {_join(folder, name): sha256_file(tree / folder / name) for name in names}
        if len(names) > _MANY:
            hashes = {f"{folder}/": _digest(hashes)}
        lines += [f"{digest}  {name}\n" for name, digest in hashes.items()]
    return "".join(sorted(lines, key=lambda line: line[66:]))


def _join(folder: str, name: str) -> str:
    return name if folder == "." else f"{folder}/{name}"


def _digest(hashes: Mapping[str, str]) -> str:
    lines = (f"{digest}  {name}\n" for name, digest in sorted(hashes.items()))
    return sha256_bytes("".join(lines).encode())


def read(path: Path) -> dict[str, str]:
    """Return the hash of every file and folder of a list; raises BrokenPatchSet."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        hashes = {line[66:]: line[:64] for line in lines if line[64:66] == "  "}
    except (OSError, ValueError) as trouble:
        raise BrokenPatchSet(
            f"{printable(path)} cannot be read ({printable(trouble)}). Install the kit anew."
        ) from trouble
    if len(hashes) != len(lines) or not all(is_plain_relative(n.rstrip("/")) for n in hashes):
        raise BrokenPatchSet(f"{printable(path)} is damaged. Install the kit anew.")
    return hashes


def differences(
    tree: Path, released: Mapping[str, str], ours: Mapping[str, Path | None]
) -> list[Difference]:
    """Return how the files in ``tree`` differ from the release, sorted by name.

    ``ours`` are files that the kit has changed, each with where the content from before is.
    """
    found = []
    for name, digest in released.items():
        if name.endswith("/"):
            found += _folder_difference(tree, name, digest)
            continue
        path = ours.get(name, tree / name)
        if path is None or not path.is_file() or (tree / name).is_symlink():
            found.append(Difference(name, "missing"))
        elif path.stat().st_size > MAX_CHANGED:  # no file of a release is: not worth reading
            found.append(Difference(name, "changed"))
        elif sha256_file(path) != digest:
            found.append(Difference(name, _how(path, digest)))
    return sorted(found + _added(tree, released), key=lambda difference: difference.name)


def _how(path: Path, digest: str) -> str:
    """Tell a file whose line ends alone were converted from one that says something else."""
    text = path.read_bytes().replace(b"\r\n", b"\n")
    return "line ends" if sha256_bytes(text) == digest else "changed"


def _folder_difference(tree: Path, name: str, digest: str) -> list[Difference]:
    folder = tree / name
    if not folder.is_dir() or folder.is_symlink():
        return [Difference(name, "missing")]
    with os.scandir(folder) as entries:
        files = [entry for entry in entries if entry.is_file(follow_symlinks=False)]
    if any(entry.stat().st_size > MAX_CHANGED for entry in files):
        return [Difference(name, "changed")]
    hashes = {f"{name}{entry.name}": sha256_bytes(Path(entry).read_bytes()) for entry in files}
    return [] if _digest(hashes) == digest else [Difference(name, "changed")]


def _added(tree: Path, released: Mapping[str, str]) -> list[Difference]:
    """Return the files that the release does not have, where they could do something."""
    whole = tuple(name for name in released if name.endswith("/"))
    found = []
    for top in _LOOKED_THROUGH:
        for parent, folders, names in os.walk(tree / top):
            place = PurePosixPath(Path(parent).relative_to(tree).as_posix())
            folders[:] = [
                name
                for name in folders
                if name not in _BY_PRODUCTS and str(place / name) not in _FILLED
            ]
            if f"{place}/" in whole:
                continue
            links = [name for name in folders if Path(parent, name).is_symlink()]
            for name in (*names, *links):
                relative = str(place / name)
                if relative not in released and name not in _BY_PRODUCTS:
                    found.append(Difference(relative, "added"))
    return found


def told(found: Iterable[Difference], version: str, limit: int = 20) -> tuple[str, ...]:
    """Return sentences about differences, the last one about what they mean."""
    converted = [each for each in found if each.how == "line ends"]
    others = [each for each in found if each.how != "line ends"]
    lines = []
    if others:
        lines.append(f"Not as open-webui {version} was released, and built from all the same:")
        lines += [f"  {each.how}: {printable(each.name)}" for each in others[:limit]]
        if len(others) > limit:
            lines.append(f"  ... and {len(others) - limit} more")
        lines.append("Where these are not your own edits, start from a fresh source (--fetch).")
    if converted:
        lines.append(
            f"{len(converted)} files differ from open-webui {version} in their line ends only "
            "(CRLF), which is what git makes of them where core.autocrlf is on."
        )
    return tuple(lines)
