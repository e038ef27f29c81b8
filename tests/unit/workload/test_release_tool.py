"""tools/release.py: what is signed, and what never is."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier.__main__ import main as cczoo_verify
from cczoo_verifier.policy import ReleaseRules
from cczoo_verifier.problems import FileError
from cczoo_verifier.release import read_release
from cczoo_verifier.release_signing import key_name
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from made_wheels import write_wheel

import release
from preparation import editions

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
VERSIONS = editions.versions(editions.PLUGIN)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "release.pem"
    path.parent.mkdir()
    path.touch(0o600)
    path.write_bytes(
        KEY.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a wheel, and nothing changed in it."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "README.md").write_text("a kit\n")
    (folder / ".gitignore").write_text("/out/\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "Begin")
    wheels = folder / "out" / "wheel"
    wheels.mkdir(parents=True)
    write_wheel(wheels, "cczoo_trust_badge-0.2.0", {"cczoo_backend/page/a.js": b"1\n"})
    monkeypatch.setattr(release, "REPO", folder)
    return folder


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def wheels(tmp_path: Path) -> list[str]:
    """Options that name wheels of each open-webui, so that none is fetched."""
    folder = tmp_path / "open-webui"
    folder.mkdir()
    options = []
    for version in VERSIONS:
        files = {
            "open_webui/__init__.py": version.encode(),
            "open_webui/frontend/index.html": b"<html></html>\n",
        }
        path = write_wheel(folder, f"open_webui-{version}", files)
        options += ["--open-webui", f"{version}={path}"]
    return options


def made(repo: Path, key: Path, wheels: list[str], *more: str) -> int:
    out = repo / "out" / "release"
    return release.main(["--key", str(key), "--out", str(out), *wheels, *more])


def signed(repo: Path, serial: int = 0) -> Any:
    text = (repo / "out" / "release" / release.NAME).read_bytes()
    return read_release(text, ReleaseRules((key_name(KEY),), serial))


def test_a_release(repo: Path, key: Path, wheels: list[str], capsys: Any, tmp_path: Path) -> None:
    assert made(repo, key, wheels, "--serial", "1", "--days", "30") == 0
    assert f"policies pin: {key_name(KEY)}" in capsys.readouterr().out
    found = signed(repo)
    (wheel,) = (repo / "out" / "release").glob("*.whl")
    assert found.kit["commit"] == git(repo, "rev-parse", "HEAD")
    assert found.kit["wheel"] == f"sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"
    assert (found.serial, found.expires - found.issued) == (1, 30 * 24 * 3600)
    assert list(found.open_webui) == VERSIONS
    policy = tmp_path / "policy.json"
    document = {"v": 1, "workload": {"release": {"keys": [key_name(KEY)]}}}
    policy.write_text(json.dumps(document))
    place = str(repo / "out" / "release" / release.NAME)
    assert cczoo_verify(["reference", "--policy", str(policy), "--release", place]) == 0


def test_the_next_release_has_the_next_number(repo: Path, key: Path, wheels: list[str]) -> None:
    assert made(repo, key, wheels, "--serial", "7") == 0
    old = (repo / "out" / "release" / release.NAME).read_bytes()
    assert made(repo, key, wheels) == 0
    assert signed(repo).serial == 8
    with pytest.raises(FileError, match="old release"):
        read_release(old, ReleaseRules((key_name(KEY),), 8))
    assert key.with_name("release.pem.serial").read_text() == "8\n"
    assert not list((repo / "out").glob(".release-*"))


def refused(capsys: Any, status: int, why: str, repo: Path) -> None:
    captured = capsys.readouterr()
    assert status == 1
    assert why in captured.err
    assert "Traceback" not in captured.err
    assert not (repo / "out" / "release").exists()


@pytest.mark.parametrize("serial", ["6", "7"])
def test_a_number_grows(repo: Path, key: Path, wheels: list[str], capsys: Any, serial: str) -> None:
    record = key.with_name("release.pem.serial")
    record.write_text("7\n")
    refused(capsys, made(repo, key, wheels, "--serial", serial), "does not grow", repo)
    assert record.read_text() == "7\n"


@pytest.mark.parametrize("text", ["", "x", "-1", "1e3", "9" * 16, "\u0663"])
def test_a_record_that_is_no_number_is_not_guessed(
    repo: Path, key: Path, wheels: list[str], capsys: Any, text: str
) -> None:
    key.with_name("release.pem.serial").write_text(text)
    refused(capsys, made(repo, key, wheels, "--serial", "9"), "no serial number", repo)


def test_the_first_number_is_said(repo: Path, key: Path, wheels: list[str], capsys: Any) -> None:
    refused(capsys, made(repo, key, wheels), "SERIAL=", repo)


@pytest.mark.parametrize("change", ["changed", "added", "staged"])
def test_a_checkout_with_changes_is_not_signed(
    repo: Path, key: Path, wheels: list[str], capsys: Any, change: str
) -> None:
    (repo / ("README.md" if change == "changed" else "new.py")).write_text("other\n")
    if change == "staged":
        git(repo, "add", ".")
    refused(capsys, made(repo, key, wheels, "--serial", "1"), "has changes", repo)
    assert not key.with_name("release.pem.serial").exists()


def test_a_key_in_the_checkout_is_not_used(
    repo: Path, key: Path, wheels: list[str], capsys: Any
) -> None:
    inside = repo / "out" / "key.pem"
    key.rename(inside)
    refused(capsys, made(repo, inside, wheels, "--serial", "1"), "keep private keys else", repo)


def test_a_key_that_others_can_read_is_not_used(
    repo: Path, key: Path, wheels: list[str], capsys: Any
) -> None:
    key.chmod(0o640)
    refused(capsys, made(repo, key, wheels, "--serial", "1"), "others can read", repo)


def test_another_wheel_than_it_says_is_not_signed(
    repo: Path, key: Path, wheels: list[str], capsys: Any
) -> None:
    wheels[1] = f"{VERSIONS[0]}={wheels[3].partition('=')[2]}"
    refused(capsys, made(repo, key, wheels, "--serial", "1"), "is no wheel of open-webui", repo)
    wheels[1] = "1.0=x.whl"
    refused(capsys, made(repo, key, wheels, "--serial", "1"), "VERSION=FILE", repo)


def test_a_kit_without_a_page_is_not_signed(
    repo: Path, key: Path, wheels: list[str], capsys: Any
) -> None:
    folder = repo / "out" / "wheel"
    for wheel in folder.iterdir():
        wheel.unlink()
    refused(capsys, made(repo, key, wheels, "--serial", "1"), "0 wheels", repo)
    write_wheel(folder, "cczoo_trust_badge-0.2.0", {"cczoo_backend/a.py": b""})
    refused(capsys, made(repo, key, wheels, "--serial", "1"), "has no page", repo)


@pytest.mark.parametrize("days", ["0", "367", "x"])
def test_it_ends_within_a_year(key: Path, days: str) -> None:
    with pytest.raises(SystemExit):
        release.main(["--key", str(key), "--days", days])


def test_make_hands_on_what_it_is_given() -> None:
    root = Path(release.__file__).resolve().parents[1]
    command = ["make", "-n", "release", "KEY=/keys/a b.pem", "SERIAL=3", "DAYS=90"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=True)
    told = " ".join(done.stdout.replace("\\\n", " ").split())
    assert 'tools/release.py --key "/keys/a b.pem" --serial "3" --days "90"' in told
