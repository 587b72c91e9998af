"""Quotas: the hidden truth of one window: what is spent of it, when it begins anew, whether another request fits.

Refuses: what of this anybody is told (``world``). A provider does not know what a request costs before it has served it, so
a window admits while anything is left of it and may end a little above its capacity; a bucket admits what it holds.
"""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from random import Random

    from rotator.simulate.scenario import Quota

_GRAIN = 1e-9
"""Share of a bucket that is lost in arithmetic."""


class Hidden:
    """What all windows share; instants are epoch seconds. ``ended`` and ``unspent`` add up capacities at each reset."""

    __slots__ = ("capacity", "charged", "ended", "hidden", "kind", "length", "model", "name", "unspent", "used")

    def __init__(self, quota: Quota, capacity: float, used: float) -> None:
        self.name = quota.name
        self.kind = quota.kind
        self.length = quota.length_secs
        self.model = quota.model
        self.hidden = quota.hidden
        self.capacity = capacity
        self.used = used * capacity
        self.charged = self.ended = self.unspent = 0.0

    def advance(self, now: float) -> None:
        """Let time pass up to ``now``."""

    def fits(self, now: float, cost: float) -> bool:  # noqa: ARG002  a bucket asks
        """Whether a request is admitted."""
        self.advance(now)
        return self.used < self.capacity

    def charge(self, now: float, cost: float) -> None:
        """Spend; by somebody else also beyond what is left."""
        self.advance(now)
        self.used += cost
        self.charged += cost

    def fits_at(self, now: float, cost: float) -> float:
        """When a request that does not fit now will, if nobody spends meanwhile."""
        raise NotImplementedError

    def shown(self, now: float) -> tuple[float, float | None]:
        """What share is spent, and when that ends; the truth, not rounded."""
        raise NotImplementedError


class Fixed(Hidden):
    """Resets on a calendar of its own."""

    __slots__ = ("reset",)

    def __init__(self, quota: Quota, capacity: float, used: float, reset: float) -> None:
        super().__init__(quota, capacity, used)
        self.reset = reset

    def advance(self, now: float) -> None:
        """Begin anew at every reset that has passed."""
        while now >= self.reset:
            self.ended += self.capacity
            self.unspent += max(self.capacity - self.used, 0.0)
            self.used = 0.0
            self.reset += self.length

    def fits_at(self, now: float, cost: float) -> float:  # noqa: ARG002
        """Its reset."""
        self.advance(now)
        return self.reset

    def shown(self, now: float) -> tuple[float, float | None]:
        """Spent share and reset."""
        self.advance(now)
        return self.used / self.capacity, self.reset


class FirstUse(Hidden):
    """Begins with the first request after it has ended; until then its clock does not run (``reset`` None)."""

    __slots__ = ("reset",)

    def __init__(self, quota: Quota, capacity: float, used: float, reset: float | None) -> None:
        super().__init__(quota, capacity, used)
        self.reset = reset

    def advance(self, now: float) -> None:
        """Close it when its time is over."""
        if self.reset is not None and now >= self.reset:
            self.ended += self.capacity
            self.unspent += max(self.capacity - self.used, 0.0)
            self.used, self.reset = 0.0, None

    def charge(self, now: float, cost: float) -> None:
        """Spend, which begins it."""
        super().charge(now, cost)
        if self.reset is None:
            self.reset = now + self.length

    def fits_at(self, now: float, cost: float) -> float:  # noqa: ARG002
        """Its end."""
        self.advance(now)
        return now if self.reset is None else self.reset

    def shown(self, now: float) -> tuple[float, float | None]:
        """Spent share and end; nothing and None while it is closed."""
        self.advance(now)
        return self.used / self.capacity, self.reset


class Rolling(Hidden):
    """Counts what was spent in the last ``length`` seconds; it never resets, though it shows when the oldest use ages out."""

    __slots__ = ("_spent",)

    def __init__(self, quota: Quota, capacity: float, used: float, spent_at: float) -> None:
        super().__init__(quota, capacity, used)
        self._spent: deque[tuple[float, float]] = deque([(spent_at, self.used)] if used else [])

    def advance(self, now: float) -> None:
        """Forget what is older than its length."""
        spent, began = self._spent, now - self.length
        while spent and spent[0][0] <= began:
            self.used -= spent.popleft()[1]
        if not spent:
            self.used = 0.0

    def charge(self, now: float, cost: float) -> None:
        """Spend, remembered for its length."""
        super().charge(now, cost)
        self._spent.append((now, cost))

    def fits_at(self, now: float, cost: float) -> float:  # noqa: ARG002
        """When enough has aged out."""
        self.advance(now)
        left = self.used
        for at, spent in self._spent:
            if left < self.capacity:
                break
            left -= spent
            now = at + self.length
        return now

    def shown(self, now: float) -> tuple[float, float | None]:
        """Spent share, and when the oldest use ages out."""
        self.advance(now)
        return self.used / self.capacity, self._spent[0][0] + self.length if self._spent else None


class Bucket(Hidden):
    """Refills evenly, from empty to full in ``length`` seconds; admits what it holds, and what exceeds it when it is full."""

    __slots__ = ("_at",)

    def __init__(self, quota: Quota, capacity: float, used: float, at: float) -> None:
        super().__init__(quota, capacity, used)
        self._at = at

    def advance(self, now: float) -> None:
        """Refill."""
        if now > self._at:
            self.used = max(self.used - self.capacity * (now - self._at) / self.length, 0.0)
            self._at = now

    def fits(self, now: float, cost: float) -> bool:
        """Whether it holds the request."""
        self.advance(now)
        return self.used + min(cost, self.capacity) <= self.capacity * (1 + _GRAIN)

    def fits_at(self, now: float, cost: float) -> float:
        """When it will hold the request."""
        self.advance(now)
        missing = self.used + min(cost, self.capacity) - self.capacity
        return now + max(missing, 0.0) / self.capacity * self.length

    def shown(self, now: float) -> tuple[float, float | None]:
        """Missing share, and when it is full again."""
        self.advance(now)
        return self.used / self.capacity, now + self.used / self.capacity * self.length


def hidden(quota: Quota, start: float, luck: Random) -> Hidden:
    """The window of a quota as luck has it: always three draws, whatever they decide."""
    capacity, phase, used = quota.capacity.draw(luck), quota.phase.draw(luck), quota.used.draw(luck)
    end = start + quota.length_secs * (1 - phase)
    if quota.kind == "fixed":
        return Fixed(quota, capacity, used, end if end > start else start + quota.length_secs)
    if quota.kind == "first_use":
        return FirstUse(quota, capacity, used, end if used and end > start else None)
    if quota.kind == "rolling":
        return Rolling(quota, capacity, used, start - quota.length_secs * phase)
    return Bucket(quota, capacity, used, start)
