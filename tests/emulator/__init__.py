"""A stand-in for the kernel of a TDX trust domain, for tests on any Linux machine.

It serves a look-alike of configfs-tsm (and of /dev/tdx_guest) by FUSE, at the real absolute paths,
in a mount namespace of its own: nothing outside sees it, and it is gone with its processes.
It needs root, /dev/fuse and libfuse2 (Debian: ``apt-get install libfuse2``).

From the command line, with PYTHONPATH=tests::

    python -m emulator --state DIR [--prefix TEST] [--fault NAME[:COUNT]] -- COMMAND ...

runs COMMAND inside, where ``/sys/kernel/config/tsm/report`` answers with quotes signed by the
simulator whose keys are in DIR (made on first use; ``DIR/root.pem`` and ``DIR/collateral.json`` are
what a verifier needs). ``--prefix`` names that PKI: the organisation in its certificates ends so,
by default in SIMULATION. Verifiers tell its root from Intel's by the key, whatever the name.
Signals sent to the emulator are passed on to COMMAND, whose exit code becomes the emulator's.
``python -m emulator --help`` lists the faults; while it runs, a fault is set by writing its
NAME[:COUNT] (or ``none``) to
``/sys/kernel/config/.emulator/control`` inside, and reading that file gives counters as JSON.

From tests::

    with Emulator(fault="busy:3") as emulator:
        attest(data, system=System.under(emulator.root))
        emulator.set_fault("empty")

where ``emulator.root`` is a path (/proc/PID/root) by which this process sees into the namespace.
"""

from .harness import Emulator

__all__ = ["Emulator"]
