"""`make demo`: a stock open-webui v0.5.20 becomes one with a trust badge, and runs.

Starts three servers on loopback, in this order, and stops them all on Ctrl-C or when one ends:
a model server (your Ollama, or a small local model), the attestation service under the simulator's
root (`cczoo-verify serve`), and the patched open-webui with a simulated TD.

Environment: PORT (default 8080), OPENWEBUI_DIR (default out/demo/open-webui), OLLAMA_BASE_URL, and
DEMO_HOME for everything that it keeps between runs (default out/demo).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import requests

REPO = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("DEMO_HOME") or REPO / "out" / "demo").resolve()
VERSION = "0.5.20"
EMAIL = "demo@example.org"
HOST = "127.0.0.1"
LOCAL_OLLAMA = f"http://{HOST}:11434"
START_TIMEOUT_SECONDS = 180.0
STOP_TIMEOUT_SECONDS = 10.0


class DemoError(Exception):
    """Something a person has to mend; the message says how."""


LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent() -> None:
    """In the child, before exec: let even a kill -9 of the demonstration stop its servers."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Server:
    """One child process, its name for people and its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])


@dataclass
class Servers:
    """The children, stopped in reverse order on every path."""

    running: list[Server] = field(default_factory=list)

    def start(
        self, name: str, command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path
    ) -> Server:
        log = HOME / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(word) for word in command],
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        server = Server(name, process, log)
        self.running.append(server)
        return server

    def wait_until(self, server: Server, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            self.check()
            if ready():
                return
            time.sleep(0.2)
        raise DemoError(f"{server.name} did not answer in time. Its log ends:\n{server.tail()}")

    def check(self) -> None:
        for server in self.running:
            if server.process.poll() is not None:
                raise DemoError(f"{server.name} ended by itself. Its log ends:\n{server.tail()}")

    def stop(self) -> None:
        for server in reversed(self.running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.process.pid, signal.SIGTERM)
        for server in reversed(self.running):
            try:
                server.process.wait(STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(server.process.pid, signal.SIGKILL)
                server.process.wait()
        self.running.clear()


@contextlib.contextmanager
def servers() -> Iterator[Servers]:
    group = Servers()
    try:
        yield group
    finally:
        # A second Ctrl-C while stopping must not leave a server behind.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        group.stop()


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


def steady_port(wished: int) -> int:
    """`wished` where it is free, so that addresses kept in settings survive a restart."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wished))
        except (OSError, OverflowError):
            probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def wanted_port() -> int:
    text = os.environ.get("PORT") or "8080"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise DemoError(f"PORT is {text!r}; it must be a number from 1 to 65535.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, int(text)))
        except OSError as error:
            raise DemoError(
                f"port {text} cannot be used ({error.strerror}). Choose another one: "
                "`make demo PORT=8090`."
            ) from error
    return int(text)


def kept_secret(name: str) -> str:
    """A random text that stays the same from run to run, readable by this user only."""
    file = HOME / name
    if not file.exists():
        # Whole or not at all: an interrupted run must not leave an empty secret behind.
        draft = HOME / f"{name}.new"
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
            new.write(secrets.token_urlsafe(12))
        draft.replace(file)
    return file.read_text()


def installed_tree() -> Path:
    """open-webui with the kit applied; a finished earlier installation is kept as it is."""
    tree = Path(os.environ.get("OPENWEBUI_DIR") or HOME / "open-webui").resolve()
    command = [sys.executable, "-m", "cczoo_installer", "--openwebui-dir", str(tree)]
    if subprocess.run([*command, "--fetch", VERSION], check=False).returncode != 0:
        raise DemoError(f"cczoo-install did not succeed on {tree}; what it said is above.")
    return tree


def model_environment(group: Servers, web_port: int) -> dict[str, str]:
    """Settings that point open-webui at Ollama, or at the small model started here."""
    ollama = os.environ.get("OLLAMA_BASE_URL")
    if not ollama and answers(f"{LOCAL_OLLAMA}/api/version"):
        ollama = LOCAL_OLLAMA
    if ollama:
        print(f"Using the Ollama at {ollama}", file=sys.stderr)
        return {
            "ENABLE_OLLAMA_API": "true",
            "OLLAMA_BASE_URL": ollama,
            "ENABLE_OPENAI_API": "false",
        }
    bootstrap = [sys.executable, str(REPO / "tools" / "bootstrap.py"), "model"]
    if subprocess.run(bootstrap, check=False).returncode != 0:
        raise DemoError("the small model could not be installed; what went wrong is above.")
    port = steady_port(web_port + 1)
    python = REPO / ".venv-model" / "bin" / "python"
    command = [python, REPO / "tools" / "model_server.py", str(port)]
    server = group.start("model-server", command, env=os.environ, cwd=HOME)
    group.wait_until(server, lambda: answers(f"http://{HOST}:{port}/health"))
    return {
        "ENABLE_OLLAMA_API": "false",
        "ENABLE_OPENAI_API": "true",
        "OPENAI_API_BASE_URL": f"http://{HOST}:{port}/v1",
        "OPENAI_API_KEY": "none",
    }


def start_attestation_service(group: Servers, web_port: int) -> str:
    """`cczoo-verify serve` under the simulator's root; returns its URL."""
    origins = [f"http://{name}:{web_port}" for name in (HOST, "localhost")]
    command: list[str | Path] = [sys.executable, "-m", "cczoo_verifier", "serve"]
    command += ["--port", str(steady_port(web_port + 2))]
    command += ["--simulator", HOME / "simulator", "--key", HOME / "service-key.pem"]
    for origin in origins:
        command += ["--cors-origin", origin]
    server = group.start("attestation-service", command, env=os.environ, cwd=HOME)
    url: list[str] = []

    def listening() -> bool:
        for line in server.log.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError, AttributeError):
                event = json.loads(line)
                if event.get("event") == "listening":
                    url.append(event["url"])
                    return True
        return False

    group.wait_until(server, listening)
    return url[0]


def start_open_webui(
    group: Servers, tree: Path, port: int, service: str, model: Mapping[str, str]
) -> str:
    """The patched open-webui with a simulated TD; returns its URL."""
    quiet = dict.fromkeys(
        [
            "ANONYMIZED_TELEMETRY",
            "ENABLE_EVALUATION_ARENA_MODELS",
            "ENABLE_TITLE_GENERATION",
            "ENABLE_TAGS_GENERATION",
            "ENABLE_AUTOCOMPLETE_GENERATION",
        ],
        "false",
    )
    env = {
        **os.environ,
        **quiet,
        **model,
        "DO_NOT_TRACK": "true",
        "SCARF_NO_ANALYTICS": "true",
        "OFFLINE_MODE": "true",
        "RAG_EMBEDDING_ENGINE": "openai",
        "DATA_DIR": str(HOME / "data"),
        "WEBUI_SECRET_KEY": kept_secret("session-key"),
        "QUOTE_GENERATOR_SIMULATE": "1",
        "QUOTE_GENERATOR_SIMULATOR_DIR": str(HOME / "simulator"),
        # The browser verifies by itself, under the simulator's root; in Settings one can choose
        # the attestation service instead.
        "TEE_DEFAULT_PROVIDER": "dcap",
        "TEE_TRUSTEE_URL": service,
    }
    (HOME / "data").mkdir(exist_ok=True)
    python = REPO / ".venv-webui" / "bin" / "python"
    if not python.exists():
        raise DemoError("open-webui's environment is missing; `make demo` sets it up.")
    command = [python, "-m", "uvicorn", "open_webui.main:app", "--host", HOST, "--port", str(port)]
    server = group.start("open-webui", command, env=env, cwd=tree / "backend")
    url = f"http://{HOST}:{port}"
    group.wait_until(server, lambda: answers(f"{url}/health"))
    return url


def sign_up(url: str) -> str:
    """Create the one account on the first run; returns its password."""
    password = kept_secret("password")
    account = {"name": "Demo", "email": EMAIL, "password": password}
    answer = requests.post(f"{url}/api/v1/auths/signin", json=account, timeout=30)
    if not answer.ok:
        answer = requests.post(f"{url}/api/v1/auths/signup", json=account, timeout=30)
    if not answer.ok:
        raise DemoError(
            f"open-webui would not create the demonstration's account (HTTP {answer.status_code}). "
            f"Remove {HOME / 'data'} to start afresh."
        )
    return password


def run() -> None:
    HOME.mkdir(parents=True, exist_ok=True)
    port = wanted_port()
    tree = installed_tree()
    with servers() as group:
        model = model_environment(group, port)
        service = start_attestation_service(group, port)
        url = start_open_webui(group, tree, port, service, model)
        password = sign_up(url)
        print(
            f"\n  open-webui with the trust badge: {url}\n"
            f"  sign in as {EMAIL} with the password {password}\n\n"
            f"  The TD is simulated, and the browser verifies it by itself: the badge ends amber,\n"
            f"  never green.\n"
            f"  Attestation service: {service}    logs: {HOME}/*.log\n"
            f"  Ctrl-C stops all of it.\n",
            flush=True,
        )
        while True:
            group.check()
            time.sleep(1)


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 0
    except DemoError as error:
        print(f"make demo: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        free = shutil.disk_usage(REPO).free // 2**20
        print(f"make demo: {error} ({free} MiB free on this disk)", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
