"""``python -m emulator``: runs a command where configfs-tsm answers. See the package's docstring.

Exit codes: the command's own; 128 + N when signal N ended it; 2 bad arguments; 125 the emulator
could not be set up; 127 the command could not be started.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import namespace
from .device import QUOTE_NUMBERS, WITH_MEASUREMENTS
from .kernel import (
    DEVICE_FAULTS,
    FAULTS,
    OTHER_DEVICE_FAULTS,
    OTHER_FAULTS,
    OUTBLOB_MAX,
    SCENES,
    Fault,
)
from .machine import SetupError, check_machine
from .signers import FORMS, MALFORMED

CONFIGFS = "/sys/kernel/config"
REPORT = f"{CONFIGFS}/tsm/report"
MOUNT = f"{CONFIGFS}/.emulator"
DEVICE = "/dev/tdx_guest"
MISC = "/sys/devices/virtual/misc"
MEASUREMENTS = f"{MISC}/tdx_guest/measurements"
LOG_FOLDER = "/run/attestation-agent"
PASSED_ON = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
READY_SECONDS = 60


def prepare_paths(device: str) -> None:
    """Make the mount points, in this namespace only."""
    namespace.enter_private_namespace()
    if os.path.isdir(CONFIGFS):
        namespace.mount("tmpfs", CONFIGFS, "tmpfs", namespace.MS_NOSUID, "mode=755")
    else:
        namespace.make_writable("/sys/kernel")
        os.mkdir(CONFIGFS)
    os.makedirs(REPORT)
    os.mkdir(MOUNT)
    # The log that leads to this TD's registers is its own.
    namespace.make_writable("/run")
    os.makedirs(LOG_FOLDER, exist_ok=True)
    namespace.mount("tmpfs", LOG_FOLDER, "tmpfs", namespace.MS_NOSUID, "mode=755")
    if device != "none":
        namespace.make_writable("/dev")
        Path(DEVICE).touch()
    if device in WITH_MEASUREMENTS:
        namespace.make_writable(MISC)
        os.makedirs(MEASUREMENTS, exist_ok=True)


def start_server(options: argparse.Namespace) -> subprocess.Popen[bytes]:
    """Start the FUSE server and wait until it answers."""
    ready, theirs = os.pipe()
    command = [
        sys.executable, "-m", "emulator.server", "--mountpoint", MOUNT, "--ready-fd", str(theirs),
        "--parent", str(os.getpid()), "--prefix", options.prefix, "--form", options.form,
        "--fault", options.fault, "--slow", str(options.slow), "--seed", str(options.seed),
        "--device", options.device, "--announce-fd", str(options.announce_fd),
        "--outblob-max", str(options.outblob_max),
    ]  # fmt: skip
    if options.state:
        command += ["--state", options.state]
    tests = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [tests, os.environ.get("PYTHONPATH")]))
    # A session of its own: Ctrl-C is for the command, which may still need quotes.
    server = subprocess.Popen(
        command,
        pass_fds=[fd for fd in (theirs, options.announce_fd) if fd >= 0],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    os.close(theirs)
    readable, _, _ = select.select([ready], [], [], READY_SECONDS)
    answered = bool(readable) and os.read(ready, 1) == b"r"
    os.close(ready)
    if not answered:
        server.kill()
        server.wait()
        raise SetupError("the emulator's FUSE server did not start; its errors are above")
    return server


def stop_server(server: subprocess.Popen[bytes]) -> None:
    namespace.unmount(MEASUREMENTS)
    namespace.unmount(DEVICE)
    namespace.unmount(REPORT)
    namespace.unmount(MOUNT)
    try:
        server.wait(2)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def run_command(command: Sequence[str], before_exec: Callable[[], None]) -> int:
    """Run the command, pass signals on, and return its exit code."""
    try:
        child = subprocess.Popen(command, preexec_fn=before_exec)
    except OSError as error:
        print(f"emulator: cannot start {command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    while (code := child.poll()) is None:
        got = signal.sigwaitinfo(PASSED_ON | {signal.SIGCHLD})
        # si_code > 0: from the terminal, whose whole process group has it already
        if got.si_signo != signal.SIGCHLD and got.si_code <= 0:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(got.si_signo)
    return code if code >= 0 else 128 - code


def emulate(options: argparse.Namespace) -> int:
    old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON | {signal.SIGCHLD})
    parent = os.getpid()

    def before_exec() -> None:
        namespace.die_with_parent(parent, signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_SETMASK, old_mask)

    check_machine()
    prepare_paths(options.device)
    server = start_server(options)
    try:
        namespace.bind(f"{MOUNT}/report", REPORT)
        if options.device != "none":
            namespace.bind(f"{MOUNT}/tdx_guest", DEVICE)
        if options.device in WITH_MEASUREMENTS:
            namespace.bind(f"{MOUNT}/measurements", MEASUREMENTS)
        return run_command(options.command, before_exec)
    finally:
        stop_server(server)


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    texts = {**OTHER_FAULTS, **OTHER_DEVICE_FAULTS, **SCENES}
    names = [*FAULTS, *DEVICE_FAULTS, *SCENES]
    described = "\n".join(f"  {name:20}{texts.get(name, '')}".rstrip() for name in names)
    parser = argparse.ArgumentParser(
        prog="python -m emulator",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Run COMMAND where configfs-tsm answers with quotes.",
        epilog=f"faults, each NAME or NAME:COUNT:\n{described}",
    )
    signer = parser.add_mutually_exclusive_group(required=True)
    signer.add_argument("--state", metavar="DIR", help="the simulator's folder that signs")
    signer.add_argument("--fixed", action="store_true", help="keys that are the same on each run")
    parser.add_argument("--prefix", default="SIMULATION", help="what the PKI is called")
    parser.add_argument(
        "--form", choices=(*FORMS, *MALFORMED), default="v4", help="of the quotes; default v4"
    )
    parser.add_argument("--fault", default="none", metavar="NAME[:COUNT]")
    parser.add_argument("--slow", type=float, default=3.0, metavar="SECONDS", help="default 3")
    parser.add_argument("--seed", type=int, default=0, help="of the random faults")
    parser.add_argument(
        "--device", choices=QUOTE_NUMBERS, default="upstream", help="what /dev/tdx_guest can do"
    )
    parser.add_argument(
        "--outblob-max", type=int, default=OUTBLOB_MAX, metavar="BYTES",
        help=f"of a quote by configfs; default {OUTBLOB_MAX}, as Linux 6.7 to 6.19 have it",
    )  # fmt: skip
    parser.add_argument(
        "--announce-fd", type=int, default=-1, metavar="N", help="says there when a caller is held"
    )
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="after --")
    options = parser.parse_args(argv)
    try:
        Fault.parse(options.fault)
    except ValueError as error:
        parser.error(str(error))
    return options


def main(argv: Sequence[str] | None = None) -> int:
    options = parse_arguments(sys.argv[1:] if argv is None else argv)
    try:
        return emulate(options)
    except (SetupError, OSError) as error:
        print(f"emulator: {error}", file=sys.stderr)
        return 125


if __name__ == "__main__":
    sys.exit(main())
