"""What a refusal shows besides: a silent ban, a window that is spent by own account of it."""

from __future__ import annotations

import pytest
from strategies_core import POLICY, T0, pool_of, told

from rotator.core.deducing import shown_by
from rotator.core.signals import QuotaObserved, RateLimited, Succeeded, Throttled
from rotator.core.state import Window

M = "m-1"


def _refused(pool, at, delay, name="a"):
    """The pool after a refusal and all that it shows."""
    fact = RateLimited(name, M, at, delay)
    pool = told(pool, fact)
    shown = shown_by(pool, fact)
    return told(pool, *shown), shown


def _banned(times, *, delay=60.0, others_serve=True):
    """A pool whose first account is refused again and again, while the other one serves or does not."""
    pool, at, last = told(pool_of("a", "b"), Succeeded("b", M, T0 - 100)), T0, ()
    for _ in range(times):
        if others_serve:
            pool = told(pool, Succeeded("b", M, at - 1, 10))
        pool, last = _refused(pool, at, delay)
        at = pool.account("a").ready_at(M, POLICY)[0] + 1
    return pool, last, at


def test_who_goes_on_being_refused_while_others_are_served_is_left_alone_for_longer_and_longer():
    lengths = []
    for times in range(1, 10):
        pool, _, _ = _banned(times)
        lengths.append(max(c.until - c.at for c in pool.account("a").state(M).cooldowns))
    assert lengths == [60, 60, 120, 240, 480, 960, 1800, POLICY.quarantine, POLICY.quarantine]


def test_what_the_provider_said_is_still_what_clients_are_told():
    pool, _, _ = _banned(9)
    state = pool.account("a").state(M)
    assert (state.last_retry_delay_secs_raw, state.consecutive_429) == (60.0, 9)


def test_a_success_ends_the_suspicion():
    pool, _, at = _banned(9)
    pool = told(pool, Succeeded("a", M, at))
    assert pool.account("a").state(M).refused_since == 0.0
    _, shown = _refused(pool, at + 5, 60.0)
    assert shown == ()


def test_nobody_is_suspected_while_nobody_else_is_served():
    _, shown, _ = _banned(6, others_serve=False)
    assert shown == ()


def test_a_suspected_account_is_no_witness_of_a_throttle_and_others_still_are():
    pool, _, at = _banned(4)
    _, shown = _refused(told(pool, RateLimited("a", M, at)), at + 1, None, "b")
    assert shown == ()
    fresh = told(pool_of("a", "b"), Succeeded("b", M, T0 - 1), RateLimited("a", M, T0))
    _, shown = _refused(fresh, T0 + 1, None, "b")
    assert {type(fact) for fact in shown} == {Throttled}


@pytest.mark.parametrize(
    ("left", "length", "explained"), [(0.02, 18000.0, True), (0.2, 18000.0, False), (0.02, 60.0, False)]
)
def test_a_refusal_that_names_no_window_is_about_the_one_that_is_nearly_spent(left, length, explained):
    reset = T0 + length * 0.9
    pool = told(pool_of("a"), QuotaObserved("a", None, T0 - 1, (Window("w", left, reset, length),)))
    pool, shown = _refused(pool, T0, None)
    assert bool(shown) is explained
    assert pool.account("a").ready_at(M, POLICY)[0] == (reset if explained else T0 + POLICY.default_cooldown)
