"""What measuring and stating cost: open-webui's start once, and each request from then on."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.open_webui import copied_environment, with_the_newest
from bench.rows import Limit, detail, row
from bench.timing import in_turns
from cczoo_backend.host import Readings
from cczoo_backend.workload.statement import Statement
from e2e.environments import Environment

# open-webui is not answered for before it has been measured.
START_LIMIT = Limit(10)  # s
START_ROUNDS = 3
CACHED_LIMIT = Limit(2000)  # us
CACHED_ASKED, ANEW_ASKED, STATEMENT_ROUNDS = 2_000, 10, 5
MODELS = 200

# Prints the seconds that measuring takes in a process of its own, and how many files that is.
MEASURE = """
import time
from pathlib import Path
from importlib.util import find_spec
from cczoo_backend.workload.start_facts import Places, start_facts
package = Path(find_spec("open_webui").submodule_search_locations[0])
places = Places.of_this_process(package, "", package / "frontend", {})
began = time.perf_counter()
found = {each.kind: each for each in start_facts(places)}
print(time.perf_counter() - began, found["environment"].content["distributions"])
"""

# Prints the seconds that it takes to read every file of the same folders, one after the other.
READ = """
import os, sys, sysconfig, time
began, size = time.perf_counter(), 0
for top in {os.path.realpath(path) for path in (*sys.path, sysconfig.get_path("stdlib"))}:
    for folder, _, names in os.walk(top) if "-packages" in top else ():
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                size += len(file.read())
print(time.perf_counter() - began, size / 1e6)
"""


def time_measuring() -> None:
    """Everything that is measured at a start, against reading the files that are installed."""
    for name in with_the_newest():
        with tempfile.TemporaryDirectory() as scratch:
            environment = copied_environment(Path(scratch, "environment"), name)
            told: dict[str, float] = {}
            measure, read = in_turns(
                START_ROUNDS,
                _saying(environment, MEASURE, told, "distributions"),
                _saying(environment, READ, told, "MB"),
            )
        row(f"{name}: measuring at the start", measure, "reading", read, "s", limit=START_LIMIT)
        detail("distributions", told["distributions"], "")
        detail("installed", told["MB"], "MB")


def _saying(
    environment: Environment, script: str, told: dict[str, float], what: str
) -> Callable[[], float]:
    """What runs a script that prints its seconds, and how much of something there was."""

    def run() -> float:
        seconds, told[what] = map(float, environment.run("-c", script).stdout.split())
        return seconds

    return run


# The statement


class _Source:
    """An open-webui that offers many models, and whose settings change where a test says so."""

    def __init__(self) -> None:
        models = {f"model-{number}": {"name": f"Model {number}"} for number in range(MODELS)}
        self.readings = Readings(settings={}, constants={}, models=models, functions=(), tools=())
        self.marked = object()

    def mark(self) -> object:
        return self.marked

    async def read(self) -> Readings:
        return self.readings

    def storage_settings(self) -> Mapping[str, object]:
        return {}


def time_statement() -> None:
    """The statement as each request asks for it, against the first request after a change."""
    cached, anew = in_turns(
        STATEMENT_ROUNDS,
        lambda: asyncio.run(_statement_us(CACHED_ASKED, is_changed=False)),
        lambda: asyncio.run(_statement_us(ANEW_ASKED, is_changed=True)),
    )
    name = f"the statement from cache, {MODELS} models"
    row(name, cached, "after a change", anew, limit=CACHED_LIMIT)


async def _statement_us(count: int, *, is_changed: bool) -> float:
    """Microseconds that asking takes, by the clock: what others do meanwhile counts as well."""
    source = _Source()
    statement = Statement(source, mode="offered")
    hash_of_now = (await statement.current()).hash
    began = time.perf_counter()
    for _ in range(count):
        if is_changed:
            source.marked = object()
        if not await statement.holds(hash_of_now):
            raise RuntimeError("the statement is another one")
    return 1e6 * (time.perf_counter() - began) / count
