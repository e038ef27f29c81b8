"""Makes a signed release in out/release: the kit's wheel, and what a policy may take of it.

    make release KEY=/path/to/release.pem              # wheels of open-webui come from PyPI
    make release KEY=... SERIAL=12 DAYS=90
    python tools/release.py --key ... --open-webui VERSION=FILE     # a wheel that is at hand

The key is an Ed25519 key in a file of its owner's, outside of the checkout. Beside it, in
KEY.serial, is the last serial number that it signed: the next one is higher. A checkout with
changes that are not committed is refused. What comes out: docs/auditors.md, "A signed release".
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cczoo_verifier import reference_command
from cczoo_verifier.policy import ReleaseRules
from cczoo_verifier.release import MAX_DAYS, TYPE, VERSION, read_release
from cczoo_verifier.release_signing import key_name, read_signing_key, sign
from cczoo_verifier.signing import KeyFileError
from cczoo_verifier.times import rfc3339

from preparation import editions

REPO = Path(__file__).resolve().parents[1]
NAME = "cczoo-release.txt"
DAYS = 180
_DAY = 24 * 3600


class ReleaseError(Exception):
    """ReleaseError: nothing was signed; the message is for people."""


def main(argv: Sequence[str]) -> int:
    """Make the release; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        make(options)
    except (ReleaseError, KeyFileError, OSError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


def make(options: argparse.Namespace) -> None:
    """Make the release. Raises ReleaseError, KeyFileError and OSError."""
    key = read_signing_key(options.key)
    if options.key.resolve().is_relative_to(REPO):
        raise ReleaseError(f"{options.key} is in the checkout; keep private keys elsewhere")
    commit = clean_commit(REPO)
    record = options.key.with_name(f"{options.key.name}.serial")
    serial = next_serial(record, options.serial)
    wheel = options.wheel or only_wheel(REPO / "out" / "wheel")
    now = int(time.time())
    value = {
        "type": TYPE,
        "v": VERSION,
        "serial": serial,
        "issued": rfc3339(now),
        "expires": rfc3339(now + options.days * _DAY),
        "kit": kit_of(wheel, commit),
        "open_webui": [open_webui_of(*each) for each in sources(options.open_webui)],
    }
    text = sign(value, key)
    read_release(text, ReleaseRules((key_name(key),), serial))  # as everybody will
    # First: of a run that is stopped here a number is lost, and none comes twice.
    write_whole(record, f"{serial}\n".encode())
    publish(options.out, wheel, text)
    print(f"release {serial} until {value['expires']}: {options.out / NAME}")
    print(f"policies pin: {key_name(key)}")


# --- what is released -----------------------------------------------------------------------------


def clean_commit(repo: Path) -> str:
    """The commit that is checked out, with nothing changed or beside it. Raises ReleaseError."""
    changed = _git(repo, "status", "--porcelain")
    if changed:
        raise ReleaseError(f"the checkout has changes; commit or remove them:\n{changed}")
    return _git(repo, "rev-parse", "HEAD")


def _git(repo: Path, *arguments: str) -> str:
    command = ["git", "-C", str(repo), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise ReleaseError(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def only_wheel(folder: Path) -> Path:
    """The kit's wheel, as `make wheel` leaves it. Raises ReleaseError."""
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise ReleaseError(f"{folder} has {len(wheels)} wheels; run `make wheel`")
    return wheels[0]


def kit_of(wheel: Path, commit: str) -> dict[str, str]:
    """What a release says of the kit. Raises ReleaseError."""
    workload = _reference("--kit", str(wheel))
    return {
        "version": workload["versions"]["kit"][0],
        "commit": commit,
        "wheel": f"sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}",
        "digest": workload["kit"][0],
        "page": workload["page"][0],
    }


def open_webui_of(version: str, source: str) -> dict[str, str]:
    """What a release says of a version, from its wheel or from PyPI. Raises ReleaseError."""
    workload = _reference("--open-webui", source)
    found = workload["versions"]["open_webui"][0]
    if found != version or "front_end" not in workload:
        raise ReleaseError(f"{source} is no wheel of open-webui {version} with a front end")
    return {
        "version": version,
        "digest": workload["open_webui"][0],
        "front_end": workload["front_end"][0],
    }


def sources(given: Sequence[str]) -> list[tuple[str, str]]:
    """Version and wheel of each open-webui; what is not given is fetched by its version."""
    files = dict(each.split("=", 1) for each in given if "=" in each)
    versions = editions.versions(editions.PLUGIN)
    if len(files) != len(given) or not files.keys() <= set(versions):
        raise ReleaseError(f"--open-webui is VERSION=FILE, of {', '.join(versions)}")
    return [(version, files.get(version, version)) for version in versions]


def _reference(*arguments: str) -> Mapping[str, Any]:
    """What `cczoo-verify reference` makes of it: member `workload` of a policy."""
    with tempfile.TemporaryDirectory(prefix="cczoo-release-") as folder:
        output = Path(folder) / "policy.json"
        if reference_command.main([*arguments, "--output", str(output)]) != 0:
            raise ReleaseError(f"no digests of {arguments[-1]}: see above")
        workload: Mapping[str, Any] = json.loads(output.read_text())["workload"]
        return workload


# --- numbers and files ----------------------------------------------------------------------------


def next_serial(record: Path, asked: int | None) -> int:
    """The number to sign, above the last one in the record. Raises ReleaseError."""
    last = _last_serial(record)
    if asked is None:
        if last is None:
            raise ReleaseError(f"no {record}: say by SERIAL= which number comes (1 at the first)")
        return last + 1
    if asked <= (last or 0):
        raise ReleaseError(f"serial {asked} does not grow: {last or 0} was the last one")
    return asked


def _last_serial(record: Path) -> int | None:
    try:
        text = record.read_text().strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ReleaseError(f"{record} cannot be read: {error}") from error
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise ReleaseError(f"{record} holds no serial number; put the last one there")
    return int(text)


def publish(out: Path, wheel: Path, text: bytes) -> None:
    """Put wheel and release into the folder, in place of an earlier release."""
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    staging.chmod(0o755)
    shutil.copyfile(wheel, staging / wheel.name)
    write_whole(staging / NAME, text)
    shutil.rmtree(out, ignore_errors=True)
    staging.rename(out)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises OSError."""
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Make a signed release of the kit.", allow_abbrev=False
    )
    parser.add_argument("--key", type=Path, required=True, help="the private key (Ed25519, PEM)")
    parser.add_argument("--serial", type=_number(1, 10**15 - 1), help="above the last one's")
    parser.add_argument("--days", type=_number(1, MAX_DAYS), default=DAYS, help="(%(default)d)")
    parser.add_argument("--wheel", type=Path, help="the kit's; default: that of `make wheel`")
    parser.add_argument("--open-webui", action="append", default=[], metavar="VERSION=FILE")
    parser.add_argument("--out", type=Path, default=REPO / "out" / "release")
    return parser


def _number(low: int, high: int) -> Any:
    def parse(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 17 else low - 1
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low} to {high}")
        return number

    return parse


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
