"""What the installer does: look, plan, install, take back. The command line sits on top."""

from __future__ import annotations

import importlib.metadata
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cczoo_installer import frontend, patchset, source, tree
from cczoo_installer.errors import BadUsage, LocalEdits, NotOpenWebui, UnsupportedVersion
from cczoo_installer.files import (
    inside,
    is_locked,
    locked,
    printable,
    sha256_file,
    sha256_if_file,
    uninterrupted,
)
from cczoo_installer.journal import (
    BUILD,
    Journal,
    NewBuild,
    NewFile,
    Plan,
    Record,
    Step,
    edited_sentence,
)
from cczoo_installer.patchset import PatchSet
from cczoo_installer.report import Reporter

DISTRIBUTION = "cczoo-trust-badge"


def kit_version() -> str:
    """Return the version of this kit, from its package metadata."""
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def cache_root(env: Mapping[str, str] = os.environ) -> Path:
    """Return the kit's cache folder: ``CCZOO_CACHE``, else under the user's cache folder."""
    if env.get("CCZOO_CACHE"):
        return Path(env["CCZOO_CACHE"]).absolute()
    base = env.get("XDG_CACHE_HOME") or Path(env.get("HOME") or Path.home(), ".cache")
    return Path(base, "cczoo").absolute()


@dataclass(frozen=True)
class Result:
    """What a command did or would do. ``changed`` is False where there was nothing to do."""

    action: str
    changed: bool
    edited: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    build: str = "none"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    """The state of a tree: ``state`` is one of not-installed, installed, modified, unfinished."""

    directory: str
    openwebui: str
    supported: bool
    state: str
    busy: bool
    kit: str | None = None
    patch_set: str | None = None
    current: bool | None = None
    build: str | None = None
    modified: tuple[str, ...] = ()
    commit: str | None = None
    tag: str | None = None


@dataclass
class Installer:
    """Works on one open-webui tree with one folder of patch sets and one cache."""

    directory: Path
    patches: Path
    cache: Path
    reporter: Reporter
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)
    on_step: Step = field(default=lambda _name: None)

    def __post_init__(self) -> None:
        self.directory = self.directory.absolute()
        self.journal = Journal(self.directory, self.on_step)

    # -- looking ------------------------------------------------------------------------------

    def status(self) -> Status:
        """Return the state of the tree; raises NotOpenWebui when it is not one."""
        version = tree.openwebui_version(self.directory)
        supported = version in patchset.supported_versions(self.patches)
        where = tree.checkout(self.directory)
        record = self.journal.record()
        common: dict[str, Any] = {
            "directory": str(self.directory),
            "openwebui": version,
            "supported": supported,
            "busy": is_locked(self.directory),
            "commit": where.commit if where else None,
            "tag": where.tag if where else None,
        }
        if record is None:
            return Status(state="not-installed", **common)
        modified = self._not_as_installed(record)
        phase = self.journal.phase
        return Status(
            state="unfinished" if phase != "applied" else "modified" if modified else "installed",
            kit=record.kit,
            patch_set=record.patch_set,
            current=supported and patchset.load(self.patches, version).digest == record.patch_set,
            build=record.build.key if record.build else None,
            modified=tuple(modified),
            **common,
        )

    def _not_as_installed(self, record: Record) -> list[str]:
        files = [
            name
            for name, change in record.files.items()
            if sha256_if_file(inside(self.directory, name)) != change.after
        ]
        edited, gone = self.journal.build_state(record)
        return files + edited + ([BUILD] if gone else [])

    # -- installing ---------------------------------------------------------------------------

    def install(self, *, build: bool = True, dry_run: bool = False) -> Result:
        """Patch the tree, and build and place the front end; all or nothing."""
        version = tree.openwebui_version(self.directory)
        patches = patchset.load(self.patches, version)
        if dry_run:
            return self._plan(patches, build, dry_run=True)[1]
        with self._lock():
            self._record_of(version)
            self._recover()
            plan, result = self._plan(patches, build, dry_run=False)
            if plan is None:
                return result
            self.journal.stage(plan)
            with uninterrupted():
                self.journal.commit()
        return result

    def _plan(self, patches: PatchSet, build: bool, *, dry_run: bool) -> tuple[Plan | None, Result]:
        """Work out what to install; no plan when it is there already (or for a dry run)."""
        record = self._record_of(patches.version)
        self._refuse_edits(record)
        originals = self._originals(patches, record)
        contents = patches.patched({name: path.read_bytes() for name, path in originals.items()})
        added = patches.added()
        notes = self._notes(patches, record, build)
        if record is not None and self._is_current(record, patches, build):
            return None, Result("install", changed=False, notes=notes)
        tools = frontend.toolchain(self.env) if build else None
        sources = self._sources(record, {**contents, **added}) if build else {}
        result = Result(
            "install",
            changed=True,
            edited=tuple(contents),
            added=tuple(added),
            build=self._how_built(sources, tools),
            notes=notes,
        )
        if dry_run:
            return None, result
        files = {name: NewFile(content, originals.get(name)) for name, content in contents.items()}
        files |= {name: NewFile(content, None) for name, content in added.items()}
        front = self._build(sources, tools) if tools else None
        return Plan(patches.version, kit_version(), patches.digest, files, front), result

    def _refuse_edits(self, record: Record | None) -> None:
        """Raise LocalEdits when going on would overwrite edits of what we installed."""
        if record is not None:
            edited = self.journal.edited_files(record) + self.journal.edited_build(record)
            if edited:
                raise LocalEdits(edited_sentence(edited))

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
        taken = [
            name
            for name in patches.overlay
            if self.journal.original(name, record) is not None
            or (
                (record is None or name not in record.files)
                and os.path.lexists(inside(self.directory, name))
            )
        ]
        if edited or taken:
            raise LocalEdits(self._in_the_way(edited, taken, patches.version))
        return found

    def _in_the_way(self, edited: list[str], taken: list[str], version: str) -> str:
        sentences = []
        if edited:
            restore = (
                f"`git checkout v{version} -- FILE`"
                if (self.directory / ".git").exists()
                else "from the source archive"
            )
            sentences.append(
                f"Not as open-webui {version} ships it: {', '.join(map(printable, edited))}. Keep "
                f"your edit somewhere, put upstream's file back ({restore}), install, then make "
                "the edit again."
            )
        if taken:
            sentences.append(
                f"In the way of files that the kit adds: {', '.join(map(printable, taken))}. Move "
                "them away and run again."
            )
        return " ".join([*sentences, "Nothing was changed."])

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
            return _reverted(record)
        with self._lock():
            record = self._record_of(version)
            with uninterrupted():
                self.journal.take_back()
                self.journal.clean()
        return _reverted(record)

    def _recover(self) -> None:
        """Take back what a stopped run left unfinished."""
        if self.journal.phase in {"applying", "reverting"}:
            self.reporter.say("An earlier run was stopped half-way; taking it back first.")
            with uninterrupted():
                self.journal.take_back()
        self.journal.discard_leftovers()
        self.journal.clean()

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

    def _lock(self) -> Any:
        return locked(
            self.directory,
            busy=f"Another cczoo-install is working on {printable(self.directory)}. Wait until it "
            "is done, then run again.",
            wait=1.0,  # a --status at this very moment holds it too, for no time
        )

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


def _reverted(record: Record | None) -> Result:
    if record is None:
        return Result("revert", changed=False)
    return Result(
        "revert",
        changed=True,
        edited=tuple(name for name, change in record.files.items() if change.before),
        added=tuple(name for name, change in record.files.items() if not change.before),
        build="none" if record.build is None else "taken back",
    )


def check_fetch_version(text: str) -> str:
    """Accept ``0.5.20`` and ``v0.5.20``; raises BadUsage for anything that is no version."""
    if not re.fullmatch(r"v?\d+(\.\d+)+", text):
        raise BadUsage(f"{printable(text)[:80]!r} is not a version. Write for example 0.5.20.")
    return text.removeprefix("v")
