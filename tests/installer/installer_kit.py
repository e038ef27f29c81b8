"""What the installer's tests share: snapshots, patch sets, doubles, git, child processes."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import os
import shutil
import stat
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cczoo_installer import __main__ as command_line
from cczoo_installer import install, patchset
from cczoo_installer.files import sha256_file, tree_hashes

from preparation import editions

# The newest version with patches: the trees and patch sets of these tests are of that one.
VERSION = editions.versions(editions.SOURCE)[-1]
# What the double of an installed package says it is: no version of anybody's.
PLUGIN_VERSION = "0.99.0"
REAL_CACHE = install.cache_root()  # before a test sets another one: real builds are shared
CHILD = Path(__file__).with_name("child.py")
HOOKED = "backend/open_webui/main.py"
HOOKED_TOO = "src/app.html"
HOOKED_LAST = "src/lib/constants.ts"
VERSIONS = {
    "versions": [
        {"version": VERSION, "ways": ["source", "plugin"]},
        {"version": PLUGIN_VERSION, "ways": ["plugin"]},
    ]
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


def make_patch_set(
    root: Path, pristine: Path, word: str = "probe", without: tuple[str, ...] = ()
) -> Path:
    """Write a patch set with a hook in up to three real files; returns its root."""
    folder = root / f"v{VERSION}"
    folder.mkdir(parents=True)
    edits = {
        "0001-hook.patch": (HOOKED, f"\n# {word}: hooked\n", 900),
        "0002-page.patch": (HOOKED_TOO, f"\t\t<!-- {word} -->\n", 5),
        "0003-code.patch": (HOOKED_LAST, f"export const HOOK = '{word}';\n", 3),
    }
    edits = {patch: edit for patch, edit in edits.items() if edit[0] not in without}
    upstream = {}
    for patch, (name, line, position) in edits.items():
        old = (pristine / name).read_bytes()
        lines = old.splitlines(keepends=True)
        new = b"".join([*lines[:position], line.encode(), *lines[position:]])
        (folder / patch).write_text(make_patch(name, old, new))
        upstream[name] = hashlib.sha256(old).hexdigest()
    (folder / "series").write_text("".join(f"{patch}\n" for patch in edits))
    facts = {"version": VERSION, "sdist_sha256": "0" * 64, "files": upstream}
    (folder / "upstream.json").write_text(json.dumps(facts))
    (root / "versions.json").write_text(json.dumps(VERSIONS))
    (root / "anchors.json").write_text(json.dumps(ANCHORS))
    return root


# What kit 0.1.0 added to a tree, in folders of its own and of upstream.
OVERLAY = {
    "backend/open_webui/routers/tee.py": "ROUTES = 4\n",
    "src/lib/tee/session.ts": "export const older = 1;\n",
    "src/lib/tee/dcap/deep/root.ts": "export const root = 2;\n",
}


def install_as_kit_0_1_0(tree: Path, patches: Path, *, build: bool = False) -> None:
    """Leave in `tree` what kit 0.1.0 left there: edits, an overlay, a record of format 1.

    Its edits are those of `patches`; with `build`, a front end took the place of the user's.
    """
    edits = patchset.load(patches, VERSION)
    applied = tree / ".cczoo-install" / "applied"
    files: dict[str, Any] = {}
    originals = {name: (tree / name).read_bytes() for name in edits.edited}
    for name, content in edits.patched(originals).items():
        mode = stat.S_IMODE((tree / name).stat().st_mode)
        (applied / "old" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(tree / name, applied / "old" / name)
        (tree / name).write_bytes(content)
        before = hashlib.sha256(originals[name]).hexdigest()
        files[name] = {"before": before, "after": sha256_file(tree / name), "mode": mode}
    write_files(tree, OVERLAY)
    for name in OVERLAY:
        files[name] = {"before": None, "after": sha256_file(tree / name), "mode": 0o644}
    record = {
        "build": None,
        "files": files,
        "folders": ["src/lib/tee", "src/lib/tee/dcap", "src/lib/tee/dcap/deep"],
        "format": 1,
        "kit": "0.1.0",
        "openwebui": VERSION,
        "patch_set": "0" * 64,
    }
    if build:
        (tree / "build").rename(applied / "old" / "build")
        write_files(tree / "build", {"index.html": "kit 0.1.0", "_app/app.js": "older"})
        (applied / "build.json").write_text(json.dumps(tree_hashes(tree / "build")))
        record["build"] = {"key": "1" * 64, "node_major": 20, "replaced": True}
    (applied / "record.json").write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    (applied.parent / ".gitignore").write_text("*\n")


OPEN_WEBUI = {
    "__init__.py": "",
    "main.py": "print('open-webui starts')\nFastAPI = dict\napp = FastAPI(title='Open WebUI')\n",
    "utils/auth.py": "def decode_token(token): ...\ndef get_verified_user(user=None): ...\n",
    "frontend/index.html": "<html></html>",
    "frontend/_app/app.js": 'e=`<div class="row"></div>`',
    "frontend/_app/folder.js/other.js": "f='#settings'",
}
ANCHORS = {
    "v": 1,
    "places": {
        "badge": {"anchors": [{"markup": "no such text"}, {"markup": 'class="row"'}]},
        "settings": {"anchors": [{"markup": "#settings"}]},
    },
}
# What cczoo_backend is to the hook, without open-webui's own needs.
BACKEND = {
    "__init__.py": "def install(app):\n    print('the badge is in', app['title'])\n",
    "hook.py": """\
        import os
        from importlib.machinery import PathFinder

        from cczoo_backend import install

        def find_spec(name, path, target, package):
            spec = PathFinder.find_spec(name, path, target)
            if spec is None or os.path.realpath(os.path.dirname(spec.origin)) != package:
                return None
            run = spec.loader.exec_module

            def exec_module(module):
                run(module)
                install(module.app)

            spec.loader.exec_module = exec_module
            return spec
        """,
}


def write_files(folder: Path, files: Mapping[str, str]) -> Path:
    """Write the texts of `files` below `folder`, which is returned."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder


def say_version(site: Path, version: str) -> None:
    """Make the package metadata in `site` say that open-webui `version` is installed."""
    for older in site.glob("open_webui-*.dist-info"):
        shutil.rmtree(older)
    metadata = f"Metadata-Version: 2.1\nName: open-webui\nVersion: {version}\n"
    write_files(site / f"open_webui-{version}.dist-info", {"METADATA": metadata})


@dataclass(frozen=True)
class Environment:
    """A virtual environment: its Python, its site-packages folder and the open_webui in that."""

    python: Path
    site: Path

    @property
    def package(self) -> Path:
        return self.site / "open_webui"

    @property
    def hook(self) -> Path:
        return self.site / "cczoo_open_webui.pth"

    def run(self, *arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        """Run its Python, with none of our own settings, from a folder that holds no module."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
        return subprocess.run(
            [self.python, *arguments],
            cwd=self.python.parent,
            env=kept | env,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

    def starts(self, **env: str) -> tuple[list[str], str]:
        """Start its open-webui; returns the lines it prints, and what it says on stderr."""
        done = self.run("-c", "import open_webui.main", **env)
        return done.stdout.splitlines(), done.stderr


@dataclass(frozen=True)
class Case:
    """One place to install into: what to name and how, the folder that changes, the patch sets.

    `options` is what an installation is asked for with, `file` one of the files that it changes.
    """

    directory: Path
    root: Path
    patches: Path
    file: str
    options: tuple[str, ...] = ()
    name: str = "--openwebui-dir"

    def argv(self, *more: str) -> list[str]:
        return [self.name, str(self.directory), *more]


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
    echo "RAN_AS=$(id -u)" >> "${FAKE_NPM_LOG%.log}.env"
    case "$1" in
      ci)
        rm -rf node_modules
        mkdir node_modules
        case "$FAKE_NPM_DOES" in
          fill) dd if=/dev/zero of=node_modules/large bs=64k 2> /dev/null ;;
          complain) echo "npm error $FAKE_NPM_SAYS"; exit 228 ;;
        esac ;;
      run)
        case "$FAKE_NPM_DOES" in
          fail)
            echo "vite: something is wrong"; printf 'evil \\033[31m text\\n'
            for n in $(seq 50); do echo "    at deep (/node_modules/vite/main.js:$n:15)"; done
            exit 1 ;;
          nothing) exit 0 ;;
          hang) echo "vite: 12 of 99"; sleep 300 & echo $! > "$FAKE_NPM_LOG.pid"; wait ;;
          stubborn)
            trap 'touch "$FAKE_NPM_LOG.asked"' TERM
            touch "$FAKE_NPM_LOG.started"
            for _ in $(seq 600); do sleep 0.1 || true; done
            touch "$FAKE_NPM_LOG.done" ;;
          linger)
            touch "$FAKE_NPM_LOG.started"
            while ! [ -e "$FAKE_NPM_LOG.go" ]; do sleep 0.05; done ;;
        esac
        mkdir -p build/_app build/static
        (find src -type f | sort | xargs cat) > build/_app/app.js
        if grep -rqs "HOOK = " src; then  # as the hook that names the build
          printf '{"version":"%s"}' "$APP_BUILD_HASH" > build/_app/version.json
        fi
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


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


def steps_of(patches: Path, *argv: str) -> list[str]:
    """Every step that a run takes, repeated ones numbered."""
    seen: list[str] = []

    def on_step(name: str) -> None:
        seen.append(name if name not in seen else f"{name}#{seen.count(name) + 1}")

    assert command_line.run(argv, patches=patches, on_step=on_step) == 0
    return seen


def without_ours(found: Snapshot) -> Snapshot:
    """A snapshot without the journal's folder."""
    return {name: facts for name, facts in found.items() if not name.startswith(".cczoo-install")}


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def in_mount_namespace(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a shell script where its mounts are nobody else's."""
    return subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script, "sh"]
        + [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
