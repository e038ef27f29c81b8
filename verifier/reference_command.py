"""`cczoo-verify reference`: a policy for what should run, made of what was published.

Nothing here asks the server that the policy will be for, so it says the same to everybody who has
the same packages and models.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quote_generator.errors import BadInput
from quote_generator.workload.environment import Distribution, environment_digest

from .options import Parser, read_policy_file, seconds
from .output import abandon_stdout, complain, error_document, remark
from .policy import REQUIREMENTS, read_policy
from .problems import EXIT_VERIFIED, FileError, Problem, UsageError
from .reference_models import Fetch, ReferenceModel, of_store, reference_model
from .reference_sources import PACKAGE, checkout_digest, sdist_digest
from .reference_wheels import Wheel, read_wheel, wheel_distribution
from .release import fill, read_release, rules_of
from .release_source import is_address, read_place

KIT, OPEN_WEBUI = "cczoo-trust-badge", "open-webui"

FRONT_END, PAGE = "open_webui/frontend", "cczoo_backend/page"
"""Where a wheel installs what open-webui serves, and what the kit does."""

MAX_WHEELS = 10_000

_SDIST = ".tar.gz"


@dataclass
class References:
    """What a policy will accept; the lists grow by what was asked for."""

    digests: dict[str, list[str]] = field(default_factory=dict)
    versions: dict[str, list[str]] = field(default_factory=dict)
    distributions: dict[str, Distribution] = field(default_factory=dict)

    def add(self, member: str, digest: str, what: str) -> None:
        """Accept a digest, and say of what it is."""
        _append(self.digests, member, digest)
        remark(f"{member}: {what}: {digest}")

    def add_version(self, member: str, version: str) -> None:
        """Accept a version."""
        _append(self.versions, member, version)

    def add_wheel(self, member: str, wheel: Wheel) -> None:
        """Accept what a wheel installs, in that version."""
        found = wheel.distribution
        self.add(member, found.digest, f"{found.name} {found.version}")
        self.add_version(member, found.version)
        self.distributions[found.name] = found

    def policy(self, required: Sequence[str]) -> dict[str, Any]:
        """The policy. Raises FileError (policy-too-large)."""
        versions = {"versions": self.versions} if self.versions else {}
        require = {"require": list(required)} if required else {}
        document = {"v": 1, "workload": {**self.digests, **versions, **require}}
        try:
            read_policy(_text(document))
        except BadInput as error:
            detail = f"too much for one policy ({error}); make several"
            raise FileError("policy-too-large", detail) from error
        return document


def _append(lists: dict[str, list[str]], member: str, value: str) -> None:
    values = lists.setdefault(member, [])
    if value not in values:
        values.append(value)


def _text(document: object) -> str:
    return json.dumps(document, indent=1) + "\n"


def main(argv: Sequence[str]) -> int:
    """Make the policy; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        _check(options)
        if options.release:
            document = _filled(options)
        else:
            document = _references(options).policy(options.require)
        _write(_text(document), options.output)
    except Problem as problem:
        if options.json:
            print(error_document(problem))
        complain(problem)
        return problem.exit
    return EXIT_VERIFIED


def _check(options: argparse.Namespace) -> None:
    """Raise UsageError for what would come to nothing, before the work is done."""
    published = options.kit or options.open_webui or options.model or options.require
    if options.release or options.policy:
        _check_release(options, is_alone=not (published or options.wheels))
    elif not published:
        raise UsageError("usage", "nothing to refer to: give --open-webui, --kit or --model")
    if options.wheels and max(len(options.kit), len(options.open_webui)) > 1:
        raise UsageError("usage", "--wheels is one environment: give one --kit and --open-webui")
    if options.output and os.path.lexists(options.output):
        raise FileError("save-failed", f"{options.output} is there already; nothing is overwritten")


def _check_release(options: argparse.Namespace, *, is_alone: bool) -> None:
    if not (options.release and options.policy and is_alone):
        raise UsageError("usage", "--release fills in --policy FILE, and goes with no other source")
    if options.offline and is_address(options.release):
        raise UsageError("usage", "--offline: give the release as a file")


def _filled(options: argparse.Namespace) -> dict[str, Any]:
    """The policy with the values of a release, which counts now."""
    document, policy = read_policy_file(options.policy)
    rules = rules_of(policy)
    release = read_release(read_place(options.release, timeout=options.timeout), rules)
    if release.expires <= time.time():
        raise FileError("release-expired", f"the release ended at {release.not_after}")
    remark(f"release {release.serial} of kit {release.kit['version']}, until {release.not_after}")
    return fill(document, release)


def _references(options: argparse.Namespace) -> References:
    found = References()
    for wheel in options.kit:
        _add_kit(found, wheel)
    with _fetched(options) as fetched:
        for asked in options.open_webui:
            _add_open_webui(found, asked, fetched)
    for asked in options.model:
        _add_model(found, asked, options)
    if options.wheels:
        _add_environment(found, options.wheels)
    return found


def _add_kit(found: References, path: Path) -> None:
    wheel = _wheel_of(path, KIT)
    found.add_wheel("kit", wheel)
    page = wheel.folder_digest(PAGE, ".js")
    if page is None:
        raise FileError("wheel-unusable", f"{path} has no page; give a wheel that was released")
    found.add("page", page, "the page of this kit")


# --- open-webui -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fetched:
    """Where published wheels are put while they are read; `timeout` None: none is fetched."""

    folder: Path
    timeout: float | None


@contextlib.contextmanager
def _fetched(options: argparse.Namespace) -> Iterator[_Fetched]:
    with tempfile.TemporaryDirectory(prefix="cczoo-reference-") as folder:
        yield _Fetched(Path(folder), None if options.offline else options.timeout)


def _add_open_webui(found: References, asked: str, fetched: _Fetched) -> None:
    path = Path(asked)
    if path.is_dir() and (path / PACKAGE).is_dir():
        found.add("open_webui", checkout_digest(path), f"open-webui of the checkout {path}")
        return
    if asked.endswith(_SDIST):
        version = _version_of_sdist(path)
        found.add("open_webui", sdist_digest(path), f"open-webui {version}, from its sources")
        found.add_version("open_webui", version)
        return
    if not path.exists():
        path = _published(asked, fetched)
    wheel = _wheel_of(path, OPEN_WEBUI)
    found.add_wheel("open_webui", wheel)
    front_end = wheel.folder_digest(FRONT_END)
    if front_end is not None:
        found.add("front_end", front_end, "the front end of this open-webui")


def _version_of_sdist(path: Path) -> str:
    match = re.fullmatch(r"open[-_]webui-([0-9][A-Za-z0-9.+!]*)\.tar\.gz", path.name)
    if match is None:
        raise FileError("source-unreadable", f"{path} is not named open_webui-VERSION.tar.gz")
    return match[1]


def _published(version: str, fetched: _Fetched) -> Path:
    if not re.fullmatch(r"[0-9][A-Za-z0-9.+!]{0,63}", version):
        raise FileError("file-unreadable", f"{version} is neither a file nor a version")
    if fetched.timeout is None:
        raise UsageError("usage", f"--offline: give the wheel of open-webui {version}")
    from .reference_fetching import fetch_wheel

    return fetch_wheel(OPEN_WEBUI, version, fetched.folder, timeout=fetched.timeout)


def _wheel_of(path: Path, name: str) -> Wheel:
    wheel = read_wheel(path)
    if wheel.distribution.name != name:
        detail = f"{path} is {wheel.distribution.name}, and not {name}"
        raise FileError("wheel-unusable", detail)
    return wheel


# --- models, environment --------------------------------------------------------------------------


def _add_model(found: References, asked: str, options: argparse.Namespace) -> None:
    for model in _models(asked, options.model_store, _fetcher(options)):
        found.add("models", model.digest, model.name)
        if model.fsverity_digest:
            found.add("models", model.fsverity_digest, f"{model.name}, by fs-verity")


def _models(asked: str, stores: Sequence[Path], fetch: Fetch | None) -> Iterator[ReferenceModel]:
    if not re.search("[=@]", asked) and stores:
        yield from (of_store(asked, store) for store in stores)
    else:
        yield reference_model(asked, stores=stores, fetch=fetch)


def _fetcher(options: argparse.Namespace) -> Fetch | None:
    if options.offline:
        return None
    from .reference_fetching import fetch_manifest

    return lambda name: fetch_manifest(name, timeout=options.timeout)


def _add_environment(found: References, folder: Path) -> None:
    """The environment into which these wheels were installed, with kit and open-webui."""
    try:
        wheels = sorted(folder.glob("*.whl"))
    except OSError as error:
        raise FileError("file-unreadable", f"{folder} cannot be read: {error}") from error
    if not 0 < len(wheels) <= MAX_WHEELS:
        raise FileError("wheel-unusable", f"{folder} has {len(wheels)} wheels: 1 to {MAX_WHEELS}")
    distributions = dict(found.distributions)
    for wheel in wheels:
        distribution = wheel_distribution(wheel)
        if distributions.get(distribution.name, distribution) != distribution:
            detail = f"{wheel} is another {distribution.name} than there is already"
            raise FileError("wheel-unusable", f"{detail}; leave one of them out")
        distributions[distribution.name] = distribution
    digest = environment_digest(distributions.values())
    found.add("environment", digest, f"{len(distributions)} distributions")


# --- writing --------------------------------------------------------------------------------------


def _write(text: str, output: Path | None) -> None:
    """Write the policy. Raises FileError (save-failed), Problem (output-failed)."""
    if output is not None:
        _write_new(text, output)
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        abandon_stdout()
        reason = error.strerror or error
        raise Problem("output-failed", f"the policy was not written: {reason}") from error


def _write_new(text: str, output: Path) -> None:
    """Write a file that is not there yet, whole or not at all."""
    try:
        with output.open("x", encoding="ascii") as file:
            try:
                file.write(text)
                file.flush()
            except OSError:
                output.unlink()
                raise
    except OSError as error:
        detail = f"{output} was not written: {error.strerror or error}"
        raise FileError("save-failed", detail) from error


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="cczoo-verify reference",
        description="Make a policy (member `workload`) of published packages and models: the same "
        "digests that a TD measures which runs them, untouched.",
        epilog="Exit codes: 0 made, 2 a file or an option cannot be used, 4 something could not be "
        "fetched. What each digest is of goes to standard error.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--open-webui",
        action="append",
        default=[],
        metavar="VERSION|FILE|DIR",
        help="a version, whose wheel is fetched from PyPI, or its wheel; for one that runs out of "
        "its sources the sdist, or the checkout with what was changed in it. Repeatable",
    )
    parser.add_argument(
        "--kit", action="append", default=[], type=Path, metavar="WHEEL", help="the kit's wheel"
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME@DIGEST|NAME=FILE",
        help="a model of Ollama: by the digest of its manifest, as `ollama list` has it in full, "
        "which is looked for in --model-store and then fetched, or by a file with the manifest; "
        "NAME alone is that of --model-store, whose every byte is read, also for fs-verity",
    )
    parser.add_argument(
        "--model-store",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="a folder in which Ollama keeps models",
    )
    parser.add_argument(
        "--wheels",
        type=Path,
        metavar="DIR",
        help="the wheels of all other distributions in the environment (pip download, pip wheel)",
    )
    parser.add_argument(
        "--require",
        action="append",
        default=[],
        choices=REQUIREMENTS,
        help="ask for this as well; repeatable",
    )
    parser.add_argument(
        "--release",
        metavar="FILE|URL",
        help="fill in a policy from a signed release of the kit, instead of all the above",
    )
    parser.add_argument(
        "--policy",
        type=Path,
        metavar="FILE",
        help="what --release fills in: it pins the keys (workload/release), and a policy that was "
        "filled in refuses an older release than its own",
    )
    parser.add_argument("--offline", action="store_true", help="fetch nothing: files only")
    parser.add_argument("--output", type=Path, metavar="FILE", help="a new file for the policy")
    parser.add_argument(
        "--timeout",
        type=seconds(0, 3600),
        default=300.0,
        metavar="SECONDS",
        help="for each thing that is fetched (%(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="say errors in JSON, too")
    return parser
