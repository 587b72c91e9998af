"""Ranking: the accounts of one pool ordered for one model, kept in order while facts arrive.

What it answers is a function of the pool, the instant and the requests in flight alone; it only saves the work of looking
at everyone each time. Readiness is exact; scores are taken at the end of the current second, so that between two facts
and two seconds the order stands still, and in a large pool everyone's turn comes once in some seconds. Refuses: outcomes for people, changing the pool.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from rotator.core.choice import ANYBODY, Choice, Wanted, stand
from rotator.core.scorer import Standing, appraise, remaining
from rotator.core.state import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rotator.core.openings import Openings
    from rotator.core.outlook import Outlook
    from rotator.core.pool import Pool
    from rotator.core.scorer import Tier

    Ready = tuple[Tier, float, int, int]
    Waiting = tuple[float, int, int]


_SLACK = 64
"""Entries that are out of date and may lie in a heap, besides as many as there are accounts, before it is swept."""


_AT_ONCE = 500
"""Accounts that are scored anew in one second: some milliseconds of work for each model that is asked for."""


def scored_at(index: int, size: int, now: float) -> float:
    """The instant at which the account at a place in a pool of ``size`` is scored.

    The end of the current second, or in pools of more than ``_AT_ONCE`` accounts of the next second that is its turn.

    >>> scored_at(3, 10, 99.5), scored_at(3, 2000, 99.5), scored_at(3, 2000, 103.0), scored_at(3, 2000, 103.1)
    (100.0, 103.0, 103.0, 107.0)
    """
    second = int(-(-now // 1))
    return float(second + (index - second) % -(-size // _AT_ONCE)) if size > _AT_ONCE else float(second)


class Ranking:
    """The order of a pool's accounts for ``model``, of those that are ``wanted``; those of ``closed`` providers wait."""

    def __init__(
        self, model: str, wanted: Wanted = ANYBODY, *, probes: bool = True, closed: frozenset[str] = frozenset()
    ) -> None:
        self.model = model
        self._wanted = wanted
        self._probes = probes
        self._closed = closed
        self._pool: Pool | None = None
        self._in_flight: Mapping[str, int] = {}
        self._now = self._valid_until = 0.0
        self._second = 0
        self._choices: dict[bool, Choice] = {}
        self._without_probes: Ranking | None = None
        self._outlook: Outlook | None = None
        self._models: frozenset[str] | None = None

    def follow(self, pool: Pool, now: float, in_flight: Mapping[str, int], touched: Iterable[int] | None) -> None:
        """Bring the order up to date: ``touched`` are the accounts that may differ since the last call, None is all."""
        second = int(-(-now // 1))
        first = self._pool is None or touched is None or now < self._now
        same_policy = self._pool is not None and self._pool.policy is pool.policy
        if not first and same_policy and not touched and self._pool is pool and second == self._second:
            self._now, self._in_flight = now, in_flight
            if now < self._valid_until:
                return
        else:
            turns = range(self._second, second)
            self._pool, self._now, self._second, self._in_flight = pool, now, second, in_flight
            self._without_probes = None
            rounds = -(-len(pool) // _AT_ONCE)
            if first or self._hears_of_a_model(pool, touched or ()) or not same_policy or len(turns) >= rounds:
                self._rebuild(pool)
            else:
                for turn in turns:
                    for index in range(turn % rounds, len(pool), rounds):
                        self._place(index)
                for index in touched or ():
                    self._place(index)
        self._choices = {}
        while self._waiting and self._waiting[0][0] <= now:
            _, index, version = heappop(self._waiting)
            if version == self._version[index]:
                self._place(index)

    def _hears_of_a_model(self, pool: Pool, touched: Iterable[int]) -> bool:
        """Whether an account knows of a model that none knew of when it was looked out for rare ones."""
        known = self._models
        return known is not None and any(not pool.at(index).runtime.models.keys() <= known for index in touched)

    def choose(self, *, anew: bool = False) -> Choice:
        """The choice among those who are ready now; ``anew``: for a session without a home, which the active account does not bind."""
        choice = self._choices.get(anew)
        if choice is None:
            choice = self._choices[anew] = self._decide(anew=anew)
        return choice

    def home(self, index: int) -> Choice | None:
        """The choice of that account for a session that lives there, or None when it must move."""
        top = self._top()
        if top is None:
            heeded = self.choose().probes
            return None if heeded or self._without_probes is None else self._without_probes.home(index)
        standing = self._standings[index]
        if standing is None or not self._ready[index] or standing.tier[:2] != top[0][:2]:
            return None
        return Choice(index, "sticky_session", NEVER, None, self._probes, self._closed, self._outlook)

    def spent_share(self) -> float:
        """Share of the accounts that could serve, but for quota or their reserve."""
        serving = [s for s in self._standings if s is not None and s.ready_at != NEVER]
        return sum([s.tier[2] or s.blocked_by == "quota" for s in serving]) / max(len(serving), 1)

    def _rebuild(self, pool: Pool) -> None:
        size = len(pool)
        self._standings: list[Standing | None] = [None] * size
        self._ready = [False] * size
        self._version = [0] * size
        self._best: list[Ready] = []
        self._waiting: list[Waiting] = []
        self._counts: dict[Tier, list[int]] = {}
        self._openings: Openings | None = None
        self._models, self._outlook = None, None
        if any(account.models != ("*",) for account in pool):
            from rotator.core.outlook import looked_out  # where all serve all models, nobody is kept for one

            self._models, self._outlook = looked_out(pool, self.model)
        self._total = self._guarded = self._unprobed = 0
        push_ready, push_waiting = self._best.append, self._waiting.append
        for index, account in enumerate(pool):
            if self._wanted.has(account):
                self._enter(index, self._appraise(index), push_ready, push_waiting)
        heapify(self._best)
        heapify(self._waiting)

    def _appraise(self, index: int) -> Standing:
        pool = self._pool
        assert pool is not None
        account = pool.at(index)
        flying = self._in_flight.get(account.name, 0) if self._in_flight else 0
        when = scored_at(index, len(pool), self._now)
        policy, now, probes, outlook = pool.policy, self._now, self._probes, self._outlook
        if not self._closed:
            return appraise(account, self.model, now, when, policy, flying, probes=probes, outlook=outlook)
        closed = self._closed
        return stand(account, self.model, now, when, policy, flying, probes=probes, closed=closed, outlook=outlook)

    def _enter(
        self,
        index: int,
        standing: Standing,
        push_ready: Callable[[Ready], None],
        push_waiting: Callable[[Waiting], None],
    ) -> None:
        self._standings[index] = standing
        version = self._version[index]
        if standing.began_at != NEVER or (self._openings is not None and index in self._openings):
            self._begin(index, standing)
        self._guarded += standing.guarded
        self._unprobed += standing.blocked_by == "unavailable"
        if standing.blocked_by is None:
            self._ready[index] = True
            self._total += 1
            counts = self._counts.setdefault(standing.tier, [0, 0])
            counts[0] += 1
            counts[1] += standing.usable
            push_ready((standing.tier, -standing.total, index, version))
        elif standing.ready_at != NEVER and not standing.guarded:
            push_waiting((standing.ready_at, index, version))

    def _begin(self, index: int, standing: Standing) -> None:
        """Note an account whose window begins with a request."""
        assert self._pool is not None
        if self._openings is None:
            from rotator.core.openings import Openings  # a pool that knows of no window needs none

            self._openings = Openings(len(self._pool))
        self._openings.enter(index, standing, self._in_flight.get(self._pool.at(index).name, 0))

    def _place(self, index: int) -> None:
        """Appraise one account anew and put it where it belongs now; what it was is left behind as out of date."""
        standing = self._standings[index]
        if standing is None:
            return
        self._guarded -= standing.guarded
        self._unprobed -= standing.blocked_by == "unavailable"
        if self._ready[index]:
            self._ready[index] = False
            self._total -= 1
            counts = self._counts[standing.tier]
            counts[0] -= 1
            counts[1] -= standing.usable
        self._version[index] += 1
        best, waiting = self._best, self._waiting
        self._enter(
            index, self._appraise(index), lambda entry: heappush(best, entry), lambda entry: heappush(waiting, entry)
        )
        most = 2 * len(self._ready) + _SLACK
        if len(best) > most:
            self._best = [entry for entry in best if entry[3] == self._version[entry[2]]]
            heapify(self._best)
        if len(waiting) > most:
            self._waiting = [entry for entry in waiting if entry[2] == self._version[entry[1]]]
            heapify(self._waiting)

    def _top(self) -> Ready | None:
        best = self._best
        while best:
            _, _, index, version = best[0]
            if version == self._version[index]:
                return best[0]
            heappop(best)
        return None

    def _decide(self, *, anew: bool) -> Choice:
        pool = self._pool
        assert pool is not None
        while self._waiting and self._waiting[0][2] != self._version[self._waiting[0][1]]:
            heappop(self._waiting)
        wake_at = self._waiting[0][0] if self._waiting else NEVER
        self._valid_until = wake_at
        top = self._top()
        if top is None:
            if self._unprobed and self._probes:
                return self._decide_without_probes(pool, anew=anew)
            if self._guarded:
                wake_at = min(wake_at, self._now + pool.policy.guard_wait)
                self._valid_until = self._now
            return Choice(None, None, wake_at, None, self._probes, self._closed, self._outlook)
        return self._chosen(pool, top, anew=anew)

    def _chosen(self, pool: Pool, top: Ready, *, anew: bool) -> Choice:
        """The choice where somebody is ready; ``top`` is who scores best, but for windows that are due to be begun."""
        tier, worth, best, _ = top
        ready, usable = self._counts[tier]
        outlook, bonus = self._outlook, 0.0
        opener = None if self._openings is None else self._openings.best()
        if self._openings is not None and opener is not None and opener[0] == tier:
            due_at = self._openings.due_at(pool.policy)
            if due_at <= self._now:
                from rotator.core.outlook import Outlook  # seldom due

                outlook = Outlook(True, () if outlook is None else outlook.rare)
                bonus = pool.policy.weight_open
                if opener[1] - bonus < worth:
                    worth, best = opener[1] - bonus, opener[2]
            else:
                self._valid_until = min(self._valid_until, due_at)
        active = pool.index(pool.active) if pool.active is not None and pool.active in pool else None
        index, reason, shadow = self._pick(pool, tier, (best, -worth, bonus), active, usable, anew)
        if tier[0]:
            reason = "emergency"
        elif self._total == 1:
            reason = "only_ready"
        elif ready == 1:
            reason = "priority"
        return Choice(index, reason, NEVER, shadow, self._probes, self._closed, outlook)

    def _decide_without_probes(self, pool: Pool, *, anew: bool) -> Choice:
        if self._without_probes is None:
            self._without_probes = Ranking(self.model, self._wanted, probes=False, closed=self._closed)
        self._without_probes.follow(pool, self._now, self._in_flight, None)
        return self._without_probes.choose(anew=anew)

    def _pick(
        self,
        pool: Pool,
        tier: Tier,
        best: tuple[int, float, float],
        active: int | None,
        usable: int,
        anew: bool,
    ) -> tuple[int, str, int | None]:
        """``best`` is who scores best, that score, and the bonus in it of those whose windows wait to be begun."""
        selector = pool.policy.selector
        if selector == "chain":
            return self._chain(pool, tier), "chain", None
        scored, challenge, bonus = best
        reason = "best_score"
        if active is not None and active != scored and self._ready[active] and not anew:
            holder = self._standings[active]
            assert holder is not None
            held = holder.total + (bonus if self._openings is not None and self._openings.waits(active) else 0.0)
            if holder.tier == tier and challenge <= held + pool.policy.hysteresis:
                scored, reason = active, "hysteresis"
        if selector == "score" and usable:
            return scored, reason, None
        turn = self._next_in_turn(tier, active)
        return turn, "round_robin", scored if selector == "shadow" else None

    def _next_in_turn(self, tier: Tier, active: int | None) -> int:
        """The ready account of the tier that comes next after the active one in file order; the first without one."""
        size = len(self._ready)
        begin = 0 if active is None else active + 1
        for step in range(size):
            index = (begin + step) % size
            standing = self._standings[index]
            if self._ready[index] and standing is not None and standing.tier == tier:
                return index
        raise AssertionError

    def _chain(self, pool: Pool, tier: Tier) -> int:
        """The first ready account of the tier in file order; below the reserves the one with most left."""
        ready = [i for i, s in enumerate(self._standings) if s is not None and self._ready[i] and s.tier == tier]
        if not tier[2]:
            return ready[0]
        return max(
            ready, key=lambda i: (remaining(pool.at(i), self.model, scored_at(i, len(pool), self._now)) or 0.0, -i)
        )
