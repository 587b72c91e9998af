"""The tally: what became of every request of one run, and what it cost.

Refuses: serving, and what it means against others (``result``).
"""

from __future__ import annotations

from math import inf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.simulate.demand import Request
    from rotator.simulate.world import Response, World

OK, TOO_MANY = 200, 429
OPEN, SERVED, FAILED, DROPPED = range(4)
"""What becomes of a request; ``OPEN`` still at the end is waiting."""


class Tally:
    """Counts of one run; tokens are useful ones unless said otherwise."""

    def __init__(self, world: World) -> None:
        self._ttl = world.scenario.cache.ttl_secs
        self._states = bytearray(len(world.requests))
        self._homes: dict[str, tuple[str, float]] = {}
        self.arrived = 0
        self.served = self.failed = self.dropped = 0
        self.useful = self.charged = self.lost_to_switches = 0.0
        self.refused: dict[int, int] = {}
        self.switches = 0
        self.waits: list[float] = []

    def answered(self, request: Request, account: str, response: Response, now: float) -> None:
        """An account answered."""
        if response.status != OK:
            self.refused[response.status] = self.refused.get(response.status, 0) + 1
            return
        self._end(request, SERVED)
        self.served += 1
        self.useful += request.useful
        self.charged += response.tokens
        self.waits.append(now - request.at)
        if request.talk is not None:
            self._converse(request.talk, request, account, response.tokens, now)

    def _converse(self, talk: str, request: Request, account: str, charged: float, now: float) -> None:
        """A conversation that moved while it was warm elsewhere has paid for that."""
        home, last = self._homes.get(talk, (account, -inf))
        if home != account:
            self.switches += 1
            if now - last <= self._ttl:
                self.lost_to_switches += charged - request.useful
        self._homes[talk] = account, now

    def fail(self, request: Request) -> None:
        """Nobody can ever serve it, or it was refused too often."""
        self._end(request, FAILED)
        self.failed += 1

    def drop(self, request: Request) -> None:
        """Its caller gave up."""
        self._end(request, DROPPED)
        self.dropped += 1

    def _end(self, request: Request, state: int) -> None:
        assert self._states[request.index] == OPEN, "a request ends once"
        self._states[request.index] = state

    @property
    def waiting(self) -> int:
        """Requests that are neither served, failed nor dropped."""
        return self.arrived - sum(1 for state in self._states if state != OPEN)
