"""Recognising source trees, and naming the commit that one was checked out from."""

from __future__ import annotations

import contextlib
import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from cczoo_installer.errors import InstallError, NotOpenWebui, NotTrustee
from cczoo_installer.files import printable, read_small

_MAX_MANIFEST = 1 << 20  # bytes
_LANDMARKS = ("backend/open_webui", "src")
_TRUSTEE_MEMBERS = ("attestation-service", "kbs")  # of its Cargo workspace, since v0.10.0


def is_empty_or_missing(directory: Path) -> bool:
    """Tell whether there is nothing at ``directory`` that a fetched tree could overwrite."""
    if not directory.is_dir():
        return not directory.exists() and not directory.is_symlink()
    return next(directory.iterdir(), None) is None


def openwebui_version(directory: Path) -> str:
    """Return the version of the open-webui source tree in ``directory``.

    Raises NotOpenWebui, saying what is there instead.
    """
    shown = printable(directory)
    _refuse_nothing(
        directory,
        NotOpenWebui,
        "Name the folder of an open-webui source tree, or add `--fetch VERSION` to have one put "
        "there.",
    )
    if _is_trustee(directory):
        raise NotOpenWebui(f"{shown} is a Trustee. Name it with --trustee-dir.")
    version = version_in_package_json(directory)
    missing = [landmark for landmark in _LANDMARKS if not (directory / landmark).is_dir()]
    if missing:
        raise NotOpenWebui(
            f"{shown} calls itself open-webui but lacks {', '.join(missing)}. Start from a "
            "complete checkout or source package; of a container image name backend/open_webui."
        )
    return version


def require_trustee(directory: Path) -> None:
    """Raise NotTrustee, saying what is there instead, unless it is a source tree of Trustee."""
    shown = printable(directory)
    whole = "Name the top folder of a checkout or of an unpacked source archive of CoCo Trustee."
    _refuse_nothing(directory, NotTrustee, whole)
    try:
        members = _cargo_members(directory)
    except FileNotFoundError:
        if _is_openwebui(directory):
            whole = "It is an open-webui: name it with --openwebui-dir."
        raise NotTrustee(
            f"{shown} is not a source tree of Trustee: it has no Cargo.toml. {whole}"
        ) from None
    except PermissionError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as trouble:
        raise NotTrustee(
            f"{shown} is not a source tree of Trustee: no workspace can be read in its Cargo.toml "
            f"({printable(trouble)[:80]}). {whole}"
        ) from trouble
    missing = [
        name for name in _TRUSTEE_MEMBERS if name not in members or not (directory / name).is_dir()
    ]
    if missing:
        raise NotTrustee(
            f"{shown} is not a source tree of Trustee, or not all of one: it lacks "
            f"{', '.join(missing)}. {whole}"
        )


def _cargo_members(directory: Path) -> set[str]:
    """Return the members of a Cargo workspace; raises what reading odd files raises."""
    text = read_small(directory / "Cargo.toml", _MAX_MANIFEST)
    return set(tomllib.loads(text)["workspace"]["members"])


def _is_trustee(directory: Path) -> bool:
    try:
        require_trustee(directory)
    except (NotTrustee, OSError):
        return False
    return True


def _is_openwebui(directory: Path) -> bool:
    try:
        version_in_package_json(directory)
    except (NotOpenWebui, OSError):
        return False
    return True


def _refuse_nothing(directory: Path, error: type[InstallError], advice: str) -> None:
    """Raise ``error`` where there is nothing that could be a source tree."""
    if is_empty_or_missing(directory):
        what = "is empty" if directory.is_dir() else "does not exist"
        raise error(f"{printable(directory)} {what}. {advice}")
    if not directory.is_dir():
        raise error(f"{printable(directory)} is not a folder. {advice}")


def version_in_package_json(directory: Path) -> str:
    """Return the version that open-webui's package.json in ``directory`` names.

    Raises NotOpenWebui when there is none, or it is another program's.
    """
    shown = printable(directory)
    package = directory / "package.json"
    try:
        facts = json.loads(read_small(package, _MAX_MANIFEST))
        name, version = facts["name"], facts["version"]
    except FileNotFoundError:
        raise NotOpenWebui(
            f"{shown} is not an open-webui source tree: it has no package.json. Name the top "
            "folder of a checkout or of an unpacked source package, or the folder of an installed "
            "package, such as .../site-packages/open_webui."
        ) from None
    except PermissionError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as trouble:
        raise NotOpenWebui(
            f"{shown} is not an open-webui source tree: its package.json cannot be read "
            f"({printable(trouble)}). Name the top folder of a checkout or of an unpacked source "
            "package."
        ) from trouble
    if name != "open-webui" or not isinstance(version, str):
        raise NotOpenWebui(
            f"{shown} holds {printable(name)[:80]!r}, not open-webui. Name the top folder of an "
            "open-webui source tree."
        )
    return str(version)


@dataclass(frozen=True)
class Checkout:
    """The commit that a git checkout stands at, and its tag where it has one."""

    commit: str
    tag: str | None

    def __str__(self) -> str:
        return f"{self.tag} ({self.commit[:12]})" if self.tag else self.commit[:12]


def checkout(directory: Path) -> Checkout | None:
    """Return where a git checkout stands; None when ``directory`` is not one's top folder.

    A repository around the tree is somebody else's and says nothing about the tree. Only
    reads: neither index nor configuration is touched. Of another user's, root asks nothing: git
    goes by the configuration in it.
    """
    try:
        owner = (directory / ".git").stat().st_uid
    except OSError:
        return None
    if os.geteuid() == 0 and owner != 0:
        return None
    with contextlib.suppress(ImportError):
        import git

        with contextlib.suppress(git.GitError, ValueError, OSError):
            repository = git.Repo(directory)
            with contextlib.closing(repository):
                commit = repository.head.commit
                tag = next((tag.name for tag in repository.tags if tag.commit == commit), None)
                return Checkout(commit.hexsha, tag)
    return None
