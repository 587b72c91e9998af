"""The rate-limit fields that are nobody's own: the IETF drafts' old and new ones, and ``X-RateLimit-*``.

Refuses: deciding the kind of a response; a provider's own scale, which its family knows better than this guess.
"""

from __future__ import annotations

import re

from rotator.core.providers import counted, times

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from rotator.core.providers.reading import WindowReading
    from rotator.core.providers.response import Response

_PREFIXES = ("ratelimit-", counted.PREFIX, "x-rate-limit-")
_LEADING_COUNT = re.compile(r"\s*(-?\d{1,18}(?:\.\d{1,18})?)\s*(?=[,;]|\Z)", re.ASCII)
_POLICY = re.compile(r"(\d{1,18})\s*;(?:[^,]*;)?\s*w(?:indow)?=(\d{1,9})", re.ASCII)


def windows(response: Response, model: str | None) -> tuple[WindowReading, ...]:
    """The windows of every standard field, each limiting ``model`` (None: the account).

    The fields of draft -10 win; what they do not tell the older ones do: ``RateLimit-*``, ``X-RateLimit-*``,
    ``X-Rate-Limit-*``, each with or without a name behind it.
    """
    found: tuple[WindowReading, ...] = ()
    if response.headers.keys() & {"ratelimit", "ratelimit-policy"}:
        # only here: the parser of structured fields is not loaded for anybody else
        from rotator.core.providers import structured

        found = structured.windows(response, model)
    for prefix in _PREFIXES:
        found = counted.joined(found, _older(response, prefix, model))
    return found


def reset_instant(text: str, now: datetime) -> datetime | None:
    """The instant of a reset whose unit nobody told.

    A number above 1e11 is epoch milliseconds, above 1e9 epoch seconds, else a delay in seconds. Text is a Go duration,
    RFC 3339, an HTTP-date or the date that JavaScript prints.
    """
    value = times.number(text)
    delay = times.duration(text) if value is None else value
    if delay is not None and delay <= times.EPOCH_SECONDS_FROM:
        return times.after(now, delay)
    return times.instant(text, now) or times.dated(text, now)


def _older(response: Response, prefix: str, model: str | None) -> tuple[WindowReading, ...]:
    found = []
    for name, own in _named(counted.grouped(response.headers, prefix)).items():
        if not own.keys() & {"remaining", "reset"}:
            continue
        counts: dict[str, str] = {field: _leading(own[field]) for field in ("limit", "remaining") if field in own}
        reset = reset_instant(own["reset"], response.now) if "reset" in own else None
        length = _length(name, own.get("limit", ""))
        shown = counted.window(name, counts, reset, model=model, length=length)
        if shown is not None:
            found.append(shown)
    return tuple(found)


def _named(grouped: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """``X-RateLimit-Reset-After`` is a delay beside an instant and no window of its own; it does not need the clocks."""
    after = grouped.get("after", {})
    if after.keys() == {"reset"}:
        del grouped["after"]
        grouped.setdefault("", {})["reset"] = after["reset"]
    return {name or counted.DEFAULT: own for name, own in grouped.items()}


def _leading(text: str) -> str:
    """The first number of a list: ``100, 100;window=60, 10000;window=86400`` begins with the limit that is active."""
    leading = _LEADING_COUNT.match(text)
    return leading[1] if leading else text


def _length(name: str, limit: str) -> float | None:
    """Seconds of a window that is named by its period, or of the policy that has the active limit."""
    word = name.rpartition("-")[2]
    if word in counted.PERIOD_SECS:
        return counted.PERIOD_SECS[word]
    policies: Mapping[str, str] = dict(reversed(_POLICY.findall(limit)))
    length = policies.get(_leading(limit))
    return (float(length) or None) if length else None
