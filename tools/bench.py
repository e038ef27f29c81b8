"""`make bench`: the figures that this project watches, each against a baseline of the same run.

Nothing here passes or fails; tests hold the budgets. Times are medians, in microseconds.
"""

from __future__ import annotations

import gzip
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import dcap_qvl
from cczoo_installer import frontend, patchset, source
from cczoo_installer.install import cache_root
from cczoo_installer.report import Reporter

from quote_generator import evidence
from quote_generator.quote import parse_quote
from quote_generator.simulator import Simulator

VERSION = "0.5.20"
ROUNDS = 200


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


def time_evidence() -> None:
    """Parsing and evidence, with the simulator's quotes."""
    with tempfile.TemporaryDirectory() as scratch:
        simulator = Simulator.open(Path(scratch) / "simulator")
        quote = simulator.quote(bytes(64))

        rust = median_us(lambda: dcap_qvl.parse_quote(quote))
        row("parse_quote (Python)", median_us(lambda: parse_quote(quote)), "dcap-qvl (Rust)", rust)

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


def main() -> int:
    time_evidence()
    weigh_page()
    return 0


if __name__ == "__main__":
    sys.exit(main())
