"""Signed releases: who signed, how old, until when, and what a policy takes from them."""

from __future__ import annotations

import copy
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier import release_source
from cczoo_verifier.__main__ import main
from cczoo_verifier.appraisal import Trust
from cczoo_verifier.policy import ReleaseRules, policy_of
from cczoo_verifier.problems import FileError, Problem, UsageError
from cczoo_verifier.release import FILLED, MAX_RELEASE, fill, read_release
from cczoo_verifier.release_signing import key_name, read_signing_key, sign
from cczoo_verifier.release_source import Releases
from cczoo_verifier.signing import KeyFileError
from cczoo_verifier.times import rfc3339
from cczoo_verifier.verification import Verifier
from cczoo_verifier.waiting import Countdown
from cczoo_verifier.watch_command import checker
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from doubles.chat import Chat
from doubles.serving import serving
from quote_generator.errors import BadInput
from quote_generator.evidence import canonical_json
from quote_generator.simulator import Simulator
from vectors import logs
from vectors.workload import FACTS, FRONT, KIT, OTHER, PAGE, SECTIONS, WEBUI, log_of

KEY, STRANGER = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
DAY = 24 * 3600


def release(serial: int = 3, *, days: float = 30, **other: Any) -> dict[str, Any]:
    """A release of what the usual TD of the vectors runs, issued an hour ago."""
    now = time.time()
    return {
        "type": "cczoo-release",
        "v": 1,
        "serial": serial,
        "issued": rfc3339(min(now, now + days * DAY) - 3600),
        "expires": rfc3339(now + days * DAY),
        "kit": {
            "version": "0.2.0",
            "commit": "ab" * 20,
            "wheel": OTHER,
            "digest": KIT,
            "page": PAGE,
        },
        "open_webui": [
            {"version": "9.8.7", "digest": WEBUI, "front_end": FRONT},
            {"version": "9.9.0", "digest": OTHER, "front_end": FRONT},
        ],
        **other,
    }


def asking(*keys: Ed25519PrivateKey, **more: Any) -> dict[str, Any]:
    """A policy that pins these keys."""
    names = [key_name(key) for key in keys or (KEY,)]
    return {"v": 1, "workload": {"release": {"keys": names}, **more}}


RULES = ReleaseRules((key_name(KEY),))


def refusal(text: bytes, rules: ReleaseRules = RULES) -> str:
    with pytest.raises(FileError) as caught:
        read_release(text, rules)
    return caught.value.code


def resigned(payload: bytes) -> bytes:
    return b"%s\ned25519:%s\n" % (payload, KEY.sign(payload).hex().encode())


# --- reading --------------------------------------------------------------------------------------


def test_what_was_signed_is_read() -> None:
    value = release(7)
    found = read_release(sign(value, KEY), RULES)
    assert (found.serial, found.not_after) == (7, value["expires"])
    assert found.kit == value["kit"]
    assert list(found.open_webui.values()) == value["open_webui"]
    both = ReleaseRules((key_name(STRANGER), key_name(KEY)), min_serial=7)
    assert read_release(sign(value, KEY), both) == found


def test_openssl_comes_to_the_same(tmp_path: Path) -> None:
    """Nobody has to trust this code for who signed; docs/auditors.md has these lines."""
    payload, signature = sign(release(), KEY).splitlines()
    public = KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "key.pem").write_bytes(public)
    (tmp_path / "payload").write_bytes(payload)
    (tmp_path / "signature").write_bytes(bytes.fromhex(signature.decode().partition(":")[2]))
    command = "openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in payload -sigfile signature"
    done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, timeout=60)
    if b"rawin" in done.stderr:
        pytest.skip("this openssl is too old for Ed25519")
    assert done.returncode == 0, done.stderr


def test_another_key_has_not_signed() -> None:
    text = sign(release(), KEY)
    payload, signature = text.splitlines()
    assert refusal(sign(release(), STRANGER)) == "release-forged"
    assert refusal(text, ReleaseRules((key_name(STRANGER),))) == "release-forged"
    for zero in ("00" * 32, "01" + "00" * 31, "ff" * 32):
        assert refusal(text, ReleaseRules((f"ed25519:{zero}",))) == "release-forged"
    swapped = payload + b"\n" + sign(release(4), KEY).splitlines()[1] + b"\n"
    assert refusal(swapped) == "release-forged"
    assert refusal(payload.replace(KIT.encode(), OTHER.encode()) + b"\n" + signature + b"\n") == (
        "release-forged"
    )
    assert refusal(payload + b"\ned25519:" + b"0" * 128 + b"\n") == "release-forged"


def test_each_changed_byte_and_each_end_is_refused() -> None:
    text = sign(release(), KEY)
    for at in range(len(text)):
        assert refusal(text[:at]) in ("release-malformed", "release-forged")
        changed = bytearray(text)
        changed[at] ^= 1
        assert refusal(bytes(changed)) in ("release-malformed", "release-forged")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"",
        lambda text: text + b"\n",
        lambda text: text + text,
        lambda text: b"\n" + text,
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.replace(b"ed25519:", b"es256:"),
        lambda text: text.splitlines()[0] + b"\n" + text.splitlines()[1].upper() + b"\n",
        lambda text: text + b"x" * MAX_RELEASE,
        lambda text: b"[" * MAX_RELEASE,
    ],
)
def test_another_form_is_none(change: Callable[[bytes], bytes]) -> None:
    assert refusal(change(sign(release(), KEY))) in ("release-malformed", "release-forged")


MALFORMED: dict[str, Callable[[dict[str, Any]], object]] = {
    "an older form": lambda value: value.update(v=2),
    "another type": lambda value: value.update(type="cczoo-policy"),
    "a serial number of nothing": lambda value: value.update(serial=0),
    "a member that nobody knows": lambda value: value.update(later=1),
    "no end": lambda value: value.pop("expires"),
    "a year and more": lambda value: value.update(expires=rfc3339(time.time() + 400 * DAY)),
    "an end before its begin": lambda value: value.update(expires="2020-01-01T00:00:00Z"),
    "a day that is none": lambda value: value.update(issued="2026-02-30T00:00:00Z"),
    "no open-webui": lambda value: value.update(open_webui=[]),
    "a version twice": lambda value: value["open_webui"].append(value["open_webui"][0]),
    "many versions": lambda value: value.update(open_webui=value["open_webui"] * 33),
    "a digest with markup": lambda value: value["kit"].update(digest="sha256:<b>"),
    "a version with a line's end": lambda value: value["kit"].update(version="1\n"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_signed_and_malformed(name: str) -> None:
    value = release()
    MALFORMED[name](value)
    assert refusal(resigned(canonical_json(value))) == "release-malformed"
    with pytest.raises(BadInput):
        sign(value, KEY)


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b"[]",
        b"1",
        b"\xff",
        b'"\\ud800"',
        b"[" * 60_000,
        json.dumps(release(), indent=None).encode(),
        canonical_json(release()).replace(b'"serial":3', b'"serial":3.0'),
        canonical_json(release()).replace(b'"serial":3', b'"serial":3,"serial":4'),
        canonical_json(release()) + b" ",
    ],
)
def test_signed_and_not_canonical(payload: bytes) -> None:
    before = time.process_time()
    assert refusal(resigned(payload)) == "release-malformed"
    assert time.process_time() - before < 5


@given(st.binary(max_size=200))
def test_anything_is_refused(text: bytes) -> None:
    assert refusal(text) in ("release-malformed", "release-forged")
    line = text.replace(b"\n", b"") or b"x"
    assert refusal(resigned(line)) == "release-malformed"


def test_an_older_one_is_refused() -> None:
    rules = ReleaseRules((key_name(KEY),), min_serial=4)
    assert refusal(sign(release(3), KEY), rules) == "release-older"
    assert read_release(sign(release(4), KEY), rules).serial == 4


# --- filling in -----------------------------------------------------------------------------------


def filled(policy: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    before = copy.deepcopy(policy)
    found = fill(policy, read_release(sign(value, KEY), RULES))
    assert policy == before
    assert policy_of(found).workload
    return found


def test_a_policy_is_filled_in() -> None:
    value = release()
    found = filled(asking(models=[OTHER], require=["no-model-outside"]), value)
    assert found["workload"] == {
        "kit": [KIT],
        "page": [PAGE],
        "open_webui": [WEBUI, OTHER],
        "front_end": [FRONT],
        "models": [OTHER],
        "require": ["no-model-outside"],
        "release": {"keys": [key_name(KEY)], "min_serial": 3, "not_after": value["expires"]},
    }
    rules = policy_of(found).workload
    assert rules is not None
    assert rules.release is not None
    assert rules.release.not_after is not None
    assert rfc3339(rules.release.not_after.timestamp()) == value["expires"]


def test_versions_of_the_policy_narrow_it() -> None:
    policy = asking(versions={"open_webui": ["9.8.7", "1.0"], "kit": ["0.2.0"]})
    assert filled(policy, release())["workload"]["open_webui"] == [WEBUI]
    for versions in ({"open_webui": ["1.0"]}, {"kit": ["0.1.0"]}):
        with pytest.raises(FileError) as caught:
            filled(asking(versions=versions), release())
        assert caught.value.code == "release-without"


def test_the_next_release_takes_the_place_of_the_last() -> None:
    first = filled(asking(), release(3))
    kit = {**release()["kit"], "digest": OTHER}
    second = filled(first, release(4, kit=kit))
    assert second["workload"]["kit"] == [OTHER]
    rules = policy_of(second).workload
    assert rules is not None
    assert rules.release is not None
    assert refusal(sign(release(3), KEY), rules.release) == "release-older"


@pytest.mark.parametrize("member", FILLED)
def test_a_policy_with_values_of_its_own_is_not_loosened(member: str) -> None:
    with pytest.raises(UsageError) as caught:
        filled(asking(**{member: [OTHER]}), release())
    assert (caught.value.code, member in str(caught.value)) == ("release-unwanted", True)


# --- the place ------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "cczoo-release.txt"
    path.write_bytes(sign(release(), KEY))
    return path


class Site:
    """A web site with a release, or whatever a test puts there."""

    def __init__(self) -> None:
        self.status, self.body, self.asked = 200, sign(release(), KEY), 0

    def answer(self, _: Request) -> Response:
        self.asked += 1
        return Response(self.body, self.status)


@pytest.fixture
def site() -> Iterator[tuple[Site, str]]:
    found = Site()
    app = Starlette(routes=[Route("/release", found.answer)])
    with serving(lambda _: app) as address:
        yield found, f"{address}/release"


def due(releases: Releases) -> Releases:
    """As if its time to look again had come."""
    releases._next = Countdown(0.0)
    return releases


def serial_of(releases: Releases) -> int:
    rules = releases.policy().workload
    assert rules is not None
    assert rules.release is not None
    return rules.release.min_serial


def test_it_is_asked_for_once_an_hour(site: tuple[Site, str]) -> None:
    found, address = site
    releases = Releases(asking(), address, timeout=10)
    assert [serial_of(releases) for _ in range(3)] == [3, 3, 3]
    assert found.asked == 1
    assert 3500 < releases._next.left() <= 3600
    found.body = sign(release(4, days=1e-3), KEY)
    assert serial_of(due(releases)) == 4
    assert 60 < releases._next.left() < 90  # it ends then
    found.body = sign(release(5, days=-1), KEY)
    assert serial_of(due(releases)) == 5  # ended: the check says so
    assert 50 < releases._next.left() <= 60


def test_nobody_there_the_last_one_counts(site: tuple[Site, str], capsys: Any) -> None:
    found, address = site
    releases = Releases(asking(), address, timeout=10)
    found.status = 503
    with pytest.raises(Problem) as caught:
        releases.policy()
    assert (caught.value.code, caught.value.exit) == ("release-unreachable", 4)
    found.status = 200
    assert serial_of(releases) == 3
    found.status = 404
    assert serial_of(due(releases)) == 3
    assert "HTTP 404" in capsys.readouterr().err
    assert 50 < releases._next.left() <= 60


def test_the_newest_is_remembered(site: tuple[Site, str]) -> None:
    found, address = site
    releases = Releases(asking(), address, timeout=10)
    newest, old = sign(release(9), KEY), found.body
    found.body = newest
    assert serial_of(releases) == 9
    for body, code in (
        (old, "release-older"),
        (sign(release(10), STRANGER), "release-forged"),
        (b"<html>", "release-malformed"),
        (b"x" * (MAX_RELEASE + 1), "release-malformed"),
    ):
        found.body = body
        for _ in range(2):
            with pytest.raises(FileError) as caught:
                due(releases).policy()
            assert caught.value.code == code
    found.body = newest
    assert serial_of(releases) == 9


def test_threads_share_it(site: tuple[Site, str]) -> None:
    found, address = site
    releases = Releases(asking(), address, timeout=10)
    serials: list[int] = []
    threads = [
        threading.Thread(target=lambda: serials.append(serial_of(releases))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (serials, found.asked) == ([3] * 8, 1)


# --- the commands ---------------------------------------------------------------------------------


@pytest.fixture
def stating(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> Chat:
    """A server that states the usual workload, with somebody who may see it."""
    lines = ["INIT sha384/" + "00" * 48, *log_of(FACTS)]
    chat.sections, chat.account = copy.deepcopy(SECTIONS), "sk-of-somebody"
    log = "".join(f"{line}\n" for line in lines)
    chat.quote = {"log": log, "measurements": {"rtmr_3": logs.replay((), lines)[3]}}
    monkeypatch.setenv("CCZOO_VERIFY_TOKEN", "sk-of-somebody")
    return chat


def files(td: Simulator) -> list[str]:
    directory = td.directory
    return ["--root", f"{directory}/root.pem", "--collateral", f"{directory}/collateral.json"]


def policy_file(folder: Path, document: dict[str, Any]) -> str:
    path = folder / "policy.json"
    path.write_text(json.dumps(document))
    return str(path)


def verify(capsys: Any, *arguments: str) -> tuple[int, Any, Any]:
    """Exit code, check workload (outcome and code), and the whole report."""
    code = main([*arguments, "--json"])
    report = json.loads(capsys.readouterr().out)
    found = {check["id"]: (check["outcome"], check["code"]) for check in report.get("checks", ())}
    return code, found.get("workload"), report


@pytest.mark.usefixtures("stating")
def test_verification_by_a_release(
    td: Simulator, url: str, place: Path, tmp_path: Path, capsys: Any
) -> None:
    policy = policy_file(tmp_path, asking())
    arguments = [url, *files(td), "--policy", policy]
    found = verify(capsys, *arguments, "--release", str(place))
    assert found[:2] == (3, ("warn", "own-word"))  # no reference values of the image
    assert verify(capsys, *arguments)[:2] == (1, ("fail", "release-missing"))
    place.write_bytes(sign(release(days=-1), KEY))
    found = verify(capsys, *arguments, "--release", str(place))
    assert found[:2] == (1, ("fail", "release-expired"))
    kit = {**release()["kit"], "digest": OTHER}
    place.write_bytes(sign(release(kit=kit), KEY))
    found = verify(capsys, *arguments, "--release", str(place))
    assert found[:2] == (1, ("fail", "workload-policy"))


@pytest.mark.usefixtures("stating")
def test_a_result_ends_with_its_release(
    td: Simulator, url: str, place: Path, tmp_path: Path, capsys: Any
) -> None:
    value = release(days=1e-3)
    place.write_bytes(sign(value, KEY))
    policy = policy_file(tmp_path, asking())
    arguments = [url, *files(td), "--policy", policy, "--release", str(place)]
    assert verify(capsys, *arguments)[2]["expires"] == value["expires"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", "release-malformed"),
        (sign(release(), STRANGER), "release-forged"),
        (sign(release(2), KEY), "release-older"),
        (None, "file-unreadable"),
    ],
)
def test_without_a_release_that_counts_nobody_is_asked(
    place: Path, tmp_path: Path, capsys: Any, text: bytes | None, code: str
) -> None:
    document = asking()
    document["workload"]["release"]["min_serial"] = 3
    policy = policy_file(tmp_path, document)
    place.unlink() if text is None else place.write_bytes(text)
    nowhere = "http://127.0.0.1:9"
    found, _, report = verify(capsys, nowhere, "--policy", policy, "--release", str(place))
    assert (found, report["error"]["code"]) == (2, code)
    output = ["--output", str(tmp_path / "next.json")]
    command = ["reference", "--policy", policy, "--release", str(place), *output]
    assert main(command) == 2
    assert f"[{code}]" in capsys.readouterr().err
    assert not (tmp_path / "next.json").exists()


def test_a_release_needs_a_policy_that_pins_its_key(
    place: Path, tmp_path: Path, capsys: Any
) -> None:
    nowhere = "http://127.0.0.1:9"
    found, _, report = verify(capsys, nowhere, "--release", str(place))
    assert (found, report["error"]["code"]) == (2, "usage")
    for document in ({"v": 1}, {"v": 1, "workload": {}}):
        policy = policy_file(tmp_path, document)
        found, _, report = verify(capsys, nowhere, "--policy", policy, "--release", str(place))
        assert (found, report["error"]["code"]) == (2, "release-unwanted")


def test_a_policy_for_the_page(place: Path, tmp_path: Path, capsys: Any) -> None:
    """What comes out is a plain policy, and refuses older releases than its own."""
    first, second = (tmp_path / name for name in ("first.json", "second.json"))
    command = ["reference", "--policy", policy_file(tmp_path, asking()), "--release", str(place)]
    assert main([*command, "--output", str(first)]) == 0
    assert "release 3 of kit 0.2.0" in capsys.readouterr().err
    assert json.loads(first.read_text()) == filled(asking(), release())
    place.write_bytes(sign(release(4), KEY))
    assert (
        main(
            ["reference", "--policy", str(first), "--release", str(place), "--output", str(second)]
        )
        == 0
    )
    place.write_bytes(sign(release(3), KEY))
    assert main(["reference", "--policy", str(second), "--release", str(place)]) == 2
    assert "[release-older]" in capsys.readouterr().err
    place.write_bytes(sign(release(5, days=-1), KEY))
    assert main(["reference", "--policy", str(second), "--release", str(place)]) == 2
    assert "[release-expired]" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--release", "x"],
        ["--policy", "x"],
        ["--release", "x", "--policy", "x", "--require", "no-model-outside"],
        ["--release", "x", "--policy", "x", "--wheels", "x"],
        ["--release", "https://example.com/x", "--policy", "x", "--offline"],
    ],
)
def test_options_that_do_not_go_together(capsys: Any, options: list[str]) -> None:
    assert main(["reference", *options]) == 2
    assert "[usage]" in capsys.readouterr().err


@pytest.mark.usefixtures("stating")
def test_a_watch_refuses_what_is_older(
    td: Simulator, url: str, site: tuple[Site, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_source, "KEEP", 0.0)
    monkeypatch.setattr(release_source, "RETRY", 0.0)
    found, address = site
    trust = Trust(td.root_der, td.collateral())
    releases = Releases(asking(), address, timeout=10)
    check = checker(url, None, Verifier(timeout=30, source=lambda: trust, releases=releases))
    old, found.body = found.body, sign(release(4), KEY)
    assert check().failing == ("workload/statement-withheld",)  # without an API key
    found.body = old
    assert (check().result, check().code) == ("unreachable", "release-older")
    found.body = sign(release(5), KEY)
    assert check().result == "fail"


# --- the key --------------------------------------------------------------------------------------


def test_the_private_key_is_read_from_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "release.pem"
    encoded = (
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(KeyFileError, match="openssl genpkey"):
        read_signing_key(path)
    path.write_bytes(KEY.private_bytes(*encoded))
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="others can read"):
        read_signing_key(path)
    path.chmod(0o600)
    assert key_name(read_signing_key(path)) == key_name(KEY)
    path.write_bytes(generate_private_key(SECP256R1()).private_bytes(*encoded))
    with pytest.raises(KeyFileError, match="not an Ed25519 key"):
        read_signing_key(path)
    path.write_bytes(b"-----BEGIN")
    with pytest.raises(KeyFileError, match="PEM"):
        read_signing_key(path)
    with pytest.raises(KeyFileError, match="cannot be read"):
        read_signing_key(tmp_path)
