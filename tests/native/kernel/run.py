"""Runs the attester against the kernel's real configfs-tsm and vsock, in a QEMU guest without TDX.

    python tests/native/kernel/run.py [--cache DIR] [TEST ...]

It fetches the newest 6.12 kernel of Debian's backports and its headers through apt, with a
configuration of its own that leaves the machine's as it is; builds a module that registers a fake
provider and guest device; and boots the kernel. The guest runs the C core's test driver, and then
the tests of this folder's parent, in the interpreter that runs this program, from a read-only disk
that holds the built package; TESTs are pytest's names of some of them. It needs a Debian with
qemu-system-x86, busybox-static, cpio, e2fsprogs, gcc, make and xz-utils; neither root nor KVM.

Exit codes: 0 all checks passed; 1 some did not; 2 something is missing.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[2]
sys.path[:0] = [str(REPO), str(REPO / "tests")]

from emulator import signers  # noqa: E402

NATIVE = REPO / "quote_generator" / "native"
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "cpio": "cpio",
    "mke2fs": "e2fsprogs",
    "gcc": "gcc",
    "make": "make",
    "xz": "xz-utils",
    "apt-get": "apt",
}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
RELEASE = "bookworm"
MODULES = [
    "fs/configfs/configfs",
    "drivers/virt/coco/tsm",
    "net/vmw_vsock/vsock",
    "net/vmw_vsock/vmw_vsock_virtio_transport_common",
    "net/vmw_vsock/vsock_loopback",
    "drivers/block/virtio_blk",
]
# What the suite needs besides the interpreter, by distribution.
DISTRIBUTIONS = (
    "pytest", "pytest-timeout", "cffi", "cryptography", "filelock", "rfc8785", "starlette",
)  # fmt: skip
# Of the suite: what is not the kernel's business, or is run by other means, stays outside.
SUITE = [
    "test_emulator.py::test_it_behaves_as_the_kernel",
    "test_configfs.py",
    "test_device.py",
    "test_kinds.py",
    "test_measure.py",
    "test_deadlines.py",
    "test_letting_go.py",
    "test_legacy.py::test_a_driver_that_gives_up_is_asked_again_with_a_buffer_of_its_own",
    "test_too_large.py",
    "test_processes.py",
    "test_kill.py",
    # What a disk does is the same here, and dear under QEMU.
    "test_measured_start.py::test_a_start_tells_what_it_measures_in_order",
    "test_measured_start.py::test_two_starts_tell_it_twice",
    "test_measured_start.py::test_the_next_start_finishes_what_killed_ones_left",
    "test_measured_start.py::test_the_next_start_waits_for_a_kernel_that_still_extends",
    "test_command_line.py::test_exit_codes[empty-7]",
]
CHECKS = 38
SUITE_AT_LEAST = 300  # tests that pass
BOOT_SECONDS = 2400


def find(program: str) -> str | None:
    """Return a program's path; some are where only root looks."""
    return shutil.which(program, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"]))


class MissingError(Exception):
    """MissingError: the machine lacks something; the message says what to do."""


def run(command: list[str | Path | None], **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode != 0:
        raise MissingError(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return str(done.stdout)


def backports_source() -> str:
    """Return an apt source line for backports, on the mirror that this machine uses."""
    form = "$(ORIGIN) $(CODENAME) $(REPO_URI)"
    found = run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"])
    match = re.search(rf"^Debian {RELEASE} (\S+)$", found, re.MULTILINE)
    if match is None:
        raise MissingError(f"this machine's apt has no Debian {RELEASE}: run apt-get update first")
    return f"deb [signed-by={KEYRING}] {match[1]} {RELEASE}-backports main\n"


def fetch_kernel(cache: Path) -> tuple[Path, str]:
    """Return the folder where the newest kernel and its headers are unpacked, and its version."""
    for name in ("lists/partial", "archives/partial"):
        (cache / "apt" / name).mkdir(parents=True, exist_ok=True)
    (cache / "apt" / "sources.list").write_text(backports_source())
    config = cache / "apt" / "apt.conf"
    config.write_text(
        f'Dir::State::lists "{cache}/apt/lists";\nDir::Cache "{cache}/apt";\n'
        f'Dir::Etc::sourcelist "{cache}/apt/sources.list";\nDir::Etc::sourceparts "/dev/null";\n'
    )
    environ = {**os.environ, "APT_CONFIG": str(config)}
    run(["apt-get", "update", "-qq"], env=environ)
    found = run(["apt-cache", "pkgnames", "linux-image-6.12."], env=environ).split()
    versions = [
        m[1] for name in found if (m := re.fullmatch(r"linux-image-(.*)-cloud-amd64", name))
    ]
    if not versions:
        raise MissingError("Debian's backports have no kernel 6.12 any more: choose another here")
    version = max(versions, key=lambda text: [int(n) for n in re.findall(r"\d+", text)])
    root = cache / version
    if not (root / "complete").exists():
        unpack_kernel(root, version, environ)
    return root, version


def unpack_kernel(root: Path, version: str, environ: dict[str, str]) -> None:
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    packages = [
        f"linux-image-{version}-cloud-amd64",
        f"linux-headers-{version}-cloud-amd64",
        f"linux-headers-{version}-common",
        f"linux-kbuild-{version}",
    ]
    run(["apt-get", "download", "-qq", *packages], env=environ, cwd=root)
    for package in root.glob("*.deb"):
        run(["dpkg", "-x", package, root])
        package.unlink()
    makefile = root / f"usr/src/linux-headers-{version}-cloud-amd64/Makefile"
    makefile.write_text(makefile.read_text().replace("/usr/src/", f"{root}/usr/src/"))
    (root / "complete").touch()


def build_guest(root: Path, version: str, work: Path) -> None:
    """Put the guest's programs, modules and init below work/guest."""
    guest, module = work / "guest", work / "module"
    for folder in ("bin", "lib", "proc", "sys", "dev", "disk"):
        (guest / folder).mkdir(parents=True)
    module.mkdir()
    shutil.copy(HERE / "fake_tdx.c", module)
    (module / "quote.h").write_text(signers.in_c())
    (module / "Makefile").write_text("obj-m := fake_tdx.o\n")
    headers = root / f"usr/src/linux-headers-{version}-cloud-amd64"
    run(["make", "-C", headers, f"M={module}", "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"])
    shutil.copy(module / "fake_tdx.ko", guest / "lib")
    for name in MODULES:
        packed = root / f"lib/modules/{version}-cloud-amd64/kernel/{name}.ko.xz"
        unpacked = subprocess.run(["xz", "-dc", packed], stdout=subprocess.PIPE, check=True).stdout
        (guest / "lib" / f"{packed.name.removesuffix('.xz')}").write_bytes(unpacked)
    compiler: list[str | Path] = ["gcc", "-std=gnu11", "-O2", "-static", "-pthread", "-Wall",
                                  "-Wextra", "-Werror"]  # fmt: skip
    sources = sorted(path for path in NATIVE.glob("*.c") if not path.name.startswith("_"))
    driver = HERE.parent / "driver.c"
    run([*compiler, f"-I{NATIVE}", *sources, driver, "-o", guest / "bin" / "driver"])
    run([*compiler, HERE / "qgs.c", "-o", guest / "bin" / "qgs"])
    shutil.copy(shutil.which("busybox") or "", guest / "bin" / "busybox")
    shutil.copy(HERE / "init", guest / "init")
    (guest / "init").chmod(0o755)


def build_disk(work: Path, suite: Iterable[str]) -> Path:
    """Return the image of a disk with a small Linux that can run the suite.

    The interpreter, its libraries and what the tests import lie where they lie on this machine.
    """
    disk, image = work / "disk", work / "disk.ext4"
    for folder in ("bin", "proc", "sys", "dev", "tmp", "run", "kit"):
        (disk / folder).mkdir(parents=True)
    interpreter = Path(sys.executable).resolve()
    copy_to(disk, [interpreter, Path(sysconfig.get_path("stdlib"))])
    (disk / "bin" / "python3").symlink_to(interpreter)
    shutil.copy(shutil.which("busybox") or "", disk / "bin" / "busybox")
    for name in run([disk / "bin" / "busybox", "--list"]).split():
        if not (disk / "bin" / name).exists():
            (disk / "bin" / name).symlink_to("busybox")
    for file in distributed_files():
        target = disk / "kit" / "site" / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if file.is_dir() else shutil.copy
        copy(file, target)
    for name in ("quote_generator", "backend", "tests/native", "tests/emulator"):
        source, target = REPO / name, disk / "kit" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, target)
    (disk / "kit" / "suite").write_text("\n".join(suite) + "\n")
    add_libraries(disk)
    size = sum(path.lstat().st_size + 4096 for path in disk.rglob("*")) * 5 // 4 >> 20
    run([find("mke2fs"), "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", disk, image,
         f"{size + 8}M"])  # fmt: skip
    return image


def copy_to(disk: Path, paths: Iterable[Path]) -> None:
    unneeded = shutil.ignore_patterns(
        "site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "ensurepip",
        "lib2to3", "config-*", "*.a",
    )  # fmt: skip
    for path in paths:
        target = disk / str(path).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target, ignore=unneeded, dirs_exist_ok=True)
        else:
            shutil.copy(path, target)


def distributed_files() -> set[Path]:
    """Return the files and folders in site-packages of DISTRIBUTIONS and what they require."""
    wanted, found = list(DISTRIBUTIONS), dict[str, importlib.metadata.Distribution]()
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # required on other systems only
        for requirement in found[name].requires or []:
            if "extra ==" not in requirement:
                wanted.append(re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0])
    tops = {
        Path(str(distribution.locate_file(file.parts[0])))
        for distribution in found.values()
        for file in distribution.files or []
    }
    return {top for top in tops if ".." not in top.parts and top.exists()}


def add_libraries(disk: Path) -> None:
    """Copy what the programs and extension modules on the disk are linked with."""
    programs = [path for path in disk.rglob("*.so*") if path.is_file()]
    programs.append(Path(sys.executable).resolve())
    listing = run(["ldd", *programs])
    libraries = {Path(path) for path in re.findall(r"(?:=> )?(/\S+) \(0x", listing)}
    copy_to(disk, (path for path in libraries if disk not in path.parents))


def boot(root: Path, version: str, work: Path, disk: Path) -> str:
    """Boot the guest and return what it printed."""
    archive = work / "guest.cpio"
    names = "\n".join(str(p.relative_to(work / "guest")) for p in (work / "guest").rglob("*"))
    with archive.open("wb") as output:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], input=names.encode(),
                       stdout=output, cwd=work / "guest", check=True)  # fmt: skip
    command: list[str | Path] = [
        "qemu-system-x86_64", "-accel", "tcg", "-M", "q35", "-smp", "2", "-m", "1024",
        # With cx16, QEMU 7.2's emulation crashes at random.
        "-cpu", "Nehalem,-cx16", "-nographic", "-no-reboot", "-nic", "none",
        "-kernel", root / f"boot/vmlinuz-{version}-cloud-amd64", "-initrd", archive,
        "-drive", f"file={disk},if=virtio,format=raw,read-only=on",
        # On a busy machine the emulated timer is late, and the kernel would not trust it.
        "-append", "console=ttyS0 quiet loglevel=3 panic=-1 no_timer_check",
    ]  # fmt: skip
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=BOOT_SECONDS, check=False
    )
    # without what the firmware sends to a terminal
    return re.sub(r"\x1b(c|\[[0-9;?]*[A-Za-z])|\r", "", done.stdout.decode(errors="replace"))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    default = Path(os.environ.get("CCZOO_CACHE") or user_cache / "cczoo") / "kernel"
    parser.add_argument("--cache", type=Path, default=default, help="where the kernel is kept")
    parser.add_argument("tests", nargs="*", metavar="TEST", help="only these; default: all")
    options = parser.parse_args()
    cache = options.cache.resolve()
    work = cache / f"work-{os.getpid()}"
    try:
        missing = sorted(PROGRAMS[name] for name in PROGRAMS if find(name) is None)
        if missing:
            raise MissingError(f"to test on a real kernel: apt-get install {' '.join(missing)}")
        root, version = fetch_kernel(cache)
        build_guest(root, version, work)
        text = boot(root, version, work, build_disk(work, options.tests or SUITE))
    except MissingError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(work, ignore_errors=True)
    passed = re.findall(r"^ok .*$", text, re.MULTILINE)
    wrong = re.findall(r"^not ok .*$", text, re.MULTILINE)
    print("\n".join(passed + wrong))
    summary = re.search(r"^(\d+) passed.*$", text, re.MULTILINE)
    tests = int(summary[1]) if summary else 0
    at_least = 1 if options.tests else SUITE_AT_LEAST
    done = re.search(r"^done$", text, re.MULTILINE)
    if wrong or len(passed) != CHECKS or tests < at_least or not done:
        print(f"{text}\n{len(passed)} of {CHECKS} checks and {tests} tests passed, Linux {version}")
        return 1
    print(f"all {CHECKS} checks and {tests} tests passed on Linux {version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
