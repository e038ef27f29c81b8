"""Makes installer/locks, two for each version of open-webui in patches/open-webui/versions.json.

    .venv/bin/python tools/locks/make.py                  # keeps every pin that still resolves
    .venv/bin/python tools/locks/make.py --upgrade 0.12.4 # takes today's newest, for one version

A lock holds what the stock package and this kit need together, resolved by uv for Linux on x86-64
and the Python that runs this: take the oldest supported one. open-webui itself stands in it with
the hashes of its files. open-webui-<version>.txt is without torch and its like, on which all tests
and the demonstration run; open-webui-<version>-full.txt has them, for embeddings inside of
open-webui. Both are what `cczoo-install --make-env` goes by.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[1]
LOCKS = TOOLS.parent / "installer" / "locks"
sys.path.insert(0, str(TOOLS))

from preparation import editions  # noqa: E402

UV = Path(sys.executable).with_name("uv")
RESOLVE_SECONDS = 1800

# Loaded only for embeddings and reranking inside the process, which nothing here uses: 5 GB less.
LEFT_OUT = ("torch", "transformers", "sentence-transformers", "accelerate", "colbert-ai")
# The one that was tried with all versions: some builds of it are without CUDA.
TORCH = "torch==2.13.0"
# 0.5.20 imports it without declaring it; torch's relatives used to bring it.
UNDECLARED = ("itsdangerous",)
# Newer ones do not work with 0.5.20 (pyarrow wants NumPy 2), and the other versions take these too.
HELD_BACK = ("pyarrow==20.0.0", "datasets==3.6.0", "posthog==5.4.0")

HEADER = """\
# What open-webui {version} and the kit run on in this project, {left_out}
# Made by `.venv/bin/python tools/locks/make.py`; resolved in {month}.
"""
# A build of torch for CUDA brings these along, one for the processor alone does without.
WITH_CUDA = re.compile(r"(?m)^(?:cuda-|nvidia-|triton==).*\n")
CUDA_HEADER = "# Only with a torch for CUDA:\n"


def lock_file(version: str, *, full: bool = False) -> Path:
    """Where the lock of this version of open-webui is."""
    return LOCKS / f"open-webui-{version}{'-full' if full else ''}.txt"


def kit_requirements() -> list[str]:
    """What pyproject.toml says that the kit needs wherever it is installed."""
    project = tomllib.loads((editions.REPO / "pyproject.toml").read_text())["project"]
    return list(project["dependencies"])


def resolve(
    requirements: list[str], *options: str | Path, output: Path, left_out: tuple[str, ...] = ()
) -> None:
    """Pin ``requirements`` in ``output``; pins that are in it already are kept where possible."""
    with tempfile.TemporaryDirectory() as folder:
        given = {
            "requirements": requirements,
            "excludes": list(left_out),
            "constraints": list(HELD_BACK),
        }
        files = {name: Path(folder) / f"{name}.txt" for name in given}
        for name, lines in given.items():
            files[name].write_text("".join(f"{line}\n" for line in lines))
        command = [UV, "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
        command += ["--python", sys.executable, "--python-platform", "x86_64-manylinux_2_28"]
        command += ["--excludes", files["excludes"], "--constraints", files["constraints"]]
        command += [*options, "--output-file", output, files["requirements"]]
        subprocess.run(
            [str(word) for word in command],
            check=True,
            timeout=RESOLVE_SECONDS,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"},
        )


def hashed(requirement: str) -> str:
    """The requirement with the hashes of all its files, in the form that installers check."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "hashed.txt"
        resolve([requirement], "--no-deps", "--generate-hashes", output=output)
        return output.read_text().strip()


def make(version: str, *, full: bool, upgrade: bool) -> None:
    """Write a lock of one version; a full one takes over what it can of the other's pins."""
    lock = lock_file(version, full=full)
    if full and not lock.exists():
        lock.write_text(lock_file(version).read_text())
    stock = f"open-webui=={version}"
    options = ["--upgrade"] if upgrade else []
    wanted = [stock, *([TORCH] if full else []), *UNDECLARED, *kit_requirements()]
    resolve(wanted, *options, output=lock, left_out=() if full else LEFT_OUT)
    pins = lock.read_text().replace(f"{stock}\n", f"{hashed(stock)}\n")
    cuda = "".join(WITH_CUDA.findall(pins))
    pins = WITH_CUDA.sub("", pins) + (CUDA_HEADER + cuda if cuda else "")
    month = datetime.now(UTC).strftime("%B %Y")
    left_out = "all of it." if full else f"without {', '.join(LEFT_OUT)} and what only those need."
    lock.write_text(HEADER.format(version=version, left_out=left_out, month=month) + pins)


def main() -> int:
    parser = argparse.ArgumentParser(description="Pin what open-webui runs on here.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    parser.add_argument("versions", nargs="*", metavar="VERSION", help="default: all")
    options = parser.parse_args()
    known = editions.versions()
    unknown = set(options.versions) - set(known)
    if unknown:
        parser.error(f"not in versions.json: {', '.join(sorted(unknown))}")
    for version in options.versions or known:
        print(f"resolving open-webui {version}", file=sys.stderr)
        make(version, full=False, upgrade=options.upgrade)
        make(version, full=True, upgrade=options.upgrade)
    return 0


if __name__ == "__main__":
    sys.exit(main())
