"""Local edits in files that get a hook: the kit's change and the edit put together, by git."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from cczoo_installer.errors import MachineTrouble
from cczoo_installer.files import sha256_bytes
from cczoo_installer.patchset import NO_GIT


def merged(edited: bytes, upstream: bytes, hooked: bytes) -> bytes | None:
    """Return ``edited`` with what leads from ``upstream`` to ``hooked``; None for a conflict.

    Three-way and without fuzz, as ``git merge-file`` does it. Works on copies of its own, with
    nobody's settings. Raises MachineTrouble where git cannot.
    """
    import git

    with tempfile.TemporaryDirectory(prefix="cczoo-merge-") as scratch:
        names = ("edited", "upstream", "hooked")
        for name, content in zip(names, (edited, upstream, hooked), strict=True):
            Path(scratch, name).write_bytes(content)
        runner = git.Git(scratch)
        runner.update_environment(
            GIT_DIR=str(Path(scratch, "no-repository")),
            GIT_CONFIG_NOSYSTEM="1",
            GIT_CONFIG_SYSTEM=os.devnull,
            GIT_CONFIG_GLOBAL=os.devnull,
            GIT_CONFIG_COUNT="0",
            LC_ALL="C",
        )
        try:
            status, output, _trouble = runner.execute(
                ["git", "merge-file", "-p", "-q", *names],
                with_extended_output=True,
                with_exceptions=False,
                strip_newline_in_stdout=False,
                stdout_as_string=False,
                kill_after_timeout=60,
            )
        except git.GitCommandNotFound as trouble:
            raise MachineTrouble(NO_GIT) from trouble
    return bytes(output) if status == 0 else None


def from_repository(directory: Path, version: str, name: str, sha256: str) -> bytes | None:
    """Return a file of the release from the repository of a checkout, None where it is not there.

    Only content with the hash ``sha256`` is taken, whatever the repository's tags say.
    """
    if not (directory / ".git").exists():
        return None
    try:
        import git
    except ImportError as trouble:  # GitPython looks for git as it is imported
        raise MachineTrouble(NO_GIT) from trouble
    runner = git.Git(directory)
    for revision in (f"v{version}", "HEAD"):
        command = ["git", f"--git-dir={directory / '.git'}", "cat-file", "blob"]
        try:
            status, output, _trouble = runner.execute(
                [*command, f"{revision}:{name}"],
                with_extended_output=True,
                with_exceptions=False,
                strip_newline_in_stdout=False,
                stdout_as_string=False,
                kill_after_timeout=60,
            )
        except git.GitCommandNotFound as trouble:
            raise MachineTrouble(NO_GIT) from trouble
        if status == 0 and sha256_bytes(bytes(output)) == sha256:
            return bytes(output)
    return None
