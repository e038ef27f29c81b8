"""The versions of a program that this kit is tested with: the one list, versions.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from cczoo_installer.errors import BrokenPatchSet
from cczoo_installer.files import printable

Way = Literal["source", "plugin"]


def supported(root: Path, way: Way) -> list[str]:
    """Return the versions that the list in ``root`` has for one way into a program, as listed.

    Raises BrokenPatchSet when it cannot be read.
    """
    path = root / "versions.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["versions"]
        return [str(entry["version"]) for entry in entries if way in entry["ways"]]
    except (OSError, ValueError, KeyError, TypeError) as trouble:
        raise BrokenPatchSet(
            f"{printable(path)} cannot be read ({printable(trouble)}). Install the kit anew."
        ) from trouble


def listed(root: Path, way: Way) -> str:
    """Return the same as text for a sentence."""
    return ", ".join(supported(root, way)) or "none"
