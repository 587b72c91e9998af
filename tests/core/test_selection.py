"""The choice: who serves, who is parked until when, and that nothing but the facts decides."""

from __future__ import annotations

import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies_core import MODELS, NAMES, POLICY, T0, explicit, instants, pool_of, pools, signals, told

from rotator.core.homes import session_home
from rotator.core.policy import SELECTORS, Policy
from rotator.core.pool import Pool
from rotator.core.scorer import appraise
from rotator.core.selection import Parked, Selected, Unavailable, select
from rotator.core.signals import Held, Probed, QuotaObserved, RateLimited, Rotated, SessionPlaced, Succeeded
from rotator.core.state import NEVER, Account, Availability, Runtime, Window

M = "m-1"
policies = st.builds(Policy, selector=st.sampled_from(SELECTORS))
tag_sets = st.sampled_from([(), (), ("work",), ("work", "fast")])


def _reading(name, left, ahead, *, length=18000.0, at=T0, window="5h"):
    return QuotaObserved(name, None, at, (Window(window, left, at + ahead, length),))


def _name(pool, now=T0, **options):
    return select(pool, M, now=now, **options).account


def _taken(pool, now, reason="best_score", **options):
    """Who is chosen, and the pool in which that choice was taken."""
    name = _name(pool, now, **options)
    return name, told(pool, Rotated(name, pool.active, now, reason))


# Selected, parked, unavailable.


@settings(max_examples=150)
@given(pools(policies=policies), st.sampled_from(MODELS), instants, tag_sets)
def test_who_is_selected_is_ready_and_bears_the_tags(pool, model, now, tags):
    outcome = select(pool, model, now=now, tags=tags)
    if isinstance(outcome, Selected):
        chosen = pool.account(outcome.account)
        assert set(tags) <= set(chosen.tags)
        assert chosen.ready_at(model, POLICY, probes=False)[0] <= now
        heeded = [a for a in pool if set(tags) <= set(a.tags) and a.ready_at(model, POLICY)[0] <= now]
        assert chosen in heeded or not heeded, "a failed probe is disregarded only when that leaves nobody"
        best = min(appraise(a, model, now, -(-now // 1), POLICY).tier for a in heeded or [chosen])
        assert appraise(chosen, model, now, -(-now // 1), POLICY).tier == best


@settings(max_examples=250)
@given(pools(facts=explicit, policies=policies), st.sampled_from(MODELS), instants, st.floats(0.0, 1.0), tag_sets)
def test_a_parked_pool_has_somebody_ready_exactly_at_its_wake_time_and_nobody_before(pool, model, now, more, tags):
    outcome = select(pool, model, now=now + more, tags=tags)
    considered = [a for a in pool if set(tags) <= set(a.tags)]
    soonest = min([a.ready_at(model, POLICY, probes=False)[0] for a in considered], default=NEVER)
    assert isinstance(outcome, Unavailable) == (soonest == NEVER)
    assert isinstance(outcome, Selected) == (soonest <= now + more)
    if isinstance(outcome, Parked):
        wake_at = outcome.wake_at.timestamp()
        assert isinstance(select(pool, model, now=wake_at, tags=tags), Selected)
        assert isinstance(select(pool, model, now=max(wake_at - 0.002, now + more), tags=tags), Parked)


@given(st.floats(T0, T0 + 1e6), st.floats(0.0, 1e5))
def test_the_wake_time_is_never_before_the_instant_that_it_stands_for(seen_at, cooldown):
    """Instants of a document are whole milliseconds; a person's policy and a simulation may know finer ones."""
    policy = Policy(default_cooldown=cooldown)
    account = Account("a", runtime=Runtime(windows=(Window("5h", 0.0, updated_at=seen_at),)))
    outcome = select(pool_of(account, policy=policy), M, now=T0 - 1)
    assert isinstance(select(pool_of(account, policy=policy), M, now=outcome.wake_at.timestamp()), Selected)


def test_nobody_at_all_is_unavailable():
    assert isinstance(select(pool_of(), M, now=T0), Unavailable)
    assert isinstance(select(pool_of("a"), M, now=T0, tags=("x",)), Unavailable)


@settings(max_examples=100)
@given(pools(policies=policies), instants, st.randoms(use_true_random=False), tag_sets)
def test_the_choice_is_the_same_each_time_and_whatever_the_order_of_dicts(pool, now, luck, tags):
    def shuffled(mapping):
        keys = list(mapping)
        luck.shuffle(keys)
        return {key: mapping[key] for key in keys}

    other = pool
    for account in pool:
        runtime = account.runtime
        mixed = runtime.replace(models=shuffled(runtime.models), sessions=shuffled(runtime.sessions))
        other = other.with_runtime(account.name, mixed.replace(rev=0)).with_active(pool.active)
    for session in (None, "s-1"):
        one, two = (select(p, M, now=now, tags=tags, session=session) for p in (pool, other))
        assert (one.outcome, one.account, one.selection_reason, one.wake_at, one.explanation) == (
            (two.outcome, two.account, two.selection_reason, two.wake_at, two.explanation)
        )
        assert one.candidates == two.candidates


@settings(max_examples=100)
@given(pools(policies=policies), instants)
def test_a_question_changes_nothing(pool, now):
    before = repr(list(pool)), pool.active
    outcome = select(pool, M, now=now)
    assert outcome.candidates is not None
    assert repr(outcome)
    assert (repr(list(pool)), pool.active) == before


# Switching.


def _usable(pool, now):
    """Whether what is known of some ready account of the best tier may steer the choice."""
    seen = [appraise(a, M, now, -(-now // 1), POLICY) for a in pool]
    ready = [s for s in seen if s.blocked_by is None]
    return any(s.usable for s in ready if s.tier == min(r.tier for r in ready))


@settings(max_examples=150)
@given(pools(facts=explicit), st.integers(0, 60), st.lists(st.floats(0.0, 0.999), min_size=2, max_size=5))
def test_frozen_inputs_give_at_most_one_switch(pool, second, later):
    """At one instant and at later ones of the same second; frozen means that nobody's wait ends in between."""
    start = T0 + second + 0.001
    pool = told(pool, *[Succeeded(name, M, T0 - 5) for name in NAMES])
    assume(_usable(pool, start))
    waits = [a.ready_at(M, POLICY, probes=p)[0] for a in pool for p in (True, False)]
    assume(not any(start < w <= start + 1 for w in waits))
    switches = 0
    for now in [start, start, *sorted(start + s for s in later)]:
        name, after = _taken(pool, now)
        switches += pool.active != name
        pool = after
    assert switches <= 1


def test_a_challenger_must_beat_the_active_account_by_more_than_the_margin():
    pool = pool_of("a", "b", active="a", policy=Policy(hysteresis=0.05, price_floor=0.0))
    for left, chosen in [(0.5, "a"), (0.55, "a"), (0.6, "a"), (0.7, "b")]:
        outcome = select(told(pool, _reading("a", 0.5, 9000), _reading("b", left, 9000)), M, now=T0)
        assert (outcome.account, outcome.switched) == (chosen, chosen == "b")
        assert outcome.selection_reason == ("best_score" if chosen == "b" or left == 0.5 else "hysteresis")


def _random_day(seed):
    """Three to six accounts with windows in every phase, some refused; and how many of those things end in a day."""
    luck = random.Random(seed)
    names, facts, ends = [f"n{i}" for i in range(luck.choice([3, 4, 6]))], [], 0
    for name in names:
        for window, length in (("5h", 18000.0), ("7d", 604800.0), ("requests", 60.0)):
            if luck.random() < 0.8:
                ahead = luck.random() * length
                ends += ahead < 86400
                facts.append(
                    _reading(
                        name, luck.choice([luck.random(), luck.random() ** 3, 1.0]), ahead, length=length, window=window
                    )
                )
        if luck.random() < 0.5:
            facts.append(Succeeded(name, M, T0 - luck.random() * 600))
        if luck.random() < 0.3:
            ends += 1
            facts.append(RateLimited(name, M, T0 - luck.random() * 100, luck.random() * 20000))
    return told(pool_of(*names), *facts), ends


@pytest.mark.parametrize("seed", range(40))
def test_a_day_without_news_brings_no_more_switches_than_accounts_and_ends(seed):
    """A switch needs two curves to cross by the margin, and curves bend only where a window or a cooldown ends."""
    pool, ends = _random_day(seed)
    switches = 0
    for minute in range(0, 1380, 5):
        name, after = _taken(pool, T0 + 60 * minute)
        switches += name is not None and name != pool.active
        pool = after if name is not None else pool
    assert switches <= len(pool) + ends


# What the score sees.


@pytest.mark.parametrize("length", [18000.0, 604800.0])
def test_a_long_window_that_is_soon_reset_is_spent_first(length):
    pool = told(
        pool_of("a", "b"),
        _reading("a", 0.5, length * 0.9, length=length),
        _reading("b", 0.5, length * 0.1, length=length),
    )
    assert _name(pool) == "b"


def test_the_week_counts_as_well_as_the_five_hours():
    same = [_reading(name, 0.5, 9000) for name in "ab"]
    week = [
        _reading(name, 0.5, ahead, length=604800.0, window="7d") for name, ahead in [("a", 590000.0), ("b", 60000.0)]
    ]
    assert _name(told(pool_of("a", "b"), *same, *week)) == "b"


def test_a_known_working_account_is_preferred_to_one_that_just_failed():
    pool = told(pool_of("a", "b"), RateLimited("a", M, T0 - 60, 5.0), Succeeded("b", M, T0 - 60))
    assert _name(pool) == "b"


# Tiers.


def test_tiers_come_in_order_priority_reserve_emergency():
    spare = Account("spare", emergency=True)
    pool = told(pool_of(spare, Account("low"), Account("second", priority=1), "first"), _reading("low", 0.02, 900))
    for chosen, reason in [("first", "priority"), ("low", "priority"), ("second", "priority"), ("spare", "emergency")]:
        outcome = select(pool, M, now=T0)
        assert (outcome.account, outcome.selection_reason, outcome.emergency) == (chosen, reason, chosen == "spare")
        pool = told(pool, Held(chosen, None, T0, None))
    assert isinstance(select(pool, M, now=T0), Unavailable)


def test_an_own_reserve_outweighs_the_policys():
    careless = Account("careless", min_remaining=0.0)
    pool = told(pool_of("careful", careless), _reading("careful", 0.03, 900), _reading("careless", 0.02, 9000))
    assert _name(pool) == "careless"


def test_no_reserve_is_kept_of_what_would_be_left_over_at_the_reset():
    other = _reading("b", 0.5, 9000)
    for ahead, chosen in [(900, "b"), (541, "b"), (539, "a"), (60, "a")]:
        assert _name(told(pool_of("a", "b"), _reading("a", 0.03, ahead), other)) == chosen


def test_an_active_account_of_a_worse_tier_is_left():
    pool = told(pool_of("a", Account("b", priority=1), active="b"), _reading("a", 0.3, 9000), _reading("b", 1.0, 60))
    assert _name(pool) == "a"


# Round-robin.


def _turn(pool, now):
    """The rule as written: of the ready accounts of the lowest tier the next after the active one in file order."""
    seen = [(a.name, appraise(a, M, now, now, POLICY)) for a in pool]
    ready = [(name, s.tier) for name, s in seen if s.blocked_by is None]
    lowest = [name for name, tier in ready if tier == min(t for _, t in ready)]
    order = [a.name for a in pool]
    begin = 0 if pool.active is None else order.index(pool.active) + 1
    return next(name for name in order[begin:] + order[:begin] if name in lowest)


@settings(max_examples=150)
@given(
    pools(facts=st.builds(Held, st.sampled_from(NAMES), st.none() | st.just(M), instants, st.none() | instants)),
    st.sampled_from([("score", 0.0), ("score", 90000.0), ("round_robin", 0.0), ("shadow", 0.0)]),
    st.lists(st.tuples(st.sampled_from(NAMES), st.booleans()), max_size=8),
)
def test_without_usable_runtime_turns_are_taken_exactly(pool, selector, comings):
    """With the selector ``score`` because nothing, or nothing younger than a day, is known; with the others always."""
    word, age = selector
    pool = Pool(list(pool), pool.active, Policy(selector=word))
    if age or word != "score":
        pool = told(pool, *[Succeeded(name, M, T0 - age) for name in NAMES])
    for n, (name, goes) in enumerate([("a", False), *comings]):
        now = T0 + 100000 + n
        changed = pool.account(name).runtime.replace(held=goes, held_until=None)
        pool = pool.with_runtime(name, changed)
        if word != "score":
            pool = told(pool, *[Succeeded(each, M, now) for each in NAMES])
        if any(a.ready_at(M, POLICY)[0] <= now for a in pool):
            expected = _turn(pool, now)
            chosen, pool = _taken(pool, now)
            assert chosen == expected


@given(st.lists(st.sets(st.sampled_from("bd")), min_size=4, max_size=30))
def test_accounts_that_come_and_go_make_nobody_else_skip_or_repeat_a_turn(absent):
    pool, turns = pool_of(*"abcde"), []
    for n, away in enumerate(absent):
        for name in "bd":
            pool = pool.with_runtime(name, Runtime(held=name in away))
        chosen, pool = _taken(pool, T0 + n)
        turns.append(chosen)
    steady = [name for name in turns if name in "ace"]
    assert steady == [("ace" * len(steady))[i] for i in range(len(steady))]


def test_an_account_that_is_not_ready_never_takes_a_turn():
    pool = told(pool_of("a", "b", "c", active="a"), Held("b", None, T0, T0 + 60))
    assert _name(pool) == "c"


# Chain and shadow.


def test_a_chain_rides_each_account_down_to_its_reserve_then_the_fullest_then_the_emergency():
    spare = Account("spare", emergency=True)
    pool = told(
        pool_of(spare, "a", "b", policy=Policy(selector="chain")), _reading("a", 0.1, 900), _reading("b", 1.0, 60)
    )
    ridden = []
    for spent in [None, ("a", 0.03), ("b", 0.04), ("b", 0.02), ("a", 0.0), ("b", 0.0)]:
        if spent is not None:
            name, left = spent
            pool = told(pool, _reading(name, left, 900, at=T0 + len(ridden)))
        outcome = select(pool, M, now=T0 + len(ridden))
        ridden.append(outcome.account)
    assert ridden == ["a", "b", "b", "a", "b", "spare"]


def test_a_chain_stays_with_the_first_ready_account_whatever_is_active_or_scores_better():
    policy = Policy(selector="chain")
    pool = told(pool_of("a", "b", "c", active="c", policy=policy), _reading("a", 0.2, 18000), _reading("b", 1.0, 60))
    assert (_name(pool), select(pool, M, now=T0).selection_reason) == ("a", "chain")


@settings(max_examples=100)
@given(pools(), st.integers(0, 90))
def test_a_shadow_rotates_and_names_what_the_score_would_have_picked(pool, second):
    now = T0 + second
    pool = told(pool, *[Succeeded(name, M, T0 - 5) for name in NAMES])
    assume(_usable(pool, now))
    shadow = select(Pool(list(pool), pool.active, Policy(selector="shadow")), M, now=now)
    turn = select(Pool(list(pool), pool.active, Policy(selector="round_robin")), M, now=now)
    assert (shadow.account, shadow.shadow) == (turn.account, _name(pool, now))
    assert turn.shadow is None


# Sessions.


def test_a_session_stays_on_its_account_though_another_scores_better():
    pool = told(
        pool_of("a", "b", active="b"),
        _reading("a", 0.2, 18000),
        _reading("b", 1.0, 60),
        SessionPlaced("a", "chat", T0 - 9),
    )
    outcome = select(pool, M, now=T0, session="chat")
    assert (outcome.account, outcome.selection_reason) == ("a", "sticky_session")
    assert _name(pool, session="another") == _name(pool) == "b"


def test_a_session_moves_once_and_does_not_come_back():
    pool = told(pool_of("a", "b"), SessionPlaced("a", "chat", T0), RateLimited("a", M, T0, 60.0))
    assert _name(pool, T0 + 1, session="chat") == "b"
    moved = told(pool, SessionPlaced("b", "chat", T0 + 1))
    assert [_name(moved, T0 + t, session="chat") for t in (30, 60, 61, 3600)] == ["b"] * 4


def test_a_session_leaves_a_worse_tier_and_is_forgotten_after_its_time():
    pool = told(pool_of("a", Account("b", priority=1), "c"), SessionPlaced("b", "chat", T0))
    assert _name(pool, session="chat") != "b"
    pool = told(pool_of("a", "b"), SessionPlaced("b", "chat", T0), _reading("a", 1.0, 4000), _reading("b", 0.3, 18000))
    ttl = POLICY.session_ttl
    assert (session_home(pool, "chat", T0 + ttl - 1), session_home(pool, "chat", T0 + ttl)) == (1, None)
    assert [_name(pool, T0 + t, session="chat") for t in (ttl - 1, ttl)] == ["b", "a"]


def test_a_session_stays_even_where_every_probe_failed():
    failed = [Probed(name, T0, Availability(ok=False, checked_at=T0)) for name in "ab"]
    pool = told(pool_of("a", "b"), *failed, SessionPlaced("b", "chat", T0))
    outcome = select(pool, M, now=T0 + 1, session="chat")
    assert (outcome.account, outcome.selection_reason) == ("b", "sticky_session")
    assert all(c.ready for c in outcome.candidates)


# Leases.


@pytest.mark.parametrize(
    ("news", "word"),
    [(_reading("a", 0.01, 900), "quota"), (RateLimited("a", M, T0 - 60, 1.0), "cooldown")],
    ids=["near a limit", "after a refusal"],
)
def test_a_guarded_account_lets_one_request_in_at_a_time(news, word):
    pool = told(pool_of("a"), news)
    assert _name(pool) == "a"
    parked = select(pool, M, now=T0, in_flight={"a": 1})
    assert isinstance(parked, Parked)
    assert parked.wake_at.timestamp() == pytest.approx(T0 + POLICY.guard_wait, abs=1e-5)
    assert parked.candidates[0].blocked_by == word
    assert _name(told(pool_of("a", Account("b", priority=9)), news), in_flight={"a": 1}) == "b"
    healthy = told(pool_of("a"), _reading("a", 0.5, 900), Succeeded("a", M, T0))
    assert _name(healthy, in_flight={"a": 7}) == "a"


def test_requests_in_flight_spread_a_burst():
    pool, flying = told(pool_of("a", "b", policy=Policy(hysteresis=0.0)), *[_reading(n, 0.5, 9000) for n in "ab"]), {}
    for _ in range(10):
        name = _name(pool, in_flight=flying)
        flying[name] = flying.get(name, 0) + 1
    assert flying == {"a": 5, "b": 5}


# Candidates.


@settings(max_examples=100)
@given(pools(facts=signals, policies=policies), instants, tag_sets)
def test_every_considered_account_is_a_candidate_and_says_why(pool, now, tags):
    outcome = select(pool, M, now=now, tags=tags)
    found = outcome.candidates
    assert [c.account for c in found] == [a.name for a in pool if set(tags) <= set(a.tags)]
    by_name = {c.account: c for c in found}
    for c in found:
        assert c.ready == (c.blocked_by is None)
        assert c.ready_at is None or c.ready_at >= outcome.decided_at
        assert not c.ready or c.ready_at == outcome.decided_at
        if c.account == outcome.account:
            assert c.selection_reason == outcome.selection_reason
            assert c.ready
        elif not c.ready:
            assert c.selection_reason == c.blocked_by
        elif outcome.account is not None:
            worse = c.tier > by_name[outcome.account].tier
            assert c.selection_reason == ("lower_tier" if worse else "lower_score")
    if isinstance(outcome, Parked):
        assert not any(c.ready for c in found)
        assert min(c.ready_at for c in found if c.ready_at is not None) == outcome.wake_at
