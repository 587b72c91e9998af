"""Keeping a file that cannot be written: what is said, what is kept, when it is tried again."""

from __future__ import annotations

import errno
import json
import logging
import os
from itertools import pairwise

import pytest
from simulators import MODEL, START, FakeClock, account, document, edit, runtime, save

from rotator import Parked, Rotator
from rotator.core.signals import QuotaObserved, RateLimited, Succeeded
from rotator.core.state import Window
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


def reading(name, left, at=START, reset=START + 3600):
    return QuotaObserved(name, MODEL, at, (Window("default", left, reset),))


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
            rotator.ingest([RateLimited("a", MODEL, clock.wall, 60.0), Succeeded("b", "other", clock.wall)])
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


def test_a_file_that_can_only_be_written_in_place_is_said_once(path, clock, caplog):
    os.link(path, path.with_name("second name"))
    with Rotator.open(path, clock=clock) as rotator:
        for _ in range(3):
            clock.advance(1)
            rotator.observe("a", f"model-{clock.wall}", **REFUSED)
            assert rotator.flush()
        assert rotator.file_state().mode == "in_place"
    assert ["in place" in message for message in caplog.messages] == [True]


def test_a_long_cooldown_outlives_thousands_of_facts_that_cannot_be_written(path, clock):
    path.chmod(0o444)
    with Rotator.open(path, clock=clock) as rotator:
        rotator.observe("a", MODEL, status=429, headers={"retry-after": "18000"})
        for _ in range(70):
            clock.advance(0.01)
            rotator.observe("a", MODEL, status=429, headers={"retry-after": "2"})
        for number in range(4100):
            rotator.ingest([RateLimited("b", f"model-{number % 97}", clock.wall, 1.0 + number % 7)])
        path.chmod(0o600)
        path.write_bytes(path.read_bytes() + b"\n")
        ready_at = {c.account: c.ready_at.timestamp() for c in rotator.explain(MODEL).candidates}
        assert ready_at["a"] == pytest.approx(START + 18000, abs=1)


def test_a_refused_credential_that_a_person_replaces_before_it_was_written_is_no_longer_refused(path, clock, rotator):
    rotator.observe("a", MODEL, status=400, body={"error": "invalid_grant"})
    assert rotator.pool.account("a").runtime.auth_failed
    edit(path, lambda found: found["accounts"][0].update(refresh_token="fake-another"))
    assert rotator.explain(MODEL).candidates[0].blocked_by is None
    assert rotator.flush() or not rotator.pool.account("a").runtime.auth_failed
    assert not rotator.pool.account("a").runtime.auth_failed
