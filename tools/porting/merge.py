"""Carries each hook to the new version's file: three-way, by git, and by hand where git cannot.

What came of a file lies in a work folder, one for each pair of versions: git's merge, or what
somebody made of a conflict there. A file that lies there is never merged again, so that no work is
lost.
"""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from cczoo_installer import patchset, refresh
from cczoo_installer.errors import BadUsage, MachineTrouble, NotOpenWebui
from cczoo_installer.files import MAX_CHANGED, inside, printable, sha256_bytes

MERGE_SECONDS = 60
MARKERS = (b"<<<<<<< ", b"||||||| ", b"=======", b">>>>>>> ")
# Folders that hold no sources: whatever has a name there is none that moved.
NO_SOURCES = {".git", "node_modules", "build", "__pycache__"}


@dataclass(frozen=True)
class Outcome:
    """What came of one hooked file of the old version.

    ``target`` is its path in the new one. ``trouble`` says what a person has to do, and is empty
    where nothing is; ``note`` says what was done.
    """

    name: str
    target: str
    note: str
    trouble: str = ""


def files_of(archive: Path, wanted: Sequence[str]) -> dict[str, bytes]:
    """Return those files of a source archive, by their paths in the tree."""
    found: dict[str, bytes] = {}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            name = str(PurePosixPath(*PurePosixPath(member.name).parts[1:]))
            content = tar.extractfile(member) if name in wanted and member.isreg() else None
            if content is not None:
                found[name] = content.read()
    return found


def names_in(archive: Path) -> list[str]:
    """Return every file of a source archive, by its path in the tree."""
    with tarfile.open(archive, "r:gz") as tar:
        return [member.name.partition("/")[2] for member in tar if member.isreg()]


def merge(base: bytes, hooked: bytes, stock: bytes, labels: Sequence[str]) -> tuple[bytes, int]:
    """Return ``stock`` with what leads from ``base`` to ``hooked``, and the number of conflicts.

    Conflicts are marked in it, with the base between the two sides. ``labels`` name the three for
    people, in that order. Raises MachineTrouble where git cannot.
    """
    with tempfile.TemporaryDirectory(prefix="cczoo-port-") as scratch:
        for name, content in (("base", base), ("hooked", hooked), ("stock", stock)):
            Path(scratch, name).write_bytes(content)
        of_base, of_hooked, of_stock = labels
        command = ["git", "merge-file", "-p", "-q", "--diff3"]
        for label in (of_stock, of_base, of_hooked):
            command += ["-L", label]
        try:
            done = subprocess.run(
                [*command, "stock", "base", "hooked"],
                cwd=scratch,
                env={
                    "PATH": os.environ.get("PATH", os.defpath),
                    "GIT_DIR": str(Path(scratch, "no-repository")),
                    "GIT_CONFIG_NOSYSTEM": "1",
                    "GIT_CONFIG_GLOBAL": os.devnull,
                    "LC_ALL": "C",
                },
                capture_output=True,
                timeout=MERGE_SECONDS,
                check=False,
            )
        except FileNotFoundError as trouble:
            raise MachineTrouble(patchset.NO_GIT) from trouble
        except subprocess.TimeoutExpired as trouble:
            raise MachineTrouble(
                f"git merge-file took over {MERGE_SECONDS} s. Run again."
            ) from trouble
    if not 0 <= done.returncode < 128:  # the number of conflicts; 255 is a failure
        raise MachineTrouble(
            f"git merge-file failed ({printable(done.stderr.decode(errors='replace'))[:300]}). See "
            "that the file is a text, and run again."
        )
    return done.stdout, done.returncode


@dataclass
class Port:
    """Carries one version's patches to the tree of another.

    ``originals`` are the old version's files as upstream has them. ``tree`` is the new version as
    upstream has it, and is only read. ``moved`` says where a file of the old version went,
    ``dropped`` names those whose hook is not needed any more; ``assigned`` says into which of the
    old version's patches a file goes that needs a hook only now, and is put in by hand.
    """

    old: patchset.PatchSet
    originals: Mapping[str, bytes]
    tree: Path
    version: str
    work: Path
    moved: Mapping[str, str] = field(default_factory=dict)
    dropped: Sequence[str] = ()
    assigned: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = ({*self.moved, *self.dropped}) - set(self.old.edited)
        if unknown:
            raise BadUsage(
                f"{', '.join(map(printable, sorted(unknown)))}: no patch of {self.old.version} "
                f"edits that. It edits {', '.join(self.old.edited)}."
            )
        patches = [patch.path.name for patch in self.old.patches]
        strange = set(self.assigned.values()) - set(patches)
        if strange:
            raise BadUsage(
                f"{', '.join(map(printable, sorted(strange)))}: no patch of {self.old.version}. "
                f"There are {', '.join(patches)}."
            )
        targets = [*map(self.target, self._kept()), *self.assigned]
        if len(set(targets)) < len(targets):
            raise BadUsage("Two files cannot go into one; name different ones.")
        self._stock = {name: read_stock(self.tree, name) for name in targets}

    @property
    def stocks(self) -> dict[str, bytes]:
        """The files of the new version that get hooks, as upstream has them, if they are there."""
        return {name: content for name, content in self._stock.items() if content is not None}

    def target(self, name: str) -> str:
        """Return where a file of the old version is in the new one."""
        return self.moved.get(name, name)

    def _kept(self) -> list[str]:
        return [name for name in self.old.edited if name not in self.dropped]

    def place(self, name: str) -> Path:
        """Return where the work on a file of the new version lies."""
        return inside(self.work, f"files/{name}")

    # -- merging ------------------------------------------------------------------------------

    def run(self) -> list[Outcome]:
        """Merge what has not been merged yet, and say how every file stands."""
        self._begin()
        hooked = self.old.patched(self.originals)
        dropped = [Outcome(name, name, "dropped, as you said") for name in self.dropped]
        merged = [self._outcome(name, hooked[name]) for name in self._kept()]
        return dropped + merged + [self._assigned(name) for name in self.assigned]

    def _begin(self) -> None:
        """Refuse a work folder that was begun with other files: what is in it would undo them."""
        self.work.mkdir(parents=True, exist_ok=True)
        stamp = self.work / "stock.json"
        known = _stamped(stamp)
        now = {name: sha256_bytes(content) for name, content in self.stocks.items()}
        others = [name for name in now.keys() & known.keys() if now[name] != known[name]]
        if others:
            raise BadUsage(
                f"{printable(self.work)} was begun with another {', '.join(sorted(others))}. Move "
                "that folder away to begin anew."
            )
        _put(stamp, (json.dumps(known | now, indent=1, sort_keys=True) + "\n").encode())

    def _outcome(self, name: str, hooked: bytes) -> Outcome:
        target = self.target(name)
        stock, base, place = self._stock[target], self.originals[name], self.place(target)
        if stock is None:
            return Outcome(name, target, "gone", self._where_it_may_be(name))
        if place.exists():
            return self._of_work(name, target, "as it lies in the work folder")
        labels = (
            f"stock {self.old.version}",
            f"hooked {self.old.version}",
            f"stock {self.version}",
        )
        content, _conflicts = merge(base, hooked, stock, labels)
        _put(place, content)
        return self._of_work(name, target, "the same file" if stock == base else "merged")

    def _assigned(self, name: str) -> Outcome:
        """Have a person put a hook into a file that had none."""
        stock, place = self._stock[name], self.place(name)
        if stock is None:
            return Outcome(
                name, name, "not there", f"{self.version} has no such file: name another"
            )
        if not place.exists():
            _put(place, stock)
        return self._of_work(name, name, "as it lies in the work folder")

    def _of_work(self, name: str, target: str, note: str) -> Outcome:
        place = self.place(target)
        content = place.read_bytes()
        numbered = list(enumerate(content.splitlines(), 1))
        own = set((self._stock[target] or b"").splitlines())
        marked = [at for at, line in numbered if line.startswith(MARKERS) and line not in own]
        if marked:
            return Outcome(
                name,
                target,
                "conflict",
                f"put the hook where it belongs in {printable(place)}, between the marked lines "
                f"{', '.join(map(str, marked))}, and take those lines out",
            )
        if not _is_text(content):
            put = f"{printable(place)} is not UTF-8: write it anew, as a text"
            return Outcome(name, target, "no text", put)
        if content == self._stock[target]:
            return Outcome(name, target, "no hook is in it", self._no_hook(name, target))
        return Outcome(name, target, note)

    def _no_hook(self, name: str, target: str) -> str:
        put = f"put one into {printable(self.place(target))}"
        if name in self.assigned:
            return put
        return f"if {self.version} does by itself what the hook did, add --drop {name}; else {put}"

    def _where_it_may_be(self, name: str) -> str:
        alike = sorted(_of_name(self.tree, PurePosixPath(name).name))[:5]
        found = f" (there is {', '.join(map(printable, alike))})" if alike else ""
        return (
            f"it is not in {self.version}{found}: say where its content went, --moved "
            f"{name}=FILE, or that the hook is not needed any more, --drop {name}"
        )

    # -- writing ------------------------------------------------------------------------------

    def texts(self, sdist_sha256: str) -> dict[str, str]:
        """Return the files of the new version's patch set; call it when no trouble is left."""
        stocks, texts = self.stocks, {}
        for patch in self.old.patches:
            names = [self.target(name) for name in patch.files if name not in self.dropped]
            names += [name for name, owner in self.assigned.items() if owner == patch.path.name]
            diffs = [
                refresh.unified_diff(name, stocks[name], self.place(name).read_bytes())
                for name in sorted(names)
            ]
            if diffs:
                texts[patch.path.name] = patch.header.rstrip("\n") + "\n\n" + "".join(diffs)
        texts["series"] = "".join(f"{patch}\n" for patch in sorted(texts))
        facts = {
            "version": self.version,
            "sdist_sha256": sdist_sha256,
            "files": {name: sha256_bytes(stocks[name]) for name in sorted(stocks)},
        }
        texts["upstream.json"] = json.dumps(facts, indent=2) + "\n"
        return texts


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _stamped(stamp: Path) -> dict[str, str]:
    """Return the hashes of the files that a work folder was begun with; none where it is new."""
    if not stamp.is_file():
        return {}
    try:
        known = json.loads(stamp.read_text("utf-8"))
    except (ValueError, RecursionError):
        known = None
    if not isinstance(known, dict):
        raise BadUsage(
            f"{printable(stamp)} cannot be read, so nobody knows what the work beside it was begun "
            "with. Move that folder away to begin anew."
        )
    return known


def _put(path: Path, content: bytes) -> None:
    """Write a file as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_bytes(content)
    temporary.replace(path)


def read_stock(tree: Path, name: str) -> bytes | None:
    """Return a file of a tree, None where there is none; raises NotOpenWebui for odd ones."""
    path = inside(tree, name)
    if not path.exists():
        return None
    if not path.is_file() or path.stat().st_size > MAX_CHANGED:
        raise NotOpenWebui(f"{printable(path)} is no file of open-webui's. Take a fresh tree.")
    return path.read_bytes()


def _of_name(tree: Path, wanted: str) -> Iterator[str]:
    for parent, folders, names in os.walk(tree):
        folders[:] = [name for name in folders if name not in NO_SOURCES]
        if wanted in names:
            yield Path(parent, wanted).relative_to(tree).as_posix()
