"""How bytes come to lie durably where a file is, whole or not at all. Refuses: to decide whether they should.

Two ways: a draft beside the target that is renamed over it, or, where a rename cannot be, over the old bytes in place.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat as modes
import time

from rotator import errors
from rotator.store.reading import Snapshot, Stamp, close, read_descriptor, stamp_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

PRIVATE = 0o600
OTHERS = 0o077

POLL_SECS = 0.002

NO_RENAME = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EXDEV, errno.EINVAL)
"""What a draft or its rename answers where a write in place may still succeed: a folder that may not be written, an
owner that cannot be kept, a single file mounted into a container."""


class Overtaken(Exception):
    """Somebody wrote the file since it was read; ``now`` is what it holds instead, and nothing of ours was written."""

    def __init__(self, now: Snapshot) -> None:
        self.now = now
        super().__init__("the file was written by somebody else")


class Draft:
    """A private file beside the target, gone at exit unless it was installed.

    Mode 0600 and the target's owner come before the first byte. Raises: OSError, with EPERM where mode or owner cannot
    be had; the target is then as it was.
    """

    __slots__ = ("_descriptor", "_installed", "_target", "path")

    def __init__(self, target: str, like: os.stat_result) -> None:
        folder, name = os.path.split(target)
        self.path = os.path.join(folder, f".{name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
        self._target = target
        self._installed = False
        self._descriptor = _create(self.path)
        try:
            _make_private(self._descriptor, like)
            _keep_owner(self._descriptor, like)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        _keep_labels(self._descriptor, target)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        close(self._descriptor)
        if not self._installed:
            discard(self.path)

    def fill(self, raw: bytes) -> None:
        """Write everything and see it on the disk."""
        write_durably(self._descriptor, raw)

    def install(self) -> Stamp:
        """Take the target's place; the stamp is of afterwards, because a rename changes ctime."""
        stamp = stamp_of(os.fstat(self._descriptor))
        os.replace(self.path, self._target)
        self._installed = True
        try:
            return stamp_of(os.fstat(self._descriptor))
        except OSError:
            return stamp


def overwrite(target: str, seen: bytes, raw: bytes, deadline: float) -> Snapshot:
    """Write ``raw`` over ``seen`` in the file itself, and return what it then holds.

    Readers of ours wait on the lock of the file itself, which also holds where it is mounted alone into a container.
    Between any two system calls the file holds the old or the new document, followed by spaces at most, so a process
    that is killed leaves a document; and the disk is known to have room before the first old byte goes.

    Raises: Overtaken; OSError, the old bytes then written back; AccountsBusy at ``deadline`` (monotonic seconds).
    """
    descriptor = os.open(target, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _lock_out_readers(descriptor, target, deadline)
        now = read_descriptor(descriptor, target)
        if now.raw != seen:
            raise Overtaken(now)
        _make_private(descriptor, os.fstat(descriptor))
        try:
            return Snapshot(raw, _pave(descriptor, seen, raw))
        except BaseException:
            _restore(descriptor, seen)
            raise
    finally:
        close(descriptor)


def copy_aside(target: str, suffix: str, raw: bytes, like: os.stat_result) -> str:
    """Write ``raw`` durably to the target's name plus the suffix, then ``.1``, ``.2`` ... where that exists already.

    Returns the path that was free. Raises: OSError, nothing left behind.
    """
    path = target + suffix
    count = 0
    while True:
        try:
            descriptor = _create(path)
            break
        except FileExistsError:
            count += 1
            path = f"{target}{suffix}.{count}"
    try:
        try:
            _make_private(descriptor, like)
            _keep_owner(descriptor, like)
            write_durably(descriptor, raw)
        finally:
            close(descriptor)
    except BaseException:
        discard(path)
        raise
    sync_folder(target)
    return path


def write_durably(descriptor: int, raw: bytes) -> None:
    """Write all of it at offset 0, in as many calls as it takes, and see it on the disk.

    Raises: OSError; EIO when the file does not have the size it must have.
    """
    _write_all(descriptor, raw)
    _sync(descriptor, len(raw))


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


def sweep(target: str) -> None:
    """Remove drafts of processes that are dead. The caller holds the lock, so no live process has one."""
    folder, name = os.path.split(target)
    prefix = f".{name}."
    try:
        entries = os.listdir(folder)
    except OSError:
        return
    for entry in entries:
        if entry.startswith(prefix) and entry.endswith(".tmp"):
            process, _, rest = entry[len(prefix) : -len(".tmp")].partition(".")
            if len(rest) == 8 and process.isascii() and process.isdecimal() and _is_dead(int(process)):  # noqa: PLR2004
                discard(os.path.join(folder, entry))


def discard(path: str) -> None:
    """Remove a file of ours if it can be removed."""
    try:
        os.unlink(path)
    except OSError:
        pass


def _create(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)


def _make_private(descriptor: int, like: os.stat_result) -> None:
    """Exactly 0600, whatever the umask took away; where modes cannot be changed, at least no looser than before."""
    mode = modes.S_IMODE(os.fstat(descriptor).st_mode)
    if mode == PRIVATE:
        return
    try:
        os.fchmod(descriptor, PRIVATE)
    except OSError:
        if mode & PRIVATE != PRIVATE or mode & OTHERS & ~like.st_mode:
            raise OSError(errno.EPERM, "the file cannot be made private") from None


def _keep_owner(descriptor: int, like: os.stat_result) -> None:
    """The group does not matter to a file of mode 0600, so it may be lost; the owner may not."""
    status = os.fstat(descriptor)
    if (status.st_uid, status.st_gid) == (like.st_uid, like.st_gid):
        return
    try:
        os.fchown(descriptor, like.st_uid, like.st_gid)
    except OSError:
        if status.st_uid != like.st_uid:
            raise OSError(errno.EPERM, "the owner of the file cannot be kept") from None


def _keep_labels(descriptor: int, target: str) -> None:
    """Extended attributes, as far as the file system has them; but no access lists, they widen 0600."""
    try:
        names = os.listxattr(target)
    except OSError:
        return
    for name in names:
        if not name.startswith("system."):
            try:
                os.setxattr(descriptor, name, os.getxattr(target, name))
            except OSError:
                pass


def _write_all(descriptor: int, raw: bytes, offset: int = 0) -> None:
    rest = memoryview(raw)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        if written <= 0:
            raise OSError(errno.EIO, "the disk takes no more bytes")
        rest = rest[written:]
        offset += written


def _sync(descriptor: int, size: int) -> Stamp:
    os.fsync(descriptor)
    status = os.fstat(descriptor)
    if status.st_size != size:
        raise OSError(errno.EIO, "the disk did not keep what was written")
    return stamp_of(status)


def _pave(descriptor: int, seen: bytes, raw: bytes) -> Stamp:
    _write_all(descriptor, b" " * (len(raw) - len(seen)), len(seen))
    _write_all(descriptor, raw.ljust(len(seen)))
    os.ftruncate(descriptor, len(raw))
    return _sync(descriptor, len(raw))


def _restore(descriptor: int, seen: bytes) -> None:
    try:
        os.ftruncate(descriptor, len(seen))
        _write_all(descriptor, seen)
        os.fsync(descriptor)
    except OSError as error:
        message = f"{error.strerror}, midway, and the old bytes could not be put back"
        raise OSError(error.errno, message) from None


def _lock_out_readers(descriptor: int, target: str, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                message = f"{target} is being read or written by another process for too long; try again"
                raise errors.AccountsBusy(errno.ETIMEDOUT, message) from None
            time.sleep(POLL_SECS)
        except OSError:
            return
        else:
            return


def _is_dead(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
