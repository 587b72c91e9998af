"""What Mistral's responses mean: windows that carry their period in the header's name and never a reset.

Refuses: a fixed list of windows, which differ from plan to plan; taking a full service tier for the account's limit.
Sources: captures of 2025 and 2026; the older names from issue threads.
"""

from __future__ import annotations

import re

from rotator.core.providers import counted, generic, times
from rotator.core.providers.response import SUCCESS, TOO_MANY_REQUESTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.providers.bodies import ErrorBody
    from rotator.core.providers.reading import Reading, WindowReading
    from rotator.core.providers.response import Response

_PERIOD = re.compile(r"(?:(\d{1,6})-)?(second|minute|hour|day|week|month)", re.ASCII)
_BY_SIZE = ("x-ratelimitbysize-", "ratelimitbysize-")
"""The older names of the token windows; without a period it is the minute's."""

_STATUS_OF_WORD = {"rate_limited": 429, "1300": 429, "service_tier_capacity_exceeded": 429, "3505": 429}


def read(response: Response) -> Reading:
    """The reading of one response; limits are per workspace and model."""
    windows = _windows(response)
    error = response.error
    if error is not None:
        return _refused(response, error, windows).replace(windows=windows)
    kind, scope = generic.by_status(response.status)
    return generic.reading(
        response, kind, "model" if windows and response.status in SUCCESS else scope, windows=windows
    )


def _refused(response: Response, error: ErrorBody, windows: tuple[WindowReading, ...]) -> Reading:
    status = generic.error_status(response, error, _STATUS_OF_WORD)
    if "service tier capacity exceeded" in error.message.casefold():
        return generic.refusal(response, "overloaded", "upstream", reason="service tier capacity exceeded")
    kind, scope = generic.by_status(status)
    reason = "" if kind == "restricted" else generic.machine_word(error)
    if status != TOO_MANY_REQUESTS:
        return generic.refusal(response, kind, scope, reason=reason)
    if any(w.remaining_fraction == 0 and w.length_secs and w.length_secs >= counted.LONG_SECS for w in windows):
        kind, reason = "quota_exhausted", "quota spent"
    delay = generic.stated_delay(response) or counted.reset_delay(windows, response.now)
    return generic.reading(response, kind, scope, reason=reason, delay=delay)


def _windows(response: Response) -> tuple[WindowReading, ...]:
    grouped = counted.grouped(response.headers)
    for prefix in _BY_SIZE:
        for period, own in counted.grouped(response.headers, prefix).items():
            known = grouped.setdefault(f"tokens-{period or 'minute'}", {})
            for field, value in own.items():
                known.setdefault(field, value)
    found = (
        counted.window(
            name,
            own,
            times.after(response.now, times.duration(own.get("reset"))),
            model=response.model,
            length=_length(name),
        )
        for name, own in grouped.items()
        if name
    )
    return tuple(shown for shown in found if shown is not None)


def _length(name: str) -> float | None:
    """Seconds of ``tokens-minute`` or ``req-10-second``."""
    for start in [match.end() for match in re.finditer("-", name)]:
        period = _PERIOD.fullmatch(name, start)
        if period:
            return (float(period[1] or 1) * counted.PERIOD_SECS[period[2]]) or None
    return None
