"""OpenRouter: which pool is empty, and whose error it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

import pytest

from rotator.core.providers import Reading, read

NOW = datetime(2026, 9, 25, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 9, 26, tzinfo=UTC)
UUID = "00000000-0000-0000-0000-000000000000"
MODEL = "google/gemini-2.0-flash-exp"


def answer(status: int, headers: dict[str, str] | None = None, body: object = None) -> Reading:
    return read("openrouter", status=status, headers=headers or {}, body=body, model="asked", now=NOW)


def refused(message: str, status: int = 429, http: dict[str, str] | None = None, **metadata: object) -> Reading:
    return answer(status, http, {"error": {"message": message, "code": status, "metadata": metadata}})


def counts(reset: datetime, limit: str = "50", remaining: str = "0") -> dict[str, str]:
    millis = str(int(reset.timestamp() * 1000))
    return {"X-RateLimit-Limit": limit, "X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": millis}


@pytest.mark.parametrize("name", ["free-models-per-day", "free-models-per-day-high-balance"])
@pytest.mark.parametrize("place", ["body", "header", "nowhere"])
def test_the_free_pool_is_the_accounts_until_midnight(name: str, place: str) -> None:
    held = counts(MIDNIGHT)
    metadata = {"headers": held} if place == "body" else {}
    reading = refused(f"Rate limit exceeded: {name}. Add", 429, held if place == "header" else None, **metadata)
    assert (reading.kind, reading.scope) == ("quota_exhausted", "account")
    assert (reading.retry_after_secs, reading.retry_source) == (43200.0, "reset")
    (window,) = reading.windows
    assert (window.name, window.remaining_fraction, window.reset_time) == (name, 0.0, MIDNIGHT)
    assert fnmatchcase("a/b:free", window.model or "")
    assert not fnmatchcase("a/b", window.model or "")


def test_the_free_pool_is_told_by_its_source_too() -> None:
    reading = refused("Slow down", limit_source="openrouter_free_tier_daily", headers=counts(MIDNIGHT))
    assert (reading.kind, reading.scope, reading.windows[0].name) == (
        "quota_exhausted",
        "account",
        "free-models-per-day",
    )


def test_the_free_pool_of_a_minute_is_a_throttle() -> None:
    reset = NOW + timedelta(seconds=20)
    reading = refused("Rate limit exceeded: free-models-per-min.", headers=counts(reset))
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("rate_limited", "account", 20.0)


@pytest.mark.parametrize(
    ("message", "name", "kind"),
    [
        (f"limit_rpm/{MODEL}/{UUID}", f"rpm:{MODEL}", "rate_limited"),
        (f"limit_tpm/{MODEL}/{UUID}", f"tpm:{MODEL}", "rate_limited"),
        (f"limit_rpd/{MODEL}/{UUID}", f"rpd:{MODEL}", "quota_exhausted"),
        (f"limit_rpd/{MODEL}/89249263. Daily limit reached for a/b:free via X.", "rpd:a/b:free", "quota_exhausted"),
        (f"a/b-2026/{UUID}. High demand for a/b:free on OpenRouter - limited to 15 requests per minute.", "rpm:a/b:free",
         "rate_limited"),
    ],
)  # fmt: skip
def test_a_shared_limit_is_one_models(message: str, name: str, kind: str) -> None:
    reset = NOW + timedelta(seconds=30)
    source = "openrouter_shared_capacity"
    reading = refused(f"Rate limit exceeded: {message}", headers=counts(reset), limit_source=source)
    assert (reading.kind, reading.scope, reading.retry_after_secs) == (kind, "model", 30.0)
    assert [(w.name, w.remaining_fraction, w.reset_time) for w in reading.windows] == [(name, 0.0, reset)]


def test_a_reset_in_seconds_is_not_this_providers_unit() -> None:
    held = counts(MIDNIGHT) | {"X-RateLimit-Reset": str(int(MIDNIGHT.timestamp()))}
    assert refused(f"limit_rpm/{MODEL}/{UUID}", headers=held).windows[0].reset_time is None


def test_a_stated_delay_wins_and_the_raw_one_is_finer() -> None:
    held = {"headers": counts(NOW + timedelta(seconds=30))}
    assert refused("x", **held, retry_after_seconds=5).retry_after_secs == 5.0
    reading = refused("x", **held, retry_after_seconds=5, retry_after_seconds_raw=4.2)
    assert (reading.retry_after_secs, reading.retry_source) == (4.2, "retry-after")
    assert refused("x", 429, {"retry-after": "7"}, **held).retry_after_secs == 7.0


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "server_error"), (402, "server_error"), (403, "server_error"), (429, "overloaded"), (502, "server_error"),
     (503, "overloaded"), (400, "bad_request")],
)  # fmt: skip
def test_the_error_of_a_provider_behind_it_is_never_the_accounts(status: int, kind: str) -> None:
    reading = refused("Provider returned error", status, raw='{"error":{"code":"x"}}', is_byok=False)
    assert (reading.kind, reading.scope) == (kind, "upstream")


def test_a_throttle_of_the_accounts_own_key_is_the_models() -> None:
    reading = refused("Provider returned error", 429, raw="slow", is_byok=True)
    assert (reading.kind, reading.scope) == ("rate_limited", "model")
    assert refused("Provider returned error", 401, is_byok=True).scope == "upstream"


def test_a_shared_pool_behind_it_is_overloaded() -> None:
    reading = refused("Provider busy", limit_source="upstream_provider_shared_pool", retry_after_seconds=5)
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("overloaded", "upstream", 5.0)


@pytest.mark.parametrize(
    ("status", "message", "metadata", "kind", "scope"),
    [
        (402, "This request requires more credits, or fewer max_tokens.", {}, "billing", "account"),
        (403, "Key limit exceeded (total limit). Manage it using https://x", {}, "billing", "account"),
        (403, "Key limit exceeded. Manage it", {}, "billing", "account"),
        (403, "input was flagged", {"reasons": ["x"], "flagged_input": "text"}, "bad_request", None),
        (403, "Forbidden", {}, "restricted", "account"),
        (401, "No auth credentials found", {}, "auth_failed", "account"),
        (401, "User not found.", {}, "auth_failed", "account"),
        (404, "No endpoints found", {}, "bad_request", None),
        (429, "Rate limit exceeded", {}, "rate_limited", "model"),
        (503, "No provider available", {}, "overloaded", "upstream"),
    ],
)
def test_status_and_text_give_the_kind(status: int, message: str, metadata: dict, kind: str, scope: str | None) -> None:
    reading = refused(message, status, **metadata)
    assert (reading.kind, reading.scope, reading.windows) == (kind, scope, ())


@pytest.mark.parametrize(
    ("data", "left", "kind"),
    [
        ({"limit": 5, "limit_remaining": 4, "usage": 1}, 0.8, "ok"),
        ({"limit": None, "limit_remaining": None, "usage": 1}, None, "ok"),
        ({"limit": 5, "usage": 4}, 0.2, "ok"),
        ({"limit": 5, "usage": 400, "limit_reset": "daily"}, None, "ok"),
        ({"limit": 5, "limit_remaining": 0, "usage": 5}, 0.0, "billing"),
        ({"limit": 5, "limit_remaining": -0.2, "usage": 5.2}, 0.0, "billing"),
        ({"limit": 5, "limit_remaining": 0, "usage": 5, "limit_reset": "daily"}, 0.0, "quota_exhausted"),
    ],
)
def test_the_key_endpoint_shows_credits(data: dict, left: float | None, kind: str) -> None:
    reading = answer(200, {}, {"data": data})
    assert (reading.kind, reading.scope) == (kind, "account")
    assert [(w.name, w.remaining_fraction) for w in reading.windows] == [("credits", left)]


def test_counts_of_an_unnamed_limit_on_a_success_only_inform() -> None:
    (window,) = answer(200, counts(MIDNIGHT, remaining="25")).windows
    assert (window.remaining_fraction, window.informative) == (0.5, True)


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{"finish_reason": "error", "error": {"code": 429, "message": "x"}}]},
        {"choices": [{"finish_reason": "stop"}, {"error": {"code": 429, "message": "x"}}]},
        ': OPENROUTER PROCESSING\n\ndata: {"choices":[{"error":{"code":429,"message":"x"}}]}\n\n',
        ': OPENROUTER PROCESSING\n\ndata: {"error":{"code":429,"message":"x"},"choices":[]}\n\n',
    ],
)
def test_a_generation_that_broke_off_is_no_success(body: object) -> None:
    assert answer(200, {}, body).kind == "rate_limited"
    assert answer(200, {}, {"choices": [{"finish_reason": "stop", "error": None}, None]}).kind == "ok"


@pytest.mark.parametrize("form", [str, int, float])
def test_counts_inside_a_body_are_text_or_numbers(form: type) -> None:
    held = {name: form(value) for name, value in counts(MIDNIGHT).items()}
    reading = refused("Rate limit exceeded: free-models-per-day", headers=held)
    assert (reading.retry_after_secs, reading.windows[0].remaining_fraction) == (43200.0, 0.0)


def test_credits_as_a_whole_are_no_window() -> None:
    assert answer(200, {}, {"data": {"total_credits": 10, "total_usage": 9.5}}).windows == ()
