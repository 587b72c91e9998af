"""What Google says: the Gemini API's quota failures, Cloud Code's reset delays, one error model for both.

Refuses: deciding who is refused; headers, since Google tells of quota in bodies alone. Shapes: captures of 2023 to
2026.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.provider.accounts import Answer
from tests.provider.spelling import go_duration, rfc3339

if TYPE_CHECKING:
    from tests.provider.accounts import Standing

ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
QUOTA_FAILURE = "type.googleapis.com/google.rpc.QuotaFailure"
CLOUD_CODE = "cloudcode-pa.googleapis.com"
DAY_SECS = 86_400.0
THROTTLE_SECS = 300.0

_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
_STATUS |= {429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}


def windows(standing: Standing) -> dict[str, str]:
    """None: Google's successes say nothing of quota."""
    return {}


def error(code: int, said: str, details: list[dict[str, Any]] | None = None) -> Answer:
    body: dict[str, Any] = {"code": code, "message": said, "status": _STATUS[code]}
    if details:
        body["details"] = details
    return Answer(code, {}, {"error": body})


def info(reason: str, domain: str = "googleapis.com", **metadata: str) -> dict[str, Any]:
    return {"@type": ERROR_INFO, "reason": reason, "domain": domain, "metadata": metadata}


def refuse_gemini(kind: str, standing: Standing) -> Answer:
    if kind == "spent" and standing.shows_windows:
        return _gemini_spent(standing)
    if kind == "overloaded":
        return error(503, "The model is overloaded. Please try again later.")
    if kind == "banned":
        said = "Permission denied: Consumer 'api_key:REDACTED' has been suspended."
        return error(403, said, [info("CONSUMER_SUSPENDED", service="generativelanguage.googleapis.com")])
    return _either(kind, standing)


def refuse_cloudcode(kind: str, standing: Standing) -> Answer:
    if kind == "spent" and standing.shows_windows:
        return _cloudcode_spent(standing)
    if kind == "overloaded":
        said = f"No capacity available for model {standing.model} on the server"
        return error(503, said, [info("MODEL_CAPACITY_EXHAUSTED", CLOUD_CODE, model=standing.model)])
    if kind == "banned":
        said = (
            "This service has been disabled in this account for violation of Terms of\n\t\tService. "
            "If you believe this is an error, contact gemini-code-assist-user-feedback@google.com."
        )
        return error(403, said)
    if kind in ("unknown", "expired"):
        return _token_refused()  # it takes no API keys
    return _either(kind, standing)


def _either(kind: str, standing: Standing) -> Answer:
    if kind in ("spent", "silent_ban", "bare"):
        return error(429, "Resource has been exhausted (e.g. check quota).")
    if kind == "restricted":
        url = "https://accounts.google.com/signin/continue"
        return error(
            403, "Verify your account to continue.", [info("VALIDATION_REQUIRED", CLOUD_CODE, validation_url=url)]
        )
    if kind == "billing":
        return error(403, "Billing is disabled.", [info("BILLING_DISABLED")])
    if standing.oauth:
        return _token_refused()
    said = "API key not valid. Please pass a valid API key."
    return error(400, said, [info("API_KEY_INVALID", service="generativelanguage.googleapis.com")])


def _token_refused() -> Answer:
    said = "Request had invalid authentication credentials. Expected OAuth 2 access token."
    return error(401, said, [info("ACCESS_TOKEN_EXPIRED")])


def _gemini_spent(standing: Standing) -> Answer:
    quota, wait = standing.quota, standing.wait_secs
    daily = quota.secs >= DAY_SECS
    metric = "generativelanguage.googleapis.com/generate_content_free_tier_requests"
    said = (
        "You exceeded your current quota, please check your plan and billing details. For more information on this "
        "error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.\n"
        f"* Quota exceeded for metric: {metric}, limit: {quota.limit}, model: {standing.model}"
    )
    period = "PerDay" if daily else "PerMinute"
    violation = {
        "quotaMetric": metric,
        "quotaId": f"GenerateRequests{period}PerProjectPerModel-FreeTier",
        "quotaDimensions": {"location": "global", "model": standing.model},
        "quotaValue": str(quota.limit),
    }
    details: list[dict[str, Any]] = [{"@type": QUOTA_FAILURE, "violations": [violation]}]
    if wait is not None:
        said += f"\nPlease retry in {wait:.9f}s."
        details.append({"@type": RETRY_INFO, "retryDelay": f"{wait:.9f}s"})
    return error(429, said, details)


def _cloudcode_spent(standing: Standing) -> Answer:
    wait = standing.wait_secs
    if wait is None:
        stamp = {"quotaResetTimeStamp": rfc3339(standing.reset_of(standing.spent))}
        details = [info("QUOTA_EXHAUSTED", CLOUD_CODE, uiMessage="true", model=standing.model, **stamp)]
        return error(429, "You have exhausted your capacity on this model.", details)
    reason = "QUOTA_EXHAUSTED" if wait > THROTTLE_SECS else "RATE_LIMIT_EXCEEDED"
    stamps = {"quotaResetDelay": go_duration(wait), "quotaResetTimeStamp": rfc3339(standing.now + wait)}
    details = [
        info(reason, CLOUD_CODE, uiMessage="true", model=standing.model, **stamps),
        {"@type": RETRY_INFO, "retryDelay": f"{wait:.9f}s"},
    ]
    said = f"You have exhausted your capacity on this model. Your quota will reset after {go_duration(int(wait))}."
    return error(429, said, details)
