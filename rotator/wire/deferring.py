"""Deferring: SIGTERM, SIGINT and SIGHUP wait until what must not be cut short is done.

Refuses: threads besides the main one, where Python handles no signals, and signals that no Python code set up. A second
SIGINT gets through: the person means it.
"""

from __future__ import annotations

import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Any, Self

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Deferred:
    """A context manager: what came within is handled at its end, as it would have been, unless handled by then."""

    def __init__(self) -> None:
        self._were: dict[int, Any] = {}
        self._came: list[int] = []

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if handler is None:
                continue
            try:
                signal.signal(number, self._note)
            except ValueError:  # not the main thread
                break
            self._were[number] = handler
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._restore()
        for number in dict.fromkeys(self._came):
            signal.raise_signal(number)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in self._came:
            self._came = [other for other in self._came if other != number]
            self._restore()
            signal.raise_signal(number)
            return
        self._came.append(number)

    def _restore(self) -> None:
        for number, handler in self._were.items():
            signal.signal(number, handler)
        self._were = {}
