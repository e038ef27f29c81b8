"""What holds for every suite."""

from __future__ import annotations

import signal

# Undo an inherited "ignore SIGINT". Started in the background (`nohup make test &`), a process
# ignores Ctrl-C, and so would all that it starts: a test that interrupts one would wait in vain.
signal.signal(signal.SIGINT, signal.default_int_handler)
