"""The attester: quotes on the emulated configfs-tsm, what is read in them, and evidence."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import dcap_qvl  # type: ignore[import-untyped]
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bench.rows import Limit, detail, row
from bench.timing import ROUNDS, Measured, in_turns, median_us, timed
from emulator import Emulator
from emulator.qgs import Qgs
from quote_generator import consistency, evidence
from quote_generator.attester import Attestation, System, attest
from quote_generator.quote import parse_quote
from quote_generator.simulator import Simulator

CALLS = Path(__file__).with_name("configfs_calls.c")
QUOTE_ROUNDS = 1000
# What the hardware and its quote service take on a real machine, about.
REAL_LATENCY_SECONDS = 0.02
THREADS = (1, 2, 4, 8, 16, 32, 64)
QUOTES_BY_THREADS = 640
CHECK_LIMIT = Limit(1000)  # us


# Quotes


@contextmanager
def one_processor() -> Iterator[None]:
    """Keep to one processor, and so the emulator that is started within.

    The emulator answers each call from a process of its own. To wake another processor for that
    can take longer than the call, and whether it happens is the scheduler's whim; the kernel that
    it stands for answers on the spot.
    """
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@contextmanager
def system_calls() -> Iterator[ctypes.CDLL]:
    """The functions of configfs_calls.c; each returns nanoseconds, or -1."""
    compiler = shutil.which("cc") or "gcc"
    with tempfile.TemporaryDirectory() as scratch:
        library = Path(scratch) / "calls.so"
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", CALLS, "-o", library], check=True)
        calls = ctypes.CDLL(str(library))
        for name in ("fewest_calls", "same_calls", "polling_calls"):
            getattr(calls, name).restype = ctypes.c_int64
        yield calls


def called(function: Callable[[bytes, bytes], int], path: str) -> Measured:
    """A work that makes a C function's system calls over new report data."""

    def run() -> float:
        taken = function(path.encode(), os.urandom(64))
        if taken < 0:
            raise RuntimeError(f"system calls below {path} failed")
        return taken / 1000

    return run


def time_quotes() -> None:
    """A quote against its system calls in C, bare and as libtdx_attest makes them."""
    with system_calls() as calls, one_processor(), Emulator(slow=REAL_LATENCY_SECONDS) as emulator:
        system = System.under(emulator.root, environ={})
        ours = timed(lambda: attest(os.urandom(64), system=system))
        polled = Path(system.configfs, "polled")
        polled.mkdir()
        quote, same, fewest, polling = in_turns(
            QUOTE_ROUNDS,
            ours,
            called(calls.same_calls, system.configfs),
            called(calls.fewest_calls, system.configfs),
            called(calls.polling_calls, str(polled)),
        )
        polled.rmdir()
        row("a quote", quote, "its system calls in C", same)
        detail("above them", quote - same)
        row("a quote", quote, "the fewest system calls", fewest)
        row("a quote", quote, "polling as libtdx_attest does", polling)

        emulator.set_fault("slow")
        same_calls = called(calls.same_calls, system.configfs)
        quote, same = in_turns(ROUNDS // 2, ours, same_calls)
        milliseconds = REAL_LATENCY_SECONDS * 1000
        row(f"a quote that takes {milliseconds:.0f} ms", quote, "its system calls in C", same)
        detail("above them", quote - same)


def time_threads() -> None:
    """Quotes in a second from more and more threads; the emulator serves one after another."""
    with one_processor(), Emulator() as emulator:
        system = System.under(emulator.root, environ={})

        def ask(_: int) -> None:
            attest(os.urandom(64), system=system)

        def in_a_second(threads: int) -> float:
            with ThreadPoolExecutor(threads) as pool:
                started = time.perf_counter()
                list(pool.map(ask, range(QUOTES_BY_THREADS)))
                return QUOTES_BY_THREADS / (time.perf_counter() - started)

        # Twice over, for the first run of all warms up.
        rates = {n: max(in_a_second(n), in_a_second(n)) for n in THREADS}
    for threads in THREADS[1:]:
        row(f"quotes from {threads} threads", rates[threads], "one thread", rates[1], "/s")


def time_parsing() -> None:
    """The parser against one in Rust."""
    with tempfile.TemporaryDirectory() as scratch:
        quote = Simulator.open(Path(scratch) / "simulator").quote(bytes(64))
    ours, rust = in_turns(
        10 * ROUNDS, timed(lambda: parse_quote(quote)), timed(lambda: dcap_qvl.parse_quote(quote))
    )
    row("parse_quote (Python)", ours, "dcap-qvl (Rust)", rust)


def time_consistency() -> None:
    """The check that a quote's own parts hold together, which each one passes before it leaves."""
    with tempfile.TemporaryDirectory() as scratch:
        quote = parse_quote(Simulator.open(Path(scratch) / "simulator").quote(bytes(64)))
    key, data = ec.generate_private_key(ec.SECP256R1()), quote.signed_bytes
    algorithm = ec.ECDSA(hashes.SHA256())
    signature, public_key = key.sign(data, algorithm), key.public_key()

    def of_a_new_chain() -> None:
        consistency._leaf_key.cache_clear()
        consistency.check_consistency(quote)

    new, known, one = in_turns(
        10 * ROUNDS,
        timed(of_a_new_chain),
        timed(lambda: consistency.check_consistency(quote)),
        timed(lambda: public_key.verify(signature, data, algorithm)),
    )
    row("check of a quote's parts, new chain", new, "one signature", one, limit=CHECK_LIMIT)
    row("check of a quote's parts, known chain", known, "one signature", one)


# How often the in-tree driver looks whether the host is done.
POLL_SECONDS = 1.0
POLL_ROUNDS = 10


def time_transports() -> None:
    """A quote by the quote service itself against one by a driver that looks once a second."""
    with tempfile.TemporaryDirectory() as scratch, Qgs(Path(scratch)) as service:
        config = Path(scratch) / "tdx-attest.conf"
        config.write_text("port=4050\n")
        with Emulator(slow=POLL_SECONDS) as emulator:
            system = System.under(emulator.root, environ={})
            system = replace(system, qgs_config=str(config), qgs_socket=service.socket)
            emulator.set_fault("slow")
            by_service, by_driver = in_turns(
                POLL_ROUNDS,
                timed(lambda: attest(os.urandom(64), system=system)),
                timed(lambda: attest(os.urandom(64), transport="configfs-tsm", system=system)),
            )
    baseline = "configfs-tsm, polling once a second"
    row("a quote by qgs-vsock", by_service / 1000, baseline, by_driver / 1000, "ms")


# Evidence


def time_evidence() -> None:
    """Evidence for one and for many clients, with the simulator's quotes."""
    with tempfile.TemporaryDirectory() as scratch:
        simulator = Simulator.open(Path(scratch) / "simulator")
        quote = simulator.quote(bytes(64))
        attestation = Attestation(quote, "simulator", "simulator", simulated=True)
        one_quote = median_us(lambda: simulator.quote(bytes(64)))
        for count in (1, 256):
            nonces = [index.to_bytes(32, "big") for index in range(count)]

            def build(nonces: list[bytes] = nonces) -> object:
                return evidence.build_evidence(nonces, attest=lambda _: attestation, now=0.0)

            each = median_us(build) / count
            row(f"evidence for {count} nonces, each", each, "one software quote", one_quote)
