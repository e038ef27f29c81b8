"""Both ways in: what the installer takes, and what the plug-in's hook costs everybody else."""

from __future__ import annotations

import contextlib
import io
import runpy
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from cczoo_installer import patchset, source
from cczoo_installer.__main__ import run as installer
from cczoo_installer.install import cache_root
from cczoo_installer.report import Reporter

from bench.open_webui import copied_environment, edition
from bench.rows import Limit, detail, row
from bench.timing import Measured, in_turns, processor_timed, timed
from e2e.environments import Environment
from e2e.stack import REPO
from preparation import editions

INSTALL_ROUNDS, PROCESS_ROUNDS = 10, 100
INSTALL_LIMIT = Limit(5000)  # ms
PATCH_LIMIT, PATCH_TIMES = Limit(1000), Limit(3, of_baseline=True)  # ms
BUILT_LIMIT = Limit(10)  # s, where the front end is in the cache
HOOK_LIMIT = Limit(1)  # ms

MEASURE_HOOK = REPO / "tests" / "installer" / "measure_hook.py"


def time_installation() -> None:
    """`cczoo-install` beside a package and its `--revert`, each as a process."""
    with tempfile.TemporaryDirectory() as scratch:
        plugin = copied_environment(Path(scratch, "environment"))
        works = [plugin.install, plugin.revert, lambda: plugin.run("-c", "")]
        install, revert, nothing = in_turns(INSTALL_ROUNDS, *map(timed, works))
    baseline = ("python -c ''", nothing / 1000, "ms")
    row(f"{edition()}: install, a process", install / 1000, *baseline, limit=INSTALL_LIMIT)
    row(f"{edition()}: revert, a process", revert / 1000, *baseline, limit=INSTALL_LIMIT)


def time_source_tree() -> None:
    """`cczoo-install` in a source tree and its `--revert`, beside git on the same patches.

    Installing also holds the whole tree against the release, and so does its baseline.
    """
    version = editions.versions(editions.SOURCE)[-1]
    patch_set = patchset.load(patchset.default_root(), version)
    patches = [str(patch.path.resolve()) for patch in patch_set.patches]
    pin, say = str(patch_set.sdist_sha256), Reporter(sys.stderr)
    archive = source.fetch(version, pin, cache_root(), reporter=say)
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch, "open-webui")
        source.unpack(archive, tree)
        hashes = f"cd {tree} && find . -type f -print0 | xargs -0 sha256sum"
        git = partial(subprocess.run, cwd=tree, check=True)
        works = (
            partial(_install, tree, "--no-build"),
            partial(_install, tree, "--revert"),
            lambda: (
                [git(["git", "apply", patch]) for patch in patches],
                subprocess.run(["sh", "-c", hashes], check=True, stdout=subprocess.DEVNULL),
            ),
            lambda: [git(["git", "apply", "-R", patch]) for patch in reversed(patches)],
        )
        apply, revert, by_git, back = in_turns(INSTALL_ROUNDS, *map(timed, works))
        _install(tree)  # from here on the front end is in the cache
        _install(tree, "--revert")
        works = (partial(_install, tree), partial(_install, tree, "--revert"))
        built, _reverted = in_turns(2, *map(timed, works))
    name = f"source-{version}"
    row(
        f"{name}: apply",
        *(apply / 1000, "git apply and sha256sum", by_git / 1000, "ms"),
        limit=PATCH_TIMES,
    )
    detail("in all", apply / 1000, "ms", limit=PATCH_LIMIT)
    row(
        f"{name}: revert",
        *(revert / 1000, "git apply -R", back / 1000, "ms"),
        limit=PATCH_TIMES,
    )
    detail("in all", revert / 1000, "ms", limit=PATCH_LIMIT)
    row(
        f"{name}: install, built before",
        *(built / 1e6, "apply alone", apply / 1e6, "s"),
        limit=BUILT_LIMIT,
    )


def _install(tree: Path, *options: str) -> None:
    """Run the installer's command line in this process: what starting Python costs is no news."""
    with contextlib.redirect_stdout(io.StringIO()):
        if installer(["--openwebui-dir", str(tree), "--quiet", *options]) != 0:
            raise RuntimeError(f"cczoo-install {' '.join(options)} failed")


def time_hook() -> None:
    """The hook in a process that has nothing to do with open-webui: its line, and all in all."""
    with tempfile.TemporaryDirectory() as scratch:
        plugin = copied_environment(Path(scratch, "environment"))
        plugin.install()
        line = plugin.hook.read_text()
        measured = runpy.run_path(str(MEASURE_HOOK))["milliseconds"]
        works = (_process(plugin, line), _process(plugin, None), lambda: measured(line))
        hooked, stock, alone = in_turns(PROCESS_ROUNDS, *works)
    row("python -c '' with the hook, processor", hooked / 1000, "without it", stock / 1000, "ms")
    detail("more", (hooked - stock) / 1000, "ms", limit=HOOK_LIMIT)
    row("the hook's line by itself", alone, "such a process", stock / 1000, "ms", limit=HOOK_LIMIT)


def _process(plugin: Environment, line: str | None) -> Measured:
    """What a process of the environment costs with this hook line, or with no hook."""
    cost = processor_timed(lambda: plugin.run("-c", ""))

    def run() -> float:
        plugin.hook.unlink(missing_ok=True)
        if line is not None:
            plugin.hook.write_text(line)
        return cost()

    return run
