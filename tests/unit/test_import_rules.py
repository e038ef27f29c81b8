"""Who may import whom (tool.importlinter in pyproject.toml): it holds, and breaches are seen."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
PACKAGES = {
    "quote_generator": "quote_generator",
    "cczoo_backend": "backend/cczoo_backend",
    "cczoo_installer": "installer",
    "cczoo_verifier": "verifier",
}
STANDARD = {*sys.stdlib_module_names, "__main__"}
ONLY_FOR_TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Hold the packages in ``folder``, or else those of this checkout, against the rules."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    command += ["--config", str(REPO / "pyproject.toml")]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages under their import names, to be spoilt."""
    for name, folder in PACKAGES.items():
        ignore = shutil.ignore_patterns("__pycache__", "*.so", "*.o")
        shutil.copytree(REPO / folder, tmp_path / name, ignore=ignore)
    return tmp_path


def test_the_rules_hold() -> None:
    answer = lint_imports(REPO)
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize(
    ("module", "statement", "rule"),
    [
        ("quote_generator/quote.py", "import cczoo_verifier", "the attester"),
        ("cczoo_installer/files.py", "import quote_generator.quote", "the installer"),
        ("cczoo_verifier/policy.py", "from quote_generator import attester", "the verifier"),
        ("cczoo_backend/settings.py", "import quote_generator.native", "the backend"),
        ("cczoo_backend/settings.py", "import open_webui.env", "openwebui.py alone"),
        ("quote_generator/errors.py", "from . import quote", "no circles"),
        ("quote_generator/errors.py", ONLY_FOR_TYPES + "from . import quote", "no circles"),
    ],
)
def test_an_import_against_them_is_noticed(
    copy: Path, module: str, statement: str, rule: str
) -> None:
    with (copy / module).open("a") as source:
        source.write(f"\n{statement}\n")
    answer = lint_imports(copy)
    assert answer.returncode == 1, answer.stderr
    (line,) = [text for text in answer.stdout.splitlines() if " BROKEN" in text]
    assert line.startswith(rule)


# import-linter sees statements only, not what `import_module` is given, nor what else is a text.
KNOWN_OF_OPEN_WEBUI = ("open_webui", "FROM_INIT_PY", "/static/loader.js", "CONTENT_SECURITY_POLICY")


def texts_in(source: Path) -> list[str]:
    """Return the texts of a module's code: those that only explain it are none."""
    tree = ast.parse(source.read_text())
    explain = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in explain
    ]


@pytest.mark.parametrize("fact", KNOWN_OF_OPEN_WEBUI)
def test_what_is_known_of_open_webui_stands_in_one_place_of_the_backend(fact: str) -> None:
    modules = (REPO / "backend" / "cczoo_backend").glob("**/*.py")
    knowing = {path.name for path in modules if any(fact in text for text in texts_in(path))}
    assert knowing == {"stock.py"}


def test_what_is_known_beforehand_needs_nothing_of_open_webui_or_the_kit() -> None:
    code = "import sys, cczoo_backend.stock; print(*sys.modules)"
    command = [sys.executable, "-S", "-c", code]
    env = {"PYTHONPATH": str(REPO / "backend")}
    loaded = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=60, check=True
    )
    others = {name for name in loaded.stdout.split() if name.split(".")[0] not in STANDARD}
    assert others == {"cczoo_backend", "cczoo_backend.stock"}
