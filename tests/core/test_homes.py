"""Where a conversation lives, and when it does better to wait than to begin anew elsewhere."""

from __future__ import annotations

import pytest
from strategies_core import POLICY, T0, pool_of, told

from rotator.core.selection import Parked, select
from rotator.core.signals import QuotaObserved, RateLimited, SessionPlaced, Succeeded
from rotator.core.state import Window

M = "m-1"


def _pool(low=("b",), **parts):
    """The conversation lives on a, which is refused; those in ``low`` are below their reserve; a request takes 1,000."""
    facts = [Succeeded(name, M, T0 - 60, 1000) for name in "abc"]
    facts += [QuotaObserved(n, None, T0 - 50, (Window("5h", 0.02, T0 + 9000, 18000.0),)) for n in low]
    facts += [SessionPlaced("a", "chat", T0 - 30)]
    facts += [QuotaObserved("a", None, T0 - 9, (Window("5h", 0.0, T0 + 600, 18000.0),))]
    return told(pool_of("a", "b", "c", **parts), *facts)


def test_a_large_conversation_waits_for_its_account_while_quota_is_short_and_says_so():
    outcome = select(_pool(), M, now=T0, session="chat", size=9000)
    assert isinstance(outcome, Parked)
    assert outcome.for_itself
    assert (outcome.selection_reason, outcome.account) == (None, None)
    assert outcome.wake_at.timestamp() == T0 + POLICY.admission_wait
    assert outcome.explanation.startswith("admission: quota is short, and this conversation would begin anew elsewhere")
    assert {c.account: c.selection_reason for c in outcome.candidates} == {
        "a": "quota",
        "b": "admission",
        "c": "admission",
    }


@pytest.mark.parametrize(
    ("pool", "asked"),
    [
        (_pool(low=()), {"session": "chat", "size": 9000}),
        (_pool(), {"session": "chat", "size": 2000}),
        (_pool(), {"session": "chat"}),
        (_pool(), {"session": "another", "size": 9000}),
        (_pool(), {"size": 9000}),
        (_pool(policy=POLICY.replace(admission_share=1.0)), {"session": "chat", "size": 9000}),
    ],
    ids=["quota for all", "a small one", "of unknown size", "a new one", "none", "not wanted"],
)
def test_nobody_else_waits(pool, asked):
    assert select(pool, M, now=T0, **asked).account in ("b", "c")


def test_it_waits_no_longer_than_its_prompt_cache_lasts():
    begun = T0 - 30
    last = select(_pool(), M, now=begun + POLICY.session_warm - 10, session="chat", size=9000)
    assert last.wake_at.timestamp() == begun + POLICY.session_warm
    assert select(_pool(), M, now=begun + POLICY.session_warm, session="chat", size=9000).account == "c"


def test_a_conversation_spends_the_reserve_of_its_account_and_leaves_it_when_that_is_refused():
    pool = told(pool_of("a", "b"), SessionPlaced("a", "chat", T0 - 30))
    pool = told(pool, QuotaObserved("a", None, T0 - 9, (Window("5h", 0.02, T0 + 9000, 18000.0),)))
    assert select(pool, M, now=T0, session="chat").account == "a"
    assert select(pool, M, now=T0).account == "b"
    assert select(told(pool, RateLimited("a", M, T0, 60.0)), M, now=T0 + 1, session="chat").account == "b"


def test_conversations_that_begin_are_not_bound_to_the_active_account():
    facts = [
        QuotaObserved(n, None, T0, (Window("5h", left, T0 + 9000, 18000.0),)) for n, left in [("a", 0.5), ("b", 0.52)]
    ]
    pool = told(pool_of("a", "b", active="a"), *facts)
    assert select(pool, M, now=T0).account == "a"
    assert select(pool, M, now=T0, session="new").account == "b"
