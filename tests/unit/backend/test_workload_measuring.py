"""What runs is measured before anybody is answered, and again where it changes."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from host_double import plain, run
from simulated_log import in_log, is_written, lines_of, machine_of
from starlette.testclient import TestClient

from cczoo_backend.host import Readings
from cczoo_backend.workload import measuring
from cczoo_backend.workload.measuring import AfterMeasuring, Measurer
from cczoo_backend.workload.start_facts import KINDS, Missing, Places
from quote_generator.attester import System
from quote_generator.workload.events import Fact, make_fact

SHA = f"sha256:{'ab' * 32}"
PLACES = Places(Path("/"), "1", None, None, [], "/")
START = [make_fact("page", digest=SHA), Missing("kit", "no-distribution")]
PLUGINS = """
import types
def replace_imports(content):
    return content.replace("from utils", "from open_webui.utils")
def load_tools_module_by_id(id, content):
    module = types.ModuleType(f"tool_{id}")
    exec(content, module.__dict__)
def load_function_module_by_id(id, content):
    module = types.ModuleType(f"function_{id}")
    exec(content, module.__dict__)
"""


class Measured:
    """A measurer on a simulated TD, which has begun."""

    def __init__(self, root: Path, found: Iterable[Fact | Missing] = START) -> None:
        self.root = root
        self.plugins: Any = ModuleType("plugins")
        exec(PLUGINS, self.plugins.__dict__)
        self.measurer = Measurer(system=machine_of(root), measure=lambda places: found)
        self.begin()

    def begin(self) -> None:
        self.measurer.begin(lambda: PLACES, lambda: self.plugins)
        run(self.measurer.settled)

    def read(self, **readings: Any) -> None:
        self.measurer.take(Readings(**readings))
        assert is_written_by(self.measurer, self.root)

    def facts(self, kind: str) -> list[Any]:
        facts: Any = self.measurer.present()["facts"]
        return [content for each, content in facts if each == kind]

    @property
    def missing(self) -> Any:
        return self.measurer.present()["missing"]


def is_written_by(measurer: Measurer, root: Path) -> bool:
    return is_written(measurer._facts, root)


@pytest.fixture
def measured(tmp_path: Path) -> Measured:
    return Measured(tmp_path)


def row(id_: str, content: str = "x = 1", **more: object) -> Mapping[str, object]:
    return {"id": id_, "type": "filter", "content": content, "is_active": True, **more}


# --- the start ----------------------------------------------------------------------------------


def test_a_start_is_an_event_and_then_each_fact(measured: Measured, tmp_path: Path) -> None:
    assert lines_of(tmp_path) == ['cczoo start {"v":1}', START[0].line]  # type: ignore[union-attr]
    assert is_written_by(measured.measurer, tmp_path)
    missing = dict(measured.missing)
    assert missing["kit"] == "no-distribution"
    assert missing["environment"] == missing["settings"] == "being-measured"
    assert missing.keys() == {*KINDS, "settings"} - {"page"}


def test_a_start_that_fails_is_told_and_answers_nevertheless(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    measurer = Measurer(
        system=System.under(str(tmp_path), environ={}),
        measure=lambda places: [START[0], 1 / 0],  # type: ignore[list-item]
    )

    def no_plugins() -> ModuleType:
        raise ModuleNotFoundError("utils.plugin")

    measurer.begin(lambda: PLACES, no_plugins)
    run(measurer.settled)
    section: Any = measurer.present()
    assert (section["log"], section["why"]) == ("not-written", "tdx-not-available")
    assert ["function", "not-hooked"] in section["missing"]
    assert ["tool", "not-hooked"] in section["missing"]
    assert "ZeroDivisionError" in caplog.text
    assert "utils.plugin" in caplog.text


def test_a_stuck_disk_does_not_keep_the_server_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(measuring, "START_SECONDS", 0.1)
    goes_on = threading.Event()

    def stuck() -> Iterator[Fact]:
        goes_on.wait(20)
        yield make_fact("page", digest=SHA)

    late = Measured(tmp_path, stuck())
    assert "still being measured" in caplog.text
    assert ["page", "being-measured"] in late.missing
    goes_on.set()
    assert late.measurer._done.wait(20)
    assert late.facts("page")


# --- code -----------------------------------------------------------------------------------------


def test_code_is_recorded_before_it_runs(measured: Measured, tmp_path: Path) -> None:
    seen: list[int] = []
    measured.plugins.note = lambda: seen.append(len(lines_of(tmp_path)))
    before = len(lines_of(tmp_path))
    code = "import sys; sys.modules['noted'].note()"
    import sys

    sys.modules["noted"] = measured.plugins
    try:
        measured.plugins.load_function_module_by_id("f", code)
    finally:
        del sys.modules["noted"]
    assert seen == [before + 1]
    assert is_written_by(measured.measurer, tmp_path)
    (fact,) = measured.facts("function")
    assert (fact["id"], fact["type"]) == ("f", "not-known")


def test_code_that_runs_as_its_row_says_is_one_fact(measured: Measured, tmp_path: Path) -> None:
    code = "from utils import x"
    measured.read(functions=[row("f", code)], tools=[row("t", "y")])
    before = lines_of(tmp_path)
    with pytest.raises(ModuleNotFoundError):
        measured.plugins.load_function_module_by_id("f", "from open_webui.utils import x")
    measured.read(functions=[row("f", code)], tools=[row("t", "y")])
    assert lines_of(tmp_path) == before
    assert [fact["type"] for fact in measured.facts("function")] == ["filter"]
    assert [fact["type"] for fact in measured.facts("tool")] == ["tool"]


def test_code_that_is_no_longer_active_is_taken_away_unless_it_has_run(measured: Measured) -> None:
    measured.read(functions=[row("f"), row("g")], tools=[row("t")])
    measured.plugins.load_function_module_by_id("g", "x = 1")
    measured.read(functions=[row("f", is_active=False)], tools=[])
    assert [fact["id"] for fact in measured.facts("function")] == ["g"]
    assert measured.facts("tool") == []


def test_rows_that_cannot_be_read_change_nothing_and_are_told(measured: Measured) -> None:
    measured.read(functions=[row("f")], tools=[row("t")])
    measured.read(functions=None, tools=[])
    assert [fact["id"] for fact in measured.facts("function")] == ["f"]
    assert measured.facts("tool") == []
    assert ["function-list", "not-read"] in measured.missing
    measured.read(functions=[], tools=[])
    assert ["function-list", "not-read"] not in measured.missing


def test_code_that_is_switched_off_is_none(measured: Measured) -> None:
    off = {"ENABLE_FUNCTIONS": False, "ENABLE_TOOLS": False}
    measured.read(functions=[row("f")], tools=[row("t")], constants=off)
    assert measured.facts("function") + measured.facts("tool") == []


def test_names_that_no_fact_has_and_too_many_are_told(
    measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured.read(functions=[row("x" * 513), row("<b>\u202e\n")], tools=[])
    assert ["function", "bad-input"] in measured.missing
    assert [fact["id"] for fact in measured.facts("function")] == ["<b>\u202e\n"]
    monkeypatch.setattr(measuring, "CODE_MAX", 1)
    measured.read(functions=[row("a"), row("b")], tools=[])
    assert len(measured.facts("function")) == 1
    assert ["code", "too-many"] in measured.missing


def test_a_row_that_was_there_counts_again_after_other_code_has_run(measured: Measured) -> None:
    """As an edit that ran, and was not kept."""
    measured.read(functions=[row("f", "x = 1")], tools=[])
    before = measured.facts("function")
    measured.plugins.load_function_module_by_id("f", "x = 2")
    assert measured.facts("function") != before
    measured.read(functions=[row("f", "x = 1")], tools=[])
    assert measured.facts("function") == before


# --- settings -------------------------------------------------------------------------------------


def test_settings_are_a_fact_that_changes_with_them(measured: Measured, tmp_path: Path) -> None:
    first = {"openai.api_base_urls": ["https://a.example"]}
    measured.read(settings=first)
    measured.read(settings=first, constants={})
    assert len(lines_of(tmp_path)) == 3
    measured.read(settings={"openai.api_base_urls": ["https://b.example"]})
    measured.read(settings=first, constants={"OFFLINE_MODE": False})
    assert len(lines_of(tmp_path)) == 5
    assert len(measured.facts("settings")) == 1
    measured.read(settings=None)
    assert ["settings", "not-read"] in measured.missing
    measured.read(settings=first, constants={"OFFLINE_MODE": False})
    assert ["settings", "not-read"] not in measured.missing
    assert len(lines_of(tmp_path)) == 5


def test_settings_that_cannot_be_measured_are_told(
    measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "settings_digest", lambda settings: 1 / 0)
    measured.read(settings={})
    assert ["settings", "failed"] in measured.missing


# --- who reads ------------------------------------------------------------------------------------


class Source:
    def __init__(self, readings: Readings) -> None:
        self.readings = readings

    def mark(self) -> object:
        return self

    async def read(self) -> Readings:
        return self.readings

    def storage_settings(self) -> Mapping[str, object]:
        return {"a": 1}


def test_what_is_read_is_measured_as_well(
    measured: Measured, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    changes: list[None] = []
    measured.measurer.on_change(lambda: changes.append(None))
    source = Source(Readings(settings={}, functions=[row("f")], tools=[]))
    watched = measured.measurer.watching(source)
    assert (watched.mark(), watched.storage_settings()) == (source, {"a": 1})

    async def scenario() -> None:
        assert await watched.read() is source.readings
        count = len(changes)
        assert count > 0
        await watched.read()
        assert len(changes) == count
        monkeypatch.setattr(measured.measurer, "take", lambda readings: 1 / 0)
        assert await watched.read() is source.readings

    run(scenario)
    assert measured.facts("function")
    assert "ZeroDivisionError" in caplog.text


def test_evidence_is_taken_while_nothing_changes(measured: Measured, tmp_path: Path) -> None:
    with measured.measurer.still():
        assert measured.measurer.present()["facts"] == in_log(tmp_path)


# --- requests -------------------------------------------------------------------------------------


def test_a_server_starts_when_all_is_measured(caplog: pytest.LogCaptureFixture) -> None:
    order: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await plain(scope, receive, send)
            return
        await receive()
        order.append("started")
        await send({"type": "lifespan.startup.complete"})
        order.append("told")
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def ready() -> None:
        await asyncio.sleep(0.01)
        order.append("measured")

    with TestClient(AfterMeasuring(app, ready)) as client:
        assert client.get("/x").text == "/x"
    assert order == ["started", "measured", "told"]


def test_without_a_lifespan_the_first_requests_wait() -> None:
    calls: list[None] = []

    async def scenario() -> None:
        goes_on = asyncio.Event()

        async def ready() -> None:
            calls.append(None)
            await goes_on.wait()

        app = AfterMeasuring(plain, ready)
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request"}

        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        first = [asyncio.create_task(app(scope, receive, send)) for _ in range(2)]
        await asyncio.sleep(0.02)
        assert sent == []
        goes_on.set()
        await asyncio.gather(*first)
        assert len(sent) == 4
        await app(scope, receive, send)

    run(scenario)
    assert len(calls) == 2


def test_what_fails_keeps_nobody_waiting(caplog: pytest.LogCaptureFixture) -> None:
    async def ready() -> None:
        raise ZeroDivisionError

    client = TestClient(AfterMeasuring(plain, ready))
    with caplog.at_level(logging.ERROR):
        assert client.get("/x").text == "/x"
        assert client.get("/y").text == "/y"
    assert caplog.text.count("although not all is measured") == 1
