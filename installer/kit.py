"""Who we are: the kit's distribution, its version, and where to get it once more."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

DISTRIBUTION = "cczoo-trust-badge"
BACKEND = "cczoo_backend"  # the package that open-webui's process imports


def kit_version() -> str:
    """Return the version of this kit, from its package metadata."""
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def kit_source() -> str:
    """Return what to hand to `pip install`: the wheel or checkout we came from, or our name."""
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").is_file():
        wheels = sorted((checkout / "out" / "wheel").glob("*.whl"))  # by `make wheel`: one
        return str(wheels[-1] if wheels else checkout)
    with contextlib.suppress(importlib.metadata.PackageNotFoundError, ValueError, KeyError):
        origin = importlib.metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
        path = Path(url2pathname(urlsplit(json.loads(origin or "{}")["url"]).path))
        if path.exists():
            return str(path)
    return f"{DISTRIBUTION}=={kit_version()}"
