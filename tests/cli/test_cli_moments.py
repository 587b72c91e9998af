from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.cli.moments import instant, seconds

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def zone(monkeypatch):
    def put(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield put
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90),
        ("30s", 30),
        ("15m", 900),
        ("5h", 18000),
        ("2d", 172800),
        ("1w", 604800),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("0", 0),
    ],
)
def test_lengths_as_people_type_them(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "-5", "5 h", "h", "1h30", "inf", "nan", "1e9", "soon", "5H", "٣", "9" * 12])
def test_other_texts_are_no_length(text):
    assert seconds(text) is None


@given(st.lists(st.tuples(st.integers(0, 9999), st.sampled_from("smhdw")), min_size=1, max_size=4))
def test_the_parts_of_a_length_add_up(parts):
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert seconds(text) == sum(seconds(f"{number}{unit}") for number, unit in parts)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-20T17:30:00Z", "2026-11-20T17:30:00"),
        ("2026-11-20T17:30:00+02:00", "2026-11-20T15:30:00"),
        ("2026-11-20 17:30", "2026-11-20T16:30:00"),
        ("2026-11-20 17:30:05", "2026-11-20T16:30:05"),
        ("17:30", "2026-11-20T16:30:00"),
        ("9:05", "2026-11-21T08:05:00"),
        ("13:00", "2026-11-21T12:00:00"),
        ("13:00:01", "2026-11-20T12:00:01"),
    ],
)
def test_instants_are_local_unless_they_say_otherwise_and_a_time_of_day_is_the_next_one(zone, text, utc):
    zone("XXX-1")
    assert instant(text, NOON).astimezone(UTC).replace(tzinfo=None).isoformat() == utc


@pytest.mark.parametrize(
    "text", ["", "soon", "25:00", "12:60", "2026-11-20", "2026-13-01 10:00", "5h", "99999-01-01 10:00"]
)
def test_other_texts_are_no_instant(zone, text):
    zone("UTC")
    assert instant(text, NOON) is None
