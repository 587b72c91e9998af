"""What a forecast promises: real choices stepped forward, at the burn that the readings tell."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_core import T0

from rotator.core.burn import burn, demand, rate_on
from rotator.core.forecast import outlook, windows
from rotator.core.policy import Policy
from rotator.core.pool import Pool
from rotator.core.signals import Blocked, QuotaObserved, RateLimited, Rotated
from rotator.core.state import NEVER, Account, Runtime, Window
from rotator.core.transitions import replay

HOUR, DAY = 3600.0, 86400.0
MODEL = "m"
STICKY = Policy(hysteresis=10.0)
"""Nobody is left for a better score, so only reserves and limits move anything."""


def five_hours(left, past):
    """A window of five hours that began so many hours ago."""
    return Window("5h", left, T0 + (5 - past) * HOUR, 5 * HOUR)


def pool_of(windows_of, *, policy=STICKY, active=None, **more):
    accounts = [Account(name, **more.get(name, {})) for name in windows_of]
    facts = [QuotaObserved(name, None, T0, tuple(each)) for name, each in windows_of.items() if each]
    return replay(Pool(accounts, None, policy), facts + ([Rotated(active, None, T0, "")] if active else []))


lengths = st.sampled_from([5 * HOUR, DAY, 7 * DAY])
lefts = st.floats(0.0, 1.0).map(lambda left: round(left, 6))


@st.composite
def long_windows(draw):
    length = draw(lengths)
    return Window(f"{length:g}", draw(lefts), T0 + length * draw(st.floats(0.01, 0.99)), length, T0, T0)


@st.composite
def pools(draw):
    names = ["a", "b", "c"][: draw(st.integers(1, 3))]
    held = {name: draw(st.lists(long_windows(), max_size=2, unique_by=lambda w: w.name)) for name in names}
    more = {
        name: {
            "priority": draw(st.integers(0, 1)),
            "weight": draw(st.sampled_from([1.0, 4.0])),
            "quota_group": draw(st.sampled_from([None, None, "g"])),
        }
        for name in names
    }
    policy = Policy(selector=draw(st.sampled_from(["score", "score", "chain", "round_robin"])))
    pool = pool_of(held, policy=policy, active=draw(st.sampled_from([None, *names])), **more)
    if draw(st.booleans()):
        pool = replay(pool, [RateLimited(names[0], MODEL, T0, draw(st.floats(1, 9999)))])
    return pool


@given(long_windows(), st.floats(0, 3 * DAY))
def test_what_burns_from_the_beginning_of_a_window_gives_what_is_left_of_it(window, later):
    now = T0 + later
    rate = burn(window, now)
    began = window.reset_time - window.length_secs
    if now >= window.reset_time:
        assert rate == 0.0
    elif now - began >= window.length_secs / 60:
        assert math.isclose(1 - rate * (now - began), window.remaining_fraction, abs_tol=1e-6)
    else:
        assert 0 <= rate <= 60 * (1 - window.remaining_fraction) / window.length_secs + 1e-12


@pytest.mark.parametrize(
    "window",
    [
        Window("5h"),
        Window("5h", 0.5),
        Window("5h", None, T0 + HOUR, 5 * HOUR, T0),
        Window("requests", 0.1, T0 + 30, 60.0, T0, T0),
        Window("5h", 0.5, T0 - 1, 5 * HOUR, T0 - HOUR, T0 - HOUR),
        Window("5h", 0.5, T0 + HOUR, 5 * HOUR, T0 - 6 * HOUR, T0 - 6 * HOUR),
        Window("5h", 0.5, T0 + HOUR, 5 * HOUR, T0, T0, kind="rolling"),
    ],
    ids=["nothing", "no reset", "no rest", "a minute", "over", "seen before it began", "it slides"],
)
def test_a_window_that_does_not_tell_its_fall_has_none(window):
    assert burn(window, T0) == 0.0


def test_who_takes_over_goes_on_at_the_rate_of_both():
    pool = pool_of({"a": [five_hours(0.2, 4)], "b": [five_hours(0.8, 1)]})
    rates = demand(pool, MODEL, T0)
    assert rates == {("5h", 5 * HOUR): pytest.approx(1.0 / (4 * HOUR))}
    account = Account("c", weight=4.0)
    assert rate_on(rates, account, five_hours(1.0, 0)) == pytest.approx(0.25 / (4 * HOUR))


def test_what_a_group_used_counts_once():
    two = {"a": [five_hours(0.2, 4)], "b": [five_hours(0.2, 4)]}
    alone = demand(pool_of({"a": two["a"]}), MODEL, T0)
    assert demand(pool_of(two, a={"quota_group": "g"}, b={"quota_group": "g"}), MODEL, T0) == alone
    assert demand(pool_of(two), MODEL, T0) != alone


def test_another_kind_of_window_falls_as_its_length_says():
    rates = demand(pool_of({"a": [five_hours(0.5, 2.5)]}), MODEL, T0)
    week = Window("7d", 0.9, T0 + DAY, 7 * DAY, T0, T0)
    assert rate_on(rates, Account("b"), Window("primary", 1.0, T0 + HOUR, 5 * HOUR)) == pytest.approx(0.2 / HOUR)
    assert 0 < rate_on(rates, Account("b"), week) < rate_on(rates, Account("a"), five_hours(0.5, 2.5)) / 5
    assert rate_on({}, Account("b"), week) == 0.0


@given(long_windows(), st.floats(0.25, 8))
def test_a_window_lasts_when_its_reset_comes_before_its_limit(window, factor):
    (told,) = windows(pool_of({"a": [window]}), T0, factor=factor)
    assert told.remaining_fraction == window.remaining_fraction
    assert told.burn == pytest.approx(burn(window, T0) * factor, rel=1e-6)
    assert told.lasts == (told.limit_at is None or (told.limit_at >= told.reset_time and window.remaining_fraction > 0))
    if told.burn:
        assert T0 <= told.reserve_at <= told.limit_at
    if told.lasts:
        assert window.remaining_fraction - told.burn * (told.reset_time - T0) >= -1e-6


def test_of_a_window_that_slides_nothing_can_be_said():
    (told,) = windows(pool_of({"a": [five_hours(0.4, 2).replace(kind="rolling")]}), T0)
    assert (told.lasts, told.burn, told.limit_at) == (None, 0.0, None)


def test_a_window_that_was_reset_is_full():
    (told,) = windows(pool_of({"a": [five_hours(0.1, 2)]}), T0 + 4 * HOUR)
    assert (told.remaining_fraction, told.burn, told.reset_time, told.lasts) == (1.0, 0.0, None, True)


def test_the_account_is_left_at_its_reserve_and_not_at_its_limit():
    pool = pool_of({"a": [five_hours(0.25, 2.5)], "b": [five_hours(1.0, 2.5)]}, active="a")
    ahead = outlook(pool, MODEL, T0, secs=0.8 * HOUR)
    (told,) = ahead.switches
    reserve_at = windows(pool, T0)[0].reserve_at
    assert (ahead.account, told.previous, told.account, ahead.spells) == ("a", "a", "b", ())
    assert told.at == pytest.approx(reserve_at, abs=2)
    assert told.at == pytest.approx(T0 + 2 / 3 * HOUR, abs=2)
    assert "a is below its reserve" in told.explanation


def test_twice_the_burn_comes_there_in_half_the_time():
    pool = pool_of({"a": [five_hours(0.25, 2.5)], "b": [five_hours(1.0, 2.5)]}, active="a")
    at = [outlook(pool, MODEL, T0, secs=0.8 * HOUR, factor=factor).switches[0].at - T0 for factor in (1.0, 2.0)]
    assert at[0] == pytest.approx(2 * at[1], abs=4)


def test_nobody_is_ready_from_the_limit_to_the_reset():
    pool = pool_of({"a": [five_hours(0.2, 2)]}, active="a")
    (spell,) = outlook(pool, MODEL, T0, secs=3.5 * HOUR).spells
    assert spell.at == pytest.approx(T0 + 0.5 * HOUR, abs=20)
    assert spell.until == T0 + 3 * HOUR


def test_what_is_known_of_a_cooldown_is_foreseen_without_any_window():
    pool = replay(Pool([Account("a")], None, Policy()), [RateLimited("a", MODEL, T0, 7200.0)])
    ahead = outlook(pool, MODEL, T0)
    assert [(spell.at, spell.until) for spell in ahead.spells] == [(T0, T0 + 7200)]
    assert [(switch.at, switch.previous, switch.account) for switch in ahead.switches] == [(T0 + 7200, None, "a")]


def test_where_only_a_person_can_help_nothing_ends_it():
    pool = replay(Pool([Account("a")], None, Policy()), [Blocked("a", "banned", T0, "tos")])
    ahead = outlook(pool, MODEL, T0)
    assert (ahead.account, ahead.switches, ahead.until) == (None, (), T0 + DAY)
    assert [(spell.at, spell.until) for spell in ahead.spells] == [(T0, NEVER)]


def test_without_any_burn_the_account_stays():
    ahead = outlook(pool_of({"a": [five_hours(1.0, 2)], "b": []}, active="a"), MODEL, T0)
    assert (ahead.account, ahead.switches, ahead.spells, ahead.cut) == ("a", (), (), False)


def test_the_accounts_of_a_group_fall_together():
    pool = pool_of(
        {"a": [five_hours(0.5, 2)], "b": [five_hours(0.5, 2)]},
        active="a",
        a={"quota_group": "g"},
        b={"quota_group": "g"},
    )
    for sample in outlook(pool, MODEL, T0, secs=HOUR, sampled=True).samples:
        assert sample.left["a", "5h"] == sample.left["b", "5h"]
    assert sample.left["a", "5h"] == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    ("days", "kind", "begins"),
    [(7, None, 1), (7, "first_use", 3), (5 / 24, None, 3), (5 / 24, "fixed", 1)],
    ids=["a plan's", "a plan's that is known", "a short one", "a short one that is known"],
)
def test_a_window_goes_on_by_its_calendar_or_from_its_first_request(days, kind, begins):
    window = Window("w", 0.9, T0 + HOUR, days * DAY, kind=kind)
    pool = replay(pool_of({"a": [window]}, active="a"), [RateLimited("a", MODEL, T0, 3 * HOUR)])
    seen = outlook(pool, MODEL, T0, secs=(days + 0.2) * DAY, sampled=True).samples
    later = [sample for sample in seen if sample.at > T0 + 3 * HOUR + 60]
    rises = [sample.at for before, sample in pairwise(later) if sample.left["a", "w"] > before.left["a", "w"]]
    assert rises[0] == pytest.approx(T0 + begins * HOUR + days * DAY, abs=1)


def test_what_a_larger_account_used_was_more():
    held = {"a": [five_hours(0.8, 2)]}
    usual = demand(pool_of(held), MODEL, T0)["5h", 5 * HOUR]
    assert demand(pool_of(held, a={"weight": 4.0}), MODEL, T0)["5h", 5 * HOUR] == pytest.approx(4 * usual)


@settings(max_examples=60, deadline=None)
@given(pools(), st.sampled_from([HOUR, DAY, 7 * DAY]), st.sampled_from([0.5, 1.0, 5.0]))
def test_a_forecast_is_a_story_in_order(pool, secs, factor):
    before = repr([*pool])
    ahead = outlook(pool, MODEL, T0, secs=secs, factor=factor, sampled=True)
    assert ahead == outlook(pool, MODEL, T0, secs=secs, factor=factor, sampled=True)
    assert repr([*pool]) == before
    assert ahead.cut or ahead.until == T0 + secs
    assert len(ahead.samples) <= 3001
    ats = [switch.at for switch in ahead.switches]
    assert ats == sorted(ats)
    assert all(T0 <= at <= ahead.until for at in ats)
    assert all(switch.previous != switch.account for switch in ahead.switches)
    assert ahead.told >= len(ahead.switches) + len(ahead.spells) - 200
    serving = ahead.account
    for change in sorted([*ahead.switches, *ahead.spells], key=lambda each: each.at):
        if change in ahead.spells:
            assert change.at < change.until
            serving = None
        else:
            assert change.previous == serving
            serving = change.account
    for one, other in pairwise(ahead.spells):
        assert one.until < other.at


@settings(max_examples=30, deadline=None)
@given(pools())
def test_the_first_choice_is_the_one_that_would_be_made_now(pool):
    from rotator.core.selection import select

    assert outlook(pool, MODEL, T0, secs=60).account == select(pool, MODEL, now=T0).account


def test_a_large_pool_takes_fewer_steps():
    held = {f"a{place}": [five_hours(0.1 + place / 1000, 3)] for place in range(300)}
    assert len(outlook(pool_of(held, policy=Policy()), MODEL, T0, sampled=True).samples) <= 140


def test_own_traffic_since_the_last_reading_has_burnt_too():
    known = five_hours(0.5, 2.5).replace(updated_at=T0, reset_updated_at=T0, capacity_tokens=1000, spent_tokens=100)
    pool = Pool([Account("a", runtime=Runtime(windows=(known,)))], "a", STICKY)
    (told,) = windows(pool, T0)
    assert told.remaining_fraction == pytest.approx(0.4)
    assert told.burn == pytest.approx(0.6 / (2.5 * HOUR))
    assert outlook(pool, MODEL, T0, secs=HOUR, sampled=True).samples[-1].left["a", "5h"] == pytest.approx(
        0.16, abs=0.01
    )
