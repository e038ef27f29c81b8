"""Check `key-binding` over HTTP: who answers in the name of a key, once and in a watch."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier.__main__ import main
from cczoo_verifier.appraisal import Trust
from cczoo_verifier.sealed.asking import asking
from cczoo_verifier.verification import Verifier
from cczoo_verifier.watch_command import checker
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse

from doubles.chat import Chat, a_keyring
from doubles.in_between import InBetween
from doubles.serving import serving
from quote_generator.sealing.keyset import (
    parse_keyset,
)
from quote_generator.simulator import Simulator


def files(td: Simulator) -> list[str]:
    directory = td.directory
    return ["--root", f"{directory}/root.pem", "--collateral", f"{directory}/collateral.json"]


def verify(td: Simulator, url: str, capsys: Any, *options: str) -> tuple[int, dict[str, Any], Any]:
    """Exit code, checks by id, and the whole report."""
    code = main([url, *files(td), "--json", *options])
    report = json.loads(capsys.readouterr().out)
    return code, {check["id"]: check for check in report.get("checks", ())}, report


def test_the_holder_answers(td: Simulator, chat: Chat, url: str, capsys: Any) -> None:
    code, checks, report = verify(td, url, capsys)
    assert (code, checks["key-binding"]["outcome"]) == (0, "pass")
    document = chat.keys.current().document
    assert report["keys"]["not_after"] == document["not_after"]
    assert report["expires"] == min(report["expires"], document["not_after"])
    (outer,) = chat.outer
    assert outer["tee-key"] == report["keys"]["id"]
    assert not {"authorization", "cookie", "referer", "date"} & set(outer)
    assert main([url, *files(td)]) == 0
    out = capsys.readouterr().out
    assert f"sealed to      key {report['keys']['id']}, X25519, until " in out
    assert "the TD that holds the key above" in out
    assert "not about the connection" not in out


def test_a_result_ends_with_its_keys(td: Simulator, chat: Chat, url: str, capsys: Any) -> None:
    """Not after an hour, the default of a policy: the keys are half an hour old."""
    chat.keys = a_keyring(now=lambda: time.time() - 1800)
    code, _, report = verify(td, url, capsys)
    assert (code, report["expires"]) == (0, chat.keys.current().document["not_after"])


def test_without_sealing_it_warns(td: Simulator, chat: Chat, url: str, capsys: Any) -> None:
    chat.sealing = False
    code, checks, _ = verify(td, url, capsys)
    assert (code, checks["key-binding"]["code"]) == (3, "key-none")


def test_a_policy_file_asks_for_a_key(
    td: Simulator, chat: Chat, url: str, tmp_path: Path, capsys: Any
) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"v": 1, "require_sealed": true}')
    assert verify(td, url, capsys, "--policy", str(policy))[0] == 0
    chat.sealing = False
    code, checks, _ = verify(td, url, capsys, "--policy", str(policy))
    assert (code, checks["key-binding"]["code"]) == (1, "key-none")
    policy.write_text('{"v": 1, "require_sealed": "yes"}')
    assert main([url, "--policy", str(policy)]) == 2
    assert "require_sealed" in capsys.readouterr().err


def test_saved_evidence_says_that_nobody_was_asked(
    td: Simulator, chat: Chat, url: str, tmp_path: Path, capsys: Any
) -> None:
    saved = tmp_path / "saved.json"
    assert verify(td, url, capsys, "--save", str(saved))[0] == 0
    asked = len(chat.outer)
    assert main(["--evidence", str(saved), *files(td), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (check,) = (check for check in report["checks"] if check["id"] == "key-binding")
    assert (check["outcome"], check["code"], report["keys"]) == ("skipped", "not-asked", None)
    assert len(chat.outer) == asked


def endless() -> Iterator[bytes]:
    while True:
        yield bytes(65536)


SEALED_TYPE = "message/ohttp-chunked-res"
INSTEAD: dict[str, Any] = {
    "404": JSONResponse({"code": "not-found"}, 404),
    "405": PlainTextResponse("no", 405),
    "nobody knows the key": JSONResponse({"code": "key-unknown"}, 422),
    "malformed": JSONResponse({"code": "sealed-malformed"}, 400),
    "broken": PlainTextResponse("oops", 500),
    "a gateway": PlainTextResponse("down", 502),
    "503 of somebody else": PlainTextResponse("down", 503),
    "plain": JSONResponse({"v": 1, "sealed": True}),
    "plain, of the right type": PlainTextResponse('{"sealed": true}', 200, None, SEALED_TYPE),
    "empty": PlainTextResponse("", 200, None, SEALED_TYPE),
    "zeros": PlainTextResponse(bytes(4096), 200, None, SEALED_TYPE),
    "a redirect": PlainTextResponse("", 302, {"Location": "https://elsewhere.example/"}),
}


@pytest.mark.parametrize("name", INSTEAD)
def test_whoever_answers_in_the_holders_place_is_found_out(
    td: Simulator, chat: Chat, url: str, capsys: Any, name: str
) -> None:
    chat.instead = INSTEAD[name]
    code, checks, report = verify(td, url, capsys)
    assert (code, checks["key-binding"]["code"]) == (1, "key-silent"), name
    assert report["keys"] is None


def test_an_answer_without_end_ends(td: Simulator, chat: Chat, url: str, capsys: Any) -> None:
    async def instead(scope: Any, receive: Any, send: Any) -> None:
        await StreamingResponse(endless(), media_type=SEALED_TYPE)(scope, receive, send)

    chat.instead = instead
    code, _, report = verify(td, url, capsys)
    assert (code, report["error"]["code"]) == (4, "evidence-unreachable")


@pytest.mark.parametrize(
    "answer",
    [
        JSONResponse({"code": "sealed-busy"}, 503, {"Retry-After": "7"}),
        JSONResponse({"code": "too-many-requests"}, 429, {"Retry-After": "7"}),
    ],
)
def test_a_holder_that_asks_for_patience_is_no_verdict(
    td: Simulator, chat: Chat, url: str, capsys: Any, verifier: Verifier, answer: Any
) -> None:
    chat.instead = answer
    code, _, report = verify(td, url, capsys)
    assert (code, report["error"]["code"]) == (4, "evidence-unreachable")
    assert checker(url, None, verifier)().wait == 7


@pytest.fixture
def verifier(td: Simulator) -> Verifier:
    return Verifier(timeout=30, source=lambda: Trust(td.root_der, td.collateral()))


def test_the_holder_of_another_key_is_silent(
    td: Simulator, chat: Chat, url: str, capsys: Any
) -> None:
    """A genuine keyset, whose holder is elsewhere."""
    chat.shown = a_keyring()
    code, checks, _ = verify(td, url, capsys)
    assert (code, checks["key-binding"]["code"]) == (1, "key-silent")


def test_each_changed_byte_of_the_answer_is_noticed(
    td: Simulator, chat: Chat, url: str, verifier: Verifier
) -> None:
    check = checker(url, None, verifier)
    whole: list[bytes] = []
    chat.change = lambda body: whole.append(body) or body  # type: ignore[func-returns-value]
    assert check().result == "pass"
    size = len(whole[0])
    for at in range(0, size, 41):
        chat.change = lambda body, at=at: flipped(body, at)  # type: ignore[misc]
        assert check().failing == ("key-binding/key-silent",), at


def flipped(body: bytes, at: int) -> bytes:
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


CUTS: dict[str, Callable[[bytes], bytes]] = {
    "the last byte": lambda body: body[:-1],
    "the last chunk": lambda body: body[:-17],
    "half": lambda body: body[: len(body) // 2],
    "all but the nonce": lambda body: body[:16],
    "twice": lambda body: body * 2,
    "a byte more": lambda body: body + b"\0",
}


@pytest.mark.parametrize("name", CUTS)
def test_an_answer_that_is_cut_or_spliced_is_noticed(
    td: Simulator, chat: Chat, url: str, verifier: Verifier, name: str
) -> None:
    chat.change = CUTS[name]
    assert checker(url, None, verifier)().failing == ("key-binding/key-silent",)


def test_an_answer_of_before_is_noticed(
    td: Simulator, chat: Chat, url: str, verifier: Verifier
) -> None:
    kept: list[bytes] = []
    chat.change = lambda body: kept.append(body) or kept[0]  # type: ignore[func-returns-value]
    check = checker(url, None, verifier)
    assert check().result == "pass"
    assert check().failing == ("key-binding/key-silent",)


def test_a_clock_that_differs_proves_the_key_all_the_same(chat: Chat, url: str) -> None:
    """The sealed answer says what time it is there: that, too, only the holder can say."""
    keyset = parse_keyset(chat.keys.current().document)
    asking(url, timeout=30, clock=lambda: 0.0)(keyset)()
    assert len(chat.outer) == 1


def test_a_machine_without_tdx_that_shows_a_genuine_tds_quote_is_found_out(
    td: Simulator, chat: Chat, url: str, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    """With the right reference values, and an API key at hand that it never gets."""
    monkeypatch.setenv("CCZOO_VERIFY_TOKEN", "sk-secret")
    machine = InBetween(url)
    with serving(machine.app) as address:
        code, checks, report = verify(td, address, capsys)
        assert (code, checks["key-binding"]["code"]) == (1, "key-silent")
        assert report["verified"] is False
        assert main([address, *files(td)]) == 1
        assert capsys.readouterr().out.startswith("NOT VERIFIED")
        chat.token = "sk-secret"  # it asks for one, as a server without sealing may
        assert main([address, *files(td)]) == 4
    assert {check["outcome"] for name, check in checks.items() if name != "key-binding"} <= {
        "pass",
        "skipped",
    }
    assert "sk-secret" not in repr(chat.seen) + repr(chat.outer) + repr(machine.overheard)


# --- watch ---------------------------------------------------------------------------------------


def test_a_watch_notices_whose_quote_it_is_shown(
    td: Simulator, chat: Chat, url: str, verifier: Verifier
) -> None:
    check = checker(url, None, verifier)
    good = check()
    assert good.result == "pass"
    assert good.digest is not None
    chat.shown = a_keyring()
    bad = check()
    assert bad.failing == ("key-binding/key-silent",)
    assert bad.measurements is None  # they are another machine's
    chat.shown, chat.sealing = None, False
    unsealed = check()
    assert (unsealed.result, unsealed.warning) == ("warn", ("key-binding/key-none",))
    assert unsealed.digest == good.digest


def test_a_watched_result_ends_with_its_keys(
    td: Simulator, chat: Chat, url: str, verifier: Verifier
) -> None:
    chat.keys = a_keyring(now=lambda: time.time() - 3000)
    assert 0 < checker(url, None, verifier)().life <= 600
