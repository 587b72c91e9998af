"""Mistral: periods in header names, older names, capacity that is nobody's fault."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rotator.core.providers import Reading, read

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)


def answer(status: int, headers: dict[str, str] | None = None, body: object = None) -> Reading:
    return read("mistral", status=status, headers=headers or {}, body=body, model="m", now=NOW)


@pytest.mark.parametrize(
    ("name", "secs"),
    [
        ("tokens-minute", 60.0),
        ("tokens-month", 2_592_000.0),
        ("req-minute", 60.0),
        ("req-10-second", 10.0),
        ("req-second", 1.0),
        ("tokens-5-hour", 18_000.0),
        ("pages-day", 86_400.0),
        ("tokens-fortnight", None),
    ],
)
def test_the_headers_name_tells_the_window_and_its_length(name: str, secs: float | None) -> None:
    headers = {f"x-ratelimit-limit-{name}": "60", f"x-ratelimit-remaining-{name}": "15"}
    reading = answer(200, {**headers, "x-ratelimit-tokens-query-cost": "68"})
    assert (reading.kind, reading.scope) == ("ok", "model")
    assert [(w.name, w.remaining_fraction, w.reset_time, w.length_secs) for w in reading.windows] == [
        (name, 0.25, None, secs)
    ]


def test_the_older_names_are_the_token_windows() -> None:
    headers = {
        "x-ratelimitbysize-limit-minute": "500",
        "x-ratelimitbysize-remaining-minute": "250",
        "x-ratelimitbysize-limit-month": "1000",
        "x-ratelimitbysize-remaining-month": "1000",
        "ratelimitbysize-reset": "47",
        "ratelimitbysize-query-cost": "9",
    }
    shown = {w.name: w for w in answer(200, headers).windows}
    assert sorted(shown) == ["tokens-minute", "tokens-month"]
    assert shown["tokens-minute"].remaining_fraction == 0.5
    assert shown["tokens-minute"].reset_time == NOW + timedelta(seconds=47)


def test_a_throttle_without_a_hint_is_the_models() -> None:
    body = {"object": "error", "message": "Rate limit exceeded", "type": "rate_limited", "code": "1300"}
    reading = answer(429, {}, body)
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("rate_limited", "model", None)
    assert answer(429, {"ratelimitbysize-remaining": "0", "ratelimitbysize-reset": "9"}, body).retry_after_secs == 9.0


@pytest.mark.parametrize("code", [None, "3505"])
def test_a_full_service_tier_is_the_providers_capacity(code: str | None) -> None:
    message = "Service tier capacity exceeded for this model."
    body = {"object": "error", "message": message, "type": "invalid_request_error", "param": None, "code": code}
    reading = answer(429, {}, body)
    assert (reading.kind, reading.scope, reading.windows) == ("overloaded", "upstream", ())


@pytest.mark.parametrize("place", ["message", "detail", "nested"])
def test_a_full_service_tier_is_told_wherever_its_sentence_stands(place: str) -> None:
    sentence = "Service tier capacity exceeded for this model."
    body = {"message": {"detail": sentence}} if place == "nested" else {place: sentence}
    assert (answer(429, {}, body).kind, answer(429, {}, body).scope) == ("overloaded", "upstream")


@pytest.mark.parametrize("code", ["1300", 1300])
def test_a_code_is_text_or_a_number(code: object) -> None:
    body = {"object": "error", "message": "Rate limit exceeded", "type": "rate_limited", "code": code}
    assert (answer(429, {}, body).reason, answer(200, {}, {"error": body}).kind) == ("rate_limited", "rate_limited")


def test_a_spent_month_is_a_quota_and_a_spent_minute_a_throttle() -> None:
    for period, kind in (("month", "quota_exhausted"), ("minute", "rate_limited")):
        headers = {f"x-ratelimit-limit-tokens-{period}": "9", f"x-ratelimit-remaining-tokens-{period}": "0"}
        assert (answer(429, headers).kind, answer(429, headers).scope) == (kind, "model")
        assert answer(200, headers).kind == "ok"


def test_other_refusals_are_read_by_their_status() -> None:
    assert answer(401, {}, {"message": "Unauthorized"}).kind == "auth_failed"
    assert answer(422, {}, {"detail": [{"msg": "extra"}]}).kind == "bad_request"
    assert answer(302).kind == "bad_request"
