"""What runs in a TD, over HTTP: asked for with an API key that nobody but a verified TD gets."""

from __future__ import annotations

import copy
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier.__main__ import main
from cczoo_verifier.appraisal import Trust
from cczoo_verifier.audit import audit
from cczoo_verifier.eventlogs import replay_logs
from cczoo_verifier.options import ApiKey
from cczoo_verifier.table import write_report
from cczoo_verifier.verification import Verifier
from cczoo_verifier.watch_command import Server, Watch, checker

from doubles.chat import NONCE, Chat, make_evidence
from doubles.in_between import InBetween
from doubles.serving import serving
from quote_generator.quote import parse_quote
from quote_generator.simulator import Simulator
from vectors import logs
from vectors.workload import CODE, FACTS, HOSTILE, OTHER, SECTIONS, edited, log_of

KEY = "sk-of-somebody"
MODEL = "llama3.2:1b"
LINES = log_of(FACTS)
_LOGGED = ["INIT sha384/" + "00" * 48, *LINES]
LOG = "".join(f"{line}\n" for line in _LOGGED)
RTMR3 = logs.replay((), _LOGGED)[3]
MEASURED = {"log": LOG, "measurements": {"rtmr_3": RTMR3}}
"""A quote whose RTMR3 is where the log of the usual facts leads."""


@pytest.fixture(autouse=True)
def states(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server states the usual workload, and its user is at the command line."""
    chat.sections, chat.account, chat.quote = copy.deepcopy(SECTIONS), KEY, dict(MEASURED)
    monkeypatch.setenv("CCZOO_VERIFY_TOKEN", KEY)


@pytest.fixture
def verifier(td: Simulator) -> Verifier:
    return Verifier(timeout=30, source=lambda: Trust(td.root_der, td.collateral()))


def files(td: Simulator) -> list[str]:
    directory = td.directory
    return ["--root", f"{directory}/root.pem", "--collateral", f"{directory}/collateral.json"]


def verify(td: Simulator, url: str, capsys: Any, *options: str) -> tuple[int, Any, Any]:
    """Exit code, checks (outcome and code) by id, and the whole report."""
    code = main([url, *files(td), "--json", *options])
    report = json.loads(capsys.readouterr().out)
    found = report.get("report", report).get("checks", ())
    return code, {check["id"]: (check["outcome"], check["code"]) for check in found}, report


def policy_file(folder: Path, **workload: Any) -> list[str]:
    path = folder / "policy.json"
    path.write_text(json.dumps({"v": 1, "workload": workload}))
    return ["--policy", str(path)]


def references(td: Simulator, folder: Path, **other: str) -> list[str]:
    body = parse_quote(td.quote(bytes(64))).body.to_dict()
    names = ("mr_td", "rtmr_0", "rtmr_1", "rtmr_2")
    path = folder / "references.json"
    path.write_text(json.dumps({name: [other.get(name, body[name])] for name in names}))
    return ["--reference", str(path)]


def test_a_user_sees_what_runs_there(td: Simulator, chat: Chat, url: str, capsys: Any) -> None:
    code, checks, report = verify(td, url, capsys)
    assert (code, checks["workload"]) == (0, ("skipped", "own-word"))
    assert report["workload"]["measured"] == FACTS
    assert report["workload"]["statement"] == SECTIONS
    codes = [note["code"] for note in report["workload"]["notes"]]
    assert {"runs", "models-inside", "storage-kept"} <= set(codes)
    assert chat.seen == [None, f"Bearer {KEY}"]  # first in the open, then sealed
    assert KEY not in repr(chat.outer)
    assert main([url, *files(td)]) == 0
    out = capsys.readouterr().out
    assert 'info     runs "open-webui" "9.8.7", "sha256:2222' in out
    assert "ok       2 models run inside, with weights that were measured" in out


def test_with_reference_values_it_passes(
    td: Simulator, url: str, tmp_path: Path, capsys: Any
) -> None:
    options = [*references(td, tmp_path), *policy_file(tmp_path, require=["no-model-outside"])]
    code, checks, _ = verify(td, url, capsys, *options)
    assert (code, checks["workload"]) == (0, ("pass", ""))
    code, checks, _ = verify(td, url, capsys, *options[2:])
    assert (code, checks["workload"]) == (3, ("warn", "own-word"))


def test_without_an_account_it_is_withheld(
    td: Simulator, chat: Chat, url: str, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.delenv("CCZOO_VERIFY_TOKEN")
    code, checks, report = verify(td, url, capsys)
    assert (code, checks["workload"]) == (0, ("skipped", "statement-withheld"))
    assert report["workload"]["measured"] == FACTS  # of the log, which RTMR3 proves
    assert (report["workload"]["statement"], report["workload"]["notes"]) == (None, [])
    code, checks, _ = verify(td, url, capsys, *policy_file(tmp_path, models=[OTHER]))
    assert (code, checks["workload"]) == (1, ("fail", "statement-withheld"))
    assert chat.seen == [None, None]


def test_a_key_that_is_not_accepted_is_said(
    td: Simulator, chat: Chat, url: str, capsys: Any
) -> None:
    chat.account = "sk-another"
    code, checks, _ = verify(td, url, capsys)
    assert (code, checks["workload"]) == (0, ("skipped", "statement-withheld"))


@pytest.mark.parametrize("answer", [{"status": False, "statement": 1}, [], "words", None])
def test_what_is_no_statement_is_no_answer(
    td: Simulator, chat: Chat, url: str, capsys: Any, answer: Any
) -> None:
    chat.change_stated = lambda _shown: answer
    code, _, report = verify(td, url, capsys)
    assert (code, report["error"]["code"]) == (4, "evidence-unreachable")


def test_with_leave_the_sections_come_at_once(
    td: Simulator, chat: Chat, url: str, capsys: Any
) -> None:
    chat.token = KEY
    code, checks, _ = verify(td, url, capsys, "--send-token-unsealed")
    assert (code, checks["workload"]) == (0, ("skipped", "own-word"))
    assert chat.seen == [None, f"Bearer {KEY}"]
    assert len(chat.outer) == 1  # whether the key's holder is there


@pytest.mark.parametrize("name", ["mr_td", "rtmr_2"])
def test_a_td_that_fails_gets_no_key(
    td: Simulator, chat: Chat, url: str, tmp_path: Path, capsys: Any, name: str
) -> None:
    code, checks, report = verify(td, url, capsys, *references(td, tmp_path, **{name: "0e" * 48}))
    assert (code, checks["reference-values"][0]) == (1, "fail")
    assert checks["workload"] == ("skipped", "statement-withheld")
    assert report["workload"] is None
    assert chat.seen == [None]
    assert len(chat.outer) == 1


def test_a_machine_in_between_gets_no_key(td: Simulator, chat: Chat, url: str, capsys: Any) -> None:
    machine = InBetween(url)
    with serving(machine.app) as address:
        code, checks, report = verify(td, address, capsys)
    assert (code, checks["key-binding"]) == (1, ("fail", "key-silent"))
    assert report["workload"] is None
    assert KEY not in repr(machine.overheard) + repr(chat.outer)


def test_another_statement_than_the_quotes_is_no_evidence(
    td: Simulator, chat: Chat, url: str, capsys: Any
) -> None:
    chat.change_evidence = lambda document: {**document, "statement": {"v": 1, "sections": {}}}
    code, checks, report = verify(td, url, capsys)
    assert (code, checks["key-binding"]) == (1, ("fail", "key-mismatch"))
    assert checks["workload"] == ("skipped", "")
    assert report["workload"] is None


def test_a_statement_that_changed_meanwhile_is_asked_for_again(
    td: Simulator, chat: Chat, url: str, capsys: Any
) -> None:
    def change(document: Any) -> Any:  # after the quote was made
        chat.sections = edited(chat.sections, [("/people/channels", True)])
        return document

    chat.change_evidence = change
    code, _, report = verify(td, url, capsys)
    assert (code, report["error"]["code"]) == (4, "evidence-unreachable")
    assert "changed meanwhile" in report["error"]["detail"]


def test_sections_that_are_not_the_stated_ones(
    td: Simulator, chat: Chat, url: str, capsys: Any
) -> None:
    def change(shown: Any) -> Any:
        edits = [("/models/offered/0/where", "outside")]
        return {**shown, "sections": edited(shown["sections"], edits)}

    chat.change_stated = change
    code, checks, report = verify(td, url, capsys)
    assert (code, checks["workload"]) == (1, ("fail", "statement-mismatch"))
    assert report["workload"]["notes"] == []


def test_a_log_that_tells_otherwise(td: Simulator, chat: Chat, url: str, capsys: Any) -> None:
    chat.sections = edited(SECTIONS, [("/measured/facts/1/1/digest", OTHER)])
    code, checks, _ = verify(td, url, capsys)
    assert (code, checks["workload"]) == (1, ("fail", "measured-mismatch"))
    chat.quote = {}
    code, checks, _ = verify(td, url, capsys)
    assert (code, checks["workload"]) == (3, ("warn", "log-withheld"))
    chat.quote = {**MEASURED, "measurements": {"rtmr_3": b"\7" * 48}}  # so this proves nothing
    code, checks, _ = verify(td, url, capsys)
    assert (code, checks["workload"]) == (3, ("warn", "log-withheld"))


def test_a_chosen_model(td: Simulator, chat: Chat, url: str, capsys: Any) -> None:
    code, _, report = verify(td, url, capsys, "--model", MODEL)
    assert (code, report["workload"]["model"]["code"]) == (0, "model-inside")
    code, checks, report = verify(td, url, capsys, "--model", "gpt")
    assert (code, checks["workload"]) == (3, ("warn", "model-not-known"))
    outside = [("/models/offered/1/where", "outside"), ("/models/offered/1/address", "a.b:443")]
    chat.sections = edited(SECTIONS, outside)
    code, checks, report = verify(td, url, capsys, "--model", MODEL)
    assert (code, checks["workload"]) == (3, ("warn", "model-outside"))
    assert report["workload"]["model"]["address"] == "a.b:443"
    assert main([url, *files(td), "--model", MODEL]) == 3
    assert 'amber    the model runs outside of this TD, at "a.b:443"' in capsys.readouterr().out


def test_a_chosen_model_of_which_nothing_is_known(
    td: Simulator, chat: Chat, url: str, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.delenv("CCZOO_VERIFY_TOKEN")
    for sections in (SECTIONS, None):
        chat.sections = sections
        code, checks, _ = verify(td, url, capsys, "--model", MODEL)
        assert (code, checks["workload"]) == (3, ("warn", "model-not-known"))


def test_a_policy_that_is_violated(td: Simulator, url: str, tmp_path: Path, capsys: Any) -> None:
    code, checks, report = verify(td, url, capsys, *policy_file(tmp_path, kit=[OTHER]))
    assert (code, checks["workload"]) == (1, ("fail", "workload-policy"))
    (violation,) = report["workload"]["violations"]
    assert violation["member"] == "kit"


def test_code_that_could_read_the_keys(
    td: Simulator, chat: Chat, url: str, tmp_path: Path, capsys: Any
) -> None:
    code_of = {"id": "mine", "type": "filter", "digest": CODE, "active": True}
    chat.sections = edited(SECTIONS, [("/functions/present/-", code_of)])
    code, checks, report = verify(td, url, capsys)
    warned = ("warn", "unlisted-function")
    assert (code, checks["workload"], checks["key-binding"]) == (3, warned, warned)
    assert report["keys"] is not None  # their holder did answer
    code, checks, _ = verify(td, url, capsys, *policy_file(tmp_path, functions=[CODE]))
    assert (checks["workload"], checks["key-binding"]) == (("warn", "own-word"), ("pass", ""))


def test_what_was_saved_says_the_same(
    td: Simulator, chat: Chat, url: str, tmp_path: Path, capsys: Any
) -> None:
    saved = tmp_path / "saved.json"
    _, _, report = verify(td, url, capsys, "--save", str(saved))
    assert main(["--evidence", str(saved), *files(td), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["workload"] == report["workload"]
    assert KEY not in saved.read_text()


def test_hostile_words_are_shown_and_not_obeyed(
    td: Simulator, chat: Chat, url: str, capsys: Any
) -> None:
    model = {**SECTIONS["models"]["offered"][0], "id": HOSTILE, "where": "outside"}
    bad = {"id": HOSTILE * 100, "type": HOSTILE, "digest": HOSTILE, "active": True}
    chat.sections = edited(
        SECTIONS,
        [
            *[("/models/offered/-", {**model, "address": HOSTILE + str(n)}) for n in range(10_000)],
            *[("/functions/present/-", bad)] * 100,
        ],
    )
    assert main([url, *files(td), "--model", HOSTILE]) == 3
    out = capsys.readouterr().out
    assert all(char.isprintable() or char == "\n" for char in out)
    assert len(out) < 200_000
    assert "lines more are not shown" in out


# --- the log as events beside the firmware's -----------------------------------------------------


def quote_of(td: Simulator, events: Any) -> Any:
    names = ("rtmr_0", "rtmr_1", "rtmr_2", "rtmr_3")
    measured = dict(zip(names, logs.replay(events, ()), strict=True))
    return parse_quote(td.quote(bytes(64), measurements=measured))


def test_lines_of_the_agents_newer_form(td: Simulator) -> None:
    events = (*logs.EVENTS, *logs.application(*LINES))
    assert replay_logs(quote_of(td, events), logs.ccel(events), None).lines == tuple(LINES)


HIDDEN = {
    "data that are not what was measured": logs.Event(
        4, logs.TAG, logs.tagged(LINES[1]), logs.tagged(LINES[2])
    ),
    "an event of another kind": logs.Event(4, logs.IPL, b"grub", logs.tagged(LINES[2])),
    "of no text": logs.Event(4, logs.TAG, b"LEAA\1\0\0\0\xff"),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_log_that_may_hide_a_line_proves_none(td: Simulator, name: str) -> None:
    events = (*logs.EVENTS, *logs.application(*LINES), HIDDEN[name])
    assert replay_logs(quote_of(td, events), logs.ccel(events), None).lines is None


def test_no_event_of_an_application(td: Simulator) -> None:
    assert replay_logs(quote_of(td, logs.EVENTS), logs.ccel(), None).lines is None


# --- watch ---------------------------------------------------------------------------------------


def events_of(chat: Chat, check: Any, *changes: Any) -> Iterator[Any]:
    """The events of a watch that verifies before and after each change of the sections."""
    pending = list(changes)

    def checking() -> Any:
        outcome = check()
        if pending:
            chat.sections = pending.pop(0)
        return outcome

    out = io.StringIO()
    Watch([Server("x", checking)], 0.02, len(changes) + 1, out).run()
    for line in out.getvalue().splitlines():
        event = json.loads(line)
        if event["event"] in ("workload-changed", "result"):
            yield event


def test_a_watch_tells_what_changed(chat: Chat, url: str, verifier: Verifier) -> None:
    chat.sections = edited(SECTIONS, [("/measured/log", "not-written")])
    other = edited(chat.sections, [("/models/offered/1/digest", OTHER)])
    check = checker(url, ApiKey(sealed=KEY), verifier)
    told = list(events_of(chat, check, chat.sections, other, other))
    first, second, change, third, fourth = told
    assert change["event"] == "workload-changed"
    text = f'model "{MODEL}": other weights than before'
    assert change["changed"] == [
        {"code": "other-weights", "what": "model", "name": MODEL, "text": text}
    ]
    results = [event["result"] for event in (first, second, third, fourth)]
    assert results == ["pass", "pass", "warn", "pass"]
    assert third["warning"] == ["workload/workload-changed"]


def test_a_watch_remembers_nothing_of_what_failed(chat: Chat, url: str, verifier: Verifier) -> None:
    chat.quote = dict(MEASURED)
    other = edited(SECTIONS, [("/measured/facts/0/1/digest", OTHER)])  # not what the log says
    check = checker(url, ApiKey(sealed=KEY), verifier)
    results = [event["result"] for event in events_of(chat, check, other, SECTIONS)]
    assert results == ["pass", "fail", "pass"]


def logged(*facts: Any, starts: int = 1) -> dict[str, Any]:
    """A quote whose RTMR3 is where a log of so many starts leads, the last one with these facts."""
    lines = [*_of_the_kit(FACTS) * (starts - 1), *_of_the_kit(facts)]
    told = ["INIT sha384/" + "00" * 48, *lines]
    log = "".join(f"{line}\n" for line in told)
    return {"log": log, "measurements": {"rtmr_3": logs.replay((), told)[3]}}


def _of_the_kit(facts: Any) -> list[str]:
    return [line for line in log_of(facts) if line.startswith("cczoo ")]


def facts_with(kind: str, **members: Any) -> list[Any]:
    return [[k, {**c, **members}] if k == kind else [k, c] for k, c in FACTS]


@pytest.mark.parametrize("key", [KEY, None])
def test_a_restart_is_no_change(chat: Chat, url: str, verifier: Verifier, key: str | None) -> None:
    """Though RTMR3 is another one, and with another kit that is what is told, in words."""
    check = checker(url, ApiKey(sealed=key), verifier)
    chat.quote = logged(*FACTS)
    first = check()
    chat.quote = logged(*FACTS, starts=2)
    again = check()
    assert (again.result, again.differences, again.digest) == ("pass", (), first.digest)
    other = facts_with("kit", digest=OTHER)
    chat.quote = logged(*other, starts=3)
    chat.sections = edited(SECTIONS, [("/measured/facts", other)])
    changed = check()
    assert (changed.result, changed.digest) == ("warn", first.digest)
    assert [str(one) for one in changed.differences] == ["kit: other files than before"]
    assert check().result == "pass"


def test_what_others_extend_is_told_by_value(chat: Chat, url: str, verifier: Verifier) -> None:
    check = checker(url, ApiKey(), verifier)
    quotes = logged(*FACTS), MEASURED, {"measurements": MEASURED["measurements"]}
    told = []
    for chat.quote in quotes:  # the kit's own log, one with an agent's line, and one withheld
        told.append((check().measurements or {})["rtmr_3"])
    assert told == ["logged", RTMR3.hex(), RTMR3.hex()]


LOGGED_CHANGES = {
    "code": ("function", {"digest": OTHER}, ["other-code"]),
    "weights": ("model", {"digest": OTHER}, ["other-weights"] * 2),
    "settings": ("settings", {"digest": OTHER}, ["other-settings"]),
    "an unmeasured kit": ("kit", {"digest": None}, ["not-measured"]),
}


@pytest.mark.parametrize("name", LOGGED_CHANGES)
def test_without_an_account_the_log_is_compared(
    chat: Chat, url: str, verifier: Verifier, name: str
) -> None:
    kind, members, codes = LOGGED_CHANGES[name]
    function = ["function", {"v": 1, "id": "mine", "type": "filter", "digest": CODE}]
    chat.quote = logged(*FACTS, function)
    check = checker(url, ApiKey(), verifier)
    assert check().result == "pass"
    facts = [[k, {**c, **members}] if k == kind else [k, c] for k, c in (*FACTS, function)]
    chat.quote = logged(*facts, starts=2)
    found = check()
    assert (found.result, found.warning) == ("warn", ("workload/workload-changed",))
    assert [one.code for one in found.differences] == codes


def test_a_key_that_is_refused_for_a_while_forgets_nothing(
    chat: Chat, url: str, verifier: Verifier
) -> None:
    check = checker(url, ApiKey(sealed=KEY), verifier)
    for account in (KEY, "sk-another", KEY):
        chat.account = account
        assert (check().result, check().differences) == ("pass", ())


# --- without a server ----------------------------------------------------------------------------


def test_evidence_with_sections_in_it(td: Simulator, chat: Chat) -> None:
    keyset = chat.keys.current().document
    evidence = make_evidence(td, keyset=keyset, statement=chat.statement(), **MEASURED)
    evidence["statement_sections"] = SECTIONS
    trust = Trust(td.root_der, td.collateral())
    report = audit(evidence, nonce=NONCE, trust=lambda _: trust, now=time.time(), model=MODEL)
    assert report.workload is not None
    assert (report.workload.check.code, report.model and report.model.code) == (
        "own-word",
        "model-inside",
    )
    out = io.StringIO()
    write_report(report, out)
    assert "ok       the model runs inside" in out.getvalue()
