"""``read`` over every captured response, and over anything at all."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.core.providers import Reading, WindowReading, anthropic, generic, google, read
from rotator.core.providers.response import received

FIXTURES = Path(__file__).parents[3] / "fixtures" / "responses"
CAPTURED = [entry for path in sorted(FIXTURES.glob("*.json")) for entry in json.loads(path.read_bytes())]
NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
PROVIDERS = ["anthropic", "google-cloudcode", "google-gemini-api", "google-vertex", "generic", "openai", "new-one"]
FAMILIES = {"anthropic": anthropic, "google-cloudcode": google, "google-vertex": google, "generic": generic}
KINDS = {
    "ok",
    "rate_limited",
    "quota_exhausted",
    "overloaded",
    "auth_failed",
    "restricted",
    "banned",
    "billing",
    "bad_request",
    "server_error",
}


def read_entry(entry: dict, **changes: object) -> Reading:
    parts = {name: entry[name] for name in ("status", "headers", "body")}
    return read(entry["provider"], **{"now": datetime.fromisoformat(entry["received_at"]), **parts, **changes})


def by_id(entry: dict) -> str:
    return entry["id"]


@pytest.mark.parametrize("model", [None, "a-model-of-nobody"])
@pytest.mark.parametrize("entry", CAPTURED, ids=by_id)
def test_a_captured_response_reads_as_expected(entry: dict, model: str | None) -> None:
    reading, expected = read_entry(entry, model=model), entry["expect"]
    assert (reading.kind, reading.scope) == (expected["kind"], expected["scope"])
    assert reading.retry_after_secs == pytest.approx(expected["retry_after_s"], abs=1e-3)
    assert (reading.retry_source is None) == (reading.retry_after_secs is None)
    shown = {window.name: window for window in reading.windows}
    assert sorted(shown) == sorted(window["name"] for window in expected["windows"])
    for window in expected["windows"]:
        assert shown[window["name"]].remaining_fraction == pytest.approx(window["remaining_fraction"], abs=1e-6)
        reset, wanted = shown[window["name"]].reset_time, window["reset_at"]
        assert (reset is None) == (wanted is None)
        if reset is not None:
            assert abs(reset - datetime.fromisoformat(wanted)) < timedelta(milliseconds=1)


@pytest.mark.parametrize("spell", [str.upper, str.title, str.lower])
@pytest.mark.parametrize("entry", CAPTURED, ids=by_id)
def test_header_names_count_in_any_case(entry: dict, spell: object) -> None:
    headers = {spell(name): value for name, value in entry["headers"].items()}
    assert read_entry(entry, headers=headers) == read_entry(entry)


@pytest.mark.parametrize("entry", [e for e in CAPTURED if isinstance(e["body"], dict)], ids=by_id)
def test_a_body_reads_the_same_as_bytes_text_value_array_or_json_string(entry: dict) -> None:
    text = json.dumps(entry["body"])
    forms = [
        text,
        text.encode(),
        bytearray(text.encode()),
        b"\xef\xbb\xbf" + text.encode(),
        "\ufeff" + text,
        f"[{text}]",
        json.dumps(text),
    ]
    assert {read_entry(entry, body=form) for form in forms} == {read_entry(entry)}


@pytest.mark.parametrize("entry", [e for e in CAPTURED if e["status"] >= 400], ids=by_id)
def test_an_error_inside_a_stream_of_status_200_is_still_the_error(entry: dict) -> None:
    """The status is gone then, so an endpoint's 404 may become another refusal, but never a success."""
    text = isinstance(entry["body"], str)
    if entry["body"] is None or (text and not entry["body"].startswith(("{", "["))):
        return
    document = json.loads(entry["body"]) if text else entry["body"]
    stream = f"event: error\ndata: {json.dumps(document)}\n\n"
    assert read_entry(entry, status=200, body=stream).kind != "ok"


@pytest.mark.parametrize("entry", CAPTURED, ids=by_id)
def test_cutting_a_body_off_or_losing_headers_never_makes_a_refusal_a_success(entry: dict) -> None:
    refused = entry["expect"]["kind"] != "ok"
    body = entry["body"] if isinstance(entry["body"], str) else json.dumps(entry["body"])
    for end in range(0, len(body), 7):
        for headers in (entry["headers"], {}):
            reading = read_entry(entry, body=body[:end], headers=headers)
            if entry["status"] >= 400:
                assert reading.kind != "ok"
                assert reading.kind in KINDS
            if not refused and entry["status"] == 200:
                assert reading.kind == "ok"


@pytest.mark.parametrize("entry", [e for e in CAPTURED if e["status"] >= 400], ids=by_id)
def test_losing_the_body_keeps_the_windows_that_headers_show(entry: dict) -> None:
    reading = read_entry(entry, body=None)
    assert reading.kind != "ok"
    told_in_bodies = ("codex", "github-models", "google", "groq", "openai", "openrouter")
    assert reading.windows == read_entry(entry).windows or entry["provider"].startswith(told_in_bodies)


@pytest.mark.parametrize("entry", CAPTURED, ids=by_id)
def test_a_reason_never_repeats_what_a_message_says(entry: dict) -> None:
    echoed = json.dumps(entry["body"]).replace('"message": "', '"message": "fake-key-1 fake_key ')
    reading = read_entry(entry, body=echoed)
    assert "fake" not in reading.reason
    assert "http" not in read_entry(entry).reason
    assert len(reading.reason) <= 60


def test_a_key_echoed_in_any_field_stays_out_of_the_reading() -> None:
    key = "fake-0a1b2c3d"
    error = dict.fromkeys(("type", "code", "status", "message"), key) | {
        "details": [{"reason": key, "metadata": {"x": key}}]
    }
    for provider in PROVIDERS:
        for status in (200, 400, 401, 402, 403, 404, 429, 500, 503, 529):
            reading = read(provider, status=status, headers={}, body={"error": error}, model=None, now=NOW)
            assert key not in repr(reading)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_unknown_provider_is_read_by_http_alone(provider: str) -> None:
    reading = read(provider, status=429, headers={"Retry-After": "7", "X-Should-Retry": "true"}, body=None, now=NOW)
    assert (reading.kind, reading.scope, reading.retry_after_secs) == ("rate_limited", "model", 7.0)


def test_a_family_is_loaded_only_when_a_response_of_it_is_read() -> None:
    code = (
        "import sys, rotator.core.providers; print([m for m in sys.modules if m.startswith('rotator.core.providers.')])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "generic" in loaded
    assert "anthropic" not in loaded
    assert "google" not in loaded


def test_a_response_that_breaks_its_reader_is_read_by_its_status() -> None:
    class Broken(dict):
        def items(self) -> object:
            raise RuntimeError

    assert read("anthropic", status=429, headers=Broken(), body=None, now=NOW) == Reading("rate_limited", "model")
    assert read([], status="x", headers=None, body=object(), now=None).kind == "server_error"  # type: ignore[arg-type]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
odd_texts = st.sampled_from([
    "NaN", "-1", "1e999", "inf", "0", "", "9" * 400, "true", "2026-13-45T99:99:99Z", "rejected", "seven_day",
    "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "1785518400", "1e11", "Fri, 31 Dec 1999 23:59:59 GMT",
    "Fri, 99 Foo 99999 99:99:99 +9999", "-0", "5h", "\x00", "١٢٣", "99999999999999h", "1_000",
])  # fmt: skip
shapes = st.fixed_dictionaries(
    {},
    optional={
        "error": json_values
        | st.fixed_dictionaries(
            {},
            optional={
                "message": json_values
                | st.sampled_from(
                    [
                        "Your quota will reset after 99999999999999999h.",
                        "limit: 0, model: x",
                        "Rate limited",
                        "You have reached your specified API usage limits. Access returns on 9999-99-99 at 99:99 UTC.",
                    ]
                ),
                "type": json_values,
                "code": json_values,
                "status": json_values,
                "details": json_values
                | st.lists(
                    st.fixed_dictionaries(
                        {},
                        optional={
                            "reason": json_values | st.just("QUOTA_EXHAUSTED"),
                            "retryDelay": json_values | odd_texts,
                            "violations": json_values,
                            "metadata": json_values
                            | st.fixed_dictionaries(
                                {},
                                optional={
                                    "model": json_values,
                                    "quotaResetDelay": json_values | odd_texts,
                                    "quotaResetTimeStamp": json_values | odd_texts,
                                },
                            ),
                        },
                    ),
                    max_size=2,
                ),
            },
        ),
        "type": json_values | st.just("error"),
        "five_hour": json_values
        | st.fixed_dictionaries({"utilization": json_values, "resets_at": json_values | odd_texts}),
        "limits": json_values,
        "usage": json_values | st.dictionaries(st.just("input_tokens"), json_values),
        "models": json_values | st.dictionaries(st.text(max_size=5), st.fixed_dictionaries({"quotaInfo": json_values})),
        "buckets": json_values
        | st.lists(st.fixed_dictionaries({"modelId": json_values, "remainingFraction": json_values})),
        "groups": json_values
        | st.lists(
            st.fixed_dictionaries(
                {
                    "buckets": st.lists(
                        st.fixed_dictionaries(
                            {
                                "bucketId": json_values,
                                "window": json_values,
                                "remainingFraction": json_values,
                                "resetTime": json_values | odd_texts,
                            }
                        ),
                        max_size=2,
                    )
                }
            ),
            max_size=2,
        ),
    },
)
bodies = st.one_of(
    st.none(),
    st.binary(max_size=60),
    st.text(max_size=60),
    json_values,
    shapes,
    shapes.map(json.dumps),
    shapes.map(lambda v: "event: error\ndata: " + json.dumps(v) + "\n\n"),
    shapes.map(lambda v: json.dumps([v]).encode()[:-9]),
)
header_names = st.sampled_from([
    "retry-after", "Retry-After-Ms", "anthropic-ratelimit-unified-status", "anthropic-ratelimit-unified-reset",
    "anthropic-ratelimit-unified-representative-claim", "anthropic-ratelimit-unified-5h-status", "x-should-retry",
    "anthropic-ratelimit-unified-5h-utilization", "anthropic-ratelimit-unified-7d_[x-reset",
    "anthropic-ratelimit-unified-overage-disabled-reason", "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-tokens-reset", "anthropic-ratelimit-unified--status",
]) | st.text(max_size=10)  # fmt: skip
headers = st.dictionaries(
    header_names | st.integers() | st.none(),
    odd_texts
    | st.text(max_size=20)
    | st.integers()
    | st.floats()
    | st.none()
    | st.binary(max_size=9)
    | st.lists(st.text()),
    max_size=8,
)
statuses = st.sampled_from([200, 204, 302, 400, 401, 402, 403, 404, 429, 500, 503, 529]) | st.integers(-5, 1000)
instants = st.datetimes(datetime(1971, 1, 1), datetime(2500, 1, 1), timezones=st.just(timezone(timedelta(hours=5))))  # noqa: DTZ001


def assert_within_ranges(reading: Reading) -> None:
    assert reading.kind in KINDS
    assert reading.scope in {"account", "model", "upstream", None}
    if reading.retry_after_secs is not None:
        assert math.isfinite(reading.retry_after_secs)
        assert reading.retry_after_secs > 0
    assert (reading.retry_source is None) == (reading.retry_after_secs is None)
    assert reading.tokens is None or reading.tokens >= 0
    names = [window.name for window in reading.windows]
    assert len(names) == len(set(names))
    for window in reading.windows:
        assert isinstance(window, WindowReading)
        assert window.name
        assert window.model != ""
        assert window.remaining_fraction is None or 0 <= window.remaining_fraction <= 1
        assert window.length_secs is None or window.length_secs > 0
        if window.reset_time is not None:
            assert window.reset_time.utcoffset() == timedelta()


@settings(max_examples=400, deadline=None)
@given(
    provider=st.sampled_from(sorted(FAMILIES)),
    status=statuses,
    header_values=headers,
    body=bodies,
    model=st.none() | st.text(max_size=8),
    now=instants,
)
def test_no_response_whatever_raises_or_leaves_the_ranges(
    provider: str, *, status: int, header_values: dict, body: object, model: str | None, now: datetime
) -> None:
    response = received(provider, status=status, headers=header_values, body=body, model=model, now=now)
    reading = FAMILIES[provider].read(response)  # the family itself: read() would hide what it raises
    assert_within_ranges(reading)
    if provider != "generic":
        assert read(provider, status=status, headers=header_values, body=body, model=model, now=now) == reading
    if not 200 <= status < 300:
        assert reading.kind != "ok"
    if status == 429:
        assert reading.retry_after_secs is None or reading.kind != "ok"


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(CAPTURED), st.data())
def test_a_captured_response_that_is_damaged_stays_within_the_ranges(entry: dict, data: st.DataObject) -> None:
    kept = {name: value for name, value in entry["headers"].items() if data.draw(st.booleans())}
    raw = (entry["body"] if isinstance(entry["body"], str) else json.dumps(entry["body"])).encode()
    start, end = data.draw(st.integers(0, len(raw))), data.draw(st.integers(0, len(raw)))
    damaged = raw[:start] + data.draw(st.binary(max_size=6)) + raw[end:]
    reading = read_entry(entry, headers=kept, body=damaged)
    assert_within_ranges(reading)
    if entry["status"] >= 400:
        assert reading.kind != "ok"


def test_a_huge_body_is_read_at_its_end_without_being_parsed_whole() -> None:
    filler = 'data: {"type":"content_block_delta","delta":{"text":"' + "x" * 1000 + '"}}\n\n'
    error = 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    reading = read("anthropic", status=200, headers={}, body=(filler * 20_000 + error).encode(), now=NOW)
    assert (reading.kind, reading.scope) == ("overloaded", "upstream")
    deep = "[" * 200_000
    assert read("google-cloudcode", status=429, headers={}, body=deep, now=NOW).kind == "rate_limited"
