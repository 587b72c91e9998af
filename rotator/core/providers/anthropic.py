"""What Anthropic's responses mean, of an API key and of a subscription alike.

Refuses: treating every 429 as the account's; reading a state from ``x-should-retry``, which is true even with hours to
wait. Sources: captures of 2024 to 2026; the unified headers are not documented by Anthropic.
"""

from __future__ import annotations

from rotator.core.providers import counted, generic, times
from rotator.core.providers.anthropic_windows import (
    ACCOUNT_WINDOWS,
    PREFIX,
    SPENT,
    is_family,
    per_minute,
    unified,
    usage,
)
from rotator.core.providers.response import OVERLOADED, REFUSED_FROM, SUCCESS, TOO_MANY_REQUESTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.providers.anthropic_windows import Unified
    from rotator.core.providers.bodies import ErrorBody
    from rotator.core.providers.reading import Kind, Reading, RetrySource, Scope, WindowReading
    from rotator.core.providers.response import Response

_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""error.type -> status (Anthropic's error documentation), for errors inside a 200 stream and for cut-off bodies."""

_SENTENCES: tuple[tuple[str, Kind, Scope | None, str], ...] = (
    ("your credit balance is too low", "billing", "account", "credit balance too low"),
    ("you have reached your specified api usage limits", "billing", "account", "API usage limit reached"),
    ("you have reached your specified workspace api usage limits", "billing", "account", "workspace limit reached"),
    ("third-party apps now draw from your extra usage", "billing", "account", "third-party use needs extra usage"),
    ("you're out of extra usage", "billing", "account", "out of extra usage"),
    ("extra usage is required for long context", "billing", "model", "long context needs extra usage"),
    ("usage credits are required for long context", "billing", "model", "long context needs extra usage"),
    ("this organization has been disabled", "banned", "account", "organization disabled"),
    ("your organization has been disabled", "banned", "account", "organization disabled"),
    ("oauth token has expired", "auth_failed", "account", "OAuth token expired"),
    ("oauth token has been revoked", "auth_failed", "account", "OAuth token revoked"),
    ("oauth token does not meet scope requirement", "restricted", None, "token lacks the scope of this endpoint"),
    ("oauth authentication is currently not allowed", "restricted", "account", "OAuth not allowed for organization"),
    ("request not allowed", "restricted", "account", "request not allowed"),
    ("this request would exceed your account's rate limit", "rate_limited", "account", "account rate limit"),
    ("this request would exceed your organization's rate limit", "rate_limited", "model", "organization rate limit"),
    ("this request would exceed the rate limit for your organization", "rate_limited", "model",
     "organization rate limit"),
)  # fmt: skip
"""Stable beginnings of messages, without case and with white space collapsed -> kind, scope, reason.

``type`` is no help: a ban, a bill and a client's mistake are all ``invalid_request_error``.
"""

_REVOKED = "OAuth token revoked"
_ENDPOINT_THROTTLED = "rate limited. please try again"
"""What the usage endpoint says of its own throttle, with and without the inference envelope around it."""


def read(response: Response) -> Reading:
    """The reading of one response, with the windows that its headers or the usage endpoint's body show."""
    token_error = generic.oauth(response)
    if token_error:
        return token_error
    limits, minute = unified(response), per_minute(response)
    if response.error is not None:
        return _refused(response, response.error, limits, minute).replace(windows=limits.windows + minute)
    if response.status not in SUCCESS:
        return generic.read(response)
    return _served(response, limits, minute)


def _served(response: Response, limits: Unified, minute: tuple[WindowReading, ...]) -> Reading:
    """A success, which may still say that the plan is spent: the answer was then paid for as overage."""
    shown = usage(response)
    if shown is not None:
        spent = any(window.remaining_fraction == 0 for window in shown if window.name in ACCOUNT_WINDOWS)
        kind: Kind = "quota_exhausted" if spent else "ok"
        return generic.reading(response, kind, "account", reason="plan window spent" if spent else "", windows=shown)
    windows = limits.windows + minute
    if limits.status == "payment_required":
        return generic.reading(response, "billing", "account", reason="payment required", windows=windows)
    if limits.status in SPENT or (limits.spent & ACCOUNT_WINDOWS and not limits.status):
        kind, scope, reason = _spent(limits)
        return generic.reading(response, kind, scope, reason=reason, windows=windows)
    concerned: Scope | None = "account" if limits.present else "model" if minute else None
    return generic.reading(response, "ok", concerned, windows=windows)


def _refused(response: Response, error: ErrorBody, limits: Unified, minute: tuple[WindowReading, ...]) -> Reading:
    status = response.status if response.status >= REFUSED_FROM else 0
    told = _STATUS_OF_TYPE.get(error.type)
    if told and (not status or told == OVERLOADED):
        status = told  # an overload is told by its type under any status
    if status == TOO_MANY_REQUESTS:
        return _too_many(response, error, limits, minute)
    said = _said(response, error)
    if said:
        return said
    kind, scope = generic.by_status(status or generic.told_status(error))
    return generic.refusal(response, kind, scope, reason="" if kind == "restricted" else generic.machine_word(error))


def _said(response: Response, error: ErrorBody) -> Reading | None:
    """The reading of a known sentence; a bill that names the day on which access returns waits for it."""
    message = error.message.casefold()
    for beginning, kind, scope, reason in _SENTENCES:
        if message.startswith(beginning):
            back = times.until(response.now, times.instant_in_text(message, response.now))
            delay: tuple[float, RetrySource] | None = (back, "reset") if back and kind == "billing" else None
            final = reason == _REVOKED
            return generic.refusal(response, kind, scope, reason=reason, delay=delay, final=final)
    return None


def _too_many(response: Response, error: ErrorBody, limits: Unified, minute: tuple[WindowReading, ...]) -> Reading:
    """A 429, its kinds in the order in which they can be told apart.

    1. Nothing but ``overage-disabled-reason: out_of_credits``: money, for this model only.
    2. A rejected window: the account's (5 h, 7 d), else a model family's.
    3. A known sentence; exactly ``Rate limited`` is the provider's own limit, not the account's.
    4. A per-minute limit: that model, until the spent ones are full again.
    5. No limit header and no Retry-After: a burst that every account meets at once; upstream.
    6. A bare Retry-After, without a limit header, the inference envelope (``type: error``) or ``x-should-retry``, which
       inference always sends: the throttle of a probe endpoint, which says nothing about the account.
    7. Anything else: that model.
    """
    empty = [window.reset_time for window in minute if window.remaining_fraction == 0]
    limited = _limited(response, limits) or _said(response, error)
    if limited:
        back = counted.latest(empty, response.now)
        if back is None or limited.kind != "rate_limited" or limited.retry_after_secs is not None:
            return limited
        return limited.replace(retry_after_secs=back[0], retry_source=back[1])
    scope: Scope | None = "model"
    reason, delay = generic.machine_word(error), generic.stated_delay(response)
    message = error.message.casefold().rstrip(".")
    if message == "rate limited":
        scope, reason = "upstream", "rate limited by the provider"
    elif minute or "has exceeded your" in message:
        reason, delay = "rate limit", delay or counted.latest(empty, response.now)
    elif not any(name.startswith(PREFIX) for name in response.headers):
        inference = error.enveloped and not message.startswith(_ENDPOINT_THROTTLED)
        if not response.headers.keys() & {"retry-after", "retry-after-ms"}:
            scope, reason = "upstream", "burst, no limit named"
        elif not inference and "x-should-retry" not in response.headers:
            scope, reason = None, "endpoint throttled"
    return generic.reading(response, "rate_limited", scope, reason=reason, delay=delay)


def _limited(response: Response, limits: Unified) -> Reading | None:
    """What the unified headers of a 429 say by themselves; None when they refuse nothing."""
    if limits.overage_disabled == "out_of_credits" and not limits.windows and not limits.status:
        return generic.refusal(response, "billing", "model", reason="out of credits")
    if limits.status == "payment_required":
        return generic.refusal(response, "billing", "account", reason="payment required")
    if limits.status not in SPENT and not any(name in ACCOUNT_WINDOWS or is_family(name) for name in limits.spent):
        return None
    kind, scope, reason = _spent(limits)
    delay = _quota_delay(response, limits)
    if delay is None:
        # seen again and again it may be a silent ban, so a person should be able to tell it apart
        reason += ", no reset to come"
    return generic.reading(response, kind, scope, reason=reason, delay=delay)


def _spent(limits: Unified) -> tuple[Kind, Scope, str]:
    """Kind, scope and reason of a rejection.

    A rejected account window is the account's. Otherwise an account window that still has room shows that the refusal
    is about one model family, or about paid overage for it.
    """
    plan = sorted(limits.spent & ACCOUNT_WINDOWS)
    if plan:
        return "quota_exhausted", "account", " and ".join(plan) + " window spent"
    if any(is_family(name) for name in limits.spent):
        return "quota_exhausted", "model", "model window spent"
    scope: Scope = "model" if any(window.name in ACCOUNT_WINDOWS for window in limits.windows) else "account"
    if "overage" in limits.spent:
        return "billing", scope, "paid overage spent"
    return "quota_exhausted", scope, "rejected, no window named"


def _quota_delay(response: Response, limits: Unified) -> tuple[float, RetrySource] | None:
    """The header's delay, else the wait for the latest reset among the rejected windows that the scope comes from."""
    names = limits.spent & ACCOUNT_WINDOWS or limits.spent
    resets = [window.reset_time for window in limits.windows if window.name in names] or [limits.reset]
    wait = counted.latest(resets, response.now)
    said = generic.header_delay(response)
    if said is None:
        return wait
    return said, "reset" if wait and abs(wait[0] - said) <= times.SAME_NEWS_SECS else "retry-after"
