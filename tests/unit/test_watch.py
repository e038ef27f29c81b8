"""`cczoo-verify watch`: events, servers that are slow or gone, and every way to end."""

from __future__ import annotations

import dataclasses
import fcntl
import io
import json
import os
import re
import secrets
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cczoo_verifier.__main__ import main
from cczoo_verifier.appraisal import Rejected, Trust
from cczoo_verifier.audit import names_simulator
from cczoo_verifier.evaluations import HighestSeen
from cczoo_verifier.evidence_file import Record
from cczoo_verifier.pccs import platform_of
from cczoo_verifier.policy import DEFAULT
from cczoo_verifier.verification import Verifier
from cczoo_verifier.waiting import Countdown
from cczoo_verifier.watch_command import (
    MAX_SERVERS,
    Outcome,
    Server,
    Watch,
    checker,
    next_due,
    worst,
)
from fastapi import FastAPI

from doubles import pccs
from doubles.chat import Chat, a_keyring, make_evidence
from doubles.serving import serving
from quote_generator.quote import parse_quote
from quote_generator.simulator import Simulator

COMMON_NAME = bytes.fromhex("0603550403")  # the object identifier in DER

EVENTS = {
    "started",
    "result",
    "result-changed",
    "measurements-changed",
    "unreachable",
    "expired",
    "recovered",
    "stopped",
}


def test_the_auditors_page_names_every_event() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "auditors.md").read_text()
    assert [name for name in sorted(EVENTS) if f"| `{name}` |" not in page] == []


@pytest.fixture
def verifier(td: Simulator) -> Verifier:
    return Verifier(timeout=10, source=lambda: Trust(td.root_der, td.collateral()))


def files(td: Simulator) -> list[str]:
    directory = td.directory
    return ["--root", f"{directory}/root.pem", "--collateral", f"{directory}/collateral.json"]


class Lines(io.StringIO):
    """Collects events, and tells somebody of each."""

    def __init__(self, told: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
        super().__init__()
        self.told = told

    def flush(self) -> None:
        self.told(self.events[-1])

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    @property
    def names(self) -> list[str]:
        return [event["event"] for event in self.events]


# --- events --------------------------------------------------------------------------------------


def test_the_life_of_a_server(td: Simulator, chat: Chat, url: str, verifier: Verifier) -> None:
    """Each verification tells its result; what is new about it is an event of its own, before."""
    other = {"measurements": {"rtmr_1": b"\x11" * 48, "rtmr_3": b"\x33" * 48}}
    steps: list[dict[str, Any]] = [
        {"mode": "garbage"},
        {"mode": "good"},
        {"mode": "replay"},
        {"mode": "good", "quote": other},
        {},
    ]

    def next_step(event: dict[str, Any]) -> None:
        if event["event"] in ("result", "unreachable"):
            for name, value in steps.pop(0).items():
                setattr(chat, name, value)

    out = Lines(next_step)
    watch = Watch([Server(url, checker(url, None, verifier))], 0.05, 5, out)
    watch.run()
    assert out.names == [
        "started",
        "result",
        "unreachable",
        "recovered",
        "result",
        "result-changed",
        "result",
        "result-changed",
        "measurements-changed",
        "result",
        "stopped",
    ]
    events = out.events
    assert set(out.names) == EVENTS - {"expired"}
    assert events[0]["urls"] == [url]
    for event in events:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"])
        assert ("url" in event) == (event["event"] not in ("started", "stopped"))
    first, gone, failed, changed = events[1], events[2], events[6], events[8]
    assert (first["result"], first["failing"], first["warning"]) == ("pass", [], [])
    assert re.fullmatch("[0-9a-f]{64}", first["measurements"])
    assert gone["code"] == "evidence-unreachable"
    assert 3500 < gone["holds"] <= 3600  # the result before it
    assert failed["failing"] == ["nonce-binding/nonce-differs"]
    assert failed["measurements"] is None  # whose they are nobody knows
    assert events[5]["from"], events[5]["to"] == ("pass", "fail")
    assert changed["from"] == first["measurements"]
    assert changed["to"] == events[9]["measurements"]
    assert changed["changed"] == {
        "rtmr_1": ["a1" * 48, "11" * 48],
        "rtmr_3": ["00" * 48, "33" * 48],
    }
    assert events[-1]["reason"] == "count"
    assert worst(watch.servers) == 0


def told(server: Server, outcome: Outcome) -> list[str]:
    return [event["event"] for event in server.events(outcome)]


def test_events_of_outcomes() -> None:
    server = Server("x", lambda: Outcome("pass"))
    good = Outcome("pass", measurements={"mr_td": "00"})
    assert told(server, Outcome("unreachable")) == ["unreachable"]
    assert told(server, good) == ["recovered", "result"]
    assert told(server, good) == ["result"]
    assert told(server, Outcome("unreachable")) == ["unreachable"]
    assert told(server, Outcome("unreachable")) == ["unreachable"]
    # What was known before it was gone still counts.
    other = Outcome("pass", measurements={"mr_td": "01"})
    assert told(server, other) == ["recovered", "measurements-changed", "result"]
    assert told(server, Outcome("fail", failing=("a/b",))) == ["result-changed", "result"]
    assert told(server, Outcome("fail", failing=("c/d",))) == ["result-changed", "result"]
    assert told(server, other) == ["result-changed", "result"]


def test_our_nonce_and_the_platform_are_no_measurements(
    td: Simulator, chat: Chat, url: str, verifier: Verifier
) -> None:
    check = checker(url, None, verifier)
    first, second = check(), check()
    assert first.digest == second.digest is not None
    assert set(first.measurements or {}) >= {"mr_td", "rtmr_0", "rtmr_3", "mr_seam", "xfam"}
    assert not {"report_data", "tee_tcb_svn"} & set(first.measurements or {})
    chat.quote = {"measurements": {"td_attributes": bytes.fromhex("0000005000000000")}}
    assert check().digest != first.digest


def test_an_older_edition_than_one_seen_before_is_told(td: Simulator, chat: Chat, url: str) -> None:
    """Of this platform, whichever server it was and whether or not it passed by the newer one."""
    editions = [
        {},
        {"evaluation": 18, "tcb_status": "OutOfDate"},
        {},
        {"evaluation": 18},
    ]
    verifier = Verifier(
        timeout=10,
        source=lambda: Trust(td.root_der, td.collateral(**editions.pop(0))),
        seen=HighestSeen(),
    )
    outcomes = [checker(url, None, verifier)() for _ in range(4)]
    assert [(one.result, one.failing, one.warning) for one in outcomes] == [
        ("pass", (), ()),
        ("fail", ("tcb-status/tcb-status",), ()),
        ("warn", (), ("collateral/collateral-older",)),
        ("pass", (), ()),
    ]


def test_the_command_remembers_editions(
    td: Simulator, url: str, tmp_path: Path, monkeypatch: Any
) -> None:
    path = tmp_path / "collateral.json"

    def supply(evaluation: int) -> None:
        path.write_text(json.dumps(td.collateral(evaluation=evaluation)))

    supply(18)
    out = Lines(lambda event: supply(17) if event["event"] == "result" else None)
    monkeypatch.setattr(sys, "stdout", out)
    trust = ["--root", f"{td.directory}/root.pem", "--collateral", str(path)]
    assert main(["watch", url, "--count", "2", "--interval", "0.05", *trust]) == 3
    warnings = [event["warning"] for event in out.events if event["event"] == "result"]
    assert warnings == [[], ["collateral/collateral-older"]]


def test_a_checker_never_raises(url: str, verifier: Verifier, monkeypatch: Any) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr("cczoo_verifier.verification.audit", fail)
    outcome = checker(url, None, verifier)()
    assert (outcome.result, outcome.code) == ("unreachable", "internal")


def test_the_worst_result_is_the_exit_code() -> None:
    def code(*results: str) -> int:
        servers = [Server("x", lambda: Outcome("pass")) for _ in results]
        for server, result in zip(servers, results, strict=True):
            server.last = Outcome(result)
        return worst(servers)

    assert code("pass", "pass") == 0
    assert code("pass", "warn") == 3
    assert code("warn", "unreachable", "pass") == 4
    assert code("unreachable", "fail", "pass") == 1


# --- answers that do not come ---------------------------------------------------------------------


def scripted(*outcomes: Outcome) -> Callable[[], Outcome]:
    """Gives these outcomes one after the other, the last one for ever."""
    left = list(outcomes)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


GONE = Outcome("unreachable", "evidence-unreachable")


def test_a_failed_fetch_is_made_again_before_its_turn(monkeypatch: Any) -> None:
    """After growing pauses; the turns and their count stay what they were."""
    monkeypatch.setattr("cczoo_verifier.waiting.FIRST_STEP", 0.02)

    def enough(event: dict[str, Any]) -> None:
        if event["event"] == "result":
            watch.stop()

    out = Lines(enough)
    server = Server("x", scripted(*[GONE] * 5, Outcome("pass", life=3600.0)))
    server.life = Countdown(3600.0)  # of an earlier result
    watch = Watch([server], 3600, 2, out, chance=lambda: 1.0)
    watch.run()
    assert out.names == ["started", *["unreachable"] * 5, "recovered", "result", "stopped"]
    gone = [event for event in out.events if event["event"] == "unreachable"]
    assert [event["again"] for event in gone] == [0.02, 0.04, 0.08, 0.16, 0.32]
    assert all(3590 < event["holds"] <= 3600 for event in gone)
    assert (server.rounds, server.failed) == (1, 0)


def test_no_pause_is_longer_than_the_interval() -> None:
    out = Lines()
    Watch([Server("x", scripted(GONE))], 0.02, 4, out, chance=lambda: 0.0).run()
    assert out.names == ["started", *["unreachable"] * 4, "stopped"]
    assert [event["holds"] for event in out.events[1:-1]] == [0.0] * 4
    assert all(0 <= event["again"] <= 0.02 for event in out.events[1:-2])
    assert out.events[-2]["again"] is None  # that was the last turn


def test_a_result_that_ends_unrenewed_is_told_once() -> None:
    def enough(event: dict[str, Any]) -> None:
        if event["event"] == "unreachable" and "expired" in out.names:
            watch.stop()

    out = Lines(enough)
    server = Server("x", scripted(Outcome("pass", life=0.1), GONE))
    watch = Watch([server], 0.02, None, out)
    watch.run()
    assert out.names[:2] == ["started", "result"]
    assert out.names.count("expired") == 1
    rest = out.events[out.names.index("expired") + 1 : -1]
    assert {(event["event"], event["holds"]) for event in rest} == {("unreachable", 0.0)}


def test_a_failed_verification_holds_nothing() -> None:
    server = Server("x", scripted(GONE))
    server.taken(Outcome("pass", life=100.0), 0.0, 0.0)
    assert 99 < server.left() <= 100
    server.taken(Outcome("fail"), 0.0, 0.0)
    assert server.left() == 0


@pytest.mark.parametrize(("takes", "left", "told"), [(40.0, 60.0, []), (130.0, -30.0, ["expired"])])
def test_a_slow_verification_is_a_part_of_its_results_life(
    monkeypatch: Any, takes: float, left: float, told: list[str]
) -> None:
    clock = [1000.0]

    def counted(seconds: float) -> Countdown:
        return Countdown(seconds, wall=lambda: clock[0], steady=lambda: 0.0)

    def slow() -> Outcome:
        clock[0] += takes
        return Outcome("pass", life=100.0)

    def hear(event: dict[str, Any]) -> None:
        if event["event"] == "result":
            assert server.left() == left

    monkeypatch.setattr("cczoo_verifier.watch_command.Countdown", counted)
    server, out = Server("x", slow), Lines(hear)
    Watch([server], 0.02, 1, out).run()
    assert out.names == ["started", "result", *told, "stopped"]


def test_a_busy_server_is_left_alone_as_long_as_it_asks(chat: Chat, url: str) -> None:
    chat.mode = "busy"
    outcome = checker(url, None, Verifier(timeout=10))()
    assert (outcome.code, outcome.wait) == ("evidence-unreachable", 7.0)
    server = Server("x", scripted(GONE), due=1000.0)
    server.taken(outcome, 100.0, 0.0)
    assert server.next == 107.0


# --- several servers -----------------------------------------------------------------------------


def test_a_slow_server_delays_no_other(td: Simulator, chat: Chat, url: str) -> None:
    slow = Chat(td, mode="slow")
    verifier = Verifier(timeout=10, source=lambda: Trust(td.root_der, td.collateral()))

    def enough(event: dict[str, Any]) -> None:
        if out.names.count("result") == 5 and event["event"] == "result":
            watch.stop()

    out = Lines(enough)
    with serving(slow.app) as other:
        servers = [Server(item, checker(item, None, verifier)) for item in (other, url)]
        watch = Watch(servers, 0.05, None, out)
        before = time.monotonic()
        watch.run()
        assert time.monotonic() - before < 9
    assert out.names == ["started", *["result"] * 5, "stopped"]
    assert {event["url"] for event in out.events if "url" in event} == {url}
    assert len(slow.seen) == 1  # and it is not asked again meanwhile
    assert out.events[-1]["reason"] == "signal"


def test_every_server_has_its_turn(td: Simulator, verifier: Verifier) -> None:
    """At most one question at a time for each, all of them at once."""
    busy: dict[str, int] = {}
    lock, together = threading.Lock(), threading.Barrier(MAX_SERVERS)

    def check(name: str) -> Outcome:
        with lock:
            busy[name] = busy.get(name, 0) + 1
            assert busy[name] == 1
        together.wait(30)
        with lock:
            busy[name] -= 1
        return Outcome("pass")

    names = [f"https://{n}.example" for n in range(MAX_SERVERS)]
    servers = [Server(name, lambda name=name: check(name)) for name in names]  # type: ignore[misc]
    out = Lines()
    Watch(servers, 0.01, 3, out).run()
    assert sorted(event["url"] for event in out.events[1:-1]) == sorted(names * 3)


def test_rounds_keep_to_the_interval() -> None:
    """What a slow answer missed is left out, not made up for."""
    assert next_due(100, 100, 10) == 110
    assert next_due(110, 110.5, 10) == 120
    assert next_due(110, 145, 10) == 150
    assert next_due(110, 150, 10) == 160


def test_collateral_is_fetched_once_and_again_when_it_ends(
    td: Simulator, chat: Chat, url: str
) -> None:
    state = pccs.State()
    now = time.time()
    chat.keys = a_keyring(now=lambda: now)
    with serving(lambda _: pccs.create_app(td, state=state)) as service:
        verifier = Verifier(
            timeout=10, root_der=td.root_der, pccs=service, keep=3600, clock=lambda: now
        )
        check = checker(url, None, verifier)
        assert [check().result for _ in range(3)] == ["pass"] * 3
        assert state.count[pccs.TCB] == 1
        now += pccs.OLD_SECONDS
        assert check().failing[0].startswith("collateral/")
        assert state.count[pccs.TCB] == 2  # asked again before it said so
        now -= pccs.OLD_SECONDS
        state.mode = "down"
        assert check().result == "pass"  # still good
        verifier.fetched._keep = 0
        assert check().code == "collateral-unreachable"


def test_collateral_that_counts_by_a_grace_is_fetched_anew(td: Simulator, url: str) -> None:
    """Else the result stayed a warning for as long as it is kept, whatever the service has."""
    state = pccs.State()
    now = time.time()
    policy = dataclasses.replace(DEFAULT, collateral_grace=2 * pccs.OLD_SECONDS)
    with serving(lambda _: pccs.create_app(td, state=state)) as service:
        verifier = Verifier(
            timeout=10,
            policy=policy,
            root_der=td.root_der,
            pccs=service,
            keep=2 * pccs.OLD_SECONDS,
            clock=lambda: now,
        )
        check = checker(url, None, verifier)
        assert check().result == "pass"
        now += pccs.OLD_SECONDS
        assert check().warning == ("collateral/collateral-grace",)
        assert state.count[pccs.TCB] == 2
        # One that is older than others, too, still says until when.
        verifier.seen = cast(HighestSeen, SimpleNamespace(older=lambda _: "newer ones were seen"))
        nonce = secrets.token_bytes(32)
        report = verifier.verify(Record(make_evidence(td, nonce), "", url, ""), nonce)
    (told,) = (each for each in report.checks if each.id == "collateral")
    assert (told.code, told.until is None) == ("collateral-older", False)
    assert re.search(r"ended \(.*; newer ones were seen", told.detail)


def test_an_answer_to_another_question_fetches_nothing_anew(
    td: Simulator, chat: Chat, url: str
) -> None:
    """Else whoever answers could have us ask for collateral as often as we ask for quotes."""
    state = pccs.State()
    with serving(lambda _: pccs.create_app(td, state=state)) as service:
        verifier = Verifier(timeout=10, root_der=td.root_der, pccs=service, keep=3600)
        check = checker(url, None, verifier)
        assert check().result == "pass"
        chat.mode = "replay"
        assert [check().result for _ in range(2)] == ["fail"] * 2
        chat.mode = "good"
        assert check().result == "pass"
    assert state.count[pccs.TCB] == 1


def test_an_issuer_that_cannot_be_read_is_a_failure(td: Simulator) -> None:
    """Not a reason to call the server unreachable, under which an older result would hold."""
    quote = td.quote(bytes(64))
    pem = re.search(b"-----BEGIN.*?END CERTIFICATE-----\n", quote, re.DOTALL)
    assert pem is not None
    der = bytearray(ssl.PEM_cert_to_DER_cert(pem[0].decode()))
    string = der.index(COMMON_NAME) + len(COMMON_NAME)
    der[string], der[string + 2] = 0x03, 0  # a string of bits: a type that no name has
    spoilt = parse_quote(quote.replace(pem[0], ssl.DER_cert_to_PEM_cert(bytes(der)).encode()))
    with pytest.raises(Rejected, match="cannot be used"):
        platform_of(spoilt)
    assert not names_simulator(spoilt)


def test_threads_share_a_fetch(td: Simulator, url: str) -> None:
    state = pccs.State(mode=pccs.SLOW, delay=0.05)
    with serving(lambda _: pccs.create_app(td, state=state)) as service:
        verifier = Verifier(timeout=10, root_der=td.root_der, pccs=service, keep=3600)
        out = Lines()
        servers = [Server(f"{url}{'/' * n}", checker(url, None, verifier)) for n in range(6)]
        Watch(servers, 60, 1, out).run()
    assert out.names.count("result") == 6
    assert state.count[pccs.TCB] == 1


# --- API keys ------------------------------------------------------------------------------------


def test_a_key_goes_to_its_server_only(
    td: Simulator, chat: Chat, url: str, tmp_path: Path, capsys: Any
) -> None:
    chat.token = "sk-first"
    other = Chat(td)
    key = tmp_path / "key"
    key.write_text("sk-first\n")
    with serving(other.app) as second:
        command = ["watch", url, second, *files(td), "--count", "1"]
        assert main([*command, "--token-file", f"{url}={key}"]) == 4
        assert (chat.seen, other.seen) == ([None], [None])  # not without leave
        command.append("--send-token-unsealed")
        assert main([*command, "--token-file", f"{url}={key}"]) == 0
    assert (chat.seen[2:], other.seen) == (["Bearer sk-first"], [None] * 2)
    alone = ["watch", url, *files(td), "--count", "1", "--send-token-unsealed"]
    assert main([*alone, "--token-file", str(key)]) == 0
    capsys.readouterr()


def test_whose_key_it_is_must_be_said(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    key = tmp_path / "key"
    key.write_text("sk")
    two = ["https://a.example", "https://b.example"]
    assert main(["watch", *two, "--token-file", str(key)]) == 2
    assert "--token-file URL=FILE" in capsys.readouterr().err
    monkeypatch.setenv("CCZOO_VERIFY_TOKEN", "sk")
    assert main(["watch", *two]) == 2
    assert "is for one server" in capsys.readouterr().err


# --- options -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["chat.example"],
        ["https://chat.example", "--interval", "0"],
        ["https://chat.example", "--interval", "nan"],
        ["https://chat.example", "--count", "0"],
        ["https://chat.example", "--count", "-1"],
        ["https://chat.example", "--count", "9" * 5000],
        ["https://chat.example", "--save", "x"],
        ["https://chat.example", "--at", "1"],
    ],
)
def test_usage_errors(arguments: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["watch", *arguments])
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [f"https://{n}.example" for n in range(MAX_SERVERS + 1)],
        ["https://chat.example"] * 2,
        ["https://chat.example", "--provider", "trustee"],
        ["https://chat.example", "--policy", "/missing"],
    ],
)
def test_what_cannot_work_is_said_at_the_start(arguments: list[str], capsys: Any) -> None:
    assert main(["watch", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("cczoo-verify: ")


def test_a_policy_and_a_count(td: Simulator, url: str, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"v": 1, "reference_values": {"mr_td": ["7e" * 48]}}))
    with serving(lambda _: FastAPI()) as gone:
        pass
    command = ["watch", url, gone, *files(td), "--count", "1", "--policy", str(path)]
    assert main(command) == 1
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted(event["event"] for event in events) == [
        "result",
        "started",
        "stopped",
        "unreachable",
    ]
    [result] = [event for event in events if event["event"] == "result"]
    assert result["failing"] == ["reference-values/reference-values"]
    assert result["measurements"]  # of a genuine TD, only not of the expected one


# --- the end -------------------------------------------------------------------------------------


@pytest.fixture
def start(td: Simulator) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `cczoo-verify watch`; the process is gone afterwards."""
    running: list[subprocess.Popen[str]] = []

    def run(*arguments: str, **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "cczoo_verifier", "watch", *arguments, *files(td)]
        options.setdefault("stdout", subprocess.PIPE)
        running.append(subprocess.Popen(command, text=True, stderr=subprocess.PIPE, **options))
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.wait(30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(
    td: Simulator, chat: Chat, url: str, start: Any, number: int
) -> None:
    """Also while a server does not answer."""
    slow = Chat(td, mode="slow")
    with serving(slow.app) as other:
        process = start(url, other, "--interval", "0.2")
        lines = [json.loads(process.stdout.readline()) for _ in range(3)]  # written as they come
        before = time.monotonic()
        process.send_signal(number)
        rest, errors = process.communicate(timeout=30)
        assert time.monotonic() - before < 5
    assert [line["event"] for line in lines] == ["started", "result", "result"]
    assert json.loads(rest.splitlines()[-1])["event"] == "stopped"
    assert (process.returncode, errors) == (0, "")


def test_it_ends_when_nobody_reads(url: str, start: Any) -> None:
    process = start(url, "--interval", "0.1")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(30) == 141
    assert process.stderr.read() == ""


def test_a_reader_that_stands_still_does_not_keep_it(chat: Chat, url: str, start: Any) -> None:
    """A full pipe stops the asking; a signal ends it even then."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    process = start(url, "--interval", "0.01", stdout=writing)
    os.close(writing)
    asked = -1
    end = time.monotonic() + 30
    while asked != len(chat.seen) and time.monotonic() < end:
        asked = len(chat.seen)
        time.sleep(0.3 if asked else 0.05)
        asked = asked or -1
    assert 0 < asked < 40
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert process.stderr.read() == ""
    os.close(reading)


def test_events_that_cannot_be_written(url: str, start: Any) -> None:
    with open("/dev/full", "w") as full:
        process = start(url, stdout=full)
        assert process.wait(30) == 2
    assert "[output-failed]" in process.stderr.read()
