"""Every kind of quote, by every transport: whole ones come out as they are, malformed ones never.

The emulator runs in a process of its own, so the kinds are told to it by name (signers.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from guest import QGS_PORT
from test_command_line import inside
from test_configfs import REPORT_DATA, report_data_of

from conftest import ON_REAL_KERNEL, Emulate
from emulator import Emulator, signers
from emulator.qgs import Qgs
from quote_generator import errors
from quote_generator.attester import System, attest
from quote_generator.consistency import check_consistency
from quote_generator.quote import parse_quote

EXTENDED = "v5-td15ex"
BODY_SIZES = {"v4": 584, "v5": 584, "v5-td15": 648, EXTENDED: 885}
DEVICES = {"configfs-tsm": "upstream", "legacy-ioctl": "legacy", "qgs-vsock": "upstream"}

by_every_transport = pytest.mark.parametrize("transport", DEVICES)


@contextmanager
def machine(
    emulate: Emulate, folder: Path, transport: str, form: str, *, padding: int = 0
) -> Iterator[System]:
    """A machine whose quotes are of this form, by this transport; a QGS may pad its own."""
    with emulate(device=DEVICES[transport], form=form) as emulator:
        system = System.under(emulator.root, environ={})
        if transport != "qgs-vsock":
            yield system
            return
        sign = signers.fixed(form)
        port = QGS_PORT if ON_REAL_KERNEL else None
        with Qgs(folder, lambda data: sign(data) + bytes(padding), vsock_port=port) as qgs:
            config = folder / "tdx-attest.conf"
            config.write_text(f"port={QGS_PORT}\n")
            yield replace(system, qgs_config=str(config), qgs_socket=qgs.socket)


@by_every_transport
@pytest.mark.parametrize("form", signers.FORMS)
def test_a_quote_comes_out_whole(
    emulate: Emulate, tmp_path: Path, transport: str, form: str
) -> None:
    with machine(emulate, tmp_path, transport, form) as system:
        made = attest(REPORT_DATA, transport=transport, timeout=30, system=system)
    quote = parse_quote(made.quote)
    assert (quote.header.version, quote.body_type) == signers.FORMS[form]
    assert len(quote.body.pack()) == BODY_SIZES[form]
    assert report_data_of(made.quote) == REPORT_DATA
    assert (made.transport, made.simulated) == (transport, False)
    check_consistency(quote)


@pytest.mark.emulated("the module's quotes have zeros in their bodies")
@by_every_transport
def test_what_only_an_extended_quote_tells_comes_out(
    emulate: Emulate, tmp_path: Path, transport: str
) -> None:
    with machine(emulate, tmp_path, transport, EXTENDED) as system:
        body = parse_quote(attest(REPORT_DATA, transport=transport, system=system).quote).body
    assert (body.vmid, body.td_id, body.devinfo) == (b"\0", b"\x1d" * 32, b"\xde" * 48)
    assert (body.init_tee_fmspc, body.curr_server_td_attr) == (b"\xf5" * 12, bytes(8))


@pytest.mark.emulated("the module makes good quotes of these kinds only")
@by_every_transport
@pytest.mark.parametrize("form", signers.MALFORMED)
def test_a_malformed_quote_never_comes_out(
    emulate: Emulate, tmp_path: Path, transport: str, form: str
) -> None:
    with (
        machine(emulate, tmp_path, transport, form) as system,
        pytest.raises(errors.CorruptAnswer) as caught,
    ):
        attest(REPORT_DATA, transport=transport, timeout=30, system=system)
    words = {
        "td15ex-of-884": "wrong size",
        "td15ex-of-886": "wrong size",
        "td15ex-in-v4": "cut short",
        "td15ex-cut": "cut short",
        "type-3-of-885": "wrong size",
        "type-5": "body type is not one of a trust domain",
    }
    assert words[form] in str(caught.value)


@pytest.mark.parametrize("padding", [1, 70, 237, 4000])
def test_zeros_that_a_quoting_service_appends_are_cut_off(
    emulate: Emulate, tmp_path: Path, padding: int
) -> None:
    """As services do whose buffer is for the largest quote that they know."""
    plain = signers.fixed(EXTENDED)(REPORT_DATA)
    with machine(emulate, tmp_path, "qgs-vsock", EXTENDED, padding=padding) as system:
        made = attest(REPORT_DATA, transport="qgs-vsock", timeout=30, system=system)
    assert len(made.quote) == len(plain)
    assert parse_quote(made.quote).body == parse_quote(plain).body


def test_zeros_that_a_driver_appends_are_cut_off(emulate: Emulate) -> None:
    with emulate(form=EXTENDED, fault="padded") as emulator:
        system = System.under(emulator.root, environ={})
        made = attest(REPORT_DATA, transport="configfs-tsm", timeout=30, system=system)
    assert parse_quote(made.quote).body_type == 4


@pytest.mark.parametrize(("told", "kind"), [("", (4, 2)), ("2", (5, 2)), ("4", (5, 4))])
def test_the_simulator_makes_the_kind_that_it_is_told(
    tmp_path: Path, told: str, kind: tuple[int, int]
) -> None:
    system = simulating(tmp_path, told)
    quote = parse_quote(attest(REPORT_DATA, transport="simulator", system=system).quote)
    assert (quote.header.version, quote.body_type) == kind
    assert quote.body.report_data == REPORT_DATA


@pytest.mark.parametrize("told", ["1", "5", "v5", "4 ", "٤"])
def test_the_simulator_is_told_no_other_kind(tmp_path: Path, told: str) -> None:
    with pytest.raises(errors.BadInput, match="2, 3 or 4"):
        attest(REPORT_DATA, transport="simulator", system=simulating(tmp_path, told))


def simulating(folder: Path, body: str) -> System:
    environ = {"QUOTE_GENERATOR_SIMULATE": "1", "QUOTE_GENERATOR_SIMULATOR_DIR": str(folder)}
    return System(environ={**environ, "QUOTE_GENERATOR_SIMULATE_BODY": body})


@pytest.fixture
def extended() -> Iterator[Callable[..., bytes]]:
    """The command line where quotes have bodies of type 4: its arguments in, its output out."""
    with Emulator(form=EXTENDED) as emulator:

        def ask(*arguments: str) -> bytes:
            done = inside(emulator, *arguments)
            assert (done.stderr, done.returncode) == (b"", 0)
            return done.stdout

        yield ask


@pytest.mark.emulated("the module's quotes have zeros in their bodies")
def test_the_command_line_shows_an_extended_quote(
    extended: Callable[..., bytes], tmp_path: Path
) -> None:
    document = json.loads(extended("quote", "--report-data", REPORT_DATA.hex()))
    described = document["quote_parse"]
    assert (described["type"], described["size"]) == ("0400", "75030000")
    assert described["body"]["vmid"] == "00"
    assert described["body"]["td_id"] == "1d" * 32
    assert described["body"]["init_tee_tcb_svn"] == "050102" + "00" * 13
    raw = tmp_path / "quote"
    raw.write_bytes(extended("quote", "--format", "raw"))
    assert json.loads(extended("parse", str(raw)))["body"].keys() == described["body"].keys()
