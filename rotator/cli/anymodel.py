"""Choosing for a program that names no model: the account as a whole counts, not one of its models.

Refuses: taking the choice. Our rule: the active account stays as long as it can serve some model and nobody of a better tier
(priority, reserve, emergency) can; else the best by what is known of the accounts themselves, such as their 5-hour window.
"""

from __future__ import annotations

from rotator.core.pool import Pool
from rotator.core.selection import Selected, select
from rotator.core.state import NEVER, Cooldown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.policy import Policy
    from rotator.core.selection import Parked, Unavailable
    from rotator.core.state import Account

ANY = "any model"
"""Stands for the model in the decision and in its words; no account has heard of it."""


def choose(
    pool: Pool,
    *,
    now: float,
    tags: tuple[str, ...] = (),
    session: str | None = None,
    among: frozenset[str] | None = None,
) -> Selected | Parked | Unavailable:
    """The decision at ``now`` (epoch seconds); the arguments are those of ``core.selection.select``."""
    whole = Pool([_whole(account, now, pool.policy) for account in pool], pool.active, pool.policy)
    best = select(whole, ANY, now=now, tags=tags, session=session, among=among)
    if not isinstance(best, Selected) or not best.switched or best.selection_reason == "sticky_session":
        return best
    active = frozenset(c.account for c in best.candidates if c.account == pool.active and c.ready)
    kept = select(whole, ANY, now=now, tags=tags, among=active if among is None else active & among)
    if not isinstance(kept, Selected):
        return best
    tiers = {candidate.account: candidate.tier for candidate in best.candidates}
    return kept if tiers[kept.account] <= tiers[best.account] else best


def _whole(account: Account, now: float, policy: Policy) -> Account:
    """The account as if it served every model, and were blocked until it can serve one of its own."""
    runtime = account.runtime
    # a failed probe is no cooldown: `select` heeds it, unless that would leave nobody
    ready_at = account.replace(runtime=runtime.replace(availability=None)).next_ready_at(policy)
    whole = account.replace(models=("*",))
    if ready_at == NEVER and whole.blocked_for_good(ANY) is None:
        # it serves no model, or a person holds each one that it serves
        return whole.replace(runtime=runtime.replace(held=True, held_until=None)) if account.models else account
    if now < ready_at < NEVER:
        block = Cooldown(ready_at, now, "reset")
        kept = [each for each in runtime.cooldowns if each.until < ready_at]
        return whole.replace(runtime=runtime.replace(cooldowns=(block, *kept)))
    return whole
