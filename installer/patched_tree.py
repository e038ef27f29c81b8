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

from cczoo_installer import merging, patchset, release, tree
from cczoo_installer.errors import LocalEdits, UnsupportedVersion
from cczoo_installer.files import (
    MAX_CHANGED,
    inside,
    printable,
    sha256_bytes,
    sha256_if_file,
    uninterrupted,
)
from cczoo_installer.install import TAKES_UP, Installer, Result, Status
from cczoo_installer.journal import BuildChange, FileChange, NewBuild, NewFile, Plan, Record
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
    """Works on one source tree of a program.

    With ``merge``, edits of somebody's in files that get hooks are kept, three-way, by git.
    """

    way: ClassVar[Way] = "source"

    merge: bool = False

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
        state = self._state(record)
        if record is not None and patches is not None:
            state["current"] = record.patch_set == patches.digest
        elif patches is not None and self._unrecorded(patches) is not None:
            state |= {"state": "unrecorded", "patch_set": patches.digest, "current": True}
        return Status(
            directory=str(self.directory),
            way=self.way,
            program=self.program,
            version=version,
            supported=patches is not None,
            build=record.build.key if record and record.build else None,
            commit=where.commit if where else None,
            tag=where.tag if where else None,
            **state,
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

            def plan() -> tuple[Plan | None, Result]:
                self._adopt(patches)
                return self._plan(patches, dry_run=False)

            return self._carry_out(plan)

    def _plan(self, patches: PatchSet, *, dry_run: bool) -> tuple[Plan | None, Result]:
        """Work out what to install; no plan when it is there already (or for a dry run)."""
        record = self._record_of(patches.version)
        self._refuse_edits(record)
        if dry_run and record is None and self._unrecorded(patches) is not None:
            return None, Result("install", changed=True, way=self.way, notes=(TAKES_UP,))
        released = self._not_as_released(patches, record)
        notes = (*self._notes(patches, record), *released)
        if record is not None and self._is_current(record, patches):
            return None, Result("install", changed=False, way=self.way, notes=notes)
        originals = self._originals(patches, record)
        contents = self._contents(patches, originals)
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
        if result.build == "built anew":
            for note in released:
                self.reporter.say(note)
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
                wanted = self.merge or self._was_merged(record, name, digest)
                if wanted and path is not None and path.stat().st_size <= MAX_CHANGED:
                    found[name] = path
                    continue
                edited.append(name)
            else:
                found[name] = path
        if edited:
            raise LocalEdits(self._about_edits(patches, edited))
        return found

    def _was_merged(self, record: Record | None, name: str, digest: str) -> bool:
        """Tell whether an edit of a file was there, and merged, when the record was written."""
        return record is not None and name in record.files and record.files[name].before != digest

    def _contents(self, patches: PatchSet, originals: Mapping[str, Path]) -> dict[str, bytes]:
        """Return what every patched file is to hold, edits of somebody's merged in."""
        texts = {name: path.read_bytes() for name, path in originals.items()}
        edited = {n for n, text in texts.items() if sha256_bytes(text) != patches.upstream[n]}
        upstream = texts | {name: self._upstream_text(patches, name) for name in edited}
        contents = patches.patched(upstream)
        merged = {n: merging.merged(texts[n], upstream[n], contents[n]) for n in sorted(edited)}
        conflicts = [name for name, text in merged.items() if text is None]
        if conflicts:
            raise LocalEdits(
                f"Your edit and the kit's change are at the same place of "
                f"{', '.join(map(printable, conflicts))}. Keep your edit somewhere, put upstream's "
                "file back, install, then make the edit again. Nothing was changed."
            )
        return contents | {name: text for name, text in merged.items() if text is not None}

    def _upstream_text(self, patches: PatchSet, name: str) -> bytes:
        """Return what upstream ships as a file, for which the tree holds somebody's edit."""
        digest = patches.upstream[name]
        text = merging.from_repository(self.directory, patches.version, name, digest)
        if text is None:
            text = self._shipped_text(patches, name)
        if text is None or sha256_bytes(text) != digest:
            raise LocalEdits(
                f"To merge your edit of {printable(name)}, {self.program} {patches.version}'s own "
                "file is needed, and it is not in the tree's repository. Fetch that version's tag "
                "(`git fetch --tags`) and run again. Nothing was changed."
            )
        return text

    def _shipped_text(self, patches: PatchSet, name: str) -> bytes | None:
        """Return a file from the version's source archive, where one is known."""
        return None

    def _about_edits(self, patches: PatchSet, edited: list[str]) -> str:
        """Say which files are not upstream's and what to do, also about line ends alone."""
        checkout = (self.directory / ".git").exists()
        back = f"`git checkout v{patches.version} -- FILE`" if checkout else "the source archive"
        named = f"Not as {self.program} {patches.version} ships it: "
        named += ", ".join(map(printable, edited))
        if all(self._is_converted(name, patches.upstream[name]) for name in edited):
            first = "`git config core.autocrlf false`, then " if checkout else "unpacked anew from "
            return (
                f"{named}. Only the line ends differ (CRLF), as git writes them where "
                f"core.autocrlf is on. Put upstream's back ({first}{back}) and run again. "
                "Nothing was changed."
            )
        return (
            f"{named}. Add --merge to have edit and hooks put together; or keep your edit "
            f"somewhere, put upstream's file back ({back}), install, then make the edit again. "
            "Nothing was changed."
        )

    def _is_converted(self, name: str, digest: str) -> bool:
        """Tell whether a file is upstream's with line ends of CRLF."""
        path = inside(self.directory, name)
        if sha256_if_file(path) is None or not path.is_file():
            return False
        if path.stat().st_size > MAX_CHANGED:
            return False
        return sha256_bytes(path.read_bytes().replace(b"\r\n", b"\n")) == digest

    def _unrecorded(self, patches: PatchSet) -> dict[str, bytes] | None:
        """Return upstream's content of each file where the kit is in here without its record.

        A copy without dotfiles, `git clean` or a fork that has the kit committed leave such a
        tree. None where a record is there, or a file is not as this kit patches it: what holds a
        part of the patches is somebody else's work.
        """
        if self.journal.record() is not None:
            return None
        originals = {}
        for name in patches.upstream:
            if (original := self._without_ours(patches, name)) is None:
                return None
            originals[name] = original
        return originals

    def _without_ours(self, patches: PatchSet, name: str) -> bytes | None:
        """Return upstream's content of a file that this kit has patched; None if it has not."""
        path = inside(self.directory, name)
        if sha256_if_file(path) is None or not path.is_file():
            return None
        if path.stat().st_size > MAX_CHANGED:
            return None
        return patches.taken_out(name, path.read_bytes())

    def _adopt(self, patches: PatchSet) -> None:
        """Write the record of an installation of ours that has lost it."""
        found = self._unrecorded(patches)
        if found is None:
            return
        self.reporter.say(TAKES_UP)
        contents = patches.patched(found)
        record = Record(
            program=self.program,
            version=patches.version,
            kit=kit_version(),
            patch_set=patches.digest,
            files={
                name: FileChange(
                    before=sha256_bytes(found[name]),
                    after=sha256_bytes(content),
                    mode=(self.directory / name).stat().st_mode & 0o7777,
                )
                for name, content in contents.items()
            },
            build=self._build_of_ours(contents),
        )
        with uninterrupted():
            self.journal.adopt(record, found)

    def _build_of_ours(self, contents: Mapping[str, bytes]) -> BuildChange | None:
        """Return the front end in the tree if it is one that this kit has built."""
        return None

    def _not_as_released(self, patches: PatchSet, record: Record | None) -> tuple[str, ...]:
        """Say what in the tree is not as the version's release has it, where that is known."""
        path = patches.folder / release.LIST
        if not path.exists():
            return ()
        changed = record.files if record else ()
        ours = {name: self.journal.original(name, record) for name in changed}
        found = release.differences(self.directory, release.read(path), ours)
        return release.told(found, patches.version)

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
        known = self._patch_set(version) if self._is_supported(version) else None
        if dry_run:
            record = self._record_of(version)
            self._refuse_edits(record)
            unrecorded = self._unrecorded(known) if known else None
            if unrecorded is not None:
                edited = tuple(unrecorded)
                return Result("revert", True, self.way, edited=edited, notes=(TAKES_UP,))
            return self._reverted(record)
        with self._lock():
            if known is not None:
                self._adopt(known)
            record = self._record_of(version)
            self._take_back()
        return self._reverted(record)

    def _reverted(self, record: Record | None) -> Result:
        if record is None:
            return Result("revert", changed=False, way=self.way)
        build = "none"
        if record.build is not None:
            build = "restored" if record.build.replaced else "removed"
        return Result(
            "revert",
            changed=True,
            way=self.way,
            edited=tuple(name for name, change in record.files.items() if change.before),
            added=tuple(name for name, change in record.files.items() if not change.before),
            build=build,
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
