"""Windows: how readings of quota join, in whatever order they arrive.

Refuses: what a reading ends or blocks (``transitions``). What was left and when it resets are two registers, each with the
instant at which it was last told.
"""

from __future__ import annotations

from rotator.core.instants import tidy
from rotator.core.state import COUNT_MAX, Window

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.policy import Policy


def _merged(old: Window | None, new: Window, at: float, spent_below: float | None) -> Window:
    """A window after a reading: what was left and when it resets are each the latest word on that.

    ``spent_below`` is the fraction at or under which the reading counts as forgotten, None when nothing does.
    """
    from rotator.core.metering import kind_of, ledger  # who chooses without news needs none

    if old is None:
        old = Window(new.name)
    lengths = [length for length in (old.length_secs, new.length_secs) if length is not None]
    known = old.replace(length_secs=max(lengths)) if lengths else old
    told = None if new.reset_time is None else tidy(new.reset_time)
    left, updated_at, kind = old.remaining_fraction, old.updated_at, old.kind
    metered = old.spent_tokens, old.measured_from, old.measured_tokens, old.capacity_tokens
    if new.remaining_fraction is not None and (
        at > updated_at or (at == updated_at and (left is None or new.remaining_fraction < left))
    ):
        left, updated_at = round(new.remaining_fraction, 6), at
        metered = ledger(known, left, told, at)
        if spent_below is not None and left <= spent_below:
            left = None
    reset, reset_at = old.reset_time, old.reset_updated_at
    if told is not None and (at > reset_at or (at == reset_at and (reset is None or told > reset))):
        reset, reset_at = told, at
        kind = kind_of(known, left, told, at)
    return Window(
        new.name,
        left,
        reset,
        max(lengths, default=None),
        updated_at,
        reset_at,
        metered[0],
        new.capacity_tokens or metered[3],
        new.kind or kind,
        metered[1],
        metered[2],
    )


def observed(
    windows: tuple[Window, ...], news: tuple[Window, ...], at: float, released_at: float, policy: Policy
) -> tuple[Window, ...]:
    """The windows after a reading, by name; one that it does not name stays as it was.

    What a reading from before the last release shows as spent is forgotten, as ``forgotten`` does when it comes first.
    """
    known = {window.name: window for window in windows}
    for new in news:
        known[new.name] = _merged(known.get(new.name), new, at, policy.exhausted_below if at <= released_at else None)
    return tuple([known[name] for name in sorted(known)])


def charged(windows: tuple[Window, ...], tokens: int, at: float) -> tuple[Window, ...]:
    """The windows after ``tokens`` went from them at ``at``; a window read later than that knows of them already.

    They count up to ``COUNT_MAX``.
    """
    if not tokens:
        return windows
    return tuple(
        [
            w.replace(
                spent_tokens=min(w.spent_tokens + tokens, COUNT_MAX),
                measured_tokens=0 if w.measured_from is None else min(w.measured_tokens + tokens, COUNT_MAX),
            )
            if w.updated_at <= at
            else w
            for w in windows
        ]
    )


def spent(windows: tuple[Window, ...]) -> list[tuple[str, float]]:
    """Name and reset of every window in which nothing was left; where the reset is not known, when that was seen."""
    return [
        (w.name, w.updated_at if w.reset_time is None else w.reset_time)
        for w in windows
        if w.remaining_fraction is not None and w.remaining_fraction <= 0
    ]


def shows_quota(windows: tuple[Window, ...]) -> bool:
    """Whether a reading says that something is left in every window whose rest it tells."""
    known = [w.remaining_fraction for w in windows if w.remaining_fraction is not None]
    return bool(known) and min(known) > 0


def forgotten(windows: tuple[Window, ...], at: float, policy: Policy) -> tuple[Window, ...]:
    """The windows without what said by ``at`` that they are spent: who releases an account says that it can serve."""
    below = policy.exhausted_below
    return tuple(
        [
            w.replace(remaining_fraction=None)
            if w.remaining_fraction is not None and w.remaining_fraction <= below and w.updated_at <= at
            else w
            for w in windows
        ]
    )
