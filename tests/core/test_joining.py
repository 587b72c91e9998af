"""Joining: two engines that learned without each other know together what one that learned both would know."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_core import MODELS, POLICY, T0, explicit, pool_of, readiness, signals, told

from rotator.core.joining import join
from rotator.core.lineage import builds_on
from rotator.core.signals import (
    Blocked,
    Held,
    Probed,
    QuotaObserved,
    RateLimited,
    Released,
    Rotated,
    SessionPlaced,
    Succeeded,
    Throttled,
)
from rotator.core.state import Availability, Runtime, Window

M = MODELS[0]
of_a = signals.map(lambda signal: signal.replace(account="a"))
stories = st.lists(of_a, max_size=8)
of_a_explicit = explicit.map(lambda signal: signal.replace(account="a"))


def knows(*facts):
    return told(pool_of("a"), *facts).account("a").runtime


def ready(runtime):
    return readiness(pool_of("a").with_runtime("a", runtime))


def excused_by_model(facts):
    """Without account-wide refusals where the provider throttled: the side that did not hear of that charges them."""
    throttled = any(isinstance(fact, Throttled) for fact in facts)
    return [fact for fact in facts if not (throttled and isinstance(fact, RateLimited) and fact.account_wide)]


def apart(facts):
    """The facts with every end in an instant of its own: of two in one instant only the order of arrival decides."""
    ends = (Succeeded, Released, Held, QuotaObserved)
    return [
        fact.replace(at=round(fact.at, 1) + (number / 1000 if isinstance(fact, ends) else 0))
        for number, fact in enumerate(facts, start=1)
    ]


@settings(max_examples=200, deadline=None)
@given(stories, stories, stories)
def test_it_does_not_matter_who_is_joined_to_whom(base, here, there):
    one, other = knows(*base, *here), knows(*base, *there)
    assert join(one, other, POLICY) == join(other, one, POLICY)


@settings(max_examples=150, deadline=None)
@given(stories, stories)
def test_what_is_joined_once_more_says_nothing_new(here, there):
    one, other = knows(*here), knows(*there)
    both = join(one, other, POLICY)
    assert join(one, one, POLICY) == one
    for side in (one, other, both):
        again = join(both, side, POLICY)
        assert again.replace(rev=0, seal="", sealed_over="") == both.replace(rev=0, seal="", sealed_over="")


@settings(max_examples=400, deadline=None)
@given(st.lists(of_a_explicit, max_size=16), st.integers(0, 16), st.integers(0, 16))
def test_two_sides_joined_are_as_ready_as_one_that_learned_the_facts_of_both(facts, began, parted):
    facts, began, parted = excused_by_model(apart(facts)), *sorted((began, parted))
    base, here, there = facts[:began], facts[began:parted], facts[parted:]
    both = join(knows(*base, *here), knows(*base, *there), POLICY)
    assert ready(both) == ready(knows(*facts))


def test_a_state_joined_with_one_that_was_learned_on_top_of_it_is_that_one():
    base = knows(LIMITED, Held("a", M, T0 + 2, None))
    after = told(pool_of("a").with_runtime("a", base), Succeeded("a", M, T0 + 9), Released("a", None, T0 + 11))
    both = join(base, after.account("a").runtime, POLICY)
    assert both.replace(rev=0, seal="", sealed_over="") == after.account("a").runtime


LIMITED = RateLimited("a", M, T0 + 3, 600.0, "reset")
WIDE = RateLimited("a", M, T0 + 3, 600.0, "reset", account_wide=True)


def reading(model, left, at, **parts):
    return QuotaObserved("a", model, at, (Window("5h", left, **parts),))


@pytest.mark.parametrize(
    ("known", "news", "holds"),
    [
        (LIMITED, Succeeded("a", M, T0 + 4), False),
        (LIMITED, Succeeded("a", M, T0 + 2), True),
        (LIMITED, Succeeded("a", MODELS[1], T0 + 4), True),
        (WIDE, Succeeded("a", MODELS[1], T0 + 4), False),
        (LIMITED, reading(M, 0.5, T0 + 4), False),
        (LIMITED, reading(M, 0.5, T0 + 2), True),
        (WIDE, reading(None, 0.5, T0 + 4), False),
        (WIDE, reading(M, 0.5, T0 + 4), True),
        (LIMITED.replace(source="retry-after"), reading(M, 0.5, T0 + 4), True),
        (LIMITED, Released("a", None, T0 + 4), False),
        (LIMITED, Released("a", MODELS[1], T0 + 4), True),
        (Blocked("a", "banned", T0 + 3, "said so"), Succeeded("a", M, T0 + 4), False),
        (Blocked("a", "banned", T0 + 3, "said so"), Succeeded("a", M, T0 + 2), True),
        (Throttled("a", M, T0 + 3, T0 + 8), Succeeded("a", M, T0 + 4), False),
        (Throttled("a", M, T0 + 3, T0 + 8), reading(M, 0.5, T0 + 4), True),
        (LIMITED.replace(source="retry-after"), Throttled("a", M, T0 + 4, T0 + 4), False),
        (LIMITED, Throttled("a", M, T0 + 4, T0 + 4), True),
        (Held("a", None, T0 + 3, None), Released("a", None, T0 + 4), False),
        (Held("a", M, T0 + 3, None), Released("a", None, T0 + 4), False),
        (Held("a", M, T0 + 3, T0 + 99), Released("a", M, T0 + 2), True),
        (reading(M, 0.0, T0 + 3, reset_time=T0 + 99), Released("a", None, T0 + 4), False),
        (reading(M, 0.0, T0 + 3, reset_time=T0 + 99), reading(M, 0.4, T0 + 4), False),
        (reading(M, 0.0, T0 + 3, reset_time=T0 + 99), reading(M, 0.4, T0 + 2), True),
        (Probed("a", T0 + 3, Availability(ok=False, checked_at=0.0)), Released("a", None, T0 + 4), False),
        (Probed("a", T0 + 3, Availability(ok=False, checked_at=0.0)), Succeeded("a", MODELS[1], T0 + 2), True),
    ],
)
@pytest.mark.parametrize("common", [True, False], ids=["known to both", "known to one"])
def test_what_one_side_learned_blocks_unless_the_other_learned_later_that_it_is_over(common, known, news, holds):
    before = [known] if common else []
    both = join(knows(known), knows(*before, news), POLICY)
    if common and not holds:
        assert knows(known) != knows(known, news)
    assert (ready(both)["a", M, True] > T0 + 4) is holds


def test_registers_keep_the_latest_word_and_the_higher_of_two_in_one_instant():
    one = knows(
        Rotated("a", "b", T0 + 5, "best_score"),
        SessionPlaced("a", "s-1", T0 + 5),
        reading(M, 0.5, T0 + 1, reset_time=T0 + 60, length_secs=60.0),
        Succeeded("a", M, T0 + 2, 700),
        RateLimited("a", M, T0 + 7, 30.0),
        RateLimited("a", M, T0 + 47, 31.0),
    )
    other = knows(
        Rotated("a", "c", T0 + 6, "hysteresis"),
        SessionPlaced("a", "s-1", T0 + 4),
        SessionPlaced("a", "s-2", T0 + 6),
        reading(M, 0.5, T0 + 1, reset_time=T0 + 60),
        Succeeded("a", M, T0 + 2, 900),
        RateLimited("a", M, T0 + 8, 20.0),
    )
    both = join(one, other, POLICY)
    state = both.models[M]
    assert (both.selected, both.last_active_at) == (other.selected, T0 + 6)
    assert both.sessions == {"s-1": T0 + 5, "s-2": T0 + 6}
    assert state.windows == (one.models[M].windows[0].replace(spent_tokens=900),)
    assert (state.consecutive_429, state.last_429_at, state.last_retry_delay_secs_raw) == (2, T0 + 47, 31.0)


def test_sessions_that_are_joined_stay_bounded():
    one = Runtime(sessions={f"s-{n}": T0 + n for n in range(POLICY.sessions_max)})
    other = Runtime(sessions={f"t-{n}": T0 + n + 0.5 for n in range(POLICY.sessions_max)})
    kept = join(one, other, POLICY).sessions
    assert len(kept) == POLICY.sessions_max
    assert min(kept.values()) >= T0 + POLICY.sessions_max / 2 - 1


def test_the_joined_state_is_above_both_and_built_on_both():
    one = knows(LIMITED).replace(rev=6, seal="aaaaaaaa", sealed_over="00000005 00000004")
    other = knows(WIDE).replace(rev=7, seal="bbbbbbbb", sealed_over="cccccccc 00000005")
    both = join(one, other, POLICY)
    assert both.rev == 8
    assert both.sealed_over.split() == ["bbbbbbbb", "aaaaaaaa", "cccccccc", "00000005", "00000004"]
    assert builds_on(both, one)
    assert builds_on(both, other)
    assert both.seal not in ("aaaaaaaa", "bbbbbbbb")
