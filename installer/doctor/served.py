"""What the running server really serves, as a browser sees it: loader, routes, quotes."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from cczoo_installer.doctor.asking import Answer, NoAnswerError, Reply, ask, of_server
from cczoo_installer.doctor.findings import Finding, State, failure, note, ok, unknown, warning
from cczoo_installer.doctor.scene import DEFAULT_PORT, Scene, text

TEE = "/api/v1/tee"
# A quote can take twice the ten seconds that one is given by default: another may be under way.
_QUOTE_SECONDS = 25.0
_EVIDENCE_BYTES = 8 << 20
_NONCE_BYTES = 32
# By which a server that takes sealed requests only knows who can set them up.
_A_PAGE = {"Accept": "text/html"}
_LOADER = re.compile(
    rb'<head(?:\s[^>]*)?><script src="(/api/v1/tee/page/([A-Za-z0-9-]{1,100}\.js))">'
)
_FILE = re.compile(r"[A-Za-z0-9-]{1,100}\.js")
_MOST_FILES = 100
_NO_REWRITING = "Switch off what minifies or rewrites on the way (docs/sealed.md); or restart it."
_FORBIDDEN = 403
_OK = 200
_LEGACY = 400  # from here on, an answer's status is an error


def look(scene: Scene) -> Sequence[Finding]:
    """Return what the server answers; every request is one that a browser makes, too."""
    url = scene.url
    if url is None:
        return [_not_running(scene)]
    nonce = base64.urlsafe_b64encode(os.urandom(_NONCE_BYTES)).rstrip(b"=").decode()
    page, config, keys, app, auditors, worker, quote = ask(
        of_server(f"{url}/", headers=_A_PAGE),
        of_server(f"{url}{TEE}/config"),
        of_server(f"{url}{TEE}/keys"),
        of_server(f"{url}/api/config"),
        of_server(f"{url}/tee"),
        of_server(f"{url}{TEE}/worker"),
        of_server(f"{url}{TEE}/quote?nonce={nonce}", seconds=_QUOTE_SECONDS, limit=_EVIDENCE_BYTES),
    )
    if isinstance(page, NoAnswerError):
        return [
            failure("server", f"{url}: {page}", "Start open-webui, or name where people open it.")
        ]
    found = [*_page(scene, url, page), *_sealing(keys, app)]
    if any(one.id == "sealing" for one in found):
        found += [*_routes({"/tee": auditors, f"{TEE}/worker": worker}), *_settings(config)]
        found += _quote(quote)
    return found


def _not_running(scene: Scene) -> Finding:
    if len(scene.servers) > 1:
        return unknown("server", "several open-webuis run here", "Name --url or --openwebui-dir.")
    if scene.server is not None:
        what = f"process {scene.server.pid} is there, and no address of it can be seen from here"
        return unknown("server", what, "Run as its user, or name --url.")
    return failure(
        "server",
        "no open-webui runs here that could be seen",
        f"Start it, or name --url (open-webui's own port is {DEFAULT_PORT}).",
    )


def _page(scene: Scene, url: str, page: Answer) -> Sequence[Finding]:
    match = _LOADER.search(page.body)
    if match is None:
        if _is_packed(page):
            packed = f"{url}: the page came compressed, which was not asked for"
            return [unknown("loader", packed, "Ask past the proxy that does that: name its --url.")]
        cure = "Install the kit, then restart open-webui; its log says why the badge is not active."
        return [failure("loader", f"the page at {url} has no loader of the kit", cure)]
    path, name = match[1].decode(), match[2].decode()
    [script] = ask(of_server(url + path))
    if isinstance(script, NoAnswerError) or script.status != _OK:
        what = script if isinstance(script, NoAnswerError) else f"HTTP {script.status}"
        return [
            failure("loader", f"the page's loader is not served: {what}", "Restart open-webui.")
        ]
    found = _loader(_bundle(scene), url, name, script)
    return [found, *_pieces(_bundle(scene), url)] if found.state is State.OK else [found]


def _bundle(scene: Scene) -> Mapping[str, str]:
    """Return the page's files of the kit that a restart would bring, with their SHA-256 in hex.

    None where the kit that is asked has none, or says something else.
    """
    told = scene.theirs.members or scene.own.members
    bundle = told.get("bundle")
    found = bundle.get("found") if isinstance(bundle, dict) else None
    files = found.get("files") if isinstance(found, dict) else None
    if not isinstance(files, dict):
        return {}
    return {
        name: digest
        for name, digest in list(files.items())[:_MOST_FILES]
        if _FILE.fullmatch(name) and isinstance(digest, str)
    }


def _loader(files: Mapping[str, str], url: str, name: str, script: Answer) -> Finding:
    """Compare the loader that is served with that of the kit which a restart would bring."""
    digest = hashlib.sha256(script.body).hexdigest()
    detail = {"loader": name, "sha256": digest}
    if not files or _is_packed(script):
        return ok("loader", f"{url}: the page has the loader", **detail)
    if files.get(name) == digest:
        return ok("loader", f"{url}: the page has the loader, of this kit", **detail)
    if name in files:
        what = f"{url}: the loader is not the one that this kit made: something rewrites scripts"
        return failure("loader", what, _NO_REWRITING, **detail)
    return warning(
        "loader",
        f"{url}: the page's loader is another kit's than the one that is installed",
        "Restart open-webui.",
        **detail,
    )


def _pieces(files: Mapping[str, str], url: str) -> Sequence[Finding]:
    """Compare all else that the badge is made of with the files of that kit."""
    if not files:
        return []
    replies = ask(*(of_server(f"{url}{TEE}/page/{name}") for name in files))
    wrong = [
        name
        for (name, digest), reply in zip(files.items(), replies, strict=True)
        if isinstance(reply, NoAnswerError)
        or reply.status != _OK
        or (not _is_packed(reply) and hashlib.sha256(reply.body).hexdigest() != digest)
    ]
    if wrong:
        named = f"{', '.join(wrong[:3])}{f' and {len(wrong) - 3} more' if len(wrong) > 3 else ''}"
        what = f"files of the badge are missing or not as they were made: {named}"
        return [failure("badge", what, _NO_REWRITING, files=wrong)]
    return [ok("badge", f"all {len(files)} files of the badge are served as they were made")]


def _is_packed(answer: Answer) -> bool:
    return answer.headers.get("content-encoding", "identity") != "identity"


def _sealing(keys: Reply, app: Reply) -> Sequence[Finding]:
    if isinstance(keys, NoAnswerError):
        return [failure("routes", f"the kit's routes do not answer: {keys}", "Restart open-webui.")]
    members = keys.members()
    if keys.status != _OK or "keyset" not in members:
        cure = "Restart open-webui; if a proxy is in front, let /api/v1/tee/ pass it."
        what = text(members, "detail") or f"HTTP {keys.status}"
        return [failure("routes", f"the kit's routes are not there: {what}", cure)]
    if members["keyset"] is None:
        cure = "Unset TEE_SEALED, or set it to offered or required, and restart open-webui."
        return [warning("sealing", "sealing is off: whoever carries requests reads them", cure)]
    required = (
        not isinstance(app, NoAnswerError)
        and app.status == _FORBIDDEN
        and text(app.members(), "code") == "sealed-required"
    )
    mode = "required" if required else "offered"
    return [ok("sealing", f"requests {'must' if required else 'may'} come sealed", mode=mode)]


def _routes(replies: Mapping[str, Reply]) -> Sequence[Finding]:
    missing = [
        f"{path} ({one if isinstance(one, NoAnswerError) else f'HTTP {one.status}'})"
        for path, one in replies.items()
        if isinstance(one, NoAnswerError) or one.status != _OK
    ]
    if missing:
        cure = "Install the wheel again and restart open-webui; a proxy has to pass these, too."
        return [warning("routes", f"not served: {', '.join(missing)}", cure)]
    return [ok("routes", "the page for auditors and the service worker are served")]


def _settings(config: Reply) -> Sequence[Finding]:
    if isinstance(config, NoAnswerError):
        what = f"the kit's settings cannot be had: {config}"
        return [unknown("settings", what, "Look into open-webui's log.")]
    members = config.members()
    if config.status >= _LEGACY:
        what = text(members, "detail") or f"HTTP {config.status}"
        return [note("settings", f"settings are for those who are signed in: {what}")]
    if problem := text(members, "problem", "detail"):
        return [failure("settings", problem, "Mend that variable, and restart open-webui.")]
    word = text(members, "enforcement")
    return [ok("settings", f"enforcement: {word}", enforcement=word)]


def _quote(quote: Reply) -> Sequence[Finding]:
    if isinstance(quote, NoAnswerError):
        return [failure("quote", f"no quote: {quote}", "See the machine's lines above.")]
    members: Mapping[str, Any] = quote.members()
    if quote.status != _OK:
        code = text(members, "code") or f"HTTP {quote.status}"
        detail = text(members, "detail") or "the server does not say why"
        if code in {"not-allowed", "too-many-requests"}:
            return [note("quote", f"no quote for this program: {detail}")]
        return [failure("quote", f"no quote ({code}): {detail}", "docs/attester.md has each code.")]
    if members.get("simulated") is True:
        cure = "Run it in a TDX trust domain, without QUOTE_GENERATOR_SIMULATE=1."
        return [warning("quote", "the server's quotes are simulated: badges are amber", cure)]
    if text(members, "tee") != "tdx":
        return [
            failure("quote", "what came is no evidence", "A proxy may rewrite it: ask past it.")
        ]
    provider = text(members, "provider") or "tdx"
    return [ok("quote", f"the server hands out quotes ({provider})", provider=provider)]
