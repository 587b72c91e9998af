"""Choosing: one decision over the present pool, with what past decisions have already worked out.

Refuses: taking what it chose, a lock (the engine's is held), the file. It keeps an order for each model and set of tags that
is asked for, and the count of requests in flight; of the requests to a provider that throttles, ``throttling`` lets few through.
"""

from __future__ import annotations

from rotator.core.choice import Wanted
from rotator.core.ranking import Ranking
from rotator.core.selection import select
from rotator.core.throttling import Throttling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.pool import Pool
    from rotator.core.selection import Parked, Selected, Unavailable

    Asked = tuple[str, tuple[str, ...], frozenset[str] | None, frozenset[str]]

_MOST_RANKINGS = 256
"""Orders kept at once, the oldest goes first. Our choice: more models than any pool of this field serves."""


class Choosing:
    """The rankings of a pool that changes by facts; whoever changes an account says so with ``touch``."""

    def __init__(self) -> None:
        self._rankings: dict[Asked, tuple[Ranking, set[int]]] = {}
        self._throttling = Throttling()
        self.in_flight: dict[str, int] = {}
        """Requests by account; replaced, never changed, since decisions hold on to it."""

    def decide(
        self,
        pool: Pool,
        model: str,
        now: float,
        tags: tuple[str, ...],
        session: str | None,
        among: frozenset[str] | None = None,
        size: int | None = None,
    ) -> Selected | Parked | Unavailable:
        """The decision at ``now`` (epoch seconds); it changes nothing but the work that is saved."""
        closed = self._throttling.closed(pool, model, now)
        known = self._rankings.get((model, tags, among, closed))
        if known is None:
            if len(self._rankings) >= _MOST_RANKINGS:
                self._rankings.pop(next(iter(self._rankings)))
            ranking = Ranking(model, Wanted(tags, among), closed=closed)
            known = self._rankings[model, tags, among, closed] = (ranking, set())
        ranking, touched = known
        ranking.follow(pool, now, self.in_flight, touched)
        touched.clear()
        return select(
            pool,
            model,
            now=now,
            tags=tags,
            session=session,
            in_flight=self.in_flight,
            among=among,
            size=size,
            ranking=ranking,
        )

    def touch(self, index: int) -> None:
        """The account at that place differs from what it was."""
        self._throttling.touch(index)
        for _, touched in self._rankings.values():
            touched.add(index)

    def forget(self) -> None:
        """Accounts came, went or changed: every order is worked out anew."""
        self._rankings.clear()
        self._throttling.forget()

    def count(self, pool: Pool, lease: Selected, change: int) -> None:
        """One more request in flight on the account that was chosen, or one less."""
        name = lease.account
        self._throttling.count(name, lease.model, lease.decided, change)
        flying = {**self.in_flight, name: self.in_flight.get(name, 0) + change}
        if flying[name] <= 0:
            del flying[name]
        self.in_flight = flying
        if name in pool:
            self.touch(pool.index(name))
