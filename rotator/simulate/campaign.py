"""A campaign: several scenarios, seeds and policies, cut into tasks that need nothing of each other.

Refuses: doing several at once; whoever has processes to spare gives each a task.
"""

from __future__ import annotations

from rotator.core.value import Value
from rotator.simulate.result import simulate, summary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rotator.simulate.result import Result, Summary
    from rotator.simulate.scenario import Scenario


class Task(Value):
    """One scenario with one seed, served by each of some policies; ``bounded``: beside the optimum, which needs scipy."""

    scenario: Scenario
    seed: int
    policies: tuple[str, ...]
    bounded: bool = True

    def results(self) -> Iterator[Result]:
        """One result for each policy, in order. Raises CallerError when the optimum cannot be had."""
        bound = None
        if self.bounded:
            from rotator.simulate.optimum import optimum  # scipy, which is an extra

            bound = optimum(self.scenario, self.seed)
        for policy in self.policies:
            result = simulate(self.scenario, self.seed, policy)
            yield result if bound is None else result.against(bound)


def done(task: Task) -> list[Result]:
    """All results of a task, for another process."""
    return list(task.results())


def summaries(results: Sequence[Result], scenarios: Sequence[str], policies: Sequence[str]) -> list[Summary]:
    """One summary for each scenario and policy, in these orders."""
    found: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        found.setdefault((result.scenario, result.policy), []).append(result)
    return [summary(found[name, policy], name) for name in scenarios for policy in policies if (name, policy) in found]


def overall(summed: Sequence[Summary], policies: Sequence[str]) -> list[Summary]:
    """One for each policy over all scenarios, each counting alike; ``worst`` is the lowest mean of a scenario."""
    found = []
    for policy in policies:
        own = [each for each in summed if each.policy == policy]
        if own:
            shares = [each.of_optimum for each in own if each.of_optimum is not None]
            means = {
                name: sum([getattr(each, name) for each in own]) / len(own)
                for name in own[0].__match_args__
                if name not in ("scenario", "policy", "runs", "of_optimum", "worst")
            }
            mean = sum(shares) / len(shares) if shares else None
            runs = sum([each.runs for each in own])
            found.append(
                own[0].replace(scenario="all", runs=runs, of_optimum=mean, worst=min(shares, default=None), **means)
            )
    return found
