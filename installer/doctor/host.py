"""What the machine gives the server: Node.js where it matters, memory, disk, ports, workers."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cczoo_installer import frontend
from cczoo_installer.doctor import processes
from cczoo_installer.doctor.findings import Finding, failure, note, ok, unknown, warning
from cczoo_installer.doctor.kit_facts import changeable_by
from cczoo_installer.doctor.processes import Listening
from cczoo_installer.doctor.scene import DEFAULT_PORT, Scene, text
from cczoo_installer.errors import BuildFailed
from cczoo_installer.openwebui_tree import OpenWebuiTree

_GIB = 1 << 30
_MIB = 1 << 20
_LITTLE_MEMORY = 1 * _GIB
_LITTLE_DISK = 2 * _GIB
_NO_DISK = 200 * _MIB
_SAFE = {"encrypted", "encrypted-integrity", "memory"}


def look(scene: Scene) -> Sequence[Finding]:
    """Return what there is of each, and what is short."""
    return [
        *_node(scene),
        *_memory(scene.options.proc),
        *_disk(scene),
        *_store(scene),
        *_ports(scene),
        *_workers(scene),
    ]


def _node(scene: Scene) -> Iterator[Finding]:
    """Say whether a source tree's front end could be built; a package needs no Node.js."""
    if not isinstance(scene.installer, OpenWebuiTree):
        return
    node = shutil.which("node", path=scene.options.env.get("PATH"))
    if node is not None and os.geteuid() == 0:
        owner = changeable_by((Path(node), Path(os.path.realpath(node))))
        if owner is not None:
            yield unknown(
                "node", f"{node} is not run as root: {owner} can change it", "Run as that user."
            )
            return
    try:
        found = frontend.toolchain(scene.options.env)
    except BuildFailed as trouble:
        if scene.status is not None and scene.status.build is not None:
            yield note("node", "no Node.js that could build the front end again; it is built")
        else:
            why = str(trouble).removesuffix(" Nothing was changed.")
            yield warning("node", "no Node.js that can build the front end", why)
        return
    version = ".".join(map(str, found.version))
    yield ok("node", f"Node.js {version} can build the front end", version=version)


def _memory(proc: Path) -> Iterator[Finding]:
    try:
        with (proc / "meminfo").open("rb") as file:
            words = file.read(1 << 16).decode("ascii", "replace")
    except OSError as trouble:
        what = f"the kernel does not say how much memory there is: {trouble}"
        yield unknown("memory", what, "Mount /proc here.")
        return
    sizes = {
        name: int(kib) * 1024
        for name, kib in re.findall(r"^(MemTotal|MemAvailable): +(\d{1,15}) kB$", words, re.M)
    }
    total, free = sizes.get("MemTotal", 0), sizes.get("MemAvailable", 0)
    shown = f"memory: {_gib(free)} of {_gib(total)} GiB are free"
    detail = {"total": total, "available": free}
    if free < _LITTLE_MEMORY:
        yield warning("memory", shown, "Give the VM more, or load a smaller model.", **detail)
    else:
        yield ok("memory", shown, **detail)


def _disk(scene: Scene) -> Iterator[Finding]:
    if scene.data is None:
        yield unknown("disk", "where chats and files lie is not known", "Name --openwebui-dir.")
        return
    place = _nearest(scene.data)
    free = shutil.disk_usage(place).free
    shown = f"disk: {_gib(free)} GiB are free for {scene.data}"
    detail = {"folder": str(scene.data), "free": free}
    cure = "Make room, or move DATA_DIR to a larger disk."
    if free < _NO_DISK:
        yield failure("disk", shown, cure, **detail)
    elif free < _LITTLE_DISK:
        yield warning("disk", shown, cure, **detail)
    else:
        yield ok("disk", shown, **detail)


def _nearest(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that is there."""
    return next(one for one in (folder, *folder.absolute().parents) if one.exists())


def _store(scene: Scene) -> Iterator[Finding]:
    """Say whether the host can read what is kept, by the kernel's word."""
    stores = scene.own.members.get("stores")
    stored = stores.get(str(scene.data)) if isinstance(stores, dict) else None
    if scene.data is None or not isinstance(stored, dict):
        return
    kind = text(stored, "kind") or "not-known"
    shown = f"chats and files lie on: {kind}, by the kernel's word"
    if kind in _SAFE:
        yield ok("disk-encryption", shown, **stored)
    elif kind == "not-known":
        cure = "See docs/backend.md, What the server states; an encrypted disk of this TD is known."
        yield unknown("disk-encryption", "whether the host can read the disk is not known", cure)
    else:
        yield warning(
            "disk-encryption",
            f"{shown}: the host can read them",
            "Put DATA_DIR on a disk that this TD encrypts (cryptsetup, LUKS2).",
            **stored,
        )


def _ports(scene: Scene) -> Iterator[Finding]:
    """Say at which addresses the server listens, or whether its port is free."""
    if scene.server is not None:
        yield from _listening(scene, processes.addresses_of(scene.server, scene.options.proc))
        return
    if scene.options.url is not None or scene.servers:
        return
    port = scene.options.env.get("PORT", "")
    wanted = int(port) if re.fullmatch(r"[1-9]\d{0,4}", port) else DEFAULT_PORT
    if any(one.port == wanted for one in processes.listening(scene.options.proc)):
        cure = "Stop that program, or start open-webui with another --port."
        yield warning("ports", f"port {wanted} is taken by another program", cure, port=wanted)
    else:
        yield ok("ports", f"port {wanted} is free", port=wanted)


def _listening(scene: Scene, found: Sequence[Listening]) -> Iterator[Finding]:
    if not found:
        return
    shown = ", ".join(sorted({f"{one.host} port {one.port}" for one in found}))
    what, detail = f"open-webui listens at {shown}", [[one.host, one.port] for one in found]
    if not any(one.is_for_everybody for one in found):
        yield ok("ports", what, addresses=detail)
    elif _is_https(scene):
        cure = "Where that is not wanted: --host 127.0.0.1, or a firewall."
        yield note("ports", f"{what}: also past the HTTPS in front", cure, addresses=detail)
    else:
        why = "opened by http:// and an address, its badge is always red"
        cure = "Put HTTPS in front, inside the TD (docs/sealed.md), and name its --url."
        yield note("ports", f"{what}: {why}", cure, addresses=detail)


def _is_https(scene: Scene) -> bool:
    return (scene.options.url or "").startswith("https:")


def _workers(scene: Scene) -> Iterator[Finding]:
    """Say whether one process has all keys: several do not start where requests come sealed."""
    if scene.server is None:
        return
    asked = _asked_workers(scene.server.command, scene.settings)
    seen = processes.sharing(scene.server, scene.options.proc)
    count = max(asked, seen)
    if count > 1 and scene.settings.get("TEE_SEALED", "").strip().lower() != "off":
        yield failure(
            "workers",
            f"{count} workers: keys of sealed requests are one process's, so they do not start",
            "Set UVICORN_WORKERS=1 (docs/sealed.md, Several workers).",
            workers=count,
        )
    else:
        yield ok("workers", f"{count} worker" if count == 1 else f"{count} workers", workers=count)


def _asked_workers(command: Sequence[str], settings: Mapping[str, str]) -> int:
    """Return how many workers a server was asked for; an option comes before the variables."""
    words = [settings.get("UVICORN_WORKERS", ""), settings.get("WEB_CONCURRENCY", "")]
    for at, word in enumerate(command):
        name, equals, value = word.partition("=")
        if name == "--workers":
            words.insert(0, value if equals else "".join(command[at + 1 : at + 2]))
    return next((int(word) for word in words if re.fullmatch(r"[1-9]\d{0,3}", word)), 1)


def _gib(size: int) -> str:
    return f"{size / _GIB:.1f}"
