"""What GitHub's REST API and GitHub Models answer: limits per resource, secondary limits, a day per user and model.

Refuses: taking a 403 for a permission while it is a limit; letting one resource's limit block another's requests. Sources:
docs.github.com rate limits for the REST API, captures of 2014 to 2026.
"""

from __future__ import annotations

import re

from rotator.core.providers import counted, generic, times
from rotator.core.providers.bodies import word
from rotator.core.providers.error_words import known_word
from rotator.core.providers.reading import WindowReading, unused
from rotator.core.providers.response import SUCCESS, TOO_MANY_REQUESTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from rotator.core.providers.bodies import ErrorBody
    from rotator.core.providers.reading import Kind, Reading, RetrySource, Scope
    from rotator.core.providers.response import Response

_CORE = "core"
_LENGTHS = {_CORE: 3_600.0, "graphql": 3_600.0, "search": 60.0, "code_search": 60.0}
_LEAST_SECS = 60.0
"""What GitHub asks to wait at least after a secondary limit without a Retry-After."""

_SECONDARY = ("secondary rate limit", "abuse detection mechanism")
_SUSPENDED = ("account was suspended", "account is suspended", "account has been suspended")
_REFUSED = frozenset({403, 429})
_UNAUTHORIZED = 401

_MODELS_TEXT = re.compile(
    r"rate limit of \d+ per (\d{1,9})s exceeded for (\w{1,60})\.(?: please wait (\d{1,9}) seconds)?",
    re.ASCII | re.IGNORECASE,
)
_NAME = re.compile(r"\w{1,60}", re.ASCII)


def read(response: Response) -> Reading:
    """The reading of one response, with the windows that its headers, its message or ``GET /rate_limit`` show."""
    token_error = generic.oauth(response)
    if token_error:
        return token_error
    return _models(response) if response.provider == "github-models" else _rest(response)


def _rest(response: Response) -> Reading:
    # a request without valid credentials is shown the limits of nobody
    windows = () if response.status == _UNAUTHORIZED else _header_windows(response)
    error = response.error
    if error is not None:
        return _refused(response, error, windows).replace(windows=windows)
    kind, scope = generic.by_status(response.status)
    if response.status not in SUCCESS:
        return generic.reading(response, kind, scope, windows=windows)
    listed = _listed(response)
    if any(window.name == _CORE and window.remaining_fraction == 0 for window in listed):
        return generic.reading(response, "quota_exhausted", "account", reason="core spent", windows=listed)
    shown = listed or windows
    return generic.reading(response, kind, "account" if shown else scope, windows=shown)


def _refused(response: Response, error: ErrorBody, windows: tuple[WindowReading, ...]) -> Reading:
    """403 and 429 are limits by their message or by nothing remaining; otherwise a 403 is what HTTP says."""
    message = error.message.casefold()
    status = generic.error_status(response, error, {})
    if any(phrase in message for phrase in _SUSPENDED):
        return generic.reading(response, "banned", "account", reason="account suspended")
    spent = any(window.remaining_fraction == 0 for window in windows)
    secondary = any(phrase in message for phrase in _SECONDARY)
    limited = status == TOO_MANY_REQUESTS or (status in _REFUSED and (spent or "api rate limit exceeded" in message))
    if not (limited or (secondary and status in _REFUSED)):
        kind, scope = generic.by_status(status)
        reason = "" if kind == "restricted" else generic.machine_word(error)
        return generic.refusal(response, kind, scope, reason=reason)
    primary = not secondary and (spent or "api rate limit exceeded" in message)
    delay = _delay(response, windows)
    if primary:
        return generic.reading(response, "quota_exhausted", "account", reason="rate limit spent", delay=delay)
    least: tuple[float, RetrySource] = (_LEAST_SECS, "retry-after")
    reason = "secondary rate limit" if secondary else "rate limit"
    return generic.reading(response, "rate_limited", "account", reason=reason, delay=delay or least)


def _delay(response: Response, windows: tuple[WindowReading, ...]) -> tuple[float, RetrySource] | None:
    """GitHub's own order: Retry-After, else the reset when nothing remains."""
    said = generic.header_delay(response)
    if said is not None:
        return said, "retry-after"
    return counted.latest((window.reset_time for window in windows if window.remaining_fraction == 0), response.now)


def _header_windows(response: Response) -> tuple[WindowReading, ...]:
    own = counted.grouped(response.headers).get("", {})
    name = response.headers.get(counted.PREFIX + "resource", _CORE)
    if own.keys() & {"remaining", "reset"} and _NAME.fullmatch(name):
        shown = _window(response, name, {**own, "used": response.headers.get(counted.PREFIX + "used")})
        return (shown,) if shown else ()
    return ()


def _listed(response: Response) -> tuple[WindowReading, ...]:
    """``GET /rate_limit``: every resource; its ``rate`` repeats ``core``."""
    for document in response.body.documents:
        resources = document.get("resources") if isinstance(document, dict) else None
        if isinstance(resources, dict):
            shown = [
                _window(response, name, own)
                for name, own in resources.items()
                if isinstance(own, dict) and {"remaining", "used"} & own.keys() and _NAME.fullmatch(word(name))
            ]
            return tuple(window for window in shown if window is not None)
    return ()


def _window(response: Response, name: str, own: Mapping[str, object]) -> WindowReading | None:
    """One resource; its reset is in epoch seconds. Only ``core`` is what requests of any kind need."""
    remaining, limit, used = (times.number(own.get(key)) for key in ("remaining", "limit", "used"))
    if limit == 0 or (remaining is None and own.get("remaining") is not None):
        return None
    left = counted.share(remaining, limit)
    if remaining is None and used is not None and limit is not None and limit > 0:
        left = unused(used / limit)
    reset = times.instant(own.get("reset"), response.now)
    return WindowReading(name, left, reset, _LENGTHS.get(name), informative=name != _CORE)


def _models(response: Response) -> Reading:
    """GitHub Models: limit, period, whom it concerns and the wait are in the text of a 429."""
    windows = counted.windows(response, {})
    error = response.error
    if error is None:
        kind, scope = generic.by_status(response.status)
        concerned = "model" if windows and response.status in SUCCESS else scope
        return generic.reading(response, kind, concerned, windows=windows)
    status = generic.error_status(response, error, {"ratelimitreached": TOO_MANY_REQUESTS})
    if status == TOO_MANY_REQUESTS:
        return _models_limited(response, error, windows)
    kind, scope = generic.by_status(status)
    reason = "" if kind == "restricted" else generic.machine_word(error)
    return generic.refusal(response, kind, scope, reason=reason).replace(windows=windows)


def _models_limited(response: Response, error: ErrorBody, windows: tuple[WindowReading, ...]) -> Reading:
    """``UserByModelByDay``: a name with ``Model`` in it concerns the model, any other the account."""
    told = _MODELS_TEXT.search(error.message)
    header = response.headers.get(counted.PREFIX + "type", "")
    name = told[2] if told else header if _NAME.fullmatch(header) else ""
    period = times.delay(times.number(told[1])) if told else None
    scope: Scope = "account" if name and "model" not in name.lower() else "model"
    long = period >= counted.LONG_SECS if period is not None else "day" in name.lower()
    kind: Kind = "quota_exhausted" if long else "rate_limited"
    said = generic.header_delay(response)
    wait = said if said is not None else times.delay(times.number(told[3])) if told else None
    delay: tuple[float, RetrySource] | None = (wait, "reset" if long else "retry-after") if wait else None
    delay = delay or generic.stated_delay(response)
    if name:
        model = response.model if scope == "model" else None
        reset = times.after(response.now, delay[0] if delay else None)
        windows = counted.joined(windows, [WindowReading(name, 0.0, reset, period, model)])
    reason = known_word(name) or generic.machine_word(error)
    return generic.reading(response, kind, scope, reason=reason, delay=delay, windows=windows)
