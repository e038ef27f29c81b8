"""What is installed in the folder, as ``--status`` knows it, and whether the server is older."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cczoo_installer.doctor.findings import Finding, failure, note, ok, unknown, warning
from cczoo_installer.doctor.scene import Scene, text
from cczoo_installer.hooked_package import HookedPackage
from cczoo_installer.install import Status
from cczoo_installer.journal import BUILD, HOME

# How much later a file may be dated than a process that read it: times of processes are counted
# in hundredths of a second, from a boot that is known to the second.
_SLACK = 2.0


def look(scene: Scene) -> Sequence[Finding]:
    """Return how the tree or package stands, and whether the running server is older than it."""
    if scene.installer is None:
        return [
            unknown(
                "installed",
                "no folder of open-webui is known",
                "Name --openwebui-dir, or start open-webui.",
            )
        ]
    if scene.status is None:
        return [failure("installed", scene.trouble, "Name another folder.")]
    return [_state(scene, scene.status), *_age(scene)]


def _state(scene: Scene, status: Status) -> Finding:
    way = "package" if status.way == "plugin" else "source tree"
    here = shlex.quote(status.directory)
    install = f"`cczoo-install --openwebui-dir {here}`"
    detail: dict[str, Any] = {
        "way": status.way,
        "state": status.state,
        "modified": list(status.modified),
    }
    if status.busy:
        return note("installed", f"another cczoo-install is at work on this {way}", **detail)
    if status.state == "not-installed":
        if not status.supported:
            text_ = f"{way}: open-webui {status.version} is not supported by this kit"
            return failure("installed", text_, "See docs/porting.md, or add --try.", **detail)
        if way == "package" and _serves_by_itself(scene):
            return ok("installed", f"{way} as it was; the server brings the kit itself", **detail)
        return failure("installed", f"{way}: not installed", f"Run {install}.", **detail)
    if status.state == "unfinished":
        cure = f"Run {install} again, or add --revert."
        return failure("installed", f"{way}: a run was stopped half-way", cure, **detail)
    if status.state == "unrecorded":
        cure = f"Run {install}: it takes that up again."
        return warning("installed", f"{way}: installed, and its record is gone", cure, **detail)
    if status.state == "modified":
        names = ", ".join(status.modified[:3])
        more = f" and {len(status.modified) - 3} more" if len(status.modified) > 3 else ""
        cure = "Put them back, or take the kit out with --revert and install again."
        return warning("installed", f"{way}: not as installed: {names}{more}", cure, **detail)
    if status.current is False:
        cure = f"Run {install}."
        return warning("installed", f"{way}: kit {status.kit} is installed", cure, **detail)
    if status.way == "source" and status.build is None:
        cure = f"Run {install} without --no-build."
        return warning("installed", f"{way}: installed without a front end", cure, **detail)
    return ok("installed", f"{way}: installed, as this kit would", **detail)


def _serves_by_itself(scene: Scene) -> bool:
    """Whether the server was started by `python -m cczoo_backend`, which needs no hook."""
    command = scene.server.command if scene.server is not None else ()
    return any("cczoo_backend" in word for word in command)


def _age(scene: Scene) -> Sequence[Finding]:
    """Say whether what the server runs has been changed since it was started."""
    server = scene.server
    if server is None or server.began is None:
        return []
    changed = [(when, what) for what, when in _changes(scene) if when > server.began + _SLACK]
    if not changed:
        return [ok("server-age", f"process {server.pid} is younger than all of that")]
    when, what = max(changed)
    return [
        warning(
            "server-age",
            f"process {server.pid} was started before {what} changed "
            f"({time.strftime('%Y-%m-%d %H:%M', time.localtime(when))})",
            "Restart open-webui.",
            began=server.began,
            changed=when,
        )
    ]


def _changes(scene: Scene) -> Iterator[tuple[str, float]]:
    """Return what the server read at its start, and when each was last changed.

    By the time of the change itself: an index page is dated later on purpose (docs/porting.md).
    """
    for what, path in _places(scene):
        with contextlib.suppress(OSError):
            yield what, path.stat().st_ctime


def _places(scene: Scene) -> Iterator[tuple[str, Path]]:
    installer = scene.installer
    if installer is None:
        return
    yield "the installation", installer.journal.root / HOME / "applied" / "record.json"
    if isinstance(installer, HookedPackage):
        yield "its environment", installer.package.site
        yield "its front end", installer.package.frontend / "index.html"
        yield "open-webui", installer.package.folder / "main.py"
    else:
        yield "its front end", installer.directory / BUILD / "index.html"
        yield "open-webui", installer.directory / "backend" / "open_webui" / "main.py"
    if kit := text(scene.probed.members, "kit", "place"):
        yield "the kit", Path(kit)
