"""`cczoo-verify --write-reference-values`: what Trustee reads, and of which evidence only."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier import reference_files
from cczoo_verifier.__main__ import main
from cczoo_verifier.appraisal import Trust
from cczoo_verifier.audit import Report, audit
from cczoo_verifier.eventlogs import Replayed
from cczoo_verifier.problems import FileError
from cczoo_verifier.reference_files import LOCAL_FS, RVPS, Target

from doubles.chat import NONCE, Chat, make_evidence
from doubles.serving import serving
from quote_generator.evidence import encode_base64url
from quote_generator.simulator import Simulator

MEASURED = {
    "mr_td": "7d" * 48,
    "rtmr_1": "a1" * 48,
    "rtmr_2": "a2" * 48,
    "xfam": "e702060000000000",
}
"""What the policy of v0.21 asks for, in the simulated TD."""

MEASURED_RVPS = {**MEASURED, "mr_seam": "5e" * 48, "tcb_svn": "0501020000000000" + "00" * 8}
"""That of v0.13."""

FORMAT = "0.1.0"
"""The one that both versions of Trustee write and ask for."""

ENDS = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


@pytest.fixture
def command(td: Simulator, url: str) -> list[str]:
    """Verifies the server, and passes."""
    root, collateral = td.directory / "root.pem", td.directory / "collateral.json"
    return [url, "--root", str(root), "--collateral", str(collateral)]


@pytest.fixture(scope="module")
def report(td: Simulator) -> Report:
    trust = Trust(td.root_der, td.collateral())
    return audit(make_evidence(td), nonce=NONCE, trust=lambda _: trust, now=time.time())


@pytest.fixture
def private_files() -> Iterator[None]:
    """An account that lets nobody else read its files."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def option(form: str, folder: Path) -> list[str]:
    return ["--write-reference-values", f"{form}:{folder}"]


def found(folder: Path) -> list[str]:
    """Every file and folder below, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def days_until(text: str) -> float:
    ends = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.UTC)
    return (ends.timestamp() - time.time()) / 86400


# --- what is written -----------------------------------------------------------------------------


@pytest.mark.usefixtures("private_files")
def test_what_an_rvps_reads(command: list[str], tmp_path: Path) -> None:
    """Trustee v0.13: its storage LocalJson, and what `rvps-tool register` sends."""
    folder = tmp_path / "new" / "values"
    assert main([*command, *option(RVPS, folder)]) == 0
    assert found(folder) == ["reference_values.json", "register.json"]
    stored = json.loads((folder / "reference_values.json").read_text())
    assert {item["name"]: item["hash-value"][0]["value"] for item in stored} == MEASURED_RVPS
    for item in stored:
        assert set(item) == {"version", "name", "expiration", "hash-value"}
        assert item["version"] == FORMAT
        assert [set(pair) for pair in item["hash-value"]] == [{"alg", "value"}]
        assert 364 < days_until(item["expiration"]) <= 365
    message = json.loads((folder / "register.json").read_text())
    payload = json.loads(base64.b64decode(message.pop("payload"), validate=True))
    assert message == {"version": FORMAT, "type": "sample"}
    assert payload == {name: [value] for name, value in MEASURED_RVPS.items()}
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
    for path in (folder, folder.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o755


@pytest.mark.usefixtures("private_files")
def test_what_a_storage_reads(command: list[str], tmp_path: Path) -> None:
    """Trustee v0.21: one file a name, in a folder that the service may have made already."""
    values = tmp_path / "reference_value"
    values.mkdir()
    (values / "another").write_text("stays")
    assert main([*command, *option(LOCAL_FS, tmp_path), "--reference-values-days", "30"]) == 0
    assert found(values) == sorted([*MEASURED, "another"])
    for name, value in MEASURED.items():
        kept = json.loads((values / name).read_text())
        assert 29 < days_until(kept.pop("expiration")) <= 30
        assert kept == {"version": FORMAT, "name": name, "value": [value]}
        assert stat.S_IMODE((values / name).stat().st_mode) == 0o644


def test_without_a_folder_it_is_one_with_the_forms_name(
    command: list[str], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*command, "--write-reference-values", LOCAL_FS]) == 0
    assert found(tmp_path / LOCAL_FS / "reference_value") == sorted(MEASURED)


def test_the_report_says_what_was_written(command: list[str], tmp_path: Path, capsys: Any) -> None:
    assert main([*command, *option(LOCAL_FS, tmp_path), "--json"]) == 0
    captured = capsys.readouterr()
    note = json.loads(captured.out)["reference_values"]
    assert note["form"] == LOCAL_FS
    assert note["files"] == [f"{tmp_path}/reference_value/{name}" for name in MEASURED]
    assert 364 < days_until(note["expires"]) <= 365
    assert "does not look at the date" in note["remarks"][-1]
    for text in (note["expires"], *note["files"], *note["remarks"]):
        assert text in captured.err


def test_the_servers_own_words_are_no_values(td: Simulator, tmp_path: Path) -> None:
    """Names are ours and values the quote's: nothing else of the answer counts."""
    evidence = make_evidence(td)
    evidence["quote_parse"]["body"] = {"mr_td": "00" * 48, "../../etc/passwd": "../up"}
    saved = tmp_path / "saved.json"
    kept = {"nonce": encode_base64url(NONCE), "evidence": evidence, "url": "../../up"}
    saved.write_text(json.dumps({**kept, "collateral": td.collateral()}))
    folder = tmp_path / "values"
    root = ["--root", str(td.directory / "root.pem")]
    assert main(["--evidence", str(saved), *root, *option(LOCAL_FS, folder)]) == 0
    assert found(tmp_path) == [
        "saved.json",
        "values",
        "values/reference_value",
        *(f"values/reference_value/{name}" for name in sorted(MEASURED)),
    ]
    kept_value = json.loads((folder / "reference_value" / "mr_td").read_text())
    assert kept_value["value"] == [MEASURED["mr_td"]]


# --- of which evidence ---------------------------------------------------------------------------


def test_nothing_of_evidence_that_failed(
    command: list[str], chat: Chat, tmp_path: Path, capsys: Any
) -> None:
    """The verdict and its exit code stay what they are."""
    chat.mode = "replay"
    folder = tmp_path / "values"
    assert main([*command, *option(RVPS, folder), "--json"]) == 1
    captured = capsys.readouterr()
    assert captured.err.endswith("[not-verified]\n")
    report = json.loads(captured.out)
    assert report["result"] == "fail"
    assert "reference_values" not in report
    assert not folder.exists()


def test_nothing_where_other_values_were_expected(
    command: list[str], tmp_path: Path, capsys: Any
) -> None:
    reference, folder = tmp_path / "expected.json", tmp_path / "values"
    reference.write_text(json.dumps({"mr_td": "7e" * 48}))
    assert main([*command, "--reference", str(reference), *option(RVPS, folder)]) == 1
    assert "[not-verified]" in capsys.readouterr().err
    assert not folder.exists()


def test_nothing_without_a_verdict(
    command: list[str], chat: Chat, tmp_path: Path, capsys: Any
) -> None:
    chat.mode = "no-tdx"
    folder = tmp_path / "values"
    assert main([*command, *option(RVPS, folder)]) == 4
    assert "[evidence-unreachable]" in capsys.readouterr().err
    assert not folder.exists()


def test_a_simulators_values_are_for_trying_out(
    simulator: Simulator, tmp_path: Path, capsys: Any
) -> None:
    trust = ["--simulator", str(simulator.directory)]
    with serving(Chat(simulator).app) as address:
        assert main([address, *trust, *option(LOCAL_FS, tmp_path)]) == 3
    assert "for trying out only" in capsys.readouterr().err
    assert found(tmp_path / "reference_value") == sorted(MEASURED)


def test_trust_on_first_use_is_said(
    td: Simulator, command: list[str], tmp_path: Path, capsys: Any
) -> None:
    """Whatever nobody expected is the word of the one who answered."""
    expected = tmp_path / "expected.json"
    every = {**MEASURED, "mr_seam": MEASURED_RVPS["mr_seam"]}
    for at, (form, given, new) in enumerate(
        [
            (LOCAL_FS, {}, "mr_td, rtmr_1, rtmr_2, xfam"),
            (LOCAL_FS, {"mr_td": MEASURED["mr_td"]}, "rtmr_1, rtmr_2, xfam"),
            (LOCAL_FS, every, None),
            (RVPS, every, "tcb_svn"),
            (RVPS, {**every, "tee_tcb_svn": MEASURED_RVPS["tcb_svn"]}, None),
        ]
    ):
        expected.write_text(json.dumps(given))
        reference = ["--reference", str(expected)] if given else []
        assert main([*command, *reference, *option(form, tmp_path / str(at))]) == 0
        said = capsys.readouterr().err
        assert ("trust on first use" in said) == (new is not None)
        assert new is None or f"nothing was compared with {new}, which" in said


def test_a_register_that_moves_is_said(report: Report) -> None:
    """Others extended RTMR2 after boot: what it is now may not come again."""
    moving = dataclasses.replace(report, logs=Replayed(("rtmr_0",), ("rtmr_2",), ()))
    for given, is_said in ((report, False), (moving, True)):
        note = reference_files.note(Target(LOCAL_FS, Path("x")), given, (), ENDS)
        assert any("rtmr_2 was extended" in remark for remark in note["remarks"]) == is_said


# --- where it can not be written -----------------------------------------------------------------


def test_what_is_there_stays(command: list[str], chat: Chat, tmp_path: Path, capsys: Any) -> None:
    """Nobody is asked, and no other file is written beside it."""
    taken = tmp_path / "reference_value" / "rtmr_2"
    taken.parent.mkdir()
    taken.symlink_to("nowhere")
    assert main([*command, *option(LOCAL_FS, tmp_path), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "values-exist"
    assert f"{taken} is there already" in error["detail"]
    assert chat.seen == []
    assert found(tmp_path) == ["reference_value", "reference_value/rtmr_2"]


def test_what_came_meanwhile_stays(report: Report, tmp_path: Path) -> None:
    target = Target(LOCAL_FS, tmp_path)
    reference_files.check_target(target)
    taken = tmp_path / "reference_value" / "rtmr_2"
    taken.parent.mkdir()
    taken.write_text("another's")
    assert report.quote
    with pytest.raises(FileError, match="is there already") as caught:
        reference_files.write(target, report.quote.body, ENDS)
    assert caught.value.code == "values-exist"
    assert str(taken) in str(caught.value)
    assert taken.read_text() == "another's"
    assert found(tmp_path) == ["reference_value", "reference_value/rtmr_2"]


@pytest.mark.parametrize("place", ["file", "file/below", "/dev/null"])
def test_a_place_is_looked_at_first(
    command: list[str], chat: Chat, tmp_path: Path, place: str, capsys: Any
) -> None:
    (tmp_path / "file").write_text("")
    assert main([*command, *option(RVPS, tmp_path / place), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "save-failed"
    assert chat.seen == []


def test_a_place_where_nothing_can_be_made(report: Report) -> None:
    """Whoever runs this: not even root makes a file there."""
    assert report.quote
    with pytest.raises(FileError, match="no reference values were written to /proc") as caught:
        reference_files.write(Target(LOCAL_FS, Path("/proc")), report.quote.body, ENDS)
    assert caught.value.code == "save-failed"


NO_SPACE = """
import resource, sys
from cczoo_verifier.__main__ import main
resource.setrlimit(resource.RLIMIT_FSIZE, (150, 150))
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("form", [RVPS, LOCAL_FS])
def test_a_full_disk_leaves_nothing(command: list[str], tmp_path: Path, form: str) -> None:
    """A limit on a file's size stops the write as a full disk does; one value still fits."""
    folder = tmp_path / "values"
    arguments = [sys.executable, "-c", NO_SPACE, *command, *option(form, folder), "--json"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert document["error"]["code"] == "save-failed"
    assert document["report"]["result"] == "warn"  # by its root alone: none stands in there
    assert "reference_values" not in document["report"]
    assert found(tmp_path) == []


@pytest.mark.parametrize("stops", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_nothing(
    report: Report, tmp_path: Path, monkeypatch: Any, stops: BaseException
) -> None:
    """Two files have their names when it happens."""
    link, names = os.link, []

    def fail(source: Path, target: Path) -> None:
        names.append(target.name)
        if len(names) == 3:
            raise stops
        link(source, target)

    monkeypatch.setattr(os, "link", fail)
    assert report.quote
    with pytest.raises((FileError, KeyboardInterrupt)):
        reference_files.write(Target(LOCAL_FS, tmp_path / "a" / "b"), report.quote.body, ENDS)
    assert len(names) == 3
    assert found(tmp_path) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--write-reference-values", "trustee"],
        ["--write-reference-values", f"{RVPS}:"],
        ["--write-reference-values", "/values"],
        ["--write-reference-values", LOCAL_FS, "--reference-values-days", "0"],
        ["--write-reference-values", LOCAL_FS, "--reference-values-days", "3651"],
        ["--write-reference-values", LOCAL_FS, "--reference-values-days", "1.5"],
        ["--reference-values-days", "30"],
    ],
)
def test_usage_errors(arguments: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["https://chat.example", *arguments])
    assert caught.value.code == 2
    assert "reference-values" in capsys.readouterr().err
