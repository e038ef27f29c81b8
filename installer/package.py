"""Recognising an installed open-webui package, and what the kit needs of one."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cczoo_installer import tree
from cczoo_installer.errors import BadUsage, BrokenPatchSet, NotOpenWebui
from cczoo_installer.files import printable
from cczoo_installer.install import Finding
from cczoo_installer.kit import BACKEND

NAME = "open_webui"
_PARTS = ("__init__.py", "main.py", "utils/auth.py")
_SITES = {"site-packages", "dist-packages"}


@dataclass(frozen=True)
class Package:
    """An open_webui package: ``folder`` is its real path, ``site`` where a hook for it goes.

    ``site`` is the site-packages folder that holds it, else that of the Python that runs us
    (``is_elsewhere``), which then has to be the one that runs open-webui.
    """

    folder: Path
    site: Path
    is_elsewhere: bool

    @property
    def is_there(self) -> bool:
        """Whether a package stands at ``folder``."""
        return all((self.folder / part).is_file() for part in _PARTS)

    @property
    def frontend(self) -> Path:
        """The built front end that open-webui serves, inside of the package or two levels up."""
        inside = self.folder / "frontend"
        return inside if inside.is_dir() else _top(self.folder) / "build"


def looks_like_package(directory: Path) -> bool:
    """Tell whether ``directory`` is an open_webui package, or where one was."""
    named = NAME in {directory.absolute().name, _real(directory).name}
    if not named or (directory / "package.json").exists():
        return False
    return (
        any((directory / part).exists() for part in _PARTS)
        or directory.absolute().parent.name in _SITES
        or not directory.exists()
    )


def locate(directory: Path) -> Package:
    """Return the package at ``directory``, which need not be there any more.

    Raises BadUsage for one that is part of a source tree.
    """
    folder = _real(directory)
    top = _top(folder)
    if folder.parent.name == "backend" and (top / "src").is_dir():
        raise BadUsage(
            f"{printable(directory)} is part of a source tree, which gets patches: name its top "
            f"folder, {printable(top)}."
        )
    # A link in site-packages makes the package importable there, wherever it leads.
    for parent in (directory.absolute().parent, folder.parent):
        if parent.name in _SITES:
            return Package(folder, _real(parent), is_elsewhere=False)
    return Package(folder, our_site(), is_elsewhere=True)


def our_site() -> Path:
    """Return the site-packages folder of the Python that runs us."""
    return _real(Path(sysconfig.get_path("purelib")))


def version_of(package: Package) -> str:
    """Return the version of an installed package: from its metadata, else from package.json.

    Raises NotOpenWebui.
    """
    shown = printable(package.folder)
    if not package.is_there:
        what = "is no open-webui package" if package.folder.exists() else "does not exist"
        raise NotOpenWebui(
            f"{shown} {what}. Name the folder of an installed open-webui, such as "
            ".../site-packages/open_webui."
        )
    places = [str(package.folder.parent), *([] if package.is_elsewhere else [str(package.site)])]
    for found in importlib.metadata.distributions(name="open-webui", path=places):
        with contextlib.suppress(KeyError):
            if found.version:
                return found.version
    if (_top(package.folder) / "package.json").is_file():  # a container image
        return tree.version_in_package_json(_top(package.folder))
    raise NotOpenWebui(
        f"{shown} does not tell its version: no open_webui-*.dist-info is beside it, and no "
        f"package.json in {printable(_top(package.folder))}. Install open-webui anew, with pip."
    )


def _real(path: Path) -> Path:
    """Return the real path, as far as it exists; unlike `Path.resolve`, also of links in a ring."""
    return Path(os.path.realpath(path))


def _top(folder: Path) -> Path:
    """Return where a container image has package.json and build/: as open_webui/env.py sees it."""
    return folder.parent.parent


def kit_is_importable(site: Path) -> bool:
    """Tell whether the Python of a site-packages folder would find our backend package.

    Only looks: at the folder, and at what editable installations have put there.
    """
    if (site / BACKEND / "__init__.py").is_file():
        return True
    if site == our_site() and importlib.util.find_spec(BACKEND) is not None:
        return True
    return any(_leads_to_kit(site, line) for line in _path_lines(site))


def _path_lines(site: Path) -> Iterator[str]:
    for path in site.glob("*.pth"):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            yield from path.read_text(encoding="utf-8").splitlines()


def _leads_to_kit(site: Path, line: str) -> bool:
    """Tell whether a line of a .pth file makes our package importable.

    It names a folder that holds it, or imports setuptools' finder, which maps names to folders.
    """
    words = line.replace(";", " ").split()
    if words[:1] != ["import"]:
        return (site / line.strip() / BACKEND / "__init__.py").is_file()
    finder = site / f"{words[1]}.py" if len(words) > 1 else site
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return f"'{BACKEND}'" in finder.read_text(encoding="utf-8")
    return False


def examine(package: Package, anchors: Path) -> tuple[Finding, ...]:
    """Look for what the kit needs of a package whose version nobody has tested it with."""
    return (*_code_findings(package.folder), *_place_findings(package.frontend, anchors))


def _code_findings(folder: Path) -> Iterator[Finding]:
    for part, text in (
        ("main.py", "app = FastAPI("),
        ("utils/auth.py", "def get_verified_user("),
        ("utils/auth.py", "def decode_token("),
    ):
        content = (folder / part).read_bytes()
        yield Finding(f"{text!r} in {part}", text.encode() in content)


# What is looked for by each list of a place in anchors.json. By the second, which a place may go
# without, the page notices that the first is gone.
_LISTS = {"anchors": "a place for {} in the page", "expected": "a sign that {} belongs there"}


def _place_findings(frontend: Path, anchors: Path) -> Iterator[Finding]:
    """Tell for every place whether an anchor and a sign of it are in the built front end."""
    markups = _markups(anchors)
    missing = {text for texts in markups.values() for text in texts}
    for script in frontend.rglob("*.js"):
        if missing and script.is_file():
            content = script.read_bytes()
            missing -= {text for text in missing if text.encode() in content}
    for what, texts in markups.items():
        yield Finding(what, any(text not in missing for text in texts))


def _markups(anchors: Path) -> Mapping[str, list[str]]:
    """Return for what has to be found the texts in a built front end of which one is enough."""
    try:
        places = json.loads(anchors.read_text(encoding="utf-8"))["places"]
        return {
            what.format(place): [str(item["markup"]) for item in facts[name]]
            for place, facts in places.items()
            for name, what in _LISTS.items()
            if name == "anchors" or name in facts
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as trouble:
        raise BrokenPatchSet(
            f"{printable(anchors)} cannot be read ({printable(trouble)}). Install the kit anew."
        ) from trouble
