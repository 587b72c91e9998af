"""Deducing: what a fact that the pool has learned says besides, of its own account's other state and of other accounts.

Refuses: changing a pool (what it finds are facts), any clock.
"""

from __future__ import annotations

from rotator.core.scorer import left_now
from rotator.core.signals import QuotaObserved, QuotaShared, RateLimited, ServerFailed, Succeeded, Throttled, bounded
from rotator.core.state import Window

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from rotator.core.pool import Pool
    from rotator.core.signals import Signal
    from rotator.core.state import Account

_OF_A_LIMIT = (QuotaObserved, RateLimited, Succeeded, Throttled)
_NEARLY_SPENT = 0.03
"""What may be left of a window by own account of it, when a refusal that names none is its doing: some rounding, some requests."""
_SHORT = 3600.0
"""A window of at most an hour is full and empty in turn: that it explains a refusal says nothing."""


def shared(pool: Pool, signal: Signal) -> tuple[Signal, ...]:
    """The fact, and what it says of the other accounts of its quota group where it is about their common limit.

    A reading or a 429 of one is one of all, and so is what excuses it; a success of one is for the others a
    ``QuotaShared``.
    """
    if signal.account not in pool or not isinstance(signal, _OF_A_LIMIT):
        return (signal,)
    account = pool.account(signal.account)
    others = group_of(pool, account)
    if isinstance(signal, Succeeded):
        return (signal, *[QuotaShared(other.name, signal.model, signal.at, signal.tokens) for other in others])
    if isinstance(signal, Throttled):
        others = [o for o in others if o.provider == account.provider and o.serves(signal.model)]
    return (signal, *[signal.replace(account=other.name) for other in others])


def group_of(pool: Pool, account: Account) -> list[Account]:
    """The other accounts of its quota group, in file order."""
    group = account.quota_group
    return [] if group is None else [a for a in pool if a.quota_group == group and a.name != account.name]


def shown_by(pool: Pool, fact: Signal, refused_before: Iterable[str] = ()) -> tuple[Signal, ...]:
    """What a fact that the pool has learned shows: of the provider or the request, or else of the account's own limit.

    ``refused_before`` names accounts that refused the same request before.
    """
    if not isinstance(fact, RateLimited | ServerFailed):
        return ()
    from rotator.core.throttle import verdict  # only who was refused needs it

    excuses = verdict(pool, fact, refused_before)
    news = bounded(fact)
    if excuses or not isinstance(news, RateLimited) or news.account not in pool or news.exhausted:
        return excuses
    account = pool.account(news.account)
    spent = _spent(account, news)
    if spent or news.source == "reset" or (news.retry_delay_secs or 0.0) > pool.policy.throttle_hint_max:
        return spent
    from rotator.core.suspicion import longer

    peers = [p for p in pool if p.provider == account.provider and p.quota_group in (None, account.quota_group)]
    return longer(account, peers, news, pool.policy)


def _spent(account: Account, news: RateLimited) -> tuple[Signal, ...]:
    """The windows that are nearly spent by own account of them: it is they that a refusal which names none is about."""
    found: list[Signal] = []
    for model, windows in ((None, account.runtime.windows), (news.model, account.state(news.model).windows)):
        near = [w for w in windows if _explains(w, news.at)]
        if near:
            told = tuple([Window(w.name, 0.0, w.reset_time, w.length_secs) for w in near])
            found.append(QuotaObserved(account.name, model, news.at, told, 1.0, with_refusal=True))
    return tuple(found)


def _explains(window: Window, at: float) -> bool:
    if window.length() <= _SHORT or window.reset_time is None or window.reset_time <= at:
        return False
    left = left_now(window, at)
    return left is not None and 0 < left <= _NEARLY_SPENT
