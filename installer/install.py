"""What the installer does with any program: look, install, take back; all or nothing.

The two ways in are its subclasses: `patched_tree` changes a source tree, of open-webui or of
Trustee, `hooked_package` puts a hook beside an installed open-webui. The command line sits on top.
"""

from __future__ import annotations

import abc
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from cczoo_installer.errors import LocalEdits
from cczoo_installer.files import (
    inside,
    is_locked,
    locked,
    printable,
    sha256_if_file,
    uninterrupted,
)
from cczoo_installer.journal import BUILD, Journal, Plan, Record, Step, edited_sentence
from cczoo_installer.report import Reporter
from cczoo_installer.versions import Way

TAKES_UP = (
    "This kit is installed here already and its record is gone; it is taken up again by what the "
    "files hold."
)


def cache_root(env: Mapping[str, str] = os.environ) -> Path:
    """Return the kit's cache folder: ``CCZOO_CACHE``, else under the user's cache folder."""
    if env.get("CCZOO_CACHE"):
        return Path(env["CCZOO_CACHE"]).absolute()
    base = env.get("XDG_CACHE_HOME") or Path(env.get("HOME") or Path.home(), ".cache")
    return Path(base, "cczoo").absolute()


@dataclass(frozen=True)
class Finding:
    """One thing that the kit needs of an open-webui, and whether it is there."""

    what: str
    found: bool


@dataclass(frozen=True)
class Result:
    """What a command did or would do. ``changed`` is False where there was nothing to do.

    ``edited`` and ``added`` are relative to the source tree; a hook has its whole path.
    ``found`` is what ``--try`` looked for.
    """

    action: str
    changed: bool
    way: Way
    edited: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    build: str = "none"
    notes: tuple[str, ...] = ()
    found: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Status:
    """How a program stands: ``state`` is one of not-installed, installed, modified, unfinished.

    It can be ``unrecorded`` too: the kit is in place, and its record is gone.

    ``version`` is None where it cannot be told, or where open-webui is gone and our hook is left;
    ``current`` is None where nothing is installed, or nothing could take its place.
    """

    directory: str
    way: Way
    program: str
    version: str | None
    supported: bool
    state: str
    busy: bool
    kit: str | None = None
    patch_set: str | None = None
    current: bool | None = None
    build: str | None = None
    hook: str | None = None
    modified: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    commit: str | None = None
    tag: str | None = None


@dataclass
class Installer(abc.ABC):
    """Works on one copy of a program, with one folder of patch sets and lists."""

    way: ClassVar[Way]
    program: ClassVar[str] = "open-webui"  # its name, for people and in the record

    directory: Path
    patches: Path
    reporter: Reporter
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)
    on_step: Step = field(default=lambda _name: None)

    def __post_init__(self) -> None:
        self.directory = self.directory.absolute()
        self.journal = Journal(self.root(), self.on_step)

    @abc.abstractmethod
    def root(self) -> Path:
        """Return the folder that is changed, and holds the journal."""

    @abc.abstractmethod
    def status(self) -> Status:
        """Return how it stands; raises NotOpenWebui or NotTrustee when it is none."""

    @abc.abstractmethod
    def revert(self, *, dry_run: bool = False) -> Result:
        """Put everything back as it was before the installation, byte for byte."""

    def _state(self, record: Record | None) -> dict[str, Any]:
        """Return the part of a `Status` that the journal knows."""
        busy = is_locked(self.journal.root)
        if record is None:
            return {"state": "not-installed", "busy": busy}
        modified = self._not_as_installed(record)
        applied = "modified" if modified else "installed"
        return {
            "state": applied if self.journal.phase == "applied" else "unfinished",
            "busy": busy,
            "kit": record.kit,
            "patch_set": record.patch_set,
            "modified": tuple(modified),
        }

    def _not_as_installed(self, record: Record) -> list[str]:
        files = [
            name
            for name, change in record.files.items()
            if sha256_if_file(inside(self.journal.root, name)) != change.after
        ]
        edited, gone = self.journal.build_state(record)
        return files + edited + ([BUILD] if gone else [])

    def _carry_out(self, plan_it: Callable[[], tuple[Plan | None, Result]]) -> Result:
        """Take back what was left half-way, then do what ``plan_it`` plans, or nothing."""
        self._recover()
        plan, result = plan_it()
        if plan is not None:
            self.journal.stage(plan)
            with uninterrupted():
                self.journal.commit()
        return result

    def _recover(self) -> None:
        """Take back what a stopped run left unfinished."""
        if self.journal.phase in {"applying", "reverting"}:
            self.reporter.say("An earlier run was stopped half-way; taking it back first.")
            with uninterrupted():
                self.journal.take_back()
        self.journal.discard_leftovers()
        self.journal.clean()

    def _take_back(self) -> None:
        with uninterrupted():
            self.journal.take_back()
            self.journal.clean()

    def _refuse_edits(self, record: Record | None) -> None:
        """Raise LocalEdits when going on would overwrite edits of what we installed."""
        if record is not None:
            edited = self.journal.edited_files(record) + self.journal.edited_build(record)
            if edited:
                raise LocalEdits(edited_sentence(edited))

    def _lock(self) -> Any:
        return locked(
            self.journal.root,
            busy=f"Another cczoo-install is working on {printable(self.journal.root)}. Wait until "
            "it is done, then run again.",
            wait=1.0,  # a --status at this very moment holds it too, for no time
        )
