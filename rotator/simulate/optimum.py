"""The optimum: a bound on the useful tokens that anybody could have served, by linear program (HiGHS, from scipy).

It assumes more than any policy can have, so it is an upper bound: the whole future and every hidden quota are known,
requests can be divided, every prompt cache is warm everywhere, order within a time bin is free, others' spending is charged
last, and answers take no time. Each window may end above its capacity by one request, as real ones do: by the largest, and
all windows of a name together by as many of the largest as they have instances. Quota that a world
leaves for after its end counts for nothing, so a bound over less than a long window is not reached by whoever looks ahead.
Refuses: policies, and the world after its end.

Time is cut into bins, at resets of fixed windows too. With the streams g (one for each model), the bins i of
arrival and j of service, and the accounts a: y[g,i,j] tokens are served of what arrived, u[g,a,j] by whom.

- ``sum_j y[g,i,j] <= arrived[g,i]``, j from i to the last bin in which its callers are patient
- ``sum_a u[g,a,j] = sum_i y[g,i,j]``, where a serves g and is without fault at some instant of j
- a fixed window: what its account is served between two resets ``<= capacity + over``
- a rolling one: the same in every stretch of its length
- one that begins with its first use: in a stretch of k lengths k + 1 instances, from where it is known to be closed k
- a bucket: its level after each bin, ``0 <= l[j] <= l[j-1] + refill - served``, ``l <= capacity + over``
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from fnmatch import fnmatchcase
from itertools import accumulate
from math import ceil

from rotator.errors import CallerError
from rotator.simulate.quotas import Bucket, FirstUse, Fixed, Rolling
from rotator.simulate.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.simulate.quotas import Hidden
    from rotator.simulate.scenario import Scenario

_BINS = 400
"""About so many bins; more make the bound a little tighter and much slower."""
_BIN_LEAST = 60.0
_EDGE = 1e-6


def optimum(scenario: Scenario, seed: int, bins: int = _BINS) -> float:
    """Useful tokens that nobody can exceed in that world. Raises CallerError without scipy, or when it finds no solution."""
    try:
        from scipy.optimize import linprog  # type: ignore[import-untyped]
        from scipy.sparse import coo_array  # type: ignore[import-untyped]
    except ImportError:
        message = "the optimum needs scipy: pip install 'rotator[simulate]'"
        raise CallerError(message) from None
    program = _Program(World(scenario, seed), bins)
    program.build()
    if not program.reward:
        return 0.0
    shape = (len(program.limits), len(program.reward))
    matrix = coo_array((program.factors, (program.rows, program.columns)), shape=shape).tocsr()
    found: Any = linprog(
        [-value for value in program.reward], matrix, program.limits, bounds=program.bounds, method="highs"
    )
    if found.status != 0:
        message = f"no optimum was found for {scenario.name}, seed {seed}: {found.message}"
        raise CallerError(message)
    return float(-found.fun)


class _Program:
    """The rows and columns of the program, all of the form ``<=``."""

    def __init__(self, world: World, bins: int) -> None:
        self._world = world
        self._edges = _edges(world, bins)
        self.reward: list[float] = []
        self.bounds: list[tuple[float, float | None]] = []
        self.limits: list[float] = []
        self.rows: list[int] = []
        self.columns: list[int] = []
        self.factors: list[float] = []
        sizes = sorted([request.useful for request in world.requests], reverse=True)
        self._over = sizes[0] if sizes else 0.0
        self._largest = [0.0, *accumulate(sizes)]
        self._above: dict[str, list[int]] = {}
        self._kinds: dict[str, list[tuple[list[int], float, int]]] = {}
        self._spent: dict[tuple[str, int], list[tuple[str, int]]] = {}

    def build(self) -> None:
        """Everything."""
        size = len(self._edges) - 1
        supplied: dict[tuple[str, int], list[int]] = {}
        for (model, begin), (tokens, last) in self._arrived().items():
            served = [self._column(1.0) for _ in range(begin, last + 1)]
            self._row([(column, 1.0) for column in served], tokens)
            for place, column in enumerate(served):
                supplied.setdefault((model, begin + place), []).append(column)
        for (model, place), columns in sorted(supplied.items()):
            used: list[tuple[int, float]] = []
            for name, service in self._world.services.items():
                up = self._world.up(name, self._edges[place], self._edges[place + 1])
                if service.known.serves(model) and up:
                    column = self._column(0.0)
                    used.append((column, -1.0))
                    self._spent.setdefault((name, place), []).append((model, column))
            self._row([*[(each, 1.0) for each in columns], *used], 0.0)
        done: set[int] = set()
        for name, service in self._world.services.items():
            sharers = [n for n, other in self._world.services.items() if n == name or other.windows is service.windows]
            for window in service.windows if id(service.windows) not in done else ():
                self._limit(window, [self._columns(sharers, window, place) for place in range(size)])
            done.add(id(service.windows))
        for above in self._above.values():
            self._row([(column, 1.0) for column in above], self._overshoot(len(above)))
        for alike in self._kinds.values():
            whole = [(column, 1.0) for listed, _, _ in alike for column in listed]
            self._row(whole, sum([most for _, most, _ in alike]) + self._overshoot(sum([n for _, _, n in alike])))

    def _overshoot(self, instances: int) -> float:
        """By how much so many instances of a window can end above their capacity together: each by another request."""
        return self._largest[min(instances, len(self._largest) - 1)]

    def _arrived(self) -> dict[tuple[str, int], tuple[float, int]]:
        """By model and bin of arrival: tokens, and the last bin in which one of their callers is still patient."""
        found: dict[tuple[str, int], tuple[float, int]] = {}
        for request in self._world.requests:
            key = request.model, self._bin(request.at)
            tokens, last = found.get(key, (0.0, 0))
            found[key] = tokens + request.useful, max(last, self._bin(min(request.until, self._world.end - _EDGE)))
        return found

    def _bin(self, at: float) -> int:
        return min(bisect_right(self._edges, at) - 1, len(self._edges) - 2)

    def _columns(self, sharers: list[str], window: Hidden, place: int) -> list[int]:
        """What these accounts serve in a bin of the models that a window covers."""
        return [
            column
            for name in sharers
            for model, column in self._spent.get((name, place), ())
            if window.model is None or fnmatchcase(model, window.model)
        ]

    def _limit(self, window: Hidden, bins: list[list[int]]) -> None:
        most = window.capacity + self._over
        if isinstance(window, Fixed):
            begin, reset, left = self._world.start, window.reset, window.capacity - window.used
            while begin < self._world.end:
                above = self._column(0.0, self._over)
                self._above.setdefault(window.name, []).append(above)
                self._stretch(bins, begin, reset, left, above)
                begin, reset, left = reset, reset + window.length, window.capacity
        elif isinstance(window, Rolling):
            if window.used:
                aged = (window.shown(self._world.start)[1] or 0.0) - _EDGE
                self._stretch(bins, self._world.start, aged, most - window.used)
            for begin in self._edges[:-1]:
                self._stretch(bins, begin, begin + window.length, most)
        elif isinstance(window, FirstUse):
            self._first_use(window, bins, most)
        elif isinstance(window, Bucket):
            self._bucket(window, bins, most)

    def _first_use(self, window: FirstUse, bins: list[list[int]], most: float) -> None:
        known, length, end = window.reset or self._world.start, window.length, self._world.end
        if window.reset is not None:
            self._stretch(bins, self._world.start, window.reset, most - window.used)
        whole = ceil((end - known) / length)
        for k in range(1, whole + 1):
            self._stretch(bins, known, known + k * length, k * window.capacity + self._overshoot(k))
        self._together(window, bins, whole + (window.reset is not None))
        for begin in self._edges[:-1]:
            for k in (1, 2, 4):
                if begin + k * length < end:
                    self._stretch(bins, begin, begin + k * length, (k + 1) * window.capacity + self._overshoot(k + 1))

    def _together(self, window: Hidden, bins: list[list[int]], instances: int) -> None:
        """Note what all instances of a window that begins with its use can serve, for the row of all of its name."""
        columns = [column for listed in bins for column in listed]
        self._kinds.setdefault(window.name, []).append((columns, instances * window.capacity - window.used, instances))

    def _bucket(self, window: Bucket, bins: list[list[int]], most: float) -> None:
        """Level after each bin: at most what was there and came, less what was served."""
        rate = window.capacity / window.length
        level = None
        for place, columns in enumerate(bins):
            after = self._column(0.0, most)
            refill = rate * (self._edges[place + 1] - self._edges[place])
            terms = [(after, 1.0), *[(column, 1.0) for column in columns]]
            if level is None:
                self._row(terms, most - window.used + refill)
            else:
                self._row([*terms, (level, -1.0)], refill)
            level = after

    def _stretch(self, bins: list[list[int]], begin: float, end: float, most: float, above: int | None = None) -> None:
        """What is served in the bins that lie wholly within a stretch is limited, but for the column ``above``."""
        first = bisect_left(self._edges, begin - _EDGE)
        last = bisect_right(self._edges, end + _EDGE) - 1
        terms = [(column, 1.0) for place in range(first, min(last, len(bins))) for column in bins[place]]
        if terms and above is not None:
            self._row([*terms, (above, -1.0)], most)
        elif terms:
            self._row(terms, max(most, 0.0))

    def _column(self, reward: float, most: float | None = None) -> int:
        self.reward.append(reward)
        self.bounds.append((0.0, most))
        return len(self.reward) - 1

    def _row(self, terms: list[tuple[int, float]], limit: float) -> None:
        row = len(self.limits)
        self.limits.append(limit)
        for column, factor in terms:
            self.rows.append(row)
            self.columns.append(column)
            self.factors.append(factor)


def _edges(world: World, bins: int) -> list[float]:
    """Even edges, and every reset of a fixed window; a bin shorter than a second is none."""
    size = max((world.end - world.start) / bins, _BIN_LEAST)
    edges = {world.start + place * size for place in range(int((world.end - world.start) / size) + 1)}
    for service in world.services.values():
        for window in service.windows:
            if isinstance(window, Fixed):
                reset = window.reset
                while reset < world.end:
                    edges.add(reset)
                    reset += window.length
    found = [world.start]
    for edge in sorted(edges):
        if edge - found[-1] > _EDGE and world.end - edge > _EDGE:
            found.append(edge)
    return [*found, world.end]
