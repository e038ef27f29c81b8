"""Command line: ``cczoo-install`` and ``python -m cczoo_installer``.

Exit codes: 0 done, 1 a mistake in the kit, 2 usage, 3 not open-webui or an unsupported version,
4 local edits in the way, 5 the front end could not be built, 6 the machine (disk full, no
permission, a missing tool), 7 another run holds the lock, 8 the source could not be fetched,
128 + N stopped by signal N (130 for Ctrl-C). After anything but 0 the tree is as it was, except
that 6 in the middle of a change says how it stands (see `_where_it_stands`) and that a source
which ``--fetch`` put there stays.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import importlib.metadata
import json
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn
from urllib.parse import urlsplit
from urllib.request import url2pathname

from cczoo_installer import patchset
from cczoo_installer.errors import BadUsage, InstallError, MachineTrouble
from cczoo_installer.files import STOPPING, printable
from cczoo_installer.install import (
    DISTRIBUTION,
    Installer,
    Result,
    Status,
    cache_root,
    check_fetch_version,
    kit_version,
)
from cczoo_installer.journal import Journal, Step
from cczoo_installer.report import Reporter

PROGRAM = "cczoo-install"


class _Stopped(BaseException):
    """A signal asked us to stop. Not an Exception, so that only clean-up code sees it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadUsage(f"{printable(message)}. Run `{PROGRAM} --help` to see the options.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        description="Put the Intel TDX trust badge into an open-webui source tree: patch it, "
        "build its front end and place that where the backend serves it. All or nothing.",
        epilog="Exit codes: 0 done; 2 usage; 3 not open-webui, or an unsupported version; 4 local "
        "edits in the way; 5 the front end could not be built; 6 disk full, no permission or a "
        "missing tool; 7 another run is at work; 8 the source could not be fetched; 130 stopped "
        "by Ctrl-C; 1 a mistake in the kit. After anything but 0 the tree is as it was, except "
        "that 6 in the middle of a change says how it stands, and that a fetched source stays. "
        "The cache is $CCZOO_CACHE, or ~/.cache/cczoo.",
    )
    parser.add_argument(
        "--openwebui-dir", metavar="DIR", required=True, help="the open-webui source tree"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--status", action="store_true", help="say what is installed, and stop")
    what.add_argument("--revert", action="store_true", help="put the tree back, byte for byte")
    what.add_argument(
        "--fetch",
        metavar="VERSION",
        help="first put the source of this version into DIR, if DIR is missing or empty",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would change, and change nothing"
    )
    parser.add_argument(
        "--no-build", action="store_true", help="patch the sources only; no Node.js is needed"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {kit_version()}")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the installer with ``argv`` (``sys.argv[1:]`` when None) and return its exit code."""
    return run(sys.argv[1:] if argv is None else argv)


def run(
    argv: Sequence[str],
    *,
    patches: Path | None = None,
    on_step: Step = lambda _name: None,
) -> int:
    """Do what ``argv`` says with the patch sets in ``patches`` (default: the kit's own).

    ``on_step`` is told each step of a change before it is taken.
    """
    as_json = "--json" in argv
    directory: str | None = None
    try:
        with _signals_raise():
            options = _parser().parse_args(argv)
            directory = options.openwebui_dir
            reporter = Reporter(None if options.quiet else sys.stderr)
            try:
                return _command(options, reporter, patches, on_step)
            finally:
                reporter.still()
    except InstallError as trouble:
        return _fail(trouble, as_json)
    except OSError as trouble:
        return _fail(_machine_trouble(trouble, directory), as_json)
    except _Stopped as stopped:
        where = _where_it_stands(directory)
        print(f"{PROGRAM}: stopped. {where} Run again to go on.", file=sys.stderr)
        return 128 + stopped.number


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into an exception, so that everything is cleaned up."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise _Stopped(number)

    before = {}
    try:
        for number in STOPPING:
            before[number] = signal.signal(number, stop)
    except ValueError:  # not the main thread: the program around us handles signals
        pass
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _command(
    options: argparse.Namespace, reporter: Reporter, patches: Path | None, on_step: Step
) -> int:
    installer = Installer(
        directory=Path(options.openwebui_dir),
        patches=patches or patchset.default_root(),
        cache=cache_root(),
        reporter=reporter,
        on_step=on_step,
    )
    if options.status:
        if options.no_build or options.dry_run:
            raise BadUsage("--status only looks; leave --dry-run and --no-build out.")
        _print_status(installer.status(), options.json)
        return 0
    if options.revert:
        if options.no_build:
            raise BadUsage("--revert never builds; leave --no-build out.")
        _print_result(installer.revert(dry_run=options.dry_run), installer, options)
        return 0
    fetched = False
    if options.fetch is not None:
        version = check_fetch_version(options.fetch)
        fetched = installer.fetch(version, dry_run=options.dry_run)
        if fetched and options.dry_run:
            _print_result(
                Result("fetch", changed=True, notes=(f"open-webui {version}",)), installer, options
            )
            return 0
    try:
        result = installer.install(build=not options.no_build, dry_run=options.dry_run)
    except InstallError as trouble:
        if fetched:
            trouble.add_note(f"The fetched source stays in {printable(installer.directory)}.")
        raise
    _print_result(result, installer, options)
    return 0


def _fail(trouble: InstallError, as_json: bool) -> int:
    detail = " ".join([str(trouble), *getattr(trouble, "__notes__", ())])
    if as_json:
        print(json.dumps({"ok": False, "code": trouble.code, "detail": detail}))
    print(f"{PROGRAM}: {detail}", file=sys.stderr)
    return trouble.exit_code


def _where_it_stands(directory: str | None) -> str:
    """Say what a failed run has left in the tree: what the journal shows, not what we hope."""
    if directory is None:
        return "Nothing was changed."
    try:
        phase = Journal(Path(directory).absolute()).phase
    except (OSError, InstallError):
        return "How the tree stands could not be read; ask --status."
    if phase is None:
        return "Nothing of the kit is in the tree."
    if phase == "applied":
        return "The tree holds the installation that --status shows."
    return "The tree is half-way: install again, or --revert."


def _machine_trouble(trouble: OSError, directory: str | None) -> MachineTrouble:
    where = f" ({printable(trouble.filename)})" if trouble.filename else ""
    advice = {
        errno.ENOSPC: "The disk is full. Make room",
        errno.EDQUOT: "Your disk quota is used up. Make room",
        errno.EFBIG: "A file would be larger than allowed here. Raise the limit (ulimit -f)",
        errno.EROFS: "The file system is mounted read-only. Make it writable",
        errno.EACCES: "No permission. Run as the user who owns the tree",
        errno.EPERM: "No permission. Run as the user who owns the tree",
    }.get(trouble.errno or 0, f"{printable(trouble.strerror or trouble)}. Mend that")
    return MachineTrouble(f"{advice}{where} and run again. {_where_it_stands(directory)}")


def _print_status(status: Status, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"ok": True, **dataclasses.asdict(status)}, indent=2))
        return
    place = f"{printable(status.directory)}: open-webui {printable(status.openwebui)}"
    if status.commit:
        place += f", git {printable(status.tag or 'commit')} ({status.commit[:12]})"
    if not status.supported:
        place += " (not supported by this kit)"
    print(place)
    if status.busy:
        print("another cczoo-install is at work on it right now")
    if status.state == "not-installed":
        print("not installed")
        return
    kit, digest = printable(status.kit), printable(status.patch_set)[:12]
    newer = "" if status.current else f"; kit {kit_version()} would replace it"
    front = "with its front end" if status.build else "without a front end (--no-build)"
    print(f"{status.state}: kit {kit}, patch set {digest}, {front}{newer}")
    for name in status.modified[:20]:
        print(f"  not as installed: {printable(name)}")
    if len(status.modified) > 20:
        print(f"  ... and {len(status.modified) - 20} more")
    if status.state == "unfinished":
        print("A run was stopped half-way: install again, or --revert.")


def _print_result(result: Result, installer: Installer, options: argparse.Namespace) -> None:
    if options.json:
        document: dict[str, Any] = {"ok": True, "dry_run": options.dry_run}
        print(json.dumps(document | dataclasses.asdict(result), indent=2))
        return
    would = "would " if options.dry_run else ""
    if result.action == "fetch":
        print(f"would fetch {result.notes[0]} into {printable(installer.directory)} and install")
        return
    for note in result.notes:
        print(note)
    if not result.changed:
        already = "already installed" if result.action == "install" else "not installed"
        print(f"{printable(installer.directory)}: {already}; nothing to do.")
        return
    verbs = {"install": ("change", "add"), "revert": ("restore", "remove")}[result.action]
    if options.dry_run:
        for verb, names in zip(verbs, (result.edited, result.added), strict=True):
            for name in names:
                print(f"{would}{verb} {printable(name)}")
        if result.build != "none":
            print(
                f"{would}{'place' if result.action == 'install' else 'restore'} build/ "
                f"({result.build})"
            )
        return
    counts = f"{len(result.edited)} files {verbs[0]}d, {len(result.added)} files {verbs[1]}"
    counts += "ed" if verbs[1] == "add" else "d"
    print(f"{printable(installer.directory)}: {result.action}ed; {counts}.")
    if result.action == "install":
        print(_next_steps(installer.directory, built=result.build != "none"))


def _kit_source() -> str:
    """Return what to hand to `pip install`: the checkout or file we came from, or our name."""
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").is_file():
        return str(checkout)
    with contextlib.suppress(importlib.metadata.PackageNotFoundError, ValueError, KeyError):
        origin = importlib.metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
        path = Path(url2pathname(urlsplit(json.loads(origin or "{}")["url"]).path))
        if path.exists():
            return str(path)
    return f"{DISTRIBUTION}=={kit_version()}"


def _next_steps(directory: Path, *, built: bool) -> str:
    """Say how the patched open-webui gets to run."""
    what = shlex.quote(_kit_source())
    lines = [
        "Next:",
        f"  python -m pip install {what}    # with open-webui's Python: gives it quote_generator",
        f"  cd {shlex.quote(str(directory / 'backend'))} && bash start.sh",
    ]
    if not built:
        lines.insert(1, "  run again without --no-build, or `npm run build` in the tree yourself")
    return "\n".join(map(printable, "\n".join(lines).split("\n")))


if __name__ == "__main__":
    # npm and git read the environment; a closed stdout (| head) is no reason for a traceback.
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)
