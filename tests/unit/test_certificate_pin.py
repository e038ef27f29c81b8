"""`cczoo-verify` and a server's TLS certificate: what is told of it, and a pin for one of its own.

Real connections to a real TLS server, whose certificate is such as the backend makes.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier.__main__ import main
from cczoo_verifier.evidence_file import load
from cczoo_verifier.fetching import NotAccepted, get
from cczoo_verifier.problems import Unreachable
from cczoo_verifier.sealed.asking import asking
from cczoo_verifier.server import listen, make_server

from cczoo_backend.https_certificate import Certificate, kept_certificate
from doubles.chat import Chat
from doubles.serving import in_a_thread, serving
from quote_generator.sealing.keyset import parse_keyset
from quote_generator.simulator import Simulator

OTHER = ":".join(["AB"] * 32)
OPTION = "--certificate-fingerprint"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A self-signed one."""
    folder = tmp_path_factory.mktemp("data") / "cczoo" / "https"
    now = datetime.datetime.now(datetime.UTC)
    return kept_certificate(folder, [], own=["localhost"], now=now)


@contextlib.contextmanager
def serving_tls(chat: Chat, certificate: Certificate) -> Iterator[str]:
    with listen("127.0.0.1", 0) as listener:
        url = f"https://localhost:{listener.getsockname()[1]}"
        config = make_server(chat.app(url)).config
        config.timeout_graceful_shutdown = 0
        config.ssl_certfile = str(certificate.file)
        config.ssl_keyfile = str(certificate.key_file)
        with in_a_thread(config, listener):
            yield url


@pytest.fixture
def chat(td: Simulator) -> Chat:
    return Chat(td)


@pytest.fixture
def url(chat: Chat, certificate: Certificate) -> Iterator[str]:
    with serving_tls(chat, certificate) as address:
        yield address


@pytest.fixture
def files(td: Simulator) -> list[str]:
    directory = td.directory
    return ["--root", f"{directory}/root.pem", "--collateral", f"{directory}/collateral.json"]


def test_one_that_nobody_vouches_for_is_refused_with_what_to_compare(
    chat: Chat, url: str, files: list[str], certificate: Certificate, capsys: Any
) -> None:
    assert main([url, *files]) == 4
    told = capsys.readouterr().err
    assert "its TLS certificate is not accepted (self-signed, SHA-256 fingerprint " in told
    assert f"{OPTION} {certificate.fingerprint}" in told
    assert "the server's own log" in told
    assert "[evidence-unreachable]" in told
    assert chat.seen == []  # nothing was sent


@pytest.mark.parametrize("form", [str, str.lower, lambda text: text.replace(":", "")])
def test_with_its_fingerprint_the_server_is_verified(
    url: str, files: list[str], certificate: Certificate, capsys: Any, form: Any
) -> None:
    pin = form(certificate.fingerprint)
    assert main([url, *files, OPTION, pin, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["certificate"] == {
        "sha256": certificate.fingerprint,
        "self_signed": True,
        "pinned": True,
    }
    assert report["keys"] is not None  # the sealed request went by the same pin
    assert main([url, *files, OPTION, pin]) == 0
    shown = capsys.readouterr()
    assert f"SHA-256 {certificate.fingerprint} (self-signed, as you pinned it)" in shown.out
    assert shown.err == ""  # no warning of a library's either


def test_another_certificate_gets_nothing_not_even_an_api_key(
    chat: Chat,
    url: str,
    files: list[str],
    certificate: Certificate,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    monkeypatch.setenv("CCZOO_VERIFY_TOKEN", "sk-secret")
    assert main([url, *files, OPTION, OTHER, "--send-token-unsealed"]) == 4
    told = capsys.readouterr().err
    assert f"You pinned {OTHER}" in told
    assert certificate.fingerprint in told
    assert (chat.seen, chat.outer) == ([], [])


def test_a_pin_holds_for_the_sealed_request_too(chat: Chat, url: str) -> None:
    keyset = parse_keyset(chat.keys.current().document)
    with pytest.raises(Unreachable) as caught:
        asking(url, timeout=30, pin=OTHER)(keyset)()
    assert isinstance(caught.value, NotAccepted)
    assert chat.outer == []


def test_one_that_this_machine_trusts_needs_no_pin_and_is_told(
    url: str,
    files: list[str],
    certificate: Certificate,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate.file))
    assert main([url, *files, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["certificate"]
    assert told == {"sha256": certificate.fingerprint, "self_signed": True, "pinned": False}
    # A pin holds all the same: trust in an authority does not replace it.
    assert main([url, *files, OPTION, OTHER]) == 4


def test_what_was_shown_is_in_no_file_and_no_file_says_it(
    url: str, files: list[str], certificate: Certificate, tmp_path: Path, capsys: Any
) -> None:
    path = tmp_path / "saved.json"
    assert main([url, *files, OPTION, certificate.fingerprint, "--save", str(path)]) == 0
    saved = json.loads(path.read_text())
    assert "certificate" not in saved
    path.write_text(json.dumps({**saved, "certificate": "x"}))
    assert load(path).certificate is None
    capsys.readouterr()
    assert main(["--evidence", str(path), *files, "--json"]) == 0
    assert "certificate" not in json.loads(capsys.readouterr().out)


def test_over_plain_http_there_is_no_certificate_and_no_pin(
    td: Simulator, files: list[str], capsys: Any
) -> None:
    chat = Chat(td)
    with serving(chat.app) as plain:
        assert main([plain, *files, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["certificate"] is None
        asked = len(chat.seen)
        for command in ([plain, *files], ["watch", plain, "--count", "1", *files]):
            assert main([*command, OPTION, OTHER]) == 2
            assert f"{OPTION} is for https" in capsys.readouterr().err
        assert len(chat.seen) == asked


@pytest.mark.parametrize("text", ["", "AB", OTHER + ":AB", "x" * 64, OTHER + "\n", "\x1b[2J"])
def test_what_is_no_fingerprint_is_refused(text: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["https://chat.example", OPTION, text])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "is not a SHA-256 fingerprint" in told
    assert "\x1b" not in told


def test_a_file_has_no_certificate_to_pin(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(["--evidence", "saved.json", OPTION, OTHER])
    assert f"argument {OPTION}: not allowed with argument --evidence" in capsys.readouterr().err


def test_what_speaks_no_tls_is_unreachable_and_nothing_is_said_of_a_certificate(
    td: Simulator,
) -> None:
    with serving(Chat(td).app) as plain:
        address = plain.replace("http://", "https://")
        for pin in (None, OTHER):
            with pytest.raises(Unreachable) as caught:
                get(address, "code", timeout=30, pin=pin)
            assert not isinstance(caught.value, NotAccepted)


def test_whoever_takes_connections_and_says_nothing_is_waited_for_in_bounds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"https://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unreachable):
            get(address, "code", timeout=0.2, pin=OTHER)


# Watching


def events(capsys: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_watched_server_has_its_own_pin(
    chat: Chat, url: str, files: list[str], certificate: Certificate, td: Simulator, capsys: Any
) -> None:
    watch = ["watch", "--count", "1", *files]
    assert main([*watch, url, OPTION, certificate.fingerprint]) == 0
    assert [event["event"] for event in events(capsys)] == ["started", "result", "stopped"]
    with serving_tls(Chat(td), certificate) as second:
        pins = [OPTION, f"{url}={certificate.fingerprint}", OPTION, f"{second}={OTHER}"]
        assert main([*watch, url, second, *pins]) == 4
        found = {event["url"]: event for event in events(capsys) if event.get("url")}
        assert found[url]["event"] == "result"
        assert found[second]["event"] == "unreachable"
        assert f"You pinned {OTHER}" in found[second]["detail"]
        assert main([*watch, url, second, OPTION, OTHER]) == 2
        assert f"{OPTION} URL=SHA256" in capsys.readouterr().err
    assert main([*watch, url, OPTION, "AB"]) == 2
    assert "is not a SHA-256 fingerprint" in capsys.readouterr().err
