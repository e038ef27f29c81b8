"""The source way: patch an open-webui source tree, build its front end and place that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from cczoo_installer import frontend, patchset, source, tree
from cczoo_installer.errors import BadUsage, LocalEdits, NotOpenWebui, UnsupportedVersion
from cczoo_installer.files import inside, printable, sha256_file
from cczoo_installer.install import Installer, Result, Status, cache_root
from cczoo_installer.journal import BUILD, NewBuild, NewFile, Plan, Record
from cczoo_installer.kit import kit_version
from cczoo_installer.patchset import PatchSet
from cczoo_installer.versions import Way, supported


@dataclass
class PatchedTree(Installer):
    """Works on one open-webui source tree; ``cache`` keeps archives and finished front ends."""

    way: ClassVar[Way] = "source"

    cache: Path = field(default_factory=cache_root)

    def root(self) -> Path:
        """Return the tree's top folder."""
        return self.directory

    # -- looking ------------------------------------------------------------------------------

    def status(self) -> Status:
        """Return the state of the tree; raises NotOpenWebui when it is not one."""
        version = tree.openwebui_version(self.directory)
        is_supported = version in supported(self.patches, self.way)
        where = tree.checkout(self.directory)
        record = self.journal.record()
        digest = patchset.load(self.patches, version).digest if is_supported else None
        return Status(
            directory=str(self.directory),
            way=self.way,
            openwebui=version,
            supported=is_supported,
            current=record.patch_set == digest if record else None,
            build=record.build.key if record and record.build else None,
            commit=where.commit if where else None,
            tag=where.tag if where else None,
            **self._state(record),
        )

    # -- installing ---------------------------------------------------------------------------

    def install(self, *, build: bool = True, dry_run: bool = False) -> Result:
        """Patch the tree, and build and place the front end; all or nothing."""
        version = tree.openwebui_version(self.directory)
        patches = patchset.load(self.patches, version)
        if dry_run:
            return self._plan(patches, build, dry_run=True)[1]
        with self._lock():
            self._record_of(version)
            return self._carry_out(lambda: self._plan(patches, build, dry_run=False))

    def _plan(self, patches: PatchSet, build: bool, *, dry_run: bool) -> tuple[Plan | None, Result]:
        """Work out what to install; no plan when it is there already (or for a dry run)."""
        record = self._record_of(patches.version)
        self._refuse_edits(record)
        originals = self._originals(patches, record)
        contents = patches.patched({name: path.read_bytes() for name, path in originals.items()})
        notes = self._notes(patches, record, build)
        if record is not None and self._is_current(record, patches, build):
            return None, Result("install", changed=False, way=self.way, notes=notes)
        tools = frontend.toolchain(self.env) if build else None
        sources = self._sources(record, contents) if build else {}
        result = Result(
            "install",
            changed=True,
            way=self.way,
            edited=tuple(contents),
            build=self._how_built(sources, tools),
            notes=notes,
        )
        if dry_run:
            return None, result
        files = {name: NewFile(content, originals[name]) for name, content in contents.items()}
        front = self._build(sources, tools) if tools else None
        return Plan(patches.version, kit_version(), patches.digest, files, front), result

    def _build(self, sources: frontend.Inputs, tools: frontend.Toolchain) -> NewBuild:
        inside(self.directory, BUILD)  # no point in building for minutes to refuse then
        made = frontend.build_sources(
            sources, self.cache, tools, reporter=self.reporter, env=self.env
        )
        return NewBuild(made.folder, made.hashes, made.key, tools.major)

    def _originals(self, patches: PatchSet, record: Record | None) -> dict[str, Path]:
        """Return where upstream's content of each edited file is; refuse what is not upstream's."""
        found: dict[str, Path] = {}
        edited: list[str] = []
        for name, digest in patches.upstream.items():
            path = self.journal.original(name, record)
            if path is None or sha256_file(path) != digest:
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
                f"Not as open-webui {patches.version} ships it: "
                f"{', '.join(map(printable, edited))}. Keep your edit somewhere, put upstream's "
                f"file back ({restore}), install, then make the edit again. Nothing was changed."
            )
        return found

    def _is_current(self, record: Record, patches: PatchSet, build: bool) -> bool:
        """Whether the tree holds what this run would install."""
        if self.journal.phase != "applied" or record.patch_set != patches.digest:
            return False
        if self._not_as_installed(record):
            return False
        if not build:
            return True
        if record.build is None:
            return False
        sources = frontend.inputs(self.directory)
        return frontend.build_key(sources, record.build.node_major) == record.build.key

    def _sources(self, record: Record | None, contents: Mapping[str, bytes]) -> frontend.Inputs:
        """Return what the front end is built from: the tree without us, then with the patches."""
        changes: dict[str, Path | bytes | None] = {}
        for name in record.files if record else ():
            changes[name] = self.journal.original(name, record)
        return frontend.inputs(self.directory, {**changes, **contents})

    def _how_built(self, sources: frontend.Inputs, tools: frontend.Toolchain | None) -> str:
        if tools is None:
            return "none"
        key = frontend.build_key(sources, tools.major)
        return "from the cache" if frontend.cached(self.cache, key) else "built anew"

    def _notes(self, patches: PatchSet, record: Record | None, build: bool) -> tuple[str, ...]:
        notes = []
        elsewhere = self.env.get("FRONTEND_BUILD_DIR")
        if elsewhere and build and Path(elsewhere).absolute() != self.directory / BUILD:
            notes.append(
                f"FRONTEND_BUILD_DIR is set to {printable(elsewhere)}: a backend that is started "
                f"with it serves that folder and not {printable(self.directory / BUILD)}, where "
                "the front end with the badge is. Unset it for the backend."
            )
        if record is not None and record.patch_set != patches.digest:
            notes.append(f"Replaces what kit {printable(record.kit)} had installed.")
            if record.build is not None and not build:
                notes.append("Its front end goes, and --no-build brings no new one.")
        return tuple(notes)

    # -- taking back --------------------------------------------------------------------------

    def revert(self, *, dry_run: bool = False) -> Result:
        """Put the tree back as it was before the installation, byte for byte."""
        version = tree.openwebui_version(self.directory)
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

    def _record_of(self, version: str) -> Record | None:
        """Return the installation's record; refuse when open-webui was exchanged under it."""
        record = self.journal.record()
        if record is not None and record.openwebui != version:
            raise LocalEdits(
                f"The kit was installed into open-webui {printable(record.openwebui)}, and this "
                f"tree is {printable(version)} now. Go back to the older version, run --revert, "
                "then update; or start from a fresh tree. Nothing was changed."
            )
        return record

    # -- fetching -----------------------------------------------------------------------------

    def fetch(self, version: str, *, dry_run: bool = False) -> bool:
        """Put the source of ``version`` into the folder if that is missing or empty.

        Returns whether it did, or would. A folder that holds this very version already is fine.
        """
        patches = patchset.load(self.patches, version)
        if tree.is_empty_or_missing(self.directory):
            if not dry_run:
                archive = source.fetch(
                    version,
                    patches.sdist_sha256,
                    self.cache,
                    reporter=self.reporter,
                    index=source.configured_index(self.env),
                )
                source.unpack(archive, self.directory)
            return True
        try:
            found = tree.openwebui_version(self.directory)
        except NotOpenWebui as trouble:
            raise NotOpenWebui(
                f"{printable(self.directory)} holds other files, so nothing was fetched into it. "
                "Name a new or an empty folder."
            ) from trouble
        if found != version:
            raise UnsupportedVersion(
                f"{printable(self.directory)} holds open-webui {printable(found)} already, so "
                f"{version} was not fetched into it. Name a new or an empty folder, or leave "
                "--fetch out."
            )
        return False


def check_fetch_version(text: str) -> str:
    """Accept ``0.5.20`` and ``v0.5.20``; raises BadUsage for anything that is no version."""
    if not re.fullmatch(r"v?\d+(\.\d+)+", text):
        raise BadUsage(f"{printable(text)[:80]!r} is not a version. Write for example 0.5.20.")
    return text.removeprefix("v")
