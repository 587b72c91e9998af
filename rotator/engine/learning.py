"""Learning: which facts a choice and a response are.

Refuses: applying them (``ledger``), clocks, what a provider's bytes mean (``core.providers``).
"""

from __future__ import annotations

from rotator.core.instants import aware
from rotator.core.signals import (
    QuotaObserved,
    QuotaShared,
    RateLimited,
    Rotated,
    ServerFailed,
    SessionPlaced,
    Succeeded,
    Throttled,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from rotator.core.pool import Pool
    from rotator.core.selection import Selected
    from rotator.core.signals import Signal
    from rotator.core.state import Account

_OF_A_LIMIT = (QuotaObserved, RateLimited, Succeeded, Throttled)


def facts_of_choice(chosen: Selected, session: str | None) -> list[Signal]:
    """What taking a choice changes: nothing, when the same account was chosen again."""
    name, at = chosen.account, chosen.decided
    facts: list[Signal] = []
    if chosen.switched:
        facts.append(Rotated(name, chosen.previous, at, chosen.selection_reason or "", chosen.shadow))
    if session is not None and chosen.must_note(session):
        facts.append(SessionPlaced(name, session, at))
    return facts


def facts_of_response(
    pool: Pool,
    account: Account,
    model: str,
    at: float,
    *,
    status: int,
    headers: Mapping[str, str] | None,
    body: Any,
    tokens: int | None,
) -> tuple[Signal, ...]:
    """What a response that was received at ``at`` says. One that cannot be understood says it by its status alone.

    A window of a family of models is kept for those that the account or another one of its quota group knows.
    """
    from rotator.core.providers import read  # a program that never observes need not load them
    from rotator.core.providers.news import signals_of

    reading = read(account.provider, status=status, headers=headers or {}, body=body, model=model, now=aware(at))
    known = {model for each in (account, *_others(pool, account)) for model in each.runtime.models}
    return signals_of(reading, account=account.name, model=model, at=at, known_models=known, tokens=tokens)


def shown_by(pool: Pool, fact: Signal, refused_before: Iterable[str]) -> tuple[Signal, ...]:
    """What a fact that the pool has learned shows of the provider or the request, which is no account's doing."""
    if not isinstance(fact, RateLimited | ServerFailed):
        return ()
    from rotator.core.throttle import verdict  # only who was refused needs it

    return verdict(pool, fact, refused_before)


def _others(pool: Pool, account: Account) -> list[Account]:
    """The other accounts of its quota group, in file order."""
    group = account.quota_group
    return [] if group is None else [a for a in pool if a.quota_group == group and a.name != account.name]


def shared(pool: Pool, signal: Signal) -> tuple[Signal, ...]:
    """The fact, and what it says of the other accounts of its quota group where it is about their common limit.

    A reading or a 429 of one is one of all, and so is what excuses it; a success of one is for the others a
    ``QuotaShared``.
    """
    if signal.account not in pool or not isinstance(signal, _OF_A_LIMIT):
        return (signal,)
    account = pool.account(signal.account)
    others = _others(pool, account)
    if isinstance(signal, Succeeded):
        return (signal, *[QuotaShared(other.name, signal.model, signal.at, signal.tokens) for other in others])
    if isinstance(signal, Throttled):
        others = [o for o in others if o.provider == account.provider and o.serves(signal.model)]
    return (signal, *[signal.replace(account=other.name) for other in others])
