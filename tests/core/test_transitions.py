"""The laws of transitions: what facts change, and that their order of arrival does not matter."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from strategies_core import (
    MODELS,
    POLICY,
    T0,
    explicit,
    instants,
    pool_of,
    pools,
    readiness,
    signals,
    told,
)

from rotator.core.instants import tidy
from rotator.core.policy import Policy
from rotator.core.signals import (
    AuthRefused,
    Blocked,
    Held,
    Probed,
    QuotaObserved,
    RateLimited,
    Refused,
    Released,
    Rotated,
    ServerFailed,
    SessionPlaced,
    Succeeded,
    Throttled,
)
from rotator.core.state import NEVER, Availability, Cooldown, Runtime, Window
from rotator.core.transitions import apply, replay, significant

M = "m-1"


def _runtime(pool, name="a"):
    return pool.account(name).runtime


def _state(pool, model=M, name="a"):
    return pool.account(name).state(model)


def _ready_in(pool, model=M, name="a"):
    return pool.account(name).ready_at(model, pool.policy)[0] - T0


def _reading(at, left=None, reset=None, *, model=None, name="5h", refused=False):
    return QuotaObserved("a", model, at, (Window(name, left, reset, 18000.0),), with_refusal=refused)


@settings(max_examples=100)
@given(pools(), st.lists(signals, max_size=5), st.lists(signals, max_size=5))
def test_replay_is_a_fold(pool, first, then):
    assert replay(pool, first + then) == replay(replay(pool, first), then)


@settings(max_examples=100)
@given(pools(), signals)
def test_the_same_pool_comes_back_when_a_fact_is_heard_twice(pool, signal):
    assume(not getattr(signal, "tokens", 0))
    once = apply(pool, signal)
    counts = {RateLimited, ServerFailed, AuthRefused, Refused}
    assert apply(once, signal) is once or type(signal) in counts


@given(pools(), signals)
def test_a_fact_about_an_account_that_is_gone_is_dropped(pool, signal):
    assert apply(pool, signal.replace(account="gone")) is pool


@given(pools(), signals)
def test_a_fact_changes_no_account_but_its_own(pool, signal):
    after = apply(pool, signal)
    for account in pool:
        assert account.name == signal.account or after.account(account.name) is account


def _without_contradictions(facts):
    """Whether no success and nothing that a person said is of the same instant as other news of its account."""
    seen = Counter((s.account, tidy(s.at)) for s in facts)
    return all(seen[s.account, tidy(s.at)] == 1 for s in facts if isinstance(s, Succeeded | Held | Released))


def _ready_after(facts, pool, told_so):
    """Readiness; of a pool with shared back-offs and account-wide refusals, from the last of the facts on.

    Which account-wide cooldown of the past stands there is then a matter of order. A release of one model is exempt: after
    it, what the back-off of that model would have excused of the whole account is charged.
    """
    known = [c for a in pool for s in a.runtime.models.values() for c in s.cooldowns if c.source == "upstream"]
    wide = any(isinstance(s, RateLimited) and s.account_wide for s in facts) or any(a.runtime.cooldowns for a in pool)
    ready = readiness(replay(pool, told_so))
    if not wide or not (known or any(isinstance(s, Throttled) for s in facts)):
        return ready
    assume(not any(isinstance(s, Released) and s.model is not None for s in facts))
    now = max(s.at for s in facts)
    return {key: max(at, now) for key, at in ready.items()}


@settings(max_examples=500)
@given(pools(), st.lists(explicit, min_size=2, max_size=7).flatmap(lambda f: st.tuples(st.just(f), st.permutations(f))))
def test_any_order_of_facts_with_explicit_delays_gives_the_same_readiness(pool, orders):
    """Exempt: what a success or a person says within one millisecond of other news, of which the later arrival stands.

    A hold and a release, a refusal and a success of the same instant contradict each other, and only their order says
    which one is meant.
    """
    facts, shuffled = orders
    assume(_without_contradictions(facts))
    assert _ready_after(facts, pool, facts) == _ready_after(facts, pool, shuffled)


@settings(max_examples=150)
@given(pools(most=4), st.lists(explicit, min_size=2, max_size=5), st.data())
def test_facts_that_two_processes_learned_meet_in_either_order(pool, facts, data):
    """Each replays its own over what the other wrote, in the order in which it learned them."""
    assume(_without_contradictions(facts))
    cut = data.draw(st.integers(0, len(facts)))
    mine, theirs = facts[:cut], facts[cut:]
    assert _ready_after(facts, pool, mine + theirs) == _ready_after(facts, pool, theirs + mine)


@given(pools(), instants, st.sampled_from([None, *MODELS]))
def test_partial_news_never_erases(pool, at, model):
    news = QuotaObserved("a", model, at, (Window("new one", 0.5, None),))
    before, after = _runtime(pool), _runtime(apply(pool, news))
    for was, now in [
        (before.windows, after.windows),
        *[(before.models[m].windows, after.models[m].windows) for m in before.models],
    ]:
        assert {w.name: w for w in was}.items() <= {w.name: w for w in now}.items()


def test_a_reading_without_a_reset_keeps_the_reset_and_one_without_a_rest_keeps_the_rest():
    pool = told(pool_of("a"), _reading(T0, 0.4, T0 + 900), _reading(T0 + 1, None, T0 + 1000), _reading(T0 + 2, 0.3))
    window = _runtime(pool).windows[0]
    assert (window.remaining_fraction, window.reset_time) == (0.3, T0 + 1000)
    assert (window.updated_at, window.reset_updated_at) == (T0 + 2, T0 + 1)


def test_parallel_429s_count_once_and_keep_the_later_deadline():
    pool = told(pool_of("a"), *[RateLimited("a", M, T0 + at, delay) for at, delay in [(0, 60.0), (1, 90.0), (2, 20.0)]])
    assert _state(pool).consecutive_429 == 1
    assert _ready_in(pool) == 91


def test_a_429_after_the_last_one_ended_counts_again():
    pool = told(pool_of("a"), RateLimited("a", M, T0, 60.0), RateLimited("a", M, T0 + 60, 60.0))
    assert _state(pool).consecutive_429 == 2


@pytest.mark.parametrize(
    ("source", "ended"), [("reset", True), ("default", True), ("retry-after", False), ("person", False)]
)
@pytest.mark.parametrize("model", [None, M])
def test_a_reading_with_quota_left_ends_a_guessed_cooldown_but_not_a_told_one(source, ended, model):
    cooldowns = (Cooldown(T0 + 500, T0, source),)
    runtime = (
        Runtime(cooldowns=cooldowns)
        if model is None
        else Runtime(models={M: _state(pool_of("a")).replace(cooldowns=cooldowns)})
    )
    pool = pool_of("a").with_runtime("a", runtime)
    assert _ready_in(told(pool, _reading(T0 + 1, 0.2, model=model))) == (-T0 if ended else 500)
    assert _ready_in(told(pool, _reading(T0 + 1, 0.2, model=model, refused=True))) == 500
    assert _ready_in(told(pool, _reading(T0 - 1, 0.2, model=model))) == 500
    assert _ready_in(told(pool, Succeeded("a", M, T0 + 1))) == -T0


def test_a_cooldown_learned_before_the_latest_success_is_ignored_and_one_learned_after_it_is_not():
    served = told(pool_of("a"), Succeeded("a", M, T0 + 10))
    for wide in (False, True):
        assert _ready_in(told(served, RateLimited("a", M, T0 + 9.999, 900.0, "retry-after", wide))) == -T0
        assert _ready_in(told(served, RateLimited("a", M, T0 + 10, 900.0, "retry-after", wide))) == 910


def test_of_a_success_and_a_refusal_of_one_instant_the_later_arrival_stands():
    served, limited = Succeeded("a", M, T0), RateLimited("a", M, T0, 900.0)
    assert _ready_in(told(pool_of("a"), served, limited)) == 900
    assert _ready_in(told(pool_of("a"), limited, served)) == -T0


def test_an_older_longer_cooldown_stands_again_when_only_the_newer_guess_is_ended():
    pool = told(
        pool_of("a"),
        RateLimited("a", M, T0, 50.0, "retry-after"),
        RateLimited("a", M, T0 + 1, 900.0, "reset"),
        _reading(T0 + 2, 0.5, model=M),
    )
    assert _ready_in(pool) == 50


def test_the_raw_delay_is_kept_and_the_clients_is_clamped():
    state = _state(told(pool_of("a"), RateLimited("a", M, T0, 256527.79)))
    assert (state.last_retry_delay_secs_raw, state.last_retry_delay_secs_client) == (256527.79, 300.0)
    assert state.cooldowns[0].until == pytest.approx(T0 + 256527.79)


def test_a_delay_of_nothing_still_cools_down_for_a_moment():
    assert _ready_in(told(pool_of("a"), RateLimited("a", M, T0, 0.0))) == POLICY.retry_delay_min


def _each_once_the_last_is_over(pool, count, make, name="a"):
    """How long each of several refusals cools down, when each comes as soon as the one before is over."""
    at, lengths = T0, []
    for _ in range(count):
        pool = told(pool, make(at))
        runtime = _runtime(pool, name)
        until = max(c.until for c in (*runtime.cooldowns, *[c for s in runtime.models.values() for c in s.cooldowns]))
        lengths.append(round(until - at, 3))
        at = until
    return lengths, pool


def test_429s_without_a_hint_climb_a_ladder_in_order_of_their_instants():
    lengths, _ = _each_once_the_last_is_over(pool_of("a"), 9, lambda at: RateLimited("a", M, at))
    assert lengths == [30, 60, 120, 240, 480, 960, 1800, 21600, 21600]


def test_5xx_climb_to_two_minutes_and_never_blacklist():
    lengths, pool = _each_once_the_last_is_over(pool_of("a"), 40, lambda at: ServerFailed("a", M, at))
    assert lengths[:7] == [3, 6, 12, 24, 48, 96, 120]
    assert set(lengths[6:]) == {120}
    assert pool.account("a").blocked_for_good(M) is None
    assert _ready_in(pool, "m-2") == -T0, "only the model that failed pauses"


def test_a_401_is_transient_until_it_is_the_tenth_in_a_row():
    lengths, pool = _each_once_the_last_is_over(pool_of("a"), 9, lambda at: AuthRefused("a", at, "expired"))
    assert lengths[:3] == [45, 76.5, 130.05]
    assert max(lengths) == 600
    assert not _runtime(pool).auth_failed
    last = told(pool, AuthRefused("a", _runtime(pool).cooldowns[0].until, "expired"))
    assert (_runtime(last).auth_failed, _runtime(last).blocked_reason, _ready_in(last)) == (True, "expired", NEVER)


def test_parallel_401s_are_one():
    pool = told(pool_of("a"), *[AuthRefused("a", T0 + n / 10, "expired") for n in range(30)])
    assert (_runtime(pool).consecutive_401, _runtime(pool).auth_failed) == (1, False)


def test_a_dead_token_is_known_at_once_and_a_success_between_two_401s_starts_anew():
    assert _runtime(told(pool_of("a"), AuthRefused("a", T0, "invalid_grant", final=True))).auth_failed
    pool = told(pool_of("a"), AuthRefused("a", T0, "x"), Succeeded("a", M, T0 + 50), AuthRefused("a", T0 + 60, "x"))
    assert _runtime(pool).consecutive_401 == 1


def test_the_policy_says_how_many_401s_are_too_many():
    pool = pool_of("a", policy=Policy(auth_failed_after=2))
    assert _runtime(_each_once_the_last_is_over(pool, 2, lambda at: AuthRefused("a", at, "x"))[1]).auth_failed


def test_the_third_403_in_a_row_restricts():
    lengths, pool = _each_once_the_last_is_over(pool_of("a"), 2, lambda at: Refused("a", None, at, "forbidden"))
    assert lengths == [600, 2400]
    assert not _runtime(pool).restricted
    third = told(pool, Refused("a", None, T0 + 90000, "forbidden"))
    assert third.account("a").blocked_for_good(M) == "restricted"


def test_a_403_about_one_model_never_restricts_the_account():
    lengths, pool = _each_once_the_last_is_over(pool_of("a"), 6, lambda at: Refused("a", M, at, "no access"))
    assert lengths[:4] == [600, 2400, 9600, 21600]
    assert pool.account("a").blocked_for_good(M) is None
    assert _ready_in(pool, "m-2") == -T0


@settings(max_examples=60)
@given(st.sampled_from(["banned", "restricted"]), st.sampled_from(MODELS))
def test_a_later_success_of_any_model_clears_hard_states(state, model):
    pool = told(pool_of("a"), Blocked("a", state, T0, "said so"), AuthRefused("a", T0, "dead", final=True))
    assert _ready_in(pool) == NEVER
    assert _ready_in(told(pool, Succeeded("a", model, T0 - 1))) == NEVER
    after = _runtime(told(pool, Succeeded("a", model, T0)))
    assert (after.banned, after.restricted, after.auth_failed, after.blocked_reason, after.blocked_at) == (
        (False, False, False, "", 0.0)
    )


BAD_DAY = (
    Blocked("a", "banned", T0, "said so"),
    AuthRefused("a", T0, "dead", final=True),
    RateLimited("a", M, T0, 90000.0, "retry-after", account_wide=True),
    RateLimited("a", M, T0, 90000.0),
    _reading(T0, 0.0, T0 + 90000),
    _reading(T0, 0.0, T0 + 90000, model=M),
    Probed("a", T0, Availability(ok=False, checked_at=T0)),
    Held("a", None, T0, None),
    Held("a", M, T0, None),
)


def test_a_shared_back_off_stands_for_what_was_refused_just_before_it_whichever_is_heard_first():
    refused = [RateLimited("a", M, T0 - 29, 900.0), RateLimited("a", M, T0, 60.0, account_wide=True)]
    refused += [RateLimited("a", M, T0 - 4), ServerFailed("a", M, T0 - 9, 700.0, overloaded=True)]
    shared = Throttled("a", M, T0, T0 + 5)
    for facts in ([*refused, shared], [shared, *refused], [*refused[:2], shared, *refused[2:]]):
        pool = told(pool_of("a"), *facts)
        assert (_ready_in(pool), _ready_in(pool, "m-2")) == (5, -T0)
        assert (_state(pool).consecutive_429, _runtime(pool).consecutive_failures) == (0, 0)
        assert _state(pool).cooldowns == (Cooldown(T0 + 5, T0, "upstream"),)


@pytest.mark.parametrize(
    ("own", "ready"),
    [
        (RateLimited("a", M, T0 - 31, 60.0), 29),
        (RateLimited("a", M, T0 - 1, 3601.0), 3600),
        (RateLimited("a", M, T0 - 1, 60.0, "reset"), 59),
        (RateLimited("a", M, T0 + 1, 60.0), 61),
        (AuthRefused("a", T0 - 1, "expired"), 44),
        (RateLimited("a", M, T0 - 1, 60.0, "reset", account_wide=True), 59),
        (Held("a", M, T0 - 1, T0 + 70), 70),
    ],
)
def test_a_shared_back_off_stands_for_nothing_that_is_the_accounts_own(own, ready):
    for facts in ([own, Throttled("a", M, T0, T0 + 5)], [Throttled("a", M, T0, T0 + 5), own]):
        assert _ready_in(told(pool_of("a"), *facts)) == ready


def test_refusals_that_are_excused_count_no_more_and_those_before_them_still_do():
    pool, at = pool_of("a"), T0 - 500
    for _ in range(3):
        pool = told(pool, RateLimited("a", M, at, 40.0))
        at += 100
    throttled = told(pool, RateLimited("a", M, T0, 40.0), Throttled("a", M, T0, T0))
    assert (_state(pool).consecutive_429, _state(throttled).consecutive_429) == (3, 3)
    assert _ready_in(throttled) == 0


def test_a_success_ends_a_shared_back_off_and_what_it_stood_for_stays_over():
    refused, shared, served = (
        RateLimited("a", M, T0 - 2, 900.0),
        Throttled("a", M, T0, T0 + 5),
        Succeeded("a", M, T0 + 1),
    )
    for facts in ((refused, shared, served), (shared, served, refused), (served, refused, shared)):
        assert _ready_in(told(pool_of("a"), *facts)) == -T0


def test_a_long_throttle_leaves_a_short_memory():
    pool = pool_of("a")
    for number in range(500):
        pool = told(
            pool, RateLimited("a", M, T0 + 32 * number), Throttled("a", M, T0 + 32 * number, T0 + 32 * number + 30)
        )
    assert len(_state(pool).cooldowns) == 8
    assert _state(pool).consecutive_429 == 0
    burst = told(pool_of("a"), *[RateLimited("a", M, T0 + n, 3000.0) for n in range(100)])
    assert len(_state(burst).cooldowns) == 8
    assert _ready_in(burst) == 3099


def test_a_release_clears_hard_states_holds_cooldowns_spent_windows_and_failed_probes():
    pool = told(pool_of("a"), *BAD_DAY, Released("a", None, T0 + 1))
    assert pool.account("a").ready_at(M, POLICY) == (0.0, None)
    assert _state(pool).consecutive_429 == _runtime(pool).consecutive_401 == 0
    assert _runtime(pool).windows[0].reset_time == T0 + 90000, "what was not about being spent is still known"


@given(st.permutations(BAD_DAY))
def test_nothing_from_before_a_release_blocks_after_it_however_late_it_arrives(late):
    pool = told(pool_of("a"), Released("a", None, T0 + 1), *late)
    assert pool.account("a").ready_at(M, POLICY)[0] == 0.0


def test_a_release_of_one_model_leaves_the_account_as_it_was():
    pool = told(pool_of("a"), RateLimited("a", M, T0, 60.0), Held("a", None, T0, T0 + 99), Released("a", M, T0 + 1))
    assert _state(pool).cooldowns == ()
    assert _ready_in(pool) == 99


def test_a_hold_after_a_release_of_the_same_instant_stands():
    pool = told(pool_of("a"), Held("a", None, T0, None), Released("a", None, T0), Held("a", None, T0, None))
    assert _ready_in(pool) == NEVER


def test_the_account_that_was_chosen_last_is_active_even_within_one_millisecond():
    pool = told(
        pool_of("a", "b"), Rotated("a", None, T0 + 0.0006, "best_score"), Rotated("b", "a", T0 + 0.0007, "best_score")
    )
    assert pool.active == "b"
    assert told(pool, Rotated("a", "b", T0 - 1, "best_score")).active == "b", (
        "older news of another process changes nothing"
    )


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4000)), max_size=40))
def test_sessions_stay_bounded_in_number_and_age(placed):
    policy = Policy(sessions_max=3, session_ttl=1000.0)
    pool = pool_of("a", policy=policy)
    newest = 0.0
    for key, after in sorted(placed, key=lambda each: each[1]):
        pool = told(pool, SessionPlaced("a", f"s-{key}", T0 + after))
        newest = T0 + after
        assert pool.account("a").runtime.sessions[f"s-{key}"] == newest
    sessions = _runtime(pool).sessions
    assert len(sessions) <= 3
    assert all(used > newest - 1000 for used in sessions.values())


@settings(max_examples=150)
@given(pools(), signals)
@example(told(pool_of("a"), Held("a", M, T0, None)), Released("a", None, T0 + 1))
def test_a_change_of_readiness_is_worth_an_early_write(pool, signal):
    """Exempt: a window with next to nothing left, and a success that overrides a failed probe; they can wait."""
    after = apply(pool, signal)
    before, now = _runtime(pool), _runtime(after)
    assume(not _nearly_spent(before) and not _nearly_spent(now))
    assume(before.availability is None or not isinstance(signal, Succeeded))
    a, b = pool.account("a"), after.account("a")
    if any(a.ready_at(model, POLICY) != b.ready_at(model, POLICY) for model in MODELS):
        assert significant(before, now, getattr(signal, "model", None))


def _nearly_spent(runtime):
    listed = [*runtime.windows, *[w for s in runtime.models.values() for w in s.windows]]
    return any(w.remaining_fraction is not None and 0 < w.remaining_fraction <= POLICY.exhausted_below for w in listed)


def test_what_changes_no_readiness_is_not_significant():
    pool = told(pool_of("a"), _reading(T0, 0.5, T0 + 60))
    for news in (Succeeded("a", M, T0 + 1), _reading(T0 + 1, 0.4), SessionPlaced("a", "s", T0 + 1)):
        after = apply(pool, news)
        assert not significant(_runtime(pool), _runtime(after), getattr(news, "model", None))
