"""Workers of one server are noticed by the socket that they share, by whatever they were started.

Each test starts a real server with an application that tells how many others it knows of.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cczoo_backend.sealed import workers

SECONDS = 60
BACKEND = Path(__file__).resolve().parents[3] / "backend"
APPLICATION = """\
import os, sys, time
from cczoo_backend.sealed.workers import others

async def app(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    with open("told", "a") as told:
        told.write(f"{os.getpid()} {others()}\\n")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
"""

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a Python process in a folder that has the application; it ends with the test."""
    (tmp_path / "told_app.py").write_text(APPLICATION)
    started: list[subprocess.Popen[bytes]] = []

    def starting(*arguments: str, **environ: str) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(map(str, (tmp_path, BACKEND, BACKEND.parent)))
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": path, **environ},
        )
        started.append(process)
        return process

    yield starting
    for process in started:
        process.send_signal(signal.SIGTERM)
    for process in started:
        process.wait(SECONDS)


def told(folder: Path, lines: int) -> list[int]:
    """How many others each process knew of, once so many have told."""
    end = time.monotonic() + SECONDS
    file = folder / "told"
    while time.monotonic() < end:
        found = file.read_text().splitlines() if file.exists() else []
        if len(found) >= lines:
            return [int(line.split()[1]) for line in found]
        time.sleep(0.05)
    raise AssertionError("not all have told")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


def uvicorn(*more: str) -> tuple[str, ...]:
    return ("-m", "uvicorn", "told_app:app", "--port", str(free_port()), *more)


def test_workers_see_each_other(start: Start, tmp_path: Path) -> None:
    start(*uvicorn("--workers", "2"))
    assert told(tmp_path, 2) == [1, 1]


def test_workers_by_a_variable_see_each_other(start: Start, tmp_path: Path) -> None:
    start(*uvicorn(), WEB_CONCURRENCY="2")
    assert told(tmp_path, 2) == [1, 1]


def test_a_worker_that_replaces_another_knows_of_those_to_come(
    start: Start, tmp_path: Path
) -> None:
    """The other is gone when it looks, as after it refused to start; its own turn comes next."""
    (tmp_path / "alone.py").write_text(
        textwrap.dedent("""\
        import uvicorn
        from uvicorn.supervisors import Multiprocess

        start_all = Multiprocess.init_processes

        def start_one(supervisor):
            supervisor.processes_num = 1
            start_all(supervisor)

        if __name__ == "__main__":
            Multiprocess.init_processes = start_one
            uvicorn.run("told_app:app", port=0, workers=3)
        """)
    )
    start("alone.py")
    assert told(tmp_path, 1) == [2]


def test_one_worker_serves_alone(start: Start, tmp_path: Path) -> None:
    start(*uvicorn("--workers", "1"), WEB_CONCURRENCY="4")
    assert told(tmp_path, 1) == [0]


def test_a_server_that_reloads_has_one_worker(start: Start, tmp_path: Path) -> None:
    start(*uvicorn("--reload", "--reload-dir", str(tmp_path)))
    assert told(tmp_path, 1) == [0]


def test_servers_of_one_parent_serve_alone(start: Start, tmp_path: Path) -> None:
    for _ in range(3):
        start(*uvicorn())
    assert told(tmp_path, 3) == [0, 0, 0]


def test_servers_that_got_a_socket_each_from_one_parent_serve_alone(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "parent.py").write_text(
        textwrap.dedent("""\
        import multiprocessing, signal, socket
        import uvicorn

        def serve(listener):
            uvicorn.Server(uvicorn.Config("told_app:app")).run(sockets=[listener])

        if __name__ == "__main__":
            context = multiprocessing.get_context("spawn")
            children = []
            for _ in range(2):
                listener = socket.create_server(("127.0.0.1", 0))
                children.append(context.Process(target=serve, args=(listener,)))
                children[-1].start()
            signal.signal(signal.SIGTERM, lambda *_: [child.terminate() for child in children])
            for child in children:
                child.join()
        """)
    )
    start("parent.py")
    assert told(tmp_path, 2) == [0, 0]


def test_an_output_in_common_is_no_server_in_common(tmp_path: Path) -> None:
    """As with a log that takes the output of all that a supervisor started by a socket."""
    ours, theirs = socket.socketpair()
    code = "import sys; print('up', flush=True); sys.stdin.read()"
    with ours, theirs:
        os.set_inheritable(theirs.fileno(), True)
        other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=theirs)
        heard = ours.makefile("rb")
        assert heard.readline() == b"up\n"
        script = "from cczoo_backend.sealed.workers import others; print(others())"
        path = os.pathsep.join(map(str, (BACKEND, BACKEND.parent)))
        subprocess.run(
            [sys.executable, "-c", script],
            stdout=theirs,
            env={"PYTHONPATH": path},
            timeout=SECONDS,
            check=True,
        )
        assert heard.readline() == b"0\n"
        other.communicate(timeout=SECONDS)


def test_nothing_is_seen_where_there_is_no_proc(tmp_path: Path) -> None:
    assert workers.siblings(tmp_path) == []
    (tmp_path / str(os.getpid())).mkdir()
    (tmp_path / str(os.getpid()) / "stat").write_text("7 (a) b) S")
    assert workers.siblings(tmp_path) == []
