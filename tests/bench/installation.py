"""The plug-in way: what the installer takes, and what its hook costs everybody else."""

from __future__ import annotations

import runpy
import tempfile
from pathlib import Path

from bench.open_webui import copied_environment, edition
from bench.rows import Limit, detail, row
from bench.timing import Measured, in_turns, processor_timed, timed
from e2e.environments import Environment
from e2e.stack import REPO

INSTALL_ROUNDS, PROCESS_ROUNDS = 10, 100
INSTALL_LIMIT = Limit(5000)  # ms
HOOK_LIMIT = Limit(1)  # ms

MEASURE_HOOK = REPO / "tests" / "installer" / "measure_hook.py"


def time_installation() -> None:
    """`cczoo-install` beside a package and its `--revert`, each as a process."""
    with tempfile.TemporaryDirectory() as scratch:
        plugin = copied_environment(Path(scratch, "environment"))
        works = [plugin.install, plugin.revert, lambda: plugin.run("-c", "")]
        install, revert, nothing = in_turns(INSTALL_ROUNDS, *map(timed, works))
    baseline = ("python -c ''", nothing / 1000, "ms")
    row(f"{edition()}: install, a process", install / 1000, *baseline, limit=INSTALL_LIMIT)
    row(f"{edition()}: revert, a process", revert / 1000, *baseline, limit=INSTALL_LIMIT)


def time_hook() -> None:
    """The hook in a process that has nothing to do with open-webui: its line, and all in all."""
    with tempfile.TemporaryDirectory() as scratch:
        plugin = copied_environment(Path(scratch, "environment"))
        plugin.install()
        line = plugin.hook.read_text()
        measured = runpy.run_path(str(MEASURE_HOOK))["milliseconds"]
        works = (_process(plugin, line), _process(plugin, None), lambda: measured(line))
        hooked, stock, alone = in_turns(PROCESS_ROUNDS, *works)
    row("python -c '' with the hook, processor", hooked / 1000, "without it", stock / 1000, "ms")
    detail("more", (hooked - stock) / 1000, "ms", limit=HOOK_LIMIT)
    row("the hook's line by itself", alone, "such a process", stock / 1000, "ms", limit=HOOK_LIMIT)


def _process(plugin: Environment, line: str | None) -> Measured:
    """What a process of the environment costs with this hook line, or with no hook."""
    cost = processor_timed(lambda: plugin.run("-c", ""))

    def run() -> float:
        plugin.hook.unlink(missing_ok=True)
        if line is not None:
            plugin.hook.write_text(line)
        return cost()

    return run
