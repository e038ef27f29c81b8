"""``python -m quote_generator``: quotes and their structures on the command line.

Exit codes: 0 done; 2 bad arguments or input; 3 no TDX here; 4 not permitted; 5 busy; 6 timed out;
7 the quote service failed; 8 the answer was corrupt; 9 the event logs do not lead to the quote's
registers; 10 the quote is of a kind that is not supported yet; 11 the C core is missing;
130 interrupted by Ctrl-C; 1 anything else.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import attester, errors, eventlog
from .eventtext import text_of
from .logfile import MAX_LOG_SIZE
from .quote import parse_quote
from .tdreport import TDREPORT_SIZE, parse_tdreport

FORMATS = ("json", "hex", "raw")
# Twice the largest quote in hex: leaves room for blanks, and ends what has no end.
MAX_INPUT_SIZE = 256 * 1024

EXIT_CODES: dict[type[errors.QuoteGeneratorError], int] = {
    errors.BadInput: 2,
    errors.NotAvailable: 3,
    errors.NotPermitted: 4,
    errors.Busy: 5,
    errors.TimedOut: 6,
    errors.ServiceFailed: 7,
    errors.CorruptAnswer: 8,
    errors.LogMismatch: 9,
    errors.NotSupported: 10,
    errors.CoreMissing: 11,
}
EXIT_LOGS_DIFFER = EXIT_CODES[errors.LogMismatch]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = _parser().parse_args(_with_default_command(sys.argv[1:] if argv is None else argv))
    try:
        if sys.stdout is None:
            raise OSError("standard output is closed; open it, to a file or a pipe")
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except errors.QuoteGeneratorError as error:
        print(f"quote_generator: {error}", file=sys.stderr)
        return EXIT_CODES.get(type(error), 1)
    except OSError as error:
        # Else Python would try once more at its exit, and complain.
        with contextlib.suppress(OSError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # whose reader has seen enough
            print(f"quote_generator: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _with_default_command(argv: Sequence[str]) -> list[str]:
    """``quote`` is what runs when no command is named."""
    if not argv or (argv[0].startswith("-") and argv[0] not in {"-h", "--help", "--version"}):
        return ["quote", *argv]
    return list(argv)


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from . import __version__

        print(__version__)
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m quote_generator",
        description="Quotes of this Intel TDX trust domain. Without a command: quote.",
        epilog=(__doc__ or "").split("\n\n", 1)[1],
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> Any:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    quote = command("quote", _quote, "make a quote and print it")
    _add_request_options(quote)
    quote.add_argument(
        "--transport",
        choices=(*attester.TRANSPORTS, "simulator"),
        help="use only this interface; without it the first that works",
    )
    report = command("report", _report, "get a TDREPORT and print it")
    _add_request_options(report)
    transports = command("transports", _transports, "say which interfaces this machine has")
    _add_format(transports, ("json",))
    parse = command("parse", _parse, "show what a quote or a TDREPORT says, or convert it")
    parse.add_argument(
        "file", nargs="?", default="-", help="raw bytes, hex or base64; - is stdin, and the default"
    )
    _add_format(parse, FORMATS)
    eventlog = command(
        "eventlog", _eventlog, "show this machine's event logs, and compare them with a quote"
    )
    eventlog.add_argument("--ccel", metavar="FILE", help="the firmware's log, instead of ours")
    eventlog.add_argument("--aael", metavar="FILE", help="the application's log, instead of ours")
    eventlog.add_argument("--quote", metavar="FILE", help="a quote: raw bytes, hex or base64")
    eventlog.epilog = "One of the three files may be -, which is stdin."
    _add_format(eventlog, ("json",))
    simulator = command(
        "simulator", _simulator, "write the root and collateral of the simulator as files"
    )
    simulator.add_argument("folder", type=Path, metavar="FOLDER", help="where to; made if missing")
    return parser


def _add_format(parser: argparse.ArgumentParser, formats: Sequence[str]) -> None:
    parser.add_argument("--format", choices=formats, default="json", help="default json")


def _add_request_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--report-data",
        type=_report_data,
        default=bytes(attester.REPORT_DATA_SIZE),
        metavar="HEX",
        help="up to 64 bytes in hex, padded with zeros; default: all zeros",
    )
    parser.add_argument(
        "--timeout", type=float, default=10.0, metavar="SECONDS", help="for all of it; default 10"
    )
    _add_format(parser, FORMATS)


def _report_data(text: str) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise argparse.ArgumentTypeError("not hex digits") from None
    if len(data) > attester.REPORT_DATA_SIZE:
        raise argparse.ArgumentTypeError(f"more than {attester.REPORT_DATA_SIZE} bytes")
    return data.ljust(attester.REPORT_DATA_SIZE, b"\0")


def _quote(arguments: argparse.Namespace) -> int:
    made = attester.attest(
        arguments.report_data, transport=arguments.transport, timeout=arguments.timeout
    )

    def describe() -> dict[str, Any]:
        return {
            "transport": made.transport,
            "provider": made.provider,
            "simulated": made.simulated,
            "quote": made.quote.hex(),
            "quote_parse": parse_quote(made.quote).to_dict(),
        }

    return _print(made.quote, arguments.format, describe)


def _report(arguments: argparse.Namespace) -> int:
    report = attester.get_tdreport(arguments.report_data, timeout=arguments.timeout)

    def describe() -> dict[str, Any]:
        return {"tdreport": report.hex(), "tdreport_parse": parse_tdreport(report).to_dict()}

    return _print(report, arguments.format, describe)


def _transports(arguments: argparse.Namespace) -> int:
    return _print_json([dataclasses.asdict(found) for found in attester.available_transports()])


def _parse(arguments: argparse.Namespace) -> int:
    data = _read(arguments.file)
    # No quote is as short as a TDREPORT.
    parse = parse_tdreport if len(data) == TDREPORT_SIZE else parse_quote
    described = parse(data).to_dict()
    return _print(data, arguments.format, lambda: dict(described))


def _eventlog(arguments: argparse.Namespace) -> int:
    if [arguments.ccel, arguments.aael, arguments.quote].count("-") > 1:
        raise errors.BadInput("only one of the files can be stdin.")
    given = arguments.ccel or arguments.aael
    ccel = eventlog.read_ccel() if not given else _read_log(arguments.ccel)
    aael = eventlog.read_aael() if not given else _decoded(_read_log(arguments.aael))
    ccel, aael = eventlog.join_logs(ccel, aael)
    document: dict[str, Any] = {"ccel": None, "aael": None}
    if ccel is not None:
        events = eventlog.parse_ccel(ccel)
        document["ccel"] = {
            "events": [
                {**event.to_dict(), **dataclasses.asdict(text_of(event))} for event in events
            ],
            "registers": {k: v.hex() for k, v in eventlog.replay_ccel(events).items()},
        }
    if aael is not None:
        log = eventlog.parse_aael(aael)
        document["aael"] = {
            "initial": log.initial.hex(),
            "events": [event.to_dict() for event in log.events],
            "registers": {"rtmr_3": log.replay().hex()},
        }
    checks = _compare(arguments.quote, ccel, aael) if arguments.quote else ()
    if arguments.quote:
        document["comparison"] = [dataclasses.asdict(check) for check in checks]
    _print_json(document)
    for check in checks:
        if check.outcome == "unexplained":
            print(f"quote_generator: {check.register}: {check.reason}.", file=sys.stderr)
    differing = [check.register for check in checks if check.outcome == "differs"]
    if differing:
        print(
            f"quote_generator: the event logs do not lead to the quote's {', '.join(differing)}.",
            file=sys.stderr,
        )
    return EXIT_LOGS_DIFFER if differing else 0


def _simulator(arguments: argparse.Namespace) -> int:
    from .atomic_file import write_atomic
    from .simulator import Simulator
    from .simulator.files import files_of

    simulator = Simulator.open(attester.simulator_directory(os.environ))
    collateral = simulator.collateral()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name, content in files_of(simulator.root_der, simulator.root_pem, collateral).items():
        write_atomic(arguments.folder / name, content, mode=0o644)
        print(arguments.folder / name)
    return 0


def _compare(
    quote: str, ccel: bytes | None, aael: str | None
) -> tuple[eventlog.RegisterCheck, ...]:
    body = parse_quote(_read(quote)).body
    registers = {name: getattr(body, name) for name in eventlog.REGISTERS}
    return eventlog.compare(registers, ccel=ccel, aael=aael)


def _read_log(name: str | None) -> bytes | None:
    return None if name is None else _read_bounded(name, MAX_LOG_SIZE)


def _decoded(data: bytes | None) -> str | bytes | None:
    return None if data is None else eventlog.decode_aael(data)


def _read(name: str) -> bytes:
    """Return a file's bytes, decoded if the file holds hex digits or base64, of either alphabet."""
    data = _read_bounded(name, MAX_INPUT_SIZE)
    if not data.strip():
        raise errors.BadInput("the input is empty.")
    try:
        text = "".join(data.decode("ascii").split())
    except UnicodeDecodeError:
        return data
    try:
        return bytes.fromhex(text)
    except ValueError:
        pass
    try:
        standard = text.rstrip("=").translate(str.maketrans("-_", "+/"))
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except binascii.Error:
        return data


def _read_bounded(name: str, size: int) -> bytes:
    """Return the bytes of a file or stdin; BadInput where they are more than size."""
    if name == "-" and sys.stdin is None:
        raise errors.BadInput("standard input is closed; give it a file or a pipe.")
    with sys.stdin.buffer if name == "-" else Path(name).open("rb") as file:
        data: bytes = file.read(size + 1)
    if len(data) > size:
        raise errors.BadInput(f"{name} has more than {size} bytes.", path=name)
    return data


def _print(data: bytes, form: str, describe: Callable[[], dict[str, Any]]) -> int:
    if form == "raw":
        if sys.stdout.isatty():
            raise errors.BadInput(
                "raw bytes are not for a terminal: send them to a file or a pipe, or use "
                "--format hex."
            )
        sys.stdout.buffer.write(data)
    elif form == "hex":
        print(data.hex())
    else:
        _print_json(describe())
    return 0


def _print_json(document: object) -> int:
    print(json.dumps(document, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
