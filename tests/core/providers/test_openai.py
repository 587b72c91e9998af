"""OpenAI and Azure OpenAI: buckets, sentences of refusals, codes under misleading statuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rotator.core.providers import Reading, read

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
LIMITED = "Rate limit reached for gpt-4.1 in organization org-X on tokens per min (TPM): Limit 30000, Used {}, "


def answer(
    status: int, headers: dict[str, str] | None = None, body: object = None, provider: str = "openai"
) -> Reading:
    return read(provider, status=status, headers=headers or {}, body=body, model="gpt-4.1", now=NOW)


def refused(message: str, code: str | None = "rate_limit_exceeded", kind: str = "tokens", status: int = 429) -> Reading:
    return answer(status, {}, {"error": {"message": message, "type": kind, "param": None, "code": code}})


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("12ms", timedelta(milliseconds=12)),
        ("1s", timedelta(seconds=1)),
        ("88ms", timedelta(milliseconds=88)),
        ("0s", timedelta()),
        ("7m12s", timedelta(minutes=7, seconds=12)),
        ("6m0s", timedelta(minutes=6)),
        ("1h2m3.5s", timedelta(hours=1, minutes=2, seconds=3.5)),
    ],
)
def test_a_reset_is_a_go_duration_from_now(text: str, wait: timedelta) -> None:
    headers = {f"x-ratelimit-{k}-tokens": v for k, v in (("limit", "100"), ("remaining", "25"), ("reset", text))}
    (window,) = answer(200, headers).windows
    assert (window.name, window.remaining_fraction, window.reset_time) == ("tokens", 0.25, NOW + wait)
    assert (window.length_secs, window.model) == (60.0, "gpt-4.1")


def test_a_family_of_limits_with_a_new_name_is_kept() -> None:
    headers = {"x-ratelimit-limit-project-tokens": "200", "x-ratelimit-remaining-project-tokens": "50"}
    (window,) = answer(200, headers).windows
    assert (window.name, window.remaining_fraction) == ("project-tokens", 0.25)


def test_a_count_that_is_no_number_spoils_only_its_own_window() -> None:
    headers = {
        "x-ratelimit-limit-tokens": "100",
        "x-ratelimit-remaining-tokens": "NaN",
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "5",
    }
    assert [(w.name, w.remaining_fraction) for w in answer(200, headers).windows] == [("requests", 0.5)]


def test_a_buckets_time_to_full_is_no_delay() -> None:
    headers = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-limit-tokens": "9", "x-ratelimit-reset-tokens": "1m"}
    reading = answer(429, headers)
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("rate_limited", "model", None)
    assert reading.windows[0].remaining_fraction == 0.0


@pytest.mark.parametrize(
    ("text", "secs"), [("1.574s", 1.574), ("174ms", 0.174), ("6ms", 0.006), ("20s", 20.0), ("6m0s", 360.0)]
)
def test_a_throttle_tells_its_delay_and_what_is_left_in_words(text: str, secs: float) -> None:
    reading = refused(LIMITED.format("22,500") + f"Requested 1000. Please try again in {text}. Visit https://x.")
    assert (reading.kind, reading.scope, reading.retry_source) == ("rate_limited", "model", "retry-after")
    assert reading.retry_after_secs == pytest.approx(secs)
    assert [(w.name, w.remaining_fraction) for w in reading.windows] == [("tokens", 0.25)]


def test_a_limit_of_requests_per_minute_or_day_is_the_window_requests() -> None:
    for period in ("min (RPM)", "day (RPD)"):
        reading = refused(f"on requests per {period}: Limit 3, Used 3, Requested 1. Please try again in 20s.")
        assert [(w.name, w.remaining_fraction) for w in reading.windows] == [("requests", 0.0)]
        assert reading.retry_after_secs == 20.0


def test_more_used_than_the_limit_leaves_nothing() -> None:
    assert refused(LIMITED.format(31000) + "Requested 5.").windows[0].remaining_fraction == 0.0


def test_of_header_and_sentence_the_lower_rest_counts() -> None:
    headers = {"x-ratelimit-limit-tokens": "30000", "x-ratelimit-remaining-tokens": "30000"}
    body = {"error": {"message": LIMITED.format(30000) + "Requested 9.", "code": "rate_limit_exceeded"}}
    (window,) = answer(429, headers, body).windows
    assert window.remaining_fraction == 0.0


@pytest.mark.parametrize("message", ["Limit 30000, Requested 30601. The", "Limit 30000, Used 0, Requested ~30001. Try"])
def test_a_request_larger_than_its_limit_is_the_requests_fault(message: str) -> None:
    reading = refused(f"Request too large for gpt-4o on tokens per min (TPM): {message} again in 9s.")
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("bad_request", "model", None)


@pytest.mark.parametrize(
    ("status", "code", "kind_word", "kind", "scope"),
    [
        (429, "insufficient_quota", "insufficient_quota", "billing", "account"),
        (429, None, "insufficient_quota", "billing", "account"),
        (429, "billing_not_active", "billing_not_active", "billing", "account"),
        (401, "account_deactivated", "invalid_request_error", "banned", "account"),
        (403, "unsupported_country_region_territory", "request_forbidden", "restricted", None),
        (401, "invalid_api_key", "invalid_request_error", "auth_failed", "account"),
        (400, "context_length_exceeded", "invalid_request_error", "bad_request", None),
        (503, "slow_down", "service_unavailable", "overloaded", "upstream"),
        (500, "server_error", "server_error", "server_error", "upstream"),
    ],
)
def test_the_code_decides_where_the_status_misleads(
    status: int, code: str | None, kind_word: str, kind: str, scope: str | None
) -> None:
    reading = refused("text", code, kind_word, status)
    assert (reading.kind, reading.scope, reading.retry_after_secs) == (kind, scope, None)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("You exceeded your current quota, please check your plan and billing details.", "billing"),
        ("The OpenAI account associated with this API key has been deactivated.", "banned"),
        ("Country, region, or territory not supported", "restricted"),
        ("The engine is currently overloaded, please try again later", "overloaded"),
    ],
)
def test_a_known_sentence_stands_in_for_a_lost_code(message: str, kind: str) -> None:
    assert refused(message, None, "", 429).kind == kind


def test_a_request_that_is_too_large_says_so_without_numbers_too() -> None:
    message = "Request too large for gpt-4o on tokens per min (TPM). Visit https://x"
    assert refused(message).kind == "bad_request"
    assert answer(429, {}, f"Error code: 429 - {{'error': {{'message': '{message}'}}}}").kind == "bad_request"


def test_an_error_event_has_its_fields_beside_its_type() -> None:
    event = '{"type":"error","code":"rate_limit_exceeded","message":"Please try again in 1.5s.","param":null}'
    for stream in (f"data: {event}\n\n", f"event: error\ndata: {event}\n\n", f"[{event}]"):
        reading = answer(200, {}, stream)
        assert (reading.kind, reading.scope, reading.retry_after_secs) == ("rate_limited", "model", 1.5)


@pytest.mark.parametrize(
    ("message", "secs"),
    [
        ("on requests per min. Limit: 3 / min. Please try again in 20s. Contact us", 20.0),
        ("on images per min: Limit 5, Current: 6. Please try again in 12s.", 12.0),
        ("on tokens per min. Limit: 10000 / min. Current: 10020 / min. Contact us", None),
    ],
)
def test_the_older_sentence_tells_its_delay_and_no_window(message: str, secs: float | None) -> None:
    reading = refused("Rate limit reached for default-gpt-3.5-turbo in organization org-x " + message)
    assert (reading.kind, reading.retry_after_secs, reading.windows) == ("rate_limited", secs, ())


def test_words_inside_a_success_never_ban() -> None:
    body = {"error": {"code": "account_deactivated", "message": "x"}}
    assert answer(401, {}, body).kind == "banned"
    reading = answer(200, {}, body)
    assert (reading.kind, reading.scope, reading.final) == ("auth_failed", "account", False)


def test_a_bill_has_no_delay_even_when_a_header_names_one() -> None:
    reading = answer(429, {"retry-after": "20"}, {"error": {"type": "insufficient_quota"}})
    assert (reading.kind, reading.retry_after_secs) == ("billing", None)


def test_milliseconds_win_over_seconds() -> None:
    assert answer(429, {"retry-after": "2", "retry-after-ms": "1500"}).retry_after_secs == 1.5


def test_a_stream_that_fails_is_no_success() -> None:
    error = {"code": "rate_limit_exceeded", "message": "Please try again in 1.574s."}
    stream = f'data: {{"type":"response.failed","response":{{"status":"failed","error":{error}}}}}\n\n'.replace(
        "'", '"'
    )
    reading = answer(200, {}, stream)
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("rate_limited", "model", 1.574)
    completed = 'data: {"type":"response.completed","response":{"error":null,"usage":{"total_tokens":7}}}\n\n'
    assert (answer(200, {}, completed).kind, answer(200, {}, completed).tokens) == ("ok", 7)


def azure(headers: dict[str, str], message: str = "", status: int = 429) -> Reading:
    body = {"error": {"code": str(status), "message": message}} if message else None
    return answer(status, headers, body, "azure-openai")


def test_azure_counts_without_a_limit_are_an_unknown_share() -> None:
    headers = {"x-ratelimit-remaining-requests": "79", "x-ratelimit-remaining-tokens": "61353"}
    reading = azure(headers, status=200)
    assert (reading.kind, reading.scope) == ("ok", "model")
    assert [(w.name, w.remaining_fraction) for w in reading.windows] == [("requests", None), ("tokens", None)]
    assert azure({"x-ratelimit-remaining-tokens": "0"}).windows[0].remaining_fraction == 0.0


@pytest.mark.parametrize("name", ["x-ratelimit-reset-tokens", "x-rate-limit-reset-tokens"])
def test_azure_resets_are_whole_seconds_and_a_delay(name: str) -> None:
    reading = azure({name: "55"})
    assert (reading.kind, reading.retry_after_secs, reading.retry_source) == ("rate_limited", 55.0, "reset")
    assert reading.windows[0].reset_time == NOW + timedelta(seconds=55)


def test_azure_minus_one_is_unknown_and_its_reset_means_nothing() -> None:
    for part in ("limit", "remaining"):
        reading = azure({f"x-ratelimit-{part}-tokens": "-1", "x-ratelimit-reset-tokens": "9"}, status=200)
        assert (reading.windows[0].remaining_fraction, reading.windows[0].reset_time) == (None, None)


@pytest.mark.parametrize("secs", [45, 60, 2])
def test_azure_says_its_delay_in_header_or_text(secs: int) -> None:
    text = f"Requests to the X Operation have exceeded token rate limit. Please retry after {secs} seconds."
    assert azure({}, text).retry_after_secs == secs
    assert azure({"Retry-After": str(secs)}).retry_after_secs == secs


def test_azure_asks_to_wait_a_day_for_a_request_that_never_fits() -> None:
    for reading in (azure({}, "Please retry after 86400 seconds."), azure({"Retry-After": "86400"}, "x")):
        assert (reading.kind, reading.scope, reading.retry_after_secs) == ("bad_request", "model", None)
    assert answer(429, {"retry-after": "86400"}).kind == "rate_limited"


def test_azure_out_of_capacity_is_nobodys_fault() -> None:
    reading = azure({}, "The system is currently experiencing high demand. Please retry after 20 seconds.")
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("overloaded", "upstream", 20.0)


def test_azure_has_flat_bodies_and_header_and_text_together() -> None:
    flat = {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 58 seconds."}
    assert answer(429, {}, flat, "azure-openai").retry_after_secs == 58.0
    both = {"retry-after": "45", "x-rate-limit-reset-tokens": "55", "x-ratelimit-remaining-tokens": "-1"}
    reading = azure(both, "Please retry after 50 seconds.")
    assert (reading.retry_after_secs, reading.windows[0].remaining_fraction) == (45.0, None)
    assert azure({"retry-after-ms": "1820", "retry-after": "2"}).retry_after_secs == 1.82
