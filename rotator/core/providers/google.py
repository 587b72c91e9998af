"""What Google's responses mean: Cloud Code / Antigravity, the Gemini API and Vertex, which share one error model.

Refuses: taking "check your plan and billing details" for a bill, since Google says it of a one-minute limit; writing a
verification link or a message into a reading. Sources: google.rpc error_details.proto, captures of 2022 to 2026.
"""

from __future__ import annotations

from rotator.core.providers import generic, google_quota
from rotator.core.providers.response import REFUSED_FROM, SUCCESS, TOO_MANY_REQUESTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rotator.core.providers.bodies import ErrorBody
    from rotator.core.providers.reading import Kind, Reading, Scope
    from rotator.core.providers.response import Response

_REASONS: dict[str, tuple[Kind, Scope | None]] = {
    "MODEL_CAPACITY_EXHAUSTED": ("overloaded", "upstream"),
    "MODEL_CAPACITY_EXCEEDED": ("overloaded", "upstream"),
    "INSUFFICIENT_G1_CREDITS_BALANCE": ("billing", "account"),
    "BILLING_DISABLED": ("billing", "account"),
    "CONSUMER_SUSPENDED": ("banned", "account"),
    "VALIDATION_REQUIRED": ("restricted", "account"),
    "SUBSCRIPTION_REQUIRED": ("restricted", "account"),
    "SERVICE_DISABLED": ("restricted", "account"),
    "CONSUMER_INVALID": ("restricted", "account"),
    "USER_PROJECT_DENIED": ("restricted", "account"),
    "USER_BLOCKED_BY_ADMIN": ("restricted", "account"),
    "API_KEY_SERVICE_BLOCKED": ("restricted", "account"),
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": ("restricted", "account"),
    "API_KEY_INVALID": ("auth_failed", "account"),
    "ACCESS_TOKEN_EXPIRED": ("auth_failed", "account"),
    "CREDENTIALS_MISSING": ("auth_failed", "account"),
    "ACCOUNT_STATE_INVALID": ("auth_failed", "account"),
}
"""ErrorInfo.reason -> kind and scope, whatever the status: Cloud Code's own, and google.api ErrorReason."""

_PHRASES: tuple[tuple[str, Kind, Scope | None, str], ...] = (
    ("disabled in this account for violation of terms of service", "banned", "account", "terms of service"),
    ("has been suspended", "banned", "account", "consumer suspended"),
    ("reported as leaked", "auth_failed", "account", "API key reported as leaked"),
    ("api key not valid", "auth_failed", "account", "API key not valid"),
    ("api key not found", "auth_failed", "account", "API key not valid"),
    ("api key expired", "auth_failed", "account", "API key expired"),
    ("verify your account", "restricted", "account", "account verification required"),
    ("lack a gemini code assist license", "restricted", "account", "no Code Assist license"),
    ("not eligible for gemini code assist", "restricted", "account", "not eligible for Code Assist"),
    ("user location is not supported", "restricted", None, "location not supported"),
    ("is no longer supported", "restricted", None, "client no longer supported"),
)
"""Parts of the message of a 400, 401 or 403, without case and with white space collapsed -> kind, scope, reason."""

_STATUS_OF_CODE = {
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "NOT_FOUND": 404,
}
"""google.rpc.Code -> HTTP status (its proto), for errors inside a 200 stream."""

_CAPACITY = (
    "resource exhausted. please try again later",
    "the model is overloaded",
    "currently experiencing high demand",
    "no capacity available",
)
"""Shared capacity, not an account's limit: Vertex's dynamic shared quota and the overload texts, under 429 and 503."""

_LEAKED = "API key reported as leaked"


def read(response: Response) -> Reading:
    """The reading of one response, with the quota windows that an error or a quota endpoint names."""
    token_error = generic.oauth(response)
    if token_error:
        return token_error
    if response.error is not None:
        return _refused(response, response.error)
    if response.status not in SUCCESS:
        return generic.read(response)
    windows = google_quota.listed(response)
    return generic.reading(response, "ok", "model" if windows else None, windows=windows)


def _refused(response: Response, error: ErrorBody) -> Reading:
    status = response.status if response.status >= REFUSED_FROM else _STATUS_OF_CODE.get(error.status, 0)
    status = status or generic.told_status(error)
    for reason in google_quota.reasons(error):
        if reason in _REASONS:
            kind, scope = _REASONS[reason]
            return _with_delay(response, error, kind, scope, reason)
    message = error.message.casefold()
    if status in (400, 401, 403):
        for phrase, kind, scope, reason in _PHRASES:
            if phrase in message:
                return _with_delay(response, error, kind, scope, reason, final=reason == _LEAKED)
    if status in (429, 503) and any(phrase in message for phrase in _CAPACITY):
        return _with_delay(response, error, "overloaded", "upstream", "no capacity")
    if status == TOO_MANY_REQUESTS:
        return _too_many(response, error)
    kind, scope = generic.by_status(status)
    return _with_delay(response, error, kind, scope, "" if kind == "restricted" else generic.machine_word(error))


def _too_many(response: Response, error: ErrorBody) -> Reading:
    """A 429 that is about quota; Google's limits are per model, so its scope always is.

    A limit of 0 is no entitlement: the model needs another plan and waiting never helps, so the delay of such an answer
    is dropped. A spent day is not
    over after a RetryInfo of seconds, so that is dropped too; the reset, midnight in California by Google's
    documentation, is not in the response and stays unknown.
    """
    facts = google_quota.told(response, error)
    kind: Kind = "quota_exhausted" if facts.spent else "rate_limited"
    reason = "daily quota spent" if facts.daily else "quota spent" if facts.spent else "rate limit"
    if facts.no_entitlement:
        kind, reason = "billing", "limit is 0"
    return generic.reading(response, kind, "model", reason=reason, delay=facts.delay, windows=facts.windows)


def _with_delay(
    response: Response, error: ErrorBody, kind: Kind, scope: Scope | None, reason: str, *, final: bool = False
) -> Reading:
    delay = google_quota.delay(response, error)
    return generic.reading(response, kind, scope, reason=reason, delay=delay, final=final)
