"""Everything that knows open-webui's insides: its accounts, its front end, its application.

What it is set to, and what it offers, is read by ``openwebui_workload``.

Nothing of open-webui is imported with this module; ``add_to`` is called when it is loaded.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from pathlib import Path, PurePosixPath
from types import ModuleType

from fastapi import FastAPI, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from . import (
    SEALED,
    SEALED_MODES,
    SEALED_OFF,
    SEALED_REQUIRED,
    run_sources_alone,
    sealing_mode,
    stating,
)
from .administration import Administration
from .bundle import Bundle, BundleError, find_bundle
from .content_policy import AnswerHeaders, mark_as_page
from .dependencies import Dependency
from .front_end import IndexPage, StockLoader
from .host import User
from .keys import Keyring
from .layer import Layer
from .openwebui_workload import OpenWebUIWorkload
from .routes import PAGE_ROOT, Routes
from .sealed.layer import SealedLayer
from .stock import LOADER, PACKAGE, TOKEN_COOKIE
from .workload.measuring import START_SECONDS, AfterMeasuring, Measurer
from .workload.start_facts import Places
from .workload.statement import NothingStated, Statement, Stating

log = logging.getLogger(__name__)

_ADDED = "cczoo_trust_badge"
# The kit's own folder in open-webui's data directory.
_FOLDER = "cczoo"


def add_to(app: FastAPI) -> None:
    """Put the layer around ``app``, open-webui's, unless it is there already.

    Raises BundleError where nobody could use ``app``: requests must come sealed, and the page's
    files, which do that, are missing.
    """
    if is_added(app):
        return
    if app.middleware_stack is not None:
        raise RuntimeError("the application runs already: no layer can be put around it")
    run_sources_alone(os.environ)  # a source tree's application is loaded without the hook
    administration = find_administration()
    environ = administration.environ
    mode = _mode(environ)
    host, bundle = OpenWebUI(app), _bundle(is_needed=mode == SEALED_REQUIRED)
    keys = None if mode == SEALED_OFF else Keyring()
    measurer = Measurer() if stating(environ) else None
    statement = _statement(app, mode, measurer) if measurer else NothingStated()
    routes = Routes(
        host,
        bundle,
        environ=os.environ,
        administration=administration,
        keys=keys,
        statement=statement,
    )
    build = app.build_middleware_stack

    def build_with_layer() -> ASGIApp:
        # Called when the server starts: everything of open-webui's is mounted by now.
        loader = _put_loader(app, bundle, environ) if bundle else (None, None)
        layer: ASGIApp = Layer(build(), routes, *loader)
        _spare_the_collector()
        if keys is not None:
            url = _loader_url(bundle) if bundle else None
            layer = SealedLayer(
                layer, keys, environ=environ, loader_url=url, statement_holds=statement.holds
            )
        if measurer is None:
            return layer
        measurer.begin(partial(_places, app, host, bundle), _plugins)
        return AfterMeasuring(layer, partial(_all_measured, measurer, statement))

    app.build_middleware_stack = build_with_layer  # type: ignore[method-assign]
    setattr(app.state, _ADDED, True)


def find_administration() -> Administration:
    """Return the settings that count: administrators' are in a folder of open-webui's data."""
    return Administration(kit_folder(), os.environ)


def kit_folder() -> Path:
    """Return the kit's own folder in open-webui's data directory; it need not be there yet."""
    return Path(import_module(f"{PACKAGE}.env").DATA_DIR, _FOLDER)


def _statement(app: FastAPI, mode: str, measurer: Measurer) -> Stating:
    statement = Statement(
        measurer.watching(OpenWebUIWorkload(app)),
        mode=mode,
        measured=measurer.present,
        weights=measurer.weights,
        still=measurer.still,
    )
    measurer.on_change(statement.touch)
    return statement


async def _all_measured(measurer: Measurer, statement: Stating) -> None:
    """Return when what runs is measured, and so are settings and code as they are by then."""
    await measurer.settled()
    await asyncio.wait_for(statement.current(), START_SECONDS)


def _places(app: FastAPI, host: OpenWebUI, bundle: Bundle | None) -> Places:
    pages = _static_files(app, "")
    folder = pages.directory if pages else None
    package = Path(import_module(PACKAGE).__file__ or "").parent
    page = {name: content.body for name, content in bundle.files.items()} if bundle else None
    return Places.of_this_process(package, host.version, Path(folder) if folder else None, page)


def _plugins() -> ModuleType:
    """Return the module that runs functions and tools."""
    return import_module(f"{PACKAGE}.utils.plugin")


def _mode(environ: Mapping[str, str]) -> str:
    """Return whether requests may or must come sealed; a wrong word is told."""
    mode = sealing_mode(environ)
    if environ.get(SEALED, "").strip().lower() not in ("", *SEALED_MODES):
        log.error("%s must be one of %s: it counts as %s.", SEALED, ", ".join(SEALED_MODES), mode)
    return mode


def is_added(app: FastAPI) -> bool:
    """Whether the layer is around ``app``."""
    return bool(getattr(app.state, _ADDED, False))


def _bundle(*, is_needed: bool) -> Bundle | None:
    try:
        return find_bundle()
    except BundleError as error:
        if is_needed:
            raise
        log.error("pages have no trust badge: %s", error)
        return None


def _put_loader(
    app: FastAPI, bundle: Bundle, environ: Mapping[str, str]
) -> tuple[StockLoader | None, AnswerHeaders | None]:
    try:
        stock_loader = add_loader(app, bundle)
    except Exception:  # an open-webui that is built otherwise still has to start
        log.exception("pages have no trust badge: the loader could not be added")
        return None, None
    return stock_loader, AnswerHeaders.from_environment(environ)


def _spare_the_collector() -> None:
    """Take what is loaded by now, which stays for good, out of the garbage collector's sight.

    Requests for evidence make garbage, and each full collection that it brings about looks at all
    of open-webui's million objects: for a tenth of a second everybody waits.
    """
    gc.collect()
    gc.freeze()


class OpenWebUI:
    """The host: open-webui's accounts (0.5.20 to 0.12.4 differ in how they check them)."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._env = import_module(f"{PACKAGE}.env")
        self._auth = import_module(f"{PACKAGE}.utils.auth")
        self._verified_user = Dependency(self._auth.get_verified_user)
        self._administrator = Dependency(self._auth.get_admin_user)

    @property
    def version(self) -> str:
        """open-webui's version."""
        return str(self._env.VERSION)

    async def verified_user(self, request: Request) -> User:
        """Return who asks, as open-webui's own routes find it: looked up and not revoked."""
        self._do_as_middleware_does(request)
        user: User = await self._verified_user(request)
        return user

    async def administrator(self, request: Request) -> User:
        """Return the administrator who asks, as open-webui's own routes find one."""
        self._do_as_middleware_does(request)
        user: User = await self._administrator(request)
        return user

    def claims_of(self, token: str) -> Mapping[str, object] | None:
        """Return what a token signed by open-webui says."""
        claims: Mapping[str, object] | None = self._auth.decode_token(token)
        return claims

    def _do_as_middleware_does(self, request: Request) -> None:
        """Do what open-webui's middleware, which has not run, does for its authentication."""
        credentials = self._credentials(request)
        state = request.state
        state.token = credentials  # 0.12.4 takes an API key from there
        state.enable_api_key = state.enable_api_keys = False
        if credentials is not None and credentials.credentials.startswith("sk-"):
            state.enable_api_key = bool(self._config("ENABLE_API_KEY"))  # 0.5.20
            state.enable_api_keys = bool(self._config("ENABLE_API_KEYS"))  # 0.6.43
            self._check_endpoint(request)

    def _credentials(self, request: Request) -> HTTPAuthorizationCredentials | None:
        scheme, _space, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            return HTTPAuthorizationCredentials(scheme=scheme, credentials=token)
        header = getattr(self._env, "CUSTOM_API_KEY_HEADER", None)
        token = request.cookies.get(TOKEN_COOKIE) or (header and request.headers.get(header)) or ""
        return HTTPAuthorizationCredentials(scheme="Bearer", credentials=token) if token else None

    def _check_endpoint(self, request: Request) -> None:
        """Refuse an API key here, where the administrator restricts keys to other addresses.

        In 0.6.43 that is up to the middleware; other versions check it once more, or for the
        first time where they look the key up.
        """
        if not self._config("ENABLE_API_KEYS_ENDPOINT_RESTRICTIONS"):
            return
        path = request.url.path
        allowed = str(self._config("API_KEYS_ALLOWED_ENDPOINTS") or "").split(",")
        if not any(
            path == place or path.startswith(f"{place}/")
            for place in (place.strip() for place in allowed)
            if place
        ):
            raise HTTPException(403, "API key not allowed to access this endpoint.")

    def _config(self, name: str) -> object:
        """Return a setting that administrators change in the app; None in versions without it."""
        try:
            value: object = getattr(self._app.state.config, name)
        except (AttributeError, KeyError):
            return None
        return value


# The front end


def add_loader(app: FastAPI, bundle: Bundle) -> StockLoader | None:
    """Have the app's index page start with the bundle's loader; return what renews stock pages.

    Return None, and say so in the log, where the app serves no page.
    """
    pages, static = _static_files(app, ""), _static_files(app, "/static")
    if pages is None or pages.directory is None:
        log.error("pages have no trust badge: open-webui serves no front end here")
        return None
    file = Path(pages.directory, "index.html")
    _serve_page(pages, IndexPage(file, _loader_url(bundle)), file)
    if static is None or static.directory is None:
        return None
    return StockLoader(Path(static.directory, PurePosixPath(LOADER).name))


def _loader_url(bundle: Bundle) -> str:
    return f"{PAGE_ROOT}/{bundle.loader}"


def _static_files(app: FastAPI, path: str) -> StaticFiles | None:
    for route in app.router.routes:
        if isinstance(route, Mount) and route.path == path and isinstance(route.app, StaticFiles):
            return route.app
    return None


def _serve_page(files: StaticFiles, page: IndexPage, file: Path) -> None:
    """Let ``files`` answer with ``page`` wherever it would send ``file``.

    It does that for every path of the app's own, and decides by path and method what they are.
    What a request says about versions, parts and encodings is not asked: a stock server answers
    304 by date alone, also to a browser whose copy lacks the loader.
    """
    send_file = files.file_response
    target = os.path.realpath(file)

    def file_response(
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        if os.path.realpath(full_path) != target:
            return send_file(full_path, stat_result, scope, status_code)
        answer = page.response(scope) or send_file(full_path, stat_result, scope, status_code)
        return mark_as_page(answer)

    files.file_response = file_response  # type: ignore[method-assign]
