"""What configfs-tsm does, as checks that run on the emulator and on the real kernel alike.

So the emulator cannot drift from what it stands for. Each check gets a new entry's directory and a
function that sets a fault by name ("none" ends it). As a program, for the guest of kernel/run.py:

    python conformance.py REPORT-DIRECTORY FAULT-PARAMETER
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

SetFault = Callable[[str], None]


def read_error(path: Path) -> int | None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.pread(fd, 65536, 0)
    except OSError as error:
        return error.errno
    finally:
        os.close(fd)
    return None


def write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def generation(entry: Path) -> int:
    return int((entry / "generation").read_text())


def becomes(entry: Path, wanted: int) -> bool:
    """FUSE tells the emulator of a last close a moment later; the kernel commits at once."""
    for _ in range(1000):
        if generation(entry) == wanted:
            return True
        time.sleep(0.005)
    return False


def attributes(entry: Path, fault: SetFault) -> None:
    assert sorted(os.listdir(entry)) == ["generation", "inblob", "outblob", "provider"]
    assert (entry / "provider").read_text() == "tdx_guest\n"
    assert generation(entry) == 0
    assert read_error(entry / "outblob") == errno.EINVAL


def inblob_is_committed_at_close(entry: Path, fault: SetFault) -> None:
    fd = os.open(entry / "inblob", os.O_WRONLY)
    os.write(fd, bytes(64))
    assert generation(entry) == 0
    os.close(fd)
    assert becomes(entry, 1)


def a_copied_descriptor_delays_the_commit(entry: Path, fault: SetFault) -> None:
    write(entry / "inblob", bytes(64))
    assert becomes(entry, 1)
    old = (entry / "outblob").read_bytes()
    fd = os.open(entry / "inblob", os.O_WRONLY)
    os.write(fd, b"\1" * 64)
    copy = os.dup(fd)  # as a fork in another thread makes one
    os.close(fd)
    assert generation(entry) == 1
    assert (entry / "outblob").read_bytes() == old
    os.close(copy)
    assert becomes(entry, 2)
    assert (entry / "outblob").read_bytes() != old


def inblob_is_64_bytes(entry: Path, fault: SetFault) -> None:
    try:
        write(entry / "inblob", bytes(65))
    except OSError as error:
        assert error.errno == errno.EFBIG  # noqa: PT017 - runs without pytest too
    else:
        raise AssertionError("65 bytes were taken")
    assert becomes(entry, 1)
    assert read_error(entry / "outblob") == errno.EINVAL
    write(entry / "inblob", bytes(32))
    assert becomes(entry, 2)
    assert read_error(entry / "outblob") == errno.EINVAL


def a_failed_quote_is_empty_and_cached(entry: Path, fault: SetFault) -> None:
    write(entry / "inblob", bytes(64))
    assert becomes(entry, 1)
    fault("empty")
    assert (entry / "outblob").read_bytes() == b""
    fault("none")
    assert (entry / "outblob").read_bytes() == b""
    write(entry / "inblob", bytes(64))
    assert becomes(entry, 2)
    assert (entry / "outblob").read_bytes() != b""


def _error_passes(name: str, number: int) -> Callable[[Path, SetFault], None]:
    def check(entry: Path, fault: SetFault) -> None:
        write(entry / "inblob", bytes(64))
        assert becomes(entry, 1)
        fault(name)
        assert read_error(entry / "outblob") == number
        fault("none")
        assert len((entry / "outblob").read_bytes()) > 4000

    return check


def outblob_has_no_size(entry: Path, fault: SetFault) -> None:
    write(entry / "inblob", bytes(64))
    assert becomes(entry, 1)
    assert len((entry / "outblob").read_bytes()) > 4000
    assert (entry / "outblob").stat().st_size == 0


def nothing_opens_both_ways(entry: Path, fault: SetFault) -> None:
    for name in ("inblob", "outblob"):
        try:
            os.close(os.open(entry / name, os.O_RDWR))
        except PermissionError:
            continue
        raise AssertionError(f"{name} opened for both reading and writing")


def an_open_entry_can_be_removed(entry: Path, fault: SetFault) -> None:
    write(entry / "inblob", bytes(64))
    assert becomes(entry, 1)
    fd = os.open(entry / "outblob", os.O_RDONLY)
    entry.rmdir()
    try:
        os.pread(fd, 1, 0)
    except FileNotFoundError:
        return
    finally:
        os.close(fd)
    raise AssertionError("a removed entry was read")


CHECKS: dict[str, Callable[[Path, SetFault], None]] = {
    "attributes": attributes,
    "inblob is committed at close": inblob_is_committed_at_close,
    "a copied descriptor delays the commit": a_copied_descriptor_delays_the_commit,
    "inblob is 64 bytes": inblob_is_64_bytes,
    "a failed quote is empty and cached": a_failed_quote_is_empty_and_cached,
    "EBUSY passes": _error_passes("busy", errno.EBUSY),
    "EIO passes": _error_passes("io-error", errno.EIO),
    "outblob has no size": outblob_has_no_size,
    "nothing opens both ways": nothing_opens_both_ways,
    "an open entry can be removed": an_open_entry_can_be_removed,
}


def main() -> None:
    report, parameter = Path(sys.argv[1]), Path(sys.argv[2])
    numbers = {"none": 0, "empty": 1, "busy": 2, "io-error": 4, "slow": 6}
    for name, check in CHECKS.items():
        entry = report / "conformance"
        entry.mkdir()
        try:
            check(entry, lambda fault: print(numbers[fault], file=parameter.open("w")))
            print(f"ok {name}", flush=True)
        except Exception as error:
            print(f"not ok {name}: {error!r}", flush=True)
        parameter.write_text("0")
        if entry.exists():
            entry.rmdir()


if __name__ == "__main__":
    main()
