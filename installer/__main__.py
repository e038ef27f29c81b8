"""Command line: ``cczoo-install`` and ``python -m cczoo_installer``.

Exit codes: 0 done, 1 a mistake in the kit, 2 usage, 3 not the program that it should
be, or an unsupported version, 4 local edits or a full folder in the way, 5 the front end could not
be built, 6 the machine (disk full, no permission, a missing tool), 7 another run holds the lock,
8 the source could not be fetched, 128 + N stopped by signal N (130 for Ctrl-C). After anything but
0 all is as it was, except that 6 in the middle of a change says how it stands (see
`_where_it_stands`) and that a source which ``--fetch`` put there stays.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from cczoo_installer import environment, patchset, tree
from cczoo_installer.environment import EnvironmentResult, EnvironmentStatus, NewEnvironment
from cczoo_installer.errors import BadUsage, InstallError, MachineTrouble
from cczoo_installer.files import STOPPING, printable
from cczoo_installer.hooked_package import HookedPackage
from cczoo_installer.install import Result, Status
from cczoo_installer.journal import Journal, Step
from cczoo_installer.kit import kit_source, kit_version
from cczoo_installer.openwebui_tree import OpenWebuiTree, check_fetch_version
from cczoo_installer.owner import step_down
from cczoo_installer.package import locate, looks_like_package
from cczoo_installer.report import Reporter
from cczoo_installer.trustee_tree import TrusteeTree

PROGRAM = "cczoo-install"
_DOCTOR = "doctor"  # a word with options of its own, in place of a folder

# What a command does to files that were there before, and to those that were not.
_VERBS = {"install": ("change", "add"), "revert": ("restore", "remove")}

# What happens to build/ of a source tree, where it is not placed.
_BUILD_INTENTIONS = {
    "none": "",
    "restored": "would restore build/ as it was before\n",
    "removed": "would remove build/, of which there was none before\n",
    "rebuilt": "would remove build/ of the kit, if it is there, and build open-webui's own\n",
}
_RESTART = "Restart what is running of it: until then it goes on with what it has loaded."

_AnyInstaller = OpenWebuiTree | HookedPackage | TrusteeTree


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
        description="Give an open-webui the Intel TDX trust badge. A source tree is patched, and "
        "its front end built and placed where the backend serves it. An installed package, such "
        "as .../site-packages/open_webui, gets one hook file beside it and stays as it is; "
        "`python -m cczoo_backend` does the same without a hook. A source tree of CoCo Trustee, "
        "the attestation service, is patched so that pages may ask it. All or nothing. "
        f"`{PROGRAM} {_DOCTOR}` says what stands between this machine and a green badge "
        f"(`{PROGRAM} {_DOCTOR} --help`).",
        epilog="Exit codes: 0 done; 2 usage; 3 not open-webui (or Trustee), or an unsupported "
        "version; 4 local edits or a full folder in the way; 5 the front end could not be built; "
        "6 disk full, no permission or a missing tool; 7 another run is at work; 8 the source "
        "could not be fetched; 129, 130, 143 stopped by a signal (hang-up, Ctrl-C, SIGTERM); 1 a "
        "mistake in the kit. After anything but 0 all is as it was, except that 6 in the middle of "
        "a change says how it stands, and that a fetched source stays. "
        "The cache is $CCZOO_CACHE, or cczoo in $XDG_CACHE_HOME or ~/.cache.",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--openwebui-dir",
        metavar="DIR",
        help="an open-webui source tree, or the folder of an installed open_webui package",
    )
    where.add_argument(
        "--trustee-dir",
        metavar="DIR",
        help="a source tree of CoCo Trustee: a checkout or an unpacked archive",
    )
    where.add_argument(
        "--make-env",
        metavar="DIR",
        help="make a Python environment with open-webui and the kit, in a folder that is missing "
        "or empty; --dry-run says what it would download",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--status", action="store_true", help="say what is installed, and stop")
    what.add_argument("--revert", action="store_true", help="put all back, byte for byte")
    what.add_argument(
        "--fetch",
        metavar="VERSION",
        help="first put the source of this version into DIR, if DIR is missing or empty",
    )
    parser.add_argument(
        "--merge",
        action="store_true",
        help="keep local edits in the files of a source tree that are patched: three-way, by git",
    )
    parser.add_argument(
        "--rebuild",
        action="store_true",
        help="with --revert: build open-webui's own front end where there was none before",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would change, and change nothing"
    )
    parser.add_argument(
        "--no-build", action="store_true", help="patch the sources only; no Node.js is needed"
    )
    parser.add_argument(
        "--try",
        dest="attempt",
        action="store_true",
        help="install beside a package of any version, and say what was found of what the kit "
        "needs",
    )
    parser.add_argument(
        "--openwebui-version",
        metavar="VERSION",
        help="for --make-env: this open-webui (default: the newest that is tested)",
    )
    parser.add_argument(
        "--lean",
        action="store_true",
        help="for --make-env: without torch; questions about files then need an embedding engine "
        "elsewhere",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {kit_version()}")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the installer with ``argv`` (``sys.argv[1:]`` when None) and return its exit code.

    Where root names a folder of somebody else's, this process is that user's afterwards.
    """
    return run(sys.argv[1:] if argv is None else argv, become_owner=True)


def run(
    argv: Sequence[str],
    *,
    patches: Path | None = None,
    locks: Path = environment.LOCKS,
    on_step: Step = lambda _name: None,
    become_owner: bool = False,
) -> int:
    """Do what ``argv`` says with the program's patch sets in ``patches`` (default: the kit's own).

    ``locks`` has those of new environments. ``on_step`` is told each step of a change before it is
    taken. With ``become_owner`` root gives its rights up, for good, where the folder is somebody
    else's.
    """
    as_json = "--json" in argv
    if argv[:1] == [_DOCTOR]:
        # Only now: it needs packages that installing does without, and time to load.
        from cczoo_installer.doctor.command import run as look

        return _word(lambda: look(argv[1:], patches=patches), as_json)
    journals: list[Journal] = []  # of what the command line names, once that is known
    try:
        with _signals_raise():
            options = _parser().parse_args(argv)
            reporter = Reporter(None if options.quiet else sys.stderr)
            try:
                if options.make_env is not None:
                    _make_environment(options, reporter, patches, locks)
                    return 0
                if options.lean or options.openwebui_version is not None:
                    raise BadUsage("--lean and --openwebui-version are for --make-env.")
                if become_owner:
                    _become_owner(options, reporter)
                installer = _installer(options, reporter, patches, on_step)
                journals.append(installer.journal)
                _command(installer, options)
                return 0
            finally:
                reporter.still()
    except InstallError as trouble:
        return _fail(trouble, as_json)
    except OSError as trouble:
        return _fail(_machine_trouble(trouble, *journals), as_json)
    except _Stopped as stopped:
        where = _where_it_stands(*journals)
        print(f"{PROGRAM}: stopped. {where} Run again to go on.", file=sys.stderr)
        return 128 + stopped.number


def _word(run_it: Callable[[], int], as_json: bool) -> int:
    """Run what a word asks for, with options and exit codes of its own."""
    try:
        with _signals_raise():
            return run_it()
    except InstallError as trouble:
        return _fail(trouble, as_json)
    except OSError as trouble:
        return _fail(_machine_trouble(trouble), as_json)
    except _Stopped as stopped:
        print(f"{PROGRAM}: stopped.", file=sys.stderr)
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


def _become_owner(options: argparse.Namespace, reporter: Reporter) -> None:
    """Become the owner of the folder that will be changed: of a package, the one of its hook."""
    directory = Path(options.trustee_dir or options.openwebui_dir)
    if options.trustee_dir is None and looks_like_package(directory):
        directory = locate(directory).site
    told = step_down(directory, os.environ)
    if told is not None:
        reporter.say(told)


def _installer(
    options: argparse.Namespace, reporter: Reporter, patches: Path | None, on_step: Step
) -> _AnyInstaller:
    """Return what works on the folder that was named."""
    if options.trustee_dir is not None:
        directory = Path(options.trustee_dir)
        root = patches or patchset.default_root(patchset.TRUSTEE)
        return TrusteeTree(directory, root, reporter, on_step=on_step, merge=options.merge)
    directory = Path(options.openwebui_dir)
    root = patches or patchset.default_root()
    wishes = {"build": not options.no_build, "rebuild": options.rebuild, "merge": options.merge}
    comes_first = options.fetch is not None and tree.is_empty_or_missing(directory)
    if looks_like_package(directory) and not comes_first:
        return HookedPackage(directory, root, reporter, on_step=on_step)
    return OpenWebuiTree(directory, root, reporter, on_step=on_step, **wishes)


def _command(installer: _AnyInstaller, options: argparse.Namespace) -> None:
    """Do what was asked and print what came of it."""
    if isinstance(installer, TrusteeTree) and (
        options.no_build or options.attempt or options.fetch is not None
    ):
        raise BadUsage(
            "Trustee is neither fetched nor built, and --try is for packages; leave --fetch, "
            "--no-build and --try out."
        )
    if options.rebuild and not (options.revert and isinstance(installer, OpenWebuiTree)):
        raise BadUsage("--rebuild goes with --revert of an open-webui source tree; leave it out.")
    if options.merge and (options.status or options.revert or isinstance(installer, HookedPackage)):
        raise BadUsage("--merge goes with installing into a source tree; leave it out.")
    if options.status:
        if options.no_build or options.dry_run or options.attempt:
            raise BadUsage("--status only looks; leave --dry-run, --no-build and --try out.")
        _print_status(installer.status(), options.json)
        return
    if options.revert:
        if options.no_build or options.attempt:
            raise BadUsage("--revert only takes back; leave --no-build and --try out.")
        result = installer.revert(dry_run=options.dry_run)
    elif isinstance(installer, HookedPackage):
        if options.no_build or options.fetch is not None:
            raise BadUsage(
                f"{printable(installer.directory)} is an installed package, for which nothing is "
                "fetched or built; leave --fetch and --no-build out."
            )
        result = installer.install(attempt=options.attempt, dry_run=options.dry_run)
    elif isinstance(installer, OpenWebuiTree):
        result = _fetch_and_install(installer, options)
    else:
        result = installer.install(dry_run=options.dry_run)
    _print_result(result, installer, options)


def _make_environment(
    options: argparse.Namespace, reporter: Reporter, patches: Path | None, locks: Path
) -> None:
    """Make a new environment, or look at one, and print what came of it."""
    if options.revert or options.no_build or options.attempt or options.fetch is not None:
        raise BadUsage(
            "--make-env makes an environment, and removing its folder takes it back; leave "
            "--revert, --fetch, --no-build and --try out."
        )
    if options.status and options.dry_run:
        raise BadUsage("--status only looks; leave --dry-run out.")
    made = NewEnvironment(
        Path(options.make_env),
        patches or patchset.default_root(),
        reporter,
        version=options.openwebui_version,
        lean=options.lean,
        locks=locks,
    )
    found: EnvironmentStatus | EnvironmentResult
    found = made.status() if options.status else made.make(dry_run=options.dry_run)
    if options.json:
        more = {} if options.status else {"dry_run": options.dry_run}
        print(json.dumps({"ok": True, **more, **dataclasses.asdict(found)}, indent=2))
    elif isinstance(found, EnvironmentStatus):
        print(f"{printable(found.directory)}: {_what_is_there(found)}")
    elif options.dry_run and found.changed:
        print(f"would make {printable(found.directory)}: {environment.plan(found)}")
    else:
        print(_made(found, made))


def _what_is_there(found: EnvironmentStatus) -> str:
    what = f"open-webui {printable(found.version)}, {printable(found.kind)}"
    return {
        "absent": "nothing is there",
        "foreign": "no environment of this kit's making",
        "unfinished": f"half-made ({what}): nothing in it may be started. Run the same command as "
        "before, which begins anew, or remove the folder",
    }.get(found.state, f"made: {what}, with {printable(found.python)}, kit {printable(found.kit)}")


def _made(result: EnvironmentResult, made: NewEnvironment) -> str:
    shown, python = printable(result.directory), printable(shlex.quote(str(made.python)))
    if not result.changed:
        return f"{shown}: already made; nothing to do."
    return "\n".join(
        [
            f"{shown}: made; open-webui {result.version}, {result.kind}.",
            "Next:",
            f"  {python} -m quote_generator transports    # can this machine make quotes?",
            f"  {python} -m cczoo_backend --https         # open-webui with its badge, by HTTPS",
        ]
    )


def _fetch_and_install(installer: OpenWebuiTree, options: argparse.Namespace) -> Result:
    fetched = False
    if options.fetch is not None:
        version = check_fetch_version(options.fetch)
        fetched = installer.fetch(version, dry_run=options.dry_run)
        if fetched and options.dry_run:
            return Result("fetch", True, installer.way, notes=(f"open-webui {version}",))
    try:
        return installer.install(dry_run=options.dry_run)
    except InstallError as trouble:
        if fetched:
            trouble.add_note(f"The fetched source stays in {printable(installer.directory)}.")
        raise


def _fail(trouble: InstallError, as_json: bool) -> int:
    detail = " ".join([str(trouble), *getattr(trouble, "__notes__", ())])
    if as_json:
        print(json.dumps({"ok": False, "code": trouble.code, "detail": detail}))
    print(f"{PROGRAM}: {detail}", file=sys.stderr)
    return trouble.exit_code


def _where_it_stands(*journals: Journal) -> str:
    """Say what a failed run has left: what the journal shows, not what we hope."""
    if not journals:
        return "Nothing was changed."
    try:
        phase = journals[0].phase
    except (OSError, InstallError):
        return "How it stands could not be read; ask --status."
    if phase is None:
        return "Nothing of the kit is installed."
    if phase == "applied":
        return "The installation that --status shows is in place."
    return "It is half-way: install again, or --revert."


def _machine_trouble(trouble: OSError, *journals: Journal) -> MachineTrouble:
    where = f" ({printable(trouble.filename)})" if trouble.filename else ""
    advice = {
        errno.ENOSPC: "The disk is full. Make room",
        errno.EDQUOT: "Your disk quota is used up. Make room",
        errno.EFBIG: "A file would be larger than allowed here. Raise the limit (ulimit -f)",
        errno.EROFS: "The file system is mounted read-only. Make it writable",
        errno.EACCES: "No permission. Run as the user who owns the folder",
        errno.EPERM: "No permission. Run as the user who owns the folder",
    }.get(trouble.errno or 0, f"{printable(trouble.strerror or trouble)}. Mend that")
    return MachineTrouble(f"{advice}{where} and run again. {_where_it_stands(*journals)}")


def _print_status(status: Status, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"ok": True, **dataclasses.asdict(status)}, indent=2))
        return
    gone = status.hook is not None and status.version is None
    version = status.version or ("is gone" if gone else "of unknown version")
    place = f"{printable(status.directory)}: {status.program} {printable(version)}"
    if status.commit:
        place += f", git {printable(status.tag or 'commit')} ({status.commit[:12]})"
    if not status.supported and not gone:
        place += " (not supported by this kit)"
    print(place)
    if status.busy:
        print("another cczoo-install is at work on it right now")
    if status.state == "not-installed":
        print("not installed")
        return
    if status.state == "unrecorded":
        print("installed, but its record is gone: install or --revert takes it up again")
        return
    kit, digest = printable(status.kit), printable(status.patch_set)[:12]
    newer = f"; kit {kit_version()} would replace it" if status.current is False else ""
    print(f"{status.state}: kit {kit}, {_what_is_in_place(status, digest)}{newer}")
    for name in status.modified[:20]:
        print(f"  not as installed: {printable(name)}")
    if len(status.modified) > 20:
        print(f"  ... and {len(status.modified) - 20} more")
    for note in status.notes:
        print(note)
    if status.state == "unfinished":
        print("A run was stopped half-way: install again, or --revert.")


def _what_is_in_place(status: Status, digest: str) -> str:
    if status.hook:
        return f"hook {printable(status.hook)}"
    if status.program != OpenWebuiTree.program:
        return f"patch set {digest}"
    front = "with its front end" if status.build else "without a front end (--no-build)"
    return f"patch set {digest}, {front}"


def _print_result(result: Result, installer: _AnyInstaller, options: argparse.Namespace) -> None:
    if options.json:
        document: dict[str, Any] = {"ok": True, "dry_run": options.dry_run}
        print(json.dumps(document | dataclasses.asdict(result), indent=2))
        return
    if result.action == "fetch":
        print(f"would fetch {result.notes[0]} into {printable(installer.directory)} and install")
        return
    _print_findings(result)
    for note in result.notes:
        print(note)
    if not result.changed:
        already = "already installed" if result.action == "install" else "not installed"
        print(f"{printable(installer.directory)}: {already}; nothing to do.")
    elif options.dry_run:
        _print_intentions(result)
    else:
        print(f"{printable(installer.directory)}: {result.action}ed{_counts(result)}.")
        print(_next_steps(installer, result) if result.action == "install" else _RESTART)


def _print_findings(result: Result) -> None:
    """Print what --try looked for, as a table."""
    width = max((len(finding.what) for finding in result.found), default=0)
    for finding in result.found:
        print(f"  {printable(finding.what):<{width}}  {'found' if finding.found else 'NOT FOUND'}")


def _print_intentions(result: Result) -> None:
    for verb, names in zip(_VERBS[result.action], (result.edited, result.added), strict=True):
        for name in names:
            print(f"would {verb} {printable(name)}")
    print(_BUILD_INTENTIONS.get(result.build, f"would place build/ ({result.build})\n"), end="")


def _counts(result: Result) -> str:
    """Count the files of a source tree; a package has but its hook."""
    if result.way == "plugin":
        return ""
    edited, added = _files(result.edited), _files(result.added)
    if result.action == "install":
        return f"; {edited} changed"
    removed = f", {added} removed" if result.added else ""
    return f"; {edited} restored{removed}"


def _files(names: Sequence[str]) -> str:
    return f"{len(names)} file" if len(names) == 1 else f"{len(names)} files"


def _next_steps(installer: _AnyInstaller, result: Result) -> str:
    """Say how what was installed gets to run."""
    if isinstance(installer, TrusteeTree):
        lines = [
            "Next: build restful-as of it for release, with the features restful-bin and "
            "tdx-verifier and its own lock file, and start it with `--allowed_origin ORIGIN` "
            "for each page that may ask (docs/trustee.md).",
        ]
    elif isinstance(installer, HookedPackage):
        lines = [
            f"The hook is {installer.hook}.",
            "Next: restart open-webui. (`python -m cczoo_backend serve` is the same without a "
            "hook, in place of `open-webui serve`.)",
        ]
    else:
        what, backend = shlex.quote(kit_source()), shlex.quote(str(installer.directory / "backend"))
        lines = [
            "Next:",
            f"  python -m pip install {what}    # with open-webui's Python: gives it the badge",
            f"  cd {backend} && bash start.sh    # an open-webui that is running: stop it first",
        ]
        if result.build == "none":
            lines.insert(
                1, "  run again without --no-build, or `npm run build` in the tree yourself"
            )
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
