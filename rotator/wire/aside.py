"""Aside: the accounts whose credentials this process does not have, for as long as that is not worth another look.

Refuses: telling other processes, which may have them: what is missing in this environment is no fact about the account.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.engine import Rotator

_FOR_SECS = 45.0
"""Our choice: a variable or a file that a person has just set is found within a minute, and no request looks for all."""


class Aside:
    """Names, each until the accounts change otherwise than by what is learned, or until its time is over; thread-safe."""

    def __init__(self, rotator: Rotator) -> None:
        self._rotator = rotator
        self._monotonic = rotator._clock.monotonic
        self._kept: tuple[int, dict[str, float]] = (-1, {})

    def put(self, name: str) -> None:
        """Leave an account out from now on."""
        generation = self._rotator._keeper.generation
        of_generation, kept = self._kept
        kept = kept if of_generation == generation else {}
        self._kept = generation, {**kept, name: self._monotonic() + _FOR_SECS}

    def without(self, names: frozenset[str]) -> frozenset[str]:
        """Those that are not aside, the same object when none is; all of them when no other is left."""
        generation, kept = self._kept
        if not kept:
            return names
        now = self._monotonic()
        if generation != self._rotator._keeper.generation or all(now >= end for end in kept.values()):
            self._kept = -1, {}
            return names
        left = frozenset([name for name in names if now >= kept.get(name, now)])
        return names if len(left) == len(names) else left or names
