"""Code of administrators and users: known by its text, and measured before it runs.

open-webui runs a function or a tool by ``exec``, in one module, on the text that its database holds
with some imports rewritten. That name is bound anew in the module: so what is measured is the very
text that runs, from wherever it came there.
"""

from __future__ import annotations

import builtins
import logging
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType

from quote_generator.workload.events import Fact, make_fact

from .connections import content_digest

log = logging.getLogger(__name__)

NOT_KNOWN = "not-known"

# What loads each kind, in 0.5.20 or later.
_LOADERS = {
    "function": ("load_function_module_by_id",),
    "tool": ("load_tools_module_by_id", "load_tool_module_by_id"),
}
# What a module of such code is called. Versions that import `uuid` for it add a random one.
_MODULE = re.compile(r"(function|tool)_(.+)", re.DOTALL)
_RANDOM = re.compile(r"_[0-9a-f]{32}\Z")


@dataclass(frozen=True)
class Code:
    """A function or a tool: ``type`` is as open-webui has it, such as "filter"."""

    kind: str
    id: str
    type: str
    text: str

    @property
    def fact(self) -> Fact:
        """The fact of this code. Raises BadInput for a name that no fact has."""
        digest = content_digest(self.text)
        return make_fact(self.kind, digest=digest, id=self.id, type=self.type)


def measure_before_it_runs(plugins: ModuleType, measure: Callable[[Code], None]) -> list[str]:
    """Have ``measure`` called before code runs; return the kinds of which that is not known.

    ``plugins`` is the module that runs it. A second time the new ``measure`` takes the place.
    """
    run = builtins.exec
    has_random = hasattr(plugins, "uuid")

    def measured_exec(source: object, /, *scope: object, **more: object) -> None:
        if not scope:  # Python would take those of whoever calls
            caller = sys._getframe(1)
            scope = caller.f_globals, caller.f_locals
        try:
            measure(_code(source, scope[0], has_random=has_random))
        except Exception:
            log.exception("code runs that could not be measured")
        run(source, *scope, **more)  # type: ignore[arg-type]

    vars(plugins)["exec"] = measured_exec
    return [kind for kind, names in _LOADERS.items() if not _is_run_by_exec(plugins, names)]


def active_code(
    functions: Iterable[Mapping[str, object]],
    tools: Iterable[Mapping[str, object]],
    *,
    rewrite: Callable[[str], str],
) -> list[Code]:
    """Return the code that open-webui may run, of its rows; ``rewrite`` is what it does before."""
    rows = [("function", row) for row in functions if row.get("is_active") not in (False, 0)]
    rows += [("tool", row) for row in tools]
    return [
        Code(kind, str(row.get("id")), _type(kind, row), rewrite(text))
        for kind, row in rows
        if isinstance(text := row.get("content"), str)
    ]


def _type(kind: str, row: Mapping[str, object]) -> str:
    return "tool" if kind == "tool" else str(row.get("type") or NOT_KNOWN)


def _code(source: object, scope: object, *, has_random: bool) -> Code:
    name = str(scope.get("__name__")) if isinstance(scope, dict) else ""
    found = _MODULE.fullmatch(_RANDOM.sub("", name) if has_random else name)
    kind, id_ = (found[1], found[2]) if found else ("function", name or NOT_KNOWN)
    text = source if isinstance(source, str) else repr(source)
    return Code(kind, id_, "tool" if kind == "tool" else NOT_KNOWN, text)


def _is_run_by_exec(plugins: ModuleType, names: Iterable[str]) -> bool:
    codes = (getattr(getattr(plugins, name, None), "__code__", None) for name in names)
    return any("exec" in code.co_names for code in codes if code is not None)
