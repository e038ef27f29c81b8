"""An open-webui source tree: patched, its front end built and placed, its source fetched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cczoo_installer import frontend, source, tree
from cczoo_installer.errors import BadUsage, BrokenPatchSet, NotOpenWebui, UnsupportedVersion
from cczoo_installer.files import inside, printable
from cczoo_installer.install import Result, cache_root
from cczoo_installer.journal import BUILD, BuildChange, NewBuild, Record
from cczoo_installer.patched_tree import Building, PatchedTree
from cczoo_installer.patchset import PatchSet
from cczoo_installer.versions import listed, supported

_NO_FRONT_END = (
    f"No {BUILD}/ was there before the kit, so none is there without it: open-webui then answers "
    "GET / with 404. --revert --rebuild builds its own one, or `npm run build` in the tree does."
)


@dataclass
class OpenWebuiTree(PatchedTree):
    """Works on one open-webui source tree.

    With ``build``, its front end is built anew; ``cache`` keeps archives and finished front ends.
    With ``rebuild``, taking back leaves a front end of stock open-webui where there was none.
    """

    build: bool = True
    rebuild: bool = False
    cache: Path = field(default_factory=cache_root)

    def version(self) -> str:
        """Return the version that package.json names; raises NotOpenWebui."""
        return tree.openwebui_version(self.directory)

    def _no_patches(self, version: str | None) -> str:
        shown = printable(version)
        sentences = [
            f"The source of open-webui {shown} needs patches, under --try as well, and this kit "
            f"has them for {listed(self.patches, 'source')} (--fetch gets such a source)."
        ]
        if version in supported(self.patches, "plugin"):
            sentences.append(
                f"Installed as a package, {shown} needs none: name the folder of the package, "
                "such as .../site-packages/open_webui."
            )
        sentences.append("docs/porting.md tells how patches are ported. Nothing was changed.")
        return " ".join(sentences)

    # -- the front end ------------------------------------------------------------------------

    def _building(self, record: Record | None, contents: Mapping[str, bytes]) -> Building | None:
        if not self.build:
            return None
        tools = frontend.toolchain(self.env)
        sources = self._sources(record, contents)
        cached = frontend.cached(self.cache, frontend.build_key(sources, tools.major))
        return Building(
            how="from the cache" if cached else "built anew",
            make=lambda: self._build(sources, tools),
        )

    def _sources(self, record: Record | None, contents: Mapping[str, bytes]) -> frontend.Inputs:
        """Return what the front end is built from: the tree without us, then with the patches."""
        changes: dict[str, Path | bytes | None] = {}
        for name in record.files if record else ():
            changes[name] = self.journal.original(name, record)
        return frontend.inputs(self.directory, {**changes, **contents})

    def _build(self, sources: frontend.Inputs, tools: frontend.Toolchain) -> NewBuild:
        inside(self.directory, BUILD)  # no point in building for minutes to refuse then
        made = frontend.build_sources(
            sources, self.cache, tools, reporter=self.reporter, env=self.env
        )
        return NewBuild(made.folder, made.hashes, made.key, tools.major)

    def _build_of_ours(self, contents: Mapping[str, bytes]) -> BuildChange | None:
        place = inside(self.directory, BUILD)
        named = frontend.built_key(place)
        if named is None:
            return None
        sources = frontend.inputs(self.directory, contents)
        for major in frontend.NODE_MAJORS:
            key = frontend.build_key(sources, major)
            if key.startswith(named):
                return BuildChange(key, major, replaced=False)
        return BuildChange(named, 0, replaced=False)  # of sources that were edited since

    # -- taking back --------------------------------------------------------------------------

    def revert(self, *, dry_run: bool = False) -> Result:
        """Put the tree back as it was, byte for byte; with ``rebuild``, and a front end into it."""
        lacks = self._will_lack_a_build()
        stock = self._stock_build() if lacks and self.rebuild and not dry_run else None
        result = super().revert(dry_run=dry_run)
        if stock is not None:
            with self._lock():
                self.journal.place_stock(stock.folder)
        if not lacks:
            note = f"{BUILD}/ is there without it: nothing is to be built." * self.rebuild
        else:
            note = "" if self.rebuild else _NO_FRONT_END
        notes = (*result.notes, *([note] if note and (result.changed or self.rebuild) else []))
        if lacks and self.rebuild:
            return replace(result, changed=True, build="rebuilt", notes=notes)
        return replace(result, notes=notes)

    def _will_lack_a_build(self) -> bool:
        """Tell whether no front end is where the backend looks once the kit is taken back."""
        record = self.journal.record()
        if record is not None and record.build is not None:
            return not record.build.replaced
        place = self.directory / BUILD
        if not place.exists():
            return True
        if frontend.built_key(place) is None or not self._is_supported(self.version()):
            return False
        return self._unrecorded(self._patch_set(self.version())) is not None

    def _stock_build(self) -> frontend.Build:
        """Build the front end of the tree as it is without us; the tree is only read."""
        record = self._record_of(self.version())
        self._refuse_edits(record)
        patches = self._patch_set(self.version())
        contents = self._unrecorded(patches) or {}
        sources, tools = self._sources(record, contents), frontend.toolchain(self.env)
        return frontend.build_sources(
            sources, self.cache, tools, reporter=self.reporter, env=self.env
        )

    def _is_current(self, record: Record, patches: PatchSet) -> bool:
        if not super()._is_current(record, patches):
            return False
        if not self.build:
            return True
        if record.build is None:
            return False
        sources = frontend.inputs(self.directory)
        return frontend.build_key(sources, record.build.node_major) == record.build.key

    def _notes(self, patches: PatchSet, record: Record | None) -> tuple[str, ...]:
        notes = []
        elsewhere = self.env.get("FRONTEND_BUILD_DIR")
        if elsewhere and self.build and Path(elsewhere).absolute() != self.directory / BUILD:
            notes.append(
                f"FRONTEND_BUILD_DIR is set to {printable(elsewhere)}: a backend that is started "
                f"with it serves that folder and not {printable(self.directory / BUILD)}, where "
                "the front end with the badge is. Unset it for the backend."
            )
        replaces = super()._notes(patches, record)
        notes += replaces
        if replaces and record is not None and record.build is not None and not self.build:
            notes.append("Its front end goes, and --no-build brings no new one.")
        return tuple(notes)

    def _shipped_text(self, patches: PatchSet, name: str) -> bytes | None:
        if patches.sdist_sha256 is None:
            return None
        return source.file_of(self._archive(patches), name)

    # -- fetching -----------------------------------------------------------------------------

    def fetch(self, version: str, *, dry_run: bool = False) -> bool:
        """Put the source of ``version`` into the folder if that is missing or empty.

        Returns whether it did, or would. A folder that holds this very version already is fine.
        """
        patches = self._patch_set(version)
        if tree.is_empty_or_missing(self.directory):
            if not dry_run:
                self._fetch(patches)
            return True
        try:
            found = self.version()
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

    def _fetch(self, patches: PatchSet) -> None:
        if patches.sdist_sha256 is None:
            raise BrokenPatchSet(
                f"{patches.folder / 'upstream.json'} pins no source archive. Install the kit anew."
            )
        source.unpack(self._archive(patches), self.directory)

    def _archive(self, patches: PatchSet) -> Path:
        """Return the version's source archive, from the cache or the package index."""
        return source.fetch(
            patches.version,
            str(patches.sdist_sha256),
            self.cache,
            reporter=self.reporter,
            index=source.configured_index(self.env),
        )


def check_fetch_version(text: str) -> str:
    """Accept ``0.5.20`` and ``v0.5.20``; raises BadUsage for anything that is no version."""
    if not re.fullmatch(r"v?\d+(\.\d+)+", text):
        raise BadUsage(f"{printable(text)[:80]!r} is not a version. Write for example 0.5.20.")
    return text.removeprefix("v")
