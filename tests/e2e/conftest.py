"""One open-webui with the kit in four kinds of machine, and one browser, for all tests.

Every server starts when the first test asks for it and ends with the session:

- ``hardware``: a TD whose kernel interface is emulated at the real paths, signing under a TEST
  root; its administrator suggests ``service`` (Trustee protocol), which trusts that root; requests
  may come sealed;
- ``simulated``: no TDX, ``QUOTE_GENERATOR_SIMULATE=1``, quotes open to auditors, a relay, and
  nothing sealed;
- ``sealed``: no TDX and the simulator as well, verified in the page, where requests may come
  sealed: amber;
- ``own_root``: as ``hardware``, with a page that takes the TEST root for Intel's and verifies
  quotes by itself;
- ``bare``: no TDX at all, and nothing sealed.

Environment: CCZOO_EDITION, the way in and the version, as in "plugin-0.12.4" (see ``editions``);
CCZOO_WEBUI_PYTHON, the interpreter of that edition's environment, with open-webui's requirements,
this kit's wheel and, for a plug-in, the stock open-webui; CCZOO_E2E_TREE, an already patched and
built tree to use instead of installing one.

Marks: ``smoke`` is what every edition has to pass; ``way("plugin")`` and ``way("source")`` are of
one way only, and tests of the other way are left out. ``once("plugin")`` and ``once("source")``
are of what is the same in every open-webui, and run in that way alone but for their smoke tests;
with CCZOO_EVERY_TEST set they run in both.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, BrowserContext, Playwright, expect, sync_playwright

from doubles import oidc, pccs
from doubles.hostile import ALIBABA, GOOD, TRUSTEE, Forger, create_app
from doubles.model import MODEL
from doubles.ollama_program import make_program
from doubles.serving import serving
from doubles.wire import Wire, recorded
from e2e.browser import (
    CHROMIUM,
    CHROMIUM_FLAGS,
    ChatPage,
    signed_in_context,
    tee_settings,
)
from e2e.changed import Changed
from e2e.editions import Edition, this_edition
from e2e.environments import Environment, installed_tree
from e2e.gates import WRONG
from e2e.relay_target import RelayTarget, relay_target
from e2e.stack import (
    REPO,
    Backend,
    BackendSpec,
    Installation,
    announcing_server,
    ask,
    free_port,
)
from e2e.walks import Passage, Site, Walk
from e2e.walks import accounts as accounts
from e2e.walks import open_profile as open_profile
from e2e.walks import polled_site as polled_site
from e2e.walks import programs as programs
from e2e.walks import site as site
from e2e.walks import start_site as start_site
from e2e.walks import stranger as stranger
from e2e.walks import walk as walk
from e2e.walks import way as way
from e2e.walks import where as where
from emulator.harness import Emulator
from quote_generator.simulator import Simulator

ARTIFACTS = REPO / "out" / "e2e"
SLOW_QUOTE_SECONDS = 1.0
KINDS = ("hardware", "simulated", "bare", "refreshed", "administered")
RECORDED = "recorded"
"""Name of the port of a proxy before one of them."""
# All tests together are one user, at one address.
UNLIMITED = {
    "TEE_QUOTE_LIMIT_USER": "10000/minute",
    "TEE_QUOTE_LIMIT_ADDRESS": "10000/minute",
    "TEE_QUOTE_LIMIT_PUBLIC": "10000/minute",
}
EVERY_TEST = bool(os.environ.get("CCZOO_EVERY_TEST"))
UNSTATED = {"TEE_STATEMENT": "off"}
NOWHERE = "http://127.0.0.1:1"  # no test asks Intel for collateral
ServerCommand = list[str | Path]
Env = Mapping[str, str]


def sealed_simulator(home: Path) -> dict[str, str]:
    """The environment of such a server as ``sealed``."""
    return {
        "QUOTE_GENERATOR_SIMULATE": "1",
        "QUOTE_GENERATOR_SIMULATOR_DIR": str(home / "simulator"),
        "TEE_DEFAULT_PROVIDER": "dcap",
    }


expect.set_options(timeout=20_000)


def pytest_configure(config: pytest.Config) -> None:
    """Name the marks of this suite."""
    config.addinivalue_line("markers", "smoke: what every edition of open-webui has to pass")
    config.addinivalue_line("markers", "way(name): only for editions of this way in")
    config.addinivalue_line("markers", "once(name): the same in all editions, run in this way")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this edition does not have."""
    way = this_edition().way

    def of_the_other_way(item: pytest.Item) -> bool:
        is_everywhere = EVERY_TEST or item.get_closest_marker("smoke") is not None
        names = {"way"} if is_everywhere else {"way", "once"}
        return any(mark.name in names and mark.args != (way,) for mark in item.iter_markers())

    left_out = [item for item in items if of_the_other_way(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of this session's logs, databases and keys."""
    return tmp_path_factory.mktemp("e2e")


@pytest.fixture(scope="session")
def webui_python() -> Path:
    """The interpreter that open-webui runs on."""
    python = os.environ.get("CCZOO_WEBUI_PYTHON", "")
    if not python:
        pytest.fail(
            "CCZOO_WEBUI_PYTHON does not name the Python that open-webui runs on: "
            "run `make test` or `make e2e`, which sets it up."
        )
    return Path(python)


@pytest.fixture(scope="session")
def edition() -> Edition:
    """The way in and the version that this run is about."""
    return this_edition()


@pytest.fixture(scope="session")
def tree(home: Path, edition: Edition) -> Path:
    """An open-webui that the real installer fetched, patched and built (the source way)."""
    prepared = os.environ.get("CCZOO_E2E_TREE")
    if prepared:
        return Path(prepared)
    return installed_tree(edition.version, home / "open-webui", home / "install.log")


@pytest.fixture(scope="session")
def own_environment(home: Path, webui_python: Path) -> Callable[[str], Environment]:
    """Make a copy of this edition's environment, under a name, for a test to do with as it likes.

    A plug-in's is stock: the kit is there, and not hooked.
    """
    return lambda name: Environment.copy_of(webui_python, home / "environments" / name)


@pytest.fixture(scope="session")
def kit_in(
    edition: Edition, request: pytest.FixtureRequest
) -> Callable[[Environment], Installation]:
    """Give an environment the kit in this edition's way, and say how open-webui is started."""

    def install(environment: Environment) -> Installation:
        if edition.way == "source":
            return environment.tree(request.getfixturevalue("tree"))
        environment.install()
        return environment.plugin()

    return install


@pytest.fixture(scope="session")
def installation(
    own_environment: Callable[[str], Environment], kit_in: Callable[[Environment], Installation]
) -> Installation:
    """This edition of open-webui with the kit."""
    return kit_in(own_environment("kit"))


@pytest.fixture(scope="session")
def own_root_installation(
    own_environment: Callable[[str], Environment],
    kit_in: Callable[[Environment], Installation],
    test_pki: Path,
) -> Installation:
    """The same, with the TEST root's key in the place of Intel's in the page."""
    environment = own_environment("own-root")
    environment.pin_root(Simulator.open(test_pki, name="TEST").root_der)
    return kit_in(environment)


@pytest.fixture(scope="session")
def ports() -> dict[str, int]:
    """Where each kind of backend will listen; services must know their origins beforehand."""
    return {kind: free_port() for kind in (*KINDS, RECORDED)}


@pytest.fixture(scope="session")
def start_server(home: Path, ports: dict[str, int]) -> Iterator[Callable[..., str]]:
    """Start ``command`` and return the address that it announces; CORS options on request."""
    from contextlib import ExitStack

    environment = {**os.environ, "PYTHONPATH": str(REPO / "tests")}
    with ExitStack() as stack:

        def start(
            name: str, command: ServerCommand, *, cors: bool = False, env: Env | None = None
        ) -> str:
            if cors:
                for port in ports.values():
                    command = [*command, "--cors-origin", f"http://127.0.0.1:{port}"]
            env = {**environment, **(env or {})}
            server = announcing_server(command, log=home / f"{name}.log", env=env)
            return str(stack.enter_context(server)["url"])

        yield start


@pytest.fixture(scope="session")
def start_model(home: Path, start_server: Callable[..., str]) -> Callable[..., str]:
    """Start a stub model server (OpenAI protocol, streaming) whose models lie on this machine."""

    def start(name: str, models: Sequence[str], *more: str) -> str:
        program = make_program(home / name, models)
        command: ServerCommand = [program.python, "-m", "doubles.model", *more]
        for model in models:
            command += ["--model", model]
        return start_server(name, command, env=program.env)

    return start


@pytest.fixture(scope="session")
def model(start_model: Callable[..., str]) -> str:
    """The address of one with a single model."""
    return start_model("model", [MODEL])


@pytest.fixture
def slow_model(model: str) -> Iterator[None]:
    """The same one, so slow that a page on a busy machine shows its answer word by word."""
    ask("POST", f"{model}/control", json={"delay": 0.25})
    yield
    ask("POST", f"{model}/control", json={"delay": 0.05})


@pytest.fixture(scope="session")
def test_pki(home: Path) -> Path:
    """The folder of a signer that is neither Intel's nor the simulator's."""
    directory = home / "pki"
    Simulator.open(directory, name="TEST")
    return directory


@pytest.fixture(scope="session")
def service(start_server: Callable[..., str], test_pki: Path) -> str:
    """The address of an attestation service that trusts the TEST root."""
    command: ServerCommand = [sys.executable, "-m", "doubles.genuine", test_pki / "root.pem"]
    command += ["serve", "--port", "0", "--root", test_pki / "root.pem"]
    command += ["--collateral", test_pki / "collateral.json"]
    return start_server("service", command, cors=True)


@pytest.fixture(scope="session")
def simulator_service(start_server: Callable[..., str], home: Path) -> str:
    """The address of an attestation service that trusts the simulator's root."""
    Simulator.open(home / "simulator")
    command: ServerCommand = [sys.executable, "-m", "cczoo_verifier", "serve"]
    command += ["--port", "0", "--simulator", home / "simulator"]
    return start_server("simulator-service", command, cors=True)


@pytest.fixture(scope="session")
def closed_service(start_server: Callable[..., str], home: Path) -> str:
    """The address of a service like ``simulator_service`` that lets no page read its answers."""
    Simulator.open(home / "simulator")
    command: ServerCommand = [sys.executable, "-m", "cczoo_verifier", "serve"]
    command += ["--port", "0", "--simulator", home / "simulator"]
    return start_server("closed-service", command)


@pytest.fixture(scope="session")
def alibaba(start_server: Callable[..., str], test_pki: Path) -> str:
    """The address of a double of Alibaba Cloud's service that trusts the TEST root."""
    command: ServerCommand = [sys.executable, "-m", "doubles.alibaba", "--port", "0"]
    command += ["--root", test_pki / "root.pem", "--collateral", test_pki / "collateral.json"]
    return start_server("alibaba", command, cors=True)


@pytest.fixture(scope="session", params=[TRUSTEE, ALIBABA])
def forger(request: pytest.FixtureRequest) -> Iterator[Forger]:
    """A service of each protocol whose ``mode`` is the way in which it misbehaves."""
    forgers: list[Forger] = []

    def make_app(url: str) -> FastAPI:
        forgers.append(Forger(GOOD, request.param, url))
        return create_app(forgers[0], [])

    with serving(make_app):
        yield forgers[0]


@pytest.fixture(scope="session")
def relayed() -> Iterator[RelayTarget]:
    """The service behind the simulated backend's relay."""
    with relay_target() as target:
        yield target


@pytest.fixture(scope="session")
def start_backend(
    home: Path, installation: Installation, model: str, ports: dict[str, int]
) -> Iterator[Callable[..., Backend]]:
    """Start a backend of one of the three kinds, or of another that no service lets in.

    Of another installation, and with the port and the data of another backend, on request. Unless
    it ``states`` what runs there, as open-webui does by itself, it measures nothing: a start takes
    twice as long with that, and a TD's log is one server's.
    """
    running: list[Backend] = []

    def start(
        kind: str,
        env: dict[str, str],
        wrapper: tuple[str, ...] = (),
        *,
        of: Installation = installation,
        after: Backend | None = None,
        states: bool = False,
    ) -> Backend:
        spec = BackendSpec(
            name=kind,
            installation=of,
            directory=after.spec.directory if after else home / kind,
            model_url=model,
            port=after.spec.port if after else ports.get(kind) or free_port(),
            env={"TEE_PCCS_URL": NOWHERE, **UNLIMITED, **({} if states else UNSTATED), **env},
            wrapper=wrapper,
        )
        running.append(Backend(spec))
        return running[-1]

    yield start
    for backend in running:
        backend.stop()


@pytest.fixture(scope="session")
def kernel(test_pki: Path) -> Iterator[Emulator]:
    """A kernel whose configfs-tsm answers with quotes under the TEST root.

    They are of version 5, as clouds hand them out today; the simulator's are of version 4.
    """
    with Emulator(
        state=test_pki, prefix="TEST", form="v5-td15", slow=SLOW_QUOTE_SECONDS
    ) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def collateral_service(test_pki: Path) -> Iterator[pccs.State]:
    """The PCCS of the platform under the TEST root: how it behaves, and what it was asked."""
    state = pccs.State()
    platform = Simulator.open(test_pki, name="TEST")
    with serving(lambda _: pccs.create_app(platform, state=state)) as state.url:
        yield state


@pytest.fixture(scope="session")
def hardware(
    start_backend: Callable[..., Backend],
    kernel: Emulator,
    service: str,
    collateral_service: pccs.State,
) -> Backend:
    """open-webui in a TD that looks like hardware."""
    env = {
        "TEE_DEFAULT_PROVIDER": "trustee",
        "TEE_TRUSTEE_URL": service,
        "TEE_PCCS_URL": collateral_service.url,
        "TEE_COLLATERAL_TIMEOUT": "2",
        "TEE_QUOTE_TIMEOUT": "3",
    }
    return start_backend("hardware", env, tuple(kernel.inside([])), states=True)


@pytest.fixture(scope="session")
def own_root(
    start_backend: Callable[..., Backend],
    kernel: Emulator,
    collateral_service: pccs.State,
    own_root_installation: Installation,
) -> Backend:
    """open-webui in a TD whose hardware the page takes for Intel's; verified in the page."""
    env = {
        "TEE_DEFAULT_PROVIDER": "dcap",
        "TEE_PCCS_URL": collateral_service.url,
        "TEE_QUOTE_TIMEOUT": "3",
    }
    wrapper = tuple(kernel.inside([]))
    return start_backend("own-root", env, wrapper, of=own_root_installation)


@pytest.fixture(scope="session")
def simulated(
    start_backend: Callable[..., Backend], home: Path, closed_service: str, relayed: RelayTarget
) -> Backend:
    """open-webui on a machine without TDX, with the simulator, where nothing is sealed."""
    env = {
        "TEE_SEALED": "off",
        "QUOTE_GENERATOR_SIMULATE": "1",
        "QUOTE_GENERATOR_SIMULATOR_DIR": str(home / "simulator"),
        "TEE_QUOTE_PUBLIC": "true",
        "TEE_QUOTE_LIMIT_ADDRESS": "5/hour",
        "TEE_QUOTE_LIMIT_USER": "60/hour",
        "TEE_RELAY": "alibaba,trustee",
        "TEE_TRUSTEE_URL": closed_service,
        "TEE_ALIBABA_URL": relayed.url,
        "TEE_RELAY_TIMEOUT": "2",
    }
    return start_backend("simulated", env)


@pytest.fixture(scope="session")
def sealed(start_backend: Callable[..., Backend], home: Path) -> Backend:
    """open-webui on a machine without TDX, with the simulator; sealed, and verified in the page."""
    return start_backend("sealed", sealed_simulator(home), states=True)


@pytest.fixture
def stored(service: str) -> dict[str, dict[str, Any] | None]:
    """What a browser has stored, by the state that ``hardware`` then is in.

    Its administrator suggests the service, which a person has not chosen (amber), has chosen
    (green), or holds to a policy that no machine meets (red).
    """
    chosen = tee_settings("trustee", trustee=service)
    return {
        "green": chosen,
        "amber": None,
        "red": {**chosen, "policy": WRONG},
        "off": {**chosen, "enabled": False},
    }


@pytest.fixture
def changed(test_pki: Path) -> Changed:
    """The machine of ``hardware`` with other software in it; it answers where the test says so."""
    return Changed(Simulator.open(test_pki, name="TEST"))


@pytest.fixture(scope="session")
def bare(start_backend: Callable[..., Backend]) -> Backend:
    """open-webui on a machine without TDX, where nothing is sealed."""
    return start_backend("bare", {"TEE_SEALED": "off"})


# The browser


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """What starts browsers."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """One Chromium for all tests."""
    chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
    yield chromium
    chromium.close()


@pytest.fixture
def wire(hardware: Backend, ports: dict[str, int]) -> Iterator[Wire]:
    """A recording proxy before that server, whose origin the service lets in."""
    with recorded(hardware.url, port=ports[RECORDED]) as wire:
        yield wire


@pytest.fixture
def passage(
    hardware: Backend, model: str, wire: Wire, accounts: oidc.Provider
) -> Iterator[Passage]:
    """What passes there: in the end nothing that the test planted may have."""
    passage = Passage(Site(hardware, model, wire, accounts))
    passage.hide("token", hardware.token)
    yield passage
    passage.expect_sealed()


@pytest.fixture
def open_chat(
    browser: Browser, request: pytest.FixtureRequest
) -> Iterator[Callable[..., ChatPage]]:
    """Open the app in a fresh browser profile: ``open_chat(backend, settings, path="/")``.

    ``past`` somebody who reads along, on request.
    """
    contexts: list[BrowserContext] = []
    pages: list[ChatPage] = []

    def open_page(
        backend: Backend,
        settings: dict[str, Any] | None = None,
        *,
        path: str = "/",
        past: Passage | None = None,
        prepare: Callable[[BrowserContext], None] | None = None,
        **options: Any,
    ) -> ChatPage:
        url = past.url if past else backend.url
        context = signed_in_context(browser, url, backend.token, settings, **options)
        contexts.append(context)
        if prepare is not None:
            prepare(context)
        pages.append(ChatPage(context.new_page(), url))
        return pages[-1].open(path)

    yield open_page
    if request.node.stash.get(FAILED, False):
        keep_screenshots(request.node.name, pages)
    for context in contexts:
        context.close()


def keep_screenshots(name: str, pages: list[ChatPage]) -> None:
    """Save what the pages of a failed test looked like."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", name)
    for number, chat in enumerate(pages):
        chat.page.screenshot(path=ARTIFACTS / f"{stem}-{number}.png")


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Note a failure for ``open_chat``, and show the logs of what the test used."""
    report = yield
    if report.when == "call" and report.failed:
        item.stash[FAILED] = True
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, Backend):
                report.sections.append((f"log of the {name} backend", value.log_tail()))
            if isinstance(value, Walk):
                log = value.site.backend.log_tail()
                report.sections.append((f"log of the {name}'s server", log))
                for chat in value.chats:
                    report.sections.append((f"console of the {name}", chat.console_tail()))
    return report
