"""What the statement reads of open-webui, in each generation, and how soon it sees a change."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from host_double import a_statement, run
from workload_double import GENERATIONS, NEW, ROWS, Config, World, use

from cczoo_backend import openwebui_workload
from cczoo_backend.openwebui_workload import OpenWebUIWorkload
from cczoo_backend.workload.setting_names import UNKNOWN

URL = "https://api.example.com/v1"
ROOT = Path(__file__).resolve().parents[3]

FUNCTION = {"id": "f", "type": "pipe", "content": "x", "is_active": True, "is_global": False}
TOOL = {"id": "t", "content": "y"}


@pytest.fixture(params=GENERATIONS)
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(request.param)
    use(made, monkeypatch)
    return made


def test_everything_is_read(world: World) -> None:
    world.functions, world.tools = [FUNCTION], [TOOL]
    world.app.state.MODELS = {"m": {"name": "M"}}

    async def scenario() -> None:
        workload = OpenWebUIWorkload(world.app)
        await world.connect(URL)
        readings = await workload.read()
        assert readings.settings is not None
        assert readings.settings["openai.api_base_urls"] == [URL]
        assert readings.settings["webhook_url"] is UNKNOWN
        assert readings.constants is not None
        assert readings.constants["ENABLE_ADMIN_CHAT_ACCESS"] is True
        assert readings.models == {"m": {"name": "M"}}
        assert readings.functions == [FUNCTION]
        assert readings.tools == [TOOL]
        assert workload.storage_settings()["DATABASE_URL"] == "sqlite:///x"

    run(scenario)


def test_the_next_question_after_a_change_has_it(world: World) -> None:
    async def scenario() -> None:
        statement = a_statement(OpenWebUIWorkload(world.app))
        before = (await statement.current()).hash
        assert await statement.holds(before)
        await world.connect(URL)
        assert not await statement.holds(before)
        sections = (await statement.current()).sections
        assert "api.example.com:443" in str(sections["connections"])
        await world.connect()
        assert await statement.holds(before)

    run(scenario)


def test_a_new_list_of_models_is_a_change_and_the_same_one_is_none(world: World) -> None:
    async def scenario() -> None:
        workload = OpenWebUIWorkload(world.app)
        statement = a_statement(workload)
        before = await statement.current()
        assert before.sections["models"]["listed"] is False
        world.app.state.MODELS = {"m": {"name": "M"}}
        stated = await statement.current()
        assert stated.sections["models"]["listed"] is True
        mark = workload.mark()
        assert workload.mark() is mark
        world.app.state.MODELS = {"m": {"name": "M"}}
        assert workload.mark() is not mark
        assert await statement.current() is stated

    run(scenario)


def test_models_are_listed_before_anybody_asks_open_webui_for_them(world: World) -> None:
    world.offered = {"m": {"name": "M"}}

    async def scenario() -> None:
        workload = OpenWebUIWorkload(world.app)
        for _ in range(2):
            assert (await workload.read()).models == {"m": {"name": "M"}}
        assert world.listings == 1

    run(scenario)


def test_where_none_are_offered_they_are_asked_for_once_a_minute(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        workload = OpenWebUIWorkload(world.app)
        for _ in range(3):
            assert (await workload.read()).models is None
        assert world.listings == 1
        monkeypatch.setattr(openwebui_workload, "LISTING_PAUSE", 0.0)
        world.offered = {"m": {"name": "M"}}
        assert (await workload.read()).models == {"m": {"name": "M"}}

    run(scenario)


def test_models_that_cannot_be_listed_are_none(world: World) -> None:
    world.failure = RuntimeError("no such server")

    async def scenario() -> None:
        workload = OpenWebUIWorkload(world.app)
        for _ in range(2):
            readings = await workload.read()
            assert readings.models is None
            assert readings.settings is not None
        assert world.listings == 1

    run(scenario)


class InRedis:
    """A list of models that lies elsewhere: no dict, and asked in a thread."""

    def __init__(self) -> None:
        self.thread: object = None

    def items(self) -> list[tuple[str, dict[str, object]]]:
        self.thread = threading.current_thread()
        return [("m", {"name": "M"})]

    def __len__(self) -> int:
        return 1


def test_a_list_of_models_in_redis(world: World) -> None:
    async def scenario() -> None:
        models = world.app.state.MODELS = InRedis()
        assert (await OpenWebUIWorkload(world.app).read()).models == {"m": {"name": "M"}}
        assert models.thread is not threading.current_thread()

    run(scenario)


def test_what_another_worker_set_is_noticed_as_soon_as_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(NEW)
    use(world, monkeypatch)

    async def scenario() -> None:
        workload = OpenWebUIWorkload(world.app)
        mark = workload.mark()
        world.app.state.config._redis["OPENAI_API_BASE_URLS"] = f'["{URL}"]'
        settings = (await workload.read()).settings
        assert settings is not None
        assert settings["openai.api_base_urls"] == [URL]
        assert workload.mark() is not mark

    run(scenario)


# What goes wrong


def break_settings(world: World) -> None:
    failure: Any = ConnectionError("redis://:hunter2@h is away")
    if world.generation == ROWS:
        Config.rows = failure
    else:
        vars(world.app.state.config)["_redis"] = failure


def test_settings_that_cannot_be_read_are_unknown(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    break_settings(world)

    async def scenario() -> None:
        workload = OpenWebUIWorkload(world.app)
        caplog.clear()
        for _ in range(3):
            readings = await workload.read()
            assert readings.settings is None
            assert readings.functions == []
        assert caplog.text.count("settings cannot be read: ConnectionError") == 1
        assert "hunter2" not in caplog.text
        stated = await a_statement(workload).current()
        assert stated.sections["people"]["channels"] == "not-known"

    run(scenario)


def test_a_table_that_raises_is_not_listed(world: World) -> None:
    world.failure = RuntimeError("database is locked")

    async def scenario() -> None:
        stated = await a_statement(OpenWebUIWorkload(world.app)).current()
        assert stated.sections["functions"]["listed"] is False
        assert stated.sections["people"]["administrators_read_chats"] is True

    run(scenario)


def test_a_table_that_is_locked_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(NEW)
    use(world, monkeypatch)
    locked = threading.Event()
    world.wait = lambda: locked.wait(20)

    async def scenario() -> None:
        workload = OpenWebUIWorkload(world.app, patience=0.05)
        began = time.monotonic()
        for _ in range(20):
            readings = await workload.read()
            assert readings.functions is readings.tools is None
            assert readings.settings is not None
        assert time.monotonic() - began < 2
        assert sum(thread.name.startswith("asyncio") for thread in threading.enumerate()) < 10
        locked.set()
        while (await workload.read()).functions is None:
            pass

    run(scenario)


# With the SQLAlchemy of each open-webui that is installed here


PYTHONS = sorted(ROOT.glob(".venv-webui/*-plugin/bin/python"))


@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: path.parts[-3])
def test_rows_that_this_process_writes_are_noticed_once_they_are_there(python: Path) -> None:
    script = Path(__file__).with_name("rows_double.py")
    path = f"{ROOT / 'backend'}:{ROOT}"
    done = subprocess.run(
        [python, "-B", script], env={"PYTHONPATH": path}, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (0, "noticed"), done.stderr
