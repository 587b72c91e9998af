"""What follows from what is known: readiness, windows, and a pool that shares what did not change."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_core import MODELS, POLICY, T0, fractions, instants, pool_of, pools, signals, told

from rotator.core.policy import Policy
from rotator.core.pool import Pool
from rotator.core.signals import Held, Probed, Succeeded
from rotator.core.state import NEVER, Account, Availability, Cooldown, ModelState, Runtime, Window
from rotator.core.transitions import apply

M = "m-1"


def _knowing(*windows, **runtime):
    return Account("a", runtime=Runtime(windows=windows, **runtime))


@given(st.floats(0.0016, 1.0), st.none() | instants, st.none() | st.sampled_from([60.0, 18000.0]))
def test_a_window_that_is_not_exhausted_never_delays(left, reset, length):
    assert _knowing(Window("5h", left, reset, length, T0)).ready_at(M, POLICY) == (0.0, None)


@settings(max_examples=150)
@given(pools(), st.sampled_from(MODELS), instants)
def test_nothing_that_is_over_delays_anybody(pool, model, now):
    """Ready at ``now`` or blocked by something that ends later: a reset, a hold or a cooldown in the past says nothing."""
    for account in pool:
        ready_at, word = account.ready_at(model, POLICY)
        runtime, state = account.runtime, account.state(model)
        ends = [c.until for c in runtime.cooldowns + state.cooldowns]
        ends += [u for u in (runtime.held_until, state.held_until) if u is not None]
        ends += [w.back_at(POLICY) for w in runtime.windows + state.windows if w.exhausted(POLICY)]
        ends += [runtime.probe_ends_at(POLICY)]
        if account.blocked_for_good(model) is None and all(end <= now for end in ends):
            assert ready_at <= now
        assert (ready_at == NEVER) == (account.blocked_for_good(model) is not None)
        assert (word is None) == (ready_at == 0.0)


def test_an_exhausted_window_delays_until_its_reset_and_the_latest_of_several_decides():
    account = _knowing(Window("5h", 0.0, T0 + 60, updated_at=T0), Window("7d", 0.001, T0 + 900, updated_at=T0))
    assert account.ready_at(M, POLICY) == (T0 + 900, "quota")


def test_an_exhausted_window_without_a_reset_delays_for_the_default_cooldown():
    assert _knowing(Window("5h", 0.0, updated_at=T0)).ready_at(M, Policy(default_cooldown=42.0)) == (T0 + 42, "quota")


def test_a_rest_seen_before_the_present_window_began_says_nothing():
    window = Window("5h", 0.0, T0 + 18000, 18000.0, T0 - 1, T0 + 5)
    assert window.left() is None
    assert not window.exhausted(POLICY)
    assert window.replace(updated_at=T0).left() == 0.0


@pytest.mark.parametrize(
    ("word", "account"),
    [
        ("disabled", Account("a", enabled=False)),
        ("banned", _knowing(banned=True)),
        ("restricted", _knowing(restricted=True)),
        ("auth_failed", _knowing(auth_failed=True)),
        ("held", _knowing(held=True)),
        ("held", _knowing(models={M: ModelState(held=True)})),
        ("model_not_served", Account("a", models=("m-2", "n*"))),
    ],
)
def test_only_a_person_helps_an_account_that_is(word, account):
    assert account.ready_at(M, POLICY) == (NEVER, word)


def test_a_hold_with_an_end_delays_until_then():
    account = _knowing(held=True, held_until=T0 + 5, models={M: ModelState(held=True, held_until=T0 + 9)})
    assert account.ready_at(M, POLICY) == (T0 + 9, "held")
    assert account.ready_at("m-2", POLICY) == (T0 + 5, "held")


def test_a_failed_probe_delays_until_its_end_and_a_later_success_overrides_it():
    pool = told(pool_of("a"), Probed("a", T0, Availability(ok=False, checked_at=T0)))
    account = pool.account("a")
    assert account.ready_at(M, POLICY) == (T0 + 7200, "unavailable")
    assert account.ready_at(M, POLICY, probes=False) == (0.0, None)
    for at, ready_at in [(T0 - 1, T0 + 7200), (T0 + 1, 0.0)]:
        assert told(pool, Succeeded("a", "m-2", at)).account("a").ready_at(M, POLICY)[0] == ready_at


@given(pools())
def test_the_next_instant_of_an_account_is_the_earliest_of_its_models(pool):
    for account in pool:
        served = [m for m in (*MODELS, "other", "m-9", "never-heard-of") if account.serves(m)]
        assert account.next_ready_at(POLICY) == min(account.ready_at(m, POLICY)[0] for m in served)


@pytest.mark.parametrize(
    ("globs", "next_ready_at"),
    [
        (("*",), 0.0),
        (("m-?",), 0.0),
        (("m-1", "m-2"), 0.0),
        (("m-1",), T0 + 5000),
        ((), NEVER),
    ],
)
def test_one_model_that_is_cooled_does_not_delay_others_that_may_be_served(globs, next_ready_at):
    account = _knowing(models={M: ModelState(cooldowns=(Cooldown(T0 + 5000, T0, "retry-after"),))})
    account = account.replace(models=globs)
    assert account.next_ready_at(POLICY) == next_ready_at


@pytest.mark.parametrize(
    ("globs", "served"),
    [
        (("*",), True),
        (("gemini-3-pro",), True),
        (("gemini-*",), True),
        (("claude-*", "gemini-3-?ro"), True),
        (("gemini-[23]-*",), True),
        (("Gemini-*",), False),
        (("gemini",), False),
        ((), False),
    ],
)
def test_globs_say_which_models_are_served(globs, served):
    assert Account("a", models=globs).serves("gemini-3-pro") is served


@pytest.mark.parametrize(
    ("ahead", "length"),
    [(30, 60), (60, 60), (61, 3600), (17999, 18000), (80000, 86400), (500000, 604800), (9e9, 2592000)],
)
def test_an_unknown_length_is_the_shortest_usual_one_that_holds_what_is_ahead(ahead, length):
    assert Window("w", 0.5, T0 + ahead, None, T0).length() == length
    assert Window("w", 0.5, T0 + ahead, 5.0, T0).length() == 5.0


@given(fractions)
def test_exhausted_is_at_or_under_what_the_policy_says(left):
    assert Window("w", left).exhausted(POLICY) == (left <= POLICY.exhausted_below)


def test_an_untouched_hundred_of_accounts_is_shared_by_the_pool_after_a_fact():
    pool = pool_of(*[Account(f"n{i}") for i in range(250)], active="n0")
    after = apply(pool, Held("n120", None, T0, None))
    assert [i for i in range(250) if after.at(i) is not pool.at(i)] == [120]
    assert after._chunks[0] is pool._chunks[0]
    assert after._chunks[2] is pool._chunks[2]
    assert (after.index("n120"), len(after), after.active, "n249" in after, "x" in after) == (
        120,
        250,
        "n0",
        True,
        False,
    )
    assert [a.name for a in after] == [f"n{i}" for i in range(250)]


@given(pools(), signals)
def test_pools_are_equal_when_their_accounts_active_and_policy_are(pool, signal):
    copy = Pool(list(pool), pool.active, pool.policy)
    assert copy == pool
    assert apply(copy, signal) == apply(pool, signal)
    assert pool.with_active("c") == copy.with_active("c")
    assert (pool.with_active("b") == pool) == (pool.active == "b")


def test_a_pool_cannot_be_set_and_names_who_is_missing():
    pool = pool_of("a")
    with pytest.raises(AttributeError, match="frozen"):
        pool.active = "a"
    with pytest.raises(KeyError, match="nobody"):
        pool.account("nobody")


def test_the_cooldown_that_ends_last_decides_at_either_scope():
    state = ModelState(cooldowns=(Cooldown(T0 + 9, T0, "reset"),))
    account = _knowing(cooldowns=(Cooldown(T0 + 5, T0, "person"),), models={M: state})
    assert [account.ready_at(m, POLICY) for m in MODELS] == [(T0 + 9, "cooldown"), (T0 + 5, "cooldown")]
    assert math.isinf(NEVER)
