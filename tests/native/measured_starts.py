"""Starts that measure what runs there, ended or hindered at a point of one's choice."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from application_logs import lines_of

from cczoo_backend.host import Readings
from cczoo_backend.workload.fact_log import FactLog
from cczoo_backend.workload.measuring import Measurer
from cczoo_backend.workload.start_facts import Places
from quote_generator import applog, attester
from quote_generator.attester import System
from quote_generator.measure import check_log, read_rtmr

CODE = "def inlet(body):\n    return body\n"
PLUGINS = """
def load_tools_module_by_id(id, content):
    exec(content, {})
def load_function_module_by_id(id, content):
    exec(content, {})
"""


# --- what starts ----------------------------------------------------------------------------------


def install(folder: Path) -> Places:
    """Put a small open-webui with the kit into a folder, as an installer would."""
    library = folder / "lib"
    site = library / "site-packages"
    for name, file in (
        ("open_webui-9.8.7", "open_webui/main.py"),
        ("cczoo_trust_badge-1.2.3", "cczoo_backend/__init__.py"),
    ):
        (site / file).parent.mkdir(parents=True)
        (site / file).write_text("app = 1\n")
        info = site / f"{name}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name.partition('-')[0]}\n")
        (info / "RECORD").write_text(f"{file},,\n")
    (library / "os.py").write_text("\n")
    front_end = folder / "front end"
    front_end.mkdir()
    (front_end / "index.html").write_text("<head>")
    page = {"loader-A.js": b"x"}
    paths = [str(library), str(site)]
    return Places(site / "open_webui", "9.8.7", front_end, page, paths, str(library))


class NoModels:
    """In the place of what looks for local model servers."""

    def __init__(self, facts: FactLog) -> None: ...

    def use(self, settings: Mapping[str, object]) -> None: ...


def start(machine: System, places: Places) -> dict[str, Any]:
    """Start as open-webui does with the kit, up to its first request; return what it states."""
    plugins: Any = ModuleType("plugins")
    exec(PLUGINS, plugins.__dict__)
    measurer = Measurer(system=machine, models=NoModels)  # type: ignore[arg-type]
    measurer.begin(lambda: places, lambda: plugins)
    asyncio.run(measurer.settled())
    plugins.load_function_module_by_id("early", CODE)
    row = {"id": "late", "type": "filter", "content": CODE, "is_active": True}
    measurer.take(Readings(settings={"webui.name": "x"}, functions=[row], tools=[]))
    return dict(measurer.present())


# --- where it ends --------------------------------------------------------------------------------


class Steps:
    """The steps of a start, from 1: before and after each change of a file or a register.

    Also halfway through each write. At the ``last`` of them the process is killed (kill -9).
    """

    def __init__(self, last: int = 0) -> None:
        self.count = 0
        self._last = last
        self._write = os.write

    def watch(self) -> None:
        """Count from now on, in this process."""
        os.open = self._counted(os.open, lambda path, flags, *_, **__: flags & os.O_CREAT)
        for name in ("mkdir", "fsync", "ftruncate", "unlink"):
            setattr(os, name, self._counted(getattr(os, name)))
        os.write = self._counted(self._half_written)
        attester.run_extension = self._counted(attester.run_extension)

    def _counted(
        self, call: Callable[..., Any], counts: Callable[..., object] = lambda *_, **__: True
    ) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            if not counts(*arguments, **options):
                return call(*arguments, **options)
            self._step()
            result = call(*arguments, **options)
            self._step()
            return result

        return counted

    def _half_written(self, fd: int, data: bytes) -> int:
        if self.count + 1 == self._last:
            self._write(fd, data[: len(data) // 2])
        self._step()
        return self._write(fd, data)

    def _step(self) -> None:
        self.count += 1
        if self.count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


def in_a_process(work: Callable[[], object]) -> Any:
    """Return what work returns in a process of its own, by way of JSON; None if it is killed."""
    reader, writer = os.pipe()
    write = os.write
    child = os.fork()
    if child == 0:
        try:
            write(writer, json.dumps(work()).encode())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writer)
    with open(reader, "rb") as pipe:
        said = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return json.loads(said) if code == 0 else None


def kill_soon_after_an_extension_began() -> None:
    """Have this process killed (kill -9) half a second after it first extends a register."""
    extend = attester.run_extension

    def extend_and_die(*arguments: Any) -> None:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()
        extend(*arguments)

    attester.run_extension = extend_and_die


class FullDisk:
    """From the ``first`` time that a disk needs room on, or that once, it has none.

    It needs some for each write, of which a half may still fit, and some may come with each sync.
    """

    def __init__(self, first: int, *, stays: bool) -> None:
        self._count = 0
        self._first = first
        self._stays = stays

    def watch(self) -> None:
        """Hinder from now on, in this process."""
        write, sync = os.write, os.fsync

        def hindered_write(fd: int, data: bytes) -> int:
            if not self._is_full():
                return write(fd, data)
            if self._count % 2:
                return write(fd, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def hindered_sync(fd: int) -> None:
            if self._is_full():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            sync(fd)

        os.write, os.fsync = hindered_write, hindered_sync

    def _is_full(self) -> bool:
        self._count += 1
        return self._count >= self._first if self._stays else self._count == self._first


# --- what stays -----------------------------------------------------------------------------------


class Td:
    """A trust domain since its boot: its RTMR3 began at zeros, and each of its logs is kept."""

    def __init__(
        self, machine: System, places: Places, folder: Path, set_fault: Callable[[str], None]
    ) -> None:
        self._machine = machine
        self._places = places
        self._folder = folder
        self._folders = 0
        self.earlier = b""
        self.machine = machine
        self.set_fault = set_fault

    def take_new_folder(self) -> None:
        """Have the next start find no log; what stands in the old one stays in the register."""
        self.earlier = self.whole_log
        self._folders += 1
        aael = self._folder / str(self._folders) / "attestation-agent" / "eventlog"
        self.machine = replace(self._machine, aael=str(aael))
        self._begin = applog.begin_line(self.rtmr3)

    def start(self, before: Callable[[], object] = lambda: None) -> dict[str, Any]:
        """Start in a process of its own, after what comes before; return what it states."""

        def started() -> dict[str, Any]:
            before()
            return start(self.machine, self._places)

        stated: dict[str, Any] = in_a_process(started)
        return stated

    def start_killed(self, last: int) -> None:
        """Start, and kill that at a step, if it comes to it."""
        self.start(Steps(last).watch)

    def steps(self) -> int:
        """Start, and return how many steps that took."""

        def counted() -> int:
            steps = Steps()
            steps.watch()
            start(self.machine, self._places)
            return steps.count

        return int(in_a_process(counted))

    @property
    def log(self) -> Path:
        return Path(self.machine.aael)

    @property
    def lines(self) -> list[str]:
        """The log's lines, without the one that says where it begins."""
        lines = lines_of(self.log.read_bytes()) if self.log.exists() else []
        if self._begin and lines:
            assert lines[0] == self._begin
        return lines[1:] if self._begin else lines

    @property
    def whole_log(self) -> bytes:
        """All that this trust domain's logs say since its boot."""
        return self.earlier + (self.log.read_bytes() if self.log.exists() else b"")

    @property
    def rtmr3(self) -> bytes:
        return read_rtmr(3, system=self.machine)

    @property
    def state(self) -> str:
        return check_log(system=self.machine)
