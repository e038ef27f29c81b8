"""Each look, by real situations: real packages, real servers, real files; doubles for hardware."""

from __future__ import annotations

import email.utils
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cczoo_installer import patchset, tree
from cczoo_installer.doctor import (
    advisories,
    host,
    installed,
    machine,
    models,
    served,
    services,
)
from cczoo_installer.doctor import environment as python_look
from cczoo_installer.doctor.findings import Finding, State
from cczoo_installer.doctor.kit_facts import Told, probe
from cczoo_installer.doctor.processes import Process
from cczoo_installer.doctor.scene import Scene, installer_of, state_of
from cczoo_installer.kit import kit_version
from cczoo_installer.openwebui_tree import OpenWebuiTree
from cczoo_installer.report import Reporter
from chat_double import CONFIG, LOADER, Says, chat, with_the_kit
from environment_double import Environment

from preparation import editions

MakeScene = Callable[..., Scene]


def states(findings: Sequence[Finding]) -> dict[str, State]:
    return {one.id: one.state for one in findings}


def the(findings: Sequence[Finding], id_: str) -> Finding:
    [found] = [one for one in findings if one.id == id_]
    return found


def a_process(**members: Any) -> Process:
    told: dict[str, Any] = {
        "pid": 42,
        "user": os.geteuid(),
        "command": ("python3", "-m", "cczoo_backend"),
        "folder": "/",
        "program": Path(sys.executable),
        "began": None,
        "environ": {},
        "sockets": frozenset(),
    }
    return Process(**{**told, **members})


# The machine, as its kit tells of it

TRANSPORTS = [
    {"name": "qgs-vsock", "usable": False, "reason": "there is no /dev/tdx_guest; load it."},
    {"name": "configfs-tsm", "usable": True, "reason": "/sys/... is there and writable."},
]
TD = {
    "azure": False,
    "transports": {"found": TRANSPORTS},
    "firmware_log": {"found": {"bytes": 100, "events": 7}},
    "register": {"found": {"value": "00", "writable": True}},
}
NOTHING = {"found": [{**one, "usable": False} for one in TRANSPORTS]}


def told(**changes: Any) -> Told:
    return Told({**TD, **changes})


def test_a_trust_domain_is_told_in_the_attesters_words(scene: MakeScene) -> None:
    found = machine.look(scene(own=told()))
    assert set(states(found).values()) == {State.OK}
    assert the(found, "tdx-transports").text == "configfs-tsm: /sys/... is there and writable"


@pytest.mark.parametrize(
    ("changes", "id_", "state", "said"),
    [
        ({"transports": NOTHING}, "tdx-transports", State.FAILURE, "no TDX"),
        ({"transports": NOTHING, "azure": True}, "tdx-azure", State.FAILURE, "paravisor"),
        (
            {"transports": {"code": "core-missing", "detail": "the C core is missing"}},
            "tdx-transports",
            State.FAILURE,
            "C core",
        ),
        (
            {"transports": {"found": [{"name": "simulator", "usable": True, "reason": "x"}]}},
            "tdx-simulated",
            State.WARNING,
            "prove nothing",
        ),
        ({"firmware_log": {"found": None}}, "firmware-log", State.NOTE, "no event log"),
        (
            {"firmware_log": {"code": "not-permitted", "detail": "/sys/... cannot be read"}},
            "firmware-log",
            State.WARNING,
            "cannot be read",
        ),
        (
            {"register": {"code": "not-permitted", "detail": "no right to; run as root."}},
            "rtmr",
            State.WARNING,
            "no right to",
        ),
        ({"register": {"found": {"writable": False}}}, "rtmr", State.WARNING, "not extended"),
        ({"register": {"found": {"writable": None}}}, "rtmr", State.NOTE, "6.16"),
    ],
)
def test_what_is_wrong_with_the_machine(
    scene: MakeScene, changes: dict[str, Any], id_: str, state: State, said: str
) -> None:
    found = the(machine.look(scene(own=told(**changes))), id_)
    assert (found.state, said in found.text) == (state, True), found
    assert found.cure


@pytest.mark.parametrize("part", [None, [], "x", 3, {"found": "x"}, {"found": [1, None]}, {}])
def test_a_kit_that_says_nonsense_breaks_nothing(scene: MakeScene, part: object) -> None:
    changes = dict.fromkeys(("transports", "firmware_log", "register", "azure"), part)
    found = machine.look(scene(own=told(**changes)))
    assert found[0].state is State.FAILURE


def test_a_kit_that_does_not_answer_is_unknown(scene: MakeScene) -> None:
    [found] = machine.look(scene(own=Told(why="it gives no answer", cure="mend it")))
    assert (found.state, found.text) == (State.UNKNOWN, "it gives no answer")


def test_another_user_than_the_servers_is_told(scene: MakeScene) -> None:
    found = machine.look(scene(own=told(), servers=[a_process(user=os.geteuid() + 1)]))
    assert the(found, "other-user").state is State.NOTE


# The Python


def test_nobody_guesses_a_python(scene: MakeScene) -> None:
    assert states(python_look.look(scene())) == {"python": State.UNKNOWN}
    two = [a_process(), a_process(pid=43)]
    [several] = python_look.look(scene(servers=two))
    assert "42, 43" in several.text
    [hidden] = python_look.look(scene(servers=two[:1]))
    assert "cannot be seen" in hidden.text


def test_a_package_says_its_python_and_a_tree_does_not(
    environment: Environment, tmp_path: Path
) -> None:
    root = patchset.default_root()
    package = installer_of(environment.package, root)
    assert python_look.python_beside(package) == environment.python
    sources = OpenWebuiTree(tmp_path, root, Reporter(None))
    assert python_look.python_beside(sources) is None


def test_the_kit_in_the_environment(scene: MakeScene, environment: Environment) -> None:
    def look(**more: Any) -> Sequence[Finding]:
        probed = probe(environment.python, path=None, again="", root=False)
        return python_look.look(scene(python=environment.python, probed=probed, **more))

    missing = the(look(), "kit-importable")
    assert (missing.state, "pip install" in missing.cure) == (State.FAILURE, True)
    environment.add_the_kit()
    broken = the(look(theirs=Told(why="it gives no answer", cure="mend")), "kit-importable")
    assert broken.state is State.UNKNOWN
    pageless = look(theirs=Told({"bundle": {"code": "no-bundle", "detail": "no manifest"}}))
    assert the(pageless, "kit-page").state is State.FAILURE
    good = look(theirs=Told({"bundle": {"found": {}}}))
    assert set(states(good).values()) == {State.OK}


def test_another_kit_in_the_environment_is_told(scene: MakeScene, tmp_path: Path) -> None:
    kit = {"version": "9.9.9\x1b[2J", "place": "/x/cczoo_backend/__init__.py"}
    probed = Told({"python": "3.11.2", "kit": kit})
    found = python_look.look(scene(python=tmp_path / "python", probed=probed))
    assert the(found, "kit-importable").state is State.WARNING
    assert kit_version() in the(found, "kit-importable").text


# What is installed, and the server's age


def of_package(scene: MakeScene, environment: Environment, **members: Any) -> Scene:
    installer = installer_of(environment.package, patchset.default_root())
    status, trouble = state_of(installer)
    return scene(installer=installer, status=status, trouble=trouble, **members)


def test_a_package_before_and_after_its_installation(
    scene: MakeScene, environment: Environment
) -> None:
    environment.add_the_kit()
    found = the(installed.look(of_package(scene, environment)), "installed")
    assert (found.state, "cczoo-install" in found.cure) == (State.FAILURE, True)
    installer = installer_of(environment.package, patchset.default_root())
    assert not isinstance(installer, OpenWebuiTree)
    installer.install()
    found = the(installed.look(of_package(scene, environment)), "installed")
    assert found.state is State.OK
    home = installer.journal.home.rename(environment.site / "away")
    found = the(installed.look(of_package(scene, environment)), "installed")
    assert (found.state, found.detail["state"]) == (State.WARNING, "unrecorded")
    home.rename(installer.journal.home)
    installer.hook.write_text("somebody's own\n")
    found = the(installed.look(of_package(scene, environment)), "installed")
    assert (found.state, found.detail["state"]) == (State.WARNING, "modified")


def test_a_server_that_brings_the_kit_itself_needs_no_hook(
    scene: MakeScene, environment: Environment
) -> None:
    found = installed.look(of_package(scene, environment, servers=[a_process()]))
    assert the(found, "installed").state is State.OK


def test_what_is_no_open_webui_is_told(scene: MakeScene, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    installer = installer_of(tmp_path / "empty", patchset.default_root())
    status, trouble = state_of(installer)
    [found] = installed.look(scene(installer=installer, status=status, trouble=trouble))
    assert (found.state, "is empty" in found.text) == (State.FAILURE, True)
    [nothing] = installed.look(scene())
    assert nothing.state is State.UNKNOWN


def test_a_server_older_than_its_package_has_to_be_restarted(
    scene: MakeScene, environment: Environment
) -> None:
    changed = environment.site.stat().st_ctime
    for began, state in ((changed - 60, State.WARNING), (changed + 60, State.OK)):
        server = a_process(began=began)
        found = the(installed.look(of_package(scene, environment, servers=[server])), "server-age")
        assert found.state is state
    assert found.cure == ""


# What is served


def test_a_good_server(scene: MakeScene) -> None:
    with chat(with_the_kit()) as server:
        found = served.look(scene(url=server.url))
    assert set(states(found).values()) == {State.OK}
    assert the(found, "sealing").detail == {"mode": "offered"}


@pytest.mark.parametrize(
    ("name", "says", "id_", "state"),
    [
        ("page", Says("<html><head></head></html>"), "loader", State.FAILURE),
        ("page", Says(b"\xff" * 2_000_000), "loader", State.FAILURE),
        ("loader", Says(b"", 404), "loader", State.FAILURE),
        ("keys", Says({"detail": "Not Found"}, 404), "routes", State.FAILURE),
        ("keys", Says("<html>sign in</html>"), "routes", State.FAILURE),
        ("keys", Says([1]), "routes", State.FAILURE),
        ("keys", Says({"v": 1, "keyset": None}), "sealing", State.WARNING),
        ("auditors", Says(b"", 404), "routes", State.WARNING),
        ("worker", Says(b"", 403), "routes", State.WARNING),
        ("config", Says({"problem": {"detail": "TEE_POLICY is wrong"}}), "settings", State.FAILURE),
        ("config", Says({"detail": "not signed in"}, 401), "settings", State.NOTE),
        ("quote", Says({"tee": "tdx", "simulated": True}), "quote", State.WARNING),
        ("quote", Says({"code": "tdx-not-available", "detail": "no"}, 503), "quote", State.FAILURE),
        ("quote", Says({"code": "not-allowed", "detail": "no"}, 403), "quote", State.NOTE),
        ("quote", Says("<html>"), "quote", State.FAILURE),
        ("quote", Says({"simulated": "no", "tee": ["tdx"]}), "quote", State.FAILURE),
    ],
)
def test_what_a_server_does_not_serve(
    scene: MakeScene, name: str, says: Says, id_: str, state: State
) -> None:
    with chat(with_the_kit(**{name: says})) as server:
        found = served.look(scene(url=server.url))
    assert the(found, id_).state is state


def test_a_server_that_takes_sealed_requests_only(scene: MakeScene) -> None:
    refused = Says({"status": False, "code": "sealed-required", "detail": "x"}, 403)
    with chat(with_the_kit(app=refused)) as server:
        found = served.look(scene(url=server.url))
    assert the(found, "sealing").detail == {"mode": "required"}


@pytest.mark.parametrize(
    ("files", "state", "said"),
    [
        ({}, State.OK, "has the loader"),
        ({LOADER: "0" * 64}, State.FAILURE, "rewrites"),
        ({"loader-Newer.js": "0" * 64}, State.WARNING, "another kit's"),
        ("nonsense", State.OK, "has the loader"),
    ],
)
def test_a_loader_is_held_against_the_installed_one(
    scene: MakeScene, files: object, state: State, said: str
) -> None:
    theirs = Told({"bundle": {"found": {"loader": "x", "files": files}}})
    with chat(with_the_kit()) as server:
        found = the(served.look(scene(url=server.url, theirs=theirs)), "loader")
    assert (found.state, said in found.text) == (state, True)


SCRIPT = b"window.cczooTrustBadge = {};"
PIECE = "panel-Ef567890.js"


@pytest.mark.parametrize(
    ("says", "state"),
    [
        (Says(b"panel"), State.OK),
        (Says(b"panel, minified"), State.FAILURE),
        (Says(b"panel", 404), State.FAILURE),
        (Says(b"\x1f\x8b", headers={"Content-Encoding": "gzip"}), State.OK),
    ],
)
def test_every_file_of_the_badge_is_held_against_the_installed_ones(
    scene: MakeScene, says: Says, state: State
) -> None:
    bodies = {LOADER: SCRIPT, PIECE: b"panel"}
    files: dict[Any, Any] = {
        name: hashlib.sha256(body).hexdigest() for name, body in bodies.items()
    }
    files |= {"../../etc/passwd": "0" * 64, "x.js": 7}  # never asked for
    theirs = Told({"bundle": {"found": {"loader": LOADER, "files": files}}})
    with chat({**with_the_kit(), f"/api/v1/tee/page/{PIECE}": says}) as server:
        found = served.look(scene(url=server.url, theirs=theirs))
    assert the(found, "loader").state is State.OK
    assert the(found, "badge").state is state
    assert not any("passwd" in one or "x.js" in one for one in server.asked)


def test_a_page_that_came_compressed_is_not_judged(scene: MakeScene) -> None:
    packed = Says(b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    with chat(with_the_kit(page=packed)) as server:
        found = the(served.look(scene(url=server.url)), "loader")
    assert found.state is State.UNKNOWN


def test_no_server_is_told(scene: MakeScene) -> None:
    assert states(served.look(scene())) == {"server": State.FAILURE}
    assert states(served.look(scene(servers=[a_process()]))) == {"server": State.UNKNOWN}
    two = [a_process(), a_process(pid=43)]
    assert states(served.look(scene(servers=two))) == {"server": State.UNKNOWN}
    assert states(served.look(scene(url="http://127.0.0.1:1"))) == {"server": State.FAILURE}


# The host


def memory(proc: Path, free: str) -> None:
    (proc / "meminfo").write_text(f"MemTotal: 8388608 kB\nMemAvailable: {free} kB\n")


@pytest.mark.parametrize(
    ("free", "state"), [("4194304", State.OK), ("1000", State.WARNING), ("x", State.WARNING)]
)
def test_memory(scene: MakeScene, proc: Path, free: str, state: State) -> None:
    memory(proc, free)
    assert the(host.look(scene()), "memory").state is state


def test_no_word_about_memory_is_unknown(scene: MakeScene, proc: Path) -> None:
    (proc / "meminfo").unlink()
    assert the(host.look(scene()), "memory").state is State.UNKNOWN


@pytest.mark.parametrize(
    ("free", "state"),
    [(100 << 30, State.OK), (1 << 30, State.WARNING), (1 << 20, State.FAILURE)],
)
def test_disk(
    scene: MakeScene, tmp_path: Path, free: int, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage)
    server = a_process(environ={"DATA_DIR": str(tmp_path / "not" / "yet" / "there")})
    assert the(host.look(scene(servers=[server])), "disk").state is state


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("encrypted", State.OK),
        ("encrypted-integrity", State.OK),
        ("memory", State.OK),
        ("plain-disk", State.WARNING),
        ("outside", State.WARNING),
        ("not-known", State.UNKNOWN),
        (7, State.UNKNOWN),
    ],
)
def test_encryption_of_the_disk_is_the_kernels_word(
    scene: MakeScene, tmp_path: Path, kind: object, state: State
) -> None:
    own = Told({"stores": {str(tmp_path): {"kind": kind, "secrecy": "x", "integrity": "y"}}})
    server = a_process(environ={"DATA_DIR": str(tmp_path)})
    assert the(host.look(scene(servers=[server], own=own)), "disk-encryption").state is state


def test_a_relative_data_folder_begins_where_the_server_does(scene: MakeScene) -> None:
    server = a_process(folder="/srv/chat", environ={"DATA_DIR": "./data"})
    assert scene(servers=[server]).data == Path("/srv/chat/data")


def test_node_is_looked_for_where_a_source_tree_is(scene: MakeScene, tmp_path: Path) -> None:
    sources = OpenWebuiTree(tmp_path, patchset.default_root(), Reporter(None))
    assert "node" not in states(host.look(scene()))
    env = {"PATH": str(tmp_path)}
    assert the(host.look(scene(installer=sources, env=env)), "node").state is State.WARNING
    for name, says in (("node", "v22.13.1"), ("npm", "10")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {says}\n")
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    found = the(host.look(scene(installer=sources, env=env)), "node")
    assert (found.state, found.detail) == (State.OK, {"version": "22.13.1"})


@pytest.mark.skipif(os.geteuid() != 0, reason="makes another user's file")
def test_a_users_node_is_not_run_as_root(scene: MakeScene, tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    (tmp_path / "node").write_text(f"#!/bin/sh\ntouch {mark}; echo v22.13.1\n")
    (tmp_path / "node").chmod(0o755)
    os.chown(tmp_path / "node", 65534, 65534)
    sources = OpenWebuiTree(tmp_path, patchset.default_root(), Reporter(None))
    found = the(host.look(scene(installer=sources, env={"PATH": str(tmp_path)})), "node")
    assert (found.state, mark.exists()) == (State.UNKNOWN, False)


@pytest.mark.skipif(os.geteuid() != 0, reason="makes another user's folder")
def test_git_is_not_asked_about_a_users_checkout_as_root(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True, timeout=60)
    commit = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", "commit"]
    subprocess.run([*commit, "-q", "--allow-empty", "-m", "x"], check=True, timeout=60)
    assert tree.checkout(tmp_path) is not None
    os.chown(tmp_path / ".git", 65534, 65534)
    assert tree.checkout(tmp_path) is None


def test_a_port_that_is_taken_is_told(scene: MakeScene, proc: Path) -> None:
    assert the(host.look(scene()), "ports").state is State.OK
    line = "0: 00000000:1F90 0:0 0A 0:0 0:0 0 0 0 77 1 0"
    (proc / "net" / "tcp").write_text(f"head\n{line}\n")
    assert the(host.look(scene()), "ports").state is State.WARNING
    assert the(host.look(scene(env={"PORT": "8081"})), "ports").state is State.OK
    # Out of range, so open-webui's own port counts.
    assert the(host.look(scene(env={"PORT": "x"})), "ports").state is State.WARNING


@pytest.mark.parametrize(
    ("host_hex", "url", "state", "said"),
    [
        ("0100007F", None, State.OK, "127.0.0.1 port 8080"),
        ("00000000", None, State.NOTE, "always red"),
        ("00000000", "https://my.chat", State.NOTE, "past the HTTPS"),
    ],
)
def test_where_the_server_listens(
    scene: MakeScene, proc: Path, host_hex: str, url: str | None, state: State, said: str
) -> None:
    line = f"0: {host_hex}:1F90 0:0 0A 0:0 0:0 0 0 0 77 1 0"
    (proc / "net" / "tcp").write_text(f"head\n{line}\n")
    server = a_process(sockets=frozenset({77}))
    found = the(host.look(scene(url=url, servers=[server])), "ports")
    assert (found.state, said in found.text) == (state, True)


@pytest.mark.parametrize(
    ("command", "environ", "state"),
    [
        ((), {}, State.OK),
        ((), {"UVICORN_WORKERS": "4"}, State.FAILURE),
        ((), {"UVICORN_WORKERS": "4", "TEE_SEALED": "off"}, State.OK),
        ((), {"UVICORN_WORKERS": "many"}, State.OK),
        (("--workers", "2"), {}, State.FAILURE),
        (("--workers=2"), {}, State.OK),
        (("--workers=2",), {}, State.FAILURE),
        (("--workers", "1"), {"UVICORN_WORKERS": "4"}, State.OK),
        (("--workers",), {}, State.OK),
    ],
)
def test_several_workers_do_not_go_with_sealing(
    scene: MakeScene, command: tuple[str, ...], environ: dict[str, str], state: State
) -> None:
    server = a_process(command=("python3", *command), environ=environ)
    assert the(host.look(scene(servers=[server])), "workers").state is state


# Models


@pytest.mark.parametrize(
    ("says", "state", "said"),
    [
        (Says({"models": [{"name": f"m{i}:7b"} for i in range(6)]}), State.OK, "and 2 more"),
        (Says({"models": []}), State.WARNING, "no models"),
        (Says({"models": [None, {"name": 7}, {}]}), State.WARNING, "no models"),
        (Says("<html>"), State.WARNING, "no Ollama"),
        (Says({"models": "x"}), State.WARNING, "no Ollama"),
        (Says(b"", 401), State.WARNING, "no Ollama"),
    ],
)
def test_an_ollama(scene: MakeScene, says: Says, state: State, said: str) -> None:
    with chat({"/api/tags": says}) as server:
        [found] = models.look(scene(env={"OLLAMA_BASE_URL": f"{server.url}/"}))
    assert (found.state, said in found.text) == (state, True), found.text


def test_an_ollama_that_is_not_there_is_told_with_its_cure(scene: MakeScene) -> None:
    [found] = models.look(scene(env={"OLLAMA_BASE_URLS": "http://127.0.0.1:1"}))
    assert (found.state, "Start Ollama" in found.cure) == (State.WARNING, True)


def test_the_servers_settings_come_before_ours(scene: MakeScene) -> None:
    server = a_process(environ={"ENABLE_OLLAMA_API": "False", "OPENAI_API_BASE_URL": "x"})
    env = {"OLLAMA_BASE_URL": "http://127.0.0.1:1"}
    assert states(models.look(scene(servers=[server], env=env))) == {"model-servers": State.NOTE}


def test_addresses_of_models_are_told_without_their_secrets(scene: MakeScene) -> None:
    env = {
        "ENABLE_OLLAMA_API": "false",
        "OPENAI_API_BASE_URLS": "https://u:secret@one.example/v1?k=secret;http://two.example:1/v1",
    }
    [found] = models.look(scene(env=env))
    assert "https://one.example, http://two.example:1" in found.text
    assert "secret" not in str(found)


# Services


def facts(**named: object) -> Told:
    return Told({"services": {"found": {}, "pccs": None, "dcap": True, **named}})


def test_offline_asks_nobody(scene: MakeScene) -> None:
    with chat({}) as server:
        own = facts(found={"alibaba": server.url}, pccs=server.url)
        found = services.look(scene(own=own, offline=True))
        assert (states(found), server.asked) == ({"services": State.NOTE}, [])


def test_services_that_answer(scene: MakeScene) -> None:
    identity = {"/tdx/certification/v4/qe/identity": Says({"enclaveIdentity": {}})}
    with chat(identity) as server:
        found = services.look(scene(own=facts(found={"alibaba": server.url}, pccs=server.url)))
    assert states(found) == {
        "service-alibaba": State.OK,
        "pccs": State.OK,
        "clock": State.OK,
    }


@pytest.mark.parametrize("says", [Says("<html>"), Says({"enclaveIdentity": 1}, 503), Says([])])
def test_a_pccs_that_is_none(scene: MakeScene, says: Says) -> None:
    with chat({"/tdx/certification/v4/qe/identity": says}) as server:
        found = services.look(scene(own=facts(pccs=server.url)))
    assert the(found, "pccs").state is State.WARNING


def test_services_that_do_not_answer(scene: MakeScene) -> None:
    own = facts(found={"trustee": "http://127.0.0.1:1"}, pccs="http://127.0.0.1:1")
    found = services.look(scene(own=own))
    assert states(found) == {"service-trustee": State.WARNING, "pccs": State.WARNING}
    assert all(one.cure for one in found)


def test_the_service_that_the_server_suggests_is_asked(scene: MakeScene) -> None:
    with chat({}) as service:
        config = {
            **CONFIG,
            "offered": ["trustee", "alibaba", "evil"],
            "providers": {
                "trustee": {"url": service.url},
                "alibaba": {"url": "http://192.0.2.1"},  # a page could not ask it either
                "evil": {"url": service.url},
            },
        }
        with chat(with_the_kit(config=Says(config))) as server:
            found = services.look(scene(url=server.url, own=facts()))
    assert states(found) == {"service-trustee": State.OK, "clock": State.OK}


@pytest.mark.parametrize(
    ("seconds", "state"),
    [(0, State.OK), (-60, State.WARNING), (3600, State.FAILURE)],
)
def test_the_clock_is_held_against_a_services(scene: MakeScene, seconds: int, state: State) -> None:
    date = email.utils.formatdate(time.time() + seconds, usegmt=True)
    with chat({"/": Says(b"", headers={"Date": date})}) as server:
        found = services.look(scene(own=facts(found={"alibaba": server.url})))
    assert the(found, "clock").state is state


# Advisories


def test_the_list_has_the_form_that_it_says() -> None:
    listed = advisories.known()
    assert listed.openwebui == editions.versions()[0]
    assert len({one.id for one in listed.advisories}) == len(listed.advisories) > 20
    for one in listed.advisories:
        assert one.id.startswith("CVE-")
        assert one.ghsa.startswith("GHSA-")
        assert tuple(map(int, one.fixed.split("."))) > tuple(map(int, listed.openwebui.split(".")))
        assert one.what.endswith(".")
        assert len(one.what) < 120
        assert one.kit in {"closed", "partly", "open"}
        assert bool(one.by) == (one.kit != advisories.OPEN)


def test_patches_that_close_something_are_there() -> None:
    listed = advisories.known()
    folder = patchset.default_root() / f"v{listed.openwebui}"
    numbers = {path.name[:4] for path in folder.glob("*.patch")}
    named = {word for one in listed.advisories for word in one.by.split() if word.isdigit()}
    assert named
    assert named <= numbers


def test_the_page_names_each_advisory_with_its_sentence() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "doctor.md").read_text()
    for one in advisories.known().advisories:
        by = f"{one.kit}: {one.by}" if one.by else one.kit
        assert f"| {one.id} | {one.what} | {one.fixed} | {by} |" in page


def test_advisories_are_named_for_the_version_that_is_there(scene: MakeScene) -> None:
    def at(version: str) -> Sequence[Finding]:
        return advisories.look(scene(probed=Told({"open_webui": {"version": version}})))

    listed = advisories.known()
    found = at(listed.openwebui)
    assert states(found) == {"advisories-closed": State.OK, "advisories-open": State.NOTE}
    said = [one for finding in found for one in finding.detail["advisories"]]
    assert len(said) == len(listed.advisories)
    assert states(at(editions.versions()[-1])) == {"advisories": State.NOTE}
    assert states(advisories.look(scene())) == {"advisories": State.UNKNOWN}
