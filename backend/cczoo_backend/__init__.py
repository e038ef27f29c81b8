"""What open-webui's process gains in the trust domain: evidence for the browser's trust badge.

``install`` is the one hook. Importing this package imports neither open-webui nor FastAPI.
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["complain", "install", "install_as_plugin", "sealing_mode", "stating"]

# Whether requests may or must come sealed. Read here, as a kit that is broken has to know it.
SEALED = "TEE_SEALED"
SEALED_OFF, SEALED_OFFERED, SEALED_REQUIRED = SEALED_MODES = ("off", "offered", "required")


# Whether what runs here is measured at the start, and stated in every quote.
STATEMENT = "TEE_STATEMENT"


def stating(environ: Mapping[str, str]) -> bool:
    """Return whether what runs here is measured and stated; only the word ``off`` ends that."""
    return environ.get(STATEMENT, "").strip().lower() != "off"


def run_sources_alone(environ: Mapping[str, str]) -> None:
    """Where this process is to be measured, have it compile each module that it loads from now on.

    Sources are what is measured; Python knows a compiled module by its source's time and size
    alone. Nothing can lie below a file: so no compiled module is found, nor written. And none is
    loaded from the folder of commands, for what is there follows from nothing published.
    """
    if stating(environ):
        sys.dont_write_bytecode = True
        sys.pycache_prefix = os.devnull
        from .scripts_folder import scripts_folders, without_scripts

        sys.path[:] = without_scripts(sys.path, sys.modules, scripts_folders())


def sealing_mode(environ: Mapping[str, str]) -> str:
    """Return which of the modes is set; a word that is none of them counts as ``required``."""
    word = environ.get(SEALED, "").strip().lower() or SEALED_OFFERED
    return word if word in SEALED_MODES else SEALED_REQUIRED


def install(app: Any) -> None:
    """Add the kit to ``app``, open-webui's FastAPI application; a second time changes nothing.

    Where the kit cannot be added, the log says why and ``app`` is as it was; raises SystemExit
    where requests must come sealed.
    """
    try:
        from .openwebui import add_to

        add_to(app)
    except Exception as error:
        complain(error)


def install_as_plugin(app: Any, package: str | os.PathLike[str]) -> None:
    """Add the kit to ``app``, whose open-webui lies in the folder ``package``.

    A source tree gets it by its patches or not at all: its page has no places for it without.
    Raises as ``install`` does.
    """
    try:
        from .stock import is_in_source_tree

        if is_in_source_tree(package):
            _expect_patches(app, package)
        else:
            install(app)
    except Exception as error:
        complain(error)


def _expect_patches(app: Any, package: str | os.PathLike[str]) -> None:
    from .openwebui import is_added

    if not is_added(app):
        top = os.path.dirname(os.path.dirname(os.path.realpath(package)))
        cure = f"Put them in: cczoo-install --openwebui-dir {shlex.quote(top)}"
        _tell(f"{top!r} is a source tree without the kit's patches.", cure)


def complain(error: Exception) -> None:
    """Say in the log and on stderr why open-webui runs without the kit, or may not run at all."""
    _tell(f"cczoo_backend is broken ({error!r}).", "Install the cczoo-trust-badge wheel again.")


def _tell(why: str, cure: str) -> None:
    """Say in the log, and on stderr: open-webui may not have its log yet, or keep it elsewhere.

    Raises SystemExit where requests must come sealed: without the kit they would all be plain.
    """
    message = f"The trust badge is not active: {why}"
    # As it starts, open-webui silences the loggers that are there: hence one that was not.
    log = logging.getLogger(f"{__name__}.install")
    log.error("%s %s", message, cure)
    print(message, file=sys.stderr)
    if sealing_mode(_environment()) == SEALED_REQUIRED:
        raise SystemExit(f"{SEALED} requires sealed requests: open-webui does not start. {cure}")


def _environment() -> Mapping[str, str]:
    """Return the environment with what administrators stored, as far as that can be read."""
    try:
        from .openwebui import find_administration

        return find_administration().environ
    except Exception:
        return os.environ
