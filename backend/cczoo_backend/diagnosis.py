"""``python -m cczoo_backend.diagnosis``: what `cczoo-install doctor` asks of the kit, as JSON.

The installer imports neither the attester nor this package (see the import rules), and asks the
Python that runs open-webui, which need not be its own. So this runs in a process of its own, and
what it prints is read there as anybody's word. It changes nothing, and asks nobody over a network.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence

from quote_generator import __version__, attester, eventlog, measure
from quote_generator.errors import QuoteGeneratorError
from quote_generator.guest import is_azure

from .bundle import BundleError, find_bundle
from .errors import TeeError
from .settings import Settings
from .settings_table import DCAP, INTEL_PCS, SERVICES
from .workload.stores import Stores

VERSION = 1

_SECONDS = 5.0  # for each question to the kernel
_REGISTER = 3  # the one that what runs here is measured into


def diagnosis(
    folders: Sequence[str],
    *,
    system: attester.System | None = None,
    root: str = "/",
    environ: Mapping[str, str] = os.environ,
) -> dict[str, object]:
    """Return what the kit finds here; nothing that is wrong with the machine is raised.

    ``folders`` are absolute paths of which the store is asked; ``system`` and ``root`` are where
    the machine's files are, as in ``attester`` and ``eventlog``.
    """
    machine = system or attester.System(environ=environ)
    return {
        "v": VERSION,
        "kit": __version__,
        "transports": _told(lambda: _transports(machine)),
        "azure": is_azure(machine.asset_tag, machine.tpms),
        "firmware_log": _told(lambda: _firmware_log(root)),
        "register": _told(lambda: _read_register(machine)),
        "bundle": _bundle(),
        "services": _services(environ),
        "stores": {folder: Stores().of_tree(folder).document() for folder in folders},
    }


def _told(look: Callable[[], object]) -> dict[str, object]:
    """Return what was found, or the error with its code and its cure."""
    try:
        return {"found": look()}
    except QuoteGeneratorError as error:
        return {"code": error.code, "detail": str(error)}


def _transports(system: attester.System) -> list[dict[str, object]]:
    return [dataclasses.asdict(one) for one in attester.available_transports(system)]


def _firmware_log(root: str) -> dict[str, object] | None:
    log = eventlog.read_ccel(root)
    if log is None:
        return None
    return {"bytes": len(log), "events": len(eventlog.parse_ccel(log))}


def _read_register(system: attester.System) -> dict[str, object]:
    """Read a register, and see whether it could be extended; extending it cannot be undone.

    ``writable`` is None where only trying tells: by an older vendor kernel's ioctl. A simulator's
    registers are not asked for: they are files, which would be made.
    """
    machine = dataclasses.replace(system, environ={})
    value = measure.read_rtmr(_REGISTER, timeout=_SECONDS, system=machine)
    file = f"{system.measurements}/rtmr{_REGISTER}:sha384"
    writable = os.access(file, os.W_OK, effective_ids=True) if os.path.exists(file) else None
    return {"value": value.hex(), "writable": writable}


def _bundle() -> dict[str, object]:
    try:
        bundle = find_bundle()
    except BundleError as error:
        return {"code": "no-bundle", "detail": str(error)}
    files = {name: hashlib.sha256(file.body).hexdigest() for name, file in bundle.files.items()}
    return {"found": {"loader": bundle.loader, "files": files}}


def _services(environ: Mapping[str, str]) -> dict[str, object]:
    """Return the addresses by the environment alone, or what is wrong with it."""
    try:
        settings = Settings.from_environment(environ)
    except TeeError as error:
        return {"code": error.code, "detail": error.detail, "pccs": INTEL_PCS}
    suggested = {"alibaba": settings.alibaba_url, "trustee": settings.trustee_url}
    return {
        "found": {
            name: suggested[name] or service.default_url
            for name, service in SERVICES.items()
            if name in settings.providers
        },
        "pccs": settings.pccs_url,
        "dcap": DCAP in settings.providers,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print the document as one line; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m cczoo_backend.diagnosis")
    parser.add_argument(
        "--store", action="append", default=[], metavar="FOLDER", help="ask where FOLDER lies"
    )
    options = parser.parse_args(argv)
    print(json.dumps(diagnosis([os.path.abspath(one) for one in options.store])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
