"""The page's part of the kit: the files that web/ is built to, and what they are named after."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .content import JAVASCRIPT, Content

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1
FILE_BYTES = 4 * 1024 * 1024

_PACKAGE = Path(__file__).parent
# In the wheel; in a checkout, where `npm run build` puts them.
FOLDERS = (_PACKAGE / "page", _PACKAGE.parents[1] / "web" / "dist")


class BundleError(Exception):
    """The files are missing or are not those that were built; the message says what to do."""


@dataclass(frozen=True)
class Bundle:
    """The files by name, and which of them is the loader.

    ``worker`` is the service worker, ``auditors`` what the page for auditors begins with; each is
    None where the bundle has none.
    """

    loader: str
    files: Mapping[str, Content]
    worker: str | None = None
    auditors: str | None = None


def find_bundle(folders: tuple[Path, ...] = FOLDERS) -> Bundle:
    """Return the bundle in the first folder that has one; raise BundleError."""
    for folder in folders:
        if (folder / MANIFEST).exists():
            return read_bundle(folder)
    raise BundleError(
        f"there is no {MANIFEST} in {' or '.join(map(str, folders))}: install the "
        "cczoo-trust-badge wheel, or in a checkout run `npm ci && npm run build` in web/"
    )


def read_bundle(folder: Path) -> Bundle:
    """Return the files that the folder's manifest names, each checked against its SHA-256."""
    loader, others, digests = _read_manifest(folder / MANIFEST)
    files = {name: _read_file(folder / name, digest) for name, digest in digests.items()}
    return Bundle(loader, files, *others)


def _read_manifest(path: Path) -> tuple[str, list[str | None], dict[str, str]]:
    try:
        manifest = json.loads(path.read_bytes())
        loader, files = manifest["loader"], manifest["files"]
        others = [manifest.get(name) for name in ("worker", "auditors")]
        good = (
            manifest["v"] == MANIFEST_VERSION
            and loader in files
            and all(name is None or name in files for name in others)
            # A name becomes part of a page and of a path.
            and all(re.fullmatch(r"[A-Za-z0-9-]+\.js", name) for name in files)
            and all(re.fullmatch("[0-9a-f]{64}", digest) for digest in files.values())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        good = False
    if not good:
        raise BundleError(f"{path} is no manifest of the page's files: {_CURE}")
    return loader, others, files


def _read_file(path: Path, digest: str) -> Content:
    try:
        with path.open("rb") as file:
            body = file.read(FILE_BYTES)
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}): {_CURE}") from None
    if hashlib.sha256(body).hexdigest() != digest:
        raise BundleError(f"{path} is not the file that was built: {_CURE}")
    return Content(body, JAVASCRIPT)


_CURE = "install the cczoo-trust-badge wheel again, or build web/ again"
