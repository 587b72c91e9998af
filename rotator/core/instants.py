"""Instants: text and numbers to epoch seconds, and back.

Inside rotator an instant is a float of seconds since the epoch. Refuses: durations, time zones of people, any clock.
"""

from __future__ import annotations

from datetime import UTC, datetime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MILLISECONDS_ABOVE = 1e11
"""A bare number above this is milliseconds: as seconds it would be the year 5138."""
_LATEST = 253_402_300_799.0
"""The last second of the year 9999, the end of RFC 3339."""

_texts: dict[float, str] = {}
"""Instants as they were last written: within one document most of them stand several times."""
_TEXTS_MAX = 4096


def parse(value: Any) -> float | None:
    """Epoch seconds of an RFC 3339 text, or of a number of epoch seconds or milliseconds; None when it is neither.

    A text without an offset is taken as UTC. Raises nothing.

    >>> parse("2026-11-20T10:00:00Z"), parse("2026-11-20t11:00:00+01:00"), parse(1795168800000), parse("soon")
    (1795168800.0, 1795168800.0, 1795168800.0, None)
    """
    if type(value) is str:
        try:
            instant = datetime.fromisoformat(value if value[-1:] != "z" else value[:-1] + "Z")
            if instant.tzinfo is None:
                instant = instant.replace(tzinfo=UTC)
            return instant.timestamp() if len(value) > 10 else None  # noqa: PLR2004  a bare date is no instant
        except (ValueError, OverflowError):
            return None
    if (type(value) is int or type(value) is float) and 0 <= value <= _LATEST * 1000:
        seconds = value / 1000 if value > _MILLISECONDS_ABOVE else float(value)
        return seconds if seconds <= _LATEST else None
    return None


def tidy(seconds: float) -> float:
    """Rounded to the millisecond, which is what a document holds; out of range is brought to the nearest end."""
    return round(min(max(seconds, 0.0), _LATEST), 3)


def rfc3339(seconds: float) -> str:
    """RFC 3339 in UTC with ``Z``; fractions only when there are any.

    >>> rfc3339(1795168800.0), rfc3339(1795168800.25)
    ('2026-11-20T10:00:00Z', '2026-11-20T10:00:00.250Z')
    """
    text = _texts.get(seconds)
    if text is None:
        instant = datetime.fromtimestamp(min(max(seconds, 0.0), _LATEST), UTC)
        micros = instant.microsecond
        spec = "seconds" if not micros else "milliseconds" if micros % 1000 == 0 else "microseconds"
        if len(_texts) >= _TEXTS_MAX:
            _texts.clear()
        text = _texts[seconds] = instant.isoformat(timespec=spec)[:-6] + "Z"
    return text


def aware(seconds: float) -> datetime:
    """The aware UTC datetime of an instant, for public values."""
    return datetime.fromtimestamp(min(max(seconds, 0.0), _LATEST), UTC)
