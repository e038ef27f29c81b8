"""The statement: its sections, when it is made anew, and what it costs to ask for it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest
from host_double import Source, a_statement, run

from cczoo_backend.host import Readings
from cczoo_backend.workload.statement import (
    LOOK_SECONDS,
    NOT_MEASURED,
    STORAGE_SECONDS,
    Stated,
    Statement,
)
from quote_generator.evidence import document_hash

NAMES = ["connections", "functions", "measured", "models", "people", "sealing", "storage"]
SOME_URLS = {"openai.enable": True, "openai.api_configs": {}, "openai.api_keys": []}
OUTSIDE = {**SOME_URLS, "openai.api_base_urls": ["https://api.example.com/v1"]}


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def state(source: Any, **options: Any) -> Stated:
    """The statement of a source, asked for once."""
    found = []

    async def scenario() -> None:
        found.append(await a_statement(source, **options).current())

    run(scenario)
    return found[0]


def test_a_statement_is_the_digests_of_its_sections() -> None:
    stated = state(Source())
    assert sorted(stated.sections) == NAMES
    assert stated.document == {
        "v": 1,
        "sections": {name: document_hash(part) for name, part in stated.sections.items()},
    }
    assert stated.hash == document_hash(stated.document)
    assert json.loads(stated.sections_json) == stated.sections
    assert stated.sections["sealing"] == {"mode": "offered", "receipts": False}
    assert stated.sections["measured"] == NOT_MEASURED


def test_sections_are_made_of_what_was_read() -> None:
    functions = [{"id": "f", "type": "filter", "content": "x", "is_active": True}]
    constants = {"ENABLE_ADMIN_CHAT_ACCESS": True}
    models = {"m": {"id": "m", "name": "M", "urlIdx": 0}}
    sections = state(Source(Readings(OUTSIDE, constants, models, functions, []))).sections
    (model,) = sections["models"]["offered"]  # type: ignore[index]
    assert (model["where"], model["address"]) == ("outside", "api.example.com:443")
    ways = sections["connections"]["ways"]  # type: ignore[index]
    assert [way["where"] for way in ways if way["kind"] == "openai"] == ["outside"]
    assert sections["functions"]["active"] == 1
    assert sections["people"]["administrators_read_chats"] is True


# When it is made anew


def test_it_is_kept_until_something_changes() -> None:
    source, clock = Source(), Clock()
    statement = a_statement(source, monotonic=clock)

    async def scenario() -> None:
        first = await statement.current()
        assert [await statement.current() for _ in range(3)] == [first] * 3
        assert source.reads == 1
        source.change(settings=OUTSIDE)
        changed = await statement.current()
        assert changed.hash != first.hash
        assert not await statement.holds(first.hash)
        assert await statement.holds(changed.hash)
        with statement.for_quote() as stated:
            assert stated is changed
        assert source.reads == 2
        source.change()  # of nothing that is stated
        assert await statement.current() is changed
        assert source.reads == 3

    run(scenario)


def test_what_others_change_is_seen_a_second_later_and_nobody_waits_for_it() -> None:
    source, clock = Source(), Clock()
    statement = a_statement(source, monotonic=clock)

    async def scenario() -> None:
        first = await statement.current()
        source.readings = Readings(settings=OUTSIDE, constants={})  # and no word of it
        assert await statement.current() is first
        clock.seconds += LOOK_SECONDS
        assert await statement.current() is first
        while (await statement.current()) is first:
            await asyncio.sleep(0.01)
        assert source.reads == 2

    run(scenario)


def test_after_a_rest_it_is_looked_before_anything_is_said() -> None:
    source, clock = Source(), Clock()
    statement = a_statement(source, monotonic=clock)

    async def scenario() -> None:
        first = await statement.current()
        source.readings = Readings(settings=OUTSIDE, constants={})
        clock.seconds += 2 * LOOK_SECONDS
        assert (await statement.current()).hash != first.hash

    run(scenario)


def test_a_change_during_a_look_has_another_one() -> None:
    class Slow(Source):
        async def read(self) -> Readings:
            before = await super().read()
            await asyncio.sleep(0.05)
            return before

    source = Slow()
    statement = a_statement(source)
    after = state(Source(Readings(settings=OUTSIDE, constants={})))

    async def scenario() -> None:
        looking = asyncio.create_task(statement.current())
        await asyncio.sleep(0.01)
        source.change(settings=OUTSIDE)
        many = await asyncio.gather(*(statement.current() for _ in range(50)))
        assert {each.hash for each in many} == {after.hash}
        await looking
        assert source.reads == 2

    run(scenario)


def test_one_who_leaves_does_not_end_the_look_of_the_others() -> None:
    class Slow(Source):
        async def read(self) -> Readings:
            await asyncio.sleep(0.05)
            return await super().read()

    source = Slow()
    statement = a_statement(source)

    async def scenario() -> None:
        leaving = asyncio.create_task(statement.current())
        staying = asyncio.create_task(statement.current())
        await asyncio.sleep(0.01)
        leaving.cancel()
        assert (await staying).sections["models"]
        assert source.reads == 1

    run(scenario)


def test_what_is_measured_is_asked_anew_when_it_says_so() -> None:
    facts: list[Any] = []

    def measured() -> Mapping[str, object]:
        return {"log": "written", "why": "", "facts": list(facts)}

    statement = a_statement(measured=measured)

    async def scenario() -> None:
        first = await statement.current()
        facts.append(["start", {"v": 1}])
        assert await statement.current() is first
        threading.Thread(target=statement.touch).start()
        while (await statement.current()) is first:
            await asyncio.sleep(0.01)
        assert (await statement.current()).sections["measured"]["facts"] == facts

    run(scenario)


def test_a_quote_binds_what_is_measured_by_then_and_nothing_is_measured_meanwhile() -> None:
    facts, held = ["earlier"], threading.Lock()
    source = Source()
    statement = a_statement(source, measured=lambda: {"facts": list(facts)}, still=lambda: held)  # type: ignore[arg-type,return-value]

    async def scenario() -> None:
        with pytest.raises(RuntimeError), statement.for_quote():
            pass
        await statement.current()
        facts.append("since")
        with statement.for_quote() as stated:
            assert held.locked()
            assert stated.sections["measured"] == {"facts": ["earlier", "since"]}
        statement.touch()
        assert (await statement.current()).hash == stated.hash

    run(scenario)


def test_what_a_reading_has_measured_needs_no_second_look() -> None:
    class Measured(Source):
        async def read(self) -> Readings:
            statement.touch()
            return await super().read()

    source = Measured()
    statement = a_statement(source)

    async def scenario() -> None:
        for _ in range(3):
            await statement.current()
        assert source.reads == 1

    run(scenario)


def test_storage_is_looked_at_once_a_minute() -> None:
    looks = []

    def look(settings: Mapping[str, object]) -> Mapping[str, object]:
        looks.append(settings)
        return {"number": len(looks)}

    source, clock = Source(), Clock()
    statement = a_statement(source, storage=look, monotonic=clock)

    async def scenario() -> None:
        for _ in range(3):
            source.change()
            assert (await statement.current()).sections["storage"] == {"number": 1}
        clock.seconds += STORAGE_SECONDS
        assert (await statement.current()).sections["storage"] == {"number": 2}

    run(scenario)


# What goes wrong


def boom(*_: object) -> Any:
    raise ZeroDivisionError("a secret")


@pytest.mark.parametrize("name", ["measured", "storage"])
def test_a_section_that_cannot_be_made_says_so(name: str, caplog: pytest.LogCaptureFixture) -> None:
    source, clock = Source(), Clock()
    statement = a_statement(source, monotonic=clock, **{name: boom})

    async def scenario() -> None:
        for _ in range(3):
            stated = await statement.current()
            assert stated.sections[name] == {"not_known": True}
            assert sorted(stated.sections) == NAMES
            assert "secret" not in stated.sections_json
            source.change()
        assert caplog.text.count(f"not known in the statement: {name}") == 1

    run(scenario)


def test_a_machine_that_cannot_be_looked_at_is_not_known() -> None:
    sections = state(Source(Readings(OUTSIDE, {})), machine=lambda: boom()).sections
    assert sections["models"] == sections["connections"] == {"not_known": True}
    assert sections["people"] != {"not_known": True}


def test_a_source_that_raises_leaves_all_of_it_unknown() -> None:
    class Broken(Source):
        async def read(self) -> Readings:
            return boom()

    sections = state(Broken()).sections
    assert sections["models"]["listed"] is sections["functions"]["listed"] is False
    places = {way["where"] for way in sections["connections"]["ways"]}  # type: ignore[index,union-attr]
    assert "not-known" in places
    assert sections["people"]["administrators_read_chats"] == "not-known"


@pytest.mark.parametrize("value", [float("nan"), 1 << 70, "\ud800", b"", object()])
def test_a_section_without_canonical_json_is_not_known(value: object) -> None:
    sections = state(Source(), measured=lambda: {"facts": [value]}).sections
    assert sections["measured"] == {"not_known": True}


HOSTILE = "<img src=x onerror=alert(1)>\n\u202e\ud800\0" + "a" * 10_000


def test_hostile_values_are_bounded_and_show() -> None:
    settings = {
        **SOME_URLS,
        "openai.api_base_urls": [HOSTILE, "https://user:hunter2@h.example", None, 7],
        "openai.api_configs": HOSTILE,
        "tool_server.connections": [{"url": HOSTILE}, HOSTILE, None],
        "web.search.engine": HOSTILE,
        "web.search.enable": True,
        "task.model.default": HOSTILE,
    }
    models = {HOSTILE: {"name": HOSTILE}, "m": {"name": HOSTILE, "urlIdx": "x"}, "n": {}, "o": None}
    rows = [{"id": HOSTILE, "type": HOSTILE, "content": HOSTILE}, {"content": None}]
    source = Source(Readings(settings, {}, models, rows, rows))  # type: ignore[arg-type]
    stated = state(source)
    assert {"not_known": True} not in stated.sections.values()
    assert stated.hash == document_hash(stated.document)
    text = json.dumps(stated.sections, ensure_ascii=False)
    assert "hunter2" not in text
    assert "\u202e" not in text
    assert len(text) < 40_000


# What it costs


def models_of(count: int) -> dict[str, dict[str, object]]:
    return {f"model-{n}": {"name": f"Model {n}", "urlIdx": 0} for n in range(count)}


def seconds_of(source: Source, statement: Statement) -> float:
    """The least processor time that it takes to make the statement anew."""
    times = []

    async def scenario() -> None:
        await statement.current()
        for number in range(5):
            source.change(functions=[{"id": str(number), "content": "x"}], tools=[])
            began = time.process_time()
            await statement.current()
            times.append(time.process_time() - began)

    run(scenario)
    return min(times)


# Three times what is meant to hold: others work on this machine, too.
@pytest.mark.parametrize(("count", "seconds"), [(100, 0.005), (10_000, 0.05)])
def test_making_it_anew_is_bounded(count: int, seconds: float) -> None:
    source = Source(Readings(OUTSIDE, {}, models_of(count)))
    assert seconds_of(source, a_statement(source)) < 3 * seconds
    assert len(state(source).sections_json) < 1_000_000


def test_asking_costs_microseconds() -> None:
    statement = a_statement()

    async def scenario() -> None:
        stated = await statement.current()
        began = time.perf_counter()
        for _ in range(1000):
            assert await statement.holds(stated.hash)
        assert time.perf_counter() - began < 0.05

    run(scenario)
