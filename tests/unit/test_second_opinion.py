"""cczoo_verifier.second_opinion: when dcap-qvl is asked, and what its answer does."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dcap_qvl
import pytest
from cczoo_verifier.appraisal import Rejected, Trust, Verdict, verify
from cczoo_verifier.collateral import from_members
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cases import world as cases
from cases.world import NOW, World
from doubles.saved_world import save_world
from quote_generator.simulator import der


def judged(world: World) -> Verdict:
    case = world.case()
    root = x509.load_pem_x509_certificate(case["root_ca_pem"].encode())
    trust = Trust(root.public_bytes(Encoding.DER), from_members(case["collateral"]))
    return verify(base64.b64decode(case["quote_b64"]), trust, NOW)


def unsorted(world: World) -> None:
    low = cases.level("OutOfDate", **cases.platform_tcb(sgx=[0] * 16))
    world.tcb_info.value["tcbLevels"].insert(0, low)


def second_root(world: World) -> None:
    """Another certificate of the root's key."""
    other = cases._root()
    other.serial = 9
    world.certificates["other root"] = other
    world.chains["qe_identity_issuer"] = ("tcb", "other root")


def sgx(world: World, **members: bytes) -> None:
    extension = world.certificates["pck"].sgx
    assert extension is not None
    vars(extension).update(members)


def without_sept_ve(world: World) -> None:
    world.body["td_attributes"] = bytes(8)


def migratable(world: World) -> None:
    world.body["td_attributes"] = (1 << 28 | 1 << 29).to_bytes(8, "little")


def service_td(world: World) -> None:
    world.kind = "v5-td15"
    world.body["mr_servicetd"] = b"\1" * 48


def short_auth_data(world: World) -> None:
    world.auth_data = bytes(31)


def high_pce_svn(world: World) -> None:
    sgx(world, pce_svn=der.integer(0x8000))


def other_cpu_svn(world: World) -> None:
    extension = world.certificates["pck"].sgx
    assert extension is not None
    extension.tcb["2.18"] = der.octets(bytes(16))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without_sept_ve, "TD attributes"),
        (migratable, "TD attributes"),
        (service_td, "a service TD"),
        (short_auth_data, "QE authentication data"),
        (high_pce_svn, "a PCESVN over 32767"),
        (other_cpu_svn, "a CPUSVN"),
        (unsorted, "levels in another order"),
        (second_root, "several certificates of the root"),
    ],
)
def test_it_is_not_asked_where_its_rules_are_others(
    change: Callable[[World], object], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours alone decide then, and the report says why; asked, it would refuse or differ."""
    monkeypatch.setattr(dcap_qvl, "verify_with_root_ca", lambda *_: pytest.fail("was asked"))
    world = World()
    change(world)
    verdict = judged(world)
    assert verdict.tcb_status == "UpToDate"
    assert (verdict.not_asked or "").startswith(reason)


def test_it_is_asked_about_the_rest() -> None:
    for kind in cases.KINDS:
        assert judged(World(kind)).not_asked is None


WORDS = "Verification failed:\n  CertRevoked \x1b[31m" + "x" * 400


def refuses(*_: object) -> object:
    raise ValueError(WORDS)


def says_otherwise(*_: object) -> object:
    return SimpleNamespace(status="OutOfDate" + "y" * 400, advisory_ids=[])


def sees_another_advisory(*_: object) -> object:
    return SimpleNamespace(status="UpToDate", advisory_ids=["INTEL-SA-99999" + "z" * 400])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (refuses, "Verification failed: CertRevoked \x1b[31mxxx"),
        (says_otherwise, "OutOfDatey"),
        (sees_another_advisory, "not agreed on advisories: INTEL-SA-99999z"),
    ],
)
def test_one_verifier_against_it_is_enough(
    answer: Callable[..., object], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its words are shown, cut, and never read: these name reasons that ours have, too."""
    monkeypatch.setattr(dcap_qvl, "verify_with_root_ca", answer)
    with pytest.raises(Rejected) as caught:
        judged(World())
    assert (caught.value.check, caught.value.code) == ("quote-signature", "quote-rejected")
    assert words in str(caught.value)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


def test_a_pinned_root_of_another_name_does_not_end_the_process(tmp_path: Path) -> None:
    """dcap-qvl, given that root, ends the process that asks it."""
    world = World()
    world.certificates["pinned"].subject = world.certificates["pinned"].issuer = "By Another Name"
    command = [sys.executable, "-m", "cczoo_verifier", *save_world(world, tmp_path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3, done.stderr
    report: Any = json.loads(done.stdout)
    warnings = {check["code"] for check in report["checks"] if check["outcome"] == "warn"}
    assert warnings == {"root"}
    assert report["root"] == "By Another Name"
    assert report["tcb"]["second_opinion"] == "dcap-qvl agrees"
