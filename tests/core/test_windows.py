"""How readings of quota join: two registers for each window, each with the latest word."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_core import POLICY, T0, fractions, instants, windows

from rotator.core.state import Window
from rotator.core.windows import charged, forgotten, observed, shows_quota, spent

readings = st.lists(st.tuples(windows, instants), max_size=6)


def _read(listed, released_at=0.0, known=()):
    for news, at in listed:
        known = observed(known, news, at, released_at, POLICY)
    return known


def _registers(known):
    return [
        (w.name, w.remaining_fraction, w.updated_at, w.reset_time, w.reset_updated_at, w.length_secs) for w in known
    ]


@settings(max_examples=150)
@given(readings.flatmap(lambda r: st.tuples(st.just(r), st.permutations(r))))
def test_the_order_of_readings_does_not_matter(orders):
    assert _registers(_read(orders[0])) == _registers(_read(orders[1]))


@settings(max_examples=150)
@given(readings, instants)
def test_a_release_forgets_the_same_before_and_after_the_readings_arrive(listed, released_at):
    first = _read(listed, released_at)
    last = forgotten(_read(listed), released_at, POLICY)
    assert {w.name for w in first if w.exhausted(POLICY)} == {w.name for w in last if w.exhausted(POLICY)}
    assert not any(w.exhausted(POLICY) for w in first if w.updated_at <= released_at)


@given(readings, st.builds(Window, st.just("mine"), st.none() | fractions, st.none() | instants), instants)
def test_a_reading_changes_only_the_windows_that_it_names(listed, news, at):
    known = _read(listed)
    assert tuple(w for w in observed(known, (news,), at, 0.0, POLICY) if w.name != "mine") == known


@given(readings)
def test_windows_stand_in_the_order_of_their_names(listed):
    known = [w.name for w in _read(listed)]
    assert known == sorted(set(known))


def test_at_the_same_instant_the_lower_rest_and_the_later_reset_stand():
    one, other = Window("5h", 0.5, T0 + 60), Window("5h", 0.4, T0 + 50)
    for pair in ([one, other], [other, one]):
        (window,) = _read([((w,), T0) for w in pair])
        assert (window.remaining_fraction, window.reset_time) == (0.4, T0 + 60)


def test_tokens_are_charged_to_windows_that_were_read_before_and_a_new_reading_starts_anew():
    known = _read([((Window("5h", 0.5), Window("7d", 0.5)), T0)])
    known = charged(charged(known, 100, T0), 20, T0 + 1)
    assert [w.spent_tokens for w in known] == [120, 120]
    assert [w.spent_tokens for w in charged(known, 7, T0 - 1)] == [120, 120]
    known = observed(known, (Window("5h", 0.4),), T0 + 2, 0.0, POLICY)
    assert [w.spent_tokens for w in known] == [0, 120]


@pytest.mark.parametrize(
    ("lefts", "shown"), [([0.2], True), ([0.2, 0.0], False), ([None], False), ([], False), ([None, 0.01], True)]
)
def test_quota_is_shown_only_by_a_reading_in_which_no_window_is_empty(lefts, shown):
    assert shows_quota(tuple(Window("w", left) for left in lefts)) is shown


def test_spent_windows_are_named_with_their_resets():
    assert spent((Window("5h", 0.0, T0), Window("7d", 0.1, T0), Window("x"))) == [("5h", T0)]
    assert spent((Window("5h", 0.0, updated_at=T0 + 1),)) == [("5h", T0 + 1)]
