"""`cczoo-verify reference`: a policy of packages and models, as a TD measures them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cczoo_verifier import reference_command, reference_fetching
from cczoo_verifier.__main__ import main
from cczoo_verifier.policy import policy_of
from cczoo_verifier.problems import FileError, Unreachable
from cczoo_verifier.reference_sources import checkout_digest, sdist_digest
from made_wheels import install_by_hand, write_wheel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from doubles.ollama_store import LAYERS, OllamaStore, claimed, manifest
from doubles.serving import serving
from quote_generator.workload.environment import measure_environment
from quote_generator.workload.files import measure_tree
from quote_generator.workload.ollama import Store, parse_name

WEBUI: Mapping[str, bytes] = {
    "open_webui/__init__.py": b"app = 1\n",
    "open_webui/main.py": b"from open_webui import app\n",
    "open_webui/frontend/index.html": b"<html></html>\n",
    "open_webui/frontend/_app/a b.js": b"1\n",
    "open_webui/static/favicon.png": b"a picture",
}
PAGE: Mapping[str, bytes] = {"loader-1.js": b"load()\n", "page-2.js": b"page()\n"}
KIT: Mapping[str, bytes] = {
    "cczoo_backend/__init__.py": b"",
    "cczoo_backend/page/manifest.json": b"{}",
    **{f"cczoo_backend/page/{name}": body for name, body in PAGE.items()},
}


@pytest.fixture
def wheels(tmp_path: Path) -> dict[str, Path]:
    folder = tmp_path / "wheels"
    folder.mkdir()
    return {
        "kit": write_wheel(folder, "cczoo_trust_badge-0.2.0", KIT),
        "open-webui": write_wheel(folder, "open_webui-9.8.7", WEBUI),
        "other": write_wheel(folder, "six-1.0", {"six.py": b"six = 6\n"}),
    }


@pytest.fixture
def installed(wheels: dict[str, Path], tmp_path: Path) -> Path:
    site = tmp_path / "lib" / "site-packages"
    site.mkdir(parents=True)
    install_by_hand(list(wheels.values()), site)
    return site


def made(capsys: Any, *arguments: object) -> dict[str, Any]:
    """The workload of the policy that is made."""
    assert main(["reference", *map(str, arguments)]) == 0, capsys.readouterr().err
    document = json.loads(capsys.readouterr().out)
    assert policy_of(document).workload
    workload: dict[str, Any] = document["workload"]
    return workload


def refused(capsys: Any, *arguments: object) -> tuple[int, str]:
    """Exit code and error code."""
    status = main(["reference", "--json", *map(str, arguments)])
    captured = capsys.readouterr()
    code = json.loads(captured.out)["error"]["code"]
    assert f"[{code}]" in captured.err
    assert "Traceback" not in captured.err
    return status, code


def test_it_says_what_a_td_measures(wheels: dict[str, Path], installed: Path, capsys: Any) -> None:
    workload = made(
        capsys,
        *("--kit", wheels["kit"], "--open-webui", wheels["open-webui"]),
        *("--wheels", wheels["kit"].parent, "--offline"),
    )
    environment = measure_environment([installed])
    assert workload == {
        "kit": [environment.distribution("cczoo-trust-badge").digest],
        "page": [page_digest()],
        "open_webui": [environment.distribution("open-webui").digest],
        "front_end": [measure_tree(installed / "open_webui/frontend").digest],
        "environment": [environment.digest],
        "versions": {"kit": ["0.2.0"], "open_webui": ["9.8.7"]},
    }


def page_digest() -> str:
    """As `sha256sum` in the folder of the page would have it."""
    lines = (f"{hashlib.sha256(body).hexdigest()}  {name}\n" for name, body in PAGE.items())
    return (
        "sha256:"
        + hashlib.sha256("".join(sorted(lines, key=lambda x: x[66:])).encode()).hexdigest()
    )


def test_several_versions_are_alternatives(
    wheels: dict[str, Path], tmp_path: Path, capsys: Any
) -> None:
    newer = write_wheel(tmp_path, "open_webui-9.9.0", {**WEBUI, "open_webui/x.py": b""})
    arguments = ("--open-webui", wheels["open-webui"], "--open-webui", newer)
    workload = made(capsys, *arguments)
    assert workload["versions"] == {"open_webui": ["9.8.7", "9.9.0"]}
    assert len(workload["open_webui"]) == 2
    assert len(workload["front_end"]) == 1  # the same in both
    assert refused(capsys, *arguments, "--wheels", wheels["kit"].parent) == (2, "usage")


def test_one_changed_byte_is_another_digest(
    wheels: dict[str, Path], tmp_path: Path, capsys: Any
) -> None:
    before = made(capsys, "--kit", wheels["kit"])
    other = write_wheel(tmp_path, "cczoo_trust_badge-0.2.0", {**KIT, "cczoo_backend/a.py": b" "})
    after = made(capsys, "--kit", other)
    assert before["kit"] != after["kit"]
    assert before["page"] == after["page"]


def test_what_is_asked_for_besides(wheels: dict[str, Path], tmp_path: Path, capsys: Any) -> None:
    output = tmp_path / "policy.json"
    command = ["reference", "--kit", str(wheels["kit"]), "--require", "storage-encrypted"]
    assert main([*command, "--output", str(output)]) == 0
    assert json.loads(output.read_text())["workload"]["require"] == ["storage-encrypted"]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "kit: cczoo-trust-badge 0.2.0: sha256:" in captured.err
    before = output.read_bytes()
    assert main([*command, "--output", str(output)]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert output.read_bytes() == before


# --- sources -------------------------------------------------------------------------------------


def sdist(folder: Path, files: Mapping[str, bytes], name: str = "open_webui-9.6.5") -> Path:
    path = folder / f"{name}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for file, data in files.items():
            entry = tarfile.TarInfo(f"{name}/backend/{file}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        archive.addfile(tarfile.TarInfo(f"{name}/README.md"))
    return path


def checkout(folder: Path, files: Mapping[str, bytes]) -> Path:
    for file, data in files.items():
        path = folder / "backend" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def test_an_sdist_and_its_checkout_are_the_same(tmp_path: Path, capsys: Any) -> None:
    folder, archive = checkout(tmp_path / "webui", WEBUI), sdist(tmp_path, WEBUI)
    assert checkout_digest(folder) == sdist_digest(archive)
    workload = made(capsys, "--open-webui", archive)
    assert workload["versions"] == {"open_webui": ["9.6.5"]}
    assert made(capsys, "--open-webui", folder) == {"open_webui": workload["open_webui"]}
    # Pictures are copied anew at each start; code there would be told.
    (folder / "backend/open_webui/static/favicon.png").write_bytes(b"another")
    assert checkout_digest(folder) == sdist_digest(archive)
    (folder / "backend/open_webui/main.py").write_bytes(b"patched")
    assert checkout_digest(folder) != sdist_digest(archive)


def link(archive: tarfile.TarFile) -> None:
    entry = tarfile.TarInfo("open_webui-1/backend/open_webui/link.py")
    entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
    archive.addfile(entry)


def twice(archive: tarfile.TarFile) -> None:
    for _ in range(2):
        archive.addfile(tarfile.TarInfo("open_webui-1/backend/open_webui/a.py"))


def upwards(archive: tarfile.TarFile) -> None:
    archive.addfile(tarfile.TarInfo("open_webui-1/backend/open_webui/../a.py"))


def nothing(archive: tarfile.TarFile) -> None:
    archive.addfile(tarfile.TarInfo("open_webui-1/README.md"))


@pytest.mark.parametrize("fill", [link, twice, upwards, nothing])
def test_sdists_that_are_none(tmp_path: Path, capsys: Any, fill: Any) -> None:
    path = tmp_path / "open_webui-1.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        fill(archive)
    assert refused(capsys, "--open-webui", path) == (2, "source-unreadable")


def test_damaged_sdists(tmp_path: Path, capsys: Any) -> None:
    path = sdist(tmp_path, {**WEBUI, "open_webui/big.py": os.urandom(100_000)})
    whole = path.read_bytes()
    for data in (b"", b"x" * 100, whole[:60_000]):
        path.write_bytes(data)
        assert refused(capsys, "--open-webui", path) == (2, "source-unreadable")
    other = path.rename(tmp_path / "webui.tar.gz")
    assert refused(capsys, "--open-webui", other) == (2, "source-unreadable")


# --- models --------------------------------------------------------------------------------------


def test_models(tmp_path: Path, capsys: Any) -> None:
    store = OllamaStore(tmp_path / "models")
    store.add()
    with Store(store.path) as opened:
        digest = opened.measure(parse_name("small")).digest
    file = tmp_path / "manifest"
    file.write_bytes(manifest(LAYERS))
    known = claimed(manifest(LAYERS))
    by_store = ("--model", f"small@{known}", "--model-store", store.path)
    assert made(capsys, "--model", f"small={file}") == {"models": [digest]}
    assert made(capsys, *by_store, "--offline") == {"models": [digest]}
    whole = made(capsys, "--model", "small", "--model-store", store.path)
    assert whole["models"][0] == digest
    assert len(whole["models"]) == 2  # the kernel of a TD may keep fs-verity's
    assert refused(capsys, "--model", f"small@{known}", "--offline") == (2, "model-unknown")


# --- what cannot be used -------------------------------------------------------------------------


def test_what_cannot_be_used(wheels: dict[str, Path], tmp_path: Path, capsys: Any) -> None:
    kit, webui = wheels["kit"], wheels["open-webui"]
    empty = tmp_path / "empty"
    empty.mkdir()
    bad = tmp_path / "bad.whl"
    bad.write_bytes(b"no wheel")
    pageless = write_wheel(empty, "cczoo_trust_badge-0.2.0", {"cczoo_backend/__init__.py": b""})
    assert refused(capsys) == (2, "usage")
    assert refused(capsys, "--kit", webui) == (2, "wheel-unusable")
    assert refused(capsys, "--open-webui", kit) == (2, "wheel-unusable")
    assert refused(capsys, "--kit", bad) == (2, "wheel-unreadable")
    assert refused(capsys, "--kit", tmp_path / "none.whl") == (2, "wheel-unreadable")
    assert refused(capsys, "--kit", pageless) == (2, "wheel-unusable")
    assert refused(capsys, "--open-webui", tmp_path / "none") == (2, "file-unreadable")
    assert refused(capsys, "--open-webui", "9.8.7", "--offline") == (2, "usage")
    assert refused(capsys, "--kit", kit, "--wheels", tmp_path / "none") == (2, "wheel-unusable")
    assert refused(capsys, "--model", "small") == (2, "model-name")
    # Another wheel of the same distribution lies in the folder.
    assert refused(capsys, "--kit", kit, "--wheels", empty) == (2, "wheel-unusable")
    assert refused(capsys, "--kit", kit, "--output", tmp_path / "no/where") == (2, "save-failed")


def test_more_than_a_policy_holds(tmp_path: Path) -> None:
    found = reference_command.References()
    for number in range(300):
        found.digests.setdefault("models", []).append(f"sha256:{number:064x}")
    with pytest.raises(FileError) as caught:
        found.policy(())
    assert caught.value.code == "policy-too-large"


# --- fetching ------------------------------------------------------------------------------------


class Index:
    """PyPI's JSON, and what it names."""

    def __init__(self, wheel: Path) -> None:
        self.wheel = wheel
        self.files: Any = None
        self.answer: Response | None = None
        self.status = 200

    def app(self, url: str) -> Starlette:
        async def simple(request: Request) -> Response:
            assert "simple.v1+json" in request.headers["accept"]
            return JSONResponse({"files": self.files}, self.status)

        async def file(request: Request) -> Response:
            return self.answer or Response(self.wheel.read_bytes())

        return Starlette(routes=[Route("/simple/{name}/", simple), Route("/{path:path}", file)])


@pytest.fixture
def index(wheels: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    index = Index(wheels["open-webui"])
    with serving(index.app) as url:
        digest = hashlib.sha256(index.wheel.read_bytes()).hexdigest()
        good = {"filename": index.wheel.name, "url": f"{url}/w", "hashes": {"sha256": digest}}
        older = {**good, "filename": "open_webui-9.8.70-py3-none-any.whl"}
        index.files = [good, older, {"filename": "open_webui-9.8.7.tar.gz"}, 1, {}]
        monkeypatch.setattr(reference_fetching, "PYPI", f"{url}/simple")
        monkeypatch.setattr(reference_fetching, "_URL", r"http://[!-~]+")
        yield index


def test_a_version_is_fetched(index: Index, capsys: Any) -> None:
    given = made(capsys, "--open-webui", index.wheel)
    assert made(capsys, "--open-webui", "9.8.7") == given


def test_what_is_fetched_has_the_digest_that_is_named(index: Index, capsys: Any) -> None:
    index.answer = Response(b"another wheel")
    assert refused(capsys, "--open-webui", "9.8.7") == (2, "wheel-unusable")


def test_what_cannot_be_fetched(index: Index, capsys: Any, monkeypatch: Any) -> None:
    gone = (4, "reference-unreachable")
    assert refused(capsys, "--open-webui", "9.8.8") == gone
    index.answer = RedirectResponse("https://elsewhere.example/")
    assert refused(capsys, "--open-webui", "9.8.7") == gone
    index.answer = None
    monkeypatch.setattr(reference_fetching, "MAX_WHEEL", 100)
    assert refused(capsys, "--open-webui", "9.8.7") == gone
    good = index.files[0]
    for files in (
        None,
        {},
        [good, good],
        [{**good, "hashes": {}}],
        [{**good, "hashes": {"sha256": "ab"}}],
        [{**good, "url": "file:///etc/passwd"}],
        [{**good, "filename": "open_webui-9.8.7-../../x.whl"}],
    ):
        index.files = files
        assert refused(capsys, "--open-webui", "9.8.7") == gone
    index.status = 500
    assert refused(capsys, "--open-webui", "9.8.7") == gone


def test_a_manifest_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = manifest(LAYERS)
    answers = {"200": Response(data), "404": Response(status_code=404)}

    async def published(request: Request) -> Response:
        return answers[request.path_params["code"]]

    app = Starlette(routes=[Route("/{code}", published)])
    with serving(lambda _: app) as url:
        name = parse_name("small")
        for code in answers:
            monkeypatch.setattr(reference_fetching, "published_at", lambda _, c=code: f"{url}/{c}")
            if code == "200":
                assert reference_fetching.fetch_manifest(name, timeout=10) == data
            else:
                with pytest.raises(Unreachable):
                    reference_fetching.fetch_manifest(name, timeout=10)
