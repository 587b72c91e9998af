"""What OpenRouter's responses mean: its own free pools, shared capacity, and what providers behind it answered.

Refuses: charging an account for the error of a provider behind OpenRouter, whatever its status. Sources:
openrouter.ai/docs limits and errors, captures of 2025 and 2026.
"""

from __future__ import annotations

import re
from datetime import timedelta

from rotator.core.providers import bodies, counted, generic, times
from rotator.core.providers.bodies import word
from rotator.core.providers.reading import WindowReading, fraction
from rotator.core.providers.response import SUCCESS, TOO_MANY_REQUESTS
from rotator.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

    from rotator.core.providers.bodies import ErrorBody
    from rotator.core.providers.reading import Kind, Reading, RetrySource, Scope
    from rotator.core.providers.response import Response

_FREE_DAY = "free-models-per-day"
_FREE = re.compile(r"\bfree-models-per-[a-z]+(?:-[a-z]+)*", re.ASCII)
_LIMIT = re.compile(r"\blimit_([rt]p[mdh])\b(?:/([\w.:-]+/[\w.:-]+))?", re.ASCII)
_MODEL = re.compile(r"\b(?:high demand|daily limit reached) for ([\w.:/-]*\w)", re.ASCII | re.IGNORECASE)
_RATE = re.compile(r"\b\d+ (request|token)s? per (minute|hour|day)\b", re.ASCII)
_LENGTHS = {
    **dict.fromkeys(("m", "min", "minute"), 60.0),
    **dict.fromkeys(("h", "hour"), 3_600.0),
    **dict.fromkeys(("d", "day"), 86_400.0),
}
_DAY = 86_400.0
_LIMIT_RESETS = {"daily": _DAY, "weekly": 604_800.0, "monthly": 2_592_000.0}
_UPSTREAM_POOL = "upstream_provider_shared_pool"
_FREE_POOL = "openrouter_free_tier_daily"
_ABOUT_THE_REQUEST = frozenset({400, 404, 413, 422})
"""Statuses of a provider behind OpenRouter that are about the request itself."""


class _Limit(Value):
    """The limit that a 429 names; an empty name when it names none."""

    name: str
    scope: Scope
    model: str | None
    length: float | None


def read(response: Response) -> Reading:
    """The reading of one response, with the pool that a refusal names or the credits that the key endpoint shows."""
    error = response.error or _choice_error(response)
    if error is None:
        return _served(response)
    status = generic.error_status(response, error, {})
    metadata = _metadata(response)
    message = error.message.casefold()
    if word(metadata.get("limit_source")) == _UPSTREAM_POOL or "provider returned error" in message:
        return _upstream(response, status, metadata)
    kind, scope = generic.by_status(status)
    if kind == "billing":
        return generic.reading(response, kind, scope, reason="out of credits")
    if kind == "restricted" and "key limit exceeded" in message:
        return generic.reading(response, "billing", scope, reason="key limit exceeded")
    if kind == "restricted" and "flagged_input" in metadata:
        return generic.reading(response, "bad_request", None, reason="flagged by moderation")
    if status == TOO_MANY_REQUESTS:
        return _too_many(response, error, metadata)
    return generic.refusal(response, kind, scope, reason="" if kind == "restricted" else generic.machine_word(error))


def _choice_error(response: Response) -> ErrorBody | None:
    """The error of a generation that broke off, which stands in its choice and not at the top."""
    for document in response.body.documents:
        choices = document.get("choices") if isinstance(document, dict) else None
        found = bodies.error_of(bodies.Body(tuple(choices)), refused=False) if isinstance(choices, list) else None
        if found is not None:
            return found
    return None


def _served(response: Response) -> Reading:
    kind, scope = generic.by_status(response.status)
    if response.status not in SUCCESS:
        return generic.reading(response, kind, scope)
    for document in response.body.documents:
        data = document.get("data") if isinstance(document, dict) else None
        if isinstance(data, dict) and "limit" in data and ("limit_remaining" in data or "usage" in data):
            return _key(response, data)
    own = _counts(response, {})
    shown = counted.window(counted.DEFAULT, own, _reset(own, response.now), model=response.model) if own else None
    windows = (shown.replace(informative=True),) if shown else ()  # it does not say which limit these are
    return generic.reading(response, kind, "model" if windows else scope, windows=windows)


def _key(response: Response, data: dict[str, object]) -> Reading:
    """``GET /api/v1/key``: what is left of the key's cap in dollars; without a cap it is unknown."""
    limit, left, used = (times.number(data.get(key)) for key in ("limit", "limit_remaining", "usage"))
    length = _LIMIT_RESETS.get(word(data.get("limit_reset")))
    if left is None and limit is not None and used is not None and length is None:
        left = limit - used  # the use is the key's whole life's, a cap that resets is not
    rest = None if limit is None or left is None else 0.0 if left <= 0 else counted.share(left, limit)
    window = WindowReading("credits", fraction(rest), length_secs=length)
    kind: Kind = "ok"
    if rest == 0:
        kind = "quota_exhausted" if length else "billing"
    return generic.reading(response, kind, "account", reason="credits spent" if rest == 0 else "", windows=(window,))


def _upstream(response: Response, status: int, metadata: dict[str, object]) -> Reading:
    """What a provider behind OpenRouter answered; its 401 is about OpenRouter's key there, not the account's.

    Only a throttle of the account's own key at that provider (``is_byok``) concerns the account.
    """
    delay = _told_delay(metadata) or generic.stated_delay(response)
    kind, scope = generic.by_status(status)
    if status == TOO_MANY_REQUESTS and metadata.get("is_byok") is True:
        return generic.reading(response, kind, scope, reason="own key limited", delay=delay)
    if status == TOO_MANY_REQUESTS or kind == "overloaded":
        kind = "overloaded"
    elif status not in _ABOUT_THE_REQUEST:
        kind = "server_error"
    return generic.reading(response, kind, "upstream", reason="provider behind OpenRouter", delay=delay)


def _too_many(response: Response, error: ErrorBody, metadata: dict[str, object]) -> Reading:
    limit = _limit(response, error, word(metadata.get("limit_source")))
    own, now = _counts(response, metadata), response.now
    reset = _reset(own, now)
    if reset is None and limit.name.startswith(_FREE_DAY):
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        reset = times.after(midnight, timedelta(days=1).total_seconds())  # OpenRouter's day is UTC's
    wait = times.until(now, reset)
    from_reset: tuple[float, RetrySource] | None = (wait, "reset") if wait else None
    delay = _told_delay(metadata) or generic.stated_delay(response) or from_reset
    long = limit.length is not None and limit.length >= _DAY
    windows: tuple[WindowReading, ...] = ()
    if limit.name or own:
        shown = counted.window(limit.name or counted.DEFAULT, own, reset, model=limit.model, length=limit.length)
        if shown is not None:
            # the refusal names it: what it does not count is spent
            left = 0.0 if limit.name and shown.remaining_fraction is None else shown.remaining_fraction
            windows = (shown.replace(remaining_fraction=left, reset_time=reset),)
    return generic.reading(
        response,
        "quota_exhausted" if long else "rate_limited",
        limit.scope,
        reason="daily limit" if long else "rate limit",
        delay=delay,
        windows=windows,
    )


def _limit(response: Response, error: ErrorBody, source: str) -> _Limit:
    """The limit of a 429: the account's pool of ``:free`` models, else one of a model (``rpm:<model>``)."""
    message = error.message.casefold()
    free = _FREE.search(message)
    if free or source == _FREE_POOL:
        name = free[0] if free else _FREE_DAY
        length = _LENGTHS.get(name.removeprefix("free-models-per-").partition("-")[0])
        return _Limit(name, "account", "*:free", length)
    path, demand, rate = _LIMIT.search(message), _MODEL.search(error.message), _RATE.search(message)
    unit = path[1] if path else f"{rate[1][0]}p{rate[2][0]}" if rate else ""
    named = demand[1] if demand else path[2] if path and path[2] else ""
    length = _LENGTHS.get(unit[2:])
    if unit and named:
        return _Limit(f"{unit}:{named}", "model", named, length)
    return _Limit("", "model", response.model, length)


def _metadata(response: Response) -> dict[str, object]:
    for document in response.body.documents:
        error = document.get("error") if isinstance(document, dict) else None
        metadata = error.get("metadata") if isinstance(error, dict) else None
        if isinstance(metadata, dict):
            return metadata
    return {}


def _counts(response: Response, metadata: dict[str, object]) -> dict[str, str]:
    """Limit, remaining and reset from the headers inside the body, else from those of HTTP."""
    inner = metadata.get("headers")
    told = {key.lower(): word(value) for key, value in inner.items()} if isinstance(inner, dict) else {}
    headers = {key: value for key, value in told.items() if value}
    return counted.grouped(response.headers | headers).get("", {})


def _reset(own: dict[str, str], now: datetime) -> datetime | None:
    """Epoch milliseconds, as a text."""
    value = times.number(own.get("reset"))
    return None if value is None else times.instant(value / 1_000, now)


def _told_delay(metadata: dict[str, object]) -> tuple[float, RetrySource] | None:
    for key in ("retry_after_seconds_raw", "retry_after_seconds"):
        secs = times.delay(times.number(metadata.get(key)))
        if secs is not None:
            return secs, "retry-after"
    return None
