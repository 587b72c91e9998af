"""Spellings of time, one table each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.core.providers import times

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "secs"),
    [
        ("25h20m26.179915352s", 91226.179915352),
        ("539.477544ms", 0.539477544),
        ("7m12s", 432.0),
        ("0s", 0.0),
        ("12ms", 0.012),
        ("3.957525076s", 3.957525076),
        ("1d2h", 93600.0),
        ("5us", 5e-6),
        ("5µs", 5e-6),
        ("45", 45.0),
        (" 9s ", 9.0),
        (45, 45.0),
        ("-1s", None),
        ("7m12", None),
        ("s", None),
        ("", None),
        ("1h ago", None),
        ("NaN", None),
        (-3, None),
        (True, None),
        (None, None),
        ({"seconds": 3}, None),
        ("9" * 400 + "s", None),
    ],
)
def test_a_duration_in_go_or_protobuf_spelling(text: object, secs: float | None) -> None:
    assert times.duration(text) == (None if secs is None else pytest.approx(secs))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Your quota will reset after 25h20m26s.", (91226.0, True)),
        ("Individual quota reached. Resets in 71h15m27s.", (256527.0, True)),
        ("Please retry in 44.097740004s.", (44.097740004, False)),
        ("Please retry in 900.2ms.", (0.9002, False)),
        ("Please try again in 1.574s. Visit", (1.574, False)),
        ("Please try again in 58 hours.", (208800.0, False)),
        ("Please try again in 1 day, 2 hours and 3 minutes.", (93780.0, False)),
        ("Upgrade or try again in 5 days 22 hours 11 minutes.", (511860.0, False)),
        ("Please wait 587 hours 33 minutes before trying again.", (2115180.0, False)),
        ("Rate limit is exceeded. Try again in 58 seconds.", (58.0, False)),
        ("Please retry after 1 day.", (86400.0, False)),
        ("Please retry after 45 seconds.", (45.0, False)),
        ("Please wait 5631 seconds before retrying.", (5631.0, False)),
        ("Please try again in 9m38.016s.", (578.016, False)),
        ("retry in 5s, and your quota will reset after 10s", (10.0, True)),
        ("Your quota will reset after 0s.", None),
        ("Please try again later.", None),
        ("try again in 5 parsecs", None),
        ("retry in -5s", None),
        ("Limit 30000, Requested 30601", None),
    ],
)
def test_a_delay_in_a_message(text: str, told: tuple[float, bool] | None) -> None:
    found = times.delay_in_text(text)
    assert (found is None) == (told is None)
    if found and told:
        assert found == (pytest.approx(told[0]), told[1])


@pytest.mark.parametrize(
    ("value", "secs"),
    [
        ("120", 120.0),
        ("1.5", 1.5),
        ("Fri, 20 Nov 2026 10:02:00 GMT", 120.0),
        ("Fri, 20 Nov 2026 11:02:00 +0100", 120.0),
        ("Friday, 20-Nov-26 10:02:00 GMT", 120.0),
        ("Fri Nov 20 10:02:00 2026", 120.0),
        ("Fri, 20 Nov 2026 10:02:00 -0000", 120.0),
        ("Fri Nov 20 2026 11:02:00 GMT+0100 (Central European Standard Time)", 120.0),
        ("2026-11-20T10:02:00Z", 120.0),
        (str(int(NOW.timestamp()) + 120), 120.0),
        (str((int(NOW.timestamp()) + 120) * 1000), 120.0),
        ("2m0s", 120.0),
        ("60, 120", 120.0),
        ("0, 0", None),
        ("60, soon", None),
        ("602705", 602705.0),
        ("9999999999", None),
        ("Fri, 20 Nov 2026 09:59:00 GMT", None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", None),
        ("0", None),
        ("-5", None),
        ("NaN", None),
        ("inf", None),
        ("soon", None),
        ("", None),
    ],
)
def test_both_forms_of_retry_after(value: str, secs: float | None) -> None:
    assert times.retry_after(value, NOW) == secs


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        ("2026-11-20T10:00:01Z", NOW + timedelta(seconds=1)),
        ("2026-11-20t10:00:01z", NOW + timedelta(seconds=1)),
        ("2026-11-20T12:00:00.282668+02:00", NOW + timedelta(microseconds=282668)),
        ("2026-11-20T10:00:00.123456789Z", NOW + timedelta(microseconds=123456)),
        ("2026-11-20T10:00:00", NOW),
        ("2026-11-20 10:00:00 UTC", NOW),
        ("2026-11-20 10:00 gmt", NOW),
        ("2026-11-20T05:00:00.000-05:00", NOW),
        (str(NOW.timestamp()), NOW),
        (f" {int(NOW.timestamp()) * 1000} ", NOW),
        ("2026-12-01", datetime(2026, 12, 1, tzinfo=UTC)),
        (NOW.timestamp(), NOW),
        (str(int(NOW.timestamp())), NOW),
        (NOW.timestamp() * 1000, NOW),
        ("2028-11-20T10:00:00Z", None),
        ("2024-11-20T10:00:00Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("9999-12-31T23:59:59-23:59", None),
        ("NaN", None),
        ("soon", None),
        (3600, None),
        (True, None),
        (None, None),
        ([NOW], None),
        (1e300, None),
    ],
)
def test_an_instant_that_can_be_meant(value: object, instant: datetime | None) -> None:
    assert times.instant(value, NOW) == instant


def test_a_date_in_a_sentence() -> None:
    sentence = "You will regain access on {} UTC."
    assert times.instant_in_text(sentence.format("2026-12-01 at 06:30"), NOW) == datetime(
        2026, 12, 1, 6, 30, tzinfo=UTC
    )
    assert times.instant_in_text("Access returns on 2026-12-01.", NOW) == datetime(2026, 12, 1, tzinfo=UTC)
    assert times.instant_in_text(sentence.format("2026-13-41 at 99:99"), NOW) is None
    assert times.instant_in_text("You will regain access soon.", NOW) is None


@given(st.floats(0.001, 1e6))
def test_a_wait_and_its_end_are_the_same_news(secs: float) -> None:
    assert times.until(NOW, times.after(NOW, secs)) == pytest.approx(secs, abs=1e-5)


@given(st.floats())
def test_no_delay_is_ever_negative_or_endless(secs: float) -> None:
    found = times.delay(secs)
    assert found is None or 0 < found < float("inf")
    end = times.after(NOW, secs)
    assert end is None or end >= NOW
