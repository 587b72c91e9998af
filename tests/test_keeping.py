"""Keeping a file: hot reload, and when it is written."""

from __future__ import annotations

import errno
import json
import logging
import os
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulators import MODEL, START, FakeClock, account, document, edit, instant, load, runtime, save

from rotator import Rotator
from rotator.core.signals import QuotaObserved, RateLimited
from rotator.core.state import Window
from rotator.errors import AccountsInvalid, AccountsMissing
from rotator.keeping.due import Due
from rotator.store.file import Store

REFUSED = {"status": 429, "headers": {"retry-after": "7200"}, "body": None}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "accounts.json"
    save(path, document(account("a"), account("b"), account("c")))
    return path


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def rotator(path, clock):
    with Rotator.open(path, clock=clock) as rotator:
        yield rotator


@pytest.fixture(autouse=True)
def _talk(caplog):
    caplog.set_level(logging.INFO, logger="rotator")


def names(rotator):
    rotator.explain(MODEL)
    return [a.name for a in rotator.pool]


def reading(name, left, at=START, reset=START + 3600):
    return QuotaObserved(name, MODEL, at, (Window("default", left, reset),))


def test_a_file_that_is_saved_by_a_rename_is_read_again(path, rotator):
    save(path, document(account("x"), account("b")))
    assert names(rotator) == ["x", "b"]


def test_a_file_that_is_saved_in_place_is_read_again(path, rotator):
    path.write_text(json.dumps(document(account("y"))))
    assert names(rotator) == ["y"]


def test_a_save_of_the_same_size_with_its_old_time_restored_is_seen_all_the_same(path, rotator):
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b'"a"', b'"z"'))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert names(rotator) == ["z", "b", "c"]


def test_a_half_saved_file_is_left_alone_until_it_is_whole(path, clock, rotator, caplog):
    whole = json.dumps(document(account("x"), account("b")), indent=2)
    rotator.observe("b", MODEL, **REFUSED)
    path.write_text(whole[:40])
    for _ in range(5):
        assert names(rotator) == ["a", "b", "c"]
    assert not rotator.flush()
    assert path.read_text() == whole[:40]
    assert len(caplog.messages) == 1
    assert str(path) in rotator.file_state().last_error
    assert "fake-" not in caplog.text
    path.write_text(whole)
    assert names(rotator) == ["x", "b"]
    assert rotator.file_state().last_error is None
    clock.advance(5)
    rotator.tick()
    assert runtime(path, "b")["models"][MODEL]["consecutive_429"] == 1


def test_a_broken_file_whose_stamp_stands_still_is_looked_at_once_a_second(path, clock, rotator, monkeypatch):
    path.write_text("{")
    reads = []
    real = Store.read
    monkeypatch.setattr(Store, "read", lambda store: reads.append(clock.mono) or real(store))
    for _ in range(30):
        rotator.explain(MODEL)
        clock.advance(0.1)
    assert 3 <= len(reads) <= 4


def test_a_file_that_is_away_for_a_while_is_not_put_back(path, clock, rotator, caplog):
    kept = path.read_bytes()
    path.unlink()
    rotator.observe("a", MODEL, **REFUSED)
    assert names(rotator) == ["a", "b", "c"]
    for _ in range(20):
        clock.advance(30)
        rotator.tick()
    assert not rotator.flush()
    assert not path.exists()
    assert len(caplog.messages) == 1
    assert not rotator.durable, "nothing that is learned now is on a disk"
    assert rotator.file_state().mode == "file", "an absent file is no read-only one"
    path.write_bytes(kept)
    rotator.next(MODEL)
    assert rotator.due_at().timestamp() <= clock.wall
    rotator.tick()
    assert MODEL in runtime(path, "a")["models"]


def test_a_file_that_may_not_be_looked_at_any_more_is_said_and_the_pool_serves_on(path, rotator, monkeypatch, caplog):
    def denied(_path):
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("rotator.store.reading.os.stat", denied)
        assert rotator.next(MODEL).account == "a"
        assert rotator.next(MODEL).account == "b"
    assert len(caplog.messages) == 1
    assert rotator.next(MODEL).account == "c"
    assert rotator.file_state().last_error is None


def test_opening_what_is_no_document_names_every_fault(path):
    path.write_text('{"version": 2, "accounts": [{"priority": "high"}, {"name": "a", "weight": -1}]}')
    with pytest.raises(AccountsInvalid) as caught:
        Rotator.open(path)
    assert len(caught.value.faults) >= 2
    with pytest.raises(AccountsMissing):
        Rotator.open(path.with_name("absent"))


def test_accounts_may_be_added_renamed_and_removed_while_running(path, clock, rotator):
    rotator.observe("a", MODEL, **REFUSED)
    rotator.observe("b", MODEL, **REFUSED)
    save(path, document(account("c"), account("b"), account("new")))
    assert names(rotator) == ["c", "b", "new"]
    blocked = {c.account: c.blocked_by for c in rotator.explain(MODEL).candidates}
    assert blocked == {"c": None, "b": "cooldown", "new": None}
    rotator.ingest([RateLimited("a", MODEL, clock.wall, 60.0)])
    assert rotator.flush()
    assert [a["name"] for a in load(path)["accounts"]] == ["c", "b", "new"]
    assert "runtime" not in load(path)["accounts"][2]


def test_a_policy_that_is_edited_steers_the_next_choice(path, rotator):
    assert [rotator.next(MODEL).account for _ in range(2)] == ["a", "b"]
    edit(path, lambda found: found.update(policy={"selector": "chain"}))
    assert rotator.next(MODEL).selection_reason == "chain"


def test_a_damaged_runtime_is_named_once_and_harms_only_its_account(path, clock, rotator, caplog):
    edit(path, lambda found: found["accounts"][1].update(runtime={"banned": "fake-secret"}))
    rotator.explain(MODEL)
    for _ in range(3):
        rotator.tick()
    assert len(caplog.messages) == 1
    assert "/accounts/1/runtime/banned" in caplog.text
    assert "fake-" not in caplog.text


def test_a_fact_of_no_weight_is_written_five_seconds_after_the_first(path, clock, rotator):
    before = path.read_bytes()
    rotator.ingest([reading("a", 0.9)])
    assert rotator.due_at().timestamp() == START + 5
    clock.advance(3)
    rotator.ingest([reading("a", 0.8, START + 3)])
    rotator.tick()
    assert rotator.due_at().timestamp() == START + 5
    assert path.read_bytes() == before
    clock.advance(2)
    rotator.tick()
    assert runtime(path, "a")["models"][MODEL]["remaining_fraction"] == 0.8
    assert rotator.due_at() is None


def test_what_changes_readiness_is_written_at_once(path, clock, rotator):
    rotator.observe("a", MODEL, **REFUSED)
    assert rotator.due_at().timestamp() == START
    rotator.tick()
    assert runtime(path, "a")["models"][MODEL]["cooldown_until"] == instant(7200)


def test_writing_takes_no_more_than_its_share_of_the_time(path, clock, rotator, monkeypatch):
    spent = []
    real = Store.exchange

    def slow(store, rebase, **options):
        def slowly(snapshot):
            raw = rebase(snapshot)
            clock.advance(0.4)
            spent.append(0.4)
            return raw

        return real(store, slowly, **options)

    monkeypatch.setattr(Store, "exchange", slow)
    while clock.wall < START + 400:
        rotator.observe("a", MODEL, **REFUSED)
        rotator.tick()
        clock.advance(0.25)
    assert 0.04 < sum(spent) / (clock.wall - START) <= 0.0505


def test_facts_that_arrive_during_a_flush_are_written_by_the_next(path, clock, rotator, monkeypatch):
    real = Store.exchange

    def interrupted(store, rebase, **options):
        def rebased(snapshot):
            raw = rebase(snapshot)
            clock.advance(0.001)
            rotator.observe("b", MODEL, **REFUSED)
            rotator.ingest([reading("c", 0.3, clock.wall)])
            assert rotator.explain(MODEL).account == "c"
            return raw

        return real(store, rebased, **options)

    rotator.observe("a", MODEL, **REFUSED)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "exchange", interrupted)
        assert rotator.flush()
    assert MODEL not in runtime(path, "b").get("models", {})
    assert rotator.explain(MODEL).account == "c"
    assert rotator.due_at() is not None
    assert rotator.flush()
    assert MODEL in runtime(path, "a")["models"]
    assert MODEL in runtime(path, "b")["models"]
    assert runtime(path, "c")["models"][MODEL]["remaining_fraction"] == 0.3


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("touch"), st.booleans()),
            st.tuples(st.just("pass"), st.floats(0.0, 100.0)),
            st.tuples(st.just("write"), st.floats(0.0, 2.0)),
            st.tuples(st.sampled_from(["failed", "hindered"]), st.none()),
        ),
        max_size=40,
    )
)
def test_a_pending_fact_always_has_an_instant_at_which_it_is_due(story):
    due, mono, pending = Due(), 0.0, False
    for what, value in story:
        if what == "touch":
            due.touch(mono, urgent=value)
            pending = True
        elif what == "pass":
            mono += value
        elif pending and due.at(5.0) <= mono:
            due.begin()
            if what == "write":
                due.done(mono, value, 0.05)
                pending = False
            else:
                getattr(due, what)(mono)
        if pending:
            assert due.at(5.0) is not None
            assert due.at(5.0) <= mono + 300
    assert (due.at(5.0) is not None) >= pending


def test_what_could_not_be_written_is_due_as_it_was_once_the_trouble_is_over():
    due = Due()
    due.touch(10.0)
    due.begin()
    due.touch(13.0)
    due.failed(14.0)
    assert due.at(5.0) == 14.0 + 5.0
    due.cleared()
    assert due.at(5.0) == 10.0 + 5.0, "since the first fact"
    due.touch(14.0, urgent=True)
    due.begin()
    due.hindered(14.5)
    assert due.at(5.0) == 14.5 + 60.0
    due.cleared()
    assert due.at(5.0) == 10.0, "at once"


def test_closing_writes_what_is_pending(path, clock):
    with Rotator.open(path, clock=clock) as rotator:
        rotator.ingest([reading("a", 0.7)])
    assert runtime(path, "a")["models"][MODEL]["remaining_fraction"] == 0.7
    rotator.close()


def test_the_alarm_of_a_real_engine_writes_by_itself(path):
    edit(path, lambda found: found.update(policy={"flush_after": 0.05}))
    with Rotator.open(path) as rotator:
        rotator.next(MODEL)
        rotator.observe("b", MODEL, **REFUSED)
        tick = threading.Event()
        for _ in range(500):
            if load(path).get("active") == "a" and MODEL in runtime(path, "b").get("models", {}):
                break
            tick.wait(0.01)
        else:
            pytest.fail("the alarm never rang")


def test_a_version_1_file_becomes_version_2_and_its_old_bytes_are_kept(path, clock):
    old = b'{"accounts": [{"email": "a@example.com", "refresh_token": "fake-1"}], "active": "a@example.com"}\n'
    path.write_bytes(old)
    with Rotator.open(path, clock=clock) as rotator:
        assert rotator.next(MODEL).account == "a@example.com"
        assert path.read_bytes() == old
        rotator.observe("a@example.com", MODEL, **REFUSED)
    assert load(path)["version"] == 2
    assert (path.parent / "accounts.json.v1.bak").read_bytes() == old


def test_a_program_that_forgets_to_close_its_engine_loses_nothing(path):
    code = (
        "import sys; from rotator import Rotator\n"
        "rotator = Rotator.open(sys.argv[1]); rotator.next('m'); rotator.observe('b', 'm', status=429)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert load(path)["active"] == "a"
    assert "m" in runtime(path, "b")["models"]
