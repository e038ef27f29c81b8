"""Runs a command and ends it, with all that it started, when whoever asked for it is gone.

    python keeper.py COMMAND ARGUMENT...

`process.run` starts this in a process group of its own and holds the other end of standard input.
The kernel closes that end however the installer dies, kill -9 included; npm would otherwise go on
for minutes, and what it has started with it. It is run as a file, without the rest of the kit.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

GRACE = 5.0  # seconds between asking the group to stop and stopping it


def _end_with_parent() -> None:
    """Wait until the other end of standard input is closed, then end the group, us included."""
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE)
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    """Run the command; returns its exit code, or 128 + N where signal N ended it."""
    # A handler, and not "ignore", which the command would inherit.
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        # What we have inherited is the command's: the lock on the workspace is.
        code = subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL, close_fds=False)
    except OSError as trouble:
        print(f"{sys.argv[1]}: {trouble.strerror}")
        return 127
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
