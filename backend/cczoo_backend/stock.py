"""What is known of open-webui before any of it is loaded: names, and where it lies.

Imports the standard library only. What knows its insides is in ``openwebui``; no other module
names anything of open-webui's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "open_webui"
APPLICATION = f"{PACKAGE}.main"
# The page's own script for administrators, and the cookie of somebody who is signed in.
LOADER = "/static/loader.js"
TOKEN_COOKIE = "token"  # noqa: S105 (a name)
# The variable by which its administrator gives all answers a policy.
OWN_POLICY = "CONTENT_SECURITY_POLICY"


def say_where_the_front_end_is() -> None:
    """Let open-webui find its front end as it does when its own command has started it.

    Installed by pip, it has the front end inside its package, and looks there when this says so.
    """
    if any(Path(folder, "frontend", "index.html").is_file() for folder in _folders()):
        os.environ.setdefault("FROM_INIT_PY", "true")


def is_in_source_tree(package: str | os.PathLike[str]) -> bool:
    """Whether this folder of the package is part of a source tree, which gets patches."""
    backend = Path(os.path.realpath(package)).parent
    return backend.name == "backend" and (backend.parent / "src").is_dir()


def _folders() -> Iterator[str]:
    package = find_spec(PACKAGE)
    yield from (package and package.submodule_search_locations) or ()
