"""Signals with numbers that nobody would send: whatever was told, what is written of it can be read again."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_core import MODELS, T0, pool_of, told

from rotator.core.codec.decode import decode
from rotator.core.codec.encode import encode
from rotator.core.pending import Pending
from rotator.core.signals import (
    DELAY_MAX,
    AuthRefused,
    Blocked,
    Held,
    Probed,
    QuotaObserved,
    QuotaShared,
    RateLimited,
    Refused,
    Released,
    Rotated,
    ServerFailed,
    SessionPlaced,
    Succeeded,
    bounded,
)
from rotator.core.state import COUNT_MAX, Availability, Window
from rotator.core.transitions import replay

M = MODELS[0]
NAN, INF = math.nan, math.inf
DOCUMENT = b'{"version": 2, "accounts": [{"name": "a"}, {"name": "b", "runtime": {"rev": 4, "models": {"m-1": {}}}}]}'

numbers = st.one_of(
    st.sampled_from([NAN, INF, -INF, -1, -0.0, 0, 5.0, 1e-9, 1e19, 1e308, -1e308, 2**53, 2**63, 2**70, 10**400]),
    st.floats(),
    st.integers(-(2**80), 2**80),
)
instants = st.one_of(st.floats(T0, T0 + 90).map(lambda at: round(at, 3)), numbers)
names = st.sampled_from(["a", "b"])
models = st.sampled_from(MODELS)
scopes = st.sampled_from([None, *MODELS])
words = st.sampled_from(["", "why", "\ud800"])
windows = st.lists(
    st.builds(
        Window,
        st.sampled_from(["5h", "", "\ud800"]),
        st.none() | numbers,
        st.none() | instants,
        st.none() | numbers,
        numbers,
        numbers,
        st.just(-3),
        st.none(),
        st.sampled_from([None, "", "fixed"]),
    ),
    max_size=2,
).map(tuple)
extreme = st.one_of(
    st.builds(QuotaObserved, names, scopes, instants, windows, numbers, st.booleans()),
    st.builds(Succeeded, names, models, instants, numbers),
    st.builds(QuotaShared, names, models, instants, numbers),
    st.builds(RateLimited, names, models, instants, st.none() | numbers, st.sampled_from(["reset", ""]), st.booleans()),
    st.builds(ServerFailed, names, models, instants, st.none() | numbers),
    st.builds(AuthRefused, names, instants, words, st.booleans()),
    st.builds(Refused, names, scopes, instants, words),
    st.builds(Blocked, names, st.sampled_from(["banned", "restricted", "rev", ""]), instants, words),
    st.builds(Probed, names, instants, st.builds(Availability, st.booleans(), numbers, words)),
    st.builds(Rotated, names, st.none() | words, instants, words, st.none() | words),
    st.builds(SessionPlaced, names, words, instants),
    st.builds(Held, names, scopes, instants, st.none() | instants),
    st.builds(Released, names, scopes, instants),
)


def read_back(signals):
    """A pool that was told, and what another process reads of it."""
    document, pool = decode(DOCUMENT)
    written, kept = encode(document, replay(pool, signals))
    again, read = decode(written.raw)
    return again.unreadable, read, kept


@settings(max_examples=300, deadline=None)
@given(st.lists(extreme, min_size=1, max_size=6))
def test_whatever_was_told_is_read_back_as_it_was_kept(signals):
    unreadable, read, kept = read_back(signals)
    assert not unreadable
    assert read == kept


@pytest.mark.parametrize(
    "signal",
    [
        RateLimited("a", M, T0, 1e19),
        RateLimited("a", M, T0, -5),
        RateLimited("a", M, T0, NAN),
        RateLimited("a", M, T0, INF, account_wide=True),
        ServerFailed("a", M, T0, 1e19),
        QuotaObserved("a", None, T0, (Window("5h", 5.0),)),
        QuotaObserved("a", M, T0, (Window("5h", NAN, NAN, NAN),), NAN),
        QuotaObserved("a", M, T0, (Window("5h", -1.0, INF, -7.0),)),
        Held("a", None, T0, NAN),
        Rotated("a", "", T0, "best_score", ""),
    ],
)
def test_a_number_that_cannot_be_is_brought_to_the_nearest_that_can(signal):
    unreadable, read, kept = read_back([signal])
    assert (unreadable, read) == (frozenset(), kept)


@pytest.mark.parametrize(("tokens", "spent"), [(-5, 0), (2**70, COUNT_MAX), (NAN, 0), (INF, COUNT_MAX), (7.9, 7)])
def test_tokens_are_charged_within_what_a_document_holds(tokens, spent):
    quota = QuotaObserved("a", None, T0, (Window("5h", 0.5),))
    for news in (Succeeded, QuotaShared):
        pool = told(pool_of("a"), quota, *[news("a", M, T0 + n, tokens) for n in (1, 2)])
        assert pool.account("a").runtime.windows[0].spent_tokens == min(2 * spent, COUNT_MAX)


@pytest.mark.parametrize(("delay", "kept"), [(1e19, DELAY_MAX), (INF, DELAY_MAX), (-5, 0.0), (30, 30)])
def test_a_retry_delay_is_kept_within_ten_years(delay, kept):
    account = told(pool_of("a"), RateLimited("a", M, T0, delay)).account("a")
    assert account.state(M).last_retry_delay_secs_raw == kept
    assert account.state(M).cooldowns[0].source == "retry-after"


def test_a_retry_delay_that_is_no_number_counts_as_none():
    told_none, told_nan = (told(pool_of("a"), RateLimited("a", M, T0, delay)) for delay in (None, NAN))
    assert told_nan == told_none


@pytest.mark.parametrize(
    "signal",
    [
        Succeeded("a", M, NAN),
        QuotaObserved("a", None, NAN, (Window("5h", 0.5),)),
        Held("a", None, NAN, None),
        Blocked("a", "rev", T0, "no state of ours"),
        Blocked("a", "enabled", T0, "no state of ours"),
    ],
)
def test_news_without_an_instant_or_of_no_known_state_are_nothing(signal):
    pool = pool_of("a")
    assert bounded(signal) is None
    assert told(pool, signal) is pool


@pytest.mark.parametrize(
    "signal",
    [
        Succeeded("a", M, T0, 7),
        QuotaObserved("a", M, T0, (Window("5h", 0.5, T0 + 60, 18000.0),)),
        RateLimited("a", M, T0, 30.0),
        RateLimited("a", M, T0),
        Held("a", None, T0, None),
    ],
)
def test_a_usual_signal_is_bounded_already(signal):
    assert bounded(signal) is signal


@given(st.lists(extreme, max_size=8))
def test_bounding_twice_is_bounding_once_and_changes_no_replay(signals):
    once = [kept for kept in map(bounded, signals) if kept is not None]
    assert all(bounded(signal) is signal for signal in once)
    assert replay(pool_of("a", "b"), once) == replay(pool_of("a", "b"), signals)


def test_pending_successes_that_became_one_charge_what_they_would_have_charged():
    facts = [bounded(Succeeded("a", M, T0 + n, tokens)) for n, tokens in enumerate([10, -5, 2**70])]
    pool = told(pool_of("a"), QuotaObserved("a", None, T0 - 1, (Window("5h", 0.5),)))
    both = [replay(pool, each).account("a").runtime for each in (Pending(facts), facts)]
    assert both[0].windows == both[1].windows


@pytest.mark.parametrize("rev", [2**62, 2**63 - 1, 2**63])
@pytest.mark.parametrize("counter", ["consecutive_401", "consecutive_403", "consecutive_failures"])
def test_counters_at_the_end_of_their_range_stay_readable(rev, counter):
    raw = DOCUMENT.replace(b'"rev": 4', f'"rev": {rev}, "{counter}": {2**63}'.encode())
    raw = raw.replace(b'"m-1": {}', f'"m-1": {{"consecutive_429": {2**63}}}'.encode())
    document, pool = decode(raw)
    assert not document.unreadable
    for n in range(3):
        at = T0 + 9e6 * n
        facts = [
            AuthRefused("b", at, "x"),
            Refused("b", None, at + 3e6, "x"),
            ServerFailed("b", M, at),
            RateLimited("b", M, at),
        ]
        document, pool = encode(document, replay(pool, facts))
        again, read = decode(document.raw)
        assert (again.unreadable, read) == (frozenset(), pool)
