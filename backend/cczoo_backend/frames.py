"""Two documents for frames of the page, each with a policy that lets it do one thing more.

The courier is an empty document that may connect to one service: the page asks the attestation
service, which a user may have chosen in this browser alone, by way of the courier's ``fetch``. An
artifact that frames it gains nothing: only the page's own origin may touch it.

The image frame shows one image from anywhere: the one whose address its parent, which must be of
this very origin, posts to it. The address stays in the browser; an artifact has another origin.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping

from starlette.responses import HTMLResponse, Response

from .errors import HEADERS, TeeError
from .setting_kinds import is_service_origin
from .stock import OWN_POLICY

# No address of the page gets out, nor does any other site frame or read these.
DOCUMENT_HEADERS = {
    **HEADERS,
    "Referrer-Policy": "no-referrer",
    "X-DNS-Prefetch-Control": "off",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_HEAD = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title></title>'


def courier(origin: str | None, environ: Mapping[str, str]) -> Response:
    """Return the document that may connect to ``origin``; raise TeeError (400) for no origin."""
    if origin is None or not is_service_origin(origin):
        detail = "The origin must be https://<host>[:<port>], or http:// on your own machine."
        raise TeeError(400, "bad-origin", detail)
    policy = f"default-src 'none'; connect-src {origin}"
    return _frame(_HEAD, policy, "require-corp", environ)


def image_frame(environ: Mapping[str, str]) -> Response:
    """Return the document that shows an image; it is the same for all images."""
    # The image's server gets no cookies, where the browser can do that.
    return _frame(_IMAGE, _IMAGE_POLICY, "credentialless", environ)


def _frame(text: str, policy: str, embedder_policy: str, environ: Mapping[str, str]) -> Response:
    response = HTMLResponse(text, headers=DOCUMENT_HEADERS)
    # A page with such a header (open-webui can send one) frames only what has one as well.
    response.headers["Cross-Origin-Embedder-Policy"] = embedder_policy
    return under(response, policy, environ)


def under(response: Response, policy: str, environ: Mapping[str, str]) -> Response:
    """Put a document under a policy, and under the administrator's own where there is one."""
    response.headers["Content-Security-Policy"] = policy
    own = environ.get(OWN_POLICY, "").strip()
    if re.fullmatch("[ -~]+", own):
        response.headers.append("Content-Security-Policy", own)
    return response


def hash_source(text: str) -> str:
    """Return the source expression that allows this very text inline (CSP level 3, 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_STYLE = "body{margin:0}img{display:block;max-width:100%}"
# `location.origin` is where this came from, although the sandbox has no origin.
_SCRIPT = """
addEventListener('message', ({ source, origin, data }) => {
	if (source !== parent || origin !== location.origin) return;
	const image = new Image();
	const tell = () => parent.postMessage([image.naturalWidth, image.naturalHeight], origin);
	image.onload = image.onerror = tell;
	image.alt = String(data.alt);
	image.src = String(data.address);
	document.body.replaceChildren(image);
});
"""


_IMAGE = f"{_HEAD}<style>{_STYLE}</style><script>{_SCRIPT}</script></head><body>"
_IMAGE_POLICY = (
    "sandbox allow-scripts; default-src 'none'; img-src https:; "
    f"script-src {hash_source(_SCRIPT)}; style-src {hash_source(_STYLE)}"
)
