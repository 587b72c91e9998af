"""Where Google tells of quota: the details of a 429, its message, and the three quota endpoints of Cloud Code.

Refuses: deciding the kind of a response; filling in a fraction that is missing beside a reset, which some read as 0 and
others as unknown: it is unknown.
"""

from __future__ import annotations

import re

from rotator.core.providers import times
from rotator.core.providers.bodies import word
from rotator.core.providers.generic import header_delay
from rotator.core.providers.reading import WindowReading, fraction, keep_tightest
from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from rotator.core.providers.bodies import ErrorBody
    from rotator.core.providers.reading import RetrySource
    from rotator.core.providers.response import Response

SHORT_DELAY_SECS = 300.0
"""A delay up to this is a throttle's, a longer one a spent quota's: where gemini-cli stops retrying by itself."""

_FIVE_HOURS, _DAY, _WEEK, _MINUTE = 18_000.0, 86_400.0, 604_800.0, 60.0
_LENGTHS = {"5h": _FIVE_HOURS, "weekly": _WEEK}
_DAILY = re.compile(r"per[\s_]?day|daily", re.IGNORECASE)
_MINUTELY = re.compile(r"per[\s_]?minute", re.IGNORECASE)
_NO_LIMIT = re.compile(r"\blimit: ?0(?![\d.,]*\d)")
_METRIC_MODEL = re.compile(
    r"quota exceeded for metric: [^ ]+, limit: [\d.,]+, model: ([\w./:-]*\w)", re.IGNORECASE | re.ASCII
)
_FAMILY_GLOBS = {"gemini": "*gemini*", "3p": "*[cg][lp][at]*"}
"""The models of a quota group. ``3p`` is claude-* and gpt-*; the pattern says both in one glob, and not gemini."""


class Told(Value):
    """What a 429 tells about quota. ``spent``: a named or long quota is used up; ``daily``: it is the day's."""

    spent: bool
    daily: bool
    no_entitlement: bool
    delay: tuple[float, RetrySource] | None
    windows: tuple[WindowReading, ...]


def reasons(error: ErrorBody) -> tuple[str, ...]:
    """Every ``reason`` among the details, ErrorInfo or not: one capture lacks the ``@type``."""
    return tuple(word(detail.get("reason")).upper() for detail in error.details if word(detail.get("reason")))


def told(response: Response, error: ErrorBody) -> Told:
    """The quota facts of a 429.

    The window is the model that ErrorInfo, a violation or the message names; without a name there is none. It is empty
    when a quota was violated or exhausted; for RATE_LIMIT_EXCEEDED alone its rest is unknown. Its reset is the stamp,
    else now plus the delay.
    """
    violations = _violations(error)
    names = " ".join(word(violation.get("quotaId")) for violation in violations)
    limits = " ".join(word(data.get("quota_limit")) for data in _metadata(error))
    daily = bool(_DAILY.search(f"{names} {limits}") or (not names and _DAILY.search(error.message)))
    refused = any(word(violation.get("quotaValue")) == "0" for violation in violations)
    no_entitlement = refused or bool(_NO_LIMIT.search(error.message.lower()))
    wait = delay(response, error)
    if wait and (no_entitlement or (daily and wait[0] <= SHORT_DELAY_SECS and wait[1] == "retry-after")):
        wait = None
    exhausted = "QUOTA_EXHAUSTED" in reasons(error)
    spent = exhausted or daily or (wait is not None and wait[0] > SHORT_DELAY_SECS)
    model, violated = _model(error, violations)
    empty = spent or violated
    reset = None
    if not no_entitlement:
        reset = _stamp(response, error) or times.after(response.now, wait[0] if wait else None)
    length = _DAY if daily else _MINUTE if _MINUTELY.search(f"{names} {limits}") else None
    window = WindowReading(f"model:{model}", 0.0 if empty else None, reset, length, model)
    return Told(spent, daily, no_entitlement, wait, (window,) if model else ())


def delay(response: Response, error: ErrorBody) -> tuple[float, RetrySource] | None:
    """The longest delay told, in seconds, and whether it is a reset.

    RetryInfo and the text are each cut to whole seconds now and then, and one capture has them minutes apart: the
    longest is the one that is not too early. The stamp counts only where no reset delay is given, since it depends on
    both clocks.
    """
    resets: list[float | None] = [times.duration(data.get("quotaResetDelay")) for data in _metadata(error)]
    if not any(resets):
        resets.append(times.until(response.now, _stamp(response, error)))
    waits: list[float | None] = [times.duration(detail.get("retryDelay")) for detail in error.details]
    waits.append(header_delay(response))
    announced = times.delay_in_text(error.message)
    if announced:
        (resets if announced[1] else waits).append(announced[0])
    reset = max((secs for secs in map(times.delay, resets) if secs), default=None)
    wait = max((secs for secs in map(times.delay, waits) if secs), default=None)
    if reset is not None and (wait is None or reset + times.SAME_NEWS_SECS >= wait):
        return max(reset, wait or 0.0), "reset"
    return (wait, "retry-after") if wait is not None else None


def _metadata(error: ErrorBody) -> list[dict[str, object]]:
    held = (detail.get("metadata") for detail in error.details)
    return [data for data in held if isinstance(data, dict)]


def _violations(error: ErrorBody) -> list[dict[str, object]]:
    lists = (detail.get("violations") for detail in error.details)
    return [
        violation for found in lists if isinstance(found, list) for violation in found if isinstance(violation, dict)
    ]


def _stamp(response: Response, error: ErrorBody) -> datetime | None:
    for data in _metadata(error):
        stamp = times.instant(data.get("quotaResetTimeStamp"), response.now)
        if stamp:
            return stamp
    return None


def _model(error: ErrorBody, violations: list[dict[str, object]]) -> tuple[str, bool]:
    """The model that the error names, and whether a quota of it was violated; an empty name when none is told."""
    named = [word(data.get("model")) for data in _metadata(error)]
    for violation in violations:
        dimensions = violation.get("quotaDimensions")
        named.append(word(dimensions.get("model")) if isinstance(dimensions, dict) else "")
    text = _METRIC_MODEL.search(error.message)
    named.append(text[1] if text else "")
    return next((name for name in named if name), ""), bool(violations or text)


def listed(response: Response) -> tuple[WindowReading, ...]:
    """The windows that a successful answer of a quota endpoint lists; empty for any other answer.

    ``fetchAvailableModels`` (``models.<id>.quotaInfo``, the 5 h window), ``retrieveUserQuota`` (``buckets``) and
    ``retrieveUserQuotaSummary`` (``groups[].buckets``, the only source of weekly windows). Of two entries for one name
    the one with less left is kept.
    """
    found: dict[str, WindowReading] = {}
    for document in response.body.documents:
        for window in _windows(document, response):
            keep_tightest(found, window)
    return tuple(found.values())


def _windows(document: object, response: Response) -> Iterator[WindowReading]:
    if not isinstance(document, dict):
        return
    for wrapper in ("response", "quotaSummary"):
        yield from _windows(document.get(wrapper), response)
    models = document.get("models")
    for model, described in models.items() if isinstance(models, dict) else ():
        quota = described.get("quotaInfo") if isinstance(described, dict) else None
        if isinstance(quota, dict):
            yield from _model_window(model, quota, response, _FIVE_HOURS)
    for bucket in _dicts(document.get("buckets")):
        yield from _model_window(bucket.get("modelId"), bucket, response, None)
    for group in _dicts(document.get("groups")):
        for bucket in _dicts(group.get("buckets")):
            yield from _family_window(bucket, response)


def _dicts(value: object) -> list[dict[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _model_window(
    model: object, quota: dict[str, object], response: Response, length: float | None
) -> Iterator[WindowReading]:
    name = word(model)
    reset = times.instant(quota.get("resetTime"), response.now)
    placeholder = name.startswith(("chat_", "tab_")) and reset is None
    if name and not placeholder:
        yield WindowReading(f"model:{name}", _remaining(quota), reset, length, name)


def _family_window(bucket: dict[str, object], response: Response) -> Iterator[WindowReading]:
    """``gemini-5h``, ``gemini-weekly``, ``3p-5h``, ``3p-weekly``; a disabled or unknown one is only informative."""
    name = word(bucket.get("bucketId"))
    if not name:
        return
    family, _, span = name.rpartition("-")
    glob = _FAMILY_GLOBS.get(family)
    length = _LENGTHS.get(word(bucket.get("window")) or span)
    idle = glob is None or bucket.get("disabled") is True
    reset = times.instant(bucket.get("resetTime"), response.now)
    yield WindowReading(name, _remaining(bucket), reset, length, glob, informative=idle)


def _remaining(quota: dict[str, object]) -> float | None:
    if quota.get("isExhausted") is True:
        return 0.0
    value = quota.get("remainingFraction")
    return None if isinstance(value, str) else fraction(times.number(value))
