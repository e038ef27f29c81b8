"""What a page loads because of the kit, in bytes after gzip, as the backend sends it."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

from starlette.responses import Response

from bench.open_webui import stock_front_end
from bench.rows import Limit, row
from cczoo_backend.bundle import Bundle, find_bundle
from cczoo_backend.front_end import IndexPage
from cczoo_backend.routes import PAGE_ROOT

# bytes
START_LIMIT, WORKER_LIMIT, ON_DEMAND_LIMIT = Limit(14 * 1024), Limit(8 * 1024), Limit(120 * 1024)
APART_LIMIT = Limit(12 * 1024)
# What only administrators and auditors load, besides what everybody may: see web/build.js.
APART = ("admin-form-", "auditors-")

REQUEST = {"type": "http", "method": "GET", "headers": [(b"accept-encoding", b"gzip")]}
# The pages of SvelteKit's application: route -> its own node, [layouts around it but the root].
CHAT = re.compile(r'"/\(app\)":\[~?(\d+),\[([\d,]*)\]')
ROOT_LAYOUT = "0"
SCRIPT = re.compile(r'"/(_app/[^"]+\.js)"')
# Static imports in minified code: `import"./a.js"`, `from"./a.js"`; `import("./a.js")` is not one.
IMPORT = re.compile(r'(?:\bimport|\bfrom)\s*"(\.[^"]+\.js)"')


def weigh_page() -> None:
    """Loader and tag, worker, and the other pieces, against the stock app's JavaScript."""
    front_end, bundle = stock_front_end(), find_bundle()
    stock = sum(_gzipped(script) for script in scripts_of_a_chat(front_end))
    baseline = "the stock app's for a chat"
    pieces = {name: _sent(file.response(REQUEST, {})) for name, file in bundle.files.items()}
    start = pieces.pop(bundle.loader) + _bytes_of_tag(front_end / "index.html", bundle)
    name = "page start: the loader and its tag, gzip"
    row(name, start, baseline, stock, "B", limit=START_LIMIT)
    row(
        "the service worker, gzip",
        pieces.pop(bundle.worker),
        baseline,
        stock,
        "B",
        limit=WORKER_LIMIT,
    )
    apart = sum(pieces.pop(name) for name in list(pieces) if name.startswith(APART))
    name = "for administrators and auditors besides, gzip"
    row(name, apart, baseline, stock, "B", limit=APART_LIMIT)
    on_demand, name = sum(pieces.values()), f"on demand: the other {len(pieces)} pieces, gzip"
    row(name, on_demand, baseline, stock, "B", limit=ON_DEMAND_LIMIT)


def _bytes_of_tag(index: Path, bundle: Bundle) -> int:
    """How much longer the index page is with the loader's tag."""
    response = IndexPage(index, f"{PAGE_ROOT}/{bundle.loader}").response(REQUEST)
    if response is None:
        raise ValueError(f"{index} takes no loader")
    return _sent(response) - _gzipped(index)


def _sent(response: Response) -> int:
    return int(response.headers["content-length"])


def _gzipped(file: Path) -> int:
    return len(gzip.compress(file.read_bytes(), mtime=0))


def scripts_of_a_chat(front_end: Path) -> set[Path]:
    """The scripts that a new chat cannot start without: index page, layouts, page, their imports.

    Raises ValueError where the front end is not built as SvelteKit's are.
    """
    found: set[Path] = set()
    wanted = [front_end / name for name in SCRIPT.findall((front_end / "index.html").read_text())]
    for entry in [file for file in wanted if file.name.startswith("app.")]:
        wanted += _nodes_of_a_chat(entry)
    while wanted:
        script = wanted.pop()
        if script not in found:
            found.add(script)
            wanted += _imports(script)
    return found


def _nodes_of_a_chat(entry: Path) -> list[Path]:
    route = CHAT.search(entry.read_text())
    if route is None:
        raise ValueError(f"{entry} names no page for a chat")
    nodes = entry.parent.parent / "nodes"
    numbers = [ROOT_LAYOUT, *filter(None, route[2].split(",")), route[1]]
    return [file for number in numbers for file in nodes.glob(f"{number}.*.js")]


def _imports(script: Path) -> Iterator[Path]:
    for name in IMPORT.findall(script.read_text()):
        imported = (script.parent / name).resolve()
        if imported.is_file():  # else it is a text that looks like an import
            yield imported
