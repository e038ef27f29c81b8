"""The source way: apply a patch set to a source tree, and take it back.

What differs from program to program is in the subclasses: `openwebui_tree`, which builds a front
end too, and `trustee_tree`.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cczoo_installer import patchset, tree
from cczoo_installer.errors import LocalEdits, UnsupportedVersion
from cczoo_installer.files import printable, sha256_if_file
from cczoo_installer.install import Installer, Result, Status
from cczoo_installer.journal import NewBuild, NewFile, Plan, Record
from cczoo_installer.kit import kit_version
from cczoo_installer.patchset import PatchSet
from cczoo_installer.versions import Way, supported


@dataclass(frozen=True)
class Building:
    """A front end that comes with the patches: ``how``, in words, and the work itself."""

    how: str
    make: Callable[[], NewBuild]


@dataclass
class PatchedTree(Installer):
    """Works on one source tree of a program."""

    way: ClassVar[Way] = "source"

    def root(self) -> Path:
        """Return the tree's top folder."""
        return self.directory

    @abc.abstractmethod
    def version(self) -> str | None:
        """Return the version that the tree is, None where that cannot be told.

        Raises NotOpenWebui or NotTrustee when it is no tree of the program at all.
        """

    @abc.abstractmethod
    def _no_patches(self, version: str | None) -> str:
        """Say that there are no patches for ``version``, and what to do."""

    # -- looking ------------------------------------------------------------------------------

    def status(self) -> Status:
        """Return the state of the tree; raises what `version` raises."""
        version = self.version()
        patches = self._patch_set(version) if self._is_supported(version) else None
        where = tree.checkout(self.directory)
        record = self.journal.record()
        return Status(
            directory=str(self.directory),
            way=self.way,
            program=self.program,
            version=version,
            supported=patches is not None,
            current=record.patch_set == patches.digest if record and patches else None,
            build=record.build.key if record and record.build else None,
            commit=where.commit if where else None,
            tag=where.tag if where else None,
            **self._state(record),
        )

    def _is_supported(self, version: str | None) -> bool:
        return version in supported(self.patches, self.way)

    def _patch_set(self, version: str | None) -> PatchSet:
        if version is None or not self._is_supported(version):
            raise UnsupportedVersion(self._no_patches(version))
        return patchset.load(self.patches, version)

    # -- installing ---------------------------------------------------------------------------

    def install(self, *, dry_run: bool = False) -> Result:
        """Patch the tree, with all that belongs to it; all or nothing."""
        patches = self._patch_set(self.version())
        if dry_run:
            return self._plan(patches, dry_run=True)[1]
        with self._lock():
            self._record_of(patches.version)
            return self._carry_out(lambda: self._plan(patches, dry_run=False))

    def _plan(self, patches: PatchSet, *, dry_run: bool) -> tuple[Plan | None, Result]:
        """Work out what to install; no plan when it is there already (or for a dry run)."""
        record = self._record_of(patches.version)
        self._refuse_edits(record)
        originals = self._originals(patches, record)
        contents = patches.patched({name: path.read_bytes() for name, path in originals.items()})
        notes = self._notes(patches, record)
        if record is not None and self._is_current(record, patches):
            return None, Result("install", changed=False, way=self.way, notes=notes)
        building = self._building(record, contents)
        result = Result(
            "install",
            changed=True,
            way=self.way,
            edited=tuple(contents),
            build=building.how if building else "none",
            notes=notes,
        )
        if dry_run:
            return None, result
        self.journal.require_changeable(contents, build=building is not None)  # before minutes pass
        plan = Plan(
            program=self.program,
            version=patches.version,
            kit=kit_version(),
            patch_set=patches.digest,
            files={name: NewFile(content, originals[name]) for name, content in contents.items()},
            build=building.make() if building else None,
        )
        return plan, result

    def _building(self, record: Record | None, contents: Mapping[str, bytes]) -> Building | None:
        """Return the front end to build of the tree with the patched ``contents``, if any."""
        return None

    def _originals(self, patches: PatchSet, record: Record | None) -> dict[str, Path]:
        """Return where upstream's content of each edited file is; refuse what is not upstream's."""
        found: dict[str, Path] = {}
        edited: list[str] = []
        for name, digest in patches.upstream.items():
            path = self.journal.original(name, record)
            if path is None or sha256_if_file(path) != digest:
                edited.append(name)
            else:
                found[name] = path
        if edited:
            restore = (
                f"`git checkout v{patches.version} -- FILE`"
                if (self.directory / ".git").exists()
                else "from the source archive"
            )
            raise LocalEdits(
                f"Not as {self.program} {patches.version} ships it: "
                f"{', '.join(map(printable, edited))}. Keep your edit somewhere, put upstream's "
                f"file back ({restore}), install, then make the edit again. Nothing was changed."
            )
        return found

    def _is_current(self, record: Record, patches: PatchSet) -> bool:
        """Whether the tree holds what this run would install."""
        return (
            self.journal.phase == "applied"
            and record.patch_set == patches.digest
            and not self._not_as_installed(record)
        )

    def _notes(self, patches: PatchSet, record: Record | None) -> tuple[str, ...]:
        if record is None or record.patch_set == patches.digest:
            return ()
        return (f"Replaces what kit {printable(record.kit)} had installed.",)

    # -- taking back --------------------------------------------------------------------------

    def revert(self, *, dry_run: bool = False) -> Result:
        """Put the tree back as it was before the installation, byte for byte."""
        version = self.version()
        if dry_run:
            record = self._record_of(version)
            self._refuse_edits(record)
            return self._reverted(record)
        with self._lock():
            record = self._record_of(version)
            self._take_back()
        return self._reverted(record)

    def _reverted(self, record: Record | None) -> Result:
        if record is None:
            return Result("revert", changed=False, way=self.way)
        return Result(
            "revert",
            changed=True,
            way=self.way,
            edited=tuple(name for name, change in record.files.items() if change.before),
            added=tuple(name for name, change in record.files.items() if not change.before),
            build="none" if record.build is None else "taken back",
        )

    def _record_of(self, version: str | None) -> Record | None:
        """Return the installation's record; refuse when another version was put under it.

        A version that cannot be told is no other one: each file is held against the record anyway.
        """
        record = self.journal.record()
        if record is None:
            return None
        if record.program != self.program or version not in {None, record.version}:
            raise LocalEdits(
                f"The kit was installed into {printable(record.program)} "
                f"{printable(record.version)}, and this tree is {self.program} "
                f"{printable(version)} now. Go back to the older version, run --revert, then "
                "update; or start from a fresh tree. Nothing was changed."
            )
        return record
