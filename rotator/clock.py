"""The machine's clock, behind the three questions that the engine asks of any clock.

Refuses: time zones, the sleeping of anybody but its caller.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import Event
    from typing import Protocol

    class Clock(Protocol):
        """What an engine is told the time by; give your own to simulate."""

        def now(self) -> datetime:
            """The wall clock, an aware UTC datetime; it may step."""

        def monotonic(self) -> float:
            """Seconds that never run backwards nor step; timeouts are counted by them, so best with those of a suspend."""

        def wait(self, event: Event, secs: float) -> bool:
            """Sleep for at most ``secs`` seconds, or until the event is set; whether it is."""


_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)
"""Linux's monotonic clock that runs on while the machine is suspended; other systems' may stand still."""


class MachineClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """The wall clock, an aware UTC datetime."""
        return datetime.now(UTC)  # noqa: TID251  this is the clock

    def monotonic(self) -> float:
        """Seconds since some instant; with those of a suspend, where the machine has a clock that counts them."""
        return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)

    def wait(self, event: Event, secs: float) -> bool:
        """Sleep for at most ``secs`` seconds, or until the event is set; whether it is."""
        return event.wait(secs)
