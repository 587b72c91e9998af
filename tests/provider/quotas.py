"""The endpoints that tell an account's quota without spending it, each in its family's own document.

Refuses: the quota headers of model answers (``said_by_*``); charging anybody. Captures of 2025 and 2026.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tests.provider import said_by_anthropic, said_by_google
from tests.provider.accounts import Answer
from tests.provider.spelling import rfc3339, rfc3339_micro

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.provider.accounts import Account, Quota

OAUTH_BETA = "oauth-2025-04-20"


def answer(account: Account, path: str, headers: dict[str, str], now: float) -> Answer:
    """The account's quota now, or what its ``poll`` makes of it."""
    if path == "/api/oauth/usage" and OAUTH_BETA not in headers.get("anthropic-beta", ""):
        return said_by_anthropic.error(401, "authentication_error", "OAuth authentication is currently not supported.")
    if account.poll == "throttled":
        body = {"error": {"message": "Rate limited. Please try again later.", "type": "rate_limit_error"}}
        return Answer(429, {"retry-after": str(account.poll_retry_after)}, body)
    if account.poll == "failing":
        return Answer(500, {}, {"error": {"type": "api_error", "message": "Internal server error"}})
    if account.poll == "scopeless":
        return _scopeless(account)
    return Answer(200, {}, ENDPOINTS[path][2](account, now))


def _scopeless(account: Account) -> Answer:
    if account.dialect == "anthropic":
        said = "OAuth token does not meet scope requirement user:profile"
        return said_by_anthropic.error(403, "permission_error", said)
    if account.dialect == "cloudcode":
        info = said_by_google.info("ACCESS_TOKEN_SCOPE_INSUFFICIENT")
        return said_by_google.error(403, "Request had insufficient authentication scopes.", [info])
    return Answer(403, {}, {"message": "Resource not accessible by integration"})


def _shared(account: Account, now: float) -> Quota:
    """The window that is told: all models' one, else the one with least left."""
    found = [quota.at(now) for model, quota in account.quotas.items() if model != "week"]
    return min(found, key=lambda quota: quota.remaining, default=account.quota(now, ""))


def _usage(account: Account, now: float) -> dict[str, Any]:
    five, week = _used(_shared(account, now)), _used(account.week(now))
    limits = [
        {"kind": kind, "group": group, "percent": own["utilization"], "severity": "normal",
         "resets_at": own["resets_at"], "scope": None, "is_active": kind == "session"}
        for kind, group, own in (("session", "session", five), ("weekly_all", "weekly", week))
    ]  # fmt: skip
    extra = {"is_enabled": False, "monthly_limit": None, "used_credits": None, "utilization": None}
    none = {"seven_day_opus": None, "seven_day_sonnet": None}
    return {"five_hour": five, "seven_day": week, **none, "limits": limits, "extra_usage": extra}


def _used(quota: Quota) -> dict[str, Any]:
    reset = None if quota.reset_at is None else rfc3339_micro(quota.reset_at)
    return {"utilization": round(100 * quota.used_fraction, 2), "resets_at": reset}


def _codex_usage(account: Account, now: float) -> dict[str, Any]:
    five, week = _shared(account, now), account.week(now)
    spent = 0 in (five.remaining, week.remaining)
    return {
        "plan_type": "plus",
        "rate_limit": {
            "allowed": not spent,
            "limit_reached": spent,
            "primary_window": _slot(five, now),
            "secondary_window": _slot(week, now),
        },
        "credits": {"has_credits": False, "unlimited": False, "balance": "0"},
        "additional_rate_limits": None,
    }


def _slot(quota: Quota, now: float) -> dict[str, Any]:
    reset = now + quota.secs if quota.reset_at is None else quota.reset_at
    return {
        "used_percent": round(100 * quota.used_fraction, 2),
        "limit_window_seconds": math.ceil(quota.secs),
        "reset_after_seconds": math.ceil(reset - now),
        "reset_at": math.ceil(reset),
    }


def _models(account: Account, now: float) -> dict[str, dict[str, Any]]:
    """Each model that was asked for or is listed, with what is left of it."""
    names = dict.fromkeys([*account.models, *(name for name in account.quotas if name not in ("", "week"))])
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        quota = account.quota(now, name)
        found[name] = {"remainingFraction": 1 - quota.used_fraction}
        if quota.reset_at is not None:
            found[name]["resetTime"] = rfc3339(quota.reset_at)
    return found


def _buckets(account: Account, now: float) -> dict[str, Any]:
    models = _models(account, now).items()
    return {"buckets": [{"modelId": name, "tokenType": "REQUESTS", **left} for name, left in models]}


def _available(account: Account, now: float) -> dict[str, Any]:
    models = _models(account, now).items()
    return {"models": {name: {"displayName": name, "quotaInfo": left} for name, left in models}}


def _key(account: Account, now: float) -> dict[str, Any]:
    quota = _shared(account, now)
    return {
        "data": {
            "label": "sk-or-v1-...",
            "limit": quota.limit,
            "limit_remaining": quota.remaining,
            "limit_reset": None,
            "usage": min(quota.used, quota.limit),
            "is_free_tier": False,
            "is_provisioning_key": False,
        }
    }


def _copilot_user(account: Account, now: float) -> dict[str, Any]:
    quota = _shared(account, now)
    reset = rfc3339(now + quota.secs if quota.reset_at is None else quota.reset_at)
    premium = {
        "entitlement": quota.limit,
        "remaining": quota.remaining,
        "percent_remaining": round(100 * (1 - quota.used_fraction), 1),
        "unlimited": False,
        "overage_permitted": False,
    }
    chat = {"entitlement": -1, "percent_remaining": 100.0, "unlimited": True, "overage_permitted": False}
    return {
        "copilot_plan": "individual",
        "quota_reset_date": reset[:10],
        "quota_reset_date_utc": reset,
        "quota_snapshots": {"premium_interactions": premium, "chat": chat},
    }


def _rate_limit(account: Account, now: float) -> dict[str, Any]:
    quota = _shared(account, now)
    reset = math.ceil(now + quota.secs if quota.reset_at is None else quota.reset_at)
    used = min(quota.used, quota.limit)
    core = {"limit": quota.limit, "used": used, "remaining": quota.remaining, "reset": reset}
    return {"resources": {"core": core}, "rate": core}


ENDPOINTS: dict[str, tuple[str, frozenset[str], Callable[[Account, float], dict[str, Any]]]] = {
    "/api/oauth/usage": ("GET", frozenset({"anthropic"}), _usage),
    "/backend-api/wham/usage": ("GET", frozenset({"codex"}), _codex_usage),
    "/v1internal:retrieveUserQuota": ("POST", frozenset({"cloudcode"}), _buckets),
    "/v1internal:fetchAvailableModels": ("POST", frozenset({"cloudcode"}), _available),
    "/api/v1/key": ("GET", frozenset({"openrouter"}), _key),
    "/copilot_internal/user": ("GET", frozenset({"copilot"}), _copilot_user),
    "/rate_limit": ("GET", frozenset({"github-models", "copilot"}), _rate_limit),
}
"""Path -> method, the families that have it, and the document."""
