"""What runs in there: measured before anybody is answered, and stated in every quote."""

from __future__ import annotations

import base64
import contextlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier.__main__ import main
from cczoo_verifier.sealed import connect
from cczoo_verifier.trust import from_simulator
from cczoo_verifier.verification import Verifier

from doubles.wire import recorded
from e2e.conftest import sealed_simulator
from e2e.editions import Edition
from e2e.environments import REQUIREMENTS, Environment
from e2e.gates import QUOTE, count
from e2e.stack import Backend, Installation
from quote_generator.eventlog import application_line, parse_ccel
from quote_generator.evidence import document_hash, encode_base64url
from quote_generator.workload.environment import measure_environment
from quote_generator.workload.events import present_facts

StartBackend = Callable[..., Backend]
NONCE = encode_base64url(bytes(32))
OUTSIDE = "https://models.elsewhere.example/v1"
FUNCTION = '''"""
title: Reader
"""


class Filter:
    def inlet(self, body: dict) -> dict:
        return body
'''


@pytest.fixture(scope="module")
def own(own_environment: Callable[[str], Environment]) -> Environment:
    """An environment that these tests change."""
    return own_environment("workload")


@pytest.fixture(scope="module")
def machine(
    own: Environment,
    kit_in: Callable[[Environment], Installation],
    start_backend: StartBackend,
    tmp_path_factory: pytest.TempPathFactory,
) -> Backend:
    """open-webui in a simulated TD of its own: nobody else tells its log anything."""
    env = sealed_simulator(tmp_path_factory.mktemp("workload"))
    return start_backend("workload", env, of=kit_in(own), states=True)


@contextlib.contextmanager
def restarted(backend: Backend) -> Iterator[None]:
    """Stop it, have something changed, and start it again: the same boot of the same TD."""
    backend.stop()
    yield
    backend.start_again()


def evidence(backend: Backend, **options: Any) -> dict[str, Any]:
    """Fresh evidence; of the administrator, unless another token is given."""
    answer = backend.quote(NONCE, **options)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def logged(document: Mapping[str, Any]) -> list[Any]:
    """The present facts that the log tells, as kind and content."""
    log = base64.b64decode(document["cc_eventlog"])
    lines = [line for event in parse_ccel(log) if (line := application_line(event))]
    present = present_facts(lines)
    assert present.unknown == ()
    return [[fact.kind, dict(fact.content)] for fact in present.facts]


def facts(document: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """What is measured of a kind."""
    measured = document["statement_sections"]["measured"]
    assert measured["log"] == "written", measured
    assert measured["facts"] == logged(document)
    return [content for name, content in measured["facts"] if name == kind]


def fact(document: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The one that there is."""
    (found,) = facts(document, kind)
    return found


def simulator_of(backend: Backend) -> Path:
    return Path(backend.spec.env["QUOTE_GENERATOR_SIMULATOR_DIR"])


def audited(backend: Backend, *options: str) -> dict[str, Any]:
    """What `cczoo-verify` reports to somebody who trusts the simulator."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        main([backend.url, "--simulator", str(simulator_of(backend)), "--json", *options])
    report: dict[str, Any] = json.loads(output.getvalue())
    return report


def outcome(report: Mapping[str, Any], check: str) -> tuple[str, str]:
    """A check's outcome and code."""
    (found,) = [each for each in report["checks"] if each["id"] == check]
    return found["outcome"], found["code"]


def configure(backend: Backend, *urls: str) -> None:
    """Have the administrator set the connections to model servers."""
    form = {
        "ENABLE_OPENAI_API": True,
        "OPENAI_API_BASE_URLS": list(urls),
        "OPENAI_API_KEYS": ["a-key"] * len(urls),
        "OPENAI_API_CONFIGS": {},
    }
    answer = backend.call("POST", "/openai/config/update", json=form)
    assert answer.status_code == 200, answer.text


def test_an_untouched_installation_measures_what_any_other_does(
    machine: Backend, edition: Edition, webui_python: Path
) -> None:
    """The shared environment lies elsewhere, and has no hook."""
    (packages,) = webui_python.parent.parent.glob("lib/python*/site-packages")
    required = (packages / REQUIREMENTS).read_text().strip()
    elsewhere = measure_environment([packages, required])
    digests = {each.name: each.digest for each in elsewhere.distributions}
    document = evidence(machine)
    assert fact(document, "kit")["digest"] == digests["cczoo-trust-badge"]
    webui = fact(document, "open-webui")
    assert (webui["way"], webui["version"]) == (edition.way, edition.version)
    if edition.way == "plugin":
        assert webui["digest"] == digests["open-webui"]
        assert fact(document, "environment")["digest"] == elsewhere.digest
    for kind in ("page", "front-end", "settings"):
        fact(document, kind)


def test_the_sections_are_for_those_who_have_an_account(machine: Backend) -> None:
    anybody, known = evidence(machine, token=None), evidence(machine)
    assert "statement_sections" not in anybody
    sections = known["statement_sections"]
    for document in (anybody, known):
        stated = document["statement"]["sections"]
        assert stated == {name: document_hash(section) for name, section in sections.items()}
    text = json.dumps(sections)
    for secret in (
        "only-for-tests",
        "not-a-secret",
        "ada@example.com",
        str(machine.spec.directory),
    ):
        assert secret not in text


def test_an_auditor_is_told_and_not_assured(machine: Backend, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(machine.token)
    report = audited(machine, "--token-file", str(token))
    assert outcome(report, "event-log")[0] == "pass"
    assert outcome(report, "workload") == ("skipped", "own-word")
    assert {kind for kind, _ in report["workload"]["measured"]} >= {"kit", "open-webui", "page"}
    assert outcome(audited(machine), "workload") == ("skipped", "statement-withheld")


def test_a_connection_that_is_added_ends_what_was_judged(machine: Backend) -> None:
    """The next request is answered 409, upon which the client verifies anew and repeats it."""
    before = evidence(machine)
    verifier = Verifier(timeout=60, source=from_simulator(simulator_of(machine)))
    signed = {"Authorization": f"Bearer {machine.token}"}
    with (
        recorded(machine.url) as wire,
        connect(wire.url, verifier=verifier, accept_warnings=True, headers=signed) as client,
    ):
        for _ in range(2):
            assert client.get("/api/config").status_code == 200
            asked = count(wire, f"GET {QUOTE}")
        assert asked == 1
        model = f"{machine.spec.model_url}/v1"
        configure(machine, model, OUTSIDE)
        assert client.get("/api/config").status_code == 200
        assert count(wire, f"GET {QUOTE}") > asked
    after = evidence(machine)
    ways = after["statement_sections"]["connections"]["ways"]
    assert "models.elsewhere.example:443" in [way["address"] for way in ways]
    assert fact(after, "settings") != fact(before, "settings")
    configure(machine, model)


def test_a_function_is_measured_and_warned_of(machine: Backend, tmp_path: Path) -> None:
    form = {"id": "reader", "name": "Reader", "content": FUNCTION, "meta": {"description": ""}}
    assert machine.call("POST", "/api/v1/functions/create", json=form).status_code == 200
    assert machine.call("POST", "/api/v1/functions/id/reader/toggle").status_code == 200
    document = evidence(machine)
    function = fact(document, "function")
    assert (function["id"], function["type"]) == ("reader", "filter")
    token = tmp_path / "token"
    token.write_text(machine.token)
    report = audited(machine, "--token-file", str(token))
    assert outcome(report, "workload") == ("warn", "unlisted-function")
    assert outcome(report, "key-binding") == ("warn", "unlisted-function")
    assert machine.call("DELETE", "/api/v1/functions/id/reader/delete").status_code == 200


def test_one_changed_byte_is_another_digest(machine: Backend, own: Environment) -> None:
    """In any file that Python could import, with RECORD left as it was."""
    before = evidence(machine)
    module = own.packages / "cczoo_verifier" / "table.py"
    with restarted(machine):
        module.write_text(module.read_text() + "#")
        (own.packages / "sitecustomize.py").write_text("")
    after = evidence(machine)
    environment = fact(after, "environment")
    for kind in ("kit", "environment"):
        assert fact(after, kind)["digest"] != fact(before, kind)["digest"]
    assert environment["unlisted"] != fact(before, "environment")["unlisted"]
    assert environment["unlisted_files"] > fact(before, "environment")["unlisted_files"]
    assert fact(after, "open-webui") == fact(before, "open-webui")
    assert outcome(audited(machine), "event-log")[0] == "pass"
