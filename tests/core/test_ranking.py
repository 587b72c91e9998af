"""A ranking that is kept while facts arrive gives what a fresh one gives, and does not grow."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_core import (
    NAMES,
    POLICY,
    T0,
    Account,
    climbing,
    delays,
    explicit,
    pool_of,
    pools,
    rotations,
    signals,
    told,
)

from rotator.core.choice import Wanted
from rotator.core.policy import SELECTORS, Policy
from rotator.core.pool import Pool
from rotator.core.ranking import Ranking
from rotator.core.signals import Held, RateLimited, Succeeded
from rotator.core.transitions import apply

M = "m-1"
clocks = st.one_of(
    st.sampled_from([0.0, 0.001, 0.25, 0.999, 1.0, 30.0, 61.0, 7200.0, -0.5, -3.0, -400.0]),
    st.floats(-2.0, 90.0).map(lambda f: round(f, 3)),
    delays,
)
steps = st.one_of(
    st.tuples(st.just("fact"), st.one_of(explicit, climbing, rotations, signals)),
    st.tuples(st.just("fact at now"), st.one_of(explicit, climbing, rotations)),
    st.tuples(st.just("clock"), clocks),
    st.tuples(st.just("lease"), st.tuples(st.sampled_from(NAMES), st.sampled_from([1, 1, -1]))),
    st.tuples(st.just("active"), st.none() | st.sampled_from(NAMES)),
    st.tuples(st.just("look"), st.none()),
)
policies = st.builds(
    POLICY.replace,
    selector=st.sampled_from(SELECTORS),
    hysteresis=st.sampled_from([0.0, 0.05]),
    stale_after=st.sampled_from([50.0, 86400.0]),
)


def _fresh(pool, now, flying, tags):
    ranking = Ranking(M, Wanted(tags))
    ranking.follow(pool, now, flying, None)
    return ranking


def _step(kind, what, pool, now, flying):
    """The pool, the instant and the leases after one step, and which accounts it touched."""
    touched = []
    if kind in ("fact", "fact at now"):
        signal = what if kind == "fact" else what.replace(at=now)
        after = apply(pool, signal)
        if after is not pool:
            touched = [pool.index(signal.account)]
        pool = after
    elif kind == "clock":
        now = round(max(now + what, 1.0), 3)
    elif kind == "lease":
        name, change = what
        count = max(flying.get(name, 0) + change, 0)
        flying = {**flying, name: count} if count else {k: v for k, v in flying.items() if k != name}
        touched = [pool.index(name)]
    elif kind == "active":
        pool = pool.with_active(what)
    return pool, now, flying, touched


@settings(max_examples=250)
@given(pools(most=4, policies=policies), st.lists(steps, max_size=14), st.sampled_from([(), (), ("work",)]))
def test_a_ranking_that_follows_gives_exactly_what_a_fresh_one_gives(pool, listed, tags):
    now, flying = T0 + 20, {}
    kept = _fresh(pool, now, flying, tags)
    for kind, what in listed:
        pool, now, flying, touched = _step(kind, what, pool, now, flying)
        kept.follow(pool, now, flying, touched)
        if kind != "clock" or what != 0.25:  # sometimes nobody asks between two steps
            fresh = _fresh(pool, now, flying, tags)
            assert kept.choose() == fresh.choose(), (kind, what)
            assert [kept.home(i) for i in range(len(pool))] == [fresh.home(i) for i in range(len(pool))]


@given(pools(), pools(size=2), st.sampled_from([0.0, 1.5]))
def test_accounts_that_come_and_go_are_followed_when_everything_was_touched(pool, other, step):
    ranking = _fresh(pool, T0, {}, ())
    ranking.choose()
    ranking.follow(other, T0 + step, {}, None)
    assert ranking.choose() == _fresh(other, T0 + step, {}, ()).choose()


@pytest.mark.parametrize("make", [Succeeded, lambda a, m, at: RateLimited(a, m, at, 5.0 + (at * 1000) % 900)])
def test_the_heaps_stay_bounded_within_one_second_of_many_facts(make):
    pool = pool_of("a", "b", "c")
    ranking = _fresh(pool, T0 + 0.001, {}, ())
    for n in range(2000):
        name = NAMES[n % 3]
        now = T0 + 0.001 + n / 3000
        pool = told(pool, make(name, M, now))
        ranking.follow(pool, now, {}, [pool.index(name)])
        assert max(len(ranking._best), len(ranking._waiting)) <= 2 * 3 + 64
        if n % 500 == 499:
            assert ranking.choose() == _fresh(pool, now, {}, ()).choose()


def test_when_the_last_account_of_which_something_is_known_leaves_turns_are_taken():
    pool = told(pool_of("a", "b", "c", active="b", policy=Policy(hysteresis=0.0)), Succeeded("a", M, T0))
    ranking = _fresh(pool, T0, {}, ())
    assert ranking.choose().reason == "best_score"
    ranking.follow(told(pool, Held("a", None, T0, None)), T0, {}, [0])
    assert (ranking.choose().index, ranking.choose().reason) == (2, "round_robin")


def test_between_two_facts_and_two_seconds_nothing_is_worked_out_again():
    pool = told(pool_of("a", "b"), Succeeded("a", M, T0))
    ranking = _fresh(pool, T0 + 0.1, {}, ())
    choice = ranking.choose()
    ranking.follow(pool, T0 + 0.9, {}, ())
    assert ranking.choose() is choice


def test_an_account_becomes_ready_within_a_second_exactly_when_its_cooldown_ends():
    pool = told(pool_of("a"), RateLimited("a", M, T0, 1.25))
    ranking = _fresh(pool, T0 + 1.1, {}, ())
    assert ranking.choose().wake_at == T0 + 1.25
    ranking.follow(pool, T0 + 1.249, {}, ())
    assert ranking.choose().index is None
    ranking.follow(pool, T0 + 1.25, {}, ())
    assert ranking.choose().index == 0


def test_an_active_name_that_is_nobodys_counts_as_absent():
    pool = Pool([Account("a"), Account("b")], "gone", POLICY)
    assert _fresh(pool, T0, {}, ()).choose().index == 0
