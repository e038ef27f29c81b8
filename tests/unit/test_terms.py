"""A policy's graces with their ends, its refusals and masks, and what is told: by the command.

The rules themselves are in tests/cases.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier.__main__ import main

from cases import world as cases
from cases.world import DAY, HOUR, NOW, World, date
from doubles.saved_world import save_world

MINUTE = 60
"""Until when what is borne is borne: less than a result lasts anyway."""

Change = Callable[[World], object]


@pytest.fixture
def told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Verifies a world under a policy, and returns the report for programs, with its exit code."""

    def run(change: Change, *options: str, **policy: Any) -> Any:
        world, path = World("v5-td15"), tmp_path / "policy.json"
        change(world)
        path.write_text(json.dumps({"v": 1} | policy))
        code = main([*save_world(world, tmp_path), "--policy", str(path), "--json", *options])
        return json.loads(capsys.readouterr().out) | {"exit": code}

    return run


def check(report: Any, name: str) -> tuple[str, str, str]:
    [found] = [each for each in report["checks"] if each["id"] == name]
    return found["outcome"], found["code"], found["detail"]


def good(world: World) -> None:
    """Nothing is changed."""


def out_of_date(world: World) -> None:
    """The TCB recovery was ten days ago."""
    levels = [cases.level("OutOfDate", "INTEL-SA-7", at=NOW - 10 * DAY, **cases.platform_tcb())]
    world.tcb_info.value["tcbLevels"] = levels


def ended(world: World) -> None:
    """TCB info ended an hour ago."""
    world.tcb_info.value["nextUpdate"] = date(NOW - HOUR)
    world.tcb_info.value["issueDate"] = date(NOW - DAY)


# --- graces --------------------------------------------------------------------------------------


def test_a_grace_for_a_platform_and_its_end(told: Callable[..., Any]) -> None:
    assert check(told(out_of_date), "tcb-status")[:2] == ("fail", "tcb-status")
    report = told(out_of_date, tcb={"grace": 10 * DAY + MINUTE})
    outcome, code, detail = check(report, "tcb-status")
    assert (report["exit"], outcome, code) == (3, "warn", "tcb-grace")
    assert detail == f"OutOfDate (INTEL-SA-7): borne until {date(NOW + MINUTE)}"
    assert report["expires"] == date(NOW + MINUTE)
    report = told(out_of_date, "--at", str(NOW + MINUTE + 1), tcb={"grace": 10 * DAY + MINUTE})
    assert (report["exit"], report["expires"]) == (1, None)


def test_a_grace_for_collateral_and_its_end(told: Callable[..., Any]) -> None:
    assert check(told(ended), "collateral")[:2] == ("fail", "collateral-expired")
    report = told(ended, collateral={"grace": HOUR + MINUTE})
    outcome, code, detail = check(report, "collateral")
    assert (report["exit"], outcome, code) == (3, "warn", "collateral-grace")
    assert f"ended (TCB info {date(NOW - HOUR)})" in detail
    assert report["expires"] == report["tcb"]["earliest_expiry"] == date(NOW + MINUTE)
    assert report["tcb"]["second_opinion"].startswith("collateral that has ended")


# --- refusals ------------------------------------------------------------------------------------


def field(name: str, value: bytes, kind: str = "v5-td15ex") -> Change:
    def change(world: World) -> None:
        world.kind = kind
        world.body[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "policy", "name", "code"),
    [
        (
            out_of_date,
            {"tcb": {"warn": ["OutOfDate"], "refused_advisories": ["INTEL-SA-7"]}},
            "tcb-status",
            "tcb-advisory",
        ),
        (good, {"platform": {"smt": "forbid"}}, "tcb-status", "platform-refused"),
        (
            good,
            {"masked_values": {"xfam": {"mask": "00" * 7 + "80", "value": "00" * 7 + "80"}}},
            "td-attributes",
            "values-masked",
        ),
        (field("vmid", b"\1"), {}, "td-attributes", "nested-guest"),
        (field("curr_server_td_attr", b"\1" * 8), {}, "td-attributes", "service-td-attributes"),
        (
            field("td_attributes", (1 << 28 | 1 << 17).to_bytes(8, "little")),
            {},
            "td-attributes",
            "attributes-refused",
        ),
    ],
)
def test_refusals(
    told: Callable[..., Any], change: Change, policy: Any, name: str, code: str
) -> None:
    report = told(change, **policy)
    assert report["exit"] == 1
    assert check(report, name)[:2] == ("fail", code)


@pytest.mark.parametrize(
    ("change", "policy"),
    [
        (out_of_date, {"tcb": {"warn": ["OutOfDate"], "refused_advisories": ["INTEL-SA-8"]}}),
        (good, {"masked_values": {"xfam": {"mask": "02" + "00" * 7, "value": "02" + "00" * 7}}}),
        (field("vmid", b"\1"), {"reference_values": {"vmid": ["01"]}}),
        (
            field("curr_server_td_attr", b"\1" * 8),
            {"reference_values": {"curr_server_td_attr": ["01" * 8]}},
        ),
        (
            field("td_attributes", (1 << 28 | 1 << 17).to_bytes(8, "little")),
            {"td_attributes": {"servtd_ext": "allow"}},
        ),
    ],
)
def test_what_is_named_may_be(told: Callable[..., Any], change: Change, policy: Any) -> None:
    assert told(change, **policy)["exit"] == 3  # by its root alone, which is not Intel's


# --- what is told --------------------------------------------------------------------------------


def test_the_platform_is_told(told: Callable[..., Any]) -> None:
    """Started under an old module, running under a new one."""

    def relaunch(world: World) -> None:
        levels = [
            cases.level(**cases.platform_tcb(tdx=[5, 0, 2] + [0] * 13)),
            cases.level("OutOfDate", "INTEL-SA-7", at=NOW - 9 * DAY, **cases.platform_tcb()),
        ]
        world.tcb_info.value["tcbLevels"] = levels
        world.tcb_info.value["tcbEvaluationDataNumber"] = 18
        world.body["tee_tcb_svn"] = bytes([3, 0, 2]) + bytes(13)
        world.body["tee_tcb_svn2"] = bytes([5, 0, 2]) + bytes(13)
        world.root_list.number = cases.der.integer(1 << 60)

    report = told(relaunch, tcb={"warn": ["TDRelaunchAdvised"]})
    begin = date(cases.BEGIN)
    assert report["tcb"] == {
        "status": "TDRelaunchAdvised",
        "launch": {
            "status": "OutOfDate",
            "advisories": ["INTEL-SA-7"],
            "date": date(NOW - 9 * DAY),
        },
        "current": {"status": "UpToDate", "advisories": [], "date": begin},
        "dates": {"platform": date(NOW - 9 * DAY), "module": None, "qe": begin},
        "platform": {"dynamic_platform": True, "cached_keys": True, "smt": True},
        "crl_numbers": {"root": str(1 << 60), "pck": "1"},
        "earliest_expiry": date(cases.END),
        "second_opinion": "dcap-qvl agrees",
        "short": ["TDX component 1 3 < 5"],
    }
    assert report["tcb_evaluation"]["fmspc"] == b"TEST\0\0".hex()
    assert "restart the TD" in check(report, "tcb-status")[2]


def test_people_are_told_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World("v5-td15")
    world.tcb_info.value["tcbEvaluationDataNumber"] = 18
    assert main(save_world(world, tmp_path)) == 3
    out = capsys.readouterr().out
    for line in (
        f"tcb at launch  UpToDate, of {date(cases.BEGIN)}",
        "fmspc          544553540000",
        "evaluation     TCB info 18, QE identity 17",
        "crl numbers    root 1, pck 1",
        "platform       dynamic_platform yes, cached_keys yes, smt yes",
        f"earliest end   {date(cases.END)}",
    ):
        assert line in out
    world.body["td_attributes"] = b"\1" + bytes(7)
    assert main(save_world(world, tmp_path)) == 1
    assert "earliest end" not in capsys.readouterr().out
