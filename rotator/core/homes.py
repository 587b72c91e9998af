"""Homes: the account on which a conversation lives, where its prompt cache is warm, and whether it may leave it now.

Refuses: to choose another account (``ranking``), to remember anything: where a conversation was placed is in the pool.
"""

from __future__ import annotations

from rotator.core.choice import Choice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.pool import Pool
    from rotator.core.ranking import Ranking


def session_home(pool: Pool, session: str, now: float) -> int | None:
    """The place of the account on which a session was last placed, unless that is longer ago than its time to live."""
    best, last = None, now - pool.policy.session_ttl
    for index, account in enumerate(pool):
        used = account.runtime.sessions.get(session)
        if used is not None and used > last:
            best, last = index, used
    return best


def settled(pool: Pool, model: str, session: str, now: float, size: int | None, ranking: Ranking) -> Choice | None:
    """The choice for a session that has a home: to stay there, or to wait; None when it may go anywhere.

    It waits when its account cannot serve it, quota is short, and ``size`` says that to begin anew with a cold prompt cache
    would take several times what a request usually takes: each such beginning leaves the less for all the others.
    It waits for no longer than the cache lasts: what was last used longer ago is cold anyway.
    """
    home = session_home(pool, session, now)
    if home is None:
        return None
    choice = ranking.home(home)
    if choice is not None or size is None:
        return choice
    policy, account = pool.policy, pool.at(home)
    usual = account.state(model).request_tokens
    warm_until = account.runtime.sessions[session] + policy.session_warm
    if not usual or size <= policy.admission_size * usual or now >= warm_until or ranking.choose().index is None:
        return None
    if ranking.spent_share() <= policy.admission_share:
        return None
    return ranking.choose().replace(
        index=None, reason=None, wake_at=min(now + policy.admission_wait, warm_until), waits=True
    )
