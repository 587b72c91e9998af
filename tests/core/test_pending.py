"""Pending facts: fewer than arrived, worth the same; and what a changed file makes of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_core import (
    MODELS,
    T0,
    placements,
    pool_of,
    pools,
    quota,
    rotations,
    signals,
    successes,
    told,
)

from rotator.core.pending import Pending, rebase
from rotator.core.signals import Held, QuotaObserved, RateLimited, Rotated, SessionPlaced, Succeeded
from rotator.core.state import Runtime, Window
from rotator.core.transitions import replay

M = "m-1"
meeting = st.builds(
    QuotaObserved,
    st.just("a"),
    st.just(None),
    st.integers(0, 3).map(lambda n: T0 + n),
    st.builds(
        Window,
        st.just("5h"),
        st.sampled_from([None, 0.0, 0.4, 0.5]),
        st.sampled_from([None, T0 + 60, T0 + 61]),
        st.sampled_from([None, 18000.0]),
        kind=st.sampled_from([None, None, "fixed"]),
    ).map(lambda window: (window,)),
    st.sampled_from([1.0, 0.5]),
    st.booleans(),
)
"""Readings of one and the same window within a few instants, so that one may stand for another."""
serving = st.one_of(quota, meeting, meeting, successes, placements, rotations)
streams = st.lists(st.one_of(serving, serving, serving, signals), max_size=14)


LEARNED = {"spent_tokens": 0, "capacity_tokens": None, "kind": None, "measured_from": None, "measured_tokens": 0}


def _unlearned(pool):
    """The pool without what own traffic teaches, which merged facts may blur."""

    def plain(windows):
        return tuple([w.replace(**LEARNED) for w in windows])

    for account in pool:
        runtime = account.runtime
        known = {m: s.replace(windows=plain(s.windows), request_tokens=0.0) for m, s in runtime.models.items()}
        pool = pool.with_runtime(account.name, runtime.replace(windows=plain(runtime.windows), models=known))
    return pool


@settings(max_examples=250)
@given(pools(), streams)
def test_replaying_what_is_pending_gives_what_replaying_every_fact_gives(pool, facts):
    assert _unlearned(replay(pool, Pending(facts))) == _unlearned(replay(pool, facts))


@settings(max_examples=400)
@given(st.lists(meeting, min_size=2, max_size=4))
def test_a_reading_stands_for_another_only_when_it_tells_and_ends_as_much(facts):
    assert _unlearned(replay(pool_of("a"), Pending(facts))) == _unlearned(replay(pool_of("a"), facts))


@given(streams, streams)
def test_it_does_not_matter_in_how_many_goes_facts_come_in(first, then):
    pending = Pending(first)
    pending.add(then)
    assert list(pending) == list(Pending(first + then))
    assert list(Pending(pending)) == list(pending)
    assert len(pending) == len(list(pending))


def _day(turns):
    """What a busy account learns: account-wide and model quota, tokens, sessions, changes of the active account."""
    for n in range(turns):
        at, model, name = T0 + n, MODELS[n % 2], "ab"[n // 7 % 2]
        yield QuotaObserved(
            name, None, at, (Window("5h", 0.9, T0 + 9e4, 18000.0), Window("7d", 0.8, T0 + 9e5, 604800.0))
        )
        if n % 3:
            yield QuotaObserved(name, model, at, (Window("requests", 0.5, at + 60, 60.0),))
        yield Succeeded(name, model, at, 1000 + n)
        yield SessionPlaced(name, f"chat-{n % 40}", at)
        yield Rotated(name, None, at, "best_score")


@pytest.mark.parametrize("turns", [300, 2000])
def test_a_pool_that_cannot_be_written_holds_few_facts_however_long_it_serves(turns):
    facts = list(_day(turns))
    pending = Pending(facts)
    assert len(pending) < 110
    assert _unlearned(replay(pool_of("a", "b"), pending)) == _unlearned(replay(pool_of("a", "b"), facts))


def test_the_order_between_accounts_is_kept():
    facts = [Rotated("a", None, T0, "x"), Rotated("b", "a", T0, "x"), Rotated("a", "b", T0, "x")]
    assert replay(pool_of("a", "b"), Pending(facts)).active == "a"
    assert [s.account for s in Pending(facts)] == ["b", "a"]


def test_an_empty_one_is_false_and_may_be_gone_through_while_it_grows():
    assert not Pending()
    pending = Pending([Succeeded("a", M, T0)])
    for signal in pending:
        pending.add([signal.replace(model="m-2")])
    assert len(pending) == 2


# What a changed file makes of what was known.

LIMITED = RateLimited("a", M, T0, 600.0)
EARLY, LATE = RateLimited("a", M, T0 + 1, 700.0), RateLimited("a", M, T0 + 9, 800.0)
READ_AT = T0 + 5


def _at_rev(pool, rev, name="a"):
    return pool.with_runtime(name, pool.account(name).runtime.replace(rev=rev))


KNOWN = _at_rev(told(pool_of("a", "b"), LIMITED), 5)


def test_an_unchanged_file_keeps_every_pending_fact_and_is_not_written_for_it():
    read, pending, due = rebase(KNOWN, KNOWN, [EARLY, LATE], READ_AT)
    assert (read, list(pending), due) == (KNOWN, [EARLY, LATE], False)


def test_a_higher_rev_wins_and_the_pending_facts_land_on_it():
    theirs = _at_rev(told(KNOWN, Held("a", None, T0 + 2, None)), 6)
    assert rebase(KNOWN, theirs, [EARLY, LATE], READ_AT)[0] == theirs
    assert list(rebase(KNOWN, theirs, [EARLY, LATE], READ_AT)[1]) == [EARLY, LATE]
    assert not rebase(KNOWN, theirs, [EARLY, LATE], READ_AT)[2]


def test_a_lower_rev_is_a_stale_buffer_and_what_was_known_wins():
    stale = _at_rev(told(KNOWN, Held("a", None, T0 + 2, None)), 4)
    read, pending, due = rebase(KNOWN, stale, [EARLY, LATE], READ_AT)
    assert (read, list(pending), due) == (KNOWN, [EARLY, LATE], True)


@pytest.mark.parametrize(
    "edited",
    [
        KNOWN.account("a").runtime.replace(models={}),
        KNOWN.account("a").runtime.replace(held=True),
        KNOWN.account("a").runtime.replace(rev=0),
        KNOWN.account("a").runtime.replace(rev=0, banned=True),
        Runtime(),
    ],
    ids=["a cooldown deleted", "a hold written", "rev deleted", "rev deleted and a ban written", "runtime deleted"],
)
def test_a_person_who_edits_wins_and_only_facts_since_the_last_read_survive(edited):
    read, pending, due = rebase(KNOWN, KNOWN.with_runtime("a", edited), [EARLY, LATE], READ_AT)
    assert read.account("a").runtime == edited.replace(rev=5)
    assert (list(pending), due) == ([LATE], True)


def test_an_edit_of_one_account_costs_the_others_nothing():
    other = EARLY.replace(account="b")
    read, pending, _ = rebase(KNOWN, KNOWN.with_runtime("a", Runtime()), [EARLY, other], READ_AT)
    assert list(pending) == [other]
    assert read.account("b") == KNOWN.account("b")


def test_facts_about_an_account_that_was_removed_go_with_it_and_a_new_one_is_taken_as_it_is():
    read, pending, due = rebase(KNOWN, pool_of("b", "c"), [EARLY, LATE], READ_AT)
    assert (list(pending), due, read) == ([], False, pool_of("b", "c"))


def _bearing(pool, rev, seal, over=""):
    runtime = pool.account("a").runtime
    return pool.with_runtime("a", runtime.replace(rev=rev, seal=seal, sealed_over=over))


OURS = _bearing(told(KNOWN, EARLY), 6, "00000006", "00000005 00000004")
THEIRS = told(KNOWN, RateLimited("a", "m-2", T0 + 3, 600.0))


@pytest.mark.parametrize(
    ("rev", "seal", "over", "outcome"),
    [
        (6, "bbbbbbb6", "00000005 00000004", "both"),
        (7, "bbbbbbb7", "bbbbbbb6 00000005", "both"),
        (5, "bbbbbbb5", "00000004", "both"),
        (7, "bbbbbbb7", "00000006 00000005", "theirs"),
        (8, "bbbbbbb8", "bbbbbbb7", "theirs"),
        (7, "bbbbbbb7", "", "theirs"),
        (5, "00000005", "00000004", "ours"),
        (3, "bbbbbbb3", "", "ours"),
        (6, "00000006", "00000005", "theirs"),
        (6, "", "", "theirs"),
    ],
    ids=[
        "written beside it",
        "written twice beside it",
        "written beside an older one",
        "built on it",
        "further ahead than the line tells",
        "of no line",
        "what it was built on",
        "further behind than the line tells",
        "an edit, with the seal that it had",
        "an edit, without a seal",
    ],
)
def test_what_another_process_wrote_without_sight_of_ours_is_joined_with_it(rev, seal, over, outcome):
    asked = []
    read, _, due = rebase(OURS, _bearing(THEIRS, rev, seal, over), [], READ_AT, lambda name: asked.append(name) or True)
    known = set(read.account("a").runtime.models)
    assert known == {"ours": {M}, "theirs": {M, "m-2"}, "both": {M, "m-2"}}[outcome]
    limited = [c.at for c in read.account("a").runtime.models[M].cooldowns]
    assert (EARLY.at in limited) is (outcome != "theirs")
    assert asked == (["a"] if outcome == "both" and rev > 5 else [])
    assert due is not (outcome == "theirs" and rev > 6)


@pytest.mark.parametrize(("rev", "outcome"), [(3, "ours"), (5, "both"), (6, "theirs"), (7, "theirs")])
def test_what_was_written_beside_it_and_edited_since_is_a_persons_and_goes_by_rev_unless_both_can_stand(rev, outcome):
    edited = THEIRS.with_runtime("a", THEIRS.account("a").runtime.replace(held=True))
    edited = _bearing(edited, rev, f"bbbbbbb{rev}", "00000004 00000003")
    runtime = rebase(OURS, edited, [], READ_AT, lambda _: False)[0].account("a").runtime
    assert runtime.held is (outcome != "ours")
    assert ("m-2" in runtime.models) is (outcome != "ours")
    assert (EARLY.at in [c.at for c in runtime.models[M].cooldowns]) is (outcome != "theirs")


def test_a_file_that_lost_nothing_but_its_seal_costs_no_pending_fact():
    read, pending, due = rebase(OURS, _bearing(OURS, 6, ""), [EARLY, LATE], READ_AT)
    assert (list(pending), due) == ([EARLY, LATE], False)
    assert read.account("a").runtime.seal == ""


@settings(max_examples=100)
@given(pools(), pools(), st.lists(st.integers(0, 3), min_size=6, max_size=6), st.lists(signals, max_size=5))
def test_every_account_is_either_as_known_or_as_read_and_never_loses_its_rev(known, read, revs, facts):
    for name, rev, seen in zip("abc", revs[:3], revs[3:], strict=True):
        known, read = _at_rev(known, rev, name), _at_rev(read, seen, name)
    after, pending, _ = rebase(known, read, facts, READ_AT)
    for name in "abc":
        was, found, now = (pool.account(name).runtime for pool in (known, read, after))
        assert now.replace(rev=0) in (was.replace(rev=0), found.replace(rev=0))
        assert now.rev == max(was.rev, found.rev)
    assert all(s.account in after for s in pending)
    assert after.active == read.active
