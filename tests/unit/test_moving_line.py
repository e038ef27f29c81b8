"""The line that moves at the bottom of a terminal, on real terminals and off them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from doubles.terminal import terminal
from preparation import steps
from preparation.moving_line import MovingLine, clock, last_line
from preparation.steps import Part, prepare

COLUMNS = 60
WIPE = "\r\x1b[K"
TOOLS = Path(steps.__file__).resolve().parents[1]


def on_a_terminal(write: Callable[[MovingLine], None]) -> str:
    """What ``write`` brings to a terminal of COLUMNS columns."""
    with terminal(COLUMNS) as screen:
        with open(screen.stream, "w", closefd=False) as stream:
            line = MovingLine(lambda: stream)
            write(line)
            line.write("end\n")
        screen.wait_for(b"end\r\n")
        return screen.shown.decode()


def test_it_gives_way_to_what_stays() -> None:
    def write(line: MovingLine) -> None:
        line.show("at work")
        line.show("at work")
        line.write("done\n")

    assert on_a_terminal(write) == f"{WIPE}at work{WIPE}done\r\nend\r\n"


def test_it_never_takes_two_lines_and_obeys_no_program() -> None:
    hostile = "\x1b[2J\x1b]0;title\x07\nnext\r" + "x" * 500
    shown = on_a_terminal(lambda line: line.show(hostile))
    moving = shown.removeprefix(WIPE).split(WIPE)[0]
    assert len(moving) == COLUMNS - 1
    assert moving.isprintable()


def test_off_a_terminal_only_what_stays_is_written(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        line = MovingLine(lambda: stream)
        line.show("at work")
        line.write("done\n")
    assert (tmp_path / "log").read_text() == "done\n"


@pytest.mark.parametrize(
    ("content", "last"),
    [
        (b"", ""),
        (b"\n \n", ""),
        (b"one\ntwo\n\n", "two"),
        (b"10 %\r20 %\r", "20 %"),
        (b"\xff\xfe half", "\ufffd\ufffd half"),
        (b"x" * 100_000 + b"\nend", "end"),
    ],
)
def test_the_last_line_of_what_is_being_written(tmp_path: Path, content: bytes, last: str) -> None:
    file = tmp_path / "log"
    file.write_bytes(content)
    assert last_line(file) == last


def test_a_file_that_is_not_there_ends_with_nothing(tmp_path: Path) -> None:
    assert last_line(tmp_path / "none") == ""
    assert last_line(tmp_path) == ""


def test_a_clock_counts_minutes() -> None:
    assert [clock(seconds) for seconds in (0, 9.9, 65, 3600)] == ["0:00", "0:09", "1:05", "60:00"]


SET_UP = """
import sys
from pathlib import Path
from preparation import steps

steps.LOGS = Path(sys.argv[1])
waits = '''
import sys, time
from pathlib import Path
print("vite: 12 of 99", flush=True)
while not Path(sys.argv[1]).exists():
    time.sleep(0.05)
'''
make = lambda: steps.run([sys.executable, "-c", waits, sys.argv[2]])
made = steps.LOGS / "made"
takes = {"download": 50, "disk": 1, "seconds": 65}
front = steps.Part("front", "a front end", made, make, lambda: False, **takes)
steps.prepare([front])
"""


def test_a_part_shows_phase_time_estimate_and_the_end_of_its_output(tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    with terminal(100) as screen:
        child = subprocess.Popen(
            [sys.executable, "-c", SET_UP, str(tmp_path / "logs"), str(go_on)],
            env={**os.environ, "PYTHONPATH": str(TOOLS)},
            stderr=screen.stream,
        )
        try:
            screen.wait_for(b": vite: 12 of 99")
            go_on.touch()
            screen.wait_for(b"done in")
            assert child.wait(60) == 0
        finally:
            child.kill()
            child.wait()
        text = screen.shown.decode()
    assert "50 MB to download at most" in text
    assert "some 2 minutes at 10 MB a second" in text
    assert " of about 1:10: vite: 12 of 99" in text


def test_what_was_told_is_not_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(steps, "LOGS", tmp_path)
    part = Part("part", "a part", tmp_path / "made", lambda: None, lambda: False, disk=1)
    prepare([part], told=True)
    assert "to be made" not in capsys.readouterr().err
    prepare([part])
    assert "to be made: a part" in capsys.readouterr().err
