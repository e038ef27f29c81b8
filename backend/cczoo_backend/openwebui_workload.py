"""What open-webui is set to and offers: settings, models, functions and tools, in each version.

0.5.20 and 0.6.43 have settings in memory, 0.12.4 in rows of its database, which it asks by
coroutines. Each write of this process is noticed as it is made: values in memory by a hook on
their class, rows by SQLAlchemy's events, so that it does not matter which of open-webui's
functions wrote them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any, Generic, TypeVar

from fastapi import FastAPI, Request

from .host import Readings
from .stock import PACKAGE
from .workload import setting_names, storage

log = logging.getLogger(__name__)

Value = TypeVar("Value")
Row = dict[str, object]

PATIENCE = 2.0
"""Seconds that a reading may take: a database that somebody locked is not waited for longer."""

LISTING_PAUSE = 60.0
"""Seconds between two tries to have models listed while there are none: servers start later."""

_TABLES = frozenset({"config", "function", "tool"})
_FUNCTION_COLUMNS = ("id", "type", "content", "is_active", "is_global")
_TOOL_COLUMNS = ("id", "content")


class OpenWebUIWorkload:
    """The statement's source, for an open-webui whose modules are loaded."""

    def __init__(self, app: FastAPI, *, patience: float = PATIENCE) -> None:
        self._app = app
        self._mark = object()
        self._models: object = None
        self._listed = -LISTING_PAUSE  # when the list was last asked for, by time.monotonic
        self._settings = _Patient("settings", self._read_settings, patience)
        self._fixed = _Patient("constants", self._read_constants, patience)
        self._code = _Patient("functions and tools", self._read_code, patience)
        self._offered = _Patient("models", self._read_models, patience)
        for watch in (self._watch_values, self._watch_defaults, self._watch_rows):
            try:
                watch()
            except Exception:
                log.exception("changes of some settings are noticed a second late")

    def mark(self) -> object:
        """Return another object as soon as something has changed."""
        models = getattr(self._app.state, "MODELS", None)
        if models is not self._models:  # open-webui makes the list anew
            self._models = models
            self._changed()
        return self._mark

    async def read(self) -> Readings:
        """Return what there is now; None for what fails, or takes too long."""
        settings, constants, models, code = await asyncio.gather(
            self._settings.read(), self._fixed.read(), self._offered.read(), self._code.read()
        )
        functions, tools = code or (None, None)
        return Readings(settings, constants, models, functions, tools)

    def storage_settings(self) -> Mapping[str, object]:
        """Return what ``workload.storage`` asks for."""

        def get(module: str, name: str) -> object:
            if module == storage.ENVIRONMENT:
                return os.environ.get(name)
            return getattr(import_module(f"{PACKAGE}.{module}"), name, None)

        return storage.read_settings(get)

    # Readings

    def _config(self) -> setting_names.Get | None:
        """Return what gets settings that are attributes; None where they are rows."""
        config = getattr(self._app.state, "config", None)
        return None if config is None else partial(getattr, config)

    async def _read_settings(self) -> Mapping[str, object]:
        get = self._config()
        if get is not None:  # in a thread: with Redis, each value is asked for over the network
            return await asyncio.to_thread(setting_names.from_attributes, get)
        config = import_module(f"{PACKAGE}.models.config").Config
        return setting_names.from_rows(await config.get_many(*setting_names.KEYS))

    async def _read_constants(self) -> Mapping[str, object]:
        modules = [import_module(f"{PACKAGE}.{name}") for name in ("config", "env")]
        since = setting_names.generation(self._config())
        return setting_names.constants(since, setting_names.from_modules(modules))

    async def _read_models(self) -> Mapping[str, Mapping[str, object]] | None:
        """Return open-webui's list, which it makes only when somebody asks; None for none."""
        models = await self._listed_models()
        if not models and time.monotonic() - self._listed >= LISTING_PAUSE:
            self._listed = time.monotonic()
            await self._have_models_listed()
            models = await self._listed_models()
        return models or None

    async def _listed_models(self) -> dict[str, Mapping[str, object]]:
        models: Any = getattr(self._app.state, "MODELS", None) or {}
        if isinstance(models, dict):
            return dict(models)
        return dict(await asyncio.to_thread(models.items))

    async def _have_models_listed(self) -> None:
        """Ask as open-webui itself does where it lists models at its start: for no user."""
        models = import_module(f"{PACKAGE}.utils.models")
        scope = {"type": "http", "app": self._app, "method": "GET", "scheme": "http"}
        scope |= {"path": "/internal", "query_string": b"", "headers": [], "state": {}}
        scope |= {"client": ("127.0.0.1", 0), "server": ("127.0.0.1", 80)}
        await models.get_all_models(Request(scope), user=None)

    async def _read_code(self) -> tuple[list[Row], list[Row]]:
        """Return functions and tools, as they lie in the database: no model has to accept them."""
        database = import_module(f"{PACKAGE}.internal.db")
        if hasattr(database, "get_async_db"):
            async with database.get_async_db() as session:
                code: tuple[list[Row], list[Row]] = await session.run_sync(_code)
                return code
        return await asyncio.to_thread(_code_in, database.get_db)

    # Changes

    def _changed(self) -> None:
        self._mark = object()

    def _watch_values(self) -> None:
        """Notice each value that is set in memory, by whatever way."""
        kind = getattr(import_module(f"{PACKAGE}.config"), "PersistentConfig", None)
        if kind is None:
            return
        set_value = kind.__setattr__

        def set_and_notice(setting: object, name: str, value: object) -> None:
            set_value(setting, name, value)
            self._changed()

        kind.__setattr__ = set_and_notice

    def _watch_defaults(self) -> None:
        """Notice what 0.12.4 keeps in memory where it is set not to keep settings in rows."""
        if self._config() is not None:
            return
        config = import_module(f"{PACKAGE}.models.config").Config
        upsert = config.upsert

        async def upsert_and_notice(*args: Any, **options: Any) -> None:
            try:
                await upsert(*args, **options)
            finally:
                self._changed()

        config.upsert = staticmethod(upsert_and_notice)

    def _watch_rows(self) -> None:
        """Notice rows that this process wrote, once they are committed."""
        event = import_module("sqlalchemy.event")
        session_class = import_module("sqlalchemy.orm").Session

        def after_flush(session: Any, _context: object) -> None:
            for one in (*session.new, *session.dirty, *session.deleted):
                if getattr(one, "__tablename__", None) in _TABLES:
                    session.info[_WROTE] = True

        def do_orm_execute(state: Any) -> None:
            table = getattr(state.statement, "table", None)
            if not state.is_select and getattr(table, "name", "config") in _TABLES:
                state.session.info[_WROTE] = True  # of many rows at once, or of who knows which

        def after_commit(session: Any) -> None:
            if session.info.pop(_WROTE, False):
                self._changed()

        for listener in (after_flush, do_orm_execute, after_commit):
            event.listen(session_class, listener.__name__, listener)


_WROTE = "cczoo_trust_badge_wrote"


def _code_in(get_db: Callable[[], Any]) -> tuple[list[Row], list[Row]]:
    with get_db() as session:
        return _code(session)


def _code(session: Any) -> tuple[list[Row], list[Row]]:
    functions = import_module(f"{PACKAGE}.models.functions").Function
    tools = import_module(f"{PACKAGE}.models.tools").Tool
    return _rows(session, functions, _FUNCTION_COLUMNS), _rows(session, tools, _TOOL_COLUMNS)


def _rows(session: Any, table: Any, columns: Sequence[str]) -> list[Row]:
    found = session.query(*(getattr(table, name) for name in columns)).all()
    return [dict(zip(columns, row, strict=True)) for row in found]


class _Patient(Generic[Value]):
    """Reads one thing, in bounded time and never twice at once: what hangs, hangs alone."""

    def __init__(
        self, what: str, read: Callable[[], Awaitable[Value | None]], patience: float
    ) -> None:
        self._what = what
        self._read = read
        self._patience = patience
        self._task: asyncio.Future[Value | None] | None = None
        self._is_told = False

    async def read(self) -> Value | None:
        """Return what there is, None where it cannot be read."""
        if self._task is not None and not self._task.done():
            return None  # and that reading is of another moment
        self._task = asyncio.ensure_future(self._read())
        self._task.add_done_callback(_take_notice)
        await asyncio.wait({self._task}, timeout=self._patience)
        if not self._task.done():
            self._tell("it took too long")
            return None
        if (error := self._task.exception()) is not None:
            self._tell(type(error).__name__)  # its text may hold an address with a password
            return None
        self._is_told = False
        return self._task.result()

    def _tell(self, why: str) -> None:
        if not self._is_told:
            self._is_told = True
            log.error("open-webui's %s cannot be read: %s", self._what, why)


def _take_notice(task: asyncio.Future[Any]) -> None:
    """Look at what a reading that nobody waits for any more came to."""
    if not task.cancelled():
        task.exception()
