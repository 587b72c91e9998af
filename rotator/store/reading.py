"""How a file is read whole, without a lock file and without waiting. Refuses: to write, and to return a torn document.

Every ``rotator next`` passes through here, so it imports nothing that Python has not loaded anyway, besides ``fcntl``.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat as modes
import time

from rotator import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

MAX_BYTES = 64 * 1024 * 1024
"""Our choice: far above any list of accounts that a person edits, far below what would exhaust a small machine."""

ATTEMPTS = 8
"""How often a file that changes while it is read is read again; its pauses double from 1 ms, so a quarter of a second."""

SHARED_WAIT_SECS = 2.0
"""How long a reader waits for a writer in place; such a write is some milliseconds of fsync."""

POLL_SECS = 0.002

Stamp = tuple[int, int, int, int, int]
"""Device, inode, size in bytes, mtime and ctime in nanoseconds; ctime because ``cp -p`` restores mtime."""


class Snapshot:
    """The bytes of a file at one instant, and the stamp it had then; nobody changes either."""

    __slots__ = ("raw", "stamp")

    def __init__(self, raw: bytes, stamp: Stamp) -> None:
        self.raw = raw
        self.stamp = stamp

    def __repr__(self) -> str:
        return f"Snapshot({len(self.raw)} bytes, {self.stamp})"


def stamp_of(status: os.stat_result) -> Stamp:
    """What tells two states of a file apart without reading it."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def stamp(path: str) -> Stamp | None:
    """The stamp of what the path leads to, links followed; None when there is no file.

    Raises: AccountsDenied, AccountsUnreadable as `read` does.
    """
    try:
        return stamp_of(os.stat(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        refuse(path, error)


def read(path: str) -> Snapshot:
    """The whole file at one instant. A FIFO or a device does not block, and a writer in place is waited for.

    Raises: AccountsMissing (absent, dangling link); AccountsDenied (EACCES, EPERM); AccountsUnreadable (a link loop,
    not a regular file, EIO, or it never stopped changing); AccountsInvalid above `MAX_BYTES`, without reading it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        refuse(path, error)
    try:
        _share(descriptor)
        return read_descriptor(descriptor, path)
    finally:
        close(descriptor)


def read_descriptor(descriptor: int, path: str) -> Snapshot:
    """What `read` does, of a file that is open already; ``path`` is for messages. The lock is the caller's."""
    pause = 0.001
    try:
        before = os.fstat(descriptor)
        for _ in range(ATTEMPTS):
            check_kind(path, before)
            raw = read_all(descriptor, before.st_size)
            after = os.fstat(descriptor)
            if stamp_of(before) == stamp_of(after) and len(raw) == after.st_size:
                return Snapshot(raw, stamp_of(after))
            time.sleep(pause)
            pause *= 2
            before = os.fstat(descriptor)
    except errors.RotatorError:
        raise
    except OSError as error:
        refuse(path, error)
    message = f"{path} kept changing while it was read: try again when nobody is writing it"
    raise errors.AccountsUnreadable(errno.EBUSY, message)


def obstacle(path: str) -> str | None:
    """Why this file would not be written durably, told without trying; None when writing looks possible.

    A folder that may not be written is no obstacle, because a writable file can be written in place.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        return f"the file cannot be looked at: {error.strerror}"
    if not modes.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if intent := write_protected(status):
        return intent
    if os.access(path, os.W_OK):
        return None
    try:
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            return "the file system is mounted read-only"
    except OSError:
        pass
    return "the file may not be written by this user"


def write_protected(status: os.stat_result) -> str | None:
    """The obstacle of a file without any write bit: somebody meant it to stay, whoever may write it nevertheless."""
    if status.st_mode & (modes.S_IWUSR | modes.S_IWGRP | modes.S_IWOTH):
        return None
    return f"the file is read-only (mode {modes.S_IMODE(status.st_mode):04o})"


def mode_bits(path: str) -> int:
    """The permission bits, or all of them when the file cannot be looked at."""
    try:
        return modes.S_IMODE(os.stat(path).st_mode)
    except OSError:
        return 0o777


def close(descriptor: int) -> None:
    """Close it; an error here says nothing about what was read, nor about what was synced."""
    try:
        os.close(descriptor)
    except OSError:
        pass


def refuse(path: str, error: OSError) -> NoReturn:
    """Turn an error of the system about reading ``path`` into one that says who has to act."""
    number = error.errno
    if number in (errno.ENOENT, errno.ENOTDIR):
        why = "the link leads nowhere" if os.path.islink(path) else "there is no file"
        message = f"{path}: {why}; create it, or name another file"
        raise errors.AccountsMissing(number, message) from None
    if number in (errno.EACCES, errno.EPERM):
        message = f"{path} may not be read by this user; check the owner and mode of the file and of its folders"
        raise errors.AccountsDenied(number, message) from None
    remedy = "repair the loop of symbolic links" if number == errno.ELOOP else "check the path and the disk"
    message = f"{path} cannot be read ({error.strerror}); {remedy}"
    raise errors.AccountsUnreadable(number or errno.EIO, message) from None


def check_kind(path: str, status: os.stat_result) -> None:
    """Raises: AccountsUnreadable for what is no regular file, AccountsInvalid for more than `MAX_BYTES`."""
    if modes.S_ISDIR(status.st_mode):
        raise errors.AccountsUnreadable(errno.EISDIR, f"{path} is a folder; name the file in it")
    if not modes.S_ISREG(status.st_mode):
        raise errors.AccountsUnreadable(errno.EINVAL, f"{path} is not a regular file; name a regular file")
    if status.st_size > MAX_BYTES:
        rule = f"a document has at most {MAX_BYTES} bytes and this one has {status.st_size}"
        raise errors.AccountsInvalid([errors.Fault("", 1, 1, rule, f"check that {path} is the file you meant")])


def read_all(descriptor: int, size: int) -> bytes:
    """Up to one byte more than the size, which tells that the file grew; one that grows for ever is not followed."""
    pieces = []
    offset = 0
    while offset <= size and (piece := os.pread(descriptor, size + 1 - offset, offset)):
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)


def _share(descriptor: int) -> None:
    """Keep writers in place out until the descriptor is closed; where locks do not work, go on without."""
    deadline = None
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            now = time.monotonic()
            if deadline is None:
                deadline = now + SHARED_WAIT_SECS
            if now >= deadline:
                return
            time.sleep(POLL_SECS)
        except OSError:
            return
        else:
            return
