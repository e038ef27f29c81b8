"""What all looks share: what the operator named, the server that runs, and its Python."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cczoo_installer import package
from cczoo_installer.doctor import processes
from cczoo_installer.doctor.kit_facts import Told
from cczoo_installer.doctor.processes import Process
from cczoo_installer.errors import InstallError
from cczoo_installer.hooked_package import HookedPackage
from cczoo_installer.install import Status
from cczoo_installer.openwebui_tree import OpenWebuiTree
from cczoo_installer.package import looks_like_package
from cczoo_installer.report import Reporter

# open-webui's own default, and that of its command.
DEFAULT_PORT = 8080


@dataclass(frozen=True)
class Options:
    """What the command line says: ``again`` is a command line for the same as another user."""

    directory: Path | None
    url: str | None
    python: Path | None
    offline: bool
    patches: Path
    env: Mapping[str, str]
    proc: Path = processes.PROC

    @property
    def again(self) -> str:
        """The command line by which the same is asked once more."""
        words = ["cczoo-install", "doctor"]
        for name, value in (
            ("--openwebui-dir", self.directory),
            ("--url", self.url),
            ("--python", self.python),
        ):
            words += [name, str(value)] if value is not None else []
        return shlex.join(words)


@dataclass(frozen=True)
class Scene:
    """One look at this machine; the members are as they were when it began."""

    options: Options
    servers: Sequence[Process] = ()
    installer: OpenWebuiTree | HookedPackage | None = None
    status: Status | None = None
    trouble: str = ""
    python: Path | None = None
    probed: Told = field(default_factory=Told)
    own: Told = field(default_factory=Told)
    theirs: Told = field(default_factory=Told)

    @property
    def server(self) -> Process | None:
        """The server that is meant, where there is but one."""
        return self.servers[0] if len(self.servers) == 1 else None

    @property
    def settings(self) -> Mapping[str, str]:
        """The server's environment, empty where it cannot be seen."""
        return (self.server.environ if self.server else None) or {}

    @property
    def url(self) -> str | None:
        """Where to ask the server: what was named, else the loopback at the port it listens at."""
        if self.options.url is not None:
            return self.options.url
        found = processes.addresses_of(self.server, self.options.proc) if self.server else []
        if not found:
            return None
        host = found[0].host if found[0].is_for_everybody else "127.0.0.1"
        if host in {"0.0.0.0", "::", "127.0.0.1"}:  # noqa: S104 (compared, not listened at)
            host = "127.0.0.1"
        return f"http://{f'[{host}]' if ':' in host else host}:{found[0].port}"

    @property
    def version(self) -> str | None:
        """The version of open-webui, by its folder, else by the environment that runs it."""
        if self.status is not None and self.status.version is not None:
            return self.status.version
        return text(self.probed.members, "open_webui", "version")

    @property
    def data(self) -> Path | None:
        """Where open-webui keeps chats, files and its database, by its settings or defaults."""
        if self.settings.get("DATA_DIR"):
            return Path(self.server.folder if self.server and self.server.folder else "/").joinpath(
                self.settings["DATA_DIR"]
            )
        if isinstance(self.installer, OpenWebuiTree) and self.status is not None:
            return self.installer.directory / "backend" / "data"
        if isinstance(self.installer, HookedPackage) and self.status is not None:
            folder = self.installer.package.folder
            inside = (folder / "frontend").is_dir()  # open_webui.env, FROM_INIT_PY
            return (folder if inside else folder.parent) / "data"
        return None


def text(members: Mapping[str, Any], *names: str) -> str | None:
    """Return a text deep inside of JSON objects that somebody else made; None for all else."""
    found: object = members
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) else None


def installer_of(directory: Path, patches: Path) -> OpenWebuiTree | HookedPackage:
    """Return what works on a folder, as `cczoo-install --openwebui-dir` would; raises BadUsage."""
    if looks_like_package(directory):
        return HookedPackage(directory, patches, Reporter(None))
    return OpenWebuiTree(directory, patches, Reporter(None))


def folder_of(process: Process, probed: Told) -> Path | None:
    """Return the source tree or the package that a process runs, by what its Python imports.

    ``open_webui`` in a process's own folder comes first there (start.sh), as for Python.
    """
    place = text(probed.members, "open_webui", "place")
    folder = Path(place).parent if place and os.path.isabs(place) else None
    own = Path(process.folder or "/") / package.NAME
    if (own / "main.py").is_file():
        folder = own
    if folder is None:
        return None
    top = folder.parent.parent
    is_tree = folder.parent.name == "backend" and (top / "src").is_dir()
    return top if is_tree else folder


def belongs_to(process: Process, directory: Path) -> bool:
    """Whether a process runs what is in ``directory``, by its folder, Python or command line."""
    top = os.path.realpath(directory)
    names = [process.folder, *(word for word in process.command if word.startswith("/"))]
    if any(name and f"{os.path.realpath(name)}/".startswith(f"{top}/") for name in names):
        return True
    python = process.python()
    if python is None:
        return False
    environment = os.path.realpath(python.parent.parent)
    return f"{top}/".startswith(f"{environment}/")


def listens_at(process: Process, url: str, proc: Path) -> bool:
    """Whether a process takes connections at an address of this machine."""
    parts = urlsplit(url)
    is_here = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return is_here and port in {one.port for one in processes.addresses_of(process, proc)}


def state_of(
    installer: OpenWebuiTree | HookedPackage,
) -> tuple[Status | None, str]:
    """Return how a folder stands as `--status` knows it, or why that cannot be told."""
    try:
        return installer.status(), ""
    except InstallError as trouble:
        return None, str(trouble)
    except OSError as trouble:
        return None, f"{trouble.filename}: {trouble.strerror}"
