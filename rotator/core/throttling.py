"""Throttling: which providers may be sent no more requests for the moment, since they throttle a model or just did.

Refuses: to tell a throttle from an account's own limit (``throttle``), to decide. What it
knows is told from the accounts, but for the requests in flight and the instant at which a throttle ended.
"""

from __future__ import annotations

from rotator.core.state import UPSTREAM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.pool import Pool
    from rotator.core.state import Account
    from rotator.core.throttle import Throttle

NOBODY: frozenset[str] = frozenset()
_MOST_MODELS = 256
"""Models that are known not to be throttled, at once. Our choice: more than any pool of this field serves."""


class Throttling:
    """The throttles of a pool that changes by facts; whoever changes an account says so with ``touch``."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Throttle]] = {}
        self._stale: set[str] = set()
        self._touched: set[int] = set()
        self._flying: dict[tuple[str, str, float], int] = {}

    def touch(self, index: int) -> None:
        """The account at that place differs from what it was."""
        self._touched.add(index)

    def forget(self) -> None:
        """Accounts came, went or changed: which of them are throttled is looked up anew."""
        self._touched.clear()
        for model in [model for model, known in self._known.items() if not known]:
            del self._known[model]
        self._stale = set(self._known)

    def count(self, name: str, model: str, began: float, change: int) -> None:
        """One more request of a model in flight on that account since ``began``, or one less."""
        key = (name, model, began)
        flying = self._flying.get(key, 0) + change
        if flying > 0:
            self._flying[key] = flying
        else:
            self._flying.pop(key, None)

    def closed(self, pool: Pool, model: str, now: float) -> frozenset[str]:
        """The providers that have as many requests of the model in flight as they may."""
        if self._touched:
            self._heed(pool, now)
        known = self._known.get(model)
        if known is None or model in self._stale:
            if len(self._known) >= _MOST_MODELS:
                self.forget()
            known = self._known[model] = self._looked_up(pool, model, now, known or {})
            self._stale.discard(model)
        if not known:
            return NOBODY
        from rotator.core.throttle import let_through  # only while somebody is throttled

        full: list[str] = []
        for provider, throttle in [*known.items()]:
            most = let_through(throttle, now, pool.policy)
            if most is None:
                # until then somebody who has not served yet may know of it, and would have it looked up again
                if now > throttle.until + pool.policy.throttle_within:
                    del known[provider]
            elif self._in_flight(pool, provider, model, throttle.at) >= most:
                full.append(provider)
        return frozenset(full)

    def _heed(self, pool: Pool, now: float) -> None:
        """Which models' throttles may have begun, gone on or ended with the accounts that were touched."""
        for index in self._touched:
            account = pool.at(index)
            for model, state in account.runtime.models.items():
                if account.provider in self._known.get(model, ()):
                    self._stale.add(model)
                for cooldown in state.cooldowns:
                    if cooldown.source == UPSTREAM and now <= cooldown.until + pool.policy.throttle_within:
                        self._stale.add(model)
        self._touched.clear()

    def _looked_up(self, pool: Pool, model: str, now: float, before: dict[str, Throttle]) -> dict[str, Throttle]:
        """The throttles of a model that the accounts know of; one that all of them have forgotten since is over now."""
        if not before and not any(_knows_of_one(account, model) for account in pool):
            return {}
        from rotator.core.throttle import throttles

        found = throttles(pool, model, pool.policy)
        for provider, was in before.items():
            known = found.get(provider)
            if known is None or known.until < was.until:
                found[provider] = was.replace(over_at=was.over_at or now)
            elif known.until == was.until and was.over_at:
                found[provider] = known.replace(over_at=was.over_at)
        return found

    def _in_flight(self, pool: Pool, provider: str, model: str, since: float) -> int:
        """How many requests of the model that began since then are in flight at the provider."""
        return sum(
            count
            for (name, of, began), count in self._flying.items()
            if of == model and began > since and name in pool and pool.account(name).provider == provider
        )


def _knows_of_one(account: Account, model: str) -> bool:
    state = account.runtime.models.get(model)
    if state is None:
        return False
    return any(cooldown.source == UPSTREAM for cooldown in state.cooldowns)
