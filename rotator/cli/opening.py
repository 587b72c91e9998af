"""The engine as a command uses it: its warnings on stderr, and flushed whatever ends the run.

Refuses: a thread; a command does what is due when it closes.
"""

from __future__ import annotations

import logging

from rotator.cli.interrupts import Interrupts
from rotator.cli.voice import talk
from rotator.clock import MachineClock
from rotator.engine import Rotator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


class _Talk(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        talk(record.getMessage())


class Opened:
    """An engine on the file, as a context manager; inside it SIGINT, SIGTERM and SIGHUP raise ``Ended``.

    A signal that was ignored when the program began (``nohup``, a job in the background) stays ignored. Raises what
    ``Rotator.open`` raises. However it is left, what was learned is flushed, once; then ``durable`` says whether that
    reached the disk, and ``failed`` that the disk or the lock refused it (rather than the file being read-only).
    ``record`` is a log of what is chosen and learned.
    """

    durable = False
    failed = False

    def __init__(self, path: str, record: str | None = None) -> None:
        self._handler = _Talk()
        self._interrupts = Interrupts()
        self._log = logging.getLogger("rotator")
        self._log.addHandler(self._handler)
        try:
            self._rotator = Rotator.open(path, clock=MachineClock(), record=record)
        except BaseException:
            self._log.removeHandler(self._handler)
            raise

    def __enter__(self) -> Rotator:
        self._interrupts.catch()
        return self._rotator

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        # not close(), which would flush again and, behind a lock that is held, wait once more: there is no thread to stop
        try:
            self.durable = self._rotator.flush()
            self.failed = not self.durable and self._rotator.file_state().mode != "memory"
        finally:
            self._log.removeHandler(self._handler)
            self._interrupts.restore()
