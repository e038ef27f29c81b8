"""A compiled module that is not its source's: it does not run, or it changes a fact."""

from __future__ import annotations

import importlib.util
import marshal
import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[3]
NOTHING = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
SOURCE, FORGED = "found = 'source'\n", "found = 'forged'\n"

# What runs of a module, and what is said of it: the kit comes before it, or after.
AFTER = """
import sys, mine
from cczoo_backend.workload.bytecode import digest_of_foreign
print(mine.found, digest_of_foreign([*sys.modules.values()]))
"""
BEFORE = f"""
from cczoo_backend import run_sources_alone
run_sources_alone({{"TEE_STATEMENT": "on"}})
{AFTER}
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


def run(folder: Path, script: str) -> list[str]:
    """What a script prints in a process that imports from a folder."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env["PYTHONDONTWRITEBYTECODE"] = "1"  # nor into the checkout
    env["PYTHONPATH"] = os.pathsep.join(map(str, (folder, REPO / "backend", REPO)))
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def compiled(source: Path, text: str = SOURCE, *, checked: bool | None = None) -> Path:
    """Put a compiled module beside a source: of another text, by whichever way Python checks."""
    mode = py_compile.PycInvalidationMode
    kind = {None: mode.TIMESTAMP, True: mode.CHECKED_HASH, False: mode.UNCHECKED_HASH}[checked]
    made = py_compile.compile(str(source), doraise=True, invalidation_mode=kind)
    assert made is not None
    path = Path(made)
    code = compile(text, str(source), "exec", dont_inherit=True)
    path.write_bytes(path.read_bytes()[:16] + marshal.dumps(code))
    return path


WAYS = pytest.mark.parametrize("checked", [None, True, False], ids=["time", "hash", "unchecked"])


@WAYS
def test_a_forged_one_runs_in_its_sources_place_and_is_a_fact(
    source: Path, checked: bool | None
) -> None:
    compiled(source, FORGED, checked=checked)
    found, digest = run(source.parent, AFTER)
    assert found == "forged"
    assert digest not in (NOTHING, run(source.parent, BEFORE)[1])


@WAYS
def test_a_forged_one_does_not_run_after_the_kit(source: Path, checked: bool | None) -> None:
    path = compiled(source, FORGED, checked=checked)
    before = path.read_bytes()
    assert run(source.parent, BEFORE) == ["source", NOTHING]
    assert path.read_bytes() == before  # and none is written


@WAYS
@pytest.mark.parametrize("script", [AFTER, BEFORE])
def test_an_honest_one_is_none(source: Path, script: str, checked: bool | None) -> None:
    compiled(source, checked=checked)
    assert run(source.parent, script) == ["source", NOTHING]


def test_a_stale_one_is_not_run_and_none(source: Path) -> None:
    """As after an edit where nothing compiled may be written."""
    compiled(source)
    source.write_text(f"{SOURCE}# edited\n")
    assert run(source.parent, AFTER) == ["source", NOTHING]


@pytest.mark.parametrize("data", [b"", b"\0" * 40, b"cut", b"not code"])
def test_one_that_cannot_be_read(source: Path, data: bytes) -> None:
    """Of another Python it is not taken; what is this one's and no code could not be taken."""
    path = compiled(source)
    module = "import mine; "
    if data == b"cut":
        data = path.read_bytes()[:-5]
    elif data == b"not code":
        data = path.read_bytes()[:16] + marshal.dumps("text")
    foreign = data.startswith(importlib.util.MAGIC_NUMBER)
    script = f"from pathlib import Path; {module}Path({str(path)!r}).write_bytes({data!r}){AFTER}"
    assert (run(source.parent, script)[1] != NOTHING) is foreign


def test_where_nothing_is_measured_python_goes_on_as_ever(source: Path) -> None:
    compiled(source, FORGED)
    script = BEFORE.replace('"on"', '"off"')
    assert run(source.parent, script)[0] == "forged"
