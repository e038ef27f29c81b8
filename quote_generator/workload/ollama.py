"""Models as Ollama keeps them, and the digest by which a model is known.

A store is a folder with two in it: ``manifests/<host>/<namespace>/<model>/<tag>`` are small JSON
files that name layers, ``blobs/sha256-<hex>`` the layers and configs themselves. Ollama names a
blob by its hash when it writes it, and never looks again: altered weights are served under the old
name. So nothing here believes a name: a model's digest is that of what its blobs hold.

It is SHA-256 over a canonical text: the config's digest, and digest and media type of each layer
in the manifest's order (and its name, which newer Ollama gives to single tensors). Licenses are
left out, and so is what only this copy knows, such as the model that it was made ``from``. From a
published manifest alone follows the same digest, if it tells the truth.

Where the kernel keeps the fs-verity digest of every such blob, those are taken instead: they cost
nothing, and the kernel holds each later read against them. That makes another digest, because
fs-verity's is the hash of a tree; who has the blobs computes it too (`fsverity.Tree`).

Ollama reads JSON loosely. What is read here has one meaning to any reader, or none.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from ..errors import BadInput, QuoteGeneratorError
from . import fsverity
from .text import canonical_text

MAX_MANIFEST = 4 << 20
"""Bytes of a manifest; those of models with a layer for each tensor reach some hundred KiB."""

MAX_LAYERS = 8192
MAX_BLOB = 4 << 40

MAX_NAMES = 10_000
"""Models of a store that are looked at, and entries of its folders."""

BY_BYTES, BY_VERITY = "sha256", fsverity.KIND
"""The kinds of digests of blobs, as they are written before the colon and the hex digits."""

LICENSE = "application/vnd.ollama.image.license"

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")

Fingerprint = tuple[int, int, int, int, int]
"""Device, inode, size, mtime and ctime in nanoseconds of a file.

Whoever may write a file can set its mtime back, but not its ctime; root can, with the clock, and
whoever writes to the disk below the file system changes neither.
"""

Known = MutableMapping[Fingerprint, str]
"""Digests of files that were hashed already; another file, or a changed one, is not in it."""


class NotMeasured(QuoteGeneratorError):  # noqa: N818 - named for the state, as the field does
    """NotMeasured: there is no digest of this model; ``why`` is stable and meant for programs."""

    code = "not-measured"

    def __init__(self, why: str, message: str, *, errno: int | None = None) -> None:
        super().__init__(message, errno=errno)
        self.why = why


# --- names ---------------------------------------------------------------------------------------

_PARTS = tuple(
    re.compile(pattern)
    for pattern in (
        "[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}",
        "[A-Za-z0-9_][A-Za-z0-9_-]{0,79}",
        "[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}",
        "[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}",
    )
)
"""What Ollama takes as host, namespace, model and tag; it passes by files with other names."""

_DEFAULTS = ("registry.ollama.ai", "library", "", "latest")


@dataclass(frozen=True, order=True)
class Name:
    """Name is a model's whole name. It has no character that could lead anywhere or hide."""

    host: str
    namespace: str
    model: str
    tag: str

    def __post_init__(self) -> None:
        if not all(map(re.Pattern.fullmatch, _PARTS, self.parts)):
            raise NotMeasured("bad-name", "Ollama gives no model such a name.")

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """Return the names of the folders, and of the file, that lead to the manifest."""
        return self.host, self.namespace, self.model, self.tag

    @property
    def folded(self) -> Name:
        """Return the name as Ollama compares names: without case."""
        return Name(*(part.lower() for part in self.parts))

    def __str__(self) -> str:
        """Return the name as Ollama shows it: without host and namespace where they are usual."""
        host, namespace = self.folded.parts[:2]
        if host != _DEFAULTS[0]:
            return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"
        return f"{'' if namespace == _DEFAULTS[1] else self.namespace + '/'}{self.model}:{self.tag}"


def parse_name(text: str) -> Name:
    """Return the name in what a person writes, or Ollama shows. Raise NotMeasured (bad-name)."""
    front, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:  # that colon is before a port
        front, tag = text, _DEFAULTS[3]
    *before, model = front.split("/")
    if len(before) > 2:
        raise NotMeasured("bad-name", "Ollama gives no model such a name.")
    host, namespace = [*_DEFAULTS[: 2 - len(before)], *before]
    return Name(host, namespace, model, tag)


# --- manifests -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """Layer is one entry of a manifest, its digest as claimed there."""

    media_type: str
    digest: str
    name: str = ""


@dataclass(frozen=True)
class Manifest:
    """Manifest is what a manifest says.

    ``digest`` is the hash of its file, which Ollama's ``/api/tags`` shows as the model's.
    """

    config: Layer
    layers: tuple[Layer, ...]
    digest: str

    @property
    def counted(self) -> tuple[Layer, ...]:
        """Return the config and the layers that make the model, without its licenses."""
        return (self.config, *(each for each in self.layers if each.media_type != LICENSE))


_MEMBERS = frozenset({"schemaVersion", "mediaType", "config", "layers"})
_LAYER_MEMBERS = frozenset({"mediaType", "digest", "size", "from", "name"})


def parse_manifest(data: bytes) -> Manifest:
    """Return what a manifest says. Raise NotMeasured (bad-manifest) where that is not certain."""
    if len(data) > MAX_MANIFEST:
        raise _bad_manifest(f"it is larger than {MAX_MANIFEST} bytes")
    try:
        document = _JSON.decode(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _bad_manifest("it is no JSON that every reader reads alike") from error
    members = _known_members(document, _MEMBERS)
    layers = members.get("layers")
    if members.get("schemaVersion") != 2 or not isinstance(layers, list):
        raise _bad_manifest("it is not of version 2, or has no list of layers")
    if len(layers) > MAX_LAYERS:
        raise _bad_manifest(f"it has more than {MAX_LAYERS} layers")
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    return Manifest(_layer(members.get("config")), tuple(map(_layer, layers)), digest)


def _layer(value: object) -> Layer:
    members = _known_members(value, _LAYER_MEMBERS)
    media_type, digest, size = (members.get(key) for key in ("mediaType", "digest", "size"))
    name = members.get("name", "")
    if not isinstance(media_type, str) or not media_type or not isinstance(name, str):
        raise _bad_manifest("a layer has no media type, or a name that is no text")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise _bad_manifest("a layer's digest is not sha256: and 64 digits")
    if type(size) is not int or size < 0:
        raise _bad_manifest("a layer has no size")
    layer = Layer(media_type, digest, name)
    try:
        canonical_text(_counted(layer, digest))
    except BadInput as error:  # too long, or half of a character
        raise _bad_manifest("a layer's media type or name is no usable text") from error
    return layer


def _known_members(value: object, known: frozenset[str]) -> Mapping[str, object]:
    """Return an object's members; refuse those that Ollama takes for others.

    Its reader looks at no case, and takes the long s and the Kelvin sign for s and k.
    """
    if not isinstance(value, dict):
        raise _bad_manifest("something in it is no object")
    folded = {each.casefold() for each in known}
    if any(name.casefold() in folded for name in value.keys() - known):
        raise _bad_manifest("it has a member that some readers take for another")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a repeated member")
    return members


def _refuse(text: str) -> Any:
    raise ValueError("not a whole number")


_JSON = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse, parse_float=_refuse)


def _bad_manifest(reason: str) -> NotMeasured:
    return NotMeasured("bad-manifest", f"The model's manifest cannot be relied on: {reason}.")


# --- the model's digest --------------------------------------------------------------------------


def model_digest(manifest: Manifest, digests: Mapping[str, str] | None = None) -> str:
    """Return the digest by which a model is known: "sha256:" and 64 hexadecimal digits.

    ``digests`` are those that were measured, by the ones that the manifest claims; without them
    the manifest is taken at its word.
    """
    config, *layers = manifest.counted
    measured = {each.digest: each.digest for each in manifest.counted}
    measured |= digests or {}
    # Canonical text, put together from that of the layers: thousands of them may be more than a
    # fact may hold.
    texts = [canonical_text(_counted(each, measured[each.digest])) for each in layers]
    text = f'{{"config":"{measured[config.digest]}","layers":[{",".join(texts)}]}}'
    return "sha256:" + hashlib.sha256(text.encode("ascii")).hexdigest()


def _counted(layer: Layer, digest: str) -> dict[str, str]:
    name = {"name": layer.name} if layer.name else {}
    return {"digest": digest, "type": layer.media_type} | name


# --- a store of models ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Listing:
    """Listing is what models a store has.

    ``unread`` counts folders that could not be listed, ``ignored`` names that Ollama passes by;
    ``complete`` is false where there are more names than are looked at.
    """

    names: tuple[Name, ...]
    unread: int
    ignored: int
    complete: bool


@dataclass(frozen=True)
class Measured:
    """Measured is a model's digest, and what it comes from.

    ``altered`` are the layers (or the config) whose bytes are not what their names say, and
    ``remote`` says that the model is only a name here, for one on another machine.
    """

    name: Name
    digest: str
    kind: str
    manifest: str
    altered: tuple[Layer, ...]
    remote: bool
    size: int


Advance = Callable[[int], None]
"""Called with the number of bytes hashed since the last call; what it raises ends the work."""


class Store:
    """Store is an open store. Below its own folder no link is followed and no pipe opened.

    Use it as a context manager; it holds descriptors. All its methods raise NotMeasured.
    """

    def __init__(self, path: Path) -> None:
        self._folder = _open_folder(str(path), None, follow=True)

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._folder)

    def names(self) -> Listing:
        """Return the names of the store's models, in order."""
        found = _Found()
        with _below(self._folder, "manifests") as manifests:
            _collect(manifests, (), found)
        names = tuple(sorted(found.names))
        return Listing(names, found.unread, found.ignored, not found.is_full)

    def manifest(self, name: Name) -> tuple[Manifest, Fingerprint]:
        """Return a model's manifest, and the fingerprint of its file."""
        with (
            _below(self._folder, "manifests", *name.parts[:-1]) as folder,
            _read_unchanged(name.tag, folder) as (file, mark),
        ):
            data = _read_at_most(file, MAX_MANIFEST + 1)
        return parse_manifest(data), mark

    def manifest_fingerprint(self, name: Name) -> Fingerprint:
        """Return the fingerprint of a manifest's file, without a look into it."""
        with _below(self._folder, "manifests", *name.parts[:-1]) as folder:
            return _fingerprint_of(name.tag, folder)

    def blob_fingerprints(self, digests: tuple[str, ...]) -> tuple[Fingerprint, ...]:
        """Return the fingerprints of the blobs with these names."""
        with _below(self._folder, "blobs") as blobs:
            return tuple(_fingerprint_of(_blob_name(digest), blobs) for digest in digests)

    def measure(
        self, name: Name, *, advance: Advance = lambda count: None, known: Known | None = None
    ) -> Measured:
        """Return the digest of a model by its blobs' bytes, or by the kernel's word (fs-verity)."""
        manifest, _ = self.manifest(name)
        counted = {each.digest: each for each in manifest.counted}
        with _below(self._folder, "blobs") as blobs:
            size = sum(mark[2] for mark in self.blob_fingerprints(tuple(counted)))
            digests = _verity_digests(blobs, counted)
            kind = BY_VERITY if digests else BY_BYTES
            if not digests:
                remembered = {} if known is None else known
                digests = {each: _blob_digest(blobs, each, advance, remembered) for each in counted}
            remote = _is_remote(blobs, manifest.config.digest)
        altered = tuple(each for each in manifest.counted if digests[each.digest] != each.digest)
        return Measured(
            name,
            model_digest(manifest, digests),
            kind,
            manifest.digest,
            altered if kind == BY_BYTES else (),
            remote,
            size,
        )

    def hashes(self, name: Name) -> dict[str, tuple[str, str]]:
        """Return both kinds of digests of a model's blobs, by the digests that are claimed."""
        manifest, _ = self.manifest(name)
        found = {}
        with _below(self._folder, "blobs") as blobs:
            for claimed in dict.fromkeys(each.digest for each in manifest.counted):
                by_bytes, by_tree = hashlib.sha256(), fsverity.Tree()
                with _read_unchanged(_blob_name(claimed), blobs) as (file, mark):
                    _hash(file, mark[2], lambda count: None, by_bytes, by_tree)
                found[claimed] = f"{BY_BYTES}:{by_bytes.hexdigest()}", by_tree.digest()
        return found


class _Found:
    """What was found so far on a walk through a store's manifests."""

    def __init__(self) -> None:
        self.names: list[Name] = []
        self.unread = self.ignored = self.entries = 0

    @property
    def is_full(self) -> bool:
        return self.entries > MAX_NAMES


def _collect(folder: int, parents: tuple[str, ...], found: _Found) -> None:
    """Add the models below one folder of manifests; files lie at one depth only."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                found.entries += 1
                if found.is_full:
                    return
                _collect_entry(folder, (*parents, entry.name), entry, found)
    except OSError:
        found.unread += 1


def _collect_entry(
    folder: int, parts: tuple[str, ...], entry: os.DirEntry[str], found: _Found
) -> None:
    if not _PARTS[len(parts) - 1].fullmatch(entry.name):
        found.ignored += 1
    elif len(parts) == len(_PARTS):
        if entry.is_dir(follow_symlinks=False):
            found.ignored += 1
        else:
            found.names.append(Name(*parts))
    elif entry.is_dir(follow_symlinks=False):
        try:
            with _below(folder, entry.name) as inner:
                _collect(inner, parts, found)
        except NotMeasured:
            found.unread += 1
    elif entry.is_symlink():
        found.unread += 1
    else:
        found.ignored += 1


def _blob_name(digest: str) -> str:
    return digest.replace(":", "-")


def _is_remote(blobs: int, digest: str) -> bool:
    """Return whether a config leads elsewhere: Ollama then sends the words to another machine.

    The config is part of the model's digest; this is only what it says. What cannot be read as one
    says nothing good.
    """
    with _read_unchanged(_blob_name(digest), blobs) as (file, _):
        data = _read_at_most(file, MAX_MANIFEST + 1)
    try:
        config = json.loads(data)
    except (ValueError, RecursionError):
        return True
    if not isinstance(config, dict):
        return True
    return any(
        name.casefold() in ("remote_host", "remote_model") and value
        for name, value in config.items()
    )


# --- bytes of blobs ------------------------------------------------------------------------------

_PIECE = 1 << 20

_SETTLED_NS = 30_000_000
"""Longer than the kernel's clock for ctime stands still: 10 ms at worst."""


def _blob_digest(blobs: int, claimed: str, advance: Advance, known: Known) -> str:
    """Return the digest of the bytes of a blob, which nobody changed meanwhile."""
    name = _blob_name(claimed)
    mark = _fingerprint_of(name, blobs)
    if mark in known:
        advance(mark[2])
        return known[mark]
    by_bytes = hashlib.sha256()
    with _read_unchanged(name, blobs) as (file, mark):
        _hash(file, mark[2], advance, by_bytes)
    known[mark] = digest = f"{BY_BYTES}:{by_bytes.hexdigest()}"
    return digest


@contextmanager
def _read_unchanged(name: str, folder: int) -> Iterator[tuple[int, Fingerprint]]:
    """Open a file to read all of it; raise NotMeasured where it is another afterwards.

    The fingerprint then stands for what was read: whatever writes to the file later changes it.
    Only on a tmpfs a writer that has the file mapped stays unseen.
    """
    with _open_file(name, folder) as file:
        _write_out(file)
        _let_settle(_fingerprint(os.fstat(file)))
        mark = _fingerprint(os.fstat(file))
        yield file, mark
        if _fingerprint(os.fstat(file)) != mark:
            raise NotMeasured("changed", "A file of the model was changed while it was read.")


def _write_out(file: int) -> None:
    """Have the kernel write out what it holds of the file.

    Who has it mapped and wrote to a page once may go on without a new ctime until then.
    """
    try:
        os.fdatasync(file)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot be written to
            raise


def _let_settle(mark: Fingerprint) -> None:
    """Wait until a file's last change is over: another in the same tick would show no new ctime."""
    if abs(time.time_ns() - mark[4]) < _SETTLED_NS:
        time.sleep(_SETTLED_NS / 1e9)


class _Digest(Protocol):
    def update(self, data: memoryview, /) -> None: ...


def _hash(file: int, size: int, advance: Advance, *digests: _Digest) -> None:
    """Give digests so many bytes of a file and, should it grow, at most one piece more."""
    if size > MAX_BLOB:
        raise NotMeasured("too-large", f"A layer is larger than {MAX_BLOB >> 40} TiB.")
    piece = memoryview(bytearray(_PIECE))
    done = 0
    while done <= size and (count := os.readv(file, [piece])):
        for each in digests:
            each.update(piece[:count])  # hashlib's without the interpreter's lock: others go on
        done += count
        advance(count)


def _verity_digests(blobs: int, counted: Mapping[str, Layer]) -> dict[str, str]:
    """Return the fs-verity digests of all blobs; none where one has none.

    All or nothing, so that a model has two digests that a reference can name, not one for each
    choice of files.
    """
    digests = {}
    for claimed in counted:
        with _open_file(_blob_name(claimed), blobs) as file:
            digest = fsverity.kept_digest(file)
        if digest is None:
            return {}
        digests[claimed] = digest
    return digests


# --- files, opened with care ---------------------------------------------------------------------


def _fingerprint(found: os.stat_result) -> Fingerprint:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _fingerprint_of(name: str, folder: int) -> Fingerprint:
    with _told():
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    _check_regular(found)
    return _fingerprint(found)


def _check_regular(found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise NotMeasured("link", "A file of the model is a link, which may lead out of the store.")
    if not stat.S_ISREG(found.st_mode):
        raise NotMeasured("not-a-file", "A file of the model is no regular file.")


@contextmanager
def _open_file(name: str, folder: int) -> Iterator[int]:
    """Open a regular file; anything else is not even opened (a pipe would wait for a writer)."""
    _fingerprint_of(name, folder)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    with _told():
        file = os.open(name, flags, dir_fd=folder)
    try:
        with _told():
            _check_regular(os.fstat(file))
            yield file
    finally:
        os.close(file)


@contextmanager
def _below(folder: int, *names: str) -> Iterator[int]:
    """Open a folder below another, step by step, without following a link."""
    opened = os.dup(folder)
    try:
        for name in names:
            inner = _open_folder(name, opened)
            os.close(opened)
            opened = inner
        yield opened
    finally:
        os.close(opened)


def _open_folder(name: str, parent: int | None, *, follow: bool = False) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    with _told():
        return os.open(name, flags, dir_fd=parent)


def _read_at_most(file: int, count: int) -> bytes:
    data = bytearray()
    while len(data) < count and (piece := os.read(file, count - len(data))):
        data += piece
    return bytes(data)


@contextmanager
def _told() -> Iterator[None]:
    """Say of a failed system call what it means for the model."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotMeasured("missing", "A file of the model is not there.") from error
    except PermissionError as error:
        message = "A file of the model may not be read by this account."
        raise NotMeasured("unreadable", message, errno=error.errno) from error
    except OSError as error:
        if error.errno in _LED_ASIDE:
            message = "A folder of the store is a link, or none."
            raise NotMeasured("link", message, errno=error.errno) from error
        message = f"A file of the model cannot be read: {error.strerror}."
        raise NotMeasured("unreadable", message, errno=error.errno) from error


_LED_ASIDE = (errno.ENOTDIR, errno.ELOOP)
"""What O_NOFOLLOW says of links."""
