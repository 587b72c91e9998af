"""What one account is doing, as the short texts that `rotator status` shows; instants in the reader's own zone.

Refuses: layout and colour (``screen``), deciding. Whatever came from the file is made printable first.
"""

from __future__ import annotations

from rotator.cli.voice import in_zone, printable
from rotator.core.explain import binding, duration, percent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from rotator.core.selection import Candidate
    from rotator.core.state import Account, Window

_DAY_SECS = 86400.0
_YEAR_SECS = 360 * _DAY_SECS
"""From here on a date without its year could mean two; a little less than a year."""
_IN_TURN = ("round_robin", "chain")
"""Reasons of a choice that no score made."""
_SOURCES = {"default": "guessed wait"}
_DEFAULT_WINDOW = "default"
"""The name a window has when its provider gave none: nothing to tell."""


class Zone:
    """How instants (epoch seconds) are shown at ``now``: local unless ``zone`` is given, with the offset said once.

    >>> from datetime import UTC
    >>> zone = Zone(1795168800.0, UTC)
    >>> zone.offset, zone.time(1795171200.0), zone.when(1795171200.0)
    ('+00:00', '10:40', '10:40, in 40 min')
    """

    def __init__(self, now: float, zone: tzinfo | None = None) -> None:
        self.now = now
        self._zone = zone
        self.offset = self._offset(self._local(now))

    def _local(self, instant: float) -> datetime:
        return in_zone(instant, self._zone)

    @staticmethod
    def _offset(local: datetime) -> str:
        text = local.strftime("%z")
        return f"{text[:3]}:{text[3:5]}"

    def time(self, instant: float) -> str:
        """Time of day, with its date when that is a day away, and its offset where clocks will have been changed."""
        local = self._local(instant)
        away = abs(instant - self.now)
        if away >= _YEAR_SECS:
            return local.strftime("%Y-%m-%d")
        spec = "%H:%M" if away < _DAY_SECS else "%b %d %H:%M"
        offset = self._offset(local)
        return local.strftime(spec) + (offset if offset != self.offset else "")

    def when(self, instant: float) -> str:
        """Time of day and how long that is from now."""
        return f"{self.time(instant)}, {self.away(instant)}"

    def away(self, instant: float) -> str:
        """How long that is from now."""
        return f"in {duration(instant - self.now)}"


def why(candidate: Candidate, chosen: Candidate | None) -> str:
    """Why it was or was not chosen: ``best score``, ``not its turn``, or ``lower tier: emergency``."""
    reason = (candidate.selection_reason or "").replace("_", " ")
    if reason == "lower score" and chosen is not None and chosen.selection_reason in _IN_TURN:
        return "not its turn"
    if candidate.selection_reason != "lower_tier" or chosen is None:
        return reason
    (emergency, priority, reserve), best = candidate.tier, chosen.tier
    if emergency > best[0]:
        return f"{reason}: emergency"
    if priority > best[1]:
        return f"{reason}: priority {priority}"
    return f"{reason}: below reserve" if reserve > best[2] else reason


def known(account: Account, model: str, zone: Zone, *, active: bool) -> list[str]:
    """What is known of the account and stands in no other cell, a few words each."""
    state, runtime = account.state(model), account.runtime
    parts = ["in use"] if active else []
    if runtime.blocked_reason:
        parts.append(printable(runtime.blocked_reason))
    counts = {
        "401": runtime.consecutive_401,
        "403": runtime.consecutive_403,
        "5xx": runtime.consecutive_failures,
        "429": state.consecutive_429,
    }
    parts += [f"{status} × {count}" for status, count in counts.items() if count]  # noqa: RUF001  for people
    blocks = [each[0] for each in (runtime.cooldowns, state.cooldowns) if each and each[0].until > zone.now]
    sources = dict.fromkeys(block.source for block in blocks)
    parts += [_SOURCES.get(source) or f"cooldown from {printable(source)}" for source in sources]
    probe = runtime.availability
    if probe is not None and not probe.ok and probe.reason:
        parts.append(f"probe failed: {printable(probe.reason)}")
    if state.last_success_at:
        parts.append(f"last success {duration(zone.now - state.last_success_at)} ago")
    tightest = binding(account, model, zone.now)[1]
    windows = runtime.windows + state.windows
    return parts + [_window(w, zone) for w in windows if w is not tightest and w.left() is not None]


def window_name(window: Window | None) -> str:
    """Its name, unless that is no news."""
    return printable(window.name) if window is not None and window.name != _DEFAULT_WINDOW else ""


def _window(window: Window, zone: Zone) -> str:
    name, reset = window_name(window) or "quota", window.reset_time
    if reset is not None and reset <= zone.now:
        return f"{name} was reset"
    return f"{name} {percent(window.left() or 0.0)} left" + (f" until {zone.time(reset)}" if reset else "")
