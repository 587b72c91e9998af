"""Anthropic's windows: names, scales, resets, and what is only informative."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.core.providers import WindowReading, read
from rotator.core.providers.anthropic_windows import window_name

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
SECS = int(NOW.timestamp())
UNIFIED = "anthropic-ratelimit-unified-"


def windows(headers: dict[str, str], model: str | None = None, status: int = 200) -> dict[str, WindowReading]:
    reading = read("anthropic", status=status, headers=headers, body=None, model=model, now=NOW)
    return {window.name: window for window in reading.windows}


def unified(headers: dict[str, str], model: str | None = None, status: int = 200) -> dict[str, WindowReading]:
    return windows({UNIFIED + name: value for name, value in headers.items()}, model, status)


@pytest.mark.parametrize(
    ("spoken", "name"),
    [
        ("five_hour", "5h"),
        ("seven_day", "7d"),
        ("seven_day_opus", "7d_opus"),
        ("seven_day_sonnet", "7d_sonnet"),
        ("seven_day_overage_included", "7d_oi"),
        ("five_hour_overage_included", "5h_oi"),
        ("weekly", "7d"),
        ("weekly-sonnet", "7d_sonnet"),
        ("7d-sonnet", "7d_sonnet"),
        ("overage", "overage"),
        ("slow-budget", "slow-budget"),
    ],
)
def test_one_window_has_one_name_however_it_is_spoken_of(spoken: str, name: str) -> None:
    assert window_name(spoken) == name


def test_a_new_window_name_is_kept_and_only_informs() -> None:
    (window,) = unified({"slow-budget-utilization": "0.10", "status": "allowed", "fallback": "available"}).values()
    assert window == WindowReading("slow-budget", 0.9, informative=True)


def test_the_header_scale_is_the_fraction_used() -> None:
    for used, left in (("0.41", 0.59), ("1.0", 0.0), ("1.08", 0.0), ("0", 1.0)):
        assert unified({"5h-utilization": used})["5h"].remaining_fraction == pytest.approx(left)


@pytest.mark.parametrize("used", ["NaN", "-0.1", "inf", "much", "", "1e999"])
def test_a_use_that_cannot_be_read_is_unknown_and_leaves_the_reset(used: str) -> None:
    window = unified({"5h-utilization": used, "5h-reset": str(SECS + 60)})["5h"]
    assert window.remaining_fraction is None
    assert window.reset_time == NOW + timedelta(seconds=60)


@pytest.mark.parametrize(
    "reset", ["soon", "-1", "0", "NaN", str(SECS + 401 * 86_400), str(SECS - 401 * 86_400), "9" * 40]
)
def test_an_absurd_reset_is_unknown(reset: str) -> None:
    assert unified({"5h-utilization": "0.5", "5h-reset": reset})["5h"].reset_time is None


def test_a_reset_in_the_past_is_passed_on_as_it_was_said() -> None:
    headers = {
        "anthropic-ratelimit-requests-limit": "1000",
        "anthropic-ratelimit-requests-remaining": "999",
        "anthropic-ratelimit-requests-reset": "2026-09-01T11:59:59Z",
    }
    (window,) = windows(headers, "claude-x").values()
    assert window == WindowReading("requests", 0.999, NOW - timedelta(seconds=1), 60.0, "claude-x")


def test_the_overall_reset_belongs_to_the_claimed_window_alone() -> None:
    shown = unified(
        {"5h-utilization": "0.1", "7d-utilization": "0.2", "representative-claim": "seven_day", "reset": str(SECS + 9)}
    )
    assert shown["5h"].reset_time is None
    assert shown["7d"].reset_time == NOW + timedelta(seconds=9)


def test_a_windows_own_reset_is_not_replaced_by_the_overall_one() -> None:
    shown = unified({"5h-reset": str(SECS + 5), "representative-claim": "five_hour", "reset": str(SECS + 9)})
    assert shown["5h"].reset_time == NOW + timedelta(seconds=5)


def test_a_family_week_informs_only_until_it_is_rejected_or_claimed() -> None:
    assert unified({"7d_oi-utilization": "0.9"})["7d_oi"].informative
    assert not unified({"7d_oi-status": "rejected"})["7d_oi"].informative
    claimed = {"7d_oi-utilization": "0.98", "representative-claim": "seven_day_overage_included"}
    assert not unified(claimed)["7d_oi"].informative
    assert not unified({"7d_sonnet-utilization": "0.9"})["7d_sonnet"].informative
    assert unified({"7d_design-utilization": "0.9"})["7d_design"].informative


def test_a_family_week_is_limited_to_its_models_and_to_the_one_it_refused() -> None:
    assert unified({"7d_opus-utilization": "0.9"}, "claude-sonnet-5")["7d_opus"].model == "*opus*"
    assert unified({"7d_oi-status": "rejected"}, "claude-fable-5", 429)["7d_oi"].model == "*fable*"
    assert unified({"7d_oi-status": "rejected"}, "claude-next-1", 429)["7d_oi"].model == "claude-next-1"
    assert unified({"5h-status": "rejected"}, "claude-next-1", 429)["5h"].model is None


def test_lengths_come_from_the_names() -> None:
    shown = unified(
        {"5h-status": "allowed", "7d-status": "allowed", "7d_opus-status": "allowed", "new-status": "allowed"}
    )
    lengths = {name: window.length_secs for name, window in shown.items()}
    assert lengths == {"5h": 18_000.0, "7d": 604_800.0, "7d_opus": 604_800.0, "new": None}


def test_a_bare_overage_status_is_no_window() -> None:
    assert unified({"overage-status": "rejected", "overage-disabled-reason": "org_level_disabled"}) == {}


def test_the_combined_tokens_limit_only_informs() -> None:
    prefix = "anthropic-ratelimit-"
    shown = windows(
        {prefix + "tokens-remaining": "0", prefix + "output-tokens-remaining": "5", prefix + "x-limit": "-1"}
    )
    assert shown["tokens"].informative
    assert shown["tokens"].remaining_fraction == 0.0
    assert not shown["output_tokens"].informative
    assert shown["output_tokens"].remaining_fraction is None
    assert shown["x"].remaining_fraction is None


@given(st.floats(0, 2), st.floats(0, 2))
def test_more_use_never_leaves_more(one: float, other: float) -> None:
    left = [unified({"5h-utilization": repr(used)})["5h"].remaining_fraction for used in sorted((one, other))]
    assert left[0] is not None
    assert left[1] is not None
    assert left[0] >= left[1]


@pytest.mark.parametrize("reset", [f" {SECS + 60}.0 ", f"{SECS + 60}000", "2026-09-01T14:01:00.000000+02:00"])
def test_a_reset_may_be_a_float_milliseconds_or_rfc_3339(reset: str) -> None:
    assert unified({"5h-reset": reset})["5h"].reset_time == NOW + timedelta(seconds=60)


def test_windows_that_nobody_knew_are_kept_and_never_block() -> None:
    names = ("grace-5h", "overage-period-monthly", "30d", "12h", "7d_haiku", "slow-budget")
    shown = unified({f"{name}-utilization": "1.0" for name in names} | {"5h-surpassed-threshold": "true"})
    assert sorted(shown) == sorted(names)
    assert all(window.informative for window in shown.values())
