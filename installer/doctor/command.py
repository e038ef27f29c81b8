"""``cczoo-install doctor``: look at everything, change nothing.

Exit codes: 0 all is well, 10 something could not be made out, 11 it works and not as it should, 12
there is no green badge with that; by the worst line. The installer's own, such as 2 for usage, are
below 10.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from cczoo_installer import patchset
from cczoo_installer.doctor import (
    advisories,
    environment,
    host,
    installed,
    kit_facts,
    machine,
    models,
    processes,
    reach,
    served,
    services,
)
from cczoo_installer.doctor.findings import EXIT_CODES, Finding, Group, unknown, worst
from cczoo_installer.doctor.render import as_json, as_screen
from cczoo_installer.doctor.scene import (
    Options,
    Scene,
    belongs_to,
    folder_of,
    installer_of,
    listens_at,
    state_of,
    text,
)
from cczoo_installer.errors import BadUsage, InstallError
from cczoo_installer.files import printable
from cczoo_installer.kit import kit_version

PROGRAM = "cczoo-install doctor"

Look = Callable[[Scene], Sequence[Finding]]

# In the order of the screen.
LOOKS: tuple[tuple[str, Look], ...] = (
    ("machine", machine.look),
    ("python", environment.look),
    ("kit", installed.look),
    ("server", served.look),
    ("reach", reach.look),
    ("host", host.look),
    ("models", models.look),
    ("services", services.look),
    ("known", advisories.look),
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadUsage(f"{printable(message)}. Run `{PROGRAM} --help` to see the options.")


def parser() -> argparse.ArgumentParser:
    """Return the parser of this word's options."""
    made = _Parser(
        prog=PROGRAM,
        description="Look at everything between this machine and a green badge, and say how to "
        "mend what is wrong. Changes nothing. Without options it looks for the open-webui that "
        "runs here.",
        epilog="Exit codes, by the worst line: 0 all is well; 10 something could not be made out; "
        "11 it works, and not as it should; 12 there is no green badge with that; 2 usage. Run it "
        "as the user who runs open-webui: nothing of a user's is run as root.",
    )
    made.add_argument(
        "--openwebui-dir",
        metavar="DIR",
        help="an open-webui source tree, or the folder of an installed open_webui package",
    )
    made.add_argument("--url", metavar="URL", help="where people open it, such as https://my.chat")
    made.add_argument("--python", metavar="PYTHON", help="the Python that runs open-webui")
    made.add_argument(
        "--offline", action="store_true", help="ask nobody but the server and the model server"
    )
    made.add_argument("--json", action="store_true", help="print the findings as JSON")
    return made


def run(
    argv: Sequence[str],
    *,
    patches: Path | None = None,
    env: Mapping[str, str] = os.environ,
    proc: Path = processes.PROC,
) -> int:
    """Look, print what was found and return the exit code; raises BadUsage.

    ``patches`` are open-webui's patch sets (default: the kit's own), ``proc`` the kernel's word.
    """
    given = parser().parse_args(argv)
    options = Options(
        directory=Path(given.openwebui_dir).absolute() if given.openwebui_dir else None,
        url=_checked_url(given.url) if given.url is not None else None,
        python=Path(given.python).absolute() if given.python else None,
        offline=given.offline,
        patches=patches or patchset.default_root(),
        env=env,
        proc=proc,
    )
    scene = survey(options)
    groups = examine(scene)
    if given.json:
        print(as_json(_subject(scene), groups))
    else:
        print(as_screen(_title(scene), groups, colours=_colours(env)))
    return EXIT_CODES[worst(groups)]


def survey(options: Options) -> Scene:
    """Find the server, its Python and its folder, each from the others where it was not named."""
    found = processes.serving(options.proc)
    if options.directory is not None:
        found = [one for one in found if belongs_to(one, options.directory)]
    if len(found) > 1 and options.url is not None:
        found = [one for one in found if listens_at(one, options.url, options.proc)] or found
    scene = Scene(options, found)
    python = options.python or (scene.server.python() if scene.server else None)
    installer, directory = None, options.directory
    if python is None and directory is not None:
        installer = installer_of(directory, options.patches)
        python = environment.python_beside(installer)
    path = scene.settings.get("PYTHONPATH")
    scene = replace(scene, python=python)
    if python is not None:
        probed = kit_facts.probe(python, path=path, again=options.again)
        scene = replace(scene, probed=probed)
    if directory is None and scene.server is not None:
        directory = folder_of(scene.server, scene.probed)
    if directory is not None:
        installer = installer or installer_of(directory, options.patches)
        status, trouble = state_of(installer)
        scene = replace(scene, installer=installer, status=status, trouble=trouble)
    return _with_kits(scene, path)


def _with_kits(scene: Scene, path: str | None) -> Scene:
    folders = [scene.data] if scene.data is not None else []
    tee = {name: value for name, value in scene.settings.items() if name.startswith("TEE_")}
    own = kit_facts.own_diagnosis(folders, tee | _simulation(scene))
    theirs = kit_facts.Told()
    if scene.python is not None and text(scene.probed.members, "kit", "place"):
        theirs = kit_facts.diagnosis(scene.python, path=path, again=scene.options.again)
    return replace(scene, own=own, theirs=theirs)


def _simulation(scene: Scene) -> dict[str, str]:
    """Return what the server is told of the attester, or this program where none runs."""
    source = scene.settings or scene.options.env
    return {name: value for name, value in source.items() if name.startswith("QUOTE_GENERATOR_")}


def examine(scene: Scene) -> list[Group]:
    """Take every look; one that fails is a finding, and no reason to leave out the others."""
    return [Group(name, tuple(_examined(name, look, scene))) for name, look in LOOKS]


def _examined(name: str, look: Look, scene: Scene) -> Sequence[Finding]:
    try:
        return look(scene)
    except (InstallError, OSError) as trouble:
        what = f"this could not be looked at: {trouble}"
        return [unknown(f"{name}-failed", what, "Run as the user who runs open-webui.")]
    except Exception as mistake:
        what = f"a mistake in the kit: {type(mistake).__name__} {mistake}"
        return [unknown(f"{name}-failed", what, "Report it, with this line.")]


def _checked_url(given: str) -> str:
    """Return an address without a slash at its end; raises BadUsage for anything but http(s)."""
    try:
        parts = urlsplit(given)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or not given.isprintable() or parts.username or parts.query or parts.fragment:
        raise BadUsage(
            f"{printable(given)[:80]!r} is not where people open a chat. Write for example "
            "https://my.chat, without user and query."
        )
    return given.rstrip("/")


def _title(scene: Scene) -> str:
    what = f"open-webui {scene.version or 'of unknown version'}"
    place = scene.installer.directory if scene.installer is not None else "no folder of it is known"
    return f"{PROGRAM}: {what} ({place}), kit {kit_version()}"


def _subject(scene: Scene) -> dict[str, Any]:
    return {
        "kit": kit_version(),
        "openwebui": scene.version,
        "directory": str(scene.installer.directory) if scene.installer is not None else None,
        "url": scene.url,
        "python": str(scene.python) if scene.python is not None else None,
        "pid": scene.server.pid if scene.server is not None else None,
    }


def _colours(env: Mapping[str, str]) -> bool:
    return sys.stdout.isatty() and not env.get("NO_COLOR") and env.get("TERM") != "dumb"
