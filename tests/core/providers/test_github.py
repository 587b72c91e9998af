"""GitHub's REST API, GitHub Models and Copilot: limits under 403, periods in text, per cent in form encoding."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rotator.core.providers import Reading, WindowReading, read

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
RESET = NOW + timedelta(minutes=30)
SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
PRIMARY = "API rate limit exceeded for installation ID 1."


def answer(
    status: int, headers: dict[str, str] | None = None, body: object = None, provider: str = "github"
) -> Reading:
    return read(provider, status=status, headers=headers or {}, body=body, model="m", now=NOW)


def limits(remaining: object, limit: object = 60, resource: str | None = None) -> dict[str, str]:
    told = {"limit": limit, "remaining": remaining, "reset": int(RESET.timestamp()), "resource": resource}
    return {f"X-RateLimit-{name.title()}": str(value) for name, value in told.items() if value is not None}


def shown(reading: Reading) -> dict[str, WindowReading]:
    return {window.name: window for window in reading.windows}


def test_a_reset_is_in_epoch_seconds_and_the_window_is_the_resource() -> None:
    reading = answer(200, limits(15))
    (window,) = reading.windows
    assert (reading.kind, reading.scope) == ("ok", "account")
    assert (window.name, window.remaining_fraction, window.reset_time) == ("core", 0.25, RESET)
    assert (window.length_secs, window.informative) == (3600.0, False)
    (search,) = answer(200, limits(15, 30, "search")).windows
    assert (search.name, search.remaining_fraction, search.informative) == ("search", 0.5, True)


def test_what_was_used_stands_in_for_what_remains() -> None:
    headers = {name: value for name, value in limits(0).items() if "Remaining" not in name}
    assert answer(200, headers | {"X-RateLimit-Used": "45"}).windows[0].remaining_fraction == 0.25


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize(
    ("message", "headers", "kind", "secs"),
    [
        (SECONDARY, limits(14, 30, "search"), "rate_limited", 60.0),
        (SECONDARY, limits(14) | {"Retry-After": "90"}, "rate_limited", 90.0),
        (SECONDARY, limits(0), "rate_limited", 1800.0),
        (SECONDARY, {}, "rate_limited", 60.0),
        ("You have triggered an abuse detection mechanism.", {}, "rate_limited", 60.0),
        (PRIMARY, limits(0), "quota_exhausted", 1800.0),
        (PRIMARY, limits(0) | {"Retry-After": "7"}, "quota_exhausted", 7.0),
        (PRIMARY, {}, "quota_exhausted", None),
    ],
)
def test_a_limit_is_a_limit_under_403_and_429(
    status: int, message: str, headers: dict[str, str], kind: str, secs: float | None
) -> None:
    reading = answer(status, headers, {"message": message, "documentation_url": "https://x"})
    assert (reading.kind, reading.scope, reading.retry_after_secs) == (kind, "account", secs)
    assert len(reading.windows) == bool("X-RateLimit-Limit" in headers)


def test_a_spent_limit_whose_reset_is_past_has_no_wait() -> None:
    headers = limits(0) | {"X-RateLimit-Reset": str(int(NOW.timestamp()) - 1)}
    reading = answer(403, headers, {"message": PRIMARY})
    assert (reading.kind, reading.retry_after_secs) == ("quota_exhausted", None)


@pytest.mark.parametrize(
    ("status", "message", "kind", "scope"),
    [
        (403, "Resource not accessible by personal access token", "restricted", "account"),
        (403, "Sorry. Your account was suspended.", "banned", "account"),
        (401, "Bad credentials", "auth_failed", "account"),
        (404, "Not Found", "bad_request", None),
        (502, "Server Error", "server_error", "upstream"),
    ],
)
def test_other_refusals_are_read_by_text_and_status(status: int, message: str, kind: str, scope: str | None) -> None:
    reading = answer(status, limits(10), {"message": message})
    assert (reading.kind, reading.scope) == (kind, scope)


def test_a_request_without_valid_credentials_shows_limits_of_nobody() -> None:
    assert answer(401, limits(0, 60), {"message": "Bad credentials"}).windows == ()
    assert answer(200, limits(0, 0)).windows == ()


@pytest.mark.parametrize(("core", "kind"), [(0, "quota_exhausted"), (1, "ok")])
def test_the_rate_limit_endpoint_lists_independent_buckets(core: int, kind: str) -> None:
    stamp = int(RESET.timestamp())
    resources = {
        "core": {"limit": 5000, "used": 5000 - core, "remaining": core, "reset": stamp},
        "search": {"limit": 30, "used": 30, "remaining": 0, "reset": stamp},
    }
    reading = answer(200, {}, {"resources": resources, "rate": resources["core"]})
    assert (reading.kind, reading.scope, reading.retry_after_secs) == (kind, "account", None)
    assert sorted(shown(reading)) == ["core", "search"]
    assert shown(reading)["search"].informative


def models(message: str, headers: dict[str, str] | None = None) -> Reading:
    return answer(429, headers, {"error": {"code": "RateLimitReached", "message": message}}, "github-models")


@pytest.mark.parametrize(
    ("limit", "name", "kind", "scope", "secs"),
    [
        ("50 per 86400s", "UserByModelByDay", "quota_exhausted", "model", 5631.0),
        ("10 per 60s", "UserByModelByMinute", "rate_limited", "model", 12.0),
        ("64000 per 60s", "UserByModelByMinuteTokens", "rate_limited", "model", 30.0),
        ("150 per 86400s", "UserByDay", "quota_exhausted", "account", 99.0),
        ("2 per 0s", "UserConcurrentRequests", "rate_limited", "account", None),
    ],
)
def test_the_models_text_tells_period_whom_and_wait(
    limit: str, name: str, kind: str, scope: str, secs: float | None
) -> None:
    reading = models(
        f"Rate limit of {limit} exceeded for {name}. Please wait {int(secs or 0)} seconds before retrying."
    )
    assert (reading.kind, reading.scope, reading.retry_after_secs) == (kind, scope, secs)
    (window,) = reading.windows
    assert (window.name, window.remaining_fraction) == (name, 0.0)
    assert window.reset_time == (NOW + timedelta(seconds=secs) if secs else None)
    assert window.model == ("m" if scope == "model" else None)


def test_the_models_header_names_the_limit_where_the_text_does_not() -> None:
    reading = models("Too many requests.", {"x-ratelimit-type": "UserByModelByDay", "retry-after": "60"})
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("quota_exhausted", "model", 60.0)
    assert models("Too many requests.").windows == ()


def copilot(status: int, headers: dict[str, str] | None = None, body: object = None) -> Reading:
    return answer(status, headers, body, "github-copilot")


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("ent=300&ov=0.0&ovPerm=false&rem=29.7&rst=2026-11-21T00%3A00%3A00Z", 0.297),
        ("ent=0&ov=0.0&ovPerm=false&rem=1.0&rst=2026-11-21T00%3A00%3A00Z", 0.01),
        ("ent=-1&ov=0.0&ovPerm=false&rem=0.0&rst=2026-11-21T00%3A00%3A00Z", 1.0),
        ("ent=300&rem=-4.5&rst=2026-11-21T00%3A00%3A00Z", 0.0),
        ("ent=300&rem=130&rst=2026-11-21T00%3A00%3A00Z", 1.0),
        ("ent=300&rst=2026-11-21T00%3A00%3A00Z", None),
        ("ent=300&rem=50&rst=2026-11-21T01:00:00.000+01:00", 0.5),
    ],
)
def test_a_snapshot_tells_per_cent_remaining(value: str, left: float | None) -> None:
    reading = copilot(200, {"X-Quota-Snapshot-chat": value, "x-usage-ratelimit-session": "rem=NaN&ent=0"})
    assert (reading.kind, reading.scope) == ("ok", "account")
    (window,) = reading.windows
    assert (window.name, window.informative) == ("chat", False)
    assert window.remaining_fraction == pytest.approx(left)
    assert window.reset_time == datetime(2026, 11, 21, tzinfo=UTC)


def test_a_quota_that_may_be_exceeded_for_money_only_informs() -> None:
    (window,) = copilot(200, {"x-quota-snapshot-premium_interactions": "ent=300&ovPerm=true&rem=0"}).windows
    assert (window.remaining_fraction, window.informative) == (0.0, True)


def test_the_account_document_tells_per_cent_and_a_date() -> None:
    snapshots = {
        "premium_interactions": {"percent_remaining": 82.7, "entitlement": 300, "unlimited": False},
        "chat": {"percent_remaining": 0, "entitlement": 0, "unlimited": True},
    }
    reading = copilot(200, {}, {"quota_snapshots": snapshots, "quota_reset_date": "2026-12-01"})
    assert (reading.kind, reading.scope) == ("ok", "account")
    assert shown(reading)["premium_interactions"].remaining_fraction == pytest.approx(0.827)
    assert shown(reading)["chat"].remaining_fraction == 1.0
    assert shown(reading)["chat"].reset_time == datetime(2026, 12, 1, tzinfo=UTC)


HOURS = (
    "Sorry, you've hit a rate limit that restricts the number of Copilot model requests you can make within a specific"
)


@pytest.mark.parametrize(
    ("code", "message", "kind", "scope", "secs"),
    [
        ("user_weekly_rate_limited", "Please try again in 58 hours.", "quota_exhausted", "account", 208800.0),
        (
            "user_global_rate_limited",
            f"{HOURS} time. Please try again in 2 hours.",
            "quota_exhausted",
            "account",
            7200.0,
        ),
        ("user_model_rate_limited", "Please try again in 30 seconds.", "rate_limited", "model", 30.0),
        ("", f"{HOURS} time. Please try again in 58 hours.", "quota_exhausted", "account", 208800.0),
        ("", f"{HOURS} time. Please try again in 30 seconds.", "rate_limited", "account", 30.0),
        ("", "Sorry, you've exceeded your weekly rate limit.", "quota_exhausted", "account", None),
        ("", "Please wait 587 hours 33 minutes before trying again.", "rate_limited", "model", 2115180.0),
    ],
)
def test_copilot_tells_its_limits_by_code_and_in_words(
    code: str, message: str, kind: str, scope: str, secs: float | None
) -> None:
    reading = copilot(429, {}, {"error": {"code": code, "message": message}})
    assert (reading.kind, reading.scope, reading.retry_after_secs) == (kind, scope, secs)


def test_a_spent_week_is_the_window_that_the_headers_show() -> None:
    body = {"error": {"code": "user_weekly_rate_limited", "message": "Please try again in 58 hours."}}
    (window,) = copilot(429, {}, body).windows
    assert (window.name, window.remaining_fraction) == ("weekly", 0.0)
    assert window.reset_time == NOW + timedelta(hours=58)
    header = {"x-usage-ratelimit-weekly": "ent=0&ovPerm=false&rem=3.0&rst=2026-11-22T00%3A00%3A00Z"}
    (window,) = copilot(429, header, body).windows
    assert (window.remaining_fraction, window.reset_time) == (0.0, datetime(2026, 11, 22, tzinfo=UTC))


def test_a_spent_free_plan_under_402_is_a_quota() -> None:
    assert copilot(402, {}, {"error": {"code": "quota_exceeded"}}).kind == "quota_exhausted"
    assert copilot(402).kind == "billing"


@pytest.mark.parametrize("plan", ["", ":pro", ":pro_plus", ":enterprise"])
@pytest.mark.parametrize(
    ("code", "delay", "kind", "scope"),
    [
        ("user_global_rate_limited", "2", "rate_limited", "account"),
        ("user_global_rate_limited", "3600", "quota_exhausted", "account"),
        ("user_global_rate_limited", None, "quota_exhausted", "account"),
        ("user_weekly_rate_limited", "2", "quota_exhausted", "account"),
        ("user_monthly_rate_limited", None, "quota_exhausted", "account"),
        ("agent_mode_limit_exceeded", None, "rate_limited", "account"),
        ("user_model_rate_limited", None, "rate_limited", "model"),
        ("model_overloaded", None, "overloaded", "upstream"),
        ("upstream_provider_rate_limit", None, "overloaded", "upstream"),
    ],
)
def test_a_copilot_code_counts_with_and_without_the_plan_behind_it(
    code: str, delay: str | None, kind: str, scope: str, plan: str
) -> None:
    reading = copilot(429, {"retry-after": delay} if delay else {}, {"error": {"code": code + plan, "message": "x"}})
    assert (reading.kind, reading.scope, reading.reason) == (kind, scope, code)
    assert reading.retry_after_secs == (float(delay) if delay else None)


@pytest.mark.parametrize(
    ("words", "secs"),
    [("58 hours", 208800.0), ("2 hours 10 minutes", 7800.0), ("1 day", 86400.0), ("45 minutes", 2700.0)],
)
def test_copilots_plain_words_are_a_delay(words: str, secs: float) -> None:
    reading = copilot(429, {}, f"Sorry, you have exceeded your Copilot token usage. Please try again in {words}.")
    assert (reading.kind, reading.retry_after_secs) == ("rate_limited", secs)


def test_a_resource_of_its_own_blocks_by_its_reset_and_shows_no_window_of_the_account() -> None:
    reading = answer(403, limits(0, 30, "search"), {"message": PRIMARY})
    assert (reading.kind, reading.retry_after_secs, reading.windows[0].informative) == ("quota_exhausted", 1800.0, True)


def test_the_free_plan_counts_what_is_left_of_a_month() -> None:
    body = {
        "limited_user_quotas": {"chat": 410, "completions": -3, "odd": "x"},
        "monthly_quotas": {"chat": 500, "completions": 2000},
        "limited_user_reset_date": "2026-12-11",
    }
    found = shown(copilot(200, {}, body))
    assert {name: window.remaining_fraction for name, window in found.items()} == {"chat": 0.82, "completions": 0.0}
    assert found["chat"].reset_time == datetime(2026, 12, 11, tzinfo=UTC)
