"""The journal of an installation: what makes it all or nothing, and possible to take back.

It works on one folder, the *root*: a source tree, or the site-packages folder that gets the hook.
Everything lives in ``ROOT/.cczoo-install/``. One folder there holds the whole installation, and
its *name* is the phase, so that a phase changes by one atomic rename that needs no disk space:

- ``staging``: being written; nothing in the root has changed yet;
- ``applying``: complete and on the disk; the root is being changed;
- ``applied``: installed;
- ``reverting``: the root is being changed back;
- ``trash``: over and done with, being removed.

Inside: ``record.json`` (what changes, written once), ``new/`` (contents to come, moved to their
places), ``old/`` (originals), ``build.json`` (hashes of the installed front end). Whatever kills
a run, the phase tells the next one what to do: ``applying`` and ``reverting`` are taken back
file by file, each step looking at what it finds, so the same work may be begun again and again.

In a container a folder of the image (a lower layer of an overlayfs) cannot be renamed. There it is
copied under a passing name, that copy is renamed, and then the folder is removed, its record last.
Of two phases that are there at once the later one counts, and an empty folder is no phase.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from cczoo_installer.errors import LocalEdits, MachineTrouble
from cczoo_installer.files import (
    cannot_be_renamed,
    copy_folder,
    date_after,
    inside,
    is_plain_relative,
    keep_copy,
    printable,
    remove_tree,
    require_changeable,
    same_owner,
    sha256_bytes,
    sha256_file,
    sha256_if_file,
    sync_folder,
    tree_hashes,
    write_durably,
)

HOME = ".cczoo-install"
BUILD = "build"  # where open-webui's backend looks for the front end (FRONTEND_BUILD_DIR)
PAGE = "index.html"  # the one file of a front end whose name says nothing about its content
RECORD_FORMAT = 2
TAKEN_BACK = "build-taken-back"  # beside the record, once our front end is out of the root
STOCK = "stock"  # in our home: open-webui's own front end, on its way to BUILD
COMING = ".coming"  # ends the name of a copy that is being made

Phase = Literal["applying", "applied", "reverting"]
PHASES: tuple[Phase, ...] = ("applying", "applied", "reverting")
Step = Callable[[str], None]


@dataclass(frozen=True)
class FileChange:
    """One file: SHA-256 before (None: not there) and after, and the mode it gets."""

    before: str | None
    after: str
    mode: int


@dataclass(frozen=True)
class BuildChange:
    """The installed front end: its cache key, the Node.js major it was built with, and whether
    a ``build/`` was there before."""

    key: str
    node_major: int
    replaced: bool


@dataclass(frozen=True)
class Record:
    """What one installation changed, in which ``version`` of which ``program``.

    ``packages`` are the open_webui packages that the hook acts for, where it is one, as it names
    them. ``folders`` were created for files of the overlay, which kits of record format 1 up to
    0.1.0 brought; parents first. Format 1 knew open-webui alone, and had its version as
    ``openwebui``.
    """

    program: str
    version: str
    kit: str
    patch_set: str
    files: Mapping[str, FileChange]
    folders: tuple[str, ...] = ()
    build: BuildChange | None = None
    packages: tuple[str, ...] = ()
    format: int = RECORD_FORMAT

    def to_json(self) -> bytes:
        """Return the record as JSON text."""
        return (json.dumps(asdict(self), indent=1, sort_keys=True) + "\n").encode()

    @staticmethod
    def from_json(text: bytes) -> Record:
        """Read a record; raises ValueError on anything that is not one of ours."""
        try:
            data: dict[str, Any] = json.loads(text)
            if data["format"] not in {1, RECORD_FORMAT}:
                raise ValueError(f"format {data['format']}; this kit knows {RECORD_FORMAT}")
            first = data["format"] == 1
            files = {name: FileChange(**change) for name, change in data["files"].items()}
            folders = tuple(data["folders"])
            if not all(is_plain_relative(name) for name in (*files, *folders)):
                raise ValueError("it names a path outside of its folder")
            return Record(
                program="open-webui" if first else data["program"],
                version=data["openwebui"] if first else data["version"],
                kit=data["kit"],
                patch_set=data["patch_set"],
                files=files,
                folders=folders,
                build=BuildChange(**data["build"]) if data["build"] else None,
                packages=tuple(map(str, data.get("packages", ()))),
            )
        except (KeyError, TypeError, AttributeError) as trouble:
            raise ValueError(f"{type(trouble).__name__} {trouble}") from trouble


@dataclass(frozen=True)
class NewFile:
    """A file to install: ``original`` is where upstream's content is now (None: new file)."""

    content: bytes
    original: Path | None


@dataclass(frozen=True)
class NewBuild:
    """A finished front end to install: its folder, hashes, cache key and Node.js major."""

    folder: Path
    hashes: Mapping[str, str]
    key: str
    node_major: int


@dataclass(frozen=True)
class Plan:
    """All that one installation changes. New files have their place in folders that exist."""

    program: str
    version: str
    kit: str
    patch_set: str
    files: Mapping[str, NewFile]
    build: NewBuild | None = None
    packages: tuple[str, ...] = ()


@dataclass
class Journal:
    """The installation state of one root folder.

    ``on_step`` is told the name of each step before it is taken, which is how tests stop a run
    anywhere. ``now`` is the time in nanoseconds since 1970.
    """

    root: Path
    on_step: Step = field(default=lambda _name: None)
    now: Callable[[], int] = time.time_ns

    @property
    def home(self) -> Path:
        """The folder that holds the journal."""
        return self.root / HOME

    @property
    def phase(self) -> Phase | None:
        """Where the installation stands; None when nothing of ours is there."""
        if self.home.is_symlink():
            raise LocalEdits(f"{printable(self.home)} is a symbolic link. Remove it, run again.")
        return next(iter(self._phases()), None)

    def _phases(self) -> list[Phase]:
        """Return the phases whose folders are there, the one that counts first."""
        folders = {path.name for path in self._folders() if path.is_dir() and any(path.iterdir())}
        return [name for name in reversed(PHASES) if name in folders]

    def _folders(self) -> Iterator[Path]:
        """The real folders in our home: a link there is not of our making."""
        if self.home.is_dir():
            yield from (path for path in self.home.iterdir() if not path.is_symlink())

    @property
    def folder(self) -> Path:
        """The folder of the present installation."""
        phase = self.phase
        if phase is None:
            raise ValueError("nothing is installed")
        return self.home / phase

    def record(self) -> Record | None:
        """Return the record of the present installation, None when there is none."""
        if self.phase is None:
            return None
        path = self.folder / "record.json"
        try:
            return Record.from_json(path.read_bytes())
        except (FileNotFoundError, ValueError) as trouble:
            raise MachineTrouble(
                f"The installer's own record {printable(path)} cannot be used "
                f"({printable(trouble)}). If a newer kit wrote it, use that one; else put the "
                f"originals back by hand from {printable(path.parent / 'old')} and remove "
                f"{printable(self.home)}."
            ) from trouble

    # -- looking ------------------------------------------------------------------------------

    def original(self, relative: str, record: Record | None) -> Path | None:
        """Return where upstream's content of a file is now; None when upstream has no such file.

        Sees through an installation of ours in any phase.
        """
        change = record.files.get(relative) if record else None
        if change is not None and change.before is None:
            return None
        kept = self.folder / "old" / relative if change is not None else None
        if kept is not None and kept.is_file():
            return kept
        path = inside(self.root, relative)
        return path if path.is_file() else None

    def edited_files(self, record: Record) -> list[str]:
        """Return the files of ours that hold neither what we wrote nor what was there before.

        A file that is gone is no edit: taking it back loses nothing. That is also the way out
        for somebody who wants to keep an edit: move the file away and revert.
        """
        found = []
        for relative, change in record.files.items():
            now = sha256_if_file(inside(self.root, relative))
            if now not in {change.before, change.after, None}:
                found.append(relative)
        return found

    def edited_build(self, record: Record) -> list[str]:
        """Return the files of the installed front end that are not as we wrote them.

        Raises LocalEdits when there is a link in the front end's place: taking back would stop
        at it half-way.
        """
        if record.build is not None:
            inside(self.root, BUILD)
        return self.build_state(record)[0]

    def build_state(self, record: Record) -> tuple[list[str], bool]:
        """Return the edited files of the installed front end, and whether any of it is gone."""
        if record.build is None:
            return [], False
        if self._leaving.exists():  # of the user's own, which is still being removed
            known, there = tree_hashes(self._leaving), tree_hashes(self.root / BUILD)
            return sorted(f"{BUILD}/{name}" for name, _ in there.items() - known.items()), True
        kept = self.folder / "old" / BUILD
        if not self._our_build_is_in_place(record.build):
            in_the_way = kept.exists() and (self.root / BUILD).is_file()
            return [BUILD] if in_the_way else [], True
        wrote, found = self._installed_hashes(), tree_hashes(self.root / BUILD)
        odd = {name for name, _digest in wrote.items() ^ found.items() if name in found}
        if odd and kept.is_dir() and tree_hashes(kept) == found:
            return [], True  # somebody has put the user's own back
        return sorted(f"{BUILD}/{name}" for name in odd), not wrote.keys() <= found.keys()

    def _installed_hashes(self) -> dict[str, str]:
        path = self.folder / "build.json"
        try:
            hashes: dict[str, str] = json.loads(path.read_bytes())
            return dict(hashes)
        except (FileNotFoundError, ValueError, TypeError) as trouble:
            raise MachineTrouble(
                f"The installer's own record {printable(path)} cannot be used "
                f"({printable(trouble)}). Move {printable(self.root / BUILD)} away and run again."
            ) from trouble

    def _our_build_is_in_place(self, build: BuildChange) -> bool:
        moved_away = (self.folder / "old" / BUILD).exists()
        taken_back = (self.folder / TAKEN_BACK).exists()
        there = (self.root / BUILD).is_dir() and not taken_back
        return there and (moved_away or not build.replaced)

    # -- changing -----------------------------------------------------------------------------

    def stage(self, plan: Plan) -> None:
        """Write everything that ``plan`` needs, so that the change itself is renames only.

        A full disk shows here, before anything has changed. Replaces an older staging.
        """
        try:
            self._stage(plan)
        except BaseException:
            self.discard_leftovers()
            self.clean()
            raise

    def _stage(self, plan: Plan) -> None:
        self.on_step("stage:begin")
        self.home.mkdir(exist_ok=True)
        # Keeps the journal out of `git status` and `git add` in the user's own checkout.
        write_durably(self.home / ".gitignore", b"*\n")
        staging = self.home / "staging"
        self.discard_leftovers()
        staging.mkdir()
        changes = {name: self._stage_file(staging, name, new) for name, new in plan.files.items()}
        self.on_step("stage:build")
        build = self._stage_build(staging, plan.build) if plan.build else None
        fresh = Record(
            program=plan.program,
            version=plan.version,
            kit=plan.kit,
            patch_set=plan.patch_set,
            files=changes,
            build=build,
            packages=plan.packages,
        )
        self.on_step("stage:record")
        write_durably(staging / "record.json", fresh.to_json())
        for folder, _folders, _files in os.walk(staging):
            if not Path(folder).is_relative_to(staging / "new" / BUILD):
                sync_folder(Path(folder))
        self.on_step("stage:end")

    def _stage_file(self, staging: Path, relative: str, new: NewFile) -> FileChange:
        target = staging / "new" / relative
        if new.original is None:
            mode, before = 0o644, None
            write_durably(target, new.content, mode)
            same_owner(target, self.root.stat())
        else:
            like = new.original.stat()
            mode, before = like.st_mode & 0o7777, sha256_file(new.original)
            write_durably(target, new.content, mode)
            same_owner(target, like)
            keep_copy(new.original, staging / "old" / relative)
        return FileChange(before, sha256_bytes(new.content), mode)

    def _stage_build(self, staging: Path, build: NewBuild) -> BuildChange:
        shutil.copytree(build.folder, staging / "new" / BUILD, symlinks=True)
        if tree_hashes(staging / "new" / BUILD) != dict(build.hashes):
            raise MachineTrouble(
                "The front end was damaged while it was copied. Check the disk and run again; "
                "nothing was changed."
            )
        owner = self.root.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:
            for folder, folders, names in os.walk(staging / "new" / BUILD):
                for name in (".", *folders, *names):
                    same_owner(Path(folder, name), owner)
        write_durably(staging / "build.json", json.dumps(dict(build.hashes)).encode())
        os.sync()  # thousands of small files: one sync is far quicker than one for each
        return BuildChange(build.key, build.node_major, self._original_build_exists())

    def _original_build_exists(self) -> bool:
        """Whether a ``build/`` of the user's own is there (perhaps put aside by us)."""
        record = self.record()
        if record is None or record.build is None:
            return inside(self.root, BUILD).exists()
        return record.build.replaced

    @property
    def _leaving(self) -> Path:
        """Where a complete copy of the user's own front end is while that is being removed."""
        return self.folder / "old" / f"{BUILD}.leaving"

    def require_changeable(self, names: Iterable[str], *, build: bool = False) -> None:
        """Raise MachineTrouble or OSError where one of the root's files could not be changed."""
        require_changeable(self.root, [HOME, *names, *([BUILD] if build else [])])

    def adopt(self, record: Record, originals: Mapping[str, bytes]) -> None:
        """Write the journal of an installation that is in place and has none.

        ``originals`` has the content from before of the files that are there; nothing else of the
        root changes.
        """
        self.home.mkdir(exist_ok=True)
        write_durably(self.home / ".gitignore", b"*\n")
        self.discard_leftovers()
        staging = self.home / "staging"
        for name, content in originals.items():
            kept = staging / "old" / name
            write_durably(kept, content, record.files[name].mode)
        if record.build is not None:
            hashes = tree_hashes(self.root / BUILD)
            write_durably(staging / "build.json", json.dumps(hashes).encode())
        write_durably(staging / "record.json", record.to_json())
        for folder, _folders, _files in os.walk(staging):
            sync_folder(Path(folder))
        self.on_step("adopt:end")
        self._enter("staging", "applied")

    def place_stock(self, folder: Path) -> None:
        """Copy a front end to where open-webui looks for it and nothing is: whole or not at all."""
        stock = self.home / STOCK
        self.home.mkdir(exist_ok=True)
        remove_tree(stock)
        copy_folder(folder, stock)
        for parent, folders, names in os.walk(stock):
            for name in (".", *folders, *names):
                same_owner(Path(parent, name), self.root.stat())
        self._date_page(stock, after=stock)
        self.on_step("stock:place")
        stock.rename(inside(self.root, BUILD))
        sync_folder(self.root)
        self.clean()

    def commit(self) -> None:
        """Take back what is installed, if anything, and install what is staged.

        On any trouble while installing the root ends as it was without us and the trouble is
        raised. Where the machine does not even let us take back, the phase says so.
        """
        try:
            staged = Record.from_json((self.home / "staging" / "record.json").read_bytes())
            self._refuse_surprises(staged)
            self.require_changeable(staged.files, build=staged.build is not None)
            self._date_page(self.home / "staging" / "new" / BUILD, after=self.root / BUILD)
            self.take_back()
            self.on_step("commit:begin")
            self._enter("staging", "applying")
            self._install(staged)
            self.on_step("commit:end")
            self._enter("applying", "applied")
        except BaseException:
            if self.phase == "applying":
                self.take_back()
            self.discard_leftovers()
            self.clean()
            raise
        self.on_step("commit:done")
        remove_tree(self.folder / "new")  # only empty folders are left in it

    def _refuse_surprises(self, record: Record) -> None:
        """Look again: minutes may have passed since the plan was made."""
        present = self.record()
        ours = present.files if present else {}
        changed = [
            name
            for name, change in record.files.items()
            if name not in ours and sha256_if_file(inside(self.root, name)) != change.before
        ]
        if record.build is not None and self._original_build_exists() != record.build.replaced:
            changed.append(BUILD)
        if changed:
            raise LocalEdits(
                f"{', '.join(map(printable, changed))} changed while the installer was working. "
                "Nothing was installed; run again."
            )

    def _install(self, record: Record) -> None:
        new = self.folder / "new"
        for name in record.files:
            self.on_step(f"write:{name}")
            (new / name).replace(inside(self.root, name))
        if record.build is not None:
            self._place_build(new / BUILD, record.build)
        self.on_step("commit:sync")
        for folder in {(self.root / name).parent for name in record.files} | {self.root}:
            sync_folder(folder)

    def _place_build(self, fresh: Path, build: BuildChange) -> None:
        place = self.root / BUILD
        if build.replaced:
            self.on_step("build:aside")
            (self.folder / "old").mkdir(exist_ok=True)
            self._put_aside(place, self.folder / "old" / BUILD)
        self.on_step("build:place")
        fresh.rename(place)

    def _put_aside(self, place: Path, kept: Path) -> None:
        """Move the user's own front end to where it is kept."""
        try:
            place.rename(kept)
        except OSError as trouble:
            if not cannot_be_renamed(trouble):
                raise
            self._copy_aside(place, self._leaving)
            self.on_step("build:leaving")
            remove_tree(place)
            self.on_step("build:left")
            self._leaving.rename(kept)

    def _copy_aside(self, folder: Path, target: Path) -> None:
        """Copy ``folder``; ``target`` is there whole or not at all."""
        coming = target.with_name(target.name + COMING)
        remove_tree(coming)
        self.on_step(f"copy:{target.name}")
        copy_folder(folder, coming)
        coming.rename(target)
        sync_folder(target.parent)

    def _date_page(self, coming: Path, *, after: Path) -> None:
        """Date the page of the ``coming`` front end after that of the one whose place it takes.

        open-webui's server answers "not modified" by date alone: a browser that had the one
        page would keep it for ever where the other has an older date.
        """
        date_after(coming / PAGE, after / PAGE, self.now())

    def take_back(self) -> None:
        """Return the root to what it was before the present installation, byte for byte.

        Works in every phase and may be begun again after being stopped anywhere. Raises
        LocalEdits, before anything is changed, when that would lose somebody's edit.
        """
        record = self.record()
        if record is None:
            return
        self._refuse_to_lose(record)
        self._drop_earlier_phases()
        if self.phase == "applied":
            self.require_changeable(record.files, build=record.build is not None)
            self.on_step("revert:begin")
            self._enter("applied", "reverting")
        for name, change in record.files.items():
            self.on_step(f"restore:{name}")
            self._restore(name, change)
        if record.build is not None:
            self._restore_build(record.build)
        self._remove_compiled(record)
        for name in sorted(record.folders, reverse=True):
            self.on_step(f"rmdir:{name}")
            with contextlib.suppress(OSError):  # gone already, or somebody's files are in it
                inside(self.root, name).rmdir()
        for folder in {(self.root / name).parent for name in record.files} | {self.root}:
            if folder.is_dir():
                sync_folder(folder)
        self.on_step("revert:end")
        remove_tree(self.home / "trash")
        self._throw_away()
        self.on_step("revert:trash")
        remove_tree(self.home / "trash")

    def _throw_away(self) -> None:
        try:
            self.folder.rename(self.home / "trash")
        except OSError as trouble:
            if not cannot_be_renamed(trouble):
                raise
            self._remove_phase(self.folder)

    def _remove_phase(self, folder: Path) -> None:
        """Remove a phase's folder so that what is left of it always tells how it stands."""
        last = (TAKEN_BACK, "record.json")
        self.on_step(f"remove:{folder.name}")
        for path in list(folder.iterdir()):
            if path.name not in last:
                remove_tree(path)
        for name in last:
            self.on_step(f"remove:{folder.name}/{name}")
            remove_tree(folder / name)
        folder.rmdir()

    def _drop_earlier_phases(self) -> None:
        """Remove what the one that counts was copied from."""
        for name in self._phases()[1:]:
            self._remove_phase(self.home / name)

    def _refuse_to_lose(self, record: Record) -> None:
        edited = self.edited_files(record) + self.edited_build(record)
        if edited:
            raise LocalEdits(edited_sentence(edited))
        for name, change in record.files.items():
            if change.before is None:
                continue
            now = sha256_if_file(inside(self.root, name))
            kept = sha256_if_file(self.folder / "old" / name)
            if now != change.before and kept != change.before:
                raise MachineTrouble(
                    f"The original of {printable(name)} that the installer had kept in "
                    f"{printable(self.folder / 'old')} is missing or damaged. Put upstream's "
                    "file back by hand (from the same version) and run again. Nothing was changed."
                )

    def _restore(self, relative: str, change: FileChange) -> None:
        path = inside(self.root, relative)
        kept = self.folder / "old" / relative
        if change.before is None:
            path.unlink(missing_ok=True)
        elif kept.is_file() and not _is_right(path, change):
            path.parent.mkdir(parents=True, exist_ok=True)
            # cargo tells a change by a later date alone: it would keep what it built of ours.
            date_after(kept, path, self.now())
            kept.replace(path)

    def _restore_build(self, build: BuildChange) -> None:
        place, kept = inside(self.root, BUILD), self.folder / "old" / BUILD
        gone = self.folder / TAKEN_BACK
        if self._leaving.exists():  # ours has not come yet
            remove_tree(place)
            self._put_back(self._leaving, place)
            return
        if self._our_build_is_in_place(build):
            self.on_step("build:remove")
            self._take_away(place, gone, kept)
        if kept.exists() and not place.exists():
            self._date_page(kept, after=gone if (gone / PAGE).exists() else kept)
            self.on_step("build:restore")
            self._put_back(kept, place)

    def _take_away(self, place: Path, gone: Path, kept: Path) -> None:
        """Move our front end out of the root; ``gone`` says that this is done."""
        try:
            place.rename(gone)
        except OSError as trouble:
            if not cannot_be_renamed(trouble):
                raise
            self._date_page(kept, after=place)
            remove_tree(place)
            self.on_step("build:removed")
            gone.mkdir()

    def _put_back(self, kept: Path, place: Path) -> None:
        try:
            kept.rename(place)
        except OSError as trouble:
            if not cannot_be_renamed(trouble):
                raise
            self._copy_aside(kept, self.folder / "coming")
            (self.folder / "coming").rename(place)

    def _remove_compiled(self, record: Record) -> None:
        """Remove the byte code that Python derived from our files."""
        for name, change in record.files.items():
            path = PurePosixPath(name)
            if change.before is not None or path.suffix != ".py":
                continue
            cache = inside(self.root, path.parent.as_posix()) / "__pycache__"
            if cache.is_symlink():  # what is behind it is not in our folder
                continue
            for compiled in cache.glob(f"{path.stem}.*.pyc"):
                compiled.unlink(missing_ok=True)
            if path.parent.as_posix() in record.folders:
                with contextlib.suppress(OSError):
                    cache.rmdir()

    def discard_leftovers(self) -> None:
        """Remove what a stopped run left half-written or half-removed."""
        self._drop_earlier_phases()
        for name in ("staging", "trash", STOCK, *(f"{phase}{COMING}" for phase in PHASES)):
            remove_tree(self.home / name)

    def clean(self) -> None:
        """Remove the journal's folder when nothing is installed."""
        if self.home.is_dir() and self.phase is None:
            self.discard_leftovers()
            for name in PHASES:  # empty: the last that was removed of one
                with contextlib.suppress(OSError):
                    (self.home / name).rmdir()
            (self.home / ".gitignore").unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # not ours: somebody keeps something in there
                self.home.rmdir()

    def _enter(self, now: str, then: str) -> None:
        try:
            (self.home / now).rename(self.home / then)
        except OSError as trouble:
            if not cannot_be_renamed(trouble):
                raise
            self._copy_aside(self.home / now, self.home / then)
            self._remove_phase(self.home / now)
        sync_folder(self.home)


def _is_right(path: Path, change: FileChange) -> bool:
    """Tell whether a file is already what it was before the change, its mode included."""
    if sha256_if_file(path) != change.before:
        return False
    return path.lstat().st_mode & 0o7777 == change.mode


def edited_sentence(edited: list[str], limit: int = 5) -> str:
    """Say which installed files were edited since, and what to do."""
    named = ", ".join(map(printable, edited[:limit]))
    more = f" and {len(edited) - limit} more" if len(edited) > limit else ""
    one = printable(edited[0].split("/")[0] if edited[0].startswith(f"{BUILD}/") else edited[0])
    return (
        f"Edited since it was installed: {named}{more}. Nothing was changed. To keep the edit, "
        f"move it away (for example `mv {one} {one}.mine`); then run again."
    )
