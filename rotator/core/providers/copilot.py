"""What GitHub Copilot's responses mean: quota snapshots in headers, the account's quota document, limits in words.

Refuses: reading ``ent=0`` as no entitlement, which the session and the week have; blocking on a quota that may be exceeded.
Sources: captures of 2025 and 2026, issue threads of copilot-cli; the headers are not documented.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs

from rotator.core.providers import counted, generic, times
from rotator.core.providers.bodies import word
from rotator.core.providers.reading import WindowReading
from rotator.core.providers.response import SUCCESS, TOO_MANY_REQUESTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.providers.bodies import ErrorBody
    from rotator.core.providers.reading import Kind, Reading, RetrySource, Scope
    from rotator.core.providers.response import Response

_PREFIXES = ("x-quota-snapshot-", "x-usage-ratelimit-")
_UNLIMITED = -1
_WEEKLY = "weekly"
_LENGTHS = {_WEEKLY: 604_800.0}
_GLOBAL = "user_global_rate_limited"
_CODES: dict[str, tuple[Kind, Scope]] = {
    **dict.fromkeys(
        (
            "user_hourly_rate_limited", "user_daily_rate_limited", "user_weekly_rate_limited",
            "user_monthly_rate_limited", _GLOBAL, "quota_exceeded", "free_quota_exceeded",
        ),
        ("quota_exhausted", "account"),
    ),
    **dict.fromkeys(("user_model_rate_limited", "model_rate_limited"), ("rate_limited", "model")),
    **dict.fromkeys(("user_rate_limited", "agent_mode_limit_exceeded"), ("rate_limited", "account")),
    **dict.fromkeys(
        ("model_overloaded", "model_capacity_limited", "upstream_provider_rate_limit", "integration_rate_limited"),
        ("overloaded", "upstream"),
    ),
}  # fmt: skip
"""error.code or error.type -> kind and scope, under 402 and 429 alike; a plan may follow it (``...:pro_plus``)."""

_THROTTLE_SECS = 300.0
"""The global limit is also one of requests per second (``retry-after: 2``): up to this it is a throttle. Our choice."""

_PHRASES: tuple[tuple[str, str], ...] = (
    ("exceeded your weekly rate limit", "user_weekly_rate_limited"),
    ("reached your weekly rate limit", "user_weekly_rate_limited"),
    ("exceeded your global rate limit", "user_global_rate_limited"),
)
_GENERAL = "restricts the number of copilot model requests"
_NAME = re.compile(r"[\w-]{1,60}", re.ASCII)


def read(response: Response) -> Reading:
    """The reading of one response; the windows are the account's."""
    token_error = generic.oauth(response)
    if token_error:
        return token_error
    windows = _snapshots(response)
    error = response.error
    if error is not None:
        return _refused(response, error, windows)
    kind, scope = generic.by_status(response.status)
    if response.status not in SUCCESS:
        return generic.reading(response, kind, scope, windows=windows)
    windows = counted.joined(windows, _document(response))
    return generic.reading(response, kind, "account" if windows else scope, windows=windows)


def _refused(response: Response, error: ErrorBody, windows: tuple[WindowReading, ...]) -> Reading:
    message = error.message.casefold()
    words = (word.lower().partition(":")[0] for word in (error.code, error.type))
    told = (code for code in words if code in _CODES)
    code = next(told, "") or next((code for phrase, code in _PHRASES if phrase in message), "")
    status = generic.error_status(response, error, dict.fromkeys([*_CODES, "rate_limited"], TOO_MANY_REQUESTS))
    kind, scope = _CODES.get(code) or generic.by_status(status)
    delay = generic.stated_delay(response)
    if code == _GLOBAL and delay and delay[0] <= _THROTTLE_SECS:
        kind = "rate_limited"
    if not code and status == TOO_MANY_REQUESTS and _GENERAL in message:
        kind, scope = "quota_exhausted" if delay and delay[0] >= counted.LONG_SECS else "rate_limited", "account"
    if kind == "quota_exhausted" and delay:
        quota: tuple[float, RetrySource] = (delay[0], "reset")
        delay = quota
    if kind in ("rate_limited", "quota_exhausted"):
        delay = delay or counted.reset_delay(windows, response.now)
    if code == "user_weekly_rate_limited":
        reset = times.after(response.now, delay[0] if delay else None)
        windows = counted.joined(windows, [WindowReading(_WEEKLY, 0.0, reset, _LENGTHS[_WEEKLY])])
    reason = code or ("" if kind == "restricted" else generic.machine_word(error))
    return generic.reading(response, kind, scope, reason=reason, delay=delay, windows=windows)


def _snapshots(response: Response) -> tuple[WindowReading, ...]:
    """``x-quota-snapshot-<name>`` and ``x-usage-ratelimit-<name>``: form-encoded, ``rem`` is per cent remaining."""
    found: dict[str, WindowReading] = {}
    for key, value in response.headers.items():
        name = next((key.removeprefix(prefix) for prefix in _PREFIXES if key.startswith(prefix)), "")
        fields = {field: values[0] for field, values in parse_qs(value.replace("+", "%2B")).items()}
        if name and ({"rem", "ent"} & fields.keys()):
            unlimited = times.number(fields.get("ent")) == _UNLIMITED
            paid = fields.get("ovPerm", "").lower() == "true"
            shown = _window(response, name, fields.get("rem"), fields.get("rst"), unlimited=unlimited, paid=paid)
            if shown is not None:
                found.setdefault(name, shown)
    return tuple(found.values())


def _document(response: Response) -> tuple[WindowReading, ...]:
    """``GET /copilot_internal/user``: ``quota_snapshots`` and one reset date for all of them, or the free plan's counts."""
    found: list[WindowReading] = []
    for document in response.body.documents:
        found += _counts(document, response)
        snapshots = document.get("quota_snapshots") if isinstance(document, dict) else None
        if not isinstance(snapshots, dict) or not isinstance(document, dict):
            continue
        reset = document.get("quota_reset_date_utc") or document.get("quota_reset_date")
        for name, own in snapshots.items():
            if not isinstance(own, dict) or not _NAME.fullmatch(word(name)):
                continue
            unlimited = own.get("unlimited") is True or times.number(own.get("entitlement")) == _UNLIMITED
            paid = own.get("overage_permitted") is True
            left = own.get("percent_remaining")
            shown = _window(response, name, left, reset, unlimited=unlimited, paid=paid)
            if shown is not None:
                found.append(shown)
    return counted.joined(found, ())


def _counts(document: object, response: Response) -> list[WindowReading]:
    """The free plan: what is left of each quota (``limited_user_quotas``) of what a month has (``monthly_quotas``)."""
    if not isinstance(document, dict):
        return []
    lefts, wholes = document.get("limited_user_quotas"), document.get("monthly_quotas")
    if not isinstance(lefts, dict) or not isinstance(wholes, dict):
        return []
    reset = times.instant(document.get("limited_user_reset_date"), response.now)
    found: list[WindowReading] = []
    for name, count in lefts.items():
        left, whole = times.number(count), times.number(wholes.get(name))
        if _NAME.fullmatch(word(name)) and left is not None and whole is not None and whole > 0:
            found.append(WindowReading(name, min(1.0, max(0.0, left / whole)), reset, _LENGTHS.get(name)))
    return found


def _window(
    response: Response, name: str, percent: object, reset: object, *, unlimited: bool, paid: bool
) -> WindowReading | None:
    """One quota; overspent is 0. One that may be exceeded for money is informative, since it never refuses."""
    left = times.number(percent)
    if left is None and percent is not None:
        return None
    rest = 1.0 if unlimited else None if left is None else min(1.0, max(0.0, left / 100))
    return WindowReading(name, rest, times.instant(reset, response.now), _LENGTHS.get(name), informative=paid)
