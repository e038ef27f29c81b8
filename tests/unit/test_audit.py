"""cczoo_verifier.audit and its command line: what an auditor is told, and with which exit code."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier import checks
from cczoo_verifier.__main__ import main
from cczoo_verifier.appraisal import Trust
from cczoo_verifier.audit import Report, audit, read_references
from cczoo_verifier.checks import CHECK_IDS, Check
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse
from hypothesis import given, settings
from hypothesis import strategies as st

from doubles import pccs
from doubles.serving import serving
from quote_generator import evidence
from quote_generator.errors import BadInput
from quote_generator.eventlog import parse_aael
from quote_generator.simulator import Simulator

NONCE = bytes(range(32))
LOG = "INIT sha384/" + "00" * 48 + "\nimage-rs CreateContainer example\n"


@dataclasses.dataclass(frozen=True)
class Made:
    quote: bytes
    transport: str = "configfs-tsm"
    provider: str = "tdx_guest"
    simulated: bool = False


@pytest.fixture(scope="module")
def td(tmp_path_factory: pytest.TempPathFactory) -> Simulator:
    """A TD whose root is neither Intel's nor the simulator's."""
    return Simulator.open(tmp_path_factory.mktemp("td") / "state", name="TEST")


def make(td: Simulator, nonce: bytes = NONCE, log: str | None = None, **quote: Any) -> Any:
    """An evidence document that answers the nonce, as JSON would bring it."""
    others = [bytes([i]) * 16 for i in range(2)]
    documents = evidence.build_evidence(
        [others[0], nonce, others[1]],
        attest=lambda data: Made(td.quote(data, **quote)),  # type: ignore[arg-type,return-value]
        now=time.time(),
        aa_eventlog=log,
    )
    return json.loads(json.dumps(documents[1]))


def trust_in(td: Simulator, **collateral: Any) -> Callable[[Any], Trust]:
    return lambda _: Trust(td.root_der, td.collateral(**collateral))


def run(td: Simulator, document: Any, nonce: bytes | None = NONCE, **options: Any) -> Report:
    options.setdefault("trust", trust_in(td))
    options.setdefault("now", time.time())
    return audit(document, nonce=nonce, **options)


def outcomes(report: Report) -> dict[str, str]:
    return {check.id: check.outcome for check in report.checks}


def failed(report: Report) -> list[tuple[str, str]]:
    return [(check.id, check.code) for check in report.checks if check.outcome == "fail"]


@pytest.mark.parametrize("version", [4, 5])
def test_good_evidence_passes_every_check(td: Simulator, version: int) -> None:
    report = run(td, make(td, version=version))
    assert report.result == "pass"
    assert outcomes(report) == {
        "evidence-format": "pass",
        "nonce-binding": "pass",
        "token-signature": "skipped",
        "token-claims": "skipped",
        "quote-signature": "pass",
        "collateral": "pass",
        "tcb-status": "pass",
        "td-attributes": "pass",
        "event-log": "skipped",
        "reference-values": "skipped",
        "appraisal": "skipped",
        "not-simulated": "pass",
    }
    assert tuple(outcomes(report)) == CHECK_IDS
    assert report.to_dict()["verified"] is True


def test_a_simulator_is_a_warning(simulator: Simulator) -> None:
    report = run(simulator, make(simulator))
    assert report.result == "warn"
    assert outcomes(report)["not-simulated"] == "warn"


@pytest.mark.parametrize("said", [True, None, "false", 0])
def test_a_server_that_does_not_deny_simulation_is_a_warning(td: Simulator, said: Any) -> None:
    assert outcomes(run(td, make(td) | {"simulated": said}))["not-simulated"] == "warn"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("SWHardeningNeeded", "warn"),
        ("ConfigurationNeeded", "warn"),
        ("ConfigurationAndSWHardeningNeeded", "warn"),
        ("OutOfDate", "fail"),
        ("OutOfDateConfigurationNeeded", "fail"),
    ],
)
def test_the_tcb_status_counts(td: Simulator, status: str, outcome: str) -> None:
    trust = trust_in(td, tcb_status=status, advisory_ids=["INTEL-SA-1"])
    report = run(td, make(td), trust=trust)
    assert report.result == outcomes(report)["tcb-status"] == outcome
    [check] = [check for check in report.checks if check.id == "tcb-status"]
    assert check.detail == f"{status} (INTEL-SA-1)"


def test_the_nonce_must_be_ours(td: Simulator) -> None:
    document = make(td)
    assert failed(run(td, document, nonce=bytes(32))) == [("nonce-binding", "nonce-differs")]
    assert failed(run(td, document, nonce=None)) == [("nonce-binding", "nonce-unknown")]
    for change in (
        {"leaf_index": 0},
        {"tree_size": 1},
        {"tree_size": 9},
        {"path": []},
        {"path": document["nonce_proof"]["path"][::-1]},
    ):
        changed = document | {"nonce_proof": document["nonce_proof"] | change}
        assert failed(run(td, changed)) == [("nonce-binding", "nonce-differs")]


def test_runtime_data_must_be_what_was_signed(td: Simulator) -> None:
    document = make(td)
    other = evidence.encode_base64url(evidence.runtime_data(bytes(32)))
    report = run(td, document | {"runtime_data": other})
    assert failed(report) == [("nonce-binding", "report-data-differs")]


@pytest.mark.parametrize(
    ("bound", "code"),
    [
        (b'{"nonce_root":"AAAA","v":2}', "version-unknown"),
        (b'{"v":1}', "runtime-data-malformed"),
        (b"[]", "version-unknown"),
        (b"\xff", "runtime-data-malformed"),
        (b'{"nonce_root":"AAAA","nonce_root":"AAAA","v":1}', "runtime-data-malformed"),
        (b'{"nonce_root":"AAAA","v":1}', "nonce-differs"),
    ],
)
def test_signed_runtime_data_must_make_sense(td: Simulator, bound: bytes, code: str) -> None:
    document = make(td)
    document["quote"] = td.quote(evidence.report_data(bound)).hex()
    document["runtime_data"] = evidence.encode_base64url(bound)
    assert failed(run(td, document)) == [("nonce-binding", code)]


def test_a_forged_quote_fails_where_it_was_forged(td: Simulator) -> None:
    document = make(td)
    raw = bytearray.fromhex(document["quote"])
    raw[200] ^= 1
    report = run(td, document | {"quote": raw.hex()})
    assert failed(report) == [
        ("quote-signature", "quote-forged"),
        ("tcb-status", "not-run"),
        ("td-attributes", "not-run"),
    ]
    assert outcomes(report)["collateral"] == "pass"


def test_a_check_that_did_not_run_never_passes(td: Simulator) -> None:
    report = run(td, make(td), trust=lambda _: Trust(td.root_der, {}))
    assert failed(report) == [
        ("quote-signature", "not-run"),
        ("collateral", "collateral-malformed"),
        ("tcb-status", "not-run"),
        ("td-attributes", "not-run"),
    ]
    assert checks.derive_result(checks.complete([])) == "fail"
    everything = [Check(name, "pass", "") for name in checks.REQUIRED]
    assert checks.derive_result(checks.complete(everything)) == "pass"
    for index in range(len(everything)):
        assert checks.derive_result(checks.complete(everything[:index])) == "fail"


def test_debug_is_found_by_the_right_check(td: Simulator) -> None:
    attributes = {"td_attributes": bytes.fromhex("0100001000000000")}
    report = run(td, make(td, measurements=attributes))
    assert ("td-attributes", "debug") in failed(report)
    assert report.result == "fail"


def test_time_is_a_parameter(td: Simulator) -> None:
    report = run(td, make(td), now=time.time() + 40 * 24 * 3600)
    assert ("collateral", "crl-expired") in failed(report)


def test_event_logs(td: Simulator) -> None:
    document = make(td, log=LOG, measurements={"rtmr_3": parse_aael(LOG).replay()})
    assert outcomes(run(td, document))["event-log"] == "pass"
    wrong = document | {"aa_eventlog": LOG + "a b c\n"}
    assert failed(run(td, wrong)) == [("event-log", "log-differs")]
    broken = document | {"cc_eventlog": base64.b64encode(b"x").decode()}
    assert failed(run(td, broken)) == [("event-log", "log-malformed")]


def test_reference_values(td: Simulator) -> None:
    good = {"mr_td": ["00" * 48, "7D" * 48], "rtmr_0": "a0" * 48}
    document = make(td)
    report = run(td, document, references=read_references(json.dumps(good)))
    assert outcomes(report)["reference-values"] == "pass"
    for bad in ({"mr_td": "00" * 48}, {**good, "rtmr_1": "00" * 48}, {"mr_servicetd": "00" * 48}):
        report = run(td, document, references=read_references(json.dumps(bad)))
        assert failed(report) == [("reference-values", "value-differs")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"mr_td": []}',
        '{"mr_td": 1}',
        '{"mr_td": "00"}',
        '{"mr_td": "' + "zz" * 48 + '"}',
        '{"mr_td": "' + "0 " * 48 + '"}',
        '{"unknown": "' + "00" * 48 + '"}',
        '{"report_data": "' + "00" * 64 + '"}',
        '{"mr_td": "' + "00" * 48 + '", "mr_td": "' + "00" * 48 + '"}',
    ],
)
def test_bad_reference_values_are_errors_not_passes(text: str) -> None:
    with pytest.raises(BadInput, match="reference values"):
        read_references(text)


@pytest.mark.parametrize("document", [None, [], {}, "x", 1, {"status": True}])
def test_what_is_no_evidence_fails(td: Simulator, document: Any) -> None:
    report = run(td, document)
    assert ("evidence-format", "bad-input") in failed(report)
    assert report.result == "fail"


@pytest.mark.parametrize(
    "change",
    [
        {"status": False},
        {"tee": "snp"},
        {"quote": "00"},
        {"quote": None},
        {"quote": "zz"},
        {"runtime_data": "e30="},
        {"nonce_proof": None},
        {"nonce_proof": {"leaf_index": True, "tree_size": 1, "path": []}},
        {"nonce_proof": {"leaf_index": -1, "tree_size": 1, "path": []}},
        {"nonce_proof": {"leaf_index": 0, "tree_size": 1e300, "path": []}},
        {"nonce_proof": {"leaf_index": 0, "tree_size": 1, "path": [1]}},
        {"nonce_proof": {"leaf_index": 0, "tree_size": 1, "path": [""] * 65}},
        {"cc_eventlog": "%"},
        {"cc_eventlog": 1},
        {"aa_eventlog": []},
    ],
)
def test_malformed_evidence_fails_as_such(td: Simulator, change: dict[str, Any]) -> None:
    report = run(td, make(td) | change)
    assert failed(report)[0] == ("evidence-format", "bad-input")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150)
@given(data=st.data())
def test_no_change_of_the_document_is_verified(simulator: Simulator, data: st.DataObject) -> None:
    """Replace any member by anything: never better than before, and never an exception."""
    document = copy.deepcopy(_cached(simulator))
    name = data.draw(st.sampled_from(sorted(document)))
    document[name] = data.draw(json_values)
    report = run(simulator, document)
    if name in ("id", "timestamp", "provider", "quote_parse"):
        assert report.result == "warn"  # shown or ignored, never relied upon
    else:
        assert report.result in ("warn", "fail")


_made: dict[Path, Any] = {}


def _cached(td: Simulator) -> Any:
    return _made.setdefault(td.directory, make(td))


# --- the command line ----------------------------------------------------------------------------


@dataclasses.dataclass
class Chat:
    """A server with the kit's quote route, and ways to misbehave."""

    td: Simulator
    mode: str = "good"
    token: str | None = None
    seen: list[str | None] = dataclasses.field(default_factory=list)

    def app(self, url: str) -> FastAPI:
        app = FastAPI()

        @app.get("/api/v1/tee/quote")
        async def quote(request: Request, nonce: str) -> Response:
            self.seen.append(request.headers.get("authorization"))
            if self.mode == "redirect":
                return RedirectResponse(url.replace("127.0.0.1", "localhost") + "/elsewhere")
            if self.mode == "garbage":
                return Response(b"<html>", media_type="text/html")
            if self.mode == "endless":
                return StreamingResponse(iter(lambda: b" " * 65536, b""))
            if self.token and self.seen[-1] != f"Bearer {self.token}":
                return JSONResponse({"status": False, "code": "x", "detail": "who are you?"}, 401)
            if self.mode == "no-tdx":
                detail = "no TDX \x1b[31mhere"
                return JSONResponse({"status": False, "code": "y", "detail": detail}, 503)
            answered = bytes(32) if self.mode == "replay" else evidence.parse_nonce(nonce)
            return JSONResponse(make(self.td, answered) | {"fresh": True})

        return app


@pytest.fixture
def chat(td: Simulator) -> Chat:
    return Chat(td)


@pytest.fixture
def url(chat: Chat) -> Iterator[str]:
    with serving(chat.app) as address:
        yield address


def files(td: Simulator) -> list[str]:
    directory = td.directory
    return ["--root", f"{directory}/root.pem", "--collateral", f"{directory}/collateral.json"]


def test_a_server_is_verified(td: Simulator, url: str, capsys: Any) -> None:
    assert main([url, *files(td)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"VERIFIED  {url}\n")
    assert "pass     nonce-binding" in out
    assert f"mr_td          {'7d' * 48}" in out


def test_a_simulator_is_verified_with_warnings(simulator: Simulator, capsys: Any) -> None:
    with serving(Chat(simulator).app) as url:
        assert main([url, "--simulator", str(simulator.directory), "--json"]) == 3
        report = json.loads(capsys.readouterr().out)
        assert main([url, "--simulator", str(simulator.directory)]) == 3
        assert capsys.readouterr().out.startswith(f"SIMULATED TD  {url}\n")
    assert (report["result"], report["simulated"]) == ("warn", True)
    assert report["verified"] is False
    assert report["root"] == "SIMULATION Root CA"
    assert [check["id"] for check in report["checks"]] == list(CHECK_IDS)
    assert report["body"]["mr_td"] == "7d" * 48
    assert report["url"] == url


def test_a_simulated_td_that_fails_is_not_verified(
    simulator: Simulator, tmp_path: Path, capsys: Any
) -> None:
    path = tmp_path / "reference.json"
    path.write_text(json.dumps({"mr_td": "7e" * 48}))
    with serving(Chat(simulator).app) as url:
        arguments = ["--simulator", str(simulator.directory), "--reference", str(path)]
        assert main([url, *arguments]) == 1
    assert capsys.readouterr().out.startswith("NOT VERIFIED")


def test_a_simulator_that_is_not_there_is_not_made(
    td: Simulator, url: str, tmp_path: Path, capsys: Any
) -> None:
    missing, empty = tmp_path / "typo", tmp_path / "empty"
    empty.mkdir()
    for folder in (missing, empty):
        assert main([url, "--simulator", str(folder)]) == 2
        assert f"{folder} holds no simulator" in capsys.readouterr().err
    assert not missing.exists()
    assert list(empty.iterdir()) == []


def test_a_replayed_quote_fails(td: Simulator, chat: Chat, url: str, capsys: Any) -> None:
    chat.mode = "replay"
    assert main([url, *files(td)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("NOT VERIFIED")
    assert "fail     nonce-binding" in out


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("no-tdx", "HTTP 503, no TDX \N{REPLACEMENT CHARACTER}[31mhere"),
        ("garbage", "without JSON"),
        ("endless", "more than"),
        ("redirect", "without JSON"),
    ],
)
def test_no_evidence_is_not_a_verdict(
    td: Simulator, chat: Chat, url: str, capsys: Any, mode: str, message: str
) -> None:
    chat.mode = mode
    assert main([url, *files(td)]) == 4
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_a_server_that_is_not_there(td: Simulator, capsys: Any) -> None:
    with serving(Chat(td).app) as url:
        pass
    assert main([url, *files(td)]) == 4
    assert "no connection" in capsys.readouterr().err


def test_a_token_is_sent_when_asked_for_and_never_in_the_clear(
    td: Simulator, chat: Chat, url: str, capsys: Any, monkeypatch: Any
) -> None:
    chat.token = "sk-secret"
    assert main([url, *files(td)]) == 4
    assert "CCZOO_VERIFY_TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("CCZOO_VERIFY_TOKEN", "sk-secret")
    assert main([url, *files(td)]) == 0
    assert chat.seen == [None, "Bearer sk-secret"]
    assert main(["http://192.0.2.1", *files(td)]) == 2
    assert "plain http" in capsys.readouterr().err


def test_saved_evidence_is_verified_again(
    td: Simulator, url: str, tmp_path: Path, capsys: Any
) -> None:
    saved = tmp_path / "evidence.json"
    assert main([url, *files(td), "--save", str(saved)]) == 0
    root = ["--root", f"{td.directory}/root.pem"]
    assert main(["--evidence", str(saved), *root]) == 0  # collateral is in the file
    capsys.readouterr()
    assert main(["--evidence", str(saved), *root, "--at", "2099-01-01T00:00:00Z"]) == 1
    assert "fail     collateral" in capsys.readouterr().out
    for edge in ("0", "253402300799"):
        assert main(["--evidence", str(saved), *root, "--at", edge]) == 1
    assert main(["--evidence", str(saved)]) == 1  # Intel's root did not sign it
    kept = json.loads(saved.read_text())
    kept["evidence"]["quote"] = kept["evidence"]["quote"].replace("7d7d", "7d7e", 1)
    saved.write_text(json.dumps(kept))
    assert main(["--evidence", str(saved), *root]) == 1


@pytest.fixture
def saved(td: Simulator, tmp_path: Path) -> Path:
    """Saved evidence, with a nonce, collateral, and an address that nothing vouches for."""
    path = tmp_path / "saved.json"
    claimed = {"nonce": evidence.encode_base64url(NONCE), "url": "https://bank.example"}
    path.write_text(json.dumps({**claimed, "evidence": make(td), "collateral": td.collateral()}))
    return path


def test_what_a_file_says_of_itself_is_only_a_claim(
    td: Simulator, saved: Path, capsys: Any
) -> None:
    command = ["--evidence", str(saved), "--root", f"{td.directory}/root.pem"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"VERIFIED  {saved}\n")
    assert "bank.example" not in out
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert "url" not in report
    assert report["evidence_file"] == str(saved)
    assert report["claimed_url"] == "https://bank.example"


def test_a_nonce_from_the_file_is_said_to_be_one(td: Simulator, saved: Path, capsys: Any) -> None:
    remark = "(the nonce in the file: not proof that it is recent)"
    command = ["--evidence", str(saved), *files(td)]
    assert main(command) == 0
    assert f"the quote answers this nonce and 2 more {remark}\n" in capsys.readouterr().out
    assert main([*command, "--nonce", evidence.encode_base64url(NONCE)]) == 0
    assert remark not in capsys.readouterr().out
    assert main([*command, "--nonce", ""]) == 2  # not: the one in the file


def test_the_options_say_where_collateral_comes_from(
    td: Simulator, saved: Path, capsys: Any
) -> None:
    remark = "(collateral from the file)"
    command = ["--evidence", str(saved), "--root", f"{td.directory}/root.pem"]
    assert main(command) == 0
    assert f"nothing revoked {remark}\n" in capsys.readouterr().out
    assert main(["--evidence", str(saved), *files(td)]) == 0
    assert remark not in capsys.readouterr().out
    with serving(lambda _: pccs.create_app(td)) as service:
        assert main([*command, "--pccs", service]) == 0
    assert remark not in capsys.readouterr().out
    assert main([*command, "--pccs", service]) == 4  # asked, though the file has collateral


def test_a_bare_document_needs_its_nonce(td: Simulator, tmp_path: Path, capsys: Any) -> None:
    bare = tmp_path / "document.json"
    bare.write_text(json.dumps(make(td)))
    assert main(["--evidence", str(bare), *files(td)]) == 1
    assert "no nonce is known" in capsys.readouterr().out
    nonce = evidence.encode_base64url(NONCE)
    assert main(["--evidence", str(bare), *files(td), "--nonce", nonce]) == 0


@pytest.mark.parametrize("hex_lists", [True, False])
def test_collateral_comes_from_a_pccs(
    td: Simulator, url: str, tmp_path: Path, capsys: Any, hex_lists: bool
) -> None:
    root = ["--root", f"{td.directory}/root.pem"]
    with serving(lambda _: pccs.create_app(td, hex_lists=hex_lists)) as service:
        assert main([url, *root, "--pccs", service]) == 0
        assert main([url, "--pccs", service]) == 1  # its root is not Intel's
    assert main([url, *root, "--pccs", service]) == 4
    assert "no connection" in capsys.readouterr().err


def test_a_pccs_that_is_none(td: Simulator, url: str, capsys: Any) -> None:
    with serving(lambda _: FastAPI()) as service:
        assert main([url, "--root", f"{td.directory}/root.pem", "--pccs", service]) == 4
    assert "HTTP 404" in capsys.readouterr().err


def test_expected_values_from_a_file(td: Simulator, url: str, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "reference.json"
    path.write_text(json.dumps({"mr_td": "7d" * 48}))
    assert main([url, *files(td), "--reference", str(path)]) == 0
    path.write_text(json.dumps({"mr_td": "7e" * 48}))
    assert main([url, *files(td), "--reference", str(path)]) == 1
    path.write_text("{}")
    assert main([url, *files(td), "--reference", str(path)]) == 2
    assert "reference values" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["ftp://chat.example"],
        ["chat.example"],
        ["https://chat.example", "--evidence", "x"],
        ["https://chat.example", "--at", "yesterday"],
        ["https://chat.example", "--at", "2026-01-01T00:00:00"],
        ["https://chat.example", "--at", "1900-01-01T00:00:00Z"],
        ["https://chat.example", "--at", "0001-01-01T00:00:00+14:00"],
        ["https://chat.example", "--at", "9999-12-31T23:59:59-14:00"],
        ["https://chat.example", "--at", "99999999999999"],
        ["https://chat.example", "--at", "9" * 400],
        ["https://chat.example", "--at", "9" * 5000],
        ["https://chat.example", "--timeout", "0"],
        ["https://chat.example", "--timeout", "nan"],
        ["https://chat.example", "--simulator", "x", "--collateral", "y"],
        ["https://chat.example", "--simulator", "x", "--root", "y"],
        ["https://chat.example", "--simulator", "x", "--root", "intel"],
        ["https://chat.example", "--js"],
    ],
)
def test_usage_errors(arguments: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "", "[]", '{"evidence":{},"nonce":1}', "\xff"])
def test_files_that_cannot_be_used(tmp_path: Path, content: str | None, capsys: Any) -> None:
    path = tmp_path / "evidence.json"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    assert main(["--evidence", str(path)]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["https://chat.example"], ["serve"]])
def test_a_missing_extra_is_explained(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "sys.modules['dcap_qvl'] = None\n"
        "from cczoo_verifier.__main__ import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", program, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("cczoo-verify: dcap_qvl is missing here; run: pip install")


def test_the_auditors_page_names_every_check_and_exit_code() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "auditors.md").read_text()
    assert [name for name in CHECK_IDS if f"`{name}`" not in page] == []
    assert [code for code in range(5) if f"| {code} |" not in page] == []
