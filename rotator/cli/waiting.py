"""Waiting at a terminal: parks on the engine, shows how long it will be, and ends as soon as it is asked to.

Refuses: deciding when to wake; the engine does.
"""

from __future__ import annotations

import os
import sys
import time

from rotator.cli.accounts import path_of
from rotator.cli.next import parked_line, tell
from rotator.cli.opening import Opened
from rotator.cli.voice import in_zone, printable, say_json, talk, whisper
from rotator.core.selection import Parked
from rotator.core.status import outcome_json
from rotator.errors import ParkTimeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, tzinfo

    from rotator.cli.options import Asked
    from rotator.engine import Rotator

_LINE_EVERY_SECS = 60.0
"""Our choice: a log of a night's wait stays readable, and still shows that it lives."""
_CLEAR = "\r\x1b[K"


def wait(asked: Asked, timeout: float | None) -> int:
    """Wait until somebody is ready, for at most ``timeout`` seconds, and tell; its exit code.

    When the time ran out, the decision as it stands is told, as JSON where that was asked for. Raises Ended on a signal.
    """
    terminal = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    shown: Countdown | Lines = Countdown() if terminal else Lines(time.monotonic)
    opened = Opened(path_of(asked.accounts), asked.record)
    with opened as rotator:
        try:
            outcome = rotator.wait(asked.model, timeout=timeout, session=asked.session, tags=asked.tags, progress=shown)
        except ParkTimeout as error:
            shown.done()
            return _gave_up(error, rotator, asked)
        except BaseException:
            shown.done()
            raise
        shown.done()
    return tell(outcome, asked, durable=opened.durable)


def _gave_up(error: ParkTimeout, rotator: Rotator, asked: Asked) -> int:
    """Tell that time ran out, and how things stand now."""
    now = rotator.explain(asked.model, session=asked.session, tags=asked.tags)
    if asked.json:
        say_json(outcome_json(now, durable=rotator.durable))
    talk(f"time ran out, {parked_line(now)}" if isinstance(now, Parked) else str(error))
    return error.exit_code


class Countdown:
    """One line of a terminal that counts down."""

    def __init__(self) -> None:
        self._first: tuple[datetime, str] | None = None
        """Who is ready first, and when: looked for anew when the wake time changes, since a pool may be large."""

    def __call__(self, parked: Parked) -> None:
        """Show until when, how long that is and who it will be, cut to the terminal's width."""
        wake_at = parked.wake_at
        if self._first is None or self._first[0] != wake_at:
            self._first = wake_at, _first_ready(parked)
        text = countdown(wake_at.timestamp(), time.time(), self._first[1])
        whisper(_CLEAR + _cut(text, _columns() - 1), end="")

    def done(self) -> None:
        """Leave the line empty."""
        whisper(_CLEAR, end="")


def countdown(until: float, now: float, name: str, zone: tzinfo | None = None) -> str:
    """The line that counts down to ``until`` (epoch seconds); the minute is rounded up, so that nobody comes too early.

    >>> from datetime import UTC
    >>> countdown(1795171200.0, 1795167603.2, "a@example.com", UTC)
    'parked until 10:40 (0:59:57 left): first ready a@example.com'
    >>> countdown(1795257600.0, 1795167603.0, "a@example.com", UTC)
    'parked until Nov 21 10:40 (24:59:57 left): first ready a@example.com'
    """
    hours, rest = divmod(max(0, -int(-(until - now) // 1)), 3600)
    end, today = in_zone(-(-until // 60) * 60, zone), in_zone(now, zone)
    spec = "%H:%M" if end.date() == today.date() else "%b %d %H:%M" if end.year == today.year else "%Y-%m-%d %H:%M"
    return printable(
        f"parked until {end.strftime(spec)} ({hours}:{rest // 60:02}:{rest % 60:02} left): first ready {name}"
    )


def _first_ready(parked: Parked) -> str:
    waiting = [(each.ready_at, each.account) for each in parked.candidates if each.ready_at is not None]
    return min(waiting, key=lambda pair: pair[0])[1]


def _cut(text: str, columns: int) -> str:
    """The text in at most so many columns, with … for what is missing; some letters take two."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= columns else set_cell_size(text, columns - 1).rstrip() + "…"


class Lines:
    """A line at once, and another each minute; ``monotonic`` is in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._next_at = monotonic()

    def __call__(self, parked: Parked) -> None:
        """Write a line when it is time for one."""
        now = self._monotonic()
        if now >= self._next_at:
            self._next_at = now + _LINE_EVERY_SECS
            talk(parked_line(parked))

    def done(self) -> None:
        """Leave what was written."""


def _columns() -> int:
    try:
        told = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        told = 0
    return max(told, 20) if told else 80  # 0 is a terminal that was never told its size
