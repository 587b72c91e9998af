"""Keeping a file: hot reload, when it is written, what happens when it cannot be, who wins."""

from __future__ import annotations

import errno
import json
import logging
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulators import MODEL, START, FakeClock, account, document, edit, instant, load, runtime, save, served

from rotator import Parked, Rotator, Selected
from rotator.core.signals import QuotaObserved, RateLimited, Succeeded
from rotator.core.state import Window
from rotator.errors import AccountsInvalid, AccountsMissing
from rotator.keeping.due import Due
from rotator.store.file import Store

REFUSED = {"status": 429, "headers": {"retry-after": "600"}, "body": None}


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


# -- hot reload ------------------------------------------------------------------------------------------------------


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
    assert rotator.durable, "an absent file is no read-only one"
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


# -- when it is written ----------------------------------------------------------------------------------------------


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
    assert runtime(path, "a")["models"][MODEL]["cooldown_until"] == instant(600)


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


# -- when it cannot be written ---------------------------------------------------------------------------------------


def test_a_full_disk_keeps_the_facts_backs_off_says_it_once_and_recovers(path, clock, rotator, monkeypatch, caplog):
    before = path.read_bytes()
    tries = []

    def full(_descriptor, _bytes, _offset):
        tries.append(clock.wall)
        raise OSError(errno.ENOSPC, "No space left on device")

    rotator.observe("a", MODEL, status=429, headers={"retry-after": "7200"})
    with monkeypatch.context() as patch:
        patch.setattr("rotator.store.writing.os.pwrite", full)
        assert not rotator.flush()
        while clock.wall < START + 1500:
            rotator.tick()
            clock.advance(1)
        gaps = [round(b - a) for a, b in pairwise(tries)]
        assert gaps == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert path.read_bytes() == before
    assert rotator.explain(MODEL).account == "b"
    assert len(caplog.messages) == 1
    assert "No space left" in rotator.file_state().last_error
    clock.advance(300)
    rotator.tick()
    assert MODEL in runtime(path, "a")["models"]
    assert rotator.file_state().last_error is None


def test_a_read_only_file_is_never_written_and_tried_each_minute(path, clock, caplog):
    path.chmod(0o444)
    before = path.read_bytes()
    with Rotator.open(path, clock=clock) as rotator:
        assert not rotator.durable
        rotator.observe("a", MODEL, **REFUSED)
        assert rotator.next(MODEL).account == "b"
        assert not rotator.flush()
        while clock.wall < START + 600:
            clock.advance(7)
            rotator.tick()
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == ["accounts.json"]
        assert rotator.file_state().mode == "memory"
        assert "0444" in rotator.file_state().last_error
        assert len(caplog.messages) == 1
        path.chmod(0o600)
        until = rotator.due_at().timestamp()
        assert until <= clock.wall + 60
        clock.advance(until - clock.wall)
        rotator.tick()
        assert rotator.durable
        assert MODEL in runtime(path, "a")["models"]


def test_a_read_only_file_with_nothing_pending_is_looked_at_each_minute_too(path, clock):
    path.chmod(0o444)
    with Rotator.open(path, clock=clock) as rotator:
        assert rotator.due_at().timestamp() == START + 60
        path.chmod(0o600)
        clock.advance(60)
        rotator.tick()
        assert rotator.durable
        assert rotator.due_at() is None


def test_a_choice_notices_that_the_file_may_be_written_again(path, clock):
    path.chmod(0o444)
    with Rotator.open(path, clock=clock) as rotator:
        path.chmod(0o600)
        rotator.next(MODEL)
        assert rotator.durable


def test_what_only_a_write_can_find_out_is_said_once_and_tried_each_minute(path, clock, rotator, monkeypatch, caplog):
    tries = []

    def refused(*_arguments):
        tries.append(clock.wall)
        raise OSError(errno.EROFS, "Read-only file system")

    rotator.observe("a", MODEL, **REFUSED)
    with monkeypatch.context() as patch:
        patch.setattr("rotator.store.writing.Draft", refused)
        patch.setattr("rotator.store.writing.overwrite", refused)
        while clock.wall < START + 200:
            rotator.tick()
            rotator.explain(MODEL)
            clock.advance(1)
    assert sorted(set(tries)) == [START, START + 60, START + 120, START + 180]
    assert not rotator.durable
    assert len(caplog.messages) == 1
    clock.advance(60)
    rotator.tick()
    assert rotator.durable
    assert MODEL in runtime(path, "a")["models"]


def test_a_file_of_a_newer_version_is_read_and_never_written(path, clock, caplog):
    save(path, document(account("a"), account("b"), version=3, novelty={"x": 1}))
    before = path.read_bytes()
    with Rotator.open(path, clock=clock) as rotator:
        rotator.observe("a", MODEL, **REFUSED)
        assert rotator.next(MODEL).account == "b"
        assert not rotator.flush()
        clock.advance(70)
        rotator.tick()
        assert (rotator.durable, rotator.document()) == (False, before)
        assert len(caplog.messages) == 1
        assert "newer" in caplog.text
    assert path.read_bytes() == before


def test_a_file_that_becomes_a_newer_version_just_before_the_write_is_not_written(path, clock, rotator, monkeypatch):
    newer = json.dumps(document(account("a"), version=3)).encode()
    real = Store.exchange

    def overtaken(store, rebase, **options):
        path.write_bytes(newer)
        return real(store, rebase, **options)

    rotator.observe("a", MODEL, **REFUSED)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "exchange", overtaken)
        assert not rotator.flush()
    assert path.read_bytes() == newer
    assert isinstance(rotator.explain(MODEL), Parked)
    edit(path, lambda found: found.update(version=2))
    rotator.explain(MODEL)
    assert rotator.durable
    assert rotator.flush()
    assert MODEL in runtime(path, "a")["models"]


def test_a_pool_that_cannot_be_written_for_long_holds_a_bounded_number_of_facts(path, clock):
    path.chmod(0o444)
    with Rotator.open(path, clock=clock) as rotator:
        rotator.ingest([reading("c", 0.25)])
        for _ in range(12_000):
            clock.advance(61)
            rotator.ingest([RateLimited("a", MODEL, clock.wall, 60.0), Succeeded("b", MODEL, clock.wall)])
        ledger = rotator._keeper._ledger
        assert len(ledger._pending) <= 2 * 4096 + 200
        save(path, document(account("a"), account("b"), account("c"), note="a person was here"))
        path.chmod(0o600)
        rotator.explain(MODEL)
        assert rotator.pool.account("a").state(MODEL).cooldowns[0].until == clock.wall + 60
        assert rotator.pool.account("c").state(MODEL).windows[0].remaining_fraction == 0.25
        assert rotator.flush()


def test_looser_modes_are_dropped_at_the_first_write_and_said(path, clock, rotator, caplog):
    path.chmod(0o644)
    rotator.observe("a", MODEL, **REFUSED)
    assert rotator.flush()
    assert path.stat().st_mode & 0o777 == 0o600
    assert "0600" in caplog.text


def test_an_error_that_is_nobodys_on_purpose_goes_up_and_the_facts_stay(path, rotator, monkeypatch):
    rotator.observe("a", MODEL, **REFUSED)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "exchange", lambda *_args, **_options: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            rotator.flush()
    assert rotator.flush()
    assert MODEL in runtime(path, "a")["models"]


# -- who wins --------------------------------------------------------------------------------------------------------


def test_two_engines_on_one_file_keep_the_facts_of_both(path, clock):
    with Rotator.open(path, clock=clock) as one, Rotator.open(path, clock=clock) as two:
        one.observe("a", MODEL, **REFUSED)
        two.observe("b", MODEL, **REFUSED)
        two.observe("a", "other", **REFUSED)
        assert one.flush()
        assert two.explain(MODEL).account == "c"
        assert two.flush()
        assert one.explain(MODEL).account == "c"
        assert isinstance(one.explain("other"), Selected)
    assert set(runtime(path, "a")["models"]) == {MODEL, "other"}
    assert set(runtime(path, "b")["models"]) == {MODEL}


def _report(path, number, done):
    with Rotator.open(path) as rotator:
        for count in range(50):
            rotator.observe("abc"[count % 3], f"m-{number}-{count}", status=200, headers={}, body=None, tokens=1)
            if count % 10 == 9:
                rotator.flush()
    done.put(number)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_eight_processes_with_fifty_reports_each_lose_none(path):
    context = multiprocessing.get_context("fork")
    done = context.Queue()
    workers = [context.Process(target=_report, args=(path, number, done)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 8
    found = {model for name in "abc" for model in runtime(path, name)["models"]}
    assert found == {f"m-{number}-{count}" for number in range(8) for count in range(50)}


def test_a_person_who_clears_a_ban_is_heeded(path, clock, rotator):
    edit(path, lambda found: found["accounts"][0].update(runtime={"rev": 1, "banned": True, "blocked_at": instant(-9)}))
    assert rotator.explain(MODEL).candidates[0].blocked_by == "banned"
    edit(path, lambda found: found["accounts"][0]["runtime"].pop("banned"))
    assert rotator.explain(MODEL).candidates[0].blocked_by is None
    assert rotator.due_at() is not None, "others learn it by a higher rev"
    assert rotator.flush()
    assert runtime(path, "a")["rev"] == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a["runtime"]["models"][MODEL].pop("cooldown_until"),
        lambda a: a.pop("runtime"),
        lambda a: a["runtime"].pop("models"),
        lambda a: a.update(runtime={}),
    ],
    ids=["cooldown", "runtime", "models", "emptied"],
)
def test_a_person_who_clears_a_cooldown_is_heeded_and_what_is_learned_later_stays(path, clock, rotator, change):
    rotator.observe("a", MODEL, **REFUSED)
    assert rotator.flush()
    clock.advance(1)
    rotator.observe("b", MODEL, **REFUSED)
    rotator.observe("a", "other", **REFUSED)
    edit(path, lambda found: change(found["accounts"][0]))
    assert rotator.explain(MODEL).candidates[0].ready
    assert isinstance(rotator.explain("other"), Selected)
    blocked = {c.account: c.blocked_by for c in rotator.explain("other").candidates}
    assert blocked["a"] == "cooldown", "learned after the person could see it"
    assert rotator.flush()
    assert "cooldown_until" not in runtime(path, "a").get("models", {}).get(MODEL, {})
    assert "cooldown_until" in runtime(path, "b")["models"][MODEL]


def test_an_editor_with_an_old_buffer_keeps_its_edit_and_rolls_nothing_back(path, clock, rotator):
    rotator.observe("a", MODEL, **REFUSED)
    assert rotator.flush()
    buffer = load(path)
    rotator.observe("a", "other", **REFUSED)
    assert rotator.flush()
    buffer["accounts"][0]["priority"] = 7
    buffer["note"] = "typed while it ran"
    save(path, buffer)
    assert [c.blocked_by for c in rotator.explain("other").candidates] == ["cooldown", None, None]
    assert rotator.flush()
    found = load(path)
    assert (found["accounts"][0]["priority"], found["note"]) == (7, "typed while it ran")
    assert set(runtime(path, "a")["models"]) == {MODEL, "other"}


def test_a_new_credential_ends_a_hard_state(path, clock, rotator):
    for _ in range(10):
        rotator.observe("a", MODEL, status=401)
        clock.advance(700)
    assert rotator.explain(MODEL).candidates[0].blocked_by == "auth_failed"
    assert rotator.flush()
    edit(path, lambda found: found["accounts"][0].update(api_key="fake-new"))
    assert rotator.explain(MODEL).candidates[0].blocked_by != "auth_failed"


# -- a clock that was set back ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flushed", "restarted"),
    [(True, False), (True, True), (False, False)],
    ids=["in the file", "in the file of an earlier run", "pending"],
)
def test_a_refusal_is_learned_although_the_last_success_lies_ahead(path, clock, flushed, restarted):
    rotator = Rotator.open(path, clock=clock)
    rotator.observe("a", MODEL, status=200)
    if flushed:
        assert rotator.flush()
    if restarted:
        rotator.close()
        rotator = Rotator.open(path, clock=clock)
    clock.step(-3600)
    rotator.observe("a", MODEL, **REFUSED)
    assert rotator.explain(MODEL).candidates[0].ready_at.timestamp() == clock.wall + 600
    edit(path, lambda found: found.update(note="read again before it is written"))
    assert rotator.explain(MODEL).candidates[0].blocked_by == "cooldown"
    rotator.close()
    state = runtime(path, "a")["models"][MODEL]
    assert state["cooldown_until"] == instant(600 - 3600)
    assert state["last_success_at"] < instant(-3600)


def test_a_refusal_is_learned_although_another_process_writes_stamps_that_lie_ahead(path, clock):
    with Rotator.open(path, clock=clock) as one, Rotator.open(path, clock=FakeClock(START + 3600)) as fast:
        fast.observe("a", MODEL, status=200)
        assert fast.flush()
        one.observe("a", MODEL, **REFUSED)
        fast.observe("a", "other", status=200)
        assert fast.flush()
        assert one.explain(MODEL).candidates[0].blocked_by == "cooldown"
        assert one.flush()
    assert runtime(path, "a")["models"][MODEL]["cooldown_until"] == instant(600)


def test_after_a_step_back_the_choice_becomes_active_and_a_delay_counts_from_when_it_was_told(path, clock, rotator):
    assert rotator.next(MODEL).account == "a"
    rotator.observe("b", MODEL, **REFUSED)
    clock.step(-3600)
    assert rotator.next(MODEL).account == "c"
    assert rotator.pool.active == "c"
    rotator.observe("b", MODEL, status=503)
    assert rotator.explain(MODEL).candidates[1].ready_at.timestamp() <= clock.wall + 600


def test_a_difference_of_some_seconds_between_machines_changes_nothing(path, clock, rotator):
    rotator.ingest([Succeeded("a", MODEL, START + 50)])
    rotator.ingest([reading("a", 0.5, START)])
    assert rotator.pool.account("a").state(MODEL).last_success_at == START + 50


def test_a_person_wins_although_the_clock_was_set_back_and_what_is_learned_since_stays(path, clock, rotator):
    rotator.observe("a", MODEL, **REFUSED)
    rotator.observe("b", "other", **REFUSED)
    assert rotator.flush()
    clock.step(-3600)
    rotator.observe("b", MODEL, **REFUSED)
    edit(path, lambda found: [a.pop("runtime", None) for a in found["accounts"]])
    assert [c.blocked_by for c in rotator.explain(MODEL).candidates] == [None, "cooldown", None]
    assert isinstance(rotator.explain("other"), Selected)


def test_a_reading_survives_a_restart_with_its_age(path, clock):
    edit(path, lambda found: found["accounts"][0].update(runtime={"rev": 1, "models": {MODEL: served(0.6, at=-30)}}))
    with Rotator.open(path, clock=clock) as rotator:
        assert rotator.explain(MODEL).candidates[0].confidence == pytest.approx(0.5 ** (30 / 3600))


def test_a_person_who_saves_during_a_flush_loses_nothing_and_neither_does_the_engine(path, clock, rotator, monkeypatch):
    real = Store.exchange
    rounds = []

    def overtaken(store, rebase, **options):
        def rebased(snapshot):
            raw = rebase(snapshot)
            rounds.append(len(raw))
            if len(rounds) == 1:
                edit(path, lambda found: found["accounts"][1].update(note="typed just now"))
                rotator.observe("c", MODEL, **REFUSED)
            return raw

        return real(store, rebased, **options)

    rotator.observe("a", MODEL, **REFUSED)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "exchange", overtaken)
        assert rotator.flush()
    assert len(rounds) == 2
    assert load(path)["accounts"][1]["note"] == "typed just now"
    assert runtime(path, "a")["models"][MODEL]["consecutive_429"] == 1
    assert rotator.flush()
    assert MODEL in runtime(path, "c")["models"]


def test_a_file_that_can_only_be_written_in_place_is_said_once(path, clock, caplog):
    os.link(path, path.with_name("second name"))
    with Rotator.open(path, clock=clock) as rotator:
        for _ in range(3):
            clock.advance(1)
            rotator.observe("a", f"model-{clock.wall}", **REFUSED)
            assert rotator.flush()
        assert rotator.file_state().mode == "in_place"
    assert ["in place" in message for message in caplog.messages] == [True]


def test_a_program_that_forgets_to_close_its_engine_loses_nothing(path):
    code = (
        "import sys; from rotator import Rotator\n"
        "rotator = Rotator.open(sys.argv[1]); rotator.next('m'); rotator.observe('b', 'm', status=429)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert load(path)["active"] == "a"
    assert "m" in runtime(path, "b")["models"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("learn"), st.integers(0, 1), st.sampled_from("abc")),
        st.tuples(st.just("flush"), st.integers(0, 1), st.none()),
        st.tuples(st.just("look"), st.integers(0, 1), st.none()),
        st.tuples(st.just("restart"), st.integers(0, 1), st.none()),
        st.tuples(st.just("edit"), st.none(), st.sampled_from("abc")),
        st.tuples(st.just("unreadable"), st.integers(0, 1), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_whoever_writes_whenever_nothing_that_was_learned_or_typed_is_lost(story):
    with tempfile.TemporaryDirectory() as folder:
        path, clock = Path(folder, "accounts.json"), FakeClock()
        save(path, document(account("a"), account("b"), account("c")))
        engines = [Rotator.open(path, clock=clock) for _ in range(2)]
        learned, typed = set(), set()
        for number, (what, who, name) in enumerate(story):
            clock.advance(1)
            if what == "learn":
                engines[who].observe(name, f"m-{number}", **REFUSED)
                learned.add((name, f"m-{number}"))
            elif what == "flush":
                assert engines[who].flush()
            elif what == "look":
                engines[who].next(MODEL)
            elif what == "restart":
                engines[who].close()
                engines[who] = Rotator.open(path, clock=clock)
            elif what == "edit":
                edit(path, lambda found, n=number, a=name: found["accounts"]["abc".index(a)].update({f"note-{n}": n}))
                typed.add((name, f"note-{number}"))
            else:
                whole = path.read_bytes()
                path.write_bytes(whole[: len(whole) // 2])
                engines[who].next(MODEL)
                engines[who].flush()
                path.write_bytes(whole)
        for engine in engines:
            engine.close()
        for name, model in learned:
            assert runtime(path, name)["models"][model]["consecutive_429"] == 1
        found = {a["name"]: a for a in load(path)["accounts"]}
        assert all(note in found[name] for name, note in typed)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["learn", "flush", "open the editor", "save the buffer"]), max_size=16))
def test_an_old_buffer_that_is_saved_at_any_time_loses_nothing_that_the_engine_wrote(story):
    with tempfile.TemporaryDirectory() as folder:
        path, clock = Path(folder, "accounts.json"), FakeClock()
        save(path, document(account("a")))
        learned, typed = set(), 0
        with Rotator.open(path, clock=clock) as rotator:
            rotator.observe("a", "first", **REFUSED)
            assert rotator.flush()
            buffer = load(path)
            for number, what in enumerate(story):
                clock.advance(1)
                if what == "learn":
                    rotator.observe("a", f"m-{number}", **REFUSED)
                    learned.add(f"m-{number}")
                elif what == "flush":
                    assert rotator.flush()
                elif what == "open the editor":
                    buffer = load(path)
                else:
                    typed += 1
                    buffer["accounts"][0]["note"] = typed
                    save(path, buffer)
                    rotator.explain(MODEL)
        assert set(runtime(path, "a")["models"]) >= {"first", *learned}
        assert load(path)["accounts"][0].get("note", 0) in range(typed + 1)
