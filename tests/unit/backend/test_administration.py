"""What administrators set: the file over the environment, and what is wrong with either."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import signal
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from cczoo_backend import settings_file
from cczoo_backend.administration import Administration, WrongValues
from cczoo_backend.errors import TeeError
from cczoo_backend.settings_file import BYTES_MAX, Stored
from cczoo_backend.settings_table import BY_NAME, TABLE
from doubles.forking import killed_at
from quote_generator import atomic_file
from quote_generator.simulator import Simulator


def administration(folder: Path, **environ: str) -> Administration:
    """One that looks at the file each time it is asked."""
    return Administration(folder / "cczoo", environ, iter(range(0, 10**9, 10)).__next__)


def file_in(folder: Path) -> Path:
    return folder / "cczoo" / "settings.json"


def store(folder: Path, content: str | bytes) -> None:
    file_in(folder).parent.mkdir(exist_ok=True)
    file_in(folder).write_bytes(content if isinstance(content, bytes) else content.encode())


def version(of: Administration) -> str:
    found = of.document()["version"]
    assert isinstance(found, str)
    return found


def row(of: Administration, name: str) -> dict[str, Any]:
    found: Any = of.document()["settings"]
    return dict(found[name])


def change(of: Administration, **changes: object) -> None:
    of.change(changes, version(of))


def errors_of(of: Administration, **changes: object) -> dict[str, str]:
    """The codes of what keeps changes from being made; nothing is stored."""
    before = version(of)
    with pytest.raises(WrongValues) as refused:
        change(of, **changes)
    assert version(of) == before
    return {name: error["code"] for name, error in refused.value.errors.items()}


@pytest.fixture(scope="module")
def certificate(td: Simulator) -> str:
    return td.root_pem


# What counts


def test_a_variable_is_what_a_setting_is_until_somebody_changes_it(tmp_path: Path) -> None:
    settings = administration(
        tmp_path, TEE_ENFORCEMENT="block", TEE_TRUSTEE_URL="https://a.example"
    )
    assert settings.settings().enforcement == "block"
    assert not file_in(tmp_path).exists()  # nothing is written before somebody decides
    change(settings, enforcement="off", relay="trustee")
    counts = settings.settings()
    assert (counts.enforcement, counts.relay) == ("off", ("trustee",))
    assert counts.relay_url("trustee") == "https://a.example/attestation"
    assert (row(settings, "enforcement")["initial"], row(settings, "enforcement")["stored"]) == (
        "block",
        True,
    )
    change(settings, enforcement=None)
    assert settings.settings().enforcement == "block"
    assert json.loads(file_in(tmp_path).read_text()) == {"v": 1, "values": {"relay": "trustee"}}


def test_an_empty_text_is_the_default_and_not_the_variable(tmp_path: Path) -> None:
    settings = administration(tmp_path, TEE_RELAY="alibaba")
    change(settings, relay="")
    assert row(settings, "relay")["value"] == ""
    assert settings.settings().relay == ()


@pytest.mark.parametrize("text", ["enforcement", "TEE_ENFORCEMENT", " TEE_ENFORCEMENT , relay"])
def test_what_the_environment_fixes_nobody_changes(tmp_path: Path, text: str) -> None:
    store(tmp_path, '{"v": 1, "values": {"enforcement": "off", "pccs_update": "early"}}')
    settings = administration(tmp_path, TEE_ENFORCEMENT="block", TEE_SETTINGS_FIXED=text)
    assert settings.settings().enforcement == "block"
    assert settings.settings().pccs_update == "early"
    shown = row(settings, "enforcement")
    assert (shown["fixed"], shown["variable"], shown["stored"]) == (True, "TEE_ENFORCEMENT", False)
    assert errors_of(settings, enforcement="off") == {"enforcement": "fixed"}
    assert errors_of(settings, enforcement=None) == {"enforcement": "fixed"}
    change(settings, pccs_update="standard")


@pytest.mark.parametrize("text", ["all", "enforcment", "TEE_RELAY, everything\nERROR forged"])
def test_all_are_fixed_also_by_a_word_that_is_no_setting(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    store(tmp_path, '{"v": 1, "values": {"enforcement": "off"}}')
    settings = administration(tmp_path, TEE_SETTINGS_FIXED=text)
    assert settings.settings().enforcement == "warn"
    assert all(row(settings, name)["fixed"] for name in BY_NAME)
    assert ("no setting" in caplog.text) is (text != "all")
    assert "\nERROR forged" not in caplog.text


def test_what_only_the_environment_sets_is_shown_as_fixed(tmp_path: Path) -> None:
    settings = administration(tmp_path, TEE_STATEMENT="on")
    assert (row(settings, "statement")["value"], row(settings, "statement")["fixed"]) == (
        "on",
        True,
    )
    assert errors_of(settings, statement="off") == {"statement": "fixed"}


def test_what_needs_a_start_is_as_it_was_until_then(tmp_path: Path) -> None:
    """Else quotes would be public before, or sealing promised without, any keys."""
    settings = administration(tmp_path)
    change(settings, sealed="off", page_sources="https://a.example")
    assert (settings.settings().sealed, settings.settings().page_sources) == ("offered", ())
    assert settings.environ.get("TEE_SEALED") is None
    assert row(settings, "sealed")["pending"]
    assert not row(settings, "enforcement")["pending"]
    again = administration(tmp_path)
    assert again.environ["TEE_SEALED"] == again.settings().sealed == "off"
    assert not row(again, "sealed")["pending"]


def test_what_another_worker_stores_is_seen_within_a_second(tmp_path: Path) -> None:
    now = [0.0]
    mine = Administration(tmp_path / "cczoo", {}, lambda: now[0])
    assert mine.settings().enforcement == "warn"
    change(administration(tmp_path), enforcement="block")
    assert mine.settings().enforcement == "warn"
    now[0] += 1.0
    assert mine.settings().enforcement == "block"


def test_every_setting_has_a_default_that_is_right(tmp_path: Path) -> None:
    settings = administration(tmp_path)
    assert settings.document()["errors"] == {}
    assert {setting.name for setting in TABLE} == set(vars(settings.settings()))
    for setting in TABLE:
        if not setting.environment_only:
            change(settings, **{setting.name: setting.default})


# Wrong values

SHORT_KEY = {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}
PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
PRIVATE_PEM = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("nothing", "x", "unknown"),
        ("", "x", "unknown"),
        ("__class__", "x", "unknown"),
        ("TEE_RELAY", "trustee", "unknown"),
        ("enforcement", "no", "bad-word"),
        ("enforcement", "<b>block</b>", "bad-word"),
        ("enforcement", ["block"], "not-text"),
        ("enforcement", False, "not-text"),
        ("quote_timeout", 10, "not-text"),
        ("quote_timeout", "NaN", "bad-seconds"),
        ("quote_timeout", "9" * 5000, "bad-seconds"),
        ("collateral_refresh", "1e9", "bad-seconds"),
        ("sealed", "of", "bad-word"),
        ("providers", "dcap, other", "bad-words"),
        ("relay", "dcap", "bad-words"),
        ("trustee_url", "javascript:alert(1)", "bad-address"),
        ("trustee_url", "https://user:word@as.example", "bad-address"),
        ("trustee_url", "https://as.example/\r\nx: y", "bad-address"),
        ("pccs_url", "https://" + "a." * 2000 + "example", "bad-address"),
        ("quote_limit_user", "0/minute", "bad-limit"),
        ("quote_limit_user", "1/minute" + " " * 100, "bad-limit"),
        ("page_sources", "https://a.example; script-src *", "bad-origins"),
        ("page_sources", " ".join(f"https://a{i}.example" for i in range(65)), "bad-origins"),
        ("policy", "[]", "bad-policy"),
        ("policy", "{", "bad-policy"),
        ("policy", '{"tcb": NaN}', "bad-policy"),
        ("policy", '{"tcb": {}, "tcb": {}}', "bad-policy"),
        ("policy", '{"a": ' * 33 + "1" + "}" * 33, "bad-policy"),
        ("policy", '{"a": ' * 10000 + "1" + "}" * 10000, "bad-policy"),
        ("policy", '{"a": "' + "x" * (1 << 16) + '"}', "bad-policy"),
        ("policy", '{"a": "\ud800"}', "not-text"),
        ("policy", "{}\0", "not-text"),
        ("policy", "{}\x1b[2J", "not-text"),
        ("trustee_keys", "a key", "bad-keys"),
        ("trustee_keys", '{"keys": []}', "bad-keys"),
        ("trustee_keys", json.dumps({**SHORT_KEY, "d": "AA"}), "bad-keys"),
        ("trustee_keys", json.dumps({"keys": [SHORT_KEY, {"kty": "oct", "k": "AA"}]}), "bad-keys"),
        ("trustee_keys", json.dumps({"keys": [SHORT_KEY] * 65}), "bad-keys"),
        ("trustee_keys", PEM, "bad-keys"),
        ("trustee_keys", PRIVATE_PEM, "bad-keys"),
    ],
)
def test_a_wrong_value_is_told_at_its_setting(
    tmp_path: Path, name: str, text: object, code: str
) -> None:
    settings = administration(tmp_path)
    right = {"quote_public": "true"}  # all of a change, or nothing
    assert errors_of(settings, **right, **{name: text})[name] == code
    assert not settings.settings().quote_public
    assert not file_in(tmp_path).exists()


def test_pinned_keys_and_a_policy_are_kept_as_they_were_written(
    tmp_path: Path, certificate: str
) -> None:
    settings = administration(tmp_path)
    texts = {
        "alibaba_keys": json.dumps({"keys": [SHORT_KEY]}),
        "trustee_keys": f"{certificate}\n{certificate}".strip(),
        "policy": '{"max_age": 60, "note": "\u202e\U0001f512"}',
    }
    change(settings, **texts)
    config: Any = administration(tmp_path).settings().document(None)
    assert config["policy"] == texts["policy"]
    for name in ("alibaba", "trustee"):
        assert config["providers"][name]["keys"] == texts[f"{name}_keys"]


def test_a_private_key_beside_a_certificate_is_not_published(
    tmp_path: Path, certificate: str
) -> None:
    settings = administration(tmp_path)
    assert errors_of(settings, trustee_keys=certificate + PRIVATE_PEM) == {
        "trustee_keys": "bad-keys"
    }


def test_what_is_suggested_has_to_be_offered(tmp_path: Path) -> None:
    settings = administration(tmp_path)
    expected = {"default_provider": "not-offered"}
    assert errors_of(settings, providers="dcap") == expected
    change(settings, providers="dcap,trustee", default_provider="dcap")
    assert settings.settings().document(None)["offered"] == ["dcap", "trustee"]
    assert errors_of(settings, default_provider=None) == expected


def test_a_wrong_variable_is_told_at_its_setting_and_can_be_put_right(tmp_path: Path) -> None:
    settings = administration(tmp_path, TEE_RELAY="nobody", TEE_SEALED="true")
    with pytest.raises(TeeError, match="TEE_RELAY") as refused:
        settings.settings()
    assert refused.value.code == "misconfigured"
    errors: Any = settings.document()["errors"]
    assert {name: one["code"] for name, one in errors.items()} == {"relay": "bad-words"}
    change(settings, enforcement="block")  # what is not changed keeps nobody from changing another
    change(settings, relay="trustee")
    assert settings.settings().relay == ("trustee",)
    assert errors_of(settings, relay=None) == {"relay": "bad-words"}


# A file that cannot be read

LARGEST = json.dumps({"v": 1, "values": {"policy": "x" * BYTES_MAX}})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 4096,
        b"{",
        b'{"v": 1, "values": {"enforcement": "block"',
        b'\xff\xfe{"v": 1, "values": {}}',
        b"[]",
        b"null",
        b'{"v": 1}',
        b'{"v": 2, "values": {}}',
        b'{"v": true, "values": {}}',
        b'{"v": 1, "values": []}',
        b'{"v": 1, "values": {"enforcement": 1}}',
        b'{"v": 1, "values": {"enforcement": "block", "enforcement": "off"}}',
        b'{"v": 1, "values": {"stricter": "yes"}}',
        b'{"v": 1, "values": {}, "more": 1}',
        b"[" * 100_000,
        LARGEST.encode(),
    ],
    ids=range(17),
)
def test_a_file_that_cannot_be_read_never_loosens_anything(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    store(tmp_path, content)
    settings = administration(
        tmp_path, TEE_SEALED="off", TEE_ENFORCEMENT="off", TEE_PAGE_SOURCES="off"
    )
    with pytest.raises(TeeError) as refused:
        settings.settings()
    assert (refused.value.status, refused.value.code) == (503, "settings-unreadable")
    assert str(tmp_path) not in refused.value.detail
    assert str(file_in(tmp_path)) in caplog.text
    told = settings.config_in_trouble(refused.value)
    assert told["enforcement"] == "block"
    assert settings.environ["TEE_SEALED"] == "required"
    assert settings.environ["TEE_PAGE_SOURCES"].strip() == ""
    problem: Any = settings.document()["problem"]
    assert problem["code"] == "settings-unreadable"
    assert file_in(tmp_path).read_bytes() == content


def test_what_the_environment_fixes_holds_beside_a_broken_file(tmp_path: Path) -> None:
    store(tmp_path, "{")
    fixed = "sealed, enforcement"
    settings = administration(tmp_path, TEE_SEALED="off", TEE_SETTINGS_FIXED=fixed)
    assert settings.environ["TEE_SEALED"] == "off"
    with pytest.raises(TeeError, match="cannot be read") as refused:
        settings.settings()
    assert settings.config_in_trouble(refused.value)["enforcement"] == "warn"


def test_a_broken_file_is_replaced_only_by_somebody_who_decides_everything(tmp_path: Path) -> None:
    store(tmp_path, "{")
    settings = administration(tmp_path)
    changeable = [one.name for one in TABLE if not one.environment_only]
    missing = errors_of(settings, relay="trustee")
    assert missing == dict.fromkeys(set(changeable) - {"relay"}, "missing")
    change(settings, **{**dict.fromkeys(changeable), "enforcement": "block"})
    assert settings.settings().enforcement == "block"
    assert row(settings, "sealed")["pending"]  # required, until the next start


def test_a_file_that_breaks_while_the_server_runs_counts_as_well(tmp_path: Path) -> None:
    settings = administration(tmp_path)
    change(settings, enforcement="off")
    store(tmp_path, file_in(tmp_path).read_bytes()[:-9])
    with pytest.raises(TeeError, match="not whole"):
        settings.settings()
    store(tmp_path, '{"v": 1, "values": {"enforcement": "off"}}')
    assert settings.settings().enforcement == "off"


@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "no-folder"])
def test_what_is_no_plain_file_is_not_read(tmp_path: Path, kind: str) -> None:
    path = file_in(tmp_path)
    if kind == "no-folder":
        path.parent.write_text("a file")
    else:
        path.parent.mkdir()
        elsewhere = tmp_path / "elsewhere"
        elsewhere.write_text('{"v": 1, "values": {}}')
        make = {"folder": path.mkdir, "link": lambda: path.symlink_to(elsewhere)}
        make.get(kind, lambda: os.mkfifo(path))()
    with pytest.raises(TeeError, match="cannot be read"):
        administration(tmp_path).settings()


# Storing


def test_the_file_is_private(tmp_path: Path) -> None:
    change(administration(tmp_path), enforcement="block")
    for path, mode in ((file_in(tmp_path), 0o600), (file_in(tmp_path).parent, 0o700)):
        assert stat.S_IMODE(path.stat().st_mode) == mode
    left = sorted(path.name for path in file_in(tmp_path).parent.iterdir())
    assert set(left) <= {"settings.json", "settings.lock"}


def test_the_largest_texts_can_be_stored_and_read_again(tmp_path: Path) -> None:
    settings = administration(tmp_path)
    policy = json.dumps({"a": "\U0001f512" * ((1 << 16) - 20)}, ensure_ascii=False)
    key = json.dumps({**SHORT_KEY, "kid": "\U0001f512" * ((1 << 16) - 100)}, ensure_ascii=False)
    change(settings, policy=policy, alibaba_keys=key, trustee_keys=key)
    assert administration(tmp_path).settings().policy == policy


def test_who_saw_another_version_changes_nothing(tmp_path: Path) -> None:
    one, other = administration(tmp_path), administration(tmp_path)
    seen = version(other)
    change(one, enforcement="block")
    with pytest.raises(TeeError) as refused:
        other.change({"enforcement": "off"}, seen)
    assert (refused.value.status, refused.value.code) == (412, "settings-changed")
    assert other.settings().enforcement == "block"


def test_of_administrators_at_the_same_time_one_wins(tmp_path: Path) -> None:
    settings = [Administration(tmp_path / "cczoo", {}) for _ in range(8)]
    seen = version(settings[0])

    def attempt(number: int) -> int:
        try:
            settings[number].change({"quote_timeout": str(number + 1)}, seen)
        except TeeError as error:
            return error.status
        return 200

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(attempt, range(8)))
    assert sorted(answers) == [200] + [412] * 7
    winner = answers.index(200)
    assert administration(tmp_path).settings().quote_timeout == winner + 1


def test_who_holds_the_lock_for_long_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_file, "LOCK_SECONDS", 0.05)
    settings = administration(tmp_path)
    change(settings, enforcement="block")
    with (
        FileLock(tmp_path / "cczoo" / "settings.lock"),
        pytest.raises(TeeError, match="Nothing is changed") as refused,
    ):
        change(settings, enforcement="off")
    assert (refused.value.status, refused.value.code) == (503, "settings-busy")
    assert settings.settings().enforcement == "block"


@pytest.mark.parametrize("step", ["write", "fsync"])
def test_a_full_disk_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    settings = administration(tmp_path)
    change(settings, enforcement="block")
    before = file_in(tmp_path).read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    target, name = {
        "write": (atomic_file.tempfile, "mkstemp"),
        "fsync": (atomic_file.os, "fsync"),
    }[step]
    monkeypatch.setattr(target, name, full)
    with pytest.raises(TeeError, match="the disk is full") as refused:
        change(settings, enforcement="off")
    assert (refused.value.status, refused.value.code) == (503, "settings-not-stored")
    monkeypatch.undo()
    assert file_in(tmp_path).read_bytes() == before
    assert not list(file_in(tmp_path).parent.glob(".new-*"))
    assert settings.settings().enforcement == "block"


IMPORTS = """\
from pathlib import Path
from cczoo_backend.administration import Administration
def store(path):
    settings = Administration(Path(path, "cczoo"), {})
    settings.change({"enforcement": "block"}, settings.document()["version"])
    settings.change({"enforcement": "off", "relay": "trustee"}, settings.document()["version"])
"""
OPERATIONS = ("open", "os.rename", "os.remove", "os.chmod", "os.mkdir", "fcntl.flock")


def test_kill_at_any_point_leaves_old_or_new_settings(tmp_path: Path) -> None:
    """kill -9 at each file operation of two changes, the first of which makes the file."""
    seen = []
    with killed_at(IMPORTS, "store(path)", OPERATIONS) as run:
        for point in range(1, 100):
            folder = tmp_path / str(point)
            folder.mkdir()
            if run(point, folder) != -signal.SIGKILL:
                break
            counts = administration(folder).settings()
            seen.append((counts.enforcement, counts.relay))
            change(administration(folder), quote_timeout="7")
            assert administration(folder).settings().quote_timeout == 7
            assert not list((folder / "cczoo").glob(".new-*"))
    states = [("warn", ()), ("block", ()), ("off", ("trustee",))]
    assert list(dict.fromkeys(seen)) == states


def test_nothing_stored_is_no_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        settings = administration(tmp_path)
    assert settings.document()["version"] == Stored().version
    assert caplog.text == ""


# The form

WEB = Path(__file__).resolve().parents[3] / "web" / "src"


def texts_of_the_page(prefix: str) -> set[str]:
    """What the page's catalogue has under names that begin so."""
    catalogue = (WEB / "i18n" / "en.ts").read_text("utf-8")
    return set(re.findall(rf"^\t'{re.escape(prefix)}([^']+)':", catalogue, re.MULTILINE))


def test_the_page_has_every_setting_in_its_form_once() -> None:
    source = (WEB / "session" / "administration.ts").read_text("utf-8")
    groups = source.partition("GROUPS = {")[2].partition("} as const")[0]
    assert sorted(re.findall(r"'(\w+)'", groups)) == sorted(BY_NAME)


def test_the_page_has_words_for_every_choice_and_every_wrong_value() -> None:
    words = {word for setting in TABLE for word in setting.kind.choices}
    assert words <= texts_of_the_page("provider.") | texts_of_the_page("admin.is.")
    written = {one.kind.name for one in TABLE if not one.kind.choices}
    told = {code for code in texts_of_the_page("admin.") if code.startswith("bad-")}
    # For these the catalogue has sentences already, of what users write (reason.*).
    elsewhere = {"bad-address", "bad-keys", "bad-policy"}
    assert {f"bad-{kind}" for kind in written} == told | elsewhere
