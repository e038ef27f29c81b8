"""The page's readers and Python's on a fixed number of mutants, and on every seed."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import fuzzing
import page_readers
import pytest
from differential import Adapter
from page_readers import PAGE, READERS, compare, read_here, run

RUNS = 1_000


@pytest.fixture(scope="module")
def page() -> Iterator[Adapter]:
    adapter = Adapter(PAGE)
    yield adapter
    adapter.close()


def test_both_read_the_same_of_every_mutant() -> None:
    found = list(islice(run(iter(range(RUNS))), 5))
    assert not found, "\n".join(map(str, found))


@pytest.mark.parametrize("name", READERS)
def test_both_read_the_same_of_every_seed(page: Adapter, name: str) -> None:
    seeds = fuzzing.TARGETS[name].seeds()
    for seed in seeds:
        data = base64.b64encode(seed.read_bytes()).decode()
        assert compare(page, {"format": name, "data": data}) is None, seed.name
    read = [read_here(name, seed.read_bytes()) for seed in seeds]
    assert any(each is not None for each in read)
    assert any(each is None for each in read)


@pytest.mark.parametrize("name", READERS)
def test_a_number_is_always_the_same_mutant(page: Adapter, name: str) -> None:
    asked = json.dumps({"format": name, "number": 7})
    page.ask(asked)
    first = page.answer()
    page.ask(asked)
    assert page.answer() == first
    assert first["data"]


def answering(answer: str) -> list[str]:
    """A page that answers everything so, in Python."""
    return [sys.executable, "-c", f"import sys\nfor _ in sys.stdin: print({answer}, flush=True)"]


def test_a_difference_is_found_and_can_be_seen_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(page_readers, "OUT", tmp_path)
    always = json.dumps({"data": base64.b64encode(b"\0").decode(), "read": "more"})
    monkeypatch.setattr(page_readers, "PAGE", answering(repr(always)))
    assert page_readers.main(["--runs", "1"]) == 1
    (kept, *_) = sorted(tmp_path.iterdir())
    assert page_readers.main(["--input", str(kept)]) == 1
    assert 'the page reads "more"' in capsys.readouterr().out


def test_a_page_that_ends_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_readers, "PAGE", answering("sys.exit(3)"))
    finding = next(run(iter(range(1))))
    assert finding.page == {"exit": "ends with 3"}
    assert finding.asked == {"format": "binary_http", "number": 0}
