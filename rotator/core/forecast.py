"""Forecast: when quota ends at the present burn, who is picked next and when, and when nobody can be.

Refuses: a clock, words for people, how fast quota falls (``burn``). It is the real choice, stepped forward over copies of
the pool with the readings that the burn implies: so it holds as far as the burn does. Conversations that stay on their
account, refusals and what other programs take are not foreseen.
"""

from __future__ import annotations

from rotator.core.burn import SHORT_SECS, SLIDING, burn, demand, rate_on
from rotator.core.instants import tidy
from rotator.core.scorer import left_now
from rotator.core.selection import Parked, Selected, select
from rotator.core.signals import QuotaObserved, Rotated, Succeeded
from rotator.core.state import NEVER, Window
from rotator.core.transitions import replay
from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from rotator.core.burn import Rates
    from rotator.core.policy import Policy
    from rotator.core.pool import Pool
    from rotator.core.signals import Signal
    from rotator.core.state import Account

_QUANTUM = 0.02
"""Part of a window after which the choice is looked at again: a fifth of what moves a score by the hysteresis."""
_PARTS = 400
"""Steps into which the time ahead is divided at most, besides those at which something is due."""
_MOST_STEPS = 3000
_MOST_LOOKS = 40_000
"""Accounts looked at in all steps together, some tenths of a second; in a pool of more than twenty, what is due waits for the
next step, and the steps grow."""
_FEWEST_STEPS = 60
_BEYOND = 2e-6
"""Fraction by which a threshold is passed: readings are kept to six digits, and at its reserve an account is not below it."""
_SMALL_POOL = 20
_MOST_TOLD = 200
"""Switches and parked spells that are told of one model; the others are only counted."""
_FIRST_USE_MAX = 86400.0
"""Longest window that begins with its first request, where its kind is not known: those of plans that are longer go by a
calendar of their own (research: of Claude's two windows the one of five hours is of the first kind)."""
_LEAST_SECS = 1.0


class WindowOutlook(Value):
    """One window at its own present burn; ``model`` None is the whole account's.

    ``burn`` is its fall in fractions per second, ``reserve`` the fraction that is kept. ``reserve_at`` and ``limit_at`` are
    when they are reached, None when never; ``lasts`` when the limit is not reached before ``reset_time`` (or never), None
    when nothing can be said: the window slides, or its reset is not known.
    """

    account: str
    model: str | None
    window: str
    remaining_fraction: float
    burn: float
    reserve: float
    reserve_at: float | None
    limit_at: float | None
    reset_time: float | None
    lasts: bool | None


class Switch(Value):
    """The choice that will change at ``at``: from whom (None: nobody was ready) to whom, and why in a word and a line."""

    at: float
    previous: str | None
    account: str
    reason: str
    explanation: str


class Spell(Value):
    """Nobody is ready from ``at`` to ``until``; ``NEVER`` when only a person can help."""

    at: float
    until: float


class Sample(Value):
    """What is left at one instant of each window that is known, by account and name."""

    at: float
    left: dict[tuple[str, str], float]


class Outlook(Value):
    """What lies ahead of one model until ``until``: who is picked now, the switches and the spells without anybody.

    ``told`` is how many switches and spells there are, also those beyond the few hundred that are listed; ``cut`` when
    the steps ran out before the time did, and then ``until`` is where they did.
    """

    model: str
    account: str | None
    switches: tuple[Switch, ...]
    spells: tuple[Spell, ...]
    told: int
    until: float
    cut: bool
    samples: tuple[Sample, ...] = ()


def windows(pool: Pool, now: float, *, factor: float = 1.0) -> tuple[WindowOutlook, ...]:
    """Each known window of more than an hour, by account in file order, at ``factor`` times its present burn."""
    found = []
    for account in pool:
        held = [(None, account.runtime.windows), *[(m, s.windows) for m, s in sorted(account.runtime.models.items())]]
        reserve = pool.policy.min_remaining if account.min_remaining is None else account.min_remaining
        for model, each in held:
            found += [_outlook(account.name, model, w, now, factor, reserve) for w in each if _tells(w, now)]
    return tuple(found)


def _tells(window: Window, now: float) -> bool:
    known = window.reset_time is not None or window.length_secs is not None
    return known and window.length() > SHORT_SECS and left_now(window, now) is not None


def _outlook(
    account: str, model: str | None, window: Window, now: float, factor: float, reserve: float
) -> WindowOutlook:
    left, rate = left_now(window, now) or 0.0, burn(window, now) * factor
    reset = window.reset_time if window.reset_time is not None and window.reset_time > now else None
    limit_at = now if left <= 0 else tidy(now + left / rate) if rate else None
    reserve_at = now if left <= reserve else tidy(now + (left - reserve) / rate) if rate else None
    lasts: bool | None = limit_at is None or (reset is not None and left > 0 and reset <= limit_at)
    if limit_at is None and (window.kind in SLIDING or window.reset_time is None):
        lasts = None
    return WindowOutlook(account, model, window.name, left, rate, reserve, reserve_at, limit_at, reset, lasts)


def outlook(
    pool: Pool, model: str, now: float, *, secs: float = 86400.0, factor: float = 1.0, sampled: bool = False
) -> Outlook:
    """What lies ahead of ``model`` for so many seconds, if it gets all requests at ``factor`` times their present burn.

    ``sampled``: with what is left of every window at each step. At most some thousand steps.
    """
    return _Walk(pool, model, now, secs, factor, sampled=sampled).run()


class _Walk:
    """One model's way through the time ahead."""

    def __init__(self, pool: Pool, model: str, now: float, secs: float, factor: float, *, sampled: bool) -> None:
        self._pool, self._model, self._now = pool, model, now
        self._end = tidy(now + secs)
        size = max(len(pool), 1)
        self._steps = max(min(_MOST_STEPS, _MOST_LOOKS // size), _FEWEST_STEPS)
        self._part = secs * max(1 / _PARTS, 2 / self._steps)
        self._least = _LEAST_SECS if size <= _SMALL_POOL else self._part
        self._rates: Rates = {key: rate * factor for key, rate in demand(pool, model, now).items()}
        self._sampled = sampled
        self._samples: list[Sample] = []
        self._switches: list[Switch] = []
        self._spells: list[Spell] = []
        self._told = 0

    def run(self) -> Outlook:
        first: str | None = None
        held: str | None = None
        begun = False
        for _ in range(self._steps):
            if self._now >= self._end:
                break
            self._sample()
            outcome = select(self._pool, self._model, now=self._now)
            if not isinstance(outcome, Selected):
                until = outcome.wake_at.timestamp() if isinstance(outcome, Parked) else NEVER
                self._park(until)
                begun, held = True, None
                self._now = self._end if until == NEVER else tidy(max(until, self._now + _LEAST_SECS))
                continue
            if not begun:
                begun, first = True, outcome.account
            elif outcome.account != held:
                self._tell(Switch(self._now, held, outcome.account, str(outcome.selection_reason), outcome.explanation))
            held = outcome.account
            self._serve(outcome)
        self._now = min(self._now, self._end)
        self._sample()
        cut = self._now < self._end
        switches, spells = tuple(self._switches), tuple(self._spells)
        return Outlook(self._model, first, switches, spells, self._told, self._now, cut, tuple(self._samples))

    def _tell(self, switch: Switch) -> None:
        self._told += 1
        if len(self._switches) < _MOST_TOLD:
            self._switches.append(switch)

    def _park(self, until: float) -> None:
        last = self._spells[-1] if self._spells else None
        if last is not None and last.until >= self._now:
            self._spells[-1] = last.replace(until=until)
        else:
            self._told += 1
            if len(self._spells) < _MOST_TOLD:
                self._spells.append(Spell(self._now, until))

    def _serve(self, chosen: Selected) -> None:
        """The account serves until something is due: a step's worth of quota, a threshold, a reset, somebody's return."""
        name, now = chosen.account, self._now
        facts: list[Signal] = []
        if chosen.switched:
            facts.append(Rotated(name, chosen.previous, now, str(chosen.selection_reason)))
        account = self._pool.account(name)
        held = ((None, account.runtime.windows), (self._model, account.state(self._model).windows))
        running = [(model, _running(each, now)) for model, each in held]
        falling = [(w, rate_on(self._rates, account, w)) for _, each in running for w in each]
        self._now = tidy(min(self._due(account, falling), self._end))
        for model, each in running:
            news = tuple([self._fallen(w, rate_on(self._rates, account, w), now) for w in each])
            facts += [QuotaObserved(owner, model, self._now, news) for owner in self._group(account) if news]
        facts.append(Succeeded(name, self._model, self._now))
        self._pool = replay(self._pool, facts)

    def _due(self, account: Account, falling: list[tuple[Window, float]]) -> float:
        now, policy = self._now, self._pool.policy
        reserve = policy.min_remaining if account.min_remaining is None else account.min_remaining
        due = self._next_elsewhere(now, policy)
        for window, rate in falling:
            left = window.remaining_fraction
            if rate and left is not None:
                due = min(due, now + max(_QUANTUM / rate, self._part))
                for threshold in (reserve, policy.exhausted_below):
                    if left >= threshold:
                        due = min(due, now + (left - threshold + _BEYOND) / rate)
        return max(due, now + self._least)

    def _next_elsewhere(self, now: float, policy: Policy) -> float:
        """When a window is reset or somebody is ready again, whoever it is."""
        found = self._end
        for account in self._pool:
            for window in (*account.runtime.windows, *account.state(self._model).windows):
                reset = window.reset_time
                if reset is not None and now < reset < found and window.length() > SHORT_SECS:
                    found = reset
            ready_at = account.ready_at(self._model, policy)[0]
            if now < ready_at < found:
                found = ready_at
        return found

    def _fallen(self, window: Window, rate: float, since: float) -> Window:
        left = (window.remaining_fraction or 0.0) - rate * (self._now - since)
        left = 0.0 if left <= self._pool.policy.exhausted_below else round(left, 6)
        return Window(window.name, left, window.reset_time, window.length_secs, kind=window.kind)

    def _group(self, account: Account) -> list[str]:
        if account.quota_group is None:
            return [account.name]
        return [each.name for each in self._pool if each.quota_group == account.quota_group]

    def _sample(self) -> None:
        if self._sampled:
            self._samples.append(Sample(self._now, dict(_lefts(self._pool, self._model, self._now))))


def _lefts(pool: Pool, model: str, now: float) -> Iterator[tuple[tuple[str, str], float]]:
    for account in pool:
        for window in (*account.runtime.windows, *account.state(model).windows):
            left = left_now(window, now)
            if left is not None and window.length() > SHORT_SECS:
                yield (account.name, window.name), left


def _running(held: tuple[Window, ...], now: float) -> list[Window]:
    """The windows of which it is known how they go on; one that was reset begins anew, with what is left of it."""
    found = []
    for window in held:
        left, reset, length = left_now(window, now), window.reset_time, window.length()
        if reset is None or length <= SHORT_SECS or window.kind in SLIDING:
            continue
        if reset > now:
            if left is not None:
                found.append(window.replace(remaining_fraction=left))
            continue
        by_calendar = length > _FIRST_USE_MAX if window.kind is None else window.kind == "fixed"
        reset = reset + length * ((now - reset) // length + 1) if by_calendar else now + length
        found.append(window.replace(remaining_fraction=1.0, reset_time=tidy(reset), length_secs=length))
    return found
