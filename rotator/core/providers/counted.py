"""Limits that providers tell as counts: header triples of limit, remaining and reset, and the sentence of a refusal.

Refuses: knowing a provider's periods, which its family passes in; reading a negative count as anything but unknown.
"""

from __future__ import annotations

import re

from rotator.core.providers import times
from rotator.core.providers.reading import WindowReading, fraction
from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from rotator.core.providers.reading import RetrySource
    from rotator.core.providers.response import Response

FIELDS = ("limit", "remaining", "reset")
PREFIX = "x-ratelimit-"

DEFAULT = "default"
"""The name of a window that has none."""

PERIOD_SECS = {
    "second": 1.0,
    "minute": 60.0,
    "hour": 3_600.0,
    "day": 86_400.0,
    "week": 604_800.0,
    "month": 2_592_000.0,
}
"""Periods as header names spell them, in seconds; a month is 30 days."""

LONG_SECS = 3_600.0
"""A window from here on is a quota and not a throttle. Our choice: nobody waits an hour inside a request."""

_COUNT = r"~?(\d(?:[\d,]{0,22}\d)?)"
_SENTENCE = re.compile(
    r"\bon ([a-z][a-z -]{0,30}?) per (?:sec|min|hour|day|week|month)[a-z]*(?: \(\w{1,8}\))?: limit "
    + _COUNT
    + r"(?:, used "
    + _COUNT
    + r")?(?:, requested "
    + _COUNT
    + r")?",
    re.ASCII,
)


class Sentence(Value):
    """What a refusal tells in words. ``too_large``: the request alone is more than the limit, so waiting never helps.

    ``windows`` is empty when the sentence does not say how much was used.
    """

    too_large: bool
    windows: tuple[WindowReading, ...]


def grouped(headers: Mapping[str, str], prefix: str = PREFIX) -> dict[str, dict[str, str]]:
    """``<prefix><field>-<name>`` as name -> field -> value; ``<prefix><field>`` alone has the empty name."""
    found: dict[str, dict[str, str]] = {}
    for key, value in headers.items():
        if key.startswith(prefix):
            field, _, name = key.removeprefix(prefix).partition("-")
            if field in FIELDS:
                found.setdefault(name, {}).setdefault(field, value)
    return found


def share(remaining: float | None, limit: float | None) -> float | None:
    """What is left of a limit: 0 left is 0 whatever the limit; a negative or absent count, or a limit of 0, is unknown."""
    if remaining == 0:
        return 0.0
    if remaining is None or remaining < 0 or limit is None or limit <= 0:
        return None
    return fraction(remaining / limit)


def window(
    name: str,
    own: Mapping[str, str],
    reset: datetime | None,
    *,
    model: str | None = None,
    length: float | None = None,
) -> WindowReading | None:
    """The window of one triple; None when what remains is not a number, which spoils this window only.

    A negative count is a sentinel for a limit that is not enforced: then its reset means nothing either.
    """
    remaining, limit = times.number(own.get("remaining")), times.number(own.get("limit"))
    if remaining is None and "remaining" in own:
        return None
    unknown = (remaining is not None and remaining < 0) or (limit is not None and limit < 0)
    return WindowReading(name, share(remaining, limit), None if unknown else reset, length, model)


def windows(
    response: Response, lengths: Mapping[str, float], named: Callable[[str], str] = str
) -> tuple[WindowReading, ...]:
    """Every ``x-ratelimit-{limit,remaining,reset}-<name>``, new names included; the reset is a delay.

    ``lengths``: name -> seconds, where the provider tells the period. ``named`` spells a header name differently first.
    """
    headers: dict[str, str] = {}
    for key, value in response.headers.items():
        headers.setdefault(named(key), value)
    found = (
        window(
            name,
            own,
            times.after(response.now, times.duration(own.get("reset"))),
            model=response.model,
            length=lengths.get(name),
        )
        for name, own in grouped(headers).items()
        if name
    )
    return tuple(shown for shown in found if shown is not None)


def sentence(message: str, model: str | None) -> Sentence:
    """OpenAI's and Groq's "... on tokens per min (TPM): Limit 30000, Used 18928, Requested 11159. ...".

    The window has the meter's name whatever the period, as the headers have: they are what updates it afterwards.
    """
    text = message.casefold()
    too_large, told = "request too large for" in text, _SENTENCE.search(text)
    if not told:
        return Sentence(too_large, ())
    limit, used, requested = (_count(told[group]) for group in (2, 3, 4))
    too_large = too_large or (limit is not None and requested is not None and requested > limit)
    if limit is None or used is None:
        return Sentence(too_large, ())
    left = share(max(0.0, limit - used), limit)
    return Sentence(too_large, (WindowReading(told[1].strip().replace(" ", "-"), left, model=model),))


def joined(headers: Iterable[WindowReading], told: Iterable[WindowReading]) -> tuple[WindowReading, ...]:
    """Both readings of the windows by name: the lower rest counts, and what one does not tell the other does."""
    found: dict[str, WindowReading] = {}
    for shown in (*headers, *told):
        known = found.get(shown.name)
        if known is None:
            found[shown.name] = shown
            continue
        rests = [w.remaining_fraction for w in (known, shown) if w.remaining_fraction is not None]
        found[shown.name] = known.replace(
            remaining_fraction=min(rests, default=None),
            reset_time=known.reset_time or shown.reset_time,
            length_secs=known.length_secs or shown.length_secs,
        )
    return tuple(found.values())


def reset_delay(windows: Iterable[WindowReading], now: datetime) -> tuple[float, RetrySource] | None:
    """The wait in seconds for the latest reset among the windows in which nothing is left; None without one."""
    spent = (shown.reset_time for shown in windows if shown.remaining_fraction == 0 and not shown.informative)
    return latest(spent, now)


def latest(resets: Iterable[datetime | None], now: datetime) -> tuple[float, RetrySource] | None:
    """The wait in seconds for the latest of these resets; None when none of them is still to come."""
    wait = max((times.until(now, reset) or 0.0 for reset in resets), default=0.0)
    return (wait, "reset") if wait else None


def _count(text: str | None) -> float | None:
    return times.number(text.replace(",", "")) if text else None
