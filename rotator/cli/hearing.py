"""Hearing of an account's quota by the way: whose it is, what it is as facts, and how the account stands then.

Refuses: any fact but ``QuotaObserved``; facts that say again what was said less than a minute ago, which would only be written.
"""

from __future__ import annotations

import os
import time

from rotator.cli.naming import account_of
from rotator.core.explain import blocked, duration, percent
from rotator.core.instants import aware, rfc3339, tidy
from rotator.core.providers import read
from rotator.core.providers.news import signals_of
from rotator.core.signals import QuotaObserved
from rotator.core.state import NEVER
from rotator.core.value import Value
from rotator.wire.environment import ACCOUNT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from rotator.core.policy import Policy
    from rotator.core.pool import Pool
    from rotator.core.state import Account, Window
    from rotator.engine import Rotator

SCHEMA_VERSION = 1
_SAME_NEWS_SECS = 60.0
"""A status line is drawn several times a second, and each fact ends in a write of the file. Our choice."""
_SAME_RESET_SECS = 1.0


class Heard(Value):
    """How an account stands after what was heard of it at ``at`` (epoch seconds, None: nothing); ``now`` is when that was looked at."""

    account: Account
    policy: Policy
    model: str | None
    now: float
    at: float | None = None
    learned: bool = False
    durable: bool = False
    failed: bool = False

    def standing(self) -> tuple[float, str | None]:
        """When it can serve the model, or any model when none is named, and the word for what it waits for."""
        if self.model is not None:
            return self.account.ready_at(self.model, self.policy)
        ready_at = self.account.next_ready_at(self.policy)
        word = self.account.replace(models=("*",)).ready_at("", self.policy)[1]
        return ready_at, word or "cooldown"


def account_for(pool: Pool, named: str | None, provider: str) -> tuple[Account | None, float]:
    """Whose quota a tool of ``provider`` tells, None when that is not clear, and since when it can be (epoch seconds).

    What was said before the account became active may be another's, unless it was named or is the only one. Raises
    UnknownAccount for a name that is not there; a ``ROTATOR_ACCOUNT`` that is not, or is another provider's, counts as unset.
    """
    if named is not None:
        return account_of(pool, named), 0.0
    marked = os.environ.get(ACCOUNT)
    if marked is not None and marked in pool and pool.account(marked).provider in (provider, "generic"):
        return pool.account(marked), 0.0
    own = [account for account in pool if account.provider == provider]
    if not own and len(pool) == 1:
        own = [account for account in pool if account.provider == "generic"]  # it says no provider, and who else's?
    if len(own) == 1:
        return own[0], 0.0
    for account in own:
        if account.name == pool.active:
            chosen = account.runtime.selected
            return account, 0.0 if chosen is None else chosen.at
    return None, 0.0


def hear(
    rotator: Rotator, account: Account, provider: str, bodies: Sequence[tuple[float, Any]], model: str | None
) -> Heard:
    """Take in what ``bodies``, each with its instant, say of the account's windows; ``model`` is the one in use, if known."""
    facts: list[QuotaObserved] = []
    for at, body in bodies:
        reading = read(provider, status=200, headers={}, body=body, model=model, now=aware(at))
        known = account.runtime.models
        signals = signals_of(reading, account=account.name, model=model or "", at=at, known_models=known)
        facts += [
            told for signal in signals if isinstance(signal, QuotaObserved) and (told := _telling(signal)).windows
        ]
    fresh = [fact for fact in facts if _is_news(account, fact)]
    if fresh:
        rotator.ingest(fresh)
    after = rotator.pool
    stands = after.account(account.name) if account.name in after else account
    last = max((fact.at for fact in facts), default=None)
    return Heard(stands, after.policy, model, tidy(time.time()), last, bool(fresh))


def _telling(fact: QuotaObserved) -> QuotaObserved:
    """The fact without windows of which it tells nothing."""
    told = [w for w in fact.windows if w.remaining_fraction is not None or w.reset_time is not None]
    return fact.replace(windows=tuple(told))


def _is_news(account: Account, fact: QuotaObserved) -> bool:
    known = account.runtime.windows if fact.model is None else account.state(fact.model).windows
    by_name = {window.name: window for window in known}
    return any(_differs(by_name.get(window.name), window, fact.at) for window in fact.windows)


def _differs(known: Window | None, told: Window, at: float) -> bool:
    """Whether a reading says something else than what is known, or the same after a while; never when it is older."""
    if known is None:
        return True
    if at <= known.updated_at:
        return False
    if at - known.updated_at >= _SAME_NEWS_SECS:
        return True
    left, reset = told.remaining_fraction, told.reset_time
    same_left = left is None or (known.remaining_fraction is not None and round(left, 6) == known.remaining_fraction)
    same_reset = reset is None or (known.reset_time is not None and abs(reset - known.reset_time) < _SAME_RESET_SECS)
    return not (same_left and same_reset)


def line_of(heard: Heard) -> str:
    """``a@example.com: 5h 59 % left, 7d 88 % left, ready``: what is known of it, wherever that is from."""
    account, now = heard.account, heard.now
    windows = [f"{window.name} {percent(left)} left" for window, left in _windows(account, now)]
    ready_at, word = heard.standing()
    state = "ready"
    if ready_at > now:
        state = blocked(account, word or "cooldown", ready_at, now).removeprefix(f"{account.name} ")
    age = "" if heard.at is None or now - heard.at < _SAME_NEWS_SECS else f" (as of {duration(now - heard.at)} ago)"
    return f"{account.name}: {', '.join([*windows, state])}{age}"


def object_of(source: str, heard: Heard | None, error: str | None) -> dict[str, Any]:
    """The same as an object; ``error`` says why there is nothing, where a source must not fail."""
    told: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "source": source, "error": error}
    if heard is None:
        return {**told, "account": None}
    ready_at, _ = heard.standing()
    return {
        **told,
        "account": heard.account.name,
        "model": heard.model,
        "observed_at": None if heard.at is None else rfc3339(heard.at),
        "learned": heard.learned,
        "windows": [
            {
                "name": window.name,
                "remaining_fraction": left,
                "reset_time": None if window.reset_time is None else rfc3339(window.reset_time),
            }
            for window, left in _windows(heard.account, heard.now)
        ],
        "ready": ready_at <= heard.now,
        "ready_at": None if ready_at == NEVER else rfc3339(max(ready_at, heard.now)),
        "durable": heard.durable,
    }


def _windows(account: Account, now: float) -> list[tuple[Window, float]]:
    """The account's own windows of which it is known what is left; one that has been reset since is not known."""
    known = [(window, window.left()) for window in account.runtime.windows]
    return [(w, left) for w, left in known if left is not None and (w.reset_time is None or w.reset_time > now)]
