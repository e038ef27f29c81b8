"""open-webui's application with the kit, for an ASGI server: ``uvicorn cczoo_backend.asgi:app``."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import install


def _application() -> Any:
    package = find_spec("open_webui")
    folders = (package and package.submodule_search_locations) or ()
    if any(Path(folder, "frontend", "index.html").is_file() for folder in folders):
        # Installed by pip, open-webui has its front end inside its package, and looks there when
        # its own command has started it, which says so in this way.
        os.environ.setdefault("FROM_INIT_PY", "true")
    return import_module("open_webui.main").app


app = _application()
install(app)
