"""What own traffic teaches of a window: what went since it was read, how much it holds, of what kind it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies_core import POLICY, T0, pool_of, told

from rotator.core.scorer import appraise, left_now
from rotator.core.signals import QuotaObserved, Succeeded
from rotator.core.state import Account, ModelState, Runtime, Window

M = "m-1"
HOURS = 3600.0
L = 5 * HOURS


def _served(pool, at, left, tokens=0, *, reset=T0 + L, window="5h", length=L):
    """The pool after one answer that shows a window and took tokens."""
    return told(
        pool,
        QuotaObserved("a", None, at, (Window(window, left, reset, length),)),
        Succeeded("a", M, at, tokens),
    )


def _window(pool):
    return pool.account("a").runtime.windows[0]


def test_a_value_that_is_shown_again_says_nothing_and_tokens_count_on():
    pool = pool_of("a")
    for n, left in enumerate([0.9, 0.9, 0.9, 0.89, 0.89]):
        pool = _served(pool, T0 + n, left, 100)
    assert _window(pool).spent_tokens == 200
    assert _window(pool).updated_at == T0 + 4


@given(st.integers(200_000, 900_000), st.integers(3000, 6000), st.floats(0.0, 0.5))
def test_the_capacity_is_learned_from_readings_in_whole_per_cents(capacity, tokens, used):
    pool, spent = pool_of("a"), used * capacity
    for n in range(round(0.4 * capacity / tokens)):
        pool = _served(pool, T0 + n, 1 - round(spent / capacity, 2), tokens)
        spent += tokens
    assert _window(pool).capacity_tokens == pytest.approx(capacity, rel=0.12)
    assert left_now(_window(pool), T0 + 9e3) == pytest.approx(1 - spent / capacity, abs=0.02)


def test_answers_that_come_out_of_order_are_no_new_window():
    pool = pool_of("a")
    for n, left in enumerate([0.9, 0.87, 0.89, 0.86, 0.88, 0.8]):
        pool = _served(pool, T0 + n, left, 10_000)
    assert (_window(pool).measured_from, _window(pool).measured_tokens) == (0.9, 60_000)


def test_another_reset_is_a_new_window_and_what_was_learned_of_the_old_one_stays():
    pool = pool_of("a")
    for n, left in enumerate([0.5, 0.4, 0.2]):
        pool = _served(pool, T0 + n, left, 100_000)
    learned = _window(pool).capacity_tokens
    pool = _served(pool, T0 + L + 10, 1.0, 500, reset=T0 + 2 * L)
    window = _window(pool)
    assert (window.capacity_tokens, window.spent_tokens, window.measured_from) == (learned, 500, 1.0)


@pytest.mark.parametrize(
    ("at", "left", "reset", "kind"),
    [
        (T0 + L + 3600, 0.99, T0 + 2 * L, "fixed"),
        (T0 + 2 * L + 3600, 0.99, T0 + 3 * L, "fixed"),
        (T0 + L + 3600, 1.0, T0 + 2 * L + 3600, "first_use"),
        (T0 + L + 5, 1.0, T0 + 2 * L + 3, None),
        (T0 + L + 3, 0.3, T0 + L + 60, "rolling"),
        (T0 + 100, 0.3, T0 + L + 3600, None),
    ],
    ids=["in between", "a whole one later", "begun late", "begun at once", "goes on", "before its end"],
)
def test_how_a_window_goes_on_after_its_reset_tells_its_kind(at, left, reset, kind):
    pool = _served(_served(pool_of("a"), T0, 0.31), at, left, reset=reset)
    assert _window(pool).kind == kind


def test_own_traffic_is_taken_off_and_what_is_on_its_way_too_down_to_nothing():
    window = Window("5h", 0.5, T0 + L, L, T0, T0, 100_000, 1_000_000)
    assert left_now(window, T0) == pytest.approx(0.4)
    assert left_now(window, T0, 50_000) == pytest.approx(0.35)
    assert left_now(window, T0, 1e9) == 0.0
    assert left_now(window, T0 + L) == 1.0
    assert left_now(window.replace(capacity_tokens=None), T0, 1e9) == 0.5


def test_a_sliding_window_gives_back_evenly_and_never_resets():
    window = Window("5h", 0.2, T0 + 60, L, T0, T0, kind="rolling")
    assert left_now(window, T0 + L / 2) == pytest.approx(0.6)
    spent = Account("a", runtime=Runtime(windows=(window.replace(remaining_fraction=0.0),)))
    assert spent.ready_at(M, POLICY) == (T0 + 90, "quota")


def test_a_window_that_is_spent_by_own_account_of_it_is_not_asked_for_until_its_reset():
    window = Window("5h", 0.01, T0 + 900, L, T0, T0, 9_900, 1_000_000)
    account = Account("a", runtime=Runtime(windows=(window,)))
    assert appraise(account, M, T0, T0, POLICY).blocked_by is None
    account = Account("a", runtime=Runtime(windows=(window.replace(spent_tokens=10_000),)))
    standing = appraise(account, M, T0, T0, POLICY)
    assert (standing.ready_at, standing.blocked_by) == (T0 + 900, "quota")
    assert appraise(account, M, T0 + 900, T0 + 900, POLICY).blocked_by is None


def test_a_minutes_window_must_hold_a_usual_request():
    window = Window("minute", 0.1, T0 + 54, 60.0, T0, T0, 0, 10_000)
    state = ModelState(request_tokens=2_000.0, windows=(window,))
    account = Account("a", runtime=Runtime(models={M: state}))
    assert appraise(account, M, T0, T0, POLICY).ready_at == pytest.approx(T0 + 6)
    assert appraise(account, M, T0 + 7, T0 + 7, POLICY).blocked_by is None


def test_what_a_request_takes_is_a_mean_that_forgets():
    pool = told(pool_of("a"), *[Succeeded("a", M, T0 + n, 1000) for n in range(5)])
    assert pool.account("a").state(M).request_tokens == 1000
    pool = told(pool, *[Succeeded("a", M, T0 + 9 + n, 3000) for n in range(40)], Succeeded("a", M, T0 + 99))
    assert pool.account("a").state(M).request_tokens == pytest.approx(3000, rel=0.02)
    assert told(pool_of("a"), Succeeded("a", M, T0, 6000, 3)).account("a").state(M).request_tokens == 2000
