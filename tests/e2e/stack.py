"""The processes behind the browser tests, each with a log, a bounded start and a sure end."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

REPO = Path(__file__).resolve().parents[2]
LOG_TAIL_CHARACTERS = 4000
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1  # linux/prctl.h
# Nobody vouches for the certificate of a server here that speaks TLS: reading this machine's
# authorities for each request would cost more than the request.
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
NO_AUTHORITIES.check_hostname = False
NO_AUTHORITIES.verify_mode = ssl.CERT_NONE


class StackError(Exception):
    """A process did not start or did not answer; the message holds the end of its log."""


def wait_until(
    condition: Callable[[], Any], what: str, *, seconds: float, interval: float = 0.05
) -> Any:
    """Return the first true value of ``condition()``; raise StackError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise StackError(f"{what}: not within {seconds:g} seconds")
        time.sleep(interval)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(method: str, url: str, **options: Any) -> httpx.Response:
    """Send one request to a server of this machine, without cookies; by default for a minute."""
    options.setdefault("timeout", 60)
    with httpx.Client(trust_env=False, verify=NO_AUTHORITIES) as client:
        return client.request(method, url, **options)


def die_with_parent() -> None:
    """In the child, before exec: let even a killed test run leave no server behind."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Process:
    """A child process in a session of its own, so that its end is the end of its children too."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ):
        self.log = log
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    def wait_ready(self, ready: Callable[[], Any], *, seconds: float) -> Any:
        """Return ``ready()`` once it is true; raise with the log's end if that never happens."""

        def ready_or_dead() -> Any:
            if self._child.poll() is not None:
                raise StackError(f"ended with exit code {self._child.returncode}")
            return ready()

        try:
            return wait_until(ready_or_dead, "start", seconds=seconds)
        except StackError as error:
            self.stop()
            raise StackError(f"{self.log.name}: {error}\n{self.log_tail()}") from None

    def announced(self) -> dict[str, Any] | None:
        """Return the JSON line that a server prints when it listens, if it is there already."""
        for line in self.log.read_text(errors="replace").splitlines():
            if line.startswith("{"):
                with contextlib.suppress(ValueError):
                    event = json.loads(line)
                    if event.get("event") == "listening":
                        return dict(event)
        return None

    def log_tail(self) -> str:
        """Return the last lines of what the process wrote."""
        return self.log.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:]

    def kill(self) -> None:
        """End the process the way a crash does (SIGKILL), children included."""
        self._signal(signal.SIGKILL)
        self._child.wait(timeout=10)

    def kill_leader(self) -> None:
        """End the process like a crash, but leave it to its children to notice."""
        self._child.kill()
        self._child.wait(timeout=10)

    def signal_group(self, number: int) -> None:
        """Signal the process and those of its group, as Ctrl-C on a terminal does."""
        os.killpg(self._child.pid, number)
        self._child.wait(timeout=30)

    def stop(self) -> None:
        """End the process: politely, and for sure."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout=10)
        self._signal(signal.SIGKILL)
        self._child.wait(timeout=10)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)


@contextlib.contextmanager
def announcing_server(
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    seconds: float = 30,
) -> Iterator[dict[str, Any]]:
    """Run a server that prints ``{"event": "listening", "url": ...}``; yield that object."""
    process = Process(command, log=log, env=env)
    try:
        yield process.wait_ready(process.announced, seconds=seconds)
    finally:
        process.stop()


# open-webui


BACKEND_ENVIRONMENT = {
    "OFFLINE_MODE": "true",
    "RAG_EMBEDDING_ENGINE": "openai",
    "ENABLE_OLLAMA_API": "false",
    "OPENAI_API_KEY": "not-a-secret",
    "WEBUI_SECRET_KEY": "only-for-tests",
    "ANONYMIZED_TELEMETRY": "false",
    "DO_NOT_TRACK": "true",
    "SCARF_NO_ANALYTICS": "true",
    "ENABLE_EVALUATION_ARENA_MODELS": "false",
    "ENABLE_TITLE_GENERATION": "false",
    "ENABLE_TAGS_GENERATION": "false",
    "ENABLE_AUTOCOMPLETE_GENERATION": "false",
    "ENABLE_FOLLOW_UP_GENERATION": "false",
}
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")
START_SECONDS = 300


@dataclass(frozen=True)
class Installation:
    """An open-webui on this disk, and how it is started.

    ``command`` goes to the interpreter, in ``directory``; --host and --port follow it. ``package``
    is the folder of open_webui, and ``front_end`` the built pages that it serves.
    """

    python: Path
    command: tuple[str, ...]
    directory: Path
    package: Path
    front_end: Path


@dataclass(frozen=True)
class BackendSpec:
    """How one open-webui is started; ``wrapper`` is put in front of its command."""

    name: str
    installation: Installation
    directory: Path
    model_url: str
    port: int
    env: Mapping[str, str]
    wrapper: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        scheme = "https" if "--https" in self.installation.command else "http"
        return f"{scheme}://127.0.0.1:{self.port}"


class Backend:
    """A running open-webui with one signed-in administrator."""

    def __init__(self, spec: BackendSpec):
        self.spec = spec
        self.url = spec.url
        self.token = ""
        (spec.directory / "data").mkdir(parents=True, exist_ok=True)
        self._start()
        try:
            self._settle_in()
        except Exception:
            self.stop()
            raise

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one request as the administrator (``token=None``: as nobody)."""
        token = options.pop("token", self.token)
        headers = dict(options.pop("headers", {}))
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return ask(method, self.url + path, headers=headers, **options)

    def quote(self, nonce: str | None = None, **options: Any) -> httpx.Response:
        """Ask for a quote."""
        params = {} if nonce is None else {"nonce": nonce}
        return self.call("GET", "/api/v1/tee/quote", params=params, **options)

    def crash_and_restart(self) -> None:
        """Kill the backend without warning and start it again with the same data."""
        self.crash()
        self.start_again()

    def crash(self) -> None:
        """Kill the backend without warning."""
        self._process.kill()

    def start_again(self) -> None:
        """Start the backend after its end, with the same data."""
        self._start()

    def stop(self) -> None:
        """Stop the backend."""
        self._process.stop()

    @property
    def pid(self) -> int:
        """The server's process, or that of the supervisor of its workers."""
        return self._process.pid

    def log(self) -> str:
        """Return what the backend has logged so far."""
        return self._process.log.read_text(errors="replace")

    def log_tail(self) -> str:
        """Return the end of the backend's log."""
        return self._process.log_tail()

    def _start(self) -> None:
        spec = self.spec
        environment = {key: os.environ[key] for key in PASSED_ON if key in os.environ}
        environment |= BACKEND_ENVIRONMENT
        environment |= {
            "DATA_DIR": str(spec.directory / "data"),
            "OPENAI_API_BASE_URL": spec.model_url + "/v1",
            "PYTHONUNBUFFERED": "1",
            **spec.env,
        }
        installation = spec.installation
        command = [*spec.wrapper, installation.python, *installation.command]
        command += ["--host", "127.0.0.1", "--port", str(spec.port)]
        self._process = Process(
            command,
            log=spec.directory / f"open-webui-{spec.name}.log",
            env=environment,
            cwd=installation.directory,
        )
        self._process.wait_ready(self._healthy, seconds=START_SECONDS)

    def _healthy(self) -> bool:
        try:
            return self.call("GET", "/health", token=None, timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def _settle_in(self) -> None:
        self.token = self._sign_in()
        # What closing the "What's new" dialog does.
        version = self.call("GET", "/api/version").json()["version"]
        self.call("POST", "/api/v1/users/user/settings/update", json={"ui": {"version": version}})
        # Until models are listed and measured the statement changes, and pages attest once more.
        self.call("GET", "/api/models")
        wait_until(self._is_measured, "what is measured beside the start", seconds=START_SECONDS)

    def _is_measured(self) -> bool:
        answer = self.call("GET", "/api/v1/tee/statement")
        return not answer.is_success or "being-measured" not in answer.text

    def _sign_in(self) -> str:
        """Return a token of the administrator, whose account is made with the first start."""
        account = {"name": "Ada", "email": "ada@example.com", "password": "only-for-tests"}
        for path in ("signup", "signin"):
            answer = self.call("POST", f"/api/v1/auths/{path}", json=account, token=None)
            if answer.is_success:
                return str(answer.json()["token"])
        raise StackError(f"nobody can sign in: {answer.text}")


LOADER = "/api/v1/tee/page/loader-"


def assert_stock(backend: Backend) -> None:
    """Assert that open-webui is as its makers made it: its page and its addresses."""
    page = backend.call("GET", "/", token=None)
    assert page.content == (backend.spec.installation.front_end / "index.html").read_bytes()
    assert "last-modified" in page.headers
    # Whatever open-webui says about an address that it does not know.
    unknown = backend.call("GET", "/api/v1/nothing-of-the-kind")
    for path in ("config", "quote", "page/manifest.json"):
        answer = backend.call("GET", f"/api/v1/tee/{path}")
        assert (answer.status_code, answer.content) == (unknown.status_code, unknown.content)


def assert_with_kit(backend: Backend) -> None:
    """Assert that the page has the loader and the server the routes."""
    assert LOADER in backend.call("GET", "/", token=None).text
    assert backend.call("GET", "/api/v1/tee/config").json()["v"] == 1
