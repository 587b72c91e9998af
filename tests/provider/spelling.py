"""How providers spell instants and durations, always rounded so that nobody who waits comes too early.

Refuses: asking what time it is.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache


def rfc3339(at: float) -> str:
    """Whole seconds, UTC, ``Z``: Anthropic's limits, Google's stamps."""
    return datetime.fromtimestamp(math.ceil(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_micro(at: float) -> str:
    """Microseconds and an offset: Anthropic's usage endpoint."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")


def go_duration(secs: float) -> str:
    """``7m12s``, ``1h0m0.5s``, ``577ms``: whole milliseconds."""
    millis = math.ceil(secs * 1000)
    if millis < 1000:
        return f"{millis}ms" if millis else "0s"
    minutes, rest = divmod(millis, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def whole(secs: float) -> str:
    """Delta-seconds of Retry-After."""
    return str(math.ceil(secs))


def http_date(at: float) -> str:
    return _http_date(int(at))


@lru_cache(maxsize=4)
def _http_date(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC), usegmt=True)
