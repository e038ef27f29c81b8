"""The editions of open-webui that this kit supports: a way in and a version, as in "plugin-0.12.4".

    python3 tools/preparation/editions.py full     # those that the browser suite runs on in full
    python3 tools/preparation/editions.py smoke    # the other versions: it only looks at them
    python3 tools/preparation/editions.py all

patches/open-webui/versions.json is the list; uses nothing but the standard library.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
LIST = REPO / "patches" / "open-webui" / "versions.json"
SOURCE, PLUGIN = "source", "plugin"


def _listed() -> list[tuple[str, list[str]]]:
    entries = json.loads(LIST.read_text())["versions"]
    by_age = sorted(entries, key=lambda entry: _order(entry["version"]))
    return [(entry["version"], entry["ways"]) for entry in by_age]


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def versions(way: str | None = None) -> list[str]:
    """The supported versions, oldest first; only those of one way, if it is given."""
    return [version for version, ways in _listed() if way is None or way in ways]


def every() -> list[str]:
    """All editions, oldest version first."""
    return [f"{way}-{version}" for version, ways in _listed() for way in ways]


def full() -> list[str]:
    """The newest version of each way: what a new user gets."""
    return [f"{way}-{versions(way)[-1]}" for way in (SOURCE, PLUGIN)]


def smoke() -> list[str]:
    """The newest way into each version that none of those is of."""
    known = {way_and_version(edition)[1] for edition in full()}
    ways = {version: way for version, ways in _listed() for way in ways if version not in known}
    return [f"{way}-{version}" for version, way in ways.items()]


def way_and_version(edition: str) -> tuple[str, str]:
    """The two parts of an edition's name.

    Raises ValueError for an edition that is not on the list.
    """
    if edition not in every():
        raise ValueError(f"{edition!r} is none of {', '.join(every())}")
    way, _, version = edition.partition("-")
    return way, version


if __name__ == "__main__":
    print(*{"all": every, "full": full, "smoke": smoke}[sys.argv[1]]())
