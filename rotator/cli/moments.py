"""Lengths of time and instants as people type them: ``1h30m``, ``17:30``, ``2026-11-20 17:30``, RFC 3339.

Refuses: any clock; the caller says what time it is.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_LENGTH = re.compile(rf"(?:{_NUMBER}[smhdw])+")
_PART = re.compile(rf"({_NUMBER})([smhdw])")
_TIME_OF_DAY = re.compile(r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?")


def seconds(text: str) -> float | None:
    """The length in seconds of ``90``, ``30s``, ``15m``, ``5h``, ``2d``, ``1w`` or parts of these in a row; None for other texts.

    >>> seconds("90"), seconds("1h30m"), seconds("0.5d"), seconds("soon"), seconds("-5")
    (90.0, 5400.0, 43200.0, None, None)
    """
    if re.fullmatch(_NUMBER, text):
        return float(text)
    if not _LENGTH.fullmatch(text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def instant(text: str, now: datetime) -> datetime | None:
    """The aware instant of an RFC 3339 time, of a local ``YYYY-MM-DD HH:MM[:SS]``, or of the next local ``HH:MM[:SS]``.

    A time without an offset is local. ``now`` is aware. None for other texts.

    >>> from datetime import UTC
    >>> instant("2026-11-20T17:30:00+01:00", datetime(2026, 11, 20, tzinfo=UTC)).astimezone(UTC).isoformat()
    '2026-11-20T16:30:00+00:00'
    """
    try:
        if not _TIME_OF_DAY.fullmatch(text):
            found = datetime.fromisoformat(text)
            return found.astimezone() if len(text) > len("2026-11-20") else None
        here = now.astimezone().replace(tzinfo=None)
        hour, minute, second = [*map(int, text.split(":")), 0][:3]
        wanted = here.replace(hour=hour, minute=minute, second=second, microsecond=0)
        return (wanted if wanted > here else wanted + timedelta(days=1)).astimezone()
    except (ValueError, OverflowError, OSError):
        return None
