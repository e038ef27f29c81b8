"""`cczoo-verify watch URL...`: verify servers again and again, a line of JSON an event.

docs/auditors.md lists the events. Everything but the verifications themselves happens in the
main thread, so that events never mix, and a reader that stops reading stops the asking too.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import hashlib
import json
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any, TextIO

from . import evidence_file
from .audit import Report
from .checks import FAIL, NOT_RUN, PASS, WARN, Check
from .evaluations import HighestSeen
from .options import (
    ApiKey,
    Parser,
    add_unsealed_option,
    add_verifier_options,
    certificate_fingerprint,
    check_pin,
    make_verifier,
    read_api_key,
    seconds,
    url,
)
from .output import abandon_stdout, complain
from .problems import (
    EXIT_FAILED,
    EXIT_PIPE,
    EXIT_UNREACHABLE,
    EXIT_VERIFIED,
    EXIT_WARNED,
    Problem,
    Unreachable,
    UsageError,
)
from .sealed.asking import asking, asking_sections
from .times import seconds_of
from .verification import PIN_OPTION, TOKEN_VARIABLE, UNSEALED_OPTION, Verifier, fetch_evidence
from .waiting import Countdown, pause
from .workload_changes import Difference, Memory

MAX_SERVERS = 64
"""Each has a thread of its own while it is asked, so that none waits for another."""

KEEP_COLLATERAL = 3600.0
"""Seconds for which collateral is used again: it changes rarely, and its source is not ours."""

STOP_SECONDS = 0.5
"""How long a write may go on after a signal, where nobody reads."""

GLANCE = 10.0
"""Seconds between two looks at the clocks: what is waited for may come in a sleep, unnoticed."""

MAX_TOLD = 100
"""Differences in the workload that an event tells of."""

LOGGED = "logged"
"""In the place of RTMR3 where the kit's own log alone leads to it: its facts are compared."""

UNREACHABLE = "unreachable"
EXPIRED = "expired"
_WORST_FIRST = {
    FAIL: EXIT_FAILED,
    UNREACHABLE: EXIT_UNREACHABLE,
    WARN: EXIT_WARNED,
    PASS: EXIT_VERIFIED,
}

_VOUCHING = frozenset(
    {
        "evidence-format",
        "nonce-binding",
        "key-binding",
        "quote-signature",
        "token-signature",
        "token-claims",
    }
)
"""Where one of these failed, or did not run, the measurements are anybody's words, or another's."""

_UNMEASURED = (
    "report_data",
    "tee_tcb_svn",
    "tee_tcb_svn2",
    "td_id",
    "init_cpu_svn",
    "init_tee_tcb_svn",
    "init_tee_fmspc",
)
"""Fields of a quote's body that are not about what runs in the TD: our nonce, the platform, and
which start of the TD it is."""


@dataclass(frozen=True)
class Outcome:
    """What one verification of one server came to.

    `result` is pass, warn, fail or unreachable; `measurements` are None where nothing vouches
    for them. A good result counts for `life` seconds; `wait` is for how many seconds an
    unreachable server asked to be left alone.
    """

    result: str
    code: str = ""
    detail: str = ""
    failing: tuple[str, ...] = ()
    warning: tuple[str, ...] = ()
    measurements: Mapping[str, str] | None = None
    differences: tuple[Difference, ...] = ()
    life: float = 0.0
    wait: float = 0.0

    @property
    def digest(self) -> str | None:
        """A name for these measurements: SHA-256 of their JSON, keys sorted."""
        if self.measurements is None:
            return None
        text = json.dumps(self.measurements, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def outcome_of(report: Report) -> Outcome:
    """What a report comes to."""
    failed = [check for check in report.checks if check.outcome == FAIL]
    # What did not run is no news beside what kept it from running.
    failing = [check for check in failed if check.code != NOT_RUN] or failed
    warning = [check for check in report.checks if check.outcome == WARN]
    measured = None
    if report.quote and not any(check.id in _VOUCHING for check in failed):
        body = report.quote.body.to_dict()
        measured = {name: value for name, value in body.items() if name not in _UNMEASURED}
        if report.logs and report.logs.is_the_kits:
            measured["rtmr_3"] = LOGGED
    return Outcome(
        report.result,
        failing=_named(failing),
        warning=_named(warning),
        measurements=measured,
        differences=_differences(report),
        life=_life(report),
    )


def _differences(report: Report) -> tuple[Difference, ...]:
    """What runs otherwise than the last time; what failed says nothing about that."""
    workload = None if report.result == FAIL else report.workload
    return workload.differences if workload else ()


def _life(report: Report) -> float:
    """The seconds from the moment of the verification to the end of its result."""
    ends, verified = (seconds_of(report.notes.get(name)) for name in ("expires", "verified_at"))
    return 0.0 if ends is None or verified is None else ends - verified


def _named(checks: Sequence[Check]) -> tuple[str, ...]:
    return tuple(f"{check.id}/{check.code}" for check in checks)


@dataclass
class Server:
    """One server, and what is known of it. Times are those of a monotonic clock.

    It is asked when it is `due` by the interval, which counts as a round, and besides at `again`,
    while its last `failed` answers in a row were none. `asked` counts from when it was asked last,
    `life` is that of the last good result.
    """

    url: str
    check: Callable[[], Outcome]
    due: float = 0.0
    again: float | None = None
    started: float | None = None
    in_turn: bool = False
    rounds: int = 0
    failed: int = 0
    asked: Countdown | None = None
    life: Countdown | None = None
    last: Outcome | None = None
    answered: Outcome | None = None
    measured: Outcome | None = None

    @property
    def next(self) -> float:
        """When it is to be asked."""
        return self.due if self.again is None else min(self.due, self.again)

    def left(self) -> float:
        """For how many seconds the last good result still counts."""
        return self.life.left() if self.life else 0.0

    def taken(self, outcome: Outcome, now: float, chance: float) -> None:
        """Note what an outcome means for the next one."""
        self.started, self.again = None, None
        if outcome.result != UNREACHABLE:
            self.failed = 0
            # The result began to count while it was made.
            left = outcome.life + (self.asked.left() if self.asked else 0.0)
            self.life = Countdown(left) if outcome.life > 0 else None
            return
        self.failed += 1
        wait = pause(self.failed, asked=outcome.wait, left=self.left(), chance=chance)
        self.again = now + wait

    def events(self, outcome: Outcome) -> Iterator[dict[str, Any]]:
        """What is to be told of an outcome: what changed, then the outcome itself."""
        before, answered, measured = self.last, self.answered, self.measured
        self.last = outcome
        if outcome.result == UNREACHABLE:
            yield {"event": UNREACHABLE, "code": outcome.code, "detail": outcome.detail}
            return
        self.answered = outcome
        if before and before.result == UNREACHABLE:
            yield {"event": "recovered"}
        if answered and _verdict(answered) != _verdict(outcome):
            change = {"from": answered.result, "to": outcome.result}
            yield {"event": "result-changed", **change, "failing": list(outcome.failing)}
        if outcome.measurements is not None:
            self.measured = outcome
            if measured and measured.digest != outcome.digest:
                yield _changed_measurements(measured, outcome)
        if outcome.differences:
            yield {
                "event": "workload-changed",
                "changed": [
                    {**each.to_dict(), "text": str(each)} for each in outcome.differences[:MAX_TOLD]
                ],
                "more": max(0, len(outcome.differences) - MAX_TOLD),
            }
        yield {
            "event": "result",
            "result": outcome.result,
            "failing": list(outcome.failing),
            "warning": list(outcome.warning),
            "measurements": outcome.digest,
        }


def _verdict(outcome: Outcome) -> object:
    return outcome.result, outcome.failing, outcome.warning


def _changed_measurements(before: Outcome, after: Outcome) -> dict[str, Any]:
    old, new = before.measurements or {}, after.measurements or {}
    return {
        "event": "measurements-changed",
        "from": before.digest,
        "to": after.digest,
        "changed": {
            name: [old.get(name), new.get(name)]
            for name in sorted({*old, *new})
            if old.get(name) != new.get(name)
        },
    }


# --- asking --------------------------------------------------------------------------------------


def checker(
    address: str, key: ApiKey | None, verifier: Verifier, pin: str | None = None
) -> Callable[[], Outcome]:
    """What asks a server once; it never raises. It remembers what ran there the last time.

    `pin` is the fingerprint of the one TLS certificate that is accepted there.
    """
    key, timeout = key or ApiKey(), verifier.timeout
    ask = asking(address, timeout=timeout, pin=pin)
    ask_sections = None
    if key.sealed is not None:
        ask_sections = asking_sections(address, key.sealed, timeout=timeout, pin=pin)
    seen: Memory | None = None

    def check() -> Outcome:
        nonlocal seen
        try:
            record = fetch_evidence(address, key.unsealed, timeout=timeout, pin=pin)
            nonce = evidence_file.nonce_of(record.nonce or "")
            report = verifier.verify(record, nonce, ask=ask, ask_sections=ask_sections, before=seen)
            seen = _remembered(report, seen)
            return outcome_of(report)
        except Problem as problem:
            wait = problem.wait if isinstance(problem, Unreachable) else 0.0
            return Outcome(UNREACHABLE, problem.code, str(problem), wait=wait)
        except Exception as error:  # one server's oddity must not end the watch over the others
            return Outcome(UNREACHABLE, "internal", f"{type(error).__name__}: {error}")

    return check


def _remembered(report: Report, before: Memory | None) -> Memory | None:
    """What is held against the next report: nothing counts of one that failed."""
    workload = report.workload
    if report.result == FAIL or workload is None or workload.memory is None:
        return before
    return workload.memory


def next_due(due: float, now: float, interval: float) -> float:
    """When a server that was due is due again: what a slow answer missed is left out."""
    return due + ((now - due) // interval + 1) * interval


_draw = secrets.SystemRandom().random


class Watch:
    """Asks servers on an interval (seconds), each `count` times (None: for ever).

    A server that gave no answer is asked again before its next turn, after growing pauses, of
    which `chance` (0 to 1) decides a part.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        interval: float,
        count: int | None,
        out: TextIO,
        chance: Callable[[], float] = _draw,
    ) -> None:
        self.servers, self.interval, self.count, self.out = servers, interval, count, out
        self.chance = chance
        self._done: SimpleQueue[tuple[Server, Outcome] | None] = SimpleQueue()
        self.stopped = False

    def stop(self) -> None:
        """End the watch as soon as it does not write; safe in a signal handler."""
        self.stopped = True
        self._done.put(None)

    def run(self) -> None:
        """Watch until the count is reached, or `stop` is called.

        Raises BrokenPipeError when nobody reads the events any more.
        """
        self._tell({"event": "started", "urls": [server.url for server in self.servers]})
        while not self.stopped and any(self._goes_on(server) for server in self.servers):
            now = time.monotonic()
            idle = [item for item in self.servers if item.started is None and self._goes_on(item)]
            for server in idle:
                if server.next <= now:
                    self._start(server, now)
            self._take(min(self._waits(idle, now)))
            self._tell_ends()
        self._tell({"event": "stopped", "reason": "signal" if self.stopped else "count"})

    def _goes_on(self, server: Server) -> bool:
        return self.count is None or server.rounds < self.count

    def _waits(self, idle: Sequence[Server], now: float) -> list[float]:
        """Seconds to what may have to be done next."""
        turns = [server.next - now for server in idle if server.started is None]
        ends = [server.left() for server in self.servers if server.life]
        return [max(0.0, seconds) for seconds in (*turns, *ends, GLANCE)]

    def _tell_ends(self) -> None:
        """Tell, once, of each result that ended before another one came."""
        for server in self.servers:
            if server.life and server.left() <= 0:
                server.life = None
                self._tell({"url": server.url, "event": EXPIRED})

    def _start(self, server: Server, now: float) -> None:
        server.started, server.asked = now, Countdown(0.0)
        server.in_turn = server.due <= now
        if server.in_turn:
            server.due = next_due(server.due or now, now, self.interval)
        threading.Thread(
            target=lambda: self._done.put((server, server.check())), daemon=True
        ).start()

    def _take(self, timeout: float | None) -> None:
        """Wait for the next outcome and tell of it; a signal may come in between."""
        try:
            taken = self._done.get(timeout=timeout)
        except Empty:
            return
        if taken is None:
            return
        server, outcome = taken
        now = time.monotonic()
        took = now - (server.started or 0.0)
        server.rounds += server.in_turn
        server.taken(outcome, now, self.chance())
        for event in server.events(outcome):
            if event["event"] in ("result", UNREACHABLE):
                event["seconds"] = round(took, 3)
            if event["event"] == UNREACHABLE:
                event["holds"] = round(max(0.0, server.left()), 3)
                again = round(max(0.0, server.next - now), 3)
                event["again"] = again if self._goes_on(server) else None
            self._tell({"url": server.url, **event})

    def _tell(self, event: Mapping[str, Any]) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        print(json.dumps({"time": now.replace("+00:00", "Z"), **event}), file=self.out, flush=True)


# --- the command ---------------------------------------------------------------------------------


def main(argv: Sequence[str]) -> int:
    """Watch; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        watch = Watch(_servers(options), options.interval, options.count, sys.stdout)
    except Problem as problem:
        complain(problem)
        return problem.exit
    try:
        with _stopping_on_signals(watch):
            watch.run()
    except OSError as error:
        abandon_stdout()
        if isinstance(error, BrokenPipeError):
            return EXIT_VERIFIED if watch.stopped else EXIT_PIPE
        complain(Problem("output-failed", f"events are not written: {error.strerror or error}"))
        return Problem.exit
    return EXIT_VERIFIED if watch.stopped else worst(watch.servers)


def worst(servers: Sequence[Server]) -> int:
    """The exit code of a verification, for the worst of the last outcomes."""
    results = {server.last.result for server in servers if server.last}
    return next(code for result, code in _WORST_FIRST.items() if result in results)


@contextlib.contextmanager
def _stopping_on_signals(watch: Watch) -> Iterator[None]:
    """Let SIGTERM and Ctrl-C stop the watch.

    A second signal, from outside or from here after STOP_SECONDS, ends a write that still waits.
    """
    again = threading.Timer(
        STOP_SECONDS, signal.pthread_kill, (threading.get_ident(), signal.SIGTERM)
    )
    again.daemon = True

    def stop(_: int, __: FrameType | None) -> None:
        if watch.stopped:
            raise BrokenPipeError("nobody reads")
        watch.stop()
        again.start()

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    finally:
        again.cancel()
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _servers(options: argparse.Namespace) -> list[Server]:
    """The servers, each with its own API key and all with one verifier. Raises Problem."""
    if not 1 <= len(set(options.urls)) == len(options.urls) <= MAX_SERVERS:
        raise UsageError("usage", f"give 1 to {MAX_SERVERS} addresses, each once")
    verifier = make_verifier(options, keep=KEEP_COLLATERAL)
    verifier.seen = HighestSeen()
    if verifier.service and not verifier.service.address:
        raise UsageError("usage", f"--provider {options.provider} needs --service URL")
    tokens, pins = _tokens(options), _pins(options)
    return [
        Server(item, checker(item, tokens[item], verifier, pins.get(item))) for item in options.urls
    ]


def _tokens(options: argparse.Namespace) -> dict[str, ApiKey]:
    """URL -> its API key: nobody's key goes to anybody else."""
    how = "say whose key it is: --token-file URL=FILE"
    named = {item: Path(file) for item, file in _by_url(options, options.token_file, how).items()}
    alone = len(options.urls) == 1
    if not alone and os.environ.get(TOKEN_VARIABLE):
        raise UsageError("usage", f"{TOKEN_VARIABLE} is for one server; use --token-file URL=FILE")
    return {
        item: read_api_key(named.get(item), item, unsealed=options.send_token_unsealed)
        if alone or item in named
        else ApiKey()
        for item in options.urls
    }


def _pins(options: argparse.Namespace) -> dict[str, str]:
    """URL -> the fingerprint of the one certificate that is accepted there."""
    how = f"say whose certificate it is: {PIN_OPTION} URL=SHA256"
    found = _by_url(options, options.certificate_fingerprint, how)
    try:
        pins = {item: certificate_fingerprint(text) for item, text in found.items()}
    except argparse.ArgumentTypeError as error:
        raise UsageError("usage", f"{PIN_OPTION}: {error}") from error
    for item, pin in pins.items():
        check_pin(item, pin)
    return pins


def _by_url(options: argparse.Namespace, given: Sequence[str], how: str) -> dict[str, str]:
    """What was given as `URL=TEXT`, by URL; URL= can be left out where there is one server."""
    named: dict[str, str] = {}
    rest: list[str] = []
    for text in given:
        owner = next((item for item in options.urls if text.startswith(f"{item}=")), None)
        if owner is None:
            rest.append(text)
        else:
            named[owner] = text.removeprefix(f"{owner}=")
    if len(rest) > 1 or (rest and len(options.urls) > 1):
        raise UsageError("usage", f"with several servers, {how}")
    return {options.urls[0]: rest[0]} if rest else named


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="cczoo-verify watch",
        description="Verify servers again and again, and print a line of JSON for each event.",
        epilog="Ends with SIGTERM or Ctrl-C (exit code 0), when nobody reads its output any more "
        "(141), or after --count: then with the exit code of `cczoo-verify` for the worst of the "
        "last results, a failed one before an unreachable server before a warning.",
        allow_abbrev=False,
    )
    parser.add_argument("urls", nargs="+", type=url, metavar="URL", help="a server to watch")
    parser.add_argument(
        "--interval",
        type=seconds(0, 7 * 24 * 3600),
        default=300.0,
        metavar="SECONDS",
        help="from one verification of a server to the next (%(default)g)",
    )
    parser.add_argument(
        "--count", type=_count, metavar="N", help="verify each server so often, then end (for ever)"
    )
    parser.add_argument(
        "--token-file",
        action="append",
        default=[],
        metavar="[URL=]FILE",
        help="holds an API key of that server; repeatable. For a single server URL= can be left "
        f"out, or the key be in {TOKEN_VARIABLE}. It goes, sealed, to a TD that was verified, and "
        f"unsealed only with {UNSEALED_OPTION}",
    )
    add_unsealed_option(parser)
    parser.add_argument(
        PIN_OPTION,
        action="append",
        default=[],
        metavar="[URL=]SHA256",
        help="accept the TLS certificate with this fingerprint from that server, whoever signed "
        "it, and no other; repeatable, once for each server. For a single one URL= can be left out",
    )
    add_verifier_options(parser)
    return parser


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= len(text) <= 9 or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of times")
    return int(text)
