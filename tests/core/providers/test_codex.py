"""Codex: windows by their length, limits of single models, states under misleading statuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rotator.core.providers import Reading, WindowReading, read

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
RESET = int((NOW + timedelta(hours=2)).timestamp())
SPARK = {
    "x-codex-bengalfox-limit-name": "GPT-5.3-Codex-Spark",
    "x-codex-bengalfox-primary-used-percent": "35",
    "x-codex-bengalfox-primary-window-minutes": "300",
    "x-codex-bengalfox-primary-reset-after-seconds": "60",
}
LIMIT = {"type": "usage_limit_reached", "message": "The usage limit has been reached", "plan_type": "plus"}


def answer(status: int, headers: dict[str, str] | None = None, body: object = None) -> Reading:
    return read("codex", status=status, headers=headers or {}, body=body, model="gpt-5.4", now=NOW)


def slot(name: str, used: object, minutes: object = None, **more: object) -> dict[str, str]:
    told = {"used-percent": used, "window-minutes": minutes, **{k.replace("_", "-"): v for k, v in more.items()}}
    return {f"x-codex-{name}-{field}": str(value) for field, value in told.items() if value is not None}


def shown(reading: Reading) -> dict[str, WindowReading]:
    return {window.name: window for window in reading.windows}


def usage(**limits: object) -> Reading:
    return answer(200, {}, {"plan_type": "plus", "rate_limit": limits})


@pytest.mark.parametrize(
    ("minutes", "name", "secs"),
    [
        (300, "5h", 18_000.0),
        (299, "5h", 18_000.0),
        (10080, "7d", 604_800.0),
        (10079, "7d", 604_800.0),
        (1440, "24h", 86_400.0),
        (40320, "28d", 2_419_200.0),
        (43200, "30d", 2_592_000.0),
        (43800, "30d", 2_628_000.0),
        (60, "1h", 3_600.0),
        (15, "15m", 900.0),
        (None, "primary", None),
    ],
)
def test_a_window_is_named_by_its_length_and_not_by_its_slot(
    minutes: int | None, name: str, secs: float | None
) -> None:
    (window,) = answer(200, slot("primary", "34", minutes)).windows
    assert (window.name, window.length_secs, window.model) == (name, secs, None)
    assert window.remaining_fraction == pytest.approx(0.66)


@pytest.mark.parametrize(
    ("used", "left"), [("1.0", 0.99), ("100", 0.0), ("101", 0.0), ("0", 1.0), ("0.5", 0.995), ("-1", None)]
)
def test_per_cent_used_is_never_read_as_a_fraction(used: str, left: float | None) -> None:
    assert answer(200, slot("primary", used, 300)).windows[0].remaining_fraction == pytest.approx(left)


def test_a_slot_of_no_length_is_unused_and_one_without_numbers_is_dropped() -> None:
    headers = slot("primary", "34", 10080) | slot("secondary", "0", 0, reset_at="")
    assert list(shown(answer(200, headers))) == ["7d"]
    for used, minutes in (("NaN", 300), ("34", "five"), ("34", -300), ("34", "1e300")):
        assert answer(200, slot("primary", used, minutes)).windows == ()


def test_the_reset_is_an_instant_and_else_a_delay() -> None:
    at, after = slot("primary", 1, 300, reset_at=RESET, reset_after_seconds=5), slot("primary", 1, 300, reset_at="")
    assert answer(200, at).windows[0].reset_time == NOW + timedelta(hours=2)
    later = answer(200, after | {"x-codex-primary-reset-after-seconds": "60"})
    assert later.windows[0].reset_time == NOW + timedelta(minutes=1)
    assert answer(200, after).windows[0].reset_time is None


def test_of_two_slots_of_one_length_the_one_with_less_left_is_kept() -> None:
    headers = slot("primary", 10, 10080) | slot("secondary", 90, 10080)
    assert answer(200, headers).windows[0].remaining_fraction == pytest.approx(0.1)


def test_a_limit_with_a_name_is_a_models() -> None:
    window = shown(answer(200, SPARK | slot("primary", 50, 10080)))["GPT-5.3-Codex-Spark:5h"]
    assert (window.remaining_fraction, window.model) == (pytest.approx(0.65), "*gpt-5.3-codex-spark*")
    assert not window.informative
    unnamed = {name: value for name, value in SPARK.items() if "limit-name" not in name}
    assert shown(answer(200, unnamed))["bengalfox:5h"].informative


def test_the_plain_slots_of_a_models_own_limit_say_nothing_about_the_account() -> None:
    headers = (
        SPARK | {"x-codex-active-limit": "codex_bengalfox"} | slot("primary", 0, 300) | slot("secondary", 2, 10080)
    )
    names = shown(answer(200, headers))
    assert sorted(names) == ["GPT-5.3-Codex-Spark:5h", "GPT-5.3-Codex-Spark:7d"]
    assert "5h" in shown(answer(200, headers | {"x-codex-active-limit": "premium"}))


def test_a_name_that_is_a_pattern_limits_nobody_else() -> None:
    window = shown(answer(200, SPARK | {"x-codex-bengalfox-limit-name": "*"}))["bengalfox:5h"]
    assert (window.model, window.informative) == (None, True)


def test_a_spent_plan_waits_for_what_the_body_says() -> None:
    reading = answer(429, {}, {"error": LIMIT | {"resets_at": RESET, "resets_in_seconds": 7199}})
    assert (reading.kind, reading.scope, reading.final) == ("quota_exhausted", "account", False)
    assert (reading.retry_after_secs, reading.retry_source) == (7199.0, "reset")
    assert [(w.name, w.remaining_fraction) for w in reading.windows] == [("usage_limit", 0.0)]
    assert answer(429, {}, {"error": LIMIT | {"resets_at": RESET}}).retry_after_secs == 7200.0
    assert answer(429, {"retry-after": "9"}, {"error": LIMIT}).retry_after_secs == 9.0


def test_a_spent_plan_without_a_hint_waits_for_the_latest_spent_window() -> None:
    headers = slot("primary", 100, 300, reset_after_seconds=60) | slot("secondary", 100, 10080, reset_after_seconds=600)
    reading = answer(429, headers, {"error": LIMIT})
    assert (reading.retry_after_secs, reading.retry_source) == (600.0, "reset")
    assert sorted(shown(reading)) == ["5h", "7d"]


def test_a_spent_limit_of_a_model_leaves_the_account_alone() -> None:
    headers = {**SPARK, "x-codex-active-limit": "codex_bengalfox", "x-codex-bengalfox-primary-used-percent": "100"}
    reading = answer(429, headers, {"error": LIMIT | {"resets_at": RESET}})
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("quota_exhausted", "model", 7200.0)


@pytest.mark.parametrize("status", [0, 101, 200, 429])
def test_a_websocket_event_has_its_status_and_headers_inside(status: int) -> None:
    headers = {"X-Codex-Primary-Used-Percent": "100", "X-Codex-Primary-Window-Minutes": 300}
    event = {"type": "error", "error": LIMIT | {"resets_in_seconds": 60}, "status_code": 429, "headers": headers}
    reading = answer(status, {}, event)
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("quota_exhausted", "account", 60.0)
    assert [(w.name, w.remaining_fraction) for w in reading.windows] == [("5h", 0.0)]
    assert answer(200, {}, {"error": {"message": "x"}, "status": 401}).kind == "auth_failed"


@pytest.mark.parametrize(
    ("flags", "primary", "secondary", "kind"),
    [
        ({"allowed": True, "limit_reached": False}, 3, None, "ok"),
        ({"allowed": False, "limit_reached": True}, 0, None, "quota_exhausted"),
        ({"allowed": True, "limit_reached": True}, 0, 50, "quota_exhausted"),
        ({"allowed": False}, 0, 100, "quota_exhausted"),
        ({}, 0, 100, "quota_exhausted"),
        ({}, 99, 99, "ok"),
    ],
)
def test_any_flag_or_window_of_the_usage_endpoint_blocks(
    flags: dict, primary: int, secondary: int | None, kind: str
) -> None:
    def window(used: int | None, secs: int) -> dict | None:
        return None if used is None else {"used_percent": used, "limit_window_seconds": secs, "reset_at": RESET}

    reading = usage(**flags, primary_window=window(primary, 18000), secondary_window=window(secondary, 604800))
    assert (reading.kind, reading.scope) == (kind, "account")
    assert sorted(shown(reading)) == (["5h"] if secondary is None else ["5h", "7d"])
    assert shown(reading)["5h"].reset_time == NOW + timedelta(hours=2)


def test_the_usage_endpoint_lists_limits_of_single_models() -> None:
    extra = {
        "limit_name": "GPT-5.3-Codex-Spark",
        "metered_feature": "codex_bengalfox",
        "rate_limit": {
            "limit_reached": True,
            "primary_window": {"used_percent": 100, "limit_window_seconds": 18000, "reset_after_seconds": 60},
        },
    }
    body = {"rate_limit": {"allowed": True, "primary_window": {"used_percent": 0, "limit_window_seconds": 604800}}}
    reading = answer(200, {}, body | {"additional_rate_limits": [extra], "credits": {"balance": None}})
    assert reading.kind == "ok"
    assert shown(reading)["GPT-5.3-Codex-Spark:5h"].remaining_fraction == 0.0
    assert shown(reading)["7d"].remaining_fraction == 1.0


def test_the_app_server_repeats_the_shared_limit_by_its_id() -> None:
    limits = {"limitId": "codex", "limitName": None, "primary": {"usedPercent": 57, "windowDurationMins": 300}}
    body = {"id": 3, "result": {"rateLimits": limits, "rateLimitsByLimitId": {"codex": limits}}}
    assert list(shown(answer(200, {}, body))) == ["5h"]


def test_a_later_event_without_limits_erases_nothing() -> None:
    told = {"type": "event_msg", "payload": {"rate_limits": {"primary": {"used_percent": 3, "window_minutes": 300}}}}
    empty = {"type": "event_msg", "payload": {"rate_limits": None}}
    assert list(shown(answer(200, {}, [told, empty]))) == ["5h"]
    assert answer(200, {}, empty).kind == "ok"


def test_an_answer_that_spends_the_last_of_a_window_was_still_an_answer() -> None:
    limits = {"type": "codex.rate_limits", "rate_limits": {"primary": {"used_percent": 100, "window_minutes": 300}}}
    done = {"type": "response.completed", "response": {"usage": {"total_tokens": 5}}}
    reading = answer(200, {}, [limits, done])
    assert (reading.kind, reading.tokens, reading.windows[0].remaining_fraction) == ("ok", 5, 0.0)
    assert answer(200, {}, [limits]).kind == "quota_exhausted"


@pytest.mark.parametrize(
    ("status", "body", "kind", "final"),
    [
        (402, {"detail": {"code": "deactivated_workspace"}}, "restricted", False),
        (403, {"detail": {"code": "invalid_workspace_selected"}}, "restricted", False),
        (403, {"detail": "invalid_workspace_selected"}, "restricted", False),
        (403, {"error": {"code": "invalid_workspace_selected"}}, "restricted", False),
        (401, {"error": {"code": "token_invalidated"}, "status": 401}, "auth_failed", True),
        (401, {"error": {"code": "refresh_token_reused", "type": "invalid_request_error"}}, "auth_failed", True),
        (401, {"error": {"code": "token_expired"}}, "auth_failed", False),
        (401, {"detail": "Unauthorized"}, "auth_failed", False),
        (400, {"error": "invalid_grant"}, "auth_failed", True),
        (401, {"error": {"code": "account_deactivated"}}, "banned", False),
        (429, {"error": {"type": "usage_not_included"}}, "billing", False),
    ],
)
def test_the_code_decides_the_state(status: int, body: object, kind: str, final: bool) -> None:
    reading = answer(status, {}, body)
    assert (reading.kind, reading.scope, reading.final) == (kind, "account", final)


def test_a_stream_that_fails_is_no_success() -> None:
    failed = {"type": "response.failed", "response": {"error": LIMIT | {"resets_in_seconds": 30}}}
    reading = answer(200, {}, [failed])
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("quota_exhausted", "account", 30.0)


@pytest.mark.parametrize("place", ["error", "detail", None])
@pytest.mark.parametrize("as_text", [False, True])
def test_a_spent_plan_tells_its_reset_wherever_the_error_stands(place: str | None, *, as_text: bool) -> None:
    told = {"type": "usage_limit_reached", "resets_at": RESET}
    told = {name: str(value) for name, value in told.items()} if as_text else told
    reading = answer(429, {}, {place: told} if place else told)
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("quota_exhausted", "account", 7200.0)
    assert reading.windows[0].reset_time == NOW + timedelta(hours=2)


def test_a_spent_plan_is_told_by_its_sentence_or_by_its_headers_alone() -> None:
    sentence = "You've hit your usage limit. Upgrade to Pro (https://x) or try again in 5 days 22 hours 11 minutes."
    reading = answer(429, {}, {"error": {"message": sentence}})
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("quota_exhausted", "account", 511860.0)
    spent = slot("primary", 100, 10080, reset_after_seconds=600)
    reading = answer(429, spent)
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("quota_exhausted", "account", 600.0)
    throttle = {"error": {"code": "rate_limit_exceeded", "message": "Please try again in 2s."}}
    assert (answer(429, spent, throttle).kind, answer(429, slot("primary", 99, 300)).kind) == ("rate_limited",) * 2


def test_a_session_file_is_read_line_by_line() -> None:
    limits = '{"payload": {"rate_limits": {"primary": {"used_percent": %d, "window_minutes": 300}}}}'
    lines = "\n".join([limits % 3, "", limits % 9, '{"payload": {"rate_limits": null}}', '{"payload": {"ra'])
    assert shown(answer(200, {}, lines))["5h"].remaining_fraction == pytest.approx(0.91)


def test_the_review_limit_of_the_usage_endpoint_is_not_the_accounts() -> None:
    def window(used: int) -> dict:
        return {"allowed": True, "primary_window": {"used_percent": used, "limit_window_seconds": 604800}}

    reading = answer(200, {}, {"rate_limit": window(27), "code_review_rate_limit": window(100)})
    assert (reading.kind, [w.remaining_fraction for w in reading.windows]) == ("ok", [pytest.approx(0.73)])


def test_a_month_and_a_third_slot_are_windows_too() -> None:
    month, week = ({"used_percent": used, "limit_window_seconds": secs} for used, secs in ((6, 2628000), (95, 604800)))
    windows = shown(usage(primary_window=month, secondary_window=None, tertiary_window=week))
    assert {name: round(w.remaining_fraction or 0.0, 2) for name, w in windows.items()} == {"30d": 0.94, "7d": 0.05}
