"""`cczoo-verify URL` and `cczoo-verify --evidence FILE`: what is said, kept, and how it ends."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cczoo_verifier
import pytest
from cczoo_verifier.__main__ import main
from cczoo_verifier.appraisal import Trust
from cczoo_verifier.audit import Report, audit
from cczoo_verifier.checks import CHECK_IDS, Check
from cczoo_verifier.evidence_file import Record, load, save
from cczoo_verifier.table import write_report
from cczoo_verifier.times import seconds_of
from fastapi import FastAPI

from cases.world import World
from doubles import pccs
from doubles.chat import NONCE, Chat
from doubles.chat import make_evidence as make
from doubles.serving import serving
from quote_generator import evidence
from quote_generator.simulator import Simulator


def files(td: Simulator) -> list[str]:
    directory = td.directory
    return ["--root", f"{directory}/root.pem", "--collateral", f"{directory}/collateral.json"]


def test_a_server_is_verified(td: Simulator, url: str, capsys: Any) -> None:
    assert main([url, *files(td)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"VERIFIED  {url}\n")
    assert "pass     nonce-binding" in out
    assert f"mr_td          {'7d' * 48}" in out


def test_a_simulator_is_verified_with_warnings(simulator: Simulator, capsys: Any) -> None:
    with serving(Chat(simulator).app) as url:
        assert main([url, "--simulator", str(simulator.directory), "--json"]) == 3
        report = json.loads(capsys.readouterr().out)
        assert main([url, "--simulator", str(simulator.directory)]) == 3
        assert capsys.readouterr().out.startswith(f"SIMULATED TD  {url}\n")
    assert (report["result"], report["simulated"]) == ("warn", True)
    assert report["verified"] is False
    assert report["root"] == "Intel SGX Root CA, Confidential Computing Zoo SIMULATION"
    assert [check["id"] for check in report["checks"]] == list(CHECK_IDS)
    assert report["body"]["mr_td"] == "7d" * 48
    assert report["url"] == url


def test_a_simulated_td_that_fails_is_not_verified(
    simulator: Simulator, tmp_path: Path, capsys: Any
) -> None:
    path = tmp_path / "reference.json"
    path.write_text(json.dumps({"mr_td": "7e" * 48}))
    with serving(Chat(simulator).app) as url:
        arguments = ["--simulator", str(simulator.directory), "--reference", str(path)]
        assert main([url, *arguments]) == 1
    assert capsys.readouterr().out.startswith("NOT VERIFIED")


def test_a_simulator_that_is_not_there_is_not_made(
    td: Simulator, url: str, tmp_path: Path, capsys: Any
) -> None:
    missing, empty = tmp_path / "typo", tmp_path / "empty"
    empty.mkdir()
    for folder in (missing, empty):
        assert main([url, "--simulator", str(folder)]) == 2
        assert f"{folder} holds no simulator" in capsys.readouterr().err
    assert not missing.exists()
    assert list(empty.iterdir()) == []


def test_a_replayed_quote_fails(td: Simulator, chat: Chat, url: str, capsys: Any) -> None:
    chat.mode = "replay"
    assert main([url, *files(td)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("NOT VERIFIED")
    assert "fail     nonce-binding" in out


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("no-tdx", "HTTP 503, no TDX \N{REPLACEMENT CHARACTER}[31mhere"),
        ("garbage", "without JSON"),
        ("endless", "more than"),
        ("redirect", "without JSON"),
    ],
)
def test_no_evidence_is_not_a_verdict(
    td: Simulator, chat: Chat, url: str, capsys: Any, mode: str, message: str
) -> None:
    chat.mode = mode
    assert main([url, *files(td)]) == 4
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_a_server_that_is_not_there(td: Simulator, capsys: Any) -> None:
    with serving(Chat(td).app) as url:
        pass
    assert main([url, *files(td)]) == 4
    assert "no connection" in capsys.readouterr().err


def test_no_api_key_leaves_without_leave(
    td: Simulator, chat: Chat, url: str, capsys: Any, monkeypatch: Any
) -> None:
    """Whoever answers there could ask for it: a server that seals needs none, a relay would."""
    monkeypatch.setenv("CCZOO_VERIFY_TOKEN", "sk-secret")
    assert main([url, *files(td)]) == 0
    chat.token = "sk-secret"
    assert main([url, *files(td)]) == 4
    assert "--send-token-unsealed" in capsys.readouterr().err
    assert chat.seen == [None, None]
    assert "sk-secret" not in repr(chat.outer)


def test_with_leave_it_goes_to_who_asks_for_it_and_never_in_the_clear(
    td: Simulator, chat: Chat, url: str, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.setenv("CCZOO_VERIFY_TOKEN", "sk-secret")
    leave = "--send-token-unsealed"
    assert main([url, *files(td), leave]) == 0
    assert chat.seen == [None]  # nobody asked
    chat.token = "sk-secret"
    assert main([url, *files(td), leave]) == 0
    assert chat.seen == [None, None, "Bearer sk-secret"]
    chat.token = "sk-another"
    assert main([url, *files(td), leave]) == 4
    assert leave not in capsys.readouterr().err
    assert main(["http://192.0.2.1", *files(td), leave]) == 2
    assert "plain http" in capsys.readouterr().err


def test_saved_evidence_is_verified_again(
    td: Simulator, url: str, tmp_path: Path, capsys: Any
) -> None:
    saved = tmp_path / "evidence.json"
    assert main([url, *files(td), "--save", str(saved)]) == 0
    root = ["--root", f"{td.directory}/root.pem"]
    assert main(["--evidence", str(saved), *root]) == 0  # collateral is in the file
    capsys.readouterr()
    assert main(["--evidence", str(saved), *root, "--at", "2099-01-01T00:00:00Z"]) == 1
    assert "fail     collateral" in capsys.readouterr().out
    for edge in ("0", "253402300799"):
        assert main(["--evidence", str(saved), *root, "--at", edge]) == 1
    assert main(["--evidence", str(saved)]) == 1  # Intel's root did not sign it
    kept = json.loads(saved.read_text())
    kept["evidence"]["quote"] = kept["evidence"]["quote"].replace("7d7d", "7d7e", 1)
    saved.write_text(json.dumps(kept))
    assert main(["--evidence", str(saved), *root]) == 1


@pytest.fixture
def saved(td: Simulator, tmp_path: Path) -> Path:
    """Saved evidence, with a nonce, collateral, and an address that nothing vouches for."""
    path = tmp_path / "saved.json"
    claimed = {"nonce": evidence.encode_base64url(NONCE), "url": "https://bank.example"}
    path.write_text(json.dumps({**claimed, "evidence": make(td), "collateral": td.collateral()}))
    return path


def test_what_a_file_says_of_itself_is_only_a_claim(
    td: Simulator, saved: Path, capsys: Any
) -> None:
    command = ["--evidence", str(saved), "--root", f"{td.directory}/root.pem"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"VERIFIED  {saved}\n")
    assert "bank.example" not in out
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert "url" not in report
    assert report["evidence_file"] == str(saved)
    assert report["claimed_url"] == "https://bank.example"


def test_a_nonce_from_the_file_is_said_to_be_one(td: Simulator, saved: Path, capsys: Any) -> None:
    remark = "(the nonce in the file: not proof that it is recent)"
    command = ["--evidence", str(saved), *files(td)]
    assert main(command) == 0
    assert f"the quote answers this nonce and 2 more {remark}\n" in capsys.readouterr().out
    assert main([*command, "--nonce", evidence.encode_base64url(NONCE)]) == 0
    assert remark not in capsys.readouterr().out
    assert main([*command, "--nonce", ""]) == 2  # not: the one in the file


def test_the_options_say_where_collateral_comes_from(
    td: Simulator, saved: Path, capsys: Any
) -> None:
    remark = "(collateral from the file)"
    command = ["--evidence", str(saved), "--root", f"{td.directory}/root.pem"]
    assert main(command) == 0
    assert f"nothing revoked {remark}\n" in capsys.readouterr().out
    assert main(["--evidence", str(saved), *files(td)]) == 0
    assert remark not in capsys.readouterr().out
    with serving(lambda _: pccs.create_app(td)) as service:
        assert main([*command, "--pccs", service]) == 0
    assert remark not in capsys.readouterr().out
    assert main([*command, "--pccs", service]) == 4  # asked, though the file has collateral


def test_a_bare_document_needs_its_nonce(td: Simulator, tmp_path: Path, capsys: Any) -> None:
    bare = tmp_path / "document.json"
    bare.write_text(json.dumps(make(td)))
    assert main(["--evidence", str(bare), *files(td)]) == 1
    assert "no nonce is known" in capsys.readouterr().out
    nonce = evidence.encode_base64url(NONCE)
    assert main(["--evidence", str(bare), *files(td), "--nonce", nonce]) == 0


@pytest.mark.parametrize("hex_lists", [True, False])
def test_collateral_comes_from_a_pccs(
    td: Simulator, url: str, tmp_path: Path, capsys: Any, hex_lists: bool
) -> None:
    root = ["--root", f"{td.directory}/root.pem"]
    with serving(lambda _: pccs.create_app(td, hex_lists=hex_lists)) as service:
        assert main([url, *root, "--pccs", service]) == 0
        assert main([url, "--pccs", service]) == 1  # its root is not Intel's
    assert main([url, *root, "--pccs", service]) == 4
    assert "no connection" in capsys.readouterr().err


def test_an_edition_of_intels_documents_is_asked_for(
    td: Simulator, saved: Path, capsys: Any
) -> None:
    """Also with saved evidence, whose own collateral would be of whatever edition it was."""
    command = ["--evidence", str(saved), "--root", f"{td.directory}/root.pem"]
    state = pccs.State()
    with serving(lambda _: pccs.create_app(td, state=state)) as service:
        for update in ("early", "standard"):
            state.seen.clear()
            assert main([*command, "--pccs", service, "--pccs-update", update]) == 0
            asked = [address for address, _ in state.seen]
            assert f"{pccs.IDENTITY}?update={update}" in asked
            assert [a for a in asked if a.startswith(pccs.TCB) and f"update={update}" in a]
    with pytest.raises(SystemExit):
        main([*command, "--pccs-update", "late"])
    capsys.readouterr()
    for other in (["--collateral", "x"], ["--provider", "trustee"]):
        assert main(["--evidence", str(saved), *other, "--pccs-update", "early"]) == 2
        assert "--pccs-update does not go with" in capsys.readouterr().err


def test_a_pccs_that_is_none(td: Simulator, url: str, capsys: Any) -> None:
    with serving(lambda _: FastAPI()) as service:
        assert main([url, "--root", f"{td.directory}/root.pem", "--pccs", service]) == 4
    assert "HTTP 404" in capsys.readouterr().err


def test_expected_values_from_a_file(td: Simulator, url: str, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "reference.json"
    path.write_text(json.dumps({"mr_td": "7d" * 48}))
    assert main([url, *files(td), "--reference", str(path)]) == 0
    path.write_text(json.dumps({"mr_td": "7e" * 48}))
    assert main([url, *files(td), "--reference", str(path)]) == 1
    path.write_text("{}")
    assert main([url, *files(td), "--reference", str(path)]) == 2
    assert "reference values" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["ftp://chat.example"],
        ["chat.example"],
        ["https://chat.example", "--evidence", "x"],
        ["https://chat.example", "--at", "yesterday"],
        ["https://chat.example", "--at", "2026-01-01T00:00:00"],
        ["https://chat.example", "--at", "1900-01-01T00:00:00Z"],
        ["https://chat.example", "--at", "0001-01-01T00:00:00+14:00"],
        ["https://chat.example", "--at", "9999-12-31T23:59:59-14:00"],
        ["https://chat.example", "--at", "99999999999999"],
        ["https://chat.example", "--at", "9" * 400],
        ["https://chat.example", "--at", "9" * 5000],
        ["https://chat.example", "--timeout", "0"],
        ["https://chat.example", "--timeout", "nan"],
        ["https://chat.example", "--simulator", "x", "--collateral", "y"],
        ["https://chat.example", "--simulator", "x", "--root", "y"],
        ["https://chat.example", "--simulator", "x", "--root", "intel"],
        ["https://chat.example", "--js"],
    ],
)
def test_usage_errors(arguments: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "", "[]", '{"evidence":{},"nonce":1}', "\xff"])
def test_files_that_cannot_be_used(tmp_path: Path, content: str | None, capsys: Any) -> None:
    path = tmp_path / "evidence.json"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    assert main(["--evidence", str(path)]) == 2
    assert "Traceback" not in capsys.readouterr().err


# --- errors --------------------------------------------------------------------------------------


def error_of(capsys: Any, *arguments: str) -> tuple[int, str]:
    """Exit code and stable code, with --json; on stderr people read the same."""
    code = main([*arguments, "--json"])
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert set(document["error"]) == {"code", "detail"}
    assert "cczoo-verify: " in captured.err
    assert captured.err.endswith(f"[{document['error']['code']}]\n")
    assert "Traceback" not in captured.err
    return code, document["error"]["code"]


HOSTILE_FILES: dict[str, bytes] = {
    "empty": b"",
    "cut short": b'{"evidence": {"quote": "04',
    "not UTF-8": b'{"evidence": "\xff"}',
    "UTF-16": '{"evidence": {}}'.encode("utf-16"),
    "a list": b"[]",
    "a number": b"1",
    "deep": b'{"evidence":' + b"[" * 100_000,
    "long number": b'{"evidence":' + b"1" * 10_000 + b"}",
    "infinite": b'{"evidence": 1e999}',
    "not a number": b'{"evidence": NaN}',
    "two of a name": b'{"evidence": {}, "evidence": {}}',
    "later format": b'{"format": 2, "evidence": {}}',
    "odd format": b'{"format": [1], "evidence": {}}',
    "nonce is a number": b'{"evidence": {}, "nonce": 1}',
    "collateral is text": b'{"evidence": {}, "collateral": "x"}',
    "token is a list": b'{"evidence": {}, "token": []}',
    "provider is an object": b'{"evidence": {}, "provider": {}}',
}


@pytest.mark.parametrize("content", HOSTILE_FILES.values(), ids=HOSTILE_FILES)
def test_hostile_evidence_files(tmp_path: Path, content: bytes, capsys: Any) -> None:
    path = tmp_path / "evidence.json"
    path.write_bytes(content)
    assert error_of(capsys, "--evidence", str(path)) == (2, "evidence-malformed")
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"\xff", b"[" * 100_000, b'{"tcb_info":' * 50_000, b'{"a":1,"a":2}'],
    ids=["empty", "a list", "not UTF-8", "deep", "deep objects", "two of a name"],
)
def test_hostile_collateral_files(
    td: Simulator, saved: Path, content: bytes, tmp_path: Path, capsys: Any
) -> None:
    path = tmp_path / "hostile.json"
    path.write_bytes(content)
    options = ["--root", f"{td.directory}/root.pem", "--collateral", str(path)]
    assert error_of(capsys, "--evidence", str(saved), *options) == (2, "trust-unusable")


@pytest.mark.parametrize(
    "change", [{"version": 5}, {"version": 1}, {"curve": "P-384"}, {"off_curve": True}], ids=str
)
def test_a_root_that_nothing_can_read(
    saved: Path, change: dict[str, Any], tmp_path: Path, capsys: Any
) -> None:
    path = tmp_path / "root.der"
    path.write_bytes(dataclasses.replace(World().certificates["root"], **change).encode())
    options = ["--evidence", str(saved), "--root", str(path)]
    assert error_of(capsys, *options) == (2, "trust-unusable")


@pytest.mark.parametrize("text", ["{0}{0}", "\ufeff{0}", "{0}\v", "subject=TEST\n{0}"], ids=ascii)
def test_a_root_beside_something_else(saved: Path, text: str, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "root.pem"
    path.write_text(text.format(World().case()["root_ca_pem"]), "utf-8")
    options = ["--evidence", str(saved), "--root", str(path)]
    assert error_of(capsys, *options) == (2, "trust-unusable")


def test_files_that_are_no_files(tmp_path: Path, capsys: Any) -> None:
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.truncate(1 << 40)
    missing = tmp_path / "missing"
    for path in (huge, missing, tmp_path, Path("/dev/zero")):
        for option in ("--evidence", "--policy", "--reference"):
            arguments = [option, str(path)]
            arguments += [] if option == "--evidence" else ["https://chat.example"]
            assert error_of(capsys, *arguments) == (2, "file-unreadable"), arguments


def test_hostile_members_fail_as_evidence(td: Simulator, tmp_path: Path, capsys: Any) -> None:
    """What is no evidence, or no collateral, is a verdict; nothing in it is obeyed."""
    path = tmp_path / "evidence.json"
    nonce = evidence.encode_base64url(NONCE)
    text = "\ud800\x1b[2J[red]\u202e"
    for change in (
        {"evidence": text},
        {"evidence": None},
        {"evidence": {"status": True, "tee": "tdx", "quote": text}},
        {"collateral": {}},
        {"collateral": {text: text}},
        {"collateral": {**td.collateral(), "tcb_info": text}},
        {"url": [text], "fetched": {text: text}, "collateral": {"pck_crl": 1}},
    ):
        path.write_text(json.dumps({"nonce": nonce, "evidence": make(td), **change}))
        root = ["--root", f"{td.directory}/root.pem"]
        assert main(["--evidence", str(path), *root]) == 1, change
        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert "\u202e" not in out
        assert main(["--evidence", str(path), *root, "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["verified"] is False


def test_errors_have_codes(
    td: Simulator, chat: Chat, url: str, tmp_path: Path, capsys: Any
) -> None:
    odd = tmp_path / "odd"
    odd.write_text("{")
    assert error_of(capsys, url, "--policy", str(odd)) == (2, "policy-malformed")
    odd.write_text('{"v": 1, "tcb": {"pas": ["UpToDate"]}}')
    assert error_of(capsys, url, "--policy", str(odd)) == (2, "policy-malformed")
    assert error_of(capsys, url, "--reference", str(odd)) == (2, "reference-malformed")
    odd.write_text("{")
    assert error_of(capsys, url, "--root", str(odd)) == (2, "trust-unusable")
    assert error_of(capsys, url, "--collateral", str(odd)) == (2, "trust-unusable")
    assert error_of(capsys, url, "--simulator", str(tmp_path)) == (2, "trust-unusable")
    with serving(lambda _: FastAPI()) as service:
        assert error_of(capsys, url, "--pccs", service) == (4, "collateral-unreachable")
    chat.mode = "garbage"
    assert error_of(capsys, url, *files(td)) == (4, "evidence-unreachable")
    saved = tmp_path / "saved.json"
    saved.write_text(json.dumps({"evidence": make(td)}))
    assert error_of(capsys, "--evidence", str(saved), "--nonce", "%") == (2, "nonce-malformed")


def test_usage_errors_in_json(capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["https://chat.example", "--provider", "other", "--json"])
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["code"] == "usage"
    assert "usage:" in captured.err


def test_a_bug_is_no_verdict(url: str, capsys: Any, monkeypatch: Any) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("cczoo_verifier.audit_command.fetch_evidence", fail)
    assert main([url]) == 70
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("mode", [*pccs.UNREACHABLE, *pccs.UNUSABLE])
def test_a_lying_collateral_service_is_not_believed(
    td: Simulator, lying: tuple[str, pccs.State], saved: Path, mode: str, capsys: Any
) -> None:
    service, state = lying
    state.mode = mode
    root = ["--root", f"{td.directory}/root.pem"]
    code = main(["--evidence", str(saved), *root, "--pccs", service, "--json"])
    document = json.loads(capsys.readouterr().out)
    if code == 4:
        assert document["error"]["code"] == "collateral-unreachable"
    else:
        assert code == 1
        failed = [item["id"] for item in document["checks"] if item["outcome"] == "fail"]
        assert failed[0] in ("collateral", "quote-signature")


@pytest.fixture(scope="module")
def lying(td: Simulator) -> Iterator[tuple[str, pccs.State]]:
    """A collateral service, and the state that says how it lies."""
    state = pccs.State()
    with serving(lambda _: pccs.create_app(td, state=state)) as address:
        yield address, state


# --- API keys ------------------------------------------------------------------------------------


def test_an_api_key_comes_from_a_file(
    td: Simulator, chat: Chat, url: str, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    chat.token = "sk-file"
    path = tmp_path / "key"
    path.write_text("sk-file\n")
    monkeypatch.setenv("CCZOO_VERIFY_TOKEN", "sk-environment")
    command = [url, *files(td), "--token-file", str(path), "--send-token-unsealed"]
    assert main(command) == 0
    assert chat.seen == [None, "Bearer sk-file"]
    assert "sk-file" not in capsys.readouterr().out
    for content in ("", " \n", "two words", "a\r\nX-Forwarded-For: b", "\x1bkey", "\xfcber"):
        path.write_text(content)
        assert error_of(capsys, *command) == (2, "token-malformed"), content
    monkeypatch.setenv("CCZOO_VERIFY_TOKEN", "a\nb")
    assert error_of(capsys, url, *files(td)) == (2, "token-malformed")
    assert error_of(capsys, "http://192.0.2.1", "--token-file", str(path))[0] == 2
    assert len(chat.seen) == 2
    assert error_of(capsys, url, "--token-file", str(tmp_path)) == (2, "file-unreadable")


def test_there_is_no_option_for_a_secret(capsys: Any) -> None:
    for argument in ("--token=sk-x", "https://user:secret@chat.example"):
        with pytest.raises(SystemExit):
            main(["https://chat.example", argument])
        assert "secret" not in capsys.readouterr().err.split("usage:")[-1].replace(
            "https://user:secret@chat.example", ""
        )
    with pytest.raises(SystemExit):
        main(["https://user:secret@chat.example"])
    assert "password in it is not safe" in capsys.readouterr().err


# --- keeping evidence ----------------------------------------------------------------------------


def test_evidence_is_kept_without_a_verdict(
    td: Simulator, url: str, tmp_path: Path, capsys: Any
) -> None:
    """The next step failed; the evidence may not come again."""
    target = tmp_path / "kept.json"
    with serving(lambda _: FastAPI()) as service:
        assert main([url, "--pccs", service, "--save", str(target)]) == 4
    assert main(["--evidence", str(target), *files(td)]) == 0
    assert "VERIFIED" in capsys.readouterr().out


@pytest.mark.parametrize("place", ["", "missing/kept.json", "file/kept.json", "/dev/full"])
def test_a_place_to_keep_is_looked_at_first(
    td: Simulator, chat: Chat, url: str, tmp_path: Path, place: str, capsys: Any
) -> None:
    (tmp_path / "file").write_text("")
    command = [url, *files(td), "--save", str(tmp_path / place)]
    assert error_of(capsys, *command) == (2, "save-failed")
    assert chat.seen == []


def test_a_link_stays_one(td: Simulator, url: str, tmp_path: Path) -> None:
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    link.symlink_to(target)
    assert main([url, *files(td), "--save", str(link)]) == 0
    assert link.is_symlink()
    assert json.loads(target.read_text())["format"] == 1


def run_program(program: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(
        command, text=True, timeout=60, check=False, stderr=subprocess.PIPE, **options
    )


NO_SPACE = """
import resource, sys
from cczoo_verifier.__main__ import main
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
sys.exit(main(sys.argv[1:]))
"""


def test_a_full_disk_costs_nothing_that_was_there(
    td: Simulator, saved: Path, tmp_path: Path
) -> None:
    """A limit on a file's size stops the write as a full disk does."""
    target = tmp_path / "kept.json"
    target.write_text("older evidence")
    command = ["--evidence", str(saved), *files(td), "--save", str(target)]
    done = run_program(NO_SPACE, *command, "--json", stdout=subprocess.PIPE)
    assert done.returncode == 2
    assert "kept.json was not written" in done.stderr
    assert "[save-failed]" in done.stderr
    assert target.read_text() == "older evidence"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.json", "saved.json"]
    # The verdict is there, but not where a program takes it for all.
    document = json.loads(done.stdout)
    assert document["error"]["code"] == "save-failed"
    assert document["report"]["result"] == "warn"  # by its root alone: none stands in there
    assert "verified" not in document


def test_many_keep_at_once(tmp_path: Path) -> None:
    """Whoever reads meanwhile finds one of the records, whole."""
    target = tmp_path / "kept.json"
    records = [Record({"number": n, "filling": "x" * 50_000}) for n in range(4)]
    save(target, records[0])
    stop = threading.Event()
    seen = []

    def read() -> None:
        while not stop.is_set():
            seen.append(load(target).evidence["number"])

    with ThreadPoolExecutor(5) as pool:
        reader = pool.submit(read)
        for done in [pool.submit(save, target, record) for record in records * 5]:
            done.result(30)
        stop.set()
        reader.result(30)
    assert seen
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]


SAVING = """
import sys
from pathlib import Path
from cczoo_verifier.evidence_file import Record, save
print("ready", flush=True)
while True:
    save(Path(sys.argv[1]), Record({"filling": "x" * 1_000_000}))
"""


def test_killed_while_keeping(tmp_path: Path) -> None:
    target = tmp_path / "kept.json"
    save(target, Record({"filling": "older"}))
    command = [sys.executable, "-c", SAVING, str(target)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        process.stdout.readline()
        for _ in range(200):
            assert load(target).evidence["filling"] in ("older", "x" * 1_000_000)
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()
    assert load(target).evidence["filling"] in ("older", "x" * 1_000_000)


# --- what people see -----------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(report: Report, stream: io.StringIO) -> str:
    write_report(report, stream)
    return stream.getvalue()


@pytest.fixture(scope="module")
def report(td: Simulator) -> Report:
    return audit(
        make(td), nonce=NONCE, trust=lambda _: Trust(td.root_der, td.collateral()), now=time.time()
    )


def test_colours_are_for_terminals(report: Report, monkeypatch: Any) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32mpass" in shown(report, Terminal())
    assert "\x1b" not in shown(report, io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in shown(report, Terminal())


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_what_others_say_is_only_shown(report: Report, stream: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    markup = "[red]x[/red] [link=https://evil.example]y[/link] :smile: [/]"
    said = f"{markup} \x1b[2J\x07\r\n\u202e\ud800"
    hostile = dataclasses.replace(
        report,
        checks=(Check("evidence-format", "fail", said, "[bold]"),),
        notes={"url": said},
    )
    text = shown(hostile, stream())
    flat = " ".join(text.split())
    assert markup in flat
    for char in "\x07\r\u202e\ud800":
        assert char not in text
    assert "\x1b[2J" not in text
    assert "\x1b]8" not in text
    assert "[[bold]]" in text


def test_a_file_gets_one_line_a_check(report: Report) -> None:
    long = dataclasses.replace(
        report, checks=(Check("evidence-format", "fail", "x" * 5000, "code"),)
    )
    lines = shown(long, io.StringIO()).splitlines()
    assert lines[2] == f"fail     evidence-format   {'x' * 1000}… [code]"
    assert not any(line.endswith(" ") for line in lines)


def test_a_stream_that_knows_little(report: Report) -> None:
    raw = io.BytesIO()
    hostile = dataclasses.replace(report, notes={"url": "\N{SNOWMAN}"})
    stream = io.TextIOWrapper(raw, encoding="ascii")
    write_report(hostile, stream)
    assert raw.getvalue().startswith(b"VERIFIED  ?\n")


def test_where_nobody_reads(td: Simulator, saved: Path) -> None:
    """A full disk is an error; a reader that went away had seen enough."""
    program = "import sys; from cczoo_verifier.__main__ import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["--evidence", str(saved), *files(td)]
    with open("/dev/full", "w") as full:
        done = run_program(program, *arguments, stdout=full)
    assert done.returncode == 2
    assert "[output-failed]" in done.stderr
    reading, writing = os.pipe()
    os.close(reading)
    done = run_program(program, *arguments, "--json", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (3, "")  # no root stands in for Intel's there


def test_interrupted(td: Simulator, chat: Chat, url: str) -> None:
    chat.mode = "slow"
    program = "import sys; from cczoo_verifier.__main__ import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", program, url, *files(td)], stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 30
    while not chat.seen and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "")


# --- the policy ----------------------------------------------------------------------------------


def test_a_policy_decides(td: Simulator, url: str, tmp_path: Path, capsys: Any) -> None:
    path, collateral = tmp_path / "policy.json", tmp_path / "collateral.json"
    made = td.collateral(tcb_status="SWHardeningNeeded", advisory_ids=["INTEL-SA-00837"])
    collateral.write_text(json.dumps(made))
    command = [url, "--root", f"{td.directory}/root.pem", "--collateral", str(collateral)]
    assert main(command) == 3
    for tcb, expected in (
        ({"pass": ["UpToDate", "SWHardeningNeeded"]}, 0),
        ({"warn": ["ConfigurationNeeded"]}, 1),
        ({"advisories": []}, 1),
        ({"advisories": ["INTEL-SA-00837"]}, 3),
        ({"min_date": "2099-01-01T00:00:00Z"}, 1),
    ):
        path.write_text(json.dumps({"v": 1, "tcb": tcb}))
        assert main([*command, "--policy", str(path)]) == expected, tcb
    capsys.readouterr()
    path.write_text(json.dumps({"v": 1, "reference_values": {"mr_td": ["7e" * 48]}}))
    assert main([url, *files(td), "--policy", str(path)]) == 1
    reference = tmp_path / "reference.json"
    reference.write_text(json.dumps({"mr_td": "7d" * 48}))
    assert main([url, *files(td), "--policy", str(path), "--reference", str(reference)]) == 0


def test_a_policy_says_how_old_evidence_may_be(
    td: Simulator, url: str, saved: Path, tmp_path: Path, capsys: Any
) -> None:
    path, fresh = tmp_path / "policy.json", tmp_path / "fresh.json"
    path.write_text(json.dumps({"v": 1, "max_age": 60}))
    policy = ["--policy", str(path)]
    assert main([url, *files(td), *policy, "--save", str(fresh), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    start, end = (seconds_of(report[name]) for name in ("verified_at", "expires"))
    assert start is not None
    assert end == start + 60
    command = ["--evidence", str(fresh), *files(td), *policy]
    assert main([*command, "--at", str(int(start + 50))]) == 0
    assert main([*command, "--at", str(int(start + 70))]) == 1
    assert "[evidence-old]" in capsys.readouterr().out
    assert main(["--evidence", str(saved), *files(td), *policy]) == 1
    assert "[age-unknown]" in capsys.readouterr().out


# --- starting ------------------------------------------------------------------------------------


def test_saved_evidence_needs_no_network_code(td: Simulator, saved: Path) -> None:
    """What is slow to load is loaded where it is used."""
    program = (
        "import sys\n"
        "from cczoo_verifier.__main__ import main\n"
        "code = main(sys.argv[1:])\n"
        "slow = {'requests', 'jsonschema', 'jwt', 'fastapi', 'uvicorn', 'rich', 'cffi', 'http'}\n"
        "print(sorted(slow & set(sys.modules)))\n"
        "sys.exit(code)\n"
    )
    arguments = ["--evidence", str(saved), "--root", f"{td.directory}/root.pem", "--json"]
    done = run_program(program, *arguments, stdout=subprocess.PIPE)
    assert done.returncode == 3, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version(capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("cczoo-verify ")


@pytest.mark.parametrize("arguments", [["https://chat.example"], ["serve"]])
def test_a_missing_extra_is_explained(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "sys.modules['dcap_qvl'] = None\n"
        "from cczoo_verifier.__main__ import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", program, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("cczoo-verify: dcap_qvl is missing here; run: pip install")


def test_the_auditors_page_names_every_check_and_exit_code() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "auditors.md").read_text()
    assert [name for name in CHECK_IDS if f"`{name}`" not in page] == []
    assert [code for code in (*range(5), 70) if f"| {code} |" not in page] == []
    folder = Path(cczoo_verifier.__file__).parent
    source = "".join(path.read_text() for path in folder.glob("*.py"))
    codes = set(
        re.findall('(?:UsageError|FileError|Problem|Unreachable|_parsed)\\(\\s*"([a-z-]+)"', source)
    )
    codes |= set(re.findall('"([a-z]+-unreachable)"', source))
    assert len(codes) > 12
    assert [code for code in sorted(codes) if f"`{code}`" not in page] == []
