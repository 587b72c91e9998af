"""Room on the disk that is taken before it is needed, and then holds a durable copy. Refuses: to touch the file itself.

What cannot be asked for twice has to be written once it is there. So the disk says beforehand whether it has room.
"""

from __future__ import annotations

import errno
import fcntl
import os

from rotator.store import leftovers, private
from rotator.store.reading import close

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_NOT_HERE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


class Room:
    """A private file beside ``target`` of at least ``size`` allocated bytes; a context manager, gone at exit.

    ``backup`` is where the target's backup lies. Unless it holds something by then that became neither the backup nor needless: then it is left, for `leftovers` to
    find. Raises: OSError (ENOSPC, EDQUOT: the disk has no such room; EPERM: mode or owner cannot be had), nothing left.
    """

    __slots__ = ("_backup", "_descriptor", "_holds", "_path", "_target")

    def __init__(self, target: str, size: int, backup: str) -> None:
        like = os.stat(target)
        self._backup = backup
        self._target = target
        self._holds: bytes | None = None
        self._path = private.path_beside(target, leftovers.ROOM)
        self._descriptor = private.create(self._path)
        try:
            self._keep_others_out()
            private.make_private(self._descriptor, like)
            private.keep_owner(self._descriptor, like)
            self._allocate(size)
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._descriptor >= 0:
            if self._holds is None:
                private.discard(self._path)
            close(self._descriptor)
            self._descriptor = -1

    def _keep_others_out(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # then nobody looks for leftovers either
            pass

    def _allocate(self, size: int) -> None:
        try:
            os.posix_fallocate(self._descriptor, 0, size)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise
            private.write_all(self._descriptor, bytes(size))

    def hold(self, raw: bytes) -> None:
        """Hold a durable copy of these bytes, in the room that was taken; the rest of it is free again. Raises: OSError."""
        private.write_all(self._descriptor, raw)
        os.ftruncate(self._descriptor, len(raw))
        private.sync(self._descriptor, raw)
        private.sync_folder(self._target)
        self._holds = raw

    def settle(self, raw: bytes) -> None:
        """What it was to save lies in the file now, which is ``raw``: a copy of that becomes the backup. Raises nothing.

        It then holds nothing that is dead, and whoever puts it back puts back what the file held last.
        """
        try:
            if raw != self._holds:
                self.hold(raw)
            os.replace(self._path, self._backup)
        except OSError:
            pass
        self._holds = None
