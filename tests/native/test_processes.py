"""Many processes, forks, signals and kills."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from test_configfs import REPORT_DATA, ask, report_data_of

from conftest import ON_REAL_KERNEL, eventually
from emulator import Emulator
from quote_generator import errors
from quote_generator.attester import System, attest

# Asks for quotes over random report data until the count is reached, and checks each.
ASK_MANY = """
import os, sys
from quote_generator.attester import System, attest
system = System.under(sys.argv[1])
def ask_many(_=None):
    for _ in range(int(sys.argv[2])):
        data = os.urandom(64)
        assert attest(data, timeout=60, system=system).quote[568:632] == data
"""
ASK_ALONE = ASK_MANY + "\nask_many()"
ASK_IN_THREADS = (
    ASK_MANY
    + """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    list(pool.map(ask_many, range(4)))
"""
)


# The guest's processor is an emulated one, ten times slower.
PROCESSES = 2 if ON_REAL_KERNEL else 6


def start(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE)


@pytest.mark.parametrize("fault", ["none", "random"])
def test_the_threads_of_processes_each_get_their_own_quote(emulator: Emulator, fault: str) -> None:
    emulator.set_fault(fault)
    processes = [start(ASK_IN_THREADS, emulator.root, "8") for _ in range(PROCESSES)]
    outcomes = [(process.communicate()[1], process.returncode) for process in processes]
    assert outcomes == [(b"", 0)] * PROCESSES


FORK_ALL_THE_TIME = """
import os, signal, threading, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
def fork_on():
    while True:
        if os.fork() == 0:
            time.sleep(0.002)
            os._exit(0)
threading.Thread(target=fork_on, daemon=True).start()
"""
END_WITH_THE_THREAD = "\nos._exit(0)"


@pytest.mark.emulated("kernel/init does so with the C core's driver, for Python forks slowly there")
def test_forks_elsewhere_do_no_harm(emulator: Emulator, system: System) -> None:
    """A thread that forks all the time cannot copy the worker's open inblob into a child."""
    before = emulator.state()["mkdir"]
    code = FORK_ALL_THE_TIME + ASK_ALONE + END_WITH_THE_THREAD
    process = start(code, emulator.root, "50")
    assert (process.communicate()[1], process.returncode) == (b"", 0)
    assert emulator.state()["mkdir"] - before == 50  # not one attempt was in vain


@pytest.mark.emulated("takes many quotes to meet a fork, for which there is no time")
def test_forks_do_no_harm_under_a_strict_seccomp_filter(emulator: Emulator) -> None:
    """Where close_range is denied, forks do spoil attempts: they are noticed and repeated."""
    filtered = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from seccomp_filter import deny_close_range
deny_close_range()
"""
    before = emulator.state()["mkdir"]
    code = filtered + FORK_ALL_THE_TIME + ASK_ALONE + END_WITH_THE_THREAD
    process = start(code, emulator.root, "50")
    assert (process.communicate()[1], process.returncode) == (b"", 0)
    assert emulator.state()["mkdir"] - before > 50


def test_a_forked_child_asks_for_itself(emulator: Emulator, system: System) -> None:
    ask(system)
    child = os.fork()
    if child == 0:
        ok = report_data_of(ask(system, bytes(64)).quote) == bytes(64)
        os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_child_forked_during_a_request_is_free_and_does_no_harm(
    emulator: Emulator, system: System
) -> None:
    """The worker does not follow into the child, which asks for itself and ends as it likes."""
    emulator.set_fault("slow:1")
    before = emulator.state()["mkdir"]
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, system)
        assert eventually(lambda: len(os.listdir("/proc/self/task")) > threading.active_count())
        child = os.fork()
        if child == 0:
            ok = report_data_of(ask(system, bytes(64)).quote) == bytes(64)
            os._exit(0 if ok else 1)
        assert report_data_of(asked.result().quote) == REPORT_DATA
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert emulator.state()["mkdir"] - before == 2


ASK_ONCE = """
import sys
from quote_generator.attester import System, attest
print(flush=True)
attest(bytes(64), timeout=60, system=System.under(sys.argv[1]))
"""


# The exception comes out of a signal's handler while the call waits.
INTERRUPT_ITSELF = """
import signal, sys
from quote_generator.attester import System, attest
class Enough(Exception):
    pass
def enough(number, frame):
    raise Enough
signal.signal(signal.SIGALRM, enough)
signal.setitimer(signal.ITIMER_REAL, 0.3)
try:
    attest(bytes(64), timeout=60, system=System.under(sys.argv[1]))
except Enough:
    print("enough")
"""


def test_an_exception_from_a_signals_handler_leaves_nothing(emulator: Emulator) -> None:
    emulator.set_fault("busy")
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPT_ITSELF, emulator.root], capture_output=True, timeout=60
    )
    assert (done.stdout, done.stderr, done.returncode) == (b"enough\n", b"", 0)
    assert emulator.state()["mkdir"] > 0
    assert emulator.state()["entries"] == []


def stopped_within_an_attempt(emulator: Emulator) -> subprocess.Popen[bytes]:
    """Return a process that has an entry now, and is stopped."""
    emulator.set_fault("busy")
    before = emulator.state()["mkdir"]
    process = start(ASK_ONCE, emulator.root)
    assert eventually(lambda: emulator.state()["mkdir"] > before)
    # An attempt is short beside the pauses between them. So the process runs only a moment at a
    # time, less than an attempt takes, and is looked at after each: no attempt goes by unseen.
    until = time.monotonic() + 60
    while time.monotonic() < until:
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        if emulator.state()["entries"]:
            return process
        process.send_signal(signal.SIGCONT)
        time.sleep(0.0001)
    raise AssertionError("it was never seen within an attempt")


def test_kill_leaves_an_entry_that_the_next_start_removes(
    emulator: Emulator, system: System
) -> None:
    emulator.set_fault("held:2")
    for count in (1, 2):
        process = start(ASK_ONCE, emulator.root)
        emulator.wait_until_held()
        process.kill()
        process.communicate()
        # The second one has removed what the first one left.
        assert len(emulator.state()["entries"]) == 1, count
    follower = start(ASK_ALONE, emulator.root, "1")
    assert (follower.communicate()[1], follower.returncode) == (b"", 0)
    assert emulator.state()["entries"] == []


@pytest.mark.emulated("the kernel has no part in it")
def test_names_of_entries_cannot_be_foretold(emulator: Emulator) -> None:
    """All of a name but its end is known to everybody: 64 random bits, drawn anew each time."""
    ends = set()
    for _ in range(4):
        emulator.set_fault("held:1")
        process = start(ASK_ONCE, emulator.root)
        emulator.wait_until_held()
        process.kill()
        process.communicate()
        (name,) = emulator.state()["entries"]
        ends.add(int(re.fullmatch(r"cczoo-quote(?:\.\d+){5}\.([0-9a-f]{16})", name)[1], 16))
    assert len(ends) == 4
    assert all((one ^ other).bit_count() > 8 for one in ends for other in ends - {one})
    follower = start(ASK_ALONE, emulator.root, "1")
    assert follower.wait() == 0


def test_ctrl_c_ends_the_call_and_leaves_nothing(emulator: Emulator, system: System) -> None:
    process = stopped_within_an_attempt(emulator)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    assert b"KeyboardInterrupt" in process.communicate()[1]
    assert emulator.state()["entries"] == []


def own_start_time() -> int:
    return int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])


def seconds_after_boot() -> int:
    return int(float(Path("/proc/uptime").read_text().split()[0]))


# Asks, in a time namespace whose clock since boot is ahead by that many seconds.
ASK_IN_ANOTHER_TIME = """
import ctypes, os, sys
CLONE_NEWTIME = 0x80
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(CLONE_NEWTIME) != 0:
    raise OSError(ctypes.get_errno(), "unshare the time namespace")
with open("/proc/self/timens_offsets", "w") as offsets:
    offsets.write(f"boottime {sys.argv[2]} 0")
child = os.fork()
if child == 0:
    from quote_generator.attester import System, attest
    attest(bytes(64), timeout=60, system=System.under(sys.argv[1]))
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("ahead", [-20, 7200])
def test_entries_of_another_time_are_not_taken_for_dead(
    emulator: Emulator, system: System, ahead: int
) -> None:
    """A living process's start and its entry's birth are told in seconds of its own time."""
    emulator.set_fault("busy")
    before = emulator.state()["mkdir"]
    process = start(ASK_IN_ANOTHER_TIME, emulator.root, str(ahead))
    assert eventually(lambda: emulator.state()["mkdir"] > before)
    # The child is stopped while it has an entry, as in stopped_within_an_attempt.
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    entries = stopped_with_an_entry(int(child), emulator)
    emulator.set_fault("none")
    follower = start(ASK_ALONE, emulator.root, "1")
    assert (follower.communicate()[1], follower.returncode) == (b"", 0)
    assert emulator.state()["entries"] == entries
    os.kill(int(child), signal.SIGCONT)
    assert (process.communicate()[1], process.returncode) == (b"", 0)


def stopped_with_an_entry(pid: int, emulator: Emulator) -> list[str]:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        os.kill(pid, signal.SIGSTOP)
        assert eventually(lambda: "(stopped)" in Path(f"/proc/{pid}/status").read_text())
        if entries := emulator.state()["entries"]:
            return list(entries)
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.0001)
    raise AssertionError("it was never seen within an attempt")


def test_only_what_nobody_needs_is_removed(emulator: Emulator) -> None:
    here, our_time = (os.stat(f"/proc/self/ns/{kind}").st_ino for kind in ("pid", "time"))
    us, started, now = os.getpid(), own_start_time(), seconds_after_boot()
    dead = start("pass")
    dead.communicate()

    def name(
        namespace: int, pid: int, start_time: int, born: int, time_namespace: int = our_time
    ) -> str:
        owner = f"{namespace}.{time_namespace}.{pid}.{start_time}.{born}"
        return f"cczoo-quote.{owner}.{os.urandom(8).hex()}"

    kept = [
        name(here, us, started, now),  # alive
        name(here + 1, dead.pid, 1, now),  # another container's: cannot be judged from here
        name(here, us, 0, now),  # start time was unknown
        name(here, us, started + 500, now, our_time + 1),  # alive, by another clock
        name(here, dead.pid, 1, now - 7200, our_time + 1),  # dead perhaps, but no age tells
        "somebody-elses",
        "cczoo-quote",
        f"cczoo-quote.{here}.{our_time}.{dead.pid}.1.{now}.short",
        name(here, dead.pid, 1, now) + "x",
    ]
    removed = [
        name(here, dead.pid, 1, now),
        name(here, us, started - 1, now),  # the pid is another process's now
        name(here + 1, dead.pid, 1, now - 3601),
    ]
    directory = Path(emulator.root, "sys/kernel/config/tsm/report")
    for one in kept + removed:
        (directory / one).mkdir()
    follower = start(ASK_ALONE, emulator.root, "1")
    assert (follower.communicate()[1], follower.returncode) == (b"", 0)
    assert set(emulator.state()["entries"]) == set(kept)
    for one in kept:
        (directory / one).rmdir()


def test_without_root_it_says_what_is_needed(emulator: Emulator) -> None:
    code = """
import os
from quote_generator import attester, errors
attester._native()
os.setuid(65534)
try:
    attester.attest(bytes(64))
except errors.NotPermitted as error:
    assert "run as root" in str(error), error
    assert error.errno == 13, error
"""
    done = subprocess.run(emulator.inside([sys.executable, "-c", code]), stderr=subprocess.PIPE)
    assert (done.stderr, done.returncode) == (b"", 0)


def test_threads_of_a_process_that_may_make_none(emulator: Emulator, system: System) -> None:
    code = f"""
import resource, os, sys
from quote_generator import attester, errors
attester._native()
os.setuid(65533)
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
try:
    attester.attest(bytes(64), system=attester.System.under({emulator.root!r}))
except errors.Busy as error:
    assert error.errno == 11, error
else:
    sys.exit("no error")
"""
    process = start(code)
    assert (process.communicate()[1], process.returncode) == (b"", 0)


@pytest.mark.parametrize(
    ("fault", "kind"), [("empty", errors.ServiceFailed), ("permission", errors.NotPermitted)]
)
def test_the_simulator_never_stands_in_for_a_tdx_that_fails(
    emulator: Emulator, tmp_path: Path, fault: str, kind: type[Exception]
) -> None:
    environ = {"QUOTE_GENERATOR_SIMULATE": "1", "QUOTE_GENERATOR_SIMULATOR_DIR": str(tmp_path)}
    emulated = System.under(emulator.root, environ=environ)
    made = attest(REPORT_DATA, system=emulated)
    assert (made.transport, made.simulated) == ("configfs-tsm", False)
    emulator.set_fault(fault)
    with pytest.raises(kind):
        attest(REPORT_DATA, system=emulated)


def test_the_simulator_stands_in_only_when_asked_for(tmp_path: Path) -> None:
    directory = str(tmp_path / "state")
    for value in ["0", "true", "yes", " 1", ""]:
        environ = {"QUOTE_GENERATOR_SIMULATE": value, "QUOTE_GENERATOR_SIMULATOR_DIR": directory}
        bare = System.under(str(tmp_path), environ=environ)
        for transport in (None, "simulator"):
            with pytest.raises(errors.NotAvailable, match="QUOTE_GENERATOR_SIMULATE=1"):
                attest(REPORT_DATA, transport=transport, system=bare)
    environ["QUOTE_GENERATOR_SIMULATE"] = "1"
    bare = System.under(str(tmp_path), environ=environ)
    made = attest(REPORT_DATA, system=bare)
    assert (made.transport, made.provider, made.simulated) == ("simulator", "simulator", True)
    assert report_data_of(made.quote) == REPORT_DATA
