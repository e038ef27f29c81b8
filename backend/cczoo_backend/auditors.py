"""The page for auditors, /tee: a shell that brings the kit's code and nothing of open-webui's.

What it shows, the browser finds out by itself. What stands after ``#`` in its address never gets
here.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Scope

from quote_generator.tls_certificate import parse_fingerprint

from .content import HTML, Content
from .frames import DOCUMENT_HEADERS, hash_source, under
from .https_options import FINGERPRINT

_STYLE = ":root{color-scheme:light dark}body{margin:0;font-family:system-ui,sans-serif}"
# Scripts come from this server; frames are for the courier, which asks an attestation service. No
# other page frames this one.
_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; frame-src 'self'; "
    f"worker-src 'self'; img-src 'self'; style-src {hash_source(_STYLE)}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def auditors_page(scope: Scope, loader: str, piece: str, environ: Mapping[str, str]) -> Response:
    """Return the answer to a GET or HEAD request; ``loader`` and ``piece`` are the scripts' paths.

    The root element has no language: the page speaks the reader's, and says so when it does. It
    shows the fingerprint of the server's certificate where ``environ`` has one.
    """
    fingerprint = parse_fingerprint(environ.get(FINGERPRINT, ""))
    certificate = f' data-certificate="{fingerprint}"' if fingerprint else ""
    page = (
        f'<!doctype html><html><head><script src="{loader}"></script>'
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Remote attestation</title><style>{_STYLE}</style>"
        f'<script type="module" src="{piece}"></script></head><body><main{certificate}>'
        '<p lang="en">Loading the check of this server. If nothing comes, load this page again.</p>'
        '<noscript><p lang="en">This browser checks the server by scripts: allow them here, or '
        "check from your own machine with cczoo-verify.</p></noscript></main></body></html>"
    )
    response = Content(page.encode(), HTML).response(scope, DOCUMENT_HEADERS)
    return under(response, _POLICY, environ)
