"""Keeping: one file (or none) and the ledger of what it and the facts not yet in it stand for.

Refuses: choosing accounts, threads of its own. It decides under the engine's lock and writes outside it. What could not be
read is never overwritten: then the last good pool serves on, and the facts wait.
"""

from __future__ import annotations

import _thread
import errno

from rotator.core.codec.decode import NEWER, VERSION
from rotator.core.value import Value
from rotator.errors import RotatorError
from rotator.keeping.due import Due
from rotator.keeping.ledger import Ledger
from rotator.keeping.recovering import opened, outrunning, restored
from rotator.store.file import ReadOnly, Store
from rotator.store.reading import obstacle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import RLock

    from rotator.core.codec.decode import Document
    from rotator.core.codec.tokens import Tokens
    from rotator.core.policy import Policy
    from rotator.core.pool import Pool
    from rotator.core.signals import Signal
    from rotator.store.reading import Snapshot, Stamp
    from rotator.store.room import Room

_LOOK_AGAIN_SECS = 1.0
"""How long a file that cannot be read is left alone while its stamp stands still."""


class FileState(Value):
    """What people are told of the file: ``mode`` is ``file``, ``in_place`` or ``memory``."""

    path: str | None
    mode: str
    durable: bool
    lock: str | None = None
    last_error: str | None = None


class Keeper:
    """The file (or bytes without one) and its ledger; every method but ``flush`` is called under ``lock``.

    ``now`` are epoch seconds, ``mono`` tells monotonic ones; ``warn`` is told each trouble once.
    """

    def __init__(
        self,
        source: Store | bytes,
        policy: Policy | None,
        lock: RLock,
        now: float,
        mono: Callable[[], float],
        warn: Callable[[str], None],
    ) -> None:
        self._store = source if isinstance(source, Store) else None
        self._lock = lock
        self._flushing = _thread.allocate_lock()
        self._mono = mono
        self._warn = warn
        self._stamp: Stamp | None = None
        self._policy = policy
        self._due = Due()
        if isinstance(source, Store):
            self._ledger, self._stamp, recovered = opened(source, policy, now)
            if recovered:
                self._due.touch(self._mono(), urgent=True)
        else:
            self._ledger = Ledger(source, policy, now)
        self._bad: tuple[Stamp | None, float] | None = None
        self._error: str | None = None
        self._obstacle: str | None = None
        self._refused = False
        self._inspected = -1
        self._shown: Pool | None = None
        self._in_place = False
        self._probe()

    @property
    def pool(self) -> Pool:
        """What the file and the pending facts stand for."""
        return self._ledger.pool

    @property
    def generation(self) -> int:
        """Rises when accounts may have come, gone or changed otherwise than by ``add``."""
        return self._ledger.generation

    @property
    def document(self) -> Document:
        """The file as last read or written."""
        return self._ledger.document

    @property
    def durable(self) -> bool:
        """Whether what is learned reaches the disk: false in memory mode, and while the file or the disk is in trouble."""
        return self._store is not None and self._obstacle is None and self._error is None

    def file_state(self) -> FileState:
        """What people are told of the file."""
        if self._store is None:
            return FileState(None, "memory", durable=False)
        mode = self._store.mode if self._obstacle is None else "memory"
        return FileState(self._store.path, mode, self.durable, self._store.lock_kind, self._obstacle or self._error)

    def raw(self) -> bytes:
        """The bytes that a flush would write now."""
        from rotator.core.codec.encode import encode  # loads json, and a pick that changes nothing writes nothing

        return encode(self.document, self.pool, self._ledger.renewals.taken())[0].raw

    def add(self, signal: Signal, now: float) -> tuple[int, bool] | None:
        """Take one fact in: (the account's place, whether a write is due sooner), or None when it changed nothing."""
        added = self._ledger.add(signal, now)
        if added is None:
            return None
        if self._store is None:
            self._ledger.drop()
            return added[0], False
        return added[0], self._due.touch(self._mono(), urgent=added[1])

    def look(self, now: float) -> None:
        """Read the file again when it changed. Content decides, the stamp only saves work."""
        if self._store is None or self._ledger.underway:
            return
        stamp: Stamp | None = None
        try:
            stamp = self._store.stamp()
            if stamp != self._stamp:
                if self._bad and self._bad[0] == stamp and 0 <= self._mono() - self._bad[1] < _LOOK_AGAIN_SECS:
                    return
                self._adopt(self._store.read(), now)
        except RotatorError as error:
            self._bad = stamp, self._mono()
            self._say(error)
            return
        if self._bad is not None:
            self._bad = self._error = None
            self._due.cleared()

    def _adopt(self, snapshot: Snapshot, now: float) -> None:
        if self._ledger.adopt(snapshot.raw, now):
            self._due.touch(self._mono(), urgent=bool(self._ledger.renewals))
        self._stamp = snapshot.stamp
        self._probe()

    def _probe(self) -> None:
        """Whether the file could be written, told without trying; what a write was refused for, only a write refutes."""
        if self._store is None:
            return
        found = NEWER if self.document.newer else obstacle(self._store.path)
        if found is not None:
            self._refused = False
            self._hinder(found)
        elif self._obstacle is not None and not self._refused:
            self._obstacle = None
            self._due.cleared()

    def _hinder(self, found: str) -> None:
        if found != self._obstacle:
            self._warn(f"{self._path()}: {found}; going on in memory, nothing learned is kept")
        self._obstacle = found
        self._due.hindered(self._mono())

    def due_in(self) -> float | None:
        """Seconds until ``flush`` has something to do; None when it has not."""
        if self._store is None:
            return None
        at = self._due.at(self.pool.policy.flush_after)
        return None if at is None else at - self._mono()

    def waits_for_editor(self) -> bool:
        """Whether a write that is due is put off, since an editor has the file open; for ten minutes at most."""
        return self._store is not None and self._store.is_edited() and self._due.put_off(self._mono())

    def unreadable_content(self) -> bytes | None:
        """The bytes of a file that has an unreadable runtime, once, for whoever looks closer than the decoder does."""
        unseen, self._inspected = self._inspected != self.generation, self.generation
        return self.document.raw if unseen and self.document.unreadable else None

    def forget_parent(self, lock: RLock) -> None:
        """In a forked child: the pending facts are the parent's to write."""
        self._lock, self._flushing = lock, _thread.allocate_lock()
        self._ledger.forget()
        self._due = Due()

    def flush(self, now: float, timeout_secs: float = 30.0) -> bool:
        """Write what is pending, durably; False when nothing durable could be done. Raises nothing of the disk or the file.

        State left behind on failure: the old file, and the facts still pending.
        """
        if self._store is None:
            return False
        with self._flushing:
            with self._lock:
                self.look(now)
                if self._bad is None:
                    self._probe()
                    if self._obstacle is not None and not self._refused:
                        return False
                if not self._ledger.changed:
                    self._ledger.drop()
                    self._due.nothing()
                    return self._obstacle is None
            return self._write(self._store, now, timeout_secs)

    def _write(self, store: Store, now: float, timeout_secs: float, room: Room | None = None) -> bool:
        from rotator.core.codec.encode import encode  # as in raw

        begun: list[float] = []
        written: list[tuple[Document, Pool]] = []
        renewed: dict[str, Tokens] = {}

        def rebased(snapshot: Snapshot) -> bytes:
            begun.append(self._mono())
            left, backup = store.leftovers(), store.backup()
            with self._lock:
                self._put_back()
                restored(lambda: self._adopt(snapshot, now), snapshot.raw, left, self._policy)
                if self.document.newer:
                    raise ReadOnly(errno.EROFS, NEWER)
                for leftover in left:
                    self._ledger.recover(leftover.raw, now)
                self._ledger.recall(backup, now)
                document, pool, renewals = self._ledger.take()
                self._due.begin()
            renewed.update(renewals)
            written[:] = [encode(document, outrunning(pool, self._shown), renewals)]
            self._shown = written[0][1]
            return written[0][0].raw

        def keep(_snapshot: Snapshot) -> str | None:
            old = self.document
            if old.version < VERSION:
                return f".v{old.version}.bak"
            return ".unreadable.bak" if old.unreadable != written[0][0].unreadable else None

        try:
            snapshot = store.exchange(rebased, timeout_secs=timeout_secs, keep=keep)
        except BaseException as error:  # noqa: BLE001  goes on up, when it is none of the store's
            with self._lock:
                self._put_back()
                self._failed(error)
            return False
        with self._lock:
            self._ledger.settle(*written[0], now)
            self._shown = None
            self._stamp = snapshot.stamp
            self._error, self._bad, self._obstacle, self._refused = None, None, None, False
            self._due.done(self._mono(), self._mono() - begun[0], self.pool.policy.write_share)
        if renewed:
            store.back_up(snapshot.raw, room)
        self._say_how(store)
        return True

    def _say_how(self, store: Store) -> None:
        """What a person may want to change, seen at a write that succeeded."""
        if store.mode == "in_place" and not self._in_place:
            self._warn(
                f"{store.path}: it cannot be replaced whole, so it is written in place, which a power cut can tear;"
                " if it is a single file that is mounted into a container, mount its folder instead"
            )
        self._in_place = store.mode == "in_place"
        if store.tightened:
            self._warn(
                f"{store.path}: it was readable by others and is now mode 0600, as a file for credentials should be"
            )

    def _put_back(self) -> None:
        self._ledger.put_back()
        self._due.put_back()

    def _failed(self, error: BaseException) -> None:
        """Heed what the store raised on purpose, and errors of the system; anything else goes on up."""
        if isinstance(error, ReadOnly):
            self._refused = not self.document.newer
            self._hinder(error.obstacle)
        elif isinstance(error, RotatorError | OSError):
            self._due.failed(self._mono())
            self._say(error)
        else:
            raise error

    def _say(self, error: RotatorError | OSError) -> None:
        """Tell a trouble once, until it is over or another one; of many faults the first."""
        text = str(error.args[1]) if isinstance(error, OSError) and len(error.args) > 1 else str(error)
        why = text.partition("\n")[0]
        if self._path() not in why:
            why = f"{self._path()}: {why}"
        if self._error != why:
            self._error = why
            self._warn(why)

    def _path(self) -> str:
        return self._store.path if self._store is not None else "memory"
