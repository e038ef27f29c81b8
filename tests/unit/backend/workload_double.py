"""open-webui's modules as far as the statement reads them, in the shape of each generation.

``use`` puts them in place.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest
from fastapi import FastAPI

OLD, NEW, ROWS = GENERATIONS = ("0.5", "0.6", "0.12")


class PersistentConfig:
    def __init__(self, value: object) -> None:
        self.value = value


class AppConfig:
    """Settings as attributes; ``_redis`` is what another worker wrote, by name."""

    def __init__(self) -> None:
        vars(self).update(_state={}, _redis={}, reads=0)

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, PersistentConfig):
            self._state[name] = value
        else:
            self._state[name].value = value

    def __getattr__(self, name: str) -> object:
        if name not in self._state:
            raise AttributeError(name)
        if isinstance(self._redis, Exception):
            raise self._redis
        if name in self._redis:
            self._state[name].value = json.loads(self._redis[name])
        return self._state[name].value


class Config:
    """Settings as rows, by coroutines."""

    rows: ClassVar[dict[str, object]] = {}

    @staticmethod
    async def get_many(*keys: str) -> dict[str, object]:
        if isinstance(Config.rows, Exception):
            raise Config.rows
        return {key: value for key, value in Config.rows.items() if key in keys}

    @staticmethod
    async def upsert(updates: dict[str, object], *, db: object = None) -> None:
        Config.rows.update(updates)


class Table(SimpleNamespace):
    """A table's rows; a column is its name."""

    def __getattr__(self, name: str) -> str:
        return name


class Session:
    """Either kind of session, over tables that may be locked."""

    def __init__(self, world: World) -> None:
        self._world = world

    def query(self, *columns: str) -> Any:
        if self._world.failure is not None:
            raise self._world.failure
        self._world.wait()
        kind = "functions" if "type" in columns else "tools"
        rows = getattr(self._world, kind)
        return SimpleNamespace(all=lambda: [tuple(row.get(c) for c in columns) for row in rows])

    async def run_sync(self, work: Any) -> Any:
        return work(self)


class World:
    """An open-webui of one generation: its application, its rows, and what is wrong with them."""

    def __init__(self, generation: str) -> None:
        self.app = FastAPI()
        self.app.state.MODELS = {}
        self.generation = generation
        self.functions: list[dict[str, object]] = []
        self.tools: list[dict[str, object]] = []
        self.offered: dict[str, dict[str, object]] = {}
        self.listings = 0
        self.failure: Exception | None = None
        self.wait: Any = lambda: None
        Config.rows = {
            "openai.enable": True,
            "openai.api_base_urls": [],
            "openai.api_configs": {},
            "openai.api_keys": [],
        }
        if generation != ROWS:
            self.app.state.config = AppConfig()
            search = "ENABLE_RAG_WEB_SEARCH" if generation == OLD else "ENABLE_WEB_SEARCH"
            for name, value in {"ENABLE_OPENAI_API": True, search: False}.items():
                setattr(self.app.state.config, name, PersistentConfig(value))
            self.app.state.config.OPENAI_API_BASE_URLS = PersistentConfig([])
            self.app.state.config.OPENAI_API_CONFIGS = PersistentConfig({})
            self.app.state.config.OPENAI_API_KEYS = PersistentConfig([])

    async def connect(self, *urls: str) -> None:
        """Add connections as an administrator does."""
        if self.generation == ROWS:
            await Config.upsert({"openai.api_base_urls": list(urls)})
        else:
            self.app.state.config.OPENAI_API_BASE_URLS = list(urls)

    def modules(self) -> dict[str, Any]:
        """What stands in for open-webui's modules."""
        env = {"VERSION": self.generation, "WEBUI_SECRET_KEY": "s", "DATABASE_URL": "sqlite:///x"}
        made = {
            "open_webui": {},
            "open_webui.config": {"ENABLE_ADMIN_CHAT_ACCESS": True, "ENABLE_ADMIN_EXPORT": False},
            "open_webui.env": env,
            "open_webui.internal.db": {"get_db": self._get_db},
            "open_webui.models.functions": {"Function": Table()},
            "open_webui.models.tools": {"Tool": Table()},
            "open_webui.utils.models": {"get_all_models": self._get_all_models},
        }
        if self.generation == ROWS:
            made["open_webui.models.config"] = {"Config": Config}
            made["open_webui.internal.db"]["get_async_db"] = self._get_async_db
        else:
            made["open_webui.config"]["PersistentConfig"] = PersistentConfig
        return made

    async def _get_all_models(self, request: Any, user: object) -> None:
        """Ask the model servers, and have what they offer in the application."""
        assert request.app is self.app
        assert user is None
        self.listings += 1
        if self.failure is not None:
            raise self.failure
        self.app.state.MODELS = dict(self.offered)

    @contextlib.contextmanager
    def _get_db(self) -> Iterator[Session]:
        yield Session(self)

    @contextlib.asynccontextmanager
    async def _get_async_db(self) -> AsyncIterator[Session]:
        yield Session(self)


def use(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have ``import open_webui...`` find this world's modules."""
    # The kit's hooks are put on these classes: each test has them without.
    monkeypatch.setattr(PersistentConfig, "__setattr__", object.__setattr__)
    monkeypatch.setattr(Config, "upsert", staticmethod(Config.upsert))
    for name, members in world.modules().items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
