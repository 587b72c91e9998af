"""Cooldowns: how blocks that were learned at different instants join, and what ends them.

Refuses: which refusal sets one, and with what delay (``refusals``). Kept are those that could still decide, the one that ends last first; so
facts may arrive in any order. A shared back-off (``upstream``) stands for the brief ones that were learned just before it,
and is kept for those of them that are still to be heard of.
"""

from __future__ import annotations

from rotator.core.instants import tidy
from rotator.core.policy import Policy
from rotator.core.state import COUNT_MAX, UPSTREAM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.state import Cooldown

_SOFT = ("reset", "default")
"""Sources of cooldowns that a reading with quota left ends; what a provider or a person said, only a success ends."""

LIMITS = ("retry-after", "reset", "default")
"""Sources of cooldowns that a provider's limits set, a guessed one last; what is left is a person's."""

_MOST = 8
"""Shared back-offs, and brief cooldowns, kept at once: a throttle of minutes. Our choice: what is heard later than that is rare."""
_USUAL = Policy()


def brief(cooldown: Cooldown, policy: Policy) -> bool:
    """Whether it may be of a refusal that named no quota: a guess, or a delay of at most an hour."""
    length = cooldown.until - cooldown.at
    return cooldown.source in ("retry-after", "default") and tidy(length) <= policy.throttle_hint_max


def excuses(one: Cooldown, other: Cooldown, policy: Policy) -> bool:
    """Whether ``one`` is a shared back-off, and ``other`` a brief cooldown that was learned just before it."""
    return (
        one.source == UPSTREAM and tidy(one.at - policy.throttle_within) <= other.at <= one.at and brief(other, policy)
    )


def joined(
    cooldowns: tuple[Cooldown, ...], new: Cooldown, ended: float, soft_ended: float, policy: Policy = _USUAL
) -> tuple[Cooldown, ...]:
    """The cooldowns that can still decide, the one that ends last first; ``ended`` and ``soft_ended`` are ends so far.

    What was learned before an end is over. Of two facts of one instant the later arrival stands.
    """
    if new.at < ended or (new.source in _SOFT and new.at < soft_ended):
        return cooldowns
    if any(_outlasts(c, new, policy) for c in cooldowns):
        return cooldowns
    kept = [c for c in cooldowns if not _outlasts(new, c, policy)]
    kept = sorted([*kept, new], key=lambda c: (-c.until, c.at, c.source))
    return tuple(kept if len(kept) <= _MOST else _few(kept, policy))


def _few(cooldowns: list[Cooldown], policy: Policy) -> list[Cooldown]:
    """At most so many of a kind: of the shared back-offs the newest, of the brief ones those that end last."""
    shared = sorted([c.at for c in cooldowns if c.source == UPSTREAM])[-_MOST:]
    short = [c for c in cooldowns if brief(c, policy)][:_MOST]
    return [c for c in cooldowns if (c.at in shared if c.source == UPSTREAM else c in short or not brief(c, policy))]


def _outlasts(one: Cooldown, other: Cooldown, policy: Policy) -> bool:
    """Whether ``other`` can never decide while ``one`` stands: it ends no later, and is ended by no less."""
    if excuses(one, other, policy):
        return True
    if one.until < other.until or one.at < other.at or (one.source in _SOFT and other.source not in _SOFT):
        return False
    if other.source == UPSTREAM:  # it also stands for what is still to be heard of, and nothing else does
        return one.source == UPSTREAM and one.at == other.at
    if other.until > one.at and brief(one, policy) and not (one.at == other.at and brief(other, policy)):
        return False  # what excuses the one may leave the other
    same = one.until == other.until and one.at == other.at and (one.source in _SOFT) == (other.source in _SOFT)
    ranked = [(c.source != UPSTREAM, brief(c, policy), c.source) for c in (one, other)]
    return not same or ranked[0] <= ranked[1]


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
