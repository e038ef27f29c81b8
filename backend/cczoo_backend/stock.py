"""What is known of open-webui before any of it is loaded: names, and where it lies.

Imports the standard library only. What knows its insides is in ``openwebui``; no other module
names anything of open-webui's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "open_webui"
APPLICATION = f"{PACKAGE}.main"
# The page's own script for administrators, and the cookie of somebody who is signed in.
LOADER = "/static/loader.js"
TOKEN_COOKIE = "token"  # noqa: S105 (a name)
# All cookies of open-webui's that a browser sends to every path; the session's had another name in
# older versions. (`mfa_challenge` goes to its own path alone, for five minutes.)
COOKIES = (
    TOKEN_COOKIE,
    "oauth_id_token",
    "oauth_session_id",
    "oui-session",
    "owui-session",
)
# The variable by which its administrator gives all answers a policy.
OWN_POLICY = "CONTENT_SECURITY_POLICY"
# Variables with the names of headers by which a proxy says who is signed in.
_TRUSTED = "WEBUI_AUTH_TRUSTED_"
# What says nothing of a chat, is the same for everybody, and so may be asked for in the clear:
# files of the front end and of each version's static folders, whether the server is well, and the
# kit's page for auditors. The rest of "/assets" is not: the names of emojis are part of what people
# write. The page has the same list (web/src/transport/outside.json; a test compares).
OUTSIDE_FOLDERS = (
    "/_app/",
    "/static/",
    "/assets/fonts/",
    "/assets/images/",
    "/pyodide/",
    "/themes/",
    "/wasm/",
    "/audio/",
    "/sql.js/",
)
OUTSIDE_FILES = frozenset(
    {
        "/tee",
        "/health",
        "/health/db",
        "/ready",
        "/favicon.png",
        "/favicon.ico",
        "/manifest.json",
        "/opensearch.xml",
        "/robots.txt",
        "/user.png",
        "/doge.png",
        "/image-placeholder.png",
        "/marker-icon.png",
        "/marker-icon-2x.png",
        "/marker-shadow.png",
        "/assets/welcome.mp4",
        "/assets/welcome.webp",
    }
)


def trusted_headers(environ: Mapping[str, str]) -> frozenset[bytes]:
    """Return the headers, in lower case, that this environment has open-webui take for a proxy's.

    Whoever can send one of them is signed in as whom they please.
    """
    named = (value.strip().lower() for name, value in environ.items() if name.startswith(_TRUSTED))
    return frozenset(value.encode("latin-1", "replace") for value in named if value)


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
