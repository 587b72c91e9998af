"""Cooldowns: how blocks that were learned at different instants join, and what ends them.

Refuses: which refusal sets one, and with what delay (``transitions``). Kept are those that could still decide, the one that ends last first; so
facts may arrive in any order.
"""

from __future__ import annotations

from rotator.core.state import COUNT_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.state import Cooldown

_SOFT = ("reset", "default")
"""Sources of cooldowns that a reading with quota left ends; what a provider or a person said, only a success ends."""

LIMITS = ("retry-after", "reset", "default")
"""Sources of cooldowns that a provider's limits set, a guessed one last; what is left is a person's."""


def joined(cooldowns: tuple[Cooldown, ...], new: Cooldown, ended: float, soft_ended: float) -> tuple[Cooldown, ...]:
    """The cooldowns that can still decide, the one that ends last first; ``ended`` and ``soft_ended`` are ends so far.

    What was learned before an end is over. Of two facts of one instant the later arrival stands.
    """
    if new.at < ended or (new.source in _SOFT and new.at < soft_ended):
        return cooldowns
    if any(_outlasts(c, new) for c in cooldowns):
        return cooldowns
    kept = [c for c in cooldowns if not _outlasts(new, c)]
    return tuple(sorted([*kept, new], key=lambda c: (-c.until, c.at, c.source)))


def _outlasts(one: Cooldown, other: Cooldown) -> bool:
    """Whether ``other`` can never decide while ``one`` stands: it ends no later, and is ended by no less."""
    if one.until < other.until or one.at < other.at or (one.source in _SOFT and other.source not in _SOFT):
        return False
    same = one.until == other.until and one.at == other.at and (one.source in _SOFT) == (other.source in _SOFT)
    return not same or one.source <= other.source


def without(
    cooldowns: tuple[Cooldown, ...], at: float, *, soft_only: bool = False, sources: tuple[str, ...] | None = None
) -> tuple[Cooldown, ...]:
    """Those learned after ``at``, and with ``soft_only`` the hard ones too; the same tuple when that is all of them.

    ``sources``: only cooldowns of these are ended.
    """
    if soft_only:
        sources = _SOFT
    kept = tuple([c for c in cooldowns if c.at > at or (sources is not None and c.source not in sources)])
    return cooldowns if len(kept) == len(cooldowns) else kept


def covers(at: float, *several: tuple[Cooldown, ...]) -> bool:
    """Whether a refusal at that instant is one of those that an active cooldown already stands for."""
    return any(at < c.until for cooldowns in several for c in cooldowns)


def counted(count: int, at: float, ended: float, *several: tuple[Cooldown, ...]) -> int:
    """How many refusals there are in a row after one at ``at``: parallel ones, and one from before the end, add none."""
    return count if at < ended or covers(at, *several) else min(count + 1, COUNT_MAX)


def ladder(first: float, growth: float, count: int, most: float) -> float:
    """Seconds of the cooldown after ``count`` refusals in a row."""
    return float(min(first * growth ** min(max(count - 1, 0), 60), most))
