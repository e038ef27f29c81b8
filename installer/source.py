"""Getting the open-webui source: found and fetched by unearth, pinned by hash, unpacked warily."""

from __future__ import annotations

import configparser
import contextlib
import gzip
import json
import os
import ssl
import sys
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from cczoo_installer.errors import FetchFailed, MachineTrouble
from cczoo_installer.files import MAX_CHANGED, is_plain_relative, locked, printable, sha256_file
from cczoo_installer.report import Reporter

_FETCH_SECONDS = 30 * 60
_MAX_ARCHIVE = 512 << 20  # bytes; the archive of 0.5.20 has 53 MB
_MAX_UNPACKED = 2 << 30
_MAX_MEMBERS = 100_000
# What a damaged archive comes to.
_UNREADABLE = (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error)


@dataclass(frozen=True)
class Index:
    """Where the user's pip looks for packages; without ``index_url`` that is the public index."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    no_index: bool = False
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    cert: str | None = None


def configured_index(env: Mapping[str, str] = os.environ, root: Path = Path("/")) -> Index:
    """Return what pip's configuration files and PIP_* variables say, in pip's own precedence."""
    values: dict[str, str] = {}
    for path in _pip_files(env, root):
        parser = configparser.RawConfigParser()
        with contextlib.suppress(OSError, configparser.Error, UnicodeDecodeError):
            parser.read(path, encoding="utf-8")
        for section in ("global", "download"):
            if parser.has_section(section):
                values |= {key.replace("_", "-"): text for key, text in parser.items(section)}
    prefix = "PIP_"
    values |= {
        name[len(prefix) :].lower().replace("_", "-"): text
        for name, text in env.items()
        if name.startswith(prefix) and text
    }
    return Index(
        index_url=values.get("index-url"),
        extra_index_urls=tuple(values.get("extra-index-url", "").split()),
        no_index=values.get("no-index", "").lower() in {"1", "true", "yes", "on"},
        find_links=tuple(values.get("find-links", "").split()),
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
        cert=values.get("cert"),
    )


def _pip_files(env: Mapping[str, str], root: Path) -> Iterator[Path]:
    if env.get("PIP_CONFIG_FILE") == os.devnull:
        return
    home = Path(env.get("HOME", root))
    yield root / "etc/xdg/pip/pip.conf"
    yield root / "etc/pip.conf"
    yield home / ".pip/pip.conf"
    yield Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf"
    yield Path(sys.prefix) / "pip.conf"
    if env.get("PIP_CONFIG_FILE"):
        yield Path(env["PIP_CONFIG_FILE"])


def fetch(
    version: str,
    sha256: str,
    cache: Path,
    *,
    reporter: Reporter,
    index: Index | None = None,
) -> Path:
    """Return the source archive of an open-webui version, from the cache or the package index.

    ``sha256`` is what the archive must hash to. Raises FetchFailed.
    """
    archive = _place_of(version, cache / "sdist")
    with _only_download(archive.parent, reporter):
        if archive.is_file() and sha256_file(archive) == sha256:
            return archive
        with _downloaded(version, archive, reporter, index) as partial:
            found = sha256_file(partial)
            if found != sha256:
                raise FetchFailed(
                    f"The open-webui {version} source that the package index served is not the "
                    f"one this kit knows (SHA-256 {found}, expected {sha256}). It was thrown "
                    "away. Check which index pip is set to use."
                )
            partial.replace(archive)
    return archive


def fetch_unpinned(
    version: str,
    cache: Path,
    *,
    reporter: Reporter,
    index: Index | None = None,
) -> Path:
    """Return a source archive of any open-webui version, as the package index serves it today.

    Nothing says that it is what open-webui released; only the version in its package.json is looked
    at. It is fetched anew each time and kept in a folder of its own, out of which nothing is ever
    installed. Raises FetchFailed.
    """
    archive = _place_of(version, cache / "sdist" / "unpinned")
    with (
        _only_download(archive.parent, reporter),
        _downloaded(version, archive, reporter, index) as partial,
    ):
        found = _version_in(partial)
        if found != version:
            raise FetchFailed(
                f"What the package index served as open-webui {version} calls itself "
                f"{printable(found)[:80]}. It was thrown away. Check which index pip is set to use."
            )
        partial.replace(archive)
    return archive


def _place_of(version: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"open_webui-{version}.tar.gz"


def _only_download(folder: Path, reporter: Reporter) -> contextlib.AbstractContextManager[int]:
    """Hold the lock of a folder of archives."""
    return locked(
        folder / "lock",
        busy="Another download has been running for very long. Wait for it, then run again.",
        wait=_FETCH_SECONDS,
        waiting=lambda: reporter.say("Another download is running; waiting for it ..."),
    )


@contextlib.contextmanager
def _downloaded(
    version: str, archive: Path, reporter: Reporter, index: Index | None
) -> Iterator[Path]:
    """Download the archive under another name, under which it is gone in the end."""
    reporter.say(f"Fetching the open-webui {version} source (about 50 MB) ...")
    partial = archive.with_name(f"{archive.name}.partial")
    try:
        _download(version, partial, index or configured_index(), reporter)
        yield partial
    finally:
        partial.unlink(missing_ok=True)


def _version_in(archive: Path) -> str | None:
    """Return the version that an archive's package.json names, or None."""
    try:
        facts = json.loads(file_of(archive, "package.json") or b"null")
        return str(facts["version"])
    except (*_UNREADABLE, OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _download(version: str, target: Path, index: Index, reporter: Reporter) -> None:
    # Imported here: it takes a while, and only fetching needs it.
    from unearth import PackageFinder
    from unearth.auth import MultiDomainBasicAuth
    from unearth.fetchers import PyPIClient

    verify: ssl.SSLContext | bool = True
    pages = _index_urls(index, PackageFinder().sources[0]["url"])
    links = [link for link in index.find_links if "://" in link or Path(link).exists()]
    if not pages and not links:
        raise FetchFailed(
            "pip is set to use no package index (no-index). Allow one, or unpack the open-webui "
            f"{version} source yourself and run again without --fetch."
        )
    try:
        if index.cert:
            verify = ssl.create_default_context(cafile=index.cert)
        with PyPIClient(
            trusted_hosts=index.trusted_hosts, verify=verify, timeout=60.0, follow_redirects=True
        ) as session:
            session.auth = MultiDomainBasicAuth(prompting=False, index_urls=pages)
            finder = PackageFinder(
                cast(Any, session),  # unearth's own client does not quite fit its protocol
                index_urls=pages,
                find_links=links,
                trusted_hosts=index.trusted_hosts,
                no_binary=["open-webui"],
            )
            best = finder.find_best_match(f"open-webui=={version}").best
            if best is None:
                raise FetchFailed(
                    f"No source archive of open-webui {version} was found. Check which package "
                    "index pip is set to use and that it can be reached, or unpack the source "
                    "yourself and run again without --fetch."
                )
            with (
                session.get_stream(best.link.normalized) as response,
                target.open("wb") as output,
            ):
                response.raise_for_status()
                _pour(response.iter_bytes(1 << 20), output, reporter)
    except FetchFailed:
        raise
    except Exception as trouble:  # the HTTP library's own errors have no common, public base
        if isinstance(trouble, OSError) and trouble.errno is not None:
            raise
        raise FetchFailed(
            f"Fetching open-webui {version} failed ({type(trouble).__name__}: "
            f"{printable(trouble)[:300]}). Check the network and pip's index settings and run "
            "again, or unpack the source yourself and run again without --fetch."
        ) from trouble


def _index_urls(index: Index, public: str) -> list[str]:
    """Return the index URLs to ask; ``public`` is the one that is used when none is set."""
    return [] if index.no_index else [index.index_url or public, *index.extra_index_urls]


def _pour(chunks: Iterator[bytes], output: IO[bytes], reporter: Reporter) -> None:
    """Write ``chunks`` to ``output``, bounded in size and time."""
    deadline = time.monotonic() + _FETCH_SECONDS
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > _MAX_ARCHIVE or time.monotonic() > deadline:
            raise FetchFailed(
                f"The download did not end after {size >> 20} MB and was stopped. Check which "
                "package index pip is set to use and run again."
            )
        output.write(chunk)
        reporter.tick(f"{size >> 20} MB")
    reporter.still()


def unpack(archive: Path, directory: Path) -> None:
    """Unpack a source archive as ``directory``, which must be missing or empty.

    Whole or not at all: it is unpacked beside ``directory`` and moved there. Raises FetchFailed
    for an archive that would write anywhere else, or holds links or devices.
    """
    directory = directory.absolute()
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".cczoo-fetch-", dir=directory.parent) as scratch:
        top = Path(scratch, "tree")
        top.mkdir(mode=0o755)
        try:
            with gzip.open(archive) as stream:
                with tarfile.open(fileobj=stream) as tar:
                    _extract(tar, top)
                _read_to_end(stream)
        except _UNREADABLE as trouble:
            raise FetchFailed(
                f"{printable(archive)} is not a readable archive ({printable(trouble)}). Delete "
                "it and run again."
            ) from trouble
        try:
            top.rename(directory)
        except OSError as trouble:
            raise MachineTrouble(
                f"The source cannot be put at {printable(directory)} "
                f"({printable(trouble.strerror)}). Name a new folder with --openwebui-dir; a "
                "mount point itself cannot be used, a folder in it can."
            ) from trouble


def file_of(archive: Path, name: str) -> bytes | None:
    """Return one file of a source archive, by its path in the tree; None where it has none.

    No more of an archive is looked at, and no larger file returned, than is ever unpacked: its hash
    may not have been checked.
    """
    with tarfile.open(archive, "r:gz") as tar:
        for count, member in enumerate(tar, 1):
            if count > _MAX_MEMBERS or member.offset_data + member.size > _MAX_UNPACKED:
                return None
            if PurePosixPath(*PurePosixPath(member.name).parts[1:]) == PurePosixPath(name):
                wanted = member.isreg() and member.size <= MAX_CHANGED
                content = tar.extractfile(member) if wanted else None
                return content.read() if content else None
    return None


def _read_to_end(stream: gzip.GzipFile) -> None:
    """Read what follows a tar archive: only at a stream's end is it told whether it came whole."""
    while stream.read(1 << 20):
        if stream.tell() > _MAX_UNPACKED:
            raise FetchFailed("The archive is absurdly large. Nothing was unpacked.")


def _extract(tar: tarfile.TarFile, top: Path) -> None:
    """Write the members below the archive's one top folder to ``top``."""
    size = count = 0
    for member in tar:
        count, size = count + 1, size + member.size
        name = member.name.rstrip("/")
        parts = PurePosixPath(name).parts
        if not (member.isreg() or member.isdir()) or not is_plain_relative(name):
            raise FetchFailed(
                f"The archive holds {printable(member.name)}, which is a link, a device or leads "
                "out of the folder. Nothing was unpacked."
            )
        if count > _MAX_MEMBERS or size > _MAX_UNPACKED:
            raise FetchFailed("The archive is absurdly large. Nothing was unpacked.")
        target = top.joinpath(*parts[1:])
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        if len(parts) < 2:
            raise FetchFailed("The archive has no top folder. Nothing was unpacked.")
        target.parent.mkdir(parents=True, exist_ok=True)
        content = tar.extractfile(member)
        if content is None:  # cannot be, for a regular file
            raise FetchFailed(f"The archive's {printable(member.name)} cannot be read.")
        with content, target.open("xb") as output:
            while chunk := content.read(1 << 20):
                output.write(chunk)
        # As pip does: of the archive's modes only "executable" counts.
        target.chmod(0o755 if member.mode & 0o111 else 0o644)
