"""Demand: who asks for what and when, drawn for one seed; the same for every policy.

Refuses: serving it. Turns of a conversation come when they come, whether or not the last one was served: so demand does not
depend on the policy, and the optimum is of the same requests.
"""

from __future__ import annotations

from math import exp, inf
from random import Random

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from rotator.simulate.scenario import Scenario, Shape, Stream, Talk

DAY = 86_400.0
HOUR = 3_600.0
_WORKDAYS = 5
_EXTREME = 4.0
"""A request is at most so many times its median, and at least the median through it: one must not fill a window."""
_GUESS = (0.7, 1.4)
"""What a caller expects a request to need, as a share of what it will: nobody knows the length of an answer."""
_PAUSE_LEAST = 5.0


class Request:
    """One request. ``tokens`` are new ones, ``context`` those sent again; ``expected`` is what its caller thinks of both.

    ``talk`` is the key of its conversation or None, ``until`` the instant at which its caller gives up. ``useful`` is its
    cost with a warm prompt cache, which is what serving it is worth.
    """

    __slots__ = (
        "at",
        "attempts",
        "context",
        "expected",
        "index",
        "model",
        "process",
        "talk",
        "tokens",
        "until",
        "useful",
    )

    def __init__(self, at: float, model: str, tokens: float, context: float, patience: float) -> None:
        self.at = at
        self.model = model
        self.tokens = tokens
        self.context = context
        self.until = at + patience
        self.talk: str | None = None
        self.index = self.process = self.attempts = 0
        self.expected = self.useful = 0.0


def luck_of(scenario: Scenario, seed: int, purpose: str) -> Random:
    """A source of luck for one purpose: what one part draws changes nothing for another."""
    return Random(f"{scenario.name}/{seed}/{purpose}")  # noqa: S311  a simulation must be repeatable


def intervals(luck: Random, start: float, end: float, every: float, lasting: float) -> list[tuple[float, float]]:
    """Times that come again and again: gaps and lengths are exponential with these means."""
    found, at = [], start + luck.expovariate(1 / every)
    while at < end:
        until = at + luck.expovariate(1 / lasting)
        found.append((at, until))
        at = until + luck.expovariate(1 / every)
    return found


def requests_of(scenario: Scenario, seed: int) -> list[Request]:
    """Every request of the scenario, in order of arrival and numbered."""
    found: list[Request] = []
    for place, stream in enumerate(scenario.demand):
        found += _stream(scenario, stream, place, luck_of(scenario, seed, f"demand {place}"))
    found.sort(key=lambda request: request.at)
    luck, processes = luck_of(scenario, seed, "callers"), scenario.engine.processes
    warm = scenario.cache.warm_cost
    homes: dict[str, int] = {}
    for index, request in enumerate(found):
        request.index = index
        request.useful = request.tokens + warm * request.context
        request.expected = request.tokens * luck.uniform(*_GUESS) + request.context
        drawn = luck.randrange(processes)
        request.process = drawn if request.talk is None else homes.setdefault(request.talk, drawn)
    return found


def _stream(scenario: Scenario, stream: Stream, place: int, luck: Random) -> Iterator[Request]:
    end = scenario.start + scenario.duration_secs
    for number, at in enumerate(_arrivals(scenario, stream, luck)):
        for each in range(stream.batch):
            if stream.talk is None:
                yield Request(at, stream.model, _size(stream, luck), 0.0, stream.patience_secs.draw(luck))
            else:
                yield from _conversation(stream, stream.talk, f"{place}-{number}-{each}", at, end, luck)


def _conversation(stream: Stream, talk: Talk, key: str, at: float, end: float, luck: Random) -> Iterator[Request]:
    """Turns until it is over or time is: the first brings the context, which each then grows by what it adds."""
    new, context = talk.context_tokens, 0.0
    going_on = 1 - 1 / talk.turns
    while at < end:
        new += _size(stream, luck)
        request = Request(at, stream.model, new, min(context, talk.context_max), stream.patience_secs.draw(luck))
        request.talk = key
        yield request
        context += new
        new = 0.0
        if luck.random() >= going_on:
            return
        at += _PAUSE_LEAST + luck.expovariate(1 / talk.pause_secs)


def _size(stream: Stream, luck: Random) -> float:
    """Whole tokens: log-normal around the median."""
    factor = exp(luck.normalvariate(0.0, stream.spread))
    return float(max(round(stream.tokens * min(max(factor, 1 / _EXTREME), _EXTREME)), 1))


def _arrivals(scenario: Scenario, stream: Stream, luck: Random) -> Iterator[float]:
    """A Poisson process whose rate changes with time, by thinning one of the highest rate."""
    start, end = scenario.start, scenario.start + scenario.duration_secs
    most = stream.per_hour / HOUR / stream.batch
    bursts = {}
    for place, shape in enumerate(stream.shapes):
        most *= max(shape.factor, shape.outside_factor)
        if shape.kind == "bursts":
            bursts[place] = intervals(luck, start, end, shape.every_secs, shape.for_secs)
    base, at = stream.per_hour / HOUR / stream.batch, start
    while most > 0:
        at += luck.expovariate(most)
        if at >= end:
            return
        rate = base
        for place, shape in enumerate(stream.shapes):
            rate *= shape.factor if _within(shape, at, start, bursts.get(place, [])) else shape.outside_factor
        if luck.random() * most < rate:
            yield at


def _within(shape: Shape, at: float, start: float, bursts: list[tuple[float, float]]) -> bool:
    if shape.kind == "hours":
        days, secs = divmod(at - start, DAY)
        return days % 7 < _WORKDAYS and shape.from_hour <= secs / HOUR < shape.to_hour
    if shape.kind == "surge":
        return 0 <= at - start - shape.at_secs < shape.for_secs
    while bursts and bursts[0][1] <= at:
        bursts.pop(0)
    return bool(bursts) and bursts[0][0] <= at < inf
