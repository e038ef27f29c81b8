"""Open-webui as it is installed: trees that the installer patches, environments that it hooks.

The environments of .venv-webui are shared and stay as they are: whatever a test hooks, breaks or
runs out of is a copy of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from e2e.editions import this_edition
from e2e.stack import LOG_TAIL_CHARACTERS, REPO, Installation, StackError
from quote_generator.evidence import encode_base64url

KIT = "cczoo-trust-badge"
HOOK = "cczoo_open_webui.pth"
# Where the installer notes what it did.
RECORD = ".cczoo-install"
# Puts what open-webui needs on the path (tools/preparation/environments.py).
REQUIREMENTS = "open-webui-requirements.pth"
UV = Path(sys.executable).parent / "uv"
# What the console script of open-webui does, without its path to an interpreter.
SERVE = ("-c", "from open_webui import app; app()", "serve")
INSTALL_SECONDS = 120
BUILD_SECONDS = 1500


class Environment:
    """A Python environment of our own, to be started, changed and broken."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.packages = _packages_of(self.python)

    @classmethod
    def copy_of(cls, python: Path, folder: Path) -> Environment:
        """Return a copy, in ``folder``, of the environment that an interpreter belongs to."""
        _run([python, "-m", "venv", "--without-pip", folder])
        copy = cls(folder)
        shutil.copytree(_packages_of(python), copy.packages, dirs_exist_ok=True, symlinks=True)
        return copy

    @property
    def package(self) -> Path:
        """The folder of open-webui's package."""
        return self.packages / "open_webui"

    @property
    def hook(self) -> Path:
        """The plug-in way's one file."""
        return self.packages / HOOK

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the interpreter, and leave no compiled files behind; raise StackError."""
        return _run([self.python, "-B", *arguments])

    def install(self) -> None:
        """Put the hook in place, as a user does."""
        untested = () if this_edition().is_listed else ("--try",)
        self.run("-m", "cczoo_installer", "--openwebui-dir", self.package, *untested)

    def revert(self) -> None:
        """Take the hook back, as a user does."""
        self.run("-m", "cczoo_installer", "--openwebui-dir", self.package, "--revert")

    def uninstall(self, project: str) -> None:
        """Remove a project's files, as pip does."""
        _run([UV, "pip", "uninstall", "--quiet", "--python", self.python, project])

    def upgrade(self, other: Environment) -> None:
        """Put the open-webui of another environment into the place of this one's.

        As pip does: its files go, the other's come. They are copied, which needs no package index,
        and what pip writes besides (its cache, scripts, compiled files) is none of ours.
        """
        self.uninstall("open-webui")
        shutil.rmtree(self.package, ignore_errors=True)  # what it wrote into its own package
        for name in ("open_webui", *_metadata_of(other, "open_webui"), REQUIREMENTS):
            source, target = other.packages / name, self.packages / name
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copyfile(source, target)

    def plugin(self, command: tuple[str, ...] = SERVE) -> Installation:
        """Return the installed open-webui of this environment."""
        front_end = self.package / "frontend"
        return Installation(self.python, command, self.folder, self.package, front_end)

    def tree(self, tree: Path, front_end: Path | None = None) -> Installation:
        """Return the open-webui of a source tree, run by this environment."""
        command = ("-m", "uvicorn", "open_webui.main:app")
        backend = tree / "backend"
        package, front_end = backend / "open_webui", front_end or tree / "build"
        return Installation(self.python, command, backend, package, front_end)

    def pin_root(self, root: bytes) -> None:
        """Have the page take another root (DER) for Intel's: one constant, and nothing else."""
        page = self.packages / "cczoo_backend" / "page"
        intel, ours = _intels_key(), _key_of(root)
        manifest = json.loads((page / "manifest.json").read_bytes())
        pinned = 0
        for name in manifest["files"]:
            text = (page / name).read_text(encoding="utf-8")
            pinned += text.count(intel)
            body = text.replace(intel, ours).encode()
            (page / name).write_bytes(body)
            manifest["files"][name] = hashlib.sha256(body).hexdigest()
        assert pinned == 1, "the page pins Intel's root in exactly one place"
        (page / "manifest.json").write_text(json.dumps(manifest))


def installed_tree(version: str, directory: Path, log: Path) -> Path:
    """Return a fresh open-webui that the real installer fetched, patched and built."""
    command = [sys.executable, "-m", "cczoo_installer", "--openwebui-dir", str(directory)]
    command += ["--fetch", version]
    with log.open("wb") as output:
        done = subprocess.run(
            command, stdout=output, stderr=subprocess.STDOUT, timeout=BUILD_SECONDS, check=False
        )
    if done.returncode != 0:
        tail = log.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:]
        raise StackError(f"`{' '.join(command)}` ended with {done.returncode}\n{tail}")
    return directory


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder, and where every link leads."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[name] = "folder"
    return found


def _packages_of(python: Path) -> Path:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(_run([python, "-B", "-c", code]).stdout.strip())


def _metadata_of(environment: Environment, project: str) -> list[str]:
    return [path.name for path in environment.packages.glob(f"{project}-*.dist-info")]


def _intels_key() -> str:
    (key,) = re.findall(r"'([\w-]{87})'", (REPO / "web/src/dcap/root.ts").read_text())
    return str(key)


def _key_of(root: bytes) -> str:
    key = x509.load_der_x509_certificate(root).public_key()
    return encode_base64url(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def _run(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    # Without the checkout's path: only what is installed counts.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [str(word) for word in command]
    done = subprocess.run(
        words, env=env, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
    )
    if done.returncode != 0:
        raise StackError(f"`{' '.join(words)}` ended with {done.returncode}\n{done.stderr}")
    return done
