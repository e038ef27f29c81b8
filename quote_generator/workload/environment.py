"""A Python environment: a digest for each distribution, and all that none of them answers for.

The digest of a distribution is that of the tree of its files in site-packages (``files``). Its
RECORD only says which files are its own: their bytes are read, never RECORD's hashes, and nothing
that RECORD names is opened unless it was found in the folder. Left out is what installers write
themselves, each in its own way, what is compiled at will, and what open-webui writes over while it
runs. So the digest follows from the distribution's wheel alone, wherever it is installed.

Whatever else Python could import from the folder is *unlisted*: a digest and a list of its own.
Only the kit's own hook is not, where it is that byte by byte.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .files import (
    FILES_MAX,
    Kind,
    NotMeasurable,
    hash_files,
    lines_digest,
    list_tree,
    measure_tree,
    read_file,
    sha256sum_line,
    tree_digest,
)

RECORD_MAX = 64 << 20
"""Bytes of a RECORD; those of the largest distributions have 2 million."""

# PEP 376, 427, 610, 627 and 710, and what uv keeps there for itself.
WRITTEN_BY_INSTALLERS = frozenset(
    {
        *(b"RECORD", b"RECORD.jws", b"RECORD.p7s", b"INSTALLER", b"REQUESTED"),
        *(b"direct_url.json", b"provenance_url.json", b"uv_cache.json", b"uv_build.json"),
    }
)

# open-webui copies pictures and scripts to `static` at each start, and keeps its users' data in
# `open_webui/data` unless it is told of another folder. When `open-webui serve` runs for the first
# time it moves the folder `data` of its wheel there, and leaves an archive of it.
REWRITTEN = (b"data", b"open_webui/data", b"open_webui/static")
_IN_REWRITTEN = tuple(folder + b"/" for folder in REWRITTEN)
ARCHIVE_OF_DATA = b"open_webui_data.zip"

# What Python imports, runs at its start, or takes for a folder of modules; and what the dynamic
# linker may find beside a compiled module (libz.so.1).
_IMPORTABLE = re.compile(rb"\.(py|pyc|so|so\.[^/]*|pth|start|zip|egg|egg-link)\Z", re.DOTALL)
_LIBRARY = re.compile(rb"\.so(\.[^/]*)?\Z", re.DOTALL)
_METADATA = (b".dist-info", b".egg-info")

HOOK = b"cczoo_open_webui.pth"
"""What cczoo-install adds to a site-packages folder (installer/hook_line.py)."""

HOOK_SHA256 = "eb349d39d8dfa6f2dd437f4199e8bc33fa508f6d939f6a7dc85aebee1481bf93"
"""Of the hook for the package beside it, which names no path; another one differs in that alone."""

HOOK_MAX = 64 << 10
"""Bytes of a hook that are read, more than any path has."""

_SITES = ("site-packages", "dist-packages")
_DIST_INFO = re.compile(rb"([A-Za-z0-9._-]+)-([A-Za-z0-9._+!]+)\.dist-info")
# A compiled module as Python caches it: `name.cpython-311.pyc`, `name.cpython-311.opt-1.pyc`.
_BYTECODE = re.compile(rb"(.*/)?__pycache__/[^/]+\.[^/]+\.pyc", re.DOTALL)


@dataclass(frozen=True)
class Distribution:
    """Distribution is one that is installed: its normalized name, its version and its digest.

    ``missing`` counts files that its RECORD names and that are not there.
    """

    name: str
    version: str
    digest: str
    files: int
    missing: int = 0

    @property
    def line(self) -> bytes:
        """The distribution's line in the environment's digest."""
        return f"{self.digest.removeprefix('sha256:')}  {self.name}=={self.version}\n".encode()


@dataclass(frozen=True)
class Environment:
    """Environment is what Python can import, besides its standard library.

    The digests of what is ``unlisted`` and of ``bytecode``, the compiled modules that Python itself
    caches, are digests of trees. Distributions that are there twice are named twice.
    """

    digest: str
    distributions: tuple[Distribution, ...]
    unlisted: str
    unlisted_files: tuple[bytes, ...]
    bytecode: str
    bytecode_files: int

    def distribution(self, name: str) -> Distribution:
        """Return the one distribution of this name. Raises NotMeasurable."""
        named = [each for each in self.distributions if each.name == normalized(name)]
        if len(named) != 1:
            code = "distribution-twice" if named else "no-distribution"
            raise NotMeasurable(code, f"{name} is installed {len(named)} times; it must be once.")
        return named[0]


@dataclass(frozen=True)
class Interpreter:
    """Interpreter is Python's standard library: the digest of its folder, and the version.

    ``links`` lead out of the folder: what is there is not in the digest.
    """

    digest: str
    version: str
    links: tuple[bytes, ...]


def measure_environment(
    folders: Sequence[str | os.PathLike[str]], package: str | os.PathLike[str] | None = None
) -> Environment:
    """Measure folders that Python imports from, in any order. Raises NotMeasurable.

    ``package`` is an open_webui that runs out of its sources: it has a digest of its own.
    """
    apart = None if package is None else os.path.realpath(package)
    parts = [_measure_folder(folder, apart) for folder in {*map(os.path.realpath, folders)}]
    distributions = sorted(
        (each for part in parts for each in part.distributions), key=lambda each: each.line
    )
    unlisted = [each for part in parts for each in part.unlisted.items()]
    bytecode = [each for part in parts for each in part.bytecode.items()]
    return Environment(
        environment_digest(distributions),
        tuple(distributions),
        _merged_digest(unlisted),
        tuple(sorted(path for path, _ in unlisted)),
        _merged_digest(bytecode),
        len(bytecode),
    )


def measure_interpreter(library: str | os.PathLike[str], version: str) -> Interpreter:
    """Measure the folder of the standard library, without packages that are installed in it."""
    tree = measure_tree(library, skips=_is_not_of_library)
    return Interpreter(tree.digest, version, tree.links)


def environment_digest(distributions: Iterable[Distribution]) -> str:
    """Return the digest of an environment that holds these distributions."""
    return lines_digest(sorted(each.line for each in distributions))


def normalized(name: str) -> str:
    """Return a distribution's name as all its spellings are written (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


# --- which files count: for installed files and for those of a wheel ------------------------------


def name_and_version(dist_info: bytes) -> tuple[str, str] | None:
    """Return what a folder of metadata is for; None for one that no installer wrote."""
    match = _DIST_INFO.fullmatch(dist_info)
    return (normalized(match[1].decode()), match[2].decode()) if match else None


def is_counted(path: bytes) -> bool:
    """Whether a file that a distribution names belongs to its digest."""
    if _BYTECODE.fullmatch(path) or _is_written_by_installer(path):
        return False
    return _is_module_there(path) if _is_rewritten(path) else True


def _is_written_by_installer(path: bytes) -> bool:
    top, _, name = path.partition(b"/")
    return name in WRITTEN_BY_INSTALLERS and top.endswith(b".dist-info")


def _is_rewritten(path: bytes) -> bool:
    return path.startswith(_IN_REWRITTEN)


def _is_importable(path: bytes) -> bool:
    if _is_rewritten(path):
        return _is_module_there(path)
    is_metadata = _top(path).lower().endswith(_METADATA)
    return is_metadata or (_IMPORTABLE.search(path) is not None and path != ARCHIVE_OF_DATA)


def _is_module_there(path: bytes) -> bool:
    """Whether an import statement could name a file in a folder that open-webui writes to.

    People's uploads lie there too, whose names hold a UUID: nobody imports those.
    """
    return _IMPORTABLE.search(path) is not None and _is_nameable(path)


def _is_nameable(path: bytes) -> bool:
    stems = (part.partition(b".")[0] for part in path.split(b"/"))
    return all(os.fsdecode(stem).isidentifier() for stem in stems)


def _is_out_of_reach(path: bytes) -> bool:
    """Whether no import leads to a path: a folder on the way has a dot in its name (``.cache``).

    The linker looks into one such folder for libraries (``numpy.libs``, ``numpy/.libs``), and
    setuptools puts what is in ``NAME.egg`` within reach.
    """
    *folders, name = path.split(b"/")
    dotted = [folder for folder in folders if b"." in folder]
    if not dotted or folders[0].lower().endswith((*_METADATA, b".egg")):
        return False
    return dotted != folders[-1:] or _LIBRARY.search(name) is None


def _is_entered(folder: bytes) -> bool:
    return not _is_rewritten(folder) or _is_nameable(folder)


def _is_not_of_library(path: bytes) -> bool:
    return bool({b"__pycache__", b"site-packages", b"dist-packages"} & {*path.split(b"/")})


# --- a folder -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Folder:
    distributions: list[Distribution]
    unlisted: dict[bytes, str]
    bytecode: dict[bytes, str]


def _measure_folder(folder: str, package: str | None) -> _Folder:
    found = list_tree(folder, enters=_is_entered)
    metadata = _metadata(found)
    names = {info: _names(folder, info, own) for info, own in metadata.items()}
    listed = {path for named in names.values() for path in named if path in found}
    bytecode = {path for path in found if _BYTECODE.fullmatch(path)}
    others = {*found} - listed - bytecode - _written_by_installers(metadata, found)
    unlisted = {path for path in others if _is_told(path, found[path])}
    unlisted -= _known(folder, found, package)
    hashes = hash_files(folder, {path: found[path] for path in listed | bytecode | unlisted})
    return _Folder(
        [_distribution(info, named, hashes) for info, named in names.items()],
        {path: hashes[path] for path in unlisted},
        {path: hashes[path] for path in bytecode},
    )


def _is_told(path: bytes, kind: Kind) -> bool:
    """Whether something that no distribution names counts as unlisted.

    A link does whatever it is called, for a whole package may be behind it; and what is no file is
    an error. Among open-webui's data, sockets and the like are its own affair, and so are they
    where no import leads.
    """
    if _is_rewritten(path):
        return _is_module_there(path) or (kind is Kind.LINK and _is_nameable(path))
    if _is_out_of_reach(path):
        return False
    return kind is not Kind.FILE or _is_importable(path)


def _known(folder: str, found: Mapping[bytes, Kind], package: str | None) -> set[bytes]:
    """Return what no distribution names and is known all the same: the hook, and ``package``."""
    known = {HOOK} if _is_hook_there(folder, found, package) else set()
    if package is not None:
        below = os.fsencode(os.path.relpath(package, folder)) + b"/"
        known |= {path for path in found if path.startswith(below)}
    return known


def _is_hook_there(folder: str, found: Mapping[bytes, Kind], package: str | None) -> bool:
    """Whether a site-packages folder has the kit's hook for the package beside it.

    Or for ``package``: with one name in the other's place it is the same then. The name is in it
    once, so nothing else can be.
    """
    if os.path.basename(folder) not in _SITES or found.get(HOOK) is not Kind.FILE:
        return False
    line = read_file(folder, HOOK, HOOK_MAX)
    if package is not None:
        line = line.replace(_named_in_hook(package), _named_in_hook("open_webui"))
    return hashlib.sha256(line).hexdigest() == HOOK_SHA256


def _named_in_hook(package: str) -> bytes:
    return ascii((package,)).encode()


def _metadata(found: Iterable[bytes]) -> dict[bytes, set[bytes]]:
    """Return for each distribution's folder of metadata what is in it."""
    metadata: dict[bytes, set[bytes]] = {}
    for path in found:
        top = _top(path)
        if top != path and name_and_version(top):
            metadata.setdefault(top, set()).add(path)
    return metadata


def _written_by_installers(
    metadata: Mapping[bytes, set[bytes]], found: Mapping[bytes, Kind]
) -> set[bytes]:
    """Return the files that an installer wrote about a distribution."""
    own = (path for paths in metadata.values() for path in paths)
    return {path for path in own if found[path] is Kind.FILE and _is_written_by_installer(path)}


def _top(path: bytes) -> bytes:
    return path.partition(b"/")[0]


def _names(folder: str | os.PathLike[str], dist_info: bytes, own: set[bytes]) -> set[bytes]:
    """Return the files that a distribution names and that count, with those of its metadata."""
    record = dist_info + b"/RECORD"
    named = _named_by(read_file(folder, record, RECORD_MAX), record) if record in own else set()
    return {path for path in named | own if is_counted(path)}


def _named_by(record: bytes, name: bytes) -> set[bytes]:
    """Return the paths inside of the folder that a RECORD names.

    Those that lead out of it (scripts, headers) are no part of what is measured.
    """
    text = io.StringIO(record.decode("utf-8", "surrogateescape"), newline="")
    paths = set()
    try:
        for row in csv.reader(text):
            path = os.path.normpath(row[0].encode("utf-8", "surrogateescape")) if row else b""
            if path and not path.startswith((b"/", b"../")) and path not in (b".", b".."):
                paths.add(path)
    except (csv.Error, UnicodeError) as error:
        shown = ascii(os.fsdecode(name))[1:-1]
        raise NotMeasurable("bad-record", f"{shown} is no RECORD ({error})", path=shown) from error
    if len(paths) > FILES_MAX:
        raise NotMeasurable("too-many-files", f"a RECORD names more than {FILES_MAX} files")
    return paths


def _distribution(dist_info: bytes, named: set[bytes], hashes: Mapping[bytes, str]) -> Distribution:
    name, version = name_and_version(dist_info) or ("", "")
    own = {path: hashes[path] for path in named if path in hashes}
    return Distribution(name, version, tree_digest(own), len(own), len(named) - len(own))


def _merged_digest(hashed: Iterable[tuple[bytes, str]]) -> str:
    """Return the digest of files of several folders, in one order whatever the folders' is."""
    return lines_digest(sha256sum_line(digest, path) for path, digest in sorted(hashed))
