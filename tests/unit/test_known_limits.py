"""What the checks cannot tell today, as docs/threat-model.md says (section Known limits).

These tests document limits, they do not ask for them: whoever lifts one changes test and docs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
from cczoo_verifier.__main__ import main

from doubles.chat import Chat
from doubles.in_between import InBetween
from doubles.serving import serving
from quote_generator.quote import parse_quote
from quote_generator.simulator import Simulator

REPO = Path(__file__).resolve().parents[2]


def words_of(page: str) -> str:
    """A page's text without its line breaks."""
    return " ".join((REPO / page).read_text("utf-8").split())


def test_known_limit_where_no_key_is_bound_a_machine_without_tdx_has_the_right_values(
    td: Simulator, chat: Chat, url: str, tmp_path: Path, capsys: Any
) -> None:
    """It passes the nonce on to a genuine TD, and every check is about that one.

    Where the TD binds a key, it is found out: test_key_binding.py.
    """
    chat.sealing = False
    reference = tmp_path / "reference.json"
    expected = parse_quote(td.quote(bytes(64))).body.to_dict()
    names = ("mr_td", "rtmr_0", "rtmr_1", "rtmr_2", "rtmr_3", "mr_seam")
    reference.write_text(json.dumps({name: expected[name] for name in names}))
    machine = InBetween(url)
    with serving(machine.app) as address:
        options = ["--root", str(td.directory / "root.pem"), "--reference", str(reference)]
        options += ["--collateral", str(td.directory / "collateral.json")]
        assert main([address, *options]) == 3
        out = capsys.readouterr().out
        assert main([address, *options, "--json"]) == 3
        httpx.post(f"{address}/api/chat/completions", content="a question", trust_env=False)
    report = json.loads(capsys.readouterr().out)
    outcomes = {check["id"]: check["outcome"] for check in report["checks"]}
    assert (outcomes["nonce-binding"], outcomes["reference-values"]) == ("pass", "pass")
    warned = [check["code"] for check in report["checks"] if check["outcome"] == "warn"]
    assert warned == ["key-none"]
    # The TD answered all of it, and what a person types never got there.
    assert len(chat.seen) >= 2
    assert machine.overheard == ["a question"]
    # So nobody is told otherwise.
    assert "not about the connection" in out
    assert "Reference values do not help" in words_of("docs/threat-model.md")
    assert "not about your connection" in words_of("docs/auditors.md")
    assert "answers on reads what you send" in words_of("web/src/i18n/en.ts")
