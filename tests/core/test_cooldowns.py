"""How cooldowns join: those that can still decide are kept, whatever their order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.core.cooldowns import UPSTREAM, brief, covers, excuses, joined, without
from rotator.core.policy import Policy
from rotator.core.state import Cooldown

SOFT = ("reset", "default")
cooldowns = st.builds(
    Cooldown,
    st.integers(0, 12).map(float),
    st.integers(0, 6).map(float),
    st.sampled_from(["reset", "default", "retry-after", "person"]),
)
throttled = Policy(throttle_within=2.0, throttle_hint_max=4.0)
backoffs = st.builds(
    lambda at, secs: Cooldown(at + secs, at, UPSTREAM), st.integers(0, 6).map(float), st.integers(0, 4)
)
several = st.lists(cooldowns | backoffs, max_size=8)


def _joined(listed, ended=-1.0, soft_ended=-1.0):
    kept = ()
    for cooldown in listed:
        kept = joined(kept, cooldown, ended, soft_ended, throttled)
    return kept


def _standing(listed, ended=-1.0):
    """Those that no end and no shared back-off took away."""
    left = [c for c in listed if c.at >= ended]
    return [c for c in left if not any(excuses(shared, c, throttled) for shared in left)]


def _latest(listed):
    return max((c.until for c in listed), default=None)


@settings(max_examples=150)
@given(several, st.integers(-1, 7).map(float), st.integers(-1, 7).map(float), st.integers(-1, 7).map(float))
def test_what_is_kept_decides_as_all_of_them_would_whatever_ends_later(listed, ended, later_end, soft_end):
    kept = _joined(listed, ended)
    standing = _standing(listed, ended)
    assert _latest(kept) == _latest(standing)
    assert _latest(without(kept, later_end)) == _latest([c for c in standing if c.at > later_end])
    left = [c for c in standing if c.at > soft_end or c.source not in SOFT]
    assert _latest(without(kept, soft_end, soft_only=True)) == _latest(left)


@settings(max_examples=150)
@given(several.flatmap(lambda listed: st.tuples(st.just(listed), st.permutations(listed))))
def test_the_order_of_arrival_does_not_matter(orders):
    assert _joined(orders[0]) == _joined(orders[1])


@given(several)
def test_the_first_ends_last_and_none_stands_in_the_shade_of_another(listed):
    kept = _joined(listed)
    assert list(kept) == sorted(kept, key=lambda c: -c.until)
    for one in kept:
        for other in kept:
            hard_enough = one.source not in SOFT or other.source in SOFT
            for_now = brief(one, throttled) or other.source == UPSTREAM
            shades = one.until >= other.until and one.at >= other.at and hard_enough and not for_now
            assert one is other or not (shades or excuses(one, other, throttled))


@given(several, st.integers(-1, 7).map(float))
def test_the_same_tuple_comes_back_when_nothing_ends_or_joins(listed, at):
    kept = _joined(listed)
    assert all(joined(kept, c, -1.0, -1.0, throttled) is kept for c in listed)
    if all(c.at > at for c in kept):
        assert without(kept, at) is kept


def test_a_refusal_during_a_cooldown_is_covered_by_it_and_one_at_its_end_is_not():
    cooldown = (Cooldown(10.0, 5.0, "reset"),)
    assert covers(9.999, (), cooldown)
    assert not covers(10.0, cooldown)
    assert not covers(9.0)
