"""Keeping: the pool that one file and the facts not yet in it stand for. ``pool = replay(file, pending)``.

Refuses: choosing accounts, threads of its own. It decides under the engine's lock and writes outside it. What could not be
read is never overwritten: then the last good pool serves on, and the facts wait.
"""

from __future__ import annotations

import threading

from rotator.core.codec.decode import VERSION, decode
from rotator.core.codec.encode import changed, encode
from rotator.core.pending import Pending, rebase
from rotator.core.transitions import apply, replay, significant
from rotator.core.value import Value
from rotator.errors import AccountsMissing, MachineError, RotatorError
from rotator.store.file import ReadOnly, Store
from rotator.store.reading import Snapshot, obstacle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rotator.core.codec.decode import Document
    from rotator.core.policy import Policy
    from rotator.core.signals import Signal
    from rotator.core.state import Pool
    from rotator.store.reading import Stamp

_PROBE_SECS = 60.0
"""How often a file that cannot be written is tried again."""
_BACK_OFF_SECS = (5.0, 300.0)
"""First and longest pause after the disk failed; it doubles."""
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
    """The file (or none), the pool and the pending facts; every method but ``flush`` is called under ``lock``.

    ``generation`` rises when accounts may have come, gone or changed otherwise than by a fact of this process.
    """

    def __init__(
        self,
        store: Store | None,
        raw: bytes | None,
        policy: Policy | None,
        lock: threading.RLock,
        warn: Callable[[str], None],
    ) -> None:
        self._store = store
        self._defaults = policy
        self._lock = lock
        self._flushing = threading.Lock()
        self._warn = warn
        snapshot = store.read() if store is not None else Snapshot(raw or b"", (0, 0, 0, 0, 0))
        self._stamp: Stamp | None = snapshot.stamp
        self._bad: tuple[Stamp | None, float] | None = None
        self._document: Document
        self._document, self._base = decode(snapshot.raw, policy)
        self._pool = self._base
        self._pending = Pending()
        self._taken: Pending | None = None
        self._read_at = 0.0
        self.generation = 0
        self._touched_since: float | None = None
        self._urgent = False
        self._not_before = 0.0
        self._failures = 0
        self._error: str | None = None
        self._obstacle: str | None = None
        self._unseen_content = False
        self._probe_obstacle()

    def opened(self, now: float) -> None:
        """When the file was first read."""
        self._read_at = now

    @property
    def pool(self) -> Pool:
        """What the file and the pending facts stand for."""
        return self._pool

    @property
    def document(self) -> Document:
        """The file as last read or written."""
        return self._document

    @property
    def durable(self) -> bool:
        """Whether what is learned reaches the disk."""
        return self._store is not None and self._obstacle is None

    def file_state(self) -> FileState:
        """What people are told of the file."""
        if self._store is None:
            return FileState(None, "memory", durable=False)
        mode = self._store.mode if self.durable else "memory"
        return FileState(self._store.path, mode, self.durable, self._store.lock_kind, self._obstacle or self._error)

    def raw(self) -> bytes:
        """The bytes that a flush would write now."""
        return encode(self._document, self._pool)[0].raw

    def add(self, signal: Signal, mono: float) -> tuple[int, bool] | None:
        """Take one fact in: (the account's place, whether it is significant), or None when it changed nothing."""
        before = self._pool
        if signal.account not in before:
            return None
        after = apply(before, signal)
        if after is before:
            return None
        self._pool = after
        index = after.index(signal.account)
        if self._store is None:
            self._base = after
            return index, False
        self._pending.add((signal,))
        matters = significant(before.at(index).runtime, after.at(index).runtime, getattr(signal, "model", None))
        self._urgent = self._urgent or matters
        if self._touched_since is None:
            self._touched_since = mono
        return index, matters

    def look(self, now: float, mono: float) -> bool:
        """Read the file again when it changed; whether the pool did. Content decides, the stamp only saves work."""
        if self._store is None or self._taken is not None:
            return False
        try:
            stamp = self._store.stamp()
            if stamp == self._stamp:
                return False
            if self._bad is not None and self._bad[0] == stamp and 0 <= mono - self._bad[1] < _LOOK_AGAIN_SECS:
                return False
            snapshot = self._store.read()
            moved = self._adopt(snapshot, now, mono)
        except RotatorError as error:
            self._bad = (stamp if not isinstance(error, AccountsMissing) else None, mono)
            self._say(_first_line(error))
            return False
        if self._bad is not None:
            self._bad = self._error = None
        return moved

    def _adopt(self, snapshot: Snapshot, now: float, mono: float) -> bool:
        """Stand on what the file now holds, with the pending facts over it."""
        if snapshot.raw == self._document.raw:
            self._stamp = snapshot.stamp
            return False
        document, read = decode(snapshot.raw, self._defaults)
        self._base, self._pending, due = rebase(self._base, read, self._pending, self._read_at)
        self._document, self._stamp, self._read_at = document, snapshot.stamp, now
        self._pool = replay(self._base, self._pending)
        self.generation += 1
        self._unseen_content = True
        self._probe_obstacle()
        if due and self._touched_since is None:
            self._touched_since = mono
        return True

    def _probe_obstacle(self) -> None:
        if self._store is None:
            return
        was = self._obstacle
        if self._document.newer:
            self._obstacle = "the file was written by a newer rotator (version above 2): update rotator to keep what it learns"
        else:
            self._obstacle = obstacle(self._store.path)
        if self._obstacle is not None and self._obstacle != was:
            self._warn(f"{self._store.path}: {self._obstacle}; going on in memory, nothing learned is kept")

    def due_in(self, mono: float) -> float | None:
        """Seconds until ``flush`` has something to do; None when it has not."""
        if self._store is None or self._document.newer:
            return None
        if self._touched_since is None and self._obstacle is None:
            return None
        since = mono if self._touched_since is None else self._touched_since
        debounce = 0.0 if self._urgent else since + self._pool.policy.flush_after
        return max(debounce, self._not_before) - mono

    def unseen_content(self) -> bytes | None:
        """The bytes of a file that changed, once, for whoever looks closer at it than the decoder does."""
        unseen, self._unseen_content = self._unseen_content, False
        return self._document.raw if unseen else None

    def forget_parent(self, lock: threading.RLock) -> None:
        """In a forked child: the pending facts are the parent's to write."""
        self._lock, self._flushing = lock, threading.Lock()
        self._pending, self._taken, self._pool = Pending(), None, self._base
        self._touched_since, self._urgent = None, False
        self.generation += 1

    def flush(self, now: float, mono: Callable[[], float], timeout_secs: float = 30.0) -> bool:
        """Write what is pending, durably; False when nothing durable could be done. Raises nothing of the disk or the file.

        State left behind on failure: the old file, and the facts still pending.
        """
        if self._store is None:
            return False
        with self._flushing:
            with self._lock:
                if not self._document.newer:
                    self._probe_obstacle()
                if self._obstacle is not None:
                    self._not_before = mono() + _PROBE_SECS
                    return False
                if not changed(self._document, self._pool):
                    self._pending, self._touched_since, self._urgent = Pending(), None, False
                    return True
            return self._write(self._store, now, mono, timeout_secs)

    def _write(self, store: Store, now: float, mono: Callable[[], float], timeout_secs: float) -> bool:
        begun = mono()
        written: list[tuple[Document, Pool]] = []

        def rebased(snapshot: Snapshot) -> bytes:
            with self._lock:
                self._put_back()
                self._adopt(snapshot, now, begun)
                self._taken, self._pending = self._pending, Pending()
                document, pool = self._document, self._pool
            written[:] = [encode(document, pool)]
            return written[0][0].raw

        def keep(_snapshot: Snapshot) -> str | None:
            old = self._document
            if old.version < VERSION:
                return f".v{old.version}.bak"
            return ".bak" if old.unreadable != written[0][0].unreadable else None

        try:
            snapshot = store.exchange(rebased, timeout_secs=timeout_secs, keep=keep)
        except ReadOnly as error:
            self._give_up(error.obstacle, mono() + _PROBE_SECS, obstacle_found=True)
            return False
        except RotatorError as error:
            pause = min(_BACK_OFF_SECS[0] * 2**self._failures, _BACK_OFF_SECS[1])
            self._give_up(_first_line(error), mono() + pause)
            return False
        except BaseException:
            with self._lock:
                self._put_back()
            raise
        with self._lock:
            document, kept = written[0]
            self._document, self._stamp, self._read_at, self._base = document, snapshot.stamp, now, kept
            self._taken = None
            self._pool = replay(kept, self._pending)
            self._touched_since = mono() if self._pending else None
            self._urgent, self._failures, self._error, self._bad = bool(self._pending), 0, None, None
            share = self._pool.policy.write_share
            self._not_before = mono() + (mono() - begun) * (1 - share) / share
        if store.tightened:
            self._warn(f"{store.path}: it was readable by others and is now mode 0600, since it holds credentials")
        return True

    def _put_back(self) -> None:
        """Facts that were on their way to the file are pending again."""
        if self._taken is not None:
            self._pending = Pending([*self._taken, *self._pending])
            self._taken = None

    def _give_up(self, why: str, not_before: float, *, obstacle_found: bool = False) -> None:
        with self._lock:
            self._put_back()
            self._not_before = not_before
            if obstacle_found:
                if self._obstacle != why:
                    self._warn(f"{self._path()}: {why}; going on in memory, nothing learned is kept")
                self._obstacle = why
            else:
                self._failures += 1
                self._say(why)

    def _say(self, why: str) -> None:
        """Tell a trouble once, until it is over or another one."""
        if self._error != why:
            self._error = why
            self._warn(why)

    def _path(self) -> str:
        return self._store.path if self._store is not None else "memory"


def _first_line(error: RotatorError) -> str:
    """A message for one line of talk; of many faults the first."""
    text = str(error.args[1]) if isinstance(error, OSError) and len(error.args) > 1 else str(error)
    return text.partition("\n")[0]
