"""How bytes come to lie durably where a file is, whole or not at all. Refuses: to decide whether they should.

Three ways: a draft beside the target changes places with it, or, where the system cannot do that, is renamed over it; or,
where a rename cannot be, the bytes go over the old ones in place.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat as modes
import time

from rotator import errors
from rotator.store import leftovers, private
from rotator.store.private import discard
from rotator.store.reading import Snapshot, Stamp, close, read, read_all, read_descriptor, stamp_of
from rotator.store.swap import swap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

POLL_SECS = 0.002

ROUNDS = 8
"""How often somebody may save once more while their save before is put back."""

NO_RENAME = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EXDEV, errno.EINVAL)
"""What a draft or its rename answers where a write in place may still succeed: a folder that may not be written, an
owner that cannot be kept, a single file mounted into a container."""


class Overtaken(Exception):
    """Somebody wrote the file since it was read; ``now`` is what it holds instead, and nothing of ours is in it."""

    def __init__(self, now: Snapshot) -> None:
        self.now = now
        super().__init__("the file was written by somebody else")


class Draft:
    """A private file beside the target, gone at exit unless it took the target's place.

    Mode 0600 and the target's owner come before the first byte. Raises: OSError, with EPERM where mode or owner cannot
    be had; the target is then as it was.
    """

    __slots__ = ("_descriptor", "_ours", "_target", "path")

    def __init__(self, target: str, like: os.stat_result) -> None:
        self.path = private.path_beside(target, leftovers.DRAFT)
        self._target = target
        self._ours = True
        self._descriptor = private.create(self.path)
        try:
            private.make_private(self._descriptor, like)
            private.keep_owner(self._descriptor, like)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        private.keep_labels(self._descriptor, target)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        close(self._descriptor)
        if self._ours:
            discard(self.path)

    def fill(self, raw: bytes) -> None:
        """Write everything and see it on the disk."""
        private.write_durably(self._descriptor, raw)

    def exchange(self, seen: bytes, raw: bytes, backup: str | None) -> tuple[Stamp, bool] | None:
        """Change places with the file, look at what was displaced, and make that the backup.

        It must be ``seen`` byte for byte, also once the folder is synced: an editor that opened the file before writes
        into what it opened, wherever that lies now. Returns the new stamp and whether the folder was synced; None when
        the system cannot exchange. Raises: OSError, nothing done; Overtaken when somebody saved, and then what they
        saved is the file again, with ``raw`` as if it had never been there.
        """
        beside = private.path_beside(self._target, leftovers.SWAP)
        os.rename(self.path, beside)
        self.path = beside  # what lies there may be a person's from here on
        if not swap(self.path, self._target):
            return None
        self._ours = False
        if _content(self.path) == seen:
            synced = private.sync_folder(self._target)
            if _content(self.path) == seen:
                private.move(self.path, backup, self._descriptor)
                return self._stamp(), synced
        self._put_back(raw)
        raise Overtaken(read(self._target))

    def _put_back(self, ours: bytes | None) -> None:
        """The save that we displaced is the file again, unless there is a later one by now: then that is.

        What comes out and cannot be looked at stays beside the file, to be found by the next exchange.
        """
        for _ in range(ROUNDS):
            theirs = _content(self.path)
            swap(self.path, self._target)
            came_out = _content(self.path)
            if came_out is None or ours is None or came_out == ours:
                self._ours = came_out is not None
                break
            ours = theirs
        private.sync_folder(self._target)

    def replace(self, seen: bytes, like: os.stat_result, backup: str | None) -> tuple[Stamp, bool]:
        """Take the target's place where the two cannot be exchanged: who saves in this very moment is not noticed."""
        old = private.path_beside(self._target, leftovers.OLD)
        private.copy_to(old, self._target, seen, like)
        try:
            os.replace(self.path, self._target)
        except BaseException:
            discard(old)
            raise
        self._ours = False
        synced = private.sync_folder(self._target)
        private.move(old, backup, self._descriptor)
        return self._stamp(), synced

    def _stamp(self) -> Stamp:
        """Of afterwards, because a rename changes ctime; one that no file has, when it cannot be told."""
        try:
            return stamp_of(os.fstat(self._descriptor))
        except OSError:
            return 0, 0, 0, 0, 0


def overwrite(target: str, seen: bytes, raw: bytes, deadline: float, backup: str | None) -> Snapshot:
    """Write ``raw`` over ``seen`` in the file itself, and return what it then holds.

    Readers of ours wait on the lock of the file itself, which also holds where it is mounted alone into a container.
    Between any two system calls the file holds the old or the new document, followed by spaces at most, so a process
    that is killed leaves a document; the disk is known to have room before the first old byte goes; and where the folder
    may be written, the old bytes lie beside the file until the new ones are on the disk, because a power cut may tear it.

    Raises: Overtaken; OSError, the old bytes then written back, or, when that failed too, still lying beside the file;
    AccountsBusy at ``deadline`` (monotonic seconds).
    """
    descriptor = os.open(target, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _lock_out_readers(descriptor, target, deadline)
        now = read_descriptor(descriptor, target)
        if now.raw != seen:
            raise Overtaken(now)
        private.make_private(descriptor, os.fstat(descriptor))
        old = _set_aside(target, seen, os.fstat(descriptor))
        try:
            stamp = _pave(descriptor, seen, raw)
        except BaseException:
            _restore(descriptor, seen)
            if old:
                discard(old)
            raise
        if old:
            private.move(old, backup, descriptor)
        return Snapshot(raw, stamp)
    finally:
        close(descriptor)


def _set_aside(target: str, seen: bytes, like: os.stat_result) -> str | None:
    """A durable copy of the old bytes; None where this user may not make one."""
    path = private.path_beside(target, leftovers.OLD)
    try:
        private.copy_to(path, target, seen, like)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return None
        raise
    return path


def _pave(descriptor: int, seen: bytes, raw: bytes) -> Stamp:
    private.write_all(descriptor, b" " * (len(raw) - len(seen)), len(seen))
    private.write_all(descriptor, raw.ljust(len(seen)))
    os.ftruncate(descriptor, len(raw))
    return private.sync(descriptor, raw)


def _restore(descriptor: int, seen: bytes) -> None:
    """By a descriptor of its own: a second fsync of one that failed may report success for bytes that are gone."""
    again = descriptor
    try:
        try:
            again = os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            pass
        os.ftruncate(again, len(seen))
        private.write_durably(again, seen)
    except OSError as error:
        message = f"{error.strerror}, midway, and the old bytes could not be put back"
        raise OSError(error.errno, message) from None
    finally:
        if again != descriptor:
            close(again)


def _content(path: str) -> bytes | None:
    """What a regular file holds at this instant; None for anything else, which is nobody's document."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if not modes.S_ISREG(status.st_mode):
            return None
        return read_all(descriptor, status.st_size)
    except OSError:
        return None
    finally:
        close(descriptor)


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
