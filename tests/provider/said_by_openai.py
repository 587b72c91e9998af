"""What OpenAI's API, Groq and the ChatGPT subscription behind Codex say.

Refuses: deciding who is refused. OpenAI and Groq share header names and sentences, but not periods. Captures of 2023 to
2026.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tests.provider.accounts import Answer
from tests.provider.spelling import go_duration, whole

if TYPE_CHECKING:
    from tests.provider.accounts import Quota, Standing

TOKEN_LIMIT = 800_000
DAY_SECS = 86_400.0


def error(status: int, said: str, type_: str | None, code: str | None, headers: dict[str, str] | None = None) -> Answer:
    body = {"error": {"message": said, "type": type_, "param": None, "code": code}}
    return Answer(status, headers or {}, body)


def openai_windows(standing: Standing) -> dict[str, str]:
    """Requests and tokens; the reset is the time until the bucket is full again."""
    if not standing.shows_windows:
        return {}
    quota = standing.quota
    return {
        "x-ratelimit-limit-requests": str(quota.limit),
        "x-ratelimit-limit-tokens": str(TOKEN_LIMIT),
        "x-ratelimit-remaining-requests": str(quota.remaining),
        "x-ratelimit-remaining-tokens": str(TOKEN_LIMIT - 14),
        "x-ratelimit-reset-requests": go_duration(max(0.0, standing.reset_of(quota) - standing.now)),
        "x-ratelimit-reset-tokens": "1ms",
    }


groq_windows = openai_windows


def refuse_openai(kind: str, standing: Standing) -> Answer:
    if kind == "spent":
        place = f"{standing.model} in organization org-X"
        return _spent(standing, place, " Visit https://platform.openai.com/account/rate-limits to learn more.")
    if kind == "banned":
        said = "The OpenAI account associated with this API key has been deactivated."
        return error(401, said, "invalid_request_error", "account_deactivated")
    if kind == "billing":
        said = "You exceeded your current quota, please check your plan and billing details."
        return error(429, said, "insufficient_quota", "insufficient_quota")
    if kind == "overloaded":
        said = "The server is currently overloaded with other requests. Sorry about that!"
        return error(503, said, "server_error", "server_is_overloaded")
    return _either(kind)


def refuse_groq(kind: str, standing: Standing) -> Answer:
    if kind == "spent":
        place = f"model `{standing.model}` in organization `org_X` service tier `on_demand`"
        return _spent(standing, place, " Need more tokens? Upgrade to Dev Tier today at https://console.groq.com")
    if kind == "banned":
        said = "Organization has been restricted. Please reach out to support if you believe this was in error."
        return error(400, said, "invalid_request_error", "organization_restricted")
    if kind == "billing":
        return error(402, "Payment required.", "invalid_request_error", None)
    if kind == "overloaded":
        return error(498, "Flex tier capacity exceeded. Please try again later.", "server_error", "capacity_exceeded")
    return _either(kind)


def _either(kind: str) -> Answer:
    if kind in ("silent_ban", "bare"):
        return error(429, "Rate limit reached", "requests", "rate_limit_exceeded")
    if kind == "restricted":
        return error(403, "You are not allowed to use this model.", "invalid_request_error", "permission_denied")
    return error(401, "Incorrect API key provided.", "invalid_request_error", "invalid_api_key")


def _spent(standing: Standing, place: str, ending: str) -> Answer:
    quota = standing.quota
    period = "day (RPD)" if quota.secs >= DAY_SECS else "min (RPM)"
    headers = openai_windows(standing)
    said = f"Rate limit reached for {place}"
    if standing.shows_windows:
        said += f" on requests per {period}: Limit {quota.limit}, Used {quota.used}, Requested 1."
    if standing.wait_secs is not None:
        said += f" Please try again in {go_duration(standing.wait_secs)}."
        headers["retry-after"] = whole(standing.wait_secs)
    return error(429, said + ending, "requests", "rate_limit_exceeded", headers)


def codex_windows(standing: Standing) -> dict[str, str]:
    """Per cent used of the 5 h slot and the weekly one; the first has the account's own length."""
    if not standing.shows_windows:
        return {}
    return {
        "x-codex-active-limit": "premium",
        "x-codex-plan-type": "plus",
        **_slot("primary", standing.quota, standing),
        **_slot("secondary", standing.week, standing),
        "x-codex-credits-has-credits": "False",
        "x-codex-credits-balance": "0E-10",
        "x-codex-credits-unlimited": "False",
    }


def _slot(name: str, quota: Quota, standing: Standing) -> dict[str, str]:
    reset = standing.reset_of(quota)
    return {
        f"x-codex-{name}-used-percent": f"{100 * quota.used_fraction:.4g}",
        f"x-codex-{name}-window-minutes": str(math.ceil(quota.secs / 60)),
        f"x-codex-{name}-reset-after-seconds": whole(max(0.0, reset - standing.now)),
        f"x-codex-{name}-reset-at": str(math.ceil(reset)),
    }


def refuse_codex(kind: str, standing: Standing) -> Answer:
    if kind in ("spent", "silent_ban", "bare"):
        told: dict[str, Any] = {"type": "usage_limit_reached", "message": "The usage limit has been reached"}
        told["plan_type"] = "plus"
        if kind == "spent" and standing.wait_secs is not None:
            told |= {"resets_at": math.ceil(standing.now + standing.wait_secs)}
            told |= {"resets_in_seconds": math.ceil(standing.wait_secs)}
        if kind == "bare":
            told = {"type": "rate_limit_exceeded", "message": "Rate limit reached"}
        return Answer(429, codex_windows(standing) if kind == "spent" else {}, {"error": told})
    if kind == "overloaded":
        return error(503, "Our servers are currently overloaded.", "server_error", "server_is_overloaded")
    if kind == "restricted":
        return Answer(402, {}, {"detail": {"code": "deactivated_workspace"}})
    if kind == "billing":
        return error(429, "To use Codex with your plan, upgrade.", "usage_not_included", "usage_not_included")
    if kind == "banned":
        return refuse_openai(kind, standing)
    if kind == "expired":
        return error(401, "Provided authentication token is expired.", "invalid_request_error", "token_expired")
    said = "Your authentication token has been invalidated. Please try signing in again."
    return error(401, said, "invalid_request_error", "token_invalidated")
