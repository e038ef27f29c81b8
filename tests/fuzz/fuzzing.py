"""Runs the fuzz targets: C ones by clang's libFuzzer and sanitizers, Python ones by atheris.

Two besides compare: `differential` both verifiers, `page_readers` the page's readers of what comes
sealed with Python's; see the files of their names.

    python tests/fuzz/fuzzing.py --seconds 3600 [TARGET ...]     (all targets without a name)
    python tests/fuzz/fuzzing.py --runs 200000 [TARGET ...]
    python tests/fuzz/fuzzing.py --input FILE TARGET             (one input again)

What a run by time finds on its way is kept in out/fuzz/found, where the next one goes on. An input
that breaks a target is kept in out/fuzz, and the message says how to give it again.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from quote_generator.native import build_native

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
CORPUS = HERE / "corpus"
NATIVE = REPO / "quote_generator" / "native"
OUT = REPO / "out" / "fuzz"

# Quotes have some 5,000 bytes. No parser takes long for that: what does has a loop too many.
LIMITS = ["-max_len=6000", "-timeout=10", "-rss_limit_mb=2048"]
CFLAGS = [
    "-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread",
    "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all",
]  # fmt: skip


class FuzzError(Exception):
    """A target broke, or could not be built or run; the message says what to do."""


@dataclass(frozen=True)
class Target:
    """Target is one thing to fuzz.

    ``corpus`` is the folder of its seeds below corpus/. A C target is ``source`` with the C core's
    sources, but for those that it ``includes`` itself to reach what they keep to themselves; a
    Python target has no source and is a function in python_targets.py.
    """

    name: str
    corpus: str
    source: Path | None = None
    includes: tuple[str, ...] = ()

    def seeds(self) -> list[Path]:
        return sorted((CORPUS / self.corpus).iterdir())


def _in_c(name: str, corpus: str | None = None, includes: tuple[str, ...] = ()) -> Target:
    return Target(name, corpus or name, HERE / "native" / f"{name}.c", includes)


TARGETS = {
    target.name: target
    for target in (
        _in_c("check_quote", "quote"),
        _in_c("entry_name", includes=("configfs.c",)),
        _in_c("legacy_answer", includes=("device.c", "job.c")),
        _in_c("qgs_response"),
        # the slow ones first among the rest, so that two at a time end together
        *(
            Target(name, name)
            for name in (
                "body",
                "quote",
                "chain",
                "ccel",
                "aael",
                "aael_tcg2",
                "base64url",
                "strict_json",
                "tdreport",
                "binary_http",
                "ohttp_chunks",
                "frame_records",
                "padded_body",
                "keyset",
            )
        ),
    )
}


COMPARISONS = ("differential", "page_readers")
"""Programs that compare two readers of the same mutants, which stand beside the targets."""


# --- building -----------------------------------------------------------------------------------


def command_of(target: Target, folder: Path) -> list[str]:
    """Return what starts a target, options to follow; C ones are built into ``folder``."""
    if target.source is None:
        return [sys.executable, str(HERE / "python_targets.py"), target.name]
    clang = shutil.which("clang")
    if clang is None:
        raise FuzzError("clang is needed: apt-get install clang libclang-rt-dev")
    folder.mkdir(parents=True, exist_ok=True)
    binary = folder / target.name
    linked = [NATIVE / name for name in build_native.SOURCES if name not in target.includes]
    command = [clang, *CFLAGS, f"-I{NATIVE}", f"-I{HERE / 'native'}", str(target.source)]
    done = subprocess.run(
        [*command, *map(str, linked), "-o", str(binary)], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise FuzzError(f"{target.source} does not build:\n{done.stderr}")
    return [str(binary)]


# --- running ------------------------------------------------------------------------------------


def fuzz(target: Target, *, runs: int, scratch: Path) -> int:
    """Execute a target that often, in the same way each time; return how many it accepted."""
    command = command_of(target, scratch / "bin")
    option = "runs" if target.source else "atheris_runs"
    # New inputs go into the first folder: not into the committed one.
    found = scratch / "found" / target.name
    found.mkdir(parents=True)
    options = [f"-{option}={runs}", "-seed=1", str(found), str(CORPUS / target.corpus)]
    return _accepted(_run(target, [*command, *options]))


def fuzz_for(target: Target, seconds: int) -> None:
    """Execute a target for a time, from where the last run for a time ended."""
    command = command_of(target, OUT / "bin")
    found = OUT / "found" / target.name
    found.mkdir(parents=True, exist_ok=True)
    option = f"-max_total_time={seconds}"
    _run(target, [*command, option, str(found), str(CORPUS / target.corpus)])


def replay(target: Target, inputs: Sequence[Path], *, folder: Path = OUT / "bin") -> int:
    """Give a target these inputs only, each once; return how many it accepted.

    Where memory seems to be kept, be it by libFuzzer's own thread at that moment, libFuzzer would
    execute an input once more to look for a leak. The leak sanitizer looks at the end all the same.
    """
    once = [*command_of(target, folder), "-detect_leaks=0"]
    return _accepted(_run(target, [*once, *map(str, inputs)]))


def compare(name: str, *options: str) -> str:
    """Run a comparison, which makes its own mutants; return what it says. Raises FuzzError."""
    command = [sys.executable, str(HERE / f"{name}.py"), *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise FuzzError(f"({_ending(done.returncode)})\n{done.stdout}")
    return done.stdout.strip()


def _run(target: Target, command: Sequence[str]) -> str:
    """Run a target to its end and return what it says. Raises FuzzError where it breaks."""
    OUT.mkdir(parents=True, exist_ok=True)
    options = [*LIMITS, f"-artifact_prefix={OUT}/{target.name}-"]
    done = subprocess.run(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace"
    )
    if done.returncode != 0:
        raise FuzzError(_explain(target, done.returncode, done.stdout))
    return done.stdout


def _accepted(output: str) -> int:
    return int(re.findall(r"^accepted: (\d+)$", output, re.MULTILINE)[-1])


def _explain(target: Target, status: int, output: str) -> str:
    lines = [line for line in output.splitlines() if not re.match(r"#\d|INFO|WARNING", line)]
    text = "\n".join(line[:300] for line in lines[-40:])
    written = re.search(r"Test unit written to (\S+)", output)
    if written is None:
        return f"{target.name} did not run to its end ({_ending(status)}):\n{text}"
    path = os.path.relpath(written[1], REPO)
    return (
        f"{text}\n\n{target.name} ({_ending(status)}) breaks on the input in {path}. "
        "To see it again:\n"
        f"    .venv/bin/python tests/fuzz/fuzzing.py --input {path} {target.name}\n"
        "Once it is mended, make it a seed in tests/fuzz/corpus.py."
    )


def _ending(status: int) -> str:
    """Return how a process ended, of which `subprocess` says this."""
    if status >= 0:
        return f"exit code {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal has no name
        return f"killed by signal {-status}"


# --- from the command line ----------------------------------------------------------------------


def positive_number(text: str) -> int:
    if not 0 < (number := int(text)) < 1 << 31:  # to libFuzzer, 0 is for ever
        raise ValueError
    return number


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 nothing found, 1 a target broke or did not run, 2 bad arguments."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--seconds", type=positive_number, help="how long to run each target")
    how.add_argument("--runs", type=positive_number, help="how often to execute each target")
    how.add_argument("--input", type=Path, help="the one input to give the target")
    names = [*COMPARISONS, *TARGETS]
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(names))
    options = parser.parse_args(argv)
    unknown = [name for name in options.targets if name not in names]
    if unknown or (options.input and len(options.targets) != 1):
        parser.error(f"name {'one of' if options.input else 'some of'} {', '.join(names)}")

    def run(name: str) -> str:
        if name in COMPARISONS:
            asked = {key: getattr(options, key) for key in ("input", "seconds", "runs")}
            [(key, value)] = [item for item in asked.items() if item[1] is not None]
            return compare(name, f"--{key}", str(value))
        target = TARGETS[name]
        if options.input:
            return "accepted" if replay(target, [options.input]) else "refused"
        if options.seconds is not None:
            fuzz_for(target, options.seconds)
            return "nothing found"
        with tempfile.TemporaryDirectory() as scratch:
            accepted = fuzz(target, runs=options.runs, scratch=Path(scratch))
        return f"nothing found; {accepted} of {options.runs} inputs were accepted"

    failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = {name: pool.submit(run, name) for name in options.targets or names}
        for name, result in running.items():
            try:
                print(f"{name}: {result.result()}", flush=True)
            except FuzzError as error:
                failed += 1
                print(f"{name}: {error}", file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
