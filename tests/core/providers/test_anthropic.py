"""Anthropic: the documented kinds of answer, each told from its neighbours."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rotator.core.providers import Reading, read

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
SECS = int(NOW.timestamp())
UNIFIED = "anthropic-ratelimit-unified-"
OPUS = "claude-opus-5"


def unified(**values: object) -> dict[str, str]:
    """``five_status="rejected"`` is ``...-5h-status``; ``week`` is ``7d``; one underscore ends the window's name."""
    named = {"five": "5h", "week": "7d", "oi": "7d_oi", "opus": "7d_opus", "sonnet": "7d_sonnet"}
    headers = {}
    for name, value in values.items():
        window, _, field = name.partition("_")
        headers[UNIFIED + (f"{named[window]}-{field}" if window in named else name.replace("_", "-"))] = str(value)
    return headers


def answer(
    status: int, headers: dict[str, str] | None = None, body: object = None, model: str | None = OPUS
) -> Reading:
    return read("anthropic", status=status, headers=headers or {}, body=body, model=model, now=NOW)


def error(kind: str, message: str) -> dict[str, object]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


SENTENCES = [
    (429, "rate_limit_error",
     "This request would exceed your account's rate limit. Please try again later.",
     "rate_limited", "account"),
    (429, "rate_limit_error", "This request would exceed your account\u2019s rate limit.", "rate_limited", "account"),
    (429, "rate_limit_error",
     "Number of request tokens has exceeded your per-minute rate limit",
     "rate_limited", "model"),
    (429, "rate_limit_error", "Number of request tokens has exceeded your daily rate limit", "rate_limited", "model"),
    (429, "rate_limit_error",
     ("This request would exceed your organization's rate limit of 30,000 input tokens per minute "
      "(org: o, model: m)."),
     "rate_limited", "model"),
    (429, "rate_limit_error",
     "This request would exceed the rate limit for your organization (o) of 20,000 input tokens per minute.",
     "rate_limited", "model"),
    (429, "rate_limit_error", "Rate limited", "rate_limited", "upstream"),
    (429, "rate_limit_error", "Extra usage is required for long context requests.", "billing", "model"),
    (429, "rate_limit_error", "Usage credits are required for long context requests.", "billing", "model"),
    (429, "rate_limit_error", "You're out of extra usage. Add more at claude.ai/settings/usage.", "billing", "account"),
    (429, "rate_limit_error", "Number of requests has exceeded your per-minute rate limit (https://x)",
     "rate_limited", "model"),
    (400, "invalid_request_error", "You have reached your specified workspace API usage limits.", "billing", "account"),
    (401, "authentication_error", "This organization has been disabled.", "banned", "account"),
    (529, "overloaded_error", "Overloaded", "overloaded", "upstream"),
    (500, "api_error", "Internal server error", "server_error", "upstream"),
    (500, "overloaded_error", "Overloaded", "overloaded", "upstream"),
    (503, "api_error", "upstream connect error", "overloaded", "upstream"),
    (400, "invalid_request_error", "Your credit balance is too low to access the Claude API.", "billing", "account"),
    (400, "invalid_request_error",
     "Third-party apps now draw from your extra usage, not your plan limits. Ask your workspace admin.",
     "billing", "account"),
    (400, "invalid_request_error", "You're out of\n\textra usage.", "billing", "account"),
    (400, "invalid_request_error", "THIS ORGANIZATION HAS BEEN DISABLED.", "banned", "account"),
    (400, "invalid_request_error", "max_tokens: This organization has been disabled.", "bad_request", None),
    (400, "invalid_request_error", "messages: at least one message is required", "bad_request", None),
    (401, "authentication_error", "OAuth token has expired.", "auth_failed", "account"),
    (401, "authentication_error", "Invalid authentication credentials", "auth_failed", "account"),
    (401, "authentication_error", "invalid x-api-key", "auth_failed", "account"),
    (401, "authentication_error",
     "OAuth authentication is currently not allowed for this organization.",
     "restricted", "account"),
    (403, "permission_error", "OAuth token has been revoked. Please obtain a new token.", "auth_failed", "account"),
    (403, "permission_error", "OAuth token does not meet scope requirement user:profile", "restricted", None),
    (403, "permission_error", "Request not allowed", "restricted", "account"),
    (402, "billing_error", "There's an issue with your billing", "billing", "account"),
    (404, "not_found_error", "model: claude-9", "bad_request", None),
    (413, "request_too_large", "Request exceeds the maximum size", "bad_request", None),
    (408, "timeout_error", "timed out", "server_error", "upstream"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "type_", "message", "kind", "scope"), SENTENCES)
def test_the_stable_beginning_of_a_message_decides(
    status: int, type_: str, message: str, kind: str, scope: str | None
) -> None:
    reading = answer(status, body=error(type_, message))
    assert (reading.kind, reading.scope) == (kind, scope)
    assert reading.windows == ()


@pytest.mark.parametrize(("status", "type_", "message", "kind", "scope"), SENTENCES)
def test_a_message_cut_off_after_its_beginning_means_the_same(
    status: int, type_: str, message: str, kind: str, scope: str | None
) -> None:
    cut = '{"type":"error","error":{"type":"' + type_ + '","message":"' + message.replace("\n\t", "\\n\\t")
    reading = answer(status, body=cut)
    assert (reading.kind, reading.scope) == (kind, scope)


def test_a_403_that_nobody_recognised_has_no_reason_and_a_recognised_one_has() -> None:
    assert answer(403, body=error("permission_error", "something new")).reason == ""
    assert answer(403, body=error("permission_error", "Request not allowed")).reason == "request not allowed"


def test_only_a_dead_credential_is_final() -> None:
    assert answer(403, body=error("permission_error", "OAuth token has been revoked")).final
    assert answer(400, body={"error": "invalid_grant", "error_description": "Refresh token expired"}).final
    assert not answer(401, body=error("authentication_error", "OAuth token has expired")).final


def test_a_refresh_with_a_scope_is_the_clients_mistake() -> None:
    body = {"error": "invalid_scope", "error_description": "The requested scope is invalid, unknown, or malformed."}
    reading = answer(400, body=body)
    assert (reading.kind, reading.scope, reading.final) == ("bad_request", None, False)


def test_a_refresh_reply_is_a_success_that_shows_no_window_and_no_token() -> None:
    body = {"access_token": "fake-access", "refresh_token": "fake-refresh", "token_type": "Bearer", "expires_in": 28800}
    reading = answer(200, body=body)
    assert (reading.kind, reading.windows, reading.tokens) == ("ok", (), None)
    assert "fake" not in repr(reading)


def test_a_usage_limit_is_a_bill_that_ends_on_its_day() -> None:
    message = "You have reached your specified API usage limits. You will regain access on 2026-09-02 at 00:00 UTC."
    reading = answer(400, body=error("invalid_request_error", message))
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("billing", "account", 43200.0)
    assert reading.retry_source == "reset"


def test_a_hint_that_equals_the_reset_is_the_reset() -> None:
    rejected = unified(status="rejected", five_status="rejected", five_reset=SECS + 7835)
    assert answer(429, rejected | {"retry-after": "7834"}).retry_source == "reset"
    assert answer(429, rejected | {"retry-after": "120"}).retry_source == "retry-after"
    assert answer(429, rejected | {"retry-after": "120"}).retry_after_secs == 120.0
    assert answer(429, rejected).retry_after_secs == 7835.0


def test_of_several_rejected_account_windows_the_latest_reset_counts() -> None:
    headers = unified(
        status="rejected", representative_claim="five_hour", reset=SECS + 60,
        five_status="rejected", five_reset=SECS + 60, week_status="rejected", week_reset=SECS + 90_000,
    )  # fmt: skip
    reading = answer(429, headers)
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("quota_exhausted", "account", 90_000.0)


def test_a_spent_model_week_does_not_lengthen_the_wait_of_a_spent_account() -> None:
    headers = unified(
        status="rejected", five_status="rejected", five_reset=SECS + 600, oi_status="rejected", oi_reset=SECS + 400_000
    )
    reading = answer(429, headers)
    assert (reading.scope, reading.retry_after_secs) == ("account", 600.0)


@pytest.mark.parametrize(
    ("claim", "window"),
    [("seven_day_overage_included", "7d_oi"), ("seven_day_opus", "7d_opus"), ("seven_day_sonnet", "7d_sonnet")],
)
def test_a_rejected_family_week_concerns_the_model_until_its_own_reset(claim: str, window: str) -> None:
    headers = unified(
        status="rejected", representative_claim=claim, reset=SECS + 121_000, five_status="allowed",
        five_utilization="0.41", five_reset=SECS + 600, week_status="allowed_warning", week_utilization="0.9",
    )  # fmt: skip
    reading = answer(429, headers)
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("quota_exhausted", "model", 121_000.0)
    shown = {w.name: w for w in reading.windows}
    assert shown[window].remaining_fraction == 0.0
    assert shown[window].reset_time is not None
    assert shown[window].model
    assert not shown[window].informative
    assert shown["5h"].remaining_fraction == pytest.approx(0.59)


def test_the_aggregate_form_alone_names_its_window_by_the_claim() -> None:
    headers = unified(status="rejected", representative_claim="seven_day", reset=SECS + 3600)
    reading = answer(429, headers)
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("quota_exhausted", "account", 3600.0)
    assert [(w.name, w.remaining_fraction) for w in reading.windows] == [("7d", 0.0)]


def test_a_warning_serves_and_so_does_a_plan_whose_overflow_is_rejected() -> None:
    headers = unified(
        status="allowed_warning", five_status="allowed_warning", five_utilization="0.92", five_reset=SECS + 600,
        overage_status="rejected", overage_utilization="1.05", overage_reset=SECS + 900, overage_in_use="false",
    )  # fmt: skip
    reading = answer(200, headers)
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("ok", "account", None)
    shown = {w.name: w for w in reading.windows}
    assert shown["5h"].remaining_fraction == pytest.approx(0.08)
    assert shown["overage"].remaining_fraction == 0.0
    assert shown["overage"].informative


def test_a_rejection_without_a_reset_to_come_says_so_for_a_person() -> None:
    headers = unified(status="rejected", five_status="rejected", five_reset=SECS - 600)
    reading = answer(429, headers)
    assert (reading.kind, reading.retry_after_secs) == ("quota_exhausted", None)
    assert reading.reason == "5h window spent, no reset to come"


def test_a_rejected_overage_claim_is_money_for_one_model_while_the_plan_has_room() -> None:
    refused = {"status": "rejected", "representative_claim": "overage", "reset": SECS + 86_400}
    with_room = answer(429, unified(**refused, five_status="allowed", week_status="allowed"))
    assert (with_room.kind, with_room.scope) == ("billing", "model")
    assert (answer(429, unified(**refused)).kind, answer(429, unified(**refused)).scope) == ("billing", "account")


def test_payment_required_is_a_bill_under_any_status() -> None:
    for status in (200, 429):
        assert answer(status, unified(status="payment_required")).kind == "billing"


@pytest.mark.parametrize("state", ["rate_limited", "blocked", "queueing_hard", "Rejected"])
def test_the_other_words_of_refusal_count_as_rejected(state: str) -> None:
    reading = answer(429, unified(five_status=state, five_reset=SECS + 60))
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("quota_exhausted", "account", 60.0)


def test_an_unknown_state_changes_nothing() -> None:
    reading = answer(200, unified(status="surprising", five_status="surprising", five_utilization="0.5"))
    assert (reading.kind, reading.windows[0].remaining_fraction) == ("ok", 0.5)


def test_should_retry_is_never_a_signal_of_readiness() -> None:
    for advice in ("true", "false"):
        headers = unified(status="rejected", five_status="rejected") | {"retry-after": "7835", "x-should-retry": advice}
        assert answer(429, headers).kind == "quota_exhausted"


class TestA429WithoutLimitHeaders:
    inference = error("rate_limit_error", "a new sentence")

    def test_is_a_burst_when_it_has_no_retry_after_either(self) -> None:
        assert answer(429, {"x-should-retry": "true"}, self.inference).scope == "upstream"
        assert answer(429).scope == "upstream"

    def test_is_a_probe_endpoints_own_when_only_retry_after_came(self) -> None:
        reading = answer(429, {"retry-after": "2895"}, {"error": {"type": "rate_limit_error", "message": "Slow down"}})
        assert (reading.kind, reading.scope, reading.retry_after_secs) == ("rate_limited", None, 2895.0)

    def test_is_the_usage_endpoints_by_its_sentence_though_it_came_in_the_inference_envelope(self) -> None:
        sentence = error("rate_limit_error", "Rate limited. Please try again later.")
        for hint, secs in (("2895", 2895.0), ("0", None)):
            reading = answer(429, {"retry-after": hint}, sentence)
            assert (reading.kind, reading.scope, reading.retry_after_secs) == ("rate_limited", None, secs)
        assert answer(429, {"retry-after": "5", "x-should-retry": "true"}, sentence).scope == "model"

    def test_is_the_models_when_inference_marked_it(self) -> None:
        for headers, body in (({"x-should-retry": "true"}, None), ({}, self.inference)):
            reading = answer(429, {"retry-after": "30"} | headers, body)
            assert (reading.scope, reading.retry_after_secs) == ("model", 30.0)

    def test_with_out_of_credits_alone_is_money_for_the_model(self) -> None:
        reading = answer(429, unified(overage_disabled_reason="out_of_credits"), self.inference)
        assert (reading.kind, reading.scope, reading.retry_after_secs) == ("billing", "model", None)

    def test_but_out_of_credits_beside_a_rejected_window_is_the_windows(self) -> None:
        headers = unified(overage_disabled_reason="out_of_credits", status="rejected", five_status="rejected")
        assert answer(429, headers).kind == "quota_exhausted"


def test_a_per_minute_429_waits_for_the_latest_of_the_spent_limits() -> None:
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2026-09-01T13:00:00Z",
        "anthropic-ratelimit-input-tokens-limit": "30000",
        "anthropic-ratelimit-input-tokens-remaining": "0",
        "anthropic-ratelimit-input-tokens-reset": "2026-09-01T12:00:40Z",
    }
    reading = answer(429, headers)
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("rate_limited", "model", 40.0)
    assert answer(429, headers | {"retry-after": "42"}).retry_after_secs == 42.0


def test_an_error_event_ends_a_stream_that_began_well() -> None:
    started = 'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":9}}}\n\n'
    for type_, kind, scope in (
        ("overloaded_error", "overloaded", "upstream"),
        ("api_error", "server_error", "upstream"),
        ("rate_limit_error", "rate_limited", "upstream"),
        ("authentication_error", "auth_failed", "account"),
        ("permission_error", "restricted", "account"),
        ("never_seen_error", "server_error", "upstream"),
    ):
        event = 'event: error\ndata: {"type":"error","error":{"type":"' + type_ + '","message":"x"}}'
        for end in ("\n\n", ""):
            reading = answer(200, {"content-type": "text/event-stream"}, started + event + end)
            assert (reading.kind, reading.scope) == (kind, scope)


class TestTheUsageEndpoint:
    def test_gives_per_cent_used_where_one_is_one_per_cent(self) -> None:
        body = {
            "five_hour": {"utilization": 37.0, "resets_at": "2026-09-01T16:59:59.000000+00:00"},
            "seven_day": {"utilization": 26.0, "resets_at": "2026-09-05T14:59:59.771647+00:00"},
            "seven_day_opus": None,
            "seven_day_sonnet": {"utilization": 1.0, "resets_at": None},
            "extra_usage": {"is_enabled": False, "monthly_limit": 2000, "utilization": 38.15, "resets_at": None},
        }
        reading = answer(200, body=body)
        assert (reading.kind, reading.scope) == ("ok", "account")
        left = {window.name: window.remaining_fraction for window in reading.windows}
        assert left == pytest.approx({"5h": 0.63, "7d": 0.74, "7d_sonnet": 0.99})

    def test_shows_no_window_without_a_name(self) -> None:
        own = {"utilization": 73.0, "resets_at": None}
        assert [window.name for window in answer(200, body={"": own, " ": own, "seven_day": own}).windows] == ["7d"]

    def test_above_a_hundred_per_cent_is_spent(self) -> None:
        body = {
            "five_hour": {"utilization": 101, "resets_at": None},
            "seven_day": {"utilization": 60, "resets_at": None},
        }
        reading = answer(200, body=body)
        assert (reading.kind, reading.scope, reading.retry_after_secs) == ("quota_exhausted", "account", None)
        assert reading.windows[0].remaining_fraction == 0.0

    def test_of_a_spent_model_week_leaves_the_account_well(self) -> None:
        scope = {"model": {"id": None, "display_name": "Fable 5"}, "surface": None}
        limit = {"kind": "weekly_scoped", "percent": 104, "resets_at": "2026-09-03T00:00:00Z", "scope": scope}
        reading = answer(200, body={"limits": [limit, {"kind": "new"}, 7], "five_hour": None})
        assert reading.kind == "ok"
        (window,) = reading.windows
        assert (window.name, window.remaining_fraction, window.model) == ("7d:Fable 5", 0.0, "*fable-5*")


@pytest.mark.parametrize(
    ("headers", "kind", "scope", "secs"),
    [
        (unified(status="rejected", week_utilization="1.0", week_reset=SECS + 90, five_utilization="0.2"),
         "quota_exhausted", "account", 90.0),
        (unified(status="rejected", reset=SECS + 90, week_utilization="0.97", week_reset=SECS + 90,
                 five_utilization="0.2", five_reset=SECS + 9), "quota_exhausted", "account", 90.0),
        (unified(five_utilization="1.02", five_reset=SECS + 9, week_utilization="0.97"),
         "quota_exhausted", "account", 9.0),
        (unified(status="rejected", opus_utilization="1.0", opus_reset=SECS + 90, week_utilization="0.5"),
         "quota_exhausted", "model", 90.0),
        (unified(status="rejected", five_utilization="0.2"), "quota_exhausted", "model", None),
        (unified(status="allowed", five_utilization="1.02", five_reset=SECS + 9), "rate_limited", "model", None),
    ],
)  # fmt: skip
def test_a_refusal_that_names_no_window_means_the_empty_one_or_the_one_that_ends_with_it(
    headers: dict[str, str], kind: str, scope: str, secs: float | None
) -> None:
    reading = answer(429, headers)
    assert (reading.kind, reading.scope, reading.retry_after_secs) == (kind, scope, secs)


def test_the_kinds_of_a_429_are_told_in_their_order() -> None:
    account = error("rate_limit_error", "This request would exceed your account's rate limit.")
    family = unified(status="rejected", oi_status="rejected", five_status="allowed", week_status="allowed")
    assert answer(429, family, account).scope == "model"
    assert answer(429, unified(overage_disabled_reason="out_of_credits"), account).kind == "billing"
    assert answer(429, unified(status="allowed") | {"retry-after": "5"}, error("x", "Rate limited")).scope == "upstream"
    long = error("rate_limit_error", "Extra usage is required for long context requests.")
    assert answer(429, unified(status="allowed", five_status="allowed"), long).kind == "billing"


def test_a_body_that_a_client_wrapped_in_its_own_words_means_the_same() -> None:
    body = (
        '429 {"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your account\'s '
    )
    body += 'rate limit. Please try again later."},"request_id":"req_1"}\n    at generate (cli.js:11:53135)'
    assert (answer(429, body=body).kind, answer(429, body=body).scope) == ("rate_limited", "account")


@pytest.mark.parametrize("day", ["2026-09-02 at 00:00 UTC", "2026-09-02"])
def test_the_day_on_which_access_returns_may_lack_its_hour_and_come_under_429(day: str) -> None:
    message = f"You have reached your specified workspace API usage limits. You will regain access on {day}."
    for status in (400, 429):
        reading = answer(status, body=error("invalid_request_error", message))
        assert (reading.kind, reading.retry_after_secs, reading.retry_source) == ("billing", 43200.0, "reset")


def test_an_http_date_and_a_stated_second_are_the_same_wait() -> None:
    rejected = unified(status="rejected", five_status="rejected")
    for said in (
        "7200",
        "Tue, 01 Sep 2026 14:00:00 GMT",
        "Tuesday, 01-Sep-26 14:00:00 GMT",
        "Tue Sep  1 14:00:00 2026",
    ):
        assert answer(429, rejected | {"Retry-After": f" {said} "}).retry_after_secs == 7200.0


def test_a_known_sentence_about_a_minutes_limit_waits_for_the_window_that_is_empty():
    body = error(
        "rate_limit_error", "This request would exceed your organization's rate limit of 5 requests per minute."
    )
    limit = "anthropic-ratelimit-requests-"
    headers = {f"{limit}limit": "5", f"{limit}remaining": "0", f"{limit}reset": "2026-09-01T12:00:42Z"}
    reading = answer(429, headers, body)
    assert (reading.kind, reading.scope, reading.retry_after_secs, reading.retry_source) == (
        "rate_limited",
        "model",
        42.0,
        "reset",
    )
    assert answer(429, {**headers, "retry-after": "7"}, body).retry_after_secs == 7.0
