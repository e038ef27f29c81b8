"""The open-webui that is measured: a plug-in edition, out of a copy of its environment.

The oldest one, or the one that CCZOO_EDITION names, as in "plugin-0.12.4"; CCZOO_WEBUI_PYTHON is
the interpreter of its environment, if that is not where tools/bootstrap.py puts it. The routes are
measured on the newest one as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.environments import Environment
from e2e.stack import Backend, BackendSpec, free_port
from emulator import Emulator
from preparation import editions, environments

NOWHERE = "http://127.0.0.1:1"
# What one client of a measurement asks is more than any limit that makes sense.
UNLIMITED = {f"TEE_QUOTE_LIMIT_{who}": "1000000/second" for who in ("USER", "ADDRESS", "PUBLIC")}


def edition() -> str:
    """The edition that is measured.

    Raises ValueError where the environment names none of the plug-in way.
    """
    plugins = [name for name in editions.every() if name.startswith(f"{editions.PLUGIN}-")]
    name = os.environ.get("CCZOO_EDITION") or plugins[0]
    if name not in plugins:
        raise ValueError(f"CCZOO_EDITION={name!r} is none of {', '.join(plugins)}")
    return name


def with_the_newest() -> list[str]:
    """The edition that is measured, and the newest, which most people have; each once."""
    newest = f"{editions.PLUGIN}-{editions.versions(editions.PLUGIN)[-1]}"
    return list(dict.fromkeys([edition(), newest]))


def interpreter(name: str) -> Path:
    """The interpreter of an edition's environment; raises ValueError where there is none."""
    made = environments.webui_folder(name) / "bin" / "python"
    named = os.environ.get("CCZOO_WEBUI_PYTHON") if name == edition() else None
    found = Path(named or made)
    if not found.exists():
        raise ValueError(f"there is no {found}: run `python3 tools/bootstrap.py webui-{name}`")
    return found


def stock_front_end() -> Path:
    """The front end of the stock package."""
    return Environment(interpreter(edition()).parents[1]).package / "frontend"


def copied_environment(folder: Path, name: str | None = None) -> Environment:
    """A copy of an edition's environment in ``folder``, with the kit in it and not hooked."""
    return Environment.copy_of(interpreter(name or edition()), folder)


def hooked_environment(folder: Path, name: str | None = None) -> Environment:
    """The same, with the hook: its open-webui starts with the kit."""
    hooked = copied_environment(folder, name)
    hooked.install()
    return hooked


@contextmanager
def running(
    environment: Environment, kernel: Emulator, *, model: str = NOWHERE, **settings: str
) -> Iterator[Backend]:
    """Open-webui with these environment variables, in a TD with that kernel, until the end."""
    port = free_port()
    spec = BackendSpec(
        name="bench",
        installation=environment.plugin(),
        directory=environment.folder / f"data-{port}",
        model_url=model,
        port=port,
        env={"TEE_PCCS_URL": NOWHERE, **UNLIMITED, **settings},
        wrapper=tuple(kernel.inside([])),
    )
    backend = Backend(spec)
    try:
        yield backend
    finally:
        backend.stop()
