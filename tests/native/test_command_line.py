"""``python -m quote_generator``: output, exit codes and errors, at the real paths."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import wrap

import pytest
from test_configfs import report_data_of

from conftest import eventually
from emulator import Emulator

COMMAND = [sys.executable, "-m", "quote_generator"]
REPORT_DATA = bytes(range(64)).hex()


def run(
    command: list[str], *, stdin: bytes = b"", environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("QUOTE_GENERATOR_")}
    return subprocess.run(
        command, input=stdin, capture_output=True, env={**clean, **(environ or {})}
    )


def inside(emulator: Emulator, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return run(emulator.inside([*COMMAND, *arguments]))


@pytest.mark.parametrize("arguments", [["quote"], []], ids=["quote", "default"])
def test_raw_and_hex(emulator: Emulator, arguments: list[str]) -> None:
    common = [*arguments, "--report-data", REPORT_DATA, "--format"]
    raw = inside(emulator, *common, "raw")
    assert (raw.stderr, raw.returncode) == (b"", 0)
    assert report_data_of(raw.stdout).hex() == REPORT_DATA
    assert bytes.fromhex(inside(emulator, *common, "hex").stdout.decode()) == raw.stdout


def test_json_and_parse(tmp_path: Path) -> None:
    with Emulator(state=tmp_path / "state", prefix="TEST") as emulator:
        made = inside(emulator, "--report-data", "aa")
    assert made.returncode == 0, made.stderr
    document = json.loads(made.stdout)
    assert (document["transport"], document["simulated"]) == ("configfs-tsm", False)
    assert document["provider"] == "tdx_guest"
    assert document["quote_parse"]["body"]["report_data"] == "aa" + "00" * 63
    raw = bytes.fromhex(document["quote"])
    for form in (
        raw,
        document["quote"].encode(),
        document["quote"].upper().encode() + b"\n",
        "\n".join(wrap(document["quote"])).encode(),
        base64.b64encode(raw),
        base64.encodebytes(raw),
        base64.urlsafe_b64encode(raw).rstrip(b"="),
    ):
        parsed = run([*COMMAND, "parse"], stdin=form)
        assert json.loads(parsed.stdout) == document["quote_parse"]
        assert run([*COMMAND, "parse", "--format", "raw"], stdin=form).stdout == raw
    assert (
        run([*COMMAND, "parse", "--format", "hex"], stdin=raw).stdout.decode() == raw.hex() + "\n"
    )
    (tmp_path / "quote").write_text(document["quote"])
    parsed = run([*COMMAND, "parse", str(tmp_path / "quote")])
    assert json.loads(parsed.stdout) == document["quote_parse"]


def test_a_report_can_be_parsed(emulator: Emulator) -> None:
    made = inside(emulator, "report", "--report-data", "aa", "--format", "raw")
    assert (len(made.stdout), made.returncode) == (1024, 0)
    for form in (made.stdout, made.stdout.hex().encode(), base64.b64encode(made.stdout)):
        parsed = json.loads(run([*COMMAND, "parse"], stdin=form).stdout)
        assert parsed["report_data"] == "aa" + "00" * 63
    as_json = json.loads(inside(emulator, "report", "--report-data", "aa").stdout)
    assert (as_json["tdreport"], as_json["tdreport_parse"]) == (made.stdout.hex(), parsed)


def test_transports_are_listed_in_order(emulator: Emulator) -> None:
    for arguments in ((), ("--format", "json")):
        done = inside(emulator, "transports", *arguments)
        assert (done.stderr, done.returncode) == (b"", 0)
        found = json.loads(done.stdout)
        assert [one["name"] for one in found] == [
            *("qgs-vsock", "configfs-tsm", "legacy-ioctl", "simulator")
        ]
        assert [one["usable"] for one in found] == [False, True, False, False]
        assert all(one["reason"] for one in found)
    assert run([*COMMAND, "transports", "--format", "raw"]).returncode == 2


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("no-provider", 3),
        ("permission", 4),
        ("busy", 5),
        ("timed-out", 6),
        ("empty", 7),
        ("truncated", 8),
        ("foreign-chain", 8),
        ("dice", 10),
    ],
)
def test_exit_codes(emulator: Emulator, fault: str, code: int) -> None:
    emulator.set_fault(fault)
    check_failure(inside(emulator, "quote", "--timeout", "0.3"), code)


def check_failure(done: subprocess.CompletedProcess[bytes], code: int) -> str:
    """Check that a failure is an exit code and one line for people."""
    text = done.stderr.decode()
    assert (done.returncode, done.stdout) == (code, b""), text
    assert text.startswith("quote_generator: ")
    assert text.count("\n") == 1
    assert "Traceback" not in text
    return text


def test_without_tdx_it_says_what_was_looked_for_and_what_to_do() -> None:
    text = check_failure(run(COMMAND), 3)
    for part in ("/sys/kernel/config/tsm/report", "configfs", "QUOTE_GENERATOR_SIMULATE=1"):
        assert part in text


def test_the_simulator_says_so(tmp_path: Path) -> None:
    environ = {"QUOTE_GENERATOR_SIMULATE": "1", "QUOTE_GENERATOR_SIMULATOR_DIR": str(tmp_path)}
    document = json.loads(run(COMMAND, environ=environ).stdout)
    assert (document["transport"], document["simulated"]) == ("simulator", True)


def test_bad_input() -> None:
    check_failure(run([*COMMAND, "parse"], stdin=b"no quote"), 2)
    check_failure(run([*COMMAND, "quote", "--timeout", "-1"]), 2)
    for arguments in (["--report-data", "xy"], ["--report-data", "00" * 65], ["dance"]):
        done = run([*COMMAND, *arguments])
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"usage:" in done.stderr


@pytest.mark.parametrize("stdin", [b"", b" \n"])
def test_empty_input(stdin: bytes) -> None:
    assert "empty" in check_failure(run([*COMMAND, "parse"], stdin=stdin), 2)


@pytest.mark.parametrize(
    "arguments",
    [
        ["parse", "/dev/zero"],
        ["eventlog", "--ccel", "/dev/zero"],
        ["eventlog", "--aael", "/dev/zero"],
        ["eventlog", "--aael", os.devnull, "--quote", "/dev/zero"],
    ],
)
def test_input_without_end(arguments: list[str]) -> None:
    text = check_failure(run([*COMMAND, *arguments]), 2)
    assert "more than" in text or "empty" in text


def test_only_one_file_is_stdin() -> None:
    arguments = ["eventlog", "--ccel", "-", "--quote", "-"]
    assert "only one" in check_failure(run([*COMMAND, *arguments]), 2)


@pytest.mark.parametrize("command", ["quote", "report", "parse"])
def test_raw_bytes_do_not_go_to_a_terminal(emulator: Emulator, command: str) -> None:
    ours, terminal = os.openpty()
    done = subprocess.run(
        emulator.inside([*COMMAND, command, "--format", "raw"]),
        input=inside(emulator, "--format", "raw").stdout,
        stdout=terminal,
        stderr=subprocess.PIPE,
    )
    os.close(terminal)
    os.set_blocking(ours, False)
    with pytest.raises(OSError, match=r"."):  # nothing was written
        os.read(ours, 1)
    os.close(ours)
    assert done.returncode == 2
    assert b"not for a terminal" in done.stderr


@pytest.mark.parametrize("redirection", [">&-", "> /dev/full", "<&-"])
def test_streams_that_are_closed_or_full(redirection: str) -> None:
    command = "parse" if redirection == "<&-" else "transports"
    done = run(["sh", "-c", f"{' '.join(COMMAND)} {command} {redirection}"])
    text = check_failure(done, 2 if redirection == "<&-" else 1)
    assert "closed" in text or "No space left" in text


def test_a_missing_file_is_named() -> None:
    done = run([*COMMAND, "parse", "/no/such/file"])
    assert done.returncode == 1
    assert b"/no/such/file" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("form", ["hex", "raw", "json"])
def test_a_reader_that_leaves_early_is_no_error_message(emulator: Emulator, form: str) -> None:
    command = emulator.inside(["sh", "-c", f"{' '.join(COMMAND)} --format {form} | true"])
    assert run(command).stderr == b""


def test_ctrl_c_is_an_exit_code_and_no_traceback(emulator: Emulator) -> None:
    emulator.set_fault("busy")
    process = subprocess.Popen(
        emulator.inside([*COMMAND, "--timeout", "60"]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    asked = emulator.state()["mkdir"]
    assert eventually(lambda: emulator.state()["mkdir"] > asked)
    process.send_signal(signal.SIGINT)
    assert (*process.communicate(), process.returncode) == (b"", b"", 130)
    assert emulator.state()["entries"] == []


def test_version_and_help() -> None:
    assert run([*COMMAND, "--version"]).stdout.strip() != b""
    assert b"Exit codes" in run([*COMMAND, "--help"]).stdout


def test_import_loads_neither_the_c_core_nor_cryptography() -> None:
    code = (
        "import sys, quote_generator; "
        "print([m for m in sys.modules if 'cryptography' in m or '_tdx' in m or m == 'cffi'])"
    )
    assert run([sys.executable, "-c", code]).stdout == b"[]\n"
