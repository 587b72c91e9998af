"""Running: one pool that is kept in a file, chosen from and told the time; the machinery below the engine's face.

Refuses: what is chosen or learned (``engine`` asks, ``choosing`` and ``learning`` know). Here are the only lock and the only
clock. With an injected clock, and in memory, it starts no thread: its owner calls ``due_at`` and ``tick``.
"""

from __future__ import annotations

import _thread
import atexit
import os
import weakref

from rotator.clock import MachineClock
from rotator.core.deducing import shared
from rotator.core.instants import aware, tidy
from rotator.core.signals import bounded
from rotator.engine.choosing import Choosing
from rotator.engine.watching import Watching
from rotator.errors import BadArgument
from rotator.keeping import RenewingKeeper
from rotator.store.file import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from types import TracebackType
    from typing import Any, Self

    from rotator.clock import Clock
    from rotator.core.codec.decode import Document
    from rotator.core.policy import Policy
    from rotator.core.pool import Pool
    from rotator.core.selection import Parked, Selected, Unavailable
    from rotator.core.signals import Signal
    from rotator.keeping import FileState
    from rotator.recording import Recorder

    Path = str | os.PathLike[str]

_engines: weakref.WeakSet[Running] = weakref.WeakSet()


class Running:
    """What an engine runs on; ``source`` is a file, or the bytes of a document that has none.

    Raises AccountsMissing, AccountsDenied, AccountsInvalid (with every fault), AccountsUnreadable.
    """

    def __init__(self, source: Store | bytes, policy: Policy | None, clock: Clock | None) -> None:
        self._lock = _thread.RLock()
        self._clock: Clock = clock or MachineClock()
        self._keeper = RenewingKeeper(source, policy, self._lock, self._now(), self._clock.monotonic, _warn)
        self._generation = self._keeper.generation
        self._choosing = Choosing()
        self._threaded = clock is None and isinstance(source, Store)
        self._watching = Watching(self._lock, self._clock, self._due_in, self.tick, _warn, threaded=self._threaded)
        self._late: list[Callable[[], None]] = []
        self._late_at = 0.0
        self._entries: dict[str, dict[str, Any]] = {}
        self._entries_of: Document | None = None
        self._closed = False
        self._seen = 0.0, self._keeper.pool
        self._recorder: Recorder | None = None
        _engines.add(self)

    def now(self) -> float:
        """Epoch seconds by the engine's clock."""
        return self._now()

    def settle_later(self, settle: Callable[[], None], within_secs: float) -> None:
        """Have ``settle`` called once, before the next question or ``flush``, and in so many seconds at the latest.

        For who has heard more than is worth learning one by one; a lease alone does not wait for it.
        """
        with self._lock:
            if not self._late:
                self._late_at = self._clock.monotonic() + within_secs
                self._watching.poke()
            self._late.append(settle)

    def _settle(self) -> None:
        """Learn what was put off."""
        late, self._late = self._late, []
        for settle in late:
            settle()

    def _due_in(self) -> float | None:
        due = self._keeper.due_in()
        if not self._late:
            return due
        late = self._late_at - self._clock.monotonic()
        return late if due is None else min(due, late)

    def due_at(self) -> datetime | None:
        """When ``tick`` has something to do; None when it has not."""
        secs = self._watching.due_in()
        return None if secs is None else aware(self._now() + max(secs, 0.0))

    def tick(self) -> None:
        """Do what is due: write the file, look whether it can be written again, call back those who watch.

        While an editor has the file open, its write waits for up to ten minutes; ``flush`` and ``close`` do not.
        """
        with self._lock:
            self._settle()
            due = self._keeper.due_in()
            raw = self._keeper.unreadable_content()
            flushes = due is not None and due <= 0 and not self._keeper.waits_for_editor()
        if flushes:
            self.flush()
        if raw is not None:
            from rotator.core.codec.faults import runtime_faults_of  # loads jsonschema, only for a damaged runtime

            for fault in runtime_faults_of(raw):
                _warn(str(fault))
        self._watching.step()

    def flush(self) -> bool:
        """Write what is pending, durably; False when nothing durable could be done (the facts stay pending)."""
        with self._lock:
            self._settle()
        return self._keeper.flush(self._now())

    def document(self) -> bytes:
        """The bytes that a flush would write now; they hold secrets."""
        with self._lock:
            self._look()
            return self._keeper.raw()

    @property
    def pool(self) -> Pool:
        """The accounts and what is known of them, as one frozen value."""
        if self._late:
            with self._lock:
                self._settle()
        return self._keeper.pool

    @property
    def durable(self) -> bool:
        """Whether what is learned reaches the disk."""
        return self._keeper.durable

    def file_state(self) -> FileState:
        """What people are told of the file: path, mode, durability, last error."""
        with self._lock:
            return self._keeper.file_state()

    def close(self) -> None:
        """Flush, stop the alarm and wake who waits, whom it refuses; closing twice is nothing."""
        with self._lock:
            if self._closed:
                return
            self._settle()
            self._closed = True
            self._watching.tell()
        self._watching.stop()
        self.flush()
        _engines.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _now(self) -> float:
        now = self._clock.now()
        if now.tzinfo is None:
            message = "the clock's now() needs a time zone: use datetime.now(UTC)"
            raise BadArgument(message)
        return tidy(now.timestamp())

    def _refuse_closed(self) -> None:
        if self._closed:
            message = "this engine is closed: what it learns would be lost"
            raise BadArgument(message)

    def _live(self) -> float:
        """``_look`` of an operation that learns."""
        self._refuse_closed()
        return self._look()

    def _look(self, *, settles: bool = True) -> float:
        """The one reading of the clock of an operation, and a look whether the file has changed.

        Without ``settles`` what was put off may wait for its time.
        """
        if self._late and (settles or self._late_at <= self._clock.monotonic()):
            self._settle()
        now = self._now()
        self._keeper.look(now)
        if self._keeper.generation != self._generation:
            self._generation = self._keeper.generation
            self._choosing.forget()
            self._watching.tell()
            self._watching.poke()
        self._seen = now, self._keeper.pool
        return now

    def _recording(self, path: Path | None) -> Self:
        """Append what is chosen and learned from here on to a log; None is none."""
        if path is not None:
            from rotator.recording import Recorder  # only who records needs it

            self._recorder = Recorder(path, _warn)
        return self

    def _recorded_choice(
        self, outcome: Selected | Parked | Unavailable, session: str | None
    ) -> Selected | Parked | Unavailable:
        if self._recorder is not None:
            self._recorder.request(outcome, session, None, self._keeper.pool)
        return outcome

    def _recorded_news(
        self, learned: tuple[Signal, ...], account: str = "", model: str = "", status: int | None = None
    ) -> tuple[Signal, ...]:
        """What was learned since the last look, recorded as a response where it has a ``status``."""
        if self._recorder is not None:
            self._recorder.news(learned, *self._seen, self._keeper.pool, account, model, status)
        return learned

    def _after_fork(self) -> None:
        self._lock = _thread.RLock()
        self._late = []
        self._choosing = Choosing()
        self._keeper.forget_parent(self._lock)
        self._watching.forget_parent(self._lock)

    def _add(self, signals: Iterable[Signal], now: float) -> None:
        changed = sooner = False
        for signal in signals:
            within = bounded(signal)
            for fact in () if within is None else shared(self._keeper.pool, within):
                added = self._keeper.add(fact, now)
                if added is not None:
                    self._choosing.touch(added[0])
                    changed, sooner = True, sooner or added[1]
        if sooner:
            self._watching.poke()
        if changed:
            self._watching.tell()

    def _news(self) -> int:
        """How many news there were, after a look at the file."""
        with self._lock:
            self._look()
            return self._watching.heard


def _warn(message: str) -> None:
    import logging  # 13 ms that a run without trouble does not pay

    logging.getLogger("rotator").warning("%s", message)


def _at_exit() -> None:
    """Whoever did not close an engine that writes by itself does not lose what it learned last."""
    for engine in tuple(_engines):
        if engine._threaded:
            engine.close()


def _after_fork() -> None:
    for engine in tuple(_engines):
        engine._after_fork()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)
