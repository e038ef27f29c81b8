"""Where paths lie: on recorded machines, and on the one that the tests run on."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_machine import BTRFS, SWAPS, RecordedMachine

from cczoo_backend.workload.stores import (
    ENCRYPTED,
    ENCRYPTED_INTEGRITY,
    MEMORY,
    NOT_KNOWN,
    OUTSIDE,
    PLAIN_DISK,
    VERITY,
    Answer,
    Kernel,
    Kind,
    Store,
    Stores,
    parse_mountinfo,
    worst,
)

UUID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def machine(tmp_path: Path) -> RecordedMachine:
    return RecordedMachine(tmp_path)


def answers(store: Store) -> tuple[str, str, str]:
    return store.kind.value, store.secrecy.value, store.integrity.value


def kept(store: Store) -> tuple[Answer, Answer]:
    return store.secrecy, store.integrity


# Answers


def test_the_worst_of_each_answer_counts() -> None:
    assert worst((VERITY, MEMORY)) == VERITY
    assert worst((ENCRYPTED, MEMORY)) == ENCRYPTED
    assert answers(worst((ENCRYPTED, VERITY))) == ("verity", "not-kept", "not-kept")
    assert answers(worst((MEMORY, NOT_KNOWN))) == ("not-known", "not-known", "not-known")
    assert answers(worst((PLAIN_DISK, NOT_KNOWN))) == ("plain-disk", "not-kept", "not-kept")
    assert worst((OUTSIDE, PLAIN_DISK, MEMORY)) == OUTSIDE
    assert worst(()) == NOT_KNOWN


def test_a_document_has_what_is_told_in_order() -> None:
    store = ENCRYPTED_INTEGRITY.telling("b", "a")
    assert store.document() == {
        "kind": "encrypted-integrity",
        "secrecy": "kept",
        "integrity": "kept",
        "told": ["a", "b", "replay"],
    }
    assert "told" not in PLAIN_DISK.document()


# Types of file systems


@pytest.mark.parametrize("fstype", ["tmpfs", "ramfs", "devtmpfs", "rootfs", "hugetlbfs"])
def test_memory(machine: RecordedMachine, fstype: str) -> None:
    machine.mount("/run", fstype, "0:40")
    assert Stores(machine).of("/run/x") == MEMORY


@pytest.mark.parametrize(
    "fstype",
    ["nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "fuse.sshfs", "fuse.s3fs", "afs"],
)
def test_served_by_others(machine: RecordedMachine, fstype: str) -> None:
    machine.mount("/data", fstype, "0:40")
    assert Stores(machine).of("/data/x") == OUTSIDE


@pytest.mark.parametrize(
    "fstype",
    ["fuse", "fuseblk", "fuse.gocryptfs", "zfs", "bcachefs", "ecryptfs", "f2fs", "autofs", "proc"],
)
def test_what_is_not_in_the_table_is_not_known(machine: RecordedMachine, fstype: str) -> None:
    machine.mount("/data", fstype, "0:40")
    assert Stores(machine).of("/data/x") == NOT_KNOWN


def test_a_disk_that_encrypts_nothing(machine: RecordedMachine) -> None:
    machine.partition("sda1", "8:1")
    machine.mount("/data", "xfs", "8:1")
    assert Stores(machine).of("/data") == PLAIN_DISK


def test_a_mount_without_its_device(machine: RecordedMachine) -> None:
    machine.mount("/data", "ext4", "9:99")
    machine.mount("/image", "erofs", "0:77")  # out of a file
    assert Stores(machine).of("/data") == NOT_KNOWN
    assert Stores(machine).of("/image") == NOT_KNOWN


@pytest.mark.parametrize("option", ["logdev=/dev/sdb", "rtdev=/dev/sdb", "device=/dev/sdb"])
def test_a_file_system_with_another_device_too(machine: RecordedMachine, option: str) -> None:
    machine.encrypted("/safe")
    machine.mount("/data", "xfs", "252:9", f"rw,{option}")
    assert Stores(machine).of("/data") == NOT_KNOWN


def test_a_journal_on_a_disk_of_its_own(machine: RecordedMachine) -> None:
    machine.encrypted("/safe")
    machine.write("/proc/fs/jbd2/dm-9-8/info")
    assert Stores(machine).of("/safe") == ENCRYPTED
    machine.device("sdb", "8:16", "pci0000:00/block")
    machine.write("/proc/fs/jbd2/sdb/info")
    assert Stores(machine).of("/safe") == PLAIN_DISK


# The device mapper


@pytest.mark.parametrize("kind", ["LUKS2", "LUKS1", "PLAIN", "TCRYPT", "BITLK"])
def test_dm_crypt(machine: RecordedMachine, kind: str) -> None:
    machine.mapping("dm-0", "252:0", f"CRYPT-{kind}-{UUID}-x", "sda")
    machine.mount("/data", "ext4", "252:0")
    assert Stores(machine).of("/data/chats.db") == ENCRYPTED


def test_luks2_with_integrity(machine: RecordedMachine) -> None:
    assert Stores(machine).of(machine.encrypted("/safe", integrity=True)) == ENCRYPTED_INTEGRITY


def test_luks2_with_integrity_of_older_cryptsetup(machine: RecordedMachine) -> None:
    machine.mapping("dm-0", "252:0", "CRYPT-INTEGRITY-x_dif", "sda", called="x_dif")
    machine.mapping("dm-1", "252:1", f"CRYPT-LUKS2-{UUID}-x", "dm-0", called="x")
    machine.mount("/data", "ext4", "252:1")
    assert Stores(machine).of("/data") == ENCRYPTED_INTEGRITY


def test_dm_integrity_of_its_own_authenticates_nothing(machine: RecordedMachine) -> None:
    machine.mapping("dm-0", "252:0", "CRYPT-INTEGRITY-checked", "sda", called="checked")
    machine.mapping("dm-1", "252:1", f"CRYPT-LUKS2-{UUID}-x", "dm-0", called="x")
    machine.mount("/checked", "ext4", "252:0")
    machine.mount("/above", "ext4", "252:1")
    assert Stores(machine).of("/checked") == PLAIN_DISK
    assert Stores(machine).of("/above") == ENCRYPTED


@pytest.mark.parametrize("part", ["x-hotzone-forward", "x-hotzone-backward", "x-overlay"])
def test_a_disk_that_is_being_encrypted(machine: RecordedMachine, part: str) -> None:
    machine.mapping("dm-0", "252:0", f"CRYPT-SUBDEV-{UUID}-{part}", "sda", called=part)
    machine.mapping("dm-1", "252:1", f"CRYPT-LUKS2-{UUID}-x", "dm-0", "sda", called="x")
    machine.mount("/data", "ext4", "252:1")
    assert Stores(machine).of("/data") == NOT_KNOWN.telling("re-encrypting")


def test_a_disk_that_says_it_encrypts(machine: RecordedMachine) -> None:
    machine.mapping("dm-0", "252:0", f"CRYPT-LUKS2-OPAL-{UUID}-x", "sda")
    machine.mount("/data", "ext4", "252:0")
    assert Stores(machine).of("/data") == NOT_KNOWN.telling("hardware-encryption")


def test_dm_verity(machine: RecordedMachine) -> None:
    machine.mapping("dm-0", "252:0", f"CRYPT-VERITY-{UUID}-usr", "sda")
    machine.mount("/usr", "squashfs", "252:0", "ro")
    assert Stores(machine).of("/usr/bin/python3") == VERITY


def test_dm_verity_above_encryption_has_both(machine: RecordedMachine) -> None:
    machine.mapping("dm-0", "252:0", f"CRYPT-LUKS2-{UUID}-x", "sda", called="x")
    machine.mapping("dm-1", "252:1", f"CRYPT-VERITY-{UUID}-usr", "dm-0")
    machine.mount("/usr", "ext4", "252:1")
    assert answers(Stores(machine).of("/usr")) == ("verity", "kept", "kept")


def test_volumes_above_encryption(machine: RecordedMachine) -> None:
    machine.partition("sda2", "8:2")
    machine.mapping("dm-0", "252:0", f"CRYPT-LUKS2-{UUID}-pv", "sda2", called="pv")
    machine.mapping("dm-1", "252:1", f"LVM-{UUID}{UUID}", "dm-0")
    machine.mount("/data", "xfs", "252:1")
    assert Stores(machine).of("/data") == ENCRYPTED


def test_a_volume_over_two_disks_of_which_one_is_plain(machine: RecordedMachine) -> None:
    machine.device("sdb", "8:16", "pci0000:00/0000:00:03.0/block")
    machine.mapping("dm-0", "252:0", f"CRYPT-LUKS2-{UUID}-pv", "sda", called="pv")
    machine.mapping("dm-1", "252:1", f"LVM-{UUID}{UUID}", "dm-0", "sdb")
    machine.mount("/data", "xfs", "252:1")
    assert Stores(machine).of("/data") == PLAIN_DISK


@pytest.mark.parametrize("uuid", ["", "mine", "crypt-luks2-x", "XCRYPT-LUKS2-x", "CRYPT-LUKS2"])
def test_a_mapping_by_others_protects_nothing(machine: RecordedMachine, uuid: str) -> None:
    machine.mapping("dm-0", "252:0", uuid, "sda")
    machine.mount("/data", "ext4", "252:0")
    assert Stores(machine).of("/data") == PLAIN_DISK


def test_a_mapping_of_nothing(machine: RecordedMachine) -> None:
    machine.mapping("dm-0", "252:0", "")
    machine.mount("/data", "ext4", "252:0")
    assert Stores(machine).of("/data") == NOT_KNOWN


# Other devices


def test_raid_and_cache_are_as_good_as_their_worst_disk(machine: RecordedMachine) -> None:
    machine.mapping("dm-0", "252:0", f"CRYPT-LUKS2-{UUID}-a", "sda", called="a")
    machine.mapping("dm-1", "252:1", f"CRYPT-LUKS1-{UUID}-b", "sda", called="b")
    machine.device("md0", "9:0", slaves=("dm-0", "dm-1"))
    machine.device("bcache0", "251:0", slaves=("dm-0", "sda"))
    machine.mount("/raid", "ext4", "9:0")
    machine.mount("/cached", "ext4", "251:0")
    assert Stores(machine).of("/raid") == ENCRYPTED
    assert Stores(machine).of("/cached") == PLAIN_DISK


@pytest.mark.parametrize("name", ["nbd0", "drbd1", "etherd!e0.1"])
def test_disks_of_other_machines(machine: RecordedMachine, name: str) -> None:
    machine.device(name, "43:0", slaves=("sda",))
    machine.mount("/data", "ext4", "43:0")
    assert Stores(machine).of("/data") == OUTSIDE


def test_encryption_above_another_machines_disk(machine: RecordedMachine) -> None:
    machine.device("nbd0", "43:0")
    machine.mapping("dm-0", "252:0", f"CRYPT-LUKS2-{UUID}-x", "nbd0", called="x")
    machine.mount("/data", "ext4", "252:0")
    assert Stores(machine).of("/data") == ENCRYPTED


@pytest.mark.parametrize("name", ["ublkb0", "nullb0", "zramx", "ram"])
def test_virtual_disks_that_nobody_knows(machine: RecordedMachine, name: str) -> None:
    machine.device(name, "259:0")
    machine.mount("/data", "ext4", "259:0")
    assert Stores(machine).of("/data") == NOT_KNOWN


def test_disks_in_memory(machine: RecordedMachine) -> None:
    machine.device("ram0", "1:0")
    machine.device("zram0", "253:0", backing_dev="none")
    machine.device("zram1", "253:1", backing_dev="/dev/sda")
    for place, number in (("/a", "1:0"), ("/b", "253:0"), ("/c", "253:1")):
        machine.mount(place, "ext4", number)
    assert [Stores(machine).of(place) for place in ("/a", "/b", "/c")] == [
        MEMORY,
        MEMORY,
        PLAIN_DISK,
    ]


def test_a_loop_device_lies_where_its_file_lies(machine: RecordedMachine) -> None:
    machine.encrypted("/safe")
    machine.mount("/run", "tmpfs", "0:40")
    places = {
        machine.write("/image"): PLAIN_DISK,
        machine.write("/safe/image"): ENCRYPTED,
        machine.write("/run/image"): MEMORY,
        "/run/gone (deleted)": NOT_KNOWN,
        "/run/never": NOT_KNOWN,
        "run/image": NOT_KNOWN,
    }
    for minor, (file, store) in enumerate(places.items()):
        machine.device(f"loop{minor}", f"7:{minor}", loop__backing_file=file)
        machine.mount("/mnt", "ext4", f"7:{minor}")
        assert Stores(machine).of("/mnt/x") == store, file


def test_a_loop_device_in_itself(machine: RecordedMachine) -> None:
    machine.write("/mnt/image")
    machine.device("loop0", "7:0", loop__backing_file="/mnt/image")
    machine.mount("/mnt", "ext4", "7:0")
    assert Stores(machine).of("/mnt") == NOT_KNOWN


def test_devices_below_each_other(machine: RecordedMachine) -> None:
    machine.device("md0", "9:0")
    machine.device("md1", "9:1", slaves=("md0",))
    machine.link_to("/sys/devices/virtual/block/md0/slaves/md1", "../../md1")
    machine.mount("/data", "ext4", "9:1")
    assert Stores(machine).of("/data") == NOT_KNOWN


def test_many_disks_are_not_looked_at_for_ever(machine: RecordedMachine) -> None:
    below = ["sda"]
    for level in range(20):
        pair = [f"md{level * 2}", f"md{level * 2 + 1}"]
        for name in pair:
            machine.device(name, f"9:{name[2:]}", slaves=below)
        below = pair
    machine.mount("/data", "ext4", "9:39")
    assert Stores(machine).of("/data").secrecy != Answer.KEPT


# Btrfs and overlays


def test_btrfs_lies_on_all_of_its_devices(machine: RecordedMachine) -> None:
    machine.mapping("dm-0", "252:0", f"CRYPT-LUKS2-{UUID}-x", "sda", called="x")
    machine.mount("/data", "btrfs", "0:50", "rw,subvol=/@", root="/@")
    assert Stores(machine).of("/data") == NOT_KNOWN
    machine.link_to(f"/sys/fs/btrfs/{BTRFS}/devices/dm-0", "../../../../class/block/dm-0")
    assert Stores(machine).of("/data") == ENCRYPTED
    machine.link_to(f"/sys/fs/btrfs/{BTRFS}/devices/sda", "../../../../class/block/sda")
    assert Stores(machine).of("/data") == PLAIN_DISK


def overlay(machine: RecordedMachine, *, lower: str, upper: str | None, work: str = "") -> None:
    options = f"rw,lowerdir={lower}"
    if upper:
        options += f",upperdir={upper},workdir={work or upper}"
    machine.mount("/merged", "overlay", "0:60", options)


def test_an_overlay_is_as_good_as_its_worst_layer(machine: RecordedMachine) -> None:
    machine.folder("/plain")
    machine.encrypted("/safe")
    machine.mount("/run", "tmpfs", "0:40")
    cases = (
        ("/plain", "/run", PLAIN_DISK),
        ("/run", "/plain", PLAIN_DISK),
        ("/safe", "/run", ENCRYPTED),
        ("/run:/safe", None, ENCRYPTED),
        ("/run:/plain", None, PLAIN_DISK),
        ("/run::/plain", None, PLAIN_DISK),
        ("/run,datadir+=/plain", None, PLAIN_DISK),
        ("/run,lowerdir+=/safe", None, ENCRYPTED),
        ("/run", "/run", MEMORY),
        ("/run:never", "/run", NOT_KNOWN),
        ("/run:l/ABC", "/run", NOT_KNOWN),
        ("", "/run", NOT_KNOWN),
    )
    for lower, upper, store in cases:
        overlay(machine, lower=lower, upper=upper)
        assert Stores(machine).of("/merged/x") == store, lower
    overlay(machine, lower="/run", upper="/run", work="/plain")
    assert Stores(machine).of("/merged/x") == PLAIN_DISK
    machine.mount("/merged", "overlay", "0:60", "rw,lowerdir=/run,workdir=/plain")
    assert Stores(machine).of("/merged/x") == PLAIN_DISK


def test_names_of_layers_have_escapes_in_escapes(machine: RecordedMachine) -> None:
    machine.mount("/run", "tmpfs", "0:40")
    machine.folder("/we,ird: \\name")
    overlay(machine, lower=r"/run:/we\134\054ird\134:\040\134\134name", upper=None)
    assert Stores(machine).of("/merged") == PLAIN_DISK


def test_an_overlay_of_memory_above_verity(machine: RecordedMachine) -> None:
    """What a measured image has: what is written stays secret, what is read is checked."""
    machine.mapping("dm-0", "252:0", f"CRYPT-VERITY-{UUID}-usr", "sda")
    machine.mount("/image", "squashfs", "252:0", "ro")
    machine.mount("/run", "tmpfs", "0:40")
    overlay(machine, lower="/image", upper=machine.folder("/run/upper"))
    assert answers(Stores(machine).of("/merged/new")) == ("verity", "kept", "kept")
    assert answers(Stores(machine).of("/merged")) == ("verity", "kept", "kept")
    machine.write("/merged/key")  # a file that came with the image, which everybody can read
    assert answers(Stores(machine).of("/merged/key")) == ("verity", "not-kept", "kept")
    machine.write("/run/upper/key")
    assert answers(Stores(machine).of("/merged/key")) == ("verity", "kept", "kept")


def test_a_containers_layers_are_not_looked_for(tmp_path: Path) -> None:
    """Their names are the outside's: what is there under these names in here is something else."""
    container = RecordedMachine(tmp_path, root_type="ext4")
    container.mount("/run", "tmpfs", "0:40")
    container.write("/run/image")
    container.device("loop0", "7:0", loop__backing_file="/run/image")
    container.mount("/mnt", "ext4", "7:0")
    overlay(container, lower="/run", upper="/run")
    assert Stores(container).of("/merged") == MEMORY
    container.in_pid_namespace("pid:[4026532456]")
    assert Stores(container).of("/merged") == NOT_KNOWN.telling("container")
    assert Stores(container).of("/mnt") == NOT_KNOWN.telling("container")
    assert Stores(container).of("/run") == MEMORY


def test_nor_those_of_a_root_that_is_an_overlay(tmp_path: Path) -> None:
    live = RecordedMachine(tmp_path, root_type="overlay")
    live.mount("/run", "tmpfs", "0:40")
    overlay(live, lower="/run", upper="/run")
    assert Stores(live).of("/merged") == NOT_KNOWN.telling("container")
    assert Stores(live).of("/") == NOT_KNOWN.telling("container")


def test_volumes_of_a_container(tmp_path: Path) -> None:
    container = RecordedMachine(tmp_path, root_type="overlay")
    container.in_pid_namespace("pid:[4026532456]")
    container.mount("/app/data", "ext4", "8:0", root="/var/lib/volumes/x")
    assert Stores(container).of("/app/data/webui.db") == PLAIN_DISK


# Swap


def swap_on(machine: RecordedMachine, *areas: str) -> None:
    rows = "".join(f"{area}\t\t1048572\t\t0\t\t-2\n" for area in areas)
    machine.write("/proc/swaps", SWAPS + rows)


def test_memory_is_as_good_as_its_swap(machine: RecordedMachine) -> None:
    machine.mount("/run", "tmpfs", "0:40")
    machine.mount("/pinned", "ramfs", "0:41")
    machine.mount("/here", "tmpfs", "0:42", "rw,noswap")
    machine.device("zram0", "253:0")
    machine.mapping("dm-0", "252:0", f"CRYPT-PLAIN-{UUID}-swap", "sda")
    machine.write("/swap file")
    cases = {
        "/dev/zram0 partition": ("memory", "kept", "kept"),
        "/dev/dm-0 partition": ("memory", "kept", "not-kept"),
        "/dev/sda partition": ("memory", "not-kept", "not-kept"),
        r"/swap\040file file": ("memory", "not-kept", "not-kept"),
        "/dev/gone partition": ("memory", "not-known", "not-known"),
        "/dev/mapper/zram0 partition": ("memory", "not-known", "not-known"),
        r"/swapfile\040(deleted) file": ("memory", "not-known", "not-known"),
        "nonsense": ("memory", "not-known", "not-known"),
    }
    for area, expected in cases.items():
        swap_on(machine, area)
        stores = Stores(machine)
        assert answers(stores.of("/run")) == expected, area
        assert stores.memory.told == {"swap"}
        assert stores.of("/pinned") == stores.of("/here") == MEMORY
    swap_on(machine, "/dev/zram0 partition", "/dev/sda partition")
    assert Stores(machine).swap == PLAIN_DISK


def test_without_swap(machine: RecordedMachine) -> None:
    assert Stores(machine).swap is None
    assert Stores(machine).memory == MEMORY


def test_swap_that_lies_in_memory(machine: RecordedMachine) -> None:
    machine.mount("/run", "tmpfs", "0:40")
    machine.device("loop0", "7:0", loop__backing_file=machine.write("/run/image"))
    swap_on(machine, "/dev/loop0 partition")
    assert kept(Stores(machine).of("/run")) == (Answer.KEPT, Answer.KEPT)
    swap_on(machine, "/dev/loop0 partition", "/dev/sda partition")
    assert kept(Stores(machine).of("/run")) == (Answer.NOT_KEPT, Answer.NOT_KEPT)


def test_swaps_that_somebody_else_tells(machine: RecordedMachine) -> None:
    machine.write("/proc/swaps", "none\n")
    assert Stores(machine).swap == NOT_KNOWN
    machine.write("/proc/swaps", SWAPS + "x" * (1 << 17))
    assert Stores(machine).swap == NOT_KNOWN
    machine.write("/proc/swaps", SWAPS)
    machine.mount("/proc", "fuse.lxcfs", "0:70")
    assert Stores(machine).swap == NOT_KNOWN
    os.unlink(f"{machine.root}/proc/swaps")
    assert Stores(machine).swap == NOT_KNOWN


# Paths and mounts


def test_what_is_not_there_yet_lies_where_the_nearest_folder_does(
    machine: RecordedMachine,
) -> None:
    machine.mount("/run", "tmpfs", "0:40")
    stores = Stores(machine)
    assert stores.of("/run/a/b/c") == MEMORY
    assert stores.of("/nowhere/b/c") == PLAIN_DISK
    machine.write("/run/file")
    assert stores.of("/run/file/below") == MEMORY


def test_links_are_followed(machine: RecordedMachine) -> None:
    machine.mount("/run", "tmpfs", "0:40")
    machine.link_to("/data", "run/data")
    machine.link_to("/out", "/")
    machine.link_to("/round", "round")
    stores = Stores(machine)
    assert stores.of("/data/chats.db") == MEMORY
    assert stores.of("/run/../data/x") == MEMORY
    assert stores.of("/out/x") == NOT_KNOWN
    assert stores.of("/round") == NOT_KNOWN


def test_what_is_no_path(machine: RecordedMachine) -> None:
    stores = Stores(machine)
    for path in ("", "relative", "/a\0b", "/" + "x" * 300, "/x" * 5000, "/\udcff\udc80\n"):
        assert stores.of(path).secrecy != Answer.KEPT


def test_sockets_and_pipes_are_not_opened(tmp_path: Path, machine: RecordedMachine) -> None:
    machine.mount("/run", "tmpfs", "0:40")
    os.mkfifo(f"{machine.root}/run/pipe")
    assert Stores(machine).of("/run/pipe") == NOT_KNOWN


def test_a_later_mount_hides_an_earlier_one(machine: RecordedMachine) -> None:
    machine.mount("/data", "tmpfs", "0:40")
    machine.mount("/data", "ext4", "8:0")
    assert Stores(machine).of("/data") == PLAIN_DISK


def test_a_tree_lies_where_all_below_it_does(machine: RecordedMachine) -> None:
    machine.mount("/data", "tmpfs", "0:40")
    machine.mount("/database", "nfs", "0:41")
    assert Stores(machine).of_tree("/data") == MEMORY
    machine.mount("/data/cache/audio", "ext4", "8:0")
    assert Stores(machine).of_tree("/data") == PLAIN_DISK
    assert Stores(machine).of_tree("/data/cache") == PLAIN_DISK
    assert Stores(machine).of_tree("/data/uploads") == Stores(machine).of("/data") == MEMORY
    assert Stores(machine).of_tree("relative") == NOT_KNOWN


@pytest.mark.parametrize(
    "line",
    [
        "",
        "x",
        "27 1 254:0 / / rw",
        "27 1 254:0 / / rw - ext4",
        "27 1 254 / / rw - ext4 /dev/vda rw",
        "27 1 254:0 / / rw - ext4 /dev/vda rw extra",
        "many 1 254:0 / / rw - ext4 /dev/vda rw",
        "27 1 254:0 / - ext4 /dev/vda rw",
        "27 1 1:1 / / rw - tmpfs a rw\n27 1 1:2 / / rw - tmpfs b rw",
    ],
)
def test_a_line_that_nobody_understands_makes_all_unknown(
    machine: RecordedMachine, line: str
) -> None:
    with pytest.raises(ValueError, match=r"mountinfo has|invalid literal"):
        parse_mountinfo(line)
    machine.write("/proc/self/mountinfo", f"20 1 8:0 / / rw - tmpfs none rw\n{line}\n\n")
    assert Stores(machine).of("/x") == NOT_KNOWN


@given(st.text(alphabet="0127: /\\,=-\n.aoverlywdi", max_size=120))
def test_any_mountinfo_is_parsed_or_refused(text: str) -> None:
    with suppress(ValueError):
        parse_mountinfo(text)
    mounts = parse_mountinfo(
        f"20 1 8:0 / / rw - overlay none lowerdir={text.split()[0] if text.split() else 1}"
    )
    assert mounts[20].fstype == "overlay"


def test_mountinfo_with_fields_that_are_empty_or_escaped() -> None:
    text = (
        "27 1 254:0 / /with\\040space\\011\\134 rw shared:1 master:2 - fuse.x\\040y  rw,a=b\\054c\n"
    )
    mount = parse_mountinfo(text)[27]
    assert mount.point == "/with space\t\\"
    assert mount.fstype == "fuse.x y"
    assert mount.options == {"rw": ("",), "a": ("b,c",)}


def test_a_huge_mountinfo_is_not_read(machine: RecordedMachine) -> None:
    machine.mount("/run", "tmpfs", "0:40")
    file = Path(machine.root, "proc/self/mountinfo")
    lines = "".join(f"{n} 1 0:40 / /m{n} rw - tmpfs {'x' * 900} rw\n" for n in range(100, 5000))
    file.write_text(file.read_text() + lines)
    assert Stores(machine).of("/run") == NOT_KNOWN


def test_a_sysfs_that_is_none(machine: RecordedMachine) -> None:
    machine.mount("/sys", "tmpfs", "0:80")
    assert Stores(machine).of("/data") == NOT_KNOWN


def test_attributes_that_are_too_long_or_strange(machine: RecordedMachine) -> None:
    machine.mapping("dm-0", "252:0", "CRYPT-LUKS2-" + "x" * 5000, "sda")
    machine.mapping("dm-1", "252:1", "\udcff\udcfe\x01", "sda")
    machine.mount("/a", "ext4", "252:0")
    machine.mount("/b", "ext4", "252:1")
    assert Stores(machine).of("/a") == NOT_KNOWN
    assert Stores(machine).of("/b") == PLAIN_DISK


def test_fs_verity_is_told_and_changes_no_answer(machine: RecordedMachine) -> None:
    """Its digest lies on the disk, too: whoever changes the disk can put another file there."""
    machine.write("/model")
    machine.with_fs_verity.add("/model")
    assert Stores(machine).of("/model") == PLAIN_DISK.telling("fs-verity")


# This machine


def test_the_kernel_of_this_machine(tmp_path: Path) -> None:
    kernel = Kernel()
    assert kernel.mount_id("/proc") != kernel.mount_id("/sys")
    stores = Stores(kernel)
    assert stores.of("/proc/self").kind == stores.of("/sys").kind == Kind.NOT_KNOWN
    assert isinstance(stores.of(str(tmp_path / "not/there")), Store)
    with pytest.raises(OSError, match=r"[Ii]n"):
        kernel.btrfs_id("/proc")


_IS_LOCKED = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("locked")
"""


def test_this_process_keeps_its_locks_on_what_is_looked_at(tmp_path: Path) -> None:
    """As SQLite's, which end with the first descriptor that is closed, whoever opened it."""
    database = tmp_path / "webui.db"
    database.write_bytes(bytes(4096))
    with database.open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        kernel = Kernel()
        Stores(kernel).of(str(database))
        assert kernel.has_fs_verity(str(database)) is False
        with pytest.raises(OSError, match=r"[Ii]n"):
            kernel.btrfs_id(str(database))
        with pytest.raises(ValueError, match="too long"):
            kernel.file_text(str(database), 64)
        command = [sys.executable, "-c", _IS_LOCKED, str(database)]
        asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert asked.stdout.strip() == "locked"


def test_a_socket_here_is_no_place(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        assert Stores().of(str(tmp_path / "s")) == NOT_KNOWN


_REAL = """
import sys
from cczoo_backend.workload.stores import Stores
for path in sys.argv[1:]:
    print(*(Stores().of(path).document()[name] for name in ("kind", "secrecy", "integrity")))
"""


def test_real_mounts_in_a_namespace_of_our_own(tmp_path: Path) -> None:
    """A mount that is hidden, one in a name with spaces, one file's own, an overlay's layers."""
    root = tmp_path / "with space"
    for name in ("disk/file", "memory", "hidden", "merged"):
        (root / name).mkdir(parents=True)
    script = f"""
        set -e; cd '{root}'
        mount -t tmpfs none memory; mkdir memory/upper memory/work memory/lower
        mount -t tmpfs none hidden; mount --bind disk hidden
        mount -t overlay none -o lowerdir=disk:memory/lower merged 2>/dev/null || exit 77
        '{sys.executable}' -c '{_REAL}' "$PWD/memory/new" "$PWD/hidden/new" "$PWD/merged" "$PWD"
        umount merged
        mount -t overlay none -o "lowerdir=$PWD/disk:$PWD/memory/lower" merged
        '{sys.executable}' -c '{_REAL}' "$PWD/merged"
        umount merged; cd memory
        mount -t overlay none \
            -o "lowerdir=$PWD/lower,upperdir=$PWD/upper,workdir=$PWD/work" ../merged
        '{sys.executable}' -c '{_REAL}' "$PWD/../merged/new"
    """
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this machine lets nobody mount")
    assert done.returncode == 0, done.stderr
    memory, hidden, relative, disk, absolute, in_memory = done.stdout.splitlines()
    assert memory.startswith("memory ")
    assert hidden == absolute == disk
    assert relative == "not-known not-known not-known"  # its layers' names mean nothing to others
    assert in_memory == memory
