"""The kit's routes in a running open-webui, on hardware that takes its time."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.attester import REAL_LATENCY_SECONDS
from bench.http_load import GRACE_SECONDS, Answers, Client, Load, client
from bench.open_webui import edition, hooked_environment, running, with_the_newest
from bench.rows import Limit, detail, row
from bench.timing import in_turns, percentile
from e2e.evidence import verify_nonce
from e2e.stack import Backend
from emulator import Emulator

QUOTE, VERSION, HEALTH = "/api/v1/tee/quote", "/api/version", "/health"
# One of open-webui's own that has little to do but to look the user up.
SIGNED_IN = "/api/v1/users/user/settings"

CONNECTIONS = 64
ROUNDS, ROUND_SECONDS = 5, 3.0
CHECK_EVERY = 50
# Answers a second: to anyone, and to users, each of whom is looked up. Newer open-webui asks its
# database three times for that, which takes some 4 ms: there the measure is a route of its own.
OPEN_LIMIT, SIGNED_IN_LIMIT = Limit(1000, at_least=True), Limit(600, at_least=True)
NEWER_SIGNED_IN_LIMIT = Limit(0.9, at_least=True, of_baseline=True)

HEALTH_RATE, QUOTE_RATE = 20, 200
HEALTH_ROUNDS, HEALTH_SECONDS, WARM_UP_SECONDS = 6, 10.0, 2.0
HEALTH_LIMIT = Limit(1.5, of_baseline=True)


@contextmanager
def trust_domain(name: str, **settings: str) -> Iterator[Backend]:
    """An edition of open-webui on emulated hardware."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        Emulator(slow=REAL_LATENCY_SECONDS, fault="slow") as kernel,
    ):
        hooked = hooked_environment(Path(scratch, "environment"), name)
        with running(hooked, kernel, **settings) as backend:
            yield backend


# Quotes


@dataclass
class Asked:
    """A load on a server, round by round: what each answer cost, and those to be checked."""

    load: Load
    client: Client
    pid: int
    processor: float = 0.0
    answers: int = 0

    def rate(self) -> float:
        """Put the load once; returns the answers in a second."""
        before = processor_seconds(self.pid)
        answers = self.client.ask(self.load)
        self.processor += processor_seconds(self.pid) - before
        self.answers += len(answers.times)
        check(answers)
        return answers.rate

    @property
    def cost(self) -> float:
        """Milliseconds of the server's processor for each answer."""
        return 1000 * self.processor / self.answers


def check(answers: Answers) -> None:
    """Raise AssertionError unless each quote that was kept answers its own nonce."""
    for nonce, body in answers.kept:
        verify_nonce(json.loads(body), nonce)


def processor_seconds(pid: int) -> float:
    """What a process has used so far, in all threads (proc(5): utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def time_routes() -> None:
    """Quotes in a second, to anyone and to users, against routes behind open-webui's layers."""
    for name in with_the_newest():
        _time_quotes(name, "to anyone", VERSION, OPEN_LIMIT, public=True)
        limit = SIGNED_IN_LIMIT if name == edition() else NEWER_SIGNED_IN_LIMIT
        _time_quotes(name, "to a user", SIGNED_IN, limit, public=False)


def _time_quotes(name: str, whom: str, path: str, limit: Limit, *, public: bool) -> None:
    settings = {"TEE_QUOTE_PUBLIC": str(public).lower()}
    with trust_domain(name, **settings) as backend, client() as asker:
        token = "" if public else backend.token
        stock = Load(backend.spec.port, path, ROUND_SECONDS, CONNECTIONS, token=token)
        quote = replace(stock, path=QUOTE, fresh=True, keep=CHECK_EVERY)
        ours, theirs = (Asked(load, asker, backend.pid) for load in (quote, stock))
        rate, baseline = in_turns(ROUNDS, ours.rate, theirs.rate)
    row(f"{name}: quotes {whom}, {CONNECTIONS} at once", rate, path, baseline, "/s", limit=limit)
    row("  the server's processor for each", ours.cost, path, theirs.cost, "ms")


# What others notice


def time_health() -> None:
    """How long /health takes, at the 99th percentile, while quotes are asked for and without."""
    with trust_domain(edition()) as backend, client() as asker, client(gives_way=True) as others:
        # Over so many connections that a late answer does not put off the next question.
        health = Load(backend.spec.port, HEALTH, HEALTH_SECONDS, HEALTH_RATE, rate=HEALTH_RATE)
        quotes = Load(
            backend.spec.port,
            QUOTE,
            HEALTH_SECONDS,
            CONNECTIONS,
            rate=QUOTE_RATE,
            token=backend.token,
            fresh=True,
            keep=CHECK_EVERY,
        )
        _warm_up(asker, health)
        _warm_up(others, quotes)
        alone: list[float] = []
        beside: list[float] = []
        served: list[float] = []
        for _ in range(HEALTH_ROUNDS):
            alone += asker.ask(health).times
            under_way = others.begin(quotes)
            beside += asker.ask(health).times
            answers = under_way.result(GRACE_SECONDS)
            check(answers)
            served.append(answers.rate)
    for percent, limit in ((50, None), (99, HEALTH_LIMIT), (100, None)):
        name = f"{edition()}: {HEALTH} beside {QUOTE_RATE} quotes/s, p{percent}"
        value, baseline = (percentile(times, percent) for times in (beside, alone))
        row(name, value, "alone", baseline, "ms", limit=limit)
    detail("quotes a second meanwhile", sum(served) / len(served), "/s")


def _warm_up(asker: Client, *loads: Load) -> None:
    """Start the client's processes, and let the server see each kind of request."""
    for under_way in [asker.begin(replace(load, seconds=WARM_UP_SECONDS)) for load in loads]:
        under_way.result(GRACE_SECONDS)
