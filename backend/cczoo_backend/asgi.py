"""open-webui's application with the kit, for an ASGI server: ``uvicorn cczoo_backend.asgi:app``."""

from __future__ import annotations

import os
from importlib import import_module

from . import install_as_plugin, run_sources_alone, stock

stock.say_where_the_front_end_is()
run_sources_alone(os.environ)
_application = import_module(stock.APPLICATION)
app = _application.app
install_as_plugin(app, os.path.dirname(_application.__file__ or ""))
