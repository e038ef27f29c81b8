"""Building the front end away from the tree, and remembering what was built.

The cache holds, under its root:

- ``frontend/<lock hash>-node<major>/``: one workspace for each package-lock.json: ``tree/`` with
  the sources of the last build and a ``node_modules`` that is kept, ``lock``, ``build.log``;
- ``builds/<key>/``: finished front ends: ``build/`` and ``manifest.json`` with the SHA-256 of
  every file. The key is a hash of all that the build reads.

Nothing here writes to the open-webui tree.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cczoo_installer.errors import BuildFailed, MachineTrouble
from cczoo_installer.files import (
    locked,
    printable,
    read_small,
    remove_tree,
    sha256_bytes,
    sha256_file,
    tree_hashes,
    write_durably,
)
from cczoo_installer.process import Outcome, run
from cczoo_installer.report import Reporter, step_line

BUILDER_FORMAT = 1  # raise it when the way of building changes what comes out
NODE_MAJORS = (20, 22)
KEPT_BUILDS = 4  # finished front ends to keep, about 150 MB each

# A folder that open-webui's build fills before it builds, from node_modules and the network. It
# reads nothing of what it finds there; the one file that ships in it keeps the folder in place.
_FILLED_BY_THE_BUILD = PurePosixPath("static/pyodide")
_SHIPPED_IN_IT = _FILLED_BY_THE_BUILD / "pyodide-lock.json"

# What `npm run build` reads: folders, and files at the top. Environment files (.env) are left
# out on purpose: they hold secrets, and open-webui's front end uses none of them.
_FOLDERS = ("src", "static", "scripts")
_TOP_FILES = re.compile(
    r"package(-lock)?\.json|\.npmrc|tsconfig(\..+)?\.json"
    r"|(vite|svelte|postcss|tailwind)\.config\.(js|ts|cjs|mjs)"
)
_COMPLETE = ".cczoo-complete"  # in node_modules, which `npm ci` begins by removing

_INSTALL_SECONDS = 30 * 60
_BUILD_SECONDS = 60 * 60
_USUAL_SECONDS = {"ci": 40, "run": 150}  # of npm's commands, on two cores and a household's line
_HEAP_MB = 4096  # with 2048, vite runs out of memory on open-webui
# What open-webui's package.json takes under `engines`, and the packages of its lock file too:
# its .npmrc has npm refuse anything else. The front end was built with both ends of it.
OLDEST_NODE = (20, 18, 1)
TOO_NEW_NODE = (23, 0, 0)

_NO_ROOM = re.compile(r"\bENOSPC\b|\bEDQUOT\b|no space left on device|quota exceeded", re.I)
_NO_ROOM_BYTES = 1 << 20

Inputs = dict[str, Path | bytes]


@dataclass(frozen=True)
class Toolchain:
    """The Node.js and npm that build; ``version`` is Node's, such as (20, 19, 0)."""

    npm: str
    version: tuple[int, int, int]

    @property
    def major(self) -> int:
        """Node's major version, which a build may depend on."""
        return self.version[0]


def toolchain(env: Mapping[str, str] = os.environ) -> Toolchain:
    """Return the Node.js and npm on PATH; raises BuildFailed when they are missing or too old."""
    wanted = "Building open-webui's front end needs Node.js 20.18.1 or newer, up to 22, with npm"
    found = {name: shutil.which(name, path=env.get("PATH")) for name in ("node", "npm")}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise BuildFailed(
            f"{wanted}; {' and '.join(missing)} cannot be found. Install it and run again, or add "
            "--no-build to patch the sources only. Nothing was changed."
        )
    node, npm = str(found["node"]), str(found["npm"])
    try:
        output = subprocess.run(
            [node, "--version"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env=dict(env),
        ).stdout
    except (OSError, subprocess.SubprocessError) as trouble:
        raise BuildFailed(f"{wanted}; `node --version` failed ({printable(trouble)}).") from trouble
    match = re.match(r"v(\d+)\.(\d+)\.(\d+)", output)
    if match is None:
        raise BuildFailed(f"{wanted}; `node --version` says {printable(output.strip())[:80]!r}.")
    version = (int(match[1]), int(match[2]), int(match[3]))
    if not OLDEST_NODE <= version < TOO_NEW_NODE:
        raise BuildFailed(
            f"{wanted}; this is {output.strip()}. Install one of those and run again, or add "
            "--no-build to patch the sources only. Nothing was changed."
        )
    return Toolchain(npm, version)


def inputs(tree: Path, changes: Mapping[str, Path | bytes | None] | None = None) -> Inputs:
    """Return every file that the front end's build reads, by relative path, sorted.

    ``changes`` lays other contents over the tree without touching it; None removes a file.
    """
    found: Inputs = {}
    for path in tree.iterdir():
        if _TOP_FILES.fullmatch(path.name) and path.is_file():
            found[path.name] = path
    for name in _FOLDERS:
        for parent, folders, names in os.walk(tree / name):
            for link in (Path(parent, folder) for folder in folders):
                if link.is_symlink():
                    raise BuildFailed(
                        f"{printable(link)} is a symbolic link to a folder, which the build does "
                        "not follow. Put the real folder in its place and run again."
                    )
            for path in (Path(parent, file) for file in names):
                relative = PurePosixPath(path.relative_to(tree).as_posix())
                if _FILLED_BY_THE_BUILD not in relative.parents or relative == _SHIPPED_IN_IT:
                    found[str(relative)] = path
    for name, content in (changes or {}).items():
        if content is None:
            found.pop(name, None)
        elif PurePosixPath(name).parts[0] in _FOLDERS or _TOP_FILES.fullmatch(name):
            found[name] = content
    for name in ("package.json", "package-lock.json"):
        if name not in found:
            raise BuildFailed(f"{printable(tree / name)} is missing, and npm needs it.")
    return dict(sorted(found.items()))


def build_key(sources: Inputs, node_major: int) -> str:
    """Return the hash that names the front end built from ``sources``, 64 hex digits."""
    total = hashlib.sha256(f"front end {BUILDER_FORMAT} node {node_major}\0".encode())
    for name, content in sources.items():
        total.update(f"{name}\0{_digest(content)}\0".encode())
    return total.hexdigest()


def _digest(content: Path | bytes) -> str:
    return sha256_bytes(content) if isinstance(content, bytes) else sha256_file(content)


@dataclass(frozen=True)
class Build:
    """A finished front end in the cache: ``folder`` is what the backend serves."""

    folder: Path
    hashes: Mapping[str, str]
    key: str


def build(
    tree: Path,
    cache: Path,
    *,
    reporter: Reporter | None = None,
    env: Mapping[str, str] = os.environ,
) -> Path:
    """Build the front end of an open-webui tree, or find it built; returns its folder.

    The tree is only read. Raises BuildFailed, or MachineTrouble when the cache cannot be used.
    """
    return build_sources(inputs(tree), cache, toolchain(env), reporter=reporter, env=env).folder


def build_sources(
    sources: Inputs,
    cache: Path,
    tools: Toolchain,
    *,
    reporter: Reporter | None = None,
    env: Mapping[str, str] = os.environ,
) -> Build:
    """Build the front end from ``sources``, or find it built; one at a time for a workspace."""
    reporter = reporter or Reporter(None)
    key = build_key(sources, tools.major)
    found = cached(cache, key)
    if found is not None:
        reporter.say("The front end is in the cache already.")
        return found
    try:
        workspace = _workspace(cache, sources, tools)
        with locked(
            workspace / "lock",
            busy="Another build has been running for very long. Wait for it, then run again.",
            wait=_INSTALL_SECONDS + _BUILD_SECONDS,
            waiting=lambda: reporter.say("Another build is running; waiting for it ..."),
        ) as lock:
            found = cached(cache, key)  # the one that we waited for may have made it
            if found is None:
                job = _Job(workspace, tools, env, reporter, lock)
                job.build(sources, key)
                found = _keep(workspace / "tree" / "build", cache, key)
    except OSError as trouble:
        raise MachineTrouble(
            f"The front end cannot be built in the cache {printable(cache)} "
            f"({printable(trouble.strerror or trouble)}). It needs about 2 GB: make room, or name "
            "another folder with CCZOO_CACHE, and run again. The open-webui tree was not changed."
        ) from trouble
    return found


def _workspace(cache: Path, sources: Inputs, tools: Toolchain) -> Path:
    digest = _digest(sources["package-lock.json"])
    workspace = cache / "frontend" / f"{digest[:16]}-node{tools.major}"
    workspace.mkdir(parents=True, exist_ok=True)
    return workspace


@dataclass(frozen=True)
class _Job:
    """One build in a workspace whose lock is held."""

    workspace: Path
    tools: Toolchain
    env: Mapping[str, str]
    reporter: Reporter
    lock: int

    @property
    def tree(self) -> Path:
        return self.workspace / "tree"

    @property
    def log(self) -> Path:
        return self.workspace / "build.log"

    def build(self, sources: Inputs, key: str) -> None:
        """Leave the finished front end in ``tree/build``."""
        self.log.write_bytes(b"")
        self._lay_out(sources)
        if not self._has_packages(sources):
            self.reporter.say("Installing the front end's packages with npm (half a minute) ...")
            self._npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--include=dev", key=key)
            (self.tree / "node_modules" / _COMPLETE).write_text(self._packages_stamp(sources))
        self.reporter.say(f"Building the front end (some minutes; log: {printable(self.log)}) ...")
        # `npm run` and not vite alone: vite.config.ts takes the version from npm's environment.
        self._npm("run", "build", key=key)
        made = self.tree / "build"
        if not (made / "index.html").is_file() or not (made / "_app").is_dir():
            raise BuildFailed(
                f"npm reported success but left no front end in {printable(made)}. See the log "
                f"{printable(self.log)}. The open-webui tree was not changed."
            )

    def _lay_out(self, sources: Inputs) -> None:
        """Make the workspace hold exactly ``sources`` and node_modules."""
        self.tree.mkdir(exist_ok=True)
        for old in self.tree.iterdir():
            if old.name != "node_modules":
                remove_tree(old)
        for name, content in sources.items():
            target = self.tree / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                target.write_bytes(content)
            else:
                shutil.copyfile(content, target)

    def _has_packages(self, sources: Inputs) -> bool:
        stamp = self.tree / "node_modules" / _COMPLETE
        return stamp.is_file() and stamp.read_text() == self._packages_stamp(sources)

    def _packages_stamp(self, sources: Inputs) -> str:
        return f"{_digest(sources['package-lock.json'])} {_digest(sources['package.json'])}\n"

    def _npm(self, *arguments: str, key: str) -> None:
        installing = arguments[0] == "ci"
        outcome = run(
            [self.tools.npm, *arguments],
            cwd=self.tree,
            env=self._environment(key),
            log=self.log,
            seconds=_INSTALL_SECONDS if installing else _BUILD_SECONDS,
            pass_fds=(self.lock,),  # should we be killed, what still runs keeps the workspace
            on_wait=lambda seconds: self._tick(arguments[0], seconds),
        )
        self.reporter.still()
        if outcome.ok:
            return
        self._raise_if_full(outcome)
        how = (
            "took too long and was stopped"
            if outcome.returncode is None
            else f"failed (exit code {outcome.returncode})"
        )
        advice = (
            "Check that npm can reach its registry"
            if installing
            else f"If its packages seem broken, delete {printable(self.workspace)}"
        )
        raise BuildFailed(
            f"`npm {' '.join(arguments)}` {how}. The end of its log, {printable(self.log)}:\n"
            f"{outcome.tail()}\n{advice} and run again. The open-webui tree was not changed."
        )

    def _tick(self, command: str, seconds: float) -> None:
        """Show how far npm is, and what it wrote last."""
        words = Outcome(None, self.log).tail(1).strip()
        self.reporter.tick(step_line(f"npm {command}", seconds, words, _USUAL_SECONDS[command]))

    def _raise_if_full(self, outcome: Outcome) -> None:
        """Raise MachineTrouble where a full disk made npm fail: npm's own words are about npm.

        Its log may be empty then, so the room that is left counts as well as what it says.
        """
        places = {
            "the cache": self.workspace,
            "npm's own cache": Path(self.env.get("HOME") or "/", ".npm"),
            "the folder for temporary files": Path(tempfile.gettempdir()),
        }
        full = [f"{what} ({printable(where)})" for what, where in places.items() if _is_full(where)]
        if not full and not _NO_ROOM.search(outcome.tail()):
            return
        which = f"The disk of {' and of '.join(full)} is full" if full else "A disk is full"
        raise MachineTrouble(
            f"{which}, or a quota used up, and npm could not go on. A build needs about 2 GB in "
            "the cache: make room, or name another folder with CCZOO_CACHE, and run again. The "
            f"open-webui tree was not changed. The end of the log, {printable(self.log)}:\n"
            f"{outcome.tail()}"
        )

    def _environment(self, key: str) -> dict[str, str]:
        env = dict(self.env)
        # NODE_ENV=production would leave out the build tools.
        env.pop("NODE_ENV", None)
        options = env.get("NODE_OPTIONS", "")
        if "--max-old-space-size" not in options:
            options = f"{options} --max-old-space-size={_HEAP_MB}".strip()
        return env | {
            "NODE_OPTIONS": options,
            "APP_BUILD_HASH": name_of_build(key),
            "npm_config_update_notifier": "false",
            "CI": "1",
        }


def _is_full(folder: Path) -> bool:
    """Tell whether the file system of a folder has no room for a file of any size worth having."""
    while not folder.exists():
        folder = folder.parent
    found = os.statvfs(folder)
    room = found.f_bavail * found.f_frsize
    return room < _NO_ROOM_BYTES or (found.f_files > 0 and found.f_favail == 0)


def name_of_build(key: str) -> str:
    """Return what a front end calls itself: under Settings > About, and in its version.json."""
    return f"cczoo-{key[:12]}"


def built_key(folder: Path) -> str | None:
    """Return the beginning of the key of a front end that we built; None for anybody else's."""
    try:
        version = json.loads(read_small(folder / "_app" / "version.json", 4096))["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    match = re.fullmatch(r"cczoo-([0-9a-f]{12})", str(version))
    return match[1] if match else None


def cached(cache: Path, key: str) -> Build | None:
    """Return a finished front end from the cache after checking every file of it."""
    entry = cache / "builds" / key
    try:
        hashes = json.loads((entry / "manifest.json").read_text(encoding="utf-8"))
        if not isinstance(hashes, dict) or tree_hashes(entry / "build") != hashes:
            return None
        os.utime(entry)  # the last used are the last to be dropped
    except (OSError, ValueError):
        return None
    return Build(entry / "build", hashes, key)


def _keep(made: Path, cache: Path, key: str) -> Build:
    """Move a finished front end into the cache under ``key``, whole or not at all."""
    fresh = made.parent / "cczoo-entry"  # in the workspace, so that leftovers get removed
    fresh.mkdir()
    made.rename(fresh / "build")
    hashes = tree_hashes(fresh / "build")
    write_durably(fresh / "manifest.json", json.dumps(hashes).encode())
    entry = cache / "builds" / key
    entry.parent.mkdir(exist_ok=True)
    remove_tree(entry)  # damaged, or we would have used it
    fresh.rename(entry)
    _drop_old(entry.parent)
    return Build(entry / "build", hashes, key)


def _drop_old(builds: Path) -> None:
    entries = sorted(builds.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for entry in entries[KEPT_BUILDS:]:
        remove_tree(entry)
