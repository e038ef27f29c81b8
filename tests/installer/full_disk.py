"""Fills the disk of a folder at each step of an installation and of its taking back, in turn.

full_disk.py PATCHES ROOT NAME DIRECTORY OPTION...; in a mount namespace of its own, as root. ROOT
gets a small file system for each step, with what it holds. Prints as JSON the exit code for each
step, and what was not as it should be afterwards.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from cczoo_installer.__main__ import run
from installer_kit import snapshot

patches, root = map(Path, sys.argv[1:3])
named, options = sys.argv[3:5], sys.argv[5:]
kept = Path(f"{root}.kept")
filler = root / "filler"


def quietly(argv: list[str], on_step: Callable[[str], None] = lambda _step: None) -> int:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return run([*named, *argv], patches=patches, on_step=on_step)


def fill() -> None:
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as stream:
        while True:
            stream.write(b"\0" * 4096)


@contextlib.contextmanager
def small_disk() -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", root], check=True)
    try:
        shutil.copytree(kept, root, symlinks=True, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", root], check=True)


def steps_of(argv: list[str]) -> list[str]:
    steps: list[str] = []
    assert quietly(argv, steps.append) == 0
    return list(dict.fromkeys(steps))


def full_at(step: str, argv: list[str]) -> tuple[int, str]:
    """Run with the disk filled at a step; returns the exit code and what is wrong afterwards."""
    code = quietly(argv, lambda name: fill() if name == step and not filler.exists() else None)
    filler.unlink(missing_ok=True)
    if code not in (0, 6):
        return code, "another exit code than 0 and 6"
    if code == 6 and argv == ["--revert"] and quietly(["--revert"]) != 0:
        return code, "could not be taken back once there was room"
    if code == 0 and argv != ["--revert"] and quietly(["--revert"]) != 0:
        return code, "could not be taken back"
    found = snapshot(root)
    return code, "" if found == stock else "not as it was"


kept.mkdir()
shutil.copytree(root, kept, symlinks=True, dirs_exist_ok=True)
results = {}
with small_disk():
    stock = snapshot(root)
    ways = {
        "install": (options, steps_of(options)),
        "revert": (["--revert"], steps_of(["--revert"])),
    }
for way, (argv, steps) in ways.items():
    for step in steps:
        with small_disk():
            if way == "revert":
                assert quietly(options) == 0
            results[f"{way} {step}"] = full_at(step, argv)
shutil.rmtree(kept)
print(json.dumps(results))
