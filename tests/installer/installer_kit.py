"""What the installer's tests share: snapshots, patch sets, doubles, git, child processes."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import os
import stat
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cczoo_installer import install

VERSION = "0.5.20"
REAL_CACHE = install.cache_root()  # before a test sets another one: real builds are shared
CHILD = Path(__file__).with_name("child.py")
HOOKED = "backend/open_webui/main.py"
HOOKED_TOO = "src/app.html"
NEW_FILES = {
    "backend/open_webui/routers/probe.py": b"ANSWER = 42\n",
    "src/lib/probe/deep/answer.ts": b"export const answer = 42;\n",
    "src/lib/probe/deep/more/answer.ts": b"export const more = 43;\n",
}

Snapshot = dict[str, tuple[str, int, str]]


def snapshot(folder: Path) -> Snapshot:
    """Every path below `folder` with its kind, mode and content hash (or link target)."""
    found: Snapshot = {}
    for parent, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(parent, name)
            status = path.lstat()
            mode = stat.S_IMODE(status.st_mode)
            key = path.relative_to(folder).as_posix()
            if path.is_symlink():
                found[key] = ("link", 0, str(path.readlink()))
            elif path.is_dir():
                found[key] = ("folder", mode, "")
            else:
                found[key] = ("file", mode, hashlib.sha256(path.read_bytes()).hexdigest())
    return found


def make_patch(name: str, old: bytes, new: bytes) -> str:
    """A patch with a proper header that turns `old` into `new`."""
    lines = difflib.unified_diff(
        old.decode().splitlines(keepends=True),
        new.decode().splitlines(keepends=True),
        f"a/{name}",
        f"b/{name}",
    )
    return f"Description: Probe\nWhy: To be tested.\nHow to test: Run this.\n\n{''.join(lines)}"


def make_patch_set(root: Path, pristine: Path, new_files: Mapping[str, bytes]) -> Path:
    """Write a patch set with a hook in two real files; returns its root."""
    folder = root / f"v{VERSION}"
    folder.mkdir(parents=True)
    edits = {
        "0001-hook.patch": (HOOKED, b"\n# probe: hooked\n", 900),
        "0002-page.patch": (HOOKED_TOO, b"\t\t<!-- probe -->\n", 5),
    }
    upstream = {}
    for patch, (name, line, position) in edits.items():
        old = (pristine / name).read_bytes()
        lines = old.splitlines(keepends=True)
        new = b"".join([*lines[:position], line, *lines[position:]])
        (folder / patch).write_text(make_patch(name, old, new))
        upstream[name] = hashlib.sha256(old).hexdigest()
    (folder / "series").write_text("".join(f"{patch}\n" for patch in edits))
    facts = {"version": VERSION, "sdist_sha256": "0" * 64, "files": upstream}
    (folder / "upstream.json").write_text(json.dumps(facts))
    for name, content in new_files.items():
        path = root / "overlay" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


@dataclass(frozen=True)
class Ran:
    """What one run of the installer did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


FAKE_NPM = """\
    #!/bin/sh
    # A double of npm: `ci` makes node_modules, `run build` a tiny front end of src/.
    set -e
    echo "npm $* in $PWD" >> "$FAKE_NPM_LOG"
    env >> "${FAKE_NPM_LOG%.log}.env"
    case "$1" in
      ci) rm -rf node_modules; mkdir node_modules ;;
      run)
        case "$FAKE_NPM_DOES" in
          fail) echo "vite: something is wrong"; printf 'evil \\033[31m text\\n'; exit 1 ;;
          nothing) exit 0 ;;
          hang) sleep 300 & echo $! > "$FAKE_NPM_LOG.pid"; wait ;;
          linger)
            touch "$FAKE_NPM_LOG.started"
            while ! [ -e "$FAKE_NPM_LOG.go" ]; do sleep 0.05; done ;;
        esac
        mkdir -p build/_app build/static
        (find src -type f | sort | xargs cat) > build/_app/app.js
        echo "<html>$APP_BUILD_HASH</html>" > build/index.html ;;
    esac
"""


@dataclass(frozen=True)
class FakeTools:
    """Doubles of node and npm that are first on PATH."""

    folder: Path
    log: Path

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def builds(self) -> int:
        return sum(call.startswith("npm run build") for call in self.calls())


def git(folder: Path, *arguments: str) -> str:
    """Run git without anybody's settings, except a name to commit with."""
    env = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    return subprocess.run(
        ["git", *identity, *arguments],
        cwd=folder,
        env=env,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout


@contextlib.contextmanager
def started(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A child process that is gone afterwards, whatever happens."""
    with subprocess.Popen(command, text=True, **options) as child:
        try:
            yield child
        finally:
            child.kill()
