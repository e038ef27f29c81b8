"""The kit's options of the command: they are taken out, and all else is open-webui's as it came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cczoo_backend.https_options import HttpsOptions, parse

PROGRAM = "python -m cczoo_backend"
SELF_SIGNED = HttpsOptions(None, None, ())
# What people write, and what is close to the kit's own options without being one.
WORDS = st.sampled_from(
    [
        *("serve", "dev", "--host", "0.0.0.0", "--port", "8080", "--port=80", "--no-reload", "-v"),
        *(
            "--http",
            "--https-",
            "--httpss",
            "-https",
            "https",
            "--",
            "-",
            "",
            "a b",
            "-1",
            "--ho st",
        ),
        *("mfa", "reset", "ada@example.com", "--reason", "--reason=--https", "--version", "\n"),
    ]
)


@given(st.lists(st.one_of(WORDS, st.text(max_size=5).filter(lambda word: word != "--help"))))
def test_what_is_open_webuis_stays_as_it_came(arguments: list[str]) -> None:
    assert parse(arguments, PROGRAM) == (None, arguments)


@given(st.lists(WORDS.filter(lambda word: word != "--")), st.integers(0, 20))
def test_the_kits_are_taken_out_wherever_they_stand(words: list[str], at: int) -> None:
    rest = ["serve", *words]
    place = min(at, len(rest))
    options, left = parse([*rest[:place], "--https", *rest[place:]], PROGRAM)
    assert (options, left) == (SELF_SIGNED, rest)


def test_behind_two_dashes_nothing_is_the_kits() -> None:
    arguments = ["serve", "--", "--https", "--help", "--", "--https-key"]
    assert parse(arguments, PROGRAM) == (None, arguments)


def test_each_option_asks_for_https() -> None:
    names = parse(["--https-name", "a.example", "--https-name=b.example"], PROGRAM)
    assert names == (HttpsOptions(None, None, ("a.example", "b.example")), [])
    one = parse(["serve", "--https-certificate", "both.pem", "--port", "443"], PROGRAM)
    assert one == (HttpsOptions(Path("both.pem"), Path("both.pem"), ()), ["serve", "--port", "443"])
    two = parse(["dev", "--https-certificate=a.pem", "--https-key=b.pem"], PROGRAM)
    assert two == (HttpsOptions(Path("a.pem"), Path("b.pem"), ()), ["dev"])


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--https-key", "b.pem"], "--https-key goes with --https-certificate"),
        (["--https-certificate", "a.pem", "--https-name", "a"], "for a certificate that is made"),
        (["--https-certificate"], "expected one argument"),
        (["--https=yes"], "ignored explicit argument"),
        (["mfa", "reset", "a@example.com", "--reason", "--https"], "goes with serve and dev"),
        (["--version", "--https"], "goes with serve and dev"),
        (["--https", "--port", "8443"], "as in: --https serve --port 8443"),
    ],
)
def test_what_does_not_go_together_ends_it(arguments: list[str], why: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments, PROGRAM)
    assert ended.value.code == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], ["--https", "--help"]])
def test_help_tells_the_kits_options_and_leaves_the_rest_to_open_webui(
    arguments: list[str], capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    options, rest = parse(arguments, PROGRAM)
    assert (options, rest) == (None, [word for word in arguments if word != "--https"])
    told = capsys.readouterr().out
    for option in ("--https", "--https-name", "--https-certificate", "--https-key"):
        assert f"  {option}" in told
    assert max(map(len, told.splitlines())) <= 80
