"""Unnamed: a request that names no model: one account, another where the first has no good credential.

Refuses: leases, waiting, and learning anything but that a credential is refused.
"""

from __future__ import annotations

from rotator.core.signals import AuthRefused
from rotator.core.state import NEVER
from rotator.errors import SecretMissing, UnknownAccount
from rotator.wire.answers import nobody
from rotator.wire.handing import given, handed_up
from rotator.wire.sending import OF_THE_ACCOUNT, Sender, closed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from rotator.errors import RotatorError
    from rotator.wire.asking import Asking
    from rotator.wire.judging import Refusal
    from rotator.wire.shared import Shared
    from rotator.wire.steps import Step

_MOST_ASKED = 2
"""Accounts that are asked at most. Our choice: one key may be bad; what two are refused is not the keys' fault."""


def unnamed(shared: Shared, asked: Asking, names: frozenset[str]) -> Generator[Step, Any, Any]:
    """The response for the program: of an account that is ready if there is one, the active before others.

    Raises what ``Sender.sent`` raises; of one account only when no other has credentials either.
    """
    rotator, sender = shared.rotator, Sender(shared, asked)
    refused: Refusal | None = None
    error: RotatorError | None = None
    asks = failures = 0
    for name in _in_turn(shared, names):
        if failures == shared.limits.max_accounts:
            break
        if refused is not None:
            yield from closed(refused.incoming)
        try:
            incoming, news = yield from sender.sent(name, None)
        except OF_THE_ACCOUNT as missing:
            sender.without_credentials(name, None, missing)
            error = missing
            failures += not isinstance(missing, SecretMissing | UnknownAccount)
            continue
        if news is None:
            return given(incoming, asked)
        refused, asks = news, asks + 1
        if news.reading.kind != "auth_failed":
            break
        reason = news.reading.reason or "credential refused"
        rotator.ingest([AuthRefused(name, rotator.now(), reason, news.reading.final)])
        if asks == _MOST_ASKED or not (asked.replayable and news.rotates):
            break
    if refused is not None:
        return handed_up(refused, asked, rotator.pool.policy, None, rotator.now())
    if error is not None:
        raise error
    return asked.answered(*nobody("no account for this origin can be used without a person's help"))


def _in_turn(shared: Shared, names: frozenset[str]) -> list[str]:
    """Those that time or nothing keeps from serving some model: who is ready now first, and of these the active one.

    Last come those whose secret was missing a moment ago.
    """
    pool, now = shared.rotator.pool, shared.rotator.now()
    likely = shared.aside.without(names)
    ready = [(account.next_ready_at(pool.policy), account.name) for account in pool if account.name in names]
    can = [(name not in likely, at > now, name != pool.active, name) for at, name in ready if at < NEVER]
    can.sort(key=lambda each: each[:3])
    return [name for *_, name in can]
