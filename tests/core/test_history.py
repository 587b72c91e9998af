"""Lines of a log: what goes in comes out, and nothing that is nobody's business goes in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_core import T0, models, pools, signals

from rotator.core.history import (
    Broken,
    Heard,
    account_json,
    entry_of,
    fact_json,
    line_text,
    mark_of,
    pool_line,
    session_hash,
)
from rotator.core.policy import Policy
from rotator.core.selection import select
from rotator.core.signals import SessionPlaced, Superseded
from rotator.core.transitions import apply


def line(**parts):
    return json.dumps({"at": "2026-11-20T10:00:00Z", **parts}).encode()


def pool_of(pool):
    return entry_of(line_text(pool_line(pool, T0, [account_json(account, pool.policy) for account in pool]))).pool


def hashed(pool):
    """The pool as a log knows it: conversations by their hash, and nothing of files and tokens."""
    for account in pool:
        sessions = {session_hash(key): at for key, at in account.runtime.sessions.items()}
        kept = account.runtime.replace(sessions=sessions, rev=0, seal="", sealed_over="", superseded=())
        pool = pool.with_runtime(account.name, kept)
    return pool


@given(pools(policies=st.sampled_from([Policy(), Policy(hysteresis=0.5, sessions_max=3), Policy(selector="chain")])))
def test_a_pool_comes_out_of_its_line_as_it_went_in(pool):
    assert pool_of(pool) == hashed(pool)


@given(pools(), models, st.none() | st.sampled_from(["s-1", "s-2"]))
def test_what_a_line_tells_is_all_that_a_choice_needs(pool, model, session):
    was = select(pool, model, now=T0, session=session)
    found = select(pool_of(pool), model, now=T0, session=None if session is None else session_hash(session))
    assert (was.account, was.selection_reason, was.wake_at) == (found.account, found.selection_reason, found.wake_at)


@settings(max_examples=300)
@given(pools(most=4), signals)
def test_a_fact_does_the_same_after_it_was_written_and_read(pool, fact):
    told = {"schema_version": 1, "at": "2026-11-20T10:00:00Z", "kind": "facts", "facts": [fact_json(fact)]}
    (found,) = entry_of(line_text(told)).facts
    if isinstance(fact, SessionPlaced):
        assert found == fact.replace(session=session_hash(fact.session), at=found.at)
    else:
        assert apply(pool, found) == apply(pool, fact)


@given(pools())
def test_a_mark_does_not_depend_on_the_order_of_members(pool):
    for account in pool:
        told = account_json(account, pool.policy)
        assert mark_of(told) == mark_of(dict(reversed(told.items())))
        assert mark_of(told) != mark_of({**told, "priority": 7})


def test_no_hash_of_a_token_and_no_name_of_a_conversation_is_told():
    assert fact_json(Superseded("a", T0, "fake-hash")) is None
    told = fact_json(SessionPlaced("a", "my-divorce", T0))
    assert "my-divorce" not in json.dumps(told)
    assert told["session"] == session_hash("my-divorce")


def test_a_response_of_another_tool_keeps_its_headers_and_body():
    raw = line(kind="response", account="a", model="m", status=429, headers={"Retry-After": "60"}, body={"x": 1})
    found = entry_of(raw)
    assert isinstance(found, Heard)
    assert (found.facts, found.headers, found.body) == (None, {"Retry-After": "60"}, {"x": 1})


def test_a_request_of_another_tool_needs_no_more_than_a_model_and_who_served_it():
    found = entry_of(line(kind="request", model="m", account="a"))
    assert (found.model, found.account, found.outcome, found.tags, found.session) == ("m", "a", "", (), None)


@pytest.mark.parametrize("kind", ["facts", "response"])
def test_fields_of_a_newer_log_are_left_out(kind):
    fact = {"signal": "Succeeded", "account": "a", "model": "m", "at": "2026-11-20T10:00:00Z", "colour": "red"}
    found = entry_of(line(kind=kind, account="a", model="m", status=200, facts=[fact]))
    assert [type(each).__name__ for each in found.facts] == ["Succeeded"]


BROKEN = {
    "no JSON": b"{",
    "no object": b"[1]",
    "half a line": line(kind="request", model="m")[:-5],
    "not UTF-8": b'{"kind": "\xff"}',
    "no kind": line(),
    "another kind": line(kind="else"),
    "no instant": json.dumps({"kind": "request", "model": "m"}).encode(),
    "a wrong instant": line(kind="request", model="m", at="soon"),
    "no model": line(kind="request"),
    "tags that are a text": line(kind="request", model="m", tags="t"),
    "a size that is a text": line(kind="request", model="m", size="big"),
    "in flight as a list": line(kind="request", model="m", in_flight=["a"]),
    "among as an object": line(kind="request", model="m", among={"a": 1}),
    "no status": line(kind="response", account="a", model="m"),
    "headers that are a list": line(kind="response", account="a", model="m", status=200, headers=[1]),
    "facts that are none": line(kind="facts", facts="x"),
    "a fact of no class": line(kind="facts", facts=[{"signal": "Cheered"}]),
    "a fact that is a number": line(kind="facts", facts=[3]),
    "a class that is a list": line(kind="facts", facts=[{"signal": ["Succeeded"]}]),
    "a fact that lacks a field": line(kind="facts", facts=[{"signal": "Succeeded", "at": 1}]),
    "a fact without an instant": line(kind="facts", facts=[{"signal": "Succeeded", "account": "a", "model": "m"}]),
    "tokens that are an object": line(
        kind="facts", facts=[{"signal": "Succeeded", "account": "a", "model": "m", "at": 1, "tokens": {}}]
    ),
    "windows that are a number": line(
        kind="facts", facts=[{"signal": "QuotaObserved", "account": "a", "at": 1, "windows": 5}]
    ),
    "accounts that are none": line(kind="pool", version=2, accounts=[{"api_key": "fake-secret"}]),
    "a pool without accounts": line(kind="pool"),
    "deep": b'{"kind":' + b"[" * 100_000,
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
def test_a_broken_line_is_said_to_be_and_not_quoted(raw):
    with pytest.raises(Broken) as error:
        entry_of(raw)
    assert str(error.value)
    assert "fake-secret" not in repr(error.value) + repr(error.value.__context__)


@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda i: (
            st.lists(i, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["kind", "at", "model", "account", "facts", "signal", "status", "headers", "windows", "accounts"]
                ),
                i | st.sampled_from(["request", "response", "facts", "pool", "Succeeded", "2026-11-20T10:00:00Z"]),
                max_size=6,
            )
        ),
        max_leaves=12,
    ).map(lambda v: json.dumps(v).encode())
)
def test_whatever_a_line_holds_it_is_an_entry_or_broken(raw):
    try:
        entry_of(raw)
    except Broken:
        pass
