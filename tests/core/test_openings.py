"""Windows that begin with a request, and accounts that are kept for rarer models: what bears on all accounts together."""

from __future__ import annotations

from strategies_core import T0, pool_of, told

from rotator.core.ranking import Ranking
from rotator.core.selection import select
from rotator.core.signals import QuotaObserved, Rotated, Succeeded
from rotator.core.state import Account, Window

M = "m-1"
L = 18000.0


def _begun(name, at, left=0.8):
    return QuotaObserved(name, None, at, (Window("5h", left, at + L, L, kind="first_use"),))


def _terms(outcome):
    return {c.account: c.score.terms for c in outcome.candidates}


def test_idle_windows_are_begun_one_after_another():
    """Of three accounts one serves; the others' windows have ended, and are begun a tenth of their length apart."""
    pool = told(pool_of("a", "b", "c"), _begun("b", T0 - L - 9), _begun("c", T0 - L - 5), _begun("a", T0))
    taken = []
    for minute in range(0, 120, 5):
        at = T0 + 60.0 * minute
        name = select(pool, M, now=at).account
        if name != pool.active:
            taken.append((minute, name))
            pool = told(pool, Rotated(name, pool.active, at, "best_score"))
        pool = told(pool, Succeeded(name, M, at))
        if pool.account(name).runtime.windows[0].reset_time <= at:
            pool = told(pool, _begun(name, at, 1.0))
    assert [minute for minute, name in taken if name != "a"] == [30, 60]
    assert {name for _, name in taken} == {"a", "b", "c"}


def test_the_bonus_is_a_term_of_those_that_wait_and_of_nobody_while_one_is_being_begun():
    pool = told(pool_of("a", "b", "c"), _begun("a", T0 - 3600), _begun("b", T0 - L - 9), _begun("c", T0 - L - 5))
    outcome = select(pool, M, now=T0)
    assert outcome.account in ("b", "c")
    assert [name for name, terms in _terms(outcome).items() if terms.get("open") == 1.0] == ["b", "c"]
    busy = select(pool, M, now=T0, in_flight={outcome.account: 1})
    assert busy.account == "a"
    assert not any("open" in terms for terms in _terms(busy).values())


def test_a_window_that_resets_by_a_calendar_waits_for_nobody():
    fixed = QuotaObserved("b", None, T0 - L - 9, (Window("5h", 0.1, T0 - 9, L, kind="fixed"),))
    pool = told(pool_of("a", "b"), _begun("a", T0 - 9000, 0.6), fixed)
    outcome = select(pool, M, now=T0)
    assert not any("open" in terms for terms in _terms(outcome).values())
    assert -0.6 < _terms(outcome)["b"]["remaining"] < -0.5, "full, at the beginning of its next one"


def test_a_kept_ranking_becomes_due_without_any_news():
    pool = told(pool_of("a", "b"), _begun("a", T0), _begun("b", T0 - L - 5), Rotated("a", None, T0, "best_score"))
    ranking = Ranking(M)
    for at, index in [(T0 + 1, 0), (T0 + 2699.5, 0), (T0 + 2700.0, 1)]:
        ranking.follow(pool, at, {}, ())
        assert ranking.choose().index == index


def test_an_account_that_stands_as_it_stood_is_noted_anew_and_the_notes_stay_few():
    pool = told(pool_of("a", "b"), _begun("a", T0), _begun("b", T0 - L - 5))
    ranking = Ranking(M)
    for turn in range(1000):
        ranking.follow(pool, T0 + 3000, {}, [1] if turn else None)
    assert ranking.choose().index == 1
    assert len(ranking._openings._waiting) <= 2 * 2 + 65


def test_who_serves_a_rarer_model_is_kept_for_it():
    both, plain = Account("both", models=("m-1", "rare")), Account("plain", models=("m-1",))
    pool = told(pool_of(both, plain), Succeeded("both", M, T0), Succeeded("plain", M, T0))
    assert select(pool, M, now=T0).account == "both", "the first of equals, while nobody has asked for the rare one"
    pool = told(pool, Succeeded("both", "rare", T0))
    outcome = select(pool, M, now=T0)
    assert outcome.account == "plain"
    assert _terms(outcome)["both"]["flex"] == -0.15
    assert "flex" not in _terms(outcome)["plain"]
    assert select(pool, "rare", now=T0).account == "both"
