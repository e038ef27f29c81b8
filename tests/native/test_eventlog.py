"""Event logs: parsing, replay and comparison; real samples where they are beside the project."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import random
import struct
import sys
from pathlib import Path

import pytest
from application_logs import FORMS, entry, replayed, tcg2_entry
from test_command_line import COMMAND, run

from quote_generator import errors, eventlog, eventtext, evidence
from quote_generator.logfile import MAX_LOG_SIZE

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "data"
ZEROS = bytes(48)


def sample(name: str) -> bytes:
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"the real sample {name} is not beside the project")
    return path.read_bytes()


def h(data: bytes) -> bytes:
    return hashlib.sha384(data).digest()


# --- made logs ---


def ccel_header(algorithms: dict[int, int] | None = None, signature: bytes | None = None) -> bytes:
    sizes = {0x0C: 48} if algorithms is None else algorithms
    spec = (signature or b"Spec ID Event03\0") + bytes(4) + b"\0\2\0\2"
    spec += len(sizes).to_bytes(4, "little")
    spec += b"".join(struct.pack("<HH", *one) for one in sizes.items()) + b"\0"
    return struct.pack("<II20sI", 0, 3, bytes(20), len(spec)) + spec


def ccel_event(register: int, digest: bytes, *, kind: int = 1, data: bytes = b"x") -> bytes:
    head = struct.pack("<IIIH48s", register, kind, 1, 0x0C, digest)
    return head + len(data).to_bytes(4, "little") + data


LOG = ccel_header() + b"".join(ccel_event(n, bytes([n]) * 48) for n in (1, 2, 2, 3, 4))


def test_a_log_is_parsed_and_replayed() -> None:
    events = eventlog.parse_ccel(LOG)
    assert [event.register for event in events] == [1, 2, 2, 3, 4]
    assert events[0] == eventlog.Event(1, 1, b"\1" * 48, b"x")
    assert events[0].to_dict()["digest"] == "01" * 48
    registers = eventlog.replay_ccel(events)
    assert registers["rtmr_0"] == h(ZEROS + b"\1" * 48)
    assert registers["rtmr_1"] == h(h(ZEROS + b"\2" * 48) + b"\2" * 48)
    assert registers["rtmr_3"] == h(ZEROS + b"\4" * 48)


def test_what_is_not_extended_does_not_count() -> None:
    log = LOG + ccel_event(1, b"\7" * 48, kind=3) + ccel_event(0, b"\7" * 48)
    log += ccel_event(0xFFFFFFFF, b"\7" * 48)
    assert eventlog.replay_ccel(eventlog.parse_ccel(log)) == eventlog.replay_ccel(
        eventlog.parse_ccel(LOG)
    )


def test_other_algorithms_are_stepped_over() -> None:
    header = ccel_header({0x0B: 32, 0x0C: 48})
    event = struct.pack("<IIIH32sH48s", 1, 1, 2, 0x0B, b"\1" * 32, 0x0C, b"\2" * 48)
    events = eventlog.parse_ccel(header + event + bytes(4))
    assert [event.digest for event in events] == [b"\2" * 48]


@pytest.mark.parametrize("rest", [b"", b"\0", b"\xff" * 5, bytes(1000), b"\xff" * 1000])
def test_the_rest_of_the_table_is_empty(tmp_path: Path, rest: bytes) -> None:
    assert eventlog.parse_ccel(LOG + rest) == eventlog.parse_ccel(LOG)
    path = tmp_path / eventlog.CCEL_PATH
    path.parent.mkdir(parents=True)
    path.write_bytes(LOG + rest)
    assert eventlog.read_ccel(tmp_path) == LOG


def test_every_cut_is_refused_or_a_shorter_log() -> None:
    whole = eventlog.parse_ccel(LOG)
    ends = {len(LOG) - n * len(ccel_event(1, ZEROS)): 5 - n for n in range(1, 6)}
    for size in range(len(LOG)):
        if size in ends:
            assert eventlog.parse_ccel(LOG[:size]) == whole[: ends[size]]
        else:
            with pytest.raises(errors.BadInput, match="offset"):
                eventlog.parse_ccel(LOG[:size])


@pytest.mark.parametrize(
    ("log", "word"),
    [
        (b"", "register of event 0"),
        (ccel_header(signature=b"Spec ID Event02\0"), "Spec ID"),
        (ccel_header({0x0B: 32}), "SHA-384"),
        (ccel_header({0x0C: 32}), "SHA-384"),
        (ccel_header({}), "0 algorithms"),
        (LOG[:56] + b"\xff" * 4 + LOG[60:], "algorithms"),
        (LOG[:28] + b"\xff" * 4 + LOG[32:], "data of event 0"),
        (LOG + struct.pack("<III", 1, 1, 0xFFFFFFFF), "digests"),
        (LOG + struct.pack("<IIII", 1, 1, 0, 0), "no SHA-384 digest"),
        (LOG + struct.pack("<IIIH", 1, 1, 1, 0x0B) + bytes(40), "does not list"),
        (LOG + ccel_event(1, ZEROS)[:-5] + b"\xff" * 4, "event's data"),
    ],
)
def test_absurd_logs_are_refused(log: bytes, word: str) -> None:
    with pytest.raises(errors.BadInput, match=word):
        eventlog.parse_ccel(log)


def test_changed_logs_never_crash_the_parser() -> None:
    generator = random.Random(1)
    for _ in range(20000):
        log = bytearray(LOG)
        for _ in range(generator.randrange(1, 4)):
            log[generator.randrange(len(log))] = generator.randrange(256)
        try:
            eventlog.parse_ccel(bytes(log))
        except errors.BadInput:
            continue


INIT = "INIT sha384/" + "00" * 48
AAEL = f"{INIT}\nimage pull docker.io/library/x@sha256:aa\napp start with words\n"


def test_an_application_log_is_parsed_and_replayed() -> None:
    log = eventlog.parse_aael(AAEL)
    assert log.initial == ZEROS
    assert log.events[1] == eventlog.ApplicationEvent("app", "start", "with words")
    value = ZEROS
    for line in AAEL.splitlines():
        value = h(value + h(line.encode()))
    assert log.replay() == value
    assert eventlog.parse_aael(AAEL.removesuffix("\n")) == log


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("\n", "line 1"),
        ("image pull x\n", "line 1"),
        ("INIT sha256/" + "00" * 32, "SHA-384"),
        ("INIT sha384/" + "00" * 47, "SHA-384"),
        ("INIT sha384/" + "0G" * 48, "line 1"),
        (INIT + "\ntwo words\n", "line 2"),
        (INIT + "\n\n", "line 2"),
        (INIT + "\na b c\n\na b c\n", "line 3"),
        (INIT + "\n  c\n", "line 2"),
    ],
)
def test_bad_application_logs_are_refused(text: str, word: str) -> None:
    with pytest.raises(errors.BadInput, match=word):
        eventlog.parse_aael(text)


LINES = ("coco.example image-pull registry.example/app", "coco.example start c-1")
ENTRIES = b"".join(tcg2_entry(line) for line in LINES)


def test_an_applications_entry_is_the_agents() -> None:
    for line in LINES:
        assert eventlog.application_entry(line) == (tcg2_entry(line), h(tcg2_entry(line)[66:]))
        event, end = eventlog.read_entry(tcg2_entry(line) + b"x", 0)
        assert (eventlog.application_line(event), end) == (line, len(tcg2_entry(line)))


def test_tcg2_events_join_the_firmwares_log() -> None:
    for rest in (b"", bytes(1000), b"\xff" * 1000):
        joined, text = eventlog.join_logs(LOG + rest, ENTRIES)
        assert (joined, text) == (LOG + ENTRIES + b"\xff" * 8, None)
    events = eventlog.parse_ccel(joined or b"")
    assert [eventlog.application_line(event) for event in events[-2:]] == list(LINES)
    registers = eventlog.replay_ccel(events)
    assert {c.outcome for c in eventlog.compare(registers, ccel=joined)} == {"match"}
    assert {c.outcome for c in eventlog.compare(registers, ccel=LOG, aael=ENTRIES)} == {"match"}


def test_tcg2_events_without_a_firmwares_log_follow_the_agents_header() -> None:
    joined, text = eventlog.join_logs(None, ENTRIES)
    assert joined is not None
    assert (joined[69:], text) == (ENTRIES + b"\xff" * 8, None)
    assert joined[:69] == struct.pack("<II20sI24sIHHHHB", 0, 3, b"", 37, b"", 2, 12, 48, 18, 32, 0)
    # It speaks of RTMR3 alone: nobody logged the others.
    registers = dict.fromkeys(eventlog.REGISTERS, b"\x01" * 48) | {"rtmr_3": replayed(ENTRIES)}
    found = [check.outcome for check in eventlog.compare(registers, ccel=joined)]
    assert found == ["no-log", "no-log", "no-log", "match"]
    # The agent's later header lists SHA-256 too.
    later = struct.pack("<II20sI24sIHHHHHHB", 0, 3, b"", 41, b"", 3, 11, 32, 12, 48, 18, 32, 0)
    found = [check.outcome for check in eventlog.compare(registers, ccel=later + ENTRIES)]
    assert found == ["no-log", "no-log", "no-log", "match"]


def test_an_entry_that_a_crash_cut_is_left_out() -> None:
    joined = eventlog.join_logs(LOG, ENTRIES)[0]
    for size in range(1, len(tcg2_entry("a b c"))):
        assert eventlog.join_logs(LOG, ENTRIES + tcg2_entry("a b c")[:size])[0] == joined
    # What is none of an application's events is not hidden from a verifier.
    wrong = ENTRIES + tcg2_entry("a b c").replace(b"\x0c\0", b"\x0b\0", 1) + ENTRIES
    with pytest.raises(errors.BadInput, match="does not list"):
        eventlog.compare(quoted(), ccel=LOG, aael=wrong)


def test_text_stays_beside_the_firmwares_log() -> None:
    for pair in ((LOG, AAEL), (LOG, None), (None, AAEL), (None, None)):
        assert eventlog.join_logs(*pair) == pair


@pytest.mark.parametrize("form", FORMS)
def test_evidence_does_not_walk_through_a_log_that_it_has_no_room_for(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would for each quote, half a second long, in vain."""
    event = entry(form, "a b c")
    log = eventlog.decode_aael(event * (MAX_LOG_SIZE // len(event)))

    def walked(*_: object) -> None:
        pytest.fail("a log was walked through")

    monkeypatch.setattr(eventlog, "read_entry", walked)
    monkeypatch.setattr(eventlog, "_parse_log", walked)
    assert evidence._logs_that_fit(LOG, log) == (LOG, None)
    assert evidence._logs_that_fit(None, log) == (None, None)


def quoted() -> dict[str, bytes]:
    registers = eventlog.replay_ccel(eventlog.parse_ccel(LOG))
    initial = registers["rtmr_3"].hex()
    return {**registers, "rtmr_3": eventlog.parse_aael(AAEL.replace("00" * 48, initial)).replay()}


def outcomes(**logs: object) -> list[str]:
    return [check.outcome for check in eventlog.compare(quoted(), **logs)]  # type: ignore[arg-type]


def test_comparison() -> None:
    aael = AAEL.replace("00" * 48, eventlog.replay_ccel(eventlog.parse_ccel(LOG))["rtmr_3"].hex())
    assert outcomes(ccel=LOG, aael=aael) == ["match"] * 4
    assert outcomes() == ["no-log"] * 4
    assert outcomes(ccel=LOG) == ["match", "match", "match", "unexplained"]
    for register, expected in ((1, 0), (2, 1)):
        more = LOG + ccel_event(register, b"\5" * 48)
        found = outcomes(ccel=more, aael=aael)
        assert found[expected] == "differs"
        assert found.count("match") == 3
    cut = "\n".join(aael.splitlines()[:-1])
    assert outcomes(ccel=LOG, aael=cut) == ["match", "match", "match", "unexplained"]


@pytest.mark.parametrize("register", [2, 3])
def test_what_others_extended_after_boot_is_unexplained(register: int) -> None:
    """IMA extends RTMR2; initrd, agents and dstack RTMR3: none of them is in the firmware's log."""
    registers = eventlog.replay_ccel(eventlog.parse_ccel(LOG))
    name = f"rtmr_{register}"
    registers[name] = h(registers[name] + b"\7" * 48)
    found = {check.register: check for check in eventlog.compare(registers, ccel=LOG)}
    assert found.pop(name).outcome == "unexplained"
    assert {check.outcome for check in found.values()} == {"match"}


@pytest.mark.parametrize("register", [0, 1, 2, 3])
def test_a_log_that_claims_more_than_was_measured_differs(register: int) -> None:
    """Whoever else extends a register cannot bring it back to what it was."""
    registers = eventlog.replay_ccel(eventlog.parse_ccel(LOG))
    more = LOG + ccel_event(register + 1, b"\7" * 48) * 2
    checks = eventlog.compare(registers, ccel=more)
    assert [check.outcome for check in checks].count("match") == 3
    assert checks[register].outcome == "differs"
    assert "never measured" in checks[register].reason


def test_a_log_cannot_hide_events_in_its_first_value() -> None:
    initial = eventlog.replay_ccel(eventlog.parse_ccel(LOG))["rtmr_3"].hex()
    checks = eventlog.compare(quoted(), aael=AAEL.replace("00" * 48, initial))
    assert checks[3].outcome == "unexplained"
    assert "no earlier event accounts for" in checks[3].reason


def test_a_machine_without_logs(tmp_path: Path) -> None:
    assert eventlog.read_ccel(tmp_path) is None
    assert eventlog.read_aael(tmp_path) is None


def test_reading(tmp_path: Path) -> None:
    for name, data in [(eventlog.CCEL_PATH, b"no log"), (eventlog.AAEL_PATH, AAEL.encode())]:
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    assert eventlog.read_ccel(tmp_path) == b"no log"  # whole, for a verifier to judge
    assert eventlog.read_aael(tmp_path) == AAEL
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(errors.BadInput, match="UTF-8"):
        eventlog.read_aael(tmp_path)
    for data in (ENTRIES, ENTRIES[:-1]):
        path.write_bytes(data)
        assert eventlog.read_aael(tmp_path) == data
    path.write_bytes(b"")
    assert eventlog.read_aael(tmp_path) is None  # made, and nothing in it yet


@pytest.mark.parametrize("cut", ["d", "d e", "d e f"])
def test_a_log_whose_last_line_is_cut_is_shown_as_it_is(tmp_path: Path, cut: str) -> None:
    """Whether that line was measured, the register says; the log that is read hides nothing."""
    path = tmp_path / eventlog.AAEL_PATH
    path.parent.mkdir(parents=True)
    path.write_text(AAEL + cut)
    text = eventlog.read_aael(tmp_path)
    assert text == AAEL + cut
    registers = {**quoted(), "rtmr_3": eventlog.parse_aael(AAEL).replay()}
    if cut == "d e f":  # it could be whole; the register does not have it
        check = eventlog.compare(registers, aael=text)[3]
        assert (check.register, check.outcome) == ("rtmr_3", "differs")
    else:
        with pytest.raises(errors.BadInput, match="line 4"):
            eventlog.compare(registers, aael=text)


def test_a_log_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / eventlog.CCEL_PATH
    path.mkdir(parents=True)
    with pytest.raises(errors.BadInput, match="regular") as caught:
        eventlog.read_ccel(tmp_path)
    assert caught.value.path == str(path)
    path.rmdir()
    path.symlink_to(path)
    with pytest.raises(errors.NotAvailable) as unavailable:
        eventlog.read_ccel(tmp_path)
    assert unavailable.value.errno == errno.ELOOP


def test_a_log_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / eventlog.CCEL_PATH
    path.parent.mkdir(parents=True)
    path.touch(0)
    tmp_path.chmod(0o755)
    code = f"""
import os
from quote_generator import errors, eventlog
os.chdir({str(tmp_path)!r})
os.setuid(65534)
try:
    eventlog.read_ccel(".")
except errors.NotPermitted as error:
    print(error)
"""
    assert b"run as root" in run([sys.executable, "-c", code]).stdout


@pytest.mark.parametrize("kind", [5, eventtext.EV_IPL, 0x80000007, 0xA, eventlog.EV_EVENT_TAG])
def test_nothing_is_left_out_of_a_fact_without_a_mark(kind: int) -> None:
    is_text = kind in (5, eventtext.EV_IPL, 0x80000007)
    rng = random.Random(kind)
    # No zero where it could be one of UTF-16.
    alphabet = b"abc\t\xe9\0" if is_text else b"abc\t\xe9"
    told = set()
    for _ in range(2000):
        data = b"ab" + bytes(rng.choices(alphabet, k=9))
        data += b"text" * rng.randrange(2) + b"\0" * rng.randrange(2)
        fact = eventtext.text_of(eventlog.Event(3, kind, h(data), data)).fact
        shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "?" for byte in data)
        shown = shown[:-1] if data.endswith(b"\0") else shown
        begin, end = fact.startswith("…"), fact.endswith("…")
        text = fact.strip("…")
        whole = shown.startswith(text) or begin, shown.endswith(text) or end
        assert fact == shown if is_text else whole == (True, True)
        assert len(text) in (0, len(shown)) or begin or end
        told.add((begin, end))
    assert told == ({(False, False)} if is_text else {(a, b) for a in (0, 1) for b in (0, 1)})


def test_a_text_of_any_length_is_a_fact_as_a_whole() -> None:
    line = b"a" * 5000 + b"\t" + b"b" * 5000
    event = eventlog.Event(3, eventtext.EV_IPL, h(line), b"kernel_cmdline: " + line + b"\0")
    fact = line.decode().replace("\t", "?")
    assert eventtext.text_of(event) == eventtext.EventText("kernel_cmdline:", fact)


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "ccel").write_bytes(LOG)
    (tmp_path / "aael").write_text(AAEL)
    arguments = ["eventlog", "--ccel", str(tmp_path / "ccel"), "--aael", str(tmp_path / "aael")]
    done = run([*COMMAND, *arguments])
    document = json.loads(done.stdout)
    assert done.returncode == 0
    assert len(document["ccel"]["events"]) == 5
    assert document["aael"]["registers"]["rtmr_3"] == eventlog.parse_aael(AAEL).replay().hex()
    (tmp_path / "aael").write_bytes(b"\xff")
    assert run([*COMMAND, *arguments]).returncode == 2
    (tmp_path / "aael").write_bytes(ENTRIES)
    document = json.loads(run([*COMMAND, *arguments]).stdout)
    assert document["aael"] is None
    told = [(event["word"], event["fact"]) for event in document["ccel"]["events"]]
    assert told == [("", "")] * 5 + [("", line) for line in LINES]


def test_the_command_compares(tmp_path: Path) -> None:
    from quote_generator.simulator import Simulator

    registers = quoted()
    quote = Simulator.open(tmp_path / "state", measurements=registers).quote(bytes(64))
    initial = eventlog.replay_ccel(eventlog.parse_ccel(LOG))["rtmr_3"].hex()
    (tmp_path / "ccel").write_bytes(LOG)
    (tmp_path / "aael").write_text(AAEL.replace("00" * 48, initial))
    (tmp_path / "quote").write_bytes(quote)
    logs = ["--ccel", str(tmp_path / "ccel"), "--aael", str(tmp_path / "aael")]
    command = [*COMMAND, "eventlog", *logs, "--quote", str(tmp_path / "quote")]
    done = run(command)
    assert (done.returncode, done.stderr) == (0, b"")
    assert {c["outcome"] for c in json.loads(done.stdout)["comparison"]} == {"match"}
    (tmp_path / "ccel").write_bytes(LOG + ccel_event(1, ZEROS))
    done = run(command)
    assert done.returncode == 9
    assert b"rtmr_0." in done.stderr
    (tmp_path / "ccel").write_bytes(LOG)
    done = run([*COMMAND, "eventlog", *logs[:2], "--quote", str(tmp_path / "quote")])
    assert done.returncode == 0
    assert b"rtmr_3: the log leads to another value: somebody else" in done.stderr


# --- real ones ---


def test_a_real_firmware_log() -> None:
    """The values are those that CoCo Trustee v0.13.0's own test expects of this log."""
    events = eventlog.parse_ccel(gzip.decompress(sample("trustee_ccel.bin.gz")))
    registers = eventlog.replay_ccel(events)
    assert registers["rtmr_0"].hex() == (
        "2dc712306a963eadb894ad47dbaa17df44814151555aee11cbb843becca88950"
        "ffd079664902e6f22c66f7c8213543f4"
    )
    assert registers["rtmr_1"].hex() == (
        "0fa3be56af61208bbd179dc7b124988eb929319154663c539d6f46445ecac2fe"
        "c287075047ff7bd1922829fec28cd3cf"
    )


def test_a_real_application_log_leads_to_a_real_quotes_register() -> None:
    quote = sample("trustee_aael_quote.bin")
    log = eventlog.parse_aael(sample("trustee_aael.txt").decode())
    assert log.replay() == quote[520:568]  # RTMR3 of a quote v4


def test_a_log_of_the_agents_newer_form() -> None:
    entries, combined = sample("found/aael-tcg2.bin"), sample("found/aael-only-combined.bin")
    assert eventlog.join_logs(None, entries) == (combined, None)
    registers = dict.fromkeys(eventlog.REGISTERS, ZEROS) | {"rtmr_3": replayed(entries)}
    assert [check.outcome for check in eventlog.compare(registers, aael=entries)][3] == "match"
    assert eventlog.compare(registers, ccel=combined) == eventlog.compare(registers, aael=entries)
    lines = [eventlog.application_line(event) for event in eventlog.parse_ccel(combined)]
    assert lines[1] == "coco.example start container-1"


def test_a_real_quote_passes_the_c_check() -> None:
    from test_check import check

    for name in ("trustee_aael_quote.bin", "trustee_tdx_quote_v4.bin"):
        quote = sample(name)
        assert check(quote, quote[568:632]) == (None, 4936)
