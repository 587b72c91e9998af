"""Which mount a file lies on, as Linux tells it (proc(5), mountinfo), and what that means for the file.

Refuses: other systems, which have no such list; then nothing is found.
"""

from __future__ import annotations

import os

from rotator.cli.finding import note, ok, warning
from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from rotator.cli.finding import Finding

_LIST = "/proc/self/mountinfo"
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "ocfs2", "gfs2", "davfs", "beegfs", "gpfs"}
_NETWORK |= {"fuse.sshfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse", "fuse.ceph"}
_SHARED_WITH_HOST = {"9p", "virtiofs", "fuse.grpcfuse", "fakeowner", "vboxsf", "prl_fs", "fuse.vmhgfs-fuse"}
"""Folders of a host in a virtual machine, as Docker Desktop and WSL have them: some grant one lock to two holders."""
_NO_MODES = {"vfat", "exfat", "msdos", "ntfs", "ntfs3", "fuseblk"}
_GONE_AT_RESTART = {"tmpfs": "the machine", "ramfs": "the machine", "overlay": "the container", "aufs": "the container"}


class Mount(Value):
    """One line of the list: where it is mounted, with what, and whether read-only."""

    point: str
    kind: str
    read_only: bool


def mount_of(target: str, listed: str) -> Mount | None:
    """The mount that a resolved path lies on, by the text of the list; of two at one point the later one hides the other."""
    found: Mount | None = None
    for line in listed.splitlines():
        front, dash, back = line.partition(" - ")
        fields, last = front.split(), back.split()
        if not dash or len(fields) < 6 or not last:  # noqa: PLR2004  as proc(5) numbers them
            continue
        point = _unescaped(fields[4])
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and (found is None or len(point) >= len(found.point)):
            options = {*fields[5].split(","), *last[-1].split(",")}
            found = Mount(point, last[0], "ro" in options)
    return found


def found(target: str) -> Mount | None:
    """The mount that a resolved path lies on; None where the system does not tell."""
    try:
        with open(_LIST, encoding="utf-8", errors="surrogateescape") as file:
            return mount_of(target, file.read())
    except OSError:
        return None


def findings(target: str) -> Iterator[Finding]:
    """What there is to say of the mount of a resolved path."""
    mount = found(target)
    if mount is not None:
        yield from judged(mount, target)


def judged(mount: Mount, target: str) -> Iterator[Finding]:
    """What a mount means for the file at that resolved path."""
    kind = mount.kind
    if mount.point == target:
        yield warning(
            "mount",
            "the file is mounted on its own, as into a container: it cannot be replaced whole, only written in place",
            "mount its folder instead",
        )
    if mount.read_only:
        yield note("mount", f"the file system at {mount.point} is mounted read-only, so nothing learned is kept")
    if kind in _NETWORK:
        yield warning(
            "mount",
            f"it lies on a network file system ({kind}), where locks and renames hold less than on a disk",
            "keep it on a local disk, one file for each machine",
        )
    elif kind in _SHARED_WITH_HOST:
        yield warning(
            "mount",
            f"it lies on a folder shared with a host ({kind}), where locks may not exclude anybody",
            "keep it on a volume, or let only one side write it",
        )
    elif kind in _NO_MODES:
        yield warning(
            "mount",
            f"it lies on a file system without owners and modes ({kind}), so it cannot be private",
            "keep it on a file system that has them, such as ext4",
        )
    elif kind in _GONE_AT_RESTART:
        yield note("mount", f"it lies on {kind}, and is gone when {_GONE_AT_RESTART[kind]} is")
    elif mount.point != target and not mount.read_only:
        yield ok("mount", f"{kind} at {mount.point}")


def _unescaped(text: str) -> str:
    r"""A path of the list, in which white space and backslashes stand as octal, ``\040``."""
    first, *parts = os.fsencode(text).split(b"\\")
    return os.fsdecode(first + b"".join([bytes([int(part[:3], 8)]) + part[3:] for part in parts]))
