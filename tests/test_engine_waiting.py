"""Waiting until somebody is ready: when it wakes, what it notices, and how often it looks."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulators import MODEL, START, FakeClock, account, cooling, document, edit, save, served

from rotator import ParkTimeout, Rotator, Selected, Unavailable
from rotator.clock import MachineClock
from rotator.core.signals import QuotaObserved, Succeeded
from rotator.core.state import Window
from rotator.engine.waiting import LEAST_STEP_SECS, STEP_SECS
from rotator.errors import BadArgument

JITTER = 2.0


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "accounts.json"


class Sleepyhead(MachineClock):
    """A clock that sleeps until it is woken; ``woken`` says of each sleep whether it was."""

    def __init__(self):
        self.woken = []

    def wait(self, event, secs):
        self.woken.append(event.wait(40))
        return self.woken[-1]


def parked(secs, source="retry-after", **parts):
    return document(account("a", runtime={"rev": 1, "models": {MODEL: cooling(secs, source)}}), **parts)


def of_document(found, clock):
    return Rotator.memory(found, clock=clock)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 600_000).map(lambda n: n / 1000), st.sampled_from([0.0, 0.3, 2.0, 20.0]))
def test_it_wakes_at_the_wake_time_plus_at_most_the_jitter_and_a_step(secs, jitter):
    clock = FakeClock()
    rotator = of_document(parked(secs, policy={"wake_jitter": jitter}), clock)
    outcome = rotator.wait(MODEL)
    assert isinstance(outcome, Selected)
    woke = clock.wall - START
    assert secs - 0.001 <= woke <= secs + jitter + STEP_SECS, "the file's resolution is a millisecond"
    assert all(LEAST_STEP_SECS <= nap <= STEP_SECS for nap in clock.naps)
    assert len(clock.naps) <= math.ceil(woke) + 3 + woke / 60


def test_whoever_is_ready_is_not_waited_for(clock):
    rotator = of_document(document(account("a")), clock)
    assert rotator.wait(MODEL, timeout=0).account == "a"
    assert clock.naps == []


def test_when_only_a_person_can_help_it_says_so_at_once(clock):
    rotator = of_document(document(account("a", enabled=False)), clock)
    assert isinstance(rotator.wait(MODEL), Unavailable)
    assert clock.naps == []


def test_what_is_waited_for_is_taken_as_next_would(clock):
    found = document(
        account("a", tags=["work"], runtime={"rev": 1, "models": {MODEL: cooling(10)}}), account("b"), active="b"
    )
    rotator = of_document(found, clock)
    assert rotator.wait(MODEL, tags=iter(["work"]), session="chat").account == "a"
    assert rotator.pool.active == "a"
    assert set(rotator.pool.account("a").runtime.sessions) == {"chat"}


@pytest.mark.parametrize("timeout", [5, 5.0, timedelta(seconds=5)])
def test_a_timeout_runs_out_in_time_and_says_when_somebody_will_be_ready(clock, timeout):
    rotator = of_document(parked(600), clock)
    with pytest.raises(ParkTimeout) as caught:
        rotator.wait(MODEL, timeout=timeout)
    assert 5 <= clock.wall - START <= 5 + LEAST_STEP_SECS
    assert caught.value.wake_at.timestamp() == START + 600
    assert "5 s" in str(caught.value)


def test_a_timeout_of_nothing_decides_once(clock):
    rotator = of_document(parked(600), clock)
    with pytest.raises(ParkTimeout):
        rotator.wait(MODEL, timeout=0)
    assert clock.naps == []


def test_a_person_who_frees_an_account_is_noticed_within_a_second(clock, path):
    save(path, parked(6 * 3600))
    with Rotator.open(path, clock=clock) as rotator:
        clock.plan(100, lambda: edit(path, lambda found: found["accounts"][0].pop("runtime")))
        assert isinstance(rotator.wait(MODEL), Selected)
    assert 100 <= clock.wall - START <= 101.1


def test_an_account_that_is_added_is_noticed_within_a_second(clock, path):
    save(path, parked(6 * 3600))
    with Rotator.open(path, clock=clock) as rotator:
        clock.plan(50, lambda: edit(path, lambda found: found["accounts"].append(account("new"))))
        assert rotator.wait(MODEL).account == "new"
    assert clock.wall - START <= 51.1


def test_a_recovery_that_another_engine_learns_of_is_noticed_within_a_second(clock, path):
    save(path, parked(6 * 3600, "reset"))
    with Rotator.open(path, clock=clock) as rotator, Rotator.open(path, clock=clock) as other:

        def recover():
            other.ingest([QuotaObserved("a", MODEL, clock.wall, (Window("default", 0.7, clock.wall + 900),))])
            assert other.flush()

        clock.plan(30, recover)
        assert isinstance(rotator.wait(MODEL), Selected)
    assert 30 <= clock.wall - START <= 31.1


def test_a_fact_of_the_same_engine_wakes_at_once(clock):
    rotator = of_document(parked(3600), clock)
    clock.plan(7, lambda: rotator.ingest([Succeeded("a", MODEL, clock.wall)]))
    assert isinstance(rotator.wait(MODEL), Selected)
    assert 7 <= clock.wall - START <= 8


def test_a_lease_that_ends_lets_the_next_one_in(clock):
    near = account("a", runtime={"rev": 1, "models": {MODEL: served(0.01)}})
    rotator = of_document(document(near, policy={"wake_jitter": 0}), clock)
    lease = rotator.lease(MODEL)
    clock.plan(20, lease.release)
    assert isinstance(rotator.wait(MODEL), Selected)
    assert 20 <= clock.wall - START <= 21
    assert len(clock.naps) < 60


def test_a_clock_that_is_set_forward_past_the_wake_time_ends_the_wait(clock):
    rotator = of_document(parked(1800), clock)
    clock.plan(10, lambda: clock.step(3600))
    assert isinstance(rotator.wait(MODEL), Selected)
    assert clock.mono - 1000 <= 12
    assert len(clock.naps) <= 15


def test_a_clock_that_is_set_back_makes_it_neither_early_nor_spin(clock):
    rotator = of_document(parked(60), clock)
    clock.plan(10, lambda: clock.step(-3600))
    assert isinstance(rotator.wait(MODEL), Selected)
    assert 60 <= clock.wall - START <= 60 + JITTER + STEP_SECS
    assert len(clock.naps) <= 3600 + 60 + 10


def test_a_timeout_holds_although_the_clock_is_set_back(clock):
    rotator = of_document(parked(600), clock)
    clock.plan(10, lambda: clock.step(-3600))
    with pytest.raises(ParkTimeout):
        rotator.wait(MODEL, timeout=30)
    assert 30 <= clock.mono - 1000 <= 31


def test_a_timeout_does_not_end_early_because_the_clock_is_set_forward(clock):
    rotator = of_document(parked(6 * 3600), clock)
    clock.plan(10, lambda: clock.step(3600))
    with pytest.raises(ParkTimeout):
        rotator.wait(MODEL, timeout=60)
    assert 60 <= clock.mono - 1000 <= 61


def test_a_timeout_counts_a_suspend_with_a_clock_that_does(clock):
    rotator = of_document(parked(9 * 3600), clock)

    def suspended():
        clock.suspend(3600)
        clock.mono += 3600

    clock.plan(10, suspended)
    with pytest.raises(ParkTimeout):
        rotator.wait(MODEL, timeout=600)
    assert 3610 <= clock.mono - 1000 <= 3612


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="the system has no clock that counts a suspend")
def test_the_machines_clock_counts_a_suspend_where_it_can():
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= MachineClock().monotonic() <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_a_wait_under_way_ends_when_the_engine_is_closed(clock):
    rotator = of_document(parked(600), clock)
    clock.plan(10, rotator.close)
    with pytest.raises(BadArgument, match="closed"):
        rotator.wait(MODEL)
    assert clock.wall - START <= 11


def test_a_machine_that_was_suspended_past_the_wake_time_wakes_with_it(clock):
    rotator = of_document(parked(5 * 3600), clock)
    clock.plan(60, lambda: clock.suspend(8 * 3600))
    assert isinstance(rotator.wait(MODEL, timeout=86400), Selected)
    assert clock.mono - 1000 <= 62


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 300), st.sampled_from(["step", "suspend"]), st.sampled_from([-3600, -40, 3600, 500])),
        max_size=4,
    )
)
def test_whatever_the_clock_does_it_wakes_soon_after_the_wake_time_and_never_before(story):
    clock = FakeClock()
    for at, what, secs in story:
        if what == "step" or secs > 0:
            clock.plan(at, lambda what=what, secs=secs: getattr(clock, what)(secs))
    rotator = of_document(parked(200), clock)
    last = [clock.wall]
    outcome = rotator.wait(MODEL, progress=lambda _parked: last.append(clock.wall))
    assert isinstance(outcome, Selected)
    assert clock.wall >= START + 200
    assert last[-1] < START + 200 + JITTER
    assert sum(clock.naps) <= clock.mono - 1000 + 1
    assert len(clock.naps) <= (clock.mono - 1000) * 1.1 + 30


def test_a_parked_pool_looks_again_although_nothing_happens(clock):
    rotator = of_document(parked(600, policy={"recheck": 30}), clock)
    decided = []
    rotator.wait(MODEL, progress=lambda parked: decided.append(parked.decided))
    assert 18 <= len(set(decided)) <= 24


def test_a_parked_pool_looks_again_although_the_clock_was_set_back(clock):
    rotator = of_document(parked(60, policy={"recheck": 30}), clock)
    clock.plan(10, lambda: clock.step(-600))
    decided = []
    rotator.wait(MODEL, progress=lambda parked: decided.append(parked.decided))
    assert 20 <= len(set(decided)) <= 24


def test_progress_sees_every_sleep(clock):
    rotator = of_document(parked(10), clock)
    seen = []
    rotator.wait(MODEL, progress=seen.append)
    assert len(seen) == len(clock.naps) > 9
    assert seen[0].wake_at.timestamp() == START + 10


def test_two_waiters_are_both_woken_by_one_fact():
    rotator = of_document(parked(3600 * 24 * 365 * 20), Sleepyhead())
    outcomes = []
    waiting = threading.Barrier(3)
    begun = set()

    def wait():
        me = threading.get_ident()

        def first(_parked):
            if me not in begun:
                begun.add(me)
                waiting.wait(5)

        outcomes.append(rotator.wait(MODEL, timeout=100, progress=first))

    threads = [threading.Thread(target=wait, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    waiting.wait(5)
    rotator.release("a")
    for thread in threads:
        thread.join(5)
    assert [type(outcome) for outcome in outcomes] == [Selected, Selected]


def test_the_awaitable_wait_does_the_same(clock):
    rotator = of_document(parked(120), clock)
    outcome = asyncio.run(rotator.wait_async(MODEL))
    assert isinstance(outcome, Selected)
    assert 120 <= clock.wall - START <= 120 + JITTER + STEP_SECS
    rotator.hold("a")
    assert isinstance(asyncio.run(rotator.wait_async(MODEL)), Unavailable)
    rotator.release("a")
    clock.advance(1)
    rotator.observe("a", MODEL, status=429, headers={"retry-after": "600"})
    with pytest.raises(ParkTimeout):
        asyncio.run(rotator.wait_async(MODEL, timeout=3))


def test_a_cancelled_wait_ends_at_once_and_leaves_no_thread_asleep():
    clock = Sleepyhead()
    rotator = of_document(parked(3600 * 24 * 365 * 20), clock)

    async def cancelled():
        task = asyncio.create_task(rotator.wait_async(MODEL))
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert rotator._watching._waiters == []
    assert clock.woken == [True]


def test_a_loop_serves_others_while_it_waits():
    rotator = of_document(parked(3600 * 24 * 365 * 20), Sleepyhead())

    async def both():
        waiting = asyncio.create_task(rotator.wait_async(MODEL, timeout=20))
        await asyncio.sleep(0)
        rotator.release("a")
        return await waiting

    assert isinstance(asyncio.run(both()), Selected)


def run_ticks(rotator, clock, until):
    while clock.wall < until:
        due = rotator.due_at()
        clock.advance(max(min(due.timestamp() if due else until, until) - clock.wall, 0.02))
        rotator.tick()


def test_a_watch_is_called_back_once_when_somebody_is_ready(clock):
    rotator = of_document(parked(90), clock)
    told = []
    rotator.when_ready(MODEL, lambda outcome: told.append((clock.wall - START, type(outcome))))
    run_ticks(rotator, clock, START + 300)
    assert len(told) == 1
    assert told[0][1] is Selected
    assert 90 <= told[0][0] <= 90 + JITTER + STEP_SECS
    assert rotator.pool.active is None, "being told is not taking"
    assert rotator.due_at() is None


def test_a_cancelled_watch_is_silent_and_cancelling_twice_is_nothing(clock):
    rotator = of_document(parked(9), clock)
    told = []
    cancel = rotator.when_ready(MODEL, told.append)
    cancel()
    cancel()
    run_ticks(rotator, clock, START + 30)
    assert told == []


def test_a_watch_hears_of_a_fact_at_the_next_tick_and_of_hopelessness_too(clock):
    rotator = of_document(parked(3600), clock)
    told = []
    rotator.when_ready(MODEL, told.append)
    rotator.tick()
    rotator.ingest([Succeeded("a", MODEL, clock.wall)])
    assert rotator.due_at().timestamp() <= clock.wall
    rotator.tick()
    assert [type(one) for one in told] == [Selected]
    rotator.hold("a")
    rotator.when_ready(MODEL, told.append)
    rotator.tick()
    assert [type(one) for one in told] == [Selected, Unavailable]


def test_a_callback_that_fails_does_not_keep_others_from_their_turn(clock):
    rotator = of_document(document(account("a")), clock)
    told = []
    rotator.when_ready(MODEL, lambda _outcome: 1 / 0)
    rotator.when_ready(MODEL, told.append)
    with pytest.raises(ZeroDivisionError):
        rotator.tick()
    rotator.tick()
    assert len(told) == 1


def test_a_watch_of_a_real_engine_is_called_on_the_alarms_thread(path):
    save(path, document(account("a", runtime={"rev": 1, "held": True, "held_until": "2100-01-01T00:00:00Z"})))
    told = threading.Event()
    threads = []
    with Rotator.open(path) as rotator:
        rotator.when_ready(MODEL, lambda _outcome: (threads.append(threading.current_thread().name), told.set()))
        edit(path, lambda found: found["accounts"][0].pop("runtime"))
        assert told.wait(10)
    assert threads == ["rotator-alarm"]
