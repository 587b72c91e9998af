"""Watching: who waits for news of an engine, and the alarm that rings when something is due.

Refuses: deciding, writing; it is given both as functions. It starts a thread only if it may, and only at the first need.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import RLock

    from rotator.alarm import Alarm
    from rotator.clock import Clock
    from rotator.core.selection import Selected, Unavailable
    from rotator.engine.waiting import Waiting


class Watch:
    """Somebody who wants to be called once: ``due`` is the monotonic second at which to take the next step."""

    def __init__(self, waiting: Waiting, callback: Callable[[Selected | Unavailable], None]) -> None:
        self.due = 0.0
        self.waiting = waiting
        self.callback = callback


class Watching:
    """The waiters and watchers of one engine; ``lock`` is the engine's.

    ``due_in`` says in how many seconds ``ring`` has something to do besides the watches, None for never. Without
    ``threaded``, the owner of the engine asks ``due_in`` and calls ``ring`` himself.
    """

    def __init__(
        self,
        lock: RLock,
        clock: Clock,
        due_in: Callable[[], float | None],
        ring: Callable[[], None],
        warn: Callable[[str], None],
        *,
        threaded: bool,
    ) -> None:
        self.heard = 0
        self._lock = lock
        self._clock = clock
        self._due_in = due_in
        self._ring = ring
        self._warn = warn
        self._threaded = threaded
        self._waiters: list[Waiting] = []
        self._watches: list[Watch] = []
        self._alarm: Alarm | None = None

    def tell(self) -> None:
        """There are news: whoever waits looks whether they help."""
        self.heard += 1
        for waiter in self._waiters:
            waiter.event.set()
        if self._watches:
            for watch in self._watches:
                watch.due = 0.0
            self.poke()

    def poke(self) -> None:
        """Something may be due sooner than was thought."""
        if not self._threaded:
            return
        if self._alarm is None:
            from rotator.alarm import Alarm  # only who has something to write needs a thread

            self._alarm = Alarm(self.due_in, self._ring, self._failed)
        self._alarm.poke()

    def _failed(self, error: BaseException) -> None:
        self._warn(f"alarm: {type(error).__name__}, it goes on")

    def enter(self, waiting: Waiting) -> None:
        """A waiter who is woken by news from now on."""
        with self._lock:
            self._waiters.append(waiting)

    def leave(self, waiting: Waiting) -> None:
        """It waits no more."""
        with self._lock:
            self._waiters.remove(waiting)

    def watch(self, waiting: Waiting, callback: Callable[[Selected | Unavailable], None]) -> Callable[[], None]:
        """Call back once, from ``step``, when the wait has an outcome; returns a function that cancels it."""
        watch = Watch(waiting, callback)
        with self._lock:
            self._watches.append(watch)
            self.poke()
        return lambda: self._unwatch(watch)

    def _unwatch(self, watch: Watch) -> None:
        with self._lock:
            if watch in self._watches:
                self._watches.remove(watch)

    def due_in(self) -> float | None:
        """Seconds until there is something to do; None when there is not."""
        with self._lock:
            due = self._due_in()
            mono = self._clock.monotonic()
            return min([watch.due - mono for watch in self._watches] + ([] if due is None else [due]), default=None)

    def step(self) -> None:
        """Take the next step of every watch that is due. What a callback raises goes up, the others keep their turn."""
        for watch in tuple(self._watches):
            with self._lock:
                mono = self._clock.monotonic()
                if watch not in self._watches or watch.due > mono:
                    continue
                outcome = watch.waiting.step()
                if isinstance(outcome, float):
                    watch.due = mono + outcome
                    continue
                self._watches.remove(watch)
            watch.callback(outcome)

    def stop(self) -> None:
        """End the thread, if there is one, and start none again."""
        self._threaded = False
        if self._alarm is not None:
            self._alarm.stop()

    def forget_parent(self, lock: RLock) -> None:
        """In a forked child: the waiters and the alarm's thread are the parent's."""
        self._lock = lock
        self._waiters, self._watches, self._alarm = [], [], None
