"""The plug-in way: one hook file for an installed open-webui, of which nothing is changed."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cczoo_installer import package
from cczoo_installer.errors import LocalEdits, MachineTrouble, UnsupportedVersion
from cczoo_installer.files import (
    inside,
    printable,
    sha256_bytes,
    sha256_if_file,
    uninterrupted,
)
from cczoo_installer.hook_line import BESIDE, FILE, hook_line
from cczoo_installer.install import TAKES_UP, Finding, Installer, Result, Status
from cczoo_installer.journal import FileChange, NewFile, Plan, Record
from cczoo_installer.kit import kit_source, kit_version
from cczoo_installer.versions import Way, listed, supported


@dataclass
class HookedPackage(Installer):
    """Works on one installed open_webui package.

    Packages that share a site-packages folder share its hook and its record; each is installed
    and taken back by itself all the same.
    """

    way: ClassVar[Way] = "plugin"

    def __post_init__(self) -> None:
        self.package = package.locate(self.directory)
        super().__post_init__()

    def root(self) -> Path:
        """Return the site-packages folder that gets the hook."""
        return self.package.site

    @property
    def hook(self) -> Path:
        """The hook file."""
        return self.package.site / FILE

    # -- looking ------------------------------------------------------------------------------

    def status(self) -> Status:
        """Return the state of the package; raises NotOpenWebui where there is none nor was."""
        record = self._record()
        gone = record is not None and not self.package.is_there
        version = None if gone else package.version_of(self.package)
        state = self._state(record)
        if self._is_unrecorded():
            state["state"] = "unrecorded"
        return Status(
            directory=str(self.directory),
            way=self.way,
            program=self.program,
            version=version,
            supported=version in supported(self.patches, self.way),
            current=record.patch_set == _digest(record.packages) if record else None,
            hook=str(self.hook) if record else None,
            notes=self._what_is_missing() if record else (),
            **state,
        )

    def _is_unrecorded(self) -> bool:
        """Tell whether our hook for this very package is there, and the record of it is gone."""
        if self.journal.record() is not None:
            return False
        alone = self._names({str(self.package.folder)})
        return sha256_if_file(inside(self.package.site, FILE)) == _digest(alone)

    def _adopt(self, version: str | None) -> None:
        """Write the record of a hook of ours that has lost it."""
        if not self._is_unrecorded():
            return
        self.reporter.say(TAKES_UP)
        names = self._names({str(self.package.folder)})
        mode = self.hook.stat().st_mode & 0o7777
        record = Record(
            program=self.program,
            version=version or "unknown",
            kit=kit_version(),
            patch_set=_digest(names),
            files={FILE: FileChange(None, _digest(names), mode)},
            packages=names,
        )
        with uninterrupted():
            self.journal.adopt(record, {})

    def _record(self) -> Record | None:
        """Return the record of the installation if this package is part of it."""
        record = self.journal.record()
        ours = record is not None and str(self.package.folder) in self._packages(record)
        return record if ours else None

    def _packages(self, record: Record) -> set[str]:
        """Return the real paths of the packages that a hook acts for, as the hook finds them."""
        return {os.path.realpath(self.package.site / name) for name in record.packages}

    def _names(self, packages: set[str]) -> tuple[str, ...]:
        """Return how the hook names packages: no path for the one beside it, wherever that is."""
        beside = os.path.realpath(self.package.site / BESIDE)
        return tuple(sorted(BESIDE if path == beside else path for path in packages))

    def _other_packages(self) -> set[str]:
        """Return the other packages that the hook acts for, without those that are gone."""
        record = self.journal.record()
        others = self._packages(record) - {str(self.package.folder)} if record else set()
        return {name for name in others if Path(name, "main.py").is_file()}

    def _what_is_missing(self) -> tuple[str, ...]:
        if package.kit_is_importable(self.package.site):
            return ()
        return (f"The hook has no effect without the kit. {self._how_to_get_the_kit()}",)

    # -- installing ---------------------------------------------------------------------------

    def install(self, *, attempt: bool = False, dry_run: bool = False) -> Result:
        """Put the hook in place; ``attempt`` goes on with versions that nobody has tested.

        Raises UnsupportedVersion without ``attempt``, and MachineTrouble where the kit is not
        installed for the Python that would run the hook.
        """
        version = package.version_of(self.package)
        found = self._examine(version, attempt)
        if not package.kit_is_importable(self.package.site):
            raise MachineTrouble(
                f"The kit is not installed where open-webui is. {self._how_to_get_the_kit()} "
                "Nothing was changed."
            )
        if dry_run and self._is_unrecorded():
            notes = (TAKES_UP, *self._notes(version))
            return Result("install", changed=True, way=self.way, notes=notes, found=found)
        if dry_run:
            return self._plan(version, found, self._other_packages())[1]
        with self._lock():
            self._adopt(version)
            others = self._other_packages()  # before a stopped run of theirs is taken back
            return self._carry_out(lambda: self._plan(version, found, others))

    def _examine(self, version: str, attempt: bool) -> tuple[Finding, ...]:
        if attempt:
            return package.examine(self.package, self.patches / "anchors.json")
        if version not in supported(self.patches, self.way):
            raise UnsupportedVersion(
                f"open-webui {printable(version)} has not been tested with this kit (tested as a "
                f"package: {listed(self.patches, self.way)}). Add --try to install all the same: "
                "it says what it found of what the kit needs. Nothing was changed."
            )
        return ()

    def _plan(
        self, version: str, found: tuple[Finding, ...], others: set[str]
    ) -> tuple[Plan | None, Result]:
        """Work out what to install; no plan when it is there already."""
        record = self.journal.record()
        self._refuse_edits(record)
        plan = self._plan_for(others | {str(self.package.folder)}, version)
        changed = record is None or not self._is_current(record, plan)
        result = Result(
            "install",
            changed=changed,
            way=self.way,
            added=(str(self.hook),) if changed else (),
            notes=self._notes(version),
            found=found,
        )
        return plan if changed else None, result

    def _plan_for(self, packages: set[str], version: str) -> Plan:
        names = self._names(packages)
        if self.journal.record() is None and os.path.lexists(inside(self.package.site, FILE)):
            raise LocalEdits(
                f"{printable(self.hook)} is there already, and no record says that it is ours. "
                "Move it away and run again. Nothing was changed."
            )
        return Plan(
            program=self.program,
            version=version,
            kit=kit_version(),
            patch_set=_digest(names),
            files={FILE: NewFile(hook_line(names), None)},
            packages=names,
        )

    def _is_current(self, record: Record, plan: Plan) -> bool:
        """Whether the folder holds what ``plan`` would install, whatever open-webui it was."""
        return (
            self.journal.phase == "applied"
            and record.patch_set == plan.patch_set
            and not self._not_as_installed(record)
        )

    def _notes(self, version: str) -> tuple[str, ...]:
        notes = []
        if version not in supported(self.patches, self.way):
            notes.append(f"open-webui {printable(version)} has not been tested with this kit.")
        if self.package.is_elsewhere:
            notes.append(
                f"{printable(self.package.folder)} is in no site-packages folder, so the hook is "
                f"in that of the Python that runs this, {printable(sys.executable)}: run "
                "open-webui with the same one."
            )
        return tuple(notes)

    def _how_to_get_the_kit(self) -> str:
        python = self._python()
        return (
            f"Run `{printable(shlex.quote(python))} -m pip install "
            f"{printable(shlex.quote(kit_source()))}` and try again."
        )

    def _python(self) -> str:
        """Return the Python of the site-packages folder, as well as can be told by its place."""
        if self.package.site == package.our_site():
            return sys.executable
        beside = self.package.site.parents[2] / "bin" / "python"
        return str(beside) if beside.exists() else "python"

    # -- taking back --------------------------------------------------------------------------

    def revert(self, *, dry_run: bool = False) -> Result:
        """Remove the hook and the record, byte for byte; other packages keep theirs.

        Works where open-webui is gone; raises NotOpenWebui where there was none.
        """
        if dry_run and self._is_unrecorded():
            added = (str(self.hook),)
            return Result("revert", changed=True, way=self.way, added=added, notes=(TAKES_UP,))
        if dry_run:
            record, others = self._to_take_back()
            self._refuse_edits(record)
            return self._reverted(record, others)
        with self._lock():
            self._adopt(package.version_of(self.package) if self.package.is_there else None)
            record, others = self._to_take_back()
            result = self._reverted(record, others)
            if record is None:
                self.journal.clean()
            elif others:
                plan = self._plan_for(others, record.version)
                self._carry_out(lambda: (plan, result))
            else:
                self._take_back()
        return result

    def _to_take_back(self) -> tuple[Record | None, set[str]]:
        """Return the record to take back, and the other packages that the hook acts for.

        A hook whose packages are all gone, as after a move, is anybody's to remove.
        """
        others = self._other_packages()
        record = self._record() if others else self.journal.record()
        if record is None:
            package.version_of(self.package)
        return record, others

    def _reverted(self, record: Record | None, others: set[str]) -> Result:
        if record is None:
            return Result("revert", changed=False, way=self.way)
        if others:
            stays = f"The hook stays for {', '.join(map(printable, sorted(others)))}."
            return Result(
                "revert", changed=True, way=self.way, edited=(str(self.hook),), notes=(stays,)
            )
        return Result("revert", changed=True, way=self.way, added=(str(self.hook),))


def _digest(names: Sequence[str]) -> str:
    """Return the SHA-256 of the hook for packages of these names: of all that is installed."""
    return sha256_bytes(hook_line(names))
