"""The IETF's RateLimit fields, new and old, and every unit that a reset is met in."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.core.providers import Reading, WindowReading, read

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)


def answer(status: int, headers: dict[str, str] | None = None, body: object = None, provider: str = "ietf") -> Reading:
    return read(provider, status=status, headers=headers or {}, body=body, model="m", now=NOW)


def shown(reading: Reading) -> dict[str, WindowReading]:
    return {window.name: window for window in reading.windows}


def one(headers: dict[str, str]) -> WindowReading:
    (window,) = answer(200, headers).windows
    return window


def test_policy_and_state_are_joined_by_name() -> None:
    policy = '"burst";q=100;w=60,"daily";q=1000;w=86400'
    reading = answer(200, {"RateLimit-Policy": policy, "RateLimit": '"daily";r=250;t=3600, "burst";r=50'})
    assert (reading.kind, reading.scope) == ("ok", "account")
    daily, burst = shown(reading)["daily"], shown(reading)["burst"]
    assert (daily.remaining_fraction, daily.reset_time, daily.length_secs) == (0.25, NOW + timedelta(hours=1), 86400.0)
    assert (burst.remaining_fraction, burst.reset_time, burst.length_secs) == (0.5, None, 60.0)
    assert daily.model is None


@pytest.mark.parametrize(
    ("field", "left", "secs"),
    [
        ('"quota";r=0;t=1', 0.0, 1),
        ("quota;t=1", None, 1),
        ("quota;r=5;t=1", None, 1),
        ('"quota";r=5', None, None),
        ('"quota";r=-5;t=9', None, 9),
        ('"quota";r=1.5;t=2.5', None, 2.5),
        ('"quota";t=99999999999', None, None),
    ],
)
def test_a_state_without_a_policy_is_tolerated(field: str, left: float | None, secs: float | None) -> None:
    window = one({"RateLimit": field})
    assert (window.name, window.remaining_fraction) == ("quota", left)
    assert window.reset_time == (None if secs is None else NOW + timedelta(seconds=secs))


def test_of_two_partitions_the_one_with_less_left_counts() -> None:
    states = '"a";r=9;t=1;pk=:aGk=:, "a";r=1;t=50;pk=:aG8=:'
    window = one({"RateLimit-Policy": '"a";q=10;w=60', "RateLimit": states})
    assert (window.remaining_fraction, window.reset_time) == (0.1, NOW + timedelta(seconds=50))


def test_concurrent_requests_are_no_window_of_time() -> None:
    headers = {"RateLimit-Policy": '"c";q=5;qu="concurrent-requests"', "RateLimit": '"c";r=0'}
    assert one(headers).informative
    assert answer(429, headers).retry_after_secs is None


@pytest.mark.parametrize(
    "field", ['"x', "=,", "\u00ff", "", '("a" "b");r=1', "?1;r=1", ":aGk=:;r=0", '"";r=1', "@1;r=0"]
)
def test_a_field_that_is_no_list_of_names_tells_nothing(field: str) -> None:
    reading = answer(429, {"RateLimit": field, "RateLimit-Policy": field})
    assert (reading.kind, reading.scope, reading.windows) == ("rate_limited", "account", ())


def test_the_form_of_draft_07_is_read_as_the_default_window() -> None:
    window = one({"RateLimit": "limit=100, remaining=25, reset=30", "RateLimit-Policy": "100;w=60"})
    assert (window.name, window.remaining_fraction) == ("default", 0.25)
    assert (window.reset_time, window.length_secs) == (NOW + timedelta(seconds=30), 60.0)


@pytest.mark.parametrize("prefix", ["RateLimit-", "X-RateLimit-", "X-Rate-Limit-", "x-ratelimit-"])
def test_the_older_fields_are_the_default_window(prefix: str) -> None:
    window = one({f"{prefix}Limit": "300", f"{prefix}Remaining": "75", f"{prefix}Reset": "53"})
    assert (window.name, window.remaining_fraction) == ("default", 0.25)
    assert window.reset_time == NOW + timedelta(seconds=53)


@pytest.mark.parametrize(
    ("limit", "left", "secs"),
    [
        ("100, 100;window=60, 10000;window=86400", 0.5, 60.0),
        ("100;w=60", 0.5, 60.0),
        ("100, 100;w=60, 100;w=86400", 0.5, 60.0),
        ('100;comment="a";w=60, 200;w=9', 0.5, 60.0),
        ("100", 0.5, None),
        ("200, 100;window=60", 0.25, None),
        ("many", None, None),
        ("0", None, None),
        ("-1", None, None),
    ],
)
def test_a_list_in_the_limit_begins_with_the_active_one(limit: str, left: float | None, secs: float | None) -> None:
    window = one({"X-RateLimit-Limit": limit, "X-RateLimit-Remaining": "50"})
    assert (window.remaining_fraction, window.length_secs) == (left, secs)


@pytest.mark.parametrize(
    ("reset", "secs"),
    [
        ("3", 3.0),
        ("0", 0.0),
        ("2.5", 2.5),
        (str(int(NOW.timestamp()) + 60), 60.0),
        (str((int(NOW.timestamp()) + 60) * 1000), 60.0),
        ("Fri, 20 Nov 2026 10:01:00 GMT", 60.0),
        ("2026-11-20T10:01:00Z", 60.0),
        ("2026-11-20T11:01:00.000000+01:00", 60.0),
        ("Fri Nov 20 2026 11:01:00 GMT+0100 (Central European Standard Time)", 60.0),
        ("Fri Nov 20 2026 05:01:00 GMT-0500 (EST)", 60.0),
        ("1m0s", 60.0),
        ("-5", None),
        ("soon", None),
        ("NaN", None),
        ("inf", None),
        ("1e300", None),
        ("999999999", None),
        ("9" * 30, None),
    ],
)
def test_a_reset_is_read_in_every_unit_that_was_met(reset: str, secs: float | None) -> None:
    window = one({"X-RateLimit-Limit": "4", "X-RateLimit-Remaining": "1", "X-RateLimit-Reset": reset})
    assert window.remaining_fraction == 0.25
    assert window.reset_time == (None if secs is None else NOW + timedelta(seconds=secs))


@given(st.floats(0, 30_000_000), st.sampled_from([1, 1000]))
def test_seconds_and_milliseconds_of_one_instant_are_one_instant(ahead: float, scale: int) -> None:
    stamp = (NOW + timedelta(seconds=ahead)).timestamp()
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{stamp * scale:.3f}"}
    reset = one(headers).reset_time
    assert reset is not None
    assert abs(reset - NOW - timedelta(seconds=ahead)) < timedelta(milliseconds=2)


def test_a_window_may_be_named_behind_the_field() -> None:
    headers = {"X-RateLimit-Limit-Minute": "60", "X-RateLimit-Remaining-Minute": "15", "X-RateLimit-Reset-Tokens": "1s"}
    windows = shown(answer(200, headers))
    assert (windows["minute"].remaining_fraction, windows["minute"].length_secs) == (0.25, 60.0)
    assert windows["tokens"].reset_time == NOW + timedelta(seconds=1)


def test_reset_after_is_the_delay_to_the_reset_and_no_window() -> None:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1470173023", "X-RateLimit-Reset-After": "1.2"}
    assert one(headers).reset_time == NOW + timedelta(seconds=1.2)


def test_a_limit_alone_is_no_news() -> None:
    assert answer(200, {"X-RateLimit-Limit": "100"}).windows == ()


def test_old_and_new_fields_of_one_response_are_one_window() -> None:
    headers = {"RateLimit-Policy": "100;w=60", "RateLimit-Limit": "100", "RateLimit-Remaining": "50"}
    window = one(headers | {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "49"})
    assert (window.name, window.remaining_fraction, window.length_secs) == ("default", 0.49, 60.0)


@pytest.mark.parametrize(
    ("headers", "kind", "secs", "source"),
    [
        ({"RateLimit": '"default";r=0;t=5'}, "rate_limited", 5.0, "reset"),
        ({"RateLimit": '"a";r=0;t=5, "b";r=0;t=9, "c";r=4;t=99'}, "rate_limited", 9.0, "reset"),
        ({"RateLimit": '"a";r=0;t=5', "Retry-After": "7"}, "rate_limited", 7.0, "retry-after"),
        ({"RateLimit": '"day";r=0;t=36000', "RateLimit-Policy": '"day";q=9;w=86400'}, "quota_exhausted", 36000.0, "reset"),
        ({"RateLimit": '"a";r=3;t=5'}, "rate_limited", None, None),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": "53"}, "rate_limited", 53.0, "reset"),
        ({"Retry-After": "Fri, 20 Nov 2026 10:02:00 GMT"}, "rate_limited", 120.0, "retry-after"),
        ({}, "rate_limited", None, None),
    ],
)  # fmt: skip
def test_a_throttle_waits_for_what_is_spent(
    headers: dict[str, str], kind: str, secs: float | None, source: str | None
) -> None:
    reading = answer(429, headers)
    assert (reading.kind, reading.scope) == (kind, "account")
    assert (reading.retry_after_secs, reading.retry_source) == (secs, source)


@pytest.mark.parametrize(
    ("status", "problem", "kind", "scope"),
    [
        (429, "quota-exceeded", "quota_exhausted", "account"),
        (503, "temporary-reduced-capacity", "overloaded", "upstream"),
        (429, "temporary-reduced-capacity", "overloaded", "upstream"),
        (429, "abnormal-usage-detected", "rate_limited", "account"),
        (429, "unheard-of", "rate_limited", "account"),
        (403, "unheard-of", "restricted", "account"),
    ],
)
def test_a_problem_type_gives_the_kind(status: int, problem: str, kind: str, scope: str) -> None:
    body = {"type": f"https://iana.org/assignments/http-problem-types#{problem}", "title": "t"}
    reading = answer(status, {"Retry-After": "8"}, body)
    assert (reading.kind, reading.scope, reading.retry_after_secs) == (kind, scope, 8.0)


def test_a_violated_policy_has_nothing_left() -> None:
    body = {
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "violated-policies": ["daily", "bandwidth", 7, None, ""],
    }
    reading = answer(429, {"RateLimit-Policy": '"daily";q=10;w=86400'}, body)
    assert reading.kind == "quota_exhausted"
    assert {name: w.remaining_fraction for name, w in shown(reading).items()} == {
        "daily": 0.0,
        "bandwidth": 0.0,
        "7": 0.0,
    }
    short = answer(429, {"RateLimit-Policy": '"daily";q=10;w=60'}, body | {"violated-policies": ["daily"]})
    assert short.kind == "rate_limited"


def test_an_unknown_provider_is_read_by_the_same_fields_for_the_requests_model() -> None:
    headers = {"RateLimit": '"default";r=0;t=5', "X-RateLimit-Remaining-Requests": "3"}
    reading = answer(429, headers, None, "new-one")
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("rate_limited", "model", 5.0)
    assert [(w.name, w.model) for w in reading.windows] == [("default", "m"), ("requests", "m")]
    assert (answer(200, headers, None, "new-one").kind, answer(200, {}, None, "new-one").scope) == ("ok", None)


def test_the_parser_is_loaded_only_for_a_response_that_has_its_fields() -> None:
    code = (
        "import sys; from datetime import UTC, datetime; from rotator.core.providers import read;"
        "now = datetime(2026, 11, 20, tzinfo=UTC); old = {'RateLimit-Remaining': '1'};"
        "read('generic', status=429, headers=old, now=now); read('openai', status=429, headers=old, now=now);"
        "print('http_sf' in sys.modules); read('generic', status=429, headers={'RateLimit': 'a;r=1'}, now=now);"
        "print('http_sf' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
