"""Where a local Ollama keeps its models, and how they are measured beside everything else."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from cczoo_backend.workload import models
from cczoo_backend.workload.models import FoundStore, Key, ModelMeter, Outcome, find_stores
from doubles.ollama_store import (
    CONFIG,
    LAYERS,
    TEMPLATE,
    WEIGHTS,
    OllamaStore,
    alter,
    claimed,
    manifest,
)
from quote_generator.workload import ollama
from quote_generator.workload.ollama import Measured, model_digest, parse_manifest, parse_name

SMALL = parse_name("small")


@pytest.fixture
def store(tmp_path: Path) -> OllamaStore:
    store = OllamaStore(tmp_path / "models")
    store.add()
    return store


@contextmanager
def metering(
    *stores: OllamaStore | Path,
    changed: Callable[[Key, Outcome | None], None] = lambda key, outcome: None,
    stuck_after: float = 60.0,
) -> Iterator[ModelMeter]:
    paths: Sequence[Path] = [getattr(each, "path", each) for each in stores]
    meter = ModelMeter(lambda: paths, changed=changed, pause=0.01, stuck_after=stuck_after)
    meter.start()
    try:
        yield meter
    finally:
        assert meter.stop()


def eventually(
    meter: ModelMeter, wanted: Callable[[Outcome], object], name: str = "small"
) -> Outcome:
    end = time.monotonic() + 30
    while not wanted(outcome := meter.outcome(name)):
        assert time.monotonic() < end, outcome
        time.sleep(0.002)
    return outcome


def measured(meter: ModelMeter, name: str = "small", other_than: str = "") -> Measured:
    outcome = eventually(
        meter, lambda each: each.model is not None and each.model.digest != other_than, name
    )
    assert outcome.state == "measured"
    assert outcome.model is not None
    return outcome.model


def told(meter: ModelMeter, why: str, name: str = "small") -> None:
    outcome = eventually(meter, lambda each: each.why == why, name)
    assert outcome == Outcome("not-measured", why)


# --- stores --------------------------------------------------------------------------------------


class Machine:
    """A file system with processes of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.process("self", {})

    def store(self, path: str) -> Path:
        folder = self.root / path
        (folder / "manifests").mkdir(parents=True)
        return folder

    def process(
        self, pid: str, environment: dict[str, str], *, container: str | None = None, cwd: str = "/"
    ) -> None:
        folder = self.root / "proc" / pid
        (folder / "ns").mkdir(parents=True)
        pairs = "".join(f"{name}={value}\0" for name, value in environment.items())
        (folder / "environ").write_text(pairs)
        (folder / "ns/mnt").symlink_to(f"mnt:[{container or 'ours'}]")
        (folder / "root").symlink_to(self.root / container if container else "/")
        (folder / "cwd").symlink_to(cwd)

    def found(self, *servers: int, **environment: str) -> list[FoundStore]:
        return find_stores(servers, environment, root=self.root)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_serving_process_decides(machine: Machine) -> None:
    served = machine.store("srv/models")
    machine.store("usr/share/ollama/.ollama/models")
    machine.process("7", {"HOME": "/root", "OLLAMA_MODELS": " '/srv/models' "})
    assert machine.found(7) == [FoundStore(served, True)]


def test_the_serving_process_has_a_home(machine: Machine) -> None:
    home = machine.store("usr/share/ollama/.ollama/models")
    machine.process("7", {"HOME": "/usr/share/ollama", "OLLAMA_MODELS": ""})
    machine.process("8", {"HOME": "/usr/share/ollama"})
    assert machine.found(7, 8) == [FoundStore(home, True)]


def test_a_path_is_relative_to_where_the_process_works(machine: Machine) -> None:
    served = machine.store("srv/here")
    machine.process("7", {"OLLAMA_MODELS": "here"}, cwd="/srv")
    assert machine.found(7) == [FoundStore(served, True)]


def test_a_store_of_a_container_is_reached_through_its_process(machine: Machine) -> None:
    machine.store("box/root/.ollama/models")
    machine.store("root/.ollama/models")
    machine.process("7", {"HOME": "/root"}, container="box")
    found = machine.root / "proc/7/root/root/.ollama/models"
    assert machine.found(7) == [FoundStore(found, True)]


def test_without_its_word_all_that_could_be_served_are_named(machine: Machine) -> None:
    (machine.root / "etc").mkdir()
    (machine.root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nbroken\nme:x:1:1::/home/me:/bin/sh\nno:x:2:2::relative:/\n"
    )
    wanted = ["srv/ours", "home/me/.ollama/models", "usr/share/ollama/.ollama/models"]
    expected = [FoundStore(machine.store(path), False) for path in wanted]
    assert machine.found(OLLAMA_MODELS="/srv/ours", HOME="/home/me") == expected
    machine.process("8", {"PATH": "/bin"})
    assert machine.found(8, 9999, OLLAMA_MODELS="/srv/ours") == expected


def test_a_folder_with_two_names_is_one_store(machine: Machine) -> None:
    vendors = machine.store("usr/share/ollama/.ollama/models")
    (machine.root / "srv").mkdir()
    (machine.root / "srv/link").symlink_to(vendors)
    assert machine.found(OLLAMA_MODELS="/srv/link") == [
        FoundStore(machine.root / "srv/link", False)
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another account")
def test_a_store_that_another_account_hides_is_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.store("usr/share/ollama/.ollama/models")
    (machine.root / "usr/share/ollama").chmod(0o700)
    monkeypatch.chdir(machine.root)
    os.seteuid(65534)
    try:
        found = find_stores((), {}, root=Path())
        assert found == [FoundStore(Path("usr/share/ollama/.ollama/models"), False)]
        with metering(found[0].path) as meter:
            told(meter, "store-not-read")
            assert meter.stores()[found[0].path].why == "unreadable"
    finally:
        os.seteuid(0)


def test_settings_that_are_no_paths_find_nothing(machine: Machine) -> None:
    for value in ("\0", "x" * 5000, "relative", "/" + "y" * 300, "/\udcff"):
        assert machine.found(OLLAMA_MODELS=value, HOME="\0") == []


# --- measuring -----------------------------------------------------------------------------------


def test_models_are_measured(store: OllamaStore) -> None:
    store.add("small/v2", LAYERS | {"system": b"Be kind."})
    with metering(store) as meter:
        first, second = measured(meter), measured(meter, "small:v2")
        assert {key.name.tag for key in meter.outcomes()} == {"latest", "v2"}
        assert meter.stores()[store.path].models == 2
    assert first.digest == model_digest(parse_manifest(manifest(LAYERS)))
    assert second.digest != first.digest


def test_each_change_is_noticed_and_told(store: OllamaStore) -> None:
    heard: list[tuple[Key, Outcome | None]] = []
    with metering(store, changed=lambda *what: heard.append(what)) as meter:
        first = measured(meter)
        alter(store.blob(WEIGHTS))
        second = measured(meter, other_than=first.digest)
        assert [each.digest for each in second.altered] == [claimed(WEIGHTS)]
        alter(store.blob(WEIGHTS))
        assert measured(meter, other_than=second.digest) == first
        path = store.write_manifest(manifest({"model": WEIGHTS}))
        third = measured(meter, other_than=first.digest)
        path.write_bytes(b"{}")
        told(meter, "bad-manifest")
        store.add()
        assert measured(meter) == first
        path.unlink()
        told(meter, "no-such-model")
    finals = [outcome and (outcome.why or outcome.model) for _, outcome in heard]
    # What is looked at while it is being written was "changed", and is looked at again.
    assert [final for final in finals if final != "changed"] == [
        first,
        second,
        first,
        third,
        "bad-manifest",
        first,
        None,
    ]


def test_nothing_is_hashed_twice(store: OllamaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[int] = []
    hash_it = ollama._hash
    monkeypatch.setattr(
        ollama, "_hash", lambda file, size, *rest: (hashed.append(size), hash_it(file, size, *rest))
    )
    store.add("small/v2", LAYERS | {"system": b"Be kind."})
    with metering(store) as meter:
        measured(meter, "small:v2")
        measured(meter)
        time.sleep(0.1)
    assert len(hashed) == 4


def one_byte_at_a_time(monkeypatch: pytest.MonkeyPatch, before_each: Callable[[], object]) -> None:
    """Have blobs read so, after something else each time."""
    real = os.readv

    def readv(file: int, buffers: list[memoryview]) -> int:
        before_each()
        return real(file, buffers)

    monkeypatch.setattr(ollama, "_PIECE", 1)
    monkeypatch.setattr(os, "readv", readv)


def test_progress_is_told(store: OllamaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    some, go_on = iter(range(16)), threading.Event()
    one_byte_at_a_time(monkeypatch, lambda: next(some, None) is None and go_on.wait(30))
    with metering(store) as meter:
        outcome = eventually(meter, lambda each: each.done == 16)
        assert outcome.state == "being-measured"
        assert outcome.total == len(CONFIG + WEIGHTS + TEMPLATE)
        go_on.set()
        measured(meter)


def test_the_smallest_model_is_measured_first(store: OllamaStore) -> None:
    store.add("large/latest", {"model": bytes(3 << 20)})
    store.add("middle/latest", {"model": bytes(2 << 20)})
    order: list[str] = []
    with metering(store, changed=lambda key, outcome: order.append(key.name.model)) as meter:
        measured(meter, "large")
    assert order == ["small", "middle", "large"]


def test_a_change_elsewhere_is_noticed_while_a_large_model_is_hashed(
    store: OllamaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_byte_at_a_time(monkeypatch, lambda: time.sleep(0.002))
    store.add("large/latest", {"model": bytes(20_000)})
    with metering(store) as meter:
        measured(meter)
        eventually(meter, lambda each: each.done > 0, "large")
        store.write_manifest(b"{}")
        told(meter, "bad-manifest")
        assert meter.outcome("large").state == "being-measured"


def test_it_ends_within_a_piece(store: OllamaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.blob(WEIGHTS).open("r+b") as file:
        file.truncate(1 << 40)
    with metering(store) as meter:
        eventually(meter, lambda each: each.done > 0)
        began = time.monotonic()
        assert meter.stop()
        assert time.monotonic() - began < 3
        assert meter.outcome("small") == Outcome("not-measured", "stuck")
        assert set(meter.outcomes().values()) == {Outcome("not-measured", "stuck")}


def test_what_was_measured_does_not_count_when_the_thread_is_stuck(
    store: OllamaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    with metering(store, stuck_after=0.5) as meter:
        measured(meter)
        monkeypatch.setattr(models, "_marks", lambda *what: released.wait(30))
        told(meter, "stuck")
        assert not meter.stop(0.01)
        released.set()


def test_a_mistake_ends_in_nothing_measured(store: OllamaStore) -> None:
    def no_stores() -> list[Path]:
        raise OSError("broken")

    meter = ModelMeter(no_stores)
    meter.start()
    told(meter, "stuck")


def test_a_listener_that_fails_stops_nothing(store: OllamaStore) -> None:
    def changed(key: Key, outcome: Outcome | None) -> None:
        raise OSError("no register")

    with metering(store, changed=changed) as meter:
        first = measured(meter)
        alter(store.blob(WEIGHTS))
        measured(meter, other_than=first.digest)


def test_a_model_counts_only_under_the_manifest_that_the_server_shows(store: OllamaStore) -> None:
    with metering(store) as meter:
        model = measured(meter)
        shown = model.manifest.removeprefix("sha256:")
        assert meter.outcome("small:latest", shown).model == model
        assert meter.outcome("small", "0" * 64) == Outcome("not-measured", "other-manifest")
        assert meter.outcome("else", "0" * 64).why == "no-such-model"


def test_before_the_first_look_nothing_is_known(store: OllamaStore) -> None:
    assert ModelMeter(lambda: [store.path]).outcome("small").why == "not-looked-yet"


def test_of_two_models_with_one_name_none_counts(store: OllamaStore, tmp_path: Path) -> None:
    """Ollama compares names without case, and takes any of two."""
    store.add("Small/latest", LAYERS | {"system": b"Be kind."})
    with metering(store) as meter:
        told(meter, "ambiguous")
    twin = OllamaStore(tmp_path / "twin")
    twin.add()
    (store.library / "Small/latest").unlink()
    with metering(store, twin) as meter:
        eventually(meter, lambda each: len(meter.outcomes()) == 2 and each.model is not None)


@pytest.mark.parametrize("name", ["../small", "<b>small</b>", "sm\nall", "\u202esmall", ""])
def test_hostile_names_have_no_outcome_but_that(store: OllamaStore, name: str) -> None:
    with metering(store) as meter:
        measured(meter)
        assert meter.outcome(name) == Outcome("not-measured", "bad-name")


def test_what_cannot_be_measured_is_told_and_the_rest_is_measured(
    store: OllamaStore, tmp_path: Path
) -> None:
    os.mkfifo(store.library / "small/pipe")
    (store.library / "small/link").symlink_to("latest")
    store.write_manifest(b" " * (ollama.MAX_MANIFEST + 1), "small/large")
    store.write_manifest(manifest({"model": b"not there"}), "small/hollow")
    with metering(store, tmp_path / "nowhere") as meter:
        measured(meter)
        told(meter, "not-a-file", "small:pipe")
        told(meter, "link", "small:link")
        told(meter, "bad-manifest", "small:large")
        told(meter, "missing", "small:hollow")
        assert meter.stores()[tmp_path / "nowhere"].why == "missing"


def test_what_appears_is_measured(store: OllamaStore) -> None:
    store.blob(WEIGHTS).unlink()
    with metering(store) as meter:
        told(meter, "missing")
        store.blob(WEIGHTS).write_bytes(WEIGHTS)
        assert measured(meter).altered == ()


def test_thousands_of_models(store: OllamaStore) -> None:
    data = manifest(LAYERS)
    for number in range(1000):
        store.write_manifest(data, f"many/v{number}")
    with metering(store) as meter:
        measured(meter, "many:v999")
        assert measured(meter, "many:v998").digest == measured(meter).digest
        assert meter.stores()[store.path].complete
