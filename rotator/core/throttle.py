"""Throttle: when a refusal is the provider's doing, or the request's, and no account's, told from the accounts alone.

Refuses: changing a pool (what it finds are ``Throttled`` facts), requests in flight, any clock. A refusal is windowless when it
names no quota: a 429 with no delay or one of at most an hour, or an overload. Accounts of one quota group are one witness,
and those that went on being refused while others were served are none.
"""

from __future__ import annotations

from rotator.core.cooldowns import brief
from rotator.core.instants import tidy
from rotator.core.signals import RateLimited, ServerFailed, Throttled, bounded
from rotator.core.state import UPSTREAM
from rotator.core.suspicion import suspected
from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from rotator.core.policy import Policy
    from rotator.core.pool import Pool
    from rotator.core.signals import Signal
    from rotator.core.state import Account, Cooldown, ModelState

_GROWTH = 1.5
_WITNESSES_OF_A_REQUEST = 3
"""Accounts that refuse one request alike before it is to blame while others are served. Our choice: two can be chance."""
_DOUBLINGS = 10
"""Doublings after which a ramp lets everything through: a thousand requests at once bind nobody."""


class Throttle(Value):
    """A provider that throttles a model since ``at``; from ``until`` on one request may find out whether it still does.

    ``length`` is the last back-off in seconds. ``over_at`` is when a success, or a refusal that explains itself, ended it;
    0.0 while it lasts.
    """

    at: float
    until: float
    length: float
    over_at: float = 0.0


def verdict(pool: Pool, refusal: Signal, refused_before: Iterable[str] = ()) -> tuple[Throttled, ...]:
    """What a refusal that the pool has already learned shows of its provider or its request; mostly nothing.

    ``refused_before`` names accounts that refused the same request before. The facts about a provider are of one account
    of each quota group, the refused account's own first; those about a request have ``until`` == ``at``.
    """
    news = bounded(refusal)
    if not isinstance(news, RateLimited | ServerFailed) or news.account not in pool:
        return ()
    account, policy, at = pool.account(news.account), pool.policy, tidy(news.at)
    if not _windowless(account, news, policy):
        return ()
    peers = [p for p in pool if p.provider == account.provider and (p.serves(news.model) or p is account)]
    if suspected(account, peers, news.model, policy):
        return _of_request(pool, account, news, at, refused_before)
    others = [p for p in peers if _witness(p) != _witness(account)]
    going = throttles(others, news.model, policy).get(account.provider)
    served_at = max([p.state(news.model).last_success_at for p in peers])
    if going is not None and served_at <= going.at and not going.over_at:
        if tidy(going.at - policy.throttle_within) <= at < going.until:
            return (Throttled(account.name, news.model, max(at, going.at), going.until),)
        if going.until <= at <= going.until + policy.throttle_within:
            return _shared(account, peers, news, at, going.length * _GROWTH, _told(news), policy)
    witnesses = [p for p in others if not suspected(p, peers, news.model, policy)]
    seen = {_witness(p): told for p in witnesses if (told := _refusal_of(p, news.model, policy)) is not None}
    alike = [t for t in seen.values() if t.at >= served_at and abs(t.at - at) <= policy.throttle_within]
    alike = [told for told in alike if _same(told, news, at, policy)]
    if at >= served_at and len(alike) + 1 >= _enough(news, len({_witness(p) for p in peers}), policy):
        delays = [told.until - told.at for told in alike if told.source == "retry-after"]
        latest = max(at, *[told.at for told in alike])
        return _shared(account, peers, news, latest, 0.0, (*delays, *_told(news)), policy)
    return _of_request(pool, account, news, at, refused_before)


def throttles(accounts: Iterable[Account], model: str, policy: Policy) -> dict[str, Throttle]:
    """By provider, the newest throttle of a model that the accounts know of, however long ago that was."""
    found: dict[str, Throttle] = {}
    listed = list(accounts)
    for account in listed:
        for shared in backoffs(account, model):
            known = found.get(account.provider)
            length = shared.until - shared.at
            if known is None or shared.until > known.until:
                found[account.provider] = Throttle(shared.at, shared.until, length)
            elif shared.until == known.until:
                at, length = max(shared.at, known.at), max(length, known.length)
                found[account.provider] = Throttle(at, shared.until, length)
    for provider, throttle in found.items():
        ends = [end for a in listed if a.provider == provider for end in _ends(a, model, throttle.at, policy)]
        if ends:
            found[provider] = throttle.replace(over_at=min(ends))
    return found


def backoffs(account: Account, model: str) -> list[Cooldown]:
    """The shared back-offs that an account knows of, without those that only excuse it."""
    state = account.runtime.models.get(model)
    return [] if state is None else [c for c in state.cooldowns if c.source == UPSTREAM and c.until > c.at]


def let_through(throttle: Throttle, now: float, policy: Policy) -> int | None:
    """How many requests that began since then may be in flight at the provider; None when it binds no more."""
    if not throttle.over_at:
        return 1 if now <= throttle.until + policy.throttle_within else None
    if not policy.throttle_ramp:
        return None
    doublings = max(now - throttle.over_at, 0.0) / policy.throttle_ramp
    return None if doublings >= _DOUBLINGS else 2 ** int(doublings)


def _windowless(account: Account, news: RateLimited | ServerFailed, policy: Policy) -> bool:
    if isinstance(news, RateLimited):
        named = news.exhausted or news.source == "reset" or _spent(account, news.model, news.at, policy)
    else:
        named = not news.overloaded
    return not named and (news.retry_delay_secs or 0.0) <= policy.throttle_hint_max


def _spent(account: Account, model: str, at: float, policy: Policy) -> bool:
    """Whether a window that has not been reset since explains a refusal."""
    windows = account.runtime.windows + account.state(model).windows
    return any(window.exhausted(policy) and window.back_at(policy) > at for window in windows)


def _witness(account: Account) -> tuple[str, bool]:
    group = account.quota_group
    return (account.name, False) if group is None else (group, True)


def _refusal_of(account: Account, model: str, policy: Policy) -> Cooldown | None:
    """The cooldown of its last refusal, where that was windowless and nothing ended it."""
    state = account.state(model)
    if not state.last_429_at or _spent(account, model, state.last_429_at, policy):
        return None
    return next((c for c in _set_by_last(account, state) if brief(c, policy)), None)


def _set_by_last(account: Account, state: ModelState) -> list[Cooldown]:
    return [c for c in (*state.cooldowns, *account.runtime.cooldowns) if c.at == state.last_429_at]


def _ends(account: Account, model: str, since: float, policy: Policy) -> list[float]:
    """When the account showed since then that the provider answers it: it served, or refused it for a reason of its own."""
    state, runtime = account.state(model), account.runtime
    ends = [state.last_success_at, runtime.blocked_at]
    ends += [c.at for c in runtime.cooldowns if c.at == runtime.last_failure_at]
    last = _set_by_last(account, state)
    if last and all(c.source != UPSTREAM for c in last) and _refusal_of(account, model, policy) is None:
        ends.append(state.last_429_at)
    return [end for end in ends if end > since]


def _enough(news: RateLimited | ServerFailed, witnesses: int, policy: Policy) -> int:
    """How many accounts it takes. A delay that is told is some evidence for a limit of the account's own."""
    most = policy.throttle_witnesses
    return most if news.retry_delay_secs is not None else min(most, max(witnesses, 2))


def _same(told: Cooldown, news: RateLimited | ServerFailed, at: float, policy: Policy) -> bool:
    """Whether two accounts were refused alike: with delays that end together, or a short one beside none."""
    delays = told.until - told.at if told.source == "retry-after" else None, news.retry_delay_secs
    if None in delays:
        return max([delay for delay in delays if delay is not None], default=0.0) <= policy.throttle_within
    return abs(told.until - at - (news.retry_delay_secs or 0.0)) <= policy.throttle_within


def _told(news: RateLimited | ServerFailed) -> tuple[float, ...]:
    return () if news.retry_delay_secs is None else (news.retry_delay_secs,)


def _shared(
    account: Account,
    peers: list[Account],
    news: RateLimited | ServerFailed,
    at: float,
    grown: float,
    told: tuple[float, ...],
    policy: Policy,
) -> tuple[Throttled, ...]:
    """One back-off for all, as long as it has grown, and no shorter than the shortest delay that was told."""
    secs = min(max(policy.throttle_backoff, grown, min(told, default=0.0)), policy.throttle_backoff_max)
    members = {_witness(account): account}
    for peer in peers:
        members.setdefault(_witness(peer), peer)
    return tuple([Throttled(member.name, news.model, at, tidy(at + secs)) for member in members.values()])


def _of_request(
    pool: Pool, account: Account, news: RateLimited | ServerFailed, at: float, refused_before: Iterable[str]
) -> tuple[Throttled, ...]:
    """Nobody is charged for a request that several accounts refuse alike while others are served."""
    earliest = tidy(at - pool.policy.throttle_within)
    refused = {_witness(account): account}
    for name in refused_before:
        peer = pool.account(name) if name in pool else account
        if peer.provider == account.provider and _refused_alike(peer, news.model, earliest, at, pool.policy):
            refused.setdefault(_witness(peer), peer)
    if len(refused) < _WITNESSES_OF_A_REQUEST:
        return ()
    return tuple([Throttled(each.name, news.model, at, at) for each in refused.values()])


def _refused_alike(account: Account, model: str, earliest: float, at: float, policy: Policy) -> bool:
    """Whether its last refusal is of just now, and nothing of what is known of it says that it was its own."""
    state = account.state(model)
    own = _spent(account, model, at, policy) or any(not brief(c, policy) for c in _set_by_last(account, state))
    return earliest <= state.last_429_at <= at and not own
