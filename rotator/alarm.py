"""An alarm: one thread that sleeps until told, and rings.

Refuses: knowing what it rings for. It starts its thread at the first ``poke``, so that whoever never needs it pays nothing.
"""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_SLEEP_SECS = 15.0
"""Waits are cut into pieces of this length, so that a suspended machine or a stepped clock is noticed."""


class Alarm:
    """Calls ``ring`` whenever ``due`` (seconds from now, or None for never) says so.

    Both are called on the alarm's own thread, which is a daemon; an exception of ``ring`` is handed to ``failed``, and
    the alarm goes on.
    """

    def __init__(
        self, due: Callable[[], float | None], ring: Callable[[], None], failed: Callable[[BaseException], None]
    ) -> None:
        self._due = due
        self._ring = ring
        self._failed = failed
        self._poked = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def poke(self) -> None:
        """Ask again when to ring; starts the thread when there is none yet.

        Where no thread can be started (the interpreter is ending, or the system has none left), nothing rings.
        """
        if self._thread is None:
            with self._starting:
                self._start()
        self._poked.set()

    def _start(self) -> None:
        if self._thread is None and not self._stopping:
            thread = threading.Thread(target=self._run, name="rotator-alarm", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return
            self._thread = thread

    def stop(self) -> None:
        """End the thread and wait for what it is doing; it does not ring again."""
        self._stopping = True
        self._poked.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while not self._stopping:
            self._poked.clear()
            secs = self._due()
            if secs is None or secs > 0:
                self._poked.wait(LONGEST_SLEEP_SECS if secs is None else min(secs, LONGEST_SLEEP_SECS))
                continue
            try:
                self._ring()
            except Exception as error:  # noqa: BLE001  one bad ring must not silence the alarm
                self._failed(error)
                self._poked.wait(1.0)
