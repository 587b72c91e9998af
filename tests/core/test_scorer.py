"""What an account is worth: a plain sum of named terms, each within the bounds that the policy sets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_core import MODELS, POLICY, T0, instants, pool_of, pools, told

from rotator.core.policy import Policy
from rotator.core.scorer import TERMS, Score, appraise, confidence, remaining, score_of
from rotator.core.signals import QuotaObserved, RateLimited, Refused, ServerFailed, Succeeded
from rotator.core.state import Account, ModelState, Runtime, Window

M = "m-1"
weights = st.floats(0.0, 5.0)
policies = st.builds(
    Policy,
    weight_ready_now=weights,
    weight_remaining=weights,
    price_floor=st.floats(0.0, 1.0),
    price_unknown=st.floats(0.0, 1.0),
    price_closed=st.floats(0.0, 1.0),
    wait_unit=st.floats(0.001, 1e4),
    wait_max=weights,
    weight_consecutive_429=weights,
    error_half_life=st.floats(0.001, 1e5),
    weight_staleness=weights,
    confidence_half_life=st.floats(0.001, 1e5),
    weight_recent_success=weights,
    success_half_life=st.floats(0.001, 1e5),
    weight_in_flight=weights,
    in_flight_max=weights,
)


def _appraised(account, now=T0, policy=POLICY, in_flight=0, model=M):
    return appraise(account, model, now, now, policy, in_flight)


def _terms(account, now=T0, policy=POLICY, in_flight=0):
    return dict(zip(TERMS, _appraised(account, now, policy, in_flight).terms, strict=True))


def _with(*windows):
    return Account("a", runtime=Runtime(windows=windows))


def _price(*windows, now=T0):
    """The pace price, 0..1, of an account with those windows."""
    policy = Policy(price_floor=0.0, weight_remaining=1.0)
    return -_terms(_with(*windows), now, policy)["remaining"]


@settings(max_examples=150)
@given(pools(), st.sampled_from(MODELS), instants, policies, st.integers(0, 5))
def test_every_term_stays_within_its_weight(pool, model, now, policy, in_flight):
    for account in pool:
        standing = appraise(account, model, now, float(-(-now // 1)), policy, in_flight)
        terms = dict(zip(TERMS, standing.terms, strict=True))
        assert terms["ready_now"] == (policy.weight_ready_now if standing.blocked_by is None else 0.0)
        w = policy.weight_remaining
        assert -w - 1e-9 <= terms["remaining"] <= -w * policy.price_floor + 1e-9
        assert -policy.wait_max <= terms["wait"] <= 0
        assert -4 * policy.weight_consecutive_429 <= terms["consecutive_429"] <= 0
        assert -policy.weight_staleness <= terms["staleness"] <= 0
        assert 0 <= terms["recent_success"] <= policy.weight_recent_success
        assert -policy.in_flight_max <= terms["in_flight"] <= 0
        assert in_flight or not terms["in_flight"]


@settings(max_examples=100)
@given(pools(), st.sampled_from(MODELS), instants, st.integers(0, 2))
def test_the_score_is_the_sum_of_the_terms_that_are_shown_and_the_same_each_time(pool, model, now, in_flight):
    for account in pool:
        standing = _appraised(account, now, in_flight=in_flight, model=model)
        score = score_of(standing)
        assert score.total == standing.total == sum(score.terms.values())
        shown = [name for place, name in enumerate(TERMS) if place < 6 or standing.terms[place]]
        assert list(score.terms) == shown, "the six always, the others where they are not zero"
        assert _appraised(account, now, in_flight=in_flight, model=model) == standing


@given(pools(), st.sampled_from(MODELS), instants)
def test_confidence_and_what_remains_are_fractions(pool, model, now):
    for account in pool:
        assert 0 <= confidence(account, model, now, POLICY) <= 1
        assert remaining(account, model, now) is None or 0 <= remaining(account, model, now) <= 1


def test_quota_that_is_about_to_expire_is_nearly_free_and_what_is_nearly_spent_early_is_dear():
    expiring = Window("5h", 0.6, T0 + 60, 18000.0, T0)
    on_pace = Window("5h", 0.5, T0 + 9000, 18000.0, T0)
    scarce = Window("5h", 0.02, T0 + 17900, 18000.0, T0)
    assert _price(expiring) < 0.01
    assert _price(on_pace) == pytest.approx(0.5)
    assert _price(scarce) > 0.97
    assert _price(expiring, scarce) == pytest.approx((_price(expiring) + _price(scarce)) / 2), "both clocks count"


@given(
    st.floats(0.01, 1.0), st.floats(0.01, 1.0), st.floats(1.0, 604800.0), st.sampled_from([18000.0, 86400.0, 604800.0])
)
def test_more_quota_or_an_earlier_reset_never_raises_the_price(left, other, ahead, length):
    low, high = sorted([left, other])
    price = _price(Window("w", low, T0 + ahead, length, T0))
    assert _price(Window("w", high, T0 + ahead, length, T0)) <= price
    assert _price(Window("w", low, T0 + ahead / 2, length, T0)) <= price


@pytest.mark.parametrize(
    ("window", "price"),
    [
        (Window("5h", 0.5, T0 - 1, 18000.0, T0 - 9000), POLICY.price_closed),
        (Window("5h", None, T0 + 900, 18000.0, T0), POLICY.price_unknown),
        (Window("5h", 0.5, None, 18000.0, T0), 0.5),
        (Window("rpm", 0.4, T0 + 30, 60.0, T0), 0.3),
        (Window("rpm", 0.4, T0 - 30, 60.0, T0 - 60), POLICY.price_unknown),
        (Window("7d", 0.4, T0 + 90000, 604800.0, T0, kind="rolling"), 0.3),
        (Window("5h", 0.0, T0 + 18000, 18000.0, T0), 1.0),
        (Window("5h", 0.0, T0, 18000.0, T0), POLICY.price_closed),
    ],
    ids=["closed", "unknown", "no reset", "bucket", "refilled bucket", "rolling", "spent", "at its reset"],
)
def test_the_price_of_a_window_that_is(window, price):
    assert _price(window) == pytest.approx(price)


def test_an_account_that_was_never_seen_costs_what_the_policy_says():
    assert _price() == POLICY.price_unknown
    assert _terms(Account("a"))["staleness"] == -POLICY.weight_staleness


def test_the_tightest_window_decides_the_reserve_and_it_is_over_at_its_reset():
    account = _with(Window("5h", 0.9, T0 + 900, 18000.0, T0), Window("7d", 0.04, T0 + 50000, 604800.0, T0))
    assert _appraised(account).tier == (False, 0, True)
    assert _appraised(account, T0 + 50000).tier == (False, 0, False)
    assert _appraised(account.replace(min_remaining=0.04, priority=3, emergency=True)).tier == (True, 3, False)


def test_each_failure_counts_up_to_four_and_fades():
    def after(count, age):
        state = ModelState(consecutive_429=count, last_429_at=T0 - age)
        return _terms(Account("a", runtime=Runtime(models={M: state})))["consecutive_429"]

    assert [after(n, 0.0) for n in (0, 1, 4, 9)] == [0.0, -0.2, -0.8, -0.8]
    assert after(2, POLICY.error_half_life) == -0.2


def test_a_success_just_now_is_worth_its_weight_and_half_of_it_later():
    account = told(pool_of("a"), Succeeded("a", M, T0)).account("a")
    assert _terms(account)["recent_success"] == POLICY.weight_recent_success
    assert _terms(account, T0 + POLICY.success_half_life)["recent_success"] == POLICY.weight_recent_success / 2


def test_waiting_costs_a_point_for_each_unit_up_to_the_most():
    pool = told(pool_of("a"), RateLimited("a", M, T0, 30.0))
    assert _terms(pool.account("a"))["wait"] == -2
    assert _terms(told(pool, RateLimited("a", M, T0, 9e5)).account("a"))["wait"] == -POLICY.wait_max


def test_requests_in_flight_cost_less_on_a_larger_plan():
    assert _terms(Account("a", weight=2.0), in_flight=4)["in_flight"] == -0.02
    assert _terms(Account("a", weight=0.01), in_flight=400)["in_flight"] == -POLICY.in_flight_max


def test_confidence_halves_with_age_and_at_a_reset():
    reading = QuotaObserved("a", M, T0, (Window("5h", 0.5, T0 + 4000, 18000.0),), confidence=0.8)
    account = told(pool_of("a"), reading).account("a")
    assert confidence(account, M, T0, POLICY) == 0.8
    assert confidence(account, M, T0 + 3600, POLICY) == pytest.approx(0.4)
    assert confidence(account, M, T0 + 7200, POLICY) == pytest.approx(0.1)
    assert confidence(account, "m-2", T0, POLICY) == 0.0


@pytest.mark.parametrize(
    ("fact", "usable"),
    [
        (QuotaObserved("a", None, T0, (Window("5h", 0.5),)), True),
        (QuotaObserved("a", M, T0, (Window("5h", 0.5),)), True),
        (QuotaObserved("a", None, T0, (Window("5h", None, T0 + 60),)), False),
        (Succeeded("a", M, T0), True),
        (Succeeded("a", "m-2", T0), False),
        (RateLimited("a", M, T0, 1.0), True),
        (RateLimited("a", "m-2", T0, 1.0, "retry-after", account_wide=True), True),
        (ServerFailed("a", "m-2", T0), True),
        (Refused("a", None, T0, "forbidden"), True),
    ],
)
def test_what_was_observed_of_the_model_or_the_account_is_usable_for_a_day(fact, usable):
    account = told(pool_of("a"), fact).account("a")
    day = POLICY.stale_after
    assert _appraised(account, T0 + day).usable is usable
    assert not _appraised(account, T0 + day + 1).usable


@pytest.mark.parametrize(
    ("runtime", "word"),
    [
        (Runtime(windows=(Window("5h", 0.015, T0 + 900),)), "quota"),
        (Runtime(windows=(Window("5h", 0.015, T0 + 900),), consecutive_failures=1), "quota"),
        (Runtime(windows=(Window("5h", 0.016, T0 + 900),)), None),
        (Runtime(windows=(Window("5h", 0.01, T0),)), None),
        (Runtime(models={M: ModelState(consecutive_429=1)}), "cooldown"),
        (Runtime(models={"m-2": ModelState(consecutive_429=1)}), None),
        (Runtime(consecutive_401=1), "cooldown"),
        (Runtime(consecutive_403=1), "cooldown"),
        (Runtime(consecutive_failures=1), "cooldown"),
        (Runtime(), None),
    ],
)
def test_one_request_at_a_time_near_a_limit_and_after_a_refusal(runtime, word):
    standing = _appraised(Account("a", runtime=runtime), in_flight=1)
    assert standing.guarded is (word is not None)
    assert (standing.ready_at, standing.blocked_by) == ((T0 + POLICY.guard_wait if word else 0.0), word)
    assert not _appraised(Account("a", runtime=runtime)).guarded


def test_the_total_of_a_score_is_its_plain_sum():
    assert Score({"ready_now": 1.0, "remaining": -0.25}).total == 0.75
