"""Keeping a file that others write too: processes, a person, an old buffer, a clock that was set back."""

from __future__ import annotations

import logging
import multiprocessing
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulators import MODEL, START, FakeClock, account, document, edit, instant, load, runtime, save, served

from rotator import Rotator, Selected
from rotator.core.signals import QuotaObserved, Succeeded
from rotator.core.state import Window
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


def reading(name, left, at=START, reset=START + 3600):
    return QuotaObserved(name, MODEL, at, (Window("default", left, reset),))


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
    assert rotator.explain(MODEL).candidates[0].ready_at.timestamp() == clock.wall + 7200
    edit(path, lambda found: found.update(note="read again before it is written"))
    assert rotator.explain(MODEL).candidates[0].blocked_by == "cooldown"
    rotator.close()
    state = runtime(path, "a")["models"][MODEL]
    assert state["cooldown_until"] == instant(7200 - 3600)
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
    assert runtime(path, "a")["models"][MODEL]["cooldown_until"] == instant(7200)


def test_after_a_step_back_the_choice_becomes_active_and_a_delay_counts_from_when_it_was_told(path, clock, rotator):
    assert rotator.next(MODEL).account == "a"
    rotator.observe("b", MODEL, **REFUSED)
    clock.step(-3600)
    assert rotator.next(MODEL).account == "c"
    assert rotator.pool.active == "c"
    rotator.observe("b", MODEL, status=503)
    assert rotator.explain(MODEL).candidates[1].ready_at.timestamp() <= clock.wall + 7200


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


def test_what_is_learned_long_after_a_step_back_keeps_its_own_time(path, clock, rotator):
    rotator.observe("a", MODEL, status=200)
    clock.step(-3600)
    rotator.observe("a", MODEL, **REFUSED)
    assert rotator.flush()
    clock.advance(900)
    rotator.observe("a", MODEL, status=200)
    assert rotator.flush()
    edit(path, lambda found: found.update(note="read again"))
    rotator.explain(MODEL)
    assert rotator.pool.account("a").state(MODEL).last_success_at == clock.wall


@pytest.mark.parametrize(
    "mark", [".accounts.json.swp", ".accounts.json.swo", ".#accounts.json", ".~lock.accounts.json#"]
)
def test_a_routine_write_waits_for_an_editor_that_has_the_file_open(path, clock, rotator, mark):
    before = path.read_bytes()
    (path.parent / mark).touch()
    rotator.observe("a", MODEL, status=429, headers={"retry-after": "7200"})
    for _ in range(100):
        clock.advance(3)
        rotator.tick()
    assert path.read_bytes() == before
    (path.parent / mark).unlink()
    clock.advance(1.1)
    assert rotator.due_at().timestamp() <= clock.wall
    rotator.tick()
    assert MODEL in runtime(path, "a")["models"]


def test_a_write_waits_for_an_editor_for_ten_minutes_and_no_longer(path, clock, rotator):
    before = path.read_bytes()
    (path.parent / ".accounts.json.swp").touch()
    rotator.observe("a", MODEL, status=429, headers={"retry-after": "7200"})
    clock.advance(599)
    rotator.tick()
    assert path.read_bytes() == before
    clock.advance(1.1)
    rotator.tick()
    assert MODEL in runtime(path, "a")["models"]


def test_what_a_dead_editor_left_behind_keeps_nobody_waiting(path, clock, rotator):
    swap = path.parent / ".accounts.json.swp"
    swap.touch()
    os.utime(swap, (1, 1))
    rotator.observe("a", MODEL, status=429, headers={"retry-after": "7200"})
    rotator.tick()
    assert MODEL in runtime(path, "a")["models"]


def test_an_explicit_flush_does_not_wait_for_an_editor(path, rotator):
    (path.parent / ".accounts.json.swp").touch()
    rotator.observe("a", MODEL, status=429, headers={"retry-after": "7200"})
    assert rotator.flush()
    assert MODEL in runtime(path, "a")["models"]
