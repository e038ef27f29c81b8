"""The demonstration: how long `make demo` takes where it was made and run before.

What the first start takes depends on the network: docs/development.md says how to take that time.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import demo
from bench.rows import Limit, left_out, row
from bench.timing import Measured, in_turns
from e2e.stack import REPO, Process, free_port
from preparation import editions, environments

ROUNDS = 3
LIMIT = Limit(20)  # s
SECONDS = 180
TOOL = REPO / "tools" / "demo.py"
BANNER = "open-webui with the trust badge:"
NO_MODEL = {"ENABLE_OLLAMA_API": "false", "ENABLE_OPENAI_API": "false"}


def time_demonstration() -> None:
    """A second start until it says where it is, against open-webui's own until it answers."""
    for edition in editions.full():
        name = f"{edition}: second start of the demo"
        if not was_run(edition):
            command = "make demo" + " PLUGIN=1" * edition.startswith(editions.PLUGIN)
            left_out(name, f"not made here, or of another kit: run `{command}` once")
            continue
        whole, alone = in_turns(ROUNDS, _whole(edition), _open_webui(edition))
        row(name, whole, "open-webui alone", alone, "s", limit=LIMIT)


def was_run(edition: str) -> bool:
    """Whether the demonstration of an edition has all that it keeps: nothing would be made."""
    way, version = editions.way_and_version(edition)
    at = demo.HOME / edition if way == editions.PLUGIN else None
    tree = demo.HOME / f"open-webui-{version}" / "build" / "index.html"
    return (
        (demo.HOME / f"data-{edition}" / "webui.db").is_file()
        and (way == editions.PLUGIN or tree.is_file())
        and environments.webui_part(edition, at).is_current()
        and (demo.usable_ollama() is not None or environments.model_part().is_current())
    )


def _whole(edition: str) -> Measured:
    """Start the demonstration as `make` does, and stop it; returns the seconds to its banner."""
    way, version = editions.way_and_version(edition)
    env = {name: text for name, text in os.environ.items() if name != "OPENWEBUI_DIR"}
    env |= {"VERSION": version, "PLUGIN": "1" if way == editions.PLUGIN else ""}

    def start() -> float:
        with tempfile.TemporaryDirectory() as scratch:
            log = Path(scratch, "demo.log")
            started = time.perf_counter()
            command = [sys.executable, TOOL]
            process = Process(command, log=log, env=env | {"PORT": str(free_port())})
            try:
                process.wait_ready(lambda: BANNER in log.read_text(), seconds=SECONDS)
                return time.perf_counter() - started
            finally:
                process.stop()

    return start


def _open_webui(edition: str) -> Measured:
    """Start its open-webui by itself, and stop it; returns the seconds to its first answer."""

    def start() -> float:
        with demo.servers() as group:
            started = time.perf_counter()
            demo.start_open_webui(group, demo.open_webui(edition), free_port(), "", NO_MODEL)
            group.wait_for(group.running[-1])
            return time.perf_counter() - started

    return start
