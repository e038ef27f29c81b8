"""Finding the open-webui that runs: real processes, and what the kernel says of hostile ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cczoo_installer.doctor import processes
from cczoo_installer.doctor.processes import Listening
from environment_double import Environment

LISTENS = "0A 00000000:00000000 00:00000000 00000000  0        0"


def add(proc: Path, pid: int, *command: str, **files: str) -> Path:
    """A process in a tree of the kernel's files."""
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "cmdline").write_bytes(os.fsencode("".join(f"{word}\0" for word in command)))
    (folder / "stat").write_text(f"{pid} (a) b) c) S 1 {'0 ' * 17}12345 0\n")
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "exe").symlink_to(sys.executable)
    (folder / "cwd").symlink_to("/")
    return folder


def test_a_real_server_is_found_with_all_there_is_to_see(environment: Environment) -> None:
    with environment.serving(DATA_DIR="/srv/data", SECRET="x=y") as server:
        [found] = [one for one in processes.serving() if one.pid == server.pid]
        assert found.user == os.geteuid()
        assert found.environ is not None
        assert (found.environ["DATA_DIR"], found.environ["SECRET"]) == ("/srv/data", "x=y")
        assert found.python() == environment.python
        [address] = processes.addresses_of(found)
        assert (address.host, address.port) == ("127.0.0.1", server.port)
        assert processes.sharing(found) == 1
        assert found.began is not None
        assert found.began >= environment.python.parent.stat().st_ctime - 2
    assert server.pid not in [one.pid for one in processes.serving()]


def test_a_python_that_was_called_by_name_is_found_by_its_path(environment: Environment) -> None:
    code = "print(1, flush=True); input()"
    with subprocess.Popen(
        ["python", "-c", code, "open_webui.main:app"],
        executable=environment.python,
        env={"PATH": f"/nonexistent:{environment.python.parent}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            [found] = [one for one in processes.serving() if one.pid == child.pid]
            assert found.python() == environment.python
        finally:
            child.kill()


@pytest.mark.parametrize(
    "command",
    [
        ("/v/bin/python3", "/v/bin/open-webui", "serve"),
        ("python", "-u", "/v/bin/open-webui", "serve", "--port", "80"),
        ("/v/bin/python3.11", "/v/bin/uvicorn", "open_webui.main:app"),
        ("python3", "-m", "uvicorn", "cczoo_backend.asgi:app", "--port", "1"),
        ("python3", "-m", "cczoo_backend"),
        ("python3", "-P", "-m", "cczoo_backend", "serve"),
        ("python3", "-m", "open_webui", "serve"),
    ],
)
def test_every_way_to_start_it_is_known(proc: Path, command: tuple[str, ...]) -> None:
    add(proc, 42, *command)
    assert [one.command for one in processes.serving(proc)] == [command]


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("",),
        ("open-webui", "serve"),
        ("sh", "-c", "open-webui serve"),
        ("vim", "open_webui.main:app"),
        ("python3", "/v/bin/open-webui", "dev"),
        ("python3", "-m", "cczoo_backend.diagnosis"),
        ("python3", "-m", "cczoo_installer", "doctor", "--openwebui-dir", "open-webui"),
        ("python3", "-m"),
        ("python3", "x" * 5_000_000),
        ("python3", "\udcff\n\x1b[2J", "open_webui.main:app\n"),
    ],
)
def test_what_only_looks_like_it_is_not_taken_for_it(proc: Path, command: tuple[str, ...]) -> None:
    add(proc, 42, *command)
    assert processes.serving(proc) == []


def test_what_cannot_be_seen_is_none(proc: Path) -> None:
    folder = add(proc, 42, "python3", "-m", "cczoo_backend")
    (folder / "fd").rmdir()
    (folder / "stat").write_text("nonsense")
    (folder / "exe").unlink()
    [found] = processes.serving(proc)
    assert (found.environ, found.sockets, found.began, found.python()) == (None, None, None, None)
    assert processes.addresses_of(found, proc) == []


def test_an_interpreter_that_is_another_file_than_what_runs_is_none(
    proc: Path, tmp_path: Path
) -> None:
    other = tmp_path / "python3"
    other.write_text("not what runs")
    other.chmod(0o755)
    add(proc, 42, str(other), "-m", "cczoo_backend", environ="PATH=/bin")
    [found] = processes.serving(proc)
    assert found.python() is None


def test_the_age_is_counted_from_the_boot(proc: Path) -> None:
    add(proc, 42, "python3", "-m", "cczoo_backend")
    [found] = processes.serving(proc)
    assert found.began == 1_700_000_000 + 12345 / os.sysconf("SC_CLK_TCK")


def test_addresses_are_read_as_the_kernel_writes_them(proc: Path) -> None:
    head = "  sl  local_address rem_address   st ...\n"
    (proc / "net" / "tcp").write_text(
        f"{head}   0: 0100007F:1F90 00000000:0000 {LISTENS} 111 1 0\n"
        f"   1: 00000000:0050 00000000:0000 {LISTENS} 112 1 0\n"
        f"   2: 0100007F:1F91 0100007F:1234 01 0 0 0 0 0 113 1 0\n"
        f"   3: nonsense {LISTENS}\n   4: 0100007F:zzzz 0:0 {LISTENS} 9 1\n"
    )
    (proc / "net" / "tcp6").write_text(
        f"{head}   0: 00000000000000000000000001000000:1F92 0:0 {LISTENS} 114 1 0\n"
    )
    found = processes.listening(proc)
    # The status is the fourth field here, as in the kernel's own.
    assert [(one.host, one.port, one.inode) for one in found] == [
        ("127.0.0.1", 8080, 111),
        ("0.0.0.0", 80, 112),
        ("::1", 8082, 114),
    ]
    assert [one.is_for_everybody for one in found] == [False, True, False]


def test_workers_that_share_a_socket_are_counted(proc: Path) -> None:
    (proc / "net" / "tcp").write_text(f"head\n 0: 00000000:1F90 0:0 {LISTENS} 77 1 0\n")
    for pid in (1, 2, 3):
        folder = add(proc, pid, "python3", "-m", "cczoo_backend" if pid == 1 else "other")
        (folder / "fd" / "3").symlink_to("socket:[77]" if pid != 3 else "socket:[78]")
        (folder / "fd" / "4").symlink_to("socket:[x]")
    [found] = processes.serving(proc)
    assert processes.addresses_of(found, proc) == [Listening("0.0.0.0", 8080, 77)]
    assert processes.sharing(found, proc) == 2


def test_a_machine_without_proc_has_no_processes(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    assert processes.serving(nothing) == []
    assert processes.listening(nothing) == []
