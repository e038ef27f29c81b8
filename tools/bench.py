"""`make bench`: the figures that this project watches, each against a baseline of the same run.

    python tools/bench.py [FIGURE ...]     (all of FIGURES without a name)

Nothing here passes or fails; tests hold the budgets. Times are medians, in microseconds, and what
is compared takes turns, so that a busy machine slows both alike.
"""

from __future__ import annotations

import argparse
import ctypes
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import dcap_qvl
from cczoo_installer import frontend, patchset, source
from cczoo_installer.install import cache_root
from cczoo_installer.report import Reporter

from quote_generator import evidence
from quote_generator.attester import System, attest
from quote_generator.quote import parse_quote
from quote_generator.simulator import Simulator

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO / "tests"))

from bench import browser  # noqa: E402
from emulator import Emulator  # noqa: E402

VERSION = "0.5.20"
ROUNDS = 200


# --- measuring and showing ----------------------------------------------------------------------


def median_us(work: Callable[[], object]) -> float:
    """Median time of one call, after a warm-up."""
    for _ in range(ROUNDS // 10):
        work()
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter_ns()
        work()
        times.append((time.perf_counter_ns() - started) / 1000)
    return statistics.median(times)


def row(name: str, value: float, baseline_name: str, baseline: float, unit: str = "us") -> None:
    ratio = value / baseline
    print(f"{name:<44}{value:>12.1f} {unit:<3}  {ratio:>7.3f} x {baseline_name} ({baseline:.1f})")


def in_turns(rounds: int, *works: Callable[[], int]) -> list[float]:
    """Median time of each work, which returns its own nanoseconds; after a warm-up."""
    times: list[list[int]] = [[] for _ in works]
    for _ in range(rounds // 10 + rounds):
        for work, taken in zip(works, times, strict=True):
            taken.append(work())
    return [statistics.median(taken[rounds // 10 :]) / 1000 for taken in times]


def timed(work: Callable[[], object]) -> Callable[[], int]:
    """A work that returns the nanoseconds that it took."""

    def run() -> int:
        started = time.perf_counter_ns()
        work()
        return time.perf_counter_ns() - started

    return run


# --- the attester, on the emulated configfs-tsm -------------------------------------------------

QUOTE_ROUNDS = 1000
# What the hardware and its quote service take on a real machine, about.
REAL_LATENCY_SECONDS = 0.02
THREADS = (1, 2, 4, 8, 16, 32, 64)
QUOTES_BY_THREADS = 640


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
    """The functions of tests/bench/configfs_calls.c; each returns nanoseconds, or -1."""
    compiler = shutil.which("cc") or "gcc"
    with tempfile.TemporaryDirectory() as scratch:
        library = Path(scratch) / "calls.so"
        file = REPO / "tests" / "bench" / "configfs_calls.c"
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", file, "-o", library], check=True)
        calls = ctypes.CDLL(str(library))
        for name in ("fewest_calls", "same_calls", "polling_calls"):
            getattr(calls, name).restype = ctypes.c_int64
        yield calls


def called(function: Callable[[bytes, bytes], int], path: str) -> Callable[[], int]:
    """A work that makes a C function's system calls over new report data."""

    def run() -> int:
        taken = function(path.encode(), os.urandom(64))
        if taken < 0:
            raise RuntimeError(f"system calls below {path} failed")
        return taken

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
        print(f"{'  above them':<44}{quote - same:>12.1f} us")
        row("a quote", quote, "the fewest system calls", fewest)
        row("a quote", quote, "polling as libtdx_attest does", polling)

        emulator.set_fault("slow")
        same_calls = called(calls.same_calls, system.configfs)
        quote, same = in_turns(ROUNDS // 2, ours, same_calls)
        milliseconds = REAL_LATENCY_SECONDS * 1000
        row(f"a quote that takes {milliseconds:.0f} ms", quote, "its system calls in C", same)
        print(f"{'  above them':<44}{quote - same:>12.1f} us")


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


# --- evidence -----------------------------------------------------------------------------------


def time_evidence() -> None:
    """Evidence for one and for many clients, with the simulator's quotes."""
    with tempfile.TemporaryDirectory() as scratch:
        simulator = Simulator.open(Path(scratch) / "simulator")
        quote = simulator.quote(bytes(64))

        one_quote = median_us(lambda: simulator.quote(bytes(64)))
        attestation = SimpleNamespace(
            quote=quote, transport="simulator", provider="simulator", simulated=True
        )
        for count in (1, 256):
            nonces = [index.to_bytes(32, "big") for index in range(count)]
            whole = median_us(
                lambda nonces=nonces: evidence.build_evidence(
                    nonces, attest=lambda _: attestation, now=0.0
                )
            )
            row(
                f"evidence for {count} nonces, each", whole / count, "one software quote", one_quote
            )


# --- the page -----------------------------------------------------------------------------------


def javascript_kilobytes(build: Path) -> tuple[float, float]:
    """All JavaScript of a built app in KB (1000 bytes): raw, and gzip level 9 file by file."""
    files = [file.read_bytes() for file in sorted((build / "_app").rglob("*.js"))]
    packed = sum(len(gzip.compress(content, 9, mtime=0)) for content in files)
    return sum(map(len, files)) / 1000, packed / 1000


def weigh_page() -> None:
    """The app's JavaScript with the badge against the stock app's."""
    cache, reporter = cache_root(), Reporter(sys.stderr)
    patches = patchset.load(patchset.default_root(), VERSION)
    archive = source.fetch(VERSION, patches.sdist_sha256, cache, reporter=reporter)
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "open-webui"
        source.unpack(archive, tree)
        originals = {name: (tree / name).read_bytes() for name in patches.edited}
        changes = {**patches.patched(originals), **patches.added()}

        def weigh(sources: frontend.Inputs) -> tuple[float, float]:
            tools = frontend.toolchain()
            made = frontend.build_sources(sources, cache, tools, reporter=reporter)
            return javascript_kilobytes(made.folder)

        stock = weigh(frontend.inputs(tree))
        patched = weigh(frontend.inputs(tree, changes))
    for form, ours, theirs in zip(("raw", "gzip"), patched, stock, strict=True):
        row(f"JavaScript of the app, {form}", ours, "stock", theirs, "KB")
        print(f"{'  growth':<44}{ours - theirs:>12.1f} KB")


def time_verifiers() -> None:
    """A verification in Chromium: this kit's against the two verifiers on npm."""
    with tempfile.TemporaryDirectory() as page:
        found = browser.time_verifiers(Path(page))
    names = {"javascript": "@phala/dcap-qvl (JavaScript)", "wasm": "@phala/dcap-qvl-web (WASM)"}
    ours = found["ours"]
    for name, package in names.items():
        row("verification in Chromium", ours["median"], package, found[name]["median"], "ms")
        row("  first one, with the start", _first(ours), package, _first(found[name]), "ms")
    print(f"{'  verifications a second':<44}{1000 / ours['median']:>12.0f}")


def _first(times: dict[str, float]) -> float:
    return times["start"] + times["first"]


def time_audit() -> None:
    """`cczoo-verify --evidence`, as a whole process, against a Python that does nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        simulator = Simulator.open(Path(scratch) / "simulator")
        nonce = bytes(32)

        def made(report_data: bytes) -> SimpleNamespace:
            return SimpleNamespace(
                quote=simulator.quote(report_data), provider="simulator", simulated=True
            )

        (document,) = evidence.build_evidence([nonce], attest=made, now=time.time())
        file = Path(scratch) / "evidence.json"
        file.write_text(json.dumps(document))
        command = [sys.executable, "-m", "cczoo_verifier", "--evidence", str(file), "--json"]
        command += ["--nonce", evidence.encode_base64url(nonce)]
        command += ["--simulator", str(simulator.directory)]

        def audit() -> None:
            done = subprocess.run(command, capture_output=True, timeout=60, check=False)
            if done.returncode != 3:  # verified, with the simulator's warning
                raise RuntimeError(done.stderr)

        def nothing() -> None:
            subprocess.run([sys.executable, "-c", ""], timeout=60, check=True)

        whole, start = in_turns(20, timed(audit), timed(nothing))
    row("cczoo-verify --evidence, a process", whole / 1000, "python -c ''", start / 1000, "ms")


# What is measured, by name. A figure is a function that prints its rows; add new ones here.
FIGURES: dict[str, Callable[[], None]] = {
    "quotes": time_quotes,
    "threads": time_threads,
    "parsing": time_parsing,
    "evidence": time_evidence,
    "page": weigh_page,
    "browser": time_verifiers,
    "audit": time_audit,
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=", ".join(FIGURES))
    names = parser.parse_args(argv).figures or list(FIGURES)
    if unknown := [name for name in names if name not in FIGURES]:
        parser.error(f"no such figure: {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    for name in names:
        FIGURES[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
