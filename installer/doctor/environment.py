"""The Python that runs open-webui: found by its process or its folder, and the kit in it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from cczoo_installer import package
from cczoo_installer.doctor.findings import Finding, failure, ok, unknown, warning
from cczoo_installer.doctor.scene import Scene, text
from cczoo_installer.hooked_package import HookedPackage
from cczoo_installer.kit import kit_source, kit_version
from cczoo_installer.openwebui_tree import OpenWebuiTree


def python_beside(installer: OpenWebuiTree | HookedPackage) -> Path | None:
    """Return the Python of the environment that a package is installed in.

    A source tree does not say which Python it runs with, nor does a package that lies elsewhere.
    """
    if not isinstance(installer, HookedPackage) or installer.package.is_elsewhere:
        return None
    if installer.package.site == package.our_site():
        import sys

        return Path(sys.executable)
    beside = installer.package.site.parents[2] / "bin" / "python"
    return beside if beside.exists() else None


def look(scene: Scene) -> Sequence[Finding]:
    """Return which Python it is, and whether it would import the kit, of this version."""
    if scene.python is None:
        return [_not_found(scene)]
    if not scene.probed.members:
        return [unknown("python", scene.probed.why, scene.probed.cure, python=str(scene.python))]
    version = text(scene.probed.members, "python") or "of unknown version"
    found = [ok("python", f"{scene.python} ({version})", python=str(scene.python))]
    return [*found, *_kit(scene)]


def _not_found(scene: Scene) -> Finding:
    if len(scene.servers) > 1:
        pids = ", ".join(str(one.pid) for one in scene.servers)
        return unknown(
            "python", f"several open-webuis run here (processes {pids})", "Name --openwebui-dir."
        )
    if scene.server is not None:
        return unknown(
            "python",
            f"the Python of process {scene.server.pid} cannot be seen from here",
            "Run as its user, and in its container; or name --python.",
        )
    return unknown(
        "python",
        "open-webui does not run, and this folder does not say with which Python it would",
        "Start it, or name --python.",
    )


def _kit(scene: Scene) -> Sequence[Finding]:
    members = scene.probed.members
    place, version = text(members, "kit", "place"), text(members, "kit", "version")
    install = f"`{shlex.quote(str(scene.python))} -m pip install {shlex.quote(kit_source())}`"
    if place is None:
        cure = f"Run {install}, then restart open-webui."
        return [failure("kit-importable", "the kit is not importable there", cure)]
    shown = f"the kit is importable there: {version or 'version unknown'}"
    if version != kit_version():
        cure = f"For one version: {install}."
        return [warning("kit-importable", f"{shown}; this is {kit_version()}", cure)]
    if scene.theirs.skipped or not scene.theirs.members:
        return [
            unknown(
                "kit-importable",
                f"{shown}, and does not run: {scene.theirs.why}",
                scene.theirs.cure,
            )
        ]
    bundle = scene.theirs.members.get("bundle")
    if detail := text(bundle if isinstance(bundle, dict) else {}, "detail"):
        return [
            failure("kit-page", f"the page's part is missing there: {detail}", f"Run {install}.")
        ]
    return [ok("kit-importable", shown, place=os.path.dirname(place))]
