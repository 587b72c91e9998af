"""Learning: which facts a choice and a response are.

Refuses: applying them (``ledger``), clocks, what a provider's bytes mean (``core.providers``).
"""

from __future__ import annotations

from rotator.core.instants import aware
from rotator.core.signals import Rotated, SessionPlaced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from rotator.core.pool import Pool
    from rotator.core.selection import Selected
    from rotator.core.signals import Signal
    from rotator.core.state import Account


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
    from rotator.core.deducing import group_of
    from rotator.core.providers import read  # a program that never observes need not load them
    from rotator.core.providers.news import signals_of

    reading = read(account.provider, status=status, headers=headers or {}, body=body, model=model, now=aware(at))
    known = {model for each in (account, *group_of(pool, account)) for model in each.runtime.models}
    return signals_of(reading, account=account.name, model=model, at=at, known_models=known, tokens=tokens)
