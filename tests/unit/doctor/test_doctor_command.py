"""The command as a whole: a real environment and a real process, exit codes, JSON, help."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cczoo_installer import __main__ as command_line
from cczoo_installer.doctor import command
from cczoo_installer.doctor.findings import State
from cczoo_installer.doctor.scene import Scene
from cczoo_installer.kit import kit_version
from chat_double import Says, with_the_kit
from environment_double import Environment

from preparation import editions

QUIET = {"ENABLE_OLLAMA_API": "false"}


@pytest.fixture(autouse=True)
def no_tdx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own environment says nothing of the attester's."""
    monkeypatch.delenv("QUOTE_GENERATOR_SIMULATE", raising=False)
    monkeypatch.setenv("ENABLE_OLLAMA_API", "false")


def found_in(out: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The document, and its findings by id."""
    document = json.loads(out)
    return document, {one["id"]: one for one in document["findings"]}


def test_a_running_open_webui_is_found_by_its_folder(
    environment: Environment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.add_the_kit()
    data = tmp_path / "data"
    simulated = {
        "QUOTE_GENERATOR_SIMULATE": "1",
        "QUOTE_GENERATOR_SIMULATOR_DIR": str(tmp_path / "td"),
    }
    with environment.serving(DATA_DIR=str(data), **QUIET, **simulated) as server:
        argv = ["doctor", "--openwebui-dir", str(environment.package), "--offline", "--json"]
        code = command_line.main(argv)
        captured = capsys.readouterr()
    document, found = found_in(captured.out)
    assert captured.err == ""
    assert document["kit"] == kit_version()
    assert document["openwebui"] == editions.versions()[0]
    assert document["directory"] == str(environment.package)
    assert document["python"] == str(environment.python)
    assert (document["pid"], document["url"]) == (server.pid, server.url)
    assert found["python"]["state"] == "ok"
    assert found["tdx-simulated"]["state"] == "warning"
    assert found["server-age"]["state"] == "ok"
    assert found["ports"]["detail"] == {"addresses": [["127.0.0.1", server.port]]}
    assert found["workers"]["detail"] == {"workers": 1}
    assert found["disk"]["detail"]["folder"] == str(data)
    assert "disk-encryption" in found
    assert found["advisories-open"]["state"] == "note"
    assert found["installed"]["state"] == "failure"  # it is not hooked
    assert [one for one in found.values() if "-failed" in one["id"]] == []
    assert all(one["cure"] or one["state"] in {"ok", "note"} for one in document["findings"])
    assert code == 12


def test_the_screen_of_the_same_has_80_columns(
    environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = Says({"problem": {"detail": "\x1b[2J" + "wide " * 50 + "\u202e\n"}})
    with environment.serving(with_the_kit(config=hostile), **QUIET):
        code = command_line.main(
            ["doctor", "--openwebui-dir", str(environment.package), "--offline"]
        )
        screen = capsys.readouterr().out
    assert code == 12
    assert max(map(len, screen.splitlines())) <= 80
    assert all(char.isprintable() or char == "\n" for char in screen)
    assert "There is no green badge with that." in screen


def test_nothing_runs_and_nothing_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = command.run(["--offline", "--json"], proc=tmp_path, env={})
    document, found = found_in(capsys.readouterr().out)
    assert (code, document["ok"], document["state"]) == (12, False, "failure")
    assert found["server"]["state"] == "failure"
    assert found["installed"]["state"] == "unknown"
    assert document["openwebui"] is None


def test_a_folder_that_is_no_open_webui_is_a_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "package.json").write_text("{")
    argv = ["--openwebui-dir", str(tmp_path), "--offline", "--json"]
    assert command.run(argv, proc=tmp_path, env={}) == 12
    _, found = found_in(capsys.readouterr().out)
    assert "package.json" in found["installed"]["text"]


@pytest.mark.parametrize(("state", "code"), list(zip(State, (0, 0, 10, 11, 12), strict=True)))
def test_the_worst_line_is_the_exit_code(
    state: State,
    code: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def look(_scene: Scene) -> Sequence[command.Finding]:
        return [command.Finding("a", State.OK, "x"), command.Finding("b", state, "y")]

    monkeypatch.setattr(command, "LOOKS", (("one", look),))
    assert command.run(["--json"], proc=tmp_path, env={}) == code
    assert json.loads(capsys.readouterr().out)["ok"] == (code == 0)


def test_a_look_that_breaks_takes_no_other_along(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_scene: Scene) -> Sequence[command.Finding]:
        raise RuntimeError("\x1b[2J")

    def denied(_scene: Scene) -> Sequence[command.Finding]:
        raise PermissionError(13, "Permission denied", "/x")

    good = command.Finding("good", State.OK, "fine")
    looks = (("one", broken), ("two", denied), ("three", lambda _scene: [good]))
    monkeypatch.setattr(command, "LOOKS", looks)
    assert command.run(["--json"], proc=tmp_path, env={}) == 10
    _, found = found_in(capsys.readouterr().out)
    assert list(found) == ["one-failed", "two-failed", "good"]


@pytest.mark.parametrize(
    "argv",
    [
        ["--url", "my.chat"],
        ["--url", "ftp://my.chat"],
        ["--url", "https://user:secret@my.chat"],
        ["--url", "https://my.chat?q=1"],
        ["--url", "https://[bad"],
        ["--url", "https://my.chat:99999"],
        ["--url", "https://my.chat/\n\x1b[2J"],
        ["--url", ""],
        ["--no-such-option"],
        ["surplus"],
    ],
)
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_what_cannot_be_asked_is_usage(
    argv: list[str], form: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(["doctor", *argv, *form]) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert "\x1b" not in captured.out + captured.err
    if form:
        assert json.loads(captured.out)["code"] == "usage"


@pytest.mark.parametrize("argv", [["--help"], ["doctor", "--help"]])
def test_help_is_80_columns_wide(
    argv: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        command_line.main(argv)
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "cczoo-install doctor" in " ".join(out.split())


def test_help_names_every_exit_code() -> None:
    text = command.parser().format_help()
    for code in {0, 2, 10, 11, 12}:
        assert f" {code} " in " ".join(text.split())


def test_a_source_tree_is_found_by_the_process_that_serves_it(
    environment: Environment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = tmp_path / "open-webui"
    for name in ("src", "backend/open_webui"):
        (tree / name).mkdir(parents=True)
    version = editions.versions(editions.SOURCE)[-1]
    (tree / "package.json").write_text(json.dumps({"name": "open-webui", "version": version}))
    (tree / "backend" / "open_webui" / "main.py").touch()
    words = ("open_webui.main:app", "--workers", "2")
    with environment.serving(words=words, folder=tree / "backend", **QUIET) as server:
        code = command.run(["--url", server.url, "--offline", "--json"])
        document, found = found_in(capsys.readouterr().out)
    assert code == 12
    assert (document["directory"], document["pid"]) == (str(tree), server.pid)
    assert document["python"] == str(environment.python)
    assert (found["installed"]["state"], found["installed"]["detail"]["way"]) == (
        "failure",
        "source",
    )
    assert found["workers"]["state"] == "failure"
    assert found["disk"]["detail"]["folder"] == str(tree / "backend" / "data")
    assert "node" in found


def test_several_servers_are_not_mixed_up(
    environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--openwebui-dir", str(environment.package), "--offline", "--json"]
    with environment.serving(**QUIET) as one, environment.serving(**QUIET) as other:
        command.run(argv)
        document, found = found_in(capsys.readouterr().out)
        assert found["server"]["state"] == "unknown"
        assert document["pid"] is None
        command.run([*argv, "--url", other.url])
        document, _ = found_in(capsys.readouterr().out)
        assert document["pid"] == other.pid != one.pid


def test_ctrl_c_ends_it_without_a_traceback(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(120)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with subprocess.Popen(
            [sys.executable, "-m", "cczoo_installer", "doctor", "--url", url, "--offline"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            try:
                connection, _ = silent.accept()
                child.send_signal(signal.SIGINT)
                out, err = child.communicate(timeout=120)
                connection.close()
            finally:
                child.kill()
    assert (child.returncode, out) == (130, "")
    assert err == "cczoo-install: stopped.\n"
