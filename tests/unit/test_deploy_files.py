"""The files of docs/deploy, by systemd's own tools: nothing of systemd has to run for that."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
SHOWN = REPO / "docs" / "deploy"
SECONDS = 60
# A service without any setting has 9.6 of 10; one without network and rights comes below 1.
MOST_EXPOSED = 30  # tenths


def run(*words: str | Path) -> str:
    """What a command says, which has to succeed."""
    command = [str(word) for word in words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def settings(name: str) -> dict[str, list[str]]:
    """The lines of the service, by what they set."""
    lines = (SHOWN / name).read_text().splitlines()
    found: dict[str, list[str]] = {}
    for line in lines:
        if line and line[0] not in "#[":
            key, _equals, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The service, with a program that is here."""
    path = tmp_path / "open-webui.service"
    text = (SHOWN / path.name).read_text()
    [started] = settings(path.name)["ExecStart"]
    path.write_text(text.replace(started, "/bin/true"))
    return path


def test_systemd_has_nothing_to_say_against_the_service(unit: Path) -> None:
    assert run("systemd-analyze", "verify", "--man=no", unit) == ""


def test_systemd_would_notice_a_mistake(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("ProtectSystem=strict", "ProtectSystm=strict"))
    assert "ProtectSystm" in run("systemd-analyze", "verify", "--man=no", unit)


def test_the_service_is_hardened(unit: Path) -> None:
    threshold = f"--threshold={MOST_EXPOSED}"
    run("systemd-analyze", "security", "--offline=yes", "--no-pager", threshold, unit)


def test_the_service_reaches_what_quotes_and_measuring_take() -> None:
    found = settings("open-webui.service")
    assert {"/dev/tdx_guest rw", "/dev/tdx-guest rw"} <= set(found["DeviceAllow"])
    assert {"-/sys/kernel/config", "-/sys/devices/virtual/misc/tdx_guest"} <= set(
        found["ReadWritePaths"]
    )
    assert found["CapabilityBoundingSet"] == found["AmbientCapabilities"] == ["CAP_DAC_OVERRIDE"]
    assert "AF_VSOCK" in found["RestrictAddressFamilies"][0].split()
    # The log of RTMR3 lies there, and has to last as long as the register does.
    assert found["RuntimeDirectory"] == ["attestation-agent"]
    assert found["RuntimeDirectoryPreserve"] == ["yes"]
    for order in ("sys-kernel-config.mount", "ollama.service"):
        assert order in found["After"][0].split()
    assert not {"ProtectProc", "ProcSubset", "MemoryDenyWriteExecute"} & set(found)


def test_account_and_group_are_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    run("systemd-sysusers", f"--root={tmp_path}", SHOWN / "open-webui.sysusers")
    groups = (tmp_path / "etc" / "group").read_text()
    assert re.search(r"(?m)^tdx:x:\d+:open-webui$", groups)
    found = settings("open-webui.service")
    assert (found["User"], found["SupplementaryGroups"]) == (["open-webui"], ["tdx"])


def test_the_rule_gives_both_devices_to_the_group() -> None:
    rules = [
        line
        for line in (SHOWN / "70-tdx-guest.rules").read_text().splitlines()
        if not line.startswith("#")
    ]
    for rule, name in zip(rules, ("tdx_guest", "tdx-guest"), strict=True):
        assert rule.split(", ") == [
            'SUBSYSTEM=="misc"',
            f'KERNEL=="{name}"',
            'GROUP="tdx"',
            'MODE="0660"',
        ]


def test_the_environment_is_read_as_systemd_and_a_shell_read_it() -> None:
    lines = [
        line
        for line in (SHOWN / "open-webui.env").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[A-Z_]+=[^\s\"'$`]+", line) for line in lines)
    variables = dict(line.split("=", 1) for line in lines)
    [state] = settings("open-webui.service")["StateDirectory"]
    assert variables["DATA_DIR"] == f"/var/lib/{state}"
    assert variables["UVICORN_WORKERS"] == "1"


def test_the_service_starts_the_kit_on_this_machine_alone() -> None:
    [started] = settings("open-webui.service")["ExecStart"]
    words = shlex.split(started)
    assert words[1:4] == ["-m", "cczoo_backend", "serve"]
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert (
        f"127.0.0.1:{words[words.index('--port') + 1]}"
        in (REPO / "docs" / "sealed" / "nginx.conf").read_text()
    )
