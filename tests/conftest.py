"""What holds for every suite."""

from __future__ import annotations

import signal

import pytest

# Undo an inherited "ignore SIGINT". Started in the background (`nohup make test &`), a process
# ignores Ctrl-C, and so would all that it starts: a test that interrupts one would wait in vain.
signal.signal(signal.SIGINT, signal.default_int_handler)


HOW_MAX = 400  # characters of an error


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say once more what failed, as the last lines: of a long log, often no more is kept."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    failed = [each for outcome in ("failed", "error") for each in reporter.stats.get(outcome, [])]
    for each in failed:
        crash = getattr(each.longrepr, "reprcrash", None)
        how = " ".join(str(crash.message).split())[:HOW_MAX] if crash else ""
        reporter.write_line(f"failed: {each.nodeid} ({each.when}) {how}".rstrip())
