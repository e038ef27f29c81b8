#!/usr/bin/env python3
"""Prepares a machine for `make test` and `make demo`; uses nothing but the standard library.

    python3 tools/bootstrap.py node system-test     # a check, and the system's packages
    python3 tools/bootstrap.py dev                  # .venv: the kit, editable, with its test tools
    python3 tools/bootstrap.py web page wheel       # the page's tools and bundle, the kit's wheel
    python3 tools/bootstrap.py webui-plugin-0.12.4  # one edition of open-webui with the kit
    python3 tools/bootstrap.py webui model          # all editions; the demonstration's model
    python3 tools/bootstrap.py dev --before-demo    # told with all that `make demo` makes after it

Checks come first; then everything that is missing is made side by side (preparation/steps.py), each
part keyed by the content that it is made from (preparation/environments.py).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from preparation import editions, environments, machine
from preparation.steps import LOGS, BootstrapError, Part, announce, missing, prepare


def system_part(needs: Sequence[str], download: int, disk: int) -> Part:
    """The system's packages that these needs stand for."""
    return Part(
        "system",
        "the system's packages",
        LOGS / "system",
        make=lambda: machine.system(needs),
        is_current=lambda: not machine.missing_needs(needs),
        download=download,
        disk=disk,
        seconds=60,
    )


CHECKS: dict[str, Callable[[], None]] = {
    "node": machine.check_node,
    "privileges": machine.check_privileges,
}
SYSTEM_PARTS: dict[str, Callable[[], Part]] = {
    "system-build": lambda: system_part(machine.FOR_BUILDING, 120, 500),
    "system-unit": lambda: system_part(machine.FOR_UNIT_TESTS, 130, 510),
    "system-fuzz": lambda: system_part(machine.FOR_FUZZING, 300, 1200),
    "system-test": lambda: system_part(machine.FOR_TESTING, 600, 2200),
    "system-pictures": lambda: system_part(machine.FOR_PICTURES, 600, 2200),
    "system-kernel": lambda: system_part(machine.FOR_KERNEL, 200, 900),
}
PARTS: dict[str, Callable[[], Part]] = {
    "dev": environments.dev_part,
    "web": environments.page_tools_part,
    "page": environments.page_part,
    "wheel": environments.wheel_part,
    "wheel-tools": environments.wheel_tools_part,
    "bench": environments.bench_part,
    "model": environments.model_part,
}
ALL_EDITIONS = "webui"
EDITIONS = {f"webui-{edition}": edition for edition in editions.every()}


def chosen(names: Sequence[str], at: Path | None) -> list[Part]:
    """The parts that these names stand for, but for checks and the system's packages."""
    parts = [PARTS[name]() for name in names if name in PARTS]
    wanted = EDITIONS if ALL_EDITIONS in names else [name for name in names if name in EDITIONS]
    return parts + [environments.webui_part(EDITIONS[name], at) for name in wanted]


def demonstration() -> list[Part]:
    """What `make demo` makes by itself later on, by the variables that it goes by."""
    way = editions.PLUGIN if os.environ.get("PLUGIN") == "1" else editions.SOURCE
    known = editions.versions(way)
    version = os.environ.get("VERSION")
    version = version if version in known else known[-1]  # it refuses others, and says which
    parts = [environments.webui_part(f"{way}-{version}"), environments.model_part()]
    if way == editions.SOURCE:
        tree = environments.demonstration_tree(version)
        parts.insert(0, environments.tree_part(version, tree, lambda: None))
    return parts


def announce_demonstration(parts: Sequence[Part]) -> bool:
    """Say what these and the demonstration take together; whether that could be said.

    Raises BootstrapError where the disk is too small for all of it.
    """
    try:
        wanted = missing([*parts, *demonstration()])
        for part in wanted:
            part.check()
    except BootstrapError:
        return False  # such as a Python that is one of the parts: it is told when it is its turn
    announce(wanted)
    return True


def prepare_all(names: Sequence[str], at: Path | None, *, before_demo: bool = False) -> None:
    """Check, then install, then make what the names stand for.

    Raises BootstrapError, whose message is for people.
    """
    for name in names:
        if name in CHECKS:
            CHECKS[name]()
    system = [SYSTEM_PARTS[name]() for name in names if name in SYSTEM_PARTS]
    told = False
    if before_demo and missing([*system, *chosen(names, at)]):
        told = announce_demonstration([*system, *chosen(names, at)])
    prepare(system, told=told)
    prepare(chosen(names, at), told=told)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Prepare this machine, part by part.")
    names = [*CHECKS, *SYSTEM_PARTS, *PARTS, ALL_EDITIONS, *EDITIONS]
    parser.add_argument("parts", nargs="+", choices=names, metavar="PART", help=", ".join(names))
    parser.add_argument("--at", type=Path, help="where to put the one environment webui-...")
    parser.add_argument("--before-demo", action="store_true", help="say what the demo takes, too")
    options = parser.parse_args(argv)
    if options.at and sum(name.startswith(ALL_EDITIONS) for name in options.parts) != 1:
        parser.error("--at is for one environment")
    if options.at and ALL_EDITIONS in options.parts:
        parser.error("--at is for one environment")
    # Ended from outside is ended like by Ctrl-C: with all that runs below.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        at = options.at and options.at.resolve()
        prepare_all(options.parts, at, before_demo=options.before_demo)
    except BootstrapError as error:
        print(f"[setup] {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
