"""Running: one policy serves one world, event by event under a virtual clock.

Refuses: knowing policies, and luck of its own. Every policy gets the same care: a refused request is tried again until its
caller gives up; those that wait do so in order of arrival, and the first of them is tried again when the policy said, and
whenever a response has taught it something.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count

from rotator.simulate.agent import NEVER, Take
from rotator.simulate.tally import OK, Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from rotator.simulate.agent import Agent, Wait
    from rotator.simulate.demand import Request
    from rotator.simulate.world import Response, World

    Queue = list[tuple[int, Request]]

ATTEMPTS_MAX = 50
"""Refusals after which a request has failed. Our choice: far above what any policy here needs, below for ever."""
_LEAST_WAIT = 0.05
_STAGGER = 0.37
"""Share of the time between two meetings that lies between those of two processes."""


class Run:
    """One run; ``go`` serves everything and returns the tally. ``watch`` is told of every choice of another account."""

    def __init__(
        self, world: World, agents: Sequence[Agent], watch: Callable[[float, int, str], None] | None = None
    ) -> None:
        self.tally = Tally(world)
        self._world = world
        self._agents = agents
        self._watch = watch
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = count()
        self._queues: list[dict[str, Queue]] = [{} for _ in agents]
        self._timers: dict[tuple[int, str], float] = {}

    def at(self, when: float, what: Callable[..., None], *given: Any) -> None:
        """Let something happen at an instant, if the world lasts so long; ``what`` is told the time and ``given``."""
        heappush(self._events, (when, next(self._numbers), what, given))

    def go(self) -> Tally:
        """Serve until the world ends."""
        world, events = self._world, self._events
        self._begin()
        while events and events[0][0] <= world.end:
            now, _, what, given = heappop(events)
            what(now, *given)
        waiting = [request for queues in self._queues for queue in queues.values() for _, request in queue]
        waiting += [given[0] for _, _, what, given in events if what == self._again]
        for request in waiting:
            if request.until < world.end:
                self.tally.drop(request)
        return self.tally

    def _begin(self) -> None:
        engine, start = self._world.scenario.engine, self._world.start
        if self._world.requests:
            self.at(self._world.requests[0].at, self._arrive, 0)
        if self._world.outside:
            self.at(self._world.outside[0][0], self._spend_outside, 0)
        for place in range(len(self._agents)):
            if len(self._agents) > 1:
                self.at(start + engine.sync_secs * (1 + place * _STAGGER % 1), self._sync, place)
            if engine.restart_every_secs is not None:
                self.at(start + engine.restart_every_secs * (1 + place * _STAGGER % 1), self._restart, place)

    def _arrive(self, now: float, index: int) -> None:
        requests = self._world.requests
        if index + 1 < len(requests):
            self.at(requests[index + 1].at, self._arrive, index + 1)
        self.tally.arrived += 1
        self._try(now, requests[index])

    def _spend_outside(self, now: float, index: int) -> None:
        uses = self._world.outside
        if index + 1 < len(uses):
            self.at(uses[index + 1][0], self._spend_outside, index + 1)
        _, name, tokens = uses[index]
        for window in self._world.services[name].windows:
            if window.kind != "bucket":
                window.charge(now, tokens)

    def _restart(self, now: float, place: int) -> None:
        self._agents[place].restart(now)
        self.at(now + (self._world.scenario.engine.restart_every_secs or NEVER), self._restart, place)
        self._tell(now, place)

    def _sync(self, now: float, place: int) -> None:
        self._agents[place].sync(now)
        self.at(now + self._world.scenario.engine.sync_secs, self._sync, place)
        self._tell(now, place)

    def _try(self, now: float, request: Request) -> None:
        """Ask the policy for one request, and do what it says."""
        decision = self._agents[request.process].choose(now, request)
        if isinstance(decision, Take):
            self._send(now, request, decision.account)
        else:
            self._park(now, request, decision)

    def _send(self, now: float, request: Request, account: str) -> None:
        if self._watch is not None:
            self._watch(now, request.process, account)
        response = self._world.services[account].answer(request, now)
        self.tally.answered(request, account, response, now)
        self.at(now + self._world.delay(account, response), self._hear, request, account, response)

    def _hear(self, now: float, request: Request, account: str, response: Response) -> None:
        if response.status != OK:
            request.attempts += 1
        self._agents[request.process].learn(now, request, account, response)
        if response.status != OK:
            if request.attempts >= ATTEMPTS_MAX:
                self.tally.fail(request)
            elif now > request.until:
                self.tally.drop(request)
            else:
                self._try(now, request)
        self._tell(now, request.process)

    def _park(self, now: float, request: Request, wait: Wait) -> None:
        if wait.until == NEVER:
            self.tally.fail(request)
        elif wait.alone:
            self.at(max(wait.until, now + _LEAST_WAIT), self._again, request)
        else:
            heappush(self._queues[request.process].setdefault(request.model, []), (request.index, request))
            self._wake(now, request.process, request.model, wait.until)

    def _again(self, now: float, request: Request) -> None:
        """A request that waited by itself."""
        if request.until < now:
            self.tally.drop(request)
        else:
            self._try(now, request)

    def _wake(self, now: float, place: int, model: str, until: float) -> None:
        """Look at a queue again at an instant, unless that happens sooner anyway."""
        when = max(until, now + _LEAST_WAIT)
        planned = self._timers.get((place, model), NEVER)
        if when < planned or planned <= now:
            self._timers[place, model] = when
            self.at(when, self._woken, place, model, when)

    def _woken(self, now: float, place: int, model: str, planned: float) -> None:
        if self._timers.get((place, model)) == planned:
            del self._timers[place, model]
            self._release(now, place, model)

    def _tell(self, now: float, place: int) -> None:
        """News for a process: those who wait there look again."""
        for model, queue in self._queues[place].items():
            if queue:
                self._release(now, place, model)

    def _release(self, now: float, place: int, model: str) -> None:
        """Serve a queue from its front until the policy says wait."""
        queue, agent = self._queues[place].get(model, []), self._agents[place]
        while queue:
            self._give_up(queue, now)
            if not queue:
                return
            request = queue[0][1]
            decision = agent.choose(now, request)
            if isinstance(decision, Take):
                heappop(queue)
                self._send(now, request, decision.account)
            elif decision.alone or decision.until == NEVER:
                heappop(queue)
                self._park(now, request, decision)
            else:
                self._wake(now, place, model, decision.until)
                return

    def _give_up(self, queue: Queue, now: float) -> None:
        """Drop those at the front of a queue whose callers have given up."""
        while queue and queue[0][1].until < now:
            self.tally.drop(heappop(queue)[1])
