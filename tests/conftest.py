"""What holds for every suite."""

from __future__ import annotations

import signal

import pytest

# Undo an inherited "ignore SIGINT". Started in the background (`nohup make test &`), a process
# ignores Ctrl-C, and so would all that it starts: a test that interrupts one would wait in vain.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Name what failed once more, as the last lines: of a long log, often no more is kept."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    failed = [each for outcome in ("failed", "error") for each in reporter.stats.get(outcome, [])]
    for each in failed:
        reporter.write_line(f"failed: {each.nodeid} ({each.when})")
