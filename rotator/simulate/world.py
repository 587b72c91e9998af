"""The world: accounts with hidden quotas and faults, and what each answers to a request; for one scenario and seed.

Refuses: policies. ``Response`` is all that a policy ever sees of an account.
"""

from __future__ import annotations

from bisect import bisect_right
from fnmatch import fnmatchcase
from math import ceil, floor, inf

from rotator.core.value import Value
from rotator.simulate.demand import intervals, luck_of, requests_of
from rotator.simulate.quotas import hidden
from rotator.simulate.scenario import copies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from random import Random

    from rotator.simulate.demand import Request
    from rotator.simulate.quotas import Hidden
    from rotator.simulate.scenario import Cache, Manner, Plan, Scenario, Trouble

OK, TOO_MANY, UNAUTHORIZED, FORBIDDEN, OVERLOADED = 200, 429, 401, 403, 529
_STATUS = {
    "throttle": TOO_MANY,
    "ban": TOO_MANY,
    "auth": UNAUTHORIZED,
    "forbidden": FORBIDDEN,
    "down": OVERLOADED,
}
_FULL = 1 - 1e-9


class Shown(Value):
    """One window as a response shows it; ``utilization`` 0..1 and rounded, ``model`` a name or glob, or None for all."""

    name: str
    utilization: float
    reset_time: float | None
    length_secs: float
    model: str | None


class Response(Value):
    """What an account answered: ``tokens`` are what the request was charged, 0 when it was refused."""

    status: int
    windows: tuple[Shown, ...] = ()
    retry_after_secs: float | None = None
    tokens: float = 0.0


class Known(Value):
    """An account as a person would write it down: what every policy may know before the first request."""

    name: str
    models: tuple[str, ...]
    group: str | None
    weight: float

    def serves(self, model: str) -> bool:
        """Whether one of its globs names the model."""
        return any(fnmatchcase(model, pattern) for pattern in self.models)


class Service:
    """One account's provider: its truth, its faults, and the conversations that it still has warm."""

    def __init__(self, known: Known, manner: Manner, windows: list[Hidden], cache: Cache, luck: Random) -> None:
        self.known = known
        self.windows = windows
        self.troubles: list[tuple[float, float, Trouble]] = []
        self._manner = manner
        self._cache = cache
        self._luck = luck
        self._warm: dict[str, float] = {}
        self._limiting: dict[str, tuple[Hidden, ...]] = {}
        self._snapshot: tuple[float, tuple[Shown, ...]] = (-inf, ())

    def limiting(self, model: str) -> tuple[Hidden, ...]:
        """The windows that cover a model."""
        found = self._limiting.get(model)
        if found is None:
            found = tuple([w for w in self.windows if w.model is None or fnmatchcase(model, w.model)])
            self._limiting[model] = found
        return found

    def cost(self, request: Request, now: float) -> float:
        """What the request is charged here: its context costs less while the conversation is warm."""
        if not request.context:
            return request.tokens
        warm = now - self._warm.get(request.talk or "", -inf) <= self._cache.ttl_secs
        return request.tokens + request.context * (self._cache.warm_cost if warm else 1.0)

    def answer(self, request: Request, now: float) -> Response:
        """The answer to a request that arrives now; serving it is charged at once."""
        trouble = self.trouble(now)
        if trouble is not None:
            return Response(_STATUS[trouble.kind], (), trouble.retry_after_secs)
        if self._manner.server_errors and self._luck.random() < self._manner.server_errors:
            return Response(OVERLOADED)
        cost, limits = self.cost(request, now), self.limiting(request.model)
        full = [w for w in limits if not w.fits(now, cost)]
        if full:
            return self._refusal(full, cost, now)
        shown = self._told(now)
        for window in limits:
            window.charge(now, cost)
        if request.talk is not None:
            self._warm[request.talk] = now
        return Response(OK, shown, None, cost)

    def delay(self, response: Response) -> float:
        """Seconds after which a response is heard: an answer takes long to write, a refusal does not."""
        manner = self._manner
        return manner.latency_secs.draw(self._luck) if response.status == OK else manner.refusal_secs

    def trouble(self, now: float) -> Trouble | None:
        """What is wrong with the account now."""
        for begin, end, trouble in self.troubles:
            if begin <= now < end:
                return trouble
        return None

    def _refusal(self, full: list[Hidden], cost: float, now: float) -> Response:
        """A 429 for quota; what it shows and how long it says to wait is the account's manner."""
        manner = self._manner
        shown: tuple[Shown, ...] = ()
        if manner.full_shown:
            shown = tuple([_shown(w, now, manner, full=True) for w in full if not w.hidden])
        if manner.retry_after == "none":
            return Response(TOO_MANY, shown)
        if manner.retry_after == "exact":
            wait = max([w.fits_at(now, cost) for w in full]) - now
            return Response(TOO_MANY, shown, float(ceil(max(wait * manner.retry_factor, 0.001) * 1000) / 1000))
        return Response(TOO_MANY, shown, float(manner.retry_after) * manner.retry_factor)

    def _told(self, now: float) -> tuple[Shown, ...]:
        """The windows that a success tells of, as they were before it: nobody knows its cost before it ends."""
        manner = self._manner
        if manner.mute and self._luck.random() < manner.mute:
            return ()
        at, shown = self._snapshot
        if not manner.stale_secs or now - at > manner.stale_secs:
            shown = tuple([_shown(w, now, manner) for w in self.windows if not w.hidden])
            self._snapshot = now, shown
        if manner.partial and len(shown) > 1 and self._luck.random() < manner.partial:
            return (shown[self._luck.randrange(len(shown))],)
        return shown


def _shown(window: Hidden, now: float, manner: Manner, *, full: bool = False) -> Shown:
    spent, reset = window.shown(now)
    if reset is None and window.kind == "first_use":
        reset = now + window.length  # the request that is answered begins it
    return Shown(
        window.name,
        1.0 if full and window.kind != "bucket" else _rounded(spent, manner),
        None if reset is None else float(ceil(reset)),
        window.length,
        window.model,
    )


def _rounded(spent: float, manner: Manner) -> float:
    """The share as it is shown; over the whole is the whole."""
    if not manner.quantum:
        return min(spent, 1.0)
    steps = spent / manner.quantum
    whole = round(steps) if manner.rounding == "nearest" else floor(steps) if manner.rounding == "down" else ceil(steps)
    return min(round(whole * manner.quantum, 9), 1.0)


class World:
    """Accounts and demand of one scenario and seed; it is spent by being served, so each run makes a new one."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario = scenario
        self.seed = seed
        self.start = scenario.start
        self.end = scenario.start + scenario.duration_secs
        self.requests = requests_of(scenario, seed)
        self.services: dict[str, Service] = {}
        shared: dict[str, list[Hidden]] = {}
        for plan in scenario.accounts:
            for name in copies(plan):
                windows = self._windows(plan, name, shared)
                luck = luck_of(scenario, seed, f"answers of {name}")
                known = Known(name, plan.models, plan.group, plan.weight)
                self.services[name] = Service(known, plan.answers, windows, scenario.cache, luck)
        self.known = tuple([service.known for service in self.services.values()])
        self.outside = sorted(self._outside(), key=lambda use: use[0])
        for place, trouble in enumerate(scenario.troubles):
            self._plant(trouble, luck_of(scenario, seed, f"trouble {place}"))

    def _windows(self, plan: Plan, name: str, shared: dict[str, list[Hidden]]) -> list[Hidden]:
        if plan.group is not None and plan.group in shared:
            return shared[plan.group]
        luck = luck_of(self.scenario, self.seed, f"quotas of {name}")
        windows = [hidden(quota, self.start, luck) for quota in plan.windows]
        if plan.group is not None:
            shared[plan.group] = windows
        return windows

    def _outside(self) -> list[tuple[float, str, float]]:
        """What others spend: when, of which account, how much."""
        found = []
        for plan in self.scenario.accounts:
            for name in copies(plan) if plan.outside is not None and plan.outside.per_hour else ():
                assert plan.outside is not None
                luck, at = luck_of(self.scenario, self.seed, f"outside {name}"), self.start
                while True:
                    at += luck.expovariate(plan.outside.per_hour / 3600)
                    if at >= self.end:
                        break
                    found.append((at, name, plan.outside.tokens.draw(luck)))
        return found

    def _plant(self, trouble: Trouble, luck: Random) -> None:
        """Let a fault happen: one of everybody at the same times, one of some accounts to each at times of its own."""
        lasting = trouble.for_secs
        names = trouble.accounts or tuple(self.services)
        together: list[tuple[float, float]] | None = None
        for name in names:
            times = together
            if times is None and trouble.at_secs is not None:
                begin = self.start + trouble.at_secs
                times = [(begin, inf if lasting is None else begin + lasting)]
            elif times is None:
                times = intervals(luck, self.start, self.end, trouble.every_secs or inf, lasting or self.end)
            if trouble.kind == "throttle":
                together = times
            self.services[name].troubles += [(begin, end, trouble) for begin, end in times]

    def delay(self, account: str, response: Response) -> float:
        """Seconds after which a response is heard."""
        return self.services[account].delay(response)

    def up(self, name: str, begin: float, end: float) -> bool:
        """Whether an account is without fault at some instant of a stretch."""
        troubles = sorted(self.services[name].troubles, key=lambda each: each[0])
        at = begin
        for first, last, _ in troubles[: bisect_right(troubles, end, key=lambda each: each[0])]:
            if first > at:
                return True
            at = max(at, last)
        return at < end
