"""tools/side_by_side.py: commands at once, told apart, and none left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import demo
import side_by_side
from doubles.terminal import terminal

TOOL = Path(demo.__file__).with_name("side_by_side.py")
SECONDS = 60


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


def python(code: str) -> str:
    return f'{sys.executable} -c "{code}"'


def test_lines_bear_the_names_of_their_commands_and_a_failure_counts() -> None:
    done = run(f"one={python('print(1)')}", f"two={python('import sys; print(2); sys.exit(5)')}")
    assert sorted(done.stdout.splitlines()) == sorted(
        ["[one] 1", "[two] 2", "[one] ended with 0", "[two] 2", "[two] ended with 5"]
    )
    assert done.returncode == 1
    assert run(f"one={python('pass')}").returncode == 0


def test_the_last_lines_of_what_failed_stand_at_the_end() -> None:
    fails = python("import sys; [print(n) for n in range(20)]; sys.exit(1)")
    works = python("import time; time.sleep(1); print(21)")
    done = run(f"fails={fails}", f"works={works}").stdout.splitlines()
    assert done[21:] == [
        *[f"[fails] {n}" for n in range(12, 20)],
        "[fails] ended with 1",
        "[works] ended with 0",
    ]


def test_they_run_at_the_same_time(tmp_path: Path) -> None:
    def meets(mine: str, other: str) -> str:
        """Tell the other one that this is there, and wait for it."""
        told = f"Path('{tmp_path}/{mine}').touch()"
        waits = f"while not Path('{tmp_path}/{other}').exists(): sleep(.05)"
        return python(f"from pathlib import Path; from time import sleep; {told}\n{waits}")

    assert run(f"a={meets('a', 'b')}", f"b={meets('b', 'a')}").returncode == 0


def test_the_third_begins_when_one_of_them_has_ended(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    lasts = python(f"import os, time\nwhile not os.path.exists('{ran}'): time.sleep(.05)")
    done = run(f"lasts={lasts}", f"ends={python('print(1)')}", f"third=touch {ran}")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "[ends] 1"


def test_a_terminal_shows_how_far_each_is(tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    tells = f"print('.... [ 40%]', flush=True)\nwhile not Path('{go_on}').exists(): sleep(.05)"
    suite = python(f"from pathlib import Path; from time import sleep; {tells}")
    with terminal(100) as screen:
        command = [sys.executable, str(TOOL), f"unit={suite}"]
        child = subprocess.Popen(command, stdout=screen.stream)
        try:
            screen.wait_for(b" left)")
            go_on.touch()
            screen.wait_for(b"ended with 0")
            assert child.wait(SECONDS) == 0
        finally:
            child.kill()
            child.wait()
        shown = screen.shown
    assert re.search(rb"\x1b\[Kunit \d+:\d\d \(40 %, about \d+:\d\d left\)", shown)
    assert b"[unit] .... [ 40%]\r\n" in shown


@pytest.mark.parametrize("line", ["", "[101 %]", "[ 0%]", "[100%]", "50%", "a [ 50%] b"])
def test_without_percents_there_is_no_estimate(line: str) -> None:
    estimate = side_by_side.Estimate()
    estimate.hear(line)
    assert re.fullmatch(r"\d+:\d\d", str(estimate))


def test_nobody_waits_for_what_a_command_leaves_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "END_SECONDS", 0.1)
    left = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid)"
    command = side_by_side.Command("one", python(left))
    assert command.run() == 0
    (pid,) = command._last
    os.kill(int(pid), signal.SIGKILL)


def test_an_end_is_the_end_of_all(tmp_path: Path) -> None:
    code = "import time; print('here', flush=True); time.sleep(600)"
    command = [sys.executable, str(TOOL), f"one={python(code)}", f"two={python(code)}"]
    command += [f"three=touch {tmp_path}/started"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(2):
            assert process.stdout.readline().endswith("] here\n")
        process.send_signal(signal.SIGTERM)
        # It ends when nobody holds the pipe any more: neither it nor its commands.
        process.stdout.read()
        assert process.wait(SECONDS) != 0
    assert not (tmp_path / "started").exists()


def test_what_is_no_command_is_refused() -> None:
    for wrong in ((), ("only a name",), ("=true",), ("name=",)):
        assert run(*wrong).returncode == 2
