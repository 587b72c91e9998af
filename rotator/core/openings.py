"""Openings: whose window waits for a request to begin, and when the next one should get it.

A window that begins with its first use is full until then, but comes back the later the later it begins. So idle ones are
begun one after another, in time for all of them to be there when they are needed. Refuses: scores (``scorer``), the order of
those whose windows run (``ranking``).
"""

from __future__ import annotations

from heapq import heappop, heappush

from rotator.core.state import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.policy import Policy
    from rotator.core.scorer import Standing, Tier

    Waiting = tuple[Tier, float, int, int]

_MOST = 500
"""Accounts up to which beginnings are staggered: among more, the usual traffic begins them evenly."""

_SLACK = 64
"""Entries that are out of date and may lie in the heap, besides twice as many as there are accounts, before it is swept."""


class Openings:
    """The accounts of one order whose windows begin with a request."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._standings: dict[int, Standing] = {}
        self._under_way: set[int] = set()
        self._waiting: list[Waiting] = []
        self._entered: dict[int, int] = {}
        self._entries = 0
        self._last: float | None = None

    def __contains__(self, index: object) -> bool:
        return index in self._standings

    def waits(self, index: int) -> bool:
        """Whether an account waits for a request that begins its window."""
        return index in self._entered

    def enter(self, index: int, standing: Standing, in_flight: int) -> None:
        """An account as it stands now, with its number of requests in flight."""
        was = self._standings.get(index)
        self._entered.pop(index, None)
        if standing.began_at == NEVER:
            if was is not None:
                del self._standings[index]
                self._under_way.discard(index)
                self._last = None
            return
        self._standings[index] = standing
        if was is None or was.began_at != standing.began_at:
            self._last = None
        self._under_way.discard(index)
        if standing.began_at:
            return
        if in_flight:
            self._under_way.add(index)
        elif standing.blocked_by is None:
            self._entries += 1
            self._entered[index] = self._entries
            heappush(self._waiting, (standing.tier, -standing.total, index, self._entries))
            if len(self._waiting) > 2 * self._size + _SLACK:
                self._waiting = sorted([each for each in self._waiting if self._entered.get(each[2]) == each[3]])

    def best(self) -> tuple[Tier, float, int] | None:
        """Tier, score without its bonus, negated, and place of the best account that waits; None when nobody does."""
        waiting = self._waiting
        while waiting:
            tier, worth, index, entry = waiting[0]
            if self._entered.get(index) == entry:
                return tier, worth, index
            heappop(waiting)
        return None

    def due_at(self, policy: Policy) -> float:
        """When the next window should be begun: 0.0 for at once, ``NEVER`` while one is being begun."""
        if self._under_way:
            return NEVER
        if self._size > _MOST or not self._standings:
            return 0.0
        if self._last is None:
            self._last = max([standing.began_at for standing in self._standings.values()])
        length = min([standing.window_secs for standing in self._standings.values()])
        return self._last + policy.open_stagger * length / len(self._standings)
