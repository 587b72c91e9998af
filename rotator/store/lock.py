"""One lock per file, among processes and threads. Refuses: to fail because a lock file cannot be had.

The lock file lies beside the resolved file, so that every name of it leads to the same lock. It is never unlinked:
whoever waits on an unlinked one would no longer exclude anybody.
"""

from __future__ import annotations

import errno
import os
import stat as modes
import time

from rotator import errors
from rotator.store.reading import close

TYPE_CHECKING = False
if TYPE_CHECKING:
    from filelock import FileLock

POLL_SECS = 0.01

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""The process is out of something: no reason to go on without a lock, it will recover."""


class Lock:
    """Held from `acquire` to `release`; the kind says what is locked.

    ``file``: the lock file. ``file_readonly``: a lock file that may not be written, locked all the same.
    ``directory``: the folder, because no lock file can be made. ``none``: locks do not work here; the caller must
    compare what it replaces.

    ``purpose`` names another lock beside the same file, which excludes only those who take it for the same purpose. Its
    kind is never ``directory``, which is one for all purposes.

    Raises: AccountsBusy when somebody else held it until ``deadline`` (monotonic seconds); MachineError for
    `EXHAUSTED`.
    """

    __slots__ = ("_deadline", "_descriptor", "_file", "_purpose", "_target")

    def __init__(self, target: str, deadline: float, purpose: str = "") -> None:
        self._target = target
        self._deadline = deadline
        self._purpose = purpose
        self._file: FileLock | None = None
        self._descriptor = -1

    def acquire(self) -> str:
        """Take what can be locked, and return which kind it is."""
        folder, name = os.path.split(self._target)
        path = os.path.join(folder, f".{name}.{self._purpose}.lock" if self._purpose else f".{name}.lock")
        look = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        if self._lock_file(path):
            return "file"
        if self._lock_opened(path, look | os.O_NOFOLLOW):
            return "file_readonly"
        if self._purpose:
            return "none"
        return "directory" if self._lock_opened(folder, look | os.O_DIRECTORY) else "none"

    def release(self) -> None:
        """Let others in; harmless when nothing is held."""
        if self._file is not None:
            try:
                self._file.release(force=True)
            except OSError:
                pass
        if self._descriptor >= 0:
            close(self._descriptor)

    def _lock_file(self, path: str) -> bool:
        from filelock import FileLock, Timeout  # costs 40 ms, which a pick that writes nothing saves

        lock = FileLock(path, mode=0o600, fallback_to_soft=False, poll_interval=POLL_SECS)
        try:
            lock.acquire(timeout=max(0.0, self._deadline - time.monotonic()))
        except Timeout:
            raise self._busy() from None
        except OSError as error:
            if error.errno in EXHAUSTED:
                raise self._exhausted(error) from None
            return False
        self._file = lock
        _give_to_owner(path, self._target)
        return True

    def _lock_opened(self, path: str, flags: int) -> bool:
        from filelock import lock_descriptor

        try:
            descriptor = os.open(path, flags)
        except OSError as error:
            if error.errno in EXHAUSTED:
                raise self._exhausted(error) from None
            return False
        try:
            while not lock_descriptor(descriptor, blocking=False):
                if time.monotonic() >= self._deadline:
                    raise self._busy()
                time.sleep(POLL_SECS)
        except errors.AccountsBusy:
            close(descriptor)
            raise
        except OSError:
            close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def _busy(self) -> errors.AccountsBusy:
        doing = f"locked ({self._purpose})" if self._purpose else "being written"
        message = f"{self._target} is {doing} by another process for too long; try again, or end that process"
        return errors.AccountsBusy(errno.ETIMEDOUT, message)

    def _exhausted(self, error: OSError) -> errors.MachineError:
        message = f"{self._target} could not be locked ({error.strerror}); try again when the machine has some left"
        return errors.MachineError(error.errno, message)


def _give_to_owner(path: str, target: str) -> None:
    """After ``sudo rotator`` the owner of the file can still lock it.

    Only a lock file that root made itself is given away: a hard link to something else of root's has two names.
    """
    if os.geteuid() != 0:
        return
    try:
        owner = os.stat(target)
        if os.lstat(path).st_uid == owner.st_uid:
            return
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        status = os.fstat(descriptor)
        if modes.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid == 0:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
    except OSError:
        pass
    finally:
        close(descriptor)
