"""Whether the hooks of a patched open-webui stand where they belong, by the structure of its files.

A hunk can apply and its hook be somewhere else: in an event handler, in a branch that nobody sees,
in a function that is never called. So each hook is looked for as what it is to be.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

BACKEND = "backend/open_webui/main.py"
SETTINGS_OF_BUILD = "svelte.config.js"
PLACE = re.compile(r"""data-tee-place=["']?([\w-]+)""")
VOID = {"area", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}


def problems(files: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the places of the hooks in these patched files, as sentences."""
    found = []
    if BACKEND in files:
        found += [f"{BACKEND}: {text}" for text in _backend_problems(files[BACKEND])]
    else:
        found.append(f"{BACKEND} has no hook: nothing would start the kit")
    if SETTINGS_OF_BUILD in files:
        found += [f"{SETTINGS_OF_BUILD}: {text}" for text in _build(files[SETTINGS_OF_BUILD])]
    return found + _page_problems(files)


def _build(text: str) -> Iterator[str]:
    """The build's name is the first setting of `kit`, and no later one takes its place."""
    if not re.search(r"\bkit:\s*\{\s*version:\s*\{\s*name:\s*process\.env\.APP_BUILD_HASH\b", text):
        yield "the build's name has to be the first setting of `kit`"
    if len(re.findall(r"(?m)^\s*version:", text)) != 1:
        yield "it names the build by itself: then this hook is not needed (--drop)"


# --- The backend --------------------------------------------------------------------------------


def _backend_problems(text: str) -> list[str]:
    """The hook is a statement of the module: behind all routers, before the page at `/`."""
    try:
        statements = ast.parse(text).body
    except SyntaxError as error:
        return [f"it is no Python any more (line {error.lineno})"]
    hooks = [at for at, each in enumerate(statements) if _is_hook(each)]
    if len(hooks) != 1 or text.count('"cczoo_backend"') != 1:
        return ["the hook has to be in it once, as a statement of the module itself"]
    [hook] = hooks
    routers = [at for at, each in enumerate(statements) if _calls(each, "include_router")]
    pages = [at for at, each in enumerate(statements) if _mounts_the_page(each)]
    found = []
    if any(at > hook for at in routers) or not routers:
        found.append("the hook has to come after the last app.include_router")
    if not pages or any(at < hook for at in pages):
        found.append('the hook has to come before the page is mounted at "/"')
    return found


def _is_hook(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Try) and any(
        isinstance(each, ast.Constant) and each.value == "cczoo_backend"
        for line in statement.body
        for each in ast.walk(line)
    )


def _calls(statement: ast.stmt, method: str) -> bool:
    return any(_is_call(each, method) for each in ast.walk(statement))


def _is_call(node: ast.AST, method: str) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == method
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "app"
    )


def _mounts_the_page(statement: ast.stmt) -> bool:
    return any(
        isinstance(each, ast.Call)
        and _is_call(each, "mount")
        and bool(each.args)
        and isinstance(each.args[0], ast.Constant)
        and each.args[0].value == "/"
        for each in ast.walk(statement)
    )


# --- The page -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Node:
    """An element or a block (`{#if}`) of a Svelte file: ``head`` is all that its first tag says."""

    name: str
    head: str
    children: list[Node] = field(default_factory=list, compare=False)


@dataclass(frozen=True)
class Stand:
    """Where a place stands: what is around it, outermost first, and what comes after it."""

    around: tuple[Node, ...]
    is_first: bool
    next: Node | None


def outline(text: str) -> Node:
    """Return the elements and blocks of a Svelte file, without scripts, styles and comments."""
    top = Node("", "")
    open_nodes = [top]
    for kind, name, head in _marks(text):
        if kind == "close":
            names = [node.name for node in open_nodes[1:]]
            if name in names:  # what was left open inside of it ends with it
                del open_nodes[1 + len(names) - 1 - names[::-1].index(name) :]
            continue
        node = Node(name, head)
        open_nodes[-1].children.append(node)
        if kind == "open":
            open_nodes.append(node)
    return top


def _marks(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield "open", "close" or "whole" with name and head, for each tag and each block's mark."""
    at = 0
    while at < len(text):
        tag = re.compile(r"<(/?)([A-Za-z][\w.:-]*)").match(text, at)
        if text.startswith("<!--", at):
            at = _after(text, "-->", at)
        elif tag:
            end = _end_of_tag(text, tag.end())
            head, name = text[tag.end() : end - 1], tag[2]
            if tag[1]:
                yield "close", name, ""
            elif name in ("script", "style"):
                end = _after(text, f"</{name}", end)
            else:
                whole = head.endswith("/") or name.lower() in VOID
                yield "whole" if whole else "open", name, head
            at = end
        elif text[at] == "{":
            end = _after_brace(text, at)
            inside = text[at + 1 : end - 1].strip()
            if inside[:1] in ("#", "/"):
                name, _, head = inside[1:].strip().partition(" ")
                yield "open" if inside[0] == "#" else "close", f"#{name}", head
            at = end
        else:
            at += 1


def _after(text: str, what: str, at: int) -> int:
    found = text.find(what, at)
    return len(text) if found < 0 else found + len(what)


def _end_of_tag(text: str, at: int) -> int:
    """Return the place behind the `>` of a tag; none in quotes or braces counts."""
    quote = ""
    while at < len(text):
        if text[at] == "{":
            at = _after_brace(text, at)
            continue
        if quote:
            quote = "" if text[at] == quote else quote
        elif text[at] in "\"'":
            quote = text[at]
        elif text[at] == ">":
            return at + 1
        at += 1
    return at


def _after_brace(text: str, at: int) -> int:
    """Return the place behind the `}` of an expression; none in its strings and comments counts."""
    depth = 0
    while at < len(text):
        char = text[at]
        if char in "\"'":
            at = _after_string(text, at)
            continue
        if char == "`":
            at = _after_template(text, at)
            continue
        if text.startswith("//", at) and text[at - 1] != ":":
            at = _after(text, "\n", at)
            continue
        if text.startswith("/*", at):
            at = _after(text, "*/", at)
            continue
        depth += (char == "{") - (char == "}")
        at += 1
        if depth == 0:
            return at
    return at


def _after_string(text: str, at: int) -> int:
    """Behind a string of one line; a quote without an end in its line is none (an expression's)."""
    string = re.compile(r"""(["'])(?:\\.|(?!\1)[^\\\n])*\1""").match(text, at)
    return string.end() if string else at + 1


def _after_template(text: str, at: int) -> int:
    at += 1
    while at < len(text) and text[at] != "`":
        if text[at] == "\\":
            at += 2
        elif text.startswith("${", at):
            at = _after_brace(text, at + 1)
        else:
            at += 1
    return at + 1


def stands(text: str) -> dict[str, list[Stand]]:
    """Return where the places of a Svelte file stand, by their names."""
    found: dict[str, list[Stand]] = {}

    def walk(node: Node, around: tuple[Node, ...]) -> None:
        for at, child in enumerate(node.children):
            place = PLACE.search(child.head)
            if place and child.name == "div":
                after = node.children[at + 1] if at + 1 < len(node.children) else None
                found.setdefault(place[1], []).append(Stand((*around, node), at == 0, after))
            walk(child, (*around, child) if child.name else around)

    walk(outline(text), ())
    return found


def _badge_problems(stand: Stand) -> Iterator[str]:
    row = stand.around[-1]
    if not {"self-end", "flex"} <= set(re.findall(r"[\w-]+", row.head)):
        yield "it has to be in the row of buttons at the right (class self-end flex)"
    if not stand.is_first:
        yield "it has to be the first of its row, before every condition"
    if not any(node.name == "form" for node in stand.around):
        yield "it has to be in the form of the message"


def _settings_problems(stand: Stand) -> Iterator[str]:
    if any(node.name.startswith("#") for node in stand.around):
        yield "it has to stand outside of every condition: all users see it"
    if stand.next is None or stand.next.name != "#if" or "admin" not in stand.next.head:
        yield "it has to stand before the block for administrators"


PLACES: Mapping[str, Callable[[Stand], Iterator[str]]] = {
    "badge": _badge_problems,
    "settings": _settings_problems,
}


def _page_problems(files: Mapping[str, str]) -> list[str]:
    found = []
    named = {name: PLACE.findall(text) for name, text in files.items() if name.endswith(".svelte")}
    for place, rules in PLACES.items():
        at = [name for name, places in named.items() for each in places if each == place]
        if len(at) != 1:
            found.append(f"the page has to have the place {place} once, and has it {len(at)} times")
            continue
        standing = stands(files[at[0]]).get(place, [])
        if len(standing) != 1:
            found.append(f"{at[0]}: the place {place} is no element of the page there")
        found += [
            f"{at[0]}: the place {place}: {text}" for each in standing for text in rules(each)
        ]
    unknown = {each for places in named.values() for each in places} - PLACES.keys()
    return found + [f"nothing is known of the place {each}" for each in sorted(unknown)]
