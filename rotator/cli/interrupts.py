"""Interrupts: the signals that ask a run to end, as the exception ``Ended``.

Refuses: what is done on the way out. A signal that was ignored when the program began (``nohup``, a job in the background)
stays ignored.
"""

from __future__ import annotations

import signal

from rotator.cli.endings import Ended

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, NoReturn

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """SIGINT, SIGTERM and SIGHUP raise ``Ended`` from ``catch`` until ``restore``."""

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}

    def catch(self) -> None:
        """Raise from now on."""
        for number in _ENDINGS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, _ended)

    def ignore(self) -> None:
        """Hear none of those that were caught, so that a second one cannot cut the clearing up short."""
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)

    def restore(self) -> None:
        """Handle each as before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _ended(number: int, _frame: FrameType | None) -> NoReturn:
    raise Ended(number)
