"""What a reading says about one account: a table from readings to signals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies_core import POLICY, T0, pool_of, told

from rotator.core.providers.news import signals_of
from rotator.core.providers.reading import Reading, WindowReading
from rotator.core.signals import AuthRefused, Blocked, QuotaObserved, RateLimited, Refused, ServerFailed, Succeeded
from rotator.core.state import Window

M = "claude-sonnet-5"
NOW = datetime.fromtimestamp(T0, UTC)


def _news(reading, **options):
    return signals_of(reading, account="a", model=M, at=T0, **options)


def _limited(delay=None, source="retry-after", *, wide=False, spent=False):
    return RateLimited("a", M, T0, delay, source, wide, exhausted=spent)


VERDICTS = {
    "a success": (Reading("ok", "account", tokens=12), Succeeded("a", M, T0, 12)),
    "a success of one model": (Reading("ok", "model"), Succeeded("a", M, T0)),
    "a success that says nothing of the account": (Reading("ok"), Succeeded("a", M, T0)),
    "a 429 of the model": (Reading("rate_limited", "model", 7.0, retry_source="retry-after"), _limited(7.0)),
    "a 429 of the account": (
        Reading("rate_limited", "account", 7.0, retry_source="retry-after"),
        _limited(7.0, wide=True),
    ),
    "a 429 without a delay": (Reading("rate_limited", "model"), _limited()),
    "a spent window": (
        Reading("quota_exhausted", "account", 9.0, retry_source="reset"),
        _limited(9.0, "reset", wide=True, spent=True),
    ),
    "a spent model": (
        Reading("quota_exhausted", "model", 9.0, retry_source="reset"),
        _limited(9.0, "reset", spent=True),
    ),
    "a spent model without a reset": (Reading("quota_exhausted", "model"), _limited(spent=True)),
    "a throttled endpoint": (Reading("rate_limited", None, 2895.0, retry_source="retry-after"), _limited(2895.0)),
    "an upstream 429": (Reading("rate_limited", "upstream", 7.0), ServerFailed("a", M, T0, 7.0, overloaded=True)),
    "an overload": (Reading("overloaded", "upstream"), ServerFailed("a", M, T0, overloaded=True)),
    "an overload of the model": (Reading("overloaded", "model", 2.0), ServerFailed("a", M, T0, 2.0, overloaded=True)),
    "a 5xx": (Reading("server_error", "upstream", 3.0), ServerFailed("a", M, T0, 3.0)),
    "a 5xx about nobody": (Reading("server_error"), None),
    "a client mistake": (Reading("bad_request"), None),
    "a request that never fits": (Reading("bad_request", "model"), None),
    "a 401": (Reading("auth_failed", "account"), AuthRefused("a", T0, "credential refused")),
    "a dead token": (
        Reading("auth_failed", "account", reason="invalid_grant", final=True),
        AuthRefused("a", T0, "invalid_grant", final=True),
    ),
    "an unknown 403": (Reading("restricted", "account"), Refused("a", None, T0, "forbidden")),
    "a known 403": (
        Reading("restricted", "account", reason="VALIDATION_REQUIRED"),
        Blocked("a", "restricted", T0, "VALIDATION_REQUIRED"),
    ),
    "a region": (Reading("restricted", None, reason="location not supported"), None),
    "a ban": (Reading("banned", "account"), Blocked("a", "banned", T0, "banned")),
    "no money": (Reading("billing", "account"), Blocked("a", "restricted", T0, "billing")),
    "no money for a while": (
        Reading("billing", "account", 60.0, retry_source="retry-after"),
        _limited(60.0, wide=True),
    ),
    "no money for this model": (
        Reading("billing", "model", reason="out of credits"),
        Refused("a", M, T0, "out of credits"),
    ),
}


@pytest.mark.parametrize(("reading", "signal"), VERDICTS.values(), ids=VERDICTS)
def test_the_verdict_of(reading, signal):
    assert _news(reading) == (() if signal is None else (signal,))


def test_tokens_that_the_caller_counted_outweigh_the_bodys():
    assert _news(Reading("ok", tokens=12), tokens=40) == (Succeeded("a", M, T0, 40),)
    assert _news(Reading("ok", tokens=12), tokens=0) == (Succeeded("a", M, T0, 0),)


FIVE = WindowReading("5h", 0.4, NOW + timedelta(minutes=40), 18000.0)
WEEK = WindowReading("7d", 0.8, None, 604800.0)


def _window(seen):
    reset = None if seen.reset_time is None else seen.reset_time.timestamp()
    return Window(seen.name, seen.remaining_fraction, reset, seen.length_secs)


def test_quota_comes_before_the_success_that_showed_it():
    """So what the success used is charged to what was read with it, not lost."""
    news = _news(Reading("ok", "account", windows=(FIVE, WEEK), tokens=5))
    assert news == (QuotaObserved("a", None, T0, (_window(FIVE), _window(WEEK))), Succeeded("a", M, T0, 5))


@pytest.mark.parametrize("kind", ["rate_limited", "overloaded", "auth_failed", "bad_request"])
def test_quota_that_came_with_a_refusal_says_so(kind):
    observed = _news(Reading(kind, "account", windows=(FIVE,)))[0]
    assert observed == QuotaObserved("a", None, T0, (_window(FIVE),), with_refusal=True)


def test_a_200_that_was_served_from_overage_leaves_the_account_able_to_serve():
    overage = WindowReading("overage", 0.0, NOW + timedelta(days=9), informative=True)
    news = _news(Reading("ok", "account", windows=(overage,)))
    assert news == (Succeeded("a", M, T0),)
    assert told(pool_of("a"), *news).account("a").ready_at(M, POLICY)[0] <= T0


def _targets(window, reading_kind="ok", scope="account", known=()):
    news = _news(Reading(reading_kind, scope, windows=(window,)), known_models=known)
    return [s.model for s in news if isinstance(s, QuotaObserved)]


@pytest.mark.parametrize(
    ("pattern", "known", "targets"),
    [
        ("*sonnet*", (), [M]),
        ("*sonnet*", ("claude-sonnet-4", "claude-opus-5"), ["claude-sonnet-4", M]),
        ("*Sonnet*", ("CLAUDE-SONNET-4",), ["CLAUDE-SONNET-4", M]),
        ("*opus*", ("claude-sonnet-4",), []),
        ("*opus*", ("claude-opus-5", "claude-opus-4"), ["claude-opus-4", "claude-opus-5"]),
        ("claude-opus-5", (), ["claude-opus-5"]),
        (None, ("claude-opus-5",), [None]),
    ],
)
def test_a_window_of_a_model_family_is_kept_for_the_models_of_it_that_are_known(pattern, known, targets):
    assert _targets(FIVE.replace(model=pattern), known=known) == targets


@pytest.mark.parametrize("pattern", ["*opus*", "claude-opus-5", "*sonnet*"])
def test_a_spent_model_window_that_refused_a_request_is_about_the_model_that_was_asked_for(pattern):
    """The provider's name of a model is not always the one that the request bore."""
    spent = WindowReading("7d_oi", 0.0, NOW + timedelta(days=2), 604800.0, pattern)
    assert _targets(spent, "quota_exhausted", "model") == [M]
    assert _targets(spent.replace(remaining_fraction=0.5), "quota_exhausted", "model") == (
        [M] if pattern == "*sonnet*" else [pattern] if pattern == "claude-opus-5" else []
    )


def test_windows_of_several_scopes_come_as_one_fact_each():
    news = _news(Reading("ok", "account", windows=(FIVE, FIVE.replace(name="7d_sonnet", model="*sonnet*"), WEEK)))
    assert [(s.model, [w.name for w in s.windows]) for s in news[:-1]] == [(None, ["5h", "7d"]), (M, ["7d_sonnet"])]


kinds = st.sampled_from([reading.kind for reading, _ in VERDICTS.values()])


@given(
    st.builds(
        Reading,
        kinds,
        st.sampled_from([None, "account", "model", "upstream"]),
        st.none() | st.floats(0.001, 1e6),
        st.lists(
            st.builds(
                WindowReading,
                st.sampled_from(["5h", "7d", "x"]),
                st.none() | st.floats(0, 1),
                st.none() | st.just(NOW),
                st.none() | st.just(60.0),
                st.sampled_from([None, M, "*", "*[", "other"]),
                st.booleans(),
            ),
            max_size=3,
        ).map(tuple),
        st.sampled_from([None, "reset", "retry-after"]),
        st.sampled_from(["", "why"]),
        st.booleans(),
        st.none() | st.integers(0, 10),
    )
)
def test_any_reading_becomes_facts_that_a_pool_can_take_in_and_only_a_success_counts_as_one(reading):
    news = _news(reading, known_models=("other",))
    assert all(s.account == "a" and s.at == T0 for s in news)
    assert any(isinstance(s, Succeeded) for s in news) == (reading.kind == "ok")
    assert len([s for s in news if not isinstance(s, QuotaObserved)]) <= 1
    told(pool_of("a"), *news)
