"""The folder of an environment's commands (``bin``), from which nothing is to be imported.

Python puts it first on its path when a command such as ``open-webui`` runs. Installers write what
is in it each in their own way, with paths of the machine, so no published digest can answer for
it: every environment would have unlisted code there.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import ModuleType

# The command itself, in the process that it started and in the workers of that one.
_COMMAND = ("__main__", "__mp_main__")


def scripts_folders() -> frozenset[str]:
    """Return the real paths of the folders that installers put this Python's commands into."""
    schemes = (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user"))
    return frozenset(os.path.realpath(sysconfig.get_path("scripts", scheme)) for scheme in schemes)


def without_scripts(
    path: Sequence[str], modules: Mapping[str, ModuleType], folders: Collection[str]
) -> list[str]:
    """Return ``path``, as ``sys.path``, without the folders of commands among ``folders``.

    One that a module has come from already stays, so that what lies there is told.
    """
    files = tuple(_files(modules))
    unused = {each for each in folders if not any(_is_below(file, each) for file in files)}
    return [entry for entry in path if os.path.realpath(entry) not in unused]


def _files(modules: Mapping[str, ModuleType]) -> Iterator[str]:
    for name, module in [*modules.items()]:
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and name not in _COMMAND:
            yield os.path.abspath(file)


def _is_below(file: str, folder: str) -> bool:
    return file.startswith(folder + os.sep) or os.path.realpath(file).startswith(folder + os.sep)
