"""The parts of `make demo` that decide something; tests/e2e/test_demo.py runs all of it."""

from __future__ import annotations

import importlib.util
import json
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
from starlette.responses import Response

from doubles.ollama import State, create_app
from doubles.ollama_store import OllamaStore
from doubles.serving import serving
from preparation import editions

Capture = pytest.CaptureFixture[str]
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
def store(tmp_path: Path) -> OllamaStore:
    """The store of the Ollama that answers; empty."""
    return OllamaStore(tmp_path / "models")


@pytest.fixture
def ollama_url(
    store: OllamaStore, demo: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The Ollama of this machine."""
    with serving(lambda _: create_app(State(store=store.path))) as url:
        monkeypatch.setattr(demo, "LOCAL_OLLAMA", url)
        yield url


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nobody answers."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{other.getsockname()[1]}"


@contextmanager
def answering(body: bytes, status: int = 200) -> Iterator[str]:
    """A server that gives every request the same answer."""
    with serving(lambda _: Response(body, status)) as url:
        yield url


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


def test_an_ollama_of_this_machine_with_models_is_used(
    demo: ModuleType, ollama_url: str, store: OllamaStore, capsys: Capture
) -> None:
    store.add("small/latest")
    assert demo.usable_ollama() == demo.Ollama(ollama_url, "small:latest")
    assert capsys.readouterr().err == ""


def test_the_given_ollama_is_used_for_chats_and_files(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, ollama_url: str, store: OllamaStore
) -> None:
    store.add("small/latest")
    monkeypatch.setattr(demo, "LOCAL_OLLAMA", "http://127.0.0.1:1")
    monkeypatch.setenv("OLLAMA_BASE_URL", f" {ollama_url}/ ")
    assert demo.ollama_environment(demo.usable_ollama()) == {
        "ENABLE_OLLAMA_API": "true",
        "OLLAMA_BASE_URL": ollama_url,
        "ENABLE_OPENAI_API": "false",
        "RAG_EMBEDDING_ENGINE": "ollama",
        "RAG_OLLAMA_BASE_URL": ollama_url,
        "RAG_EMBEDDING_MODEL": "small:latest",
        "DEFAULT_MODEL_PARAMS": '{"function_calling": "legacy"}',
    }


def test_without_an_ollama_there_is_none_and_no_word_of_it(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, nobody: str, capsys: Capture
) -> None:
    monkeypatch.setattr(demo, "LOCAL_OLLAMA", nobody)
    assert demo.usable_ollama() is None
    assert capsys.readouterr().err == ""


def test_an_ollama_without_models_is_told(
    demo: ModuleType, ollama_url: str, capsys: Capture
) -> None:
    assert demo.usable_ollama() is None
    told = capsys.readouterr().err
    assert told.startswith(f"The Ollama at {ollama_url} has no models of its own.\n")
    assert "ollama pull deepseek-r1:1.5b" in told
    assert "its own small model" in told


def test_an_ollama_with_nothing_but_cloud_models_has_none_of_its_own(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    with serving(lambda _: create_app(State(cloud=["gpt-oss:20b-cloud"]))) as url:
        monkeypatch.setenv("OLLAMA_BASE_URL", url)
        assert demo.usable_ollama() is None
    assert "no models of its own" in capsys.readouterr().err


def test_an_address_where_no_ollama_answers_is_told(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, nobody: str, capsys: Capture
) -> None:
    monkeypatch.setenv("OLLAMA_BASE_URL", nobody)
    assert demo.usable_ollama() is None
    told = capsys.readouterr().err
    assert told.startswith(f"No Ollama answers at {nobody} (Connection refused).\n")
    assert "OLLAMA_BASE_URL" in told
    assert "its own small model" in told


@pytest.mark.parametrize("address", ["127.0.0.1:11434", "http://", "http://x:y", "file:///etc"])
def test_an_address_that_is_none_is_told(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Capture, address: str
) -> None:
    monkeypatch.setenv("OLLAMA_BASE_URL", address)
    assert demo.usable_ollama() is None
    assert "such as http://127.0.0.1:11434" in capsys.readouterr().err


def test_what_is_told_of_an_address_has_no_secret_and_no_signal_in_it(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://me:secret@\x1b[2Jhost.invalid:1/?key=secret")
    assert demo.usable_ollama() is None
    told = capsys.readouterr().err
    assert "secret" not in told
    assert "\x1b" not in told


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"models": "many"}',
        b'{"models": [',
        b"[" * 200_000,
        b'{"models": []}' + b" " * (2 << 20),
    ],
    ids=["empty", "a page", "a list", "no models", "a word", "cut", "deep", "huge"],
)
def test_what_is_no_ollama_is_told(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Capture, body: bytes
) -> None:
    with answering(body) as url:
        monkeypatch.setenv("OLLAMA_BASE_URL", url)
        assert demo.usable_ollama() is None
    assert f"What answers at {url} is no Ollama (HTTP 200)." in capsys.readouterr().err


def test_an_error_is_no_list(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    with answering(b'{"models": [{"name": "small:latest"}]}', 502) as url:
        monkeypatch.setenv("OLLAMA_BASE_URL", url)
        assert demo.usable_ollama() is None
    assert "(HTTP 502)" in capsys.readouterr().err


def test_names_that_are_none_are_passed_over(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = ["", "a\x00b", "a\nb", "\x1b[2J", "x" * 257, 7, None, ["small"]]
    models = [None, "small", *({"name": name, "size": 1} for name in bad), {"name": "good:1b"}]
    with answering(json.dumps({"models": models}).encode()) as url:
        monkeypatch.setenv("OLLAMA_BASE_URL", url)
        assert demo.usable_ollama() == demo.Ollama(url, "good:1b")


def test_files_are_searched_with_a_model_made_for_it_else_with_the_smallest(
    demo: ModuleType,
) -> None:
    small = {"name": "small:1b", "size": 10, "details": {"family": "llama"}}
    large = {"name": "large:70b", "size": 1000, "details": None}
    odd = {"name": "odd:latest", "size": "little"}
    assert demo.embedding_model([large, odd, small]) == "small:1b"
    for made_for_it in (
        {"name": "bge-m3:latest", "size": 100, "details": {"family": "bert"}},
        {"name": "nomic-embed-text:latest", "size": 100},
    ):
        assert demo.embedding_model([small, made_for_it, large]) == made_for_it["name"]
    assert demo.embedding_model([odd]) == "odd:latest"


def test_the_small_model_answers_for_chats_and_files(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo.Servers, "start", lambda *_, **__: None)
    told = demo.start_small_model(demo.Servers(), 8080)
    assert told["RAG_OPENAI_API_BASE_URL"] == told["OPENAI_API_BASE_URL"]
    assert (told["RAG_EMBEDDING_ENGINE"], told["ENABLE_OLLAMA_API"]) == ("openai", "false")
    # A character is four tokens at most, and one piece of a file has to go into one batch.
    server = (DEMO.parent / "model_server.py").read_text()
    (batch,) = re.findall(r"^EMBEDDED_AT_ONCE = (\d+)", server, re.MULTILINE)
    assert int(told["CHUNK_SIZE"]) * 4 <= int(batch)


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
