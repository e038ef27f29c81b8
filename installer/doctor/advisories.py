"""Known advisories of open-webui, and what the kit closes of them: the list is advisories.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cczoo_installer.doctor.findings import Finding, note, ok, unknown
from cczoo_installer.doctor.scene import Scene

LIST = Path(__file__).with_name("advisories.json")
OPEN = "open"
_NAME_IT = "Name --openwebui-dir or --python."
ALL = "https://github.com/open-webui/open-webui/security/advisories"


@dataclass(frozen=True)
class Advisory:
    """One advisory: ``fixed`` is open-webui's first version without it; ``kit`` is closed, partly
    or open, ``by`` what closes it.
    """

    id: str
    ghsa: str
    fixed: str
    what: str
    kit: str
    by: str


@dataclass(frozen=True)
class Advisories:
    """The list: of which version, and as of when (YYYY-MM-DD)."""

    openwebui: str
    as_of: str
    advisories: tuple[Advisory, ...]


def known(path: Path = LIST) -> Advisories:
    """Return the list; raises OSError, ValueError, KeyError or TypeError where it is broken."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    entries = tuple(Advisory(**entry) for entry in document["advisories"])
    return Advisories(document["openwebui"], document["as_of"], entries)


def look(scene: Scene) -> Sequence[Finding]:
    """Return what is known of the version that is there.

    Whoever runs that version chose to, so this is never more than a note.
    """
    listed = known()
    if scene.version is None:
        return [unknown("advisories", "the version of open-webui is not known", _NAME_IT)]
    if scene.version != listed.openwebui:
        what = f"this kit lists no advisories of open-webui {scene.version}"
        return [note("advisories", what, f"They are at {ALL}.")]
    still = [one for one in listed.advisories if one.kit == OPEN]
    closed = [one for one in listed.advisories if one.kit != OPEN]
    count = len(listed.advisories)
    return [
        ok(
            "advisories-closed",
            f"{len(closed)} of {count} known advisories are closed by the kit: {_ids(closed)}",
            advisories=[vars(one) for one in closed],
        ),
        note(
            "advisories-open",
            f"{len(still)} are open, most of them between users of one server: {_ids(still)}",
            "Let in only people who may see each other's chats and files, or take a newer "
            f"open-webui. Each in a sentence: docs/doctor.md (as of {listed.as_of}).",
            advisories=[vars(one) for one in still],
        ),
    ]


def _ids(advisories: Sequence[Advisory]) -> str:
    """Name them shortly: a year's once, then their numbers."""
    words: list[str] = []
    year = ""
    for one in sorted(advisories, key=lambda found: found.id):
        prefix, _dash, number = one.id.rpartition("-")
        words.append(one.id if prefix != year else f"-{number}")
        year = prefix
    return ", ".join(words)
