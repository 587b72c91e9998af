"""Joining: what two engines know of one account when each learned without the other, as one state that loses neither's.

Refuses: to say when that is so (``lineage``), and to know a person's edits from what was never learned. Its laws, each a
property test: it is commutative; a state joined with itself or with one that it was built on by facts is that state's
readiness; and it is as ready as a replay of both sides' facts over what both began with. What a fact ended on one side is
told by when: an end that is news to the other side ends there what was learned before it. Two things left no instant, and
so what they ended stands on, if the other side still knew it, until its deadline: a person's edit that took it out, and a
success elsewhere in the quota group.
"""

from __future__ import annotations

from zlib import crc32

from rotator.core.cooldowns import joined, without
from rotator.core.lineage import KEPT
from rotator.core.state import SUPERSEDED_MAX, UNKNOWN_MODEL, ModelState, Runtime, Window
from rotator.core.windows import forgotten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rotator.core.policy import Policy
    from rotator.core.state import Cooldown, Poll

_FLAGS = ("banned", "restricted", "auth_failed")


def join(one: Runtime, other: Runtime, policy: Policy) -> Runtime:
    """What both know; ``rev`` is above both, and its line names both, so that each side takes it for news.

    Counters are those of the side with the later news; of tokens spent since one reading the higher number counts.
    """
    if one == other:
        return one
    ended, released_at = max(_ended(one), _ended(other)), max(one.released_at, other.released_at)
    sides = [_told(side, ended, released_at, policy) for side in (one, other)]
    first, second = sides
    quota_left_at = max(one.quota_left_at, other.quota_left_at)
    return first.replace(
        rev=max(one.rev, other.rev) + 1,
        last_active_at=max(one.last_active_at, other.last_active_at),
        **_blocks(first, second),
        released_at=released_at,
        **_hold(one, other, released_at),
        **_counters(one, other),
        cooldowns=_cooldowns((one, _ended(one)), (other, _ended(other)), quota_left_at, policy),
        quota_left_at=quota_left_at,
        windows=_windows(first.windows, second.windows),
        availability=_latest([s.availability for s in sides], lambda seen: (seen.checked_at, not seen.ok, seen.reason)),
        selected=_latest([s.selected for s in sides], lambda s: (s.at, s.previous or "", s.reason, s.shadow or "")),
        sessions=_sessions(one, other, policy),
        polls=_polls(one, other),
        superseded=_tokens(one, other),
        models=_models(one, other, policy),
        **_line(one, other),
    )


def _ended(runtime: Runtime) -> float:
    return max(runtime.last_success_at(), runtime.released_at)


def _told(side: Runtime, ended: float, released_at: float, policy: Policy) -> Runtime:
    """A side that has heard of the last end and the last release of both."""
    changes: dict[str, Any] = {}
    if ended > _ended(side) and ended >= side.blocked_at:
        changes = {**dict.fromkeys(_FLAGS, False), "blocked_reason": "", "blocked_at": 0.0}
    if released_at > side.released_at:
        changes["windows"] = forgotten(side.windows, released_at, policy)
        if side.availability is not None and released_at >= side.availability.checked_at:
            changes["availability"] = None
    return side.replace(**changes)


def _blocks(one: Runtime, other: Runtime) -> dict[str, Any]:
    later = max(one, other, key=lambda side: (side.blocked_at, side.blocked_reason))
    flags = {flag: getattr(one, flag) or getattr(other, flag) for flag in _FLAGS}
    return {**flags, "blocked_reason": later.blocked_reason, "blocked_at": later.blocked_at}


def _hold(one: Runtime | ModelState, other: Runtime | ModelState, released_at: float) -> dict[str, Any]:
    """The latest hold, unless a release that its side has not heard of came later."""
    until = [float("inf") if side.held_until is None else side.held_until for side in (one, other)]
    ranked = [(s.held_at, s.released_at, s.held, u) for s, u in zip((one, other), until, strict=True)]
    side = one if ranked[0] >= ranked[1] else other
    if side.released_at < released_at and side.held_at <= released_at:
        return {"held": False, "held_until": None, "held_at": side.held_at}
    return {"held": side.held, "held_until": side.held_until, "held_at": side.held_at}


def _counters(one: Runtime, other: Runtime) -> dict[str, Any]:
    keys = ("consecutive_401", "consecutive_403", "consecutive_failures")
    first, second = [max(side.last_failure_at, _ended(side)) for side in (one, other)]
    counts = {key: _of_the_later(first, getattr(one, key), second, getattr(other, key)) for key in keys}
    return {**counts, "last_failure_at": max(one.last_failure_at, other.last_failure_at)}


def _of_the_later(first: float, one: Any, second: float, other: Any) -> Any:
    """The value of the side with the later news; of two as late the higher one, where None is lowest."""
    if first != second:
        return one if first > second else other
    return other if one is None else one if other is None else max(one, other)


def _latest(values: list[Any], key: Any) -> Any:
    return max([value for value in values if value is not None], key=key, default=None)


def _cooldowns(
    one: tuple[Runtime | ModelState, float],
    other: tuple[Runtime | ModelState, float],
    soft_ended: float,
    policy: Policy,
) -> tuple[Cooldown, ...]:
    """Of each side (with the instant of its own last end) those that no news of the other ended, and that may decide."""
    ended = max(one[1], other[1])
    found: tuple[Cooldown, ...] = ()
    for side, own in (one, other):
        left = without(side.cooldowns, ended) if ended > own else side.cooldowns
        left = without(left, soft_ended, soft_only=True) if soft_ended > side.quota_left_at else left
        for cooldown in left:
            found = joined(found, cooldown, -1.0, -1.0, policy)
    return found


def _windows(one: tuple[Window, ...], other: tuple[Window, ...]) -> tuple[Window, ...]:
    known = {window.name: window for window in one}
    for window in other:
        known[window.name] = _window(known[window.name], window) if window.name in known else window
    return tuple([known[name] for name in sorted(known)])


def _window(one: Window, other: Window) -> Window:
    """What was left and when it ends are two registers; each is that of the side which was told last."""
    read = max(one, other, key=_reading)
    ends = max(one, other, key=lambda w: (w.reset_updated_at, w.reset_time is not None, w.reset_time or 0.0))
    measured = max(one, other, key=_measured)
    lengths = [w.length_secs for w in (one, other) if w.length_secs is not None]
    return Window(
        one.name,
        read.remaining_fraction,
        ends.reset_time,
        max(lengths, default=None),
        read.updated_at,
        ends.reset_updated_at,
        max([w.spent_tokens for w in (one, other) if w.updated_at == read.updated_at]),
        _known_later(one, other, "capacity_tokens"),
        _known_later(one, other, "kind"),
        measured.measured_from,
        measured.measured_tokens,
    )


def _known_later(one: Window, other: Window, key: str) -> Any:
    """What the later reading knows of it, else what the other one does."""
    first, second = getattr(one, key), getattr(other, key)
    return _of_the_later(one.updated_at, first, other.updated_at, second) or first or second


def _measured(window: Window) -> tuple[float, float, int]:
    return window.updated_at, -1.0 if window.measured_from is None else window.measured_from, window.measured_tokens


def _reading(window: Window) -> tuple[float, bool, float]:
    left = window.remaining_fraction
    return window.updated_at, left is not None, -(left or 0.0)


def _sessions(one: Runtime, other: Runtime, policy: Policy) -> dict[str, float]:
    used = {
        key: max(one.sessions.get(key, 0.0), other.sessions.get(key, 0.0)) for key in {*one.sessions, *other.sessions}
    }
    newest = sorted(used, key=lambda key: (-used[key], key))[: policy.sessions_max]
    return {key: used[key] for key in sorted(newest)}


def _polls(one: Runtime, other: Runtime) -> dict[str, Poll]:
    """Of each endpoint the latest answer; of two of one instant the one that failed more."""
    asked = sorted({*one.polls, *other.polls})
    sides = {endpoint: [s.polls[endpoint] for s in (one, other) if endpoint in s.polls] for endpoint in asked}
    return {endpoint: max(polls, key=lambda p: (p.at, p.failures, p.until)) for endpoint, polls in sides.items()}


def _tokens(one: Runtime, other: Runtime) -> tuple[str, ...]:
    """The hashes that either side knows, those of the side that was written first the oldest."""
    earlier, later = sorted((one, other), key=lambda side: (side.rev, side.superseded))
    kept = [token for token in earlier.superseded if token not in later.superseded]
    return (*kept, *later.superseded)[-SUPERSEDED_MAX:]


def _models(one: Runtime, other: Runtime, policy: Policy) -> dict[str, ModelState]:
    both = sorted({*one.models, *other.models})
    return {model: _model(_of(one, model), _of(other, model), policy) for model in both}


def _of(side: Runtime, model: str) -> ModelState:
    """What a side knows of a model, by what ended there for all of them."""
    state = side.models.get(model, UNKNOWN_MODEL)
    return state if state.released_at >= side.released_at else state.replace(released_at=side.released_at)


def _model(one: ModelState, other: ModelState, policy: Policy) -> ModelState:
    released_at, quota_left_at = max(one.released_at, other.released_at), max(one.quota_left_at, other.quota_left_at)
    sides = [
        forgotten(s.windows, released_at, policy) if released_at > s.released_at else s.windows for s in (one, other)
    ]
    ends = [max(side.last_success_at, side.released_at) for side in (one, other)]
    told = [max(side.last_429_at, end) for side, end in zip((one, other), ends, strict=True)]
    refused = one.last_429_at, other.last_429_at
    raw, client = (
        _of_the_later(refused[0], getattr(one, key), refused[1], getattr(other, key))
        for key in ("last_retry_delay_secs_raw", "last_retry_delay_secs_client")
    )
    return ModelState(
        windows=_windows(*sides),
        cooldowns=_cooldowns((one, ends[0]), (other, ends[1]), quota_left_at, policy),
        quota_left_at=quota_left_at,
        released_at=released_at,
        **_hold(one, other, released_at),
        last_retry_delay_secs_raw=raw,
        last_retry_delay_secs_client=client,
        consecutive_429=_of_the_later(told[0], one.consecutive_429, told[1], other.consecutive_429),
        last_429_at=max(refused),
        last_success_at=max(one.last_success_at, other.last_success_at),
        confidence=_of_the_later(one.updated_at, one.confidence, other.updated_at, other.confidence),
        updated_at=max(one.updated_at, other.updated_at),
        request_tokens=_of_the_later(
            one.last_success_at, one.request_tokens, other.last_success_at, other.request_tokens
        ),
        refused_since=_since(one, other),
    )


def _since(one: ModelState, other: ModelState) -> float:
    """The earlier beginning of a row of refusals that no success of either side ended."""
    served_at = max(one.last_success_at, other.last_success_at)
    return min([side.refused_since for side in (one, other) if side.refused_since > served_at], default=0.0)


def _line(one: Runtime, other: Runtime) -> dict[str, str]:
    """A seal of its own for a state that no file held yet, and the line of both sides, newest first."""
    lines = [[side.seal, *side.sealed_over.split()] for side in sorted((one, other), key=lambda s: (-s.rev, s.seal))]
    both = [seals[place] for place in range(KEPT + 1) for seals in lines if place < len(seals) and seals[place]]
    seals = sorted({one.seal, other.seal})
    return {"seal": f"{crc32(' '.join(seals).encode()):08x}", "sealed_over": " ".join(dict.fromkeys(both[:KEPT]))}
