"""The hidden windows, each against what it would do on paper; instants are seconds after the start."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.simulate.quotas import hidden
from rotator.simulate.scenario import Quota
from rotator.simulate.spec import Span

LENGTH = 100.0


def quota(kind, capacity=10.0, phase=0.0, used=0.0):
    return hidden(
        Quota("w", kind, LENGTH, Span(capacity, capacity), Span(phase, phase), Span(used, used)), 0.0, Random(0)
    )


PAPER = [
    # kind, phase, used at the start, [(at, cost, admitted)]: a window of 10 tokens and 100 s
    ("fixed", 0.0, 0.0, [(0, 6, True), (1, 6, True), (2, 1, False), (99.9, 1, False), (100, 1, True)]),
    ("fixed", 0.5, 0.0, [(0, 10, True), (49, 1, False), (50, 10, True), (149, 1, False), (150, 1, True)]),
    ("fixed", 0.0, 0.9, [(0, 5, True), (1, 1, False)]),
    ("first_use", 0.0, 0.0, [(70, 10, True), (100, 1, False), (169.9, 1, False), (170, 10, True), (269, 1, False)]),
    ("first_use", 0.0, 0.0, [(0, 10, True), (150, 10, True), (249, 1, False), (250, 1, True)]),
    ("first_use", 0.5, 1.0, [(0, 1, False), (49, 1, False), (50, 10, True), (149, 1, False), (150, 1, True)]),
    (
        "rolling",
        0.0,
        0.0,
        [(0, 6, True), (50, 4, True), (99, 1, False), (100, 6, True), (101, 1, False), (150, 1, True)],
    ),
    ("rolling", 0.5, 1.0, [(0, 1, False), (49, 1, False), (50, 1, True)]),
    ("bucket", 0.0, 0.0, [(0, 10, True), (0, 1, False), (10, 1, True), (10, 1, False), (60, 5, True), (60, 1, False)]),
    ("bucket", 0.0, 0.0, [(0, 30, True), (10, 1, False), (299, 10, False), (300, 10, True)]),
    ("bucket", 0.0, 0.5, [(0, 6, False), (0, 5, True)]),
]


@pytest.mark.parametrize(("kind", "phase", "used", "requests"), PAPER)
def test_a_window_admits_what_it_admits_on_paper(kind, phase, used, requests):
    window = quota(kind, phase=phase, used=used)
    for at, cost, admitted in requests:
        assert window.fits(at, cost) is admitted, (at, cost)
        if admitted:
            window.charge(at, cost)


@pytest.mark.parametrize("kind", ["fixed", "first_use", "rolling", "bucket"])
@given(uses=st.lists(st.tuples(st.floats(0, 60), st.floats(0.1, 8)), max_size=30), cost=st.floats(0.1, 9))
def test_it_says_truly_when_a_request_will_fit(kind, uses, cost):
    window, now = quota(kind, phase=0.3), 0.0
    for gap, spent in uses:
        now += gap
        if window.fits(now, spent):
            window.charge(now, spent)
    if not window.fits(now, cost):
        when = window.fits_at(now, cost)
        assert now < when <= now + LENGTH
        assert not window.fits(now + (when - now) * 0.999 - 1e-6, cost)
        assert window.fits(when + 1e-6, cost)


@pytest.mark.parametrize("kind", ["fixed", "first_use", "rolling"])
@given(uses=st.lists(st.tuples(st.floats(0, 60), st.floats(0.1, 8)), max_size=60))
def test_it_never_holds_more_than_its_capacity_and_one_request(kind, uses):
    window, now, within = quota(kind), 0.0, []
    for gap, spent in uses:
        now += gap
        if window.fits(now, spent):
            window.charge(now, spent)
            within.append((now, spent))
        assert window.used < 10 + 8
    if kind == "rolling":
        for begin, _ in within:
            stretch = [spent for at, spent in within if begin <= at < begin + LENGTH]
            assert sum(stretch[:-1]) < 10 + 1e-9 or len(stretch) == 1


def test_what_is_unspent_at_a_reset_is_counted():
    window = quota("fixed")
    window.charge(0, 4)
    window.advance(250)
    assert (window.ended, window.unspent) == (20, 16)
    first = quota("first_use")
    first.charge(0, 4)
    first.advance(250)
    assert (first.ended, first.unspent) == (10, 6), "a window that did not begin does not end"


def test_a_window_shows_its_own_end():
    fixed, first, rolling, bucket = (quota(kind, phase=0.25) for kind in ("fixed", "first_use", "rolling", "bucket"))
    for window in (fixed, first, rolling, bucket):
        if window is not first:
            window.charge(10, 5)
    assert fixed.shown(20) == (0.5, 75)
    assert first.shown(20) == (0.0, None)
    first.charge(20, 5)
    assert first.shown(30) == (0.5, 120)
    assert rolling.shown(20) == (0.5, 110)
    assert rolling.shown(110) == (0.0, None)
    assert bucket.shown(10) == (0.5, 60)
    assert bucket.shown(35) == (0.25, 60)
