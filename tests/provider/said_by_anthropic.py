"""What Anthropic says: per-minute limits of an API key, unified windows of a subscription, its error envelope.

Refuses: deciding who is refused. The shapes are captures of 2024 to 2026; ``retry-after`` and resets are as the hint
has them.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from tests.provider.accounts import Answer
from tests.provider.spelling import rfc3339, whole

if TYPE_CHECKING:
    from tests.provider.accounts import Quota, Standing

PREFIX = "anthropic-ratelimit-"
UNIFIED = PREFIX + "unified-"
TOKENS = {"input-tokens": 2_000_000, "output-tokens": 400_000, "tokens": 2_400_000}
"""Token limits are shown, rounded to thousands, and never bind here."""

_IDS = itertools.count(1)


def request_id() -> str:
    return f"req_011C{next(_IDS):020d}"


def windows(standing: Standing) -> dict[str, str]:
    """The rate-limit headers of any inference answer."""
    if not standing.shows_windows:
        return {}
    return _unified(standing, "allowed") if standing.oauth else _per_minute(standing)


def refuse(kind: str, standing: Standing) -> Answer:
    if kind == "spent":
        return _spent(standing)
    if kind == "silent_ban":
        said = "This request would exceed your account's rate limit. Please try again later."
        status = {UNIFIED + "status": "rejected", UNIFIED + "representative-claim": "five_hour"}
        return error(429, "rate_limit_error", said, {**status, "x-should-retry": "true"})
    if kind == "bare":
        return error(429, "rate_limit_error", "rate limit exceeded", {"x-should-retry": "true"})
    if kind == "overloaded":
        return error(529, "overloaded_error", "Overloaded", {"x-should-retry": "true"})
    if kind == "expired":
        said = "OAuth token has expired. Please obtain a new token or refresh your existing token."
        return error(401, "authentication_error", said)
    if kind == "unknown":
        said = "Invalid authentication credentials" if standing.oauth else "invalid x-api-key"
        return error(401, "authentication_error", said)
    status_code, type_, said = _HARD[kind]
    return error(status_code, type_, said)


_HARD = {
    "banned": (400, "invalid_request_error", "This organization has been disabled."),
    "restricted": (
        401,
        "authentication_error",
        "OAuth authentication is currently not allowed for this organization.",
    ),
    "billing": (
        400,
        "invalid_request_error",
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade.",
    ),
}


def error(status: int, type_: str, said: str, headers: dict[str, str] | None = None) -> Answer:
    own = request_id()
    body = {"type": "error", "error": {"type": type_, "message": said}, "request_id": own}
    return Answer(status, {"request-id": own, **(headers or {})}, body)


def _spent(standing: Standing) -> Answer:
    headers = {"x-should-retry": "true"}
    if standing.wait_secs is not None:
        headers["retry-after"] = whole(standing.wait_secs)
    if standing.oauth:
        if standing.shows_windows:
            headers |= _unified(standing, "rejected")
        said = "This request would exceed your account's rate limit. Please try again later."
    else:
        headers |= windows(standing)
        said = (
            f"This request would exceed your organization's rate limit of {standing.quota.limit:,} requests per minute "
            f"(org: 00000000-0000-0000-0000-000000000000, model: {standing.model}). "
            "For details, refer to: https://docs.claude.com/en/api/rate-limits."
        )
    return error(429, "rate_limit_error", said, headers)


def _per_minute(standing: Standing) -> dict[str, str]:
    quota = standing.quota
    headers = {
        PREFIX + "requests-limit": str(quota.limit),
        PREFIX + "requests-remaining": str(quota.remaining),
        PREFIX + "requests-reset": rfc3339(standing.reset_of(quota)),
    }
    full_at = rfc3339(standing.now)
    for name, limit in TOKENS.items():
        headers |= {f"{PREFIX}{name}-limit": str(limit), f"{PREFIX}{name}-remaining": str(limit - 1000)}
        headers[f"{PREFIX}{name}-reset"] = full_at
    return headers


def _unified(standing: Standing, status: str) -> dict[str, str]:
    claimed = standing.spent if status == "rejected" else standing.quota
    claim = "seven_day" if claimed is standing.week else "five_hour"
    reset = math.ceil(standing.reset_of(claimed))
    return {
        UNIFIED + "status": status,
        UNIFIED + "representative-claim": claim,
        UNIFIED + "reset": str(reset),
        UNIFIED + "fallback-percentage": "0.5",
        UNIFIED + "overage-status": "rejected",
        UNIFIED + "overage-disabled-reason": "org_level_disabled",
        **_window("5h", standing.quota, standing, status),
        **_window("7d", standing.week, standing, status),
    }


def _window(name: str, quota: Quota, standing: Standing, status: str) -> dict[str, str]:
    own = "rejected" if status == "rejected" and quota.remaining == 0 else "allowed"
    return {
        f"{UNIFIED}{name}-status": own,
        f"{UNIFIED}{name}-utilization": f"{quota.used_fraction:.4f}",
        f"{UNIFIED}{name}-reset": str(math.ceil(standing.reset_of(quota))),
    }
