"""The ways into a process that runs open-webui: the finder's spec, the ASGI module, the command.

Each test starts a fresh Python with a package in open-webui's shape. Where it does not matter what
is added to the application, a mark is, which takes a tenth of the time.
"""

from __future__ import annotations

import marshal
import os
import py_compile
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cczoo_installer import package
from cczoo_installer.errors import BadUsage
from fake_open_webui import write_package

from cczoo_backend import stock

BACKEND = Path(__file__).resolve().parents[3] / "backend"
LIGHT = {
    "main.py": """\
        import logging.config
        import os
        import sys
        from types import SimpleNamespace

        logging.config.dictConfig({"version": 1})  # as open-webui's migrations do
        logging.basicConfig(stream=sys.stdout, format="log: %(message)s")
        app = SimpleNamespace(state=SimpleNamespace())
        print("main ran, FROM_INIT_PY is", os.environ.get("FROM_INIT_PY"))
        """
}
MARK = """\
def add_to(app):
    app.state.cczoo_trust_badge = True

def is_added(app):
    return hasattr(app.state, "cczoo_trust_badge")
"""
TYPER = """\
class App:
    def __call__(self, args, prog_name):
        print(prog_name, *args)
        import open_webui.main
        print("kit" if hasattr(open_webui.main.app.state, "cczoo_trust_badge") else "stock")
"""
# What the .pth line of cczoo-install does, without its guards.
HOOKED = """\
import sys

class Finder:
    def find_spec(name, path=None, target=None):
        if name == "open_webui.main":
            from cczoo_backend import hook
            return hook.find_spec(name, path, target, {package!r})

sys.meta_path.insert(0, Finder)
"""
SHOW = """\
import open_webui.main as main
print("kit" if hasattr(main.app.state, "cczoo_trust_badge") else "stock")
"""
RAN = "main ran, FROM_INIT_PY is None"

Python = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of packages with open-webui's stand-in, and nothing of the kit."""
    folder = tmp_path / "site"
    write_package(folder, LIGHT)
    (folder / "typer_double.py").write_text(TYPER)
    return folder


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """A copy of the kit's backend that leaves a mark in the application, to be spoilt."""
    folder = tmp_path / "kit"
    shutil.copytree(
        BACKEND / "cczoo_backend",
        folder / "cczoo_backend",
        ignore=shutil.ignore_patterns("__pycache__", "page"),
    )
    (folder / "cczoo_backend" / "openwebui.py").write_text(MARK)
    return folder


@pytest.fixture
def python(site: Path, kit: Path, tmp_path: Path) -> Python:
    """Run a fresh Python that sees the packages of ``site`` and the kit."""

    def run(*arguments: str, kit: Path = kit) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(map(str, (site, kit, BACKEND.parent)))
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def hooked(package: Path, then: str = SHOW) -> str:
    return HOOKED.format(package=str(package)) + then


def shown(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_open_webuis_application_gains_the_kit_as_it_is_loaded(python: Python, site: Path) -> None:
    assert shown(python("-c", hooked(site / "open_webui"))) == [RAN, "kit"]


@pytest.mark.parametrize("way", ["hook", "asgi"])
def test_what_is_measured_runs_and_no_compiled_module(python: Python, site: Path, way: str) -> None:
    main = site / "open_webui" / "main.py"
    made = Path(py_compile.compile(str(main), doraise=True) or "")
    forged = compile("print('forged')\n" + main.read_text(), str(main), "exec", dont_inherit=True)
    made.write_bytes(made.read_bytes()[:16] + marshal.dumps(forged))
    script = hooked(site / "open_webui") if way == "hook" else "import cczoo_backend.asgi\n" + SHOW

    def ran(word: str) -> list[str]:
        return shown(python("-c", f"import os; os.environ['TEE_STATEMENT'] = '{word}'\n{script}"))

    assert ran("off")[0] == "forged"
    on = ran("on")
    assert ("forged" in on, on[-1]) == (False, "kit")


@pytest.mark.parametrize("word", ["on", "off"])
def test_what_is_measured_imports_nothing_beside_its_command(
    python: Python, site: Path, word: str
) -> None:
    before = f"""\
import os, sys, sysconfig
os.environ["TEE_STATEMENT"] = "{word}"
sys.path.insert(0, sysconfig.get_path("scripts"))
"""
    then = SHOW + "print(sysconfig.get_path('scripts') in sys.path)\n"
    done = python("-c", before + hooked(site / "open_webui", then))
    assert shown(done) == [RAN, "kit", str(word == "off")]


def test_a_package_by_another_path_to_the_same_folder_is_that_package(
    python: Python, site: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(site / "open_webui")
    assert shown(python("-c", hooked(tmp_path / "link"))) == [RAN, "kit"]


def test_a_package_elsewhere_is_left_alone(python: Python, tmp_path: Path) -> None:
    done = python("-c", hooked(tmp_path / "elsewhere" / "open_webui"))
    assert shown(done) == [RAN, "stock"]
    assert done.stderr == ""


def test_hooked_twice_the_whole_kit_is_added_once(python: Python, site: Path) -> None:
    write_package(site)
    then = """\
import cczoo_backend.command_line
import open_webui.main as main
build = main.app.build_middleware_stack
import cczoo_backend.asgi
from starlette.testclient import TestClient
print(build is main.app.build_middleware_stack)
print(TestClient(main.app).get("/api/v1/tee/none").json()["code"])
"""
    done = python("-c", hooked(site / "open_webui", then), kit=BACKEND)
    assert shown(done) == [RAN, "True", "not-found"]


def test_what_a_loader_is_asked_besides_is_answered_as_ever(python: Python, site: Path) -> None:
    then = """\
import importlib.util
spec = importlib.util.find_spec("open_webui.main")
print(type(spec.loader).__name__, spec.origin, spec.cached is not None)
print("app = SimpleNamespace(" in spec.loader.get_source("open_webui.main"))
"""
    (first, second) = shown(python("-c", hooked(site / "open_webui", then)))
    assert first == f"SourceFileLoader {site / 'open_webui' / 'main.py'} True"
    assert second == "True"


def test_open_webuis_own_failure_is_its_own(python: Python, site: Path) -> None:
    (site / "open_webui" / "main.py").write_text("raise SystemError('no database')")
    done = python("-c", hooked(site / "open_webui"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "SystemError: no database"
    assert "badge" not in done.stderr


def test_other_modules_cost_nothing_of_the_kit(python: Python, site: Path) -> None:
    then = """\
import json, xml.dom, open_webui.env
print([name for name in sys.modules if name.startswith(("cczoo", "fastapi", "starlette"))])
"""
    assert shown(python("-c", hooked(site / "open_webui", then))) == ["[]"]


def test_the_package_and_its_hook_are_light(python: Python) -> None:
    code = """\
import sys, cczoo_backend.hook
heavy = {"fastapi", "starlette", "open_webui", "limits", "cryptography", "quote_generator"}
print(heavy & {name.split(".")[0] for name in sys.modules})
print(cczoo_backend.hook.find_spec("json", None, None, "/"))
"""
    assert shown(python("-c", code)) == ["set()", "None"]


@pytest.mark.parametrize(
    "source",
    ["def broken(:\n", "import there_is_no_such_module\n", "def add_to(app):\n    1 / 0\n", ""],
)
def test_a_broken_kit_is_one_line_and_open_webui_starts(
    python: Python, site: Path, kit: Path, source: str
) -> None:
    (kit / "cczoo_backend" / "openwebui.py").write_text(source)
    done = python("-c", hooked(site / "open_webui"))
    ran, logged, state = shown(done)
    assert (ran, state) == (RAN, "stock")
    (line,) = done.stderr.splitlines()
    assert line.startswith("The trust badge is not active: cczoo_backend is broken (")
    assert logged == f"log: {line} Install the cczoo-trust-badge wheel again."


def test_an_application_that_is_not_there_is_told_of_too(python: Python, site: Path) -> None:
    (site / "open_webui" / "main.py").write_text("another = None\n")
    done = python("-c", hooked(site / "open_webui", "import open_webui.main"))
    assert shown(done) == []
    assert "The trust badge is not active" in done.stderr


# Without a hook


def test_the_asgi_module_is_open_webui_with_the_kit(python: Python) -> None:
    code = "from cczoo_backend.asgi import app\nimport open_webui.main as main\n"
    code += "print(app is main.app, app.state.cczoo_trust_badge)\n"
    assert shown(python("-c", code)) == ["main ran, FROM_INIT_PY is true", "True True"]


def test_a_front_end_that_lies_elsewhere_stays_open_webuis_business(
    python: Python, site: Path
) -> None:
    (site / "open_webui" / "frontend" / "index.html").unlink()
    assert shown(python("-c", "import cczoo_backend.asgi")) == [RAN]


@pytest.mark.parametrize(
    ("arguments", "command"),
    [((), "serve"), (("serve", "--port", "1"), "serve --port 1"), (("--version",), "--version")],
)
def test_the_command_is_open_webuis_with_the_kit(
    python: Python, arguments: tuple[str, ...], command: str
) -> None:
    expected = [f"python -m cczoo_backend {command}", RAN, "kit"]
    assert shown(python("-m", "cczoo_backend", *arguments)) == expected


WORKERS = """\
import multiprocessing, worker

class App:
    def __call__(self, args, prog_name):
        child = multiprocessing.get_context("spawn").Process(target=worker.work)
        child.start()
        child.join()
"""
WORKER = """\
def work():
    import open_webui.main as main
    print("kit" if hasattr(main.app.state, "cczoo_trust_badge") else "stock")
"""


def test_spawned_workers_have_the_kit_too(python: Python, site: Path) -> None:
    """uvicorn starts its workers so: each is a fresh Python that imports the application."""
    (site / "typer_double.py").write_text(WORKERS)
    (site / "worker.py").write_text(WORKER)
    assert shown(python("-m", "cczoo_backend")) == [RAN, "kit"]


def test_without_open_webui_the_command_says_what_is_missing(python: Python, site: Path) -> None:
    (site / "open_webui").rename(site / "gone")
    done = python("-m", "cczoo_backend")
    assert done.returncode == 1
    assert "No module named 'open_webui'" in done.stderr.splitlines()[-1]


# A source tree, which gets patches


@pytest.fixture
def source_tree(site: Path, tmp_path: Path) -> Path:
    """open-webui's stand-in where its makers' source tree has it, and a link to it in its place."""
    top = tmp_path / "open webui"
    (top / "src").mkdir(parents=True)
    (top / "backend").mkdir()
    (site / "open_webui").rename(top / "backend" / "open_webui")
    (site / "open_webui").symlink_to(top / "backend" / "open_webui")
    return top


def test_the_installer_knows_a_source_tree_by_the_same_signs(tmp_path: Path) -> None:
    """It may not import the backend, nor the backend it: two functions, one rule."""
    folders = [
        tmp_path / top / backend / "open_webui"
        for top in ("with", "without")
        for backend in ("backend", "site-packages")
    ]
    for folder in folders:
        folder.mkdir(parents=True)
    (tmp_path / "with" / "src").mkdir()
    (tmp_path / "link").symlink_to(folders[0])
    for folder in (*folders, tmp_path / "link"):
        try:
            package.locate(folder)
            refused = False
        except BadUsage:
            refused = True
        assert stock.is_in_source_tree(folder) == refused
    assert [stock.is_in_source_tree(folder) for folder in folders] == [True, False, False, False]


@pytest.mark.parametrize("way", ["-m cczoo_backend", "-c import cczoo_backend.asgi"])
def test_a_source_tree_without_patches_stays_as_it_is_and_is_told_of(
    python: Python, source_tree: Path, way: str
) -> None:
    done = python(*way.split(" ", 1))
    told = [line for line in done.stdout.splitlines() if line.startswith("log: ")]
    assert told == [
        f"log: The trust badge is not active: '{source_tree}' is a source tree without the kit's "
        f"patches. Put them in: cczoo-install --openwebui-dir '{source_tree}'"
    ]
    assert "kit" not in done.stdout.splitlines()


def test_a_source_tree_with_patches_has_the_kit_by_them(python: Python, source_tree: Path) -> None:
    main = source_tree / "backend" / "open_webui" / "main.py"
    main.write_text(main.read_text() + "from cczoo_backend import install\ninstall(app)\n")
    done = python("-m", "cczoo_backend")
    assert shown(done)[-1] == "kit"
    assert done.stderr == ""
