"""Suspicion: an account that goes on being refused while others are served, and nothing names why.

It may be banned without a word, so its refusals say nothing about its provider, and the delay that they ask for nothing
about when it ends. Refuses: changing a pool (what it finds are facts), any clock.
"""

from __future__ import annotations

from rotator.core.cooldowns import ladder
from rotator.core.signals import RateLimited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from rotator.core.policy import Policy
    from rotator.core.state import Account

_IN_A_ROW = 3
"""Refusals in a row from which a told delay is believed no more. Our choice: two can be one limit, seen twice."""


def suspected(account: Account, peers: Iterable[Account], model: str, policy: Policy) -> bool:
    """Whether another account served the model clearly after the first refusal in the account's present row of them."""
    since = account.state(model).refused_since
    if not since:
        return False
    after = since + policy.throttle_within
    return any(peer.state(model).last_success_at > after for peer in peers if peer is not account)


def longer(account: Account, peers: Iterable[Account], news: RateLimited, policy: Policy) -> tuple[RateLimited, ...]:
    """The cooldown of a suspected account where the told one is shorter than a guessed one would be; mostly nothing."""
    count = account.state(news.model).consecutive_429
    if count < _IN_A_ROW or news.retry_delay_secs is None:
        return ()
    delay = ladder(policy.default_cooldown, 2, count, policy.default_cooldown_max)
    if count >= policy.quarantine_after:
        delay = policy.quarantine
    if news.retry_delay_secs >= delay or not suspected(account, peers, news.model, policy):
        return ()
    return (news.replace(retry_delay_secs=delay, source="default"),)
