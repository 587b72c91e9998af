"""Instants: what is one, what is none, and that writing and reading one gives the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.core.instants import aware, parse, rfc3339, tidy

NOON = 1795168800.0
LATEST = 253_402_300_799.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026-11-20T10:00:00Z", NOON),
        ("2026-11-20t10:00:00z", NOON),
        ("2026-11-20 10:00:00Z", NOON),
        ("2026-11-20T10:00:00", NOON),
        ("2026-11-20T11:00:00+01:00", NOON),
        ("2026-11-20T04:30:00-05:30", NOON),
        ("2026-11-20T10:00:00.250Z", NOON + 0.25),
        ("2026-11-20T10:00:00.250000999Z", NOON + 0.25),
        ("1970-01-01T00:00:00Z", 0.0),
        ("9999-12-31T23:59:59Z", LATEST),
        (1795168800, NOON),
        (1795168800.25, NOON + 0.25),
        (1795168800250, NOON + 0.25),
        (0, 0.0),
        (1e11, 1e11),
        (1e11 + 1000, 1e8 + 1),
    ],
)
def test_a_time_is_read_in_every_way_that_tools_write_it(value: Any, seconds: float) -> None:
    assert parse(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "2026-11-20",
        "20261120",
        "10:00:00Z",
        "2026-02-30T10:00:00Z",
        "2026-11-20T10:00:61Z",
        "2026-11-20T10:00:00ZZ",
        "2026-11-20T10:00:00 UTC",
        "10000-01-01T00:00:00Z",
        "1795168800",
        "\ud800",
        "2026-11-20\ud80010:00:00Z\udfff",
        None,
        True,
        False,
        [],
        {},
        b"2026-11-20T10:00:00Z",
        -1,
        -0.5,
        1e300,
        float("nan"),
        float("inf"),
        float("-inf"),
        10**300,
    ],
    ids=ascii,
)
def test_what_is_no_instant_is_none(value: Any) -> None:
    assert parse(value) is None


@pytest.mark.parametrize("value", [10**400, -(10**400)], ids=["late", "early"])
def test_a_number_beyond_every_float_is_no_instant(value: int) -> None:
    assert parse(value) is None


@given(st.one_of(st.text(), st.floats(), st.integers(-(2**1000), 2**1000), st.binary(), st.none(), st.booleans()))
def test_reading_never_raises(value: Any) -> None:
    seconds = parse(value)
    assert seconds is None or isinstance(seconds, float)


@given(st.integers(0, int(LATEST) * 1000))
def test_a_tidy_instant_survives_writing_and_reading(milliseconds: int) -> None:
    seconds = tidy(milliseconds / 1000)
    assert parse(rfc3339(seconds)) == seconds


@given(st.floats(0, LATEST))
def test_writing_loses_less_than_a_microsecond_and_nothing_the_second_time(seconds: float) -> None:
    once = parse(rfc3339(seconds))
    assert once is not None
    assert abs(once - seconds) <= max(1e-6, seconds * 1e-15)
    assert rfc3339(once) == rfc3339(seconds)


@given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30)), st.integers(-23, 23))  # noqa: DTZ001  zones come after
def test_an_offset_moves_the_clock_and_not_the_instant(naive: datetime, hours: int) -> None:
    instant = naive.replace(tzinfo=UTC)
    away = instant.astimezone(timezone(timedelta(hours=hours)))
    assert parse(away.isoformat()) == parse(instant.isoformat()) == instant.timestamp()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (NOON, "2026-11-20T10:00:00Z"),
        (NOON + 0.25, "2026-11-20T10:00:00.250Z"),
        (NOON + 0.000001, "2026-11-20T10:00:00.000001Z"),
        (0.0, "1970-01-01T00:00:00Z"),
        (-5.0, "1970-01-01T00:00:00Z"),
        (1e300, "9999-12-31T23:59:59Z"),
    ],
)
def test_instants_are_written_in_utc_with_fractions_only_when_there_are_any(seconds: float, text: str) -> None:
    assert rfc3339(seconds) == text


@given(st.lists(st.floats(0, LATEST), min_size=2, max_size=2))
def test_texts_with_milliseconds_sort_as_their_instants(two: list[float]) -> None:
    first, second = sorted(map(tidy, two))
    assert aware(first) <= aware(second)
    if first.is_integer() and second.is_integer():
        assert rfc3339(first) <= rfc3339(second)


@given(st.floats(allow_nan=False))
def test_tidy_is_within_the_calendar_and_changes_nothing_twice(seconds: float) -> None:
    assert 0.0 <= tidy(seconds) <= LATEST
    assert tidy(tidy(seconds)) == tidy(seconds)


def test_aware_is_utc_and_stays_within_the_calendar() -> None:
    assert aware(NOON) == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert aware(NOON).utcoffset() == timedelta(0)
    assert (aware(-1.0).year, aware(1e300).year) == (1970, 9999)
