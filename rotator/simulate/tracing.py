"""Tracing: what happens to every window in one run, in time: how full it is, when it begins anew, when traffic moves.

Refuses: drawing it (``plot``). It sees the truth, which no policy does.
"""

from __future__ import annotations

from rotator.core.value import Value
from rotator.simulate.quotas import FirstUse, Fixed
from rotator.simulate.result import simulate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.simulate.quotas import Hidden
    from rotator.simulate.result import Result
    from rotator.simulate.running import Run
    from rotator.simulate.scenario import Scenario
    from rotator.simulate.world import World

_SAMPLES = 720


class Line(Value):
    """One window of one account: utilisation at each of the trace's times, and the resets in between (epoch seconds)."""

    account: str
    window: str
    used: tuple[float, ...]
    resets: tuple[float, ...]


class Trace(Value):
    """One run: ``times`` of the samples, a line for each window, and by account when traffic moved there."""

    result: Result
    start: float
    times: tuple[float, ...]
    lines: tuple[Line, ...]
    moves: dict[str, tuple[float, ...]]


class _Recorder:
    def __init__(self) -> None:
        self.times: list[float] = []
        self.used: dict[tuple[str, str], list[float]] = {}
        self.resets: dict[tuple[str, str], list[float]] = {}
        self.moves: dict[str, list[float]] = {}
        self._ends: dict[tuple[str, str], float | None] = {}
        self._last: dict[int, str] = {}

    def plan(self, world: World, run: Run) -> None:
        """Look at every window at even times."""
        step = (world.end - world.start) / _SAMPLES
        for place in range(_SAMPLES + 1):
            run.at(world.start + place * step, self._sample, world)

    def moved(self, now: float, process: int, account: str) -> None:
        """A request goes to an account."""
        if self._last.get(process) != account:
            self._last[process] = account
            self.moves.setdefault(account, []).append(now)

    def _sample(self, now: float, world: World) -> None:
        self.times.append(now)
        for name, service in world.services.items():
            for window in service.windows:
                self._note(now, (name, window.name), window)

    def _note(self, now: float, key: tuple[str, str], window: Hidden) -> None:
        self.used.setdefault(key, []).append(window.shown(now)[0])
        if isinstance(window, Fixed | FirstUse):
            before = self._ends.get(key)
            if before is not None and before <= now:
                self.resets.setdefault(key, []).append(before)
            self._ends[key] = window.reset


def traced(scenario: Scenario, seed: int, policy: str) -> Trace:
    """One run, watched."""
    recorder = _Recorder()
    result = simulate(scenario, seed, policy, before=recorder.plan, watch=recorder.moved)
    lines = [
        Line(account, window, tuple(used), tuple(recorder.resets.get((account, window), ())))
        for (account, window), used in recorder.used.items()
    ]
    moves = {account: tuple(times) for account, times in recorder.moves.items()}
    return Trace(result, scenario.start, tuple(recorder.times), tuple(lines), moves)
