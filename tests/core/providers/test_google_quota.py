"""Google's quota facts: which of several delays, which window, and what the quota endpoints list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

import pytest

from rotator.core.providers import Reading, WindowReading, read

NOW = datetime(2026, 4, 27, 8, tzinfo=UTC)
MODEL = "gemini-2.5-pro"


def retry(delay: object) -> dict[str, object]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


def info(reason: str, **metadata: str) -> dict[str, object]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "metadata": metadata}


def violation(quota_id: str, value: str = "50") -> dict[str, object]:
    found = {"quotaId": quota_id, "quotaDimensions": {"model": MODEL}, "quotaValue": value}
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [found]}


def refused(message: str, *details: dict[str, object], headers: dict[str, str] | None = None) -> Reading:
    body = {"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": list(details)}}
    return read("google-gemini-api", status=429, headers=headers or {}, body=body, model="asked", now=NOW)


def listed(document: object) -> dict[str, WindowReading]:
    reading = read("google-cloudcode", status=200, headers={}, body=document, now=NOW)
    assert reading.kind == "ok"
    return {window.name: window for window in reading.windows}


@pytest.mark.parametrize(
    ("message", "details", "secs", "source"),
    [
        ("", [retry("56s")], 56.0, "retry-after"),
        ("Please retry in 56.185908122s.", [retry("56s")], 56.185908122, "retry-after"),
        ("Please retry in 900.2ms.", [], 0.9002, "retry-after"),
        ("Your quota will reset after 25h20m26s.", [], 91226.0, "reset"),
        (
            "Resets in 9h22m20s.",
            [info("QUOTA_EXHAUSTED", quotaResetDelay="33740.910400305s")],
            33740.910400305,
            "reset",
        ),
        (
            "Your quota will reset after 0s.",
            [info("RATE_LIMIT_EXCEEDED", quotaResetDelay="539.477544ms")],
            0.539477544,
            "reset",
        ),
        ("", [info("QUOTA_EXHAUSTED", quotaResetDelay="161h39m41.3s"), retry("581981.3s")], 581981.3, "reset"),
        ("", [info("QUOTA_EXHAUSTED", quotaResetTimeStamp="2026-04-27T09:00:00Z")], 3600.0, "reset"),
        ("", [info("QUOTA_EXHAUSTED", quotaResetDelay="60s"), retry("600s")], 600.0, "retry-after"),
        ("Your quota will reset after 0s.", [], None, None),
        ("", [retry("-3s")], None, None),
        ("", [retry("NaN")], None, None),
        ("", [retry(None), retry({"seconds": 3})], None, None),
        ("", [info("QUOTA_EXHAUSTED", quotaResetTimeStamp="2020-01-01T00:00:00Z")], None, None),
    ],
)
def test_the_longest_delay_told_counts(message: str, details: list, secs: float | None, source: str | None) -> None:
    reading = refused(message, *details)
    assert reading.retry_after_secs == (None if secs is None else pytest.approx(secs))
    assert reading.retry_source == source


def test_a_retry_after_header_counts_among_the_delays() -> None:
    assert refused("", retry("5s"), headers={"Retry-After": "30"}).retry_after_secs == 30.0
    assert refused("", retry("50s"), headers={"Retry-After": "30"}).retry_after_secs == 50.0


def test_a_minute_quota_is_a_throttle_whose_window_ends_after_the_delay() -> None:
    reading = refused("", violation("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"), retry("44s"))
    assert (reading.kind, reading.scope) == ("rate_limited", "model")
    assert reading.windows == (WindowReading(f"model:{MODEL}", 0.0, NOW + timedelta(seconds=44), 60.0, MODEL),)


@pytest.mark.parametrize(
    "details",
    [
        [violation("GenerateRequestsPerDayPerProjectPerModel-FreeTier"), retry("45s")],
        [violation("GenerateContentInputTokensPerModelPerDay-FreeTier")],
        [info("RATE_LIMIT_EXCEEDED", quota_limit="Gemini25ProRequestsPerDayPerUserPerTier", model=MODEL), retry("9s")],
    ],
)
def test_a_spent_day_is_not_over_after_a_short_hint(details: list) -> None:
    reading = refused("Please retry in 45.2s.", *details)
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("quota_exhausted", "model", None)
    assert reading.windows == (WindowReading(f"model:{MODEL}", 0.0, None, 86_400.0, MODEL),)


def test_a_spent_day_whose_own_reset_is_near_waits_for_it() -> None:
    reset = info("QUOTA_EXHAUSTED", quotaResetDelay="200s", quota_limit="RequestsPerDay")
    reading = refused("", reset, retry("9s"))
    assert (reading.retry_after_secs, reading.retry_source) == (200.0, "reset")


def test_a_stamp_is_the_reset_but_a_given_delay_is_the_wait() -> None:
    told = info("QUOTA_EXHAUSTED", model="m", quotaResetDelay="60s", quotaResetTimeStamp="2026-04-27T09:00:00Z")
    reading = refused("", told)
    assert reading.retry_after_secs == 60.0
    assert reading.windows[0].reset_time == datetime(2026, 4, 27, 9, tzinfo=UTC)


def test_a_day_is_also_told_in_words_and_its_long_hint_is_believed() -> None:
    message = "Quota exceeded for quota metric 'Gemini 2.5 Pro Requests' and limit 'Requests per day per user per tier'"
    assert refused(message).kind == "quota_exhausted"
    assert refused(message, retry("40000s")).retry_after_secs == 40_000.0


def test_a_minute_beside_a_day_is_a_day() -> None:
    reading = refused("", violation("RequestsPerMinute"), violation("RequestsPerDay"), retry("20s"))
    assert (reading.kind, reading.retry_after_secs) == ("quota_exhausted", None)


@pytest.mark.parametrize(
    ("message", "details"),
    [
        (
            "Quota exceeded for metric: g.com/free_requests, limit: 0, model: gemini-2.5-pro\nPlease retry in 45s.",
            [],
        ),
        ("* Quota exceeded for metric: m, limit: 0\n", [violation("GenerateRequestsPerDay-FreeTier"), retry("45s")]),
        ("", [violation("GenerateRequestsPerMinute", "0"), retry("45s")]),
    ],
)
def test_a_limit_of_zero_is_no_entitlement_and_no_wait_helps(message: str, details: list) -> None:
    reading = refused(message, *details)
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("billing", "model", None)
    assert [(w.model, w.remaining_fraction, w.reset_time) for w in reading.windows] == [(MODEL, 0.0, None)]


@pytest.mark.parametrize("limit", ["2", "0.5", "20", "05", "0,5"])
def test_other_limits_are_not_zero(limit: str) -> None:
    assert refused(f"* Quota exceeded for metric: m, limit: {limit}\nPlease retry in 4s.").kind == "rate_limited"


def test_a_long_announced_wait_without_details_is_a_spent_quota() -> None:
    assert (
        refused("You have exhausted your capacity on this model. Your quota will reset after 9h.").kind
        == "quota_exhausted"
    )
    assert (
        refused("You have exhausted your capacity on this model. Your quota will reset after 3s.").kind
        == "rate_limited"
    )


def test_a_violation_that_names_no_model_shows_no_window() -> None:
    body = {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProject"}]}
    assert refused("Please retry in 4s.", body).windows == ()


class TestQuotaEndpoints:
    def test_buckets_are_windows_of_their_models_without_the_placeholders(self) -> None:
        shown = listed(
            {
                "buckets": [
                    {
                        "modelId": "gemini-3-pro",
                        "tokenType": "REQUESTS",
                        "remainingFraction": 0.76175,
                        "resetTime": "2026-04-28T00:00:00Z",
                    },
                    {"modelId": "chat_20706", "tokenType": "REQUESTS", "remainingFraction": 1},
                    {"modelId": "tab_flash_lite_preview", "tokenType": "REQUESTS", "remainingFraction": 1},
                    {"modelId": "gemini-3-flash", "resetTime": "2026-04-28T00:00:00Z"},
                    {"modelId": "chat_23310", "remainingFraction": 0.5, "resetTime": "2026-04-28T00:00:00Z"},
                    {"tokenType": "REQUESTS"},
                    None,
                ]
            }
        )
        assert sorted(shown) == ["model:chat_23310", "model:gemini-3-flash", "model:gemini-3-pro"]
        assert shown["model:gemini-3-pro"].remaining_fraction == 0.76175
        assert shown["model:gemini-3-flash"].remaining_fraction is None
        assert shown["model:gemini-3-flash"].reset_time == datetime(2026, 4, 28, tzinfo=UTC)

    def test_of_two_buckets_of_a_model_the_emptier_counts(self) -> None:
        fractions = [{"modelId": "m", "remainingFraction": left} for left in (0.5, 0.2, 0.9)]
        assert listed({"buckets": fractions})["model:m"].remaining_fraction == 0.2

    def test_a_summary_lists_the_windows_of_two_model_families(self) -> None:
        def bucket(name: str, window: str, left: object, **more: object) -> dict[str, object]:
            return {
                "bucketId": name,
                "window": window,
                "remainingFraction": left,
                "resetTime": "2026-04-30T00:00:00Z",
            } | more

        groups = [
            {"buckets": [bucket("gemini-weekly", "weekly", 0.8439504), bucket("gemini-5h", "5h", 1)]},
            {
                "buckets": [
                    bucket("3p-weekly", "weekly", 0, disabled=True),
                    bucket("3p-5h", "5h", "0.5"),
                    bucket("new", "1d", 0.1),
                ]
            },
        ]
        for document in ({"groups": groups}, {"quotaSummary": {"groups": groups}}, {"response": {"groups": groups}}):
            shown = listed(document)
            left = {name: (w.remaining_fraction, w.length_secs, w.informative) for name, w in shown.items()}
            assert left == {
                "gemini-weekly": (0.8439504, 604_800.0, False),
                "gemini-5h": (1.0, 18_000.0, False),
                "3p-weekly": (0.0, 604_800.0, True),
                "3p-5h": (None, 18_000.0, False),
                "new": (0.1, None, True),
            }

    def test_each_family_covers_its_models_and_no_others(self) -> None:
        shown = listed({"groups": [{"buckets": [{"bucketId": "gemini-5h"}, {"bucketId": "3p-5h"}]}]})
        gemini, others = shown["gemini-5h"].model, shown["3p-5h"].model
        assert gemini
        assert others
        for model in ("gemini-3-pro", "gemini-3.1-flash-image", "models/gemini-2.5-pro-high"):
            assert fnmatchcase(model, gemini)
            assert not fnmatchcase(model, others)
        for model in ("claude-opus-4-6-thinking", "gpt-oss-120b-medium", "antigravity/claude-sonnet-5"):
            assert fnmatchcase(model, others)
            assert not fnmatchcase(model, gemini)


DETAILS = '"details": [{"@type": "x.RetryInfo", "retryDelay": "12s"%s}, {"reason": "RATE_LIMIT_EXCEEDED"%s}%s]'


@pytest.mark.parametrize(
    "body",
    [
        '{"error": {"code": 429, "message": "m", %s}}' % (DETAILS % ("", "", "")),
        '{"error": {"code": 429, "message": "m", %s,},}' % (DETAILS % (",", ",", ",")),
        'got status: 429 Too Many Requests. {"error": {"code": 429, %s}}\n  at x (y.js:1)' % (DETAILS % ("", "", "")),
        '[API Error: [{"error": {"code": 429, %s}}]]' % (DETAILS % ("", "", "")),
        '[{"error": {"code": 429, %s}}\n,' % (DETAILS % ("", "", "")),
        '{"error": {"code": 429, %s, "status": "RESOURCE_EXH' % (DETAILS % ("", "", "")),
        '{"error": {"code": 429, "details": [{"retryDelay": "12s"}, {"retryDelay": "9',
    ],
)
def test_a_delay_survives_the_damage_around_it(body: str) -> None:
    reading = read("google-cloudcode", status=429, headers={}, body=body, now=NOW)
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("rate_limited", "model", 12.0)


def test_half_a_delay_is_no_delay() -> None:
    body = '{"error": {"code": 429, "details": [{"reason": "QUOTA_EXHAUSTED", "metadata": {"quotaResetDelay": "2'
    assert read("google-cloudcode", status=429, headers={}, body=body, now=NOW).retry_after_secs is None


@pytest.mark.parametrize(
    "stamp", ["2026-04-27T09:00:00Z", "2026-04-27T11:00:00.000000+02:00", "2026-04-27 09:00:00 UTC"]
)
def test_a_stamp_in_any_spelling_is_the_same_instant(stamp: str) -> None:
    assert refused("", info("QUOTA_EXHAUSTED", quotaResetTimeStamp=stamp)).retry_after_secs == 3600.0


def test_a_model_that_is_said_to_be_exhausted_has_nothing_left():
    quota = {"isExhausted": True, "resetTime": "2026-11-20T15:00:00Z"}
    reading = read(
        "google-cloudcode",
        status=200,
        headers={},
        body={"models": {"gemini-3-pro": {"quotaInfo": quota}}},
        now=datetime(2026, 11, 20, 12, tzinfo=UTC),
    )
    assert [(w.model, w.remaining_fraction) for w in reading.windows] == [("gemini-3-pro", 0.0)]
