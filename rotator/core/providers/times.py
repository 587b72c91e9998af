"""The spellings of time that providers use: HTTP-date, Go and protobuf durations, epochs, words, dates in text.

Refuses: asking what time it is; a delay that is negative, infinite or not a number; an instant that cannot be meant.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

FARTHEST = timedelta(days=400)
"""An instant farther from now is a mistake of unit or of clock: the longest window met is a month. Our choice."""

SAME_NEWS_SECS = 2.0
"""A delay and the wait for a reset this close are the same news: whole seconds, rounded on either side. Our choice."""

EPOCH_SECONDS_FROM = 1e9
"""A bare number above this is an instant: as a delay it would be 31 years."""

EPOCH_MILLISECONDS_FROM = 1e11
"""A bare number above this is milliseconds: seconds reach it in the year 5138."""

_SECONDS = {
    **dict.fromkeys(("ns",), 1e-9),
    **dict.fromkeys(("us", "µs", "μs"), 1e-6),
    **dict.fromkeys(("ms", "millisecond"), 1e-3),
    **dict.fromkeys(("s", "sec", "second"), 1.0),
    **dict.fromkeys(("m", "min", "minute"), 60.0),
    **dict.fromkeys(("h", "hr", "hour"), 3600.0),
    **dict.fromkeys(("d", "day"), 86400.0),
    **dict.fromkeys(("w", "week"), 604800.0),
}
_AMOUNT = r"(\d{1,18}(?:\.\d{1,18})?)"
_GO_PART = re.compile(_AMOUNT + r"(ns|us|µs|μs|ms|s|m|h|d)", re.ASCII)
_WORD_PART = re.compile(
    _AMOUNT
    + r"\s?(milliseconds?|seconds?|minutes?|hours?|days?|weeks?|secs?|mins?|hrs?|ns|us|µs|μs|ms|s|m|h|d|w)(?![a-z])"
    + r"(?:,?\s?(?:and\s)?)?",
    re.ASCII | re.IGNORECASE,
)
_ANNOUNCEMENT = re.compile(
    r"\b(?:(resets?)|retry|try again|wait)\s(?:after\s|in\s|for\s)?(?:about\s)?(?=\d)", re.ASCII | re.IGNORECASE
)
_COUNTS = re.compile(r"\d{1,9}(?:\.\d{1,9})?(?:\s*,\s*\d{1,9}(?:\.\d{1,9})?)+", re.ASCII)
_ZONE = re.compile(r" ?(?:UTC|GMT)\Z", re.ASCII)
_REGAIN = re.compile(r"\bon (\d{4}-\d\d-\d\d)(?: at (\d\d:\d\d)(?::\d\d)?)?", re.ASCII | re.IGNORECASE)


def number(value: object) -> float | None:
    """A finite number from a number or its text; anything else, booleans too, is None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        parsed = float(value)
    except (ValueError, OverflowError):
        return None
    return parsed if math.isfinite(parsed) else None


def delay(secs: float | None) -> float | None:
    """A usable delay in seconds: finite and above 0.

    Zero is no hint: Anthropic's usage endpoint answered ``retry-after: 0`` for hours.
    """
    return secs if secs is not None and math.isfinite(secs) and secs > 0 else None


def duration(value: object) -> float | None:
    """Seconds of a Go duration (``25h20m26.18s``, ``539.4ms``), a protobuf one (``3.95s``) or a bare number."""
    if not isinstance(value, str):
        secs = number(value)
        return secs if secs is not None and secs >= 0 else None
    text = value.strip()
    total, position = 0.0, 0
    while match := _GO_PART.match(text, position):
        total += float(match[1]) * _SECONDS[match[2]]
        position = match.end()
    if position == 0:
        secs = number(text)
        return secs if secs is not None and secs >= 0 else None
    return total if position == len(text) else None


def delay_in_text(text: str) -> tuple[float, bool] | None:
    """The longest delay that a message announces, in seconds, and whether it is called a reset.

    ``text`` has its white space collapsed: "Please retry in 44.09s.", "Your quota will reset after 25h20m26s.",
    "Please try again in 58 hours.", "Please wait 5631 seconds before retrying."
    """
    longest: tuple[float, bool] | None = None
    for announced in _ANNOUNCEMENT.finditer(text):
        total, position = 0.0, announced.end()
        while match := _WORD_PART.match(text, position):
            unit = match[2].lower()
            total += float(match[1]) * _SECONDS[unit if unit in _SECONDS else unit.removesuffix("s")]
            position = match.end()
        if total > 0 and (longest is None or total > longest[0]):
            longest = (total, announced[1] is not None)
    return longest


def instant_in_text(text: str, now: datetime) -> datetime | None:
    """The instant of "... on 2026-04-01 at 00:00 UTC"; without a time of day it is midnight UTC."""
    match = _REGAIN.search(text)
    return instant(f"{match[1]}T{match[2] or '00:00'}:00Z", now) if match else None


def instant(value: object, now: datetime) -> datetime | None:
    """An aware UTC instant from RFC 3339 text or epoch seconds (milliseconds by magnitude).

    None when it is neither, or more than 400 days from ``now``. Text without an offset is UTC: every provider here is.
    """
    try:
        epoch = number(value)
        if epoch is not None:
            parsed = datetime.fromtimestamp(epoch / 1000 if abs(epoch) > EPOCH_MILLISECONDS_FROM else epoch, UTC)
        elif isinstance(value, str):
            parsed = datetime.fromisoformat(_ZONE.sub("Z", value.strip().upper()))
        else:
            return None
        return _plausible(parsed, now)
    except (ValueError, OverflowError, OSError):
        return None


def retry_after(value: str, now: datetime) -> float | None:
    """Seconds of a Retry-After header (RFC 9110 10.2.3: delta-seconds or HTTP-date); fractions are accepted too.

    So is what careless servers send: an epoch, RFC 3339, ``60s``, and of a header that was sent twice the longest. None
    when it is 0, in the past, negative or unreadable.
    """
    secs = max((number(part) or 0.0 for part in value.split(",")), default=0.0) if _COUNTS.fullmatch(value) else None
    if secs is None:
        secs = number(value) if number(value) is not None else duration(value)
    if secs is not None and secs <= EPOCH_SECONDS_FROM:
        return delay(secs)
    return until(now, instant(value, now) or dated(value, now))


def dated(value: str, now: datetime) -> datetime | None:
    """The instant of an HTTP-date in its three forms, or of the date that JavaScript prints.

    ``Fri, 20 Nov 2026 10:00:30 GMT``, ``Fri Nov 20 2026 11:00:30 GMT+0100 (Central European Standard Time)``.
    """
    plain = value.partition("(")[0].strip().replace("GMT+", "+").replace("GMT-", "-")
    try:
        return _plausible(parsedate_to_datetime(plain), now)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def after(now: datetime, secs: float | None) -> datetime | None:
    """The instant ``secs`` after ``now``; None without a delay or when it is too far away to be meant."""
    if secs is None or not 0 <= secs <= FARTHEST.total_seconds():
        return None
    try:
        return now + timedelta(seconds=secs)
    except OverflowError:
        return None


def until(now: datetime, reset: datetime | None) -> float | None:
    """Seconds from ``now`` to a reset that is still to come; None for a past or unknown one."""
    return None if reset is None else delay((reset - now).total_seconds())


def _plausible(parsed: datetime, now: datetime) -> datetime | None:
    aware = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    return aware if abs(aware - now) <= FARTHEST else None
