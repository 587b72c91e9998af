"""One file that several processes and a person write. Refuses: to overwrite what it has not just read.

`Store.exchange` is the one way in: lock, read, let the caller compute, compare, replace, look at what was replaced.
"""

from __future__ import annotations

import _thread
import errno
import os
import time

from rotator import errors
from rotator.store import editors, leftovers, private, reading, writing
from rotator.store.reading import Snapshot, Stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rotator.store.leftovers import Leftover
    from rotator.store.lock import Lock
    from rotator.store.room import Room

    Rebase = Callable[[Snapshot], bytes | None]
    Keep = Callable[[Snapshot], str | None]

ROUNDS = 8
"""How often somebody may rewrite the file behind our back during one exchange; a person saves once."""

LONGEST_WAIT_SECS = 3600.0

BACKUP = ".bak"
TORN = ".torn"

READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


class ReadOnly(OSError):
    """The file cannot be written, and not for want of room: go on in memory and look again later.

    ``obstacle`` says why, for people.
    """

    @property
    def obstacle(self) -> str:
        """Why, such as ``the file is read-only (mode 0444)``."""
        return str(self.strerror)


class Store:
    """A path as it was given; links are followed anew at each access.

    ``mode`` is ``file`` (renamed over) or ``in_place``, and ``lock_kind`` one of `lock.Lock`, both of the last
    exchange; ``tightened`` is True when that exchange took the file's mode down to 0600, ``synced`` False when the new
    bytes are there and the folder could not be synced, so that a power cut may bring the old ones back.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fsdecode(path)
        self.mode = "file"
        self.lock_kind = "none"
        self.tightened = False
        self.synced = True
        self._in_place_at: str | None = None
        self._no_swap_in: str | None = None
        self._offered: list[Leftover] | None = None
        self._turn = _thread.allocate_lock()
        self._process = os.getpid()

    def read(self) -> Snapshot:
        """The whole file at one instant, as `reading.read`."""
        return reading.read(self.path)

    def stamp(self) -> Stamp | None:
        """What tells two states of the file apart; None when there is no file."""
        return reading.stamp(self.path)

    def leftovers(self) -> list[Leftover]:
        """What writers that died left beside the file, newest first; in ``rebase``, all that its exchange will remove.

        Their bytes may be whole or not, newer or older than the file's: that is the caller's to judge. Raises nothing.
        """
        return leftovers.offered(os.path.realpath(self.path)) if self._offered is None else self._offered

    def is_edited(self) -> bool:
        """Whether an editor seems to have the file open, as `editors.is_open`."""
        return editors.is_open(self.path)

    def backup(self) -> bytes:
        """What the last backup holds, whole or not; nothing when there is none that can be read. Raises nothing."""
        target = os.path.realpath(self.path)
        try:
            if os.stat(target + BACKUP).st_uid in (os.stat(target).st_uid, os.geteuid()):
                return reading.read(target + BACKUP).raw
        except (OSError, errors.RotatorError):
            pass
        return b""

    def back_up(self, raw: bytes, room: Room | None = None) -> None:
        """Make a copy of what the file holds now the backup, where what it held before is of no use any more. Raises nothing.

        In the ``room`` that was taken for it, else in some that is taken now.
        """
        try:
            with room or self.reserve(len(raw)) as copy:
                copy.settle(raw)
        except (OSError, errors.RotatorError):
            pass

    def lock_for(self, purpose: str, timeout_secs: float) -> Lock | None:
        """A lock beside the file that keeps others out who take it for the same purpose; None when none can be had.

        It is held until its ``release``, and does not hinder `exchange`. ``purpose`` becomes a part of its name. Raises:
        AccountsBusy when it was not had in ``timeout_secs``; MachineError when the process is out of descriptors.
        """
        from rotator.store.lock import Lock  # as in _locked

        wait = min(max(0.0, timeout_secs), LONGEST_WAIT_SECS)
        lock = Lock(os.path.realpath(self.path), time.monotonic() + wait, purpose)
        return None if lock.acquire() == "none" else lock

    def reserve(self, size: int) -> Room:
        """Room beside the file for so many bytes.

        Raises: ReadOnly when the file may not be written; MachineError for want of room; AccountsMissing and the like as
        `read`.
        """
        from rotator.store.room import Room  # only who is about to get something new needs it

        target = self._resolve()
        if found := reading.obstacle(target):
            raise ReadOnly(errno.EACCES, found)
        try:
            _check_linked(os.stat(target))
            return Room(target, size, target + BACKUP)
        except ReadOnly:
            raise
        except OSError as error:
            raise self._refused(error) from None

    def exchange(self, rebase: Rebase, *, timeout_secs: float = 30.0, keep: Keep | None = None) -> Snapshot:
        """Replace the file by what ``rebase`` makes of it, durably, and return what it now holds.

        ``rebase`` may be called several times, each time with what is in the file then; None, or the same bytes, means
        that there is nothing to write, and `leftovers.Restore` that a leftover is to be the file and to go on from; torn
        bytes are kept as ``NAME.torn`` then. Else what was replaced becomes ``NAME.bak``. ``keep`` may name a suffix such as ``.v1.bak``: the bytes about to be replaced are then
        written beside the file first, never over an existing one. What `leftovers` showed is removed at the end.

        Raises: AccountsMissing, AccountsDenied, AccountsUnreadable, AccountsInvalid as `read`; AccountsBusy when the
        lock was not had in ``timeout_secs``, or the file kept changing; ReadOnly; MachineError for what the disk
        refuses (ENOSPC, EIO, EDQUOT, EMFILE ...); and whatever ``rebase`` or ``keep`` raise, unchanged. The file is then
        as it was, and no draft of ours lies beside it.
        """
        wait = min(max(0.0, timeout_secs), LONGEST_WAIT_SECS)
        deadline = time.monotonic() + wait
        if self._process != os.getpid():  # forked while another thread held it: that thread is not here
            self._turn = _thread.allocate_lock()
            self._process = os.getpid()
        if not self._turn.acquire(timeout=wait):
            raise errors.AccountsBusy(errno.ETIMEDOUT, f"{self.path} is being written by another thread; try again")
        try:
            return self._locked(rebase, keep, deadline)
        finally:
            self._turn.release()

    def _locked(self, rebase: Rebase, keep: Keep | None, deadline: float) -> Snapshot:
        from rotator.store.lock import Lock  # what only reads need not load it

        self.tightened = False
        self.synced = True
        for _ in range(ROUNDS):
            target = self._resolve()
            lock = Lock(target, deadline)
            try:
                self.lock_kind = lock.acquire()
                if os.path.realpath(self.path) == target:
                    self._offered = leftovers.offered(target) if self.lock_kind != "none" else []
                    now = self._until_kept(target, rebase, keep, deadline)
                    for leftover in self._offered:
                        private.discard(leftover.path)
                    return now
            finally:
                self._offered = None
                lock.release()
        raise errors.AccountsBusy(errno.EBUSY, f"{self.path} leads somewhere else each time; try again")

    def _resolve(self) -> str:
        try:
            status = os.stat(self.path)
        except OSError as error:
            reading.refuse(self.path, error)
        reading.check_kind(self.path, status)
        if intent := reading.write_protected(status):
            raise ReadOnly(errno.EACCES, intent)
        return os.path.realpath(self.path)

    def _until_kept(self, target: str, rebase: Rebase, keep: Keep | None, deadline: float) -> Snapshot:
        snapshot = reading.read(target)
        for _ in range(ROUNDS):
            suffix: str | None = None
            backup: str | None = target + BACKUP
            restoring = None
            try:
                raw = rebase(snapshot)
            except leftovers.Restore as restore:
                restoring = restore.leftover
                raw = restoring.raw
                if restoring.restores:
                    suffix, backup = TORN, None
            else:
                if raw is None or raw == snapshot.raw:
                    return snapshot
                suffix = keep(snapshot) if keep else None
            try:
                snapshot = self._write(target, snapshot.raw, raw, suffix, backup, deadline)
            except writing.Overtaken as overtaken:
                snapshot = overtaken.now
            else:
                if restoring is None:
                    return snapshot
        raise errors.AccountsBusy(errno.EBUSY, f"{self.path} is rewritten by somebody all the time; try again later")

    def _write(
        self, target: str, seen: bytes, raw: bytes, suffix: str | None, backup: str | None, deadline: float
    ) -> Snapshot:
        try:
            like = os.stat(target)
        except OSError as error:
            reading.refuse(target, error)
        _check_linked(like)
        try:
            aside = private.copy_aside(target, suffix, seen, like) if suffix else None
            try:
                now = self._install(target, seen, raw, like, backup, deadline)
            except BaseException as error:
                if aside and (isinstance(error, writing.Overtaken) or _holds(target, seen)):
                    private.discard(aside)
                raise
        except (errors.RotatorError, ReadOnly):
            raise
        except OSError as error:
            raise self._refused(error) from None
        self.tightened |= bool(like.st_mode & private.OTHERS) and not reading.mode_bits(target) & private.OTHERS
        return now

    def _install(
        self, target: str, seen: bytes, raw: bytes, like: os.stat_result, backup: str | None, deadline: float
    ) -> Snapshot:
        refused = False
        if like.st_nlink == 1 and self._in_place_at != target:
            try:
                return self._rename(target, seen, raw, like, backup)
            except errors.RotatorError:
                raise
            except FileNotFoundError:
                reading.read(target)  # says so when it is the file that went away
                raise
            except OSError as error:
                if error.errno not in writing.NO_RENAME:
                    raise
                refused = True
        now = writing.overwrite(target, seen, raw, deadline, backup)
        self.mode = "in_place"
        if refused:
            self._in_place_at = target
        return now

    def _rename(self, target: str, seen: bytes, raw: bytes, like: os.stat_result, backup: str | None) -> Snapshot:
        folder = os.path.dirname(target)
        with writing.Draft(target, like) as draft:
            draft.fill(raw)
            now = reading.read(target)
            if now.raw != seen:
                raise writing.Overtaken(now)
            swapped = draft.exchange(seen, raw, backup) if self._no_swap_in != folder else None
            stamp, self.synced = swapped or draft.replace(seen, like, backup)
        if not swapped:
            self._no_swap_in = folder
        self.mode = "file"
        self._in_place_at = None
        return Snapshot(raw, stamp)

    def _refused(self, error: OSError) -> OSError:
        if error.errno in READ_ONLY:
            why = reading.obstacle(self.path) or f"writing was refused ({error.strerror})"
            return ReadOnly(error.errno, why)
        message = f"{self.path} could not be written ({error.strerror}); make room on the disk or check it"
        return errors.MachineError(error.errno or errno.EIO, message)


def _check_linked(status: os.stat_result) -> None:
    if status.st_nlink == 0:
        raise ReadOnly(errno.EROFS, "the mounted file was replaced outside the container: restart the container")


def _holds(target: str, raw: bytes) -> bool:
    """Whether the file came through a failure, so that a copy of it is not the last one."""
    try:
        return reading.read(target).raw == raw
    except errors.RotatorError:
        return False
