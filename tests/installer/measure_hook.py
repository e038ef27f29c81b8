"""What the hook costs a Python process that has nothing to do with open-webui.

    python tests/installer/measure_hook.py

Times the line, as Python's site module runs it, in a hundred fresh processes of this Python.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

from cczoo_installer.hook_line import BESIDE, hook_line

TIME_IT = """\
import sys, time
sitedir = "/usr/lib/python3/site-packages"
line = sys.stdin.read()
begin = time.perf_counter()
exec(line)
print((time.perf_counter() - begin) * 1000)
"""


def milliseconds(line: str) -> float:
    """How long the line takes in a fresh process."""
    command = [sys.executable, "-I", "-c", TIME_IT]
    done = subprocess.run(command, input=line, capture_output=True, text=True, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    hook = hook_line([BESIDE]).decode("ascii")
    times = sorted(milliseconds(hook) for _ in range(100))
    print(f"{len(hook)} bytes; median {statistics.median(times):.3f} ms, ", end="")
    print(f"90 of 100 within {times[89]:.3f} ms, all within {times[-1]:.3f} ms")
