"""`make demo`: a stock open-webui becomes one with a trust badge, and runs.

By default a source tree is patched and its front end built; with PLUGIN=1 an installed package
gets the kit beside it, and nothing is rebuilt. What is needed for that is made side by side first.

Starts three servers on loopback and stops them all on Ctrl-C or when one ends: a model server
(your Ollama where it has models, or a small local one), the attestation service under the
simulator's root (`cczoo-verify serve`), and open-webui with a simulated TD.

Environment: PLUGIN, VERSION (default: the newest of patches/open-webui/versions.json for that way),
PORT (default 8080), OPENWEBUI_DIR (a source tree, default out/demo/open-webui-<version>),
OLLAMA_BASE_URL, and DEMO_HOME for everything that it keeps between runs (default out/demo).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import requests
from cczoo_installer.doctor.asking import Answer, NoAnswerError, Question, Reply, ask, shown_address
from cczoo_installer.files import printable

from preparation import editions, environments
from preparation.editions import REPO
from preparation.moving_line import MovingLine, clock, last_line
from preparation.steps import BootstrapError, Part, prepare, run
from preparation.uv import site_packages

HOME = environments.demonstration_folder()
EMAIL = "demo@example.org"
HOST = "127.0.0.1"
LOCAL_OLLAMA = f"http://{HOST}:11434"
OK = 200
MODEL_NAME = re.compile(r"[\w./:-]{1,256}", re.ASCII)
SMALL_MODEL = "SmolLM2-135M-Instruct"
# Characters of a file that are searched, and put before a question, as one: whatever the language,
# no more tokens than tools/model_server.py takes at once.
SMALL_CHUNK = "500"
START_TIMEOUT_SECONDS = 180.0
STOP_TIMEOUT_SECONDS = 10.0


LINE = MovingLine(lambda: sys.stderr)


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
    ready: Callable[[], bool]

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])


@dataclass
class Servers:
    """The children, stopped in reverse order on every path."""

    running: list[Server] = field(default_factory=list)

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path,
        ready: Callable[[], bool],
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
        server = Server(name, process, log, ready)
        self.running.append(server)
        return server

    def wait_for(self, server: Server) -> None:
        """Wait until this server answers; raise DemoError if it does not, or if one ends."""
        began = time.monotonic()
        try:
            while time.monotonic() < began + START_TIMEOUT_SECONDS:
                self.check()
                if server.ready():
                    return
                going = f"starting {server.name} {clock(time.monotonic() - began)}"
                LINE.show(f"{going}: {last_line(server.log)}")
                time.sleep(0.1)
        finally:
            LINE.write("")
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
        stopping = (signal.SIGINT, signal.SIGTERM)
        handlers = {number: signal.signal(number, signal.SIG_IGN) for number in stopping}
        group.stop()
        for number, handler in handlers.items():
            signal.signal(number, handler)


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


# --- Which open-webui ---------------------------------------------------------------------------


@dataclass(frozen=True)
class OpenWebui:
    """One edition of open-webui with the kit in it: how it is made, and how it is started."""

    edition: str
    parts: tuple[Part, ...]
    command: tuple[str | Path, ...]
    folder: Path


def wanted_edition() -> str:
    """What PLUGIN and VERSION ask for.

    Raises DemoError where the kit does not support that.
    """
    plugin = os.environ.get("PLUGIN") or "0"
    if plugin not in ("0", "1"):
        raise DemoError(f"PLUGIN is {plugin!r}; it must be 1, or not set.")
    way = editions.PLUGIN if plugin == "1" else editions.SOURCE
    known = editions.versions(way)
    version = os.environ.get("VERSION") or known[-1]
    if version not in known:
        raise DemoError(f"VERSION is {version!r}; for this way it can be {' or '.join(known)}.")
    return f"{way}-{version}"


def open_webui(edition: str) -> OpenWebui:
    """The edition as the environment's variables want it."""
    way, version = editions.way_and_version(edition)
    return plugged_in(edition) if way == editions.PLUGIN else patched(edition, version)


def patched(edition: str, version: str) -> OpenWebui:
    """A source tree with the kit applied; a finished earlier installation is kept as it is."""
    tree = environments.demonstration_tree(version)
    command: list[str | Path] = [sys.executable, "-m", "cczoo_installer"]
    command += ["--openwebui-dir", tree, "--fetch", version]
    part = environments.tree_part(version, tree, lambda: run(command, aloud=True))
    parts = (part, environments.webui_part(edition))
    python = environments.webui_folder(edition) / "bin" / "python"
    start = (python, "-m", "uvicorn", "open_webui.main:app")
    return OpenWebui(edition, parts, start, tree / "backend")


def plugged_in(edition: str) -> OpenWebui:
    """A stock package with the kit beside it, in an environment of the demonstration's own."""
    if os.environ.get("OPENWEBUI_DIR"):
        raise DemoError("OPENWEBUI_DIR names a source tree: leave it or PLUGIN=1 out.")
    environment = environments.webui_part(edition, HOME / edition)
    folder = environment.folder

    def make() -> None:
        package = site_packages(folder) / "open_webui"
        python = folder / "bin" / "python"
        run([python, "-m", "cczoo_installer", "--openwebui-dir", package])

    part = Part(
        "open-webui",
        f"stock open-webui with the kit plugged in, {edition}",
        folder,
        make=make,
        is_current=lambda: False,  # the installer knows better
        needs=(environment,),
    )
    return OpenWebui(edition, (part,), (folder / "bin" / "open-webui", "serve"), HOME)


# --- The servers --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ollama:
    """An Ollama that answers, and which of its models turns the words of files into numbers."""

    url: str
    embedding: str


def usable_ollama() -> Ollama | None:
    """The Ollama to use: the one that was named, else one of this machine; None without models.

    Why one is not used is told, with its cure. That this machine has none is no fault.
    """
    named = (os.environ.get("OLLAMA_BASE_URL") or "").strip().rstrip("/")
    url = named or LOCAL_OLLAMA
    (reply,) = ask(Question(f"{url}/api/tags"))
    if isinstance(reply, NoAnswerError) and reply.code == "unreachable" and not named:
        return None
    models = local_models(reply)
    if not models:
        tell_unused(printable(shown_address(url)), reply)
        return None
    return Ollama(url, embedding_model(models))


def local_models(reply: Reply) -> list[dict[str, Any]]:
    """The models in an Ollama's answer that run where it runs, none in any other answer."""
    if isinstance(reply, NoAnswerError) or not is_list_of_models(reply):
        return []
    return [
        model
        for model in reply.members()["models"]
        if isinstance(model, dict) and is_model_name(model.get("name"))
        # What its maker's cloud answers for would be sent every word of a file.
        if not model.get("remote_host")
    ]


def is_list_of_models(answer: Answer) -> bool:
    return answer.status == OK and isinstance(answer.members().get("models"), list)


def is_model_name(name: object) -> bool:
    return isinstance(name, str) and bool(MODEL_NAME.fullmatch(name))


def embedding_model(models: Sequence[Mapping[str, Any]]) -> str:
    """The name of one that was made for it, else of the smallest: any model of Ollama's can."""

    def rank(model: Mapping[str, Any]) -> tuple[bool, float]:
        details, size = model.get("details"), model.get("size")
        family = details.get("family") if isinstance(details, dict) else ""
        is_made_for_it = "embed" in model["name"] or "bert" in str(family)
        return not is_made_for_it, size if isinstance(size, int | float) else math.inf

    return str(min(models, key=rank)["name"])


def tell_unused(shown: str, reply: Reply) -> None:
    """Say why the Ollama at an address is not used, and how that can be mended."""
    if isinstance(reply, NoAnswerError):
        why = "cannot be read" if reply.code == "bad-answer" else printable(reply)
        what = f"No Ollama answers at {shown} ({why})."
        cure = f"Start it, or set OLLAMA_BASE_URL to where it is, such as {LOCAL_OLLAMA}."
    elif not is_list_of_models(reply):
        what = f"What answers at {shown} is no Ollama (HTTP {reply.status})."
        cure = f"Set OLLAMA_BASE_URL to one, such as {LOCAL_OLLAMA}."
    else:
        what = f"The Ollama at {shown} has no models of its own."
        cure = "Fetch one, for example `ollama pull deepseek-r1:1.5b`, and start again."
    last = "Meanwhile the demonstration uses its own small model."
    print(f"{what}\n  {cure}\n  {last}", file=sys.stderr)


def ollama_environment(ollama: Ollama) -> dict[str, str]:
    """Settings that point open-webui at an Ollama, for chats and for files."""
    print(f"Using the Ollama at {printable(shown_address(ollama.url))}", file=sys.stderr)
    return {
        "ENABLE_OLLAMA_API": "true",
        "OLLAMA_BASE_URL": ollama.url,
        "ENABLE_OPENAI_API": "false",
        "RAG_EMBEDDING_ENGINE": "ollama",
        "RAG_OLLAMA_BASE_URL": ollama.url,
        "RAG_EMBEDDING_MODEL": ollama.embedding,
        # Later versions of open-webui send tools with every chat otherwise, which Ollama refuses
        # for each model whose template has no place for them.
        "DEFAULT_MODEL_PARAMS": '{"function_calling": "legacy"}',
    }


def start_small_model(group: Servers, web_port: int) -> dict[str, str]:
    """Start the small model's server; returns settings that point open-webui at it."""
    port = steady_port(web_port + 1)
    python = REPO / ".venv-model" / "bin" / "python"
    command: list[str | Path] = [python, REPO / "tools" / "model_server.py", str(port)]
    ready = partial(answers, f"http://{HOST}:{port}/health")
    group.start("model-server", command, env=os.environ, cwd=HOME, ready=ready)
    return {
        "ENABLE_OLLAMA_API": "false",
        "ENABLE_OPENAI_API": "true",
        "OPENAI_API_BASE_URL": f"http://{HOST}:{port}/v1",
        "OPENAI_API_KEY": "none",
        "RAG_EMBEDDING_ENGINE": "openai",
        "RAG_OPENAI_API_BASE_URL": f"http://{HOST}:{port}/v1",
        "RAG_OPENAI_API_KEY": "none",
        "RAG_EMBEDDING_MODEL": SMALL_MODEL,
        "CHUNK_SIZE": SMALL_CHUNK,
        "CHUNK_OVERLAP": "50",
        # It is too small to think of a better question than the one that it was asked.
        "ENABLE_RETRIEVAL_QUERY_GENERATION": "false",
    }


def start_attestation_service(group: Servers, web_port: int) -> str:
    """`cczoo-verify serve` under the simulator's root; returns its URL."""
    origins = [f"http://{name}:{web_port}" for name in (HOST, "localhost")]
    command: list[str | Path] = [sys.executable, "-m", "cczoo_verifier", "serve"]
    command += ["--port", str(steady_port(web_port + 2))]
    command += ["--simulator", HOME / "simulator", "--key", HOME / "service-key.pem"]
    for origin in origins:
        command += ["--cors-origin", origin]
    log = HOME / "attestation-service.log"
    server = group.start(
        "attestation-service",
        command,
        env=os.environ,
        cwd=HOME,
        ready=lambda: announced_url(log) is not None,
    )
    group.wait_for(server)
    return str(announced_url(log))


def announced_url(log: Path) -> str | None:
    """Where a server that writes this log says that it listens."""
    for line in log.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError, AttributeError):
            event = json.loads(line)
            if event.get("event") == "listening":
                return str(event["url"])
    return None


def begin_boot() -> None:
    """Let the simulated TD begin a boot: its log would be full after some two hundred runs."""
    shutil.rmtree(HOME / "simulator" / "boot", ignore_errors=True)


def start_open_webui(
    group: Servers, webui: OpenWebui, port: int, service: str, model: Mapping[str, str]
) -> str:
    """open-webui with the kit and a simulated TD; returns its URL."""
    # Each edition has its own: a database that a later version has seen is lost to an earlier one.
    data = HOME / f"data-{webui.edition}"
    quiet = dict.fromkeys(
        [
            "ANONYMIZED_TELEMETRY",
            "ENABLE_EVALUATION_ARENA_MODELS",
            "ENABLE_TITLE_GENERATION",
            "ENABLE_TAGS_GENERATION",
            "ENABLE_AUTOCOMPLETE_GENERATION",
            "ENABLE_FOLLOW_UP_GENERATION",
        ],
        "false",
    )
    env = {
        **os.environ,
        **quiet,
        "RAG_EMBEDDING_ENGINE": "openai",  # nothing is loaded, nor fetched, where no model is told
        **model,
        "DO_NOT_TRACK": "true",
        "SCARF_NO_ANALYTICS": "true",
        "OFFLINE_MODE": "true",
        "DATA_DIR": str(data),
        "WEBUI_SECRET_KEY": kept_secret("session-key"),
        "QUOTE_GENERATOR_SIMULATE": "1",
        "QUOTE_GENERATOR_SIMULATOR_DIR": str(HOME / "simulator"),
        # The browser verifies by itself, under the simulator's root; in Settings one can choose
        # the attestation service instead.
        "TEE_DEFAULT_PROVIDER": "dcap",
        "TEE_TRUSTEE_URL": service,
    }
    data.mkdir(exist_ok=True)
    begin_boot()
    command = (*webui.command, "--host", HOST, "--port", str(port))
    url = f"http://{HOST}:{port}"
    ready = partial(answers, f"{url}/health")
    group.start("open-webui", command, env=env, cwd=webui.folder, ready=ready)
    return url


def sign_up(url: str, edition: str) -> str:
    """Create the one account on the first run; returns its password."""
    password = kept_secret("password")
    account = {"name": "Demo", "email": EMAIL, "password": password}
    answer = requests.post(f"{url}/api/v1/auths/signin", json=account, timeout=30)
    if not answer.ok:
        answer = requests.post(f"{url}/api/v1/auths/signup", json=account, timeout=30)
    if not answer.ok:
        raise DemoError(
            f"open-webui would not create the demonstration's account (HTTP {answer.status_code}). "
            f"Remove {HOME / f'data-{edition}'} to start afresh."
        )
    return password


def demonstrate() -> None:
    """Make what is missing, start the servers, and watch them until Ctrl-C."""
    port = wanted_port()
    webui = open_webui(wanted_edition())
    HOME.mkdir(parents=True, exist_ok=True)
    ollama = usable_ollama()
    prepare(webui.parts if ollama else [*webui.parts, environments.model_part()])
    with servers() as group:
        model = ollama_environment(ollama) if ollama else start_small_model(group, port)
        service = start_attestation_service(group, port)
        url = start_open_webui(group, webui, port, service, model)
        for server in group.running:
            group.wait_for(server)
        password = sign_up(url, webui.edition)
        print(
            f"\n  open-webui with the trust badge: {url}\n"
            f"  sign in as {EMAIL} with the password {password}\n\n"
            f"  The TD is simulated, and the browser verifies it by itself: the badge ends amber,\n"
            f"  never green. The page asks before anything else, and again at the first message:\n"
            f"  only of an Ollama it is known that a model runs inside, and the small one that\n"
            f'  comes with this is served by another program: choose "Go on".\n'
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
        demonstrate()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 0
    except (DemoError, BootstrapError) as error:
        print(f"make demo: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        free = shutil.disk_usage(REPO).free // 2**20
        print(f"make demo: {error} ({free} MiB free on this disk)", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
