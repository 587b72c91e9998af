"""Metering: what own traffic teaches of a window beyond its readings: what went since, how much it holds, of what kind it is.

Refuses: what is left and when it resets, which only readings tell (``windows``). Readings are rounded and may be old, so a
value that is shown again says nothing: tokens count from the reading at which it last changed.
"""

from __future__ import annotations

from rotator.core.state import Window

TYPE_CHECKING = False

_NOISE = 0.011
"""A rise of what is left by at most a rounded per cent is none."""
_SAME_INSTANCE_SECS = 60.0
"""Resets that differ by less are one, told twice."""
_MEASURABLE = 0.05
"""Smallest fall of what is left from which a capacity is told: answers that come together tell of each other's tokens early."""
_TRUSTED = 0.1
"""Fall from which a measured capacity corrects one that is known already, by the more the longer it is."""
_SHORT = 3600.0
"""Windows of at most an hour refill all the time; what falls and what refills cannot be told apart by two readings alone."""
_NEW_SHARE = 0.3
"""Share of a newly measured capacity in a known one."""
_LATE_SECS = 300.0
"""A window that begins so long after its reset began with a request; one that had begun so long before it was heard of
began by a calendar."""
_SPENT = 0.1
"""Used fraction from which the way in which a window goes on after a reset tells of what kind it is."""
_STAYED = 0.6
"""Share of the used fraction that is left after a reset, from which it was none: the window slides."""


def ledger(old: Window, left: float, reset: float | None, at: float) -> tuple[int, float | None, int, int | None]:
    """Spent tokens, measured from, measured tokens and capacity after a reading at ``at`` of ``left`` and ``reset``."""
    was, capacity = old.remaining_fraction, old.capacity_tokens
    if reset is not None and reset <= at:
        return old.spent_tokens, old.measured_from, old.measured_tokens, capacity
    if (old if reset is None else old.replace(reset_time=reset, updated_at=at)).length() <= _SHORT:
        return 0, None, 0, capacity if was is None else _refilling(old, was, left, at)
    if was is None or old.left() is None:
        return 0, left, 0, capacity
    moved = reset is not None and old.reset_time is not None and reset - old.reset_time > _SAME_INSTANCE_SECS
    if old.kind != "rolling" and (moved or (reset is None and left > was + _NOISE)):
        return 0, left, 0, capacity
    if left >= was:
        return old.spent_tokens, old.measured_from, old.measured_tokens, capacity
    if old.measured_from is None:
        return 0, left, 0, capacity
    fall = old.measured_from - left
    if old.measured_tokens and fall >= (_MEASURABLE if capacity is None else _TRUSTED):
        seen = old.measured_tokens / fall
        capacity = max(round(seen if capacity is None else capacity + _NEW_SHARE * fall * (seen - capacity)), 1)
        if old.kind == "rolling":
            return 0, left, 0, capacity
    return 0, old.measured_from, old.measured_tokens, capacity


def _refilling(old: Window, was: float, left: float, at: float) -> int | None:
    """The capacity of a window that refills evenly, by what was spent against what it lost more than it gained."""
    gained = min(was + (at - old.updated_at) / old.length(), 1.0)
    if not old.spent_tokens or gained - left < _MEASURABLE:
        return old.capacity_tokens
    seen = old.spent_tokens / (gained - left)
    known = old.capacity_tokens
    return max(round(seen if known is None else known + _NEW_SHARE * (seen - known)), 1)


def kind_of(old: Window, left: float | None, reset: float, at: float) -> str | None:
    """The kind of a window whose reading at ``at`` tells another reset: how it went on after the last one tells."""
    length, ended, was = old.length(), old.reset_time, old.remaining_fraction
    if length <= _SHORT or ended is None or at < ended or reset <= ended:
        return old.kind
    if was is not None and left is not None and 1 - was >= _SPENT:
        if 1 - left >= _STAYED * (1 - was) and at - ended < length / 50:
            return "rolling"
        if old.kind == "rolling" and 1 - left >= _SPENT:
            return old.kind
    gap = reset - length - ended
    if gap < -_SAME_INSTANCE_SECS:
        return old.kind
    off = gap % length
    if min(off, length - off) > _SAME_INSTANCE_SECS:
        return "first_use" if gap >= _LATE_SECS else old.kind
    return "fixed" if at - reset + length >= _LATE_SECS and old.kind != "rolling" else old.kind
