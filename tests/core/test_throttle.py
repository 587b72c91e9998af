"""Whose doing a refusal is: told from the accounts alone, whichever process learned it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_core import NAMES, T0, pools, signals, told
from strategies_core import pool_of as any_pool_of

from rotator.core.policy import Policy
from rotator.core.signals import (
    AuthRefused,
    Blocked,
    QuotaObserved,
    RateLimited,
    Refused,
    ServerFailed,
    Succeeded,
    Throttled,
)
from rotator.core.state import Account, Window
from rotator.core.throttle import Throttle, let_through, throttles, verdict
from rotator.core.transitions import apply

M = "m-1"
G = "google-cloudcode"


TWO = Policy(throttle_witnesses=2)


def pool_of(*accounts, policy=TWO, **parts):
    """A pool in which two accounts that are refused alike are enough."""
    return any_pool_of(*accounts, policy=policy, **parts)


def of(name, **parts):
    return Account(name, **{"provider": G, **parts})


TRIO = (of("a"), of("b"), of("c"))


def limited(name, at, delay=None, **parts):
    return RateLimited(name, M, T0 + at, delay, **parts)


def overloaded(name, at, delay=None):
    return ServerFailed(name, M, T0 + at, delay, overloaded=True)


def heard(pool, *facts):
    """The pool after facts, each with what it shows, and what the last one showed."""
    shown = ()
    for fact in facts:
        pool = apply(pool, fact)
        shown = verdict(pool, fact)
        pool = told(pool, *shown)
    return pool, shown


def ready_in(pool, name, model=M):
    return max(pool.account(name).ready_at(model, pool.policy)[0] - T0, 0.0)


SAME_REFUSALS = {
    "no delay": (limited("a", 0), limited("b", 2)),
    "short delays": (limited("a", 0, 20.0), limited("b", 2, 40.0)),
    "an hour": (limited("a", 0, 3600.0), limited("b", 2, 3600.0)),
    "overloads": (overloaded("a", 0), overloaded("b", 2, 9.0)),
    "one of each": (overloaded("a", 0), limited("b", 2)),
    "account-wide": (limited("a", 0, account_wide=True), limited("b", 2, 9.0, account_wide=True)),
    "the longest that seconds can be": (limited("a", 0), limited("b", 30)),
    "in one instant": (limited("a", 2), limited("b", 2)),
    "heard in the other order": (limited("b", 2), limited("a", 0)),
}


@pytest.mark.parametrize("facts", SAME_REFUSALS.values(), ids=SAME_REFUSALS)
def test_two_accounts_that_are_refused_alike_within_seconds_are_not_charged(facts):
    pool, shown = heard(pool_of(*TRIO), *facts)
    assert [type(fact) for fact in shown] == [Throttled] * 3
    assert shown[0].account == facts[-1].account
    assert len({(fact.at, fact.until) for fact in shown}) == 1
    latest = max(fact.at for fact in facts)
    for account in pool:
        state = account.state(M)
        assert latest + 5 <= account.ready_at(M, pool.policy)[0] <= latest + 30
        assert (account.runtime.cooldowns, [c.source for c in state.cooldowns]) == ((), ["upstream"])
        assert (state.consecutive_429, account.runtime.consecutive_failures) == (0, 0)


OWN = {
    "one account again and again": (limited("a", 0, 1.0), limited("a", 2, 1.0), limited("a", 4, 1.0)),
    "too far apart": (limited("a", 0), limited("b", 30.001)),
    "another model": (limited("a", 0), RateLimited("b", "m-2", T0 + 2)),
    "somebody served since": (limited("a", 0), Succeeded("c", M, T0 + 1), limited("b", 2)),
    "the refused one served since": (limited("a", 0, 1.0), Succeeded("a", M, T0 + 1), limited("b", 2)),
    "long delays": (limited("a", 0, 7200.0), limited("b", 2, 7200.0)),
    "one long delay": (limited("a", 0, 7200.0), limited("b", 2, 5.0)),
    "the other long delay": (limited("a", 0, 5.0), limited("b", 2, 7200.0)),
    "resets": (limited("a", 0, 60.0, source="reset"), limited("b", 2, 60.0, source="reset")),
    "one reset": (limited("a", 0, 60.0, source="reset"), limited("b", 2)),
    "spent quotas": (limited("a", 0, 60.0, exhausted=True), limited("b", 2, 60.0, exhausted=True)),
    "failures": (ServerFailed("a", M, T0), ServerFailed("b", M, T0 + 2)),
    "a failure and an overload": (ServerFailed("a", M, T0), overloaded("b", 2)),
    "a 401": (AuthRefused("a", T0, "expired"), limited("b", 2)),
    "a 403 of the model": (Refused("a", M, T0, "no access"), limited("b", 2)),
    "what was released": (limited("a", 0), limited("gone", 2)),
}


@pytest.mark.parametrize("facts", OWN.values(), ids=OWN)
def test_it_is_no_throttle(facts):
    pool, shown = heard(pool_of(*TRIO), *facts)
    assert shown == ()
    assert pool == told(pool_of(*TRIO), *facts)


def test_only_refusals_since_the_last_success_count():
    pool, _ = heard(pool_of(*TRIO), limited("a", 0, 50.0), Succeeded("c", M, T0 + 1), limited("b", 2, 50.0))
    pool, shown = heard(pool, limited("c", 3, 50.0))
    assert {fact.account for fact in shown} == {"a", "b", "c"}


@pytest.mark.parametrize(
    "accounts",
    [
        (of("a"), of("b", provider="codex"), of("c", provider="codex")),
        (of("a", quota_group="org"), of("b", quota_group="org"), of("c")),
        (of("a"),),
    ],
    ids=["two providers", "one quota group", "alone"],
)
def test_one_witness_of_a_provider_is_none(accounts):
    names = {account.name for account in accounts}
    facts = [fact for fact in (limited("a", 0), limited("b", 2), limited("a", 40)) if fact.account in names]
    assert heard(pool_of(*accounts), *facts)[1] == ()


@pytest.mark.parametrize("model", [None, M])
@pytest.mark.parametrize(("left", "reset", "throttled"), [(0.0, 900, False), (0.0, 1, True), (0.3, 900, True)])
def test_a_window_that_is_spent_explains_a_refusal_until_its_reset(model, left, reset, throttled):
    window = (Window("5h", left, T0 + reset, 18000.0),)
    for name in ("a", "b"):
        reading = QuotaObserved(name, model, T0 - 1, window, with_refusal=True)
        facts = [limited("a", 2), limited("b", 4)]
        assert bool(heard(told(pool_of(*TRIO), reading), *facts)[1]) is throttled


@pytest.mark.parametrize(
    ("delays", "secs"),
    [((None, None), 5), ((1.0, 3.0), 5), ((8.0, None), 8), ((20.0, 12.0), 12), ((900.0, 890.0), 30)],
)
def test_the_first_back_off_is_no_shorter_than_the_shortest_delay_that_was_told(delays, secs):
    pool, _ = heard(pool_of(*TRIO), limited("a", 0, delays[0]), limited("b", 2, delays[1]))
    assert [ready_in(pool, name) for name in "abc"] == [2 + secs] * 3


def test_each_refused_probe_renews_the_back_off_up_to_half_a_minute():
    pool, _ = heard(pool_of(*TRIO), limited("a", 0), limited("b", 2))
    at, waits = 2.0, []
    for _ in range(7):
        waits.append(ready_in(pool, "a") - at)
        at = ready_in(pool, "a") + 1
        pool, _ = heard(pool, limited("c", at))
        assert pool.account("c").state(M).consecutive_429 == 0
    assert waits == pytest.approx([5, 7.5, 11.25, 16.875, 25.3125, 30, 30], abs=0.002)


def test_refusals_of_requests_that_were_on_their_way_neither_charge_nor_renew():
    pool, _ = heard(pool_of(*TRIO), limited("a", 0), limited("b", 2))
    for at in (3, 4, 6.9):
        pool, shown = heard(pool, limited("c", at, 50.0))
        assert [(fact.account, fact.until) for fact in shown] == [("c", T0 + 7)]
    assert [ready_in(pool, name) for name in "abc"] == [7] * 3
    pool, shown = heard(pool, limited("a", 8))
    assert shown[0].until == T0 + 15.5


def test_a_throttle_that_nobody_asked_about_for_long_is_forgotten():
    pool, _ = heard(pool_of(*TRIO), limited("a", 0), limited("b", 2))
    assert heard(pool, limited("c", 37))[1] != ()
    assert heard(pool, limited("c", 37.001))[1] == ()


@pytest.mark.parametrize(
    "end",
    [
        Succeeded("c", M, T0 + 8),
        Succeeded("a", M, T0 + 3),
        limited("c", 8, 9000.0),
        limited("c", 8, 60.0, source="reset"),
        AuthRefused("c", T0 + 8, "expired"),
        Blocked("c", "restricted", T0 + 8, "said so"),
    ],
    ids=["a success", "an early one", "a long delay", "a reset", "a 401", "a hard state"],
)
def test_it_ends_when_the_provider_answers_somebody_for_himself(end):
    pool, _ = heard(pool_of(*TRIO), limited("a", 0), limited("b", 2))
    assert throttles(pool, M, pool.policy)[G].over_at == 0
    pool, _ = heard(pool, end)
    assert throttles(pool, M, pool.policy)[G] == Throttle(T0 + 2, T0 + 7, 5, end.at)
    after, shown = heard(pool, limited("b", 9))
    assert (shown, after.account("b").state(M).consecutive_429) == ((), 1)


def test_it_has_ended_for_the_account_that_was_served_too():
    pool, _ = heard(pool_of(*TRIO), limited("a", 0), limited("b", 2), Succeeded("c", M, T0 + 8))
    assert heard(pool, limited("c", 9))[1] == ()


def test_what_was_excused_is_no_answer():
    pool, _ = heard(pool_of(*TRIO), limited("a", 0), limited("b", 2))
    pool = told(pool, limited("c", 8), Throttled("c", M, T0 + 8, T0 + 8))
    assert throttles(pool, M, pool.policy)[G].over_at == 0


def test_a_failure_is_no_answer():
    pool, _ = heard(pool_of(*TRIO), limited("a", 0), limited("b", 2))
    pool, _ = heard(pool, ServerFailed("c", M, T0 + 8))
    assert throttles(pool, M, pool.policy)[G].over_at == 0


def test_only_accounts_of_the_provider_that_serve_the_model_back_off_one_fact_for_a_quota_group():
    listed = [*TRIO[:2], of("d", models=("other",)), of("e", provider="codex")]
    listed += [of("f", quota_group="org", enabled=False), of("g", quota_group="org")]
    _, shown = heard(pool_of(*listed), limited("a", 0), limited("b", 2))
    assert [fact.account for fact in shown] == ["b", "a", "f"]


BUSY = (Succeeded("d", M, T0 + 1.5), Succeeded("d", M, T0 + 2.5), Succeeded("d", M, T0 + 3.5))
FOUR = (*TRIO, of("d"), of("e", provider="codex"), of("f", quota_group="org"), of("g", quota_group="org"))


def _asked_in_turn(*names, delay=None):
    """What the last of several accounts shows, that refuse one request in turn while another one serves others."""
    pool = pool_of(*FOUR)
    for number, name in enumerate(names):
        pool = told(pool, limited(name, number, delay), Succeeded("d", M, T0 + number + 0.5))
        shown = verdict(pool, limited(name, number, delay), names[:number])
    return told(pool, *shown), shown


def test_a_request_that_three_accounts_refuse_while_others_are_served_is_to_blame():
    pool, shown = _asked_in_turn("a", "b", "c", delay=60.0)
    assert sorted(fact.account for fact in shown) == ["a", "b", "c"]
    assert {(fact.at, fact.until) for fact in shown} == {(T0 + 2, T0 + 2)}
    assert [ready_in(pool, name) for name in "abc"] == [2, 2, 2]
    assert {pool.account(name).state(M).consecutive_429 for name in "abc"} == {0}
    assert throttles(pool, M, pool.policy) == {}


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "e"), ("a", "f", "g"), ("a", "b", "b")])
def test_fewer_than_three_witnesses_do_not_blame_a_request(names):
    assert _asked_in_turn(*names)[1] == ()


SPENT = QuotaObserved("b", None, T0 + 1, (Window("5h", 0.0, T0 + 900, 18000.0),), with_refusal=True)


@pytest.mark.parametrize(
    "own",
    [
        (limited("b", 1, 9000.0),),
        (limited("b", 1, 60.0, source="reset"),),
        (limited("b", -40),),
        (SPENT, limited("b", 1)),
    ],
    ids=["a long delay", "a reset", "long ago", "a spent window"],
)
def test_a_refusal_of_another_kind_is_no_witness_against_a_request(own):
    pool = told(pool_of(*FOUR), limited("a", 0), *own, limited("c", 2), *BUSY)
    assert verdict(pool, limited("c", 2), ("a", "b")) == ()


def test_a_request_that_was_to_blame_is_no_evidence_of_a_throttle():
    pool, _ = _asked_in_turn("a", "b", "c")
    quiet = told(pool, limited("d", 4))
    assert verdict(quiet, limited("d", 4)) == ()


@pytest.mark.parametrize(
    ("after", "most"), [(-30, 1), (5, 1), (35, 1), (35.5, None)], ids=["before", "at its end", "at last", "forgotten"]
)
def test_one_request_at_a_time_finds_out_whether_a_throttle_is_over(after, most):
    assert let_through(Throttle(T0, T0 + 5, 5.0), T0 + after, Policy()) == most


def test_after_a_throttle_the_requests_double_until_they_bind_nobody():
    over = Throttle(T0, T0 + 5, 5.0, T0 + 6)
    most = [let_through(over, T0 + 6 + secs / 2, Policy()) for secs in range(21)]
    assert most == [2 ** (secs // 2) for secs in range(20)] + [None]
    assert let_through(over, T0 + 5.9, Policy()) == 1
    assert let_through(over, T0 + 6, Policy(throttle_ramp=0.0)) is None


@settings(max_examples=150)
@given(pools(), st.lists(signals, max_size=6), st.lists(st.sampled_from([*NAMES, "gone"]), max_size=3))
def test_what_is_shown_charges_nobody_and_is_shown_once(pool, facts, before):
    for fact in facts:
        pool = apply(pool, fact)
        shown = verdict(pool, fact, before)
        after = told(pool, *shown)
        assert told(after, *shown) == after
        for throttled in shown:
            was, now = pool.account(throttled.account).state(M), after.account(throttled.account).state(M)
            assert now.consecutive_429 <= was.consecutive_429
            assert throttled.at <= throttled.until <= throttled.at + pool.policy.throttle_backoff_max
        pool = after


def test_numbers_that_are_none_show_nothing_and_break_nothing():
    pool = told(pool_of(*TRIO), limited("a", 0))
    for news in (limited("b", float("nan")), limited("b", 1, float("nan")), limited("b", 1, -5.0), limited("b", 1e300)):
        verdict(apply(pool, news), news)


@pytest.mark.parametrize(
    ("accounts", "delays", "found"),
    [
        (3, (None, None), False),
        (3, (None, None, None), True),
        (2, (None, None), True),
        (2, (60.0, 60.0), False),
        (3, (60.0, 60.0), False),
        (3, (60.0, 58.0, 59.0), True),
        (3, (60.0, 60.0, 240.0), False),
        (3, (60.0, 60.0, None), False),
        (3, (9.0, 8.0, None), True),
    ],
)
def test_it_takes_three_that_are_refused_alike_or_both_of_two_without_a_delay(accounts, delays, found):
    pool = any_pool_of(*TRIO[:accounts])
    refusals = [limited(account.name, at, delay) for at, (account, delay) in enumerate(zip(TRIO, delays, strict=False))]
    _, shown = heard(pool, *refusals)
    assert bool(shown) == found
