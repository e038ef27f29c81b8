"""The kit as users install it: from its wheel, which carries patches and overlay along."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from cczoo_installer import patchset, source
from cczoo_installer.install import cache_root
from cczoo_installer.report import Reporter

VERSION = "0.5.20"
DIGEST = (
    "from cczoo_installer import patchset as p; print(p.load(p.default_root(), '0.5.20').digest)"
)


def run(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    # From another folder and without the checkout's path: only what was installed is seen.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(python), *arguments]
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False
    )


def test_the_wheel_carries_this_very_patch_set(webui_python: Path, tmp_path: Path) -> None:
    here = patchset.load(patchset.default_root(), VERSION).digest
    assert run(webui_python, "-c", DIGEST, cwd=tmp_path).stdout.strip() == here


def test_the_wheel_alone_installs_and_takes_back(webui_python: Path, tmp_path: Path) -> None:
    sha256 = patchset.load(patchset.default_root(), VERSION).sdist_sha256
    with open(os.devnull, "w") as silence:
        archive = source.fetch(VERSION, sha256, cache_root(), reporter=Reporter(silence))
    tree = tmp_path / "open-webui"
    source.unpack(archive, tree)
    before = {p.relative_to(tree): p.read_bytes() for p in tree.rglob("*") if p.is_file()}
    command = ["-m", "cczoo_installer", "--openwebui-dir", str(tree), "--json"]

    installed = run(webui_python, *command, "--no-build", cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr
    assert (tree / "backend/open_webui/routers/tee.py").is_file()
    status = json.loads(run(webui_python, *command, "--status", cwd=tmp_path).stdout)
    assert status["state"] == "installed"

    assert run(webui_python, *command, "--revert", cwd=tmp_path).returncode == 0
    after = {p.relative_to(tree): p.read_bytes() for p in tree.rglob("*") if p.is_file()}
    assert after == before
