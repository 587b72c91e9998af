"""Baselines that weigh several things: the product of paces, the six terms of the origin taken literally, adaptive cost.

Refuses: what rotator's own scorer has become since; the six terms are here as the issue of their origin states them.
"""

from __future__ import annotations

from collections import deque
from math import inf

from rotator.simulate.agent import Take, Wait
from rotator.simulate.baselines.memory import Baseline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.simulate.agent import Setting
    from rotator.simulate.baselines.memory import Seat
    from rotator.simulate.demand import Request
    from rotator.simulate.world import Response

_OK, _TOO_MANY, _OVERLOADED = 200, 429, 529


class Maximus(Baseline):
    """The highest product over windows of 1 - time left x utilisation, as shunt-proxy documents its ``maximus``."""

    def pick(self, now: float, request: Request, ready: list[Seat]) -> Seat:
        """The highest product; of equals the one with fewest in flight."""

        def product(seat: Seat) -> float:
            value = 1.0
            for window in seat.limiting(request.model):
                value *= 1 - seat.time_left(window, now) * seat.utilization(window, now)
            return value

        return max(ready, key=lambda seat: (product(seat), -seat.flying))


class SixTerms(Baseline):
    """ready_now + remaining - wait - consecutive 429s - staleness + recent success, literally; unit weights but for 429s.

    ``remaining`` is the fraction that is left of the tightest window, 0.5 where nothing is known. An account that is not ready is no
    candidate, so the terms ``ready_now`` and ``wait`` are the same for all. Others must beat the last one by 0.05.
    """

    _hysteresis = 0.05
    _hour = 3600.0

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._seen: dict[str, float] = {}
        self._served: dict[str, float] = {}
        self._active: Seat | None = None

    def _score(self, seat: Seat, model: str, now: float) -> float:
        name = seat.known.name
        seen, served = self._seen.get(name, -inf), self._served.get(name, -inf)
        remaining = 1 - seat.most_used(model, now) if seat.windows else 0.5
        staleness: float = 1 - 0.5 ** min((now - seen) / self._hour, 60.0)
        recent: float = 0.5 ** min((now - served) / self._hour, 60.0)
        return remaining - 0.5 * min(seat.failures, 4) - 0.1 * staleness + 0.1 * recent

    def pick(self, now: float, request: Request, ready: list[Seat]) -> Seat:
        """The highest sum, with hysteresis."""
        scores = {id(seat): self._score(seat, request.model, now) for seat in ready}
        best = max(ready, key=lambda seat: scores[id(seat)])
        active = self._active
        if active is not None and active in ready and scores[id(best)] <= scores[id(active)] + self._hysteresis:
            return active
        self._active = best
        return best

    def learn(self, now: float, request: Request, account: str, response: Response) -> None:
        """Also when it was seen, and when it served."""
        super().learn(now, request, account, response)
        self._seen[account] = now
        if response.status == _OK:
            self._served[account] = now


class Maxpool(Baseline):
    """The lowest adaptive cost, as maxpool describes it: load, scarcity as pace overage, share of the load, recovery, failures.

    Accounts are avoided from 90 % of a window of hours and blocked from 98.5 % of a longer one, whose last 5 % are
    for when nobody else is left; conversations stay. When every ready account refused without naming a limit in one
    request's turn and nobody served meanwhile, it is the provider's limit: one request probes until one is served.
    """

    _threshold, _critical, _exhausted = 0.90, 0.95, 0.985
    _hour, _day, _ramp_secs, _memory_secs, _probe_secs = 3600.0, 86_400.0, 120.0, 900.0, 15.0

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._recent: deque[tuple[float, str]] = deque()
        self._loads: dict[str, int] = {}
        self._bare: dict[str, float] = {}
        self._served_at = -inf
        self._breaker_until: float | None = None
        self._probing = False

    def choose(self, now: float, request: Request) -> Take | Wait:
        """While the breaker is open, one probe at a time."""
        if self._breaker_until is None:
            return super().choose(now, request)
        if self._probing or now < self._breaker_until:
            return Wait(max(self._breaker_until, now + 1.0))
        chosen = super().choose(now, request)
        self._probing = type(chosen) is Take
        return chosen

    def ready_at(self, seat: Seat, request: Request, now: float) -> float:
        """Also after the resets of windows that are used up to their thresholds."""
        ready = super().ready_at(seat, request, now)
        for window in seat.limiting(request.model):
            most = self._threshold if window.length_secs <= self._day else self._exhausted
            if window.length_secs > self._hour and seat.utilization(window, now) >= most:
                ready = max(ready, window.reset_time or now + 30.0)
        return ready

    def _cost(self, seat: Seat, request: Request, now: float) -> tuple[bool, float]:
        scarcity, critical = 0.0, False
        for window in seat.limiting(request.model):
            used = seat.utilization(window, now)
            scarcity = max(scarcity, used - (1 - seat.time_left(window, now)))
            critical = critical or (window.length_secs > self._day and used >= self._critical)
        share = self._loads.get(seat.known.name, 0) / max(len(self._recent), 1)
        ramp = max(1 - (now - seat.recovered_at) / self._ramp_secs, 0.0)
        failing: float = min(seat.failures, 3) * 0.5 ** min((now - seat.failed_at) / 300.0, 60.0)
        return critical, 0.25 * seat.flying / seat.known.weight + scarcity + 0.5 * share + 0.5 * ramp + failing

    def pick(self, now: float, request: Request, ready: list[Seat]) -> Seat:
        """The lowest cost, those that are critical last."""
        while self._recent and self._recent[0][0] < now - self._memory_secs:
            self._loads[self._recent.popleft()[1]] -= 1
        return min(ready, key=lambda seat: self._cost(seat, request, now))

    def learn(self, now: float, request: Request, account: str, response: Response) -> None:
        """Also the load of each account, and whether a limit is the provider's."""
        bare = response.status == _OVERLOADED or (response.status == _TOO_MANY and not response.windows)
        self._probing = False
        if response.status == _OK:
            self._recent.append((now, account))
            self._loads[account] = self._loads.get(account, 0) + 1
            self._served_at, self._breaker_until = now, None
            self._bare.clear()
        elif bare:
            self._bare[account] = now
            serving = [seat for seat in self.seats if seat.known.serves(request.model)]
            waiting = [seat for seat in serving if self.ready_at(seat, request, now) <= now or self._said(seat, now)]
            if len(waiting) > 1 and all(self._said(seat, now) for seat in waiting if seat.known.name != account):
                self._open(now, response)
                self._by_name[account].flying = max(self._by_name[account].flying - 1, 0)
                return
        super().learn(now, request, account, response)

    def _said(self, seat: Seat, now: float) -> bool:
        """Whether it refused without naming a limit just now."""
        return now - self._bare.get(seat.known.name, -inf) <= 30.0  # noqa: PLR2004  one request's turn

    def _open(self, now: float, response: Response) -> None:
        """The provider's limit: what the accounts were blocked for is over, all wait for a probe."""
        self._breaker_until = now + (response.retry_after_secs or self._probe_secs)
        for name in self._bare:
            self._by_name[name].cooldowns.clear()
            self._by_name[name].failures = 0
