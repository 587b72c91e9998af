"""Unlogged: requests of rotator's own, of which the HTTP library's loggers say nothing.

Refuses: the programs' own requests, whose logs are theirs.
"""

from __future__ import annotations

import logging
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


class Unlogged(threading.local):
    """A context manager for this thread: httpx logs each URL whole, and httpcore each answer's head, which may echo a key."""

    asks = False

    def __enter__(self) -> None:
        self.asks = True

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.asks = False


unlogged = Unlogged()
for _name in ("httpx", *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks"))):
    logging.getLogger(_name).addFilter(lambda _record: not unlogged.asks)
