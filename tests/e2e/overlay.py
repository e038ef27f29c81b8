"""The overlay's Python modules, without open-webui around them."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

BACKEND = Path(__file__).resolve().parents[2] / "patches" / "open-webui" / "overlay" / "backend"


def overlay(name: str) -> ModuleType:
    """Return ``open_webui.<name>`` of the overlay; its folders are namespace packages."""
    if str(BACKEND) not in sys.path:
        sys.path.append(str(BACKEND))
    return import_module(f"open_webui.{name}")
