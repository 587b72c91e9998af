"""The gate: how many requests a provider that throttles a model may be sent, as the core tells it from the accounts.

Refuses: to tell a throttle from an account's own limit (``core.throttle``), to choose.
"""

from __future__ import annotations

from rotator.core.cooldowns import UPSTREAM
from rotator.core.throttle import let_through, throttles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.pool import Pool
    from rotator.core.throttle import Throttle

NOBODY: frozenset[str] = frozenset()


class Gate:
    """The requests in flight at each provider, and the throttles that were last known of."""

    def __init__(self) -> None:
        self._flying: dict[int, tuple[str, str, float]] = {}
        self._known: dict[str, dict[str, Throttle]] = {}

    def sent(self, request: int, provider: str, model: str, now: float) -> None:
        """A request is in flight."""
        self._flying[request] = provider, model, now

    def heard(self, request: int) -> None:
        """It is answered."""
        self._flying.pop(request, None)

    def closed(self, pool: Pool, model: str, now: float) -> frozenset[str]:
        """The providers that have as many requests of the model in flight as they may."""
        before = self._known.get(model)
        if not before and not _told(pool, model):
            return NOBODY
        found = throttles(pool, model, pool.policy)
        for provider, was in (before or {}).items():
            known = found.get(provider)
            if known is None or known.until < was.until:  # who knew of it has forgotten it, so it is over
                found[provider] = was.replace(over_at=was.over_at or now)
            elif known.until == was.until and was.over_at:
                found[provider] = known.replace(over_at=was.over_at)
        most = {provider: let_through(throttle, now, pool.policy) for provider, throttle in found.items()}
        self._known[model] = {provider: found[provider] for provider, limit in most.items() if limit is not None}
        full = [p for p, limit in most.items() if limit is not None and self._count(p, model, found[p].at) >= limit]
        return frozenset(full)

    def _count(self, provider: str, model: str, since: float) -> int:
        return sum(1 for at, of, began in self._flying.values() if (at, of) == (provider, model) and began > since)


def _told(pool: Pool, model: str) -> bool:
    """Whether some account knows of a throttle of the model."""
    for account in pool:
        state = account.runtime.models.get(model)
        if state is not None and any(cooldown.source == UPSTREAM for cooldown in state.cooldowns):
            return True
    return False
