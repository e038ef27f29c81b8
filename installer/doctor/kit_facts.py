"""What the kit says in a Python's own words: `python -m cczoo_backend.diagnosis`, read as JSON.

Nothing that belongs to a user is run as root: neither their interpreter nor what it would import.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shlex
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cczoo_installer.process import output_of

SECONDS = 60.0
_LIMIT = 1 << 20
_EVERYBODY = "everybody"
# Run by the interpreter that is asked about (3.11 or newer, as open-webui needs): it imports only
# what is needed to find things, so that a broken open-webui is no trouble.
_PROBE = """
import importlib.metadata, importlib.util, json, sys, sysconfig
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
def place(name):
    spec = importlib.util.find_spec(name)
    return spec and (spec.origin or list(spec.submodule_search_locations or [None])[0])
print(json.dumps({
    "python": ".".join(map(str, sys.version_info[:3])),
    "site": sysconfig.get_path("purelib"),
    "open_webui": {"version": version("open-webui"), "place": place("open_webui")},
    "kit": {"version": version("cczoo-trust-badge"), "place": place("cczoo_backend")},
}))
"""


@dataclass(frozen=True)
class Told:
    """What a Python said: members of a JSON object, or why there are none, and what to do.

    ``skipped`` is where it was not asked at all, because it belongs to another user than root.
    """

    members: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    cure: str = ""
    skipped: bool = False


def probe(python: Path, *, path: str | None, again: str, root: bool | None = None) -> Told:
    """Ask an interpreter for its version, and which open-webui and kit it would import.

    ``path`` is the PYTHONPATH that the server has, ``again`` the command line to be run as its
    user, and ``root`` whether this process is root (None: ask).
    """
    return _run(python, ["-c", _PROBE], path, {}, again, root)


def diagnosis(
    python: Path,
    folders: Sequence[Path] = (),
    *,
    path: str | None = None,
    environ: Mapping[str, str] | None = None,
    again: str = "",
    root: bool | None = None,
) -> Told:
    """Ask the kit of an interpreter; ``environ`` are the settings that it shall go by."""
    arguments = ["-m", "cczoo_backend.diagnosis"]
    for folder in folders:
        arguments += ["--store", str(folder)]
    return _run(python, arguments, path, environ or {}, again, root)


def own_diagnosis(folders: Sequence[Path], environ: Mapping[str, str]) -> Told:
    """Ask the kit that this very program belongs to."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return diagnosis(Path(sys.executable), folders, path=path, environ=environ, root=False)


def _run(
    python: Path,
    arguments: Sequence[str],
    path: str | None,
    environ: Mapping[str, str],
    again: str,
    root: bool | None,
) -> Told:
    if os.geteuid() == 0 if root is None else root:
        owner = changeable_by(_places(python, path))
        if owner is not None:
            cure = f"Run as that user: `sudo -u {shlex.quote(owner)} {again}`."
            if owner == _EVERYBODY:
                cure = "Let nobody but its owner write there (chmod o-w)."
            return Told(
                why=f"not run as root: what {python} runs can be changed by {owner}",
                cure=cure,
                skipped=True,
            )
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
    env = {name: os.environ[name] for name in kept if name in os.environ} | dict(environ)
    if path:
        env["PYTHONPATH"] = path
    try:
        # -P: nothing of the folder that we are in becomes importable.
        command = [str(python), "-P", *arguments]
        output = output_of(command, cwd=Path("/"), env=env, seconds=SECONDS, limit=_LIMIT)
        found = None if output is None else json.loads(output)
    except (OSError, ValueError, RecursionError) as trouble:
        return Told(why=f"{python} cannot be asked ({trouble})", cure="Mend that environment.")
    if not isinstance(found, dict):
        return Told(
            why=f"{python} gives no answer", cure="Install the kit there, or mend that environment."
        )
    return Told(found)


def changeable_by(places: Iterable[Path]) -> str | None:
    """Return who, other than root, can change one of these or a folder above it; None for nobody.

    Whoever can change what root runs is root.
    """
    seen: set[Path] = set()
    for place in places:
        for part in (place, *place.parents):
            if part in seen:
                continue
            seen.add(part)
            with contextlib.suppress(OSError):
                status = part.lstat()
                if status.st_uid != 0:
                    return _user_name(status.st_uid)
                if status.st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH and not (
                    stat.S_ISLNK(status.st_mode)
                ):
                    return _EVERYBODY
    return None


def _places(python: Path, path: str | None) -> Iterator[Path]:
    """Return what decides on what an interpreter runs: itself, its packages, PYTHONPATH."""
    absolute = Path(os.path.abspath(python))
    yield absolute
    yield Path(os.path.realpath(absolute))
    environment = absolute.parent.parent
    if (environment / "pyvenv.cfg").exists():
        yield environment / "pyvenv.cfg"
        yield from environment.glob("lib/python3*/site-packages/*")
    for entry in (path or "").split(os.pathsep):
        if entry:
            yield Path(os.path.realpath(entry))


def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"#{number}"
