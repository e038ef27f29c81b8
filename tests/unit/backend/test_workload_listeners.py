"""Who listens on loopback, out of small trees like /proc, and out of the real one."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest

from cczoo_backend.workload import sockets
from cczoo_backend.workload.listeners import Listener, Listeners
from cczoo_backend.workload.sockets import by_netlink, by_proc

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid inode\n"
IPV4, IPV6 = ip_address("127.0.0.1"), ip_address("::1")


class Proc:
    """A folder in the form of /proc."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "self/net").mkdir(parents=True)
        self.write("tcp", [])
        self.write("tcp6", [])

    def write(self, table: str, rows: list[str]) -> None:
        (self.root / "self/net" / table).write_text(HEAD + "".join(rows))

    def process(self, pid: int, exe: str | None, inodes: list[int], *, uid: int = 7) -> None:
        folder = self.root / str(pid)
        (folder / "fd").mkdir(parents=True)
        if exe is not None:
            (folder / "exe").symlink_to(exe)
        (folder / "comm").write_text(Path(exe or "unnamed").name[:15] + "\n")
        (folder / "status").write_text(f"Name:\tx\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n")
        for number, inode in enumerate(inodes):
            (folder / "fd" / str(number)).symlink_to(f"socket:[{inode}]")

    def listeners(self, clock: Callable[[], float] = time.monotonic) -> Listeners:
        return Listeners(self.root, lambda: list(by_proc(self.root)), clock)


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


def row(address: str, inode: int, *, state: str = "0A", uid: int = 7) -> str:
    return f"   0: {address} 00000000:0000 {state} 0:0 00:0 0 {uid} 0 {inode} 1 0 100 0 0 10 0\n"


OLLAMA = "0100007F:2CAA"  # 127.0.0.1:11434
EVERYWHERE = "00000000000000000000000000000000:2CAA"
IPV6_LOOPBACK = "00000000000000000000000001000000:2CAA"


def test_program_by_its_descriptor(proc: Proc) -> None:
    proc.write("tcp", [row(OLLAMA, 5)])
    proc.process(10, "/usr/bin/ollama", [4, 5])
    proc.process(11, "/usr/bin/bash", [6])
    assert proc.listeners().on([IPV4], 11434) == Listener(("ollama",), (10,))


@pytest.mark.parametrize(
    "exe", ["/usr/bin/ssh", "/usr/bin/docker-proxy", "/usr/lib/systemd/systemd"]
)
def test_forwarders_do_not_count(exe: str, proc: Proc) -> None:
    proc.write("tcp", [row(OLLAMA, 5)])
    proc.process(10, exe, [5])
    assert proc.listeners().on([IPV4], 11434).problem == "forwarder"


def test_all_who_may_answer_count(proc: Proc) -> None:
    """A tunnel on one address, and Ollama on another: clients try both."""
    proc.write("tcp", [row(OLLAMA, 5)])
    proc.write("tcp6", [row(IPV6_LOOPBACK, 6)])
    proc.process(10, "/usr/bin/ollama", [5])
    proc.process(11, "/usr/bin/ssh", [6])
    assert proc.listeners().on([IPV4, IPV6], 11434).problem == "forwarder"
    assert proc.listeners().on([IPV4], 11434).problem is None


def test_socket_on_all_addresses_answers_both(proc: Proc) -> None:
    proc.write("tcp6", [row(EVERYWHERE, 5)])
    proc.process(10, "/usr/bin/ollama (deleted)", [5])
    for ip in (IPV4, IPV6):
        assert proc.listeners().on([ip], 11434).programs == ("ollama",)


def test_nobody_listens(proc: Proc) -> None:
    proc.write("tcp", [row(OLLAMA, 5, state="01"), row(OLLAMA, 6)])  # connections come last
    assert proc.listeners().on([IPV4], 11434).problem == "no-listener"
    assert list(by_proc(proc.root / "missing")) == []


def test_holder_that_is_not_seen(proc: Proc) -> None:
    """As from another PID namespace."""
    proc.write("tcp", [row(OLLAMA, 5)])
    assert proc.listeners().on([IPV4], 11434).problem == "not-permitted"


@pytest.mark.parametrize(
    "line", ["x\n", "0: zz:zz 0 0A 0 0 0 0 0 0 0\n", "0: 01:2CAA 0 0A 0 0 0 7 0 5 0\n"]
)
def test_odd_tables(line: str, proc: Proc) -> None:
    proc.write("tcp", [line])
    assert proc.listeners().on([IPV4], 11434).problem == "no-listener"


def _close(monkeypatch: pytest.MonkeyPatch, pids: set[int]) -> None:
    """Let descriptors of ``pids`` be unreadable, as other users' are."""
    scan, link = os.scandir, os.readlink

    def scandir(path: Path) -> object:
        if Path(path).name == "fd" and int(Path(path).parent.name) in pids:
            raise PermissionError
        return scan(path)

    def readlink(path: Path) -> str:
        if Path(path).name == "exe" and int(Path(path).parent.name) in pids:
            raise PermissionError
        return link(path)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "readlink", readlink)


def test_other_users_program_by_the_sockets_user(
    proc: Proc, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc.write("tcp", [row(OLLAMA, 5, uid=997)])
    proc.process(10, "/usr/bin/ollama", [5], uid=997)
    proc.process(11, "/usr/bin/ollama", [], uid=997)
    proc.process(12, "/usr/bin/bash", [], uid=1000)
    _close(monkeypatch, {10, 11, 12})
    assert proc.listeners().on([IPV4], 11434) == Listener(("ollama",), (10, 11))


def test_user_with_several_programs_tells_nothing(
    proc: Proc, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc.write("tcp", [row(OLLAMA, 5, uid=997)])
    proc.process(10, "/usr/bin/ollama", [5], uid=997)
    proc.process(11, "/usr/bin/python3", [], uid=997)
    _close(monkeypatch, {10, 11})
    assert proc.listeners().on([IPV4], 11434).problem == "not-permitted"


def test_processes_are_remembered_for_seconds(proc: Proc) -> None:
    now = [0.0]
    listeners = proc.listeners(clock=lambda: now[0])
    proc.write("tcp", [row(OLLAMA, 5)])
    proc.process(10, "/usr/bin/ollama", [5])
    assert listeners.on([IPV4], 11434).programs == ("ollama",)
    proc.process(11, "/usr/bin/ssh", [5])
    listeners.look_again()
    assert listeners.on([IPV4], 11434).problem is None
    now[0] = 11.0
    listeners.look_again()
    assert listeners.on([IPV4], 11434).problem == "forwarder"


def test_new_socket_is_noticed_at_the_next_look(proc: Proc) -> None:
    listeners = proc.listeners()
    assert listeners.on([IPV4], 11434).problem == "no-listener"
    proc.write("tcp", [row(OLLAMA, 5)])
    proc.process(10, "/usr/bin/ollama", [5])
    listeners.look_again()
    assert listeners.on([IPV4], 11434).problem is None


def test_this_process_really() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        listener = Listeners().on([IPV4], server.getsockname()[1])
    assert listener.pids == (os.getpid(),)
    assert listener.problem is None
    assert listener.programs[0].startswith("python")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_both_ways_to_ask_the_kernel_say_the_same(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        ways = [{s for s in found if s.port == port} for found in (by_netlink(), by_proc())]
    assert ways[0] == ways[1]
    assert [str(found.ip) for found in ways[0]] == [host]


def test_proc_is_read_where_the_kernel_has_no_sock_diag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "_NETLINK_SOCK_DIAG", 31)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert port in {found.port for found in sockets.listening_sockets()}
