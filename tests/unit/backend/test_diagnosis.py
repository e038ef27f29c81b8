"""What the kit says of a machine in a process of its own: real trees, and a simulated TD."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cczoo_backend import bundle
from cczoo_backend.diagnosis import diagnosis, main
from quote_generator.attester import System

AZURE = "7783-7084-3265-9085-8269-3286-77"


def on(root: Path, *folders: str, **environ: str) -> dict[str, Any]:
    """The diagnosis of a machine whose files are below ``root``."""
    system = System.under(str(root), environ=environ)
    return diagnosis(folders, system=system, root=str(root), environ=environ)


def test_a_machine_without_tdx(tmp_path: Path) -> None:
    told = on(tmp_path)
    usable = {one["name"]: one["usable"] for one in told["transports"]["found"]}
    assert not any(usable.values())
    assert told["azure"] is False
    assert told["firmware_log"] == {"found": None}
    assert told["register"]["code"] == "tdx-not-available"


def test_azures_paravisor_is_known(tmp_path: Path) -> None:
    tag = tmp_path / "sys/class/dmi/id/chassis_asset_tag"
    tag.parent.mkdir(parents=True)
    tag.write_text(f"{AZURE}\n")
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/tpm0").touch()
    told = on(tmp_path)
    assert told["azure"] is True
    configfs = {one["name"]: one["reason"] for one in told["transports"]["found"]}["configfs-tsm"]
    assert "paravisor" in configfs


def test_a_simulated_td(tmp_path: Path) -> None:
    simulated = {
        "QUOTE_GENERATOR_SIMULATE": "1",
        "QUOTE_GENERATOR_SIMULATOR_DIR": str(tmp_path / "td"),
    }
    told = on(tmp_path, **simulated)
    assert told["transports"]["found"][-1]["usable"] is True
    assert told["register"]["code"] == "tdx-not-available"
    assert not (tmp_path / "td").exists()  # it changes nothing, and makes no keys


def test_a_damaged_firmware_log_is_told(tmp_path: Path) -> None:
    log = tmp_path / "sys/firmware/acpi/tables/data/CCEL"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"no log" * 100)
    assert on(tmp_path)["firmware_log"]["code"] == "bad-input"


def test_wrong_settings_name_their_variable(tmp_path: Path) -> None:
    told = on(tmp_path, TEE_PCCS_URL="nonsense")["services"]
    assert told["code"] == "misconfigured"
    assert "TEE_PCCS_URL" in told["detail"]


def test_services_are_those_that_are_offered(tmp_path: Path) -> None:
    told = on(
        tmp_path,
        TEE_PROVIDERS="trustee",
        TEE_DEFAULT_PROVIDER="trustee",
        TEE_TRUSTEE_URL="https://trustee.example/",
    )["services"]
    assert told["found"] == {"trustee": "https://trustee.example"}
    assert told["dcap"] is False


def test_a_page_that_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle.find_bundle, "__defaults__", ((tmp_path,),))
    assert on(tmp_path)["bundle"]["code"] == "no-bundle"


def test_stores_are_asked_of_the_kernel(tmp_path: Path) -> None:
    told = on(tmp_path, str(tmp_path), "/proc")["stores"]
    assert set(told) == {str(tmp_path), "/proc"}
    assert all(one.keys() >= {"kind", "secrecy", "integrity"} for one in told.values())


def test_the_program_prints_one_line_of_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--store", str(tmp_path)]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert set(json.loads(line)["stores"]) == {str(tmp_path)}


def test_it_needs_no_open_webui() -> None:
    code = "import sys, cczoo_backend.diagnosis as d; d.main([])"
    code += "; sys.exit('open_webui' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True)
