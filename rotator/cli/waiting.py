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
from rotator.cli.voice import local, printable, say_json, talk, whisper
from rotator.core.selection import Parked
from rotator.core.status import outcome_json
from rotator.errors import ParkTimeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

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
    opened = Opened(path_of(asked.accounts))
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

    def __call__(self, parked: Parked) -> None:
        """Show how long it will be, cut to the terminal's width."""
        left = max(0, round(parked.wake_at.timestamp() - time.time()))
        hours, rest = divmod(left, 3600)
        text = f"parked for {hours}:{rest // 60:02}:{rest % 60:02}, until {local(parked.wake_at)} {parked.explanation}"
        whisper(_CLEAR + printable(text)[: _columns() - 1], end="")

    def done(self) -> None:
        """Leave the line empty."""
        whisper(_CLEAR, end="")


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
        return max(os.get_terminal_size(sys.stderr.fileno()).columns, 20)
    except (OSError, ValueError):
        return 80
