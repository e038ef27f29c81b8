"""open-webui's own command line, in a process that adds the kit to the application.

Run as the main module by ``python -m cczoo_backend``. Worker processes are spawned, and import
the main module of their parent before anything else: that puts the finder into them too. (A
module called ``__main__`` is the one that they do not import: hence this one.)

What the kit adds to the command is how it serves HTTPS: ``https_options``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

from cczoo_backend import hook, https_options, stock

PROGRAM = "python -m cczoo_backend"


class Finder:
    """Finds open-webui's application, wherever its package lies, and adds the kit to it."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec with the kit added; None for all other modules (see ``hook``)."""
        return hook.find_spec(name, path, target, path[0]) if path else None


def main(arguments: Sequence[str]) -> None:
    """Run open-webui's command; without arguments, serve. Raises SystemExit."""
    options, rest = https_options.parse(arguments, PROGRAM)
    os.environ.pop(https_options.FINGERPRINT, None)
    if options is not None:
        from cczoo_backend import https_serving

        https_serving.prepare(options)
    app = import_module(stock.PACKAGE).app
    app(args=rest or ["serve"], prog_name=PROGRAM)


sys.meta_path.insert(0, Finder)

if __name__ == "__main__":
    main(sys.argv[1:])
