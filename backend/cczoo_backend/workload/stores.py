"""Where the bytes of a path lie, by the kernel's word: in memory, on which kind of disk, outside.

Two questions are answered for a path. Is what is written there secret from the host (`secrecy`)?
Does it stay as it is between being measured and being read again (`integrity`)? Where several
stores hold a path's bytes, the worst of them counts; what cannot be made out is `not-known`.

The kernel names the mount of an opened path, the mount names the device, and sysfs names what lies
below it (Documentation/ABI/stable/sysfs-block, sysfs-block-dm, sysfs-fs-btrfs; proc_pid_mountinfo
and proc_swaps in section 5 of the manual).

What that leaves open, and documents have to say:

- It does not tell who holds the key of an encrypted disk, nor its cipher (`cipher_null`,
  integrity `none`): the mapping's table does, but has the key in it, so it is not asked for.
- A mapping's UUID is what the tool that made it wrote there, and root of this machine could write
  another. Whether dm-verity checks each reading (`check_at_most_once`) stands in the table, too.
- Encryption by a file system itself (fscrypt, ZFS, bcachefs) is not looked for: it never makes an
  answer better.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import stat
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from fcntl import ioctl
from functools import cached_property


class Kind(StrEnum):
    """What kind of store it is; worst first."""

    OUTSIDE = "outside"  # another machine, or the host, serves it
    PLAIN_DISK = "plain-disk"
    NOT_KNOWN = "not-known"
    VERITY = "verity"  # for reading only; each reading is checked
    ENCRYPTED = "encrypted"
    ENCRYPTED_INTEGRITY = "encrypted-integrity"
    MEMORY = "memory"


class Answer(StrEnum):
    """The answer to one of the two questions; worst first."""

    NOT_KEPT = "not-kept"
    NOT_KNOWN = "not-known"
    KEPT = "kept"


class Told(StrEnum):
    """What a person should know besides."""

    SWAP = "swap"  # memory that may be written to the swap: its answers count
    REPLAY = "replay"  # the host can put a block's older content back
    CONTAINER = "container"  # what lies below is named as others see it, not as we do
    RE_ENCRYPTING = "re-encrypting"
    HARDWARE_ENCRYPTION = "hardware-encryption"  # the disk encrypts by itself; or says so
    FS_VERITY = "fs-verity"  # checked against a digest that lies on the same disk


_KINDS = tuple(Kind)
_ANSWERS = tuple(Answer)


@dataclass(frozen=True)
class Store:
    """Where bytes lie, the answers to the two questions, and what to know besides."""

    kind: Kind
    secrecy: Answer
    integrity: Answer
    told: frozenset[str] = frozenset()

    def telling(self, *more: str) -> Store:
        """Return the same with more to know."""
        return replace(self, told=self.told.union(more))

    def document(self) -> dict[str, object]:
        """Return it as members of JSON; ``told`` only where there is something to tell."""
        members: dict[str, object] = {
            "kind": self.kind.value,
            "secrecy": self.secrecy.value,
            "integrity": self.integrity.value,
        }
        return members | ({"told": sorted(map(str, self.told))} if self.told else {})


OUTSIDE = Store(Kind.OUTSIDE, Answer.NOT_KEPT, Answer.NOT_KEPT)
PLAIN_DISK = Store(Kind.PLAIN_DISK, Answer.NOT_KEPT, Answer.NOT_KEPT)
NOT_KNOWN = Store(Kind.NOT_KNOWN, Answer.NOT_KNOWN, Answer.NOT_KNOWN)
VERITY = Store(Kind.VERITY, Answer.NOT_KEPT, Answer.KEPT)
ENCRYPTED = Store(Kind.ENCRYPTED, Answer.KEPT, Answer.NOT_KEPT)
# A block's tag binds its content and place, but not its age.
ENCRYPTED_INTEGRITY = Store(
    Kind.ENCRYPTED_INTEGRITY, Answer.KEPT, Answer.KEPT, frozenset({Told.REPLAY})
)
MEMORY = Store(Kind.MEMORY, Answer.KEPT, Answer.KEPT)


def worst(stores: Iterable[Store]) -> Store:
    """Return what holds for bytes that may lie in any of the stores; of none, it is not known."""
    found = tuple(stores)
    if not found:
        return NOT_KNOWN
    return Store(
        min((one.kind for one in found), key=_KINDS.index),
        min((one.secrecy for one in found), key=_ANSWERS.index),
        min((one.integrity for one in found), key=_ANSWERS.index),
        frozenset().union(*(one.told for one in found)),
    )


def _protected(own: Store, below: Store) -> Store:
    """Return what holds for bytes that a layer encrypts or checks before they go ``below``."""
    return Store(
        below.kind if below.kind == Kind.MEMORY else own.kind,
        max(own.secrecy, below.secrecy, key=_ANSWERS.index),
        max(own.integrity, below.integrity, key=_ANSWERS.index),
        own.told | below.told,
    )


# Types of file systems

# Their pages are never swapped out.
_PINNED = frozenset({"ramfs", "hugetlbfs"})
_IN_MEMORY = frozenset({"tmpfs", "devtmpfs", "rootfs"})
# Each has its one device in its mount's entry, unless an option names another.
_ON_A_DISK = frozenset(
    {
        *("ext2", "ext3", "ext4", "xfs", "vfat", "exfat", "ntfs3"),
        *("squashfs", "erofs", "iso9660", "udf", "romfs", "cramfs"),
    }
)
_OTHER_DEVICES = frozenset({"logdev", "rtdev", "device"})
_WITH_JOURNAL = frozenset({"ext3", "ext4"})
_SERVED = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "afs", "kafs", "coda", "9p", "virtiofs"),
        *("vboxsf", "lustre", "orangefs", "pvfs2", "glusterfs", "beegfs", "gpfs", "ncpfs"),
        *(
            f"fuse.{name}"
            for name in (
                *("sshfs", "s3fs", "gcsfuse", "rclone", "blobfuse", "blobfuse2", "goofys"),
                *("mount-s3", "juicefs", "glusterfs", "ceph-fuse", "ceph", "davfs", "curlftpfs"),
                *("vmhgfs-fuse", "ossfs", "cosfs", "obsfs", "seaweedfs", "moosefs", "mfs"),
            )
        ),
    }
)

# Types of devices

_MEMORY_DEVICE = re.compile(r"(?:zram|ram)\d+")
_SERVED_DEVICE = re.compile(r"(?:nbd|rbd|drbd)\d+|etherd!.*")
# cryptsetup's and systemd's mappings. Disks that encrypt by themselves are "CRYPT-LUKS2-OPAL-".
_HARDWARE = "CRYPT-LUKS2-OPAL-"
_LUKS2 = "CRYPT-LUKS2-"
_ENCRYPTING = (_LUKS2, "CRYPT-LUKS1-", "CRYPT-PLAIN-", "CRYPT-TCRYPT-", "CRYPT-BITLK-")
_CHECKING = "CRYPT-VERITY-"
# What LUKS2 lays below its own mapping. The tags are written there, by cryptsetup as NAME_dif
# (until 2.7 it was called INTEGRITY, as dm-integrity without a key is).
_PART_OF_LUKS2 = "CRYPT-SUBDEV-"
_TAGS = (_PART_OF_LUKS2, "CRYPT-INTEGRITY-", "INTEGRITY-")

# The first PID namespace has this number (include/uapi/linux/nsfs.h, PID_NS_INIT_INO).
_FIRST_PIDS = "pid:[4026531836]"

_BLOCK = "/sys/class/block"

_MOUNTINFO_BYTES = 4 << 20
_SWAPS_BYTES = 64 << 10
_ATTRIBUTE_BYTES = 4096
_DEPTH = 24
_LOOKS = 4096  # at paths and devices, in one go

_O_PATH = os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW
_O_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | os.O_NOFOLLOW
_O_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
# include/uapi/linux/btrfs.h: the file system's id follows two numbers of 8 bytes.
_BTRFS_IOC_FS_INFO = 0x8400941F
_BTRFS_INFO_BYTES = 1024
# include/uapi/linux/stat.h: attributes, and which of them the file system knows, in struct statx.
_STATX_ATTR_VERITY = 0x00100000
_STATX_BYTES = 256
_ATTRIBUTES, _ATTRIBUTES_MASK = 8, 56
# include/uapi/linux/fcntl.h
_AT_FDCWD = -100
_AT_SYMLINK_NOFOLLOW = 0x100

_LIBC = ctypes.CDLL(None, use_errno=True)


class Kernel:
    """What the kernel says about paths and devices; ``/proc`` and ``/sys`` are below ``root``.

    Methods raise OSError or ValueError where it says nothing. Databases are not opened: with the
    first descriptor that is closed, all POSIX locks of this process on a file end, and another
    server's SQLite takes itself for the only one, and deletes what this one still writes to.

    A recorded tree answers what is read from files; what the kernel says of open files (``stream``
    and below), tests say themselves.
    """

    def __init__(self, root: str = "") -> None:
        self.root = os.path.realpath(root) if root else ""

    def resolve(self, path: str) -> str:
        """Return where an absolute path leads, or would lead once it is there."""
        if not path.startswith("/"):
            raise ValueError("the path is not absolute")
        found = os.path.realpath(f"{self.root}/{path.lstrip('/')}")
        if not f"{found}/".startswith(f"{self.root}/"):
            raise ValueError("a link leads out of the root")
        return found[len(self.root) :] or "/"

    def status(self, path: str) -> os.stat_result:
        """Return the status of what a resolved path leads to."""
        return os.lstat(self.root + path)

    def text(self, path: str, limit: int) -> str:
        """Return a file's text."""
        with open(self.root + path, "rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise ValueError("the file is too long")
        return os.fsdecode(data)

    def link(self, path: str) -> str:
        """Return the text of a symbolic link."""
        return os.readlink(self.root + path)

    def names(self, path: str) -> list[str]:
        """Return the sorted names in a folder."""
        return sorted(os.listdir(self.root + path))

    def file_text(self, path: str, limit: int) -> str:
        """Return the text of what may be anything: only files are read, such as that of a key."""
        status = self.status(path)
        if not stat.S_ISREG(status.st_mode):  # opening others may do something
            raise OSError(errno.EINVAL, "no file")
        if status.st_size > limit:
            raise ValueError("the file is too long")
        descriptor = os.open(self.root + path, _O_READ)
        try:
            data = os.read(descriptor, limit + 1)
        finally:
            os.close(descriptor)
        if len(data) > limit:
            raise ValueError("the file is too long")
        return os.fsdecode(data)

    def stream(self, number: int) -> str:
        """Return what one of this process's open files leads to: a path, or ``pipe:[...]``."""
        leads_to = os.readlink(f"/proc/self/fd/{number}")
        if leads_to.startswith("/") and not os.path.samestat(os.fstat(number), os.stat(leads_to)):
            raise ValueError("another file is there by now, or in this process's view")
        return leads_to

    def mount_id(self, path: str) -> int:
        """Return the number of the mount in which a resolved path lies, whatever hides others."""
        descriptor = os.open(self.root + path, _O_PATH)
        try:
            lines = self.text(f"/proc/self/fdinfo/{descriptor}", _ATTRIBUTE_BYTES).split("\n")
        finally:
            os.close(descriptor)
        found = next((line for line in lines if line.startswith("mnt_id:")), "mnt_id:")
        return int(found.removeprefix("mnt_id:"))

    def btrfs_id(self, path: str) -> str:
        """Return the id of the Btrfs file system in which a file or folder lies."""
        folder = path
        if not stat.S_ISDIR(self.status(path).st_mode):
            folder = os.path.dirname(path)
            if self.mount_id(folder) != self.mount_id(path):
                raise ValueError("the file is a mount of its own, and has no folder to ask")
        descriptor = os.open(self.root + folder, _O_FOLDER)
        try:
            info = ioctl(descriptor, _BTRFS_IOC_FS_INFO, bytes(_BTRFS_INFO_BYTES))
        finally:
            os.close(descriptor)
        digits = info[16:32].hex()
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def has_fs_verity(self, path: str) -> bool:
        """Whether the kernel checks a file's content against a digest kept with it."""
        status = ctypes.create_string_buffer(_STATX_BYTES)
        name = os.fsencode(self.root + path)
        if _LIBC.statx(_AT_FDCWD, name, _AT_SYMLINK_NOFOLLOW, 0, status) != 0:
            raise OSError(ctypes.get_errno(), "the file's status cannot be read")
        (attributes,) = struct.unpack_from("=Q", status, _ATTRIBUTES)
        (known,) = struct.unpack_from("=Q", status, _ATTRIBUTES_MASK)
        return bool(attributes & known & _STATX_ATTR_VERITY)


@dataclass(frozen=True)
class Mount:
    """What is needed of an entry of mountinfo."""

    device: str
    root: str
    point: str
    fstype: str
    options: Mapping[str, tuple[str, ...]]


def parse_mountinfo(text: str) -> dict[int, Mount]:
    """Return the mounts by their number; raise ValueError where a line is not understood."""
    mounts = {}
    for line in text.removesuffix("\n").split("\n"):
        before, dash, after = line.partition(" - ")
        fields, described = before.split(" "), after.split(" ")
        if not dash or len(fields) < 6 or len(described) != 3:
            raise ValueError("mountinfo has a line that is not understood")
        number, device = int(fields[0]), fields[2]
        if number in mounts or re.fullmatch(r"\d+:\d+", device) is None:
            raise ValueError("mountinfo has a line that is not understood")
        root, point = _unescaped(fields[3]), _unescaped(fields[4])
        options = _options(described[2])
        mounts[number] = Mount(device, root, point, _unescaped(described[0]), options)
    return mounts


def _options(text: str) -> dict[str, tuple[str, ...]]:
    """Return the values of each option; commas inside of values are escaped."""
    options: dict[str, tuple[str, ...]] = {}
    for one in text.split(","):
        name, _equals, value = one.partition("=")
        options[name] = (*options.get(name, ()), _unescaped(value))
    return options


def _unescaped(text: str) -> str:
    r"""Return a field of mountinfo or swaps without its escapes, such as ``\040``."""
    data = re.sub(rb"\\([0-3][0-7]{2})", lambda found: bytes([int(found[1], 8)]), os.fsencode(text))
    return os.fsdecode(data)


class Stores:
    """One look at the machine: where paths lie while nobody mounts anything.

    It never raises for what it finds, opens no devices and changes nothing. Make a new one for
    each look.
    """

    def __init__(self, kernel: Kernel | None = None) -> None:
        self._kernel = kernel or Kernel()
        self._looks = 0
        self._looks_at_swap = False

    def of(self, path: str) -> Store:
        """Return where an absolute path lies, or would lie once it is made."""
        store = self._of_path(path, 0)
        return store.telling(Told.FS_VERITY) if self._has_fs_verity(path) else store

    def of_tree(self, path: str) -> Store:
        """Return where a folder and all below it lies: other mounts may be there."""
        try:
            below = f"{self._kernel.resolve(path).rstrip('/')}/"
            mounts = [one.point for one in self._mounts.values() if one.point.startswith(below)]
        except (OSError, ValueError):
            return NOT_KNOWN
        return worst((self.of(path), *(self._of_path(point, 1) for point in mounts)))

    @cached_property
    def memory(self) -> Store:
        """Where memory lies that the kernel may swap out: this process's, for example."""
        if self.swap is None:
            return MEMORY
        return replace(worst((MEMORY, self.swap)), kind=Kind.MEMORY).telling(Told.SWAP)

    @cached_property
    def swap(self) -> Store | None:
        """Where memory is swapped out to, or None: it stays where it is."""
        try:
            if self._mount("/proc/swaps").fstype != "proc":  # in a container, somebody's copy
                return NOT_KNOWN
            lines = self._kernel.text("/proc/swaps", _SWAPS_BYTES).removesuffix("\n").split("\n")
            if not lines[0].startswith("Filename"):
                return NOT_KNOWN
            self._looks_at_swap = True
            areas = [self._of_swap(line.split()) for line in lines[1:]]
        except (OSError, ValueError):
            return NOT_KNOWN
        finally:
            self._looks_at_swap = False
        return worst(areas) if areas else None

    def _of_swap(self, fields: list[str]) -> Store:
        name, kind = (_unescaped(field) for field in fields[:2])
        return self._of_node(name, 1) if kind == "partition" else self._of_name(name, 1)

    # Paths

    def _of_path(self, path: str, depth: int) -> Store:
        if self._is_enough(depth):
            return NOT_KNOWN
        try:
            place = self._nearest(path)
            kind = stat.S_IFMT(self._kernel.status(place).st_mode)
            if kind == stat.S_IFBLK:
                number = self._kernel.status(place).st_rdev
                return self._of_number(f"{os.major(number)}:{os.minor(number)}", depth)
            if kind not in (stat.S_IFREG, stat.S_IFDIR):
                return NOT_KNOWN
            return self._of_mount(self._mount(place), place, depth)
        except (OSError, ValueError):
            return NOT_KNOWN

    def _of_name(self, path: str, depth: int) -> Store:
        """Return where something lies that is there, and that others named as they see it."""
        if not self._sees_as_others:
            return NOT_KNOWN.telling(Told.CONTAINER)
        try:
            self._kernel.status(self._kernel.resolve(path))
        except (OSError, ValueError):  # among them names that end with " (deleted)"
            return NOT_KNOWN
        return self._of_path(path, depth)

    def _nearest(self, path: str) -> str:
        """Return the path, resolved, or the nearest folder above it that is there already."""
        place = self._kernel.resolve(path)
        while True:
            try:
                self._kernel.status(place)
            except (FileNotFoundError, NotADirectoryError):
                if place == "/":
                    raise
                place = os.path.dirname(place)
            else:
                return place

    def _has_fs_verity(self, path: str) -> bool:
        try:
            place = self._kernel.resolve(path)
            is_file = stat.S_ISREG(self._kernel.status(place).st_mode)
            return is_file and self._kernel.has_fs_verity(place)
        except (OSError, ValueError):
            return False

    @cached_property
    def _sees_as_others(self) -> bool:
        """Whether paths that other processes gave to the kernel mean the same here.

        In a container they do not: its layers and loop devices' files are named as seen outside.
        """
        try:
            is_first = self._kernel.link("/proc/self/ns/pid") == _FIRST_PIDS
            return is_first and self._mount("/").fstype != "overlay"
        except (OSError, ValueError):
            return False

    # Mounts

    @cached_property
    def _mounts(self) -> dict[int, Mount]:
        return parse_mountinfo(self._kernel.text("/proc/self/mountinfo", _MOUNTINFO_BYTES))

    def _mount(self, place: str) -> Mount:
        number = self._kernel.mount_id(place)
        if number not in self._mounts:
            raise ValueError("mountinfo does not have the path's mount")
        return self._mounts[number]

    def _of_mount(self, mount: Mount, place: str, depth: int) -> Store:
        if mount.fstype in _PINNED:
            return MEMORY
        if mount.fstype in _IN_MEMORY:
            # A swap area that lies in memory itself goes to no other place than all areas do.
            stays = "noswap" in mount.options or self._looks_at_swap
            return MEMORY if stays else self.memory
        if mount.fstype in _SERVED:
            return OUTSIDE
        if mount.fstype == "overlay":
            return self._of_overlay(mount, place, depth)
        if mount.fstype == "btrfs":
            folder = f"/sys/fs/btrfs/{self._kernel.btrfs_id(place)}/devices"
            return self._of_folder(folder, depth)
        if mount.fstype in _ON_A_DISK:
            if not mount.options.keys().isdisjoint(_OTHER_DEVICES):
                return NOT_KNOWN
            journals = self._journals(depth) if mount.fstype in _WITH_JOURNAL else []
            return worst((self._of_number(mount.device, depth), *journals))
        return NOT_KNOWN

    def _of_overlay(self, mount: Mount, place: str, depth: int) -> Store:
        """Return where an overlay's bytes lie: the worst of its layers.

        The one exception: what is written goes into the upper layer. So a layer below it that
        everybody can read, but nobody change, takes no secrecy from it, only from files that are
        not in the upper layer yet.
        """
        upper = mount.options.get("upperdir", ())
        written = [
            self._of_name(path, depth + 1) for path in (*upper, *mount.options.get("workdir", ()))
        ]
        lower = [self._of_name(path, depth + 1) for path in _lower_layers(mount.options)]
        store = worst((*written, *lower))
        if not lower:
            return NOT_KNOWN
        if not upper or self._is_file_below(mount, upper[0], place):
            return store
        counted = worst((*written, *(one for one in lower if one.kind != Kind.VERITY)))
        return replace(store, secrecy=counted.secrecy)

    def _is_file_below(self, mount: Mount, upper: str, place: str) -> bool:
        """Whether a file still lies in a lower layer only."""
        if not stat.S_ISREG(self._kernel.status(place).st_mode):
            return False
        below = place.removeprefix(mount.point)
        if not below.startswith("/") and mount.point != "/":  # the name is another root's
            return True
        inside = os.path.normpath(f"{upper}/{mount.root}/{below}")
        try:
            return not stat.S_ISREG(self._kernel.status(inside).st_mode)
        except OSError:
            return True

    def _journals(self, depth: int) -> list[Store]:
        """Return where journals lie that have a device of their own; whose they are, nobody says.

        The others are called by their file system's device, and ``-8`` or another inode.
        """
        return [
            self._of_entry(f"{_BLOCK}/{name}", depth + 1)
            for name in self._kernel.names("/proc/fs/jbd2")
            if "-" not in name or not self._is_there(f"{_BLOCK}/{name.rpartition('-')[0]}")
        ]

    # Devices

    def _of_number(self, number: str, depth: int) -> Store:
        """Return where a block device's bytes lie; those that start with 0 are none."""
        return self._of_entry(f"/sys/dev/block/{number}", depth)

    def _of_node(self, name: str, depth: int) -> Store:
        """Return where the bytes of a device lie whose node the kernel names."""
        folder, _slash, base = name.rpartition("/")
        if folder == "/dev" and self._is_there(f"{_BLOCK}/{base}"):  # also without its node here
            return self._of_entry(f"{_BLOCK}/{base}", depth)
        return self._of_name(name, depth)

    def _of_entry(self, entry: str, depth: int) -> Store:
        """Return where the bytes of a device lie to which an entry in sysfs leads."""
        if self._is_enough(depth):
            return NOT_KNOWN
        try:
            folder = self._kernel.resolve(entry)
            if not self._believes_sysfs or not folder.startswith("/sys/devices/"):
                return NOT_KNOWN
            if self._is_there(f"{folder}/partition"):
                folder = os.path.dirname(folder)
            return self._of_device(folder, depth + 1)
        except (OSError, ValueError):
            return NOT_KNOWN

    def _of_device(self, folder: str, depth: int) -> Store:
        name = os.path.basename(folder)
        if _SERVED_DEVICE.fullmatch(name):
            return OUTSIDE
        uuid = self._attribute(f"{folder}/dm/uuid")
        if uuid is not None:
            return self._of_mapping(folder, uuid, depth)
        if not folder.startswith("/sys/devices/virtual/block/"):
            return PLAIN_DISK
        backing = self._attribute(f"{folder}/loop/backing_file")
        if backing is not None:
            return self._of_name(backing, depth)
        if _MEMORY_DEVICE.fullmatch(name):
            backing = self._attribute(f"{folder}/backing_dev")  # of zram, for what it writes back
            return MEMORY if backing in (None, "none") else self._of_node(backing, depth)
        return self._of_folder(f"{folder}/slaves", depth)

    def _of_mapping(self, folder: str, uuid: str, depth: int) -> Store:
        """Return where the bytes of a device mapper's device lie.

        Encryption and checks hold for all that lies below them.
        """
        below = self._of_folder(f"{folder}/slaves", depth)
        if uuid.startswith(_HARDWARE):
            return NOT_KNOWN.telling(Told.HARDWARE_ENCRYPTION)
        if uuid.startswith(_CHECKING):
            return _protected(VERITY, below)
        if not uuid.startswith(_ENCRYPTING):
            return below
        parts = self._parts_of_luks2(folder) if uuid.startswith(_LUKS2) else []
        name = self._attribute(f"{folder}/dm/name")
        if parts and parts != [f"{name}_dif"]:
            return NOT_KNOWN.telling(Told.RE_ENCRYPTING)
        return _protected(ENCRYPTED_INTEGRITY if parts else ENCRYPTED, below)

    def _parts_of_luks2(self, folder: str) -> list[str | None]:
        """Return the names of the mappings below that may be LUKS2's own.

        Besides the one for tags, there are others while a disk is encrypted anew, and then some
        of its blocks may not be encrypted at all.
        """
        own = self._attribute(f"{folder}/dm/name")
        found = []
        for slave in self._kernel.names(f"{folder}/slaves"):
            uuid = self._attribute(f"{folder}/slaves/{slave}/dm/uuid") or ""
            name = self._attribute(f"{folder}/slaves/{slave}/dm/name")
            if uuid.startswith(_PART_OF_LUKS2) or (uuid.startswith(_TAGS) and name == f"{own}_dif"):
                found.append(name)
        return found

    def _of_folder(self, folder: str, depth: int) -> Store:
        """Return the worst of the devices in a folder of sysfs."""
        names = self._kernel.names(folder)
        return worst(self._of_entry(f"{folder}/{name}", depth + 1) for name in names)

    @cached_property
    def _believes_sysfs(self) -> bool:
        return self._mount("/sys/dev/block").fstype == "sysfs"

    def _attribute(self, path: str) -> str | None:
        """Return a device's attribute, or None where it has none of that name."""
        try:
            return self._kernel.text(path, _ATTRIBUTE_BYTES).removesuffix("\n")
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _is_there(self, path: str) -> bool:
        try:
            self._kernel.status(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def _is_enough(self, depth: int) -> bool:
        self._looks += 1
        return depth > _DEPTH or self._looks > _LOOKS


def _lower_layers(options: Mapping[str, tuple[str, ...]]) -> list[str]:
    r"""Return an overlay's layers that are only read; colons in their names are ``\:``."""
    together = [
        re.sub(r"\\(.)", r"\1", name, flags=re.DOTALL)
        for value in options.get("lowerdir", ())
        for name in re.split(r"(?<!\\):+", value)
    ]
    return [*together, *options.get("lowerdir+", ()), *options.get("datadir+", ())]
