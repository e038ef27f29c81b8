"""Recognising an open-webui source tree, and naming the commit it was checked out from."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from cczoo_installer.errors import NotOpenWebui
from cczoo_installer.files import printable

_MAX_PACKAGE_JSON = 1 << 20
_LANDMARKS = ("backend/open_webui", "src")


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
    if is_empty_or_missing(directory):
        what = "is empty" if directory.is_dir() else "does not exist"
        raise NotOpenWebui(
            f"{shown} {what}. Name the folder of an open-webui source tree, or add "
            "`--fetch VERSION` to have one put there."
        )
    if not directory.is_dir():
        raise NotOpenWebui(f"{shown} is not a folder. Name the folder of an open-webui tree.")
    version = version_in_package_json(directory)
    missing = [landmark for landmark in _LANDMARKS if not (directory / landmark).is_dir()]
    if missing:
        raise NotOpenWebui(
            f"{shown} calls itself open-webui but lacks {', '.join(missing)}. Start from a "
            "complete checkout or source package; of a container image name backend/open_webui."
        )
    return version


def version_in_package_json(directory: Path) -> str:
    """Return the version that open-webui's package.json in ``directory`` names.

    Raises NotOpenWebui when there is none, or it is another program's.
    """
    shown = printable(directory)
    package = directory / "package.json"
    try:
        if package.stat().st_size > _MAX_PACKAGE_JSON:
            raise ValueError("it is absurdly large")
        facts = json.loads(package.read_text(encoding="utf-8"))
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

    A repository around the tree is somebody else's and says nothing about open-webui. Only
    reads: neither index nor configuration is touched.
    """
    if not (directory / ".git").exists():
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
