"""What the test suite itself owes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
TEST = "test_what_a_test_starts_can_be_interrupted"


def ignore_interrupts() -> None:
    """As a shell does for what it starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def test_what_a_test_starts_can_be_interrupted() -> None:
    program = "import time; print('ready', flush=True); time.sleep(600)"
    sleeper = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert sleeper.stdout
    with sleeper, sleeper.stdout as said:
        try:
            # Earlier, as Python starts, an interrupt can be lost: in a handler of its own.
            assert said.readline() == b"ready\n"
            sleeper.send_signal(signal.SIGINT)
            assert sleeper.wait(60) == -signal.SIGINT
        finally:
            sleeper.kill()


def test_in_the_background_as_well() -> None:
    node = f"{Path(__file__)}::{TEST}"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", node]
    done = subprocess.run(
        command,
        cwd=REPO,
        preexec_fn=ignore_interrupts,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
