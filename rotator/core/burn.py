"""Burn: how fast quota falls, told from what was left when, and how fast that of another account would fall instead.

Refuses: stepping forward (``forecast``), any clock. Rates are fractions of a window per second. Windows of at most an hour
refill by themselves before a forecast of theirs is read: they have no burn here.
"""

from __future__ import annotations

from rotator.core.scorer import left_now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from rotator.core.pool import Pool
    from rotator.core.state import Account, Window

SHORT_SECS = 3600.0
"""Windows of at most this length are buckets, as the scorer has it."""
SLIDING = ("rolling", "bucket")
"""Kinds of windows that give back all the time: what was used of them is no fall since they began."""
_FIRST_PART = 1 / 60
"""Part of a window's length that counts as past in any case: five minutes of five hours. Our choice: what the first
requests took says little of the rate."""
_GROWTH = 0.65
"""Exponent by which capacity grows with length (research: a window of seven days holds about ten of five hours)."""

Rates = dict[tuple[str, float], float]


def burn(window: Window, now: float) -> float:
    """The fall of a window since it began, by the time since then; 0.0 when it is over, short, or not known enough."""
    seen = _used(window, now)
    return 0.0 if seen is None else seen[1] / (now - seen[0])


def demand(pool: Pool, model: str, now: float) -> Rates:
    """What all requests of the pool take from the windows of one account of weight 1, by name and length of window.

    All that was used of the windows that run now, by the time since the first of them began: an account that took over
    from another one goes on at the rate of both. Of a quota group, one account counts.
    """
    used: dict[tuple[str, float], list[tuple[float, float]]] = {}
    for account in _witnesses(pool):
        for window in _windows(account, model):
            seen = _used(window, now)
            if seen is not None:
                used.setdefault((window.name, window.length()), []).append((seen[0], account.weight * seen[1]))
    return {key: sum(part for _, part in seen) / (now - min(began for began, _ in seen)) for key, seen in used.items()}


def rate_on(rates: Rates, account: Account, window: Window) -> float:
    """The fall of that window when the account serves everything.

    By its name, else by its length, else from the window whose length comes nearest; 0.0 where nothing burns.
    """
    length = window.length()
    if length <= SHORT_SECS or not rates:
        return 0.0
    rate = rates.get((window.name, length))
    if rate is None:
        near = min(abs(known / length - 1) for _, known in rates)
        name, known = max((key for key in rates if abs(key[1] / length - 1) == near), key=lambda key: rates[key])
        rate = rates[name, known] * (known / length) ** _GROWTH
    return rate / account.weight


def _used(window: Window, now: float) -> tuple[float, float] | None:
    """When the running window began, at the latest so long ago that it says something, and what was used of it."""
    left, reset, length = left_now(window, now), window.reset_time, window.length()
    if left is None or reset is None or length <= SHORT_SECS or window.kind in SLIDING:
        return None
    if reset <= now or window.updated_at < reset - length:
        return None
    return min(reset - length, now - _FIRST_PART * length), 1 - left


def _windows(account: Account, model: str) -> tuple[Window, ...]:
    return account.runtime.windows + account.state(model).windows


def _witnesses(pool: Pool) -> Iterator[Account]:
    """One account of each quota group, and all others."""
    groups: set[str] = set()
    for account in pool:
        if account.quota_group is None:
            yield account
        elif account.quota_group not in groups:
            groups.add(account.quota_group)
            yield account
