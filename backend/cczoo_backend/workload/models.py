"""Which models a local Ollama has, and by what digest each is known: found, and measured.

Measuring goes on in one thread beside everything else, one model at a time, the smallest first.
What it found is kept in memory only, so it never outlives the boot, and is made anew when a
manifest or a blob is another file, or has other times. A file's owner cannot set its ctime back.
Root can, with the clock; and who writes to the disk below the file system is not seen at all: a
digest of what will be read again holds only on a store that keeps integrity.

The digest is that of the files. A server may go on answering from what it loaded before they
changed.

Where the thread is stuck (a network file system that does not answer), nothing is called measured.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from quote_generator.workload.ollama import (
    Fingerprint,
    Measured,
    Name,
    NotMeasured,
    Store,
    parse_name,
)

_log = logging.getLogger(__name__)

# --- where the stores are ------------------------------------------------------------------------

VENDORS_STORE = Path("/usr/share/ollama/.ollama/models")
"""Where the vendor's script has the service keep them."""

_IN_HOME = Path(".ollama/models")
_MAX_FILE = 1 << 20
_MAX_STORES = 64
_MAX_KNOWN = 100_000


@dataclass(frozen=True)
class FoundStore:
    """A folder that is a store: a server's own, or one that a server may use."""

    path: Path
    is_servers: bool


def find_stores(
    servers: Sequence[int] = (),
    environment: Mapping[str, str] = os.environ,
    *,
    root: Path = Path("/"),
) -> list[FoundStore]:
    """Return the stores of the Ollama processes with these ids, as their environment names them.

    Where none of them says (another account's, or no process is known), the stores that an Ollama
    here would use are returned instead; which of them is served is then for others to find out.
    """
    own = [store for pid in servers if (store := _servers_store(root, pid)) is not None]
    if own:
        return [FoundStore(path, True) for path in _existing(own)]
    return [FoundStore(path, False) for path in _existing(_candidates(root, environment))]


def _candidates(root: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    named = _setting(environment.get("OLLAMA_MODELS", ""))
    if named.startswith("/"):
        yield _inside(root, named)
    if home := environment.get("HOME"):
        yield _inside(root, home) / _IN_HOME
    for home in _homes(root):
        yield _inside(root, home) / _IN_HOME
    yield _inside(root, str(VENDORS_STORE))


def _servers_store(root: Path, pid: int) -> Path | None:
    """Return where a process keeps models, as we reach it; None where that is not to be known.

    A process in a container has a file system of its own, which lies below /proc/PID/root.
    """
    process = root / "proc" / str(pid)
    try:
        environment = _environment(process)
        base = root if _same_files(process, root / "proc/self") else process / "root"
        if named := _setting(environment.get("OLLAMA_MODELS", "")):
            # Relative to the folder that it works in, as any path; an absolute one stays that.
            return _inside(base, os.path.join(os.readlink(process / "cwd"), named))
    except OSError:
        return None
    home = environment.get("HOME", "")
    return _inside(base, home) / _IN_HOME if home.startswith("/") else None


def _setting(value: str) -> str:
    """Return a setting as Ollama reads it."""
    return value.strip().strip("\"'")


def _environment(process: Path) -> dict[str, str]:
    entries = _beginning(process / "environ").decode("utf-8", "surrogateescape").split("\0")
    # The first of two of one name counts, as for getenv.
    return dict(entry.partition("=")[::2] for entry in reversed(entries) if "=" in entry)


def _same_files(process: Path, own: Path) -> bool:
    """Return whether a process sees the files that we see, under the same names."""
    return all(
        os.readlink(process / what) == os.readlink(own / what) for what in ("ns/mnt", "root")
    )


def _homes(root: Path) -> Iterator[str]:
    """Yield the home folders of /etc/passwd, without asking anybody over the network."""
    with suppress(OSError):
        for line in _beginning(root / "etc/passwd").decode("utf-8", "replace").splitlines():
            fields = line.split(":")
            if len(fields) == 7 and fields[5].startswith("/"):
                yield fields[5]


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_FILE)


def _inside(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _existing(paths: Iterator[Path] | Sequence[Path]) -> list[Path]:
    """Return those that are stores, or that this account may not look into, each folder once."""
    found: dict[object, Path] = {}
    for path in dict.fromkeys(paths):
        try:
            folder = os.stat(path / "manifests")
        except PermissionError:
            found[path] = path
        except (OSError, ValueError):
            continue
        else:
            found.setdefault((folder.st_dev, folder.st_ino), path)
        if len(found) == _MAX_STORES:
            break
    return list(found.values())


# --- what is known of a model --------------------------------------------------------------------

State = Literal["measured", "being-measured", "not-measured"]


@dataclass(frozen=True)
class Outcome:
    """How far a model is measured: `model` when it is, `why` when it is not.

    `done` of `total` bytes are hashed while it is being measured.
    """

    state: State
    why: str = ""
    model: Measured | None = None
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class StoreState:
    """What a store holds: counts of what could not be looked at, and why nothing could be."""

    why: str = ""
    models: int = 0
    unread: int = 0
    ignored: int = 0
    complete: bool = True


@dataclass(frozen=True, order=True)
class Key:
    """A model in a store."""

    store: Path
    name: Name


@dataclass(frozen=True)
class _Marks:
    """The files that a model is made of, as they were; no two states of them are equal."""

    manifest: Fingerprint
    claimed: tuple[str, ...]
    blobs: tuple[Fingerprint, ...]

    @property
    def total(self) -> int:
        return sum(mark[2] for mark in self.blobs)


class _Cancelled(Exception):  # noqa: N818
    """The meter is to stop."""


class ModelMeter:
    """Measures the models of some stores, and again what changed, until it is stopped.

    `changed` is called in the meter's thread with each new outcome that is final, and with None
    for a model that is gone.
    """

    def __init__(
        self,
        stores: Callable[[], Sequence[Path]],
        *,
        changed: Callable[[Key, Outcome | None], None] = lambda key, outcome: None,
        pause: float = 1.0,
        stuck_after: float = 120.0,
    ) -> None:
        self._find = stores
        self._changed = changed
        self._pause = pause
        self._stuck_after = stuck_after
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tee-models", daemon=True)
        self._outcomes: dict[Key, Outcome] = {}
        self._by_name: dict[Name, list[Key]] = {}
        self._stores: dict[Path, StoreState] = {}
        self._marks: dict[Key, _Marks] = {}
        self._known: dict[Fingerprint, str] = {}
        self._alive_at = time.monotonic()
        self._looked_at = -math.inf
        self._look_took = 0.0
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """End within a mebibyte's hashing; return whether it has ended within the timeout."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    # Questions of other threads: answered from memory, never by a look at a disk.

    def outcomes(self) -> dict[Key, Outcome]:
        """Return how far each model is measured."""
        with self._lock:
            outcomes = dict(self._outcomes)
        return dict.fromkeys(outcomes, _STUCK) if self._is_stuck() else outcomes

    def stores(self) -> dict[Path, StoreState]:
        """Return what is known of each store."""
        with self._lock:
            return dict(self._stores)

    def outcome(self, name: str, manifest: str | None = None) -> Outcome:
        """Return how far the model is measured which a server offers under this name.

        `manifest` is the digest that the server's /api/tags shows for it. With it, a model counts
        only if it was measured from that very manifest.
        """
        try:
            folded = parse_name(name).folded
        except NotMeasured as error:
            return Outcome("not-measured", error.why)
        if self._is_stuck():
            return _STUCK
        with self._lock:
            found = [self._outcomes[key] for key in self._by_name.get(folded, ())]
        if manifest is not None:
            found = [each for each in found if each.model is None or _is_of(each.model, manifest)]
        if not found:
            return Outcome("not-measured", self._why_none(folded))
        digests = {each.model.digest if each.model else None for each in found}
        # Ollama itself picks any of two names that differ in case only.
        return found[0] if len(found) == 1 or (len(digests) == 1 and None not in digests) else _TWO

    def _why_none(self, folded: Name) -> str:
        if folded in self._by_name:
            return "other-manifest"
        if self._looked_at < 0:
            return "not-looked-yet"
        stores = self.stores().values()
        if any(each.why or each.unread or not each.complete for each in stores):
            return "store-not-read"
        return "no-such-model"

    def _is_stuck(self) -> bool:
        return time.monotonic() - self._alive_at > self._stuck_after

    # What the thread does.

    def _run(self) -> None:
        try:
            while True:
                self._look()
                self._measure_waiting()
                self._wait()
        except _Cancelled:
            pass
        except Exception:
            _log.exception("The measuring of models ended: none counts as measured from now on.")
        finally:
            self._alive_at = -math.inf

    def _wait(self) -> None:
        """Rest, at least twenty times as long as the look at all files took."""
        until = time.monotonic() + max(self._pause, 20 * self._look_took)
        while (left := until - time.monotonic()) > 0:
            self._check_cancelled()
            self._alive_at = time.monotonic()
            self._stop.wait(min(left, self._stuck_after / 4))

    def _look(self) -> None:
        """Learn which models there are, and forget what was measured of files that changed."""
        began = self._alive_at = time.monotonic()
        seen: dict[Key, _Marks | NotMeasured] = {}
        stores = {path: self._look_at(path, seen) for path in self._find()}
        for key in self._outcomes.keys() - seen.keys():
            self._forget(key)
        for key, marks in seen.items():
            if isinstance(marks, NotMeasured):
                self._settle(key, None, Outcome("not-measured", marks.why))
            elif self._marks.get(key) != marks:
                self._marks[key] = marks
                self._put(key, Outcome("being-measured", total=marks.total))
        with self._lock:
            self._stores = stores
            self._by_name = {}
            for key in self._outcomes:
                self._by_name.setdefault(key.name.folded, []).append(key)
        if len(self._known) > _MAX_KNOWN:
            self._known.clear()
        self._looked_at = self._alive_at = time.monotonic()
        self._look_took = self._looked_at - began

    def _look_at(self, path: Path, seen: dict[Key, _Marks | NotMeasured]) -> StoreState:
        try:
            with Store(path) as store:
                listing = store.names()
                for name in listing.names:
                    self._check_cancelled()
                    self._alive_at = time.monotonic()
                    key = Key(path, name)
                    try:
                        seen[key] = _marks(store, name, self._marks.get(key))
                    except NotMeasured as error:
                        seen[key] = error
        except NotMeasured as error:
            return StoreState(error.why)
        return StoreState(
            models=len(listing.names),
            unread=listing.unread,
            ignored=listing.ignored,
            complete=listing.complete,
        )

    def _measure_waiting(self) -> None:
        """Measure each model that waits for it, the smallest first."""
        waiting = [key for key, each in self._outcomes.items() if each.state == "being-measured"]
        for key in sorted(waiting, key=lambda each: (self._marks[each].total, each)):
            if (marks := self._marks.get(key)) is not None:
                outcome = self._measured(key, marks)
                if self._marks.get(key) == marks:  # else a look meanwhile saw other files, or none
                    self._settle(key, marks, outcome)

    def _measured(self, key: Key, before: _Marks) -> Outcome:
        """Return the outcome of measuring a model, while others are looked at now and then."""

        def advance(count: int) -> None:
            self._check_cancelled()
            now = self._alive_at = time.monotonic()
            outcome = self._outcomes.get(key)
            if outcome is not None and outcome.state == "being-measured":
                self._put(key, replace(outcome, done=min(outcome.done + count, outcome.total)))
            if now - self._looked_at > max(self._pause, 20 * self._look_took):
                self._look()

        try:
            with Store(key.store) as store:
                measured = store.measure(key.name, advance=advance, known=self._known)
                if _marks(store, key.name, before) != before:
                    raise NotMeasured("changed", "The model was changed while it was read.")
        except NotMeasured as error:
            return Outcome("not-measured", error.why)
        return Outcome("measured", model=measured)

    def _settle(self, key: Key, marks: _Marks | None, outcome: Outcome) -> None:
        """Keep an outcome; one of files that could not be read is sought again at each look."""
        if marks is None or outcome.why == "changed":
            self._marks.pop(key, None)
        if self._outcomes.get(key) != outcome:
            self._put(key, outcome)
            self._tell(key, outcome)

    def _forget(self, key: Key) -> None:
        with self._lock:
            del self._outcomes[key]
        self._marks.pop(key, None)
        self._tell(key, None)

    def _tell(self, key: Key, outcome: Outcome | None) -> None:
        try:
            self._changed(key, outcome)
        except Exception:
            _log.exception("What was found of a model could not be passed on.")

    def _put(self, key: Key, outcome: Outcome) -> None:
        with self._lock:
            self._outcomes[key] = outcome

    def _check_cancelled(self) -> None:
        if self._stop.is_set():
            raise _Cancelled


_STUCK = Outcome("not-measured", "stuck")
_TWO = Outcome("not-measured", "ambiguous")


def _is_of(model: Measured, manifest: str) -> bool:
    return model.manifest.removeprefix("sha256:") == manifest.removeprefix("sha256:")


def _marks(store: Store, name: Name, before: _Marks | None) -> _Marks:
    """Return what a model's files look like; the manifest is read only where it changed."""
    manifest = store.manifest_fingerprint(name)
    if before is None or before.manifest != manifest:
        read, manifest = store.manifest(name)
        claimed = tuple(dict.fromkeys(each.digest for each in read.counted))
    else:
        claimed = before.claimed
    return _Marks(manifest, claimed, store.blob_fingerprints(claimed))
