"""The attester: asks this machine for a quote, through the first interface that works."""

from __future__ import annotations

import errno
import functools
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from .errors import (
    BadInput,
    Busy,
    CoreMissing,
    CorruptAnswer,
    NotAvailable,
    NotPermitted,
    NotSupported,
    QuoteGeneratorError,
    ServiceFailed,
    TimedOut,
)
from .eventlog import AAEL_PATH
from .guest import MENDED_IN, believes_the_host, is_azure
from .quote import BODY_SIZES, BODY_TD10, CERTIFICATION_PCK_CHAIN, parse_quote

REPORT_DATA_SIZE = 64
MAX_TIMEOUT = 600.0
TRANSPORTS_VARIABLE = "QUOTE_GENERATOR_TRANSPORTS"
SIMULATE_VARIABLE = "QUOTE_GENERATOR_SIMULATE"
SIMULATOR_DIR_VARIABLE = "QUOTE_GENERATOR_SIMULATOR_DIR"
SIMULATE_FAULT_VARIABLE = "QUOTE_GENERATOR_SIMULATE_FAULT"
SIMULATE_BODY_VARIABLE = "QUOTE_GENERATOR_SIMULATE_BODY"

# How long one wait in C may last: Python runs its signal handlers (Ctrl-C) between two of them.
_SLICE_MS = 50

_VSOCK_HOST_CID = 2
_VSOCK_ANY_PORT = 0xFFFFFFFF
# A quote service that works answers by vsock in a hundredth of a second. One that does not may not
# take the time that configfs-tsm needs: at most these seconds, and that share of what is left.
_QGS_SECONDS = 2.0
_QGS_SHARE = 0.25
# One that had at least so much of it in vain is not hurried again for a minute: it would cost each
# quote the same again. With less, it may just have been a moment too slow.
_QGS_FAIR_SECONDS = 0.5
_QGS_PAUSE = 60.0


@dataclass(frozen=True)
class System:
    """System names the files through which a machine offers TDX; tests give their own."""

    configfs: str = "/sys/kernel/config/tsm/report"
    guest_devices: tuple[str, ...] = ("/dev/tdx_guest", "/dev/tdx-guest")
    qgs_config: str = "/etc/tdx-attest.conf"
    qgs_socket: str | None = None  # a Unix socket instead of vsock to the host
    measurements: str = "/sys/devices/virtual/misc/tdx_guest/measurements"
    aael: str = f"/{AAEL_PATH}"
    sev_guest: str = "/dev/sev-guest"
    asset_tag: str = "/sys/class/dmi/id/chassis_asset_tag"
    tpms: tuple[str, ...] = ("/dev/tpmrm0", "/dev/tpm0")
    kernel: str = field(default_factory=lambda: os.uname().release)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @classmethod
    def under(cls, root: str, **changes: Any) -> System:
        """Return the system whose file tree begins at ``root``, with other ``changes``."""
        moved = cls(
            configfs=root + cls.configfs,
            guest_devices=tuple(root + device for device in cls.guest_devices),
            qgs_config=root + cls.qgs_config,
            measurements=root + cls.measurements,
            aael=root + cls.aael,
            sev_guest=root + cls.sev_guest,
            asset_tag=root + cls.asset_tag,
            tpms=tuple(root + tpm for tpm in cls.tpms),
        )
        return replace(moved, **changes)


@dataclass(frozen=True)
class Attestation:
    """Attestation is a quote and how it was made.

    ``quote`` is the whole quote, v4 or v5. ``transport`` is one of "qgs-vsock", "configfs-tsm",
    "legacy-ioctl" and "simulator"; ``provider`` is the kernel's name for what answered, such as
    "tdx_guest", or "simulator".
    """

    quote: bytes
    transport: str
    provider: str
    simulated: bool


def generate_quote(
    report_data: bytes = bytes(REPORT_DATA_SIZE),
    *,
    transport: str | None = None,
    timeout: float = 10.0,
) -> bytes:
    """Return a quote of this trust domain over ``report_data``; see ``attest``."""
    return attest(report_data, transport=transport, timeout=timeout).quote


def attest(
    report_data: bytes,
    *,
    transport: str | None = None,
    timeout: float = 10.0,
    system: System | None = None,
) -> Attestation:
    """Return a quote over ``report_data`` (exactly 64 bytes) and how it was made.

    ``transport`` names the one interface to use; without it the first that works is used, in
    the order of ``TRANSPORTS``, or of QUOTE_GENERATOR_TRANSPORTS in the environment. ``timeout``
    in seconds bounds the whole call, retries included (the call returns at most 0.3 s later). The
    simulator stands in only on a machine without any TDX interface, and only with
    QUOTE_GENERATOR_SIMULATE=1 in the environment.

    Raises NotAvailable, NotPermitted, Busy, TimedOut, ServiceFailed, CorruptAnswer, NotSupported,
    CoreMissing or BadInput.
    """
    _check_arguments(report_data, transport, timeout)
    report_data = bytes(report_data)
    system = system or System()
    deadline = time.monotonic() + timeout
    if transport == "simulator":
        return _simulate(report_data, deadline, system)
    if transport is not None:
        return _ATTEST_BY[transport](report_data, deadline, system)
    try:
        _native()
    except CoreMissing:
        if not _may_simulate(system) or _shows_an_interface(system):
            raise
        return _simulate(report_data, deadline, system)
    failures: dict[str, QuoteGeneratorError] = {}
    for turn in _turns(_order(system), deadline, system):
        if not isinstance(failures.get(turn.name), TimedOut | Busy | None):
            continue  # more time would not help
        began = time.monotonic()
        try:
            return _ATTEST_BY[turn.name](report_data, turn.until, system)
        except BadInput:
            raise
        except QuoteGeneratorError as failure:
            failures[turn.name] = failure
            if turn.hurried and isinstance(failure, TimedOut):
                _note_silence(system, turn.until - began)
            if not turn.hurried and not isinstance(failure, _ONLY_ITS_OWN):
                raise
    if not all(isinstance(failure, NotAvailable) for failure in failures.values()):
        raise _most_telling(failures)
    if _may_simulate(system):
        return _simulate(report_data, deadline, system)
    raise _nothing_found(failures, system)


# Failures of one interface that say nothing about the next one.
_ONLY_ITS_OWN = (NotAvailable, NotPermitted, ServiceFailed, NotSupported)


def _order(system: System) -> tuple[str, ...]:
    """Return the transports to try, as the environment sets them. Raises BadInput."""
    names = tuple(system.environ.get(TRANSPORTS_VARIABLE, "").replace(",", " ").split())
    if unknown := [name for name in names if name not in TRANSPORTS]:
        raise BadInput(
            f"{TRANSPORTS_VARIABLE} names {unknown[0]!r}; use some of {', '.join(TRANSPORTS)}, "
            "with commas between."
        )
    return tuple(dict.fromkeys(names)) or TRANSPORTS


@dataclass(frozen=True)
class _Turn:
    """_Turn says which transport is tried until when; after a hurried turn others have theirs."""

    name: str
    until: float
    hurried: bool = False


def _turns(order: tuple[str, ...], deadline: float, system: System) -> Iterator[_Turn]:
    """Yield whose turn it is.

    The quote service by vsock is by far the fastest, or does not answer at all: so where others
    come after it, it is hurried, and has another turn with all the time that they leave. Where it
    was silent a moment ago, it has that other turn alone.
    """
    for name in order:
        if name == _QGS and name != order[-1]:
            if _is_silent(system):
                continue
            left = max(0.0, deadline - time.monotonic())
            until = deadline - left + min(_QGS_SECONDS, left * _QGS_SHARE)
            yield _Turn(name, until, hurried=True)
        else:
            yield _Turn(name, deadline)
    if _QGS in order[:-1]:
        yield _Turn(_QGS, deadline)


# Until when a quote service that was silent is not hurried again, by what it is reached by.
_silent_until: dict[tuple[str, str | None], float] = {}


def _is_silent(system: System) -> bool:
    until = _silent_until.get((system.qgs_config, system.qgs_socket))
    return until is not None and time.monotonic() < until


def _note_silence(system: System, allowed: float) -> None:
    """Remember that the quote service said nothing, if it was ``allowed`` enough seconds."""
    if allowed >= _QGS_FAIR_SECONDS:
        key = (system.qgs_config, system.qgs_socket)
        _silent_until[key] = time.monotonic() + _QGS_PAUSE


def _note_answer(system: System) -> None:
    _silent_until.pop((system.qgs_config, system.qgs_socket), None)


def _most_telling(failures: Mapping[str, QuoteGeneratorError]) -> QuoteGeneratorError:
    """Return the failure to raise: of an interface that is there, best of one that had its time."""
    telling = {n: f for n, f in failures.items() if not isinstance(f, NotAvailable)}
    return next((f for name, f in telling.items() if name != _QGS), None) or telling[_QGS]


def simulates(*, timeout: float = 10.0, system: System | None = None) -> bool:
    """Return whether ``attest`` turns to the simulator here: asked for, and nothing else is there.

    Decides as ``attest`` does, by asking for a quote where a transport may answer; ``timeout``
    bounds that. Without QUOTE_GENERATOR_SIMULATE=1 nothing is asked.
    """
    system = system or System()
    if not _may_simulate(system):
        return False
    order = {TRANSPORTS_VARIABLE: system.environ.get(TRANSPORTS_VARIABLE, "")}
    try:
        attest(bytes(REPORT_DATA_SIZE), timeout=timeout, system=replace(system, environ=order))
    except NotAvailable:
        return True
    except CoreMissing:
        return not _shows_an_interface(system)
    except QuoteGeneratorError:
        pass  # an interface that fails is one
    return False


def _shows_an_interface(system: System) -> bool:
    """Return whether this machine seems to be a trust domain, for who has no C core to ask it."""
    return any(os.path.lexists(path) for path in (system.configfs, *system.guest_devices))


def get_tdreport(
    report_data: bytes = bytes(REPORT_DATA_SIZE),
    *,
    timeout: float = 10.0,
    system: System | None = None,
) -> bytes:
    """Return this trust domain's TDREPORT (1024 bytes) over ``report_data`` (exactly 64 bytes).

    A TDREPORT proves something on this machine only; a quote is one that Intel's keys sign.
    Raises as ``attest`` does.
    """
    _check_arguments(report_data, None, timeout)
    system = system or System()
    report, _ = _run(
        "tdreport",
        time.monotonic() + timeout,
        operation=_native().lib.TDX_REPORT,
        path=_guest_device("tdreport", system),
        report_data=bytes(report_data),
    )
    return report


def _check_arguments(report_data: bytes, transport: str | None, timeout: float) -> None:
    if not isinstance(report_data, bytes | bytearray) or len(report_data) != REPORT_DATA_SIZE:
        raise BadInput(f"report_data must be {REPORT_DATA_SIZE} bytes; pad or hash it to that size")
    if transport is not None and transport != "simulator" and transport not in TRANSPORTS:
        known = ", ".join((*TRANSPORTS, "simulator"))
        raise BadInput(f"unknown transport {transport!r}; use one of {known}")
    check_timeout(timeout)


def check_timeout(timeout: float) -> None:
    """Raise BadInput unless a time-out is a number of seconds that makes sense."""
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not is_number or not 0 <= timeout <= MAX_TIMEOUT:  # which no NaN is
        raise BadInput(f"timeout must be a number of seconds between 0 and {MAX_TIMEOUT:.0f}")


# --- the transports: the C core does the work --------------------------------------------------


def _by_configfs(report_data: bytes, deadline: float, system: System) -> Attestation:
    swept = (os.getpid(), system.configfs)
    quote, provider = _run(
        "configfs-tsm",
        deadline,
        operation=_native().lib.TDX_QUOTE_CONFIGFS,
        path=system.configfs,
        report_data=report_data,
        sweep=swept not in _swept,
    )
    _swept.add(swept)
    _check_quote("configfs-tsm", quote, report_data, system.configfs)
    return Attestation(quote, "configfs-tsm", provider, simulated=False)


# Once a process and report directory, entries that killed processes left are removed.
_swept: set[tuple[int, str]] = set()


def _by_qgs(report_data: bytes, deadline: float, system: System) -> Attestation:
    device = _guest_device("qgs-vsock", system)
    quote, provider = _run(
        "qgs-vsock",
        deadline,
        operation=_native().lib.TDX_QUOTE_QGS,
        path=device,
        report_data=report_data,
        qgs_port=qgs_port(system),
        qgs_socket=system.qgs_socket,
    )
    _note_answer(system)
    _check_quote("qgs-vsock", quote, report_data, device)
    return Attestation(quote, "qgs-vsock", provider, simulated=False)


def _by_legacy_ioctl(report_data: bytes, deadline: float, system: System) -> Attestation:
    device = _guest_device("legacy-ioctl", system)
    quote, provider = _run(
        "legacy-ioctl",
        deadline,
        operation=_native().lib.TDX_QUOTE_LEGACY,
        path=device,
        report_data=report_data,
    )
    _check_quote("legacy-ioctl", quote, report_data, device)
    return Attestation(quote, "legacy-ioctl", provider, simulated=False)


def _check_quote(
    transport: str, quote: bytes, report_data: bytes, path: str, cure: str | None = None
) -> None:
    """Hand out no quote that our own parser refuses, or whose parts do not hold together.

    The C core has found it whole and with the right report data; what is within the signature
    data, it does not look at. The errors are fixed phrases and have no cause: they are shown and
    logged, and what stands in a quote that is thrown away may be memory of this machine.
    """
    cure = cure or _THROWN_AWAY
    wrong = _wrong_with(quote, report_data)
    # Raised here, where no other error is being handled that could come along.
    if wrong is not None and len(quote) > _HOST_BUFFER:
        wrong = _DAMAGED  # which part it is would depend on that memory
    if wrong == _NO_CHAIN:
        raise ServiceFailed(f"{transport}: {wrong}; {_HOST_FAILED}.", path=path)
    if wrong is not None:
        raise CorruptAnswer(f"{transport}: {wrong}; {cure}.", path=path)


# Bytes of a quote in the smallest buffer that a driver has for the host's answer: 8 KiB less its
# header (Linux 6.7). A quote that fits is the host's own from end to end; quotes have some 5 KB.
_HOST_BUFFER = 8192 - 24
_DAMAGED = "the quote is damaged, its parts do not hold together"
_NO_CHAIN = "the quote brings no certificate chain"


def _wrong_with(quote: bytes, report_data: bytes) -> str | None:
    """Return a fixed phrase that says what is wrong with a quote; None where nothing is."""
    from .consistency import check_consistency  # brings `cryptography` along

    try:
        parsed = parse_quote(quote)
    except BadInput:  # whose text has numbers out of the quote
        return "the quote is damaged, its types and lengths are not those of a quote"
    if parsed.signature.certification_type != CERTIFICATION_PCK_CHAIN:
        return _NO_CHAIN
    try:
        check_consistency(parsed)
    except BadInput as error:  # whose text is a fixed phrase
        return f"the quote is damaged, {error}"
    except Exception:  # a library's that nobody has foreseen, whose text could quote anything
        return _DAMAGED
    if parsed.body.report_data != report_data:
        return "the quote carries other report data than was asked for"
    return None


def run_extension(index: int, digest: bytes, deadline: float, system: System) -> None:
    """Extend an RTMR through the kernel's file if there is one, else by the older ioctl."""
    lib = _native().lib
    file = _register_file(index, system)
    has_file = os.path.exists(file)
    _run(
        "extend-rtmr",
        deadline,
        operation=lib.TDX_EXTEND_FILE if has_file else lib.TDX_EXTEND_IOCTL,
        path=file if has_file else _guest_device("extend-rtmr", system),
        index=index,
        digest=digest,
    )


def read_register_file(index: int, deadline: float, system: System) -> bytes:
    """Return an RTMR's value (48 bytes) from the kernel's file for it; raises as ``attest``."""
    value, _ = _run(
        "extend-rtmr",
        deadline,
        operation=_native().lib.TDX_READ_FILE,
        path=_register_file(index, system),
    )
    return value


def _register_file(index: int, system: System) -> str:
    return f"{system.measurements}/rtmr{index}:sha384"


_QGS = "qgs-vsock"
_ATTEST_BY: dict[str, Callable[[bytes, float, System], Attestation]] = {
    _QGS: _by_qgs,
    "configfs-tsm": _by_configfs,
    "legacy-ioctl": _by_legacy_ioctl,
}
TRANSPORTS = tuple(_ATTEST_BY)
"""The order in which transports are tried unless the environment sets another."""


def _guest_device(transport: str, system: System) -> str:
    for device in system.guest_devices:
        if os.path.lexists(device):
            return device
    looked_for = " nor ".join(system.guest_devices)
    raise NotAvailable(
        f"{transport}: there is neither {looked_for}; {_CURES[transport][0]}.",
        errno=errno.ENOENT,
        path=system.guest_devices[0],
    )


def qgs_port(system: System) -> int:
    """Return the vsock port of the host's QGS, as ``port=`` in /etc/tdx-attest.conf sets it."""
    path = system.qgs_config
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        kind = NotPermitted if isinstance(error, PermissionError) else NotAvailable
        raise kind(
            f"qgs-vsock: cannot read {path} ({error.strerror}); to use the quote generation "
            "service by vsock, put its port into that file, such as port=4050.",
            errno=error.errno,
            path=path,
        ) from error
    match = re.search(r"^\s*port\s*=\s*(\d{1,10})\s*(?:#.*)?$", text, re.MULTILINE)
    if match is None or not 0 < int(match[1]) < _VSOCK_ANY_PORT:
        raise NotAvailable(f"qgs-vsock: {path} sets no port; write port=4050 into it.", path=path)
    return int(match[1])


@functools.cache
def _native() -> Any:
    """Return the extension module (cffi: ``ffi`` and ``lib``). Raises CoreMissing."""
    try:
        return import_module(_CORE, __package__)
    except ImportError as error:
        raise _core_missing(error) from error


_CORE = ".native._tdx"


def _core_missing(error: ImportError) -> CoreMissing:
    if isinstance(error, ModuleNotFoundError) and str(error.name).endswith(_CORE):
        what = (
            "This installation of quote_generator has no C core, which is built on Linux, where a "
            "C compiler is at hand"
        )
    else:
        what = f"The C core of quote_generator cannot be loaded here ({error})"
    return CoreMissing(
        f"{what}. Quotes need it: install the project's wheel, which is for x86-64 Linux with "
        "glibc; or from source, with a C compiler and Python's headers (Debian: gcc libc6-dev "
        "python3-dev): pip install --force-reinstall --no-cache-dir.",
        path=error.path,
    )


def _run(
    transport: str,
    deadline: float,
    *,
    operation: int,
    path: str,
    report_data: bytes = bytes(REPORT_DATA_SIZE),
    sweep: bool = False,
    qgs_port: int = 0,
    qgs_socket: str | None = None,
    index: int = 0,
    digest: bytes = b"",
) -> tuple[bytes, str]:
    """Run one job of the C core; return its answer's data and provider.

    The wait ends with the deadline even if the kernel does not answer: the job then belongs to
    its worker thread, which cleans up when the kernel lets it go (see native/job.c).
    """
    ffi, lib = _native().ffi, _native().lib
    # tdx_start copies these
    kept_path = ffi.new("char[]", os.fsencode(path))
    kept_socket = ffi.new("char[]", os.fsencode(qgs_socket)) if qgs_socket else ffi.NULL
    request = ffi.new(
        "tdx_request *",
        {
            "operation": operation,
            "path": kept_path,
            "sweep": sweep,
            "qgs_cid": _VSOCK_HOST_CID,
            "qgs_port": qgs_port,
            "qgs_socket": kept_socket,
            "index": index,
        },
    )
    ffi.memmove(request.report_data, report_data, len(report_data))
    ffi.memmove(request.digest, digest, len(digest))
    error = ffi.new("int *")
    while True:
        request.timeout_ms = max(0, int((deadline - time.monotonic()) * 1000))
        job = lib.tdx_start(request, error)
        if job != ffi.NULL:
            break
        if error[0] != errno.EBUSY or request.timeout_ms == 0:
            raise _not_started(error[0], path)
        lib.tdx_wait_for_room(min(_SLICE_MS, request.timeout_ms))
    last_moment = deadline + lib.TDX_GRACE_MS / 1000
    try:
        while not lib.tdx_wait(job, _SLICE_MS):
            if time.monotonic() > last_moment:
                raise TimedOut(
                    f"{transport}: the kernel has not answered in the time allowed; {_WAIT}.",
                    path=path,
                )
        answer = lib.tdx_answer_of(job)
        if answer.code != lib.TDX_OK:
            raise _failure(ffi, transport, answer)
        return bytes(ffi.buffer(answer.data, answer.size)), _text(ffi, answer.provider)
    finally:
        lib.tdx_release(job)


# --- what this machine has ----------------------------------------------------------------------


@dataclass(frozen=True)
class Transport:
    """Transport says of one interface whether this machine has it, and if not why."""

    name: str
    usable: bool
    reason: str


def available_transports(
    system: System | None = None, *, timeout: float = 2.0
) -> tuple[Transport, ...]:
    """Return every transport in the order in which they are tried, without making a quote.

    Those that the environment leaves out come last. ``usable`` is what can be seen from outside;
    only a quote shows that the host answers. ``timeout`` in seconds bounds the whole call: what a
    hung kernel does not answer is reported as not usable. Raises BadInput for another time-out
    than ``attest`` takes, and as ``attest`` does for what the environment says.
    """
    check_timeout(timeout)
    system = system or System()
    deadline = time.monotonic() + timeout
    order = _order(system)
    tried = [_look(name, _CHECKS[name], system, deadline) for name in order]
    left_out = f"{TRANSPORTS_VARIABLE} leaves it out."
    others = [Transport(name, False, left_out) for name in TRANSPORTS if name not in order]
    return (*tried, *others, _look("simulator", _check_simulator, system, deadline))


class _Look:
    """_Look looks for one transport, in a thread that may be left with a kernel that hangs.

    ``found`` counts once ``done`` is set.
    """

    def __init__(self, name: str, check: Callable[[System], str], system: System) -> None:
        self.name, self.system = name, system
        self.done = threading.Event()
        self.found = Transport(name, False, "looking for it failed, which should not happen.")
        self._check = check

    def start(self) -> None:
        try:
            threading.Thread(target=self._run, name=f"look for {self.name}", daemon=True).start()
        except RuntimeError as error:
            why = f"it cannot be looked for now ({error}); try again later."
            self.found = Transport(self.name, False, why)
            self._end()

    def _run(self) -> None:
        try:
            if self.name in TRANSPORTS:
                _native()
            self.found = Transport(self.name, True, self._check(self.system))
        except (NotAvailable, NotPermitted, CoreMissing) as error:
            self.found = Transport(self.name, False, str(error).removeprefix(f"{self.name}: "))
        except OSError as error:  # a device that is busy, or has just gone
            self.found = Transport(self.name, False, f"{error}; {_CURES[self.name][0]}.")
        finally:
            self._end()

    def _end(self) -> None:
        _looks.pop(self.name, None)
        self.done.set()


# By transport, who is looking for it: at most one thread of a process each, however often it is
# asked while the kernel hangs. In a child, after a fork, nobody is looking.
_looks: dict[str, _Look] = {}
if hasattr(os, "register_at_fork"):  # not on Windows, where one can parse quotes
    os.register_at_fork(after_in_child=_looks.clear)


def _look(name: str, check: Callable[[System], str], system: System, deadline: float) -> Transport:
    """Look for one transport; or wait for who is looking for it already, and share the answer."""
    while True:
        own = _Look(name, check, system)
        look = _looks.setdefault(name, own)
        if look is own:
            look.start()
        if not look.done.wait(max(0.0, deadline - time.monotonic())):
            again = "" if look is own else " to an earlier look"
            why = f"the kernel has not answered{again} in the time allowed"
            return Transport(name, False, f"{why}; {_WAIT}.")
        if look is own or look.system == system:
            return look.found


def _check_configfs(system: System) -> str:
    path = system.configfs
    available, permitted, _ = _CURES["configfs-tsm"]
    if not os.path.isdir(path):
        raise NotAvailable(
            f"there is no {path}; {available}.{_on_azure(system)}", errno=errno.ENOENT, path=path
        )
    provider = _provider_seen(system)
    if provider not in (None, _TDX_PROVIDER):
        raise NotAvailable(
            f"{path} is {provider}'s, no TDX trust domain's; {available}.", path=path
        )
    if provider is None and (azure := _on_azure(system)):
        raise NotAvailable(
            f"{path} is there, and nothing of TDX's behind it to be seen; {available}.{azure}",
            path=path,
        )
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        raise NotPermitted(f"{path} is not writable; {permitted}.", errno=errno.EACCES, path=path)
    found = f"{path} is there and writable"
    if believes_the_host(system.kernel):
        return (
            f"{found}; Linux {system.kernel} believes the host how long a quote is, unless its "
            f"distributor mended that (upstream: {MENDED_IN}): update it. A quote with foreign "
            "memory in it is thrown away here."
        )
    return found


_TDX_PROVIDER = "tdx_guest"


def _provider_seen(system: System) -> str | None:
    """Return the kernel's name of the provider where that is easily seen.

    Who asks the kernel makes an entry, for which it may have to wait; so this looks for a device
    of TDX's, then at the entries of others, then for another technology's device.
    """
    if any(os.path.lexists(device) for device in system.guest_devices):
        return _TDX_PROVIDER
    for provider in sorted(Path(system.configfs).glob("*/provider")):
        with suppress(OSError):  # it may be gone
            return provider.read_text().strip()
    return "sev_guest" if os.path.lexists(system.sev_guest) else None


def _on_azure(system: System) -> str:
    """Return a sentence to follow others where it explains why there is no TDX to be seen."""
    if not is_azure(system.asset_tag, system.tpms):
        return ""
    return (
        " This is a virtual machine of Azure's with a vTPM: in its TDX machines a paravisor keeps "
        "TDX to itself and vouches for the guest by the vTPM, which is not supported yet."
    )


def _check_device(transport: str, system: System) -> str:
    path = _guest_device(transport, system)
    if not os.access(path, os.R_OK | os.W_OK, effective_ids=True):
        raise NotPermitted(
            f"{path} is not readable and writable; {_CURES[transport][1]}.",
            errno=errno.EACCES,
            path=path,
        )
    return path


def _check_qgs(system: System) -> str:
    path = _check_device("qgs-vsock", system)
    port = qgs_port(system)
    if system.qgs_socket is None:
        try:
            socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
        except OSError as error:
            raise NotAvailable(
                f"this kernel has no vsock ({error.strerror}); load its module "
                "(modprobe vmw_vsock_virtio_transport).",
                errno=error.errno,
            ) from error
    return f"{path} is there, and {system.qgs_config} says port {port}"


def _check_legacy(system: System) -> str:
    """Ask for a quote into a buffer of no size: a driver that offers quotes says EINVAL."""
    import fcntl

    path = _check_device("legacy-ioctl", system)
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        for request in _GET_QUOTE_NUMBERS:
            try:
                fcntl.ioctl(fd, request, bytes(16))
            except OSError as error:
                if error.errno == errno.ENOTTY:
                    continue
            return f"{path} knows a request for quotes"
    finally:
        os.close(fd)
    raise NotAvailable(
        f"{path} does not offer quotes; {_CURES['legacy-ioctl'][0]}.",
        errno=errno.ENOTTY,
        path=path,
    )


def _check_simulator(system: System) -> str:
    if not _may_simulate(system):
        raise NotAvailable(f"it is used only when asked for: set {SIMULATE_VARIABLE}=1.")
    return f"{SIMULATE_VARIABLE}=1; used only where nothing else is"


_GET_QUOTE_NUMBERS = (0x80105404, 0xC0105404, 0xC0105402)  # as in native/device.c
_CHECKS: dict[str, Callable[[System], str]] = {
    _QGS: _check_qgs,
    "configfs-tsm": _check_configfs,
    "legacy-ioctl": _check_legacy,
}


# --- errors: from the C core's codes to classes, and what to do --------------------------------

_MODULE = "the tdx_guest module (modprobe tdx_guest)"
_DEVICE_NEEDS = f"it needs a TDX trust domain with {_MODULE}"
_DEVICE_PERMISSION = (
    "run as root, or give this process the device read-write (a container needs --device)"
)
_HOST_FAILED = (
    "ask the host's operator to check the quote generation service (QGS) and its platform "
    "registration"
)
_MODULE_FAILED = "the TDX module refused it: see the kernel's log"
_WAIT = "the quote service on the host may be down or slow: try again, or allow more time"
_THROWN_AWAY = (
    "the answer was thrown away: try again, and if it stays so report the kernel and the host"
)
_OTHER_KIND = (
    "ask the host's operator for quotes of version 4 or 5 signed with ECDSA P-256, or look for a "
    "newer release of this package"
)
# By transport: what it takes to have it, to be allowed to use it, and if the other side fails.
_CURES = {
    "configfs-tsm": (
        f"it needs a TDX trust domain, Linux 6.7 or later with {_MODULE}, and configfs mounted "
        "(mount -t configfs none /sys/kernel/config)",
        "run as root, or give this process a writable mount of it (a container needs "
        "/sys/kernel/config mounted read-write)",
        _HOST_FAILED,
    ),
    "qgs-vsock": (f"{_DEVICE_NEEDS}, and vsock to the host", _DEVICE_PERMISSION, _HOST_FAILED),
    "legacy-ioctl": (
        "only vendor kernels older than Linux 6.7 offer it: use configfs-tsm on later ones",
        _DEVICE_PERMISSION,
        _HOST_FAILED,
    ),
    "tdreport": (_DEVICE_NEEDS, _DEVICE_PERMISSION, _MODULE_FAILED),
    "extend-rtmr": (
        f"it needs a TDX trust domain, and Linux 6.16 or later with {_MODULE} or an older "
        "vendor kernel that extends registers by ioctl",
        "run as root",
        _MODULE_FAILED,
    ),
}


def _failures(transport: str) -> dict[str, tuple[type[QuoteGeneratorError], str]]:
    """Return, by the C core's code, the class of the error and what to do."""
    available, permitted, other_side = _CURES[transport]
    return {
        "TDX_NOT_AVAILABLE": (NotAvailable, available),
        "TDX_NOT_PERMITTED": (NotPermitted, permitted),
        "TDX_BUSY": (Busy, "other requests were in the way: try again, or allow more time"),
        "TDX_TIMED_OUT": (TimedOut, _WAIT),
        "TDX_SERVICE_FAILED": (ServiceFailed, other_side),
        "TDX_CORRUPT_ANSWER": (CorruptAnswer, _THROWN_AWAY),
        "TDX_NOT_SUPPORTED": (NotSupported, _OTHER_KIND),
    }


def _failure(ffi: Any, transport: str, answer: Any) -> QuoteGeneratorError:
    lib = _native().lib
    failures = _failures(transport)
    kind, cure = next(
        found for name, found in failures.items() if getattr(lib, name) == answer.code
    )
    path = _text(ffi, answer.path) or None
    number = answer.sys_errno or None
    details = [os.strerror(number)] if number else []
    if answer.status:
        details.append(f"status {answer.status:#x}")
    where = f": {path}" if path else ""
    why = f" ({', '.join(details)})" if details else ""
    what = _text(ffi, answer.reason)
    return kind(
        f"{transport}: {what}{where}{why}; {cure}.",
        errno=number,
        path=path,
        attribute=_attribute_of(path),
    )


# Of configfs-tsm on TDX (Documentation/ABI/testing/configfs-tsm-report).
_ATTRIBUTES = ("generation", "inblob", "outblob", "provider")


def _attribute_of(path: str | None) -> str | None:
    name = os.path.basename(path or "")
    return name if name in _ATTRIBUTES else None


def _not_started(number: int, path: str) -> QuoteGeneratorError:
    if number == errno.ENAMETOOLONG:
        return BadInput(f"the path is too long: {path}", errno=number, path=path)
    why = os.strerror(number)
    return Busy(
        f"Cannot start another quote request ({why}): earlier ones are still with the kernel, or "
        "memory is short; try again later.",
        errno=number,
        path=path,
    )


def _nothing_found(failures: Mapping[str, QuoteGeneratorError], system: System) -> NotAvailable:
    looked_for = "; ".join(str(failure).split(";")[0] for failure in failures.values())
    first = failures.get("configfs-tsm") or next(iter(failures.values()))
    return NotAvailable(
        f"No TDX quote interface was found on this machine ({looked_for}). Run inside a TDX trust "
        "domain with Linux 6.7 or later, the tdx_guest module loaded and configfs mounted "
        "(mount -t configfs none /sys/kernel/config); to try things out without TDX, set "
        f"{SIMULATE_VARIABLE}=1.{_on_azure(system)}",
        errno=first.errno,
        path=first.path,
        attribute=first.attribute,
    )


def _text(ffi: Any, chars: Any) -> str:
    return "" if chars == ffi.NULL else os.fsdecode(ffi.string(chars))


# --- the simulator -----------------------------------------------------------------------------


def _may_simulate(system: System) -> bool:
    return system.environ.get(SIMULATE_VARIABLE) == "1"


def simulator_directory(environ: Mapping[str, str]) -> Path:
    """Return the folder of the simulator's keys, as the environment sets it."""
    if chosen := environ.get(SIMULATOR_DIR_VARIABLE):
        return Path(chosen)
    state = environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "quote_generator" / "simulator"


def _simulate(report_data: bytes, deadline: float, system: System) -> Attestation:
    if not _may_simulate(system):
        raise NotAvailable(
            f"The simulator is used only when asked for: set {SIMULATE_VARIABLE}=1. Its quotes "
            "prove nothing about this machine."
        )
    from .simulator import Simulator

    def sleep(seconds: float) -> None:
        left = max(0.0, deadline - time.monotonic())
        time.sleep(min(seconds, left))
        if seconds > left:
            raise TimedOut(f"simulator: no quote in the time allowed; {_SIMULATED}.")

    directory = simulator_directory(system.environ)
    simulator = Simulator.open(
        directory,
        fault=system.environ.get(SIMULATE_FAULT_VARIABLE) or "none",
        sleep=sleep,
        patience=max(0.0, deadline - time.monotonic()),
    )
    version, body_type = _simulated_kind(system.environ)
    quote = simulator.quote(bytes(report_data), version=version, body_type=body_type)
    if not quote:
        raise ServiceFailed(f"simulator: the quote is empty; {_SIMULATED}.", path=str(directory))
    _check_quote("simulator", quote, report_data, str(directory), cure=_SIMULATED)
    return Attestation(quote, "simulator", "simulator", simulated=True)


def _simulated_kind(environ: Mapping[str, str]) -> tuple[int, int]:
    """Version and body type of the quotes that the simulator is told to make: 4 and 2, or v5."""
    body = environ.get(SIMULATE_BODY_VARIABLE)
    if not body:
        return 4, BODY_TD10
    if body not in map(str, BODY_SIZES):
        raise BadInput(f"{SIMULATE_BODY_VARIABLE} is the body type of quotes v5: 2, 3 or 4.")
    return 5, int(body)


_SIMULATED = f"{SIMULATE_FAULT_VARIABLE} asks for that: unset it"
