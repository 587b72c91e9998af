"""How a file that only its owner may read comes to lie durably beside another. Refuses: to touch that other one."""

from __future__ import annotations

import errno
import os
import stat as modes

from rotator.store.reading import Stamp, close, read_all, stamp_of

PRIVATE = 0o600
OTHERS = 0o077


def path_beside(target: str, kind: str) -> str:
    """A name of ours beside the target that tells its writer, and that nobody else has: ``.NAME.PID.RANDOM.kind``."""
    folder, name = os.path.split(target)
    return os.path.join(folder, f".{name}.{os.getpid()}.{os.urandom(4).hex()}.{kind}")


def copy_to(path: str, target: str, raw: bytes, like: os.stat_result) -> None:
    """Write ``raw`` durably to a path beside the target, as private and of the same owner.

    Raises: OSError, FileExistsError for a name that is taken; nothing is left behind.
    """
    descriptor = create(path)
    try:
        try:
            make_private(descriptor, like)
            keep_owner(descriptor, like)
            write_durably(descriptor, raw)
        finally:
            close(descriptor)
    except BaseException:
        discard(path)
        raise
    sync_folder(target)


def copy_aside(target: str, suffix: str, raw: bytes, like: os.stat_result) -> str:
    """Write ``raw`` durably to the target's name plus the suffix, then ``.1``, ``.2`` ... where that exists already.

    Returns the path that was free. Raises: OSError, nothing left behind.
    """
    path = target + suffix
    count = 0
    while True:
        try:
            copy_to(path, target, raw, like)
        except FileExistsError:
            count += 1
            path = f"{target}{suffix}.{count}"
        else:
            return path


def move(path: str, backup: str | None, like: int) -> None:
    """Make a file of ours the backup, in place of the one before; where that cannot be, or is None, remove it.

    It becomes 0600, or at least no looser than the open file ``like``. Not synced: a power cut may bring the name before
    back, and under that the file is found and removed.
    """
    try:
        if backup is not None:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                make_private(descriptor, os.fstat(like))
            finally:
                close(descriptor)
            os.replace(path, backup)
            return
    except OSError:
        pass
    discard(path)


def write_durably(descriptor: int, raw: bytes) -> None:
    """Write all of it at offset 0, in as many calls as it takes, and see it on the disk.

    Raises: OSError; EIO when the file does not hold what was written.
    """
    write_all(descriptor, raw)
    sync(descriptor, raw)


def write_all(descriptor: int, raw: bytes, offset: int = 0) -> None:
    """Write all of it at the offset, in as many calls as it takes. Raises: OSError; EIO when the disk takes no more."""
    rest = memoryview(raw)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        if written <= 0:
            raise OSError(errno.EIO, "the disk takes no more bytes")
        rest = rest[written:]
        offset += written


def sync(descriptor: int, raw: bytes) -> Stamp:
    """See the file on the disk, and that it holds ``raw`` and nothing else, whatever the calls that wrote it answered.

    Raises: OSError, after which nothing is known of the file: write another one; EIO when it holds something else.
    """
    os.fsync(descriptor)
    status = os.fstat(descriptor)
    if status.st_size != len(raw) or read_all(descriptor, len(raw)) != raw:
        raise OSError(errno.EIO, "the disk did not keep what was written")
    return stamp_of(status)


def sync_folder(target: str) -> bool:
    """Make a rename survive a power cut; False when the folder could not be synced."""
    try:
        descriptor = os.open(os.path.dirname(target), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            close(descriptor)
    except OSError:
        return False
    return True


def discard(path: str) -> None:
    """Remove a file of ours if it can be removed."""
    try:
        os.unlink(path)
    except OSError:
        pass


def create(path: str) -> int:
    """A new empty file. Raises: FileExistsError also for a link, which is not followed."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)


def make_private(descriptor: int, like: os.stat_result) -> None:
    """Exactly 0600, whatever the umask took away; where modes cannot be changed, at least no looser than before."""
    mode = modes.S_IMODE(os.fstat(descriptor).st_mode)
    if mode == PRIVATE:
        return
    try:
        os.fchmod(descriptor, PRIVATE)
    except OSError:
        if mode & PRIVATE != PRIVATE or mode & OTHERS & ~like.st_mode:
            raise OSError(errno.EPERM, "the file cannot be made private") from None


def keep_owner(descriptor: int, like: os.stat_result) -> None:
    """The group does not matter to a file of mode 0600, so it may be lost; the owner may not."""
    status = os.fstat(descriptor)
    if (status.st_uid, status.st_gid) == (like.st_uid, like.st_gid):
        return
    try:
        os.fchown(descriptor, like.st_uid, like.st_gid)
    except OSError:
        if status.st_uid != like.st_uid:
            raise OSError(errno.EPERM, "the owner of the file cannot be kept") from None


def keep_labels(descriptor: int, target: str) -> None:
    """Extended attributes, as far as the file system has them; but no access lists, they widen 0600."""
    try:
        names = os.listxattr(target)
    except (AttributeError, OSError):  # not every system's Python can ask
        return
    for name in names:
        if not name.startswith("system."):
            try:
                os.setxattr(descriptor, name, os.getxattr(target, name))
            except OSError:
                pass
