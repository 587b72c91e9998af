"""What OpenRouter, Mistral, GitHub Models, Copilot and a provider that follows the IETF draft say.

Refuses: deciding who is refused. Captures of 2025 and 2026; draft-ietf-httpapi-ratelimit-headers-10.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.provider.accounts import Answer
from tests.provider.spelling import rfc3339, whole

if TYPE_CHECKING:
    from tests.provider.accounts import Quota, Standing

DAY_SECS = 86_400.0


def _plain(status: int, said: str, **parts: Any) -> Answer:
    return Answer(status, {}, {"error": {"message": said, "code": status, **parts}})


def _hard(kind: str) -> tuple[int, str]:
    """Status and words of what these families say alike."""
    return {
        "banned": (403, "Account suspended."),
        "restricted": (403, "Not allowed."),
        "billing": (402, "Payment required."),
    }.get(kind, (401, "Bad credentials"))


def openrouter_windows(standing: Standing) -> dict[str, str]:
    """Epoch milliseconds."""
    if not standing.shows_windows:
        return {}
    return {
        "x-ratelimit-limit": str(standing.quota.limit),
        "x-ratelimit-remaining": str(standing.quota.remaining),
        "x-ratelimit-reset": str(math.ceil(1000 * standing.reset_of(standing.quota))),
    }


def refuse_openrouter(kind: str, standing: Standing) -> Answer:
    if kind in ("spent", "silent_ban", "bare"):
        if kind != "spent" or not standing.shows_windows:
            return _plain(429, "Rate limit exceeded")
        headers = openrouter_windows(standing)
        inner = {name.replace("x-ratelimit-", "X-RateLimit-").title(): value for name, value in headers.items()}
        metadata: dict[str, Any] = {"headers": inner, "provider_name": None}
        if standing.wait_secs is not None:
            metadata["retry_after_seconds"] = math.ceil(standing.wait_secs)
        unit = "rpd" if standing.quota.secs >= DAY_SECS else "rpm"
        named = f"{standing.model}/0" if "/" in standing.model else standing.model
        answer = _plain(429, f"Rate limit exceeded: limit_{unit}/{named}", metadata=metadata)
        answer.headers = headers
        return answer
    if kind == "overloaded":
        return _plain(429, "Provider busy", metadata={"limit_source": "upstream_provider_shared_pool"})
    if kind in ("unknown", "expired"):
        return _plain(401, "No auth credentials found")
    if kind == "billing":
        said = "This request requires more credits, or fewer max_tokens."
        return _plain(402, said, metadata={"provider_name": None})
    return _plain(*_hard(kind))


def mistral_windows(standing: Standing) -> dict[str, str]:
    """The period is in the name, and there is no reset."""
    if not standing.shows_windows:
        return {}
    quota = standing.quota
    period = next((name for secs, name in _MISTRAL_PERIODS if quota.secs <= secs), "req-month")
    return {
        f"x-ratelimit-limit-{period}": str(quota.limit),
        f"x-ratelimit-remaining-{period}": str(quota.remaining),
        "x-ratelimit-limit-tokens-minute": "2000000",
        "x-ratelimit-remaining-tokens-minute": "1999932",
        "x-ratelimit-tokens-query-cost": "68",
    }


_MISTRAL_PERIODS = ((10.0, "req-10-second"), (60.0, "req-minute"), (3600.0, "req-hour"), (DAY_SECS, "req-day"))


def refuse_mistral(kind: str, standing: Standing) -> Answer:
    if kind in ("spent", "silent_ban", "bare"):
        headers = mistral_windows(standing) if kind == "spent" else {}
        if kind == "spent" and isinstance(standing.hint, int | float):
            headers["retry-after"] = whole(standing.hint)  # by itself Mistral tells no delay
        return _mistral(429, "Rate limit exceeded", "rate_limited", "1300", headers)
    if kind == "overloaded":
        said = "Service tier capacity exceeded for this model."
        return _mistral(429, said, "service_tier_capacity_exceeded", "3505")
    status, said = _hard(kind)
    return Answer(status, {}, {"detail": "Unauthorized" if status == 401 else said})


def _mistral(status: int, said: str, type_: str, code: str, headers: dict[str, str] | None = None) -> Answer:
    body = {"object": "error", "message": said, "type": type_, "param": None, "code": code, "raw_status_code": status}
    return Answer(status, headers or {}, body)


def github_models_windows(standing: Standing) -> dict[str, str]:
    if not standing.shows_windows:
        return {}
    return {
        "x-ratelimit-limit-requests": str(standing.quota.limit),
        "x-ratelimit-remaining-requests": str(standing.quota.remaining),
    }


def refuse_github_models(kind: str, standing: Standing) -> Answer:
    if kind in ("spent", "silent_ban", "bare"):
        if kind != "spent" or not standing.shows_windows:
            return Answer(429, {}, {"error": {"code": "RateLimitReached", "message": "Rate limit exceeded."}})
        quota = standing.quota
        name = "UserByModelByDay" if quota.secs >= DAY_SECS else "UserByModelByMinute"
        said = f"Rate limit of {quota.limit} per {math.ceil(quota.secs)}s exceeded for {name}."
        headers = {"x-ratelimit-type": name}
        if standing.wait_secs is not None:
            said += f" Please wait {whole(standing.wait_secs)} seconds before retrying."
            headers["retry-after"] = whole(standing.wait_secs)
        body = {"error": {"code": "RateLimitReached", "message": said, "details": said}}
        return Answer(429, {**github_models_windows(standing), **headers}, body)
    if kind == "overloaded":
        return Answer(503, {}, {"error": {"code": "ServiceUnavailable", "message": "Service unavailable."}})
    if kind == "banned":
        return Answer(403, {}, {"message": "Sorry. Your account was suspended."})
    status, said = _hard(kind)
    return Answer(status, {}, {"error": {"code": "unauthorized" if status == 401 else "forbidden", "message": said}})


def copilot_windows(standing: Standing) -> dict[str, str]:
    """Per cent remaining, form-encoded."""
    if not standing.shows_windows:
        return {}
    return {
        "x-quota-snapshot-premium_interactions": _snapshot(standing.quota, standing, standing.quota.limit),
        "x-usage-ratelimit-weekly": _snapshot(standing.week, standing, 0),
    }


def _snapshot(quota: Quota, standing: Standing, entitlement: int) -> str:
    left = f"{100 * (1 - quota.used_fraction):.1f}"
    reset = rfc3339(standing.reset_of(quota))
    return urlencode({"ent": entitlement, "ov": "0.0", "ovPerm": "false", "rem": left, "rst": reset})


def refuse_copilot(kind: str, standing: Standing) -> Answer:
    if kind == "spent" and standing.shows_windows:
        weekly = standing.week.remaining == 0
        code = "user_weekly_rate_limited" if weekly else "user_global_rate_limited"
        said = f"Sorry, you've exceeded your {'weekly' if weekly else 'global'} rate limit."
        headers = copilot_windows(standing)
        if standing.wait_secs is not None:
            said += f" Please try again in {whole(standing.wait_secs)} seconds."
            headers["retry-after"] = whole(standing.wait_secs)
        return Answer(429, headers, {"error": {"message": said, "code": code}})
    if kind in ("spent", "silent_ban", "bare"):
        return Answer(429, {}, {"error": {"message": "Too many requests", "code": "rate_limited"}})
    if kind == "overloaded":
        return Answer(503, {}, {"error": {"message": "Service unavailable", "code": "service_unavailable"}})
    status, said = _hard(kind)
    return Answer(status, {}, {"error": {"message": said, "code": "unauthorized" if status == 401 else "forbidden"}})


def ietf_windows(standing: Standing) -> dict[str, str]:
    if not standing.shows_windows:
        return {}
    quota = standing.quota
    reset = math.ceil(max(0.0, standing.reset_of(quota) - standing.now))
    return {
        "RateLimit-Policy": f'"default";q={quota.limit};w={math.ceil(quota.secs)}',
        "RateLimit": f'"default";r={quota.remaining};t={reset}',
    }


def refuse_ietf(kind: str, standing: Standing) -> Answer:
    if kind == "spent":
        headers = ietf_windows(standing)
        if standing.wait_secs is not None:
            headers["retry-after"] = whole(standing.wait_secs)
        parts = {"violated-policies": ["default"]} if standing.shows_windows else {}
        return _problem(
            429, "quota-exceeded", "Request cannot be satisfied as assigned quota has been exceeded", headers, **parts
        )
    if kind in ("silent_ban", "bare"):
        return Answer(429, {}, None)
    if kind == "overloaded":
        return _problem(
            503,
            "temporary-reduced-capacity",
            "Request cannot be satisfied due to temporary server capacity constraints",
        )
    status, said = _hard(kind)
    return Answer(status, {}, {"title": said, "status": status})


def _problem(status: int, name: str, title: str, headers: dict[str, str] | None = None, **parts: Any) -> Answer:
    kind = {"content-type": "application/problem+json"}
    body = {"type": f"https://iana.org/assignments/http-problem-types#{name}", "title": title, **parts}
    return Answer(status, {**kind, **(headers or {})}, body)
