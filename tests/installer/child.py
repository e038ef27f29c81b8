"""Runs the installer's command line and does something violent at a named step.

child.py PATCHES STEP ACTION ARGUMENT...; ACTION is `kill` (SIGKILL itself) or `wait` (say so on
stdout and wait for a line on stdin), or `step-down` (nothing violent: root becomes the owner of the
folder, as the command does). A step is named as the journal names it; `NAME#2` is its
second time.
"""

import collections
import os
import signal
import sys
from pathlib import Path

from cczoo_installer.__main__ import run

patches, wanted, action = sys.argv[1:4]
seen: collections.Counter[str] = collections.Counter()


def on_step(name: str) -> None:
    seen[name] += 1
    if wanted not in (name, f"{name}#{seen[name]}"):
        return
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    print("waiting", flush=True)
    sys.stdin.readline()


down = action == "step-down"
sys.exit(run(sys.argv[4:], patches=Path(patches), on_step=on_step, become_owner=down))
