"""A real environment with a small open_webui in it, and a process that serves as one."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sysconfig
import venv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from chat_double import Says, with_the_kit

import cczoo_backend

REPO = Path(__file__).resolve().parents[3]
CHAT = Path(__file__).with_name("chat_double.py")
KIT = Path(cczoo_backend.__file__).parent
# What open-webui's console script is, as far as the kernel sees it.
COMMAND = f"import runpy; runpy.run_path({str(CHAT)!r}, run_name='__main__')\n"
PARTS = {
    "__init__.py": "",
    "main.py": "raise SystemExit('nothing of open-webui is run by the doctor')\n",
    "utils/auth.py": "",
    "frontend/index.html": "<html></html>",
}


@dataclass(frozen=True)
class Environment:
    """A virtual environment: its Python, and its site-packages folder."""

    python: Path
    site: Path

    @property
    def package(self) -> Path:
        return self.site / "open_webui"

    def add_the_kit(self) -> None:
        """Make this checkout's kit importable there, with what it needs."""
        ours = sysconfig.get_path("purelib")
        lines = [ours, str(REPO), str(KIT.parent)]
        (self.site / "kit.pth").write_text("".join(f"{line}\n" for line in lines))

    @contextlib.contextmanager
    def serving(
        self,
        answers: Mapping[str, Says] | None = None,
        words: tuple[str, ...] = ("serve",),
        folder: Path | None = None,
        **env: str,
    ) -> Iterator[Server]:
        """Run its open-webui until the end of the block."""
        told = {path: says.body for path, says in (answers or with_the_kit()).items()}
        file = self.site.parent / "answers.json"
        file.write_text(json.dumps(told))
        script = self.python.with_name("open-webui")
        script.write_text(COMMAND)
        child = subprocess.Popen(
            [self.python, script, *words],
            env={"CHAT_DOUBLE": str(file), **env},
            cwd=folder or self.python.parent,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert child.stdout is not None
            yield Server(child.pid, int(child.stdout.readline()))
        finally:
            child.kill()
            child.communicate(timeout=60)


@dataclass(frozen=True)
class Server:
    """A process that serves, and where."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def make_environment(folder: Path, version: str) -> Environment:
    """A new environment with a small open_webui of that version."""
    venv.create(folder, with_pip=False, symlinks=True)
    [site] = folder.glob("lib/python3*/site-packages")
    for name, text in PARTS.items():
        path = site / "open_webui" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    metadata = site / f"open_webui-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: open-webui\nVersion: {version}\n")
    return Environment(folder / "bin" / "python", site)
