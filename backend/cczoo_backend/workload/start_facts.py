"""What runs here, measured once at the start: kit, open-webui, front end, page, environment.

A kind that cannot be measured has a code that says why, and keeps the others from nothing.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from quote_generator.errors import QuoteGeneratorError
from quote_generator.workload.environment import (
    Environment,
    is_counted,
    measure_environment,
    measure_interpreter,
    name_and_version,
)
from quote_generator.workload.events import Fact, make_fact
from quote_generator.workload.files import (
    Kind,
    NotMeasurable,
    hash_files,
    list_tree,
    measure_tree,
    tree_digest,
)

from .bytecode import digest_of_foreign

log = logging.getLogger(__name__)

KIT = "cczoo-trust-badge"
OPEN_WEBUI = "open-webui"
KINDS = ("kit", "open-webui", "front-end", "page", "environment")
"""What is measured here, in the order of the events."""


@dataclass(frozen=True)
class Places:
    """What is to be measured, and where it lies.

    ``package`` is open-webui's, ``version`` what it calls itself. ``front_end`` is the folder that
    is served, ``page`` the kit's own files as they are served, by name; either may be None.
    ``path`` is as ``sys.path``, ``library`` the folder of the standard library.
    """

    package: Path
    version: str
    front_end: Path | None
    page: Mapping[str, bytes] | None
    path: Sequence[str]
    library: str

    @classmethod
    def of_this_process(
        cls,
        package: Path,
        version: str,
        front_end: Path | None,
        page: Mapping[str, bytes] | None,
    ) -> Places:
        """Return the places of a process that runs open-webui: this one."""
        here = os.getcwd()
        path = [os.path.join(here, entry) for entry in sys.path]
        return cls(package, version, front_end, page, path, sysconfig.get_path("stdlib"))


@dataclass(frozen=True)
class Missing:
    """Why there is no fact of a kind."""

    kind: str
    why: str


def start_facts(places: Places) -> Iterator[Fact | Missing]:
    """Yield what there is to say of each of KINDS, in that order."""
    environment = _once(lambda: _measured_environment(places))
    for kind, measure in (
        ("kit", lambda: _kit(environment())),
        ("open-webui", lambda: _open_webui(places, environment)),
        ("front-end", lambda: _front_end(places.front_end)),
        ("page", lambda: _page(places.page)),
        ("environment", lambda: _environment(places, environment())),
    ):
        yield _fact_or_why(kind, measure)


def _measured_environment(places: Places) -> Environment:
    source = None if _is_installed(places.package) else places.package
    return measure_environment(import_folders(places.path, places.library), source)


def import_folders(path: Sequence[str], library: str) -> list[str]:
    """Return the folders of ``path`` that Python imports from, beside the standard library.

    Raises NotMeasurable where one is an archive.
    """
    found: dict[str, None] = {}
    for entry in map(os.path.realpath, path):
        if _is_of_library(entry, os.path.realpath(library)):
            continue
        if os.path.isdir(entry):
            found[entry] = None
        elif os.path.exists(entry):
            raise NotMeasurable("archive-on-path", f"Python imports from {entry!a}, an archive")
    return list(found)


def _is_of_library(entry: str, library: str) -> bool:
    """Whether ``measure_interpreter`` looks into a folder."""
    relative = os.path.relpath(entry, library)
    parts = relative.split(os.sep)
    return parts[0] != os.pardir and not {"site-packages", "dist-packages"} & {*parts}


def _kit(environment: Environment) -> Fact:
    kit = environment.distribution(KIT)
    return make_fact("kit", digest=kit.digest, version=kit.version)


def _open_webui(places: Places, environment: Callable[[], Environment]) -> Fact:
    if _is_installed(places.package):
        found = environment().distribution(OPEN_WEBUI)
        return make_fact("open-webui", digest=found.digest, version=found.version, way="plugin")
    return make_fact(
        "open-webui", digest=_source_digest(places.package), version=places.version, way="source"
    )


def _is_installed(package: Path) -> bool:
    """Whether an installer put the package where it is: its metadata is beside it then."""
    beside = map(name_and_version, os.listdir(os.fsencode(package.parent)))
    return any(each is not None and each[0] == OPEN_WEBUI for each in beside)


def _source_digest(package: Path) -> str:
    """Return the digest of a package's folder, by the rules of one that is installed.

    Of the folders that open-webui writes to, only what can be imported counts, and links.
    """
    found = {
        path: kind
        for path, kind in list_tree(package).items()
        if kind is Kind.LINK or is_counted(b"open_webui/" + path)
    }
    return tree_digest(hash_files(package, found))


def _front_end(folder: Path | None) -> Fact:
    if folder is None:
        raise NotMeasurable("no-front-end", "open-webui serves no front end here.")
    return make_fact("front-end", digest=measure_tree(folder).digest)


def _page(files: Mapping[str, bytes] | None) -> Fact:
    if files is None:
        raise NotMeasurable("no-page", "the kit's page files are not there.")
    hashes = {name.encode(): hashlib.sha256(body).hexdigest() for name, body in files.items()}
    return make_fact("page", digest=tree_digest(hashes))


def _environment(places: Places, environment: Environment) -> Fact:
    python = measure_interpreter(places.library, platform.python_version())
    return make_fact(
        "environment",
        digest=environment.digest,
        distributions=len(environment.distributions),
        unlisted=environment.unlisted,
        unlisted_files=len(environment.unlisted_files),
        bytecode=digest_of_foreign(list(sys.modules.values())),
        python=python.digest,
        python_version=python.version,
    )


def _fact_or_why(kind: str, measure: Callable[[], Fact]) -> Fact | Missing:
    try:
        return measure()
    except QuoteGeneratorError as error:
        log.warning("%s cannot be measured (%s): %s", kind, error.code, error)
        return Missing(kind, error.code)
    except Exception:
        log.exception("%s cannot be measured", kind)
        return Missing(kind, "failed")


def _once(measure: Callable[[], Environment]) -> Callable[[], Environment]:
    """Return what measures when it is first asked, and then says the same, or raises it."""
    outcome: Future[Environment] = Future()

    def ask() -> Environment:
        if not outcome.done():
            try:
                outcome.set_result(measure())
            except Exception as error:
                outcome.set_exception(error)
        return outcome.result()

    return ask
