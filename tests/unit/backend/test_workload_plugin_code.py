"""Functions and tools: the text that runs is the text that was measured, and before it runs."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cczoo_backend.workload.plugin_code import Code, active_code, measure_before_it_runs
from quote_generator.errors import BadInput

# How 0.5.20, 0.6.43 and 0.12.4 run code, without what is beside it.
OLD = """
import types
def replace_imports(content):
    return content.replace("from utils", "from open_webui.utils")
def load_function_module_by_id(function_id, content=None):
    content = replace_imports(content)
    module = types.ModuleType(f"function_{function_id}")
    exec(content, module.__dict__)
    return module
"""
TOOLS = """
def load_tools_module_by_id(toolkit_id, content=None):
    module = types.ModuleType(f"tool_{toolkit_id}")
    exec(content, module.__dict__)
    return module
"""
NEW = """
import types, uuid
async def load_tool_module_by_id(tool_id, content=None):
    module = types.ModuleType(f"tool_{tool_id}_{uuid.uuid4().hex}")
    exec(content, module.__dict__)
    return module
async def load_function_module_by_id(function_id, content=None):
    module = types.ModuleType(f"function_{function_id}_{uuid.uuid4().hex}")
    exec(content, module.__dict__)
    return module
"""
HEX = "0123456789abcdef" * 2


def module_of(text: str) -> Any:
    module = ModuleType("plugin")
    exec(text, module.__dict__)
    return module


def digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def test_older_versions() -> None:
    plugins, seen = module_of(OLD + TOOLS), list[Code]()
    assert measure_before_it_runs(plugins, seen.append) == []
    module = plugins.load_function_module_by_id("f", "a = 1")
    plugins.load_tools_module_by_id(f"t_{HEX}", "b = 2")
    assert module.a == 1
    assert seen == [
        Code("function", "f", "not-known", "a = 1"),
        Code("tool", f"t_{HEX}", "tool", "b = 2"),
    ]
    assert seen[0].fact.content["digest"] == digest("a = 1")


def test_newer_versions() -> None:
    plugins, seen = module_of(NEW), list[Code]()
    assert measure_before_it_runs(plugins, seen.append) == []
    asyncio.run(plugins.load_function_module_by_id(f"f_{HEX}", "a = 'é'"))
    asyncio.run(plugins.load_tool_module_by_id("t", "b = 2"))
    assert [(code.kind, code.id, code.text) for code in seen] == [
        ("function", f"f_{HEX}", "a = 'é'"),
        ("tool", "t", "b = 2"),
    ]


def test_code_is_measured_before_it_runs_and_as_it_runs() -> None:
    plugins, seen = module_of(OLD), list[str]()
    measure_before_it_runs(plugins, lambda code: seen.append(code.text))
    text = "raise KeyError(1)"
    with pytest.raises(KeyError):
        plugins.load_function_module_by_id("f", text)
    assert seen == [text]
    with pytest.raises(ModuleNotFoundError, match="open_webui"):
        plugins.load_function_module_by_id("f", "from utils import x")
    assert seen[-1] == "from open_webui.utils import x"


def test_code_that_cannot_be_measured_runs_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    plugins = module_of(OLD)
    measure_before_it_runs(plugins, lambda code: 1 / 0)  # type: ignore[arg-type, return-value]
    assert plugins.load_function_module_by_id("f", "a = 1").a == 1
    assert "ZeroDivisionError" in caplog.text


def test_exec_is_what_it_was_otherwise() -> None:
    plugins = module_of("def run(text):\n    x = 1\n    exec(text)\nx = 0\nseen = []\n")
    seen = list[Code]()
    measure_before_it_runs(plugins, seen.append)
    plugins.run("seen.append(x)")
    assert plugins.seen == [1]
    plugins.exec(compile("y = 2", "", "exec"), scope := {"__name__": "function_"})
    plugins.exec("y = 3", scope, scope)
    assert scope["y"] == 3
    assert [code.id for code in seen] == ["plugin", "function_", "function_"]
    assert seen[1].text.startswith("<code object")


def test_a_second_time_takes_the_place_of_the_first() -> None:
    plugins, first, second = module_of(OLD), list[Code](), list[Code]()
    measure_before_it_runs(plugins, first.append)
    measure_before_it_runs(plugins, second.append)
    plugins.load_function_module_by_id("f", "a = 1")
    assert (len(first), len(second)) == (0, 1)


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        (OLD, ["tool"]),
        ("import types" + TOOLS, ["function"]),
        ("", ["function", "tool"]),
        (OLD.replace("exec(", "compile(") + TOOLS, ["function"]),
        ("load_function_module_by_id = 1", ["function", "tool"]),
    ],
)
def test_what_is_not_run_as_it_is_known_is_told(text: str, missing: list[str]) -> None:
    assert measure_before_it_runs(module_of(text), lambda code: None) == missing


# --- rows -----------------------------------------------------------------------------------------


def test_active_code_is_known_by_the_text_that_will_run() -> None:
    functions = [
        {"id": "a", "type": "filter", "content": "from utils import b", "is_active": True},
        {"id": "b", "type": "pipe", "content": "x", "is_active": False},
        {"id": "c", "type": "pipe", "content": "x", "is_active": 0},
        {"id": "d", "type": None, "content": "y", "is_active": None},
        {"id": "e", "type": "pipe", "content": None, "is_active": True},
    ]
    rewrite = module_of(OLD).replace_imports
    assert active_code(functions, [{"id": "t", "content": "z"}], rewrite=rewrite) == [
        Code("function", "a", "filter", "from open_webui.utils import b"),
        Code("function", "d", "not-known", "y"),
        Code("tool", "t", "tool", "z"),
    ]


@pytest.mark.parametrize("name", ["", "x" * 513, "\ud800"])
def test_a_name_that_no_fact_has(name: str) -> None:
    with pytest.raises(BadInput):
        _ = Code("function", name, "pipe", "x").fact


def test_half_a_pair_in_a_text_has_a_digest() -> None:
    assert Code("tool", "t", "tool", "'\ud800'").fact.content["digest"].startswith("sha256:")


# --- the real ones --------------------------------------------------------------------------------

ENVIRONMENTS = Path(__file__).parents[3] / ".venv-webui"
REAL = sorted(ENVIRONMENTS.glob("*-plugin/lib/python3*/site-packages/open_webui/utils/plugin.py"))


@pytest.mark.parametrize("file", REAL, ids=lambda file: file.parts[-7])
def test_the_module_of_a_real_version_is_hooked(file: Path) -> None:
    """Its loaders run code by a name that can be bound anew: told without loading it."""
    codes = compile(file.read_text(), str(file), "exec").co_consts
    loaders = {code.co_name: code for code in codes if hasattr(code, "co_name")}
    plugins = ModuleType("plugin")
    for name, code in loaders.items():
        if name.startswith("load_"):
            vars(plugins)[name] = type(lambda: None)(code, {})
    assert measure_before_it_runs(plugins, lambda code: None) == []
    assert "replace_imports" in loaders
    assert ("uuid" in file.read_text()) == ("_{uuid.uuid4().hex}" in file.read_text())
