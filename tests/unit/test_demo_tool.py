"""The parts of `make demo` that decide something; tests/e2e/test_demo.py runs all of it."""

from __future__ import annotations

import importlib.util
import socket
import stat
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType

import pytest

from preparation import editions

DEMO = Path(__file__).resolve().parents[2] / "tools" / "demo.py"


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The tool as a module, with a home of its own and no settings from this machine."""
    monkeypatch.setenv("DEMO_HOME", str(tmp_path))
    for name in ("PLUGIN", "VERSION", "PORT", "OPENWEBUI_DIR", "OLLAMA_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    spec = importlib.util.spec_from_file_location("cczoo_demo", DEMO)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "cczoo_demo", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def ollama_url() -> Iterator[str]:
    """Something that answers like Ollama's version endpoint."""

    class Ollama(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/api/version" else 404)
            self.end_headers()
            self.wfile.write(b'{"version":"0.5.7"}')

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Ollama) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_newest_source_is_shown_unless_another_is_asked_for(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, plugin = editions.full()
    assert demo.wanted_edition() == source
    monkeypatch.setenv("PLUGIN", "1")
    assert demo.wanted_edition() == plugin
    for version in editions.versions(editions.PLUGIN):
        monkeypatch.setenv("VERSION", version)
        assert demo.wanted_edition() == f"plugin-{version}"


def test_a_version_that_is_not_listed_is_refused(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    (only_plugin, *_) = [e for e in editions.smoke() if editions.SOURCE not in e][-1:]
    for version in (editions.way_and_version(only_plugin)[1], "0.5.20; rm -rf /", "latest"):
        monkeypatch.setenv("VERSION", version)
        with pytest.raises(demo.DemoError, match="for this way it can be"):
            demo.wanted_edition()


@pytest.mark.parametrize("text", ["yes", "2", "true", " 1"])
def test_plugin_is_1_or_not_set(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("PLUGIN", text)
    with pytest.raises(demo.DemoError, match="PLUGIN"):
        demo.wanted_edition()


def test_a_source_tree_is_not_plugged_into(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENWEBUI_DIR", str(tmp_path))
    with pytest.raises(demo.DemoError, match="OPENWEBUI_DIR"):
        demo.open_webui(editions.full()[1])


def test_the_plug_in_goes_into_an_environment_of_the_demonstration(
    demo: ModuleType, tmp_path: Path
) -> None:
    edition = editions.full()[1]
    webui = demo.open_webui(edition)
    (part,) = webui.parts
    assert [need.folder for need in part.needs] == [tmp_path / edition]
    assert webui.command[0] == tmp_path / edition / "bin" / "open-webui"


def test_front_end_and_packages_are_made_side_by_side(demo: ModuleType) -> None:
    front_end, packages = demo.open_webui(editions.full()[0]).parts
    assert packages.name not in {need.name for need in front_end.needs}


def test_the_given_ollama_is_used(demo: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://127.0.0.1:1")
    assert demo.ollama_address() == "http://127.0.0.1:1"
    environment = demo.ollama_environment("http://127.0.0.1:1")
    assert environment["OLLAMA_BASE_URL"] == "http://127.0.0.1:1"
    assert environment["ENABLE_OLLAMA_API"] == "true"


def test_an_ollama_that_answers_is_used(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, ollama_url: str
) -> None:
    monkeypatch.setattr(demo, "LOCAL_OLLAMA", ollama_url)
    assert demo.ollama_address() == ollama_url


def test_without_an_ollama_there_is_none(demo: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        monkeypatch.setattr(demo, "LOCAL_OLLAMA", url)
        assert demo.ollama_address() is None


@pytest.mark.parametrize("text", ["0", "65536", "-1", "eighty", "8080; rm -rf /", "80\n"])
def test_a_port_that_is_none_is_refused(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("PORT", text)
    with pytest.raises(demo.DemoError, match="from 1 to 65535"):
        demo.wanted_port()


def test_a_busy_port_is_named(demo: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setenv("PORT", str(other.getsockname()[1]))
        with pytest.raises(demo.DemoError, match="make demo PORT="):
            demo.wanted_port()


def test_a_steady_port_gives_way_to_a_listener(demo: ModuleType) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        assert demo.steady_port(taken) != taken
    assert demo.steady_port(70000) < 65536


def test_the_password_is_kept_and_private(demo: ModuleType, tmp_path: Path) -> None:
    first = demo.kept_secret("password")
    assert len(first) >= 12
    assert demo.kept_secret("password") == first
    assert stat.S_IMODE((tmp_path / "password").stat().st_mode) == 0o600


def test_the_browser_verifies_by_default_and_the_service_is_suggested(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # It stands in for open-webui: says what it was given and waits to be stopped.
    command = ("/bin/sh", "-c", "env; echo ready; exec sleep 60")
    webui = demo.OpenWebui("plugin-1.0", (), command, tmp_path)
    for name in ("boot/eventlog", "state.json"):
        (tmp_path / "simulator" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "simulator" / name).touch()
    with demo.servers() as group:
        monkeypatch.setattr(demo, "answers", lambda _: "ready" in group.running[0].log.read_text())
        service = "http://127.0.0.1:8082"
        demo.start_open_webui(group, webui, 8080, service, {"OLLAMA_BASE_URL": "http://x"})
        group.wait_for(group.running[0])
        told = group.running[0].log.read_text().splitlines()
    assert {
        "TEE_DEFAULT_PROVIDER=dcap",
        f"TEE_TRUSTEE_URL={service}",
        "QUOTE_GENERATOR_SIMULATE=1",
        f"QUOTE_GENERATOR_SIMULATOR_DIR={tmp_path / 'simulator'}",
        f"DATA_DIR={tmp_path / 'data-plugin-1.0'}",
        "OLLAMA_BASE_URL=http://x",
    } <= set(told)
    left = [path.name for path in (tmp_path / "simulator").iterdir()]
    assert left == ["state.json"]  # the TD has its keys, and a boot of its own


def test_a_server_that_ends_by_itself_is_reported_with_its_log(
    demo: ModuleType, tmp_path: Path
) -> None:
    command = ["/bin/sh", "-c", "echo out of coffee; exit 3"]
    with demo.servers() as group:
        server = group.start("model", command, env={}, cwd=tmp_path, ready=lambda: False)
        with pytest.raises(demo.DemoError, match="out of coffee"):
            group.wait_for(server)
    assert group.running == []
