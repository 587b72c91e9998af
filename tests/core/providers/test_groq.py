"""Groq: OpenAI's names with other periods, a ban as 400."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rotator.core.providers import Reading, read

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)


def answer(status: int, headers: dict[str, str] | None = None, body: object = None) -> Reading:
    return read("groq", status=status, headers=headers or {}, body=body, model="llama", now=NOW)


def refused(limit: str, status: int = 429) -> Reading:
    message = f"Rate limit reached for model `llama` in organization `org_X` service tier `on_demand` on {limit}"
    return answer(status, {}, {"error": {"message": message, "type": "tokens", "code": "rate_limit_exceeded"}})


@pytest.mark.parametrize("status", [200, 429])
def test_requests_are_per_day_and_tokens_per_minute(status: int) -> None:
    headers = {
        "retry-after": "2",
        "x-ratelimit-limit-requests": "14400",
        "x-ratelimit-limit-tokens": "18000",
        "x-ratelimit-remaining-requests": "14370",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-requests": "2m59.56s",
        "x-ratelimit-reset-tokens": "7.66s",
    }
    reading = answer(status, headers)
    requests, tokens = reading.windows
    assert (requests.length_secs, tokens.length_secs) == (86400.0, 60.0)
    assert requests.remaining_fraction == pytest.approx(14370 / 14400)
    assert (tokens.remaining_fraction, tokens.reset_time) == (0.0, NOW + timedelta(seconds=7.66))
    assert (reading.scope, reading.retry_after_secs) == ("model", None if status == 200 else 2.0)


@pytest.mark.parametrize(
    ("limit", "left", "secs"),
    [
        ("tokens per day (TPD): Limit 100000, Used 97050, Requested 3619. Please try again in 9m38.016s. N", 0.0295, 578.016),
        ("tokens per minute (TPM): Limit 12,000, Used 4,437, Requested 9854. Please try again in 11.455s.", 0.63025, 11.455),
        ("tokens per minute (TPM): Limit 12000, Used 4437, Requested 9854. Please try again in 11.455s.", 0.63025, 11.455),
        ("tokens per minute (TPM): Limit 6000, Used 6000, Requested 9. Please try again in 1.984999999s.", 0.0, 1.984999999),
    ],
)  # fmt: skip
def test_a_throttle_tells_its_delay_and_what_is_left_in_words(limit: str, left: float, secs: float) -> None:
    reading = refused(limit)
    assert (reading.kind, reading.scope) == ("rate_limited", "model")
    assert reading.retry_after_secs == pytest.approx(secs)
    assert [w.name for w in reading.windows] == ["tokens"]
    assert reading.windows[0].remaining_fraction == pytest.approx(left)


@pytest.mark.parametrize("status", [413, 429])
def test_a_request_larger_than_its_limit_is_never_waited_for(status: int) -> None:
    reading = refused("tokens per minute (TPM): Limit 7000, Used 0, Requested ~12903. Please try again in 50s.", status)
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("bad_request", "model", None)
    assert reading.windows[0].remaining_fraction == 1.0


@pytest.mark.parametrize(
    ("status", "error", "kind", "scope"),
    [
        (400, {"code": "organization_restricted"}, "banned", "account"),
        (400, {"message": "Organization has been restricted. Please reach out"}, "banned", "account"),
        (400, {"type": "invalid_request_error"}, "bad_request", None),
        (401, {"code": "invalid_api_key"}, "auth_failed", "account"),
        (498, {"message": "Flex tier capacity exceeded"}, "overloaded", "upstream"),
        (503, {"message": "Service unavailable"}, "overloaded", "upstream"),
        (200, {"code": "rate_limit_exceeded"}, "rate_limited", "model"),
    ],
)
def test_code_and_status_together_give_the_kind(status: int, error: dict, kind: str, scope: str | None) -> None:
    reading = answer(status, {}, {"error": error})
    assert (reading.kind, reading.scope) == (kind, scope)
