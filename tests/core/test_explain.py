"""Words for people: every decision about every pool can be told, and says what a person needs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_core import MODELS, POLICY, T0, instants, pool_of, pools, told

from rotator.core.explain import behind, blocked, chosen, clock, duration, percent, remedy, summary
from rotator.core.selection import Parked, Selected, Unavailable, select
from rotator.core.signals import Blocked, Held, Probed, QuotaObserved, RateLimited, Succeeded
from rotator.core.state import NEVER, Account, Availability, Window

M = "m-1"


@settings(max_examples=120)
@given(pools(), st.sampled_from(MODELS), instants, st.sampled_from([(), ("work",)]))
def test_every_decision_can_be_told_in_one_line_that_names_who_was_chosen(pool, model, now, tags):
    outcome = select(pool, model, now=now, tags=tags)
    assert "\n" not in outcome.explanation
    assert outcome.explanation in repr(outcome)
    if isinstance(outcome, Selected):
        assert outcome.explanation.startswith(f"{outcome.account}: ")
    if isinstance(outcome, Unavailable):
        assert model in outcome.reason
    for candidate in outcome.candidates:
        assert candidate.last_known_model_state_summary


@given(st.floats(0, 4e7))
def test_a_duration_is_never_shorter_than_it_is_nor_much_longer(seconds):
    units = {"s": 1, "min": 60, "h": 3600, "d": 86400}
    words = duration(seconds).split()
    told_secs = sum(int(n) * units[u] for n, u in zip(words[::2], words[1::2], strict=True))
    coarse = {"s": 1, "min": 60, "h": 61, "d": 3660}[words[1]]
    assert seconds <= told_secs <= seconds + coarse + 1
    assert len(words) <= 4


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (59.2, "1 min"),
        (3540.5, "1 h"),
        (15120, "4 h 12 min"),
        (86399, "1 d"),
        (88200, "1 d 1 h"),
        (540000, "6 d 6 h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds, words):
    assert duration(seconds) == words


def test_an_instant_has_its_date_only_when_it_is_a_day_away():
    assert clock(T0 + 2400, T0) == "10:40Z"
    assert clock(T0 + 86400, T0) == "Nov 21 10:00Z"


@pytest.mark.parametrize(
    ("days", "words"),
    [(41, "Dec 31 10:00Z"), (42, "2027-01-01 10:00Z"), (-325, "2025-12-30 10:00Z"), (3650, "2036-11-17 10:00Z")],
)
def test_an_instant_has_its_year_when_it_is_another_one(days, words):
    assert clock(T0 + days * 86400, T0) == words


def test_an_instant_of_the_next_day_has_no_year_though_it_is_another_one():
    eve = T0 + 41 * 86400
    assert clock(eve + 82800, eve) == "09:00Z"


@pytest.mark.parametrize(
    ("fraction", "words"), [(0.0, "0 %"), (0.0004, "1 %"), (0.014, "1 %"), (0.626, "63 %"), (1.0, "100 %")]
)
def test_what_is_not_quite_nothing_is_not_called_nothing(fraction, words):
    assert percent(fraction) == words


def _reading(name, left, ahead):
    return QuotaObserved(name, M, T0, (Window("5h", left, T0 + ahead, 18000.0), Window("7d", 0.9, T0 + 9e4, 604800.0)))


def test_a_choice_names_the_binding_window_and_why_others_were_out():
    pool = told(
        pool_of("a@example.com", "b@example.com"),
        _reading("b@example.com", 0.626, 2400),
        RateLimited("a@example.com", M, T0, 15120.0),
    )
    outcome = select(pool, M, now=T0)
    assert outcome.explanation == "b@example.com: 63 % left, resets in 40 min; a@example.com cools down for 4 h 12 min"


def test_a_summary_says_what_is_left_when_it_resets_and_when_it_last_worked():
    pool = told(pool_of("a"), _reading("a", 0.63, 2400), Succeeded("a", M, T0 - 120))
    assert summary(pool.account("a"), M, T0) == "63 % left, resets 10:40Z, last success 2 min ago"
    pool = told(pool, RateLimited("a", M, T0 + 1, 60.0), Blocked("a", "banned", T0 + 1, "terms of service"))
    assert summary(pool.account("a"), M, T0 + 1).startswith(
        "terms of service, cools down until 10:01Z (retry-after), 63 % left, resets 10:40Z, 429 × 1"  # noqa: RUF001
    )
    assert summary(Account("a"), M, T0) == "nothing known yet"


def test_a_reset_that_is_over_is_not_told():
    pool = told(pool_of("a"), QuotaObserved("a", M, T0, (Window("5h", 0.3, T0 + 60, 18000.0),)))
    assert chosen(pool.account("a"), M, T0 + 61) == "a: 100 % left"


def test_an_account_that_worked_without_ever_telling_a_quota_is_ready():
    assert chosen(Account("a"), M, T0) == "a: nothing known yet"
    assert chosen(told(pool_of("a"), Succeeded("a", M, T0)).account("a"), M, T0) == "a: ready"


@pytest.mark.parametrize(
    ("account", "facts", "words"),
    [
        (Account("a", enabled=False), (), "a is disabled"),
        (Account("a", models=("x",)), (), "a does not serve this model"),
        (Account("a"), (Blocked("a", "banned", T0, "terms"),), "a is banned (terms)"),
        (Account("a"), (Blocked("a", "restricted", T0, "billing"),), "a is restricted (billing)"),
        (Account("a"), (Held("a", None, T0, None),), "a is on hold"),
        (Account("a"), (Held("a", M, T0, T0 + 90),), "a is on hold for 2 min"),
        (Account("a"), (RateLimited("a", M, T0, 5.5),), "a cools down for 6 s"),
        (Account("a"), (_reading("a", 0.0, 3600),), "a has no quota for 1 h"),
    ],
)
def test_an_account_that_cannot_serve_says_why_and_for_how_long(account, facts, words):
    known = told(pool_of(account), *facts).account("a")
    ready_at, word = known.ready_at(M, POLICY)
    assert blocked(known, word, ready_at, T0) == words


@pytest.mark.parametrize(
    ("account", "best", "words"),
    [
        (Account("a", emergency=True), (False, 9, True), "a is kept for emergencies"),
        (Account("a", priority=5), (False, 0, True), "a has priority 5"),
        (Account("a"), (False, 0, False), "a is below its reserve (4 % left)"),
        (Account("a"), (False, 0, True), ""),
        (Account("a"), (False, 3, False), ""),
    ],
)
def test_an_account_that_could_serve_but_stands_behind_says_why(account, best, words):
    known = told(pool_of(account), _reading("a", 0.04, 2400)).account("a")
    assert behind(known, M, T0, (account.emergency, account.priority, True), best) == words


def test_what_is_said_of_an_account_below_its_reserve_is_what_decided():
    outcome = select(told(pool_of("a", "b"), _reading("a", 0.04, 2400), _reading("b", 0.6, 2400)), M, now=T0)
    best, other = outcome.candidates[1], outcome.candidates[0]
    assert (outcome.account, other.selection_reason) == ("b", "lower_tier")
    known = outcome.pool.account("a")
    assert behind(known, M, T0, other.tier, best.tier) == "a is below its reserve (4 % left)"


def test_a_failed_probe_is_told_while_another_account_serves():
    pool = told(pool_of("a", "b"), Probed("a", T0, Availability(ok=False, checked_at=T0)))
    assert "a failed its probe for 2 h" in select(pool, M, now=T0).explanation


def test_a_parked_pool_says_how_long():
    pool = told(pool_of("a"), RateLimited("a", M, T0, 90.0))
    outcome = select(pool, M, now=T0)
    assert isinstance(outcome, Parked)
    assert outcome.explanation == "nobody is ready for m-1, the first will be in 2 min; a cools down for 2 min"


def test_an_unavailable_pool_says_what_a_person_must_do():
    pool = told(pool_of(Account("a", enabled=False), *"bcde"), *[Blocked(n, "banned", T0, "") for n in "bcde"])
    reason = select(pool, M, now=T0).reason
    assert reason == (
        "no account can serve m-1: a is disabled; b is banned; c is banned; and 2 more. To do: "
        'disabled: set "enabled" to true; banned: settle it with the provider, then `rotator release NAME`'
    )
    assert select(pool_of(), M, now=T0).reason == "no account is there for m-1: add one to the file"
    assert select(pool_of("a"), M, now=T0, tags=("x",)).reason.endswith("add one to the file with that tag")


def test_every_reason_that_only_a_person_can_end_has_a_remedy():
    for word in ("disabled", "banned", "restricted", "auth_failed", "model_not_served", "held"):
        assert remedy([word]).startswith(f"{word}: ")
        assert blocked(Account("a"), word, NEVER, T0).startswith("a ")
    assert remedy(["cooldown", "quota", "unavailable"]) == ""
