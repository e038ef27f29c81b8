"""`--make-env`: a Python environment for open-webui, by the locks that ship with the kit.

A folder that was begun holds the marker `.cczoo-environment.json` from the first moment on. It
says "making" until everything is there, so that what a kill left is never taken for whole; and
open-webui itself goes in last, so that nobody starts it out of such a folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cczoo_installer import versions
from cczoo_installer.errors import (
    BadUsage,
    BrokenPatchSet,
    InTheWay,
    MachineTrouble,
    UnsupportedVersion,
)
from cczoo_installer.files import (
    locked,
    printable,
    read_small,
    remove_tree,
    sha256_bytes,
    write_durably,
)
from cczoo_installer.kit import BACKEND, kit_version
from cczoo_installer.own_wheel import own_wheel
from cczoo_installer.process import Outcome, run
from cczoo_installer.report import Reporter, step_line

MARKER = ".cczoo-environment.json"
LOCKS = Path(__file__).resolve().parent / "locks"
_LOG = ".cczoo-environment.log"
_SCRATCH = ".cczoo-scratch"  # pip unpacks there: /tmp is often small, and in memory
_MAX_MARKER = 1 << 16  # bytes

# Those that open-webui and its locks are for, the preferred one first.
PYTHONS = ((3, 12), (3, 11))
_STEP_SECONDS = 2 * 60 * 60  # the longest step downloads some five gigabytes
_ASK_SECONDS = 60

_STOCK = re.compile(r"(?m)^open-webui==(?:.*\\\n)*.*\n")
_CUDA_HEADER = "# Only with a torch for CUDA:\n"
# What would lead pip or Python out of the new environment.
_MISLEADING = {"PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
_MISLEADING |= {f"PIP_{name}" for name in ("PREFIX", "ROOT", "TARGET", "USER", "REQUIREMENT")}
_MISLEADING |= {"PIP_CONSTRAINT", "PIP_REQUIRE_HASHES"}
_LOOK = (
    "import importlib.util as u; "
    f"raise SystemExit(not all(map(u.find_spec, ('open_webui', {BACKEND!r}))))"
)
_FULL_DISK = ("No space left on device", "Disk quota exceeded")


@dataclass(frozen=True)
class Lock:
    """What goes into an environment: requirement files by the order in which they are installed.

    ``cuda`` are constraints for what a torch for CUDA brings along, and empty in a lean lock.
    """

    needs: str
    stock: str
    cuda: str

    @property
    def torch(self) -> str:
        """The line that pins torch, or nothing."""
        return "".join(re.findall(r"(?m)^torch==\S+", self.needs))

    @property
    def digest(self) -> str:
        """The SHA-256 of all of it, as 64 hex digits."""
        return sha256_bytes(f"{self.needs}\0{self.stock}\0{self.cuda}".encode())


@dataclass(frozen=True)
class Sizes:
    """Megabytes: to be downloaded at most, and on the disk in the end."""

    download: int
    disk: int


@dataclass(frozen=True)
class EnvironmentStatus:
    """What is in a folder: ``state`` is absent, foreign, unfinished or made."""

    directory: str
    state: str
    version: str | None = None
    kind: str | None = None
    python: str | None = None
    kit: str | None = None


@dataclass(frozen=True)
class EnvironmentResult:
    """What a run did, or would do; sizes are in megabytes."""

    action: str
    changed: bool
    directory: str
    version: str
    kind: str
    download: int
    disk: int
    free: int
    again: bool


class NewEnvironment:
    """An environment that is there or is to be, in ``directory``."""

    def __init__(
        self,
        directory: Path,
        root: Path,
        reporter: Reporter,
        *,
        version: str | None = None,
        lean: bool = False,
        locks: Path = LOCKS,
        env: Mapping[str, str] = os.environ,
    ) -> None:
        self.directory = Path(os.path.realpath(directory))
        self._root = root
        self._reporter = reporter
        self._locks = locks
        self._env = {name: text for name, text in env.items() if name not in _MISLEADING}
        self._version = version
        self.kind = "lean" if lean else "full"

    @property
    def version(self) -> str:
        """The open-webui that was asked for: without a word the newest that is tested."""
        return self._version or versions.supported(self._root, "plugin")[-1]

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.directory / "bin" / "python"

    def status(self) -> EnvironmentStatus:
        """Look at the folder; raises OSError where it cannot be read."""
        shown = str(self.directory)
        if not _has_anything(self.directory):
            return EnvironmentStatus(shown, "absent")
        told = _read_marker(self.directory)
        if told is None:
            return EnvironmentStatus(shown, "foreign")
        facts = {name: told.get(name) for name in ("version", "kind", "python", "kit")}
        return EnvironmentStatus(shown, _state(told), **facts)

    def make(self, *, dry_run: bool = False) -> EnvironmentResult:
        """Make the environment, or find it made.

        What goes wrong leaves the folder as it was before; a kill leaves it half-made, and the
        next run begins anew. Raises InstallError and OSError.
        """
        if not str(self.directory).isprintable():
            raise BadUsage("The folder's name has characters that no command takes. Choose one.")
        lock = read_lock(self._locks, self._checked_version(), self.kind)
        found = self.status()
        if found.state == "made" and self._is_this(lock):
            return self._result(changed=False)
        self._refuse_what_is_in_the_way(found)
        base = find_python(self._env)
        self._check_room()
        result = self._result(changed=True, again=found.state == "unfinished")
        self._reporter.say(plan(result))
        if not dry_run:
            self._make(lock, base)
        return result

    def _checked_version(self) -> str:
        if self.version not in versions.supported(self._root, "plugin"):
            raise UnsupportedVersion(
                f"open-webui {printable(self.version)} is none that this kit is tested with. "
                f"Choose one of {versions.listed(self._root, 'plugin')}."
            )
        return self.version

    def _is_this(self, lock: Lock) -> bool:
        told = _read_marker(self.directory) or {}
        return told.get("lock") == lock.digest and told.get("kit") == kit_version()

    def _refuse_what_is_in_the_way(self, found: EnvironmentStatus) -> None:
        shown = printable(self.directory)
        if self.directory.exists() and not self.directory.is_dir():
            raise InTheWay(f"{shown} is no folder. Name another one. Nothing was changed.")
        if found.state == "foreign":
            raise InTheWay(
                f"{shown} holds something, and no environment of this kit's making. Name a folder "
                "that is missing or empty. Nothing was changed."
            )
        if found.state == "made":
            raise InTheWay(
                f"{shown} is an environment already: open-webui {printable(found.version)}, "
                f"{printable(found.kind)}, kit {printable(found.kit)}. Make the new one in another "
                "folder and start that one, or remove this one first. Nothing was changed."
            )

    def _check_room(self) -> None:
        free, needed = _free(self.directory), self._sizes().disk
        if free < needed:
            raise MachineTrouble(
                f"The disk is full, or will be: the environment takes about {needed:,} MB, and "
                f"{free:,} MB are free where {printable(self.directory)} is to be. Make room, or "
                "name a folder on another disk, and run again. Nothing was changed."
            )

    def _sizes(self) -> Sizes:
        return read_sizes(self._locks, self.version, self.kind)

    def _result(self, *, changed: bool, again: bool = False) -> EnvironmentResult:
        sizes = self._sizes()
        return EnvironmentResult(
            "make-env",
            changed,
            str(self.directory),
            self.version,
            self.kind,
            sizes.download,
            sizes.disk,
            _free(self.directory),
            again,
        )

    def _make(self, lock: Lock, base: str) -> None:
        was_there = self.directory.exists()
        self.directory.mkdir(parents=True, exist_ok=True)
        with locked(
            self.directory,
            busy=f"Another run, or what it started, is making {printable(self.directory)}. Wait "
            "for it, then run again.",
        ) as held:
            # Somebody may have been there between our look and the lock.
            self._refuse_what_is_in_the_way(self.status())
            try:
                _empty(self.directory, but=(MARKER,))
                self._mark("making", lock, base)
                self._fill(lock, base, held)
                self._mark("made", lock, base)
            except BaseException:
                _empty(self.directory)
                if not was_there:
                    with contextlib.suppress(OSError):
                        self.directory.rmdir()
                raise

    def _mark(self, state: str, lock: Lock, base: str) -> None:
        facts = {
            "v": 1,
            "state": state,
            "version": self.version,
            "kind": self.kind,
            "python": base,
            "kit": kit_version(),
            "lock": lock.digest,
        }
        draft = self.directory / f"{MARKER}.new"
        write_durably(draft, f"{json.dumps(facts, indent=2)}\n".encode())
        draft.replace(self.directory / MARKER)

    def _fill(self, lock: Lock, base: str, held: int) -> None:
        scratch = self.directory / _SCRATCH
        scratch.mkdir()
        kit = own_wheel(scratch)
        files = {"needs": lock.needs, "stock": lock.stock, "cuda": lock.cuda}
        for name, text in files.items():
            (scratch / f"{name}.txt").write_text(text, encoding="utf-8")
        self._run("an empty environment", held, base, "-I", "-m", "venv", str(self.directory))
        if lock.torch:
            pins = ("-c", str(scratch / "cuda.txt"), "-c", str(scratch / "needs.txt"))
            self._pip("torch, the largest part", held, lock.torch, *pins)
        needs = ("--no-deps", "-r", str(scratch / "needs.txt"))
        self._pip(f"what open-webui {self.version} runs on", held, *needs)
        self._pip("the kit", held, "--no-deps", "--no-index", str(kit))
        stock = ("--no-deps", "-r", str(scratch / "stock.txt"))
        self._pip(f"open-webui {self.version} itself", held, *stock)
        self._run("a look at what is there", held, str(self.python), "-I", "-c", _LOOK)
        remove_tree(scratch)
        remove_tree(self.directory / _LOG)
        os.sync()  # the marker must not outlast the files in a power failure

    def _pip(self, what: str, held: int, *arguments: str) -> None:
        quiet = ("--disable-pip-version-check", "--no-input", "--progress-bar=off")
        command = ("-I", "-m", "pip", "install", *quiet, "--no-warn-script-location", *arguments)
        self._run(what, held, str(self.python), *command)

    def _run(self, what: str, held: int, *command: str) -> None:
        self._reporter.say(f"{what} ...")
        scratch = self.directory / _SCRATCH
        outcome = run(
            command,
            cwd=scratch,
            env={**self._env, "TMPDIR": str(scratch)},
            log=self.directory / _LOG,
            seconds=_STEP_SECONDS,
            pass_fds=(held,),  # should we be killed, what still runs keeps the folder
            on_wait=lambda seconds: self._tick(what, seconds),
        )
        self._reporter.still()
        if not outcome.ok:
            raise self._trouble(what, outcome)

    def _tick(self, what: str, seconds: float) -> None:
        """Show how long a step has run, and what it wrote last."""
        words = Outcome(None, self.directory / _LOG).tail(1).strip()
        self._reporter.tick(step_line(what, seconds, words))

    def _trouble(self, what: str, outcome: Outcome) -> MachineTrouble:
        if outcome.says(*_FULL_DISK) or _free(self.directory) < 1:
            return MachineTrouble(
                f"The disk is full ({_free(self.directory):,} MB are free where "
                f"{printable(self.directory)} is; pip's cache, ~/.cache/pip unless you chose "
                f"another, may be the one that is). The environment takes about "
                f"{self._sizes().disk:,} MB. Make room and run again. Nothing was kept."
            )
        how = "took too long and was stopped" if outcome.returncode is None else "failed"
        return MachineTrouble(
            f"{what} {how}. The end of what was said:\n{outcome.tail()}\n"
            "Check that pip reaches its package index, and run again: what was downloaded is in "
            "pip's cache. Nothing was kept."
        )


def plan(result: EnvironmentResult) -> str:
    """Say what a run would download and take."""
    kinds = {
        "full": "with torch, so that files can be asked about without another server",
        "lean": "without torch: files are asked about by an embedding engine elsewhere",
    }
    again = "An earlier run was stopped half-way; this one begins anew. " if result.again else ""
    return (
        f"{again}open-webui {result.version}, {kinds[result.kind]}: about {result.download:,} MB "
        f"to download at most (pip keeps a copy in its cache), {result.disk:,} MB of disk in "
        f"{printable(result.directory)}, where {result.free:,} MB are free."
    )


# --- The locks ----------------------------------------------------------------------------------


def read_lock(locks: Path, version: str, kind: str) -> Lock:
    """Return the lock of a version; raises BrokenPatchSet where the kit has none that is whole."""
    name = f"open-webui-{version}{'-full' if kind == 'full' else ''}.txt"
    try:
        text = (locks / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as trouble:
        raise BrokenPatchSet(
            f"{printable(locks / name)} cannot be read ({printable(trouble)}). Install the kit "
            "anew."
        ) from trouble
    stock = _STOCK.search(text)
    if stock is None:
        raise BrokenPatchSet(f"{printable(name)} does not name open-webui. Install the kit anew.")
    needs, _header, cuda = text.replace(stock[0], "").partition(_CUDA_HEADER)
    return Lock(needs, stock[0], cuda)


def read_sizes(locks: Path, version: str, kind: str) -> Sizes:
    """Return what an environment downloads and takes; raises BrokenPatchSet."""
    path = locks / "sizes.json"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))[version][kind]
        return Sizes(int(told["download"]), int(told["disk"]))
    except (OSError, ValueError, KeyError, TypeError) as trouble:
        raise BrokenPatchSet(
            f"{printable(path)} cannot be read ({printable(trouble)}). Install the kit anew."
        ) from trouble


# --- Pythons and folders ------------------------------------------------------------------------


def find_python(env: Mapping[str, str] = os.environ) -> str:
    """Return an interpreter for open-webui: ours if it is one, else the first on PATH."""
    ours = getattr(sys, "_base_executable", None) or sys.executable
    if sys.version_info[:2] in PYTHONS and _has_venv(ours, env):
        return str(ours)
    for major, minor in PYTHONS:
        found = shutil.which(f"python{major}.{minor}", path=env.get("PATH"))
        if found is not None and _has_venv(found, env):
            return found
    raise MachineTrouble(
        "open-webui runs on Python 3.11 or 3.12, and none with its module venv was found. Install "
        "one (Debian 12: python3.11-venv; Ubuntu 24.04: python3.12-venv; Alibaba Cloud Linux 3: "
        "python3.11), and run again. Nothing was changed."
    )


def _has_venv(python: str, env: Mapping[str, str]) -> bool:
    command = [python, "-I", "-c", "import ensurepip, venv"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, env=dict(env), capture_output=True, timeout=_ASK_SECONDS)
        return done.returncode == 0
    return False


def _has_anything(directory: Path) -> bool:
    """Tell whether something is there, but for a marker that a killed run had not finished."""
    try:
        return any(path.name != f"{MARKER}.new" for path in directory.iterdir())
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        return True


def _read_marker(directory: Path) -> dict[str, str] | None:
    """Return what the marker says, or None where there is none of ours."""
    try:
        told = json.loads(read_small(directory / MARKER, _MAX_MARKER))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or told.get("v") != 1:
        return None
    return {name: text for name, text in told.items() if isinstance(text, str)}


def _state(told: Mapping[str, str]) -> str:
    return "made" if told.get("state") == "made" else "unfinished"


def _empty(directory: Path, but: tuple[str, ...] = ()) -> None:
    """Remove what is in a folder of ours; the marker goes last, and says so until then."""
    for path in sorted(directory.iterdir(), key=lambda path: path.name == MARKER):
        if path.name not in but:
            remove_tree(path)


def _free(directory: Path) -> int:
    """Return the megabytes that are free where a folder is, or is to be."""
    place = directory
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free // 1_000_000
