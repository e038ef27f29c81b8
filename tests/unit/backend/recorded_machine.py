"""A machine as small trees of /proc and /sys tell of it, and the kernel's word about its paths."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from cczoo_backend.workload.stores import Kernel, parse_mountinfo

FIRST_PIDS = "pid:[4026531836]"
BTRFS = "11111111-2222-3333-4444-555555555555"
SWAPS = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"


class RecordedMachine(Kernel):
    """A disk ``sda`` (8:0) with ext4 on it as root; tests add devices, mounts and paths."""

    def __init__(self, root: Path, *, root_type: str = "ext4") -> None:
        super().__init__(str(root))
        self._tree = root
        self._lines: list[str] = []
        self.with_fs_verity: set[str] = set()
        self.streams: dict[int, str] = {}
        for folder in ("sys/dev/block", "sys/class/block", "proc/self/ns", "proc/fs/jbd2", "tmp"):
            (root / folder).mkdir(parents=True)
        self.in_pid_namespace(FIRST_PIDS)
        self.write("/proc/swaps", SWAPS)
        self.device("sda", "8:0", "pci0000:00/0000:00:02.0/virtio1/block")
        self.mount("/", root_type, "8:0", "rw,lowerdir=/a" if root_type == "overlay" else "rw")
        self.mount("/proc", "proc", "0:21")
        self.mount("/sys", "sysfs", "0:22")

    # What there is

    def write(self, path: str, text: str = "") -> str:
        """Make a file, and the folders above it."""
        file = self._tree / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.fsencode(text))
        return path

    def folder(self, path: str) -> str:
        """Make a folder."""
        (self._tree / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
        return path

    def link_to(self, path: str, target: str) -> None:
        """Make a symbolic link."""
        link = self._tree / path.lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)

    def in_pid_namespace(self, name: str) -> None:
        """Be in a namespace of processes, such as a container's."""
        link = self._tree / "proc/self/ns/pid"
        link.unlink(missing_ok=True)
        link.symlink_to(name)

    def mount(
        self, point: str, fstype: str, device: str, options: str = "rw", root: str = "/"
    ) -> int:
        """Mount something on top of whatever is there, and return the mount's number."""
        number = 20 + len(self._lines)
        if not (self._tree / point.lstrip("/")).exists():
            self.folder(point)
        fields = f"{number} 1 {device} {_escaped(root)} {_escaped(point)} rw,relatime shared:1"
        self._lines.append(f"{fields} - {fstype} none {options}\n")
        self.write("/proc/self/mountinfo", "".join(self._lines))
        return number

    def device(
        self,
        name: str,
        number: str,
        where: str = "virtual/block",
        *,
        slaves: Iterable[str] = (),
        **attributes: str,
    ) -> str:
        """Add a block device with attributes (``dm__uuid`` is dm/uuid); return its name."""
        folder = f"/sys/devices/{where}/{name}"
        self.folder(f"{folder}/slaves")
        for attribute, value in attributes.items():
            self.write(f"{folder}/{attribute.replace('__', '/')}", f"{value}\n")
        for slave in slaves:
            start = f"{self.root}{folder}/slaves"
            os.symlink(os.path.relpath(self._device_folder(slave), start), f"{start}/{slave}")
        self.link_to(f"/sys/dev/block/{number}", f"../../devices/{where}/{name}")
        self.link_to(f"/sys/class/block/{name}", f"../../devices/{where}/{name}")
        return name

    def _device_folder(self, name: str) -> str:
        return os.path.realpath(self._tree / "sys/class/block" / name)

    def partition(self, name: str, number: str, disk: str = "sda") -> str:
        """Add a partition of a disk that is there."""
        where = os.path.relpath(self._device_folder(disk), f"{self.root}/sys/devices")
        return self.device(name, number, where, partition="1")

    def mapping(self, name: str, number: str, uuid: str, *slaves: str, called: str = "") -> str:
        """Add a device of the device mapper."""
        return self.device(name, number, slaves=slaves, dm__uuid=uuid, dm__name=called or name)

    def encrypted(self, point: str, *, integrity: bool = False) -> str:
        """Mount a disk that LUKS2 encrypts."""
        below = "sda"
        if integrity:
            uuid = "CRYPT-SUBDEV-0123456789abcdef0123456789abcdef-safe_dif"
            below = self.mapping("dm-8", "252:8", uuid, "sda", called="safe_dif")
        uuid = "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-safe"
        self.mapping("dm-9", "252:9", uuid, below, called="safe")
        self.mount(point, "ext4", "252:9")
        return point

    # What the kernel says of open files

    def mount_id(self, path: str) -> int:
        """Return the last mount above the path: later ones hide earlier ones."""
        mounts = parse_mountinfo("".join(self._lines))
        above = [
            (number, mount)
            for number, mount in mounts.items()
            if f"{path}/".startswith(f"{mount.point.rstrip('/')}/")
        ]
        return max(above, key=lambda one: (len(one[1].point), one[0]))[0]

    def btrfs_id(self, path: str) -> str:
        return BTRFS

    def has_fs_verity(self, path: str) -> bool:
        return path in self.with_fs_verity

    def stream(self, number: int) -> str:
        return self.streams[number] if number in self.streams else super().stream(99999)


def _escaped(text: str) -> str:
    return re.sub(r"[ \t\n\\#]", lambda found: f"\\{ord(found[0]):03o}", text)
