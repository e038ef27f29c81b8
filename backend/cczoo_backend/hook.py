"""The plug-in way in: open-webui's application gains the kit when Python loads it.

The finder that calls this stands in the ``.pth`` file that cczoo-install writes, or in
``command_line``. Imports the standard library only, until open-webui is there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from . import complain, install_as_plugin, run_sources_alone
from .stock import APPLICATION


def find_spec(
    name: str,
    path: Sequence[str] | None,
    target: ModuleType | None,
    package: str | os.PathLike[str],
) -> ModuleSpec | None:
    """Return the spec of open-webui's application whose loader adds the kit after it has run.

    None for every other module, and for one that does not lie in ``package``, the folder of the
    package that the kit was installed for. Never raises.
    """
    try:
        spec = PathFinder.find_spec(name, path, target) if name == APPLICATION else None
        if spec is None or spec.loader is None or not _lies_in(spec, package):
            return None
        run_sources_alone(os.environ)
        _add_kit_after(spec.loader, package)
        return spec
    except Exception as error:
        complain(error)
        return None


def _lies_in(spec: ModuleSpec, package: str | os.PathLike[str]) -> bool:
    folder = os.path.dirname(os.path.realpath(spec.origin or ""))
    return folder == os.path.realpath(package)


def _add_kit_after(loader: Loader, package: str | os.PathLike[str]) -> None:
    """Wrap ``exec_module`` of one module's own loader; what else a loader is asked stays."""
    run = loader.exec_module

    def run_and_add(module: ModuleType) -> None:
        run(module)
        try:
            app = module.app
        except AttributeError as error:
            complain(error)
        else:
            install_as_plugin(app, package)

    loader.exec_module = run_and_add  # type: ignore[method-assign]
