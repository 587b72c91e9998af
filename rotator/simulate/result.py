"""Results: what one run amounts to, and what several amount to together.

Refuses: tables and pictures. All figures are of one policy; ``optimum`` is None where it was not asked for.
"""

from __future__ import annotations

from rotator.core.value import Value
from rotator.simulate.agent import Board, Setting
from rotator.simulate.demand import luck_of
from rotator.simulate.policies import POLICIES
from rotator.simulate.running import Run
from rotator.simulate.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rotator.simulate.agent import Agent
    from rotator.simulate.scenario import Scenario
    from rotator.simulate.tally import Tally

_TOO_MANY = 429
_PERCENTILE = 0.95


class Result(Value):
    """One run. Tokens are useful ones: what a request costs with a warm cache.

    ``arrived = served + failed + dropped + waiting``. ``rate_429`` is per 1,000 requests that arrived, ``wasted`` the share of
    quota unspent at its resets (of each account's tightest window), ``cache_loss`` what moving warm conversations cost as a share
    of ``served_tokens``; ``of_optimum`` is ``served_tokens / optimum_tokens``. Waits are seconds, of served requests.
    """

    scenario: str
    seed: int
    policy: str
    arrived: int
    served: int
    failed: int
    dropped: int
    waiting: int
    arrived_tokens: float
    served_tokens: float
    charged_tokens: float
    refused_429: int
    refused_other: int
    rate_429: float
    wait_mean_secs: float
    wait_p95_secs: float
    wasted: float
    switches: int
    cache_loss: float
    optimum_tokens: float | None = None
    of_optimum: float | None = None

    def against(self, optimum: float) -> Result:
        """The same beside the optimum."""
        return self.replace(optimum_tokens=optimum, of_optimum=self.served_tokens / optimum if optimum else 1.0)

    def as_json(self) -> dict[str, object]:
        """Its fields by name, rounded to what they can mean."""
        values = {name: getattr(self, name) for name in self.__match_args__}
        return {name: round(value, 6) if type(value) is float else value for name, value in values.items()}


def simulate(
    scenario: Scenario,
    seed: int,
    policy: str,
    *,
    maker: Callable[[Setting], Agent] | None = None,
    before: Callable[[World, Run], None] | None = None,
    watch: Callable[[float, int, str], None] | None = None,
) -> Result:
    """One run of a policy by name, the same to the bit each time. ``maker`` makes the agents of one that has no name.

    ``before`` may plan observations in the run; ``watch`` is told of every choice: when, which process, whom.
    """
    world, board = World(scenario, seed), Board()
    processes = scenario.engine.processes
    make = maker or POLICIES[policy][0]
    agents = [
        make(Setting(world.known, luck_of(scenario, seed, f"policy {place}"), board, processes))
        for place in range(processes)
    ]
    run = Run(world, agents, watch)
    if before is not None:
        before(world, run)
    return _result(world, run.go(), policy)


def _result(world: World, tally: Tally, policy: str) -> Result:
    waits = sorted(tally.waits)
    refused = tally.refused.get(_TOO_MANY, 0)
    return Result(
        world.scenario.name,
        world.seed,
        policy,
        tally.arrived,
        tally.served,
        tally.failed,
        tally.dropped,
        tally.waiting,
        sum([request.useful for request in world.requests]),
        tally.useful,
        tally.charged,
        refused,
        sum(tally.refused.values()) - refused,
        1000 * refused / max(tally.arrived, 1),
        sum(waits) / max(len(waits), 1),
        waits[min(int(len(waits) * _PERCENTILE), len(waits) - 1)] if waits else 0.0,
        _wasted(world),
        tally.switches,
        tally.lost_to_switches / tally.useful if tally.useful else 0.0,
    )


def _wasted(world: World) -> float:
    """The mean over accounts of what the tightest window let go unspent: what no longer window could have given back."""
    shares = []
    for service in world.services.values():
        for window in service.windows:
            window.advance(world.end)
        ended = [window.unspent / window.ended for window in service.windows if window.ended]
        if ended:
            shares.append(min(ended))
    return sum(shares) / len(shares) if shares else 0.0


class Summary(Value):
    """Means over the seeds of one scenario and policy (or over scenarios); ``worst`` is the lowest share of the optimum."""

    scenario: str
    policy: str
    runs: int
    of_optimum: float | None
    worst: float | None
    served: float
    failed: float
    dropped: float
    rate_429: float
    wait_mean_secs: float
    wait_p95_secs: float
    wasted: float
    switches: float
    cache_loss: float

    def as_json(self) -> dict[str, object]:
        """Its fields by name."""
        values = {name: getattr(self, name) for name in self.__match_args__}
        return {name: round(value, 6) if type(value) is float else value for name, value in values.items()}


def summary(results: Sequence[Result], scenario: str) -> Summary:
    """The means of several runs of one policy; ``served`` and the like are shares of the requests that arrived."""
    runs = len(results)
    shares = [result.of_optimum for result in results if result.of_optimum is not None]

    def mean(of: Callable[[Result], float]) -> float:
        return sum([of(result) for result in results]) / runs

    return Summary(
        scenario,
        results[0].policy,
        runs,
        sum(shares) / len(shares) if shares else None,
        min(shares, default=None),
        mean(lambda r: r.served / max(r.arrived, 1)),
        mean(lambda r: r.failed / max(r.arrived, 1)),
        mean(lambda r: r.dropped / max(r.arrived, 1)),
        mean(lambda r: r.rate_429),
        mean(lambda r: r.wait_mean_secs),
        mean(lambda r: r.wait_p95_secs),
        mean(lambda r: r.wasted),
        mean(lambda r: 1000 * r.switches / max(r.arrived, 1)),
        mean(lambda r: r.cache_loss),
    )
