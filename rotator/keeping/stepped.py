"""Stepped: how stamps are read that lie in the future because the wall clock was set back.

Facts land by their own time, so after such a step a success "in an hour" would outweigh every refusal of that hour.
Refuses: to move what may rightly lie ahead (resets, holds, deadlines that a provider named), and to touch a stamp at all
unless it is more than ``TOLERATED_SECS`` ahead, since machines that share a file never agree to the second.
"""

from __future__ import annotations

from rotator.core.instants import tidy
from rotator.core.state import UPSTREAM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from rotator.core.signals import Signal
    from rotator.core.state import Cooldown, ModelState, Runtime, Window

TOLERATED_SECS = 60.0
_JUST_BEFORE_SECS = 0.001
"""A stamp is brought to one millisecond, the resolution of the file, before now: then a fact made now is newer."""
_STAMPS = ("quota_left_at", "released_at", "held_at")
_OWN = ("last_active_at", "blocked_at", "last_failure_at")
_OWN_OF_MODEL = ("last_429_at", "last_success_at", "updated_at")


def is_ahead(runtime: Runtime, now: float) -> bool:
    """Whether anything that is known was learned later than ``now`` can be."""
    limit = now + TOLERATED_SECS
    if _holder_ahead(runtime, limit):
        return True
    if runtime.last_active_at > limit or runtime.blocked_at > limit or runtime.last_failure_at > limit:
        return True
    for state in runtime.models.values():
        if state.last_429_at > limit or state.last_success_at > limit or state.updated_at > limit:
            return True
        if _holder_ahead(state, limit):
            return True
    return False


def _holder_ahead(holder: Runtime | ModelState, limit: float) -> bool:
    """Asked before every fact, so written out rather than read from the names above."""
    if holder.quota_left_at > limit or holder.released_at > limit or holder.held_at > limit:
        return True
    for cooldown in holder.cooldowns:
        if cooldown.at > limit:
            return True
    for window in holder.windows:  # noqa: SIM110  a generator costs twice as much
        if window.updated_at > limit or window.reset_updated_at > limit:
            return True
    return False


def brought_back(runtime: Runtime, now: float) -> Runtime:
    """The runtime in which nothing was learned after ``now``; their order is kept, as far as one instant can."""
    latest = tidy(now - _JUST_BEFORE_SECS)
    seen, selected = runtime.availability, runtime.selected
    return runtime.replace(
        **_back(runtime, _OWN, latest),
        availability=None if seen is None else seen.replace(checked_at=min(seen.checked_at, latest)),
        selected=None if selected is None else selected.replace(at=min(selected.at, latest)),
        polls={end: poll.replace(at=min(poll.at, latest)) for end, poll in runtime.polls.items()},
        sessions={key: min(used, latest) for key, used in runtime.sessions.items()},
        models={model: state.replace(**_back(state, _OWN_OF_MODEL, latest)) for model, state in runtime.models.items()},
    )


def facts_brought_back(signals: Iterable[Signal], name: str, now: float) -> list[Signal]:
    """The same facts, those about that account no later than just before ``now``."""
    latest = tidy(now - _JUST_BEFORE_SECS)
    return [s.replace(at=latest) if s.account == name and s.at > latest else s for s in signals]


def _back(holder: Runtime | ModelState, own: tuple[str, ...], latest: float) -> dict[str, Any]:
    changes: dict[str, Any] = {key: min(getattr(holder, key), latest) for key in (*_STAMPS, *own)}
    cooldowns = [_cooldown_back(cooldown, latest) for cooldown in holder.cooldowns]
    changes["cooldowns"] = tuple(sorted(cooldowns, key=lambda c: (-c.until, c.at, c.source)))
    changes["windows"] = tuple([_window_back(window, latest) for window in holder.windows])
    return changes


def _cooldown_back(cooldown: Cooldown, latest: float) -> Cooldown:
    """A delay moves with the instant from which it was counted; an instant that was named stays."""
    ahead = cooldown.at - latest
    if ahead <= 0:
        return cooldown
    until = cooldown.until - ahead if cooldown.source in ("retry-after", "default", UPSTREAM) else cooldown.until
    return cooldown.replace(at=latest, until=tidy(until))


def _window_back(window: Window, latest: float) -> Window:
    return window.replace(
        updated_at=min(window.updated_at, latest), reset_updated_at=min(window.reset_updated_at, latest)
    )
