"""Which open-webui this run of the browser suite is about: a version, and the kit's way into it.

CCZOO_EDITION names it, as in "plugin-0.12.4"; patches/open-webui/versions.json lists what there is.
Without it, it is the newest version of the source way. CCZOO_TRIED is a version that is not on the
list, and tried as a package all the same (tools/newest.py).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cczoo_installer.patchset import default_root
from cczoo_installer.versions import Way, supported

WAYS: tuple[Way, ...] = ("source", "plugin")


@dataclass(frozen=True)
class Edition:
    """One way into one version."""

    way: Way
    version: str

    def __str__(self) -> str:
        return f"{self.way}-{self.version}"

    @property
    def is_listed(self) -> bool:
        """Whether it is one of those that the kit supports."""
        return self.version in supported(default_root(), self.way)


def every_edition() -> list[Edition]:
    """Return all editions, and one that is tried: per way, oldest version first."""
    tried = os.environ.get("CCZOO_TRIED")
    editions = {Edition(way, version) for way in WAYS for version in supported(default_root(), way)}
    editions |= {Edition("plugin", tried)} if tried else set()
    return sorted(editions, key=lambda each: (WAYS.index(each.way), by_age(each.version)))


def default_edition() -> Edition:
    """Return the newest version of the source way."""
    return [edition for edition in every_edition() if edition.way == "source"][-1]


def this_edition() -> Edition:
    """Return the edition that the environment names; raise ValueError for one not on the list."""
    name = os.environ.get("CCZOO_EDITION") or str(default_edition())
    editions = {str(edition): edition for edition in every_edition()}
    if name not in editions:
        raise ValueError(f"CCZOO_EDITION={name!r} is none of {', '.join(editions)}")
    return editions[name]


def edition_before(edition: Edition) -> Edition | None:
    """Return the edition of the same way with the next older version, if there is one."""
    older = [other for other in every_edition() if other.way == edition.way]
    place = older.index(edition)
    return older[place - 1] if place else None


def python_of(edition: Edition, this: Edition, python: Path) -> Path:
    """Return the interpreter of another edition's environment, given that of ``this`` one.

    They lie side by side (tools/preparation/environments.py): <version>-<way>/bin/python.
    """
    ours = f"{this.version}-{this.way}"
    parts = [f"{edition.version}-{edition.way}" if part == ours else part for part in python.parts]
    return Path(*parts)


def by_age(version: str) -> tuple[int, ...]:
    """Return what sorts versions, oldest first."""
    return tuple(int(part) for part in version.split("."))
