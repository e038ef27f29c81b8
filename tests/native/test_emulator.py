"""The emulator itself: the kernel's behaviours, and that it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import kernel_conformance as conformance
import pytest

from conftest import eventually
from emulator import Emulator

TESTS = str(Path(__file__).resolve().parent.parent)
COMMAND = [sys.executable, "-m", "emulator", "--fixed"]
ENVIRON = {**os.environ, "PYTHONPATH": TESTS}


@pytest.fixture
def entry(emulator: Emulator) -> Iterator[Path]:
    path = Path(emulator.root, "sys/kernel/config/tsm/report/conformance")
    path.mkdir()
    yield path
    if path.exists():
        path.rmdir()


@pytest.mark.parametrize("name", conformance.CHECKS)
def test_it_behaves_as_the_kernel(emulator: Emulator, entry: Path, name: str) -> None:
    """The same checks run on the real kernel, by kernel/run.py."""
    conformance.CHECKS[name](entry, emulator.set_fault)


class TestBeyondConformance:
    """Behaviours that the test guest does not show."""

    def test_an_interrupted_read_is_repeated_by_python(
        self, emulator: Emulator, entry: Path
    ) -> None:
        conformance.write(entry / "inblob", bytes(64))
        assert conformance.becomes(entry, 1)
        emulator.set_fault("interrupted:1")
        assert (entry / "outblob").read_bytes() != b""

    def test_a_slow_quote_makes_all_others_wait(self, emulator: Emulator, entry: Path) -> None:
        conformance.write(entry / "inblob", bytes(64))
        assert conformance.becomes(entry, 1)
        emulator.set_fault("slow:1")
        reader = subprocess.Popen(["cat", entry / "outblob"], stdout=subprocess.PIPE)
        assert eventually(lambda: state_of(reader.pid) == "waiting")
        (entry.parent / "another").mkdir()
        assert reader.wait() == 0
        (entry.parent / "another").rmdir()

    def test_a_held_reader_is_killed_with_its_entry_in_place(self, emulator: Emulator) -> None:
        """Twenty times in a row, with a plain program: no luck is needed to hit the moment."""
        report = Path(emulator.root, "sys/kernel/config/tsm/report")
        script = 'mkdir "$1"; head -c 64 /dev/zero > "$1/inblob"; cat "$1/outblob"; rmdir "$1"'
        for number in range(20):
            emulator.set_fault("held:1")
            entry = report / f"held-{number}"
            program = subprocess.Popen(
                ["sh", "-c", script, "-", str(entry)],
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
            emulator.wait_until_held()
            assert program.poll() is None
            os.killpg(program.pid, signal.SIGKILL)
            assert program.wait(10) == -signal.SIGKILL
            assert emulator.state()["entries"] == [entry.name]
            entry.rmdir()

    def test_nobody_is_held_without_being_announced(self, emulator: Emulator) -> None:
        with pytest.raises(RuntimeError, match="nobody asked"):
            emulator.wait_until_held(0.05)

    def test_only_root_may(self, emulator: Emulator) -> None:
        command = emulator.inside(["setpriv", "--reuid=65534", "--clear-groups", "--"])
        command += ["mkdir", "/sys/kernel/config/tsm/report/mine"]
        assert subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 1


def state_of(pid: int) -> str:
    """Say "waiting" for a process within a FUSE request."""
    stack = Path(f"/proc/{pid}/wchan").read_text()
    return "waiting" if "request_wait" in stack or "fuse" in stack else stack


def test_the_commands_exit_code_and_output_come_through() -> None:
    done = subprocess.run([*COMMAND, "--", "sh", "-c", "cat; exit 7"], input=b"hello",
                          stdout=subprocess.PIPE, env=ENVIRON)  # fmt: skip
    assert (done.stdout, done.returncode) == (b"hello", 7)


def test_a_command_that_does_not_exist() -> None:
    done = subprocess.run([*COMMAND, "--", "/no/such"], capture_output=True, env=ENVIRON)
    assert done.returncode == 127
    assert b"/no/such" in done.stderr


def test_an_unknown_fault() -> None:
    done = subprocess.run(
        [*COMMAND, "--fault", "x", "--", "true"], capture_output=True, env=ENVIRON
    )
    assert done.returncode == 2
    assert b"no such fault" in done.stderr


SLEEPER = "trap 'exit 9' TERM; trap 'exit 8' INT; echo $$ $PPID; while :; do sleep 0.05; done"


def start_sleeper(script: str = SLEEPER) -> tuple[subprocess.Popen[bytes], list[int]]:
    """Start the emulator around a shell; return it, and the pids of the shell and the server."""
    process = subprocess.Popen(
        [*COMMAND, "--", "sh", "-c", script], stdout=subprocess.PIPE, env=ENVIRON
    )
    assert process.stdout is not None
    shell = int(process.stdout.readline().split()[0])
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert str(shell) in children
    return process, [int(child) for child in children]


def all_gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 9), (signal.SIGINT, 8)])
def test_signals_are_passed_on(number: int, code: int) -> None:
    process, pids = start_sleeper()
    process.send_signal(number)
    assert process.wait() == code
    assert eventually(lambda: all_gone(pids))


def test_a_command_ended_by_a_signal() -> None:
    process, pids = start_sleeper()
    os.kill(next(pid for pid in pids if "sleep" in cmdline(pid)), signal.SIGKILL)
    assert process.wait() == 128 + 9
    assert eventually(lambda: all_gone(pids))


def cmdline(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def test_kill_9_takes_all_down() -> None:
    process, pids = start_sleeper()
    process.kill()
    process.wait()
    assert eventually(lambda: all_gone(pids))


def test_nothing_is_seen_outside() -> None:
    with Emulator():
        assert "emulator" not in Path("/proc/self/mounts").read_text()


def test_dev_and_sys_keep_what_they_had() -> None:
    done = subprocess.run([*COMMAND, "--", "sh", "-c", "ls /dev /sys/kernel; echo x > /dev/null"],
                          capture_output=True, env=ENVIRON)  # fmt: skip
    assert done.stderr == b""
    names = set(done.stdout.decode().split())
    assert set(os.listdir("/dev")) - names == set()
    assert set(os.listdir("/sys/kernel")) - names == set()


def test_without_root_it_fails_with_the_cure() -> None:
    code = f"""
import sys
sys.path.insert(0, {TESTS!r})
import emulator.__main__, emulator.harness, os
os.setuid(65534)
sys.exit(emulator.__main__.main(["--fixed", "--", "true"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == 125
    assert b"run the tests as root" in done.stderr
