"""Many runs of one piece of code, each in a process of its own that is forked.

They have their imports from the interpreter that forks them: those take most of a process's time.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

SECONDS = 120

_RACE = """\
import hashlib, os, sys
{imports}
waits, begin = os.pipe()
for _ in range({count}):
    if os.fork() == 0:
        os.close(begin)
        os.read(waits, 1)  # until nobody can write there any more
        line = hashlib.sha256(repr({result}).encode()).hexdigest() + "\\n"
        os.write(1, line.encode())  # at once: a print can be two pieces, with others' in between
        sys.exit()
os.close(begin)
sys.exit(any([os.wait()[1] for _ in range({count})]))
"""

_KILLED = """\
import os, sys
{imports}
for line in sys.stdin:
    point, path = line.rstrip().split(" ", 1)
    child = os.fork()
    if child == 0:
        count = 0
        def watch(event, args):
            global count
            if event in {operations}:
                count += 1
                if count == int(point):
                    os.kill(os.getpid(), 9)
        sys.addaudithook(watch)
        {action}
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def race(imports: str, result: str, count: int) -> list[str]:
    """Have so many processes begin at once; return the hash of what each has for ``result``."""
    program = _RACE.format(imports=imports, result=result, count=count)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=SECONDS)
    return done.stdout.splitlines()


@contextlib.contextmanager
def killed_at(
    imports: str, action: str, operations: tuple[str, ...]
) -> Iterator[Callable[[int, Path], int]]:
    """Give what runs ``action`` on a ``path`` and kills it (kill -9) at a file operation.

    That operation is told by its number, from 1, among those of these audit events. It returns the
    exit code: 0 where the action ended before that.
    """
    program = _KILLED.format(imports=imports, action=action, operations=operations)
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        asks, answers = process.stdin, process.stdout

        def run(point: int, path: Path) -> int:
            asks.write(f"{point} {path}\n")
            asks.flush()
            return int(answers.readline())

        yield run
