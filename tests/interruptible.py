"""Lets tests interrupt processes also where the test run itself ignores Ctrl-C."""

import signal


def heed_interrupts() -> None:
    """Undo an inherited "ignore SIGINT".

    Started in the background (`nohup make test &`), a process ignores Ctrl-C, and so would each of
    its children: a test that interrupts one would wait for ever.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
