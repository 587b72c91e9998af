"""Waiting: one wait until somebody is ready, as steps to sleep and at last an outcome.

Refuses: choosing, locks, threads. It sleeps in steps of at most a second of the wall clock, so that a suspended machine, a
stepped clock, a person's edit and another process are all noticed; and it decides again only when something can differ.
"""

from __future__ import annotations

import threading

from rotator.core.selection import Parked
from rotator.errors import ParkTimeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from rotator.clock import Clock
    from rotator.core.selection import Selected, Unavailable

STEP_SECS = 1.0
"""Longest sleep: the file's stamp is looked at this often."""
LEAST_STEP_SECS = 0.02
"""Shortest sleep, so that no clock can make a waiter spin."""


class Waiting:
    """A wait that began when it was made.

    ``decide`` makes the choice (and takes it, if it is to be taken); ``heard`` looks at the file and says how many news
    there were so far; ``event`` is set by whoever brings news. ``timeout`` is in seconds or a timedelta, and runs out by the
    clock's ``monotonic`` alone: a step of the wall clock neither shortens nor prolongs it.
    """

    def __init__(
        self,
        decide: Callable[[], Selected | Parked | Unavailable],
        heard: Callable[[], int],
        clock: Clock,
        timeout: float | timedelta | None = None,
    ) -> None:
        self.event = threading.Event()
        self._decide = decide
        self._heard = heard
        self._clock = clock
        self._limit = timeout if timeout is None or isinstance(timeout, int | float) else timeout.total_seconds()
        began, self._began_mono = self._time()
        self._parked: Parked | None = None
        self._known = -1
        self._planned = 0.0
        self._decided = began, self._began_mono

    def _time(self) -> tuple[float, float]:
        return self._clock.now().timestamp(), self._clock.monotonic()

    def step(self) -> float | Selected | Unavailable:
        """How many seconds to sleep before the next step, or the outcome. Raises ParkTimeout."""
        now, mono = self._time()
        parked = self._parked
        if parked is None or self._may_differ(parked, now, mono):
            self._known = self._heard()
            outcome = self._decide()
            if not isinstance(outcome, Parked):
                return outcome
            parked = self._parked = outcome
            self._decided = now, mono
            self._planned = outcome.wake_at.timestamp() + _jitter(outcome.pool.policy.wake_jitter)
        left = min(STEP_SECS, self._planned - now)
        if self._limit is not None:
            spent = mono - self._began_mono
            if spent >= self._limit:
                message = f"nobody became ready for {parked.model} within {self._limit:g} s: {parked.explanation}"
                raise ParkTimeout(message, parked.wake_at)
            left = min(left, self._limit - spent)
        return max(left, LEAST_STEP_SECS)

    def _may_differ(self, parked: Parked, now: float, mono: float) -> bool:
        """Whether to decide again. News that come after the wake time wait for the jitter, or it would be none."""
        waited = max(now - self._decided[0], mono - self._decided[1])
        if now >= self._planned or waited >= parked.pool.policy.recheck:
            return True
        return now < parked.wake_at.timestamp() and self._heard() != self._known

    def run(self, progress: Callable[[Parked], None] | None) -> Selected | Unavailable:
        """Sleep on this thread until there is an outcome; ``progress`` is called before each sleep. Raises ParkTimeout."""
        while True:
            self.event.clear()
            step = self.step()
            if not isinstance(step, float):
                return step
            if progress is not None and self._parked is not None:
                progress(self._parked)
            self._clock.wait(self.event, step)

    async def run_async(self) -> Selected | Unavailable:
        """The awaitable ``run``. Cancelling it wakes the thread that sleeps for it."""
        from asyncio import to_thread  # costs 40 ms, and only asynchronous programs need it

        try:
            while True:
                self.event.clear()
                step = self.step()
                if not isinstance(step, float):
                    return step
                await to_thread(self._clock.wait, self.event, step)
        finally:
            self.event.set()


def _jitter(most: float) -> float:
    from random import uniform  # only who waits needs luck

    return uniform(0.0, most)  # noqa: S311  no secret hangs on it
