"""How services are asked, and what their answers are, as the page has it (web/test/providers)."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier import audit, protocol
from cczoo_verifier.__main__ import main
from cczoo_verifier.appraisal import Trust
from cczoo_verifier.checks import Check
from cczoo_verifier.fetching import Answer
from cczoo_verifier.jws import Keys, read_keys
from cczoo_verifier.problems import Unreachable
from cczoo_verifier.service import Settings, create_app
from cczoo_verifier.services.exchange import judge, merged_log, misunderstood
from cczoo_verifier.services.relying import PROVIDERS, Opinion, Service
from cczoo_verifier.signing import Signer
from cczoo_verifier.trust import TrustSource, from_files
from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse

from doubles import hostile, jose
from doubles.chat import NONCE, Chat, make_evidence
from doubles.serving import serving
from quote_generator.errors import BadInput
from quote_generator.eventlog import compare
from quote_generator.evidence import decode_base64url
from quote_generator.quote import Quote, parse_quote
from quote_generator.simulator import Simulator

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "verifier/services/answers.json"
PAGES_TABLE = ROOT / "web/src/providers/answers.json"
RECORDINGS = ROOT.parent / "shared" / "data" / "trustee"


def vectors(name: str) -> Any:
    return json.loads((ROOT / "tests/vectors" / f"{name}.json").read_text("utf-8"))


ANSWERS = vectors("service_answers")


def answer(status: int, body: str) -> Answer:
    return Answer(status, body.encode(), {})


@pytest.fixture(scope="module")
def trust(td: Simulator) -> TrustSource:
    return from_files(str(td.directory / "root.pem"), td.directory / "collateral.json")


@pytest.fixture(scope="module")
def quote(td: Simulator) -> Quote:
    return parse_quote(td.quote(bytes(64)))


@pytest.fixture(scope="module")
def trustee(trust: TrustSource) -> Iterator[str]:
    with serving(lambda _: create_app(Settings(trust=trust, signer=Signer.ephemeral()))) as address:
        yield address


@pytest.fixture(scope="module")
def url(td: Simulator) -> Iterator[str]:
    with serving(Chat(td).app) as address:
        yield address


def pinned() -> Keys:
    return read_keys(json.dumps(jose.jwk(jose.make_key("ES256"), "ES256", "k")), pinned=True)


def service(name: str, address: str, keys: Keys | None = None, **options: Any) -> Service:
    return Service(PROVIDERS[name], address, keys, options.pop("timeout", 30.0), **options)


def ask(asked: Service, quote: Quote, logs: Any = None) -> Opinion:
    return asked.opinion(quote, logs or {}, now=lambda: 0.0)


def answering(path: str, respond: Callable[[Request], Response]) -> FastAPI:
    app = FastAPI()

    @app.post(path)
    async def attestation(request: Request) -> Response:
        await request.body()
        return respond(request)

    return app


def failures(opinion: Opinion) -> list[tuple[str, str]]:
    return [(check.id, check.code) for check in opinion.checks if check.outcome == "fail"]


# --- what an answer is ---------------------------------------------------------------------------


def test_one_table_serves_page_and_command_line() -> None:
    assert PAGES_TABLE.read_bytes() == TABLE.read_bytes()


def test_every_entry_of_the_table_leads_to_words() -> None:
    table = json.loads(TABLE.read_text("utf-8"))
    named = {table[name] for name in ("redirect", "page", "page_of_error", "named_error", "else")}
    named |= {*table["statuses"].values(), *table["intel"].values()}
    named |= {name for _, name in table["phrases"]}
    assert named == set(table["words"])


@pytest.mark.parametrize(
    "case", ANSWERS["cases"], ids=lambda case: f"{case['status']} {case['body'][-40:]!r}"
)
def test_an_answer_is_what_the_page_takes_it_for(case: Any) -> None:
    """Fails where a status, a phrase or a number of Intel's counts for something else."""
    word = judge(answer(case["status"], case["body"]))
    assert (word and word.code) == case["code"]
    assert case["says"] in (word.meaning if word else "")
    if word:
        assert word.is_about_evidence == (case["code"] in ANSWERS["about_evidence"])


@pytest.mark.parametrize("status", [200, 400, 500])
def test_what_is_no_text_is_no_word(status: int) -> None:
    word = judge(Answer(status, b"\xff" + b"Verifier evaluate failed", {}))
    assert word is not None
    assert word.code == "service-broken"


def test_only_a_missing_member_asks_for_the_other_form() -> None:
    assert all(misunderstood(answer(*case)) for case in ANSWERS["other_form"])
    assert not any(misunderstood(answer(*case)) for case in ANSWERS["same_form"])


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (500, "Verifier evaluate failed: x", "service-rejected"),
        (500, "Reject by policy default", "appraisal"),
        (500, "no idea", "service-broken"),
        (413, "", "service-broken"),
        (503, "busy", "service-unreachable"),
        (404, "", "service-address"),
    ],
)
def test_only_a_refusal_is_a_verdict(
    quote: Quote, name: str, status: int, body: str, code: str
) -> None:
    def respond(_: Request) -> Response:
        return PlainTextResponse(body, status, {"Retry-After": "7"})

    with serving(lambda _: answering(PROVIDERS[name].path, respond)) as address:
        asked = service(name, address, pinned())
        if code in ANSWERS["about_evidence"]:
            check = "appraisal" if code == "appraisal" else "token-signature"
            assert failures(ask(asked, quote)) == [(check, code)]
            return
        with pytest.raises(Unreachable, match=f"HTTP {status}") as caught:
            ask(asked, quote)
    # The wait that was asked for is kept: `watch` waits it.
    assert (caught.value.code, caught.value.wait) == (code, 7.0)


def test_exit_codes(url: str, tmp_path: Path, capsys: Any) -> None:
    """Broken and out of reach are no verdict (4); a policy that refuses is one, of `appraisal`."""
    pin = tmp_path / "pin.json"
    pin.write_text(json.dumps(jose.jwk(jose.make_key("ES256"), "ES256", "k")))
    said = {"text": ""}

    def respond(_: Request) -> Response:
        return PlainTextResponse(said["text"], 500)

    with serving(lambda _: answering("/attestation", respond)) as address:
        command = [url, "--provider", "trustee", "--service", address, "--json"]
        command += ["--service-keys", str(pin)]
        said["text"] = "Verifier evaluate failed: TDX Verifier: tee_verify_quote failed: 0xe01b"
        assert main(command) == 4
        error = json.loads(capsys.readouterr().out)["error"]
        assert error["code"] == "service-broken"
        assert "it has no collateral" in error["detail"]
        said["text"] = "Reject by policy default"
        assert main(command) == 1
    checks = {check["id"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert (checks["appraisal"]["outcome"], checks["appraisal"]["code"]) == ("fail", "appraisal")
    assert checks["token-signature"]["code"] == "not-run"


# --- what is sent --------------------------------------------------------------------------------


def sent_by(asked: Callable[[str], Service], quote: Quote, logs: Any) -> tuple[Any, Opinion]:
    """The evidence that a service got, and what came of it."""
    bodies: list[Any] = []
    app = FastAPI()

    @app.post("/attestation")
    async def attestation(request: Request) -> Response:
        bodies.append(await request.json())
        return PlainTextResponse("Verifier evaluate failed", 500)

    with serving(lambda _: app) as address:
        opinion = ask(asked(address), quote, logs)
    [body] = bodies
    [inner] = body["verification_requests"]
    return json.loads(decode_base64url(inner["evidence"], "evidence")), opinion


LOGS = {
    "cc_eventlog": None,
    "aa_eventlog": f"INIT sha384/{'00' * 48}\na b c\n",
}


def test_event_logs_stay_home(quote: Quote) -> None:
    """The service gets the quote and nothing beside it, whatever the server sent."""
    evidence, _ = sent_by(lambda address: service("trustee", address, pinned()), quote, LOGS)
    assert evidence == {"quote": base64.b64encode(quote.raw).decode()}


def test_event_logs_go_along_as_one_where_the_user_says_so(quote: Quote) -> None:
    asked = lambda address: service("trustee", address, pinned(), send_logs=True)  # noqa: E731
    evidence, _ = sent_by(asked, quote, LOGS)
    assert evidence.keys() == {"quote", "cc_eventlog"}
    [case] = [c for c in vectors("merged_logs")["cases"] if c["name"] == "application's text alone"]
    head = bytes.fromhex(case["merged"])[:69]
    assert base64.b64decode(evidence["cc_eventlog"]).startswith(head)
    assert sent_by(asked, quote, {})[0].keys() == {"quote"}


def test_a_log_that_cannot_go_along_is_told(trustee: str, td: Simulator) -> None:
    """No half of it is sent, and the result is a warning: the user wanted it judged."""
    quote = parse_quote(td.quote(bytes(64)))
    begun = {**LOGS, "aa_eventlog": f"INIT sha384/{'11' * 48}\na b c\n"}
    asked = service("trustee", trustee, send_logs=True)
    checks = asked.opinion(quote, begun, now=lambda: 2e9).checks
    assert (checks[0].outcome, checks[0].code) == ("warn", "logs-unmerged")
    assert "were not sent" in checks[0].detail


@pytest.mark.parametrize("case", vectors("merged_logs")["cases"], ids=lambda case: case["name"])
def test_logs_are_merged_as_the_page_merges_them(case: Any) -> None:
    log = None if case["cc_eventlog"] is None else bytes.fromhex(case["cc_eventlog"])
    if case["code"]:
        with pytest.raises(BadInput):
            merged_log(log, case["aa_eventlog"])
        return
    merged = merged_log(log, case["aa_eventlog"])
    assert (merged and merged.hex()) == case["merged"]


def test_a_merged_log_leads_where_both_led() -> None:
    cases = {case["name"]: case for case in vectors("merged_logs")["cases"]}
    case = cases["both"]
    registers = {f"rtmr_{at}": bytes(48) for at in range(4)}
    log = bytes.fromhex(case["cc_eventlog"])
    apart = compare(registers, ccel=log, aael=case["aa_eventlog"])
    merged = compare(registers, ccel=bytes.fromhex(case["merged"]))
    assert [item.logged for item in merged] == [item.logged for item in apart]


def test_the_logs_are_judged_here_first(td: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the service is asked, which is asked all the same, and told before its word."""
    order: list[str] = []

    def judged(*arguments: Any) -> Any:
        order.append("event-log")
        return event_log(*arguments)

    def asked(_: Quote) -> Opinion:
        order.append("service")
        return Opinion(None, (Check("token-signature", "fail", "no", "service-rejected"),))

    event_log = audit._event_log
    monkeypatch.setattr(audit, "_event_log", judged)
    line = f"INIT sha384/{'00' * 48}\n"
    report = audit.audit(
        make_evidence(td, log=line, measurements={"rtmr_3": bytes(48)}),
        nonce=NONCE,
        trust=lambda _: Trust(None, {}),
        now=0.0,
        service=asked,
    )
    assert order == ["event-log", "service"]
    silent = ("", "not-run", "not-asked", "not-stated")
    found = [(check.id, check.code) for check in report.checks if check.code not in silent]
    assert found[:2] == [("event-log", "log-differs"), ("token-signature", "service-rejected")]


@pytest.mark.parametrize("form", [protocol.FLAT, protocol.LISTED])
def test_evidence_is_sent_once(trust: TrustSource, quote: Quote, form: str) -> None:
    """Which body the service takes is learnt once; refusals and outages teach nothing."""
    seen: list[str] = []
    signer = Signer.ephemeral()
    settings = Settings(trust=trust, signer=signer, forms=(form,), accept_hashed_raw=False)
    with serving(lambda _: hostile.Witness(create_app(settings), seen=seen)) as address:
        asked = service("trustee", address, read_keys(json.dumps(signer.jwk), pinned=True))
        ask(asked, quote)
        seen.clear()
        for _ in range(3):
            ask(asked, quote)
    assert seen == ["POST /attestation"] * 3


@pytest.mark.parametrize(
    ("status", "body"),
    [case for case in ANSWERS["same_form"] if case[0] != 200],
)
def test_no_other_answer_has_evidence_sent_twice(quote: Quote, status: int, body: str) -> None:
    seen: list[str] = []
    app = answering("/attestation", lambda _: PlainTextResponse(body, status))
    with serving(lambda _: hostile.Witness(app, seen=seen)) as address:
        asked = service("trustee", address, pinned())
        with contextlib.suppress(Unreachable):
            ask(asked, quote)
    assert seen == ["POST /attestation"]


# --- keys ----------------------------------------------------------------------------------------


def test_no_evidence_leaves_before_there_are_keys(quote: Quote) -> None:
    """An old Trustee publishes none: the user hears "pin" and the service hears nothing."""
    seen: list[str] = []
    app = answering("/attestation", lambda _: PlainTextResponse("a.b.c"))
    with (
        serving(lambda _: hostile.Witness(app, seen=seen)) as address,
        pytest.raises(Unreachable, match="--service-keys") as caught,
    ):
        ask(service("trustee", address), quote)
    assert caught.value.code == "keys-needed"
    assert seen == ["GET /.well-known/jwks.json"]


@pytest.mark.parametrize("bare", [True, False])
def test_a_key_that_changed_is_told_as_that(quote: Quote, bare: bool) -> None:
    key = jose.make_key("ES256")
    jwk = {"kty": "EC"} if bare else {"kty": "EC", "x5c": ["AAAA"]}
    token = jose.compact({"alg": "ES256", "jwk": jwk}, {}, jose.signer(key, "ES256"))
    with serving(
        lambda _: answering("/attestation", lambda _: PlainTextResponse(token))
    ) as address:
        opinion = ask(service("trustee", address, pinned()), quote)
    code = "key-changed" if bare else "token-forged"
    assert failures(opinion) == [("token-signature", code)]


@pytest.mark.parametrize("address", ["http://as.example", "http://192.0.2.1:8080/attestation"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_plain_http_needs_a_pin(provider: str, address: str, capsys: Any) -> None:
    command = ["https://chat.example", "--provider", provider, "--service", address, "--json"]
    assert main(command) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "http-unpinned"


# --- many at once, stopped, slow -----------------------------------------------------------------


def test_thirty_two_at_once(trustee: str, quote: Quote) -> None:
    """One service, asked by as many threads: each gets its own answer."""
    asked = service("trustee", trustee)
    with ThreadPoolExecutor(32) as pool:
        opinions = list(pool.map(lambda _: ask(asked, quote), range(32)))
    # The clock here is at 1970: nothing but the time of the tokens is wrong.
    assert {tuple(failures(opinion)) for opinion in opinions} == {(("token-claims", "token-time"),)}
    assert len({opinion.token for opinion in opinions}) == 32


def test_a_stopped_service_says_nothing(quote: Quote) -> None:
    with serving(lambda _: FastAPI()) as gone:
        pass
    with pytest.raises(Unreachable) as caught:
        ask(service("trustee", gone, pinned()), quote)
    assert caught.value.code == "service-unreachable"


def test_a_slow_service_is_given_up(quote: Quote) -> None:
    end = threading.Event()

    def respond(_: Request) -> Response:
        end.wait(60)
        return PlainTextResponse("a.b.c")

    app = FastAPI()
    app.post("/attestation")(respond)
    with serving(lambda _: app) as address:
        try:
            with pytest.raises(Unreachable) as caught:
                ask(service("trustee", address, pinned(), timeout=0.3), quote)
        finally:
            end.set()
    assert caught.value.code == "service-unreachable"


# --- the real thing's answers --------------------------------------------------------------------


@pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="recordings are not beside the project (../shared/data)"
)
def test_recorded_answers_of_a_real_trustee() -> None:
    expected = {
        "v0.13.0-no-collateral": "service-broken",
        "v0.13.0-foreign-root": "service-rejected",
        "v0.13.0-realqvl-Revoked": "service-rejected",
        "v0.13.0-rt-quote-cut": "service-rejected",
        "v0.13.0-rt-wrong-raw": "service-rejected",
        "v0.13.0-tcb-INVALID_SIGNATURE": "service-rejected",
        "v0.13.0-tcb-TD_RELAUNCH_ADVISED": "service-rejected",
        "v0.13.0-eventlog-aael-text-rtmr3-differs": "service-rejected",
        "v0.13.0-eventlog-aael-text-with-spaces-in-content-rtmr3-fits": "service-rejected",
        "v0.13.0-bad-json": "service-broken",
        "v0.21.0-bad-json": "service-broken",
        "v0.21.0-config-collateral-service-down": "service-broken",
        "v0.21.0-rt-wrong-raw": "service-rejected",
        "v0.21.0-tcb-REVOKED": "service-rejected",
        "v0.21.0-OPTIONS-attestation": "service-unreachable",
    }
    found = {}
    for path in RECORDINGS.glob("*.json"):
        said = json.loads(path.read_text("utf-8"))["answer"]
        word = said["status"] and judge(answer(said["status"], said.get("body") or ""))
        if word and said["status"] not in (404, 405) and "body-listed" not in path.stem:
            found[path.stem] = word.code
        elif word and "missing field" in (said.get("body") or ""):
            assert misunderstood(answer(said["status"], said["body"]))
    found.pop("v0.21.0-flat-ear-x5c-refvalues", None)
    assert found == expected
