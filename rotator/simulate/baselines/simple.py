"""Baselines that look at one thing: whose turn it is, luck, a threshold, what is left, the next reset, who served last.

Refuses: weighing several things (``weighing``).
"""

from __future__ import annotations

from math import inf

from rotator.simulate.baselines.memory import Baseline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.simulate.agent import Setting
    from rotator.simulate.baselines.memory import Seat
    from rotator.simulate.demand import Request


class RoundRobin(Baseline):
    """Next after the last one in order, by name; accounts that cool down are passed over. The default of most proxies."""

    sticky = heeds_quota = False

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._last = -1

    def pick(self, now: float, request: Request, ready: list[Seat]) -> Seat:  # noqa: ARG002
        """The first ready one behind the last."""
        places = {id(seat): place for place, seat in enumerate(self.seats)}
        seat = min(ready, key=lambda each: (places[id(each)] - self._last - 1) % len(self.seats))
        self._last = places[id(seat)]
        return seat


class Random(Baseline):
    """Any that does not cool down, by weight; as LiteLLM's simple shuffle."""

    sticky = heeds_quota = False

    def pick(self, now: float, request: Request, ready: list[Seat]) -> Seat:  # noqa: ARG002
        """By luck."""
        return self.luck.choices(ready, [seat.known.weight for seat in ready])[0]


class Chain(Baseline):
    """Each account in order up to a threshold of its longest window; above it the one with most left; then whoever returns.

    As token-monitor recommends accounts: it follows the weekly window and leaves the shorter ones to their 429s.
    """

    threshold = 0.75

    def _long(self, seat: Seat, request: Request, now: float) -> float:
        longest = max(seat.limiting(request.model), key=lambda w: w.length_secs, default=None)
        return 0.0 if longest is None else seat.utilization(longest, now)

    def pick(self, now: float, request: Request, ready: list[Seat]) -> Seat:
        """The first below the threshold, else the least used."""
        for seat in ready:
            if self._long(seat, request, now) < self.threshold:
                return seat
        return min(ready, key=lambda seat: self._long(seat, request, now))


class LaterChain(Chain):
    """The same with a threshold of 0.90."""

    threshold = 0.90


class LeastUsed(Baseline):
    """Whose tightest window is used least; of equals the one with fewest in flight."""

    def pick(self, now: float, request: Request, ready: list[Seat]) -> Seat:
        """The most headroom."""
        return min(ready, key=lambda seat: (seat.most_used(request.model, now), seat.flying))


class SoonestReset(Baseline):
    """Whose longest window resets next: spend first what expires first; unknown ones before all, since one request tells."""

    def pick(self, now: float, request: Request, ready: list[Seat]) -> Seat:
        """The next reset, of the longest window and then of the shorter ones."""

        def resets(seat: Seat) -> list[float]:
            longest_first = sorted(seat.limiting(request.model), key=lambda w: -w.length_secs)
            running = [inf if w.reset_time is None or w.reset_time <= now else w.reset_time for w in longest_first]
            return running or [-inf]

        return min(ready, key=resets)


class Sticky(Baseline):
    """Stays on one account until that is refused, then goes on to the next in order."""

    sticky = False

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._at = 0

    def pick(self, now: float, request: Request, ready: list[Seat]) -> Seat:  # noqa: ARG002
        """The present one, else the next ready one behind it."""
        size = len(self.seats)
        for step in range(size):
            seat = self.seats[(self._at + step) % size]
            if seat in ready:
                self._at = (self._at + step) % size
                return seat
        raise AssertionError
