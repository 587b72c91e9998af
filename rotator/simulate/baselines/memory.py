"""What every baseline remembers: the windows that responses showed, and cooldowns, in the most careful way that is common.

Refuses: choosing. A refusal for quota is believed until the delay or the reset that it names; one without grows from 30 s,
doubling to 30 min; 401 from 30 s to 10 min, 403 from 10 min to 5 h, 5xx from 3 s to 2 min. A success ends all of them.
Nothing is lost by a restart.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from math import inf

from rotator.simulate.agent import NEVER, Agent, Take, Wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.simulate.agent import Setting
    from rotator.simulate.demand import Request
    from rotator.simulate.world import Known, Response, Shown

_OK = 200
_LADDERS = {429: (30.0, 1800.0), 401: (30.0, 600.0), 403: (600.0, 18_000.0), 529: (3.0, 120.0)}
"""First and longest cooldown in seconds of refusals that name none, by status; each doubles."""
FULL = 0.9985
"""Utilisation from which a window counts as spent."""
_SESSION_TTL = 3600.0
_JITTER_SECS = 0.5


class Seat:
    """One account as a baseline sees it. ``windows`` are as last shown, by name; ``cooldowns`` end by model, ``*`` for all."""

    __slots__ = ("cooldowns", "failed_at", "failures", "flying", "known", "recovered_at", "served", "windows")

    def __init__(self, known: Known) -> None:
        self.known = known
        self.windows: dict[str, Shown] = {}
        self.cooldowns: dict[str, float] = {}
        self.failures = 0
        self.failed_at = self.recovered_at = -inf
        self.flying = 0
        self.served = 0

    def limiting(self, model: str) -> list[Shown]:
        """The windows that cover a model, as far as they were ever shown."""
        return [w for w in self.windows.values() if w.model is None or fnmatchcase(model, w.model)]

    def utilization(self, window: Shown, now: float) -> float:
        """What is spent of a window: nothing once its reset has passed."""
        return 0.0 if window.reset_time is not None and window.reset_time <= now else window.utilization

    def time_left(self, window: Shown, now: float) -> float:
        """The share of a window's time that is left; half where its reset is not known, all once it has passed."""
        if window.reset_time is None:
            return 0.5
        if window.reset_time <= now:
            return 1.0
        return min((window.reset_time - now) / window.length_secs, 1.0)

    def most_used(self, model: str, now: float) -> float:
        """The utilisation of its tightest window; 0 where none was shown."""
        return max([self.utilization(w, now) for w in self.limiting(model)], default=0.0)

    def ready_at(self, model: str, now: float, *, heeds_quota: bool = True) -> float:
        """When it can be asked again: after its cooldowns and, with ``heeds_quota``, the resets of its spent windows."""
        ready = max(self.cooldowns.get("*", -inf), self.cooldowns.get(model, -inf))
        if heeds_quota:
            for window in self.limiting(model):
                if self.utilization(window, now) >= FULL:
                    ready = max(ready, now + _LADDERS[429][0] if window.reset_time is None else window.reset_time)
        return ready


class Baseline(Agent):
    """A policy that takes one of the ready accounts; subclasses say which with ``pick``.

    ``sticky``: a conversation stays on its account while that is ready. ``heeds_quota``: accounts that are shown as spent
    are not ready.
    """

    sticky = True
    heeds_quota = True

    def __init__(self, setting: Setting) -> None:
        self.luck = setting.luck
        self.seats = [Seat(known) for known in setting.accounts]
        self._by_name = {seat.known.name: seat for seat in self.seats}
        self._homes: dict[str, tuple[str, float]] = {}
        self._serving: dict[str, list[Seat]] = {}

    def pick(self, now: float, request: Request, ready: list[Seat]) -> Seat:
        """One of those that are ready, of which there is at least one, in the order of the accounts."""
        raise NotImplementedError

    def choose(self, now: float, request: Request) -> Take | Wait:
        """The account of the conversation, else the pick among the ready ones; nobody: the first that will be."""
        serving = self._serving.get(request.model)
        if serving is None:
            serving = [seat for seat in self.seats if seat.known.serves(request.model)]
            self._serving[request.model] = serving
        ready, first = [], NEVER
        for seat in serving:
            when = self.ready_at(seat, request, now)
            if when <= now:
                ready.append(seat)
            elif when < first:
                first = when
        if not ready:
            return Wait(first if first == NEVER else first + self.luck.uniform(0, _JITTER_SECS))
        seat = self._home(now, request, ready) or self.pick(now, request, ready)
        if request.talk is not None:
            self._homes[request.talk] = seat.known.name, now
        seat.flying += 1
        return Take(seat.known.name)

    def ready_at(self, seat: Seat, request: Request, now: float) -> float:
        """When that account can be asked for that request."""
        return seat.ready_at(request.model, now, heeds_quota=self.heeds_quota)

    def _home(self, now: float, request: Request, ready: list[Seat]) -> Seat | None:
        name, used = self._homes.get(request.talk or "", ("", -inf))
        if not self.sticky or not name or now - used > _SESSION_TTL:
            return None
        seat = self._by_name[name]
        return seat if seat in ready else None

    def learn(self, now: float, request: Request, account: str, response: Response) -> None:
        """Remember what was shown, and how long not to ask again."""
        seat = self._by_name[account]
        seat.flying = max(seat.flying - 1, 0)
        group = seat.known.group
        for other in self.seats if group is not None else (seat,):
            if other is seat or other.known.group == group:
                other.windows.update({shown.name: shown for shown in response.windows})
        if response.status == _OK:
            if seat.failures:
                seat.recovered_at = now
            seat.failures, seat.served = 0, seat.served + 1
            seat.cooldowns.clear()
            return
        self._cool(now, request, seat, response)

    def _cool(self, now: float, request: Request, seat: Seat, response: Response) -> None:
        if seat.cooldowns.get("*", -inf) <= now and seat.cooldowns.get(request.model, -inf) <= now:
            seat.failures += 1  # refusals of parallel requests are one
        seat.failed_at = now
        first, most = _LADDERS.get(response.status, _LADDERS[529])
        full = [shown for shown in response.windows if shown.utilization >= 1]
        wait = response.retry_after_secs
        if wait is None:
            resets = [shown.reset_time - now for shown in full if shown.reset_time is not None]
            wait = max(resets) if resets else min(first * 2 ** (seat.failures - 1), most)
        wide = response.status in (401, 403) or any(shown.model is None for shown in full)
        scope = "*" if wide else request.model
        seat.cooldowns[scope] = max(seat.cooldowns.get(scope, -inf), now + max(wait, 1.0))
