"""The patch sets: which files of open-webui and of Trustee we edit, and what the edits come to.

A patch set is a folder ``v<version>/`` with

- ``series``: one patch file name a line, in the order of application,
- ``NNNN-topic.patch``: a header of ``Field: text`` lines, then unified diffs with ``a/`` and
  ``b/`` prefixes, and
- ``upstream.json``: ``{"version", "files": {path: sha256}}``, where ``files`` are the upstream
  files that the patches edit. For open-webui it has ``"sdist_sha256"`` too, the hash of the source
  archive; for Trustee, which names its version nowhere, ``"told_by": {path: sha256}``: files that
  the patches leave alone and that no other release has.

Patches are hooks and nothing else: they add no file. What the kit brings to open-webui is the
Python package ``cczoo_backend``, which serves the page's part too.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cczoo_installer.errors import BrokenPatchSet, MachineTrouble, UnsupportedVersion
from cczoo_installer.files import is_plain_relative, printable, sha256_bytes, sha256_if_file
from cczoo_installer.versions import listed, supported

OPEN_WEBUI, TRUSTEE = "open-webui", "trustee"  # folders of patch sets

MAX_FILES = 10  # existing files that one patch set may edit
MAX_ADDED_LINES = 60  # lines that its patches may add, in all
HEADER_FIELDS = ("Description", "Why", "How to test")

# Ours are hooks only: the new front end must build with upstream's own tool settings.
UNTOUCHABLE = ("package.json", "package-lock.json", "vite.config.ts")

NO_GIT = (
    "git is not installed, and the installer applies its patches with it. Install git (Debian and "
    "Ubuntu: apt-get install git) and run again. Nothing was changed."
)

_VERSION = re.compile(r"\d+(\.\d+)+[A-Za-z0-9.+-]*")
_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_FIELD = re.compile(r"([A-Z][A-Za-z -]*):(?: (.*))?$")


def default_root(program: str = OPEN_WEBUI) -> Path:
    """Return the folder of a program's patch sets that came with this kit."""
    return Path(str(importlib.resources.files("cczoo_installer.patches")), program)


@dataclass(frozen=True)
class Patch:
    """One patch file, read.

    ``fields`` is its header, ``files`` the edited paths in order, ``added`` and ``removed``
    count lines over all of them.
    """

    path: Path
    header: str
    fields: Mapping[str, str]
    files: tuple[str, ...]
    added: int
    removed: int
    oddities: tuple[str, ...]


def read_patch(path: Path) -> Patch:
    """Read a patch file; raises BrokenPatchSet where a diff's line counts do not add up."""
    text = path.read_text(encoding="utf-8")
    lines = text.split("\n")
    first = next((i for i, line in enumerate(lines) if line.startswith("--- ")), len(lines))
    files: list[str] = []
    oddities: list[str] = []
    added = removed = 0
    index = first
    while index < len(lines):
        line = lines[index]
        hunk = _HUNK.match(line)
        if hunk:
            plus, minus, index = _count_hunk(path, lines, index, hunk)
            added, removed = added + plus, removed + minus
            continue
        if line.startswith("--- "):
            files.append(_edited_path(path, line, lines[index + 1 : index + 2], oddities))
            index += 1
        elif line:
            oddities.append(f"unexpected line {printable(line)[:60]!r}")
        index += 1
    header = "\n".join(lines[:first])
    return Patch(path, header, _fields(header), tuple(files), added, removed, tuple(oddities))


def _edited_path(path: Path, line: str, following: list[str], oddities: list[str]) -> str:
    old, new = line[4:], following[0][4:] if following else ""
    if "\t" in old + new:
        oddities.append(f"a time stamp after {printable(old)}")
    if not (old.startswith("a/") and new == "b/" + old[2:]):
        raise BrokenPatchSet(
            f"{path.name}: {printable(old)} and {printable(new)} are not a/FILE and b/FILE. "
            "Patches edit existing files only."
        )
    return old[2:].split("\t")[0]


def _count_hunk(
    path: Path, lines: list[str], index: int, hunk: re.Match[str]
) -> tuple[int, int, int]:
    """Return the added and removed lines of the hunk at ``index``, and the index after it."""
    old, new = (int(count) if count is not None else 1 for count in hunk.groups())
    added = removed = 0
    index += 1
    while (old > 0 or new > 0) and index < len(lines):
        kind = lines[index][:1]
        added, removed = added + (kind == "+"), removed + (kind == "-")
        old -= kind in {" ", "-", ""}
        new -= kind in {" ", "+", ""}
        index += 1
    if old or new:
        raise BrokenPatchSet(f"{path.name}: the hunk {hunk.group()} has too few or many lines.")
    if index < len(lines) and lines[index].startswith("\\"):
        index += 1
    return added, removed, index


def _fields(header: str) -> dict[str, str]:
    """Read ``Field: text`` with indented continuation lines, as in Debian's DEP-3."""
    fields: dict[str, str] = {}
    current = ""
    for line in header.splitlines():
        field = _FIELD.match(line)
        if field:
            current = field.group(1)
            fields[current] = (field.group(2) or "").strip()
        elif line.startswith(" ") and current:
            fields[current] = f"{fields[current]} {line.strip()}".strip()
    return fields


@dataclass(frozen=True)
class PatchSet:
    """What turns one version of a program into what the kit needs of it.

    ``upstream`` has the SHA-256 of the files that the patches edit, ``told_by`` of some by which
    a tree's version is told; ``sdist_sha256`` is that of the source archive, where one is pinned.
    """

    version: str
    folder: Path
    patches: tuple[Patch, ...]
    upstream: Mapping[str, str]
    told_by: Mapping[str, str]
    sdist_sha256: str | None

    @property
    def edited(self) -> tuple[str, ...]:
        """Paths of the existing files that the patches edit, sorted."""
        return tuple(sorted({name for patch in self.patches for name in patch.files}))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything that decides what is installed."""
        total = hashlib.sha256(f"patch set\0{self.version}\0".encode())
        for patch in self.patches:
            total.update(f"patch\0{sha256_bytes(patch.path.read_bytes())}\0".encode())
        return total.hexdigest()

    def patched(self, originals: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return the new content of every edited file, given the upstream content of each.

        Works in a scratch folder that holds nothing else, so neither the tree's own repository
        nor one around it is ever looked at.
        """
        with tempfile.TemporaryDirectory(prefix="cczoo-patch-") as scratch:
            work = Path(scratch, "tree")
            for name in self.edited:
                target = work / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(originals[name])
            for patch in self.patches:
                _apply(patch, work, Path(scratch, "no-repository"))
            return {name: (work / name).read_bytes() for name in self.edited}

    def taken_out(self, name: str, content: bytes) -> bytes | None:
        """Return upstream's content of the edited file ``name`` whose patched one is ``content``.

        None where ``content`` is not what these patches make of upstream's.
        """
        (patch,) = (patch for patch in self.patches if name in patch.files)
        with tempfile.TemporaryDirectory(prefix="cczoo-patch-") as scratch:
            work = Path(scratch, "tree")
            target = work / name
            target.parent.mkdir(parents=True)
            target.write_bytes(content)
            alone = re.sub(r"([\[\]*?\\])", r"\\\1", name)  # git takes it for a pattern
            try:
                _git_apply(patch, work, Path(scratch, "no-repository"), "-R", f"--include={alone}")
            except BrokenPatchSet:
                return None
            original = target.read_bytes()
        return original if sha256_bytes(original) == self.upstream[name] else None


def _apply(patch: Patch, work: Path, no_repository: Path) -> None:
    """Apply one patch with ``git apply``, without fuzz, and check that it did something."""
    before = {name: sha256_bytes((work / name).read_bytes()) for name in patch.files}
    _git_apply(patch, work, no_repository)
    after = {name: sha256_bytes((work / name).read_bytes()) for name in patch.files}
    idle = [name for name in patch.files if after[name] == before[name]]
    if idle:
        raise BrokenPatchSet(
            f"{patch.path.name} left {', '.join(idle)} as it was. Please report this together "
            "with the output of `git --version`. Nothing was changed."
        )


def _git_apply(patch: Patch, work: Path, no_repository: Path, *options: str) -> None:
    no_git = MachineTrouble(NO_GIT)
    try:
        import git
    except ImportError:
        raise no_git from None
    path = patch.path.resolve()
    runner = git.Git(work)
    # GIT_DIR naming no repository ends git's search for one: inside somebody else's checkout
    # `git apply` would otherwise skip every file and call that success. No settings of the
    # user's or the machine's either, they can rewrite white space and line ends.
    runner.update_environment(
        GIT_DIR=str(no_repository),
        GIT_CEILING_DIRECTORIES=str(work.parent),
        GIT_CONFIG_NOSYSTEM="1",
        GIT_CONFIG_SYSTEM=os.devnull,
        GIT_CONFIG_GLOBAL=os.devnull,
        GIT_CONFIG_COUNT="0",
        LC_ALL="C",
    )
    try:
        runner.execute(
            ["git", "apply", "-p1", "--whitespace=nowarn", *options, "--", str(path)],
            kill_after_timeout=60,
        )
    except git.GitCommandNotFound:
        raise no_git from None
    except git.CommandError as trouble:
        raise BrokenPatchSet(
            f"{patch.path.name} does not apply to upstream's own files "
            f"({printable(str(trouble.stderr or '').strip())}). This is a mistake in the kit: "
            "please report it. Nothing was changed."
        ) from trouble


def load(root: Path, version: str) -> PatchSet:
    """Read the patch set for ``version``.

    Raises UnsupportedVersion where there is none and BrokenPatchSet where it cannot be read.
    """
    # The version may come out of somebody's package.json: it must not choose a path freely.
    if not _VERSION.fullmatch(version) or version not in supported(root, "source"):
        raise UnsupportedVersion(
            f"This kit has no patches for {printable(version)}, only for {listed(root, 'source')}. "
            "Nothing was changed."
        )
    folder = root / f"v{version}"
    try:
        facts = json.loads((folder / "upstream.json").read_text(encoding="utf-8"))
        patches = tuple(read_patch(folder / name) for name in read_series(folder / "series"))
        pins = _pins(facts["files"])
        unpinned = {name for patch in patches for name in patch.files} - pins.keys()
        if unpinned:
            raise ValueError(f"upstream.json pins no {', '.join(sorted(unpinned))}")
        return PatchSet(
            version=version,
            folder=folder,
            patches=patches,
            upstream=pins,
            told_by=_pins(facts.get("told_by", {})),
            sdist_sha256=facts.get("sdist_sha256"),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as trouble:
        raise BrokenPatchSet(
            f"The patch set {folder} cannot be read ({printable(trouble)}). Install the kit anew."
        ) from trouble


def _pins(hashes: Mapping[str, str]) -> dict[str, str]:
    return {str(name): str(digest) for name, digest in hashes.items()}


def told_version(root: Path, directory: Path) -> str | None:
    """Return which of the versions in ``root`` the tree in ``directory`` is, by its files alone.

    None where it is none of them. Only what the patches leave alone is looked at, so a tree stays
    what it is when it is patched, or when somebody edits what would be.
    """
    for version in supported(root, "source"):
        told_by = load(root, version).told_by
        if told_by and all(
            sha256_if_file(directory / name) == digest for name, digest in told_by.items()
        ):
            return version
    return None


def read_series(path: Path) -> list[str]:
    """Return the patch file names in ``series``; ``#`` starts a comment."""
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return [line for line in lines if line]


def problems(patch_set: PatchSet, upstream_files: Iterable[str]) -> list[str]:
    """Return what is wrong with a patch set, as sentences; ``upstream_files`` are all paths.

    The rules of the house: patches are listed, explained, thin and deterministic; the build
    settings of open-webui stay what they are.
    """
    upstream = set(upstream_files)
    found = _listing_problems(patch_set)
    for patch in patch_set.patches:
        found += [f"{patch.path.name}: {oddity}" for oddity in patch.oddities]
        missing = [name for name in HEADER_FIELDS if not patch.fields.get(name)]
        found += [f"{patch.path.name}: the header lacks {name}" for name in missing]
        if list(patch.files) != sorted(set(patch.files)):
            found.append(f"{patch.path.name}: files are not sorted, or named twice")
        found += [
            f"{patch.path.name}: edits {name}, which must stay upstream's"
            for name in patch.files
            if name in UNTOUCHABLE
        ]
    owners = Counter(name for patch in patch_set.patches for name in patch.files)
    found += [f"{name}: edited by two patches" for name, count in owners.items() if count > 1]
    if len(patch_set.edited) > MAX_FILES:
        found.append(f"{len(patch_set.edited)} existing files edited, at most {MAX_FILES} allowed")
    added = sum(patch.added for patch in patch_set.patches)
    if added > MAX_ADDED_LINES:
        found.append(f"{added} lines added by patches, at most {MAX_ADDED_LINES} allowed")
    if set(patch_set.upstream) != set(patch_set.edited):
        odd = sorted(set(patch_set.upstream) ^ set(patch_set.edited))
        found.append(f"upstream.json and the patches disagree about {', '.join(odd)}")
    found += [f"{name} is not in upstream" for name in patch_set.edited if name not in upstream]
    return found + [
        f"{printable(name)} is no plain relative path"
        for name in patch_set.edited
        if not is_plain_relative(name)
    ]


def _listing_problems(patch_set: PatchSet) -> list[str]:
    listed = read_series(patch_set.folder / "series")
    present = sorted(path.name for path in patch_set.folder.glob("*.patch"))
    found = [f"{name} is not in series" for name in present if name not in listed]
    if listed != sorted(set(listed)):
        found.append("series is not sorted, or names a patch twice")
    found += [f"{name} is not named NNNN-topic.patch" for name in listed if not _well_named(name)]
    return found


def _well_named(name: str) -> bool:
    return re.fullmatch(r"\d{4}-[a-z0-9-]+\.patch", name) is not None
