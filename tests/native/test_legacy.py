"""The buffers that legacy-ioctl gives to the host: none is touched or freed before it is done.

legacy_host.c plays the driver and the host, under the address sanitizer: it sees writes of the host
to memory that is somebody else's by then. The emulator writes from outside, unseen.
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
from pathlib import Path

import pytest
from test_configfs import REPORT_DATA, report_data_of
from test_sanitizers import ENVIRON, HERE, NATIVE, SANITIZERS, compile_c

from conftest import Emulate
from quote_generator import errors
from quote_generator.attester import System, attest
from quote_generator.native import _tdx, build_native

MAX_LOST = 16
lib = _tdx.lib
# What a driver says that gives up on a quote which the host goes on with.
LETTING_GO = [errno.ETIMEDOUT, errno.EINTR, errno.EBUSY]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("legacy") / "host"
    sources = [str(NATIVE / name) for name in build_native.SOURCES]
    flags = ["-g", "-O1", f"-I{NATIVE}", *SANITIZERS["address"], "-Wl,--wrap=ioctl"]
    compile_c([*flags, *sources, str(HERE / "legacy_host.c"), "-o", str(program)])
    return program


def run(host: Path, *arguments: int) -> list[tuple[int, int, int]]:
    """Run the two jobs; return each one's code, its calls, and the buffers allocated after it."""
    command = [str(host), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRON)
    assert (done.stderr, done.returncode) == ("", 0), done.stdout
    found = re.findall(r"code (\d+) calls (\d+) allocated (\d+)", done.stdout)
    return [(int(code), int(calls), int(allocated)) for code, calls, allocated in found]


@pytest.mark.parametrize("number", LETTING_GO, ids=errno.errorcode.get)
def test_a_buffer_still_in_flight_is_not_used_again(host: Path, number: int) -> None:
    """Neither filled for the next attempt nor freed with the job; and freed when it is over."""
    first, second = run(host, number, 1)
    assert first == (lib.TDX_OK, 2, 1)
    assert second == (lib.TDX_OK, 1, 0)


def test_no_more_buffers_are_lost_than_there_is_room_for(host: Path) -> None:
    """A job whose every attempt leaves one in flight is told that there are too many."""
    first, second = run(host, errno.ETIMEDOUT, 1000)
    assert first == (lib.TDX_BUSY, MAX_LOST, MAX_LOST)
    assert second == (lib.TDX_OK, 1, 0)


def test_a_driver_that_gives_up_is_asked_again_with_a_buffer_of_its_own(emulate: Emulate) -> None:
    """The host ends the first quote, badly, only later: into a buffer that nobody looks at."""
    with emulate(device="legacy", fault="quote-timed-out:1") as emulator:
        system = System.under(emulator.root, environ={})
        for _ in range(2):
            made = attest(REPORT_DATA, transport="legacy-ioctl", timeout=10, system=system)
            assert report_data_of(made.quote) == REPORT_DATA
            emulator.set_fault("none")


def test_a_forked_child_has_no_part_in_what_its_parent_lost(emulate: Emulate) -> None:
    """The host writes to the parent's memory: in the child's, all would stay in flight."""
    with emulate(device="legacy", fault="quote-in-flight") as emulator:
        system = System.under(emulator.root, environ={})

        def ask(timeout: float) -> bytes:
            made = attest(REPORT_DATA, transport="legacy-ioctl", timeout=timeout, system=system)
            return report_data_of(made.quote)

        for _ in range(MAX_LOST):
            with pytest.raises((errors.TimedOut, errors.Busy)):  # others may have lost some before
                ask(0.2)
        with pytest.raises(errors.Busy, match="still in flight"):
            ask(5)
        emulator.set_fault("none")
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if ask(5) == REPORT_DATA else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert ask(5) == REPORT_DATA
